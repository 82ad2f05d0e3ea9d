package sarama

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"ottla/compat-tests/go/kit"
)

// Sarama does not negotiate downwards within a release: it sends what the configured release had. So the course is
// run as an old release, as its default and as its newest.
var releases = map[string]sarama.KafkaVersion{"2.1": sarama.V2_1_0_0, "2.8": sarama.V2_8_0_0, "4.3": sarama.V4_3_0_0}

func everyRelease(t *testing.T, course func(t *testing.T, config *sarama.Config)) {
	for name, version := range releases {
		t.Run("as-"+name, func(t *testing.T) {
			t.Parallel()
			config := sarama.NewConfig()
			config.Version = version
			config.Producer.Return.Successes = true
			config.Producer.RequiredAcks = sarama.WaitForAll
			config.Consumer.Offsets.Initial = sarama.OffsetOldest
			config.Consumer.Return.Errors = true
			course(t, config)
		})
	}
}

func seeds() []string { return []string{kit.Bootstrap()} }

func admin(t *testing.T, config *sarama.Config) sarama.ClusterAdmin {
	t.Helper()
	adm, err := sarama.NewClusterAdmin(seeds(), config)
	kit.OK(t, err)
	t.Cleanup(func() { _ = adm.Close() })
	return adm
}

// topic makes a fresh topic and waits until each partition serves: Apache Kafka answers CreateTopics before that.
func topic(t *testing.T, config *sarama.Config, prefix string, partitions int32) string {
	t.Helper()
	name := kit.Unique(prefix)
	kit.OK(t, admin(t, config).CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	awaitServed(t, config, name, partitions)
	return name
}

func awaitServed(t *testing.T, config *sarama.Config, name string, partitions int32) {
	t.Helper()
	cl, err := sarama.NewClient(seeds(), config)
	kit.OK(t, err)
	defer cl.Close()
	kit.Await(t, name+" to be served", 20*time.Second, func() bool {
		if cl.RefreshMetadata(name) != nil {
			return false
		}
		for p := int32(0); p < partitions; p++ {
			if _, err := cl.GetOffset(name, p, sarama.OffsetNewest); err != nil {
				return false
			}
		}
		return true
	})
}

func fill(t *testing.T, config *sarama.Config, topic string, partition int32, from, to int) {
	t.Helper()
	own := *config
	own.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(seeds(), &own)
	kit.OK(t, err)
	defer producer.Close()
	for i := from; i < to; i++ {
		_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.StringEncoder(fmt.Sprint(i))})
		kit.OK(t, err)
		equal(t, "offset", offset, int64(i))
	}
}

// read takes count messages of a partition from an offset on.
func read(t *testing.T, config *sarama.Config, topic string, partition int32, from int64, count int) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumer(seeds(), config)
	kit.OK(t, err)
	defer consumer.Close()
	part, err := consumer.ConsumePartition(topic, partition, from)
	kit.OK(t, err)
	defer part.Close()
	var messages []*sarama.ConsumerMessage
	for deadline := time.After(20 * time.Second); len(messages) < count; {
		select {
		case message := <-part.Messages():
			messages = append(messages, message)
		case err := <-part.Errors():
			t.Fatal(err)
		case <-deadline:
			t.Fatalf("%d of %d messages came", len(messages), count)
		}
	}
	return messages
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func expectErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("expected %v, got %v", want, got)
	}
}

func TestAsyncProducerWithEachCodec(t *testing.T) {
	everyRelease(t, func(t *testing.T, config *sarama.Config) {
		for _, codec := range []sarama.CompressionCodec{
			sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
			top := topic(t, config, "codec-"+codec.String(), 2)
			own := *config
			own.Producer.Compression = codec
			own.Producer.Flush.Frequency = 10 * time.Millisecond
			producer, err := sarama.NewAsyncProducer(seeds(), &own)
			kit.OK(t, err)
			value := func(i int) []byte { return []byte(fmt.Sprint(i, strings.Repeat(" and so on", i%50))) }
			go func() {
				for i := 0; i < 400; i++ {
					producer.Input() <- &sarama.ProducerMessage{
						Topic: top, Key: sarama.StringEncoder(fmt.Sprint("key", i%9)), Value: sarama.ByteEncoder(value(i)), Metadata: i,
						Headers: []sarama.RecordHeader{{Key: []byte("i"), Value: []byte(fmt.Sprint(i))}},
					}
				}
			}()
			places := map[string]int{}
			perPartition := map[int32]int{}
			for i := 0; i < 400; i++ {
				select {
				case m := <-producer.Successes():
					places[fmt.Sprint(m.Partition, "/", m.Offset)] = m.Metadata.(int)
					perPartition[m.Partition]++
				case err := <-producer.Errors():
					t.Fatal(codec, err)
				case <-time.After(20 * time.Second):
					t.Fatal(codec, "no answer for", 400-i, "messages")
				}
			}
			kit.OK(t, producer.Close())
			equal(t, "places", len(places), 400)
			for partition, count := range perPartition {
				for n, m := range read(t, config, top, partition, sarama.OffsetOldest, count) {
					equal(t, "offset", m.Offset, int64(n))
					i := places[fmt.Sprint(partition, "/", m.Offset)]
					if !bytes.Equal(m.Value, value(i)) || string(m.Key) != fmt.Sprint("key", i%9) || string(m.Headers[0].Value) != fmt.Sprint(i) {
						t.Fatalf("%v: message %d came back as %q", codec, i, m.Value)
					}
				}
			}
		}
	})
}

func TestIdempotentProducerKeepsOrder(t *testing.T) {
	everyRelease(t, func(t *testing.T, config *sarama.Config) {
		top := topic(t, config, "idempotent", 1)
		own := *config
		own.Producer.Idempotent = true
		own.Net.MaxOpenRequests = 1
		own.Producer.Flush.MaxMessages = 10
		producer, err := sarama.NewAsyncProducer(seeds(), &own)
		kit.OK(t, err)
		const total = 2000
		go func() {
			for i := 0; i < total; i++ {
				producer.Input() <- &sarama.ProducerMessage{Topic: top, Value: sarama.StringEncoder(fmt.Sprint(i))}
			}
		}()
		for i := 0; i < total; i++ {
			select {
			case <-producer.Successes():
			case err := <-producer.Errors():
				t.Fatal(err)
			case <-time.After(20 * time.Second):
				t.Fatal("no answer")
			}
		}
		kit.OK(t, producer.Close())
		for i, m := range read(t, config, top, 0, sarama.OffsetOldest, total) {
			equal(t, "value", string(m.Value), fmt.Sprint(i))
			equal(t, "offset", m.Offset, int64(i))
		}
	})
}

func TestOffsetsSeekAndLargeMessages(t *testing.T) {
	everyRelease(t, func(t *testing.T, config *sarama.Config) {
		top := topic(t, config, "offsets", 1)
		fill(t, config, top, 0, 0, 50)
		equal(t, "from 33", string(read(t, config, top, 0, 33, 17)[0].Value), "33")
		cl, err := sarama.NewClient(seeds(), config)
		kit.OK(t, err)
		defer cl.Close()
		newest, err := cl.GetOffset(top, 0, sarama.OffsetNewest)
		kit.OK(t, err)
		equal(t, "newest", newest, 50)
		at, err := cl.GetOffset(top, 0, read(t, config, top, 0, 20, 1)[0].Timestamp.UnixMilli())
		kit.OK(t, err)
		if at > 20 || at < 0 {
			t.Fatalf("the offset at the time of message 20 is %d", at)
		}
		consumer, err := sarama.NewConsumerFromClient(cl)
		kit.OK(t, err)
		_, err = consumer.ConsumePartition(top, 0, 1000)
		expectErr(t, err, sarama.ErrOffsetOutOfRange)

		own := *config
		own.Producer.MaxMessageBytes = 5_000_000
		producer, err := sarama.NewSyncProducer(seeds(), &own)
		kit.OK(t, err)
		defer producer.Close()
		big := bytes.Repeat([]byte("x"), 900_000)
		_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: top, Value: sarama.ByteEncoder(big)})
		kit.OK(t, err)
		_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: top, Value: sarama.ByteEncoder(make([]byte, 2_000_000))})
		expectErr(t, err, sarama.ErrMessageSizeTooLarge)
		if m := read(t, config, top, 0, offset, 1)[0]; !bytes.Equal(m.Value, big) {
			t.Fatal("the large message came back changed")
		}
	})
}

// handler marks each message once it has been handled, and counts.
type handler struct {
	mu      *sync.Mutex
	handled *[]string
	claims  map[int32]bool
	setups  int
}

func (h *handler) Setup(s sarama.ConsumerGroupSession) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setups++
	h.claims = map[int32]bool{}
	for _, partitions := range s.Claims() {
		for _, p := range partitions {
			h.claims[p] = true
		}
	}
	return nil
}

func (h *handler) Cleanup(sarama.ConsumerGroupSession) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claims = map[int32]bool{}
	return nil
}

func (h *handler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			h.mu.Lock()
			*h.handled = append(*h.handled, string(m.Value))
			h.mu.Unlock()
			s.MarkMessage(m, "marked by sarama")
		case <-s.Context().Done():
			return nil
		}
	}
}

type worker struct {
	handler *handler
	leave   func()
}

func work(t *testing.T, config *sarama.Config, group, top string, mu *sync.Mutex, handled *[]string) *worker {
	t.Helper()
	own := *config
	own.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	own.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	consumers, err := sarama.NewConsumerGroup(seeds(), group, &own)
	kit.OK(t, err)
	h := &handler{mu: mu, handled: handled, claims: map[int32]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := consumers.Consume(ctx, []string{top}, h); err != nil && ctx.Err() == nil {
				t.Error("consume:", err)
				return
			}
		}
	}()
	go func() {
		for err := range consumers.Errors() {
			t.Error("group:", err)
		}
	}()
	var once sync.Once
	w := &worker{handler: h, leave: func() {
		once.Do(func() {
			cancel()
			<-done
			_ = consumers.Close()
		})
	}}
	t.Cleanup(w.leave)
	return w
}

func awaitShares(t *testing.T, mu *sync.Mutex, workers []*worker, want ...int) {
	t.Helper()
	kit.Await(t, fmt.Sprint("shares ", want), 25*time.Second, func() bool {
		mu.Lock()
		defer mu.Unlock()
		union, sizes, total := map[int32]bool{}, []int{}, 0
		for i, w := range workers {
			sizes = append(sizes, len(w.handler.claims))
			for p := range w.handler.claims {
				union[p] = true
			}
			total += want[i]
		}
		sort.Ints(sizes)
		return fmt.Sprint(sizes) == fmt.Sprint(want) && len(union) == total
	})
}

func TestGroupsGrowAndShrinkAndCommit(t *testing.T) {
	everyRelease(t, func(t *testing.T, config *sarama.Config) {
		top, group := topic(t, config, "group", 4), kit.Unique("group")
		var mu sync.Mutex
		var handled []string
		count := func() int { mu.Lock(); defer mu.Unlock(); return len(handled) }
		first := work(t, config, group, top, &mu, &handled)
		awaitShares(t, &mu, []*worker{first}, 4)
		for p := int32(0); p < 4; p++ {
			fill(t, config, top, p, 0, 25)
		}
		kit.Await(t, "100 messages", 20*time.Second, func() bool { return count() == 100 })
		second := work(t, config, group, top, &mu, &handled)
		awaitShares(t, &mu, []*worker{first, second}, 2, 2)
		for p := int32(0); p < 4; p++ {
			fill(t, config, top, p, 25, 50)
		}
		kit.Await(t, "200 messages", 20*time.Second, func() bool { return count() == 200 })
		first.leave()
		awaitShares(t, &mu, []*worker{second}, 4)
		second.leave()
		for p := int32(0); p < 4; p++ {
			fill(t, config, top, p, 50, 51)
		}
		third := work(t, config, group, top, &mu, &handled)
		kit.Await(t, "204 messages", 20*time.Second, func() bool { return count() >= 204 })
		third.leave()
		equal(t, "messages handled: one came twice", count(), 204)

		answer, err := admin(t, config).ListConsumerGroupOffsets(group, map[string][]int32{top: {0, 1, 2, 3}})
		kit.OK(t, err)
		for p := int32(0); p < 4; p++ {
			block := answer.GetBlock(top, p)
			equal(t, "committed", fmt.Sprint(block.Offset, block.Metadata), "51marked by sarama")
		}
	})
}

func TestClusterAdmin(t *testing.T) {
	everyRelease(t, func(t *testing.T, config *sarama.Config) {
		adm := admin(t, config)
		top := topic(t, config, "admin", 2)
		fill(t, config, top, 0, 0, 20)
		brokers, controller, err := adm.DescribeCluster()
		kit.OK(t, err)
		equal(t, "brokers", len(brokers), 1)
		equal(t, "controller", controller, brokers[0].ID())
		expectErr(t, adm.CreateTopic(top, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false), sarama.ErrTopicAlreadyExists)
		expectErr(t, adm.CreateTopic(kit.Unique("bad"), &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 3}, false), sarama.ErrInvalidReplicationFactor)
		validated := kit.Unique("validated")
		kit.OK(t, adm.CreateTopic(validated, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, true))
		topics, err := adm.ListTopics()
		kit.OK(t, err)
		equal(t, "partitions listed", topics[top].NumPartitions, 2)
		if _, ok := topics[validated]; ok {
			t.Fatal("validate-only made a topic")
		}
		kit.OK(t, adm.CreatePartitions(top, 3, nil, false))
		awaitServed(t, config, top, 3)
		described, err := adm.DescribeTopics([]string{top})
		kit.OK(t, err)
		equal(t, "partitions", len(described[0].Partitions), 3)

		value := "7000000"
		kit.OK(t, adm.AlterConfig(sarama.TopicResource, top, map[string]*string{"retention.ms": &value}, false))
		kit.Await(t, "the altered config", 10*time.Second, func() bool {
			entries, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: top, ConfigNames: []string{"retention.ms"}})
			return err == nil && len(entries) == 1 && entries[0].Value == value && entries[0].Source == sarama.SourceTopic
		})
		bad := "x"
		if err := adm.AlterConfig(sarama.TopicResource, top, map[string]*string{"retention.ms": &bad}, false); err == nil {
			t.Fatal("retention.ms was set to x")
		}

		kit.OK(t, adm.DeleteRecords(top, map[int32]int64{0: 12}))
		equal(t, "first offset left", read(t, config, top, 0, sarama.OffsetOldest, 1)[0].Offset, 12)
		dirs, err := adm.DescribeLogDirs([]int32{brokers[0].ID()})
		kit.OK(t, err)
		found := false
		for _, dir := range dirs[brokers[0].ID()] {
			for _, logs := range dir.Topics {
				found = found || logs.Topic == top
			}
		}
		equal(t, "the topic is in a log directory", found, true)

		group := kit.Unique("admin")
		var mu sync.Mutex
		var handled []string
		w := work(t, config, group, top, &mu, &handled)
		awaitShares(t, &mu, []*worker{w}, 3)
		groups, err := adm.ListConsumerGroups()
		kit.OK(t, err)
		equal(t, "protocol type listed", groups[group], "consumer")
		descriptions, err := adm.DescribeConsumerGroups([]string{group})
		kit.OK(t, err)
		equal(t, "state", descriptions[0].State, "Stable")
		equal(t, "members", len(descriptions[0].Members), 1)
		for _, m := range descriptions[0].Members {
			assignment, err := m.GetMemberAssignment()
			kit.OK(t, err)
			equal(t, "assigned", len(assignment.Topics[top]), 3)
		}
		expectErr(t, adm.DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup)
		w.leave()
		kit.OK(t, adm.DeleteConsumerGroup(group))
		expectErr(t, adm.DeleteConsumerGroup(group), sarama.ErrGroupIDNotFound)

		kit.OK(t, adm.DeleteTopic(top))
		kit.Await(t, "the deletion", 10*time.Second, func() bool {
			topics, err := adm.ListTopics()
			_, there := topics[top]
			return err == nil && !there
		})
		expectErr(t, adm.DeleteTopic(top), sarama.ErrUnknownTopicOrPartition)
	})
}

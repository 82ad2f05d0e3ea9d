// The Kafka module of testcontainers-go, unmodified, with Ottla's image in the place of confluentinc/confluent-local. What franz-go and sarama
// reach is the address that the module gives, which is all that they are told.
package testcontainers_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/kafka"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const clusterID = "kraftCluster"

func start(t *testing.T, options ...testcontainers.ContainerCustomizer) (*kafka.KafkaContainer, []string) {
	t.Helper()
	started, err := kafka.Run(t.Context(), "ottla:8.0.0", options...)
	testcontainers.CleanupContainer(t, started, testcontainers.StopTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	brokers, err := started.Brokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return started, brokers
}

func client(t *testing.T, brokers []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	made, err := kgo.NewClient(append(options, kgo.SeedBrokers(brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	return made
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	bounded, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return bounded
}

func produce(t *testing.T, brokers []string, topic string, from, to int) {
	t.Helper()
	producer := client(t, brokers, kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation())
	for number := from; number < to; number++ {
		record := kgo.StringRecord(fmt.Sprintf("record %d", number))
		if err := producer.ProduceSync(within(t, 20*time.Second), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// Reads in a group, and commits.
func consume(t *testing.T, brokers []string, topic string, count int) map[string]int {
	t.Helper()
	consumer := client(t, brokers, kgo.ConsumeTopics(topic), kgo.ConsumerGroup("readers of "+topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	values := map[string]int{}
	bounded := within(t, 20*time.Second)
	for len(values) < count {
		fetches := consumer.PollFetches(bounded)
		if errs := fetches.Errors(); len(errs) > 0 {
			t.Fatalf("after %d of %d records: %v", len(values), count, errs)
		}
		fetches.EachRecord(func(record *kgo.Record) { values[string(record.Value)]++ })
	}
	if err := consumer.CommitUncommittedOffsets(bounded); err != nil {
		t.Fatal(err)
	}
	return values
}

func exchange(t *testing.T, brokers []string, topic string) {
	t.Helper()
	admin := kadm.NewClient(client(t, brokers))
	created, err := admin.CreateTopic(within(t, 20*time.Second), 3, 1, nil, topic)
	if err != nil || created.Err != nil {
		t.Fatal(err, created.Err)
	}
	produce(t, brokers, topic, 0, 30)
	values := consume(t, brokers, topic, 30)
	for number := range 30 {
		if value := fmt.Sprintf("record %d", number); values[value] != 1 {
			t.Fatalf("%q came %d times", value, values[value])
		}
	}
}

func TestRun(t *testing.T) {
	started, brokers := start(t, kafka.WithClusterID(clusterID))
	exchange(t, brokers, "run")
	metadata, err := kadm.NewClient(client(t, brokers)).Metadata(within(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	// The module's script formats the folder with an id of its own, so this is what its users see with Kafka, too.
	if started.ClusterID != clusterID || metadata.Cluster == "" {
		t.Fatalf("the cluster is %q, and %q for the module", metadata.Cluster, started.ClusterID)
	}
	told := net.JoinHostPort(metadata.Brokers[0].Host, fmt.Sprint(metadata.Brokers[0].Port))
	if len(metadata.Brokers) != 1 || told != brokers[0] {
		t.Fatalf("%s is told, the module gives %s", told, brokers[0])
	}
}

func TestSarama(t *testing.T) {
	ctx := t.Context()
	started, err := kafka.Run(ctx, "ottla:8.0.0")
	testcontainers.CleanupContainer(t, started, testcontainers.StopTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	brokers, err := started.Brokers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	producer, err := sarama.NewSyncProducer(brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	message := &sarama.ProducerMessage{Topic: "sarama", Value: sarama.StringEncoder("record 0")}
	if _, _, err := producer.SendMessage(message); err != nil {
		t.Fatal(err)
	}
	if values := consume(t, brokers, "sarama", 1); values["record 0"] != 1 {
		t.Fatal(values)
	}
}

// A second container reaches the first by its alias, at the listener for brokers, with Kafka's tools.
func TestANeighbourInTheNetwork(t *testing.T) {
	made, err := network.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	testcontainers.CleanupNetwork(t, made)
	first, brokers := start(t, network.WithNetwork([]string{"kafka"}, made),
		testcontainers.WithConfigModifier(func(config *container.Config) { config.Hostname = "kafka" }))
	exchange(t, brokers, "inside")
	second, _ := start(t, network.WithNetwork([]string{"neighbour"}, made))
	for from, address := range map[testcontainers.Container]string{first.Container: "localhost:9092", second.Container: "kafka:9092"} {
		code, output, err := from.Exec(t.Context(), []string{"kafka-topics", "--bootstrap-server", address, "--describe", "--topic", "inside"})
		if err != nil || code != 0 {
			said := make([]byte, 4096)
			read, _ := output.Read(said)
			t.Fatal(address, code, err, string(said[:read]))
		}
	}
}

// With a port that stays, because Docker gives a container that is started again another one.
func TestStopAndStartKeepRecords(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	taken.Close()
	started, brokers := start(t, testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
		host.PortBindings = nat.PortMap{"9093/tcp": []nat.PortBinding{{HostPort: port}}}
	}))
	produce(t, brokers, "kept", 0, 10)
	// The module has a shell run the broker, which does not hand signals on: this is a kill.
	limit := time.Second
	if err := started.Stop(t.Context(), &limit); err != nil {
		t.Fatal(err)
	}
	if err := started.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	produce(t, brokers, "kept", 10, 20)
	if values := consume(t, brokers, "kept", 20); len(values) != 20 {
		t.Fatal(values)
	}
}

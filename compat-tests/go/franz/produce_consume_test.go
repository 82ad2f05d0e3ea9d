package franz

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/compat-tests/go/kit"
)

func TestWhatIsProducedWithEachCodecIsWhatIsConsumed(t *testing.T) {
	t.Parallel()
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		top := topic(t, "codec-"+name, 3, nil)
		cl := client(t, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(10*time.Millisecond),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{top: {
				0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart(), 2: kgo.NewOffset().AtStart()}}))
		firstMs := time.Now().UnixMilli() - 10_000
		value := func(i int) []byte { return []byte(fmt.Sprint(i, strings.Repeat(" and so on", i%50))) }
		var mu sync.Mutex
		told := map[string]int64{}
		for i := 0; i < 600; i++ {
			cl.Produce(within(t, 20*time.Second), &kgo.Record{
				Topic: top, Key: []byte(fmt.Sprint("key", i%7)), Value: value(i), Timestamp: time.UnixMilli(firstMs + int64(i)),
				Headers: []kgo.RecordHeader{{Key: "i", Value: []byte(fmt.Sprint(i))}, {Key: "nil"}},
			}, func(r *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				told[fmt.Sprint(r.Partition, "/", r.Offset)] = r.Timestamp.UnixMilli()
			})
		}
		kit.OK(t, cl.Flush(within(t, 20*time.Second)))
		equal(t, name+": places told", len(told), 600)
		next := map[int32]int64{}
		seen := map[int64]bool{}
		for _, r := range read(t, cl, 600) {
			equal(t, "offset", r.Offset, next[r.Partition])
			next[r.Partition]++
			i := r.Timestamp.UnixMilli() - firstMs
			equal(t, "timestamp", told[fmt.Sprint(r.Partition, "/", r.Offset)], r.Timestamp.UnixMilli())
			if seen[i] || !bytes.Equal(r.Value, value(int(i))) || string(r.Key) != fmt.Sprint("key", i%7) {
				t.Fatalf("%s: record %d is not what was sent, or came twice: %q", name, i, r.Value)
			}
			seen[i] = true
			equal(t, "headers", len(r.Headers), 2)
			equal(t, "header", string(r.Headers[0].Value), fmt.Sprint(i))
			if r.Headers[1].Value != nil {
				t.Fatal("a null header came back as bytes")
			}
			equal(t, "leader epoch", r.LeaderEpoch, 0)
		}
	}
}

func TestIdempotentProducersKeepOrderUnderManySmallBatches(t *testing.T) {
	t.Parallel()
	top := topic(t, "idempotent", 2, nil)
	const each = 4000
	var producers sync.WaitGroup
	for p := 0; p < 3; p++ {
		cl := client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(600), kgo.ProducerLinger(0))
		producers.Add(1)
		go func() {
			defer producers.Done()
			for i := 0; i < each; i++ {
				cl.Produce(within(t, 30*time.Second), &kgo.Record{
					Topic: top, Partition: int32(i % 2), Key: []byte(fmt.Sprint(p)), Value: []byte(fmt.Sprint(i))},
					func(_ *kgo.Record, err error) {
						if err != nil {
							t.Error(err)
						}
					})
			}
			if err := cl.Flush(within(t, 30*time.Second)); err != nil {
				t.Error(err)
			}
		}()
	}
	producers.Wait()
	cl := client(t, kgo.ConsumeTopics(top), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	last := map[string]int{}
	for _, r := range read(t, cl, 3*each) {
		from := fmt.Sprint(string(r.Key), "/", r.Partition)
		var value int
		_, err := fmt.Sscan(string(r.Value), &value)
		kit.OK(t, err)
		if before, ok := last[from]; ok {
			equal(t, "next from "+from, value, before+2)
		} else {
			equal(t, "first from "+from, value, int(r.Partition))
		}
		last[from] = value
	}
	readNothing(t, cl, 500*time.Millisecond)
}

func TestSeekAndReplay(t *testing.T) {
	t.Parallel()
	top := topic(t, "seek", 1, nil)
	producer := client(t)
	firstMs := time.Now().UnixMilli() - 100_000
	var records []*kgo.Record
	for i := 0; i < 300; i++ {
		records = append(records, &kgo.Record{Topic: top, Value: []byte(fmt.Sprint(i)), Timestamp: time.UnixMilli(firstMs + int64(10*i))})
	}
	kit.OK(t, producer.ProduceSync(within(t, 20*time.Second), records...).FirstErr())
	from := func(offset kgo.Offset, want, count int) {
		t.Helper()
		cl := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{top: {0: offset}}))
		defer cl.Close()
		for _, r := range read(t, cl, count) {
			equal(t, "value", string(r.Value), fmt.Sprint(want))
			equal(t, "offset", r.Offset, int64(want))
			want++
		}
	}
	from(kgo.NewOffset().AtStart(), 0, 300)
	from(kgo.NewOffset().At(123), 123, 177)
	from(kgo.NewOffset().AtEnd().Relative(-10), 290, 10)
	from(kgo.NewOffset().AfterMilli(firstMs+995), 100, 200)
	from(kgo.NewOffset().At(150).WithEpoch(0), 150, 150)

	cl := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{top: {0: kgo.NewOffset().AtEnd()}}))
	readNothing(t, cl, 500*time.Millisecond)
	cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{top: {0: {Epoch: -1, Offset: 42}}})
	equal(t, "after a seek", read(t, cl, 1)[0].Offset, 42)
	cl.PauseFetchTopics(top)
	readNothing(t, cl, 300*time.Millisecond)
	cl.ResumeFetchTopics(top)
	cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{top: {0: {Epoch: -1, Offset: 299}}})
	equal(t, "after a second seek", read(t, cl, 1)[0].Offset, 299)
}

func TestAnOffsetOutOfRangeIsTold(t *testing.T) {
	t.Parallel()
	top := topic(t, "range", 1, nil)
	fill(t, top, 0, 0, 10)
	cl := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{top: {0: kgo.NewOffset().At(500)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	expectErr(t, cl.PollFetches(within(t, 10*time.Second)).Err(), kerr.OffsetOutOfRange)
	reset := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{top: {0: kgo.NewOffset().At(500)}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	equal(t, "first after the reset", read(t, reset, 10)[0].Offset, 0)
}

func TestRecordsOfEverySizeUpToTheLimit(t *testing.T) {
	t.Parallel()
	limit := "3000000"
	top := topic(t, "sizes", 1, map[string]*string{"max.message.bytes": &limit})
	cl := client(t, kgo.ProducerBatchMaxBytes(10_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ConsumeTopics(top), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(2000), kgo.FetchMaxBytes(2000))
	sizes := []int{0, 1, 1000, 999_999, 2_900_000}
	for _, size := range sizes {
		kit.OK(t, cl.ProduceSync(within(t, 20*time.Second), &kgo.Record{Topic: top, Value: bytes.Repeat([]byte{byte(size)}, size)}).FirstErr())
	}
	err := cl.ProduceSync(within(t, 20*time.Second), &kgo.Record{Topic: top, Value: make([]byte, 3_100_000)}).FirstErr()
	expectErr(t, err, kerr.MessageTooLarge)
	for i, r := range read(t, cl, len(sizes)) {
		if !bytes.Equal(r.Value, bytes.Repeat([]byte{byte(sizes[i])}, sizes[i])) {
			t.Fatalf("the record of %d bytes came back as %d other bytes", sizes[i], len(r.Value))
		}
	}
}

func TestAFetchWaitsForNewRecordsAndIsWoken(t *testing.T) {
	t.Parallel()
	top := topic(t, "wait", 8, nil)
	cl := client(t, kgo.ConsumeTopics(top), kgo.FetchMinBytes(1), kgo.FetchMaxWait(10*time.Second))
	readNothing(t, cl, time.Second)
	for i := 0; i < 5; i++ {
		start := time.Now()
		fill(t, top, int32(i), i, i+1)
		record := read(t, cl, 1)[0]
		equal(t, "partition", record.Partition, int32(i))
		if took := time.Since(start); took > 4*time.Second {
			t.Fatalf("a waiting fetch was woken only after %v", took)
		}
	}
}

func TestUnknownTopicsAreToldAndNotMade(t *testing.T) {
	t.Parallel()
	missing := kit.Unique("missing")
	cl := client(t, kgo.UnknownTopicRetries(2))
	expectErr(t, cl.ProduceSync(within(t, 20*time.Second), &kgo.Record{Topic: missing, Value: []byte("v")}).FirstErr(), kerr.UnknownTopicOrPartition)
	listed, err := admin(t).ListTopics(within(t, 10*time.Second))
	kit.OK(t, err)
	if listed.Has(missing) {
		t.Fatal("a client that asked for no auto-creation got a topic")
	}
	making := client(t, kgo.AllowAutoTopicCreation())
	kit.OK(t, making.ProduceSync(within(t, 20*time.Second), &kgo.Record{Topic: missing, Value: []byte("v")}).FirstErr())
}

func TestFollowsATopicThatIsDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	adm := admin(t)
	top := topic(t, "again", 1, nil)
	fill(t, top, 0, 0, 20)
	_, err := adm.DeleteTopic(within(t, 10*time.Second), top)
	kit.OK(t, err)
	kit.Await(t, "the deletion", 10*time.Second, func() bool {
		listed, err := adm.ListTopics(within(t, 5*time.Second))
		return err == nil && !listed.Has(top)
	})
	_, err = adm.CreateTopic(within(t, 10*time.Second), 1, 1, nil, top)
	kit.OK(t, err)
	awaitServed(t, adm, top, 1)
	fill(t, top, 0, 100, 103)
	cl := client(t, kgo.ConsumeTopics(top), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	records := read(t, cl, 3)
	equal(t, "first value", string(records[0].Value), "100")
	equal(t, "first offset", records[0].Offset, 0)
	readNothing(t, cl, 300*time.Millisecond)
}

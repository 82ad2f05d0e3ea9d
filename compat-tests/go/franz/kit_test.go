package franz

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/compat-tests/go/kit"
)

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// client is closed with the test, unless the test closes it before.
func client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(kit.Bootstrap())}, opts...)...)
	kit.OK(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func admin(t *testing.T) *kadm.Client {
	return kadm.NewClient(client(t))
}

// topic makes a fresh topic and waits until each partition serves: Apache Kafka answers CreateTopics before that.
func topic(t *testing.T, prefix string, partitions int32, configs map[string]*string) string {
	t.Helper()
	name := kit.Unique(prefix)
	adm := admin(t)
	_, err := adm.CreateTopic(within(t, 10*time.Second), partitions, 1, configs, name)
	kit.OK(t, err)
	awaitServed(t, adm, name, int(partitions))
	return name
}

func awaitServed(t *testing.T, adm *kadm.Client, name string, partitions int) {
	t.Helper()
	kit.Await(t, name+" to be served", 20*time.Second, func() bool {
		ends, err := adm.ListEndOffsets(within(t, 10*time.Second), name)
		return err == nil && ends.Error() == nil && len(ends[name]) == partitions
	})
}

// fill sends values "from".."to-1" to one partition.
func fill(t *testing.T, topic string, partition int32, from, to int) {
	t.Helper()
	cl := client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(fmt.Sprint(i))})
	}
	kit.OK(t, cl.ProduceSync(within(t, 20*time.Second), records...).FirstErr())
}

// read polls until there are count records.
func read(t *testing.T, cl *kgo.Client, count int) []*kgo.Record {
	t.Helper()
	ctx := within(t, 20*time.Second)
	var records []*kgo.Record
	for len(records) < count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records came, then: %v", len(records), count, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// readNothing fails when a record comes within the limit.
func readNothing(t *testing.T, cl *kgo.Client, limit time.Duration) {
	t.Helper()
	fetches := cl.PollFetches(within(t, limit))
	if err := fetches.Err(); !errors.Is(err, context.DeadlineExceeded) || fetches.NumRecords() > 0 {
		t.Fatalf("expected nothing, got %d records, error %v", fetches.NumRecords(), err)
	}
}

func expectErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("expected %v, got %v", want, got)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

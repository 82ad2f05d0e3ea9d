package franz

import (
	"context"
	"fmt"
	"net"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/compat-tests/go/kit"
)

// member is one consumer of a group on a goroutine of its own; it commits what it has handled before it polls again.
type member struct {
	cl      *kgo.Client
	cancel  context.CancelFunc
	done    chan struct{}
	mu      sync.Mutex
	share   map[int32]bool
	taken   int
	lost    int
	handled []string
	failure error
}

func join(t *testing.T, group, top string, opts ...kgo.Opt) *member {
	t.Helper()
	m := &member{share: map[int32]bool{}, done: make(chan struct{})}
	change := func(what *int, give bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, p := range changed[top] {
				if *what++; give {
					m.share[p] = true
				} else {
					delete(m.share, p)
				}
			}
		}
	}
	var given int
	m.cl = client(t, append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(top), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(300 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(&given, true)), kgo.OnPartitionsRevoked(change(&m.taken, false)), kgo.OnPartitionsLost(change(&m.lost, false)),
	}, opts...)...)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go m.run(ctx)
	t.Cleanup(m.leave)
	return m
}

func (m *member) run(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		// No more than 40 at a time and a bounded wait: the rebalance waits for this loop to come round.
		poll, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := m.cl.PollRecords(poll, 40)
		stop()
		if records := fetches.Records(); len(records) > 0 {
			err := m.cl.CommitRecords(context.Background(), records...)
			m.mu.Lock()
			for _, r := range records {
				m.handled = append(m.handled, string(r.Value))
			}
			if err != nil && m.failure == nil {
				m.failure = err
			}
			m.mu.Unlock()
		}
		m.cl.AllowRebalance()
	}
}

// leave stops the loop and closes the client, which leaves the group unless the member is static.
func (m *member) leave() {
	m.cancel()
	<-m.done
	m.cl.CloseAllowingRebalance()
}

func (m *member) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.share)
}

func awaitShares(t *testing.T, members []*member, want ...int) {
	t.Helper()
	kit.Await(t, fmt.Sprint("shares ", want), 25*time.Second, func() bool {
		total := 0
		for _, w := range want {
			total += w
		}
		union := map[int32]bool{}
		var sizes []int
		for _, m := range members {
			m.mu.Lock()
			sizes = append(sizes, len(m.share))
			for p := range m.share {
				union[p] = true
			}
			m.mu.Unlock()
		}
		sort.Ints(sizes)
		return fmt.Sprint(sizes) == fmt.Sprint(want) && len(union) == total
	})
}

func TestGroupsGrowAndShrinkWithEveryBalancer(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{
		"cooperative": kgo.CooperativeStickyBalancer(), "sticky": kgo.StickyBalancer(), "range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top, group := topic(t, "grow-"+name, 6, nil), kit.Unique("grow-"+name)
			first := join(t, group, top, kgo.Balancers(balancer))
			awaitShares(t, []*member{first}, 6)
			second := join(t, group, top, kgo.Balancers(balancer))
			awaitShares(t, []*member{first, second}, 3, 3)
			third := join(t, group, top, kgo.Balancers(balancer))
			awaitShares(t, []*member{first, second, third}, 2, 2, 2)
			if name == "cooperative" {
				equal(t, "partitions taken from the first member, one by one", first.taken, 4)
			}
			first.leave()
			awaitShares(t, []*member{second, third}, 3, 3)
			second.leave()
			awaitShares(t, []*member{third}, 6)
			equal(t, "lost", third.lost, 0)
		})
	}
}

func TestNothingIsLostOrDoneTwiceWhileMembersComeAndGo(t *testing.T) {
	t.Parallel()
	const total = 6000
	top, group := topic(t, "work", 4, nil), kit.Unique("work")
	produced := make(chan error, 1)
	producer := client(t, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	go func() {
		var failed atomic.Value
		for i := 0; i < total; i++ {
			producer.Produce(context.Background(), &kgo.Record{Topic: top, Value: []byte(fmt.Sprint(i))}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(err)
				}
			})
			if i%20 == 0 {
				time.Sleep(15 * time.Millisecond)
			}
		}
		err := producer.Flush(context.Background())
		if first, ok := failed.Load().(error); ok {
			err = first
		}
		produced <- err
	}()
	var members []*member
	for i := 0; i < 3; i++ {
		members = append(members, join(t, group, top))
		time.Sleep(1200 * time.Millisecond)
	}
	members[0].leave()
	time.Sleep(time.Second)
	members[1].leave()
	kit.OK(t, <-produced)
	count := func() (all int) {
		for _, m := range members {
			m.mu.Lock()
			all += len(m.handled)
			m.mu.Unlock()
		}
		return all
	}
	kit.Await(t, "all records", 30*time.Second, func() bool { return count() >= total })
	members[2].leave()
	times := map[string]int{}
	for i, m := range members {
		if m.failure != nil {
			t.Fatalf("member %d: %v", i, m.failure)
		}
		for _, value := range m.handled {
			times[value]++
		}
	}
	equal(t, "different records", len(times), total)
	equal(t, "records handled", count(), total)
	lags, err := admin(t).Lag(within(t, 10*time.Second), group)
	kit.OK(t, err)
	lag := lags[group]
	kit.OK(t, lag.Error())
	equal(t, "lag", lag.Lag.Total(), 0)
	equal(t, "state", lag.State, "Empty")
}

func TestAMemberThatVanishesIsReplacedAfterItsSessionTimeout(t *testing.T) {
	t.Parallel()
	top, group := topic(t, "vanish", 4, nil), kit.Unique("vanish")
	var cut atomic.Bool
	var mu sync.Mutex
	var conns []net.Conn
	dial := func(ctx context.Context, network, host string) (net.Conn, error) {
		if cut.Load() {
			return nil, fmt.Errorf("cut off")
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
		if err == nil {
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
		}
		return conn, err
	}
	vanishing := join(t, group, top, kgo.Dialer(dial), kgo.SessionTimeout(6*time.Second), kgo.Balancers(kgo.RangeBalancer()))
	staying := join(t, group, top, kgo.Balancers(kgo.RangeBalancer()))
	awaitShares(t, []*member{vanishing, staying}, 2, 2)
	cut.Store(true)
	start := time.Now()
	mu.Lock()
	for _, conn := range conns {
		conn.Close()
	}
	mu.Unlock()
	kit.Await(t, "all partitions at the member that stays", 20*time.Second, func() bool { return staying.size() == 4 })
	if took := time.Since(start); took < 4*time.Second {
		t.Fatalf("a lost connection ended a session of 6 s after %v", took)
	}
}

func TestStaticMembersKeepTheirShareThroughARestart(t *testing.T) {
	t.Parallel()
	top, group := topic(t, "static", 4, nil), kit.Unique("static")
	opts := func(id string) []kgo.Opt {
		return []kgo.Opt{kgo.InstanceID(id), kgo.SessionTimeout(20 * time.Second), kgo.Balancers(kgo.RangeBalancer())}
	}
	stays, leaves := join(t, group, top, opts("a")...), join(t, group, top, opts("b")...)
	awaitShares(t, []*member{stays, leaves}, 2, 2)
	_, generation := stays.cl.GroupMetadata()
	share := fmt.Sprint(leaves.share)
	leaves.leave()
	back := join(t, group, top, opts("b")...)
	awaitShares(t, []*member{stays, back}, 2, 2)
	equal(t, "share", fmt.Sprint(back.share), share)
	_, after := stays.cl.GroupMetadata()
	equal(t, "generation", after, generation)
	equal(t, "taken from the other", stays.taken, 0)

	adm := admin(t)
	described, err := adm.DescribeGroups(within(t, 10*time.Second), group)
	kit.OK(t, err)
	equal(t, "members", len(described[group].Members), 2)
	for _, m := range described[group].Members {
		if m.InstanceID == nil {
			t.Fatalf("a static member without its instance id: %+v", m)
		}
	}
}

func TestAutomaticCommitsAreFoundAgain(t *testing.T) {
	t.Parallel()
	top, group := topic(t, "auto", 1, nil), kit.Unique("auto")
	fill(t, top, 0, 0, 30)
	opts := []kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(top), kgo.AutoCommitInterval(100 * time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	cl := client(t, opts...)
	equal(t, "first", string(read(t, cl, 30)[0].Value), "0")
	adm := admin(t)
	kit.Await(t, "a commit by the timer", 10*time.Second, func() bool {
		cl.PollFetches(within(t, 50*time.Millisecond))
		offsets, err := adm.FetchOffsets(within(t, 5*time.Second), group)
		at, ok := offsets.Lookup(top, 0)
		return err == nil && ok && at.At == 30
	})
	cl.Close()
	fill(t, top, 0, 30, 35)
	again := client(t, opts...)
	equal(t, "first of the next consumer", string(read(t, again, 5)[0].Value), "30")
}

func TestARegularExpressionFindsTopicsMadeLater(t *testing.T) {
	t.Parallel()
	prefix := kit.Unique("regex")
	first := topic(t, prefix+"-a", 1, nil)
	fill(t, first, 0, 0, 3)
	cl := client(t, kgo.ConsumeRegex(), kgo.ConsumeTopics("^"+prefix+".*"), kgo.ConsumerGroup(kit.Unique("regex")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	equal(t, "topic", read(t, cl, 3)[0].Topic, first)
	second := topic(t, prefix+"-b", 2, nil)
	fill(t, second, 1, 0, 2)
	equal(t, "topic", read(t, cl, 2)[0].Topic, second)
}

func TestMembersWithoutACommonBalancerAreNotMixed(t *testing.T) {
	t.Parallel()
	top, group := topic(t, "inconsistent", 2, nil), kit.Unique("inconsistent")
	first := join(t, group, top, kgo.Balancers(kgo.RangeBalancer()))
	awaitShares(t, []*member{first}, 2)
	other := client(t, kgo.ConsumerGroup(group), kgo.ConsumeTopics(top), kgo.Balancers(kgo.RoundRobinBalancer()))
	var failure error
	kit.Await(t, "a refusal", 20*time.Second, func() bool {
		failure = other.PollFetches(within(t, time.Second)).Err()
		return failure != nil && failure != context.DeadlineExceeded && failure.Error() != context.DeadlineExceeded.Error()
	})
	expectErr(t, failure, kerr.InconsistentGroupProtocol)
}

package franz

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/compat-tests/go/kit"
)

func TestTopicsThroughAdmin(t *testing.T) {
	t.Parallel()
	adm, ctx := admin(t), within(t, 50*time.Second)
	name := topic(t, "adm", 2, map[string]*string{"retention.ms": kmsg.StringPtr("3600000")})
	details, err := adm.ListTopics(ctx, name)
	kit.OK(t, err)
	equal(t, "partitions", len(details[name].Partitions), 2)
	if details[name].ID == (kadm.TopicID{}) {
		t.Fatal("a topic without id")
	}
	created, err := adm.CreateTopics(ctx, 1, 1, nil, name, "bad name", kit.Unique("fine"))
	kit.OK(t, err)
	expectErr(t, created[name].Err, kerr.TopicAlreadyExists)
	expectErr(t, created["bad name"].Err, kerr.InvalidTopicException)
	_, err = adm.CreateTopic(ctx, 1, 5, nil, kit.Unique("bad"))
	expectErr(t, err, kerr.InvalidReplicationFactor)
	_, err = adm.CreateTopic(ctx, 0, 1, nil, kit.Unique("bad"))
	expectErr(t, err, kerr.InvalidPartitions)
	_, err = adm.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": kmsg.StringPtr("x")}, kit.Unique("bad"))
	expectErr(t, err, kerr.InvalidConfig)

	grown, err := adm.CreatePartitions(ctx, 3, name)
	kit.OK(t, err)
	kit.OK(t, grown[name].Err)
	awaitServed(t, adm, name, 5)
	shrunk, err := adm.UpdatePartitions(ctx, 1, name)
	if err == nil {
		err = shrunk[name].Err
	}
	if err == nil {
		t.Fatal("a topic with 5 partitions was made one with 1")
	}
	deleted, err := adm.DeleteTopics(ctx, name, kit.Unique("missing"))
	kit.OK(t, err)
	equal(t, "answers", len(deleted), 2)
	kit.OK(t, deleted[name].Err)
	for topic, answer := range deleted {
		if topic != name {
			expectErr(t, answer.Err, kerr.UnknownTopicOrPartition)
		}
	}
}

func TestConfigsThroughAdmin(t *testing.T) {
	t.Parallel()
	adm, ctx := admin(t), within(t, 50*time.Second)
	name := topic(t, "conf", 1, nil)
	value := func(key string) (string, kmsg.ConfigSource) {
		configs, err := adm.DescribeTopicConfigs(ctx, name)
		kit.OK(t, err)
		for _, config := range configs[0].Configs {
			if config.Key == key {
				return config.MaybeValue(), config.Source
			}
		}
		t.Fatalf("%s is not among the topic's configs", key)
		return "", 0
	}
	alter := func(op kadm.IncrementalOp, key, val string) error {
		answers, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: &val}}, name)
		kit.OK(t, err)
		return answers[0].Err
	}
	got, source := value("retention.ms")
	equal(t, "default", got, "604800000")
	equal(t, "source", source, kmsg.ConfigSourceDefaultConfig)
	kit.OK(t, alter(kadm.SetConfig, "retention.ms", "7000"))
	kit.Await(t, "the new value", 10*time.Second, func() bool { got, _ := value("retention.ms"); return got == "7000" })
	_, source = value("retention.ms")
	equal(t, "source", source, kmsg.ConfigSourceDynamicTopicConfig)
	kit.OK(t, alter(kadm.AppendConfig, "cleanup.policy", "compact"))
	kit.Await(t, "the appended value", 10*time.Second, func() bool { got, _ := value("cleanup.policy"); return got == "delete,compact" })
	kit.OK(t, alter(kadm.DeleteConfig, "retention.ms", ""))
	kit.Await(t, "the default again", 10*time.Second, func() bool { got, _ := value("retention.ms"); return got == "604800000" })
	expectErr(t, alter(kadm.SetConfig, "retention.ms", "x"), kerr.InvalidConfig)
	expectErr(t, alter(kadm.SetConfig, "no.such.key", "x"), kerr.InvalidConfig)
	state, err := adm.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "segment.ms", Value: kmsg.StringPtr("7200000")}}, name)
	kit.OK(t, err)
	kit.OK(t, state[0].Err)
	kit.Await(t, "the old request to replace everything", 10*time.Second, func() bool {
		policy, _ := value("cleanup.policy")
		segment, _ := value("segment.ms")
		return policy == "delete" && segment == "7200000"
	})
	brokers, err := adm.DescribeBrokerConfigs(ctx)
	kit.OK(t, err)
	if len(brokers) == 0 {
		t.Fatal("no broker configs")
	}
}

func TestGroupsAndOffsetsThroughAdmin(t *testing.T) {
	t.Parallel()
	adm, ctx := admin(t), within(t, 50*time.Second)
	name, group := topic(t, "offs", 3, nil), kit.Unique("offs")
	for p := int32(0); p < 3; p++ {
		fill(t, name, p, 0, 10)
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: name, Partition: 0, At: 4, LeaderEpoch: 0, Metadata: "by hand"})
	offsets.Add(kadm.Offset{Topic: name, Partition: 1, At: 10, LeaderEpoch: -1})
	kit.OK(t, adm.CommitAllOffsets(ctx, group, offsets))
	fetched, err := adm.FetchOffsets(ctx, group)
	kit.OK(t, err)
	at, _ := fetched.Lookup(name, 0)
	equal(t, "committed", fmt.Sprint(at.At, " ", at.LeaderEpoch, " ", at.Metadata), "4 0 by hand")
	if _, ok := fetched.Lookup(name, 2); ok {
		t.Fatal("an offset that nobody committed")
	}
	listed, err := adm.ListGroups(ctx, "Empty")
	kit.OK(t, err)
	if _, ok := listed[group]; !ok {
		t.Fatal("the group is not listed as Empty")
	}
	m := join(t, group, name)
	awaitShares(t, []*member{m}, 3)
	kit.Await(t, "16 records", 20*time.Second, func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.handled) == 16 })
	described, err := adm.DescribeGroups(ctx, group)
	kit.OK(t, err)
	equal(t, "state", described[group].State, "Stable")
	equal(t, "protocol", described[group].Protocol, "cooperative-sticky")
	stable := described[group]
	equal(t, "assigned", len(stable.AssignedPartitions()[name]), 3)
	_, err = adm.DeleteGroup(ctx, group)
	expectErr(t, err, kerr.NonEmptyGroup)
	m.leave()
	answers, err := adm.DeleteOffsets(ctx, group, kadm.TopicsSet{name: {0: {}}})
	kit.OK(t, err)
	kit.OK(t, answers[name][0])
	_, err = adm.DeleteGroup(ctx, group)
	kit.OK(t, err)
	_, err = adm.DeleteGroup(ctx, group)
	expectErr(t, err, kerr.GroupIDNotFound)
	many := adm.FetchManyOffsets(ctx, group, kit.Unique("other"))
	equal(t, "answers", len(many), 2)
}

func TestLogsThroughAdmin(t *testing.T) {
	t.Parallel()
	adm, ctx := admin(t), within(t, 50*time.Second)
	name := topic(t, "logs", 1, nil)
	fill(t, name, 0, 0, 100)
	var until kadm.Offsets
	until.Add(kadm.Offset{Topic: name, Partition: 0, At: 60})
	deleted, err := adm.DeleteRecords(ctx, until)
	kit.OK(t, err)
	record, _ := deleted.Lookup(name, 0)
	kit.OK(t, record.Err)
	equal(t, "low watermark", record.LowWatermark, 60)
	starts, err := adm.ListStartOffsets(ctx, name)
	kit.OK(t, err)
	start, _ := starts.Lookup(name, 0)
	equal(t, "start", start.Offset, 60)
	equal(t, "first record", read(t, client(t, kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 1)[0].Offset, 60)
	dirs, err := adm.DescribeAllLogDirs(ctx, kadm.TopicsSet{name: {0: {}}})
	kit.OK(t, err)
	found := false
	dirs.Each(func(dir kadm.DescribedLogDir) {
		kit.OK(t, dir.Err)
		if partition, ok := dir.Topics.Lookup(name, 0); ok {
			found = partition.Size > 0
		}
	})
	if !found {
		t.Fatal("the partition is in no log directory, or takes no room")
	}
	producers, err := adm.DescribeProducers(ctx, kadm.TopicsSet{name: {0: {}}})
	kit.OK(t, err)
	state := producers.SortedProducers()
	equal(t, "producers", len(state), 1)
	equal(t, "last sequence", state[0].LastSequence, 99)

	var epochs kadm.OffsetForLeaderEpochRequest
	epochs.Add(name, 0, 0)
	ends, err := adm.OffsetForLeaderEpoch(ctx, epochs)
	kit.OK(t, err)
	equal(t, "end of epoch 0", ends[name][0].EndOffset, 100)
	elected, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{name: {0: {}}})
	kit.OK(t, err)
	expectErr(t, elected[name][0].Err, kerr.ElectionNotNeeded)
}

func TestTheClusterThroughAdmin(t *testing.T) {
	t.Parallel()
	adm, ctx := admin(t), within(t, 50*time.Second)
	meta, err := adm.BrokerMetadata(ctx)
	kit.OK(t, err)
	equal(t, "brokers", len(meta.Brokers), 1)
	equal(t, "controller", meta.Controller, meta.Brokers[0].NodeID)
	equal(t, "length of the cluster id", len(meta.Cluster), 22)
	versions, err := adm.ApiVersions(ctx)
	kit.OK(t, err)
	for _, broker := range versions {
		kit.OK(t, broker.Err)
		// Versions 0 to 2 are gone, but librdkafka up to 2.8 compresses nothing, and says nothing, unless 0 is told (KAFKA-18659).
		oldest, ok := broker.KeyMinVersion(kmsg.Produce.Int16())
		equal(t, "Produce is told", ok, true)
		equal(t, "oldest version of Produce that is told", oldest, 0)
	}
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	top := kmsg.NewDescribeQuorumRequestTopic()
	top.Topic = "__cluster_metadata"
	top.Partitions = append(top.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	quorum.Topics = append(quorum.Topics, top)
	answer, err := quorum.RequestWith(ctx, client(t))
	kit.OK(t, err)
	kit.OK(t, kerr.ErrorForCode(answer.ErrorCode))
	equal(t, "voters", len(answer.Topics[0].Partitions[0].CurrentVoters), 1)
	coordinators := adm.FindGroupCoordinators(ctx, "a", "b")
	equal(t, "coordinators", len(coordinators), 2)
	for _, c := range coordinators {
		kit.OK(t, c.Err)
		equal(t, "coordinator", c.NodeID, meta.Brokers[0].NodeID)
	}
	cluster := kmsg.NewPtrDescribeClusterRequest()
	cluster.EndpointType = 1
	described, err := cluster.RequestWith(ctx, client(t))
	kit.OK(t, err)
	equal(t, "cluster id", described.ClusterID, meta.Cluster)
}

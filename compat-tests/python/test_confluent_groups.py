"""confluent-kafka (librdkafka), consumer groups: eager and cooperative, growing and shrinking, commits, stored offsets, static members."""

import time

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

import ck
import common

STRATEGIES = pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])


def join(members, topic, group, **settings):
    member = ck.Member(topic, group, name=f"member-{len(members)}", **settings).begin()
    members.append(member)
    return member


def committed(group, topic, partitions=1):
    """partition -> (offset, metadata), as the admin client sees them; a partition without a commit is left out."""
    wanted = [TopicPartition(topic, p) for p in range(partitions)]
    client = ck.admin()  # its futures die with it
    [future] = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]).values()
    return {tp.partition: (tp.offset, tp.metadata) for tp in future.result(common.PATIENCE_S).topic_partitions if tp.offset >= 0}


@STRATEGIES
@pytest.mark.topic(partitions=4)
def test_a_group_grows_beyond_its_partitions_and_shrinks(topic, group, members, strategy):
    for shares in ([4], [2, 2], [2, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1, 0]):
        join(members, topic, group, partition_assignment_strategy=strategy)
        common.settle(members, range(4), shares)
    delivered = ck.send_all(topic, ck.numbers(400))
    common.wait_until(lambda: len(common.consumed(members)) >= 400, lambda: f"{len(common.consumed(members))} of 400")
    assert [(p, o) for p, o, _ in common.consumed(members)] == sorted((m.partition(), m.offset()) for m in delivered)
    for left, shares in ((1, [1, 1, 1, 1]), (3, [2, 2]), (4, [4])):
        for member in members[:left]:
            member.stop()
        common.settle(members[left:], range(4), shares)
    assert all(kind != "lost" for member in members for kind, _ in member.history)


@pytest.mark.topic(partitions=4)
def test_cooperative_members_keep_what_they_do_not_give_away(topic, group, members):
    first = join(members, topic, group, partition_assignment_strategy="cooperative-sticky")
    common.settle(members, range(4), [4])
    second = join(members, topic, group, partition_assignment_strategy="cooperative-sticky")
    common.settle(members, range(4), [2, 2])
    assert set().union(*(ps for kind, ps in first.history if kind == "revoked")) == second.owned


@pytest.mark.topic(partitions=1)
def test_synchronous_commits_and_their_metadata(topic, group):
    ck.send_all(topic, ck.numbers(30))
    with ck.consumer(group, enable_auto_commit="false") as c:
        c.subscribe([topic])
        messages = ck.read(c, 30)
        assert committed(group, topic) == {}
        told = c.commit(message=messages[9], asynchronous=False)
        assert [(tp.partition, tp.offset, tp.error) for tp in told] == [(0, 10, None)]
        c.commit(offsets=[TopicPartition(topic, 0, 12, metadata="twelve")], asynchronous=False)
        assert committed(group, topic) == {0: (12, "twelve")}
        assert c.committed([TopicPartition(topic, 0)], 10)[0].offset == 12
    with ck.consumer(group, enable_auto_commit="false") as c:
        c.subscribe([topic])
        assert [m.offset() for m in ck.read(c, 18)] == list(range(12, 30))


def test_asynchronous_commits_call_back(topic, group):
    ck.send_all(topic, ck.numbers(10))
    answers = []
    with ck.consumer(group, enable_auto_commit="false", on_commit=lambda error, tps: answers.append((error, [(tp.partition, tp.offset) for tp in tps]))) as c:
        c.subscribe([topic])
        ck.read(c, 10)
        c.commit(asynchronous=True)
        common.wait_until(lambda: c.poll(0.1) is None and answers, "the callback")
    assert answers[0] == (None, [(0, 10)])


def test_only_stored_offsets_are_committed(topic, group):
    ck.send_all(topic, ck.numbers(20))
    with ck.consumer(group, enable_auto_offset_store="false", auto_commit_interval_ms=100) as c:
        c.subscribe([topic])
        messages = ck.read(c, 20)
        time.sleep(0.5)
        assert committed(group, topic) == {}
        c.store_offsets(messages[4])
        common.wait_until(lambda: c.poll(0.1) is None and committed(group, topic).get(0, [None])[0] == 5, "the interval's commit")


def test_closing_commits_what_was_read(topic, group):
    ck.send_all(topic, ck.numbers(20))
    with ck.consumer(group, auto_commit_interval_ms=600_000) as c:
        c.subscribe([topic])
        ck.read(c, 20)
    assert committed(group, topic)[0][0] == 20


@pytest.mark.topic(partitions=2)
def test_a_static_member_comes_back_without_a_rebalance(topic, group, members):
    settings = {"session_timeout_ms": 30_000, "partition_assignment_strategy": "range"}
    first = join(members, topic, group, group_instance_id="one", **settings)
    other = join(members, topic, group, group_instance_id="two", **settings)
    common.settle(members, range(2), [1, 1])
    before, seen = first.owned, len(other.history)
    first.stop()
    again = join(members, topic, group, group_instance_id="one", **settings)
    common.settle([again, other], range(2), [1, 1])
    time.sleep(1)
    assert again.owned == before and len(other.history) == seen
    client = ck.admin()
    told = client.describe_consumer_groups([group])[group].result(common.PATIENCE_S)
    assert sorted(m.group_instance_id for m in told.members) == ["one", "two"]


@pytest.mark.topic(partitions=2)
def test_a_second_static_member_of_the_same_name_fences_the_first(topic, group, members):
    first = join(members, topic, group, group_instance_id="one", session_timeout_ms=30_000)
    common.settle([first], range(2), [2])
    second = join(members, topic, group, group_instance_id="one", session_timeout_ms=30_000)
    common.settle([second], range(2), [2])
    error = common.wait_until(lambda: first.error, "the first is told")
    assert error.args[0].code() in (KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL)
    first.error = None


def test_max_poll_interval_costs_the_membership(topic, group):
    ck.send_all(topic, ck.numbers(5))
    with ck.consumer(group, max_poll_interval_ms=6000, session_timeout_ms=6000, enable_auto_commit="false") as c:
        c.subscribe([topic])
        messages = ck.read(c, 5)
        time.sleep(8)
        with pytest.raises(KafkaException) as refused:
            c.commit(message=messages[-1], asynchronous=False)
        assert refused.value.args[0].code() in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError._STATE)
    assert committed(group, topic) == {}

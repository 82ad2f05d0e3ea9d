"""kafka-python, consumer groups: members that come, go and die, with eager and cooperative assignors, commits of every kind, and static members."""

import pathlib
import subprocess
import sys
import threading
import time

import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import CommitFailedError, InconsistentGroupProtocolError, OffsetMetadataTooLargeError, UnknownMemberIdError

import common
import kp

EAGER = (RangePartitionAssignor,)
ROUND_ROBIN = (RoundRobinPartitionAssignor,)
COOPERATIVE = (CooperativeStickyAssignor,)
STRATEGIES = pytest.mark.parametrize("strategy", [EAGER, ROUND_ROBIN, COOPERATIVE], ids=["range", "roundrobin", "cooperative"])


def join(members, topic, group, **settings):
    """One more member, appended to `members`."""
    member = kp.Member(topic, group, name=f"member-{len(members)}", **settings).begin()
    members.append(member)
    return member


def group_state(group):
    with kp.admin() as client:
        return client.describe_groups([group])[group]


@STRATEGIES
@pytest.mark.topic(partitions=3)
def test_as_many_members_as_partitions_then_more_are_idle(topic, group, members, strategy):
    for _ in range(3):
        join(members, topic, group, partition_assignment_strategy=strategy)
    common.settle(members, range(3), [1, 1, 1])
    join(members, topic, group, partition_assignment_strategy=strategy)
    common.wait_until(lambda: len(group_state(group)["members"]) == 4 and group_state(group)["group_state"] == "Stable", "four members")
    common.settle(members, range(3), [1, 1, 1, 0])
    sent = kp.send_all(topic, 300)
    common.wait_until(lambda: len(common.consumed(members)) >= 300, lambda: f"{len(common.consumed(members))} of 300")
    assert [(p, o) for p, o, _ in common.consumed(members)] == sorted((m.partition, m.offset) for m in sent)
    assert sum(1 for m in members if not m.records) == 1, "the idle member got nothing"


@STRATEGIES
@pytest.mark.topic(partitions=6)
def test_a_group_grows_and_shrinks_under_load_and_reads_everything(topic, group, members, strategy):
    stop, sent = threading.Event(), []

    def produce():
        with kp.producer(linger_ms=5) as p:
            while not stop.is_set():
                futures = [p.send(topic, str(len(sent) + i).encode()) for i in range(20)]
                sent.extend(f.get(common.PATIENCE_S) for f in futures)
                time.sleep(0.02)

    load = threading.Thread(target=produce, daemon=True)
    load.start()
    settings = {"partition_assignment_strategy": strategy, "auto_commit_interval_ms": 200}
    try:
        for size, share in ((1, [6]), (2, [3, 3]), (3, [2, 2, 2])):
            join(members, topic, group, **settings)
            common.settle(members, range(6), share)
        members[0].stop()
        common.settle(members[1:], range(6), [3, 3])
        members[1].stop()
        common.settle(members[2:], range(6), [6])
    finally:
        stop.set()
        load.join(common.PATIENCE_S)
    wanted = {(m.partition, m.offset) for m in sent}
    common.wait_until(lambda: wanted <= {(p, o) for p, o, _ in common.consumed(members)}, "every acknowledged record is read")
    assert {(p, o) for p, o, _ in common.consumed(members)} == wanted


@pytest.mark.topic(partitions=4)
def test_cooperative_members_keep_what_they_do_not_give_away(topic, group, members):
    first = join(members, topic, group, partition_assignment_strategy=COOPERATIVE)
    common.settle(members, range(4))
    second = join(members, topic, group, partition_assignment_strategy=COOPERATIVE)
    common.settle(members, range(4), [2, 2])
    given = set().union(*(ps for kind, ps in first.history if kind == "revoked"))
    assert given == second.owned and len(given) == 2


@pytest.mark.topic(partitions=4)
def test_eager_members_give_up_everything_first(topic, group, members):
    first = join(members, topic, group, partition_assignment_strategy=EAGER)
    common.settle(members, range(4))
    join(members, topic, group, partition_assignment_strategy=EAGER)
    common.settle(members, range(4), [2, 2])
    assert ("revoked", frozenset(range(4))) in first.history


@pytest.mark.topic(partitions=2)
def test_a_killed_member_is_noticed_by_its_session_timeout(topic, group, members):
    survivor = join(members, topic, group)
    common.settle(members, range(2), [2])
    here = pathlib.Path(__file__).parent
    killed = subprocess.Popen([sys.executable, str(here / "killed_member.py"), topic, group, "3000"], stdout=subprocess.PIPE, text=True)
    try:
        common.wait_until(lambda: killed.stdout.readline().strip() == "1", "the other process owns one partition")
        common.wait_until(lambda: len(survivor.owned) == 1, "and this one the other")
        killed.kill()
        killed.wait()
        began = time.monotonic()
        time.sleep(1)
        assert len(survivor.owned) == 1, "before the session times out nobody knows"
        common.settle([survivor], range(2), [2])
        assert time.monotonic() - began < 10
    finally:
        killed.kill()
        killed.wait()


@pytest.mark.topic(partitions=1)
def test_manual_commits_decide_where_a_successor_starts(topic, group):
    kp.send_all(topic, 100)
    tp = TopicPartition(topic, 0)
    with kp.consumer(topic, group_id=group, enable_auto_commit=False, max_poll_records=10) as c:
        got = []
        while len(got) < 40:
            got += c.poll(timeout_ms=1000).get(tp, [])
        assert c.committed(tp) is None
        c.commit({tp: OffsetAndMetadata(25, "by hand", -1)})
        assert c.committed(tp) == 25
        assert c.committed(tp, metadata=True).metadata == "by hand"
        while len(got) < 60:
            got += c.poll(timeout_ms=1000).get(tp, [])
    with kp.consumer(topic, group_id=group, enable_auto_commit=False) as c:
        assert [r.offset for r in kp.read(c, 75)] == list(range(25, 100))
        c.commit()
        assert c.committed(tp) == 100
    with kp.consumer(topic, group_id=group, enable_auto_commit=False) as c:
        assert c.poll(timeout_ms=2000) == {}
        assert c.position(tp) == 100


def test_async_commits_call_back(topic, group):
    kp.send_all(topic, 10)
    tp = TopicPartition(topic, 0)
    answers = []
    with kp.consumer(topic, group_id=group, enable_auto_commit=False) as c:
        assert len(kp.read(c, 10)) == 10
        c.commit_async({tp: OffsetAndMetadata(7, "", -1)}, callback=lambda offsets, answer: answers.append((offsets, answer)))
        common.wait_until(lambda: c.poll(timeout_ms=50) is not None and answers, "the callback")
        assert not isinstance(answers[0][1], Exception) and c.committed(tp) == 7


def test_automatic_commits(topic, group):
    kp.send_all(topic, 50)
    tp = TopicPartition(topic, 0)
    with kp.consumer(topic, group_id=group, enable_auto_commit=True, auto_commit_interval_ms=100) as c:
        assert len(kp.read(c, 50)) == 50
        common.wait_until(lambda: c.poll(timeout_ms=kp.POLL_MS) == {} and c.committed(tp) == 50, "the interval's commit")
    kp.send_all(topic, 5)
    with kp.consumer(topic, group_id=group) as c:
        assert [r.offset for r in kp.read(c, 5)] == list(range(50, 55))
    with kp.admin() as client:
        assert client.list_group_offsets(group)[group][tp].offset == 55, "close commits"


def test_a_commit_by_a_member_that_was_removed_is_refused(topic, group):
    kp.send_all(topic, 10)
    with kp.consumer(topic, group_id=group, enable_auto_commit=False) as removed_one:
        assert len(kp.read(removed_one, 10)) == 10
        with kp.admin() as client:
            identity = group_state(group)["members"][0]["member_id"]
            removed = client.remove_group_members(group, [MemberToRemove(member_id=identity)])
            assert [e.errno for e in removed.values()] == [0]
        with pytest.raises((CommitFailedError, UnknownMemberIdError)):
            removed_one.commit()
    assert group_state(group)["group_state"] in ("Empty", "Dead")


def test_two_groups_read_everything_each(topic):
    kp.send_all(topic, 40)
    for _ in range(2):
        with kp.consumer(topic, group_id=common.unique("group")) as c:
            assert [r.offset for r in kp.read(c, 40)] == list(range(40))


def test_commits_from_outside_a_group(topic, group):
    """assign() with a group id: commits without membership, refused as soon as the group has members."""
    kp.send_all(topic, 10)
    tp = TopicPartition(topic, 0)
    with kp.consumer(group_id=group, enable_auto_commit=False) as c:
        c.assign([tp])
        assert len(kp.read(c, 10)) == 10
        c.commit({tp: OffsetAndMetadata(4, "outside", -1)})
        assert c.committed(tp) == 4
        with kp.consumer(topic, group_id=group, enable_auto_commit=False) as member:
            assert [r.offset for r in kp.read(member, 6)] == list(range(4, 10))
            with pytest.raises((CommitFailedError, UnknownMemberIdError)):
                c.commit({tp: OffsetAndMetadata(9, "", -1)})
            assert member.committed(tp) == 4


@pytest.mark.topic(partitions=2)
def test_members_without_a_common_protocol_cannot_be_together(topic, group, members):
    join(members, topic, group, partition_assignment_strategy=EAGER)
    common.settle(members, range(2))
    with kp.consumer(topic, group_id=group, partition_assignment_strategy=ROUND_ROBIN) as c:
        with pytest.raises(InconsistentGroupProtocolError):
            c.poll(timeout_ms=10_000)
    assert len(group_state(group)["members"]) == 1


@pytest.mark.topic(partitions=2)
def test_members_agree_on_the_protocol_that_all_know(topic, group, members):
    join(members, topic, group, partition_assignment_strategy=EAGER + ROUND_ROBIN)
    join(members, topic, group, partition_assignment_strategy=ROUND_ROBIN)
    common.settle(members, range(2), [1, 1])
    assert group_state(group)["protocol_data"] == "roundrobin"


@pytest.mark.topic(partitions=2)
def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(topic, group, members):
    settings = {"session_timeout_ms": 20_000, "partition_assignment_strategy": EAGER}
    first = join(members, topic, group, group_instance_id="one", **settings)
    other = join(members, topic, group, group_instance_id="two", **settings)
    common.settle(members, range(2), [1, 1])
    before, seen = first.owned, len(other.history)
    generation = other.consumer.group_metadata().generation_id
    first.stop()  # a static member does not leave the group when it closes
    again = join(members, topic, group, group_instance_id="one", **settings)
    common.settle([again, other], range(2), [1, 1])
    assert again.owned == before
    time.sleep(1)
    assert len(other.history) == seen and other.consumer.group_metadata().generation_id == generation, "the other member saw no rebalance"
    assert {m["group_instance_id"] for m in group_state(group)["members"]} == {"one", "two"}


@pytest.mark.topic(partitions=2)
def test_a_removed_static_member_gives_its_partitions_back(topic, group, members):
    first = join(members, topic, group, group_instance_id="one", session_timeout_ms=60_000)
    other = join(members, topic, group, group_instance_id="two", session_timeout_ms=60_000)
    common.settle(members, range(2))
    first.stop()
    with kp.admin() as client:
        removed = client.remove_group_members(group, [MemberToRemove(group_instance_id="one"), MemberToRemove(group_instance_id="nobody")])
    assert {m: e.errno for m, e in removed.items()} == {"one": 0, "nobody": UnknownMemberIdError.errno}
    common.settle([other], range(2))


@pytest.mark.topic(partitions=1)
def test_added_partitions_reach_a_running_group(topic, group, members):
    join(members, topic, group, metadata_max_age_ms=500)
    common.settle(members, range(1))
    with kp.admin() as client:
        client.create_partitions({topic: 4})
    common.settle(members, range(4))
    for partition in range(4):
        kp.send_all(topic, 5, partition=partition)
    common.wait_until(lambda: len(common.consumed(members)) == 20, "records of the new partitions")


def test_committed_offsets_of_many_partitions_at_once(group):
    topic = kp.create_topic(common.unique("wide"), partitions=50)
    tps = kp.partitions_of(topic, 50)
    with kp.consumer(group_id=group, enable_auto_commit=False) as c:
        c.assign(tps)
        c.commit({tp: OffsetAndMetadata(tp.partition * 3, f"m{tp.partition}", -1) for tp in tps})
        assert [c.committed(tp) for tp in tps] == [3 * i for i in range(50)]
    with kp.admin() as client:
        told = client.list_group_offsets(group)[group]
    assert {tp: (o.offset, o.metadata) for tp, o in told.items()} == {tp: (tp.partition * 3, f"m{tp.partition}") for tp in tps}


def test_commit_metadata_longer_than_allowed_is_refused(topic, group):
    tp = TopicPartition(topic, 0)
    with kp.consumer(group_id=group, enable_auto_commit=False) as c:
        c.assign([tp])
        c.commit({tp: OffsetAndMetadata(1, "x" * 4096, -1)})
        with pytest.raises(OffsetMetadataTooLargeError):
            c.commit({tp: OffsetAndMetadata(2, "x" * 4097, -1)})
        assert c.committed(tp) == 1

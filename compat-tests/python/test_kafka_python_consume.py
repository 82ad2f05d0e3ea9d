"""kafka-python, the consumer's side without groups: positions, seeking and replay, offsets by time, fetch limits, long polling, patterns."""

import threading
import time

import pytest
from kafka import TopicPartition
from kafka.errors import NoOffsetForPartitionError

import common
import kp


def test_seek_and_replay(topic):
    kp.send_all(topic, 300)
    tp = TopicPartition(topic, 0)
    with kp.consumer(group_id=None, max_poll_records=50) as c:
        c.assign([tp])
        assert [r.offset for r in kp.read(c, 300)] == list(range(300))
        assert c.position(tp) == 300
        c.seek(tp, 120)
        assert [r.value for r in kp.read(c, 180)] == [str(i).encode() for i in range(120, 300)]
        c.seek_to_beginning(tp)
        assert c.position(tp) == 0
        assert len(c.poll(timeout_ms=5000, max_records=10)[tp]) == 10
        assert c.position(tp) == 10
        c.seek_to_end(tp)
        assert c.position(tp) == 300
        assert c.poll(timeout_ms=300) == {}


@pytest.mark.topic(partitions=3)
def test_beginning_and_end_offsets(topic):
    for partition, count in enumerate((5, 0, 7)):
        kp.send_all(topic, count, partition=partition)
    tps = kp.partitions_of(topic, 3)
    with kp.consumer(group_id=None) as c:
        assert c.beginning_offsets(tps) == {tps[0]: 0, tps[1]: 0, tps[2]: 0}
        assert c.end_offsets(tps) == {tps[0]: 5, tps[1]: 0, tps[2]: 7}
        assert c.partitions_for_topic(topic) == {0, 1, 2}
        assert topic in c.topics()


@pytest.mark.parametrize("codec", [None, "gzip"])
def test_offsets_for_times_are_exact_inside_a_batch(topic, codec):
    """All records travel in one batch; the answer is still the record, not the batch."""
    base = int(time.time() * 1000) - 100_000
    tp = TopicPartition(topic, 0)
    with kp.producer(linger_ms=500, batch_size=1_000_000, compression_type=codec) as p:
        for i in range(50):
            p.send(topic, b"x", timestamp_ms=base + 10 * i)
        p.flush(common.PATIENCE_S)
    with kp.consumer(group_id=None) as c:
        def found(timestamp):
            answer = c.offsets_for_times({tp: timestamp})[tp]
            return answer and (answer.offset, answer.timestamp)

        assert found(base) == (0, base)
        assert found(0) == (0, base)
        assert found(base + 101) == (11, base + 110)
        assert found(base + 110) == (11, base + 110)
        assert found(base + 490) == (49, base + 490)
        assert found(base + 491) is None


def test_offsets_for_times_where_time_does_not_only_grow(topic):
    base = int(time.time() * 1000) - 100_000
    tp = TopicPartition(topic, 0)
    with kp.producer() as p:
        for offset in (5, 3, 9, 1, 7):
            p.send(topic, b"x", timestamp_ms=base + offset).get(common.PATIENCE_S)
    with kp.consumer(group_id=None) as c:
        answers = {t: c.offsets_for_times({tp: base + t})[tp] for t in range(1, 11)}
    assert {t: a and (a.offset, a.timestamp - base) for t, a in answers.items()} == {
        1: (0, 5), 2: (0, 5), 3: (0, 5), 4: (0, 5), 5: (0, 5), 6: (2, 9), 7: (2, 9), 8: (2, 9), 9: (2, 9), 10: None,
    }


def test_pause_and_resume(topic):
    kp.send_all(topic, 10)
    tp = TopicPartition(topic, 0)
    with kp.consumer(group_id=None) as c:
        c.assign([tp])
        c.pause(tp)
        assert c.paused() == {tp} and c.poll(timeout_ms=500) == {}
        c.resume(tp)
        assert len(kp.read(c, 10)) == 10


def test_auto_offset_reset(topic):
    kp.send_all(topic, 10)
    tp = TopicPartition(topic, 0)
    with kp.consumer(group_id=None, auto_offset_reset="latest") as late:
        late.assign([tp])
        assert late.poll(timeout_ms=500) == {}
        kp.send_all(topic, 5)
        assert [r.offset for r in kp.read(late, 5)] == list(range(10, 15))
    with kp.consumer(group_id=None, auto_offset_reset="earliest") as early:
        early.assign([tp])
        assert [r.offset for r in kp.read(early, 15)] == list(range(15))
        early.seek(tp, 1000)
        assert [r.offset for r in kp.read(early, 15)] == list(range(15)), "an offset out of range resets to the earliest"
    with kp.consumer(group_id=None, auto_offset_reset="none") as strict:
        strict.assign([tp])
        with pytest.raises(NoOffsetForPartitionError):
            strict.poll(timeout_ms=5000)


def test_reading_starts_at_the_offset_even_inside_a_batch(topic):
    kp.send_all(topic, 100, linger_ms=500, batch_size=1_000_000, compression_type="zstd")
    tp = TopicPartition(topic, 0)
    with kp.consumer(group_id=None) as c:
        c.assign([tp])
        for start in (57, 99, 0):
            c.seek(tp, start)
            assert [r.offset for r in kp.read(c, 100 - start)] == list(range(start, 100))


@pytest.mark.topic(partitions=5)
def test_small_fetches_still_reach_every_partition(topic):
    for partition in range(5):
        kp.send_all(topic, 40, partition=partition, batch_size=200)
    with kp.consumer(topic, group_id=None, fetch_max_bytes=300, max_partition_fetch_bytes=150, max_poll_records=7) as c:
        records = kp.read(c, 200)
    assert sorted((r.partition, r.offset) for r in records) == [(p, o) for p in range(5) for o in range(40)]
    for partition in range(5):
        assert [r.offset for r in records if r.partition == partition] == list(range(40))


def test_a_waiting_fetch_is_answered_as_soon_as_something_arrives(topic):
    kp.send_all(topic, 1)
    tp = TopicPartition(topic, 0)
    with kp.consumer(group_id=None, fetch_max_wait_ms=20_000) as c:
        c.assign([tp])
        assert len(c.poll(timeout_ms=5000)[tp]) == 1
        sent = []
        timer = threading.Timer(1.0, lambda: sent.append(time.monotonic()) or kp.send_all(topic, 1))
        timer.start()
        began = time.monotonic()
        records = []
        while not records and time.monotonic() - began < 15:
            records = c.poll(timeout_ms=500).get(tp, [])
        arrived = time.monotonic()
        timer.join()
    assert [r.offset for r in records] == [1]
    assert arrived - sent[0] < 5, "long before fetch_max_wait_ms was over"


def test_fetch_min_bytes_holds_a_fetch_back_until_max_wait(topic):
    kp.send_all(topic, 1)
    tp = TopicPartition(topic, 0)
    with kp.consumer(group_id=None, fetch_min_bytes=100_000, fetch_max_wait_ms=2000) as c:
        c.assign([tp])
        assert c.position(tp) == 0
        began = time.monotonic()
        records = []
        while not records and time.monotonic() - began < 15:
            records = c.poll(timeout_ms=100).get(tp, [])
        took = time.monotonic() - began
    assert [r.offset for r in records] == [0]
    assert took > 1.5, "one small record is not fetch_min_bytes"


def test_iteration_ends_after_consumer_timeout(topic):
    kp.send_all(topic, 20)
    with kp.consumer(topic, group_id=None, consumer_timeout_ms=1500) as c:
        assert [r.offset for r in c] == list(range(20))


def test_a_pattern_subscription_picks_up_a_new_topic(group):
    prefix = common.unique("pattern")
    kp.create_topic(f"{prefix}-a")
    kp.create_topic(f"other-{prefix}")
    kp.send_all(f"{prefix}-a", 3)
    kp.send_all(f"other-{prefix}", 3)
    with kp.consumer(group_id=group, metadata_max_age_ms=500) as c:
        c.subscribe(pattern=f"^{prefix}-.*")
        assert {r.topic for r in kp.read(c, 3)} == {f"{prefix}-a"}
        kp.create_topic(f"{prefix}-b")
        kp.send_all(f"{prefix}-b", 4)
        assert [(r.topic, r.offset) for r in kp.read(c, 4)] == [(f"{prefix}-b", o) for o in range(4)]


@pytest.mark.topic(partitions=60)
def test_a_fetch_session_over_many_partitions_follows_each(topic):
    tps = kp.partitions_of(topic, 60)
    with kp.consumer(group_id=None, enable_incremental_fetch_sessions=True) as c, kp.producer() as p:
        c.assign(tps)
        for turn in range(5):
            chosen = range(turn, 60, 7)
            futures = [p.send(topic, str(turn).encode(), partition=i) for i in chosen]
            offsets = sorted((f.get(common.PATIENCE_S).partition, f.get().offset) for f in futures)
            assert sorted((r.partition, r.offset) for r in kp.read(c, len(chosen))) == offsets
        c.assign(tps[:10])  # the session forgets the others
        p.send(topic, b"forgotten", partition=30).get(common.PATIENCE_S)
        p.send(topic, b"kept", partition=5).get(common.PATIENCE_S)
        for tp in tps[:10]:
            c.seek_to_beginning(tp)
        assert {r.partition for r in kp.read(c, 1)} <= set(range(10))


def test_deleted_records_are_not_read_again(topic):
    kp.send_all(topic, 100)
    tp = TopicPartition(topic, 0)
    with kp.admin() as client:
        assert client.delete_records({tp: 60})[tp]["low_watermark"] == 60
    with kp.consumer(group_id=None) as c:
        c.assign([tp])
        assert c.beginning_offsets([tp]) == {tp: 60}
        assert [r.offset for r in kp.read(c, 40)] == list(range(60, 100))
        c.seek(tp, 10)
        assert [r.offset for r in kp.read(c, 40)] == list(range(60, 100)), "below the start of the log: reset to the earliest"


def test_a_topic_made_anew_shows_nothing_of_the_old_one(topic):
    kp.send_all(topic, 30)
    with kp.admin() as client:
        client.delete_topics([topic])
        common.wait_until(lambda: topic not in client.list_topics(), "the topic is gone")
    kp.create_topic(topic)
    kp.send_all(topic, 2)
    with kp.consumer(topic, group_id=None) as c:
        assert [(r.offset, r.value) for r in kp.read(c, 2)] == [(0, b"0"), (1, b"1")]

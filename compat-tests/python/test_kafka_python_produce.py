"""kafka-python, the producer's side: what is written is what is read, under every setting that an application turns, and refusals are the ones Kafka gives."""

import concurrent.futures
import json
import random
import time

import pytest
from kafka.errors import InvalidRecordError, InvalidTimestampError, InvalidTopicError, MessageSizeTooLargeError

import common
import kp

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


@pytest.mark.topic(partitions=3)
def test_orders_with_keys_headers_and_json_come_back_as_sent(topic):
    rng = random.Random(7)
    orders = [{"id": i, "customer": f"c{rng.randrange(40)}", "items": rng.sample(range(100), 3), "note": "żółć ✓"} for i in range(1500)]
    with kp.producer(value_serializer=lambda v: json.dumps(v).encode(), key_serializer=str.encode, linger_ms=5) as p:
        futures = [p.send(topic, o, key=o["customer"], headers=[("n", str(o["id"]).encode()), ("empty", b""), ("n", b"again")]) for o in orders]
        metadata = [f.get(common.PATIENCE_S) for f in futures]

    with kp.consumer(topic, group_id=None, value_deserializer=json.loads, key_deserializer=bytes.decode) as c:
        records = kp.read(c, len(orders))
    assert len(records) == len(orders)
    by_place = {(r.partition, r.offset): r for r in records}
    assert len(by_place) == len(orders)
    for order, sent in zip(orders, metadata):
        record = by_place[(sent.partition, sent.offset)]
        assert (record.key, record.value) == (order["customer"], order)
        assert record.headers == [("n", str(order["id"]).encode()), ("empty", b""), ("n", b"again")]
        assert record.timestamp == sent.timestamp and record.timestamp_type == 0

    places = {}
    for order, sent in zip(orders, metadata):
        places.setdefault(order["customer"], []).append((sent.partition, sent.offset))
    assert len({p for spots in places.values() for p, _ in spots}) == 3, "40 keys leave no partition of 3 empty"
    for customer, spots in places.items():
        assert len({p for p, _ in spots}) == 1, f"{customer} is on one partition"
        assert spots == sorted(spots), f"{customer}'s orders keep their order"


@pytest.mark.parametrize("codec", CODECS)
def test_compression(topic, codec):
    values = [(f"value {i % 17} " * 40).encode() for i in range(2000)]
    with kp.producer(compression_type=codec, linger_ms=50, batch_size=65536) as p:
        for i, value in enumerate(values):
            p.send(topic, value, key=str(i).encode() if i % 2 else None)
        p.flush(common.PATIENCE_S)
    with kp.consumer(topic, group_id=None, check_crcs=True) as c:
        records = kp.read(c, len(values))
    assert [r.value for r in records] == values
    assert [r.offset for r in records] == list(range(len(values)))
    assert [r.key for r in records] == [str(i).encode() if i % 2 else None for i in range(len(values))]
    raw = sum(map(len, values))
    if codec:
        assert kp.log_size(topic) < raw / 2, "the broker keeps the producer's compression"
    else:
        assert raw < kp.log_size(topic) < raw * 1.5


@pytest.mark.topic(configs={"compression.type": "gzip"})
def test_broker_compresses_when_the_topic_says_so(topic):
    values = [b"the same thing over and over " * 40] * 500
    with kp.producer(linger_ms=50, batch_size=65536) as p:
        for value in values:
            p.send(topic, value)
        p.flush(common.PATIENCE_S)
    with kp.consumer(topic, group_id=None) as c:
        assert [r.value for r in kp.read(c, len(values))] == values
    assert kp.log_size(topic) < sum(map(len, values)) / 2


def test_batching_fills_batches_and_no_batching_does_not(topic):
    def records_per_request(**settings):
        with kp.producer(**settings) as p:
            futures = [p.send(topic, b"x" * 100) for _ in range(600)]
            offsets = [f.get(common.PATIENCE_S).offset for f in futures]
            return offsets, p.metrics()["producer-metrics"]["records-per-request-avg"]

    batched, many = records_per_request(batch_size=32768, linger_ms=200)
    single, one = records_per_request(batch_size=0, linger_ms=0)
    assert batched == list(range(600)) and single == list(range(600, 1200))
    assert many > 50 and one == 1


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(topic, acks):
    with kp.producer(acks=acks, enable_idempotence=False) as p:
        sent = [p.send(topic, str(i).encode()).get(common.PATIENCE_S) for i in range(50)]
        p.flush(common.PATIENCE_S)
    if acks != 0:
        assert [m.offset for m in sent] == list(range(50))
    with kp.consumer(topic, group_id=None) as c:
        assert [r.value for r in kp.read(c, 50)] == [str(i).encode() for i in range(50)]


@pytest.mark.topic(partitions=2)
def test_idempotent_producer_numbers_its_batches_without_a_gap(topic):
    with kp.producer(enable_idempotence=True, max_in_flight_requests_per_connection=5, batch_size=500, linger_ms=0) as p:
        futures = [p.send(topic, str(i).encode(), partition=i % 2) for i in range(1000)]
        sent = [f.get(common.PATIENCE_S) for f in futures]
        assert [m.offset for m in sent] == [i // 2 for i in range(1000)]
        with kp.admin() as client:
            states = client.describe_producers(kp.partitions_of(topic, 2))
    producers = {tp.partition: [s for s in state.active_producers] for tp, state in states.items()}
    assert {p: len(found) for p, found in producers.items()} == {0: 1, 1: 1}
    assert producers[0][0].producer_id == producers[1][0].producer_id >= 0
    assert [producers[p][0].last_sequence for p in (0, 1)] == [499, 499]
    assert [producers[p][0].producer_epoch for p in (0, 1)] == [0, 0]


def test_timestamps_given_by_the_application(topic):
    now = int(time.time() * 1000)
    stamps = [now - 5000, now - 9000, now - 1000]
    with kp.producer(linger_ms=50) as p:
        futures = [p.send(topic, b"x", timestamp_ms=t) for t in stamps]
        assert [f.get(common.PATIENCE_S).timestamp for f in futures] == stamps
    with kp.consumer(topic, group_id=None) as c:
        assert [(r.timestamp, r.timestamp_type) for r in kp.read(c, 3)] == [(t, 0) for t in stamps]


@pytest.mark.topic(configs={"message.timestamp.type": "LogAppendTime"})
def test_log_append_time(topic):
    before = int(time.time() * 1000)
    with kp.producer(linger_ms=50) as p:
        futures = [p.send(topic, b"x", timestamp_ms=1000) for _ in range(3)]
        told = [f.get(common.PATIENCE_S).timestamp for f in futures]
    after = int(time.time() * 1000)
    assert all(before <= t <= after for t in told)
    with kp.consumer(topic, group_id=None) as c:
        assert [(r.timestamp, r.timestamp_type) for r in kp.read(c, 3)] == [(t, 1) for t in told]


@pytest.mark.topic(configs={"message.timestamp.before.max.ms": "60000", "message.timestamp.after.max.ms": "60000"})
def test_timestamps_outside_the_topics_limits_are_refused(topic):
    now = int(time.time() * 1000)
    with kp.producer(enable_idempotence=False) as p:
        for stamp in (now - 120000, now + 120000):
            with pytest.raises(InvalidTimestampError):
                p.send(topic, b"x", timestamp_ms=stamp).get(common.PATIENCE_S)
        assert p.send(topic, b"x", timestamp_ms=now).get(common.PATIENCE_S).offset == 0


def test_large_messages_up_to_the_default_limit(topic):
    value = random.Random(1).randbytes(1_000_000)
    with kp.producer(max_request_size=8_000_000, enable_idempotence=False) as p:
        assert p.send(topic, value).get(common.PATIENCE_S).offset == 0
        with pytest.raises(MessageSizeTooLargeError):
            p.send(topic, value + value).get(common.PATIENCE_S)
        assert p.send(topic, b"small").get(common.PATIENCE_S).offset == 1
    with kp.consumer(topic, group_id=None, max_partition_fetch_bytes=1000) as c:
        assert [r.value for r in kp.read(c, 2)] == [value, b"small"], "a batch above the fetch limit still comes whole"


@pytest.mark.topic(configs={"max.message.bytes": "5000000"})
def test_larger_messages_where_the_topic_allows_them(topic):
    value = random.Random(1).randbytes(4_000_000)
    with kp.producer(max_request_size=8_000_000) as p:
        assert p.send(topic, value).get(common.PATIENCE_S).offset == 0
    with kp.consumer(topic, group_id=None) as c:
        assert [r.value for r in kp.read(c, 1)] == [value]


@pytest.mark.topic(configs={"cleanup.policy": "compact"})
def test_compacted_topic_wants_keys_and_keeps_tombstones(topic):
    with kp.producer(enable_idempotence=False) as p:
        with pytest.raises(InvalidRecordError):
            p.send(topic, b"no key").get(common.PATIENCE_S)
        p.send(topic, b"1", key=b"a").get(common.PATIENCE_S)
        p.send(topic, None, key=b"a").get(common.PATIENCE_S)
    with kp.consumer(topic, group_id=None) as c:
        assert [(r.key, r.value) for r in kp.read(c, 2)] == [(b"a", b"1"), (b"a", None)]


@pytest.mark.topic(configs={"min.insync.replicas": "2"})
def test_min_insync_replicas_counts_no_more_replicas_than_there_are(topic):
    assert [m.offset for m in kp.send_all(topic, 3, acks="all")] == [0, 1, 2]


def test_a_topic_is_created_by_the_first_send_with_the_brokers_partitions():
    name = common.unique("auto")
    assert kp.send_all(name, 1)[0].topic == name
    with kp.admin() as client:
        broker = client.describe_cluster()["brokers"][0]
        node = str(broker["broker_id"] if "broker_id" in broker else broker["node_id"])
        configs = client.describe_configs([kp.resource("broker", node)], config_filter="all")["broker"][node]
        created = client.describe_topics([name])[0]
    assert len(created["partitions"]) == int(configs["num.partitions"]["value"])


@pytest.mark.parametrize("name", ["has space", "slash/ed", "x" * 250, ".."])
def test_invalid_topic_names_are_refused_by_the_broker(name):
    with kp.admin() as client:
        answer = client.create_topics({name: {"num_partitions": 1, "replication_factor": 1}}, raise_errors=False)
        assert [t["error_code"] for t in answer["topics"]] == [InvalidTopicError.errno]
        assert name not in client.list_topics()


def test_many_producers_at_once_lose_and_double_nothing(topic):
    def work(worker):
        with kp.producer(compression_type=CODECS[worker % len(CODECS)]) as p:
            futures = [p.send(topic, f"{worker}/{i}".encode()) for i in range(300)]
            return [f.get(common.PATIENCE_S).offset for f in futures]

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        offsets = list(pool.map(work, range(5)))
    assert sorted(o for mine in offsets for o in mine) == list(range(1500))
    assert all(mine == sorted(mine) for mine in offsets)
    with kp.consumer(topic, group_id=None) as c:
        records = kp.read(c, 1500)
    expected = {o: f"{w}/{i}".encode() for w, mine in enumerate(offsets) for i, o in enumerate(mine)}
    assert {r.offset: r.value for r in records} == expected
    assert [r.offset for r in records] == list(range(1500))

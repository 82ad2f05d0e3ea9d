"""confluent-kafka (librdkafka): producing with callbacks, reading, seeking, offsets, and the errors that the broker tells."""

import json
import random
import threading
import time

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, Message, TopicPartition

import ck
import common
import kp


@pytest.mark.topic(partitions=3)
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_orders_with_keys_and_headers(topic, codec):
    rng = random.Random(3)
    orders = [{"id": i, "customer": f"c{rng.randrange(30)}", "text": "round and round " * 10} for i in range(1000)]
    delivered = {}
    p = ck.producer(compression_type=codec, linger_ms=20, enable_idempotence=True)

    def on_delivery(error, message: Message):
        assert error is None
        delivered[json.loads(message.value())["id"]] = (message.partition(), message.offset())

    for order in orders:
        p.produce(topic, json.dumps(order), key=order["customer"], headers=[("n", str(order["id"])), ("null", None), ("n", b"\x00\xff")], on_delivery=on_delivery)
        p.poll(0)
    assert p.flush(common.PATIENCE_S) == 0
    assert len(delivered) == len(set(delivered.values())) == len(orders)
    raw = sum(len(json.dumps(o)) for o in orders)
    assert raw < kp.log_size(topic) if codec == "none" else kp.log_size(topic) < raw / 2, "librdkafka falls back to no compression where ApiVersions puts it off"

    with ck.consumer(check_crcs="true") as c:
        c.subscribe([topic])
        messages = ck.read(c, len(orders))
    assert len(messages) == len(orders)
    found = {(m.partition(), m.offset()): m for m in messages}
    for order in orders:
        message = found[delivered[order["id"]]]
        assert json.loads(message.value()) == order and message.key().decode() == order["customer"]
        assert message.headers() == [("n", str(order["id"]).encode()), ("null", None), ("n", b"\x00\xff")]
        assert message.leader_epoch() == 0
    for partition in range(3):
        assert [m.offset() for m in messages if m.partition() == partition] == list(range(sum(1 for p, _ in delivered.values() if p == partition)))


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(topic, acks):
    delivered = ck.send_all(topic, ck.numbers(100), acks=acks, **({} if acks == "all" else {"enable_idempotence": False}))
    assert len(delivered) == 100
    with ck.consumer() as c:
        c.subscribe([topic])
        assert [m.value() for m in ck.read(c, 100)] == ck.numbers(100)


def test_many_requests_in_flight_keep_their_order(topic):
    delivered = ck.send_all(topic, ck.numbers(3000), enable_idempotence=True, batch_num_messages=5, linger_ms=0, max_in_flight=5)
    assert [m.offset() for m in delivered] == list(range(3000))
    with ck.consumer() as c:
        c.subscribe([topic])
        assert [m.value() for m in ck.read(c, 3000)] == ck.numbers(3000)


def delivery_error(topic, value, **settings):
    errors = []
    p = ck.producer(**settings)
    p.produce(topic, value, on_delivery=lambda e, m: errors.append(e))
    assert p.flush(common.PATIENCE_S) == 0
    return errors[0] and errors[0].code()


def test_message_too_large_for_the_broker(topic):
    big = random.Random(5).randbytes(2_000_000)
    assert delivery_error(topic, big, message_max_bytes=10_000_000) == KafkaError.MSG_SIZE_TOO_LARGE
    assert delivery_error(topic, big[:900_000]) is None


@pytest.mark.topic(configs={"max.message.bytes": "6000000"})
def test_large_messages(topic):
    values = [random.Random(i).randbytes(5_000_000) for i in range(3)]
    ck.send_all(topic, values, message_max_bytes=10_000_000)
    with ck.consumer(fetch_message_max_bytes=100_000) as c:
        c.subscribe([topic])
        assert [m.value() for m in ck.read(c, 3)] == values


@pytest.mark.topic(configs={"cleanup.policy": "compact"})
def test_compacted_topic_wants_keys(topic):
    assert delivery_error(topic, b"x") == KafkaError.INVALID_RECORD


@pytest.mark.topic(configs={"message.timestamp.type": "LogAppendTime"})
def test_log_append_time(topic):
    before = int(time.time() * 1000)
    told = ck.send_all(topic, ck.numbers(5))
    with ck.consumer() as c:
        c.subscribe([topic])
        read = [m.timestamp() for m in ck.read(c, 5)]
    assert [kind for kind, _ in read] == [2] * 5
    assert [t for _, t in read] == [m.timestamp()[1] for m in told] and all(before <= t <= time.time() * 1000 for _, t in read)


def test_an_absent_topic_is_an_error_for_a_consumer_that_may_not_create_it():
    with ck.consumer(allow_auto_create_topics="false") as c:
        c.subscribe([common.unique("absent")])

        def event():
            message = c.poll(0.2)
            return message and message.error()

        assert common.wait_until(event, "an error event").code() == KafkaError.UNKNOWN_TOPIC_OR_PART


@pytest.mark.topic(partitions=2)
def test_watermarks_positions_and_seek(topic):
    ck.send_all(topic, ck.numbers(50), partition=1)
    with ck.consumer() as c:
        assert c.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 0)
        assert c.get_watermark_offsets(TopicPartition(topic, 1)) == (0, 50)
        c.assign([TopicPartition(topic, 1, 10)])
        assert [m.offset() for m in ck.read(c, 40)] == list(range(10, 50))
        assert c.position([TopicPartition(topic, 1)])[0].offset == 50
        c.seek(TopicPartition(topic, 1, 45))
        assert [m.offset() for m in ck.read(c, 5)] == list(range(45, 50))
        c.seek(TopicPartition(topic, 1, OFFSET_BEGINNING))
        assert [m.offset() for m in ck.read(c, 50)] == list(range(50))
        c.seek(TopicPartition(topic, 1, OFFSET_END))
        assert c.consume(10, 1) == []
        ck.send_all(topic, ck.numbers(2), partition=1)
        assert [m.offset() for m in ck.read(c, 2)] == [50, 51]
        c.pause([TopicPartition(topic, 1)])
        ck.send_all(topic, ck.numbers(1), partition=1)
        assert c.consume(10, 0.7) == []
        c.resume([TopicPartition(topic, 1)])
        assert [m.offset() for m in ck.read(c, 1)] == [52]


def test_offsets_for_times(topic):
    base = int(time.time() * 1000) - 60_000
    p = ck.producer(linger_ms=200)
    for i in range(20):
        p.produce(topic, b"x", timestamp=base + i * 100)
    assert p.flush(common.PATIENCE_S) == 0
    with ck.consumer() as c:
        def at(timestamp):
            return c.offsets_for_times([TopicPartition(topic, 0, timestamp)], 10)[0].offset

        assert [at(base + t) for t in (0, 1, 100, 1850, 1900)] == [0, 1, 1, 19, 19]
        assert at(base + 1901) == OFFSET_END


def test_a_waiting_consumer_gets_a_message_at_once(topic):
    ck.send_all(topic, [b"first"])
    with ck.consumer(fetch_wait_max_ms=15000, socket_timeout_ms=60000) as c:
        c.subscribe([topic])
        assert [m.value() for m in ck.read(c, 1)] == [b"first"]
        threading.Timer(1, lambda: ck.send_all(topic, [b"second"])).start()
        began = time.monotonic()
        message = c.poll(12)
        assert message is not None and message.value() == b"second" and time.monotonic() - began < 6


def test_auto_offset_reset_error_tells_the_application(topic):
    ck.send_all(topic, ck.numbers(3))
    with ck.consumer(auto_offset_reset="error") as c:
        c.assign([TopicPartition(topic, 0, 1000)])

        def event():
            message = c.poll(0.2)
            return message and message.error()

        assert common.wait_until(event, "an error event").code() == KafkaError._AUTO_OFFSET_RESET


def test_a_topic_is_created_by_the_first_message():
    name = common.unique("auto")
    assert [m.offset() for m in ck.send_all(name, [b"x"])] == [0]
    assert name in ck.admin().list_topics(timeout=10).topics


def test_metadata_tells_brokers_and_partitions(topic):
    told = ck.admin().list_topics(topic, timeout=10)
    assert len(told.brokers) == 1 and told.controller_id in told.brokers and told.cluster_id
    broker = told.brokers[told.controller_id]
    assert f"{broker.host}:{broker.port}" == common.BOOTSTRAP
    assert {p: (m.leader, m.replicas, m.isrs, m.error) for p, m in told.topics[topic].partitions.items()} == {0: (broker.id, [broker.id], [broker.id], None)}


def test_reading_while_writing_goes_on(topic):
    stop, sent = threading.Event(), []

    def produce():
        while not stop.is_set():
            sent.extend(ck.send_all(topic, ck.numbers(200, len(sent)), linger_ms=1))

    writer = threading.Thread(target=produce, daemon=True)
    writer.start()
    with ck.consumer() as c:
        c.subscribe([topic])
        ck.read(c, 1500)
        stop.set()
        writer.join(common.PATIENCE_S)
        c.seek(TopicPartition(topic, 0, OFFSET_BEGINNING))
        assert [m.value() for m in ck.read(c, len(sent))] == ck.numbers(len(sent))

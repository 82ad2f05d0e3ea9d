"""What a broker keeps when it is stopped, and when it is killed with kill -9 under load: with kafka-python and confluent-kafka, on a broker that each test starts itself.

OTTLA_KIND says which (ottla, or kafka). After kill -9 Kafka relies on the operating system, which keeps running here; so it passes as well.
"""

import os
import pathlib
import sys
import threading
import time

import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

import common
import kp

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "oracle"))
import brokers  # noqa: E402


# Kafka writes log start offsets down once a minute; a test can't wait for that.
SOON = {"log.flush.start.offset.checkpoint.interval.ms": "200"}


@pytest.fixture(scope="session", autouse=True)
def coordinator():
    """Instead of conftest.py's, which looks for a broker that runs already."""


@pytest.fixture
def broker():
    kind = brokers.KINDS[os.environ.get("OTTLA_KIND", "ottla")]
    with kind(settings={"num.partitions": "2", "offsets.topic.num.partitions": "4", **SOON}) as running:
        yield running


def stop_or_kill(broker, how):
    broker.stop() if how == "stop" else broker.kill()
    broker.start()


def everything(broker, topic, partitions):
    """All records of `topic` as partition -> [(offset, value)]."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=None)
    try:
        tps = [TopicPartition(topic, p) for p in range(partitions)]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        ends = consumer.end_offsets(tps)
        found = {p: [] for p in range(partitions)}
        deadline = time.monotonic() + common.PATIENCE_S
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            assert time.monotonic() < deadline, f"read {[len(r) for r in found.values()]} of {ends}"
            for tp, records in consumer.poll(timeout_ms=500).items():
                found[tp.partition] += [(r.offset, r.value) for r in records]
        return found
    finally:
        consumer.close()


def admin_of(broker):
    return KafkaAdminClient(bootstrap_servers=broker.bootstrap)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_topics_records_configs_offsets_and_log_starts_are_kept(broker, how):
    admin = admin_of(broker)
    admin.create_topics({"kept": {"num_partitions": 3, "replication_factor": 1, "configs": {"retention.ms": "987654321"}}, "doomed": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    topic_id = admin.describe_topics(["kept"])[0]["topic_id"]
    cluster_id = admin.describe_cluster()["cluster_id"]
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for i in range(300):
        producer.send("kept", str(i).encode(), partition=i % 3)
    producer.send("doomed", b"old")
    producer.flush(common.PATIENCE_S)
    producer.close()
    tp = TopicPartition("kept", 0)
    common.wait_until(lambda: committed(broker, "group", {tp: OffsetAndMetadata(42, "answer", -1)}), "the commit")
    assert admin.delete_records({TopicPartition("kept", 1): 60})[TopicPartition("kept", 1)]["low_watermark"] == 60
    admin.create_partitions({"kept": 4})
    admin.delete_topics(["doomed"])
    common.wait_until(lambda: "doomed" not in admin.list_topics(), "the topic is gone")
    admin.close()
    time.sleep(0.5)  # SOON

    stop_or_kill(broker, how)

    admin = admin_of(broker)
    told = admin.describe_topics(["kept"])[0]
    assert told["topic_id"] == topic_id and len(told["partitions"]) == 4 and admin.describe_cluster()["cluster_id"] == cluster_id
    assert "doomed" not in admin.list_topics()
    assert admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "kept")], config_filter="all")["topic"]["kept"]["retention.ms"]["value"] == "987654321"
    found = everything(broker, "kept", 4)
    assert found == {0: rows(0, 0), 1: rows(1, 60), 2: rows(2, 0), 3: []}
    common.wait_until(lambda: offsets(admin, "group") == {tp: (42, "answer")}, lambda: f"offsets are {offsets(admin, 'group')}")
    admin.create_topics({"doomed": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    assert everything(broker, "doomed", 1) == {0: []}
    admin.close()


def rows(partition, start):
    return [(o, str(3 * o + partition).encode()) for o in range(start, 100)]


def committed(broker, group, wanted):
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group, enable_auto_commit=False)
    try:
        consumer.assign(list(wanted))
        consumer.commit(wanted)
        return all(consumer.committed(tp) == o.offset for tp, o in wanted.items())
    finally:
        consumer.close()


def offsets(admin, group):
    try:
        return {tp: (o.offset, o.metadata) for tp, o in admin.list_group_offsets(group)[group].items()}
    except KafkaError:
        return None  # the coordinator is still reading


def test_an_idempotent_producer_outlives_kills_and_nothing_is_lost_or_doubled(broker):
    """Five kills under load. Every acknowledged record is there once, in order; what was never acknowledged may be there, also once and in order."""
    admin = admin_of(broker)
    admin.create_topics({"load": {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    acknowledged, failed = {0: [], 1: []}, []
    stop = threading.Event()

    def produce():
        producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "linger.ms": 1, "reconnect.backoff.max.ms": 200, "message.timeout.ms": 60000})

        def told(error, message):
            if error:
                failed.append(error)
            else:
                acknowledged[message.partition()].append((message.offset(), int(message.value())))

        i = 0
        while not stop.is_set():
            producer.produce("load", str(i).encode(), partition=i % 2, on_delivery=told)
            producer.poll(0)
            i += 1
            time.sleep(0.001)
        assert producer.flush(60) == 0

    writer = threading.Thread(target=produce, daemon=True)
    writer.start()
    for _ in range(5):
        before = len(acknowledged[0])
        common.wait_until(lambda: len(acknowledged[0]) > before + 50, "some are acknowledged")  # noqa: B023
        broker.kill()
        broker.start()
    before = len(acknowledged[0])
    common.wait_until(lambda: len(acknowledged[0]) > before + 50, "some more are acknowledged")
    stop.set()
    writer.join(90)
    assert not writer.is_alive() and failed == []
    found = everything(broker, "load", 2)
    for partition in range(2):
        values = [int(v) for _, v in found[partition]]
        assert values == sorted(set(values)), "once each, in order"
        place = {o: int(v) for o, v in found[partition]}
        assert all(place.get(o) == v for o, v in acknowledged[partition]), "every acknowledged record is where it was said to be"


def test_a_group_goes_on_after_a_kill(broker):
    admin = admin_of(broker)
    admin.create_topics({"read": {"num_partitions": 4, "replication_factor": 1}}, wait_for_metadata=True)
    members = [kp.Member("read", "readers", name=f"member-{i}", bootstrap_servers=broker.bootstrap, auto_commit_interval_ms=100, session_timeout_ms=6000) for i in range(2)]
    try:
        for member in members:
            member.begin()
        common.settle(members, range(4), [2, 2])
        send(broker, 0, 200)
        common.wait_until(lambda: len({r[:2] for r in common.consumed(members)}) == 200, "the first 200")
        time.sleep(0.5)
        broker.kill()
        broker.start()
        send(broker, 200, 400)
        common.wait_until(lambda: len({r[:2] for r in common.consumed(members)}) == 400, lambda: f"{len({r[:2] for r in common.consumed(members)})} of 400", within_s=60)
        assert sorted(int(v) for v in {r[2] for r in common.consumed(members)}) == list(range(400))
        common.settle(members, range(4), [2, 2], within_s=60)
    finally:
        for member in members:
            member.stopping.set()
        for member in members:
            member.join(common.PATIENCE_S)
    common.wait_until(lambda: sum(o for o, _ in (offsets(admin, "readers") or {}).values()) == 400, lambda: f"committed: {offsets(admin, 'readers')}")
    admin.close()


def send(broker, start, end):
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    futures = [producer.send("read", str(i).encode(), partition=i % 4) for i in range(start, end)]
    for future in futures:
        future.get(common.PATIENCE_S)
    producer.close()

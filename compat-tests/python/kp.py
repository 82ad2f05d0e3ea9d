"""kafka-python's consumers, producers and group members, as the suites in test_kafka_python_*.py use them."""

import contextlib

from kafka.admin import ConfigResource, ConfigResourceType
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

import common


# A poll() of kafka-python 3.0.12 that ends while it waits for a SyncGroup's answer loses the assignment for good (the answer comes, nothing is set); so polls are long.
POLL_MS = 2000


def producer(**settings):
    settings = {"bootstrap_servers": common.BOOTSTRAP, **settings}
    return contextlib.closing(KafkaProducer(**settings))


def consumer(*topics, **settings):
    settings = {"bootstrap_servers": common.BOOTSTRAP, "auto_offset_reset": "earliest", "heartbeat_interval_ms": 300, "session_timeout_ms": 10000, **settings}
    return contextlib.closing(KafkaConsumer(*topics, **settings))


def admin(**settings):
    return contextlib.closing(KafkaAdminClient(bootstrap_servers=common.BOOTSTRAP, **settings))


def create_topic(name, partitions=1, configs=None):
    with admin() as client:
        client.create_topics({name: {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}}, wait_for_metadata=True)
    return name


def log_size(topic):
    """Bytes of all partitions of `topic`, as DescribeLogDirs tells them."""
    with admin() as client:
        found = client.describe_log_dirs([topic])
    return sum(p["partition_size"] for broker in found for d in broker["log_dirs"] for t in d["topics"] if t["name"] == topic for p in t["partitions"])


def partitions_of(topic, count):
    return [TopicPartition(topic, p) for p in range(count)]


def send_all(topic, count, partition=None, **settings):
    """Sends `count` values b"0", b"1", ... and returns their metadata, in order, when all are acknowledged."""
    with producer(**settings) as p:
        futures = [p.send(topic, str(i).encode(), partition=partition) for i in range(count)]
        p.flush(common.PATIENCE_S)
        return [f.get(common.PATIENCE_S) for f in futures]


def read(source, count):
    """Polls `source` until it has `count` records, then once more, so that a surplus is seen. Returns them in the order of arrival."""
    records = []

    def enough():
        for batch in source.poll(timeout_ms=POLL_MS).values():
            records.extend(batch)
        return len(records) >= count

    common.wait_until(enough, lambda: f"{len(records)} of {count} records")
    for batch in source.poll(timeout_ms=300).values():
        records.extend(batch)
    return records


def resource(kind, name, configs=None):
    return ConfigResource(ConfigResourceType[kind.upper()], name, configs)


class Member(common.Member):
    """A group's member with kafka-python."""

    def __init__(self, topic, group, name="member", **settings):
        super().__init__(name)
        self.topic, self.group, self.settings = topic, group, settings
        self.cooperative = any("cooperative" in getattr(s, "name", "") for s in settings.get("partition_assignment_strategy", ()))

    def open(self):
        settings = {"group_id": self.group, "auto_offset_reset": "earliest", "heartbeat_interval_ms": 300, "session_timeout_ms": 10000, "client_id": self.name, "bootstrap_servers": common.BOOTSTRAP, **self.settings}
        self.consumer = KafkaConsumer(**settings)
        self.consumer.subscribe([self.topic], listener=Listener(self))

    def poll_once(self):
        for batch in self.consumer.poll(timeout_ms=POLL_MS).values():
            self.records.extend((r.partition, r.offset, r.value) for r in batch)

    def close(self):
        self.consumer.close()


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    def on_partitions_revoked(self, revoked):
        self.member.revoked(tp.partition for tp in revoked)

    def on_partitions_assigned(self, assigned):
        self.member.assigned((tp.partition for tp in assigned), incremental=self.member.cooperative)

"""confluent-kafka's consumers, producers and group members, as the suites in test_confluent_*.py use them."""

import contextlib

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

import common


def producer(**settings):
    """Settings as keywords, with _ for the . in their names."""
    return Producer({"bootstrap.servers": common.BOOTSTRAP, **dotted(settings)})


def consumer(group=None, **settings):
    base = {"bootstrap.servers": common.BOOTSTRAP, "group.id": group or common.unique("group"), "auto.offset.reset": "earliest",
            "session.timeout.ms": 10000, "heartbeat.interval.ms": 300}
    return contextlib.closing(Consumer({**base, **dotted(settings)}))


def admin():
    return AdminClient({"bootstrap.servers": common.BOOTSTRAP})


def dotted(settings):
    return {name if name.startswith("on_") else name.replace("_", "."): value for name, value in settings.items()}


def send_all(topic, values, partition=None, **settings):
    """Sends `values` and returns their delivered messages, in the order of delivery. Any delivery error fails the test."""
    delivered, errors = [], []

    def on_delivery(error, message):
        errors.append(error) if error else delivered.append(message)

    p = producer(**settings)
    for value in values:
        place = {} if partition is None else {"partition": partition}
        p.produce(topic, value, on_delivery=on_delivery, **place)
        p.poll(0)
    assert p.flush(common.PATIENCE_S) == 0
    assert errors == []
    return delivered


def numbers(count, start=0):
    return [str(i).encode() for i in range(start, start + count)]


def read(source, count):
    """Polls until `count` messages are there, then once more, so that a surplus is seen. An error event raises."""
    messages = []

    def enough():
        for message in source.consume(500, 0.2):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
        return len(messages) >= count

    common.wait_until(enough, lambda: f"{len(messages)} of {count} messages")
    messages.extend(source.consume(500, 0.3))
    return messages


class Member(common.Member):
    """A group's member with confluent-kafka."""

    def __init__(self, topic, group, name="member", **settings):
        super().__init__(name)
        self.topic, self.group = topic, group
        self.settings = {"client.id": name, "partition.assignment.strategy": "range", **dotted(settings)}
        self.cooperative = "cooperative" in self.settings["partition.assignment.strategy"]

    def open(self):
        base = {"bootstrap.servers": common.BOOTSTRAP, "group.id": self.group, "auto.offset.reset": "earliest",
                "session.timeout.ms": 10000, "heartbeat.interval.ms": 300}
        self.consumer = Consumer({**base, **self.settings})
        self.consumer.subscribe(
            [self.topic],
            on_assign=lambda _, ps: self.assigned((p.partition for p in ps), incremental=self.cooperative),
            on_revoke=lambda _, ps: self.revoked(p.partition for p in ps),
            on_lost=lambda _, ps: self.revoked((p.partition for p in ps), kind="lost"),
        )

    def poll_once(self):
        message = self.consumer.poll(0.1)
        if message is None:
            return
        if message.error():
            raise KafkaException(message.error())
        self.records.append((message.partition(), message.offset(), message.value()))

    def close(self):
        self.consumer.close()

"""The Kafka module of testcontainers-python, unmodified, with Ottla's image in the place of Confluent's, tagged as one of Confluent's that can do without ZooKeeper, because the
module looks at that. What clients reach is the address that the module gives, which is all that they are told."""

import socket
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError
from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.network import Network

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"

pytestmark = pytest.mark.timeout(60)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def exchange(bootstrap, topic):
    """Makes a topic, sends to it and reads from it in a group, with kafka-python."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])
    assert topic in admin.list_topics()
    admin.close()
    sent = {f"record {number}".encode() for number in range(30)}
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    for value in sent:
        producer.send(topic, key=value, value=value)
    producer.flush(timeout=20)
    producer.close()
    assert read(bootstrap, topic, len(sent)) == sent


def read(bootstrap, topic, count):
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=f"readers-{uuid.uuid4()}", auto_offset_reset="earliest", consumer_timeout_ms=15000)
    values = set()
    for record in consumer:
        values.add(record.value)
        if len(values) == count:
            consumer.commit()
            break
    consumer.close()
    return values


def told(container):
    """The log, standard output and error."""
    out, err = container.get_logs()
    return (out + err).decode()


def test_with_kraft():
    with KafkaContainer("ottla:8.0.0").with_kraft().with_cluster_id(CLUSTER_ID) as kafka:
        exchange(kafka.get_bootstrap_server(), "kraft")
        admin = KafkaAdminClient(bootstrap_servers=kafka.get_bootstrap_server())
        described = admin.describe_cluster()
        admin.close()
    assert described["cluster_id"] == CLUSTER_ID
    host, port = kafka_address(described)
    assert (host, port) != ("localhost", 9093), "the mapped port is told, not the container's own"


def kafka_address(described):
    (broker,) = described["brokers"]
    return broker["host"], broker["port"]


def test_with_zookeeper():
    """The module's preset: it starts a ZooKeeper in the container, and waits for the broker's line of that time."""
    with KafkaContainer("ottla:8.0.0") as kafka:
        exchange(kafka.get_bootstrap_server(), "zookeeper")
        assert "ZooKeeper is not needed" in told(kafka)


def test_librdkafka():
    with KafkaContainer("ottla:8.0.0").with_kraft() as kafka:
        servers = {"bootstrap.servers": kafka.get_bootstrap_server()}
        producer = Producer(servers)
        failed = []
        for number in range(30):
            producer.produce("letters", key=str(number), value=f"letter {number}", on_delivery=lambda error, _: error and failed.append(error))
        assert producer.flush(20) == 0 and not failed
        consumer = Consumer({**servers, "group.id": "readers", "auto.offset.reset": "earliest"})
        consumer.subscribe(["letters"])
        records = []
        while len(records) < 30:
            record = consumer.poll(15)
            assert record is not None and record.error() is None, f"{len(records)} of 30 came"
            records.append(record.value().decode())
        consumer.close()
    assert sorted(records) == sorted(f"letter {number}" for number in range(30))


def test_another_listener_and_port():
    """The names and ports that the module lets its users choose."""
    with KafkaContainer("ottla:8.0.0", port=19092, listener_name="OUTSIDE").with_kraft() as kafka:
        exchange(kafka.get_bootstrap_server(), "outside")


def test_a_neighbour_in_the_network():
    """A second container reaches the first by its alias, at the listener for brokers, with Kafka's tools."""
    with Network() as network, KafkaContainer("ottla:8.0.0").with_kraft().with_network(network).with_network_aliases("kafka") as kafka:
        exchange(kafka.get_bootstrap_server(), "inside")
        with KafkaContainer("ottla:8.0.0").with_kraft().with_network(network).with_network_aliases("neighbour") as neighbour:
            done = neighbour.exec(["kafka-topics", "--bootstrap-server", "kafka:9092", "--list"])
            assert done.exit_code == 0 and "inside" in done.output.decode().split(), done.output


def test_a_restart_keeps_records():
    """With a port that stays, because Docker gives a container that is started again another one."""
    with KafkaContainer("ottla:8.0.0").with_kraft().with_bind_ports(9093, free_port()) as kafka:
        bootstrap = kafka.get_bootstrap_server()
        produce(bootstrap, "kept", b"before")
        kafka.get_wrapped_container().restart()
        wait_until_served(bootstrap)
        produce(bootstrap, "kept", b"after")
        assert read(bootstrap, "kept", 2) == {b"before", b"after"}


def produce(bootstrap, topic, value):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    producer.send(topic, value=value).get(timeout=20)
    producer.close()


def wait_until_served(bootstrap):
    ends = time.monotonic() + 20
    while True:
        try:
            return KafkaAdminClient(bootstrap_servers=bootstrap).close()
        except KafkaError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.2)

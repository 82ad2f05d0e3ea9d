"""The same load on Apache Kafka and on Ottla, and the values that each tells of it: Kafka's through Prometheus's JMX exporter, under the names that Strimzi's rules
give them, and Ottla's own.

What a client can make the same to the record is compared: records, bytes, requests, partitions, offsets, commits, groups and their lag.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "oracle"))

import brokers  # noqa: E402
from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # noqa: E402
from kafka.admin import KafkaAdminClient, NewTopic  # noqa: E402
from kafka.structs import OffsetAndMetadata  # noqa: E402

AGENT = ("io.prometheus.jmx", "jmx_prometheus_javaagent", "1.0.1")
# JSON is YAML. The names are those of Strimzi's rules, for what is compared.
RULES = {
    "lowercaseOutputName": True,
    "includeObjectNames": ["kafka.server:*", "kafka.network:type=RequestMetrics,*", "kafka.controller:*", "kafka.log:type=Log,*"],
    "rules": [
        {"pattern": r"kafka.(\w+)<type=(.+), name=(.+)PerSec\w*, (.+)=(.+), (.+)=(.+)><>Count", "type": "COUNTER", "name": "kafka_$1_$2_$3_total", "labels": {"$4": "$5", "$6": "$7"}},
        {"pattern": r"kafka.(\w+)<type=(.+), name=(.+)PerSec\w*, (.+)=(.+)><>Count", "type": "COUNTER", "name": "kafka_$1_$2_$3_total", "labels": {"$4": "$5"}},
        {"pattern": r"kafka.(\w+)<type=(.+), name=(.+)PerSec\w*><>Count", "type": "COUNTER", "name": "kafka_$1_$2_$3_total"},
        {"pattern": r"kafka.(\w+)<type=(.+), name=(.+), (.+)=(.+), (.+)=(.+)><>Value", "name": "kafka_$1_$2_$3", "labels": {"$4": "$5", "$6": "$7"}},
        {"pattern": r"kafka.(\w+)<type=(.+), name=(.+)><>Value", "name": "kafka_$1_$2_$3"},
        {"pattern": r"kafka.server<type=(.+), (.+)=(.+)><>(.+):", "name": "kafka_server_$1_$4", "labels": {"$2": "$3"}},
        {"pattern": r"kafka.server<type=(.+)><>(.+):", "name": "kafka_server_$1_$2"},
    ],
}
TOPIC, GROUP, PARTITIONS, RECORDS, COMMITTED = "letters", "readers", 3, 60, 7

# Series that both must tell with the same value. {...} are labels that a series must have, in any order. Not among them: requests that Kafka's broker hands on to
# its controller, which counts them again, and the numbers of groups, which Kafka looks up once a minute.
SAME = [
    f'kafka_server_brokertopicmetrics_messagesin_total{{topic="{TOPIC}"}}',
    f'kafka_server_brokertopicmetrics_bytesin_total{{topic="{TOPIC}"}}',
    f'kafka_server_brokertopicmetrics_bytesout_total{{topic="{TOPIC}"}}',
    f'kafka_server_brokertopicmetrics_totalproducerequests_total{{topic="{TOPIC}"}}',
    'kafka_network_requestmetrics_requests_total{request="Produce"}',
    'kafka_network_requestmetrics_requests_total{request="OffsetCommit"}',
    'kafka_network_requestmetrics_errors_total{request="Produce",error="NONE"}',
    "kafka_server_replicamanager_partitioncount",
    "kafka_server_replicamanager_leadercount",
    "kafka_server_replicamanager_underreplicatedpartitions",
    "kafka_server_replicamanager_underminisrpartitioncount",
    "kafka_controller_kafkacontroller_activecontrollercount",
    "kafka_controller_kafkacontroller_offlinepartitionscount",
    "kafka_controller_kafkacontroller_globaltopiccount",
    "kafka_controller_kafkacontroller_globalpartitioncount",
    "kafka_controller_kafkacontroller_activebrokercount",
    "kafka_server_group_coordinator_metrics_offset_commit_count",
    "kafka_server_group_coordinator_metrics_group_completed_rebalance_count",
    *(f'kafka_log_log_logendoffset{{topic="{TOPIC}",partition="{n}"}}' for n in range(PARTITIONS)),
    *(f'kafka_log_log_logstartoffset{{topic="{TOPIC}",partition="{n}"}}' for n in range(PARTITIONS)),
]


def agent():
    """The JMX exporter's jar, from Maven once."""
    group, name, version = AGENT
    jar = pathlib.Path(os.environ.get("OTTLA_CACHE", pathlib.Path.home() / ".cache" / "ottla")) / "jmx" / f"{name}-{version}.jar"
    if not jar.exists():
        jar.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy", f"-Dartifact={group}:{name}:{version}", f"-DoutputDirectory={jar.parent}"],
            check=True, stdout=sys.stderr)
    return jar


class WatchedKafka(brokers.Kafka):
    """Kafka with the JMX exporter in it."""

    def __init__(self, metrics_port):
        super().__init__()
        rules = self.folder / "jmx.yml"
        rules.write_text(json.dumps(RULES))
        self.option = f"-javaagent:{agent()}={metrics_port}:{rules}"

    def environment(self):
        return dict(os.environ, JAVA_TOOL_OPTIONS=self.option)


def load(bootstrap):
    """What both brokers get: records one at a time, one that is refused, a group's member that reads all and commits, and a commit from outside."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1), NewTopic("small", 1, 1, topic_configs={"max.message.bytes": "200"})])
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", retries=0, enable_idempotence=False)
    for n in range(RECORDS):
        producer.send(TOPIC, b"x" * 100, key=b"k", partition=n % PARTITIONS, timestamp_ms=int(time.time() * 1000)).get(10)
    try:
        producer.send("small", b"y" * 1000).get(10)
        raise AssertionError("a record beyond max.message.bytes was taken")
    except Exception as refused:
        if "MessageSizeTooLarge" not in repr(refused):
            raise
    producer.close()
    consumer = KafkaConsumer(TOPIC, bootstrap_servers=bootstrap, group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest")
    # Before it joins: a member that hears of the partitions later joins twice.
    consumer.partitions_for_topic(TOPIC)
    read = 0
    deadline = time.monotonic() + 60
    while read < RECORDS and time.monotonic() < deadline:
        read += sum(map(len, consumer.poll(200).values()))
    consumer.commit({TopicPartition(TOPIC, n): OffsetAndMetadata(COMMITTED, "", -1) for n in range(PARTITIONS)})
    ends = consumer.end_offsets([TopicPartition(TOPIC, n) for n in range(PARTITIONS)])
    lag = {partition.partition: end - COMMITTED for partition, end in ends.items()}
    consumer.close(autocommit=False)
    admin.close()
    return lag


def fetch(url, tries=5):
    """The page, asked for again where it does not come: the exporter in Kafka stalls now and then while the broker starts."""
    for last in range(tries):
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return reply.read().decode()
        except OSError:
            if last == tries - 1:
                raise
    return ""


def series(address):
    """The page's values: (name, labels) to value."""
    page = fetch(f"http://{address}/metrics")
    found = {}
    for line in page.splitlines():
        match = re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)', line)
        if match:
            labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            found[match[1], labels] = float(match[3])
    return found


def value(found, wanted):
    """The sum of the series with these labels and no others but a version; None where there is none."""
    name, _, rest = wanted.partition("{")
    labels = frozenset(re.findall(r'(\w+)="([^"]*)"', rest))
    fitting = [v for (n, ls), v in found.items() if n == name and frozenset(pair for pair in ls if pair[0] != "version") == labels]
    return sum(fitting) if fitting else None


def told_by(broker_of):
    """Starts a broker, loads it, and gives what it then tells, with the lag that a client sees."""
    port = brokers.free_port()
    with broker_of(port) as broker:
        lag = load(broker.bootstrap)
        before = None
        # Gauges of Kafka follow what happened within a second or two.
        for _ in range(20):
            found = series(f"127.0.0.1:{port}")
            values = {wanted: value(found, wanted) for wanted in SAME}
            if values == before:
                break
            before = values
            time.sleep(1.5)
        return values, found, lag


def compare(check):
    kafka, _, kafka_lag = told_by(WatchedKafka)
    ottla, found, ottla_lag = told_by(lambda port: brokers.Ottla(settings={"metrics.address": f"127.0.0.1:{port}"}))
    for wanted in SAME:
        check(f"as Kafka tells it: {wanted}", kafka[wanted] is not None and kafka[wanted] == ottla[wanted], f"Kafka {kafka[wanted]}, Ottla {ottla[wanted]}")
    check("the lag that clients see is the same", kafka_lag == ottla_lag, (kafka_lag, ottla_lag))
    for partition, lag in kafka_lag.items():
        series_name = f'kafka_consumergroup_lag{{consumergroup="{GROUP}",topic="{TOPIC}",partition="{partition}"}}'
        check(f"and is told: {series_name}", value(found, series_name) == lag, value(found, series_name))


def main():
    results = []

    def check(name, good, detail=""):
        results.append(bool(good))
        print(f"{'PASS' if good else 'FAIL'} {name}{'' if good else ': ' + str(detail)}", flush=True)

    compare(check)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

"""A real Prometheus scrapes an Ottla that serves a real client, and is asked what dashboards and alerts ask.

Every check prints one line; the last line is "N passed, N failed". Numbers are compared with what the client did, to the record. The broker, Prometheus and
their folders are this run's own. At the end jmx.py holds the values against Apache Kafka's.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import traceback
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "oracle"))

import brokers  # noqa: E402
import jmx  # noqa: E402
import yaml  # noqa: E402
from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # noqa: E402
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic  # noqa: E402
from kafka.errors import InvalidTimestampError, MessageSizeTooLargeError  # noqa: E402
from kafka.structs import OffsetAndMetadata  # noqa: E402

TOPIC, SMALL, GROUP = "letters", "postcards", "readers"
PARTITIONS, RECORDS, COMMITTED = 3, 300, 40
# How long rates are watched: irate() needs two samples, at one a second.
TRAFFIC_S = 8

RESULTS = []


def check(name, good, detail=""):
    RESULTS.append(bool(good))
    print(f"{'PASS' if good else 'FAIL'} {name}{'' if good else ': ' + str(detail)}", flush=True)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


class Prometheus:
    """One Prometheus in a folder of its own, scraping one address every second, with the rules of deploy/."""

    def __init__(self, target):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="prometheus-"))
        self.port = brokers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in sorted((ROOT / "deploy" / "prometheus").glob("*.rules.yml"))],
            "scrape_configs": [{"job_name": "ottla", "static_configs": [{"targets": [target]}]}],
        }
        # JSON is YAML.
        (self.folder / "prometheus.yml").write_text(json.dumps(config))

    def __enter__(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for _ in range(200):
            try:
                get(f"{self.url}/-/ready")
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise SystemExit(f"Prometheus did not start:\n{(self.folder / 'log').read_text()}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, expression):
        """The samples of an instant query: (labels, value)."""
        reply = json.loads(get(f"{self.url}/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        data = reply["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def number(self, expression):
        """The one value of an expression; None when there is none or several."""
        samples = self.ask(expression)
        return samples[0][1] if len(samples) == 1 else None

    def wait_for_scrape(self):
        """Until a scrape that began after this call is in."""
        begun = time.time()
        while (self.number("max(timestamp(up))") or 0) <= begun + 0.5:
            time.sleep(0.2)

    def healthy_target(self):
        targets = json.loads(get(f"{self.url}/api/v1/targets"))["data"]["activeTargets"]
        return [(target["health"], target["lastError"]) for target in targets]


class Traffic:
    """A producer, a group of two consumers, failed requests, and an admin client, as kafka-python makes them."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.stop = threading.Event()
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1), NewTopic(SMALL, 1, 1, topic_configs={"max.message.bytes": "200", "message.timestamp.after.max.ms": "1000"})])
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", retries=0)
        self.sent = 0
        self.too_large = 0
        self.too_late = 0
        self.fetched_from = set()

    def produce(self, count):
        """Sends records and waits until all are acknowledged."""
        sent = [self.producer.send(TOPIC, b"x" * 100, partition=n % PARTITIONS) for n in range(count)]
        for one in sent:
            one.get(10)
        self.sent += count

    def fail(self):
        """Produces that the broker refuses: as for Kafka, only the second one counts as failed."""
        try:
            self.producer.send(SMALL, b"y" * 1000).get(10)
        except MessageSizeTooLargeError:
            self.too_large += 1
        try:
            self.producer.send(SMALL, b"y", timestamp_ms=int(time.time() * 1000) + 3_600_000).get(10)
        except InvalidTimestampError:
            self.too_late += 1

    def commit(self):
        """Commits COMMITTED records of each of the topic's partitions but the last."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=GROUP, enable_auto_commit=False)
        partitions = [TopicPartition(TOPIC, index) for index in range(PARTITIONS - 1)]
        consumer.assign(partitions)
        consumer.commit({partition: OffsetAndMetadata(COMMITTED, "", -1) for partition in partitions})
        consumer.close()

    def consume(self):
        """One member of the group, which reads and never commits, until the end."""
        consumer = KafkaConsumer(TOPIC, bootstrap_servers=self.bootstrap, group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest")
        while not self.stop.is_set():
            for partition in consumer.poll(200):
                self.fetched_from.add(partition.partition)
        consumer.close(autocommit=False)

    def __enter__(self):
        self.produce(RECORDS)
        self.commit()
        self.members = [threading.Thread(target=self.consume, daemon=True) for _ in range(2)]
        for member in self.members:
            member.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for member in self.members:
            member.join(20)
        self.producer.close()
        self.admin.close()


def page_of(address):
    return get(f"http://{address}/metrics")


def lint(address):
    """promtool's opinion of the page: empty when it is clean."""
    done = subprocess.run(["promtool", "check", "metrics"], input=page_of(address), text=True, capture_output=True)
    return (done.stdout + done.stderr).strip()


def check_dashboards(prometheus):
    """No panel is empty that has data in Kafka; panels of what is not there are as empty as the list says."""
    told = tomllib.loads((HERE / "dashboards.toml").read_text())
    absent = {re.compile(pattern): 0 for pattern in told["absent"]}
    for dashboard in told["dashboard"]:
        empty, shown = [], 0
        for title, expression in dashboard["panels"]:
            patterns = [pattern for pattern in absent if any(pattern.search(name) for name in re.findall(r"[a-z_]+_[a-z_]+", expression))]
            for pattern in patterns:
                absent[pattern] += 1
            if patterns:
                if prometheus.ask(expression):
                    empty.append(f"{title} has data, and is listed as absent")
                continue
            if prometheus.ask(expression):
                shown += 1
            else:
                empty.append(f"{title}: {expression}")
        check(f"{dashboard['name']}: {shown} expressions have data", not empty, empty)
    check("what is listed as absent is asked for", all(absent.values()), [pattern.pattern for pattern, count in absent.items() if not count])


def check_numbers(prometheus, traffic, broker):
    """What Prometheus holds is what the client did."""
    number = prometheus.number
    b = "kafka_server_brokertopicmetrics_"
    for name in (f'{b}messagesin_total{{topic="{TOPIC}"}}', f'{b}messagesinpersec{{topic="{TOPIC}"}}', f'{b}messagesinpersec_total{{topic="{TOPIC}"}}',
                 f'sum(kafka_topic_partition_current_offset{{topic="{TOPIC}"}})', f'sum(kafka_log_log_logendoffset{{topic="{TOPIC}"}})'):
        check(f"{name} is what was sent", number(name) == traffic.sent, f"{number(name)}, sent {traffic.sent}")
    refused = f'{b}failedproducerequests_total{{topic="{SMALL}"}}'
    check("failed produces are counted", number(refused) == traffic.too_late > 0, number(refused))
    rejected = number(f'{b}bytesrejected_total{{topic="{SMALL}"}}')
    check("bytes that were too many are counted", rejected is not None and rejected >= 1000 * traffic.too_large > 0, rejected)
    code = 'sum(kafka_network_requestmetrics_errorspersec{request="Produce", error="MESSAGE_TOO_LARGE"})'
    check("error codes are counted", number(code) == traffic.too_large, number(code))
    lag = f'kafka_consumergroup_lag{{consumergroup="{GROUP}", topic="{TOPIC}", partition="0"}}'
    end = number(f'kafka_topic_partition_current_offset{{topic="{TOPIC}", partition="0"}}')
    check("lag is the end less what was committed", number(lag) == end - COMMITTED, (number(lag), end))
    total = number(f'kafka_consumergroup_lag_sum{{consumergroup="{GROUP}", topic="{TOPIC}"}}')
    ends = number(f'sum(kafka_topic_partition_current_offset{{topic="{TOPIC}", partition!="{PARTITIONS - 1}"}})')
    check("lag_sum is that of the partitions", total == ends - COMMITTED * (PARTITIONS - 1), (total, ends))
    uncommitted = f'kafka_consumergroup_lag{{consumergroup="{GROUP}", topic="{TOPIC}", partition="{PARTITIONS - 1}"}}'
    check("a partition that nothing was committed of has lag -1, as in kafka_exporter", number(uncommitted) == -1, number(uncommitted))
    check("the group has its two members", number(f'kafka_consumergroup_members{{consumergroup="{GROUP}"}}') == 2)
    check("the group is counted as stable", number("kafka_coordinator_group_groupmetadatamanager_numgroupsstable") == 1)
    check("both members were served", number(f'{b}bytesout_total{{topic="{TOPIC}"}}') > 0 and traffic.fetched_from == set(range(PARTITIONS)), traffic.fetched_from)
    software = prometheus.ask("kafka_server_socketservermetrics_connections")
    check("connections are counted by the client's software", any("kafka-python" in labels["client_software_name"] for labels, _ in software), software)
    check("the broker runs", number("kafka_server_kafkaserver_brokerstate") == 3)
    check("one broker, this one", [labels["address"] for labels, _ in prometheus.ask("kafka_broker_info")] == [broker.bootstrap])
    idle = number("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent")
    check("the threads are idle for a share of the time", idle is not None and 0 < idle <= 1, idle)
    synced = number("kafka_log_logflushstats_logflushrateandtimems_count")
    check("syncs are timed", synced is not None and synced > 0, synced)
    parts = [f'kafka_network_requestmetrics_{part}timems_sum{{request="Produce"}}' for part in ("requestqueue", "local", "remote", "responsequeue", "responsesend")]
    whole, summed = number('kafka_network_requestmetrics_totaltimems_sum{request="Produce"}'), number(" + ignoring(__name__) ".join(parts))
    check("a request's stages make up its total", whole and abs(whole - summed) < 0.05 + whole / 100, (whole, summed))
    wait = prometheus.ask('kafka_network_requestmetrics_remotetimems{request="Fetch", quantile="0.99"}')
    check("a fetch that waits for data waits in the remote stage", wait and wait[0][1] > 100, wait)


def check_lag_page(address, traffic):
    page = json.loads(get(f"http://{address}/lag"))
    groups = [group for group in page["groups"] if group["group"] == GROUP]
    check("/lag tells the group", len(groups) == 1 and groups[0]["state"] == "Stable" and groups[0]["members"] == 2, page)
    topic = groups[0]["topics"][0] if groups and groups[0]["topics"] else {"partitions": [], "lag": None}
    offsets = [one["committed_offset"] for one in topic["partitions"]]
    check("/lag tells committed offsets", offsets == [COMMITTED] * (PARTITIONS - 1) + [None], topic)
    told = sum(one["high_watermark"] for one in topic["partitions"])
    check("/lag tells the ends", told == traffic.sent, (told, traffic.sent))
    check("/lag misses nothing", page["untold_partitions"] == [], page)


def check_own(prometheus):
    """The dashboard and the rules of deploy/ have data, too."""
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "ottla.json").read_text())
    empty, shown = [], 0
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$topic", ".*").replace("$group", ".*")
            if prometheus.ask(expression):
                shown += 1
            elif not target.get("mayBeEmpty"):
                empty.append(f"{panel['title']}: {expression}")
    check(f"Ottla's dashboard: {shown} expressions have data", shown and not empty, empty)
    groups = json.loads(get(f"{prometheus.url}/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    bad = [rule["name"] for rule in rules if rule["health"] != "ok"]
    check(f"{len(rules)} rules are evaluated", rules and not bad, bad)
    unfed = [rule["name"] for rule in rules if rule["type"] == "recording" and not prometheus.ask(rule["name"])]
    check("recording rules record", not unfed, unfed)
    firing = [rule["name"] for rule in rules if rule["type"] == "alerting" and rule["state"] == "firing"]
    check("a healthy broker sets off no alarm", not firing, firing)


def check_files():
    """The files of deploy/, as far as their own tools can tell without a cluster."""
    for name, arguments in (("check rules", ["check", "rules"]), ("test rules", ["test", "rules"])):
        pattern = "*.rules.yml" if name == "check rules" else "*.test.yml"
        files = sorted(str(path) for path in (ROOT / "deploy" / "prometheus").glob(pattern))
        done = subprocess.run(["promtool", *arguments, *files], text=True, capture_output=True)
        check(f"promtool {name}", files and done.returncode == 0, done.stdout + done.stderr)
    kubernetes = ROOT / "deploy" / "kubernetes" / "ottla.yaml"
    for version in ("1.30", "1.37"):
        done = subprocess.run([str(pathlib.Path(sys.executable).parent / "kubernetes-validate"), "--strict", "-k", version, str(kubernetes)], text=True, capture_output=True)
        said = done.stdout + done.stderr
        check(f"Kubernetes {version} takes deploy/kubernetes", done.returncode == 0 and said.count(" passed for ") == 4, said)
    config = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    done = subprocess.run(["promtool", "check", "config", "--syntax-only", str(config)], text=True, capture_output=True)
    check("promtool check config", done.returncode == 0, done.stdout + done.stderr)


class Deployed(brokers.Ottla):
    """A broker with a server.properties and an environment of deploy/, which has other ports and folders here."""

    def __init__(self, text, ports, data, environment=()):
        self.text, self.extra = text, dict(environment)
        super().__init__()
        self.moved = {port: str(self.port if port == "9092" else brokers.free_port()) for port in ports}
        self.data = data

    def here(self, text):
        for port, other in self.moved.items():
            text = text.replace(f":{port}", f":{other}")
        return text.replace(self.data, str(self.folder / "data"))

    def write_properties(self):
        path = self.folder / "server.properties"
        path.write_text(self.here(self.text))
        return path

    def command(self, properties):
        return [self.binary(), "serve", str(properties)]

    def environment(self):
        return dict(os.environ, **{name: self.here(value) for name, value in self.extra.items()})


def told_addresses(bootstrap):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        return [f"{one['host']}:{one['port']}" for one in admin.describe_cluster()["brokers"]]
    finally:
        admin.close()


def check_kubernetes():
    """The broker of deploy/kubernetes: what it tells its clients, and what Kubernetes puts into its environment."""
    documents = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "ottla.yaml").read_text()))
    properties = next(one for one in documents if one["kind"] == "ConfigMap")["data"]["server.properties"]
    container = next(one for one in documents if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    environment = {name: value.replace("$(POD_NAME)", "ottla-0").replace("$(POD_NAMESPACE)", "apps") for name, value in given.items()}
    # As of a service that is called kafka, on a cluster where service links are not turned off.
    links = {"KAFKA_SERVICE_HOST": "10.0.0.1", "KAFKA_SERVICE_PORT": "9092", "KAFKA_PORT": "tcp://10.0.0.1:9092", "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
             "KAFKA_PORT_9092_TCP_PROTO": "tcp", "KAFKA_PORT_9092_TCP_PORT": "9092", "KAFKA_PORT_9092_TCP_ADDR": "10.0.0.1"}
    with Deployed(properties, ["9092", "9093", "9094", "9404"], "/var/lib/kafka/data", {**environment, **links}) as broker:
        ready = json.loads(get(f"http://127.0.0.1:{broker.moved['9404']}/ready"))
        check("the pod's broker is ready", ready["ready"] and ready["durability"] == "synced", ready)
        forwarded = f"127.0.0.1:{broker.moved['9094']}"
        check("a forwarded port is told as it was reached", told_addresses(forwarded) == [forwarded], told_addresses(forwarded))
        inside = raw_addresses(broker.port)
        check("applications are told the pod's name", inside == [("ottla-0.ottla-headless.apps.svc", broker.port)], inside)
        said = [line for line in broker.log_file.read_text().splitlines() if "WARN" in line]
        check("a service's variables are no settings", not said, said)


def raw_addresses(port):
    """What a Metadata v1 request is told of brokers: for a client that could not follow it."""
    request = struct.pack(">hhih5s", 3, 1, 7, 5, b"names") + struct.pack(">i", 0)
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        body = stream.read(struct.unpack(">i", stream.read(4))[0])
    count, at, found = struct.unpack_from(">i", body, 4)[0], 8, []
    for _ in range(count):
        length = struct.unpack_from(">h", body, at + 4)[0]
        host = body[at + 6:at + 6 + length].decode()
        at += 6 + length
        found.append((host, struct.unpack_from(">i", body, at)[0]))
        at += 4 + 2 + max(0, struct.unpack_from(">h", body, at + 4)[0])
    return found


def check_unit():
    """The systemd unit: what systemd says of it, and that its server.properties starts a broker."""
    folder = ROOT / "deploy" / "systemd"
    with Deployed((folder / "server.properties").read_text(), ["9092", "9093", "9404"], "/var/lib/ottla/data") as broker:
        ready = json.loads(get(f"http://127.0.0.1:{broker.moved['9404']}/ready"))
        check("the unit's broker is ready", ready["ready"], ready)
        if not shutil.which("systemd-analyze"):
            print("NOT RUN: systemd-analyze verify: it is not installed")
            return
        unit = broker.folder / "ottla.service"
        unit.write_text((folder / "ottla.service").read_text().replace("/usr/local/bin/ottla", broker.binary()))
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], text=True, capture_output=True)
        said = done.stdout + done.stderr
        check("systemd-analyze verify", done.returncode == 0 and not said.strip(), said)


def check_going(prometheus, traffic, address):
    """What is deleted leaves, and the partitions' series can be turned off."""
    traffic.admin.delete_topics([SMALL])
    deadline = time.monotonic() + 10
    while f'topic="{SMALL}"' in page_of(address) and time.monotonic() < deadline:
        time.sleep(0.1)
    check("a deleted topic has no series", f'topic="{SMALL}"' not in page_of(address))
    prometheus.wait_for_scrape()
    check("nor in Prometheus", prometheus.ask(f'{{topic="{SMALL}"}}') == [])
    resource = ConfigResource(ConfigResourceType.BROKER, "1", configs={"ottla.metrics.partition.series": "false"})
    traffic.admin.alter_configs([resource])
    while 'partition="' in page_of(address) and time.monotonic() < deadline + 10:
        time.sleep(0.1)
    page = page_of(address)
    check("ottla.metrics.partition.series=false leaves none of a partition", 'partition="' not in page)
    check("but those of topics and groups", f'kafka_consumergroup_lag_sum{{consumergroup="{GROUP}",topic="{TOPIC}"}}' in page)
    traffic.admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", configs={"ottla.metrics.partition.series": "true"})])


def check_size(traffic, address):
    """Scraping stays cheap with 2,000 partitions more."""
    traffic.admin.create_topics([NewTopic("wide", 2000, 1)])
    deadline = time.monotonic() + 10
    while page_of(address).count('topic="wide"') < 2000 and time.monotonic() < deadline:
        time.sleep(0.1)
    times = []
    for _ in range(5):
        begun = time.monotonic()
        page = page_of(address)
        times.append(time.monotonic() - begun)
    best_ms = min(times) * 1000
    print(f"     2,000 partitions: {len(page)} bytes, {page.count(chr(10))} lines, {best_ms:.0f} ms")
    check("a page with 2,000 partitions takes less than 250 ms", best_ms < 250, times)
    check("and leaves nothing out", "ottla_metrics_series_left_out 0\n" in page)


def run():
    address = f"127.0.0.1:{brokers.free_port()}"
    with brokers.Ottla(settings={"metrics.address": address}) as broker, Prometheus(address) as prometheus:
        with Traffic(broker.bootstrap) as traffic:
            end = time.monotonic() + TRAFFIC_S
            while time.monotonic() < end:
                traffic.produce(30)
                traffic.fail()
                time.sleep(0.2)
            prometheus.wait_for_scrape()
            prometheus.wait_for_scrape()
            check("Prometheus takes the page", prometheus.healthy_target() == [("up", "")], prometheus.healthy_target())
            check_numbers(prometheus, traffic, broker)
            check_dashboards(prometheus)
            check_own(prometheus)
            check_lag_page(address, traffic)
            found = lint(address)
            check("promtool check metrics is clean", not found, found)
            check_going(prometheus, traffic, address)
            check_size(traffic, address)
    check_files()
    check_unit()
    check_kubernetes()
    jmx.compare(check)


def main():
    try:
        run()
    except Exception as error:  # a check that cannot be made has failed, and the last line must be there
        traceback.print_exc()
        check("the run", False, repr(error))
    print(f"{sum(RESULTS)} passed, {len(RESULTS) - sum(RESULTS)} failed")
    sys.exit(0 if RESULTS and all(RESULTS) else 1)


if __name__ == "__main__":
    main()

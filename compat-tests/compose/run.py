"""Compose files as people write them, with nothing changed but the images' names: each is brought up, its health checks have to pass, an application inside its
network and one on the host exchange messages, and what the file says is looked for. Then the broker is stopped, killed, frozen and made anew under load.

run.py                    all of it, with the image that scripts/image.sh makes from OTTLA_BIN; needs a container engine, and ports 9092 and 9094 free
run.py cp-kafka-kraft     this file alone
OTTLA_IMAGE_NAME=NAME     with an image that is there already
"""

import argparse
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE / "application"))
import exchange  # noqa: E402
import kafka  # noqa: E402
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient  # noqa: E402

# The name that README's command gives the images of the files. ZooKeeper's cannot be pulled everywhere; whoever replaces all images gets Ottla's for it, too.
IMAGE = "ottla"
APPLICATION = "ottla-compose-application:test"
README = (ROOT / "README.md").read_text()
HEALTHY_SECONDS = 40

# For each file: the service that is the broker, its address for the host, and what else has to be true of it.
FILES = {
    "cp-kafka-zookeeper": ("kafka", "localhost:9092", {"node": 1}),
    "cp-kafka-kraft": ("broker", "localhost:9092", {"node": 1, "cluster": "MkU3OEVBNTcwNTJENDM2Qk"}),
    "cp-kafka-scripts": ("kafka0", "localhost:9092", {"node": 1, "partitions": 3, "filled": ("users", 2), "again": True}),
    "apache-kafka": ("kafka", "localhost:9092", {"node": 1, "cluster": "5L6g3nShT-eMCtK--X86sw"}),
    "apache-kafka-properties": ("kafka", "localhost:9092", {"node": 5, "partitions": 3}),
    "bitnami": ("kafka", "localhost:9094", {"node": 0}),
    "wurstmeister": ("kafka", "localhost:9094", {"partitions": 3, "compacted": "audit"}),
}


class Broken(Exception):
    """What is wrong, in a sentence."""


def docker(*arguments, check=True):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Broken(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def compose_command():
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    return None


def readme_command(start):
    """A command of README's page "Swap it for Kafka", as it stands there."""
    page = README[README.index("## Swap it for Kafka"):]
    return next(line for line in page.splitlines() if line.startswith(start))


class Project:
    """One compose file with other images, up while the with block lasts."""

    def __init__(self, command, name):
        self.command, self.name, self.broker_service = command, f"ottla-{name}", FILES[name][0]
        self.file = HERE / f"{name}.yml"

    def run(self, *arguments, check=True):
        command = [*self.command, "--project-name", self.name, "--project-directory", str(HERE), "--file", str(self.changed), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise Broken(f"compose {' '.join(arguments)}: {done.stderr.strip()[-600:]}")
        return done.stdout.strip()

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.changed = pathlib.Path(self.folder.name) / "docker-compose.yml"
        self.changed.write_text(self.file.read_text().replace("image: example/application", f"image: {APPLICATION}"))
        subprocess.run(readme_command("sed "), shell=True, check=True, cwd=self.folder.name)
        self.run("down", "--volumes", "--remove-orphans", check=False)
        try:
            self.run("up", "--detach")
        except Exception:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.run("logs", "--no-color", check=False)[-4000:])
        self.run("down", "--volumes", "--timeout", "5", check=False)
        self.folder.cleanup()

    def container(self, service):
        return self.run("ps", "--quiet", service).splitlines()[0]

    def wait_healthy(self):
        end = time.monotonic() + HEALTHY_SECONDS
        while time.monotonic() < end:
            health = docker("inspect", "--format", "{{.State.Health.Status}}", self.container(self.broker_service))
            if health == "healthy":
                return
            time.sleep(0.1)
        raise Broken(f"the health check says {health} after {HEALTHY_SECONDS} s")

    def wait_application(self):
        code = docker("wait", self.container("application"))
        if code != "0":
            raise Broken(f"the application inside ended with {code}: {docker('logs', self.container('application'))}")


def look_at(address, expected):
    """What a broker tells of itself is what its compose file says."""
    admin = KafkaAdminClient(bootstrap_servers=address)
    try:
        cluster = admin.describe_cluster()
        nodes = [node["broker_id"] for node in cluster["brokers"]]
        if "node" in expected and nodes != [expected["node"]]:
            raise Broken(f"the broker's id is {nodes}, not {expected['node']}")
        if "cluster" in expected and cluster["cluster_id"] != expected["cluster"]:
            raise Broken(f"the cluster's id is {cluster['cluster_id']}, not {expected['cluster']}")
        if "partitions" in expected:
            found = len(admin.describe_topics(["orders"])[0]["partitions"])
            if found != expected["partitions"]:
                raise Broken(f"the topic has {found} partitions, not {expected['partitions']}")
        if "compacted" in expected:
            told = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, expected["compacted"])])
            policy = told["topic"][expected["compacted"]]["cleanup.policy"]["value"]
            if policy != "compact":
                raise Broken(f"{expected['compacted']} has cleanup.policy {policy}, not compact")
        if "filled" in expected:
            topic, wanted = expected["filled"]
            found = len(read_all(address, topic))
            if found != wanted:
                raise Broken(f"{topic} has {found} records, not {wanted}")
        return cluster["cluster_id"]
    finally:
        admin.close()


def check_file(command, name):
    """The file works: healthy, both applications have all messages, the file's settings are in force."""
    _, address, expected = FILES[name]
    with Project(command, name) as project:
        project.wait_healthy()
        exchange.run([address], "outside", "inside")
        project.wait_application()
        cluster = look_at(address, expected)
        if "again" in expected:
            # Whatever the start does to the image's own scripts, it does it once more.
            docker("restart", project.container(project.broker_service))
            project.wait_healthy()
            if (now := look_at(address, expected)) != cluster:
                raise Broken(f"the cluster {cluster} is {now} after a restart")


class Load(threading.Thread):
    """Writes without a pause, and notes what was acknowledged."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.acknowledged, self.ending, self.failed = address, [], threading.Event(), None

    def run(self):
        try:
            producer = kafka.KafkaProducer(bootstrap_servers=[self.address], acks="all", retries=1000, delivery_timeout_ms=60000, enable_idempotence=True)
            number = 0
            while not self.ending.is_set():
                batch = [(n, producer.send("restarts", value=b"%d" % n)) for n in range(number, number + 20)]
                number += 20
                for n, future in batch:
                    future.get(timeout=60)
                    self.acknowledged.append(n)
            producer.close()
        except Exception as error:  # noqa: BLE001
            self.failed = error

    def wait_for_more(self, count=100, seconds=40):
        wanted, end = len(self.acknowledged) + count, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            if self.failed or time.monotonic() > end:
                raise Broken(f"no more messages are acknowledged: {self.failed or 'time is up'}")
            time.sleep(0.05)


def read_all(address, topic):
    consumer = kafka.KafkaConsumer(topic, bootstrap_servers=[address], auto_offset_reset="earliest", consumer_timeout_ms=3000)
    values = [record.value for record in consumer]
    consumer.close()
    return values


def check_restarts(command):
    """A broker with restart: always and a volume loses nothing and doubles nothing while it is stopped, killed, frozen, ended from inside and made anew."""
    name = "cp-kafka-kraft"
    _, address, _ = FILES[name]
    with Project(command, name) as project:
        project.wait_healthy()
        load = Load(address)
        load.start()
        load.wait_for_more()
        broker = project.container(project.broker_service)
        restarts = int(docker("inspect", "--format", "{{.RestartCount}}", broker))
        for step in (["pause", broker], ["unpause", broker], ["stop", broker], ["start", broker], ["kill", broker], ["start", broker]):
            docker(*step)
            if step[0] in ("unpause", "start"):
                load.wait_for_more()
            else:
                time.sleep(0.5)
        # Whatever ends the broker inside its container, the engine starts it again.
        docker("exec", broker, "sh", "-c", "kill -s TERM 1")
        load.wait_for_more()
        if int(docker("inspect", "--format", "{{.RestartCount}}", broker)) == restarts:
            raise Broken("the broker was ended inside its container, and restart: always did not start it again")
        project.run("up", "--detach", "--force-recreate", "--no-deps", project.broker_service)
        load.wait_for_more()
        load.ending.set()
        load.join(60)
        if load.failed:
            raise Broken(f"the producer failed: {load.failed}")
        values = [int(value) for value in read_all(address, "restarts")]
        lost = set(load.acknowledged) - set(values)
        if lost or len(values) != len(set(values)):
            raise Broken(f"{len(lost)} of {len(load.acknowledged)} acknowledged messages are lost, {len(values) - len(set(values))} came twice")
        if values != sorted(values):
            raise Broken("the messages are out of order")


def check_readme(command):
    """What README's page has people type, typed in a folder with a compose file of theirs."""
    with Project(command, "cp-kafka-zookeeper") as project:
        project.wait_healthy()
        for line in README[README.index("## Swap it for Kafka"):].split("```sh")[2].split("```")[0].strip().splitlines():
            typed = line.split("#")[0].replace("docker compose", " ".join([*command, "--project-name", project.name]))
            done = subprocess.run(typed, shell=True, cwd=project.folder.name, capture_output=True, text=True, timeout=60)
            if done.returncode != 0:
                raise Broken(f"{line}: exit code {done.returncode}: {done.stderr.strip()}")


def check_declared(_):
    """A broker that is ready has the topics of OTTLA_BOOTSTRAP_FILE, and has run the scripts of /docker-entrypoint-initdb.d once."""
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        here.chmod(0o755)
        (here / "topics.yaml").write_text("topics:\n  - name: letters\n    partitions: 4\n    configs: {cleanup.policy: compact}\n")
        (here / "first.sh").write_text("echo ran >> /var/lib/kafka/data/.ran\n")
        mounts = ["--volume", f"{here}/topics.yaml:/topics.yaml:ro", "--volume", f"{here}/first.sh:/docker-entrypoint-initdb.d/first.sh:ro"]
        broker = docker("run", "--detach", "--publish", "9092:9092", "--env", "OTTLA_BOOTSTRAP_FILE=/topics.yaml", *mounts, IMAGE)
        try:
            wait_started(broker, 1)
            admin = KafkaAdminClient(bootstrap_servers="localhost:9092")
            found = len(admin.describe_topics(["letters"])[0]["partitions"])
            admin.close()
            docker("restart", broker)
            wait_started(broker, 2)
            ran = docker("exec", broker, "cat", "/var/lib/kafka/data/.ran")
            if (found, ran) != (4, "ran"):
                raise Broken(f"the declared topic has {found} partitions, the script said {ran!r}")
        finally:
            docker("rm", "--force", "--volumes", broker)


def wait_started(broker, times):
    end = time.monotonic() + HEALTHY_SECONDS
    while docker("logs", broker).count("Kafka Server started") < times:
        if time.monotonic() > end:
            raise Broken(f"the broker did not start: {docker('logs', broker)[-600:]}")
        time.sleep(0.05)


def check_refusals(_):
    """What is wrong ends the start with 2 and one sentence that names the variable."""
    for variables, parts in [
        ({"KAFKA_NUM_PARTITIONS": "many"}, ["num.partitions", "many", "KAFKA_NUM_PARTITIONS"]),
        ({"KAFKA_LISTENERS": "OUTSIDE://:9094"}, ["OUTSIDE", "KAFKA_LISTENERS", "listener.security.protocol.map"]),
        ({"KAFKA_LISTENERS": "PLAINTEXT://:9092", "KAFKA_ADVERTISED_LISTENERS": "SSL://host:9093"}, ["SSL://host:9093", "PLAINTEXT", "KAFKA_ADVERTISED_LISTENERS"]),
        ({"KAFKA_BROKER_ID": "1", "KAFKA_NODE_ID": "2"}, ["KAFKA_BROKER_ID", "KAFKA_NODE_ID", "equal"]),
        ({"KAFKA_CFG_NUM_PARTITIONS": "1", "KAFKA_NUM_PARTITIONS": "2"}, ["KAFKA_CFG_NUM_PARTITIONS", "KAFKA_NUM_PARTITIONS"]),
        ({"KAFKA_BROKER_RACK_FILE": "/run/secrets/rack"}, ["KAFKA_BROKER_RACK_FILE", "/run/secrets/rack", "cannot be read"]),
    ]:
        flags = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        done = subprocess.run(["docker", "run", "--rm", *flags, IMAGE], capture_output=True, text=True, timeout=30)
        said = [line for line in done.stderr.splitlines() if line.startswith("ottla: ")]
        if done.returncode != 2 or len(said) != 1 or not all(part in said[0] for part in parts):
            raise Broken(f"{variables}: exit code {done.returncode}, said {done.stderr.strip()!r}; wanted 2 and one sentence with {parts}")
    volume = docker("volume", "create")
    try:
        mount = ["--volume", f"{volume}:/var/lib/kafka/data"]
        docker("run", "--rm", *mount, IMAGE, "sh", "-c", "mkdir /var/lib/kafka/data/__cluster_metadata-0; printf 'version=1\\nnode.id=1\\ncluster.id=a\\n' > /var/lib/kafka/data/meta.properties")
        done = subprocess.run(["docker", "run", "--rm", *mount, IMAGE], capture_output=True, text=True, timeout=30)
        if done.returncode == 0 or "holds data of Apache Kafka" not in done.stderr:
            raise Broken(f"a volume of Apache Kafka's: exit code {done.returncode}, said {done.stderr.strip()!r}")
    finally:
        docker("volume", "rm", "--force", volume)


def prepare():
    """Makes the two images."""
    if given := os.environ.get("OTTLA_IMAGE_NAME"):
        docker("tag", given, IMAGE)
    else:
        subprocess.run(readme_command("scripts/image.sh"), shell=True, check=True, cwd=ROOT)
    with tempfile.TemporaryDirectory() as folder:
        context = pathlib.Path(folder)
        for file in (HERE / "application").iterdir():
            if file.is_file():
                shutil.copy(file, context)
        package = pathlib.Path(kafka.__file__).parent
        shutil.copytree(package, context / "site-packages" / "kafka", ignore=shutil.ignore_patterns("__pycache__"))
        docker("build", "--quiet", "--tag", APPLICATION, str(context))


def check_ports():
    for port in (9092, 9094):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                sys.exit(f"port {port} is in use, and the compose files need it")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FILES)}, readme, declared, restarts, refusals")
    wanted = parser.parse_args().names
    command = compose_command()
    if subprocess.run(["docker", "info"], capture_output=True).returncode != 0 or command is None:
        sys.exit("there is no container engine with compose here")
    check_ports()
    prepare()
    checks = {name: lambda name=name: check_file(command, name) for name in FILES}
    for name, check in {"readme": check_readme, "declared": check_declared, "restarts": check_restarts, "refusals": check_refusals}.items():
        checks[name] = lambda check=check: check(command)
    passed = failed = 0
    for name in wanted or checks:
        began = time.monotonic()
        try:
            checks[name]()
            passed += 1
            print(f"ok   {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as error:  # noqa: BLE001
            failed += 1
            print(f"FAIL {name} ({time.monotonic() - began:.1f} s): {error}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main())

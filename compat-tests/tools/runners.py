"""The two sides of a comparison: Kafka's own tools, all in one virtual machine, and Ottla's. Both take a tool's name, its arguments and a standard input, and
give an Outcome."""

import base64
import dataclasses
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Behind this folder, which has scenarios of its own.
sys.path.append(str(HERE.parent / "oracle"))
import brokers  # noqa: E402

CACHE = pathlib.Path(os.environ.get("OTTLA_CACHE", pathlib.Path.home() / ".cache" / "ottla"))

# What bin/kafka-*.sh of a Kafka distribution runs.
MAINS = {
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "kafka-e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-storage": "kafka.tools.StorageTool",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
}

# These end their process, and have it end, without Kafka's own class for that: each gets a virtual machine of its own.
OWN_MACHINE = {"kafka-verifiable-consumer", "kafka-verifiable-producer"}
JVM_OPTIONS = ["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"]


@dataclasses.dataclass
class Outcome:
    """How a tool ended. Exit code 124 says that it took too long and was stopped."""

    code: int
    out: str
    err: str


def class_path():
    return brokers.class_path(HERE / "pom.xml", "tools-suite")


def run_process(command, stdin, within_s, executable=None):
    try:
        done = subprocess.run(command, executable=executable, input=stdin.encode(), capture_output=True, timeout=within_s)
    except subprocess.TimeoutExpired as stopped:
        return Outcome(124, (stopped.stdout or b"").decode(errors="replace"), (stopped.stderr or b"").decode(errors="replace"))
    return Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def word(text):
    return b"=" + base64.b64encode(text.encode())


class KafkaTools:
    """Kafka's tools. A context manager; one virtual machine for all of them, because each start of one takes a second."""

    name = "Kafka's tool"

    def __enter__(self):
        self.process = subprocess.Popen(
            ["java", *JVM_OPTIONS, "-Djava.security.manager=allow", "-cp", class_path(), str(HERE / "ToolHost.java")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def run(self, tool, arguments, stdin="", within_s=30):
        if tool in OWN_MACHINE:
            return run_process(["java", *JVM_OPTIONS, "-cp", class_path(), MAINS[tool], *arguments], stdin, within_s)
        words = [str(within_s), stdin, MAINS[tool], *arguments]
        self.process.stdin.write(b" ".join(word(text) for text in words) + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 3:
            raise RuntimeError(f"the virtual machine of Kafka's tools ended at {tool} {' '.join(arguments)}")
        out, err = (base64.b64decode(text[1:]).decode(errors="replace") for text in answer[1:])
        return Outcome(int(answer[0]), out, err)


class OttlaTools:
    """Ottla's tools: one process each, by Kafka's names, from the binary that OTTLA_BIN names or that the release build left."""

    name = "Ottla's tool"

    def __enter__(self):
        target = os.environ.get("CARGO_TARGET_DIR", str(CACHE / "target"))
        self.binary = os.environ.get("OTTLA_BIN", os.path.join(target, "release", "ottla"))
        return self

    def __exit__(self, *_):
        pass

    def run(self, tool, arguments, stdin="", within_s=30):
        # As a link of that name would call it.
        return run_process([tool, *arguments], stdin, within_s, executable=self.binary)

"""The two brokers as they are measured: which settings, which guarantee, which command. Starting them is compat-tests/oracle/brokers.py's.

Both get the same server.properties but for what a guarantee needs, and presets for everything else: nothing is tuned for either.
"""

import hashlib
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import time

from . import proc

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "compat-tests" / "oracle"))
import brokers as oracle  # noqa: E402

NAMES = {"kafka": "Apache Kafka", "ottla": "Ottla"}
# The order of a round: A B, and every round the same, so that what drifts (heat, neighbours, the disk's state) meets both.
ORDER = ("kafka", "ottla")

# brokers.py sets these for tests; a measurement has each broker's own presets.
NOT_FOR_TESTS = dict.fromkeys(
    ["num.partitions", "auto.create.topics.enable", "offsets.topic.num.partitions", "transaction.state.log.num.partitions", "group.min.session.timeout.ms"]
)

# What a write is when it is acknowledged, by guarantee: the words, and the settings that make each broker give it.
GUARANTEES = {
    "written": {
        "title": "nothing synced",
        "means": "an acknowledged write survives the end of the process, but not a power failure",
        "kafka": {},
        "ottla": {"ottla.sync.single.replica": "false"},
    },
    "synced": {
        "title": "every write synced",
        "means": "an acknowledged write (acks=all) is on stable storage",
        "kafka": {"log.flush.interval.messages": "1"},
        "ottla": {},
    },
}

# What bin/kafka-server-start.sh and bin/kafka-run-class.sh of Kafka 4 give a broker when the environment says nothing: KAFKA_HEAP_OPTS,
# KAFKA_JVM_PERFORMANCE_OPTS, KAFKA_GC_LOG_OPTS (-loggc), KAFKA_JMX_OPTS. The scripts are not on Maven Central, so they are repeated here.
KAFKA_HEAP = ["-Xmx1G", "-Xms1G"]
KAFKA_PERFORMANCE = [
    "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true",
]
KAFKA_JMX = ["-Dcom.sun.management.jmxremote=true", "-Dcom.sun.management.jmxremote.authenticate=false", "-Dcom.sun.management.jmxremote.ssl=false"]


def gives_producer_ids(port):
    """True when InitProducerId v0 is answered well. Kafka serves metadata before it can: an idempotent producer then meets COORDINATOR_LOAD_IN_PROGRESS."""
    request = struct.pack(">hhih5s", 22, 0, 7, 5, b"ready") + struct.pack(">hi", -1, 60_000)
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.settimeout(5)
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.makefile("rb").read(14)
            return len(answer) == 14 and struct.unpack_from(">h", answer, 12)[0] == 0
    except OSError:
        return False


class Contender:
    """What both have beyond a test's broker. `pid` is the broker's own process; `dead()` says why it is gone, or nothing."""

    def prepare(self):
        # Ctrl-C is for the measurement, which then stops the broker.
        self.own_session = True

    def start(self):
        super().start()
        deadline = time.monotonic() + self.ready_within_s
        while not gives_producer_ids(self.port):
            if time.monotonic() > deadline:
                raise oracle.BrokerError(f"{self.name} gave no producer id within {self.ready_within_s} s of its start:\n{self.log_tail()}")
            time.sleep(0.05)
        return self

    @property
    def pid(self):
        return self.process.pid

    def dead(self):
        code = self.process.poll() if self.process else None
        return None if code is None else f"{self.name} ended with {code} while it was measured; the end of its log:\n{self.log_tail(12)}"

    def data_folder(self):
        return self.folder / "data"

    def end(self):
        """Ends the broker at once and removes its folder: nothing of it is used again."""
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def properties(self):
        """What is in its server.properties, with ports and folders that differ every time left out."""
        varying = {"listeners", "advertised.listeners", "controller.quorum.bootstrap.servers", "log.dirs"}
        return {key: value for key, value in self.settings.items() if value is not None and key not in varying}


class Kafka(Contender, oracle.Kafka):
    def broker_jvm_options(self):
        log = ["-Xlog:gc*:file=" + str(self.folder / "kafkaServer-gc.log") + ":time,tags:filecount=10,filesize=100M"]
        return [*KAFKA_HEAP, *KAFKA_PERFORMANCE, *log, *KAFKA_JMX]


class Ottla(Contender, oracle.Ottla):
    pass


KINDS = {"kafka": Kafka, "ottla": Ottla}


def make(kind, guarantee, settings, folder):
    """A broker that is not started yet. `settings` are the workload's own, for both brokers alike."""
    broker = KINDS[kind](settings={**NOT_FOR_TESTS, **GUARANTEES[guarantee][kind], **settings}, folder=folder)
    broker.prepare()
    return broker


def shown_command(broker):
    """The command line that started `broker`, with what is long or differs every time shortened."""
    program, *arguments = map(str, broker.command(broker.folder / "server.properties"))
    words, class_path_next = [program.rpartition("/")[2]], False
    for word in arguments:
        words.append("<Kafka's jars>" if class_path_next else word.replace(str(broker.folder), "<folder>").replace(str(ROOT), "."))
        class_path_next = word == "-cp"
    return " ".join(words)


def available(kind):
    """None when brokers of this kind can be started; else why not."""
    if kind == "ottla":
        binary = oracle.Ottla.binary(None)
        return None if os.access(binary, os.X_OK) else f"there is no program at {binary}: build it with cargo build --release, or name one in OTTLA_BIN"
    for tool in ("java", "mvn"):
        if not shutil.which(tool):
            return f"{tool} is missing"
    try:
        oracle.kafka_class_path()
    except (subprocess.SubprocessError, OSError) as e:
        return f"Apache Kafka's jars cannot be had: {e}"
    return None


def versions(kinds):
    found = {}
    if "kafka" in kinds:
        jar = re.search(r"kafka_2\.13-([0-9.]+)\.jar", oracle.kafka_class_path())
        found["kafka"] = jar.group(1) if jar else "unknown"
        found["java"] = proc.first_line(["java", "-version"])
    if "ottla" in kinds:
        found["ottla"] = proc.first_line([oracle.Ottla.binary(None), "--version"])
        with open(oracle.Ottla.binary(None), "rb") as program:
            found["ottla program"] = f"sha256 {hashlib.file_digest(program, 'sha256').hexdigest()[:16]}"
        found["commit of the sources"] = proc.first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"])
    return found

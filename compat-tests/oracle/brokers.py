"""Starts a broker for a test in a temporary folder, waits until it serves, and stops it: Apache Kafka 4.3.0 (the reference) or Ottla.

Both get the same server.properties, because Ottla takes a KRaft file as it is; what differs between the two is only the command.
As a program: brokers.py kafka|ottla [--port N] [--set key=value]... [-- command...] runs the command with OTTLA_BOOTSTRAP set to the
broker's address, and ends with its exit code; without a command it serves until Ctrl-C.
It must never end a process that it did not start.
"""

import argparse
import base64
import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("OTTLA_CACHE", pathlib.Path.home() / ".cache" / "ottla"))

# What a test needs and Kafka does not default to: one node, internal topics that fit on it, groups that settle at once.
COMMON_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "num.partitions": "1",
    "auto.create.topics.enable": "true",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
}

JVM_OPTIONS = ["-Xms256m", "-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]


class BrokerError(Exception):
    """A broker that did not start or stop; the message carries the end of its log."""


def free_port():
    """A port of 127.0.0.1 that nothing listens on at the moment; the system's choice, so that two runs at once get different ones."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serves(port, timeout_s=1.0):
    """True when a Metadata v1 request for no topics is answered with at least one broker and a controller."""
    request = struct.pack(">hhih5s", 3, 1, 7, 5, b"ready") + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as conn:
            conn.settimeout(timeout_s)
            conn.sendall(struct.pack(">i", len(request)) + request)
            stream = conn.makefile("rb")
            size = stream.read(4)
            if len(size) < 4:
                return False
            body = stream.read(struct.unpack(">i", size)[0])
            return len(body) >= 8 and struct.unpack_from(">i", body, 4)[0] > 0
    except OSError:
        return False


# Two threads of one process may ask for the same class path at once.
RESOLVING = threading.Lock()


def class_path(pom, name):
    """What a pom.xml needs to run, resolved by Maven once and kept below CACHE/name as long as the pom says the same."""
    wanted = hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    kept = CACHE / name / f"classpath-{wanted}"
    with RESOLVING:
        if kept.exists():
            found = kept.read_text()
            if all(os.path.exists(jar) for jar in found.split(os.pathsep)):
                return found
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_name(f"{kept.name}.{os.getpid()}")
        subprocess.run(
            ["mvn", "-q", "-B", "-f", str(pom), "dependency:build-classpath", f"-Dmdep.outputFile={fresh}", "-Dmdep.includeScope=runtime"],
            check=True, stdout=sys.stderr,
        )
        fresh.rename(kept)
        return kept.read_text()


def kafka_class_path():
    """The class path of Apache Kafka with everything it needs."""
    return class_path(HERE / "pom.xml", "oracle")


class Broker:
    """One broker process in a folder of its own; a context manager. `settings` are server.properties keys over COMMON_SETTINGS; None removes a key."""

    def __init__(self, port=None, settings=None, folder=None, ready_within_s=60):
        self.port = port or free_port()
        self.keep_folder = folder is not None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix=f"{self.name}-{self.port}-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = dict(COMMON_SETTINGS, **self.addresses(), **(settings or {}))
        self.ready_within_s = ready_within_s
        # A session of its own keeps a terminal's Ctrl-C from the broker, for whoever stops it with more order.
        self.own_session = False
        self.process = None

    def addresses(self):
        controller = free_port()
        return {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "log.dirs": str(self.folder / "data"),
        }

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def log_file(self):
        return self.folder / "broker.log"

    def log_tail(self, lines=30):
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError as e:
            return f"(no log: {e})"

    def write_properties(self):
        path = self.folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items() if value is not None))
        return path

    def start(self):
        properties = self.write_properties()
        self.format(properties)
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                self.command(properties), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, env=self.environment(), start_new_session=self.own_session
            )
        deadline = time.monotonic() + self.ready_within_s
        while not serves(self.port):
            if self.process.poll() is not None:
                raise BrokerError(f"{self.name} ended with {self.process.returncode} before it served:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise BrokerError(f"{self.name} did not serve on {self.port} within {self.ready_within_s} s:\n{self.log_tail()}")
            time.sleep(0.05)
        return self

    def stop(self, within_s=30):
        """SIGTERM, then SIGKILL when it stays longer than `within_s`. Returns the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(within_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        code, self.process = self.process.returncode, None
        return code

    def kill(self):
        """SIGKILL; the folder stays, so that start() comes up on what is in it."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def format(self, properties):
        pass

    def environment(self):
        return dict(os.environ)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        if not self.keep_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


class Kafka(Broker):
    """Apache Kafka 4.3.0, one KRaft node."""

    name = "kafka"

    def broker_jvm_options(self):
        """The virtual machine's options for the broker itself: small and quick to start, as tests want it."""
        return JVM_OPTIONS

    def java(self, main, *arguments, options=JVM_OPTIONS):
        level = os.environ.get("ORACLE_LOG_LEVEL", "warn")
        log4j = [f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}", f"-Dcompat.log.level={level}"]
        return ["java", *options, *log4j, "-cp", kafka_class_path(), main, *arguments]

    def format(self, properties):
        if (self.folder / "data" / "meta.properties").exists():
            return
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        while cluster_id.startswith("-"):  # it would be read as an option
            cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        command = self.java("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id, "-c", str(properties))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise BrokerError(f"kafka.tools.StorageTool format failed:\n{done.stdout}{done.stderr}")

    def command(self, properties):
        return self.java("kafka.Kafka", str(properties), options=self.broker_jvm_options())


class Ottla(Broker):
    """Ottla, from the binary that OTTLA_BIN names or that the release build left in the target folder. It formats its storage itself."""

    name = "ottla"

    def binary(self):
        target = os.environ.get("CARGO_TARGET_DIR", str(CACHE / "target"))
        return os.environ.get("OTTLA_BIN", os.path.join(target, "release", "ottla"))

    def command(self, properties):
        # The preset's port may be another broker's.
        nowhere = [] if "metrics.address" in self.settings else ["--override", "metrics.address="]
        return [self.binary(), "serve", str(properties), *nowhere]


KINDS = {"kafka": Kafka, "ottla": Ottla}


def split_at_dashes(arguments):
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at:at + 1], arguments[at + 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--port", type=int)
    parser.add_argument("--folder", help="keep the data and the log here (default: a temporary folder that is removed)")
    parser.add_argument("--set", action="append", default=[], metavar="key=value", help="a server.properties setting")
    own, _, command = split_at_dashes(sys.argv[1:])
    args = parser.parse_args(own)
    settings = dict(pair.split("=", 1) for pair in args.set)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with KINDS[args.kind](args.port, settings, args.folder) as broker:
        print(f"{broker.name} serves on {broker.bootstrap}, folder {broker.folder}", file=sys.stderr, flush=True)
        if command:
            code = subprocess.run(command, env=dict(os.environ, OTTLA_BOOTSTRAP=broker.bootstrap)).returncode
            if code != 0:
                print(f"the end of the log of {broker.name}:\n{broker.log_tail()}", file=sys.stderr)
            return code
        with contextlib.suppress(KeyboardInterrupt):
            broker.process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures a broker's start, stop, memory and topic creation, over the wire and from /proc, without any client library.

Every figure is taken several times; the median is printed with the worst. Ends only processes that it started.
"""

import argparse
import os
import pathlib
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "compat-tests" / "oracle"))
import brokers  # noqa: E402

TOPIC = "measured"
PARTITIONS = 2000
# What one produce request carries to one partition: below Kafka's preset of message.max.bytes.
BATCH_BYTES = 1_000_000
GOALS = {
    "ready from an empty folder": ("ms", 100),
    "ready after kill -9": ("ms", 200),
    "idle memory": ("MiB", 32),
    "stop": ("ms", 500),
    "2,000 partitions created": ("ms", 300),
    "kafka-topics --list": ("ms", 20),
    "kafka-topics --list, memory": ("MiB", 16),
}


def crc32c(data):
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value & ~0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def record_batch(size):
    """A v2 batch with one record of random bytes. Its base offset is 0: the broker sets it, outside the checksum."""
    value = os.urandom(size)
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(len(value)) + value + varint(0)
    record = varint(len(body)) + body
    now = int(time.time() * 1000)
    checked = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + record
    return struct.pack(">qiibI", 0, 4 + 1 + 4 + len(checked), -1, 2, crc32c(checked)) + checked


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Connection:
    """One connection; requests of old, simple versions."""

    def __init__(self, port, timeout_s=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")

    def send(self, key, version, body):
        request = struct.pack(">hhi", key, version, 7) + text("measure") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)

    def receive(self):
        size = struct.unpack(">i", self.exactly(4))[0]
        return self.exactly(size)[4:]

    def exactly(self, count):
        data = self.stream.read(count)
        if len(data) < count:
            raise ConnectionError("the broker closed the connection")
        return data

    def ask(self, key, version, body):
        self.send(key, version, body)
        return self.receive()

    def close(self):
        self.stream.close()
        self.socket.close()


def create_topic(connection):
    """CreateTopics v2."""
    topic = text(TOPIC) + struct.pack(">ih", PARTITIONS, 1) + struct.pack(">ii", 0, 0)
    answer = connection.ask(19, 2, struct.pack(">i", 1) + topic + struct.pack(">ib", 60_000, 0))
    error = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(TOPIC))[0]
    if error:
        raise RuntimeError(f"CreateTopics answered error {error}")


def leaders(connection):
    """How many partitions have a leader: Metadata v1."""
    answer = connection.ask(3, 1, struct.pack(">i", 1) + text(TOPIC))
    at = 4
    for _ in range(struct.unpack_from(">i", answer, 0)[0]):
        at += 4
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 4
        rack = struct.unpack_from(">h", answer, at)[0]
        at += 2 + max(rack, 0)
    at += 4 + 4
    if struct.unpack_from(">h", answer, at)[0]:
        return 0
    at += 2 + 2 + len(TOPIC) + 1
    count, led = struct.unpack_from(">i", answer, at)[0], 0
    at += 4
    for _ in range(count):
        error, _, leader = struct.unpack_from(">hii", answer, at)
        led += error == 0 and leader >= 0
        at += 10
        for _ in range(2):
            at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
    return led


def end_offset(connection, partition):
    """ListOffsets v1; -1 while the partition is not served."""
    body = struct.pack(">i", -1) + struct.pack(">i", 1) + text(TOPIC) + struct.pack(">iiq", 1, partition, -1)
    answer = connection.ask(2, 1, body)
    error, _, offset = struct.unpack_from(">hqq", answer, 4 + 2 + len(TOPIC) + 4 + 4)
    return -1 if error else offset


def served_everywhere(connection):
    """Whether every partition answers ListOffsets: in Kafka the metadata knows a leader before the leader serves."""
    wanted = b"".join(struct.pack(">iq", partition, -1) for partition in range(PARTITIONS))
    body = struct.pack(">i", -1) + struct.pack(">i", 1) + text(TOPIC) + struct.pack(">i", PARTITIONS) + wanted
    answer = connection.ask(2, 1, body)
    at = 4 + 2 + len(TOPIC) + 4
    return all(struct.unpack_from(">ih", answer, at + 22 * index)[1] == 0 for index in range(PARTITIONS))


def fill(connection, total_bytes):
    """Produces v3 with acks=1, spread over the partitions, a few requests ahead. Returns the number of requests."""
    batch = record_batch(BATCH_BYTES)
    head = struct.pack(">h", -1) + struct.pack(">hii", 1, 60_000, 1) + text(TOPIC) + struct.pack(">i", 1)
    requests, waiting = max(total_bytes // len(batch), 1), 0

    def check():
        answer = connection.receive()
        error = struct.unpack_from(">h", answer, 4 + 2 + len(TOPIC) + 4 + 4)[0]
        if error:
            raise RuntimeError(f"Produce answered error {error}")

    for number in range(requests):
        connection.send(0, 3, head + struct.pack(">ii", number % PARTITIONS, len(batch)) + batch)
        waiting += 1
        if waiting == 4:
            check()
            waiting -= 1
    for _ in range(waiting):
        check()
    return requests


def wait_until(condition, process, within_s=180):
    """Seconds until `condition` holds; it may raise OSError while the broker is not there yet."""
    began = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - began
        except OSError:
            pass
        if process.poll() is not None:
            raise RuntimeError(f"the broker ended with {process.returncode}")
        if time.monotonic() - began > within_s:
            raise RuntimeError(f"the broker was not ready within {within_s} s")
        time.sleep(0.001)


def resident_mib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


def launch(broker):
    """Starts the process without waiting; the broker's folder is formatted already where it needs to be."""
    with open(broker.log_file, "ab") as log:
        command = broker.command(broker.write_properties())
        broker.process = brokers.subprocess.Popen(command, stdout=log, stderr=log, stdin=brokers.subprocess.DEVNULL, cwd=broker.folder)
    return broker.process


def stop(broker):
    """Milliseconds from SIGTERM to the end of the process."""
    began = time.monotonic()
    broker.process.send_signal(signal.SIGTERM)
    code = broker.process.wait(60)
    if code not in (0, 143):
        raise RuntimeError(f"the broker ended with {code} after SIGTERM")
    broker.process = None
    return (time.monotonic() - began) * 1000


def answers(port):
    return brokers.serves(port, 1.0)


def measure_start_and_stop(kind, rounds, idle_s, into):
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="measure-") as folder:
            broker = brokers.KINDS[kind](folder=folder)
            broker.format(broker.write_properties())
            process = launch(broker)
            try:
                into["ready from an empty folder"].append(wait_until(lambda: answers(broker.port), process) * 1000)
                if number == 0:
                    time.sleep(idle_s)
                    into["idle memory"].append(resident_mib(process))
                into["stop"].append(stop(broker))
            finally:
                broker.stop()


def measure_tool(broker, rounds, into):
    """Time and largest memory of `kafka-topics --list`, Ottla's own tool; Kafka's own takes about a second."""
    if broker.name != "ottla":
        return
    for _ in range(rounds):
        began = time.monotonic()
        tool = subprocess.Popen(["kafka-topics", "--list", "--bootstrap-server", broker.bootstrap], executable=broker.binary(), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(tool.pid, 0)
        tool.returncode = os.waitstatus_to_exitcode(status)
        if tool.returncode != 0:
            raise RuntimeError(f"kafka-topics --list ended with {tool.returncode}")
        into["kafka-topics --list"].append((time.monotonic() - began) * 1000)
        into["kafka-topics --list, memory"].append(used.ru_maxrss / 1024)


def measure_topics_and_recovery(kind, rounds, gib, into):
    with tempfile.TemporaryDirectory(prefix="measure-") as folder:
        broker = brokers.KINDS[kind](folder=folder)
        broker.format(broker.write_properties())
        process = launch(broker)
        try:
            wait_until(lambda: answers(broker.port), process)
            connection = Connection(broker.port)
            began = time.monotonic()
            create_topic(connection)
            wait_until(lambda: leaders(connection) == PARTITIONS and served_everywhere(connection), process)
            into["2,000 partitions created"].append((time.monotonic() - began) * 1000)
            measure_tool(broker, rounds, into)
            requests = fill(connection, int(gib * (1 << 30)))
            last = min(requests, PARTITIONS) - 1
            expected = requests // PARTITIONS + (last < requests % PARTITIONS)
            connection.close()
            for _ in range(rounds):
                broker.kill()
                process = launch(broker)

                def served():
                    connection = Connection(broker.port, 5)
                    try:
                        return end_offset(connection, last) == expected and leaders(connection) == PARTITIONS
                    finally:
                        connection.close()

                into["ready after kill -9"].append(wait_until(served, process) * 1000)
            into["stop when full"].append(stop(broker))
        finally:
            broker.stop()


def shown(values, unit):
    if not values:
        return "-"
    median = statistics.median(values)
    worst = f" (worst {max(values):.0f})" if len(values) > 1 else ""
    return f"{median:.0f} {unit}{worst}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", action="store_true", help="measure Apache Kafka 4.3.0, too")
    parser.add_argument("--rounds", type=int, default=5, help="starts and stops of each kind")
    parser.add_argument("--gib", type=float, default=5, help="data before the kill")
    parser.add_argument("--idle-s", type=float, default=5, help="seconds before idle memory is read")
    args = parser.parse_args()
    columns = {}
    for kind in ["ottla", "kafka"] if args.kafka else ["ottla"]:
        figures = {name: [] for name in [*GOALS, "stop when full"]}
        measure_start_and_stop(kind, args.rounds, args.idle_s, figures)
        measure_topics_and_recovery(kind, args.rounds, args.gib, figures)
        columns[kind] = figures
    print(f"{'':42}{'goal':>10}" + "".join(f"{kind:>26}" for kind in columns))
    missed = []
    for name in [*GOALS, "stop when full"]:
        unit, goal = GOALS.get(name, ("ms", GOALS["stop"][1]))
        detail = f" ({PARTITIONS} partitions, {args.gib:g} GiB)" if name in ("ready after kill -9", "stop when full") else ""
        print(f"{name + detail:42}{goal:>7} {unit:3}" + "".join(f"{shown(figures[name], unit):>26}" for figures in columns.values()))
        values = columns["ottla"][name]
        if values and statistics.median(values) > goal:
            missed.append(f"missed: {name}, {statistics.median(values):.0f} {unit} instead of {goal}")
    print("\n".join(missed))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Kafka's own performance tools, run against either broker as their scripts run them, and what they print read back into figures.

Nobody can say then that Ottla was measured with its own ruler only.
"""

import re
import sys

from .contenders import KAFKA_PERFORMANCE, ROOT
from .generator import LoadError, Running

sys.path.insert(0, str(ROOT / "compat-tests" / "tools"))
import runners  # noqa: E402

# What each tool's script gives its virtual machine (KAFKA_HEAP_OPTS; kafka-run-class.sh's preset where a script says nothing).
HEAP = {"kafka-producer-perf-test": "-Xmx512M", "kafka-consumer-perf-test": "-Xmx512M", "kafka-e2e-latency": "-Xmx256M", "kafka-topics": "-Xmx256M"}
MIB = 1 << 20


def command(tool, *arguments):
    log = f"-Dlog4j2.configurationFile={runners.HERE / 'log4j2.properties'}"
    return ["java", HEAP[tool], *KAFKA_PERFORMANCE, log, "-cp", runners.class_path(), runners.MAINS[tool], *map(str, arguments)]


def shown(tool, *arguments):
    return " ".join([f"{tool}.sh", *("$BROKER" if re.fullmatch(r"127\.0\.0\.1:\d+", str(word)) else str(word) for word in arguments)])


def start(tool, *arguments):
    return Running(command(tool, *arguments))


def number(pattern, text, what):
    found = re.search(pattern, text)
    if not found:
        raise LoadError(f"{what} printed no line as expected; its end: {' '.join(text.split())[-300:]}")
    return [float(group) for group in found.groups()]


def read_producer(text):
    """The last summary of kafka-producer-perf-test: of the steady state, when there was a warm-up."""
    lines = [line for line in text.splitlines() if "99.9th" in line]
    pattern = (
        r"(\d+)(?: steady state)? records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency, ([\d.]+) ms max latency, "
        r"(\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99\.9th"
    )
    sent, per_second, mib, mean, worst, p50, p95, p99, p999 = number(pattern, lines[-1] if lines else text, "kafka-producer-perf-test")
    return {
        "records": sent, "records_per_second": per_second, "bytes_per_second": mib * MIB,
        "latency_ms": {"mean": mean, "p50": p50, "p95": p95, "p99": p99, "p99.9": p999, "max": worst},
    }


def read_consumer(text, wanted):
    """The line under the header of kafka-consumer-perf-test. It ends well when records are missing, so that is looked at here."""
    lines = [line for line in text.splitlines() if re.match(r"\d{4}-\d\d-\d\d ", line)]
    if not lines:
        raise LoadError(f"kafka-consumer-perf-test printed no figures; its end: {' '.join(text.split())[-300:]}")
    cells = [cell.strip() for cell in lines[-1].split(",")]
    try:
        mib, records, fetch_ms, fetch_mib_s = float(cells[2]), float(cells[4]), float(cells[7]), float(cells[8])
    except (IndexError, ValueError) as e:
        raise LoadError(f"kafka-consumer-perf-test printed a line that cannot be read: {lines[-1]}") from e
    if records < wanted:
        raise LoadError(f"kafka-consumer-perf-test read {records:.0f} of {wanted} records")
    return {"records": records, "bytes": mib * MIB, "fetch_ms": fetch_ms, "bytes_per_second": fetch_mib_s * MIB}


def read_latency(text):
    (mean,) = number(r"Avg latency: ([\d.]+) ms", text, "kafka-e2e-latency")
    p50, p99, p999 = number(r"Percentiles: 50th = (\d+), 99th = (\d+), 99\.9th = (\d+)", text, "kafka-e2e-latency")
    return {"mean_ms": mean, "p50_ms": p50, "p99_ms": p99, "p99.9_ms": p999}

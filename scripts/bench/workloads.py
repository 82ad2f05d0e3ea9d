"""What is measured: one Workload each, with its load, the figures that it gives and what needs to be known first.

A workload's `run` gets a `runner.Run` (one broker, started fresh, with an empty folder), loads it, and returns figures by key. A figure that could not be
measured is left out or None; a load that failed raises LoadError. Nothing here knows which broker it is that it loads.
"""

import dataclasses
from collections.abc import Callable

from . import figures, kafka_tools
from .figures import GB, MB, Figure
from .generator import LoadError

KIB = 1024
MIB = 1024 * KIB

# OpenMessaging's driver settings for Kafka, which most published comparisons use.
OPENMESSAGING = {"record_bytes": KIB, "batch_bytes": 128 * KIB, "linger_ms": 1, "acks": "all", "compression": "none"}
TOPIC = "bench"
# Of a rate that was asked for: less than this part of it means that the broker or the generator did not keep up.
REACHED = 0.98

AT_FULL_SPEED = "at full speed this is how long the generator's queue is, not how fast the broker is"
OWN_RATE = "each broker at a part of its own peak, so the rates differ"
CONTEXT = "tells about the load, not the broker"
FEW_TICKS = "a few ticks of the kernel's clock"


@dataclasses.dataclass(frozen=True)
class Workload:
    """`needs` are workloads that have to be measured first. For the time left: `steps` is how many loads a run has, `plot_steps` how many more where plots
    get all their points, `extra_s` what it takes beside loads."""

    name: str
    title: str
    guarantee: str
    run: Callable
    figures: tuple
    short: bool = False
    needs: tuple = ()
    settings: dict = dataclasses.field(default_factory=dict)
    steps: float = 1
    plot_steps: float = 0
    extra_s: float = 0
    kafka_jars: bool = False


PRODUCE = (
    Figure("throughput", "produced", "MB/s", "more"),
    Figure("cpu", "broker CPU", "CPU-s/GB", "less"),
    Figure("memory", "broker memory, peak", "MB", "less"),
    Figure("records", "records", "1/s", None, "the same as MB/s"),
    Figure("produce p50", "acknowledged after, p50", "ms", None, AT_FULL_SPEED),
    Figure("produce p99", "acknowledged after, p99", "ms", None, AT_FULL_SPEED),
    Figure("generator", "generator", "cores", None, CONTEXT),
)


def produce(name, title, guarantee="written", short=False, producers=4, **load):
    options = {"topic": TOPIC, "partitions": 6, "producers": producers, "consumers": 0, **OPENMESSAGING, **load}

    def run(ctx):
        return figures.of_load(ctx.load("produce", rate=0, **options))

    return Workload(name, title, guarantee, run, PRODUCE, short)


def peak(name, title, guarantee, short, consumers=1):
    def run(ctx):
        found = figures.of_load(ctx.load("peak", topic=TOPIC, partitions=6, producers=4, consumers=consumers, rate=0, **OPENMESSAGING))
        # What the slowest side sustains: a producer that runs away from its consumer is no rate to go on at.
        found["rate"] = min(found["records"], found["consumed records"] / consumers)
        return found

    shown = (
        Figure("throughput", "produced", "MB/s", "more"),
        Figure("consumed", "read by all consumers", "MB/s", "more"),
        Figure("cpu", "broker CPU", "CPU-s/GB", "less"),
        Figure("memory", "broker memory, peak", "MB", "less"),
        Figure("rate", "sustained", "records/s", None, "what half load and the other fixed rates are counted from"),
        Figure("e2e p99", "end to end, p99", "ms", None, AT_FULL_SPEED),
        Figure("generator", "generator", "cores", None, CONTEXT),
    )
    return Workload(name, title, guarantee, run, shown, short)


def at_rate(ctx, step, rate, consumers=1, topic=TOPIC, **load):
    """A load at a fixed rate, open loop; warns when the rate was not reached."""
    options = {"topic": topic, "partitions": 6, "producers": 4, "consumers": consumers, **OPENMESSAGING, "rate": max(int(rate), 1), **load}
    return reached(ctx, step, options["rate"], consumers, ctx.load(step, **options))


def reached(ctx, step, rate, consumers, answer):
    made = answer["produced"]["records"] / answer["seconds"]
    if made < REACHED * rate:
        ctx.warn(f"{step}: {made:,.0f} of {rate:,.0f} records/s were reached, so these latencies are of a broker behind its load")
    if consumers and answer["consumed"]["records"] < REACHED * consumers * answer["produced"]["records"]:
        ctx.warn(f"{step}: {answer['consumed']['records']:,.0f} records were read of {consumers} x {answer['produced']['records']:,.0f}")
    return answer


# Parts of each broker's own peak, for the plot of throughput against latency.
OWN_PARTS = (10, 50, 80)


def latency(name, title, guarantee, needs, own_parts, short):
    def run(ctx):
        found = {}
        for percent in own_parts if ctx.thorough else ():
            answer = at_rate(ctx, f"{percent}% of own peak", ctx.own_peak(needs) * percent / 100)
            found.update(figures.of_load(answer, f"own {percent}% "))
        answer = at_rate(ctx, "half of the lower peak", ctx.lower_peak(needs) * 0.5)
        return {**found, **figures.of_load(answer, "half ")}

    shown = [
        *(Figure(f"half e2e {p}", f"end to end at half load, {p}", "ms", "less") for p in ("p50", "p99", "p99.9")),
        Figure("half cpu", "broker CPU at half load", "CPU-s/GB", "less"),
        Figure("half throughput", "half load (of the lower peak)", "MB/s", None, "the same for both"),
        Figure("half generator", "generator at half load", "cores", None, CONTEXT),
    ]
    for percent in own_parts:
        shown.append(Figure(f"own {percent}% throughput", f"{percent}% of the own peak", "MB/s", None, OWN_RATE))
        shown += [Figure(f"own {percent}% e2e {p}", f"end to end at {percent}% of the own peak, {p}", "ms", None, OWN_RATE) for p in ("p50", "p99", "p99.9")]
    return Workload(name, title, guarantee, run, tuple(shown), short, (needs,), plot_steps=len(own_parts))


def run_fanout(ctx):
    rate = ctx.lower_peak("peak") * 0.2
    one = at_rate(ctx, "1 consumer", rate, 1, topic="one")
    five = at_rate(ctx, "5 consumers", rate, 5, topic="five")
    found = {**figures.of_load(one, "1:1 "), **figures.of_load(five, "1:5 ")}
    # What four more readers of the same records cost is what reading at the tail costs.
    more_bytes = five["consumed"]["bytes"] - one["consumed"]["bytes"]
    more_cpu = sum(five["broker"][k] - one["broker"][k] for k in ("cpu_user_s", "cpu_system_s"))
    if more_bytes > 0 and more_cpu > 0:
        found["tail cpu"] = more_cpu / (more_bytes / GB)
    else:
        ctx.warn("five consumers cost the broker no more CPU than one: reading at the tail is below what can be told apart here")
    return found


FANOUT = (
    Figure("tail cpu", "reading at the tail: broker CPU", "CPU-s/GB read", "less"),
    Figure("1:1 cpu", "1 consumer: broker CPU", "CPU-s/GB produced", "less"),
    Figure("1:5 cpu", "5 consumers: broker CPU", "CPU-s/GB produced", "less"),
    Figure("1:1 e2e p99", "1 consumer: end to end, p99", "ms", "less"),
    Figure("1:5 e2e p99", "5 consumers: end to end, p99", "ms", "less"),
    Figure("1:5 memory", "5 consumers: broker memory, peak", "MB", "less"),
    Figure("1:5 consumed", "5 consumers: read", "MB/s", None, "five times the fixed rate"),
    Figure("1:5 generator", "5 consumers: generator", "cores", None, CONTEXT),
)


def run_reads(ctx):
    """Old records, as many for both brokers. The broker starts again before they are read, because Ottla keeps new records in its own memory, where emptying the
    page cache does not reach; then other records are read for a while, because Java compiles what it does often."""
    half = ctx.lower_peak("peak") * 0.5
    filled = at_rate(ctx, "fill", half, 0, topic="old", seconds=2 * ctx.seconds + 2, warmup_seconds=0)
    at_rate(ctx, "fill for the warm-up", half, 0, topic="other", seconds=1, warmup_seconds=0)
    ctx.restart_cold()
    ctx.read("warm-up", topic="other", consumers=1, repeat=max(int(5 * ctx.warmup), 1))
    found = {"filled": filled["produced"]["bytes"] / MB}
    found.update(figures.of_read(ctx.read("cold", topic="old", consumers=1), "cold "))
    found.update(figures.of_read(ctx.read("again", topic="old", consumers=1), "again "))
    ctx.forget_caches()
    rate = max(int(ctx.lower_peak("peak") * 0.1), 1)
    live = {"topic": "live", "partitions": 6, "producers": 4, "consumers": 1, **OPENMESSAGING, "rate": rate}
    tail, old = ctx.load_with_read("catch-up", live, {"topic": "old", "consumers": 1})
    reached(ctx, "catch-up, tail", rate, 1, tail)
    found.update(figures.of_load(tail, "catch-up "))
    found["catch-up read"] = old["consumed"]["bytes_per_second"] / MB
    return found


READS = (
    Figure("cold throughput", "from disk, cold cache", "MB/s", "more"),
    Figure("cold cpu", "from disk, cold cache: broker CPU", "CPU-s/GB", "less"),
    Figure("again throughput", "the same again", "MB/s", "more"),
    Figure("again cpu", "the same again: broker CPU", "CPU-s/GB", "less"),
    Figure("catch-up read", "from disk beside a live load", "MB/s", "more"),
    Figure("catch-up e2e p50", "the live load's end to end, p50", "ms", "less"),
    Figure("catch-up e2e p99", "the live load's end to end, p99", "ms", "less"),
    Figure("catch-up memory", "broker memory, peak", "MB", "less"),
    Figure("filled", "read each time", "MB", None, CONTEXT),
    Figure("cold generator", "generator", "cores", None, CONTEXT),
)


def run_connections(ctx):
    idle = ctx.broker_memory()
    answer = ctx.bench("connections", "held", count=5000, seconds=ctx.seconds)
    broker = answer["broker"]
    return {
        "idle memory": idle / MB, "open": answer["open_ms"], "memory": broker["rss_bytes"] / MB,
        "idle cpu": 100 * (broker["cpu_user_s"] + broker["cpu_system_s"]) / ctx.seconds,
    }


CONNECTIONS = (
    Figure("idle memory", "broker memory before", "MB", "less"),
    Figure("memory", "broker memory with 5,000 connections", "MB", "less"),
    Figure("open", "all open after", "ms", "less"),
    Figure("idle cpu", "broker CPU while they idle", "% of a core", None, FEW_TICKS),
)


def run_group(ctx):
    # It makes the topic itself, with a partition for each member.
    answer = ctx.bench("group", "join", topic=TOPIC, members=500)
    if answer["members"] != 500:
        raise LoadError(f"bench group was asked for 500 members and had {answer['members']}")
    broker = answer["broker"]
    return {"join": answer["join_ms"], "cpu": broker["cpu_user_s"] + broker["cpu_system_s"], "memory": broker["peak_rss_bytes"] / MB}


GROUP = (
    Figure("join", "all have their partitions after", "ms", "less"),
    Figure("cpu", "broker CPU", "CPU-s", "less"),
    Figure("memory", "broker memory, peak", "MB", "less"),
)


def commits(name, title, guarantee):
    def run(ctx):
        answer = ctx.bench("commits", "commits", connections=16, seconds=ctx.seconds)
        broker = answer["broker"]
        return {
            "per second": answer["per_second"], "p50": answer["latency_us"]["p50"] / 1000, "p99": answer["latency_us"]["p99"] / 1000,
            "cpu": (broker["cpu_user_s"] + broker["cpu_system_s"]) / (answer["commits"] / 1e6),
        }

    shown = (
        Figure("per second", "commits", "1/s", "more"),
        Figure("cpu", "broker CPU", "CPU-s/million", "less"),
        Figure("p99", "answered after, p99", "ms", "less"),
        Figure("p50", "answered after, p50", "ms", None, "follows from commits per second"),
    )
    return Workload(name, title, guarantee, run, shown, steps=0.7)


def run_partitions(ctx):
    answer = ctx.load("produce", topic=TOPIC, partitions=1000, producers=4, consumers=1, rate=0, **OPENMESSAGING)
    found = figures.of_load(answer)
    created = answer.get("topic_created_ms")
    return {**found, "created": created if isinstance(created, (int, float)) else None}


PARTITIONS = (Figure("created", "topic created after", "ms", "less"), *PRODUCE[:3], PRODUCE[-1])

RETENTION_BYTES = 64 * MIB
RETENTION_CONFIG = [f"retention.bytes={RETENTION_BYTES}", f"segment.bytes={16 * MIB}"]


def run_retention(ctx):
    answer = ctx.load(
        "produce", topic=TOPIC, partitions=6, producers=4, consumers=0, rate=0, topic_config=RETENTION_CONFIG, **OPENMESSAGING,
        seconds=4 * ctx.seconds, warmup_seconds=ctx.warmup,
    )
    kept = ctx.settled_disk_bytes(5)
    written = answer["produced"]["bytes"]
    if written < 4 * 6 * RETENTION_BYTES:
        raise LoadError(f"only {written / MB:,.0f} MB were written, too little to pass through retention: give --seconds more")
    if kept > written / 2:
        raise LoadError(f"{kept / MB:,.0f} of {written / MB:,.0f} MB are still on the disk: retention did not keep up")
    return {**figures.of_load(answer), "disk": kept / MB, "written": written / MB}


RETENTION = (
    *PRODUCE[:3],
    Figure("disk", "on the disk at the end", "MB", "less"),
    Figure("written", "written", "MB", None, CONTEXT),
    *PRODUCE[4:],
)


def run_kafka_tools(ctx):
    count = max(int(150_000 * ctx.seconds), 50_000)
    to = ("--bootstrap-server", ctx.bootstrap)
    props = ["acks=all", f"batch.size={128 * KIB}", "linger.ms=1"]
    # The tools' own warm-up is not the broker's: Java compiles the broker's code in a first pass that does not count.
    for topic in ("warm-up", TOPIC):
        ctx.kafka_tool("kafka-topics", *to, "--create", "--topic", topic, "--partitions", 6)
        sent, used = ctx.kafka_tool(
            "kafka-producer-perf-test", *to, "--topic", topic, "--num-records", count, "--record-size", KIB, "--throughput", -1, "--warmup-records", count // 3,
            "--command-property", *props,
        )
        read, read_used = ctx.kafka_tool("kafka-consumer-perf-test", *to, "--topic", topic, "--num-records", count, "--timeout", 60_000)
    made = kafka_tools.read_producer(sent)
    consumed = kafka_tools.read_consumer(read, count)
    rounds = max(int(1000 * ctx.seconds), 500)
    told, _ = ctx.kafka_tool("kafka-e2e-latency", *to, "--topic", "latency", "--num-records", rounds, "--producer-acks", "all", "--record-size", KIB)
    return {
        "throughput": made["bytes_per_second"] / MB, "produce p50": made["latency_ms"]["p50"], "produce p99": made["latency_ms"]["p99"],
        "cpu": used["broker_cpu_s"] / (count * KIB / GB), "memory": used["peak_rss_bytes"] / MB, "read": consumed["bytes_per_second"] / MB,
        "read cpu": read_used["broker_cpu_s"] / (consumed["bytes"] / GB), "e2e": kafka_tools.read_latency(told)["mean_ms"],
        "tool": used["load_cpu_s"] / used["wall_s"],
    }


KAFKA_TOOLS = (
    Figure("throughput", "kafka-producer-perf-test", "MB/s", "more"),
    Figure("cpu", "kafka-producer-perf-test: broker CPU", "CPU-s/GB", "less"),
    Figure("read", "kafka-consumer-perf-test", "MB/s", "more"),
    Figure("read cpu", "kafka-consumer-perf-test: broker CPU", "CPU-s/GB", "less"),
    Figure("e2e", "kafka-e2e-latency, mean", "ms", "less"),
    Figure("memory", "broker memory, peak", "MB", "less"),
    Figure("produce p50", "kafka-producer-perf-test, p50", "ms", None, AT_FULL_SPEED),
    Figure("produce p99", "kafka-producer-perf-test, p99", "ms", None, AT_FULL_SPEED),
    Figure("tool", "kafka-producer-perf-test itself", "cores", None, CONTEXT),
)

SMALL = {"batch_bytes": 4 * KIB, "linger_ms": 0, "partitions": 16, "keys": True}

ALL = [
    produce("produce-6", "1 KiB records, 6 partitions, batches of 128 KiB", short=True),
    produce("produce-6-synced", "1 KiB records, 6 partitions, batches of 128 KiB", "synced", short=True),
    peak("peak", "1 KiB records, 6 partitions, 1 consumer at the tail, full speed", "written", True),
    latency("latency", "end to end at fixed rates", "written", "peak", OWN_PARTS, True),
    Workload("fanout", "1 and 5 consumers at the tail, at 20% of the lower peak", "written", run_fanout, FANOUT, True, ("peak",), steps=2),
    Workload("reads", "reads from disk with a cold cache, alone and beside a live load", "written", run_reads, READS, True, ("peak",), steps=3, extra_s=14),
    produce("keyed-50", "50 keyed producers, 1 KiB records, batches of 4 KiB, 16 partitions", producers=50, short=True, **SMALL),
    Workload("connections", "5,000 idle connections", "written", run_connections, CONNECTIONS, True, steps=0.6, extra_s=2),
    Workload("group", "500 consumers join one group", "written", run_group, GROUP, True, steps=0, extra_s=6),
    produce("produce-1", "1 KiB records, 1 partition", partitions=1),
    produce("produce-16", "1 KiB records, 16 partitions", partitions=16),
    produce("produce-100", "1 KiB records, 100 partitions", partitions=100),
    produce("records-100", "100 B records, 6 partitions", record_bytes=100),
    produce("records-10k", "10 KiB records, 6 partitions", record_bytes=10 * KIB),
    produce("lz4", "1 KiB records, 6 partitions, lz4", compression="lz4"),
    produce("zstd", "1 KiB records, 6 partitions, zstd", compression="zstd"),
    produce("keyed-100", "100 keyed producers, 1 KiB records, batches of 4 KiB, 16 partitions", producers=100, **SMALL),
    produce("keyed-50-synced", "50 keyed producers, 1 KiB records, batches of 4 KiB, 16 partitions", "synced", producers=50, **SMALL),
    peak("peak-synced", "1 KiB records, 6 partitions, 1 consumer at the tail, full speed", "synced", False),
    latency("latency-synced", "end to end at fixed rates", "synced", "peak-synced", (), False),
    peak("fanout-full", "5 consumers at the tail, full speed", "written", False, consumers=5),
    Workload("partitions-1000", "1,000 partitions, 1 consumer, full speed", "written", run_partitions, PARTITIONS),
    commits("commits", "offset commits, 16 connections", "written"),
    commits("commits-synced", "offset commits, 16 connections", "synced"),
    Workload(
        "retention", "through retention: retention.bytes of 64 MiB a partition, looked at every second", "written", run_retention, RETENTION,
        settings={"log.retention.check.interval.ms": "1000", "log.segment.delete.delay.ms": "1000", "log.initial.task.delay.ms": "500"}, steps=3, extra_s=5,
    ),
    Workload("kafka-tools", "Kafka's own performance tools", "written", run_kafka_tools, KAFKA_TOOLS, steps=1.5, extra_s=20, kafka_jars=True),
]
BY_NAME = {workload.name: workload for workload in ALL}


def chosen(mode, only):
    """The workloads of a mode, or those named, with what they need before them. ValueError names one that there is not."""
    unknown = [name for name in only if name not in BY_NAME]
    if unknown:
        raise ValueError(f"there is no workload {unknown[0]}; there are: {', '.join(BY_NAME)}")
    wanted = set(only) or {w.name for w in ALL if mode == "full" or w.short}
    for name in list(wanted):
        wanted.update(BY_NAME[name].needs)
    # ALL has each after what it needs.
    return [workload for workload in ALL if workload.name in wanted]

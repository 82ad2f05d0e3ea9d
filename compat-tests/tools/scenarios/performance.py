"""kafka-producer-perf-test, kafka-consumer-perf-test, kafka-e2e-latency: what they say, without the figures."""

from . import scenario

PRODUCER = "kafka-producer-perf-test"
CONSUMER = "kafka-consumer-perf-test"
# Figures with a fraction or a unit, and dates; counts of records stay.
FIGURES = [r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}", r"\d+\.\d+(E-?\d+)?", r"\d+ ms", r"Infinity|NaN"]


@scenario("performance.producer")
def producer(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    one = ["--topic", "t-one", "--throughput", "-1"]
    run.tool(PRODUCER, *one, "--num-records", "500", "--record-size", "100", ignore=FIGURES)
    run.tool(PRODUCER, *one, "--num-records", "200", "--payload-monotonic", "--warmup-records", "100", ignore=FIGURES)
    pieces = run.path("pieces", "one\ntwo\nthree\n")
    run.tool(PRODUCER, *one, "--num-records", "20", "--payload-file", pieces, "--command-property", "acks=1", "linger.ms=0", ignore=FIGURES)
    run.tool(PRODUCER, "--topic", "t-one", "--throughput", "100", "--num-records", "50", "--record-size", "10", "--producer-props", "acks=1", ignore=FIGURES)
    run.tool("kafka-get-offsets", "--topic", "t-one")


@scenario("performance.consumer")
def consumer(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    run.setup("kafka-console-producer", "--topic", "t-one", stdin="x" * 99 + "\n" + "y\n" * 499)
    counts = [*FIGURES, r"(?<=, )\d+(?=, \d+, <ignored>|, <ignored>, <ignored>$)"]
    run.tool(CONSUMER, "--topic", "t-one", "--num-records", "500", ignore=[*counts, r"(?m)(?<=<ignored>, )\d+, \d+(?=, <ignored>, <ignored>$)"])
    run.tool(CONSUMER, "--topic", "t-one", "--messages", "500", "--hide-header", "--show-detailed-stats", ignore=counts)
    run.tool(CONSUMER, "--topic", "t-one", "--num-records", "600", "--timeout", "2000", "--show-detailed-stats", ignore=counts)


@scenario("performance.latency")
def latency(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    run.tool("kafka-e2e-latency", "--topic", "t-one", "--num-records", "20", "--producer-acks", "all", "--record-size", "10",
             ignore=[*FIGURES, r"= \d+"])
    run.tool("kafka-e2e-latency", "{b}", "t-one", "5", "1", "10", bare=True, ignore=[*FIGURES, r"= \d+"])


@scenario("performance.mistakes")
def mistakes(run):
    for line in (
        ["--topic", "t-one"],
        ["--topic", "t-one", "--throughput", "-1", "--num-records", "0", "--record-size", "1"],
        ["--topic", "t-one", "--throughput", "-1", "--num-records", "1", "--record-size", "0"],
        ["--topic", "t-one", "--throughput", "-1", "--num-records", "1"],
        ["--topic", "t-one", "--throughput", "-1", "--num-records", "1", "--record-size", "1", "--payload-monotonic"],
        ["--topic", "t-one", "--throughput", "-1", "--num-records", "1", "--record-size", "1", "--warmup-records", "1"],
        ["--topic", "t-one", "--throughput", "x", "--num-records", "1", "--record-size", "1"],
    ):
        run.tool(PRODUCER, *line, err="all")
    run.tool(PRODUCER, "--topic", "t-one", "--throughput", "-1", "--num-records", "1", "--record-size", "1", bare=True, err="all")
    for line in (
        [],
        ["--topic", "t-one"],
        ["--topic", "t-one", "--include", "t", "--num-records", "1"],
        ["--topic", "t-one", "--messages", "1", "--num-records", "1"],
        ["--topic", "t-one", "--num-records", "1", "--reporting-interval", "x"],
    ):
        run.tool(CONSUMER, *line)
    run.tool(CONSUMER, bare=True, err="no")
    for line in (
        ["--topic", "t-one"],
        ["--topic", "t-one", "--num-records", "0", "--producer-acks", "1", "--record-size", "1"],
        ["--topic", "t-one", "--num-records", "1", "--producer-acks", "0", "--record-size", "1"],
        ["--topic", "t-one", "--num-records", "1", "--producer-acks", "1", "--record-size", "-1"],
    ):
        run.tool("kafka-e2e-latency", *line)
    run.tool("kafka-e2e-latency", "a", "b", bare=True)

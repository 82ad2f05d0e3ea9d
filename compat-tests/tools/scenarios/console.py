"""kafka-console-producer and kafka-console-consumer."""

from . import scenario

PRODUCER = "kafka-console-producer"
CONSUMER = "kafka-console-consumer"

ALL = [part for name in ("timestamp", "partition", "offset", "delivery", "epoch", "headers", "key") for part in ("--formatter-property", f"print.{name}=true")]
# What Kafka's tool advises, which is not for Ottla's.
ONE = ["--timeout-ms", "20000"]


def read(run, topic, count, *arguments):
    run.tool(CONSUMER, "--topic", topic, "--from-beginning", "--max-messages", str(count), *ONE, *arguments, err="no")


@scenario("console.lines")
def lines(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    run.tool(PRODUCER, "--topic", "t-one", stdin="one\ntwo words\n\nlast without an end")
    read(run, "t-one", 4)
    read(run, "t-one", 4, "--formatter-property", "print.key=true", "--formatter-property", "null.literal=<none>")
    run.tool(PRODUCER, "--topic", "t-one", "--sync", stdin="five\r\nsix\rseven\n")
    read(run, "t-one", 7, *ALL, "--formatter-property", "key.separator=|")
    run.tool(CONSUMER, "--topic", "t-one", "--partition", "0", "--offset", "5", "--max-messages", "2", *ONE, err="no")
    run.tool(CONSUMER, "--topic", "t-one", "--partition", "0", "--offset", "earliest", "--max-messages", "1", *ONE, err="no")
    run.tool(CONSUMER, "--include", "t-.ne", "--from-beginning", "--max-messages", "7", *ONE, err="no")
    run.tool(CONSUMER, "--topic", "t-one", "--from-beginning", "--timeout-ms", "4000", err="no")
    run.tool(CONSUMER, "--topic", "t-one", "--timeout-ms", "2000", err="no")
    run.tool(CONSUMER, "--topic", "t-one", "--from-beginning", "--isolation-level", "read_committed", "--max-messages", "7", *ONE, err="no")


@scenario("console.keys")
def keys(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    keyed = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    headed = [*keyed, "--reader-property", "parse.headers=true", "--reader-property", "null.marker=NULL"]
    run.tool(PRODUCER, "--topic", "t-one", *keyed, stdin="k:v\nä:ö\nempty:\n")
    run.tool(PRODUCER, "--topic", "t-one", *headed, "--reader-property", "headers.key.separator==", stdin="h=1,i=NULL\tk:v\nNULL\tNULL:NULL\nx=\tk:NULL\n")
    run.tool(PRODUCER, "--topic", "t-one", *keyed, stdin="k:v\nno separator\nk:never\n", err="no")
    run.tool(PRODUCER, "--topic", "t-one", *keyed, "--reader-property", "ignore.error=true", stdin="no separator\n")
    read(run, "t-one", 8, *ALL)
    read(run, "t-one", 8, "--formatter-property", "print.headers=true", "--formatter-property", "headers.separator=;", "--formatter-property", "print.value=false")
    read(run, "t-one", 8, "--property", "print.key=true", "--property", "line.separator=#")
    config = run.path("formatter.properties", "print.key=true\nkey.separator=\\t=\\t\n")
    read(run, "t-one", 8, "--formatter-config", config)
    read(run, "t-one", 1, "--formatter", "org.apache.kafka.tools.consumer.NoOpMessageFormatter")


@scenario("console.codecs")
def codecs(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    for more in (["--compression-codec", "gzip"], ["--compression-codec", "snappy"], ["--compression-codec", "lz4"], ["--compression-codec", "zstd"], ["--compression-codec"],
                 ["--request-required-acks", "1"], ["--request-required-acks", "0"], ["--batch-size", "1"], ["--command-property", "linger.ms=0"]):
        run.tool(PRODUCER, "--topic", "t-one", *more, stdin=f"{' '.join(more)}\n")
    read(run, "t-one", 9)


@scenario("console.deserializers")
def deserializers(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    run.setup(PRODUCER, "--topic", "t-one", stdin="eight by\nabcd\n")
    package = "org.apache.kafka.common.serialization."
    read(run, "t-one", 1, "--value-deserializer", package + "LongDeserializer")
    read(run, "t-one", 1, "--value-deserializer", package + "DoubleDeserializer")
    read(run, "t-one", 1, "--formatter-property", f"value.deserializer={package}BytesDeserializer")
    read(run, "t-one", 2, "--value-deserializer", package + "LongDeserializer")
    read(run, "t-one", 2, "--value-deserializer", package + "LongDeserializer", "--skip-message-on-error")


@scenario("console.groups")
def groups(run):
    """A group goes on where it was."""
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    run.setup(PRODUCER, "--topic", "t-one", stdin="a\nb\nc\nd\n")
    for _ in range(2):
        run.tool(CONSUMER, "--topic", "t-one", "--group", "g-one", "--from-beginning", "--max-messages", "2", *ONE, err="no")
    run.tool("kafka-consumer-groups", "--describe", "--group", "g-one", err="all")
    run.tool("kafka-consumer-groups", "--describe", "--group", "g-one", "--verbose", err="all")
    run.tool(CONSUMER, "--topic", "t-one", "--command-property", "group.id=g-one", "--command-property", "auto.offset.reset=earliest", "--timeout-ms", "3000", err="no")


@scenario("console.group_records")
def group_records(run):
    """What is in __consumer_offsets. Its older records are of other scenarios, so each partition is read from its end on."""
    formatter = ["--formatter", "org.apache.kafka.tools.consumer."]
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    run.setup(PRODUCER, "--topic", "t-one", stdin="a\nb\n")
    # So that there is the topic, and this broker knows it.
    run.setup(CONSUMER, "--topic", "t-one", "--group", "g-records", "--from-beginning", "--max-messages", "2", *ONE)
    ends = run.setup("kafka-get-offsets", "--topic", "__consumer_offsets")
    ends = dict(line.split(":")[1:] for line in ends.out.split())
    run.setup("kafka-consumer-groups", "--group", "g-records", "--reset-offsets", "--to-offset", "1", "--topic", "t-one", "--execute")
    run.setup(CONSUMER, "--topic", "t-one", "--group", "g-records", "--max-messages", "1", *ONE)
    run.setup("kafka-consumer-groups", "--delete", "--group", "g-records")
    ids = [r"[\w-]*[0-9a-f]{8}-[0-9a-f-]{27}", r'"(subscription|assignment)":"[^"]*"', r'"topicId":"[^"]*"', r'"client(Id|Host)":"[^"]*"']
    for partition, end in sorted(ends.items()):
        at = ["--topic", "__consumer_offsets", "--partition", partition, "--offset", "{end}", "--timeout-ms", "3000"]
        for name in ("OffsetsMessageFormatter", "GroupMetadataMessageFormatter"):
            run.tool(CONSUMER, *at, formatter[0], formatter[1] + name, err="no", ignore=ids, each={"end": end})


@scenario("console.mistakes")
def mistakes(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    for line in (
        [],
        ["--topic", "t-one", "--include", "t"],
        ["--include", "t", "--partition", "0"],
        ["--topic", "t-one", "--offset", "0"],
        ["--topic", "t-one", "--partition", "0", "--offset", "first"],
        ["--topic", "t-one", "--partition", "0", "--offset", "-5"],
        ["--topic", "t-one", "--partition", "0", "--offset", "1", "--from-beginning"],
        ["--topic", "t-one", "--partition", "x"],
        ["--topic", "t-one", "--partition", "0", "--group", "g"],
        ["--topic", "t-one", "--group", "g", "--command-property", "group.id=h"],
        ["--topic", "t-one", "--from-beginning", "--command-property", "auto.offset.reset=latest"],
        ["--topic", "t-one", "--consumer-property", "a=b", "--command-property", "a=b"],
        ["--topic", "t-one", "--formatter", "no.such.Formatter"],
        ["--topic", "t-one", "--nothing"],
    ):
        run.tool(CONSUMER, *line)
    # Kafka's tool advises the new group protocol first, which Ottla's does not have.
    run.tool(CONSUMER, "--topic", "t-one", "--max-messages", "x", err="no")
    run.tool(CONSUMER, "--topic", "t-one", bare=True)
    run.tool(CONSUMER, bare=True, err="no")
    run.tool(CONSUMER, "--version", bare=True)
    for line in (
        [],
        ["--topic", "t-one", "--producer-property", "a=b", "--command-property", "a=b"],
        ["--topic", "t-one", "--property", "a=b", "--reader-property", "a=b"],
        ["--topic", "t-one", "--producer.config", "a", "--command-config", "b"],
        ["--topic", "t-one", "--nothing"],
        ["--topic", "t-one", "--batch-size"],
    ):
        run.tool(PRODUCER, *line, stdin="a\n")
    run.tool(PRODUCER, "--topic", "t-one", bare=True)
    run.tool(PRODUCER, "--topic", "t-one", "--broker-list", "{b}", bare=True, stdin="a\n")
    run.tool(PRODUCER, "--topic", "t-one", "--bootstrap-server", "host", bare=True)
    run.tool(PRODUCER, bare=True, err="no")
    run.tool(PRODUCER, "--version", bare=True)
    run.tool(PRODUCER, "--topic", "t-one", "--reader-property", "headers.separator=:", stdin="a\n", err="no")
    run.tool(PRODUCER, "--topic", "t-one", "--reader-property", "parse.key=true", stdin="no key\n", err="no")
    run.tool(PRODUCER, "--topic", "t one", stdin="a\n", err="no")

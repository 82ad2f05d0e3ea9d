"""kafka-verifiable-producer and kafka-verifiable-consumer."""

from . import scenario

PRODUCER = "kafka-verifiable-producer"
CONSUMER = "kafka-verifiable-consumer"
# Rates.
FIGURES = [r'"avg_throughput":[0-9.E]+']


@scenario("verifiable.producer")
def producer(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    one = ["--topic", "t-one", "--max-messages"]
    run.tool(PRODUCER, *one, "5", ignore=FIGURES, err="all")
    run.tool(PRODUCER, *one, "4", "--acks", "1", "--value-prefix", "7", "--repeating-keys", "2", "--message-create-time", "1500000000000", ignore=FIGURES, err="all")
    run.tool(PRODUCER, *one, "3", "--acks", "0", "--throughput", "1000", ignore=FIGURES, err="all")
    config = run.path("producer.properties", "compression.type=gzip\n")
    run.tool(PRODUCER, *one, "3", "--command-config", config, ignore=FIGURES, err="all")
    run.tool(PRODUCER, *one, "2", "--producer.config", config, ignore=FIGURES, err="all")
    run.tool("kafka-console-consumer", "--topic", "t-one", "--from-beginning", "--max-messages", "17", "--timeout-ms", "20000",
             "--formatter-property", "print.key=true", "--formatter-property", "print.timestamp=true", ignore=[r"CreateTime:(?!15000000\d{5}\b|<time>)\d+", r"(?<=CreateTime:)(15000000\d{5}|<time>)"], err="no")


@scenario("verifiable.consumer")
def consumer(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    run.setup("kafka-console-producer", "--topic", "t-one", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:", stdin="k:a\nk:b\n:c\nk:d\nk:e\n")
    one = ["--topic", "t-one", "--group-id"]
    run.tool(CONSUMER, *one, "g-one", "--max-messages", "5", err="all")
    run.tool("kafka-consumer-groups", "--describe", "--group", "g-one", err="all")
    run.tool(CONSUMER, *one, "g-two", "--max-messages", "5", "--verbose", err="all")
    run.tool(CONSUMER, *one, "g-three", "--max-messages", "5", "--enable-autocommit", "--session-timeout", "30000", "--assignment-strategy", "org.apache.kafka.clients.consumer.RoundRobinAssignor", err="all")
    run.tool(CONSUMER, *one, "g-four", "--max-messages", "5", "--group-instance-id", "i-1", "--reset-policy", "earliest", err="all")


@scenario("verifiable.mistakes")
def mistakes(run):
    config = run.path("empty.properties", "")
    for line in (
        ["--topic", "t", "--acks", "7", "--max-messages", "1"],
        ["--topic", "t", "--max-messages", "x"],
        ["--max-messages", "1"],
        ["--topic", "t", "--nothing"],
        ["--topic", "t", "--max-messages", "1", "--command-config", config, "--producer.config", config],
        ["--topic", "t", "--max-messages", "1", "--command-config", "/no/such/file"],
        ["--topic", "t", "--max-messages", "1", "--repeating-keys", "x"],
    ):
        run.tool(PRODUCER, *line, err="no")
    run.tool(PRODUCER, "--topic", "t", bare=True, err="no")
    run.tool(PRODUCER, bare=True, err="no", ignore=[r"(?s).+"])
    for line in (
        ["--topic", "t"],
        ["--group-id", "g"],
        ["--topic", "t", "--group-id", "g", "--reset-policy", "first"],
        ["--topic", "t", "--group-id", "g", "--max-messages", "x"],
        ["--topic", "t", "--group-id", "g", "--nothing"],
        ["--topic", "t", "--group-id", "g", "--command-config", config, "--consumer.config", config],
    ):
        run.tool(CONSUMER, *line, err="no")
    run.tool(CONSUMER, "--topic", "t", "--group-id", "g", bare=True, err="no")
    run.tool(CONSUMER, bare=True, err="no", ignore=[r"(?s).+"])

"""kafka-topics."""

from . import scenario

TOOL = "kafka-topics"


@scenario("topics.life")
def life(run):
    """A topic is made, looked at, altered, deleted."""
    run.tool(TOOL, "--list")
    run.tool(TOOL, "--create", "--topic", "t-one")
    run.tool(TOOL, "--create", "--topic", "t-one")
    run.tool(TOOL, "--create", "--topic", "t-one", "--if-not-exists")
    run.tool(TOOL, "--create", "--topic", "t-two", "--partitions", "3", "--replication-factor=1", "--config", "retention.ms=1000", "--config", "cleanup.policy=compact")
    run.tool(TOOL, "--create", "--topic", "t.three", "--replica-assignment", "1,1,1,1")
    run.tool(TOOL, "--list")
    run.tool(TOOL, "--list", "--topic", "t-.*")
    run.tool(TOOL, "--list", "--topic", "t-one,t.three")
    run.tool(TOOL, "--list", "--exclude-internal")
    run.tool(TOOL, "--describe")
    run.tool(TOOL, "--describe", "--topic", "t-two")
    run.tool(TOOL, "--describe", "--topic", "t-.*", "--partition-size-limit-per-response", "1")
    run.tool(TOOL, "--describe", "--topics-with-overrides")
    run.tool(TOOL, "--alter", "--topic", "t-two", "--partitions", "5")
    run.tool(TOOL, "--alter", "--topic", "t-two", "--partitions", "5")
    run.tool(TOOL, "--alter", "--topic", "t-two", "--partitions", "2")
    run.tool(TOOL, "--alter", "--topic", "t-two", "--partitions", "7", "--replica-assignment", "1,1,1,1,1,1,1")
    run.tool(TOOL, "--describe", "--topic", "t-two")
    run.tool(TOOL, "--alter", "--topic", "t-none", "--partitions", "2")
    run.tool(TOOL, "--alter", "--topic", "t-none", "--partitions", "2", "--if-exists")
    run.tool(TOOL, "--delete", "--topic", "t-one")
    run.tool(TOOL, "--delete", "--topic", "t-one")
    run.tool(TOOL, "--delete", "--topic", "t-one", "--if-exists")
    run.tool(TOOL, "--describe", "--topic", "t-one")
    run.tool(TOOL, "--describe", "--topic", "t-one", "--if-exists")
    run.tool(TOOL, "--delete", "--topic", "t[.-].*")
    run.tool(TOOL, "--list")


@scenario("topics.filters")
def filters(run):
    run.tool(TOOL, "--create", "--topic", "t-a", "--partitions", "2")
    run.tool(TOOL, "--create", "--topic", "t-b", "--config", "min.insync.replicas=2")
    for report in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions", "--at-min-isr-partitions"):
        run.tool(TOOL, "--describe", report)
    run.tool(TOOL, "--describe", "--under-min-isr-partitions", "--at-min-isr-partitions")
    run.tool(TOOL, "--describe", "--topic-id", "AAAAAAAAAAAAAAAAAAAAAQ")
    run.tool(TOOL, "--describe", "--topic-id", "AAAAAAAAAAAAAAAAAAAAAQ", "--if-exists")
    run.tool(TOOL, "--describe", "--topic-id", "short")
    run.tool(TOOL, "--describe", "--topic", "t-a", "--topic-id", "AAAAAAAAAAAAAAAAAAAAAA", "--if-exists")


@scenario("topics.many")
def many(run):
    """More topics than a Java map begins with: the order in which they are shown."""
    for number in range(17):
        run.setup(TOOL, "--create", "--topic", f"t-many-{number}")
    run.tool(TOOL, "--list")
    run.tool(TOOL, "--describe", "--topic", "t-many-.*")


@scenario("topics.mistakes")
def mistakes(run):
    for line in (
        ["--create"],
        ["--create", "--list"],
        ["--topic", "t-x"],
        ["--create", "--topic", "t-x", "--partitions", "none"],
        ["--create", "--topic", "t-x", "--partitions", "0"],
        ["--create", "--topic", "t-x", "--replication-factor", "0"],
        ["--create", "--topic", "t-x", "--replication-factor", "40000"],
        ["--create", "--topic", "t-x", "--replication-factor", "3"],
        ["--create", "--topic", "t x"],
        ["--create", "--topic", ""],
        ["--create", "--topic", "t-" + "x" * 300],
        ["--create", "--topic", "t-x", "--config", "no.such.key=1"],
        ["--create", "--topic", "t-x", "--config", "retention.ms=soon"],
        ["--create", "--topic", "t-x", "--config", "retention.ms"],
        ["--create", "--topic", "t-x", "--config", "retention.ms="],
        ["--create", "--topic", "t-x", "--config", "a=b=c"],
        ["--create", "--topic", "t-x", "--replica-assignment", "1:1"],
        ["--create", "--topic", "t-x", "--replica-assignment", "1,1:2"],
        ["--create", "--topic", "t-x", "--replica-assignment", "one"],
        ["--create", "--topic", "t-x", "--replica-assignment", "7"],
        ["--create", "--topic", "t-x", "--replica-assignment", "1", "--partitions", "1"],
        ["--create", "--topic", "t-x", "--topic", "t-y"],
        ["--create", "--topic", "t-x", "--if-exists"],
        ["--list", "--if-not-exists"],
        ["--list", "--partitions", "1"],
        ["--list", "--config", "a=b"],
        ["--list", "--topic", "*"],
        ["--list", "--under-replicated-partitions"],
        ["--describe", "--topics-with-overrides", "--unavailable-partitions"],
        ["--describe", "--if-exists"],
        ["--alter", "--topic", "t-x"],
        ["--delete"],
        ["--delete", "--topic", "t-x", "--exclude-internal"],
        ["--list", "--delete-config", "x"],
        ["--lists"],
        ["--list", "--zookeeper", "zookeeper:2181"],
        ["--list", "--command-config", "/no/such/file"],
        ["--list", "more", "words"],
    ):
        run.tool(TOOL, *line)
    # In Kafka's sentence the two stand in an order that changes from run to run.
    run.tool(TOOL, "--alter", "--topic", "t-x", "--config", "a=b", ignore=[r"\[\[\S+ \S+\]\]"])
    run.tool(TOOL, "--list", bare=True)
    run.tool(TOOL, bare=True, err="no")
    run.tool(TOOL, "--help", bare=True, err="no")
    run.tool(TOOL, "--version", bare=True)
    run.tool(TOOL, "--list", "--bootstrap-server", bare=True)
    run.tool(TOOL, "--list", "--bootstrap-server", "no-port", bare=True)
    run.tool(TOOL, "-list", "-bootstrap-server={b}", bare=True)


@scenario("topics.nobody")
def nobody(run):
    """Nobody listens at that port: the tool tries until default.api.timeout.ms."""
    config = run.path("client.properties", "default.api.timeout.ms=1000\nrequest.timeout.ms=500\n")
    run.tool(TOOL, "--list", "--bootstrap-server", "127.0.0.1:1", "--command-config", config, bare=True, err="no")

"""kafka-configs."""

from . import scenario

TOOL = "kafka-configs"


@scenario("configs.topics")
def topics(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one", "--config", "retention.ms=1000")
    run.setup("kafka-topics", "--create", "--topic", "t-two")
    describe = ["--describe", "--entity-type", "topics"]
    run.tool(TOOL, *describe)
    run.tool(TOOL, *describe, "--entity-name", "t-one")
    run.tool(TOOL, *describe, "--entity-name", "t-one", "--all")
    run.tool(TOOL, "--describe", "--topic", "t-two")
    alter = ["--alter", "--entity-type", "topics", "--entity-name", "t-two"]
    run.tool(TOOL, *alter, "--add-config", "cleanup.policy=[compact,delete],retention.ms=5000")
    run.tool(TOOL, *describe, "--entity-name", "t-two")
    run.tool(TOOL, *alter, "--delete-config", "cleanup.policy,retention.ms", "--add-config", "segment.bytes=1048576")
    run.tool(TOOL, *describe, "--entity-name", "t-two")
    run.tool(TOOL, *alter, "--add-config-file", run.path("more.properties", "max.message.bytes=4096\n# none\ncompression.type = gzip\n"))
    run.tool(TOOL, "--describe", "--topic", "t-two")
    run.tool(TOOL, "--alter", "--topic", "t-two", "--delete-config", "never.set")
    run.tool(TOOL, "--describe", "--topic", "t-none")
    run.tool(TOOL, "--describe", "--topic", "t-none", "--all", err="no")
    run.tool(TOOL, "--describe", "--topic", "t none", err="no")
    run.tool(TOOL, "--alter", "--topic", "t-none", "--add-config", "retention.ms=1", err="no")


@scenario("configs.brokers")
def brokers(run):
    try:
        run.tool(TOOL, "--describe", "--entity-type", "brokers")
        run.tool(TOOL, "--describe", "--broker", "1")
        run.tool(TOOL, "--describe", "--broker-defaults")
        run.tool(TOOL, "--describe", "--entity-type", "brokers", "--entity-default")
        run.tool(TOOL, "--describe", "--broker", "9")
        run.tool(TOOL, "--alter", "--broker", "1", "--add-config", "log.cleaner.threads=2")
        run.tool(TOOL, "--alter", "--broker-defaults", "--add-config", "log.retention.ms=100000,message.max.bytes=2000000")
        run.tool(TOOL, "--describe", "--entity-type", "brokers")
        run.tool(TOOL, "--describe", "--broker", "1")
        run.tool(TOOL, "--alter", "--broker", "1", "--add-config", "node.id=7", err="no")
        run.tool(TOOL, "--alter", "--broker", "1", "--add-config", "log.cleaner.threads=none", err="no")
    finally:
        run.tool(TOOL, "--alter", "--broker", "1", "--delete-config", "log.cleaner.threads")
        run.tool(TOOL, "--alter", "--entity-type", "brokers", "--entity-default", "--delete-config", "log.retention.ms,message.max.bytes")
    run.tool(TOOL, "--describe", "--entity-type", "brokers")


@scenario("configs.others")
def others(run):
    try:
        run.tool(TOOL, "--describe", "--entity-type", "groups")
        run.tool(TOOL, "--describe", "--group", "t-group")
        run.tool(TOOL, "--alter", "--group", "t-group", "--add-config", "consumer.session.timeout.ms=50000")
        run.tool(TOOL, "--describe", "--group", "t-group")
        run.tool(TOOL, "--describe", "--entity-type", "client-metrics")
        run.tool(TOOL, "--describe", "--client-metrics", "t-metrics")
        run.tool(TOOL, "--alter", "--client-metrics", "t-metrics", "--add-config", "metrics=[a.b,c.d],interval.ms=5000,match=[client_id=x]")
        run.tool(TOOL, "--describe", "--entity-type", "client-metrics", "--entity-name", "t-metrics")
        run.tool(TOOL, "--describe", "--entity-type", "client-metrics")
    finally:
        run.tool(TOOL, "--alter", "--group", "t-group", "--delete-config", "consumer.session.timeout.ms")
        run.tool(TOOL, "--alter", "--client-metrics", "t-metrics", "--delete-config", "metrics,interval.ms,match")


@scenario("configs.quotas")
def quotas(run):
    """Users, clients and addresses: what a cluster has that has no quotas and no credentials."""
    for entity in ("users", "clients", "ips"):
        run.tool(TOOL, "--describe", "--entity-type", entity)
        run.tool(TOOL, "--describe", "--entity-type", entity, "--entity-default")
        run.tool(TOOL, "--describe", "--entity-type", entity, "--entity-name", "127.0.0.1")
    run.tool(TOOL, "--describe", "--user", "t-alice")
    run.tool(TOOL, "--describe", "--user", "t-alice", "--client", "c")
    run.tool(TOOL, "--describe", "--user-defaults", "--client-defaults")
    run.tool(TOOL, "--describe", "--ip", "127.0.0.1", "--ip-defaults")


@scenario("configs.change_quotas")
def change_quotas(run):
    """Where there are quotas. Ottla has none: it says so."""
    user, both, ip = ["--user", "t-alice"], ["--user", "t-alice", "--client", "c"], ["--ip", "127.0.0.1"]
    rates = "producer_byte_rate=1000,consumer_byte_rate=2000,request_percentage=50"
    try:
        run.tool(TOOL, "--alter", *user, "--add-config", rates)
        run.tool(TOOL, "--alter", *both, "--add-config", "controller_mutation_rate=10000000")
        run.tool(TOOL, "--alter", "--client-defaults", "--add-config", "producer_byte_rate=5")
        run.tool(TOOL, "--alter", *ip, "--add-config", "connection_creation_rate=20000")
        run.tool(TOOL, "--describe", *user)
        run.tool(TOOL, "--describe", *both)
        run.tool(TOOL, "--describe", "--entity-type", "clients")
        run.tool(TOOL, "--describe", "--entity-type", "ips")
        run.tool(TOOL, "--alter", *user, "--delete-config", "controller_mutation_rate")
        run.tool(TOOL, "--alter", *user, "--add-config", "producer_byte_rate=-1", err="no")
    finally:
        run.tool(TOOL, "--alter", *user, "--delete-config", "producer_byte_rate,consumer_byte_rate,request_percentage")
        run.tool(TOOL, "--alter", *both, "--delete-config", "controller_mutation_rate")
        run.tool(TOOL, "--alter", "--client-defaults", "--delete-config", "producer_byte_rate")
        run.tool(TOOL, "--alter", *ip, "--delete-config", "connection_creation_rate")
    for line in (
        [*user, "--add-config", "nothing=1"],
        [*user, "--delete-config", "nothing"],
        ["--client", "c", "--add-config", "SCRAM-SHA-256=[password=x]"],
        [*both, "--delete-config", "SCRAM-SHA-256"],
        ["--user-defaults", "--add-config", "SCRAM-SHA-256=[password=x]"],
        [*user, "--add-config", "SCRAM-SHA-256=[password=x],producer_byte_rate=1"],
        [*user, "--add-config", "producer_byte_rate=many"],
        [*ip, "--add-config", "producer_byte_rate=1"],
    ):
        run.tool(TOOL, "--alter", *line)


@scenario("configs.loggers")
def loggers(run):
    # Which loggers there are is each broker's own; the root has one in both.
    one = ["--entity-type", "broker-loggers", "--entity-name", "1"]
    all_loggers = [r"(?s)(?<=are:\n).*?(?=  root=)", r"(?s) sensitive=false synonyms=\{\}\n.*"]
    try:
        run.tool(TOOL, "--alter", *one, "--add-config", "root=WARN")
        run.tool(TOOL, "--describe", *one, ignore=all_loggers)
        run.tool(TOOL, "--describe", "--broker-logger", "1", "--all", ignore=all_loggers)
        run.tool(TOOL, "--alter", "--broker-logger", "1", "--add-config", "root=ERROR")
        run.tool(TOOL, "--describe", *one, ignore=all_loggers)
        run.tool(TOOL, "--alter", *one, "--add-config", "no.such.logger=INFO")
        run.tool(TOOL, "--alter", *one, "--add-config", "root=LOUD", err="no")
        run.tool(TOOL, "--alter", *one, "--delete-config", "root", err="no")
        run.tool(TOOL, "--describe", "--broker-logger", "9")
    finally:
        run.tool(TOOL, "--alter", *one, "--add-config", "root=WARN")


@scenario("configs.controllers")
def controllers(run):
    """A broker is no controller."""
    run.tool(TOOL, "--describe", "--entity-type", "brokers", "--bootstrap-controller", "{b}", bare=True)


@scenario("configs.mistakes")
def mistakes(run):
    for line in (
        [],
        ["--describe", "--alter"],
        ["--describe"],
        ["--describe", "--entity-type", "things"],
        ["--describe", "--entity-type", "topics", "--entity-type", "topics"],
        ["--describe", "--entity-type", "topics", "--entity-type", "brokers"],
        ["--describe", "--entity-type", "topics", "--entity-default"],
        ["--describe", "--entity-type", "topics", "--topic", "t"],
        ["--describe", "--topic", "t", "--add-config", "a=b"],
        ["--describe", "--entity-type", "broker-loggers"],
        ["--describe", "--broker", "one"],
        ["--alter", "--entity-type", "topics", "--add-config", "a=b"],
        ["--alter", "--entity-type", "brokers", "--add-config", "a=b"],
        ["--alter", "--topic", "t"],
        ["--alter", "--topic", "t", "--add-config", "a=b", "--add-config-file", "f"],
        ["--alter", "--topic", "t", "--add-config", "a"],
        ["--alter", "--topic", "t", "--add-config", "a b=c"],
        ["--alter", "--topic", "t", "--add-config", "a=b=c"],
        ["--describe", "--nothing"],
        ["--describe", "--topic"],
        ["--describe", "--topic", "t", "--topic", "u"],
    ):
        run.tool(TOOL, "--bootstrap-server={b}", *line, bare=True)
    run.tool(TOOL, "--describe", "--topic", "t", bare=True)
    run.tool(TOOL, "--describe", "--topic", "t", "--bootstrap-controller", "a:1")
    run.tool(TOOL, bare=True, err="no")
    run.tool(TOOL, "--version", bare=True)

"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources."""

from scenarios import scenario
from scenarios.topics import CONFIG_VALUES

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)


def describe(s, label, *wanted, synonyms=False, documentation=False, version=None):
    """`wanted`: (type, name, keys or None)."""
    resources = [{"ResourceType": t, "ResourceName": n, "ConfigurationKeys": k} for t, n, k in wanted]
    return s.ask(label, "DescribeConfigs", {"Resources": resources, "IncludeSynonyms": synonyms, "IncludeDocumentation": documentation}, version=version)


@scenario("DescribeConfigs")
def of_topics(s):
    topic = s.topic("described", retention_ms=1234567, cleanup_policy="compact")[0]
    describe(s, "all", (TOPIC, topic, None))
    describe(s, "all with synonyms", (TOPIC, topic, None), synonyms=True)
    describe(s, "two keys", (TOPIC, topic, ["retention.ms", "segment.bytes"]))
    describe(s, "unknown key", (TOPIC, topic, ["no.such.key", "retention.ms"]))
    describe(s, "no keys", (TOPIC, topic, []))
    describe(s, "unknown topic", (TOPIC, s.name("absent"), None))
    describe(s, "invalid name", (TOPIC, "a b", None))
    describe(s, "empty name", (TOPIC, "", None))
    describe(s, "the same twice", (TOPIC, topic, ["retention.ms"]), (TOPIC, topic, ["segment.ms"]))
    describe(s, "nothing")
    for kind in (0, 1, 3, 64, -1, CLIENT_METRICS, GROUP):
        describe(s, f"resource type {kind}", (kind, s.name("x"), None))


@scenario("DescribeConfigs", versions=(3, 4))
def documentation(s):
    """Whether each entry has a text, not which."""
    topic = s.topic("documented")[0]
    resources = [{"ResourceType": TOPIC, "ResourceName": topic, "ConfigurationKeys": None}]
    told = s.quiet("DescribeConfigs", {"Resources": resources, "IncludeDocumentation": True}, s.version)
    s.keep("topic", "DescribeConfigs", s.version, None, {c["Name"]: bool(c["Documentation"]) for c in told["Results"][0]["Configs"]})


@scenario("DescribeConfigs")
def of_brokers(s):
    """Every key with all that is told of it; values that are the machine's or the port's are left out."""
    own = {"listeners", "advertised.listeners", "log.dirs", "log.dir", "metadata.log.dir", "controller.quorum.bootstrap.servers", "listener.security.protocol.map", "cordoned.log.dirs"}
    for label, name, synonyms in (("broker 1", "1", True), ("all brokers", "", True), ("broker 1 without synonyms", "1", False)):
        resources = [{"ResourceType": BROKER, "ResourceName": name, "ConfigurationKeys": None}]
        told = s.quiet("DescribeConfigs", {"Resources": resources, "IncludeSynonyms": synonyms}, s.version)
        for entry in told["Results"][0]["Configs"]:
            if entry["Name"] in own:
                entry["Value"] = None if entry["Value"] is None else "<own>"
                for synonym in entry.get("Synonyms", []):
                    synonym["Value"] = None if synonym["Value"] is None else "<own>"
        s.keep(label, "DescribeConfigs", s.version, None, told)
    describe(s, "some keys", (BROKER, "1", ["num.partitions", "log.retention.hours", "message.max.bytes"]), synonyms=True)
    for name in ("2", "x", "-1", "1.0", " 1"):
        describe(s, f"broker {name!r}", (BROKER, name, ["num.partitions"]))
    describe(s, "loggers of an unknown broker", (BROKER_LOGGER, "77", None))
    describe(s, "loggers of no broker", (BROKER_LOGGER, "", None))


@scenario("AlterConfigs")
def altered(s):
    topic = s.topic("altered", retention_ms=5000)[0]

    def ask(label, *resources, dry=False):
        entries = [{"ResourceType": t, "ResourceName": n, "Configs": [{"Name": k, "Value": v} for k, v in c.items()]} for t, n, c in resources]
        s.ask(label, "AlterConfigs", {"Resources": entries, "ValidateOnly": dry})

    def shown(label, key, value):
        seen = lambda: {c["Name"]: c["Value"] for c in s.quiet("DescribeConfigs", {"Resources": [{"ResourceType": TOPIC, "ResourceName": topic, "ConfigurationKeys": None}]}, 4)["Results"][0]["Configs"]}  # noqa: E731
        s.until(lambda: seen()[key] == value, f"{key} is {value}")
        describe(s, label, (TOPIC, topic, ["retention.ms", "max.message.bytes", "cleanup.policy"]), version=4)

    ask("one key, the others go back", (TOPIC, topic, {"max.message.bytes": "999"}))
    shown("seen", "max.message.bytes", "999")
    ask("validate only", (TOPIC, topic, {"max.message.bytes": "555"}), dry=True)
    ask("wrong value", (TOPIC, topic, {"max.message.bytes": "many"}))
    ask("unknown key", (TOPIC, topic, {"no.such.key": "1"}))
    ask("null value", (TOPIC, topic, {"max.message.bytes": None}))
    shown("nothing of that happened", "max.message.bytes", "999")
    ask("no keys resets all", (TOPIC, topic, {}))
    shown("reset", "max.message.bytes", "1048588")
    ask("unknown topic", (TOPIC, s.name("absent"), {"retention.ms": "1"}))
    ask("empty name", (TOPIC, "", {"retention.ms": "1"}))
    ask("invalid name", (TOPIC, "a b", {"retention.ms": "1"}))
    ask("the same twice", (TOPIC, topic, {"retention.ms": "1"}), (TOPIC, topic, {"retention.ms": "2"}))
    ask("good and bad", (TOPIC, topic, {"retention.ms": "77"}), (TOPIC, s.name("absent"), {"retention.ms": "1"}))
    ask("nothing")
    for kind in (0, 1, 3, 64):
        ask(f"resource type {kind}", (kind, "x", {"a": "b"}), dry=True)
    ask("a broker's read-only key", (BROKER, "1", {"node.id": "5"}), dry=True)
    ask("a broker's wrong value", (BROKER, "1", {"message.max.bytes": "x"}), dry=True)
    ask("an unknown broker", (BROKER, "55", {"message.max.bytes": "5000"}), dry=True)
    ask("a broker's unknown key", (BROKER, "1", {"no.such.key": "1"}), dry=True)


@scenario("IncrementalAlterConfigs")
def incremental(s):
    topic = s.topic("altered", retention_ms=5000)[0]

    def ask(label, *resources, dry=False):
        entries = [{"ResourceType": t, "ResourceName": n, "Configs": [{"Name": k, "ConfigOperation": op, "Value": v} for k, op, v in c]} for t, n, c in resources]
        s.ask(label, "IncrementalAlterConfigs", {"Resources": entries, "ValidateOnly": dry})

    def shown(label, key, value):
        seen = lambda: {c["Name"]: c["Value"] for c in s.quiet("DescribeConfigs", {"Resources": [{"ResourceType": TOPIC, "ResourceName": topic, "ConfigurationKeys": None}]}, 4)["Results"][0]["Configs"]}  # noqa: E731
        s.until(lambda: seen()[key] == value, f"{key} is {value}")
        describe(s, label, (TOPIC, topic, ["retention.ms", "max.message.bytes", "cleanup.policy"]), version=4)

    ask("set", (TOPIC, topic, [("max.message.bytes", SET, "999")]))
    shown("set: seen", "max.message.bytes", "999")
    ask("append to a list", (TOPIC, topic, [("cleanup.policy", APPEND, "compact")]))
    shown("append: seen", "cleanup.policy", "delete,compact")
    ask("append what is there", (TOPIC, topic, [("cleanup.policy", APPEND, "compact")]))
    ask("subtract", (TOPIC, topic, [("cleanup.policy", SUBTRACT, "delete")]))
    shown("subtract: seen", "cleanup.policy", "compact")
    ask("subtract what is not there", (TOPIC, topic, [("cleanup.policy", SUBTRACT, "delete")]))
    ask("delete", (TOPIC, topic, [("retention.ms", DELETE, None)]))
    shown("delete: seen", "retention.ms", "604800000")
    ask("delete what is not set", (TOPIC, topic, [("retention.ms", DELETE, None)]))
    ask("delete an unknown key", (TOPIC, topic, [("no.such.key", DELETE, None)]))
    ask("append to what is no list", (TOPIC, topic, [("retention.ms", APPEND, "5")]))
    ask("subtract from what is no list", (TOPIC, topic, [("retention.ms", SUBTRACT, "5")]))
    ask("set to null", (TOPIC, topic, [("retention.ms", SET, None)]))
    ask("unknown operation", (TOPIC, topic, [("retention.ms", 9, "5")]))
    ask("unknown key", (TOPIC, topic, [("no.such.key", SET, "5")]))
    ask("wrong value", (TOPIC, topic, [("retention.ms", SET, "soon")]))
    ask("the same key twice", (TOPIC, topic, [("retention.ms", SET, "1"), ("retention.ms", SET, "2")]))
    ask("one good, one bad key", (TOPIC, topic, [("retention.ms", SET, "4444"), ("max.message.bytes", SET, "-7")]))
    ask("validate only", (TOPIC, topic, [("retention.ms", SET, "123")]), dry=True)
    describe(s, "nothing of that happened", (TOPIC, topic, ["retention.ms", "max.message.bytes", "cleanup.policy"]), version=4)
    ask("unknown topic", (TOPIC, s.name("absent"), [("retention.ms", SET, "1")]))
    ask("the same resource twice", (TOPIC, topic, [("retention.ms", SET, "1")]), (TOPIC, topic, [("retention.ms", SET, "2")]))
    ask("no keys", (TOPIC, topic, []))
    ask("nothing")
    for kind in (0, 1, 3, 64):
        ask(f"resource type {kind}", (kind, "x", [("a", SET, "b")]), dry=True)
    ask("a broker's key", (BROKER, "1", [("message.max.bytes", SET, "1048588")]), dry=True)
    ask("all brokers' key", (BROKER, "", [("message.max.bytes", SET, "1048588")]), dry=True)
    ask("a broker's read-only key", (BROKER, "1", [("node.id", SET, "5")]), dry=True)
    ask("a broker's wrong value", (BROKER, "1", [("message.max.bytes", SET, "x")]), dry=True)
    ask("an unknown broker", (BROKER, "55", [("message.max.bytes", SET, "5000")]), dry=True)
    ask("a broker that is no number", (BROKER, "x", [("message.max.bytes", SET, "5000")]), dry=True)
    ask("a broker's unknown key", (BROKER, "1", [("no.such.key", SET, "1")]), dry=True)


@scenario("IncrementalAlterConfigs", once=True)
def values_of_topic_keys(s):
    topic = s.topic("altered")[0]
    for name, values in CONFIG_VALUES.items():
        for value in values:
            configs = [{"Name": name, "ConfigOperation": SET, "Value": value}]
            s.ask(f"{name}={value!r}", "IncrementalAlterConfigs", {"Resources": [{"ResourceType": TOPIC, "ResourceName": topic, "Configs": configs}], "ValidateOnly": True})


@scenario("IncrementalAlterConfigs", versions=(1, 1))
def loggers(s):
    """The root logger is the only one that both have. One version only: scenarios run side by side, and there is one such logger."""

    def alter(label, name, operation=SET, value="WARN", node="1", validate_only=False):
        configs = [{"Name": name, "ConfigOperation": operation, "Value": value}]
        resources = [{"ResourceType": BROKER_LOGGER, "ResourceName": node, "Configs": configs}]
        s.ask(label, "IncrementalAlterConfigs", {"Resources": resources, "ValidateOnly": validate_only})

    def root(label):
        wanted = [{"ResourceType": BROKER_LOGGER, "ResourceName": "1", "ConfigurationKeys": ["root"]}]
        told = s.quiet("DescribeConfigs", {"Resources": wanted, "IncludeDocumentation": True}, 4)
        s.keep(label, "DescribeConfigs", 4, None, told)

    alter("root to ERROR", "root", value="ERROR")
    root("root is at ERROR")
    alter("root to DEBUG, only validated", "root", value="DEBUG", validate_only=True)
    root("root is still at ERROR")
    for value in ("warn", "OFF", "ALL", "", "loud", None):
        alter(f"level {value!r}", "root", value=value)
    alter("unknown logger", "no.such.logger")
    alter("unknown logger, removed", "no.such.logger", DELETE, None)
    alter("root removed", "root", DELETE, None)
    for operation in (APPEND, SUBTRACT, 9):
        alter(f"operation {operation}", "root", operation)
    for node in ("77", "x", ""):
        alter(f"node {node!r}", "root", node=node)
    alter("root to WARN", "root")
    root("root is at WARN")


@scenario("ListConfigResources", versions=(1, 1))
def resources(s):
    topic = s.topic("listed")[0]
    told = s.quiet("ListConfigResources", {"ResourceTypes": [TOPIC]}, s.version)
    told["ConfigResources"] = [r for r in told["ConfigResources"] if r["ResourceName"] == topic]
    s.keep("the topic that was made here", "ListConfigResources", s.version, None, told)
    for kind in (BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP):
        s.ask(f"type {kind}", "ListConfigResources", {"ResourceTypes": [kind]})
    for kind in (0, 1, 3, 64, -1):
        s.ask(f"unknown type {kind}", "ListConfigResources", {"ResourceTypes": [kind]})
    s.ask("brokers twice", "ListConfigResources", {"ResourceTypes": [BROKER, BROKER]})


@scenario("ListConfigResources", versions=(0, 0))
def client_metrics_only(s):
    s.ask("version 0 knows client metrics only", "ListConfigResources", {})

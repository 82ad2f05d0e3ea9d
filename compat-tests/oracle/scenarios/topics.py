"""CreateTopics, DeleteTopics, CreatePartitions, ElectLeaders and partition reassignments."""

from scenarios import scenario
from wire.codec import ZERO_UUID

SOME_ID = "12345678-1234-1234-1234-123456789abc"


def entry(name, partitions=1, replicas=1, assignments=None, **configs):
    spread = [{"PartitionIndex": p, "BrokerIds": brokers} for p, brokers in (assignments or {}).items()]
    return {"Name": name, "NumPartitions": partitions, "ReplicationFactor": replicas, "Assignments": spread,
            "Configs": [{"Name": k.replace("_", "."), "Value": v} for k, v in configs.items()]}


def create(s, label, *entries, dry=False, timeout=10000):
    return s.ask(label, "CreateTopics", {"Topics": list(entries), "timeoutMs": timeout, "validateOnly": dry})


@scenario("CreateTopics")
def created(s):
    create(s, "one", entry(s.name("one"), 3))
    create(s, "again", entry(s.name("one"), 3))
    create(s, "several", entry(s.name("two")), entry(s.name("three"), 2))
    create(s, "one is there, one is new", entry(s.name("two")), entry(s.name("four")))
    create(s, "validate only", entry(s.name("dry"), 2), dry=True)
    create(s, "validate only left nothing", entry(s.name("dry"), 2))
    create(s, "validate only of what is there", entry(s.name("dry"), 2), dry=True)
    create(s, "no topics")
    create(s, "the same name twice", entry(s.name("twice")), entry(s.name("twice"), 2))
    create(s, "with configs", entry(s.name("configured"), cleanup_policy="compact", retention_ms="1000", max_message_bytes="2000"))
    create(s, "timeout zero", entry(s.name("hasty")), timeout=0)


@scenario("CreateTopics")
def counts(s):
    for partitions in (0, -1, -2, 10_001):
        create(s, f"{partitions} partitions", entry(s.name(f"p{partitions}"), partitions), dry=True)
    for replicas in (0, -1, -2, 2, 32767):
        create(s, f"{replicas} replicas", entry(s.name(f"r{replicas}"), 1, replicas), dry=True)
    create(s, "defaults of both", entry(s.name("defaults"), -1, -1))


@scenario("CreateTopics")
def names(s):
    for label, name in [("empty", ""), ("dot", "."), ("dots", ".."), ("space", "a b"), ("slash", "a/b"), ("unicode", "ż"), ("250 letters", "x" * 250), ("null byte", "a\0b"),
                        ("colon", "a:b"), ("newline", "a\n")]:
        create(s, label, entry(name), dry=True)
    create(s, "249 letters", entry(s.name("").ljust(249, "y")), dry=True)
    create(s, "metadata topic", entry("__cluster_metadata"), dry=True)
    create(s, "share group state", entry("__share_group_state_x"), dry=True)
    create(s, "with a dot", entry(s.name("a.b")))
    create(s, "collides with the one with a dot", entry(s.name("a_b")))


@scenario("CreateTopics")
def assignments(s):
    create(s, "assigned", entry(s.name("assigned"), -1, -1, {0: [1], 1: [1]}))
    for label, partitions, replicas, spread in [
        ("counts given too", 2, 1, {0: [1], 1: [1]}), ("partitions given too", 2, -1, {0: [1]}), ("replicas given too", -1, 1, {0: [1]}), ("unknown broker", -1, -1, {0: [99]}),
        ("negative broker", -1, -1, {0: [-1]}), ("a gap", -1, -1, {0: [1], 2: [1]}), ("not from zero", -1, -1, {1: [1]}), ("the same broker twice", -1, -1, {0: [1, 1]}),
        ("no brokers", -1, -1, {0: []}), ("unequal", -1, -1, {0: [1], 1: []}), ("negative partition", -1, -1, {-1: [1]}),
    ]:
        create(s, label, entry(s.name("spread"), partitions, replicas, spread), dry=True)


CONFIG_VALUES = {
    "cleanup.policy": ["delete", "compact", "compact,delete", "", "none", "delete,none", "Delete", "delete, compact"],
    "compression.type": ["producer", "uncompressed", "gzip", "zstd", "brotli", "none"],
    "retention.ms": ["-1", "0", "-2", "1.5", "x", "", "9223372036854775807", "9223372036854775808", " 5 "],
    "retention.bytes": ["-1", "0", "-2"],
    "segment.bytes": ["1048576", "13", "14", "0", "-1", "1024"],
    "segment.ms": ["1", "0", "-1"],
    "max.message.bytes": ["0", "-1", "2147483647", "2147483648"],
    "min.insync.replicas": ["1", "0", "-1", "5"],
    "message.timestamp.type": ["CreateTime", "LogAppendTime", "createtime", "x"],
    "message.timestamp.before.max.ms": ["0", "-1", "1"],
    "message.timestamp.after.max.ms": ["0", "-1", "1"],
    "min.cleanable.dirty.ratio": ["0", "1", "1.1", "-0.1", "0.5", "x"],
    "unclean.leader.election.enable": ["true", "false", "TRUE", "yes", "1", ""],
    "flush.messages": ["1", "0", "-1"],
    "flush.ms": ["0", "-1"],
    "index.interval.bytes": ["0", "-1"],
    "segment.index.bytes": ["4", "3"],
    "segment.jitter.ms": ["0", "-1"],
    "delete.retention.ms": ["0", "-1"],
    "min.compaction.lag.ms": ["0", "-1"],
    "max.compaction.lag.ms": ["1", "0"],
    "file.delete.delay.ms": ["0", "-1"],
    "preallocate": ["true", "x"],
    "leader.replication.throttled.replicas": ["*", "0:1", "x", ""],
    "follower.replication.throttled.replicas": ["*", "0:1", "0"],
    "remote.storage.enable": ["false", "true", "x"],
    "local.retention.ms": ["-2", "-1", "-3", "5"],
    "local.retention.bytes": ["-2", "-1", "-3"],
    "remote.log.copy.disable": ["false", "true"],
    "remote.log.delete.on.disable": ["false", "true"],
    "message.format.version": ["3.0"],
    "message.downconversion.enable": ["true"],
    "compression.gzip.level": ["-1", "1", "9", "10", "0"],
    "compression.lz4.level": ["1", "17", "18", "0"],
    "compression.zstd.level": ["-131072", "22", "23", "0"],
    "internal.segment.bytes": ["100"],
    "no.such.config": ["1"],
    "": ["1"],
}


@scenario("CreateTopics", once=True)
def config_values(s):
    for name, values in CONFIG_VALUES.items():
        for value in [*values, None]:
            topic = entry(s.name("configured"))
            topic["Configs"] = [{"Name": name, "Value": value}]
            create(s, f"{name}={value!r}", topic, dry=True)
    both = entry(s.name("configured"))
    both["Configs"] = [{"Name": "min.compaction.lag.ms", "Value": "100"}, {"Name": "max.compaction.lag.ms", "Value": "50"}]
    create(s, "lags the wrong way round", both, dry=True)


@scenario("CreateTopics", once=True)
def config_named_twice(s):
    topic = entry(s.name("configured"))
    topic["Configs"] = [{"Name": "retention.ms", "Value": "1"}, {"Name": "retention.ms", "Value": "2"}]
    create(s, "retention.ms twice", topic)


@scenario("DeleteTopics")
def deleted(s):
    a, b, c = (s.topic(t) for t in "abc")

    def ask(label, *names):
        s.ask(label, "DeleteTopics", {"TopicNames": list(names), "Topics": [{"Name": n} for n in names], "TimeoutMs": 10000})

    ask("one", a[0])
    s.until(lambda: s.metadata(a[0])["ErrorCode"] == 3, "the topic is gone")
    ask("again", a[0])
    ask("known and unknown", b[0], s.name("absent"))
    ask("invalid name", "a b")
    ask("empty name", "")
    ask("none")
    ask("the same twice", c[0], c[0])


@scenario("DeleteTopics", versions=(6, 6))
def deleted_by_id(s):
    a, b = s.topic("a"), s.topic("b")

    def ask(label, *topics):
        s.ask(label, "DeleteTopics", {"Topics": list(topics), "TimeoutMs": 10000})

    ask("unknown id", {"Name": None, "TopicId": SOME_ID})
    ask("neither name nor id", {"Name": None, "TopicId": ZERO_UUID})
    ask("name and id", {"Name": a[0], "TopicId": a[1]})
    ask("the same by name and by id", {"Name": a[0]}, {"Name": None, "TopicId": a[1]})
    ask("by id", {"Name": None, "TopicId": b[1]})
    s.until(lambda: s.metadata(b[0])["ErrorCode"] == 3, "the topic is gone")
    ask("by its old id", {"Name": None, "TopicId": b[1]})


@scenario("CreatePartitions")
def more_partitions(s):
    a, b = s.topic("a", partitions=2)[0], s.topic("b")[0]

    def one(name, count, *brokers, assigned=False):
        return {"Name": name, "Count": count, "Assignments": [{"BrokerIds": list(ids)} for ids in brokers] if brokers or assigned else None}

    def ask(label, *topics, dry=False):
        s.ask(label, "CreatePartitions", {"Topics": list(topics), "TimeoutMs": 10000, "ValidateOnly": dry})

    ask("validate only", one(a, 4), dry=True)
    ask("from 2 to 4", one(a, 4))
    ask("to 4 again", one(a, 4))
    ask("down", one(a, 3))
    ask("zero", one(a, 0))
    ask("negative", one(a, -1))
    ask("too many", one(a, 100_000), dry=True)
    ask("unknown topic", one(s.name("absent"), 3))
    ask("two topics, one bad", one(a, 5), one(s.name("absent"), 3))
    ask("the same topic twice", one(b, 2), one(b, 3))
    ask("assigned", one(b, 2, [1]))
    ask("assigned, too few", one(b, 5, [1]), dry=True)
    ask("assigned, too many", one(b, 3, [1], [1], [1]), dry=True)
    ask("assigned to nobody", one(b, 3, []), dry=True)
    ask("assigned to an unknown broker", one(b, 3, [99]), dry=True)
    ask("assigned twice to one broker", one(b, 3, [1, 1]), dry=True)
    ask("an empty assignment", one(b, 3, assigned=True), dry=True)
    ask("nothing")


@scenario("ElectLeaders")
def elections(s):
    topic = s.topic("led", partitions=2)[0]

    def ask(label, kind, *wanted):
        s.ask(label, "ElectLeaders", {"ElectionType": kind, "TopicPartitions": [{"Topic": t, "Partitions": ps} for t, ps in wanted], "TimeoutMs": 10000})

    ask("preferred, not needed", 0, (topic, [0, 1]))
    ask("unclean, not needed", 1, (topic, [0]))
    ask("partition not there", 0, (topic, [9, -1]))
    ask("unknown topic", 0, (s.name("absent"), [0]))
    ask("good and bad", 0, (topic, [0, 9]))
    ask("unknown type", 5, (topic, [0]))
    ask("nothing", 0)
    ask("no partitions", 0, (topic, []))


@scenario("AlterPartitionReassignments")
def reassignments(s):
    topic = s.topic("moved", partitions=2)[0]

    def ask(label, *wanted, **more):
        topics = [{"Name": name, "Partitions": [{"PartitionIndex": p, "Replicas": replicas} for p, replicas in partitions]} for name, partitions in wanted]
        s.ask(label, "AlterPartitionReassignments", {"TimeoutMs": 10000, "Topics": topics, **more})

    ask("to where it is", (topic, [(0, [1]), (1, [1])]))
    ask("cancelled, none under way", (topic, [(0, None)]))
    ask("to nobody", (topic, [(0, [])]))
    ask("to an unknown broker", (topic, [(0, [99])]))
    ask("to one broker twice", (topic, [(0, [1, 1])]))
    ask("partition not there", (topic, [(9, [1]), (-1, None)]))
    ask("unknown topic", (s.name("absent"), [(0, [1])]))
    ask("good and bad", (topic, [(0, [1]), (9, [1])]), (s.name("absent"), [(0, None)]))
    ask("no partitions", (topic, []))
    ask("nothing")
    if s.version >= 1:
        ask("another number of replicas", (topic, [(0, [])]), AllowReplicationFactorChange=False)
        ask("the same number of replicas", (topic, [(0, [1])]), AllowReplicationFactorChange=False)


@scenario("ListPartitionReassignments")
def listed_reassignments(s):
    topic = s.topic("still")[0]
    for label, topics in [("all", None), ("one", [{"Name": topic, "PartitionIndexes": [0, 9]}]), ("unknown", [{"Name": s.name("absent"), "PartitionIndexes": [0]}]), ("none", [])]:
        s.ask(label, "ListPartitionReassignments", {"TimeoutMs": 10000, "Topics": topics})

"""Metadata, DescribeCluster, DescribeTopicPartitions, DescribeQuorum and UpdateFeatures: what the cluster tells of itself."""

import uuid

from scenarios import scenario
from wire.codec import ZERO_UUID, Raw

SOME_ID = "12345678-1234-1234-1234-123456789abc"


def wanted(*topics):
    """Topics by name (text), or by id (uuid text)."""
    return [{"TopicId": t, "Name": None} if is_id(t) else {"Name": t} for t in topics]


def is_id(text):
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


@scenario("Metadata")
def topics(s):
    topic = s.topic("known", partitions=3)
    ask = lambda label, names, **more: s.ask(label, "Metadata", {"Topics": names, "AllowAutoTopicCreation": False, **more})  # noqa: E731
    ask("one", wanted(topic[0]))
    if s.version >= 1:  # in version 0 that means all
        ask("no topics", [])
        ask("cluster operations", [], IncludeClusterAuthorizedOperations=True)
    if s.version >= 4:  # before version 4 there is no way to ask without creating
        ask("unknown", wanted(s.name("absent")))
        ask("known and unknown", wanted(s.name("absent"), topic[0]))
    ask("the same twice", wanted(topic[0], topic[0]))
    ask("invalid names", wanted("a b", "x" * 250, "..", "."))
    ask("empty name", wanted(""))
    ask("topic operations", wanted(topic[0]), IncludeTopicAuthorizedOperations=True)


@scenario("Metadata")
def all_topics_hold_the_new_one(s):
    """All topics differ between brokers that other scenarios use; only the one made here is kept."""
    topic = s.topic("listed", partitions=2)
    s.quiet_connection.send("Metadata", s.version, {"Topics": [] if s.version == 0 else None, "AllowAutoTopicCreation": False})
    told = s.quiet_connection.receive("Metadata", s.version)
    told["Topics"] = [t for t in told["Topics"] if t["Name"] == topic[0]]
    s.keep("all topics", "Metadata", s.version, None, told)


@scenario("Metadata")
def auto_creation(s):
    """The first answer says that the topic isn't there yet or shows it: both are Kafka's, depending on its haste; what is compared is that it comes into being."""
    for label, name, allow in (("allowed", s.name("auto"), True), ("forbidden", s.name("never"), False), ("internal", "__consumer_offsets", True)):
        if s.version < 4 and not allow:
            continue
        s.quiet_connection.send("Metadata", s.version, {"Topics": wanted(name), "AllowAutoTopicCreation": allow})
        told = s.quiet_connection.receive("Metadata", s.version)["Topics"][0]
        s.keep(f"{label}: first answer's code is one of Kafka's", "Metadata", s.version, None, {"fits": told["ErrorCode"] in ((0, 5, 3) if allow else (3,))})
        if allow:
            s.until(lambda: s.metadata(name)["ErrorCode"] == 0, f"{name} was created")  # noqa: B023
            s.ask(f"{label}: afterwards", "Metadata", {"Topics": wanted(name), "AllowAutoTopicCreation": False})


@scenario("Metadata", versions=(4, 13))
def names_that_cannot_be_created(s):
    for label, name in (("space", "a b"), ("too long", "x" * 250), ("dots", ".."), ("empty", "")):
        s.ask(label, "Metadata", {"Topics": wanted(name), "AllowAutoTopicCreation": True})


@scenario("Metadata", versions=(10, 13))
def by_id(s):
    topic = s.topic("known")
    ask = lambda label, names: s.ask(label, "Metadata", {"Topics": names, "AllowAutoTopicCreation": False})  # noqa: E731
    ask("by id", wanted(topic[1]))
    ask("unknown id", wanted(SOME_ID))
    ask("known and unknown", wanted(topic[1], SOME_ID))
    ask("zero id and no name", [{"TopicId": ZERO_UUID, "Name": None}])
    ask("id and name together", [{"TopicId": topic[1], "Name": topic[0]}])
    ask("by id and by name", wanted(topic[1], topic[0]))


@scenario("Metadata", once=True)
def odd_bodies(s):
    topic = s.topic("known")
    s.ask("trailing bytes", "Metadata", {"Topics": wanted(topic[0])}, tail=b"more")
    s.ask("a topic name that is not utf-8", "Metadata", {"Topics": [{"Name": b"\xff\xfe"}], "AllowAutoTopicCreation": False})
    s.ask("an array length beyond the frame", "Metadata", {"Topics": Raw(b"\xff\xff\xff\xff\x07")}, timeout_s=3)
    s.ask("null name without an id", "Metadata", {"Topics": [Raw(bytes(16) + b"\x00\x00")]}, timeout_s=3)


@scenario("DescribeCluster")
def cluster(s):
    s.ask("plain", "DescribeCluster", {})
    s.ask("with operations", "DescribeCluster", {"IncludeClusterAuthorizedOperations": True})
    for kind in (0, 2, 3, -1):
        s.ask(f"endpoint type {kind}", "DescribeCluster", {"EndpointType": kind})
    s.ask("fenced brokers too", "DescribeCluster", {"IncludeFencedBrokers": True})


@scenario("DescribeTopicPartitions")
def topic_partitions(s):
    a, b = s.topic("a", partitions=5)[0], s.topic("b", partitions=3)[0]

    def ask(label, topics, limit=2000, cursor=None):
        return s.ask(label, "DescribeTopicPartitions", {"Topics": [{"Name": t} for t in topics], "ResponsePartitionLimit": limit, "Cursor": cursor})

    ask("two topics", [b, a])
    ask("unknown", [s.name("absent")])
    ask("known and unknown", [a, s.name("absent")])
    ask("invalid name", ["a b"])
    ask("empty name", [""])
    cursor = None
    for page in range(6):
        told = ask(f"page {page} of three", [a, b], 3, cursor)
        cursor = told["NextCursor"] if isinstance(told, dict) else None
        if cursor is None:
            break
    ask("limit zero", [a], 0)
    ask("limit negative", [a], -1)
    ask("cursor in the middle", [a, b], 100, {"TopicName": a, "PartitionIndex": 3})
    ask("cursor beyond the partitions", [a, b], 100, {"TopicName": a, "PartitionIndex": 50})
    ask("cursor at a topic that was not asked for", [a, b], 100, {"TopicName": s.name("absent"), "PartitionIndex": 0})
    ask("negative cursor", [a], 100, {"TopicName": a, "PartitionIndex": -1})
    ask("the same topic twice", [a, a])


@scenario("DescribeQuorum")
def quorum(s):
    def ask(label, *topics):
        s.ask(label, "DescribeQuorum", {"Topics": [{"TopicName": t, "Partitions": [{"PartitionIndex": p} for p in ps]} for t, ps in topics]})

    ask("the metadata log", ("__cluster_metadata", [0]))
    ask("another partition", ("__cluster_metadata", [1]))
    ask("another topic", (s.name("absent"), [0]))
    ask("nothing")
    ask("no partitions", ("__cluster_metadata", []))


@scenario("UpdateFeatures")
def features(s):
    def ask(label, *updates, dry=True):
        entries = [{"Feature": f, "MaxVersionLevel": level, "UpgradeType": kind, "AllowDowngrade": kind != 1} for f, level, kind in updates]
        s.ask(label, "UpdateFeatures", {"timeoutMs": 5000, "FeatureUpdates": entries, "ValidateOnly": dry})

    if s.version >= 1:  # version 0 can't only validate
        ask("group.version to what it is", ("group.version", 1, 1))
        ask("group.version too high", ("group.version", 99, 1))
        ask("group.version down, unsafely", ("group.version", 0, 3))
        ask("unknown upgrade type", ("group.version", 1, 9))
        ask("negative level", ("group.version", -1, 1))
    ask("unknown feature", (s.name("no.feature"), 1, 1))
    ask("metadata.version too high", ("metadata.version", 999, 1))
    ask("nothing")
    ask("empty name", ("", 1, 1))

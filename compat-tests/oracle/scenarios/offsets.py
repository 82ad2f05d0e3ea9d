"""ListOffsets, OffsetForLeaderEpoch, DeleteRecords, DescribeLogDirs and AlterReplicaLogDirs: what a log holds and how it is cut."""

from scenarios import scenario
from wire import records
from wire.codec import ZERO_UUID

BASE = 1_700_000_000_000
LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5


def listed(s, label, topic, *wanted, isolation=0, replica=-1, epoch=-1):
    """`wanted`: pairs of partition and timestamp."""
    parts = [{"PartitionIndex": p, "Timestamp": t, "CurrentLeaderEpoch": epoch} for p, t in wanted]
    return s.ask(label, "ListOffsets", {"ReplicaId": replica, "IsolationLevel": isolation, "Topics": [{"Name": topic, "Partitions": parts}], "TimeoutMs": 5000})


@scenario("ListOffsets")
def by_time(s):
    topic = s.topic("timed", partitions=2)[0]
    s.append(topic, [b"a", b"b", b"c"], base_timestamp=BASE, timestamps=[BASE, BASE + 50, BASE + 20])
    s.append(topic, [b"d"], base_timestamp=BASE + 10)
    s.append(topic, [b"e", b"f"], base_timestamp=BASE + 40, timestamps=[BASE + 40, BASE + 90], codec=records.GZIP)
    s.append(topic, [b"g"], base_timestamp=BASE + 90)
    for label, wanted in [("earliest", EARLIEST), ("latest", LATEST), ("max timestamp", MAX_TIMESTAMP), ("earliest local", EARLIEST_LOCAL), ("latest tiered", LATEST_TIERED), ("-6", -6), ("-7", -7)]:
        listed(s, label, topic, (0, wanted))
        listed(s, f"{label} of an empty partition", topic, (1, wanted))
    for t in (0, 1, 10, 20, 21, 41, 50, 51, 90, 91, -BASE):
        listed(s, f"at {t}", topic, (0, BASE + t))
    listed(s, "at a time in an empty partition", topic, (1, BASE))
    for label, wanted in [("earliest", EARLIEST), ("latest", LATEST), ("max timestamp", MAX_TIMESTAMP), ("at 51", BASE + 51)]:
        listed(s, f"read committed: {label}", topic, (0, wanted), isolation=1)
    listed(s, "isolation 3", topic, (0, LATEST), isolation=3)


@scenario("ListOffsets")
def wrong_places(s):
    topic = s.topic("there")[0]
    listed(s, "partition not there", topic, (1, LATEST), (-1, LATEST))
    listed(s, "unknown topic", s.name("absent"), (0, LATEST))
    listed(s, "empty name", "", (0, LATEST))
    listed(s, "invalid name", "a b", (0, LATEST))
    listed(s, "same partition twice", topic, (0, LATEST), (0, LATEST))
    listed(s, "no partitions", topic)
    for replica in (-2, 1, 7, -3):
        listed(s, f"replica id {replica}", topic, (0, LATEST), replica=replica)
    for epoch in (0, 1, 9):
        listed(s, f"leader epoch {epoch}", topic, (0, LATEST), epoch=epoch)
    s.ask("no topics", "ListOffsets", {"ReplicaId": -1, "Topics": []})


@scenario("ListOffsets")
def after_records_were_deleted(s):
    topic = s.topic("trimmed")[0]
    s.append(topic, [b"a", b"b", b"c"], base_timestamp=BASE)
    s.append(topic, [b"d"], base_timestamp=BASE + 100)
    s.quiet("DeleteRecords", {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Offset": 2}]}], "TimeoutMs": 5000}, 2)
    for label, wanted in [("earliest", EARLIEST), ("latest", LATEST), ("max", MAX_TIMESTAMP), ("at 0", BASE), ("at 1", BASE + 1), ("at 2", BASE + 2), ("at 3", BASE + 3)]:
        listed(s, label, topic, (0, wanted))


@scenario("OffsetForLeaderEpoch")
def epochs(s):
    topic = s.topic("epochs", partitions=2)[0]
    s.append(topic, [b"a", b"b"])

    def ask(label, name, *wanted, replica=-1):
        parts = [{"Partition": p, "CurrentLeaderEpoch": c, "LeaderEpoch": e} for p, c, e in wanted]
        s.ask(label, "OffsetForLeaderEpoch", {"ReplicaId": replica, "Topics": [{"Topic": name, "Partitions": parts}]})

    for epoch in (0, 1, 5, -1, -2):
        ask(f"epoch {epoch}", topic, (0, -1, epoch))
    ask("of an empty partition", topic, (1, -1, 0))
    for current in (0, 1, -2):
        ask(f"current epoch {current}", topic, (0, current, 0))
    ask("not there", topic, (2, -1, 0), (-1, -1, 0))
    ask("unknown topic", s.name("absent"), (0, -1, 0))
    ask("debugging replica", topic, (0, -1, 0), replica=-2)
    ask("a follower", topic, (0, -1, 0), replica=1)
    ask("no partitions", topic)


@scenario("DeleteRecords")
def deleted(s):
    topic = s.topic("cut", partitions=2)[0]
    s.append(topic, [b"a", b"b", b"c", b"d"])
    s.append(topic, [b"e"])

    def ask(label, name, *wanted):
        parts = [{"PartitionIndex": p, "Offset": o} for p, o in wanted]
        s.ask(label, "DeleteRecords", {"Topics": [{"Name": name, "Partitions": parts}], "TimeoutMs": 5000})

    ask("up to 2", topic, (0, 2))
    ask("again", topic, (0, 2))
    ask("back to 1", topic, (0, 1))
    ask("to 0", topic, (0, 0))
    ask("beyond the end", topic, (0, 6))
    ask("-2", topic, (0, -2))
    ask("an empty partition to the end", topic, (1, -1))
    ask("an empty partition to 1", topic, (1, 1))
    ask("to the end", topic, (0, -1))
    ask("not there", topic, (2, 0), (-1, 0))
    ask("good and bad", topic, (0, -1), (7, 0))
    ask("unknown topic", s.name("absent"), (0, 0))
    ask("no partitions", topic)
    s.ask("no topics", "DeleteRecords", {"Topics": [], "TimeoutMs": 5000})
    compacted = s.topic("compacted", cleanup_policy="compact")[0]
    s.append(compacted, [b"a"], keys=[b"k"])
    ask("a compacted topic", compacted, (0, 1))
    s.coordinator(s.name("group"))
    ask("an internal topic", "__consumer_offsets", (0, 0))


@scenario("DescribeLogDirs")
def log_dirs(s):
    topic = s.topic("sized", partitions=3)[0]
    s.append(topic, [b"x" * 100], partition=1)
    s.append(topic, [b"y" * 200, b"z"], partition=1)

    def ask(label, topics):
        s.ask(label, "DescribeLogDirs", {"Topics": topics})

    ask("all partitions", [{"Topic": topic, "Partitions": [0, 1, 2]}])
    ask("one partition", [{"Topic": topic, "Partitions": [1]}])
    ask("not there", [{"Topic": topic, "Partitions": [5]}])
    ask("unknown topic", [{"Topic": s.name("absent"), "Partitions": [0]}])
    ask("no partitions", [{"Topic": topic, "Partitions": []}])
    ask("no topics", [])


@scenario("AlterReplicaLogDirs")
def moved_between_log_dirs(s):
    topic = s.topic("moved", partitions=2)[0]
    here = s.ask("where it is", "DescribeLogDirs", {"Topics": [{"Topic": topic, "Partitions": [0]}]}, version=4)["Results"][0]["LogDir"]

    def ask(label, *wanted):
        dirs = [{"Path": path, "Topics": [{"Name": name, "Partitions": partitions}]} for path, name, partitions in wanted]
        s.ask(label, "AlterReplicaLogDirs", {"Dirs": dirs})

    ask("to where it is", (here, topic, [0, 1]))
    ask("to no log directory", ("/no/such/folder", topic, [0]))
    ask("partition not there", (here, topic, [0, 9]))
    ask("unknown topic", (here, s.name("absent"), [0]))
    ask("a name that is too long", (here, "l" * 240, [0]))
    ask("good and bad", (here, topic, [0]), ("/no/such/folder", topic, [1]))
    ask("nothing")


@scenario("ListOffsets", once=True)
def topic_id_is_not_a_name(s):
    topic = s.topic("ids")
    listed(s, "the id as a name", topic[1], (0, LATEST))
    listed(s, "the zero id as a name", ZERO_UUID, (0, LATEST))

"""Fetch: what is read from where, limits, waiting, leader epochs, sessions, and the errors of each."""

import time

from scenarios import scenario
from wire import records
from wire.codec import ZERO_UUID


def part(partition=0, offset=0, limit=1 << 20, **more):
    return {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": limit, **more}


def body(topic, *parts, wait=0, minimum=1, maximum=1 << 22, **more):
    """`topic`: (name, id), or a list of pairs of a topic and its partitions."""
    topics = [(topic, parts)] if isinstance(topic, tuple) else topic
    wanted = [{"Topic": t[0], "TopicId": t[1], "Partitions": list(ps)} for t, ps in topics]
    return {"ReplicaId": -1, "MaxWaitMs": wait, "MinBytes": minimum, "MaxBytes": maximum, "Topics": wanted, **more}


@scenario("Fetch")
def places(s):
    topic = s.topic("read", partitions=2)
    s.append(topic[0], [b"a", b"b", b"c"])
    s.append(topic[0], [b"d", b"e"], codec=records.ZSTD)
    s.append(topic[0], [b"f"])
    for offset in range(0, 7):
        s.ask(f"from {offset}", "Fetch", body(topic, part(offset=offset)))
    for offset in (7, 100, -1, -2, -100):
        s.ask(f"out of range at {offset}", "Fetch", body(topic, part(offset=offset)))
    s.ask("an empty partition", "Fetch", body(topic, part(1)))
    s.ask("both", "Fetch", body(topic, part(0), part(1)))
    s.ask("read committed", "Fetch", body(topic, part(0), IsolationLevel=1))
    s.ask("isolation level 2", "Fetch", body(topic, part(0), IsolationLevel=2))
    s.ask("partition that is not there", "Fetch", body(topic, part(2)))
    s.ask("negative partition", "Fetch", body(topic, part(-1)))
    s.ask("one good, one not there", "Fetch", body(topic, part(0), part(7)))
    s.ask("unknown topic", "Fetch", body((s.name("absent"), "12345678-1234-1234-1234-123456789abc"), part()))
    s.ask("zero id, empty name", "Fetch", body(("", ZERO_UUID), part()))
    s.ask("invalid name", "Fetch", body(("a b", ZERO_UUID), part()))
    s.ask("known and unknown topics", "Fetch", body([(topic, [part()]), ((s.name("absent"), "12345678-1234-1234-1234-123456789abc"), [part()])]))
    s.ask("nothing", "Fetch", body([]))
    s.ask("no partitions", "Fetch", body(topic))
    s.ask("the same partition twice", "Fetch", body(topic, part(0, 0), part(0, 5)))


@scenario("Fetch")
def limits(s):
    topic = s.topic("limits", partitions=2)
    for i in range(5):
        s.append(topic[0], [b"x" * 500, bytes([i])])
        s.append(topic[0], [b"y" * 500], partition=1)
    s.ask("partition limit below a batch", "Fetch", body(topic, part(limit=1)))
    s.ask("partition limit zero", "Fetch", body(topic, part(limit=0)))
    s.ask("partition limit negative", "Fetch", body(topic, part(limit=-1)))
    s.ask("partition limit of about two batches", "Fetch", body(topic, part(limit=1200)))
    s.ask("whole limit below a batch", "Fetch", body(topic, part(), maximum=10))
    s.ask("whole limit zero", "Fetch", body(topic, part(), maximum=0))
    s.ask("whole limit negative", "Fetch", body(topic, part(), maximum=-1))
    s.ask("whole limit ends in the first of two", "Fetch", body(topic, part(0), part(1), maximum=1200))
    s.ask("first of two is empty-handed", "Fetch", body(topic, part(0, 10), part(1), maximum=10))


@scenario("Fetch")
def waiting(s):
    """How long an answer takes is recorded as under or over half of the wait."""
    topic = s.topic("wait")
    s.append(topic[0], [b"a"])

    def timed(label, values):
        began = time.monotonic()
        s.ask(label, "Fetch", values)
        s.keep(f"{label}: took", "Fetch", s.version, None, {"waited": time.monotonic() - began > 0.5})

    timed("enough is there", body(topic, part(), wait=1000, minimum=1))
    timed("more is wanted than there is", body(topic, part(), wait=1000, minimum=100_000))
    timed("nothing new", body(topic, part(offset=1), wait=1000, minimum=1))
    timed("nothing wanted", body(topic, part(offset=1), wait=1000, minimum=0))
    timed("an error does not wait", body(topic, part(5), wait=1000, minimum=1))
    timed("out of range does not wait", body(topic, part(0, 55), wait=1000, minimum=1))
    timed("negative wait", body(topic, part(offset=1), wait=-1, minimum=1))
    began = time.monotonic()
    wait = s.later("woken by an append", "Fetch", body(topic, part(offset=1), wait=8000, minimum=1))
    time.sleep(0.2)
    s.append(topic[0], [b"b"])
    wait()
    s.keep("woken: took", "Fetch", s.version, None, {"waited": time.monotonic() - began > 4})


@scenario("Fetch", versions=(9, 18))
def leader_epochs(s):
    topic = s.topic("epochs")
    s.append(topic[0], [b"a", b"b"])
    for epoch in (-1, 0, 1, 5, -2):
        s.ask(f"current leader epoch {epoch}", "Fetch", body(topic, part(CurrentLeaderEpoch=epoch)))
    for epoch, offset in ((0, 1), (0, 2), (1, 1), (5, 2), (-1, 1), (-5, 1)):
        s.ask(f"last fetched epoch {epoch} at {offset}", "Fetch", body(topic, part(offset=offset, LastFetchedEpoch=epoch, CurrentLeaderEpoch=0)))


@scenario("Fetch")
def followers_are_not_consumers(s):
    topic = s.topic("replica")
    s.append(topic[0], [b"a"])
    for replica in (1, 5, -2, -3):
        s.ask(f"replica id {replica}", "Fetch", body(topic, part(), ReplicaId=replica) if s.version < 15 else {**body(topic, part()), "ReplicaState": {"ReplicaId": replica, "ReplicaEpoch": 1}})


@scenario("Fetch", versions=(7, 18))
def sessions(s):
    topic = s.topic("session", partitions=4)
    other = s.topic("other")
    for p in range(3):
        s.append(topic[0], [b"a%d" % p], partition=p)
    full = s.ask("a full fetch opens a session", "Fetch", body(topic, *[part(p) for p in range(4)], SessionId=0, SessionEpoch=0))
    sid = full["SessionId"] if isinstance(full, dict) else 0

    def go_on(label, epoch, *changes, topic_of=topic, session=None, **more):
        return s.ask(label, "Fetch", body(topic_of, *changes, SessionId=sid if session is None else session, SessionEpoch=epoch, **more) if changes
                     else body([], SessionId=sid if session is None else session, SessionEpoch=epoch, **more))

    go_on("nothing changed, offsets stay, so the data comes again", 1)
    go_on("two move on", 2, part(0, 1), part(1, 1))
    s.append(topic[0], [b"more"], partition=1)
    go_on("what is new only", 3, part(2, 1))
    go_on("an empty turn", 4, part(1, 2))
    go_on("a partition is forgotten", 5, part(3, 0), ForgottenTopicsData=[{"Topic": topic[0], "TopicId": topic[1], "Partitions": [1]}])
    s.append(topic[0], [b"unseen"], partition=1)
    go_on("nothing of the forgotten one", 6, part(0, 1))
    s.append(other[0], [b"other"])
    go_on("another topic joins", 7, part(0, 0), topic_of=other)
    go_on("wrong epoch", 99)
    go_on("the right epoch still works after a wrong one", 8)
    go_on("an old epoch", 3)
    go_on("unknown session", 1, session=123_456_789)
    go_on("unknown partition in a session", 9, part(9))
    go_on("and the turn after", 10)
    go_on("out of range in a session", 11, part(0, 500))
    s.quiet("DeleteRecords", {"Topics": [{"Name": topic[0], "Partitions": [{"PartitionIndex": 2, "Offset": 1}]}], "TimeoutMs": 5000}, 2)
    go_on("a log start that moved is told", 12)
    go_on("closed by epoch -1", -1)
    go_on("gone after that", 13)
    s.ask("epoch 0 with an id opens another and closes this", "Fetch", body(topic, part(0), SessionId=sid, SessionEpoch=0))
    s.ask("no session at all", "Fetch", body(topic, part(0), SessionId=0, SessionEpoch=-1))
    s.ask("epoch without a session", "Fetch", body(topic, part(0), SessionId=0, SessionEpoch=5))


@scenario("Fetch", versions=(7, 18))
def sessions_see_topics_change(s):
    topic = s.topic("gone")
    s.append(topic[0], [b"a"])
    full = s.ask("opened", "Fetch", body(topic, part(0), part(1), SessionId=0, SessionEpoch=0))
    sid = full["SessionId"]
    s.quiet("CreatePartitions", {"Topics": [{"Name": topic[0], "Count": 2, "Assignments": None}], "TimeoutMs": 5000, "ValidateOnly": False}, 3)
    s.until(lambda: s.end_offset(topic[0], 1) == 0, "the second partition is there")
    s.ask("a partition came into being", "Fetch", body([], SessionId=sid, SessionEpoch=1))
    s.quiet("DeleteTopics", {"Topics": [{"Name": topic[0]}], "TimeoutMs": 5000}, 6)
    s.until(lambda: s.metadata(topic[0])["ErrorCode"] == 3, "the topic is gone")
    time.sleep(0.3)
    s.ask("the topic is gone", "Fetch", body([], SessionId=sid, SessionEpoch=2, wait=500))


@scenario("Fetch")
def after_records_were_deleted(s):
    topic = s.topic("trimmed")
    s.append(topic[0], [b"a", b"b", b"c"])
    s.append(topic[0], [b"d"])
    s.quiet("DeleteRecords", {"Topics": [{"Name": topic[0], "Partitions": [{"PartitionIndex": 0, "Offset": 2}]}], "TimeoutMs": 5000}, 2)
    for offset in (0, 1, 2, 3, 4):
        s.ask(f"from {offset}", "Fetch", body(topic, part(offset=offset)))


@scenario("Fetch", once=True)
def many_sessions(s):
    """Sessions of several connections don't mix."""
    topic = s.topic("many")
    s.append(topic[0], [b"a"])
    opened = []
    for i in range(3):
        connection = s.connect()
        told = s.ask(f"session {i}", "Fetch", body(topic, part(), SessionEpoch=0), connection=connection)
        opened.append((connection, told["SessionId"]))
    s.ask("session 0 from another connection", "Fetch", body([], SessionId=opened[0][1], SessionEpoch=1), connection=opened[1][0])
    s.ask("session 1 from its own", "Fetch", body([], SessionId=opened[1][1], SessionEpoch=1), connection=opened[1][0])


@scenario("Fetch")
def a_topic_made_anew(s):
    """The old id is unknown, the name leads to the new topic, whose log begins at 0."""
    old = s.topic("again")
    s.append(old[0], [b"a", b"b", b"c"])
    s.quiet("DeleteTopics", {"Topics": [{"Name": old[0]}], "TimeoutMs": 5000}, 6)
    s.until(lambda: s.metadata(old[0])["ErrorCode"] == 3, "the topic is gone")
    new = s.topic("again")
    s.append(new[0], [b"new"])
    s.ask("old id, old offset", "Fetch", body(old, part(offset=2)))
    s.ask("new id", "Fetch", body(new, part()))
    s.ask("new id, offset of the old one", "Fetch", body(new, part(offset=2)))


@scenario("Fetch", once=True)
def woken_by_deletion(s):
    """A fetch that waits is answered when its topic goes away."""
    topic = s.topic("going")
    s.append(topic[0], [b"a"])
    began = time.monotonic()
    wait = s.later("waits at the end", "Fetch", body(topic, part(offset=1), wait=6000, minimum=1))
    time.sleep(0.3)
    s.quiet("DeleteTopics", {"Topics": [{"Name": topic[0]}], "TimeoutMs": 5000}, 6)
    wait()
    s.keep("took", "Fetch", s.version, None, {"waited": time.monotonic() - began > 3})


@scenario("Fetch")
def minimum_over_several_partitions(s):
    """MinBytes counts over all partitions of the request, and appends to each count."""
    topic = s.topic("sum", partitions=3)
    began = time.monotonic()
    wait = s.later("three small appends fill it", "Fetch", body(topic, part(0), part(1), part(2), wait=6000, minimum=250))
    for p in range(3):
        time.sleep(0.1)
        s.append(topic[0], [b"x" * 30], partition=p)
    wait()
    s.keep("took", "Fetch", s.version, None, {"waited": time.monotonic() - began > 3})

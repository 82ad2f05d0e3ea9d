"""OffsetCommit, OffsetFetch, OffsetDelete, DescribeGroups, ListGroups and DeleteGroups."""

import time

from scenarios import scenario
from scenarios.groups import Group


def commit_body(group, topic, *parts, generation=-1, member="", instance=None, **more):
    """`parts`: (partition, offset, metadata) with an optional leader epoch."""
    entries = [{"PartitionIndex": p[0], "CommittedOffset": p[1], "CommittedMetadata": p[2], "CommittedLeaderEpoch": p[3] if len(p) > 3 else -1} for p in parts]
    values = {"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member, "Topics": [{"Name": topic, "Partitions": entries}], **more}
    if instance is not None:
        values["GroupInstanceId"] = instance
    return values


def fetch(s, label, group, topics, version=None, stable=False, member=None, epoch=-1):
    """`topics`: {name: partitions}, or None for all. `group`: a name, or several for version 8 and later."""
    version = s.version if version is None else version
    if version >= 8:
        wanted = None if topics is None else [{"Name": t, "PartitionIndexes": ps} for t, ps in topics.items()]
        groups = [group] if isinstance(group, str) else group
        values = {"Groups": [{"GroupId": g, "MemberId": member, "MemberEpoch": epoch, "Topics": wanted} for g in groups], "RequireStable": stable}
    else:
        values = {"GroupId": group, "Topics": None if topics is None else [{"Name": t, "PartitionIndexes": ps} for t, ps in topics.items()], "RequireStable": stable}
    return s.ask(label, "OffsetFetch", values, version=version)


@scenario("OffsetCommit")
def from_outside(s):
    """Commits without membership: allowed while the group has no members."""
    topic = s.topic("committed", partitions=3)[0]
    group = s.coordinator(s.name("group"))
    commit = lambda label, *parts, to=topic, **more: s.ask(label, "OffsetCommit", commit_body(group, to, *parts, **more))  # noqa: E731
    commit("several", (0, 5, "five"), (1, 0, ""), (2, 7, None))
    commit("backwards", (0, 2, "two"))
    commit("with a leader epoch", (1, 3, "x", 0))
    commit("negative offset", (0, -5, ""))
    commit("offset -1", (0, -1, ""))
    commit("metadata of 4096 characters", (2, 1, "m" * 4096))
    commit("metadata of 4097 characters", (2, 2, "m" * 4097))
    commit("one too long, one right", (0, 3, "m" * 5000), (1, 4, "ok"))
    commit("partition not there", (9, 1, ""))
    commit("negative partition", (-1, 1, ""))
    commit("unknown topic", (0, 1, ""), to=s.name("absent"))
    commit("invalid topic", (0, 1, ""), to="a b")
    commit("empty topic", (0, 1, ""), to="")
    commit("no partitions")
    commit("the same partition twice", (0, 11, ""), (0, 12, ""))
    commit("a generation without members", (0, 5, ""), generation=3)
    commit("a member that is not there", (0, 5, ""), generation=3, member="nobody")
    commit("a member without a generation", (0, 5, ""), member="nobody")
    commit("retention given", (0, 6, ""), RetentionTimeMs=1000)
    fetch(s, "what is there", group, {topic: [0, 1, 2, 9]}, version=9)
    s.ask("empty group id", "OffsetCommit", commit_body("", topic, (0, 1, "")))
    s.ask("no topics", "OffsetCommit", {"GroupId": group, "GenerationIdOrMemberEpoch": -1, "MemberId": "", "Topics": []})


@scenario("OffsetCommit")
def from_members(s):
    topic = s.topic("committed")[0]
    g = Group(s)
    generation, member = g.one_member()
    commit = lambda label, offset, **more: s.ask(label, "OffsetCommit", commit_body(g.id, topic, (0, offset, ""), **more))  # noqa: E731
    commit("by the member", 1, generation=generation, member=member)
    commit("older generation", 2, generation=generation - 1, member=member)
    commit("newer generation", 3, generation=generation + 1, member=member)
    commit("unknown member", 4, generation=generation, member="nobody")
    commit("from outside while there are members", 5)
    if s.version >= 7:
        commit("an instance id that the group doesn't know", 6, generation=generation, member=member, instance="stranger")
    b, wait = g.enter("a second joins", "b")
    g.until("PreparingRebalance")
    commit("while a rebalance is prepared", 7, generation=generation, member=member)
    again = g.join("the first joins again", "a", member=member)
    wait()
    commit("before the sync", 8, generation=again["GenerationId"], member=member)
    fetch(s, "what is there", g.id, {topic: [0]}, version=9)


@scenario("OffsetFetch")
def fetched(s):
    topic, other = s.topic("a", partitions=3)[0], s.topic("b")[0]
    group = s.coordinator(s.name("group"))
    s.quiet("OffsetCommit", commit_body(group, topic, (0, 5, "five", 0), (1, 0, "")), 9)
    s.quiet("OffsetCommit", commit_body(group, other, (0, 9, "nine")), 9)
    fetch(s, "some", group, {topic: [0, 1, 2], other: [0]})
    if s.version >= 2:
        fetch(s, "all", group, None)
        fetch(s, "all of an unknown group", s.name("absent"), None)
    fetch(s, "nothing", group, {})
    fetch(s, "no partitions", group, {topic: []})
    fetch(s, "not there", group, {topic: [9, -1], s.name("absent"): [0], "a b": [0], "": [0]})
    fetch(s, "unknown group", s.name("absent"), {topic: [0]})
    fetch(s, "empty group id", "", {topic: [0]})
    if s.version >= 7:
        fetch(s, "stable only", group, {topic: [0]}, stable=True)
    if s.version >= 8:
        fetch(s, "two groups", [group, s.name("absent")], {topic: [0]})
        fetch(s, "no groups", [], {topic: [0]})
        fetch(s, "the same group twice", [group, group], {topic: [0]})
    if s.version >= 9:
        fetch(s, "with a member that is not there", group, {topic: [0]}, member="nobody", epoch=1)
        fetch(s, "with a member and no epoch", group, {topic: [0]}, member="nobody")


@scenario("OffsetFetch", once=True)
def after_topic_deletion(s):
    topic = s.topic("gone")[0]
    group = s.coordinator(s.name("group"))
    s.quiet("OffsetCommit", commit_body(group, topic, (0, 5, "five")), 9)
    s.quiet("DeleteTopics", {"Topics": [{"Name": topic}], "TimeoutMs": 10000}, 6)
    s.until(lambda: s.metadata(topic)["ErrorCode"] == 3, "the topic is gone")
    time.sleep(0.5)
    fetch(s, "its offsets are gone too", group, {topic: [0]})
    fetch(s, "all", group, None)


@scenario("OffsetDelete")
def offsets_deleted(s):
    topic, other = s.topic("a", partitions=2)[0], s.topic("b")[0]
    g = Group(s)

    def ask(label, group, topics):
        s.ask(label, "OffsetDelete", {"GroupId": group, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": p} for p in ps]} for t, ps in topics.items()]})

    s.quiet("OffsetCommit", commit_body(g.id, topic, (0, 5, ""), (1, 6, "")), 9)
    ask("one", g.id, {topic: [0]})
    ask("again", g.id, {topic: [0]})
    ask("not there", g.id, {topic: [7], s.name("absent"): [0]})
    ask("nothing", g.id, {})
    ask("no partitions", g.id, {topic: []})
    ask("unknown group", s.name("absent"), {topic: [0]})
    ask("empty group id", "", {topic: [0]})
    fetch(s, "what is left", g.id, None, version=9)
    subscribed = bytes.fromhex("0000" "00000001") + len(topic).to_bytes(2, "big") + topic.encode() + bytes.fromhex("ffffffff")
    s.quiet("OffsetCommit", commit_body(g.id, other, (0, 6, "")), 9)
    g.one_member(metadata=subscribed)
    ask("subscribed, and not subscribed", g.id, {topic: [1], other: [0]})


@scenario("DescribeGroups")
def described(s):
    g = Group(s)
    ask = lambda label, *groups, **more: s.ask(label, "DescribeGroups", {"Groups": list(groups), **more})  # noqa: E731
    ask("unknown", s.name("absent"))
    ask("empty group id", "")
    ask("none")
    g.one_member(protocols=("range", "sticky"))
    ask("stable", g.id)
    ask("with operations", g.id, IncludeAuthorizedOperations=True)
    ask("known and unknown", g.id, s.name("absent"))
    ask("the same twice", g.id, g.id)
    static = Group(s, "static")
    one = static.join("set-up: a static member", "a", instance="one")
    static.sync("set-up: its sync", "a", one["GenerationId"], one["MemberId"], [(one["MemberId"], b"x")], instance="one")
    ask("static", static.id)
    s.quiet("OffsetCommit", commit_body(s.name("simple"), s.topic("t")[0], (0, 1, "")), 9)
    ask("only commits", s.name("simple"))


@scenario("ListGroups")
def groups(s):
    """Of all groups of the broker only those of this scenario are kept."""
    g = Group(s)
    g.one_member()
    topic = s.topic("t")[0]
    s.quiet("OffsetCommit", commit_body(s.coordinator(s.name("simple")), topic, (0, 1, "")), 9)
    other = Group(s, "connect")
    _, wait = other.enter("set-up: a group of another type", kind="connect", protocols=("default",))
    wait()

    def listed(label, **filters):
        s.quiet_connection.send("ListGroups", s.version, filters)
        told = s.quiet_connection.receive("ListGroups", s.version)
        told["Groups"] = sorted((t for t in told["Groups"] if t["GroupId"].endswith(s.run_id) and f"-v{s.version}-" in t["GroupId"]), key=lambda t: t["GroupId"])
        s.keep(label, "ListGroups", s.version, filters, told)

    listed("all")
    if s.version >= 4:
        for state in ("Stable", "Empty", "CompletingRebalance", "PreparingRebalance", "Dead", "stable", "nonsense", ""):
            listed(f"state {state!r}", StatesFilter=[state])
        listed("two states", StatesFilter=["Stable", "Empty"])
    if s.version >= 5:
        for kind in ("classic", "consumer", "share", "Classic", "nonsense", ""):
            listed(f"type {kind!r}", TypesFilter=[kind])
        listed("type and state", TypesFilter=["classic"], StatesFilter=["Empty"])


@scenario("DeleteGroups")
def groups_deleted(s):
    topic = s.topic("t")[0]
    simple = s.coordinator(s.name("simple"))
    s.quiet("OffsetCommit", commit_body(simple, topic, (0, 1, "")), 9)
    g = Group(s)
    g.one_member()
    ask = lambda label, *names: s.ask(label, "DeleteGroups", {"GroupsNames": list(names)})  # noqa: E731
    ask("unknown", s.name("absent"))
    ask("with a member", g.id)
    ask("only commits, and others", simple, g.id, s.name("absent"))
    ask("again", simple)
    ask("empty group id", "")
    ask("none")
    ask("the same twice", s.name("x"), s.name("x"))
    fetch(s, "its offsets are gone", simple, {topic: [0]}, version=9)
    s.quiet("OffsetCommit", commit_body(simple, topic, (0, 2, "")), 9)
    fetch(s, "a new group of the same name has only its own", simple, None, version=9)

"""Consumer groups in the classic protocol: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup, in the orders that members really use and in wrong ones."""

import time

from scenarios import scenario

SUBSCRIPTION = bytes.fromhex("0000" "00000000" "ffffffff")
ASSIGNMENT = bytes.fromhex("0000" "00000000" "ffffffff")

# The newest versions, for steps that a scenario of another API needs.
JOIN, SYNC, BEAT, LEAVE, DESCRIBE = 9, 5, 4, 5, 6


class Group:
    """A group under test. Each member has a connection of its own, since joins wait in the broker. Steps of the API under test take the scenario's version."""

    def __init__(self, s, text="group", session=10_000, rebalance=10_000):
        self.s, self.session, self.rebalance = s, session, rebalance
        self.id = s.coordinator(s.name(text))
        self.connections = {}

    def connection(self, who):
        return self.connections.setdefault(who, self.s.connect(who))

    def joining(self, label, who="a", member="", version=None, protocols=("range",), kind="consumer", instance=None, session=None, rebalance=None, metadata=SUBSCRIPTION, timeout_s=15):
        """Sends a JoinGroup; the function that is returned waits for its answer."""
        version = JOIN if version is None else version
        values = {"GroupId": self.id, "SessionTimeoutMs": self.session if session is None else session, "RebalanceTimeoutMs": self.rebalance if rebalance is None else rebalance,
                  "MemberId": member, "ProtocolType": kind, "Protocols": [{"Name": p, "Metadata": metadata} for p in protocols]}
        if instance is not None:
            values["GroupInstanceId"] = instance
        return self.s.later(label, "JoinGroup", values, version, self.connection(who), timeout_s)

    def join(self, label, who="a", **more):
        return self.joining(label, who, **more)()

    def enter(self, label, who="a", version=None, **more):
        """Joins as a new member would: where a member id is demanded first, with the id that the refusal gave. Returns (member id, the function that waits)."""
        version = JOIN if version is None else version
        if version < 4 or more.get("instance"):
            return None, self.joining(label, who, version=version, **more)
        told = self.join(f"{label}: a member id is demanded", who, version=version, **more)
        return told["MemberId"], self.joining(label, who, member=told["MemberId"], version=version, **more)

    def sync(self, label, who, generation, member, assignments=(), version=None, kind="consumer", protocol="range", instance=None):
        return self.syncing(label, who, generation, member, assignments, version, kind, protocol, instance)()

    def syncing(self, label, who, generation, member, assignments=(), version=None, kind="consumer", protocol="range", instance=None, timeout_s=15):
        values = {"GroupId": self.id, "GenerationId": generation, "MemberId": member, "ProtocolType": kind, "ProtocolName": protocol,
                  "Assignments": [{"MemberId": m, "Assignment": a} for m, a in assignments]}
        if instance is not None:
            values["GroupInstanceId"] = instance
        return self.s.later(label, "SyncGroup", values, SYNC if version is None else version, self.connection(who), timeout_s)

    def beat(self, label, who, generation, member, version=None, instance=None, group=None):
        values = {"GroupId": self.id if group is None else group, "GenerationId": generation, "MemberId": member}
        if instance is not None:
            values["GroupInstanceId"] = instance
        return self.s.ask(label, "Heartbeat", values, BEAT if version is None else version, self.connection(who))

    def leave(self, label, who, *members, version=None):
        """`members`: (member id, instance id or None)."""
        version = LEAVE if version is None else version
        values = {"GroupId": self.id}
        if version < 3:
            values["MemberId"] = members[0][0]
        else:
            values["Members"] = [{"MemberId": m, "GroupInstanceId": i} for m, i in members]
        return self.s.ask(label, "LeaveGroup", values, version, self.connection(who))

    def until(self, state):
        """Waits, quietly, until the group is in `state`: a join on one connection must have been heard before the next step on another."""
        self.s.until(lambda: self.s.quiet("DescribeGroups", {"Groups": [self.id]}, 5)["Groups"][0]["GroupState"] == state, f"the group is {state}")

    def describe(self, label):
        return self.s.ask(label, "DescribeGroups", {"Groups": [self.id]}, DESCRIBE)

    def one_member(self, version=None, **more):
        """A stable group of one member. Returns (generation, member id)."""
        _, wait = self.enter("set-up: join", **more)
        told = wait()
        self.sync("set-up: sync", "a", told["GenerationId"], told["MemberId"], [(told["MemberId"], ASSIGNMENT)], instance=more.get("instance"))
        return told["GenerationId"], told["MemberId"]


@scenario("FindCoordinator")
def coordinators(s):
    group = s.coordinator(s.name("group"))

    def ask(label, *keys, kind=0):
        values = {"KeyType": kind}
        values.update({"CoordinatorKeys": list(keys)} if s.version >= 4 else {"Key": keys[0] if keys else ""})
        s.ask(label, "FindCoordinator", values)

    ask("of a group", group)
    ask("of a group nobody knows", s.name("other"))
    ask("of an empty name", "")
    if s.version >= 1:
        for kind in (3, -1, 77):
            ask(f"key type {kind}", "x", kind=kind)
    if s.version >= 4:
        ask("of several", s.name("one"), s.name("two"), "")
        ask("of none")
        ask("of the same twice", group, group)
    if s.version == 6:
        ask("share key that is none", "no-colons", kind=2)


@scenario("JoinGroup")
def life(s):
    """One member joins, syncs, stays, is joined by a second, and both leave."""
    g = Group(s)
    _, wait = g.enter("first member", version=s.version)
    a = wait()
    g.describe("waiting for the leader's sync")
    g.beat("a heartbeat while the leader has not synced", "a", a["GenerationId"], a["MemberId"])
    g.sync("leader syncs", "a", a["GenerationId"], a["MemberId"], [(a["MemberId"], ASSIGNMENT)])
    g.describe("stable")
    g.beat("a heartbeat", "a", a["GenerationId"], a["MemberId"])
    g.sync("a second sync gives the same", "a", a["GenerationId"], a["MemberId"])
    g.join("the leader joins again without a change", "a", member=a["MemberId"], version=s.version)
    _, waiting = g.enter("second member", "b", version=s.version)
    g.until("PreparingRebalance")
    again = g.join("the first joins again", "a", member=a["MemberId"], version=s.version)
    b = waiting()
    following = g.syncing("the follower's sync waits", "b", b["GenerationId"], b["MemberId"])
    time.sleep(0.1)
    g.sync("the leader's sync", "a", again["GenerationId"], a["MemberId"], [(a["MemberId"], b"one"), (b["MemberId"], b"two")])
    following()
    g.describe("two members")
    g.beat("the old generation", "a", a["GenerationId"] - 1, a["MemberId"])
    g.join("a follower joins again without a change", "b", member=b["MemberId"], version=s.version)
    g.leave("the first leaves", "a", (a["MemberId"], None))
    g.beat("the second hears of it", "b", b["GenerationId"], b["MemberId"])
    c = g.join("the second joins again", "b", member=b["MemberId"], version=s.version)
    g.sync("and leads", "b", c["GenerationId"], b["MemberId"], [(b["MemberId"], b"all")])
    g.leave("the second leaves", "b", (b["MemberId"], None))
    g.describe("empty")


@scenario("JoinGroup")
def refused(s):
    g = Group(s)
    join = lambda label, **more: g.join(label, version=s.version, **more)  # noqa: E731
    join("no protocols", protocols=())
    join("empty protocol type", kind="")
    join("empty protocol type, no protocols", kind="", protocols=())
    join("session timeout too short", session=1)
    join("session timeout too long", session=100_000_000)
    join("session timeout negative", session=-1)
    join("unknown member id", member="nobody-12345678-1234-1234-1234-123456789abc")
    g.id = ""
    join("empty group id")
    g.id = s.name("nothing")
    join("unknown member of an unknown group", member="nobody")


@scenario("JoinGroup")
def protocols(s):
    g = Group(s)
    a_id, wait = g.enter("first: range and roundrobin", version=s.version, protocols=("range", "roundrobin"))
    a = wait()
    g.sync("first syncs", "a", a["GenerationId"], a["MemberId"], [(a["MemberId"], b"x")])
    g.join("a second of another type", "b", version=s.version, kind="connect", protocols=("range",))
    g.join("a second without a common protocol", "b", version=s.version, protocols=("sticky",))
    _, waiting = g.enter("a second with roundrobin only", "b", version=s.version, protocols=("roundrobin",))
    g.until("PreparingRebalance")
    g.join("the first joins again", "a", member=a["MemberId"], version=s.version, protocols=("range", "roundrobin"))
    waiting()
    g.describe("which protocol won")


@scenario("JoinGroup", versions=(5, 9))
def preferences(s):
    """Votes: the protocol that most members put first among those that all know."""
    g = Group(s)
    a_id, wait = g.enter("a: x, y", "a", version=s.version, protocols=("x", "y"))
    a = wait()
    g.sync("a syncs", "a", a["GenerationId"], a["MemberId"], [(a["MemberId"], b"")], protocol="x")
    b_id, wait_b = g.enter("b: y, x", "b", version=s.version, protocols=("y", "x"))
    g.until("PreparingRebalance")
    again = g.joining("a again", "a", member=a["MemberId"], version=s.version, protocols=("x", "y"))
    again(), wait_b()
    c_id, wait_c = g.enter("c: y, x", "c", version=s.version, protocols=("y", "x"))
    g.until("PreparingRebalance")
    wait_a = g.joining("a once more", "a", member=a["MemberId"], version=s.version, protocols=("x", "y"))
    wait_b = g.joining("b once more", "b", member=b_id, version=s.version, protocols=("y", "x"))
    wait_a(), wait_b(), wait_c()
    g.describe("y won")


@scenario("JoinGroup", versions=(5, 9))
def static_members(s):
    g = Group(s)
    one = g.join("instance one joins", "a", instance="one", version=s.version)
    g.sync("and syncs", "a", one["GenerationId"], one["MemberId"], [(one["MemberId"], b"mine")], instance="one")
    g.describe("stable with a static member")
    again = g.join("it restarts with the same instance id", "a2", instance="one", version=s.version)
    g.sync("and syncs without a rebalance", "a2", again["GenerationId"], again["MemberId"], [], instance="one")
    g.beat("the old member id is fenced", "a", one["GenerationId"], one["MemberId"], instance="one")
    g.beat("the old member id without its instance", "a", one["GenerationId"], one["MemberId"])
    g.beat("the new one is well", "a2", again["GenerationId"], again["MemberId"], instance="one")
    g.sync("the old member id syncs", "a", one["GenerationId"], one["MemberId"], [], instance="one")
    g.join("the old member id joins", "a", member=one["MemberId"], instance="one", version=s.version)
    g.join("unknown member id with a known instance", "a", member="nobody", instance="one", version=s.version)
    g.join("unknown instance with a known member id", "a", member=again["MemberId"], instance="two", version=s.version)
    g.join("empty instance id", "c", instance="", version=s.version)
    changed = g.join("it restarts with other protocols", "a3", instance="one", version=s.version, protocols=("sticky", "range"))
    if isinstance(changed, dict) and changed["ErrorCode"] == 0:
        g.sync("and syncs", "a3", changed["GenerationId"], changed["MemberId"], [(changed["MemberId"], b"new")], instance="one", protocol=changed["ProtocolName"] or "sticky")
    g.describe("after it all")
    g.leave("leaves by instance id alone", "a3", ("", "one"))
    g.leave("again", "a3", ("", "one"))
    g.describe("empty")


@scenario("JoinGroup", versions=(4, 9))
def pending_members(s):
    """A member id that was handed out and not used yet."""
    g = Group(s)
    first = g.join("a member id is demanded", version=s.version)
    # Kafka answers before the new group's record is committed, and tells of the group only after that.
    g.until("Empty")
    g.describe("nobody has joined")
    g.beat("a heartbeat with it", "a", 0, first["MemberId"])
    g.sync("a sync with it", "a", 0, first["MemberId"])
    g.leave("it leaves", "a", (first["MemberId"], None))
    g.join("it joins after it left", "a", member=first["MemberId"], version=s.version)


@scenario("JoinGroup", once=True)
def times_out(s):
    """A member that sends nothing is taken out after its session; the others are told."""
    g = Group(s, session=1500, rebalance=2000)
    generation, member = g.one_member()
    time.sleep(0.7)
    g.beat("still there", "a", generation, member)
    time.sleep(2.5)
    g.beat("gone", "a", generation, member)
    g.describe("empty")


@scenario("JoinGroup", once=True)
def rebalance_times_out(s):
    """A member that does not join again is left behind when the rebalance time is over."""
    g = Group(s, session=6000, rebalance=1500)
    generation, a = g.one_member()
    b, wait = g.enter("second", "b")
    told = wait()
    g.sync("the second goes on alone", "b", told["GenerationId"], b, [(b, b"all")])
    g.describe("one member")
    g.beat("the first is unknown", "a", generation, a)


@scenario("JoinGroup", once=True)
def leader_never_syncs(s):
    g = Group(s, session=6000, rebalance=1500)
    _, wait = g.enter("first", "a")
    a = wait()
    b_id, waiting = g.enter("second", "b")
    g.until("PreparingRebalance")
    again = g.join("first again", "a", member=a["MemberId"])
    b = waiting()
    follower = g.syncing("the follower's sync is sent back when the time is over", "b", b["GenerationId"], b["MemberId"])
    follower()
    del again
    g.describe("what is left")


@scenario("SyncGroup")
def syncs(s):
    g = Group(s)
    _, wait = g.enter("join")
    a = wait()
    generation, member = a["GenerationId"], a["MemberId"]
    sync = lambda label, gen=generation, who=member, **more: g.sync(label, "a", gen, who, version=s.version, **more)  # noqa: E731
    sync("wrong generation", generation + 1)
    sync("unknown member", generation, "nobody")
    sync("empty member", generation, "")
    if s.version >= 5:
        sync("another protocol type", kind="connect")
        sync("another protocol", protocol="sticky")
        sync("no protocol type", kind=None)
        sync("no protocol", protocol=None)
    sync("right, without an assignment for itself", assignments=[])
    sync("again with one, which is not heard", assignments=[(member, b"late")])
    g.describe("stable")
    g.id = s.name("absent")
    sync("unknown group")
    g.id = ""
    sync("empty group id")


@scenario("SyncGroup", versions=(5, 5))
def assignments_for_strangers(s):
    g = Group(s)
    _, wait = g.enter("join")
    a = wait()
    g.sync("assignments for members that are not there", "a", a["GenerationId"], a["MemberId"], [(a["MemberId"], b"mine"), ("stranger", b"theirs")])
    g.describe("stable")


@scenario("Heartbeat")
def heartbeats(s):
    g = Group(s)
    beat = lambda label, generation, member, **more: g.beat(label, "a", generation, member, version=s.version, **more)  # noqa: E731
    beat("unknown group", 1, "x", group=s.name("absent"))
    beat("empty group id", 1, "x", group="")
    generation, member = g.one_member()
    beat("right", generation, member)
    beat("older generation", generation - 1, member)
    beat("newer generation", generation + 1, member)
    beat("generation -1", -1, member)
    beat("unknown member", generation, "nobody")
    beat("empty member", generation, "")
    if s.version >= 3:
        beat("an instance id that the group doesn't know", generation, member, instance="stranger")
    b, wait = g.enter("a second joins", "b")
    g.until("PreparingRebalance")
    beat("a rebalance is going on", generation, member)
    again = g.join("the first joins again", "a", member=member)
    wait()
    beat("waiting for the sync", again["GenerationId"], member)


@scenario("LeaveGroup")
def leaving(s):
    g = Group(s)
    leave = lambda label, *members: g.leave(label, "a", *members, version=s.version)  # noqa: E731
    generation, member = g.one_member()
    leave("unknown member", ("nobody", None))
    leave("empty member", ("", None))
    if s.version >= 3:
        leave("nobody at all")
        leave("several, one known", ("nobody", None), (member, None))
    else:
        leave("the member", (member, None))
    leave("again", (member, None))
    g.describe("empty")
    g.id = s.name("absent")
    leave("unknown group", ("x", None))
    g.id = ""
    leave("empty group id", ("x", None))


@scenario("LeaveGroup", versions=(3, 5))
def static_members_leave(s):
    g = Group(s)
    one = g.join("one joins", "a", instance="one")
    g.sync("and syncs", "a", one["GenerationId"], one["MemberId"], [(one["MemberId"], b"x")], instance="one")
    leave = lambda label, *members: g.leave(label, "a", *members, version=s.version)  # noqa: E731
    leave("unknown instance", ("", "two"))
    leave("known instance, wrong member", ("nobody", "one"))
    leave("known member, wrong instance", (one["MemberId"], "two"))
    leave("known member, no instance", (one["MemberId"], None))
    leave("by instance", ("", "one"))
    g.describe("empty")

"""What the suites of every Python client share: the broker's address, names that are used once, waiting, and group members in threads.

Nothing here may depend on one client, and nothing may catch an error that a test should see.
"""

import os
import threading
import time
import uuid

BOOTSTRAP = os.environ.get("OTTLA_BOOTSTRAP", "127.0.0.1:9092")

# Long enough for a loaded two-core machine, short enough that a hang is reported by its own test.
PATIENCE_S = 30


def unique(prefix):
    """A name for a topic or group that no other test and no earlier run has used."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def wait_until(condition, what, within_s=PATIENCE_S):
    """Waits for `condition()` to become true and returns its value; fails the test with `what` otherwise. `what` may be callable, for late values."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {what() if callable(what) else what}"
        time.sleep(0.05)


class Member(threading.Thread):
    """A consumer group's member that polls in its own thread until stop() or crash().

    A subclass for each client sets `self.consumer` in open(), moves records into `self.records` in poll_once(), and leaves in close(); its rebalance callbacks
    call assigned() and revoked(). `records` holds (partition, offset, value), `history` holds ("assigned" | "revoked" | "lost", partitions) in order.
    """

    def __init__(self, name):
        super().__init__(name=name, daemon=True)
        self.records = []
        self.history = []
        self.owned = frozenset()
        self.error = None
        self.leave = True
        self.opened = threading.Event()
        self.stopping = threading.Event()

    def assigned(self, partitions, incremental=False):
        partitions = frozenset(partitions)
        self.history.append(("assigned", partitions))
        self.owned = self.owned | partitions if incremental else partitions

    def revoked(self, partitions, kind="revoked"):
        partitions = frozenset(partitions)
        self.history.append((kind, partitions))
        self.owned = self.owned - partitions

    def run(self):
        try:
            self.open()
            self.opened.set()
            while not self.stopping.is_set():
                self.poll_once()
            if self.leave:
                self.close()
        except Exception as e:  # reported by stop() and settle(), in the test's own thread
            self.error = e
        finally:
            self.opened.set()

    def begin(self):
        self.start()
        assert self.opened.wait(PATIENCE_S), f"{self.name} did not open"
        self.check()
        return self

    def check(self):
        if self.error is not None:
            raise self.error

    def stop(self):
        """Leaves the group."""
        self.stopping.set()
        self.join(PATIENCE_S)
        assert not self.is_alive(), f"{self.name} did not stop"
        self.check()


def settle(members, partitions, shares=None, within_s=PATIENCE_S):
    """Waits until `members` own `partitions` between them, each exactly once, in shares of these sizes (largest first; None: of any size)."""
    wanted = set(partitions)

    def settled():
        for member in members:
            member.check()
        owned = [member.owned for member in members]
        sizes = sorted(map(len, owned), reverse=True)
        return sum(sizes) == len(wanted) and set().union(*owned) == wanted and (shares is None or sizes == shares)

    wait_until(settled, lambda: f"owned {[sorted(m.owned) for m in members]}, wanted {sorted(wanted)} in shares {shares}", within_s)


def consumed(members):
    """All records of `members`, as a sorted list of (partition, offset, value)."""
    return sorted(record for member in members for record in list(member.records))

"""The named rules by which two brokers' answers are made comparable. A rule replaces only what no client may rely on, and keeps which values are equal.

Each rule is a function of (state, api, field name, value) and gives the value to compare. What is not covered by a rule is compared as it is.
"""

import re
import time

from wire import records

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
RESERVED = re.compile(r"00000000-0000-0000-0000-0000000000..")

TEXTS = {"ErrorMessage", "BatchIndexErrorMessage"}
TIMES = {"LogAppendTimeMs", "Timestamp", "CommitTimestamp", "LastTimestamp", "LastFetchTimestamp", "LastCaughtUpTimestamp", "BaseTimestamp", "MaxTimestamp"}
QUORUM = {"HighWatermark", "LogEndOffset", "LeaderEpoch"}


class State:
    """What one broker's answers in one scenario have named so far: the first value seen of a kind becomes number 1, and so on. `session`: the one that asked."""

    def __init__(self, address, session):
        self.names, self.producers, self.session = session.names, session.producers, session
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.seen = {}

    def number(self, kind, value):
        known = self.seen.setdefault(kind, {})
        return f"<{kind} {known.setdefault(value, len(known) + 1)}>"


def random_ids(state, api, name, value):
    """Topic ids, directory ids and the random part of member ids: numbered by first appearance; Kafka's reserved ids stay."""
    if isinstance(value, str):
        return UUID.sub(lambda m: m[0] if RESERVED.fullmatch(m[0]) else state.number("uuid", m[0]), value)
    return value


def given_names(state, api, name, value):
    """Names that the scenario made unique for this run: what it calls them."""
    if isinstance(value, str):
        for full, text in state.names.items():
            value = value.replace(full, text)
    return value


def assigned_numbers(state, api, name, value):
    """Producer ids that the broker gave and fetch session ids: numbered by first appearance. Ids that a scenario chose itself, 0 sessions and negative values stay."""
    if name == "ProducerId" and isinstance(value, int) and value >= 0 and (api == "InitProducerId" or value in state.producers):
        return state.number("producer", value)
    if name == "SessionId" and isinstance(value, int) and value > 0:
        return state.number("session", value)
    return value


def own_address(state, api, name, value):
    """The broker's own host and ports (its controller listener's, too), which differ because both run on one machine."""
    if name == "Host" and value == state.host:
        return "<own host>"
    if name == "Port" and (value == state.port or api == "DescribeQuorum" and value > 0 or value == state.session.controller_port):
        return "<own port>"
    return value


def cluster_id(state, api, name, value):
    """Given at random when storage is formatted: 22 characters of base64."""
    if name == "ClusterId" and isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{22}", value):
        return "<cluster id>"
    return value


def moments(state, api, name, value):
    """Times of the broker's clock. Scenarios use 2023 for the times that they choose themselves."""
    if name in TIMES and isinstance(value, int) and abs(value - time.time() * 1000) < 3_600_000:
        return "<now>"
    return value


def texts(state, api, name, value):
    """The wording of error messages; that there is one, none, or an empty one is compared."""
    if name in TEXTS and isinstance(value, str) and value:
        return "<text>"
    return value


def places(state, api, name, value):
    """Folders and disk sizes of the machine."""
    if name == "LogDir" and isinstance(value, str) and value.startswith("/"):
        return state.number("log dir", value)
    if name in ("TotalBytes", "UsableBytes") and isinstance(value, int) and value > 0:
        return "<bytes>"
    return value


def metadata_progress(state, api, name, value):
    """How far the metadata log has come, which depends on all that happened before."""
    if api == "DescribeQuorum" and name in QUORUM and isinstance(value, int) and value > 0:
        return "<positive>"
    if name == "FinalizedFeaturesEpoch" and isinstance(value, int) and value >= 0:
        return "<epoch>"
    return value


RULES = [given_names, random_ids, assigned_numbers, own_address, cluster_id, moments, texts, places, metadata_progress]


def normalise(state, api, value, name=""):
    """`value` with every rule applied to every leaf, in the order of the message's fields."""
    if isinstance(value, dict):
        return {field: normalise(state, api, inner, field) for field, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [normalise(state, api, inner, name) for inner in value]
    if isinstance(value, bytes) and api == "Fetch" and name == "Records":
        return normalise(state, api, records.decode(value))
    if isinstance(value, bytes):
        value = value.hex()
    for rule in RULES:
        value = rule(state, api, name, value)
    return value

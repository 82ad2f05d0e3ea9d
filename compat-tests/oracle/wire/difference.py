"""Finds where two normalised answers differ. Arrays whose elements carry a name or number are compared by it, so that one missing element is one difference."""

import dataclasses
import re
import tomllib

KEYS = ["ApiKey", "Name", "TopicName", "Topic", "GroupId", "PartitionIndex", "Partition", "Index", "NodeId", "BrokerId", "LogDir", "ReplicaId", "Key", "ResourceName",
        "MemberId", "ProducerId", "TopicId", "Feature"]

ABSENT = "<absent>"

# Arrays whose order Kafka takes from a hash map, or from a set, so that it differs between two runs of Kafka itself.
ORDERLESS = [
    r"Metadata:Topics", r"Metadata:Brokers", r"DescribeLogDirs:.*", r"ListGroups:Groups", r"DescribeConfigs:.*Configs", r"DescribeGroups:.*",
    r"OffsetFetch:.*", r"CreateTopics:.*", r"DeleteTopics:.*", r"ListConfigResources:.*", r"ApiVersions:.*", r"AlterConfigs:.*", r"IncrementalAlterConfigs:.*",
    r"DeleteRecords:.*", r"ListOffsets:.*", r"OffsetForLeaderEpoch:.*", r"DescribeProducers:.*", r"CreatePartitions:.*", r"JoinGroup:Members", r"Produce:.*",
    r"DeleteGroups:.*", r"ElectLeaders:.*", r"OffsetDelete:.*", r"DescribeQuorum:.*", r"UpdateFeatures:.*", r"AlterReplicaLogDirs:.*",
]


@dataclasses.dataclass(frozen=True)
class Difference:
    api: str
    version: int
    scenario: str
    label: str
    path: str
    oracle: object
    other: object


def key_of(elements):
    """The field by which to tell `elements` apart, or None."""
    if elements and all(isinstance(e, dict) for e in elements):
        for key in KEYS:
            values = [e.get(key) for e in elements]
            if None not in values and "" not in values and len({str(v) for v in values}) == len(values):
                return key
    return None


def differences(api, a, b, path=""):
    """Yields (path, a's value, b's value)."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in [*a, *(n for n in b if n not in a)]:
            yield from differences(api, a.get(name, ABSENT), b.get(name, ABSENT), f"{path}.{name}" if path else name)
    elif isinstance(a, list) and isinstance(b, list):
        yield from array_differences(api, a, b, path)
    elif a != b or type(a) is not type(b):
        yield path, a, b


def array_differences(api, a, b, path):
    key = key_of(a or b)
    if key and (not a or key_of(a) == key) and (not b or key_of(b) == key):
        left, right = {str(e[key]): e for e in a}, {str(e[key]): e for e in b}
        for name in [*left, *(n for n in right if n not in left)]:
            yield from differences(api, left.get(name, ABSENT), right.get(name, ABSENT), f"{path}[{name}]")
        if left.keys() == right.keys() and list(left) != list(right) and not any(re.fullmatch(p, f"{api}:{path}") for p in ORDERLESS):
            yield f"{path}[order]", list(left), list(right)
        return
    if len(a) != len(b):
        yield f"{path}[length]", len(a), len(b)
        return
    for i, (left, right) in enumerate(zip(a, b)):
        yield from differences(api, left, right, f"{path}[{i}]")


class Permitted:
    """The differences that are meant, from a file of [[permitted]] tables: api, path (a regular expression), reason, and optionally versions, step, oracle, ottla."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.entries = tomllib.load(file).get("permitted", [])
        for entry in self.entries:
            unknown = set(entry) - {"api", "versions", "step", "path", "oracle", "ottla", "reason"}
            if unknown or not entry.get("reason") or "api" not in entry or "path" not in entry:
                raise ValueError(f"{path}: an entry needs api, path and reason, and has {sorted(entry)}")
            entry["used"] = False

    def reason(self, difference):
        """Why `difference` is permitted, or None."""
        for entry in self.entries:
            if self.covers(entry, difference):
                entry["used"] = True
                return entry["reason"]
        return None

    @staticmethod
    def covers(entry, difference):
        low, high = entry.get("versions", [0, 32767])
        return (
            re.fullmatch(entry["api"], difference.api) and low <= difference.version <= high and re.fullmatch(entry["path"], difference.path)
            and re.fullmatch(entry.get("step", ".*"), f"{difference.scenario}/{difference.label}")
            and re.fullmatch(entry.get("oracle", "(?s).*"), str(difference.oracle)) and re.fullmatch(entry.get("ottla", "(?s).*"), str(difference.other))
        )

    def unused(self):
        return [entry for entry in self.entries if not entry["used"]]

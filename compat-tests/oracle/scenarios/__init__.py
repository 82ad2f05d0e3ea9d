"""What is asked of both brokers, one file for each family of APIs. A scenario is a function of a wire.session.Session; @scenario(api) registers it for every version
of `api`, `versions=` for some of them, and `once=True` for one run where the version does not matter."""

import dataclasses
import importlib
import pkgutil

from wire import schema

# The APIs and versions that Ottla promises: kafka-protocol 0.18 knows these and Kafka 4.3.0 answers them.
PROMISED = {
    "ApiVersions": (0, 4), "Produce": (3, 13), "Fetch": (4, 18), "ListOffsets": (1, 10), "Metadata": (0, 13), "OffsetCommit": (2, 9), "OffsetFetch": (1, 9),
    "FindCoordinator": (0, 6), "JoinGroup": (0, 9), "Heartbeat": (0, 4), "LeaveGroup": (0, 5), "SyncGroup": (0, 5), "DescribeGroups": (0, 6), "ListGroups": (0, 5),
    "DeleteGroups": (0, 2), "OffsetDelete": (0, 0), "CreateTopics": (2, 7), "DeleteTopics": (1, 6), "CreatePartitions": (0, 3), "DeleteRecords": (0, 2),
    "InitProducerId": (0, 5), "OffsetForLeaderEpoch": (2, 4), "DescribeConfigs": (1, 4), "AlterConfigs": (0, 2), "IncrementalAlterConfigs": (0, 1),
    "DescribeLogDirs": (1, 4), "DescribeProducers": (0, 0), "DescribeCluster": (0, 2), "DescribeTopicPartitions": (0, 0), "ListConfigResources": (0, 1),
    "DescribeQuorum": (0, 2), "ElectLeaders": (0, 2), "UpdateFeatures": (0, 2),
    "DescribeAcls": (1, 3), "CreateAcls": (1, 3), "DeleteAcls": (1, 3), "AlterReplicaLogDirs": (1, 2), "AlterPartitionReassignments": (0, 1),
    "ListPartitionReassignments": (0, 0),
}


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    api: str
    versions: tuple
    run: object


REGISTERED = []


def scenario(api, versions=None, once=False):
    """Registers a function for every promised version of `api`, for those from `versions[0]` to `versions[1]`, or for the newest only (`once`)."""
    low, high = PROMISED[api]
    chosen = (high,) if once else tuple(v for v in range(low, high + 1) if versions is None or versions[0] <= v <= versions[1])

    def register(function):
        REGISTERED.append(Scenario(f"{function.__module__.rpartition('.')[2]}.{function.__name__}", api, chosen, function))
        return function

    return register


def load():
    """Every scenario of every file, in the order of the files' names."""
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"scenarios.{module}")
    for api, (low, high) in PROMISED.items():
        known = schema.request(api).versions
        if low < known[0] or high > known[1]:
            raise ValueError(f"{api} is promised at {low}-{high}; the reference broker's schema has {known[0]}-{known[1]}")
    return REGISTERED

"""The listener for controllers (KIP-919): which APIs are there, what they tell of controllers, and changes of the metadata that come over it."""

from scenarios import PROMISED, scenario


# What a request that asks for nothing has to say.
MORE = {"DescribeAcls": {"ResourceTypeFilter": 1, "PatternTypeFilter": 1, "Operation": 1, "PermissionType": 1}}


def metadata_log(s, connection, label):
    asked = {"Topics": [{"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}]}
    return s.ask(label, "DescribeQuorum", asked, connection=connection)


@scenario("DescribeQuorum")
def quorum(s):
    metadata_log(s, s.main, "over the brokers' listener")
    metadata_log(s, s.controller(), "over the controllers' listener")


@scenario("DescribeCluster")
def cluster(s):
    connection = s.controller()
    for kind in (0, 1, 2, 3, -1):
        s.ask(f"endpoint type {kind}", "DescribeCluster", {"EndpointType": kind}, connection=connection)
    s.ask("with operations", "DescribeCluster", {"EndpointType": 2, "IncludeClusterAuthorizedOperations": True}, connection=connection)
    s.ask("fenced brokers too", "DescribeCluster", {"EndpointType": 2, "IncludeFencedBrokers": True}, connection=connection)


@scenario("ApiVersions")
def versions(s):
    s.ask("named", "ApiVersions", {"ClientSoftwareName": "compare", "ClientSoftwareVersion": "1.0"}, connection=s.controller())


@scenario("ApiVersions", once=True)
def unknown(s):
    for version in (5, 32767):
        s.frame(f"version {version}", s.raw_header(18, version, flexible=True) + b"\x08compare\x041.0\x00", connection=s.controller())
    for key in (-1, 4, 5, 6, 7, 93, 999):
        s.frame(f"api key {key}", s.raw_header(key, 0), connection=s.controller())


@scenario("ApiVersions", once=True)
def every_api(s):
    """Asked for nothing, at its newest version: answered where it belongs, and the connection is closed where not."""
    for api, (_, newest) in PROMISED.items():
        if api not in ("ApiVersions", "DescribeCluster"):
            s.ask(api, api, MORE.get(api, {}), version=newest, connection=s.controller(), timeout_s=3)


@scenario("CreateTopics", versions=(7, 7))
def changes(s):
    controller, name = s.controller(), s.name("made")
    wanted = {"Topics": [{"Name": name, "NumPartitions": 2, "ReplicationFactor": 1, "Configs": [{"Name": "retention.ms", "Value": "1000"}]}], "timeoutMs": 30000}
    s.ask("create", "CreateTopics", wanted, connection=controller)
    s.ask("create again", "CreateTopics", wanted, connection=controller)
    s.until(lambda: s.metadata(name)["ErrorCode"] == 0, f"{name} is known")
    s.ask("partitions", "CreatePartitions", {"Topics": [{"Name": name, "Count": 3, "Assignments": None}], "TimeoutMs": 30000, "ValidateOnly": False}, version=3, connection=controller)
    config = {"ResourceType": 2, "ResourceName": name, "Configs": [{"Name": "retention.ms", "ConfigOperation": 0, "Value": "2000"}]}
    s.ask("configs", "IncrementalAlterConfigs", {"Resources": [config], "ValidateOnly": False}, version=1, connection=controller)
    wrong = {"ResourceType": 2, "ResourceName": name, "Configs": [{"Name": "retention.ms", "ConfigOperation": 0, "Value": "many"}]}
    s.ask("a wrong config", "IncrementalAlterConfigs", {"Resources": [wrong], "ValidateOnly": False}, version=1, connection=controller)
    s.until(lambda: len(s.metadata(name)["Partitions"]) == 3, f"{name} has three partitions")
    for partition in range(3):
        s.until(lambda: s.end_offset(name, partition) == 0, f"{name}-{partition} is there")  # noqa: B023
    described = {"Resources": [{"ResourceType": 2, "ResourceName": name, "ConfigurationKeys": ["retention.ms", "cleanup.policy"]}]}
    s.until(lambda: s.quiet("DescribeConfigs", described, 4)["Results"][0]["Configs"][0]["Value"] is not None, "configs are known")
    s.ask("described", "DescribeConfigs", described, version=4, connection=controller)
    elect = {"ElectionType": 0, "TopicPartitions": [{"Topic": name, "Partitions": [0, 9]}], "TimeoutMs": 5000}
    s.ask("elect", "ElectLeaders", elect, version=2, connection=controller)
    s.ask("reassignments", "ListPartitionReassignments", {"TimeoutMs": 5000, "Topics": None}, version=0, connection=controller)
    s.ask("delete", "DeleteTopics", {"Topics": [{"Name": name}], "TimeoutMs": 30000}, version=6, connection=controller)
    s.ask("delete again", "DeleteTopics", {"Topics": [{"Name": name}], "TimeoutMs": 30000}, version=6, connection=controller)

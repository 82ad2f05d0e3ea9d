"""kafka-python, the administrator's side: topics, partitions, configs, groups, records, log directories and the cluster, each changed and then seen from elsewhere."""

import uuid

import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import AlterConfigOp, OffsetSpec, OffsetTimestamp
from kafka.errors import (
    ElectionNotNeededError, GroupIdNotFoundError, GroupSubscribedToTopicError, InvalidConfigurationError, InvalidPartitionsError, InvalidReplicationAssignmentError,
    InvalidReplicationFactorError, MessageSizeTooLargeError, NonEmptyGroupError, OffsetOutOfRangeError, TopicAlreadyExistsError, UnknownTopicOrPartitionError,
)

import common
import kp


@pytest.fixture
def admin():
    with kp.admin() as client:
        yield client


def described(admin, topic):
    return admin.describe_topics([topic])[0]


def topic_configs(admin, topic, names=None):
    found = admin.describe_configs([kp.resource("topic", topic, names)], config_filter="all")["topic"][topic]
    return {name: found[name]["value"] for name in (names or found)}


def broker_id(admin):
    broker = admin.describe_cluster()["brokers"][0]
    return broker["broker_id"]


def test_create_describe_delete(admin):
    name = common.unique("topic")
    told = admin.create_topics({name: {"num_partitions": 5, "replication_factor": 1, "configs": {"retention.ms": "123456", "cleanup.policy": "compact,delete"}}})
    created = told["topics"][0]
    assert (created["error_code"], created["num_partitions"], created["replication_factor"]) == (0, 5, 1)
    assert created["configs"]["retention.ms"]["value"] == "123456"
    admin.wait_for_topics([name])
    seen = described(admin, name)
    assert [p["partition_index"] for p in sorted(seen["partitions"], key=lambda p: p["partition_index"])] == list(range(5))
    assert all(p["leader_id"] == p["replica_nodes"][0] == p["isr_nodes"][0] and not p["offline_replicas"] for p in seen["partitions"])
    assert uuid.UUID(str(seen["topic_id"])) == uuid.UUID(str(created["topic_id"])) != uuid.UUID(int=0)
    assert described(admin, uuid.UUID(str(seen["topic_id"])))["name"] == name, "described by its id"
    assert topic_configs(admin, name, ["retention.ms", "cleanup.policy", "segment.bytes"]) == {"retention.ms": "123456", "cleanup.policy": "compact,delete", "segment.bytes": "1073741824"}
    assert name in admin.list_topics()
    assert admin.delete_topics([name])["topics"][0]["error_code"] == 0
    common.wait_until(lambda: name not in admin.list_topics(), "the topic is gone")
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_topics([name])


def test_delete_by_id(admin, topic):
    admin.delete_topics([uuid.UUID(str(described(admin, topic)["topic_id"]))])
    common.wait_until(lambda: topic not in admin.list_topics(), "the topic is gone")


def test_validate_only_creates_nothing(admin):
    name = common.unique("topic")
    assert admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}}, validate_only=True)["topics"][0]["error_code"] == 0
    assert name not in admin.list_topics()


@pytest.mark.parametrize("settings, error", [
    ({"num_partitions": 0, "replication_factor": 1}, InvalidPartitionsError),
    ({"num_partitions": 1, "replication_factor": 3}, InvalidReplicationFactorError),
    ({"num_partitions": 1, "replication_factor": 1, "configs": {"no.such.config": "1"}}, InvalidConfigurationError),
    ({"num_partitions": 1, "replication_factor": 1, "configs": {"retention.ms": "soon"}}, InvalidConfigurationError),
    ({"num_partitions": 1, "replication_factor": 1, "configs": {"cleanup.policy": "sometimes"}}, InvalidConfigurationError),
    ({"assignments": {0: [12345]}}, InvalidReplicationAssignmentError),
    ({"assignments": {1: [1]}}, InvalidReplicationAssignmentError),
])
def test_topics_that_cannot_be(admin, settings, error):
    name = common.unique("topic")
    answer = admin.create_topics({name: settings}, raise_errors=False)["topics"][0]
    assert answer["error_code"] == error.errno and answer["error_message"]
    assert name not in admin.list_topics()


def test_a_topic_is_created_once(admin, topic):
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})


def test_one_bad_topic_does_not_spoil_the_others(admin, topic):
    good = common.unique("topic")
    answer = admin.create_topics({topic: {"num_partitions": 1}, good: {"num_partitions": 1}}, raise_errors=False)
    assert {t["name"]: t["error_code"] for t in answer["topics"]} == {topic: TopicAlreadyExistsError.errno, good: 0}
    admin.wait_for_topics([good])


def test_create_with_an_assignment(admin):
    name, node = common.unique("topic"), broker_id(admin)
    admin.create_topics({name: {"assignments": {0: [node], 1: [node], 2: [node]}}}, wait_for_metadata=True)
    assert len(described(admin, name)["partitions"]) == 3


@pytest.mark.topic(partitions=2)
def test_partitions_are_added_never_taken(admin, topic):
    kp.send_all(topic, 5, partition=1)
    admin.create_partitions({topic: 5}, validate_only=True)
    assert len(described(admin, topic)["partitions"]) == 2
    admin.create_partitions({topic: 5})
    common.wait_until(lambda: len(described(admin, topic)["partitions"]) == 5, "five partitions")
    for count in (5, 3):
        with pytest.raises(InvalidPartitionsError):
            admin.create_partitions({topic: count})
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.create_partitions({common.unique("absent"): 2})
    assert kp.send_all(topic, 3, partition=4)[-1].offset == 2
    with kp.consumer(topic, group_id=None) as c:
        assert sorted((r.partition, r.offset) for r in kp.read(c, 8)) == [(1, o) for o in range(5)] + [(4, o) for o in range(3)]


@pytest.mark.topic(configs={"retention.ms": "600000"})
def test_topic_configs_changed_one_by_one(admin, topic):
    admin.alter_configs([kp.resource("topic", topic, {"max.message.bytes": "2000", "cleanup.policy": (AlterConfigOp.APPEND, "compact")})])
    common.wait_until(lambda: topic_configs(admin, topic)["max.message.bytes"] == "2000", "the change is seen")
    assert topic_configs(admin, topic, ["retention.ms", "cleanup.policy"]) == {"retention.ms": "600000", "cleanup.policy": "delete,compact"}
    told = admin.describe_configs([kp.resource("topic", topic)], config_filter="all", include_synonyms=True)["topic"][topic]
    assert told["max.message.bytes"]["config_source"] == "DYNAMIC_TOPIC_CONFIG" and told["segment.ms"]["config_source"] == "DEFAULT_CONFIG"
    assert [(s["name"], s["value"]) for s in told["max.message.bytes"]["synonyms"]] == [("max.message.bytes", "2000"), ("message.max.bytes", "1048588")]
    admin.alter_configs([kp.resource("topic", topic, {"cleanup.policy": (AlterConfigOp.SUBTRACT, "delete"), "retention.ms": (AlterConfigOp.DELETE, None)})])
    common.wait_until(lambda: topic_configs(admin, topic)["cleanup.policy"] == "compact", "the change is seen")
    assert topic_configs(admin, topic, ["retention.ms", "max.message.bytes"]) == {"retention.ms": "604800000", "max.message.bytes": "2000"}


@pytest.mark.topic(configs={"retention.ms": "600000"})
def test_topic_configs_changed_all_at_once(admin, topic):
    """The old AlterConfigs: what is not named goes back to its default; kafka-python fills in what there is."""
    admin.alter_configs([kp.resource("topic", topic, {"max.message.bytes": "2000"})], incremental=False)
    common.wait_until(lambda: topic_configs(admin, topic)["max.message.bytes"] == "2000", "the change is seen")
    assert topic_configs(admin, topic)["retention.ms"] == "600000"
    admin.reset_configs([kp.resource("topic", topic)], incremental=False)
    common.wait_until(lambda: topic_configs(admin, topic)["max.message.bytes"] == "1048588", "the change is seen")
    assert topic_configs(admin, topic)["retention.ms"] == "604800000"


@pytest.mark.parametrize("configs", [{"max.message.bytes": "-5"}, {"no.such.config": "1"}, {"compression.type": "best"}])
@pytest.mark.parametrize("incremental", [True, False])
def test_wrong_configs_are_refused(admin, topic, configs, incremental):
    told = refusal(admin.alter_configs([kp.resource("topic", topic, configs)], raise_on_unknown=False, incremental=incremental))
    assert told.startswith(f"[Error {InvalidConfigurationError.errno}]")
    assert topic_configs(admin, topic, ["max.message.bytes", "compression.type"]) == {"max.message.bytes": "1048588", "compression.type": "producer"}


def test_configs_of_an_absent_topic(admin):
    told = refusal(admin.alter_configs([kp.resource("topic", common.unique("absent"), {"retention.ms": "1"})], raise_on_unknown=False))
    assert told.startswith(f"[Error {UnknownTopicOrPartitionError.errno}]")


def test_validate_only_changes_no_config(admin, topic):
    assert refusal(admin.alter_configs([kp.resource("topic", topic, {"retention.ms": "99"})], validate_only=True)) is None
    assert topic_configs(admin, topic)["retention.ms"] == "604800000"


def refusal(answer):
    """alter_configs and reset_configs tell each resource's outcome as text: the one in `answer`, or None when it was accepted."""
    [[told]] = [list(by_name.values()) for by_name in answer.values()]
    return told if "Error" in str(told) else None


def test_a_changed_limit_takes_effect_on_the_next_message(admin, topic):
    with kp.producer(enable_idempotence=False) as p:
        p.send(topic, b"x" * 5000).get(common.PATIENCE_S)
        admin.alter_configs([kp.resource("topic", topic, {"max.message.bytes": "1000"})])
        common.wait_until(lambda: topic_configs(admin, topic)["max.message.bytes"] == "1000", "the change is seen")
        with pytest.raises(MessageSizeTooLargeError):
            p.send(topic, b"x" * 5000).get(common.PATIENCE_S)


def test_broker_configs(admin):
    node = str(broker_id(admin))
    told = admin.describe_configs([kp.resource("broker", node)], config_filter="all")["broker"][node]
    assert (told["node.id"]["value"], told["node.id"]["read_only"], told["node.id"]["config_source"]) == (node, True, "STATIC_BROKER_CONFIG")
    assert told["log.retention.hours"]["value"] == "168" and told["message.max.bytes"]["read_only"] is False
    assert told["advertised.listeners"]["value"].startswith("PLAINTEXT://")


def test_groups_from_first_commit_to_deletion(admin, topic, group):
    kp.send_all(topic, 20)
    tp = TopicPartition(topic, 0)
    assert admin.describe_groups([group])[group]["group_state"] == "Dead"
    with kp.consumer(topic, group_id=group, client_id="the-reader") as c:
        assert len(kp.read(c, 20)) == 20
        told = admin.describe_groups([group])[group]
        assert (told["group_state"], told["protocol_type"], told["protocol_data"], len(told["members"])) == ("Stable", "consumer", "range", 1)
        member = told["members"][0]
        assert member["client_id"] == "the-reader" and member["client_host"] == "/127.0.0.1"
        assert member["member_assignment"]["assigned_partitions"] == [{"topic": topic, "partitions": [0]}]
        listed = {g["group_id"]: g for g in admin.list_groups()}
        assert (listed[group]["protocol_type"], listed[group]["group_state"]) == ("consumer", "Stable")
        assert group in {g["group_id"] for g in admin.list_groups(states_filter=["Stable"])}
        assert group not in {g["group_id"] for g in admin.list_groups(states_filter=["Empty"])}
        assert group in {g["group_id"] for g in admin.list_groups(types_filter=["classic"])}
        assert admin.delete_groups([group])[group] == NonEmptyGroupError.__name__
        with pytest.raises(GroupSubscribedToTopicError):
            raise_value(admin.delete_group_offsets(group, [tp])[tp])
    assert admin.describe_groups([group])[group]["group_state"] == "Empty"
    assert admin.alter_group_offsets(group, {tp: OffsetAndMetadata(3, "moved", -1)})[tp].errno == 0
    assert admin.list_group_offsets(group)[group][tp][:2] == (3, "moved")
    assert admin.delete_group_offsets(group, [tp])[tp].errno == 0
    assert tp not in admin.list_group_offsets(group)[group]
    assert admin.delete_groups([group])[group] == "OK"
    assert group not in {g["group_id"] for g in admin.list_groups()}
    assert admin.delete_groups([group])[group] == GroupIdNotFoundError.__name__


def raise_value(error):
    if error.errno:
        raise error()


@pytest.mark.topic(partitions=3)
def test_reset_group_offsets(admin, topic, group):
    for partition in range(3):
        kp.send_all(topic, 10, partition=partition)
    tps = kp.partitions_of(topic, 3)
    admin.alter_group_offsets(group, {tp: OffsetAndMetadata(5, "", -1) for tp in tps})
    told = admin.reset_group_offsets(group, {tps[0]: OffsetSpec.EARLIEST, tps[1]: OffsetSpec.LATEST, tps[2]: OffsetTimestamp(0)})
    assert {tp: (t["error"].errno, t["offset"]) for tp, t in told.items()} == {tps[0]: (0, 0), tps[1]: (0, 10), tps[2]: (0, 0)}
    with kp.consumer(topic, group_id=group) as c:
        assert sorted((r.partition, r.offset) for r in kp.read(c, 20)) == [(p, o) for p in (0, 2) for o in range(10)]


@pytest.mark.topic(partitions=2)
def test_delete_records(admin, topic):
    kp.send_all(topic, 50, partition=0)
    tps = kp.partitions_of(topic, 2)
    assert admin.delete_records({tps[0]: 20, tps[1]: -1}) == {
        tps[0]: {"low_watermark": 20, "error_code": 0, "partition_index": 0}, tps[1]: {"low_watermark": 0, "error_code": 0, "partition_index": 1},
    }
    assert {tp: o.offset for tp, o in admin.list_partition_offsets({tps[0]: OffsetSpec.EARLIEST}).items()} == {tps[0]: 20}
    with pytest.raises(OffsetOutOfRangeError):
        admin.delete_records({tps[0]: 51})
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_records({TopicPartition(topic, 9): 1})
    assert admin.delete_records({tps[0]: -1})[tps[0]]["low_watermark"] == 50


def test_list_partition_offsets(admin, topic):
    tp = TopicPartition(topic, 0)
    with kp.producer() as p:
        for stamp in (1_700_000_005_000, 1_700_000_009_000, 1_700_000_007_000):
            p.send(topic, b"x", timestamp_ms=stamp).get(common.PATIENCE_S)

    def at(spec):
        told = admin.list_partition_offsets({tp: spec})[tp]
        return told.offset, told.timestamp

    assert at(OffsetSpec.EARLIEST) == (0, -1) and at(OffsetSpec.LATEST) == (3, -1)
    assert at(OffsetSpec.MAX_TIMESTAMP) == (1, 1_700_000_009_000)
    assert at(OffsetTimestamp(1_700_000_006_000)) == (1, 1_700_000_009_000)


@pytest.mark.topic(partitions=3)
def test_log_dirs_count_what_is_written(admin, topic):
    def sizes():
        dirs = [d for broker in admin.describe_log_dirs([topic]) for d in broker["log_dirs"]]
        assert all(d["error_code"] == 0 and d["total_bytes"] > d["usable_bytes"] > 0 for d in dirs)
        return {p["partition_index"]: p["partition_size"] for d in dirs for t in d["topics"] if t["name"] == topic for p in t["partitions"]}

    common.wait_until(lambda: sizes() == {0: 0, 1: 0, 2: 0}, "three empty logs")
    kp.send_all(topic, 100, partition=1)
    written = sizes()
    assert written[0] == written[2] == 0 and 500 < written[1] < 20_000


def test_cluster(admin):
    told = admin.describe_cluster()
    assert told["cluster_id"] and len(told["brokers"]) == 1
    broker = told["brokers"][0]
    host, port = common.BOOTSTRAP.rsplit(":", 1)
    assert (broker["host"], broker["port"]) == (host, int(port))
    assert told["controller_id"] == broker.get("broker_id", broker.get("node_id")) == broker_id(admin)


def test_quorum_and_features(admin):
    partition = admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
    assert partition["leader_id"] == broker_id(admin) and [v["replica_id"] for v in partition["current_voters"]] == [broker_id(admin)]
    assert partition["high_watermark"] > 0
    metadata_version = admin.describe_features()["metadata.version"]
    assert metadata_version["supported"][0] <= metadata_version["finalized"][0] <= metadata_version["supported"][1]


def test_elections_that_are_not_needed(admin, topic):
    answer = admin.elect_leaders(0, {topic: [0]})
    assert [(r[0], [(p[0], p[1]) for p in r[1]]) for r in answer.replica_election_results] == [(topic, [(0, ElectionNotNeededError.errno)])]


@pytest.mark.topic(partitions=5)
def test_describe_topic_partitions_page_by_page(admin, topic):
    seen, cursor = [], None
    for _ in range(10):
        page = admin.describe_topic_partitions([topic], response_partition_limit=2, cursor=cursor)
        found = [p["partition_index"] for t in page["topics"] for p in t["partitions"]]
        assert len(found) <= 2
        seen += found
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [0, 1, 2, 3, 4]


def test_list_config_resources(admin, topic):
    told = admin.list_config_resources()
    assert topic in told["topic"] and str(broker_id(admin)) in told["broker"]

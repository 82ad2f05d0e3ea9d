"""confluent-kafka (librdkafka), the administrator's side."""

import uuid

import pytest
from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, ConsumerGroupType, ElectionType, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec

import ck
import common


@pytest.fixture
def admin():
    return ck.admin()


def result(futures):
    """The value of the only future in `futures`; its error raises."""
    [future] = futures.values()
    return future.result(common.PATIENCE_S)


def refused(futures):
    """The error code of the only future in `futures`, which must fail."""
    with pytest.raises(KafkaException) as error:
        result(futures)
    return error.value.args[0].code()


def configs(admin, topic):
    return {name: entry.value for name, entry in result(admin.describe_configs([ConfigResource("topic", topic)])).items()}


def test_create_describe_delete(admin):
    name = common.unique("topic")
    result(admin.create_topics([NewTopic(name, 4, 1, config={"retention.ms": "5000000"})]))
    assert refused(admin.create_topics([NewTopic(name, 4, 1)])) == KafkaError.TOPIC_ALREADY_EXISTS
    told = common.wait_until(lambda: ready(admin, name, 4), "the topic is described")
    assert told.name == name and uuid.UUID(int=0) != told.topic_id and not told.is_internal
    assert [(p.id, len(p.replicas), len(p.isr)) for p in told.partitions] == [(i, 1, 1) for i in range(4)]
    assert configs(admin, name)["retention.ms"] == "5000000"
    result(admin.delete_topics([name]))
    common.wait_until(lambda: name not in admin.list_topics(timeout=10).topics, "the topic is gone")
    assert refused(admin.delete_topics([name])) == KafkaError.UNKNOWN_TOPIC_OR_PART


def ready(admin, name, partitions):
    try:
        told = result(admin.describe_topics(TopicCollection([name])))
    except KafkaException as e:
        assert e.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        return None
    return told if len(told.partitions) == partitions else None


@pytest.mark.parametrize("new, code", [
    (dict(num_partitions=1, replication_factor=2), KafkaError.INVALID_REPLICATION_FACTOR),
    (dict(num_partitions=1, replication_factor=1, config={"nonsense": "1"}), KafkaError.INVALID_CONFIG),
    (dict(num_partitions=1, replication_factor=1, config={"min.insync.replicas": "0"}), KafkaError.INVALID_CONFIG),
    (dict(num_partitions=1, replica_assignment=[[77]]), KafkaError.INVALID_REPLICA_ASSIGNMENT),
])
def test_topics_that_cannot_be(admin, new, code):
    assert refused(admin.create_topics([NewTopic(common.unique("topic"), **new)])) == code


def test_validate_only(admin):
    name = common.unique("topic")
    result(admin.create_topics([NewTopic(name, 1, 1)], validate_only=True))
    assert name not in admin.list_topics(timeout=10).topics


def test_more_partitions(admin, topic):
    result(admin.create_partitions([NewPartitions(topic, 3)]))
    common.wait_until(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3, "three partitions")
    assert refused(admin.create_partitions([NewPartitions(topic, 2)])) == KafkaError.INVALID_PARTITIONS
    assert refused(admin.create_partitions([NewPartitions(common.unique("absent"), 2)])) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_configs_incremental_and_whole(admin, topic):
    def entry(name, value, op):
        return ConfigEntry(name, value, incremental_operation=op)

    result(admin.incremental_alter_configs([ConfigResource("topic", topic, incremental_configs=[
        entry("cleanup.policy", "compact", AlterConfigOpType.APPEND), entry("retention.ms", "77", AlterConfigOpType.SET)])]))
    common.wait_until(lambda: configs(admin, topic)["retention.ms"] == "77", "the change is seen")
    assert configs(admin, topic)["cleanup.policy"] == "delete,compact"
    result(admin.incremental_alter_configs([ConfigResource("topic", topic, incremental_configs=[entry("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)])]))
    common.wait_until(lambda: configs(admin, topic)["cleanup.policy"] == "compact", "the change is seen")
    result(admin.alter_configs([ConfigResource("topic", topic, set_config={"max.message.bytes": "999"})]))
    common.wait_until(lambda: configs(admin, topic)["max.message.bytes"] == "999", "the change is seen")
    assert (configs(admin, topic)["retention.ms"], configs(admin, topic)["cleanup.policy"]) == ("604800000", "delete"), "AlterConfigs resets what it does not name"
    assert refused(admin.alter_configs([ConfigResource("topic", topic, set_config={"max.message.bytes": "much"})])) == KafkaError.INVALID_CONFIG


def test_config_entries_tell_their_source(admin, topic):
    told = result(admin.describe_configs([ConfigResource("topic", topic)]))
    assert told["retention.ms"].is_default and not told["retention.ms"].is_read_only and not told["retention.ms"].is_sensitive
    node = str(admin.list_topics(timeout=10).controller_id)
    told = result(admin.describe_configs([ConfigResource("broker", node)]))
    assert told["node.id"].value == node and told["node.id"].is_read_only


@pytest.mark.topic(partitions=2)
def test_offsets_listed_by_spec(admin, topic):
    p = ck.producer()
    for stamp in (1_700_000_005_000, 1_700_000_009_000, 1_700_000_007_000):
        p.produce(topic, b"x", partition=0, timestamp=stamp)
        assert p.flush(common.PATIENCE_S) == 0

    def at(spec, partition=0):
        told = result(admin.list_offsets({TopicPartition(topic, partition): spec}))
        return told.offset, told.timestamp

    assert (at(OffsetSpec.earliest()), at(OffsetSpec.latest()), at(OffsetSpec.latest(), 1)) == ((0, -1), (3, -1), (0, -1))
    assert at(OffsetSpec.max_timestamp()) == (1, 1_700_000_009_000) and at(OffsetSpec.max_timestamp(), 1) == (-1, -1)
    assert at(OffsetSpec.for_timestamp(1_700_000_006_000)) == (1, 1_700_000_009_000)
    assert at(OffsetSpec.for_timestamp(1_700_000_009_001)) == (-1, -1)


def test_delete_records(admin, topic):
    ck.send_all(topic, ck.numbers(10))
    assert result(admin.delete_records([TopicPartition(topic, 0, 4)])).low_watermark == 4
    with ck.consumer() as c:
        assert c.get_watermark_offsets(TopicPartition(topic, 0)) == (4, 10)
        c.subscribe([topic])
        assert [m.offset() for m in ck.read(c, 6)] == list(range(4, 10))
    assert refused(admin.delete_records([TopicPartition(topic, 0, 11)])) == KafkaError.OFFSET_OUT_OF_RANGE


def listed(admin, **filters):
    told = admin.list_consumer_groups(**filters).result(common.PATIENCE_S)
    assert told.errors == []
    return {g.group_id: g.state for g in told.valid}


def test_groups(admin, topic, group):
    ck.send_all(topic, ck.numbers(10))
    with ck.consumer(group, client_id="the-reader") as c:
        c.subscribe([topic])
        ck.read(c, 10)
        told = result(admin.describe_consumer_groups([group], include_authorized_operations=True))
        assert (told.state, told.partition_assignor, told.is_simple_consumer_group, told.type) == (ConsumerGroupState.STABLE, "range", False, ConsumerGroupType.CLASSIC)
        assert [(m.client_id, [(t.topic, t.partition) for t in m.assignment.topic_partitions]) for m in told.members] == [("the-reader", [(topic, 0)])]
        assert told.authorized_operations
        assert listed(admin)[group] == ConsumerGroupState.STABLE
        assert group in listed(admin, states={ConsumerGroupState.STABLE}) and group not in listed(admin, states={ConsumerGroupState.EMPTY})
        assert group in listed(admin, types={ConsumerGroupType.CLASSIC}) and group not in listed(admin, types={ConsumerGroupType.CONSUMER})
        assert refused(admin.delete_consumer_groups([group])) == KafkaError.NON_EMPTY_GROUP
    told = result(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 6)])]))
    assert [(tp.offset, tp.error) for tp in told.topic_partitions] == [(6, None)]
    with ck.consumer(group) as c:
        c.subscribe([topic])
        assert [m.offset() for m in ck.read(c, 4)] == [6, 7, 8, 9]
    result(admin.delete_consumer_groups([group]))
    assert group not in listed(admin)
    assert refused(admin.delete_consumer_groups([group])) == KafkaError.GROUP_ID_NOT_FOUND


def test_describe_cluster(admin):
    told = admin.describe_cluster(include_authorized_operations=True).result(common.PATIENCE_S)
    assert told.cluster_id and told.controller.id == told.nodes[0].id and f"{told.nodes[0].host}:{told.nodes[0].port}" == common.BOOTSTRAP
    assert told.authorized_operations


def test_an_election_that_is_not_needed(admin, topic):
    told = admin.elect_leaders(ElectionType.PREFERRED, [TopicPartition(topic, 0)]).result(common.PATIENCE_S)
    assert [error.args[0].code() if isinstance(error, KafkaException) else error.code() for error in told.values()] == [KafkaError.ELECTION_NOT_NEEDED]

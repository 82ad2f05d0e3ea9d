package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.requests.DescribeLogDirsResponse;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The admin calls of release 2.8, which go out in older versions of the same requests. */
class OldAdminTest {
    private static Admin admin;

    @BeforeAll
    static void open() {
        admin = Kit.admin();
    }

    @AfterAll
    static void close() {
        admin.close();
    }

    @Test
    void topicsAreMadeGrownAndDeleted() {
        String name = Kit.topic("old", 2, "retention.ms", "3600000");
        TopicDescription described = Compat.describe(admin, name);
        assertEquals(2, described.partitions().size());
        assertEquals(1, described.partitions().get(1).isr().size());
        Kit.get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all());
        Kit.awaitServed(admin, name, 4);
        assertEquals(4, Compat.describe(admin, name).partitions().size());
        Kit.fails(InvalidPartitionsException.class, admin.createPartitions(Map.of(name, NewPartitions.increaseTo(1))).all());
        Kit.fails(TopicExistsException.class, create(new NewTopic(name, 1, (short) 1)));
        Kit.fails(InvalidTopicException.class, create(new NewTopic("a b", 1, (short) 1)));
        Kit.fails(InvalidPartitionsException.class, create(new NewTopic(Kit.unique("bad"), 0, (short) 1)));
        Kit.fails(InvalidReplicationFactorException.class, create(new NewTopic(Kit.unique("bad"), 1, (short) 9)));
        Kit.fails(InvalidConfigurationException.class, create(new NewTopic(Kit.unique("bad"), 1, (short) 1).configs(Map.of("x", "y"))));
        assertTrue(Kit.get(admin.listTopics().names()).contains(name));
        Kit.get(admin.deleteTopics(List.of(name)).all());
        Kit.await("the deletion", 10, () -> !Kit.get(admin.listTopics().names()).contains(name));
        Kit.fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(name)).all());
    }

    private static KafkaFuture<Void> create(NewTopic topic) {
        return admin.createTopics(List.of(topic)).all();
    }

    @Test
    @SuppressWarnings("deprecation")
    void configsAreReadAndChangedInBothWays() {
        String name = Kit.topic("old-config", 1, "retention.ms", "3600000");
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, name);
        assertEquals("3600000", describe(topic).get("retention.ms").value());
        assertEquals(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, describe(topic).get("retention.ms").source());
        Kit.get(admin.incrementalAlterConfigs(Map.of(topic, List.of(
                new AlterConfigOp(new ConfigEntry("segment.ms", "7200000"), OpType.SET)))).all());
        Kit.awaitEquals("7200000", 10, () -> describe(topic).get("segment.ms").value());
        assertEquals("3600000", describe(topic).get("retention.ms").value());
        // AlterConfigs, unlike its successor, replaces all that there was.
        Kit.get(admin.alterConfigs(Map.of(topic, new Config(List.of(new ConfigEntry("retention.bytes", "1000000"))))).all());
        Kit.awaitEquals("1000000", 10, () -> describe(topic).get("retention.bytes").value());
        assertEquals(ConfigEntry.ConfigSource.DEFAULT_CONFIG, describe(topic).get("segment.ms").source());
        assertEquals("604800000", describe(topic).get("retention.ms").value());
        Kit.fails(InvalidConfigurationException.class,
                admin.alterConfigs(Map.of(topic, new Config(List.of(new ConfigEntry("retention.bytes", "many"))))).all());
    }

    private static Config describe(ConfigResource resource) {
        return Kit.get(admin.describeConfigs(List.of(resource)).all()).get(resource);
    }

    @Test
    void groupsAreDescribedAndTheirOffsetsMoved() {
        String topic = Kit.topic("old-group", 2);
        String group = Kit.unique("old-group");
        Kit.fill(topic, 0, 10);
        TopicPartition tp = new TopicPartition(topic, 0);
        Kit.get(admin.alterConsumerGroupOffsets(group, Map.of(tp, new OffsetAndMetadata(4))).all());
        try (Member member = new Member(group, topic, "partition.assignment.strategy", RangeAssignor.class.getName())) {
            Member.awaitShares(List.of(member), Kit.partitions(topic, 2), 2);
            Kit.await("six records", 20, () -> member.records.size() >= 6);
            assertEquals(Kit.numbers(4, 10), Kit.values(member.records));
            ConsumerGroupDescription described = Kit.get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group));
            assertEquals(ConsumerGroupState.STABLE, described.state());
            assertEquals(member.assignment(), described.members().iterator().next().assignment().topicPartitions());
            assertTrue(Kit.get(admin.listConsumerGroups().valid()).stream().anyMatch(listing -> listing.groupId().equals(group)));
            Kit.fails(GroupNotEmptyException.class, admin.deleteConsumerGroups(List.of(group)).all());
        }
        assertEquals(10, Kit.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(tp).offset());
        Kit.get(admin.deleteConsumerGroupOffsets(group, Set.of(tp)).all());
        assertEquals(Map.of(), Kit.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()));
        Kit.fails(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of(Kit.unique("nobody"))).all());
    }

    @Test
    void recordsAreDeletedAndOffsetsListed() {
        String name = Kit.topic("old-records", 1);
        TopicPartition tp = new TopicPartition(name, 0);
        Kit.fill(name, 0, 50, 1_700_000_000_000L);
        assertEquals(20, Kit.get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(20))).lowWatermarks().get(tp)).lowWatermark());
        Kit.fails(OffsetOutOfRangeException.class, admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(51))).all());
        assertEquals(20, offset(tp, OffsetSpec.earliest()));
        assertEquals(50, offset(tp, OffsetSpec.latest()));
        assertEquals(30, offset(tp, OffsetSpec.forTimestamp(1_700_000_000_030L)));
        assertEquals(20, offset(tp, OffsetSpec.forTimestamp(0)));
    }

    private static long offset(TopicPartition tp, OffsetSpec spec) {
        return Kit.get(admin.listOffsets(Map.of(tp, spec)).partitionResult(tp)).offset();
    }

    @Test
    @SuppressWarnings("deprecation")
    void theClusterTellsNodesFeaturesAndLogDirectories() {
        DescribeClusterResult cluster = admin.describeCluster();
        Collection<org.apache.kafka.common.Node> nodes = Kit.get(cluster.nodes());
        assertEquals(1, nodes.size());
        int id = nodes.iterator().next().id();
        assertEquals(id, Kit.get(cluster.controller()).id());
        assertFalse(Kit.get(cluster.clusterId()).isEmpty());
        FeatureMetadata features = Kit.get(admin.describeFeatures().featureMetadata());
        assertTrue(features.finalizedFeatures().containsKey("metadata.version"), features.toString());

        String topic = Kit.topic("old-dirs", 1);
        Kit.fill(topic, 0, 10);
        TopicPartition tp = new TopicPartition(topic, 0);
        long size = 0;
        for (DescribeLogDirsResponse.LogDirInfo dir : Kit.get(admin.describeLogDirs(List.of(id)).all()).get(id).values()) {
            assertEquals(org.apache.kafka.common.protocol.Errors.NONE, dir.error);
            if (dir.replicaInfos.containsKey(tp)) {
                size += dir.replicaInfos.get(tp).size;
            }
        }
        assertTrue(size > 50 && size < 2000, "size " + size);
    }
}

package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.ReplicaInfo;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Admin on the cluster itself: nodes, features, the quorum, log directories, elections. */
class AdminClusterTest {
    private static Admin admin;

    @BeforeAll
    static void open() {
        admin = Kit.admin();
    }

    @AfterAll
    static void close() {
        admin.close();
    }

    private static Node node() {
        Collection<Node> nodes = Kit.get(admin.describeCluster().nodes());
        assertEquals(1, nodes.size());
        return nodes.iterator().next();
    }

    @Test
    void theClusterIsOneReachableNodeThatIsTheController() {
        DescribeClusterResult cluster = admin.describeCluster(new DescribeClusterOptions().includeFencedBrokers(true));
        Node node = Kit.get(cluster.nodes()).iterator().next();
        assertFalse(node.isFenced());
        assertFalse(node.hasRack());
        assertEquals(node.id(), Kit.get(cluster.controller()).id());
        assertEquals(Kit.BOOTSTRAP.substring(Kit.BOOTSTRAP.lastIndexOf(':') + 1), Integer.toString(node.port()));
        assertTrue(Kit.get(cluster.clusterId()).matches("[A-Za-z0-9_-]{22}"), Kit.get(cluster.clusterId()));
        assertNull(Kit.get(cluster.authorizedOperations()));
        assertTrue(Kit.get(admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true)).authorizedOperations()).size() >= 5);
    }

    @Test
    void featuresAreFinalizedWithinWhatIsSupported() {
        FeatureMetadata features = Kit.get(admin.describeFeatures().featureMetadata());
        assertTrue(features.finalizedFeatures().containsKey("metadata.version"), features.toString());
        assertTrue(features.finalizedFeaturesEpoch().isPresent());
        features.finalizedFeatures().forEach((name, finalized) -> {
            assertNotNull(features.supportedFeatures().get(name), name);
            assertTrue(finalized.maxVersionLevel() <= features.supportedFeatures().get(name).maxVersion(), name);
            assertTrue(finalized.maxVersionLevel() >= features.supportedFeatures().get(name).minVersion(), name);
        });
    }

    @Test
    void featureUpdatesThatCannotBeAreRefusedAndChangeNothing() {
        FeatureMetadata before = Kit.get(admin.describeFeatures().featureMetadata());
        short tooHigh = (short) (before.supportedFeatures().get("metadata.version").maxVersion() + 1);
        UpdateFeaturesOptions only = new UpdateFeaturesOptions().validateOnly(true);
        for (UpdateFeaturesOptions options : List.of(only, new UpdateFeaturesOptions())) {
            Kit.fails(InvalidUpdateVersionException.class, admin.updateFeatures(
                    Map.of("metadata.version", new FeatureUpdate(tooHigh, FeatureUpdate.UpgradeType.UPGRADE)), options).all());
            Kit.fails(InvalidUpdateVersionException.class, admin.updateFeatures(
                    Map.of("no.such.feature", new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE)), options).all());
        }
        short now = before.finalizedFeatures().get("metadata.version").maxVersionLevel();
        Kit.get(admin.updateFeatures(Map.of("metadata.version", new FeatureUpdate(now, FeatureUpdate.UpgradeType.UPGRADE)), only).all());
        FeatureMetadata after = Kit.get(admin.describeFeatures().featureMetadata());
        assertEquals(before.finalizedFeatures(), after.finalizedFeatures());
    }

    @Test
    void theQuorumIsOneVoterThatLeads() {
        QuorumInfo quorum = Kit.get(admin.describeMetadataQuorum().quorumInfo());
        assertEquals(node().id(), quorum.leaderId());
        assertTrue(quorum.leaderEpoch() >= 1);
        assertEquals(1, quorum.voters().size());
        assertEquals(node().id(), quorum.voters().get(0).replicaId());
        assertEquals(List.of(), quorum.observers());
        long before = quorum.voters().get(0).logEndOffset();
        assertTrue(quorum.highWatermark() <= before);
        Kit.topic("moves-the-metadata-log", 1);
        assertTrue(Kit.get(admin.describeMetadataQuorum().quorumInfo()).voters().get(0).logEndOffset() > before);
    }

    @Test
    void logDirectoriesTellSizesThatGrowWithWhatIsWritten() {
        String topic = Kit.topic("sizes", 2);
        TopicPartition tp = new TopicPartition(topic, 0);
        int id = node().id();
        assertEquals(0, replica(id, tp).size());
        try (KafkaProducer<byte[], byte[]> producer = Kit.bytesProducer()) {
            for (int i = 0; i < 10; i++) {
                Kit.get(producer.send(new ProducerRecord<>(topic, 0, null, new byte[50_000])));
            }
        }
        long size = replica(id, tp).size();
        assertTrue(size >= 500_000 && size < 600_000, "size " + size);
        assertEquals(0, replica(id, new TopicPartition(topic, 1)).size());
        assertEquals(0, replica(id, tp).offsetLag());
        assertFalse(replica(id, tp).isFuture());
        TopicPartitionReplica place = new TopicPartitionReplica(topic, 0, id);
        assertNotNull(Kit.get(admin.describeReplicaLogDirs(List.of(place)).all()).get(place).getCurrentReplicaLogDir());
        for (LogDirDescription dir : Kit.get(admin.describeLogDirs(List.of(id)).allDescriptions()).get(id).values()) {
            assertNull(dir.error());
            assertTrue(dir.totalBytes().getAsLong() >= dir.usableBytes().getAsLong());
            assertTrue(dir.usableBytes().getAsLong() > 0);
        }
    }

    @Test
    void theBrokersCodecIsTheTopicsWhereTheTopicSaysSo() {
        String plain = Kit.topic("plain", 1);
        String zipped = Kit.topic("zipped", 1, "compression.type", "gzip");
        try (KafkaProducer<byte[], byte[]> producer = Kit.bytesProducer("compression.type", "none")) {
            for (String topic : List.of(plain, zipped)) {
                Kit.get(producer.send(new ProducerRecord<>(topic, 0, null, new byte[500_000])));
            }
        }
        assertTrue(replica(node().id(), new TopicPartition(plain, 0)).size() > 500_000);
        long size = replica(node().id(), new TopicPartition(zipped, 0)).size();
        assertTrue(size > 0 && size < 10_000, "500,000 zeros took " + size + " bytes in a topic with gzip");
        assertEquals(500_000, Kit.readAll(zipped, 1).get(0).value().length);
    }

    private static ReplicaInfo replica(int node, TopicPartition tp) {
        Map<String, LogDirDescription> dirs = Kit.get(admin.describeLogDirs(List.of(node)).allDescriptions()).get(node);
        List<ReplicaInfo> found = dirs.values().stream().map(dir -> dir.replicaInfos().get(tp)).filter(info -> info != null).toList();
        assertEquals(1, found.size(), tp + " in " + dirs.keySet());
        return found.get(0);
    }

    @Test
    void electionsAreNotNeededWhereTheLeaderIsTheOnlyOne() {
        TopicPartition tp = new TopicPartition(Kit.topic("elect", 1), 0);
        TopicPartition missing = new TopicPartition(Kit.unique("missing"), 0);
        for (ElectionType type : ElectionType.values()) {
            Map<TopicPartition, Optional<Throwable>> results = Kit.get(admin.electLeaders(type, Set.of(tp, missing)).partitions());
            assertEquals(ElectionNotNeededException.class, results.get(tp).orElseThrow().getClass());
            assertEquals(UnknownTopicOrPartitionException.class, results.get(missing).orElseThrow().getClass());
        }
        Kit.get(admin.electLeaders(ElectionType.PREFERRED, null).partitions());
    }
}

package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DeletedRecords;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TopicListing;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Admin on topics, partitions, records and offsets. */
class AdminTopicsTest {
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
    void createTellsWhatItMadeAndDescribeAgrees() {
        String name = Kit.unique("created");
        CreateTopicsResult result = admin.createTopics(
                List.of(new NewTopic(name, 3, (short) 1).configs(Map.of("retention.ms", "3600000", "cleanup.policy", "compact,delete"))));
        Kit.get(result.all());
        assertEquals(3, Kit.get(result.numPartitions(name)));
        assertEquals(1, Kit.get(result.replicationFactor(name)));
        assertEquals("3600000", Kit.get(result.config(name)).get("retention.ms").value());
        Uuid id = Kit.get(result.topicId(name));
        assertNotEquals(Uuid.ZERO_UUID, id);
        Kit.awaitServed(admin, name, 3);

        TopicDescription byName = Compat.describe(admin, name);
        TopicDescription byId = Kit.get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).topicIdValues().get(id));
        int node = Kit.get(admin.describeCluster().nodes()).iterator().next().id();
        // By name the client asks DescribeTopicPartitions, by id Metadata.
        for (TopicDescription topic : List.of(byName, byId)) {
            assertEquals(name, topic.name());
            assertEquals(id, topic.topicId());
            assertFalse(topic.isInternal());
            assertEquals(3, topic.partitions().size());
            for (int p = 0; p < 3; p++) {
                TopicPartitionInfo partition = topic.partitions().get(p);
                assertEquals(p, partition.partition());
                assertEquals(node, partition.leader().id());
                assertEquals(List.of(node), partition.replicas().stream().map(n -> n.id()).toList());
                assertEquals(List.of(node), partition.isr().stream().map(n -> n.id()).toList());
            }
        }
        assertNull(byName.authorizedOperations());
        TopicDescription authorized = Kit.get(admin.describeTopics(List.of(name), new DescribeTopicsOptions().includeAuthorizedOperations(true))
                .topicNameValues().get(name));
        assertTrue(authorized.authorizedOperations().size() >= 7, "authorized: " + authorized.authorizedOperations());
    }

    @Test
    void manyTopicsAtOnceAndOneBadOneSpoilsNone() {
        List<NewTopic> topics = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            topics.add(new NewTopic(Kit.unique("many"), 2, (short) 1));
        }
        topics.add(new NewTopic("bad name", 1, (short) 1));
        Map<String, KafkaFuture<Void>> created = admin.createTopics(topics).values();
        Kit.fails(InvalidTopicException.class, created.get("bad name"));
        for (NewTopic topic : topics.subList(0, 20)) {
            Kit.get(created.get(topic.name()));
        }
        topics.subList(0, 20).forEach(topic -> Kit.awaitServed(admin, topic.name(), 2));
        Set<String> listed = Kit.get(admin.listTopics().names());
        topics.subList(0, 20).forEach(topic -> assertTrue(listed.contains(topic.name())));
        Kit.get(admin.deleteTopics(topics.subList(0, 20).stream().map(NewTopic::name).toList()).all());
        Kit.await("the topics' end", 10, () -> topics.stream().noneMatch(topic -> Kit.get(admin.listTopics().names()).contains(topic.name())));
    }

    @Test
    void defaultsAreTheBrokers() {
        String name = Kit.unique("defaults");
        CreateTopicsResult result = admin.createTopics(List.of(new NewTopic(name, Optional.empty(), Optional.empty())));
        Kit.get(result.all());
        String id = Kit.get(admin.describeCluster().controller()).idString();
        var broker = new org.apache.kafka.common.config.ConfigResource(org.apache.kafka.common.config.ConfigResource.Type.BROKER, id);
        var config = Kit.get(admin.describeConfigs(List.of(broker)).all()).get(broker);
        assertEquals(Integer.parseInt(config.get("num.partitions").value()), Kit.get(result.numPartitions(name)));
        assertEquals(Integer.parseInt(config.get("default.replication.factor").value()), Kit.get(result.replicationFactor(name)));
    }

    @Test
    void validateOnlyMakesNothing() {
        String name = Kit.unique("validated");
        CreateTopicsOptions only = new CreateTopicsOptions().validateOnly(true);
        CreateTopicsResult result = admin.createTopics(List.of(new NewTopic(name, 5, (short) 1)), only);
        assertEquals(5, Kit.get(result.numPartitions(name)));
        Kit.fails(InvalidPartitionsException.class, admin.createTopics(List.of(new NewTopic(name, 0, (short) 1)), only).all());
        assertFalse(Kit.get(admin.listTopics().names()).contains(name));
        Kit.fails(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of(name)).allTopicNames());
    }

    @Test
    void eachBadTopicGetsItsOwnError() {
        String there = Kit.topic("there", 1);
        Kit.fails(TopicExistsException.class, create(new NewTopic(there, 1, (short) 1)));
        Kit.fails(InvalidTopicException.class, create(new NewTopic("a/b", 1, (short) 1)));
        Kit.fails(InvalidTopicException.class, create(new NewTopic("..", 1, (short) 1)));
        Kit.fails(InvalidTopicException.class, create(new NewTopic("x".repeat(250), 1, (short) 1)));
        Kit.fails(InvalidPartitionsException.class, create(new NewTopic(Kit.unique("bad"), -2, (short) 1)));
        Kit.fails(InvalidReplicationFactorException.class, create(new NewTopic(Kit.unique("bad"), 1, (short) 3)));
        Kit.fails(InvalidReplicationFactorException.class, create(new NewTopic(Kit.unique("bad"), 1, (short) 0)));
        Kit.fails(InvalidConfigurationException.class, create(new NewTopic(Kit.unique("bad"), 1, (short) 1).configs(Map.of("retention.ms", "soon"))));
        Kit.fails(InvalidConfigurationException.class, create(new NewTopic(Kit.unique("bad"), 1, (short) 1).configs(Map.of("no.such.key", "1"))));
        Kit.fails(InvalidConfigurationException.class, create(new NewTopic(Kit.unique("bad"), 1, (short) 1).configs(Map.of("min.insync.replicas", "0"))));
        String dotted = Kit.unique("col") + ".lides";
        Kit.get(create(new NewTopic(dotted, 1, (short) 1)));
        Kit.fails(InvalidTopicException.class, create(new NewTopic(dotted.replace('.', '_'), 1, (short) 1)));
    }

    private static KafkaFuture<Void> create(NewTopic topic) {
        return admin.createTopics(List.of(topic)).all();
    }

    @Test
    void anAssignmentIsTakenOrRefused() {
        int node = Kit.get(admin.describeCluster().nodes()).iterator().next().id();
        String name = Kit.unique("assigned");
        Kit.get(create(new NewTopic(name, Map.of(0, List.of(node), 1, List.of(node)))));
        Kit.awaitServed(admin, name, 2);
        assertEquals(2, Compat.describe(admin, name).partitions().size());
        Kit.fails(InvalidReplicaAssignmentException.class, create(new NewTopic(Kit.unique("bad"), Map.of(0, List.of(node + 1000)))));
        Kit.fails(InvalidReplicaAssignmentException.class, create(new NewTopic(Kit.unique("bad"), Map.of(0, List.of(node, node)))));
        Kit.fails(InvalidReplicaAssignmentException.class, create(new NewTopic(Kit.unique("bad"), Map.of(1, List.of(node)))));
    }

    @Test
    void deletesByNameAndById() {
        String byName = Kit.topic("delete-name", 1);
        String byId = Kit.topic("delete-id", 1);
        Uuid id = Compat.describe(admin, byId).topicId();
        Kit.get(admin.deleteTopics(List.of(byName)).all());
        Kit.get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        Kit.await("the topics' end", 10, () -> {
            Set<String> names = Kit.get(admin.listTopics().names());
            return !names.contains(byName) && !names.contains(byId);
        });
        Kit.fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(byName)).all());
        Kit.fails(UnknownTopicIdException.class, admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        Kit.fails(UnknownTopicIdException.class, admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds());
        Kit.fails(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of(byName)).allTopicNames());
    }

    @Test
    void aTopicMadeAgainIsAnotherOneAndEmpty() {
        String name = Kit.topic("again", 2);
        Kit.fill(name, 0, 100);
        Uuid first = Compat.describe(admin, name).topicId();
        for (int round = 0; round < 3; round++) {
            Kit.get(admin.deleteTopics(List.of(name)).all());
            Kit.await("the deletion", 10, () -> !Kit.get(admin.listTopics().names()).contains(name));
            Kit.get(create(new NewTopic(name, 2, (short) 1)));
            Kit.awaitServed(admin, name, 2);
            assertNotEquals(first, Compat.describe(admin, name).topicId());
            assertEquals(0, offset(name, 0, OffsetSpec.latest()).offset());
            Kit.fill(name, 0, 5);
            List<ConsumerRecord<byte[], byte[]>> records = Kit.readAll(name, 2);
            assertEquals(5, records.size());
            assertEquals("0", new String(records.get(0).value()));
        }
    }

    @Test
    void partitionsAreAddedAndNeverTakenAway() {
        String name = Kit.topic("partitions", 2);
        Kit.get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(7)), new CreatePartitionsOptions().validateOnly(true)).all());
        assertEquals(2, Compat.describe(admin, name).partitions().size());
        Kit.get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all());
        Kit.awaitServed(admin, name, 5);
        assertEquals(5, Compat.describe(admin, name).partitions().size());
        Kit.fill(name, 4, 3);
        assertEquals(3, offset(name, 4, OffsetSpec.latest()).offset());
        Kit.fails(InvalidPartitionsException.class, grow(name, NewPartitions.increaseTo(5)));
        Kit.fails(InvalidPartitionsException.class, grow(name, NewPartitions.increaseTo(3)));
        Kit.fails(UnknownTopicOrPartitionException.class, grow(Kit.unique("missing"), NewPartitions.increaseTo(3)));
        int node = Kit.get(admin.describeCluster().nodes()).iterator().next().id();
        Kit.fails(InvalidReplicaAssignmentException.class, grow(name, NewPartitions.increaseTo(6, List.of(List.of(node + 1000)))));
        Kit.get(grow(name, NewPartitions.increaseTo(6, List.of(List.of(node)))));
        Kit.awaitServed(admin, name, 6);
        assertEquals(6, Compat.describe(admin, name).partitions().size());
    }

    private static KafkaFuture<Void> grow(String topic, NewPartitions partitions) {
        return admin.createPartitions(Map.of(topic, partitions)).all();
    }

    @Test
    void listsTopicsWithIdsAndHidesInternalOnes() {
        String name = Kit.topic("listed", 1);
        try (KafkaConsumer<String, String> consumer = Kit.consumer("group.id", Kit.unique("maker"))) {
            consumer.assign(Kit.partitions(name, 1));
            consumer.commitSync(Map.of(new TopicPartition(name, 0), new org.apache.kafka.clients.consumer.OffsetAndMetadata(0)));
        }
        Map<String, TopicListing> listed = Kit.get(admin.listTopics().namesToListings());
        assertEquals(Compat.describe(admin, name).topicId(), listed.get(name).topicId());
        assertFalse(listed.get(name).isInternal());
        assertFalse(listed.containsKey("__consumer_offsets"));
        TopicListing internal = Kit.get(admin.listTopics(new ListTopicsOptions().listInternal(true)).namesToListings()).get("__consumer_offsets");
        assertTrue(internal.isInternal());
        assertTrue(Compat.describe(admin, "__consumer_offsets").isInternal());
    }

    @Test
    void describesMoreTopicsThanOnePageHolds() {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < 7; i++) {
            names.add(Kit.topic("paged", 4));
        }
        Map<String, TopicDescription> described = Kit.get(
                admin.describeTopics(names, new DescribeTopicsOptions().partitionSizeLimitPerResponse(5)).allTopicNames());
        assertEquals(Set.copyOf(names), described.keySet());
        described.values().forEach(topic -> assertEquals(4, topic.partitions().size(), topic.name()));
    }

    @Test
    void deletedRecordsMoveTheLogsStart() {
        String name = Kit.topic("delete-records", 1);
        TopicPartition tp = new TopicPartition(name, 0);
        Kit.fill(name, 0, 100);
        assertEquals(37, delete(tp, 37).lowWatermark());
        assertEquals(37, offset(name, 0, OffsetSpec.earliest()).offset());
        assertEquals(37, delete(tp, 12).lowWatermark(), "the log's start went back");
        List<ConsumerRecord<byte[], byte[]>> records = Kit.readAll(name, 1);
        assertEquals(37, records.get(0).offset());
        assertEquals(63, records.size());
        Kit.fails(OffsetOutOfRangeException.class, admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(101))).all());
        assertEquals(100, delete(tp, -1).lowWatermark());
        assertEquals(100, offset(name, 0, OffsetSpec.latest()).offset());
        Kit.fill(name, 0, 1);
        assertEquals(100, Kit.readAll(name, 1).get(0).offset());
    }

    private static DeletedRecords delete(TopicPartition tp, long before) {
        return Kit.get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(before))).lowWatermarks().get(tp));
    }

    @Test
    void listsOffsetsOfEveryKind() {
        String name = Kit.topic("offsets", 2);
        long firstMs = 1_700_000_000_000L;
        Kit.fill(name, 0, 10, firstMs + 1000);
        Kit.fill(name, 0, 10, firstMs);
        assertOffset(0, -1, offset(name, 0, OffsetSpec.earliest()));
        assertOffset(20, -1, offset(name, 0, OffsetSpec.latest()));
        assertOffset(9, firstMs + 1009, offset(name, 0, OffsetSpec.maxTimestamp()));
        assertOffset(0, firstMs + 1000, offset(name, 0, OffsetSpec.forTimestamp(firstMs + 5)));
        assertOffset(3, firstMs + 1003, offset(name, 0, OffsetSpec.forTimestamp(firstMs + 1003)));
        assertOffset(-1, -1, offset(name, 0, OffsetSpec.forTimestamp(firstMs + 1010)));
        assertOffset(0, -1, offset(name, 0, OffsetSpec.earliestLocal()));
        assertOffset(-1, -1, offset(name, 0, OffsetSpec.latestTiered()));
        assertOffset(0, -1, offset(name, 1, OffsetSpec.latest()));
        assertOffset(-1, -1, offset(name, 1, OffsetSpec.maxTimestamp()));
        Map<TopicPartition, OffsetSpec> missing = new HashMap<>();
        missing.put(new TopicPartition(name, 7), OffsetSpec.latest());
        KafkaFuture<?> refused = admin.listOffsets(missing, new org.apache.kafka.clients.admin.ListOffsetsOptions().timeoutMs(3000)).all();
        assertTrue(Kit.failure(refused).toString().contains("Timeout"), "a partition that is not there: " + Kit.failure(refused));
    }

    private static void assertOffset(long offset, long timestampMs, ListOffsetsResultInfo info) {
        assertEquals(List.of(offset, timestampMs), List.of(info.offset(), info.timestamp()));
    }

    private static ListOffsetsResultInfo offset(String topic, int partition, OffsetSpec spec) {
        TopicPartition tp = new TopicPartition(topic, partition);
        return Kit.get(admin.listOffsets(Map.of(tp, spec)).partitionResult(tp));
    }

    @Test
    void tellsAnIdempotentProducersState() {
        String name = Kit.topic("producers", 1);
        TopicPartition tp = new TopicPartition(name, 0);
        assertEquals(List.of(), Kit.get(admin.describeProducers(List.of(tp)).partitionResult(tp)).activeProducers());
        Kit.fill(name, 0, 25);
        var producers = Kit.get(admin.describeProducers(List.of(tp)).partitionResult(tp)).activeProducers();
        assertEquals(1, producers.size());
        assertEquals(24, producers.get(0).lastSequence());
        assertEquals(0, producers.get(0).producerEpoch());
        assertTrue(producers.get(0).producerId() >= 0);
        assertTrue(Math.abs(System.currentTimeMillis() - producers.get(0).lastTimestamp()) < 60_000);
        assertTrue(producers.get(0).currentTransactionStartOffset().isEmpty());
        Kit.fill(name, 0, 5);
        assertEquals(Set.of(24, 4), Kit.get(admin.describeProducers(List.of(tp)).partitionResult(tp)).activeProducers().stream()
                .map(producer -> producer.lastSequence()).collect(Collectors.toSet()));
    }
}

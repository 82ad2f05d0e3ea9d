package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Admin on configurations, of topics and of the broker. */
class AdminConfigsTest {
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
    void aTopicTellsWhatItWasGivenAndWhatItInherits() {
        String topic = Kit.topic("described", 1, "retention.ms", "1234567", "cleanup.policy", "compact");
        Config config = describe(topic(topic));
        assertEntry(config, "retention.ms", "1234567", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        assertEntry(config, "cleanup.policy", "compact", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        assertEntry(config, "compression.type", "producer", ConfigSource.DEFAULT_CONFIG);
        assertEntry(config, "retention.bytes", "-1", ConfigSource.DEFAULT_CONFIG);
        assertEntry(config, "segment.bytes", "1073741824", ConfigSource.DEFAULT_CONFIG);
        assertEntry(config, "message.timestamp.type", "CreateTime", ConfigSource.DEFAULT_CONFIG);
        // Its source is the release's choice: Kafka 4.3 sets it for the whole cluster when it formats with ELR (KIP-966).
        assertEquals("1", config.get("min.insync.replicas").value());
        assertEntry(config, "unclean.leader.election.enable", "false", ConfigSource.DEFAULT_CONFIG);
        assertTrue(config.entries().size() >= 25, config.entries().size() + " entries");
        for (ConfigEntry entry : config.entries()) {
            assertFalse(entry.isReadOnly(), entry.name());
            assertFalse(entry.isSensitive(), entry.name());
            assertEquals(List.of(), entry.synonyms());
        }
        assertEquals(ConfigEntry.ConfigType.LONG, config.get("retention.ms").type());
        assertEquals(ConfigEntry.ConfigType.LIST, config.get("cleanup.policy").type());
    }

    @Test
    void synonymsAndDocumentationComeWhenAsked() {
        String topic = Kit.topic("synonyms", 1, "max.message.bytes", "54321");
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        Config config = Kit.get(admin.describeConfigs(List.of(topic(topic)), options).all()).get(topic(topic));
        List<String> synonyms = config.get("max.message.bytes").synonyms().stream()
                .map(synonym -> synonym.name() + "=" + synonym.value() + " " + synonym.source()).toList();
        assertEquals(
                List.of("max.message.bytes=54321 DYNAMIC_TOPIC_CONFIG", "message.max.bytes=1048588 DEFAULT_CONFIG"), synonyms);
        assertFalse(config.get("retention.ms").documentation().isBlank());
        assertNull(describe(topic(topic)).get("retention.ms").documentation());
    }

    @Test
    void setAppendSubtractAndDelete() {
        String name = Kit.topic("altered", 1);
        ConfigResource topic = topic(name);
        Kit.get(alter(topic, op("retention.ms", "5000000", OpType.SET), op("cleanup.policy", "compact", OpType.APPEND)));
        Kit.awaitEquals("5000000", 10, () -> describe(topic).get("retention.ms").value());
        assertEntry(describe(topic), "cleanup.policy", "delete,compact", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        Kit.get(alter(topic, op("cleanup.policy", "delete", OpType.SUBTRACT)));
        Kit.awaitEquals("compact", 10, () -> describe(topic).get("cleanup.policy").value());
        Kit.get(alter(topic, op("cleanup.policy", null, OpType.DELETE), op("retention.ms", null, OpType.DELETE)));
        Kit.awaitEquals("delete", 10, () -> describe(topic).get("cleanup.policy").value());
        assertEntry(describe(topic), "retention.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
        assertEntry(describe(topic), "cleanup.policy", "delete", ConfigSource.DEFAULT_CONFIG);
    }

    @Test
    void aChangeWorksAtOnceOnWhatIsProduced() {
        String name = Kit.topic("effect", 1);
        try (KafkaProducer<byte[], byte[]> producer = Kit.bytesProducer("enable.idempotence", false)) {
            Kit.get(producer.send(new ProducerRecord<>(name, 0, null, new byte[5000])));
            Kit.get(alter(topic(name), op("max.message.bytes", "1000", OpType.SET)));
            Kit.awaitEquals("1000", 10, () -> describe(topic(name)).get("max.message.bytes").value());
            Kit.fails(RecordTooLargeException.class, producer.send(new ProducerRecord<>(name, 0, null, new byte[5000])));
            Kit.get(alter(topic(name), op("max.message.bytes", null, OpType.DELETE)));
            Kit.awaitEquals(ConfigSource.DEFAULT_CONFIG, 10, () -> describe(topic(name)).get("max.message.bytes").source());
            assertEquals(1, Kit.get(producer.send(new ProducerRecord<>(name, 0, null, new byte[5000]))).offset());
        }
    }

    @Test
    void badChangesAreRefusedAndChangeNothing() {
        String name = Kit.topic("refused", 1, "retention.ms", "7000000");
        ConfigResource topic = topic(name);
        Kit.fails(InvalidConfigurationException.class, alter(topic, op("retention.ms", "never", OpType.SET)));
        Kit.fails(InvalidConfigurationException.class, alter(topic, op("no.such.key", "1", OpType.SET)));
        Kit.fails(InvalidConfigurationException.class, alter(topic, op("cleanup.policy", "burn", OpType.SET)));
        Kit.fails(InvalidConfigurationException.class, alter(topic, op("retention.ms", "8", OpType.APPEND)));
        Kit.fails(InvalidConfigurationException.class, alter(topic, op("segment.bytes", "1", OpType.SET), op("retention.ms", "9000000", OpType.SET)));
        Kit.fails(UnknownTopicOrPartitionException.class, alter(topic(Kit.unique("missing")), op("retention.ms", "1", OpType.SET)));
        Kit.fails(UnknownTopicOrPartitionException.class, admin.describeConfigs(List.of(topic(Kit.unique("missing")))).all());
        Kit.get(admin.incrementalAlterConfigs(
                Map.of(topic, List.of(op("retention.ms", "1", OpType.SET))), new AlterConfigsOptions().validateOnly(true)).all());
        Kit.fails(InvalidConfigurationException.class, admin.incrementalAlterConfigs(
                Map.of(topic, List.of(op("retention.ms", "x", OpType.SET))), new AlterConfigsOptions().validateOnly(true)).all());
        assertEntry(describe(topic), "retention.ms", "7000000", ConfigSource.DYNAMIC_TOPIC_CONFIG);
    }

    @Test
    void oneBadResourceDoesNotSpoilAnother() {
        ConfigResource good = topic(Kit.topic("good", 1));
        ConfigResource bad = topic(Kit.topic("bad", 1));
        Map<ConfigResource, KafkaFuture<Void>> results = admin.incrementalAlterConfigs(Map.of(
                good, List.of(op("retention.ms", "7000001", OpType.SET)), bad, List.of(op("retention.ms", "?", OpType.SET)))).values();
        Kit.fails(InvalidConfigurationException.class, results.get(bad));
        Kit.get(results.get(good));
        Kit.awaitEquals("7000001", 10, () -> describe(good).get("retention.ms").value());
    }

    @Test
    void theBrokerTellsItsConfiguration() {
        ConfigResource broker = broker();
        Config config = describe(broker);
        assertEquals(broker.name(), config.get("node.id").value());
        assertTrue(config.get("node.id").isReadOnly());
        assertNotNull(config.get("log.dirs").value());
        assertTrue(config.get("log.dirs").isReadOnly());
        assertEntry(config, "log.retention.hours", "168", ConfigSource.DEFAULT_CONFIG);
        assertEntry(config, "offset.metadata.max.bytes", "4096", ConfigSource.DEFAULT_CONFIG);
        assertFalse(config.get("log.retention.ms").isReadOnly());
        assertTrue(config.get("ssl.keystore.password").isSensitive());
        assertNull(config.get("ssl.keystore.password").value());
        Config two = Kit.get(admin.describeConfigs(List.of(broker)).all()).get(broker);
        assertEquals(config.entries().size(), two.entries().size());
        assertTrue(config.entries().size() > 100, config.entries().size() + " entries");
    }

    @Test
    void aClusterWideDefaultReachesTheTopicsThatHaveNoValueOfTheirOwn() {
        // log.index.interval.bytes: a key that changes nothing which another test could see.
        ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
        ConfigResource topic = topic(Kit.topic("inherits", 1));
        Kit.get(alter(all, op("log.index.interval.bytes", "5555", OpType.SET)));
        try {
            Kit.awaitEquals("5555", 10, () -> describe(topic).get("index.interval.bytes").value());
            assertEquals(ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, describe(topic).get("index.interval.bytes").source());
            assertEntry(describe(broker()), "log.index.interval.bytes", "5555", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
            assertEntry(describe(all), "log.index.interval.bytes", "5555", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
            Kit.get(alter(broker(), op("log.index.interval.bytes", "6666", OpType.SET)));
            Kit.awaitEquals("6666", 10, () -> describe(broker()).get("log.index.interval.bytes").value());
            assertEntry(describe(broker()), "log.index.interval.bytes", "6666", ConfigSource.DYNAMIC_BROKER_CONFIG);
        } finally {
            Kit.get(alter(broker(), op("log.index.interval.bytes", null, OpType.DELETE)));
            Kit.get(alter(all, op("log.index.interval.bytes", null, OpType.DELETE)));
        }
        Kit.awaitEquals("4096", 10, () -> describe(topic).get("index.interval.bytes").value());
    }

    @Test
    void whatTheBrokerReadsOnlyAtItsStartIsNotChangedWhileItRuns() {
        Kit.fails(InvalidRequestException.class, alter(broker(), op("log.dirs", "/elsewhere", OpType.SET)));
        Kit.fails(InvalidRequestException.class, alter(broker(), op("node.id", "77", OpType.SET)));
    }

    @Test
    void listsTheResourcesThatHaveAConfiguration() {
        String name = Kit.topic("resource", 1);
        Collection<ConfigResource> resources = Kit.get(
                admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER), new ListConfigResourcesOptions()).all());
        assertTrue(resources.contains(topic(name)), resources.toString());
        assertTrue(resources.contains(broker()), resources.toString());
        List<ConfigResource.Type> types = new ArrayList<>();
        resources.forEach(resource -> types.add(resource.type()));
        assertEquals(Set.of(ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER), Set.copyOf(types));
        Collection<ConfigResource> brokers = Kit.get(
                admin.listConfigResources(Set.of(ConfigResource.Type.BROKER), new ListConfigResourcesOptions()).all());
        assertEquals(List.of(broker()), List.copyOf(brokers));
    }

    private static ConfigResource topic(String name) {
        return new ConfigResource(ConfigResource.Type.TOPIC, name);
    }

    private static ConfigResource broker() {
        return new ConfigResource(ConfigResource.Type.BROKER, Kit.get(admin.describeCluster().nodes()).iterator().next().idString());
    }

    private static Config describe(ConfigResource resource) {
        return Kit.get(admin.describeConfigs(List.of(resource)).all()).get(resource);
    }

    private static AlterConfigOp op(String key, String value, OpType type) {
        return new AlterConfigOp(new ConfigEntry(key, value), type);
    }

    private static KafkaFuture<Void> alter(ConfigResource resource, AlterConfigOp... ops) {
        return admin.incrementalAlterConfigs(Map.of(resource, List.of(ops))).all();
    }

    private static void assertEntry(Config config, String key, String value, ConfigSource source) {
        ConfigEntry entry = config.get(key);
        assertNotNull(entry, key + " is not among the entries");
        assertEquals(value, entry.value(), key);
        assertEquals(source, entry.source(), key);
    }
}

package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidSessionTimeoutException;
import org.apache.kafka.common.errors.OffsetMetadataTooLarge;
import org.junit.jupiter.api.Test;

/** One consumer at a time: where it starts, how it seeks and waits, what it commits and finds again. */
class ConsumerTest {
    @Test
    void seeksAndReplaysTheSameRecords() {
        String topic = Kit.topic("seek", 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        Kit.fill(topic, 0, 500);
        try (KafkaConsumer<String, String> consumer = Kit.consumer()) {
            consumer.assign(List.of(tp));
            assertEquals(Kit.numbers(0, 500), Kit.values(Kit.read(consumer, 500)));
            assertEquals(500, consumer.position(tp));
            for (int from : new int[] {0, 1, 123, 498, 499}) {
                consumer.seek(tp, from);
                assertEquals(Kit.numbers(from, 500), Kit.values(Kit.read(consumer, 500 - from)), "from offset " + from);
            }
            consumer.seekToBeginning(List.of(tp));
            assertEquals(0, consumer.position(tp));
            consumer.seekToEnd(List.of(tp));
            assertEquals(500, consumer.position(tp));
            assertTrue(consumer.poll(Duration.ofMillis(300)).isEmpty());
            consumer.seek(tp, new OffsetAndMetadata(250, Optional.of(0), ""));
            assertEquals(Kit.numbers(250, 500), Kit.values(Kit.read(consumer, 250)));
        }
    }

    @Test
    void findsOffsetsByTimestampExactly() {
        String topic = Kit.topic("times", 2);
        TopicPartition tp = new TopicPartition(topic, 0);
        TopicPartition empty = new TopicPartition(topic, 1);
        long firstMs = System.currentTimeMillis() - 100_000;
        try (KafkaProducer<String, String> producer = Kit.producer("linger.ms", 5, "compression.type", "lz4")) {
            for (int i = 0; i < 200; i++) {
                producer.send(new ProducerRecord<>(topic, 0, firstMs + 10L * i, "k", Integer.toString(i)));
            }
            producer.flush();
        }
        try (KafkaConsumer<String, String> consumer = Kit.consumer()) {
            for (int i : new int[] {0, 1, 77, 198, 199}) {
                for (long before : new long[] {0, 1, 9}) {
                    OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(tp, firstMs + 10L * i - before)).get(tp);
                    assertEquals(i, found.offset(), "for the time " + before + " ms before record " + i);
                    assertEquals(firstMs + 10L * i, found.timestamp());
                    assertEquals(Optional.of(0), found.leaderEpoch());
                }
            }
            Map<TopicPartition, OffsetAndTimestamp> late = consumer.offsetsForTimes(Map.of(tp, firstMs + 1991, empty, 0L));
            assertNull(late.get(tp));
            assertNull(late.get(empty));
            assertEquals(Map.of(tp, 0L, empty, 0L), consumer.beginningOffsets(List.of(tp, empty)));
            assertEquals(Map.of(tp, 200L, empty, 0L), consumer.endOffsets(List.of(tp, empty)));
        }
    }

    @Test
    void neverHandsOutMoreThanMaxPollRecords() {
        String topic = Kit.topic("max-poll", 1);
        Kit.fill(topic, 0, 100);
        try (KafkaConsumer<String, String> consumer = Kit.consumer("max.poll.records", 7)) {
            consumer.assign(Kit.partitions(topic, 1));
            List<String> values = new ArrayList<>();
            Kit.await("100 records", 20, () -> {
                ConsumerRecords<String, String> polled = consumer.poll(Duration.ofMillis(100));
                assertTrue(polled.count() <= 7, polled.count() + " records in one poll");
                polled.forEach(record -> values.add(record.value()));
                return values.size() >= 100;
            });
            assertEquals(Kit.numbers(0, 100), values);
        }
    }

    @Test
    void waitsForFetchMinBytesUntilFetchMaxWait() {
        String topic = Kit.topic("min-bytes", 1);
        Kit.fill(topic, 0, 1);
        try (KafkaConsumer<String, String> consumer = Kit.consumer("fetch.min.bytes", 1_000_000, "fetch.max.wait.ms", 1500)) {
            consumer.assign(Kit.partitions(topic, 1));
            assertEquals(0, consumer.position(new TopicPartition(topic, 0)));
            long start = System.nanoTime();
            Kit.read(consumer, 1);
            long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            assertTrue(tookMs >= 1400, "a fetch short of fetch.min.bytes came back after " + tookMs + " ms");
        }
    }

    @Test
    void aWaitingFetchIsWokenByTheBytesItWaitsFor() {
        String topic = Kit.topic("woken", 1);
        ScheduledExecutorService later = Executors.newSingleThreadScheduledExecutor();
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.bytesConsumer("fetch.min.bytes", 10_000, "fetch.max.wait.ms", 14_000);
                KafkaProducer<byte[], byte[]> producer = Kit.bytesProducer()) {
            consumer.assign(Kit.partitions(topic, 1));
            assertTrue(consumer.poll(Duration.ofMillis(500)).isEmpty());
            for (int i = 0; i < 5; i++) {
                later.schedule(() -> producer.send(new ProducerRecord<>(topic, 0, null, new byte[3000])), 100 + 200L * i, TimeUnit.MILLISECONDS);
            }
            long start = System.nanoTime();
            assertTrue(Kit.read(consumer, 1).size() >= 4, "woken before 10,000 bytes were there");
            long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            assertTrue(tookMs < 8000, "woken only after " + tookMs + " ms");
            // A patient close would wait for the fetch that is still open.
            consumer.close(Duration.ZERO);
        } finally {
            later.shutdownNow();
        }
    }

    @Test
    void startsWhereAutoOffsetResetSays() {
        String topic = Kit.topic("reset", 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        Kit.fill(topic, 0, 10);
        try (KafkaConsumer<String, String> earliest = Kit.consumer("auto.offset.reset", "earliest");
                KafkaConsumer<String, String> latest = Kit.consumer("auto.offset.reset", "latest");
                KafkaConsumer<String, String> none = Kit.consumer("auto.offset.reset", "none", "group.id", Kit.unique("reset"))) {
            for (KafkaConsumer<String, String> consumer : List.of(earliest, latest, none)) {
                consumer.assign(List.of(tp));
            }
            assertEquals(10, Kit.read(earliest, 10).size());
            assertEquals(10, latest.position(tp));
            assertThrows(NoOffsetForPartitionException.class, () -> none.poll(Duration.ofSeconds(10)));

            none.seek(tp, 9_999);
            OffsetOutOfRangeException out = assertThrows(OffsetOutOfRangeException.class, () -> {
                for (int i = 0; i < 20; i++) {
                    none.poll(Duration.ofSeconds(1));
                }
            });
            assertEquals(Map.of(tp, 9_999L), out.offsetOutOfRangePartitions());

            earliest.seek(tp, 9_999);
            assertEquals(Kit.numbers(0, 10), Kit.values(Kit.read(earliest, 10)));
        }
    }

    @Test
    void automaticCommitsAreFoundAgainByTheNextConsumer() {
        String topic = Kit.topic("auto-commit", 1);
        String group = Kit.unique("auto-commit");
        TopicPartition tp = new TopicPartition(topic, 0);
        Kit.fill(topic, 0, 20);
        Object[] settings = {
            "group.id", group, "enable.auto.commit", true, "auto.commit.interval.ms", 100, "max.poll.records", 5
        };
        int firstRead;
        try (KafkaConsumer<String, String> consumer = Kit.consumer(settings);
                KafkaConsumer<String, String> observer = Kit.consumer("group.id", group)) {
            consumer.subscribe(List.of(topic));
            firstRead = Kit.read(consumer, 5).size();
            consumer.pause(consumer.assignment());
            long expected = firstRead;
            Kit.await("the timer's commit", 10, () -> {
                consumer.poll(Duration.ofMillis(50));
                OffsetAndMetadata committed = observer.committed(Set.of(tp)).get(tp);
                return committed != null && committed.offset() == expected;
            });
            consumer.resume(consumer.assignment());
            firstRead += Kit.read(consumer, 5).size();
        }
        // close() committed what the last poll handed out.
        try (KafkaConsumer<String, String> consumer = Kit.consumer(settings)) {
            consumer.subscribe(List.of(topic));
            assertEquals(Kit.numbers(firstRead, 20), Kit.values(Kit.read(consumer, 20 - firstRead)));
        }
    }

    @Test
    void manualCommitsKeepOffsetEpochAndMetadata() {
        String topic = Kit.topic("manual", 3);
        String group = Kit.unique("manual");
        List<TopicPartition> all = Kit.partitions(topic, 3);
        for (int p = 0; p < 3; p++) {
            Kit.fill(topic, p, 10);
        }
        try (KafkaConsumer<String, String> consumer = Kit.consumer("group.id", group)) {
            // Assigned, not subscribed: commits from outside a group's membership.
            consumer.assign(all);
            Kit.read(consumer, 30);
            consumer.commitSync(Map.of(
                    all.get(0), new OffsetAndMetadata(4, Optional.of(0), "half way, über"),
                    all.get(1), new OffsetAndMetadata(10)));
            AtomicReference<Object> told = new AtomicReference<>();
            consumer.commitAsync(Map.of(all.get(1), new OffsetAndMetadata(9, "later")), (offsets, error) -> told.set(error == null ? offsets : error));
            Kit.await("commitAsync's callback", 10, () -> {
                consumer.poll(Duration.ofMillis(50));
                return told.get() != null;
            });
            assertEquals(Map.of(all.get(1), new OffsetAndMetadata(9, "later")), told.get());
        }
        try (KafkaConsumer<String, String> consumer = Kit.consumer("group.id", group)) {
            Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(Set.copyOf(all));
            assertEquals(new OffsetAndMetadata(4, Optional.of(0), "half way, über"), committed.get(all.get(0)));
            assertEquals(new OffsetAndMetadata(9, "later"), committed.get(all.get(1)));
            assertNull(committed.get(all.get(2)));
            consumer.assign(all);
            assertEquals(4, consumer.position(all.get(0)));
            assertEquals(9, consumer.position(all.get(1)));
            assertEquals(0, consumer.position(all.get(2)));
            assertThrows(
                    OffsetMetadataTooLarge.class,
                    () -> consumer.commitSync(Map.of(all.get(0), new OffsetAndMetadata(5, "x".repeat(4097)))));
            assertEquals(4, consumer.committed(Set.of(all.get(0))).get(all.get(0)).offset());
        }
    }

    @Test
    void pausedPartitionsAreLeftOutUntilResumed() {
        String topic = Kit.topic("pause", 2);
        List<TopicPartition> all = Kit.partitions(topic, 2);
        Kit.fill(topic, 0, 50);
        Kit.fill(topic, 1, 50);
        try (KafkaConsumer<String, String> consumer = Kit.consumer()) {
            consumer.assign(all);
            consumer.pause(List.of(all.get(0)));
            for (ConsumerRecord<String, String> record : Kit.read(consumer, 50)) {
                assertEquals(1, record.partition());
            }
            assertTrue(consumer.poll(Duration.ofMillis(300)).isEmpty());
            assertEquals(0, consumer.position(all.get(0)));
            consumer.resume(List.of(all.get(0)));
            for (ConsumerRecord<String, String> record : Kit.read(consumer, 50)) {
                assertEquals(0, record.partition());
            }
        }
    }

    @Test
    void readCommittedSeesEverythingThatNoTransactionHolds() {
        String topic = Kit.topic("committed", 1);
        Kit.fill(topic, 0, 100);
        try (KafkaConsumer<String, String> consumer = Kit.consumer("isolation.level", "read_committed")) {
            consumer.assign(Kit.partitions(topic, 1));
            assertEquals(Kit.numbers(0, 100), Kit.values(Kit.read(consumer, 100)));
            assertEquals(100, consumer.endOffsets(Kit.partitions(topic, 1)).get(new TopicPartition(topic, 0)));
        }
    }

    @Test
    void aConsumerThatMayNotCreateTopicsDoesNot() {
        String topic = Kit.unique("missing");
        try (KafkaConsumer<String, String> consumer =
                Kit.consumer("allow.auto.create.topics", false, "group.id", Kit.unique("missing"))) {
            consumer.subscribe(List.of(topic));
            assertTrue(consumer.poll(Duration.ofSeconds(5)).isEmpty());
            List<PartitionInfo> partitions = consumer.partitionsFor(topic);
            assertTrue(partitions == null || partitions.isEmpty(), "partitions of a topic that nobody made: " + partitions);
            assertFalse(consumer.listTopics().containsKey(topic));
        }
    }

    @Test
    void aPatternPicksUpTopicsMadeLater() {
        String prefix = Kit.unique("pattern");
        String first = Kit.topic(prefix + "-a", 1);
        Kit.topic("x-" + prefix, 1);
        Kit.fill(first, 0, 3);
        try (KafkaConsumer<String, String> consumer =
                Kit.consumer("group.id", Kit.unique("pattern"), "metadata.max.age.ms", 500)) {
            consumer.subscribe(Pattern.compile(Pattern.quote(prefix) + ".*"));
            assertEquals(3, Kit.read(consumer, 3).size());
            consumer.commitSync();
            String second = Kit.topic(prefix + "-b", 2);
            Kit.fill(second, 1, 4);
            assertEquals(4, Kit.read(consumer, 4).size());
            Set<String> topics = new HashSet<>();
            consumer.assignment().forEach(tp -> topics.add(tp.topic()));
            assertEquals(Set.of(first, second), topics);
        }
    }

    @Test
    void readsManyPartitionsThroughSmallFetchesOnceEach() {
        int partitions = 12;
        int each = 150;
        String topic = Kit.topic("spread", partitions);
        byte[] value = new byte[2000];
        try (KafkaProducer<byte[], byte[]> producer = Kit.bytesProducer("linger.ms", 2, "batch.size", 10_000)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < partitions * each; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, i % partitions, null, value)));
            }
            sent.forEach(Kit::get);
        }
        try (KafkaConsumer<byte[], byte[]> consumer =
                Kit.bytesConsumer("fetch.max.bytes", 50_000, "max.partition.fetch.bytes", 15_000)) {
            consumer.assign(Kit.partitions(topic, partitions));
            Map<Integer, Long> next = new HashMap<>();
            for (ConsumerRecord<byte[], byte[]> record : Kit.read(consumer, partitions * each)) {
                assertEquals(next.getOrDefault(record.partition(), 0L), record.offset(), "partition " + record.partition());
                next.put(record.partition(), record.offset() + 1);
                assertEquals(value.length, record.value().length);
            }
            assertEquals(partitions, next.size());
            assertTrue(consumer.poll(Duration.ofMillis(300)).isEmpty(), "a record came twice");
        }
    }

    @Test
    void offsetsOfAssignedPartitionsAreKnownAsMetadataSays() {
        String topic = Kit.topic("info", 3);
        try (KafkaConsumer<String, String> consumer = Kit.consumer()) {
            List<PartitionInfo> partitions = consumer.partitionsFor(topic);
            assertEquals(3, partitions.size());
            Collection<Integer> ids = new HashSet<>();
            for (PartitionInfo partition : partitions) {
                ids.add(partition.partition());
                assertEquals(1, partition.replicas().length);
                assertEquals(partition.leader().id(), partition.replicas()[0].id());
                assertEquals(1, partition.inSyncReplicas().length);
                assertEquals(0, partition.offlineReplicas().length);
            }
            assertEquals(Set.of(0, 1, 2), ids);
            assertEquals(3, consumer.listTopics().get(topic).size());
        }
    }

    @Test
    void aSessionTimeoutBelowTheBrokersLeastIsRefused() {
        String topic = Kit.topic("session", 1);
        try (KafkaConsumer<String, String> consumer = Kit.consumer(
                "group.id", Kit.unique("session"), "session.timeout.ms", 300, "heartbeat.interval.ms", 100)) {
            consumer.subscribe(List.of(topic));
            assertThrows(InvalidSessionTimeoutException.class, () -> consumer.poll(Duration.ofSeconds(10)));
        }
    }
}

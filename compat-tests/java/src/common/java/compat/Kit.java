package compat;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.fail;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What every test of the course needs: clients with sensible settings, fresh names, and waiting with a bound.
 * Uses only what kafka-clients 2.8 and 4.3 both have. Never reuses a topic or group, so a run needs no clean broker.
 */
final class Kit {
    static final String BOOTSTRAP = bootstrap();
    static final long CALL_TIMEOUT_S = 20;

    private Kit() {}

    private static String bootstrap() {
        String given = System.getenv("OTTLA_BOOTSTRAP");
        return given == null || given.isEmpty() ? "127.0.0.1:9092" : given;
    }

    static String unique(String prefix) {
        return prefix + "-" + UUID.randomUUID().toString().substring(0, 13);
    }

    static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", BOOTSTRAP, "request.timeout.ms", "15000"));
    }

    /**
     * A fresh topic with one replica, whose partitions all serve. Apache Kafka answers CreateTopics before its broker
     * knows them, and an idempotent producer whose first batch meets such a partition may never get over the lost sequence.
     */
    static String topic(String prefix, int partitions, String... configPairs) {
        String name = unique(prefix);
        Map<String, String> configs = new HashMap<>();
        for (int i = 0; i < configPairs.length; i += 2) {
            configs.put(configPairs[i], configPairs[i + 1]);
        }
        try (Admin admin = admin()) {
            get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all());
            awaitServed(admin, name, partitions);
        }
        return name;
    }

    /** Waits until the broker that was asked knows the topic, and leads all of its partitions. */
    static void awaitServed(Admin admin, String topic, int partitions) {
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        partitions(topic, partitions).forEach(tp -> ends.put(tp, OffsetSpec.latest()));
        await(topic + " to be served", 20, () -> {
            try {
                return get(admin.listOffsets(ends).all()).size() == partitions;
            } catch (UnknownTopicOrPartitionException e) {
                return false;
            }
        });
    }

    static Map<String, Object> settings(Object... pairs) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", BOOTSTRAP);
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put((String) pairs[i], pairs[i + 1]);
        }
        return settings;
    }

    static KafkaProducer<String, String> producer(Object... pairs) {
        Map<String, Object> settings = settings("acks", "all", "delivery.timeout.ms", 30_000, "request.timeout.ms", 15_000);
        settings.putAll(settings(pairs));
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    static KafkaProducer<byte[], byte[]> bytesProducer(Object... pairs) {
        Map<String, Object> settings = settings("acks", "all", "delivery.timeout.ms", 30_000, "request.timeout.ms", 15_000);
        settings.putAll(settings(pairs));
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<String, String> consumer(Object... pairs) {
        Map<String, Object> settings = settings("auto.offset.reset", "earliest", "enable.auto.commit", false);
        settings.putAll(settings(pairs));
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static KafkaConsumer<byte[], byte[]> bytesConsumer(Object... pairs) {
        Map<String, Object> settings = settings("auto.offset.reset", "earliest", "enable.auto.commit", false);
        settings.putAll(settings(pairs));
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Sends values "0".."count-1" to one partition, one millisecond apart from {@code firstTimestampMs}. */
    static void fill(String topic, int partition, int count, long firstTimestampMs) {
        try (KafkaProducer<String, String> producer = producer("linger.ms", 5)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, partition, firstTimestampMs + i, "k" + i, Integer.toString(i))));
            }
            sent.forEach(Kit::get);
        }
    }

    static void fill(String topic, int partition, int count) {
        fill(topic, partition, count, System.currentTimeMillis());
    }

    static List<TopicPartition> partitions(String topic, int count) {
        List<TopicPartition> all = new ArrayList<>();
        for (int p = 0; p < count; p++) {
            all.add(new TopicPartition(topic, p));
        }
        return all;
    }

    /** Polls until {@code count} records came (fails after 20 s); more than that in the last poll is returned too. */
    static <K, V> List<ConsumerRecord<K, V>> read(Consumer<K, V> consumer, int count) {
        List<ConsumerRecord<K, V>> records = new ArrayList<>();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(CALL_TIMEOUT_S);
        while (records.size() < count) {
            if (System.nanoTime() > deadline) {
                fail("only " + records.size() + " of " + count + " records came");
            }
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    /** Every record of the topic up to the end offsets that hold now, read without a group. */
    static List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int partitions, Object... pairs) {
        try (KafkaConsumer<byte[], byte[]> consumer = bytesConsumer(pairs)) {
            List<TopicPartition> all = partitions(topic, partitions);
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            Map<TopicPartition, Long> begins = consumer.beginningOffsets(all);
            long total = all.stream().mapToLong(tp -> ends.get(tp) - begins.get(tp)).sum();
            return read(consumer, (int) total);
        }
    }

    static List<String> values(Collection<? extends ConsumerRecord<?, String>> records) {
        List<String> values = new ArrayList<>();
        records.forEach(record -> values.add(record.value()));
        return values;
    }

    static List<String> numbers(int fromInclusive, int toExclusive) {
        List<String> numbers = new ArrayList<>();
        for (int i = fromInclusive; i < toExclusive; i++) {
            numbers.add(Integer.toString(i));
        }
        return numbers;
    }

    static <T> T get(Future<T> future) {
        try {
            return future.get(CALL_TIMEOUT_S, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException) {
                throw (RuntimeException) e.getCause();
            }
            throw new AssertionError(e.getCause());
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    /** The future must fail with this very class (not a subclass, so that each error code is told apart). */
    static <E extends Throwable> E fails(Class<E> expected, Future<?> future) {
        E thrown = assertThrows(expected, () -> get(future));
        if (thrown.getClass() != expected) {
            fail("expected " + expected + " itself, got " + thrown);
        }
        return thrown;
    }

    /** What the future failed with; fails itself when the future does not. */
    static Throwable failure(Future<?> future) {
        return assertThrows(Throwable.class, () -> get(future));
    }

    static void await(String what, int seconds, BooleanSupplier condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                fail("not within " + seconds + " s: " + what);
            }
            sleepMs(50);
        }
    }

    /** Retries a reading that may still say the old thing right after a change. */
    static <T> void awaitEquals(T expected, int seconds, Supplier<T> reading) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        T last = reading.get();
        while (!expected.equals(last)) {
            if (System.nanoTime() > deadline) {
                fail("not within " + seconds + " s: expected " + expected + ", last was " + last);
            }
            sleepMs(50);
            last = reading.get();
        }
    }

    static void sleepMs(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            throw new AssertionError("interrupted: the test's time is over", e);
        }
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}

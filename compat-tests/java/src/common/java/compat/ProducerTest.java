package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.Utils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Producing: what callbacks tell, that what was sent is what is read, and which error a refused record gets. */
class ProducerTest {
    @Test
    void callbacksTellWhereEachRecordWentAndItIsThere() {
        String topic = Kit.topic("callbacks", 3);
        long firstMs = System.currentTimeMillis() - 10_000;
        List<RecordMetadata> told = Collections.synchronizedList(new ArrayList<>());
        List<Exception> errors = Collections.synchronizedList(new ArrayList<>());
        try (KafkaProducer<String, String> producer = Kit.producer("linger.ms", 10, "compression.type", "snappy")) {
            for (int i = 0; i < 300; i++) {
                List<Header> headers = List.of(
                        new RecordHeader("n", Kit.utf8(Integer.toString(i))),
                        new RecordHeader("n", Kit.utf8("again")),
                        new RecordHeader("nothing", null),
                        new RecordHeader("empty", new byte[0]));
                producer.send(
                        new ProducerRecord<>(topic, null, firstMs + i, "key-" + i % 17, "value-" + i, headers),
                        (metadata, error) -> {
                            if (error == null) {
                                told.add(metadata);
                            } else {
                                errors.add(error);
                            }
                        });
            }
            producer.flush();
        }
        assertEquals(List.of(), errors);
        assertEquals(300, told.size());

        Map<String, RecordMetadata> byPlace = new HashMap<>();
        told.forEach(metadata -> byPlace.put(metadata.partition() + ":" + metadata.offset(), metadata));
        assertEquals(300, byPlace.size(), "two records were told the same place");

        Map<Integer, Long> next = new HashMap<>();
        Map<String, Integer> partitionOfKey = new HashMap<>();
        boolean[] seen = new boolean[300];
        for (ConsumerRecord<byte[], byte[]> record : Kit.readAll(topic, 3)) {
            assertEquals(next.getOrDefault(record.partition(), 0L), record.offset());
            next.put(record.partition(), record.offset() + 1);
            RecordMetadata metadata = byPlace.get(record.partition() + ":" + record.offset());
            assertEquals(metadata.timestamp(), record.timestamp());
            assertEquals(TimestampType.CREATE_TIME, record.timestampType());
            assertEquals(Optional.of(0), record.leaderEpoch());
            int i = (int) (record.timestamp() - firstMs);
            assertFalse(seen[i], "record " + i + " came twice");
            seen[i] = true;
            assertArrayEquals(Kit.utf8("value-" + i), record.value());
            assertArrayEquals(Kit.utf8("key-" + i % 17), record.key());
            assertEquals(record.key().length, metadata.serializedKeySize());
            Header[] headers = record.headers().toArray();
            assertEquals(4, headers.length);
            assertArrayEquals(Kit.utf8(Integer.toString(i)), headers[0].value());
            assertArrayEquals(Kit.utf8("again"), headers[1].value());
            assertEquals("nothing", headers[2].key());
            assertNull(headers[2].value());
            assertArrayEquals(new byte[0], headers[3].value());
            int expected = Utils.toPositive(Utils.murmur2(record.key())) % 3;
            assertEquals(expected, record.partition(), "the default partitioner saw another partition count");
            partitionOfKey.put(new String(record.key()), record.partition());
        }
        assertEquals(17, partitionOfKey.size());
    }

    @Test
    void nullAndEmptyKeysAndValuesStayApart() {
        String topic = Kit.topic("nulls", 1);
        byte[][] bodies = {null, new byte[0], {7}};
        try (KafkaProducer<byte[], byte[]> producer = Kit.bytesProducer()) {
            for (byte[] key : bodies) {
                for (byte[] value : bodies) {
                    Kit.get(producer.send(new ProducerRecord<>(topic, 0, key, value)));
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = Kit.readAll(topic, 1);
        assertEquals(9, records.size());
        for (int i = 0; i < 9; i++) {
            assertArrayEquals(bodies[i / 3], records.get(i).key());
            assertArrayEquals(bodies[i % 3], records.get(i).value());
        }
    }

    @Test
    void acksNoneAndOneArriveTooAndNoneTellsNoOffset() {
        String topic = Kit.topic("acks", 1);
        try (KafkaProducer<String, String> none = Kit.producer("acks", "0", "enable.idempotence", false);
                KafkaProducer<String, String> one = Kit.producer("acks", "1", "enable.idempotence", false)) {
            RecordMetadata metadata = Kit.get(none.send(new ProducerRecord<>(topic, 0, null, "none")));
            assertFalse(metadata.hasOffset());
            try (org.apache.kafka.clients.consumer.KafkaConsumer<String, String> consumer = Kit.consumer()) {
                consumer.assign(Kit.partitions(topic, 1));
                assertEquals(List.of("none"), Kit.values(Kit.read(consumer, 1)));
                assertEquals(1, Kit.get(one.send(new ProducerRecord<>(topic, 0, null, "one"))).offset());
                assertEquals(List.of("one"), Kit.values(Kit.read(consumer, 1)));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "gzip", "snappy", "lz4", "zstd"})
    void everyCodecComesBackAsItWas(String codec) {
        String topic = Kit.topic("codec-" + codec, 2);
        try (KafkaProducer<String, String> producer =
                Kit.producer("compression.type", codec, "linger.ms", 20, "batch.size", 64 * 1024)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 1000; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, i % 2, "k", line(i))));
            }
            sent.forEach(Kit::get);
            for (int i = 0; i < 1000; i++) {
                assertEquals(i / 2, Kit.get(sent.get(i)).offset());
            }
        }
        for (ConsumerRecord<byte[], byte[]> record : Kit.readAll(topic, 2, "check.crcs", true)) {
            assertArrayEquals(Kit.utf8(line((int) record.offset() * 2 + record.partition())), record.value());
        }
    }

    private static String line(int i) {
        return "line " + i + " " + "the same words over and over ".repeat(i % 40);
    }

    @Test
    void codecsMixInOnePartition() {
        String topic = Kit.topic("mixed", 1);
        String[] codecs = {"zstd", "none", "lz4", "gzip", "snappy"};
        int next = 0;
        for (int round = 0; round < 2; round++) {
            for (String codec : codecs) {
                try (KafkaProducer<String, String> producer = Kit.producer("compression.type", codec, "linger.ms", 5)) {
                    List<Future<RecordMetadata>> sent = new ArrayList<>();
                    for (int i = 0; i < 50; i++) {
                        sent.add(producer.send(new ProducerRecord<>(topic, 0, null, Integer.toString(next++))));
                    }
                    sent.forEach(Kit::get);
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = Kit.readAll(topic, 1, "max.partition.fetch.bytes", 1500);
        assertEquals(next, records.size());
        for (int i = 0; i < next; i++) {
            assertEquals(i, records.get(i).offset());
            assertArrayEquals(Kit.utf8(Integer.toString(i)), records.get(i).value());
        }
    }

    @Test
    void idempotentProducersKeepOrderWithFiveRequestsInFlight() {
        String topic = Kit.topic("idempotent", 2);
        int each = 3000;
        Object[] settings = {
            "enable.idempotence", true, "max.in.flight.requests.per.connection", 5, "retries", 10, "batch.size", 400, "linger.ms", 0
        };
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> a = Kit.producer(settings);
                KafkaProducer<String, String> b = Kit.producer(settings)) {
            for (int i = 0; i < each; i++) {
                sent.add(a.send(new ProducerRecord<>(topic, i % 2, "a", Integer.toString(i))));
                sent.add(b.send(new ProducerRecord<>(topic, i % 2, "b", Integer.toString(i))));
            }
            sent.forEach(Kit::get);
        }
        Map<String, Integer> last = new HashMap<>();
        List<ConsumerRecord<byte[], byte[]>> records = Kit.readAll(topic, 2);
        assertEquals(2 * each, records.size());
        for (ConsumerRecord<byte[], byte[]> record : records) {
            String from = new String(record.key()) + record.partition();
            int value = Integer.parseInt(new String(record.value()));
            assertEquals(last.getOrDefault(from, record.partition() - 2) + 2, value, "out of order or lost, from " + from);
            last.put(from, value);
        }
    }

    @Test
    void aRecordOfSixMegabytesGoesThroughWhereTheTopicAllowsIt() {
        String topic = Kit.topic("large", 1, "max.message.bytes", "8000000");
        byte[] value = new byte[6_000_000];
        new Random(42).nextBytes(value);
        try (KafkaProducer<byte[], byte[]> producer =
                Kit.bytesProducer("max.request.size", 8_000_000, "buffer.memory", 32_000_000)) {
            for (int i = 0; i < 3; i++) {
                assertEquals(i, Kit.get(producer.send(new ProducerRecord<>(topic, 0, Kit.utf8("k" + i), value))).offset());
            }
        }
        // Far smaller limits than the record: the first batch is handed out whole all the same (KIP-74).
        List<ConsumerRecord<byte[], byte[]>> records =
                Kit.readAll(topic, 1, "max.partition.fetch.bytes", 1000, "fetch.max.bytes", 1000);
        assertEquals(3, records.size());
        for (ConsumerRecord<byte[], byte[]> record : records) {
            assertArrayEquals(value, record.value());
        }
    }

    @Test
    void aRecordOverTheTopicsLimitIsRefusedAndTheNextIsNot() {
        String topic = Kit.topic("too-large", 1, "max.message.bytes", "2000");
        for (boolean idempotent : new boolean[] {true, false}) {
            try (KafkaProducer<byte[], byte[]> producer = Kit.bytesProducer("enable.idempotence", idempotent)) {
                Kit.get(producer.send(new ProducerRecord<>(topic, 0, null, new byte[100])));
                Kit.fails(RecordTooLargeException.class, producer.send(new ProducerRecord<>(topic, 0, null, new byte[3000])));
                Kit.get(producer.send(new ProducerRecord<>(topic, 0, null, new byte[101])));
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = Kit.readAll(topic, 1);
        assertEquals(4, records.size());
        assertEquals(3, records.get(3).offset());
    }

    @Test
    void logAppendTimeIsTheBrokersAndToldBack() {
        String topic = Kit.topic("append-time", 1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        RecordMetadata metadata;
        try (KafkaProducer<String, String> producer = Kit.producer()) {
            metadata = Kit.get(producer.send(new ProducerRecord<>(topic, 0, 12_345L, "k", "v")));
        }
        long after = System.currentTimeMillis();
        assertTrue(metadata.timestamp() >= before && metadata.timestamp() <= after, "told " + metadata.timestamp());
        ConsumerRecord<byte[], byte[]> record = Kit.readAll(topic, 1).get(0);
        assertEquals(TimestampType.LOG_APPEND_TIME, record.timestampType());
        assertEquals(metadata.timestamp(), record.timestamp());
    }

    @Test
    void aTimestampOutsideTheTopicsWindowIsRefused() {
        String topic = Kit.topic("window", 1, "message.timestamp.before.max.ms", "60000", "message.timestamp.after.max.ms", "60000");
        long now = System.currentTimeMillis();
        try (KafkaProducer<String, String> producer = Kit.producer("enable.idempotence", false)) {
            Kit.fails(InvalidTimestampException.class, producer.send(new ProducerRecord<>(topic, 0, now + 600_000, "k", "late")));
            Kit.fails(InvalidTimestampException.class, producer.send(new ProducerRecord<>(topic, 0, now - 600_000, "k", "early")));
            assertEquals(0, Kit.get(producer.send(new ProducerRecord<>(topic, 0, now, "k", "fine"))).offset());
        }
    }

    @Test
    void aCompactedTopicRefusesARecordWithoutKey() {
        String topic = Kit.topic("compacted", 1, "cleanup.policy", "compact");
        try (KafkaProducer<String, String> producer = Kit.producer("enable.idempotence", false)) {
            Kit.fails(InvalidRecordException.class, producer.send(new ProducerRecord<>(topic, 0, null, "no key")));
            assertEquals(0, Kit.get(producer.send(new ProducerRecord<>(topic, 0, "key", "keyed"))).offset());
        }
        assertEquals(1, Kit.readAll(topic, 1).size());
    }

    @Test
    void producingCreatesATopicThatIsMissing() {
        String topic = Kit.unique("auto-created");
        try (KafkaProducer<String, String> producer = Kit.producer()) {
            RecordMetadata metadata = Kit.get(producer.send(new ProducerRecord<>(topic, "k", "v")));
            assertEquals(0, metadata.offset());
        }
        try (org.apache.kafka.clients.consumer.KafkaConsumer<String, String> consumer = Kit.consumer()) {
            assertEquals(topic, consumer.partitionsFor(topic).get(0).topic());
        }
    }

    @Test
    void aTopicNameThatIsNotAllowedIsRefused() {
        try (KafkaProducer<String, String> producer = Kit.producer("max.block.ms", 10_000)) {
            Kit.fails(InvalidTopicException.class, producer.send(new ProducerRecord<>("not a name!", "k", "v")));
        }
    }

    @Test
    void aProducerFindsPartitionsAddedWhileItRuns() {
        String topic = Kit.topic("grows", 1);
        try (KafkaProducer<String, String> producer = Kit.producer("metadata.max.age.ms", 300);
                org.apache.kafka.clients.admin.Admin admin = Kit.admin()) {
            Kit.get(producer.send(new ProducerRecord<>(topic, 0, "k", "v")));
            Kit.get(admin.createPartitions(Map.of(topic, org.apache.kafka.clients.admin.NewPartitions.increaseTo(3))).all());
            Kit.await("three partitions in the producer's metadata", 10, () -> producer.partitionsFor(topic).size() == 3);
            assertEquals(0, Kit.get(producer.send(new ProducerRecord<>(topic, 2, "k", "v"))).offset());
        }
    }
}

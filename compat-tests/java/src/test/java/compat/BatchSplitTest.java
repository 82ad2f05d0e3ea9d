package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.junit.jupiter.api.Test;

/** Not in the shared course: release 2.8 splits such a batch into one of the same size, for ever. */
class BatchSplitTest {
    @Test
    void aBatchOverTheLimitIsSplitByTheProducerAndArrives() {
        String topic = Kit.topic("split", 1, "max.message.bytes", "2000");
        try (KafkaProducer<byte[], byte[]> producer = Kit.bytesProducer("linger.ms", 200, "batch.size", 100_000)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, 0, Kit.utf8("k" + i), new byte[600])));
            }
            sent.forEach(Kit::get);
        }
        List<ConsumerRecord<byte[], byte[]>> records = Kit.readAll(topic, 1);
        assertEquals(20, records.size());
        for (int i = 0; i < 20; i++) {
            assertArrayEquals(Kit.utf8("k" + i), records.get(i).key());
        }
    }
}

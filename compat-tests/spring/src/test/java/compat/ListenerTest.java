package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.kafka.config.KafkaListenerEndpointRegistry;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.KafkaAdmin;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.MessageListener;
import org.springframework.kafka.listener.MessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.requestreply.RequestReplyFuture;
import org.springframework.kafka.support.KafkaHeaders;
import org.springframework.kafka.support.SendResult;

/** One application context for all: its listeners start together, so their groups' first rebalances wait together. */
@Timeout(60)
class ListenerTest {
    private static AnnotationConfigApplicationContext context;
    private static KafkaTemplate<String, String> template;
    private static Application.Listeners listeners;
    private static Map<String, Object> adminSettings;

    @BeforeAll
    @SuppressWarnings("unchecked")
    static void start() {
        context = new AnnotationConfigApplicationContext(Application.class);
        template = (KafkaTemplate<String, String>) context.getBean("template");
        listeners = context.getBean(Application.Listeners.class);
        adminSettings = context.getBean(KafkaAdmin.class).getConfigurationProperties();
        for (String id : List.of("orders", "acks", "batches", "failing", "dead", "requests", "replayed", "pattern", "restarted")) {
            awaitAssigned(id, 3);
        }
    }

    @AfterAll
    static void stop() {
        context.close();
    }

    private static MessageListenerContainer container(String id) {
        return context.getBean(KafkaListenerEndpointRegistry.class).getListenerContainer(id);
    }

    private static void awaitAssigned(String id, int partitions) {
        await(partitions + " partitions for " + id, () -> {
            var assigned = container(id).getAssignedPartitions();
            return assigned != null && assigned.size() == partitions;
        });
    }

    private static void await(String what, BooleanSupplier condition) {
        for (long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30); !condition.getAsBoolean(); ) {
            if (System.nanoTime() > deadline) {
                fail("not within 30 s: " + what);
            }
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }

    private static void send(String topic, String... values) throws Exception {
        for (int i = 0; i < values.length; i++) {
            template.send(Application.name(topic), i % 3, null, values[i]).get(20, TimeUnit.SECONDS);
        }
    }

    private static long committed(String group) {
        try (Admin admin = Admin.create(adminSettings)) {
            return admin.listConsumerGroupOffsets(Application.name(group)).partitionsToOffsetAndMetadata().get(20, TimeUnit.SECONDS)
                    .values().stream().mapToLong(offset -> offset.offset()).sum();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void topicsThatAreBeansWereMadeAsTheySay() {
        var topic = context.getBean(KafkaAdmin.class).describeTopics(Application.name("orders")).get(Application.name("orders"));
        assertEquals(3, topic.partitions().size());
        assertTrue(context.getBean(KafkaAdmin.class).clusterId().length() == 22);
    }

    @Test
    void threeListenerThreadsShareATopicAndSeeKeysAndHeaders() throws Exception {
        List<CompletableFuture<SendResult<String, String>>> sent = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            ProducerRecord<String, String> record = new ProducerRecord<>(Application.name("orders"), "customer-" + i % 30, "order-" + i);
            record.headers().add("source", ("shop-" + i % 4).getBytes(StandardCharsets.UTF_8));
            sent.add(template.send(record));
        }
        Map<String, String> places = new HashMap<>();
        for (int i = 0; i < 300; i++) {
            var metadata = sent.get(i).get(20, TimeUnit.SECONDS).getRecordMetadata();
            places.put("order-" + i, metadata.partition() + "/" + metadata.offset());
        }
        await("300 orders", () -> listeners.orders.size() >= 300);
        Set<String> threads = new HashSet<>();
        Set<String> values = new HashSet<>();
        Map<Integer, Long> next = new HashMap<>();
        for (Application.Listeners.Order order : listeners.orders) {
            int i = Integer.parseInt(order.value().substring("order-".length()));
            assertEquals("customer-" + i % 30, order.key());
            assertEquals("shop-" + i % 4, order.source());
            assertEquals(places.get(order.value()), order.partition() + "/" + order.offset());
            assertEquals(next.getOrDefault(order.partition(), 0L), order.offset());
            next.put(order.partition(), order.offset() + 1);
            threads.add(order.thread());
            values.add(order.value());
        }
        assertEquals(300, values.size());
        assertEquals(3, threads.size());
        await("the offsets' commit", () -> committed("orders") == 300);
    }

    @Test
    void whatIsNotAcknowledgedComesAgain() throws Exception {
        for (int i = 0; i < 10; i++) {
            template.send(Application.name("acks"), 0, null, "a" + i).get(20, TimeUnit.SECONDS);
        }
        await("eleven deliveries", () -> listeners.acknowledged.size() >= 11);
        assertEquals(List.of("a0", "a1", "a2", "a3", "a4", "a4", "a5", "a6", "a7", "a8", "a9"), listeners.acknowledged);
        await("the commit of what was acknowledged", () -> committed("acks") == 10);
    }

    @Test
    void batchesHoldNoMoreThanMaxPollRecords() throws Exception {
        List<CompletableFuture<?>> sent = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            sent.add(template.send(Application.name("batches"), i % 3, null, "value number " + i));
        }
        for (CompletableFuture<?> one : sent) {
            one.get(20, TimeUnit.SECONDS);
        }
        await("500 values", () -> listeners.batches.stream().mapToInt(List::size).sum() >= 500);
        assertTrue(listeners.batches.stream().allMatch(batch -> batch.size() <= 40));
        assertTrue(listeners.batches.size() < 100, listeners.batches.size() + " batches for 500 values");
        Set<String> values = new HashSet<>();
        listeners.batches.forEach(values::addAll);
        assertEquals(500, values.size());
    }

    @Test
    void whatFailsIsTriedAgainAndThenGoesToTheDeadLetters() throws Exception {
        send("failing", "good-1", "poison", "good-2", "good-3");
        await("six deliveries", () -> listeners.attempts.size() >= 6);
        await("the dead letter", () -> !listeners.dead.isEmpty());
        assertEquals(3, listeners.attempts.stream().filter("poison"::equals).count());
        for (String good : List.of("good-1", "good-2", "good-3")) {
            assertEquals(1, listeners.attempts.stream().filter(good::equals).count(), good);
        }
        ConsumerRecord<String, String> dead = listeners.dead.get(0);
        assertEquals("poison", dead.value());
        assertEquals(1, dead.partition());
        assertEquals(Application.name("failing"), text(dead, KafkaHeaders.DLT_ORIGINAL_TOPIC));
        assertTrue(text(dead, KafkaHeaders.DLT_EXCEPTION_MESSAGE).contains("cannot digest poison"));
        await("the commit past the poison", () -> committed("failing") == 4);
    }

    private static String text(ConsumerRecord<?, ?> record, String header) {
        return new String(record.headers().lastHeader(header).value(), StandardCharsets.UTF_8);
    }

    @Test
    @SuppressWarnings("unchecked")
    void requestsGetTheirReplies() throws Exception {
        ReplyingKafkaTemplate<String, String, String> replying = context.getBean(ReplyingKafkaTemplate.class);
        assertTrue(replying.waitForAssignment(java.time.Duration.ofSeconds(20)));
        List<RequestReplyFuture<String, String, String>> waiting = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            waiting.add(replying.sendAndReceive(new ProducerRecord<>(Application.name("requests"), "k" + i, "request " + i)));
        }
        for (int i = 0; i < 20; i++) {
            assertEquals("reply to request " + i, waiting.get(i).get(30, TimeUnit.SECONDS).value());
        }
    }

    @Test
    void aListenerSeeksBackToTheBeginning() throws Exception {
        Application.Replayed replayed = context.getBean(Application.Replayed.class);
        send("replayed", "r0", "r1", "r2", "r3", "r4", "r5");
        await("six values", () -> replayed.values.size() == 6);
        replayed.seekToBeginning();
        await("six values again", () -> replayed.values.size() == 12);
        assertEquals(Set.copyOf(replayed.values.subList(0, 6)), Set.copyOf(replayed.values.subList(6, 12)));
        assertEquals(6, Set.copyOf(replayed.values).size());
    }

    @Test
    void aPatternFindsTopicsMadeWhileItListens() throws Exception {
        send("pattern-a", "first");
        await("the first topic's value", () -> listeners.byPattern.contains(Application.name("pattern-a") + "=first"));
        try (Admin admin = Admin.create(adminSettings)) {
            admin.createTopics(List.of(new NewTopic(Application.name("pattern-b"), 2, (short) 1))).all().get(20, TimeUnit.SECONDS);
        }
        awaitAssigned("pattern", 5);
        template.send(Application.name("pattern-b"), 1, null, "second").get(20, TimeUnit.SECONDS);
        await("the second topic's value", () -> listeners.byPattern.contains(Application.name("pattern-b") + "=second"));
    }

    @Test
    void aStoppedListenerGoesOnWhereItWas() throws Exception {
        send("restarted", "one", "two", "three");
        await("three values", () -> listeners.restarted.size() == 3);
        container("restarted").stop();
        send("restarted", "four", "five");
        assertEquals(3, listeners.restarted.size());
        container("restarted").start();
        await("two more values", () -> listeners.restarted.size() >= 5);
        assertEquals(Set.of("one", "two", "three", "four", "five"), Set.copyOf(listeners.restarted));
        assertEquals(5, listeners.restarted.size());
    }

    @Test
    void containersOfOneGroupShareAndTakeOver() throws Exception {
        String topic = Application.name("shared");
        try (Admin admin = Admin.create(adminSettings)) {
            admin.createTopics(List.of(new NewTopic(topic, 4, (short) 1))).all().get(20, TimeUnit.SECONDS);
        }
        List<String> handled = new CopyOnWriteArrayList<>();
        ConcurrentMessageListenerContainer<String, String> first = shared(topic, handled);
        ConcurrentMessageListenerContainer<String, String> second = shared(topic, handled);
        try {
            first.start();
            await("all partitions", () -> first.getAssignedPartitions().size() == 4);
            second.start();
            await("two partitions each", () -> first.getAssignedPartitions().size() == 2 && second.getAssignedPartitions().size() == 2);
            Set<TopicPartition> union = new HashSet<>(first.getAssignedPartitions());
            union.addAll(second.getAssignedPartitions());
            assertEquals(4, union.size());
            for (int i = 0; i < 40; i++) {
                template.send(topic, i % 4, null, "v" + i).get(20, TimeUnit.SECONDS);
            }
            await("40 values", () -> handled.size() >= 40);
            first.stop();
            await("all partitions at the second", () -> second.getAssignedPartitions().size() == 4);
            for (int i = 40; i < 60; i++) {
                template.send(topic, i % 4, null, "v" + i).get(20, TimeUnit.SECONDS);
            }
            await("60 values", () -> handled.size() >= 60);
            assertEquals(60, Set.copyOf(handled).size());
            assertEquals(60, handled.size(), "a value came twice");
        } finally {
            first.stop();
            second.stop();
        }
    }

    private static ConcurrentMessageListenerContainer<String, String> shared(String topic, List<String> handled) {
        ContainerProperties properties = new ContainerProperties(topic);
        properties.setGroupId(Application.name("shared"));
        properties.setPollTimeout(200);
        properties.setMessageListener((MessageListener<String, String>) record -> handled.add(record.value()));
        Map<String, Object> settings = Application.consumerSettings();
        settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        return new ConcurrentMessageListenerContainer<>(new DefaultKafkaConsumerFactory<>(settings), properties);
    }

    @Test
    void rebalanceListenersWereToldOfEachGroup() {
        Application.Rebalances rebalances = context.getBean(Application.Rebalances.class);
        for (String group : List.of("orders", "acks", "batches", "failing", "requests")) {
            assertTrue(rebalances.assigned.get(Application.name(group)).get() >= 3, group + ": " + rebalances.assigned);
        }
    }
}

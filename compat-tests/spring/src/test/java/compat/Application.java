package compat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.annotation.EnableKafka;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.config.TopicBuilder;
import org.springframework.kafka.core.ConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaAdmin;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.listener.AbstractConsumerSeekAware;
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer;
import org.springframework.kafka.listener.ConsumerAwareRebalanceListener;
import org.springframework.kafka.listener.ContainerProperties.AckMode;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.support.Acknowledgment;
import org.springframework.kafka.support.KafkaHeaders;
import org.springframework.messaging.handler.annotation.Header;
import org.springframework.messaging.handler.annotation.Payload;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.util.backoff.FixedBackOff;

/** An application as people write them: topics as beans, a template, and listeners of each kind. */
@Configuration
@EnableKafka
public class Application {
    static final String BOOTSTRAP = System.getenv().getOrDefault("OTTLA_BOOTSTRAP", "127.0.0.1:9092");
    /** Part of every name, so that a run needs no clean broker. */
    public static final String RUN = UUID.randomUUID().toString().substring(0, 8);

    public static String name(String what) {
        return what + "-" + RUN;
    }

    @Bean
    KafkaAdmin admin() {
        KafkaAdmin admin = new KafkaAdmin(Map.of("bootstrap.servers", BOOTSTRAP));
        admin.setFatalIfBrokerNotAvailable(true);
        return admin;
    }

    @Bean
    KafkaAdmin.NewTopics topics() {
        List<NewTopic> topics = new ArrayList<>();
        for (String topic : List.of("orders", "acks", "batches", "failing", "failing-dlt", "requests", "replies", "replayed", "pattern-a", "restarted")) {
            topics.add(TopicBuilder.name(name(topic)).partitions(3).replicas(1).config("retention.ms", "3600000").build());
        }
        return new KafkaAdmin.NewTopics(topics.toArray(NewTopic[]::new));
    }

    @Bean
    ProducerFactory<String, String> producers() {
        return new DefaultKafkaProducerFactory<>(Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, BOOTSTRAP,
                ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4",
                ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class,
                ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class));
    }

    @Bean
    ConsumerFactory<String, String> consumers() {
        return new DefaultKafkaConsumerFactory<>(consumerSettings());
    }

    static Map<String, Object> consumerSettings() {
        return new HashMap<>(Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, BOOTSTRAP,
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.METADATA_MAX_AGE_CONFIG, 1000,
                ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 300,
                ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class,
                ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class));
    }

    @Bean
    KafkaTemplate<String, String> template() {
        return new KafkaTemplate<>(producers());
    }

    @Bean
    Rebalances rebalances() {
        return new Rebalances();
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> kafkaListenerContainerFactory() {
        return factory(AckMode.BATCH);
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> manual() {
        return factory(AckMode.MANUAL_IMMEDIATE);
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> batches() {
        ConcurrentKafkaListenerContainerFactory<String, String> factory = factory(AckMode.BATCH);
        factory.setBatchListener(true);
        return factory;
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> deadLetters() {
        ConcurrentKafkaListenerContainerFactory<String, String> factory = factory(AckMode.RECORD);
        DeadLetterPublishingRecoverer recoverer = new DeadLetterPublishingRecoverer(
                template(), (record, error) -> new TopicPartition(name("failing-dlt"), record.partition()));
        factory.setCommonErrorHandler(new DefaultErrorHandler(recoverer, new FixedBackOff(20, 2)));
        return factory;
    }

    private ConcurrentKafkaListenerContainerFactory<String, String> factory(AckMode mode) {
        ConcurrentKafkaListenerContainerFactory<String, String> factory = new ConcurrentKafkaListenerContainerFactory<>();
        factory.setConsumerFactory(consumers());
        factory.setReplyTemplate(template());
        factory.getContainerProperties().setAckMode(mode);
        factory.getContainerProperties().setConsumerRebalanceListener(rebalances());
        factory.getContainerProperties().setPollTimeout(200);
        return factory;
    }

    @Bean
    ReplyingKafkaTemplate<String, String, String> replying(ConcurrentKafkaListenerContainerFactory<String, String> kafkaListenerContainerFactory) {
        ConcurrentMessageListenerContainer<String, String> replies = kafkaListenerContainerFactory.createContainer(name("replies"));
        replies.getContainerProperties().setGroupId(name("replies"));
        ReplyingKafkaTemplate<String, String, String> template = new ReplyingKafkaTemplate<>(producers(), replies);
        template.setDefaultReplyTimeout(Duration.ofSeconds(30));
        return template;
    }

    @Bean
    Listeners listeners() {
        return new Listeners();
    }

    @Bean
    Replayed replayed() {
        return new Replayed();
    }

    /** Which partitions each group was given and lost, as its containers told. */
    static final class Rebalances implements ConsumerAwareRebalanceListener {
        final Map<String, AtomicInteger> assigned = new java.util.concurrent.ConcurrentHashMap<>();
        final AtomicInteger revoked = new AtomicInteger();

        @Override
        public void onPartitionsAssigned(Consumer<?, ?> consumer, Collection<TopicPartition> partitions) {
            assigned.computeIfAbsent(consumer.groupMetadata().groupId(), group -> new AtomicInteger()).addAndGet(partitions.size());
        }

        @Override
        public void onPartitionsRevokedBeforeCommit(Consumer<?, ?> consumer, Collection<TopicPartition> partitions) {
            revoked.addAndGet(partitions.size());
        }
    }

    static final class Listeners {
        record Order(String key, String value, String source, int partition, long offset, String thread) {}

        final List<Order> orders = new CopyOnWriteArrayList<>();
        final List<String> acknowledged = new CopyOnWriteArrayList<>();
        final List<List<String>> batches = new CopyOnWriteArrayList<>();
        final List<String> attempts = new CopyOnWriteArrayList<>();
        final List<ConsumerRecord<String, String>> dead = new CopyOnWriteArrayList<>();
        final List<String> byPattern = new CopyOnWriteArrayList<>();
        final List<String> restarted = new CopyOnWriteArrayList<>();

        @KafkaListener(id = "orders", idIsGroup = false, topics = "#{T(compat.Application).name('orders')}", groupId = "#{T(compat.Application).name('orders')}", concurrency = "3")
        void order(
                @Payload String value,
                @Header(KafkaHeaders.RECEIVED_KEY) String key,
                @Header("source") String source,
                @Header(KafkaHeaders.RECEIVED_PARTITION) int partition,
                @Header(KafkaHeaders.OFFSET) long offset) {
            orders.add(new Order(key, value, source, partition, offset, Thread.currentThread().getName()));
        }

        @KafkaListener(id = "acks", idIsGroup = false, topics = "#{T(compat.Application).name('acks')}", groupId = "#{T(compat.Application).name('acks')}", containerFactory = "manual")
        void acknowledge(String value, Acknowledgment acknowledgment) {
            acknowledged.add(value);
            // The fifth delivery is handed back once, and comes again.
            if (acknowledged.size() == 5) {
                acknowledgment.nack(Duration.ofMillis(50));
            } else {
                acknowledgment.acknowledge();
            }
        }

        @KafkaListener(id = "batches", idIsGroup = false, topics = "#{T(compat.Application).name('batches')}", groupId = "#{T(compat.Application).name('batches')}", containerFactory = "batches",
                properties = {"max.poll.records=40", "fetch.min.bytes=2000", "fetch.max.wait.ms=1000"})
        void batch(List<String> values) {
            batches.add(List.copyOf(values));
        }

        @KafkaListener(id = "failing", idIsGroup = false, topics = "#{T(compat.Application).name('failing')}", groupId = "#{T(compat.Application).name('failing')}", containerFactory = "deadLetters")
        void fail(String value) {
            attempts.add(value);
            if (value.startsWith("poison")) {
                throw new IllegalStateException("cannot digest " + value);
            }
        }

        @KafkaListener(id = "dead", idIsGroup = false, topics = "#{T(compat.Application).name('failing-dlt')}", groupId = "#{T(compat.Application).name('dead')}")
        void dead(ConsumerRecord<String, String> record) {
            dead.add(record);
        }

        @KafkaListener(id = "requests", idIsGroup = false, topics = "#{T(compat.Application).name('requests')}", groupId = "#{T(compat.Application).name('requests')}")
        @SendTo
        String reply(String request) {
            return "reply to " + request;
        }

        @KafkaListener(id = "pattern", idIsGroup = false, topicPattern = "#{'pattern-.*-' + T(compat.Application).RUN}", groupId = "#{T(compat.Application).name('pattern')}")
        void pattern(ConsumerRecord<String, String> record) {
            byPattern.add(record.topic() + "=" + record.value());
        }

        @KafkaListener(id = "restarted", idIsGroup = false, topics = "#{T(compat.Application).name('restarted')}", groupId = "#{T(compat.Application).name('restarted')}")
        void restarted(String value) {
            restarted.add(value);
        }
    }

    static final class Replayed extends AbstractConsumerSeekAware {
        final List<String> values = new CopyOnWriteArrayList<>();

        @KafkaListener(id = "replayed", idIsGroup = false, topics = "#{T(compat.Application).name('replayed')}", groupId = "#{T(compat.Application).name('replayed')}")
        void listen(String value) {
            values.add(value);
        }
    }
}

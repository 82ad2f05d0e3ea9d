package testcontainers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ServerSocket;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.Network;
import org.testcontainers.kafka.ConfluentKafkaContainer;
import org.testcontainers.kafka.KafkaContainer;
import org.testcontainers.utility.DockerImageName;

/** What clients reach is the address that the module gives, which is all that they are told. */
@Timeout(90)
@SuppressWarnings("deprecation")
class KafkaModulesTest {
  private static final Duration LIMIT = Duration.ofSeconds(20);

  @Test
  void apacheKafka() throws Exception {
    try (var kafka = new KafkaContainer(DockerImageName.parse("ottla:8.0.0").asCompatibleSubstituteFor("apache/kafka"))) {
      start(kafka);
      exchange(kafka.getBootstrapServers(), "apache");
    }
  }

  @Test
  void apacheKafkaNative() throws Exception {
    try (var kafka = new KafkaContainer(DockerImageName.parse("ottla:8.0.0").asCompatibleSubstituteFor("apache/kafka-native"))) {
      start(kafka);
      exchange(kafka.getBootstrapServers(), "apache-native");
    }
  }

  @Test
  void confluentKafka() throws Exception {
    try (var kafka = new ConfluentKafkaContainer(DockerImageName.parse("ottla:8.0.0").asCompatibleSubstituteFor("confluentinc/cp-kafka"))) {
      start(kafka);
      exchange(kafka.getBootstrapServers(), "confluent");
    }
  }

  @Test
  void theLegacyContainerWithZooKeeper() throws Exception {
    var image = DockerImageName.parse("ottla:8.0.0").asCompatibleSubstituteFor("confluentinc/cp-kafka");
    try (var kafka = new org.testcontainers.containers.KafkaContainer(image)) {
      start(kafka);
      exchange(kafka.getBootstrapServers(), "zookeeper");
      assertTrue(kafka.getLogs().contains("ZooKeeper is not needed"), kafka.getLogs());
    }
  }

  @Test
  void theLegacyContainerWithAnExternalZooKeeper() throws Exception {
    var image = DockerImageName.parse("ottla:8.0.0").asCompatibleSubstituteFor("confluentinc/cp-kafka");
    var legacy = new org.testcontainers.containers.KafkaContainer(image);
    try (var kafka = legacy.withExternalZookeeper("zookeeper:2181")) {
      start(kafka);
      exchange(kafka.getBootstrapServers(), "external");
    }
  }

  @Test
  void theLegacyContainerInKraftMode() throws Exception {
    String id = "MkU3OEVBNTcwNTJENDM2Qk";
    var image = DockerImageName.parse("ottla:8.0.0").asCompatibleSubstituteFor("confluentinc/cp-kafka");
    var legacy = new org.testcontainers.containers.KafkaContainer(image);
    try (var kafka = legacy.withKraft().withClusterId(id)) {
      start(kafka);
      exchange(kafka.getBootstrapServers(), "kraft");
      try (var admin = Admin.create(Map.of("bootstrap.servers", kafka.getBootstrapServers()))) {
        assertEquals(id, admin.describeCluster().clusterId().get(20, TimeUnit.SECONDS));
      }
    }
  }

  /** A further listener for the containers of a network, which find the broker by the name that its user gave. */
  @Test
  void aNeighbourReachesAListenerOfItsOwn() throws Exception {
    try (var network = Network.newNetwork();
        var kafka = new KafkaContainer(DockerImageName.parse("ottla:8.0.0").asCompatibleSubstituteFor("apache/kafka"))
            .withListener("broker:19092").withNetwork(network);
        var neighbour = new GenericContainer<>(DockerImageName.parse("ottla:8.0.0")).withNetwork(network)) {
      start(kafka);
      exchange(kafka.getBootstrapServers(), "inside");
      neighbour.withCommand("sleep", "60").start();
      var done = neighbour.execInContainer("/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "broker:19092", "--list");
      assertEquals(0, done.getExitCode(), done.getStderr());
      assertTrue(done.getStdout().lines().anyMatch("inside"::equals), done.getStdout());
    }
  }

  /** With a port that stays, because Docker gives a container that is started again another one. */
  @Test
  void aRestartKeepsRecords() throws Exception {
    int port;
    try (var taken = new ServerSocket(0)) {
      port = taken.getLocalPort();
    }
    try (var kafka = new KafkaContainer(DockerImageName.parse("ottla:8.0.0").asCompatibleSubstituteFor("apache/kafka"))) {
      kafka.setPortBindings(List.of(port + ":9092"));
      start(kafka);
      exchange(kafka.getBootstrapServers(), "kept");
      kafka.getDockerClient().restartContainerCmd(kafka.getContainerId()).exec();
      assertEquals(30, read(kafka.getBootstrapServers(), "kept", 30).size());
    }
  }

  /** The module's loop may run its script while that is still being copied ("Text file busy"), whatever the image: the module's own second attempt. */
  private static void start(GenericContainer<?> kafka) {
    kafka.withStartupTimeout(LIMIT).withStartupAttempts(3).start();
  }

  private static void exchange(String bootstrap, String topic) throws Exception {
    try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all().get(20, TimeUnit.SECONDS);
    }
    Set<String> sent = new HashSet<>();
    var serializer = new StringSerializer();
    try (var producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap, "acks", "all"), serializer, serializer)) {
      for (int number = 0; number < 30; number++) {
        sent.add("record " + number);
        producer.send(new ProducerRecord<>(topic, "key " + number, "record " + number)).get(20, TimeUnit.SECONDS);
      }
    }
    assertEquals(sent, read(bootstrap, topic, 30));
  }

  /** Reads in a group of its own, and commits. */
  private static Set<String> read(String bootstrap, String topic, int count) {
    var deserializer = new StringDeserializer();
    Map<String, Object> settings =
        Map.of("bootstrap.servers", bootstrap, "group.id", "readers-" + System.nanoTime(), "auto.offset.reset", "earliest");
    Set<String> values = new HashSet<>();
    try (var consumer = new KafkaConsumer<>(settings, deserializer, deserializer)) {
      consumer.subscribe(List.of(topic));
      long ends = System.nanoTime() + LIMIT.toNanos();
      while (values.size() < count && System.nanoTime() < ends) {
        consumer.poll(Duration.ofMillis(500)).forEach(record -> values.add(record.value()));
      }
      consumer.commitSync(LIMIT);
    }
    return values;
  }
}

package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InconsistentGroupProtocolException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Groups of several members under the classic protocol: they grow, shrink, fail, and lose no record on the way. */
@Execution(ExecutionMode.CONCURRENT)
class GroupTest {
    private static final String EAGER = RangeAssignor.class.getName();
    private static final String COOPERATIVE = CooperativeStickyAssignor.class.getName();

    @Test
    void anEagerGroupGrowsToIdleMembersAndShrinks() {
        String topic = Kit.topic("eager", 4);
        String group = Kit.unique("eager");
        List<TopicPartition> all = Kit.partitions(topic, 4);
        List<Member> members = new ArrayList<>();
        try {
            members.add(eager(group, topic));
            Member.awaitShares(members, all, 4);
            int generation = members.get(0).generation();
            members.add(eager(group, topic));
            Member.awaitShares(members, all, 2, 2);
            assertTrue(members.get(0).generation() > generation, "a member joined without a new generation");
            assertEquals(Set.copyOf(all), members.get(0).taken.get(0), "an eager rebalance takes everything away");
            for (int i = 2; i < 6; i++) {
                members.add(eager(group, topic));
            }
            Member.awaitShares(members, all, 0, 0, 1, 1, 1, 1);
            // Idle members too have joined once they have an id.
            Kit.awaitEquals(6L, 20, () -> members.stream().map(Member::memberId).filter(id -> !id.isEmpty()).distinct().count());
            Member.awaitShares(members, all, 0, 0, 1, 1, 1, 1);
            while (members.size() > 2) {
                members.remove(0).close();
            }
            Member.awaitShares(members, all, 2, 2);
        } finally {
            members.forEach(Member::close);
        }
        members.forEach(member -> assertEquals(null, member.failure()));
    }

    private static Member eager(String group, String topic) {
        return new Member(group, topic, "partition.assignment.strategy", EAGER);
    }

    @Test
    void aCooperativeGroupMovesOnlyWhatItMust() {
        String topic = Kit.topic("cooperative", 6);
        String group = Kit.unique("cooperative");
        List<TopicPartition> all = Kit.partitions(topic, 6);
        try (Member first = new Member(group, topic, "partition.assignment.strategy", COOPERATIVE)) {
            Member.awaitShares(List.of(first), all, 6);
            try (Member second = new Member(group, topic, "partition.assignment.strategy", COOPERATIVE)) {
                Member.awaitShares(List.of(first, second), all, 3, 3);
                Set<TopicPartition> taken = union(first.taken);
                assertEquals(3, taken.size(), "taken from the first member: " + first.taken);
                assertEquals(second.assignment(), taken);
                assertEquals(List.of(), List.copyOf(second.taken));
            }
            Member.awaitShares(List.of(first), all, 6);
            assertEquals(3, union(first.taken).size(), "the second member's leaving took partitions away from the first");
            assertEquals(List.of(), List.copyOf(first.lost));
        }
    }

    private static Set<TopicPartition> union(List<Set<TopicPartition>> sets) {
        Set<TopicPartition> union = new HashSet<>();
        List.copyOf(sets).forEach(union::addAll);
        return union;
    }

    @Test
    void nothingIsLostOrDoneTwiceWhileMembersComeAndGo() throws InterruptedException {
        String topic = Kit.topic("work", 4);
        String group = Kit.unique("work");
        int total = 4000;
        Thread source = new Thread(() -> {
            try (KafkaProducer<String, String> producer = Kit.producer("compression.type", "lz4")) {
                for (int i = 0; i < total; i++) {
                    producer.send(new ProducerRecord<>(topic, i % 4, "k", Integer.toString(i)));
                    if (i % 10 == 0) {
                        Kit.sleepMs(20);
                    }
                }
            }
        });
        List<Member> running = new ArrayList<>();
        List<Member> everyone = new ArrayList<>();
        source.start();
        try {
            for (int i = 0; i < 3; i++) {
                Member member = new Member(group, topic, "partition.assignment.strategy", COOPERATIVE);
                running.add(member);
                everyone.add(member);
                Kit.sleepMs(1500);
            }
            running.remove(0).close();
            Kit.sleepMs(1000);
            running.remove(0).close();
            source.join();
            Kit.await("all " + total + " records", 30, () -> everyone.stream().mapToInt(m -> m.records.size()).sum() >= total);
        } finally {
            running.forEach(Member::close);
        }
        List<String> values = new ArrayList<>();
        int busy = 0;
        for (Member member : everyone) {
            assertEquals(null, member.failure());
            busy += member.records.isEmpty() ? 0 : 1;
            values.addAll(Kit.values(member.records));
            Map<Integer, Long> last = new java.util.HashMap<>();
            for (ConsumerRecord<String, String> record : member.records) {
                assertTrue(record.offset() > last.getOrDefault(record.partition(), -1L), "a member went back");
                last.put(record.partition(), record.offset());
            }
        }
        assertEquals(total, values.size(), "handled more than once: " + repeated(values));
        assertEquals(Set.copyOf(Kit.numbers(0, total)), Set.copyOf(values));
        assertTrue(busy >= 2, "only " + busy + " members got records");
        try (KafkaConsumer<String, String> observer = Kit.consumer("group.id", group)) {
            Map<TopicPartition, OffsetAndMetadata> committed = observer.committed(Set.copyOf(Kit.partitions(topic, 4)));
            assertEquals(total, committed.values().stream().mapToLong(OffsetAndMetadata::offset).sum());
        }
    }

    private static Set<String> repeated(List<String> values) {
        Set<String> once = new HashSet<>();
        Set<String> repeated = new HashSet<>();
        values.forEach(value -> {
            if (!once.add(value)) {
                repeated.add(value);
            }
        });
        return repeated;
    }

    @Test
    void aStaticMemberComesBackWithoutARebalance() {
        String topic = Kit.topic("static", 4);
        String group = Kit.unique("static");
        List<TopicPartition> all = Kit.partitions(topic, 4);
        try (Member stays = fixed(group, topic, "one")) {
            Set<TopicPartition> share;
            int generation;
            String oldId;
            try (Member leaves = fixed(group, topic, "two")) {
                Member.awaitShares(List.of(stays, leaves), all, 2, 2);
                share = leaves.assignment();
                generation = leaves.generation();
                oldId = leaves.memberId();
                assertTrue(oldId.startsWith("two-"), oldId);
            }
            int rebalances = stays.given.size();
            Kit.sleepMs(1500);
            try (Member back = fixed(group, topic, "two")) {
                Member.awaitShares(List.of(stays, back), all, 2, 2);
                assertEquals(share, back.assignment());
                assertEquals(generation, back.generation());
                assertNotEquals(oldId, back.memberId());
                assertEquals(generation, stays.generation());
                assertEquals(rebalances, stays.given.size(), "the other member was rebalanced: " + stays.given);
            }
        }
    }

    @Test
    void aSecondMemberOfTheSameInstanceFencesTheFirst() {
        String topic = Kit.topic("fenced", 2);
        String group = Kit.unique("fenced");
        List<TopicPartition> all = Kit.partitions(topic, 2);
        try (Member old = fixed(group, topic, "same")) {
            Member.awaitShares(List.of(old), all, 2);
            try (Member young = fixed(group, topic, "same")) {
                Member.awaitShares(List.of(young), all, 2);
                Kit.await("the old member's end", 15, () -> old.failure() != null);
                assertInstanceOf(FencedInstanceIdException.class, old.failure());
                assertEquals(2, young.assignment().size());
            }
        }
    }

    private static Member fixed(String group, String topic, String instance) {
        return new Member(group, topic, "partition.assignment.strategy", EAGER, "group.instance.id", instance, "session.timeout.ms", 20_000);
    }

    @Test
    void aMemberThatStopsPollingIsReplacedAndMayNotCommit() {
        String topic = Kit.topic("stuck", 2);
        String group = Kit.unique("stuck");
        List<TopicPartition> all = Kit.partitions(topic, 2);
        Kit.fill(topic, 0, 10);
        Kit.fill(topic, 1, 10);
        try (KafkaConsumer<String, String> stuck = Kit.consumer(
                "group.id", group, "max.poll.interval.ms", 4000, "heartbeat.interval.ms", 300, "partition.assignment.strategy", EAGER)) {
            stuck.subscribe(List.of(topic));
            assertEquals(20, Kit.read(stuck, 20).size());
            try (Member other = eager(group, topic)) {
                Member.awaitShares(List.of(other), all, 2);
                Kit.await("the records again", 20, () -> other.records.size() == 20);
                assertThrows(CommitFailedException.class, stuck::commitSync);
            }
        }
    }

    @Test
    void membersThatShareNoAssignorAreNotMixed() {
        String topic = Kit.topic("inconsistent", 2);
        String group = Kit.unique("inconsistent");
        try (Member first = eager(group, topic);
                KafkaConsumer<String, String> other = Kit.consumer("group.id", group, "partition.assignment.strategy", RoundRobinAssignor.class.getName())) {
            Member.awaitShares(List.of(first), Kit.partitions(topic, 2), 2);
            other.subscribe(List.of(topic));
            assertThrows(InconsistentGroupProtocolException.class, () -> other.poll(Duration.ofSeconds(10)));
            assertEquals(2, first.assignment().size());
        }
    }

    @Test
    void theGroupTakesTheAssignorThatAllMembersKnow() {
        String topic = Kit.topic("choice", 3);
        String group = Kit.unique("choice");
        List<TopicPartition> all = Kit.partitions(topic, 3);
        String both = RoundRobinAssignor.class.getName() + "," + EAGER;
        try (Member first = new Member(group, topic, "partition.assignment.strategy", both)) {
            Member.awaitShares(List.of(first), all, 3);
            assertEquals("roundrobin", Compat.groupAssignor(group));
            try (Member second = eager(group, topic)) {
                Member.awaitShares(List.of(first, second), all, 1, 2);
                assertEquals("range", Compat.groupAssignor(group));
            }
        }
    }

    @Test
    void aMemberAsksForARebalanceAndGetsOne() {
        String topic = Kit.topic("enforced", 2);
        String group = Kit.unique("enforced");
        try (KafkaConsumer<String, String> consumer = Kit.consumer("group.id", group, "heartbeat.interval.ms", 300)) {
            consumer.subscribe(List.of(topic));
            Kit.await("an assignment", 20, () -> {
                consumer.poll(Duration.ofMillis(100));
                return consumer.assignment().size() == 2;
            });
            int generation = consumer.groupMetadata().generationId();
            consumer.enforceRebalance();
            Kit.await("a new generation", 20, () -> {
                consumer.poll(Duration.ofMillis(100));
                return consumer.groupMetadata().generationId() == generation + 1;
            });
            assertEquals(2, consumer.assignment().size());
        }
    }

    @Test
    void partitionsAddedToATopicAreSharedOut() {
        String topic = Kit.topic("added", 2);
        String group = Kit.unique("added");
        Object[] settings = {"partition.assignment.strategy", EAGER, "metadata.max.age.ms", 500};
        try (Member first = new Member(group, topic, settings);
                Member second = new Member(group, topic, settings);
                org.apache.kafka.clients.admin.Admin admin = Kit.admin()) {
            Member.awaitShares(List.of(first, second), Kit.partitions(topic, 2), 1, 1);
            Kit.get(admin.createPartitions(Map.of(topic, org.apache.kafka.clients.admin.NewPartitions.increaseTo(6))).all());
            Member.awaitShares(List.of(first, second), Kit.partitions(topic, 6), 3, 3);
        }
    }
}

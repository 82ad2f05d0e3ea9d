package compat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * One member of a group on a thread of its own, as an application runs it: polls, commits what it has handled on each
 * poll and before partitions are taken away, and keeps a diary of its rebalances.
 */
final class Member implements AutoCloseable {
    private final KafkaConsumer<String, String> consumer;
    private final Thread thread;
    private volatile boolean stopping;
    private volatile Set<TopicPartition> assignment = Set.of();
    private volatile int generation = -1;
    private volatile String memberId = "";
    private volatile Throwable failure;
    private final Map<TopicPartition, Long> handled = new HashMap<>();
    final List<ConsumerRecord<String, String>> records = Collections.synchronizedList(new ArrayList<>());
    final List<Set<TopicPartition>> given = Collections.synchronizedList(new ArrayList<>());
    final List<Set<TopicPartition>> taken = Collections.synchronizedList(new ArrayList<>());
    final List<Set<TopicPartition>> lost = Collections.synchronizedList(new ArrayList<>());

    Member(String group, String topic, Object... pairs) {
        Object[] settings = new Object[pairs.length + 6];
        System.arraycopy(new Object[] {"group.id", group, "heartbeat.interval.ms", 300, "max.poll.records", 50}, 0, settings, 0, 6);
        System.arraycopy(pairs, 0, settings, 6, pairs.length);
        consumer = Kit.consumer(settings);
        thread = new Thread(() -> run(topic), "member of " + group);
        thread.start();
    }

    private void run(String topic) {
        try {
            consumer.subscribe(List.of(topic), new Diary());
            while (!stopping) {
                boolean any = false;
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    records.add(record);
                    handled.put(new TopicPartition(record.topic(), record.partition()), record.offset() + 1);
                    any = true;
                }
                if (any) {
                    commit(consumer.assignment());
                }
                memberId = consumer.groupMetadata().memberId();
                generation = consumer.groupMetadata().generationId();
                assignment = Set.copyOf(consumer.assignment());
            }
        } catch (Throwable e) {
            failure = e;
        } finally {
            assignment = Set.of();
            try {
                consumer.close();
            } catch (RuntimeException e) {
                failure = failure == null ? e : failure;
            }
        }
    }

    private void commit(Collection<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition tp : partitions) {
            if (handled.containsKey(tp)) {
                offsets.put(tp, new OffsetAndMetadata(handled.get(tp)));
            }
        }
        try {
            consumer.commitSync(offsets);
        } catch (org.apache.kafka.common.errors.RebalanceInProgressException e) {
            // A rebalance has begun; the next poll completes it, and onPartitionsRevoked commits what is taken away.
        }
    }

    Set<TopicPartition> assignment() {
        if (failure != null) {
            throw new AssertionError("a member died", failure);
        }
        return assignment;
    }

    int generation() {
        return generation;
    }

    String memberId() {
        return memberId;
    }

    Throwable failure() {
        return failure;
    }

    /** Stops polling and closes the consumer, which leaves the group (a static member stays in it). */
    @Override
    public void close() {
        stopping = true;
        try {
            thread.join(20_000);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        if (thread.isAlive()) {
            throw new AssertionError("a member did not stop");
        }
    }

    /** Waits until the members' assignments are disjoint, cover {@code partitions}, and have these sizes (sorted). */
    static void awaitShares(List<Member> members, Collection<TopicPartition> partitions, Integer... sortedSizes) {
        Kit.await("shares " + List.of(sortedSizes) + " of " + partitions, 30, () -> {
            List<Integer> sizes = new ArrayList<>();
            Set<TopicPartition> union = new HashSet<>();
            for (Member member : members) {
                Set<TopicPartition> share = member.assignment();
                sizes.add(share.size());
                union.addAll(share);
            }
            Collections.sort(sizes);
            return sizes.equals(List.of(sortedSizes))
                    && union.equals(new HashSet<>(partitions))
                    && union.size() == sizes.stream().mapToInt(Integer::intValue).sum();
        });
    }

    private final class Diary implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            given.add(Set.copyOf(partitions));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            taken.add(Set.copyOf(partitions));
            commit(partitions);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            lost.add(Set.copyOf(partitions));
        }
    }
}

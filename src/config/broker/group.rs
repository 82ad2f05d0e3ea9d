//! Keys of the group, share and transaction coordinators. Names, types, presets, bounds and scopes are those of Kafka 4.3. Holds rows only.

use crate::config::key::row::*;
use crate::config::key::{ConfigKey, keys};

pub(super) const GROUP: &[ConfigKey] = keys! {
    "add.partitions.to.txn.retry.backoff.max.ms", Int, Is("100"), AtLeast(0.0), High, ReadOnly, Moot:
        "The longest pause before a partition is added to a transaction again.";
    "add.partitions.to.txn.retry.backoff.ms", Int, Is("20"), AtLeast(1.0), High, ReadOnly, Moot:
        "Pause before a partition is added to a transaction again.";
    "group.consumer.assignment.interval.ms", Int, Is("1000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "The least time between two assignments of a consumer group.";
    "group.consumer.assignors", List, Is("uniform,range"), FULL_LIST, Medium, ReadOnly, Missing:
        "The assignors of consumer groups (KIP-848), the preferred one first.";
    "group.consumer.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a consumer group sends a heartbeat.";
    "group.consumer.max.assignment.interval.ms", Int, Is("15000"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "The least time between two assignments of a consumer group. The most that a group may set.";
    "group.consumer.max.heartbeat.interval.ms", Int, Is("15000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a consumer group sends a heartbeat. The most that a group may set.";
    "group.consumer.max.session.timeout.ms", Int, Is("60000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a consumer group that is silent for this long is removed. The most that a group may set.";
    "group.consumer.max.size", Int, Is("2147483647"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "The most members of a consumer group.";
    "group.consumer.migration.policy", String, Is("bidirectional"), OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), Medium, ReadOnly, Missing:
        "Whether groups may move between the classic and the consumer protocol.";
    "group.consumer.min.assignment.interval.ms", Int, Is("0"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "The least time between two assignments of a consumer group. The least that a group may set.";
    "group.consumer.min.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a consumer group sends a heartbeat. The least that a group may set.";
    "group.consumer.min.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a consumer group that is silent for this long is removed. The least that a group may set.";
    "group.consumer.regex.refresh.interval.ms", Int, Is("600000"), AtLeast(10_000.0), Medium, ReadOnly, Missing internal:
        "How often topic patterns of consumer groups are matched again.";
    "group.consumer.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a consumer group that is silent for this long is removed.";
    "group.coordinator.append.linger.ms", Int, Is("-1"), AtLeast(-1.0), Medium, ReadOnly, Moot:
        "How long the coordinator gathers records before it writes them; -1 adapts to the load.";
    "group.coordinator.background.threads", Int, Is("2"), AtLeast(1.0), High, ReadOnly, Moot:
        "Threads for the group coordinator's slow work.";
    "group.coordinator.cached.buffer.max.bytes", Int, Is("1048588"), AtLeast(524_288.0), Medium, ClusterWide, Moot:
        "The largest write buffer that the coordinator keeps for the next write.";
    "group.coordinator.rebalance.protocols", List, Is("classic,consumer,streams"), ListOf { allowed: &["consumer", "classic", "share", "streams"], may_be_empty: false }, Medium, ReadOnly, Works:
        "The group protocols that are offered.";
    "group.coordinator.threads", Int, Is("4"), AtLeast(1.0), High, ReadOnly, Moot:
        "Threads for the group coordinator.";
    "group.initial.rebalance.delay.ms", Int, Is("3000"), Any, Medium, ReadOnly, Works:
        "How long an empty group waits for more members before its first rebalance.";
    "group.max.session.timeout.ms", Int, Is("1800000"), Any, Medium, ReadOnly, Works:
        "The longest session time-out that a member of a classic group may ask for.";
    "group.max.size", Int, Is("2147483647"), AtLeast(1.0), Medium, ReadOnly, Works:
        "The most members of a classic group.";
    "group.min.session.timeout.ms", Int, Is("6000"), Any, Medium, ReadOnly, Works:
        "The shortest session time-out that a member of a classic group may ask for.";
    "group.share.assignment.interval.ms", Int, Is("1000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "The least time between two assignments of a share group.";
    "group.share.assignors", List, Is("simple"), FULL_LIST, Medium, ReadOnly, Missing:
        "The assignor of share groups.";
    "group.share.delivery.count.limit", Int, Is("5"), Between(2.0, 10.0), Medium, ReadOnly, Missing:
        "How often a record is delivered to a share group before it is given up.";
    "group.share.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a share group sends a heartbeat.";
    "group.share.initialize.retry.interval.ms", Int, Is("30000"), AtLeast(1.0), Low, ReadOnly, Missing internal:
        "Pause before the state of a share group is set up again after a failure.";
    "group.share.max.assignment.interval.ms", Int, Is("15000"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "The least time between two assignments of a share group. The most that a group may set.";
    "group.share.max.delivery.count.limit", Int, Is("10"), Between(5.0, 25.0), Medium, ReadOnly, Missing:
        "The most that a group may set for share.delivery.count.limit.";
    "group.share.max.heartbeat.interval.ms", Int, Is("15000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a share group sends a heartbeat. The most that a group may set.";
    "group.share.max.partition.max.record.locks", Int, Is("4000"), Between(2000.0, 10_000.0), Medium, ReadOnly, Missing:
        "The most that a group may set for share.partition.max.record.locks.";
    "group.share.max.record.lock.duration.ms", Int, Is("60000"), Between(30_000.0, 3_600_000.0), Medium, ReadOnly, Missing:
        "The most that a group may set for share.record.lock.duration.ms.";
    "group.share.max.session.timeout.ms", Int, Is("60000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a share group that is silent for this long is removed. The most that a group may set.";
    "group.share.max.share.sessions", Int, Is("2000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "The most share sessions of the broker.";
    "group.share.max.size", Int, Is("200"), Between(1.0, 1000.0), Medium, ReadOnly, Missing:
        "The most members of a share group.";
    "group.share.min.assignment.interval.ms", Int, Is("0"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "The least time between two assignments of a share group. The least that a group may set.";
    "group.share.min.delivery.count.limit", Int, Is("2"), Between(2.0, 5.0), Medium, ReadOnly, Missing:
        "The least that a group may set for share.delivery.count.limit.";
    "group.share.min.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a share group sends a heartbeat. The least that a group may set.";
    "group.share.min.partition.max.record.locks", Int, Is("100"), Between(100.0, 2000.0), Medium, ReadOnly, Missing:
        "The least that a group may set for share.partition.max.record.locks.";
    "group.share.min.record.lock.duration.ms", Int, Is("15000"), Between(1000.0, 30_000.0), Medium, ReadOnly, Missing:
        "The least that a group may set for share.record.lock.duration.ms.";
    "group.share.min.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a share group that is silent for this long is removed. The least that a group may set.";
    "group.share.partition.max.record.locks", Int, Is("2000"), Between(100.0, 10_000.0), Medium, ReadOnly, Missing:
        "How many records of a partition a share group may hold at once.";
    "group.share.persister.class.name", String, Is("org.apache.kafka.server.share.persister.DefaultStatePersister"), Any, Medium, ReadOnly, Missing internal:
        "The Java class that keeps the state of share groups.";
    "group.share.record.lock.duration.ms", Int, Is("30000"), Between(1000.0, 3_600_000.0), Medium, ReadOnly, Missing:
        "How long a member of a share group holds a record.";
    "group.share.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a share group that is silent for this long is removed.";
    "group.streams.assignment.interval.ms", Int, Is("1000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "The least time between two assignments of a streams group.";
    "group.streams.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a streams group sends a heartbeat.";
    "group.streams.initial.rebalance.delay.ms", Int, Is("3000"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "How long an empty streams group waits for more members.";
    "group.streams.max.assignment.interval.ms", Int, Is("15000"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "The least time between two assignments of a streams group. The most that a group may set.";
    "group.streams.max.heartbeat.interval.ms", Int, Is("15000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a streams group sends a heartbeat. The most that a group may set.";
    "group.streams.max.session.timeout.ms", Int, Is("60000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a streams group that is silent for this long is removed. The most that a group may set.";
    "group.streams.max.size", Int, Is("2147483647"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "The most members of a streams group.";
    "group.streams.max.standby.replicas", Int, Is("2"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "The most that a streams group may set for its standby copies.";
    "group.streams.min.assignment.interval.ms", Int, Is("0"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "The least time between two assignments of a streams group. The least that a group may set.";
    "group.streams.min.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How often a member of a streams group sends a heartbeat. The least that a group may set.";
    "group.streams.min.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a streams group that is silent for this long is removed. The least that a group may set.";
    "group.streams.num.standby.replicas", Int, Is("0"), AtLeast(0.0), Medium, ReadOnly, Missing:
        "Standby copies of each task of a streams group.";
    "group.streams.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "A member of a streams group that is silent for this long is removed.";
    "offset.metadata.max.bytes", Int, Is("4096"), Any, High, ReadOnly, Works:
        "The longest text that may go with a committed offset.";
    "offsets.commit.timeout.ms", Int, Is("5000"), AtLeast(1.0), High, ReadOnly, Works:
        "How long a commit waits for its replicas.";
    "offsets.load.buffer.size", Int, Is("5242880"), AtLeast(1.0), High, ReadOnly, Moot:
        "Bytes that Kafka reads at once when it loads offsets.";
    "offsets.retention.check.interval.ms", Long, Is("600000"), AtLeast(1.0), High, ReadOnly, Works:
        "How often expired offsets are looked for.";
    "offsets.retention.minutes", Int, Is("10080"), AtLeast(1.0), High, ReadOnly, Works:
        "How many minutes the offsets of a group without members are kept.";
    "offsets.topic.compression.codec", Int, Is("0"), Any, High, ReadOnly, Works:
        "The codec of the records in __consumer_offsets, as its number; 0 is none.";
    "offsets.topic.num.partitions", Int, Is("50"), AtLeast(1.0), High, ReadOnly, Works:
        "Partitions of __consumer_offsets. Fixed once the topic exists.";
    "offsets.topic.replication.factor", Short, Is("3"), AtLeast(1.0), High, ReadOnly, Clustered:
        "Replicas of __consumer_offsets. With fewer brokers than that, as many as there are.";
    "offsets.topic.segment.bytes", Int, Is("104857600"), AtLeast(1.0), High, ReadOnly, Missing:
        "Segment size of __consumer_offsets.";
    "share.coordinator.append.linger.ms", Int, Is("-1"), AtLeast(-1.0), Medium, ReadOnly, Moot:
        "How long the share coordinator gathers records before it writes them.";
    "share.coordinator.cached.buffer.max.bytes", Int, Is("1048588"), AtLeast(524_288.0), Medium, ClusterWide, Moot:
        "The largest write buffer that the share coordinator keeps.";
    "share.coordinator.cold.partition.snapshot.interval.ms", Int, Is("300000"), AtLeast(1.0), Low, ReadOnly, Moot internal:
        "How often idle share partitions are written down again.";
    "share.coordinator.load.buffer.size", Int, Is("5242880"), AtLeast(1.0), High, ReadOnly, Moot:
        "Bytes that Kafka reads at once when it loads share state.";
    "share.coordinator.snapshot.update.records.per.snapshot", Int, Is("500"), Between(0.0, 500.0), Medium, ReadOnly, Moot:
        "Changes of share state between two snapshots.";
    "share.coordinator.state.topic.compression.codec", Int, Is("0"), Any, High, ReadOnly, Moot:
        "The codec of __share_group_state, as its number.";
    "share.coordinator.state.topic.min.isr", Short, Is("2"), AtLeast(1.0), High, ReadOnly, Moot:
        "In-sync replicas that __share_group_state needs.";
    "share.coordinator.state.topic.num.partitions", Int, Is("50"), AtLeast(1.0), High, ReadOnly, Moot:
        "Partitions of __share_group_state.";
    "share.coordinator.state.topic.prune.interval.ms", Int, Is("300000"), AtLeast(1.0), Low, ReadOnly, Moot internal:
        "How often old records of __share_group_state are dropped.";
    "share.coordinator.state.topic.replication.factor", Short, Is("3"), AtLeast(1.0), High, ReadOnly, Moot:
        "Replicas of __share_group_state.";
    "share.coordinator.state.topic.segment.bytes", Int, Is("104857600"), AtLeast(1.0), High, ReadOnly, Moot:
        "Segment size of __share_group_state.";
    "share.coordinator.threads", Int, Is("1"), AtLeast(1.0), Medium, ReadOnly, Moot:
        "Threads for the share coordinator.";
    "share.coordinator.write.timeout.ms", Int, Is("5000"), AtLeast(1.0), High, ReadOnly, Missing:
        "How long a write of share state waits for its replicas.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Is("10000"), AtLeast(1.0), Low, ReadOnly, Missing:
        "How often transactions that ran out of time are aborted.";
    "transaction.max.timeout.ms", Int, Is("900000"), AtLeast(1.0), High, ReadOnly, Missing:
        "The longest time-out that a transaction may ask for.";
    "transaction.partition.verification.enable", Boolean, Is("true"), Any, Low, ClusterWide, Missing:
        "Whether a transaction's write is checked against its coordinator.";
    "transaction.remove.expired.transaction.cleanup.interval.ms", Int, Is("3600000"), AtLeast(1.0), Low, ReadOnly, Missing:
        "How often expired transactional ids are removed.";
    "transaction.state.log.load.buffer.size", Int, Is("5242880"), AtLeast(1.0), High, ReadOnly, Moot:
        "Bytes that Kafka reads at once when it loads transactions.";
    "transaction.state.log.min.isr", Int, Is("2"), AtLeast(1.0), High, ReadOnly, Moot:
        "In-sync replicas that __transaction_state needs.";
    "transaction.state.log.num.partitions", Int, Is("50"), AtLeast(1.0), High, ReadOnly, Moot:
        "Partitions of __transaction_state.";
    "transaction.state.log.replication.factor", Short, Is("3"), AtLeast(1.0), High, ReadOnly, Moot:
        "Replicas of __transaction_state.";
    "transaction.state.log.segment.bytes", Int, Is("104857600"), AtLeast(1.0), High, ReadOnly, Moot:
        "Segment size of __transaction_state.";
    "transaction.two.phase.commit.enable", Boolean, Is("false"), Any, Low, ReadOnly, Missing:
        "Whether transactions may be prepared by a coordinator outside Kafka.";
    "transactional.id.expiration.ms", Int, Is("604800000"), AtLeast(1.0), High, ReadOnly, Missing:
        "How long an idle transactional id is kept.";
};

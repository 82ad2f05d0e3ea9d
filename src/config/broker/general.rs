//! Keys of the node: roles, topics, replication, metadata quorum. Names, types, presets, bounds and scopes are those of Kafka 4.3. Holds rows only.

use crate::config::key::row::*;
use crate::config::key::{ConfigKey, keys};

pub(super) const GENERAL: &[ConfigKey] = keys! {
    "alter.config.policy.class.name", Class, Null, Any, Low, ReadOnly, Missing:
        "A Java class that may refuse a change of configuration.";
    "authorizer.class.name", String, Is(""), Any, Low, ReadOnly, Missing:
        "A Java class that decides who may do what.";
    "auto.create.topics.enable", Boolean, Is("true"), Any, High, ReadOnly, Works:
        "Whether a metadata request of a client for a topic that does not exist creates it.";
    "auto.leader.rebalance.enable", Boolean, Is("true"), Any, High, ReadOnly, Clustered:
        "Whether leadership goes back to the preferred replica by itself.";
    "background.threads", Int, Is("10"), AtLeast(1.0), High, ClusterWide, Moot:
        "Threads for background work. Ottla has a fixed, small number.";
    "broker.heartbeat.interval.ms", Int, Is("2000"), Any, Medium, ReadOnly, Clustered:
        "How often a broker tells the controller that it is alive.";
    "broker.id", Int, Is("-1"), Any, High, ReadOnly, Works:
        "The older name of node.id. When both are set they must be equal.";
    "broker.rack", String, Null, Any, Medium, ReadOnly, Works:
        "The rack, zone or room of this broker: replicas of a partition are spread over racks, and consumers may fetch from their own.";
    "broker.session.timeout.ms", Int, Is("9000"), Any, Medium, ReadOnly, Clustered:
        "A broker that the controller has not heard of for this long is fenced.";
    "config.providers", List, Is(""), LIST, Low, ClusterWide, Missing:
        "Names of Java classes that fill in values such as ${file:...}.";
    "controlled.shutdown.enable", Boolean, Is("true"), Any, Medium, ReadOnly, Clustered:
        "Whether a stopping broker hands its leaderships over first.";
    "controller.listener.names", List, Is("CONTROLLER"), FULL_LIST, High, ReadOnly, Works:
        "The listeners that controllers use among themselves and for brokers. The first is the one that a broker uses.";
    "controller.performance.always.log.threshold.ms", Long, Is("2000"), AtLeast(0.0), Medium, ReadOnly, Moot internal:
        "Controller events that take longer are logged.";
    "controller.performance.sample.period.ms", Long, Is("60000"), AtLeast(100.0), Medium, ReadOnly, Moot internal:
        "How often the controller logs how long its events take.";
    "controller.quorum.append.linger.ms", Int, Is("25"), AtLeast(0.0), Medium, ReadOnly, Moot:
        "How long Kafka gathers metadata records before it writes them. Ottla writes what has gathered while the last write ran.";
    "controller.quorum.auto.join.enable", Boolean, Is("false"), Any, Low, ReadOnly, Clustered:
        "Whether a controller that is not in the quorum asks to join it.";
    "controller.quorum.bootstrap.servers", List, Is(""), Valid::BootstrapServers, High, ReadOnly, Works:
        "Where controllers can be found, as host:port.";
    "controller.quorum.election.backoff.max.ms", Int, Is("1000"), AtLeast(0.0), High, ReadOnly, Clustered:
        "The longest pause after an election without a winner.";
    "controller.quorum.election.timeout.ms", Int, Is("1000"), AtLeast(0.0), High, ReadOnly, Clustered:
        "How long a controller waits for a leader before it stands for election.";
    "controller.quorum.fetch.max.bytes", Int, Is("1048576"), AtLeast(1.0), Low, ReadOnly, Clustered:
        "The most bytes of one fetch of the metadata log.";
    "controller.quorum.fetch.snapshot.max.bytes", Int, Is("1048576"), AtLeast(1.0), Low, ReadOnly, Clustered:
        "The most bytes of one fetch of a metadata snapshot.";
    "controller.quorum.fetch.timeout.ms", Int, Is("2000"), AtLeast(0.0), High, ReadOnly, Clustered:
        "How long a follower of the quorum goes without hearing from the leader before it stands for election.";
    "controller.quorum.request.timeout.ms", Int, Is("2000"), AtLeast(0.0), Medium, ReadOnly, Clustered:
        "How long a controller waits for an answer from another.";
    "controller.quorum.retry.backoff.ms", Int, Is("20"), AtLeast(0.0), Low, ReadOnly, Clustered:
        "Pause before a failed request to another controller is sent again.";
    "controller.quorum.voters", List, Is(""), Valid::QuorumVoters, High, ReadOnly, Works:
        "The controllers, as id@host:port. Empty, together with controller.quorum.bootstrap.servers, for a single node.";
    "controller.socket.timeout.ms", Int, Is("30000"), Any, Medium, ReadOnly, Clustered:
        "How long the controller waits on a connection to a broker.";
    "create.topic.policy.class.name", Class, Null, Any, Low, ReadOnly, Missing:
        "A Java class that may refuse the creation of a topic.";
    "default.replication.factor", Int, Is("1"), Any, Medium, ReadOnly, Works:
        "Replicas of each partition of a topic that is created without a number of its own.";
    "delegation.token.expiry.check.interval.ms", Long, Is("3600000"), AtLeast(1.0), Low, ReadOnly, Missing:
        "How often expired delegation tokens are looked for.";
    "delegation.token.expiry.time.ms", Long, Is("86400000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How long a delegation token is good for without renewal.";
    "delegation.token.max.lifetime.ms", Long, Is("604800000"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "The longest life of a delegation token.";
    "delegation.token.secret.key", Password, Null, Any, Medium, ReadOnly, Missing:
        "The secret with which delegation tokens are signed, the same on every broker.";
    "delete.records.purgatory.purge.interval.requests", Int, Is("1"), Any, Medium, ReadOnly, Moot:
        "How often Kafka sweeps waiting record deletions. Ottla drops them at once.";
    "delete.topic.enable", Boolean, Is("true"), Any, High, ReadOnly, Works:
        "Whether topics may be deleted.";
    "early.start.listeners", List, Null, LIST, High, ReadOnly, Moot:
        "Listeners that are opened before the broker has caught up with the metadata.";
    "fetch.max.bytes", Int, Is("57671680"), AtLeast(1024.0), Medium, ReadOnly, Works:
        "The most bytes that one fetch answer holds, whatever the client asks for. The first batch is always whole.";
    "fetch.purgatory.purge.interval.requests", Int, Is("1000"), Any, Medium, ReadOnly, Moot:
        "How often Kafka sweeps waiting fetches. Ottla drops them at once.";
    "follower.fetch.last.tiered.offset.enable", Boolean, Is("false"), Any, Medium, ClusterWide, Missing:
        "Whether a new follower starts at the last offset that is in tiered storage.";
    "initial.broker.registration.timeout.ms", Int, Is("60000"), Any, Medium, ReadOnly, Clustered:
        "How long a starting broker waits to be registered by the controller before it gives up.";
    "internal.metadata.delete.delay.millis", Long, Is("60000"), Any, Low, ReadOnly, Moot internal:
        "How long deleted metadata files stay on disk.";
    "internal.metadata.log.segment.bytes", Int, Null, Any, Low, ReadOnly, Moot internal:
        "Size of a metadata log segment in tests.";
    "internal.metadata.max.batch.size.in.bytes", Int, Is("8388608"), Any, Low, ReadOnly, Moot internal:
        "Largest batch of metadata records in tests.";
    "leader.imbalance.check.interval.seconds", Long, Is("300"), AtLeast(1.0), High, ReadOnly, Clustered:
        "How often the controller looks for partitions that the preferred replica does not lead.";
    "max.incremental.fetch.session.cache.slots", Int, Is("1000"), AtLeast(0.0), Medium, ReadOnly, Works:
        "How many incremental fetch sessions the broker keeps.";
    "max.request.partition.size.limit", Int, Is("2000"), AtLeast(1.0), Medium, ReadOnly, Works:
        "The most partitions that one DescribeTopicPartitions answer tells of.";
    "metadata.log.dir", String, Null, Any, High, ReadOnly, Works:
        "Where the metadata quorum keeps its log. Without it, the first of log.dirs.";
    "metadata.log.max.record.bytes.between.snapshots", Long, Is("20971520"), AtLeast(1.0), High, ReadOnly, Moot:
        "Bytes of metadata records after which a snapshot is taken.";
    "metadata.log.max.snapshot.interval.ms", Long, Is("3600000"), AtLeast(0.0), High, ReadOnly, Moot:
        "The longest time between two metadata snapshots, if anything has changed.";
    "metadata.log.segment.bytes", Int, Is("1073741824"), AtLeast(8_388_608.0), High, ReadOnly, Moot:
        "Size of a segment of the metadata log. Ottla keeps that log in RocksDB.";
    "metadata.log.segment.ms", Long, Is("604800000"), Any, High, ReadOnly, Moot:
        "Age at which a segment of the metadata log is closed.";
    "metadata.max.idle.interval.ms", Int, Is("500"), AtLeast(0.0), Low, ReadOnly, Moot:
        "How often an idle controller writes an empty record.";
    "metadata.max.retention.bytes", Long, Is("104857600"), Any, High, ReadOnly, Moot:
        "Bytes of metadata log and snapshots after which old ones are deleted.";
    "metadata.max.retention.ms", Long, Is("604800000"), Any, High, ReadOnly, Moot:
        "Age at which metadata log and snapshots are deleted.";
    "min.insync.replicas", Int, Is("1"), AtLeast(1.0), High, ClusterWide, Works:
        "How many replicas must be in sync for an acks=all write to be taken.";
    "node.id", Int, Is("1"), AtLeast(0.0), High, ReadOnly, Works:
        "The number of this node, different on every node of a cluster.";
    "num.io.threads", Int, Is("8"), AtLeast(1.0), High, ClusterWide, Moot:
        "Threads for requests. Ottla runs requests on its async workers.";
    "num.partitions", Int, Is("1"), AtLeast(1.0), Medium, ReadOnly, Works:
        "Partitions of a topic that is created without a number of its own.";
    "num.recovery.threads.per.data.dir", Int, Is("2"), AtLeast(1.0), High, ClusterWide, Moot:
        "Threads for recovery at start. Ottla's recovery reads one bounded tail.";
    "num.replica.alter.log.dirs.threads", Int, Null, Any, High, ReadOnly, Moot:
        "Threads for moving replicas between log directories.";
    "num.replica.fetchers", Int, Is("1"), AtLeast(1.0), High, ClusterWide, Clustered:
        "Threads for fetching from each other broker. Ottla has a task per broker, not a thread.";
    "process.roles", List, Is("broker,controller"), ListOf { allowed: &["broker", "controller"], may_be_empty: false }, High, ReadOnly, Works:
        "What this node is: broker, controller, or both. Without it Ottla is both.";
    "producer.purgatory.purge.interval.requests", Int, Is("1000"), Any, Medium, ReadOnly, Moot:
        "How often Kafka sweeps waiting produces. Ottla drops them at once.";
    "replica.fetch.backoff.ms", Int, Is("1000"), AtLeast(0.0), Medium, ReadOnly, Clustered:
        "How long a follower waits after a failed fetch.";
    "replica.fetch.max.bytes", Int, Is("1048576"), AtLeast(0.0), Medium, ReadOnly, Clustered:
        "The most bytes per partition that a follower asks for in one fetch.";
    "replica.fetch.min.bytes", Int, Is("1"), Any, High, ReadOnly, Clustered:
        "The least bytes that a follower waits for in one fetch.";
    "replica.fetch.response.max.bytes", Int, Is("10485760"), AtLeast(0.0), Medium, ReadOnly, Clustered:
        "The most bytes that a follower asks for in one fetch, over all partitions.";
    "replica.fetch.wait.max.ms", Int, Is("500"), Any, High, ReadOnly, Clustered:
        "How long a leader holds a follower's fetch that has too few bytes.";
    "replica.high.watermark.checkpoint.interval.ms", Long, Is("5000"), Any, High, ReadOnly, Moot:
        "How often Kafka writes high watermarks to a file. Ottla keeps them in its index.";
    "replica.lag.time.max.ms", Long, Is("30000"), Any, High, ReadOnly, Clustered:
        "A follower that has not caught up for this long leaves the in-sync replicas.";
    "replica.selector.class", String, Null, Any, Medium, ReadOnly, Clustered:
        "A Java class that chooses the replica from which a consumer may fetch.";
    "replica.socket.receive.buffer.bytes", Int, Is("65536"), Any, High, ReadOnly, Clustered:
        "Receive buffer of a follower's connections.";
    "replica.socket.timeout.ms", Int, Is("30000"), Any, High, ReadOnly, Clustered:
        "How long a follower waits for an answer from a leader.";
    "request.timeout.ms", Int, Is("30000"), Any, High, ReadOnly, Clustered:
        "How long this node waits for an answer from another.";
    "security.providers", String, Null, Any, Low, ReadOnly, Missing:
        "Java classes that add security algorithms.";
    "server.max.startup.time.ms", Long, Is("9223372036854775807"), AtLeast(0.0), Medium, ReadOnly, Moot internal:
        "How long a start may take before it is given up.";
    "share.fetch.purgatory.purge.interval.requests", Int, Is("1000"), Any, Medium, ReadOnly, Moot:
        "How often Kafka sweeps waiting share fetches.";
    "unclean.leader.election.enable", Boolean, Is("false"), Any, High, ClusterWide, Clustered:
        "Whether a replica that is not in sync may become leader when no other is left. Records can be lost then.";
    "unclean.leader.election.interval.ms", Long, Is("300000"), AtLeast(1.0), Medium, ReadOnly, Clustered internal:
        "How often leaderless partitions are looked at for an unclean election.";
    "unstable.api.versions.enable", Boolean, Is("false"), Any, High, ReadOnly, Moot internal:
        "Whether API versions that are not final are offered.";
    "unstable.feature.versions.enable", Boolean, Is("false"), Any, High, ReadOnly, Moot internal:
        "Whether feature versions that are not final are offered.";
};

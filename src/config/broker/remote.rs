//! Keys of tiered storage. Names, types, presets, bounds and scopes are those of Kafka 4.3. Holds rows only.

use crate::config::key::row::*;
use crate::config::key::{ConfigKey, keys};

pub(super) const REMOTE: &[ConfigKey] = keys! {
    "remote.fetch.max.wait.ms", Int, Is("500"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "How long a fetch waits for tiered storage.";
    "remote.list.offsets.request.timeout.ms", Long, Is("30000"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "How long a ListOffsets waits for tiered storage.";
    "remote.log.index.file.cache.total.size.bytes", Long, Is("1073741824"), AtLeast(1.0), Low, ClusterWide, Missing:
        "Bytes of index files of tiered segments kept on local disks.";
    "remote.log.index.file.cache.ttl.ms", Long, Is("900000"), AtLeast(-1.0), Low, ReadOnly, Missing internal:
        "How long an unused index file of a tiered segment is kept.";
    "remote.log.manager.copier.thread.pool.size", Int, Is("10"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "Threads that copy segments.";
    "remote.log.manager.copy.max.bytes.per.second", Long, Is("9223372036854775807"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "The most bytes that are copied in a second.";
    "remote.log.manager.copy.quota.window.num", Int, Is("11"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "Number of samples for the limit of copying to tiered storage.";
    "remote.log.manager.copy.quota.window.size.seconds", Int, Is("1"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "Length of a sample for the limit of copying to tiered storage.";
    "remote.log.manager.expiration.thread.pool.size", Int, Is("10"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "Threads that delete expired segments.";
    "remote.log.manager.fetch.max.bytes.per.second", Long, Is("9223372036854775807"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "The most bytes that are read from tiered storage in a second.";
    "remote.log.manager.fetch.quota.window.num", Int, Is("11"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "Number of samples for the limit of reading from tiered storage.";
    "remote.log.manager.fetch.quota.window.size.seconds", Int, Is("1"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "Length of a sample for the limit of reading from tiered storage.";
    "remote.log.manager.follower.thread.pool.size", Int, Is("2"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "Threads for followers of tiered partitions.";
    "remote.log.manager.task.interval.ms", Long, Is("30000"), AtLeast(1.0), Low, ReadOnly, Missing:
        "How often segments are looked at for copying and deletion.";
    "remote.log.manager.task.retry.backoff.max.ms", Long, Is("30000"), AtLeast(1.0), Low, ReadOnly, Missing internal:
        "The longest pause before a failed copy to tiered storage is tried again.";
    "remote.log.manager.task.retry.backoff.ms", Long, Is("500"), AtLeast(1.0), Low, ReadOnly, Missing internal:
        "Pause before a failed copy is tried again.";
    "remote.log.manager.task.retry.jitter", Double, Is("0.2"), Between(0.0, 0.5), Low, ReadOnly, Missing internal:
        "The share of the pause before a copy is tried again that is random.";
    "remote.log.manager.thread.pool.size", Int, Is("2"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "Threads for followers of tiered partitions.";
    "remote.log.metadata.custom.metadata.max.bytes", Int, Is("128"), AtLeast(0.0), Low, ReadOnly, Missing:
        "The most bytes that a storage class may add to a segment's metadata.";
    "remote.log.metadata.manager.class.name", String, Is("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"), NonEmpty, Medium, ReadOnly, Missing:
        "The Java class that knows which segments are in tiered storage.";
    "remote.log.metadata.manager.class.path", String, Null, Any, Medium, ReadOnly, Missing:
        "Where the class of remote.log.metadata.manager.class.name is found.";
    "remote.log.metadata.manager.impl.prefix", String, Is("rlmm.config."), NonEmpty, Medium, ReadOnly, Missing:
        "The prefix of the settings of remote.log.metadata.manager.class.name.";
    "remote.log.metadata.manager.listener.name", String, Null, NonEmpty, Medium, ReadOnly, Missing:
        "The listener through which remote.log.metadata.manager.class.name reaches the brokers.";
    "remote.log.reader.max.pending.tasks", Int, Is("100"), AtLeast(1.0), Medium, ReadOnly, Missing:
        "How many reads from tiered storage may wait.";
    "remote.log.reader.threads", Int, Is("10"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "Threads that read from tiered storage.";
    "remote.log.storage.manager.class.name", String, Null, NonEmpty, Medium, ReadOnly, Missing:
        "The Java class that copies segments to tiered storage.";
    "remote.log.storage.manager.class.path", String, Null, Any, Medium, ReadOnly, Missing:
        "Where the class of remote.log.storage.manager.class.name is found.";
    "remote.log.storage.manager.impl.prefix", String, Is("rsm.config."), NonEmpty, Medium, ReadOnly, Missing:
        "The prefix of the settings of remote.log.storage.manager.class.name.";
    "remote.log.storage.system.enable", Boolean, Is("false"), Any, Medium, ReadOnly, Missing:
        "Whether tiered storage is there at all.";
};

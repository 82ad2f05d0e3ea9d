//! Keys of logs: segments, retention, timestamps, compression, producers. Names, types, presets, bounds and scopes are those of Kafka 4.3. Holds rows only.

use crate::config::key::row::*;
use crate::config::key::{ConfigKey, keys};

pub(super) const LOG: &[ConfigKey] = keys! {
    "compression.gzip.level", Int, Is("-1"), Valid::GzipLevel, Medium, ClusterWide, Works:
        "The level of gzip, from 1 (fast) to 9 (small); -1 for the library's choice.";
    "compression.lz4.level", Int, Is("9"), Between(1.0, 17.0), Medium, ClusterWide, Works:
        "The level of lz4, from 1 (fast) to 17 (small).";
    "compression.type", String, Is("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), High, ClusterWide, Works:
        "How record batches are compressed on disk: with one codec, not at all, or as the producer sent them.";
    "compression.zstd.level", Int, Is("3"), Between(-131_072.0, 22.0), Medium, ClusterWide, Works:
        "The level of zstd, from -131072 (fast) to 22 (small).";
    "cordoned.log.dirs", List, Is(""), LIST, Medium, PerBroker, Missing:
        "Directories of log.dirs that get no new partitions, or * for all.";
    "log.cleaner.backoff.ms", Long, Is("15000"), AtLeast(0.0), Medium, ClusterWide, Moot:
        "Pause when there is nothing to compact.";
    "log.cleaner.dedupe.buffer.size", Long, Is("134217728"), Any, Medium, ClusterWide, Moot:
        "Memory for finding the newest record of each key.";
    "log.cleaner.delete.retention.ms", Long, Is("86400000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "How long tombstones stay, so that readers see what was deleted.";
    "log.cleaner.enable", Boolean, Is("true"), Any, Medium, ReadOnly, Missing:
        "Whether compaction runs. Kafka 5.0 drops the choice.";
    "log.cleaner.io.buffer.load.factor", Double, Is("0.9"), Any, Medium, ClusterWide, Moot:
        "How full the memory for keys may get.";
    "log.cleaner.io.buffer.size", Int, Is("524288"), AtLeast(0.0), Medium, ClusterWide, Moot:
        "Memory for reading and writing while compacting.";
    "log.cleaner.io.max.bytes.per.second", Double, Is("1.7976931348623157E308"), Any, Medium, ClusterWide, Missing:
        "The most bytes that compaction reads and writes in a second.";
    "log.cleaner.max.compaction.lag.ms", Long, Is("9223372036854775807"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "How long a record stays uncompacted at most.";
    "log.cleaner.min.cleanable.ratio", Double, Is("0.5"), Between(0.0, 1.0), Medium, ClusterWide, Missing:
        "The share of a log that must be uncompacted before it is compacted again.";
    "log.cleaner.min.compaction.lag.ms", Long, Is("0"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "How long a record stays uncompacted at least.";
    "log.cleaner.threads", Int, Is("1"), AtLeast(0.0), Medium, ClusterWide, Moot:
        "Threads for compaction.";
    "log.cleanup.policy", List, Is("delete"), list_of(&["compact", "delete"]), Medium, ClusterWide, Missing:
        "What happens to old records: delete them by age and size, compact them by key, or both.";
    "log.dir", List, Is("/tmp/kafka-logs"), FULL_LIST, High, ReadOnly, Works:
        "The directory for data, where log.dirs is not set.";
    "log.dir.failure.timeout.ms", Long, Is("30000"), AtLeast(1.0), Low, ReadOnly, Moot:
        "How long the broker waits to tell the controller of a failed log directory before it stops.";
    "log.dirs", List, Null, FULL_LIST, High, ReadOnly, Works:
        "The directories for data, separated by commas.";
    "log.flush.interval.messages", Long, Is("9223372036854775807"), AtLeast(1.0), High, ClusterWide, Works:
        "Number of messages after which a partition is synced to disk.";
    "log.flush.interval.ms", Long, Null, Any, High, ClusterWide, Works:
        "The longest that a message stays unsynced. Without it, log.flush.scheduler.interval.ms.";
    "log.flush.offset.checkpoint.interval.ms", Int, Is("60000"), AtLeast(0.0), High, ReadOnly, Moot:
        "How often Kafka writes down up to where logs are synced. Ottla's index knows.";
    "log.flush.scheduler.interval.ms", Long, Is("9223372036854775807"), Any, High, ReadOnly, Works:
        "How often partitions are looked at for a sync.";
    "log.flush.start.offset.checkpoint.interval.ms", Int, Is("60000"), AtLeast(0.0), High, ReadOnly, Moot:
        "How often Kafka writes down where logs start. Ottla's index knows.";
    "log.index.interval.bytes", Int, Is("4096"), AtLeast(0.0), Medium, ClusterWide, Moot:
        "Bytes between two entries of Kafka's index. Ottla has an entry per run.";
    "log.index.size.max.bytes", Int, Is("10485760"), AtLeast(4.0), Medium, ClusterWide, Moot:
        "Size of a segment's index file. Ottla's index is RocksDB.";
    "log.initial.task.delay.ms", Long, Is("30000"), AtLeast(0.0), Low, ReadOnly, Works internal:
        "Pause after the start before background work on logs begins.";
    "log.local.retention.bytes", Long, Is("-2"), AtLeast(-2.0), Medium, ClusterWide, Missing:
        "Bytes of a tiered partition that stay on the broker's own disks; -2 for log.retention.bytes.";
    "log.local.retention.ms", Long, Is("-2"), AtLeast(-2.0), Medium, ClusterWide, Missing:
        "How long records of a tiered topic stay on the broker's own disks; -2 for log.retention.ms.";
    "log.message.timestamp.after.max.ms", Long, Is("3600000"), AtLeast(0.0), Medium, ClusterWide, Works:
        "How far a producer's timestamp may lie after the broker's time.";
    "log.message.timestamp.before.max.ms", Long, Is("9223372036854775807"), AtLeast(0.0), Medium, ClusterWide, Works:
        "How far a producer's timestamp may lie before the broker's time.";
    "log.message.timestamp.type", String, Is("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, Works:
        "Whether a record has the time that its producer gave (CreateTime) or that of its arrival (LogAppendTime).";
    "log.preallocate", Boolean, Is("false"), Any, Medium, ClusterWide, Moot:
        "Whether Kafka reserves a segment's space beforehand. Ottla's record files always are.";
    "log.retention.bytes", Long, Is("-1"), Any, High, ClusterWide, Works:
        "Bytes of a partition above which its oldest records are deleted; -1 for no limit. Ottla deletes runs of up to about 1 MiB where Kafka deletes segments.";
    "log.retention.check.interval.ms", Long, Is("300000"), AtLeast(1.0), Medium, ReadOnly, Works:
        "How often partitions are checked against their retention.";
    "log.retention.hours", Int, Is("168"), Any, High, ReadOnly, Works:
        "How many hours records are kept.";
    "log.retention.minutes", Int, Null, Any, High, ReadOnly, Works:
        "How many minutes records are kept. Without it, log.retention.hours.";
    "log.retention.ms", Long, Null, Any, High, ClusterWide, Works:
        "How long records are kept before they may be deleted; -1 for ever. Without it, log.retention.minutes.";
    "log.roll.hours", Int, Is("168"), AtLeast(1.0), High, ReadOnly, Moot:
        "Age in hours at which a partition starts a new segment.";
    "log.roll.jitter.hours", Int, Is("0"), AtLeast(0.0), High, ReadOnly, Moot:
        "The most hours that are taken at random from log.roll.hours, so that segments do not all roll at once.";
    "log.roll.jitter.ms", Long, Null, Any, High, ClusterWide, Moot:
        "The most that is taken at random from log.roll.ms, so that segments do not all roll at once. Without it, log.roll.jitter.hours.";
    "log.roll.ms", Long, Null, Any, High, ClusterWide, Moot:
        "Age at which a partition starts a new segment. Without it, log.roll.hours.";
    "log.segment.bytes", Int, Is("1073741824"), AtLeast(1_048_576.0), High, ClusterWide, Moot:
        "Size at which a partition starts a new segment. Ottla has none.";
    "log.segment.delete.delay.ms", Long, Is("60000"), AtLeast(0.0), High, ClusterWide, Moot:
        "How long a deleted file stays on disk.";
    "message.max.bytes", Int, Is("1048588"), AtLeast(0.0), High, ClusterWide, Works:
        "The largest record batch, after compression, that is taken.";
    "producer.id.expiration.check.interval.ms", Int, Is("600000"), AtLeast(1.0), Low, ReadOnly, Works internal:
        "How often expired producers are looked for.";
    "producer.id.expiration.ms", Int, Is("86400000"), AtLeast(1.0), Low, ClusterWide, Works:
        "How long an idle producer's state is kept. After that its duplicates are no longer recognised.";
};

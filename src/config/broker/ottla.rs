//! Keys that Kafka does not have. Holds rows only.

use crate::config::key::row::*;
use crate::config::key::{ConfigKey, keys};

pub(super) const OTTLA: &[ConfigKey] = keys! {
    "metrics.address", String, Is(":9404"), Valid::HttpAddress, Medium, ReadOnly, Works:
        "Where /metrics, /healthz, /ready, /lag and /why are served over HTTP, as host:port or :port. Empty for nowhere.";
    "ottla.bootstrap.file", String, Null, Any, Medium, ReadOnly, Works:
        "A YAML file that declares topics with their partitions and configurations. They are made at start, before clients are served; OTTLA_BOOTSTRAP_FILE sets it.";
    "ottla.log.format", String, Is("plain"), OneOf(&["plain", "json"]), Low, ReadOnly, Works:
        "How log lines are written: as text, or each as a JSON object.";
    "ottla.metrics.partition.series", Boolean, Is("true"), Any, Low, PerBroker, Works:
        "Whether /metrics has series for each partition, and for each partition of each group. Without, those of brokers, topics and groups are left.";
    "ottla.record.validation", String, Is("headers"), OneOf(&["headers", "full"]), Medium, ReadOnly, Works:
        "How closely produced batches are looked at: headers checks each batch's header and checksum and walks uncompressed records, full opens compressed batches too.";
    "ottla.store.direct.io", Boolean, Is("true"), Any, Low, ReadOnly, Works:
        "Whether record files are written past the page cache, where the file system can.";
    "ottla.store.index.memory.bytes", Long, Is("16777216"), AtLeast(1_048_576.0), Medium, ReadOnly, Works:
        "Memory for the index: its write buffers and the blocks that it has read.";
    "ottla.store.read.memory.bytes", Long, Is("67108864"), AtLeast(1_048_576.0), Medium, ReadOnly, Works:
        "Memory for records on their way to consumers, from memory or from disk, until they have left; further replies wait, and replies get smaller as it runs out.";
    "ottla.store.record.file.bytes", Int, Is("268435456"), AtLeast(16_777_216.0), Low, ReadOnly, Works:
        "Size of a record file. Recovery after a crash reads about one.";
    "ottla.store.tail.memory.bytes", Long, Is("-1"), AtLeast(-1.0), Medium, ReadOnly, Works:
        "Memory for the newest records of each partition, from which consumers that keep up are served. -1 takes a share of the machine's memory.";
    "ottla.stray.delete.delay.ms", Long, Is("345600000"), AtLeast(-1.0), Low, ReadOnly, Works:
        "How long partitions of no topic stay in the log directories, set aside, before they are removed; -1 for ever. A crash right after a topic's deletion leaves them, but so does a metadata log that was lost.";
    "ottla.sync.single.replica", Boolean, Is("true"), Any, High, ReadOnly, Works:
        "Whether an acks=all write to a partition with one replica is on stable storage before it is acknowledged. Turned off, a power failure can take the last acknowledged writes; the end of the process cannot.";
};

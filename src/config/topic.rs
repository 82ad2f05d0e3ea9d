//! The table of topic keys, and [`TopicConfig`]: what holds for one topic.
//!
//! A topic's own override wins over the broker's dynamic configuration, that over its static one, that over the preset.
//! A `TopicConfig` never changes; topics without overrides share one.

use super::ConfigError;
use super::broker::BrokerConfig;
use super::key::row::*;
use super::key::{ConfigKey, FromValue, Value, keys};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every topic key, sorted by name.
static TABLE: &[ConfigKey] = keys! {
    "cleanup.policy", List, Is("delete"), list_of(&["compact", "delete"]), Medium, ClusterWide, Missing:
        "What happens to old records: delete them by age and size, compact them by key, both, or (empty) nothing.";
    "compression.gzip.level", Int, Is("-1"), Valid::GzipLevel, Medium, ClusterWide, Works:
        "The level of gzip, from 1 (fast) to 9 (small); -1 for the library's choice.";
    "compression.lz4.level", Int, Is("9"), Between(1.0, 17.0), Medium, ClusterWide, Works:
        "The level of lz4, from 1 (fast) to 17 (small).";
    "compression.type", String, Is("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Medium, ClusterWide, Works:
        "How record batches are compressed on disk: with one codec, not at all, or as the producer sent them.";
    "compression.zstd.level", Int, Is("3"), Between(-131_072.0, 22.0), Medium, ClusterWide, Works:
        "The level of zstd, from -131072 (fast) to 22 (small).";
    "delete.retention.ms", Long, Is("86400000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "How long tombstones of a compacted topic stay, so that readers see what was deleted.";
    "file.delete.delay.ms", Long, Is("60000"), AtLeast(0.0), Medium, ClusterWide, Moot:
        "How long a deleted file stays on disk.";
    "flush.messages", Long, Is("9223372036854775807"), AtLeast(1.0), Medium, ClusterWide, Works:
        "Number of messages after which a partition is synced to disk.";
    "flush.ms", Long, Is("9223372036854775807"), AtLeast(0.0), Medium, ClusterWide, Works:
        "The longest that a message stays unsynced.";
    "follower.replication.throttled.replicas", List, Is(""), Valid::ThrottledReplicas, Medium, ClusterWide, Clustered:
        "Followers whose fetching is throttled, as partition:broker pairs, or * for all.";
    "index.interval.bytes", Int, Is("4096"), AtLeast(0.0), Medium, ClusterWide, Moot:
        "Bytes between two entries of Kafka's index. Ottla has an entry per run.";
    "internal.segment.bytes", Int, Null, Any, Medium, ClusterWide, Moot internal:
        "A segment size for tests, below what segment.bytes allows.";
    "leader.replication.throttled.replicas", List, Is(""), Valid::ThrottledReplicas, Medium, ClusterWide, Clustered:
        "Leaders whose sending is throttled, as partition:broker pairs, or * for all.";
    "local.retention.bytes", Long, Is("-2"), AtLeast(-2.0), Medium, ClusterWide, Missing:
        "Bytes of a tiered partition that stay on the broker's own disks; -2 for retention.bytes.";
    "local.retention.ms", Long, Is("-2"), AtLeast(-2.0), Medium, ClusterWide, Missing:
        "How long records of a tiered topic stay on the broker's own disks; -2 for retention.ms.";
    "max.compaction.lag.ms", Long, Is("9223372036854775807"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "How long a record stays uncompacted at most.";
    "max.message.bytes", Int, Is("1048588"), AtLeast(0.0), Medium, ClusterWide, Works:
        "The largest record batch, after compression, that is taken.";
    "message.timestamp.after.max.ms", Long, Is("3600000"), AtLeast(0.0), Medium, ClusterWide, Works:
        "How far a producer's timestamp may lie after the broker's time.";
    "message.timestamp.before.max.ms", Long, Is("9223372036854775807"), AtLeast(0.0), Medium, ClusterWide, Works:
        "How far a producer's timestamp may lie before the broker's time.";
    "message.timestamp.type", String, Is("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, Works:
        "Whether a record has the time that its producer gave (CreateTime) or that of its arrival (LogAppendTime).";
    "min.cleanable.dirty.ratio", Double, Is("0.5"), Between(0.0, 1.0), Medium, ClusterWide, Missing:
        "The share of a log that must be uncompacted before it is compacted again.";
    "min.compaction.lag.ms", Long, Is("0"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "How long a record stays uncompacted at least.";
    "min.insync.replicas", Int, Is("1"), AtLeast(1.0), Medium, ClusterWide, Works:
        "How many replicas must be in sync for an acks=all write to be taken.";
    "preallocate", Boolean, Is("false"), Any, Medium, ClusterWide, Moot:
        "Whether Kafka reserves a segment's space beforehand. Ottla's record files always are.";
    "remote.log.copy.disable", Boolean, Is("false"), Any, Medium, ClusterWide, Missing:
        "Whether nothing more is copied to tiered storage.";
    "remote.log.delete.on.disable", Boolean, Is("false"), Any, Medium, ClusterWide, Missing:
        "Whether turning tiered storage off deletes what it holds.";
    "remote.storage.enable", Boolean, Is("false"), Any, Medium, ClusterWide, Missing:
        "Whether the topic uses tiered storage.";
    "retention.bytes", Long, Is("-1"), Any, Medium, ClusterWide, Works:
        "Bytes of a partition above which its oldest records are deleted; -1 for no limit. Ottla deletes runs of up to about 1 MiB where Kafka deletes segments.";
    "retention.ms", Long, Is("604800000"), AtLeast(-1.0), Medium, ClusterWide, Works:
        "How long records are kept before they may be deleted; -1 for ever.";
    "segment.bytes", Int, Is("1073741824"), AtLeast(1_048_576.0), Medium, ClusterWide, Moot:
        "Size at which a partition starts a new segment. Ottla has none.";
    "segment.index.bytes", Int, Is("10485760"), AtLeast(4.0), Medium, ClusterWide, Moot:
        "Size of a segment's index file. Ottla's index is RocksDB.";
    "segment.jitter.ms", Long, Is("0"), AtLeast(0.0), Medium, ClusterWide, Moot:
        "The most that is taken at random from segment.ms, so that segments do not all roll at once.";
    "segment.ms", Long, Is("604800000"), AtLeast(1.0), Medium, ClusterWide, Moot:
        "Age at which a partition starts a new segment. Ottla has none.";
    "unclean.leader.election.enable", Boolean, Is("false"), Any, Medium, ClusterWide, Clustered:
        "Whether a replica that is not in sync may become leader when no other is left. Records can be lost then.";
};

/// Every topic key, sorted by name.
pub fn topic_keys() -> &'static [ConfigKey] {
    TABLE
}

/// The key of that name.
pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    TABLE.binary_search_by_key(&name, |key| key.name).ok().and_then(|index| TABLE.get(index))
}

/// How many milliseconds one unit of a broker key is.
const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

/// The broker keys that give a topic key its value, the strongest first, each with the factor that turns its unit into the topic key's
/// (Kafka's `ServerTopicConfigSynonyms`). Empty for keys that only a topic has.
pub fn broker_synonyms(topic_key: &str) -> &'static [(&'static str, i64)] {
    match topic_key {
        "cleanup.policy" => &[("log.cleanup.policy", 1)],
        "compression.gzip.level" => &[("compression.gzip.level", 1)],
        "compression.lz4.level" => &[("compression.lz4.level", 1)],
        "compression.type" => &[("compression.type", 1)],
        "compression.zstd.level" => &[("compression.zstd.level", 1)],
        "delete.retention.ms" => &[("log.cleaner.delete.retention.ms", 1)],
        "file.delete.delay.ms" => &[("log.segment.delete.delay.ms", 1)],
        "flush.messages" => &[("log.flush.interval.messages", 1)],
        "flush.ms" => &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        "index.interval.bytes" => &[("log.index.interval.bytes", 1)],
        "local.retention.bytes" => &[("log.local.retention.bytes", 1)],
        "local.retention.ms" => &[("log.local.retention.ms", 1)],
        "max.compaction.lag.ms" => &[("log.cleaner.max.compaction.lag.ms", 1)],
        "max.message.bytes" => &[("message.max.bytes", 1)],
        "message.timestamp.after.max.ms" => &[("log.message.timestamp.after.max.ms", 1)],
        "message.timestamp.before.max.ms" => &[("log.message.timestamp.before.max.ms", 1)],
        "message.timestamp.type" => &[("log.message.timestamp.type", 1)],
        "min.cleanable.dirty.ratio" => &[("log.cleaner.min.cleanable.ratio", 1)],
        "min.compaction.lag.ms" => &[("log.cleaner.min.compaction.lag.ms", 1)],
        "min.insync.replicas" => &[("min.insync.replicas", 1)],
        "preallocate" => &[("log.preallocate", 1)],
        "retention.bytes" => &[("log.retention.bytes", 1)],
        "retention.ms" => &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE), ("log.retention.hours", HOUR)],
        "segment.bytes" => &[("log.segment.bytes", 1)],
        "segment.index.bytes" => &[("log.index.size.max.bytes", 1)],
        "segment.jitter.ms" => &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR)],
        "segment.ms" => &[("log.roll.ms", 1), ("log.roll.hours", HOUR)],
        "unclean.leader.election.enable" => &[("unclean.leader.election.enable", 1)],
        _ => &[],
    }
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// `compression.type` with its level: how batches are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    Uncompressed,
    /// 1 to 9, or -1 for the library's choice.
    Gzip(i32),
    Snappy,
    Lz4(i32),
    Zstd(i32),
}

/// What holds for one topic.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicConfig {
    values: BTreeMap<&'static str, Value>,
    pub cleanup_compact: bool,
    pub cleanup_delete: bool,
    pub compression: CompressionType,
    pub delete_retention_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    /// The largest batch, with its header.
    pub max_message_bytes: i32,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    /// Negative: no limit.
    pub retention_bytes: i64,
    /// -1: for ever.
    pub retention_ms: i64,
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub unclean_leader_election_enable: bool,
}

impl TopicConfig {
    /// What a topic without overrides has, by the broker's values.
    pub(super) fn broker_defaults(broker: &BTreeMap<&'static str, Value>) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        for key in TABLE {
            let set = broker_synonyms(key.name).iter().filter_map(|(name, factor)| Some((broker.get(name)?, *factor)));
            let strongest = set.into_iter().find(|(value, _)| **value != Value::Null);
            let value = match strongest {
                Some((value, factor)) => converted(key, value, factor),
                None => key.preset_value()?,
            };
            values.insert(key.name, value);
        }
        Self::of(values)
    }

    /// What a topic with these overrides has. Without overrides it is the broker's own, shared.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] when an override has no key or a wrong value. Overrides were checked when they were written, so this tells
    /// of a record written by something else.
    pub fn resolve<K: AsRef<str>, V: AsRef<str>>(
        broker: &BrokerConfig,
        overrides: &BTreeMap<K, V>,
    ) -> Result<Arc<Self>, ConfigError> {
        if overrides.is_empty() {
            return Ok(broker.topic_defaults.clone());
        }
        let mut values = broker.topic_defaults.values.clone();
        for (name, text) in overrides {
            let key = topic_key(name.as_ref()).ok_or_else(|| unknown(name.as_ref()))?;
            values.insert(key.name, key.parse(text.as_ref())?);
        }
        Self::of(values).map(Arc::new)
    }

    fn of(values: BTreeMap<&'static str, Value>) -> Result<Self, ConfigError> {
        fn take<T: FromValue>(values: &BTreeMap<&'static str, Value>, name: &'static str) -> Result<T, ConfigError> {
            values.get(name).and_then(T::from_value).ok_or(ConfigError::Missing { name: name.to_owned() })
        }
        let policy: Vec<String> = take(&values, "cleanup.policy")?;
        let has = |wanted: &str| policy.iter().any(|given| given == wanted);
        let compression = match take::<String>(&values, "compression.type")?.as_str() {
            "uncompressed" => CompressionType::Uncompressed,
            "gzip" => CompressionType::Gzip(take(&values, "compression.gzip.level")?),
            "snappy" => CompressionType::Snappy,
            "lz4" => CompressionType::Lz4(take(&values, "compression.lz4.level")?),
            "zstd" => CompressionType::Zstd(take(&values, "compression.zstd.level")?),
            _ => CompressionType::Producer,
        };
        let message_timestamp_type = match take::<String>(&values, "message.timestamp.type")?.as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        };
        let internal_segment_bytes: Option<i32> = take(&values, "internal.segment.bytes")?;
        Ok(Self {
            cleanup_compact: has("compact"),
            cleanup_delete: has("delete"),
            compression,
            delete_retention_ms: take(&values, "delete.retention.ms")?,
            flush_messages: take(&values, "flush.messages")?,
            flush_ms: take(&values, "flush.ms")?,
            max_message_bytes: take(&values, "max.message.bytes")?,
            message_timestamp_type,
            message_timestamp_before_max_ms: take(&values, "message.timestamp.before.max.ms")?,
            message_timestamp_after_max_ms: take(&values, "message.timestamp.after.max.ms")?,
            min_cleanable_dirty_ratio: take(&values, "min.cleanable.dirty.ratio")?,
            min_compaction_lag_ms: take(&values, "min.compaction.lag.ms")?,
            max_compaction_lag_ms: take(&values, "max.compaction.lag.ms")?,
            min_insync_replicas: take(&values, "min.insync.replicas")?,
            retention_bytes: take(&values, "retention.bytes")?,
            retention_ms: take(&values, "retention.ms")?,
            segment_bytes: internal_segment_bytes.map_or_else(|| take(&values, "segment.bytes"), Ok)?,
            segment_ms: take(&values, "segment.ms")?,
            segment_jitter_ms: take(&values, "segment.jitter.ms")?,
            unclean_leader_election_enable: take(&values, "unclean.leader.election.enable")?,
            values,
        })
    }

    /// The value of any topic key; `None` for a name that is not in the table.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }
}

/// A broker's value in the unit of the topic's key. A negative retention is -1 (`KafkaConfig.logRetentionTimeMillis`).
fn converted(key: &ConfigKey, value: &Value, factor: i64) -> Value {
    match value {
        Value::Int(number) if key.kind == super::key::Kind::Long => {
            Value::Long(i64::from(*number).saturating_mul(factor))
        }
        Value::Long(number) => Value::Long(number.saturating_mul(factor)),
        other => other.clone(),
    }
    .at_least_minus_one(key.name == "retention.ms")
}

impl Value {
    fn at_least_minus_one(self, applies: bool) -> Value {
        match self {
            Value::Long(number) if applies => Value::Long(number.max(-1)),
            other => other,
        }
    }
}

fn unknown(name: &str) -> ConfigError {
    ConfigError::Relation(format!("Unknown topic config name: {name}"))
}

/// Checks all overrides that a topic would have (`LogConfig.validate`): the names, each value, and the relations between them and the
/// broker's configuration.
///
/// # Errors
/// [`ConfigError`] with the sentence for the client; the code is INVALID_CONFIG.
pub fn validate_overrides<K: AsRef<str>, V: AsRef<str>>(
    broker: &BrokerConfig,
    overrides: &BTreeMap<K, V>,
) -> Result<(), ConfigError> {
    if let Some(name) = overrides.keys().map(AsRef::as_ref).find(|name| topic_key(name).is_none()) {
        return Err(unknown(name));
    }
    let config = TopicConfig::resolve(broker, overrides)?;
    let (least, most) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
    if least > most {
        return Err(ConfigError::Relation(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        )));
    }
    if config.value("remote.storage.enable") == Some(&Value::Boolean(true)) {
        let said = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";
        return Err(ConfigError::Relation(said.into()));
    }
    Ok(())
}

//! What a group coordinator is configured with. Names and defaults are Kafka's.

use std::time::Duration;

use crate::config::BrokerConfig;
use crate::protocol::compression::Compression;

/// Settings of a group coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`
    pub max_size: usize,
    /// `offset.metadata.max.bytes`. Kafka counts UTF-16 code units, not bytes.
    pub offset_metadata_max_units: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
    /// `offsets.commit.timeout.ms`: how long a request waits for its records to be committed.
    pub offset_commit_timeout: Duration,
    /// `offsets.topic.compression.codec`
    pub compression: Compression,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: i32::MAX as usize,
            offset_metadata_max_units: 4096,
            offsets_retention_ms: 7 * 24 * 60 * 60_000,
            offsets_retention_check_interval_ms: 600_000,
            offset_commit_timeout: Duration::from_millis(5_000),
            compression: Compression::None,
        }
    }
}

impl From<&BrokerConfig> for GroupConfig {
    fn from(broker: &BrokerConfig) -> Self {
        let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        Self {
            min_session_timeout_ms: broker.group_min_session_timeout_ms,
            max_session_timeout_ms: broker.group_max_session_timeout_ms,
            initial_rebalance_delay_ms: broker.group_initial_rebalance_delay_ms,
            max_size: usize::try_from(broker.group_max_size).unwrap_or(1),
            offset_metadata_max_units: usize::try_from(broker.offset_metadata_max_bytes).unwrap_or(0),
            offsets_retention_ms: i64::from(broker.offsets_retention_minutes) * 60_000,
            offsets_retention_check_interval_ms: broker.offsets_retention_check_interval_ms,
            offset_commit_timeout: millis(broker.offsets_commit_timeout_ms),
            compression: u8::try_from(broker.offsets_topic_compression_codec)
                .ok()
                .and_then(Compression::from_id)
                .unwrap_or(Compression::None),
        }
    }
}

/// How long a new member's JoinGroup may wait before the member is given up: it has no session yet, and nothing else tells when its client is gone.
pub const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60_000;

/// Members of one group that have been given an id and have not come back with it (KIP-394). Kafka keeps any number; past this one the eldest is
/// forgotten, and starts over if it comes back.
pub const MAX_PENDING_MEMBERS: usize = 5_000;

//! What an append needs to know of each batch once it is validated. Pure.

use super::producers::ProducerBatch;
use crate::protocol::record_batch::{BatchHeader, TimestampType};

/// One validated batch of an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchInfo {
    /// Where the batch begins in the append's bytes.
    pub position: usize,
    pub last_offset_delta: i32,
    /// What the stored batch says: the producer's clock, or the broker's with `message.timestamp.type=LogAppendTime`.
    pub timestamp_type: TimestampType,
    pub max_timestamp_ms: i64,
    /// None for a batch without a producer id.
    pub producer: Option<ProducerBatch>,
}

impl BatchInfo {
    /// Takes the batch as its header says; `log_append_time_ms` replaces the producer's timestamps where the topic asks for it.
    pub fn new(position: usize, header: &BatchHeader, log_append_time_ms: Option<i64>) -> Self {
        let (timestamp_type, max_timestamp_ms) = match log_append_time_ms {
            Some(now_ms) => (TimestampType::LogAppendTime, now_ms),
            None => (TimestampType::CreateTime, header.max_timestamp_ms),
        };
        let producer = header.has_producer_id().then(|| ProducerBatch {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            last_offset_delta: header.last_offset_delta,
            max_timestamp_ms,
            is_transactional: header.attributes.is_transactional(),
        });
        Self { position, last_offset_delta: header.last_offset_delta, timestamp_type, max_timestamp_ms, producer }
    }
}

//! What a leader checks of a produced batch before it gives it offsets, in the order in which Kafka 4.3 checks it.
//!
//! Nothing is done per record unless the records lie there uncompressed or a rule of the topic needs them. Never changes a byte: the caller stamps
//! the batch with [`super::record_batch::BatchMut::assign`] and what came out of here.

use super::batch_error::{BatchError, RecordError, RecordsRefused};
use super::compression::Compression;
use super::record_batch::{BatchHeader, BatchView, NO_TIMESTAMP, TimestampType};
use super::records::{Record, RecordReader};

/// Records named in a refusal. Kafka names all; a batch can hold a million of them, and each costs a sentence.
pub const MAX_RECORD_ERRORS: usize = 1000;

/// First produce version that may carry zstd (KIP-110).
const ZSTD_PRODUCE_VERSION: i16 = 7;

/// What the topic and the broker ask of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRules {
    /// `max.message.bytes`: the batch's whole size, compressed.
    pub max_batch_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// `cleanup.policy` has `compact`: each record needs a key.
    pub compacted: bool,
    /// `ottla.record.validation=full`: compressed records are walked too.
    pub open_compressed: bool,
    /// Bound for what a compressed batch may open to.
    pub max_decompressed_bytes: usize,
    /// The broker's clock.
    pub now_ms: i64,
}

/// What the leader stamps a batch with, and what it found on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidBatch {
    pub header: BatchHeader,
    /// For the batch's attributes and its largest timestamp: as the topic says, and either the append time, or the records' largest where
    /// they were walked, or what the header says.
    pub timestamp_type: TimestampType,
    pub max_timestamp_ms: i64,
    /// False when the records were walked and their offset deltas are not 0, 1, 2 and so on. Kafka builds a compressed batch anew then.
    pub consecutive_offsets: bool,
}

/// The one batch of a partition's records in a produce request. Fewer bytes than a further batch's header after it are dropped, as Kafka does.
/// Errors: no batch, more than one, another magic than 2, zstd before version 7.
pub fn produced_batch(records: &[u8], produce_version: i16) -> Result<BatchView<'_>, BatchError> {
    let view = match BatchView::parse(records) {
        Ok(view) => view,
        Err(BatchError::Truncated { .. }) => return Err(BatchError::NoBatch { have: records.len() }),
        Err(error) => return Err(error),
    };
    if produce_version < ZSTD_PRODUCE_VERSION && view.header.attributes.compression()? == Compression::Zstd {
        return Err(BatchError::CompressionNotAllowed(produce_version));
    }
    match BatchView::parse(records.get(view.bytes.len()..).unwrap_or(&[])) {
        Err(BatchError::Truncated { .. }) => Ok(view),
        Err(error @ (BatchError::Length { .. } | BatchError::UnknownMagic(_))) => Err(error),
        Ok(_) | Err(_) => Err(BatchError::MoreThanOneBatch),
    }
}

/// Checks a client's batch against the topic's rules.
pub fn validate(batch: &BatchView<'_>, rules: &BatchRules) -> Result<ValidBatch, BatchError> {
    let header = batch.header;
    if header.base_offset != 0 {
        return Err(BatchError::BaseOffset(header.base_offset));
    }
    if batch.bytes.len() > rules.max_batch_bytes {
        return Err(BatchError::TooLarge { size: batch.bytes.len(), max: rules.max_batch_bytes });
    }
    batch.check_crc()?;
    let compression = header.attributes.compression()?;
    check_header(&header)?;

    let walked = if compression == Compression::None || needs_records(&header, rules) {
        Some(walk(batch, rules)?)
    } else {
        None
    };
    let max_timestamp_ms = match rules.timestamp_type {
        TimestampType::LogAppendTime => rules.now_ms,
        TimestampType::CreateTime => walked.map_or(header.max_timestamp_ms, |walked| walked.max_timestamp_ms),
    };
    Ok(ValidBatch {
        header,
        timestamp_type: rules.timestamp_type,
        max_timestamp_ms,
        consecutive_offsets: walked.is_none_or(|walked| walked.consecutive_offsets),
    })
}

/// The rules for a client's batch that its header alone decides.
fn check_header(header: &BatchHeader) -> Result<(), BatchError> {
    if header.last_offset_delta < 0 {
        return Err(BatchError::OffsetRange(header.last_offset_delta));
    }
    if header.record_count <= 0 {
        return Err(BatchError::RecordCount(header.record_count));
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(header.record_count) {
        return Err(BatchError::CountMismatch {
            count: header.record_count,
            last_offset_delta: header.last_offset_delta,
        });
    }
    if header.attributes.is_control() {
        return Err(BatchError::ControlBatch);
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        return Err(BatchError::Sequence { producer_id: header.producer_id, sequence: header.base_sequence });
    }
    Ok(())
}

/// Whether a compressed batch has to be opened: when a rule concerns single records, or when the header says that one will be refused (so that the
/// reply can name it).
pub fn needs_records(header: &BatchHeader, rules: &BatchRules) -> bool {
    let from_the_header_out_of_range = rules.timestamp_type == TimestampType::CreateTime
        && (rules.before_max_ms < i64::MAX
            || (header.max_timestamp_ms != NO_TIMESTAMP && out_of_range(header.max_timestamp_ms, rules)));
    rules.open_compressed
        || rules.compacted
        || header.timestamp_type() == TimestampType::LogAppendTime
        || from_the_header_out_of_range
}

#[derive(Clone, Copy)]
struct Walked {
    max_timestamp_ms: i64,
    consecutive_offsets: bool,
}

fn walk(batch: &BatchView<'_>, rules: &BatchRules) -> Result<Walked, BatchError> {
    let mut walked = Walked { max_timestamp_ms: NO_TIMESTAMP, consecutive_offsets: true };
    let mut refused = Vec::new();
    let mut reason = RecordsRefused::InvalidRecord;
    let mut records = RecordReader::new(batch, rules.max_decompressed_bytes)?;
    while let Some(record) = records.next() {
        let record = record?;
        if let Some((why, message)) = refuse(&record, batch.header.timestamp_type(), rules) {
            // One bad timestamp among other faults decides the code.
            if why == RecordsRefused::InvalidTimestamp {
                reason = why;
            }
            if refused.len() < MAX_RECORD_ERRORS {
                refused.push(RecordError { index: record.index, message });
            }
        }
        walked.max_timestamp_ms = walked.max_timestamp_ms.max(record.timestamp_ms);
        walked.consecutive_offsets &= record.offset == i64::from(record.index);
    }
    if refused.is_empty() { Ok(walked) } else { Err(BatchError::Refused { reason, errors: refused }) }
}

fn refuse(record: &Record<'_>, batch_type: TimestampType, rules: &BatchRules) -> Option<(RecordsRefused, String)> {
    if rules.compacted && record.key.is_none() {
        let message = "a compacted topic takes no record without a key".to_owned();
        return Some((RecordsRefused::InvalidRecord, message));
    }
    if rules.timestamp_type == TimestampType::CreateTime && record.timestamp_ms != NO_TIMESTAMP {
        return out_of_range(record.timestamp_ms, rules).then(|| {
            let message = format!(
                "timestamp {} is outside [{}, {}]",
                record.timestamp_ms,
                rules.now_ms.saturating_sub(rules.before_max_ms),
                rules.now_ms.saturating_add(rules.after_max_ms)
            );
            (RecordsRefused::InvalidTimestamp, message)
        });
    }
    (batch_type == TimestampType::LogAppendTime).then(|| {
        let message = "a producer may not set the timestamp type LogAppendTime".to_owned();
        (RecordsRefused::InvalidTimestamp, message)
    })
}

/// Differences wrap as Kafka's do.
fn out_of_range(timestamp_ms: i64, rules: &BatchRules) -> bool {
    let age_ms = rules.now_ms.wrapping_sub(timestamp_ms);
    age_ms > rules.before_max_ms || age_ms.wrapping_neg() > rules.after_max_ms
}

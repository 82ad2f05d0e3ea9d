//! What can be wrong with a record batch, and the code that Kafka 4.3 answers for it.

use kafka_protocol::ResponseError;
use thiserror::Error;

/// One record that was refused, told to producers in `record_errors` (KIP-467, Produce v8 and later).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's place in its batch, from 0 (`batch_index` in the reply).
    pub index: i32,
    pub message: String,
}

/// Why the records of a partition were refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsRefused {
    InvalidRecord,
    InvalidTimestamp,
}

/// A record batch that cannot be taken or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    #[error("no whole record batch in {have} bytes")]
    NoBatch { have: usize },
    #[error("a record batch of {size} bytes is cut short after {have}")]
    Truncated { size: usize, have: usize },
    #[error("the record batch's length field is {length}; at least {least} is allowed")]
    Length { length: i32, least: i32 },
    #[error("record batch magic {0}; 0 to 2 exist")]
    UnknownMagic(i8),
    #[error("record batch magic {0}; only 2 is taken")]
    OldMagic(i8),
    #[error("more than one record batch for a partition")]
    MoreThanOneBatch,
    #[error("the record batch's base offset is {0}; a producer's is 0")]
    BaseOffset(i64),
    #[error("a record batch of {size} bytes; at most {max} are allowed")]
    TooLarge { size: usize, max: usize },
    #[error("CRC-32C {stored:#010x} in the record batch, {computed:#010x} computed")]
    Checksum { stored: u32, computed: u32 },
    #[error("compression type {0}; 0 to 4 exist")]
    UnknownCompression(u8),
    #[error("zstd in a produce request of version {0}; it is allowed from version 7")]
    CompressionNotAllowed(i16),
    #[error("last offset delta {0} in the record batch; it is never negative")]
    OffsetRange(i32),
    #[error("record count {0} in the record batch; at least 1 is allowed")]
    RecordCount(i32),
    #[error("record count {count} but last offset delta {last_offset_delta} in the record batch")]
    CountMismatch { count: i32, last_offset_delta: i32 },
    #[error("a client may not write control records")]
    ControlBatch,
    #[error("base sequence {sequence} with producer id {producer_id}; it is never negative")]
    Sequence { producer_id: i64, sequence: i32 },
    /// The batch's records do not parse.
    #[error("record {index} of the batch: {what}")]
    Record { index: i32, what: &'static str },
    #[error("bytes are left after the record batch's last record")]
    TrailingBytes,
    #[error("the record batch does not decompress: {0}")]
    Decompress(String),
    #[error("the record batch is larger than {0} bytes when decompressed")]
    Bomb(usize),
    /// Records that parse but that the topic does not take.
    #[error("{} of the batch's records refused; the first: {}", .errors.len(), .errors.first().map_or("", |e| e.message.as_str()))]
    Refused { reason: RecordsRefused, errors: Vec<RecordError> },
}

impl BatchError {
    /// The code that Kafka 4.3 gives a producer for this.
    pub fn code(&self) -> ResponseError {
        match self {
            // Kafka finds these while it cuts the buffer into batches or compares the checksum.
            Self::Length { .. } | Self::UnknownMagic(_) | Self::Checksum { .. } | Self::Truncated { .. } => {
                ResponseError::CorruptMessage
            }
            Self::NoBatch { .. }
            | Self::OldMagic(_)
            | Self::MoreThanOneBatch
            | Self::BaseOffset(_)
            | Self::OffsetRange(_)
            | Self::RecordCount(_)
            | Self::CountMismatch { .. }
            | Self::ControlBatch
            | Self::Sequence { .. }
            | Self::Record { .. }
            | Self::TrailingBytes => ResponseError::InvalidRecord,
            Self::TooLarge { .. } => ResponseError::MessageTooLarge,
            Self::CompressionNotAllowed(_) => ResponseError::UnsupportedCompressionType,
            // Not errors of Kafka's own kind there (an illegal argument, a failed stream): they come out as the unknown one.
            Self::UnknownCompression(_) | Self::Decompress(_) => ResponseError::UnknownServerError,
            // Kafka has no such bound; the code that tells a producer to send less.
            Self::Bomb(_) => ResponseError::MessageTooLarge,
            Self::Refused { reason: RecordsRefused::InvalidRecord, .. } => ResponseError::InvalidRecord,
            Self::Refused { reason: RecordsRefused::InvalidTimestamp, .. } => ResponseError::InvalidTimestamp,
        }
    }

    /// The records to name in the reply's `record_errors`; empty for what concerns the batch as a whole.
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            Self::Refused { errors, .. } => errors,
            _ => &[],
        }
    }
}

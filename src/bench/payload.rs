//! Batches to send, each record with the time at which it was due in its first bytes, so that whoever reads it knows how long it took.
//!
//! A plain batch is a copy of one made before with times, numbers and checksum put in: making records anew would measure this program. A compressed batch has to
//! be made anew.

use bytes::{Bytes, BytesMut};

use super::BenchError;
use crate::protocol::batch_builder::BatchBuilder;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::{BatchMut, BatchView, LOG_OVERHEAD_BYTES};
use crate::types::limits::RECORD_BATCH_HEADER_BYTES;

/// Bytes of a record's value that hold the time at which it was due, in microseconds of the run's clock.
pub const STAMP_BYTES: usize = 8;
const KEY_BYTES: usize = 8;
/// Where a batch says how long it is.
const LENGTH_AT: std::ops::Range<usize> = 8..12;

/// Words that values are made of, so that they compress about as well as what people send.
const WORDS: [&str; 16] = [
    "order",
    "customer",
    "amount",
    "currency",
    "status",
    "shipped",
    "pending",
    "warehouse",
    "2026-01-01",
    "quantity",
    "price",
    "EUR",
    "USD",
    "item",
    "address",
    "true",
];

/// Who sends, and the number of the batch's first record (KIP-98).
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub sequence: i32,
}

/// Makes batches of records of one size.
pub struct Template {
    plain: Vec<u8>,
    /// Where each record ends in `plain`.
    ends: Vec<usize>,
    record_bytes: usize,
    has_keys: bool,
    compression: Compression,
}

impl Template {
    /// For batches of at most `batch_bytes` before compression, and one record at least.
    ///
    /// # Errors
    /// [`BenchError::Wrong`] for records that have no room for a time.
    pub fn new(
        record_bytes: usize,
        batch_bytes: usize,
        has_keys: bool,
        compression: Compression,
    ) -> Result<Self, BenchError> {
        if record_bytes < STAMP_BYTES {
            return Err(BenchError::Wrong(format!(
                "--record-bytes {record_bytes} is too small: the time at which a record was due takes {STAMP_BYTES} bytes of it"
            )));
        }
        let mut builder = BatchBuilder::new(Compression::None);
        let mut random = 0x9E37_79B9_7F4A_7C15;
        let mut ends = Vec::new();
        loop {
            let value = value(record_bytes, &mut random);
            builder.add(0, has_keys.then_some([0; KEY_BYTES].as_slice()), Some(&value), &[]);
            let end = RECORD_BATCH_HEADER_BYTES + builder.uncompressed_bytes();
            if end > batch_bytes && !ends.is_empty() {
                break;
            }
            ends.push(end);
            if end >= batch_bytes {
                break;
            }
        }
        let plain = builder.build()?.to_vec();
        Ok(Self { plain, ends, record_bytes, has_keys, compression })
    }

    /// Records of a full batch.
    pub fn most_records(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all values of a batch.
    pub fn value_bytes(&self, records: usize) -> u64 {
        (records * self.record_bytes) as u64
    }

    /// A batch with one record for each of the times, at most [`Self::most_records`] of them and at least one.
    ///
    /// # Errors
    /// [`BenchError::Batch`] when there is no record.
    pub fn batch(&self, dues_us: &[u64], now_ms: i64, numbered: Option<Numbered>) -> Result<Bytes, BenchError> {
        match self.compression {
            Compression::None => self.copied(dues_us, now_ms, numbered),
            _ => self.made_anew(dues_us, now_ms, numbered),
        }
    }

    fn copied(&self, dues_us: &[u64], now_ms: i64, numbered: Option<Numbered>) -> Result<Bytes, BenchError> {
        let records = dues_us.len().min(self.ends.len());
        let end = records.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        let mut batch = BytesMut::from(self.plain.get(..end).unwrap_or_default());
        for (due_us, end) in dues_us.iter().zip(&self.ends) {
            // The count of headers, none, is the last byte.
            let at = end - 1 - self.record_bytes;
            if let Some(stamp) = batch.get_mut(at..at + STAMP_BYTES) {
                stamp.copy_from_slice(&due_us.to_be_bytes());
            }
        }
        let length = i32::try_from(end.saturating_sub(LOG_OVERHEAD_BYTES)).unwrap_or(i32::MAX);
        if let Some(place) = batch.get_mut(LENGTH_AT) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        let mut patched = BatchMut::new(&mut batch)?;
        let mut header = *patched.header();
        let count = i32::try_from(records).unwrap_or(i32::MAX);
        header.record_count = count;
        header.last_offset_delta = count - 1;
        header.base_timestamp_ms = now_ms;
        header.max_timestamp_ms = now_ms;
        if let Some(numbered) = numbered {
            header.producer_id = numbered.producer_id;
            header.producer_epoch = numbered.producer_epoch;
            header.base_sequence = numbered.sequence;
        }
        patched.set_header(header);
        Ok(batch.freeze())
    }

    fn made_anew(&self, dues_us: &[u64], now_ms: i64, numbered: Option<Numbered>) -> Result<Bytes, BenchError> {
        let mut builder = BatchBuilder::new(self.compression);
        if let Some(numbered) = numbered {
            builder = builder.producer(numbered.producer_id, numbered.producer_epoch, numbered.sequence);
        }
        let mut value = Vec::with_capacity(self.record_bytes);
        for (due_us, end) in dues_us.iter().zip(&self.ends) {
            let at = end - 1 - self.record_bytes;
            value.clear();
            value.extend_from_slice(&due_us.to_be_bytes());
            value.extend_from_slice(self.plain.get(at + STAMP_BYTES..end - 1).unwrap_or_default());
            let key = due_us.to_be_bytes();
            builder.add(now_ms, self.has_keys.then_some(key.as_slice()), Some(&value), &[]);
        }
        Ok(builder.build()?.freeze())
    }
}

/// When a record was due.
pub fn due_us(value: &[u8]) -> Option<u64> {
    value.first_chunk::<STAMP_BYTES>().map(|stamp| u64::from_be_bytes(*stamp))
}

fn value(bytes: usize, random: &mut u64) -> Vec<u8> {
    let mut value = vec![0; STAMP_BYTES];
    while value.len() < bytes {
        let number = next_random(random);
        let word = WORDS.get((number % 16) as usize).copied().unwrap_or_default();
        value.extend_from_slice(format!("\"{word}\":{},", number >> 40).as_bytes());
    }
    value.truncate(bytes);
    value
}

/// xorshift64*: good enough to spread records, and the same in every run.
pub fn next_random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

/// Shows when each record of a batch was due.
///
/// # Errors
/// [`BenchError::Batch`] for a record that cannot be read.
pub fn walk(view: &BatchView<'_>, mut show: impl FnMut(u64)) -> Result<(), BenchError> {
    let mut records = crate::protocol::records::RecordReader::new(view, usize::MAX)?;
    while let Some(record) = records.next() {
        if let Some(due) = record?.value.and_then(due_us) {
            show(due);
        }
    }
    Ok(())
}

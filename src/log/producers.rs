//! What a partition remembers of each idempotent producer, and the checks that make retries safe (KIP-98, KIP-360). Pure: no IO, no clock.
//!
//! An entry is stored as one row of the store beside the batches that changed it, so it is exactly as durable as they are.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use smallvec::SmallVec;
use std::collections::HashMap;
use thiserror::Error;

/// Batches remembered per producer, which is also how many a producer may have in flight (KIP-98's `max.in.flight.requests.per.connection`).
pub const RETAINED_BATCHES: usize = 5;

/// "No producer epoch": the entry was cleared or never existed.
pub const NO_PRODUCER_EPOCH: i16 = -1;

const VALUE_VERSION: u8 = 1;

/// A batch that was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: i64,
    pub offset_delta: i32,
    pub timestamp_ms: i64,
}

impl BatchMetadata {
    pub fn first_sequence(&self) -> i32 {
        decrement_sequence(self.last_sequence, self.offset_delta)
    }

    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// What is known of one producer id in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerEntry {
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    pub last_timestamp_ms: i64,
    /// First offset of the transaction that is open, if one is.
    pub current_txn_first_offset: Option<i64>,
    /// Oldest first, of `producer_epoch` only.
    pub batches: SmallVec<[BatchMetadata; RETAINED_BATCHES]>,
}

/// The parts of a batch's header that producer checks look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerBatch {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub last_offset_delta: i32,
    pub max_timestamp_ms: i64,
    pub is_transactional: bool,
}

impl ProducerBatch {
    pub fn last_sequence(&self) -> i32 {
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// Where an append comes from: only clients' sequences are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendOrigin {
    Client,
    Coordinator,
    Replication,
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ProducerError {
    #[error("epoch of producer {producer_id} is {got}, which is smaller than the last seen epoch {current}")]
    InvalidEpoch { producer_id: i64, got: i16, current: i16 },
    #[error(
        "out of order sequence number for producer {producer_id}: {got} (incoming sequence), {current} (current end sequence)"
    )]
    OutOfOrderSequence { producer_id: i64, got: i32, current: i32 },
    #[error("invalid sequence number for new epoch {epoch} of producer {producer_id}: {got} (sequence), 0 expected")]
    NewEpochMustStartAtZero { producer_id: i64, epoch: i16, got: i32 },
    #[error("record of producer {producer_id} was not part of an ongoing transaction")]
    NotInTransaction { producer_id: i64 },
}

/// What the check of one batch found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Checked {
    /// The batch was appended before: answer with where it is.
    Duplicate(BatchMetadata),
    /// The batch may be appended.
    Fresh,
}

/// All producers of one partition.
#[derive(Default, Debug)]
pub struct Producers {
    entries: HashMap<i64, ProducerEntry, ahash::RandomState>,
}

impl Producers {
    pub fn get(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.entries.get(&producer_id)
    }

    pub fn put(&mut self, producer_id: i64, entry: ProducerEntry) {
        self.entries.insert(producer_id, entry);
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Ids whose last write is older than `producer.id.expiration.ms` and that have no open transaction; they are forgotten here, and the caller deletes their rows.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) -> Vec<i64> {
        let expired: Vec<i64> = self
            .entries
            .iter()
            .filter(|(_, e)| {
                e.current_txn_first_offset.is_none() && now_ms.saturating_sub(e.last_timestamp_ms) >= expiration_ms
            })
            .map(|(id, _)| *id)
            .collect();
        for id in &expired {
            self.entries.remove(id);
        }
        expired
    }

    /// Checks a batch against what is known, in Kafka's order: duplicate, then epoch, then sequence (`ProducerAppendInfo`).
    pub fn check(&self, batch: &ProducerBatch, origin: AppendOrigin) -> Result<Checked, ProducerError> {
        let Some(entry) = self.entries.get(&batch.producer_id) else {
            return Self::check_transactional(None, batch, origin).map(|()| Checked::Fresh);
        };
        if origin == AppendOrigin::Client
            && let Some(duplicate) = entry.find_duplicate(batch)
        {
            return Ok(Checked::Duplicate(duplicate));
        }
        if batch.producer_epoch < entry.producer_epoch && origin != AppendOrigin::Replication {
            let (producer_id, got, current) = (batch.producer_id, batch.producer_epoch, entry.producer_epoch);
            return Err(ProducerError::InvalidEpoch { producer_id, got, current });
        }
        Self::check_transactional(Some(entry), batch, origin)?;
        if origin == AppendOrigin::Client {
            entry.check_sequence(batch)?;
        }
        Ok(Checked::Fresh)
    }

    fn check_transactional(
        entry: Option<&ProducerEntry>,
        batch: &ProducerBatch,
        origin: AppendOrigin,
    ) -> Result<(), ProducerError> {
        let ongoing =
            entry.is_some_and(|e| e.current_txn_first_offset.is_some() && e.producer_epoch == batch.producer_epoch);
        if batch.is_transactional && !ongoing && origin == AppendOrigin::Client {
            return Err(ProducerError::NotInTransaction { producer_id: batch.producer_id });
        }
        Ok(())
    }
}

impl ProducerEntry {
    /// The entry after `batch` was appended with `last_offset`; `before` is what was known.
    pub fn after(before: Option<&ProducerEntry>, batch: &ProducerBatch, last_offset: i64) -> ProducerEntry {
        let mut entry = match before {
            Some(known) if known.producer_epoch == batch.producer_epoch => known.clone(),
            Some(known) => {
                ProducerEntry { producer_epoch: batch.producer_epoch, batches: SmallVec::new(), ..known.clone() }
            }
            None => ProducerEntry {
                producer_epoch: batch.producer_epoch,
                coordinator_epoch: -1,
                last_timestamp_ms: 0,
                current_txn_first_offset: None,
                batches: SmallVec::new(),
            },
        };
        if entry.batches.len() == RETAINED_BATCHES {
            entry.batches.remove(0);
        }
        entry.batches.push(BatchMetadata {
            last_sequence: batch.last_sequence(),
            last_offset,
            offset_delta: batch.last_offset_delta,
            timestamp_ms: batch.max_timestamp_ms,
        });
        entry.last_timestamp_ms = batch.max_timestamp_ms;
        if batch.is_transactional && entry.current_txn_first_offset.is_none() {
            entry.current_txn_first_offset = Some(last_offset - i64::from(batch.last_offset_delta));
        }
        entry
    }

    pub fn last_sequence(&self) -> i32 {
        self.batches.last().map_or(-1, |b| b.last_sequence)
    }

    fn find_duplicate(&self, batch: &ProducerBatch) -> Option<BatchMetadata> {
        if batch.producer_epoch != self.producer_epoch {
            return None;
        }
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        self.batches.iter().find(|b| b.first_sequence() == first && b.last_sequence == last).copied()
    }

    fn check_sequence(&self, batch: &ProducerBatch) -> Result<(), ProducerError> {
        let (producer_id, got) = (batch.producer_id, batch.base_sequence);
        if batch.producer_epoch != self.producer_epoch {
            if got != 0 && self.producer_epoch != NO_PRODUCER_EPOCH {
                return Err(ProducerError::NewEpochMustStartAtZero { producer_id, epoch: batch.producer_epoch, got });
            }
            return Ok(());
        }
        let current = self.last_sequence();
        let in_sequence = i64::from(got) == i64::from(current) + 1 || (got == 0 && current == i32::MAX);
        if !in_sequence && self.producer_epoch != NO_PRODUCER_EPOCH {
            return Err(ProducerError::OutOfOrderSequence { producer_id, got, current });
        }
        Ok(())
    }

    /// The stored value: version, epochs, timestamp, open transaction (-1 for none), then the batches.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(24 + self.batches.len() * 24);
        out.put_u8(VALUE_VERSION);
        out.put_i16(self.producer_epoch);
        out.put_i32(self.coordinator_epoch);
        out.put_i64(self.last_timestamp_ms);
        out.put_i64(self.current_txn_first_offset.unwrap_or(-1));
        out.put_u8(self.batches.len() as u8);
        for batch in &self.batches {
            out.put_i32(batch.last_sequence);
            out.put_i64(batch.last_offset);
            out.put_i32(batch.offset_delta);
            out.put_i64(batch.timestamp_ms);
        }
        out.freeze()
    }

    /// `None` for bytes that [`Self::encode`] never wrote.
    pub fn decode(mut value: &[u8]) -> Option<ProducerEntry> {
        if value.len() < 24 || value.get_u8() != VALUE_VERSION {
            return None;
        }
        let producer_epoch = value.get_i16();
        let coordinator_epoch = value.get_i32();
        let last_timestamp_ms = value.get_i64();
        let txn = value.get_i64();
        let count = usize::from(value.get_u8());
        if count > RETAINED_BATCHES || value.len() != count * 24 {
            return None;
        }
        let batches = (0..count)
            .map(|_| BatchMetadata {
                last_sequence: value.get_i32(),
                last_offset: value.get_i64(),
                offset_delta: value.get_i32(),
                timestamp_ms: value.get_i64(),
            })
            .collect();
        let current_txn_first_offset = (txn >= 0).then_some(txn);
        Some(ProducerEntry { producer_epoch, coordinator_epoch, last_timestamp_ms, current_txn_first_offset, batches })
    }
}

/// The row key of a producer.
pub fn row_key(producer_id: i64) -> Bytes {
    Bytes::copy_from_slice(&producer_id.to_be_bytes())
}

/// The producer id in a row key.
pub fn producer_id_of(key: &[u8]) -> Option<i64> {
    key.try_into().ok().map(i64::from_be_bytes)
}

/// Sequences wrap from `i32::MAX` to 0.
pub fn increment_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    if sum > i64::from(i32::MAX) { (sum - i64::from(i32::MAX) - 1) as i32 } else { sum as i32 }
}

fn decrement_sequence(sequence: i32, by: i32) -> i32 {
    if sequence < by { (i64::from(i32::MAX) - i64::from(by) + i64::from(sequence) + 1) as i32 } else { sequence - by }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32, count: i32) -> ProducerBatch {
        ProducerBatch {
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence,
            last_offset_delta: count - 1,
            max_timestamp_ms: 1_000,
            is_transactional: false,
        }
    }

    fn with(batches: &[(i16, i32, i32)]) -> Producers {
        let mut producers = Producers::default();
        let mut end = 0;
        for (epoch, sequence, count) in batches {
            let b = batch(*epoch, *sequence, *count);
            end += i64::from(*count);
            let entry = ProducerEntry::after(producers.get(7), &b, end - 1);
            producers.put(7, entry);
        }
        producers
    }

    #[test]
    fn an_unknown_producer_may_start_at_any_sequence() {
        assert_eq!(Producers::default().check(&batch(0, 41, 3), AppendOrigin::Client), Ok(Checked::Fresh));
    }

    #[test]
    fn the_last_five_batches_are_told_as_duplicates_with_their_offsets() {
        let producers = with(&[(0, 0, 2), (0, 2, 2), (0, 4, 2), (0, 6, 2), (0, 8, 2), (0, 10, 2)]);
        match producers.check(&batch(0, 2, 2), AppendOrigin::Client) {
            Ok(Checked::Duplicate(found)) => assert_eq!((found.first_offset(), found.last_offset), (2, 3)),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            producers.check(&batch(0, 0, 2), AppendOrigin::Client),
            Err(ProducerError::OutOfOrderSequence { producer_id: 7, got: 0, current: 11 }),
            "the sixth from the end is forgotten"
        );
    }

    #[test]
    fn gaps_old_epochs_and_new_epochs_that_do_not_start_at_zero_are_refused() {
        let producers = with(&[(3, 0, 2)]);
        assert!(matches!(
            producers.check(&batch(3, 3, 1), AppendOrigin::Client),
            Err(ProducerError::OutOfOrderSequence { .. })
        ));
        assert!(matches!(
            producers.check(&batch(2, 2, 1), AppendOrigin::Client),
            Err(ProducerError::InvalidEpoch { .. })
        ));
        assert!(matches!(
            producers.check(&batch(4, 2, 1), AppendOrigin::Client),
            Err(ProducerError::NewEpochMustStartAtZero { .. })
        ));
        assert_eq!(producers.check(&batch(4, 0, 1), AppendOrigin::Client), Ok(Checked::Fresh));
        assert_eq!(producers.check(&batch(3, 2, 1), AppendOrigin::Client), Ok(Checked::Fresh));
    }

    #[test]
    fn sequences_wrap_at_the_largest_int() {
        let producers = with(&[(0, i32::MAX - 1, 4)]);
        assert_eq!(producers.get(7).map(ProducerEntry::last_sequence), Some(1));
        assert_eq!(producers.check(&batch(0, 2, 1), AppendOrigin::Client), Ok(Checked::Fresh));
        assert!(matches!(producers.check(&batch(0, i32::MAX - 1, 4), AppendOrigin::Client), Ok(Checked::Duplicate(_))));
    }

    #[test]
    fn a_transactional_batch_outside_a_transaction_is_refused() {
        let mut b = batch(0, 0, 1);
        b.is_transactional = true;
        assert_eq!(
            Producers::default().check(&b, AppendOrigin::Client),
            Err(ProducerError::NotInTransaction { producer_id: 7 })
        );
    }

    #[test]
    fn entries_survive_encoding_and_nothing_else_decodes() {
        let producers = with(&[(3, 0, 2), (3, 2, 9)]);
        let entry = producers.get(7).expect("entry").clone();
        let encoded = entry.encode();
        assert_eq!(ProducerEntry::decode(&encoded), Some(entry));
        for cut in 0..encoded.len() {
            assert_eq!(ProducerEntry::decode(&encoded[..cut]), None);
        }
    }

    #[test]
    fn idle_producers_expire() {
        let mut producers = with(&[(0, 0, 1)]);
        assert_eq!(producers.expire(1_500, 1_000), Vec::<i64>::new());
        assert_eq!(producers.expire(2_000, 1_000), vec![7]);
        assert!(producers.is_empty());
    }
}

//! A partition's log: assigns offsets in the order of arrival, hands batches to the store, and publishes the end offset when the store has them.
//!
//! ```text
//!   log start offset      end offset (published: written, readable)   next offset (assigned: queued in the store)
//!          |                              |                                    |
//!   -------+------------------------------+------------------------------------+
//! ```
//!
//! Offsets are assigned under the partition's lock when an append is queued, because an idempotent producer's next batch is checked against
//! this one before it is written. The lock is held for the check and the queueing only, never for IO but the first load of the partition's rows.

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use thiserror::Error;

use super::append::BatchInfo;
use super::epochs::{self, EpochEntry, Epochs};
use super::producers::{self, AppendOrigin, BatchMetadata, Checked, ProducerEntry, ProducerError, Producers};
use crate::protocol::batch_error::BatchError;
use crate::protocol::record_batch::BatchMut;
use crate::store::{
    Append, Durability, LocalId, PartitionRow, RecordStore, Retention, StateKind, StateRow, StoreError, Write,
};
use crate::types::budget::Reservation;
use crate::types::{LeaderEpoch, TopicIdPartition};

/// Told of a log's progress, on the store's writer thread: must not block.
pub trait LogListener: Send + Sync + 'static {
    /// The end offset is now `end_offset`; `bytes` came with this step.
    fn written(&self, end_offset: i64, bytes: usize);
    /// An append that had got its offsets failed; the store takes no more.
    fn failed(&self, error: &StoreError);
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LogError {
    #[error(transparent)]
    Producer(#[from] ProducerError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("offset {offset} is out of range: the log starts at {start} and ends at {end}")]
    OffsetOutOfRange { offset: i64, start: i64, end: i64 },
    #[error("stored state of partition {id} is not readable: {what}")]
    DamagedState { id: TopicIdPartition, what: &'static str },
    #[error("stored records of partition {id} at offset {offset} are not readable: {what}")]
    DamagedRecords { id: TopicIdPartition, offset: i64, what: String },
}

impl LogError {
    /// For a read that was refused because the first run is longer than what may be read: how long it is.
    pub fn long_run_bytes(&self) -> Option<usize> {
        match self {
            Self::Store(StoreError::LongRun { length_bytes, .. }) => Some(*length_bytes),
            _ => None,
        }
    }
}

/// Where an accepted append is. It is acknowledged only once the end offset (or the high watermark) has passed `last_offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
    /// The batch was appended before and only told again; the timestamp is the one it was stored with.
    pub duplicate_timestamp_ms: Option<i64>,
}

/// One append: batches already validated.
pub struct AppendRequest<'a> {
    /// The batches, adjacent, to be patched with offsets and leader epoch.
    pub records: BytesMut,
    pub batches: &'a [BatchInfo],
    pub leader_epoch: LeaderEpoch,
    pub origin: AppendOrigin,
    pub durability: Durability,
    /// `flush.messages`: an append that brings the unsynced records to this many is synced.
    pub flush_messages: i64,
    /// What the bytes were paid with, held until the store has written them, whoever waits for that or not.
    pub memory: Option<Arc<Reservation>>,
}

/// What an append or a load changes, under one lock.
#[derive(Debug)]
struct LogState {
    next_offset: i64,
    unsynced_records: i64,
    /// When [`PartitionLog::flush_after`] first saw that there are some.
    unsynced_since_ms: Option<i64>,
    /// Where the current leader's epoch begins, to be joined with the rows when they are loaded.
    leader_epoch_start: Option<EpochEntry>,
    /// Rows of the store, loaded at the first use: most partitions of a large broker are idle.
    loaded: Option<Loaded>,
}

impl LogState {
    fn synced(&mut self) {
        self.unsynced_records = 0;
        self.unsynced_since_ms = None;
    }
}

#[derive(Debug)]
struct Loaded {
    producers: Producers,
    epochs: Epochs,
    /// Rows of an epoch that has no record yet: they go with its first.
    unsaved_epochs: Vec<(Bytes, Option<Bytes>)>,
}

impl Loaded {
    fn note_epoch(&mut self, epoch: LeaderEpoch, start_offset: i64) {
        if let Some((entry, displaced)) = self.epochs.assign(epoch, start_offset) {
            let (key, value) = entry.row();
            self.unsaved_epochs.extend(displaced.into_iter().map(|epoch| (epochs::row_key(epoch), None)));
            self.unsaved_epochs.push((key, Some(value)));
        }
    }
}

pub struct PartitionLog {
    id: TopicIdPartition,
    local_id: LocalId,
    store: Arc<dyn RecordStore>,
    listener: Arc<dyn LogListener>,
    state: Mutex<LogState>,
    start_offset: AtomicI64,
    end_offset: AtomicI64,
}

impl PartitionLog {
    pub fn open(store: Arc<dyn RecordStore>, row: &PartitionRow, listener: Arc<dyn LogListener>) -> Self {
        Self {
            id: row.id,
            local_id: row.local_id,
            store,
            listener,
            state: Mutex::new(LogState {
                next_offset: row.log_end_offset,
                unsynced_records: 0,
                unsynced_since_ms: None,
                leader_epoch_start: None,
                loaded: None,
            }),
            start_offset: AtomicI64::new(row.log_start_offset),
            end_offset: AtomicI64::new(row.log_end_offset),
        }
    }

    pub fn id(&self) -> TopicIdPartition {
        self.id
    }

    pub fn local_id(&self) -> LocalId {
        self.local_id
    }

    pub fn store(&self) -> &Arc<dyn RecordStore> {
        &self.store
    }

    /// First offset that may be read.
    pub fn start_offset(&self) -> i64 {
        self.start_offset.load(Ordering::Acquire)
    }

    /// One past the last record that the store has written.
    pub fn end_offset(&self) -> i64 {
        self.end_offset.load(Ordering::Acquire)
    }

    /// Bytes of live records, for DescribeLogDirs.
    pub fn size_bytes(&self) -> u64 {
        self.store.size_bytes(self.local_id)
    }

    /// Checks producers, gives offsets, and queues the batches. The listener tells when they are written.
    pub fn append(self: &Arc<Self>, request: AppendRequest<'_>) -> Result<Appended, LogError> {
        let AppendRequest { mut records, batches, leader_epoch, origin, durability, flush_messages, memory } = request;
        let mut state = self.state.lock();
        let base_offset = state.next_offset;
        let loaded = self.loaded(&mut state)?;
        let changed = match check_producers(&loaded.producers, batches, origin, base_offset)? {
            Producing::Duplicate(found) => return Ok(duplicate(&found)),
            Producing::Fresh(changed) => changed,
        };
        let mut rows: Vec<StateRow> = Vec::with_capacity(changed.len());
        for (producer_id, entry) in &changed {
            rows.push(StateRow {
                kind: StateKind::Producer,
                key: producers::row_key(*producer_id),
                value: Some(entry.encode()),
            });
        }
        loaded.note_epoch(leader_epoch, base_offset);
        rows.extend(state_rows(loaded.unsaved_epochs.clone()));
        let (next_offset, max_timestamp_ms) = assign_offsets(&mut records, batches, base_offset, leader_epoch)?;
        let unsynced = state.unsynced_records + (next_offset - base_offset);
        let durability = if unsynced >= flush_messages { Durability::Synced } else { durability };
        self.submit(
            Append {
                local_id: self.local_id,
                base_offset,
                last_offset: next_offset - 1,
                leader_epoch,
                max_timestamp_ms,
                batches: records.freeze(),
                state: rows,
            },
            durability,
            memory,
        )?;
        state.next_offset = next_offset;
        match durability {
            Durability::Synced => state.synced(),
            Durability::Written => state.unsynced_records = unsynced,
        }
        if let Some(loaded) = state.loaded.as_mut() {
            for (producer_id, entry) in changed {
                loaded.producers.put(producer_id, entry);
            }
            loaded.unsaved_epochs.clear();
        }
        Ok(Appended { base_offset, last_offset: next_offset - 1, duplicate_timestamp_ms: None })
    }

    fn submit(
        self: &Arc<Self>,
        append: Append,
        durability: Durability,
        memory: Option<Arc<Reservation>>,
    ) -> Result<(), StoreError> {
        let (log, end_offset, bytes) = (Arc::clone(self), append.last_offset + 1, append.batches.len());
        self.store.submit(
            Write::Append(append),
            durability,
            Box::new(move |result| {
                drop(memory);
                match result {
                    Ok(()) => {
                        log.end_offset.store(end_offset, Ordering::Release);
                        log.listener.written(end_offset, bytes);
                    }
                    Err(error) => log.listener.failed(&error),
                }
            }),
        )
    }

    /// Moves the log start offset up to `offset` (DeleteRecords, KIP-107) and answers when that is durable. An offset at or below the start changes nothing.
    pub async fn advance_start_offset(self: &Arc<Self>, offset: i64) -> Result<i64, LogError> {
        self.move_start_offset(offset, Durability::Synced).await
    }

    /// Moves the log start offset up over what `retention` gives up. Answers the new start if it moved. A crash of the machine may take the move back: then the
    /// next check does it again.
    pub async fn retain(self: &Arc<Self>, retention: Retention) -> Result<Option<i64>, LogError> {
        let start = self.start_offset();
        if start >= self.end_offset() {
            return Ok(None);
        }
        let retained_from = self.store.retained_from(self.local_id, retention).await?;
        if retained_from <= start {
            return Ok(None);
        }
        self.move_start_offset(retained_from, Durability::Written).await.map(Some)
    }

    async fn move_start_offset(self: &Arc<Self>, offset: i64, durability: Durability) -> Result<i64, LogError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        {
            let mut state = self.state.lock();
            let (start, end) = (self.start_offset(), self.end_offset());
            if offset > end || offset < 0 {
                return Err(LogError::OffsetOutOfRange { offset, start, end });
            }
            if offset <= start {
                return Ok(start);
            }
            let mut epochs = self.loaded(&mut state)?.epochs.clone();
            let rows = epochs.trim_start(offset);
            let write =
                Write::SetLogStart { local_id: self.local_id, log_start_offset: offset, state: state_rows(rows) };
            let log = Arc::clone(self);
            self.store.submit(
                write,
                durability,
                Box::new(move |result| {
                    if result.is_ok() {
                        log.start_offset.fetch_max(offset, Ordering::AcqRel);
                    }
                    let _ = tell.send(result);
                }),
            )?;
            if let Some(loaded) = state.loaded.as_mut() {
                loaded.epochs = epochs;
            }
        }
        told.await.unwrap_or(Err(StoreError::Closed))?;
        Ok(self.start_offset())
    }

    /// Makes everything appended so far durable.
    pub async fn flush(&self) -> Result<(), LogError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.store.submit(
            Write::Barrier,
            Durability::Synced,
            Box::new(move |result| {
                let _ = tell.send(result);
            }),
        )?;
        self.state.lock().synced();
        Ok(told.await.unwrap_or(Err(StoreError::Closed))?)
    }

    /// `flush.ms`: makes everything durable once records have been seen unsynced for so long. Answers whether it did.
    pub async fn flush_after(&self, flush_ms: i64, now_ms: i64) -> Result<bool, LogError> {
        {
            let mut state = self.state.lock();
            if state.unsynced_records == 0
                || now_ms.saturating_sub(*state.unsynced_since_ms.get_or_insert(now_ms)) < flush_ms
            {
                return Ok(false);
            }
        }
        self.flush().await.map(|()| true)
    }

    /// The largest epoch not above `requested`, with the offset at which the next one began.
    pub fn end_offset_for_epoch(&self, requested: LeaderEpoch) -> Result<Option<(LeaderEpoch, i64)>, LogError> {
        let mut state = self.state.lock();
        let end_offset = self.end_offset();
        Ok(self.loaded(&mut state)?.epochs.end_offset_for(requested, end_offset))
    }

    /// Notes that `epoch` begins at the end of the log, as a leader does when it takes over. Stored with the epoch's first records.
    pub fn begin_leader_epoch(&self, epoch: LeaderEpoch) {
        let mut state = self.state.lock();
        let start_offset = state.next_offset;
        state.leader_epoch_start = Some(EpochEntry { epoch, start_offset });
        if let Some(loaded) = state.loaded.as_mut() {
            loaded.note_epoch(epoch, start_offset);
        }
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_at(&self, offset: i64) -> Result<Option<LeaderEpoch>, LogError> {
        let mut state = self.state.lock();
        Ok(self.loaded(&mut state)?.epochs.epoch_at(offset))
    }

    /// Every producer that the partition remembers, for DescribeProducers.
    pub fn producers(&self) -> Result<Vec<(i64, ProducerEntry)>, LogError> {
        let mut state = self.state.lock();
        Ok(self.loaded(&mut state)?.producers.iter().map(|(id, entry)| (id, entry.clone())).collect())
    }

    /// Forgets producers that have been idle for `producer.id.expiration.ms`. Does nothing for a log whose rows were never loaded.
    pub fn expire_producers(&self, now_ms: i64, expiration_ms: i64) -> Result<usize, LogError> {
        let mut state = self.state.lock();
        let Some(loaded) = state.loaded.as_mut() else { return Ok(0) };
        let expired = loaded.producers.expire(now_ms, expiration_ms);
        if expired.is_empty() {
            return Ok(0);
        }
        let rows =
            expired.iter().map(|id| StateRow { kind: StateKind::Producer, key: producers::row_key(*id), value: None });
        let write = Write::State { local_id: self.local_id, state: rows.collect() };
        self.store.submit(write, Durability::Written, Box::new(|_| {}))?;
        Ok(expired.len())
    }

    fn loaded<'a>(&self, state: &'a mut LogState) -> Result<&'a mut Loaded, LogError> {
        if state.loaded.is_none() {
            let mut loaded = self.load()?;
            if let Some(start) = state.leader_epoch_start {
                loaded.note_epoch(start.epoch, start.start_offset);
            }
            state.loaded = Some(loaded);
        }
        state.loaded.as_mut().ok_or(LogError::DamagedState { id: self.id, what: "not loaded" })
    }

    fn load(&self) -> Result<Loaded, LogError> {
        let damaged = |what| LogError::DamagedState { id: self.id, what };
        let mut producers = Producers::default();
        for (key, value) in self.store.state(self.local_id, StateKind::Producer)? {
            let producer_id = producers::producer_id_of(&key).ok_or_else(|| damaged("a producer's key"))?;
            producers.put(producer_id, ProducerEntry::decode(&value).ok_or_else(|| damaged("a producer's value"))?);
        }
        let rows = self.store.state(self.local_id, StateKind::LeaderEpoch)?;
        let epochs = Epochs::from_rows(&rows).ok_or_else(|| damaged("a leader epoch"))?;
        Ok(Loaded { producers, epochs, unsaved_epochs: Vec::new() })
    }
}

enum Producing {
    Duplicate(BatchMetadata),
    Fresh(SmallVec<[(i64, ProducerEntry); 1]>),
}

fn check_producers(
    known: &Producers,
    batches: &[BatchInfo],
    origin: AppendOrigin,
    base_offset: i64,
) -> Result<Producing, ProducerError> {
    let mut changed: SmallVec<[(i64, ProducerEntry); 1]> = SmallVec::new();
    let mut next_offset = base_offset;
    for batch in batches {
        next_offset += i64::from(batch.last_offset_delta) + 1;
        let Some(producer) = &batch.producer else { continue };
        let earlier = changed.iter().position(|(id, _)| *id == producer.producer_id);
        let before = match earlier.and_then(|i| changed.get(i)) {
            Some((_, entry)) => Some(entry),
            None => {
                if let Checked::Duplicate(found) = known.check(producer, origin)? {
                    return Ok(Producing::Duplicate(found));
                }
                known.get(producer.producer_id)
            }
        };
        let entry = ProducerEntry::after(before, producer, next_offset - 1);
        match earlier.and_then(|i| changed.get_mut(i)) {
            Some(slot) => slot.1 = entry,
            None => changed.push((producer.producer_id, entry)),
        }
    }
    Ok(Producing::Fresh(changed))
}

fn duplicate(found: &BatchMetadata) -> Appended {
    let (base_offset, last_offset) = (found.first_offset(), found.last_offset);
    Appended { base_offset, last_offset, duplicate_timestamp_ms: Some(found.timestamp_ms) }
}

/// Stamps each batch's header; answers the offset after the last, and the largest timestamp.
fn assign_offsets(
    records: &mut BytesMut,
    batches: &[BatchInfo],
    base_offset: i64,
    leader_epoch: LeaderEpoch,
) -> Result<(i64, i64), BatchError> {
    let (mut next_offset, mut max_timestamp_ms) = (base_offset, -1);
    for batch in batches {
        let mut stamped = BatchMut::new(records.get_mut(batch.position..).unwrap_or(&mut []))?;
        stamped.assign(next_offset, leader_epoch, batch.timestamp_type, batch.max_timestamp_ms);
        next_offset += i64::from(batch.last_offset_delta) + 1;
        max_timestamp_ms = max_timestamp_ms.max(batch.max_timestamp_ms);
    }
    Ok((next_offset, max_timestamp_ms))
}

fn state_rows(rows: Vec<(Bytes, Option<Bytes>)>) -> Vec<StateRow> {
    rows.into_iter().map(|(key, value)| StateRow { kind: StateKind::LeaderEpoch, key, value }).collect()
}

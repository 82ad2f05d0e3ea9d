//! Reading a partition's log: which whole batches a fetch gets.
//!
//! The store answers with runs, which may begin before the offset asked for; here they are cut to whole batches, never to records: clients skip what lies below their offset.

use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::partition_log::{LogError, PartitionLog};
use crate::protocol::batch_error::BatchError;
use crate::protocol::record_batch::{BatchHeader, BatchView, Batches};
use crate::protocol::records::{self, TimestampOffset};
use crate::store::{BoxFuture, Cut, ReadRequest, Run, RunInfo, Select, StoreError, Take};
use crate::types::budget::{Budget, Reservation};
use crate::types::limits::{DECOMPRESSED_BATCH_MAX_BYTES, USUAL_COMPRESSION_RATIO};
use crate::types::piece::Piece;

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRange {
    pub from_offset: i64,
    /// Nothing at or above this is returned (the high watermark, the last stable offset or the end offset).
    pub end_offset: i64,
    /// Whole batches are added while they fit.
    pub max_bytes: usize,
    /// Whether the first batch is returned even when it does not fit.
    pub at_least_one: bool,
    /// What may be read and returned at all, the first batch's run too: more is [`StoreError::LongRun`].
    pub most_bytes: usize,
}

impl ReadRange {
    /// Whether there is more to read behind a run. Where that is the last one that the store gave, it did not fit.
    fn goes_on_after(&self, run: &RunInfo) -> bool {
        run.last_offset.saturating_add(1) < self.end_offset
    }
}

/// Memory for a search by timestamp.
#[derive(Clone, Copy)]
pub struct SearchMemory<'a> {
    /// For runs that are looked through.
    pub runs: &'a Budget,
    /// For what comes out of compressed batches.
    pub opened: &'a Budget,
}

/// A slice of a run keeps all of the memory that the run lies in. Where that is more than so many times the slice, a copy is kept instead.
const MOST_PINNED: usize = 4;

/// Whole batches, in order: in memory, or (of [`Piece`]s) some of them in files. What they keep in memory is at most [`MOST_PINNED`] times their bytes.
#[derive(Clone, Debug)]
pub struct Records<P = Bytes> {
    pub pieces: Vec<P>,
    pub bytes: usize,
    /// Batches that were wanted, too, did not fit.
    pub more: bool,
}

impl<P> Default for Records<P> {
    fn default() -> Self {
        Self { pieces: Vec::new(), bytes: 0, more: false }
    }
}

impl Records<Piece> {
    /// Of their bytes, those that lie in memory.
    pub fn memory_bytes(&self) -> usize {
        self.pieces.iter().map(Piece::memory_bytes).sum()
    }
}

impl From<Records> for Records<Piece> {
    fn from(records: Records) -> Self {
        let Records { pieces, bytes, more } = records;
        Self { pieces: pieces.into_iter().map(Piece::Memory).collect(), bytes, more }
    }
}

/// A read that was begun. Dropping it loses what it brings, nothing else.
pub enum Reading {
    Done(Result<Records<Piece>, LogError>),
    /// With whether there is more than it brings, once it is there.
    Begun(BoxFuture<Result<Vec<Piece>, StoreError>>, Arc<AtomicBool>),
}

impl PartitionLog {
    /// Reads what is in memory. `None` sends the caller to [`Self::read`].
    pub fn try_read(&self, range: &ReadRange) -> Option<Result<Records, LogError>> {
        if let Err(error) = self.check_range(range) {
            return Some(Err(error));
        }
        if range.from_offset >= range.end_offset {
            return Some(Ok(Records::default()));
        }
        let runs = self.store().read_cached(&self.request(range))?;
        Some(self.select(&runs, range))
    }

    /// Reads from memory or disk, into memory.
    pub async fn read(&self, range: &ReadRange) -> Result<Records, LogError> {
        match self.try_read(range) {
            Some(done) => done,
            None => self.select(&self.store().read(self.request(range)).await?, range),
        }
    }

    /// Reads what is in memory, or has the store begin to read, which goes on while others are begun. What comes back is for [`Self::finish_read`].
    pub fn begin_read(&self, range: &ReadRange) -> Reading {
        match self.try_read(range) {
            Some(done) => Reading::Done(done.map(Records::into)),
            None => {
                let more = Arc::new(AtomicBool::new(false));
                let wanted = Wanted { range: *range, bytes: 0, more: Arc::clone(&more) };
                Reading::Begun(self.store().read_parts(self.request(range), Box::new(wanted)), more)
            }
        }
    }

    /// What came of a read that was begun.
    pub async fn finish_read(&self, reading: Reading) -> Result<Records<Piece>, LogError> {
        match reading {
            Reading::Done(done) => done,
            Reading::Begun(parts, more) => {
                let pieces = parts.await?;
                let bytes = pieces.iter().map(Piece::len).sum();
                Ok(Records { pieces, bytes, more: more.load(Ordering::Acquire) })
            }
        }
    }

    /// The first record at or after `timestamp_ms`, among those below `end_offset`.
    pub async fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
        end_offset: i64,
        memory: &SearchMemory<'_>,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let mut from_offset = self.start_offset();
        while let Some(run) = self.store().find_timestamp(self.local_id(), timestamp_ms, from_offset).await? {
            if run.base_offset >= end_offset {
                return Ok(None);
            }
            let (pieces, _paid) = self.whole_run(&run, memory).await?;
            for piece in pieces {
                for batch in Batches::new(&piece) {
                    let batch = batch.map_err(|e| self.damaged(run.base_offset, &e))?;
                    if batch.header.max_timestamp_ms < timestamp_ms {
                        continue;
                    }
                    let found = self.first_at_or_after(&batch, timestamp_ms, memory).await?;
                    if let Some(found) = found {
                        return Ok((found.offset < end_offset).then_some(found));
                    }
                }
            }
            from_offset = run.last_offset + 1;
        }
        Ok(None)
    }

    /// The record with the largest timestamp (the earliest of them), for ListOffsets' -3 (KIP-734).
    pub async fn offset_of_max_timestamp(
        &self,
        memory: &SearchMemory<'_>,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let Some(run) = self.store().max_timestamp(self.local_id()).await? else { return Ok(None) };
        let mut best: Option<TimestampOffset> = None;
        let (pieces, _paid) = self.whole_run(&run, memory).await?;
        for piece in pieces {
            for batch in Batches::new(&piece) {
                let batch = batch.map_err(|e| self.damaged(run.base_offset, &e))?;
                if best.is_some_and(|best| best.timestamp_ms >= batch.header.max_timestamp_ms) {
                    continue;
                }
                let found = self.first_at_or_after(&batch, batch.header.max_timestamp_ms, memory).await?;
                best = found.or(best);
            }
        }
        Ok(best)
    }

    /// A batch's first record at or after `timestamp_ms`. Memory to open a compressed one in is taken first: what ordinary ones need, then the most.
    async fn first_at_or_after(
        &self,
        batch: &BatchView<'_>,
        timestamp_ms: i64,
        memory: &SearchMemory<'_>,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let most = DECOMPRESSED_BATCH_MAX_BYTES;
        let mut bytes = batch.bytes.len().saturating_mul(USUAL_COMPRESSION_RATIO).min(most);
        loop {
            let _paid = memory.opened.reserve(bytes).await;
            match records::first_at_or_after(batch, timestamp_ms, self.start_offset(), bytes) {
                Err(BatchError::Bomb(_)) if bytes < most => bytes = most,
                found => return found.map_err(|e| self.damaged(batch.header.base_offset, &e)),
            }
        }
    }

    async fn whole_run(&self, run: &RunInfo, memory: &SearchMemory<'_>) -> Result<(Vec<Bytes>, Reservation), LogError> {
        let paid = memory.runs.reserve(usize::try_from(run.length_bytes).unwrap_or(usize::MAX)).await;
        let request = ReadRequest {
            local_id: self.local_id(),
            from_offset: run.base_offset,
            end_offset: run.last_offset + 1,
            max_bytes: 1,
            most_bytes: usize::MAX,
        };
        let runs = match self.store().read_cached(&request) {
            Some(runs) => runs,
            None => self.store().read(request).await?,
        };
        Ok((runs.into_iter().take(1).flat_map(|run| run.pieces).collect(), paid))
    }

    fn check_range(&self, range: &ReadRange) -> Result<(), LogError> {
        let (start, end) = (self.start_offset(), self.end_offset());
        if range.from_offset < start || range.from_offset > end {
            return Err(LogError::OffsetOutOfRange { offset: range.from_offset, start, end });
        }
        Ok(())
    }

    fn request(&self, range: &ReadRange) -> ReadRequest {
        ReadRequest {
            local_id: self.local_id(),
            from_offset: range.from_offset,
            end_offset: range.end_offset,
            // The first batch may be wanted whatever its size.
            max_bytes: range.max_bytes.max(1),
            most_bytes: range.most_bytes,
        }
    }

    fn select(&self, runs: &[Run], range: &ReadRange) -> Result<Records, LogError> {
        let mut selected = Records::default();
        for run in runs {
            for piece in &run.pieces {
                let (cut, more) = cut_piece(piece, run.info.last_offset, range, selected.bytes)
                    .map_err(|e| self.damaged(run.info.base_offset, &e))?;
                selected.more = more || range.goes_on_after(&run.info);
                if let Some(wanted) = cut.range {
                    let length_bytes = selected.bytes + wanted.len();
                    if length_bytes > range.most_bytes {
                        return Err(StoreError::LongRun { length_bytes, most_bytes: range.most_bytes }.into());
                    }
                    selected.bytes = length_bytes;
                    let slice = piece.slice(wanted);
                    let copy = slice.len().saturating_mul(MOST_PINNED) < run.pinned_bytes;
                    selected.pieces.push(if copy { Bytes::copy_from_slice(&slice) } else { slice });
                }
                if cut.full {
                    return Ok(selected);
                }
            }
        }
        Ok(selected)
    }

    fn damaged(&self, offset: i64, error: &dyn std::fmt::Display) -> LogError {
        LogError::DamagedRecords { id: self.id(), offset, what: error.to_string() }
    }
}

/// Finds what a range wants, for a store that reads run after run.
struct Wanted {
    range: ReadRange,
    /// What was taken so far.
    bytes: usize,
    /// Whether something did not fit.
    more: Arc<AtomicBool>,
}

impl Wanted {
    /// Whether a run that does not fit is left out. To cut it, this fetch has to read it, and the next one again: an answer that is a little shorter costs less.
    fn leaves_parts(&self) -> bool {
        self.bytes > self.range.max_bytes / 2
    }
}

impl Select for Wanted {
    fn take_whole(&mut self, run: &RunInfo) -> Take {
        if run.base_offset < self.range.from_offset || run.last_offset >= self.range.end_offset {
            return Take::Part;
        }
        let bytes = usize::try_from(run.length_bytes).ok().and_then(|length| self.bytes.checked_add(length));
        match bytes.filter(|bytes| *bytes <= self.range.max_bytes) {
            Some(bytes) => {
                self.bytes = bytes;
                self.more.store(self.range.goes_on_after(run), Ordering::Release);
                Take::Whole
            }
            None if self.leaves_parts() => {
                self.more.store(true, Ordering::Release);
                Take::Enough
            }
            None => Take::Part,
        }
    }

    fn cut(&mut self, run: &RunInfo, batches: &[u8]) -> Result<Cut, String> {
        let (cut, more) =
            cut_piece(batches, run.last_offset, &self.range, self.bytes).map_err(|error| error.to_string())?;
        self.more.store(more || self.range.goes_on_after(run), Ordering::Release);
        if more && self.leaves_parts() {
            return Ok(Cut { range: None, full: true });
        }
        self.bytes += cut.range.as_ref().map_or(0, Range::len);
        Ok(cut)
    }
}

/// Finds the whole batches of a piece that a range wants, by their headers alone; and whether more are wanted than fit.
fn cut_piece(
    piece: &[u8],
    run_last_offset: i64,
    range: &ReadRange,
    bytes_before: usize,
) -> Result<(Cut, bool), BatchError> {
    let (mut from, mut to, mut full, mut more) = (None, 0, false, false);
    let mut position = 0;
    while position < piece.len() {
        let rest = piece.get(position..).unwrap_or(&[]);
        let header: BatchHeader = BatchView::parse(rest)?.header;
        let size = header.size_bytes();
        if header.base_offset >= range.end_offset || header.base_offset > run_last_offset {
            full = header.base_offset >= range.end_offset;
            break;
        }
        if header.last_offset() >= range.from_offset {
            let start = *from.get_or_insert(position);
            let total = bytes_before + (position - start) + size;
            let first = bytes_before == 0 && position == start;
            if total > range.max_bytes && !(first && range.at_least_one) {
                (full, more) = (true, true);
                break;
            }
            to = position + size;
        }
        position += size;
    }
    let range = from.filter(|start| to > *start).map(|start| start..to);
    Ok((Cut { range, full }, more))
}

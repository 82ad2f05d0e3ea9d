//! Reads that memory cannot answer: through the page cache, every run checked against its checksum. Consumers' records are not kept after the check: they
//! are sent from the file.
//!
//! Never changes anything. A run that cannot be read is an error, never an empty answer.

use ahash::HashMap;
use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::cmp;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checked::{Checked, CheckedFile, SHORTEST_BYTES};
use super::index::Index;
use super::io::{Disk, DiskFile, Through};
use super::read_ahead::{MOST_AHEAD_BYTES, ReadAhead, is_dense};
use super::record_file::{Seed, file_name};
use super::table::Table;
use super::values::{PartitionValue, RunValue, UNKNOWN_TIMESTAMP};
use super::{LocalId, ReadRequest, Retention, Run, RunInfo, Select, StoreError, Take};
use crate::types::piece::{FileSlice, Piece, SendSource};

/// Record files kept open for reading.
const OPEN_FILES: usize = 256;
/// From this length on a part is sent from its file.
const SENT_FROM_FILE_BYTES: usize = SHORTEST_BYTES;

/// Brought ahead without a pause for those who wait for a part of the same file.
const AHEAD_STEP_BYTES: u64 = 512 * 1024;

/// A part of a file that will be wanted.
pub(super) type Ahead = (u64, Range<u64>);

/// A partition's run with its place.
type Row = (i64, RunValue);

/// What reads need of a store.
pub(super) struct Reader {
    disk: Arc<dyn Disk>,
    index: Arc<Index>,
    table: Arc<Table>,
    /// Of every record file that the index has a row for.
    salts: RwLock<HashMap<u64, u64>>,
    open: Mutex<HashMap<(u64, Through), Arc<dyn DiskFile>>>,
    ahead: ReadAhead,
    checked: Checked,
    brings_ahead: AtomicBool,
    /// The file that is written, and up to where. Files before it are whole.
    written: Mutex<(u64, u64)>,
}

impl Reader {
    pub(super) fn new(disk: Arc<dyn Disk>, index: Arc<Index>, table: Arc<Table>) -> Self {
        Reader {
            disk,
            index,
            table,
            salts: RwLock::default(),
            open: Mutex::default(),
            ahead: ReadAhead::default(),
            checked: Checked::default(),
            brings_ahead: AtomicBool::new(false),
            written: Mutex::default(),
        }
    }

    pub(super) fn note_file(&self, seed: Seed) {
        self.salts.write().insert(seed.file_id, seed.salt);
    }

    /// The file is dead. Reads that hold it may finish.
    pub(super) fn forget_file(&self, file_id: u64) {
        self.salts.write().remove(&file_id);
        let mut open = self.open.lock();
        open.remove(&(file_id, Through::Cache));
        open.remove(&(file_id, Through::Device));
        drop(open);
        self.ahead.forget_file(file_id);
        self.checked.forget_file(file_id);
    }

    /// All before this position is written. Told in the order of writing, before anything there is applied.
    pub(super) fn note_written(&self, file_id: u64, position: u64) {
        *self.written.lock() = (file_id, position);
    }

    fn written_to(&self, file_id: u64) -> u64 {
        let (current, position) = *self.written.lock();
        match file_id.cmp(&current) {
            cmp::Ordering::Less => u64::MAX,
            cmp::Ordering::Equal => position,
            cmp::Ordering::Greater => 0,
        }
    }

    fn file(&self, file_id: u64, through: Through) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.open.lock().get(&(file_id, through)) {
            return Ok(file.clone());
        }
        let file = self.disk.open_for_read(&file_name(file_id), through)?;
        let mut open = self.open.lock();
        if open.len() >= OPEN_FILES
            && let Some(any) = open.keys().next().copied()
        {
            open.remove(&any);
        }
        open.insert((file_id, through), file.clone());
        Ok(file)
    }

    fn value(&self, local_id: LocalId) -> Result<PartitionValue, StoreError> {
        self.table.value(local_id).ok_or(StoreError::UnknownPartition(local_id))
    }

    /// Live runs from the one that holds `from_offset`, or the next.
    fn rows_from(
        &self,
        local_id: LocalId,
        from_offset: i64,
    ) -> Result<impl Iterator<Item = Result<Row, StoreError>> + '_, StoreError> {
        let value = self.value(local_id)?;
        let from_offset = from_offset.max(value.log_start_offset);
        let first = self.index.run_before(local_id, from_offset)?.filter(|(_, run)| run.last_offset >= from_offset);
        let from_offset = first.map_or(from_offset, |(base_offset, _)| base_offset);
        let rows = self.index.runs_from(local_id, from_offset)?;
        // A row may be in the index a moment before its group counts as applied.
        Ok(rows
            .take_while(move |row| row.as_ref().map_or(true, |(base_offset, _)| *base_offset < value.log_end_offset)))
    }

    /// What [`super::RecordStore::read`] answers. Blocks.
    pub(super) fn read(&self, request: &ReadRequest) -> Result<Vec<Run>, StoreError> {
        let (rows, filled) = self.wanted_rows(request)?;
        self.will_read(&rows, filled);
        let mut runs = Vec::new();
        for (base_offset, run) in &rows {
            match self.read_run(*base_offset, run) {
                Ok((batches, _)) => {
                    let pinned_bytes = batches.len();
                    runs.push(Run { info: run.info(*base_offset), pieces: vec![batches], pinned_bytes });
                }
                Err(error) if runs.is_empty() => return Err(error),
                // What came before it is good; the reader meets it when it asks for what follows.
                Err(_) => break,
            }
        }
        Ok(runs)
    }

    /// What [`super::RecordStore::read_parts`] answers. Blocks. With it comes what to bring ahead.
    pub(super) fn read_parts(
        &self,
        request: &ReadRequest,
        select: &mut dyn Select,
    ) -> Result<(Vec<Piece>, Option<Ahead>), StoreError> {
        let (rows, filled) = self.wanted_rows(request)?;
        let mut parts = Parts::default();
        let mut ahead = None;
        'files: for rows in rows.chunk_by(|(_, one), (_, next)| one.file_id == next.file_id) {
            let Some((_, first)) = rows.first() else { break };
            let at = self.at(first.file_id);
            ahead = self.bring_rows(rows, filled);
            for (base_offset, run) in rows {
                match self.take_run(&at, *base_offset, run, select, &mut parts) {
                    Ok(true) => {}
                    Ok(false) => break 'files,
                    Err(error) if parts.is_empty() => return Err(error),
                    // What came before it is good; the reader meets it when it asks for what follows.
                    Err(_) => break 'files,
                }
            }
        }
        Ok((parts.finish(), ahead))
    }

    /// Takes what is wanted of a run that comes next. False when nothing after it is wanted.
    fn take_run(
        &self,
        at: &At,
        base_offset: i64,
        run: &RunValue,
        select: &mut dyn Select,
        parts: &mut Parts,
    ) -> Result<bool, StoreError> {
        let info = run.info(base_offset);
        if let Some(source) = &at.source
            && at.checked.as_ref().is_some_and(|checked| checked.is_whole(run))
        {
            match select.take_whole(&info) {
                Take::Whole => {
                    parts.push(FileSlice::new(source.clone(), run.position, run.length_bytes as usize));
                    return Ok(true);
                }
                Take::Enough => return Ok(false),
                Take::Part => {}
            }
        }
        let (batches, lies_in_cache) = self.read_run(base_offset, run)?;
        let cut = select.cut(&info, &batches).map_err(|what| self.damaged(base_offset, run, &what))?;
        if let Some(wanted) = cut.range {
            // Short parts are copied together: a call of the kernel for each would cost more.
            let is_long = lies_in_cache && wanted.len() >= SENT_FROM_FILE_BYTES;
            match at.source.as_ref().filter(|_| is_long) {
                Some(source) => {
                    if let Some(checked) = at.checked.as_ref().filter(|_| wanted == (0..batches.len())) {
                        checked.note(run.position, batches.len(), run.crc, run.last_offset);
                    }
                    parts.push(FileSlice::new(source.clone(), run.position + wanted.start as u64, wanted.len()));
                }
                None => parts.copied.extend_from_slice(batches.get(wanted).unwrap_or_default()),
            }
        }
        Ok(!cut.full)
    }

    /// A file as its runs are sent from it. What cannot be had of it shows where a run is read.
    fn at(&self, file_id: u64) -> At {
        let file = self.file(file_id, Through::Cache).ok();
        let checked = file.as_ref().and_then(|file| Some(self.checked.file(file_id, file.len().ok()?)));
        At { source: file.and_then(DiskFile::into_source), checked }
    }

    /// Has the part of a file that a read wants in the page cache. Returns what a reader that goes on will want next.
    fn bring_rows(&self, rows: &[Row], filled: bool) -> Option<Ahead> {
        let (_, first) = rows.first()?;
        let parts: Vec<Range<u64>> = rows.iter().map(|(_, run)| run.position..end_of(run)).collect();
        let (start, end) = (parts.first()?.start, parts.last()?.end);
        if !is_dense(&parts) || !self.bring(first.file_id, start..end) {
            self.will_read(rows, filled);
            return None;
        }
        filled.then(|| (first.file_id, end..end + (end - start).min(MOST_AHEAD_BYTES)))
    }

    /// Has a part of a full file in the page cache. False where that cannot be done.
    fn bring(&self, file_id: u64, part: Range<u64>) -> bool {
        // In front of the writer the system would keep zeros that it has read ahead.
        if self.written_to(file_id) != u64::MAX {
            return false;
        }
        let Ok(length) = self.file(file_id, Through::Cache).and_then(|file| file.len()) else { return false };
        let checked = self.checked.file(file_id, length);
        let mut brought = checked.brought.lock();
        let open = || self.disk.open_for_read(&file_name(file_id), Through::Cache);
        let is_brought = brought.bring(part.start..part.end.min(length), open).is_ok();
        if part.end >= length {
            brought.close();
        }
        MutexGuard::unlock_fair(brought);
        is_brought
    }

    /// Has in the page cache what a reader will want next, one reader's at a time. Blocks.
    pub(super) fn bring_ahead(&self, (file_id, part): Ahead) {
        if self.brings_ahead.swap(true, Ordering::Acquire) {
            return;
        }
        let mut from = part.start;
        while from < part.end {
            let to = (from + AHEAD_STEP_BYTES).min(part.end);
            if !self.bring(file_id, from..to) {
                break;
            }
            from = to;
        }
        self.brings_ahead.store(false, Ordering::Release);
    }

    /// Tells the operating system what will be read. Only advice: what fails shows when it is read.
    fn will_read(&self, rows: &[Row], filled: bool) {
        let wanted: Vec<_> = rows.iter().map(|(_, run)| (run.file_id, run.position..end_of(run))).collect();
        let written_to = |file_id| self.written_to(file_id);
        for (file_id, part) in self.ahead.parts(&wanted, filled.then_some(&written_to)) {
            if let Ok(file) = self.file(file_id, Through::Cache) {
                file.will_need(part.start, part.end - part.start);
            }
        }
    }

    /// The rows of a read, and whether it ends because it has enough.
    fn wanted_rows(&self, request: &ReadRequest) -> Result<(Vec<Row>, bool), StoreError> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        for row in self.rows_from(request.local_id, request.from_offset)? {
            let (base_offset, run) = row?;
            if base_offset >= request.end_offset || bytes >= request.max_bytes {
                break;
            }
            let length_bytes = run.length_bytes as usize;
            if length_bytes > request.most_bytes.saturating_sub(bytes) {
                if rows.is_empty() {
                    return Err(StoreError::LongRun { length_bytes, most_bytes: request.most_bytes });
                }
                break;
            }
            bytes = bytes.saturating_add(length_bytes);
            rows.push((base_offset, run));
        }
        Ok((rows, bytes >= request.max_bytes))
    }

    /// A run's batches, checked, and whether what the page cache has of the file is what was checked.
    fn read_run(&self, base_offset: i64, run: &RunValue) -> Result<(Bytes, bool), StoreError> {
        let failed = |what: String| StoreError::Io { file: file_name(run.file_id), what };
        let salt = self.salts.read().get(&run.file_id).copied();
        let seed = Seed { file_id: run.file_id, salt: salt.ok_or_else(|| failed("it is not in the index".into()))? };
        let read = |through| self.read_part(run.file_id, through, run.position, run.length_bytes as usize);
        // What the cache cannot read, or has broken, only counts when the device says so too.
        if let Ok(found) = read(Through::Cache)
            && seed.checksum(run.position, &found) == run.crc
        {
            return Ok((found, true));
        }
        let found = read(Through::Device).map_err(|error| failed(error.to_string()))?;
        if found.len() < run.length_bytes as usize {
            return Err(self.damaged(base_offset, run, "the file ends within the run"));
        }
        if seed.checksum(run.position, &found) != run.crc {
            return Err(self.damaged(base_offset, run, "the run's checksum is wrong"));
        }
        Ok((found, false))
    }

    fn damaged(&self, base_offset: i64, run: &RunValue, what: &str) -> StoreError {
        StoreError::Damaged {
            file: file_name(run.file_id),
            position: run.position,
            what: format!("{what} (offset {base_offset})"),
        }
    }

    /// Reads a part of a file by itself; less where the file ends.
    fn read_part(&self, file_id: u64, through: Through, position: u64, length: usize) -> io::Result<Bytes> {
        self.file(file_id, through)?.read_at(position, length)
    }

    /// What [`super::RecordStore::find_timestamp`] answers. By halves over the largest timestamps so far; run by run only where a run before the first has a
    /// larger timestamp than what is asked for, or where rows do not tell.
    pub(super) fn find_timestamp(
        &self,
        local_id: LocalId,
        timestamp_ms: i64,
        from_offset: i64,
    ) -> Result<Option<RunInfo>, StoreError> {
        let value = self.value(local_id)?;
        let Some(first) = self.rows_from(local_id, from_offset)?.next() else { return Ok(None) };
        let (base_offset, first) = first?;
        if first.max_timestamp_ms >= timestamp_ms {
            return Ok(Some(first.info(base_offset)));
        }
        if value.max_timestamp_so_far_ms < timestamp_ms {
            return Ok(None);
        }
        if first.max_timestamp_so_far_ms >= timestamp_ms {
            return self.find_in_order(local_id, timestamp_ms, first.last_offset.saturating_add(1));
        }
        // No run that begins below `low` has it, and one that begins at `high` has it or is the end.
        let (mut low, mut high) = (first.last_offset.saturating_add(1), value.log_end_offset);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.index.run_before(local_id, middle)?.filter(|(base_offset, _)| *base_offset >= low) {
                Some((base_offset, run)) if run.max_timestamp_so_far_ms >= timestamp_ms => {
                    high = base_offset;
                    found = Some(run.info(base_offset));
                }
                Some((_, run)) => low = run.last_offset.saturating_add(1).max(middle + 1),
                None => low = middle + 1,
            }
        }
        match found {
            // Runs were truncated meanwhile, and others came.
            Some(info) if info.max_timestamp_ms < timestamp_ms => {
                self.find_in_order(local_id, timestamp_ms, from_offset)
            }
            found => Ok(found),
        }
    }

    fn find_in_order(
        &self,
        local_id: LocalId,
        timestamp_ms: i64,
        from_offset: i64,
    ) -> Result<Option<RunInfo>, StoreError> {
        for row in self.rows_from(local_id, from_offset)? {
            let (base_offset, run) = row?;
            if run.max_timestamp_ms >= timestamp_ms {
                return Ok(Some(run.info(base_offset)));
            }
        }
        Ok(None)
    }

    pub(super) fn retained_from(&self, local_id: LocalId, retention: &Retention) -> Result<i64, StoreError> {
        let value = self.value(local_id)?;
        let runs = self.rows_from(local_id, value.log_start_offset)?;
        retention.start(
            value.log_start_offset,
            runs.map(|row| {
                let (base_offset, run) = row?;
                let before_next = run.bytes_before.saturating_add(u64::from(run.length_bytes));
                Ok((run.info(base_offset), value.bytes_end.saturating_sub(before_next)))
            }),
        )
    }

    pub(super) fn max_timestamp(&self, local_id: LocalId) -> Result<Option<RunInfo>, StoreError> {
        let largest_ms = self.value(local_id)?.max_timestamp_so_far_ms;
        // Unless the run that has it is dead, or rows do not tell.
        if largest_ms != UNKNOWN_TIMESTAMP
            && let Some(found) = self.find_timestamp(local_id, largest_ms, 0)?
        {
            return Ok(Some(found));
        }
        let mut best: Option<RunInfo> = None;
        for row in self.rows_from(local_id, 0)? {
            let (base_offset, run) = row?;
            if best.is_none_or(|best| run.max_timestamp_ms > best.max_timestamp_ms) {
                best = Some(run.info(base_offset));
            }
        }
        Ok(best)
    }
}

/// A file that a read has come to.
struct At {
    source: Option<Arc<dyn SendSource>>,
    checked: Option<Arc<CheckedFile>>,
}

fn end_of(run: &RunValue) -> u64 {
    run.position + u64::from(run.length_bytes)
}

/// What a read wants to have sent, in order.
#[derive(Default)]
struct Parts {
    pieces: Vec<Piece>,
    /// Short parts after the last piece, together.
    copied: BytesMut,
}

impl Parts {
    fn push(&mut self, slice: FileSlice) {
        self.seal();
        self.pieces.push(Piece::File(slice));
    }

    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.copied.is_empty()
    }

    fn seal(&mut self) {
        if !self.copied.is_empty() {
            self.pieces.push(self.copied.split().freeze().into());
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.seal();
        self.pieces
    }
}

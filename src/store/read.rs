//! Reads that memory cannot answer: what is wanted of each chunk of the record files, every run checked against its checksum, and reading ahead.
//!
//! Never changes anything. A run that cannot be read is an error, never an empty answer.

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::buffers::Buffers;
use super::chunks::{CHUNK_BYTES, Chunk, Chunks, DENSE_BYTES, MUCH_BYTES, Place, Want, in_blocks};
use super::index::Index;
use super::io::{Disk, DiskFile, Through};
use super::record_file::{Seed, file_name};
use super::table::Table;
use super::values::{PartitionValue, RunValue, UNKNOWN_TIMESTAMP};
use super::{LocalId, ReadRequest, Retention, Run, RunInfo, StoreError};

/// Record files kept open for reading.
const OPEN_FILES: usize = 256;
/// From this length on a part that is read by itself gains nothing from the operating system's cache and its read-ahead.
const DEVICE_READ_BYTES: usize = 32 * 1024;
/// Chunks read ahead of a reader at most: what it and its neighbours have just read stays in memory beside them.
const MOST_AHEAD: u64 = 12;

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
    chunks: Chunks,
    buffers: Buffers,
    /// The file that is written, and up to where. Files before it are whole.
    written: Mutex<(u64, u64)>,
}

/// A read that its reader will probably go on from.
pub(super) struct Ahead {
    from: Place,
    chunks: u64,
}

/// The chunk that a read is in.
#[derive(Default)]
struct Walk {
    at: Option<(Place, Option<Bytes>)>,
    /// Whether it wants [`DENSE_BYTES`] of the chunks on its way throughout.
    is_dense: bool,
    /// Chunks met that are in memory now.
    dense: u64,
    /// Whether the first chunk met lay in memory before: somebody reads here.
    follows: bool,
}

impl Reader {
    pub(super) fn new(disk: Arc<dyn Disk>, index: Arc<Index>, table: Arc<Table>) -> Self {
        Reader {
            disk,
            index,
            table,
            salts: RwLock::default(),
            open: Mutex::default(),
            chunks: Chunks::default(),
            buffers: Buffers::default(),
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
        self.chunks.forget_file(file_id);
    }

    /// All before this position is written. Told in the order of writing, before anything there is applied.
    pub(super) fn note_written(&self, file_id: u64, position: u64) {
        *self.written.lock() = (file_id, position);
    }

    fn written_to(&self, file_id: u64) -> u64 {
        let (current, position) = *self.written.lock();
        match file_id.cmp(&current) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => position,
            std::cmp::Ordering::Greater => 0,
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

    /// What [`super::RecordStore::read`] answers, and what to read ahead after it. Blocks.
    pub(super) fn read(&self, request: &ReadRequest) -> (Result<Vec<Run>, StoreError>, Option<Ahead>) {
        let (rows, filled) = match self.wanted_rows(request) {
            Ok(found) => found,
            Err(error) => return (Err(error), None),
        };
        let (mut walk, mut runs) = (Walk::over(&rows), Vec::with_capacity(rows.len()));
        for (number, (base_offset, run)) in rows.iter().enumerate() {
            match self.read_run(*base_offset, run, rows.get(number..).unwrap_or(&[]), &mut walk) {
                Ok(batches) => {
                    let pinned_bytes = batches.len();
                    runs.push(Run { info: run.info(*base_offset), pieces: vec![batches], pinned_bytes });
                }
                Err(error) if runs.is_empty() => return (Err(error), None),
                // What was read before it is good, and the reader meets the error when it asks for what follows.
                Err(_) => return (Ok(runs), None),
            }
        }
        (Ok(runs), walk.ahead().filter(|_| filled))
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

    /// Reads the first of `rows` and checks it. The others are those that the same read comes to next.
    fn read_run(&self, base_offset: i64, run: &RunValue, rows: &[Row], walk: &mut Walk) -> Result<Bytes, StoreError> {
        let name = || file_name(run.file_id);
        let failed = |what: String| StoreError::Io { file: name(), what };
        let salt = self.salts.read().get(&run.file_id).copied();
        let seed = Seed { file_id: run.file_id, salt: salt.ok_or_else(|| failed("it is not in the index".into()))? };
        let found = self.find_run(run, rows, walk).map_err(|error| failed(error.to_string()))?;
        if seed.checksum(run.position, &found) == run.crc {
            return Ok(found);
        }
        // What memory has of it may be older than the file, or broken: only what the device has counts.
        self.chunks.forget(Place::of(run.file_id, run.position));
        self.chunks.forget(Place::of(run.file_id, end_of(run).saturating_sub(1)));
        walk.at = None;
        let damaged = |what: &str| StoreError::Damaged {
            file: name(),
            position: run.position,
            what: format!("{what} (offset {base_offset})"),
        };
        let found = self.read_part(run.file_id, Through::Device, run.position, run.length_bytes as usize);
        let found = found.map_err(|error| failed(error.to_string()))?;
        if found.len() < run.length_bytes as usize {
            return Err(damaged("the file ends within the run"));
        }
        if seed.checksum(run.position, &found) != run.crc {
            return Err(damaged("the run's checksum is wrong"));
        }
        Ok(found)
    }

    /// A run as a slice of the chunk that it lies in, put together from several, or read by itself. Shorter where the file ends within it.
    fn find_run(&self, run: &RunValue, rows: &[Row], walk: &mut Walk) -> io::Result<Bytes> {
        let length = run.length_bytes as usize;
        let place = Place::of(run.file_id, run.position);
        let Some(chunk) = self.chunk(place, rows, walk) else {
            return self.read_part(run.file_id, by_length(length), run.position, length);
        };
        let start = (run.position - place.start()) as usize;
        if let Some(_whole) = chunk.get(start..start + length)
            && self.chunks.may_be_kept()
        {
            return Ok(chunk.slice(start..start + length));
        }
        let mut buffer = self.buffers.take(length);
        let filled = self.fill(run, rows, walk, buffer.room())?;
        buffer.narrow(0, filled);
        Ok(Bytes::from_owner(buffer))
    }

    /// Copies a run to `room`, chunk by chunk. How much of it the file has.
    fn fill(&self, run: &RunValue, rows: &[Row], walk: &mut Walk, room: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let position = run.position + filled as u64;
            let place = Place::of(run.file_id, position);
            let length = rest.len().min((place.end() - position) as usize);
            let start = (position - place.start()) as usize;
            let found = match self.chunk(place, rows, walk) {
                Some(chunk) => chunk.slice(start.min(chunk.len())..(start + length).min(chunk.len())),
                None => self.read_part(run.file_id, by_length(length), position, length)?,
            };
            if let Some(part) = rest.get_mut(..found.len()) {
                part.copy_from_slice(&found);
            }
            filled += found.len();
            if found.len() < length {
                break;
            }
        }
        Ok(filled)
    }

    /// Reads a part of a file by itself; less where the file ends.
    fn read_part(&self, file_id: u64, through: Through, position: u64, length: usize) -> io::Result<Bytes> {
        self.file(file_id, through)?.read_at(position, length)
    }

    /// The chunk, where it is in memory or `rows` want enough of it. What cannot be read whole is for its readers to read in parts: only their own bytes count.
    fn chunk(&self, place: Place, rows: &[Row], walk: &mut Walk) -> Option<Bytes> {
        if let Some((at, chunk)) = &walk.at
            && *at == place
        {
            return chunk.clone();
        }
        let parts = rows.iter().map(|(_, run)| run);
        let parts = parts.take_while(|run| run.file_id == place.file_id && run.position < place.end());
        let (mut until, mut bytes) = (place.start(), 0);
        for run in parts.filter(|run| end_of(run) > place.start()) {
            let to = end_of(run).min(place.end());
            until = until.max(to);
            bytes += in_blocks(to.saturating_sub(run.position.max(place.start())));
        }
        let enough_bytes = if walk.is_dense { DENSE_BYTES } else { MUCH_BYTES };
        let want = Want { place, until, bytes, enough_bytes, written_to: self.written_to(place.file_id) };
        let found = self.chunks.get(&want, || self.read_chunk(place)).unwrap_or(Chunk::Sparse);
        if walk.at.is_none() {
            walk.follows = matches!(found, Chunk::Here(_));
        }
        let chunk = match found {
            Chunk::Here(bytes) | Chunk::Loaded(bytes) => Some(bytes),
            Chunk::Sparse => None,
        };
        walk.dense += u64::from(chunk.is_some());
        walk.at = Some((place, chunk.clone()));
        chunk
    }

    fn read_chunk(&self, place: Place) -> io::Result<Bytes> {
        self.file(place.file_id, Through::Device)?.read_at(place.start(), CHUNK_BYTES as usize)
    }

    /// Reads on from where a read ended, as far as it went, until `is_wanted` says that there are other things to do.
    pub(super) fn read_ahead(&self, ahead: &Ahead, is_wanted: &dyn Fn() -> bool) {
        let mut place = ahead.from;
        for _ in 0..ahead.chunks.min(MOST_AHEAD) {
            if is_wanted() || place.end() > self.written_to(place.file_id) {
                return;
            }
            // An error is met again by whoever wants these bytes.
            let Ok(length) = self.file(place.file_id, Through::Device).and_then(|file| file.len()) else { return };
            if place.start() >= length {
                place = Place { file_id: place.file_id + 1, number: 0 };
                if !self.salts.read().contains_key(&place.file_id) || place.end() > self.written_to(place.file_id) {
                    return;
                }
            }
            if self.chunks.read_ahead(place, || self.read_chunk(place)).is_err() {
                return;
            }
            place.number += 1;
        }
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

fn end_of(run: &RunValue) -> u64 {
    run.position + u64::from(run.length_bytes)
}

/// Which way a part goes that is read by itself.
fn by_length(length: usize) -> Through {
    if length >= DEVICE_READ_BYTES { Through::Device } else { Through::Cache }
}

impl Walk {
    fn over(rows: &[Row]) -> Self {
        let (mut wanted, mut way, mut before) = (0, 0, None);
        for (_, run) in rows {
            let gap = match before {
                Some((file_id, end)) if file_id == run.file_id => run.position.saturating_sub(end),
                Some(_) => CHUNK_BYTES,
                None => 0,
            };
            way += gap + u64::from(run.length_bytes);
            wanted += in_blocks(run.length_bytes.into());
            before = Some((run.file_id, end_of(run)));
        }
        let is_dense = wanted >= MUCH_BYTES && wanted * (CHUNK_BYTES / DENSE_BYTES) >= way;
        Walk { is_dense, ..Walk::default() }
    }

    /// What to read next, where this read came by dense chunks that others had met before.
    fn ahead(&self) -> Option<Ahead> {
        let (last, chunk) = self.at.as_ref()?;
        let from = Place { number: last.number + u64::from(chunk.is_some()), ..*last };
        (self.follows && self.dense > 0).then_some(Ahead { from, chunks: self.dense })
    }
}

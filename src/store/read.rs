//! Reads that memory cannot answer: adjacent runs in one read, every run checked against its checksum, on IO threads of the store's own.
//!
//! Never changes anything. A run that cannot be read is an error, never an empty answer.

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

use super::index::Index;
use super::io::{Disk, DiskFile, Through};
use super::record_file::{Seed, file_name};
use super::table::Table;
use super::values::{PartitionValue, RunValue, UNKNOWN_TIMESTAMP};
use super::{BoxFuture, LocalId, ReadRequest, Retention, Run, RunInfo, StoreError};

/// Runs of one partition this near to each other are fetched in one read.
const JOINED_GAP_BYTES: u64 = 64 * 1024;
/// A joined read ends at this size.
const JOINED_READ_BYTES: u64 = 1024 * 1024;
/// From this length on a read that is one partition's gains nothing from the operating system's cache and its read-ahead.
const DEVICE_READ_BYTES: usize = 32 * 1024;
/// Record files kept open for reading.
const OPEN_FILES: usize = 256;

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
}

impl Reader {
    pub(super) fn new(disk: Arc<dyn Disk>, index: Arc<Index>, table: Arc<Table>) -> Self {
        Reader { disk, index, table, salts: RwLock::new(HashMap::new()), open: Mutex::new(HashMap::new()) }
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
        let mut runs = Vec::with_capacity(rows.len());
        let mut rest = &rows[..];
        while !rest.is_empty() {
            let joined = joined(rest);
            let (now, later) = rest.split_at(joined);
            if let Err(error) = self.fetch(now, &mut runs) {
                // What was read before it is good, and the reader meets the error when it asks for what follows.
                if runs.is_empty() {
                    return Err(error);
                }
                break;
            }
            rest = later;
        }
        Ok(runs)
    }

    /// Reads rows that lie close together in one file. On an error the good ones before it are in `runs`.
    fn fetch(&self, rows: &[Row], runs: &mut Vec<Run>) -> Result<(), StoreError> {
        let (Some((_, first)), Some((_, last))) = (rows.first(), rows.last()) else { return Ok(()) };
        let name = file_name(first.file_id);
        let failed = |what: String| StoreError::Io { file: name.clone(), what };
        let salt = self.salts.read().get(&first.file_id).copied();
        let seed = Seed { file_id: first.file_id, salt: salt.ok_or_else(|| failed("it is not in the index".into()))? };
        let length = (end_of(last) - first.position) as usize;
        let useful: usize = rows.iter().map(|(_, run)| run.length_bytes as usize).sum();
        // A slice pins the whole buffer. When most of that is other partitions' runs, copies are cheaper.
        let share = length <= useful + useful / 4;
        let through = if share && length >= DEVICE_READ_BYTES { Through::Device } else { Through::Cache };
        let file = self.file(first.file_id, through).map_err(|error| failed(error.to_string()))?;
        let buffer = file.read_at(first.position, length).map_err(|error| failed(error.to_string()))?;
        for (base_offset, run) in rows {
            let damaged = |what: &str| StoreError::Damaged {
                file: name.clone(),
                position: run.position,
                what: format!("{what} (offset {base_offset})"),
            };
            let start = (run.position - first.position) as usize;
            let end = start + run.length_bytes as usize;
            let batches = buffer.get(start..end).ok_or_else(|| damaged("the file ends within the run"))?;
            if seed.checksum(run.position, batches) != run.crc {
                return Err(damaged("the run's checksum is wrong"));
            }
            let batches = buffer.slice(start..end);
            let batches = if share { batches } else { Bytes::copy_from_slice(&batches) };
            let pinned_bytes = if share { buffer.len() } else { batches.len() };
            runs.push(Run { info: run.info(*base_offset), pieces: vec![batches], pinned_bytes });
        }
        Ok(())
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

/// How many of the first rows one read takes: at least one.
fn joined(rows: &[Row]) -> usize {
    let Some((_, first)) = rows.first() else { return 0 };
    let mut end = end_of(first);
    let mut count = 1;
    for (_, run) in rows.iter().skip(1) {
        let near = run.file_id == first.file_id && run.position >= end && run.position - end <= JOINED_GAP_BYTES;
        if !near || end_of(run) - first.position > JOINED_READ_BYTES {
            break;
        }
        end = end_of(run);
        count += 1;
    }
    count
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

/// Threads for blocking reads, started when they are first needed.
pub(super) struct IoPool {
    state: Arc<(Mutex<PoolState>, Condvar)>,
    most_threads: usize,
}

impl IoPool {
    pub(super) fn new(most_threads: usize) -> Self {
        IoPool { state: Arc::default(), most_threads: most_threads.max(1) }
    }

    /// Runs `job` on a thread of the pool.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<Result<T, StoreError>> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = sender.send(job());
        });
        let (lock, wake) = &*self.state;
        let mut state = lock.lock();
        if state.closed {
            return Box::pin(async { Err(StoreError::Closed) });
        }
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.threads.len() < self.most_threads {
            let shared = self.state.clone();
            match std::thread::Builder::new().name("store-read".into()).spawn(move || serve(&shared)) {
                Ok(thread) => state.threads.push(thread),
                Err(error) if state.threads.is_empty() => {
                    state.jobs.pop_back();
                    let error = StoreError::Io { file: "store-read thread".into(), what: error.to_string() };
                    return Box::pin(async { Err(error) });
                }
                Err(_) => {}
            }
        }
        wake.notify_one();
        drop(state);
        Box::pin(async move { receiver.await.unwrap_or(Err(StoreError::Closed)) })
    }

    /// Lets queued jobs finish and ends the threads.
    pub(super) fn stop(&self) {
        let threads = {
            let mut state = self.state.0.lock();
            state.closed = true;
            std::mem::take(&mut state.threads)
        };
        self.state.1.notify_all();
        let own = std::thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != own) {
            let _ = thread.join();
        }
    }
}

fn serve(shared: &(Mutex<PoolState>, Condvar)) {
    let (lock, wake) = shared;
    let mut state = lock.lock();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            job();
            state = lock.lock();
        } else if state.closed {
            return;
        } else {
            state.idle += 1;
            wake.wait(&mut state);
            state.idle -= 1;
        }
    }
}

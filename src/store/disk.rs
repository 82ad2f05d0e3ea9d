//! The store on disk: joins the index, the record files, the writer and the reader, and owns the log directory.
//!
//! ```text
//! <log.dir>/LOCK              held while a process uses the folder
//!           store.properties  format version and the store's own id
//!           clean-stop        there while the last stop was a clean one
//!           index/            RocksDB
//!           records/N.rec     record files
//! ```

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use smallvec::{SmallVec, smallvec};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::apply::Applier;
use super::ends::Ends;
use super::index::Index;
use super::io::{Disk, Folder, sync_folder};
use super::io_pool::IoPool;
use super::maker::Maker;
use super::read::Reader;
use super::recovery::Recovery;
use super::table::Table;
use super::telemetry::StoreMetrics;
use super::writer::{WRITER_IS_GONE, Waiter, Writer};
use super::{
    BoxFuture, Done, Durability, Health, LocalId, PartitionRow, ReadRequest, RecordStore, Retention, Run, RunInfo,
    Select, Space, StateKind, StoreError, Write,
};
use crate::types::piece::Piece;

/// Of the folder's layout as a whole. A folder of a newer one is refused.
const FORMAT_VERSION: u32 = 1;
const PROPERTIES: &str = "store.properties";
const CLEAN_STOP: &str = "clean-stop";

/// How a store is set up.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The log directory. Made if it is not there; its parent must be.
    pub path: PathBuf,
    /// Whether [`Durability::Synced`] is done. Without, an acknowledged write survives the process but not the machine.
    pub sync: bool,
    /// Whether record files are written past the page cache, where the file system can.
    pub direct_io: bool,
    /// Of the newest runs that stay in memory.
    pub cache_bytes: usize,
    /// Of RocksDB's block cache.
    pub index_cache_bytes: usize,
    /// Largest record file. Small stores have smaller ones.
    pub record_file_bytes: u64,
    /// Free space below which appends are refused; `None` for a default after the file size and the disk's.
    pub free_space_floor_bytes: Option<u64>,
    /// The index is made durable after this time,
    pub flush_interval: Duration,
    /// or after this many bytes in record files, which bounds what a start after a crash reads.
    pub flush_bytes: u64,
    /// A file without a living record goes this long after the last flush at the latest, even while nothing is written.
    pub dead_file_wait: Duration,
    /// Threads for reads that memory cannot answer.
    pub read_threads: usize,
    pub metrics: StoreMetrics,
}

impl StoreOptions {
    pub fn new(path: &Path) -> Self {
        StoreOptions {
            path: path.to_owned(),
            sync: true,
            direct_io: true,
            cache_bytes: 64 * 1024 * 1024,
            index_cache_bytes: 8 * 1024 * 1024,
            record_file_bytes: 256 * 1024 * 1024,
            free_space_floor_bytes: None,
            flush_interval: Duration::from_secs(60),
            flush_bytes: 64 * 1024 * 1024,
            dead_file_wait: Duration::from_secs(1),
            read_threads: 4,
            metrics: StoreMetrics::default(),
        }
    }

    /// Fits what is given to a disk of this size: files small against it, and a floor that leaves room for the files in use and for the index.
    fn fit(&mut self, space: Space) -> u64 {
        const MIB: u64 = 1024 * 1024;
        self.record_file_bytes = self.record_file_bytes.min((space.total_bytes / 64).max(MIB));
        let floor = 2 * self.record_file_bytes + (64 * MIB).min(space.total_bytes / 16);
        self.free_space_floor_bytes.unwrap_or(floor)
    }
}

/// Why a log directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the log directory {path} is in use by another process{holder}; stop that one, or give this broker a folder of its own (log.dirs)"
    )]
    InUse { path: PathBuf, holder: String },
    #[error(
        "the log directory {path} has format {found}, made by a newer version of ottla; this one knows formats up to {FORMAT_VERSION}: run the newer version"
    )]
    NewerFormat { path: PathBuf, found: u32 },
    #[error("{path}: {what}")]
    Malformed { path: PathBuf, what: String },
    #[error("the log directory {path} cannot be used: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("the log directory {path} cannot be used: {error}")]
    Store { path: PathBuf, error: StoreError },
}

/// Writes that go in together, and whom to tell.
pub(super) struct Item {
    pub writes: SmallVec<[Write; 1]>,
    pub durability: Durability,
    pub done: Waiter,
}

struct Queue {
    ends: Ends,
    items: Vec<Item>,
    health: Health,
    closed: bool,
    closer: Option<oneshot::Sender<Result<(), StoreError>>>,
    /// Nobody takes from the queue any more.
    writer_is_gone: bool,
}

/// What the writer, the readers and the callers have in common.
pub(super) struct Shared {
    pub path: PathBuf,
    pub options: StoreOptions,
    pub index: Arc<Index>,
    pub table: Arc<Table>,
    pub reader: Reader,
    queue: Mutex<Queue>,
    wake: Condvar,
    next_local_id: AtomicU64,
}

/// [`RecordStore`] in a folder. Dropped without [`RecordStore::close`] it completes what is queued, and the next start recovers as after a crash.
pub struct DiskStore {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    pool: IoPool,
    writer: Mutex<Option<JoinHandle<()>>>,
    _lock: File,
}

impl DiskStore {
    /// Opens a log directory, recovers what the last stop left, and starts its threads. Blocks.
    pub fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let (records, direct_io) = (options.path.join("records"), options.direct_io);
        Self::open_with(options, || Ok(Arc::new(Folder::new(&records, direct_io)?)))
    }

    /// As [`Self::open`] with the record files elsewhere: on a model of a disk.
    pub(crate) fn open_with(
        options: StoreOptions,
        disk: impl FnOnce() -> io::Result<Arc<dyn Disk>>,
    ) -> Result<Self, OpenError> {
        let path = options.path.clone();
        let failed = |error| OpenError::Io { path: path.clone(), error };
        let records = path.join("records");
        let is_new = !records.is_dir();
        std::fs::create_dir_all(&records).map_err(failed)?;
        let lock = lock(&path)?;
        if is_new {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            sync_folder(&path).and_then(|()| sync_folder(parent)).map_err(failed)?;
        }
        let disk = disk().map_err(failed)?;
        Self::open_on(options, disk, lock)
    }

    fn open_on(mut options: StoreOptions, disk: Arc<dyn Disk>, lock: File) -> Result<Self, OpenError> {
        let begun = Instant::now();
        let path = options.path.clone();
        let failed = |error| OpenError::Io { path: path.clone(), error };
        let refused = |error| OpenError::Store { path: path.clone(), error };
        let floor_bytes = options.fit(disk.space().map_err(failed)?);
        let store_id = read_or_make_properties(&path)?;
        let opened_clean = take_clean_stop(&path).map_err(failed)?;
        let index_is_new = !path.join("index").join("CURRENT").exists();
        let index = Arc::new(Index::open(&path.join("index"), options.index_cache_bytes).map_err(refused)?);
        let table = Arc::new(Table::default());
        let position = index.position().map_err(refused)?;
        table.restore(index.partitions().map_err(refused)?);
        let files = index.files().map_err(refused)?;
        let next_local_id = position.map_or(1, |position| position.next_local_id);
        let mut applier = Applier::new(index.clone(), table.clone(), files, next_local_id).map_err(refused)?;
        let recovery = Recovery::new(&*disk, store_id, &mut applier, opened_clean, index_is_new);
        let recovered = recovery.run(position).map_err(refused)?;
        let next_local_id = applier.next_local_id();
        let reader = Reader::new(disk.clone(), index.clone(), table.clone());
        applier.seeds().for_each(|seed| reader.note_file(seed));
        reader.note_written(recovered.end.file_id, recovered.end.position);
        let health = match &recovered.damage {
            Some(damage) => Health::ReadOnly { reason: damage.to_string() },
            None => Health::Writable,
        };
        let mut ends = Ends::default();
        for (local_id, value) in table.values() {
            ends.restore(local_id, value.log_start_offset, value.log_end_offset);
        }
        let shared = Arc::new(Shared {
            path: path.clone(),
            options,
            index,
            table,
            reader,
            queue: Mutex::new(Queue {
                ends,
                items: Vec::new(),
                health,
                closed: false,
                closer: None,
                writer_is_gone: false,
            }),
            wake: Condvar::new(),
            next_local_id: AtomicU64::new(next_local_id),
        });
        tracing::info!(
            path = %path.display(),
            clean = opened_clean,
            groups_applied = recovered.groups_applied,
            partitions = shared.table.values().len(),
            took_ms = begun.elapsed().as_millis() as u64,
            "opened the log directory"
        );
        let for_space = Arc::downgrade(&shared);
        let on_space = Box::new(move |space: Space| match for_space.upgrade() {
            Some(shared) => shared.note_space(space, floor_bytes),
            None => false,
        });
        let maker = Maker::start(disk.clone(), store_id, recovered.next_file_id, on_space).map_err(refused)?;
        let dirty = recovered.groups_applied > 0;
        let writer = Writer::new(shared.clone(), applier, maker, recovered.end, recovered.current, dirty);
        let for_writer = shared.clone();
        let write = move || {
            if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                for_writer.lose_writer();
            }
        };
        let writer = std::thread::Builder::new().name("store-writer".into()).spawn(write).map_err(failed)?;
        let pool = IoPool::new(shared.options.read_threads);
        Ok(DiskStore { shared, disk, pool, writer: Mutex::new(Some(writer)), _lock: lock })
    }

    /// Checks the writes and queues them, under one lock.
    fn enqueue(&self, writes: SmallVec<[Write; 1]>, durability: Durability, done: Done) -> Result<(), StoreError> {
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Err(StoreError::Closed);
        }
        let parts = &mut *queue;
        parts.ends.accept(&writes, &parts.health)?;
        parts.items.push(Item { writes, durability, done: Waiter::new(done) });
        let wake = parts.items.len() == 1;
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    fn stop(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_all();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != std::thread::current().id()) {
            let _ = writer.join();
        }
        self.pool.stop();
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Waits for writes, at most `wait`, and takes all there are. Whether the store is being closed.
    pub(super) fn next_items(&self, items: &mut Vec<Item>, wait: Option<Duration>) -> bool {
        let mut queue = self.queue.lock();
        if queue.items.is_empty() && !queue.closed {
            match wait {
                Some(wait) if wait.is_zero() => {}
                Some(wait) => {
                    self.wake.wait_for(&mut queue, wait);
                }
                None => self.wake.wait(&mut queue),
            }
        }
        std::mem::swap(items, &mut queue.items);
        queue.closed
    }

    pub(super) fn take_closer(&self) -> Option<oneshot::Sender<Result<(), StoreError>>> {
        self.queue.lock().closer.take()
    }

    /// Why nothing is written any more, if that is so.
    pub(super) fn read_only(&self) -> Option<String> {
        match &self.queue.lock().health {
            Health::ReadOnly { reason } => Some(reason.clone()),
            _ => None,
        }
    }

    /// The first failure ends writing.
    pub(super) fn set_read_only(&self, error: &StoreError) {
        let mut queue = self.queue.lock();
        if !matches!(queue.health, Health::ReadOnly { .. }) {
            tracing::error!(path = %self.path.display(), %error, "the store is read-only from now on");
            queue.health = Health::ReadOnly { reason: error.to_string() };
        }
    }

    /// After a defect of the writer's: nothing is written any more, and nobody waits for it.
    fn lose_writer(&self) {
        self.set_read_only(&StoreError::Io { file: "store-writer".into(), what: WRITER_IS_GONE.into() });
        let mut queue = self.queue.lock();
        queue.writer_is_gone = true;
        // Whoever waits for the store to be closed is told by this end going away.
        queue.closer = None;
        let items = std::mem::take(&mut queue.items);
        drop(queue);
        drop(items);
    }

    /// Refuses appends while there is less free than the floor. Returns whether that is so.
    fn note_space(&self, space: Space, floor_bytes: u64) -> bool {
        let low = space.usable_bytes < floor_bytes;
        let mut queue = self.queue.lock();
        let (free_bytes, needed_bytes) = (space.usable_bytes, floor_bytes);
        match &queue.health {
            Health::ReadOnly { .. } => return false,
            Health::Writable if low => {
                tracing::warn!(path = %self.path.display(), free_bytes, needed_bytes, "low on space: appends are refused");
            }
            Health::LowSpace { .. } if !low => {
                tracing::info!(path = %self.path.display(), free_bytes, "there is space again: appends are taken");
            }
            Health::Writable | Health::LowSpace { .. } => {}
        }
        queue.health = if low { Health::LowSpace { free_bytes, needed_bytes } } else { Health::Writable };
        low
    }

    pub(super) fn mark_clean_stop(&self) -> Result<(), StoreError> {
        let mark = || {
            File::create(self.path.join(CLEAN_STOP))?.sync_all()?;
            sync_folder(&self.path)
        };
        mark().map_err(|error: io::Error| StoreError::Io { file: CLEAN_STOP.into(), what: error.to_string() })
    }
}

fn bytes_of(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.info.length_bytes).sum()
}

/// Takes the folder for this process.
fn lock(path: &Path) -> Result<File, OpenError> {
    let failed = |error| OpenError::Io { path: path.to_owned(), error };
    let lock_path = path.join("LOCK");
    let mut options = File::options();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(&lock_path).map_err(failed)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let pid = std::fs::read_to_string(&lock_path).unwrap_or_default();
            let holder = match pid.trim() {
                "" => String::new(),
                pid => format!(" (process {pid})"),
            };
            return Err(OpenError::InUse { path: path.to_owned(), holder });
        }
        Err(error) => return Err(failed(error.into())),
    }
    // Only for the sentence above; the lock itself is the kernel's.
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

/// The store's id from its properties, which a new folder gets.
fn read_or_make_properties(path: &Path) -> Result<Uuid, OpenError> {
    let failed = |error| OpenError::Io { path: path.to_owned(), error };
    let file_path = path.join(PROPERTIES);
    let text = match std::fs::read_to_string(&file_path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if has_record_files(path).map_err(failed)? {
                let what = format!("record files are there but {PROPERTIES} is missing; restore the folder as a whole");
                return Err(OpenError::Malformed { path: path.to_owned(), what });
            }
            return make_properties(path).map_err(failed);
        }
        Err(error) => return Err(failed(error)),
    };
    let malformed = |what: &str| OpenError::Malformed { path: file_path.clone(), what: what.to_owned() };
    let pairs: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let version = pairs.get("version").and_then(|version| version.trim().parse::<u32>().ok());
    match version {
        Some(FORMAT_VERSION) => {}
        Some(found) if found > FORMAT_VERSION => return Err(OpenError::NewerFormat { path: path.to_owned(), found }),
        _ => return Err(malformed("no version that is known")),
    }
    let store_id = pairs.get("store.id").and_then(|id| Uuid::parse_str(id.trim()).ok());
    store_id.ok_or_else(|| malformed("no store.id"))
}

fn has_record_files(path: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(path.join("records"))? {
        if entry?.file_name().to_str().is_some_and(|name| super::record_file::file_id_of(name).is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn make_properties(path: &Path) -> io::Result<Uuid> {
    let store_id = Uuid::new_v4();
    let unfinished = path.join("store.properties.tmp");
    let mut file = File::create(&unfinished)?;
    writeln!(file, "# Written by ottla. Do not edit.\nversion={FORMAT_VERSION}\nstore.id={store_id}")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path.join(PROPERTIES))?;
    sync_folder(path)?;
    Ok(store_id)
}

/// Whether the mark of a clean stop was there; it is gone for good when this returns.
fn take_clean_stop(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path.join(CLEAN_STOP)) {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl RecordStore for DiskStore {
    fn partitions(&self) -> Result<Vec<PartitionRow>, StoreError> {
        let values = self.shared.table.values().into_iter();
        Ok(values
            .map(|(local_id, value)| PartitionRow {
                local_id,
                id: value.id,
                log_start_offset: value.log_start_offset,
                log_end_offset: value.log_end_offset,
                size_bytes: value.size_bytes(),
            })
            .collect())
    }

    /// Needs no IO: an id becomes someone's only by a `Create`, and those are recovered in order.
    fn allocate(&self) -> Result<LocalId, StoreError> {
        Ok(LocalId(self.shared.next_local_id.fetch_add(1, Ordering::Relaxed)))
    }

    fn submit(&self, write: Write, durability: Durability, done: Done) -> Result<(), StoreError> {
        self.enqueue(smallvec![write], durability, done)
    }

    fn submit_all(&self, writes: Vec<Write>, durability: Durability, done: Done) -> Result<(), StoreError> {
        self.enqueue(SmallVec::from_vec(writes), durability, done)
    }

    fn read_cached(&self, request: &ReadRequest) -> Option<Vec<Run>> {
        let runs = self.shared.table.read(request)?;
        self.shared.options.metrics.read_from_memory_bytes.increment(bytes_of(&runs));
        Some(runs)
    }

    fn read(&self, request: ReadRequest) -> BoxFuture<Result<Vec<Run>, StoreError>> {
        let shared = self.shared.clone();
        self.pool.run(move || {
            let runs = shared.reader.read(&request)?;
            shared.options.metrics.read_from_disk_bytes.increment(bytes_of(&runs));
            Ok(runs)
        })
    }

    fn read_parts(
        &self,
        request: ReadRequest,
        mut select: Box<dyn Select>,
    ) -> BoxFuture<Result<Vec<Piece>, StoreError>> {
        let shared = self.shared.clone();
        self.pool.run_then(move || match shared.reader.read_parts(&request, &mut *select) {
            Ok((parts, ahead)) => {
                let bytes = parts.iter().map(|part| part.len() as u64).sum();
                shared.options.metrics.read_from_disk_bytes.increment(bytes);
                (Ok(parts), ahead.map(|ahead| move || shared.reader.bring_ahead(ahead)))
            }
            Err(error) => (Err(error), None),
        })
    }

    fn find_timestamp(
        &self,
        local_id: LocalId,
        timestamp_ms: i64,
        from_offset: i64,
    ) -> BoxFuture<Result<Option<RunInfo>, StoreError>> {
        let shared = self.shared.clone();
        self.pool.run(move || shared.reader.find_timestamp(local_id, timestamp_ms, from_offset))
    }

    fn max_timestamp(&self, local_id: LocalId) -> BoxFuture<Result<Option<RunInfo>, StoreError>> {
        let shared = self.shared.clone();
        self.pool.run(move || shared.reader.max_timestamp(local_id))
    }

    fn retained_from(&self, local_id: LocalId, retention: Retention) -> BoxFuture<Result<i64, StoreError>> {
        let shared = self.shared.clone();
        self.pool.run(move || shared.reader.retained_from(local_id, &retention))
    }

    fn state(&self, local_id: LocalId, kind: StateKind) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.shared.table.value(local_id).ok_or(StoreError::UnknownPartition(local_id))?;
        self.shared.index.state(local_id, kind)
    }

    fn queued_writes(&self) -> usize {
        self.shared.queue.lock().items.iter().map(|item| item.writes.len()).sum()
    }

    fn size_bytes(&self, local_id: LocalId) -> u64 {
        self.shared.table.value(local_id).map_or(0, |value| value.size_bytes())
    }

    fn health(&self) -> Health {
        self.shared.queue.lock().health.clone()
    }

    fn space(&self) -> Result<Space, StoreError> {
        let failed =
            |error: io::Error| StoreError::Io { file: self.shared.path.display().to_string(), what: error.to_string() };
        self.disk.space().map_err(failed)
    }

    fn path(&self) -> &Path {
        &self.shared.path
    }

    fn close(&self) -> BoxFuture<Result<(), StoreError>> {
        let (closer, closed) = oneshot::channel();
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Box::pin(async { Ok(()) });
        }
        queue.closed = true;
        if queue.writer_is_gone {
            return Box::pin(async { Err(StoreError::Closed) });
        }
        queue.closer = Some(closer);
        drop(queue);
        self.shared.wake.notify_all();
        Box::pin(async move { closed.await.unwrap_or(Err(StoreError::Closed)) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Take;
    use super::super::conformance::{Subject, block_on, conformance_suite};
    use super::*;

    /// Restarts by a clean stop and by a drop in turn.
    struct OnDisk {
        folder: tempfile::TempDir,
        store: Option<Arc<DiskStore>>,
        restarts: usize,
    }

    fn small(path: &Path) -> StoreOptions {
        StoreOptions {
            record_file_bytes: 1024 * 1024,
            free_space_floor_bytes: Some(0),
            cache_bytes: 100_000,
            ..StoreOptions::new(path)
        }
    }

    impl OnDisk {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Some(Arc::new(DiskStore::open(small(folder.path())).expect("open")));
            OnDisk { folder, store, restarts: 0 }
        }
    }

    impl Subject for OnDisk {
        fn store(&self) -> Arc<dyn RecordStore> {
            self.store.clone().expect("a store")
        }

        fn restart(&mut self) {
            self.restarts += 1;
            let store = self.store.take().expect("a store");
            let clean = self.restarts % 2 == 1;
            if clean {
                block_on(store.close()).expect("close");
            }
            assert_eq!(Arc::strong_count(&store), 1, "a test still holds the store");
            drop(store);
            let store = DiskStore::open(small(self.folder.path())).expect("open");
            self.store = Some(Arc::new(store));
        }
    }

    conformance_suite!(OnDisk::new());

    #[test]
    fn timestamps_are_found_among_very_many_runs_without_going_over_all() {
        use super::super::conformance::{append_of, create, write_all};
        const RUNS: i64 = 100_000;
        let subject = OnDisk::new();
        let store = subject.store();
        let id = create(&*store, 0);
        for from in (0..RUNS).step_by(5000) {
            // Runs of two leaders are not joined.
            let append = |n: i64| super::super::Append { leader_epoch: (n % 2) as i32, ..append_of(id, n, 1, 10) };
            write_all(&*store, (from..from + 5000).map(|n| Write::Append(append(n))).collect()).expect("append");
        }
        let began = Instant::now();
        for n in (0..RUNS).step_by(500) {
            let found = block_on(store.find_timestamp(id, 1000 + n, 0)).expect("find").expect("a run");
            assert_eq!((found.base_offset, found.last_offset), (n, n));
        }
        assert_eq!(block_on(store.max_timestamp(id)).expect("max").map(|run| run.base_offset), Some(RUNS - 1));
        let took = began.elapsed();
        println!("201 searches among {RUNS} runs: {took:?}");
        // Going over all of them would read ten million rows.
        assert!(took < Duration::from_secs(2), "201 searches took {took:?}");
    }

    #[test]
    fn a_panic_after_one_write_is_not_the_next_ones() {
        use super::super::conformance::{append_of, create, write_all};
        let subject = OnDisk::new();
        let store = subject.store();
        let id = create(&*store, 0);
        let panics: Done = Box::new(|_| panic!("on purpose"));
        store.submit(Write::Append(append_of(id, 0, 1, 10)), Durability::Written, panics).expect("submitted");
        write_all(&*store, vec![Write::Append(append_of(id, 1, 1, 10))]).expect("written");
        assert_eq!(store.health(), Health::Writable);
    }

    /// Wants every run, those with an odd base offset without a look at them.
    struct All;

    impl Select for All {
        fn take_whole(&mut self, run: &RunInfo) -> Take {
            if run.base_offset % 2 == 1 { Take::Whole } else { Take::Part }
        }

        fn cut(&mut self, _: &RunInfo, batches: &[u8]) -> Result<super::super::Cut, String> {
            Ok(super::super::Cut { range: Some(0..batches.len()), full: false })
        }
    }

    /// Partitions lie interleaved, some in large parts and one in small ones; what is read comes from full files and from the one being written.
    #[test]
    fn interleaved_partitions_are_read_back_while_more_is_written() {
        use super::super::conformance::{append_of, content, create, write_all};
        let mut subject = OnDisk::new();
        let store = subject.store();
        let ids: Vec<LocalId> = (0..7).map(|partition| create(&*store, partition)).collect();
        let mut random = crate::sim::Random::new(9);
        let mut lengths = vec![Vec::new(); ids.len()];
        let check = |store: &dyn RecordStore, lengths: &[Vec<usize>], which: usize, from: usize, max_bytes: usize| {
            let (local_id, from_offset) = (ids[which], from as i64);
            let request =
                ReadRequest { local_id, from_offset, end_offset: i64::MAX, max_bytes, most_bytes: usize::MAX };
            let runs = block_on(store.read(request)).expect("read");
            let mut next = runs.first().map_or(from_offset, |run| run.info.base_offset);
            assert!(next <= from_offset && (from == lengths[which].len() || !runs.is_empty()));
            let parts = block_on(store.read_parts(request, Box::new(All))).expect("read");
            let parts: Vec<Bytes> = parts.into_iter().map(|part| part.into_memory().expect("a part")).collect();
            let whole: Vec<Bytes> = runs.iter().flat_map(|run| run.pieces.iter().cloned()).collect();
            assert!(parts.concat() == whole.concat(), "parts of partition {which} at {from}");
            for run in runs {
                let offsets = run.info.base_offset..=run.info.last_offset;
                assert_eq!(*offsets.start(), next);
                next = offsets.end() + 1;
                let wanted: Vec<u8> =
                    offsets.flat_map(|offset| content(local_id, offset, lengths[which][offset as usize])).collect();
                assert!(run.pieces.concat() == wanted, "partition {which} at {from}");
            }
            next as usize
        };
        for round in 0..60 {
            let appends = (0..8).map(|_| {
                let which = random.below(ids.len() as u64) as usize;
                let length = 1 + random.below(if which == 0 { 200 } else { 60_000 }) as usize;
                lengths[which].push(length);
                // Runs of two leaders are not joined.
                let append = append_of(ids[which], lengths[which].len() as i64 - 1, 1, length);
                Write::Append(super::super::Append { leader_epoch: round % 2, ..append })
            });
            write_all(&*store, appends.collect()).expect("append");
            let which = random.below(ids.len() as u64) as usize;
            let from = random.below(lengths[which].len() as u64 + 1) as usize;
            check(&*store, &lengths, which, from, 1 << random.below(21));
        }
        drop(store);
        subject.restart();
        let store = subject.store();
        // The last time from runs that are known to be whole.
        for max_bytes in [1, 100_000, 1 << 20, 1 << 20] {
            for which in 0..ids.len() {
                let mut at = 0;
                while at < lengths[which].len() {
                    at = check(&*store, &lengths, which, at, max_bytes);
                }
            }
        }
    }

    #[test]
    fn what_retention_lets_go_of_leaves_the_disk_though_nothing_more_is_written() {
        use super::super::conformance::{append_of, create, write, write_all};
        use std::os::unix::fs::MetadataExt;
        const MIB: u64 = 1024 * 1024;
        let folder = tempfile::tempdir().expect("a folder");
        let store =
            DiskStore::open(StoreOptions { free_space_floor_bytes: Some(0), ..StoreOptions::new(folder.path()) })
                .expect("open");
        let ids: Vec<LocalId> = (0..4).map(|partition| create(&store, partition)).collect();
        for offset in 0..2000 {
            let appends = ids.iter().map(|id| Write::Append(append_of(*id, offset, 1, 25_000))).collect();
            write_all(&store, appends).expect("append");
        }
        for local_id in &ids {
            let start = Write::SetLogStart { local_id: *local_id, log_start_offset: 1800, state: Vec::new() };
            write(&store, start).expect("start");
        }
        let on_disk = || -> u64 {
            let files = std::fs::read_dir(folder.path().join("records")).expect("records");
            files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.blocks() * 512).sum()
        };
        // 20 MB are alive, in at most a file more than that fills. One is written, and one may be made ready for what follows.
        let allowed = 20_000_000 + 3 * 16 * MIB + MIB;
        let deadline = Instant::now() + Duration::from_secs(30);
        while on_disk() > allowed {
            assert!(Instant::now() < deadline, "{} bytes are on the disk", on_disk());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_second_store_on_the_folder_is_refused() {
        let subject = OnDisk::new();
        let error = DiskStore::open(small(subject.folder.path())).err().expect("refused").to_string();
        assert!(error.contains("in use by another process") && error.contains("log.dirs"), "{error}");
    }

    #[test]
    fn a_newer_format_is_refused() {
        let mut subject = OnDisk::new();
        subject.store.take();
        let path = subject.folder.path().join(PROPERTIES);
        let text = std::fs::read_to_string(&path).expect("properties");
        std::fs::write(&path, text.replace("version=1", "version=2")).expect("write");
        let error = DiskStore::open(small(subject.folder.path())).err().expect("refused").to_string();
        assert!(error.contains("format 2") && error.contains("newer version"), "{error}");
    }
}

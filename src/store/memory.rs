//! The store's contract kept in memory: for tests of other rooms, and the yardstick that `disk::DiskStore` is held to.
//!
//! Writes take effect and complete on a thread of the store's own, as on disk, so callers meet the same interleavings. Faults are injected with
//! [`MemoryStore::hold`], [`MemoryStore::fail_writes`], [`MemoryStore::fail_reads`], [`MemoryStore::set_low_space`] and [`MemoryStore::set_cold`].
//! Nothing here survives the process; never use it for people's data.

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

use super::ends::Ends;
use super::{
    Append, BoxFuture, Done, Durability, Health, LocalId, PartitionRow, ReadRequest, RecordStore, Retention, Run,
    RunInfo, Select, Space, StateKind, StateRow, StoreError, Write,
};
use crate::types::TopicIdPartition;
use crate::types::piece::Piece;

/// Told as the folder's size; nothing limits what a test keeps.
const TOLD_SPACE_BYTES: u64 = 1 << 40;

/// One partition as the last applied write left it.
struct Partition {
    id: TopicIdPartition,
    log_start_offset: i64,
    log_end_offset: i64,
    /// By base offset; live runs only.
    runs: BTreeMap<i64, Run>,
    state: BTreeMap<(StateKind, Bytes), Bytes>,
}

impl Partition {
    fn new(id: TopicIdPartition) -> Self {
        Partition { id, log_start_offset: 0, log_end_offset: 0, runs: BTreeMap::new(), state: BTreeMap::new() }
    }

    fn size_bytes(&self) -> u64 {
        self.runs.values().map(|run| run.info.length_bytes).sum()
    }

    fn put_rows(&mut self, rows: Vec<StateRow>) {
        for row in rows {
            match row.value {
                Some(value) => self.state.insert((row.kind, row.key), value),
                None => self.state.remove(&(row.kind, row.key)),
            };
        }
    }

    fn append(&mut self, append: Append) {
        let info = RunInfo {
            base_offset: append.base_offset,
            last_offset: append.last_offset,
            max_timestamp_ms: append.max_timestamp_ms,
            length_bytes: append.batches.len() as u64,
        };
        let pinned_bytes = append.batches.len();
        self.runs.insert(append.base_offset, Run { info, pieces: vec![append.batches], pinned_bytes });
        self.log_end_offset = append.last_offset + 1;
        self.put_rows(append.state);
    }

    fn truncate(&mut self, end_offset: i64) {
        if end_offset >= self.log_end_offset {
            return;
        }
        self.runs.split_off(&end_offset);
        if let Some(mut last) = self.runs.last_entry() {
            let info = &mut last.get_mut().info;
            info.last_offset = info.last_offset.min(end_offset - 1);
        }
        self.log_end_offset = end_offset;
        self.log_start_offset = self.log_start_offset.min(end_offset);
        self.drop_dead_runs();
    }

    fn set_log_start(&mut self, log_start_offset: i64) {
        if log_start_offset <= self.log_start_offset {
            return;
        }
        self.log_start_offset = log_start_offset;
        self.log_end_offset = self.log_end_offset.max(log_start_offset);
        self.drop_dead_runs();
    }

    fn drop_dead_runs(&mut self) {
        while let Some(first) = self.runs.first_entry() {
            if first.get().info.last_offset >= self.log_start_offset {
                break;
            }
            first.remove();
        }
    }

    /// Runs from the one that holds `from_offset` or the next one.
    fn runs_from(&self, from_offset: i64) -> impl Iterator<Item = &Run> {
        let first = match self.runs.range(..=from_offset).next_back() {
            Some((base, run)) if run.info.last_offset >= from_offset => *base,
            _ => from_offset,
        };
        self.runs.range(first..).map(|(_, run)| run)
    }

    fn read(&self, request: &ReadRequest, most_bytes: usize) -> Result<Vec<Run>, StoreError> {
        let mut bytes = 0;
        let mut runs = Vec::new();
        for run in self.runs_from(request.from_offset) {
            if run.info.base_offset >= request.end_offset || bytes >= request.max_bytes {
                break;
            }
            let length_bytes = run.info.length_bytes as usize;
            if length_bytes > most_bytes.saturating_sub(bytes) {
                if runs.is_empty() {
                    return Err(StoreError::LongRun { length_bytes, most_bytes });
                }
                break;
            }
            bytes += length_bytes;
            runs.push(run.clone());
        }
        Ok(runs)
    }
}

struct Queued {
    writes: Vec<Write>,
    done: Done,
}

struct Queue {
    ends: Ends,
    items: VecDeque<Queued>,
    health: Health,
    /// What the next write to be applied fails with.
    fail_next: Option<String>,
    held: bool,
    /// Taken from `items`, not yet completed.
    in_flight: usize,
    closed: bool,
}

#[derive(Default)]
struct Faults {
    cold: bool,
    fail_reads: Option<StoreError>,
}

struct Shared {
    path: PathBuf,
    next_local_id: AtomicU64,
    queue: Mutex<Queue>,
    changed: Condvar,
    partitions: RwLock<HashMap<LocalId, Partition>>,
    faults: Mutex<Faults>,
}

/// [`RecordStore`] in memory. Its thread ends when the store is dropped.
pub struct MemoryStore {
    shared: Arc<Shared>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        let shared = Arc::new(Shared {
            path: PathBuf::from("/memory"),
            next_local_id: AtomicU64::new(1),
            queue: Mutex::new(Queue {
                ends: Ends::default(),
                items: VecDeque::new(),
                health: Health::Writable,
                fail_next: None,
                held: false,
                in_flight: 0,
                closed: false,
            }),
            changed: Condvar::new(),
            partitions: RwLock::new(HashMap::new()),
            faults: Mutex::new(Faults::default()),
        });
        let worker = shared.clone();
        let spawned = std::thread::Builder::new().name("memory-store".into()).spawn(move || worker.run());
        if let Err(error) = spawned {
            shared.queue.lock().health = Health::ReadOnly { reason: format!("no writer thread: {error}") };
        }
        MemoryStore { shared }
    }

    /// Leaves writes queued, neither applied nor completed, until [`Self::release`]: a slow disk.
    pub fn hold(&self) {
        self.shared.queue.lock().held = true;
    }

    pub fn release(&self) {
        self.shared.queue.lock().held = false;
        self.shared.changed.notify_all();
    }

    /// Queued and not yet completed writes (a `submit_all` counts once).
    pub fn pending(&self) -> usize {
        let queue = self.shared.queue.lock();
        queue.items.len() + queue.in_flight
    }

    /// The next write to be applied fails, and the store is read-only from then on, as after a failed disk write.
    pub fn fail_writes(&self, reason: &str) {
        self.shared.queue.lock().fail_next = Some(reason.to_owned());
    }

    /// `Some` makes every [`RecordStore::read`], timestamp search and state read fail with that error.
    pub fn fail_reads(&self, error: Option<StoreError>) {
        self.shared.faults.lock().fail_reads = error;
    }

    /// Whether [`RecordStore::read_cached`] sends every caller to [`RecordStore::read`].
    pub fn set_cold(&self, cold: bool) {
        self.shared.faults.lock().cold = cold;
    }

    /// Whether appends are refused for want of space.
    pub fn set_low_space(&self, low: bool) {
        let mut queue = self.shared.queue.lock();
        match queue.health {
            Health::ReadOnly { .. } => {}
            _ if low => queue.health = Health::LowSpace { free_bytes: 1, needed_bytes: 2 },
            _ => queue.health = Health::Writable,
        }
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    /// Lets what is queued complete, then ends the thread.
    fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.held = false;
        self.changed.notify_all();
    }

    /// The writer thread: one queued item at a time, in order.
    fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            while queue.held || queue.items.is_empty() {
                if queue.closed && queue.items.is_empty() {
                    return;
                }
                self.changed.wait(&mut queue);
            }
            let Some(item) = queue.items.pop_front() else { continue };
            queue.in_flight = 1;
            if let Some(reason) = queue.fail_next.take() {
                queue.health = Health::ReadOnly { reason };
            }
            let failed = match &queue.health {
                Health::ReadOnly { reason } => Some(StoreError::ReadOnly { reason: reason.clone() }),
                _ => None,
            };
            drop(queue);
            let result = match failed {
                Some(error) => Err(error),
                None => {
                    let mut partitions = self.partitions.write();
                    item.writes.into_iter().for_each(|write| apply(&mut partitions, write));
                    Ok(())
                }
            };
            (item.done)(result);
            self.queue.lock().in_flight = 0;
            self.changed.notify_all();
        }
    }

    /// Runs `f` on a partition, or tells why not.
    fn with_partition<T>(&self, local_id: LocalId, f: impl FnOnce(&Partition) -> T) -> Result<T, StoreError> {
        if let Some(error) = &self.faults.lock().fail_reads {
            return Err(error.clone());
        }
        self.partitions.read().get(&local_id).map(f).ok_or(StoreError::UnknownPartition(local_id))
    }
}

fn apply(partitions: &mut HashMap<LocalId, Partition>, write: Write) {
    match write {
        Write::Create { local_id, id } => {
            partitions.insert(local_id, Partition::new(id));
        }
        Write::Append(append) => {
            if let Some(partition) = partitions.get_mut(&append.local_id) {
                partition.append(append);
            }
        }
        Write::Truncate { local_id, end_offset, state } => {
            if let Some(partition) = partitions.get_mut(&local_id) {
                partition.truncate(end_offset);
                partition.put_rows(state);
            }
        }
        Write::SetLogStart { local_id, log_start_offset, state } => {
            if let Some(partition) = partitions.get_mut(&local_id) {
                partition.set_log_start(log_start_offset);
                partition.put_rows(state);
            }
        }
        Write::State { local_id, state } => {
            if let Some(partition) = partitions.get_mut(&local_id) {
                partition.put_rows(state);
            }
        }
        Write::Delete { local_id } => {
            partitions.remove(&local_id);
        }
        Write::Barrier => {}
    }
}

impl RecordStore for MemoryStore {
    fn partitions(&self) -> Result<Vec<PartitionRow>, StoreError> {
        let partitions = self.shared.partitions.read();
        let mut rows: Vec<_> = partitions
            .iter()
            .map(|(local_id, partition)| PartitionRow {
                local_id: *local_id,
                id: partition.id,
                log_start_offset: partition.log_start_offset,
                log_end_offset: partition.log_end_offset,
                size_bytes: partition.size_bytes(),
            })
            .collect();
        rows.sort_by_key(|row| row.local_id);
        Ok(rows)
    }

    fn allocate(&self) -> Result<LocalId, StoreError> {
        Ok(LocalId(self.shared.next_local_id.fetch_add(1, Ordering::Relaxed)))
    }

    fn submit(&self, write: Write, durability: Durability, done: Done) -> Result<(), StoreError> {
        self.submit_all(vec![write], durability, done)
    }

    fn submit_all(&self, writes: Vec<Write>, _durability: Durability, done: Done) -> Result<(), StoreError> {
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Err(StoreError::Closed);
        }
        let queue = &mut *queue;
        queue.ends.accept(&writes, &queue.health)?;
        queue.items.push_back(Queued { writes, done });
        self.shared.changed.notify_all();
        Ok(())
    }

    fn read_cached(&self, request: &ReadRequest) -> Option<Vec<Run>> {
        if self.shared.faults.lock().cold {
            return None;
        }
        let read = |partition: &Partition| partition.read(request, usize::MAX);
        self.shared.with_partition(request.local_id, read).ok()?.ok()
    }

    fn read(&self, request: ReadRequest) -> BoxFuture<Result<Vec<Run>, StoreError>> {
        let runs =
            self.shared.with_partition(request.local_id, |partition| partition.read(&request, request.most_bytes));
        let runs = runs.and_then(|runs| runs);
        Box::pin(async move { runs })
    }

    fn read_parts(
        &self,
        request: ReadRequest,
        mut select: Box<dyn Select>,
    ) -> BoxFuture<Result<Vec<Piece>, StoreError>> {
        let runs = self.read(request);
        Box::pin(async move {
            let mut parts = Vec::new();
            for run in runs.await? {
                let batches = Bytes::from(run.pieces.concat());
                let damaged = |what| StoreError::Damaged { file: "memory".into(), position: 0, what };
                let cut = select.cut(&run.info, &batches).map_err(damaged)?;
                parts.extend(cut.range.map(|wanted| Piece::Memory(batches.slice(wanted))));
                if cut.full {
                    break;
                }
            }
            Ok(parts)
        })
    }

    fn find_timestamp(
        &self,
        local_id: LocalId,
        timestamp_ms: i64,
        from_offset: i64,
    ) -> BoxFuture<Result<Option<RunInfo>, StoreError>> {
        let found = self.shared.with_partition(local_id, |partition| {
            partition.runs_from(from_offset).map(|run| run.info).find(|info| info.max_timestamp_ms >= timestamp_ms)
        });
        Box::pin(async move { found })
    }

    fn max_timestamp(&self, local_id: LocalId) -> BoxFuture<Result<Option<RunInfo>, StoreError>> {
        let found = self.shared.with_partition(local_id, |partition| {
            let infos = partition.runs.values().map(|run| run.info);
            infos.reduce(|best, info| if info.max_timestamp_ms > best.max_timestamp_ms { info } else { best })
        });
        Box::pin(async move { found })
    }

    fn retained_from(&self, local_id: LocalId, retention: Retention) -> BoxFuture<Result<i64, StoreError>> {
        let start = self.shared.with_partition(local_id, |partition| {
            let mut left_bytes = partition.size_bytes();
            let runs = partition.runs.values().map(|run| {
                left_bytes -= run.info.length_bytes;
                Ok::<_, StoreError>((run.info, left_bytes))
            });
            retention.start(partition.log_start_offset, runs)
        });
        Box::pin(async move { start.and_then(|start| start) })
    }

    fn state(&self, local_id: LocalId, kind: StateKind) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.shared.with_partition(local_id, |partition| {
            let from = (kind, Bytes::new());
            let of_kind = partition.state.range(from..).take_while(|((row_kind, _), _)| *row_kind == kind);
            of_kind.map(|((_, key), value)| (key.clone(), value.clone())).collect()
        })
    }

    fn queued_writes(&self) -> usize {
        let queue = self.shared.queue.lock();
        queue.items.len() + queue.in_flight
    }

    fn size_bytes(&self, local_id: LocalId) -> u64 {
        self.shared.partitions.read().get(&local_id).map_or(0, Partition::size_bytes)
    }

    fn health(&self) -> Health {
        self.shared.queue.lock().health.clone()
    }

    fn space(&self) -> Result<Space, StoreError> {
        Ok(Space { total_bytes: TOLD_SPACE_BYTES, usable_bytes: TOLD_SPACE_BYTES })
    }

    fn path(&self) -> &Path {
        &self.shared.path
    }

    fn close(&self) -> BoxFuture<Result<(), StoreError>> {
        let (ended, wait) = oneshot::channel();
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Box::pin(async { Ok(()) });
        }
        // Completions come in order, so this one comes after all that was queued.
        let done: Done = Box::new(move |result| {
            let _ = ended.send(result);
        });
        queue.items.push_back(Queued { writes: Vec::new(), done });
        drop(queue);
        self.shared.stop();
        Box::pin(async move { wait.await.unwrap_or(Err(StoreError::Closed)) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{self, Subject, append_of, conformance_suite, create, write};
    use super::*;
    use std::sync::mpsc;

    impl Subject for Arc<MemoryStore> {
        fn store(&self) -> Arc<dyn RecordStore> {
            self.clone()
        }

        fn restart(&mut self) {}
    }

    conformance_suite!(Arc::new(MemoryStore::new()));

    #[test]
    fn held_writes_wait() {
        let store = MemoryStore::new();
        let id = create(&store, 0);
        store.hold();
        let (sender, receiver) = mpsc::channel();
        let done: Done = Box::new(move |result| sender.send(result).expect("the test waits"));
        store.submit(Write::Append(append_of(id, 0, 1, 10)), Durability::Written, done).expect("submit");
        assert!(receiver.recv_timeout(std::time::Duration::from_millis(20)).is_err());
        assert!(conformance::read(&store, id, 0).is_empty());
        assert_eq!(store.pending(), 1);
        store.release();
        assert_eq!(receiver.recv().expect("done"), Ok(()));
        assert_eq!(conformance::read(&store, id, 0).len(), 1);
    }

    #[test]
    fn a_failed_write_ends_writing_but_not_reading() {
        let store = MemoryStore::new();
        let id = create(&store, 0);
        conformance::append(&store, id, 0, 1);
        store.fail_writes("the disk is gone");
        let read_only = Err(StoreError::ReadOnly { reason: "the disk is gone".into() });
        assert_eq!(write(&store, Write::Append(append_of(id, 1, 1, 10))), read_only);
        assert_eq!(write(&store, Write::Barrier), read_only);
        assert_eq!(conformance::read(&store, id, 0).len(), 1);
        assert_eq!(store.health(), Health::ReadOnly { reason: "the disk is gone".into() });
    }

    #[test]
    fn low_space_refuses_records_only() {
        let store = MemoryStore::new();
        let id = create(&store, 0);
        store.set_low_space(true);
        assert!(matches!(write(&store, Write::Append(append_of(id, 0, 1, 10))), Err(StoreError::LowSpace { .. })));
        write(&store, Write::SetLogStart { local_id: id, log_start_offset: 5, state: vec![] }).expect("start");
        write(&store, Write::Delete { local_id: id }).expect("delete");
        store.set_low_space(false);
        create(&store, 1);
    }
}

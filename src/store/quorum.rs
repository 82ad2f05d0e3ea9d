//! Keeps what the metadata quorum must not forget: Raft's log, vote and markers, and the latest snapshot.
//!
//! Knows nothing of Raft or of the bytes that it holds. A write is atomic, and when it asks for it synced before it returns. After the first failed write
//! nothing more is written until the process starts again: what the disk holds then is not known.
//!
//! ```text
//! 'e' + index (u64 BE)      a log entry
//! 'm' + slot (u8)           a marker
//! 's' + chunk (u32 BE)      the snapshot: chunk 0 is its description, the others are its bytes in order
//! ```

use parking_lot::Mutex;
use rocksdb::{DB, DBRecoveryMode, Direction, IteratorMode, LogLevel, Options, WriteBatch, WriteOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

use super::Durability;

const ENTRY: u8 = b'e';
const SLOT: u8 = b'm';
const SNAPSHOT: u8 = b's';

/// One RocksDB value of a snapshot: small enough for its memory table, large enough that a snapshot is few rows.
const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;

/// The log lives in RocksDB's own log until a table of this size is full; small, because it is read at start.
const WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A small value with a place of its own. The byte is part of the stored key: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum QuorumSlot {
    Vote = 1,
    Committed = 2,
    /// The last entry that was purged.
    Purged = 3,
}

/// A change. Those of one [`QuorumStorage::write`] take effect together, in their order.
#[derive(Clone, Debug)]
pub enum QuorumWrite {
    /// Replaces an entry of the same index.
    Append {
        index: u64,
        entry: Vec<u8>,
    },
    /// Removes the entries from `index` on.
    TruncateFrom(u64),
    /// Removes the entries up to `index`, inclusive.
    PurgeTo(u64),
    Slot(QuorumSlot, Vec<u8>),
    /// Replaces the snapshot.
    Snapshot {
        description: Vec<u8>,
        bytes: Vec<u8>,
    },
}

/// A snapshot with the description that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    pub description: Vec<u8>,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum QuorumStoreError {
    #[error("the quorum store in {path} does not open: {what}")]
    Open { path: PathBuf, what: String },
    #[error("reading the quorum store in {path}: {what}")]
    Read { path: PathBuf, what: String },
    #[error("writing the quorum store in {path}: {what}")]
    Write { path: PathBuf, what: String },
    #[error("damaged data in the quorum store in {path}: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error("the quorum store in {path} takes no writes since one failed; find the cause, then restart the broker")]
    ReadOnly { path: PathBuf },
}

/// The store of one quorum member. Everything blocks for as long as the disk takes.
pub trait QuorumStorage: Send + Sync + 'static {
    /// Makes the changes, all or none.
    fn write(&self, writes: Vec<QuorumWrite>, durability: Durability) -> Result<(), QuorumStoreError>;

    /// Entries with `from <= index < end`, in order.
    fn entries(&self, from: u64, end: u64) -> Result<Vec<(u64, Vec<u8>)>, QuorumStoreError>;

    /// The entry with the highest index.
    fn last_entry(&self) -> Result<Option<(u64, Vec<u8>)>, QuorumStoreError>;

    fn slot(&self, slot: QuorumSlot) -> Result<Option<Vec<u8>>, QuorumStoreError>;

    fn snapshot(&self) -> Result<Option<StoredSnapshot>, QuorumStoreError>;
}

/// A store in the hands of tasks that end on their own: whoever lent it sees when the last of them is through and the store is closed.
pub struct LentStore {
    // Dropped in this order: the store is closed before anybody hears of it.
    store: Arc<dyn QuorumStorage>,
    _closed: watch::Sender<()>,
}

impl LentStore {
    /// The store, and a receiver whose sender is gone once it is closed.
    pub fn new(store: Arc<dyn QuorumStorage>) -> (Arc<Self>, watch::Receiver<()>) {
        let (sender, receiver) = watch::channel(());
        (Arc::new(Self { store, _closed: sender }), receiver)
    }
}

impl QuorumStorage for LentStore {
    fn write(&self, writes: Vec<QuorumWrite>, durability: Durability) -> Result<(), QuorumStoreError> {
        self.store.write(writes, durability)
    }

    fn entries(&self, from: u64, end: u64) -> Result<Vec<(u64, Vec<u8>)>, QuorumStoreError> {
        self.store.entries(from, end)
    }

    fn last_entry(&self) -> Result<Option<(u64, Vec<u8>)>, QuorumStoreError> {
        self.store.last_entry()
    }

    fn slot(&self, slot: QuorumSlot) -> Result<Option<Vec<u8>>, QuorumStoreError> {
        self.store.slot(slot)
    }

    fn snapshot(&self) -> Result<Option<StoredSnapshot>, QuorumStoreError> {
        self.store.snapshot()
    }
}

/// On disk, in a RocksDB of its own whose log is synced.
pub struct DiskQuorumStore {
    db: DB,
    path: PathBuf,
    failed: AtomicBool,
}

impl DiskQuorumStore {
    /// Opens the store in `path`, or makes it.
    ///
    /// # Errors
    /// When another process has it open, or when its data is damaged: a torn end of unsynced writes is not damage.
    pub fn open(path: &Path) -> Result<Self, QuorumStoreError> {
        let failed = |what: String| QuorumStoreError::Open { path: path.to_owned(), what };
        std::fs::create_dir_all(path).map_err(|error| failed(error.to_string()))?;
        let db = DB::open(&options(), path).map_err(|error| failed(error.into_string()))?;
        Ok(Self { db, path: path.to_owned(), failed: AtomicBool::new(false) })
    }

    fn read_error(&self, error: rocksdb::Error) -> QuorumStoreError {
        QuorumStoreError::Read { path: self.path.clone(), what: error.into_string() }
    }

    fn damaged(&self, what: impl Into<String>) -> QuorumStoreError {
        QuorumStoreError::Damaged { path: self.path.clone(), what: what.into() }
    }

    fn index_of(&self, key: &[u8]) -> Result<u64, QuorumStoreError> {
        key.get(1..)
            .and_then(|rest| rest.try_into().ok())
            .map(u64::from_be_bytes)
            .ok_or_else(|| self.damaged("a log entry's key is not 9 bytes long"))
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_open_files(64);
    options.set_max_background_jobs(1);
    options.set_keep_log_file_num(1);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options.set_avoid_unnecessary_blocking_io(true);
    // A broken record in the middle of the log means that synced data is gone: then opening must fail, not forget a vote.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options
}

fn entry_key(index: u64) -> [u8; 9] {
    let mut key = [ENTRY; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

fn chunk_key(chunk: u32) -> [u8; 5] {
    let mut key = [SNAPSHOT; 5];
    key[1..].copy_from_slice(&chunk.to_be_bytes());
    key
}

impl QuorumStorage for DiskQuorumStore {
    fn write(&self, writes: Vec<QuorumWrite>, durability: Durability) -> Result<(), QuorumStoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(QuorumStoreError::ReadOnly { path: self.path.clone() });
        }
        let mut batch = WriteBatch::default();
        for write in writes {
            match write {
                QuorumWrite::Append { index, entry } => batch.put(entry_key(index), entry),
                QuorumWrite::TruncateFrom(index) => batch.delete_range(entry_key(index), entry_key(u64::MAX)),
                QuorumWrite::PurgeTo(index) => batch.delete_range(entry_key(0), entry_key(index.saturating_add(1))),
                QuorumWrite::Slot(slot, value) => batch.put([SLOT, slot as u8], value),
                QuorumWrite::Snapshot { description, bytes } => {
                    batch.delete_range(chunk_key(0), chunk_key(u32::MAX));
                    batch.put(chunk_key(0), description);
                    for (number, chunk) in (1..).zip(bytes.chunks(SNAPSHOT_CHUNK_BYTES)) {
                        batch.put(chunk_key(number), chunk);
                    }
                }
            }
        }
        let mut how = WriteOptions::default();
        how.set_sync(durability == Durability::Synced);
        self.db.write_opt(batch, &how).map_err(|error| {
            self.failed.store(true, Ordering::Release);
            QuorumStoreError::Write { path: self.path.clone(), what: error.into_string() }
        })
    }

    fn entries(&self, from: u64, end: u64) -> Result<Vec<(u64, Vec<u8>)>, QuorumStoreError> {
        let start = entry_key(from);
        let mut entries = Vec::new();
        for row in self.db.iterator(IteratorMode::From(&start, Direction::Forward)) {
            let (key, value) = row.map_err(|error| self.read_error(error))?;
            if key.first() != Some(&ENTRY) {
                break;
            }
            let index = self.index_of(&key)?;
            if index >= end {
                break;
            }
            entries.push((index, value.into_vec()));
        }
        Ok(entries)
    }

    fn last_entry(&self) -> Result<Option<(u64, Vec<u8>)>, QuorumStoreError> {
        let end = entry_key(u64::MAX);
        match self.db.iterator(IteratorMode::From(&end, Direction::Reverse)).next() {
            None => Ok(None),
            Some(row) => {
                let (key, value) = row.map_err(|error| self.read_error(error))?;
                if key.first() == Some(&ENTRY) { Ok(Some((self.index_of(&key)?, value.into_vec()))) } else { Ok(None) }
            }
        }
    }

    fn slot(&self, slot: QuorumSlot) -> Result<Option<Vec<u8>>, QuorumStoreError> {
        self.db.get([SLOT, slot as u8]).map_err(|error| self.read_error(error))
    }

    fn snapshot(&self) -> Result<Option<StoredSnapshot>, QuorumStoreError> {
        let start = chunk_key(0);
        let mut snapshot: Option<StoredSnapshot> = None;
        for row in self.db.iterator(IteratorMode::From(&start, Direction::Forward)) {
            let (key, value) = row.map_err(|error| self.read_error(error))?;
            if key.first() != Some(&SNAPSHOT) {
                break;
            }
            match &mut snapshot {
                None if *key == start => {
                    snapshot = Some(StoredSnapshot { description: value.into_vec(), bytes: Vec::new() });
                }
                None => return Err(self.damaged("a snapshot without its description")),
                Some(snapshot) => snapshot.bytes.extend_from_slice(&value),
            }
        }
        Ok(snapshot)
    }
}

/// In memory, for tests and simulations: it lives as long as the value does.
#[derive(Default)]
pub struct MemoryQuorumStore {
    state: Mutex<MemoryState>,
}

#[derive(Default)]
struct MemoryState {
    entries: BTreeMap<u64, Vec<u8>>,
    slots: BTreeMap<QuorumSlot, Vec<u8>>,
    snapshot: Option<StoredSnapshot>,
}

impl QuorumStorage for MemoryQuorumStore {
    fn write(&self, writes: Vec<QuorumWrite>, _: Durability) -> Result<(), QuorumStoreError> {
        let mut state = self.state.lock();
        for write in writes {
            match write {
                QuorumWrite::Append { index, entry } => {
                    state.entries.insert(index, entry);
                }
                QuorumWrite::TruncateFrom(index) => {
                    state.entries.split_off(&index);
                }
                QuorumWrite::PurgeTo(index) => {
                    state.entries = state.entries.split_off(&index.saturating_add(1));
                }
                QuorumWrite::Slot(slot, value) => {
                    state.slots.insert(slot, value);
                }
                QuorumWrite::Snapshot { description, bytes } => {
                    state.snapshot = Some(StoredSnapshot { description, bytes });
                }
            }
        }
        Ok(())
    }

    fn entries(&self, from: u64, end: u64) -> Result<Vec<(u64, Vec<u8>)>, QuorumStoreError> {
        if from >= end {
            return Ok(Vec::new());
        }
        Ok(self.state.lock().entries.range(from..end).map(|(index, entry)| (*index, entry.clone())).collect())
    }

    fn last_entry(&self) -> Result<Option<(u64, Vec<u8>)>, QuorumStoreError> {
        Ok(self.state.lock().entries.last_key_value().map(|(index, entry)| (*index, entry.clone())))
    }

    fn slot(&self, slot: QuorumSlot) -> Result<Option<Vec<u8>>, QuorumStoreError> {
        Ok(self.state.lock().slots.get(&slot).cloned())
    }

    fn snapshot(&self) -> Result<Option<StoredSnapshot>, QuorumStoreError> {
        Ok(self.state.lock().snapshot.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conformance(open: &dyn Fn() -> Box<dyn QuorumStorage>, keeps: bool) {
        let store = open();
        assert_eq!(store.last_entry().unwrap(), None);
        assert_eq!(store.snapshot().unwrap(), None);
        let append = |index: u64| QuorumWrite::Append { index, entry: index.to_string().into_bytes() };
        store.write((0..300).map(append).collect(), Durability::Synced).unwrap();
        store.write(vec![QuorumWrite::TruncateFrom(290), append(290)], Durability::Synced).unwrap();
        store
            .write(
                vec![QuorumWrite::PurgeTo(9), QuorumWrite::Slot(QuorumSlot::Purged, b"nine".to_vec())],
                Durability::Synced,
            )
            .unwrap();
        let large = StoredSnapshot { description: b"large".to_vec(), bytes: vec![7; 3 * SNAPSHOT_CHUNK_BYTES + 1] };
        let small = StoredSnapshot { description: b"small".to_vec(), bytes: vec![8; 5] };
        for snapshot in [large, small.clone()] {
            let StoredSnapshot { description, bytes } = snapshot.clone();
            store.write(vec![QuorumWrite::Snapshot { description, bytes }], Durability::Synced).unwrap();
            assert_eq!(store.snapshot().unwrap(), Some(snapshot));
        }
        let store = if keeps {
            drop(store);
            open()
        } else {
            store
        };
        assert_eq!(store.snapshot().unwrap(), Some(small));
        assert_eq!(store.last_entry().unwrap(), Some((290, b"290".to_vec())));
        assert_eq!(store.slot(QuorumSlot::Purged).unwrap(), Some(b"nine".to_vec()));
        assert_eq!(store.slot(QuorumSlot::Vote).unwrap(), None);
        let all = store.entries(0, u64::MAX).unwrap();
        assert_eq!(all.first(), Some(&(10, b"10".to_vec())));
        assert_eq!(all.len(), 281);
        assert_eq!(store.entries(20, 22).unwrap(), vec![(20, b"20".to_vec()), (21, b"21".to_vec())]);
        assert_eq!(store.entries(22, 22).unwrap(), vec![]);
    }

    #[test]
    fn memory_conforms() {
        conformance(&|| Box::new(MemoryQuorumStore::default()), false);
    }

    #[test]
    fn disk_conforms_and_keeps() {
        let folder = tempfile::tempdir().unwrap();
        conformance(&|| Box::new(DiskQuorumStore::open(folder.path()).unwrap()), true);
    }

    #[test]
    fn a_second_opener_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = DiskQuorumStore::open(folder.path()).unwrap();
        assert!(matches!(DiskQuorumStore::open(folder.path()), Err(QuorumStoreError::Open { .. })));
    }
}

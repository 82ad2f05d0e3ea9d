//! The index: RocksDB without a log of its own. What it holds on disk is always what our last flush put there, and never more than the synced record
//! files hold, so it can be lost up to that flush and made again from them.
//!
//! Never flushed by anything but [`Index::flush`]: the memtables are far larger than what the writer lets gather in them.

use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, FlushOptions, IteratorMode, LogLevel, Options,
    ReadOptions, WriteBatch, WriteOptions,
};
use std::path::Path;

use super::keys::{MetaKey, MetaKind, RunKey, StateKey, partition_prefix, state_kind};
use super::values::{FileValue, Malformed, PartitionValue, Position, RunValue, encode_deleted};
use super::{LocalId, StateKind, StateRow, StoreError};

const RUNS: &str = "runs";
const STATE: &str = "state";

/// Where RocksDB would flush on its own. Ours come at [`super::writer`]'s bound, a small part of this.
const MEMTABLE_LIMIT_BYTES: usize = 512 * 1024 * 1024;
/// Memtable memory is taken in steps of this, so that an idle store holds next to none.
const ARENA_BLOCK_BYTES: usize = 64 * 1024;

/// A key and its value, as RocksDB's iterators give them.
type RawRow = (Box<[u8]>, Box<[u8]>);

/// What a state row is found by within its partition.
pub(super) type KindAndKey = (StateKind, Box<[u8]>);

/// One log directory's index.
pub(super) struct Index {
    db: DB,
    write_options: WriteOptions,
    name: String,
}

/// Changes that go in together.
#[derive(Default)]
pub(super) struct Batch {
    inner: WriteBatch,
    value: Vec<u8>,
}

impl Batch {
    pub(super) fn size_bytes(&self) -> usize {
        self.inner.size_in_bytes()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }
}

/// The families other than the default one.
#[derive(Clone, Copy)]
pub(super) struct Families<'a> {
    runs: &'a ColumnFamily,
    state: &'a ColumnFamily,
}

impl Index {
    /// Opens the index in `path`, making it if it is not there.
    pub(super) fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let error = |what: rocksdb::Error| StoreError::Io { file: name.clone(), what: what.to_string() };
        let options = database_options().map_err(error)?;
        let cache = Cache::new_lru_cache(cache_bytes);
        let families =
            ["default", RUNS, STATE].map(|family| ColumnFamilyDescriptor::new(family, family_options(&cache)));
        let db = DB::open_cf_descriptors(&options, path, families).map_err(error)?;
        let mut write_options = WriteOptions::default();
        write_options.disable_wal(true);
        Ok(Index { db, write_options, name })
    }

    fn failed(&self, error: rocksdb::Error) -> StoreError {
        StoreError::Io { file: self.name.clone(), what: error.to_string() }
    }

    fn malformed(&self, error: Malformed) -> StoreError {
        StoreError::Io { file: self.name.clone(), what: error.to_string() }
    }

    pub(super) fn families(&self) -> Result<Families<'_>, StoreError> {
        match (self.db.cf_handle(RUNS), self.db.cf_handle(STATE)) {
            (Some(runs), Some(state)) => Ok(Families { runs, state }),
            _ => Err(StoreError::Io { file: self.name.clone(), what: "a column family is missing".into() }),
        }
    }

    /// Makes the changes visible, all at once; durable only with the next flush.
    pub(super) fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.db.write_opt(batch.inner, &self.write_options).map_err(|error| self.failed(error))
    }

    /// Makes everything applied so far durable, all families at once. Without `wait` the memtables are switched on return and written behind.
    pub(super) fn flush(&self, wait: bool) -> Result<(), StoreError> {
        let families = self.families()?;
        let default = self.db.cf_handle("default");
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        let all: Vec<_> = [Some(families.runs), Some(families.state), default].into_iter().flatten().collect();
        self.db.flush_cfs_opt(&all, &options).map_err(|error| self.failed(error))
    }

    /// Whether a flush that did not wait is still being written.
    pub(super) fn flush_pending(&self) -> Result<bool, StoreError> {
        let families = self.families()?;
        let property = "rocksdb.num-immutable-mem-table";
        let waiting = [
            self.db.property_int_value(property),
            self.db.property_int_value_cf(families.runs, property),
            self.db.property_int_value_cf(families.state, property),
        ];
        for count in waiting {
            if count.map_err(|error| self.failed(error))?.unwrap_or(0) > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn position(&self) -> Result<Option<Position>, StoreError> {
        let found = self.db.get_pinned(MetaKey::Position.encode()).map_err(|error| self.failed(error))?;
        found.map(|bytes| Position::decode(&bytes)).transpose().map_err(|error| self.malformed(error))
    }

    fn meta_rows<T>(
        &self,
        kind: MetaKind,
        decode: impl Fn(MetaKey, &[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Vec<T>, StoreError> {
        let (from, to) = MetaKey::range_of(kind);
        let mut read = ReadOptions::default();
        read.set_iterate_range(from.to_vec()..to.to_vec());
        let mut rows = Vec::new();
        for entry in self.db.iterator_opt(IteratorMode::Start, read) {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            let row = MetaKey::decode(&key).and_then(|key| decode(key, &value));
            rows.extend(row.map_err(|error| self.malformed(error))?);
        }
        Ok(rows)
    }

    pub(super) fn partitions(&self) -> Result<Vec<(LocalId, PartitionValue)>, StoreError> {
        self.meta_rows(MetaKind::Partition, |key, value| match key {
            MetaKey::Partition(local_id) => Ok(Some((local_id, PartitionValue::decode(value)?))),
            _ => Ok(None),
        })
    }

    pub(super) fn files(&self) -> Result<Vec<(u64, FileValue)>, StoreError> {
        self.meta_rows(MetaKind::RecordFile, |key, value| match key {
            MetaKey::RecordFile(file_id) => Ok(Some((file_id, FileValue::decode(value)?))),
            _ => Ok(None),
        })
    }

    /// Deleted partitions that still have rows.
    pub(super) fn deleted(&self) -> Result<Vec<LocalId>, StoreError> {
        self.meta_rows(MetaKind::Deleted, |key, _| match key {
            MetaKey::Deleted(local_id) => Ok(Some(local_id)),
            _ => Ok(None),
        })
    }

    /// The listed run with the largest base offset at or below `offset`.
    pub(super) fn run_before(&self, local_id: LocalId, offset: i64) -> Result<Option<(i64, RunValue)>, StoreError> {
        let families = self.families()?;
        let mut read = ReadOptions::default();
        let end = RunKey { local_id, base_offset: offset.saturating_add(1) }.encode();
        read.set_iterate_range(partition_prefix(local_id).to_vec()..end.to_vec());
        match self.db.iterator_cf_opt(families.runs, read, IteratorMode::End).next() {
            Some(entry) => self.run_row(entry).map(Some),
            None => Ok(None),
        }
    }

    fn run_row(&self, entry: Result<RawRow, rocksdb::Error>) -> Result<(i64, RunValue), StoreError> {
        let (key, value) = entry.map_err(|error| self.failed(error))?;
        let key = RunKey::decode(&key).map_err(|error| self.malformed(error))?;
        let run = RunValue::decode(key.base_offset, &value).map_err(|error| self.malformed(error))?;
        Ok((key.base_offset, run))
    }

    /// Listed runs with a base offset at or above `from`, in order.
    pub(super) fn runs_from(
        &self,
        local_id: LocalId,
        from: i64,
    ) -> Result<impl Iterator<Item = Result<(i64, RunValue), StoreError>> + '_, StoreError> {
        let families = self.families()?;
        let mut read = ReadOptions::default();
        let end = partition_prefix(LocalId(local_id.0.saturating_add(1)));
        read.set_iterate_range(RunKey { local_id, base_offset: from }.encode().to_vec()..end.to_vec());
        let rows = self.db.iterator_cf_opt(families.runs, read, IteratorMode::Start);
        Ok(rows.map(|entry| self.run_row(entry)))
    }

    /// The rows of one kind, in key order.
    pub(super) fn state(&self, local_id: LocalId, kind: StateKind) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let (from, to) = StateKey::range_of(local_id, kind);
        let mut read = ReadOptions::default();
        read.set_iterate_range(from.to_vec()..to.to_vec());
        let rows = self.db.iterator_cf_opt(self.families()?.state, read, IteratorMode::Start);
        rows.map(|entry| {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            Ok((Bytes::from(key).slice(from.len()..), Bytes::from(value)))
        })
        .collect()
    }

    /// Up to `limit` state keys of a partition, of every kind.
    pub(super) fn state_keys(&self, local_id: LocalId, limit: usize) -> Result<Vec<KindAndKey>, StoreError> {
        let mut read = ReadOptions::default();
        let end = partition_prefix(LocalId(local_id.0.saturating_add(1)));
        read.set_iterate_range(partition_prefix(local_id).to_vec()..end.to_vec());
        let mut keys = Vec::new();
        for entry in self.db.iterator_cf_opt(self.families()?.state, read, IteratorMode::Start).take(limit) {
            let (key, _) = entry.map_err(|error| self.failed(error))?;
            match key.split_at_checked(super::keys::STATE_KEY_PREFIX_BYTES) {
                Some((&[.., kind], rest)) if state_kind(kind).is_some() => {
                    keys.extend(state_kind(kind).map(|kind| (kind, rest.into())));
                }
                _ => return Err(self.malformed(Malformed::key(&key))),
            }
        }
        Ok(keys)
    }
}

impl Families<'_> {
    pub(super) fn put_run(&self, batch: &mut Batch, key: RunKey, value: &RunValue) {
        batch.value.clear();
        value.encode_to(key.base_offset, &mut batch.value);
        batch.inner.put_cf(self.runs, key.encode(), &batch.value);
    }

    pub(super) fn delete_run(&self, batch: &mut Batch, key: RunKey) {
        batch.inner.delete_cf(self.runs, key.encode());
    }

    pub(super) fn put_state(&self, batch: &mut Batch, local_id: LocalId, row: &StateRow) {
        let key = StateKey::new(local_id, row.kind, &row.key);
        match &row.value {
            Some(value) => batch.inner.put_cf(self.state, key, value),
            None => batch.inner.delete_cf(self.state, key),
        }
    }

    pub(super) fn delete_state(&self, batch: &mut Batch, local_id: LocalId, kind: StateKind, key: &[u8]) {
        batch.inner.delete_cf(self.state, StateKey::new(local_id, kind, key));
    }
}

impl Batch {
    pub(super) fn put_position(&mut self, position: &Position) {
        self.inner.put(MetaKey::Position.encode(), position.encode());
    }

    pub(super) fn put_file(&mut self, file_id: u64, value: &FileValue) {
        self.inner.put(MetaKey::RecordFile(file_id).encode(), value.encode());
    }

    pub(super) fn delete_file(&mut self, file_id: u64) {
        self.inner.delete(MetaKey::RecordFile(file_id).encode());
    }

    pub(super) fn put_partition(&mut self, local_id: LocalId, value: &PartitionValue) {
        self.inner.put(MetaKey::Partition(local_id).encode(), value.encode());
    }

    /// The partition is gone; its rows are reaped later.
    pub(super) fn delete_partition(&mut self, local_id: LocalId) {
        self.inner.delete(MetaKey::Partition(local_id).encode());
        self.inner.put(MetaKey::Deleted(local_id).encode(), encode_deleted(local_id));
    }

    pub(super) fn forget_deleted(&mut self, local_id: LocalId) {
        self.inner.delete(MetaKey::Deleted(local_id).encode());
    }
}

fn database_options() -> Result<Options, rocksdb::Error> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_max_background_jobs(2);
    options.set_max_file_opening_threads(2);
    options.set_skip_stats_update_on_db_open(true);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_max_manifest_file_size(4 * 1024 * 1024);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(1024 * 1024);
    options.set_keep_log_file_num(2);
    // Closing must not flush: what is in the memtables may be ahead of the synced record files.
    options.get_options_from_string("avoid_flush_during_shutdown=true")
}

fn family_options(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(8 * 1024);
    table.set_format_version(5);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.set_write_buffer_size(MEMTABLE_LIMIT_BYTES);
    options.set_arena_block_size(ARENA_BLOCK_BYTES);
    options.set_max_write_buffer_number(6);
    options.set_target_file_size_base(16 * 1024 * 1024);
    options
}

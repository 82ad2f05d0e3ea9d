//! Applies groups to the index and to the table of partitions: the same code for a group just written and for one read back after a crash.
//!
//! A truncation, start move or deletion looks rows up in the index, so its group must hold no earlier change of that partition
//! ([`super::group::GroupBuilder::must_close_before`] sees to it).

use ahash::{HashMap, HashSet};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::group::{Change, Entry};
use super::index::{Batch, Index};
use super::keys::RunKey;
use super::record_file::Seed;
use super::table::{Slot, Table};
use super::values::{FileValue, NO_TIMESTAMP, PartitionValue, Position, RunValue};
use super::{LocalId, StoreError};

/// Index rows that one step of reaping removes at most, so that the writer is back at its queue within a few milliseconds.
const REAP_STEP_ROWS: usize = 512;

/// The writer's view of the index: what is in it, and which rows the next checkpoint has to bring up to date.
pub(super) struct Applier {
    index: Arc<Index>,
    table: Arc<Table>,
    files: BTreeMap<u64, FileValue>,
    /// Of the runs in all files.
    live_bytes: u64,
    /// Since the last checkpoint a file lost its last live run.
    has_dead_file: bool,
    dirty_files: HashSet<u64>,
    dirty_partitions: HashSet<LocalId>,
    /// Partitions with runs in the index that are below their start or gone with them.
    to_reap: VecDeque<Reap>,
    next_local_id: u64,
    /// Bytes put in the index since the last checkpoint.
    batch_bytes: usize,
    /// What the group at hand leaves its partitions at; `None` for a deleted one.
    staged: HashMap<LocalId, Option<PartitionValue>>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Reap {
    BelowStart(LocalId),
    Deleted(LocalId),
}

impl Applier {
    pub(super) fn new(
        index: Arc<Index>,
        table: Arc<Table>,
        files: Vec<(u64, FileValue)>,
        next_local_id: u64,
    ) -> Result<Self, StoreError> {
        let mut to_reap: VecDeque<_> = index.deleted()?.into_iter().map(Reap::Deleted).collect();
        let partitions = table.values();
        let below_start = partitions.iter().filter(|(_, value)| value.reaped_offset < value.log_start_offset);
        to_reap.extend(below_start.map(|(local_id, _)| Reap::BelowStart(*local_id)));
        Ok(Applier {
            index,
            table,
            live_bytes: files.iter().map(|(_, file)| file.live_bytes).sum(),
            has_dead_file: false,
            files: files.into_iter().collect(),
            dirty_files: HashSet::default(),
            dirty_partitions: HashSet::default(),
            to_reap,
            next_local_id,
            batch_bytes: 0,
            staged: HashMap::default(),
        })
    }

    /// Local ids from this on were never given, as far as applied groups tell.
    pub(super) fn next_local_id(&self) -> u64 {
        self.next_local_id
    }

    /// A file that groups go to from now on. It gets its row with the next checkpoint, runs or not: a file without one is taken for a leftover.
    pub(super) fn note_file(&mut self, seed: Seed) {
        let new = FileValue { salt: seed.salt, live_bytes: 0, run_bytes: 0 };
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.files.entry(seed.file_id) {
            vacant.insert(new);
            self.dirty_files.insert(seed.file_id);
        }
    }

    pub(super) fn salt(&self, file_id: u64) -> Option<u64> {
        self.files.get(&file_id).map(|file| file.salt)
    }

    pub(super) fn highest_file_id(&self) -> u64 {
        self.files.last_key_value().map_or(0, |(file_id, _)| *file_id)
    }

    /// Bytes of the runs in all files that are not known to be dead.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Whether the next checkpoint gives a file's space back.
    pub(super) fn has_dead_file(&self) -> bool {
        self.has_dead_file
    }

    /// Every file with a row.
    pub(super) fn seeds(&self) -> impl Iterator<Item = Seed> + '_ {
        self.files.iter().map(|(file_id, file)| Seed { file_id: *file_id, salt: file.salt })
    }

    pub(super) fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    fn value(&self, local_id: LocalId) -> Result<PartitionValue, StoreError> {
        let staged = self.staged.get(&local_id).copied();
        staged.unwrap_or_else(|| self.table.value(local_id)).ok_or(StoreError::UnknownPartition(local_id))
    }

    /// Applies a group of `file_id`, each entry with its run's position there. The index has it on return; [`Self::publish`] shows it to readers.
    pub(super) fn apply(&mut self, file_id: u64, entries: &[Entry], positions: &[u64]) -> Result<(), StoreError> {
        self.staged.clear();
        let index = self.index.clone();
        let mut batch = Batch::default();
        let families = index.families()?;
        for (entry, position) in entries.iter().zip(positions) {
            let local_id = entry.local_id;
            match &entry.change {
                Change::Create(id) => {
                    self.next_local_id = self.next_local_id.max(local_id.0.saturating_add(1));
                    self.staged.insert(local_id, Some(PartitionValue::new(*id)));
                }
                Change::Delete => {
                    self.value(local_id)?;
                    batch.delete_partition(local_id);
                    self.staged.insert(local_id, None);
                    self.to_reap.push_back(Reap::Deleted(local_id));
                }
                change => {
                    let mut value = self.value(local_id)?;
                    match change {
                        Change::Truncate(end_offset) => self.truncate(&mut batch, local_id, &mut value, *end_offset)?,
                        Change::SetLogStart(offset) => self.set_log_start(local_id, &mut value, *offset)?,
                        _ => self.append(&mut batch, local_id, &mut value, change, (file_id, *position))?,
                    }
                    self.staged.insert(local_id, Some(value));
                    entry.rows.iter().for_each(|row| families.put_state(&mut batch, local_id, row));
                }
            }
        }
        self.write(batch)
    }

    fn write(&mut self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.batch_bytes += batch.size_bytes();
        self.index.apply(batch)
    }

    fn append(
        &mut self,
        batch: &mut Batch,
        local_id: LocalId,
        value: &mut PartitionValue,
        change: &Change,
        (file_id, position): (u64, u64),
    ) -> Result<(), StoreError> {
        let Change::Append { base_offset, last_offset, max_timestamp_ms, run_bytes, run_crc, .. } = change else {
            return Ok(());
        };
        if *base_offset != value.log_end_offset {
            let (expected, got) = (value.log_end_offset, *base_offset);
            return Err(StoreError::OffsetGap { local_id, expected, got });
        }
        let run = RunValue {
            last_offset: *last_offset,
            max_timestamp_ms: *max_timestamp_ms,
            file_id,
            position,
            length_bytes: *run_bytes,
            bytes_before: value.bytes_end,
            crc: *run_crc,
            max_timestamp_so_far_ms: value.max_timestamp_so_far_ms.max(*max_timestamp_ms),
        };
        self.index.families()?.put_run(batch, RunKey { local_id, base_offset: *base_offset }, &run);
        let in_file = u64::from(*run_bytes);
        if let Some(file) = self.files.get_mut(&file_id) {
            file.live_bytes += in_file;
            file.run_bytes += in_file;
            self.live_bytes += in_file;
        }
        self.dirty_files.insert(file_id);
        value.bytes_end += in_file;
        value.max_timestamp_so_far_ms = run.max_timestamp_so_far_ms;
        value.log_end_offset = last_offset.saturating_add(1);
        Ok(())
    }

    /// Counts a run's bytes out of its file.
    fn run_dies(&mut self, run: &RunValue) {
        if let Some(file) = self.files.get_mut(&run.file_id) {
            let dead_bytes = u64::from(run.length_bytes).min(file.live_bytes);
            file.live_bytes -= dead_bytes;
            self.live_bytes = self.live_bytes.saturating_sub(dead_bytes);
            self.has_dead_file |= file.live_bytes == 0;
            self.dirty_files.insert(run.file_id);
        }
    }

    fn truncate(
        &mut self,
        batch: &mut Batch,
        local_id: LocalId,
        value: &mut PartitionValue,
        end_offset: i64,
    ) -> Result<(), StoreError> {
        if end_offset >= value.log_end_offset {
            return Ok(());
        }
        let index = self.index.clone();
        let families = index.families()?;
        let mut bytes_end = None;
        for row in index.runs_from(local_id, end_offset)? {
            let (base_offset, run) = row?;
            bytes_end.get_or_insert(run.bytes_before);
            families.delete_run(batch, RunKey { local_id, base_offset });
            self.run_dies(&run);
        }
        value.max_timestamp_so_far_ms = NO_TIMESTAMP;
        if end_offset > 0
            && let Some((base_offset, mut run)) = index.run_before(local_id, end_offset - 1)?
        {
            value.max_timestamp_so_far_ms = run.max_timestamp_so_far_ms;
            if run.last_offset >= end_offset {
                run.last_offset = end_offset - 1;
                families.put_run(batch, RunKey { local_id, base_offset }, &run);
            }
        }
        value.bytes_end = bytes_end.unwrap_or(value.bytes_end);
        value.log_end_offset = end_offset;
        value.log_start_offset = value.log_start_offset.min(end_offset);
        value.reaped_offset = value.reaped_offset.min(end_offset);
        value.bytes_start = self.first_live_bytes(local_id, value)?;
        if value.log_start_offset == end_offset {
            // A run cut to below the start is dead.
            self.to_reap.push_back(Reap::BelowStart(local_id));
        }
        Ok(())
    }

    fn set_log_start(
        &mut self,
        local_id: LocalId,
        value: &mut PartitionValue,
        log_start_offset: i64,
    ) -> Result<(), StoreError> {
        if log_start_offset <= value.log_start_offset {
            return Ok(());
        }
        value.log_start_offset = log_start_offset;
        value.log_end_offset = value.log_end_offset.max(log_start_offset);
        if value.log_start_offset == value.log_end_offset {
            value.max_timestamp_so_far_ms = NO_TIMESTAMP;
        }
        value.bytes_start = self.first_live_bytes(local_id, value)?;
        self.to_reap.push_back(Reap::BelowStart(local_id));
        Ok(())
    }

    /// Bytes before the first live run, or before the end when there is none. The rows of the group at hand are not looked at.
    fn first_live_bytes(&self, local_id: LocalId, value: &PartitionValue) -> Result<u64, StoreError> {
        if value.log_start_offset >= value.log_end_offset {
            return Ok(value.bytes_end);
        }
        if let Some((_, run)) = self.index.run_before(local_id, value.log_start_offset)?
            && run.last_offset >= value.log_start_offset
        {
            return Ok(run.bytes_before);
        }
        match self.index.runs_from(local_id, value.log_start_offset)?.next() {
            Some(row) => Ok(row?.1.bytes_before.min(value.bytes_end)),
            None => Ok(value.bytes_end),
        }
    }

    /// Shows an applied group to readers. `each` gets the entry's number and its partition's slot, to keep its run in memory.
    pub(super) fn publish(&mut self, entries: &[Entry], mut each: impl FnMut(usize, &mut Slot)) {
        for (number, entry) in entries.iter().enumerate() {
            let local_id = entry.local_id;
            self.dirty_partitions.insert(local_id);
            let Some(value) = self.staged.get(&local_id).copied().flatten() else {
                self.table.remove(local_id);
                continue;
            };
            if matches!(entry.change, Change::Create(_)) {
                self.table.insert(local_id, value);
            }
            let Some(slot) = self.table.slot(local_id) else { continue };
            let mut slot = slot.lock();
            slot.value = value;
            match &entry.change {
                Change::Append { .. } => each(number, &mut slot),
                Change::Truncate(end_offset) => slot.truncate_tail(*end_offset),
                Change::SetLogStart(_) => slot.drop_dead_tail(),
                Change::Create(_) | Change::State | Change::Delete => {}
            }
        }
    }

    /// Whether [`Self::reap`] has something to do.
    pub(super) fn can_reap(&self) -> bool {
        !self.to_reap.is_empty()
    }

    /// Removes some index rows of dead runs. Derived from what the index says already, so it needs no entry in a record file.
    pub(super) fn reap(&mut self) -> Result<(), StoreError> {
        let Some(reap) = self.to_reap.front().copied() else { return Ok(()) };
        let finished = match reap {
            Reap::Deleted(local_id) => self.reap_deleted(local_id)?,
            Reap::BelowStart(local_id) => match self.table.value(local_id) {
                Some(value) => self.reap_below_start(local_id, value)?,
                None => true,
            },
        };
        if finished {
            self.to_reap.pop_front();
        }
        Ok(())
    }

    fn reap_below_start(&mut self, local_id: LocalId, mut value: PartitionValue) -> Result<bool, StoreError> {
        let log_start_offset = value.log_start_offset;
        let (next, finished) =
            self.reap_runs(local_id, value.reaped_offset, |run| run.last_offset < log_start_offset)?;
        value.reaped_offset = next.unwrap_or(log_start_offset).max(value.reaped_offset);
        if let Some(slot) = self.table.slot(local_id) {
            slot.lock().value.reaped_offset = value.reaped_offset;
        }
        self.dirty_partitions.insert(local_id);
        Ok(finished)
    }

    fn reap_deleted(&mut self, local_id: LocalId) -> Result<bool, StoreError> {
        let (_, finished) = self.reap_runs(local_id, 0, |_| true)?;
        if !finished {
            return Ok(false);
        }
        let index = self.index.clone();
        let families = index.families()?;
        let mut batch = Batch::default();
        let keys = index.state_keys(local_id, REAP_STEP_ROWS)?;
        for (kind, key) in &keys {
            families.delete_state(&mut batch, local_id, *kind, key);
        }
        let finished = keys.len() < REAP_STEP_ROWS;
        if finished {
            batch.forget_deleted(local_id);
        }
        self.write(batch)?;
        Ok(finished)
    }

    /// Removes dead rows from `from` on: where to go on (`None`: nowhere, all rows were dead), and whether that was all.
    fn reap_runs(
        &mut self,
        local_id: LocalId,
        from: i64,
        is_dead: impl Fn(&RunValue) -> bool,
    ) -> Result<(Option<i64>, bool), StoreError> {
        let index = self.index.clone();
        let families = index.families()?;
        let mut batch = Batch::default();
        let mut stopped = (None, true);
        for (count, row) in index.runs_from(local_id, from)?.enumerate() {
            let (base_offset, run) = row?;
            if !is_dead(&run) || count == REAP_STEP_ROWS {
                stopped = (Some(base_offset), !is_dead(&run));
                break;
            }
            families.delete_run(&mut batch, RunKey { local_id, base_offset });
            self.run_dies(&run);
        }
        self.write(batch)?;
        Ok(stopped)
    }

    /// Puts the rows that changed since the last checkpoint into the index, with the position that they stand for. Returns the files before
    /// `position.file_id` in which nothing lives any more; they may go once this is flushed.
    pub(super) fn checkpoint(&mut self, position: &Position) -> Result<Vec<u64>, StoreError> {
        let mut batch = Batch::default();
        for local_id in self.dirty_partitions.drain() {
            if let Some(value) = self.table.value(local_id) {
                batch.put_partition(local_id, &value);
            }
        }
        let sealed = self.files.range(..position.file_id);
        let dead: Vec<u64> = sealed.filter(|(_, file)| file.live_bytes == 0).map(|(file_id, _)| *file_id).collect();
        for file_id in &dead {
            self.files.remove(file_id);
            batch.delete_file(*file_id);
        }
        for file_id in self.dirty_files.drain() {
            if let Some(file) = self.files.get(&file_id) {
                batch.put_file(file_id, file);
            }
        }
        batch.put_position(position);
        self.write(batch)?;
        self.batch_bytes = 0;
        self.has_dead_file = false;
        Ok(dead)
    }
}

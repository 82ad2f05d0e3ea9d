//! Every partition in memory: its offsets and counters, and its newest runs. Changed by the writer only, read by everyone.
//!
//! Nobody waits here for a disk: locks are held for a few copies.

use ahash::HashMap;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::Arc;

use super::values::PartitionValue;
use super::{LocalId, ReadRequest, Run, RunInfo};

/// A run that is still in memory.
#[derive(Clone)]
pub(super) struct TailRun {
    pub info: RunInfo,
    pub batches: Bytes,
    /// Of the memory that `batches` is a slice of.
    pub pinned_bytes: usize,
}

pub(super) struct Slot {
    pub value: PartitionValue,
    /// The newest runs without a gap up to the end; older ones only on disk.
    tail: VecDeque<TailRun>,
}

impl Slot {
    fn new(value: PartitionValue) -> Self {
        Slot { value, tail: VecDeque::new() }
    }

    pub(super) fn push_tail(&mut self, run: TailRun) {
        self.tail.push_back(run);
    }

    /// Forgets the oldest run in memory if it is the one at `base_offset`.
    pub(super) fn evict(&mut self, base_offset: i64) {
        if self.tail.front().is_some_and(|run| run.info.base_offset == base_offset) {
            self.tail.pop_front();
            if self.tail.is_empty() {
                self.tail.shrink_to_fit();
            }
        }
    }

    pub(super) fn truncate_tail(&mut self, end_offset: i64) {
        while self.tail.back().is_some_and(|run| run.info.base_offset >= end_offset) {
            self.tail.pop_back();
        }
        if let Some(last) = self.tail.back_mut() {
            last.info.last_offset = last.info.last_offset.min(end_offset - 1);
        }
        self.drop_dead_tail();
    }

    pub(super) fn drop_dead_tail(&mut self) {
        while self.tail.front().is_some_and(|run| run.info.last_offset < self.value.log_start_offset) {
            self.tail.pop_front();
        }
    }

    /// `None` when some of what is asked for may be on disk only.
    fn read(&self, request: &ReadRequest) -> Option<Vec<Run>> {
        let from_offset = request.from_offset.max(self.value.log_start_offset);
        if from_offset >= self.value.log_end_offset.min(request.end_offset) {
            return Some(Vec::new());
        }
        if self.tail.front()?.info.base_offset > from_offset {
            return None;
        }
        let first = self.tail.partition_point(|run| run.info.last_offset < from_offset);
        let mut bytes = 0;
        let mut runs = Vec::new();
        for run in self.tail.range(first..) {
            if run.info.base_offset >= request.end_offset || bytes >= request.max_bytes {
                break;
            }
            bytes = bytes.saturating_add(run.batches.len());
            runs.push(Run { info: run.info, pieces: vec![run.batches.clone()], pinned_bytes: run.pinned_bytes });
        }
        Some(runs)
    }
}

/// All live partitions of a store.
#[derive(Default)]
pub(super) struct Table {
    slots: RwLock<HashMap<LocalId, Arc<Mutex<Slot>>>>,
}

impl Table {
    pub(super) fn restore(&self, partitions: Vec<(LocalId, PartitionValue)>) {
        let mut slots = self.slots.write();
        slots
            .extend(partitions.into_iter().map(|(local_id, value)| (local_id, Arc::new(Mutex::new(Slot::new(value))))));
    }

    pub(super) fn slot(&self, local_id: LocalId) -> Option<Arc<Mutex<Slot>>> {
        self.slots.read().get(&local_id).cloned()
    }

    pub(super) fn value(&self, local_id: LocalId) -> Option<PartitionValue> {
        self.slots.read().get(&local_id).map(|slot| slot.lock().value)
    }

    pub(super) fn insert(&self, local_id: LocalId, value: PartitionValue) {
        self.slots.write().insert(local_id, Arc::new(Mutex::new(Slot::new(value))));
    }

    pub(super) fn remove(&self, local_id: LocalId) {
        self.slots.write().remove(&local_id);
    }

    /// Copies of all rows, by local id.
    pub(super) fn values(&self) -> Vec<(LocalId, PartitionValue)> {
        let slots = self.slots.read();
        let mut values: Vec<_> = slots.iter().map(|(local_id, slot)| (*local_id, slot.lock().value)).collect();
        values.sort_unstable_by_key(|(local_id, _)| *local_id);
        values
    }

    /// The runs asked for when they are all in memory; also `None` for an unknown partition.
    pub(super) fn read(&self, request: &ReadRequest) -> Option<Vec<Run>> {
        let slots = self.slots.read();
        slots.get(&request.local_id)?.lock().read(request)
    }
}

/// Which runs to forget first, and how much they may pin. The writer's own.
pub(super) struct TailBudget {
    budget_bytes: usize,
    used_bytes: usize,
    /// Oldest first. A run that was truncated meanwhile counts until its turn comes.
    order: VecDeque<(LocalId, i64, usize)>,
}

impl TailBudget {
    pub(super) fn new(budget_bytes: usize) -> Self {
        TailBudget { budget_bytes, used_bytes: 0, order: VecDeque::new() }
    }

    /// Counts a run that was pushed to its slot.
    pub(super) fn charge(&mut self, local_id: LocalId, base_offset: i64, bytes: usize) {
        self.used_bytes += bytes;
        self.order.push_back((local_id, base_offset, bytes));
    }

    /// Forgets the oldest runs until what is left fits.
    pub(super) fn shrink(&mut self, table: &Table) {
        while self.used_bytes > self.budget_bytes {
            let Some((local_id, base_offset, bytes)) = self.order.pop_front() else { break };
            self.used_bytes -= bytes;
            if let Some(slot) = table.slot(local_id) {
                slot.lock().evict(base_offset);
            }
        }
    }
}

//! What a store counts and times. Handles are looked up once; without a registry nothing is counted.

use metrics::{Counter, Histogram};

use crate::metrics::{Registry, table};

#[derive(Clone, Debug)]
pub struct StoreMetrics {
    pub(super) group_writes: Histogram,
    pub(super) group_bytes: Histogram,
    /// Of syncs, and of writes that are durable by themselves.
    pub(super) sync_ms: Histogram,
    pub(super) read_from_memory_bytes: Counter,
    pub(super) read_from_disk_bytes: Counter,
}

impl StoreMetrics {
    pub fn new(registry: &Registry) -> Self {
        let read = |from| registry.counter(&table::STORE_READ_BYTES, &[("from", from)]);
        Self {
            group_writes: registry.histogram(&table::STORE_GROUP_WRITES, &[]),
            group_bytes: registry.histogram(&table::STORE_GROUP_BYTES, &[]),
            sync_ms: registry.histogram(&table::LOG_FLUSH_TIME_MS, &[]),
            read_from_memory_bytes: read("memory"),
            read_from_disk_bytes: read("disk"),
        }
    }
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            group_writes: Histogram::noop(),
            group_bytes: Histogram::noop(),
            sync_ms: Histogram::noop(),
            read_from_memory_bytes: Counter::noop(),
            read_from_disk_bytes: Counter::noop(),
        }
    }
}

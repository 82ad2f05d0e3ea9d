//! What the group coordinator counts, as Kafka's `GroupCoordinatorMetrics` does. Handles are looked up once; without a registry nothing is counted.

use metrics::Counter;

use crate::metrics::{Registry, table};

#[derive(Clone, Debug)]
pub struct GroupMetrics {
    /// Offsets that were committed, one for each partition.
    pub(super) commits: Counter,
    pub(super) expired: Counter,
    /// Offsets that a client had deleted.
    pub(super) deleted: Counter,
    /// Generations whose assignment was stored.
    pub(super) rebalances: Counter,
}

impl GroupMetrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            commits: registry.counter(&table::OFFSET_COMMITS, &[]),
            expired: registry.counter(&table::OFFSETS_EXPIRED, &[]),
            deleted: registry.counter(&table::OFFSETS_DELETED, &[]),
            rebalances: registry.counter(&table::COMPLETED_REBALANCES, &[]),
        }
    }
}

impl Default for GroupMetrics {
    fn default() -> Self {
        let [commits, expired, deleted, rebalances] = [(); 4].map(|()| Counter::noop());
        Self { commits, expired, deleted, rebalances }
    }
}

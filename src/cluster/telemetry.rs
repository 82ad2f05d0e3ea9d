//! What the quorum's leader times of the decisions that it takes, as Kafka's controller does of its events. Handles are looked up once; without a registry
//! nothing is counted.

use metrics::Histogram;

use crate::metrics::{Registry, table};

#[derive(Clone, Debug)]
pub struct ClusterMetrics {
    /// From the question until it is its turn.
    pub(super) queue_ms: Histogram,
    pub(super) decide_ms: Histogram,
}

impl ClusterMetrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            queue_ms: registry.histogram(&table::EVENT_QUEUE_TIME_MS, &[]),
            decide_ms: registry.histogram(&table::EVENT_QUEUE_PROCESSING_TIME_MS, &[]),
        }
    }
}

impl Default for ClusterMetrics {
    fn default() -> Self {
        Self { queue_ms: Histogram::noop(), decide_ms: Histogram::noop() }
    }
}

//! The counters of produce and fetch: one set for the broker, one for each topic, as in Kafka's `BrokerTopicMetrics`.

use metrics::Counter;
use std::sync::Arc;

use super::registry::Registry;
use super::table;

/// Handles to one set of counters.
struct Set {
    messages_in: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    bytes_rejected: Counter,
    produce_requests: Counter,
    fetch_requests: Counter,
    failed_produce_requests: Counter,
    failed_fetch_requests: Counter,
}

impl Set {
    fn new(registry: &Registry, labels: &[(&'static str, &str)]) -> Self {
        Self {
            messages_in: registry.counter(&table::MESSAGES_IN, labels),
            bytes_in: registry.counter(&table::BYTES_IN, labels),
            bytes_out: registry.counter(&table::BYTES_OUT, labels),
            bytes_rejected: registry.counter(&table::BYTES_REJECTED, labels),
            produce_requests: registry.counter(&table::TOTAL_PRODUCE_REQUESTS, labels),
            fetch_requests: registry.counter(&table::TOTAL_FETCH_REQUESTS, labels),
            failed_produce_requests: registry.counter(&table::FAILED_PRODUCE_REQUESTS, labels),
            failed_fetch_requests: registry.counter(&table::FAILED_FETCH_REQUESTS, labels),
        }
    }
}

/// Counts a topic's traffic, for the topic and for the broker as a whole.
pub struct TopicMetrics {
    topic: Set,
    broker: Set,
}

impl TopicMetrics {
    pub fn new(registry: &Registry, topic: &str) -> Arc<Self> {
        Arc::new(Self { topic: Set::new(registry, &[("topic", topic)]), broker: Set::new(registry, &[]) })
    }

    /// A partition was produced to; `records` and `bytes` were appended.
    pub fn produced(&self, records: u64, bytes: u64) {
        for set in [&self.topic, &self.broker] {
            set.produce_requests.increment(1);
            set.messages_in.increment(records);
            set.bytes_in.increment(bytes);
        }
    }

    /// A produce to a partition failed; `bytes` were refused.
    pub fn produce_failed(&self, bytes: u64) {
        for set in [&self.topic, &self.broker] {
            set.produce_requests.increment(1);
            set.failed_produce_requests.increment(1);
            set.bytes_rejected.increment(bytes);
        }
    }

    /// A partition was fetched from; `bytes` of batches went out.
    pub fn fetched(&self, bytes: u64, failed: bool) {
        for set in [&self.topic, &self.broker] {
            set.fetch_requests.increment(1);
            set.bytes_out.increment(bytes);
            set.failed_fetch_requests.increment(u64::from(failed));
        }
    }
}

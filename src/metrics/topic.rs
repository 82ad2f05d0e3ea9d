//! The counters of produce and fetch: one set for the broker, one for each topic, as in Kafka's `BrokerTopicMetrics`.
//!
//! A topic's set lives as long as its partitions are on this broker, so that deleted topics leave no series behind.

use super::scrape::Scrape;
use super::table::{self, Metric};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What is counted, in the order of a set's numbers.
const COUNTED: [&Metric; 10] = [
    &table::MESSAGES_IN,
    &table::BYTES_IN,
    &table::BYTES_OUT,
    &table::BYTES_REJECTED,
    &table::TOTAL_PRODUCE_REQUESTS,
    &table::TOTAL_FETCH_REQUESTS,
    &table::FAILED_PRODUCE_REQUESTS,
    &table::FAILED_FETCH_REQUESTS,
    &table::PRODUCE_CONVERSIONS,
    &table::FETCH_CONVERSIONS,
];

const MESSAGES_IN: usize = 0;
const BYTES_IN: usize = 1;
const BYTES_OUT: usize = 2;
const BYTES_REJECTED: usize = 3;
const PRODUCES: usize = 4;
const FETCHES: usize = 5;
const FAILED_PRODUCES: usize = 6;
const FAILED_FETCHES: usize = 7;

/// Numbers of one topic, or of the broker. Those of conversions stay 0: there is one format of record batches, and nothing to convert it from or to.
#[derive(Default)]
struct Set([AtomicU64; COUNTED.len()]);

impl Set {
    fn add(&self, counted: usize, amount: u64) {
        if let Some(number) = self.0.get(counted) {
            number.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// Whether anything was ever produced to or fetched from the topic: until then Kafka has no series of it either.
    fn is_untouched(&self) -> bool {
        self.0.iter().all(|number| number.load(Ordering::Relaxed) == 0)
    }

    fn collect(&self, scrape: &mut Scrape, labels: &[(&'static str, &str)]) {
        for (metric, number) in COUNTED.iter().zip(&self.0) {
            scrape.set(metric, labels, number.load(Ordering::Relaxed) as f64);
        }
    }
}

/// The sets there are.
#[derive(Default)]
pub struct TopicSets {
    broker: Arc<Set>,
    topics: Mutex<BTreeMap<Arc<str>, Weak<TopicMetrics>>>,
}

impl TopicSets {
    /// The topic's counters, which all who ask for them share.
    pub fn of(&self, topic: &Arc<str>) -> Arc<TopicMetrics> {
        let mut topics = self.topics.lock();
        if let Some(known) = topics.get(topic).and_then(Weak::upgrade) {
            return known;
        }
        let metrics = Arc::new(TopicMetrics { topic: Set::default(), broker: Arc::clone(&self.broker) });
        topics.insert(Arc::clone(topic), Arc::downgrade(&metrics));
        metrics
    }

    pub(super) fn collect(&self, scrape: &mut Scrape) {
        self.broker.collect(scrape, &[]);
        for (topic, metrics) in self.topics.lock().iter() {
            if let Some(metrics) = metrics.upgrade().filter(|metrics| !metrics.topic.is_untouched()) {
                metrics.topic.collect(scrape, &[("topic", topic)]);
            }
        }
    }

    /// Forgets the names of topics that are gone.
    pub(super) fn tidy(&self) {
        self.topics.lock().retain(|_, metrics| metrics.strong_count() > 0);
    }
}

/// Counts a topic's traffic, for the topic and for the broker as a whole.
pub struct TopicMetrics {
    topic: Set,
    broker: Arc<Set>,
}

impl TopicMetrics {
    fn add(&self, counted: usize, amount: u64) {
        self.topic.add(counted, amount);
        self.broker.add(counted, amount);
    }

    /// A partition was produced to; `records` and `bytes` were appended.
    pub fn produced(&self, records: u64, bytes: u64) {
        self.add(PRODUCES, 1);
        self.add(MESSAGES_IN, records);
        self.add(BYTES_IN, bytes);
    }

    /// A produce to a partition was refused. Kafka counts as failed only what says something of the broker or of the records, and as rejected only bytes that
    /// were too many: `is_failure` and `rejected_bytes`.
    pub fn produce_refused(&self, is_failure: bool, rejected_bytes: u64) {
        self.add(PRODUCES, 1);
        self.add(FAILED_PRODUCES, u64::from(is_failure));
        self.add(BYTES_REJECTED, rejected_bytes);
    }

    /// A partition was fetched from; `bytes` of batches went out.
    pub fn fetched(&self, bytes: u64, failed: bool) {
        self.add(FETCHES, 1);
        self.add(BYTES_OUT, bytes);
        if failed {
            self.add(FAILED_FETCHES, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use std::sync::Arc;

    fn lines(page: &str, name: &str) -> Vec<String> {
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        page.lines().filter(of_name).map(str::to_owned).collect()
    }

    #[test]
    fn counts_for_the_topic_and_for_the_broker_under_all_names() {
        let registry = Registry::new();
        let (a, b) = (registry.topic(&"a".into()), registry.topic(&"b".into()));
        registry.topic(&"a".into()).produced(2, 30);
        a.produced(1, 10);
        b.produced(1, 2);
        b.fetched(5, true);
        let page = registry.render();
        for name in ["bytesin_total", "bytesinpersec", "bytesinpersec_total"] {
            let name = format!("kafka_server_brokertopicmetrics_{name}");
            let wanted =
                [format!("{name} 42"), format!("{name}{{topic=\"a\"}} 40"), format!("{name}{{topic=\"b\"}} 2")];
            assert_eq!(lines(&page, &name), wanted);
        }
        assert!(page.contains("kafka_server_brokertopicmetrics_messagesin_total{topic=\"a\"} 3\n"), "{page}");
        assert!(page.contains("kafka_server_brokertopicmetrics_failedfetchrequests_total 1\n"), "{page}");
    }

    #[test]
    fn a_topic_that_is_gone_or_untouched_has_no_series() {
        let registry = Registry::new();
        let (gone, untouched): (Arc<_>, Arc<_>) = (registry.topic(&"gone".into()), registry.topic(&"untouched".into()));
        gone.produced(7, 70);
        assert!(registry.render().contains("topic=\"gone\""));
        drop(gone);
        let page = registry.render();
        assert!(!page.contains("topic=\"gone\"") && !page.contains("topic=\"untouched\""), "{page}");
        assert!(
            page.contains("kafka_server_brokertopicmetrics_messagesin_total 7\n"),
            "the broker's count stays: {page}"
        );
        registry.upkeep();
        let again = registry.topic(&"gone".into());
        again.produced(1, 1);
        registry.upkeep();
        let page = registry.render();
        assert!(
            page.contains("kafka_server_brokertopicmetrics_messagesin_total{topic=\"gone\"} 1\n"),
            "a new topic: {page}"
        );
        drop(untouched);
    }
}

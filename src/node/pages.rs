//! What the node shows over HTTP: metrics, health, readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::api::Broker;
use crate::metrics::{Scrape, table};
use crate::net::http::{Condition, Pages};
use crate::replica::Partition;
use crate::store::Health;

/// The pages of one node.
pub struct NodePages {
    pub broker: Arc<Broker>,
    pub serving: Arc<AtomicBool>,
}

impl Pages for NodePages {
    fn metrics(&self) -> String {
        self.broker.metrics.render()
    }

    fn health(&self) -> Condition {
        let reasons = self.broker.replicas.stores().iter().filter_map(|store| match store.health() {
            Health::Writable => None,
            // A restart would not make space: that belongs to readiness.
            Health::LowSpace { .. } => None,
            Health::ReadOnly { reason } => {
                Some(format!("log directory {} is read-only since a write failed: {reason}", store.path().display()))
            }
        });
        Condition { reasons: reasons.collect() }
    }

    fn readiness(&self) -> Condition {
        let mut condition = self.health();
        for store in self.broker.replicas.stores() {
            if let Health::LowSpace { free_bytes, needed_bytes } = store.health() {
                let path = store.path().display();
                condition.reasons.push(format!(
                    "log directory {path} has {free_bytes} bytes free and takes no records below {needed_bytes}"
                ));
            }
        }
        if !self.serving.load(Ordering::Acquire) {
            condition.reasons.push("the node is stopping".to_owned());
        }
        condition
    }
}

/// Has the broker's gauges computed at each scrape.
pub fn register(broker: &Arc<Broker>) {
    let weak = Arc::downgrade(broker);
    broker.metrics.on_scrape(move |scrape| {
        if let Some(broker) = weak.upgrade() {
            collect(&broker, scrape);
        }
    });
}

fn collect(broker: &Broker, scrape: &mut Scrape) {
    let partitions = broker.replicas.partitions();
    let led: Vec<_> = partitions.iter().filter(|partition| partition.check_leader(-1).is_ok()).collect();
    scrape.set(&table::PARTITION_COUNT, &[], partitions.len() as f64);
    scrape.set(&table::LEADER_COUNT, &[], led.len() as f64);
    let under = led.iter().filter(|partition| {
        let leadership = partition.leadership();
        leadership.in_sync < leadership.replicas
    });
    scrape.set(&table::UNDER_REPLICATED_PARTITIONS, &[], under.count() as f64);
    for partition in &partitions {
        collect_log(partition, scrape);
    }
    collect_cluster(broker, scrape);
    scrape.set(&table::STRAY_PARTITIONS, &[], broker.replicas.stray_count() as f64);
    let writable = broker.replicas.stores().iter().all(|store| store.health() == Health::Writable);
    scrape.set(&table::STORE_WRITABLE, &[], f64::from(u8::from(writable)));
}

fn collect_log(partition: &Partition, scrape: &mut Scrape) {
    let (topic, index) = (partition.topic(), partition.id().partition.to_string());
    let labels: &[(&'static str, &str)] = &[("topic", topic), ("partition", &index)];
    let log = partition.log();
    scrape.set(&table::LOG_SIZE, labels, log.size_bytes() as f64);
    scrape.set(&table::LOG_START_OFFSET, labels, log.start_offset() as f64);
    scrape.set(&table::LOG_END_OFFSET, labels, log.end_offset() as f64);
    scrape.set(&table::TOPIC_PARTITION_CURRENT_OFFSET, labels, partition.high_watermark() as f64);
    scrape.set(&table::TOPIC_PARTITION_OLDEST_OFFSET, labels, log.start_offset() as f64);
    let leadership = partition.leadership();
    scrape.set(&table::TOPIC_PARTITION_LEADER, labels, f64::from(leadership.leader));
    scrape.set(&table::TOPIC_PARTITION_REPLICAS, labels, leadership.replicas as f64);
    scrape.set(&table::TOPIC_PARTITION_IN_SYNC_REPLICA, labels, leadership.in_sync as f64);
    let under = leadership.in_sync < leadership.replicas;
    scrape.set(&table::TOPIC_PARTITION_UNDER_REPLICATED, labels, f64::from(u8::from(under)));
}

fn collect_cluster(broker: &Broker, scrape: &mut Scrape) {
    let image = broker.cluster.image();
    let active = image.brokers().filter(|known| known.is_active()).count();
    scrape.set(&table::ACTIVE_CONTROLLER_COUNT, &[], f64::from(u8::from(broker.cluster.is_leader())));
    scrape.set(&table::GLOBAL_TOPIC_COUNT, &[], image.topic_count() as f64);
    scrape.set(&table::GLOBAL_PARTITION_COUNT, &[], image.partition_count() as f64);
    scrape.set(&table::ACTIVE_BROKER_COUNT, &[], active as f64);
    scrape.set(&table::FENCED_BROKER_COUNT, &[], image.brokers().filter(|known| known.fenced).count() as f64);
    scrape.set(&table::BROKERS, &[], image.brokers().count() as f64);
    let leaderless = image.topics().flat_map(|topic| &topic.partitions).filter(|state| !state.has_leader()).count();
    scrape.set(&table::OFFLINE_PARTITIONS_COUNT, &[], leaderless as f64);
    for topic in image.topics() {
        scrape.set(&table::TOPIC_PARTITIONS, &[("topic", &topic.name)], f64::from(topic.partition_count()));
    }
    let quorum = broker.cluster.quorum_status();
    scrape.set(&table::RAFT_CURRENT_LEADER, &[], f64::from(quorum.leader_id));
    scrape.set(&table::RAFT_CURRENT_EPOCH, &[], f64::from(quorum.leader_epoch));
    scrape.set(&table::RAFT_HIGH_WATERMARK, &[], quorum.high_watermark as f64);
}

//! What the node shows over HTTP, from the beginning of its start: metrics, health, readiness, consumer lag, and why clients are stuck.

use std::sync::Arc;

use super::progress::Progress;
use super::{lag, why};
use crate::config::BrokerConfig;
use crate::metrics::Registry;
use crate::net::http::{Condition, Durability, Pages, WhyAsked};
use crate::net::limits::ConnectionLimits;
use crate::store::Health;

/// The pages of one node.
pub struct NodePages {
    pub config: Arc<BrokerConfig>,
    pub metrics: Arc<Registry>,
    pub progress: Arc<Progress>,
    pub limits: [Arc<ConnectionLimits>; 2],
}

impl Pages for NodePages {
    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn lag(&self) -> Option<String> {
        self.progress.broker().map(|broker| lag::page(broker))
    }

    fn health(&self) -> Condition {
        // Before there is a broker nothing has failed: a start that fails ends the process.
        let Some(broker) = self.progress.broker() else { return Condition::default() };
        let reasons = broker.replicas.stores().iter().filter_map(|store| match store.health() {
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
        for store in self.progress.broker().iter().flat_map(|broker| broker.replicas.stores()) {
            if let Health::LowSpace { free_bytes, needed_bytes } = store.health() {
                let path = store.path().display();
                condition.reasons.push(format!(
                    "log directory {path} has {free_bytes} bytes free and takes no records below {needed_bytes}"
                ));
            }
        }
        condition.reasons.extend(self.progress.awaited());
        condition
    }

    fn durability(&self) -> Durability {
        // A node is its whole cluster, so every partition has one replica: nothing is replicated.
        match self.config.sync_single_replica {
            true => Durability {
                name: "synced",
                meaning: "an acks=all write is on stable storage when it is acknowledged: it survives a power failure, not the loss of the disk",
            },
            false => Durability {
                name: "written",
                meaning: "an acks=all write is handed to the operating system when it is acknowledged: it survives the end of the process, not a power failure (ottla.sync.single.replica=false)",
            },
        }
    }

    fn why(&self, asked: &WhyAsked) -> String {
        match self.progress.broker() {
            Some(broker) => why::page(broker, &self.limits, asked),
            None => why::before_it_serves(&self.progress.awaited().unwrap_or_default(), asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::Step;
    use super::*;
    use crate::config::Settings;
    use crate::net::settings::ConnectionQuotas;

    #[test]
    fn a_node_that_starts_says_what_it_waits_for() {
        let config = Arc::new(BrokerConfig::new(Settings::default()).unwrap());
        let metrics = Registry::new();
        let progress = Progress::new(&metrics);
        let limits = [(); 2].map(|()| ConnectionLimits::new(ConnectionQuotas::of(&config)));
        let pages = NodePages { config, metrics, progress: Arc::clone(&progress), limits };
        for (step, said, state) in [
            (Step::OpeningLogDirectories, "opens the log directories", 1),
            (Step::FollowingMetadata, "in line with the metadata", 2),
            (Step::Registering, "registers", 2),
            (Step::MakingDeclaredTopics, "ottla.bootstrap.file", 2),
        ] {
            progress.takes(step);
            let reasons = pages.readiness().reasons;
            assert!(reasons.len() == 1 && reasons[0].contains(said), "{reasons:?}");
            // A restart would not help, so a probe must not ask for one.
            assert!(pages.health().is_good() && pages.lag().is_none());
            let why = pages.why(&WhyAsked { as_text: true, ..WhyAsked::default() });
            assert!(why.starts_with("this broker: the node is starting, since ") && why.contains(said), "{why}");
            assert!(pages.metrics().contains(&format!("kafka_server_kafkaserver_brokerstate {state}\n")));
        }
        progress.stops();
        assert_eq!(pages.readiness().reasons, ["the node is stopping"]);
    }
}

//! What the node shows over HTTP: metrics, health, readiness, consumer lag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{lag, why};
use crate::api::Broker;
use crate::net::http::{Condition, Durability, Pages, WhyAsked};
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

    fn lag(&self) -> String {
        lag::page(&self.broker)
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

    fn durability(&self) -> Durability {
        // A node is its whole cluster, so every partition has one replica: nothing is replicated.
        match self.broker.config().sync_single_replica {
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
        why::page(&self.broker, asked)
    }
}

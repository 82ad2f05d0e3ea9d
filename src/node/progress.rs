//! Where a node is between its start and its end: what `/ready` waits for, and the broker's state by Kafka's numbers.
//!
//! Tells only; nothing is decided by it.

use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::why::told;
use crate::api::Broker;
use crate::metrics::{Registry, table};

/// What a start is doing, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    OpeningLogDirectories,
    FollowingMetadata,
    Registering,
    MakingDeclaredTopics,
}

impl Step {
    fn sentence(self) -> &'static str {
        match self {
            Self::OpeningLogDirectories => {
                "it opens the log directories; after a kill it reads the end of their record files"
            }
            Self::FollowingMetadata => "it brings its partitions in line with the metadata",
            Self::Registering => "it registers with the cluster",
            Self::MakingDeclaredTopics => "it makes the topics that ottla.bootstrap.file declares",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting(Step),
    Serving,
    Stopping,
}

/// A node's progress.
pub struct Progress {
    began: Instant,
    stage: Mutex<Stage>,
    broker: OnceLock<Arc<Broker>>,
}

impl Progress {
    /// Of a node that begins; told to whoever reads the metrics, too.
    pub fn new(metrics: &Registry) -> Arc<Self> {
        let progress = Arc::new(Self {
            began: Instant::now(),
            stage: Mutex::new(Stage::Starting(Step::OpeningLogDirectories)),
            broker: OnceLock::new(),
        });
        // Not its owner: the broker owns the registry.
        let told = Arc::downgrade(&progress);
        metrics.on_scrape(move |scrape| {
            if let Some(progress) = told.upgrade() {
                scrape.set(&table::BROKER_STATE, &[], progress.broker_state());
            }
        });
        progress
    }

    pub fn takes(&self, step: Step) {
        *self.stage.lock() = Stage::Starting(step);
    }

    /// Clients are served from now on.
    pub fn serves(&self, broker: &Arc<Broker>) {
        let _ = self.broker.set(Arc::clone(broker));
        *self.stage.lock() = Stage::Serving;
    }

    pub fn stops(&self) {
        *self.stage.lock() = Stage::Stopping;
    }

    /// The broker, once it serves.
    pub fn broker(&self) -> Option<&Arc<Broker>> {
        self.broker.get()
    }

    /// What has to be waited for until clients are served; `None` while they are.
    pub fn awaited(&self) -> Option<String> {
        match *self.stage.lock() {
            Stage::Starting(step) => {
                Some(format!("the node is starting, since {}: {}", told(self.began.elapsed()), step.sentence()))
            }
            Stage::Serving => None,
            Stage::Stopping => Some("the node is stopping".to_owned()),
        }
    }

    /// Kafka's number for it.
    fn broker_state(&self) -> f64 {
        match *self.stage.lock() {
            Stage::Starting(Step::OpeningLogDirectories) => 1.0,
            Stage::Starting(_) => 2.0,
            Stage::Serving => 3.0,
            Stage::Stopping => 7.0,
        }
    }
}

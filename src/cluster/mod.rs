//! The cluster's metadata: what topics, brokers, configurations and features there are, agreed on by the quorum.
//!
//! ```text
//! request -> decide (on the leader, on the newest image) -> records -> Raft's log, synced -> apply -> new image and delta -> subscribers
//! ```
//!
//! Readers hold an immutable image. Never imports `log`, and `store` only for the quorum's own storage.

pub mod apply;
pub mod config_rules;
pub mod decide;
pub mod delta;
pub mod image;
#[cfg(test)]
mod kill_tests;
pub mod placement;
mod producer_ids;
mod propose;
mod publish;
#[cfg(test)]
mod quorum_tests;
pub mod raft;
pub mod record;
mod status;
mod telemetry;
#[cfg(test)]
mod tests;

use openraft::error::{InitializeError, RaftError};
use openraft::{BasicNode, ServerState, SnapshotPolicy};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

pub use decide::{ApiError, Decision};
pub use delta::Delta;
pub use image::{MetadataImage, NO_OFFSET, Topic};
pub use publish::{Publication, Subscription};
pub use record::{ConfigResource, NO_LEADER, PartitionState, ResourceKind};
pub use status::{QuorumStatus, ReplicaStatus};
pub use telemetry::ClusterMetrics;

use crate::metrics::sampled::Sampled;
use crate::store::quorum::{LentStore, QuorumStorage};
use crate::types::BrokerId;
use crate::types::time::SharedClock;
use propose::{Proposal, Proposer, proposal};
use publish::Publisher;
use raft::log_store::LogStore;
use raft::network::{LastContacts, Network, QuorumRequest, QuorumResponse, QuorumTransport};
use raft::state_machine::StateMachine;
use raft::{MemberId, Raft};
use record::Record;

/// How long a quorum of one may take to lead itself.
const SINGLE_LEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the last tasks may take to let go of the store when the handle is closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// A log entry is sent to members that are at most this many entries behind; others get the snapshot.
const ENTRIES_KEPT_BEHIND_SNAPSHOT: u64 = 1024;

pub struct ClusterOptions {
    pub node_id: BrokerId,
    /// Written by the first leader of a new cluster; must be what the log says in an old one.
    pub cluster_id: Arc<str>,
    /// Levels that a new cluster starts with.
    pub features: BTreeMap<Arc<str>, i16>,
    /// Members of a new quorum and their addresses, this node included. An old one knows its members from its log.
    pub voters: BTreeMap<BrokerId, String>,
    pub transport: Arc<dyn QuorumTransport>,
    pub store: Arc<dyn QuorumStorage>,
    pub clock: SharedClock,
    pub timing: QuorumTiming,
    pub metrics: ClusterMetrics,
}

/// Raft's times. Heartbeats must be much shorter than the election time-out.
#[derive(Clone, Copy, Debug)]
pub struct QuorumTiming {
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for this long, and up to twice as long, asks to be elected.
    pub election_timeout_ms: u64,
    /// A snapshot is taken after this many log entries.
    pub snapshot_entries: u64,
}

impl Default for QuorumTiming {
    fn default() -> Self {
        // Kafka's controller.quorum.election.timeout.ms is 1000 as well.
        Self { heartbeat_ms: 200, election_timeout_ms: 1000, snapshot_entries: 2048 }
    }
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClusterError {
    /// Nothing happened; ask the leader.
    #[error("this node does not lead the metadata quorum (leader: {leader:?})")]
    NotLeader { leader: Option<BrokerId> },
    /// Nothing happened: the quorum's leader changed between decision and commit. May be tried again.
    #[error("the metadata changed while a change was on its way; try again")]
    Superseded,
    #[error("timed out {what}")]
    TimedOut { what: &'static str },
    #[error("the cluster handle is closed")]
    Closed,
    #[error("{0}")]
    Internal(String),
    #[error(
        "the metadata log belongs to cluster {stored}, not to {configured}: check the log directories and cluster.id"
    )]
    OtherCluster { stored: Arc<str>, configured: Arc<str> },
    #[error("the metadata quorum does not start: {0}")]
    Start(String),
}

/// The node's part in the metadata quorum.
pub struct Cluster {
    node_id: BrokerId,
    raft: Raft,
    publisher: Arc<Publisher>,
    /// Closed once Raft's last task has let go of the store.
    store_closed: watch::Receiver<()>,
    proposals: Mutex<Option<mpsc::UnboundedSender<Proposal>>>,
    clock: SharedClock,
    last_contacts: LastContacts,
    commit_latency_ms: Arc<Sampled>,
    metrics: ClusterMetrics,
    producer_ids: producer_ids::ProducerIds,
}

impl Cluster {
    /// Starts the node's member of the quorum. A quorum of one leads itself, and has applied its whole log, when this returns; a member of several returns
    /// at once and finds its leader by itself.
    ///
    /// # Errors
    /// When the store cannot be read, holds another cluster, or a format that this build does not know.
    pub async fn open(options: ClusterOptions) -> Result<Arc<Self>, ClusterError> {
        let start = |error: &dyn std::fmt::Display| ClusterError::Start(error.to_string());
        let publisher = Publisher::new();
        let last_contacts = LastContacts::default();
        let ClusterOptions { node_id, cluster_id, features, voters, transport, store, clock, timing, metrics } =
            options;
        let (store, store_closed) = LentStore::new(store);
        let machine = StateMachine::open(store.clone(), publisher.clone()).map_err(|error| start(&error))?;
        let log = LogStore::open(store).map_err(|error| start(&error))?;
        let network = Network { transport, clock: clock.clone(), last_contacts: last_contacts.clone() };
        let config = config(&cluster_id, timing).map_err(|error| start(&error))?;
        let raft = Raft::new(MemberId(node_id), config, network, log, machine).await.map_err(|error| start(&error))?;
        let (proposals, queue) = mpsc::unbounded_channel();
        let commit_latency_ms = Arc::new(Sampled::default());
        let proposer = Proposer {
            member: MemberId(node_id),
            raft: raft.clone(),
            publisher: publisher.clone(),
            bootstrap: bootstrap(&cluster_id, features),
            commit_latency_ms: commit_latency_ms.clone(),
            caught_up_in: None,
        };
        tokio::spawn(proposer.run(queue));
        let cluster = Arc::new(Self {
            node_id,
            raft,
            publisher,
            store_closed,
            proposals: Mutex::new(Some(proposals)),
            clock,
            last_contacts,
            commit_latency_ms,
            metrics,
            producer_ids: producer_ids::ProducerIds::default(),
        });
        match cluster.begin(voters, &cluster_id).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                // Raft's tasks hold the store: whoever is told the reason may open it again, or end the process.
                cluster.close().await;
                Err(error)
            }
        }
    }

    /// Makes a new cluster of `voters` where there is none, and leads it where nobody else can.
    async fn begin(&self, voters: BTreeMap<BrokerId, String>, cluster_id: &Arc<str>) -> Result<(), ClusterError> {
        let start = |error: &dyn std::fmt::Display| ClusterError::Start(error.to_string());
        if !self.raft.is_initialized().await.map_err(|error| start(&error))? {
            let voters: BTreeMap<MemberId, BasicNode> =
                voters.into_iter().map(|(id, address)| (MemberId(id), BasicNode::new(address))).collect();
            match self.raft.initialize(voters).await {
                // Another member was first and its log has come here already.
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(error) => return Err(start(&error)),
            }
        }
        if let (true, leads) = self.only_voter().await? {
            self.lead_alone(leads).await?;
            self.check_cluster_id(cluster_id)?;
        }
        Ok(())
    }

    /// Whether this node has the only vote, and whether it leads by it already. Asks Raft itself: its metrics lag behind.
    async fn only_voter(&self) -> Result<(bool, bool), ClusterError> {
        let member = MemberId(self.node_id);
        self.raft
            .with_raft_state(move |state| {
                let membership = state.membership_state.effective().membership();
                (membership.voter_ids().eq([member]), state.server_state == ServerState::Leader)
            })
            .await
            .map_err(|error| ClusterError::Start(error.to_string()))
    }

    /// A quorum of one waits for nobody: it asks itself for its vote at once, where it is not the leader since its last run.
    async fn lead_alone(&self, leads: bool) -> Result<(), ClusterError> {
        if !leads {
            self.raft.trigger().elect().await.map_err(|error| ClusterError::Start(error.to_string()))?;
        }
        self.raft
            .wait(Some(SINGLE_LEADER_TIMEOUT))
            .current_leader(MemberId(self.node_id), "a quorum of one elects itself")
            .await
            .map_err(|error| ClusterError::Start(error.to_string()))?;
        // Deciding anything brings the image up to date and writes a new cluster's first records.
        self.propose(|_| Decision { records: Vec::new(), reply: () }).await
    }

    fn check_cluster_id(&self, configured: &Arc<str>) -> Result<(), ClusterError> {
        let image = self.image();
        let stored = image.cluster_id();
        if stored == configured {
            return Ok(());
        }
        Err(ClusterError::OtherCluster { stored: stored.clone(), configured: configured.clone() })
    }

    pub fn node_id(&self) -> BrokerId {
        self.node_id
    }

    /// The newest image that this node has applied.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.publisher.image()
    }

    /// Runs `decide` on the newest image, writes the records that it decides on, and returns its reply once they are applied and published. Decisions run one
    /// after the other, on the quorum's leader only. `decide` must not block: it holds up all others.
    ///
    /// # Errors
    /// [`ClusterError::NotLeader`] and [`ClusterError::Superseded`] say that nothing happened; after [`ClusterError::TimedOut`] the change may still come.
    pub async fn propose<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&MetadataImage) -> Decision<T> + Send + 'static,
    ) -> Result<T, ClusterError> {
        self.propose_at(decide).await.map(|(reply, _)| reply)
    }

    /// As [`Self::propose`], with the offset of an image that holds the decision, for [`Self::wait_published`].
    pub async fn propose_at<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&MetadataImage) -> Decision<T> + Send + 'static,
    ) -> Result<(T, i64), ClusterError> {
        let (sender, receiver) = oneshot::channel();
        let proposals = self.proposals.lock().clone().ok_or(ClusterError::Closed)?;
        proposals.send(proposal(decide, sender, &self.metrics)).map_err(|_| ClusterError::Closed)?;
        receiver.await.map_err(|_| ClusterError::Closed)?
    }

    /// The image now, and every publication after it. See [`Subscription`].
    pub fn subscribe(&self) -> (Arc<MetadataImage>, Subscription) {
        self.publisher.subscribe()
    }

    /// Returns once every subscriber of this node has acknowledged the image at `offset`: local leaders serve what it created. Waits without bound; the
    /// caller has a time-out.
    pub async fn wait_published(&self, offset: i64) {
        self.publisher.wait_acknowledged(offset).await;
    }

    /// Returns once this node has applied the record at `offset`.
    pub async fn wait_applied(&self, offset: i64) {
        self.publisher.wait_applied(offset).await;
    }

    /// The quorum's leader as this node knows it.
    pub fn leader(&self) -> Option<BrokerId> {
        self.raft.metrics().borrow().current_leader.map(|member| member.0)
    }

    pub fn is_leader(&self) -> bool {
        self.leader() == Some(self.node_id)
    }

    /// Whether this node still takes part in the quorum. It stops for good when its store fails or its log cannot be applied: the image stays readable,
    /// nothing can be proposed here, and only a restart helps.
    ///
    /// # Errors
    /// Why it stopped.
    pub fn health(&self) -> Result<(), String> {
        self.raft.metrics().borrow().running_state.clone().map_err(|error| error.to_string())
    }

    /// How the quorum fares, for DescribeQuorum. Only the leader knows how far the others are.
    pub fn quorum_status(&self) -> QuorumStatus {
        let contacts = self.last_contacts.lock().clone();
        QuorumStatus::new(&self.raft.metrics().borrow(), self.node_id, self.clock.wall_ms(), &contacts)
    }

    /// How long entries of the metadata log took lately until they were committed: on the average, and the longest. Only the leader knows.
    pub fn commit_latency_ms(&self) -> (f64, f64) {
        self.commit_latency_ms.shown()
    }

    /// Answers what a transport received from another member.
    pub async fn answer(&self, request: QuorumRequest) -> QuorumResponse {
        raft::network::answer(&self.raft, request).await
    }

    /// Takes a snapshot of the metadata soon, whatever the log's length.
    ///
    /// # Errors
    /// When Raft has stopped.
    pub async fn snapshot(&self) -> Result<(), ClusterError> {
        self.raft.trigger().snapshot().await.map_err(|error| ClusterError::Internal(error.to_string()))
    }

    /// Ends this node's part in the quorum and lets go of its store. What was acknowledged is on disk; proposals on their way get an error. Idempotent.
    pub async fn close(&self) {
        self.proposals.lock().take();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the metadata quorum did not stop cleanly");
        }
        // Nothing is ever sent: this ends with the sender.
        let mut closed = self.store_closed.clone();
        if tokio::time::timeout(RELEASE_TIMEOUT, closed.changed()).await.is_err() {
            tracing::warn!("the metadata quorum's store is still in use");
        }
    }
}

fn config(cluster_id: &str, timing: QuorumTiming) -> Result<Arc<openraft::Config>, openraft::ConfigError> {
    let QuorumTiming { heartbeat_ms, election_timeout_ms, snapshot_entries } = timing;
    let config = openraft::Config {
        cluster_name: cluster_id.to_owned(),
        heartbeat_interval: heartbeat_ms,
        election_timeout_min: election_timeout_ms,
        election_timeout_max: election_timeout_ms.saturating_mul(2),
        install_snapshot_timeout: 10_000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_entries),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT_BEHIND_SNAPSHOT.min(snapshot_entries),
        replication_lag_threshold: snapshot_entries.saturating_add(ENTRIES_KEPT_BEHIND_SNAPSHOT),
        ..openraft::Config::default()
    };
    config.validate().map(Arc::new)
}

/// A new cluster's first records.
fn bootstrap(cluster_id: &Arc<str>, features: BTreeMap<Arc<str>, i16>) -> Vec<Record> {
    let created = Record::ClusterCreated { cluster_id: cluster_id.clone() };
    let levels = features.into_iter().map(|(name, level)| Record::FeatureLevelChanged { name, level });
    std::iter::once(created).chain(levels).collect()
}

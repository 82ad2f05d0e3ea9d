//! The leader's proposer: takes decisions one after the other on the newest image, and writes what they decided as few log entries as it can.
//!
//! While one entry is on its way to disk the next decisions gather, so many concurrent requests share a sync. A decision sees the records of those before it
//! in the same entry. Nothing is answered before the entry that its answer rests on is applied.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

use super::ClusterError;
use super::apply::apply;
use super::decide::Decision;
use super::delta::Delta;
use super::image::MetadataImage;
use super::publish::Publisher;
use super::raft::{Applied, MemberId, Raft};
use super::record::{Command, Record};
use super::telemetry::ClusterMetrics;
use crate::metrics::sampled::Sampled;

/// Decisions stop joining an entry when it holds about this many partitions and other records: an entry is kept in memory whole.
const ENTRY_WEIGHT_LIMIT: usize = 20_000;

/// How long an entry may take to be applied before its proposers are told that the outcome is not known.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a new leader may take to apply what its predecessors left.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Told the offset of the image that holds the decision.
type Complete = Box<dyn FnOnce(Result<i64, ClusterError>) + Send>;

/// A queued decision: given an image it decides, given an error it passes that on.
pub(super) type Proposal =
    Box<dyn FnOnce(Result<&MetadataImage, ClusterError>) -> Option<(Vec<Record>, Complete)> + Send>;

pub(super) struct Proposer {
    pub member: MemberId,
    pub raft: Raft,
    pub publisher: Arc<Publisher>,
    /// The first records of a new cluster.
    pub bootstrap: Vec<Record>,
    pub commit_latency_ms: Arc<Sampled>,
    /// The term in which this leader has seen all that came before.
    pub caught_up_in: Option<u64>,
}

/// Decisions that will be in one log entry.
struct Batch {
    image: MetadataImage,
    base_offset: i64,
    records: Vec<Record>,
    weight: usize,
    completes: Vec<Complete>,
}

/// Wraps a decision so that the queue need not know its reply.
pub(super) fn proposal<T: Send + 'static>(
    decide: impl FnOnce(&MetadataImage) -> Decision<T> + Send + 'static,
    reply: tokio::sync::oneshot::Sender<Result<(T, i64), ClusterError>>,
    metrics: &ClusterMetrics,
) -> Proposal {
    let (metrics, asked) = (metrics.clone(), Instant::now());
    Box::new(move |image| {
        let image = match image {
            Ok(image) => image,
            Err(error) => {
                // Whoever asked may have gone away.
                let _ = reply.send(Err(error));
                return None;
            }
        };
        metrics.queue_ms.record(asked.elapsed().as_secs_f64() * 1000.0);
        let began = Instant::now();
        let decided = catch_unwind(AssertUnwindSafe(|| decide(image)));
        metrics.decide_ms.record(began.elapsed().as_secs_f64() * 1000.0);
        let Ok(decision) = decided else {
            tracing::error!("a metadata decision failed");
            let _ = reply.send(Err(ClusterError::Internal("a metadata decision failed".to_owned())));
            return None;
        };
        let Decision { records, reply: answer } = decision;
        let complete: Complete = Box::new(move |result| {
            let _ = reply.send(result.map(|offset| (answer, offset)));
        });
        Some((records, complete))
    })
}

impl Proposer {
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Proposal>) {
        while let Some(first) = queue.recv().await {
            let mut next = Some(first);
            while next.is_some() {
                if let Err(error) = self.check_leader().await {
                    for proposal in next.take().into_iter().chain(std::iter::from_fn(|| queue.try_recv().ok())) {
                        proposal(Err(error.clone()));
                    }
                    break;
                }
                let mut batch = self.begin();
                while batch.weight < ENTRY_WEIGHT_LIMIT
                    && let Some(proposal) = next.take().or_else(|| queue.try_recv().ok())
                {
                    batch.decide(proposal);
                }
                self.commit(batch).await;
                next = queue.try_recv().ok();
            }
        }
    }

    fn begin(&self) -> Batch {
        let image = MetadataImage::clone(&self.publisher.image());
        let mut batch =
            Batch { base_offset: image.offset(), image, records: Vec::new(), weight: 0, completes: Vec::new() };
        if batch.image.cluster_id().is_empty() {
            let records = self.bootstrap.clone();
            batch.decide(Box::new(|_| Some((records, Box::new(|_| {})))));
        }
        batch
    }

    /// Succeeds when this node leads and has applied all that earlier leaders may have committed.
    async fn check_leader(&mut self) -> Result<(), ClusterError> {
        let mut metrics = self.raft.metrics();
        let (leader, term, last_log_index) = {
            let now = metrics.borrow_and_update();
            (now.current_leader, now.current_term, now.last_log_index)
        };
        if leader != Some(self.member) {
            return Err(not_leader(leader));
        }
        if self.caught_up_in == Some(term) {
            return Ok(());
        }
        let caught_up = metrics.wait_for(|now| {
            now.current_term != term
                || now.current_leader != leader
                || now.last_applied.map(|applied| applied.index) >= last_log_index
        });
        match tokio::time::timeout(CATCH_UP_TIMEOUT, caught_up).await {
            Err(_) => Err(ClusterError::TimedOut { what: "applying what earlier leaders committed" }),
            Ok(Err(_)) => Err(ClusterError::Closed),
            Ok(Ok(now)) if now.current_term != term || now.current_leader != leader => {
                Err(not_leader(now.current_leader))
            }
            Ok(Ok(_)) => {
                self.caught_up_in = Some(term);
                Ok(())
            }
        }
    }

    async fn commit(&self, batch: Batch) {
        let result = if batch.records.is_empty() {
            Ok(batch.base_offset)
        } else {
            self.write(Command { base_offset: batch.base_offset, records: Arc::new(batch.records) }).await
        };
        for complete in batch.completes {
            complete(result.clone());
        }
    }

    async fn write(&self, command: Command) -> Result<i64, ClusterError> {
        let began = Instant::now();
        let written = tokio::time::timeout(COMMIT_TIMEOUT, self.raft.client_write(command)).await;
        if matches!(written, Ok(Ok(_))) {
            self.commit_latency_ms.record(began.elapsed().as_secs_f64() * 1000.0);
        }
        match written {
            Err(_) => Err(ClusterError::TimedOut { what: "committing a metadata change; it may still take effect" }),
            Ok(Ok(response)) => match response.data {
                Applied::Offset(offset) => Ok(offset),
                Applied::Refused(_) | Applied::Nothing => Err(ClusterError::Superseded),
            },
            Ok(Err(error)) => match error.forward_to_leader::<openraft::BasicNode>() {
                Some(forward) => Err(not_leader(forward.leader_id)),
                None => Err(ClusterError::Internal(error.to_string())),
            },
        }
    }
}

impl Batch {
    fn decide(&mut self, proposal: Proposal) {
        let Some((records, complete)) = proposal(Ok(&self.image)) else { return };
        let mut image = self.image.clone();
        match apply(&mut image, &records, &mut Delta::default()) {
            Ok(()) => {
                self.image = image;
                self.weight += records.iter().map(weight).sum::<usize>();
                self.records.extend(records);
                self.completes.push(complete);
            }
            Err(error) => {
                tracing::error!(%error, "a metadata decision contradicts the image it was taken on");
                complete(Err(ClusterError::Internal(error.to_string())));
            }
        }
    }
}

fn not_leader(leader: Option<MemberId>) -> ClusterError {
    ClusterError::NotLeader { leader: leader.map(|member| member.0) }
}

fn weight(record: &Record) -> usize {
    match record {
        Record::TopicCreated { partitions, .. } | Record::PartitionsAdded { partitions, .. } => 1 + partitions.len(),
        _ => 1,
    }
}

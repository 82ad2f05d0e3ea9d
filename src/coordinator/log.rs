//! What a coordinator asks of the layer below: an internal topic's partitions as logs whose appends are awaited until they are committed.
//!
//! ```text
//!   load (from the log start)                append
//!        |                                      |
//!   [ committed ........................ ][ in flight ]
//!                                        ^ high watermark
//! ```

use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use thiserror::Error;

use crate::types::LeaderEpoch;
use crate::types::budget::Reservation;

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why an append did not become part of the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// This broker leads the partition no more, or not with that epoch. The batch may or may not survive: only this error leaves it open. The
    /// shard drops its state, and loads it again when [`super::runtime::Runtime::lead`] is called.
    #[error("this broker does not lead partition {partition} with epoch {leader_epoch}")]
    NotLeader { partition: i32, leader_epoch: LeaderEpoch },
    #[error("partition {partition} does not exist")]
    UnknownPartition { partition: i32 },
    #[error("a batch of {bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge { bytes: usize, max_bytes: usize },
    #[error("too few replicas are in sync: {0}")]
    NotEnoughReplicas(String),
    #[error("the log refused the batch: {0}")]
    Storage(String),
}

/// Why a partition could not be read for loading.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    #[error("this broker does not lead partition {partition} with epoch {leader_epoch}")]
    NotLeader { partition: i32, leader_epoch: LeaderEpoch },
    #[error("reading the log: {0}")]
    Storage(String),
}

/// Why the internal topic is not there and could not be created.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the topic of the coordinator's records is not available: {0}")]
pub struct TopicUnavailable(pub String);

/// A piece of a partition's log, for loading.
#[derive(Clone, Debug, Default)]
pub struct LoadChunk {
    /// Each holds one or more whole record batches (v2), in the order of offsets.
    pub batches: Vec<Bytes>,
    /// Where to go on. `None` says that everything up to the log's end has been given, and is committed.
    pub next_offset: Option<i64>,
    /// What the batches were paid with.
    pub memory: Option<Arc<Reservation>>,
}

/// The partitions of one internal topic, as far as this broker leads them.
pub trait CoordinatorLog: Send + Sync + 'static {
    /// How many partitions the topic has or, before it exists, will have (`offsets.topic.num.partitions`). At least 1; never changes after the
    /// topic is there, because the partition of a group follows from it.
    fn partition_count(&self) -> i32;

    /// Sees to it that the topic exists, creating it if need be. Resolves when it is in this broker's metadata.
    fn ensure_topic(&self) -> BoxFuture<Result<(), TopicUnavailable>>;

    /// The largest batch that the partition takes (`max.message.bytes`).
    fn max_batch_bytes(&self) -> usize;

    /// Appends one record batch (v2, base offset 0: the log assigns offsets and leader epoch) and resolves when the high watermark has passed it.
    /// After an error other than [`AppendError::NotLeader`] the batch is not in the log and never will be. At most one append per partition and
    /// leader epoch is in flight. The future must go on when it is dropped: what has been appended stays so.
    fn append(&self, partition: i32, leader_epoch: LeaderEpoch, batch: Bytes) -> BoxFuture<Result<(), AppendError>>;

    /// Reads from `from_offset` (the log start, when it lies below that) on, in pieces of a size that the log chooses.
    fn load(
        &self,
        partition: i32,
        leader_epoch: LeaderEpoch,
        from_offset: i64,
    ) -> BoxFuture<Result<LoadChunk, LoadError>>;
}

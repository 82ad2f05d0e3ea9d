//! One partition on this broker: its log, whether this broker leads it, and its high watermark.
//!
//! ```text
//!   log start offset     high watermark        log end offset
//!          |                   |                     |
//!   -------+-------------------+---------------------+
//!            consumers read        written here, not yet on every in-sync replica
//! ```

use arc_swap::ArcSwap;
use bytes::BytesMut;
use metrics::Counter;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use thiserror::Error;

use super::waiters::{FetchWaiter, FetchWaiters, OffsetWait, OffsetWaiters};
use crate::config::TopicConfig;
use crate::log::append::BatchInfo;
use crate::log::partition_log::AppendRequest;
use crate::log::producers::AppendOrigin;
use crate::log::{Appended, LogError, LogListener, PartitionLog};
use crate::metrics::TopicMetrics;
use crate::store::{Durability, PartitionRow, RecordStore, Retention, StoreError};
use crate::types::budget::Reservation;
use crate::types::{BrokerId, LeaderEpoch, TopicIdPartition};

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReplicaError {
    #[error("this broker does not lead partition {topic}-{partition}")]
    NotLeader { topic: Arc<str>, partition: i32 },
    #[error("leader epoch {got} is older than the partition's epoch {current}")]
    FencedLeaderEpoch { got: LeaderEpoch, current: LeaderEpoch },
    #[error("leader epoch {got} is newer than the partition's epoch {current}")]
    UnknownLeaderEpoch { got: LeaderEpoch, current: LeaderEpoch },
    #[error("{in_sync} replicas of {topic}-{partition} are in sync, {needed} are needed (min.insync.replicas)")]
    NotEnoughReplicas { topic: Arc<str>, partition: i32, in_sync: usize, needed: usize },
    #[error("partition {0} is not on this broker")]
    Unknown(TopicIdPartition),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who leads, as the metadata image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// -1 for none.
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub replicas: usize,
    pub in_sync: usize,
}

/// How many replicas must have a write before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    None,
    Leader,
    All,
}

/// What moves when the log moves; apart from [`Partition`] because the log holds it.
struct Signals {
    high_watermark: AtomicI64,
    /// Whether this broker is the only in-sync replica, so that its own log alone moves the high watermark.
    sole_in_sync: AtomicBool,
    written: OffsetWaiters,
    committed: OffsetWaiters,
    fetches: FetchWaiters,
}

impl LogListener for Signals {
    fn written(&self, end_offset: i64, bytes: usize) {
        self.written.advance(end_offset);
        if self.sole_in_sync.load(Ordering::Acquire) {
            self.high_watermark.fetch_max(end_offset, Ordering::AcqRel);
            self.committed.advance(end_offset);
            self.fetches.grew(bytes);
        }
    }

    fn failed(&self, error: &StoreError) {
        self.written.fail(error);
        self.committed.fail(error);
        self.fetches.interrupt();
    }
}

pub struct Partition {
    topic: Arc<str>,
    broker_id: BrokerId,
    log: Arc<PartitionLog>,
    signals: Arc<Signals>,
    leadership: RwLock<Leadership>,
    config: ArcSwap<TopicConfig>,
    /// A partition with one replica has an acks=all write synced before the answer (`ottla.sync.single.replica` relaxes it).
    sync_sole_replica: bool,
    metrics: Arc<TopicMetrics>,
    isr: IsrMetrics,
    /// Deleted, or moved to other brokers.
    gone: AtomicBool,
}

/// What a partition is opened with.
pub struct PartitionParts {
    pub topic: Arc<str>,
    pub broker_id: BrokerId,
    pub config: Arc<TopicConfig>,
    pub sync_sole_replica: bool,
    pub metrics: Arc<TopicMetrics>,
    pub isr: IsrMetrics,
}

/// How often partitions led here lost and won in-sync replicas.
#[derive(Clone)]
pub struct IsrMetrics {
    pub shrinks: Counter,
    pub expands: Counter,
}

impl Partition {
    pub fn open(store: Arc<dyn RecordStore>, row: &PartitionRow, parts: PartitionParts) -> Self {
        let PartitionParts { topic, broker_id, config, sync_sole_replica, metrics, isr } = parts;
        let signals = Arc::new(Signals {
            high_watermark: AtomicI64::new(row.log_end_offset),
            sole_in_sync: AtomicBool::new(false),
            written: OffsetWaiters::starting_at(row.log_end_offset),
            committed: OffsetWaiters::starting_at(row.log_end_offset),
            fetches: FetchWaiters::default(),
        });
        let listener: Arc<dyn LogListener> = Arc::<Signals>::clone(&signals);
        let log = Arc::new(PartitionLog::open(store, row, listener));
        let leadership = RwLock::new(Leadership { leader: -1, leader_epoch: -1, replicas: 0, in_sync: 0 });
        Self {
            topic,
            broker_id,
            log,
            signals,
            leadership,
            config: ArcSwap::new(config),
            sync_sole_replica,
            metrics,
            isr,
            gone: AtomicBool::new(false),
        }
    }

    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The topic's counters.
    pub fn metrics(&self) -> &TopicMetrics {
        &self.metrics
    }

    pub fn id(&self) -> TopicIdPartition {
        self.log.id()
    }

    pub fn log(&self) -> &Arc<PartitionLog> {
        &self.log
    }

    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    pub fn set_config(&self, config: Arc<TopicConfig>) {
        self.config.store(config);
    }

    pub fn leadership(&self) -> Leadership {
        *self.leadership.read()
    }

    /// Follows the image. A new epoch under this broker begins at the end of its log.
    pub fn set_leadership(&self, next: Leadership) {
        let before = std::mem::replace(&mut *self.leadership.write(), next);
        let leads = next.leader == self.broker_id;
        self.signals.sole_in_sync.store(leads && next.in_sync == 1, Ordering::Release);
        if leads && before.leader == self.broker_id {
            match next.in_sync.cmp(&before.in_sync) {
                std::cmp::Ordering::Less => self.isr.shrinks.increment(1),
                std::cmp::Ordering::Greater => self.isr.expands.increment(1),
                std::cmp::Ordering::Equal => {}
            }
        }
        if leads && before.leader_epoch < next.leader_epoch {
            self.log.begin_leader_epoch(next.leader_epoch);
        }
        if leads && next.in_sync == 1 {
            // What was written before is committed now: nobody else has to have it.
            self.signals.written(self.log.end_offset(), 0);
        }
        if !leads && before.leader == self.broker_id {
            self.signals.fetches.interrupt();
        }
    }

    /// The partition is gone from this broker: whoever waits is told.
    pub fn stop(&self) {
        let gone = StoreError::UnknownPartition(self.log.local_id());
        self.gone.store(true, Ordering::Release);
        self.leadership.write().leader = -1;
        self.signals.failed(&gone);
    }

    pub fn high_watermark(&self) -> i64 {
        self.signals.high_watermark.load(Ordering::Acquire)
    }

    /// The end of what read_committed consumers see. Equal to the high watermark while no transaction is open.
    pub fn last_stable_offset(&self) -> i64 {
        self.high_watermark()
    }

    /// Whether this broker leads the partition in the epoch that the client believes in (-1: any), by KIP-320's rules.
    pub fn check_leader(&self, current_leader_epoch: LeaderEpoch) -> Result<Leadership, ReplicaError> {
        if self.gone.load(Ordering::Acquire) {
            return Err(ReplicaError::Unknown(self.id()));
        }
        let leadership = self.leadership();
        let (got, current) = (current_leader_epoch, leadership.leader_epoch);
        if got >= 0 && got < current {
            return Err(ReplicaError::FencedLeaderEpoch { got, current });
        }
        if got >= 0 && got > current {
            return Err(ReplicaError::UnknownLeaderEpoch { got, current });
        }
        if leadership.leader != self.broker_id {
            return Err(ReplicaError::NotLeader { topic: Arc::clone(&self.topic), partition: self.id().partition });
        }
        Ok(leadership)
    }

    /// Appends validated batches as leader, in the expected epoch (-1: any). The returned wait resolves when the write may be acknowledged; `memory`, what the
    /// records were paid with, is held until they are written, also when nobody waits any more.
    pub fn append(
        &self,
        records: BytesMut,
        batches: &[BatchInfo],
        origin: AppendOrigin,
        acks: Acks,
        expected_leader_epoch: LeaderEpoch,
        memory: Option<Arc<Reservation>>,
    ) -> Result<(Appended, OffsetWait), ReplicaError> {
        let leadership = self.check_leader(expected_leader_epoch)?;
        let config = self.config.load();
        let needed = usize::try_from(config.min_insync_replicas).unwrap_or(1).min(leadership.replicas);
        if acks == Acks::All && leadership.in_sync < needed {
            let (topic, partition) = (Arc::clone(&self.topic), self.id().partition);
            return Err(ReplicaError::NotEnoughReplicas { topic, partition, in_sync: leadership.in_sync, needed });
        }
        let sole = leadership.replicas == 1;
        let durability =
            if acks == Acks::All && sole && self.sync_sole_replica { Durability::Synced } else { Durability::Written };
        let appended = self.log.append(AppendRequest {
            records,
            batches,
            leader_epoch: leadership.leader_epoch,
            origin,
            durability,
            flush_messages: config.flush_messages,
            memory,
        })?;
        let wait = match acks {
            // Nobody is told of an acks=0 write, but its request counts as in work, and is paid for, until it is written.
            Acks::None | Acks::Leader => self.signals.written.wait_for(appended.last_offset + 1),
            Acks::All => self.signals.committed.wait_for(appended.last_offset + 1),
        };
        Ok((appended, wait))
    }

    /// Gives up what the topic's retention does not keep (`cleanup.policy=delete`). Answers the new log start offset if it moved.
    pub async fn retain(&self, now_ms: i64) -> Result<Option<i64>, ReplicaError> {
        let config = self.config();
        if !config.cleanup_delete || self.gone.load(Ordering::Acquire) {
            return Ok(None);
        }
        let retention = Retention {
            older_than_ms: (config.retention_ms >= 0).then(|| now_ms.saturating_sub(config.retention_ms)),
            keep_bytes: u64::try_from(config.retention_bytes).ok(),
            end_offset: self.high_watermark(),
        };
        if retention.older_than_ms.is_none() && retention.keep_bytes.is_none() {
            return Ok(None);
        }
        Ok(self.log.retain(retention).await?)
    }

    /// The fetch hears of new bytes below the high watermark.
    pub fn register_fetch(&self, index: usize, waiter: &Arc<FetchWaiter>) {
        self.signals.fetches.register(index, waiter);
    }

    pub fn unregister_fetch(&self, waiter: &Arc<FetchWaiter>) {
        self.signals.fetches.unregister(waiter);
    }
}

//! A coordinator's log in memory, for tests: keeps what was committed, and fails, dawdles or loses leadership when told to.

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::log::{AppendError, BoxFuture, CoordinatorLog, LoadChunk, LoadError, TopicUnavailable};
use crate::protocol::record_batch::{BatchMut, Batches};
use crate::types::LeaderEpoch;

/// What happens to the next append of a partition.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It does not get into the log.
    Fail(AppendError),
    /// It takes that long.
    Slow(Duration),
    /// Leadership is lost on the way, and the batch survives or not.
    LoseLeadership { survives: bool },
}

#[derive(Debug, Default)]
struct Partition {
    batches: Vec<Bytes>,
    end_offset: i64,
    /// Appends of older epochs are refused.
    leader_epoch: LeaderEpoch,
    faults: VecDeque<Fault>,
    load_faults: VecDeque<LoadError>,
    appends: usize,
}

#[derive(Debug)]
pub struct MemoryLog {
    partition_count: i32,
    max_batch_bytes: usize,
    partitions: Arc<Mutex<HashMap<i32, Partition>>>,
}

impl MemoryLog {
    pub fn new(partition_count: i32, max_batch_bytes: usize) -> Arc<Self> {
        Arc::new(Self { partition_count, max_batch_bytes, partitions: Arc::default() })
    }

    pub fn inject(&self, partition: i32, fault: Fault) {
        self.partitions.lock().entry(partition).or_default().faults.push_back(fault);
    }

    pub fn fail_load(&self, partition: i32, error: LoadError) {
        self.partitions.lock().entry(partition).or_default().load_faults.push_back(error);
    }

    pub fn set_leader_epoch(&self, partition: i32, leader_epoch: LeaderEpoch) {
        self.partitions.lock().entry(partition).or_default().leader_epoch = leader_epoch;
    }

    /// Puts a batch there as if another coordinator had.
    pub fn seed(&self, partition: i32, batch: Bytes) {
        self.partitions.lock().entry(partition).or_default().push(batch);
    }

    pub fn batches(&self, partition: i32) -> Vec<Bytes> {
        self.partitions.lock().get(&partition).map(|p| p.batches.clone()).unwrap_or_default()
    }

    /// How many appends were asked for, whatever became of them.
    pub fn appends(&self, partition: i32) -> usize {
        self.partitions.lock().get(&partition).map_or(0, |p| p.appends)
    }
}

impl Partition {
    fn push(&mut self, batch: Bytes) {
        let mut bytes = BytesMut::from(&batch[..]);
        let mut view = BatchMut::new(&mut bytes).expect("coordinators write whole batches");
        view.set_base_offset(self.end_offset);
        self.end_offset += i64::from(view.header().last_offset_delta) + 1;
        self.batches.push(bytes.freeze());
    }
}

impl CoordinatorLog for MemoryLog {
    fn partition_count(&self) -> i32 {
        self.partition_count
    }

    fn ensure_topic(&self) -> BoxFuture<Result<(), TopicUnavailable>> {
        Box::pin(async { Ok(()) })
    }

    fn max_batch_bytes(&self) -> usize {
        self.max_batch_bytes
    }

    fn append(&self, partition: i32, leader_epoch: LeaderEpoch, batch: Bytes) -> BoxFuture<Result<(), AppendError>> {
        assert!(batch.len() <= self.max_batch_bytes, "a batch of {} bytes", batch.len());
        assert_eq!(Batches::new(&batch).count(), 1);
        let partitions = self.partitions.clone();
        let fault = {
            let mut partitions = partitions.lock();
            let state = partitions.entry(partition).or_default();
            state.appends += 1;
            if state.leader_epoch > leader_epoch {
                Some(Fault::LoseLeadership { survives: false })
            } else {
                state.faults.pop_front()
            }
        };
        Box::pin(async move {
            // As a disk does: never in the same instant.
            tokio::task::yield_now().await;
            let push = || {
                if let Some(state) = partitions.lock().get_mut(&partition) {
                    state.push(batch);
                }
            };
            match fault {
                None => push(),
                Some(Fault::Slow(pause)) => {
                    tokio::time::sleep(pause).await;
                    push();
                }
                Some(Fault::Fail(error)) => return Err(error),
                Some(Fault::LoseLeadership { survives }) => {
                    if survives {
                        push();
                    }
                    return Err(AppendError::NotLeader { partition, leader_epoch });
                }
            }
            Ok(())
        })
    }

    fn load(
        &self,
        partition: i32,
        _leader_epoch: LeaderEpoch,
        from_offset: i64,
    ) -> BoxFuture<Result<LoadChunk, LoadError>> {
        let partitions = self.partitions.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut partitions = partitions.lock();
            let state = partitions.entry(partition).or_default();
            if let Some(error) = state.load_faults.pop_front() {
                return Err(error);
            }
            // One batch at a time, so that loading in pieces is what tests see.
            let mut next = None;
            let mut found = None;
            for batch in &state.batches {
                let header = Batches::new(batch).next().expect("a batch").expect("a whole batch").header;
                if header.base_offset >= from_offset && found.is_none() {
                    found = Some(batch.clone());
                } else if found.is_some() && next.is_none() {
                    next = Some(header.base_offset);
                }
            }
            Ok(LoadChunk { batches: found.into_iter().collect(), next_offset: next, memory: None })
        })
    }
}

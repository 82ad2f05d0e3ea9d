//! Who waits for a partition: producers for an offset to be acknowledged, fetches for bytes to arrive. Woken by what happens, never by looking around.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::{Notify, oneshot};

use crate::store::StoreError;

/// Waits until an offset is passed. Waiters arrive almost always in the order of their offsets.
#[derive(Debug, Default)]
pub struct OffsetWaiters {
    state: Mutex<OffsetState>,
}

#[derive(Debug, Default)]
struct OffsetState {
    reached: i64,
    failed: Option<StoreError>,
    waiting: VecDeque<(i64, oneshot::Sender<Result<(), StoreError>>)>,
}

/// Resolves when the offset is passed, or with the error that makes that impossible.
pub enum OffsetWait {
    Passed,
    Waiting(oneshot::Receiver<Result<(), StoreError>>),
}

impl OffsetWait {
    pub async fn done(self) -> Result<(), StoreError> {
        match self {
            Self::Passed => Ok(()),
            Self::Waiting(told) => told.await.unwrap_or(Err(StoreError::Closed)),
        }
    }
}

impl OffsetWaiters {
    pub fn starting_at(reached: i64) -> Self {
        Self { state: Mutex::new(OffsetState { reached, ..OffsetState::default() }) }
    }

    /// Waits until everything below `offset` is there.
    pub fn wait_for(&self, offset: i64) -> OffsetWait {
        let mut state = self.state.lock();
        if state.reached >= offset {
            return OffsetWait::Passed;
        }
        let (tell, told) = oneshot::channel();
        if let Some(error) = &state.failed {
            let _ = tell.send(Err(error.clone()));
            return OffsetWait::Waiting(told);
        }
        let at = match state.waiting.back() {
            Some((last, _)) if *last > offset => state.waiting.partition_point(|(waiting, _)| *waiting <= offset),
            _ => state.waiting.len(),
        };
        state.waiting.insert(at, (offset, tell));
        OffsetWait::Waiting(told)
    }

    /// Everything below `offset` is there now.
    pub fn advance(&self, offset: i64) {
        let mut state = self.state.lock();
        state.reached = state.reached.max(offset);
        while state.waiting.front().is_some_and(|(waiting, _)| *waiting <= offset) {
            if let Some((_, tell)) = state.waiting.pop_front() {
                let _ = tell.send(Ok(()));
            }
        }
    }

    /// Nothing more will come: every waiter, now and later, gets the error.
    pub fn fail(&self, error: &StoreError) {
        let mut state = self.state.lock();
        state.failed.get_or_insert_with(|| error.clone());
        for (_, tell) in state.waiting.drain(..) {
            let _ = tell.send(Err(error.clone()));
        }
    }
}

/// One fetch that waits for `min_bytes` over its partitions. Partitions tell it which of them got something, so that only those are read again.
#[derive(Debug)]
pub struct FetchWaiter {
    missing_bytes: AtomicI64,
    grown: Mutex<Vec<usize>>,
    wake: Notify,
}

impl FetchWaiter {
    pub fn new(missing_bytes: i64) -> Arc<Self> {
        Arc::new(Self {
            missing_bytes: AtomicI64::new(missing_bytes),
            grown: Mutex::new(Vec::new()),
            wake: Notify::new(),
        })
    }

    /// The partition that the fetch knows as `index` has `bytes` more.
    pub fn grew(&self, index: usize, bytes: i64) {
        let mut grown = self.grown.lock();
        if !grown.contains(&index) {
            grown.push(index);
        }
        drop(grown);
        if self.missing_bytes.fetch_sub(bytes, Ordering::AcqRel) <= bytes {
            self.wake.notify_one();
        }
    }

    /// Something other than bytes happened to a partition (it lost its leader, it was deleted): the fetch answers now.
    pub fn interrupt(&self, index: usize) {
        self.grew(index, i64::MAX / 2);
    }

    /// Waits until enough bytes have come.
    pub async fn enough(&self) {
        self.wake.notified().await;
    }

    /// The partitions that got something, since the last call.
    pub fn take_grown(&self) -> Vec<usize> {
        std::mem::take(&mut *self.grown.lock())
    }
}

/// The fetches that wait at one partition.
#[derive(Debug, Default)]
pub struct FetchWaiters {
    waiting: Mutex<Vec<(usize, Arc<FetchWaiter>)>>,
}

impl FetchWaiters {
    /// The fetch wants to hear of this partition, which it knows as `index`. It must read the partition once more after this call: bytes may have come just before.
    pub fn register(&self, index: usize, waiter: &Arc<FetchWaiter>) {
        self.waiting.lock().push((index, Arc::clone(waiter)));
    }

    pub fn unregister(&self, waiter: &Arc<FetchWaiter>) {
        self.waiting.lock().retain(|(_, other)| !Arc::ptr_eq(other, waiter));
    }

    pub fn grew(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX / 2);
        for (index, waiter) in self.waiting.lock().iter() {
            waiter.grew(*index, bytes);
        }
    }

    pub fn interrupt(&self) {
        for (index, waiter) in self.waiting.lock().iter() {
            waiter.interrupt(*index);
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn offsets_wake_exactly_those_that_they_pass() {
        let waiters = OffsetWaiters::starting_at(5);
        assert!(matches!(waiters.wait_for(5), OffsetWait::Passed));
        let (later, sooner) = (waiters.wait_for(20), waiters.wait_for(10));
        waiters.advance(10);
        assert_eq!(sooner.done().await, Ok(()));
        let mut later = Box::pin(later.done());
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut later).await.is_err());
        waiters.fail(&StoreError::Closed);
        assert_eq!(later.await, Err(StoreError::Closed));
        assert_eq!(waiters.wait_for(30).done().await, Err(StoreError::Closed));
        assert_eq!(waiters.wait_for(7).done().await, Ok(()), "what is there stays acknowledged");
    }

    #[tokio::test]
    async fn a_fetch_wakes_when_its_partitions_together_have_enough() {
        let (first, second) = (FetchWaiters::default(), FetchWaiters::default());
        let waiter = FetchWaiter::new(100);
        first.register(0, &waiter);
        second.register(1, &waiter);
        first.grew(60);
        assert!(tokio::time::timeout(Duration::from_millis(5), waiter.enough()).await.is_err());
        second.grew(40);
        waiter.enough().await;
        assert_eq!(waiter.take_grown(), vec![0, 1]);
        first.unregister(&waiter);
        assert!(first.is_empty());
        assert_eq!(second.len(), 1);
    }
}

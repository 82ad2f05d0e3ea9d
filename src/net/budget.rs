//! The broker-wide byte budget for requests: a frame is paid for before its body is read, until its reply has left.
//!
//! First come, first served: a large frame is not overtaken for ever by small ones.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that all requests in the broker may take together (`queued.max.request.bytes`).
#[derive(Clone, Debug)]
pub struct Budget {
    bytes: Arc<Semaphore>,
    total_bytes: usize,
}

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    pub fn new(total_bytes: usize) -> Self {
        let total_bytes = total_bytes.clamp(1, Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(total_bytes)), total_bytes }
    }

    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    pub fn available_bytes(&self) -> usize {
        self.bytes.available_permits()
    }

    /// What is taken for `bytes`: a frame larger than the whole budget takes all of it, so that it passes alone instead of never.
    fn price(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total_bytes)).unwrap_or(u32::MAX)
    }

    /// Takes `bytes` if they are there and nobody waits.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(self.price(bytes)).ok()?;
        Some(Reservation { _permit: permit })
    }

    /// Takes `bytes`, waiting in line for them.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        match Arc::clone(&self.bytes).acquire_many_owned(self.price(bytes)).await {
            Ok(permit) => Reservation { _permit: permit },
            // A semaphore ends only when it is closed, which nothing here does.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_dropped_comes_back() {
        let budget = Budget::new(100);
        let a = budget.try_reserve(60).unwrap();
        assert!(budget.try_reserve(41).is_none());
        assert_eq!(budget.available_bytes(), 40);
        drop(a);
        assert_eq!(budget.available_bytes(), 100);
    }

    #[tokio::test]
    async fn more_than_everything_takes_everything() {
        let budget = Budget::new(100);
        let _all = budget.reserve(1_000_000).await;
        assert_eq!(budget.available_bytes(), 0);
        assert!(budget.try_reserve(1).is_none());
    }

    #[tokio::test]
    async fn a_large_frame_is_not_overtaken() {
        let budget = Budget::new(100);
        let small = budget.try_reserve(50).unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { drop(budget.reserve(100).await) }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(budget.try_reserve(1).is_none());
        drop(small);
        waiting.await.unwrap();
        assert_eq!(budget.available_bytes(), 100);
    }
}

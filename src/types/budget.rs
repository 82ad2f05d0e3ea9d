//! A budget of memory: bytes are taken before they are made, and come back when they are let go of.
//!
//! First come, first served: a large taker is not overtaken for ever by small ones. Whoever waits must hold nothing of the same budget, or two that wait for
//! each other never get on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that all takers may hold together.
#[derive(Clone, Debug)]
pub struct Budget {
    bytes: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    total_bytes: usize,
}

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    permit: OwnedSemaphorePermit,
    waiting: Arc<AtomicUsize>,
}

impl Reservation {
    /// How much of the budget this holds: less than was asked for when that was more than all of it.
    pub fn bytes(&self) -> usize {
        self.permit.num_permits()
    }

    /// Gives back what is held above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        drop(self.permit.split(self.bytes().saturating_sub(bytes)));
    }

    /// Whether somebody waits for bytes of the same budget.
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts a taker that waits, however it stops waiting.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Budget {
    pub fn new(total_bytes: usize) -> Self {
        let total_bytes = total_bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { bytes: Arc::new(Semaphore::new(total_bytes)), waiting: Arc::default(), total_bytes }
    }

    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    pub fn available_bytes(&self) -> usize {
        self.bytes.available_permits()
    }

    /// Takers that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What is taken for `bytes`: more than the whole budget takes all of it, so that it passes alone instead of never.
    fn price(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total_bytes)).unwrap_or(u32::MAX)
    }

    fn reservation(&self, permit: OwnedSemaphorePermit) -> Reservation {
        Reservation { permit, waiting: Arc::clone(&self.waiting) }
    }

    /// Takes `bytes` if they are there and nobody waits.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(self.price(bytes)).ok()?;
        Some(self.reservation(permit))
    }

    /// Takes `bytes`, waiting in line for them.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        if let Some(reservation) = self.try_reserve(bytes) {
            return reservation;
        }
        let _waiting = Waiting::begin(&self.waiting);
        match Arc::clone(&self.bytes).acquire_many_owned(self.price(bytes)).await {
            Ok(permit) => self.reservation(permit),
            // A semaphore ends only when it is closed, which nothing here does.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes up to `wanted` bytes, but no more than a quarter of what is free, and at least `least`, waiting in line for those. So takers that hold long
    /// take less and less, and some is left for who comes next.
    pub async fn reserve_share(&self, wanted: usize, least: usize) -> Reservation {
        let share = (self.available_bytes() / 4).min(wanted).max(least);
        match self.try_reserve(share) {
            Some(reservation) => reservation,
            None => self.reserve(least).await,
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
    async fn what_is_not_needed_comes_back_early() {
        let budget = Budget::new(100);
        let mut a = budget.try_reserve(60).unwrap();
        a.shrink_to(70);
        assert_eq!((a.bytes(), budget.available_bytes()), (60, 40));
        a.shrink_to(10);
        assert_eq!((a.bytes(), budget.available_bytes()), (10, 90));
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
    async fn shares_shrink_as_the_budget_does() {
        let budget = Budget::new(1000);
        let mut held = Vec::new();
        let mut sizes = Vec::new();
        while budget.available_bytes() >= 50 {
            held.push(budget.reserve_share(400, 50).await);
            sizes.push(held.last().unwrap().bytes());
        }
        assert_eq!(sizes[..3], [250, 187, 140]);
        assert!(sizes.iter().is_sorted_by(|a, b| a >= b) && sizes.ends_with(&[50]), "{sizes:?}");
        assert_eq!(budget.reserve_share(5, 1).await.bytes(), 5);
    }

    #[tokio::test]
    async fn a_holder_hears_that_others_wait() {
        let budget = Budget::new(100);
        let held = budget.try_reserve(60).unwrap();
        assert!(!held.is_wanted());
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve_share(50, 50).await.bytes() }
        });
        while !held.is_wanted() {
            tokio::task::yield_now().await;
        }
        drop(held);
        assert_eq!(waiting.await.unwrap(), 50);
        let held = budget.try_reserve(100).unwrap();
        let gave_up = tokio::time::timeout(Duration::from_millis(1), budget.reserve(1)).await;
        assert!(gave_up.is_err() && !held.is_wanted());
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

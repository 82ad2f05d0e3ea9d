//! The rate of something that comes now and then, measured as Kafka's quotas measure it (`SampledStat`, `Rate`, `QuotaUtils`): over a few windows, the running one
//! among them.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// `quota.window.num` windows of `quota.window.size.seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    pub samples: u32,
    pub size: Duration,
}

/// No limit: the largest value that the keys take.
pub const UNLIMITED: u32 = i32::MAX as u32;

/// Counts what comes, and says how long to wait where that is too much.
#[derive(Debug)]
pub struct RateQuota {
    window: RateWindow,
    /// When each window began, and what came in it; the oldest first.
    samples: VecDeque<(Instant, u64)>,
}

impl RateQuota {
    pub fn new(window: RateWindow) -> Self {
        Self { window, samples: VecDeque::new() }
    }

    /// Counts one now. Gives how long to wait until the rate is `limit` per second again, a window's length at most.
    pub fn record(&mut self, limit: u32, now: Instant) -> Duration {
        if limit == UNLIMITED {
            self.samples.clear();
            return Duration::ZERO;
        }
        let RateWindow { samples, size } = self.window;
        while self.samples.front().is_some_and(|(began, _)| now.duration_since(*began) >= size * samples) {
            self.samples.pop_front();
        }
        match self.samples.back_mut() {
            Some((began, count)) if now.duration_since(*began) < size => *count += 1,
            _ => self.samples.push_back((now, 1)),
        }
        let seconds = self.measured(now).as_secs_f64();
        let rate = self.samples.iter().map(|(_, count)| *count).sum::<u64>() as f64 / seconds;
        let limit = f64::from(limit);
        if rate <= limit {
            return Duration::ZERO;
        }
        let wait = (rate - limit) / limit * seconds;
        Duration::try_from_secs_f64(wait).unwrap_or(size).min(size)
    }

    /// How long the samples have been gathered; all windows but one at least, so that a start is no burst.
    fn measured(&self, now: Instant) -> Duration {
        let size = self.window.size;
        let elapsed = self.samples.front().map_or(Duration::ZERO, |(began, _)| now.duration_since(*began));
        let full = u32::try_from(elapsed.as_nanos() / size.as_nanos().max(1)).unwrap_or(u32::MAX);
        elapsed + size * self.window.samples.saturating_sub(1).saturating_sub(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: RateWindow = RateWindow { samples: 11, size: Duration::from_secs(1) };

    #[test]
    fn what_is_within_the_rate_waits_for_nothing() {
        let (mut quota, start) = (RateQuota::new(WINDOW), Instant::now());
        for n in 0..1000 {
            assert_eq!(quota.record(11, start + Duration::from_millis(100 * n)), Duration::ZERO, "{n}");
        }
        assert_eq!(quota.record(UNLIMITED, start), Duration::ZERO);
    }

    #[test]
    fn what_is_beyond_waits_and_never_longer_than_a_window() {
        let (mut quota, start) = (RateQuota::new(WINDOW), Instant::now());
        let waits: Vec<Duration> = (0..130).map(|_| quota.record(10, start)).collect();
        assert!(waits.iter().take(100).all(Duration::is_zero), "ten seconds' worth may come at once");
        let first = waits[100].as_secs_f64();
        assert!((first - 0.1).abs() < 1e-6, "{first}");
        assert_eq!(waits[129], Duration::from_secs(1));
        assert_eq!(RateQuota::new(WINDOW).record(0, start), Duration::from_secs(1), "none at all is one in a window");
    }
}

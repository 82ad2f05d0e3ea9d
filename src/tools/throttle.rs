//! Holds a load to so many records a second, as `org.apache.kafka.server.util.ThroughputThrottler`: sleeps a little now and then, never for each record.

use std::time::{Duration, Instant};

/// The least that is worth sleeping.
const LEAST_SLEEP: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub struct Throttle {
    per_second: f64,
    begun_at: Instant,
    owed: Duration,
}

impl Throttle {
    /// Negative: no limit. Zero lets nothing through after the first.
    pub fn new(per_second: f64) -> Self {
        Self { per_second, begun_at: Instant::now(), owed: Duration::ZERO }
    }

    /// Sleeps if `so_far` records are too many for the time since the beginning; `stop` breaks a long sleep off.
    pub fn hold(&mut self, so_far: u64, stop: impl Fn() -> bool) {
        if self.per_second < 0.0 {
            return;
        }
        if self.per_second == 0.0 {
            while !stop() {
                std::thread::sleep(Duration::from_millis(100));
            }
            return;
        }
        let elapsed = self.begun_at.elapsed().as_secs_f64();
        if elapsed <= 0.0 || so_far as f64 / elapsed <= self.per_second {
            return;
        }
        self.owed += Duration::from_secs_f64((1.0 / self.per_second).min(3600.0));
        while self.owed >= LEAST_SLEEP && !stop() {
            let step = self.owed.min(Duration::from_millis(100));
            std::thread::sleep(step);
            self.owed -= step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_rate() {
        let begun_at = Instant::now();
        let mut throttle = Throttle::new(1_000.0);
        for count in 0..200 {
            throttle.hold(count, || false);
        }
        let taken = begun_at.elapsed();
        assert!(taken >= Duration::from_millis(150), "{taken:?}");
        let mut free = Throttle::new(-1.0);
        (0..1_000_000).for_each(|count| free.hold(count, || false));
        Throttle::new(0.0).hold(1, || true);
    }
}

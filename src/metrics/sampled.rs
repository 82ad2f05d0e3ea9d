//! The mean and the largest of what came lately, for those of Kafka's metrics that are `avg` and `max` over two samples of half a minute.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// A sample's length (`metrics.sample.window.ms`); the one at hand and the one before it are looked at (`metrics.num.samples`).
const SAMPLE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    count: u64,
    sum: f64,
    max: f64,
}

/// Values of one kind.
#[derive(Debug)]
pub struct Sampled {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    began: Instant,
    current: Sample,
    before: Sample,
}

impl Default for Sampled {
    fn default() -> Self {
        Self {
            state: Mutex::new(State { began: Instant::now(), current: Sample::default(), before: Sample::default() }),
        }
    }
}

impl Sampled {
    pub fn record(&self, value: f64) {
        self.record_at(value, Instant::now());
    }

    fn record_at(&self, value: f64, now: Instant) {
        let mut state = self.state.lock();
        state.turn(now);
        let Sample { count, sum, max } = &mut state.current;
        (*count, *sum, *max) = (*count + 1, *sum + value, max.max(value));
    }

    /// Mean and maximum; not a number where nothing came lately, as Kafka tells it.
    pub fn shown(&self) -> (f64, f64) {
        self.shown_at(Instant::now())
    }

    fn shown_at(&self, now: Instant) -> (f64, f64) {
        let mut state = self.state.lock();
        state.turn(now);
        let (current, before) = (state.current, state.before);
        let count = current.count + before.count;
        if count == 0 {
            (f64::NAN, f64::NAN)
        } else {
            ((current.sum + before.sum) / count as f64, current.max.max(before.max))
        }
    }
}

impl State {
    fn turn(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.began);
        if elapsed < SAMPLE {
            return;
        }
        self.before = if elapsed < SAMPLE * 2 { self.current } else { Sample::default() };
        self.current = Sample::default();
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_lately_is_shown_and_then_forgotten() {
        let sampled = Sampled::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(sampled.shown_at(at(0)).0.is_nan() && sampled.shown_at(at(0)).1.is_nan());
        sampled.record_at(1.0, at(1));
        sampled.record_at(5.0, at(2));
        assert_eq!(sampled.shown_at(at(3)), (3.0, 5.0));
        sampled.record_at(0.0, at(40));
        assert_eq!(sampled.shown_at(at(41)), (2.0, 5.0));
        assert_eq!(sampled.shown_at(at(75)), (0.0, 0.0));
        assert!(sampled.shown_at(at(200)).0.is_nan());
    }
}

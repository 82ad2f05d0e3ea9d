//! How values of one kind are spread: count and sum since the start, quantiles of the last five minutes.
//!
//! Recording takes no lock and allocates nothing: two atomic additions. What is kept for the past are the buckets that hold something.

use histogram::{AtomicHistogram, Histogram, SparseHistogram};
use metrics::HistogramFn;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

/// The quantiles of Kafka's own histograms, spelled as the JMX exporter spells them: dashboards ask for these texts.
pub const QUANTILES: &[(&str, f64)] =
    &[("0.50", 0.5), ("0.75", 0.75), ("0.95", 0.95), ("0.98", 0.98), ("0.99", 0.99), ("0.999", 0.999)];

/// Values are kept in thousandths, so that milliseconds keep their microseconds.
const SCALE: f64 = 1000.0;
/// Buckets per power of two are 2 to this power: a quantile is wrong by at most a sixteenth of itself.
const GROUPING_POWER: u8 = 4;
/// Values go up to 2 to this power (in thousandths); larger ones count as this one.
const MAX_VALUE_POWER: u8 = 48;
/// Turns that quantiles look back on, beside the one at hand. With [`super::registry::TURN`] that makes five minutes, about what Kafka's do.
const KEPT_TURNS: usize = 9;

/// One summary.
pub struct Distribution {
    /// `None` never: the two powers are constants that the library takes, which a test holds on to.
    current: Option<AtomicHistogram>,
    sum_thousandths: AtomicU64,
    past: Mutex<Past>,
}

#[derive(Default)]
struct Past {
    /// Values recorded before the current turn.
    count: u64,
    turns: VecDeque<SparseHistogram>,
}

/// What a scrape shows of a [`Distribution`].
#[derive(Debug, Default, PartialEq)]
pub struct Shown {
    pub count: u64,
    pub sum: f64,
    /// In the order of [`QUANTILES`]; zeros when nothing was recorded lately, as Kafka shows them.
    pub quantiles: Vec<f64>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            current: AtomicHistogram::new(GROUPING_POWER, MAX_VALUE_POWER).ok(),
            sum_thousandths: AtomicU64::new(0),
            past: Mutex::default(),
        }
    }
}

impl HistogramFn for Distribution {
    fn record(&self, value: f64) {
        // A cast of a float saturates, and takes what is not a number for 0.
        let thousandths = ((value * SCALE).round() as u64).min((1 << MAX_VALUE_POWER) - 1);
        self.sum_thousandths.fetch_add(thousandths, Ordering::Relaxed);
        if let Some(current) = &self.current {
            let _ = current.increment(thousandths);
        }
    }
}

impl Distribution {
    /// Ends a turn: what was recorded in it is kept for a while longer.
    pub fn turn(&self) {
        let Some(current) = &self.current else { return };
        let ended = current.drain();
        let mut past = self.past.lock();
        past.count += count(&ended);
        past.turns.push_back(SparseHistogram::from(&ended));
        if past.turns.len() > KEPT_TURNS {
            past.turns.pop_front();
        }
    }

    pub fn shown(&self) -> Shown {
        let mut shown = Shown { quantiles: vec![0.0; QUANTILES.len()], ..Shown::default() };
        let Some(current) = &self.current else { return shown };
        let past = self.past.lock();
        let current = current.load();
        shown.count = past.count + count(&current);
        shown.sum = self.sum_thousandths.load(Ordering::Relaxed) as f64 / SCALE;
        let (config, mut buckets) = (current.config(), BTreeMap::new());
        let mut add = |histogram: &SparseHistogram| {
            for (index, count) in histogram.index().iter().zip(histogram.count()) {
                *buckets.entry(*index).or_insert(0u64) += count;
            }
        };
        past.turns.iter().for_each(&mut add);
        add(&SparseHistogram::from(&current));
        let (index, counts) = buckets.into_iter().unzip();
        let wanted: Vec<f64> = QUANTILES.iter().map(|(_, quantile)| *quantile).collect();
        let all = SparseHistogram::from_parts(config, index, counts);
        if let Ok(Some(found)) = all.and_then(|all| all.quantiles(&wanted)) {
            // Entries come in the order of the quantiles, and those of the table rise.
            for (place, bucket) in shown.quantiles.iter_mut().zip(found.entries().values()) {
                *place = bucket.end() as f64 / SCALE;
            }
        }
        shown
    }
}

fn count(histogram: &Histogram) -> u64 {
    histogram.as_slice().iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, wanted: f64) -> bool {
        got >= wanted && got <= wanted * (1.0 + 1.0 / 16.0) + 0.002
    }

    #[test]
    fn quantiles_are_near_and_sums_exact() {
        let distribution = Distribution::default();
        for value in 1..=1000 {
            distribution.record(f64::from(value) / 10.0);
        }
        let shown = distribution.shown();
        assert_eq!((shown.count, shown.sum), (1000, 50_050.0));
        for ((name, quantile), got) in QUANTILES.iter().zip(&shown.quantiles) {
            assert!(near(*got, quantile * 100.0), "{name}: {got}");
        }
    }

    #[test]
    fn the_past_is_looked_back_on_for_a_while_and_counts_for_good() {
        let distribution = Distribution::default();
        distribution.record(100.0);
        for _ in 0..KEPT_TURNS {
            distribution.turn();
            distribution.record(1.0);
        }
        let shown = distribution.shown();
        assert!(near(shown.quantiles[0], 1.0) && near(shown.quantiles[5], 100.0), "{shown:?}");
        for _ in 0..=KEPT_TURNS {
            distribution.turn();
        }
        let shown = distribution.shown();
        assert_eq!((shown.count, shown.sum), (1 + KEPT_TURNS as u64, 100.0 + KEPT_TURNS as f64));
        assert_eq!(shown.quantiles, vec![0.0; QUANTILES.len()], "nothing lately");
    }

    #[test]
    fn odd_values_are_taken() {
        let distribution = Distribution::default();
        for value in [0.0, -3.0, f64::NAN, f64::INFINITY, 1e300] {
            distribution.record(value);
        }
        let shown = distribution.shown();
        assert_eq!(shown.count, 5);
        assert!(shown.quantiles.iter().all(|quantile| quantile.is_finite()));
    }
}

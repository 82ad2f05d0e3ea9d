//! What counters did per second over the last half minute, for those of Kafka's metrics that are rates.
//!
//! Holds samples of the counters, no counters of its own.

use super::scrape::Scrape;
use super::table::{self, Metric};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Over how long a rate is told: a window of Kafka's own (`metrics.sample.window.ms`).
const WINDOW: Duration = Duration::from_secs(30);

type Series = Vec<(Vec<(&'static str, String)>, f64)>;

/// The samples that are looked back on, in the order of time: for each metric of [`table::RATES`] its series.
#[derive(Default)]
pub struct Rates {
    samples: Mutex<VecDeque<(Instant, Vec<Series>)>>,
}

impl Rates {
    /// Takes a sample, and forgets those that are no longer looked back on.
    pub fn sample(&self, now: Instant, values: impl Fn(&'static Metric) -> Series) {
        let sample = table::RATES.iter().map(|(counter, _)| values(counter)).collect();
        let mut samples = self.samples.lock();
        samples.push_back((now, sample));
        // The oldest one kept is the newest that is a whole window old.
        while samples.get(1).is_some_and(|(taken, _)| now.duration_since(*taken) >= WINDOW) {
            samples.pop_front();
        }
    }

    pub fn collect(&self, scrape: &mut Scrape, now: Instant, values: impl Fn(&'static Metric) -> Series) {
        let samples = self.samples.lock();
        let Some((taken, sample)) = samples.front() else { return };
        let seconds = now.duration_since(*taken).as_secs_f64().max(1.0);
        for ((counter, rate), before) in table::RATES.iter().zip(sample) {
            for (labels, value) in values(counter) {
                // A series that is new since began at 0.
                let then = before.iter().find(|(others, _)| *others == labels).map_or(0.0, |(_, then)| *then);
                scrape.add(rate, &labels, (value - then).max(0.0) / seconds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_half_minute() {
        let rates = Rates::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        // 10 a second for a minute, then nothing.
        let total = |seconds: u64| (seconds.min(60) * 10) as f64;
        let labels = || vec![("listener", "A".to_owned())];
        let values = |seconds| move |_: &'static Metric| vec![(labels(), total(seconds))];
        let shown = |rates: &Rates, seconds| {
            let mut scrape = Scrape::default();
            rates.collect(&mut scrape, at(seconds), values(seconds));
            let page = scrape.page();
            let name = table::CONNECTION_CREATION_RATE.name;
            let line = page
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}{{listener=\"A\"}} ")).map(str::to_owned));
            line.map(|value| value.parse::<f64>().unwrap())
        };
        assert_eq!(shown(&rates, 0), None, "no sample yet");
        for seconds in (0..=60).step_by(5) {
            rates.sample(at(seconds), values(seconds));
        }
        assert_eq!(shown(&rates, 60), Some(10.0));
        rates.sample(at(65), values(65));
        rates.sample(at(70), values(70));
        assert!(shown(&rates, 75).is_some_and(|rate| rate > 0.0 && rate < 10.0));
        for seconds in (75..=100).step_by(5) {
            rates.sample(at(seconds), values(seconds));
        }
        assert_eq!(shown(&rates, 100), Some(0.0));
    }
}

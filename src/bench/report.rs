//! What a workload found, as text for people and as one JSON object for programs.

use histogram::Histogram;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::fmt::Write;

use super::BenchError;
use super::process::Usage;

/// Percentiles that are told.
const PERCENTILES: [(&str, f64); 7] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
/// Values are kept within 1/2^7 of the truth, up to 2^36 us (19 hours).
const GROUPING_POWER: u8 = 7;
const MAX_VALUE_POWER: u8 = 36;

/// Latencies in microseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram,
    count: u64,
    sum_us: u64,
    max_us: u64,
}

impl Latencies {
    /// # Errors
    /// Never with these constants; the library cannot say so.
    pub fn new() -> Result<Self, BenchError> {
        let histogram = Histogram::new(GROUPING_POWER, MAX_VALUE_POWER)
            .map_err(|error| BenchError::Wrong(format!("the histogram of latencies: {error}")))?;
        Ok(Self { histogram, count: 0, sum_us: 0, max_us: 0 })
    }

    /// Adds the same latency for a number of records.
    pub fn add(&mut self, us: u64, records: u64) {
        // Past 19 hours it would not count.
        let _ = self.histogram.add(us, records);
        self.count += records;
        self.sum_us = self.sum_us.saturating_add(us.saturating_mul(records));
        self.max_us = self.max_us.max(us);
    }

    /// Adds another task's.
    pub fn merge(&mut self, other: &Self) {
        let _ = self.histogram.checked_add_assign(&other.histogram);
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
    }

    fn percentile_us(&self, fraction: f64) -> u64 {
        let found = self.histogram.quantile_bucket(fraction).ok().flatten();
        found.map_or(0, |bucket| bucket.end().min(self.max_us))
    }

    fn mean_us(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_us as f64 / self.count as f64 }
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mean", &self.mean_us())?;
        for (name, fraction) in PERCENTILES {
            map.serialize_entry(name, &self.percentile_us(fraction))?;
        }
        map.serialize_entry("max", &self.max_us)?;
        map.end()
    }
}

/// Records that went one way within the window. Bytes are those of the values.
#[derive(Clone, Debug, Serialize)]
pub struct Flow {
    pub records: u64,
    pub bytes: u64,
    pub bytes_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<Latencies>,
}

impl Flow {
    pub fn new(records: u64, bytes: u64, seconds: f64, latency_us: Option<Latencies>) -> Self {
        let bytes_per_second = if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
        Self { records, bytes, bytes_per_second, latency_us }
    }
}

/// A workload's result. What a workload has nothing to say of is left out of the text, and of the JSON but where it is `null` by name.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub workload: &'static str,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_created_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub produced: Option<Flow>,
    /// Records that were due within the window and not acknowledged at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_records: Option<u64>,
    pub consumed: Option<Flow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<Latencies>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_ms: Option<f64>,
    pub broker: Option<Usage>,
    pub generator: Option<Usage>,
}

impl Report {
    pub fn json(&self) -> String {
        // Strings, numbers and maps with names: nothing that JSON has no words for.
        serde_json::to_string(self).map(|text| text + "\n").unwrap_or_default()
    }

    pub fn text(&self) -> String {
        let mut out = format!("{} for {:.1} s\n", self.workload, self.seconds);
        let mut line = |name: &str, what: String| {
            let _ = writeln!(out, "  {name:<13} {what}");
        };
        if let Some(ms) = self.topic_created_ms {
            line("topic", format!("created in {ms:.1} ms"));
        }
        for (name, flow) in [("produced", &self.produced), ("consumed", &self.consumed)] {
            let Some(flow) = flow else { continue };
            let per_second = flow.records as f64 / self.seconds.max(f64::MIN_POSITIVE);
            line(name, format!("{:.1} MB/s, {per_second:.0} records/s", flow.bytes_per_second / 1e6));
            if let Some(latencies) = &flow.latency_us {
                line("", in_words(latencies));
            }
        }
        if let Some(behind) = self.behind_records.filter(|behind| *behind > 0) {
            line("behind", format!("{behind} records were due and not acknowledged at the end"));
        }
        if let (Some(members), Some(ms)) = (self.members, self.join_ms) {
            line("joined", format!("{members} members in {ms:.0} ms"));
        }
        if let (Some(commits), Some(per_second)) = (self.commits, self.per_second) {
            line("commits", format!("{commits}, {per_second:.0} per second"));
        }
        if let Some(latencies) = &self.latency_us {
            line("", in_words(latencies));
        }
        if let (Some(opened), Some(ms)) = (self.opened, self.open_ms) {
            line("connections", format!("{opened} opened in {ms:.0} ms"));
        }
        // The more of the two ways, since what is read was written once.
        let bytes = [&self.produced, &self.consumed].into_iter().flatten().map(|flow| flow.bytes).max();
        for (name, usage) in [("broker", &self.broker), ("generator", &self.generator)] {
            let Some(usage) = usage else { continue };
            let cpu_s = usage.cpu_user_s + usage.cpu_system_s;
            let per_gb = bytes.filter(|bytes| *bytes > 0).map(|bytes| cpu_s / (bytes as f64 / 1e9));
            let per_gb = per_gb.map(|per_gb| format!(", {per_gb:.2} CPU-s per GB")).unwrap_or_default();
            let memory = format!(
                "{:.1} MB resident, {:.1} at most",
                usage.rss_bytes as f64 / 1e6,
                usage.peak_rss_bytes as f64 / 1e6
            );
            let (user_s, system_s) = (usage.cpu_user_s, usage.cpu_system_s);
            line(name, format!("{user_s:.2} s user, {system_s:.2} s system{per_gb}; {memory}"));
        }
        out
    }
}

fn in_words(latencies: &Latencies) -> String {
    let mut words = format!("latency ms: mean {:.2}", latencies.mean_us() / 1e3);
    for (name, fraction) in PERCENTILES {
        let _ = write!(words, ", {name} {:.2}", latencies.percentile_us(fraction) as f64 / 1e3);
    }
    let _ = write!(words, ", max {:.2}", latencies.max_us as f64 / 1e3);
    words
}

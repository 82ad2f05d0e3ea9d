//! One scrape: series are gathered metric by metric and written in Prometheus's text format, under each of a metric's names.
//!
//! Knows no registry and computes nothing.

use super::table::{self, Kind, Metric};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What follows a summary's name: nothing for its quantiles.
const SUMMARY_PARTS: &[&str] = &["", "_sum", "_count"];
const WHOLE: &[&str] = &[""];

/// The series of one metric, as text: each line is labels, a space, and the value; the name comes before it when it is written.
struct Family {
    metric: &'static Metric,
    series: usize,
    lines: String,
}

/// The series of one scrape.
#[derive(Default)]
pub struct Scrape {
    /// By name, so that a metric's series stand together, as the format asks.
    families: BTreeMap<&'static str, Family>,
    /// Series that did not fit their metric's bound.
    left_out: usize,
}

impl Scrape {
    /// Adds one series of a gauge or counter. Beyond the metric's bound, series are left out, and counted as such.
    pub fn set(&mut self, metric: &'static Metric, labels: &[(&'static str, &str)], value: f64) {
        if let Some(wrong) =
            misuse(metric, metric.kind, labels).or((metric.kind == Kind::Histogram).then_some("it is a summary"))
        {
            tracing::error!(metric = metric.name, wrong, "a metric is used otherwise than its row says");
            return;
        }
        if let Some(lines) = self.lines(metric) {
            write_labels(lines, labels.iter().copied());
            // Writing to a String cannot fail.
            let _ = writeln!(lines, " {value}");
        }
    }

    /// Adds a series that a handle stands for.
    pub(super) fn add(&mut self, metric: &'static Metric, labels: &[(&'static str, String)], value: f64) {
        if let Some(lines) = self.lines(metric) {
            write_labels(lines, labels.iter().map(|(name, text)| (*name, text.as_str())));
            let _ = writeln!(lines, " {value}");
        }
    }

    /// Adds a summary: `parts` are its quantiles (with their label), then sum and count.
    pub(super) fn add_summary(
        &mut self,
        metric: &'static Metric,
        labels: &[(&'static str, String)],
        quantiles: impl Iterator<Item = (&'static str, f64)>,
        sum: f64,
        count: u64,
    ) {
        let Some(lines) = self.lines(metric) else { return };
        let labels = || labels.iter().map(|(name, text)| (*name, text.as_str()));
        for (quantile, value) in quantiles {
            write_labels(lines, labels().chain([("quantile", quantile)]));
            let _ = writeln!(lines, " {value}");
        }
        for (suffix, value) in [("_sum", sum), ("_count", count as f64)] {
            lines.push_str(suffix);
            write_labels(lines, labels());
            let _ = writeln!(lines, " {value}");
        }
    }

    /// Where the next series of the metric goes; `None` when there are as many as it may have.
    fn lines(&mut self, metric: &'static Metric) -> Option<&mut String> {
        let family =
            self.families.entry(metric.name).or_insert_with(|| Family { metric, series: 0, lines: String::new() });
        if family.series >= metric.max_series {
            self.left_out += 1;
            return None;
        }
        family.series += 1;
        Some(&mut family.lines)
    }

    /// The whole page.
    pub(super) fn page(mut self) -> String {
        let left_out = self.left_out;
        self.set(&table::SERIES_LEFT_OUT, &[], left_out as f64);
        let bytes: usize =
            self.families.values().map(|family| family.lines.len() * (2 + family.metric.also.len())).sum();
        let mut page = String::with_capacity(bytes * 2);
        for family in self.families.values() {
            let metric = family.metric;
            for name in metric.names() {
                let parts = if metric.kind == Kind::Histogram { SUMMARY_PARTS } else { WHOLE };
                for part in parts {
                    let kind = type_of(metric.kind, name);
                    let _ = writeln!(page, "# HELP {name}{part} {}\n# TYPE {name}{part} {kind}", metric.help);
                    // A series' own labels begin with a brace, its value with a space.
                    let of_part =
                        |line: &&str| line.strip_prefix(part).is_some_and(|rest| rest.starts_with(['{', ' ']));
                    for line in family.lines.lines().filter(of_part) {
                        page.push_str(name);
                        page.push_str(line);
                        page.push('\n');
                    }
                }
            }
        }
        page
    }
}

/// The format's type. A name that goes against its conventions (a counter without `_total`, a gauge that ends like a part of a histogram) is told
/// as untyped, which tools take as it is. So is a summary, in parts: Prometheus 3 would write the quantile 0.50 as 0.5, which dashboards do not ask for.
fn type_of(kind: Kind, name: &str) -> &'static str {
    match kind {
        Kind::Counter if name.ends_with("_total") => "counter",
        Kind::Gauge if !["_total", "_count", "_sum", "_bucket"].iter().any(|ending| name.ends_with(ending)) => "gauge",
        Kind::Counter | Kind::Gauge | Kind::Histogram => "untyped",
    }
}

fn write_labels<'a>(line: &mut String, labels: impl Iterator<Item = (&'static str, &'a str)>) {
    let mut any = false;
    for (name, text) in labels {
        line.push(if any { ',' } else { '{' });
        any = true;
        line.push_str(name);
        line.push_str("=\"");
        for c in text.chars() {
            match c {
                '\\' => line.push_str("\\\\"),
                '"' => line.push_str("\\\""),
                '\n' => line.push_str("\\n"),
                other => line.push(other),
            }
        }
        line.push('"');
    }
    if any {
        line.push('}');
    }
}

/// What is wrong with the use of a metric, if anything is.
pub(super) fn misuse(metric: &Metric, kind: Kind, labels: &[(&'static str, &str)]) -> Option<&'static str> {
    let is_known = |name: &str| metric.labels.contains(&name);
    if metric.kind != kind {
        Some("it is of another kind")
    } else if !labels.iter().all(|(name, _)| is_known(name)) {
        Some("it has no such label")
    } else {
        None
    }
}

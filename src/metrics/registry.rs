//! Keeps the series of one broker and writes them in Prometheus's text format.
//!
//! Not global: a process may run several brokers (tests do), each with a registry of its own. Registers nothing that is not in `table`.

use super::process;
use super::table::{self, Kind, Metric};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

/// The quantiles that Kafka's own histograms have.
const QUANTILES: &[f64] = &[0.5, 0.75, 0.95, 0.98, 0.99, 0.999];

/// Computes series anew for each scrape.
type Collector = Box<dyn Fn(&mut Scrape) + Send + Sync>;

/// All series of one broker.
pub struct Registry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    collectors: RwLock<Vec<Collector>>,
    /// The label sets that each metric has, to keep their number within its bound.
    series: Mutex<HashMap<&'static str, HashSet<Vec<Label>>>>,
}

impl Registry {
    pub fn new() -> Arc<Self> {
        let builder = PrometheusBuilder::new();
        // The quantiles are a constant that is not empty, the one thing that is refused; the exporter's own would do.
        let recorder = match builder.set_quantiles(QUANTILES) {
            Ok(builder) => builder.build_recorder(),
            Err(_) => PrometheusBuilder::new().build_recorder(),
        };
        let handle = recorder.handle();
        for metric in table::ALL {
            let (name, help) = (metric.name.into(), metric.help.into());
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram => recorder.describe_histogram(name, None, help),
            }
        }
        let registry = Self { recorder, handle, collectors: RwLock::default(), series: Mutex::default() };
        registry.on_scrape(process::collect);
        Arc::new(registry)
    }

    /// A handle to a counter's series. Cheap to use and to clone; keep it rather than ask again.
    pub fn counter(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Counter {
        match self.key(metric, Kind::Counter, labels) {
            Some(key) => self.recorder.register_counter(&key, &METADATA),
            None => Counter::noop(),
        }
    }

    /// A handle to a gauge's series that is set between scrapes. What can be computed at a scrape is better left to [`Registry::on_scrape`].
    pub fn gauge(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Gauge {
        match self.key(metric, Kind::Gauge, labels) {
            Some(key) => self.recorder.register_gauge(&key, &METADATA),
            None => Gauge::noop(),
        }
    }

    /// A handle to a histogram's series. Samples gather until [`Registry::upkeep`].
    pub fn histogram(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Histogram {
        match self.key(metric, Kind::Histogram, labels) {
            Some(key) => self.recorder.register_histogram(&key, &METADATA),
            None => Histogram::noop(),
        }
    }

    /// Has series computed at each scrape, so that what is gone leaves nothing behind.
    pub fn on_scrape(&self, collector: impl Fn(&mut Scrape) + Send + Sync + 'static) {
        self.collectors.write().push(Box::new(collector));
    }

    /// Everything in Prometheus's text format. A metric has its series either from handles or from a scrape, not from both.
    pub fn render(&self) -> String {
        let mut scrape = Scrape::default();
        for collector in self.collectors.read().iter() {
            collector(&mut scrape);
        }
        let mut page = self.handle.render();
        scrape.write(&mut page);
        page
    }

    /// Moves histogram samples to where they take no more memory. To be called every second or so.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// The key of a series; `None` when the metric has as many series as it may, or is used otherwise than the table says.
    fn key(&self, metric: &'static Metric, kind: Kind, labels: &[(&'static str, &str)]) -> Option<Key> {
        if let Some(wrong) = misuse(metric, kind, labels) {
            tracing::error!(metric = metric.name, wrong, "a metric is used otherwise than its row says");
            return None;
        }
        let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::new(*name, value.to_string())).collect();
        let mut series = self.series.lock();
        let known = series.entry(metric.name).or_default();
        if !known.contains(&labels) {
            if known.len() >= metric.max_series {
                return None;
            }
            known.insert(labels.clone());
        }
        Some(Key::from_parts(metric.name, labels))
    }
}

const METADATA: Metadata<'static> = Metadata::new("ottla", Level::INFO, None);

fn misuse(metric: &Metric, kind: Kind, labels: &[(&'static str, &str)]) -> Option<&'static str> {
    let is_known = |name: &str| metric.labels.contains(&name);
    if metric.kind != kind {
        Some("it is of another kind")
    } else if !labels.iter().all(|(name, _)| is_known(name)) {
        Some("it has no such label")
    } else {
        None
    }
}

/// The series of one scrape.
#[derive(Default)]
pub struct Scrape {
    /// Lines by metric, so that a metric's series stand together, as the format asks.
    lines: BTreeMap<&'static str, (&'static Metric, Vec<String>)>,
}

impl Scrape {
    /// Adds one series of a gauge or counter. Beyond the metric's bound, series are left out.
    pub fn set(&mut self, metric: &'static Metric, labels: &[(&'static str, &str)], value: f64) {
        if let Some(wrong) = misuse(metric, metric.kind, labels).filter(|_| metric.kind != Kind::Histogram) {
            tracing::error!(metric = metric.name, wrong, "a metric is used otherwise than its row says");
            return;
        }
        let (_, lines) = self.lines.entry(metric.name).or_insert_with(|| (metric, Vec::new()));
        if lines.len() >= metric.max_series {
            return;
        }
        let mut line = metric.name.to_owned();
        for (index, (name, text)) in labels.iter().enumerate() {
            line.push(if index == 0 { '{' } else { ',' });
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
        if !labels.is_empty() {
            line.push('}');
        }
        // Writing to a String cannot fail.
        let _ = write!(line, " {value}");
        lines.push(line);
    }

    fn write(&self, page: &mut String) {
        for (metric, lines) in self.lines.values() {
            let kind = if metric.kind == Kind::Counter { "counter" } else { "gauge" };
            let _ = writeln!(page, "# HELP {} {}\n# TYPE {} {kind}", metric.name, metric.help, metric.name);
            for line in lines {
                page.push_str(line);
                page.push('\n');
            }
            page.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the samples on a page, without the suffixes of summaries.
    fn names(page: &str) -> Vec<String> {
        let samples = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        samples
            .filter_map(|line| line.split(['{', ' ']).next())
            .map(|name| name.trim_end_matches("_sum").trim_end_matches("_count").to_owned())
            .collect()
    }

    #[test]
    fn all_that_is_shown_is_in_the_table() {
        let registry = Registry::new();
        for metric in table::ALL {
            let labels: Vec<(&'static str, &str)> = metric.labels.iter().map(|name| (*name, "x")).collect();
            match metric.kind {
                Kind::Counter => registry.counter(metric, &labels).increment(1),
                Kind::Gauge => registry.gauge(metric, &labels).set(1.0),
                Kind::Histogram => registry.histogram(metric, &labels).record(1.0),
            }
        }
        registry.upkeep();
        let shown = names(&registry.render());
        for metric in table::ALL {
            // `_count` is also a metric's own ending.
            let name = metric.name.trim_end_matches("_count").trim_end_matches("_sum");
            assert!(shown.iter().any(|one| one == name), "{} is not shown", metric.name);
        }
        for name in &shown {
            let of_table = |metric: &&&Metric| metric.name.trim_end_matches("_count").trim_end_matches("_sum") == name;
            assert!(table::ALL.iter().any(|metric| of_table(&metric)), "{name} is not in the table");
        }
    }

    #[test]
    fn counts_with_and_without_a_topic() {
        let registry = Registry::new();
        registry.counter(&table::BYTES_IN, &[]).increment(7);
        registry.counter(&table::BYTES_IN, &[("topic", "a")]).increment(3);
        registry.counter(&table::BYTES_IN, &[("topic", "a")]).increment(1);
        let page = registry.render();
        assert!(page.contains("kafka_server_brokertopicmetrics_bytesin_total 7\n"), "{page}");
        assert!(page.contains("kafka_server_brokertopicmetrics_bytesin_total{topic=\"a\"} 4\n"), "{page}");
        assert!(
            page.contains("# HELP kafka_server_brokertopicmetrics_bytesin_total Bytes of record batches"),
            "{page}"
        );
    }

    #[test]
    fn a_metric_has_no_more_series_than_its_bound() {
        let registry = Registry::new();
        for index in 0..table::BYTES_IN.max_series + 10 {
            registry.counter(&table::BYTES_IN, &[("topic", &format!("t{index}"))]).increment(1);
        }
        let page = registry.render();
        let lines =
            page.lines().filter(|line| line.starts_with("kafka_server_brokertopicmetrics_bytesin_total{")).count();
        assert_eq!(lines, table::BYTES_IN.max_series);
    }

    #[test]
    fn misuse_counts_nothing() {
        let registry = Registry::new();
        registry.counter(&table::BYTES_IN, &[("partition", "0")]).increment(1);
        registry.gauge(&table::BYTES_IN, &[]).set(1.0);
        assert!(!registry.render().contains("bytesin_total"));
    }

    #[test]
    fn scraped_series_are_escaped_and_stand_together() {
        let registry = Registry::new();
        registry.on_scrape(|scrape| {
            scrape.set(&table::TOPIC_PARTITIONS, &[("topic", "a\"b\\c\nd")], 3.0);
            scrape.set(&table::BROKERS, &[], 1.0);
            scrape.set(&table::TOPIC_PARTITIONS, &[("topic", "e")], 1.5);
        });
        let page = registry.render();
        let wanted = "# TYPE kafka_topic_partitions gauge\n\
                      kafka_topic_partitions{topic=\"a\\\"b\\\\c\\nd\"} 3\n\
                      kafka_topic_partitions{topic=\"e\"} 1.5\n";
        assert!(page.contains(wanted), "{page}");
    }

    #[test]
    fn histograms_have_kafkas_quantiles() {
        let registry = Registry::new();
        let histogram = registry.histogram(&table::TOTAL_TIME_MS, &[("request", "Produce")]);
        for value in 1..=100 {
            histogram.record(f64::from(value));
        }
        registry.upkeep();
        let page = registry.render();
        assert!(
            page.contains("kafka_network_requestmetrics_totaltimems{request=\"Produce\",quantile=\"0.999\"}"),
            "{page}"
        );
        assert!(page.contains("kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"} 100"), "{page}");
    }
}

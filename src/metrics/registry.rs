//! Keeps the series of one broker, and makes the page that Prometheus reads.
//!
//! Not global: a process may run several brokers (tests do), each with a registry of its own. Registers nothing that is not in `table`. What is counted
//! through a handle costs an atomic addition; everything else is done when a page is asked for.

use super::distribution::{Distribution, QUANTILES};
use super::process;
use super::rates::Rates;
use super::scrape::{Scrape, misuse};
use super::table::{Kind, Metric};
use super::topic::{TopicMetrics, TopicSets};
use metrics::{Counter, Gauge, Histogram};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often [`Registry::upkeep`] is to be called.
pub const UPKEEP: Duration = Duration::from_secs(5);
/// How long a turn of a [`Distribution`] lasts.
pub const TURN: Duration = Duration::from_secs(30);

/// Computes series anew for each scrape.
type Collector = Box<dyn Fn(&mut Scrape) + Send + Sync>;

/// What a handle counts in.
#[derive(Clone)]
enum Cell {
    /// A counter's value, or a gauge's as the bits of a float.
    Number(Arc<AtomicU64>),
    Spread(Arc<Distribution>),
}

type Labels = Vec<(&'static str, String)>;

struct Family {
    metric: &'static Metric,
    series: Vec<(Labels, Cell)>,
}

/// All series of one broker.
pub struct Registry {
    families: RwLock<HashMap<&'static str, Family>>,
    collectors: RwLock<Vec<Collector>>,
    topics: Arc<TopicSets>,
    rates: Rates,
    turned: parking_lot::Mutex<Instant>,
}

impl Registry {
    pub fn new() -> Arc<Self> {
        let registry = Self {
            families: RwLock::default(),
            collectors: RwLock::default(),
            topics: Arc::default(),
            rates: Rates::default(),
            turned: parking_lot::Mutex::new(Instant::now()),
        };
        registry.on_scrape(process::collect);
        Arc::new(registry)
    }

    /// A handle to a counter's series. Cheap to use and to clone; keep it rather than ask again.
    pub fn counter(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Counter {
        match self.cell(metric, Kind::Counter, labels) {
            Some(Cell::Number(number)) => Counter::from_arc(number),
            _ => Counter::noop(),
        }
    }

    /// A handle to a gauge's series that is set between scrapes. What can be computed at a scrape is better left to [`Registry::on_scrape`].
    pub fn gauge(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Gauge {
        match self.cell(metric, Kind::Gauge, labels) {
            Some(Cell::Number(number)) => Gauge::from_arc(number),
            _ => Gauge::noop(),
        }
    }

    /// A handle to a summary's series.
    pub fn histogram(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Histogram {
        match self.cell(metric, Kind::Histogram, labels) {
            Some(Cell::Spread(spread)) => Histogram::from_arc(spread),
            _ => Histogram::noop(),
        }
    }

    /// The counters of a topic: the same ones for all who ask while anybody has them. When the last one lets go, the topic's series are gone.
    pub fn topic(&self, name: &Arc<str>) -> Arc<TopicMetrics> {
        self.topics.of(name)
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
        self.topics.collect(&mut scrape);
        for family in self.families.read().values() {
            let metric = family.metric;
            for (labels, cell) in &family.series {
                match cell {
                    Cell::Number(number) => scrape.add(metric, labels, value(metric, number)),
                    Cell::Spread(spread) => {
                        let shown = spread.shown();
                        let quantiles = QUANTILES.iter().map(|(name, _)| *name).zip(shown.quantiles);
                        scrape.add_summary(metric, labels, quantiles, shown.sum, shown.count);
                    }
                }
            }
        }
        self.rates.collect(&mut scrape, Instant::now(), |metric| self.values(metric));
        scrape.page()
    }

    /// What has to be done now and then: to be called every [`UPKEEP`].
    pub fn upkeep(&self) {
        let now = Instant::now();
        self.topics.tidy();
        self.rates.sample(now, |metric| self.values(metric));
        let mut turned = self.turned.lock();
        if now.duration_since(*turned) < TURN {
            return;
        }
        *turned = now;
        for family in self.families.read().values() {
            for (_, cell) in &family.series {
                if let Cell::Spread(spread) = cell {
                    spread.turn();
                }
            }
        }
    }

    /// The series of a metric that has handles, by labels.
    fn values(&self, metric: &'static Metric) -> Vec<(Labels, f64)> {
        let families = self.families.read();
        let Some(family) = families.get(metric.name) else { return Vec::new() };
        let number = |(labels, cell): &(Labels, Cell)| match cell {
            Cell::Number(number) => Some((labels.clone(), value(metric, number))),
            Cell::Spread(_) => None,
        };
        family.series.iter().filter_map(number).collect()
    }

    /// The series' cell; `None` when the metric has as many series as it may, or is used otherwise than the table says.
    fn cell(&self, metric: &'static Metric, kind: Kind, labels: &[(&'static str, &str)]) -> Option<Cell> {
        if let Some(wrong) = misuse(metric, kind, labels) {
            tracing::error!(metric = metric.name, wrong, "a metric is used otherwise than its row says");
            return None;
        }
        let labels: Labels = labels.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let mut families = self.families.write();
        let family = families.entry(metric.name).or_insert_with(|| Family { metric, series: Vec::new() });
        if let Some((_, known)) = family.series.iter().find(|(others, _)| *others == labels) {
            return Some(known.clone());
        }
        if family.series.len() >= metric.max_series {
            return None;
        }
        let cell = match kind {
            Kind::Histogram => Cell::Spread(Arc::default()),
            Kind::Counter | Kind::Gauge => Cell::Number(Arc::default()),
        };
        family.series.push((labels, cell.clone()));
        Some(cell)
    }
}

fn value(metric: &Metric, number: &AtomicU64) -> f64 {
    let bits = number.load(Ordering::Relaxed);
    if metric.kind == Kind::Gauge { f64::from_bits(bits) } else { bits as f64 }
}

#[cfg(test)]
mod tests {
    use super::super::table;
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
    fn all_that_is_shown_is_in_the_table_under_each_of_its_names() {
        let registry = Registry::new();
        registry.topic(&"x".into()).produced(1, 1);
        let from_elsewhere = ["brokertopicmetrics", "process_", "series_left_out"];
        for metric in table::ALL {
            let is_rate = table::RATES.iter().any(|(_, rate)| rate == metric);
            if is_rate || from_elsewhere.iter().any(|part| metric.name.contains(part)) {
                continue;
            }
            let labels: Vec<(&'static str, &str)> = metric.labels.iter().map(|name| (*name, "x")).collect();
            match metric.kind {
                Kind::Counter => registry.counter(metric, &labels).increment(1),
                Kind::Gauge => registry.gauge(metric, &labels).set(1.0),
                Kind::Histogram => registry.histogram(metric, &labels).record(1.0),
            }
        }
        registry.upkeep();
        let page = registry.render();
        let shown = names(&page);
        // `_count` and `_sum` are also metrics' own endings.
        let bare = |name: &str| name.trim_end_matches("_count").trim_end_matches("_sum").to_owned();
        for metric in table::ALL {
            for name in metric.names() {
                assert!(shown.contains(&bare(name)), "{name} is not shown:\n{page}");
            }
        }
        for name in &shown {
            let is_known = table::ALL.iter().any(|metric| metric.names().any(|known| bare(known) == *name));
            assert!(is_known, "{name} is not in the table");
        }
    }

    #[test]
    fn a_metric_has_no_more_series_than_its_bound_and_says_how_many_are_left_out() {
        let registry = Registry::new();
        let bound = table::CLIENT_CONNECTIONS.max_series;
        registry.on_scrape(move |scrape| {
            for index in 0..bound + 10 {
                let name = format!("c{index}");
                scrape.set(&table::CLIENT_CONNECTIONS, &[("client_software_name", &name)], 1.0);
            }
        });
        for index in 0..table::CONNECTION_COUNT.max_series + 10 {
            registry.gauge(&table::CONNECTION_COUNT, &[("listener", &format!("l{index}"))]).increment(1.0);
        }
        let page = registry.render();
        for metric in [&table::CLIENT_CONNECTIONS, &table::CONNECTION_COUNT] {
            let lines = page.lines().filter(|line| line.starts_with(&format!("{}{{", metric.name))).count();
            assert_eq!(lines, metric.max_series);
        }
        assert!(page.contains("ottla_metrics_series_left_out 10\n"), "{page}");
    }

    #[test]
    fn misuse_counts_nothing() {
        let registry = Registry::new();
        registry.counter(&table::INCOMING_BYTES, &[("partition", "0")]).increment(1);
        registry.gauge(&table::INCOMING_BYTES, &[]).set(1.0);
        assert!(!registry.render().contains(table::INCOMING_BYTES.name));
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
    fn names_that_go_against_the_formats_conventions_are_untyped() {
        let registry = Registry::new();
        registry.counter(&table::REQUESTS, &[("request", "Fetch"), ("version", "4")]).increment(3);
        registry.gauge(&table::CONNECTION_COUNT, &[("listener", "A")]).increment(1.0);
        let page = registry.render();
        for wanted in [
            "# TYPE kafka_network_requestmetrics_requests_total counter\n",
            "kafka_network_requestmetrics_requests_total{request=\"Fetch\",version=\"4\"} 3\n",
            "# TYPE kafka_network_requestmetrics_requestspersec untyped\n",
            "kafka_network_requestmetrics_requestspersec{request=\"Fetch\",version=\"4\"} 3\n",
            "# TYPE kafka_server_socket_server_metrics_connection_count untyped\n",
        ] {
            assert!(page.contains(wanted), "{wanted} is missing: {page}");
        }
    }

    #[test]
    fn summaries_have_kafkas_quantiles() {
        let registry = Registry::new();
        let histogram = registry.histogram(&table::TOTAL_TIME_MS, &[("request", "Produce")]);
        for value in 1..=100 {
            histogram.record(f64::from(value));
        }
        let page = registry.render();
        let name = "kafka_network_requestmetrics_totaltimems";
        for part in ["", "_sum", "_count"] {
            assert!(page.contains(&format!("# TYPE {name}{part} untyped\n")), "{page}");
        }
        assert!(page.contains(&format!("{name}{{request=\"Produce\",quantile=\"0.999\"}} ")), "{page}");
        assert!(page.contains(&format!("{name}_count{{request=\"Produce\"}} 100\n")), "{page}");
        assert!(page.contains(&format!("{name}_sum{{request=\"Produce\"}} 5050\n")), "{page}");
    }
}

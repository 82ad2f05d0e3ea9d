//! Counts and times requests by API, from the table of APIs, and follows each answer until its last byte has left.
//!
//! ```text
//!   frame whole   begun        first poll ends          outcome        in its turn       last byte written
//!        | queue   |  local        |      remote           | response queue | response send    |
//! ```
//!
//! Counting takes no lock but for error codes that an API has not told before.

use metrics::{Counter, Histogram};
use parking_lot::RwLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::error_tally::{ErrorTally, error_name};
use super::table::{APIS, ApiRow};
use crate::metrics::{Registry, table};

/// A second name that a request counts under, as in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedAs {
    FetchConsumer,
    FetchFollower,
}

/// APIs whose series are there from the start: those that every dashboard asks for. The others' appear with their first request.
const ALWAYS_SHOWN: &[&str] = &["Produce", "Fetch", "FetchConsumer", "FetchFollower"];

/// Handles to the summaries of one name.
struct Times {
    total_ms: Histogram,
    queue_ms: Histogram,
    local_ms: Histogram,
    remote_ms: Histogram,
    response_queue_ms: Histogram,
    response_send_ms: Histogram,
}

/// Handles for one name: an API's own, or a second one.
struct ApiMetrics {
    name: String,
    min_version: i16,
    /// By version, from the lowest; made with the first request.
    requests: Vec<OnceLock<Counter>>,
    no_error: OnceLock<Counter>,
    errors: RwLock<Vec<(i16, Counter)>>,
    times: OnceLock<Times>,
}

impl ApiMetrics {
    fn new(name: String, row: &ApiRow) -> Self {
        Self {
            name,
            min_version: row.min_version,
            requests: (row.min_version..=row.max_version).map(|_| OnceLock::new()).collect(),
            no_error: OnceLock::new(),
            errors: RwLock::default(),
            times: OnceLock::new(),
        }
    }

    fn times(&self, registry: &Registry) -> &Times {
        let of = |metric| registry.histogram(metric, &[("request", &self.name)]);
        self.times.get_or_init(|| Times {
            total_ms: of(&table::TOTAL_TIME_MS),
            queue_ms: of(&table::REQUEST_QUEUE_TIME_MS),
            local_ms: of(&table::LOCAL_TIME_MS),
            remote_ms: of(&table::REMOTE_TIME_MS),
            response_queue_ms: of(&table::RESPONSE_QUEUE_TIME_MS),
            response_send_ms: of(&table::RESPONSE_SEND_TIME_MS),
        })
    }

    fn count(&self, registry: &Registry, version: i16, errors: &ErrorTally) {
        let place = usize::try_from(version - self.min_version).unwrap_or(usize::MAX);
        if let Some(requests) = self.requests.get(place) {
            let new = || {
                let labels = [("request", self.name.as_str()), ("version", &version.to_string())];
                registry.counter(&table::REQUESTS, &labels)
            };
            requests.get_or_init(new).increment(1);
        }
        for (code, count) in errors.iter() {
            self.count_error(registry, code, count);
        }
    }

    fn count_error(&self, registry: &Registry, code: i16, count: u64) {
        let new = || registry.counter(&table::ERRORS, &[("request", &self.name), ("error", error_name(code).as_str())]);
        if code == 0 {
            return self.no_error.get_or_init(new).increment(count);
        }
        if let Some((_, counter)) = self.errors.read().iter().find(|(known, _)| *known == code) {
            return counter.increment(count);
        }
        let counter = new();
        counter.increment(count);
        let mut errors = self.errors.write();
        if !errors.iter().any(|(known, _)| *known == code) {
            errors.push((code, counter));
        }
    }

    fn record(&self, registry: &Registry, spans: &Spans) {
        let times = self.times(registry);
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        times.queue_ms.record(ms(spans.queue));
        times.local_ms.record(ms(spans.local));
        times.remote_ms.record(ms(spans.remote));
        times.response_queue_ms.record(ms(spans.response_queue));
        times.response_send_ms.record(ms(spans.response_send));
        times.total_ms.record(ms(spans.total()));
    }
}

/// Where a request's time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spans {
    pub queue: Duration,
    pub local: Duration,
    pub remote: Duration,
    pub response_queue: Duration,
    pub response_send: Duration,
}

impl Spans {
    fn total(&self) -> Duration {
        self.queue + self.local + self.remote + self.response_queue + self.response_send
    }
}

/// What has counted itself in: requests in work, answers that are not written yet.
#[derive(Default)]
struct Underway {
    requests: AtomicI64,
    answers: AtomicI64,
}

pub struct RequestMetrics {
    registry: Arc<Registry>,
    /// In the order of the table of APIs.
    apis: Vec<ApiMetrics>,
    fetch_consumer: Option<ApiMetrics>,
    fetch_follower: Option<ApiMetrics>,
    underway: Arc<Underway>,
}

impl RequestMetrics {
    pub fn new(registry: &Arc<Registry>) -> Self {
        let apis: Vec<ApiMetrics> = APIS.iter().map(|row| ApiMetrics::new(format!("{:?}", row.key), row)).collect();
        let fetch = APIS.iter().find(|row| format!("{:?}", row.key) == "Fetch");
        let second = |name: &str| fetch.map(|row| ApiMetrics::new(name.to_owned(), row));
        let (fetch_consumer, fetch_follower) = (second("FetchConsumer"), second("FetchFollower"));
        for api in apis.iter().chain(&fetch_consumer).chain(&fetch_follower) {
            if ALWAYS_SHOWN.contains(&api.name.as_str()) {
                api.times(registry);
            }
        }
        let underway = Arc::new(Underway::default());
        let shown = Arc::clone(&underway);
        registry.on_scrape(move |scrape| {
            scrape.set(&table::REQUESTS_IN_WORK, &[], shown.requests.load(Ordering::Relaxed) as f64);
            scrape.set(&table::RESPONSE_QUEUE_SIZE, &[], shown.answers.load(Ordering::Relaxed) as f64);
        });
        Self { registry: Arc::clone(registry), apis, fetch_consumer, fetch_follower, underway }
    }

    /// Follows a request from the moment that it is whole.
    pub fn begin(self: &Arc<Self>, row: &'static ApiRow, version: i16) -> RequestClock {
        let place = APIS.iter().position(|other| std::ptr::eq(other, row)).unwrap_or(usize::MAX);
        self.underway.requests.fetch_add(1, Ordering::Relaxed);
        RequestClock {
            metrics: Arc::clone(self),
            place,
            version,
            since: Instant::now(),
            spans: Spans::default(),
            stage: Stage::Queued,
        }
    }

    /// The handles that a request counts in: its API's, and those of its second name.
    fn each(&self, place: usize, counted_as: Option<CountedAs>) -> impl Iterator<Item = &ApiMetrics> {
        let second = match counted_as {
            Some(CountedAs::FetchConsumer) => self.fetch_consumer.as_ref(),
            Some(CountedAs::FetchFollower) => self.fetch_follower.as_ref(),
            None => None,
        };
        self.apis.get(place).into_iter().chain(second)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Local,
    Remote,
}

/// Times one request up to its outcome. Dropped before that (its connection is gone), it leaves no trace in the times.
pub struct RequestClock {
    metrics: Arc<RequestMetrics>,
    place: usize,
    version: i16,
    since: Instant,
    spans: Spans,
    stage: Stage,
}

impl RequestClock {
    /// The time since the last moment that was marked.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now.duration_since(self.since);
        self.since = now;
        lap
    }

    /// The request's handler is about to run for the first time; later calls change nothing.
    pub fn begun(&mut self) {
        if self.stage == Stage::Queued {
            self.spans.queue = self.lap();
            self.stage = Stage::Local;
        }
    }

    /// The handler's poll has ended; the first one is the local stage.
    pub fn polled(&mut self) {
        if self.stage == Stage::Local {
            self.spans.local = self.lap();
            self.stage = Stage::Remote;
        }
    }

    /// The request has its answer. `None`: nothing will be sent (acks=0, or the connection's end).
    pub fn answered(mut self, answer: Option<(&ErrorTally, Option<CountedAs>)>) -> Option<ReplyClock> {
        self.spans.remote = self.lap();
        let (metrics, spans) = (&self.metrics, self.spans);
        let (errors, counted_as) = answer.map_or((None, None), |(errors, counted_as)| (Some(errors), counted_as));
        let none_told = ErrorTally::default();
        for api in metrics.each(self.place, counted_as) {
            api.count(&metrics.registry, self.version, errors.unwrap_or(&none_told));
            if errors.is_none() {
                api.record(&metrics.registry, &spans);
            }
        }
        errors?;
        metrics.underway.answers.fetch_add(1, Ordering::Relaxed);
        let metrics = Arc::clone(metrics);
        Some(ReplyClock { metrics, place: self.place, counted_as, since: self.since, spans, sending: false })
    }

    /// What the request took so far.
    pub fn elapsed(&self) -> Duration {
        self.spans.total() + self.since.elapsed()
    }
}

impl Drop for RequestClock {
    fn drop(&mut self) {
        self.metrics.underway.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Times an answer on its way out. Dropped before it is sent, it leaves no trace in the times.
pub struct ReplyClock {
    metrics: Arc<RequestMetrics>,
    place: usize,
    counted_as: Option<CountedAs>,
    since: Instant,
    spans: Spans,
    sending: bool,
}

impl ReplyClock {
    /// It is the answer's turn to be written.
    pub fn sending(&mut self, now: Instant) {
        self.spans.response_queue = now.saturating_duration_since(self.since);
        self.since = now;
        self.sending = true;
    }

    /// The answer's last byte is written.
    pub fn sent(mut self, now: Instant) {
        self.spans.response_send = now.saturating_duration_since(self.since);
        for api in self.metrics.each(self.place, self.counted_as) {
            api.record(&self.metrics.registry, &self.spans);
        }
    }
}

impl Drop for ReplyClock {
    fn drop(&mut self) {
        self.metrics.underway.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for ReplyClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyClock").field("spans", &self.spans).field("sending", &self.sending).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::ApiKey;

    fn row(key: ApiKey) -> &'static ApiRow {
        APIS.iter().find(|row| row.key == key).unwrap()
    }

    fn value(page: &str, series: &str) -> Option<f64> {
        page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    const COUNT: &str = "kafka_network_requestmetrics_totaltimems_count";

    #[test]
    fn a_fetch_counts_twice_and_is_timed_once_its_last_byte_has_left() {
        let registry = Registry::new();
        let metrics = Arc::new(RequestMetrics::new(&registry));
        let mut clock = metrics.begin(row(ApiKey::Fetch), 12);
        assert_eq!(value(&registry.render(), "ottla_requests_in_work "), Some(1.0));
        clock.begun();
        clock.polled();
        let errors: ErrorTally = [0, 0, 3].into_iter().collect();
        let mut reply = clock.answered(Some((&errors, Some(CountedAs::FetchConsumer)))).unwrap();
        let page = registry.render();
        assert_eq!(value(&page, "ottla_requests_in_work "), Some(0.0));
        assert_eq!(value(&page, "kafka_network_requestchannel_responsequeuesize "), Some(1.0));
        assert_eq!(value(&page, &format!("{COUNT}{{request=\"Fetch\"}}")), Some(0.0), "it has not left");
        let now = Instant::now();
        reply.sending(now);
        reply.sent(now + Duration::from_millis(40));
        let page = registry.render();
        assert_eq!(value(&page, "kafka_network_requestchannel_responsequeuesize "), Some(0.0));
        for request in ["Fetch", "FetchConsumer"] {
            let name = "kafka_network_requestmetrics_requestspersec";
            assert_eq!(value(&page, &format!("{name}{{request=\"{request}\",version=\"12\"}}")), Some(1.0));
            let name = "kafka_network_requestmetrics_errors_total";
            let told = |error| value(&page, &format!("{name}{{request=\"{request}\",error=\"{error}\"}}"));
            assert_eq!((told("NONE"), told("UNKNOWN_TOPIC_OR_PARTITION")), (Some(2.0), Some(1.0)));
            assert_eq!(value(&page, &format!("{COUNT}{{request=\"{request}\"}}")), Some(1.0));
            let sum = format!("kafka_network_requestmetrics_responsesendtimems_sum{{request=\"{request}\"}}");
            assert_eq!(value(&page, &sum), Some(40.0));
        }
        assert_eq!(value(&page, &format!("{COUNT}{{request=\"FetchFollower\"}}")), Some(0.0), "shown from the start");
    }

    #[test]
    fn what_is_not_answered_leaves_nothing_behind() {
        let registry = Registry::new();
        let metrics = Arc::new(RequestMetrics::new(&registry));
        drop(metrics.begin(row(ApiKey::JoinGroup), 5));
        assert!(metrics.begin(row(ApiKey::Produce), 9).answered(None).is_none());
        drop(metrics.begin(row(ApiKey::Metadata), 9).answered(Some((&ErrorTally::default(), None))));
        let page = registry.render();
        assert_eq!(value(&page, "ottla_requests_in_work "), Some(0.0));
        assert_eq!(value(&page, "kafka_network_requestchannel_responsequeuesize "), Some(0.0));
        assert_eq!(
            value(&page, &format!("{COUNT}{{request=\"Produce\"}}")),
            Some(1.0),
            "acks=0 is timed up to its outcome"
        );
        assert!(!page.contains("JoinGroup"), "{page}");
        assert_eq!(
            value(&page, &format!("{COUNT}{{request=\"Metadata\"}}")),
            None,
            "its connection ended before it was sent"
        );
    }
}

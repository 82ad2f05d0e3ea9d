//! `kafka-consumer-perf-test`: reads so many records as fast as it can, and says how fast that was.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::connect::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG};
use super::console_consumer::{key_values, pattern};
use super::console_producer::now_ms;
use super::interrupt::Interrupt;
use super::options::{Grammar, Kind, Opt, Parsed};
use super::producer_perf::fixed;
use super::times::format_local;
use super::{Fault, Terminal, Tool};
use crate::client::ClientProperties;
use crate::client::consumer::{Chunk, Consumer, Partition, Polled, Position, Subscription};

const TOPIC: Opt = Opt::value("topic", "topic", Kind::Text, "The topic to read.");
const INCLUDE: Opt =
    Opt::value("include", "Java regex (String)", Kind::Text, "Read all topics whose whole name matches this.");
const GROUP: Opt = Opt::value("group", "gid", Kind::Text, "The group to read in; without it, one of its own.");
const FETCH_SIZE: Opt = Opt::value(
    "fetch-size",
    "size",
    Kind::Integer,
    "Bytes of one partition in one fetch, at most (max.partition.fetch.bytes).",
)
.preset("1048576");
const COMMAND_PROPERTY: Opt = Opt::value(
    "command-property",
    "prop1=val1",
    Kind::Text,
    "A consumer property, key=value; stronger than those of --command-config.",
);
const FROM_LATEST: Opt = Opt::flag(
    "from-latest",
    "Begin with the next record that comes where the group has no offset yet, rather than with the oldest.",
);
const SOCKET_BUFFER: Opt = Opt::value(
    "socket-buffer-size",
    "size",
    Kind::Integer,
    "Taken and ignored: the system chooses well (receive.buffer.bytes).",
)
.preset("2097152");
const CONSUMER_CONFIG: Opt =
    Opt::value("consumer.config", "config file", Kind::File, "(DEPRECATED) The same as --command-config.");
const PRINT_METRICS: Opt = Opt::flag("print-metrics", "Print what the consumer counted, at the end.");
const DETAILED: Opt = Opt::flag("show-detailed-stats", "Say how it goes at every --reporting-interval.");
const TIMEOUT: Opt =
    Opt::optional("timeout", "milliseconds", Kind::Long, "How long to wait for the next record, at most.")
        .preset("10000");
const MESSAGES: Opt = Opt::value("messages", "count", Kind::Long, "(DEPRECATED) The same as --num-records.");
const NUM_RECORDS: Opt = Opt::value("num-records", "count", Kind::Long, "REQUIRED: how many records to read.");
const INTERVAL: Opt =
    Opt::value("reporting-interval", "interval_ms", Kind::Long, "How often to say how it goes, in milliseconds.")
        .preset("5000");
const DATE_FORMAT: Opt = Opt::value(
    "date-format",
    "date format",
    Kind::Text,
    "How times are shown: a pattern of java.text.SimpleDateFormat.",
)
.preset("yyyy-MM-dd HH:mm:ss:SSS");
const HIDE_HEADER: Opt = Opt::flag("hide-header", "Leave the header out.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-consumer-perf-test",
    about: "This tool is used to verify the consumer performance.",
    grammar: Grammar::Jopt(&[
        BOOTSTRAP_SERVER,
        TOPIC,
        INCLUDE,
        GROUP,
        FETCH_SIZE,
        COMMAND_PROPERTY,
        FROM_LATEST,
        SOCKET_BUFFER,
        CONSUMER_CONFIG,
        COMMAND_CONFIG,
        PRINT_METRICS,
        DETAILED,
        TIMEOUT,
        MESSAGES,
        NUM_RECORDS,
        INTERVAL,
        DATE_FORMAT,
        HIDE_HEADER,
    ]),
    run,
};

fn number(parsed: &Parsed, option: Opt) -> Result<Option<i64>, Fault> {
    parsed.number(option).map_err(|fault| Fault::usage(fault.message("")))
}

struct Asked {
    records: u64,
    timeout: Duration,
    date_format: String,
    detailed: bool,
}

fn asked(parsed: &Parsed, terminal: &mut Terminal) -> Result<Asked, Fault> {
    parsed.check_required(&[BOOTSTRAP_SERVER])?;
    parsed.check_one_of(&[TOPIC, INCLUDE])?;
    parsed.check_one_of(&[MESSAGES, NUM_RECORDS])?;
    parsed.check_invalid(CONSUMER_CONFIG, &[COMMAND_CONFIG])?;
    let mut count = NUM_RECORDS;
    if parsed.has(MESSAGES) {
        terminal.line("Warning: --messages is deprecated. Use --num-records instead.");
        count = MESSAGES;
    }
    if parsed.has(CONSUMER_CONFIG) {
        terminal.line("Warning: --consumer.config is deprecated. Use --command-config instead.");
    }
    let timeout_ms = number(parsed, TIMEOUT)?.unwrap_or(10_000);
    let date_format = parsed.value(DATE_FORMAT)?.unwrap_or_default().to_owned();
    format_local(&date_format, 0).map_err(Fault::thrown)?;
    Ok(Asked {
        records: number(parsed, count)?.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
        timeout: Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)),
        date_format,
        detailed: parsed.has(DETAILED),
    })
}

/// Kafka's tool looks at it when the header is out.
fn interval_ms(parsed: &Parsed) -> Result<i64, Fault> {
    let text = parsed.value(INTERVAL)?.unwrap_or("5000");
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::thrown(format!("Cannot parse argument '{text}' of option reporting-interval")));
    }
    match parsed.number::<i64>(INTERVAL)?.unwrap_or(5000) {
        interval_ms if interval_ms > 0 => Ok(interval_ms),
        _ => Err(Fault::thrown("Reporting interval must be greater than 0.")),
    }
}

fn properties(parsed: &Parsed) -> Result<ClientProperties, Fault> {
    let file = if parsed.has(CONSUMER_CONFIG) { CONSUMER_CONFIG } else { COMMAND_CONFIG };
    let mut properties = connect::properties(parsed, file)?;
    for (key, value) in key_values(&parsed.all(COMMAND_PROPERTY)) {
        properties.set(&key, value);
    }
    properties.set("bootstrap.servers", parsed.value(BOOTSTRAP_SERVER)?.unwrap_or_default());
    let own = format!("perf-consumer-{}", uuid::Uuid::new_v4().as_u128() % 100_000);
    properties.set("group.id", parsed.value(GROUP)?.unwrap_or(&own));
    properties.set("max.partition.fetch.bytes", parsed.value(FETCH_SIZE)?.unwrap_or_default());
    properties.set("auto.offset.reset", if parsed.has(FROM_LATEST) { "latest" } else { "earliest" });
    properties.set("check.crcs", "false");
    properties.set_default("client.id", "perf-consumer-client");
    Ok(properties)
}

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let asked = asked(parsed, terminal)?;
    let properties = properties(parsed)?;
    let subscription = match parsed.value(TOPIC)? {
        Some(topic) => Subscription::Topics(vec![topic.to_owned()]),
        None => Subscription::Pattern(pattern(parsed.value(INCLUDE)?.unwrap_or_default())?),
    };
    if !parsed.has(HIDE_HEADER) {
        let first = if asked.detailed { "time, threadId" } else { "start.time, end.time" };
        terminal.line(format_args!(
            "{first}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
        ));
    }
    terminal.flush();
    let interval_ms = interval_ms(parsed)?;
    let start_ms = now_ms();
    let consumer = Consumer::start(&properties, subscription, Some(connect::notice()))?;
    let waker = consumer.waker();
    let interrupt = Interrupt::listen(move || waker.wake())?;
    let mut reading = Reading::new(&asked, interval_ms, start_ms);
    let outcome = reading.run(&consumer, &interrupt, terminal);
    let end_ms = now_ms();
    if outcome.is_ok() && !asked.detailed {
        terminal.line(reading.summary(start_ms, end_ms));
    }
    if parsed.has(PRINT_METRICS) && outcome.is_ok() {
        let client_id = properties.get("client.id").unwrap_or_default();
        let name = format!("consumer-fetch-manager-metrics:records-consumed-total:{{client-id={client_id}}}");
        let width = name.len();
        terminal.line(format_args!("\n{:<width$}   Value", "Metric Name"));
        terminal.line(format_args!("{name} : {}", fixed(reading.total.records as f64, 3)));
    }
    terminal.flush();
    consumer.close();
    outcome?;
    Ok(interrupt.code().unwrap_or(0))
}

#[derive(Clone, Copy, Default)]
struct Amount {
    records: u64,
    bytes: u64,
}

impl Amount {
    fn megabytes(self) -> f64 {
        self.bytes as f64 / (1024.0 * 1024.0)
    }

    fn since(self, earlier: Self) -> Self {
        Self { records: self.records - earlier.records, bytes: self.bytes - earlier.bytes }
    }
}

struct Reading<'a> {
    asked: &'a Asked,
    interval_ms: i64,
    total: Amount,
    reported: Amount,
    reported_ms: i64,
    assigned: BTreeSet<Partition>,
    join_begun_ms: i64,
    join_ms: i64,
    join_ms_in_round: i64,
}

impl<'a> Reading<'a> {
    fn new(asked: &'a Asked, interval_ms: i64, now_ms: i64) -> Self {
        let (total, reported) = (Amount::default(), Amount::default());
        Self {
            asked,
            interval_ms,
            total,
            reported,
            reported_ms: now_ms,
            assigned: BTreeSet::new(),
            join_begun_ms: now_ms,
            join_ms: 0,
            join_ms_in_round: 0,
        }
    }

    fn run(&mut self, consumer: &Consumer, interrupt: &Interrupt, terminal: &mut Terminal) -> Result<(), Fault> {
        let mut read_at = Instant::now();
        while self.total.records < self.asked.records && read_at.elapsed() <= self.asked.timeout && !interrupt.is_set()
        {
            let polled = consumer.poll(Duration::from_millis(100)).map_err(|error| Fault::thrown(error.to_string()))?;
            match polled {
                Some(Polled::Records(chunk)) => {
                    read_at = Instant::now();
                    let position = self.count(&chunk)?;
                    consumer.consumed(&chunk.topic, chunk.partition, position);
                    self.report(terminal)?;
                }
                Some(Polled::Assigned(partitions)) => {
                    if self.assigned.is_empty() {
                        let elapsed = now_ms() - self.join_begun_ms;
                        self.join_ms += elapsed;
                        self.join_ms_in_round += elapsed;
                    }
                    self.assigned.extend(partitions);
                }
                Some(Polled::Revoked(partitions)) => {
                    self.assigned.retain(|partition| !partitions.contains(partition));
                    if self.assigned.is_empty() {
                        self.join_begun_ms = now_ms();
                    }
                }
                Some(Polled::Woken) | None => {}
            }
        }
        if self.total.records < self.asked.records {
            terminal.line(format_args!(
                "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the --timeout option to increase the timeout.",
                self.asked.timeout.as_millis()
            ));
        }
        Ok(())
    }

    fn count(&mut self, chunk: &Chunk) -> Result<Position, Fault> {
        let mut total = self.total;
        let most = self.asked.records;
        let walked = chunk.walk(|_, record| {
            total.records += 1;
            total.bytes += (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64;
            if total.records >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let (progress, _) = walked.map_err(|error| {
            Fault::thrown(format!("a batch of {}-{} is broken: {error}", chunk.topic, chunk.partition))
        })?;
        self.total = total;
        Ok(Position { offset: progress.next_offset, leader_epoch: progress.leader_epoch })
    }

    fn report(&mut self, terminal: &mut Terminal) -> Result<(), Fault> {
        let now = now_ms();
        let elapsed_ms = now - self.reported_ms;
        if elapsed_ms < self.interval_ms {
            return Ok(());
        }
        if self.asked.detailed {
            let recent = self.total.since(self.reported);
            let fetch_ms = elapsed_ms - self.join_ms_in_round;
            let per_second = |value: f64, ms: i64| if ms <= 0 { 0.0 } else { 1000.0 * value / ms as f64 };
            terminal.line(format_args!(
                "{}, 0, {}, {}, {}, {}, {}, {fetch_ms}, {}, {}",
                format_local(&self.asked.date_format, now).map_err(Fault::thrown)?,
                fixed(self.total.megabytes(), 4),
                fixed(per_second(recent.megabytes(), elapsed_ms), 4),
                self.total.records,
                fixed(per_second(recent.records as f64, elapsed_ms), 4),
                self.join_ms_in_round,
                fixed(per_second(recent.megabytes(), fetch_ms), 4),
                fixed(per_second(recent.records as f64, fetch_ms), 4),
            ));
            terminal.flush();
        }
        self.join_ms_in_round = 0;
        self.reported_ms = now;
        self.reported = self.total;
        Ok(())
    }

    fn summary(&self, start_ms: i64, end_ms: i64) -> String {
        let elapsed_s = (end_ms - start_ms) as f64 / 1000.0;
        let fetch_ms = (end_ms - start_ms) - self.join_ms;
        let fetch_s = fetch_ms as f64 / 1000.0;
        let time = |ms| format_local(&self.asked.date_format, ms).unwrap_or_default();
        format!(
            "{}, {}, {}, {}, {}, {}, {}, {fetch_ms}, {}, {}",
            time(start_ms),
            time(end_ms),
            fixed(self.total.megabytes(), 4),
            fixed(self.total.megabytes() / elapsed_s, 4),
            self.total.records,
            fixed(self.total.records as f64 / elapsed_s, 4),
            self.join_ms,
            fixed(self.total.megabytes() / fetch_s, 4),
            fixed(self.total.records as f64 / fetch_s, 4),
        )
    }
}

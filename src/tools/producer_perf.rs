//! `kafka-producer-perf-test`: sends records as fast as it can, or at a given rate, and says how fast that was and how long answers took.

use parking_lot::Mutex;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::connect;
use super::console_producer::now_ms;
use super::interrupt::Interrupt;
use super::options::{Exclusive, Grammar, Kind, Opt, Parsed};
use super::throttle::Throttle;
use super::{Fault, Terminal, Tool, help};
use crate::client::ClientProperties;
use crate::client::producer::{NewRecord, OnDone, Producer};

const BOOTSTRAP: Opt = Opt::value(
    "bootstrap-server",
    "BOOTSTRAP-SERVER",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas; stronger than bootstrap.servers in properties.",
);
const TOPIC: Opt = Opt::value("topic", "TOPIC", Kind::Text, "Produce records to this topic.").required();
const NUM_RECORDS: Opt =
    Opt::value("num-records", "NUM-RECORDS", Kind::Long, "Number of records to produce.").required();
const RECORD_SIZE: Opt = Opt::value(
    "record-size",
    "RECORD-SIZE",
    Kind::Integer,
    "Bytes of each record's value. One of --record-size, --payload-file and --payload-monotonic is needed.",
);
const PAYLOAD_FILE: Opt = Opt::value(
    "payload-file",
    "PAYLOAD-FILE",
    Kind::File,
    "A text file in UTF-8 whose pieces are sent, chosen at random.",
);
const PAYLOAD_MONOTONIC: Opt = Opt::flag("payload-monotonic", "Send increasing numbers.");
const PAYLOAD_DELIMITER: Opt = Opt::value(
    "payload-delimiter",
    "PAYLOAD-DELIMITER",
    Kind::Text,
    "What stands between the pieces of --payload-file; \\n is a line's end.",
)
.preset("\\n");
const THROUGHPUT: Opt = Opt::value(
    "throughput",
    "THROUGHPUT",
    Kind::Decimal,
    "About this many records a second; -1: as many as there can be.",
)
.required();
const PRODUCER_PROPS: Opt =
    Opt::many("producer-props", "PROP-NAME=PROP-VALUE", Kind::Text, "(DEPRECATED) The same as --command-property.");
const COMMAND_PROPERTY: Opt = Opt::many(
    "command-property",
    "PROP-NAME=PROP-VALUE",
    Kind::Text,
    "Producer properties, as in: --command-property linger.ms=10 batch.size=32768. Stronger than those of --command-config.",
);
const PRODUCER_CONFIG: Opt =
    Opt::value("producer.config", "CONFIG-FILE", Kind::File, "(DEPRECATED) The same as --command-config.");
const COMMAND_CONFIG: Opt =
    Opt::value("command-config", "CONFIG-FILE", Kind::File, "A properties file for the producer.");
const PRINT_METRICS: Opt = Opt::flag("print-metrics", "Print what the producer counted, at the end.");
const TRANSACTIONAL_ID: Opt =
    Opt::value("transactional-id", "TRANSACTIONAL-ID", Kind::Text, "Send in transactions of this id. Not there yet.");
const TRANSACTION_DURATION: Opt = Opt::value(
    "transaction-duration-ms",
    "TRANSACTION-DURATION",
    Kind::Long,
    "How long each transaction may last. Not there yet.",
);
const WARMUP: Opt = Opt::value(
    "warmup-records",
    "WARMUP-RECORDS",
    Kind::Long,
    "So many records come first and are left out of a second summary, that of the steady state.",
)
.preset("0");
const INTERVAL: Opt =
    Opt::value("reporting-interval", "INTERVAL-MS", Kind::Long, "How often to say how it goes, in milliseconds.")
        .preset("5000");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-producer-perf-test",
    about: "This tool is used to verify the producer performance.",
    grammar: Grammar::Argparse {
        options: &[
            BOOTSTRAP,
            TOPIC,
            NUM_RECORDS,
            PAYLOAD_DELIMITER,
            THROUGHPUT,
            PRODUCER_PROPS,
            COMMAND_PROPERTY,
            PRODUCER_CONFIG,
            COMMAND_CONFIG,
            PRINT_METRICS,
            TRANSACTIONAL_ID,
            TRANSACTION_DURATION,
            WARMUP,
            INTERVAL,
        ],
        exclusive: &[Exclusive { required: true, options: &[RECORD_SIZE, PAYLOAD_FILE, PAYLOAD_MONOTONIC] }],
        commands: &[],
    },
    run,
};

fn wrong(message: &str) -> Fault {
    Fault::Argparse { usage: help::usage(&TOOL, None), prog: help::prog(&TOOL, None), message: message.to_owned() }
}

/// Counts of records that have arrived.
struct Stats {
    begun_ms: i64,
    sampling: u64,
    latencies_ms: Vec<i32>,
    interval_ms: i64,
    iteration: u64,
    total: Window,
    window: Window,
    window_begun_ms: i64,
    is_steady: bool,
    is_silent: bool,
}

#[derive(Clone, Copy, Default)]
struct Window {
    count: u64,
    bytes: u64,
    latency_ms: u64,
    max_latency_ms: i32,
}

impl Window {
    fn add(&mut self, latency_ms: i32, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        self.latency_ms += u64::try_from(latency_ms).unwrap_or(0);
        self.max_latency_ms = self.max_latency_ms.max(latency_ms);
    }

    /// Records and megabytes a second.
    fn rates(&self, elapsed_ms: i64) -> (f64, f64) {
        let per_second = 1000.0 / elapsed_ms as f64;
        (self.count as f64 * per_second, self.bytes as f64 * per_second / (1024.0 * 1024.0))
    }

    fn average_ms(&self) -> f64 {
        self.latency_ms as f64 / self.count as f64
    }
}

/// As many latencies are kept, at most: every n-th of more.
const MAX_SAMPLES: u64 = 500_000;

impl Stats {
    fn new(records: u64, interval_ms: i64, is_steady: bool, now_ms: i64) -> Self {
        Self {
            begun_ms: now_ms,
            sampling: (records / records.clamp(1, MAX_SAMPLES)).max(1),
            latencies_ms: Vec::new(),
            interval_ms,
            iteration: 0,
            total: Window::default(),
            window: Window::default(),
            window_begun_ms: now_ms,
            is_steady,
            is_silent: false,
        }
    }

    /// Takes one in. Gives what is to be said now, if anything.
    fn record(&mut self, latency_ms: i32, bytes: u64, now_ms: i64) -> Option<String> {
        self.total.add(latency_ms, bytes);
        self.window.add(latency_ms, bytes);
        if self.iteration.is_multiple_of(self.sampling) {
            self.latencies_ms.push(latency_ms);
        }
        self.iteration += 1;
        let elapsed_ms = now_ms - self.window_begun_ms;
        if elapsed_ms < self.interval_ms {
            return None;
        }
        let mut said = String::new();
        if self.is_steady && self.total.count == self.window.count {
            said.push_str("In steady state.\n");
        }
        if !self.is_silent {
            let (records, megabytes) = self.window.rates(elapsed_ms);
            said.push_str(&format!(
                "{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {} ms max latency.\n",
                self.window.count,
                fixed(records, 1),
                fixed(megabytes, 2),
                fixed(self.window.average_ms(), 1),
                fixed(f64::from(self.window.max_latency_ms), 1),
            ));
        }
        self.window = Window::default();
        self.window_begun_ms = now_ms;
        (!said.is_empty()).then_some(said)
    }

    fn summary(&mut self, now_ms: i64) -> String {
        let (records, megabytes) = self.total.rates(now_ms - self.begun_ms);
        self.latencies_ms.sort_unstable();
        let count = self.latencies_ms.len();
        let at = |share: f64| self.latencies_ms.get((share * count as f64) as usize).copied().unwrap_or(0);
        format!(
            "{}{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {} ms max latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.",
            self.total.count,
            if self.is_steady { " steady state" } else { "" },
            fixed(records, 6),
            fixed(megabytes, 2),
            fixed(self.total.average_ms(), 2),
            fixed(f64::from(self.total.max_latency_ms), 2),
            at(0.5),
            at(0.95),
            at(0.99),
            at(0.999),
        )
    }
}

/// As Java's `%.Nf`, also for what is no number.
pub(super) fn fixed(value: f64, digits: usize) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        format!("{value:.digits$}")
    }
}

/// What records hold.
enum Payload {
    Random { bytes: Vec<u8> },
    OneOf(Vec<Vec<u8>>),
    Number { text: Vec<u8> },
}

/// xorshift64*, seeded alike each time: two runs send the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

impl Payload {
    fn next(&mut self, random: &mut Random, number: u64) -> &[u8] {
        match self {
            Self::Random { bytes } => {
                for eight in bytes.chunks_mut(8) {
                    let drawn = random.next().to_le_bytes();
                    for (byte, drawn) in eight.iter_mut().zip(drawn) {
                        // A letter from A to Z.
                        *byte = b'A' + ((u16::from(drawn) * 26) >> 8) as u8;
                    }
                }
                bytes
            }
            Self::OneOf(all) => {
                let index = (random.next() >> 16) as usize % all.len().max(1);
                all.get(index).map_or(&[], Vec::as_slice)
            }
            Self::Number { text } => {
                *text = number.to_string().into_bytes();
                text
            }
        }
    }
}

struct Asked {
    topic: String,
    records: u64,
    warmup: u64,
    throughput: f64,
    interval_ms: i64,
    payload: Payload,
    properties: ClientProperties,
}

fn asked(parsed: &Parsed, terminal: &mut Terminal) -> Result<Asked, Fault> {
    let records: i64 = parsed.number(NUM_RECORDS)?.unwrap_or(0);
    let warmup = parsed.number::<i64>(WARMUP)?.unwrap_or(0).max(0);
    let record_size: Option<i32> = parsed.number(RECORD_SIZE)?;
    let interval_ms: i64 = parsed.number(INTERVAL)?.unwrap_or(5000);
    if records <= 0 {
        return Err(wrong("--num-records should be greater than zero."));
    }
    if warmup >= records {
        return Err(wrong(
            "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
        ));
    }
    if record_size.is_some_and(|size| size <= 0) {
        return Err(wrong("--record-size should be greater than zero."));
    }
    if ![BOOTSTRAP, COMMAND_PROPERTY, PRODUCER_PROPS, PRODUCER_CONFIG, COMMAND_CONFIG]
        .iter()
        .any(|option| parsed.has(*option))
    {
        return Err(wrong(
            "At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must be specified.",
        ));
    }
    for (one, other) in [(COMMAND_PROPERTY, PRODUCER_PROPS), (COMMAND_CONFIG, PRODUCER_CONFIG)] {
        if parsed.has(one) && parsed.has(other) {
            return Err(wrong(&format!("--{} and --{} cannot be specified together.", one.name, other.name)));
        }
    }
    if parsed.number::<i64>(TRANSACTION_DURATION)?.is_some_and(|ms| ms <= 0) {
        return Err(wrong("--transaction-duration-ms should be greater than zero."));
    }
    if interval_ms <= 0 {
        return Err(wrong("--reporting-interval should be greater than zero."));
    }
    if parsed.has(TRANSACTIONAL_ID) || parsed.has(TRANSACTION_DURATION) {
        return Err(wrong(
            "transactions are not there yet: leave --transactional-id and --transaction-duration-ms out",
        ));
    }
    let payload = payload(parsed, record_size, terminal)?;
    let properties = properties(parsed, terminal)?;
    Ok(Asked {
        topic: parsed.value(TOPIC)?.unwrap_or_default().to_owned(),
        records: records.unsigned_abs(),
        warmup: warmup.unsigned_abs(),
        throughput: parsed.number(THROUGHPUT)?.unwrap_or(-1.0),
        interval_ms,
        payload,
        properties,
    })
}

fn payload(parsed: &Parsed, record_size: Option<i32>, terminal: &mut Terminal) -> Result<Payload, Fault> {
    if let Some(path) = parsed.value(PAYLOAD_FILE)? {
        let shown = std::path::absolute(path).unwrap_or_else(|_| Path::new(path).to_owned());
        terminal.line(format_args!("Reading payloads from: {}", shown.display()));
        let text = std::fs::read(Path::new(path)).map_err(|error| Fault::thrown(format!("{path}: {error}")))?;
        let text = String::from_utf8_lossy(&text);
        let delimiter = match parsed.value(PAYLOAD_DELIMITER)?.unwrap_or("\\n") {
            "\\n" => "\n",
            other => other,
        };
        let pieces = text.strip_suffix(delimiter).unwrap_or(&text);
        let all: Vec<Vec<u8>> = pieces.split(delimiter).map(|piece| piece.as_bytes().to_vec()).collect();
        if text.is_empty() {
            return Err(Fault::thrown(format!("File does not exist or empty file provided: {path}")));
        }
        terminal.line(format_args!("Number of records read: {}", all.len()));
        return Ok(Payload::OneOf(all));
    }
    match record_size.and_then(|size| usize::try_from(size).ok()) {
        Some(size) => Ok(Payload::Random { bytes: vec![0; size] }),
        None => Ok(Payload::Number { text: Vec::new() }),
    }
}

fn properties(parsed: &Parsed, terminal: &mut Terminal) -> Result<ClientProperties, Fault> {
    let mut chosen = |old: Opt, new: Opt| match parsed.has(old) {
        true => {
            terminal.line(format_args!(
                "Option --{} has been deprecated and will be removed in a future version. Use --{} instead.",
                old.name, new.name
            ));
            old
        }
        false => new,
    };
    let given = chosen(PRODUCER_PROPS, COMMAND_PROPERTY);
    let file = chosen(PRODUCER_CONFIG, COMMAND_CONFIG);
    let mut properties = super::connect::properties(parsed, file)?;
    for text in parsed.all(given) {
        match text.split('=').collect::<Vec<_>>().as_slice() {
            [key, value] => properties.set(key, *value),
            _ => return Err(Fault::thrown(format!("Invalid property: {text}"))),
        }
    }
    properties.set_default("client.id", "perf-producer-client");
    if let Some(servers) = parsed.value(BOOTSTRAP)? {
        properties.set("bootstrap.servers", servers);
    }
    Ok(properties)
}

/// When a record was sent, its value's bytes, and whether it came after the warm-up.
type Tag = (i64, u64, bool);

#[derive(Default)]
struct Both {
    all: Option<Stats>,
    steady: Option<Stats>,
    failed: u64,
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let mut asked = asked(parsed, terminal)?;
    if asked.warmup > 0 {
        terminal.line(format_args!(
            "Warmup first {} records. Steady state results will print after the complete test summary.",
            asked.warmup
        ));
    }
    terminal.flush();
    let stats = Arc::new(Mutex::new(Both::default()));
    let of_producer = stats.clone();
    let on_done: OnDone<Tag> = Box::new(move |(sent_ms, bytes, is_steady), outcome| {
        let mut both = of_producer.lock();
        if let Err(error) = outcome {
            both.failed += 1;
            eprintln!("{}: {error}", error.class());
            return;
        }
        let now = now_ms();
        let latency_ms = i32::try_from(now - sent_ms).unwrap_or(i32::MAX);
        let both = &mut *both;
        let steady = both.steady.as_mut().filter(|_| is_steady);
        for stats in [both.all.as_mut(), steady].into_iter().flatten() {
            if let Some(said) = stats.record(latency_ms, bytes, now) {
                say(&said);
            }
        }
    });
    let producer = Producer::start(&asked.properties, on_done, Some(connect::notice()))?;
    let interrupt = Interrupt::listen(|| {})?;
    let mut throttle = Throttle::new(asked.throughput);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    stats.lock().all = Some(Stats::new(asked.records, asked.interval_ms, false, now_ms()));
    for number in 0..asked.records {
        if interrupt.is_set() {
            break;
        }
        let value = asked.payload.next(&mut random, number);
        let sent_ms = now_ms();
        if asked.warmup > 0 && number == asked.warmup {
            let mut both = stats.lock();
            both.steady = Some(Stats::new(asked.records - asked.warmup, asked.interval_ms, true, sent_ms));
            both.all.iter_mut().for_each(|all| all.is_silent = true);
        }
        let record = NewRecord { timestamp_ms: sent_ms, key: None, value: Some(value), headers: &[] };
        let bytes = value.len() as u64;
        if let Err(error) =
            producer.send(&asked.topic, None, &record, (sent_ms, bytes, asked.warmup > 0 && number >= asked.warmup))
        {
            stats.lock().failed += 1;
            terminal.error(format_args!("{}: {error}", error.class()));
        }
        throttle.hold(number, || interrupt.is_set());
    }
    producer.close();
    let mut both = stats.lock();
    let both = &mut *both;
    for stats in [&mut both.all, &mut both.steady].into_iter().flatten() {
        terminal.line(stats.summary(now_ms()));
    }
    if parsed.has(PRINT_METRICS) {
        let sent = both.all.as_ref().map_or(0, |all| all.total.count);
        metrics(&asked.properties, &[("record-error-total", both.failed), ("record-send-total", sent)], terminal);
    }
    Ok(interrupt.code().unwrap_or(0))
}

/// As `ToolsUtils.printMetrics`, of what this producer counts.
fn metrics(properties: &ClientProperties, counts: &[(&str, u64)], terminal: &mut Terminal) {
    let client_id = properties.get("client.id").unwrap_or_default();
    let rows: Vec<(String, u64)> = counts
        .iter()
        .map(|(name, count)| (format!("producer-metrics:{name}:{{client-id={client_id}}}"), *count))
        .collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    terminal.line(format_args!("\n{:<width$}   Value", "Metric Name"));
    for (name, count) in rows {
        terminal.line(format_args!("{name:<width$} : {}", fixed(count as f64, 3)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_read_as_kafkas() {
        let mut stats = Stats::new(4, 1000, false, 0);
        for (latency, now) in [(1, 100), (2, 200), (3, 300)] {
            assert_eq!(stats.record(latency, 1024 * 1024, now), None);
        }
        assert_eq!(
            stats.record(10, 1024 * 1024, 2000).unwrap(),
            "4 records sent, 2.0 records/sec (2.00 MB/sec), 4.0 ms avg latency, 10.0 ms max latency.\n"
        );
        assert_eq!(
            stats.summary(4000),
            "4 records sent, 1.000000 records/sec (1.00 MB/sec), 4.00 ms avg latency, 10.00 ms max latency, 3 ms 50th, 10 ms 95th, 10 ms 99th, 10 ms 99.9th."
        );
        assert!(Stats::new(4, 1000, true, 0).summary(0).starts_with("0 steady state records sent, NaN records/sec"));
    }

    #[test]
    fn payloads_are_letters_pieces_or_numbers() {
        let mut random = Random(1);
        let mut letters = Payload::Random { bytes: vec![0; 100] };
        assert!(letters.next(&mut random, 0).iter().all(u8::is_ascii_uppercase));
        let mut pieces = Payload::OneOf(vec![b"a".to_vec(), b"b".to_vec()]);
        assert!([b"a", b"b"].contains(&&[pieces.next(&mut random, 0)[0]]));
        assert_eq!(Payload::Number { text: Vec::new() }.next(&mut random, 12), b"12");
    }
}

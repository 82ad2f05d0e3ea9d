//! `kafka-e2e-latency`: sends one record at a time, reads it, and says how long that took.

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connect::{self, COMMAND_CONFIG};
use super::console_producer::now_ms;
use super::message_formatter::java_double;
use super::options::{Grammar, Kind, Opt, Parsed};
use super::producer_perf::fixed;
use super::{Fault, Terminal, Tool, block_on};
use crate::client::consumer::{Consumer, Polled, StartAt, Subscription};
use crate::client::producer::{NewRecord, OnDone, Producer};
use crate::client::{ClientProperties, ServerError, To};

const BOOTSTRAP: Opt = Opt::value(
    "bootstrap-server",
    "bootstrap-server",
    Kind::Text,
    "REQUIRED: where to find the cluster: HOST:PORT of one broker or more, with commas.",
);
const TOPIC: Opt =
    Opt::value("topic", "topic-name", Kind::Text, "REQUIRED: the topic to use; it is created where there is none.");
const NUM_RECORDS: Opt = Opt::value("num-records", "count", Kind::Integer, "REQUIRED: how many records to send.");
const ACKS: Opt = Opt::value(
    "producer-acks",
    "producer-acks",
    Kind::Choice(&["1", "all"]),
    "REQUIRED: whose answer counts: 1 or all.",
);
const RECORD_SIZE: Opt = Opt::value("record-size", "bytes", Kind::Integer, "REQUIRED: bytes of each record's value.");
const KEY_SIZE: Opt =
    Opt::optional("record-key-size", "bytes", Kind::Integer, "Bytes of each record's key.").preset("0");
const HEADER_KEY_SIZE: Opt =
    Opt::optional("record-header-key-size", "bytes", Kind::Integer, "Bytes of each header's key.").preset("0");
const HEADER_SIZE: Opt =
    Opt::optional("record-header-size", "bytes", Kind::Integer, "Bytes of each header's value; -1: null.").preset("0");
const NUM_HEADERS: Opt =
    Opt::optional("num-headers", "count", Kind::Integer, "How many headers each record has.").preset("0");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-e2e-latency",
    about: "This tool measures end-to-end latency in Kafka by sending messages and timing their reception.",
    grammar: Grammar::Jopt(&[
        BOOTSTRAP,
        TOPIC,
        NUM_RECORDS,
        ACKS,
        RECORD_SIZE,
        KEY_SIZE,
        HEADER_KEY_SIZE,
        HEADER_SIZE,
        NUM_HEADERS,
        COMMAND_CONFIG,
    ]),
    run,
};

/// How long one record may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Asked {
    topic: String,
    records: usize,
    acks: String,
    value_bytes: usize,
    key_bytes: usize,
    headers: usize,
    header_key_bytes: usize,
    /// `None`: null.
    header_bytes: Option<usize>,
    properties: ClientProperties,
}

/// Positional arguments, as they were before Kafka 4.2.
const LEGACY: [Opt; 6] = [BOOTSTRAP, TOPIC, NUM_RECORDS, ACKS, RECORD_SIZE, COMMAND_CONFIG];

fn asked(parsed: &Parsed, terminal: &mut Terminal) -> Result<Asked, Fault> {
    let is_named = LEGACY.iter().take(5).any(|option| parsed.has(*option));
    if !is_named && !(5..=6).contains(&parsed.rest.len()) {
        return Err(Fault::thrown(format!(
            "Invalid number of arguments. Expected 5 or 6 positional arguments, but got {}. Usage: bootstrap-server topic num-records producer-acks record-size [optional] command-config",
            parsed.rest.len()
        )));
    }
    if !is_named {
        terminal.line(
            "WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka 5.0. Please use named arguments instead: --bootstrap-server, --topic, \
             --num-records, --producer-acks, --record-size, --command-config",
        );
    } else {
        parsed.check_required(&[BOOTSTRAP, TOPIC, NUM_RECORDS, ACKS, RECORD_SIZE])?;
    }
    let text = |option: Opt| -> Result<Option<String>, Fault> {
        let place = LEGACY.iter().position(|other| other.name == option.name).filter(|_| !is_named);
        Ok(match place {
            Some(place) => parsed.rest.get(place).cloned(),
            None => parsed.value(option)?.map(str::to_owned),
        })
    };
    let number = |option: Opt| -> Result<i64, Fault> {
        let text = text(option)?.unwrap_or_default();
        let value: Result<i32, _> = text.parse();
        value
            .map(i64::from)
            .map_err(|_| Fault::thrown(format!("Cannot parse argument '{text}' of option {}", option.name)))
    };
    let at_least = |option: Opt, least: i64, what: &str| -> Result<usize, Fault> {
        match number(option)? {
            value if value < least => Err(Fault::usage(format!("Value for --{} must be a {what}.", option.name))),
            value => Ok(usize::try_from(value).unwrap_or(usize::MAX)),
        }
    };
    let acks = text(ACKS)?.unwrap_or_default();
    if !["1", "all"].contains(&acks.as_str()) {
        return Err(Fault::usage(
            "Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement. Please use '1' or 'all'.",
        ));
    }
    let mut properties = match text(COMMAND_CONFIG)? {
        Some(path) => ClientProperties::load(std::path::Path::new(&path))?,
        None => ClientProperties::default(),
    };
    properties.set("bootstrap.servers", text(BOOTSTRAP)?.unwrap_or_default());
    let header_bytes = number(HEADER_SIZE)?;
    if header_bytes < -1 {
        return Err(Fault::usage(
            "Value for --record-header-size must be a non-negative integer or -1 for null header value.",
        ));
    }
    Ok(Asked {
        topic: text(TOPIC)?.unwrap_or_default(),
        records: at_least(NUM_RECORDS, 1, "positive integer")?,
        acks,
        value_bytes: at_least(RECORD_SIZE, 0, "non-negative integer")?,
        key_bytes: at_least(KEY_SIZE, 0, "non-negative integer")?,
        headers: at_least(NUM_HEADERS, 0, "non-negative integer")?,
        header_key_bytes: at_least(HEADER_KEY_SIZE, 0, "non-negative integer")?,
        header_bytes: usize::try_from(header_bytes).ok(),
        properties,
    })
}

/// The number of the topic's partitions; made with one where there is none.
fn partitions(asked: &Asked, terminal: &mut Terminal) -> Result<usize, Fault> {
    let client = connect::client(&asked.properties, terminal)?;
    let name = TopicName(StrBytes::from_string(asked.topic.clone()));
    block_on(async {
        let topic = MetadataRequestTopic::default().with_name(Some(name.clone()));
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        let answer = client.send(&To::Any, &request).await?;
        if let Some(topic) = answer.topics.iter().find(|topic| topic.error_code == 0) {
            return Ok(topic.partitions.len());
        }
        terminal.line(format_args!(
            "Topic \"{}\" does not exist. Will create topic with 1 partition(s) and replication factor = 1",
            asked.topic
        ));
        let topic = CreatableTopic::default().with_name(name).with_num_partitions(1).with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        let answer = client.send(&To::Controller, &request).await?;
        for topic in &answer.topics {
            if let Err(error) = ServerError::check(topic.error_code, topic.error_message.as_deref()) {
                terminal.line(format_args!("Creation of topic {} failed", asked.topic));
                return Err(Fault::thrown(error.as_cause()));
            }
        }
        Ok(1)
    })
}

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let asked = asked(parsed, terminal)?;
    let partitions = partitions(&asked, terminal)?;
    terminal.flush();
    let mut properties = asked.properties.clone();
    properties.set("group.id", format!("test-group-{}", now_ms()));
    properties.set("enable.auto.commit", "false");
    let given = (0..partitions)
        .filter_map(|partition| Some(((asked.topic.clone(), i32::try_from(partition).ok()?), StartAt::Latest)));
    let consumer = Consumer::start(&properties, Subscription::Partitions(given.collect()), Some(connect::notice()))?;
    let thrown = |error: crate::client::consumer::ConsumeError| Fault::thrown(error.to_string());
    consumer.wait_for_positions(PATIENCE).map_err(thrown)?;
    let mut properties = asked.properties.clone();
    properties.set("linger.ms", "0");
    properties.set("acks", asked.acks.as_str());
    let failed = Arc::new(Mutex::new(None));
    let of_producer = failed.clone();
    let on_done: OnDone<()> = Box::new(move |(), outcome| {
        if let Err(error) = outcome {
            *of_producer.lock() = Some(error.to_string());
        }
    });
    let producer = Producer::start(&properties, on_done, Some(connect::notice()))?;
    let mut total = Duration::ZERO;
    let mut latencies_ms = Vec::with_capacity(asked.records.min(1 << 20));
    let mut letters = Letters(0);
    for number in 0..asked.records {
        let elapsed = round(&asked, &producer, &failed, &consumer, &mut letters)?;
        if number % 1000 == 0 {
            terminal.line(format_args!("{number}\t{}", java_double(elapsed.as_nanos() as f64 / 1000.0 / 1000.0)));
            terminal.flush();
        }
        total += elapsed;
        latencies_ms.push(elapsed.as_millis());
    }
    terminal.line(format_args!(
        "Avg latency: {} ms",
        fixed(total.as_nanos() as f64 / asked.records as f64 / 1000.0 / 1000.0, 4)
    ));
    latencies_ms.sort_unstable();
    let at = |share: f64| latencies_ms.get((latencies_ms.len() as f64 * share) as usize).copied().unwrap_or(0);
    terminal.line(format_args!("Percentiles: 50th = {}, 99th = {}, 99.9th = {}", at(0.5), at(0.99), at(0.999)));
    producer.close();
    consumer.close();
    Ok(0)
}

/// One letter over and over, another for each piece.
struct Letters(usize);

impl Letters {
    fn piece(&mut self, bytes: usize) -> Vec<u8> {
        self.0 += 7;
        vec![b'A' + (self.0 % 26) as u8; bytes]
    }
}

/// Sends one record and reads it.
fn round(
    asked: &Asked,
    producer: &Producer<()>,
    failed: &Mutex<Option<String>>,
    consumer: &Consumer,
    letters: &mut Letters,
) -> Result<Duration, Fault> {
    let (key, value) = (letters.piece(asked.key_bytes), letters.piece(asked.value_bytes));
    let owned: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..asked.headers)
        .map(|_| (letters.piece(asked.header_key_bytes), asked.header_bytes.map(|bytes| letters.piece(bytes))))
        .collect();
    let headers: Vec<(&[u8], Option<&[u8]>)> =
        owned.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
    let begun_at = Instant::now();
    let record = NewRecord { timestamp_ms: now_ms(), key: Some(&key), value: Some(&value), headers: &headers };
    producer.send(&asked.topic, None, &record, ()).map_err(|error| Fault::thrown(error.to_string()))?;
    producer.flush();
    if let Some(error) = failed.lock().take() {
        return Err(Fault::thrown(error));
    }
    let chunk = loop {
        let left = PATIENCE.saturating_sub(begun_at.elapsed());
        match consumer.poll(left).map_err(|error| Fault::thrown(error.to_string()))? {
            Some(Polled::Records(chunk)) => break chunk,
            Some(_) => {}
            None => {
                return Err(Fault::thrown(format!(
                    "poll() timed out before finding a result (timeout:[{}ms])",
                    PATIENCE.as_millis()
                )));
            }
        }
    };
    let elapsed = begun_at.elapsed();
    let mut read = 0;
    let mut differs = None;
    let walked = chunk.walk(|_, record| {
        read += 1;
        if read == 1 {
            differs = differing(record, &key, &value, &headers);
        }
        ControlFlow::<()>::Continue(())
    });
    walked.map_err(|error| Fault::thrown(format!("the record that was read is broken: {error}")))?;
    match (differs, read) {
        (Some(what), _) => Err(Fault::thrown(format!("The message {what} read did not match the message {what} sent"))),
        (None, 1) => Ok(elapsed),
        (None, count) => {
            Err(Fault::thrown(format!("Only one result was expected during this test. We found [{count}]")))
        }
    }
}

fn differing(
    record: &crate::protocol::records::Record<'_>,
    key: &[u8],
    value: &[u8],
    headers: &[(&[u8], Option<&[u8]>)],
) -> Option<&'static str> {
    if record.value != Some(value) {
        return Some("value");
    }
    if record.key != Some(key) {
        return Some("key");
    }
    (!record.headers.iter().eq(headers.iter().copied())).then_some("header")
}

//! `kafka-verifiable-producer`: increasing numbers to a topic, and a line of JSON for each that says what became of it.

use parking_lot::Mutex;
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connect;
use super::console_producer::now_ms;
use super::interrupt::Interrupt;
use super::options::{Exclusive, Grammar, Kind, Opt, Parsed};
use super::throttle::Throttle;
use super::{Fault, Terminal, Tool};
use crate::client::ClientProperties;
use crate::client::producer::{NewRecord, OnDone, Placed, Producer, SendError};

const TOPIC: Opt = Opt::value("topic", "TOPIC", Kind::Text, "Produce messages to this topic.").required();
const BOOTSTRAP: Opt = Opt::value(
    "bootstrap-server",
    "HOST1:PORT1[,HOST2:PORT2[...]]",
    Kind::Text,
    "REQUIRED: where to find the cluster: HOST:PORT of one broker or more, with commas.",
);
const MAX_MESSAGES: Opt = Opt::value(
    "max-messages",
    "MAX-MESSAGES",
    Kind::Integer,
    "Produce this many messages; -1: until the process is ended.",
)
.preset("-1");
const THROUGHPUT: Opt =
    Opt::value("throughput", "THROUGHPUT", Kind::Integer, "If not negative, about this many messages a second.")
        .preset("-1");
const ACKS: Opt = Opt::value("acks", "ACKS", Kind::Integer, "Whose answer counts: 0, 1 or -1.").preset("-1");
const PRODUCER_CONFIG: Opt =
    Opt::value("producer.config", "CONFIG-FILE", Kind::File, "(DEPRECATED) The same as --command-config.");
const CREATE_TIME: Opt = Opt::value(
    "message-create-time",
    "CREATE-TIME",
    Kind::Long,
    "Give messages times from this one on, in milliseconds since 1970.",
)
.preset("-1");
const VALUE_PREFIX: Opt =
    Opt::value("value-prefix", "VALUE-PREFIX", Kind::Integer, "Put this number and a dot before each value.");
const REPEATING_KEYS: Opt = Opt::value(
    "repeating-keys",
    "REPEATING-KEYS",
    Kind::Integer,
    "Give messages keys from 0 up to this number, then from 0 again.",
);
const COMMAND_CONFIG: Opt = Opt::value(
    "command-config",
    "CONFIG-FILE",
    Kind::File,
    "A properties file for the producer; options on the command line that it repeats are overridden by it.",
);

pub(super) static TOOL: Tool = Tool {
    name: "kafka-verifiable-producer",
    about: "This tool produces increasing integers to the specified topic and prints JSON metadata to stdout on each \"send\" request, making externally visible which messages have been acked and which have not.",
    grammar: Grammar::Argparse {
        options: &[
            TOPIC,
            MAX_MESSAGES,
            THROUGHPUT,
            ACKS,
            PRODUCER_CONFIG,
            CREATE_TIME,
            VALUE_PREFIX,
            REPEATING_KEYS,
            COMMAND_CONFIG,
        ],
        exclusive: &[Exclusive { required: true, options: &[BOOTSTRAP] }],
        commands: &[],
    },
    run,
};

/// A line of output: when, what, and the rest.
#[derive(Serialize)]
pub(super) struct Event<'a, T: Serialize> {
    timestamp: i64,
    name: &'a str,
    #[serde(flatten)]
    rest: T,
}

/// Prints one event, whole, whatever other threads print.
pub(super) fn event(name: &str, rest: impl Serialize) {
    let Ok(mut line) = serde_json::to_vec(&Event { timestamp: now_ms(), name, rest }) else { return };
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    // Who does not read any more has seen enough.
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

#[derive(Serialize)]
pub(super) struct Nothing {}

#[derive(Serialize)]
struct Sent<'a> {
    key: Option<&'a str>,
    value: &'a str,
    offset: i64,
    topic: &'a str,
    partition: i32,
}

#[derive(Serialize)]
struct NotSent<'a> {
    key: Option<&'a str>,
    value: &'a str,
    topic: &'a str,
    exception: String,
    message: String,
}

#[derive(Serialize)]
struct Summary {
    sent: u64,
    acked: u64,
    target_throughput: i64,
    avg_throughput: f64,
}

/// A record's key and value, for its event.
type Tag = (Option<String>, String);

fn failed(topic: &str, (key, value): &Tag, error: &SendError) {
    let exception = format!("class {}", error.class());
    event("producer_send_error", NotSent { key: key.as_deref(), value, topic, exception, message: error.to_string() });
}

fn properties(parsed: &Parsed) -> Result<ClientProperties, Fault> {
    let mut properties = ClientProperties::default();
    if let Some(servers) = parsed.value(BOOTSTRAP)? {
        properties.set("bootstrap.servers", servers);
    }
    properties.set("acks", parsed.value(ACKS)?.unwrap_or("-1"));
    properties.set("retries", "0");
    if parsed.has(PRODUCER_CONFIG) && parsed.has(COMMAND_CONFIG) {
        return Err(Fault::usage("Options --producer.config and --command-config are mutually exclusive."));
    }
    let mut file = COMMAND_CONFIG;
    if parsed.has(PRODUCER_CONFIG) {
        println!(
            "Option --producer.config has been deprecated and will be removed in a future version. Use --command-config instead."
        );
        file = PRODUCER_CONFIG;
    }
    for (key, value) in connect::properties(parsed, file)?.iter() {
        properties.set(key, value);
    }
    Ok(properties)
}

fn run(parsed: &Parsed, _: &mut Terminal) -> Result<u8, Fault> {
    let properties = properties(parsed)?;
    let topic = parsed.value(TOPIC)?.unwrap_or_default().to_owned();
    let max: i64 = parsed.number(MAX_MESSAGES)?.unwrap_or(-1);
    let throughput: i64 = parsed.number(THROUGHPUT)?.unwrap_or(-1);
    let mut numbers = Numbers {
        prefix: parsed.number(VALUE_PREFIX)?,
        repeating: parsed.number(REPEATING_KEYS)?,
        next_key: 0,
        create_time: parsed.number::<i64>(CREATE_TIME)?.filter(|time| *time != -1),
    };
    let acked = Arc::new(AtomicU64::new(0));
    let of_producer = acked.clone();
    let of_topic = topic.clone();
    let on_done: OnDone<Tag> = Box::new(move |tag, outcome: Result<Placed, &SendError>| match outcome {
        Ok(placed) => {
            of_producer.fetch_add(1, Ordering::Relaxed);
            let (key, value) = (tag.0.as_deref(), tag.1.as_str());
            event(
                "producer_send_success",
                Sent { key, value, topic: &placed.topic, partition: placed.partition, offset: placed.offset },
            );
        }
        Err(error) => failed(&of_topic, &tag, error),
    });
    let begun_ms = now_ms();
    let producer = Producer::start(&properties, on_done, Some(connect::notice()))?;
    let stop = Arc::new(Mutex::new(false));
    let of_signals = stop.clone();
    let interrupt = Interrupt::listen(move || *of_signals.lock() = true)?;
    let mut throttle = Throttle::new(throughput as f64);
    event("startup_complete", Nothing {});
    let mut sent: u64 = 0;
    while (max < 0 || (sent as i64) < max) && !interrupt.is_set() {
        let tag = (numbers.key(), numbers.value(sent));
        let record = NewRecord {
            timestamp_ms: numbers.time(begun_ms),
            key: tag.0.as_ref().map(String::as_bytes),
            value: Some(tag.1.as_bytes()),
            headers: &[],
        };
        if let Err(error) = producer.send(&topic, None, &record, tag.clone()) {
            failed(&topic, &tag, &error);
        }
        sent += 1;
        throttle.hold(sent, || interrupt.is_set());
    }
    producer.close();
    event("shutdown_complete", Nothing {});
    let acked = acked.load(Ordering::Relaxed);
    let avg_throughput = 1000.0 * (acked as f64 / (now_ms() - begun_ms).max(1) as f64);
    event("tool_data", Summary { sent, acked, target_throughput: throughput, avg_throughput });
    Ok(interrupt.code().unwrap_or(0))
}

struct Numbers {
    prefix: Option<i32>,
    repeating: Option<i32>,
    next_key: i32,
    create_time: Option<i64>,
}

impl Numbers {
    fn key(&mut self) -> Option<String> {
        let repeating = self.repeating?;
        let key = self.next_key.to_string();
        self.next_key = if self.next_key + 1 == repeating { 0 } else { self.next_key.wrapping_add(1) };
        Some(key)
    }

    fn value(&self, number: u64) -> String {
        match self.prefix {
            Some(prefix) => format!("{prefix}.{number}"),
            None => number.to_string(),
        }
    }

    /// Times that are given go on by the time that has passed since the beginning, each time anew, as in Kafka.
    fn time(&mut self, begun_ms: i64) -> i64 {
        match &mut self.create_time {
            Some(time) => {
                let now = *time;
                *time += now_ms() - begun_ms;
                now
            }
            None => now_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_kafkas_fields_in_kafkas_order() {
        let sent = Sent { key: None, value: "1.5", offset: 7, topic: "t", partition: 2 };
        let line = serde_json::to_string(&Event { timestamp: 9, name: "producer_send_success", rest: sent }).unwrap();
        assert_eq!(
            line,
            r#"{"timestamp":9,"name":"producer_send_success","key":null,"value":"1.5","offset":7,"topic":"t","partition":2}"#
        );
        let line = serde_json::to_string(&Event { timestamp: 9, name: "startup_complete", rest: Nothing {} }).unwrap();
        assert_eq!(line, r#"{"timestamp":9,"name":"startup_complete"}"#);
    }

    #[test]
    fn keys_repeat() {
        let mut numbers = Numbers { prefix: Some(4), repeating: Some(2), next_key: 0, create_time: None };
        let keys: Vec<_> = (0..4).map(|_| numbers.key().unwrap()).collect();
        assert_eq!((keys, numbers.value(6)), (["0", "1", "0", "1"].map(String::from).to_vec(), "4.6".into()));
    }
}

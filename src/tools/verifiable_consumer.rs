//! `kafka-verifiable-consumer`: reads a topic in a group, and prints what happens as lines of JSON.

use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::connect;
use super::console_consumer::tell;
use super::interrupt::Interrupt;
use super::options::{Exclusive, Grammar, Kind, Opt, Parsed};
use super::verifiable_producer::{Nothing, event};
use super::{Fault, Terminal, Tool};
use crate::client::ClientProperties;
use crate::client::consumer::{Chunk, ConsumeError, Consumer, Partition, Polled, Position, Subscription};

const BOOTSTRAP: Opt = Opt::value(
    "bootstrap-server",
    "HOST1:PORT1[,HOST2:PORT2[...]]",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas.",
)
.required();
const TOPIC: Opt = Opt::value("topic", "TOPIC", Kind::Text, "Consumes messages from this topic.").required();
const PROTOCOL: Opt =
    Opt::value("group-protocol", "GROUP-PROTOCOL", Kind::Text, "The group's protocol: classic.").preset("classic");
const REMOTE_ASSIGNOR: Opt =
    Opt::value("group-remote-assignor", "GROUP-REMOTE-ASSIGNOR", Kind::Text, "For the consumer protocol only.");
const GROUP: Opt = Opt::value("group-id", "GROUP-ID", Kind::Text, "The group to read in.").required();
const INSTANCE: Opt =
    Opt::value("group-instance-id", "GROUP-INSTANCE-ID", Kind::Text, "This member's own id, for static membership.");
const MAX_MESSAGES: Opt = Opt::value(
    "max-messages",
    "MAX-MESSAGES",
    Kind::Integer,
    "Consume this many messages; -1: until the process is ended.",
)
.preset("-1");
const SESSION_TIMEOUT: Opt =
    Opt::value("session-timeout", "TIMEOUT-MS", Kind::Integer, "The member's session.timeout.ms.");
const VERBOSE: Opt = Opt::flag("verbose", "Print each record.");
const AUTO_COMMIT: Opt = Opt::flag("enable-autocommit", "Let positions commit themselves.");
const RESET_POLICY: Opt = Opt::value(
    "reset-policy",
    "RESET-POLICY",
    Kind::Choice(&["earliest", "latest", "none"]),
    "Where to begin without a committed offset: earliest, latest or none.",
)
.preset("earliest");
const STRATEGY: Opt =
    Opt::value("assignment-strategy", "ASSIGNMENT-STRATEGY", Kind::Text, "The class name of the assignor.")
        .preset("org.apache.kafka.clients.consumer.RangeAssignor");
const CONSUMER_CONFIG: Opt =
    Opt::value("consumer.config", "CONFIG-FILE", Kind::File, "(DEPRECATED) The same as --command-config.");
const COMMAND_CONFIG: Opt = Opt::value(
    "command-config",
    "CONFIG-FILE",
    Kind::File,
    "A properties file for the consumer; options on the command line are stronger.",
);

pub(super) static TOOL: Tool = Tool {
    name: "kafka-verifiable-consumer",
    about: "This tool consumes messages from a specific topic and emits consumer events (e.g. group rebalances, received messages, and offsets committed) as JSON objects to STDOUT.",
    grammar: Grammar::Argparse {
        options: &[
            TOPIC,
            PROTOCOL,
            REMOTE_ASSIGNOR,
            GROUP,
            INSTANCE,
            MAX_MESSAGES,
            SESSION_TIMEOUT,
            VERBOSE,
            AUTO_COMMIT,
            RESET_POLICY,
            STRATEGY,
            CONSUMER_CONFIG,
            COMMAND_CONFIG,
        ],
        exclusive: &[Exclusive { required: true, options: &[BOOTSTRAP] }],
        commands: &[],
    },
    run,
};

#[derive(Serialize)]
struct Place {
    topic: String,
    partition: i32,
}

#[derive(Serialize)]
struct Partitions {
    partitions: Vec<Place>,
}

fn places(partitions: &[Partition]) -> Partitions {
    let place = |(topic, partition): &Partition| Place { topic: topic.clone(), partition: *partition };
    Partitions { partitions: partitions.iter().map(place).collect() }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    topic: String,
    partition: i32,
    count: u64,
    min_offset: i64,
    max_offset: i64,
}

#[derive(Serialize)]
struct Consumed {
    count: u64,
    partitions: Vec<Read>,
}

#[derive(Serialize)]
struct RecordData<'a> {
    key: Option<String>,
    value: Option<String>,
    topic: &'a str,
    partition: i32,
    offset: i64,
}

#[derive(Serialize)]
struct Offset {
    topic: String,
    partition: i32,
    offset: i64,
}

#[derive(Serialize)]
struct Committed {
    offsets: Vec<Offset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    success: bool,
}

fn properties(parsed: &Parsed) -> Result<ClientProperties, Fault> {
    if parsed.has(CONSUMER_CONFIG) && parsed.has(COMMAND_CONFIG) {
        return Err(Fault::usage("Options --consumer.config and --command-config are mutually exclusive."));
    }
    let mut file = COMMAND_CONFIG;
    if parsed.has(CONSUMER_CONFIG) {
        println!(
            "Option --consumer.config has been deprecated and will be removed in a future version. Use --command-config instead."
        );
        file = CONSUMER_CONFIG;
    }
    let mut properties = connect::properties(parsed, file)?;
    let auto_commit = parsed.has(AUTO_COMMIT).to_string();
    for (key, value) in [
        ("group.protocol", parsed.value(PROTOCOL)?),
        ("partition.assignment.strategy", parsed.value(STRATEGY)?),
        ("session.timeout.ms", parsed.value(SESSION_TIMEOUT)?),
        ("group.id", parsed.value(GROUP)?),
        ("group.instance.id", parsed.value(INSTANCE)?),
        ("bootstrap.servers", parsed.value(BOOTSTRAP)?),
        ("enable.auto.commit", Some(auto_commit.as_str())),
        ("auto.offset.reset", parsed.value(RESET_POLICY)?),
    ] {
        if let Some(value) = value {
            properties.set(key, value);
        }
    }
    Ok(properties)
}

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let properties = properties(parsed)?;
    let max: i64 = parsed.number(MAX_MESSAGES)?.unwrap_or(-1);
    let topic = parsed.value(TOPIC)?.unwrap_or_default().to_owned();
    let consumer = Consumer::start(&properties, Subscription::Topics(vec![topic]), Some(connect::notice()))?;
    event("startup_complete", Nothing {});
    let waker = consumer.waker();
    let interrupt = Interrupt::listen(move || {
        event("shutdown_requested", Nothing {});
        waker.wake();
    })?;
    let mut reading = Reading {
        consumer: &consumer,
        left: u64::try_from(max).ok(),
        verbose: parsed.has(VERBOSE),
        commits: !parsed.has(AUTO_COMMIT),
        assigned: Vec::new(),
    };
    if let Err(error) = reading.run(&interrupt) {
        tell(&error, terminal);
    }
    let assigned = std::mem::take(&mut reading.assigned);
    consumer.close();
    event("partitions_revoked", places(&assigned));
    event("shutdown_complete", Nothing {});
    if !interrupt.is_set() {
        // Kafka's tool is asked to by its own end.
        event("shutdown_requested", Nothing {});
    }
    Ok(interrupt.code().unwrap_or(0))
}

struct Reading<'a> {
    consumer: &'a Consumer,
    /// Messages to go; `None` for no end.
    left: Option<u64>,
    verbose: bool,
    commits: bool,
    assigned: Vec<Partition>,
}

impl Reading<'_> {
    fn run(&mut self, interrupt: &Interrupt) -> Result<(), ConsumeError> {
        while self.left != Some(0) && !interrupt.is_set() {
            match self.consumer.poll(Duration::MAX)? {
                Some(Polled::Records(chunk)) => self.take(&chunk)?,
                Some(Polled::Assigned(partitions)) => {
                    event("partitions_assigned", places(&partitions));
                    self.assigned = partitions;
                }
                // Who joins has nothing to give up.
                Some(Polled::Revoked(partitions)) if partitions.is_empty() => {}
                Some(Polled::Revoked(partitions)) => {
                    event("partitions_revoked", places(&partitions));
                    self.assigned.clear();
                }
                Some(Polled::Woken) | None => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, chunk: &Chunk) -> Result<(), ConsumeError> {
        let mut offsets: Option<(i64, i64)> = None;
        let mut count = 0;
        let walked = chunk.walk(|_, record| {
            count += 1;
            offsets = Some((offsets.map_or(record.offset, |(first, _)| first), record.offset));
            if self.verbose {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (key, value) = (record.key.map(text), record.value.map(text));
                let data =
                    RecordData { key, value, topic: &chunk.topic, partition: chunk.partition, offset: record.offset };
                event("record_data", data);
            }
            match self.left.is_some_and(|left| count >= left) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let (progress, _) = walked.map_err(|error| {
            let what = format!("a batch of {}-{} is broken: {error}", chunk.topic, chunk.partition);
            ConsumeError::Client(crate::client::ClientError::Config(what))
        })?;
        let topic = chunk.topic.to_string();
        let position = Position { offset: progress.next_offset, leader_epoch: progress.leader_epoch };
        self.consumer.consumed(&topic, chunk.partition, position);
        self.left = self.left.map(|left| left.saturating_sub(count));
        let Some((min_offset, max_offset)) = offsets else { return Ok(()) };
        let read = Read { topic: topic.clone(), partition: chunk.partition, count, min_offset, max_offset };
        event("records_consumed", Consumed { count, partitions: vec![read] });
        if self.commits {
            self.commit(topic, chunk.partition, Position { leader_epoch: -1, ..position });
        }
        Ok(())
    }

    fn commit(&self, topic: String, partition: i32, position: Position) {
        let outcome = self.consumer.commit(BTreeMap::from([((topic.clone(), partition), position)]));
        let error = outcome.err().map(|error| error.to_string());
        let offsets = vec![Offset { topic, partition, offset: position.offset }];
        event("offsets_committed", Committed { offsets, success: error.is_none(), error });
    }
}

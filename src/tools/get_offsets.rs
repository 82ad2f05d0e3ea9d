//! `kafka-get-offsets`: the offsets of partitions, by kind or by time.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};
use std::collections::BTreeMap;

use super::admin::{self, topic_name};
use super::connect::{self, BROKER_LIST, COMMAND_CONFIG};
use super::java::TopicFilter;
use super::options::{Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, ServerError, To};

const BOOTSTRAP_SERVER: Opt = Opt::value(
    "bootstrap-server",
    "HOST1:PORT1,...,HOST3:PORT3",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas.",
);
const TOPIC_PARTITIONS: Opt = Opt::value(
    "topic-partitions",
    "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
    Kind::Text,
    "Patterns with commas, each a regular expression for topics and, after a colon, one partition or a range: NUMBER, FROM-TO (without TO itself), FROM-, -TO.",
);
const TOPIC: Opt =
    Opt::value("topic", "topic", Kind::Text, "The topic, or a regular expression; all topics where it is left out.");
const PARTITIONS: Opt = Opt::value(
    "partitions",
    "partition ids",
    Kind::Text,
    "Ids of partitions with commas; all partitions where it is left out.",
);
const TIME: Opt = Opt::value(
    "time",
    "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload",
    Kind::Choice(&["latest", "earliest", "max-timestamp", "earliest-local", "latest-tiered", "earliest-pending-upload"]),
    "Which offset: by a name or its number, or by a time in milliseconds since 1970 for the first record at it or after it.",
)
.preset("latest");
const EXCLUDE_INTERNAL: Opt = Opt::flag("exclude-internal-topics", "Leave out the topics that Kafka keeps for itself.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-get-offsets",
    about: "Shows offsets of partitions.",
    grammar: Grammar::Jopt(&[
        BOOTSTRAP_SERVER,
        BROKER_LIST,
        TOPIC_PARTITIONS,
        TOPIC,
        PARTITIONS,
        TIME,
        COMMAND_CONFIG,
        EXCLUDE_INTERNAL,
    ]),
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    if !parsed.has(BROKER_LIST) {
        parsed.check_required(&[BOOTSTRAP_SERVER])?;
    }
    let servers = connect::servers(parsed)?.unwrap_or_default().to_owned();
    check_servers(&servers)?;
    match show(parsed, &servers, terminal) {
        Ok(()) => Ok(0),
        Err(fault) => {
            terminal.error(format_args!("Error occurred: {}", fault.message_as_cause("listTopics")));
            Ok(super::FAILED)
        }
    }
}

/// As `ToolsUtils.validateBootstrapServer`.
fn check_servers(servers: &str) -> Result<(), Fault> {
    if servers.trim().is_empty() {
        return Err(Fault::usage("Error while validating the bootstrap address\n"));
    }
    let has_port = |server: &str| {
        server
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match servers.split(',').all(has_port) {
        true => Ok(()),
        false => Err(Fault::usage("Please provide valid host:port like host1:9091,host2:9092\n")),
    }
}

/// The protocol's number for what `--time` says.
fn timestamp(text: &str) -> Result<i64, Fault> {
    Ok(match text {
        "latest" => -1,
        "earliest" => -2,
        "max-timestamp" => -3,
        "earliest-local" => -4,
        "latest-tiered" => -5,
        "earliest-pending-upload" => -6,
        other => other.parse().map_err(|_| {
            Fault::thrown(format!(
                "Malformed time argument {other}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
            ))
        })?,
    })
}

/// A pattern of topics, and which of their partitions.
struct Rule {
    topics: TopicFilter,
    partitions: Chosen,
}

enum Chosen {
    /// All where it is empty.
    These(Vec<i32>),
    /// Without the upper bound itself.
    Range(i32, i32),
}

impl Rule {
    /// `TOPICS`, `TOPICS:1`, `TOPICS:1-3`, `:1-`.
    fn parse(text: &str) -> Result<Self, Fault> {
        let wrong =
            || Fault::thrown(format!("org.apache.kafka.tools.TerseException: Invalid rule specification: {text}"));
        let (topics, partitions) = match text.split_once(':') {
            Some((topics, partitions)) => (topics, partitions),
            None => (text, ""),
        };
        let number = |part: &str, preset: i32| match part {
            "" => Ok(preset),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        let chosen = match partitions.split_once('-') {
            _ if partitions.is_empty() => Chosen::Range(0, i32::MAX),
            None => Chosen::These(vec![number(partitions, 0)?]),
            Some((from, to)) => Chosen::Range(number(from, 0)?, number(to, i32::MAX)?),
        };
        Ok(Self { topics: TopicFilter::new(if topics.is_empty() { ".*" } else { topics })?, partitions: chosen })
    }

    fn allows(&self, topic: &str, partition: i32) -> bool {
        self.topics.allows(topic)
            && match &self.partitions {
                Chosen::These(ids) => ids.is_empty() || ids.contains(&partition),
                Chosen::Range(from, to) => (*from..*to).contains(&partition),
            }
    }
}

fn rules(parsed: &Parsed) -> Result<Vec<Rule>, Fault> {
    if let Some(patterns) = parsed.value(TOPIC_PARTITIONS)? {
        return patterns.trim_end_matches(',').split(',').map(Rule::parse).collect();
    }
    let list = parsed.value(PARTITIONS)?.unwrap_or_default();
    let ids: Result<Vec<i32>, _> =
        list.trim_end_matches(',').split(',').filter(|id| !list.is_empty() || !id.is_empty()).map(str::parse).collect();
    let ids = ids.map_err(|_| {
        Fault::thrown(format!(
            "--partitions expects a comma separated list of numeric partition ids, but received: {list}"
        ))
    })?;
    Ok(vec![Rule { topics: TopicFilter::new(parsed.value(TOPIC)?.unwrap_or(".*"))?, partitions: Chosen::These(ids) }])
}

fn show(parsed: &Parsed, servers: &str, terminal: &mut Terminal) -> Result<(), Fault> {
    if parsed.has(TOPIC_PARTITIONS) && (parsed.has(TOPIC) || parsed.has(PARTITIONS)) {
        return Err(Fault::thrown("--topic-partitions cannot be used with --topic or --partitions"));
    }
    let timestamp = timestamp(parsed.value(TIME)?.unwrap_or("latest"))?;
    let rules = rules(parsed)?;
    let mut properties = connect::properties(parsed, COMMAND_CONFIG)?;
    properties.set("bootstrap.servers", servers);
    properties.set("client.id", "GetOffsetShell");
    let client = connect::client(&properties, terminal)?;
    block_on(async {
        let partitions = partitions(&client, &rules, parsed.has(EXCLUDE_INTERNAL)).await?;
        if partitions.is_empty() {
            return Err(Fault::thrown("Could not match any topic-partitions with the specified filters"));
        }
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for ((topic, index), outcome) in offsets(&client, &partitions, timestamp).await? {
            match outcome {
                Ok(-1) => {}
                Ok(offset) => drop(found.insert(format!("{topic}-{index}"), format!("{topic}:{index}:{offset}"))),
                Err(fault) => terminal.error(format_args!(
                    "Skip getting offsets for topic-partition {topic}-{index} due to error: {}",
                    fault.message_as_cause("listOffsets")
                )),
            }
        }
        found.values().for_each(|line| terminal.line(line));
        Ok(())
    })
}

async fn partitions(client: &Client, rules: &[Rule], without_internal: bool) -> Result<Vec<(String, i32)>, Fault> {
    let listing = admin::list_topics(client).await?.into_iter();
    let names: Vec<String> = listing
        .filter(|topic| !(without_internal && topic.is_internal))
        .map(|topic| topic.name)
        .filter(|name| rules.iter().any(|rule| rule.topics.allows(name)))
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let described = admin::describe_topics(client, &names, 2_000).await?;
    let all = described.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |partition| (name.clone(), partition.index))
    });
    Ok(all.filter(|(topic, index)| rules.iter().any(|rule| rule.allows(topic, *index))).collect())
}

type Offsets = BTreeMap<(String, i32), Result<i64, Fault>>;

/// Asks each partition's leader.
async fn offsets(client: &Client, partitions: &[(String, i32)], timestamp: i64) -> Result<Offsets, Fault> {
    let mut found = Offsets::new();
    let mut by_leader: BTreeMap<i32, Vec<&(String, i32)>> = BTreeMap::new();
    let leaders = admin::leaders(client, partitions).await?;
    for partition in partitions {
        match leaders.get(partition) {
            Some(Ok(leader)) if *leader >= 0 => by_leader.entry(*leader).or_default().push(partition),
            Some(Err(error)) => drop(found.insert(partition.clone(), Err(error.clone().into()))),
            // LEADER_NOT_AVAILABLE
            _ => drop(found.insert(partition.clone(), ServerError::check(5, None).map(|()| -1).map_err(Fault::from))),
        }
    }
    for (leader, partitions) in by_leader {
        ask(client, leader, &partitions, timestamp, &mut found).await;
    }
    Ok(found)
}

async fn ask(client: &Client, leader: i32, partitions: &[&(String, i32)], timestamp: i64, found: &mut Offsets) {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (topic, index) in partitions {
        let partition = ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(timestamp);
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
    });
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect());
    match client.send(&To::Broker(leader), &request).await {
        Ok(answer) => {
            for topic in answer.topics {
                for partition in topic.partitions {
                    let outcome = ServerError::check(partition.error_code, None).map_err(Fault::from);
                    found.insert(
                        (topic.name.to_string(), partition.partition_index),
                        outcome.map(|()| partition.offset),
                    );
                }
            }
        }
        Err(error) => partitions.iter().for_each(|partition| {
            found.insert((*partition).clone(), Err(error.clone().into()));
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_kafka_reads_them() {
        let allows = |rule: &str, topic: &str, partition| Rule::parse(rule).unwrap().allows(topic, partition);
        assert!(allows("a.*", "ab", 7) && !allows("a.*", "b", 0));
        assert!(allows("a:1", "a", 1) && !allows("a:1", "a", 2));
        assert!(allows("a:1-3", "a", 2) && !allows("a:1-3", "a", 3));
        assert!(allows("a:1-", "a", 9) && !allows("a:1-", "a", 0));
        assert!(allows(":-3", "x", 0) && !allows(":-3", "x", 3));
        assert!(Rule::parse("a:b").is_err() && Rule::parse("a:1-2-3").is_err() && Rule::parse("a:1:2").is_err());
    }

    #[test]
    fn times_have_names_and_numbers() {
        assert_eq!(timestamp("earliest").unwrap(), timestamp("-2").unwrap());
        assert_eq!(timestamp("17").unwrap(), 17);
        assert!(timestamp("noon").unwrap_err().message("").starts_with("Malformed time argument noon. "));
    }
}

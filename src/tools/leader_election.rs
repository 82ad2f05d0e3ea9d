//! `kafka-leader-election`: has preferred, or any, replicas elected as leaders.

use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use std::collections::BTreeMap;
use std::path::Path;

use super::admin::topic_name;
use super::connect::{self, COMMAND_CONFIG};
use super::java::{self, HASH_MAP_BUCKETS, hash_map_order};
use super::json::{self, Json};
use super::options::{Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, ClientError, ServerError, To};

const BOOTSTRAP_SERVER: Opt = Opt::value(
    "bootstrap-server",
    "host:port",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas.",
);
const ADMIN_CONFIG: Opt = Opt::value("admin.config", "config file", Kind::File, "The former name of --command-config.");
const FILE: Opt = Opt::value(
    "path-to-json-file",
    "Path to JSON file",
    Kind::File,
    "A JSON file with the partitions: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1}]}.",
);
const TOPIC: Opt = Opt::value("topic", "topic name", Kind::Text, "The topic, together with --partition.");
const PARTITION: Opt = Opt::value("partition", "partition id", Kind::Integer, "The partition of --topic.");
const ALL: Opt = Opt::flag("all-topic-partitions", "All partitions that such an election would change.");
const TYPE: Opt = Opt::value(
    "election-type",
    "election type",
    Kind::Choice(&["preferred", "unclean"]),
    "preferred has each partition's first replica lead; unclean gives partitions without a leader one that may lack records.",
);

pub(super) static TOOL: Tool = Tool {
    name: "kafka-leader-election",
    about: "Has the leaders of partitions elected.",
    grammar: Grammar::Jopt(&[BOOTSTRAP_SERVER, ADMIN_CONFIG, COMMAND_CONFIG, FILE, TOPIC, PARTITION, ALL, TYPE]),
    run,
};

/// Java's name of it, and the protocol's number.
type Election = (&'static str, i8);

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    check(parsed)?;
    let election = match parsed.value(TYPE)?.unwrap_or_default() {
        word if word.eq_ignore_ascii_case("preferred") => ("PREFERRED", 0),
        word if word.eq_ignore_ascii_case("unclean") => ("UNCLEAN", 1),
        word => return Err(Fault::thrown(format!("Cannot parse argument '{word}' of option election-type"))),
    };
    let partitions = match (parsed.value(FILE)?, parsed.value(TOPIC)?) {
        (Some(path), _) => Some(from_file(Path::new(path))?),
        (None, Some(topic)) => Some(vec![(topic.to_owned(), parsed.number(PARTITION)?.unwrap_or_default())]),
        (None, None) => None,
    };
    let mut properties = match parsed.has(ADMIN_CONFIG) {
        true => {
            terminal.line("Option --admin.config has been deprecated and will be removed in a future version. Use --command-config instead.");
            connect::properties(parsed, ADMIN_CONFIG)?
        }
        false => connect::properties(parsed, COMMAND_CONFIG)?,
    };
    properties.set("bootstrap.servers", parsed.value(BOOTSTRAP_SERVER)?.unwrap_or_default());
    properties.set_default("client.id", "adminclient-1");
    properties.set_default("default.api.timeout.ms", "30000");
    properties.set_default("request.timeout.ms", "15000");
    let client = connect::client(&properties, terminal)?;
    block_on(elect(&client, election, partitions.as_deref(), terminal))
}

fn check(parsed: &Parsed) -> Result<(), Fault> {
    let missing: Vec<&str> =
        [BOOTSTRAP_SERVER, TYPE].iter().filter(|option| !parsed.has(**option)).map(|option| option.name).collect();
    if !missing.is_empty() {
        return Err(Fault::thrown(format!("Missing required option(s): {}", missing.join(", "))));
    }
    parsed.check_invalid(ADMIN_CONFIG, &[COMMAND_CONFIG])?;
    if [TOPIC, ALL, FILE].iter().filter(|option| parsed.has(**option)).count() != 1 {
        return Err(Fault::thrown(
            "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file",
        ));
    }
    match (parsed.has(TOPIC), parsed.has(PARTITION)) {
        (true, false) => Err(Fault::thrown("Missing required option(s): partition")),
        (false, true) => Err(Fault::thrown("Option partition is only allowed if topic is used")),
        _ => Ok(()),
    }
}

fn from_file(path: &Path) -> Result<Vec<(String, i32)>, Fault> {
    let document = Json::parse(&json::read(path)?).ok_or_else(|| Fault::thrown("Replica election data is empty"))?;
    let listed = document
        .find("partitions")?
        .ok_or_else(|| Fault::thrown("Replica election data is missing \"partitions\" field"))?;
    let mut partitions: Vec<(String, i32)> = Vec::new();
    let mut twice: Vec<String> = Vec::new();
    for entry in listed.elements()? {
        let partition = (entry.get("topic")?.text()?, entry.get("partition")?.integer()?);
        let name = format!("{}-{}", partition.0, partition.1);
        if partitions.contains(&partition) && !twice.contains(&name) {
            twice.push(name);
        }
        partitions.push(partition);
    }
    match twice.is_empty() {
        true => Ok(partitions),
        false => {
            Err(Fault::thrown(format!("Replica election data contains duplicate partitions: [{}]", twice.join(", "))))
        }
    }
}

async fn elect(
    client: &Client,
    (name, number): Election,
    partitions: Option<&[(String, i32)]>,
    terminal: &mut Terminal,
) -> Result<u8, Fault> {
    let topics = partitions.map(|partitions| {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        partitions.iter().for_each(|(topic, index)| topics.entry(topic).or_default().push(*index));
        let topics = topics.into_iter();
        topics
            .map(|(topic, ids)| TopicPartitions::default().with_topic(topic_name(topic)).with_partitions(ids))
            .collect()
    });
    let request =
        ElectLeadersRequest::default().with_election_type(number).with_topic_partitions(topics).with_timeout_ms(15_000);
    let answer = match client.send(&To::Controller, &request).await {
        Ok(answer) => answer,
        Err(ClientError::Expired { .. }) => return Err(told("Timeout waiting for election results", terminal)),
        Err(error) => return Err(Fault::thrown(Fault::from(error).message_as_cause("electLeaders"))),
    };
    match ServerError::from_code(answer.error_code, None) {
        None => {}
        // CLUSTER_AUTHORIZATION_FAILED
        Some(error) if error.code == 31 => return Err(told("Not authorized to perform leader election", terminal)),
        Some(error) => return Err(Fault::thrown(error.as_cause())),
    }
    let mut outcomes = Vec::new();
    for topic in &answer.replica_election_results {
        for partition in &topic.partition_result {
            let error = ServerError::from_code(partition.error_code, partition.error_message.as_deref());
            outcomes.push((topic.topic.to_string(), partition.partition_id, error));
        }
    }
    show(name, outcomes, terminal)
}

fn told(sentence: &str, terminal: &mut Terminal) -> Fault {
    terminal.line(sentence);
    Fault::thrown(sentence)
}

fn show(name: &str, outcomes: Vec<(String, i32, Option<ServerError>)>, terminal: &mut Terminal) -> Result<u8, Fault> {
    let ordered = hash_map_order(outcomes, HASH_MAP_BUCKETS, |(topic, index, _)| java::partition_hash(topic, *index));
    let names = |wanted: &dyn Fn(Option<i16>) -> bool| -> String {
        let chosen = ordered.iter().filter(|(_, _, error)| wanted(error.as_ref().map(|error| error.code)));
        chosen.map(|(topic, index, _)| format!("{topic}-{index}")).collect::<Vec<_>>().join(", ")
    };
    // ELECTION_NOT_NEEDED
    let (elected, not_needed) = (names(&|code| code.is_none()), names(&|code| code == Some(84)));
    if !elected.is_empty() {
        terminal.line(format_args!("Successfully completed leader election ({name}) for partitions {elected}"));
    }
    if !not_needed.is_empty() {
        terminal.line(format_args!("Valid replica already elected for partitions {not_needed}"));
    }
    let mut failed = 0;
    for (topic, index, error) in &ordered {
        if let Some(error) = error.as_ref().filter(|error| error.code != 84) {
            failed += 1;
            let cause = error.as_cause();
            terminal.line(format_args!(
                "Error completing leader election ({name}) for partition: {topic}-{index}: {cause}"
            ));
        }
    }
    match failed {
        0 => Ok(0),
        failed => Err(Fault::thrown(format!("{failed} replica(s) could not be elected"))),
    }
}

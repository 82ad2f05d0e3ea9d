//! `kafka-topics`: create, list, describe, alter, delete topics.

mod describe;

use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest};

use super::admin::{self, text, topic_name};
use super::connect::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use super::java::TopicFilter;
use super::options::{Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, ServerError, To};
use crate::types::topic_name::is_internal;

const LIST: Opt = Opt::flag("list", "List the topics' names.");
const CREATE: Opt = Opt::flag("create", "Create a topic.");
const DELETE: Opt = Opt::flag("delete", "Delete topics.");
const ALTER: Opt =
    Opt::flag("alter", "Give topics more partitions; their configuration is altered with kafka-configs.");
const DESCRIBE: Opt = Opt::flag("describe", "Show topics with their partitions and configurations.");
const TOPIC: Opt = Opt::value(
    "topic",
    "topic",
    Kind::Text,
    "The topic. For all but --create also a regular expression, or several names with commas.",
);
const TOPIC_ID: Opt = Opt::value("topic-id", "topic-id", Kind::Text, "The topic to describe, by its id.");
const CONFIG: Opt = Opt::value(
    "config",
    "name=value",
    Kind::Text,
    "A configuration of the topic that is created; may be given many times. `ottla config-docs` explains the keys.",
);
const DELETE_CONFIG: Opt =
    Opt::value("delete-config", "name", Kind::Text, "Does nothing since Kafka 4.0; see kafka-configs.");
const PARTITIONS: Opt = Opt::value(
    "partitions",
    "# of partitions",
    Kind::Integer,
    "How many partitions the topic gets, or shall have with --alter. When it is left out, --create takes the cluster's num.partitions. More partitions change which partition a key belongs to.",
);
const REPLICATION_FACTOR: Opt = Opt::value(
    "replication-factor",
    "replication factor",
    Kind::Integer,
    "How many replicas each partition gets; when it is left out, the cluster's default.replication.factor.",
);
const REPLICA_ASSIGNMENT: Opt = Opt::value(
    "replica-assignment",
    "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , broker_id_for_part2_replica1 : broker_id_for_part2_replica2 , ...",
    Kind::Text,
    "Which brokers get which partition's replicas, by hand.",
);
const UNDER_REPLICATED: Opt =
    Opt::flag("under-replicated-partitions", "Describe only partitions that lack a replica in sync.");
const UNAVAILABLE: Opt = Opt::flag("unavailable-partitions", "Describe only partitions whose leader is not there.");
const UNDER_MIN_ISR: Opt = Opt::flag(
    "under-min-isr-partitions",
    "Describe only partitions with fewer replicas in sync than min.insync.replicas.",
);
const AT_MIN_ISR: Opt = Opt::flag(
    "at-min-isr-partitions",
    "Describe only partitions with exactly as many replicas in sync as min.insync.replicas.",
);
const WITH_OVERRIDES: Opt =
    Opt::flag("topics-with-overrides", "Describe only topics that have a configuration of their own.");
const IF_EXISTS: Opt =
    Opt::flag("if-exists", "When altering, deleting or describing, a topic that does not exist is no error.");
const IF_NOT_EXISTS: Opt = Opt::flag("if-not-exists", "When creating, a topic that exists already is no error.");
const EXCLUDE_INTERNAL: Opt =
    Opt::flag("exclude-internal", "Leave out the topics that Kafka keeps for itself, when listing or describing.");
const PARTITION_LIMIT: Opt = Opt::value(
    "partition-size-limit-per-response",
    "maximum number of partitions per response",
    Kind::Integer,
    "How many partitions are asked for in one request when describing.",
);

pub(super) static TOOL: Tool = Tool {
    name: "kafka-topics",
    about: "Creates, lists, describes, changes and deletes topics.",
    grammar: Grammar::Jopt(&[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        LIST,
        CREATE,
        DELETE,
        ALTER,
        DESCRIBE,
        TOPIC,
        TOPIC_ID,
        CONFIG,
        DELETE_CONFIG,
        PARTITIONS,
        REPLICATION_FACTOR,
        REPLICA_ASSIGNMENT,
        UNDER_REPLICATED,
        UNAVAILABLE,
        UNDER_MIN_ISR,
        AT_MIN_ISR,
        WITH_OVERRIDES,
        IF_EXISTS,
        IF_NOT_EXISTS,
        EXCLUDE_INTERNAL,
        PARTITION_LIMIT,
        OUTPUT,
    ]),
    run,
};

const ACTIONS: [Opt; 5] = [CREATE, LIST, ALTER, DESCRIBE, DELETE];

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    check(parsed, terminal)?;
    let client = connect::admin(parsed, terminal)?;
    let (call, done) = if parsed.has(CREATE) {
        ("createTopics", block_on(create(parsed, &client, terminal)))
    } else if parsed.has(ALTER) {
        ("listTopics", block_on(alter(parsed, &client)))
    } else if parsed.has(LIST) {
        ("listTopics", block_on(list(parsed, &client, terminal)))
    } else if parsed.has(DESCRIBE) {
        ("listTopics", block_on(describe::run(parsed, &client, terminal)))
    } else {
        ("listTopics", block_on(delete(parsed, &client)))
    };
    Ok(match done {
        Ok(()) => 0,
        Err(fault) => {
            terminal.line(format_args!("Error while executing topic command : {}", fault.message(call)));
            1
        }
    })
}

/// Which options go together, in the order in which Kafka looks: it decides which sentence is told.
fn check(parsed: &Parsed, terminal: &mut Terminal) -> Result<(), Fault> {
    if ACTIONS.iter().filter(|action| parsed.has(**action)).count() != 1 {
        return Err(Fault::usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ));
    }
    if parsed.has(DELETE_CONFIG) {
        terminal.error("delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed in future releases.");
    }
    if !parsed.has(BOOTSTRAP_SERVER) {
        return Err(Fault::thrown("--bootstrap-server must be specified"));
    }
    if parsed.has(DESCRIBE) && parsed.has(IF_EXISTS) {
        if !parsed.has(TOPIC) && !parsed.has(TOPIC_ID) {
            return Err(Fault::usage("--topic or --topic-id is required to describe a topic"));
        }
        if parsed.has(TOPIC) && parsed.has(TOPIC_ID) {
            terminal.line("Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID");
        }
    }
    if !parsed.has(LIST) && !parsed.has(DESCRIBE) {
        parsed.check_required(&[TOPIC])?;
    }
    if parsed.has(ALTER) {
        if parsed.has(CONFIG) {
            return Err(Fault::usage(format!(
                "Option combination \"[{CONFIG}, {BOOTSTRAP_SERVER}]\" can't be used with option \"{ALTER}\" (To alter topic configurations, the kafka-configs tool can be used.)"
            )));
        }
        parsed.check_required(&[PARTITIONS])?;
    }
    check_excluded(parsed)
}

fn check_excluded(parsed: &Parsed) -> Result<(), Fault> {
    let others = |allowed: &[Opt]| -> Vec<Opt> {
        let is_allowed = |action: &Opt| allowed.iter().any(|own| own.name == action.name);
        // As Kafka's sets are walked over.
        [ALTER, CREATE, DESCRIBE, LIST, DELETE].into_iter().filter(|action| !is_allowed(action)).collect()
    };
    let with = |mut options: Vec<Opt>, more: &[Opt]| {
        options.extend(more);
        options
    };
    parsed.check_invalid(CONFIG, &others(&[ALTER, CREATE]))?;
    parsed.check_invalid(PARTITIONS, &others(&[ALTER, CREATE]))?;
    parsed.check_invalid(REPLICATION_FACTOR, &others(&[CREATE]))?;
    parsed.check_invalid(REPLICA_ASSIGNMENT, &others(&[ALTER, CREATE]))?;
    if parsed.has(CREATE) {
        parsed.check_invalid(REPLICA_ASSIGNMENT, &[PARTITIONS, REPLICATION_FACTOR])?;
    }
    for report in [UNDER_REPLICATED, UNDER_MIN_ISR, AT_MIN_ISR, UNAVAILABLE] {
        parsed.check_invalid(report, &with(others(&[DESCRIBE]), &[WITH_OVERRIDES]))?;
    }
    let reports = [UNDER_REPLICATED, UNDER_MIN_ISR, AT_MIN_ISR, UNAVAILABLE];
    parsed.check_invalid(WITH_OVERRIDES, &with(others(&[DESCRIBE]), &reports))?;
    parsed.check_invalid(IF_EXISTS, &others(&[ALTER, DELETE, DESCRIBE]))?;
    parsed.check_invalid(IF_NOT_EXISTS, &others(&[CREATE]))?;
    parsed.check_invalid(EXCLUDE_INTERNAL, &others(&[LIST, DESCRIBE]))
}

/// The topics that --topic means, in the order of their names; all of them where it is not given.
async fn matching(parsed: &Parsed, client: &Client) -> Result<Vec<String>, Fault> {
    let filter = parsed.value(TOPIC)?.map(TopicFilter::new).transpose();
    let listing = admin::list_topics(client).await?;
    let filter = filter?;
    let without_internal = parsed.has(EXCLUDE_INTERNAL);
    let names = listing.into_iter().map(|topic| topic.name);
    let allowed = |name: &String| {
        filter.as_ref().is_none_or(|filter| filter.allows(name)) && !(without_internal && is_internal(name))
    };
    Ok(names.filter(allowed).collect())
}

fn ensure_exists(parsed: &Parsed, found: &[String]) -> Result<(), Fault> {
    match parsed.value(TOPIC)? {
        Some(topic) if !topic.is_empty() && found.is_empty() && !parsed.has(IF_EXISTS) => {
            Err(Fault::thrown(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(()),
    }
}

async fn list(parsed: &Parsed, client: &Client, terminal: &mut Terminal) -> Result<(), Fault> {
    let is_json = connect::wants_json(parsed)?;
    let names = matching(parsed, client).await?;
    match is_json {
        true => terminal.line(serde_json::json!(names)),
        false => terminal.line(names.join("\n")),
    }
    Ok(())
}

/// Replicas by partition.
fn assignment(parsed: &Parsed) -> Result<Vec<Vec<i32>>, Fault> {
    let Some(given) = parsed.value(REPLICA_ASSIGNMENT)?.filter(|given| !given.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (index, partition) in given.trim_end_matches(',').split(',').enumerate() {
        let mut replicas = Vec::new();
        for replica in partition.trim_end_matches(':').split(':').map(str::trim) {
            replicas.push(replica.parse().map_err(|_| Fault::thrown(format!("For input string: \"{replica}\"")))?);
        }
        let mut twice: Vec<i32> = Vec::new();
        for (at, replica) in replicas.iter().enumerate() {
            if replicas.iter().take(at).any(|other| other == replica) && !twice.contains(replica) {
                twice.push(*replica);
            }
        }
        if !twice.is_empty() {
            let twice: Vec<String> = twice.iter().map(i32::to_string).collect();
            let twice = twice.join(",");
            return Err(Fault::thrown(format!("Partition replica lists may not contain duplicate entries: {twice}")));
        }
        if partitions.first().is_some_and(|first| first.len() != replicas.len()) {
            return Err(Fault::thrown(format!("Partition {index} has different replication factor: {replicas:?}")));
        }
        partitions.push(replicas);
    }
    Ok(partitions)
}

/// `key=value` pairs; of a key that is given twice the last one counts.
fn configs(parsed: &Parsed) -> Result<Vec<CreatableTopicConfig>, Fault> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for given in parsed.all(CONFIG) {
        // Java's `split` drops empty parts at the end.
        let parts: Vec<&str> = given.trim_end_matches(|c: char| c == '=' || c.is_whitespace()).split('=').collect();
        let [key, value] = parts.as_slice() else {
            return Err(Fault::thrown(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
            ));
        };
        pairs.retain(|(other, _)| other != key.trim());
        pairs.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    let config = |(key, value)| CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)));
    Ok(pairs.into_iter().map(config).collect())
}

async fn create(parsed: &Parsed, client: &Client, terminal: &mut Terminal) -> Result<(), Fault> {
    let name = parsed.value(TOPIC)?.unwrap_or_default();
    let partitions: Option<i32> = parsed.number(PARTITIONS)?;
    let factor: Option<i32> = parsed.number(REPLICATION_FACTOR)?;
    let assignment = assignment(parsed)?;
    let configs = configs(parsed)?;
    if name.contains(['.', '_']) {
        terminal.line("WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.");
    }
    if factor.is_some_and(|factor| !(1..=i32::from(i16::MAX)).contains(&factor)) {
        return Err(Fault::thrown("The replication factor must be between 1 and 32767 inclusive"));
    }
    if partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Fault::thrown("The partitions must be greater than 0"));
    }
    if name.is_empty() {
        return Err(Fault::thrown("The given topic name '' cannot be represented in a request."));
    }
    let brokers = |replicas: Vec<i32>| replicas.into_iter().map(BrokerId).collect();
    let assignments: Vec<_> = (0..)
        .zip(assignment)
        .map(|(index, replicas)| {
            CreatableReplicaAssignment::default().with_partition_index(index).with_broker_ids(brokers(replicas))
        })
        .collect();
    let is_assigned = !assignments.is_empty();
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(if is_assigned { -1 } else { partitions.unwrap_or(-1) })
        .with_replication_factor(match (is_assigned, factor.map(i16::try_from)) {
            (false, Some(Ok(factor))) => factor,
            _ => -1,
        })
        .with_assignments(assignments)
        .with_configs(configs);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms(client));
    let answer = client.send(&To::Controller, &request).await?;
    for result in answer.topics {
        match ServerError::check(result.error_code, result.error_message.as_deref()) {
            Ok(()) => terminal.line(format_args!("Created topic {name}.")),
            // TOPIC_ALREADY_EXISTS
            Err(error) if error.code == 36 && parsed.has(IF_NOT_EXISTS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What the broker may take for a change.
fn timeout_ms(client: &Client) -> i32 {
    i32::try_from(client.request_timeout().as_millis()).unwrap_or(i32::MAX)
}

async fn alter(parsed: &Parsed, client: &Client) -> Result<(), Fault> {
    let count: i32 = parsed.number(PARTITIONS)?.unwrap_or_default();
    let assignment = assignment(parsed)?;
    let names = matching(parsed, client).await?;
    ensure_exists(parsed, &names)?;
    if names.is_empty() {
        return Ok(());
    }
    let described = match assignment.is_empty() {
        true => Vec::new(),
        false => admin::describe_topics(client, &names, 2_000).await?,
    };
    let topics = names.iter().map(|name| {
        let topic = CreatePartitionsTopic::default().with_name(topic_name(name.as_str())).with_count(count);
        let there = described.iter().find(|topic| topic.name == *name).map(|topic| topic.partitions.len());
        topic.with_assignments(there.map(|there| {
            let new = assignment.iter().skip(there).cloned();
            new.map(|replicas| {
                CreatePartitionsAssignment::default().with_broker_ids(replicas.into_iter().map(BrokerId).collect())
            })
            .collect()
        }))
    });
    let request = CreatePartitionsRequest::default().with_topics(topics.collect()).with_timeout_ms(timeout_ms(client));
    let answer = client.send(&To::Controller, &request).await?;
    for result in answer.results {
        ServerError::check(result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

async fn delete(parsed: &Parsed, client: &Client) -> Result<(), Fault> {
    let names = matching(parsed, client).await?;
    ensure_exists(parsed, &names)?;
    if names.is_empty() {
        return Ok(());
    }
    // By name, in the form of each version.
    let states = names.iter().map(|name| DeleteTopicState::default().with_name(Some(topic_name(name.as_str()))));
    let connection = client.retry("DeleteTopics", async || client.connection(&To::Controller).await).await?;
    let request = DeleteTopicsRequest::default().with_timeout_ms(timeout_ms(client));
    let request = match connection.version_of::<DeleteTopicsRequest>(i16::MAX)? >= 6 {
        true => request.with_topics(states.collect()),
        false => request.with_topic_names(names.iter().map(|name| topic_name(name.as_str())).collect()),
    };
    let answer = client.send(&To::Controller, &request).await?;
    for result in answer.responses {
        ServerError::check(result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

//! `kafka-log-dirs`: the log directories of brokers, and what lies in them.

use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

use super::connect::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG};
use super::java::{self, HASH_MAP_BUCKETS, hash_map_order};
use super::options::{Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, ServerError, To};

const DESCRIBE: Opt = Opt::flag("describe", "Describe the log directories.");
const TOPICS: Opt =
    Opt::value("topic-list", "Topic list", Kind::Text, "Only these topics: names with commas.").preset("");
const BROKERS: Opt =
    Opt::value("broker-list", "Broker list", Kind::Text, "Only these brokers: ids with commas.").preset("");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-log-dirs",
    about: "Shows brokers' log directories and how much each partition takes, as JSON.",
    grammar: Grammar::Jopt(&[BOOTSTRAP_SERVER, COMMAND_CONFIG, DESCRIBE, TOPICS, BROKERS]),
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    parsed.check_required(&[BOOTSTRAP_SERVER, DESCRIBE])?;
    let mut properties = connect::properties(parsed, COMMAND_CONFIG)?;
    properties.set("bootstrap.servers", parsed.value(BOOTSTRAP_SERVER)?.unwrap_or_default());
    properties.set_default("client.id", "log-dirs-tool");
    let client = connect::client(&properties, terminal)?;
    let topics: BTreeSet<String> = words(parsed.value(TOPICS)?).map(str::to_owned).collect();
    let mut brokers = Vec::new();
    for word in words(parsed.value(BROKERS)?) {
        let id: i32 = word.parse().map_err(|_| Fault::thrown(format!("For input string: \"{word}\"")))?;
        brokers.push(id);
    }
    block_on(describe(&client, &topics, brokers, terminal))
}

fn words(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').filter(|word| !word.is_empty())
}

/// In the order of a `HashSet` of integers.
fn in_java_order(mut ids: Vec<i32>) -> Vec<i32> {
    ids.sort_unstable();
    ids.dedup();
    hash_map_order(ids, HASH_MAP_BUCKETS, |id| *id)
}

fn joined(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

async fn describe(
    client: &Client,
    topics: &BTreeSet<String>,
    asked: Vec<i32>,
    terminal: &mut Terminal,
) -> Result<u8, Fault> {
    let cause = |fault: Fault, call: &str| Fault::thrown(fault.message_as_cause(call));
    let view = client.retry("describeCluster", async || client.view().await).await;
    let view = view.map_err(|error| cause(error.into(), "describeCluster"))?;
    let there = in_java_order(view.nodes.keys().copied().collect());
    let missing: Vec<i32> = in_java_order(asked.iter().copied().filter(|id| !there.contains(id)).collect());
    if !missing.is_empty() {
        let (missing, there) = (joined(&missing), joined(&there));
        return Err(Fault::thrown(format!(
            "ERROR: The given brokers do not exist from --broker-list: {missing}. Current existent brokers: {there}"
        )));
    }
    let chosen = if asked.is_empty() { there } else { in_java_order(asked) };
    terminal.line("Querying brokers for log directories information");
    terminal.flush();
    let mut found = Vec::new();
    for id in &chosen {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let answer = client.send(&To::Broker(*id), &request).await;
        let answer = answer.map_err(|error| cause(error.into(), "describeLogDirs"))?;
        ServerError::check(answer.error_code, None).map_err(|error| cause(error.into(), "describeLogDirs"))?;
        found.push((*id, answer.results));
    }
    terminal.line(format_args!("Received log directory information from brokers {}", joined(&chosen)));
    terminal.line(as_json(&found, topics));
    Ok(0)
}

/// With the fields in the order in which Kafka's tool writes them, which serde_json's own map does not keep.
fn as_json(found: &[(i32, Vec<DescribeLogDirsResult>)], topics: &BTreeSet<String>) -> String {
    let mut text = String::from("{\"brokers\":[");
    for (at, (id, folders)) in found.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { "," });
        let _ = write!(text, "{{\"broker\":{id},\"logDirs\":[");
        let folders = hash_map_order(folders.iter().collect(), HASH_MAP_BUCKETS, |folder| java::hash(&folder.log_dir));
        for (at, folder) in folders.into_iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "," });
            put_folder(&mut text, folder, topics);
        }
        text.push_str("]}");
    }
    text.push_str("],\"version\":1}");
    text
}

fn put_folder(text: &mut String, folder: &DescribeLogDirsResult, topics: &BTreeSet<String>) {
    text.push_str("{\"partitions\":[");
    let mut partitions = Vec::new();
    for topic in &folder.topics {
        let name: &str = &topic.name;
        if topics.is_empty() || topics.contains(name) {
            partitions.extend(topic.partitions.iter().map(|partition| (name, partition)));
        }
    }
    let ordered = hash_map_order(partitions, HASH_MAP_BUCKETS, |(topic, partition)| {
        java::partition_hash(topic, partition.partition_index)
    });
    for (at, (topic, partition)) in ordered.into_iter().enumerate() {
        text.push_str(if at == 0 { "" } else { "," });
        let _ = write!(
            text,
            "{{\"partition\":{},\"size\":{},\"offsetLag\":{},\"isFuture\":{}}}",
            json!(format!("{topic}-{}", partition.partition_index)),
            partition.partition_size,
            partition.offset_lag,
            partition.is_future_key
        );
    }
    let error = ServerError::from_code(folder.error_code, None).map(|error| error.class());
    let _ = write!(text, "],\"error\":{},\"logDir\":{}}}", json!(error), json!(&*folder.log_dir));
}

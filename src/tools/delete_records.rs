//! `kafka-delete-records`: moves partitions' beginnings up.

use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use std::collections::BTreeMap;
use std::path::Path;

use super::admin::{self, topic_name};
use super::connect::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG};
use super::java::{self, HASH_MAP_BUCKETS, hash_map_order};
use super::json::{self, Json};
use super::options::{Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, ServerError, To};

const FILE: Opt = Opt::value(
    "offset-json-file",
    "Offset json file path",
    Kind::File,
    "A JSON file with the first offset that each partition keeps: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}], \"version\": 1}.",
);

pub(super) static TOOL: Tool = Tool {
    name: "kafka-delete-records",
    about: "Deletes the records of partitions below given offsets.",
    grammar: Grammar::Jopt(&[BOOTSTRAP_SERVER, FILE, COMMAND_CONFIG]),
    run,
};

/// A partition and the first offset that it keeps.
type Before = (String, i32, i64);

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    parsed.check_required(&[BOOTSTRAP_SERVER, FILE])?;
    let client = connect::admin(parsed, terminal)?;
    let file = json::read(Path::new(parsed.value(FILE)?.unwrap_or_default()))?;
    let wanted = offsets(&Json::parse(&file).ok_or_else(|| Fault::thrown("The input string is not a valid JSON"))?)?;
    terminal.line("Executing records delete operation");
    terminal.line("Records delete operation completed:");
    block_on(delete(&client, &wanted, terminal))
}

fn offsets(document: &Json) -> Result<Vec<Before>, Fault> {
    let version = document.find("version")?.map_or(Ok(1), |version| version.integer())?;
    if version != 1 {
        return Err(Fault::thrown(format!("Not supported version field value {version}")));
    }
    let partitions = document.find("partitions")?.ok_or_else(|| Fault::thrown("Missing partitions field"))?;
    let mut wanted: Vec<Before> = Vec::new();
    let mut twice: Vec<String> = Vec::new();
    for entry in partitions.elements()? {
        let (topic, partition) = (entry.get("topic")?.text()?, entry.get("partition")?.integer()?);
        let offset = entry.get("offset")?.long()?;
        if wanted.iter().any(|(name, index, _)| *name == topic && *index == partition) {
            twice.push(format!("{topic}-{partition}"));
        }
        wanted.push((topic, partition, offset));
    }
    twice.sort_unstable();
    twice.dedup();
    match twice.is_empty() {
        true => Ok(hash_map_order(wanted, HASH_MAP_BUCKETS, |(topic, index, _)| java::partition_hash(topic, *index))),
        false => {
            Err(Fault::thrown(format!("Offset json file contains duplicate topic partitions: {}", twice.join(","))))
        }
    }
}

async fn delete(client: &Client, wanted: &[Before], terminal: &mut Terminal) -> Result<u8, Fault> {
    let partitions: Vec<(String, i32)> = wanted.iter().map(|(topic, index, _)| (topic.clone(), *index)).collect();
    let leaders = admin::leaders(client, &partitions).await;
    let mut done: BTreeMap<(String, i32), Result<i64, Fault>> = BTreeMap::new();
    let mut by_leader: BTreeMap<i32, Vec<&Before>> = BTreeMap::new();
    for before in wanted {
        let key = (before.0.clone(), before.1);
        match leaders.as_ref().map(|leaders| leaders.get(&key).cloned()) {
            Ok(Some(Ok(leader))) => by_leader.entry(leader).or_default().push(before),
            Ok(Some(Err(error))) => drop(done.insert(key, Err(error.into()))),
            Ok(None) => {}
            Err(fault) => drop(done.insert(key, Err(fault.clone()))),
        }
    }
    for (leader, wanted) in by_leader {
        ask(client, leader, &wanted, &mut done).await;
    }
    for (topic, index, _) in wanted {
        match done.get(&(topic.clone(), *index)) {
            Some(Ok(low)) => terminal.line(format_args!("partition: {topic}-{index}\tlow_watermark: {low}")),
            Some(Err(fault)) => terminal
                .line(format_args!("partition: {topic}-{index}\terror: {}", fault.message_as_cause("deleteRecords"))),
            None => terminal.line(format_args!("partition: {topic}-{index}\terror: the broker did not say")),
        }
    }
    Ok(0)
}

async fn ask(client: &Client, leader: i32, wanted: &[&Before], done: &mut BTreeMap<(String, i32), Result<i64, Fault>>) {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for (topic, index, offset) in wanted {
        let partition = DeleteRecordsPartition::default().with_partition_index(*index).with_offset(*offset);
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
    });
    let timeout_ms = i32::try_from(client.request_timeout().as_millis()).unwrap_or(i32::MAX);
    let request = DeleteRecordsRequest::default().with_topics(topics.collect()).with_timeout_ms(timeout_ms);
    match client.send(&To::Broker(leader), &request).await {
        Ok(answer) => {
            for topic in answer.topics {
                for partition in topic.partitions {
                    let outcome = ServerError::check(partition.error_code, None).map_err(Fault::from);
                    let key = (topic.name.to_string(), partition.partition_index);
                    done.insert(key, outcome.map(|()| partition.low_watermark));
                }
            }
        }
        Err(error) => {
            for (topic, index, _) in wanted {
                done.insert((topic.clone(), *index), Err(error.clone().into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_kafka_reads_them() {
        let read = |text: &str| offsets(&Json::parse(text).unwrap());
        let one = r#"{"partitions":[{"topic":"a","partition":0,"offset":5}],"version":1}"#;
        assert_eq!(read(one).unwrap(), [("a".to_owned(), 0, 5)]);
        let message = |text: &str| read(text).unwrap_err().message("");
        assert_eq!(message(r#"{"partitions":[],"version":2}"#), "Not supported version field value 2");
        assert_eq!(message("{}"), "Missing partitions field");
        let twice = r#"{"partitions":[{"topic":"a","partition":0,"offset":5},{"topic":"a","partition":0,"offset":6}]}"#;
        assert_eq!(message(twice), "Offset json file contains duplicate topic partitions: a-0");
        assert!(read(r#"{"partitions":[{"topic":"a","partition":"0","offset":5}]}"#).is_err());
    }
}

//! What a workload needs of the cluster: topics that are there and led, where they end, who a producer is.

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::BenchError;
use super::payload::Numbered;
use crate::client::{Client, To};

const TOPIC_ALREADY_EXISTS: i16 = 36;
/// UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH: the partition is new.
const NOT_LED_YET: [i16; 4] = [3, 5, 6, 76];
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE: the broker is new.
const NO_IDS_YET: [i16; 2] = [14, 15];
/// How long new partitions may take to have leaders.
const LEADERS_WITHIN: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// The offset that asks for a partition's end, and its begin.
pub const LATEST: i64 = -1;
pub const EARLIEST: i64 = -2;

/// Partitions by the broker that leads them.
pub type ByLeader = BTreeMap<i32, Vec<i32>>;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Makes a topic, unless it is there, and waits until all of its partitions are led. The milliseconds until then, `None` when it was there.
///
/// # Errors
/// [`BenchError::Wrong`] for a configuration without `=`, [`BenchError::Refused`], and what the client met.
pub async fn make_topic(
    client: &Client,
    topic: &str,
    partitions: i32,
    configs: &[String],
) -> Result<Option<f64>, BenchError> {
    let mut entries = Vec::new();
    for config in configs {
        let (key, value) = config
            .split_once('=')
            .ok_or_else(|| BenchError::Wrong(format!("--topic-config {config} has to be KEY=VALUE")))?;
        entries.push(CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value))));
    }
    let wanted = CreatableTopic::default()
        .with_name(topic_name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
        .with_configs(entries);
    let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(60_000);
    let begun = Instant::now();
    let answer = client.send(&To::Controller, &request).await?;
    let code = answer.topics.first().map_or(0, |topic| topic.error_code);
    if code != TOPIC_ALREADY_EXISTS {
        BenchError::check(code, || format!("topic {topic} was not created"))?;
    }
    for (leader, partitions) in leaders(client, topic).await? {
        // The metadata may tell of leaders that do not know it themselves yet.
        offsets(client, leader, topic, &partitions, LATEST).await?;
    }
    Ok((code != TOPIC_ALREADY_EXISTS).then(|| begun.elapsed().as_secs_f64() * 1e3))
}

/// Who leads which partitions, once all are led.
///
/// # Errors
/// [`BenchError::Refused`] when that takes longer than a minute, and what the client met.
pub async fn leaders(client: &Client, topic: &str) -> Result<ByLeader, BenchError> {
    let deadline = Instant::now() + LEADERS_WITHIN;
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
    loop {
        let answer = client.send(&To::Any, &request).await?;
        let mut found = ByLeader::new();
        let mut code = 0;
        for topic in answer.topics {
            code = topic.error_code;
            for partition in topic.partitions {
                if partition.error_code != 0 {
                    code = partition.error_code;
                }
                found.entry(partition.leader_id.0).or_default().push(partition.partition_index);
            }
        }
        if code == 0 && !found.is_empty() && !found.contains_key(&-1) {
            found.values_mut().for_each(|partitions| partitions.sort_unstable());
            return Ok(found);
        }
        if Instant::now() > deadline {
            BenchError::check(code, || format!("topic {topic}"))?;
            return Err(BenchError::Wrong(format!("topic {topic} has partitions without a leader")));
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// The offsets of partitions that one broker leads, at [`LATEST`] or [`EARLIEST`].
///
/// # Errors
/// [`BenchError::Refused`], and what the client met.
pub async fn offsets(
    client: &Client,
    leader: i32,
    topic: &str,
    partitions: &[i32],
    at: i64,
) -> Result<BTreeMap<i32, i64>, BenchError> {
    let asked = |index: &i32| {
        ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(at).with_current_leader_epoch(-1)
    };
    let asked = partitions.iter().map(asked).collect();
    let asked = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(asked);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
    let deadline = Instant::now() + LEADERS_WITHIN;
    loop {
        let answer = client.send(&To::Broker(leader), &request).await?;
        let answered: Vec<_> = answer.topics.into_iter().flat_map(|topic| topic.partitions).collect();
        let refused = answered.iter().find(|partition| partition.error_code != 0);
        match refused {
            Some(partition) if NOT_LED_YET.contains(&partition.error_code) && Instant::now() < deadline => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Some(partition) => {
                BenchError::check(partition.error_code, || format!("{topic}-{}", partition.partition_index))?;
            }
            None => return Ok(answered.iter().map(|found| (found.partition_index, found.offset)).collect()),
        }
    }
}

/// An identity for an idempotent producer.
///
/// # Errors
/// [`BenchError::Refused`], and what the client met.
pub async fn producer(client: &Client) -> Result<Numbered, BenchError> {
    let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
    let deadline = Instant::now() + LEADERS_WITHIN;
    loop {
        let answer = client.send(&To::Any, &request).await?;
        if NO_IDS_YET.contains(&answer.error_code) && Instant::now() < deadline {
            tokio::time::sleep(ASK_AGAIN).await;
            continue;
        }
        BenchError::check(answer.error_code, || "the broker gave no producer id".to_owned())?;
        return Ok(Numbered { producer_id: answer.producer_id.0, producer_epoch: answer.producer_epoch, sequence: 0 });
    }
}

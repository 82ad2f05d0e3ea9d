//! Questions that several tools ask a cluster, with the answers as they need them. The names of calls are those of Kafka's admin client: they are part of what is
//! said when time runs out.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeTopicPartitionsRequest, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use uuid::Uuid;

use super::Fault;
use crate::client::{Client, ClientError, ServerError, To};

/// Types of DescribeConfigs' resources.
pub const TOPIC_RESOURCE: i8 = 2;
/// As [`TOPIC_RESOURCE`].
pub const BROKER_RESOURCE: i8 = 4;

/// A text as the protocol has it.
pub fn text(value: impl Into<String>) -> StrBytes {
    StrBytes::from_string(value.into())
}

/// A topic's name as the protocol has it.
pub fn topic_name(name: impl Into<String>) -> TopicName {
    TopicName(text(name))
}

/// A topic as a listing tells it.
#[derive(Clone, Debug)]
pub struct Listing {
    pub name: String,
    pub id: Uuid,
    pub is_internal: bool,
}

/// All topics, in the order of their names.
///
/// # Errors
/// What the client met.
pub async fn list_topics(client: &Client) -> Result<Vec<Listing>, Fault> {
    let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
    let answer: MetadataResponse = client.send(&To::Any, &request).await?;
    let listing = answer.topics.into_iter().filter_map(|topic| {
        Some(Listing { name: topic.name?.to_string(), id: topic.topic_id, is_internal: topic.is_internal })
    });
    let mut listing: Vec<Listing> = listing.collect();
    listing.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(listing)
}

/// A partition as a description tells it.
#[derive(Clone, Debug)]
pub struct Partition {
    pub index: i32,
    pub leader: Option<i32>,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
    /// Eligible leader replicas (KIP-966); `None` when the cluster does not tell.
    pub eligible: Option<Vec<i32>>,
    pub last_known_eligible: Option<Vec<i32>>,
}

/// A topic as a description tells it.
#[derive(Clone, Debug)]
pub struct Description {
    pub name: String,
    pub id: Uuid,
    /// In the order of their indexes.
    pub partitions: Vec<Partition>,
}

/// Describes topics, in the order of `names`. At most `limit` partitions are asked for in one request.
///
/// # Errors
/// What the client met; what the cluster says of the first topic that it cannot describe.
pub async fn describe_topics(client: &Client, names: &[String], limit: i32) -> Result<Vec<Description>, Fault> {
    let mut found: BTreeMap<String, Description> = BTreeMap::new();
    let mut cursor: Option<Cursor> = None;
    // The protocol wants them sorted, and so Kafka's client sends them.
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    loop {
        let left = sorted
            .iter()
            .filter(|name| cursor.as_ref().is_none_or(|cursor| name.as_str() >= cursor.topic_name.as_str()));
        let topics = left.map(|name| TopicRequest::default().with_name(topic_name(name.as_str()))).collect();
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics)
            .with_response_partition_limit(limit)
            .with_cursor(cursor.clone());
        let answer = match client.send(&To::Any, &request).await {
            Err(ClientError::Unsupported { .. }) => return describe_by_metadata(client, names).await,
            other => other?,
        };
        for topic in answer.topics {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            ServerError::check(topic.error_code, None)?;
            let ids =
                |nodes: Vec<kafka_protocol::messages::BrokerId>| nodes.into_iter().map(|id| id.0).collect::<Vec<_>>();
            let partitions = topic.partitions.into_iter().map(|partition| Partition {
                index: partition.partition_index,
                leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
                replicas: ids(partition.replica_nodes),
                in_sync: ids(partition.isr_nodes),
                eligible: partition.eligible_leader_replicas.map(ids),
                last_known_eligible: partition.last_known_elr.map(ids),
            });
            let new = || Description { name: name.clone(), id: topic.topic_id, partitions: Vec::new() };
            found.entry(name.clone()).or_insert_with(new).partitions.extend(partitions);
        }
        match answer.next_cursor {
            Some(next) => {
                let next =
                    Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index);
                // A broker that does not get on would be asked for ever.
                if cursor.as_ref() == Some(&next) {
                    break;
                }
                cursor = Some(next);
            }
            None => break,
        }
    }
    in_order(found, names)
}

/// For brokers before Kafka 3.8.
async fn describe_by_metadata(client: &Client, names: &[String]) -> Result<Vec<Description>, Fault> {
    let topics = names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name.as_str()))));
    let request = MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false);
    let answer = client.send(&To::Any, &request).await?;
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        ServerError::check(topic.error_code, None)?;
        let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
        let partitions = topic.partitions.into_iter().map(|partition| Partition {
            index: partition.partition_index,
            leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
            replicas: partition.replica_nodes.into_iter().map(|id| id.0).collect(),
            in_sync: partition.isr_nodes.into_iter().map(|id| id.0).collect(),
            eligible: None,
            last_known_eligible: None,
        });
        found.insert(name.clone(), Description { name, id: topic.topic_id, partitions: partitions.collect() });
    }
    in_order(found, names)
}

fn in_order(mut found: BTreeMap<String, Description>, names: &[String]) -> Result<Vec<Description>, Fault> {
    let mut described = Vec::with_capacity(names.len());
    for name in names {
        let Some(mut description) = found.remove(name) else {
            // UNKNOWN_TOPIC_OR_PARTITION
            return Err(ServerError::check(3, None).map_or_else(Fault::from, |()| Fault::Exit(super::FAILED)));
        };
        description.partitions.sort_unstable_by_key(|partition| partition.index);
        described.push(description);
    }
    Ok(described)
}

/// The leaders of partitions, or what the cluster says of them. Partitions that it does not tell of at all are not in the map.
///
/// # Errors
/// What the client met.
pub async fn leaders(
    client: &Client,
    partitions: &[(String, i32)],
) -> Result<BTreeMap<(String, i32), Result<i32, ServerError>>, Fault> {
    let mut names: Vec<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let topics = names.into_iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    let request = MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false);
    let answer = client.send(&To::Any, &request).await?;
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
        let of_topic = ServerError::check(topic.error_code, None);
        for (_, index) in partitions.iter().filter(|(wanted, _)| *wanted == name) {
            let partition = topic.partitions.iter().find(|partition| partition.partition_index == *index);
            let leader = match (&of_topic, partition) {
                (Err(error), _) => Err(error.clone()),
                (Ok(()), Some(partition)) => {
                    ServerError::check(partition.error_code, None).map(|()| partition.leader_id.0)
                }
                // UNKNOWN_TOPIC_OR_PARTITION
                (Ok(()), None) => ServerError::check(3, None).map(|()| -1),
            };
            found.insert((name.clone(), *index), leader);
        }
    }
    Ok(found)
}

/// Where DescribeConfigs found a value.
pub mod source {
    pub const TOPIC: i8 = 1;
    pub const BROKER: i8 = 2;
    pub const BROKER_DEFAULT: i8 = 3;
    pub const CLIENT_METRICS: i8 = 7;
    pub const GROUP: i8 = 8;

    /// As Java names them.
    pub fn name(source: i8) -> &'static str {
        match source {
            TOPIC => "DYNAMIC_TOPIC_CONFIG",
            BROKER => "DYNAMIC_BROKER_CONFIG",
            BROKER_DEFAULT => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            4 => "STATIC_BROKER_CONFIG",
            5 => "DEFAULT_CONFIG",
            6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
            CLIENT_METRICS => "DYNAMIC_CLIENT_METRICS_CONFIG",
            GROUP => "DYNAMIC_GROUP_CONFIG",
            _ => "UNKNOWN",
        }
    }
}

/// Whether a value is a default: what Java calls `isDefault`.
pub fn is_default(entry: &DescribeConfigsResourceResult) -> bool {
    entry.config_source == 5
}

/// The configurations of resources of one type, in the order of `names`, each with its entries as the broker sent them. A broker's are asked for at that broker.
///
/// # Errors
/// What the client met; what the cluster says of the first that it cannot describe.
pub async fn describe_configs(
    client: &Client,
    resource_type: i8,
    names: &[String],
    with_synonyms: bool,
) -> Result<Vec<Vec<DescribeConfigsResourceResult>>, Fault> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let to = match (resource_type, names) {
        // Of a broker, and of its loggers, only it knows.
        (BROKER_RESOURCE | 8, [name]) if !name.is_empty() => name.parse().map_or(To::Any, To::Broker),
        _ => To::Any,
    };
    let resources = names.iter().map(|name| {
        let resource = DescribeConfigsResource::default().with_resource_type(resource_type);
        resource.with_resource_name(text(name.as_str())).with_configuration_keys(None)
    });
    let request =
        DescribeConfigsRequest::default().with_resources(resources.collect()).with_include_synonyms(with_synonyms);
    let answer = client.send(&to, &request).await?;
    let mut found = BTreeMap::new();
    for result in answer.results {
        ServerError::check(result.error_code, result.error_message.as_deref())?;
        found.insert(result.resource_name.to_string(), result.configs);
    }
    Ok(names.iter().map(|name| found.remove(name).unwrap_or_default()).collect())
}

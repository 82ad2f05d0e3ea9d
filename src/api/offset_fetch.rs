//! OffsetFetch v1-9: committed offsets of one group, or from v8 on of several (KIP-709).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::NONE;
use super::group_strings::{kept, told};
use crate::coordinator::group::requests::{FetchedOffset, FetchedTopic, TopicPartitions};

/// First version with several groups.
const BATCHED_VERSION: i16 = 8;
/// First version with an error for the whole, and with "all topics".
const GROUP_ERROR_VERSION: i16 = 2;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let require_stable = request.require_stable;
    if context.api_version < BATCHED_VERSION {
        let topics = request.topics.map(|topics| {
            topics
                .iter()
                .map(|t| TopicPartitions { name: kept(&t.name), partitions: t.partition_indexes.clone() })
                .collect()
        });
        return fetch_alone(broker, context.api_version, &kept(&request.group_id), topics, require_stable).await;
    }
    let mut response = OffsetFetchResponse::default();
    for group in request.groups {
        let topics = group.topics.map(|topics| {
            topics
                .iter()
                .map(|t| TopicPartitions { name: kept(&t.name), partitions: t.partition_indexes.clone() })
                .collect()
        });
        let answered = OffsetFetchResponseGroup::default();
        let answered = match broker.groups.fetch_offsets(&group.group_id, topics, require_stable).await {
            Ok(fetched) => answered.with_topics(fetched.into_iter().map(one_of_many).collect()),
            Err(error) => answered.with_error_code(error.code()),
        };
        response.groups.push(answered.with_group_id(group.group_id));
    }
    response
}

async fn fetch_alone(
    broker: &Arc<Broker>,
    version: i16,
    group_id: &str,
    topics: Option<Vec<TopicPartitions>>,
    require_stable: bool,
) -> OffsetFetchResponse {
    let response = OffsetFetchResponse::default();
    match broker.groups.fetch_offsets(group_id, topics.clone(), require_stable).await {
        Ok(fetched) => response.with_topics(fetched.into_iter().map(alone).collect()),
        Err(error) if version >= GROUP_ERROR_VERSION => response.with_error_code(error.code()),
        Err(error) => {
            let failed = topics.unwrap_or_default().into_iter().map(|topic| failed_topic(topic, error));
            response.with_topics(failed.map(alone).collect())
        }
    }
}

/// Version 1 has no place for an error of the whole: every partition has it.
fn failed_topic(topic: TopicPartitions, error: ResponseError) -> FetchedTopic {
    let partitions = topic.partitions.into_iter().map(|index| FetchedOffset::none(index, Some(error))).collect();
    FetchedTopic { name: topic.name, partitions }
}

fn alone(topic: FetchedTopic) -> OffsetFetchResponseTopic {
    let partition = |fetched: FetchedOffset| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(fetched.partition)
            .with_committed_offset(fetched.offset)
            .with_committed_leader_epoch(fetched.leader_epoch)
            .with_metadata(Some(told(&fetched.metadata)))
            .with_error_code(fetched.error.map_or(NONE, |error| error.code()))
    };
    OffsetFetchResponseTopic::default()
        .with_name(TopicName(told(&topic.name)))
        .with_partitions(topic.partitions.into_iter().map(partition).collect())
}

fn one_of_many(topic: FetchedTopic) -> OffsetFetchResponseTopics {
    let partition = |fetched: FetchedOffset| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(fetched.partition)
            .with_committed_offset(fetched.offset)
            .with_committed_leader_epoch(fetched.leader_epoch)
            .with_metadata(Some(told(&fetched.metadata)))
            .with_error_code(fetched.error.map_or(NONE, |error| error.code()))
    };
    OffsetFetchResponseTopics::default()
        .with_name(TopicName(told(&topic.name)))
        .with_partitions(topic.partitions.into_iter().map(partition).collect())
}

//! OffsetDelete v0 (KIP-496): removes a group's offsets of topics that it does not use.

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::NONE;
use super::group_strings::{kept, told};
use crate::coordinator::group::requests::{TopicPartitions, TopicResults};

pub async fn handle(
    broker: &Arc<Broker>,
    _context: &RequestContext,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let mut results: IndexMap<Arc<str>, Vec<(i32, Option<ResponseError>)>> = IndexMap::new();
    let mut existing = Vec::with_capacity(request.topics.len());
    {
        let image = broker.cluster.image();
        for asked in &request.topics {
            let topic = image.topic(&asked.name);
            let (known, unknown): (Vec<i32>, Vec<i32>) = asked
                .partitions
                .iter()
                .map(|partition| partition.partition_index)
                .partition(|index| topic.is_some_and(|topic| topic.partition(*index).is_some()));
            if topic.is_none() || !unknown.is_empty() {
                let error = Some(ResponseError::UnknownTopicOrPartition);
                results.entry(kept(&asked.name)).or_default().extend(unknown.into_iter().map(|index| (index, error)));
            }
            if !known.is_empty() {
                existing.push(TopicPartitions { name: kept(&asked.name), partitions: known });
            }
        }
    }
    // Also when nothing is left to delete: the group's own error comes first.
    match broker.groups.delete_offsets(&request.group_id, existing).await {
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
        Ok(deleted) => {
            for TopicResults { name, partitions } in deleted {
                results.entry(name).or_default().extend(partitions);
            }
        }
    }
    let partition = |(index, error): (i32, Option<ResponseError>)| {
        OffsetDeleteResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(error.map_or(NONE, |error| error.code()))
    };
    let topic = |(name, partitions): (Arc<str>, Vec<(i32, Option<ResponseError>)>)| {
        OffsetDeleteResponseTopic::default()
            .with_name(TopicName(told(&name)))
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    OffsetDeleteResponse::default().with_topics(results.into_iter().map(topic).collect())
}

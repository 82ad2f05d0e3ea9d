//! OffsetCommit v2-9. Offsets of partitions that do not exist are refused here, the rest goes to the coordinator.

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::NONE;
use super::group_strings::{is_of_groups_course, kept, kept_option, told};
use crate::cluster::MetadataImage;
use crate::coordinator::group::requests::{CommitPartition, CommitRequest, CommitTopic, TopicResults};

/// From this version on, clients expect `GroupIdNotFound` (KIP-848).
const GROUP_NOT_FOUND_VERSION: i16 = 9;
/// "The broker's retention": the only thing that versions after 4 can say.
const DEFAULT_RETENTION_MS: i64 = -1;

/// Results by topic, in the order in which topics were first named.
type Results = IndexMap<Arc<str>, Vec<(i32, Option<ResponseError>)>>;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let mut results = Results::new();
    let topics = existing_topics(&broker.cluster.image(), &request, &mut results);
    if topics.is_empty() {
        return to_client(results);
    }
    let asked = CommitRequest {
        group_id: kept(&request.group_id),
        member_id: kept(&request.member_id),
        instance_id: kept_option(request.group_instance_id.as_ref()),
        generation: request.generation_id_or_member_epoch,
        retention_ms: Some(request.retention_time_ms).filter(|ms| *ms != DEFAULT_RETENTION_MS),
        knows_group_not_found: context.api_version >= GROUP_NOT_FOUND_VERSION,
        topics,
    };
    drop(request);
    let named: Vec<(Arc<str>, Vec<i32>)> =
        asked.topics.iter().map(|t| (Arc::clone(&t.name), t.partitions.iter().map(|p| p.index).collect())).collect();
    let group_id = Arc::clone(&asked.group_id);
    context.connection.activity.speaks_as(&group_id, &asked.member_id);
    match broker.groups.commit_offsets(asked).await {
        Ok(committed) => {
            for TopicResults { name, partitions } in committed {
                results.entry(name).or_default().extend(partitions);
            }
        }
        // There is no place for an error of the whole: every partition has it.
        Err(error) => {
            if !is_of_groups_course(error) {
                context.refused(error, &group_id, &error);
            }
            for (name, partitions) in named {
                results.entry(name).or_default().extend(partitions.into_iter().map(|index| (index, Some(error))));
            }
        }
    }
    to_client(results)
}

fn existing_topics(image: &MetadataImage, request: &OffsetCommitRequest, results: &mut Results) -> Vec<CommitTopic> {
    let mut existing = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let topic = image.topic(&asked.name);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for partition in &asked.partitions {
            if topic.is_some_and(|topic| topic.partition(partition.partition_index).is_some()) {
                partitions.push(CommitPartition {
                    index: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: kept_option(partition.committed_metadata.as_ref()).unwrap_or_else(|| Arc::from("")),
                });
            } else {
                let unknown = (partition.partition_index, Some(ResponseError::UnknownTopicOrPartition));
                results.entry(kept(&asked.name)).or_default().push(unknown);
            }
        }
        match topic {
            Some(topic) if !partitions.is_empty() => {
                existing.push(CommitTopic { name: Arc::clone(&topic.name), topic_id: topic.id, partitions });
            }
            Some(_) => {}
            // Named, even without partitions.
            None => {
                results.entry(kept(&asked.name)).or_default();
            }
        }
    }
    existing
}

fn to_client(results: Results) -> OffsetCommitResponse {
    let partition = |(index, error): (i32, Option<ResponseError>)| {
        OffsetCommitResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(error.map_or(NONE, |error| error.code()))
    };
    let topic = |(name, partitions): (Arc<str>, Vec<(i32, Option<ResponseError>)>)| {
        OffsetCommitResponseTopic::default()
            .with_name(TopicName(told(&name)))
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    OffsetCommitResponse::default().with_topics(results.into_iter().map(topic).collect())
}

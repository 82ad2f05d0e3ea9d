//! ListOffsets v1-10 (KIP-79, KIP-734): earliest, latest, largest timestamp, and the first record at or after a timestamp, exact to the record.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use std::collections::HashSet;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::ErrorCode;
use crate::log::read::SearchMemory;
use crate::replica::Partition;
use crate::replica::partition::ReplicaError;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// A plain consumer's replica id; a follower's is its broker id, a debugging tool's is -2.
const CONSUMER: i32 = -1;

struct Found {
    timestamp_ms: i64,
    offset: i64,
    leader_epoch: Option<i32>,
}

const NOT_FOUND: Found = Found { timestamp_ms: -1, offset: -1, leader_epoch: None };

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            if !seen.insert((topic.name.as_str(), partition.partition_index)) {
                twice.insert((topic.name.as_str(), partition.partition_index));
            }
        }
    }
    let mut response = ListOffsetsResponse::default();
    for topic in &request.topics {
        let mut answered = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
        for wanted in &topic.partitions {
            if twice.contains(&(topic.name.as_str(), wanted.partition_index))
                && answered.partitions.iter().any(|earlier| earlier.partition_index == wanted.partition_index)
            {
                continue;
            }
            let found = if twice.contains(&(topic.name.as_str(), wanted.partition_index)) {
                Err(ResponseError::InvalidRequest)
            } else if is_unsupported(wanted.timestamp, context.api_version) {
                Err(ResponseError::UnsupportedVersion)
            } else {
                list_one(broker, &topic.name, wanted, &request).await
            };
            let found = found.inspect_err(|error| {
                context.refused(*error, &format!("{}-{}", topic.name.as_str(), wanted.partition_index), error);
            });
            answered.partitions.push(partition_response(wanted, found, context.api_version));
        }
        if !answered.partitions.is_empty() {
            response.topics.push(answered);
        }
    }
    response
}

/// Special timestamps that this version does not have; below all of them nothing is defined.
fn is_unsupported(timestamp: i64, version: i16) -> bool {
    match timestamp {
        MAX_TIMESTAMP => version < 7,
        EARLIEST_LOCAL => version < 8,
        LATEST_TIERED => version < 9,
        other => other < LATEST_TIERED,
    }
}

async fn list_one(
    broker: &Arc<Broker>,
    topic: &str,
    wanted: &ListOffsetsPartition,
    request: &ListOffsetsRequest,
) -> Result<Found, ResponseError> {
    let image = broker.cluster.image();
    let topic = image.topic(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
    topic.partition(wanted.partition_index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition =
        broker.replicas.partition(topic.id, wanted.partition_index).ok_or(ResponseError::NotLeaderOrFollower)?;
    if !matches!(request.isolation_level, 0 | 1) {
        return Err(ResponseError::UnknownServerError);
    }
    let read_committed = request.isolation_level == 1;
    let end_offset = if request.replica_id.0 != CONSUMER {
        partition.log().end_offset()
    } else if read_committed {
        partition.last_stable_offset()
    } else {
        partition.high_watermark()
    };
    let memory = SearchMemory { runs: &broker.search_memory, opened: &broker.open_memory };
    find(&partition, wanted, end_offset, &memory).await.map_err(|error| error.error())
}

async fn find(
    partition: &Arc<Partition>,
    wanted: &ListOffsetsPartition,
    end_offset: i64,
    memory: &SearchMemory<'_>,
) -> Result<Found, ReplicaError> {
    let leadership = partition.check_leader(wanted.current_leader_epoch)?;
    let log = partition.log();
    match wanted.timestamp {
        LATEST => Ok(Found { timestamp_ms: -1, offset: end_offset, leader_epoch: Some(leadership.leader_epoch) }),
        EARLIEST | EARLIEST_LOCAL => {
            let offset = log.start_offset();
            Ok(Found { timestamp_ms: -1, offset, leader_epoch: log.epoch_at(offset)? })
        }
        // Nothing is tiered here.
        LATEST_TIERED => Ok(Found { timestamp_ms: -1, offset: -1, leader_epoch: Some(-1) }),
        timestamp => {
            let found = if timestamp == MAX_TIMESTAMP {
                log.offset_of_max_timestamp(memory).await?.filter(|found| found.offset < end_offset)
            } else {
                log.offset_for_timestamp(timestamp, end_offset, memory).await?
            };
            let Some(found) = found else { return Ok(NOT_FOUND) };
            let leader_epoch = log.epoch_at(found.offset)?;
            Ok(Found { timestamp_ms: found.timestamp_ms, offset: found.offset, leader_epoch })
        }
    }
}

fn partition_response(
    wanted: &ListOffsetsPartition,
    found: Result<Found, ResponseError>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let (error_code, found) = match found {
        Ok(found) => (0, found),
        Err(error) => (error.code(), NOT_FOUND),
    };
    let mut response = ListOffsetsPartitionResponse::default()
        .with_partition_index(wanted.partition_index)
        .with_error_code(error_code)
        .with_timestamp(found.timestamp_ms)
        .with_offset(found.offset);
    if version >= 4 {
        response.leader_epoch = found.leader_epoch.unwrap_or(-1);
    }
    response
}

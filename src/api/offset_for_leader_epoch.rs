//! OffsetForLeaderEpoch v2-4 (KIP-101, KIP-320): where a leader epoch ended, so that consumers and followers find where their log leaves the leader's.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::ErrorCode;

/// "Not told", for the epoch that a client believes in. Anything below is older than every epoch.
const NO_EPOCH: i32 = -1;

pub async fn handle(
    broker: &Arc<Broker>,
    _context: &RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in &request.topics {
        let mut answered = OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone());
        for wanted in &topic.partitions {
            let found =
                EpochEndOffset::default().with_partition(wanted.partition).with_leader_epoch(-1).with_end_offset(-1);
            answered.partitions.push(match end_offset(broker, &topic.topic, wanted) {
                Ok(Some((epoch, end_offset))) => found.with_leader_epoch(epoch).with_end_offset(end_offset),
                Ok(None) => found,
                Err(error) => found.with_error_code(error.code()),
            });
        }
        response.topics.push(answered);
    }
    response
}

fn end_offset(
    broker: &Arc<Broker>,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ResponseError> {
    let image = broker.cluster.image();
    let topic = image.topic(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
    topic.partition(wanted.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = broker.replicas.partition(topic.id, wanted.partition).ok_or(ResponseError::NotLeaderOrFollower)?;
    if wanted.current_leader_epoch < NO_EPOCH {
        return Err(ResponseError::FencedLeaderEpoch);
    }
    partition.check_leader(wanted.current_leader_epoch).map_err(|error| error.error())?;
    partition.log().end_offset_for_epoch(wanted.leader_epoch).map_err(|error| error.error())
}

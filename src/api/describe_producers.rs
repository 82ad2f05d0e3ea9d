//! DescribeProducers v0 (KIP-664): the producers that a partition remembers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::ErrorCode;
use crate::log::producers::ProducerEntry;

pub async fn handle(
    broker: &Arc<Broker>,
    _context: &RequestContext,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut response = DescribeProducersResponse::default();
    for topic in &request.topics {
        let mut answered = TopicResponse::default().with_name(topic.name.clone());
        for index in &topic.partition_indexes {
            let partition = PartitionResponse::default().with_partition_index(*index);
            answered.partitions.push(match producers(broker, &topic.name, *index) {
                Ok(active_producers) => partition.with_active_producers(active_producers),
                Err((error, message)) => {
                    partition.with_error_code(error.code()).with_error_message(message.map(StrBytes::from_string))
                }
            });
        }
        response.topics.push(answered);
    }
    response
}

fn producers(
    broker: &Arc<Broker>,
    topic: &str,
    partition: i32,
) -> Result<Vec<ProducerState>, (ResponseError, Option<String>)> {
    let silent = |error: ResponseError| (error, None);
    if let Err(error) = crate::cluster::decide::topics::validate_topic_name(topic) {
        return Err((ResponseError::InvalidTopicException, Some(error)));
    }
    let image = broker.cluster.image();
    let unknown_topic =
        || (ResponseError::UnknownTopicOrPartition, Some(ResponseError::UnknownTopicOrPartition.to_string()));
    let known = image.topic(topic).ok_or_else(unknown_topic)?;
    known.partition(partition).ok_or_else(|| silent(ResponseError::UnknownTopicOrPartition))?;
    let partition =
        broker.replicas.partition(known.id, partition).ok_or_else(|| silent(ResponseError::NotLeaderOrFollower))?;
    let mut producers = partition.log().producers().map_err(|error| silent(error.error()))?;
    producers.sort_unstable_by_key(|(id, _)| *id);
    Ok(producers.iter().map(|(id, entry)| state(*id, entry)).collect())
}

fn state(producer_id: i64, entry: &ProducerEntry) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(i32::from(entry.producer_epoch))
        .with_last_sequence(entry.last_sequence())
        .with_last_timestamp(entry.last_timestamp_ms)
        .with_coordinator_epoch(entry.coordinator_epoch)
        .with_current_txn_start_offset(entry.current_txn_first_offset.unwrap_or(-1))
}

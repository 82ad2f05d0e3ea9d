//! DeleteRecords v0-2 (KIP-107): moves a partition's log start offset.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::ErrorCode;
use crate::log::LogError;
use crate::types::topic_name;

/// "Up to the high watermark", as an offset of the request.
const HIGH_WATERMARK: i64 = -1;

pub async fn handle(
    broker: &Arc<Broker>,
    _context: &RequestContext,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut response = DeleteRecordsResponse::default();
    for topic in &request.topics {
        let mut answered = DeleteRecordsTopicResult::default().with_name(topic.name.clone());
        for wanted in &topic.partitions {
            let done = delete_one(broker, &topic.name, wanted.partition_index, wanted.offset).await;
            let result = DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
            answered.partitions.push(match done {
                Ok(low_watermark) => result.with_low_watermark(low_watermark),
                Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
            });
        }
        if !answered.partitions.is_empty() {
            response.topics.push(answered);
        }
    }
    response
}

async fn delete_one(broker: &Arc<Broker>, topic: &str, partition: i32, offset: i64) -> Result<i64, ResponseError> {
    let image = broker.cluster.image();
    let known = image.topic(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
    known.partition(partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    if topic_name::is_internal(topic) {
        return Err(ResponseError::InvalidTopicException);
    }
    let partition = broker.replicas.partition(known.id, partition).ok_or(ResponseError::NotLeaderOrFollower)?;
    partition.check_leader(-1).map_err(|error| error.error())?;
    let config = partition.config();
    if config.cleanup_compact && !config.cleanup_delete {
        return Err(ResponseError::PolicyViolation);
    }
    let high_watermark = partition.high_watermark();
    let offset = if offset == HIGH_WATERMARK { high_watermark } else { offset };
    if offset < 0 || offset > high_watermark {
        return Err(ResponseError::OffsetOutOfRange);
    }
    partition.log().advance_start_offset(offset).await.map_err(|error: LogError| error.error())
}

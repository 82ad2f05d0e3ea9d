//! AlterReplicaLogDirs v1-2 (KIP-113). A replica that is to move to the log directory where it lies has moved; a move to another one is refused.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName};
use std::path::Path;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::NONE;

/// The most bytes that Kafka gives the name of a folder that it moves a partition to.
const MAX_FOLDER_NAME_BYTES: usize = 255;
/// What Kafka puts after the topic in such a name, besides the partition's digits: two separators, 32 hexadecimal digits, "-future".
const FOLDER_NAME_REST_BYTES: usize = 41;

pub async fn handle(
    broker: &Arc<Broker>,
    _: &RequestContext,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let mut results: Vec<AlterReplicaLogDirTopicResult> = Vec::new();
    for dir in &request.dirs {
        for topic in &dir.topics {
            let partitions = topic.partitions.iter().map(|index| {
                let error = place(broker, &topic.name, *index, &dir.path).err();
                AlterReplicaLogDirPartitionResult::default()
                    .with_partition_index(*index)
                    .with_error_code(error.map_or(NONE, |error| error.code()))
            });
            match results.iter_mut().find(|result| result.topic_name == topic.name) {
                Some(result) => result.partitions.extend(partitions),
                None => results.push(
                    AlterReplicaLogDirTopicResult::default()
                        .with_topic_name(topic.name.clone())
                        .with_partitions(partitions.collect()),
                ),
            }
        }
    }
    AlterReplicaLogDirsResponse::default().with_results(results)
}

fn place(broker: &Broker, topic: &TopicName, index: i32, dir: &str) -> Result<(), ResponseError> {
    if topic.len() + index.to_string().len() + FOLDER_NAME_REST_BYTES > MAX_FOLDER_NAME_BYTES {
        return Err(ResponseError::InvalidTopicException);
    }
    let is_target = |path: &Path| path.as_os_str() == dir;
    if !broker.replicas.stores().iter().any(|store| is_target(store.path())) {
        return Err(ResponseError::LogDirNotFound);
    }
    let image = broker.cluster.image();
    let topic = image.topic(topic).filter(|topic| topic.partition(index).is_some());
    let id = topic.ok_or(ResponseError::UnknownTopicOrPartition)?.id;
    let partition = broker.replicas.partition(id, index).ok_or(ResponseError::ReplicaNotAvailable)?;
    if !is_target(partition.log().store().path()) {
        tracing::warn!(topic = %partition.topic(), partition = index, %dir, "replicas are not moved between log directories");
        return Err(ResponseError::KafkaStorageError);
    }
    Ok(())
}

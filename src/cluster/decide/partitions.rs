//! Adding partitions to topics (Kafka's `ReplicationControlManager.createPartitions`).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;

use super::topics::{manual_partition, place_partitions};
use super::{ApiError, Decision, Randomness};
use crate::cluster::image::{MetadataImage, Topic};
use crate::cluster::record::{PartitionState, Record, Replicas};

/// Checks replicas that a client chose. `replication_factor` is that of the topic's other partitions, when there are any.
///
/// # Errors
/// Kafka's `InvalidReplicaAssignment` with its sentence.
pub fn validate_manual_assignment(
    image: &MetadataImage,
    replicas: &[i32],
    replication_factor: Option<usize>,
) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(ResponseError::InvalidReplicaAssignment, message));
    if replicas.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    let mut previous = None;
    for id in &sorted {
        if image.broker(*id).is_none() {
            return refuse(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if previous == Some(id) {
            return refuse(format!("The manual partition assignment includes the broker {id} more than once."));
        }
        previous = Some(id);
    }
    match replication_factor {
        Some(expected) if expected != sorted.len() => refuse(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous partitions, which have {expected} replica(s).",
            sorted.len()
        )),
        _ => Ok(()),
    }
}

/// Adds partitions. Names in `topics` are distinct. Each result is in its topic's place.
pub fn create(
    image: &MetadataImage,
    topics: &[CreatePartitionsTopic],
    validate_only: bool,
    random: &mut dyn Randomness,
) -> Decision<Vec<Result<(), ApiError>>> {
    let mut records = Vec::new();
    let mut reply = Vec::with_capacity(topics.len());
    for request in topics {
        reply.push(add(image, request, random).map(|record| records.push(record)));
    }
    if validate_only {
        records.clear();
    }
    Decision { records, reply }
}

fn add(
    image: &MetadataImage,
    request: &CreatePartitionsTopic,
    random: &mut dyn Randomness,
) -> Result<Record, ApiError> {
    let topic =
        image.topic(request.name.as_str()).ok_or_else(|| ApiError::bare(ResponseError::UnknownTopicOrPartition))?;
    let present = topic.partition_count();
    if request.count == present {
        return Err(ApiError::new(
            ResponseError::InvalidPartitions,
            format!("Topic already has {present} partition(s)."),
        ));
    }
    if request.count < present {
        return Err(ApiError::new(
            ResponseError::InvalidPartitions,
            format!(
                "The topic {} currently has {present} partition(s); {} would not be an increase.",
                request.name.as_str(),
                request.count
            ),
        ));
    }
    let additional = request.count - present;
    let partitions = added_partitions(image, request, topic, additional, random)?;
    Ok(Record::PartitionsAdded { topic_id: topic.id, first: present, partitions })
}

fn added_partitions(
    image: &MetadataImage,
    request: &CreatePartitionsTopic,
    topic: &Topic,
    additional: i32,
    random: &mut dyn Randomness,
) -> Result<Vec<PartitionState>, ApiError> {
    let replication_factor = topic.replication_factor();
    let Some(assignments) = &request.assignments else {
        // Kafka makes one record per partition, and bounds a request's records.
        if i64::from(additional) > super::topics::MAX_PARTITIONS_PER_REQUEST {
            return Err(ApiError::new(
                ResponseError::PolicyViolation,
                "Excessively large number of partitions per request.",
            ));
        }
        return place_partitions(image, usize::try_from(additional).unwrap_or(0), replication_factor, random);
    };
    if i32::try_from(assignments.len()) != Ok(additional) {
        return Err(ApiError::new(
            ResponseError::InvalidReplicaAssignment,
            format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            ),
        ));
    }
    (topic.partition_count()..)
        .zip(assignments)
        .map(|(index, assignment)| {
            let replicas: Replicas = assignment.broker_ids.iter().map(|id| id.0).collect();
            validate_manual_assignment(image, &replicas, Some(usize::try_from(replication_factor).unwrap_or(0)))?;
            manual_partition(image, index, replicas)
        })
        .collect()
}

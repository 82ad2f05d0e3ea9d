//! Giving partitions other replicas (KIP-455; Kafka's `ReplicationControlManager.alterPartitionReassignments`).
//!
//! Decides what needs no records moved: another order of the same replicas. A reassignment that adds a replica waits for it to catch up, which is the
//! replication's work; until there is one, it is refused.

use kafka_protocol::error::ResponseError;

use super::partitions::validate_manual_assignment;
use super::{ApiError, Decision};
use crate::cluster::image::{MetadataImage, Topic};
use crate::cluster::record::{PartitionState, Record, Replicas};

/// One partition's wish: the replicas that it should have, or `None` to cancel the reassignment under way.
#[derive(Debug)]
pub struct Reassignment {
    pub topic: String,
    pub partition: i32,
    pub replicas: Option<Replicas>,
}

/// Each result is in its wish's place. `allow_replication_factor_change` is KIP-860's.
pub fn alter(
    image: &MetadataImage,
    wanted: &[Reassignment],
    allow_replication_factor_change: bool,
) -> Decision<Vec<Result<(), ApiError>>> {
    let mut records = Vec::new();
    let reply = wanted
        .iter()
        .map(|wish| alter_one(image, wish, allow_replication_factor_change).map(|record| records.extend(record)))
        .collect();
    Decision { records, reply }
}

fn alter_one(image: &MetadataImage, wish: &Reassignment, allow_change: bool) -> Result<Option<Record>, ApiError> {
    let unknown = |what: String| ApiError::new(ResponseError::UnknownTopicOrPartition, what);
    let name = &wish.topic;
    let topic = image.topic(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let partition = topic
        .partition(wish.partition)
        .ok_or_else(|| unknown(format!("Unable to find partition {name}:{}.", wish.partition)))?;
    let Some(target) = &wish.replicas else {
        // Nothing starts one that goes on after its request, so there is none to cancel.
        return Err(ApiError::bare(ResponseError::NoReassignmentInProgress));
    };
    validate_manual_assignment(image, target, None)?;
    if !allow_change && target.len() != partition.replicas.len() {
        let (now, then) = (partition.replicas.len(), target.len());
        let message = format!("The replication factor is changed from {now} to {then}");
        return Err(ApiError::new(ResponseError::InvalidReplicationFactor, message));
    }
    if *target == partition.replicas {
        return Ok(None);
    }
    if !same_members(target, &partition.replicas) {
        let message = format!(
            "The replicas of {name}:{} cannot be changed from {:?} to {target:?}: only their order can.",
            wish.partition, partition.replicas
        );
        return Err(ApiError::new(ResponseError::InvalidReplicaAssignment, message));
    }
    Ok(Some(reordered(topic, wish.partition, partition, target)))
}

/// Both without repetitions.
fn same_members(a: &Replicas, b: &Replicas) -> bool {
    a.len() == b.len() && a.iter().all(|id| b.contains(id))
}

fn reordered(topic: &Topic, index: i32, partition: &PartitionState, replicas: &Replicas) -> Record {
    let mut state = partition.clone();
    state.replicas = replicas.clone();
    state.partition_epoch += 1;
    Record::PartitionChanged { topic_id: topic.id, partition: index, state }
}

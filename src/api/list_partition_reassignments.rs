//! ListPartitionReassignments v0 (KIP-455): the partitions whose replicas are being changed.

use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    BrokerId, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use crate::cluster::image::Topic;
use crate::cluster::record::{PartitionState, Replicas};

pub async fn handle(
    broker: &Arc<Broker>,
    _: &RequestContext,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = broker.cluster.image();
    let topics = match &request.topics {
        None => image.topics().filter_map(|topic| ongoing(topic, 0..topic.partition_count())).collect(),
        Some(wanted) => wanted
            .iter()
            .filter_map(|wish| ongoing(image.topic(&wish.name)?, wish.partition_indexes.iter().copied()))
            .collect(),
    };
    ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics)
}

/// `None` when none of these partitions is being reassigned.
fn ongoing(topic: &Topic, indexes: impl Iterator<Item = i32>) -> Option<OngoingTopicReassignment> {
    let partitions: Vec<_> = indexes.filter_map(|index| reassignment(index, topic.partition(index)?)).collect();
    let name = TopicName(StrBytes::from_string(topic.name.to_string()));
    (!partitions.is_empty()).then(|| OngoingTopicReassignment::default().with_name(name).with_partitions(partitions))
}

fn reassignment(index: i32, partition: &PartitionState) -> Option<OngoingPartitionReassignment> {
    let rare = partition.rare.as_ref()?;
    if rare.adding_replicas.is_empty() && rare.removing_replicas.is_empty() {
        return None;
    }
    let ids = |replicas: &Replicas| replicas.iter().map(|id| BrokerId(*id)).collect();
    Some(
        OngoingPartitionReassignment::default()
            .with_partition_index(index)
            .with_replicas(ids(&partition.replicas))
            .with_adding_replicas(ids(&rare.adding_replicas))
            .with_removing_replicas(ids(&rare.removing_replicas)),
    )
}

//! AlterPartitionReassignments v0-1 (KIP-455, KIP-860).

use kafka_protocol::messages::alter_partition_reassignments_request::ReassignableTopic;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::create_topics::{deadline, within};
use crate::cluster::ApiError;
use crate::cluster::decide::reassignments::{self, Reassignment};

pub async fn handle(
    broker: &Arc<Broker>,
    _: &RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    if request.topics.is_empty() {
        // With an empty message, not without one: so does Kafka.
        return AlterPartitionReassignmentsResponse::default();
    }
    let allow_change = request.allow_replication_factor_change;
    let response = AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(allow_change)
        .with_error_message(None);
    let wishes: Vec<Reassignment> = request.topics.iter().flat_map(wishes).collect();
    let proposal = broker.cluster.propose(move |image| reassignments::alter(image, &wishes, allow_change));
    match within(deadline(request.timeout_ms), proposal).await {
        Ok(results) => response.with_responses(responses(&request.topics, results)),
        Err(ApiError { error, message }) => {
            response.with_error_code(error.code()).with_error_message(message.map(StrBytes::from_string))
        }
    }
}

fn wishes(topic: &ReassignableTopic) -> impl Iterator<Item = Reassignment> {
    topic.partitions.iter().map(|partition| Reassignment {
        topic: topic.name.to_string(),
        partition: partition.partition_index,
        replicas: partition.replicas.as_ref().map(|replicas| replicas.iter().map(|id| id.0).collect()),
    })
}

/// `results` are in the order of the topics' partitions.
fn responses(topics: &[ReassignableTopic], results: Vec<Result<(), ApiError>>) -> Vec<ReassignableTopicResponse> {
    let mut results = results.into_iter();
    let of_topic = |topic: &ReassignableTopic| {
        let partitions = topic.partitions.iter().zip(results.by_ref()).map(|(partition, result)| {
            let error = result.err();
            ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.as_ref().map_or(0, |error| error.error.code()))
                .with_error_message(error.and_then(|error| error.message).map(StrBytes::from_string))
        });
        ReassignableTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    };
    topics.iter().map(of_topic).collect()
}

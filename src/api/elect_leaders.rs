//! ElectLeaders v0-2 (KIP-183, KIP-460).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::create_topics::{deadline, within};
use crate::cluster::ApiError;
use crate::cluster::decide::elections::{self, Election};

/// From this version on there is an error for the whole request.
const WHOLE_ERROR_VERSION: i16 = 1;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let election = match request.election_type {
        0 => Election::Preferred,
        1 => Election::Unclean,
        other => {
            let error = ApiError::new(ResponseError::InvalidRequest, format!("Unknown election type {other}"));
            return whole(context, request.topic_partitions, &error);
        }
    };
    if request.topic_partitions.as_ref().is_some_and(Vec::is_empty) {
        return ElectLeadersResponse::default();
    }
    let topics: Option<Vec<(String, Vec<i32>)>> = request
        .topic_partitions
        .as_ref()
        .map(|topics| topics.iter().map(|topic| (topic.topic.as_str().to_owned(), topic.partitions.clone())).collect());
    let proposal = broker.cluster.propose(move |image| elections::elect(image, election, topics.as_deref()));
    match within(deadline(request.timeout_ms), proposal).await {
        Ok(elected) => ElectLeadersResponse::default().with_replica_election_results(
            elected
                .into_iter()
                .map(|(topic, partitions)| {
                    let results = partitions.into_iter().map(|(index, outcome)| result(index, outcome.err())).collect();
                    ReplicaElectionResult::default()
                        .with_topic(TopicName(StrBytes::from_string(topic)))
                        .with_partition_result(results)
                })
                .collect(),
        ),
        Err(error) => whole(context, request.topic_partitions, &error),
    }
}

fn result(index: i32, error: Option<ApiError>) -> PartitionResult {
    PartitionResult::default()
        .with_partition_id(index)
        .with_error_code(error.as_ref().map_or(0, |error| error.error.code()))
        .with_error_message(error.and_then(|error| error.message).map(StrBytes::from_string))
}

fn whole(context: &RequestContext, topics: Option<Vec<TopicPartitions>>, error: &ApiError) -> ElectLeadersResponse {
    let results = topics.unwrap_or_default().into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| result(*index, Some(error.clone()))).collect();
        ReplicaElectionResult::default().with_topic(topic.topic).with_partition_result(partitions)
    });
    let code = if context.api_version >= WHOLE_ERROR_VERSION { error.error.code() } else { 0 };
    ElectLeadersResponse::default().with_error_code(code).with_replica_election_results(results.collect())
}

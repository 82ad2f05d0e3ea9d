//! CreatePartitions v0-3 (KIP-195).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::timeout_at;

use super::Broker;
use super::context::RequestContext;
use super::create_topics::{deadline, within};
use crate::cluster::ApiError;
use crate::cluster::decide::{SystemRandomness, partitions};

pub async fn handle(
    broker: &Arc<Broker>,
    _: &RequestContext,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let deadline = deadline(request.timeout_ms);
    let mut times: HashMap<TopicName, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let mut results: Vec<CreatePartitionsTopicResult> = Vec::new();
    let mut wanted: Vec<CreatePartitionsTopic> = Vec::new();
    for topic in request.topics {
        // A name that comes twice is answered once: taking it out of the map marks that.
        match times.get(&topic.name) {
            Some(1) => wanted.push(topic),
            Some(_) => {
                times.remove(&topic.name);
                let error = ApiError::new(ResponseError::InvalidRequest, "Duplicate topic name.");
                results.push(result(topic.name, Some(error)));
            }
            None => {}
        }
    }
    if wanted.is_empty() {
        return CreatePartitionsResponse::default().with_results(results);
    }
    let names: Vec<TopicName> = wanted.iter().map(|topic| topic.name.clone()).collect();
    let validate_only = request.validate_only;
    let proposal = broker
        .cluster
        .propose_at(move |image| partitions::create(image, &wanted, validate_only, &mut SystemRandomness));
    match within(deadline, proposal).await {
        Ok((outcomes, offset)) => {
            if !validate_only && outcomes.iter().any(Result::is_ok) {
                // The partitions exist; a client that finds a leader not ready yet asks again.
                let _ = timeout_at(deadline, broker.cluster.wait_published(offset)).await;
            }
            results.extend(names.into_iter().zip(outcomes).map(|(name, outcome)| result(name, outcome.err())));
        }
        Err(error) => results.extend(names.into_iter().map(|name| result(name, Some(error.clone())))),
    }
    CreatePartitionsResponse::default().with_results(results)
}

fn result(name: TopicName, error: Option<ApiError>) -> CreatePartitionsTopicResult {
    let code = error.as_ref().map_or(0, |error| error.error.code());
    CreatePartitionsTopicResult::default()
        .with_name(name)
        .with_error_code(code)
        .with_error_message(error.and_then(|error| error.message).map(StrBytes::from_string))
}

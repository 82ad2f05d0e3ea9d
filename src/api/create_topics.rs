//! CreateTopics v2-7 (KIP-4, KIP-464, KIP-525). Answers when the partitions that it made are served here, which Kafka does not wait for.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

use super::Broker;
use super::context::RequestContext;
use super::error_code::{ErrorCode, NONE};
use crate::cluster::config_rules::TableRules;
use crate::cluster::decide::SystemRandomness;
use crate::cluster::decide::topics::{self, TopicCreation, TopicDefaults};
use crate::cluster::{ApiError, ClusterError, Decision};

/// The quorum's own log, which is no topic here but may not be made one.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let deadline = deadline(request.timeout_ms);
    let (wanted, refused) = sort_out(request.topics);
    let names: Vec<TopicName> = wanted.iter().map(|topic| topic.name.clone()).collect();
    let mut results = match create(broker, wanted, request.validate_only, deadline).await {
        Ok(results) => results,
        Err(error) => names.into_iter().map(|name| failed(name, &error)).collect(),
    };
    results.extend(refused);
    for result in &results {
        // Clients create what they need without looking whether it is there.
        if let Some(error) = ResponseError::try_from_code(result.error_code)
            && error != ResponseError::TopicAlreadyExists
        {
            context.refused(error, result.name.as_str(), &result.error_message.as_deref().unwrap_or_default());
        }
    }
    CreateTopicsResponse::default().with_topics(results)
}

/// When a request with this time-out has waited long enough.
pub(super) fn deadline(timeout_ms: i32) -> Instant {
    Instant::now() + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

/// Creates topics with distinct names, and waits until their leaders here serve them, or until the deadline: then they exist all the same.
///
/// # Errors
/// When none of them was tried.
pub(super) async fn create(
    broker: &Arc<Broker>,
    wanted: Vec<CreatableTopic>,
    validate_only: bool,
    deadline: Instant,
) -> Result<Vec<CreatableTopicResult>, ApiError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let config = broker.config();
    let defaults = TopicDefaults {
        partitions: config.num_partitions,
        replication_factor: i16::try_from(config.default_replication_factor).unwrap_or(i16::MAX),
    };
    let rules = TableRules { config };
    let proposal = broker.cluster.propose_at(move |image| {
        let how = TopicCreation { defaults, rules: &rules, random: &mut SystemRandomness, validate_only };
        match topics::create(image, &wanted, how) {
            Ok(Decision { records, reply }) => Decision { records, reply: Ok(reply) },
            Err(error) => Decision::unchanged(Err(error)),
        }
    });
    let (results, offset) = within(deadline, proposal).await?;
    let results = results?;
    if !validate_only && results.iter().any(|result| result.error_code == NONE) {
        // The topics exist; a client that finds a leader not ready yet asks again.
        let _ = timeout_at(deadline, broker.cluster.wait_published(offset)).await;
    }
    Ok(results)
}

/// Waits for a proposal until the deadline. The change may still come after it.
pub(super) async fn within<T>(
    deadline: Instant,
    proposal: impl Future<Output = Result<T, ClusterError>>,
) -> Result<T, ApiError> {
    match timeout_at(deadline, proposal).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ApiError::new(error.error(), error.to_string())),
        Err(_) => Err(ApiError::bare(ResponseError::RequestTimedOut)),
    }
}

/// The topics to create, and the answers for those that are not even tried (Kafka's `ControllerApis.createTopics`).
fn sort_out(topics: Vec<CreatableTopic>) -> (Vec<CreatableTopic>, Vec<CreatableTopicResult>) {
    let mut seen = HashSet::new();
    let mut repeated = Vec::new();
    for topic in &topics {
        if !seen.insert(topic.name.clone()) && !repeated.contains(&topic.name) {
            repeated.push(topic.name.clone());
        }
    }
    let is_internal = |topic: &CreatableTopic| topic.name.as_str() == CLUSTER_METADATA_TOPIC;
    let mut refused: Vec<_> = repeated.iter().map(|name| refusal(name.clone(), "Duplicate topic name.")).collect();
    let mut wanted = Vec::with_capacity(topics.len());
    for topic in topics.into_iter().filter(|topic| !repeated.contains(&topic.name)) {
        if is_internal(&topic) {
            let message = "Creation of internal topic __cluster_metadata is prohibited.";
            refused.push(refusal(topic.name, message));
        } else {
            wanted.push(topic);
        }
    }
    (wanted, refused)
}

fn refusal(name: TopicName, message: &str) -> CreatableTopicResult {
    failed(name, &ApiError::new(ResponseError::InvalidRequest, message))
}

fn failed(name: TopicName, error: &ApiError) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(error.error.code())
        .with_error_message(error.message.clone().map(StrBytes::from_string))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(Vec::new()))
}

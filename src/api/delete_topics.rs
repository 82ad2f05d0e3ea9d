//! DeleteTopics v1-6 (KIP-4, KIP-516): by name, from v6 by id as well.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use tokio::time::timeout_at;
use uuid::Uuid;

use super::Broker;
use super::context::RequestContext;
use super::create_topics::{deadline, within};
use crate::cluster::ApiError;
use crate::cluster::decide::topics::{self, DeletionTarget};

/// From this version on topics are told by name or id, in one list.
const BY_ID_VERSION: i16 = 6;
/// From this version on there is a code for deletion being switched off.
const DELETION_DISABLED_VERSION: i16 = 3;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let deadline = deadline(request.timeout_ms);
    let named: Vec<DeleteTopicState> = if context.api_version >= BY_ID_VERSION {
        request.topics
    } else {
        request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name))).collect()
    };
    if !broker.config().delete_topic_enable {
        let error = if context.api_version < DELETION_DISABLED_VERSION {
            ResponseError::InvalidRequest
        } else {
            ResponseError::TopicDeletionDisabled
        };
        return whole(named, error);
    }
    let (targets, mut responses) = sort_out(&named);
    if targets.is_empty() {
        return DeleteTopicsResponse::default().with_responses(responses);
    }
    let proposal = broker.cluster.propose_at(move |image| topics::delete(image, &targets));
    match within(deadline, proposal).await {
        Ok((deleted, offset)) => {
            // Gone for good already; this only waits until it is not served here any more.
            let _ = timeout_at(deadline, broker.cluster.wait_published(offset)).await;
            responses.extend(deleted.into_iter().map(|topic| result(topic.name, topic.id, topic.error)));
            DeleteTopicsResponse::default().with_responses(responses)
        }
        Err(error) => whole(named, error.error),
    }
}

/// One error for all. Like Kafka's, it has no message.
fn whole(named: Vec<DeleteTopicState>, error: ResponseError) -> DeleteTopicsResponse {
    let failed = |topic: DeleteTopicState| result(topic.name, topic.topic_id, Some(ApiError::bare(error)));
    DeleteTopicsResponse::default().with_responses(named.into_iter().map(failed).collect())
}

fn result(name: Option<TopicName>, id: Uuid, error: Option<ApiError>) -> DeletableTopicResult {
    let code = error.as_ref().map_or(0, |error| error.error.code());
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(id)
        .with_error_code(code)
        .with_error_message(error.and_then(|error| error.message).map(StrBytes::from_string))
}

/// What to delete, and the answers for what says too little, too much, or the same twice.
fn sort_out(named: &[DeleteTopicState]) -> (Vec<DeletionTarget>, Vec<DeletableTopicResult>) {
    let mut names: Vec<(TopicName, usize)> = Vec::new();
    let mut ids: Vec<(Uuid, usize)> = Vec::new();
    let mut responses = Vec::new();
    let refuse = |name: Option<TopicName>, id, message: &str| {
        result(name, id, Some(ApiError::new(ResponseError::InvalidRequest, message)))
    };
    for topic in named {
        match (&topic.name, topic.topic_id) {
            (None, id) if id.is_nil() => {
                responses.push(refuse(None, id, "Neither topic name nor id were specified."));
            }
            (None, id) => count(&mut ids, id),
            (Some(name), id) if id.is_nil() => count(&mut names, name.clone()),
            (Some(name), id) => {
                responses.push(refuse(Some(name.clone()), id, "You may not specify both topic name and topic id."));
            }
        }
    }
    let mut targets = Vec::new();
    for (name, times) in names {
        if times > 1 {
            responses.push(refuse(Some(name), Uuid::nil(), "Duplicate topic name."));
        } else {
            targets.push(DeletionTarget::Name(name));
        }
    }
    for (id, times) in ids {
        if times > 1 {
            responses.push(refuse(None, id, "Duplicate topic id."));
        } else {
            targets.push(DeletionTarget::Id(id));
        }
    }
    (targets, responses)
}

fn count<K: PartialEq>(counts: &mut Vec<(K, usize)>, key: K) {
    match counts.iter_mut().find(|(known, _)| *known == key) {
        Some((_, times)) => *times += 1,
        None => counts.push((key, 1)),
    }
}

//! FindCoordinator v0-6: which broker to ask about a group. From v4 on for many keys at once (KIP-699).
//!
//! Unlike Kafka, which answers `CoordinatorNotAvailable` while it creates `__consumer_offsets`, the first request waits for the topic: clients would only ask
//! again.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::advertised::{self, Node};
use super::context::RequestContext;
use super::error_code::NONE;
use crate::types::topic_name::GROUP_METADATA_TOPIC;

/// First version with several keys, and without the fields for one.
const BATCHED_VERSION: i16 = 4;
/// First version that knows of share coordinators (KIP-932).
const SHARE_VERSION: i16 = 6;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if context.api_version < BATCHED_VERSION {
        return alone(find(broker, context, request.key_type, &request.key).await);
    }
    let mut response = FindCoordinatorResponse::default();
    for key in request.coordinator_keys {
        let found = find(broker, context, request.key_type, &key).await;
        response.coordinators.push(one_of_many(key, request.key_type, found));
    }
    response
}

async fn find(broker: &Arc<Broker>, context: &RequestContext, key_type: i8, key: &str) -> Result<Node, ResponseError> {
    match key_type {
        GROUP => group_coordinator(broker, context, key).await,
        // This broker coordinates no transactions.
        TRANSACTION => {
            let error = ResponseError::CoordinatorNotAvailable;
            context.refused(
                error,
                key,
                &"this version of Ottla has no transactions: nobody coordinates a transactional.id",
            );
            Err(error)
        }
        // Nor share groups; a key that could not name a share partition is refused like any broker does.
        SHARE if context.api_version >= SHARE_VERSION && is_share_partition(key) => {
            Err(ResponseError::CoordinatorNotAvailable)
        }
        _ => Err(ResponseError::InvalidRequest),
    }
}

async fn group_coordinator(
    broker: &Arc<Broker>,
    context: &RequestContext,
    group_id: &str,
) -> Result<Node, ResponseError> {
    if let Err(error) = broker.groups.ensure_topic().await {
        tracing::warn!(%error, "no group coordinator");
        return Err(ResponseError::CoordinatorNotAvailable);
    }
    let partition = broker.groups.partition_for(group_id);
    let image = broker.cluster.image();
    let leader =
        image.topic(GROUP_METADATA_TOPIC).and_then(|topic| topic.partition(partition)).map(|state| state.leader);
    leader.and_then(|leader| advertised::node(broker, context, leader)).ok_or(ResponseError::CoordinatorNotAvailable)
}

/// `group:topic-id:partition`, the topic id as 22 characters of URL-safe base64.
fn is_share_partition(key: &str) -> bool {
    let parts: Vec<&str> = key.split(':').collect();
    let [group, topic_id, partition] = parts.as_slice() else { return false };
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !group.trim().is_empty()
        && topic_id.len() == 22
        && topic_id.chars().all(is_base64)
        && partition.parse::<i32>().is_ok()
}

/// Versions 0 to 3: one coordinator, its message never null.
fn alone(found: Result<Node, ResponseError>) -> FindCoordinatorResponse {
    let response = FindCoordinatorResponse::default();
    match found {
        Ok(node) => response
            .with_error_message(Some(StrBytes::from_static_str("NONE")))
            .with_node_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(node.host.to_string()))
            .with_port(node.port),
        Err(error) => response
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(message(error))))
            .with_node_id(BrokerId(-1))
            .with_port(-1),
    }
}

fn one_of_many(key: StrBytes, key_type: i8, found: Result<Node, ResponseError>) -> Coordinator {
    let coordinator = Coordinator::default().with_key(key);
    match found {
        Ok(node) => coordinator
            .with_error_code(NONE)
            .with_node_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(node.host.to_string()))
            .with_port(node.port),
        Err(error) => {
            let unknown_type = !(GROUP..=SHARE).contains(&key_type);
            // Kafka tells the message only when it refuses the request as a whole.
            let told = if unknown_type { StrBytes::from_static_str(message(error)) } else { StrBytes::default() };
            coordinator
                .with_error_code(error.code())
                .with_error_message(Some(told))
                .with_node_id(BrokerId(-1))
                .with_port(-1)
        }
    }
}

/// As Kafka words them: some clients show them.
fn message(error: ResponseError) -> &'static str {
    match error {
        ResponseError::CoordinatorNotAvailable => "The coordinator is not available.",
        ResponseError::InvalidRequest => {
            "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details."
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_partitions_are_told_from_other_keys() {
        assert!(is_share_partition("group:AAAAAAAAAAAAAAAAAAAAAQ:0"));
        for wrong in [
            "",
            "group",
            "group:AAAAAAAAAAAAAAAAAAAAAQ",
            "group:AAAAAAAAAAAAAAAAAAAAAQ:x",
            ":AAAAAAAAAAAAAAAAAAAAAQ:0",
            "group:short:0",
            "group:AAAAAAAAAAAAAAAAAAAAA!:0",
            "a:AAAAAAAAAAAAAAAAAAAAAQ:0:0",
        ] {
            assert!(!is_share_partition(wrong), "{wrong}");
        }
    }

    #[test]
    fn every_version_can_carry_every_answer() {
        use kafka_protocol::protocol::Encodable;
        let node = || Node { id: 7, host: "h".into(), port: 9092, rack: None };
        for version in 0..=6 {
            for found in [Ok(node()), Err(ResponseError::CoordinatorNotAvailable), Err(ResponseError::InvalidRequest)] {
                let response = if version < BATCHED_VERSION {
                    alone(found)
                } else {
                    let coordinators = vec![one_of_many(StrBytes::from_static_str("k"), 0, found)];
                    FindCoordinatorResponse::default().with_coordinators(coordinators)
                };
                let mut bytes = bytes::BytesMut::new();
                response.encode(&mut bytes, version).unwrap();
            }
        }
    }
}

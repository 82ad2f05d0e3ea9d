//! DescribeQuorum v0-2 (KIP-595, KIP-836, KIP-853): how the metadata quorum fares.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_quorum_request::TopicData as AskedTopic;
use kafka_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use kafka_protocol::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use uuid::Uuid;

use super::Broker;
use super::advertised;
use super::context::RequestContext;
use crate::cluster::ReplicaStatus;

/// The name that the quorum's log goes by.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// From this version on the voters' endpoints are told.
const NODES_VERSION: i16 = 2;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let asks_for_log = match request.topics.as_slice() {
        [AskedTopic { topic_name, partitions, .. }] => {
            topic_name.as_str() == CLUSTER_METADATA_TOPIC
                && matches!(partitions.as_slice(), [partition] if partition.partition_index == 0)
        }
        _ => false,
    };
    if !asks_for_log {
        return refuse(request);
    }
    let status = broker.cluster.quorum_status();
    let Some(first) = request.topics.into_iter().next() else {
        return DescribeQuorumResponse::default();
    };
    let partition = if status.leader_id == broker.id {
        let replica = |status| replica(broker, context.api_version, status);
        PartitionData::default()
            .with_leader_id(BrokerId(status.leader_id))
            .with_leader_epoch(status.leader_epoch)
            .with_high_watermark(status.high_watermark)
            .with_current_voters(status.voters.iter().map(replica).collect())
            .with_observers(status.observers.iter().map(replica).collect())
    } else {
        failed(0, ResponseError::NotLeaderOrFollower, NOT_LEADER)
    };
    let nodes = if context.api_version >= NODES_VERSION && status.leader_id == broker.id {
        status.voters.iter().map(|voter| node(broker, context, voter.id)).collect()
    } else {
        Vec::new()
    };
    let topic = TopicData::default().with_topic_name(first.topic_name).with_partitions(vec![partition]);
    DescribeQuorumResponse::default().with_topics(vec![topic]).with_nodes(nodes)
}

const NOT_LEADER: &str = "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition.";

/// A voter and where its listener for controllers is reached, if it has one.
fn node(broker: &Broker, context: &RequestContext, id: i32) -> Node {
    let listeners = broker.config().listeners.controller_names.first().and_then(|name| {
        let node = advertised::controller(broker, context, name, id)?;
        let told = Listener::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_host(StrBytes::from_string(node.host.to_string()))
            .with_port(u16::try_from(node.port).unwrap_or_default());
        Some(told)
    });
    Node::default().with_node_id(BrokerId(id)).with_listeners(listeners.into_iter().collect())
}

/// The id of a voter's directory: where `controller.quorum.voters` names the voters, they have none (KIP-853).
fn directory_id(broker: &Broker, id: i32) -> Uuid {
    let is_own = id == broker.id && broker.config().voters.is_empty();
    if is_own { broker.quorum_directory_id } else { Uuid::nil() }
}

fn replica(broker: &Broker, api_version: i16, status: &ReplicaStatus) -> ReplicaState {
    let directory_id = if api_version >= NODES_VERSION { directory_id(broker, status.id) } else { Uuid::nil() };
    ReplicaState::default()
        .with_replica_directory_id(directory_id)
        .with_replica_id(BrokerId(status.id))
        .with_log_end_offset(status.log_end_offset)
        .with_last_fetch_timestamp(status.last_fetch_timestamp_ms)
        .with_last_caught_up_timestamp(status.last_caught_up_timestamp_ms)
}

fn failed(index: i32, error: ResponseError, message: &'static str) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_static_str(message)))
}

/// The answer to a question about anything but the quorum's log.
fn refuse(request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            failed(
                partition.partition_index,
                ResponseError::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            )
        });
        TopicData::default().with_topic_name(topic.topic_name).with_partitions(partitions.collect())
    });
    DescribeQuorumResponse::default().with_topics(topics.collect())
}

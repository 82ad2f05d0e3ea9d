//! DescribeCluster v0-2 (KIP-700, KIP-919, KIP-1073).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::advertised::{self, Node};
use super::authorized_operations;
use super::context::RequestContext;
use super::table::Scope;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let asked = request.endpoint_type;
    let (here, name) = endpoint_type(context.scope);
    if asked != here {
        let wanted = [Scope::Broker, Scope::Controller].map(endpoint_type).into_iter().find(|(code, _)| *code == asked);
        let (error, message) = match wanted {
            Some((_, wanted)) => (
                ResponseError::MismatchedEndpointType,
                format!(
                    "The request was sent to an endpoint of type {name}, but we wanted an endpoint of type {wanted}"
                ),
            ),
            None => (ResponseError::UnsupportedEndpointType, format!("Unsupported endpoint type {asked}")),
        };
        // Version 0 knows neither of the codes.
        let error = if context.api_version == 0 { ResponseError::InvalidRequest } else { error };
        return DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)));
    }
    let (nodes, leader) = match context.scope {
        Scope::Broker => brokers(broker, context, request.include_fenced_brokers),
        Scope::Controller => controllers(broker, context),
    };
    let known = nodes.iter().any(|described| described.broker_id.0 == leader);
    let operations = if request.include_cluster_authorized_operations {
        authorized_operations::CLUSTER
    } else {
        authorized_operations::NOT_ASKED
    };
    DescribeClusterResponse::default()
        .with_endpoint_type(here)
        .with_cluster_id(StrBytes::from_string(broker.cluster.image().cluster_id().to_string()))
        .with_controller_id(BrokerId(if known { leader } else { -1 }))
        .with_brokers(nodes)
        .with_cluster_authorized_operations(operations)
}

/// Kafka's code for what a listener is for, and its name.
fn endpoint_type(scope: Scope) -> (i8, &'static str) {
    match scope {
        Scope::Broker => (1, "BROKER"),
        Scope::Controller => (2, "CONTROLLER"),
    }
}

fn described(node: Node, is_fenced: bool) -> DescribeClusterBroker {
    DescribeClusterBroker::default()
        .with_broker_id(BrokerId(node.id))
        .with_host(StrBytes::from_string(node.host.to_string()))
        .with_port(node.port)
        .with_rack(node.rack.map(|rack| StrBytes::from_string(rack.to_string())))
        .with_is_fenced(is_fenced)
}

/// The brokers, and the id of the one that takes changes of the metadata.
fn brokers(broker: &Broker, context: &RequestContext, with_fenced: bool) -> (Vec<DescribeClusterBroker>, i32) {
    let image = broker.cluster.image();
    let known = image.brokers().filter(|known| !known.fenced || with_fenced);
    let nodes =
        known.filter_map(|known| Some(described(advertised::registered_node(broker, context, known)?, known.fenced)));
    (nodes.collect(), super::metadata::controller_id(&image, broker.id))
}

/// The controllers that have this listener, and the id of the quorum's leader.
fn controllers(broker: &Broker, context: &RequestContext) -> (Vec<DescribeClusterBroker>, i32) {
    let status = broker.cluster.quorum_status();
    let nodes = status.voters.iter().filter_map(|voter| {
        let node = advertised::controller(broker, context, &context.connection.listener, voter.id)?;
        Some(described(node, false))
    });
    (nodes.collect(), status.leader_id)
}

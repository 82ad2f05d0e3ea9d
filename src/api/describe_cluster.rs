//! DescribeCluster v0-2 (KIP-700, KIP-919, KIP-1073).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::{advertised, authorized_operations};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let asked = request.endpoint_type;
    if asked != BROKERS {
        let (error, message) = if asked == CONTROLLERS {
            let message =
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
            (ResponseError::MismatchedEndpointType, message.to_owned())
        } else {
            (ResponseError::UnsupportedEndpointType, format!("Unsupported endpoint type {asked}"))
        };
        return DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)));
    }
    let image = broker.cluster.image();
    let brokers: Vec<DescribeClusterBroker> = image
        .brokers()
        .filter(|known| !known.fenced || request.include_fenced_brokers)
        .filter_map(|known| {
            let node = advertised::registered_node(broker, context, known)?;
            let described = DescribeClusterBroker::default()
                .with_broker_id(BrokerId(node.id))
                .with_host(StrBytes::from_string(node.host.to_string()))
                .with_port(node.port)
                .with_rack(node.rack.map(|rack| StrBytes::from_string(rack.to_string())))
                .with_is_fenced(known.fenced);
            Some(described)
        })
        .collect();
    let controller = super::metadata::controller_id(&image, broker.id);
    let known = brokers.iter().any(|described| described.broker_id.0 == controller);
    let operations = if request.include_cluster_authorized_operations {
        authorized_operations::CLUSTER
    } else {
        authorized_operations::NOT_ASKED
    };
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(StrBytes::from_string(image.cluster_id().to_string()))
        .with_controller_id(BrokerId(if known { controller } else { -1 }))
        .with_brokers(brokers)
        .with_cluster_authorized_operations(operations)
}

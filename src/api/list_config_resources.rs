//! ListConfigResources v0-1 (KIP-714, KIP-1142): the resources that have configuration. Version 0 was ListClientMetricsResources.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource as Listed;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::config_resource::Kind;
use super::context::RequestContext;
use crate::cluster::MetadataImage;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let supported: &[Kind] = if context.api_version == 0 { &[Kind::ClientMetrics] } else { &Kind::ALL };
    let is_supported = |code: &i8| supported.iter().any(|kind| kind.code() == *code);
    if !request.resource_types.iter().all(is_supported) {
        return ListConfigResourcesResponse::default().with_error_code(ResponseError::UnsupportedVersion.code());
    }
    let is_wanted = |kind: &&Kind| request.resource_types.is_empty() || request.resource_types.contains(&kind.code());
    let image = broker.cluster.image();
    let listed = supported.iter().filter(is_wanted).flat_map(|kind| {
        let name = |name: String| {
            Listed::default().with_resource_name(StrBytes::from_string(name)).with_resource_type(kind.code())
        };
        names(&image, *kind).into_iter().map(name)
    });
    ListConfigResourcesResponse::default().with_config_resources(listed.collect())
}

fn names(image: &MetadataImage, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Topic => image.topics().map(|topic| topic.name.to_string()).collect(),
        Kind::Broker | Kind::BrokerLogger => {
            image.brokers().filter(|broker| !broker.fenced).map(|broker| broker.id.to_string()).collect()
        }
        Kind::Group | Kind::ClientMetrics => {
            let of_kind = image.config_resources().filter(|(resource, _)| Some(resource.kind) == kind.stored());
            let mut names: Vec<String> = of_kind.map(|(resource, _)| resource.name.to_string()).collect();
            names.sort();
            names
        }
    }
}

//! DescribeConfigs v1-4 (KIP-133, KIP-226, KIP-569): what is configured, where it comes from, and what it means.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::broker_loggers;
use super::config_resource::Kind;
use super::context::RequestContext;
use crate::cluster::decide::topics::validate_topic_name;
use crate::cluster::image::Configs;
use crate::cluster::{ApiError, ConfigResource, MetadataImage, ResourceKind};
use crate::config::ConfigError;
use crate::config::describe::{self, Entry, Synonym};

/// What a client wants told besides the values.
#[derive(Clone, Copy)]
struct Wanted {
    synonyms: bool,
    documentation: bool,
}

pub async fn handle(
    broker: &Arc<Broker>,
    _: &RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    // One resource of a type that does not exist fails the whole request, as in Kafka.
    if request.resources.iter().any(|resource| Kind::of(resource.resource_type).is_none()) {
        let error = ApiError::bare(ResponseError::InvalidRequest);
        let results = request.resources.into_iter().map(|resource| {
            let message = Some(ResponseError::InvalidRequest.to_string());
            failed(resource, ApiError { message, ..error.clone() })
        });
        return DescribeConfigsResponse::default().with_results(results.collect());
    }
    let wanted = Wanted { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let image = broker.cluster.image();
    let results = request.resources.into_iter().map(|resource| match entries(broker, &image, &resource, wanted) {
        Ok(mut entries) => {
            let keys = resource.configuration_keys.as_deref().unwrap_or_default();
            entries.retain(|entry| keys.is_empty() || keys.contains(&entry.name));
            DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
                .with_configs(entries)
        }
        Err(error) => failed(resource, error),
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn failed(resource: DescribeConfigsResource, error: ApiError) -> DescribeConfigsResult {
    DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name)
        .with_error_code(error.error.code())
        .with_error_message(error.message.map(StrBytes::from_string))
}

fn entries(
    broker: &Broker,
    image: &MetadataImage,
    resource: &DescribeConfigsResource,
    wanted: Wanted,
) -> Result<Vec<DescribeConfigsResourceResult>, ApiError> {
    let name = resource.resource_name.as_str();
    let invalid = |message: String| ApiError::new(ResponseError::InvalidRequest, message);
    let config = broker.config();
    let none = Configs::new();
    let stored = |kind| image.configs(&ConfigResource::new(kind, name)).map_or(&none, |configs| configs);
    let described = match Kind::of(resource.resource_type) {
        Some(Kind::Topic) => {
            validate_topic_name(name).map_err(|said| ApiError::new(ResponseError::InvalidTopicException, said))?;
            if image.topic(name).is_none() {
                // The schema's default, for want of a message.
                return Err(ApiError::new(ResponseError::UnknownTopicOrPartition, ""));
            }
            describe::topic(&config, stored(ResourceKind::Topic))
        }
        Some(Kind::Broker) if name.is_empty() => Ok(describe::broker_defaults(&config)),
        Some(Kind::Broker) => match broker_id(name)? {
            id if id == broker.id => Ok(describe::broker(&config)),
            _ => {
                let expected = broker.id;
                let said = format!("Unexpected broker id, expected {expected} or empty string, but received {name}");
                return Err(invalid(said));
            }
        },
        Some(Kind::BrokerLogger) if name.is_empty() => return Err(invalid("Broker id must not be empty".into())),
        Some(Kind::BrokerLogger) => match broker_id(name)? {
            id if id == broker.id => return Ok(broker_loggers::describe(&*broker.loggers)),
            _ => return Err(invalid(format!("Unexpected broker id, expected {} but received {name}", broker.id))),
        },
        Some(Kind::ClientMetrics) if name.is_empty() => {
            return Err(invalid("Client metrics subscription name must not be empty".into()));
        }
        Some(Kind::ClientMetrics) => describe::client_metrics(stored(ResourceKind::ClientMetrics)),
        Some(Kind::Group) if name.is_empty() => return Err(invalid("Group name must not be empty".into())),
        Some(Kind::Group) => describe::group(&config, stored(ResourceKind::Group)),
        None => return Err(invalid(format!("Unsupported resource type: {}", resource.resource_type))),
    };
    // Stored values were checked when they were written.
    let described =
        described.map_err(|error: ConfigError| ApiError::new(ResponseError::InvalidConfig, error.to_string()))?;
    Ok(described.into_iter().map(|entry| result(entry, wanted)).collect())
}

fn broker_id(name: &str) -> Result<i32, ApiError> {
    let said = || format!("Broker id must be an integer, but it is: {name}");
    name.parse().map_err(|_| ApiError::new(ResponseError::InvalidRequest, said()))
}

fn result(entry: Entry, wanted: Wanted) -> DescribeConfigsResourceResult {
    // A listener's override has its key's type, but no documentation of its own.
    let documented = entry.key.filter(|key| wanted.documentation && key.name == entry.name);
    let synonyms = if wanted.synonyms { entry.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source.wire_code())
        .with_is_sensitive(entry.sensitive)
        .with_synonyms(synonyms.into_iter().map(synonym).collect())
        .with_config_type(entry.key.map_or(0, |key| key.kind.wire_code()))
        .with_documentation(documented.map(|key| StrBytes::from_string(key.documentation())))
}

fn synonym(synonym: Synonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_string(synonym.name))
        .with_value(synonym.value.map(StrBytes::from_string))
        .with_source(synonym.source.wire_code())
}

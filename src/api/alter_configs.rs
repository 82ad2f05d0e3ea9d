//! AlterConfigs v0-2 (KIP-133), the old way: a resource gets exactly the keys that are named, and loses all others.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Broker;
use super::config_resource::{
    Alteration, Kind, check_broker_change, check_broker_name, invalid_request, repeated, undecided,
};
use super::context::RequestContext;
use crate::cluster::config_rules::TableRules;
use crate::cluster::decide::configs;
use crate::cluster::{ApiError, ConfigResource};

/// All configuration of a resource.
type Wanted = BTreeMap<Arc<str>, Option<Arc<str>>>;

pub async fn handle(broker: &Arc<Broker>, _: &RequestContext, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let alterations: Vec<Alteration<'_>> = request.resources.iter().map(alteration).collect();
    let repeated = repeated(&alterations);
    let mut outcomes: HashMap<usize, Result<(), ApiError>> = HashMap::new();
    let mut forwarded: Vec<(ConfigResource, Wanted)> = Vec::new();
    let mut indexes = Vec::new();
    for (index, (resource, alteration)) in request.resources.iter().zip(&alterations).enumerate() {
        if repeated.contains(&index) {
            outcomes.insert(index, Err(invalid_request("Each resource must appear at most once.")));
            continue;
        }
        match prepare(broker, resource, alteration) {
            Ok(change) => {
                forwarded.push(change);
                indexes.push(index);
            }
            Err(error) => drop(outcomes.insert(index, Err(error))),
        }
    }
    let results = decide(broker, forwarded, request.validate_only).await;
    outcomes.extend(indexes.into_iter().zip(results));
    let responses = request.resources.iter().enumerate().map(|(index, resource)| {
        let error = match outcomes.remove(&index) {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error),
            None => Some(ApiError::bare(ResponseError::UnknownServerError)),
        };
        AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_code(error.as_ref().map_or(0, |error| error.error.code()))
            .with_error_message(error.and_then(|error| error.message).map(StrBytes::from_string))
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

fn alteration(resource: &AlterConfigsResource) -> Alteration<'_> {
    let without = resource.configs.iter().filter(|one| one.value.is_none());
    Alteration {
        kind: Kind::of(resource.resource_type),
        type_code: resource.resource_type,
        name: resource.resource_name.as_str(),
        keys: resource.configs.iter().map(|one| one.name.as_str()).collect(),
        without_value: without.map(|one| one.name.as_str()).collect(),
    }
}

/// What the quorum has to decide.
fn prepare(
    broker: &Broker,
    resource: &AlterConfigsResource,
    alteration: &Alteration<'_>,
) -> Result<(ConfigResource, Wanted), ApiError> {
    alteration.check_keys()?;
    match alteration.kind {
        // The old API knows no loggers.
        None | Some(Kind::BrokerLogger) => return Err(alteration.unknown_type()),
        Some(Kind::Broker) => {
            check_broker_name(broker, alteration.name)?;
            let text = |value: &Option<StrBytes>| value.as_ref().map(ToString::to_string).unwrap_or_default();
            let wanted = resource.configs.iter().map(|one| (one.name.to_string(), text(&one.value))).collect();
            check_broker_change(broker, alteration.name, &wanted)?;
        }
        Some(Kind::Topic | Kind::ClientMetrics | Kind::Group) => {}
    }
    let stored = alteration.stored().ok_or_else(|| alteration.unknown_type())?;
    let pair = |name: &StrBytes, value: &Option<StrBytes>| {
        (Arc::from(name.as_str()), value.as_ref().map(|value| Arc::from(value.as_str())))
    };
    Ok((stored, resource.configs.iter().map(|one| pair(&one.name, &one.value)).collect()))
}

/// The quorum's decision on each change, in their order.
async fn decide(
    broker: &Broker,
    changes: Vec<(ConfigResource, Wanted)>,
    validate_only: bool,
) -> Vec<Result<(), ApiError>> {
    if changes.is_empty() {
        return Vec::new();
    }
    let (count, rules) = (changes.len(), TableRules { config: broker.config() });
    let decision =
        broker.cluster.propose_at(move |image| configs::legacy_alter(image, &rules, &changes, validate_only)).await;
    match decision {
        Ok((results, offset)) => {
            // So that whoever asks this broker next sees the change.
            broker.cluster.wait_published(offset).await;
            results.into_iter().map(|(_, result)| result).collect()
        }
        Err(error) => vec![Err(undecided(&error)); count],
    }
}

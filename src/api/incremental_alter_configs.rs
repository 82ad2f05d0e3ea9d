//! IncrementalAlterConfigs v0-1 (KIP-339): sets, deletes, appends to and subtracts from single keys. A resource's change is taken whole or not at all.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Broker;
use super::broker_loggers;
use super::config_resource::{
    Alteration, Kind, check_broker_change, check_broker_name, invalid_request, repeated, undecided,
};
use super::context::RequestContext;
use crate::cluster::config_rules::TableRules;
use crate::cluster::decide::configs::{self, ConfigChange, ConfigChanges, ConfigOp};
use crate::cluster::{ApiError, ConfigResource};
use crate::config::broker::broker_key;
use crate::config::dynamic;
use crate::config::key::{ConfigKey, Kind as ValueKind};

pub async fn handle(
    broker: &Arc<Broker>,
    _: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let alterations: Vec<Alteration<'_>> = request.resources.iter().map(alteration).collect();
    let repeated = repeated(&alterations);
    let mut outcomes: HashMap<usize, Result<(), ApiError>> = HashMap::new();
    let mut forwarded: Vec<(ConfigResource, ConfigChanges)> = Vec::new();
    let mut indexes = Vec::new();
    for (index, (resource, alteration)) in request.resources.iter().zip(&alterations).enumerate() {
        if repeated.contains(&index) {
            outcomes.insert(index, Err(invalid_request("Each resource must appear at most once.")));
            continue;
        }
        match prepare(broker, resource, alteration, request.validate_only) {
            Ok(Some(change)) => {
                forwarded.push(change);
                indexes.push(index);
            }
            Ok(None) => drop(outcomes.insert(index, Ok(()))),
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
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn alteration(resource: &AlterConfigsResource) -> Alteration<'_> {
    let needs_value = |operation: i8| ConfigOp::from_code(operation) != Some(ConfigOp::Delete);
    let without = resource.configs.iter().filter(|one| needs_value(one.config_operation) && one.value.is_none());
    Alteration {
        kind: Kind::of(resource.resource_type),
        type_code: resource.resource_type,
        name: resource.resource_name.as_str(),
        keys: resource.configs.iter().map(|one| one.name.as_str()).collect(),
        without_value: without.map(|one| one.name.as_str()).collect(),
    }
}

/// What the quorum has to decide; `None` when nothing is left to do.
fn prepare(
    broker: &Broker,
    resource: &AlterConfigsResource,
    alteration: &Alteration<'_>,
    validate_only: bool,
) -> Result<Option<(ConfigResource, ConfigChanges)>, ApiError> {
    alteration.check_keys()?;
    match alteration.kind {
        None => return Err(alteration.unknown_type()),
        Some(Kind::BrokerLogger) => {
            return broker_loggers::alter(broker, resource, validate_only).map(|()| None);
        }
        Some(Kind::Broker) => {
            check_broker_name(broker, alteration.name)?;
            let wanted = broker_configs(broker, resource)?;
            check_broker_change(broker, alteration.name, &wanted)?;
        }
        Some(Kind::Topic | Kind::ClientMetrics | Kind::Group) => {}
    }
    let stored = alteration.stored().ok_or_else(|| alteration.unknown_type())?;
    let mut changes = ConfigChanges::new();
    for config in &resource.configs {
        let op = operation(config.config_operation)?;
        let value = config.value.as_ref().map(|value| Arc::from(value.as_str()));
        changes.insert(Arc::from(config.name.as_str()), ConfigChange { op, value });
    }
    Ok(Some((stored, changes)))
}

fn operation(code: i8) -> Result<ConfigOp, ApiError> {
    ConfigOp::from_code(code).ok_or_else(|| invalid_request(format!("Unknown operations type {code}")))
}

/// All dynamic configuration that the broker would have (`ConfigAdminManager.prepareIncrementalConfigs`).
fn broker_configs(broker: &Broker, resource: &AlterConfigsResource) -> Result<BTreeMap<String, String>, ApiError> {
    let name = resource.resource_name.as_str();
    let stored = ConfigResource::new(crate::cluster::ResourceKind::Broker, name);
    let image = broker.cluster.image();
    let config = broker.config();
    let stored = image.configs(&stored);
    let usable = stored.map(|all| dynamic::usable(config.static_settings(), all, !name.is_empty()));
    let mut configs = usable.unwrap_or_default();
    for config in &resource.configs {
        let key = config.name.as_str();
        let value = config.value.as_ref().map(|value| value.as_str()).unwrap_or_default();
        let op = operation(config.config_operation)?;
        let changed = match op {
            ConfigOp::Set => value.to_owned(),
            ConfigOp::Delete => {
                configs.remove(key);
                continue;
            }
            ConfigOp::Append | ConfigOp::Subtract => {
                let preset = list_preset(key, op)?;
                let before = configs.get(key).cloned().or(preset).unwrap_or_default();
                changed_list(&before, value, op)
            }
        };
        configs.insert(key.to_owned(), changed);
    }
    Ok(configs)
}

/// The preset of a list key.
fn list_preset(name: &str, op: ConfigOp) -> Result<Option<String>, ApiError> {
    let invalid = |message: String| ApiError::new(ResponseError::InvalidConfig, message);
    let key: &ConfigKey = broker_key(name).ok_or_else(|| invalid(format!("Unknown config name: {name}")))?;
    if key.kind != ValueKind::List {
        let what = if op == ConfigOp::Append { "append" } else { "subtract" };
        return Err(invalid(format!("Config value {what} is not allowed for config key: {name}")));
    }
    Ok(key.preset_value().ok().and_then(|value| value.to_text()))
}

fn changed_list(before: &str, value: &str, op: ConfigOp) -> String {
    let mut entries: Vec<&str> = before.split(',').filter(|entry| !entry.is_empty()).collect();
    for entry in value.split(',') {
        if op == ConfigOp::Subtract {
            if let Some(found) = entries.iter().position(|one| *one == entry) {
                entries.remove(found);
            }
        } else if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries.join(",")
}

/// The quorum's decision on each change, in their order.
async fn decide(
    broker: &Broker,
    changes: Vec<(ConfigResource, ConfigChanges)>,
    validate_only: bool,
) -> Vec<Result<(), ApiError>> {
    if changes.is_empty() {
        return Vec::new();
    }
    let (count, rules) = (changes.len(), TableRules { config: broker.config() });
    let decision = broker
        .cluster
        .propose_at(move |image| configs::incremental_alter(image, &rules, &changes, validate_only))
        .await;
    match decision {
        Ok((results, offset)) => {
            // So that whoever asks this broker next sees the change.
            broker.cluster.wait_published(offset).await;
            results.into_iter().map(|(_, result)| result).collect()
        }
        Err(error) => vec![Err(undecided(&error)); count],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_grow_and_shrink_without_doubles() {
        assert_eq!(changed_list("delete", "compact,delete", ConfigOp::Append), "delete,compact");
        assert_eq!(changed_list("", "compact", ConfigOp::Append), "compact");
        assert_eq!(changed_list("delete,compact", "delete,x", ConfigOp::Subtract), "compact");
        assert_eq!(changed_list("delete", "delete", ConfigOp::Subtract), "");
    }

    #[test]
    fn only_lists_are_appended_to() {
        assert_eq!(list_preset("log.cleanup.policy", ConfigOp::Append), Ok(Some("delete".into())));
        let said = |name: &str, op: ConfigOp| list_preset(name, op).unwrap_err().message.unwrap();
        assert_eq!(said("own", ConfigOp::Append), "Unknown config name: own");
        assert_eq!(
            said("message.max.bytes", ConfigOp::Subtract),
            "Config value subtract is not allowed for config key: message.max.bytes"
        );
    }
}

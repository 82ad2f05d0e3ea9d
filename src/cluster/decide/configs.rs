//! Changing dynamic configurations (Kafka's `ConfigurationControlManager` and `ControllerConfigurationValidator`).
//!
//! A resource's change is taken whole or not at all. What keys and values mean is for [`ConfigRules`] to say.

use kafka_protocol::error::ResponseError;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::topics::validate_topic_name;
use super::{ApiError, ConfigRules, Decision};
use crate::cluster::image::{Configs, MetadataImage};
use crate::cluster::record::{ConfigResource, Record, ResourceKind};

/// Kafka's bound on a value's length, in UTF-16 units.
const MAX_VALUE_CHARS: usize = 32_767;

/// Kafka's `AlterConfigOp.OpType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigOp {
    Set,
    Delete,
    Append,
    Subtract,
}

impl ConfigOp {
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// What to do with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub op: ConfigOp,
    /// Not looked at by [`ConfigOp::Delete`].
    pub value: Option<Arc<str>>,
}

/// A resource's changes by key.
pub type ConfigChanges = BTreeMap<Arc<str>, ConfigChange>;

/// What became of each resource, in the request's order.
pub type ConfigResults = Vec<(ConfigResource, Result<(), ApiError>)>;

/// IncrementalAlterConfigs (KIP-339). Resources are distinct.
pub fn incremental_alter(
    image: &MetadataImage,
    rules: &dyn ConfigRules,
    resources: &[(ConfigResource, ConfigChanges)],
    validate_only: bool,
) -> Decision<ConfigResults> {
    collect(resources, validate_only, |resource, changes| {
        let values = changed_values(image, rules, resource, changes)?;
        let after = validate(image, rules, resource, &values, &[])?;
        check_exists(image, resource)?;
        drop(after);
        Ok(records(resource, values))
    })
}

/// AlterConfigs, the old way: what is not named is removed. Resources are distinct.
pub fn legacy_alter(
    image: &MetadataImage,
    rules: &dyn ConfigRules,
    resources: &[(ConfigResource, BTreeMap<Arc<str>, Option<Arc<str>>>)],
    validate_only: bool,
) -> Decision<ConfigResults> {
    collect(resources, validate_only, |resource, wanted| {
        let empty = Configs::new();
        let current = image.configs(resource).map_or(&empty, |configs| configs);
        let values: Vec<_> = wanted
            .iter()
            .filter(|(key, value)| must_write(resource, current.get(*key), value.as_ref()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let removed: Vec<Arc<str>> = current.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        validate(image, rules, resource, &values, &removed)?;
        check_exists(image, resource)?;
        let mut all = records(resource, values);
        all.extend(records(resource, removed.into_iter().map(|key| (key, None)).collect()));
        Ok(all)
    })
}

/// The configuration of a topic that the same decision creates.
///
/// # Errors
/// As for any alteration, but that the topic need not exist.
pub fn alter_new_topic(
    image: &MetadataImage,
    rules: &dyn ConfigRules,
    resource: &ConfigResource,
    changes: &ConfigChanges,
) -> Result<Vec<Record>, ApiError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let values = changed_values(image, rules, resource, changes)?;
    validate(image, rules, resource, &values, &[])?;
    Ok(records(resource, values))
}

fn collect<C>(
    resources: &[(ConfigResource, C)],
    validate_only: bool,
    mut alter: impl FnMut(&ConfigResource, &C) -> Result<Vec<Record>, ApiError>,
) -> Decision<ConfigResults> {
    let mut records = Vec::new();
    let mut reply = Vec::with_capacity(resources.len());
    for (resource, changes) in resources {
        let result = alter(resource, changes).map(|new| records.extend(new));
        reply.push((resource.clone(), result));
    }
    if validate_only {
        records.clear();
    }
    Decision { records, reply }
}

/// Brokers reload what a broker's configuration names (a key store, say) even when the value is the same: such a record is written always (KAFKA-14136).
fn must_write(resource: &ConfigResource, current: Option<&Arc<str>>, wanted: Option<&Arc<str>>) -> bool {
    current != wanted || resource.kind == ResourceKind::Broker
}

type Values = Vec<(Arc<str>, Option<Arc<str>>)>;

fn records(resource: &ConfigResource, values: Values) -> Vec<Record> {
    values.into_iter().map(|(key, value)| Record::ConfigChanged { resource: resource.clone(), key, value }).collect()
}

/// The new values of the keys that `changes` changes.
fn changed_values(
    image: &MetadataImage,
    rules: &dyn ConfigRules,
    resource: &ConfigResource,
    changes: &ConfigChanges,
) -> Result<Values, ApiError> {
    let current = image.configs(resource);
    let mut values = Vec::new();
    for (key, change) in changes {
        let before = current.and_then(|configs| configs.get(key));
        let after = match change.op {
            ConfigOp::Set => change.value.clone(),
            ConfigOp::Delete => None,
            ConfigOp::Append | ConfigOp::Subtract => Some(changed_list(rules, resource, key, before, change)?),
        };
        if must_write(resource, before, after.as_ref()) {
            values.push((key.clone(), after));
        }
    }
    Ok(values)
}

fn changed_list(
    rules: &dyn ConfigRules,
    resource: &ConfigResource,
    key: &Arc<str>,
    before: Option<&Arc<str>>,
    change: &ConfigChange,
) -> Result<Arc<str>, ApiError> {
    if !rules.is_list(resource.kind, key) {
        return Err(ApiError::new(
            ResponseError::InvalidConfig,
            format!("Can't {} to key {key} because its type is not LIST.", change.op.name()),
        ));
    }
    let before = before.map(ToString::to_string).or_else(|| rules.default_value(resource.kind, key));
    let mut items: Vec<&str> =
        before.as_deref().unwrap_or_default().split(',').filter(|item| !item.is_empty()).collect();
    for item in change.value.as_deref().unwrap_or_default().split(',') {
        if change.op == ConfigOp::Subtract {
            if let Some(position) = items.iter().position(|other| *other == item) {
                items.remove(position);
            }
        } else if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(items.join(",").into())
}

/// Checks what the resource would have after `values` and the removal of `removed`, and returns it.
fn validate(
    image: &MetadataImage,
    rules: &dyn ConfigRules,
    resource: &ConfigResource,
    values: &Values,
    removed: &[Arc<str>],
) -> Result<Configs, ApiError> {
    let empty = Configs::new();
    let existing = image.configs(resource).map_or(&empty, |configs| configs);
    let mut after = existing.clone();
    for (key, value) in values {
        match value {
            None => {
                after.remove(key);
            }
            Some(value) if value.encode_utf16().count() > MAX_VALUE_CHARS => {
                return Err(ApiError::new(
                    ResponseError::InvalidConfig,
                    format!(
                        "The configuration value cannot be added because it exceeds the maximum value size of {MAX_VALUE_CHARS} bytes."
                    ),
                ));
            }
            Some(value) => {
                after.insert(key.clone(), value.clone());
            }
        }
    }
    for key in removed {
        after.remove(key);
    }
    validate_resource_name(resource)?;
    rules.validate(resource, &after, existing)?;
    Ok(after)
}

fn validate_resource_name(resource: &ConfigResource) -> Result<(), ApiError> {
    let invalid = |message: &str| Err(ApiError::new(ResponseError::InvalidRequest, message));
    match resource.kind {
        ResourceKind::Topic if resource.name.is_empty() => invalid("Default topic resources are not allowed."),
        ResourceKind::Topic => validate_topic_name(&resource.name)
            .map_err(|message| ApiError::new(ResponseError::InvalidTopicException, message)),
        ResourceKind::Broker if resource.name.is_empty() => Ok(()),
        ResourceKind::Broker => match resource.name.parse::<i32>() {
            Err(_) => invalid("Unable to parse broker name as a base 10 number."),
            Ok(id) if id < 0 => invalid("Invalid negative broker ID."),
            Ok(_) => Ok(()),
        },
        ResourceKind::Group if resource.name.is_empty() => invalid("Default group resources are not allowed."),
        // The rules for client metrics name their resource themselves.
        ResourceKind::Group | ResourceKind::ClientMetrics => Ok(()),
    }
}

/// Kafka's `ConfigResourceExistenceChecker`: brokers and topics must be there; groups and client metrics come into being with their configuration.
fn check_exists(image: &MetadataImage, resource: &ConfigResource) -> Result<(), ApiError> {
    match resource.kind {
        ResourceKind::Topic if image.topic(&resource.name).is_none() => Err(ApiError::new(
            ResponseError::UnknownTopicOrPartition,
            format!("The topic '{}' does not exist.", resource.name),
        )),
        ResourceKind::Broker if !resource.name.is_empty() => {
            let known = resource.name.parse().is_ok_and(|id| image.broker(id).is_some());
            if known {
                Ok(())
            } else {
                Err(ApiError::new(
                    ResponseError::BrokerIdNotRegistered,
                    format!("No node with id {} found.", resource.name),
                ))
            }
        }
        _ => Ok(()),
    }
}

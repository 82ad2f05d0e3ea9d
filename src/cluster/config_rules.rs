//! Answers what decisions ask about configurations from `config`'s tables and one broker's configuration.

use kafka_protocol::error::ResponseError;
use std::sync::Arc;

use super::decide::{ApiError, ConfigRules, EffectiveConfig};
use super::image::{Configs, MetadataImage};
use super::record::{ConfigResource, ResourceKind};
use crate::config::broker::broker_key;
use crate::config::client_metrics::{self, SubscriptionError, client_metrics_key};
use crate::config::group::{self, group_key};
use crate::config::key::{ConfigKey, Kind, Preset};
use crate::config::topic::{broker_synonyms, topic_key, topic_keys, validate_overrides};
use crate::config::{BrokerConfig, ConfigError};

/// Kafka's `ConfigSource` codes.
pub const SOURCE_TOPIC: i8 = 1;
pub const SOURCE_DYNAMIC_BROKER: i8 = 2;
pub const SOURCE_DYNAMIC_DEFAULT: i8 = 3;
pub const SOURCE_STATIC: i8 = 4;
pub const SOURCE_DEFAULT: i8 = 5;

/// The rules as this node's configuration makes them.
#[derive(Clone)]
pub struct TableRules {
    pub config: Arc<BrokerConfig>,
}

fn key(kind: ResourceKind, name: &str) -> Option<&'static ConfigKey> {
    match kind {
        ResourceKind::Topic => topic_key(name),
        ResourceKind::Broker => broker_key(name),
        ResourceKind::Group => group_key(name),
        ResourceKind::ClientMetrics => client_metrics_key(name),
    }
}

impl ConfigRules for TableRules {
    fn validate(&self, resource: &ConfigResource, configs: &Configs, _: &Configs) -> Result<(), ApiError> {
        match resource.kind {
            ResourceKind::Topic => validate_overrides(&self.config, configs).map_err(|error| invalid(&error)),
            // The broker that a change is for checks it before it comes here, as in Kafka.
            ResourceKind::Broker => Ok(()),
            ResourceKind::Group => group::validate(&self.config, configs).map_err(|error| invalid(&error)),
            ResourceKind::ClientMetrics => {
                client_metrics::validate(&resource.name, configs).map_err(|error| match error {
                    SubscriptionError::Request(said) => ApiError::new(ResponseError::InvalidRequest, said),
                    SubscriptionError::Config(error) => invalid(&error),
                })
            }
        }
    }

    fn is_list(&self, kind: ResourceKind, name: &str) -> bool {
        key(kind, name).is_some_and(|key| key.kind == Kind::List)
    }

    fn default_value(&self, kind: ResourceKind, name: &str) -> Option<String> {
        match key(kind, name)?.preset {
            Preset::Is(text) => Some(text.to_owned()),
            Preset::Null => None,
        }
    }

    fn effective_topic_configs(&self, image: &MetadataImage, overrides: &Configs) -> Vec<EffectiveConfig> {
        let node = ConfigResource::broker(self.config.node_id);
        let (node, all) = (image.configs(&node), image.configs(&ConfigResource::all_brokers()));
        topic_keys()
            .iter()
            .filter(|key| !key.internal || overrides.contains_key(key.name))
            .map(|key| {
                let (value, source) = self.effective(key, overrides, node.map(|c| &**c), all.map(|c| &**c));
                let sensitive = key.is_sensitive();
                EffectiveConfig {
                    name: key.name.to_owned(),
                    value: if sensitive { None } else { value },
                    read_only: false,
                    source,
                    sensitive,
                }
            })
            .collect()
    }
}

impl TableRules {
    /// A topic key's value as text, and the code of its source (`KafkaConfigSchema.resolveEffectiveTopicConfig`).
    fn effective(
        &self,
        key: &ConfigKey,
        overrides: &Configs,
        node: Option<&Configs>,
        all: Option<&Configs>,
    ) -> (Option<String>, i8) {
        if let Some(value) = overrides.get(key.name) {
            return (Some(value.to_string()), SOURCE_TOPIC);
        }
        let synonyms = broker_synonyms(key.name);
        for (layer, source) in [(node, SOURCE_DYNAMIC_BROKER), (all, SOURCE_DYNAMIC_DEFAULT)] {
            for (name, factor) in synonyms {
                if let Some(value) = layer.and_then(|layer| layer.get(*name)) {
                    return (Some(scaled(value, *factor)), source);
                }
            }
        }
        for (name, factor) in synonyms {
            if let Some(value) = self.config.static_settings().get(name) {
                return (Some(scaled(value, *factor)), SOURCE_STATIC);
            }
        }
        (key.preset_value().ok().and_then(|value| value.to_text()), SOURCE_DEFAULT)
    }
}

/// A text in a broker key's unit as one in its topic key's.
fn scaled(text: &str, factor: i64) -> String {
    match text.trim().parse::<i64>() {
        Ok(number) if factor != 1 => number.saturating_mul(factor).to_string(),
        _ => text.to_owned(),
    }
}

fn invalid(error: &ConfigError) -> ApiError {
    ApiError::new(ResponseError::InvalidConfig, error.to_string())
}

//! The table of the keys of client metrics subscriptions (KIP-714), and the checks of one. Subscriptions are kept; clients are not asked for metrics yet.

use super::ConfigError;
use super::key::row::*;
use super::key::{ConfigKey, Value, keys, split_list};
use std::collections::BTreeMap;

/// Every key, sorted by name.
static TABLE: &[ConfigKey] = keys! {
    "interval.ms", Int, Is("300000"), Any, Medium, ClusterWide, Missing:
        "How often clients that match push their metrics.";
    "match", List, Is(""), LIST, Medium, ClusterWide, Missing:
        "Which clients match, as name=pattern pairs.";
    "metrics", List, Is(""), LIST, Medium, ClusterWide, Missing:
        "Prefixes of the names of the metrics that are wanted; * for all.";
};

/// What a `match` pattern may be about.
const MATCH_PARAMETERS: &[&str] = &[
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Every key, sorted by name.
pub fn client_metrics_keys() -> &'static [ConfigKey] {
    TABLE
}

/// The key of that name.
pub fn client_metrics_key(name: &str) -> Option<&'static ConfigKey> {
    TABLE.iter().find(|key| key.name == name)
}

/// Why a subscription is refused: Kafka answers the first with INVALID_REQUEST, the second with INVALID_CONFIG.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubscriptionError {
    Request(String),
    Config(ConfigError),
}

/// Checks all configuration that a subscription would have (`ClientMetricsConfigs.validate`). Patterns are not compiled.
///
/// # Errors
/// [`SubscriptionError`] with the sentence for the client.
pub fn validate<K: AsRef<str>, V: AsRef<str>>(
    subscription: &str,
    configs: &BTreeMap<K, V>,
) -> Result<(), SubscriptionError> {
    if subscription.is_empty() {
        return Err(SubscriptionError::Request("Subscription name can't be empty".into()));
    }
    if let Some(name) = configs.keys().find(|name| client_metrics_key(name.as_ref()).is_none()) {
        let said = format!("Unknown client metrics configuration: {}", name.as_ref());
        return Err(SubscriptionError::Request(said));
    }
    for (name, text) in configs {
        let Some(key) = client_metrics_key(name.as_ref()) else { continue };
        let value = key.parse(text.as_ref()).map_err(SubscriptionError::Config)?;
        match (key.name, value) {
            ("interval.ms", Value::Int(interval)) if !(100..=3_600_000).contains(&interval) => {
                return Err(SubscriptionError::Request(format!(
                    "Invalid value {interval} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
                )));
            }
            ("match", _) => split_list(text.as_ref()).iter().try_for_each(|pattern| check_pattern(pattern))?,
            _ => {}
        }
    }
    Ok(())
}

fn check_pattern(pattern: &str) -> Result<(), SubscriptionError> {
    let parts: Vec<&str> = pattern.split('=').collect();
    match parts.as_slice() {
        [parameter, wanted] if MATCH_PARAMETERS.contains(&parameter.trim()) && !wanted.is_empty() => Ok(()),
        _ => {
            Err(SubscriptionError::Config(ConfigError::Relation(format!("Illegal client matching pattern: {pattern}"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::map;

    #[test]
    fn subscriptions_are_checked() {
        let good = map(&[("interval.ms", "1000"), ("match", "client_id=a.*,client_software_name=x"), ("metrics", "*")]);
        assert_eq!(validate("s", &good), Ok(()));
        assert!(matches!(validate("", &good), Err(SubscriptionError::Request(_))));
        assert!(matches!(validate("s", &map(&[("interval.ms", "99")])), Err(SubscriptionError::Request(_))));
        assert!(matches!(validate("s", &map(&[("interval.ms", "x")])), Err(SubscriptionError::Config(_))));
        assert!(matches!(validate("s", &map(&[("match", "who=a")])), Err(SubscriptionError::Config(_))));
        assert!(matches!(validate("s", &map(&[("other", "a")])), Err(SubscriptionError::Request(_))));
    }
}

//! Configuration: tables of keys that drive parsing, checks, DescribeConfigs, dynamic changes and the documentation.
//!
//! One row per key, one table per kind of resource (`broker`, `topic`, `group`, `client_metrics`); everything else is derived from the rows.
//! Names, types, presets and bounds are those of Apache Kafka 4.3. Nothing here is global state, and nothing changes after it was parsed.
//!
//! ```text
//! server.properties ─┐
//! environment ───────┼─> Settings ─> BrokerConfig ─> TopicConfig
//! --override ────────┘                   ^                ^
//!                       dynamic configuration     a topic's overrides
//! ```

pub mod bootstrap;
pub mod broker;
pub mod client_metrics;
pub mod describe;
pub mod docs;
pub mod dynamic;
pub mod group;
pub mod image;
pub mod key;
pub mod listener;
pub mod meta_properties;
pub mod properties;
pub mod settings;
pub mod topic;

#[cfg(test)]
pub(crate) mod tests;

pub use broker::{BrokerConfig, LogFormat, RecordValidation, Role};
pub use image::{DeclaredTopic, Image};
pub use listener::{Listener, Listeners, SecurityProtocol};
pub use settings::{Origin, Settings};
pub use topic::{CompressionType, TimestampType, TopicConfig};

use thiserror::Error;

/// Why a configuration is refused. The message names the key, its value and what is allowed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ConfigError {
    /// The form is that of Kafka's `ConfigException`: clients show it.
    #[error("Invalid value {value} for configuration {name}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Invalid { name: String, value: String, reason: String },
    #[error("Missing required configuration {name}")]
    Missing { name: String },
    /// Several keys do not fit together.
    #[error("{0}")]
    Relation(String),
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
    #[error("--override {given}: expected key=value")]
    Override { given: String },
    /// A variable of the environment that is no property.
    #[error("{variable}={value}: {reason}")]
    Variable { variable: String, value: String, reason: String },
    /// Two sources of one rank that say different things.
    #[error("{name} is set twice, and differently: {one}, and {other}; set it once")]
    Disagree { name: String, one: String, other: String },
    /// What is wrong, with where it was set.
    #[error("{error}{sources}")]
    Sourced { error: Box<ConfigError>, sources: String },
}

/// Prefixes of names that belong to plug-ins and listeners, and so are in no table.
const OPEN_PREFIXES: &[&str] = &["listener.name.", "config.providers.", "rsm.config.", "rlmm.config."];

/// Keys that work for one listener alone, as `listener.name.NAME.KEY`.
const LISTENER_LIMITS: &[&str] = &["max.connections", "max.connection.creation.rate"];

/// The sentence about a name that is in no table, or nothing for a plug-in's own.
fn unknown_name_notice(name: &str, origin: &Origin) -> Option<String> {
    if LISTENER_LIMITS.iter().any(|key| dynamic::listener_base_name(name) == Some(key)) {
        return None;
    }
    if name.starts_with("listener.name.") {
        return Some(format!("{name} ({origin}) is accepted, but Ottla does not act on it yet"));
    }
    if OPEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    let hint = nearest(name).map(|near| format!(", did you mean {near}?")).unwrap_or_default();
    Some(format!("{name} ({origin}) is not a configuration of Ottla and is ignored{hint}"))
}

/// The broker key whose name is nearest, if it is near enough to be meant.
fn nearest(name: &str) -> Option<&'static str> {
    let most = (name.len() / 5).clamp(1, 4);
    let near = broker::broker_keys().iter().filter(|key| !key.internal);
    near.map(|key| (distance(name, key.name), key.name)).filter(|(far, _)| *far <= most).min().map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.bytes().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(index + 1);
        for ((above_left, above), wanted) in row.iter().zip(row.iter().skip(1)).zip(other.bytes()) {
            let left = next.last().copied().unwrap_or(0);
            next.push((above_left + usize::from(byte != wanted)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod unknown_name_tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_with_the_nearest_one() {
        assert_eq!(nearest("num.partition"), Some("num.partitions"));
        assert_eq!(nearest("advertised.listener"), Some("advertised.listeners"));
        assert_eq!(nearest("zookeeper.connect"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(unknown_name_notice("rsm.config.x", &Origin::Override), None);
    }
}

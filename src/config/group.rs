//! The table of group keys (KIP-848, KIP-932, KIP-1071), and the checks of a group's own configuration.
//!
//! A group's own value wins over the broker's. The groups that these keys are for are not served yet; their configuration is kept and checked.

use super::ConfigError;
use super::broker::BrokerConfig;
use super::key::row::*;
use super::key::{ConfigKey, Value, keys};
use std::collections::BTreeMap;

/// Every group key, sorted by name.
static TABLE: &[ConfigKey] = keys! {
    "consumer.assignment.interval.ms", Int, Is("1000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "The least time between two assignments of a consumer group.";
    "consumer.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "How often a member of a consumer group sends a heartbeat.";
    "consumer.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "A member of a consumer group that is silent for this long is removed.";
    "share.assignment.interval.ms", Int, Is("1000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "The least time between two assignments of a share group.";
    "share.auto.offset.reset", String, Is("latest"), Valid::ShareOffsetReset, Medium, ClusterWide, Missing:
        "Where a share group starts that has no position yet.";
    "share.delivery.count.limit", Int, Is("5"), AtLeast(2.0), Medium, ClusterWide, Missing:
        "How often a record is delivered to a share group before it is given up.";
    "share.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "How often a member of a share group sends a heartbeat.";
    "share.isolation.level", String, Is("read_uncommitted"), OneOf(&["read_committed", "read_uncommitted"]), Medium, ClusterWide, Missing:
        "Whether a share group sees records of open and aborted transactions.";
    "share.partition.max.record.locks", Int, Is("2000"), AtLeast(100.0), Medium, ClusterWide, Missing:
        "How many records of a partition a share group may hold at once.";
    "share.record.lock.duration.ms", Int, Is("30000"), AtLeast(1000.0), Medium, ClusterWide, Missing:
        "How long a member of a share group holds a record.";
    "share.renew.acknowledge.enable", Boolean, Is("true"), Any, Medium, ClusterWide, Missing:
        "Whether members of a share group may hold a record for longer.";
    "share.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "A member of a share group that is silent for this long is removed.";
    "streams.assignment.interval.ms", Int, Is("1000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "The least time between two assignments of a streams group.";
    "streams.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "How often a member of a streams group sends a heartbeat.";
    "streams.initial.rebalance.delay.ms", Int, Is("3000"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "How long an empty streams group waits for more members.";
    "streams.num.standby.replicas", Int, Is("0"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "Standby copies of each task of a streams group.";
    "streams.session.timeout.ms", Int, Is("45000"), AtLeast(1.0), Medium, ClusterWide, Missing:
        "A member of a streams group that is silent for this long is removed.";
};

/// Every group key, sorted by name.
pub fn group_keys() -> &'static [ConfigKey] {
    TABLE
}

/// The key of that name.
pub fn group_key(name: &str) -> Option<&'static ConfigKey> {
    TABLE.binary_search_by_key(&name, |key| key.name).ok().and_then(|index| TABLE.get(index))
}

/// The broker key that a group key takes its value from, if it has one.
pub fn broker_synonym(group_key: &str) -> Option<&'static ConfigKey> {
    match group_key {
        "share.auto.offset.reset" | "share.isolation.level" | "share.renew.acknowledge.enable" => None,
        other => super::broker::broker_key(&format!("group.{other}")),
    }
}

/// What holds for a group with these overrides, by key.
///
/// # Errors
/// [`ConfigError`] when an override has no key or a wrong value.
pub fn resolve<K: AsRef<str>, V: AsRef<str>>(
    broker: &BrokerConfig,
    overrides: &BTreeMap<K, V>,
) -> Result<BTreeMap<&'static str, Value>, ConfigError> {
    let mut values = BTreeMap::new();
    for key in TABLE {
        let inherited = broker_synonym(key.name).and_then(|synonym| broker.value(synonym.name)).cloned();
        values.insert(key.name, inherited.map_or_else(|| key.preset_value(), Ok)?);
    }
    for (name, text) in overrides {
        let name = name.as_ref();
        let key = group_key(name).ok_or_else(|| ConfigError::Relation(format!("Unknown group config name: {name}")))?;
        values.insert(key.name, key.parse(text.as_ref())?);
    }
    Ok(values)
}

/// Checks all configuration that a group would have (`GroupConfig.validate`).
///
/// # Errors
/// [`ConfigError`] with the sentence for the client; the code is INVALID_CONFIG.
pub fn validate<K: AsRef<str>, V: AsRef<str>>(
    broker: &BrokerConfig,
    overrides: &BTreeMap<K, V>,
) -> Result<(), ConfigError> {
    let values = resolve(broker, overrides)?;
    let of_group = |name: &str| values.get(name).and_then(number);
    let of_broker = |name: &str| broker.value(name).and_then(number);
    let is_given = |name: &str| overrides.keys().any(|given| given.as_ref() == name);
    let bounded = [
        "consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms",
        "consumer.assignment.interval.ms",
        "share.heartbeat.interval.ms",
        "share.session.timeout.ms",
        "share.record.lock.duration.ms",
        "share.delivery.count.limit",
        "share.partition.max.record.locks",
        "share.assignment.interval.ms",
        "streams.heartbeat.interval.ms",
        "streams.session.timeout.ms",
        "streams.num.standby.replicas",
        "streams.assignment.interval.ms",
    ];
    for name in bounded {
        // The broker's assignment intervals are dynamic, so only a group's own is held against the bounds.
        if name.ends_with("assignment.interval.ms") && !is_given(name) {
            continue;
        }
        let (kind, what) = name.split_once('.').unwrap_or((name, ""));
        let least = format!("group.{kind}.min.{what}");
        // The bound's name leaves the "num." out.
        let most = format!("group.{kind}.max.{}", what.trim_start_matches("num."));
        if of_broker(&least).is_some_and(|least| of_group(name) < Some(least)) {
            return Err(ConfigError::Relation(format!("{name} must be greater than or equal to {least}")));
        }
        if of_broker(&most).is_some_and(|most| of_group(name) > Some(most)) {
            return Err(ConfigError::Relation(format!("{name} must be less than or equal to {most}")));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let (session, heartbeat) = (format!("{kind}.session.timeout.ms"), format!("{kind}.heartbeat.interval.ms"));
        if of_group(&session) <= of_group(&heartbeat) {
            return Err(ConfigError::Relation(format!("{session} must be greater than {heartbeat}")));
        }
    }
    Ok(())
}

fn number(value: &Value) -> Option<i32> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{broker, map};

    #[test]
    fn groups_take_the_brokers_values_and_keep_its_bounds() {
        let broker = broker(&[("group.share.session.timeout.ms", "50000")]).unwrap();
        let values = resolve(&broker, &map(&[("consumer.session.timeout.ms", "46000")])).unwrap();
        assert_eq!(values.get("consumer.session.timeout.ms"), Some(&Value::Int(46000)));
        assert_eq!(values.get("share.session.timeout.ms"), Some(&Value::Int(50000)));
        let check = |pairs: &[(&str, &str)]| validate(&broker, &map(pairs)).map_err(|error| error.to_string());
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("consumer.session.timeout.ms", "46000")]), Ok(()));
        assert_eq!(check(&[("x", "1")]), Err("Unknown group config name: x".into()));
        let least =
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms";
        assert_eq!(check(&[("consumer.session.timeout.ms", "1")]), Err(least.into()));
        let most = "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas";
        assert_eq!(check(&[("streams.num.standby.replicas", "3")]), Err(most.into()));
        assert!(check(&[("share.auto.offset.reset", "newest")]).is_err());
        assert!(check(&[("share.assignment.interval.ms", "20000")]).is_err());
    }

    #[test]
    fn every_broker_synonym_exists() {
        let without: Vec<_> =
            TABLE.iter().filter(|key| broker_synonym(key.name).is_none()).map(|key| key.name).collect();
        assert_eq!(without, ["share.auto.offset.reset", "share.isolation.level", "share.renew.acknowledge.enable"]);
    }
}

//! Dynamic broker configuration (KIP-226): which changes are allowed, and which of the stored values are usable.
//!
//! Decides and computes only: storing a change is the metadata log's, putting it in force the node's.

use super::broker::{BrokerConfig, broker_key};
use super::key::{ConfigKey, FromValue, Update};
use super::{ConfigError, Settings};
use std::collections::BTreeMap;

/// Keys of stores of keys, which can be changed only for one listener (`SslConfigs.RECONFIGURABLE_CONFIGS`).
const SECURITY: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys of a listener that hold for the whole cluster (`DynamicBrokerConfig.CLUSTER_LEVEL_LISTENER_CONFIGS`).
const CLUSTER_LEVEL_LISTENER: &[&str] = &["max.connections", "max.connection.creation.rate", "num.network.threads"];

/// Keys of a mechanism of a listener: `listener.name.NAME.MECHANISM.KEY` (`DynamicBrokerConfig.LISTENER_MECHANISM_CONFIGS`).
const LISTENER_MECHANISM: &[&str] = &[
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

/// Sizes of pools that Kafka lets grow and shrink by no more than a factor of two at a time.
const THREAD_POOLS: &[&str] = &[
    "background.threads",
    "num.io.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "num.network.threads",
];

/// What follows `listener.name.NAME.` in a name, if it begins so.
pub fn listener_base_name(name: &str) -> Option<&str> {
    name.strip_prefix("listener.name.")?.split_once('.').map(|(_, base)| base)
}

/// The key that a name stands for, also with a listener's prefix and a mechanism's.
pub fn key_of(name: &str) -> Option<&'static ConfigKey> {
    let exact = broker_key(name);
    exact.or_else(|| {
        let base = listener_base_name(name)?;
        let of_mechanism = LISTENER_MECHANISM.iter().find(|key| base.ends_with(*key));
        broker_key(of_mechanism.copied().unwrap_or(base))
    })
}

/// How far the key can be changed on a node with these settings. Kafka 4 refuses new advertised addresses because a KRaft broker registers them once; before,
/// scripts set them when the broker was up, with `kafka-configs`. A node without `process.roles` is configured as of that time, and takes them as then.
pub fn update(settings: &Settings, key: &ConfigKey) -> Update {
    match key.name {
        "advertised.listeners" if !settings.contains("process.roles") => Update::PerBroker,
        _ => key.update,
    }
}

fn is_dynamic(settings: &Settings, key: &ConfigKey) -> bool {
    update(settings, key) != Update::ReadOnly
}

/// The names of a set, as Java shows a set.
fn shown(names: &[&str]) -> String {
    format!("[{}]", names.join(", "))
}

/// Whether the value of a dynamic name parses; names that are in no table pass (they may be a plug-in's).
fn check_type(settings: &Settings, name: &str, text: &str) -> Result<(), ConfigError> {
    let base = listener_base_name(name).unwrap_or(name);
    match broker_key(base).filter(|key| is_dynamic(settings, key)) {
        Some(key) => key.parse(text).map(|_| ()),
        None => Ok(()),
    }
}

fn must_be_per_broker(settings: &Settings, name: &str) -> bool {
    let by_itself = broker_key(name).is_some_and(|key| update(settings, key) == Update::PerBroker);
    by_itself || listener_base_name(name).is_some_and(|base| !CLUSTER_LEVEL_LISTENER.contains(&base))
}

/// The stored values that may be put in force: others are left out, as Kafka leaves them out (`DynamicBrokerConfig.fromPersistentProps`).
/// They can be there when an older or newer version wrote them.
pub fn usable<K: AsRef<str>, V: AsRef<str>>(
    settings: &Settings,
    stored: &BTreeMap<K, V>,
    per_broker: bool,
) -> BTreeMap<String, String> {
    let is_usable = |name: &str, text: &str| {
        check_type(settings, name, text).is_ok()
            && broker_key(name).is_none_or(|key| is_dynamic(settings, key))
            && !SECURITY.contains(&name)
            && (per_broker || !must_be_per_broker(settings, name))
    };
    let pairs = stored.iter().map(|(name, text)| (name.as_ref(), text.as_ref()));
    pairs.filter(|(name, text)| is_usable(name, text)).map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// Checks all dynamic configuration that a broker (or, with `per_broker` false, the whole cluster) would have, against the rest of this broker's
/// configuration (`DynamicBrokerConfig.validate`).
///
/// # Errors
/// [`ConfigError`] with the sentence for the client; Kafka's code is INVALID_REQUEST (KAFKA-13609).
pub fn validate<K: AsRef<str>, V: AsRef<str>>(
    current: &BrokerConfig,
    wanted: &BTreeMap<K, V>,
    per_broker: bool,
) -> Result<(), ConfigError> {
    let settings = current.static_settings();
    let names: Vec<&str> = wanted.keys().map(AsRef::as_ref).collect();
    let with =
        |is_wrong: &dyn Fn(&str) -> bool| names.iter().copied().filter(|name| is_wrong(name)).collect::<Vec<_>>();
    let refuse = |wrong: Vec<&str>, said: &str| match wrong.is_empty() {
        true => Ok(()),
        false => Err(ConfigError::Relation(format!("{said}: {}", shown(&wrong)))),
    };
    refuse(
        with(&|name| broker_key(name).is_some_and(|key| !is_dynamic(settings, key))),
        "Cannot update these configs dynamically",
    )?;
    refuse(
        with(&|name| SECURITY.contains(&name)),
        "These security configs can be dynamically updated only per-listener using the listener prefix",
    )?;
    for (name, text) in wanted {
        check_type(settings, name.as_ref(), text.as_ref())?;
    }
    if !per_broker {
        refuse(
            with(&|name| must_be_per_broker(settings, name)),
            "Cannot update these configs at default cluster level, broker id must be specified",
        )?;
    }
    let owned = |map: &BTreeMap<K, V>| {
        map.iter().map(|(name, text)| (name.as_ref().to_owned(), text.as_ref().to_owned())).collect::<BTreeMap<_, _>>()
    };
    let after = match per_broker {
        true => current.with_dynamic(current.dynamic_default(), &owned(wanted))?,
        false => current.with_dynamic(&owned(wanted), current.dynamic_broker())?,
    };
    check_step(current, &after)
}

/// What a running broker cannot change that fast, or not at all.
fn check_step(current: &BrokerConfig, after: &BrokerConfig) -> Result<(), ConfigError> {
    // Kafka wraps what its parts say in just this way.
    let refuse = |said: String| {
        Err(ConfigError::Invalid {
            name: "Invalid dynamic configuration".into(),
            value: format!("org.apache.kafka.common.config.ConfigException: {said}"),
            reason: String::new(),
        })
    };
    let number = |config: &BrokerConfig, name: &str| config.value(name).and_then(i32::from_value);
    for name in THREAD_POOLS {
        let (Some(old), Some(new)) = (number(current, name), number(after, name)) else { continue };
        let said = format!("Dynamic thread count update validation failed for {name}={new}");
        if new < old / 2 {
            return refuse(format!("{said}, value should be at least half the current value {old}"));
        }
        if i64::from(new) > i64::from(old) * 2 {
            return refuse(format!("{said}, value should not be greater than double the current value {old}"));
        }
    }
    if let (Some(old), Some(new)) = (number(current, "log.cleaner.threads"), number(after, "log.cleaner.threads")) {
        if new < 1 && new != old {
            return refuse("Log cleaner threads should be at least 1".into());
        }
        if new < old / 2 {
            let said = "Log cleaner threads cannot be reduced to less than half the current value";
            return refuse(format!("{said} {old}"));
        }
        if i64::from(new) > i64::from(old) * 2 {
            let said = "Log cleaner threads cannot be increased to more than double the current value";
            return refuse(format!("{said} {old}"));
        }
    }
    if current.listeners.without_advertised() != after.listeners.without_advertised() {
        return refuse("this version of Ottla opens and closes listeners only at start".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{broker, map};

    fn check(pairs: &[(&str, &str)], per_broker: bool) -> Result<(), String> {
        validate(&broker(&[]).unwrap(), &map(pairs), per_broker).map_err(|error| error.to_string())
    }

    #[test]
    fn only_dynamic_keys_can_be_changed() {
        assert_eq!(check(&[("log.retention.ms", "5"), ("message.max.bytes", "100")], false), Ok(()));
        assert_eq!(check(&[("a.plugins.own", "x"), ("leader.replication.throttled.rate", "9")], true), Ok(()));
        let said = "Cannot update these configs dynamically: [node.id, num.partitions]";
        assert_eq!(check(&[("num.partitions", "5"), ("node.id", "1")], true), Err(said.into()));
        let said = "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.type]";
        assert_eq!(check(&[("ssl.keystore.type", "PEM")], true), Err(said.into()));
        assert_eq!(check(&[("listener.name.internal.ssl.protocol", "TLSv1.3")], true), Ok(()));
    }

    #[test]
    fn advertised_listeners_can_be_changed_without_process_roles() {
        let wanted = map(&[("advertised.listeners", "PLAINTEXT://outside:29092")]);
        let old = broker(&[("listeners", "PLAINTEXT://:9092")]).unwrap();
        validate(&old, &wanted, true).unwrap();
        let changed = old.with_dynamic(&map(&[]), &wanted).unwrap();
        assert_eq!(changed.listeners.broker[0].advertised.as_ref().unwrap().port, 29092);
        let said =
            "Cannot update these configs at default cluster level, broker id must be specified: [advertised.listeners]";
        assert_eq!(validate(&old, &wanted, false).unwrap_err().to_string(), said);
        let unknown = map(&[("advertised.listeners", "INSIDE://outside:29092")]);
        assert!(validate(&old, &unknown, true).is_err(), "no listener of that name");

        let kraft = broker(&[
            ("process.roles", "broker,controller"),
            ("controller.listener.names", "CONTROLLER"),
            ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ("controller.quorum.voters", "1@localhost:9093"),
            ("node.id", "1"),
        ])
        .unwrap();
        let said = "Cannot update these configs dynamically: [advertised.listeners]";
        assert_eq!(validate(&kraft, &wanted, true).unwrap_err().to_string(), said);
        let left = kraft.with_dynamic(&map(&[]), &wanted).unwrap();
        assert_eq!(left.listeners, kraft.listeners, "what was stored before process.roles was given");
    }

    #[test]
    fn some_keys_are_for_one_broker_only() {
        let said = "Cannot update these configs at default cluster level, broker id must be specified: [listeners]";
        assert_eq!(check(&[("listeners", "PLAINTEXT://:9092")], false), Err(said.into()));
        assert_eq!(check(&[("listeners", "PLAINTEXT://:9092")], true), Ok(()), "what is so already");
        assert!(check(&[("listeners", "PLAINTEXT://:9093")], true).unwrap_err().contains("only at start"));
        assert!(check(&[("listener.name.a.ssl.protocol", "x")], false).is_err());
        assert_eq!(check(&[("listener.name.a.max.connections", "4")], false), Ok(()));
    }

    #[test]
    fn values_and_relations_are_checked() {
        assert!(check(&[("message.max.bytes", "many")], false).unwrap_err().contains("Not a number of type INT"));
        assert!(check(&[("listener.name.a.max.connections", "many")], false).is_err());
        assert!(check(&[("log.retention.ms", "0")], true).unwrap_err().contains("log.retention.ms"));
        let said = "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for \
                    num.io.threads=17, value should not be greater than double the current value 8 for configuration Invalid dynamic configuration";
        assert_eq!(check(&[("num.io.threads", "17")], false), Err(said.into()));
        assert!(check(&[("num.io.threads", "3")], false).unwrap_err().contains("at least half"));
        assert_eq!(check(&[("num.io.threads", "16")], false), Ok(()));
        assert!(check(&[("log.cleaner.threads", "0")], false).unwrap_err().contains("at least 1"));
    }

    #[test]
    fn stored_values_that_cannot_be_used_are_left_out() {
        let stored = map(&[
            ("message.max.bytes", "7"),
            ("log.retention.ms", "soon"),
            ("num.partitions", "3"),
            ("ssl.keystore.type", "x"),
            ("cordoned.log.dirs", "/a"),
            ("own", "x"),
        ]);
        assert_eq!(usable(&Settings::default(), &stored, false), map(&[("message.max.bytes", "7"), ("own", "x")]));
        assert_eq!(
            usable(&Settings::default(), &stored, true),
            map(&[("cordoned.log.dirs", "/a"), ("message.max.bytes", "7"), ("own", "x")])
        );
    }

    #[test]
    fn names_with_prefixes_stand_for_their_keys() {
        let name = |given: &str| key_of(given).map(|key| key.name);
        assert_eq!(name("listener.name.a.ssl.protocol"), Some("ssl.protocol"));
        assert_eq!(name("listener.name.a.plain.sasl.jaas.config"), Some("sasl.jaas.config"));
        assert_eq!(name("num.partitions"), Some("num.partitions"));
        assert_eq!(name("own"), None);
    }
}

//! What DescribeConfigs says of a resource: each key's value, where it comes from, and everything that could have set it
//! (Kafka's `ConfigHelper`).
//!
//! Computes entries from configuration alone; knows no request and no resource's existence. Entries come in the order of their names.

use super::ConfigError;
use super::broker::{self, BrokerConfig, broker_key, broker_keys};
use super::key::{ConfigKey, Update, Value};
use super::topic::{TopicConfig, broker_synonyms, topic_keys};
use super::{client_metrics, dynamic, group};
use std::collections::BTreeMap;

/// Where a value comes from, as told on the wire (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    ClientMetrics = 7,
    Group = 8,
}

impl Source {
    pub const fn wire_code(self) -> i8 {
        self as i8
    }
}

/// One place that sets, or would set, a value. The first of a list is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    pub name: String,
    /// `None` when the value is sensitive.
    pub value: Option<String>,
    pub source: Source,
}

/// One key of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub name: String,
    /// `None` when there is none, or it is sensitive.
    pub value: Option<String>,
    pub source: Source,
    pub read_only: bool,
    pub sensitive: bool,
    pub synonyms: Vec<Synonym>,
    /// `None` for a name that is in no table.
    pub key: Option<&'static ConfigKey>,
}

/// The keys of a topic with these overrides.
///
/// # Errors
/// When an override has no key or a wrong value: see [`TopicConfig::resolve`].
pub fn topic<K: AsRef<str> + Ord, V: AsRef<str>>(
    broker: &BrokerConfig,
    overrides: &BTreeMap<K, V>,
) -> Result<Vec<Entry>, ConfigError> {
    let config = TopicConfig::resolve(broker, overrides)?;
    let entry = |key: &'static ConfigKey| {
        let value = config.value(key.name).and_then(Value::to_text);
        let is_own = has(overrides, key.name);
        if key.internal && !is_own {
            return None;
        }
        let inherited =
            broker_synonyms(key.name).first().map(|(name, _)| broker_layers(broker, name, key.is_sensitive()));
        Some(entry_of(key, value, is_own.then_some(Source::Topic), inherited.unwrap_or_default(), false))
    };
    Ok(topic_keys().iter().filter_map(entry).collect())
}

/// The keys of a group with these overrides.
///
/// # Errors
/// When an override has no key or a wrong value: see [`group::resolve`].
pub fn group<K: AsRef<str> + Ord, V: AsRef<str>>(
    broker: &BrokerConfig,
    overrides: &BTreeMap<K, V>,
) -> Result<Vec<Entry>, ConfigError> {
    let values = group::resolve(broker, overrides)?;
    let entry = |key: &'static ConfigKey| {
        let value = values.get(key.name).and_then(Value::to_text);
        let inherited = match group::broker_synonym(key.name) {
            Some(synonym) => broker_layers(broker, synonym.name, key.is_sensitive()),
            None => preset_layer(key),
        };
        let own = has(overrides, key.name).then_some(Source::Group);
        entry_of(key, value, own, inherited, false)
    };
    Ok(group::group_keys().iter().map(entry).collect())
}

/// The keys of a client metrics subscription with these values.
///
/// # Errors
/// When a value is wrong.
pub fn client_metrics<K: AsRef<str> + Ord, V: AsRef<str>>(configs: &BTreeMap<K, V>) -> Result<Vec<Entry>, ConfigError> {
    let entry = |key: &'static ConfigKey| {
        let own = configs.iter().find(|(name, _)| name.as_ref() == key.name);
        let value = match own {
            Some((_, text)) => key.parse(text.as_ref())?,
            None => key.preset_value()?,
        };
        Ok(entry_of(key, value.to_text(), own.map(|_| Source::ClientMetrics), Vec::new(), false))
    };
    client_metrics::client_metrics_keys().iter().map(entry).collect()
}

/// The keys of this broker.
pub fn broker(config: &BrokerConfig) -> Vec<Entry> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let is_dynamic_only = |name: &str| broker::DYNAMIC_ONLY.contains(&name);
    for key in broker_keys().iter().filter(|key| !key.internal && !is_dynamic_only(key.name)) {
        let value = config.value(key.name).and_then(Value::to_text);
        entries.insert(key.name.to_owned(), broker_entry(config, key.name, value, true));
    }
    // What was set and is not among those: internal keys, plug-ins' own names, listeners' overrides.
    let layers = [
        config.static_settings().iter().collect::<Vec<_>>(),
        texts(config.dynamic_default()),
        texts(config.dynamic_broker()),
    ];
    for (name, value) in layers.into_iter().flatten() {
        let is_known = broker_key(name).is_some_and(|key| !key.internal && !is_dynamic_only(key.name));
        if !is_known {
            entries.insert(name.to_owned(), broker_entry(config, name, Some(value.to_owned()), true));
        }
    }
    entries.into_values().collect()
}

/// The dynamic defaults of all brokers: only what is set.
pub fn broker_defaults(config: &BrokerConfig) -> Vec<Entry> {
    let defaults = config.dynamic_default().iter();
    defaults.map(|(name, value)| broker_entry(config, name, Some(value.clone()), false)).collect()
}

fn entry_of(
    key: &'static ConfigKey,
    value: Option<String>,
    own: Option<Source>,
    inherited: Vec<Synonym>,
    read_only: bool,
) -> Entry {
    let sensitive = key.is_sensitive();
    let value = value.filter(|_| !sensitive);
    let mut synonyms = inherited;
    if let Some(source) = own {
        synonyms.insert(0, Synonym { name: key.name.to_owned(), value: value.clone(), source });
    }
    let source = synonyms.first().map_or(Source::Default, |first| first.source);
    Entry { name: key.name.to_owned(), value, source, read_only, sensitive, synonyms, key: Some(key) }
}

fn broker_entry(config: &BrokerConfig, name: &str, value: Option<String>, per_broker: bool) -> Entry {
    let key = dynamic::key_of(name);
    // What is not known could be a secret.
    let sensitive = key.is_none_or(ConfigKey::is_sensitive);
    let mut synonyms = broker_layers(config, name, sensitive);
    synonyms.retain(|synonym| per_broker || synonym.source == Source::DynamicDefaultBroker);
    let source = synonyms.first().map_or(Source::Default, |first| first.source);
    let read_only =
        broker_key(name).is_none_or(|key| dynamic::update(config.static_settings(), key) == Update::ReadOnly);
    Entry { name: name.to_owned(), value: value.filter(|_| !sensitive), source, read_only, sensitive, synonyms, key }
}

/// All places that set a broker key or one of its synonyms, the strongest first, from the key's own name on (`ConfigHelper.configSynonyms`).
fn broker_layers(config: &BrokerConfig, name: &str, sensitive: bool) -> Vec<Synonym> {
    let base = dynamic::listener_base_name(name).and(dynamic::key_of(name)).map(|key| key.name);
    let names: Vec<&str> = match base {
        Some(base) => vec![name, base],
        None => match broker::synonyms(name) {
            [] => vec![name],
            synonyms => synonyms.to_vec(),
        },
    };
    let mut all = Vec::new();
    let mut add = |source: Source, layer: &dyn Fn(&str) -> Option<String>| {
        for name in &names {
            if let Some(value) = layer(name) {
                let value = Some(value).filter(|_| !sensitive);
                all.push(Synonym { name: (*name).to_owned(), value, source });
            }
        }
    };
    add(Source::DynamicBroker, &|name| config.dynamic_broker().get(name).cloned());
    add(Source::DynamicDefaultBroker, &|name| config.dynamic_default().get(name).cloned());
    add(Source::StaticBroker, &|name| static_text(config, name));
    add(Source::Default, &|name| {
        broker_key(name).filter(|_| !broker::DYNAMIC_ONLY.contains(&name)).and_then(preset_text)
    });
    // Kafka demands these of every node; their presets are Ottla's, and are told only where they are in force.
    let is_demanded = ["process.roles", "node.id", "controller.listener.names"].contains(&name);
    let is_set = all.iter().any(|synonym| synonym.source != Source::Default);
    all.retain(|synonym| !(is_demanded && is_set && synonym.source == Source::Default));
    all.into_iter().skip_while(|synonym| synonym.name != name).collect()
}

/// What was set at start; `node.id` and `broker.id` set each other.
fn static_text(config: &BrokerConfig, name: &str) -> Option<String> {
    let settings = config.static_settings();
    let other = match name {
        "node.id" => Some("broker.id"),
        "broker.id" => Some("node.id"),
        _ => None,
    };
    let found = settings.get(name).or_else(|| settings.get(other?));
    found.map(str::to_owned)
}

fn preset_text(key: &'static ConfigKey) -> Option<String> {
    key.preset_value().ok().as_ref().and_then(Value::to_text)
}

fn preset_layer(key: &'static ConfigKey) -> Vec<Synonym> {
    let synonym = |value| Synonym { name: key.name.to_owned(), value: Some(value), source: Source::Default };
    preset_text(key).map(synonym).into_iter().collect()
}

fn texts(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn get<'a, K: AsRef<str>, V: AsRef<str>>(map: &'a BTreeMap<K, V>, name: &str) -> Option<&'a str> {
    map.iter().find(|(key, _)| key.as_ref() == name).map(|(_, value)| value.as_ref())
}

fn has<K: AsRef<str>, V: AsRef<str>>(map: &BTreeMap<K, V>, name: &str) -> bool {
    get(map, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{broker as start, map};

    fn find<'a>(entries: &'a [Entry], name: &str) -> &'a Entry {
        entries.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    fn chain(entry: &Entry) -> Vec<(&str, Option<&str>, Source)> {
        entry.synonyms.iter().map(|one| (one.name.as_str(), one.value.as_deref(), one.source)).collect()
    }

    #[test]
    fn a_topics_entries_tell_every_layer() {
        let config = start(&[("log.retention.hours", "2")]).unwrap();
        let config =
            config.with_dynamic(&map(&[("log.retention.ms", "9000")]), &map(&[("message.max.bytes", "7")])).unwrap();
        let entries = topic(&config, &map(&[("retention.ms", "5"), ("internal.segment.bytes", "1")])).unwrap();
        assert_eq!(
            chain(find(&entries, "retention.ms")),
            [
                ("retention.ms", Some("5"), Source::Topic),
                ("log.retention.ms", Some("9000"), Source::DynamicDefaultBroker),
                ("log.retention.hours", Some("2"), Source::StaticBroker),
                ("log.retention.hours", Some("168"), Source::Default),
            ]
        );
        let size = find(&entries, "max.message.bytes");
        assert_eq!((size.value.as_deref(), size.source), (Some("7"), Source::DynamicBroker));
        let throttled = find(&entries, "leader.replication.throttled.replicas");
        assert_eq!(
            (throttled.value.as_deref(), throttled.source, throttled.synonyms.len()),
            (Some(""), Source::Default, 0)
        );
        assert_eq!(find(&entries, "internal.segment.bytes").source, Source::Topic);
        let plain = topic(&config, &map(&[])).unwrap();
        assert!(!plain.iter().any(|entry| entry.name == "internal.segment.bytes"));
        assert!(plain.iter().all(|entry| !entry.read_only && !entry.sensitive));
    }

    #[test]
    fn a_brokers_entries_hide_secrets_and_what_is_unknown() {
        let config = start(&[("ssl.key.password", "secret"), ("own.key", "secret"), ("node.id", "4")]).unwrap();
        let entries = broker(&config);
        for name in ["ssl.key.password", "own.key"] {
            let entry = find(&entries, name);
            assert!(
                entry.sensitive && entry.value.is_none() && entry.synonyms.iter().all(|one| one.value.is_none()),
                "{name}"
            );
            assert_eq!(entry.source, Source::StaticBroker);
        }
        let id = find(&entries, "broker.id");
        assert_eq!((id.value.as_deref(), id.source, id.read_only), (Some("4"), Source::StaticBroker, true));
        assert_eq!(chain(find(&entries, "node.id")), [("node.id", Some("4"), Source::StaticBroker)]);
        assert_eq!(find(&entries, "process.roles").source, Source::Default);
        let threads = find(&entries, "num.io.threads");
        assert_eq!((threads.source, threads.read_only), (Source::Default, false));
        assert!(entries.is_sorted_by(|one, next| one.name < next.name));
        assert!(!entries.iter().any(|entry| entry.name == "leader.replication.throttled.rate"));
        assert!(find(&entries, "listeners").key.is_some());
    }

    #[test]
    fn the_cluster_wide_defaults_are_what_is_set() {
        let config = start(&[("message.max.bytes", "5")]).unwrap();
        assert!(broker_defaults(&config).is_empty());
        let config =
            config.with_dynamic(&map(&[("message.max.bytes", "7")]), &map(&[("message.max.bytes", "8")])).unwrap();
        let entries = broker_defaults(&config);
        assert_eq!(entries.len(), 1);
        assert_eq!(chain(&entries[0]), [("message.max.bytes", Some("7"), Source::DynamicDefaultBroker)]);
    }

    #[test]
    fn listener_overrides_fall_back_to_the_key_itself() {
        let config = start(&[("listener.name.a.max.connections", "3"), ("max.connections", "9")]).unwrap();
        let entries = broker(&config);
        assert_eq!(
            chain(find(&entries, "listener.name.a.max.connections")),
            [
                ("listener.name.a.max.connections", Some("3"), Source::StaticBroker),
                ("max.connections", Some("9"), Source::StaticBroker),
                ("max.connections", Some("2147483647"), Source::Default),
            ]
        );
    }

    #[test]
    fn groups_and_subscriptions_have_entries() {
        let config = start(&[]).unwrap();
        let entries = group(&config, &map(&[("share.isolation.level", "read_committed")])).unwrap();
        assert_eq!(chain(find(&entries, "share.isolation.level")).len(), 2);
        assert_eq!(find(&entries, "consumer.session.timeout.ms").synonyms[0].name, "group.consumer.session.timeout.ms");
        let entries = client_metrics(&map(&[("metrics", "*")])).unwrap();
        assert_eq!(find(&entries, "metrics").source, Source::ClientMetrics);
        assert_eq!(find(&entries, "interval.ms").source, Source::Default);
    }
}

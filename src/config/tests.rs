//! Tests of the tables and of what is derived from them.

use super::broker::{broker_key, broker_keys, synonyms};
use super::key::{Preset, Value};
use super::topic::{broker_synonyms, topic_key, topic_keys, validate_overrides};
use super::*;
use std::collections::BTreeMap;

/// Settings for a test: a log directory and the pairs.
pub(crate) fn settings(pairs: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    settings.set("log.dirs", "/data", Origin::Ottla);
    for (name, value) in pairs {
        settings.set(*name, *value, Origin::File("server.properties".into()));
    }
    settings
}

pub(crate) fn broker(pairs: &[(&str, &str)]) -> Result<BrokerConfig, ConfigError> {
    BrokerConfig::new(settings(pairs))
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn refused(pairs: &[(&str, &str)], part: &str) {
    let error = broker(pairs).expect_err(&format!("{pairs:?} must be refused")).to_string();
    assert!(error.contains(part), "{pairs:?}: {error:?} has no {part:?}");
}

#[test]
fn tables_are_sorted_and_their_presets_are_valid() {
    let names: Vec<&str> = broker_keys().iter().map(|key| key.name).collect();
    assert!(names.is_sorted_by(|one, next| one < next), "each broker key once");
    assert!(topic_keys().is_sorted_by(|one, next| one.name < next.name), "each topic key once");
    for key in broker_keys().iter().copied().chain(topic_keys()) {
        assert!(key.preset_value().is_ok(), "{}", key.name);
        assert!(key.doc.ends_with('.') && key.doc.len() > 10, "{}", key.name);
        if let Preset::Is(text) = key.preset {
            let shown = key.preset_value().unwrap().to_text();
            assert_eq!(shown.as_deref(), Some(text), "{}: a preset is written as Kafka shows it", key.name);
        }
    }
    assert!(broker_keys().len() > 340, "Kafka 4.3 has that many");
}

#[test]
fn a_topics_broker_synonyms_exist_and_give_the_same_preset() {
    let defaults = broker(&[]).unwrap().topic_defaults;
    for key in topic_keys() {
        for (name, _) in broker_synonyms(key.name) {
            assert!(broker_key(name).is_some(), "{name}");
        }
        assert_eq!(defaults.value(key.name), Some(&key.preset_value().unwrap()), "{}", key.name);
    }
}

#[test]
fn the_file_that_comes_with_kafka_is_taken_as_it_is() {
    let config = broker(&[
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.bootstrap.servers", "localhost:9093"),
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("advertised.listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
        ("controller.listener.names", "CONTROLLER"),
        (
            "listener.security.protocol.map",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        ),
        ("num.network.threads", "3"),
        ("num.io.threads", "8"),
        ("socket.send.buffer.bytes", "102400"),
        ("socket.receive.buffer.bytes", "102400"),
        ("socket.request.max.bytes", "104857600"),
        ("log.dirs", "/tmp/kraft-combined-logs"),
        ("num.partitions", "1"),
        ("num.recovery.threads.per.data.dir", "1"),
        ("offsets.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("log.retention.hours", "168"),
        ("log.segment.bytes", "1073741824"),
        ("log.retention.check.interval.ms", "300000"),
    ])
    .unwrap();
    let names: Vec<&str> = config.listeners.broker.iter().map(|listener| listener.name.as_str()).collect();
    assert_eq!(names, ["PLAINTEXT"]);
    assert_eq!(config.listeners.controller[0].bind.port, 9093);
    let told = config.listeners.broker[0].advertised.as_ref().unwrap();
    assert_eq!((told.host.as_str(), told.port), ("localhost", 9092));
    assert_eq!(config.offsets_topic_replication_factor, 1);
    assert_eq!(config.metadata_log_dir().to_str(), Some("/tmp/kraft-combined-logs"));
}

#[test]
fn either_name_of_the_node_id_will_do() {
    assert_eq!(broker(&[("broker.id", "7")]).unwrap().node_id, 7);
    assert_eq!(broker(&[("node.id", "7")]).unwrap().value("broker.id"), Some(&Value::Int(7)));
    assert_eq!(broker(&[]).unwrap().node_id, 1);
    refused(&[("node.id", "1"), ("broker.id", "2")], "must be equal");
}

#[test]
fn hosts_of_listeners() {
    let config = broker(&[("listeners", "plaintext://[::1]:9092")]).unwrap();
    assert_eq!(config.listeners.broker[0].name, "PLAINTEXT");
    assert_eq!(config.listeners.broker[0].bind.host.as_deref(), Some("::1"));
    assert_eq!(config.listeners.broker[0].advertised.as_ref().unwrap().host, "::1");
    for wildcard in ["PLAINTEXT://:9092", "PLAINTEXT://0.0.0.0:9092", "PLAINTEXT://[::]:9092"] {
        let config = broker(&[("listeners", wildcard)]).unwrap();
        let listener = &config.listeners.broker[0];
        assert_eq!(listener.advertised, None, "{wildcard}");
        let reached = "[::ffff:10.0.0.5]:9092".parse().unwrap();
        assert_eq!(config.advertised_address(listener, reached), ("10.0.0.5".to_owned(), 9092));
    }
    let config = broker(&[("listeners", "PLAINTEXT://localhost:0")]).unwrap();
    let told = config.advertised_address(&config.listeners.broker[0], "127.0.0.1:4567".parse().unwrap());
    assert_eq!(told, ("localhost".to_owned(), 4567), "port 0 is whichever was bound");
}

#[test]
fn several_listeners() {
    let config = broker(&[
        ("listeners", "INTERNAL://:9092,EXTERNAL://:9094"),
        ("advertised.listeners", "INTERNAL://kafka:9092,EXTERNAL://localhost:9094"),
        ("listener.security.protocol.map", "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT"),
        ("inter.broker.listener.name", "INTERNAL"),
    ])
    .unwrap();
    assert_eq!(config.listeners.inter_broker, "INTERNAL");
    assert_eq!(config.listeners.get("EXTERNAL").unwrap().advertised.as_ref().unwrap().port, 9094);
    let two_families = "A://127.0.0.1:9092,B://[::1]:9092";
    let protocols = ("listener.security.protocol.map", "A:PLAINTEXT,B:PLAINTEXT");
    assert!(broker(&[("listeners", two_families), protocols, ("inter.broker.listener.name", "A")]).is_ok());
}

#[test]
fn limits_of_one_listener_come_from_anywhere() {
    let name = "listener.name.plaintext.max.connections";
    let config = broker(&[(name, "5")]).unwrap();
    assert_eq!(config.of_listener("PLAINTEXT", "max.connections"), Some(5));
    assert_eq!(config.of_listener::<i32>("PLAINTEXT", "max.connection.creation.rate"), None);
    assert!(config.notices().is_empty(), "{:?}", config.notices());
    let changed = config.with_dynamic(&map(&[(name, "7")]), &map(&[])).unwrap();
    assert_eq!(changed.of_listener("PLAINTEXT", "max.connections"), Some(7));
    let own = config.with_dynamic(&map(&[(name, "7")]), &map(&[(name, "9")])).unwrap();
    assert_eq!(own.of_listener("PLAINTEXT", "max.connections"), Some(9));
    let other = broker(&[("listener.name.plaintext.ssl.protocol", "TLSv1.3")]).unwrap();
    assert_eq!(other.notices().len(), 1, "{:?}", other.notices());
}

#[test]
fn what_is_about_several_nodes_says_so_and_is_no_notice() {
    let config = broker(&[("replica.lag.time.max.ms", "10000"), ("controlled.shutdown.enable", "false")]).unwrap();
    assert!(config.notices().is_empty(), "{:?}", config.notices());
    for name in ["replica.lag.time.max.ms", "controller.quorum.election.timeout.ms", "request.timeout.ms"] {
        assert!(broker_key(name).unwrap().documentation().contains("takes effect with replication"), "{name}");
    }
}

#[test]
fn what_controllers_are_told_of_a_listener() {
    let told = |listener: &str, more: &[(&str, &str)]| {
        let listeners = format!("PLAINTEXT://:9092,{listener}");
        let mut keys = vec![
            ("process.roles", "broker,controller"),
            ("listeners", listeners.as_str()),
            ("controller.listener.names", "CONTROLLER"),
        ];
        keys.extend_from_slice(more);
        let listeners = broker(&keys).unwrap().listeners;
        listeners.controller[0].advertised.as_ref().map(|told| format!("{}:{}", told.host, told.port))
    };
    let of_brokers = ("advertised.listeners", "PLAINTEXT://kafka:9092");
    let of_both = ("advertised.listeners", "PLAINTEXT://kafka:9092,CONTROLLER://kafka:19093");
    let voters = ("controller.quorum.voters", "1@voter:9093");
    assert_eq!(told("CONTROLLER://host:9093", &[of_brokers, voters]).as_deref(), Some("host:9093"));
    assert_eq!(told("CONTROLLER://host:9093", &[of_both]).as_deref(), Some("kafka:19093"));
    assert_eq!(told("CONTROLLER://0.0.0.0:9093", &[of_brokers, voters]).as_deref(), Some("voter:9093"));
    assert_eq!(told("CONTROLLER://:9093", &[]), None, "whoever connects is told the address that it reached");
}

#[test]
fn listeners_that_cannot_be_are_refused() {
    let protocols = ("listener.security.protocol.map", "A:PLAINTEXT,B:PLAINTEXT,PLAINTEXT:PLAINTEXT");
    let inter = ("inter.broker.listener.name", "A");
    refused(&[("listeners", "")], "must not be empty");
    refused(&[("listeners", "9092")], "NAME://host:port");
    refused(&[("listeners", "PLAINTEXT://host")], "NAME://host:port");
    refused(&[("listeners", "PLAINTEXT://ho st:9092")], "NAME://host:port");
    refused(&[("listeners", "PLAINTEXT://:99999")], "0 to 65535");
    refused(&[("listeners", "OTHER://:9092")], "OTHER");
    refused(&[("listeners", "A://:9092,A://:9093"), protocols, inter], "different name");
    refused(&[("listeners", "A://:9092,B://:9092"), protocols, inter], "port 9092 is used twice");
    refused(&[("listeners", "A://127.0.0.1:9092,B://127.0.0.2:9092"), protocols, inter], "used twice");
    refused(&[("listeners", "A://:9092"), protocols], "inter.broker.listener.name");
    refused(&[("advertised.listeners", "PLAINTEXT://0.0.0.0:9092")], "no client can connect");
    refused(&[("advertised.listeners", "B://h:9092"), protocols], "must be one of listeners: PLAINTEXT");
    refused(&[("listeners", "SSL://:9093"), ("security.inter.broker.protocol", "SSL")], "offers only PLAINTEXT");
    refused(&[("listener.security.protocol.map", "A")], "NAME:PROTOCOL");
    refused(&[("listener.security.protocol.map", "A:TLS")], "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL");
    refused(&[inter, ("security.inter.broker.protocol", "PLAINTEXT"), protocols], "only one of");
}

#[test]
fn roles_fit_listeners_and_voters() {
    let voters = |ids: &'static str| ("controller.quorum.voters", ids);
    refused(&[("process.roles", "broker")], "controller.quorum");
    refused(&[("process.roles", "broker"), voters("1@a:9093")], "process.roles must contain controller");
    assert!(broker(&[("process.roles", "broker"), voters("2@a:9093")]).is_ok());
    refused(&[("process.roles", "broker,controller"), voters("2@a:9093")], "must contain node.id 1");
    refused(&[("controller.listener.names", "CONTROLLER")], "CONTROLLER in controller.listener.names");
    refused(&[("listeners", "CONTROLLER://:9093")], "at least one advertised listener");
    let alone = ("listeners", "CONTROLLER://:9093");
    assert!(broker(&[("process.roles", "controller"), alone, voters("1@a:9093")]).is_ok());
    refused(
        &[("process.roles", "controller"), ("listeners", "CONTROLLER://:9093,PLAINTEXT://:9092"), voters("1@a:9093")],
        "alone",
    );
    refused(&[("process.roles", "king")], "broker, controller");
    for wrong in ["1", "1@", "1@host", "a@host:1", "1@host:port", "-1@h:1"] {
        refused(&[voters(wrong)], "{id}@{host}:{port}");
    }
    refused(&[voters("1@a:1,1@b:1")], "appears twice");
    refused(&[("controller.quorum.bootstrap.servers", "host")], "host:port");
}

#[test]
fn values_and_relations_that_cannot_be_are_refused() {
    refused(&[("auto.create.topics.enable", "yes")], "either true or false");
    refused(&[("log.cleanup.policy", "delete,erase")], "must be one of: compact, delete");
    refused(&[("log.cleanup.policy", "delete,,compact")], "must not be empty");
    refused(&[("compression.gzip.level", "0")], "between 1 and 9");
    refused(&[("log.segment.bytes", "1024")], "at least 1048576");
    refused(&[("message.max.bytes", "3000000000")], "type INT");
    refused(&[("log.roll.ms", "0")], "log.roll.ms");
    refused(&[("log.retention.ms", "0")], "log.retention.ms");
    refused(&[("queued.max.request.bytes", "1000")], "socket.request.max.bytes");
    refused(&[("max.connections.per.ip", "0")], "max.connections.per.ip.overrides");
    refused(&[("max.connections.per.ip.overrides", "10.0.0.1")], "host:number");
    refused(&[("connections.max.idle.ms", "50")], "must be less than connections.max.idle.ms");
    refused(&[("group.coordinator.rebalance.protocols", "consumer")], "must contain classic");
    refused(&[("replica.fetch.wait.max.ms", "40000")], "replica.socket.timeout.ms");
    refused(&[("group.consumer.session.timeout.ms", "1000")], "group.consumer.min.session.timeout.ms");
    refused(&[("metrics.address", "9404")], "host:port");
    refused(&[("ottla.record.validation", "none")], "headers, full");
    refused(&[("leader.replication.throttled.rate", "1")], "dynamic");
    let secret = broker(&[("ssl.keystore.password", "secret"), ("num.partitions", "x")]).unwrap_err().to_string();
    assert!(!secret.contains("secret"));
}

#[test]
fn duplicates_in_lists_are_dropped() {
    let config = broker(&[("log.dirs", "/a,/b,/a"), ("log.cleanup.policy", "compact, compact")]).unwrap();
    assert_eq!(config.log_dirs().len(), 2);
    assert_eq!(config.value("log.cleanup.policy"), Some(&Value::List(vec!["compact".into()])));
}

#[test]
fn longer_units_stand_back_behind_shorter_ones() {
    let of = |pairs: &[(&str, &str)]| broker(pairs).unwrap().topic_defaults;
    assert_eq!(of(&[("log.retention.hours", "2")]).retention_ms, 7_200_000);
    assert_eq!(of(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]).retention_ms, 180_000);
    assert_eq!(of(&[("log.retention.minutes", "3"), ("log.retention.ms", "5")]).retention_ms, 5);
    assert_eq!(of(&[("log.retention.hours", "-1")]).retention_ms, -1);
    assert_eq!(of(&[("log.roll.hours", "1")]).segment_ms, 3_600_000);
    assert_eq!(of(&[("log.roll.jitter.hours", "1"), ("log.roll.jitter.ms", "9")]).segment_jitter_ms, 9);
    assert_eq!(of(&[("log.flush.scheduler.interval.ms", "70")]).flush_ms, 70);
}

#[test]
fn dynamic_configuration_wins_over_static_and_over_every_synonym() {
    let start = broker(&[("log.retention.ms", "1000"), ("num.io.threads", "4")]).unwrap();
    let changed =
        start.with_dynamic(&map(&[("log.retention.ms", "2000"), ("message.max.bytes", "99")]), &map(&[])).unwrap();
    assert_eq!((changed.topic_defaults.retention_ms, changed.topic_defaults.max_message_bytes), (2000, 99));
    let own = changed.with_dynamic(changed.dynamic_default(), &map(&[("message.max.bytes", "77")])).unwrap();
    assert_eq!(own.topic_defaults.max_message_bytes, 77, "the broker's own wins over the cluster's");
    let back = own.with_dynamic(&map(&[]), &map(&[])).unwrap();
    assert_eq!(back.topic_defaults, start.topic_defaults);
    let useless = map(&[("message.max.bytes", "-1"), ("num.partitions", "9"), ("log.retention.bytes", "7")]);
    let rest = start.with_dynamic(&useless, &map(&[])).unwrap();
    assert_eq!((rest.topic_defaults.max_message_bytes, rest.num_partitions), (1_048_588, 1));
    assert_eq!(rest.topic_defaults.retention_bytes, 7);
    assert!(start.with_dynamic(&map(&[("log.retention.ms", "0")]), &map(&[])).is_err(), "no relation to do without");
    assert_eq!(synonyms("log.roll.hours"), ["log.roll.ms", "log.roll.hours"]);
}

#[test]
fn a_topics_overrides_win() {
    let broker = broker(&[("log.retention.ms", "1000"), ("compression.type", "zstd")]).unwrap();
    let same = TopicConfig::resolve(&broker, &map(&[])).unwrap();
    assert!(std::sync::Arc::ptr_eq(&same, &broker.topic_defaults), "topics without overrides share one");
    let overrides = map(&[
        ("cleanup.policy", "compact,delete"),
        ("message.timestamp.type", "LogAppendTime"),
        ("internal.segment.bytes", "1000"),
        ("compression.type", "gzip"),
        ("compression.gzip.level", "9"),
    ]);
    let topic = TopicConfig::resolve(&broker, &overrides).unwrap();
    assert!(topic.cleanup_compact && topic.cleanup_delete);
    assert_eq!(topic.message_timestamp_type, TimestampType::LogAppendTime);
    assert_eq!((topic.segment_bytes, topic.retention_ms), (1000, 1000));
    assert_eq!(topic.compression, CompressionType::Gzip(9));
    assert_eq!(broker.topic_defaults.compression, CompressionType::Zstd(3));
}

#[test]
fn a_topics_overrides_are_checked() {
    let broker = broker(&[]).unwrap();
    let check = |pairs: &[(&str, &str)]| validate_overrides(&broker, &map(pairs)).map_err(|error| error.to_string());
    assert_eq!(check(&[("retention.ms", "-1"), ("cleanup.policy", "")]), Ok(()));
    assert_eq!(check(&[("retention", "1")]), Err("Unknown topic config name: retention".into()));
    assert_eq!(
        check(&[("retention.ms", "soon")]),
        Err("Invalid value soon for configuration retention.ms: Not a number of type LONG".into())
    );
    assert_eq!(
        check(&[("retention.ms", "-2")]),
        Err("Invalid value -2 for configuration retention.ms: Value must be at least -1".into())
    );
    assert!(check(&[("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "8")]).unwrap_err().contains("conflict"));
    assert!(check(&[("remote.storage.enable", "true")]).unwrap_err().contains("Tiered Storage"));
    for good in ["*", "0:1", "0:1,1:2", ""] {
        assert_eq!(check(&[("leader.replication.throttled.replicas", good)]), Ok(()), "{good}");
    }
    for bad in ["0", "0:1:2", "a:b", "*,0:1"] {
        assert!(check(&[("follower.replication.throttled.replicas", bad)]).is_err(), "{bad}");
    }
    assert!(topic_key("segment.bytes").is_some() && topic_key("segment").is_none());
}

#[test]
fn notices_name_what_has_no_effect() {
    let config = broker(&[
        ("num.partition", "3"),
        ("authorizer.class.name", "org.example.Authorizer"),
        ("num.io.threads", "4"),
        ("auto.leader.rebalance.enable", "true"),
        ("listener.name.internal.ssl.client.auth", "none"),
    ])
    .unwrap();
    let notices = config.notices().join("\n");
    assert!(notices.contains("num.partition (in server.properties) is not a configuration of Ottla and is ignored, did you mean num.partitions?"), "{notices}");
    assert!(notices.contains("authorizer.class.name") && notices.contains("listener.name.internal"), "{notices}");
    assert!(!notices.contains("num.io.threads") && !notices.contains("auto.leader"), "{notices}");
}

#[test]
fn memory_budgets_are_sensible() {
    let config = broker(&[]).unwrap();
    assert!(config.request_memory_bytes() >= u64::from(config.socket_request_max_bytes.unsigned_abs()));
    assert!(config.store_tail_memory_bytes() > 0);
    let set = broker(&[("queued.max.request.bytes", "200000000"), ("ottla.store.tail.memory.bytes", "0")]).unwrap();
    assert_eq!((set.request_memory_bytes(), set.store_tail_memory_bytes()), (200_000_000, 0));
    assert_eq!(broker(&[("metrics.address", "")]).unwrap().metrics_address(), None);
    assert_eq!(config.metrics_address().unwrap().port, 9404);
}

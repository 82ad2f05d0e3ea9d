//! Environments as people write them, and what they come to.

use super::*;
use crate::config::BrokerConfig;

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    settings.load_environment(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())))?;
    Ok(settings)
}

fn config(pairs: &[(&str, &str)]) -> BrokerConfig {
    let mut settings = settings(pairs).unwrap();
    settings.set("log.dirs", "/d", Origin::Override);
    BrokerConfig::new(settings).unwrap_or_else(|error| panic!("{pairs:?}: {error}"))
}

fn refused(pairs: &[(&str, &str)], parts: &[&str]) {
    let said = match settings(pairs) {
        Err(error) => error.to_string(),
        Ok(settings) => BrokerConfig::new(settings).unwrap_err().to_string(),
    };
    for part in parts {
        assert!(said.contains(part), "{pairs:?}: {said:?} has no {part:?}");
    }
}

/// Name and advertised address of each listener.
fn advertised(config: &BrokerConfig) -> Vec<String> {
    let shown = |listener: &crate::config::Listener| match &listener.advertised {
        Some(told) => format!("{}@{} {}:{}", listener.name, listener.bind.port, told.host, told.port),
        None => format!("{}@{} reached", listener.name, listener.bind.port),
    };
    config.listeners.broker.iter().map(shown).collect()
}

#[test]
fn the_rules_are_found_by_names_that_one_image_has() {
    for (names, image) in [
        (&["KAFKA_NODE_ID"][..], Image::Apache),
        (&[], Image::Apache),
        (&["KAFKA_ZOOKEEPER_CONNECT", "KAFKA_BROKER_ID"], Image::Confluent),
        (&["KAFKA_CONFLUENT_LICENSE_TOPIC_REPLICATION_FACTOR"], Image::Confluent),
        (&["KAFKA_CREATE_TOPICS", "KAFKA_ZOOKEEPER_CONNECT"], Image::Wurstmeister),
        (&["KAFKA_ADVERTISED_HOST_NAME"], Image::Wurstmeister),
        (&["KAFKA_CFG_NODE_ID"], Image::Bitnami),
        (&["ALLOW_PLAINTEXT_LISTENER", "KAFKA_ZOOKEEPER_CONNECT"], Image::Bitnami),
    ] {
        let variables: BTreeMap<_, _> = names.iter().map(|name| (name.to_string(), "x".to_string())).collect();
        assert_eq!(Image::decide(&variables).unwrap().0, image, "{names:?}");
        let mut asked = variables.clone();
        asked.insert(RULES.into(), "wurstmeister".into());
        assert_eq!(Image::decide(&asked).unwrap(), (Image::Wurstmeister, Some(RULES)));
        asked.insert(RULES.into(), "auto".into());
        assert_eq!(Image::decide(&asked).unwrap().0, image, "{names:?}");
        asked.insert(RULES.into(), "redpanda".into());
        assert!(Image::decide(&asked).unwrap_err().to_string().contains("apache, confluent, bitnami, wurstmeister"));
    }
}

#[test]
fn variables_become_properties() {
    for (image, variable, property) in [
        (Image::Apache, "KAFKA_NUM_PARTITIONS", Some("num.partitions")),
        (Image::Apache, "KAFKA_LISTENER_NAME_A__B_SSL_KEY", Some("listener.name.a_b.ssl.key")),
        (Image::Apache, "KAFKA_LISTENER_NAME_A___B_X", Some("listener.name.a-b.x")),
        (Image::Apache, "KAFKA_A____B", Some("a-.b")),
        (Image::Apache, "KAFKA_HEAP_OPTS", None),
        (Image::Apache, "KAFKA_LOG4J_ROOT_LOGLEVEL", None),
        (Image::Apache, "KAFKA_LOG_DIRS", Some("log.dirs")),
        (Image::Apache, "KAFKA_", None),
        (Image::Apache, "NUM_PARTITIONS", None),
        (Image::Bitnami, "KAFKA_CFG_NUM_PARTITIONS", Some("num.partitions")),
        (Image::Bitnami, "KAFKA_NUM_PARTITIONS", Some("num.partitions")),
        (Image::Bitnami, "KAFKA_LOGS_DIRS", Some("log.dirs")),
        (Image::Bitnami, "KAFKA_MAX_MESSAGE_BYTES", Some("message.max.bytes")),
        (Image::Bitnami, "KAFKA_CFG_LISTENER_NAME_SASL_SSL_X", Some("listener.name.sasl_ssl.x")),
        (Image::Bitnami, "KAFKA_CLIENT_USERS", None),
        (Image::Wurstmeister, "KAFKA_AUTO_CREATE_TOPICS_ENABLE", Some("auto.create.topics.enable")),
        (Image::Wurstmeister, "KAFKA_CREATE_TOPICS", None),
    ] {
        assert_eq!(property_of_variable(image, variable).as_deref(), property, "{variable}");
    }
}

#[test]
fn confluents_file_with_zookeeper() {
    let config = config(&[
        ("KAFKA_BROKER_ID", "7"),
        ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:29092,PLAINTEXT_HOST://localhost:9092"),
        ("KAFKA_INTER_BROKER_PROTOCOL_VERSION", "2.8"),
        ("KAFKA_METRIC_REPORTERS", "io.confluent.metrics.reporter.ConfluentMetricsReporter"),
        ("KAFKA_JMX_PORT", "9101"),
        ("CONFLUENT_METRICS_ENABLE", "true"),
    ]);
    assert_eq!(config.node_id, 7);
    assert_eq!(advertised(&config), ["PLAINTEXT@29092 kafka:29092", "PLAINTEXT_HOST@9092 localhost:9092"]);
    assert_eq!(config.listeners.broker[0].bind.host.as_deref(), Some("0.0.0.0"));
    let notices = config.notices();
    let about = notices.iter().filter(|said| said.contains("ZooKeeper")).collect::<Vec<_>>();
    assert_eq!(about.len(), 1, "{notices:?}");
    assert!(about[0].starts_with("KAFKA_INTER_BROKER_PROTOCOL_VERSION, KAFKA_ZOOKEEPER_CONNECT:"), "{about:?}");
}

#[test]
fn bitnamis_file() {
    let config = config(&[
        ("ALLOW_PLAINTEXT_LISTENER", "yes"),
        ("KAFKA_ENABLE_KRAFT", "yes"),
        ("KAFKA_BROKER_ID", "1"),
        ("KAFKA_CFG_NODE_ID", "1"),
        ("KAFKA_KRAFT_CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qk"),
        ("KAFKA_CFG_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_CFG_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_CFG_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
        ("KAFKA_CFG_ADVERTISED_LISTENERS", "PLAINTEXT://127.0.0.1:9092"),
        ("KAFKA_CFG_CONTROLLER_QUORUM_VOTERS", "1@127.0.0.1:9093"),
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
    ]);
    assert_eq!(config.cluster_id(), Some("MkU3OEVBNTcwNTJENDM2Qk"));
    assert_eq!(advertised(&config), ["PLAINTEXT@9092 127.0.0.1:9092"]);
    assert_eq!(config.offsets_topic_replication_factor, 1);
    assert_eq!(config.notices(), Vec::<String>::new());
}

#[test]
fn wurstmeisters_file() {
    let by_host = config(&[
        ("KAFKA_ADVERTISED_HOST_NAME", "192.168.99.100"),
        ("KAFKA_CREATE_TOPICS", "letters:3:1,diary:1:1:compact"),
        ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
        ("KAFKA_BROKER_ID", "-1"),
    ]);
    assert_eq!(advertised(&by_host), ["PLAINTEXT@9092 192.168.99.100:9092"]);
    assert_eq!(by_host.static_settings().declared_topics().len(), 2);
    assert_eq!(by_host.node_id, 1);
    let by_listeners = config(&[
        ("KAFKA_CREATE_TOPICS", ""),
        ("KAFKA_LISTENERS", "INSIDE://:9092,OUTSIDE://:9094"),
        ("KAFKA_ADVERTISED_LISTENERS", "INSIDE://:9092,OUTSIDE://localhost:9094"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "INSIDE"),
        ("KAFKA_PORT", "1234"),
    ]);
    assert_eq!(advertised(&by_listeners), ["INSIDE@9092 reached", "OUTSIDE@9094 localhost:9094"]);
    let by_protocol = config(&[
        ("KAFKA_ADVERTISED_PROTOCOL_NAME", "OUTSIDE"),
        ("KAFKA_ADVERTISED_PORT", "9094"),
        ("KAFKA_ADVERTISED_HOST_NAME", "localhost"),
        ("KAFKA_PROTOCOL_NAME", "INSIDE"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"),
    ]);
    assert_eq!(advertised(&by_protocol), ["OUTSIDE@9094 localhost:9094", "INSIDE@9092 reached"]);
}

#[test]
fn what_kubernetes_puts_there_is_no_setting() {
    let config = config(&[
        ("KAFKA_PORT", "tcp://10.0.0.7:9092"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.7"),
        ("KAFKA_SERVICE_HOST", "10.0.0.7"),
        ("KAFKA_CREATE_TOPICS", "a:1:1"),
    ]);
    assert_eq!(advertised(&config), ["PLAINTEXT@9092 reached"]);
    assert_eq!(config.notices(), Vec::<String>::new());
}

#[test]
fn secrets_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rack");
    std::fs::write(&path, "a rack\n").unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(settings(&[("KAFKA_BROKER_RACK_FILE", path)]).unwrap().get("broker.rack"), Some("a rack"));
    assert_eq!(settings(&[("KAFKA_CFG_BROKER_RACK_FILE", path)]).unwrap().get("broker.rack"), Some("a rack"));
    assert_eq!(settings(&[("KAFKA_KRAFT_CLUSTER_ID_FILE", path)]).unwrap().cluster_id(), Some("a rack"));
    assert_eq!(
        settings(&[("KAFKA_BROKER_RACK_FILE", path), ("KAFKA_BROKER_RACK", "a rack")]).unwrap().entries().count(),
        1
    );
    refused(
        &[("KAFKA_BROKER_RACK_FILE", path), ("KAFKA_BROKER_RACK", "b")],
        &["KAFKA_BROKER_RACK_FILE", "something else"],
    );
    refused(&[("KAFKA_BROKER_RACK_FILE", "/none/there")], &["KAFKA_BROKER_RACK_FILE=/none/there", "cannot be read"]);
    refused(
        &[("KAFKA_SSL_KEYSTORE_FILENAME", "none.jks")],
        &["KAFKA_SSL_KEYSTORE_FILENAME", "/etc/kafka/secrets/none.jks"],
    );
    refused(
        &[("KAFKA_SSL_KEY_CREDENTIALS", "none")],
        &["KAFKA_SSL_KEY_CREDENTIALS=/etc/kafka/secrets/none", "cannot be read"],
    );
}

#[test]
fn what_is_said_twice_must_be_the_same() {
    let one = ("KAFKA_CFG_NUM_PARTITIONS", "2");
    refused(
        &[one, ("KAFKA_NUM_PARTITIONS", "3")],
        &["num.partitions", "KAFKA_CFG_NUM_PARTITIONS", "KAFKA_NUM_PARTITIONS", "2", "3"],
    );
    assert!(settings(&[one, ("KAFKA_NUM_PARTITIONS", "2")]).is_ok());
    refused(
        &[("CLUSTER_ID", "a"), ("KAFKA_KRAFT_CLUSTER_ID", "b")],
        &["CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID", "cluster's id"],
    );
    refused(
        &[("KAFKA_NODE_ID", "1"), ("KAFKA_BROKER_ID", "2")],
        &[
            "must be equal",
            "from the environment variable KAFKA_NODE_ID",
            "from the environment variable KAFKA_BROKER_ID",
        ],
    );
    let secret = ("KAFKA_CFG_SSL_KEY_PASSWORD", "hush");
    let said = settings(&[secret, ("KAFKA_SSL_KEY_PASSWORD", "still")]).unwrap_err().to_string();
    assert!(!said.contains("hush") && !said.contains("still"), "{said}");
}

#[test]
fn a_wrong_node_id_is_told_of_the_key_that_was_given() {
    refused(&[("KAFKA_NODE_ID", "one")], &["one", "configuration node.id", "KAFKA_NODE_ID"]);
    refused(&[("KAFKA_BROKER_ID", "")], &["configuration broker.id", "KAFKA_BROKER_ID"]);
}

#[test]
fn listeners_that_do_not_fit_are_refused_with_their_variable() {
    let advertised = ("KAFKA_ADVERTISED_LISTENERS", "OUTSIDE://h:9094");
    refused(&[advertised], &["OUTSIDE", "KAFKA_ADVERTISED_LISTENERS", "listener.security.protocol.map"]);
    // Listeners are made from these; what is told is what was written.
    for wrong in ["PLAINTEXT://localhost", "localhost:9092", "PLAINTEXT://localhost:kafka", "OUTSIDE://h:9094"] {
        refused(&[("KAFKA_ADVERTISED_LISTENERS", wrong)], &[wrong, "configuration advertised.listeners"]);
    }
    let quoted = ("KAFKA_ADVERTISED_LISTENERS", "\"PLAINTEXT://localhost:9092\"");
    refused(&[quoted], &["KAFKA_ADVERTISED_LISTENERS", "the quotes are part of the value"]);
    refused(
        &[
            advertised,
            ("KAFKA_LISTENERS", "PLAINTEXT://:9092"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "OUTSIDE:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
        ],
        &["OUTSIDE://h:9094", "must be one of listeners: PLAINTEXT", "KAFKA_ADVERTISED_LISTENERS"],
    );
    refused(
        &[("KAFKA_PROCESS_ROLES", "controller"), ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://h:9092")],
        &["not for a controller", "KAFKA_PROCESS_ROLES", "KAFKA_ADVERTISED_LISTENERS"],
    );
}

#[test]
fn an_unknown_name_is_told_once_with_the_nearest_key() {
    let notices = config(&[("KAFKA_NUM_PARTITION", "3")]).notices();
    assert_eq!(
        notices,
        [
            "num.partition (from the environment variable KAFKA_NUM_PARTITION) is not a configuration of Ottla and is ignored, did you mean num.partitions?"
        ]
    );
}

//! Environments of compose files that many start from: none of their variables is refused or misunderstood.

use super::*;
use crate::config::BrokerConfig;
use std::collections::BTreeSet;

struct File {
    whose: &'static str,
    image: Image,
    node: i32,
    /// Each listener for clients: its port, and what they are told.
    told: &'static [&'static str],
    /// The keys that are named at start because nobody knows them.
    unknown: &'static [&'static str],
    environment: &'static [&'static str],
}

const FILES: &[File] = &[
    File {
        whose: "Confluent, cp-all-in-one in KRaft mode",
        image: Image::Confluent,
        node: 1,
        told: &["29092 broker:29092", "9092 localhost:9092"],
        unknown: &[
            "confluent.balancer.topic.replication.factor",
            "confluent.license.topic.replication.factor",
            "confluent.schema.registry.url",
        ],
        environment: &[
            "KAFKA_NODE_ID=1",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
            "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://broker:29092,PLAINTEXT_HOST://localhost:9092",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0",
            "KAFKA_CONFLUENT_LICENSE_TOPIC_REPLICATION_FACTOR=1",
            "KAFKA_CONFLUENT_BALANCER_TOPIC_REPLICATION_FACTOR=1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1",
            "KAFKA_JMX_PORT=9101",
            "KAFKA_JMX_HOSTNAME=localhost",
            "KAFKA_CONFLUENT_SCHEMA_REGISTRY_URL=http://schema-registry:8081",
            "KAFKA_METRIC_REPORTERS=io.confluent.metrics.reporter.ConfluentMetricsReporter",
            "CONFLUENT_METRICS_REPORTER_BOOTSTRAP_SERVERS=broker:29092",
            "CONFLUENT_METRICS_REPORTER_TOPIC_REPLICAS=1",
            "KAFKA_PROCESS_ROLES=broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS=1@broker:29093",
            "KAFKA_LISTENERS=PLAINTEXT://broker:29092,CONTROLLER://broker:29093,PLAINTEXT_HOST://0.0.0.0:9092",
            "KAFKA_INTER_BROKER_LISTENER_NAME=PLAINTEXT",
            "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
            "KAFKA_LOG_DIRS=/tmp/kraft-combined-logs",
            "CONFLUENT_METRICS_ENABLE=true",
            "CONFLUENT_SUPPORT_CUSTOMER_ID=anonymous",
            "CLUSTER_ID=MkU3OEVBNTcwNTJENDM2Qk",
        ],
    },
    File {
        whose: "Conduktor, one ZooKeeper and one broker",
        image: Image::Confluent,
        node: 1,
        told: &["19092 kafka1:19092", "9092 127.0.0.1:9092", "29092 host.docker.internal:29092"],
        unknown: &["allow.everyone.if.no.acl.found"],
        environment: &[
            "KAFKA_ADVERTISED_LISTENERS=INTERNAL://kafka1:19092,EXTERNAL://127.0.0.1:9092,DOCKER://host.docker.internal:29092",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,DOCKER:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME=INTERNAL",
            "KAFKA_ZOOKEEPER_CONNECT=zoo1:2181",
            "KAFKA_BROKER_ID=1",
            "KAFKA_LOG4J_LOGGERS=kafka.controller=INFO,kafka.producer.async.DefaultEventHandler=INFO,state.change.logger=INFO",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
            "KAFKA_JMX_PORT=9999",
            "KAFKA_JMX_HOSTNAME=127.0.0.1",
            "KAFKA_AUTHORIZER_CLASS_NAME=kafka.security.authorizer.AclAuthorizer",
            "KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND=true",
        ],
    },
    File {
        whose: "AKHQ",
        image: Image::Confluent,
        node: 0,
        told: &["9092 kafka:9092"],
        unknown: &["allow.everyone.if.no.acl.found", "confluent.support.metrics.enable"],
        environment: &[
            "KAFKA_BROKER_ID=0",
            "KAFKA_ZOOKEEPER_CONNECT=zookeeper:2181",
            "KAFKA_NUM_PARTITIONS=12",
            "KAFKA_COMPRESSION_TYPE=gzip",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
            "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://kafka:9092",
            "KAFKA_CONFLUENT_SUPPORT_METRICS_ENABLE=false",
            "KAFKA_JMX_PORT=9091",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE=true",
            "KAFKA_AUTHORIZER_CLASS_NAME=kafka.security.auth.SimpleAclAuthorizer",
            "KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND=true",
        ],
    },
    File {
        whose: "bitnami, with ZooKeeper and a second listener",
        image: Image::Bitnami,
        node: 1,
        told: &["9092 kafka:9092", "9093 localhost:9093"],
        unknown: &["max.request.size"],
        environment: &[
            "KAFKA_BROKER_ID=1",
            "KAFKA_CFG_ZOOKEEPER_CONNECT=zookeeper:2181",
            "ALLOW_PLAINTEXT_LISTENER=yes",
            "KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP=CLIENT:PLAINTEXT,EXTERNAL:PLAINTEXT",
            "KAFKA_CFG_LISTENERS=CLIENT://:9092,EXTERNAL://:9093",
            "KAFKA_CFG_ADVERTISED_LISTENERS=CLIENT://kafka:9092,EXTERNAL://localhost:9093",
            "KAFKA_CFG_INTER_BROKER_LISTENER_NAME=CLIENT",
            "KAFKA_CFG_AUTO_CREATE_TOPICS_ENABLE=true",
            "KAFKA_CFG_LOG_RETENTION_HOURS=168",
            "KAFKA_CFG_MAX_REQUEST_SIZE=10485760",
            "BITNAMI_DEBUG=true",
        ],
    },
    File {
        whose: "wurstmeister, for a single broker",
        image: Image::Wurstmeister,
        node: 1,
        told: &["9092 192.168.99.100:9092"],
        unknown: &[],
        environment: &[
            "DOCKER_API_VERSION=1.22",
            "KAFKA_ADVERTISED_HOST_NAME=192.168.99.100",
            "KAFKA_CREATE_TOPICS=test:1:1",
            "KAFKA_ZOOKEEPER_CONNECT=zookeeper:2181",
            "LOG4J_LOGGER_KAFKA_AUTHORIZER_LOGGER=DEBUG, authorizerAppender",
        ],
    },
    File {
        whose: "apache/kafka, its example of a single node for containers and the host",
        image: Image::Apache,
        node: 1,
        told: &["19092 broker:19092", "9092 localhost:9092"],
        unknown: &[],
        environment: &[
            "KAFKA_NODE_ID=1",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
            "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092",
            "KAFKA_PROCESS_ROLES=broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS=1@broker:29093",
            "KAFKA_LISTENERS=CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
            "KAFKA_INTER_BROKER_LISTENER_NAME=PLAINTEXT",
            "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
            "CLUSTER_ID=4L6g3nShT-eMCtK--X86sw",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1",
            "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR=1",
            "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR=1",
            "KAFKA_LOG_DIRS=/tmp/kraft-combined-logs",
        ],
    },
];

#[test]
fn compose_files_of_others_are_taken() {
    for file in FILES {
        let pairs = file.environment.iter().map(|line| line.split_once('=').unwrap());
        let pairs: BTreeMap<String, String> = pairs.map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(Image::decide(&pairs).unwrap().0, file.image, "{}", file.whose);
        let mut settings = Settings::default();
        settings.load_environment(pairs).unwrap();
        settings.set("log.dirs", "/d", Origin::Override);
        let config = BrokerConfig::new(settings).unwrap_or_else(|error| panic!("{}: {error}", file.whose));
        let told = config.listeners.broker.iter().map(|listener| {
            let told = listener.advertised.as_ref().unwrap();
            format!("{} {}:{}", listener.bind.port, told.host, told.port)
        });
        assert_eq!(
            told.collect::<BTreeSet<_>>(),
            file.told.iter().map(|told| told.to_string()).collect(),
            "{}",
            file.whose
        );
        assert_eq!(config.node_id, file.node, "{}", file.whose);
        let unknown = config.static_settings().entries().filter(|(name, _, _)| !is_known(name));
        assert_eq!(unknown.map(|(name, _, _)| name).collect::<Vec<_>>(), file.unknown, "{}", file.whose);
    }
}

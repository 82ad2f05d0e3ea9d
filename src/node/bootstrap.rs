//! Topics that are declared (`ottla.bootstrap.file`, `KAFKA_CREATE_TOPICS`): made before clients are served, so that readiness means that they are there.
//!
//! What a start declares holds when it is over, and nothing more is touched: a topic that is there keeps its records, partitions are added and never taken
//! away, configurations that are not named stay. So the same declaration may be given at each start.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::protocol::StrBytes;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;
use tracing::{info, warn};

use crate::api::Broker;
use crate::cluster::config_rules::TableRules;
use crate::cluster::decide::configs::{self, ConfigChange, ConfigChanges, ConfigOp};
use crate::cluster::decide::topics::{self, TopicCreation, TopicDefaults};
use crate::cluster::decide::{SystemRandomness, partitions};
use crate::cluster::{ApiError, ClusterError, ConfigResource, Decision, Topic};
use crate::config::{BrokerConfig, ConfigError, DeclaredTopic, bootstrap};

#[derive(Debug, Error)]
pub enum DeclarationError {
    #[error("the declared topic {topic} cannot be made: {reason}")]
    Topic { topic: String, reason: String },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// What is declared, from all sources. The file is read here, so that a start without a command line has it, too.
pub(super) fn declared(config: &BrokerConfig) -> Result<Vec<DeclaredTopic>, ConfigError> {
    let mut declared = config.static_settings().declared_topics().to_vec();
    if let Some(path) = config.bootstrap_file.as_deref().filter(|path| !path.is_empty()) {
        let source = config.origin("ottla.bootstrap.file");
        let sourced = |error| ConfigError::Sourced {
            error: Box::new(error),
            sources: source.map_or_else(String::new, |origin| format!(" (ottla.bootstrap.file {origin})")),
        };
        for topic in bootstrap::load(Path::new(path)).map_err(sourced)? {
            if declared.iter().any(|earlier| earlier.name == topic.name) {
                let said = format!("topic {} is declared in {path}, and in KAFKA_CREATE_TOPICS, too", topic.name);
                return Err(ConfigError::Relation(said));
            }
            declared.push(topic);
        }
    }
    Ok(declared)
}

/// Makes what is declared hold. Returns when its leaders are in place.
pub(super) async fn apply(broker: &Arc<Broker>, declared: &[DeclaredTopic]) -> Result<(), DeclarationError> {
    for wanted in declared {
        let image = broker.cluster.image();
        match image.topic(&wanted.name) {
            None => create(broker, wanted).await?,
            Some(there) => {
                extend(broker, wanted, there).await?;
                configure(broker, wanted).await?;
            }
        }
    }
    Ok(())
}

fn refused(wanted: &DeclaredTopic, reason: impl Into<String>) -> DeclarationError {
    DeclarationError::Topic { topic: wanted.name.clone(), reason: reason.into() }
}

/// The sentence of an error that a client would have been answered.
fn sentence(error: ApiError) -> String {
    error.message.unwrap_or_else(|| error.error.to_string())
}

fn topic_name(wanted: &DeclaredTopic) -> TopicName {
    TopicName(StrBytes::from_string(wanted.name.clone()))
}

async fn create(broker: &Arc<Broker>, wanted: &DeclaredTopic) -> Result<(), DeclarationError> {
    let config = broker.config();
    let brokers = i16::try_from(broker.cluster.image().brokers().count()).unwrap_or(i16::MAX).max(1);
    let replicas = wanted.replicas.map(|asked| {
        if asked > brokers {
            let topic = &wanted.name;
            warn!(topic, asked, brokers, "the declared topic gets as many replicas as there are brokers");
        }
        asked.min(brokers)
    });
    let configs = wanted.configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(key.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    });
    let topic = CreatableTopic::default()
        .with_name(topic_name(wanted))
        .with_num_partitions(wanted.partitions.unwrap_or(-1))
        .with_replication_factor(replicas.unwrap_or(-1))
        .with_configs(configs.collect());
    let defaults = TopicDefaults {
        partitions: config.num_partitions,
        replication_factor: i16::try_from(config.default_replication_factor).unwrap_or(i16::MAX).min(brokers),
    };
    let rules = TableRules { config };
    let proposal = broker.cluster.propose_at(move |image| {
        let how = TopicCreation { defaults, rules: &rules, random: &mut SystemRandomness, validate_only: false };
        match topics::create(image, std::slice::from_ref(&topic), how) {
            Ok(Decision { records, reply }) => Decision { records, reply: Ok(reply) },
            Err(error) => Decision::unchanged(Err(error)),
        }
    });
    let (results, offset) = proposal.await?;
    let results = results.map_err(|error| refused(wanted, sentence(error)))?;
    if let Some(failed) = results.iter().find(|result| result.error_code != 0) {
        let reason = failed.error_message.as_ref().map_or("refused", |message| message.as_str());
        return Err(refused(wanted, reason));
    }
    broker.cluster.wait_published(offset).await;
    info!(topic = wanted.name, "made a declared topic");
    Ok(())
}

/// Adds partitions; a topic that has more than declared keeps them.
async fn extend(broker: &Arc<Broker>, wanted: &DeclaredTopic, there: &Topic) -> Result<(), DeclarationError> {
    let (topic, has) = (&wanted.name, there.partition_count());
    let Some(count) = wanted.partitions.filter(|count| *count != has) else { return Ok(()) };
    if count < has {
        warn!(topic, declared = count, has, "a declared topic has more partitions than declared, and keeps them");
        return Ok(());
    }
    let more = CreatePartitionsTopic::default().with_name(topic_name(wanted)).with_count(count).with_assignments(None);
    let proposal = broker
        .cluster
        .propose_at(move |image| partitions::create(image, std::slice::from_ref(&more), false, &mut SystemRandomness));
    let (outcomes, offset) = proposal.await?;
    if let Some(error) = outcomes.into_iter().find_map(Result::err) {
        return Err(refused(wanted, sentence(error)));
    }
    broker.cluster.wait_published(offset).await;
    info!(topic, had = has, has = count, "added partitions to a declared topic");
    Ok(())
}

/// Sets the configurations that are declared, where they differ.
async fn configure(broker: &Arc<Broker>, wanted: &DeclaredTopic) -> Result<(), DeclarationError> {
    let resource = ConfigResource::topic(wanted.name.as_str());
    let image = broker.cluster.image();
    let current = image.configs(&resource);
    let differs = |(key, value): &&(String, String)| {
        current.and_then(|configs| configs.get(key.as_str())).is_none_or(|have| **have != **value)
    };
    let changes: ConfigChanges = wanted
        .configs
        .iter()
        .filter(differs)
        .map(|(key, value)| {
            let change = ConfigChange { op: ConfigOp::Set, value: Some(Arc::from(value.as_str())) };
            (Arc::from(key.as_str()), change)
        })
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    let keys: Vec<Arc<str>> = changes.keys().cloned().collect();
    let rules = TableRules { config: broker.config() };
    let resources = [(resource, changes)];
    let proposal = broker.cluster.propose_at(move |image| configs::incremental_alter(image, &rules, &resources, false));
    let (results, offset) = proposal.await?;
    if let Some(error) = results.into_iter().find_map(|(_, result)| result.err()) {
        return Err(refused(wanted, sentence(error)));
    }
    broker.cluster.wait_published(offset).await;
    info!(topic = wanted.name, ?keys, "set configurations of a declared topic");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::{BrokerConfig, Origin, Settings};
    use crate::node::Node;
    use std::path::Path;
    use std::sync::Arc;

    async fn start(folder: &Path, declaration: &str) -> Result<Node, crate::node::NodeError> {
        let file = folder.join("topics.yaml");
        std::fs::write(&file, declaration).unwrap();
        let mut settings = Settings::default();
        let data = folder.join("data");
        for (name, value) in [
            ("log.dirs", data.to_str().unwrap()),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("metrics.address", ""),
            ("num.partitions", "2"),
            ("ottla.bootstrap.file", file.to_str().unwrap()),
        ] {
            settings.set(name, value, Origin::Ottla);
        }
        Node::start(Arc::new(BrokerConfig::new(settings).unwrap())).await
    }

    /// Partitions of a topic, and its own configuration.
    fn topic(node: &Node, name: &str) -> Option<(i32, Vec<String>)> {
        let image = node.broker.cluster.image();
        let partitions = image.topic(name)?.partition_count();
        let resource = crate::cluster::ConfigResource::topic(name);
        let configs = image
            .configs(&resource)
            .into_iter()
            .flat_map(|configs| configs.iter())
            .map(|(key, value)| format!("{key}={value}"));
        Some((partitions, configs.collect()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_declared_holds_after_each_start() {
        let folder = tempfile::tempdir().unwrap();
        let first =
            "topics:\n  - name: a\n    partitions: 3\n    replicas: 3\n    configs: {retention.ms: 5}\n  - name: b\n";
        let node = start(folder.path(), first).await.unwrap();
        assert_eq!(topic(&node, "a"), Some((3, vec!["retention.ms=5".into()])), "served before it is ready");
        assert_eq!(topic(&node, "b"), Some((2, Vec::new())));
        let leads = node.broker.replicas.partitions().iter().filter(|p| p.check_leader(-1).is_ok()).count();
        assert_eq!(leads, 5);
        node.stop().await;

        let second = "topics:\n  - name: a\n    partitions: 4\n    configs: {cleanup.policy: compact}\n  - name: b\n    partitions: 1\n";
        for _ in 0..2 {
            let node = start(folder.path(), second).await.unwrap();
            let configs = vec!["cleanup.policy=compact".into(), "retention.ms=5".into()];
            assert_eq!(topic(&node, "a"), Some((4, configs)), "what is not named stays");
            assert_eq!(topic(&node, "b"), Some((2, Vec::new())), "partitions are never taken away");
            node.stop().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_cannot_hold_refuses_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for (declaration, parts) in [
            ("topics: [{name: 'a b'}]", &["a b", "invalid"][..]),
            ("topics: [{name: a, configs: {retention.ms: soon}}]", &["topic a", "soon"]),
            ("topics: [{name: a, configs: {no.such.key: 1}}]", &["topic a", "no.such.key"]),
            ("topics: [{nam: a}]", &["topics.yaml", "nam"]),
        ] {
            let said = match start(folder.path(), declaration).await {
                Ok(_) => panic!("{declaration} was taken"),
                Err(error) => error.to_string(),
            };
            for part in parts {
                assert!(said.contains(part), "{declaration}: {said:?} has no {part:?}");
            }
        }
    }
}

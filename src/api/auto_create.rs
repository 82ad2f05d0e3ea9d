//! Creating topics because somebody asked for them (Kafka's `AutoTopicCreationManager`): with the brokers' defaults, internal topics with their own settings.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::Broker;
use super::create_topics;
use super::error_code::NONE;
use crate::cluster::decide::topics::validate_topic_name;
use crate::config::BrokerConfig;
use crate::config::key::Value;
use crate::types::topic_name::{GROUP_METADATA_TOPIC, SHARE_GROUP_STATE_TOPIC, TRANSACTION_STATE_TOPIC};

/// How long whoever asks waits for the creation. Kafka does not wait at all; a topic takes a few milliseconds here, and then the next request finds it.
const WAIT: Duration = Duration::from_millis(500);

/// Starts to create the topics whose names are valid, and waits a moment for them. A topic that exists by then is as good. Failures are logged: whoever
/// asked finds the topic still missing.
pub async fn create(broker: &Arc<Broker>, names: Vec<TopicName>) {
    let config = broker.config();
    let wanted: Vec<CreatableTopic> = names
        .into_iter()
        .filter(|name| validate_topic_name(name.as_str()).is_ok())
        .map(|name| creatable(&config, name))
        .collect();
    if wanted.is_empty() {
        return;
    }
    match create_topics::create(broker, wanted, false, Instant::now() + WAIT).await {
        Ok(results) => {
            for result in results {
                let (topic, error) = (result.name.as_str(), result.error_code);
                if error == NONE {
                    tracing::info!(topic, "created a topic that a client asked for");
                } else {
                    let message = result.error_message.as_deref().unwrap_or_default();
                    tracing::debug!(topic, error, message, "did not create a topic that a client asked for");
                }
            }
        }
        Err(error) => tracing::warn!(?error, "topics that a client asked for are not created"),
    }
}

fn creatable(config: &BrokerConfig, name: TopicName) -> CreatableTopic {
    let topic = CreatableTopic::default().with_name(name);
    let Some(internal) = internal_topic(topic.name.as_str()) else {
        return topic.with_num_partitions(-1).with_replication_factor(-1);
    };
    let text = |key: &str| config.value(key).and_then(Value::to_text).unwrap_or_default();
    let set = internal.settings.iter().map(|(key, setting)| {
        let value = match setting {
            Setting::Is(value) => StrBytes::from_static_str(value),
            Setting::As(broker_key) => StrBytes::from_string(text(broker_key)),
        };
        CreatableTopicConfig::default().with_name(StrBytes::from_static_str(key)).with_value(Some(value))
    });
    topic
        .with_num_partitions(text(internal.partitions).parse().unwrap_or(-1))
        .with_replication_factor(text(internal.replication_factor).parse().unwrap_or(-1))
        .with_configs(set.collect())
}

/// How an internal topic is made: broker keys for its size, and its configuration.
struct InternalTopic {
    partitions: &'static str,
    replication_factor: &'static str,
    settings: &'static [(&'static str, Setting)],
}

enum Setting {
    Is(&'static str),
    /// What this broker key says.
    As(&'static str),
}

fn internal_topic(name: &str) -> Option<InternalTopic> {
    use Setting::{As, Is};
    match name {
        GROUP_METADATA_TOPIC => Some(InternalTopic {
            partitions: "offsets.topic.num.partitions",
            replication_factor: "offsets.topic.replication.factor",
            settings: &[
                ("cleanup.policy", Is("compact")),
                ("compression.type", Is("producer")),
                ("segment.bytes", As("offsets.topic.segment.bytes")),
            ],
        }),
        TRANSACTION_STATE_TOPIC => Some(InternalTopic {
            partitions: "transaction.state.log.num.partitions",
            replication_factor: "transaction.state.log.replication.factor",
            settings: &[
                ("unclean.leader.election.enable", Is("false")),
                ("compression.type", Is("uncompressed")),
                ("cleanup.policy", Is("compact")),
                ("min.insync.replicas", As("transaction.state.log.min.isr")),
                ("segment.bytes", As("transaction.state.log.segment.bytes")),
            ],
        }),
        SHARE_GROUP_STATE_TOPIC => Some(InternalTopic {
            partitions: "share.coordinator.state.topic.num.partitions",
            replication_factor: "share.coordinator.state.topic.replication.factor",
            settings: &[
                ("cleanup.policy", Is("delete")),
                ("compression.type", Is("producer")),
                ("segment.bytes", As("share.coordinator.state.topic.segment.bytes")),
                ("retention.ms", Is("-1")),
            ],
        }),
        _ => None,
    }
}

//! The topics that brokers make for themselves: how many partitions and replicas, and their settings, from the broker's configuration.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::protocol::StrBytes;

use crate::cluster::MetadataImage;
use crate::config::BrokerConfig;
use crate::config::key::Value;
use crate::types::topic_name::{GROUP_METADATA_TOPIC, SHARE_GROUP_STATE_TOPIC, TRANSACTION_STATE_TOPIC};

/// The topic as a request to create it would say; one that is not internal leaves everything to the brokers' defaults. `most_replicas` is what the cluster
/// can hold at all ([`most_replicas`]).
pub fn creatable(config: &BrokerConfig, name: TopicName, most_replicas: i16) -> CreatableTopic {
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
        .with_replication_factor(text(internal.replication_factor).parse().unwrap_or(-1).min(most_replicas))
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

/// The replicas that a topic can have: as many as there are brokers, or voters that may be brokers and are not up yet. A node that is its whole cluster can
/// never have more than one; refusing then, as Kafka does, would leave groups without a coordinator for good.
pub fn most_replicas(image: &MetadataImage, voters: usize) -> i16 {
    let brokers = image.brokers().filter(|broker| broker.is_active()).count();
    i16::try_from(brokers.max(voters).max(1)).unwrap_or(i16::MAX)
}

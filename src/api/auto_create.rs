//! Creating topics because somebody asked for them (Kafka's `AutoTopicCreationManager`): with the brokers' defaults, internal topics with their own settings.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::Broker;
use super::create_topics;
use super::error_code::NONE;
use crate::cluster::decide::topics::validate_topic_name;
use crate::coordinator::internal_topic::{creatable, most_replicas};

/// How long whoever asks waits for the creation. Kafka does not wait at all; a topic takes a few milliseconds here, and then the next request finds it.
const WAIT: Duration = Duration::from_millis(500);

/// Starts to create the topics whose names are valid, and waits a moment for them. A topic that exists by then is as good. Failures are logged: whoever
/// asked finds the topic still missing.
pub async fn create(broker: &Arc<Broker>, names: Vec<TopicName>) {
    let config = broker.config();
    let most = most_replicas(&broker.cluster.image(), broker.cluster.quorum_status().voters.len());
    let wanted: Vec<CreatableTopic> = names
        .into_iter()
        .filter(|name| validate_topic_name(name.as_str()).is_ok())
        .map(|name| creatable(&config, name, most))
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

//! The lines by which others know that Kafka has started: Testcontainers' modules and people's scripts wait for them on standard output.
//!
//! Told only in a container that takes the place of Kafka's, and only when everything that they say is so: listeners accept, partitions are led.

use crate::config::{BrokerConfig, Image};
use tracing::info;

/// Tells what a Kafka broker tells when it has started.
pub(super) fn tell(config: &BrokerConfig) {
    let Some(image) = config.static_settings().image() else { return };
    let id = config.node_id;
    if image == Image::Confluent {
        // The first that the module for Rust waits for with Confluent's image of the time of ZooKeeper; then it alters advertised.listeners.
        info!("Creating new log files as records come");
        tell_new_addresses(config);
    }
    // KRaft's lines (Kafka 3.x and 4.x).
    info!("[BrokerLifecycleManager id={id}] The broker has been unfenced. Transitioning from RECOVERY to RUNNING.");
    info!("[KafkaRaftServer nodeId={id}] Kafka Server started (kafka.server.KafkaRaftServer)");
    // The line of the time of ZooKeeper.
    info!("[KafkaServer id={id}] started (kafka.server.KafkaServer)");
}

/// Tells that clients get other addresses than those that were given at start: the second line that the module for Rust waits for, after which it takes clients
/// to be told what it has altered. Kafka tells it five seconds after its start, by when that is so.
pub(super) fn tell_new_addresses(config: &BrokerConfig) {
    let is_confluent = config.static_settings().image() == Some(Image::Confluent);
    if is_confluent && config.dynamic_broker().contains_key("advertised.listeners") {
        info!("Checking need to trigger auto leader balancing: each partition is led by the broker that has it");
    }
}

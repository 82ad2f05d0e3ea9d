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
        // The two that the module for Rust waits for with Confluent's image of the time of ZooKeeper.
        info!("Creating new log files as records come");
        info!("Checking need to trigger auto leader balancing: each partition is led by the broker that has it");
    }
    // KRaft's lines (Kafka 3.x and 4.x).
    info!("[BrokerLifecycleManager id={id}] The broker has been unfenced. Transitioning from RECOVERY to RUNNING.");
    info!("[KafkaRaftServer nodeId={id}] Kafka Server started (kafka.server.KafkaRaftServer)");
    // The line of the time of ZooKeeper.
    info!("[KafkaServer id={id}] started (kafka.server.KafkaServer)");
}

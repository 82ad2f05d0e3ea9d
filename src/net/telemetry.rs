//! Counters of one listener, under the names that the JMX exporter gives Kafka's socket server metrics. The only label is the listener's name.

use metrics::{Counter, Gauge, counter, gauge};

/// Handles are looked up once: counting costs an atomic addition.
#[derive(Clone)]
pub struct ListenerMetrics {
    pub connections: Gauge,
    pub opened: Counter,
    pub closed: Counter,
    pub refused: Counter,
    pub received_bytes: Counter,
    pub sent_bytes: Counter,
    pub requests: Counter,
    pub replies: Counter,
    /// Connections that ended because of what the peer sent or did.
    pub faults: Counter,
}

impl ListenerMetrics {
    pub fn new(listener: &str) -> Self {
        let label = || [("listener", listener.to_owned())];
        Self {
            connections: gauge!("kafka_server_socket_server_metrics_connection_count", &label()),
            opened: counter!("kafka_server_socket_server_metrics_connection_creation_total", &label()),
            closed: counter!("kafka_server_socket_server_metrics_connection_close_total", &label()),
            refused: counter!("ottla_connections_refused_total", &label()),
            received_bytes: counter!("kafka_server_socket_server_metrics_incoming_byte_total", &label()),
            sent_bytes: counter!("kafka_server_socket_server_metrics_outgoing_byte_total", &label()),
            requests: counter!("kafka_server_socket_server_metrics_request_total", &label()),
            replies: counter!("kafka_server_socket_server_metrics_response_total", &label()),
            faults: counter!("ottla_connections_faulted_total", &label()),
        }
    }
}

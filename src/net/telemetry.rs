//! Counters of one listener. Handles are looked up once: counting costs an atomic addition.

use metrics::{Counter, Gauge};

use crate::metrics::{Registry, table};

#[derive(Clone)]
pub struct ListenerMetrics {
    pub connections: Gauge,
    pub opened: Counter,
    pub closed: Counter,
    /// For which the limit on connections kept the listener from accepting.
    pub blocked_nanos: Counter,
    pub received_bytes: Counter,
    pub sent_bytes: Counter,
    /// Connections that `max.connections.per.ip` refused.
    pub over_limit: Counter,
    /// Connections that ended because of what the peer sent: no frame, a request that does not parse.
    pub bad_bytes: Counter,
    /// Connections that ended because a request came, or its reply was read, too slowly while others waited.
    pub too_slow: Counter,
    /// Connections that ended because their handler failed.
    pub failed: Counter,
}

impl ListenerMetrics {
    pub fn new(registry: &Registry, listener: &str) -> Self {
        let of_listener = [("listener", listener)];
        let refused = |reason| registry.counter(&table::CONNECTIONS_REFUSED, &[("reason", reason)]);
        Self {
            connections: registry.gauge(&table::CONNECTION_COUNT, &of_listener),
            opened: registry.counter(&table::CONNECTION_CREATIONS, &of_listener),
            closed: registry.counter(&table::CONNECTION_CLOSES, &of_listener),
            blocked_nanos: registry.counter(&table::ACCEPTOR_BLOCKED, &of_listener),
            received_bytes: registry.counter(&table::INCOMING_BYTES, &of_listener),
            sent_bytes: registry.counter(&table::OUTGOING_BYTES, &of_listener),
            over_limit: refused("max.connections.per.ip"),
            bad_bytes: refused("bad bytes"),
            too_slow: refused("too slow"),
            failed: refused("handler failed"),
        }
    }
}

//! What the network layer is told by the configuration, and the bounds that are its own.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use super::rate::{RateWindow, UNLIMITED};
use crate::config::broker::BrokerConfig;
use crate::config::listener::BindAddress;

/// Bytes taken from a socket in one read through the thread's scratch buffer. Longer frames are read straight into their own buffer.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// Requests of one connection that may be in the broker at a time. Producers keep 5 in flight (Java) or as many as the broker takes (librdkafka).
pub const MAX_IN_FLIGHT: usize = 64;

/// A connection with more unsent reply bytes than this begins no further request, so a client that never reads holds this and one reply.
pub const MAX_UNSENT_BYTES: usize = 1024 * 1024;

/// A frame whose body takes longer than this must have come at [`MIN_BODY_BYTES_PER_SECOND`] on the average, or the connection ends: it holds memory
/// that others wait for.
pub const BODY_GRACE: Duration = Duration::from_secs(10);

/// See [`BODY_GRACE`]. A modem of 1995 is fast enough.
pub const MIN_BODY_BYTES_PER_SECOND: u64 = 2 * 1024;

/// Replies that have not left after this must have gone at [`MIN_REPLY_BYTES_PER_SECOND`] on the average, or the connection ends if somebody waits for the
/// memory that they hold. A client that takes its time costs nobody anything as long as there is enough.
pub const REPLY_GRACE: Duration = Duration::from_secs(10);

/// See [`REPLY_GRACE`].
pub const MIN_REPLY_BYTES_PER_SECOND: u64 = 32 * 1024;

/// How long the last replies of a connection that is being ended may take to leave.
pub const CLOSING_FLUSH: Duration = Duration::from_secs(5);

/// How long requests go on whose client has gone. Kafka finishes what it has begun; waits (fetch, rebalance) end here.
pub const ORPHAN_TIME: Duration = Duration::from_secs(10);

/// Keep-alive finds peers that vanished without a word (in 60 + 4 * 15 seconds).
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
pub const KEEPALIVE_PROBES: u32 = 4;

/// Configuration of all listeners, under Kafka's names.
#[derive(Clone, Debug)]
pub struct NetSettings {
    /// `socket.request.max.bytes`: longest frame, without its length prefix.
    pub socket_request_max_bytes: usize,
    /// `connections.max.idle.ms`; `None` never closes idle connections.
    pub connections_max_idle: Option<Duration>,
    /// `socket.send.buffer.bytes`; `None` (-1) leaves it to the operating system.
    pub socket_send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` (-1) leaves it to the operating system.
    pub socket_receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub socket_listen_backlog_size: i32,
    /// See [`BODY_GRACE`].
    pub body_grace: Duration,
    /// See [`REPLY_GRACE`].
    pub reply_grace: Duration,
    pub quotas: ConnectionQuotas,
}

/// What the connections are held to. All of it can change while the broker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionQuotas {
    /// `max.connections`: further ones wait until one ends.
    pub max_connections: usize,
    /// `max.connection.creation.rate`, in a second: further ones wait.
    pub creation_rate: u32,
    /// `max.connections.per.ip`: further ones are closed.
    pub max_per_ip: usize,
    /// `max.connections.per.ip.overrides`.
    pub max_per_ip_overrides: HashMap<IpAddr, usize>,
    /// By the listener's name.
    pub listeners: HashMap<String, ListenerQuotas>,
    /// The listener that the limits of all do not hold for: the brokers' own, where there are others.
    pub protected: Option<String>,
    /// How rates are measured.
    pub rate_window: RateWindow,
}

/// What one listener is held to (`listener.name.NAME.max.connections` and `listener.name.NAME.max.connection.creation.rate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerQuotas {
    pub max_connections: usize,
    pub creation_rate: u32,
}

impl ListenerQuotas {
    pub const NONE: Self = Self { max_connections: usize::MAX, creation_rate: UNLIMITED };
}

impl ConnectionQuotas {
    /// What the configuration says now. Resolves the names among `max.connections.per.ip.overrides` (one that does not resolve has no effect), so it may block.
    pub fn of(config: &BrokerConfig) -> Self {
        let mut overrides = HashMap::new();
        for (host, max) in config.max_connections_per_ip_overrides() {
            for address in (host.as_str(), 0).to_socket_addrs().into_iter().flatten() {
                overrides.insert(address.ip().to_canonical(), size(max));
            }
        }
        let own = |name: &str| ListenerQuotas {
            max_connections: config.of_listener(name, "max.connections").map_or(usize::MAX, size),
            creation_rate: config.of_listener(name, "max.connection.creation.rate").map_or(UNLIMITED, rate),
        };
        let listeners = config.listeners.broker.iter().chain(&config.listeners.controller);
        let is_one_of_several = config.listeners.broker.len() > 1;
        Self {
            max_connections: size(config.max_connections),
            creation_rate: rate(config.max_connection_creation_rate),
            max_per_ip: size(config.max_connections_per_ip),
            max_per_ip_overrides: overrides,
            listeners: listeners.map(|listener| (listener.name.clone(), own(&listener.name))).collect(),
            protected: is_one_of_several.then(|| config.listeners.inter_broker.clone()),
            rate_window: RateWindow {
                samples: rate(config.quota_window_num).max(1),
                size: Duration::from_secs(u64::from(rate(config.quota_window_size_seconds).max(1))),
            },
        }
    }
}

fn size(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

fn rate(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

impl NetSettings {
    /// What the broker's configuration says. May block, as [`ConnectionQuotas::of`] may.
    pub fn of(config: &BrokerConfig) -> Self {
        Self {
            socket_request_max_bytes: size(config.socket_request_max_bytes),
            connections_max_idle: u64::try_from(config.connections_max_idle_ms).ok().map(Duration::from_millis),
            socket_send_buffer_bytes: usize::try_from(config.socket_send_buffer_bytes).ok(),
            socket_receive_buffer_bytes: usize::try_from(config.socket_receive_buffer_bytes).ok(),
            socket_listen_backlog_size: config.socket_listen_backlog_size,
            body_grace: BODY_GRACE,
            reply_grace: REPLY_GRACE,
            quotas: ConnectionQuotas::of(config),
        }
    }
}

/// A listener to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper case, as in `listeners`.
    pub name: String,
    pub bind: BindAddress,
    pub counted: Counted,
}

/// With which others a listener's connections are counted for `max.connections`: clients that use all of the brokers' do not keep anybody from a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Brokers,
    Controllers,
}

const _: () = assert!(SCRATCH_BYTES <= MAX_UNSENT_BYTES);

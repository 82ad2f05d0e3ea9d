//! What the network layer is told by the configuration, and the bounds that are its own.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

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
    /// `max.connections`: further ones wait until one ends.
    pub max_connections: usize,
    /// `max.connections.per.ip`: further ones are closed.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`.
    pub max_connections_per_ip_overrides: HashMap<IpAddr, usize>,
}

impl NetSettings {
    /// What the broker's configuration says. Resolves the names among `max.connections.per.ip.overrides` (one that does not resolve has no effect), so it
    /// may block.
    pub fn of(config: &BrokerConfig) -> Self {
        let size = |value: i32| usize::try_from(value).unwrap_or(0);
        let mut overrides = HashMap::new();
        for (host, max) in config.max_connections_per_ip_overrides() {
            for address in (host.as_str(), 0).to_socket_addrs().into_iter().flatten() {
                overrides.insert(address.ip().to_canonical(), size(max));
            }
        }
        Self {
            socket_request_max_bytes: size(config.socket_request_max_bytes),
            connections_max_idle: u64::try_from(config.connections_max_idle_ms).ok().map(Duration::from_millis),
            socket_send_buffer_bytes: usize::try_from(config.socket_send_buffer_bytes).ok(),
            socket_receive_buffer_bytes: usize::try_from(config.socket_receive_buffer_bytes).ok(),
            socket_listen_backlog_size: config.socket_listen_backlog_size,
            body_grace: BODY_GRACE,
            reply_grace: REPLY_GRACE,
            max_connections: size(config.max_connections),
            max_connections_per_ip: size(config.max_connections_per_ip),
            max_connections_per_ip_overrides: overrides,
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

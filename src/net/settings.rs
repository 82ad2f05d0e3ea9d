//! What the network layer is told by the configuration, and the bounds that are its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

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
    /// `max.connections`: further ones wait until one ends.
    pub max_connections: usize,
    /// `max.connections.per.ip`: further ones are closed.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`.
    pub max_connections_per_ip_overrides: HashMap<IpAddr, usize>,
}

impl Default for NetSettings {
    fn default() -> Self {
        Self {
            socket_request_max_bytes: 100 * 1024 * 1024,
            connections_max_idle: Some(Duration::from_secs(600)),
            socket_send_buffer_bytes: Some(100 * 1024),
            socket_receive_buffer_bytes: Some(100 * 1024),
            socket_listen_backlog_size: 50,
            body_grace: BODY_GRACE,
            max_connections: i32::MAX as usize,
            max_connections_per_ip: i32::MAX as usize,
            max_connections_per_ip_overrides: HashMap::new(),
        }
    }
}

/// One entry of `listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper case, as in `listeners`.
    pub name: String,
    /// A name, an address (brackets around IPv6 or not), or empty for all addresses of the machine.
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
}

const _: () = assert!(SCRATCH_BYTES <= MAX_UNSENT_BYTES);

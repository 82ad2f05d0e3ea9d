//! Makes connections, and says why one could not be made: a name that does not resolve, a port where nobody listens, and above all the classic, a broker that
//! answers at its bootstrap address and advertises another one that cannot be reached from here.

use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

use super::ClientError;
use super::address::Address;
use super::connection::Connection;
use super::properties::Settings;

/// Whom an address belongs to, for the explanation.
pub(super) enum Peer {
    Bootstrap,
    /// From the cluster's metadata.
    Advertised {
        id: i32,
        bootstrap: String,
    },
}

impl Peer {
    fn name(&self) -> String {
        match self {
            Self::Bootstrap => "The bootstrap server".to_owned(),
            Self::Advertised { id, bootstrap } => {
                format!("Broker {id} (the cluster answers at {bootstrap} and advertises another address for it)")
            }
        }
    }

    fn advice(&self, address: &Address, why: &Why) -> String {
        match (self, why) {
            (Self::Bootstrap, Why::Unresolved(_)) => "Check the host's name in --bootstrap-server.".to_owned(),
            (Self::Bootstrap, _) => format!("Is a broker listening on port {} there, and is the port published?", address.port),
            (Self::Advertised { .. }, _) => {
                "Set advertised.listeners on the broker to an address that this machine can reach (in containers: one listener for the host and one for the network)."
                    .to_owned()
            }
        }
    }
}

enum Why {
    Unresolved(io::Error),
    TimedOut(u128),
    Refused(io::Error),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unresolved(error) => write!(f, "the name does not resolve here ({error})"),
            Self::TimedOut(ms) => write!(f, "no connection within {ms} ms (socket.connection.setup.timeout.ms)"),
            Self::Refused(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                f.write_str("connection refused, nothing listens there")
            }
            Self::Refused(error) => write!(f, "{error}"),
        }
    }
}

/// Connects to the first of the host's addresses that answers, and shakes hands.
///
/// # Errors
/// [`ClientError::Unreachable`], and what [`Connection::open`] may meet.
pub(super) async fn connect(address: &Address, peer: &Peer, settings: &Settings) -> Result<Connection, ClientError> {
    let socket = match tokio::time::timeout(settings.connect_timeout, open(address)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Why::TimedOut(settings.connect_timeout.as_millis())),
    };
    let socket = socket.map_err(|why| ClientError::Unreachable {
        peer: peer.name(),
        address: address.to_string(),
        advice: peer.advice(address, &why),
        why: why.to_string(),
    })?;
    Connection::open(socket, address.to_string(), &settings.client_id, settings.request_timeout).await
}

async fn open(address: &Address) -> Result<TcpStream, Why> {
    let resolved: Vec<SocketAddr> = match address.host.parse() {
        Ok(ip) => vec![SocketAddr::new(ip, address.port)],
        Err(_) => {
            tokio::net::lookup_host((address.host.as_str(), address.port)).await.map_err(Why::Unresolved)?.collect()
        }
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for candidate in resolved {
        match TcpStream::connect(candidate).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(Why::Refused(last))
}

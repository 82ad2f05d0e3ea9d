//! The connections that there are, and the last ones that ended: where `/why` looks for a client. Touched when a connection begins or ends, never by a request.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::context::Connection;

/// Ended connections that are remembered, of each of the two kinds.
const REMEMBERED: usize = 64;

/// A connection that ended.
#[derive(Clone, Debug)]
pub struct Closed {
    pub connection: Arc<Connection>,
    pub at: Instant,
    /// The reason, as the log has it.
    pub why: Arc<str>,
    /// The broker ended it for what the client did.
    pub by_fault: bool,
    /// How many connections of that client ended so, one after the other; this is the last of them.
    pub times: u64,
}

impl Closed {
    fn is_as(&self, other: &Self) -> bool {
        let client = |closed: &Self| (closed.connection.client_address.ip(), closed.connection.activity.client_id());
        self.why == other.why && client(self) == client(other)
    }
}

/// All connections of a broker.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<HashMap<u64, Arc<Connection>, ahash::RandomState>>,
    /// Apart, so that many that end well do not hide the one that did not.
    closed_well: Mutex<VecDeque<Closed>>,
    closed_by_fault: Mutex<VecDeque<Closed>>,
}

impl Connections {
    pub fn opened(&self, connection: &Arc<Connection>) {
        self.open.lock().insert(connection.id, Arc::clone(connection));
    }

    pub fn closed(&self, connection: &Arc<Connection>, why: &str, by_fault: bool) {
        self.open.lock().remove(&connection.id);
        let (connection, at, why) = (Arc::clone(connection), Instant::now(), Arc::from(why));
        let mut closed = Closed { connection, at, why, by_fault, times: 1 };
        let mut kept = if by_fault { self.closed_by_fault.lock() } else { self.closed_well.lock() };
        // A client that comes again and again must not push all others out.
        if let Some(same) = kept.iter().position(|known| by_fault && known.is_as(&closed))
            && let Some(known) = kept.remove(same)
        {
            closed.times += known.times;
        }
        if kept.len() >= REMEMBERED {
            kept.pop_front();
        }
        kept.push_back(closed);
    }

    /// Those that are open, the oldest first.
    pub fn open(&self) -> Vec<Arc<Connection>> {
        let mut open: Vec<_> = self.open.lock().values().cloned().collect();
        open.sort_by_key(|connection| connection.id);
        open
    }

    /// Those that ended lately, the last one first.
    pub fn closed_lately(&self) -> Vec<Closed> {
        let mut closed: Vec<_> = self.closed_well.lock().iter().cloned().collect();
        closed.extend(self.closed_by_fault.lock().iter().cloned());
        closed.sort_by_key(|closed| std::cmp::Reverse(closed.at));
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_connections_are_remembered_within_bounds() {
        let connections = Connections::default();
        let address = "127.0.0.1:1".parse().unwrap();
        for id in 0..200 {
            let connection = Arc::new(Connection::new(id, Arc::from("PLAINTEXT"), address, address));
            connections.opened(&connection);
            if id != 7 {
                connections.closed(&connection, "asked for", id == 3);
            }
        }
        assert_eq!(connections.open().iter().map(|one| one.id).collect::<Vec<_>>(), [7]);
        let closed = connections.closed_lately();
        assert_eq!(closed.len(), REMEMBERED + 1);
        assert_eq!((closed[0].connection.id, closed.iter().any(|one| one.by_fault)), (199, true));
    }

    #[test]
    fn a_client_that_is_refused_again_and_again_is_remembered_once() {
        let connections = Connections::default();
        let here = "127.0.0.1:9092".parse().unwrap();
        let close = |id: u64, from: &str, why: &str| {
            let connection = Arc::new(Connection::new(id, Arc::from("PLAINTEXT"), from.parse().unwrap(), here));
            connections.closed(&connection, why, true);
        };
        close(1, "10.0.0.1:7", "TLS");
        for id in 2..300 {
            close(id, &format!("10.0.0.2:{id}"), "TLS");
        }
        close(300, "10.0.0.2:7", "HTTP");
        let told: Vec<_> = connections.closed_lately().iter().map(|one| (one.connection.id, one.times)).collect();
        assert_eq!(told, [(300, 1), (299, 298), (1, 1)]);
    }
}

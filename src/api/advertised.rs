//! Which address a client is told for each broker.
//!
//! A listener with `advertised.listeners` tells that. Without, each connection is told the address that it reached, so that a container and its host can
//! both connect; no other broker of this protocol does that.

use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use crate::cluster::record::BrokerState;
use crate::types::BrokerId;

/// A broker as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: BrokerId,
    pub host: Arc<str>,
    pub port: i32,
    pub rack: Option<Arc<str>>,
}

/// The brokers that live (those in controlled shutdown do) and have the listener through which the request came.
pub fn nodes(broker: &Broker, context: &RequestContext) -> Vec<Node> {
    let image = broker.cluster.image();
    image.brokers().filter(|known| !known.fenced).filter_map(|known| registered_node(broker, context, known)).collect()
}

/// A broker's address, fenced or not, if it has the listener through which the request came.
pub fn registered_node(broker: &Broker, context: &RequestContext, known: &BrokerState) -> Option<Node> {
    let endpoint = known.endpoints.iter().find(|endpoint| endpoint.name == context.connection.listener)?;
    let (host, port) = if known.id == broker.id {
        own_address(broker, context)
    } else {
        (Arc::clone(&endpoint.host), i32::from(endpoint.port))
    };
    Some(Node { id: known.id, host, port, rack: known.rack.clone() })
}

/// The address of one broker, if it lives and has the listener.
pub fn node(broker: &Broker, context: &RequestContext, id: BrokerId) -> Option<Node> {
    nodes(broker, context).into_iter().find(|node| node.id == id)
}

fn own_address(broker: &Broker, context: &RequestContext) -> (Arc<str>, i32) {
    let config = broker.config();
    let connection = &context.connection;
    match config.listeners.get(&connection.listener).and_then(|listener| listener.advertised.as_ref()) {
        Some(advertised) => {
            let bound = broker.bound.get(&connection.listener).map_or(0, std::net::SocketAddr::port);
            let port = if advertised.port == 0 { bound } else { advertised.port };
            (Arc::from(advertised.host.as_str()), i32::from(port))
        }
        None => {
            let reached = connection.local_address;
            // An IPv4 client of a dual-stack listener must not be told the mapped form.
            (Arc::from(reached.ip().to_canonical().to_string()), i32::from(reached.port()))
        }
    }
}

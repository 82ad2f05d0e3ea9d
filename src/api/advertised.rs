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
        own_address(broker, context, &context.connection.listener)
    } else {
        (Arc::clone(&endpoint.host), i32::from(endpoint.port))
    };
    Some(Node { id: known.id, host, port, rack: known.rack.clone() })
}

/// The address of one broker, if it lives and has the listener.
pub fn node(broker: &Broker, context: &RequestContext, id: BrokerId) -> Option<Node> {
    nodes(broker, context).into_iter().find(|node| node.id == id)
}

/// Where a controller's listener of that name is reached, as far as this node knows: of others it knows what `controller.quorum.voters` says.
pub fn controller(broker: &Broker, context: &RequestContext, listener: &str, id: BrokerId) -> Option<Node> {
    let config = broker.config();
    let (host, port) = if id == broker.id {
        config.listeners.controller.iter().find(|own| own.name == listener)?;
        own_address(broker, context, listener)
    } else {
        let voter = config.voters.iter().find(|voter| voter.id == id)?;
        (config.listeners.controller_names.first()? == listener)
            .then(|| (Arc::from(voter.address.host.as_str()), i32::from(voter.address.port)))?
    };
    Some(Node { id, host, port, rack: None })
}

/// Where one of this node's own listeners is reached.
fn own_address(broker: &Broker, context: &RequestContext, listener: &str) -> (Arc<str>, i32) {
    let config = broker.config();
    let connection = &context.connection;
    let bound = broker.bound.get(listener).map_or(0, std::net::SocketAddr::port);
    match config.listeners.get(listener).and_then(|listener| listener.advertised.as_ref()) {
        Some(advertised) => {
            let port = if advertised.port == 0 { bound } else { advertised.port };
            (Arc::from(advertised.host.as_str()), i32::from(port))
        }
        None => {
            let reached = connection.local_address;
            let port = if *connection.listener == *listener { reached.port() } else { bound };
            // An IPv4 client of a dual-stack listener must not be told the mapped form.
            (Arc::from(reached.ip().to_canonical().to_string()), i32::from(port))
        }
    }
}

//! A small Kafka client: what the tools need to ask a cluster something, and what a producer and a consumer can be built on.
//!
//! Finds brokers from the bootstrap addresses, negotiates versions, keeps one connection per broker, tries again as Kafka's clients do until
//! `default.api.timeout.ms`, and explains what it meets. Runs on whatever tokio runtime it is called on; a current-thread one is enough. It must never touch the
//! store or the broker's rooms, print anything, or decide what an error in an answer means: that is for who asked.

pub mod address;
mod connect;
pub mod connection;
pub mod consumer;
mod error;
pub mod produce_request;
pub mod producer;
mod properties;
mod server_error;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use connection::Connection;
pub use error::ClientError;
pub use properties::ClientProperties;
pub use server_error::ServerError;

use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest,
    MetadataResponse,
};
use kafka_protocol::protocol::{Request, StrBytes};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use connect::Peer;
use properties::Settings;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// Whichever broker is connected, or the first of the bootstrap addresses that answers.
    Any,
    /// The broker that takes changes of the metadata.
    Controller,
    /// The broker with this id, at its advertised address.
    Broker(i32),
    /// The coordinator of a consumer group.
    Group(String),
}

/// A broker as the cluster advertises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub address: Address,
    pub rack: Option<String>,
}

/// What a client knows of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    pub cluster_id: Option<String>,
    /// `None` while the cluster has none.
    pub controller: Option<i32>,
    pub nodes: BTreeMap<i32, Node>,
}

/// Told once each: what keeps a call from being done at once. See [`Client::on_notice`].
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// Who is told, and what was told already.
#[derive(Default)]
pub(super) struct Notices {
    notice: Option<Notice>,
    told: Mutex<HashSet<String>>,
}

impl Notices {
    pub(super) fn new(notice: Option<Notice>) -> Arc<Self> {
        Arc::new(Self { notice, told: Mutex::default() })
    }

    fn tell(&self, text: &str) {
        if let Some(notice) = &self.notice
            && self.told.lock().insert(text.to_owned())
        {
            notice(text);
        }
    }
}

/// A client of one cluster. Requests may be sent at the same time from many tasks.
pub struct Client {
    settings: Settings,
    notices: Arc<Notices>,
    state: Mutex<State>,
    /// One connection is made at a time, so that two requests to one broker share it.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    connections: HashMap<Address, Arc<Connection>>,
    view: Option<Arc<ClusterView>>,
    coordinators: HashMap<String, i32>,
}

impl Client {
    /// Checks the properties; connects to nothing yet.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn new(properties: &ClientProperties) -> Result<Self, ClientError> {
        let settings = properties.settings()?;
        Ok(Self {
            settings,
            notices: Arc::default(),
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    /// Has `notice` told, once for each difference, what is in the way while a call is tried again: a broker that is not there yet, an advertised address that
    /// cannot be reached.
    #[must_use]
    pub fn on_notice(self, notice: Notice) -> Self {
        self.sharing(Notices::new(Some(notice)))
    }

    /// As [`Self::on_notice`], for clients of which the first that meets something tells it.
    #[must_use]
    pub(super) fn sharing(mut self, notices: Arc<Notices>) -> Self {
        self.notices = notices;
        self
    }

    /// Tells what a producer or a consumer met that tries again by rules of its own: an address that nobody can connect to, above all one that is advertised. What
    /// only broke off comes back by itself.
    pub(super) fn tell_trouble(&self, error: &ClientError) {
        if matches!(error, ClientError::Unreachable { .. } | ClientError::NotKafka { .. }) {
            self.notices.tell(&format!("{error} Trying again."));
        }
    }

    /// How long [`Self::send`] may take: `default.api.timeout.ms`.
    pub fn api_timeout(&self) -> Duration {
        self.settings.api_timeout
    }

    /// How long one answer may take: `request.timeout.ms`.
    pub fn request_timeout(&self) -> Duration {
        self.settings.request_timeout
    }

    /// The addresses that the client started from.
    pub fn bootstrap(&self) -> String {
        self.settings.bootstrap.iter().map(Address::to_string).collect::<Vec<_>>().join(",")
    }

    /// Sends a request in the newest version that both sides know, and tries again what a connection may meet until `default.api.timeout.ms` is over.
    ///
    /// # Errors
    /// [`ClientError::Expired`] with what the last try met; at once, what another try would not change. Errors inside an answer are the caller's to find.
    pub async fn send<R: Request>(&self, to: &To, request: &R) -> Result<R::Response, ClientError> {
        self.send_at_most(to, request, i16::MAX).await.map(|(response, _)| response)
    }

    /// As [`Self::send`], in a version not above `at_most`; gives the version, too.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_at_most<R: Request>(
        &self,
        to: &To,
        request: &R,
        at_most: i16,
    ) -> Result<(R::Response, i16), ClientError> {
        let call = connection::name(R::KEY);
        self.retry(&call, async || {
            let connection = self.connection(to).await?;
            let version = connection.version_of::<R>(at_most)?;
            Ok((connection.send(request, version).await?, version))
        })
        .await
    }

    /// Runs `attempt` until it succeeds, fails for good, or `default.api.timeout.ms` is over. Between two tries it waits `reconnect.backoff.ms`, then twice as
    /// long each time up to `reconnect.backoff.max.ms`.
    ///
    /// # Errors
    /// As [`Self::send`]; `call` names what was tried.
    pub async fn retry<T>(
        &self,
        call: &str,
        mut attempt: impl AsyncFnMut() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.settings.api_timeout;
        let mut backoff = self.settings.backoff;
        let mut last = None;
        loop {
            let met = match tokio::time::timeout_at(deadline, attempt()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) if !error.is_transient() => return Err(error),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            if let Some(error) = met {
                self.notices.tell(&format!("{error} Trying for {} s.", self.settings.api_timeout.as_secs()));
                last = Some(error);
            }
            if Instant::now() + backoff >= deadline {
                let within = self.settings.api_timeout;
                let last = last.unwrap_or_else(|| ClientError::NoAnswer {
                    address: self.bootstrap(),
                    request: call.to_owned(),
                    within,
                });
                return Err(ClientError::Expired { call: call.to_owned(), within, last: Box::new(last) });
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(self.settings.max_backoff);
        }
    }

    /// A connection to where requests of this kind go, the one that is open where there is one. One try.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::NotKafka`], [`ClientError::NoSuchBroker`], and what asking for the metadata may meet.
    pub async fn connection(&self, to: &To) -> Result<Arc<Connection>, ClientError> {
        match to {
            To::Any => self.any().await,
            To::Broker(id) => self.broker(*id).await,
            To::Controller => {
                let known = self.view().await?.controller;
                match known {
                    Some(id) => self.broker(id).await,
                    None => {
                        self.forget_view();
                        Err(self.no_such_broker("controller"))
                    }
                }
            }
            To::Group(group) => {
                let id = self.coordinator(group).await?;
                self.broker(id).await
            }
        }
    }

    async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        if let Some(open) = self.state.lock().connections.values().find(|connection| connection.is_open()) {
            return Ok(open.clone());
        }
        let mut last = None;
        for address in &self.settings.bootstrap {
            match self.connect(address, &Peer::Bootstrap).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| self.no_such_broker("bootstrap address")))
    }

    async fn broker(&self, id: i32) -> Result<Arc<Connection>, ClientError> {
        let view = self.view().await?;
        let Some(node) = view.nodes.get(&id) else {
            self.forget_view();
            return Err(self.no_such_broker(&format!("broker {id}")));
        };
        let connected = self.connect(&node.address, &Peer::Advertised { id, bootstrap: self.bootstrap() }).await;
        if connected.is_err() {
            // It may come back at another address.
            self.forget_view();
        }
        connected
    }

    fn no_such_broker(&self, what: &str) -> ClientError {
        ClientError::NoSuchBroker { bootstrap: self.bootstrap(), what: what.to_owned() }
    }

    async fn connect(&self, address: &Address, peer: &Peer) -> Result<Arc<Connection>, ClientError> {
        let _one_at_a_time = self.connecting.lock().await;
        let open = self.state.lock().connections.get(address).filter(|connection| connection.is_open()).cloned();
        if let Some(connection) = open {
            return Ok(connection);
        }
        let connection = Arc::new(connect::connect(address, peer, &self.settings).await?);
        self.state.lock().connections.insert(address.clone(), connection.clone());
        Ok(connection)
    }

    /// Lets go of all connections and what is under way on them. A broker answers a connection's requests one after the other: what has to be answered now must not
    /// stand behind one that waits for others.
    pub(super) fn abandon(&self) {
        self.state.lock().connections.clear();
    }

    /// Ends all connections in order, so that nothing that was begun is lost: [`Connection::close`]. Another call makes new ones.
    pub async fn close(&self) {
        let connections = std::mem::take(&mut self.state.lock().connections);
        let mut closing: tokio::task::JoinSet<()> = tokio::task::JoinSet::new();
        for connection in connections.into_values() {
            closing.spawn(async move { connection.close().await });
        }
        closing.join_all().await;
    }

    /// The brokers and the controller, asked for once and then kept until [`Self::forget_view`].
    ///
    /// # Errors
    /// As [`Self::connection`], and [`ClientError::Server`] when the cluster refuses to tell.
    pub async fn view(&self) -> Result<Arc<ClusterView>, ClientError> {
        let known = self.state.lock().view.clone();
        if let Some(view) = known {
            return Ok(view);
        }
        let connection = self.any().await?;
        let view = match self.settings.is_controller {
            true => describe_cluster(&connection).await?,
            false => metadata(&connection).await?,
        };
        let view = Arc::new(view);
        self.state.lock().view = Some(view.clone());
        Ok(view)
    }

    /// Has the next [`Self::view`] ask again.
    pub fn forget_view(&self) {
        self.state.lock().view = None;
    }

    /// Has the next request to `group` look for its coordinator again: after NOT_COORDINATOR and its kin.
    pub fn forget_coordinator(&self, group: &str) {
        self.state.lock().coordinators.remove(group);
    }

    /// The id of the broker that coordinates a consumer group (KIP-699).
    ///
    /// # Errors
    /// [`ClientError::NoSuchBroker`] while there is none, [`ClientError::Server`] for what the cluster refuses.
    pub async fn coordinator(&self, group: &str) -> Result<i32, ClientError> {
        let known = self.state.lock().coordinators.get(group).copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let connection = self.any().await?;
        let version = connection.version_of::<FindCoordinatorRequest>(i16::MAX)?;
        let key = StrBytes::from_string(group.to_owned());
        let request = match version >= 4 {
            true => FindCoordinatorRequest::default().with_coordinator_keys(vec![key]),
            false => FindCoordinatorRequest::default().with_key(key),
        };
        let answer = connection.send(&request, version).await?;
        let id = self.coordinator_in(group, &answer, version)?;
        self.state.lock().coordinators.insert(group.to_owned(), id);
        Ok(id)
    }

    fn coordinator_in(&self, group: &str, answer: &FindCoordinatorResponse, version: i16) -> Result<i32, ClientError> {
        let (code, message, id) = match (version >= 4, answer.coordinators.first()) {
            (true, Some(found)) => (found.error_code, found.error_message.as_deref(), found.node_id),
            (true, None) => return Err(self.no_such_broker(&format!("coordinator for group {group}"))),
            (false, _) => (answer.error_code, answer.error_message.as_deref(), answer.node_id),
        };
        // COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE: there will be one.
        if code == 14 || code == 15 {
            return Err(self.no_such_broker(&format!("coordinator for group {group}")));
        }
        ServerError::check(code, message)?;
        Ok(id.0)
    }
}

async fn metadata(connection: &Connection) -> Result<ClusterView, ClientError> {
    let version = connection.version_of::<MetadataRequest>(i16::MAX)?;
    // No topics: in version 0 that asks for all of them, in all others for none.
    let request = MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false);
    let answer: MetadataResponse = connection.send(&request, version).await?;
    let nodes = answer.brokers.into_iter().filter_map(|broker| {
        let address = Address { host: broker.host.to_string(), port: u16::try_from(broker.port).ok()? };
        let rack = broker.rack.map(|rack| rack.to_string());
        Some((broker.node_id.0, Node { id: broker.node_id.0, address, rack }))
    });
    Ok(ClusterView {
        cluster_id: answer.cluster_id.map(|id| id.to_string()),
        controller: Some(answer.controller_id.0).filter(|id| *id >= 0),
        nodes: nodes.collect(),
    })
}

/// What controllers answer in place of Metadata (KIP-919).
async fn describe_cluster(connection: &Connection) -> Result<ClusterView, ClientError> {
    let version = connection.version_of::<DescribeClusterRequest>(i16::MAX)?;
    let request = DescribeClusterRequest::default().with_endpoint_type(if version >= 1 { 2 } else { 1 });
    let answer: DescribeClusterResponse = connection.send(&request, version).await?;
    ServerError::check(answer.error_code, answer.error_message.as_deref())?;
    let nodes = answer.brokers.into_iter().filter_map(|broker| {
        let address = Address { host: broker.host.to_string(), port: u16::try_from(broker.port).ok()? };
        let rack = broker.rack.map(|rack| rack.to_string());
        Some((broker.broker_id.0, Node { id: broker.broker_id.0, address, rack }))
    });
    Ok(ClusterView {
        cluster_id: Some(answer.cluster_id.to_string()),
        controller: Some(answer.controller_id.0).filter(|id| *id >= 0),
        nodes: nodes.collect(),
    })
}

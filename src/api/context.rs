//! What a handler knows of the request besides its body, and what the connection gets back.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use parking_lot::RwLock;
use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use thiserror::Error;

use super::activity::Activity;
use super::client_software::{Counted, SoftwareCounts};
use super::error_tally::ErrorTally;
use super::request_metrics::{CountedAs, ReplyClock};
use super::table::Scope;
use crate::types::budget::Reservation;
use crate::types::log_limit::LogLimit;
use crate::types::piece::Piece;

/// The client's library, as told in ApiVersions v3 and later (KIP-511).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSoftware {
    pub name: Arc<str>,
    pub version: Arc<str>,
}

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    /// Unique while the process lives.
    pub id: u64,
    /// Name of the listener that accepted it, as in `listeners` (upper case).
    pub listener: Arc<str>,
    pub client_address: SocketAddr,
    /// The address that the client reached: what it is told where no advertised listener is set.
    pub local_address: SocketAddr,
    /// What it does and waits for.
    pub activity: Activity,
    software: RwLock<Option<(ClientSoftware, Counted)>>,
}

impl Connection {
    pub fn new(id: u64, listener: Arc<str>, client_address: SocketAddr, local_address: SocketAddr) -> Self {
        let activity = Activity::default();
        Self { id, listener, client_address, local_address, activity, software: RwLock::new(None) }
    }

    pub fn software(&self) -> Option<ClientSoftware> {
        self.software.read().as_ref().map(|(software, _)| software.clone())
    }

    /// What the client says of itself, counted in `counts` while the connection lives.
    pub fn set_software(&self, software: ClientSoftware, counts: &Arc<SoftwareCounts>) {
        let mut place = self.software.write();
        // The one before counts no more when its place is taken.
        *place = None;
        let counted = counts.count(&software, &self.listener);
        *place = Some((software, counted));
    }
}

/// One request's header and connection.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub connection: Arc<Connection>,
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    /// Empty when the client gave none.
    pub client_id: Arc<str>,
    /// What the listener is for that it came through.
    pub scope: Scope,
    /// What the request's bytes were paid with. Whoever keeps some of them beyond the reply holds this too.
    pub memory: Arc<Reservation>,
    pub first_stage: FirstStage,
}

/// Refusals are told once per client and reason, whichever connection they come over.
static TOLD: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);

impl RequestContext {
    /// Notes that this request, or the part of it that concerns `subject` (a topic's partition, a group), is refused, and tells it in the log where it is news.
    /// `said` is the error in full. Not for what belongs to a protocol's course, as that a group rebalances.
    pub fn refused(&self, error: ResponseError, subject: &str, said: &dyn Display) {
        let connection = &self.connection;
        connection.activity.refused(self.api_key, error, subject, said);
        let (client, client_id) = (connection.client_address, &*self.client_id);
        if let Some(more) = TOLD.pass(&(client.ip(), client_id, self.api_key, error.code())) {
            let api =
                ApiKey::try_from(self.api_key).map_or_else(|()| self.api_key.to_string(), |key| format!("{key:?}"));
            let reason = said.to_string();
            tracing::warn!(%client, client_id, api, subject, error = ?error, reason, more, "request refused");
        }
    }
}

/// Whether what must happen in the order of arrival is done for a request. A produce has appended then.
#[derive(Clone, Debug, Default)]
pub struct FirstStage(Arc<AtomicBool>);

impl FirstStage {
    pub fn end(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A reply's bytes after the length prefix: header and body, as pieces to be sent one after the other.
#[derive(Debug, Default)]
pub struct Reply {
    pub pieces: Vec<Piece>,
    /// What the pieces were paid with, apart from the request; held until they have left.
    pub memory: Option<Reservation>,
    /// The error codes that it tells.
    pub errors: ErrorTally,
    pub counted_as: Option<CountedAs>,
    /// Follows it on its way out. Set by the dispatcher.
    pub clock: Option<ReplyClock>,
}

impl Reply {
    pub fn new(pieces: Vec<Piece>, errors: ErrorTally) -> Self {
        Self { pieces, errors, ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.pieces.iter().map(Piece::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a connection is ended instead of a request being answered.
#[derive(Debug, Error)]
pub enum CloseReason {
    #[error("the request does not parse: {0}")]
    Malformed(String),
    #[error("API key {api_key} version {api_version} is not supported")]
    UnsupportedVersion { api_key: i16, api_version: i16 },
    /// Kafka closes the connection when a produce with acks=0 fails: it has no other way to tell.
    #[error("a produce request with acks=0 failed: {0}")]
    UnacknowledgedProduceFailed(String),
    #[error("the request handler failed: {0}")]
    Internal(String),
}

/// What becomes of a request: a reply, no reply (acks=0), or the connection's end.
pub type Outcome = Result<Option<Reply>, CloseReason>;

/// A request that has begun. Connections poll it first when it has arrived, so first stages run in the order of arrival.
pub struct Begun {
    pub outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    /// When the connection may begin its next request before this one has its outcome: once the first stage is over, or (`None`) never. Kafka never does;
    /// produce gains from it and keeps its meaning, because appends happen in the first stage. The stage ends while `outcome` is polled.
    pub overlaps_after: Option<FirstStage>,
}

/// Takes whole frames (without the length prefix) from connections. The broker's dispatcher is one; tests of `net` have their own.
pub trait Dispatch: Send + Sync + 'static {
    /// Never blocks and never panics; bad bytes come out as a [`CloseReason`].
    /// `memory` is what the frame was paid with.
    fn begin(&self, connection: &Arc<Connection>, frame: bytes::BytesMut, memory: Arc<Reservation>) -> Begun;

    /// A connection was accepted.
    fn opened(&self, _: &Arc<Connection>) {}

    /// A connection has ended. `by_fault`: the broker ended it for what the client did.
    fn closed(&self, _: &Arc<Connection>, _why: &str, _by_fault: bool) {}
}

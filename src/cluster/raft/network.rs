//! How quorum members reach each other: one seam that carries a request to a member and brings back its answer.
//!
//! Says nothing about sockets: a transport is handed in. It may lose, delay and repeat; Raft copes.

use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{AnyError, BasicNode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{MemberId, QuorumTypes, Raft};
use crate::types::BrokerId;
use crate::types::time::SharedClock;

/// What one member asks another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum QuorumRequest {
    Append(AppendEntriesRequest<QuorumTypes>),
    Vote(VoteRequest<MemberId>),
    InstallSnapshot(InstallSnapshotRequest<QuorumTypes>),
}

/// The answer to the request of the same name.
#[derive(Debug, Serialize, Deserialize)]
pub enum QuorumResponse {
    Append(Result<AppendEntriesResponse<MemberId>, RaftError<MemberId>>),
    Vote(Result<VoteResponse<MemberId>, RaftError<MemberId>>),
    InstallSnapshot(Result<InstallSnapshotResponse<MemberId>, RaftError<MemberId, InstallSnapshotError>>),
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum TransportError {
    #[error("quorum member {member} at {address} is not reachable: {what}")]
    Unreachable { member: BrokerId, address: String, what: String },
    #[error("quorum member {member} answered {got} to a request for {expected}")]
    WrongAnswer { member: BrokerId, expected: &'static str, got: &'static str },
}

pub type TransportFuture<'a> = Pin<Box<dyn Future<Output = Result<QuorumResponse, TransportError>> + Send + 'a>>;

/// Carries requests to other members. Without an answer in `RPCOption`'s time Raft gives up waiting by itself.
pub trait QuorumTransport: Send + Sync + 'static {
    fn send<'a>(&'a self, member: BrokerId, address: &'a str, request: QuorumRequest) -> TransportFuture<'a>;
}

/// The transport of a quorum of one: there is nobody to reach.
pub struct NoTransport;

impl QuorumTransport for NoTransport {
    fn send<'a>(&'a self, member: BrokerId, address: &'a str, _: QuorumRequest) -> TransportFuture<'a> {
        let error = TransportError::Unreachable {
            member,
            address: address.to_owned(),
            what: "this node has no transport to other quorum members".to_owned(),
        };
        Box::pin(async move { Err(error) })
    }
}

/// Answers a request that a transport received.
pub(in crate::cluster) async fn answer(raft: &Raft, request: QuorumRequest) -> QuorumResponse {
    match request {
        QuorumRequest::Append(request) => QuorumResponse::Append(raft.append_entries(request).await),
        QuorumRequest::Vote(request) => QuorumResponse::Vote(raft.vote(request).await),
        QuorumRequest::InstallSnapshot(request) => {
            QuorumResponse::InstallSnapshot(raft.install_snapshot(request).await)
        }
    }
}

impl QuorumResponse {
    fn name(&self) -> &'static str {
        match self {
            Self::Append(_) => "Append",
            Self::Vote(_) => "Vote",
            Self::InstallSnapshot(_) => "InstallSnapshot",
        }
    }
}

/// When each peer last answered this node, in wall-clock milliseconds.
pub type LastContacts = Arc<Mutex<HashMap<BrokerId, i64>>>;

/// Makes a [`Peer`] for each other member.
pub struct Network {
    pub transport: Arc<dyn QuorumTransport>,
    pub clock: SharedClock,
    pub last_contacts: LastContacts,
}

pub struct Peer {
    member: BrokerId,
    address: String,
    transport: Arc<dyn QuorumTransport>,
    clock: SharedClock,
    last_contacts: LastContacts,
}

impl RaftNetworkFactory<QuorumTypes> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: MemberId, node: &BasicNode) -> Peer {
        Peer {
            member: target.0,
            address: node.addr.clone(),
            transport: self.transport.clone(),
            clock: self.clock.clone(),
            last_contacts: self.last_contacts.clone(),
        }
    }
}

type CallError<E> = RPCError<MemberId, BasicNode, E>;

impl Peer {
    async fn call<E: std::error::Error>(&self, request: QuorumRequest) -> Result<QuorumResponse, CallError<E>> {
        let response = self.transport.send(self.member, &self.address, request).await.map_err(|error| match error {
            TransportError::Unreachable { .. } => RPCError::Unreachable(Unreachable::new(&error)),
            TransportError::WrongAnswer { .. } => RPCError::Network(NetworkError::new(&error)),
        })?;
        self.last_contacts.lock().insert(self.member, self.clock.wall_ms());
        Ok(response)
    }

    fn remote<T, E: std::error::Error>(&self, result: Result<T, E>) -> Result<T, CallError<E>> {
        result.map_err(|error| RPCError::RemoteError(RemoteError::new(MemberId(self.member), error)))
    }

    fn wrong<E: std::error::Error>(&self, expected: &'static str, got: &QuorumResponse) -> CallError<E> {
        let error = TransportError::WrongAnswer { member: self.member, expected, got: got.name() };
        RPCError::Network(NetworkError::new(&AnyError::new(&error)))
    }
}

impl RaftNetwork<QuorumTypes> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<QuorumTypes>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<MemberId>, CallError<RaftError<MemberId>>> {
        match self.call(QuorumRequest::Append(rpc)).await? {
            QuorumResponse::Append(result) => self.remote(result),
            other => Err(self.wrong("Append", &other)),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<QuorumTypes>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<MemberId>, CallError<RaftError<MemberId, InstallSnapshotError>>> {
        match self.call(QuorumRequest::InstallSnapshot(rpc)).await? {
            QuorumResponse::InstallSnapshot(result) => self.remote(result),
            other => Err(self.wrong("InstallSnapshot", &other)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<MemberId>,
        _: RPCOption,
    ) -> Result<VoteResponse<MemberId>, CallError<RaftError<MemberId>>> {
        match self.call(QuorumRequest::Vote(rpc)).await? {
            QuorumResponse::Vote(result) => self.remote(result),
            other => Err(self.wrong("Vote", &other)),
        }
    }
}

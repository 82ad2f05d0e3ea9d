//! What can go wrong between this client and a cluster, told so that a person at a terminal knows what to do next.

use std::time::Duration;
use thiserror::Error;

use super::ServerError;

/// Errors of a client. Cloned, because all requests that wait on one connection get the same one.
#[derive(Clone, Debug, Error)]
pub enum ClientError {
    /// A client property that is wrong; Kafka's own sentence where it has one.
    #[error("{0}")]
    Config(String),
    /// No connection could be made.
    #[error("{peer} at {address} cannot be reached: {why}. {advice}")]
    Unreachable { peer: String, address: String, why: String, advice: String },
    /// The other side ended the connection, or what it sent is not Kafka's protocol.
    #[error("the connection to {address} broke: {why}")]
    Disconnected { address: String, why: String },
    /// What answers there is no Kafka broker.
    #[error("{address} {what}: a Kafka listener without encryption (PLAINTEXT) was expected. {advice}")]
    NotKafka { address: String, what: String, advice: String },
    /// No answer within `request.timeout.ms`.
    #[error("{address} did not answer {request} within {} ms (request.timeout.ms)", .within.as_millis())]
    NoAnswer { address: String, request: String, within: Duration },
    /// A request that is not answered could not be written within `request.timeout.ms`.
    #[error("{address} did not read {request} within {} ms (request.timeout.ms)", .within.as_millis())]
    NotTaken { address: String, request: String, within: Duration },
    /// The whole call took longer than `default.api.timeout.ms`; with what the last try met.
    #[error("{call} was not done within {} ms (default.api.timeout.ms): {last}", .within.as_millis())]
    Expired { call: String, within: Duration, last: Box<ClientError> },
    /// The cluster has no such broker, or none at all, at the moment.
    #[error("the cluster at {bootstrap} has no {what} at the moment")]
    NoSuchBroker { bootstrap: String, what: String },
    /// The broker does not know the request, or none of the versions that this client knows.
    #[error("The broker at {address} does not support {request} {wanted}; it supports {offered}")]
    Unsupported { address: String, request: String, wanted: String, offered: String },
    /// Bytes that do not decode.
    #[error("the answer of {address} to {request} cannot be read: {what}")]
    BadAnswer { address: String, request: String, what: String },
    /// A request that cannot be written in the version that the broker wants.
    #[error("{request} version {version} cannot be written: {what}")]
    BadRequest { request: String, version: i16, what: String },
    /// The broker's answer as a whole is an error.
    #[error("{0}")]
    Server(#[from] ServerError),
}

impl ClientError {
    /// Whether another try may find it gone: as in Kafka, everything that a connection may meet, and nothing that an answer says.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Disconnected { .. }
            | Self::NoAnswer { .. }
            | Self::NotTaken { .. }
            | Self::NoSuchBroker { .. } => true,
            Self::NotKafka { .. } => false,
            Self::Config(_)
            | Self::Expired { .. }
            | Self::Unsupported { .. }
            | Self::BadAnswer { .. }
            | Self::BadRequest { .. }
            | Self::Server(_) => false,
        }
    }

    /// The code of an error that a broker answered with.
    pub fn server_code(&self) -> Option<i16> {
        match self {
            Self::Server(error) => Some(error.code),
            _ => None,
        }
    }
}

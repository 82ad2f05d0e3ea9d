//! The metadata quorum's Raft, from the openraft library: its types, and how it keeps its log, applies it, and reaches its peers.
//!
//! Nothing outside `cluster` sees openraft.

#[cfg(test)]
mod conformance;
pub mod log_store;
pub mod network;
pub mod snapshot;
pub mod state_machine;

use std::io::Cursor;

use super::record::Command;
use crate::types::BrokerId;

/// A quorum member: the `node.id` of a node, in a type of Raft's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub BrokerId);

impl std::fmt::Display for MemberId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What applying an entry came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Applied {
    /// The entry held no command.
    Nothing,
    /// The image is at this offset now.
    Offset(i64),
    /// The command was decided on an image that is not the one it met, which is at this offset.
    Refused(i64),
}

openraft::declare_raft_types!(
    /// openraft's types for the metadata quorum.
    pub QuorumTypes:
        D = Command,
        R = Applied,
        NodeId = MemberId,
        Node = openraft::BasicNode,
        Entry = openraft::Entry<QuorumTypes>,
        SnapshotData = Cursor<Vec<u8>>,
);

pub type Raft = openraft::Raft<QuorumTypes>;
pub type Entry = openraft::Entry<QuorumTypes>;
pub type LogId = openraft::LogId<MemberId>;
pub type Membership = openraft::StoredMembership<MemberId, openraft::BasicNode>;
pub type StorageError = openraft::StorageError<MemberId>;
pub type SnapshotMeta = openraft::SnapshotMeta<MemberId, openraft::BasicNode>;

/// The version byte that precedes every stored value of Raft's.
const FORMAT_VERSION: u8 = 1;

#[derive(Debug, thiserror::Error)]
enum FormatError {
    #[error("{what} of format version {version}, but this build knows version {FORMAT_VERSION}: start a newer build")]
    UnknownVersion { what: &'static str, version: u8 },
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} does not parse: {error}")]
    Malformed { what: &'static str, error: serde_json::Error },
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = vec![FORMAT_VERSION];
    serde_json::to_writer(&mut bytes, value)?;
    Ok(bytes)
}

fn decode<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, FormatError> {
    match bytes.split_first() {
        None => Err(FormatError::Empty { what }),
        Some((&FORMAT_VERSION, rest)) => {
            serde_json::from_slice(rest).map_err(|error| FormatError::Malformed { what, error })
        }
        Some((&version, _)) => Err(FormatError::UnknownVersion { what, version }),
    }
}

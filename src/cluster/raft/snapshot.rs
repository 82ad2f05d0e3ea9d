//! Snapshots of the metadata image: built beside the running state machine from an immutable image, kept in the quorum store.

use openraft::{AnyError, ErrorSubject, ErrorVerb, RaftSnapshotBuilder, Snapshot, StorageIOError};
use std::io::Cursor;
use std::sync::Arc;

use super::{LogId, Membership, QuorumTypes, SnapshotMeta, StorageError, decode, encode};
use crate::cluster::image::MetadataImage;
use crate::store::Durability;
use crate::store::quorum::{QuorumStorage, QuorumWrite};

pub(super) fn error(verb: ErrorVerb, cause: impl std::error::Error + 'static) -> StorageError {
    StorageError::from(StorageIOError::new(ErrorSubject::Snapshot(None), verb, AnyError::new(&cause)))
}

/// An image at a place in the log, about to become a snapshot.
pub struct SnapshotBuilder {
    pub(super) store: Arc<dyn QuorumStorage>,
    pub(super) image: Arc<MetadataImage>,
    pub(super) last_applied: Option<LogId>,
    pub(super) membership: Membership,
}

impl RaftSnapshotBuilder<QuorumTypes> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<QuorumTypes>, StorageError> {
        let snapshot_id = match &self.last_applied {
            Some(id) => format!("{}-{}-{}", id.leader_id.term, id.index, self.image.offset()),
            None => "empty".to_owned(),
        };
        let meta = SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
            snapshot_id: snapshot_id.clone(),
        };
        let image = self.image.clone();
        let store = self.store.clone();
        let description = encode(&meta).map_err(|cause| error(ErrorVerb::Write, cause))?;
        let bytes = tokio::task::spawn_blocking(move || -> Result<Vec<u8>, StorageError> {
            let bytes = image.to_bytes().map_err(|cause| error(ErrorVerb::Write, cause))?;
            save(&*store, description, bytes.clone())?;
            Ok(bytes)
        })
        .await
        .map_err(|cause| error(ErrorVerb::Write, cause))??;
        tracing::info!(snapshot = snapshot_id, bytes = bytes.len(), "saved a snapshot of the metadata");
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
    }
}

pub(super) fn save(store: &dyn QuorumStorage, description: Vec<u8>, bytes: Vec<u8>) -> Result<(), StorageError> {
    store
        .write(vec![QuorumWrite::Snapshot { description, bytes }], Durability::Synced)
        .map_err(|cause| error(ErrorVerb::Write, cause))
}

/// The snapshot in the store, if there is one, as Raft's description and the image's bytes.
pub(super) fn load(store: &dyn QuorumStorage) -> Result<Option<(SnapshotMeta, Vec<u8>)>, StorageError> {
    let Some(stored) = store.snapshot().map_err(|cause| error(ErrorVerb::Read, cause))? else { return Ok(None) };
    let meta =
        decode("a snapshot's description", &stored.description).map_err(|cause| error(ErrorVerb::Read, cause))?;
    Ok(Some((meta, stored.bytes)))
}

//! Applies the quorum's log to the metadata image and publishes each new image with its delta.
//!
//! Keeps the image in memory only: at start it comes from the last snapshot and the log behind it.

use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, ErrorSubject, ErrorVerb, Snapshot, StorageIOError};
use std::io::Cursor;
use std::sync::Arc;

use super::snapshot::{SnapshotBuilder, error, load, save};
use super::{Applied, Entry, LogId, Membership, QuorumTypes, SnapshotMeta, StorageError, encode};
use crate::cluster::apply::apply;
use crate::cluster::delta::Delta;
use crate::cluster::image::MetadataImage;
use crate::cluster::publish::Publisher;
use crate::cluster::record::Command;
use crate::store::quorum::QuorumStorage;

pub struct StateMachine {
    store: Arc<dyn QuorumStorage>,
    publisher: Arc<Publisher>,
    last_applied: Option<LogId>,
    membership: Membership,
}

impl StateMachine {
    /// Takes up the stored snapshot, if there is one.
    ///
    /// # Errors
    /// When the snapshot cannot be read or is of a format that this build does not know.
    pub fn open(store: Arc<dyn QuorumStorage>, publisher: Arc<Publisher>) -> Result<Self, StorageError> {
        let mut machine = Self { store, publisher, last_applied: None, membership: Membership::default() };
        if let Some((meta, bytes)) = load(&*machine.store)? {
            machine.restore(&meta, &bytes)?;
        }
        Ok(machine)
    }

    fn restore(&mut self, meta: &SnapshotMeta, bytes: &[u8]) -> Result<(), StorageError> {
        let image = MetadataImage::from_bytes(bytes).map_err(|cause| error(ErrorVerb::Read, cause))?;
        let delta = Delta::between(&self.publisher.image(), &image);
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.publisher.publish(image, delta);
        Ok(())
    }

    fn apply_command(
        image: &mut MetadataImage,
        delta: &mut Delta,
        log_id: LogId,
        command: &Command,
    ) -> Result<Applied, StorageError> {
        if command.base_offset != image.offset() {
            return Ok(Applied::Refused(image.offset()));
        }
        apply(image, &command.records, delta).map_err(|cause| {
            tracing::error!(%log_id, %cause, "the metadata log cannot be applied: this node stops following it");
            StorageIOError::new(ErrorSubject::Apply(log_id), ErrorVerb::Write, AnyError::new(&cause))
        })?;
        Ok(Applied::Offset(image.offset()))
    }
}

impl RaftStateMachine<QuorumTypes> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let before = self.publisher.image();
        let mut image = MetadataImage::clone(&before);
        let mut delta = Delta::default();
        let mut replies = Vec::new();
        for entry in entries {
            let reply = match &entry.payload {
                EntryPayload::Blank => Applied::Nothing,
                EntryPayload::Membership(membership) => {
                    self.membership = Membership::new(Some(entry.log_id), membership.clone());
                    Applied::Nothing
                }
                EntryPayload::Normal(command) => Self::apply_command(&mut image, &mut delta, entry.log_id, command)?,
            };
            self.last_applied = Some(entry.log_id);
            replies.push(reply);
        }
        if image.offset() != before.offset() {
            self.publisher.publish(image, delta);
        }
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            store: self.store.clone(),
            image: self.publisher.image(),
            last_applied: self.last_applied,
            membership: self.membership.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let bytes = snapshot.into_inner();
        let description = encode(meta).map_err(|cause| error(ErrorVerb::Write, cause))?;
        let store = self.store.clone();
        let saved = bytes.clone();
        tokio::task::spawn_blocking(move || save(&*store, description, saved))
            .await
            .map_err(|cause| error(ErrorVerb::Write, cause))??;
        self.restore(meta, &bytes)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<QuorumTypes>>, StorageError> {
        let loaded = load(&*self.store)?;
        Ok(loaded.map(|(meta, bytes)| Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }))
    }
}

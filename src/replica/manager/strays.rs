//! Strays: partitions that a store holds and the metadata does not give to this broker. A crash between the metadata's commit and the store's deletion leaves
//! them, and so does a metadata log that was lost: so they are set aside, told, and removed only after a long time. Kafka sets them aside, too, for ever.
//!
//! Never touches a partition that an image has claimed or may still claim: callers give an image that holds everything that was committed before the start.

use bytes::Bytes;
use tracing::{error, info, warn};

use super::{Found, ReplicaManager, submit_and_wait};
use crate::cluster::image::MetadataImage;
use crate::store::{LocalId, RecordStore, StateKind, StateRow, StoreError, Write};
use crate::types::TopicIdPartition;

/// State row of a partition: the metadata offset at which it was made.
const CREATED_AT: &[u8] = b"created-at";
/// State row of a stray: when it was set aside, in milliseconds since 1970.
const STRAY_SINCE: &[u8] = b"stray-since";

/// A partition that was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stray {
    since_ms: i64,
    /// `None` when that is not known: such a one is never removed.
    created_at: Option<i64>,
}

/// What goes with a partition's creation.
pub(super) fn note_creation(local_id: LocalId, metadata_offset: i64) -> Write {
    Write::State { local_id, state: vec![row(CREATED_AT, Some(metadata_offset))] }
}

/// What takes the mark from a partition that the metadata has after all.
pub(super) fn unmark(local_id: LocalId) -> Write {
    Write::State { local_id, state: vec![row(STRAY_SINCE, None)] }
}

fn row(key: &'static [u8], value: Option<i64>) -> StateRow {
    let value = value.map(|number| Bytes::copy_from_slice(&number.to_be_bytes()));
    StateRow { kind: StateKind::Partition, key: Bytes::from_static(key), value }
}

/// The rows of a partition: when it was made, and since when it is a stray.
fn marks(store: &dyn RecordStore, local_id: LocalId) -> Result<(Option<i64>, Option<i64>), StoreError> {
    let rows = store.state(local_id, StateKind::Partition)?;
    let number = |wanted: &[u8]| {
        let (_, value) = rows.iter().find(|(key, _)| key == wanted)?;
        value.as_ref().try_into().ok().map(i64::from_be_bytes)
    };
    Ok((number(CREATED_AT), number(STRAY_SINCE)))
}

impl ReplicaManager {
    /// Sets aside what no image has claimed. To be called once `image` holds everything that was committed before this broker started. Answers how many there
    /// are.
    pub async fn set_strays_aside(&self, image: &MetadataImage, now_ms: i64) -> Result<usize, StoreError> {
        let unclaimed: Vec<(TopicIdPartition, Found)> = {
            let found = self.found.read();
            let strays = found.iter().filter(|(id, _)| !self.is_given(image, id));
            strays.map(|(id, found)| (*id, found.clone())).collect()
        };
        if unclaimed.is_empty() {
            return Ok(0);
        }
        if self.partitions.read().is_empty() {
            error!(
                partitions = unclaimed.len(),
                "the metadata knows none of the partitions in the log directories; if metadata.log.dir was lost, stop this broker and put it back. Nothing is removed"
            );
            return Ok(unclaimed.len());
        }
        for (id, found) in &unclaimed {
            let Some(store) = self.options.stores.get(found.store) else { continue };
            let (created_at, since_ms) = marks(&**store, found.row.local_id)?;
            if since_ms.is_none() {
                let state = vec![row(STRAY_SINCE, Some(now_ms))];
                submit_and_wait(store, vec![Write::State { local_id: found.row.local_id, state }]).await?;
            }
            let stray = Stray { since_ms: since_ms.unwrap_or(now_ms), created_at };
            warn!(partition = %id, bytes = found.row.size_bytes, since_ms = stray.since_ms, log_dir = %store.path().display(), "set aside a partition of no topic");
            if let Some(found) = self.found.write().get_mut(id) {
                found.stray = Some(stray);
            }
        }
        Ok(unclaimed.len())
    }

    fn is_given(&self, image: &MetadataImage, id: &TopicIdPartition) -> bool {
        let state = image.topic_by_id(&id.topic_id).and_then(|topic| topic.partition(id.partition));
        state.is_some_and(|state| state.replicas.contains(&self.options.broker_id))
    }

    /// How many partitions are set aside.
    pub fn stray_count(&self) -> usize {
        self.found.read().values().filter(|found| found.stray.is_some()).count()
    }

    /// Removes what was set aside at least `delay_ms` ago, if the metadata has gone on since the partition was made: then it has seen the topic, and its end.
    pub async fn remove_strays(&self, image: &MetadataImage, now_ms: i64, delay_ms: i64) -> Result<usize, StoreError> {
        let is_due = |stray: &Stray| {
            now_ms.saturating_sub(stray.since_ms) >= delay_ms
                && stray.created_at.is_some_and(|created_at| created_at < image.offset())
        };
        let due: Vec<(TopicIdPartition, Found)> = {
            let found = self.found.read();
            let due = found
                .iter()
                .filter(|(id, found)| found.stray.as_ref().is_some_and(is_due) && !self.is_given(image, id));
            due.map(|(id, found)| (*id, found.clone())).collect()
        };
        for (id, stray) in &due {
            // From here on nothing can claim it: what comes with that id is made anew.
            if self.found.write().remove(id).is_none() {
                continue;
            }
            let Some(store) = self.options.stores.get(stray.store) else { continue };
            submit_and_wait(store, vec![Write::Delete { local_id: stray.row.local_id }]).await?;
            info!(partition = %id, log_dir = %store.path().display(), "removed a partition that had been set aside");
        }
        Ok(due.len())
    }
}

//! What every accepted write leaves a partition's offsets at, known before the write is applied.
//!
//! Writes are checked here, at submission, so that an accepted write can only fail together with everything after it (a failed disk).
//! Holds no IO and no lock of its own; it lives under the queue's.

use ahash::HashMap;

use super::{Health, LocalId, StoreError, Write};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Offsets {
    log_start_offset: i64,
    log_end_offset: i64,
}

/// Offsets of every partition, as the last accepted write will leave them.
#[derive(Default)]
pub(super) struct Ends {
    partitions: HashMap<LocalId, Offsets>,
}

impl Ends {
    /// A partition found when the store was opened.
    pub(super) fn restore(&mut self, local_id: LocalId, log_start_offset: i64, log_end_offset: i64) {
        self.partitions.insert(local_id, Offsets { log_start_offset, log_end_offset });
    }

    /// Takes all of the writes, or none and says why.
    pub(super) fn accept(&mut self, writes: &[Write], health: &Health) -> Result<(), StoreError> {
        if let [write] = writes {
            return self.accept_one(write, health).map(|_| ());
        }
        let mut undo = Vec::with_capacity(writes.len());
        for write in writes {
            match self.accept_one(write, health) {
                Ok(change) => undo.extend(change),
                Err(error) => {
                    for (local_id, before) in undo.into_iter().rev() {
                        match before {
                            Some(offsets) => self.partitions.insert(local_id, offsets),
                            None => self.partitions.remove(&local_id),
                        };
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Returns what the write's partition was before, for an undo.
    fn accept_one(&mut self, write: &Write, health: &Health) -> Result<Option<(LocalId, Option<Offsets>)>, StoreError> {
        match health {
            Health::ReadOnly { reason } => return Err(StoreError::ReadOnly { reason: reason.clone() }),
            Health::LowSpace { free_bytes, needed_bytes } => {
                if matches!(write, Write::Append(_) | Write::Create { .. }) {
                    return Err(StoreError::LowSpace { free_bytes: *free_bytes, needed_bytes: *needed_bytes });
                }
            }
            Health::Writable => {}
        }
        let local_id = match write {
            Write::Barrier => return Ok(None),
            Write::Create { local_id, .. } => {
                if self.partitions.contains_key(local_id) {
                    return Err(StoreError::PartitionExists(*local_id));
                }
                let empty = Offsets { log_start_offset: 0, log_end_offset: 0 };
                return Ok(Some((*local_id, self.partitions.insert(*local_id, empty))));
            }
            Write::Delete { local_id } => {
                let before = self.partitions.remove(local_id);
                return match before {
                    Some(offsets) => Ok(Some((*local_id, Some(offsets)))),
                    None => Err(StoreError::UnknownPartition(*local_id)),
                };
            }
            Write::Append(append) => append.local_id,
            Write::Truncate { local_id, .. } => *local_id,
            Write::SetLogStart { local_id, .. } => *local_id,
            Write::State { local_id, .. } => *local_id,
        };
        let offsets = self.partitions.get_mut(&local_id).ok_or(StoreError::UnknownPartition(local_id))?;
        let before = *offsets;
        offsets.accept(local_id, write)?;
        Ok(Some((local_id, Some(before))))
    }
}

impl Offsets {
    fn accept(&mut self, local_id: LocalId, write: &Write) -> Result<(), StoreError> {
        match write {
            Write::Append(append) => {
                if append.base_offset != self.log_end_offset {
                    let (expected, got) = (self.log_end_offset, append.base_offset);
                    return Err(StoreError::OffsetGap { local_id, expected, got });
                }
                if append.last_offset < append.base_offset || append.last_offset == i64::MAX {
                    return Err(refused(local_id, format!("an append that ends at offset {}", append.last_offset)));
                }
                if append.batches.is_empty() || u32::try_from(append.batches.len()).is_err() {
                    return Err(refused(local_id, format!("an append of {} bytes", append.batches.len())));
                }
                check_keys(local_id, &append.state)?;
                self.log_end_offset = append.last_offset + 1;
            }
            Write::Truncate { end_offset, state, .. } => {
                if *end_offset < 0 {
                    return Err(refused(local_id, format!("a truncation to offset {end_offset}")));
                }
                check_keys(local_id, state)?;
                self.log_end_offset = self.log_end_offset.min(*end_offset);
                self.log_start_offset = self.log_start_offset.min(self.log_end_offset);
            }
            Write::SetLogStart { log_start_offset, state, .. } => {
                check_keys(local_id, state)?;
                self.log_start_offset = self.log_start_offset.max(*log_start_offset);
                self.log_end_offset = self.log_end_offset.max(self.log_start_offset);
            }
            Write::State { state, .. } => check_keys(local_id, state)?,
            Write::Create { .. } | Write::Delete { .. } | Write::Barrier => {}
        }
        Ok(())
    }
}

fn refused(local_id: LocalId, what: String) -> StoreError {
    StoreError::Refused { local_id, what }
}

fn check_keys(local_id: LocalId, rows: &[super::StateRow]) -> Result<(), StoreError> {
    match rows.iter().find(|row| row.key.len() > super::STATE_KEY_MAX_BYTES) {
        Some(row) => Err(refused(local_id, format!("a state key of {} bytes", row.key.len()))),
        None => Ok(()),
    }
}

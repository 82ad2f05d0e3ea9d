//! Makes one group of many writes: merges adjacent appends of a partition into runs, and lays everything out as the bytes of one positional write.
//!
//! Pure: no IO, no index. Order within a partition is kept; between partitions it has no meaning.

use ahash::{HashMap, HashSet};
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::io::BLOCK_BYTES;
use super::record_file::{
    ENTRY_HEADER_BYTES, EntryHeader, EntryKind, GROUP_HEADER_BYTES, GroupHeader, PADDING, Seed, encode_row, padded,
    row_bytes,
};
use super::{Append, LocalId, StateRow, Write};
use crate::types::limits::RUN_TARGET_BYTES;
use crate::types::{LeaderEpoch, TopicIdPartition};

/// Bytes of a group at which it is closed, so that completions come while the next is filled. A larger single write makes a larger group.
pub(super) const GROUP_TARGET_BYTES: usize = 4 * 1024 * 1024;

/// One change, as it stands in a record file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub local_id: LocalId,
    pub change: Change,
    pub rows: Vec<StateRow>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Append {
        base_offset: i64,
        last_offset: i64,
        leader_epoch: LeaderEpoch,
        max_timestamp_ms: i64,
        body_bytes: u32,
        /// Empty once the entry is laid out, and when it was read back.
        pieces: SmallVec<[Bytes; 2]>,
        /// Found so when it was read back.
        damaged: bool,
    },
    Create(TopicIdPartition),
    Truncate(i64),
    SetLogStart(i64),
    State,
    Delete,
}

/// A group that is being filled.
#[derive(Default)]
pub(super) struct GroupBuilder {
    entries: Vec<Entry>,
    /// Partitions that the group changes, each with its entry that further appends may join.
    partitions: HashMap<LocalId, Option<usize>>,
    bytes: usize,
}

/// A group laid out.
pub(super) struct LaidOut {
    /// Block-aligned in memory, whole blocks.
    pub bytes: Bytes,
    /// Where each entry begins in the file.
    pub positions: Vec<u64>,
    pub header_crc: u32,
}

impl GroupBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a write must wait for the next group: this one is full, or what the write does to its partition needs the index to hold all that came
    /// before (see [`super::apply`]).
    pub(super) fn must_close_before(&self, write: &Write) -> bool {
        match write {
            Write::Truncate { local_id, .. } | Write::SetLogStart { local_id, .. } | Write::Delete { local_id } => {
                self.partitions.contains_key(local_id) || self.bytes >= GROUP_TARGET_BYTES
            }
            Write::Append(append) => {
                self.bytes >= GROUP_TARGET_BYTES
                    || (self.bytes > 0 && self.bytes + append.batches.len() > 2 * GROUP_TARGET_BYTES)
            }
            _ => self.bytes >= GROUP_TARGET_BYTES,
        }
    }

    pub(super) fn add(&mut self, write: Write) {
        let (local_id, change, rows) = match write {
            Write::Append(append) => return self.add_append(append),
            Write::Barrier => return,
            Write::Create { local_id, id } => (local_id, Change::Create(id), Vec::new()),
            Write::Truncate { local_id, end_offset, state } => (local_id, Change::Truncate(end_offset), state),
            Write::SetLogStart { local_id, log_start_offset, state } => {
                (local_id, Change::SetLogStart(log_start_offset), state)
            }
            Write::State { local_id, state } => (local_id, Change::State, state),
            Write::Delete { local_id } => (local_id, Change::Delete, Vec::new()),
        };
        self.partitions.insert(local_id, None);
        self.bytes += ENTRY_HEADER_BYTES + rows.iter().map(row_bytes).sum::<usize>();
        self.entries.push(Entry { local_id, change, rows });
    }

    fn add_append(&mut self, append: Append) {
        let length = append.batches.len();
        self.bytes += length + append.state.iter().map(row_bytes).sum::<usize>();
        let open = self.partitions.get(&append.local_id).copied().flatten();
        if let Some(entry) = open.and_then(|at| self.entries.get_mut(at))
            && entry.try_join(&append)
        {
            entry.rows.extend(append.state);
            return;
        }
        self.bytes += ENTRY_HEADER_BYTES;
        self.partitions.insert(append.local_id, Some(self.entries.len()));
        let change = Change::Append {
            base_offset: append.base_offset,
            last_offset: append.last_offset,
            leader_epoch: append.leader_epoch,
            max_timestamp_ms: append.max_timestamp_ms,
            // Checked when it was submitted.
            body_bytes: length as u32,
            pieces: smallvec![append.batches],
            damaged: false,
        };
        self.entries.push(Entry { local_id: append.local_id, change, rows: append.state });
    }

    /// The entries, with at most one row of each key, and an empty builder in their place.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        self.partitions.clear();
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            if entry.rows.len() > 1 {
                keep_last_row_of_each_key(&mut entry.rows);
            }
        }
        entries
    }
}

impl Entry {
    /// Takes the append in when it is the next of the same leader and the run stays small; its rows are left to the caller.
    fn try_join(&mut self, append: &Append) -> bool {
        let Change::Append { last_offset, leader_epoch, max_timestamp_ms, body_bytes, pieces, .. } = &mut self.change
        else {
            return false;
        };
        let length = append.batches.len();
        let joined = *body_bytes as usize + length;
        if *leader_epoch != append.leader_epoch || *last_offset + 1 != append.base_offset || joined > RUN_TARGET_BYTES {
            return false;
        }
        *last_offset = append.last_offset;
        *max_timestamp_ms = (*max_timestamp_ms).max(append.max_timestamp_ms);
        *body_bytes = joined as u32;
        pieces.push(append.batches.clone());
        true
    }

    fn body_bytes(&self) -> usize {
        match &self.change {
            Change::Append { body_bytes, .. } => *body_bytes as usize,
            Change::Create(_) => CREATE_BODY_BYTES,
            _ => 0,
        }
    }

    fn stored_bytes(&self) -> usize {
        ENTRY_HEADER_BYTES + self.body_bytes() + self.rows.iter().map(row_bytes).sum::<usize>()
    }

    fn header(&self) -> EntryHeader {
        let mut header = EntryHeader {
            kind: EntryKind::State,
            local_id: self.local_id,
            base_offset: 0,
            last_offset: 0,
            max_timestamp_ms: 0,
            leader_epoch: 0,
            body_bytes: self.body_bytes() as u32,
            rows_bytes: 0,
            row_count: self.rows.len() as u32,
            body_crc: 0,
            rows_crc: 0,
        };
        match &self.change {
            Change::Append { base_offset, last_offset, leader_epoch, max_timestamp_ms, .. } => {
                header.kind = EntryKind::Append;
                (header.base_offset, header.last_offset) = (*base_offset, *last_offset);
                (header.leader_epoch, header.max_timestamp_ms) = (*leader_epoch, *max_timestamp_ms);
            }
            Change::Create(_) => header.kind = EntryKind::Create,
            Change::Truncate(offset) => (header.kind, header.base_offset) = (EntryKind::Truncate, *offset),
            Change::SetLogStart(offset) => (header.kind, header.base_offset) = (EntryKind::SetLogStart, *offset),
            Change::State => {}
            Change::Delete => header.kind = EntryKind::Delete,
        }
        header
    }
}

/// Topic id and partition.
pub(super) const CREATE_BODY_BYTES: usize = 20;

fn keep_last_row_of_each_key(rows: &mut Vec<StateRow>) {
    let mut seen = HashSet::default();
    let mut keep = vec![false; rows.len()];
    for (row, keep) in rows.iter().zip(&mut keep).rev() {
        *keep = seen.insert((row.kind, row.key.clone()));
    }
    let mut keep = keep.into_iter();
    rows.retain(|_| keep.next().unwrap_or(true));
}

/// Bytes that the entries take in the file, padding included.
pub(super) fn group_bytes(entries: &[Entry]) -> u64 {
    padded((GROUP_HEADER_BYTES + entries.iter().map(Entry::stored_bytes).sum::<usize>()) as u64)
}

/// Where a group goes and what stands in its header.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub seed: Seed,
    pub position: u64,
    pub sequence: u64,
    pub synced_through: u64,
    pub previous_crc: u32,
}

/// Lays entries out for `place`.
pub(super) fn lay_out(entries: &[Entry], place: Place) -> LaidOut {
    let length = group_bytes(entries) as usize;
    // The block size more, because memory comes unaligned; nothing is cleared that is written anyway.
    let mut out: Vec<u8> = Vec::with_capacity(length + BLOCK_BYTES);
    let skipped = out.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
    out.resize(skipped + GROUP_HEADER_BYTES, 0);
    let mut positions = Vec::with_capacity(entries.len());
    for entry in entries {
        let start = out.len();
        let position = place.position + (start - skipped) as u64;
        positions.push(position);
        out.resize(start + ENTRY_HEADER_BYTES, 0);
        let body_start = out.len();
        match &entry.change {
            Change::Append { pieces, .. } => pieces.iter().for_each(|piece| out.extend_from_slice(piece)),
            Change::Create(id) => {
                out.extend_from_slice(id.topic_id.as_bytes());
                out.extend_from_slice(&id.partition.to_be_bytes());
            }
            _ => {}
        }
        let rows_start = out.len();
        entry.rows.iter().for_each(|row| encode_row(row, &mut out));
        let mut header = entry.header();
        let at = |start: usize| place.position + (start - skipped) as u64;
        header.rows_bytes = (out.len() - rows_start) as u32;
        header.body_crc = place.seed.checksum(at(body_start), &out[body_start..rows_start]);
        header.rows_crc = place.seed.checksum(at(rows_start), &out[rows_start..]);
        out[start..body_start].copy_from_slice(&header.encode(place.seed, position));
    }
    let header = GroupHeader {
        sequence: place.sequence,
        synced_through: place.synced_through,
        body_bytes: (out.len() - skipped - GROUP_HEADER_BYTES) as u64,
        entry_count: entries.len() as u32,
        previous_crc: place.previous_crc,
    }
    .encode(place.seed, place.position);
    out[skipped..skipped + GROUP_HEADER_BYTES].copy_from_slice(&header);
    out.resize(skipped + length, PADDING);
    let header_crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    LaidOut { bytes: Bytes::from(out).slice(skipped..), positions, header_crc }
}

//! Makes one group of many writes: merges adjacent appends of a partition into runs, and lays everything out as the bytes of one positional write.
//!
//! Pure: no IO, no index. Order within a partition is kept; between partitions it has no meaning.

use ahash::{HashMap, HashSet};
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use uuid::Uuid;

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
        run_bytes: u32,
        /// Over the batches, from where they lie in the file; set when the group is laid out.
        run_crc: u32,
        /// Empty when it was read back.
        pieces: SmallVec<[Bytes; 2]>,
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
    /// Where each entry's run begins in the file; for one without a run, where the next does.
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
            run_bytes: length as u32,
            run_crc: 0,
            pieces: smallvec![append.batches],
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
        let Change::Append { last_offset, leader_epoch, max_timestamp_ms, run_bytes, pieces, .. } = &mut self.change
        else {
            return false;
        };
        let length = append.batches.len();
        let joined = *run_bytes as usize + length;
        if *leader_epoch != append.leader_epoch || *last_offset + 1 != append.base_offset || joined > RUN_TARGET_BYTES {
            return false;
        }
        *last_offset = append.last_offset;
        *max_timestamp_ms = (*max_timestamp_ms).max(append.max_timestamp_ms);
        *run_bytes = joined as u32;
        pieces.push(append.batches.clone());
        true
    }

    /// Bytes of record batches.
    pub(super) fn run_bytes(&self) -> usize {
        match &self.change {
            Change::Append { run_bytes, .. } => *run_bytes as usize,
            _ => 0,
        }
    }

    fn directory_bytes(&self) -> usize {
        ENTRY_HEADER_BYTES + self.rows.iter().map(row_bytes).sum::<usize>()
    }

    fn header(&self) -> EntryHeader {
        let mut header = EntryHeader {
            kind: EntryKind::State,
            local_id: self.local_id,
            base_offset: 0,
            last_offset: 0,
            max_timestamp_ms: 0,
            leader_epoch: 0,
            row_count: self.rows.len() as u32,
            rows_bytes: self.rows.iter().map(row_bytes).sum::<usize>() as u32,
            run_bytes: self.run_bytes() as u32,
            run_crc: 0,
        };
        match &self.change {
            Change::Append { base_offset, last_offset, leader_epoch, max_timestamp_ms, run_crc, .. } => {
                header.kind = EntryKind::Append;
                (header.base_offset, header.last_offset) = (*base_offset, *last_offset);
                (header.leader_epoch, header.max_timestamp_ms) = (*leader_epoch, *max_timestamp_ms);
                header.run_crc = *run_crc;
            }
            Change::Create(id) => {
                let (high, low) = id.topic_id.as_u64_pair();
                header.kind = EntryKind::Create;
                (header.base_offset, header.last_offset) = (high as i64, low as i64);
                header.leader_epoch = id.partition;
            }
            Change::Truncate(offset) => (header.kind, header.base_offset) = (EntryKind::Truncate, *offset),
            Change::SetLogStart(offset) => (header.kind, header.base_offset) = (EntryKind::SetLogStart, *offset),
            Change::State => {}
            Change::Delete => header.kind = EntryKind::Delete,
        }
        header
    }
}

impl Change {
    /// What an entry read back does; `None` for what no writer makes.
    pub(super) fn of(header: &EntryHeader) -> Option<Self> {
        let offset = header.base_offset;
        Some(match header.kind {
            EntryKind::Append if offset >= 0 && header.last_offset >= offset => Change::Append {
                base_offset: offset,
                last_offset: header.last_offset,
                leader_epoch: header.leader_epoch,
                max_timestamp_ms: header.max_timestamp_ms,
                run_bytes: header.run_bytes,
                run_crc: header.run_crc,
                pieces: SmallVec::new(),
            },
            EntryKind::Create => Change::Create(TopicIdPartition {
                topic_id: Uuid::from_u64_pair(header.base_offset as u64, header.last_offset as u64),
                partition: header.leader_epoch,
            }),
            EntryKind::Truncate if offset >= 0 => Change::Truncate(offset),
            EntryKind::SetLogStart if offset >= 0 => Change::SetLogStart(offset),
            EntryKind::Append | EntryKind::Truncate | EntryKind::SetLogStart => return None,
            EntryKind::State => Change::State,
            EntryKind::Delete => Change::Delete,
        })
    }
}

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
    let entries_bytes: usize = entries.iter().map(|entry| entry.directory_bytes() + entry.run_bytes()).sum();
    padded((GROUP_HEADER_BYTES + entries_bytes) as u64)
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

/// Lays entries out for `place`, and notes each run's checksum in its entry.
pub(super) fn lay_out(entries: &mut [Entry], place: Place) -> LaidOut {
    let length = group_bytes(entries) as usize;
    let directory_bytes: usize = entries.iter().map(Entry::directory_bytes).sum();
    // A block more, because memory comes unaligned; nothing is cleared that is written anyway.
    let mut out: Vec<u8> = Vec::with_capacity(length + BLOCK_BYTES);
    let skipped = out.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
    let directory_start = skipped + GROUP_HEADER_BYTES;
    let runs_start = directory_start + directory_bytes;
    let place_of = |start: usize| place.position + (start - skipped) as u64;
    out.resize(runs_start, 0);
    let mut positions = Vec::with_capacity(entries.len());
    for entry in entries.iter_mut() {
        let start = out.len();
        positions.push(place_of(start));
        if let Change::Append { pieces, run_crc, .. } = &mut entry.change {
            pieces.iter().for_each(|piece| out.extend_from_slice(piece));
            // The batches are in the processor's cache now.
            *run_crc = place.seed.checksum(place_of(start), &out[start..]);
        }
    }
    let runs_bytes = (out.len() - runs_start) as u64;
    out.resize(skipped + length, PADDING);

    let mut directory = Vec::with_capacity(directory_bytes);
    for entry in entries.iter() {
        directory.extend_from_slice(&entry.header().encode());
        entry.rows.iter().for_each(|row| encode_row(row, &mut directory));
    }
    out[directory_start..runs_start].copy_from_slice(&directory);
    let header = GroupHeader {
        sequence: place.sequence,
        synced_through: place.synced_through,
        directory_bytes: directory_bytes as u32,
        directory_crc: place.seed.checksum(place_of(directory_start), &directory),
        runs_bytes,
        entry_count: entries.len() as u32,
        previous_crc: place.previous_crc,
    }
    .encode(place.seed, place.position);
    out[skipped..directory_start].copy_from_slice(&header);
    let header_crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    LaidOut { bytes: Bytes::from(out).slice(skipped..), positions, header_crc }
}

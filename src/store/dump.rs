//! Looks through one record file, offline, for tools: what each group of writes did, and the runs of record batches in it.
//!
//! Only reads, and needs neither the index nor the lock: a store may be writing on. Checks every checksum, and stops where nothing more was written or what is
//! there is broken. Knows local ids only, and what they stood for where the file has the partition's creation.

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::group::Change;
use super::record_file::{FILE_HEADER_BYTES, FileHeader, GROUP_HEADER_BYTES, GroupHeader, Seed, padded};
use super::recovery::read_directory;
use super::{LocalId, StoreError};
use crate::types::TopicIdPartition;

/// What a write did to a partition.
#[derive(Clone, Debug)]
pub enum Step {
    Created(TopicIdPartition),
    /// Record batches, one after the other, at this byte of the file; whether they match their checksum.
    Appended {
        batches: Bytes,
        position: u64,
        intact: bool,
    },
    TruncatedTo(i64),
    LogStartAt(i64),
    Deleted,
    /// Rows of state alone, which only the broker understands.
    State,
}

/// Why a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing more was written.
    Clean { position: u64 },
    /// What is there is no whole group of this file.
    Broken { position: u64, what: String },
}

struct Reader<'a> {
    path: &'a Path,
    file: File,
    length: u64,
}

impl Reader<'_> {
    fn failed(&self, error: &io::Error) -> StoreError {
        StoreError::Io { file: self.path.display().to_string(), what: error.to_string() }
    }

    /// Up to `length` bytes from `position`, fewer at the end of the file.
    fn read(&self, position: u64, length: u64) -> Result<Vec<u8>, StoreError> {
        let length = self.length.saturating_sub(position).min(length);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, position).map_err(|error| self.failed(&error))?;
        Ok(bytes)
    }
}

/// Shows every step of the file in order until `show` says false.
///
/// # Errors
/// [`StoreError::Io`], and [`StoreError::Damaged`] when the file's own header is broken.
pub fn walk(path: &Path, mut show: impl FnMut(LocalId, Step) -> bool) -> Result<End, StoreError> {
    let failed = |error: io::Error| StoreError::Io { file: path.display().to_string(), what: error.to_string() };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let reader = Reader { path, file, length };
    let header = FileHeader::decode(&reader.read(0, FILE_HEADER_BYTES as u64)?);
    let damaged = |what| StoreError::Damaged { file: path.display().to_string(), position: 0, what };
    let seed = header.map_err(damaged)?.seed;
    let mut position = FILE_HEADER_BYTES as u64;
    while position < length {
        match group(&reader, seed, position, &mut show)? {
            Walked::On(next) => position = next,
            Walked::Enough => break,
            Walked::Ended(end) => return Ok(end),
        }
    }
    Ok(End::Clean { position })
}

enum Walked {
    On(u64),
    Enough,
    Ended(End),
}

fn group(
    reader: &Reader<'_>,
    seed: Seed,
    position: u64,
    show: &mut impl FnMut(LocalId, Step) -> bool,
) -> Result<Walked, StoreError> {
    let broken = |what: &str| Ok(Walked::Ended(End::Broken { position, what: what.to_owned() }));
    let first = reader.read(position, GROUP_HEADER_BYTES as u64)?;
    if first.iter().all(|byte| *byte == 0) {
        return Ok(Walked::Ended(End::Clean { position }));
    }
    let Some((header, _)) = GroupHeader::decode(&first, seed, position) else {
        return broken("no group of this file begins there");
    };
    let Some(end) = header.used_end(position).map(padded).filter(|end| *end <= reader.length) else {
        return broken("the group does not end within the file");
    };
    let directory_position = GroupHeader::directory_position(position);
    let directory = reader.read(directory_position, u64::from(header.directory_bytes))?;
    if seed.checksum(directory_position, &directory) != header.directory_crc {
        return broken("the group's directory does not match its checksum");
    }
    let Some((entries, positions)) = read_directory(&directory, header.entry_count, header.runs_position(position))
    else {
        return broken("the group's directory is no directory");
    };
    for (entry, run_position) in entries.into_iter().zip(positions) {
        let step = match entry.change {
            Change::Create(id) => Step::Created(id),
            Change::Append { run_bytes, run_crc, .. } => {
                let batches = reader.read(run_position, u64::from(run_bytes))?;
                let intact = seed.checksum(run_position, &batches) == run_crc;
                Step::Appended { batches: Bytes::from(batches), position: run_position, intact }
            }
            Change::Truncate(end_offset) => Step::TruncatedTo(end_offset),
            Change::SetLogStart(log_start_offset) => Step::LogStartAt(log_start_offset),
            Change::Delete => Step::Deleted,
            Change::State => Step::State,
        };
        if !show(entry.local_id, step) {
            return Ok(Walked::Enough);
        }
    }
    Ok(Walked::On(end))
}

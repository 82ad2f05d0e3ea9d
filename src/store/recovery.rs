//! Finds the end of the log after any stop: walks the record files from where the index knows them, and applies what it finds again.
//!
//! What follows the first broken group is cut, over all partitions and files, unless a later group shows that the broken one was on stable storage
//! before: then it is damage, nothing is cut or written, and the store opens read-only. The index is never evidence for what a record file holds.
//! Every step can be repeated: a crash within recovery leaves the same to recover.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::StoreError;
use super::apply::Applier;
use super::group::{Change, Entry};
use super::io::{BLOCK_BYTES, Disk, DiskFile, Through};
use super::record_file::{
    ENTRY_HEADER_BYTES, EntryHeader, FILE_HEADER_BYTES, FileHeader, GROUP_HEADER_BYTES, GroupHeader, PADDING, Seed,
    decode_rows, file_id_of, file_name, padded,
};
use super::values::Position;
use super::writer::{Current, LogEnd};
use uuid::Uuid;

/// Bytes read at once while walking.
const WINDOW_BYTES: usize = 256 * 1024;

/// What recovery found.
pub(super) struct Recovered {
    pub end: LogEnd,
    /// Above every file that there is or was.
    pub next_file_id: u64,
    /// The last file, when it can be written on.
    pub current: Option<Current>,
    pub groups_applied: u64,
    /// Synced bytes that are broken: the store must not write.
    pub damage: Option<StoreError>,
}

pub(super) struct Recovery<'a> {
    disk: &'a dyn Disk,
    store_id: Uuid,
    applier: &'a mut Applier,
    /// Whether the last stop was a clean one.
    clean: bool,
    /// Whether the index was not there before.
    index_is_new: bool,
    /// Files that were synced and dropped from the cache already.
    settled: Mutex<BTreeSet<u64>>,
}

/// A record file being walked.
struct Walked {
    file: Arc<dyn DiskFile>,
    seed: Seed,
    length: u64,
    window: Bytes,
    window_start: u64,
}

/// A group read back whole.
struct ReadGroup {
    entries: Vec<Entry>,
    positions: Vec<u64>,
    crc: u32,
    end: u64,
}

/// Where the walk is.
#[derive(Clone, Copy)]
struct Cursor {
    file_id: u64,
    position: u64,
    sequence: u64,
    group_crc: u32,
}

fn failed(file_id: u64, error: &io::Error) -> StoreError {
    StoreError::Io { file: file_name(file_id), what: error.to_string() }
}

impl<'a> Recovery<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        store_id: Uuid,
        applier: &'a mut Applier,
        clean: bool,
        index_is_new: bool,
    ) -> Self {
        Recovery { disk, store_id, applier, clean, index_is_new, settled: Mutex::default() }
    }

    pub(super) fn run(mut self, indexed: Option<Position>) -> Result<Recovered, StoreError> {
        let names = self.disk.list().map_err(|error| failed(0, &error))?;
        let mut file_ids: BTreeSet<u64> = names.iter().filter_map(|name| file_id_of(name)).collect();
        let highest = file_ids.last().copied().unwrap_or(0).max(self.applier.highest_file_id());
        let mut cursor = match indexed {
            Some(at) => {
                Cursor { file_id: at.file_id, position: at.position, sequence: at.sequence, group_crc: at.group_crc }
            }
            None => Cursor { file_id: 0, position: 0, sequence: 1, group_crc: 0 },
        };
        let next_file_id = highest.max(cursor.file_id) + 1;
        let begun_at = cursor.sequence;
        let mut walked = match cursor.file_id {
            0 => None,
            file_id if file_ids.contains(&file_id) => Some(self.open(file_id)?),
            file_id => return Err(missing(file_id)),
        };
        let synced_through = self.scout(&file_ids, cursor)?;
        loop {
            if let Some(walked) = &mut walked {
                // The index may come to stand in it, though its first group be torn and nothing live in it.
                self.applier.note_file(walked.seed);
                self.walk(walked, &mut cursor, synced_through)?;
            }
            match self.follow(&file_ids, &cursor)? {
                Some(next) => {
                    cursor.file_id = next.seed.file_id;
                    cursor.position = FILE_HEADER_BYTES as u64;
                    walked = Some(next);
                }
                None => break,
            }
        }
        let damage = self.damage_after(&file_ids, &cursor)?;
        let groups_applied = cursor.sequence - begun_at;
        let end = LogEnd {
            sequence: cursor.sequence,
            group_crc: cursor.group_crc,
            file_id: cursor.file_id,
            position: cursor.position,
        };
        if let (Some(damage), true) = (&damage, self.index_is_new) {
            tracing::error!(%damage, "record files are there that the index does not know");
            return Err(missing_index(&cursor));
        }
        let mut current = None;
        if damage.is_none() {
            self.cut(&mut file_ids, indexed.map_or(0, |at| at.file_id), &cursor)?;
            current = match walked {
                Some(walked) if self.clean && groups_applied == 0 => self.reuse(walked, &cursor)?,
                Some(walked) => self.seal(walked, &cursor)?,
                None => None,
            };
        }
        Ok(Recovered { end, next_file_id, current, groups_applied, damage })
    }

    /// Opens a file to walk it. What the operating system still holds of it is made durable first and then read from the device, so that nothing is
    /// served that a failed sync of the last process has lost.
    fn open(&self, file_id: u64) -> Result<Walked, StoreError> {
        let file = self.disk.open(&file_name(file_id)).map_err(|error| failed(file_id, &error))?;
        if !self.clean && !self.settled.lock().contains(&file_id) {
            file.sync().map_err(|error| failed(file_id, &error))?;
            file.drop_cache();
            self.settled.lock().insert(file_id);
        }
        let length = file.len().map_err(|error| failed(file_id, &error))?;
        let mut walked =
            Walked { file, seed: Seed { file_id, salt: 0 }, length, window: Bytes::new(), window_start: 0 };
        walked.seed.salt = match self.applier.salt(file_id) {
            Some(salt) => salt,
            None => {
                let header = walked.read(0, FILE_HEADER_BYTES)?;
                let header = FileHeader::decode(header).and_then(|header| match header {
                    FileHeader { store_id, seed } if store_id == self.store_id && seed.file_id == file_id => Ok(header),
                    _ => Err("it belongs to another store or is another file renamed".to_owned()),
                });
                let damaged = |what| StoreError::Damaged { file: file_name(file_id), position: 0, what };
                header.map_err(damaged)?.seed.salt
            }
        };
        Ok(walked)
    }

    /// Applies whole groups from the cursor on, and leaves it behind the last.
    fn walk(&mut self, walked: &mut Walked, cursor: &mut Cursor, synced_through: u64) -> Result<(), StoreError> {
        while let Some(group) = walked.group(cursor, synced_through)? {
            self.applier.apply(walked.seed.file_id, &group.entries, &group.positions)?;
            self.applier.publish(&group.entries, |_, _| {});
            cursor.position = group.end;
            cursor.sequence += 1;
            cursor.group_crc = group.crc;
        }
        Ok(())
    }

    /// Follows the group headers to the end, and returns up to which group they tell that all was synced. The runs of those need no reading now: a broken
    /// one is no torn end, and shows when it is read.
    fn scout(&self, file_ids: &BTreeSet<u64>, mut cursor: Cursor) -> Result<u64, StoreError> {
        let mut synced_through = 0;
        let mut walked = match cursor.file_id {
            0 => None,
            file_id => Some(self.open(file_id)?),
        };
        loop {
            if let Some(walked) = &mut walked {
                while let Some((header, crc)) = walked.header(cursor.position)?.filter(|(h, _)| follows(h, &cursor)) {
                    let Some(end) = header.used_end(cursor.position) else { break };
                    synced_through = synced_through.max(header.synced_through);
                    cursor.position = padded(end);
                    cursor.sequence += 1;
                    cursor.group_crc = crc;
                }
            }
            let Some(next) = self.follow(file_ids, &cursor)? else { return Ok(synced_through) };
            cursor.file_id = next.seed.file_id;
            cursor.position = FILE_HEADER_BYTES as u64;
            walked = Some(next);
        }
    }

    /// The file that the log goes on in: the one whose first group is the next one.
    fn follow(&self, file_ids: &BTreeSet<u64>, cursor: &Cursor) -> Result<Option<Walked>, StoreError> {
        for file_id in file_ids.range(cursor.file_id + 1..) {
            let mut walked = match self.open(*file_id) {
                Ok(walked) => walked,
                // One whose making was cut short has no header yet.
                Err(StoreError::Damaged { .. }) => continue,
                // What cannot be opened, synced or read now may hold the next group all the same: nothing is cut for that.
                Err(error) => return Err(error),
            };
            let first = Cursor { file_id: *file_id, position: FILE_HEADER_BYTES as u64, ..*cursor };
            if walked.header(first.position)?.is_some_and(|(header, _)| follows(&header, &first)) {
                return Ok(Some(walked));
            }
        }
        Ok(None)
    }

    /// Looks behind the end for a group that was made when the broken one was on stable storage already, or for a used file without its header.
    fn damage_after(&self, file_ids: &BTreeSet<u64>, cursor: &Cursor) -> Result<Option<StoreError>, StoreError> {
        for file_id in file_ids.range(cursor.file_id..) {
            let start = if *file_id == cursor.file_id { cursor.position } else { FILE_HEADER_BYTES as u64 };
            match self.open(*file_id) {
                Ok(mut walked) => {
                    if walked.any_block(start, |header| header.is_some_and(|h| h.synced_through >= cursor.sequence))? {
                        let what = format!("group {} was synced and is broken or gone", cursor.sequence);
                        let (file, position) = (file_name(cursor.file_id), cursor.position);
                        return Ok(Some(StoreError::Damaged { file, position, what }));
                    }
                }
                Err(error @ StoreError::Damaged { .. }) => {
                    let file = self
                        .disk
                        .open_for_read(&file_name(*file_id), Through::Cache)
                        .map_err(|e| failed(*file_id, &e))?;
                    let length = file.len().map_err(|error| failed(*file_id, &error))?;
                    let seed = Seed { file_id: *file_id, salt: 0 };
                    let mut walked = Walked { file, seed, length, window: Bytes::new(), window_start: 0 };
                    if walked.holds_anything(start)? {
                        return Ok(Some(error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Removes files behind the end, the newest first, so that what is left is always a beginning of the log, and those before `indexed_file_id` that are dead.
    fn cut(&self, file_ids: &mut BTreeSet<u64>, indexed_file_id: u64, cursor: &Cursor) -> Result<(), StoreError> {
        let behind = file_ids.split_off(&(cursor.file_id + 1));
        for file_id in behind.iter().rev() {
            self.disk.remove(&file_name(*file_id)).map_err(|error| failed(*file_id, &error))?;
        }
        // Files before the index's position that it has no row for: dead, and removed but for the last step. Not those from there on: until the next flush the
        // next start begins in the same place.
        let before = file_ids.range(..indexed_file_id).copied();
        let leftovers: Vec<u64> = before.filter(|file_id| self.applier.salt(*file_id).is_none()).collect();
        for file_id in &leftovers {
            tracing::info!(file_id, "removing a record file that nothing lives in");
            self.disk.remove(&file_name(*file_id)).map_err(|error| failed(*file_id, &error))?;
        }
        if !behind.is_empty() || !leftovers.is_empty() {
            self.disk.sync_names().map_err(|error| failed(cursor.file_id, &error))?;
        }
        Ok(())
    }

    /// Cuts the last file behind the last whole group. It is not written again: the next group goes to a new file, with a new salt.
    fn seal(&self, walked: Walked, cursor: &Cursor) -> Result<Option<Current>, StoreError> {
        let file_id = cursor.file_id;
        if walked.length > cursor.position {
            let cut = || {
                let file = self.disk.open(&file_name(file_id))?;
                file.set_len(cursor.position)?;
                file.sync()
            };
            cut().map_err(|error| failed(file_id, &error))?;
        }
        Ok(None)
    }

    /// The last file to write on, if it has room: after a clean stop nothing is behind its end.
    fn reuse(&self, walked: Walked, cursor: &Cursor) -> Result<Option<Current>, StoreError> {
        let room = walked.length.saturating_sub(cursor.position);
        if room < BLOCK_BYTES as u64 {
            return Ok(None);
        }
        let file = self.disk.open(&file_name(cursor.file_id)).map_err(|error| failed(cursor.file_id, &error))?;
        Ok(Some(Current { file, seed: walked.seed, size_bytes: walked.length, position: cursor.position }))
    }
}

fn missing(file_id: u64) -> StoreError {
    let what = "it is missing, and the index knows records in it; put it back, or restore the folder as a whole".into();
    StoreError::Io { file: file_name(file_id), what }
}

fn missing_index(cursor: &Cursor) -> StoreError {
    let what = format!(
        "the index is missing, and the record files alone do not hold all it knew (group {} is not there); restore the folder as a whole",
        cursor.sequence
    );
    StoreError::Io { file: "index".into(), what }
}

fn follows(header: &GroupHeader, cursor: &Cursor) -> bool {
    header.sequence == cursor.sequence && header.previous_crc == cursor.group_crc
}

impl Walked {
    fn failed(&self, error: &io::Error) -> StoreError {
        failed(self.seed.file_id, error)
    }

    /// Up to `length` bytes from `position`; fewer at the end of the file.
    fn read(&mut self, position: u64, length: usize) -> Result<&[u8], StoreError> {
        let window_end = self.window_start + self.window.len() as u64;
        if position < self.window_start || position + length as u64 > window_end {
            let wanted = length.max(WINDOW_BYTES) as u64;
            let available = self.length.saturating_sub(position).min(wanted);
            // One window in memory at a time.
            self.window = Bytes::new();
            self.window_start = position;
            let read = self.file.read_at(position, available as usize);
            self.window = read.map_err(|error| failed(self.seed.file_id, &error))?;
        }
        let start = ((position - self.window_start) as usize).min(self.window.len());
        let end = (start + length).min(self.window.len());
        Ok(self.window.get(start..end).unwrap_or_default())
    }

    fn header(&mut self, position: u64) -> Result<Option<(GroupHeader, u32)>, StoreError> {
        let seed = self.seed;
        Ok(GroupHeader::decode(self.read(position, GROUP_HEADER_BYTES)?, seed, position))
    }

    /// The group at the cursor when it is whole and the next one. Runs of groups up to `synced_through` are not looked at.
    fn group(&mut self, cursor: &Cursor, synced_through: u64) -> Result<Option<ReadGroup>, StoreError> {
        let Some((header, crc)) = self.header(cursor.position)? else { return Ok(None) };
        let Some(used_end) = header.used_end(cursor.position) else { return Ok(None) };
        let end = padded(used_end);
        if !follows(&header, cursor) || end > self.length {
            return Ok(None);
        }
        let seed = self.seed;
        let directory_position = GroupHeader::directory_position(cursor.position);
        let directory = self.read(directory_position, header.directory_bytes as usize)?;
        if directory.len() != header.directory_bytes as usize
            || seed.checksum(directory_position, directory) != header.directory_crc
        {
            return Ok(None);
        }
        let runs_position = header.runs_position(cursor.position);
        let Some((entries, positions)) = read_directory(directory, header.entry_count, runs_position) else {
            return Ok(None);
        };
        if cursor.sequence > synced_through {
            let runs = self.read(runs_position, (end - runs_position) as usize)?;
            if runs.len() as u64 != end - runs_position || !runs_match(runs, seed, runs_position, &entries, &header) {
                return Ok(None);
            }
        }
        Ok(Some(ReadGroup { entries, positions, crc, end }))
    }

    /// Whether a block from `start` on makes `found` true, which gets the group header that the block begins with. Blocks never written are left out.
    fn any_block(
        &mut self,
        start: u64,
        mut found: impl FnMut(Option<GroupHeader>) -> bool,
    ) -> Result<bool, StoreError> {
        let mut position = start;
        while position < self.length {
            let next = self.file.next_data(position).map_err(|error| self.failed(&error))?;
            let Some(next) = next.filter(|next| *next < self.length) else { break };
            // A hole ends at a block, but maybe not at one of ours.
            position = position.max(next - next % BLOCK_BYTES as u64);
            let until = (position + WINDOW_BYTES as u64).min(self.length);
            while position < until {
                if found(self.header(position)?.map(|(header, _)| header)) {
                    return Ok(true);
                }
                position += BLOCK_BYTES as u64;
            }
        }
        Ok(false)
    }

    /// Whether any byte from `start` on is not zero.
    fn holds_anything(&mut self, start: u64) -> Result<bool, StoreError> {
        let mut position = start;
        while position < self.length {
            let block = self.read(position, BLOCK_BYTES)?;
            if block.iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            position += BLOCK_BYTES as u64;
        }
        Ok(false)
    }
}

/// The entries in a group's directory, each with its run's position; `None` for what no writer makes.
pub(super) fn read_directory(directory: &[u8], count: u32, runs_position: u64) -> Option<(Vec<Entry>, Vec<u64>)> {
    let most = directory.len() / ENTRY_HEADER_BYTES;
    let mut entries = Vec::with_capacity(most.min(count as usize));
    let mut positions = Vec::with_capacity(most.min(count as usize));
    let mut rest = directory;
    let mut position = runs_position;
    for _ in 0..count {
        let header = EntryHeader::decode(rest)?;
        let (rows, after) = rest.get(ENTRY_HEADER_BYTES..)?.split_at_checked(header.rows_bytes as usize)?;
        let rows = match header.row_count {
            0 if rows.is_empty() => Vec::new(),
            row_count => decode_rows(Bytes::copy_from_slice(rows), row_count)?,
        };
        entries.push(Entry { local_id: header.local_id, change: Change::of(&header)?, rows });
        positions.push(position);
        position += u64::from(header.run_bytes);
        rest = after;
    }
    rest.is_empty().then_some((entries, positions))
}

/// Whether `runs`, from the first one up to the end of the padding, are what the entries say.
fn runs_match(runs: &[u8], seed: Seed, runs_position: u64, entries: &[Entry], header: &GroupHeader) -> bool {
    let mut rest = runs;
    let mut position = runs_position;
    for entry in entries {
        let Change::Append { run_bytes, run_crc, .. } = &entry.change else { continue };
        let Some((run, after)) = rest.split_at_checked(*run_bytes as usize) else { return false };
        if seed.checksum(position, run) != *run_crc {
            return false;
        }
        position += u64::from(*run_bytes);
        rest = after;
    }
    position - runs_position == header.runs_bytes && rest.iter().all(|byte| *byte == PADDING)
}

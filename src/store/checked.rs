//! Which runs were found whole a short while ago, so that what many consumers read, or one reads again, is not read for its checksum each time; and which parts of
//! files were brought to the page cache.
//!
//! Bounded, and only for a while: what the page cache has let go of comes from the device again, which may have
//! lost it since.

use ahash::HashMap;
use parking_lot::{Mutex, RwLock};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::io::DiskFile;
use super::values::RunValue;

/// How long a check counts. Longer, and more of what was checked has left the page cache: it would be read from the device where it is sent, on a thread that others
/// wait for.
const COUNTS_FOR: Duration = Duration::from_secs(60);
/// Shorter runs are not remembered, so that at most one begins in as many bytes of a file.
pub(super) const SHORTEST_BYTES: usize = 16 * 1024;
/// Files remembered: those of the slots below, where they are as small as they get.
const MOST_FILES: usize = 512;
/// Of all files together: 4 MiB, for 8 GiB of records.
const MOST_SLOTS: usize = 512 * 1024;
/// Parts of a file that are known to have been brought. Readers meet in few; of those who jump about the oldest is forgotten, and brought again.
const MOST_PARTS: usize = 64;

/// What is known of one file.
pub(super) struct CheckedFile {
    since: Instant,
    /// For each [`SHORTEST_BYTES`] of the file the run that begins there, if it was found whole; see [`mark_of`].
    slots: Box<[AtomicU64]>,
    /// Held by whoever brings a part of the file to the page cache: others who want it wait, since it is theirs, too.
    pub(super) brought: Mutex<Brought>,
}

/// What was brought of a file to the page cache from front to back.
#[derive(Default)]
pub(super) struct Brought {
    /// Parts that lie apart, the newest last, at most [`MOST_PARTS`].
    parts: Vec<Range<u64>>,
    /// A handle for nothing else: the system reads ahead by what was read through it before.
    file: Option<Arc<dyn DiskFile>>,
}

impl Brought {
    /// Brings what is missing of a part. Blocks.
    pub(super) fn bring(
        &mut self,
        mut part: Range<u64>,
        open: impl FnOnce() -> io::Result<Arc<dyn DiskFile>>,
    ) -> io::Result<()> {
        let from = self.parts.iter().find(|known| known.contains(&part.start)).map_or(part.start, |known| known.end);
        if from >= part.end {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => open()?,
        };
        file.bring(from, part.end - from)?;
        self.file = Some(file);
        self.parts.retain(|known| {
            let apart = known.end < part.start || part.end < known.start;
            if !apart {
                part = part.start.min(known.start)..part.end.max(known.end);
            }
            apart
        });
        if self.parts.len() >= MOST_PARTS {
            self.parts.remove(0);
        }
        self.parts.push(part);
        Ok(())
    }

    /// What follows is not expected soon.
    pub(super) fn close(&mut self) {
        self.file = None;
    }
}

#[derive(Default)]
pub(super) struct Checked {
    files: RwLock<HashMap<u64, Arc<CheckedFile>>>,
}

/// What tells a run from all others that may begin at the same place: its checksum, and where it ends now (a truncation lowers that). Never 0.
fn mark_of(crc: u32, last_offset: i64) -> u64 {
    u64::from(crc) << 32 | (last_offset as u64 & 0x7fff_ffff) << 1 | 1
}

impl CheckedFile {
    fn new(length_bytes: u64) -> Self {
        let slots = (length_bytes / SHORTEST_BYTES as u64 + 1).min(MOST_SLOTS as u64);
        Self {
            since: Instant::now(),
            slots: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            brought: Mutex::default(),
        }
    }

    fn slot(&self, position: u64, length_bytes: usize) -> Option<&AtomicU64> {
        if length_bytes < SHORTEST_BYTES {
            return None;
        }
        self.slots.get(usize::try_from(position / SHORTEST_BYTES as u64).ok()?)
    }

    /// The run's bytes in the page cache are as they were written, and its last batch ends at `last_offset`.
    pub(super) fn note(&self, position: u64, length_bytes: usize, crc: u32, last_offset: i64) {
        if let Some(slot) = self.slot(position, length_bytes) {
            slot.store(mark_of(crc, last_offset), Ordering::Relaxed);
        }
    }

    /// Whether the run was found whole, and was not truncated since.
    pub(super) fn is_whole(&self, run: &RunValue) -> bool {
        let slot = self.slot(run.position, run.length_bytes as usize);
        slot.is_some_and(|slot| slot.load(Ordering::Relaxed) == mark_of(run.crc, run.last_offset))
    }

    fn counts(&self) -> bool {
        self.since.elapsed() < COUNTS_FOR
    }
}

impl Checked {
    /// What is known of a file, if anything was found lately.
    pub(super) fn known(&self, file_id: u64) -> Option<Arc<CheckedFile>> {
        self.files.read().get(&file_id).filter(|file| file.counts()).cloned()
    }

    /// As [`Self::known`], or a fresh start for a file of this length.
    pub(super) fn file(&self, file_id: u64, length_bytes: u64) -> Arc<CheckedFile> {
        if let Some(known) = self.known(file_id) {
            return known;
        }
        let mut files = self.files.write();
        // Somebody else may have been faster.
        if let Some(known) = files.get(&file_id).filter(|file| file.counts()) {
            return Arc::clone(known);
        }
        files.remove(&file_id);
        let new = Arc::new(CheckedFile::new(length_bytes));
        let mut slots: usize = files.values().map(|file| file.slots.len()).sum();
        while files.len() >= MOST_FILES || slots + new.slots.len() > MOST_SLOTS {
            let Some(oldest) = files.iter().min_by_key(|(_, file)| file.since).map(|(id, _)| *id) else { break };
            slots -= files.remove(&oldest).map_or(0, |file| file.slots.len());
        }
        files.insert(file_id, Arc::clone(&new));
        new
    }

    pub(super) fn forget_file(&self, file_id: u64) {
        self.files.write().remove(&file_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: u32 = SHORTEST_BYTES as u32;

    fn run(position: u64, length_bytes: u32, last_offset: i64, crc: u32) -> RunValue {
        RunValue {
            last_offset,
            max_timestamp_ms: 0,
            file_id: 1,
            position,
            length_bytes,
            bytes_before: 0,
            crc,
            max_timestamp_so_far_ms: 0,
        }
    }

    #[test]
    fn a_run_counts_as_it_was_checked_for_a_while() {
        let checked = Checked::default();
        let file = checked.file(1, 1 << 20);
        file.note(4096, SHORTEST_BYTES, 5, 9);
        assert!(file.is_whole(&run(4096, LONG, 9, 5)));
        // Its end was truncated away; other bytes are there; short ones are not remembered; nothing is known of the place.
        assert!(!file.is_whole(&run(4096, LONG, 7, 5)) && !file.is_whole(&run(4096, LONG, 9, 6)));
        file.note(40_000, SHORTEST_BYTES - 1, 5, 9);
        assert!(!file.is_whole(&run(40_000, LONG - 1, 9, 5)) && !file.is_whole(&run(60_000, LONG, 9, 5)));
        // Behind what the file was long when it was first looked at.
        file.note(1 << 30, SHORTEST_BYTES, 5, 9);
        assert!(!file.is_whole(&run(1 << 30, LONG, 9, 5)));
        drop(file);
        if let Some(file) = checked.files.write().get_mut(&1).and_then(Arc::get_mut) {
            file.since = file.since.checked_sub(COUNTS_FOR).expect("a clock that has run for a while");
        }
        assert!(checked.known(1).is_none());
        assert!(!checked.file(1, 1 << 20).is_whole(&run(4096, LONG, 9, 5)));
        assert!(checked.known(1).is_some() && checked.known(2).is_none());
        checked.forget_file(1);
        assert!(checked.known(1).is_none());
    }

    #[test]
    fn what_was_brought_is_not_brought_again() {
        use super::super::io::{Disk, Folder, Through};
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("1.rec"), vec![7; 1 << 20]).expect("a file");
        let disk = Folder::new(folder.path(), true).expect("a disk");
        let mut brought = Brought::default();
        let mut bring = |part: Range<u64>| {
            brought.bring(part, || disk.open_for_read("1.rec", Through::Cache)).expect("a part");
            let mut parts: Vec<_> = brought.parts.iter().map(|part| (part.start, part.end)).collect();
            parts.sort_unstable();
            parts
        };
        assert_eq!(bring(100..200), [(100, 200)]);
        assert_eq!(bring(300..400), [(100, 200), (300, 400)]);
        // The next one goes on, a neighbour began a little before, and both meet what lies ahead.
        assert_eq!(bring(150..250), [(100, 250), (300, 400)]);
        assert_eq!(bring(50..120), [(50, 250), (300, 400)]);
        assert_eq!(bring(250..300), [(50, 400)]);
        assert_eq!(bring(60..390), [(50, 400)]);
        // Behind the end of the file nothing is found, which is no error.
        assert_eq!(bring(1 << 20..1 << 21), [(50, 400), (1 << 20, 1 << 21)]);
        for part in 0..2 * MOST_PARTS as u64 {
            assert!(bring(10_000 + 10 * part..10_005 + 10 * part).len() <= MOST_PARTS);
        }
        assert_eq!(bring(60..390).first(), Some(&(60, 390)));
        brought.close();
        brought.bring(60..390, || Err(io::ErrorKind::NotFound.into())).expect("it is there");
        brought.bring(60..500, || Err(io::ErrorKind::NotFound.into())).expect_err("there is no file");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let checked = Checked::default();
        for file_id in 0..3 * MOST_FILES as u64 {
            checked.file(file_id, 1 << 20);
        }
        assert_eq!(checked.files.read().len(), MOST_FILES);
        for file_id in 1000..1100 {
            checked.file(file_id, 1 << 30);
        }
        let slots: usize = checked.files.read().values().map(|file| file.slots.len()).sum();
        assert!(slots <= MOST_SLOTS, "{slots}");
        // The newest is among them, whatever its length.
        assert!(checked.known(1099).is_some());
        assert!(checked.file(2000, u64::MAX).slots.len() <= MOST_SLOTS);
    }
}

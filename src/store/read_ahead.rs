//! What the operating system is told to read before it is asked for, so that the device is busy while what it has brought is checked and sent.
//!
//! Partitions lie interleaved in a record file. A consumer of several partitions comes by the same part of it once for each, and consumers of one topic after each
//! other; the page cache keeps it for all of them. Knows places in files; nothing of runs.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Range;

/// A read that wants as much of what it comes by has the whole of it read: its neighbours come for the rest soon. Small enough for eight partitions that share
/// a file evenly.
const DENSE_SHARE: u64 = 8;
/// Read ahead of a reader at most.
pub(super) const MOST_AHEAD_BYTES: u64 = 4 * 1024 * 1024;
/// Read ahead in steps of at least this.
const LEAST_AHEAD_BYTES: u64 = 512 * 1024;
/// Parts of a sparse read that lie as close to each other are one.
const JOINED_GAP_BYTES: u64 = 64 * 1024;
/// Readers whose way is remembered.
const WAYS: usize = 32;

/// Parts of files.
pub(super) type Parts = Vec<(u64, Range<u64>)>;

/// Where readers were told to go on, the longest unused first.
#[derive(Default)]
pub(super) struct ReadAhead {
    ways: Mutex<VecDeque<(u64, Range<u64>)>>,
}

impl ReadAhead {
    /// What to have read for a reader that now wants `wanted`, in the order of its log, and, where it goes on, what follows up to where `written_to` says that
    /// the file is written.
    pub(super) fn parts(&self, wanted: &[(u64, Range<u64>)], written_to: Option<&dyn Fn(u64) -> u64>) -> Parts {
        let mut parts = joined(wanted, u64::MAX);
        let bytes = |parts: &[(u64, Range<u64>)]| parts.iter().map(|(_, part)| part.end - part.start).sum::<u64>();
        if bytes(wanted) * DENSE_SHARE < bytes(&parts) {
            return joined(wanted, JOINED_GAP_BYTES);
        }
        if let (Some((file_id, last)), Some(written_to)) = (parts.last_mut(), written_to) {
            let ahead = (last.end - last.start).clamp(LEAST_AHEAD_BYTES, MOST_AHEAD_BYTES);
            // Bytes that are not written yet would be kept as the zeros that they are.
            last.end = last.end.saturating_add(ahead).min(written_to(*file_id)).max(last.end);
        }
        let mut ways = self.ways.lock();
        parts.retain_mut(|(file_id, part)| {
            if let Some(at) = ways.iter().position(|(of, way)| of == file_id && way.contains(&part.start))
                && let Some((_, way)) = ways.remove(at)
            {
                // A neighbour has asked for it, or this reader did when it was here before. What little it goes further has time.
                let is_known = part.end <= way.end || (written_to.is_some() && part.end - way.end < LEAST_AHEAD_BYTES);
                part.start = way.end;
                ways.push_back((*file_id, way.start..if is_known { way.end } else { part.end }));
                return !is_known;
            }
            if ways.len() >= WAYS {
                ways.pop_front();
            }
            ways.push_back((*file_id, part.clone()));
            true
        });
        parts
    }

    /// The file is gone.
    pub(super) fn forget_file(&self, file_id: u64) {
        self.ways.lock().retain(|(of, _)| *of != file_id);
    }
}

/// Whether parts of one file, in its order, are as much of what lies between their ends that the whole of it had better be read.
pub(super) fn is_dense(parts: &[Range<u64>]) -> bool {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return true };
    let bytes: u64 = parts.iter().map(|part| part.end - part.start).sum();
    bytes * DENSE_SHARE >= last.end.saturating_sub(first.start)
}

/// Parts that lie in one file with gaps of up to `gap_bytes`, as one.
fn joined(wanted: &[(u64, Range<u64>)], gap_bytes: u64) -> Parts {
    let mut parts: Parts = Vec::new();
    for (file_id, part) in wanted {
        match parts.last_mut() {
            Some((of, last)) if of == file_id && part.start.saturating_sub(last.end) <= gap_bytes => {
                last.end = last.end.max(part.end);
            }
            _ => parts.push((*file_id, part.clone())),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    /// Every `every`th of parts of 100 KiB from `first` on, as many as make a read.
    fn interleaved(first: u64, every: u64) -> Parts {
        let at = |n: u64| (first + n * every) * 100 * KIB;
        (0..10).map(|n| (1, at(n)..at(n) + 100 * KIB)).collect()
    }

    #[test]
    fn neighbours_have_their_common_way_read_once_and_some_ahead() {
        let ahead = ReadAhead::default();
        let first = ahead.parts(&interleaved(0, 6), Some(&|_| u64::MAX));
        assert_eq!(first, [(1, 0..55 * 100 * KIB + MOST_AHEAD_BYTES)]);
        for neighbour in 1..6 {
            assert_eq!(ahead.parts(&interleaved(neighbour, 6), Some(&|_| u64::MAX)), [], "{neighbour}");
        }
        // Its next read goes on where the first one was told to stop.
        let next = ahead.parts(&interleaved(60, 6), Some(&|_| u64::MAX));
        assert_eq!(next, [(1, first[0].1.end..115 * 100 * KIB + MOST_AHEAD_BYTES)]);
    }

    #[test]
    fn a_reader_that_has_enough_has_nothing_read_ahead() {
        assert_eq!(ReadAhead::default().parts(&interleaved(0, 1), None), [(1, 0..1000 * KIB)]);
    }

    #[test]
    fn of_many_neighbours_only_what_is_wanted_is_read() {
        let wanted = interleaved(3, 100);
        assert_eq!(ReadAhead::default().parts(&wanted, Some(&|_| u64::MAX)), wanted);
        assert_eq!(joined(&[(1, 0..10), (1, 20..30), (2, 30..40)], JOINED_GAP_BYTES), [(1, 0..30), (2, 30..40)]);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let ahead = ReadAhead::default();
        for file_id in 0..100 {
            assert_eq!(ahead.parts(&[(file_id, 0..1000 * KIB)], None).len(), 1);
        }
        assert_eq!(ahead.ways.lock().len(), WAYS);
        assert_eq!(ahead.parts(&[(99, 0..1000 * KIB)], None), []);
        ahead.forget_file(99);
        assert_eq!(ahead.parts(&[(99, 0..1000 * KIB)], None).len(), 1);
    }
}

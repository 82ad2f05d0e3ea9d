//! Which runs were found whole a short while ago, so that what many consumers read, or one reads again, is not read for its checksum each time.
//!
//! Bounded, and only for a while: what the page cache has let go of comes from the device again, which may have lost it since.

use ahash::HashMap;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How long a check counts. Longer, and more of what was checked has left the page cache: it would be read from the device where it is sent, on a thread that others
/// wait for.
const COUNTS_FOR: Duration = Duration::from_secs(60);
/// Runs remembered: 2 MiB at most.
const MOST_RUNS: usize = 32 * 1024;

/// A run's file and position.
type Place = (u64, u64);

/// When a run was found whole, and the last offset of its batches.
struct Found {
    last_offset: i64,
    at: Instant,
}

#[derive(Default)]
pub(super) struct Checked {
    runs: Mutex<HashMap<Place, Found>>,
}

impl Checked {
    /// The run's bytes in the page cache are as they were written, and its last batch ends at `last_offset`.
    pub(super) fn note(&self, place: Place, last_offset: i64) {
        let now = Instant::now();
        let mut runs = self.runs.lock();
        if runs.len() >= MOST_RUNS && !runs.contains_key(&place) {
            runs.retain(|_, found| counts(found, now));
            // All are recent: which of them will be read again is not known.
            let mut keep = false;
            if runs.len() >= MOST_RUNS {
                runs.retain(|_, _| {
                    keep = !keep;
                    keep
                });
            }
        }
        runs.insert(place, Found { last_offset, at: now });
    }

    /// Whether the run was found whole lately, and was not truncated since.
    pub(super) fn is_whole(&self, place: Place, last_offset: i64) -> bool {
        let runs = self.runs.lock();
        runs.get(&place).is_some_and(|found| found.last_offset == last_offset && counts(found, Instant::now()))
    }

    pub(super) fn forget_file(&self, file_id: u64) {
        self.runs.lock().retain(|(of, _), _| *of != file_id);
    }
}

fn counts(found: &Found, now: Instant) -> bool {
    now.saturating_duration_since(found.at) < COUNTS_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_as_it_was_checked_for_a_while() {
        let checked = Checked::default();
        checked.note((1, 4096), 9);
        assert!(checked.is_whole((1, 4096), 9));
        // Its end was truncated away.
        assert!(!checked.is_whole((1, 4096), 7));
        assert!(!checked.is_whole((1, 8192), 9) && !checked.is_whole((2, 4096), 9));
        if let Some(found) = checked.runs.lock().get_mut(&(1, 4096)) {
            found.at = found.at.checked_sub(COUNTS_FOR).expect("a clock that has run for a while");
        }
        assert!(!checked.is_whole((1, 4096), 9));
        checked.note((1, 4096), 9);
        checked.forget_file(1);
        assert!(!checked.is_whole((1, 4096), 9));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let checked = Checked::default();
        for position in 0..3 * MOST_RUNS as u64 {
            checked.note((1, position), 0);
        }
        let runs = checked.runs.lock().len();
        assert!((MOST_RUNS / 2..=MOST_RUNS).contains(&runs), "{runs}");
    }
}

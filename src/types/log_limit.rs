//! Keeps hostile, broken or merely stubborn peers from filling the log: who says the same again is told of once in a while, and all together not too often.

use ahash::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Lines of all peers together, in [`PERIOD`].
const LINES_PER_PERIOD: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);
/// How long one peer's line is not repeated.
const SAME_AGAIN: Duration = Duration::from_secs(600);
/// Peers and reasons that are remembered. Beyond, those whose time is over go first, then all.
const MOST_REMEMBERED: usize = 4096;

/// Lets lines through and counts the rest.
#[derive(Debug, Default)]
pub struct LogLimit {
    keys: LazyLock<RandomState>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    lines: u32,
    /// By a hash of who and why: when it was last told, and how often it was not told since.
    told: HashMap<u64, (Instant, u64)>,
}

impl LogLimit {
    /// `Some` with the number of times that the same was not told since the last line, when a line about `who_and_why` may be written.
    pub fn pass(&self, who_and_why: &impl Hash) -> Option<u64> {
        self.pass_at(self.keys.hash_one(who_and_why), Instant::now())
    }

    fn pass_at(&self, key: u64, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        if let Some((told, more)) = state.told.get_mut(&key)
            && now.saturating_duration_since(*told) < SAME_AGAIN
        {
            *more += 1;
            return None;
        }
        if state.began.is_none_or(|began| now.saturating_duration_since(began) > PERIOD) {
            state.began = Some(now);
            state.lines = 0;
        }
        if state.lines >= LINES_PER_PERIOD {
            return None;
        }
        state.lines += 1;
        if state.told.len() >= MOST_REMEMBERED {
            state.told.retain(|_, (told, _)| now.saturating_duration_since(*told) < SAME_AGAIN);
            if state.told.len() >= MOST_REMEMBERED {
                state.told.clear();
            }
        }
        Some(state.told.insert(key, (now, 0)).map_or(0, |(_, more)| more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_and_counted() {
        let (limit, now) = (LogLimit::default(), Instant::now());
        assert_eq!(limit.pass_at(1, now), Some(0));
        assert_eq!(limit.pass_at(1, now), None);
        assert_eq!(limit.pass_at(1, now + SAME_AGAIN / 2), None);
        assert_eq!(limit.pass_at(2, now), Some(0));
        assert_eq!(limit.pass_at(1, now + SAME_AGAIN), Some(2));
        assert_eq!((limit.pass(&("10.0.0.1", "why")), limit.pass(&("10.0.0.1", "why"))), (Some(0), None));
    }

    #[test]
    fn many_peers_do_not_fill_the_log_nor_memory() {
        let (limit, mut now) = (LogLimit::default(), Instant::now());
        let passed = (0..1000).filter(|key| limit.pass_at(*key, now).is_some()).count();
        assert_eq!(passed, LINES_PER_PERIOD as usize);
        for key in 1000..1000 + 3 * MOST_REMEMBERED as u64 {
            now += PERIOD + Duration::from_millis(1);
            assert!(limit.pass_at(key, now).is_some());
        }
        assert!(limit.state.lock().told.len() <= MOST_REMEMBERED);
    }
}

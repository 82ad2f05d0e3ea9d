//! Keeps hostile or broken peers from filling the log.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

const LINES_PER_PERIOD: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Lets a number of lines per period through and counts the rest.
#[derive(Debug)]
pub struct LogLimit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    began: Option<Instant>,
    lines: u32,
    dropped: u64,
}

impl LogLimit {
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { began: None, lines: 0, dropped: 0 }) }
    }

    /// `Some` with the number of lines dropped since the last one, when a line may be written.
    pub fn pass(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if state.began.is_none_or(|began| began.elapsed() > PERIOD) {
            state.began = Some(Instant::now());
            state.lines = 0;
        }
        if state.lines >= LINES_PER_PERIOD {
            state.dropped += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_counted() {
        let limit = LogLimit::new();
        for _ in 0..LINES_PER_PERIOD {
            assert_eq!(limit.pass(), Some(0));
        }
        assert_eq!(limit.pass(), None);
        assert_eq!(limit.state.lock().dropped, 1);
    }
}

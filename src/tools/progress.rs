//! How far long work has come: one line of standard error, written over again and again. Only where that is a terminal, and one that the tool does not use for
//! anything else meanwhile; a pipe or a file gets nothing.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// What is done sooner needs no telling.
const FIRST: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(500);

pub(super) struct Progress {
    line: Option<Box<dyn Write + Send>>,
    next_at: Instant,
    is_shown: bool,
}

impl Progress {
    /// `is_in_use`: the tool reads from the terminal, or writes its result there.
    pub(super) fn new(is_in_use: bool) -> Self {
        let line = (!is_in_use && io::stderr().is_terminal()).then(|| Box::new(io::stderr()) as Box<dyn Write + Send>);
        Self { line, next_at: Instant::now() + FIRST, is_shown: false }
    }

    /// Tells it if it is time to. The cursor goes back to the line's beginning, so that a warning takes its place.
    pub(super) fn tell(&mut self, text: impl FnOnce() -> String) {
        let Some(line) = &mut self.line else { return };
        let now = Instant::now();
        if now >= self.next_at {
            self.next_at = now + BETWEEN;
            self.is_shown = true;
            let _ = write!(line, "{}\x1b[K\r", text()).and_then(|()| line.flush());
        }
    }

    /// Clears the line.
    pub(super) fn end(&mut self) {
        if let (Some(line), true) = (&mut self.line, std::mem::take(&mut self.is_shown)) {
            let _ = write!(line, "\x1b[K").and_then(|()| line.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Written;

    #[test]
    fn a_line_is_written_over_when_it_is_time_and_cleared_at_the_end() {
        let written = Written::default();
        let mut progress = Progress { line: Some(Box::new(written.clone())), next_at: Instant::now(), is_shown: false };
        progress.tell(|| "1 record".to_owned());
        progress.tell(|| "2 records".to_owned());
        progress.next_at = Instant::now();
        progress.tell(|| "3 records".to_owned());
        drop(progress);
        assert_eq!(written.text(), "1 record\u{1b}[K\r3 records\u{1b}[K\r\u{1b}[K");
        let written = Written::default();
        let mut short =
            Progress { line: Some(Box::new(written.clone())), next_at: Instant::now() + FIRST, is_shown: false };
        short.tell(|| "1 record".to_owned());
        drop(short);
        assert_eq!(written.text(), "");
    }
}

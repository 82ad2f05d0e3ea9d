//! Where a tool's words go. Standard output is buffered and flushed before anything goes to standard error, so that the two keep their order on a terminal. As in
//! Java's tools, a reader that has gone away is no error.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

pub struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

impl Terminal {
    /// The process's own.
    pub fn standard() -> Self {
        Self { out: Box::new(BufWriter::with_capacity(1 << 16, io::stdout())), err: Box::new(io::stderr()) }
    }

    /// For tests.
    pub fn of(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err }
    }

    pub fn print(&mut self, text: impl Display) {
        let _ = write!(self.out, "{text}");
    }

    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{text}");
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.out.write_all(bytes);
    }

    /// Standard output itself, for who has to know whether it is still read.
    pub fn out(&mut self) -> &mut (dyn Write + Send) {
        &mut *self.out
    }

    /// A line on standard error.
    pub fn error(&mut self, text: impl Display) {
        self.flush();
        let _ = writeln!(self.err, "{text}");
        let _ = self.err.flush();
    }

    /// Text on standard error, as it is.
    pub fn error_text(&mut self, text: impl Display) {
        self.flush();
        let _ = write!(self.err, "{text}");
        let _ = self.err.flush();
    }

    pub fn flush(&mut self) {
        let _ = self.out.flush();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.flush();
    }
}

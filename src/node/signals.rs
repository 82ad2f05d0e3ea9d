//! The signals that end a node, and how it leaves when it does not wait for its own end.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) name: &'static str,
    number: i32,
}

impl Signals {
    /// From now on these signals no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) -> Came {
        let (name, kind) = tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
        };
        Came { name, number: kind.as_raw_value() }
    }
}

impl Came {
    /// Ends the process as a kill would, with the exit code that shells have for the signal. Not by `std::process::exit`: that takes away what RocksDB's threads,
    /// which go on until the very end, still use.
    pub(super) fn leave(self) -> ! {
        signal_hook::low_level::exit(128 + self.number)
    }
}

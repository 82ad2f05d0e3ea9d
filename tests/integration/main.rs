//! The broker as clients and operators meet it: faults, bad input, many clients, and the meanings that only whole requests show.
//!
//! What a unit test can say, or the suites of `compat-tests`, is not said again here. Everything waits for conditions; nothing sleeps and hopes.

// A test that cannot go on ends by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod broker;
mod client;
mod clients;
mod controllers;
mod faults;
mod memory;
mod mutation;
mod pages;
mod retention;
mod semantics;
mod why;

use std::time::{Duration, Instant};

/// Long enough for a loaded two-core machine; a condition that holds sooner costs less.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `holds` gives a value; fails with `what` otherwise.
pub fn eventually<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

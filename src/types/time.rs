//! The seam for wall-clock time. Timers use tokio's time, which a test can pause; the wall clock, which can jump, is read only through here.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the wall clock is read. A simulation puts its own in place.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. May jump in either direction.
    fn wall_ms(&self) -> i64;
}

/// A clock that many rooms hold.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }
}

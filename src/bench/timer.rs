//! Sleeping to the microsecond: tokio's own timers wake at whole milliseconds, which would be most of a fast broker's latency.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

use super::BenchError;

/// A timer of the system. One task waits for it.
pub struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// # Errors
    /// [`BenchError::System`] when there are too many open files.
    pub fn new() -> Result<Self, BenchError> {
        let made = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC);
        #[allow(deprecated, reason = "unsound only for types that may change their descriptor, which OwnedFd does not")]
        let made = made.map_err(io::Error::from).and_then(AsyncFd::new);
        made.map(Self).map_err(|source| BenchError::System { what: "the system gives no timer", source })
    }

    /// Sleeps for that long; not at all for zero. Dropping the future is no harm.
    ///
    /// # Errors
    /// [`BenchError::System`].
    pub async fn sleep(&self, time: Duration) -> Result<(), BenchError> {
        if time.is_zero() {
            return Ok(());
        }
        self.wait(time).await.map_err(|source| BenchError::System { what: "the system's timer", source })
    }

    async fn wait(&self, time: Duration) -> io::Result<()> {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let due = Timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().into() };
        // Setting it takes back an expiry that nobody has read.
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: never, it_value: due })?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expiries = [0; 8];
            match rustix::io::read(self.0.get_ref(), &mut expiries) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

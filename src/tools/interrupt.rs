//! Ctrl-C and SIGTERM: tools that run on end in good order, with the exit code that a shell expects.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::signal::unix::{SignalKind, signal};

use super::Fault;

/// Exit code of what SIGINT (2) ended, as shells have it: 128 and the signal's number.
const INTERRUPTED: u8 = 130;
/// As [`INTERRUPTED`], for SIGTERM (15).
const TERMINATED: u8 = 143;

/// Whether the process was asked to end.
#[derive(Clone, Default)]
pub struct Interrupt {
    code: Arc<AtomicU8>,
}

impl Interrupt {
    /// Listens from now on. `told` is called at the first signal, on a thread of its own; the second signal ends the process at once, because whoever sends it does
    /// not want to wait.
    ///
    /// # Errors
    /// When the system takes no handler or gives no thread.
    pub fn listen(told: impl FnOnce() + Send + 'static) -> Result<Self, Fault> {
        let interrupt = Self::default();
        let code = interrupt.code.clone();
        let wrong = |error: std::io::Error| Fault::thrown(format!("signals cannot be listened for: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(wrong)?;
        let (mut interrupts, mut terminations) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt()).map_err(wrong)?, signal(SignalKind::terminate()).map_err(wrong)?)
        };
        let listening = move || {
            runtime.block_on(async move {
                let mut told = Some(told);
                loop {
                    let came = tokio::select! {
                        _ = interrupts.recv() => INTERRUPTED,
                        _ = terminations.recv() => TERMINATED,
                    };
                    code.store(came, Ordering::SeqCst);
                    match told.take() {
                        Some(told) => told(),
                        None => std::process::exit(i32::from(came)),
                    }
                }
            });
        };
        std::thread::Builder::new().name("signals".into()).spawn(listening).map_err(wrong)?;
        Ok(interrupt)
    }

    /// As [`Self::listen`], for a tool whose own thread waits for input: `told` finishes what is to be finished, then the process ends.
    ///
    /// # Errors
    /// As [`Self::listen`].
    pub fn listen_and_end(told: impl FnOnce() + Send + 'static) -> Result<Self, Fault> {
        let interrupt = Arc::new(std::sync::OnceLock::<Self>::new());
        let own = interrupt.clone();
        let listening = Self::listen(move || {
            told();
            let code = own.get().and_then(Self::code).unwrap_or(INTERRUPTED);
            std::process::exit(i32::from(code));
        })?;
        let _ = interrupt.set(listening.clone());
        Ok(listening)
    }

    /// The exit code, once a signal came.
    pub fn code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::SeqCst)).filter(|code| *code != 0)
    }

    pub fn is_set(&self) -> bool {
        self.code().is_some()
    }
}

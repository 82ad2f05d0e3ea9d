//! What processes have used, from `/proc`: the broker's, and this one's.

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::fs;
use std::io;

use super::BenchError;

/// Processor time and memory over the measured window.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    pub cpu_user_s: f64,
    pub cpu_system_s: f64,
    /// Resident now.
    pub rss_bytes: u64,
    /// The most that was resident since the process began, the time before the window too.
    pub peak_rss_bytes: u64,
}

/// What was used before the window.
pub struct Watch {
    broker: Option<(u32, (f64, f64))>,
    own: (f64, f64),
}

impl Watch {
    /// Opens the window.
    ///
    /// # Errors
    /// [`BenchError::Process`].
    pub fn start(broker: Option<u32>) -> Result<Self, BenchError> {
        let broker = broker.map(|pid| Ok::<_, BenchError>((pid, cpu_s(pid)?))).transpose()?;
        Ok(Self { broker, own: cpu_s(std::process::id())? })
    }

    /// Closes it: the broker's usage and this process's.
    ///
    /// # Errors
    /// [`BenchError::Process`].
    pub fn stop(&self) -> Result<(Option<Usage>, Usage), BenchError> {
        let broker = self.broker.map(|(pid, before)| usage(pid, before)).transpose()?;
        Ok((broker, usage(std::process::id(), self.own)?))
    }
}

fn usage(pid: u32, before: (f64, f64)) -> Result<Usage, BenchError> {
    let (user_s, system_s) = cpu_s(pid)?;
    let status = read(pid, "status")?;
    let memory = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    };
    Ok(Usage {
        cpu_user_s: user_s - before.0,
        cpu_system_s: system_s - before.1,
        rss_bytes: memory("VmRSS").unwrap_or(0),
        peak_rss_bytes: memory("VmHWM").unwrap_or(0),
    })
}

/// Seconds in user mode and in the kernel since the process began.
fn cpu_s(pid: u32) -> Result<(f64, f64), BenchError> {
    let stat = read(pid, "stat")?;
    // The name in parentheses may hold anything, spaces too.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    match (field(11), field(12)) {
        (Some(user), Some(system)) => {
            let per_second = clock_ticks_per_second() as f64;
            Ok((user as f64 / per_second, system as f64 / per_second))
        }
        _ => Err(BenchError::Process { pid, source: io::Error::other(format!("/proc/{pid}/stat reads {stat:?}")) }),
    }
}

fn read(pid: u32, file: &str) -> Result<String, BenchError> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|source| BenchError::Process { pid, source })
}

/// Files that a run needs beside those of its connections.
const OTHER_FILES: u64 = 128;

/// Raises the limit of open files to what so many connections need, as far as the system lets it.
///
/// # Errors
/// [`BenchError::Wrong`] where it does not.
pub fn more_files(connections: u64) -> Result<(), BenchError> {
    let needed = connections + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let current = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    match raised {
        Ok(()) if current >= needed => Ok(()),
        _ => Err(BenchError::Wrong(format!(
            "{needed} open files are needed, and the limit is {current}: raise it (ulimit -n {needed})"
        ))),
    }
}

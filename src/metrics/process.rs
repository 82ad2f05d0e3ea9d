//! What the operating system says of this process: memory, processor time, file descriptors. Silent where /proc is missing.

use super::scrape::Scrape;
use super::table;
use std::fs;

/// Adds the process's own series to a scrape.
pub(super) fn collect(scrape: &mut Scrape) {
    scrape.set(&table::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory that is being read is open, too.
        scrape.set(&table::PROCESS_OPEN_FDS, &[], open.count().saturating_sub(1) as f64);
    }
    if let Some(limit) = max_fds() {
        scrape.set(&table::PROCESS_MAX_FDS, &[], limit);
    }
    // The file has kB, and means KiB.
    for (line, metric, unit) in [
        ("VmRSS:", &table::PROCESS_RESIDENT_MEMORY_BYTES, 1024.0),
        ("VmSize:", &table::PROCESS_VIRTUAL_MEMORY_BYTES, 1024.0),
        ("Threads:", &table::PROCESS_THREADS, 1.0),
    ] {
        if let Some(value) = number("/proc/self/status", line) {
            scrape.set(metric, &[], value * unit);
        }
    }
    // As Kafka's LinuxIoMetricsCollector: what reached the disks, not what caches answered.
    for (line, metric) in [("read_bytes:", &table::DISK_READ_BYTES), ("write_bytes:", &table::DISK_WRITE_BYTES)] {
        if let Some(value) = number("/proc/self/io", line) {
            scrape.set(metric, &[], value);
        }
    }
    if let Some((cpu_seconds, started_seconds)) = times() {
        scrape.set(&table::PROCESS_CPU_SECONDS, &[], cpu_seconds);
        scrape.set(&table::PROCESS_START_TIME_SECONDS, &[], started_seconds);
    }
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// The number behind a word at the beginning of a line of a file.
fn number(path: &str, word: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(word))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Processor seconds of the process, and when it started in seconds since 1970.
fn times() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name is in parentheses and may hold anything; numbers follow it, the state as the first.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(((ticks(11)? + ticks(12)?) / ticks_per_second, booted + ticks(19)? / ticks_per_second))
}

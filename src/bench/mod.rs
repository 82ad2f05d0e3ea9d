//! `ottla bench`: load for a broker, and what it came to. Speaks to any Kafka broker, so that two can be measured with one ruler.
//!
//! Each workload is a file with its options; what it found is a [`report::Report`], printed as text or as one JSON object. Latencies count from the moment
//! at which a record was due by the schedule, not from when it could be sent, so a broker that stalls is charged for what waited (coordinated omission).
//! It must never take from the broker more than a client may, or measure with the broker's own figures.

mod cluster;
mod commits;
mod connections;
mod group;
mod load;
mod payload;
mod process;
mod produce;
mod read;
mod reader;
mod report;
#[cfg(test)]
mod tests;
mod timer;

use clap::{Args, Subcommand};
use std::future::Future;
use std::time::Instant;
use thiserror::Error;

use crate::client::{ClientError, ClientProperties, ServerError};
use crate::protocol::batch_error::BatchError;
use report::Report;

/// What to measure.
#[derive(Subcommand, Debug)]
pub enum Workload {
    /// Produce at a rate, or as fast as it goes, and have consumers read it at the tail.
    Load(load::Load),
    /// Read a topic from its beginning to where it ends now.
    Read(read::Read),
    /// Have many members join one group.
    Group(group::Group),
    /// Commit offsets as fast as it goes.
    Commits(commits::Commits),
    /// Hold idle connections.
    Connections(connections::Connections),
}

/// What all workloads need.
#[derive(Args, Debug)]
pub struct Target {
    /// A broker of the cluster.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092")]
    bootstrap_server: String,
    /// The broker's process on this machine, whose processor time and memory are then told.
    #[arg(long, value_name = "PID")]
    broker_pid: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Target {
    fn properties(&self) -> ClientProperties {
        let mut properties = ClientProperties::default();
        properties.set("bootstrap.servers", &self.bootstrap_server);
        properties.set("client.id", "ottla-bench");
        properties
    }
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum BenchError {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("{what}: {error}")]
    Refused { what: String, error: ServerError },
    #[error("a batch that the broker gave cannot be read: {0}")]
    Batch(#[from] BatchError),
    #[error("{0}")]
    Wrong(String),
    #[error("what process {pid} has used cannot be read: {source}")]
    Process { pid: u32, source: std::io::Error },
    #[error("{what}: {source}")]
    System { what: &'static str, source: std::io::Error },
}

impl BenchError {
    /// `Ok` for code 0.
    fn check(code: i16, what: impl FnOnce() -> String) -> Result<(), Self> {
        ServerError::check(code, None).map_err(|error| Self::Refused { what: what(), error })
    }
}

/// Time since the run began, the same for all of its tasks.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now_us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Runs a workload. The text to print.
///
/// # Errors
/// What kept it from a result.
pub fn run(workload: &Workload) -> Result<String, BenchError> {
    let (target, report) = match workload {
        Workload::Load(load) => (&load.target, block_on(load.run())?),
        Workload::Read(read) => (&read.target, block_on(read.run())?),
        Workload::Group(group) => (&group.target, block_on(group.run())?),
        Workload::Commits(commits) => (&commits.target, block_on(commits.run())?),
        Workload::Connections(connections) => (&connections.target, block_on(connections.run())?),
    };
    Ok(if target.json { report.json() } else { report.text() })
}

fn block_on(work: impl Future<Output = Result<Report, BenchError>>) -> Result<Report, BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| BenchError::System { what: "the system gives no event queue", source })?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}

//! `ottla bench connections`: opens many connections, has each shake hands, and holds them.

use clap::Args;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

use super::load::joined;
use super::process::{self, Watch};
use super::report::Report;
use super::{BenchError, Target};
use crate::client::{Client, Connection, To};

/// How many shake hands at a time.
const AT_ONCE: usize = 64;

#[derive(Args, Debug)]
pub struct Connections {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 5000)]
    count: usize,
    /// How long to hold them.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

impl Connections {
    pub(super) async fn run(&self) -> Result<Report, BenchError> {
        process::more_files(self.count as u64)?;
        let begun = Instant::now();
        let mut opening = JoinSet::new();
        let mut open: Vec<(Client, Arc<Connection>)> = Vec::with_capacity(self.count);
        for _ in 0..self.count {
            if opening.len() >= AT_ONCE
                && let Some(done) = opening.join_next().await
            {
                open.push(joined(done)?);
            }
            let client = Client::new(&self.target.properties())?;
            opening.spawn(async move {
                let connection = client.connection(&To::Any).await?;
                Ok((client, connection))
            });
        }
        while let Some(done) = opening.join_next().await {
            open.push(joined(done)?);
        }
        let open_ms = begun.elapsed().as_secs_f64() * 1e3;
        let watch = Watch::start(self.target.broker_pid)?;
        tokio::time::sleep(Duration::from_secs_f64(self.seconds.max(0.0))).await;
        let (broker, generator) = watch.stop()?;
        let opened = open.iter().filter(|(_, connection)| connection.is_open()).count();
        if opened < self.count {
            return Err(BenchError::Wrong(format!(
                "of {} connections {opened} were still open after {} s",
                self.count, self.seconds
            )));
        }
        Ok(Report {
            workload: "connections",
            seconds: self.seconds,
            opened: Some(opened),
            open_ms: Some(open_ms),
            broker,
            generator: Some(generator),
            ..Report::default()
        })
    }
}

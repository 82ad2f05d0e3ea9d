//! `ottla bench read`: reads a topic from its beginning to the end that it has when the run begins.

use clap::Args;
use std::collections::BTreeMap;
use std::time::Instant;
use tokio::task::JoinSet;

use super::cluster::{self, EARLIEST, LATEST};
use super::load::joined;
use super::process::Watch;
use super::reader::{Fetched, Reader};
use super::report::{Flow, Report};
use super::{BenchError, Target};
use crate::client::{Client, To};

#[derive(Args, Debug)]
pub struct Read {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Each on a connection of its own; each reads everything.
    #[arg(long, default_value_t = 1)]
    consumers: usize,
    /// How often each reads it.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
}

impl Read {
    pub(super) async fn run(&self) -> Result<Report, BenchError> {
        let client = Client::new(&self.target.properties())?;
        let leaders = cluster::leaders(&client, &self.topic).await?;
        let mut parts = Vec::new();
        for (leader, partitions) in &leaders {
            let begins = cluster::offsets(&client, *leader, &self.topic, partitions, EARLIEST).await?;
            let ends = cluster::offsets(&client, *leader, &self.topic, partitions, LATEST).await?;
            parts.push((*leader, begins, ends));
        }
        let watch = Watch::start(self.target.broker_pid)?;
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..self.consumers {
            for (leader, begins, ends) in parts.clone() {
                let client = Client::new(&self.target.properties())?;
                let (topic, repeat) = (self.topic.clone(), self.repeat);
                tasks.spawn(async move { read(&client, leader, &topic, &begins, &ends, repeat).await });
            }
        }
        let mut all = Fetched::default();
        while let Some(done) = tasks.join_next().await {
            let fetched = joined(done)?;
            all.records += fetched.records;
            all.bytes += fetched.bytes;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let (broker, generator) = watch.stop()?;
        Ok(Report {
            workload: "read",
            seconds,
            consumed: Some(Flow::new(all.records, all.bytes, seconds, None)),
            broker,
            generator: Some(generator),
            ..Report::default()
        })
    }
}

async fn read(
    client: &Client,
    leader: i32,
    topic: &str,
    begins: &BTreeMap<i32, i64>,
    ends: &BTreeMap<i32, i64>,
    repeat: usize,
) -> Result<Fetched, BenchError> {
    let connection = client.connection(&To::Broker(leader)).await?;
    let mut all = Fetched::default();
    for _ in 0..repeat {
        let mut reader = Reader::new(&connection, topic, begins.clone())?;
        while reader.positions().iter().any(|(partition, at)| ends.get(partition).is_some_and(|end| at < end)) {
            let fetched = reader.fetch(None::<fn(u64)>).await?;
            all.records += fetched.records;
            all.bytes += fetched.bytes;
        }
    }
    Ok(all)
}

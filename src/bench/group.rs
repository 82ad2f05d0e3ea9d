//! `ottla bench group`: many members join one group at once; measured until each has its share of the partitions.

use clap::Args;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::cluster;
use super::process::{self, Watch};
use super::report::Report;
use super::{BenchError, Target};
use crate::client::Client;
use crate::client::consumer::{ConsumeError, Consumer, Partition, Polled, Subscription};

/// How long the group may take.
const JOINED_WITHIN: Duration = Duration::from_secs(300);

/// Two connections, and the event queue of its thread.
const FILES_OF_A_MEMBER: u64 = 8;

#[derive(Args, Debug)]
pub struct Group {
    #[command(flatten)]
    pub target: Target,
    /// Created with as many partitions as there are members when it is not there.
    #[arg(long, default_value = "bench-group")]
    topic: String,
    /// The group; a new one when it is not given.
    #[arg(long)]
    group: Option<String>,
    #[arg(long, default_value_t = 500)]
    members: usize,
}

impl Group {
    pub(super) async fn run(&self) -> Result<Report, BenchError> {
        process::more_files(self.members as u64 * FILES_OF_A_MEMBER)?;
        let client = Client::new(&self.target.properties())?;
        let partitions = i32::try_from(self.members).unwrap_or(i32::MAX);
        cluster::make_topic(&client, &self.topic, partitions, &[]).await?;
        let leaders = cluster::leaders(&client, &self.topic).await?;
        let all: usize = leaders.values().map(Vec::len).sum();
        let watch = Watch::start(self.target.broker_pid)?;
        let begun = Instant::now();
        // Consumers belong to threads of their own, which the runtime's must not wait for.
        let members = tokio::task::block_in_place(|| self.join(all))?;
        let seconds = begun.elapsed().as_secs_f64();
        let (broker, generator) = watch.stop()?;
        // Leaving one after the other would have the rest join again each time.
        tokio::task::block_in_place(|| drop(members));
        Ok(Report {
            workload: "group",
            seconds,
            members: Some(self.members),
            join_ms: Some(seconds * 1e3),
            broker,
            generator: Some(generator),
            ..Report::default()
        })
    }

    fn join(&self, partitions: usize) -> Result<Vec<Consumer>, BenchError> {
        let mut properties = self.target.properties();
        let group = self.group.clone().unwrap_or_else(|| format!("{}-{}", self.topic, uuid::Uuid::new_v4()));
        properties.set("group.id", group);
        properties.set("enable.auto.commit", "false");
        properties.set("auto.offset.reset", "latest");
        let mut consumers = Vec::with_capacity(self.members);
        for _ in 0..self.members {
            consumers.push(Consumer::start(&properties, Subscription::Topics(vec![self.topic.clone()]), None)?);
        }
        let mut shares: Vec<Option<Vec<Partition>>> = vec![None; self.members];
        let begun = Instant::now();
        while !is_whole(&shares, partitions) {
            if begun.elapsed() > JOINED_WITHIN {
                let without = shares.iter().filter(|share| share.is_none()).count();
                return Err(BenchError::Wrong(format!(
                    "after {} s {without} of {} members have no assignment",
                    JOINED_WITHIN.as_secs(),
                    self.members
                )));
            }
            for (consumer, share) in consumers.iter().zip(&mut shares) {
                match consumer.poll(Duration::ZERO).map_err(refused)? {
                    Some(Polled::Assigned(partitions)) => *share = Some(partitions),
                    Some(Polled::Revoked(_)) => *share = None,
                    _ => {}
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(consumers)
    }
}

/// Whether every member has a share, and the shares are all partitions, each once: then all are of one generation.
fn is_whole(shares: &[Option<Vec<Partition>>], partitions: usize) -> bool {
    if shares.iter().any(Option::is_none) {
        return false;
    }
    let given: Vec<&Partition> = shares.iter().flatten().flatten().collect();
    given.len() == partitions && given.iter().collect::<BTreeSet<_>>().len() == partitions
}

fn refused(error: ConsumeError) -> BenchError {
    BenchError::Wrong(error.to_string())
}

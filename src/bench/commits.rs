//! `ottla bench commits`: offset commits, one at a time on each connection, each connection for a group of its own.

use clap::Args;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest};
use kafka_protocol::protocol::StrBytes;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

use super::cluster::{self, topic_name};
use super::load::joined;
use super::process::Watch;
use super::report::{Latencies, Report};
use super::{BenchError, Target};
use crate::client::{Client, ClientError, Connection, To};

/// The newest OffsetCommit that names topics by their names.
const NEWEST_VERSION: i16 = 9;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: the coordinator is new.
const NOT_YET: [i16; 3] = [14, COORDINATOR_NOT_AVAILABLE, 16];
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Args, Debug)]
pub struct Commits {
    #[command(flatten)]
    pub target: Target,
    /// Created with one partition when it is not there.
    #[arg(long, default_value = "bench-commits")]
    topic: String,
    #[arg(long, default_value_t = 10)]
    connections: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

impl Commits {
    pub(super) async fn run(&self) -> Result<Report, BenchError> {
        let client = Client::new(&self.target.properties())?;
        cluster::make_topic(&client, &self.topic, 1, &[]).await?;
        let mut committers = Vec::new();
        for number in 0..self.connections {
            let client = Client::new(&self.target.properties())?;
            let group = format!("{}-{number}", self.topic);
            first_commit(&client, &self.topic, &group).await?;
            committers.push((client.connection(&To::Group(group.clone())).await?, group));
        }
        let watch = Watch::start(self.target.broker_pid)?;
        let begun = Instant::now();
        let until = begun + Duration::from_secs_f64(self.seconds.max(0.0));
        let mut tasks = JoinSet::new();
        for (connection, group) in committers {
            let topic = self.topic.clone();
            tasks.spawn(async move {
                let mut latencies = Latencies::new()?;
                let mut commits: u64 = 0;
                while Instant::now() < until {
                    let sent = Instant::now();
                    let code = commit(&connection, &topic, &group, i64::try_from(commits).unwrap_or(0)).await?;
                    BenchError::check(code, || format!("group {group} could not commit"))?;
                    commits += 1;
                    latencies.add(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX), 1);
                }
                Ok((commits, latencies))
            });
        }
        let (mut commits, mut latencies) = (0, Latencies::new()?);
        while let Some(done) = tasks.join_next().await {
            let (of_one, its) = joined(done)?;
            commits += of_one;
            latencies.merge(&its);
        }
        let seconds = begun.elapsed().as_secs_f64();
        let (broker, generator) = watch.stop()?;
        Ok(Report {
            workload: "commits",
            seconds,
            commits: Some(commits),
            per_second: Some(commits as f64 / seconds.max(f64::MIN_POSITIVE)),
            latency_us: Some(latencies),
            broker,
            generator: Some(generator),
            ..Report::default()
        })
    }
}

/// Commits once the group has a coordinator, which a new broker has to make first.
async fn first_commit(client: &Client, topic: &str, group: &str) -> Result<(), BenchError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let code = match client.connection(&To::Group(group.to_owned())).await {
            Ok(connection) => commit(&connection, topic, group, 0).await?,
            Err(ClientError::NoSuchBroker { .. }) => COORDINATOR_NOT_AVAILABLE,
            Err(error) => return Err(error.into()),
        };
        if !NOT_YET.contains(&code) || Instant::now() > deadline {
            return BenchError::check(code, || format!("group {group} could not commit"));
        }
        client.forget_coordinator(group);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The partition's error code.
async fn commit(connection: &Connection, topic: &str, group: &str, offset: i64) -> Result<i16, BenchError> {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(StrBytes::from_static_str("")));
    let of_topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![of_topic]);
    let version = connection.version_of::<OffsetCommitRequest>(NEWEST_VERSION)?;
    let answer = connection.send(&request, version).await?;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(partitions.map(|partition| partition.error_code).find(|code| *code != 0).unwrap_or(0))
}

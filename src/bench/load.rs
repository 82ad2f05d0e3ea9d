//! `ottla bench load`: producers that follow a schedule (or go as fast as it goes), and consumers that read all of it at the tail.

use clap::Args;
use clap::builder::PossibleValuesParser;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

use super::cluster::{self, ByLeader, LATEST};
use super::payload::{Numbered, Template};
use super::process::Watch;
use super::produce::{Plan, Produced, Sender};
use super::reader::{Count, Reader};
use super::report::{Flow, Latencies, Report};
use super::{BenchError, Clock, Target};
use crate::client::{Client, Connection, To};
use crate::protocol::compression::Compression;

/// How long readers may go on after the last record was sent.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(30);

/// Of the measured time, what may be over before processor time is counted,
const MOST_LATE: f64 = 0.1;
/// and where that is less than a machine that is busy otherwise makes of a sleep, this.
const MOST_LATE_US: u64 = 1_000_000;

#[derive(Args, Debug)]
pub struct Load {
    #[command(flatten)]
    pub target: Target,
    /// Created when it is not there.
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Of the topic, if it is created.
    #[arg(long, default_value_t = 6)]
    partitions: i32,
    /// A configuration of the topic, if it is created. May be given many times.
    #[arg(long, value_name = "KEY=VALUE")]
    topic_config: Vec<String>,
    /// Each on a connection of its own.
    #[arg(long, default_value_t = 1)]
    producers: usize,
    /// Each on a connection of its own; each reads everything.
    #[arg(long, default_value_t = 0)]
    consumers: usize,
    /// Bytes of each record's value.
    #[arg(long, default_value_t = 1024)]
    record_bytes: usize,
    /// Bytes of a full batch before compression (batch.size).
    #[arg(long, default_value_t = 131_072)]
    batch_bytes: usize,
    /// How long a record waits for others, where there is a rate.
    #[arg(long, default_value_t = 1.0)]
    linger_ms: f64,
    /// With all, producers are idempotent.
    #[arg(long, default_value = "all", value_parser = PossibleValuesParser::new(["all", "-1", "1"]))]
    acks: String,
    #[arg(long, default_value = "none", value_parser = PossibleValuesParser::new(["none", "gzip", "snappy", "lz4", "zstd"]))]
    compression: String,
    /// Give records keys: each goes to a partition of its own, by chance.
    #[arg(long)]
    keys: bool,
    /// Records per second of all producers together; 0: as fast as it goes.
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// How long to measure.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// How long to run before that.
    #[arg(long, default_value_t = 5.0)]
    warmup_seconds: f64,
}

/// What tells readers when they are done.
struct Ending {
    producers_are_done: AtomicBool,
    gave_up: AtomicBool,
    sent: Arc<Plan>,
    read: Vec<AtomicU64>,
}

impl Load {
    pub(super) async fn run(&self) -> Result<Report, BenchError> {
        let client = Client::new(&self.target.properties())?;
        let created = cluster::make_topic(&client, &self.topic, self.partitions, &self.topic_config).await?;
        let leaders = cluster::leaders(&client, &self.topic).await?;
        let producers = self.connect_producers(&leaders).await?;
        let readers = self.connect_readers(&leaders).await?;
        let clock = Clock::start();
        let from_us = seconds_us(self.warmup_seconds) + clock.now_us();
        let until_us = from_us + seconds_us(self.seconds);
        let plan = Arc::new(self.plan(clock, from_us, until_us)?);

        let ending = Arc::new(Ending {
            producers_are_done: AtomicBool::new(false),
            gave_up: AtomicBool::new(false),
            sent: plan.clone(),
            read: (0..self.consumers).map(|_| AtomicU64::new(0)).collect(),
        });
        let mut readers = self.start_readers(readers, &plan, &ending);
        let mut producers = start_producers(producers, &plan);

        tokio::time::sleep(until(clock, from_us)).await;
        came_in_time(clock.now_us().saturating_sub(from_us), self.seconds)?;
        let watch = Watch::start(self.target.broker_pid)?;
        // A producer that fails ends the run at once.
        let mut produced = Totals::new()?;
        let window = tokio::time::sleep(until(clock, until_us));
        tokio::pin!(window);
        let mut usage = None;
        loop {
            tokio::select! {
                () = &mut window, if usage.is_none() => usage = Some(watch.stop()?),
                done = producers.join_next() => match done {
                    Some(done) => produced.add(&joined(done)?),
                    None => break,
                },
                done = readers.join_next(), if !readers.is_empty() => {
                    // None ends before the producers do but with an error.
                    done.map_or(Ok(()), |done| joined(done).map(drop))?;
                }
            }
        }
        let (broker, generator) = match usage {
            Some(usage) => usage,
            None => watch.stop()?,
        };
        let consumed = self.end_readers(readers, &ending).await?;
        Ok(Report {
            workload: "load",
            seconds: self.seconds,
            topic_created_ms: created,
            produced: Some(Flow::new(produced.records, produced.bytes, self.seconds, Some(produced.latencies))),
            behind_records: Some(produced.behind_records),
            consumed,
            broker,
            generator: Some(generator),
            ..Report::default()
        })
    }

    fn acks(&self) -> i16 {
        self.acks.parse().unwrap_or(-1)
    }

    fn plan(&self, clock: Clock, from_us: u64, until_us: u64) -> Result<Plan, BenchError> {
        let compression = match self.compression.as_str() {
            "gzip" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            _ => Compression::None,
        };
        Ok(Plan {
            topic: self.topic.clone(),
            template: Template::new(self.record_bytes, self.batch_bytes, self.keys, compression)?,
            acks: self.acks(),
            linger_us: (self.linger_ms.max(0.0) * 1e3) as u64,
            has_keys: self.keys,
            clock,
            from_us,
            until_us,
            sent: AtomicU64::new(0),
        })
    }

    /// Before the time counts: each takes some round trips, and where the first ones already load the broker, the last ones' take long.
    async fn connect_producers(&self, leaders: &ByLeader) -> Result<Vec<Connected>, BenchError> {
        let all: usize = leaders.values().map(Vec::len).sum();
        let mut connected = Vec::new();
        for number in 0..self.producers {
            for (leader, partitions) in leaders {
                let share = partitions.len() as f64 / all.max(1) as f64;
                let rate = self.rate / self.producers.max(1) as f64 * share;
                let client = Client::new(&self.target.properties())?;
                let connection = client.connection(&To::Broker(*leader)).await?;
                let numbered = match self.acks() {
                    -1 => Some(cluster::producer(&client).await?),
                    _ => None,
                };
                connected.push(Connected { connection, numbered, partitions: partitions.clone(), number, rate });
            }
        }
        Ok(connected)
    }

    async fn connect_readers(&self, leaders: &ByLeader) -> Result<Vec<Following>, BenchError> {
        let mut connected = Vec::new();
        for number in 0..self.consumers {
            for (leader, partitions) in leaders {
                let client = Client::new(&self.target.properties())?;
                let positions = cluster::offsets(&client, *leader, &self.topic, partitions, LATEST).await?;
                let connection = client.connection(&To::Broker(*leader)).await?;
                connected.push(Following { connection, positions, number });
            }
        }
        Ok(connected)
    }

    fn start_readers(
        &self,
        connected: Vec<Following>,
        plan: &Arc<Plan>,
        ending: &Arc<Ending>,
    ) -> JoinSet<Result<Count, BenchError>> {
        let mut tasks = JoinSet::new();
        for following in connected {
            let (topic, plan, ending) = (self.topic.clone(), plan.clone(), ending.clone());
            tasks.spawn(async move { follow(following, &topic, &plan, &ending).await });
        }
        tasks
    }

    /// Lets the readers come to the end, and adds them up.
    async fn end_readers(
        &self,
        mut readers: JoinSet<Result<Count, BenchError>>,
        ending: &Ending,
    ) -> Result<Option<Flow>, BenchError> {
        ending.producers_are_done.store(true, Ordering::Release);
        let mut records = 0;
        let mut latencies = Latencies::new()?;
        let patience = tokio::time::sleep(CATCH_UP_WITHIN);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                done = readers.join_next() => match done {
                    Some(done) => {
                        let count = joined(done)?;
                        records += count.records;
                        latencies.merge(&count.latencies);
                    }
                    None => break,
                },
                () = &mut patience, if !ending.gave_up.load(Ordering::Relaxed) => ending.gave_up.store(true, Ordering::Release),
            }
        }
        if ending.gave_up.load(Ordering::Relaxed) {
            let read: Vec<u64> = ending.read.iter().map(|read| read.load(Ordering::Relaxed)).collect();
            let sent = ending.sent.sent.load(Ordering::Relaxed);
            return Err(BenchError::Wrong(format!(
                "{sent} records were sent, and {} s later the consumers had read {read:?}",
                CATCH_UP_WITHIN.as_secs()
            )));
        }
        let bytes = records * self.record_bytes as u64;
        Ok((self.consumers > 0).then(|| Flow::new(records, bytes, self.seconds, Some(latencies))))
    }
}

/// A producer's connection to one leader.
struct Connected {
    connection: Arc<Connection>,
    numbered: Option<Numbered>,
    partitions: Vec<i32>,
    number: usize,
    rate: f64,
}

/// A consumer's connection to one leader, and where it begins.
struct Following {
    connection: Arc<Connection>,
    positions: BTreeMap<i32, i64>,
    number: usize,
}

fn start_producers(connected: Vec<Connected>, plan: &Arc<Plan>) -> JoinSet<Result<Produced, BenchError>> {
    let mut tasks = JoinSet::new();
    for Connected { connection, numbered, partitions, number, rate } in connected {
        let plan = plan.clone();
        tasks.spawn(async move { Sender::new(plan, &connection, numbered, &partitions, number, rate)?.run().await });
    }
    tasks
}

/// One reader of one leader's partitions, until all that was sent is read.
async fn follow(following: Following, topic: &str, plan: &Plan, ending: &Ending) -> Result<Count, BenchError> {
    let Following { connection, positions, number } = following;
    let mut reader = Reader::new(&connection, topic, positions)?;
    let mut count = Count {
        clock: plan.clock,
        from_us: plan.from_us,
        until_us: plan.until_us,
        records: 0,
        latencies: Latencies::new()?,
    };
    let read = ending.read.get(number);
    loop {
        let clock = count.clock;
        let mut now_us = None;
        let fetched = reader
            .fetch(Some(|due_us| {
                let now_us = *now_us.get_or_insert_with(|| clock.now_us());
                count.add(due_us, now_us);
            }))
            .await?;
        let all = read.map_or(0, |read| read.fetch_add(fetched.records, Ordering::AcqRel) + fetched.records);
        let is_done = ending.producers_are_done.load(Ordering::Acquire)
            && (all >= plan.sent.load(Ordering::Acquire) || ending.gave_up.load(Ordering::Acquire));
        if is_done {
            return Ok(count);
        }
    }
}

struct Totals {
    records: u64,
    bytes: u64,
    behind_records: u64,
    latencies: Latencies,
}

impl Totals {
    fn new() -> Result<Self, BenchError> {
        Ok(Self { records: 0, bytes: 0, behind_records: 0, latencies: Latencies::new()? })
    }

    fn add(&mut self, produced: &Produced) {
        self.records += produced.records;
        self.bytes += produced.bytes;
        self.behind_records += produced.behind_records;
        self.latencies.merge(&produced.latencies);
    }
}

pub(super) fn seconds_us(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e6) as u64
}

/// Counted from later on, the processor time of a part of the load would be divided by all of its records.
pub(super) fn came_in_time(late_us: u64, seconds: f64) -> Result<(), BenchError> {
    if late_us <= seconds_us(seconds * MOST_LATE).max(MOST_LATE_US) {
        return Ok(());
    }
    let late_ms = late_us / 1000;
    Err(BenchError::Wrong(format!(
        "the load generator was kept from running, and came {late_ms} ms late to measure: see what else runs here"
    )))
}

fn until(clock: Clock, us: u64) -> Duration {
    Duration::from_micros(us.saturating_sub(clock.now_us()))
}

/// A task's own outcome; a task that panicked is an error, too.
pub(super) fn joined<T>(done: Result<Result<T, BenchError>, tokio::task::JoinError>) -> Result<T, BenchError> {
    done.map_err(|error| BenchError::Wrong(format!("a part of the load ended early: {error}")))?
}

//! A consumer: a group's member or a reader of given partitions, as Kafka's Java consumer with the classic protocol: eager rebalancing, positions committed by
//! themselves or on demand, prefetching.
//!
//! `poll` belongs to the caller's thread; a thread of the consumer's own does the network and the heartbeats. Between two polls the caller may still work on
//! what the last one gave: partitions are given up only while it polls, after its positions were committed.

pub mod assignor;
pub mod chunk;
pub mod config;
mod fetcher;
mod group;
mod metadata;
mod offsets;
#[cfg(test)]
mod tests;

pub use assignor::Partition;
pub use chunk::Chunk;
pub use config::{ConsumerConfig, Reset};
pub use group::read_assignment;

use parking_lot::{Condvar, Mutex};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::{Notify, oneshot, watch};

use super::{Client, ClientError, ClientProperties, Notices, ServerError};

/// Why a consumer cannot go on.
#[derive(Clone, Debug, Error)]
pub enum ConsumeError {
    #[error("{0}")]
    Server(ServerError),
    #[error("{0}")]
    Client(ClientError),
    #[error("Undefined offset with no reset policy for partitions: [{}-{}]", .partition.0, .partition.1)]
    NoOffset { partition: Partition },
    #[error("Fetch position {position} is out of range for partition {}-{}, and no reset policy is set", .partition.0, .partition.1)]
    OutOfRange { partition: Partition, position: i64 },
    #[error("Topic {topic} not present in metadata after {waited_ms} ms.")]
    NoTopic { topic: String, waited_ms: u128 },
}

impl ConsumeError {
    /// The Java class that stands for it.
    pub fn class(&self) -> String {
        let name = match self {
            Self::Server(error) => return error.class(),
            Self::Client(_) => "TimeoutException",
            Self::NoOffset { .. } => return "org.apache.kafka.clients.consumer.NoOffsetForPartitionException".into(),
            Self::OutOfRange { .. } => return "org.apache.kafka.clients.consumer.OffsetOutOfRangeException".into(),
            Self::NoTopic { .. } => "TimeoutException",
        };
        format!("org.apache.kafka.common.errors.{name}")
    }
}

/// Where reading a given partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    Offset(i64),
    Earliest,
    Latest,
    /// What the group has committed, else by `auto.offset.reset`.
    Committed,
}

/// What is read.
#[derive(Clone, Debug)]
pub enum Subscription {
    Topics(Vec<String>),
    /// All topics whose whole name matches.
    Pattern(Regex),
    /// These partitions, without a group's assignment.
    Partitions(Vec<(Partition, StartAt)>),
}

/// What a poll gives.
#[derive(Clone, Debug)]
pub enum Polled {
    Records(Chunk),
    /// Partitions that are this member's from now on.
    Assigned(Vec<Partition>),
    /// Partitions that are given up; positions were committed if they commit themselves.
    Revoked(Vec<Partition>),
    /// The caller was asked to stop.
    Woken,
}

/// One partition that is read.
#[derive(Clone, Debug)]
struct Reading {
    /// Where the next fetch begins; `None` until it is known.
    fetch_position: Option<i64>,
    start: StartAt,
    /// Where the caller is; what is committed.
    consumed: Option<Position>,
    /// Chunks that wait to be polled.
    queued: usize,
    /// Not fetched before.
    not_before: Option<Instant>,
}

/// A position, with the leader epoch of the record before it (-1: not known).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub offset: i64,
    pub leader_epoch: i32,
}

/// What the network knows of a topic: each partition's leader and its epoch.
type Leaders = BTreeMap<i32, (i32, i32)>;

struct Commit {
    offsets: BTreeMap<Partition, Position>,
    done: oneshot::Sender<Result<(), ConsumeError>>,
}

struct State {
    reading: BTreeMap<Partition, Reading>,
    /// Grows with each new assignment; what was fetched for an older one is dropped.
    assignment: u64,
    queue: VecDeque<Polled>,
    error: Option<ConsumeError>,
    /// The caller works on what the last poll gave.
    busy: bool,
    polled_at: Instant,
    woken: bool,
    closing: bool,
    ended: bool,
    commits: Vec<Commit>,
    topics: BTreeMap<String, Leaders>,
    /// Topics whose leaders have to be asked for.
    stale: bool,
    trouble: Option<ClientError>,
}

struct Shared {
    config: ConsumerConfig,
    subscription: Subscription,
    state: Mutex<State>,
    /// For the caller: there is something to poll.
    news: Condvar,
    /// For the network: the caller polls again, or wants something.
    polls: Notify,
    /// For the tasks that read: there is room, there are positions to find, or leaders to ask.
    changes: watch::Sender<u64>,
    /// For who asks for metadata.
    metadata: Notify,
}

/// See the module.
pub struct Consumer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Has a consumer's poll return at once: for signal handlers.
#[derive(Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

impl Waker {
    pub fn wake(&self) {
        self.shared.state.lock().woken = true;
        self.shared.news.notify_all();
    }
}

impl Consumer {
    /// Starts the network's thread, which joins the group and begins to read.
    ///
    /// # Errors
    /// [`ClientError::Config`]; a group is needed for all subscriptions but given partitions.
    pub fn start(
        properties: &ClientProperties,
        subscription: Subscription,
        notice: Option<super::Notice>,
    ) -> Result<Self, ClientError> {
        let config = ConsumerConfig::new(properties)?;
        if config.group_id.is_none() && !matches!(subscription, Subscription::Partitions(_)) {
            return Err(ClientError::Config(
                "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer configuration."
                    .into(),
            ));
        }
        // Two, so that a heartbeat never waits behind a fetch that waits for records.
        let notices = Notices::new(notice);
        let for_group = Client::new(properties)?.sharing(notices.clone());
        let for_records = Client::new(properties)?.sharing(notices);
        let mut reading = BTreeMap::new();
        if let Subscription::Partitions(partitions) = &subscription {
            for (partition, start) in partitions {
                reading.insert(partition.clone(), Reading::new(*start));
            }
        }
        let state = State {
            reading,
            assignment: 0,
            queue: VecDeque::new(),
            error: None,
            busy: false,
            polled_at: Instant::now(),
            woken: false,
            closing: false,
            ended: false,
            commits: Vec::new(),
            topics: BTreeMap::new(),
            stale: true,
            trouble: None,
        };
        let shared = Arc::new(Shared {
            config,
            subscription,
            state: Mutex::new(state),
            news: Condvar::new(),
            polls: Notify::new(),
            changes: watch::Sender::new(0),
            metadata: Notify::new(),
        });
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("consumer-network".into())
            .spawn(move || run(&of_thread, for_group, for_records))
            .map_err(|error| ClientError::Config(format!("no thread for the consumer can be started: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub fn waker(&self) -> Waker {
        Waker { shared: self.shared.clone() }
    }

    /// Waits for something up to `timeout`. The caller has finished with what the last poll gave, as far as it told with [`Self::consumed`].
    ///
    /// # Errors
    /// What the consumer cannot go on after.
    pub fn poll(&self, timeout: Duration) -> Result<Option<Polled>, ConsumeError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.state.lock();
        state.busy = false;
        state.polled_at = Instant::now();
        self.shared.polls.notify_one();
        loop {
            if std::mem::take(&mut state.woken) {
                return Ok(Some(Polled::Woken));
            }
            if let Some(polled) = state.queue.pop_front() {
                if let Polled::Records(chunk) = &polled {
                    let key = (chunk.topic.to_string(), chunk.partition);
                    if let Some(reading) = state.reading.get_mut(&key) {
                        reading.queued = reading.queued.saturating_sub(1);
                    }
                    self.shared.look();
                }
                state.busy = true;
                return Ok(Some(polled));
            }
            if let Some(error) = state.error.clone() {
                return Err(error);
            }
            if state.ended {
                return Err(ConsumeError::Client(ClientError::Config("the consumer's network has ended".into())));
            }
            let now = Instant::now();
            state.polled_at = now;
            match deadline {
                Some(deadline) if now >= deadline => return Ok(None),
                Some(deadline) => drop(self.shared.news.wait_for(&mut state, deadline - now)),
                None => drop(self.shared.news.wait_for(&mut state, Duration::from_secs(3600))),
            }
        }
    }

    /// The caller has done with a partition's records below `position`.
    pub fn consumed(&self, topic: &str, partition: i32, position: Position) {
        let mut state = self.shared.state.lock();
        if let Some(reading) = state.reading.get_mut(&(topic.to_owned(), partition)) {
            reading.consumed = Some(position);
        }
    }

    /// Commits these positions and waits until the group's coordinator has them.
    ///
    /// # Errors
    /// What the coordinator answered; [`ConsumeError::Client`] when it cannot be reached within `default.api.timeout.ms`.
    pub fn commit(&self, offsets: BTreeMap<Partition, Position>) -> Result<(), ConsumeError> {
        let (done, outcome) = oneshot::channel();
        self.shared.state.lock().commits.push(Commit { offsets, done });
        self.shared.polls.notify_one();
        let ended = || ConsumeError::Client(ClientError::Config("the consumer's network has ended".into()));
        outcome.blocking_recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Waits until every partition that is read has a position, so that what is written from now on is read.
    ///
    /// # Errors
    /// As [`Self::poll`]; [`ConsumeError::NoTopic`] after `timeout`.
    pub fn wait_for_positions(&self, timeout: Duration) -> Result<(), ConsumeError> {
        let begun_at = Instant::now();
        let mut state = self.shared.state.lock();
        loop {
            if let Some(error) = state.error.clone() {
                return Err(error);
            }
            let missing = state.reading.iter().find(|(_, reading)| reading.fetch_position.is_none());
            let Some(((topic, _), _)) = missing else { return Ok(()) };
            if begun_at.elapsed() >= timeout {
                return Err(match &state.trouble {
                    Some(trouble) => ConsumeError::Client(trouble.clone()),
                    None => ConsumeError::NoTopic { topic: topic.clone(), waited_ms: timeout.as_millis() },
                });
            }
            self.shared.news.wait_for(&mut state, Duration::from_millis(100));
        }
    }

    /// Commits positions if they commit themselves, leaves the group, and ends.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        {
            let mut state = self.shared.state.lock();
            state.closing = true;
            state.busy = false;
        }
        self.shared.polls.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Reading {
    fn new(start: StartAt) -> Self {
        let fetch_position = match start {
            StartAt::Offset(offset) => Some(offset),
            _ => None,
        };
        let consumed = fetch_position.map(|offset| Position { offset, leader_epoch: -1 });
        Self { fetch_position, start, consumed, queued: 0, not_before: None }
    }
}

impl Shared {
    /// Something for the caller to poll.
    fn tell(&self, polled: Polled) {
        self.state.lock().queue.push_back(polled);
        self.news.notify_all();
    }

    /// Has the tasks that read look at the state again.
    fn look(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The consumer cannot go on.
    fn fail(&self, error: ConsumeError) {
        self.state.lock().error.get_or_insert(error);
        self.news.notify_all();
    }

    fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    /// The leaders have to be asked for again.
    fn want_metadata(&self) {
        self.state.lock().stale = true;
        self.metadata.notify_one();
    }

    /// Where the caller is, for committing.
    fn positions(&self) -> BTreeMap<Partition, Position> {
        let state = self.state.lock();
        let known = |(partition, reading): (&Partition, &Reading)| Some((partition.clone(), reading.consumed?));
        state.reading.iter().filter_map(known).collect()
    }

    /// The topics that are read by name.
    fn named_topics(&self) -> Option<BTreeSet<String>> {
        match &self.subscription {
            Subscription::Topics(topics) => Some(topics.iter().cloned().collect()),
            Subscription::Partitions(partitions) => {
                Some(partitions.iter().map(|((topic, _), _)| topic.clone()).collect())
            }
            Subscription::Pattern(_) => None,
        }
    }
}

fn run(shared: &Arc<Shared>, for_group: Client, for_records: Client) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            let for_records = Arc::new(for_records);
            let metadata = tokio::spawn(metadata::follow(shared.clone(), for_records.clone()));
            let fetching = tokio::spawn(fetcher::run(shared.clone(), for_records.clone()));
            let positions = tokio::spawn(offsets::find_positions(shared.clone(), for_records));
            group::Member::new(shared.clone(), for_group).run().await;
            [metadata, fetching, positions].iter().for_each(tokio::task::JoinHandle::abort);
        }),
        Err(error) => {
            let why = format!("the consumer's network cannot start: {error}");
            shared.fail(ConsumeError::Client(ClientError::Config(why)));
        }
    }
    shared.state.lock().ended = true;
    shared.news.notify_all();
}

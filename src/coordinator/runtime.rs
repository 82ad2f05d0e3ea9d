//! Runs the shards of a coordinator: decide -> append -> reply after commit, for each partition of its topic that this broker leads.
//!
//! A shard is owned by one task. A request or a due timer is decided on the shard's state at once, and what it changes there is seen by the next one;
//! its records join a queue. One batch per partition is in flight; what queues up meanwhile makes the next one, so many requests share one commit.
//! A request without records is answered when everything before it has been committed. When an append fails, it fails with all that was decided
//! after it, and [`Shard::appended`] undoes their changes, last one first: then memory is what the log says.
//!
//! Never holds a lock across an await, and never blocks. One timer map per shard, no task per member.

use parking_lot::RwLock;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::log::{AppendError, BoxFuture, CoordinatorLog, LoadError};
use super::records::{CoordinatorRecord, Replayed, batch_size_bound_bytes, decode_batches, encode_batch};
use super::timers::Timers;
use crate::protocol::batch_error::BatchError;
use crate::protocol::compression::Compression;
use crate::types::LeaderEpoch;
use crate::types::time::SharedClock;

/// Requests that may wait for a shard's task. More wait with their senders.
const MAILBOX_CAPACITY: usize = 1024;
/// Requests taken in one go before a batch is sent: so a burst shares a commit, and timers are never far.
const MAX_OPERATIONS_PER_TURN: usize = 256;
/// Records that may queue up while the log does not answer. Past it, requests are refused: their clients retry, and memory stays bounded.
const MAX_QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// Pause before another attempt to load a partition that could not be read, or whose shard failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// State kept in one partition, and its rules.
pub trait Shard: Send + Sized + 'static {
    type Timer: Clone + Eq + Hash + Send;
    /// What is left to do once an append is through, and how to take a change back when it is not.
    type Followup: Send;

    /// Applies what the log holds, while loading.
    fn replay(&mut self, replayed: Replayed<'_>);
    /// The whole log has been replayed.
    fn loaded(&mut self, effects: &mut Effects<Self>);
    fn timer(&mut self, timer: Self::Timer, effects: &mut Effects<Self>);
    /// The records that a followup came with are committed, or are not in the log.
    fn appended(&mut self, followup: Self::Followup, result: Result<(), &AppendError>, effects: &mut Effects<Self>);
    /// Leadership is lost: whoever waits is told so. Nothing is called afterwards.
    fn unload(&mut self);
}

type Reply = Box<dyn FnOnce(Result<(), ResponseError>) + Send>;

enum TimerCommand<K> {
    Set(K, Duration),
    Cancel(K),
}

/// Records that go into one batch together, with what follows their commit.
struct Entry<S: Shard> {
    records: Vec<CoordinatorRecord>,
    followups: Vec<S::Followup>,
    replies: Vec<Reply>,
}

impl<S: Shard> Entry<S> {
    fn new() -> Self {
        Self { records: Vec::new(), followups: Vec::new(), replies: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.followups.is_empty() && self.replies.is_empty()
    }

    fn size_bound_bytes(&self) -> usize {
        self.records.iter().map(CoordinatorRecord::size_bound_bytes).sum()
    }
}

/// What a decision asks for besides the change of state that it has already made.
pub struct Effects<S: Shard> {
    /// The wall clock, read once per decision.
    pub now_ms: i64,
    entries: Vec<Entry<S>>,
    current: Entry<S>,
    timers: Vec<TimerCommand<S::Timer>>,
}

impl<S: Shard> Effects<S> {
    pub fn new(now_ms: i64) -> Self {
        Self { now_ms, entries: Vec::new(), current: Entry::new(), timers: Vec::new() }
    }

    pub fn append(&mut self, record: CoordinatorRecord) {
        self.current.records.push(record);
    }

    pub fn follow_up(&mut self, followup: S::Followup) {
        self.current.followups.push(followup);
    }

    /// What comes next may go into another batch. For decisions of many records that need not become durable as a whole.
    pub fn cut(&mut self) {
        if !self.current.records.is_empty() {
            self.entries.push(std::mem::replace(&mut self.current, Entry::new()));
        }
    }

    /// Called once everything decided up to here is committed, or with the error that clients are told.
    pub fn after_commit(&mut self, reply: impl FnOnce(Result<(), ResponseError>) + Send + 'static) {
        self.current.replies.push(Box::new(reply));
    }

    pub fn set_timer(&mut self, timer: S::Timer, after: Duration) {
        self.timers.push(TimerCommand::Set(timer, after));
    }

    pub fn cancel_timer(&mut self, timer: S::Timer) {
        self.timers.push(TimerCommand::Cancel(timer));
    }

    /// The records asked for so far, for tests of shards without a runtime.
    #[cfg(test)]
    pub fn records(&self) -> impl Iterator<Item = &CoordinatorRecord> {
        self.entries.iter().flat_map(|e| &e.records).chain(&self.current.records)
    }
}

/// A request's turn on its shard.
pub enum Turn<'a, S: Shard> {
    Run(&'a mut S, &'a mut Effects<S>),
    Refused(ResponseError),
}

type Operation<S> = Box<dyn FnOnce(Turn<'_, S>) + Send>;

enum Mailbox<S: Shard> {
    Loading,
    Active(mpsc::Sender<Operation<S>>),
}

struct Slot<S: Shard> {
    leader_epoch: LeaderEpoch,
    mailbox: Mailbox<S>,
}

type Slots<S> = Arc<RwLock<HashMap<i32, Slot<S>>>>;

/// The shards of the partitions that this broker leads.
pub struct Runtime<S: Shard> {
    log: Arc<dyn CoordinatorLog>,
    clock: SharedClock,
    slots: Slots<S>,
    compression: Compression,
    make_shard: Arc<dyn Fn(i32) -> S + Send + Sync>,
}

impl<S: Shard> Runtime<S> {
    pub fn new(
        log: Arc<dyn CoordinatorLog>,
        clock: SharedClock,
        compression: Compression,
        make_shard: impl Fn(i32) -> S + Send + Sync + 'static,
    ) -> Self {
        Self { log, clock, slots: Arc::default(), compression, make_shard: Arc::new(make_shard) }
    }

    /// This broker leads the partition from now on: loads its shard. An epoch that is not newer than the one known changes nothing, unless that
    /// one's shard has ended. Must be called within a tokio runtime.
    pub fn lead(&self, partition: i32, leader_epoch: LeaderEpoch) {
        {
            let mut slots = self.slots.write();
            if let Some(slot) = slots.get(&partition) {
                let ended = matches!(&slot.mailbox, Mailbox::Active(sender) if sender.is_closed());
                if slot.leader_epoch > leader_epoch || (slot.leader_epoch == leader_epoch && !ended) {
                    return;
                }
            }
            // An older shard's mailbox closes with this, and so ends it.
            slots.insert(partition, Slot { leader_epoch, mailbox: Mailbox::Loading });
        }
        let term = Term {
            partition,
            leader_epoch,
            log: self.log.clone(),
            clock: self.clock.clone(),
            compression: self.compression,
            slots: self.slots.clone(),
            make_shard: self.make_shard.clone(),
        };
        tokio::spawn(supervise(term));
    }

    /// This broker leads the partition no more (`leader_epoch`: up to which epoch, if it is known).
    pub fn resign(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        let mut slots = self.slots.write();
        let stale = |slot: &Slot<S>| leader_epoch.is_none_or(|epoch| slot.leader_epoch <= epoch);
        if slots.get(&partition).is_some_and(stale) {
            slots.remove(&partition);
        }
    }

    /// Lets every shard go.
    pub fn shutdown(&self) {
        self.slots.write().clear();
    }

    /// The partitions led here, loaded or not, in order.
    pub fn partitions(&self) -> Vec<i32> {
        let mut partitions: Vec<i32> = self.slots.read().keys().copied().collect();
        partitions.sort_unstable();
        partitions
    }

    /// Gives an operation its turn on a partition's shard. When this returns an error, the operation never gets one.
    /// Errors: `NotCoordinator`, `CoordinatorLoadInProgress`.
    pub async fn submit(
        &self,
        partition: i32,
        operation: impl FnOnce(Turn<'_, S>) + Send + 'static,
    ) -> Result<(), ResponseError> {
        let sender = match self.slots.read().get(&partition) {
            None => return Err(ResponseError::NotCoordinator),
            Some(Slot { mailbox: Mailbox::Loading, .. }) => return Err(ResponseError::CoordinatorLoadInProgress),
            Some(Slot { mailbox: Mailbox::Active(sender), .. }) => sender.clone(),
        };
        sender.send(Box::new(operation)).await.map_err(|_| ResponseError::NotCoordinator)
    }
}

/// Kafka's codes for coordinator requests whose append failed (`CoordinatorOperationExceptionHelper`).
pub fn client_error(error: &AppendError) -> ResponseError {
    match error {
        AppendError::NotLeader { .. } | AppendError::Storage(_) => ResponseError::NotCoordinator,
        AppendError::UnknownPartition { .. } | AppendError::NotEnoughReplicas(_) => {
            ResponseError::CoordinatorNotAvailable
        }
        AppendError::TooLarge { .. } => ResponseError::UnknownServerError,
    }
}

/// The time for which this broker leads a partition with one epoch, and what a worker is made of.
struct Term<S: Shard> {
    partition: i32,
    leader_epoch: LeaderEpoch,
    log: Arc<dyn CoordinatorLog>,
    clock: SharedClock,
    compression: Compression,
    slots: Slots<S>,
    make_shard: Arc<dyn Fn(i32) -> S + Send + Sync>,
}

impl<S: Shard> Term<S> {
    fn worker(&self) -> Worker<S> {
        Worker {
            partition: self.partition,
            leader_epoch: self.leader_epoch,
            log: self.log.clone(),
            clock: self.clock.clone(),
            compression: self.compression,
            shard: (self.make_shard)(self.partition),
            timers: Timers::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_flight: None,
        }
    }

    /// Whether the term goes on.
    fn lasts(&self) -> bool {
        self.slots.read().get(&self.partition).is_some_and(|slot| slot.leader_epoch == self.leader_epoch)
    }

    /// False when the term is over.
    fn set_mailbox(&self, mailbox: Mailbox<S>) -> bool {
        match self.slots.write().get_mut(&self.partition) {
            Some(slot) if slot.leader_epoch == self.leader_epoch => {
                slot.mailbox = mailbox;
                true
            }
            _ => false,
        }
    }

    fn end(&self) {
        let mut slots = self.slots.write();
        if slots.get(&self.partition).is_some_and(|slot| slot.leader_epoch == self.leader_epoch) {
            slots.remove(&self.partition);
        }
    }
}

/// Runs a term's shard. One that panics is a defect, but takes only its own memory with it: it is loaded again.
async fn supervise<S: Shard>(term: Term<S>) {
    let term = Arc::new(term);
    while let Err(error) = tokio::spawn(load_and_run(term.clone())).await {
        if !error.is_panic() || !term.set_mailbox(Mailbox::Loading) {
            return;
        }
        tracing::error!(partition = term.partition, %error, "the coordinator's shard failed and is loaded again");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn load_and_run<S: Shard>(term: Arc<Term<S>>) {
    let (partition, leader_epoch) = (term.partition, term.leader_epoch);
    let begun = Instant::now();
    let mut worker = term.worker();
    loop {
        match worker.load(|| term.lasts()).await {
            Ok(true) => break,
            Ok(false) => return,
            Err(LoadFailure::Log(LoadError::NotLeader { .. })) => return term.end(),
            Err(error) => {
                tracing::error!(partition, leader_epoch, %error, "the coordinator's partition cannot be loaded; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
                worker = term.worker();
            }
        }
    }
    let (sender, mailbox) = mpsc::channel(MAILBOX_CAPACITY);
    if !term.set_mailbox(Mailbox::Active(sender)) {
        return;
    }
    tracing::debug!(partition, leader_epoch, took = ?begun.elapsed(), "the coordinator's partition is loaded");
    worker.run(mailbox).await;
}

#[derive(Debug, thiserror::Error)]
enum LoadFailure {
    #[error(transparent)]
    Log(#[from] LoadError),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

struct InFlight<S: Shard> {
    entries: Vec<Entry<S>>,
    append: BoxFuture<Result<(), AppendError>>,
}

/// The task that owns a shard.
struct Worker<S: Shard> {
    partition: i32,
    leader_epoch: LeaderEpoch,
    log: Arc<dyn CoordinatorLog>,
    clock: SharedClock,
    compression: Compression,
    shard: S,
    timers: Timers<S::Timer>,
    /// Decided, not yet sent to the log.
    queue: VecDeque<Entry<S>>,
    queued_bytes: usize,
    in_flight: Option<InFlight<S>>,
}

enum Event<S: Shard> {
    Appended(Result<(), AppendError>),
    TimersDue,
    Operation(Operation<S>),
    Closed,
}

impl<S: Shard> Worker<S> {
    /// True when everything is loaded; false when the partition has been given away meanwhile.
    async fn load(&mut self, is_ours: impl Fn() -> bool) -> Result<bool, LoadFailure> {
        let mut from_offset = 0;
        loop {
            let chunk = self.log.load(self.partition, self.leader_epoch, from_offset).await?;
            if !is_ours() {
                return Ok(false);
            }
            for batches in &chunk.batches {
                decode_batches(batches, &mut |replayed| self.shard.replay(replayed))?;
            }
            match chunk.next_offset {
                Some(next) => from_offset = next,
                None => return Ok(true),
            }
        }
    }

    async fn run(mut self, mut mailbox: mpsc::Receiver<Operation<S>>) {
        self.decide(|shard, effects| shard.loaded(effects));
        loop {
            self.send_next();
            match self.next_event(&mut mailbox).await {
                Event::Appended(Ok(())) => self.committed(),
                Event::Appended(Err(error @ AppendError::NotLeader { .. })) => {
                    tracing::info!(partition = self.partition, %error, "the coordinator lets go of its partition");
                    break;
                }
                Event::Appended(Err(error)) => self.failed(&error),
                Event::TimersDue => self.fire_timers(),
                Event::Operation(operation) => {
                    self.operate(operation);
                    for _ in 1..MAX_OPERATIONS_PER_TURN {
                        let Ok(operation) = mailbox.try_recv() else { break };
                        self.operate(operation);
                    }
                }
                Event::Closed => break,
            }
        }
        mailbox.close();
        self.let_go();
        while let Ok(operation) = mailbox.try_recv() {
            operation(Turn::Refused(ResponseError::NotCoordinator));
        }
    }

    async fn next_event(&mut self, mailbox: &mut mpsc::Receiver<Operation<S>>) -> Event<S> {
        let deadline = self.timers.next_deadline();
        let appending = self.in_flight.is_some();
        let append = async {
            match &mut self.in_flight {
                Some(in_flight) => in_flight.append.as_mut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = append, if appending => Event::Appended(result),
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Event::TimersDue,
            operation = mailbox.recv() => operation.map_or(Event::Closed, Event::Operation),
        }
    }

    /// What a batch's records may take before they are compressed: codecs can add a little to what they cannot make smaller.
    fn max_batch_bytes(&self) -> usize {
        let max_bytes = self.log.max_batch_bytes();
        if self.compression == Compression::None { max_bytes } else { max_bytes - max_bytes / 64 }
    }

    fn decide(&mut self, decision: impl FnOnce(&mut S, &mut Effects<S>)) {
        let mut effects = Effects::new(self.clock.wall_ms());
        decision(&mut self.shard, &mut effects);
        self.take(effects);
    }

    fn operate(&mut self, operation: Operation<S>) {
        if self.queued_bytes > MAX_QUEUED_BYTES {
            return operation(Turn::Refused(ResponseError::CoordinatorNotAvailable));
        }
        self.decide(|shard, effects| operation(Turn::Run(shard, effects)));
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(timer) = self.timers.pop_due(now) {
            self.decide(|shard, effects| shard.timer(timer, effects));
        }
    }

    fn take(&mut self, effects: Effects<S>) {
        let Effects { mut entries, current, timers, .. } = effects;
        let now = Instant::now();
        for command in timers {
            match command {
                TimerCommand::Set(timer, after) => self.timers.set(timer, now + after),
                TimerCommand::Cancel(timer) => self.timers.cancel(&timer),
            }
        }
        if !current.is_empty() {
            entries.push(current);
        }
        let max_bytes = self.max_batch_bytes();
        for entry in entries {
            let bytes = entry.size_bound_bytes();
            if !entry.records.is_empty() && batch_size_bound_bytes(bytes) > max_bytes {
                let error = AppendError::TooLarge { bytes: batch_size_bound_bytes(bytes), max_bytes };
                tracing::warn!(partition = self.partition, %error, "a coordinator's records do not fit a batch");
                self.undo(vec![entry], &error);
            } else {
                self.queued_bytes += bytes;
                self.queue.push_back(entry);
            }
        }
    }

    /// Answers what waits for nothing, and sends the next batch if none is in flight.
    fn send_next(&mut self) {
        while self.in_flight.is_none() {
            let Some(first) = self.queue.pop_front() else { return };
            if first.records.is_empty() {
                self.end_well(first);
                continue;
            }
            let max_bytes = self.max_batch_bytes();
            let mut bytes = first.size_bound_bytes();
            let mut entries = vec![first];
            while let Some(next) = self.queue.front()
                && batch_size_bound_bytes(bytes + next.size_bound_bytes()) <= max_bytes
            {
                bytes += next.size_bound_bytes();
                entries.extend(self.queue.pop_front());
            }
            self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
            self.send(entries);
        }
    }

    fn send(&mut self, mut entries: Vec<Entry<S>>) {
        let records: Vec<CoordinatorRecord> =
            entries.iter_mut().flat_map(|entry| std::mem::take(&mut entry.records)).collect();
        match encode_batch(&records, self.clock.wall_ms(), self.compression) {
            Ok(batch) => {
                let append = self.log.append(self.partition, self.leader_epoch, batch);
                self.in_flight = Some(InFlight { entries, append });
            }
            Err(error) => {
                let error = AppendError::Storage(error.to_string());
                self.undo(entries, &error);
            }
        }
    }

    fn committed(&mut self) {
        let Some(in_flight) = self.in_flight.take() else { return };
        for entry in in_flight.entries {
            self.end_well(entry);
        }
    }

    fn end_well(&mut self, entry: Entry<S>) {
        for followup in entry.followups {
            self.decide(|shard, effects| shard.appended(followup, Ok(()), effects));
        }
        for reply in entry.replies {
            reply(Ok(()));
        }
    }

    /// The batch in flight is not in the log: nor is anything that was decided on its grounds.
    fn failed(&mut self, error: &AppendError) {
        tracing::warn!(partition = self.partition, leader_epoch = self.leader_epoch, %error, "the coordinator's append failed");
        let mut entries = self.in_flight.take().map_or_else(Vec::new, |in_flight| in_flight.entries);
        entries.extend(self.queue.drain(..));
        self.queued_bytes = 0;
        self.undo(entries, error);
    }

    fn undo(&mut self, mut entries: Vec<Entry<S>>, error: &AppendError) {
        for entry in entries.iter_mut().rev() {
            for followup in std::mem::take(&mut entry.followups).into_iter().rev() {
                self.decide(|shard, effects| shard.appended(followup, Err(error), effects));
            }
        }
        for reply in entries.into_iter().flat_map(|entry| entry.replies) {
            reply(Err(client_error(error)));
        }
    }

    fn let_go(&mut self) {
        self.shard.unload();
        let waiting = self.in_flight.take().map_or_else(Vec::new, |in_flight| in_flight.entries);
        for entry in waiting.into_iter().chain(self.queue.drain(..)) {
            for reply in entry.replies {
                reply(Err(ResponseError::NotCoordinator));
            }
        }
    }
}

//! The producer's network: finds leaders, sends what is ready, and settles what comes back.
//!
//! One task per broker keeps up to `max.in.flight.requests.per.connection` requests under way; one task asks for metadata; the main one gives out work,
//! gets identities (KIP-98, KIP-360) and lets go of what has waited too long. Never takes a batch from one partition out of its order.

use ahash::AHashMap;
use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, InitProducerIdRequest, MetadataRequest, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

use super::super::connection::Connection;
use super::super::produce_request::{self, PartitionBatch};
use super::super::{Client, ClientError, ServerError, To};
use super::batches::{Batch, ProducerIdentity};
use super::partitioner::Sticky;
use super::{Numbering, OnDone, Placed, SendError, Shared, Topic};

/// Batches in one request: each takes two pieces of a vectored write, of which the kernel takes 1,024.
const MAX_BATCHES: usize = 400;
/// How often the main task looks around without being woken.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// Codes that have the leaders asked for again: not the leader, no leader, not there (yet), fenced.
const STALE_METADATA: [i16; 7] = [3, 5, 6, 56, 74, 75, 100];
/// Codes after which a batch is sent again: those, a broken checksum, time-outs, too few replicas, and their kin.
const RETRIABLE: [i16; 14] = [2, 3, 5, 6, 7, 9, 13, 19, 20, 56, 74, 75, 89, 100];
const MESSAGE_TOO_LARGE: i16 = 10;
const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;
/// OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER_ID: the numbering is lost.
const NUMBERING_LOST: [i16; 3] = [45, 47, 59];

/// What all tasks of one producer share.
struct Network<T> {
    shared: Arc<Shared<T>>,
    client: Client,
    on_done: Mutex<OnDone<T>>,
    brokers: Mutex<AHashMap<i32, Arc<Notify>>>,
    metadata: Notify,
}

/// Runs until the producer is closed and everything is told of.
pub(super) fn run<T: Send + 'static>(shared: Arc<Shared<T>>, client: Client, on_done: OnDone<T>) {
    let network = Arc::new(Network {
        shared: shared.clone(),
        client,
        on_done: Mutex::new(on_done),
        brokers: Mutex::default(),
        metadata: Notify::new(),
    });
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(network.main()),
        Err(error) => {
            let why = format!("the producer's network cannot start: {error}");
            shared.state.lock().fatal = Some(SendError::Client(ClientError::Config(why)));
        }
    }
    shared.state.lock().ended = true;
    shared.changed.notify_all();
}

impl<T: Send + 'static> Network<T> {
    async fn main(self: Arc<Self>) {
        let metadata = tokio::spawn(self.clone().follow_metadata());
        loop {
            self.renew_identity().await;
            self.let_go_of_the_old();
            let now = Instant::now();
            self.give_out_work(now);
            let next = {
                let state = self.shared.state.lock();
                if state.closing && state.batches.is_idle() {
                    break;
                }
                state.batches.next_ready_after(now)
            };
            let soon = Instant::now() + LOOK_AROUND;
            let until = next.map_or(soon, |next| next.min(soon));
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep_until(until.into()) => {}
            }
        }
        metadata.abort();
        self.client.close().await;
    }

    /// Wakes the tasks of the brokers that have something to send, and makes those that are new.
    fn give_out_work(self: &Arc<Self>, now: Instant) {
        let mut state = self.shared.state.lock();
        let ready = state.batches.ready(now, state.is_hurried(&self.shared.config));
        for (topic, partition) in ready {
            match state.leader(&topic, partition) {
                Some(leader) => self.broker(leader).notify_one(),
                None => drop(state.wanted.insert(topic)),
            }
        }
        if !state.wanted.is_empty() {
            self.metadata.notify_one();
        }
        self.shared.changed.notify_all();
    }

    fn broker(self: &Arc<Self>, id: i32) -> Arc<Notify> {
        let mut brokers = self.brokers.lock();
        let notify = brokers.entry(id).or_insert_with(|| {
            let notify = Arc::new(Notify::new());
            tokio::spawn(self.clone().serve_broker(id, notify.clone()));
            notify
        });
        notify.clone()
    }

    /// Takes out what has waited for `delivery.timeout.ms`, and tells of it.
    fn let_go_of_the_old(&self) {
        let timeout = self.shared.config.delivery_timeout;
        let mut state = self.shared.state.lock();
        let Ok(expired) = state.batches.expired(Instant::now(), timeout) else { return };
        if expired.iter().any(|batch| batch.sequence != -1) {
            state.lose_numbering();
        }
        let troubles: Vec<Option<ClientError>> = expired.iter().map(|batch| state.trouble_of(batch)).collect();
        drop(state);
        for (batch, trouble) in expired.into_iter().zip(troubles) {
            let error = self.expired(&batch, trouble.as_ref());
            self.tell(batch, Err(&error));
        }
    }

    fn expired(&self, batch: &Batch<T>, trouble: Option<&ClientError>) -> SendError {
        SendError::Expired {
            topic: batch.topic.to_string(),
            partition: batch.partition,
            records: batch.record_count(),
            age_ms: batch.begun_at.elapsed().as_millis(),
            last: trouble.map_or_else(String::new, |trouble| format!(" ({trouble})")),
        }
    }

    fn tell(&self, batch: Batch<T>, outcome: Result<i64, &SendError>) {
        let mut on_done = self.on_done.lock();
        for (index, tag) in batch.tags.into_iter().enumerate() {
            let told = outcome.map(|base_offset| {
                let offset = if base_offset < 0 { -1 } else { base_offset.saturating_add(index as i64) };
                Placed { topic: batch.topic.clone(), partition: batch.partition, offset }
            });
            on_done(tag, told);
        }
        self.shared.changed.notify_all();
    }

    /// Asks for a producer id when one is wanted and nothing is in flight.
    async fn renew_identity(&self) {
        {
            let state = self.shared.state.lock();
            let idle = state.batches.is_idle() && state.topics.is_empty();
            if !matches!(state.numbering, Numbering::Wanted(_)) || !state.batches.may_renumber() || idle {
                return;
            }
        }
        // Old versions take no id of an earlier one; a new id does as well as a new epoch.
        let request =
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(i32::MAX);
        let outcome = match self.client.connection(&To::Any).await {
            Ok(connection) => match connection.version_of::<InitProducerIdRequest>(i16::MAX) {
                Ok(version) => connection.send(&request, version).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        let mut state = self.shared.state.lock();
        match outcome {
            Ok(answer) => match ServerError::check(answer.error_code, None) {
                Ok(()) => {
                    state.batches.renumber();
                    let identity = ProducerIdentity { id: answer.producer_id.0, epoch: answer.producer_epoch };
                    state.numbering = Numbering::By(identity);
                }
                // CLUSTER_AUTHORIZATION_FAILED and what else another try does not change.
                Err(error) if !RETRIABLE.contains(&error.code) && ![14, 15, 16, 51].contains(&error.code) => {
                    state.fatal = Some(SendError::Server(error));
                }
                Err(_) => {}
            },
            Err(error @ ClientError::Unsupported { .. }) => state.fatal = Some(SendError::Client(error)),
            Err(error) => {
                self.client.tell_trouble(&error);
                state.trouble = Some(error);
            }
        }
    }

    /// Asks for the leaders of what is wanted, and for all that is known when it is old.
    async fn follow_metadata(self: Arc<Self>) {
        let mut asked_at = Instant::now();
        loop {
            let max_age = self.shared.config.metadata_max_age;
            let _ = tokio::time::timeout(max_age, self.metadata.notified()).await;
            let mut topics: Vec<Arc<str>> = {
                let state = self.shared.state.lock();
                state.wanted.iter().cloned().collect()
            };
            if asked_at.elapsed() >= max_age {
                topics = self.shared.state.lock().topics.keys().cloned().collect();
            }
            if topics.is_empty() {
                continue;
            }
            match self.ask_for(&topics).await {
                Ok(()) => asked_at = Instant::now(),
                Err(error) => {
                    self.client.forget_view();
                    self.client.tell_trouble(&error);
                    self.shared.state.lock().trouble = Some(error);
                }
            }
            self.shared.wake.notify_one();
            self.shared.changed.notify_all();
            // What has no leader yet is not asked for all the time.
            if !self.shared.state.lock().wanted.is_empty() {
                tokio::time::sleep(self.shared.config.retry_backoff).await;
            }
        }
    }

    async fn ask_for(&self, topics: &[Arc<str>]) -> Result<(), ClientError> {
        let connection = self.client.connection(&To::Any).await?;
        let version = connection.version_of::<MetadataRequest>(i16::MAX)?;
        let named = |topic: &Arc<str>| {
            let name = TopicName(StrBytes::from_string(topic.to_string()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(topics.iter().map(named).collect()))
            .with_allow_auto_topic_creation(true);
        let answer = connection.send(&request, version).await?;
        // Addresses may have changed with the leaders.
        self.client.forget_view();
        let mut state = self.shared.state.lock();
        for topic in answer.topics {
            let Some(name) = topic.name.map(|name| Arc::<str>::from(name.as_str())) else { continue };
            match ServerError::from_code(topic.error_code, None) {
                None => {}
                // INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED.
                Some(error) if [17, 29].contains(&error.code) => {
                    state.wanted.remove(&name);
                    state.refused.insert(name, error);
                    continue;
                }
                Some(_) => continue,
            }
            let mut leaders = vec![-1; topic.partitions.len()];
            for partition in &topic.partitions {
                let place = usize::try_from(partition.partition_index).ok().and_then(|index| leaders.get_mut(index));
                if let Some(leader) = place {
                    *leader = if partition.error_code == 0 || partition.leader_id.0 >= 0 {
                        partition.leader_id.0
                    } else {
                        -1
                    };
                }
            }
            if leaders.iter().all(|leader| *leader >= 0) && !leaders.is_empty() {
                state.wanted.remove(&name);
            }
            let seed = rand_seed();
            let known =
                state.topics.entry(name).or_insert_with(|| Topic { leaders: Vec::new(), sticky: Sticky::new(seed) });
            known.leaders = leaders;
        }
        state.trouble = None;
        Ok(())
    }

    /// Sends to one broker for as long as the producer lives.
    async fn serve_broker(self: Arc<Self>, id: i32, notify: Arc<Notify>) {
        let config = &self.shared.config;
        let mut backoff = config.retry_backoff.min(Duration::from_millis(50));
        loop {
            notify.notified().await;
            if !self.has_work(id) {
                continue;
            }
            match self.client.connection(&To::Broker(id)).await {
                Ok(connection) => {
                    self.shared.state.lock().unreachable.remove(&id);
                    backoff = config.retry_backoff.min(Duration::from_millis(50));
                    Broker { network: &self, id, connection: &connection, flying: VecDeque::new() }
                        .drive(&notify)
                        .await;
                }
                Err(error) => {
                    self.client.forget_view();
                    self.cannot_reach(id, error);
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(config.retry_backoff_max);
                }
            }
            self.shared.wake.notify_one();
        }
    }

    fn cannot_reach(&self, id: i32, error: ClientError) {
        self.client.tell_trouble(&error);
        let mut state = self.shared.state.lock();
        state.want_led_by(id);
        state.unreachable.insert(id, error);
    }

    fn has_work(&self, id: i32) -> bool {
        let state = self.shared.state.lock();
        let ready = state.batches.ready(Instant::now(), state.is_hurried(&self.shared.config));
        ready.iter().any(|(topic, partition)| state.leader(topic, *partition) == Some(id))
    }

    /// Settles a batch that the broker did not take, or of which nothing was heard.
    fn failed(&self, mut batch: Batch<T>, error: SendError, uncertain: bool) {
        let config = &self.shared.config;
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        let code = match &error {
            SendError::Server(error) => error.code,
            _ => 13,
        };
        if code == MESSAGE_TOO_LARGE {
            batch = match state.batches.split(batch) {
                Ok(()) => return,
                Err(batch) => batch,
            };
        }
        if STALE_METADATA.contains(&code) || code == 13 {
            state.wanted.insert(batch.topic.clone());
            self.metadata.notify_one();
        }
        let lost = NUMBERING_LOST.contains(&code) && batch.sequence != -1;
        let follows = lost && state.batches.has_earlier(&batch);
        if lost && !follows {
            state.lose_numbering();
        }
        // With nothing known of a send, a broker's answer to the next one says whether it had arrived: but only if the numbers say so.
        batch.uncertain = if lost { false } else { batch.uncertain || uncertain };
        let expired = now.saturating_duration_since(batch.begun_at) >= config.delivery_timeout;
        let again = RETRIABLE.contains(&code) || lost;
        if again && !expired && batch.attempts <= config.retries {
            let factor = 2u32.saturating_pow(batch.attempts.saturating_sub(1).min(16));
            let wait = (config.retry_backoff.saturating_mul(factor)).min(config.retry_backoff_max);
            state.batches.put_back(batch, now + wait);
            return;
        }
        if batch.sequence != -1 {
            // Its numbers are missing now: what follows would be out of order.
            state.lose_numbering();
        }
        state.batches.done(&batch);
        drop(state);
        let error = match expired && again {
            true => self.expired(&batch, None),
            false => error,
        };
        self.tell(batch, Err(&error));
    }

    fn arrived(&self, batch: Batch<T>, base_offset: i64) {
        self.shared.state.lock().batches.arrived(&batch);
        self.tell(batch, Ok(base_offset));
    }
}

impl<T> super::State<T> {
    fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        let leaders = &self.topics.get(topic)?.leaders;
        leaders.get(usize::try_from(partition).ok()?).copied().filter(|leader| *leader >= 0)
    }

    /// What has kept a batch from being sent: its leader cannot be reached, or what else is wrong with the network.
    fn trouble_of(&self, batch: &Batch<T>) -> Option<ClientError> {
        let of_leader = self.leader(&batch.topic, batch.partition).and_then(|leader| self.unreachable.get(&leader));
        of_leader.or(self.trouble.as_ref()).cloned()
    }

    /// Whether batches leave without lingering: somebody waits for all of them, or for memory.
    fn is_hurried(&self, config: &super::ProducerConfig) -> bool {
        let full = self.batches.charged_bytes() + config.rules.batch_bytes * 2 > config.buffer_bytes;
        self.flushing > 0 || self.closing || full
    }

    fn lose_numbering(&mut self) {
        if let Numbering::By(identity) = self.numbering {
            self.numbering = Numbering::Wanted(Some(identity));
        }
    }

    fn want_led_by(&mut self, id: i32) {
        let led = self.topics.iter().filter(|(_, topic)| topic.leaders.contains(&id)).map(|(name, _)| name.clone());
        self.wanted.extend(led.collect::<Vec<_>>());
    }
}

/// What a request comes to; with `acks=0` nothing, once it is written.
type Reply<'c> = Pin<Box<dyn Future<Output = Result<Bytes, ClientError>> + Send + 'c>>;

/// A request that is under way.
struct Flight<'c, T> {
    batches: Vec<Batch<T>>,
    version: i16,
    reply: Reply<'c>,
}

/// One connection's worth of sending.
struct Broker<'n, T> {
    network: &'n Network<T>,
    id: i32,
    connection: &'n Connection,
    flying: VecDeque<Flight<'n, T>>,
}

impl<T: Send + 'static> Broker<'_, T> {
    /// Sends and settles until there is nothing more to do, or the connection breaks. Replies come in the order of the requests.
    async fn drive(mut self, notify: &Notify) {
        let max_in_flight = self.network.shared.config.max_in_flight;
        loop {
            while self.flying.len() < max_in_flight {
                if !self.send_some() {
                    break;
                }
            }
            let Some(first) = self.flying.front_mut() else { return };
            tokio::select! {
                biased;
                reply = &mut first.reply => {
                    if let Some(flight) = self.flying.pop_front() {
                        self.settle(flight, reply);
                    }
                    self.network.shared.wake.notify_one();
                }
                () = notify.notified() => {}
            }
        }
    }

    /// Sends one request with what is ready. False when nothing is.
    fn send_some(&mut self) -> bool {
        let config = &self.network.shared.config;
        let version = match self.connection.version_of::<ProduceRequest>(produce_request::NEWEST_VERSION) {
            Ok(version) => version,
            Err(error) => {
                self.network.shared.state.lock().fatal = Some(SendError::Client(error));
                return false;
            }
        };
        let batches = self.network.take_ready(self.id);
        if batches.is_empty() {
            return false;
        }
        let parts: Vec<PartitionBatch<'_>> = batches
            .iter()
            .map(|batch| PartitionBatch { topic: &batch.topic, partition: batch.partition, batch: batch.to_bytes() })
            .collect();
        let body = produce_request::body(version, config.acks, config.request_timeout, &parts);
        drop(parts);
        let key = ApiKey::Produce as i16;
        // Without an answer, a request is under way until it is written: so what a peer does not read stays in the producer's memory, which is bounded, and a
        // flush or a close waits for it.
        let begun: Result<Reply<'_>, ClientError> = match config.acks {
            0 => self.connection.begin_unanswered(key, version, body).map(|unanswered| {
                let written = unanswered.written(config.request_timeout);
                Box::pin(async { written.await.map(|()| Bytes::new()) }) as Reply<'_>
            }),
            _ => self
                .connection
                .begin(key, version, body)
                .map(|pending| Box::pin(pending.wait(config.request_timeout)) as Reply<'_>),
        };
        let reply = begun.unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))));
        self.flying.push_back(Flight { batches, version, reply });
        true
    }

    fn settle(&self, flight: Flight<'_, T>, reply: Result<Bytes, ClientError>) {
        if reply.is_ok() && self.network.shared.config.acks == 0 {
            return flight.batches.into_iter().for_each(|batch| self.network.arrived(batch, -1));
        }
        let decoded = reply.and_then(|reply| self.connection.decode_reply::<ProduceRequest>(reply, flight.version));
        let answer = match decoded {
            Ok(answer) => answer,
            Err(error) => {
                self.network.shared.state.lock().trouble = Some(error.clone());
                for batch in flight.batches {
                    self.network.failed(batch, SendError::Client(error.clone()), true);
                }
                return;
            }
        };
        for batch in flight.batches {
            match outcome_of(&answer, &batch) {
                Ok(base_offset) => self.network.arrived(batch, base_offset),
                Err(error) => self.network.failed(batch, SendError::Server(error), false),
            }
        }
    }
}

/// The base offset that a batch got, or what the broker has against it.
fn outcome_of<T>(answer: &ProduceResponse, batch: &Batch<T>) -> Result<i64, ServerError> {
    let found = answer
        .responses
        .iter()
        .filter(|topic| topic.name.as_str() == &*batch.topic)
        .flat_map(|topic| &topic.partition_responses)
        .find(|partition| partition.index == batch.partition);
    let Some(partition) = found else {
        let what = format!("the broker's answer says nothing of {}-{}", batch.topic, batch.partition);
        return Err(ServerError { code: -1, message: what });
    };
    if partition.error_code == DUPLICATE_SEQUENCE_NUMBER {
        return Ok(-1);
    }
    ServerError::check(partition.error_code, partition.error_message.as_deref())?;
    Ok(partition.base_offset)
}

impl<T> Network<T> {
    /// One batch of each partition that a broker leads and that has one ready, up to `max.request.size`.
    fn take_ready(&self, id: i32) -> Vec<Batch<T>> {
        let config = &self.shared.config;
        let mut state = self.shared.state.lock();
        let (identity, only_uncertain) = match state.numbering {
            Numbering::Off => (None, false),
            Numbering::By(identity) => (Some(identity), false),
            Numbering::Wanted(Some(old)) => (Some(old), true),
            Numbering::Wanted(None) => return Vec::new(),
        };
        let mut taken: Vec<Batch<T>> = Vec::new();
        let mut bytes = 0;
        for (topic, partition) in state.batches.ready(Instant::now(), state.is_hurried(config)) {
            let kept = only_uncertain && !state.batches.is_uncertain(&topic, partition);
            if kept || state.leader(&topic, partition) != Some(id) {
                continue;
            }
            if taken.len() == MAX_BATCHES || bytes >= config.max_request_bytes {
                break;
            }
            if let Ok(Some(batch)) = state.batches.take(&topic, partition, identity) {
                bytes += batch.size_bytes();
                taken.push(batch);
            }
        }
        // Batches of one topic lie next to each other in the request.
        taken.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        taken
    }
}

/// Something that differs between producers.
fn rand_seed() -> u64 {
    let id = uuid::Uuid::new_v4().as_u128();
    (id as u64) ^ ((id >> 64) as u64)
}

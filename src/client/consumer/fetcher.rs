//! The consumer's fetches: one under way per broker, a few chunks ahead of the caller for each partition.
//!
//! Never hands on what was fetched for an assignment that is over, and never fetches further ahead than [`MAX_QUEUED`] chunks.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Client, ClientError, ServerError, To};
use super::chunk::Chunk;
use super::offsets::by_reset;
use super::{ConsumeError, Partition, Polled, Shared};

/// The newest Fetch that names topics by their names.
const NEWEST_FETCH_VERSION: i16 = 12;
/// Chunks of a partition that wait for the caller while another one is fetched.
const MAX_QUEUED: usize = 2;
/// How long a fetch waits for records while another partition only waits for the caller.
const SHORT_WAIT: Duration = Duration::from_millis(10);

/// How long nothing is looked at without a change.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);

const OFFSET_OUT_OF_RANGE: i16 = 1;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

/// A fetch to make: what of each partition.
struct Round {
    assignment: u64,
    /// Position and the leader's epoch.
    partitions: BTreeMap<Partition, (i64, i32)>,
    wait: Duration,
}

/// Gives each broker that leads something a task, as they come.
pub(super) async fn run(shared: Arc<Shared>, client: Arc<Client>) {
    let mut tasks: BTreeMap<i32, tokio::task::JoinHandle<()>> = BTreeMap::new();
    let mut changes = shared.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let leaders: BTreeSet<i32> = {
            let state = shared.state.lock();
            let leader = |(topic, partition): &Partition| {
                state.topics.get(topic).and_then(|leaders| leaders.get(partition)).map(|(leader, _)| *leader)
            };
            state.reading.keys().filter_map(leader).filter(|leader| *leader >= 0).collect()
        };
        for leader in leaders {
            tasks.entry(leader).or_insert_with(|| tokio::spawn(serve(shared.clone(), client.clone(), leader)));
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn serve(shared: Arc<Shared>, client: Arc<Client>, leader: i32) {
    let mut backoff = Duration::from_millis(50);
    let mut changes = shared.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let Some(round) = next_round(&shared, leader) else {
            // By time alone only what was refused becomes due.
            let _ = tokio::time::timeout(REFUSED_PAUSE, changes.changed()).await;
            continue;
        };
        match fetch(&shared, &client, leader, &round).await {
            Ok(answer) => {
                backoff = Duration::from_millis(50);
                take_over(&shared, &round, answer);
            }
            Err(error) => {
                client.forget_view();
                client.tell_trouble(&error);
                shared.state.lock().trouble = Some(error);
                shared.want_metadata();
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(Duration::from_secs(1));
            }
        }
    }
}

/// What a broker is asked for now; `None` when there is nothing.
fn next_round(shared: &Shared, leader: i32) -> Option<Round> {
    let state = shared.state.lock();
    let now = Instant::now();
    let mut partitions = BTreeMap::new();
    let mut others_wait = false;
    for (partition, reading) in &state.reading {
        let led = state.topics.get(&partition.0).and_then(|leaders| leaders.get(&partition.1));
        let Some((_, epoch)) = led.filter(|(id, _)| *id == leader) else { continue };
        let Some(position) = reading.fetch_position else { continue };
        if reading.queued >= MAX_QUEUED || reading.not_before.is_some_and(|instant| instant > now) {
            others_wait = true;
            continue;
        }
        partitions.insert(partition.clone(), (position, *epoch));
    }
    if partitions.is_empty() || state.error.is_some() {
        return None;
    }
    let wait = shared.config.fetch_max_wait;
    let wait = if others_wait { wait.min(SHORT_WAIT) } else { wait };
    Some(Round { assignment: state.assignment, partitions, wait })
}

async fn fetch(shared: &Shared, client: &Client, leader: i32, round: &Round) -> Result<FetchResponse, ClientError> {
    let config = &shared.config;
    let connection = client.connection(&To::Broker(leader)).await?;
    let version = connection.version_of::<FetchRequest>(NEWEST_FETCH_VERSION)?;
    let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
    for ((topic, partition), (position, epoch)) in &round.partitions {
        let asked = FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*position)
            .with_current_leader_epoch(*epoch)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(config.max_partition_fetch_bytes);
        topics.entry(topic).or_default().push(asked);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        FetchTopic::default().with_topic(TopicName(StrBytes::from_string(topic.to_owned()))).with_partitions(partitions)
    });
    let mut request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(i32::try_from(round.wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(config.fetch_min_bytes)
        .with_max_bytes(config.fetch_max_bytes)
        .with_isolation_level(i8::from(config.read_committed))
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(topics.collect());
    if version >= 11 {
        request = request.with_rack_id(StrBytes::from_string(config.rack.clone()));
    }
    let answer = connection.send(&request, version).await?;
    ServerError::check(answer.error_code, None)?;
    Ok(answer)
}

fn take_over(shared: &Shared, round: &Round, answer: FetchResponse) {
    let mut again = false;
    for topic in answer.responses {
        let name: Arc<str> = Arc::from(topic.topic.as_str());
        for data in topic.partitions {
            let partition = (name.to_string(), data.partition_index);
            let Some((position, _)) = round.partitions.get(&partition) else { continue };
            again |= match ServerError::from_code(data.error_code, None) {
                None => {
                    take_records(shared, round, &name, &partition, *position, data);
                    false
                }
                Some(error) => refused(shared, round, &partition, *position, error),
            };
        }
    }
    if again {
        shared.want_metadata();
    }
    shared.look();
}

fn take_records(
    shared: &Shared,
    round: &Round,
    topic: &Arc<str>,
    partition: &Partition,
    position: i64,
    data: PartitionData,
) {
    let Some(records) = data.records.filter(|records| !records.is_empty()) else { return };
    let next = Chunk::headers(&records).map(|header| header.last_offset().saturating_add(1)).max();
    let Some(next) = next.filter(|next| *next > position) else { return };
    let aborted = shared.config.read_committed.then(|| {
        let aborted = data.aborted_transactions.unwrap_or_default();
        aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect()
    });
    let chunk = Chunk {
        topic: topic.clone(),
        partition: partition.1,
        position,
        records,
        aborted,
        check_crcs: shared.config.check_crcs,
    };
    let mut state = shared.state.lock();
    if state.assignment != round.assignment {
        return;
    }
    let Some(reading) = state.reading.get_mut(partition) else { return };
    if reading.fetch_position != Some(position) {
        return;
    }
    reading.fetch_position = Some(next);
    reading.queued += 1;
    state.queue.push_back(Polled::Records(chunk));
    drop(state);
    shared.news.notify_all();
}

/// Whether the leaders have to be asked for again.
fn refused(shared: &Shared, round: &Round, partition: &Partition, position: i64, error: ServerError) -> bool {
    let mut state = shared.state.lock();
    if state.assignment != round.assignment {
        return false;
    }
    let Some(reading) = state.reading.get_mut(partition) else { return false };
    match error.code {
        OFFSET_OUT_OF_RANGE => {
            match by_reset(shared.config.reset) {
                Some(start) => {
                    reading.start = start;
                    reading.fetch_position = None;
                }
                None => {
                    let error = ConsumeError::OutOfRange { partition: partition.clone(), position };
                    state.error.get_or_insert(error);
                    shared.news.notify_all();
                }
            }
            false
        }
        TOPIC_AUTHORIZATION_FAILED => {
            state.error.get_or_insert(ConsumeError::Server(error));
            shared.news.notify_all();
            false
        }
        _ => {
            reading.not_before = Some(Instant::now() + shared.config.retry_backoff);
            true
        }
    }
}

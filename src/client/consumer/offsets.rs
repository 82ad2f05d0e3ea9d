//! Where reading begins: offsets by policy from the leaders (ListOffsets), for all partitions that have no position yet.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Client, ClientError, ServerError, To};
use super::{ConsumeError, Partition, Position, Reset, Shared, StartAt};

/// The timestamps that stand for the two ends of a log.
pub(super) const LATEST_TIMESTAMP: i64 = -1;
pub(super) const EARLIEST_TIMESTAMP: i64 = -2;

/// Fills in positions as partitions come that have none. (What a group has committed is filled in by `group`, before.)
pub(super) async fn find_positions(shared: Arc<Shared>, client: Arc<Client>) {
    let mut changes = shared.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let (wanted, assignment) = wanted(&shared);
        let is_idle = wanted.is_empty();
        for (leader, partitions) in wanted {
            match ask(&shared, &client, leader, &partitions).await {
                Ok(found) => take_over(&shared, assignment, found),
                Err(error) => {
                    client.forget_view();
                    client.tell_trouble(&error);
                    shared.state.lock().trouble = Some(error);
                    shared.want_metadata();
                }
            }
        }
        match is_idle {
            true => drop(changes.changed().await),
            // What was not found is asked for again, but not at once.
            false => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Partitions without a position that have a leader, with the timestamp that stands for where they begin, by leader.
fn wanted(shared: &Shared) -> (BTreeMap<i32, BTreeMap<Partition, i64>>, u64) {
    let state = shared.state.lock();
    let mut wanted: BTreeMap<i32, BTreeMap<Partition, i64>> = BTreeMap::new();
    for (partition, reading) in &state.reading {
        if reading.fetch_position.is_some() {
            continue;
        }
        let timestamp = match (reading.start, shared.config.reset) {
            (StartAt::Earliest, _) => EARLIEST_TIMESTAMP,
            (StartAt::Latest, _) => LATEST_TIMESTAMP,
            _ => continue,
        };
        let leader = state.topics.get(&partition.0).and_then(|leaders| leaders.get(&partition.1));
        if let Some((leader, _)) = leader.filter(|(leader, _)| *leader >= 0) {
            wanted.entry(*leader).or_default().insert(partition.clone(), timestamp);
        }
    }
    (wanted, state.assignment)
}

async fn ask(
    shared: &Shared,
    client: &Client,
    leader: i32,
    partitions: &BTreeMap<Partition, i64>,
) -> Result<BTreeMap<Partition, i64>, ClientError> {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for ((topic, partition), timestamp) in partitions {
        let asked = ListOffsetsPartition::default().with_partition_index(*partition).with_timestamp(*timestamp);
        topics.entry(topic).or_default().push(asked);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        ListOffsetsTopic::default().with_name(name).with_partitions(partitions)
    });
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(i8::from(shared.config.read_committed))
        .with_topics(topics.collect());
    let connection = client.connection(&To::Broker(leader)).await?;
    let version = connection.version_of::<ListOffsetsRequest>(i16::MAX)?;
    let answer = connection.send(&request, version).await?;
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            match ServerError::check(partition.error_code, None) {
                Ok(()) => drop(found.insert((topic.name.to_string(), partition.partition_index), partition.offset)),
                Err(error) if error.code == 29 => shared.fail(ConsumeError::Server(error)),
                Err(_) => shared.want_metadata(),
            }
        }
    }
    Ok(found)
}

fn take_over(shared: &Shared, assignment: u64, found: BTreeMap<Partition, i64>) {
    let mut state = shared.state.lock();
    if state.assignment != assignment {
        return;
    }
    for (partition, offset) in found {
        if let Some(reading) = state.reading.get_mut(&partition).filter(|reading| reading.fetch_position.is_none()) {
            reading.fetch_position = Some(offset);
            reading.consumed = Some(Position { offset, leader_epoch: -1 });
        }
    }
    drop(state);
    shared.news.notify_all();
    shared.look();
}

/// Where a partition begins that has nothing committed, or whose position is gone. `None`: there is no rule for it.
pub(super) fn by_reset(reset: Reset) -> Option<StartAt> {
    match reset {
        Reset::Earliest => Some(StartAt::Earliest),
        Reset::Latest => Some(StartAt::Latest),
        Reset::None => None,
    }
}

//! One consumer on one connection: reads partitions of one leader as Kafka's consumer does, with a fetch session (KIP-227) and every checksum checked.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use std::collections::{BTreeMap, BTreeSet};

use super::cluster::topic_name;
use super::payload::walk;
use super::{BenchError, Clock};
use crate::client::Connection;
use crate::protocol::record_batch::Batches;

/// The newest Fetch that names topics by their names.
const NEWEST_FETCH_VERSION: i16 = 12;
/// Presets of Kafka's consumer.
const MAX_WAIT_MS: i32 = 500;
const MAX_BYTES: i32 = 50 * 1024 * 1024;
const MAX_PARTITION_BYTES: i32 = 1024 * 1024;
/// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH.
const SESSION_LOST: [i16; 2] = [70, 71];

/// Reads on from given offsets.
pub struct Reader<'c> {
    connection: &'c Connection,
    topic: String,
    version: i16,
    positions: BTreeMap<i32, i64>,
    session_id: i32,
    session_epoch: i32,
    /// Partitions whose position the session does not know.
    moved: BTreeSet<i32>,
}

/// What one fetch brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fetched {
    pub records: u64,
    /// Bytes of the batches, headers included.
    pub bytes: u64,
}

impl<'c> Reader<'c> {
    /// # Errors
    /// [`BenchError::Client`] when the broker does not know Fetch in a version that this one does.
    pub fn new(connection: &'c Connection, topic: &str, positions: BTreeMap<i32, i64>) -> Result<Self, BenchError> {
        let version = connection.version_of::<FetchRequest>(NEWEST_FETCH_VERSION)?;
        let moved = positions.keys().copied().collect();
        Ok(Self { connection, topic: topic.to_owned(), version, positions, session_id: 0, session_epoch: 0, moved })
    }

    /// Where it is.
    pub fn positions(&self) -> &BTreeMap<i32, i64> {
        &self.positions
    }

    /// One fetch. `show` gets the time at which each record was due, once the reply is there.
    ///
    /// # Errors
    /// [`BenchError::Refused`], [`BenchError::Batch`] for what cannot be read, and what the connection met.
    pub async fn fetch(&mut self, mut show: Option<impl FnMut(u64)>) -> Result<Fetched, BenchError> {
        let answer: FetchResponse = self.connection.send(&self.request(), self.version).await?;
        if SESSION_LOST.contains(&answer.error_code) {
            (self.session_id, self.session_epoch) = (0, 0);
            self.moved = self.positions.keys().copied().collect();
            return Ok(Fetched::default());
        }
        BenchError::check(answer.error_code, || format!("{} cannot be read", self.topic))?;
        self.session_id = answer.session_id;
        self.session_epoch = if answer.session_id == 0 { 0 } else { self.session_epoch + 1 };
        if answer.session_id != 0 {
            self.moved.clear();
        }
        let mut fetched = Fetched::default();
        for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            BenchError::check(data.error_code, || format!("{}-{} cannot be read", self.topic, data.partition_index))?;
            let Some(position) = self.positions.get_mut(&data.partition_index) else { continue };
            for view in Batches::new(&data.records.unwrap_or_default()) {
                // A fetch may cut the last batch off.
                let Ok(view) = view else { break };
                view.check_crc()?;
                let shown = view.header.last_offset().saturating_add(1);
                if shown <= *position {
                    continue;
                }
                *position = shown;
                self.moved.insert(data.partition_index);
                fetched.records += u64::try_from(view.header.record_count).unwrap_or(0);
                fetched.bytes += view.bytes.len() as u64;
                if let Some(show) = &mut show {
                    walk(&view, show)?;
                }
            }
        }
        Ok(fetched)
    }

    fn request(&self) -> FetchRequest {
        let asked = |index: &i32| {
            FetchPartition::default()
                .with_partition(*index)
                .with_fetch_offset(self.positions.get(index).copied().unwrap_or(0))
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(MAX_PARTITION_BYTES)
        };
        let asked: Vec<_> = self.moved.iter().map(asked).collect();
        let topics = match asked.is_empty() {
            true => Vec::new(),
            false => vec![FetchTopic::default().with_topic(topic_name(&self.topic)).with_partitions(asked)],
        };
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(MAX_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(MAX_BYTES)
            .with_session_id(self.session_id)
            .with_session_epoch(self.session_epoch)
            .with_topics(topics)
    }
}

/// Adds up what is read within a window, with the latency of each record.
pub struct Count {
    pub clock: Clock,
    pub from_us: u64,
    pub until_us: u64,
    pub records: u64,
    pub latencies: super::report::Latencies,
}

impl Count {
    /// One record that was due then, and is read now.
    pub fn add(&mut self, due_us: u64, now_us: u64) {
        if (self.from_us..self.until_us).contains(&now_us) {
            self.records += 1;
            self.latencies.add(now_us.saturating_sub(due_us), 1);
        }
    }
}

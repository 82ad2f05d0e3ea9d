//! One producer on one connection: batches by size and linger, five requests under way, idempotent with acks=all, as Kafka's Java producer does.
//!
//! With a rate it follows a schedule, however slow the broker is; without one it has always full batches, as a producer whose buffer is full.

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, ProduceRequest};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::payload::{Numbered, Template, next_random};
use super::report::Latencies;
use super::timer::Timer;
use super::{BenchError, Clock};
use crate::client::produce_request::{self, PartitionBatch};
use crate::client::{ClientError, Connection};
use crate::protocol::record_batch::add_sequence;

/// `max.in.flight.requests.per.connection` of Kafka's producer.
const MAX_IN_FLIGHT: usize = 5;
/// `max.request.size` of Kafka's producer.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// What a request says the broker may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What all producers of a run share.
pub struct Plan {
    pub topic: String,
    pub template: Template,
    pub acks: i16,
    pub linger_us: u64,
    pub has_keys: bool,
    pub clock: Clock,
    /// Records that are acknowledged from here on, and before `until_us`, are counted.
    pub from_us: u64,
    pub until_us: u64,
    /// Records that were sent, for the readers to wait for.
    pub sent: AtomicU64,
}

/// What came of one producer.
pub struct Produced {
    pub records: u64,
    pub bytes: u64,
    pub latencies: Latencies,
    /// Records due before the end that were not acknowledged by then.
    pub behind_records: u64,
}

struct Lane {
    partition: i32,
    sequence: i32,
    /// Times of the records that go into its next batch.
    dues_us: Vec<u64>,
}

/// Times at which the records of a request were due, a run of equal ones as one.
type Dues = Vec<(u64, u64)>;

struct Flight<'c> {
    dues: Dues,
    bytes: u64,
    version: i16,
    reply: Pin<Box<dyn Future<Output = Result<Bytes, ClientError>> + Send + 'c>>,
}

/// Sends what a schedule, or a full buffer, holds.
pub struct Sender<'c> {
    plan: Arc<Plan>,
    connection: &'c Connection,
    numbered: Option<Numbered>,
    lanes: Vec<Lane>,
    next_lane: usize,
    random: u64,
    /// Microseconds between two records; `None`: as fast as it goes.
    interval_us: Option<f64>,
    begun_us: u64,
    scheduled: u64,
    flying: VecDeque<Flight<'c>>,
    done: Produced,
}

impl<'c> Sender<'c> {
    /// `number` tells the producers of a run apart; `rate` is this one's, in records per second, 0 for as many as it can.
    ///
    /// # Errors
    /// Never; see [`Latencies::new`].
    pub fn new(
        plan: Arc<Plan>,
        connection: &'c Connection,
        numbered: Option<Numbered>,
        partitions: &[i32],
        number: usize,
        rate: f64,
    ) -> Result<Self, BenchError> {
        let lane = |partition: &i32| Lane { partition: *partition, sequence: 0, dues_us: Vec::new() };
        let interval_us = (rate > 0.0).then(|| 1e6 / rate);
        // Producers that begin together would all send in the same moment.
        let share = interval_us.unwrap_or(0.0).max(plan.linger_us as f64) * (number as f64 * 0.618).fract();
        let begun_us = plan.clock.now_us() + share as u64;
        Ok(Self {
            connection,
            numbered,
            lanes: partitions.iter().map(lane).collect(),
            next_lane: number.checked_rem(partitions.len()).unwrap_or(0),
            random: (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            interval_us,
            begun_us,
            scheduled: 0,
            flying: VecDeque::new(),
            done: Produced { records: 0, bytes: 0, latencies: Latencies::new()?, behind_records: 0 },
            plan,
        })
    }

    /// Runs until the plan's end, and until all is answered.
    ///
    /// # Errors
    /// [`BenchError::Refused`] for the first batch that is not taken, and what the connection met.
    pub async fn run(mut self) -> Result<Produced, BenchError> {
        let timer = Timer::new()?;
        let version = self.connection.version_of::<ProduceRequest>(produce_request::NEWEST_VERSION)?;
        loop {
            let now_us = self.plan.clock.now_us();
            let is_over = now_us >= self.plan.until_us;
            if is_over && self.flying.is_empty() {
                break;
            }
            let mut pause = None;
            if !is_over && self.flying.len() < MAX_IN_FLIGHT {
                match self.wait_us(now_us) {
                    0 => {
                        self.gather(now_us);
                        self.send(version)?;
                        continue;
                    }
                    us => pause = Some(Duration::from_micros(us.min(self.plan.until_us - now_us))),
                }
            }
            let first = self.flying.front_mut().map(|flight| &mut flight.reply);
            tokio::select! {
                biased;
                reply = async { match first { Some(reply) => reply.await, None => std::future::pending().await } } => {
                    if let Some(flight) = self.flying.pop_front() {
                        self.settle(flight, reply)?;
                    }
                }
                slept = async { match pause { Some(time) => timer.sleep(time).await, None => std::future::pending().await } } => slept?,
            }
        }
        if let Some(interval_us) = self.interval_us {
            let due = ((self.plan.until_us.saturating_sub(self.begun_us)) as f64 / interval_us) as u64;
            self.done.behind_records += due.saturating_sub(self.scheduled);
        }
        Ok(self.done)
    }

    /// When a record of the schedule is due.
    fn due_us(&self, record: u64) -> u64 {
        self.begun_us + (record as f64 * self.interval_us.unwrap_or(0.0)) as u64
    }

    /// How long until something is to be sent: when the oldest record has lingered, or a batch is full.
    fn wait_us(&self, now_us: u64) -> u64 {
        if self.interval_us.is_none() {
            return 0;
        }
        let lingered = self.due_us(self.scheduled) + self.plan.linger_us;
        let full = self.due_us(self.scheduled + self.plan.template.most_records() as u64 - 1);
        lingered.min(full).saturating_sub(now_us)
    }

    /// Puts the records of the next request into lanes.
    fn gather(&mut self, now_us: u64) {
        let most = self.plan.template.most_records();
        let batch_bytes = self.plan.template.value_bytes(most).max(1);
        let room = ((MAX_REQUEST_BYTES as u64 / batch_bytes).max(1) as usize).min(self.lanes.len());
        let Some(interval_us) = self.interval_us else {
            for _ in 0..room {
                let lane = self.next_lane();
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.dues_us.resize(most, now_us);
                }
            }
            return;
        };
        let due = ((now_us.saturating_sub(self.begun_us)) as f64 / interval_us) as u64 + 1;
        let mut left = due.saturating_sub(self.scheduled).min((room * most) as u64);
        // Without keys one batch is filled after the other, as Kafka's sticky partitioner does it.
        let mut sticky = self.next_lane();
        while left > 0 {
            let lane = match self.plan.has_keys {
                true => (next_random(&mut self.random) % self.lanes.len().max(1) as u64) as usize,
                false => sticky,
            };
            let due_us = self.due_us(self.scheduled);
            let Some(lane) = self.lanes.get_mut(lane) else { return };
            if lane.dues_us.len() == most {
                if self.plan.has_keys {
                    return;
                }
                sticky = self.next_lane();
                continue;
            }
            lane.dues_us.push(due_us);
            self.scheduled += 1;
            left -= 1;
        }
    }

    fn next_lane(&mut self) -> usize {
        let lane = self.next_lane;
        self.next_lane = (lane + 1).checked_rem(self.lanes.len()).unwrap_or(0);
        lane
    }

    fn send(&mut self, version: i16) -> Result<(), BenchError> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let mut batches = Vec::new();
        let mut dues = Dues::new();
        let mut records = 0;
        let plan = self.plan.clone();
        for lane in self.lanes.iter_mut().filter(|lane| !lane.dues_us.is_empty()) {
            let numbered = self.numbered.map(|numbered| Numbered { sequence: lane.sequence, ..numbered });
            let batch = plan.template.batch(&lane.dues_us, now_ms, numbered)?;
            records += lane.dues_us.len();
            lane.sequence = add_sequence(lane.sequence, i32::try_from(lane.dues_us.len()).unwrap_or(i32::MAX));
            for run in lane.dues_us.chunk_by(|a, b| a == b) {
                dues.extend(run.first().map(|due| (*due, run.len() as u64)));
            }
            lane.dues_us.clear();
            batches.push(PartitionBatch { topic: &plan.topic, partition: lane.partition, batch });
        }
        let body = produce_request::body(version, plan.acks, TIMEOUT, &batches);
        plan.sent.fetch_add(records as u64, Ordering::Relaxed);
        let bytes = plan.template.value_bytes(records);
        let pending = self.connection.begin(ApiKey::Produce as i16, version, body)?;
        self.flying.push_back(Flight { dues, bytes, version, reply: Box::pin(pending.wait(ANSWER_WITHIN)) });
        Ok(())
    }

    fn settle(&mut self, flight: Flight<'c>, reply: Result<Bytes, ClientError>) -> Result<(), BenchError> {
        let answer = self.connection.decode_reply::<ProduceRequest>(reply?, flight.version)?;
        for topic in &answer.responses {
            for partition in &topic.partition_responses {
                let place = || format!("{}-{} did not take a batch", topic.name.as_str(), partition.index);
                BenchError::check(partition.error_code, place)?;
            }
        }
        self.count(&flight.dues, flight.bytes);
        Ok(())
    }

    fn count(&mut self, dues: &Dues, bytes: u64) {
        let now_us = self.plan.clock.now_us();
        let records: u64 = dues.iter().map(|(_, records)| records).sum();
        if now_us >= self.plan.until_us {
            self.done.behind_records += if self.interval_us.is_some() { records } else { 0 };
        } else if now_us >= self.plan.from_us {
            self.done.records += records;
            self.done.bytes += bytes;
            for (due_us, records) in dues {
                self.done.latencies.add(now_us.saturating_sub(*due_us), *records);
            }
        }
    }
}

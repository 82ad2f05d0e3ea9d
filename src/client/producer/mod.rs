//! A producer: records in, batches out, each record's fate told once. As Kafka's Java producer: batching with linger, compression, idempotence, retries that
//! keep the order.
//!
//! `send` belongs to the caller's thread and blocks only for memory and for a topic's metadata (`max.block.ms`); one thread of the producer's own does the
//! network. Never tells a record as sent before the broker has answered for it (but with `acks=0`), and never drops one silently.

pub mod batches;
pub mod config;
pub mod partitioner;
mod sender;
#[cfg(test)]
mod tests;

pub use batches::NewRecord;
pub use config::ProducerConfig;

use ahash::{AHashMap, AHashSet};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::Notify;

use super::{ClientError, ClientProperties, ServerError};
use batches::{Batches, ProducerIdentity};
use partitioner::Sticky;

/// Why a record was not sent, or is not known to have arrived. The sentences are those of Kafka's Java producer.
#[derive(Clone, Debug, Error)]
pub enum SendError {
    #[error("Topic {topic} not present in metadata after {waited_ms} ms.")]
    NoMetadata { topic: String, waited_ms: u128 },
    #[error(
        "Partition {partition} of topic {topic} with partition count {count} is not present in metadata after {waited_ms} ms."
    )]
    NoPartition { topic: String, partition: i32, count: usize, waited_ms: u128 },
    #[error(
        "The message is {bytes} bytes when serialized which is larger than {most}, which is the value of the {key} configuration."
    )]
    TooLarge { bytes: usize, most: usize, key: &'static str },
    #[error(
        "Failed to allocate {bytes} bytes within the configured max blocking time {waited_ms} ms. Total memory: {total} bytes. Available memory: {free} bytes."
    )]
    NoMemory { bytes: usize, total: usize, free: usize, waited_ms: u128 },
    #[error("Expiring {records} record(s) for {topic}-{partition}:{age_ms} ms has passed since batch creation{last}")]
    Expired { topic: String, partition: i32, records: usize, age_ms: u128, last: String },
    #[error("{0}")]
    Server(ServerError),
    #[error("{0}")]
    Client(ClientError),
    #[error("Producer closed while send in progress")]
    Closed,
}

impl SendError {
    /// The Java class that stands for it.
    pub fn class(&self) -> String {
        let name = match self {
            Self::Server(error) => return error.class(),
            Self::TooLarge { .. } => "RecordTooLargeException",
            Self::NoMemory { .. } => return "org.apache.kafka.clients.producer.BufferExhaustedException".into(),
            Self::NoMetadata { .. } | Self::NoPartition { .. } | Self::Expired { .. } => "TimeoutException",
            Self::Client(_) => "NetworkException",
            Self::Closed => return "org.apache.kafka.common.KafkaException".into(),
        };
        format!("org.apache.kafka.common.errors.{name}")
    }
}

/// Where a record is now.
#[derive(Clone, Debug)]
pub struct Placed {
    pub topic: Arc<str>,
    pub partition: i32,
    /// -1 with `acks=0`.
    pub offset: i64,
}

/// Told for each record, on the producer's own thread, in the order of each partition.
pub type OnDone<T> = Box<dyn FnMut(T, Result<Placed, &SendError>) + Send>;

/// What the producer knows of a topic.
struct Topic {
    /// Each partition's leader; negative while there is none.
    leaders: Vec<i32>,
    sticky: Sticky,
}

/// Where the numbering of batches stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    /// Not idempotent.
    Off,
    /// An identity is to be asked for, once nothing is in flight. Until then only what may have arrived under the old one is sent again.
    Wanted(Option<ProducerIdentity>),
    By(ProducerIdentity),
}

struct State<T> {
    batches: Batches<T>,
    topics: AHashMap<Arc<str>, Topic>,
    /// Topics whose leaders have to be asked for.
    wanted: AHashSet<Arc<str>>,
    /// A topic's error that another try does not change.
    refused: AHashMap<Arc<str>, ServerError>,
    numbering: Numbering,
    /// How many callers wait for everything to be sent.
    flushing: usize,
    closing: bool,
    /// The network's thread has ended.
    ended: bool,
    /// What keeps everything from being sent, for good.
    fatal: Option<SendError>,
    /// The newest trouble with the network, for what a time-out tells.
    trouble: Option<ClientError>,
    /// Why a broker cannot be reached, until it can.
    unreachable: AHashMap<i32, ClientError>,
}

struct Shared<T> {
    config: ProducerConfig,
    state: Mutex<State<T>>,
    /// Memory came free, metadata came, or everything is sent.
    changed: Condvar,
    /// There is something to send, or to look at.
    wake: Notify,
}

/// See the module.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    thread: Option<JoinHandle<()>>,
}

/// How long a call waits at once, so that a lost wake-up costs no more.
const WAIT_STEP: Duration = Duration::from_millis(500);

impl<T: Send + 'static> Producer<T> {
    /// Starts the network's thread. `on_done` is called there, once for each record that [`Self::send`] took, and `notice` once for each address that cannot be
    /// connected to.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn start(
        properties: &ClientProperties,
        on_done: OnDone<T>,
        notice: Option<super::Notice>,
    ) -> Result<Self, ClientError> {
        let config = ProducerConfig::new(properties)?;
        let client = super::Client::new(properties)?.sharing(super::Notices::new(notice));
        let state = State {
            batches: Batches::new(config.rules),
            topics: AHashMap::new(),
            wanted: AHashSet::new(),
            refused: AHashMap::new(),
            numbering: if config.idempotent { Numbering::Wanted(None) } else { Numbering::Off },
            flushing: 0,
            closing: false,
            ended: false,
            fatal: None,
            trouble: None,
            unreachable: AHashMap::new(),
        };
        let shared =
            Arc::new(Shared { config, state: Mutex::new(state), changed: Condvar::new(), wake: Notify::new() });
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("producer-network".into())
            .spawn(move || sender::run(of_thread, client, on_done))
            .map_err(|error| ClientError::Config(format!("no thread for the producer can be started: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes a record. Without a partition its key decides, else chance. `tag` comes back through `on_done`.
    ///
    /// # Errors
    /// When the record was not taken; `on_done` is not called for it then, and the tag is gone.
    pub fn send(&self, topic: &str, partition: Option<i32>, record: &NewRecord<'_>, tag: T) -> Result<(), SendError> {
        let config = &self.shared.config;
        let bytes = record.size_bound();
        let too_large = |most, key| SendError::TooLarge { bytes, most, key };
        if bytes > config.max_request_bytes {
            return Err(too_large(config.max_request_bytes, "max.request.size"));
        }
        if bytes > config.buffer_bytes {
            return Err(too_large(config.buffer_bytes, "buffer.memory"));
        }
        let begun_at = Instant::now();
        let mut state = self.shared.state.lock();
        let partition = loop {
            state.check_open()?;
            match state.partition(topic, partition, record, config) {
                Ok(Some(found)) => break found,
                Ok(None) => {}
                Err(error) => return Err(error),
            }
            let waited = begun_at.elapsed();
            if waited >= config.max_block {
                return Err(state.no_metadata(topic, partition, config.max_block.as_millis()));
            }
            state.wanted.insert(Arc::from(topic));
            self.shared.wake.notify_one();
            self.shared.changed.wait_for(&mut state, WAIT_STEP.min(config.max_block - waited));
        };
        while state.batches.charged_bytes() + bytes > config.buffer_bytes {
            state.check_open()?;
            let waited = begun_at.elapsed();
            if waited >= config.max_block {
                let free = config.buffer_bytes.saturating_sub(state.batches.charged_bytes());
                let waited_ms = config.max_block.as_millis();
                return Err(SendError::NoMemory { bytes, total: config.buffer_bytes, free, waited_ms });
            }
            self.shared.wake.notify_one();
            self.shared.changed.wait_for(&mut state, WAIT_STEP.min(config.max_block - waited));
        }
        let added = state
            .batches
            .add(topic, partition, record, tag, Instant::now())
            .map_err(|error| SendError::Client(ClientError::Config(format!("a batch cannot be made: {error}"))))?;
        drop(state);
        if added.look {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// The number of a topic's partitions; waits for its metadata up to `max.block.ms`.
    ///
    /// # Errors
    /// As [`Self::send`] for metadata.
    pub fn partitions(&self, topic: &str) -> Result<usize, SendError> {
        let begun_at = Instant::now();
        let mut state = self.shared.state.lock();
        loop {
            state.check_open()?;
            if let Some(refused) = state.refused.remove(topic) {
                return Err(SendError::Server(refused));
            }
            if let Some(known) = state.topics.get(topic) {
                return Ok(known.leaders.len());
            }
            let waited = begun_at.elapsed();
            if waited >= self.shared.config.max_block {
                return Err(state.no_metadata(topic, None, self.shared.config.max_block.as_millis()));
            }
            state.wanted.insert(Arc::from(topic));
            self.shared.wake.notify_one();
            self.shared.changed.wait_for(&mut state, WAIT_STEP.min(self.shared.config.max_block - waited));
        }
    }

    /// Waits until every record that was taken is told of.
    pub fn flush(&self) {
        let mut state = self.shared.state.lock();
        state.flushing += 1;
        self.shared.wake.notify_one();
        while !state.batches.is_idle() && !state.ended {
            self.shared.changed.wait_for(&mut state, WAIT_STEP);
        }
        state.flushing -= 1;
    }

    /// Sends what is left, tells of all of it, and ends.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there was told of already; there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<T> State<T> {
    fn check_open(&self) -> Result<(), SendError> {
        match (&self.fatal, self.ended || self.closing) {
            (Some(fatal), _) => Err(fatal.clone()),
            (None, true) => Err(SendError::Closed),
            (None, false) => Ok(()),
        }
    }

    /// Where a record goes. `None` until the topic is known well enough.
    fn partition(
        &mut self,
        topic: &str,
        asked: Option<i32>,
        record: &NewRecord<'_>,
        config: &ProducerConfig,
    ) -> Result<Option<i32>, SendError> {
        if let Some(refused) = self.refused.remove(topic) {
            return Err(SendError::Server(refused));
        }
        let Some(known) = self.topics.get_mut(topic) else { return Ok(None) };
        let count = known.leaders.len();
        if let Some(asked) = asked {
            return Ok(usize::try_from(asked).is_ok_and(|asked| asked < count).then_some(asked));
        }
        if count == 0 {
            return Ok(None);
        }
        let chosen = match record.key {
            Some(key) => partitioner::of_key(key, count),
            None => known.sticky.next(count, record.size_bound(), config.rules.batch_bytes),
        };
        Ok(i32::try_from(chosen).ok())
    }

    fn no_metadata(&self, topic: &str, partition: Option<i32>, waited_ms: u128) -> SendError {
        match (self.topics.get(topic), partition) {
            (Some(known), Some(partition)) => {
                let count = known.leaders.len();
                SendError::NoPartition { topic: topic.to_owned(), partition, count, waited_ms }
            }
            // What kept the metadata from coming says more than that it did not come.
            _ => match &self.trouble {
                Some(trouble) => SendError::Client(trouble.clone()),
                None => SendError::NoMetadata { topic: topic.to_owned(), waited_ms },
            },
        }
    }
}

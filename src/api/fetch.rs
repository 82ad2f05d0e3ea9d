//! Fetch v4-18 (KIP-74, KIP-227, KIP-320, KIP-516): reads partitions in turn within the request's limits, and waits for bytes where there are too few.

use bytes::BytesMut;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::activity::{FetchWait, Wait, Waiting as Waits};
use super::context::{CloseReason, Outcome, Reply, RequestContext};
use super::error_code::{ErrorCode, NONE};
use super::fetch_session::{Answered, FetchContext, FetchPartition, PartitionName, SessionError, SessionRequest};
use super::request_metrics::CountedAs;
use super::{Broker, advertised, table};
use crate::cluster::image::MetadataImage;
use crate::log::LogError;
use crate::log::read::{ReadRange, Reading, Records};
use crate::protocol::fetch_response::{self, FetchReply, NodeEndpoint, PartitionReply, TopicReply};
use crate::replica::Partition;
use crate::replica::partition::ReplicaError;
use crate::replica::waiters::FetchWaiter;
use crate::types::budget::{Budget, Reservation};
use crate::types::limits::RUN_TARGET_BYTES;
use crate::types::piece::Piece;

/// First version that names topics by id (KIP-516).
const TOPIC_ID_VERSION: i16 = 13;
/// First version that tells the current leader (KIP-951).
const CURRENT_LEADER_VERSION: i16 = 16;
/// Up to this version clients do not know KAFKA_STORAGE_ERROR.
const NO_STORAGE_ERROR_VERSION: i16 = 5;

/// What a fetch reads with.
struct Params {
    min_bytes: usize,
    max_bytes: usize,
    max_wait: Duration,
    read_committed: bool,
    /// A limit of the whole that is below zero: Kafka fails on it in each partition.
    limit_is_negative: bool,
    /// A broker asks, as a replica. None is one yet.
    from_follower: bool,
}

/// A partition of the fetch that is there to be read.
struct Readable {
    /// Its place in the context's partitions.
    place: usize,
    partition: Arc<Partition>,
}

/// What was read of one partition.
#[derive(Default)]
struct Read {
    error: i16,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
    records: Records<Piece>,
    diverging: Option<(i32, i64)>,
    current_leader: Option<(i32, i32)>,
    /// Nothing was read, because that takes so much memory.
    needs_bytes: Option<usize>,
    /// The partition was not even looked for: Kafka then tells an empty list of aborted transactions instead of none.
    unresolved: bool,
}

impl Read {
    fn failed(error: ResponseError) -> Self {
        let code = error.code();
        Self { error: code, high_watermark: -1, last_stable_offset: -1, log_start_offset: -1, ..Self::default() }
    }
}

/// The table's handler: this API's reply holds slices of the store.
pub async fn handle(broker: Arc<Broker>, context: RequestContext, body: BytesMut) -> Outcome {
    let request: FetchRequest = table::decode(&context, body)?;
    let from_follower = request.replica_id.0 >= 0 || request.replica_state.replica_id.0 >= 0;
    if !matches!(request.isolation_level, 0 | 1) {
        return reply(&context, refused_whole(&context, &request), from_follower);
    }
    let session = SessionRequest {
        session_id: request.session_id,
        epoch: request.session_epoch,
        uses_topic_ids: context.api_version >= TOPIC_ID_VERSION,
    };
    let (wanted, forgotten) = names(&request);
    let fetch = match broker.fetch_sessions.begin(session, wanted, &forgotten) {
        Ok(fetch) => Arc::new(fetch),
        Err(error) => {
            let refused = FetchReply { error_code: session_error(error).code(), ..FetchReply::default() };
            return reply(&context, refused, from_follower);
        }
    };
    let max_bytes = usize::try_from(request.max_bytes.min(broker.config().fetch_max_bytes)).unwrap_or(0);
    let params = Params {
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        max_bytes,
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        read_committed: request.isolation_level == 1,
        limit_is_negative: request.max_bytes < 0,
        from_follower,
    };
    let (mut reads, readable) = resolve(&broker, &context, &fetch, session.uses_topic_ids);
    let job =
        Job { context: &context, fetch: &fetch, readable: &readable, params: &params, budget: &broker.read_memory };
    let memory = job.read_or_wait(&mut reads).await;
    answer(&broker, &context, &fetch, &params, reads).map(|reply| reply.map(|reply| Reply { memory, ..reply }))
}

/// Kafka's answer to an isolation level that does not exist: an unknown error for all of the request.
fn refused_whole(context: &RequestContext, request: &FetchRequest) -> FetchReply {
    let error_code = ResponseError::UnknownServerError.code();
    let mut topics = Vec::new();
    if context.api_version < TOPIC_ID_VERSION {
        for topic in &request.topics {
            let wanted = topic.partitions.iter().map(|partition| PartitionReply {
                partition_index: partition.partition,
                error_code,
                high_watermark: -1,
                last_stable_offset: -1,
                log_start_offset: -1,
                diverging_epoch: None,
                current_leader: None,
                aborted_transactions: Some(Vec::new()),
                preferred_read_replica: -1,
                records: Vec::new(),
            });
            let partitions = wanted.collect();
            topics.push(TopicReply { topic: Arc::from(topic.topic.as_str()), topic_id: topic.topic_id, partitions });
        }
    }
    FetchReply { error_code, topics, session_id: request.session_id, ..FetchReply::default() }
}

fn names(request: &FetchRequest) -> (Vec<FetchPartition>, Vec<PartitionName>) {
    let mut wanted = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in &request.topics {
        let name: Arc<str> = Arc::from(topic.topic.as_str());
        wanted.extend(topic.partitions.iter().map(|partition| FetchPartition {
            topic_id: topic.topic_id,
            topic: Arc::clone(&name),
            partition: partition.partition,
            fetch_offset: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let name: Arc<str> = Arc::from(topic.topic.as_str());
        forgotten.extend(topic.partitions.iter().map(|partition| PartitionName {
            topic_id: topic.topic_id,
            topic: Arc::clone(&name),
            partition: *partition,
        }));
    }
    (wanted, forgotten)
}

/// Finds the partitions. Those that are not there get their error, which does not end the wait of the others (as in Kafka).
fn resolve(
    broker: &Arc<Broker>,
    context: &RequestContext,
    fetch: &FetchContext,
    by_id: bool,
) -> (Vec<Read>, Vec<Readable>) {
    let image = broker.cluster.image();
    let mut readable = Vec::with_capacity(fetch.partitions.len());
    let reads = fetch
        .partitions
        .iter()
        .enumerate()
        .map(|(place, wanted)| match find(broker, &image, wanted, by_id) {
            Ok(partition) => {
                readable.push(Readable { place, partition });
                Read::default()
            }
            Err(error) => {
                let subject = match by_id {
                    true => format!("topic {}, partition {}", wanted.topic_id, wanted.partition),
                    false => format!("{}-{}", wanted.topic, wanted.partition),
                };
                context.refused(error, &subject, &error);
                Read { unresolved: true, ..Read::failed(error) }
            }
        })
        .collect();
    (reads, readable)
}

fn find(
    broker: &Arc<Broker>,
    image: &MetadataImage,
    wanted: &FetchPartition,
    by_id: bool,
) -> Result<Arc<Partition>, ResponseError> {
    let topic = if by_id {
        image.topic_by_id(&wanted.topic_id).ok_or(ResponseError::UnknownTopicId)?
    } else {
        image.topic(&wanted.topic).ok_or(ResponseError::UnknownTopicOrPartition)?
    };
    topic.partition(wanted.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    broker.replicas.partition(topic.id, wanted.partition).ok_or(ResponseError::NotLeaderOrFollower)
}

/// A fetch at work.
struct Job<'a> {
    context: &'a RequestContext,
    fetch: &'a Arc<FetchContext>,
    readable: &'a [Readable],
    params: &'a Params,
    budget: &'a Budget,
}

impl Job<'_> {
    /// Reads, and waits where there is too little. What comes back is paid for with what is returned.
    async fn read_or_wait(&self, reads: &mut [Read]) -> Option<Reservation> {
        let deadline = Instant::now() + self.params.max_wait;
        let mut which: Vec<usize> = (0..self.readable.len()).collect();
        let mut last = self.readable.is_empty() || self.params.max_wait.is_zero();
        loop {
            let (answer_now, memory) = self.read_some(&which, reads).await;
            if answer_now || last || Instant::now() >= deadline {
                return memory;
            }
            let have = total_bytes(self.fetch, reads);
            let waiting = Waiting::begin(self.readable, self.params, have);
            // Who waits holds no memory. What was read is read again: it has come lately, and lies in memory.
            which = self.let_go(reads);
            drop(memory);
            // Bytes may have come between the read and the registration: whoever grew since is read again.
            let mut grown = grown_since(self.fetch, self.readable, self.params, reads);
            if grown.is_empty() {
                let _told = self.tell_wait();
                last = tokio::time::timeout_at(deadline, waiting.waiter.enough()).await.is_err();
                grown = waiting.waiter.take_grown();
            }
            which.extend(grown);
            which.sort_unstable();
            which.dedup();
        }
    }

    /// Tells what is waited for, for as long as what is returned lives.
    fn tell_wait(&self) -> Waits<'_> {
        self.context.connection.activity.waits_with_fetch(FetchWait {
            fetch: Arc::clone(self.fetch),
            min_bytes: self.params.min_bytes,
            max_wait: self.params.max_wait,
            read_committed: self.params.read_committed,
        })
    }

    /// Drops the records that were read. Returns whose they were.
    fn let_go(&self, reads: &mut [Read]) -> Vec<usize> {
        let mut whose = Vec::new();
        for (index, one) in self.readable.iter().enumerate() {
            if let Some(read) = reads.get_mut(one.place)
                && read.records.bytes > 0
            {
                read.records = Records::default();
                whose.push(index);
            }
        }
        whose
    }

    /// Reads the partitions named by `which`; no other may have records. True when the fetch can be answered now: enough bytes, an error, or a diverging
    /// epoch. With it, what the records are paid with.
    async fn read_some(&self, which: &[usize], reads: &mut [Read]) -> (bool, Option<Reservation>) {
        let mut answer_now = false;
        let mut memory = self.reserve(which).await;
        let have = memory.as_ref().map_or(0, Reservation::bytes);
        // All are begun before the first is waited for, so that the disk reads one while another one is checked.
        let mut planned = 0;
        let mut begun = Vec::with_capacity(which.len());
        for one in which.iter().filter_map(|index| self.readable.get(*index)) {
            let Some(wanted) = self.fetch.partitions.get(one.place) else { continue };
            let reading = begin_one(&one.partition, wanted, self.params, planned, have);
            planned += reading.as_ref().map_or(0, Begun::planned_bytes);
            begun.push((one, wanted, reading));
        }
        let mut begun = begun.into_iter();
        while let Some((one, wanted, reading)) = begun.next() {
            let mut read = self.finish_one(&one.partition, wanted, reading).await;
            if let Read { needs_bytes: Some(needed), .. } = read {
                // The first batch is given whatever its length; nothing is held while that is waited for.
                for (one, wanted, reading) in begun.by_ref() {
                    let read = self.finish_one(&one.partition, wanted, reading).await;
                    answer_now |= read.error != NONE || read.diverging.is_some();
                    if let Some(slot) = reads.get_mut(one.place) {
                        *slot = Read { records: Records::default(), needs_bytes: None, ..read };
                    }
                }
                drop(memory.take());
                let waits = self.context.connection.activity.waits(Wait::ReadMemory);
                let whole = self.budget.reserve(needed).await;
                drop(waits);
                let reading = begin_one(&one.partition, wanted, self.params, 0, needed);
                read = self.finish_one(&one.partition, wanted, reading).await;
                memory = Some(whole);
            }
            answer_now |= read.error != NONE || read.diverging.is_some();
            if let Some(slot) = reads.get_mut(one.place) {
                *slot = read;
            }
        }
        let bytes = total_bytes(self.fetch, reads);
        if let Some(memory) = &mut memory {
            // What is sent from files is in no memory of this process.
            memory.shrink_to(reads.iter().map(|read| read.records.memory_bytes()).sum());
        }
        (answer_now || bytes >= self.params.min_bytes, memory.filter(|_| bytes > 0))
    }

    /// Waits for a read that was begun, and tells of it.
    async fn finish_one(
        &self,
        partition: &Arc<Partition>,
        wanted: &FetchPartition,
        begun: Result<Begun, ReplicaError>,
    ) -> Read {
        let outcome = match begun {
            Ok(Begun { read, reading: Some((range, reading)) }) => {
                let is_first = range.at_least_one;
                match partition.log().finish_read(reading).await {
                    Ok(records) => Ok(Read { records, ..read }),
                    Err(error) => match error.long_run_bytes() {
                        // Its turn comes with the next fetch, when it is the first; the first one gets what it needs.
                        Some(_) if !is_first => Ok(read),
                        Some(needed) => return Read { needs_bytes: Some(needed), ..read },
                        None => Err(error.into()),
                    },
                }
            }
            Ok(Begun { read, reading: None }) => Ok(read),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(read) => {
                // A read that brought nothing because of its own error or a diverging epoch counts as none.
                if read.error == NONE && read.diverging.is_none() {
                    partition.metrics().fetched(read.records.bytes as u64, false);
                }
                read
            }
            Err(error) => self.refused(partition, wanted, &error),
        }
    }

    fn refused(&self, partition: &Arc<Partition>, wanted: &FetchPartition, error: &ReplicaError) -> Read {
        let code = error.error();
        if code == ResponseError::KafkaStorageError {
            tracing::error!(topic = %partition.topic(), partition = wanted.partition, %error, "fetch failed");
        }
        self.context.refused(code, &format!("{}-{}", partition.topic(), wanted.partition), error);
        let leadership = partition.leadership();
        partition.metrics().fetched(0, !is_expected(code));
        let mut read = Read::failed(code);
        if matches!(code, ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch) {
            read.current_leader = Some((leadership.leader, leadership.leader_epoch));
        }
        read
    }

    /// Memory for a part of what there is to be read, at least for one run; none where nothing has come.
    async fn reserve(&self, which: &[usize]) -> Option<Reservation> {
        let mut wanted_bytes = 0_usize;
        for one in which.iter().filter_map(|index| self.readable.get(*index)) {
            let Some(wanted) = self.fetch.partitions.get(one.place) else { continue };
            if wanted.fetch_offset < one.partition.high_watermark() {
                wanted_bytes = wanted_bytes.saturating_add(usize::try_from(wanted.max_bytes).unwrap_or(0));
            }
        }
        if wanted_bytes == 0 {
            return None;
        }
        let _waits = self.context.connection.activity.waits(Wait::ReadMemory);
        Some(self.budget.reserve_share(wanted_bytes.min(self.params.max_bytes), RUN_TARGET_BYTES).await)
    }
}

/// Keeps a fetch registered at its partitions while it lives, however the request ends.
struct Waiting<'a> {
    readable: &'a [Readable],
    waiter: Arc<FetchWaiter>,
}

impl<'a> Waiting<'a> {
    fn begin(readable: &'a [Readable], params: &Params, have: usize) -> Self {
        let missing = params.min_bytes.saturating_sub(have).max(1);
        let waiter = FetchWaiter::new(i64::try_from(missing).unwrap_or(i64::MAX));
        for (index, one) in readable.iter().enumerate() {
            one.partition.register_fetch(index, &waiter);
        }
        Self { readable, waiter }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for one in self.readable {
            one.partition.unregister_fetch(&self.waiter);
        }
    }
}

fn grown_since(fetch: &FetchContext, readable: &[Readable], params: &Params, reads: &[Read]) -> Vec<usize> {
    let grown = |one: &Readable| {
        let bound =
            if params.read_committed { one.partition.last_stable_offset() } else { one.partition.high_watermark() };
        let known = reads
            .get(one.place)
            .map_or(-1, |read| if params.read_committed { read.last_stable_offset } else { read.high_watermark });
        let left = fetch
            .partitions
            .get(one.place)
            .is_some_and(|w| one.partition.check_leader(w.current_leader_epoch).is_err());
        bound != known || left
    };
    readable.iter().enumerate().filter(|(_, one)| grown(one)).map(|(index, _)| index).collect()
}

/// What there is to answer with. A partition that has more than its share counts with all of its share, as in Kafka (DelayedFetch.tryComplete): that only whole
/// batches are sent is nothing to wait for.
fn total_bytes(fetch: &FetchContext, reads: &[Read]) -> usize {
    let counted = |(wanted, read): (&FetchPartition, &Read)| match read.records.more {
        true => read.records.bytes.max(usize::try_from(wanted.max_bytes).unwrap_or(0)),
        false => read.records.bytes,
    };
    fetch.partitions.iter().zip(reads).map(counted).fold(0, usize::saturating_add)
}

/// One partition's read, begun.
struct Begun {
    read: Read,
    /// What is read, if anything is.
    reading: Option<(ReadRange, Reading)>,
}

impl Begun {
    /// The most that it will bring; what it brings, where that is known.
    fn planned_bytes(&self) -> usize {
        match &self.reading {
            Some((_, Reading::Done(done))) => done.as_ref().map_or(0, |records| records.bytes),
            Some((range, Reading::Begun(..))) => range.max_bytes,
            None => 0,
        }
    }
}

/// Begins to read one partition, beside `others` bytes of the same fetch, which has `have_bytes` of memory in all.
fn begin_one(
    partition: &Arc<Partition>,
    wanted: &FetchPartition,
    params: &Params,
    others: usize,
    have_bytes: usize,
) -> Result<Begun, ReplicaError> {
    partition.check_leader(wanted.current_leader_epoch)?;
    if params.from_follower {
        let topic = Arc::clone(partition.topic());
        return Err(ReplicaError::NotLeader { topic, partition: wanted.partition });
    }
    let mut read = Read {
        error: NONE,
        high_watermark: partition.high_watermark(),
        last_stable_offset: partition.last_stable_offset(),
        log_start_offset: partition.log().start_offset(),
        ..Read::default()
    };
    if wanted.last_fetched_epoch >= 0 {
        read.diverging = diverging_epoch(partition, wanted)?;
        if read.diverging.is_some() {
            return Ok(Begun { read, reading: None });
        }
    }
    let wants = match usize::try_from(wanted.max_bytes) {
        Ok(wants) if !params.limit_is_negative => wants,
        _ => return Ok(Begun { read: Read::failed(ResponseError::UnknownServerError), reading: None }),
    };
    let range = ReadRange {
        from_offset: wanted.fetch_offset,
        end_offset: if params.read_committed { read.last_stable_offset } else { read.high_watermark },
        max_bytes: wants.min(params.max_bytes.min(have_bytes).saturating_sub(others)),
        at_least_one: others == 0,
        most_bytes: have_bytes.saturating_sub(others),
    };
    let wants_some = range.max_bytes > 0 || range.at_least_one;
    let reading = wants_some.then(|| partition.log().begin_read(&range));
    Ok(Begun { read, reading: reading.map(|reading| (range, reading)) })
}

/// Errors that belong to a cluster's life: a fetch that meets one does not count as failed (ReplicaManager.readFromLog).
fn is_expected(error: ResponseError) -> bool {
    matches!(
        error,
        ResponseError::UnknownTopicOrPartition
            | ResponseError::NotLeaderOrFollower
            | ResponseError::UnknownLeaderEpoch
            | ResponseError::FencedLeaderEpoch
            | ResponseError::ReplicaNotAvailable
            | ResponseError::KafkaStorageError
            | ResponseError::InconsistentTopicId
            | ResponseError::OffsetOutOfRange
    )
}

/// Whether the client's log has left the leader's (KIP-595's truncation on fetch): the epoch and offset up to which both agree.
fn diverging_epoch(partition: &Partition, wanted: &FetchPartition) -> Result<Option<(i32, i64)>, LogError> {
    let log = partition.log();
    let (start, end) = (log.start_offset(), log.end_offset());
    let out_of_range = LogError::OffsetOutOfRange { offset: wanted.fetch_offset, start, end };
    let Some((epoch, end_offset)) = log.end_offset_for_epoch(wanted.last_fetched_epoch)? else {
        return Err(out_of_range);
    };
    if wanted.fetch_offset < start {
        return Err(out_of_range);
    }
    let diverges = epoch < wanted.last_fetched_epoch || end_offset < wanted.fetch_offset;
    Ok(diverges.then_some((epoch, end_offset)))
}

fn answer(
    broker: &Arc<Broker>,
    context: &RequestContext,
    fetch: &FetchContext,
    params: &Params,
    reads: Vec<Read>,
) -> Outcome {
    let answered: Vec<Answered> = reads
        .iter()
        .map(|read| Answered {
            high_watermark: read.high_watermark,
            log_start_offset: read.log_start_offset,
            has_records: read.records.bytes > 0,
            is_error: read.error != NONE,
            has_diverging_epoch: read.diverging.is_some(),
        })
        .collect();
    let (session_id, tell) = broker.fetch_sessions.finish(fetch, &answered);
    let mut topics: Vec<TopicReply> = Vec::new();
    let mut leaders = Vec::new();
    for ((wanted, read), _) in fetch.partitions.iter().zip(reads).zip(tell).filter(|(_, tell)| *tell) {
        leaders.extend(read.current_leader.map(|(leader, _)| leader));
        let same = |topic: &TopicReply| topic.topic_id == wanted.topic_id && *topic.topic == *wanted.topic;
        if !topics.last().is_some_and(same) {
            topics.push(TopicReply {
                topic: Arc::clone(&wanted.topic),
                topic_id: wanted.topic_id,
                partitions: Vec::new(),
            });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(partition_reply(context, wanted, params, read));
        }
    }
    let tells_endpoints = context.api_version >= CURRENT_LEADER_VERSION && !params.from_follower;
    let node_endpoints = if tells_endpoints && !leaders.is_empty() {
        advertised::nodes(broker, context)
            .into_iter()
            .filter(|node| leaders.contains(&node.id))
            .map(|node| NodeEndpoint { node_id: node.id, host: node.host, port: node.port, rack: node.rack })
            .collect()
    } else {
        Vec::new()
    };
    let told = FetchReply { throttle_time_ms: 0, error_code: NONE, session_id, topics, node_endpoints };
    reply(context, told, params.from_follower)
}

fn partition_reply(context: &RequestContext, wanted: &FetchPartition, params: &Params, read: Read) -> PartitionReply {
    let storage_error = ResponseError::KafkaStorageError.code();
    let error_code = match read.error {
        code if code == storage_error && context.api_version <= NO_STORAGE_ERROR_VERSION => {
            ResponseError::NotLeaderOrFollower.code()
        }
        code => code,
    };
    PartitionReply {
        partition_index: wanted.partition,
        error_code,
        high_watermark: read.high_watermark,
        last_stable_offset: read.last_stable_offset,
        log_start_offset: read.log_start_offset,
        diverging_epoch: read.diverging,
        current_leader: read.current_leader.filter(|_| context.api_version >= CURRENT_LEADER_VERSION),
        aborted_transactions: (read.unresolved || (params.read_committed && error_code == NONE)).then(Vec::new),
        preferred_read_replica: -1,
        records: read.records.pieces,
    }
}

fn reply(context: &RequestContext, reply: FetchReply, from_follower: bool) -> Outcome {
    let partitions = reply.topics.iter().flat_map(|topic| &topic.partitions);
    let errors = std::iter::once(reply.error_code).chain(partitions.map(|partition| partition.error_code)).collect();
    let counted_as = if from_follower { CountedAs::FetchFollower } else { CountedAs::FetchConsumer };
    fetch_response::encode(context.api_version, context.correlation_id, &reply)
        .map(|pieces| Some(Reply { counted_as: Some(counted_as), ..Reply::new(pieces, errors) }))
        .map_err(|error| CloseReason::Internal(error.to_string()))
}

fn session_error(error: SessionError) -> ResponseError {
    match error {
        SessionError::IdNotFound => ResponseError::FetchSessionIdNotFound,
        SessionError::InvalidEpoch => ResponseError::InvalidFetchSessionEpoch,
        SessionError::TopicIdMismatch => ResponseError::FetchSessionTopicIdError,
    }
}

//! Produce v3-13 (KIP-98, KIP-467, KIP-516). Checks each partition's batch, appends in the first stage, answers when the asked replicas have it.

use bytes::BytesMut;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use super::activity::Wait;
use super::context::{CloseReason, Outcome, RequestContext};
use super::error_code::ErrorCode;
use super::{Broker, advertised, table};
use crate::config::{self, CompressionType, RecordValidation};
use crate::log::Appended;
use crate::log::append::BatchInfo;
use crate::log::producers::AppendOrigin;
use crate::protocol::batch_builder;
use crate::protocol::batch_error::BatchError;
use crate::protocol::batch_validation::{self, BatchRules, ValidBatch};
use crate::protocol::compression::Compression;
use crate::protocol::produce_request::{self, ProduceRequest};
use crate::protocol::record_batch::{BatchHeader, BatchView, TimestampType};
use crate::replica::Partition;
use crate::replica::partition::{Acks, ReplicaError};
use crate::replica::waiters::OffsetWait;
use crate::types::budget::{Budget, Reservation};
use crate::types::limits::{DECOMPRESSED_BATCH_MAX_BYTES, USUAL_COMPRESSION_RATIO};
use crate::types::topic_name;

/// First version that tells `record_errors` (KIP-467).
const RECORD_ERRORS_VERSION: i16 = 8;
/// First version that tells the current leader (KIP-951).
const CURRENT_LEADER_VERSION: i16 = 10;
/// First version that names topics by id (KIP-516).
const TOPIC_ID_VERSION: i16 = 13;
/// The only client that may write to internal topics, as in Kafka.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// The least that is taken to open a batch in.
const LEAST_OPENED_BYTES: usize = 64 * 1024;

/// What became of one partition in the first stage.
enum Stage {
    Failed(Failure),
    Appended { appended: Appended, log_append_time_ms: i64, partition: Arc<Partition>, wait: OffsetWait },
}

#[derive(Debug)]
struct Failure {
    error: ResponseError,
    /// The error in full, for the log.
    said: String,
    /// What the client is told of it.
    message: Option<String>,
    record_errors: Vec<(i32, String)>,
    log_start_offset: i64,
    /// Whom to ask instead, for NOT_LEADER_OR_FOLLOWER.
    leader: Option<(i32, i32)>,
}

impl Failure {
    fn of(error: ResponseError) -> Self {
        Self {
            error,
            said: error.to_string(),
            message: None,
            record_errors: Vec::new(),
            log_start_offset: -1,
            leader: None,
        }
    }
}

struct TopicStage {
    name: Arc<str>,
    id: Uuid,
    partitions: Vec<(i32, Stage)>,
}

/// The table's handler: this API needs the body's own bytes, to append them without a copy.
pub async fn handle(broker: Arc<Broker>, context: RequestContext, body: BytesMut) -> Outcome {
    let request = produce_request::decode(context.api_version, body)
        .map_err(|error| CloseReason::Malformed(error.to_string()))?;
    let (raw_acks, timeout_ms) = (request.acks, request.timeout_ms);
    let topics = append_all(&broker, &context, request).await;
    context.first_stage.end();
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let response = answer(&broker, &context, topics, timeout).await;
    if raw_acks == 0 {
        return match first_error(&response) {
            None => Ok(None),
            Some(error) => Err(CloseReason::UnacknowledgedProduceFailed(error.to_string())),
        };
    }
    table::encode(&context, &response)
}

/// The first stage. It waits for nothing but memory to open compressed batches in, where their topic asks for that.
async fn append_all(broker: &Arc<Broker>, context: &RequestContext, request: ProduceRequest) -> Vec<TopicStage> {
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let transactional_id = request.transactional_id.is_some();
    let image = broker.cluster.image();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let known = if context.api_version >= TOPIC_ID_VERSION {
            image.topic_by_id(&topic.topic_id)
        } else {
            image.topic(&topic.name)
        };
        let (name, id) = match known {
            Some(known) => (Arc::clone(&known.name), known.id),
            None => (Arc::from(topic.name.as_str()), topic.topic_id),
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let stage = match known.filter(|known| known.partition(wanted.index).is_some()) {
                None if known.is_none() && context.api_version >= TOPIC_ID_VERSION => {
                    Err(Failure::of(ResponseError::UnknownTopicId))
                }
                None => Err(Failure::of(ResponseError::UnknownTopicOrPartition)),
                Some(known) => {
                    let records = wanted.records.unwrap_or_default();
                    let target = Target { topic_id: known.id, topic: &known.name, partition: wanted.index };
                    append_one(broker, context, &target, records, acks, transactional_id).await
                }
            };
            partitions.push((
                wanted.index,
                stage.unwrap_or_else(|failure| {
                    context.refused(failure.error, &format!("{name}-{}", wanted.index), &failure.said);
                    Stage::Failed(failure)
                }),
            ));
        }
        // A topic without partitions is not answered, as in Kafka.
        if !partitions.is_empty() {
            topics.push(TopicStage { name, id, partitions });
        }
    }
    topics
}

struct Target<'a> {
    topic_id: Uuid,
    topic: &'a str,
    partition: i32,
}

async fn append_one(
    broker: &Arc<Broker>,
    context: &RequestContext,
    target: &Target<'_>,
    records: BytesMut,
    acks: Option<Acks>,
    transactional_id: bool,
) -> Result<Stage, Failure> {
    let batch = batch_validation::produced_batch(&records, context.api_version).map_err(|e| batch_failure(&e, -1))?;
    if batch.header.attributes.is_transactional() && !transactional_id {
        return Err(Failure::of(ResponseError::TransactionalIdAuthorizationFailed));
    }
    let acks = acks.ok_or_else(|| Failure::of(ResponseError::InvalidRequiredAcks))?;
    if topic_name::is_internal(target.topic) && context.client_id.as_ref() != ADMIN_CLIENT_ID {
        return Err(Failure::of(ResponseError::InvalidTopicException));
    }
    let partition = broker
        .replicas
        .partition(target.topic_id, target.partition)
        .ok_or_else(|| Failure::of(ResponseError::NotLeaderOrFollower))?;
    let refused = records.len() as u64;
    let appended = append_valid(broker, context, &partition, records, acks).await;
    appended.inspect_err(|failure| {
        let is_too_large = matches!(failure.error, ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge);
        let rejected_bytes = if is_too_large { refused } else { 0 };
        partition.metrics().produce_refused(!is_too_large && !is_expected(failure.error), rejected_bytes);
    })
}

/// Errors that belong to a cluster's life: a produce that meets one does not count as failed (ReplicaManager.appendToLocalLog).
fn is_expected(error: ResponseError) -> bool {
    matches!(
        error,
        ResponseError::UnknownTopicOrPartition
            | ResponseError::NotLeaderOrFollower
            | ResponseError::CorruptMessage
            | ResponseError::KafkaStorageError
            | ResponseError::UnknownTopicId
    )
}

async fn append_valid(
    broker: &Arc<Broker>,
    context: &RequestContext,
    partition: &Arc<Partition>,
    mut records: BytesMut,
    acks: Acks,
) -> Result<Stage, Failure> {
    partition.check_leader(-1).map_err(|error| replica_failure(&error, partition))?;
    let batch = BatchView::parse(&records).map_err(|error| batch_failure(&error, -1))?;
    let (header, size) = (batch.header, batch.bytes.len());
    records.truncate(size);
    let mut rules = rules(broker, partition);
    let mut opening = None;
    let checked = if opens(&header, &rules, partition) {
        open(&broker.open_memory, &records, partition, &mut rules, &mut opening).await
    } else {
        check(&records, partition, &rules)
    };
    let (valid, anew) = checked.map_err(|error| batch_failure(&error, partition.log().start_offset()))?;
    let memory = match (&anew, opening) {
        (Some(_), Some(opening)) => Arc::new(opening),
        _ => Arc::clone(&context.memory),
    };
    let info = info(&valid);
    let (appended, wait) = partition
        .append(anew.unwrap_or(records), &[info], AppendOrigin::Client, acks, -1, Some(memory))
        .map_err(|error| replica_failure(&error, partition))?;
    partition.metrics().produced(u64::try_from(valid.header.record_count).unwrap_or(0), size as u64);
    let log_append_time_ms = match (valid.timestamp_type, appended.duplicate_timestamp_ms) {
        (_, Some(timestamp_ms)) => timestamp_ms,
        (TimestampType::LogAppendTime, None) => valid.max_timestamp_ms,
        (TimestampType::CreateTime, None) => -1,
    };
    Ok(Stage::Appended { appended, log_append_time_ms, partition: Arc::clone(partition), wait })
}

fn rules(broker: &Broker, partition: &Partition) -> BatchRules {
    let config = partition.config();
    BatchRules {
        max_batch_bytes: usize::try_from(config.max_message_bytes).unwrap_or(0),
        timestamp_type: match config.message_timestamp_type {
            config::TimestampType::CreateTime => TimestampType::CreateTime,
            config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        before_max_ms: config.message_timestamp_before_max_ms,
        after_max_ms: config.message_timestamp_after_max_ms,
        compacted: config.cleanup_compact,
        open_compressed: broker.config().record_validation == RecordValidation::Full,
        max_decompressed_bytes: DECOMPRESSED_BATCH_MAX_BYTES,
        now_ms: broker.clock.wall_ms(),
    }
}

/// The codec that the topic asks for, and its level.
fn wanted_codec(partition: &Partition, given: Compression) -> (Compression, Option<i32>) {
    match partition.config().compression {
        CompressionType::Producer => (given, None),
        CompressionType::Uncompressed => (Compression::None, None),
        CompressionType::Gzip(level) => (Compression::Gzip, Some(level)),
        CompressionType::Snappy => (Compression::Snappy, None),
        CompressionType::Lz4(level) => (Compression::Lz4, Some(level)),
        CompressionType::Zstd(level) => (Compression::Zstd, Some(level)),
    }
}

/// Whether a compressed batch has to be opened, for a rule or for another codec.
fn opens(header: &BatchHeader, rules: &BatchRules, partition: &Partition) -> bool {
    match header.attributes.compression() {
        Ok(Compression::None) | Err(_) => false,
        Ok(given) => batch_validation::needs_records(header, rules) || wanted_codec(partition, given).0 != given,
    }
}

/// As [`check`] for a batch that has to be opened: memory for what comes out is taken first, for as much as comes out of ordinary batches, and for the most
/// there may be where that was too little. What the batch made anew keeps is left in `opening`.
async fn open(
    budget: &Budget,
    records: &[u8],
    partition: &Partition,
    rules: &mut BatchRules,
    opening: &mut Option<Reservation>,
) -> Result<(ValidBatch, Option<BytesMut>), BatchError> {
    let most = rules.max_decompressed_bytes;
    let mut bytes = records.len().saturating_mul(USUAL_COMPRESSION_RATIO).clamp(LEAST_OPENED_BYTES.min(most), most);
    loop {
        let mut memory = budget.reserve(bytes).await;
        rules.max_decompressed_bytes = bytes;
        match check(records, partition, rules) {
            Err(BatchError::Bomb(_)) if bytes < most => bytes = most,
            checked => {
                memory.shrink_to(checked.as_ref().ok().and_then(|(_, anew)| anew.as_ref()).map_or(0, BytesMut::len));
                *opening = Some(memory);
                return checked;
            }
        }
    }
}

/// Validates a batch, and builds it anew where the topic asks for another codec or the offsets have gaps.
fn check(
    records: &[u8],
    partition: &Partition,
    rules: &BatchRules,
) -> Result<(ValidBatch, Option<BytesMut>), BatchError> {
    let batch = BatchView::parse(records)?;
    let valid = batch_validation::validate(&batch, rules)?;
    let given = valid.header.attributes.compression()?;
    let (wanted, level) = wanted_codec(partition, given);
    if wanted == given && valid.consecutive_offsets {
        return Ok((valid, None));
    }
    let batch = BatchView { header: valid.header, ..batch };
    let anew = batch_builder::rebuild(&batch, wanted, level, rules.max_decompressed_bytes)?;
    // Kafka looks at the size once more, too.
    if anew.len() > rules.max_batch_bytes {
        return Err(BatchError::TooLarge { size: anew.len(), max: rules.max_batch_bytes });
    }
    Ok((valid, Some(anew)))
}

fn info(valid: &ValidBatch) -> BatchInfo {
    let mut info = BatchInfo::new(0, &valid.header, None);
    info.timestamp_type = valid.timestamp_type;
    info.max_timestamp_ms = valid.max_timestamp_ms;
    if let Some(producer) = info.producer.as_mut() {
        producer.max_timestamp_ms = valid.max_timestamp_ms;
    }
    info
}

async fn answer(
    broker: &Arc<Broker>,
    context: &RequestContext,
    topics: Vec<TopicStage>,
    timeout: Duration,
) -> ProduceResponse {
    let deadline = tokio::time::Instant::now() + timeout;
    let mut response = ProduceResponse::default();
    let mut leaders: Vec<i32> = Vec::new();
    for topic in topics {
        let mut answered = TopicProduceResponse::default();
        if context.api_version >= TOPIC_ID_VERSION {
            answered.topic_id = topic.id;
        } else {
            answered.name = TopicName(StrBytes::from_string(topic.name.to_string()));
        }
        for (index, stage) in topic.partitions {
            let partition = match stage {
                Stage::Failed(failure) => {
                    leaders.extend(failure.leader.map(|(leader, _)| leader));
                    failed(index, failure, context.api_version)
                }
                Stage::Appended { appended, log_append_time_ms, partition, wait } => {
                    let acknowledged = acknowledge(context, wait, deadline).await.inspect_err(|error| {
                        context.refused(*error, &format!("{}-{index}", topic.name), error);
                    });
                    acked(index, &appended, log_append_time_ms, &partition, acknowledged)
                }
            };
            answered.partition_responses.push(partition);
        }
        response.responses.push(answered);
    }
    if context.api_version >= CURRENT_LEADER_VERSION {
        response.node_endpoints = node_endpoints(broker, context, &leaders);
    }
    response
}

async fn acknowledge(
    context: &RequestContext,
    wait: OffsetWait,
    deadline: tokio::time::Instant,
) -> Result<(), ResponseError> {
    match wait {
        OffsetWait::Passed => Ok(()),
        waiting => {
            let _told = context.connection.activity.waits(Wait::Acknowledgement);
            match tokio::time::timeout_at(deadline, waiting.done()).await {
                Ok(done) => done.map_err(|error| error.error()),
                Err(_) => Err(ResponseError::RequestTimedOut),
            }
        }
    }
}

fn acked(
    index: i32,
    appended: &Appended,
    log_append_time_ms: i64,
    partition: &Partition,
    acknowledged: Result<(), ResponseError>,
) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(acknowledged.map_or_else(|error| error.code(), |()| 0))
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(log_append_time_ms)
        .with_log_start_offset(partition.log().start_offset())
}

fn failed(index: i32, failure: Failure, version: i16) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(failure.error.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(failure.log_start_offset);
    if version >= RECORD_ERRORS_VERSION {
        response.error_message = failure.message.map(StrBytes::from_string);
        response.record_errors = failure
            .record_errors
            .into_iter()
            .map(|(batch_index, message)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(batch_index)
                    .with_batch_index_error_message(Some(StrBytes::from_string(message)))
            })
            .collect();
    }
    if let Some((leader_id, leader_epoch)) = failure.leader.filter(|_| version >= CURRENT_LEADER_VERSION) {
        response.current_leader =
            LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader_id)).with_leader_epoch(leader_epoch);
    }
    response
}

fn node_endpoints(broker: &Arc<Broker>, context: &RequestContext, leaders: &[i32]) -> Vec<NodeEndpoint> {
    let mut endpoints: Vec<NodeEndpoint> = Vec::new();
    for node in advertised::nodes(broker, context).into_iter().filter(|node| leaders.contains(&node.id)) {
        endpoints.push(
            NodeEndpoint::default()
                .with_node_id(BrokerId(node.id))
                .with_host(StrBytes::from_string(node.host.to_string()))
                .with_port(node.port)
                .with_rack(node.rack.as_ref().map(|rack| StrBytes::from_string(rack.to_string()))),
        );
    }
    endpoints
}

fn batch_failure(error: &BatchError, log_start_offset: i64) -> Failure {
    let record_errors = error.record_errors().iter().map(|e| (e.index, e.message.clone())).collect::<Vec<_>>();
    let code = error.code();
    // Kafka tells the sentence, and where the log starts, only for what its validator refused.
    let validator =
        matches!(error, BatchError::Refused { .. } | BatchError::Length { .. } | BatchError::UnknownMagic(_));
    let known_offset = !matches!(code, ResponseError::CorruptMessage | ResponseError::MessageTooLarge);
    Failure {
        error: code,
        said: error.to_string(),
        message: validator.then(|| error.to_string()),
        record_errors,
        log_start_offset: if known_offset { log_start_offset } else { -1 },
        leader: None,
    }
}

fn replica_failure(error: &ReplicaError, partition: &Partition) -> Failure {
    let code = error.error();
    let leadership = partition.leadership();
    let silent = matches!(
        code,
        ResponseError::UnknownTopicOrPartition | ResponseError::NotLeaderOrFollower | ResponseError::KafkaStorageError
    );
    let leader = (code == ResponseError::NotLeaderOrFollower).then_some((leadership.leader, leadership.leader_epoch));
    let message = (code == ResponseError::KafkaStorageError).then(|| error.to_string());
    let log_start_offset = if silent { -1 } else { partition.log().start_offset() };
    Failure { error: code, said: error.to_string(), message, record_errors: Vec::new(), log_start_offset, leader }
}

fn first_error(response: &ProduceResponse) -> Option<ResponseError> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.map(|p| p.error_code).find(|code| *code != 0).and_then(ResponseError::try_from_code)
}

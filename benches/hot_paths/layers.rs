//! The layers, each by itself: what a request or a record costs in one of them.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, FetchRequest};
use kafka_protocol::protocol::Encodable;
use ottla::api::context::Reply;
use ottla::api::error_tally::ErrorTally;
use ottla::api::fetch_session::{self, Answered, FetchContext, FetchPartition, FetchSessions, SessionRequest};
use ottla::log::append::BatchInfo;
use ottla::log::partition_log::AppendRequest;
use ottla::log::producers::AppendOrigin;
use ottla::log::{LogListener, PartitionLog};
use ottla::net::hot_path::{Cutter, Sender};
use ottla::protocol::batch_validation::{self, BatchRules};
use ottla::protocol::compression::Compression;
use ottla::protocol::record_batch::{BatchMut, BatchView, TimestampType};
use ottla::protocol::{codec, fetch_response, header, produce_request};
use ottla::store::hot_path::group_bytes;
use ottla::store::{
    Append, BoxFuture, Done, Durability, Health, LocalId, PartitionRow, ReadRequest, RecordStore, Retention, Run,
    RunInfo, Select, Space, StateKind, StoreError, Write,
};
use ottla::types::TopicIdPartition;
use ottla::types::budget::Budget;
use ottla::types::piece::Piece;
use std::sync::Arc;

use crate::inputs::{self, KIB, NOW_MS, TOPIC_ID};
use crate::{Path, Row};

pub const ROWS: &[Row] = &[
    Row { name: "produce-decode/1x16KiB", make: || produce_decode(1, 16 * KIB) },
    Row { name: "produce-decode/16x1KiB", make: || produce_decode(16, KIB) },
    Row { name: "validate/128x1KiB", make: || validate(Compression::None) },
    Row { name: "validate/128x1KiB-lz4", make: || validate(Compression::Lz4) },
    Row { name: "stamp/16KiB", make: || stamp(TimestampType::CreateTime) },
    Row { name: "stamp/16KiB-append-time", make: || stamp(TimestampType::LogAppendTime) },
    Row { name: "append/1KiB", make: || append(false) },
    Row { name: "append/1KiB-idempotent", make: || append(true) },
    Row { name: "group/16x16KiB", make: || group(16, 16 * KIB, 16) },
    Row { name: "group/256x1KiB", make: || group(256, KIB, 16) },
    Row { name: "fetch-decode/v17-100", make: || fetch_decode(17, 100) },
    Row { name: "fetch-session/100", make: || fetch_session(100) },
    Row { name: "fetch-encode/v4-1", make: || fetch_encode(4, 1) },
    Row { name: "fetch-encode/v12-1", make: || fetch_encode(12, 1) },
    Row { name: "fetch-encode/v17-1", make: || fetch_encode(17, 1) },
    Row { name: "fetch-encode/v4-100", make: || fetch_encode(4, 100) },
    Row { name: "fetch-encode/v12-100", make: || fetch_encode(12, 100) },
    Row { name: "fetch-encode/v17-100", make: || fetch_encode(17, 100) },
    Row { name: "reply-send/1x16KiB", make: || reply_send(1, 16 * KIB) },
    Row { name: "reply-send/100x1KiB", make: || reply_send(100, KIB) },
    Row { name: "metadata-encode/100x10", make: || metadata_encode(100) },
];

/// From a socket's bytes to slices that hold each partition's records.
fn produce_decode(partitions: i32, batch_bytes: usize) -> Path {
    let batch = inputs::batch(Compression::None, batch_bytes, KIB);
    let records = u64::try_from(batch.len()).unwrap() * partitions as u64;
    let request = inputs::produce_request(TOPIC_ID, -1, partitions, &batch);
    let socket = inputs::frame(ApiKey::Produce, 13, &request);
    let mut cutter = Cutter::new(1 << 20, Budget::new(1 << 30));
    Path::new(
        records..=records,
        || (),
        move |()| {
            let mut bytes = 0;
            cutter.cut(&socket, |mut frame, _paid| {
                let header = header::parse_request(&mut frame).unwrap();
                let request = produce_request::decode(header.api_version, frame).unwrap();
                let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
                bytes += partitions.map(|one| one.records.as_ref().map_or(0, BytesMut::len) as u64).sum::<u64>();
            });
            bytes
        },
    )
}

const RULES: BatchRules = BatchRules {
    max_batch_bytes: 1_048_588,
    timestamp_type: TimestampType::CreateTime,
    before_max_ms: i64::MAX,
    after_max_ms: 3_600_000,
    compacted: false,
    open_compressed: false,
    max_decompressed_bytes: 1 << 28,
    now_ms: NOW_MS,
};

fn validate(compression: Compression) -> Path {
    let records = inputs::batch(compression, 128 * KIB, KIB);
    Path::new(
        128..=128,
        || (),
        move |()| {
            let batch = batch_validation::produced_batch(&records, 13).unwrap();
            batch_validation::validate(&batch, &RULES).unwrap().header.record_count as u64
        },
    )
}

/// The leader's stamp: without a new checksum where the producer's timestamps stay, else with one.
fn stamp(timestamp_type: TimestampType) -> Path {
    let batch = inputs::batch(Compression::None, 16 * KIB, KIB);
    let given = BatchView::parse(&batch).unwrap().header.max_timestamp_ms;
    let copy = batch.clone();
    Path::new(
        1_000_015..=1_000_015,
        move || copy.clone(),
        move |mut records| {
            let mut batch = BatchMut::new(&mut records).unwrap();
            batch.assign(1_000_000, 3, timestamp_type, given);
            batch.header().last_offset() as u64
        },
    )
}

/// A log's append, in a store that has everything at once.
fn append(idempotent: bool) -> Path {
    let batch =
        if idempotent { inputs::idempotent_batch(KIB, 128) } else { inputs::batch(Compression::None, KIB, 128) };
    let header = BatchView::parse(&batch).unwrap().header;
    let count = header.record_count;
    let id = TopicIdPartition { topic_id: TOPIC_ID, partition: 0 };
    let row = PartitionRow { local_id: LocalId(1), id, log_start_offset: 0, log_end_offset: 0, size_bytes: 0 };
    let log = Arc::new(PartitionLog::open(Arc::new(InstantStore), &row, Arc::new(Unheard)));
    log.begin_leader_epoch(0);
    let mut base_sequence = 0;
    let prepare = move || {
        let header = ottla::protocol::record_batch::BatchHeader { base_sequence, ..header };
        base_sequence += if idempotent { count } else { 0 };
        (batch.clone(), [BatchInfo::new(0, &header, None)])
    };
    Path::new(count as u64..=count as u64, prepare, move |(records, batches)| {
        let appended = log.append(AppendRequest {
            records,
            batches: &batches,
            leader_epoch: 0,
            origin: AppendOrigin::Client,
            durability: Durability::Synced,
            flush_messages: i64::MAX,
            memory: None,
        });
        let appended = appended.unwrap();
        (appended.last_offset - appended.base_offset + 1) as u64
    })
}

struct Unheard;

impl LogListener for Unheard {
    fn written(&self, _: i64, _: usize) {}

    fn failed(&self, error: &StoreError) {
        panic!("{error}");
    }
}

/// A store that has every write as it comes, and keeps none: no other thread takes part, so an append always costs the same.
struct InstantStore;

impl RecordStore for InstantStore {
    fn partitions(&self) -> Result<Vec<PartitionRow>, StoreError> {
        Ok(Vec::new())
    }

    fn allocate(&self) -> Result<LocalId, StoreError> {
        Err(StoreError::Closed)
    }

    fn submit(&self, write: Write, _: Durability, done: Done) -> Result<(), StoreError> {
        drop(write);
        done(Ok(()));
        Ok(())
    }

    fn submit_all(&self, writes: Vec<Write>, _: Durability, done: Done) -> Result<(), StoreError> {
        drop(writes);
        done(Ok(()));
        Ok(())
    }

    fn read_cached(&self, _: &ReadRequest) -> Option<Vec<Run>> {
        None
    }

    fn read(&self, _: ReadRequest) -> BoxFuture<Result<Vec<Run>, StoreError>> {
        Box::pin(async { Err(StoreError::Closed) })
    }

    fn read_parts(&self, _: ReadRequest, _: Box<dyn Select>) -> BoxFuture<Result<Vec<Piece>, StoreError>> {
        Box::pin(async { Err(StoreError::Closed) })
    }

    fn find_timestamp(&self, _: LocalId, _: i64, _: i64) -> BoxFuture<Result<Option<RunInfo>, StoreError>> {
        Box::pin(async { Err(StoreError::Closed) })
    }

    fn max_timestamp(&self, _: LocalId) -> BoxFuture<Result<Option<RunInfo>, StoreError>> {
        Box::pin(async { Err(StoreError::Closed) })
    }

    fn retained_from(&self, _: LocalId, _: Retention) -> BoxFuture<Result<i64, StoreError>> {
        Box::pin(async { Err(StoreError::Closed) })
    }

    fn state(&self, _: LocalId, _: StateKind) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        Ok(Vec::new())
    }

    fn size_bytes(&self, _: LocalId) -> u64 {
        0
    }

    fn queued_writes(&self) -> usize {
        0
    }

    fn health(&self) -> Health {
        Health::Writable
    }

    fn space(&self) -> Result<Space, StoreError> {
        Err(StoreError::Closed)
    }

    fn path(&self) -> &std::path::Path {
        std::path::Path::new("/nowhere")
    }

    fn close(&self) -> BoxFuture<Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The writer's group of so many appends, in turn to this many partitions.
fn group(appends: usize, batch_bytes: usize, partitions: usize) -> Path {
    let batch = inputs::batch(Compression::None, batch_bytes, KIB).freeze();
    let count = i64::from(BatchView::parse(&batch).unwrap().header.record_count);
    let bytes = (appends * batch.len()) as u64;
    let prepare = move || {
        let one = |number: usize| {
            let base_offset = (number / partitions) as i64 * count;
            Write::Append(Append {
                local_id: LocalId((number % partitions) as u64),
                base_offset,
                last_offset: base_offset + count - 1,
                leader_epoch: 0,
                max_timestamp_ms: NOW_MS,
                batches: batch.clone(),
                state: Vec::new(),
            })
        };
        (0..appends).map(one).collect::<Vec<_>>()
    };
    // Its header, its directory, and padding to a whole block come on top.
    Path::new(bytes + 64..=bytes + 32 * KIB as u64, prepare, |writes| group_bytes(writes) as u64)
}

fn fetch_decode(version: i16, partitions: i32) -> Path {
    let mut body = BytesMut::new();
    inputs::fetch_request(TOPIC_ID, 0..partitions).encode(&mut body, version).unwrap();
    let body = body.freeze();
    Path::new(
        partitions as u64..=partitions as u64,
        || (),
        move |()| {
            let request: FetchRequest = codec::decode(ApiKey::Fetch as i16, version, body.clone()).unwrap();
            request.topics.iter().map(|topic| topic.partitions.len() as u64).sum()
        },
    )
}

/// An incremental fetch of a session with this many partitions: one has moved on, and one has records.
fn fetch_session(partitions: i32) -> Path {
    let sessions = FetchSessions::new(10);
    let topic: Arc<str> = Arc::from("");
    let wanted = move |partition, fetch_offset| FetchPartition {
        topic_id: TOPIC_ID,
        topic: Arc::clone(&topic),
        partition,
        fetch_offset,
        max_bytes: 1 << 20,
        current_leader_epoch: 0,
        last_fetched_epoch: -1,
    };
    let request = |session_id, epoch| SessionRequest { session_id, epoch, uses_topic_ids: true };
    let answered = move |high_watermark, context: &FetchContext, with_records: Option<i32>| {
        let one = |partition: &FetchPartition| {
            let has_records = Some(partition.partition) == with_records;
            Answered {
                high_watermark: if has_records { high_watermark } else { 0 },
                log_start_offset: 0,
                has_records,
                is_error: false,
                has_diverging_epoch: false,
            }
        };
        context.partitions.iter().map(one).collect::<Vec<_>>()
    };
    let all = (0..partitions).map(|index| wanted(index, 0)).collect();
    let context = sessions.begin(request(0, fetch_session::INITIAL_EPOCH), all, &[]).unwrap();
    let (session_id, _) = sessions.finish(&context, &answered(0, &context, None));
    let mut epoch = 0;
    let prepare = move || {
        epoch += 1;
        (epoch, vec![wanted(epoch % partitions, i64::from(epoch))])
    };
    // The partition that has records, and the one before, whose high watermark the model lets fall back.
    Path::new(1..=2, prepare, move |(epoch, changed)| {
        let partition = changed.first().map(|partition| partition.partition);
        let context = sessions.begin(request(session_id, epoch), changed, &[]).unwrap();
        let answers = answered(i64::from(epoch), &context, partition);
        let (_, tell) = sessions.finish(&context, &answers);
        tell.iter().filter(|tell| **tell).count() as u64
    })
}

fn fetch_encode(version: i16, partitions: i32) -> Path {
    let batch = inputs::batch(Compression::None, 16 * KIB, KIB).freeze();
    let bytes = batch.len() as u64 * partitions as u64;
    let reply = inputs::fetch_reply(partitions, &batch);
    Path::new(
        bytes + 20..=bytes + 100 + 100 * partitions as u64,
        || (),
        move |()| {
            let pieces = fetch_response::encode(version, 7, &reply).unwrap();
            pieces.iter().map(|piece| piece.len() as u64).sum()
        },
    )
}

/// A fetch's answer on its way through the outbox to the socket.
fn reply_send(partitions: i32, batch_bytes: usize) -> Path {
    let batch = inputs::batch(Compression::None, batch_bytes, KIB).freeze();
    let reply = inputs::fetch_reply(partitions, &batch);
    let pieces = fetch_response::encode(17, 7, &reply).unwrap();
    let bytes = 4 + pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    let (mut sender, budget) = (Sender::default(), Budget::new(1 << 30));
    let prepare = move || {
        let paid = Arc::new(budget.try_reserve(100).unwrap());
        (Reply::new(pieces.clone(), ErrorTally::default()), paid)
    };
    Path::new(bytes..=bytes, prepare, move |(reply, paid)| sender.send(reply, paid) as u64)
}

fn metadata_encode(topics: i32) -> Path {
    let response = inputs::metadata_response(topics);
    let bytes = response.compute_size(13).unwrap() as u64 + 5;
    Path::new(
        bytes..=bytes,
        || (),
        move |()| codec::encode_reply(ApiKey::Metadata as i16, 13, 7, &response).unwrap().len() as u64,
    )
}

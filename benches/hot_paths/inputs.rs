//! What the paths are run on: batches, frames and replies as clients and brokers make them. The same in every process.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, BrokerId, FetchRequest, MetadataResponse, ProduceRequest, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use ottla::protocol::batch_builder::BatchBuilder;
use ottla::protocol::compression::Compression;
use ottla::protocol::fetch_response::{FetchReply, PartitionReply, TopicReply};
use std::sync::Arc;
use uuid::Uuid;

pub const KIB: usize = 1024;

/// The clock of producers and of the broker.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// A batch that is about `bytes` long before it is compressed, of records that are.
pub fn batch(compression: Compression, bytes: usize, record_bytes: usize) -> BytesMut {
    let mut builder = BatchBuilder::new(compression);
    fill(&mut builder, bytes, record_bytes);
    builder.build().unwrap()
}

/// As [`batch`], of an idempotent producer.
pub fn idempotent_batch(bytes: usize, record_bytes: usize) -> BytesMut {
    let mut builder = BatchBuilder::new(Compression::None).producer(4711, 0, 0);
    fill(&mut builder, bytes, record_bytes);
    builder.build().unwrap()
}

fn fill(builder: &mut BatchBuilder, bytes: usize, record_bytes: usize) {
    for index in 0..(bytes / record_bytes).max(1) {
        // What a record takes besides its value.
        let value = text(record_bytes - 16, index);
        builder.add(NOW_MS + index as i64, Some(format!("{index:08}").as_bytes()), Some(&value), &[]);
    }
}

/// Words, so that a codec has something to find; another text for each `seed`.
fn text(bytes: usize, seed: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["letters ", "castle ", "Felice ", "burrow ", "Amerika ", "trial ", "sister ", "penal "];
    let mut state = seed as u64 + 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(WORDS[(state >> 61) as usize].as_bytes());
    }
    out.truncate(bytes);
    out
}

pub fn name(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub const TOPIC_ID: Uuid = Uuid::from_u128(0x0771a);

/// A request as it comes over a socket: length, header, body.
pub fn frame<T: Encodable>(key: ApiKey, version: i16, request: &T) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(name("producer-1")));
    let mut out = BytesMut::from(&[0; 4][..]);
    header.encode(&mut out, key.request_header_version(version)).unwrap();
    request.encode(&mut out, version).unwrap();
    let length = u32::try_from(out.len() - 4).unwrap();
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.to_vec()
}

/// A Produce request for `partitions` partitions of a topic, each with this batch.
pub fn produce_request(topic_id: Uuid, acks: i16, partitions: i32, batch: &[u8]) -> ProduceRequest {
    let data = (0..partitions)
        .map(|index| PartitionProduceData::default().with_index(index).with_records(Some(batch.to_vec().into())));
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![TopicProduceData::default().with_topic_id(topic_id).with_partition_data(data.collect())])
}

/// A Fetch request for `partitions` partitions of a topic, as the Java consumer sends it.
pub fn fetch_request(topic_id: Uuid, partitions: std::ops::Range<i32>) -> FetchRequest {
    let wanted = partitions.map(|index| {
        FetchPartition::default()
            .with_partition(index)
            .with_current_leader_epoch(0)
            .with_fetch_offset(0)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(1024 * 1024)
    });
    let partitions: Vec<_> = wanted.collect();
    let topics = match partitions.is_empty() {
        true => Vec::new(),
        false => vec![FetchTopic::default().with_topic_id(topic_id).with_partitions(partitions)],
    };
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(50 * 1024 * 1024)
        .with_session_epoch(-1)
        .with_topics(topics)
}

/// An answer to a fetch: each partition with this batch.
pub fn fetch_reply(partitions: i32, batch: &Bytes) -> FetchReply {
    let one = |partition_index| PartitionReply {
        partition_index,
        error_code: 0,
        high_watermark: 1_000_000,
        last_stable_offset: 1_000_000,
        log_start_offset: 0,
        diverging_epoch: None,
        current_leader: None,
        aborted_transactions: None,
        preferred_read_replica: -1,
        records: vec![batch.clone().into()],
    };
    let topic =
        TopicReply { topic: Arc::from("letters"), topic_id: TOPIC_ID, partitions: (0..partitions).map(one).collect() };
    FetchReply { session_id: 4711, topics: vec![topic], ..FetchReply::default() }
}

/// An answer that tells of so many topics with ten partitions each.
pub fn metadata_response(topics: i32) -> MetadataResponse {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(1))
            .with_leader_epoch(0)
            .with_replica_nodes(vec![BrokerId(1)])
            .with_isr_nodes(vec![BrokerId(1)])
    };
    let topic = |number: i32| {
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(name(&format!("topic-{number}")))))
            .with_topic_id(Uuid::from_u128(number as u128 + 1))
            .with_partitions((0..10).map(partition).collect())
    };
    MetadataResponse::default()
        .with_brokers(vec![
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(1))
                .with_host(name("broker.example.com"))
                .with_port(9092),
        ])
        .with_cluster_id(Some(name("5L6g3nShT-eMCtK--X86sw")))
        .with_controller_id(BrokerId(1))
        .with_topics((0..topics).map(topic).collect())
}

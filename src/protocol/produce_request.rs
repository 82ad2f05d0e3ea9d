//! ProduceRequest v3-13 over the frame's own bytes: each partition's records are a part of the frame that can be changed in place, so that an append patches
//! offsets without a copy. The generated decoder gives shared slices, which cannot be changed.

use bytes::BytesMut;
use uuid::Uuid;

use super::wire::{Reader, WireError};

/// First flexible version (KIP-482).
const FLEXIBLE_VERSION: i16 = 9;
/// First version that names topics by id (KIP-516).
const TOPIC_ID_VERSION: i16 = 13;

#[derive(Debug, Default)]
pub struct ProduceRequest {
    pub transactional_id: Option<String>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<TopicData>,
}

#[derive(Debug, Default)]
pub struct TopicData {
    /// Empty from v13.
    pub name: String,
    /// Nil below v13.
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

#[derive(Debug, Default)]
pub struct PartitionData {
    pub index: i32,
    pub records: Option<BytesMut>,
}

/// Decodes a request's body. Bytes after it are ignored, as in Kafka.
pub fn decode(api_version: i16, mut body: BytesMut) -> Result<ProduceRequest, WireError> {
    let mut reader = Reader::new(&mut body, api_version >= FLEXIBLE_VERSION);
    let transactional_id = reader.nullable_string("transactional id")?;
    let acks = reader.i16("acks")?;
    let timeout_ms = reader.i32("timeout")?;
    let mut topics = Vec::new();
    for _ in 0..reader.array("topics")? {
        topics.push(topic(&mut reader, api_version)?);
    }
    reader.skip_tagged_fields("produce request")?;
    Ok(ProduceRequest { transactional_id, acks, timeout_ms, topics })
}

fn topic(reader: &mut Reader<'_>, api_version: i16) -> Result<TopicData, WireError> {
    let mut topic = TopicData::default();
    if api_version >= TOPIC_ID_VERSION {
        topic.topic_id = reader.uuid("topic id")?;
    } else {
        topic.name =
            reader.nullable_string("topic name")?.ok_or(WireError::Length { what: "topic name", length: -1 })?;
    }
    for _ in 0..reader.array("partitions")? {
        let index = reader.i32("partition index")?;
        let records = reader.nullable_bytes("records")?;
        reader.skip_tagged_fields("partition data")?;
        topic.partitions.push(PartitionData { index, records });
    }
    reader.skip_tagged_fields("topic data")?;
    Ok(topic)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::messages::produce_request as generated;
    use kafka_protocol::messages::{ProduceRequest as Generated, TopicName, TransactionalId};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn sample(version: i16) -> Generated {
        let text = |text: String| StrBytes::from_string(text);
        let topics = (0..3).map(|t| {
            let partitions = (0..4).map(|p| {
                let records = Bytes::from(vec![p as u8; p * 50]);
                generated::PartitionProduceData::default()
                    .with_index(p as i32)
                    .with_records((p != 3).then_some(records))
            });
            let topic = generated::TopicProduceData::default().with_partition_data(partitions.collect());
            if version >= TOPIC_ID_VERSION {
                topic.with_topic_id(Uuid::from_u128(77 + t))
            } else {
                topic.with_name(TopicName(text(format!("topic-{t}"))))
            }
        });
        let request = Generated::default()
            .with_transactional_id((version % 2 == 0).then(|| TransactionalId(text("tx".into()))))
            .with_acks(-1)
            .with_timeout_ms(1234)
            .with_topic_data(topics.collect());
        if version >= FLEXIBLE_VERSION {
            request.with_unknown_tagged_field(55, Bytes::from_static(b"later"))
        } else {
            request
        }
    }

    #[test]
    fn what_kafka_protocol_writes_is_read_at_all_versions() {
        for version in 3..=13 {
            let wanted = sample(version);
            let mut body = BytesMut::new();
            wanted.encode(&mut body, version).unwrap();
            for cut in 0..body.len() {
                assert!(decode(version, BytesMut::from(&body[..cut])).is_err(), "version {version} cut at {cut}");
            }
            body.extend_from_slice(b"trailing bytes are ignored");
            let got = decode(version, body).unwrap();
            assert_eq!(got.transactional_id.as_deref(), wanted.transactional_id.as_ref().map(|id| id.0.as_str()));
            assert_eq!((got.acks, got.timeout_ms, got.topics.len()), (wanted.acks, wanted.timeout_ms, 3));
            for (got, wanted) in got.topics.iter().zip(&wanted.topic_data) {
                assert_eq!((got.name.as_str(), got.topic_id), (wanted.name.0.as_str(), wanted.topic_id));
                assert_eq!(got.partitions.len(), 4);
                for (got, wanted) in got.partitions.iter().zip(&wanted.partition_data) {
                    assert_eq!((got.index, got.records.as_deref()), (wanted.index, wanted.records.as_deref()));
                }
            }
        }
    }

    #[test]
    fn records_lie_in_the_frame() {
        let mut body = BytesMut::new();
        sample(9).encode(&mut body, 9).unwrap();
        let frame = body.as_ptr_range();
        let got = decode(9, body).unwrap();
        let records = got.topics[2].partitions[2].records.as_ref().unwrap();
        assert!(frame.contains(&records.as_ptr()));
    }

    #[test]
    fn absurd_counts_take_no_memory() {
        let mut body = BytesMut::new();
        // No transactional id, acks, timeout, and two billion topics.
        body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
        assert!(matches!(decode(3, body), Err(WireError::Short { what: "topics", .. })));
    }
}

//! FetchResponse v4-18 as a list of pieces: the generated encoder would copy every record into the reply, and needs them in memory.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::ApiKey;
use std::sync::Arc;
use thiserror::Error;
use uuid::Uuid;

use super::header;
use super::wire::{put_array_length, put_nullable_string, put_string, put_unsigned_varint};
use crate::types::piece::Piece;

/// First version with a session id and an error for the whole (KIP-227).
const SESSION_VERSION: i16 = 7;
/// First version with the log start offset (KIP-107).
const LOG_START_VERSION: i16 = 5;
/// First version with a preferred replica (KIP-392).
const PREFERRED_REPLICA_VERSION: i16 = 11;
/// First flexible version, with diverging epoch and current leader as tagged fields (KIP-482, KIP-595).
const FLEXIBLE_VERSION: i16 = 12;
/// First version that names topics by id (KIP-516).
const TOPIC_ID_VERSION: i16 = 13;
/// First version that names the current leader's address (KIP-951).
const NODE_ENDPOINTS_VERSION: i16 = 16;

const DIVERGING_EPOCH_TAG: u32 = 0;
const CURRENT_LEADER_TAG: u32 = 1;
const NODE_ENDPOINTS_TAG: u32 = 0;

#[derive(Clone, Debug, Default)]
pub struct FetchReply {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub topics: Vec<TopicReply>,
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Clone, Debug)]
pub struct TopicReply {
    pub topic: Arc<str>,
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionReply>,
}

#[derive(Clone, Debug)]
pub struct PartitionReply {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Epoch and end offset.
    pub diverging_epoch: Option<(i32, i64)>,
    /// Leader id and epoch.
    pub current_leader: Option<(i32, i32)>,
    /// Producer id and first offset; `None` says null.
    pub aborted_transactions: Option<Vec<(i64, i64)>>,
    pub preferred_read_replica: i32,
    /// Whole batches, one piece after the other.
    pub records: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: Arc<str>,
    pub port: i32,
    pub rack: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{bytes} bytes of records for one partition do not fit a reply")]
pub struct RecordsTooLong {
    bytes: usize,
}

/// Encodes header and body. The pieces, one after the other, are the reply; record slices are shared, not copied.
pub fn encode(version: i16, correlation_id: i32, reply: &FetchReply) -> Result<Vec<Piece>, RecordsTooLong> {
    let flexible = version >= FLEXIBLE_VERSION;
    let mut pieces = Vec::new();
    let mut out = BytesMut::with_capacity(256);
    header::put_response(&mut out, ApiKey::Fetch as i16, version, correlation_id);
    out.put_i32(reply.throttle_time_ms);
    if version >= SESSION_VERSION {
        out.put_i16(reply.error_code);
        out.put_i32(reply.session_id);
    }
    put_array_length(&mut out, flexible, reply.topics.len());
    for topic in &reply.topics {
        if version >= TOPIC_ID_VERSION {
            out.put_u128(topic.topic_id.as_u128());
        } else {
            put_string(&mut out, flexible, &topic.topic);
        }
        put_array_length(&mut out, flexible, topic.partitions.len());
        for partition in &topic.partitions {
            put_partition(&mut out, &mut pieces, version, partition)?;
        }
        if flexible {
            out.put_u8(0);
        }
    }
    if flexible {
        put_node_endpoints(&mut out, version, &reply.node_endpoints);
    }
    pieces.push(out.freeze().into());
    Ok(pieces)
}

fn put_partition(
    out: &mut BytesMut,
    pieces: &mut Vec<Piece>,
    version: i16,
    partition: &PartitionReply,
) -> Result<(), RecordsTooLong> {
    let flexible = version >= FLEXIBLE_VERSION;
    out.put_i32(partition.partition_index);
    out.put_i16(partition.error_code);
    out.put_i64(partition.high_watermark);
    out.put_i64(partition.last_stable_offset);
    if version >= LOG_START_VERSION {
        out.put_i64(partition.log_start_offset);
    }
    match &partition.aborted_transactions {
        Some(aborted) => {
            put_array_length(out, flexible, aborted.len());
            for (producer_id, first_offset) in aborted {
                out.put_i64(*producer_id);
                out.put_i64(*first_offset);
                if flexible {
                    out.put_u8(0);
                }
            }
        }
        None if flexible => out.put_u8(0),
        None => out.put_i32(-1),
    }
    if version >= PREFERRED_REPLICA_VERSION {
        out.put_i32(partition.preferred_read_replica);
    }
    put_records(out, pieces, flexible, &partition.records)?;
    if flexible {
        put_partition_tags(out, partition);
    }
    Ok(())
}

fn put_records(
    out: &mut BytesMut,
    pieces: &mut Vec<Piece>,
    flexible: bool,
    records: &[Piece],
) -> Result<(), RecordsTooLong> {
    let bytes: usize = records.iter().map(Piece::len).sum();
    let length = i32::try_from(bytes).ok().filter(|length| *length < i32::MAX).ok_or(RecordsTooLong { bytes })?;
    if flexible {
        put_unsigned_varint(out, length as u32 + 1);
    } else {
        out.put_i32(length);
    }
    if bytes > 0 {
        pieces.push(out.split().freeze().into());
        pieces.extend(records.iter().cloned());
    }
    Ok(())
}

fn put_partition_tags(out: &mut BytesMut, partition: &PartitionReply) {
    let tags = u8::from(partition.diverging_epoch.is_some()) + u8::from(partition.current_leader.is_some());
    out.put_u8(tags);
    if let Some((epoch, end_offset)) = partition.diverging_epoch {
        put_unsigned_varint(out, DIVERGING_EPOCH_TAG);
        put_unsigned_varint(out, 13);
        out.put_i32(epoch);
        out.put_i64(end_offset);
        out.put_u8(0);
    }
    if let Some((leader_id, leader_epoch)) = partition.current_leader {
        put_unsigned_varint(out, CURRENT_LEADER_TAG);
        put_unsigned_varint(out, 9);
        out.put_i32(leader_id);
        out.put_i32(leader_epoch);
        out.put_u8(0);
    }
}

fn put_node_endpoints(out: &mut BytesMut, version: i16, endpoints: &[NodeEndpoint]) {
    if version < NODE_ENDPOINTS_VERSION || endpoints.is_empty() {
        out.put_u8(0);
        return;
    }
    let mut tagged = BytesMut::new();
    put_array_length(&mut tagged, true, endpoints.len());
    for endpoint in endpoints {
        tagged.put_i32(endpoint.node_id);
        put_string(&mut tagged, true, &endpoint.host);
        tagged.put_i32(endpoint.port);
        put_nullable_string(&mut tagged, true, endpoint.rack.as_deref());
        tagged.put_u8(0);
    }
    out.put_u8(1);
    put_unsigned_varint(out, NODE_ENDPOINTS_TAG);
    put_unsigned_varint(out, u32::try_from(tagged.len()).unwrap_or(u32::MAX));
    out.put_slice(&tagged);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::messages::fetch_response as generated;
    use kafka_protocol::messages::{BrokerId, FetchResponse, ProducerId, TopicName};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    const EPOCHS: [Option<(i32, i64)>; 4] = [None, Some((4, 99)), None, Some((5, 7))];
    const LEADERS: [Option<(i32, i32)>; 4] = [None, None, Some((2, 6)), Some((3, 9))];

    fn in_memory(pieces: &[Piece]) -> Vec<Bytes> {
        pieces.iter().map(|piece| piece.clone().into_memory().unwrap()).collect()
    }

    fn text(text: &str) -> StrBytes {
        StrBytes::from_string(text.to_owned())
    }

    fn reply(version: i16) -> FetchReply {
        let partition = |p: usize| PartitionReply {
            partition_index: p as i32,
            error_code: p as i16 * 3,
            high_watermark: 1 << (p + 40),
            last_stable_offset: 5,
            log_start_offset: if version >= LOG_START_VERSION { 3 } else { -1 },
            diverging_epoch: EPOCHS[p].filter(|_| version >= FLEXIBLE_VERSION),
            current_leader: LEADERS[p].filter(|_| version >= FLEXIBLE_VERSION),
            aborted_transactions: [None, Some(vec![]), Some(vec![(7, 8), (9, 10)]), None][p].clone(),
            preferred_read_replica: if version >= PREFERRED_REPLICA_VERSION { p as i32 - 1 } else { -1 },
            records: (0..p).map(|i| Bytes::from(vec![i as u8; 10 + 3000 * i]).into()).collect(),
        };
        let topic = |t: u128| TopicReply {
            topic: Arc::from(if version < TOPIC_ID_VERSION { format!("topic-{t}") } else { String::new() }),
            topic_id: if version >= TOPIC_ID_VERSION { Uuid::from_u128(t + 900) } else { Uuid::nil() },
            partitions: (0..4).map(partition).collect(),
        };
        let session = version >= SESSION_VERSION;
        FetchReply {
            throttle_time_ms: 11,
            error_code: if session { 70 } else { 0 },
            session_id: if session { 1234 } else { 0 },
            topics: (0..2).map(topic).collect(),
            node_endpoints: if version >= NODE_ENDPOINTS_VERSION {
                let rack = |rack: Option<&str>| rack.map(Arc::from);
                vec![
                    NodeEndpoint { node_id: 2, host: Arc::from("b"), port: 9092, rack: rack(Some("r")) },
                    NodeEndpoint { node_id: 3, host: Arc::from("c"), port: 1, rack: rack(None) },
                ]
            } else {
                vec![]
            },
        }
    }

    fn as_generated(reply: &FetchReply) -> FetchResponse {
        let partition = |p: &PartitionReply| {
            let aborted = p.aborted_transactions.as_ref().map(|aborted| {
                let entries = aborted.iter().map(|(producer_id, first_offset)| {
                    generated::AbortedTransaction::default()
                        .with_producer_id(ProducerId(*producer_id))
                        .with_first_offset(*first_offset)
                });
                entries.collect::<Vec<_>>()
            });
            let mut data = generated::PartitionData::default()
                .with_partition_index(p.partition_index)
                .with_error_code(p.error_code)
                .with_high_watermark(p.high_watermark)
                .with_last_stable_offset(p.last_stable_offset)
                .with_log_start_offset(p.log_start_offset)
                .with_aborted_transactions(aborted)
                .with_preferred_read_replica(BrokerId(p.preferred_read_replica))
                .with_records(Some(in_memory(&p.records).concat().into()));
            if let Some((epoch, end_offset)) = p.diverging_epoch {
                data.diverging_epoch =
                    generated::EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset);
            }
            if let Some((leader_id, leader_epoch)) = p.current_leader {
                data.current_leader = generated::LeaderIdAndEpoch::default()
                    .with_leader_id(BrokerId(leader_id))
                    .with_leader_epoch(leader_epoch);
            }
            data
        };
        let topics = reply.topics.iter().map(|topic| {
            generated::FetchableTopicResponse::default()
                .with_topic(TopicName(text(&topic.topic)))
                .with_topic_id(topic.topic_id)
                .with_partitions(topic.partitions.iter().map(partition).collect())
        });
        let endpoints = reply.node_endpoints.iter().map(|endpoint| {
            generated::NodeEndpoint::default()
                .with_node_id(BrokerId(endpoint.node_id))
                .with_host(text(&endpoint.host))
                .with_port(endpoint.port)
                .with_rack(endpoint.rack.as_deref().map(text))
        });
        FetchResponse::default()
            .with_throttle_time_ms(reply.throttle_time_ms)
            .with_error_code(reply.error_code)
            .with_session_id(reply.session_id)
            .with_responses(topics.collect())
            .with_node_endpoints(endpoints.collect())
    }

    #[test]
    fn the_bytes_are_kafka_protocols_at_all_versions() {
        for version in 4..=18 {
            let reply = reply(version);
            let mut wanted = BytesMut::new();
            header::put_response(&mut wanted, ApiKey::Fetch as i16, version, 42);
            as_generated(&reply).encode(&mut wanted, version).unwrap();
            let pieces = encode(version, 42, &reply).unwrap();
            assert_eq!(in_memory(&pieces).concat(), wanted, "version {version}");
        }
    }

    #[test]
    fn records_are_not_copied() {
        let reply = reply(12);
        let pieces = in_memory(&encode(12, 42, &reply).unwrap());
        for records in
            reply.topics.iter().flat_map(|topic| &topic.partitions).flat_map(|partition| in_memory(&partition.records))
        {
            assert!(pieces.iter().any(|piece| piece.as_ptr() == records.as_ptr()));
        }
    }
}

//! A small Kafka client of the tests' own: blocking, one connection, no retries, nothing hidden.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use indexmap::IndexMap;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use crate::{PATIENCE, eventually};

/// Of Produce, Fetch and ListOffsets where a test does not care: the last that name topics by name.
pub const PRODUCE: i16 = 12;
pub const FETCH: i16 = 12;
pub const LIST_OFFSETS: i16 = 7;

/// No producer id, no sequence.
pub const PLAIN: (i64, i16, i32) = (-1, -1, -1);

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A frame with its length prefix.
pub fn frame<R: Request>(version: i16, correlation_id: i32, request: &R) -> Bytes {
    frame_of("integration", version, correlation_id, request)
}

/// As [`frame`], from a client with this id.
fn frame_of<R: Request>(client_id: &str, version: i16, correlation_id: i32, request: &R) -> Bytes {
    let mut body = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(text(client_id)));
    header.encode(&mut body, R::header_version(version)).unwrap();
    request.encode(&mut body, version).unwrap();
    let mut out = BytesMut::with_capacity(body.len() + 4);
    out.put_i32(i32::try_from(body.len()).unwrap());
    out.put(body);
    out.freeze()
}

pub struct Client {
    pub stream: TcpStream,
    next_correlation_id: i32,
    client_id: String,
}

impl Client {
    pub fn connect(address: &str) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    pub fn try_connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, next_correlation_id: 1, client_id: "integration".to_owned() })
    }

    /// The same connection under a `client.id` of its own.
    pub fn named(mut self, client_id: &str) -> Self {
        client_id.clone_into(&mut self.client_id);
        self
    }

    /// Sends without waiting; gives the correlation id.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<i32> {
        let id = self.next_correlation_id;
        self.next_correlation_id += 1;
        self.stream.write_all(&frame_of(&self.client_id, version, id, request))?;
        Ok(id)
    }

    /// The next reply's bytes behind the length prefix.
    pub fn receive_frame(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut body)?;
        Ok(Bytes::from(body))
    }

    /// The next reply, which must be to the request with this correlation id and be used up by its message.
    pub fn receive<R: Request>(&mut self, version: i16, id: i32) -> io::Result<R::Response> {
        let mut body = self.receive_frame()?;
        let header = ResponseHeader::decode(&mut body, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, id, "replies are out of order");
        let response = R::Response::decode(&mut body, version).unwrap();
        assert!(body.is_empty(), "{} bytes follow the reply to API {}", body.len(), R::KEY);
        Ok(response)
    }

    pub fn try_call<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        let id = self.send(version, request)?;
        self.receive::<R>(version, id)
    }

    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request).unwrap_or_else(|error| panic!("API {} version {version}: {error}", R::KEY))
    }

    /// A topic with these partitions and configs; gives its id.
    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> uuid::Uuid {
        let config = |(name, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.iter().map(config).collect());
        let response = self.call(7, &CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000));
        assert_eq!((response.topics[0].error_code, &response.topics[0].error_message), (0, &None));
        response.topics[0].topic_id
    }

    pub fn delete_topic(&mut self, name: &str) {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]).with_timeout_ms(10_000);
        assert_eq!(self.call(5, &request).responses[0].error_code, 0);
    }

    pub fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> PartitionProduceResponse {
        self.try_produce(topic, partition, batch).unwrap_or_else(|error| panic!("producing to {topic}: {error}"))
    }

    pub fn try_produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> io::Result<PartitionProduceResponse> {
        let response = self.try_call(PRODUCE, &produce_request(topic, partition, batch))?;
        Ok(response.responses[0].partition_responses[0].clone())
    }

    /// Produces and fails unless it was taken; gives the base offset.
    pub fn append(&mut self, topic: &str, partition: i32, batch: Bytes) -> i64 {
        let response = self.produce(topic, partition, batch);
        assert_eq!((response.error_code, &response.error_message), (0, &None), "producing to {topic}-{partition}");
        response.base_offset
    }

    /// One fetch without waiting.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> PartitionData {
        let response = self.call(FETCH, &fetch_request(&[(topic, partition, offset)], 0, 0));
        assert_eq!(response.error_code, 0);
        response.responses[0].partitions[0].clone()
    }

    /// All records from `offset` to the high watermark as (offset, value).
    pub fn read_all(&mut self, topic: &str, partition: i32, mut offset: i64) -> Vec<(i64, Bytes)> {
        let mut all = Vec::new();
        loop {
            let data = self.fetch(topic, partition, offset);
            assert_eq!(data.error_code, 0, "fetching {topic}-{partition} at {offset}");
            let records = decode(data.records.unwrap_or_default());
            let wanted = records.into_iter().filter(|record| record.offset >= offset);
            all.extend(wanted.map(|record| (record.offset, record.value.unwrap_or_default())));
            let next = all.last().map_or(offset, |(last, _)| last + 1);
            if next >= data.high_watermark {
                return all;
            }
            assert!(next > offset, "no progress at {offset} of {topic}-{partition}");
            offset = next;
        }
    }

    /// `timestamp` as ListOffsets has it: -1 the end, -2 the start, -3 the largest timestamp.
    pub fn list_offset(&mut self, topic: &str, partition: i32, timestamp: i64) -> ListOffsetsPartitionResponse {
        let wanted = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        self.call(LIST_OFFSETS, &request).topics[0].partitions[0].clone()
    }

    /// Sets one configuration of a topic; gives the error code.
    pub fn alter_topic(&mut self, topic: &str, name: &str, value: &str) -> i16 {
        use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
        let config = AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(topic))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        self.call(1, &request).responses[0].error_code
    }

    pub fn init_producer_id(&mut self) -> (i64, i16) {
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(1000);
        let response = eventually("a producer id", || {
            let response = self.call(4, &request);
            (response.error_code == 0).then_some(response)
        });
        (response.producer_id.0, response.producer_epoch)
    }

    /// Whether the broker closed the connection, waiting for that up to `within`.
    pub fn is_closed_within(&mut self, within: Duration) -> bool {
        self.stream.set_read_timeout(Some(within)).unwrap();
        let mut byte = [0];
        let closed = match self.stream.read(&mut byte) {
            Ok(length) => length == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        };
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        closed
    }
}

pub fn produce_request(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// A fetch without a session.
pub fn fetch_request(wanted: &[(&str, i32, i64)], max_wait_ms: i32, min_bytes: i32) -> FetchRequest {
    let topics = wanted.iter().map(|(topic, partition, offset)| {
        let partition = FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20);
        FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition])
    });
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(min_bytes)
        .with_max_bytes(16 << 20)
        .with_session_epoch(-1)
        .with_topics(topics.collect())
}

/// One uncompressed batch of values at timestamps.
pub fn batch_at(producer: (i64, i16, i32), records: &[(i64, Bytes)]) -> Bytes {
    encode(producer, records, Compression::None)
}

/// One batch of values, all with the same timestamp.
pub fn batch(producer: (i64, i16, i32), values: &[&str]) -> Bytes {
    let records: Vec<_> =
        values.iter().map(|value| (1_700_000_000_000, Bytes::copy_from_slice(value.as_bytes()))).collect();
    batch_at(producer, &records)
}

fn encode(
    (producer_id, producer_epoch, sequence): (i64, i16, i32),
    records: &[(i64, Bytes)],
    compression: Compression,
) -> Bytes {
    let records: Vec<Record> = (0..)
        .zip(records)
        .map(|(delta, (timestamp, value))| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id,
            producer_epoch,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(delta),
            sequence: sequence + delta,
            timestamp: *timestamp,
            key: Some(Bytes::from_static(b"key")),
            value: Some(value.clone()),
            headers: IndexMap::new(),
        })
        .collect();
    let mut out = BytesMut::new();
    RecordBatchEncoder::encode(&mut out, &records, &RecordEncodeOptions { version: 2, compression }).unwrap();
    out.freeze()
}

/// The records of a fetch reply's whole batches; gzip and none.
pub fn decode(mut records: Bytes) -> Vec<Record> {
    let mut all = Vec::new();
    // The last batch may be cut; a header says how long its batch is.
    while records.len() > 12 {
        let length = usize::try_from((&records[8..12]).get_i32()).unwrap() + 12;
        if records.len() < length {
            break;
        }
        let mut batch = records.split_to(length);
        let decompress = |bytes: &mut Bytes, compression| {
            let mut out = Vec::new();
            match compression {
                Compression::None => out.extend_from_slice(bytes),
                Compression::Gzip => drop(flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut out)?),
                other => panic!("no test reads {other:?}"),
            }
            Ok(Bytes::from(out))
        };
        let set = RecordBatchDecoder::decode_with_custom_compression(&mut batch, Some(decompress)).unwrap();
        all.extend(set.records);
    }
    all
}

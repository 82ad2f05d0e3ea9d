//! Meanings that show only over whole requests against a live broker: waiting, sessions, ids, times, and what a topic's configuration does to a batch.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, DeleteRecordsRequest, FetchRequest, FetchResponse, MetadataRequest,
    ProduceRequest,
};
use kafka_protocol::records::TimestampType;
use uuid::Uuid;

use crate::broker::Embedded;
use crate::client::{
    Client, FETCH, PLAIN, PRODUCE, batch, batch_at, decode, fetch_request, produce_request, topic_name,
};
use crate::eventually;

/// The first Fetch version that names topics by id.
const FETCH_BY_ID: i16 = 13;

#[test]
fn a_waiting_fetch_wakes_on_an_append_and_else_when_its_time_is_over() {
    let broker = Embedded::start(&[]);
    let (mut reader, mut writer) = (broker.client(), broker.client());
    writer.create_topic("topic", 1, &[]);
    let began = Instant::now();
    let empty = reader.call(FETCH, &fetch_request(&[("topic", 0, 0)], 300, 1));
    let waited = began.elapsed();
    assert!(empty.responses[0].partitions[0].records.as_ref().is_none_or(Bytes::is_empty));
    assert!(waited >= Duration::from_millis(295) && waited < Duration::from_secs(5), "waited {waited:?} of 300 ms");

    let one = batch(PLAIN, &["one"]);
    // Two batches are asked for: the first must not wake the fetch, the second must.
    let both = i32::try_from(2 * one.len()).unwrap();
    let id = reader.send(FETCH, &fetch_request(&[("topic", 0, 0)], 25_000, both)).unwrap();
    writer.append("topic", 0, one.clone());
    assert!(!is_readable_within(&reader.stream, Duration::from_millis(200)), "woken by too little");
    let began = Instant::now();
    writer.append("topic", 0, one);
    let woken = reader.receive::<FetchRequest>(FETCH, id).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "woken after {:?}", began.elapsed());
    assert_eq!(decode(woken.responses[0].partitions[0].records.clone().unwrap()).len(), 2);
}

/// Only whole batches are sent, so a partition's share is seldom filled to the byte; Kafka does not wait for the rest of it (DelayedFetch.tryComplete).
#[test]
fn a_partition_with_more_than_its_share_is_not_waited_for() {
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[]);
    let one = batch(PLAIN, &["one"]);
    for _ in 0..3 {
        client.append("topic", 0, one.clone());
    }
    let share = i32::try_from(one.len() * 5 / 2).unwrap();
    let mut request = fetch_request(&[("topic", 0, 0)], i32::MAX, share);
    request.topics[0].partitions[0].partition_max_bytes = share;
    let answer = client.call(FETCH, &request);
    assert_eq!(decode(answer.responses[0].partitions[0].records.clone().unwrap()).len(), 2);
}

fn is_readable_within(stream: &TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    let readable = stream.peek(&mut [0]).is_ok();
    stream.set_read_timeout(Some(crate::PATIENCE)).unwrap();
    readable
}

/// A fetch within a session: what changes of its partitions.
fn in_session(client: &mut Client, id: i32, epoch: i32, changed: &[(i32, i64)]) -> FetchResponse {
    let partitions = changed.iter().map(|(partition, offset)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    });
    let topic = FetchTopic::default().with_topic(topic_name("growing")).with_partitions(partitions.collect());
    let topics = if changed.is_empty() { vec![] } else { vec![topic] };
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(topics);
    client.call(FETCH, &request.with_session_id(id).with_session_epoch(epoch))
}

/// The partitions that a reply has, with the values of their records.
fn told(response: &FetchResponse) -> Vec<(i32, Vec<Bytes>)> {
    assert_eq!(response.error_code, 0);
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|data| {
            assert_eq!(data.error_code, 0);
            let records = decode(data.records.clone().unwrap_or_default());
            (data.partition_index, records.into_iter().filter_map(|record| record.value).collect())
        })
        .collect()
}

#[test]
fn a_fetch_session_takes_in_partitions_that_are_added_to_the_topic() {
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("growing", 1, &[]);
    client.append("growing", 0, batch(PLAIN, &["first"]));
    let full = in_session(&mut client, 0, 0, &[(0, 0)]);
    let session = full.session_id;
    assert_ne!(session, 0);
    assert_eq!(told(&full), [(0, vec![Bytes::from("first")])]);
    // Nothing new beyond offset 1: nothing is told.
    assert_eq!(told(&in_session(&mut client, session, 1, &[(0, 1)])), []);

    let grown = CreatePartitionsTopic::default().with_name(topic_name("growing")).with_count(3).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![grown]).with_timeout_ms(10_000);
    assert_eq!(client.call(3, &request).results[0].error_code, 0);
    client.append("growing", 2, batch(PLAIN, &["in the new one"]));
    assert_eq!(told(&in_session(&mut client, session, 2, &[(2, 0)])), [(2, vec![Bytes::from("in the new one")])]);
    // Both are in the session now, without being named.
    client.append("growing", 0, batch(PLAIN, &["second"]));
    assert_eq!(told(&in_session(&mut client, session, 3, &[(2, 1)])), [(0, vec![Bytes::from("second")])]);
    // An epoch that was used already: INVALID_FETCH_SESSION_EPOCH.
    assert_eq!(in_session(&mut client, session, 3, &[]).error_code, 71);
}

fn fetch_by_id(client: &mut Client, id: Uuid) -> (i16, Vec<Bytes>) {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic_id(id).with_partitions(vec![partition]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_session_epoch(-1).with_topics(vec![topic]);
    let response = client.call(FETCH_BY_ID, &request);
    assert_eq!(response.error_code, 0);
    let data = &response.responses[0].partitions[0];
    let records = decode(data.records.clone().unwrap_or_default());
    (data.error_code, records.into_iter().filter_map(|record| record.value).collect())
}

#[test]
fn a_topic_made_again_shows_nothing_of_the_one_before() {
    /// UNKNOWN_TOPIC_ID.
    const UNKNOWN_TOPIC_ID: i16 = 100;
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    let mut ids = Vec::new();
    for round in 0..5 {
        let id = client.create_topic("again", 1, &[]);
        assert!(!ids.contains(&id), "a topic id came twice");
        assert_eq!(client.read_all("again", 0, 0), []);
        assert_eq!(client.list_offset("again", 0, -1).offset, 0);
        let value = format!("of round {round}");
        assert_eq!(client.append("again", 0, batch(PLAIN, &[&value])), 0);
        assert_eq!(fetch_by_id(&mut client, id), (0, vec![Bytes::from(value)]));
        for old in &ids {
            assert_eq!(fetch_by_id(&mut client, *old), (UNKNOWN_TOPIC_ID, vec![]));
        }
        client.delete_topic("again");
        assert_eq!(fetch_by_id(&mut client, id), (UNKNOWN_TOPIC_ID, vec![]));
        ids.push(id);
    }
}

#[test]
fn offsets_are_found_by_time_to_the_record() {
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[]);
    let at = |times: &[i64]| {
        let records: Vec<_> = times.iter().map(|ms| (*ms, Bytes::from_static(b"value"))).collect();
        batch_at(PLAIN, &records)
    };
    // Times fall within and between batches; one is there twice.
    let batches: [&[i64]; 3] = [&[1000, 4000, 2000], &[3000, 3500], &[6000, 5000, 6000]];
    for times in batches {
        client.append("topic", 0, at(times));
    }
    let all: Vec<i64> = batches.concat();
    for wanted in (0..=6500).step_by(250) {
        let expected = (0..).zip(&all).find(|(_, ms)| **ms >= wanted).map_or((-1, -1), |(offset, ms)| (offset, *ms));
        let found = client.list_offset("topic", 0, wanted);
        assert_eq!((found.error_code, found.offset, found.timestamp), (0, expected.0, expected.1), "at {wanted} ms");
    }
    // The largest time, where it is first.
    let largest = client.list_offset("topic", 0, -3);
    assert_eq!((largest.offset, largest.timestamp), (5, 6000));
}

#[test]
fn deleted_records_are_below_the_start_and_say_so() {
    /// OFFSET_OUT_OF_RANGE.
    const OFFSET_OUT_OF_RANGE: i16 = 1;
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[]);
    client.append("topic", 0, batch(PLAIN, &["0", "1", "2", "3"]));
    client.append("topic", 0, batch(PLAIN, &["4", "5"]));
    let delete = |client: &mut Client, offset| {
        let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(topic_name("topic")).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let told = client.call(2, &request).topics[0].partitions[0].clone();
        (told.error_code, told.low_watermark)
    };
    assert_eq!(delete(&mut client, 2), (0, 2));
    let below = client.fetch("topic", 0, 1);
    assert_eq!((below.error_code, below.records.unwrap_or_default().len()), (OFFSET_OUT_OF_RANGE, 0));
    assert_eq!(client.list_offset("topic", 0, -2).offset, 2);
    let left: Vec<_> = client.read_all("topic", 0, 2).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(left, [2, 3, 4, 5]);
    assert_eq!(delete(&mut client, 99), (OFFSET_OUT_OF_RANGE, -1));
    assert_eq!(delete(&mut client, -1), (0, 6));
    assert_eq!(client.list_offset("topic", 0, -2).offset, 6);
    assert_eq!(client.fetch("topic", 0, 6).error_code, 0);
    assert_eq!(client.append("topic", 0, batch(PLAIN, &["6"])), 6);
}

#[test]
fn log_append_time_is_told_back_and_stamped_on_the_batch() {
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let now_ms = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    };
    let before = now_ms();
    let records = [(1, Bytes::from_static(b"a")), (2, Bytes::from_static(b"b"))];
    let told = client.produce("topic", 0, batch_at(PLAIN, &records));
    assert_eq!(told.error_code, 0);
    assert!((before..=now_ms()).contains(&told.log_append_time_ms), "{} is not now", told.log_append_time_ms);
    let stored = client.fetch("topic", 0, 0).records.unwrap();
    // Consumers take the batch's largest time for each record of such a batch; it stands behind 35 bytes of the header.
    assert_eq!((&stored[35..43]).get_i64(), told.log_append_time_ms);
    let found = decode(stored);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|record| record.timestamp_type == TimestampType::LogAppend));
    assert_eq!(client.list_offset("topic", 0, told.log_append_time_ms).offset, 0);
    assert_eq!(client.list_offset("topic", 0, told.log_append_time_ms + 1).offset, -1);
    // With the producer's times there is nothing to tell.
    client.create_topic("other", 1, &[]);
    assert_eq!(client.produce("other", 0, batch_at(PLAIN, &records)).log_append_time_ms, -1);
}

#[test]
fn a_topics_compression_is_what_consumers_get() {
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("gzip", 1, &[("compression.type", "gzip")]);
    client.create_topic("producer", 1, &[]);
    let values: Vec<_> = (0..50).map(|n| (n, Bytes::from(format!("{n} {}", "again and ".repeat(50))))).collect();
    let sent = batch_at(PLAIN, &values);
    for (topic, codec) in [("gzip", 1), ("producer", 0)] {
        client.append(topic, 0, sent.clone());
        let records = client.fetch(topic, 0, 0).records.unwrap();
        // The attributes of the batch's header; the codec is in the lowest three bits.
        let attributes = (&records[21..23]).get_i16();
        assert_eq!(attributes & 7, codec, "{topic}");
        assert_eq!(records.len() < sent.len() / 4, codec == 1, "{topic}: {} bytes of {}", records.len(), sent.len());
        let found: Vec<_> = decode(records).into_iter().map(|r| (r.timestamp, r.value.unwrap())).collect();
        assert_eq!(found, values, "{topic}");
    }
}

#[test]
fn a_batch_longer_than_the_topic_allows_is_refused_and_one_as_long_is_taken() {
    /// MESSAGE_TOO_LARGE.
    const MESSAGE_TOO_LARGE: i16 = 10;
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    let fits = batch_at(PLAIN, &[(1, Bytes::from(vec![b'x'; 2000]))]);
    let max = fits.len().to_string();
    client.create_topic("topic", 1, &[("max.message.bytes", &max)]);
    let too_long = batch_at(PLAIN, &[(1, Bytes::from(vec![b'x'; 2001]))]);
    assert_eq!(too_long.len(), fits.len() + 1);
    assert_eq!(client.produce("topic", 0, too_long).error_code, MESSAGE_TOO_LARGE);
    assert_eq!(client.append("topic", 0, fits), 0);
    assert_eq!(client.list_offset("topic", 0, -1).offset, 1);
}

#[test]
fn pipelined_writes_keep_their_order() {
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[]);
    // Long and short by turns, so that one that overtakes would be seen.
    let value = |n: usize| format!("{n}-{}", "x".repeat(if n.is_multiple_of(2) { 20_000 } else { 1 }));
    let ids: Vec<i32> = (0..60)
        .map(|n| client.send(PRODUCE, &produce_request("topic", 0, batch(PLAIN, &[&value(n)]))).unwrap())
        .collect();
    for (offset, id) in (0..).zip(ids) {
        let response = client.receive::<ProduceRequest>(PRODUCE, id).unwrap();
        let told = &response.responses[0].partition_responses[0];
        assert_eq!((told.error_code, told.base_offset), (0, offset));
    }
    let read = client.read_all("topic", 0, 0);
    let expected: Vec<_> = (0..60).map(|n| (n as i64, Bytes::from(value(n)))).collect();
    assert_eq!(read, expected);
}

#[test]
fn every_connection_is_told_the_address_that_it_reached() {
    let broker = Embedded::start(&[("listeners", "PLAINTEXT://0.0.0.0:0")]);
    let port = broker.address().rsplit(':').next().unwrap().parse::<i32>().unwrap();
    for host in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
        let mut client = Client::connect(&format!("{host}:{port}"));
        let told = eventually("the broker is in the metadata", || {
            let metadata = client.call(12, &MetadataRequest::default().with_topics(Some(vec![])));
            metadata.brokers.first().cloned()
        });
        assert_eq!((told.node_id, &*told.host, told.port), (BrokerId(1), host, port));
    }
    // One that is configured is told to all.
    let broker = Embedded::start(&[
        ("listeners", "PLAINTEXT://0.0.0.0:0"),
        ("advertised.listeners", "PLAINTEXT://broker.example:19092"),
    ]);
    let port = broker.address().rsplit(':').next().unwrap();
    let metadata = Client::connect(&format!("127.0.0.2:{port}")).call(12, &MetadataRequest::default());
    assert_eq!((&*metadata.brokers[0].host, metadata.brokers[0].port), ("broker.example", 19092));
}

//! Memory stays within its budgets, however many clients ask for how much, and however slowly they read.

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;

use crate::broker::Process;
use crate::client::{Client, FETCH, PLAIN, batch_at, decode, fetch_request};

const MIB: usize = 1 << 20;
const READERS: usize = 60;
const WRITTEN: usize = 48;

/// The most memory that the process ever had resident.
fn peak_bytes(broker: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// A fetch of as much as there is.
fn all_of_it(topic: &str) -> FetchRequest {
    let mut request = fetch_request(&[(topic, 0, 0)], 0, 0);
    request.max_bytes = (64 * MIB) as i32;
    request.topics[0].partitions[0].partition_max_bytes = (64 * MIB) as i32;
    request
}

/// A broker with little memory for the newest records and for replies, and records that lie on disk, each in a run of its own.
fn with_cold_records(folder: &std::path::Path, records: usize, record_bytes: usize, read_memory: &str) -> Process {
    let small = [
        ("ottla.store.tail.memory.bytes", "1048576"),
        ("ottla.store.read.memory.bytes", read_memory),
        ("ottla.sync.single.replica", "false"),
        // What a client does not read stays in the broker, not in the kernel.
        ("socket.send.buffer.bytes", "65536"),
    ];
    let broker = Process::start(folder, &small);
    let mut client = broker.client();
    client.create_topic("cold", 1, &[]);
    let value = Bytes::from(vec![b'v'; record_bytes]);
    for n in 0..records {
        assert_eq!(client.append("cold", 0, batch_at(PLAIN, &[(1, value.clone())])), n as i64);
    }
    broker
}

/// Clients that ask for all there is and do not read it.
fn silent_readers(broker: &Process, count: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = broker.client();
        socket2::SockRef::from(&client.stream).set_recv_buffer_size(64 << 10).unwrap();
        client.send(FETCH, &all_of_it("cold")).unwrap();
        client
    };
    let silent = (0..count).map(ask).collect();
    std::thread::sleep(std::time::Duration::from_secs(1));
    silent
}

#[test]
fn slow_readers_of_cold_records_keep_within_the_memory_for_reading_and_all_get_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = with_cold_records(folder.path(), WRITTEN, MIB - 1000, "33554432");
    let before = peak_bytes(&broker);
    let mut readers: Vec<(Client, i32)> = (0..READERS)
        .map(|_| {
            let mut client = broker.client();
            let id = client.send(FETCH, &all_of_it("cold")).unwrap();
            (client, id)
        })
        .collect();
    // The replies fill the sockets. Nobody else notices.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let mut other = broker.client();
    let value = Bytes::from(vec![b'w'; 1000]);
    assert_eq!(other.append("cold", 0, batch_at(PLAIN, &[(1, value)])), WRITTEN as i64);
    // Each gets its reply.
    std::thread::scope(|threads| {
        for (reader, id) in &mut readers {
            threads.spawn(move || {
                let response = reader.receive::<FetchRequest>(FETCH, *id).unwrap();
                let data = &response.responses[0].partitions[0];
                assert_eq!(data.error_code, 0);
                let records = decode(data.records.clone().unwrap_or_default());
                assert!(!records.is_empty() && records.iter().zip(0..).all(|(record, n)| record.offset == n));
            });
        }
    });
    let grown = peak_bytes(&broker).saturating_sub(before);
    // 60 times 48 MiB were asked for. What a read checks is in memory for a moment; what is sent from the file never is.
    assert!(grown < 32 * MIB, "{READERS} readers made the broker {} MiB larger", grown / MIB);
}

fn client_reads(broker: &Process) -> Bytes {
    let response = broker.client().call(FETCH, &all_of_it("cold"));
    response.responses[0].partitions[0].records.clone().unwrap_or_default()
}

#[test]
fn readers_that_stop_reading_keep_no_memory_of_what_is_sent_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let broker = with_cold_records(folder.path(), WRITTEN, MIB - 1000, "4194304");
    let silent = silent_readers(&broker, READERS);
    assert!(!client_reads(&broker).is_empty());
    assert!(!broker.output().contains("did not read its replies"), "{}", broker.output());
    drop(silent);
}

#[test]
fn readers_that_stop_reading_give_way_to_those_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    // Too short to be sent from files one by one: copies of them fill the memory.
    let broker = with_cold_records(folder.path(), 1000, 8000, "4194304");
    // More of them than there is memory for the least reply.
    let silent = silent_readers(&broker, 8);
    assert!(!client_reads(&broker).is_empty());
    let closed = broker.output().lines().filter(|line| line.contains("did not read its replies")).count();
    assert!(closed > 0, "nobody gave way: there was memory left");
    // Whoever was closed is served when it comes again.
    drop(silent);
    assert!(!client_reads(&broker).is_empty());
}

#[test]
fn what_is_deleted_while_it_is_sent_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let broker = with_cold_records(folder.path(), WRITTEN, MIB - 1000, "33554432");
    let mut reader = broker.client();
    socket2::SockRef::from(&reader.stream).set_recv_buffer_size(64 << 10).unwrap();
    let id = reader.send(FETCH, &all_of_it("cold")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut other = broker.client();
    other.delete_topic("cold");
    // Another topic writes over whatever is free.
    other.create_topic("next", 1, &[]);
    let value = Bytes::from(vec![b'w'; MIB - 1000]);
    for _ in 0..WRITTEN {
        other.append("next", 0, batch_at(PLAIN, &[(1, value.clone())]));
    }
    let response = reader.receive::<FetchRequest>(FETCH, id).unwrap();
    let records = decode(response.responses[0].partitions[0].records.clone().unwrap_or_default());
    assert!(records.len() > 1);
    assert!(records.iter().all(|record| record.value.as_ref().is_some_and(|value| value.iter().all(|b| *b == b'v'))));
}

#[test]
fn a_batch_larger_than_all_memory_for_reading_is_read_alone() {
    let folder = tempfile::tempdir().unwrap();
    let small = [
        ("ottla.store.tail.memory.bytes", "1048576"),
        ("ottla.store.read.memory.bytes", "2097152"),
        ("message.max.bytes", "10000000"),
    ];
    let broker = Process::start(folder.path(), &small);
    let mut client = broker.client();
    client.create_topic("large", 2, &[]);
    let value = Bytes::from(vec![b'v'; 5 * MIB]);
    for partition in [0, 0, 1] {
        client.append("large", partition, batch_at(PLAIN, &[(1, value.clone())]));
    }
    // Both partitions are asked for; one of them fits, the other's turn comes next.
    let response = client.call(FETCH, &fetch_request(&[("large", 0, 1), ("large", 1, 0)], 0, 0));
    let lengths: Vec<usize> =
        response.responses[0].partitions.iter().map(|data| data.records.as_ref().map_or(0, Bytes::len)).collect();
    assert!(lengths[0] > 5 * MIB && lengths[1] == 0, "{lengths:?}");
    assert_eq!(client.read_all("large", 0, 0).len(), 2);
    assert_eq!(client.read_all("large", 1, 0).len(), 1);
}

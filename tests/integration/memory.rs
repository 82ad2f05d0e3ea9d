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

/// A broker with little memory for the newest records and for replies, and 48 MiB of records that lie on disk.
fn with_cold_records(folder: &std::path::Path) -> Process {
    let small = [
        ("ottla.store.tail.memory.bytes", "1048576"),
        ("ottla.store.read.memory.bytes", "33554432"),
        // What a client does not read stays in the broker, not in the kernel.
        ("socket.send.buffer.bytes", "65536"),
    ];
    let broker = Process::start(folder, &small);
    let mut client = broker.client();
    client.create_topic("cold", 1, &[]);
    let value = Bytes::from(vec![b'v'; MIB - 1000]);
    for n in 0..WRITTEN {
        assert_eq!(client.append("cold", 0, batch_at(PLAIN, &[(1, value.clone())])), n as i64);
    }
    broker
}

#[test]
fn slow_readers_of_cold_records_keep_within_the_memory_for_reading_and_all_get_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = with_cold_records(folder.path());
    let before = peak_bytes(&broker);
    let mut readers: Vec<(Client, i32)> = (0..READERS)
        .map(|_| {
            let mut client = broker.client();
            let id = client.send(FETCH, &all_of_it("cold")).unwrap();
            (client, id)
        })
        .collect();
    // Some replies fill the sockets and the memory, the other readers wait. Nobody else notices.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let mut other = broker.client();
    let value = Bytes::from(vec![b'w'; 1000]);
    assert_eq!(other.append("cold", 0, batch_at(PLAIN, &[(1, value)])), WRITTEN as i64);
    // Each gets a reply, once others have read theirs. All read at once, so that none is taken for one that has stopped.
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
    // 60 times 48 MiB were asked for. A quarter more than what is paid for may be kept, and what a read makes is there twice for a moment.
    assert!(grown < 128 * MIB, "{READERS} readers made the broker {} MiB larger", grown / MIB);
}

fn client_reads(broker: &Process) -> Bytes {
    let response = broker.client().call(FETCH, &all_of_it("cold"));
    response.responses[0].partitions[0].records.clone().unwrap_or_default()
}

#[test]
fn readers_that_stop_reading_give_way_to_those_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let broker = with_cold_records(folder.path());
    let silent: Vec<Client> = (0..READERS)
        .map(|_| {
            let mut client = broker.client();
            socket2::SockRef::from(&client.stream).set_recv_buffer_size(64 << 10).unwrap();
            client.send(FETCH, &all_of_it("cold")).unwrap();
            client
        })
        .collect();
    // More of them than there is memory for the least reply.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(!client_reads(&broker).is_empty());
    let closed = broker.output().lines().filter(|line| line.contains("did not read its replies")).count();
    assert!(closed > 0, "nobody gave way: there was memory left");
    // Whoever was closed is served when it comes again.
    drop(silent);
    assert!(!client_reads(&broker).is_empty());
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

//! Many clients and rude ones: what one of them does, the others never notice.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest};

use crate::broker::Embedded;
use crate::client::{Client, FETCH, PLAIN, PRODUCE, batch, batch_at, fetch_request, frame, produce_request, text};
use crate::eventually;

const MANY: usize = 2000;

/// As many file descriptors as this process may have: both ends of each connection are here.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    assert!(
        maximum.is_none_or(|most| most > 2 * MANY as u64 + 500),
        "this test needs {} file descriptors",
        2 * MANY + 500
    );
}

fn hello() -> ApiVersionsRequest {
    ApiVersionsRequest::default().with_client_software_name(text("integration")).with_client_software_version(text("1"))
}

#[test]
fn two_thousand_connections_at_once_are_all_served() {
    raise_descriptor_limit();
    let broker = Embedded::start(&[]);
    let mut first = broker.client();
    first.create_topic("topic", 4, &[]);
    let began = Instant::now();
    let mut clients: Vec<Client> = (0..MANY).map(|_| broker.client()).collect();
    // A queue of those to be accepted that is too short costs a second each time that it is full.
    assert!(began.elapsed() < Duration::from_secs(10), "connecting took {:?}", began.elapsed());
    // All at once: every request is sent before the first reply is read.
    let ids: Vec<i32> = clients.iter_mut().map(|client| client.send(3, &hello()).unwrap()).collect();
    for (client, id) in clients.iter_mut().zip(ids) {
        assert_eq!(client.receive::<ApiVersionsRequest>(3, id).unwrap().error_code, 0);
    }
    let writes: Vec<i32> = (0..)
        .zip(&mut clients)
        .map(|(number, client)| {
            let value = format!("from {number}");
            client.send(PRODUCE, &produce_request("topic", number % 4, batch(PLAIN, &[&value]))).unwrap()
        })
        .collect();
    for (client, id) in clients.iter_mut().zip(writes) {
        let response = client.receive::<kafka_protocol::messages::ProduceRequest>(PRODUCE, id).unwrap();
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    let mut found: Vec<String> = (0..4)
        .flat_map(|partition| first.read_all("topic", partition, 0))
        .map(|(_, value)| String::from_utf8(value.to_vec()).unwrap())
        .collect();
    found.sort();
    let mut expected: Vec<String> = (0..MANY).map(|number| format!("from {number}")).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn kafka_python_is_told_the_versions_as_slowly_as_kafka_tells_them() {
    let broker = Embedded::start(&[]);
    for _ in 0..20 {
        let mut client = broker.client();
        let hello = ApiVersionsRequest::default()
            .with_client_software_name(text("kafka-python"))
            .with_client_software_version(text("3.0.12"));
        let asked = Instant::now();
        assert_eq!(client.call(4, &hello).error_code, 0);
        assert!(asked.elapsed() >= Duration::from_millis(1), "after {:?}", asked.elapsed());
    }
}

#[test]
fn a_client_that_never_reads_its_replies_hinders_nobody() {
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[]);
    let value = Bytes::from(vec![b'v'; 512 << 10]);
    for _ in 0..4 {
        client.append("topic", 0, batch_at(PLAIN, &[(1, value.clone())]));
    }
    let rude: Vec<Client> = (0..8)
        .map(|_| {
            let mut rude = broker.client();
            rude.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            // Gigabytes of replies, until the broker takes no more.
            for _ in 0..500 {
                match rude.send(FETCH, &fetch_request(&[("topic", 0, 0)], 0, 0)) {
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                    Err(error) => panic!("the broker closed the connection: {error}"),
                }
            }
            rude
        })
        .collect();
    let mut polite = broker.client();
    assert_eq!(polite.append("topic", 0, batch(PLAIN, &["polite"])), 4);
    assert_eq!(polite.read_all("topic", 0, 4), [(4, Bytes::from_static(b"polite"))]);
    // Those who begin to read after all get whole replies in order.
    for mut rude in rude.into_iter().take(2) {
        for id in 1..=20 {
            let response = rude.receive::<FetchRequest>(FETCH, id).unwrap();
            let records = response.responses[0].partitions[0].records.clone().unwrap_or_default();
            assert!(records.len() > value.len(), "reply {id} has {} bytes", records.len());
        }
    }
}

#[test]
fn clients_that_vanish_in_the_middle_leave_nothing_half_done() {
    let broker = Embedded::start(&[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[]);
    let whole = frame(PRODUCE, 1, &produce_request("topic", 0, batch_at(PLAIN, &[(1, Bytes::from(vec![7; 100_000]))])));
    for cut in [1, 3, 4, 5, 20, 200, 50_000, whole.len() - 1] {
        for reset in [false, true] {
            let mut stream = TcpStream::connect(broker.address()).unwrap();
            stream.write_all(&whole[..cut]).unwrap();
            if reset {
                // Closing sends RST instead of FIN.
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                continue;
            }
            stream.shutdown(Shutdown::Write).unwrap();
            stream.set_read_timeout(Some(crate::PATIENCE)).unwrap();
            // No answer to what never came whole.
            assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "cut at {cut}");
        }
    }
    assert_eq!(client.list_offset("topic", 0, -1).offset, 0);

    // Sent whole, reset before the answer: done once, or not at all.
    for _ in 0..20 {
        let mut stream = TcpStream::connect(broker.address()).unwrap();
        stream.write_all(&whole).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let marker = client.append("topic", 0, batch(PLAIN, &["marker"]));
    assert!(marker <= 20, "{marker} records from 20 requests");
    // Sent whole and half closed: answered.
    let mut half_open = broker.client();
    let id = half_open.send(PRODUCE, &produce_request("topic", 0, batch(PLAIN, &["half"]))).unwrap();
    half_open.stream.shutdown(Shutdown::Write).unwrap();
    let response = half_open.receive::<kafka_protocol::messages::ProduceRequest>(PRODUCE, id).unwrap();
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    eventually("the half-open connection ends", || {
        half_open.is_closed_within(Duration::from_millis(100)).then_some(())
    });
    assert!(client.read_all("topic", 0, 0).iter().any(|(_, value)| value == "half"));
}

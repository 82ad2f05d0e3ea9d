use super::*;
use crate::EmbeddedBroker;
use crate::client::consumer::{Consumer, Polled, StartAt, Subscription};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

type Told = Arc<Mutex<Vec<(u32, Result<(i32, i64), String>)>>>;

fn properties(bootstrap: &str, more: &[(&str, &str)]) -> ClientProperties {
    let mut properties = ClientProperties::default();
    properties.set("bootstrap.servers", bootstrap);
    more.iter().for_each(|(key, value)| properties.set(key, *value));
    properties
}

fn start(bootstrap: &str, more: &[(&str, &str)]) -> (Producer<u32>, Told) {
    let told = Told::default();
    let of_producer = told.clone();
    let on_done: OnDone<u32> = Box::new(move |tag, outcome| {
        let outcome = outcome.map(|placed| (placed.partition, placed.offset)).map_err(ToString::to_string);
        of_producer.lock().push((tag, outcome));
    });
    (Producer::start(&properties(bootstrap, more), on_done, None).unwrap(), told)
}

fn record(value: &[u8]) -> NewRecord<'_> {
    NewRecord { timestamp_ms: 5, key: None, value: Some(value), headers: &[] }
}

/// Key (or nothing) and value of every record of a topic's partitions 0..partitions, in order.
fn read_back(bootstrap: &str, topic: &str, partitions: i32, count: usize) -> BTreeMap<i32, Vec<String>> {
    let given = (0..partitions).map(|partition| ((topic.to_owned(), partition), StartAt::Earliest)).collect();
    let consumer = Consumer::start(&properties(bootstrap, &[]), Subscription::Partitions(given), None).unwrap();
    let mut found: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    while found.values().map(Vec::len).sum::<usize>() < count {
        match consumer.poll(Duration::from_secs(20)).unwrap().expect("records in time") {
            Polled::Records(chunk) => {
                chunk
                    .walk(|_, record| {
                        let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap();
                        found.entry(chunk.partition).or_default().push(value);
                        ControlFlow::<()>::Continue(())
                    })
                    .unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    found
}

async fn broker() -> (EmbeddedBroker, String) {
    let broker = EmbeddedBroker::start_with(&[("num.partitions", "3")]).await.unwrap();
    let bootstrap = broker.bootstrap().to_string();
    (broker, bootstrap)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_arrives_once_in_its_partitions_order_whatever_the_codec() {
    let (broker, bootstrap) = broker().await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let bootstrap = bootstrap.clone();
        blocking(move || {
            let topic = format!("t-{codec}");
            let (producer, told) = start(&bootstrap, &[("compression.type", codec), ("batch.size", "2000")]);
            for tag in 0..3_000u32 {
                let value = format!("value-{tag:05}");
                producer.send(&topic, Some((tag % 3) as i32), &record(value.as_bytes()), tag).unwrap();
            }
            producer.close();
            let told = told.lock();
            assert_eq!(told.len(), 3_000);
            for (tag, outcome) in told.iter() {
                assert_eq!(outcome, &Ok(((tag % 3) as i32, i64::from(tag / 3))), "{codec} {tag}");
            }
            let found = read_back(&bootstrap, &topic, 3, 3_000);
            for (partition, values) in found {
                let expected: Vec<String> = (0..1_000).map(|n| format!("value-{:05}", n * 3 + partition)).collect();
                assert_eq!(values, expected, "{codec} {partition}");
            }
        })
        .await;
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_acks_and_flush() {
    let (broker, bootstrap) = broker().await;
    blocking(move || {
        for acks in ["0", "1", "all"] {
            let (producer, told) =
                start(&bootstrap, &[("acks", acks), ("linger.ms", "60000"), ("delivery.timeout.ms", "200000")]);
            for tag in 0..9 {
                let key = format!("k{}", tag % 3);
                let keyed = NewRecord { key: Some(key.as_bytes()), ..record(b"v") };
                producer.send(acks, None, &keyed, tag).unwrap();
            }
            assert!(told.lock().is_empty(), "nothing leaves while it lingers");
            producer.flush();
            let told = told.lock();
            assert_eq!(told.len(), 9);
            for (tag, outcome) in told.iter() {
                let (partition, offset) = outcome.clone().unwrap();
                assert_eq!(partition as usize, partitioner::of_key(format!("k{}", tag % 3).as_bytes(), 3));
                assert_eq!(offset == -1, acks == "0");
            }
        }
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_told_as_kafka_tells_it() {
    let (broker, bootstrap) = broker().await;
    blocking(move || {
        let (producer, told) = start(&bootstrap, &[("max.request.size", "3000000"), ("max.block.ms", "3000")]);
        let error = |topic, bytes: usize| producer.send(topic, None, &record(&vec![0; bytes]), 1).unwrap_err();
        assert!(matches!(error("big", 4_000_000), SendError::TooLarge { key: "max.request.size", .. }));
        assert!(error("no/topic", 1).class().ends_with("InvalidTopicException"), "{:?}", error("no/topic", 1));
        let error = producer.send("few", Some(7), &record(b""), 1).unwrap_err().to_string();
        assert_eq!(error, "Partition 7 of topic few with partition count 3 is not present in metadata after 3000 ms.");
        // The broker's own limit is 1 MiB.
        producer.send("big", Some(0), &record(&vec![0; 2_000_000]), 2).unwrap();
        producer.send("big", Some(0), &record(b"small"), 3).unwrap();
        producer.flush();
        let told = told.lock();
        let refused = told.iter().find(|(tag, _)| *tag == 2).unwrap().1.clone().unwrap_err();
        assert!(refused.contains("larger than the max message size"), "{refused}");
        assert_eq!(told.iter().find(|(tag, _)| *tag == 3).unwrap().1, Ok((0, 0)), "the next batch gets new numbers");
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_told_after_max_block() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    blocking(move || {
        let (producer, _) = start(&address, &[("max.block.ms", "700")]);
        let error = producer.send("t", None, &record(b"v"), 1).unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("refused"), "{error}");
    })
    .await;
}

/// A broker that is reached through a proxy alone, which reads what clients send slowly, and of each connection no more than `most_bytes`.
async fn broker_behind_a_slow_reader(most_bytes: usize) -> (EmbeddedBroker, String) {
    let socket = TcpSocket::new_v4().unwrap();
    // So that little hides in the kernel.
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let advertised = format!("PLAINTEXT://{address}");
    let broker = EmbeddedBroker::start_with(&[("advertised.listeners", advertised.as_str())]).await.unwrap();
    tokio::spawn(slow_reader(listener, broker.bootstrap().to_owned(), most_bytes));
    (broker, address)
}

async fn slow_reader(listener: TcpListener, broker: String, most_bytes: usize) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_broker, mut to_broker) = TcpStream::connect(&broker).await.unwrap().into_split();
        let (mut from_client, mut to_client) = client.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_broker, &mut to_client).await });
        tokio::spawn(async move {
            let mut some = vec![0; 16 * 1024];
            let mut left = most_bytes;
            while left > 0 {
                let count = match from_client.read(&mut some).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => count,
                };
                left = left.saturating_sub(count);
                if to_broker.write_all(&some[..count]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Neither reads nor closes.
            std::future::pending::<()>().await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_until_what_nobody_answers_for_has_been_written() {
    let (broker, bootstrap) = broker_behind_a_slow_reader(usize::MAX).await;
    let direct = broker.bootstrap().to_owned();
    blocking(move || {
        // More than the kernel keeps for a connection.
        let count = 12_000;
        let (producer, told) = start(&bootstrap, &[("acks", "0")]);
        for tag in 0..count {
            let mut value = format!("{tag:05}");
            value.extend(std::iter::repeat_n('x', 1_000));
            producer.send("slow", Some(0), &record(value.as_bytes()), tag).unwrap();
        }
        producer.close();
        assert_eq!(told.lock().len(), count as usize);
        let values = read_back(&direct, "slow", 1, count as usize).remove(&0).unwrap();
        for (tag, value) in values.iter().enumerate() {
            assert_eq!(value[..5], format!("{tag:05}"));
        }
        assert_eq!(values.len(), count as usize);
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_does_not_read_stays_within_the_producers_memory() {
    let (broker, bootstrap) = broker_behind_a_slow_reader(100_000).await;
    blocking(move || {
        let times = [("max.block.ms", "300"), ("request.timeout.ms", "1000"), ("delivery.timeout.ms", "2000")];
        let more = [&times[..], &[("acks", "0"), ("buffer.memory", "1000000")]].concat();
        let (producer, told) = start(&bootstrap, &more);
        let value = vec![7; 1_000];
        // Forty times the producer's memory, and ten times the kernel's.
        let refused =
            (0..40_000).find_map(|tag| producer.send("t", Some(0), &record(&value), tag).err().zip(Some(tag)));
        let (error, taken) = refused.expect("nothing reads, and all is taken");
        assert!(matches!(error, SendError::NoMemory { total: 1_000_000, .. }), "{error}");
        producer.close();
        assert_eq!(told.lock().len(), taken as usize, "each is told of, once");
    })
    .await;
    broker.stop().await;
}

/// Text that no codec makes much smaller, another one for each seed.
fn noise(seed: u32) -> String {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    (0..40).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_the_broker_finds_too_large_is_sent_in_pieces() {
    let broker = EmbeddedBroker::start_with(&[("message.max.bytes", "5000")]).await.unwrap();
    let bootstrap = broker.bootstrap().to_owned();
    blocking(move || {
        for (topic, more) in [
            ("idempotent", &[][..]),
            ("zipped", &[("compression.type", "lz4")]),
            ("plain", &[("enable.idempotence", "false"), ("max.in.flight.requests.per.connection", "1")]),
        ] {
            let (producer, told) =
                start(&bootstrap, &[more, &[("linger.ms", "200"), ("batch.size", "100000")]].concat());
            // One of them fits in no batch: it alone is refused.
            let value = |tag| if tag == 500 { (0..40).map(noise).collect() } else { noise(tag) };
            for tag in 0..1_000 {
                producer.send(topic, Some(0), &record(value(tag).as_bytes()), tag).unwrap();
            }
            producer.close();
            let mut told = told.lock().clone();
            told.sort_by_key(|(tag, _)| *tag);
            assert_eq!(told.len(), 1_000);
            for (tag, outcome) in told {
                match (tag, outcome) {
                    (500, outcome) => {
                        assert!(outcome.as_ref().unwrap_err().contains("max message size"), "{outcome:?}")
                    }
                    (tag, outcome) => {
                        assert_eq!(outcome, Ok((0, i64::from(tag) - i64::from(tag > 500))), "{topic} {tag}")
                    }
                }
            }
            let found = read_back(&bootstrap, topic, 1, 999).remove(&0).unwrap();
            assert_eq!(found, (0..1_000).filter(|tag| *tag != 500).map(value).collect::<Vec<_>>(), "{topic}");
        }
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advertised_address_that_cannot_be_reached_is_told_once_and_with_what_is_given_up() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let advertised = format!("PLAINTEXT://{unused}");
    let broker = EmbeddedBroker::start_with(&[("advertised.listeners", advertised.as_str())]).await.unwrap();
    let bootstrap = broker.bootstrap().to_owned();
    blocking(move || {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let of_clients = notices.clone();
        let notice: crate::client::Notice = Arc::new(move |text| of_clients.lock().push(text.to_owned()));
        let failed = Arc::new(Mutex::new(String::new()));
        let of_producer = failed.clone();
        let on_done: OnDone<()> = Box::new(move |(), outcome| *of_producer.lock() = outcome.unwrap_err().to_string());
        let more = [("delivery.timeout.ms", "1200"), ("request.timeout.ms", "1000"), ("linger.ms", "0")];
        let producer = Producer::start(&properties(&bootstrap, &more), on_done, Some(notice.clone())).unwrap();
        producer.send("t", None, &record(b"a"), ()).unwrap();
        producer.close();
        let explained = |text: &str| text.contains(&unused.to_string()) && text.contains("advertised.listeners");
        assert!(failed.lock().starts_with("Expiring 1 record(s)") && explained(&failed.lock()), "{}", failed.lock());
        assert!(notices.lock().len() == 1 && explained(&notices.lock()[0]), "{notices:?}");
        notices.lock().clear();
        let given = vec![(("t".to_owned(), 0), StartAt::Earliest)];
        let of_partition =
            Consumer::start(&properties(&bootstrap, &[]), Subscription::Partitions(given), Some(notice.clone()))
                .unwrap();
        assert!(of_partition.poll(Duration::from_millis(700)).unwrap().is_none());
        assert!(notices.lock().len() == 1 && explained(&notices.lock()[0]), "{notices:?}");
        notices.lock().clear();
        let of_group = properties(&bootstrap, &[("group.id", "g")]);
        let member = Consumer::start(&of_group, Subscription::Topics(vec!["t".into()]), Some(notice)).unwrap();
        while member.poll(Duration::from_millis(700)).unwrap().is_some() {}
        assert!(notices.lock().len() == 1 && explained(&notices.lock()[0]), "{notices:?}");
    })
    .await;
    broker.stop().await;
}

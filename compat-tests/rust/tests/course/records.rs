//! Producing and consuming without groups.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_compat_rdkafka::{CALL, config, eventually, fill, producer, read, topic, unique};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, FutureRecord, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

fn reader(topic: &str, partition: i32, from: Offset, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut all = vec![("group.id", "unused"), ("enable.auto.commit", "false"), ("check.crcs", "true")];
    all.extend_from_slice(settings);
    let consumer: BaseConsumer = config(&all).create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, partition, from).unwrap();
    consumer.assign(&partitions).unwrap();
    consumer
}

#[tokio::test]
async fn every_codec_brings_back_what_was_sent() {
    let first_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64 - 10_000;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = topic(&format!("codec-{codec}"), 2, &[]).await;
        let producer = producer(&[("compression.type", codec), ("linger.ms", "20")]);
        let value = |i: usize| format!("{i} {}", "the same words again ".repeat(i % 60));
        let mut sent = Vec::new();
        for i in 0..500 {
            let (key, value) = (format!("key-{}", i % 5), value(i));
            let number = i.to_string();
            let headers = OwnedHeaders::new()
                .insert(Header { key: "i", value: Some(&number) })
                .insert(Header { key: "none", value: None::<&str> });
            let record = FutureRecord::to(&topic)
                .partition((i % 2) as i32)
                .key(&key)
                .payload(&value)
                .timestamp(first_ms + i as i64)
                .headers(headers);
            sent.push(producer.send_result(record).unwrap());
        }
        for (i, delivery) in sent.into_iter().enumerate() {
            let delivery = delivery.await.unwrap().unwrap();
            assert_eq!((delivery.partition, delivery.offset), ((i % 2) as i32, (i / 2) as i64), "{codec}");
        }
        for partition in 0..2 {
            let consumer = reader(&topic, partition, Offset::Beginning, &[]);
            for (n, message) in read(&consumer, 250).iter().enumerate() {
                let i = 2 * n + partition as usize;
                assert_eq!(message.offset(), n as i64);
                assert_eq!(message.payload(), Some(value(i).as_bytes()), "{codec}");
                assert_eq!(message.key(), Some(format!("key-{}", i % 5).as_bytes()));
                assert_eq!(message.timestamp(), Timestamp::CreateTime(first_ms + i as i64));
                let headers = message.headers().unwrap();
                assert_eq!(headers.get(0), Header { key: "i", value: Some(i.to_string().as_bytes()) });
                assert_eq!(headers.get(1), Header { key: "none", value: None });
            }
        }
    }
}

struct Deliveries(std::sync::Mutex<HashMap<usize, i64>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let message = result.as_ref().expect("a delivery failed");
        self.0.lock().unwrap().insert(*number, message.offset());
    }
}

#[tokio::test]
async fn idempotent_small_batches_in_flight_keep_their_order() {
    let topic = topic("idempotent", 1, &[]).await;
    let settings =
        [("enable.idempotence", "true"), ("max.in.flight", "5"), ("batch.num.messages", "5"), ("linger.ms", "0")];
    let context = Deliveries(std::sync::Mutex::new(HashMap::new()));
    let producer: ThreadedProducer<Deliveries> = config(&settings).create_with_context(context).unwrap();
    for i in 0..2000 {
        let value = i.to_string();
        let mut record = BaseRecord::with_opaque_to(&topic, Box::new(i)).key("").payload(&value);
        while let Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) = producer.send(record) {
            record = back;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    producer.flush(2 * CALL).unwrap();
    let told = producer.context().0.lock().unwrap();
    assert_eq!(told.len(), 2000);
    assert!((0..2000).all(|i| told[&i] == i as i64), "a callback told another offset than the order of sending gives");
    for (i, message) in read(&reader(&topic, 0, Offset::Beginning, &[]), 2000).iter().enumerate() {
        assert_eq!((message.offset(), message.payload()), (i as i64, Some(i.to_string().as_bytes())));
    }
}

#[tokio::test]
async fn fire_and_forget_arrives_too() {
    let topic = topic("acks-0", 1, &[]).await;
    let producer: BaseProducer = config(&[("acks", "0")]).create().unwrap();
    for i in 0..100 {
        producer.send(BaseRecord::to(&topic).key("k").payload(&i.to_string())).unwrap();
    }
    producer.flush(CALL).unwrap();
    assert_eq!(read(&reader(&topic, 0, Offset::Beginning, &[]), 100)[99].payload(), Some(&b"99"[..]));
}

#[tokio::test]
async fn seeks_replays_and_finds_offsets_by_time() {
    let topic = topic("seek", 1, &[]).await;
    let producer = producer(&[]);
    let first_ms = 1_700_000_000_000_i64;
    let sent: Vec<_> = (0..300_i64)
        .map(|i| {
            let value = i.to_string();
            let record = FutureRecord::<(), String>::to(&topic).payload(&value).timestamp(first_ms + 10 * i);
            producer.send_result(record).unwrap()
        })
        .collect();
    for delivery in sent {
        delivery.await.unwrap().unwrap();
    }
    let consumer = reader(&topic, 0, Offset::Offset(120), &[]);
    assert_eq!(read(&consumer, 180)[0].offset(), 120);
    consumer.seek(&topic, 0, Offset::Offset(0), CALL).unwrap();
    assert_eq!(read(&consumer, 300)[0].offset(), 0);
    consumer.seek(&topic, 0, Offset::OffsetTail(10), CALL).unwrap();
    assert_eq!(read(&consumer, 10)[0].offset(), 290);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, CALL).unwrap(), (0, 300));
    for (time, expected) in [
        (first_ms - 1, Offset::Offset(0)),
        (first_ms + 995, Offset::Offset(100)),
        (first_ms + 2990, Offset::Offset(299)),
        (first_ms + 2991, Offset::End),
    ] {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&topic, 0, Offset::Offset(time)).unwrap();
        let found = consumer.offsets_for_times(asked, CALL).unwrap();
        assert_eq!(found.find_partition(&topic, 0).unwrap().offset(), expected, "for {time}");
    }
}

#[tokio::test]
async fn an_offset_out_of_range_is_told_or_reset() {
    let topic = topic("range", 1, &[]).await;
    fill(&topic, 0, 0..10).await;
    let strict = reader(&topic, 0, Offset::Offset(500), &[("auto.offset.reset", "error")]);
    let mut told = None;
    eventually(CALL, || {
        if let Some(Err(error)) = strict.poll(Duration::from_millis(200)) {
            told = Some(error);
        }
        told.is_some()
    });
    assert!(
        matches!(told, Some(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))),
        "an offset past the end: {told:?}"
    );
    let lenient = reader(&topic, 0, Offset::Offset(500), &[("auto.offset.reset", "earliest")]);
    assert_eq!(read(&lenient, 10)[0].offset(), 0);
}

#[tokio::test]
async fn large_messages_pass_up_to_the_topics_limit() {
    let topic = topic("large", 1, &[("max.message.bytes", "5000000")]).await;
    let producer = producer(&[("message.max.bytes", "9000000")]);
    let big = vec![b'x'; 4_900_000];
    let fits = producer.send(FutureRecord::<(), _>::to(&topic).payload(&big), CALL).await;
    assert_eq!(fits.map(|delivery| delivery.offset).map_err(|(error, _)| error), Ok(0));
    let (refused, _) =
        producer.send(FutureRecord::<(), _>::to(&topic).payload(&vec![b'x'; 5_100_000]), CALL).await.unwrap_err();
    assert_eq!(refused, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
    // The limits are far below the message: the first batch is handed out whole all the same (KIP-74).
    let settings = [("max.partition.fetch.bytes", "1000"), ("fetch.max.bytes", "1000"), ("message.max.bytes", "1000")];
    assert_eq!(read(&reader(&topic, 0, Offset::Beginning, &settings), 1)[0].payload(), Some(&big[..]));
}

#[tokio::test]
async fn a_waiting_fetch_is_woken() {
    let topic = topic("woken", 1, &[]).await;
    let consumer = reader(&topic, 0, Offset::End, &[("fetch.wait.max.ms", "10000"), ("fetch.min.bytes", "1")]);
    assert!(consumer.poll(Duration::from_secs(1)).is_none());
    for i in 0..3 {
        let start = std::time::Instant::now();
        fill(&topic, 0, i..i + 1).await;
        assert_eq!(read(&consumer, 1)[0].offset(), i as i64);
        assert!(start.elapsed() < Duration::from_secs(4), "woken only after {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_consumer_that_may_not_create_topics_is_told_that_there_is_none() {
    let missing = unique("missing");
    let consumer: BaseConsumer =
        config(&[("group.id", &unique("missing")), ("allow.auto.create.topics", "false")]).create().unwrap();
    consumer.subscribe(&[&missing]).unwrap();
    let mut told = None;
    eventually(CALL, || {
        if let Some(Err(error)) = consumer.poll(Duration::from_millis(200)) {
            told = Some(error);
        }
        told.is_some()
    });
    assert_eq!(told, Some(KafkaError::MessageConsumption(RDKafkaErrorCode::UnknownTopicOrPartition)));
    let listed = consumer.fetch_metadata(None, CALL).unwrap();
    assert!(listed.topics().iter().all(|topic| topic.name() != missing));
}

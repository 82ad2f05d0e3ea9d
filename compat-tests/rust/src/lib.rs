//! What the rdkafka course needs: clients with sensible settings, fresh names, and waiting with a bound. Never reuses a
//! topic or group, so a run needs no clean broker.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};

/// How long any one call may take.
pub const CALL: Duration = Duration::from_secs(20);

/// A fresh name.
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{prefix}-{nanos:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A configuration that knows the broker, with further settings.
pub fn config(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    let bootstrap = std::env::var("OTTLA_BOOTSTRAP").unwrap_or_else(|_| "127.0.0.1:9092".to_owned());
    config.set("bootstrap.servers", bootstrap).set("broker.address.family", "v4");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

/// An admin client.
pub fn admin() -> AdminClient<DefaultClientContext> {
    config(&[]).create().unwrap()
}

/// Admin options with a bound on the whole request.
pub fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CALL)).operation_timeout(Some(Duration::from_secs(10)))
}

/// A producer that waits for all replicas, with further settings.
pub fn producer(settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = config(&[("acks", "all"), ("message.timeout.ms", "20000"), ("linger.ms", "5")]);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

/// A fresh topic, once each of its partitions serves: Apache Kafka answers CreateTopics before that.
pub async fn topic(prefix: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
    let name = unique(prefix);
    let mut new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    for (key, value) in configs {
        new = new.set(key, value);
    }
    admin().create_topics(&[new], &options()).await.unwrap()[0].as_ref().unwrap();
    await_served(&name, partitions).await;
    name
}

/// Waits until each of a topic's partitions answers for its offsets.
pub async fn await_served(name: &str, partitions: i32) {
    let name = name.to_owned();
    let served = tokio::task::spawn_blocking(move || {
        // A new client each time: librdkafka remembers for a while how many partitions there were.
        eventually(CALL, || {
            let consumer: BaseConsumer = config(&[]).create().unwrap();
            (0..partitions).all(|p| consumer.fetch_watermarks(&name, p, Duration::from_secs(2)).is_ok())
        })
    });
    assert!(served.await.unwrap(), "the topic is not served");
}

/// Sends the numbers of the range to one partition.
pub async fn fill(topic: &str, partition: i32, numbers: std::ops::Range<usize>) {
    let producer = producer(&[]);
    let sent: Vec<_> = numbers
        .map(|i| {
            let (key, value) = (format!("k{i}"), i.to_string());
            producer.send_result(FutureRecord::to(topic).partition(partition).key(&key).payload(&value)).unwrap()
        })
        .collect();
    for delivery in sent {
        delivery.await.unwrap().unwrap();
    }
}

/// Polls until there are `count` messages.
pub fn read<C: rdkafka::consumer::ConsumerContext>(consumer: &BaseConsumer<C>, count: usize) -> Vec<OwnedMessage> {
    let mut messages = Vec::new();
    let deadline = Instant::now() + CALL;
    while messages.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} messages came", messages.len());
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => messages.push(message.detach()),
            Some(Err(error)) => panic!("{} of {count} messages came, then: {error}", messages.len()),
            None => {}
        }
    }
    messages
}

/// Whether the condition comes true within the limit.
pub fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    true
}

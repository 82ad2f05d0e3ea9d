//! What rdkafka reaches is the address that the module gives, which is all that it is told.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use testcontainers_modules::kafka::{apache, confluent};
use testcontainers_modules::testcontainers::core::ContainerPort;
use testcontainers_modules::testcontainers::runners::AsyncRunner;
use testcontainers_modules::testcontainers::{ContainerAsync, Image, ImageExt};

const LIMIT: Duration = Duration::from_secs(20);

async fn bootstrap<I: Image>(started: &ContainerAsync<I>, port: ContainerPort) -> String {
    format!("127.0.0.1:{}", started.get_host_port_ipv4(port).await.unwrap())
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

async fn produce(bootstrap: &str, topic: &str, numbers: std::ops::Range<u32>) {
    let producer: FutureProducer = client(bootstrap).set("message.timeout.ms", "20000").create().unwrap();
    for number in numbers {
        let (key, value) = (number.to_string(), format!("record {number}"));
        producer.send(FutureRecord::to(topic).key(&key).payload(&value), LIMIT).await.unwrap();
    }
}

/// Reads as many different records in a group, and commits.
async fn consume(bootstrap: &str, topic: &str, count: usize) -> BTreeSet<String> {
    let consumer: StreamConsumer = client(bootstrap)
        .set("group.id", format!("readers of {topic}"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut values = BTreeSet::new();
    let all = async {
        while values.len() < count {
            let record = consumer.recv().await.unwrap();
            values.insert(String::from_utf8(record.payload().unwrap().to_vec()).unwrap());
        }
    };
    let in_time = tokio::time::timeout(LIMIT, all).await;
    assert!(in_time.is_ok(), "{} of {count} records came", values.len());
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    values
}

async fn exchange(bootstrap: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let made = admin
        .create_topics(&[NewTopic::new(topic, 3, TopicReplication::Fixed(1))], &AdminOptions::new())
        .await
        .unwrap();
    assert_eq!(made, [Ok(topic.to_owned())]);
    produce(bootstrap, topic, 0..30).await;
    assert_eq!(consume(bootstrap, topic, 30).await, (0..30).map(|number| format!("record {number}")).collect());
}

#[tokio::test]
async fn apache_native() {
    let kafka = apache::Kafka::default().with_name("ottla").with_tag("8.0.0").start().await.unwrap();
    exchange(&bootstrap(&kafka, apache::KAFKA_PORT).await, "native").await;
}

#[tokio::test]
async fn apache_jvm() {
    let kafka = apache::Kafka::default().with_jvm_image().with_name("ottla").with_tag("8.0.0").start().await.unwrap();
    exchange(&bootstrap(&kafka, apache::KAFKA_PORT).await, "jvm").await;
}

/// It starts a ZooKeeper beside the broker, and sets `advertised.listeners` with kafka-configs when the broker is up.
#[tokio::test]
async fn confluent() {
    let kafka = confluent::Kafka::default().with_name("ottla").with_tag("8.0.0").start().await.unwrap();
    let bootstrap = bootstrap(&kafka, confluent::KAFKA_PORT).await;
    let admin: AdminClient<DefaultClientContext> = client(&bootstrap).create().unwrap();
    let told = admin.inner().fetch_metadata(None, LIMIT).unwrap();
    let told: Vec<String> =
        told.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect();
    assert_eq!(told, [bootstrap.clone()], "the first answer after the start tells the address that was set");
    exchange(&bootstrap, "confluent").await;
}

/// With a port that stays, because Docker gives a container that is started again another one.
#[tokio::test]
async fn stopped_and_started() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let request =
        apache::Kafka::default().with_name("ottla").with_tag("8.0.0").with_mapped_port(port, apache::KAFKA_PORT);
    let kafka = request.start().await.unwrap();
    let bootstrap = bootstrap(&kafka, apache::KAFKA_PORT).await;
    produce(&bootstrap, "kept", 0..10).await;
    kafka.stop().await.unwrap();
    kafka.start().await.unwrap();
    produce(&bootstrap, "kept", 10..20).await;
    assert_eq!(consume(&bootstrap, "kept", 20).await.len(), 20);
    kafka.pause().await.unwrap();
    kafka.unpause().await.unwrap();
    produce(&bootstrap, "kept", 20..21).await;
}

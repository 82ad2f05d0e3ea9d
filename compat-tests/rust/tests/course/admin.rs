//! The admin client.

use std::time::Duration;

use ottla_compat_rdkafka::{CALL, admin, await_served, config, eventually, fill, options, read, topic, unique};
use rdkafka::admin::{
    AlterConfig, ConfigSource, NewPartitions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

#[tokio::test]
async fn topics_are_made_refused_grown_and_deleted() {
    let (admin, fine, existing) = (admin(), unique("fine"), topic("existing", 2, &[]).await);
    let fixed = TopicReplication::Fixed;
    let bad = unique("bad");
    let results = admin
        .create_topics(
            &[
                NewTopic::new(&fine, 1, fixed(1)),
                NewTopic::new(&existing, 1, fixed(1)),
                NewTopic::new("not allowed", 1, fixed(1)),
                NewTopic::new(&bad, 1, fixed(3)),
            ],
            &options(),
        )
        .await
        .unwrap();
    let codes: Vec<_> = results.into_iter().map(|result| result.map_err(|(_, code)| code).err()).collect();
    let expected = [
        None,
        Some(RDKafkaErrorCode::TopicAlreadyExists),
        Some(RDKafkaErrorCode::InvalidTopic),
        Some(RDKafkaErrorCode::InvalidReplicationFactor),
    ];
    assert_eq!(codes, expected);

    let validated = unique("validated");
    let only = options().validate_only(true);
    admin.create_topics(&[NewTopic::new(&validated, 1, fixed(1))], &only).await.unwrap()[0].as_ref().unwrap();
    let consumer: BaseConsumer = config(&[]).create().unwrap();
    assert!(consumer.fetch_metadata(None, CALL).unwrap().topics().iter().all(|topic| topic.name() != validated));

    let assigned = unique("assigned");
    let node = consumer.fetch_metadata(None, CALL).unwrap().brokers()[0].id();
    let replicas = [node];
    let replication = TopicReplication::Variable(&[&replicas, &replicas]);
    admin.create_topics(&[NewTopic::new(&assigned, 2, replication)], &options()).await.unwrap()[0].as_ref().unwrap();

    admin.create_partitions(&[NewPartitions::new(&existing, 4)], &options()).await.unwrap()[0].as_ref().unwrap();
    await_served(&existing, 4).await;
    let (_, shrunk) =
        admin.create_partitions(&[NewPartitions::new(&existing, 1)], &options()).await.unwrap().remove(0).unwrap_err();
    assert_eq!(shrunk, RDKafkaErrorCode::InvalidPartitions);

    admin.delete_topics(&[&existing], &options()).await.unwrap()[0].as_ref().unwrap();
    assert!(eventually(CALL, || {
        consumer.fetch_metadata(None, CALL).unwrap().topics().iter().all(|topic| topic.name() != existing)
    }));
    let (_, gone) = admin.delete_topics(&[&existing], &options()).await.unwrap().remove(0).unwrap_err();
    assert_eq!(gone, RDKafkaErrorCode::UnknownTopicOrPartition);
}

#[tokio::test]
async fn configs_are_described_and_replaced() {
    let (admin, topic) = (admin(), topic("configs", 1, &[("retention.ms", "3600000")]).await);
    let describe = async || {
        admin.describe_configs(&[ResourceSpecifier::Topic(&topic)], &options()).await.unwrap().remove(0).unwrap()
    };
    let config = describe().await;
    assert_eq!(config.specifier, OwnedResourceSpecifier::Topic(topic.clone()));
    let entry = config.get("retention.ms").unwrap();
    assert_eq!((entry.value.as_deref(), &entry.source), (Some("3600000"), &ConfigSource::DynamicTopic));
    assert!(!entry.is_default && !entry.is_read_only && !entry.is_sensitive);
    let entry = config.get("cleanup.policy").unwrap();
    assert_eq!((entry.value.as_deref(), entry.is_default), (Some("delete"), true));

    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("segment.ms", "7200000");
    admin.alter_configs(&[change], &options()).await.unwrap()[0].as_ref().unwrap();
    let mut replaced = false;
    for _ in 0..100 {
        let config = describe().await;
        replaced = config.get("segment.ms").unwrap().value.as_deref() == Some("7200000")
            && config.get("retention.ms").unwrap().value.as_deref() == Some("604800000");
        if replaced {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(replaced, "AlterConfigs replaces all that was there");
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("segment.ms", "long");
    // rdkafka keeps the refusal of one resource to itself; what is refused must not have changed anything.
    admin.alter_configs(&[change], &options()).await.unwrap().remove(0).unwrap();
    assert_eq!(describe().await.get("segment.ms").unwrap().value.as_deref(), Some("7200000"));
}

#[tokio::test]
async fn records_are_deleted() {
    let (admin, topic) = (admin(), topic("records", 1, &[]).await);
    fill(&topic, 0, 0..50).await;
    let mut until = TopicPartitionList::new();
    until.add_partition_offset(&topic, 0, Offset::Offset(30)).unwrap();
    let deleted = admin.delete_records(&until, &options()).await.unwrap();
    assert_eq!(deleted.find_partition(&topic, 0).unwrap().offset(), Offset::Offset(30));
    let consumer: BaseConsumer = config(&[("group.id", "unused"), ("auto.offset.reset", "earliest")]).create().unwrap();
    assert_eq!(consumer.fetch_watermarks(&topic, 0, CALL).unwrap(), (30, 50));
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    assert_eq!(read(&consumer, 20)[0].offset(), 30);
}

#[tokio::test]
async fn groups_are_deleted_once_empty() {
    let (admin, topic, group) = (admin(), topic("groups", 1, &[]).await, unique("groups"));
    fill(&topic, 0, 0..5).await;
    let consumer: BaseConsumer =
        config(&[("group.id", &group), ("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")])
            .create()
            .unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    read(&consumer, 5);
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    let (_, live) = admin.delete_groups(&[&group], &options()).await.unwrap().remove(0).unwrap_err();
    assert_eq!(live, RDKafkaErrorCode::NonEmptyGroup);
    drop(consumer);
    admin.delete_groups(&[&group], &options()).await.unwrap().remove(0).unwrap();
    let (_, gone) = admin.delete_groups(&[&group], &options()).await.unwrap().remove(0).unwrap_err();
    assert_eq!(gone, RDKafkaErrorCode::GroupIdNotFound);
}

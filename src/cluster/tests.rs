//! The cluster handle as a whole, on memory and on disk.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

use super::decide::topics::{TopicCreation, TopicDefaults, create};
use super::decide::{ConfigRules, EffectiveConfig, SystemRandomness, brokers};
use super::image::Configs;
use super::raft::network::NoTransport;
use super::record::BrokerState;
use super::*;
use crate::store::Durability;
use crate::store::quorum::{
    DiskQuorumStore, MemoryQuorumStore, QuorumSlot, QuorumStoreError, QuorumWrite, StoredSnapshot,
};
use crate::types::SystemClock;

/// Takes every configuration but `bad`.
pub(super) struct AnyConfig;

impl ConfigRules for AnyConfig {
    fn validate(&self, _: &ConfigResource, configs: &Configs, _: &Configs) -> Result<(), ApiError> {
        match configs.get("bad") {
            Some(_) => Err(ApiError::new(ResponseError::InvalidConfig, "Unknown topic config name: bad")),
            None => Ok(()),
        }
    }

    fn is_list(&self, _: ResourceKind, key: &str) -> bool {
        key == "cleanup.policy"
    }

    fn default_value(&self, _: ResourceKind, key: &str) -> Option<String> {
        (key == "cleanup.policy").then(|| "delete".to_owned())
    }

    fn effective_topic_configs(&self, _: &MetadataImage, overrides: &Configs) -> Vec<EffectiveConfig> {
        overrides
            .iter()
            .map(|(name, value)| EffectiveConfig {
                name: name.to_string(),
                value: Some(value.to_string()),
                read_only: false,
                source: 1,
                sensitive: false,
            })
            .collect()
    }
}

pub(super) fn options(node_id: BrokerId, store: Arc<dyn QuorumStorage>) -> ClusterOptions {
    ClusterOptions {
        node_id,
        cluster_id: "test-cluster".into(),
        features: BTreeMap::from([("metadata.version".into(), 29)]),
        voters: BTreeMap::from([(node_id, "here:1".to_owned())]),
        transport: Arc::new(NoTransport),
        store,
        clock: Arc::new(SystemClock),
        timing: QuorumTiming::default(),
        metrics: ClusterMetrics::default(),
    }
}

pub(super) fn broker(id: BrokerId) -> BrokerState {
    BrokerState {
        id,
        epoch: 0,
        incarnation_id: Uuid::new_v4(),
        endpoints: Vec::new(),
        rack: None,
        features: BTreeMap::from([("metadata.version".into(), (7, 29))]),
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
    }
}

pub(super) fn topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
}

/// Creates the topics and returns each one's error code, 0 for none.
pub(super) async fn create_topics(cluster: &Cluster, topics: Vec<CreatableTopic>) -> Result<Vec<i16>, ClusterError> {
    cluster
        .propose(move |image| {
            let how = TopicCreation {
                defaults: TopicDefaults { partitions: 1, replication_factor: 1 },
                rules: &AnyConfig,
                random: &mut SystemRandomness,
                validate_only: false,
            };
            let Decision { records, reply } = create(image, &topics, how).unwrap();
            Decision { records, reply: reply.iter().map(|result| result.error_code).collect() }
        })
        .await
}

async fn register(cluster: &Cluster) -> i64 {
    let state = broker(cluster.node_id());
    cluster.propose(move |image| brokers::register_local(image, &state)).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_of_one_leads_at_once_and_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let open = || async {
        let began = Instant::now();
        let store = Arc::new(DiskQuorumStore::open(folder.path()).unwrap());
        let opened = began.elapsed();
        let cluster = Cluster::open(options(1, store)).await.unwrap();
        println!("store {opened:?}, leader after {:?}", began.elapsed());
        cluster
    };
    let cluster = open().await;
    let first_epoch = register(&cluster).await;
    let began = Instant::now();
    assert_eq!(create_topics(&cluster, vec![topic("a", 3), topic("b", 1)]).await.unwrap(), [0, 0]);
    println!("created after {:?}", began.elapsed());
    let before = cluster.image();
    cluster.close().await;
    drop(cluster);

    let cluster = open().await;
    assert_eq!(*cluster.image(), *before);
    assert!(register(&cluster).await > first_epoch);
    let image = cluster.image();
    let partition = image.topic("a").unwrap().partition(2).unwrap();
    assert_eq!((partition.leader, partition.leader_epoch), (1, 1), "a new incarnation starts a new leader epoch");
    assert_eq!(create_topics(&cluster, vec![topic("a", 3)]).await.unwrap(), [ResponseError::TopicAlreadyExists.code()]);
    cluster.close().await;
    assert_eq!(create_topics(&cluster, vec![topic("c", 3)]).await, Err(ClusterError::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_another_cluster_is_refused() {
    let store = Arc::new(MemoryQuorumStore::default());
    Cluster::open(options(1, store.clone())).await.unwrap().close().await;
    let other = ClusterOptions { cluster_id: "other".into(), ..options(1, store) };
    let error = Cluster::open(other).await.err();
    assert_eq!(error, Some(ClusterError::OtherCluster { stored: "test-cluster".into(), configured: "other".into() }));
}

/// The figure is 300 ms for 2,000 partitions; the bound here is loose, because tests share a machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_partitions_are_quick() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(DiskQuorumStore::open(folder.path()).unwrap());
    let cluster = Cluster::open(options(1, store)).await.unwrap();
    register(&cluster).await;
    let began = Instant::now();
    let requests: Vec<_> = (0..2000)
        .map(|number| {
            let cluster = cluster.clone();
            tokio::spawn(async move { create_topics(&cluster, vec![topic(&format!("one-{number}"), 1)]).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap(), [0]);
    }
    println!("2000 topics in 2000 concurrent requests: {:?}", began.elapsed());
    let began = Instant::now();
    let many = (0..2000).map(|number| topic(&format!("many-{number}"), 1)).collect();
    assert!(create_topics(&cluster, many).await.unwrap().iter().all(|code| *code == 0));
    println!("2000 topics in one request: {:?}", began.elapsed());
    let began = Instant::now();
    for number in 0..100 {
        create_topics(&cluster, vec![topic(&format!("serial-{number}"), 1)]).await.unwrap();
    }
    println!("100 topics one after the other: {:?}", began.elapsed());
    assert_eq!(cluster.image().partition_count(), 4100);
    cluster.close().await;
    drop(cluster);
    let began = Instant::now();
    let store = Arc::new(DiskQuorumStore::open(folder.path()).unwrap());
    let cluster = Cluster::open(options(1, store)).await.unwrap();
    println!("restart with 4100 partitions: {:?}", began.elapsed());
    assert_eq!(cluster.image().partition_count(), 4100);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_waits_for_every_subscriber() {
    let cluster = Cluster::open(options(1, Arc::new(MemoryQuorumStore::default()))).await.unwrap();
    register(&cluster).await;
    let (image, mut subscription) = cluster.subscribe();
    subscription.acknowledge(image.offset());
    create_topics(&cluster, vec![topic("a", 2)]).await.unwrap();
    create_topics(&cluster, vec![topic("b", 2)]).await.unwrap();
    let offset = cluster.image().offset();
    let early = tokio::time::timeout(Duration::from_millis(50), cluster.wait_published(offset)).await;
    assert!(early.is_err(), "nobody has acknowledged yet");
    let publication = subscription.next().await;
    assert_eq!(publication.image.offset(), offset, "waiting publications come merged");
    assert_eq!(publication.delta.topics_created.len(), 2);
    subscription.acknowledge(publication.image.offset());
    cluster.wait_published(offset).await;
    drop(subscription);
    cluster.wait_published(i64::MAX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_panics_or_contradicts_the_image_harms_no_other() {
    let cluster = Cluster::open(options(1, Arc::new(MemoryQuorumStore::default()))).await.unwrap();
    register(&cluster).await;
    let panics = cluster.propose(|_| -> Decision<()> { panic!("on purpose") }).await;
    assert!(matches!(panics, Err(ClusterError::Internal(_))));
    let records = vec![Record::TopicDeleted { id: Uuid::from_u128(9) }];
    let contradicts = cluster.propose(|_| Decision { records, reply: () }).await;
    assert!(matches!(contradicts, Err(ClusterError::Internal(_))));
    assert_eq!(create_topics(&cluster, vec![topic("a", 2)]).await.unwrap(), [0]);
}

/// Fails every write once it is told to.
#[derive(Default)]
struct FailingStore {
    store: MemoryQuorumStore,
    fails: AtomicBool,
}

impl QuorumStorage for FailingStore {
    fn write(&self, writes: Vec<QuorumWrite>, durability: Durability) -> Result<(), QuorumStoreError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(QuorumStoreError::Write { path: "disk".into(), what: "no space left".to_owned() });
        }
        self.store.write(writes, durability)
    }

    fn entries(&self, from: u64, end: u64) -> Result<Vec<(u64, Vec<u8>)>, QuorumStoreError> {
        self.store.entries(from, end)
    }

    fn last_entry(&self) -> Result<Option<(u64, Vec<u8>)>, QuorumStoreError> {
        self.store.last_entry()
    }

    fn slot(&self, slot: QuorumSlot) -> Result<Option<Vec<u8>>, QuorumStoreError> {
        self.store.slot(slot)
    }

    fn snapshot(&self) -> Result<Option<StoredSnapshot>, QuorumStoreError> {
        self.store.snapshot()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_never_acknowledged_and_stops_the_node_until_it_starts_again() {
    let store = Arc::new(FailingStore::default());
    let cluster = Cluster::open(options(1, store.clone())).await.unwrap();
    register(&cluster).await;
    assert_eq!(create_topics(&cluster, vec![topic("kept", 1)]).await.unwrap(), [0]);
    assert_eq!(cluster.health(), Ok(()));
    store.fails.store(true, Ordering::Relaxed);
    for name in ["lost", "lost-too"] {
        let answer = tokio::time::timeout(Duration::from_secs(10), create_topics(&cluster, vec![topic(name, 1)])).await;
        let error = answer.expect("a proposal must be answered when the store fails").unwrap_err();
        assert!(matches!(error, ClusterError::Internal(_) | ClusterError::NotLeader { .. }), "{error}");
    }
    assert!(cluster.health().unwrap_err().contains("no space left"), "{:?}", cluster.health());
    assert!(cluster.image().topic("kept").is_some(), "reads go on");
    cluster.close().await;
    store.fails.store(false, Ordering::Relaxed);
    let cluster = Cluster::open(options(1, store)).await.unwrap();
    assert!(cluster.image().topic("kept").is_some());
    assert_eq!(create_topics(&cluster, vec![topic("next", 1)]).await.unwrap(), [0]);
}

//! Three nodes in one process: elections, partitions of the network, snapshots, restarts. The network can be cut, and counts what it carries.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::decide::brokers;
use super::raft::network::{QuorumRequest, QuorumTransport, TransportError, TransportFuture};
use super::tests::{broker, create_topics, options, topic};
use super::*;
use crate::store::quorum::MemoryQuorumStore;

const NODES: [BrokerId; 3] = [1, 2, 3];

/// Longer than any election here takes, shorter than a test's patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// The wires between the nodes of one test.
#[derive(Default)]
struct Wires {
    nodes: Mutex<BTreeMap<BrokerId, Arc<Cluster>>>,
    isolated: Mutex<BTreeSet<BrokerId>>,
    snapshots: AtomicUsize,
}

/// One node's end of the wires.
struct Plug {
    node: BrokerId,
    wires: Arc<Wires>,
}

impl QuorumTransport for Plug {
    fn send<'a>(&'a self, member: BrokerId, address: &'a str, request: QuorumRequest) -> TransportFuture<'a> {
        Box::pin(async move {
            let unreachable =
                |what: &str| TransportError::Unreachable { member, address: address.to_owned(), what: what.to_owned() };
            let is_cut = || {
                let isolated = self.wires.isolated.lock();
                isolated.contains(&member) || isolated.contains(&self.node)
            };
            if is_cut() {
                return Err(unreachable("cut"));
            }
            if matches!(request, QuorumRequest::InstallSnapshot(_)) {
                self.wires.snapshots.fetch_add(1, Ordering::Relaxed);
            }
            // What crosses a real wire is bytes: requests and answers must survive that.
            let bytes = serde_json::to_vec(&request).unwrap();
            let node = self.wires.nodes.lock().get(&member).cloned().ok_or_else(|| unreachable("down"))?;
            let response = node.answer(serde_json::from_slice(&bytes).unwrap()).await;
            let bytes = serde_json::to_vec(&response).unwrap();
            // An answer can be lost after the request took effect.
            if is_cut() {
                return Err(unreachable("cut"));
            }
            Ok(serde_json::from_slice(&bytes).unwrap())
        })
    }
}

struct Quorum {
    wires: Arc<Wires>,
    stores: BTreeMap<BrokerId, Arc<MemoryQuorumStore>>,
}

impl Quorum {
    async fn start() -> Self {
        let stores = NODES.into_iter().map(|node| (node, Arc::default())).collect();
        let quorum = Self { wires: Arc::default(), stores };
        for node in NODES {
            quorum.up(node).await;
        }
        quorum
    }

    /// Starts a node on what its store holds.
    async fn up(&self, node: BrokerId) {
        let transport = Plug { node, wires: self.wires.clone() };
        let options = ClusterOptions {
            voters: NODES.into_iter().map(|node| (node, format!("node-{node}:1"))).collect(),
            transport: Arc::new(transport),
            timing: QuorumTiming { heartbeat_ms: 40, election_timeout_ms: 200, snapshot_entries: 20 },
            ..options(node, self.stores[&node].clone())
        };
        let cluster = Cluster::open(options).await.unwrap();
        self.wires.nodes.lock().insert(node, cluster);
    }

    async fn down(&self, node: BrokerId) {
        let cluster = self.wires.nodes.lock().remove(&node);
        if let Some(cluster) = cluster {
            cluster.close().await;
        }
    }

    fn node(&self, node: BrokerId) -> Arc<Cluster> {
        self.wires.nodes.lock()[&node].clone()
    }

    fn isolate(&self, node: BrokerId) {
        self.wires.isolated.lock().insert(node);
    }

    fn heal(&self) {
        self.wires.isolated.lock().clear();
    }

    /// The leader that takes a proposal, once there is one among the nodes that are not isolated.
    async fn leader(&self) -> Arc<Cluster> {
        let search = async {
            loop {
                let nodes: Vec<_> = self.wires.nodes.lock().values().cloned().collect();
                let isolated = self.wires.isolated.lock().clone();
                for node in nodes.iter().filter(|node| !isolated.contains(&node.node_id())) {
                    if node.propose(|_| Decision::unchanged(())).await.is_ok() {
                        return node.clone();
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("no leader was elected")
    }

    /// Waits until all nodes hold the same image, and returns it. A proposal whose proposer gave up may still be committed meanwhile, and reach one node
    /// before another.
    async fn agree(&self) -> Arc<MetadataImage> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            assert!(tokio::time::Instant::now() < deadline, "nodes do not come to the same offset");
            let leader = self.leader().await;
            // Another one may have been elected meanwhile.
            let Ok((_, offset)) = leader.propose_at(|_| Decision::unchanged(())).await else { continue };
            let nodes: Vec<_> = self.wires.nodes.lock().values().cloned().collect();
            for node in &nodes {
                let waited = tokio::time::timeout(PATIENCE, node.wait_applied(offset)).await;
                assert!(waited.is_ok(), "node {} does not catch up to {offset}", node.node_id());
            }
            let image = leader.image();
            let images: Vec<_> = nodes.iter().map(|node| node.image()).collect();
            if images.iter().all(|other| **other == *image) {
                return image;
            }
            let same_offset = images.iter().all(|other| other.offset() == image.offset());
            assert!(!same_offset, "nodes hold other images at offset {}", image.offset());
        }
    }
}

async fn register_all(leader: &Cluster) {
    for node in NODES {
        let state = broker(node);
        leader.propose(move |image| brokers::register_local(image, &state)).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_leader_decides_every_node_applies() {
    let quorum = Quorum::start().await;
    let leader = quorum.leader().await;
    register_all(&leader).await;
    assert_eq!(create_topics(&leader, vec![topic("a", 5)]).await.unwrap(), [0]);
    let image = quorum.agree().await;
    assert_eq!(image.topic("a").unwrap().partition_count(), 5);
    assert_eq!(&**image.cluster_id(), "test-cluster");
    let follower = quorum.node(NODES.into_iter().find(|node| *node != leader.node_id()).unwrap());
    assert_eq!(
        create_topics(&follower, vec![topic("b", 1)]).await,
        Err(ClusterError::NotLeader { leader: Some(leader.node_id()) })
    );
    let status = leader.quorum_status();
    assert_eq!(status.leader_id, leader.node_id());
    assert_eq!(status.voters.iter().map(|voter| voter.id).collect::<Vec<_>>(), NODES);
    assert!(status.voters.iter().all(|voter| voter.last_fetch_timestamp_ms > 0), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_follows_the_next() {
    let quorum = Quorum::start().await;
    let old = quorum.leader().await;
    register_all(&old).await;
    assert_eq!(create_topics(&old, vec![topic("kept", 1)]).await.unwrap(), [0]);
    quorum.isolate(old.node_id());
    // The old leader does not know yet. What it is asked now must not be acknowledged.
    let lost = tokio::spawn({
        let old = old.clone();
        async move { create_topics(&old, vec![topic("lost", 1)]).await }
    });
    let new = quorum.leader().await;
    assert_ne!(new.node_id(), old.node_id());
    assert_eq!(create_topics(&new, vec![topic("kept-2", 1)]).await.unwrap(), [0]);
    quorum.heal();
    let image = quorum.agree().await;
    assert!(image.topic("kept").is_some() && image.topic("kept-2").is_some());
    match tokio::time::timeout(PATIENCE, lost).await.expect("a proposal on a deposed leader must be answered").unwrap()
    {
        Ok(codes) => {
            // Only right if it was handed to the new log after all, which it cannot have been.
            panic!("acknowledged by a leader without a quorum: {codes:?}");
        }
        Err(ClusterError::NotLeader { .. } | ClusterError::Superseded | ClusterError::Internal(_)) => {
            assert!(image.topic("lost").is_none());
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_long_catches_up_by_a_snapshot() {
    let quorum = Quorum::start().await;
    let leader = quorum.leader().await;
    register_all(&leader).await;
    let away = NODES.into_iter().find(|node| *node != leader.node_id()).unwrap();
    create_topics(&leader, vec![topic("before", 1), topic("gone", 1)]).await.unwrap();
    quorum.agree().await;
    quorum.down(away).await;
    for number in 0..60 {
        create_topics(&leader, vec![topic(&format!("t-{number}"), 1)]).await.unwrap();
    }
    let gone = leader.image().topic_id("gone").unwrap();
    leader.propose(move |_| Decision { records: vec![Record::TopicDeleted { id: gone }], reply: () }).await.unwrap();
    leader.snapshot().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    quorum.up(away).await;
    let (_, mut subscription) = quorum.node(away).subscribe();
    let image = quorum.agree().await;
    assert_eq!(image.topic_count(), 61);
    assert!(quorum.wires.snapshots.load(Ordering::Relaxed) > 0, "no snapshot was sent");
    // Its subscribers see all of it, however it came.
    let (mut created, mut deleted, mut offset) = (0, 0, -1);
    while offset < image.offset() {
        let publication = tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap();
        created += publication.delta.topics_created.len();
        deleted += publication.delta.topics_deleted.len();
        offset = publication.image.offset();
    }
    assert!(created >= 60 && deleted <= 1, "{created} created, {deleted} deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_that_was_down_as_a_whole_remembers() {
    let quorum = Quorum::start().await;
    let leader = quorum.leader().await;
    register_all(&leader).await;
    for number in 0..30 {
        create_topics(&leader, vec![topic(&format!("t-{number}"), 2)]).await.unwrap();
    }
    let before = quorum.agree().await;
    for node in NODES {
        quorum.down(node).await;
    }
    for node in NODES {
        quorum.up(node).await;
    }
    assert_eq!(*quorum.agree().await, *before);
}

/// Nodes go down, come up and are cut off while topics are made. Every topic whose creation was acknowledged must be there in the end, on every node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_while_leaders_come_and_go() {
    let quorum = Quorum::start().await;
    let first = quorum.leader().await;
    register_all(&first).await;
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let victim = quorum.leader().await.node_id();
        for number in 0..5 {
            let name = format!("r{round}-{number}");
            if number == 2 {
                if round % 2 == 0 {
                    quorum.isolate(victim);
                } else {
                    quorum.down(victim).await;
                }
            }
            let leader = quorum.leader().await;
            match tokio::time::timeout(PATIENCE, create_topics(&leader, vec![topic(&name, 1)])).await.unwrap() {
                Ok(codes) => {
                    assert_eq!(codes, [0], "{name}");
                    acknowledged.push(name);
                }
                Err(ClusterError::NotLeader { .. } | ClusterError::Superseded) => {}
                Err(other) => panic!("{name}: {other}"),
            }
        }
        quorum.heal();
        if round % 2 == 1 {
            quorum.up(victim).await;
        }
    }
    let image = quorum.agree().await;
    assert!(acknowledged.len() >= 20, "too few were acknowledged to say anything: {}", acknowledged.len());
    for name in &acknowledged {
        assert!(image.topic(name).is_some(), "{name} was acknowledged and is lost");
    }
}

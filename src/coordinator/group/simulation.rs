//! The coordinator as a whole, on a log in memory and a clock that a test turns: members that join, work, dawdle and die.

use super::classic::{JoinReply, JoinRequest, LeavingMember, Protocol, State, SyncReply, SyncRequest};
use super::config::GroupConfig;
use super::requests::{CommitPartition, CommitRequest, CommitTopic, FetchedOffset, TopicPartitions};
use super::*;
use crate::coordinator::log::{AppendError, LoadError};
use crate::coordinator::memory_log::{Fault, MemoryLog};
use crate::types::Clock;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// A wall clock that goes with tokio's.
pub struct TokioClock(Instant);

impl TokioClock {
    pub const START_MS: i64 = 1_700_000_000_000;
}

impl Clock for TokioClock {
    fn wall_ms(&self) -> i64 {
        Self::START_MS + self.0.elapsed().as_millis() as i64
    }
}

const PARTITIONS: i32 = 3;
pub const GROUP: &str = "orders";

pub struct World {
    pub log: Arc<MemoryLog>,
    pub coordinator: Arc<GroupCoordinator>,
    epoch: i32,
}

impl World {
    pub async fn new(config: GroupConfig) -> Self {
        Self::with_log(config, MemoryLog::new(PARTITIONS, 1_000_000)).await
    }

    async fn with_log(config: GroupConfig, log: Arc<MemoryLog>) -> Self {
        let clock = Arc::new(TokioClock(Instant::now()));
        let coordinator = Arc::new(GroupCoordinator::new(config, log.clone(), clock));
        for partition in 0..PARTITIONS {
            coordinator.lead(partition, 1);
        }
        let world = Self { log, coordinator, epoch: 1 };
        world.until_loaded().await;
        world
    }

    async fn until_loaded(&self) {
        while self.coordinator.list(Vec::new()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn partition(&self) -> i32 {
        self.coordinator.partition_for(GROUP)
    }

    /// Another broker takes the group's partition and gives it back: everything is loaded anew.
    pub async fn fail_over(&mut self) {
        self.epoch += 1;
        self.log.set_leader_epoch(self.partition(), self.epoch);
        self.coordinator.resign(self.partition(), Some(self.epoch - 1));
        self.coordinator.lead(self.partition(), self.epoch);
        self.until_loaded().await;
    }

    async fn join(&self, member: &MemberSim) -> JoinReply {
        self.coordinator.join(GROUP, member.join_request()).await
    }

    pub fn spawn_join(&self, member: &MemberSim) -> tokio::task::JoinHandle<JoinReply> {
        let (coordinator, request) = (self.coordinator.clone(), member.join_request());
        tokio::spawn(async move { coordinator.join(GROUP, request).await })
    }

    fn spawn_sync(&self, joined: &JoinReply, assignments: &[(&str, &str)]) -> tokio::task::JoinHandle<SyncReply> {
        self.spawn_sync_request(sync_request(joined, assignments))
    }

    pub fn spawn_sync_request(&self, request: SyncRequest) -> tokio::task::JoinHandle<SyncReply> {
        let coordinator = self.coordinator.clone();
        tokio::spawn(async move { coordinator.sync(GROUP, request).await })
    }

    pub async fn heartbeat(&self, joined: &JoinReply) -> Result<(), ResponseError> {
        self.coordinator.heartbeat(GROUP, &joined.member_id, None, joined.generation).await
    }

    async fn state(&self) -> Option<State> {
        self.coordinator.describe(GROUP).await.unwrap().map(|group| group.state)
    }

    async fn commit(&self, offset: i64) -> Result<Vec<TopicResults>, ResponseError> {
        self.coordinator.commit_offsets(commit_request(GROUP, "", -1, offset)).await
    }

    async fn committed(&self) -> i64 {
        let asked = vec![TopicPartitions { name: "topic".into(), partitions: vec![0] }];
        let fetched = self.coordinator.fetch_offsets(GROUP, Some(asked), true).await.unwrap();
        fetched[0].partitions[0].offset
    }

    /// A stable group of one.
    async fn stable_with_one(&self, member: &mut MemberSim) -> JoinReply {
        let joined = member.enter(self).await;
        let synced = self.spawn_sync(&joined, &[(&joined.member_id, "all")]).await.unwrap();
        assert_eq!(synced.error, None);
        assert_eq!(self.state().await, Some(State::Stable));
        joined
    }
}

#[derive(Clone)]
pub struct MemberSim {
    pub id: Arc<str>,
    pub instance: Option<Arc<str>>,
    pub session_ms: i32,
    pub rebalance_ms: i32,
}

impl MemberSim {
    pub fn new() -> Self {
        Self { id: "".into(), instance: None, session_ms: 10_000, rebalance_ms: 60_000 }
    }

    fn join_request(&self) -> JoinRequest {
        JoinRequest {
            token: 0,
            member_id: self.id.clone(),
            instance_id: self.instance.clone(),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            protocol_type: "consumer".into(),
            protocols: vec![Protocol { name: "range".into(), metadata: subscription(&["topic"]) }],
            session_timeout_ms: self.session_ms,
            rebalance_timeout_ms: self.rebalance_ms,
            reason: None,
            member_id_required: true,
            can_skip_assignment: true,
            fresh_id: Uuid::new_v4(),
        }
    }

    /// Joins in two steps, as clients do.
    async fn enter(&mut self, world: &World) -> JoinReply {
        let first = world.join(self).await;
        if first.error != Some(ResponseError::MemberIdRequired) {
            return first;
        }
        self.id = first.member_id;
        world.join(self).await
    }
}

fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_i32(topics.len() as i32);
    for topic in topics {
        bytes.put_i16(topic.len() as i16);
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.freeze()
}

pub fn sync_request(joined: &JoinReply, assignments: &[(&str, &str)]) -> SyncRequest {
    SyncRequest {
        token: 0,
        generation: joined.generation,
        member_id: joined.member_id.clone(),
        instance_id: None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments
            .iter()
            .map(|(id, assignment)| (Arc::from(*id), Bytes::copy_from_slice(assignment.as_bytes())))
            .collect::<HashMap<_, _>>(),
    }
}

pub fn commit_request(group: &str, member: &str, generation: i32, offset: i64) -> CommitRequest {
    CommitRequest {
        group_id: group.into(),
        member_id: member.into(),
        instance_id: None,
        generation,
        retention_ms: None,
        knows_group_not_found: true,
        topics: vec![CommitTopic {
            name: "topic".into(),
            topic_id: Uuid::from_u128(7),
            partitions: vec![CommitPartition { index: 0, offset, leader_epoch: 3, metadata: "note".into() }],
        }],
    }
}

#[test]
fn groups_go_to_the_partitions_that_kafka_gives_them() {
    // "orders".hashCode() is -1008770331 in Java; "polygenelubricants".hashCode() is Integer.MIN_VALUE, whose absolute value Kafka takes as 0.
    assert_eq!(partition_for("orders", 50), 1_008_770_331 % 50);
    assert_eq!(partition_for("polygenelubricants", 50), 0);
    assert_eq!(partition_for("", 50), 0);
    // A character outside of the basic plane counts as two UTF-16 code units: 0xd83d * 31 + 0xde00.
    assert_eq!(partition_for("\u{1f600}", 1_000_000_007), 0xd83d * 31 + 0xde00);
}

#[tokio::test(start_paused = true)]
async fn three_members_share_and_one_dies() {
    let world = World::new(GroupConfig::default()).await;
    let begun = Instant::now();
    let mut members = [MemberSim::new(), MemberSim::new(), MemberSim::new()];
    for member in &mut members {
        let first = world.join(member).await;
        assert_eq!(first.error, Some(ResponseError::MemberIdRequired));
        assert!(first.member_id.starts_with("client-"));
        member.id = first.member_id;
    }
    let joins: Vec<_> = members.iter().map(|member| world.spawn_join(member)).collect();
    let mut joined = Vec::new();
    for join in joins {
        joined.push(join.await.unwrap());
    }
    // The first delay, and another because members arrived within it.
    assert_eq!(begun.elapsed(), Duration::from_millis(6_000));
    let leader = joined.iter().find(|reply| *reply.leader == *reply.member_id).unwrap();
    assert_eq!(leader.members.len(), 3);
    assert!(joined.iter().all(|reply| reply.generation == 1 && reply.error.is_none()));
    assert_eq!(joined.iter().filter(|reply| reply.members.is_empty()).count(), 2);
    let shares: Vec<(&str, &str)> = joined.iter().map(|reply| (&*reply.member_id, "share")).collect();
    let followers: Vec<_> =
        joined.iter().filter(|r| r.member_id != leader.member_id).map(|r| world.spawn_sync(r, &[])).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(followers.iter().all(|sync| !sync.is_finished()));
    let of_leader = world.spawn_sync(leader, &shares);
    for sync in followers.into_iter().chain([of_leader]) {
        let synced = sync.await.unwrap();
        assert_eq!((synced.error, &synced.assignment[..]), (None, &b"share"[..]));
        assert_eq!(synced.protocol_name.as_deref(), Some("range"));
    }
    assert_eq!(world.state().await, Some(State::Stable));
    // Two keep sending heartbeats; the third is silent for longer than its session.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(3_000)).await;
        assert_eq!(world.heartbeat(&joined[0]).await, Ok(()));
        assert_eq!(world.heartbeat(&joined[1]).await, Ok(()));
    }
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    assert_eq!(world.state().await, Some(State::PreparingRebalance));
    assert_eq!(world.heartbeat(&joined[0]).await, Err(ResponseError::RebalanceInProgress));
    assert_eq!(world.heartbeat(&joined[2]).await, Err(ResponseError::UnknownMemberId));
    // The survivors come back: no delay this time.
    let again = Instant::now();
    let rejoins: Vec<_> = members[..2].iter().map(|member| world.spawn_join(member)).collect();
    for rejoin in rejoins {
        let reply = rejoin.await.unwrap();
        assert_eq!((reply.error, reply.generation), (None, 2));
    }
    assert_eq!(again.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_slow_member_is_left_behind_at_the_rebalance_timeout() {
    let world = World::new(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() }).await;
    let mut slow = MemberSim { session_ms: 60_000, rebalance_ms: 20_000, ..MemberSim::new() };
    let old = world.stable_with_one(&mut slow).await;
    let mut quick = MemberSim { rebalance_ms: 5_000, ..MemberSim::new() };
    let begun = Instant::now();
    let joined = quick.enter(&world).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(20_000), "the longest rebalance time-out counts");
    assert_eq!((joined.error, joined.generation, joined.members.len()), (None, 2, 1));
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(world.heartbeat(&old).await, Err(ResponseError::UnknownMemberId));
    let rejoin = world.join(&slow).await;
    assert_eq!(rejoin.error, Some(ResponseError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_sync_in_time_is_dropped() {
    let world = World::new(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() }).await;
    let mut member = MemberSim { session_ms: 1_800_000, rebalance_ms: 30_000, ..MemberSim::new() };
    let joined = member.enter(&world).await;
    tokio::time::sleep(Duration::from_millis(29_999)).await;
    assert_eq!(world.state().await, Some(State::CompletingRebalance));
    assert_eq!(world.heartbeat(&joined).await, Ok(()));
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(world.state().await, Some(State::Empty));
    assert_eq!(world.heartbeat(&joined).await, Err(ResponseError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn an_id_given_out_is_forgotten_when_nobody_comes_with_it() {
    let world = World::new(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() }).await;
    let mut member = MemberSim::new();
    let joined = world.stable_with_one(&mut member).await;
    let mut second = MemberSim::new();
    second.id = world.join(&second).await.member_id;
    // Its pending id keeps a rebalance from ending early ...
    let rejoin = world.spawn_join(&member);
    tokio::time::sleep(Duration::from_millis(9_000)).await;
    assert!(!rejoin.is_finished());
    // ... until the session time-out that it gave is over.
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    assert_eq!(rejoin.await.unwrap().generation, joined.generation + 1);
    assert_eq!(world.join(&second).await.error, Some(ResponseError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_group_survives_its_coordinator() {
    let mut world = World::new(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() }).await;
    let mut member = MemberSim::new();
    let joined = world.stable_with_one(&mut member).await;
    let by_member = commit_request(GROUP, &joined.member_id, joined.generation, 42);
    assert!(world.coordinator.commit_offsets(by_member.clone()).await.is_ok());
    let before = world.coordinator.describe(GROUP).await.unwrap();
    world.fail_over().await;
    assert_eq!(world.coordinator.describe(GROUP).await.unwrap(), before);
    assert_eq!(world.committed().await, 42);
    assert_eq!(world.heartbeat(&joined).await, Ok(()));
    // Its session begins anew with the load, and ends like any other.
    tokio::time::sleep(Duration::from_millis(10_001)).await;
    assert_eq!(world.state().await, Some(State::Empty));
    let refused = world.coordinator.commit_offsets(by_member).await;
    assert_eq!(refused, Err(ResponseError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn who_waits_when_leadership_goes_is_sent_to_the_new_coordinator() {
    let world = World::new(GroupConfig::default()).await;
    let mut member = MemberSim::new();
    member.id = world.join(&member).await.member_id;
    let waiting = world.spawn_join(&member);
    tokio::time::sleep(Duration::from_millis(10)).await;
    world.coordinator.resign(world.partition(), None);
    let reply = waiting.await.unwrap();
    assert_eq!((reply.error, reply.member_id), (Some(ResponseError::NotCoordinator), member.id.clone()));
    assert_eq!(world.join(&member).await.error, Some(ResponseError::NotCoordinator));
    assert_eq!(world.commit(1).await, Err(ResponseError::NotCoordinator));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_is_not_seen() {
    let world = World::new(GroupConfig::default()).await;
    world.commit(5).await.unwrap();
    world.log.inject(world.partition(), Fault::Slow(Duration::from_millis(50)));
    world.log.inject(world.partition(), Fault::Fail(AppendError::NotEnoughReplicas("1 of 2".into())));
    // The first is slow, so that the next two share a batch; that one fails, and with it the fetch that was to see them.
    let (first, second, third, fetched) = tokio::join!(
        world.commit(6),
        async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            world.commit(7).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            world.commit(8).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            world.coordinator.fetch_offsets(GROUP, None, false).await
        }
    );
    assert!(first.is_ok());
    assert_eq!(second, Err(ResponseError::CoordinatorNotAvailable));
    assert_eq!(third, Err(ResponseError::CoordinatorNotAvailable));
    assert_eq!(fetched, Err(ResponseError::NotCoordinator));
    assert_eq!(world.committed().await, 6);
    assert_eq!(world.log.appends(world.partition()), 3);
}

#[tokio::test(start_paused = true)]
async fn commits_that_wait_share_a_batch() {
    let world = World::new(GroupConfig::default()).await;
    world.log.inject(world.partition(), Fault::Slow(Duration::from_millis(100)));
    let commits: Vec<_> = (0..100)
        .map(|offset| {
            let coordinator = world.coordinator.clone();
            tokio::spawn(async move { coordinator.commit_offsets(commit_request(GROUP, "", -1, offset)).await })
        })
        .collect();
    for commit in commits {
        assert!(commit.await.unwrap().is_ok());
    }
    assert_eq!(world.committed().await, 99);
    assert!(world.log.appends(world.partition()) <= 2, "{} appends", world.log.appends(world.partition()));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_answer_ends_the_request_but_not_the_commit() {
    let world = World::new(GroupConfig::default()).await;
    world.log.inject(world.partition(), Fault::Slow(Duration::from_secs(8)));
    let begun = Instant::now();
    assert_eq!(world.commit(9).await, Err(ResponseError::CoordinatorNotAvailable));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.committed().await, 9);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_survives_the_loss_of_leadership_is_there_after_the_load() {
    for survives in [true, false] {
        let mut world = World::new(GroupConfig::default()).await;
        world.commit(1).await.unwrap();
        world.log.inject(world.partition(), Fault::LoseLeadership { survives });
        assert_eq!(world.commit(2).await, Err(ResponseError::NotCoordinator));
        assert_eq!(world.commit(3).await, Err(ResponseError::NotCoordinator));
        world.fail_over().await;
        assert_eq!(world.committed().await, if survives { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn assignments_that_cannot_be_stored_make_the_members_join_again() {
    let world = World::new(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() }).await;
    let mut member = MemberSim::new();
    let joined = member.enter(&world).await;
    world.log.inject(world.partition(), Fault::Fail(AppendError::NotEnoughReplicas("1 of 2".into())));
    let synced = world.spawn_sync(&joined, &[(&joined.member_id, "all")]).await.unwrap();
    assert_eq!(synced.error, Some(ResponseError::CoordinatorNotAvailable));
    assert_eq!(world.state().await, Some(State::PreparingRebalance));
    let joined = world.join(&member).await;
    assert_eq!((joined.error, joined.generation), (None, 2));
    // Too large for any batch: the members are told so, others do not notice.
    let huge = "x".repeat(2_000_000);
    let synced = world.spawn_sync(&joined, &[(&joined.member_id, &huge)]).await.unwrap();
    assert_eq!(synced.error, Some(ResponseError::UnknownServerError));
    world.commit(1).await.unwrap_err();
    assert!(world.coordinator.commit_offsets(commit_request("other", "", -1, 1)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_new_group_that_cannot_be_stored_is_gone() {
    let world = World::new(GroupConfig::default()).await;
    world.log.inject(world.partition(), Fault::Fail(AppendError::Storage("the disk is full".into())));
    let mut member = MemberSim { instance: Some("one".into()), ..MemberSim::new() };
    assert_eq!(member.enter(&world).await.error, Some(ResponseError::NotCoordinator));
    assert_eq!(world.state().await, None);
}

#[tokio::test(start_paused = true)]
async fn while_loading_heartbeats_are_answered_and_the_rest_waits() {
    let log = MemoryLog::new(PARTITIONS, 1_000_000);
    let clock = Arc::new(TokioClock(Instant::now()));
    let coordinator = GroupCoordinator::new(GroupConfig::default(), log.clone(), clock);
    assert_eq!(coordinator.heartbeat(GROUP, "m", None, 1).await, Err(ResponseError::NotCoordinator));
    let partition = coordinator.partition_for(GROUP);
    log.fail_load(partition, LoadError::Storage("a bad sector".into()));
    coordinator.lead(partition, 4);
    assert_eq!(coordinator.heartbeat(GROUP, "m", None, 1).await, Ok(()));
    let commit = coordinator.commit_offsets(commit_request(GROUP, "", -1, 1)).await;
    assert_eq!(commit, Err(ResponseError::CoordinatorLoadInProgress));
    assert_eq!(coordinator.list(Vec::new()).await, Err(ResponseError::CoordinatorLoadInProgress));
    // The failed load is tried again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(coordinator.heartbeat(GROUP, "m", None, 1).await, Err(ResponseError::UnknownMemberId));
    assert_eq!(coordinator.list(Vec::new()).await, Ok(Vec::new()));
    // An older epoch's news come late.
    coordinator.resign(partition, Some(3));
    assert_eq!(coordinator.list(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(coordinator.heartbeat(GROUP, "m", None, 1).await, Err(ResponseError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_panics_is_loaded_again() {
    let world = World::new(GroupConfig::default()).await;
    world.commit(5).await.unwrap();
    let failed = world.coordinator.read(world.partition(), |_| -> () { panic!("a defect, for the test's sake") }).await;
    assert_eq!(failed, Err(ResponseError::NotCoordinator));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.committed().await, 5);
    world.commit(6).await.unwrap();
    assert_eq!(world.committed().await, 6);
}

#[tokio::test(start_paused = true)]
async fn offsets_expire_and_empty_groups_go() {
    let config = GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() };
    let retention = Duration::from_millis(config.offsets_retention_ms as u64);
    let check = Duration::from_millis(config.offsets_retention_check_interval_ms as u64);
    let mut world = World::new(config).await;
    let mut member = MemberSim { session_ms: 1_800_000, ..MemberSim::new() };
    let joined = world.stable_with_one(&mut member).await;
    let of_member = commit_request(GROUP, &joined.member_id, joined.generation, 42);
    world.coordinator.commit_offsets(of_member).await.unwrap();
    // While somebody is subscribed, nothing expires, however old.
    let mut lived = Duration::ZERO;
    while lived < retention * 2 {
        tokio::time::sleep(Duration::from_secs(600)).await;
        lived += Duration::from_secs(600);
        assert_eq!(world.heartbeat(&joined).await, Ok(()));
    }
    assert_eq!(world.committed().await, 42);
    let leaving = LeavingMember { member_id: joined.member_id.clone(), instance_id: None, reason: None };
    assert_eq!(world.coordinator.leave(GROUP, vec![leaving]).await, Ok(vec![Ok(())]));
    assert_eq!(world.state().await, Some(State::Empty));
    // From then on, the retention counts; across a change of coordinator, too.
    tokio::time::sleep(retention / 2).await;
    world.fail_over().await;
    tokio::time::sleep(retention / 2 - check).await;
    assert_eq!(world.committed().await, 42);
    tokio::time::sleep(check * 2).await;
    assert_eq!(world.state().await, None);
    assert_eq!(world.committed().await, -1);
    world.fail_over().await;
    assert_eq!(world.state().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_clients_own_retention_time_counts() {
    let world = World::new(GroupConfig::default()).await;
    let request = CommitRequest { retention_ms: Some(60_000), ..commit_request(GROUP, "", -1, 5) };
    world.coordinator.commit_offsets(request).await.unwrap();
    assert_eq!(world.committed().await, 5);
    tokio::time::sleep(Duration::from_millis(600_001)).await;
    assert_eq!(world.committed().await, -1);
    assert_eq!(world.state().await, None);
}

#[tokio::test(start_paused = true)]
async fn offsets_of_deleted_topics_go() {
    let world = World::new(GroupConfig::default()).await;
    world.commit(5).await.unwrap();
    world.coordinator.topics_deleted(vec![("topic".into(), Uuid::from_u128(8))]).await;
    assert_eq!(world.committed().await, 5, "another topic of the same name");
    world.coordinator.topics_deleted(vec![("topic".into(), Uuid::from_u128(7))]).await;
    assert_eq!(world.committed().await, -1);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_groups_load_and_leave() {
    let world = World::new(GroupConfig::default()).await;
    for index in 0..2_000 {
        world.coordinator.commit_offsets(commit_request(&format!("g{index}"), "", -1, index)).await.unwrap();
    }
    assert_eq!(world.coordinator.list(Vec::new()).await.unwrap().len(), 2_000);
    assert_eq!(world.coordinator.list(vec!["empty".into()]).await.unwrap().len(), 2_000);
    assert_eq!(world.coordinator.list(vec!["Stable".into()]).await.unwrap().len(), 0);
    let second = World::with_log(GroupConfig::default(), world.log.clone()).await;
    let asked = vec![TopicPartitions { name: "topic".into(), partitions: vec![0, 1] }];
    let fetched = second.coordinator.fetch_offsets("g1234", Some(asked), true).await.unwrap();
    let expected = FetchedOffset { partition: 0, offset: 1234, leader_epoch: 3, metadata: "note".into(), error: None };
    assert_eq!(fetched[0].partitions, vec![expected, FetchedOffset::none(1, None)]);
    let all: Vec<Arc<str>> = (0..2_000).map(|index| format!("g{index}").into()).collect();
    let deleted = second.coordinator.delete_groups(all.clone()).await;
    assert_eq!(deleted, all.iter().map(|id| (id.clone(), Ok(()))).collect::<Vec<_>>());
    let again = second.coordinator.delete_groups(vec!["g1".into()]).await;
    assert_eq!(again, [("g1".into(), Err(ResponseError::GroupIdNotFound))]);
    let third = World::with_log(GroupConfig::default(), world.log.clone()).await;
    assert!(third.coordinator.list(Vec::new()).await.unwrap().is_empty());
}

//! Whatever happens, a successor that reads the log knows what the coordinator knew: random histories, compared after each step.

use super::classic::{JoinReply, LeavingMember, Member, State};
use super::shard::GroupShard;
use super::simulation::{GROUP, MemberSim, World, commit_request, sync_request};
use super::telemetry::GroupMetrics;
use super::*;
use crate::coordinator::log::AppendError;
use crate::coordinator::memory_log::Fault;
use crate::coordinator::records::decode_batches;
use crate::coordinator::runtime::Shard;
use proptest::prelude::*;
use std::time::Duration;
use tokio::task::JoinHandle;

const MEMBERS: usize = 4;
/// Another group of the same partition, without members.
const SIMPLE: &str = "simple-1";

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    Commit { member: usize, offset: i64 },
    CommitSimple { offset: i64, retention_ms: Option<i64> },
    DeleteOffsets,
    DeleteGroup(bool),
    DeleteTopic,
    Wait(u64),
    Fail,
    Slow(u64),
    FailOver,
}

fn step(faults: bool) -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    let retention = prop_oneof![Just(None), (1i64..2_000_000).prop_map(Some)];
    prop_oneof![
        6 => member.clone().prop_map(Step::Join),
        6 => member.clone().prop_map(Step::Sync),
        2 => member.clone().prop_map(Step::Heartbeat),
        1 => member.clone().prop_map(Step::Leave),
        3 => (member, 0i64..100).prop_map(|(member, offset)| Step::Commit { member, offset }),
        2 => (0i64..100, retention).prop_map(|(offset, retention_ms)| Step::CommitSimple { offset, retention_ms }),
        1 => Just(Step::DeleteOffsets),
        1 => any::<bool>().prop_map(Step::DeleteGroup),
        1 => Just(Step::DeleteTopic),
        3 => prop_oneof![Just(1), 0u64..20_000, Just(700_000)].prop_map(Step::Wait),
        2 => Just(if faults { Step::Fail } else { Step::Wait(5) }),
        1 => (0u64..3_000).prop_map(Step::Slow),
        1 => Just(Step::FailOver),
    ]
}

/// A member and what it last heard.
struct Known {
    sim: MemberSim,
    joined: Option<JoinReply>,
    joining: Option<JoinHandle<JoinReply>>,
}

impl Known {
    async fn listen(&mut self) {
        if self.joining.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(joining) = self.joining.take()
        {
            let reply = joining.await.unwrap();
            match reply.error {
                None | Some(ResponseError::MemberIdRequired) => self.sim.id = reply.member_id.clone(),
                Some(ResponseError::UnknownMemberId | ResponseError::FencedInstanceId) => self.sim.id = "".into(),
                Some(_) => {}
            }
            self.joined = Some(reply).filter(|reply| reply.error.is_none());
        }
    }
}

/// What a successor must know of a group: of one that is being rebalanced, only that it exists.
#[derive(Debug, PartialEq)]
struct GroupView {
    group_id: Arc<str>,
    settled: Option<Settled>,
}

#[derive(Debug, PartialEq)]
struct Settled {
    state: State,
    generation: i32,
    protocol_type: Option<Arc<str>>,
    protocol: Option<Arc<str>>,
    leader: Option<Arc<str>>,
    members: Vec<MemberView>,
}

type MemberView = (Arc<str>, Option<Arc<str>>, i32, i32, bytes::Bytes, bytes::Bytes);

fn member_view(member: &Member, protocol: Option<&Arc<str>>) -> MemberView {
    (
        member.member_id.clone(),
        member.instance_id.clone(),
        member.session_timeout_ms,
        member.rebalance_timeout_ms,
        member.metadata(protocol.map_or("", |name| name)).cloned().unwrap_or_default(),
        member.assignment.clone(),
    )
}

fn group_views(shard: &GroupShard, settled: &dyn Fn(&str) -> bool) -> Vec<GroupView> {
    let mut views: Vec<GroupView> = shard
        .groups()
        .map(|group| {
            let view = || Settled {
                state: group.state(),
                generation: group.generation(),
                protocol_type: group.protocol_type().cloned(),
                protocol: group.protocol_name().cloned(),
                leader: group.leader().cloned(),
                members: group.members().map(|m| member_view(m, group.protocol_name())).collect(),
            };
            GroupView { group_id: group.group_id.clone(), settled: settled(&group.group_id).then(view) }
        })
        .collect();
    views.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    views
}

/// Compares the shard at work with one that has just read the log.
async fn compare(world: &World, faults: bool) {
    let partition = world.partition();
    // A barrier: everything decided before is in the log or undone.
    while world.coordinator.fetch_offsets(GROUP, None, false).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let config = Arc::new(world.coordinator.config().clone());
    let mut successor = GroupShard::new(partition, config, GroupMetrics::default());
    for batch in world.log.batches(partition) {
        decode_batches(&batch, &mut |replayed| successor.replay(replayed)).unwrap();
    }
    let looked = world.coordinator.read(partition, move |shard| {
        // An empty generation whose record was lost is no loss; so with faults, only stable groups must be the same.
        let settled: Vec<Arc<str>> = shard
            .groups()
            .filter(|group| group.state() == State::Stable || (group.state() == State::Empty && !faults))
            .map(|group| group.group_id.clone())
            .collect();
        let is_settled = |group_id: &str| settled.iter().any(|id| **id == *group_id);
        assert_eq!(group_views(shard, &is_settled), group_views(&successor, &is_settled));
        assert_eq!(shard.all_offsets(), successor.all_offsets());
    });
    looked.await.unwrap();
}

async fn run(steps: Vec<Step>, faults: bool) {
    let config = GroupConfig { initial_rebalance_delay_ms: 50, ..GroupConfig::default() };
    let mut world = World::new(config).await;
    assert_eq!(world.coordinator.partition_for(SIMPLE), world.partition(), "both groups are to share a log");
    let mut members: Vec<Known> = (0..MEMBERS)
        .map(|index| {
            let instance = (index % 2 == 0).then(|| format!("instance-{index}").into());
            let sim = MemberSim { instance, rebalance_ms: 5_000, ..MemberSim::new() };
            Known { sim, joined: None, joining: None }
        })
        .collect();
    for step in steps {
        for member in &mut members {
            member.listen().await;
        }
        take(&mut world, &mut members, step).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        compare(&world, faults).await;
    }
}

async fn take(world: &mut World, members: &mut [Known], step: Step) {
    let coordinator = world.coordinator.clone();
    match step {
        Step::Join(index) => members[index].joining = Some(world.spawn_join(&members[index].sim)),
        Step::Sync(index) => {
            let Some(joined) = &members[index].joined else { return };
            let shares: Vec<(&str, &str)> = joined.members.iter().map(|m| (&*m.member_id, "share")).collect();
            drop(world.spawn_sync_request(sync_request(joined, &shares)));
        }
        Step::Heartbeat(index) => {
            let Some(joined) = &members[index].joined else { return };
            let _ = world.heartbeat(joined).await;
        }
        Step::Leave(index) => {
            let leaving = LeavingMember { member_id: members[index].sim.id.clone(), instance_id: None, reason: None };
            let _ = coordinator.leave(GROUP, vec![leaving]).await;
        }
        Step::Commit { member, offset } => {
            let Some(joined) = &members[member].joined else { return };
            let request = commit_request(GROUP, &joined.member_id, joined.generation, offset);
            let _ = coordinator.commit_offsets(request).await;
        }
        Step::CommitSimple { offset, retention_ms } => {
            let request = CommitRequest { retention_ms, ..commit_request(SIMPLE, "", -1, offset) };
            let _ = coordinator.commit_offsets(request).await;
        }
        Step::DeleteOffsets => {
            let topics = vec![TopicPartitions { name: "topic".into(), partitions: vec![0, 1] }];
            let _ = coordinator.delete_offsets(SIMPLE, topics).await;
        }
        Step::DeleteGroup(simple) => {
            drop(coordinator.delete_groups(vec![if simple { SIMPLE.into() } else { GROUP.into() }]).await);
        }
        Step::DeleteTopic => coordinator.topics_deleted(vec![("topic".into(), Uuid::from_u128(7))]).await,
        Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Step::Fail => {
            world.log.inject(world.partition(), Fault::Fail(AppendError::NotEnoughReplicas("1 of 2".into())));
        }
        Step::Slow(ms) => world.log.inject(world.partition(), Fault::Slow(Duration::from_millis(ms))),
        Step::FailOver => world.fail_over().await,
    }
}

fn in_paused_time(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_successor_knows_what_the_coordinator_knew(steps in prop::collection::vec(step(false), 1..60)) {
        in_paused_time(run(steps, false));
    }

    #[test]
    fn a_successor_knows_what_was_not_lost_to_failed_appends(steps in prop::collection::vec(step(true), 1..60)) {
        in_paused_time(run(steps, true));
    }
}

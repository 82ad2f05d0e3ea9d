//! A group's transitions and errors one by one, without a clock or a log.

use super::*;
use State::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};

/// A group with its surroundings at hand.
struct Bench {
    group: ClassicGroup,
    config: GroupConfig,
    now_ms: i64,
    actions: Vec<Action>,
    requests: u64,
}

/// What a member says when it joins.
#[derive(Clone)]
struct Join {
    member: String,
    instance: Option<&'static str>,
    protocols: Vec<(&'static str, &'static str)>,
    protocol_type: &'static str,
    session_ms: i32,
    rebalance_ms: i32,
    member_id_required: bool,
    can_skip: bool,
}

impl Default for Join {
    fn default() -> Self {
        Self {
            member: String::new(),
            instance: None,
            protocols: vec![("range", "meta")],
            protocol_type: "test",
            session_ms: 10_000,
            rebalance_ms: 60_000,
            member_id_required: false,
            can_skip: true,
        }
    }
}

impl Bench {
    fn new() -> Self {
        let group = ClassicGroup::new("group".into(), 0);
        Self { group, config: GroupConfig::default(), now_ms: 1, actions: Vec::new(), requests: 0 }
    }

    fn call<R>(&mut self, call: impl FnOnce(&mut ClassicGroup, &mut Calls<'_>) -> R) -> R {
        self.actions.clear();
        let mut calls = Calls { config: &self.config, now_ms: self.now_ms, actions: &mut self.actions };
        let result = call(&mut self.group, &mut calls);
        self.check();
        result
    }

    /// What must hold after every call.
    fn check(&self) {
        let group = &self.group;
        let waiting = group.members.values().filter(|m| m.awaiting_join.is_some()).count();
        assert_eq!(group.awaiting_join, waiting);
        let mut counts: HashMap<Arc<str>, usize> = HashMap::new();
        for protocol in group.members.values().flat_map(|m| &m.protocols) {
            *counts.entry(protocol.name.clone()).or_insert(0) += 1;
        }
        assert_eq!(group.protocol_counts, counts);
        assert!(group.members.iter().all(|(id, member)| *id == member.member_id));
        let statics: HashMap<Arc<str>, Arc<str>> =
            group.members.values().filter_map(|m| Some((m.instance_id.clone()?, m.member_id.clone()))).collect();
        assert_eq!(group.static_members, statics);
        assert!(group.pending_join.iter().all(|id| !group.members.contains_key(id)));
        if group.state == Stable || group.state == CompletingRebalance {
            assert!(group.leader.as_ref().is_some_and(|id| group.members.contains_key(id)));
            assert!(group.protocol_name.is_some());
        }
        if group.state == Empty {
            assert!(group.members.is_empty());
        }
    }

    fn join(&mut self, join: &Join) -> Token {
        self.requests += 1;
        let token = self.requests;
        let request = JoinRequest {
            token,
            member_id: join.member.as_str().into(),
            instance_id: join.instance.map(Arc::from),
            client_id: "client".into(),
            client_host: "/10.0.0.1".into(),
            protocol_type: join.protocol_type.into(),
            protocols: join
                .protocols
                .iter()
                .map(|(name, metadata)| Protocol {
                    name: (*name).into(),
                    metadata: Bytes::from_static(metadata.as_bytes()),
                })
                .collect(),
            session_timeout_ms: join.session_ms,
            rebalance_timeout_ms: join.rebalance_ms,
            reason: None,
            member_id_required: join.member_id_required,
            can_skip_assignment: join.can_skip,
            fresh_id: Uuid::from_u128(u128::from(token)),
        };
        self.call(|group, calls| group.join(request, calls));
        token
    }

    fn sync_as(&mut self, member: &str, change: impl FnOnce(&mut SyncRequest)) -> Token {
        self.requests += 1;
        let token = self.requests;
        let mut request = SyncRequest {
            token,
            generation: self.group.generation,
            member_id: member.into(),
            instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: HashMap::new(),
        };
        change(&mut request);
        self.call(|group, calls| group.sync(request, calls));
        token
    }

    fn lead_sync(&mut self, assignments: &[(&str, &'static str)]) -> Token {
        let leader = self.group.leader.clone().unwrap();
        self.sync_as(&leader, |request| {
            request.assignments =
                assignments.iter().map(|(id, a)| (Arc::from(*id), Bytes::from_static(a.as_bytes()))).collect();
        })
    }

    fn fire(&mut self, timer: GroupTimer) {
        self.call(|group, calls| group.timer(&timer, calls));
    }

    fn end_join_phase(&mut self) {
        self.fire(GroupTimer::Phase(PhaseTimer::Join));
    }

    fn end_session(&mut self, member: &str) {
        self.fire(GroupTimer::Session(member.into()));
    }

    fn stored(&mut self, then: AfterStore, error: Option<ResponseError>) {
        self.call(|group, calls| group.stored(then, error, calls));
    }

    fn heartbeat(&mut self, member: &str, generation: i32) -> Result<(), ResponseError> {
        let member = member.to_owned();
        self.call(|group, calls| group.heartbeat(&member, None, generation, calls))
    }

    fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<Result<(), ResponseError>> {
        let leaving: Vec<LeavingMember> = members
            .iter()
            .map(|(id, instance)| LeavingMember {
                member_id: (*id).into(),
                instance_id: instance.map(Arc::from),
                reason: None,
            })
            .collect();
        self.call(|group, calls| group.leave(&leaving, calls)).unwrap()
    }

    fn commit(&mut self, member: &str, generation: i32) -> Result<(), ResponseError> {
        let member = member.to_owned();
        self.call(|group, calls| group.commit_offsets(&member, None, generation, calls))
    }

    fn join_reply(&self, token: Token) -> Option<&JoinReply> {
        let mut replies = self.actions.iter().filter_map(|action| match action {
            Action::AnswerJoin(to, reply) if *to == token => Some(reply),
            _ => None,
        });
        let reply = replies.next();
        assert!(replies.next().is_none(), "answered twice");
        reply
    }

    fn join_error(&self, token: Token) -> Option<ResponseError> {
        self.join_reply(token).expect("an answer").error
    }

    fn sync_reply(&self, token: Token) -> Option<&SyncReply> {
        self.actions.iter().find_map(|action| match action {
            Action::AnswerSync(to, reply) if *to == token => Some(reply),
            _ => None,
        })
    }

    fn sync_error(&self, token: Token) -> Option<ResponseError> {
        self.sync_reply(token).expect("an answer").error
    }

    fn store(&self) -> Option<(StoredGroup, AfterStore)> {
        self.actions.iter().find_map(|action| match action {
            Action::Store { group, then } => Some((group.clone(), then.clone())),
            _ => None,
        })
    }

    fn timer_ms(&self, timer: &GroupTimer) -> Option<i32> {
        self.actions.iter().rev().find_map(|action| match action {
            Action::SetTimer { timer: set, after_ms } if set == timer => Some(*after_ms),
            _ => None,
        })
    }

    fn join_timer_ms(&self) -> Option<i32> {
        self.timer_ms(&GroupTimer::Phase(PhaseTimer::Join))
    }

    fn session_ms(&self, member: &str) -> Option<i32> {
        self.timer_ms(&GroupTimer::Session(member.into()))
    }

    fn member_ids(&self) -> Vec<String> {
        self.group.members.keys().map(ToString::to_string).collect()
    }

    /// All of these join an empty group, which then waits for its assignment. Returns their ids.
    fn joined(&mut self, joins: &[Join]) -> Vec<String> {
        for join in joins {
            self.join(join);
        }
        self.end_join_phase();
        if self.group.state == PreparingRebalance {
            self.end_join_phase();
        }
        assert_eq!(self.group.state, CompletingRebalance);
        self.member_ids()
    }

    /// As [`Self::joined`], with everybody assigned.
    fn stable(&mut self, joins: &[Join]) -> Vec<String> {
        let ids = self.joined(joins);
        for id in &ids {
            if !self.group.is_leader(id) {
                self.sync_as(id, |_| ());
            }
        }
        let assignments: Vec<(&str, &'static str)> = ids.iter().map(|id| (id.as_str(), "share")).collect();
        self.lead_sync(&assignments);
        let (_, then) = self.store().unwrap();
        self.stored(then, None);
        assert_eq!(self.group.state, Stable);
        ids
    }

    fn rejoin(&mut self, member: &str, join: &Join) -> Token {
        self.join(&Join { member: member.into(), ..join.clone() })
    }
}

fn with_metadata(metadata: &'static str) -> Join {
    Join { protocols: vec![("range", metadata)], ..Join::default() }
}

fn with_protocols(protocols: &[&'static str]) -> Join {
    Join { protocols: protocols.iter().map(|name| (*name, "meta")).collect(), ..Join::default() }
}

fn static_member(instance: &'static str) -> Join {
    Join { instance: Some(instance), ..Join::default() }
}

#[test]
fn a_first_member_waits_for_others_and_then_leads() {
    let mut bench = Bench::new();
    let token = bench.join(&Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.join_timer_ms(), Some(3_000));
    let id = bench.member_ids()[0].clone();
    assert!(id.starts_with("client-"));
    assert_eq!(bench.session_ms(&id), Some(300_000), "a new member's wait is bounded by five minutes");
    assert!(bench.join_reply(token).is_none());
    bench.end_join_phase();
    let reply = bench.join_reply(token).unwrap().clone();
    assert_eq!((reply.error, reply.generation, reply.skip_assignment), (None, 1, false));
    assert_eq!((&*reply.leader, &*reply.member_id), (id.as_str(), id.as_str()));
    assert_eq!((reply.protocol_type.as_deref(), reply.protocol_name.as_deref()), (Some("test"), Some("range")));
    assert_eq!(&reply.members[0].metadata[..], b"meta");
    assert_eq!(bench.session_ms(&id), Some(10_000));
    assert_eq!(bench.timer_ms(&GroupTimer::Phase(PhaseTimer::Sync)), Some(60_000));
    assert_eq!(bench.store(), None, "nothing is stored before there are assignments");
}

#[test]
fn the_first_rebalance_is_put_off_while_members_arrive_but_not_for_ever() {
    let mut bench = Bench::new();
    let join = Join { rebalance_ms: 8_000, ..Join::default() };
    bench.join(&join);
    assert_eq!(bench.join_timer_ms(), Some(3_000));
    bench.join(&join);
    bench.end_join_phase();
    assert_eq!(bench.join_timer_ms(), Some(3_000), "5,000 remain");
    bench.join(&join);
    bench.end_join_phase();
    assert_eq!(bench.join_timer_ms(), Some(2_000), "2,000 remain");
    bench.join(&join);
    bench.end_join_phase();
    assert_eq!(bench.group.state, CompletingRebalance);
    assert_eq!(bench.group.members.len(), 4);
}

#[test]
fn a_dynamic_member_first_gets_its_id() {
    let mut bench = Bench::new();
    let required = Join { member_id_required: true, session_ms: 7_000, ..Join::default() };
    let token = bench.join(&required);
    let reply = bench.join_reply(token).unwrap().clone();
    assert_eq!((reply.error, reply.generation), (Some(ResponseError::MemberIdRequired), -1));
    assert_eq!((bench.group.state, bench.group.members.len()), (Empty, 0));
    assert_eq!(bench.session_ms(&reply.member_id), Some(7_000));
    assert!(!bench.group.is_untouched());
    bench.rejoin(&reply.member_id, &required);
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.member_ids(), [reply.member_id.to_string()]);
    // A static member needs none.
    bench.join(&Join { member_id_required: true, ..static_member("one") });
    assert_eq!(bench.group.members.len(), 2);
    // Whoever claims a pending id with an instance id is confused.
    let pending = bench.join(&required);
    let id = bench.join_reply(pending).unwrap().member_id.to_string();
    let token = bench.rejoin(&id, &static_member("two"));
    assert_eq!(bench.join_error(token), Some(ResponseError::UnknownServerError));
}

#[test]
fn ids_given_out_are_bounded() {
    let mut bench = Bench::new();
    let required = Join { member_id_required: true, ..Join::default() };
    let first = bench.join(&required);
    let eldest = bench.join_reply(first).unwrap().member_id.to_string();
    for _ in 0..super::super::config::MAX_PENDING_MEMBERS {
        bench.join(&required);
    }
    assert_eq!(bench.group.pending_join.len(), super::super::config::MAX_PENDING_MEMBERS);
    let token = bench.rejoin(&eldest, &required);
    assert_eq!(bench.join_error(token), Some(ResponseError::UnknownMemberId));
}

#[test]
fn protocols_must_fit() {
    let mut bench = Bench::new();
    for join in [Join { protocols: Vec::new(), ..Join::default() }, Join { protocol_type: "", ..Join::default() }] {
        let token = bench.join(&join);
        assert_eq!(bench.join_error(token), Some(ResponseError::InconsistentGroupProtocol));
        assert_eq!(bench.group.state, Empty);
    }
    let ids = bench.stable(&[with_protocols(&["a", "b"])]);
    for join in [with_protocols(&["c"]), Join { protocol_type: "other", ..with_protocols(&["a"]) }] {
        let token = bench.join(&join);
        let reply = bench.join_reply(token).unwrap();
        assert_eq!(reply.error, Some(ResponseError::InconsistentGroupProtocol));
        assert_eq!(&*reply.member_id, "");
        let token = bench.rejoin(&ids[0], &join);
        assert_eq!(&*bench.join_reply(token).unwrap().member_id, ids[0]);
        assert_eq!(bench.group.state, Stable);
    }
}

#[test]
fn most_votes_choose_the_protocol_among_those_that_all_support() {
    let mut bench = Bench::new();
    bench.joined(&[
        with_protocols(&["x", "b", "a"]),
        with_protocols(&["y", "a", "b"]),
        with_protocols(&["a", "y", "b"]),
    ]);
    assert_eq!(bench.group.protocol_name.as_deref(), Some("a"));
    assert_eq!(bench.group.generation, 1);
    // A protocol named twice counts once.
    let mut bench = Bench::new();
    let twice = Join { protocols: vec![("a", "1"), ("a", "2")], ..Join::default() };
    bench.call(|group, calls| {
        let request = JoinRequest {
            token: 1,
            member_id: "".into(),
            instance_id: None,
            client_id: "c".into(),
            client_host: "h".into(),
            protocol_type: "test".into(),
            protocols: twice
                .protocols
                .iter()
                .map(|(n, m)| Protocol { name: (*n).into(), metadata: (*m).into() })
                .collect(),
            session_timeout_ms: 1,
            rebalance_timeout_ms: 1,
            reason: None,
            member_id_required: false,
            can_skip_assignment: false,
            fresh_id: Uuid::nil(),
        };
        group.join(request, calls);
        assert_eq!(group.select_protocol().as_deref(), Some("a"));
        calls.actions.clear();
        group.dismiss("c-00000000-0000-0000-0000-000000000000", calls);
    });
    assert!(bench.group.protocol_counts.is_empty());
}

#[test]
fn the_largest_size_is_kept() {
    let mut bench = Bench::new();
    bench.config.max_size = 2;
    let ids = bench.stable(&[Join::default(), Join::default()]);
    let token = bench.join(&Join::default());
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::GroupMaxSizeReached), ""));
    // Members may come back.
    bench.rejoin(&ids[0], &Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    // The limit is lowered while they do: the last to come is left out.
    bench.config.max_size = 1;
    let token = bench.rejoin(&ids[1], &Join::default());
    assert_eq!(bench.join_error(token), Some(ResponseError::GroupMaxSizeReached));
    assert_eq!(bench.member_ids(), [ids[0].clone()]);
    // Who waits already may ask again.
    let token = bench.rejoin(&ids[0], &Join::default());
    assert_eq!(bench.join_reply(token).unwrap().generation, 2);
}

#[test]
fn unknown_members_are_told_so_in_every_state() {
    let mut bench = Bench::new();
    let unknown = Join { member: "stranger".into(), ..Join::default() };
    let refused = |bench: &mut Bench, state: State| {
        assert_eq!(bench.group.state, state);
        let token = bench.join(&unknown);
        let reply = bench.join_reply(token).unwrap();
        assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::UnknownMemberId), "stranger"), "{state}");
    };
    refused(&mut bench, Empty);
    bench.join(&Join::default());
    refused(&mut bench, PreparingRebalance);
    bench.end_join_phase();
    refused(&mut bench, CompletingRebalance);
    bench.lead_sync(&[]);
    let (_, then) = bench.store().unwrap();
    bench.stored(then, None);
    refused(&mut bench, Stable);
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    let token = bench.join(&unknown);
    assert_eq!(bench.join_error(token), Some(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn a_member_that_missed_its_reply_gets_it_again() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default()]);
    for id in &ids {
        let token = bench.rejoin(id, &Join::default());
        let reply = bench.join_reply(token).unwrap();
        assert_eq!((reply.error, reply.generation), (None, 1));
        assert_eq!(reply.members.len(), if *id == ids[0] { 2 } else { 0 });
        assert_eq!(bench.group.state, CompletingRebalance);
    }
    bench.rejoin(&ids[1], &with_metadata("changed"));
    assert_eq!(bench.group.state, PreparingRebalance);
}

#[test]
fn in_a_stable_group_the_leader_or_changed_metadata_force_a_rebalance() {
    let follower_same = |bench: &mut Bench, ids: &[String]| bench.rejoin(&ids[1], &Join::default());
    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), Join::default()]);
    let token = follower_same(&mut bench, &ids);
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, reply.generation, reply.members.len()), (None, 1, 0));
    assert_eq!(bench.group.state, Stable);
    bench.rejoin(&ids[1], &with_metadata("changed"));
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.join_timer_ms(), Some(60_000), "no initial delay: the rebalance time-out");

    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), Join::default()]);
    let leaders = bench.rejoin(&ids[0], &Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    let followers = follower_same(&mut bench, &ids);
    // Everybody is there: the phase ends at once.
    assert_eq!(bench.group.state, CompletingRebalance);
    assert_eq!(bench.join_reply(leaders).unwrap().members.len(), 2);
    assert_eq!(bench.join_reply(followers).unwrap().generation, 2);
}

#[test]
fn a_join_repeated_while_the_first_waits_answers_both() {
    let mut bench = Bench::new();
    let first = bench.join(&Join::default());
    let id = bench.member_ids()[0].clone();
    let second = bench.rejoin(&id, &Join::default());
    assert_eq!(bench.join_error(first), Some(ResponseError::RebalanceInProgress));
    bench.end_join_phase();
    assert_eq!(bench.join_error(second), None);
    let first = bench.sync_as("nobody", |_| ());
    assert_eq!(bench.sync_error(first), Some(ResponseError::UnknownMemberId));
}

#[test]
fn late_members_are_dropped_and_a_new_leader_chosen() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), Join::default(), Join::default()]);
    bench.rejoin(&ids[2], &with_metadata("changed"));
    bench.rejoin(&ids[1], &Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    bench.end_join_phase();
    assert_eq!(bench.group.state, CompletingRebalance);
    assert_eq!(bench.member_ids(), ids[1..]);
    assert_eq!(bench.group.leader.as_deref(), Some(ids[1].as_str()));
    assert!(bench.actions.contains(&Action::CancelTimer(GroupTimer::Session(ids[0].as_str().into()))));
}

#[test]
fn absent_static_members_are_kept_and_waited_for() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[static_member("one"), Join::default()]);
    bench.rejoin(&ids[1], &with_metadata("changed"));
    bench.end_join_phase();
    // It has not joined again, but is in the new generation; somebody who is there leads.
    assert_eq!(bench.member_ids(), ids);
    assert_eq!(bench.group.leader.as_deref(), Some(ids[1].as_str()));
    bench.end_session(&ids[1]);
    assert_eq!(bench.group.state, PreparingRebalance);
    bench.end_join_phase();
    assert_eq!(bench.group.state, PreparingRebalance, "nobody has joined");
    assert_eq!(bench.join_timer_ms(), Some(60_000));
    bench.end_session(&ids[0]);
    assert_eq!(bench.group.state, Empty);
    assert_eq!(bench.store().unwrap().1, AfterStore::Empty);
}

#[test]
fn sync_stores_the_assignments_and_answers_all() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default(), Join::default()]);
    let follower = bench.sync_as(&ids[1], |request| {
        // Only the leader's word counts.
        request.assignments.insert(ids[2].as_str().into(), Bytes::from_static(b"mine"));
    });
    assert!(bench.sync_reply(follower).is_none());
    let leader = bench.lead_sync(&[(&ids[0], "first"), (&ids[1], "second"), ("stranger", "none")]);
    assert_eq!(bench.group.state, CompletingRebalance);
    let (stored, then) = bench.store().unwrap();
    assert_eq!((stored.generation, stored.protocol.as_deref(), stored.members.len()), (1, Some("range"), 3));
    let shares: Vec<&[u8]> = stored.members.iter().map(|m| &m.assignment[..]).collect();
    assert_eq!(shares, [&b"first"[..], b"second", b""]);
    assert_eq!(&stored.members[0].subscription[..], b"meta");
    bench.stored(then, None);
    assert_eq!(bench.group.state, Stable);
    for (token, share) in [(leader, "first"), (follower, "second")] {
        let reply = bench.sync_reply(token).unwrap();
        assert_eq!((reply.error, &reply.assignment[..]), (None, share.as_bytes()));
        assert_eq!((reply.protocol_type.as_deref(), reply.protocol_name.as_deref()), (Some("test"), Some("range")));
    }
    assert_eq!(bench.session_ms(&ids[1]), Some(10_000));
    // The third comes late and gets what it was given: nothing. With it, all have synced.
    let late = bench.sync_as(&ids[2], |_| ());
    assert_eq!(bench.sync_reply(late).unwrap().assignment.len(), 0);
    assert!(bench.actions.contains(&Action::CancelTimer(GroupTimer::Phase(PhaseTimer::Sync))));
}

#[test]
fn sync_errors_come_in_kafkas_order() {
    let mut bench = Bench::new();
    let token = bench.sync_as("m", |_| ());
    assert_eq!(bench.sync_error(token), Some(ResponseError::UnknownMemberId));
    let ids = bench.joined(&[static_member("one")]);
    let id = ids[0].clone();
    let error = |bench: &mut Bench, member: &str, change: &dyn Fn(&mut SyncRequest)| {
        let token = bench.sync_as(member, |request| change(request));
        bench.sync_error(token)
    };
    let fenced: &dyn Fn(&mut SyncRequest) = &|r| (r.instance_id, r.generation) = (Some("one".into()), 9);
    assert_eq!(error(&mut bench, "other", fenced), Some(ResponseError::FencedInstanceId));
    let unknown_instance: &dyn Fn(&mut SyncRequest) = &|r| r.instance_id = Some("two".into());
    assert_eq!(error(&mut bench, &id, unknown_instance), Some(ResponseError::UnknownMemberId));
    let old: &dyn Fn(&mut SyncRequest) = &|r| (r.generation, r.protocol_name) = (0, Some("other".into()));
    assert_eq!(error(&mut bench, &id, old), Some(ResponseError::IllegalGeneration));
    let other_type: &dyn Fn(&mut SyncRequest) = &|r| r.protocol_type = Some("other".into());
    assert_eq!(error(&mut bench, &id, other_type), Some(ResponseError::InconsistentGroupProtocol));
    let other_name: &dyn Fn(&mut SyncRequest) = &|r| r.protocol_name = Some("other".into());
    assert_eq!(error(&mut bench, &id, other_name), Some(ResponseError::InconsistentGroupProtocol));
    bench.rejoin(&id, &Join { instance: Some("one"), ..with_metadata("changed") });
    bench.join(&Join { member_id_required: true, ..Join::default() });
    bench.rejoin(&id, &Join { instance: Some("one"), ..with_metadata("again") });
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(error(&mut bench, &id, &|_| ()), Some(ResponseError::RebalanceInProgress));
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(error(&mut bench, &id, &|_| ()), Some(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn a_rebalance_sends_waiting_syncs_back() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default()]);
    let waiting = bench.sync_as(&ids[1], |_| ());
    bench.join(&Join::default());
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.sync_error(waiting), Some(ResponseError::RebalanceInProgress));
    assert_eq!(bench.sync_reply(waiting).unwrap().protocol_name, None);
}

#[test]
fn assignments_of_an_older_generation_are_of_no_use() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default()]);
    bench.lead_sync(&[(&ids[0], "old")]);
    let (_, old) = bench.store().unwrap();
    bench.rejoin(&ids[0], &with_metadata("changed"));
    assert_eq!((bench.group.state, bench.group.generation), (CompletingRebalance, 2));
    bench.stored(old, None);
    assert_eq!(bench.group.state, CompletingRebalance);
    assert!(bench.actions.is_empty());
    assert_eq!(bench.group.assignment(&ids[0]).map(Bytes::len), Some(0));
}

#[test]
fn assignments_that_were_not_stored_begin_a_new_rebalance() {
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default()]);
    let follower = bench.sync_as(&ids[1], |_| ());
    let leader = bench.lead_sync(&[]);
    let (_, then) = bench.store().unwrap();
    bench.stored(then, Some(ResponseError::CoordinatorNotAvailable));
    assert_eq!(bench.group.state, PreparingRebalance);
    for token in [follower, leader] {
        assert_eq!(bench.sync_error(token), Some(ResponseError::CoordinatorNotAvailable));
    }
}

#[test]
fn heartbeats_answer_by_state() {
    let mut bench = Bench::new();
    assert_eq!(bench.heartbeat("m", 0), Err(ResponseError::UnknownMemberId));
    let ids = bench.joined(&[Join::default(), Join::default()]);
    assert_eq!(bench.heartbeat(&ids[0], 1), Ok(()), "while assignments are awaited");
    assert_eq!(bench.session_ms(&ids[0]), Some(10_000));
    assert_eq!(bench.heartbeat(&ids[0], 0), Err(ResponseError::IllegalGeneration));
    assert_eq!(bench.heartbeat("m", 0), Err(ResponseError::UnknownMemberId));
    bench.rejoin(&ids[0], &with_metadata("changed"));
    assert_eq!(bench.heartbeat(&ids[1], 1), Err(ResponseError::RebalanceInProgress));
    assert_eq!(bench.session_ms(&ids[1]), Some(10_000), "a rebalance does not end sessions");
    let fenced = bench.call(|group, calls| group.heartbeat("m", Some("none"), 1, calls));
    assert_eq!(fenced, Err(ResponseError::UnknownMemberId));
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(bench.heartbeat(&ids[0], 1), Err(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn members_leave_in_batches_each_with_its_own_result() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[static_member("one"), static_member("two"), Join::default(), Join::default()]);
    let pending = bench.join(&Join { member_id_required: true, ..Join::default() });
    let pending = bench.join_reply(pending).unwrap().member_id.to_string();
    let results = bench.leave(&[
        ("", Some("one")),
        ("", Some("nobody")),
        ("", None),
        ("wrong", Some("two")),
        ("stranger", None),
        (&ids[2], None),
        (&pending, None),
    ]);
    let unknown = Err(ResponseError::UnknownMemberId);
    let expected = [Ok(()), unknown, unknown, Err(ResponseError::FencedInstanceId), unknown, Ok(()), Ok(())];
    assert_eq!(results, expected);
    assert_eq!(bench.member_ids(), [ids[1].clone(), ids[3].clone()]);
    assert_eq!(bench.group.state, PreparingRebalance);
    assert!(bench.group.pending_join.is_empty());
    // The last ones go: the group is empty, and that is stored.
    bench.leave(&[(&ids[1], Some("two")), (&ids[3], None)]);
    assert_eq!(bench.group.state, Empty);
    let (stored, then) = bench.store().unwrap();
    assert_eq!((stored.members.len(), stored.generation, stored.protocol, stored.leader), (0, 2, None, None));
    assert_eq!((&*stored.protocol_type, stored.state_timestamp_ms, then), ("test", bench.now_ms, AfterStore::Empty));
    assert_eq!(bench.leave(&[(&ids[3], None)]), [unknown]);
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    let dead = bench.call(|group, calls| group.leave(&[], calls));
    assert_eq!(dead, Err(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn leaving_answers_what_the_member_waits_for() {
    let mut bench = Bench::new();
    let token = bench.join(&Join::default());
    let id = bench.member_ids()[0].clone();
    bench.leave(&[(&id, None)]);
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::UnknownMemberId), ""));
    // Its first rebalance goes on, without members, and ends in the next empty generation.
    assert_eq!(bench.group.state, PreparingRebalance);
    bench.end_join_phase();
    assert_eq!((bench.group.state, bench.group.generation), (Empty, 1));
    let ids = bench.joined(&[Join::default(), Join::default()]);
    let token = bench.sync_as(&ids[1], |_| ());
    bench.leave(&[(&ids[1], None)]);
    assert_eq!(bench.sync_error(token), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_returned_static_member_goes_on_without_a_rebalance() {
    for (can_skip, leads) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut bench = Bench::new();
        let ids = bench.stable(&[static_member("one"), static_member("two")]);
        let (instance, old) = if leads { ("one", &ids[0]) } else { ("two", &ids[1]) };
        let token = bench.join(&Join { can_skip, session_ms: 20_000, ..static_member(instance) });
        assert_eq!(bench.group.state, Stable);
        assert!(bench.join_reply(token).is_none(), "answered when stored");
        let (stored, then) = bench.store().unwrap();
        let new = bench.group.static_members[instance].to_string();
        assert!(new.starts_with(instance) && new != *old);
        let position = usize::from(!leads);
        assert_eq!(*stored.members[position].member_id, new);
        assert_eq!(&stored.members[position].assignment[..], b"share");
        bench.stored(then, None);
        let reply = bench.join_reply(token).unwrap();
        assert_eq!((reply.error, reply.generation, &*reply.member_id), (None, 1, new.as_str()));
        assert_eq!(reply.skip_assignment, can_skip && leads);
        assert_eq!(reply.members.len(), if can_skip && leads { 2 } else { 0 });
        // An old client that leads is told of its old self, so that it does not assign anew.
        let leader = if leads && can_skip { &new } else { &ids[0] };
        assert_eq!(&*reply.leader, leader);
        assert_eq!(bench.heartbeat(&new, 1), Ok(()));
        assert_eq!(bench.session_ms(&new), Some(20_000));
        let old_one = bench.call(|group, calls| group.heartbeat(old, Some(instance), 1, calls));
        assert_eq!(old_one, Err(ResponseError::FencedInstanceId));
        let token = bench.rejoin(old, &static_member(instance));
        assert_eq!(bench.join_error(token), Some(ResponseError::FencedInstanceId));
    }
}

#[test]
fn a_returned_static_member_that_was_not_stored_is_its_old_self_again() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[static_member("one"), Join::default()]);
    let before = bench.group.clone();
    let again = Join { protocols: vec![("range", "changed")], session_ms: 5, ..static_member("one") };
    let token = bench.join(&again);
    let (_, then) = bench.store().unwrap();
    bench.stored(then, Some(ResponseError::NotCoordinator));
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::NotCoordinator), ""));
    assert_eq!(bench.group, before);
    assert_eq!(bench.session_ms(&ids[0]), Some(10_000));
}

#[test]
fn a_returned_static_member_may_force_a_rebalance() {
    // It no longer supports the protocol that was chosen.
    let mut bench = Bench::new();
    let both = Join { protocols: vec![("a", ""), ("b", "")], ..Join::default() };
    bench.stable(&[Join { instance: Some("one"), ..both.clone() }, both.clone()]);
    assert_eq!(bench.group.protocol_name.as_deref(), Some("a"));
    bench.join(&Join { instance: Some("one"), protocols: vec![("b", "")], ..Join::default() });
    assert_eq!(bench.group.state, PreparingRebalance);

    // The leader may be assigning to the old id at this moment. Old requests that wait are fenced.
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), static_member("one")]);
    let waiting = bench.sync_as(&ids[1], |_| ());
    bench.join(&static_member("one"));
    assert_eq!(bench.sync_error(waiting), Some(ResponseError::FencedInstanceId));
    assert_eq!(bench.group.state, PreparingRebalance);

    // During a rebalance it just takes the place.
    let mut bench = Bench::new();
    let first = bench.join(&static_member("one"));
    let second = bench.join(&static_member("one"));
    assert_eq!(bench.join_error(first), Some(ResponseError::FencedInstanceId));
    bench.end_join_phase();
    assert_eq!((bench.join_error(second), bench.group.members.len()), (None, 1));
}

#[test]
fn a_rebalance_that_overtakes_a_static_members_record_answers_it() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), static_member("one")]);
    let token = bench.join(&static_member("one"));
    let (_, then) = bench.store().unwrap();
    bench.rejoin(&ids[0], &Join::default());
    assert_eq!(bench.join_reply(token).unwrap().generation, 2, "all have joined");
    bench.stored(then, None);
    assert!(bench.join_reply(token).is_none());
}

#[test]
fn sessions_end() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[Join::default(), Join::default()]);
    bench.end_session("stranger");
    assert!(bench.actions.is_empty());
    bench.end_session(&ids[0]);
    assert_eq!((bench.group.state, bench.group.leader.as_deref()), (PreparingRebalance, Some(ids[1].as_str())));
    // While its join waits, a member is alive ...
    let token = bench.rejoin(&ids[1], &Join::default());
    assert_eq!(bench.join_error(token), None);
    let waiting = bench.sync_as(&ids[1], |_| ());
    bench.end_session(&ids[1]);
    assert_eq!(bench.group.members.len(), 1);
    assert!(bench.sync_reply(waiting).is_none());
    // ... unless it is new, and its client's death would go unnoticed.
    let mut bench = Bench::new();
    let token = bench.join(&Join::default());
    let id = bench.member_ids()[0].clone();
    bench.end_session(&id);
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::UnknownMemberId), ""));
    assert_eq!((bench.group.state, bench.group.generation), (Empty, 1));
}

#[test]
fn who_may_commit_offsets() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit("", -1), Ok(()), "an empty group's offsets are anybody's");
    assert_eq!(bench.commit("m", -1), Ok(()));
    assert_eq!(bench.commit("m", 0), Err(ResponseError::UnknownMemberId));
    let ids = bench.joined(&[static_member("one")]);
    assert_eq!(bench.commit(&ids[0], 1), Err(ResponseError::RebalanceInProgress));
    bench.lead_sync(&[]);
    let (_, then) = bench.store().unwrap();
    bench.stored(then, None);
    assert_eq!(bench.commit(&ids[0], 1), Ok(()));
    assert_eq!(bench.session_ms(&ids[0]), Some(10_000), "a commit is a sign of life");
    assert_eq!(bench.commit("", -1), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.commit("", 1), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.commit(&ids[0], -1), Err(ResponseError::IllegalGeneration));
    assert_eq!(bench.commit(&ids[0], 2), Err(ResponseError::IllegalGeneration));
    let fenced = bench.call(|group, calls| group.commit_offsets("other", Some("one"), 1, calls));
    assert_eq!(fenced, Err(ResponseError::FencedInstanceId));
    bench.join(&Join { member_id_required: true, ..Join::default() });
    bench.rejoin(&ids[0], &Join { instance: Some("one"), ..with_metadata("changed") });
    assert_eq!(bench.group.state, PreparingRebalance);
    assert_eq!(bench.commit(&ids[0], 1), Ok(()), "of the generation that ends");
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(bench.commit("", -1), Err(ResponseError::CoordinatorNotAvailable));
}

#[test]
fn deletion_is_for_empty_groups() {
    let mut bench = Bench::new();
    assert_eq!(bench.group.validate_delete(), Ok(()));
    assert_eq!(bench.group.validate_offset_delete(), Ok(()));
    bench.stable(&[Join::default()]);
    assert_eq!(bench.group.validate_delete(), Err(ResponseError::NonEmptyGroup));
    assert_eq!(bench.group.validate_offset_delete(), Err(ResponseError::NonEmptyGroup));
    let mut bench = Bench::new();
    bench.stable(&[Join { protocol_type: "consumer", ..Join::default() }]);
    assert_eq!(bench.group.validate_delete(), Err(ResponseError::NonEmptyGroup));
    assert_eq!(bench.group.validate_offset_delete(), Ok(()));
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(bench.group.validate_delete(), Err(ResponseError::GroupIdNotFound));
    assert_eq!(bench.group.validate_offset_delete(), Err(ResponseError::GroupIdNotFound));
}

#[test]
fn subscriptions_are_read_from_consumers_only() {
    // Version 3, topics "a" and "bc", user data of two bytes, and fields of later versions.
    const BOTH: &str = "\0\x03\0\0\0\x02\0\x01a\0\x02bc\0\0\0\x02xy\0\0\0\0";
    const CUT: &str = "\0\x03\0\0\0\x02\0\x01a";
    let consumer = |metadata: &'static str| Join { protocol_type: "consumer", ..with_metadata(metadata) };
    let mut bench = Bench::new();
    bench.stable(&[consumer(BOTH)]);
    assert!(bench.group.knows_subscriptions());
    let subscribed = ["a", "bc", "b"].map(|topic| bench.group.is_subscribed_to(topic));
    assert_eq!(subscribed, [true, true, false]);
    let ids = bench.member_ids();
    bench.leave(&[(&ids[0], None)]);
    assert!(bench.group.knows_subscriptions() && !bench.group.is_subscribed_to("a"), "an empty group uses nothing");
    // What does not parse may mean any topic.
    let mut bench = Bench::new();
    bench.stable(&[consumer(BOTH), consumer(CUT)]);
    assert!(!bench.group.knows_subscriptions() && bench.group.is_subscribed_to("z"));
    let mut bench = Bench::new();
    bench.stable(&[with_metadata(BOTH)]);
    assert!(!bench.group.is_subscribed_to("a"));
}

#[test]
fn a_loaded_group_is_stable_and_its_sessions_begin() {
    let mut bench = Bench::new();
    let ids = bench.stable(&[static_member("one"), Join::default()]);
    let stored = bench.group.to_stored(|m| m.assignment.clone());
    bench.group = ClassicGroup::from_stored("group".into(), stored.clone());
    assert_eq!(bench.group.state, Stable);
    assert_eq!(bench.group.to_stored(|m| m.assignment.clone()), stored);
    bench.call(|group, calls| group.loaded(calls));
    assert_eq!(
        (bench.group.state, bench.session_ms(&ids[0]), bench.session_ms(&ids[1])),
        (Stable, Some(10_000), Some(10_000))
    );
    assert_eq!(bench.heartbeat(&ids[1], 1), Ok(()));
    // A limit that has been lowered since is enforced by a rebalance.
    bench.config.max_size = 1;
    bench.call(|group, calls| group.loaded(calls));
    assert_eq!(bench.group.state, PreparingRebalance);
}

#[test]
fn unloading_answers_everybody() {
    let mut bench = Bench::new();
    let token = bench.join(&Join::default());
    let id = bench.member_ids()[0].clone();
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    let reply = bench.join_reply(token).unwrap();
    assert_eq!((reply.error, &*reply.member_id), (Some(ResponseError::NotCoordinator), id.as_str()));
    assert_eq!(bench.group.state, Dead);
    bench.end_session(&id);
    assert!(bench.actions.is_empty());
    let mut bench = Bench::new();
    let ids = bench.joined(&[Join::default(), Join::default()]);
    let token = bench.sync_as(&ids[1], |_| ());
    bench.call(|group, calls| group.unload(ResponseError::NotCoordinator, calls));
    assert_eq!(bench.sync_error(token), Some(ResponseError::NotCoordinator));
}

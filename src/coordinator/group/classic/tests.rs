//! A group's transitions and errors one by one, without a clock or a log.

mod joining;
mod static_members;
mod working;

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

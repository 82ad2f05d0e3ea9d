//! What a group waits for, for somebody who asks why it does not get on. Tells; changes nothing.

use std::sync::Arc;

use super::{ClassicGroup, Member, State};

/// A member, and whether the group waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// Its JoinGroup waits here, for the join phase to end.
    pub has_joined: bool,
    /// The generation is agreed on, and its SyncGroup has not come.
    pub owes_sync: bool,
    pub is_leader: bool,
    /// Partitions that the leader gave it; `None` where that is not known, or nothing is agreed on.
    pub assigned: Option<usize>,
}

/// A group as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    pub state: State,
    pub generation: i32,
    /// When the state was entered, by the wall clock; `None` where the log does not say.
    pub since_ms: Option<i64>,
    /// By when, at the latest, the members that are waited for are dropped: by the wall clock, while the group rebalances.
    pub until_ms: Option<i64>,
    /// The first rebalance of a group that was empty, which waits a while for more members (`group.initial.rebalance.delay.ms`).
    pub is_initial: bool,
    pub members: Vec<MemberStatus>,
    /// Ids that were given out and that nobody has joined with yet.
    pub expected: Vec<Arc<str>>,
}

impl ClassicGroup {
    pub fn status(&self) -> GroupStatus {
        let rebalances = matches!(self.state, State::PreparingRebalance | State::CompletingRebalance);
        let patience_ms = match self.initial_rebalance {
            Some(initial) => i64::from(initial.delay_ms) + i64::from(initial.remaining_ms),
            None => i64::from(self.rebalance_timeout_ms()),
        };
        let member = |member: &Member| MemberStatus {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            has_joined: member.awaiting_join.is_some(),
            owes_sync: self.state == State::CompletingRebalance && self.pending_sync.contains(&member.member_id),
            is_leader: self.is_leader(&member.member_id),
            assigned: self.assigned_partitions(member).filter(|_| self.state == State::Stable),
        };
        GroupStatus {
            state: self.state,
            generation: self.generation,
            since_ms: self.state_timestamp_ms,
            until_ms: self.state_timestamp_ms.filter(|_| rebalances).map(|since| since.saturating_add(patience_ms)),
            is_initial: self.initial_rebalance.is_some(),
            members: self.members.values().map(member).collect(),
            expected: self.pending_join.iter().cloned().collect(),
        }
    }
}

//! Who belongs to a group, which protocols all of them support, and what each may do.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::collections::HashSet;
use std::sync::Arc;

use super::super::config::MAX_PENDING_MEMBERS;
use super::{Action, Calls, ClassicGroup, JoinReply, Member, Protocol, State, SyncReply, Token};

impl ClassicGroup {
    /// Takes a member in. The first one's protocol type becomes the group's.
    pub(super) fn insert(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.member_id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.member_id.clone());
        }
        self.count_protocols(&member.protocols, true);
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.pending_join.shift_remove(&member.member_id);
        if let Some(twin) = self.members.insert(member.member_id.clone(), member) {
            self.count_protocols(&twin.protocols, false);
        }
    }

    /// Takes a member, or an id that waits for its member, out. When it led, the eldest member leads now.
    pub(super) fn take_out(&mut self, member_id: &str) -> Option<Member> {
        let removed = self.members.shift_remove(member_id);
        if let Some(member) = &removed {
            self.count_protocols(&member.protocols, false);
            self.awaiting_join -= usize::from(member.awaiting_join.is_some());
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_join.shift_remove(member_id);
        self.pending_sync.remove(member_id);
        removed
    }

    /// As [`Self::take_out`]; requests of the member that wait here are told that it is unknown, so that a living client starts over.
    pub(super) fn dismiss(&mut self, member_id: &str, calls: &mut Calls<'_>) {
        let Some(member) = self.take_out(member_id) else { return };
        let error = ResponseError::UnknownMemberId;
        if let Some(token) = member.awaiting_join {
            calls.push(Action::AnswerJoin(token, JoinReply::refused(error, "")));
        }
        if let Some(token) = member.awaiting_sync {
            calls.push(Action::AnswerSync(token, SyncReply::refused(error)));
        }
    }

    fn count_protocols(&mut self, protocols: &[Protocol], add: bool) {
        let names: HashSet<&Arc<str>> = protocols.iter().map(|p| &p.name).collect();
        for name in names {
            let count = self.protocol_counts.entry(name.clone()).or_insert(0);
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.protocol_counts.remove(name);
            }
        }
    }

    pub(super) fn add_pending(&mut self, member_id: Arc<str>, calls: &mut Calls<'_>) {
        if self.pending_join.len() >= MAX_PENDING_MEMBERS
            && let Some(eldest) = self.pending_join.shift_remove_index(0)
        {
            calls.cancel_session(&eldest);
        }
        self.pending_join.insert(member_id);
    }

    /// A member's new protocols and time-outs, and the join that now waits for the group (`None` ends a waiting). A join of the member that
    /// waited before is told to come again: its client has moved on.
    pub(super) fn update_member(
        &mut self,
        member_id: &str,
        protocols: Vec<Protocol>,
        timeouts_ms: (i32, i32),
        token: Option<Token>,
        calls: &mut Calls<'_>,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let old_protocols = std::mem::replace(&mut member.protocols, protocols.clone());
        (member.rebalance_timeout_ms, member.session_timeout_ms) = timeouts_ms;
        let waited = std::mem::replace(&mut member.awaiting_join, token);
        self.awaiting_join = self.awaiting_join + usize::from(token.is_some()) - usize::from(waited.is_some());
        if let (Some(waited), Some(_)) = (waited, token) {
            let reply = JoinReply::refused(ResponseError::RebalanceInProgress, member_id);
            calls.push(Action::AnswerJoin(waited, reply));
        }
        self.count_protocols(&old_protocols, false);
        self.count_protocols(&protocols, true);
    }

    /// Gives a static member a new member id. Whoever still waits under the old one is fenced (KIP-345).
    pub(super) fn replace_static_member(
        &mut self,
        instance_id: &Arc<str>,
        old_id: &str,
        new_id: &Arc<str>,
        calls: &mut Calls<'_>,
    ) {
        let Some((index, _, mut member)) = self.members.shift_remove_full(old_id) else { return };
        if let Some(token) = member.awaiting_join.take() {
            self.awaiting_join -= 1;
            let reply = JoinReply::refused(ResponseError::FencedInstanceId, old_id);
            calls.push(Action::AnswerJoin(token, reply));
        }
        if let Some(token) = member.awaiting_sync.take() {
            calls.push(Action::AnswerSync(token, SyncReply::refused(ResponseError::FencedInstanceId)));
        }
        member.member_id = new_id.clone();
        member.is_new = false;
        self.members.shift_insert(index, new_id.clone(), member);
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        self.static_members.insert(instance_id.clone(), new_id.clone());
    }

    /// Whether a member with these protocols could be in the group together with those that are.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|p| self.supporters(&p.name) == self.members.len())
    }

    fn supporters(&self, protocol: &str) -> usize {
        self.protocol_counts.get(protocol).copied().unwrap_or(0)
    }

    /// The protocol that most members like best among those that all support. Among equals, the one of the eldest voter.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes: Vec<(&Arc<str>, usize)> = Vec::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|p| self.supporters(&p.name) == self.members.len())?;
            match votes.iter_mut().find(|(name, _)| *name == &vote.name) {
                Some((_, count)) => *count += 1,
                None => votes.push((&vote.name, 1)),
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    pub(super) fn has_all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_join.is_empty()
    }

    /// The longest rebalance time-out of any member.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|m| m.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// Errors: `UnknownMemberId`; `FencedInstanceId` when another member id has the instance id now.
    pub(super) fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(existing) if &**existing != member_id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Whether these may commit offsets now. Keeps the member's session alive when the group is stable or preparing to rebalance.
    /// Errors: `UnknownMemberId`, `FencedInstanceId`, `IllegalGeneration`, `RebalanceInProgress`, `CoordinatorNotAvailable`.
    pub fn commit_offsets(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        calls: &mut Calls<'_>,
    ) -> Result<(), ResponseError> {
        if self.state == State::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        // Without a generation it is an administrator, or a consumer that manages its partitions by itself.
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.validate_member(member_id, instance_id)?;
            if generation != self.generation {
                return Err(ResponseError::IllegalGeneration);
            }
        } else {
            return Err(ResponseError::UnknownMemberId);
        }
        match self.state {
            State::CompletingRebalance => Err(ResponseError::RebalanceInProgress),
            State::Stable | State::PreparingRebalance => {
                self.renew_session(member_id, calls);
                Ok(())
            }
            State::Empty | State::Dead => Ok(()),
        }
    }

    pub(super) fn renew_session(&self, member_id: &str, calls: &mut Calls<'_>) {
        if let Some(member) = self.members.get(member_id) {
            calls.set_session(&member.member_id, member.session_timeout_ms);
        }
    }

    /// Errors: `GroupIdNotFound`, `NonEmptyGroup`.
    pub fn validate_delete(&self) -> Result<(), ResponseError> {
        match self.state {
            State::Dead => Err(ResponseError::GroupIdNotFound),
            State::Empty => Ok(()),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => Err(ResponseError::NonEmptyGroup),
        }
    }

    /// Offsets of topics that nobody is subscribed to may be deleted from a consumer group at work; of another group's, the coordinator cannot tell.
    /// Errors: as [`Self::validate_delete`].
    pub fn validate_offset_delete(&self) -> Result<(), ResponseError> {
        match self.validate_delete() {
            Err(ResponseError::NonEmptyGroup) if self.uses_consumer_protocol() => Ok(()),
            other => other,
        }
    }

    pub(super) fn set_assignments(&mut self, assignment_of: impl Fn(&str) -> Bytes) {
        for (member_id, member) in &mut self.members {
            member.assignment = assignment_of(member_id);
        }
    }
}

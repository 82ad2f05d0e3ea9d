//! JoinGroup: who may come in, and what that sets off.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::super::config::NEW_MEMBER_JOIN_TIMEOUT_MS;
use super::{
    Action, AfterStore, Calls, ClassicGroup, JoinReply, JoinReplyMember, JoinRequest, Member, State, StaticReplacement,
};

impl ClassicGroup {
    /// Takes a JoinGroup. Its reply comes now or later, as an [`Action::AnswerJoin`] with the request's token.
    pub fn join(&mut self, request: JoinRequest, calls: &mut Calls<'_>) {
        if !self.accepts(&request.member_id, calls.config.max_size) {
            self.dismiss(&request.member_id, calls);
            return refuse(&request, ResponseError::GroupMaxSizeReached, "", calls);
        }
        let known = request.member_id.clone();
        if self.state == State::Dead {
            return refuse(&request, ResponseError::CoordinatorNotAvailable, known, calls);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return refuse(&request, ResponseError::InconsistentGroupProtocol, known, calls);
        }
        if known.is_empty() { self.join_unknown(request, calls) } else { self.join_known(request, calls) }
    }

    /// New members are let in up to the largest size. While the group prepares to rebalance, those who have joined count, not those who have yet to:
    /// so the last to come back are left out when the limit has been lowered.
    fn accepts(&self, member_id: &str, max_size: usize) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                member.is_some_and(|m| m.awaiting_join.is_some()) || self.awaiting_join < max_size
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < max_size,
        }
    }

    fn join_unknown(&mut self, request: JoinRequest, calls: &mut Calls<'_>) {
        let prefix = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let new_id: Arc<str> = format!("{prefix}-{}", request.fresh_id).into();
        if let Some(instance_id) = request.instance_id.clone() {
            return match self.static_members.get(&instance_id).cloned() {
                Some(old_id) => self.join_returned_static(instance_id, old_id, new_id, request, calls),
                None => self.add_member(new_id, request, calls),
            };
        }
        if !request.member_id_required {
            return self.add_member(new_id, request, calls);
        }
        self.add_pending(new_id.clone(), calls);
        calls.set_session(&new_id, request.session_timeout_ms);
        refuse(&request, ResponseError::MemberIdRequired, new_id, calls);
    }

    fn join_known(&mut self, request: JoinRequest, calls: &mut Calls<'_>) {
        let member_id = request.member_id.clone();
        if self.pending_join.contains(&member_id) {
            if request.instance_id.is_some() {
                // Ids are only given in advance to dynamic members, so the client is confused; Kafka has no better error for it.
                return refuse(&request, ResponseError::UnknownServerError, "", calls);
            }
            return self.add_member(member_id, request, calls);
        }
        if let Err(error) = self.validate_member(&member_id, request.instance_id.as_deref()) {
            return refuse(&request, error, member_id, calls);
        }
        let changed = self.members.get(&member_id).is_none_or(|m| m.protocols != request.protocols);
        match self.state {
            State::PreparingRebalance => self.rejoin(request, calls),
            State::CompletingRebalance if changed => self.rejoin(request, calls),
            // The member seems to have missed the reply of this generation.
            State::CompletingRebalance => self.answer_current_generation(&request, calls),
            // The leader may see what the coordinator cannot, such as new partitions: it gets its rebalance.
            State::Stable if changed || self.is_leader(&member_id) => self.rejoin(request, calls),
            State::Stable => self.answer_current_generation(&request, calls),
            State::Empty | State::Dead => refuse(&request, ResponseError::UnknownMemberId, member_id, calls),
        }
    }

    fn answer_current_generation(&self, request: &JoinRequest, calls: &mut Calls<'_>) {
        calls.push(Action::AnswerJoin(request.token, self.join_reply(&request.member_id)));
    }

    /// The reply that takes a member into the current generation: with all members, if it is the leader.
    pub(super) fn join_reply(&self, member_id: &Arc<str>) -> JoinReply {
        JoinReply {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_else(|| Arc::from("")),
            skip_assignment: false,
            member_id: member_id.clone(),
            members: if self.is_leader(member_id) { self.reply_members() } else { Vec::new() },
        }
    }

    fn reply_members(&self) -> Vec<JoinReplyMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or("");
        let member = |member: &Member| JoinReplyMember {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_default(),
        };
        self.members.values().map(member).collect()
    }

    fn rejoin(&mut self, request: JoinRequest, calls: &mut Calls<'_>) {
        let timeouts_ms = (request.rebalance_timeout_ms, request.session_timeout_ms);
        let reason = request.reason.as_deref().unwrap_or("not provided").to_owned();
        self.update_member(&request.member_id, request.protocols, timeouts_ms, Some(request.token), calls);
        self.rebalance_or_complete_join(&format!("member {} joins again: {reason}", request.member_id), calls);
    }

    fn add_member(&mut self, member_id: Arc<str>, request: JoinRequest, calls: &mut Calls<'_>) {
        if self.state == State::PreparingRebalance && self.previous_state == State::Empty {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type);
        }
        let reason = request.reason.as_deref().unwrap_or("not provided").to_owned();
        self.insert(Member {
            member_id: member_id.clone(),
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(request.token),
            awaiting_sync: None,
            is_new: true,
        });
        // It knows its id only from the reply and so sends no heartbeats; and nobody tells the coordinator when a waiting client goes away.
        calls.set_session(&member_id, NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance_or_complete_join(&format!("member {member_id} joins: {reason}"), calls);
    }

    /// A static member that comes back without its member id gets a new one, and its old self is fenced. If the group is stable and would choose the same
    /// protocol again, there is no rebalance: the member goes on with its assignment (KIP-345).
    fn join_returned_static(
        &mut self,
        instance_id: Arc<str>,
        old_id: Arc<str>,
        new_id: Arc<str>,
        request: JoinRequest,
        calls: &mut Calls<'_>,
    ) {
        let old_leader = self.leader.clone();
        self.replace_static_member(&instance_id, &old_id, &new_id, calls);
        let Some(member) = self.members.get(&new_id) else {
            return refuse(&request, ResponseError::UnknownMemberId, "", calls);
        };
        let replacement = StaticReplacement {
            token: request.token,
            instance_id: instance_id.clone(),
            old_member_id: old_id,
            new_member_id: new_id.clone(),
            old_leader,
            old_protocols: member.protocols.clone(),
            old_rebalance_timeout_ms: member.rebalance_timeout_ms,
            old_session_timeout_ms: member.session_timeout_ms,
            can_skip_assignment: request.can_skip_assignment,
        };
        calls.set_session(&new_id, member.session_timeout_ms);
        let timeouts_ms = (request.rebalance_timeout_ms, request.session_timeout_ms);
        self.update_member(&new_id, request.protocols, timeouts_ms, Some(request.token), calls);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol_name => {
                let group = self.to_stored(|m| m.assignment.clone());
                calls.push(Action::Store { group, then: AfterStore::StaticMember(Box::new(replacement)) });
            }
            State::Stable => {
                self.rebalance_or_complete_join(&format!("static member {new_id} changes the protocol"), calls);
            }
            // The leader may already be assigning to the old id.
            State::CompletingRebalance => {
                self.prepare_rebalance(&format!("static member {new_id} comes back"), calls);
            }
            State::PreparingRebalance | State::Empty | State::Dead => self.maybe_complete_join(calls),
        }
    }

    /// The end of a [`AfterStore::StaticMember`]: answers the member, or puts its old self back.
    pub(super) fn static_member_stored(
        &mut self,
        replacement: StaticReplacement,
        error: Option<ResponseError>,
        calls: &mut Calls<'_>,
    ) {
        let new_id = replacement.new_member_id.clone();
        let waits = self.members.get(&new_id).is_some_and(|m| m.awaiting_join == Some(replacement.token));
        match error {
            // A rebalance that began meanwhile answers the member at its end, with the new generation.
            None if !waits || self.state != State::Stable => {}
            None => {
                let mut reply = self.join_reply(&new_id);
                if replacement.can_skip_assignment {
                    reply.skip_assignment = self.is_leader(&new_id);
                } else {
                    // Older clients that lead would assign anew, to nobody's gain: they are told the old leader's id and so follow.
                    reply.members = Vec::new();
                    reply.leader = replacement.old_leader.unwrap_or_else(|| Arc::from(""));
                }
                self.end_join_wait(&new_id);
                calls.push(Action::AnswerJoin(replacement.token, reply));
            }
            Some(error) => self.undo_static_replacement(replacement, waits, error, calls),
        }
    }

    fn undo_static_replacement(
        &mut self,
        replacement: StaticReplacement,
        waits: bool,
        error: ResponseError,
        calls: &mut Calls<'_>,
    ) {
        let StaticReplacement { token, instance_id, old_member_id, new_member_id, .. } = replacement;
        if self.members.contains_key(&new_member_id) {
            let timeouts_ms = (replacement.old_rebalance_timeout_ms, replacement.old_session_timeout_ms);
            self.update_member(&new_member_id, replacement.old_protocols, timeouts_ms, None, calls);
            self.replace_static_member(&instance_id, &new_member_id, &old_member_id, calls);
            self.renew_session(&old_member_id, calls);
        }
        if waits {
            let leader = replacement.old_leader.unwrap_or_else(|| Arc::from(""));
            let reply =
                JoinReply { error: Some(error), leader, members: Vec::new(), ..self.join_reply(&Arc::from("")) };
            calls.push(Action::AnswerJoin(token, reply));
        }
    }

    pub(super) fn end_join_wait(&mut self, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id)
            && member.awaiting_join.take().is_some()
        {
            self.awaiting_join -= 1;
        }
    }
}

fn refuse(request: &JoinRequest, error: ResponseError, member_id: impl Into<Arc<str>>, calls: &mut Calls<'_>) {
    calls.push(Action::AnswerJoin(request.token, JoinReply::refused(error, member_id)));
}

//! How a rebalance begins, waits, and ends; and what time does to members.

use kafka_protocol::ResponseError;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{
    Action, AfterStore, Calls, ClassicGroup, GroupTimer, InitialRebalance, JoinReply, PhaseTimer, State, SyncReply,
};

impl ClassicGroup {
    pub(super) fn rebalance_or_complete_join(&mut self, reason: &str, calls: &mut Calls<'_>) {
        match self.state {
            State::Stable | State::CompletingRebalance | State::Empty => self.prepare_rebalance(reason, calls),
            State::PreparingRebalance | State::Dead => self.maybe_complete_join(calls),
        }
    }

    /// Ends the join phase if everybody is there. An empty group's first rebalance waits for its delay in any case.
    pub(super) fn maybe_complete_join(&mut self, calls: &mut Calls<'_>) {
        if self.state == State::PreparingRebalance && self.previous_state != State::Empty && self.has_all_joined() {
            self.complete_join(calls);
        }
    }

    pub(super) fn prepare_rebalance(&mut self, reason: &str, calls: &mut Calls<'_>) {
        if self.state == State::CompletingRebalance {
            self.reset_assignments(ResponseError::RebalanceInProgress, calls);
        }
        self.pending_sync.clear();
        calls.cancel_phase(PhaseTimer::Sync);
        let from = self.state;
        self.transition(State::PreparingRebalance, calls.now_ms);
        tracing::info!(group = %self.group_id, generation = self.generation, %from, reason, "preparing to rebalance");
        if from == State::Empty {
            let delay_ms = calls.config.initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.initial_rebalance = Some(InitialRebalance { delay_ms, remaining_ms });
            calls.set_phase(PhaseTimer::Join, delay_ms);
        } else if self.has_all_joined() {
            self.complete_join(calls);
        } else {
            calls.set_phase(PhaseTimer::Join, self.rebalance_timeout_ms());
        }
    }

    /// The end of the join phase: dynamic members that have not come back are dropped, the rest make the next generation. When nobody at all has
    /// come back (but static members are expected), the phase goes on until their sessions end.
    pub(super) fn complete_join(&mut self, calls: &mut Calls<'_>) {
        calls.cancel_phase(PhaseTimer::Join);
        self.initial_rebalance = None;
        let late: Vec<Arc<str>> = self
            .members
            .values()
            .filter(|m| m.awaiting_join.is_none() && !m.is_static())
            .map(|m| m.member_id.clone())
            .collect();
        for member_id in &late {
            tracing::info!(group = %self.group_id, member = %member_id, "dropped: it has not joined in time");
            self.dismiss(member_id, calls);
            calls.cancel_session(member_id);
        }
        if self.state == State::Dead {
            return;
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            tracing::warn!(group = %self.group_id, "no member has joined: the rebalance goes on");
            return calls.set_phase(PhaseTimer::Join, self.rebalance_timeout_ms());
        }
        self.generation = self.generation.wrapping_add(1);
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.protocol_name = None;
            self.subscribed_topics = self.compute_subscribed_topics();
            self.transition(State::Empty, calls.now_ms);
            let group = self.to_stored(|_| Bytes::new());
            calls.push(Action::Store { group, then: AfterStore::Empty });
        } else {
            self.begin_generation(calls);
        }
    }

    fn begin_generation(&mut self, calls: &mut Calls<'_>) {
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        self.transition(State::CompletingRebalance, calls.now_ms);
        tracing::info!(group = %self.group_id, generation = self.generation, members = self.members.len(), "all members have joined");
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for member_id in ids {
            let reply = self.join_reply(&member_id);
            if let Some(member) = self.members.get_mut(&member_id) {
                member.is_new = false;
                calls.set_session(&member_id, member.session_timeout_ms);
                if let Some(token) = member.awaiting_join.take() {
                    self.awaiting_join -= 1;
                    calls.push(Action::AnswerJoin(token, reply));
                }
            }
            self.pending_sync.insert(member_id);
        }
        calls.set_phase(PhaseTimer::Sync, self.rebalance_timeout_ms());
    }

    /// Sees to it that the leader is somebody who has joined. False when nobody has.
    fn elect_joined_leader(&mut self) -> bool {
        let joined = |id: &Arc<str>| self.members.get(id).is_some_and(|m| m.awaiting_join.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        match self.members.values().find(|m| m.awaiting_join.is_some()) {
            Some(member) => {
                tracing::info!(group = %self.group_id, leader = %member.member_id, "a new leader: the old one has not joined in time");
                self.leader = Some(member.member_id.clone());
                true
            }
            None => false,
        }
    }

    /// A timer that this group set has run out.
    pub fn timer(&mut self, timer: &GroupTimer, calls: &mut Calls<'_>) {
        if self.state == State::Dead {
            return;
        }
        match timer {
            GroupTimer::Session(member_id) => self.session_ended(member_id, calls),
            GroupTimer::Phase(PhaseTimer::Join) => self.join_phase_ended(calls),
            GroupTimer::Phase(PhaseTimer::Sync) => self.sync_phase_ended(calls),
        }
    }

    fn join_phase_ended(&mut self, calls: &mut Calls<'_>) {
        let Some(initial) = self.initial_rebalance else { return self.complete_join(calls) };
        if !self.new_member_added || initial.remaining_ms == 0 {
            return self.complete_join(calls);
        }
        self.new_member_added = false;
        let delay_ms = calls.config.initial_rebalance_delay_ms.min(initial.remaining_ms);
        let remaining_ms = initial.remaining_ms.saturating_sub(initial.delay_ms).max(0);
        self.initial_rebalance = Some(InitialRebalance { delay_ms, remaining_ms });
        calls.set_phase(PhaseTimer::Join, delay_ms);
    }

    fn sync_phase_ended(&mut self, calls: &mut Calls<'_>) {
        if !matches!(self.state, State::CompletingRebalance | State::Stable) || self.pending_sync.is_empty() {
            return;
        }
        let mut silent: Vec<Arc<str>> = self.pending_sync.iter().cloned().collect();
        silent.sort();
        for member_id in &silent {
            tracing::info!(group = %self.group_id, member = %member_id, "dropped: it has not sent its SyncGroup in time");
            self.dismiss(member_id, calls);
            calls.cancel_session(member_id);
        }
        self.prepare_rebalance("members have not sent their SyncGroup in time", calls);
    }

    fn session_ended(&mut self, member_id: &Arc<str>, calls: &mut Calls<'_>) {
        if self.pending_join.contains(member_id) {
            tracing::info!(group = %self.group_id, member = %member_id, "the id was given out but nobody has joined with it");
            self.take_out(member_id);
            return self.complete_join_if_all_there(calls);
        }
        if self.members.get(member_id).is_none_or(super::Member::has_satisfied_heartbeat) {
            return;
        }
        tracing::info!(group = %self.group_id, member = %member_id, "the member's session has ended");
        self.dismiss(member_id, calls);
        match self.state {
            State::Stable | State::CompletingRebalance => {
                self.prepare_rebalance(&format!("the session of member {member_id} has ended"), calls);
            }
            State::PreparingRebalance | State::Empty | State::Dead => self.complete_join_if_all_there(calls),
        }
    }

    /// Unlike [`Self::maybe_complete_join`], also in the first rebalance of an empty group: Kafka does so when a member is given up.
    fn complete_join_if_all_there(&mut self, calls: &mut Calls<'_>) {
        if self.state == State::PreparingRebalance && self.has_all_joined() {
            self.complete_join(calls);
        }
    }

    /// The group's record is in the log, or (`error`, as clients are told) is not.
    pub fn stored(&mut self, then: AfterStore, error: Option<ResponseError>, calls: &mut Calls<'_>) {
        match then {
            AfterStore::NewGroup | AfterStore::Empty => {
                // An empty generation that is lost is no loss: the one before it comes back at the next load, and its members time out.
                if let Some(error) = error {
                    tracing::warn!(group = %self.group_id, %error, "the empty group was not stored");
                }
            }
            AfterStore::Assignment { generation, assignments } => {
                self.assignment_stored(generation, &assignments, error, calls);
            }
            AfterStore::StaticMember(replacement) => self.static_member_stored(*replacement, error, calls),
        }
    }

    fn assignment_stored(
        &mut self,
        generation: i32,
        assignments: &HashMap<Arc<str>, Bytes>,
        error: Option<ResponseError>,
        calls: &mut Calls<'_>,
    ) {
        // The group may have moved on while the record was on its way.
        if self.state != State::CompletingRebalance || self.generation != generation {
            return;
        }
        match error {
            None => {
                self.set_assignments(|member_id| assignments.get(member_id).cloned().unwrap_or_default());
                self.answer_syncs(None, calls);
                self.transition(State::Stable, calls.now_ms);
            }
            Some(error) => {
                self.reset_assignments(error, calls);
                self.rebalance_or_complete_join(&format!("the assignments were not stored: {error}"), calls);
            }
        }
    }

    fn reset_assignments(&mut self, error: ResponseError, calls: &mut Calls<'_>) {
        self.set_assignments(|_| Bytes::new());
        self.answer_syncs(Some(error), calls);
    }

    /// Answers everybody who waits for an assignment, and begins their sessions anew (a session that ended while its member waited was ignored).
    fn answer_syncs(&mut self, error: Option<ResponseError>, calls: &mut Calls<'_>) {
        for (member_id, member) in &mut self.members {
            let Some(token) = member.awaiting_sync.take() else { continue };
            let named = error.is_none();
            let reply = SyncReply {
                error,
                protocol_type: self.protocol_type.clone().filter(|_| named),
                protocol_name: self.protocol_name.clone().filter(|_| named),
                assignment: member.assignment.clone(),
            };
            calls.push(Action::AnswerSync(token, reply));
            calls.set_session(member_id, member.session_timeout_ms);
        }
    }

    /// Begins the sessions of a group that has just been loaded. One that is larger than the limit, which has been lowered, rebalances.
    pub fn loaded(&mut self, calls: &mut Calls<'_>) {
        for member in self.members.values() {
            calls.set_session(&member.member_id, member.session_timeout_ms);
        }
        if self.members.len() > calls.config.max_size {
            self.prepare_rebalance("the group is larger than group.max.size", calls);
        }
    }

    /// Lets the group go: everybody who waits is told `error`.
    pub fn unload(&mut self, error: ResponseError, calls: &mut Calls<'_>) {
        self.transition(State::Dead, calls.now_ms);
        for (member_id, member) in &mut self.members {
            if let Some(token) = member.awaiting_join.take() {
                calls.push(Action::AnswerJoin(token, JoinReply::refused(error, member_id.clone())));
            }
            if let Some(token) = member.awaiting_sync.take() {
                calls.push(Action::AnswerSync(token, SyncReply::refused(error)));
            }
        }
        self.awaiting_join = 0;
    }
}

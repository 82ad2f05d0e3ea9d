//! SyncGroup, Heartbeat and LeaveGroup.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::sync::Arc;

use super::{Action, AfterStore, Calls, ClassicGroup, LeavingMember, PhaseTimer, State, SyncReply, SyncRequest};

impl ClassicGroup {
    /// Takes a SyncGroup. Its reply comes now or later, as an [`Action::AnswerSync`] with the request's token.
    pub fn sync(&mut self, request: SyncRequest, calls: &mut Calls<'_>) {
        let token = request.token;
        if let Err(error) = self.validate_sync(&request) {
            return calls.push(Action::AnswerSync(token, SyncReply::refused(error)));
        }
        match self.state {
            State::PreparingRebalance => {
                calls.push(Action::AnswerSync(token, SyncReply::refused(ResponseError::RebalanceInProgress)));
            }
            State::CompletingRebalance => self.await_assignment(request, calls),
            State::Stable => {
                self.has_synced(&request.member_id, calls);
                let assignment = self.members.get(&request.member_id).map(|m| m.assignment.clone());
                let reply = SyncReply {
                    error: None,
                    protocol_type: self.protocol_type.clone(),
                    protocol_name: self.protocol_name.clone(),
                    assignment: assignment.unwrap_or_default(),
                };
                calls.push(Action::AnswerSync(token, reply));
            }
            State::Empty | State::Dead => {
                calls.push(Action::AnswerSync(token, SyncReply::refused(ResponseError::UnknownMemberId)));
            }
        }
    }

    fn validate_sync(&self, request: &SyncRequest) -> Result<(), ResponseError> {
        match self.state {
            State::Dead => return Err(ResponseError::CoordinatorNotAvailable),
            State::Empty => return Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {}
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differ = |asked: &Option<Arc<str>>, have: &Option<Arc<str>>| matches!((asked, have), (Some(asked), Some(have)) if asked != have);
        if differ(&request.protocol_type, &self.protocol_type) || differ(&request.protocol_name, &self.protocol_name) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn await_assignment(&mut self, request: SyncRequest, calls: &mut Calls<'_>) {
        if let Some(member) = self.members.get_mut(&request.member_id)
            && let Some(earlier) = member.awaiting_sync.replace(request.token)
        {
            // The client has moved on to another connection.
            calls.push(Action::AnswerSync(earlier, SyncReply::refused(ResponseError::RebalanceInProgress)));
        }
        self.has_synced(&request.member_id, calls);
        if !self.is_leader(&request.member_id) {
            return;
        }
        let mut assignments = request.assignments;
        // Members that the leader forgot get nothing; names that are no members' are not kept.
        assignments.retain(|member_id, _| self.members.contains_key(member_id));
        tracing::info!(group = %self.group_id, generation = self.generation, members = self.members.len(), assigned = assignments.len(), "the leader has assigned");
        let group = self.to_stored(|m| assignments.get(&m.member_id).cloned().unwrap_or_default());
        let then = AfterStore::Assignment { generation: self.generation, assignments };
        calls.push(Action::Store { group, then });
    }

    fn has_synced(&mut self, member_id: &str, calls: &mut Calls<'_>) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            calls.cancel_phase(PhaseTimer::Sync);
        }
    }

    /// Errors: `CoordinatorNotAvailable`, `UnknownMemberId`, `FencedInstanceId`, `IllegalGeneration`; `RebalanceInProgress` tells the member to join
    /// again, and keeps its session alive nevertheless.
    pub fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        calls: &mut Calls<'_>,
    ) -> Result<(), ResponseError> {
        if self.state == State::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        self.validate_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        match self.state {
            State::Empty | State::Dead => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => {
                self.renew_session(member_id, calls);
                Err(ResponseError::RebalanceInProgress)
            }
            State::CompletingRebalance | State::Stable => {
                self.renew_session(member_id, calls);
                Ok(())
            }
        }
    }

    /// Takes members out, each with its own result, and then rebalances once.
    /// Errors: `CoordinatorNotAvailable` for all of them.
    pub fn leave(
        &mut self,
        leaving: &[LeavingMember],
        calls: &mut Calls<'_>,
    ) -> Result<Vec<Result<(), ResponseError>>, ResponseError> {
        if self.state == State::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let results: Vec<Result<(), ResponseError>> =
            leaving.iter().map(|member| self.leave_one(member, calls)).collect();
        if results.iter().any(Result::is_ok) {
            match self.state {
                State::Stable | State::CompletingRebalance => self.prepare_rebalance("members have left", calls),
                State::PreparingRebalance => self.maybe_complete_join(calls),
                State::Empty | State::Dead => {}
            }
        }
        Ok(results)
    }

    fn leave_one(&mut self, leaving: &LeavingMember, calls: &mut Calls<'_>) -> Result<(), ResponseError> {
        let instance_id = leaving.instance_id.as_deref();
        let member_id = if leaving.member_id.is_empty() {
            let by_instance = instance_id.and_then(|id| self.static_members.get(id));
            by_instance.cloned().ok_or(ResponseError::UnknownMemberId)?
        } else {
            if !self.pending_join.contains(&leaving.member_id) {
                self.validate_member(&leaving.member_id, instance_id)?;
            }
            leaving.member_id.clone()
        };
        let reason = leaving.reason.as_deref().unwrap_or("not provided");
        tracing::info!(group = %self.group_id, member = %member_id, reason, "a member leaves");
        calls.cancel_session(&member_id);
        self.dismiss(&member_id, calls);
        Ok(())
    }

    /// The assignment that a member has.
    pub fn assignment(&self, member_id: &str) -> Option<&Bytes> {
        self.members.get(member_id).map(|m| &m.assignment)
    }
}

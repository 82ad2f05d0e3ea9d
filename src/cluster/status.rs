//! How the quorum fares, as DescribeQuorum tells it (KIP-595, KIP-836).

use openraft::{BasicNode, RaftMetrics};
use std::collections::HashMap;

use super::raft::MemberId;
use crate::types::BrokerId;

/// One member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    pub id: BrokerId,
    /// The offset that its next log entry gets; -1 when this node does not know.
    pub log_end_offset: i64,
    /// Wall-clock milliseconds of the last answer from it; -1 when there was none.
    pub last_fetch_timestamp_ms: i64,
    /// When it last had the whole log; -1 when never.
    pub last_caught_up_timestamp_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    /// -1 when there is none.
    pub leader_id: BrokerId,
    pub leader_epoch: i32,
    /// The offset after the last entry that is committed.
    pub high_watermark: i64,
    pub voters: Vec<ReplicaStatus>,
    /// Learners: brokers that follow without a vote.
    pub observers: Vec<ReplicaStatus>,
}

fn end_offset(last_index: Option<u64>) -> i64 {
    last_index.map_or(0, |index| i64::try_from(index).map_or(i64::MAX, |index| index.saturating_add(1)))
}

impl QuorumStatus {
    pub(super) fn new(
        metrics: &RaftMetrics<MemberId, BasicNode>,
        node_id: BrokerId,
        now_ms: i64,
        contacts: &HashMap<BrokerId, i64>,
    ) -> Self {
        let replica = |member: MemberId| {
            let id = member.0;
            if id == node_id {
                let log_end_offset = end_offset(metrics.last_log_index);
                let fresh = if metrics.current_leader == Some(MemberId(node_id)) { now_ms } else { -1 };
                return ReplicaStatus {
                    id,
                    log_end_offset,
                    last_fetch_timestamp_ms: fresh,
                    last_caught_up_timestamp_ms: fresh,
                };
            }
            let matched =
                metrics.replication.as_ref().and_then(|replication| replication.get(&member)).copied().flatten();
            let last_contact = contacts.get(&id).copied().unwrap_or(-1);
            let matched_index = matched.map(|log_id| log_id.index);
            ReplicaStatus {
                id,
                log_end_offset: if metrics.replication.is_some() { end_offset(matched_index) } else { -1 },
                last_fetch_timestamp_ms: last_contact,
                last_caught_up_timestamp_ms: if matched_index >= metrics.last_log_index { last_contact } else { -1 },
            }
        };
        let membership = metrics.membership_config.membership();
        Self {
            leader_id: metrics.current_leader.map_or(-1, |leader| leader.0),
            leader_epoch: i32::try_from(metrics.current_term).unwrap_or(i32::MAX),
            high_watermark: end_offset(metrics.last_applied.map(|log_id| log_id.index)),
            voters: membership.voter_ids().map(replica).collect(),
            observers: membership.learner_ids().map(replica).collect(),
        }
    }
}

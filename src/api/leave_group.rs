//! LeaveGroup v0-5: members leave, or are removed by an administrator; several at once from v3 on (KIP-345).

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::NONE;
use super::group_strings::{kept, kept_option, told, told_option};
use crate::coordinator::group::classic::LeavingMember;

/// First version with several members, each with its own result.
const BATCHED_VERSION: i16 = 3;

pub async fn handle(broker: &Arc<Broker>, context: &RequestContext, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let batched = context.api_version >= BATCHED_VERSION;
    let leaving: Vec<LeavingMember> = if batched {
        let members = request.members.iter();
        members
            .map(|member| LeavingMember {
                member_id: kept(&member.member_id),
                instance_id: kept_option(member.group_instance_id.as_ref()),
                reason: kept_option(member.reason.as_ref()),
            })
            .collect()
    } else {
        vec![LeavingMember { member_id: kept(&request.member_id), instance_id: None, reason: None }]
    };
    context.connection.activity.speaks_as(&request.group_id, "");
    let response = LeaveGroupResponse::default();
    let results = match broker.groups.leave(&request.group_id, leaving.clone()).await {
        Ok(results) => results,
        Err(error) => return response.with_error_code(error.code()),
    };
    let codes = results.into_iter().map(|result| result.map_or_else(|error| error.code(), |()| NONE));
    if !batched {
        return response.with_error_code(codes.into_iter().next().unwrap_or(NONE));
    }
    let member = |(member, code): (LeavingMember, i16)| {
        MemberResponse::default()
            .with_member_id(told(&member.member_id))
            .with_group_instance_id(told_option(member.instance_id.as_ref()))
            .with_error_code(code)
    };
    response.with_members(leaving.into_iter().zip(codes).map(member).collect())
}

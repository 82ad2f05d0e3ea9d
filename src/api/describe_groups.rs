//! DescribeGroups v0-6: state and members of groups of the classic protocol.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::group_strings::{told, told_option};
use crate::coordinator::group::classic::State;
use crate::coordinator::group::requests;

/// From this version on, a group that is not there is an error (KIP-1043), not merely dead.
const NOT_FOUND_VERSION: i16 = 6;
/// First version that can ask what the client may do with the group (KIP-430).
const OPERATIONS_VERSION: i16 = 3;
/// Without authorisation, everything: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, each a bit by its `AclOperation` code.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let version = context.api_version;
    let tells_operations = request.include_authorized_operations && version >= OPERATIONS_VERSION;
    let mut response = DescribeGroupsResponse::default();
    for group_id in request.groups {
        let mut described = match broker.groups.describe(&group_id).await {
            Ok(Some(group)) => found(group),
            Ok(None) => missing(&group_id, version),
            Err(error) => DescribedGroup::default().with_error_code(error.code()),
        };
        if tells_operations && described.error_code == 0 {
            described.authorized_operations = ALL_OPERATIONS;
        }
        response.groups.push(described.with_group_id(group_id));
    }
    response
}

fn found(group: requests::DescribedGroup) -> DescribedGroup {
    let member = |member: requests::DescribedMember| {
        DescribedGroupMember::default()
            .with_member_id(told(&member.member_id))
            .with_group_instance_id(told_option(member.instance_id.as_ref()))
            .with_client_id(told(&member.client_id))
            .with_client_host(told(&member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    };
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state.name()))
        .with_protocol_type(told(&group.protocol_type))
        .with_protocol_data(told(group.protocol.as_deref().unwrap_or("")))
        .with_members(group.members.into_iter().map(member).collect())
}

fn missing(group_id: &str, version: i16) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(StrBytes::from_static_str(State::Dead.name()));
    if version < NOT_FOUND_VERSION {
        return dead;
    }
    dead.with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(StrBytes::from_string(format!("Group {group_id} not found."))))
}

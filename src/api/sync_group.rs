//! SyncGroup v0-5: the leader hands in the assignments, everybody gets its own. Answered when they are stored.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use std::sync::Arc;

use super::Broker;
use super::activity::Wait;
use super::context::RequestContext;
use super::error_code::NONE;
use super::group_strings::{is_of_groups_course, kept, kept_bytes, kept_option, told_option};
use crate::coordinator::group::classic::{SyncReply, SyncRequest};

/// From this version on, a member must say which protocol it speaks (KIP-559).
const PROTOCOL_REQUIRED_VERSION: i16 = 5;

pub async fn handle(broker: &Arc<Broker>, context: &RequestContext, request: SyncGroupRequest) -> SyncGroupResponse {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if context.api_version >= PROTOCOL_REQUIRED_VERSION && !names_protocol {
        return to_client(SyncReply::refused(ResponseError::InconsistentGroupProtocol));
    }
    let group_id = kept(&request.group_id);
    let assignments = request.assignments.iter();
    let asked = SyncRequest {
        token: 0,
        generation: request.generation_id,
        member_id: kept(&request.member_id),
        instance_id: kept_option(request.group_instance_id.as_ref()),
        protocol_type: kept_option(request.protocol_type.as_ref()),
        protocol_name: kept_option(request.protocol_name.as_ref()),
        assignments: assignments.map(|a| (kept(&a.member_id), kept_bytes(&a.assignment))).collect(),
    };
    drop(request);
    context.connection.activity.speaks_as(&group_id, &asked.member_id);
    let waits = context.connection.activity.waits(Wait::Assignment);
    let reply = broker.groups.sync(&group_id, asked).await;
    drop(waits);
    if let Some(error) = reply.error.filter(|error| !is_of_groups_course(*error)) {
        context.refused(error, &group_id, &error);
    }
    to_client(reply)
}

fn to_client(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(reply.error.map_or(NONE, |error| error.code()))
        .with_protocol_type(told_option(reply.protocol_type.as_ref()))
        .with_protocol_name(told_option(reply.protocol_name.as_ref()))
        .with_assignment(reply.assignment)
}

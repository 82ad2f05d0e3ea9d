//! JoinGroup v0-9: a member takes part in its group's next generation. Answered when the join phase ends.

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use uuid::Uuid;

use super::Broker;
use super::activity::Wait;
use super::context::RequestContext;
use super::error_code::NONE;
use super::group_strings::{client_host, is_of_groups_course, kept, kept_bytes, kept_option, told, told_option};
use crate::coordinator::group::classic::{JoinReply, JoinRequest, Protocol};

/// First version in which a dynamic member gets its id before it joins (KIP-394).
const MEMBER_ID_REQUIRED_VERSION: i16 = 4;
/// First version in which a protocol's name can be null.
const NULLABLE_PROTOCOL_VERSION: i16 = 7;
/// First version that can tell a leader not to assign anew (KIP-814).
const SKIP_ASSIGNMENT_VERSION: i16 = 9;

pub async fn handle(broker: &Arc<Broker>, context: &RequestContext, request: JoinGroupRequest) -> JoinGroupResponse {
    let group_id = kept(&request.group_id);
    let asked = to_coordinator(context, &request);
    context.connection.activity.speaks_as(&group_id, &request.member_id);
    // The frame's memory is not held while the group waits.
    drop(request);
    let waits = context.connection.activity.waits(Wait::JoinPhase);
    let reply = broker.groups.join(&group_id, asked).await;
    drop(waits);
    context.connection.activity.speaks_as(&group_id, &reply.member_id);
    if let Some(error) = reply.error.filter(|error| !is_of_groups_course(*error)) {
        context.refused(error, &group_id, &error);
    }
    to_client(reply, context.api_version)
}

fn to_coordinator(context: &RequestContext, request: &JoinGroupRequest) -> JoinRequest {
    let version = context.api_version;
    let protocols = request.protocols.iter();
    JoinRequest {
        token: 0,
        member_id: kept(&request.member_id),
        instance_id: kept_option(request.group_instance_id.as_ref()),
        client_id: Arc::clone(&context.client_id),
        client_host: client_host(&context.connection.client_address),
        protocol_type: kept(&request.protocol_type),
        protocols: protocols.map(|p| Protocol { name: kept(&p.name), metadata: kept_bytes(&p.metadata) }).collect(),
        session_timeout_ms: request.session_timeout_ms,
        // Version 0 had one time-out for both.
        rebalance_timeout_ms: if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms },
        reason: kept_option(request.reason.as_ref().filter(|reason| !reason.is_empty())),
        member_id_required: version >= MEMBER_ID_REQUIRED_VERSION,
        can_skip_assignment: version >= SKIP_ASSIGNMENT_VERSION,
        fresh_id: Uuid::new_v4(),
    }
}

fn to_client(reply: JoinReply, version: i16) -> JoinGroupResponse {
    let protocol_name = told_option(reply.protocol_name.as_ref()).filter(|name| !name.is_empty());
    let member = |member: &crate::coordinator::group::classic::JoinReplyMember| {
        JoinGroupResponseMember::default()
            .with_member_id(told(&member.member_id))
            .with_group_instance_id(told_option(member.instance_id.as_ref()))
            .with_metadata(member.metadata.clone())
    };
    JoinGroupResponse::default()
        .with_error_code(reply.error.map_or(NONE, |error| error.code()))
        .with_generation_id(reply.generation)
        .with_protocol_type(told_option(reply.protocol_type.as_ref()))
        .with_protocol_name(if version >= NULLABLE_PROTOCOL_VERSION {
            protocol_name
        } else {
            Some(protocol_name.unwrap_or_else(|| StrBytes::from_static_str("")))
        })
        .with_leader(told(&reply.leader))
        .with_skip_assignment(reply.skip_assignment)
        .with_member_id(told(&reply.member_id))
        .with_members(reply.members.iter().map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::group::classic::JoinReplyMember;
    use kafka_protocol::ResponseError;
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_carry_every_answer() {
        let joined = |skip_assignment| JoinReply {
            error: None,
            generation: 3,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            leader: "m".into(),
            skip_assignment,
            member_id: "m".into(),
            members: vec![JoinReplyMember {
                member_id: "m".into(),
                instance_id: Some("i".into()),
                metadata: bytes::Bytes::from_static(b"x"),
            }],
        };
        for version in 0..=9 {
            let skips = version >= SKIP_ASSIGNMENT_VERSION;
            for reply in [joined(skips), JoinReply::refused(ResponseError::UnknownMemberId, "m")] {
                let response = to_client(reply.clone(), version);
                let mut bytes = bytes::BytesMut::new();
                response.encode(&mut bytes, version).unwrap();
                let read = JoinGroupResponse::decode(&mut bytes, version).unwrap();
                assert_eq!(read.error_code, reply.error.map_or(0, |error| error.code()));
                let expected = match (&reply.protocol_name, version >= NULLABLE_PROTOCOL_VERSION) {
                    (Some(_), _) => Some("range"),
                    (None, true) => None,
                    (None, false) => Some(""),
                };
                assert_eq!(read.protocol_name.as_ref().map(StrBytes::as_str), expected);
                assert_eq!(read.skip_assignment, reply.skip_assignment);
            }
        }
    }
}

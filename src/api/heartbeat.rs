//! Heartbeat v0-4: a member is alive, and learns whether its group rebalances.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::NONE;
use super::group_strings::is_of_groups_course;

pub async fn handle(broker: &Arc<Broker>, context: &RequestContext, request: HeartbeatRequest) -> HeartbeatResponse {
    let instance_id = request.group_instance_id.as_ref().map(StrBytes::as_str);
    let result =
        broker.groups.heartbeat(&request.group_id, &request.member_id, instance_id, request.generation_id).await;
    context.connection.activity.speaks_as(&request.group_id, &request.member_id);
    if let Err(error) = &result
        && !is_of_groups_course(*error)
    {
        context.refused(*error, &request.group_id, error);
    }
    HeartbeatResponse::default().with_error_code(result.map_or_else(|error| error.code(), |()| NONE))
}

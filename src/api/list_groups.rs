//! ListGroups v0-5: the groups that this broker coordinates, by state (KIP-518) and type (KIP-848).

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::group_strings::told;

/// The type of all groups so far.
const CLASSIC: &str = "classic";

pub async fn handle(broker: &Arc<Broker>, _context: &RequestContext, request: ListGroupsRequest) -> ListGroupsResponse {
    let response = ListGroupsResponse::default();
    let types = &request.types_filter;
    let wants_classic = types.is_empty() || types.iter().any(|name| name.eq_ignore_ascii_case(CLASSIC));
    let states = request.states_filter.iter().map(|state| state.trim().to_owned()).collect();
    let groups = match broker.groups.list(states).await {
        Ok(groups) => groups,
        Err(error) => return response.with_error_code(error.code()),
    };
    let listed = groups.into_iter().filter(|_| wants_classic).map(|group| {
        ListedGroup::default()
            .with_group_id(GroupId(told(&group.group_id)))
            .with_protocol_type(told(&group.protocol_type))
            .with_group_state(StrBytes::from_static_str(group.state.name()))
            .with_group_type(StrBytes::from_static_str(CLASSIC))
    });
    response.with_groups(listed.collect())
}

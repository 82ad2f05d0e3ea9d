//! DeleteGroups v0-2 (KIP-229): removes groups without members, and their offsets.

use indexmap::IndexSet;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::NONE;
use super::group_strings::{kept, told};

pub async fn handle(
    broker: &Arc<Broker>,
    _context: &RequestContext,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let distinct: IndexSet<Arc<str>> = request.groups_names.iter().map(|name| kept(name)).collect();
    let results = broker.groups.delete_groups(distinct.into_iter().collect()).await;
    let result = |(group_id, result): (Arc<str>, Result<(), kafka_protocol::ResponseError>)| {
        DeletableGroupResult::default()
            .with_group_id(GroupId(told(&group_id)))
            .with_error_code(result.map_or_else(|error| error.code(), |()| NONE))
    };
    DeleteGroupsResponse::default().with_results(results.into_iter().map(result).collect())
}

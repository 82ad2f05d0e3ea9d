//! DescribeAcls, CreateAcls and DeleteAcls v1-3 (KIP-140) of a broker that has no authorizer: each answers that security is disabled, as Kafka does.
//!
//! Clients and consoles ask for ACLs to find out whether there are any; without this answer they take the broker for an old one.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;

const NO_AUTHORIZER: StrBytes = StrBytes::from_static_str("No Authorizer is configured.");
/// Kafka's brokers answer this one themselves, in other words than the controller's.
const NO_AUTHORIZER_HERE: StrBytes = StrBytes::from_static_str("No Authorizer is configured on the broker");

pub async fn describe(_: &Arc<Broker>, _: &RequestContext, _: DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER_HERE))
}

pub async fn create(_: &Arc<Broker>, _: &RequestContext, request: CreateAclsRequest) -> CreateAclsResponse {
    let refused = AclCreationResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER));
    CreateAclsResponse::default().with_results(vec![refused; request.creations.len()])
}

pub async fn delete(_: &Arc<Broker>, _: &RequestContext, request: DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER));
    DeleteAclsResponse::default().with_filter_results(vec![refused; request.filters.len()])
}

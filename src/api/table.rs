//! The one table of APIs. ApiVersions, dispatch, metric labels and the documentation's table all come from it: an API that has no row does not exist.

use bytes::BytesMut;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::context::{CloseReason, Outcome, Reply, RequestContext};
use super::error_tally::TellsErrors;
use super::*;
use crate::protocol::codec;

/// Decodes, acts, encodes. `body` is what follows the request header.
pub type Handler = fn(Arc<Broker>, RequestContext, BytesMut) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One API with the versions that are really implemented.
pub struct ApiRow {
    pub key: ApiKey,
    pub min_version: i16,
    pub max_version: i16,
    /// Whether the connection's next request may begin before this one's reply, once the handler has ended the first stage (see `context::Begun`).
    pub overlaps: bool,
    pub handler: Handler,
}

/// A row whose handler is `async fn(&Arc<Broker>, &RequestContext, Request) -> Response`.
macro_rules! row {
    ($key:ident, $min:literal ..= $max:literal, $request:ty, $handler:path) => {
        ApiRow {
            key: ApiKey::$key,
            min_version: $min,
            max_version: $max,
            overlaps: false,
            handler: |broker, context, body| {
                Box::pin(async move {
                    let request = decode::<$request>(&context, body)?;
                    let response = $handler(&broker, &context, request).await;
                    encode(&context, &response)
                })
            },
        }
    };
}

/// In the order of their keys.
pub static APIS: &[ApiRow] = &[
    ApiRow {
        key: ApiKey::Produce,
        min_version: 3,
        max_version: 13,
        overlaps: true,
        handler: |broker, context, body| Box::pin(produce::handle(broker, context, body)),
    },
    ApiRow {
        key: ApiKey::Fetch,
        min_version: 4,
        max_version: 18,
        overlaps: false,
        handler: |broker, context, body| Box::pin(fetch::handle(broker, context, body)),
    },
    row!(ListOffsets, 1..=10, ListOffsetsRequest, list_offsets::handle),
    row!(Metadata, 0..=13, MetadataRequest, metadata::handle),
    row!(OffsetCommit, 2..=9, OffsetCommitRequest, offset_commit::handle),
    row!(OffsetFetch, 1..=9, OffsetFetchRequest, offset_fetch::handle),
    row!(FindCoordinator, 0..=6, FindCoordinatorRequest, find_coordinator::handle),
    row!(JoinGroup, 0..=9, JoinGroupRequest, join_group::handle),
    row!(Heartbeat, 0..=4, HeartbeatRequest, heartbeat::handle),
    row!(LeaveGroup, 0..=5, LeaveGroupRequest, leave_group::handle),
    row!(SyncGroup, 0..=5, SyncGroupRequest, sync_group::handle),
    row!(DescribeGroups, 0..=6, DescribeGroupsRequest, describe_groups::handle),
    row!(ListGroups, 0..=5, ListGroupsRequest, list_groups::handle),
    row!(ApiVersions, 0..=4, ApiVersionsRequest, api_versions::handle),
    row!(CreateTopics, 2..=7, CreateTopicsRequest, create_topics::handle),
    row!(DeleteTopics, 1..=6, DeleteTopicsRequest, delete_topics::handle),
    row!(DeleteRecords, 0..=2, DeleteRecordsRequest, delete_records::handle),
    row!(InitProducerId, 0..=5, InitProducerIdRequest, init_producer_id::handle),
    row!(OffsetForLeaderEpoch, 2..=4, OffsetForLeaderEpochRequest, offset_for_leader_epoch::handle),
    row!(DescribeAcls, 1..=3, DescribeAclsRequest, acls::describe),
    row!(CreateAcls, 1..=3, CreateAclsRequest, acls::create),
    row!(DeleteAcls, 1..=3, DeleteAclsRequest, acls::delete),
    row!(DescribeConfigs, 1..=4, DescribeConfigsRequest, describe_configs::handle),
    row!(AlterConfigs, 0..=2, AlterConfigsRequest, alter_configs::handle),
    row!(AlterReplicaLogDirs, 1..=2, AlterReplicaLogDirsRequest, alter_replica_log_dirs::handle),
    row!(DescribeLogDirs, 1..=4, DescribeLogDirsRequest, describe_log_dirs::handle),
    row!(CreatePartitions, 0..=3, CreatePartitionsRequest, create_partitions::handle),
    row!(DeleteGroups, 0..=2, DeleteGroupsRequest, delete_groups::handle),
    row!(ElectLeaders, 0..=2, ElectLeadersRequest, elect_leaders::handle),
    row!(IncrementalAlterConfigs, 0..=1, IncrementalAlterConfigsRequest, incremental_alter_configs::handle),
    row!(AlterPartitionReassignments, 0..=1, AlterPartitionReassignmentsRequest, alter_partition_reassignments::handle),
    row!(ListPartitionReassignments, 0..=0, ListPartitionReassignmentsRequest, list_partition_reassignments::handle),
    row!(OffsetDelete, 0..=0, OffsetDeleteRequest, offset_delete::handle),
    row!(DescribeQuorum, 0..=2, DescribeQuorumRequest, describe_quorum::handle),
    row!(UpdateFeatures, 0..=2, UpdateFeaturesRequest, update_features::handle),
    row!(DescribeCluster, 0..=2, DescribeClusterRequest, describe_cluster::handle),
    row!(DescribeProducers, 0..=0, DescribeProducersRequest, describe_producers::handle),
    row!(ListConfigResources, 0..=1, ListConfigResourcesRequest, list_config_resources::handle),
    row!(DescribeTopicPartitions, 0..=0, DescribeTopicPartitionsRequest, describe_topic_partitions::handle),
];

/// The row of an API key.
pub fn find(api_key: i16) -> Option<&'static ApiRow> {
    APIS.iter().find(|row| row.key as i16 == api_key)
}

/// Decodes a request's body.
pub fn decode<T: Decodable>(context: &RequestContext, body: BytesMut) -> Result<T, CloseReason> {
    codec::decode::<T>(context.api_key, context.api_version, body.freeze())
        .map_err(|error| CloseReason::Malformed(error.to_string()))
}

/// Encodes a reply's header and body.
pub fn encode<T: Encodable + TellsErrors>(context: &RequestContext, response: &T) -> Outcome {
    codec::encode_reply(context.api_key, context.api_version, context.correlation_id, response)
        .map(|bytes| Some(Reply::new(vec![bytes], response.errors())))
        .map_err(|error| CloseReason::Internal(error.to_string()))
}

//! The one table of APIs. ApiVersions, dispatch, metric labels and the documentation's table all come from it: an API that has no row does not exist.

use bytes::BytesMut;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::context::{CloseReason, Outcome, Reply, RequestContext};
use super::error_tally::TellsErrors;
use super::refusals::TellsRefusals;
use super::*;
use crate::protocol::codec;

/// Decodes, acts, encodes. `body` is what follows the request header.
pub type Handler = fn(Arc<Broker>, RequestContext, BytesMut) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What a listener is for. On each, an API that has no place there is as unknown as one that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For clients and brokers.
    Broker,
    /// One of `controller.listener.names` (KIP-500, KIP-919).
    Controller,
}

const BROKERS: &[Scope] = &[Scope::Broker];
const EVERYWHERE: &[Scope] = &[Scope::Broker, Scope::Controller];

/// One API with the versions that are really implemented.
pub struct ApiRow {
    pub key: ApiKey,
    /// As `listeners` says in the definitions of Kafka's messages. Its Fetch on controllers is the quorum's, which is another one here.
    pub served_on: &'static [Scope],
    pub min_version: i16,
    pub max_version: i16,
    /// Whether the connection's next request may begin before this one's reply, once the handler has ended the first stage (see `context::Begun`).
    pub overlaps: bool,
    pub handler: Handler,
}

/// A row whose handler is `async fn(&Arc<Broker>, &RequestContext, Request) -> Response`.
macro_rules! row {
    ($key:ident, $served_on:ident, $min:literal ..= $max:literal, $request:ty, $handler:path) => {
        ApiRow {
            key: ApiKey::$key,
            served_on: $served_on,
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
        served_on: BROKERS,
        min_version: 3,
        max_version: 13,
        overlaps: true,
        handler: |broker, context, body| Box::pin(produce::handle(broker, context, body)),
    },
    ApiRow {
        key: ApiKey::Fetch,
        served_on: BROKERS,
        min_version: 4,
        max_version: 18,
        overlaps: false,
        handler: |broker, context, body| Box::pin(fetch::handle(broker, context, body)),
    },
    row!(ListOffsets, BROKERS, 1..=10, ListOffsetsRequest, list_offsets::handle),
    row!(Metadata, BROKERS, 0..=13, MetadataRequest, metadata::handle),
    row!(OffsetCommit, BROKERS, 2..=9, OffsetCommitRequest, offset_commit::handle),
    row!(OffsetFetch, BROKERS, 1..=9, OffsetFetchRequest, offset_fetch::handle),
    row!(FindCoordinator, BROKERS, 0..=6, FindCoordinatorRequest, find_coordinator::handle),
    row!(JoinGroup, BROKERS, 0..=9, JoinGroupRequest, join_group::handle),
    row!(Heartbeat, BROKERS, 0..=4, HeartbeatRequest, heartbeat::handle),
    row!(LeaveGroup, BROKERS, 0..=5, LeaveGroupRequest, leave_group::handle),
    row!(SyncGroup, BROKERS, 0..=5, SyncGroupRequest, sync_group::handle),
    row!(DescribeGroups, BROKERS, 0..=6, DescribeGroupsRequest, describe_groups::handle),
    row!(ListGroups, BROKERS, 0..=5, ListGroupsRequest, list_groups::handle),
    row!(ApiVersions, EVERYWHERE, 0..=4, ApiVersionsRequest, api_versions::handle),
    row!(CreateTopics, EVERYWHERE, 2..=7, CreateTopicsRequest, create_topics::handle),
    row!(DeleteTopics, EVERYWHERE, 1..=6, DeleteTopicsRequest, delete_topics::handle),
    row!(DeleteRecords, BROKERS, 0..=2, DeleteRecordsRequest, delete_records::handle),
    row!(InitProducerId, BROKERS, 0..=5, InitProducerIdRequest, init_producer_id::handle),
    row!(OffsetForLeaderEpoch, BROKERS, 2..=4, OffsetForLeaderEpochRequest, offset_for_leader_epoch::handle),
    row!(DescribeAcls, EVERYWHERE, 1..=3, DescribeAclsRequest, acls::describe),
    row!(CreateAcls, EVERYWHERE, 1..=3, CreateAclsRequest, acls::create),
    row!(DeleteAcls, EVERYWHERE, 1..=3, DeleteAclsRequest, acls::delete),
    row!(DescribeConfigs, EVERYWHERE, 1..=4, DescribeConfigsRequest, describe_configs::handle),
    row!(AlterConfigs, EVERYWHERE, 0..=2, AlterConfigsRequest, alter_configs::handle),
    row!(AlterReplicaLogDirs, BROKERS, 1..=2, AlterReplicaLogDirsRequest, alter_replica_log_dirs::handle),
    row!(DescribeLogDirs, BROKERS, 1..=4, DescribeLogDirsRequest, describe_log_dirs::handle),
    row!(CreatePartitions, EVERYWHERE, 0..=3, CreatePartitionsRequest, create_partitions::handle),
    row!(DeleteGroups, BROKERS, 0..=2, DeleteGroupsRequest, delete_groups::handle),
    row!(ElectLeaders, EVERYWHERE, 0..=2, ElectLeadersRequest, elect_leaders::handle),
    row!(IncrementalAlterConfigs, EVERYWHERE, 0..=1, IncrementalAlterConfigsRequest, incremental_alter_configs::handle),
    row!(
        AlterPartitionReassignments,
        EVERYWHERE,
        0..=1,
        AlterPartitionReassignmentsRequest,
        alter_partition_reassignments::handle
    ),
    row!(
        ListPartitionReassignments,
        EVERYWHERE,
        0..=0,
        ListPartitionReassignmentsRequest,
        list_partition_reassignments::handle
    ),
    row!(OffsetDelete, BROKERS, 0..=0, OffsetDeleteRequest, offset_delete::handle),
    row!(DescribeQuorum, EVERYWHERE, 0..=2, DescribeQuorumRequest, describe_quorum::handle),
    row!(UpdateFeatures, EVERYWHERE, 0..=2, UpdateFeaturesRequest, update_features::handle),
    row!(DescribeCluster, EVERYWHERE, 0..=2, DescribeClusterRequest, describe_cluster::handle),
    row!(DescribeProducers, BROKERS, 0..=0, DescribeProducersRequest, describe_producers::handle),
    row!(ListConfigResources, BROKERS, 0..=1, ListConfigResourcesRequest, list_config_resources::handle),
    row!(DescribeTopicPartitions, BROKERS, 0..=0, DescribeTopicPartitionsRequest, describe_topic_partitions::handle),
];

/// The rows of the APIs that a listener serves.
pub fn served(scope: Scope) -> impl Iterator<Item = &'static ApiRow> {
    APIS.iter().filter(move |row| row.served_on.contains(&scope))
}

/// The row of an API key, if a listener serves it.
pub fn find(api_key: i16, scope: Scope) -> Option<&'static ApiRow> {
    served(scope).find(|row| row.key as i16 == api_key)
}

/// Decodes a request's body.
pub fn decode<T: Decodable>(context: &RequestContext, body: BytesMut) -> Result<T, CloseReason> {
    codec::decode::<T>(context.api_key, context.api_version, body.freeze())
        .map_err(|error| CloseReason::Malformed(error.to_string()))
}

/// Encodes a reply's header and body, and notes what it refuses.
pub fn encode<T: Encodable + TellsErrors + TellsRefusals>(context: &RequestContext, response: &T) -> Outcome {
    let errors = response.errors();
    if errors.iter().any(|(code, _)| code != 0) {
        refusals::tell(context, response);
    }
    codec::encode_reply(context.api_key, context.api_version, context.correlation_id, response)
        .map(|bytes| Some(Reply::new(vec![bytes.into()], errors)))
        .map_err(|error| CloseReason::Internal(error.to_string()))
}

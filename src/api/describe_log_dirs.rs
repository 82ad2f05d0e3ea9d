//! DescribeLogDirs v1-4 (KIP-113, KIP-827): what each log directory holds, and the space below it.

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::ErrorCode;
use crate::replica::Partition;
use crate::store::RecordStore;

pub async fn handle(
    broker: &Arc<Broker>,
    _context: &RequestContext,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let wanted: Option<HashSet<(&str, i32)>> = request.topics.as_ref().map(|topics| {
        topics.iter().flat_map(|t| t.partitions.iter().map(|partition| (t.topic.as_str(), *partition))).collect()
    });
    let partitions = broker.replicas.partitions();
    let is_wanted = |partition: &Partition| {
        wanted.as_ref().is_none_or(|wanted| wanted.contains(&(partition.topic().as_ref(), partition.id().partition)))
    };
    let mut response = DescribeLogDirsResponse::default();
    for store in broker.replicas.stores() {
        let here = partitions.iter().filter(|p| Arc::ptr_eq(p.log().store(), store) && is_wanted(p));
        response.results.push(describe(store.as_ref(), here));
    }
    response
}

fn describe<'a>(
    store: &dyn RecordStore,
    partitions: impl Iterator<Item = &'a Arc<Partition>>,
) -> DescribeLogDirsResult {
    let mut result =
        DescribeLogDirsResult::default().with_log_dir(StrBytes::from_string(store.path().display().to_string()));
    match store.space() {
        Ok(space) => {
            result.total_bytes = i64::try_from(space.total_bytes).unwrap_or(i64::MAX);
            result.usable_bytes = i64::try_from(space.usable_bytes).unwrap_or(i64::MAX);
        }
        Err(error) => {
            tracing::warn!(log_dir = %store.path().display(), %error, "cannot describe the log directory");
            return result.with_error_code(error.code());
        }
    }
    let mut topics: BTreeMap<Arc<str>, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in partitions {
        let size = i64::try_from(partition.log().size_bytes()).unwrap_or(i64::MAX);
        topics.entry(Arc::clone(partition.topic())).or_default().push(
            DescribeLogDirsPartition::default()
                .with_partition_index(partition.id().partition)
                .with_partition_size(size)
                // How far the log's end is behind the high watermark: a leader's never is.
                .with_offset_lag((partition.high_watermark() - partition.log().end_offset()).max(0)),
        );
    }
    for (name, mut partitions) in topics {
        partitions.sort_by_key(|partition| partition.partition_index);
        let topic = DescribeLogDirsTopic::default().with_name(TopicName(StrBytes::from_string(name.to_string())));
        result.topics.push(topic.with_partitions(partitions));
    }
    result
}

//! A coordinator's log on the partitions of an internal topic, as this broker's replicas hold them.

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::internal_topic;
use super::log::{AppendError, BoxFuture, CoordinatorLog, LoadChunk, LoadError, TopicUnavailable};
use crate::cluster::config_rules::TableRules;
use crate::cluster::decide::topics::{self, TopicCreation, TopicDefaults};
use crate::cluster::decide::{Decision, SystemRandomness};
use crate::cluster::{Cluster, MetadataImage};
use crate::config::BrokerConfig;
use crate::log::append::BatchInfo;
use crate::log::producers::AppendOrigin;
use crate::log::read::ReadRange;
use crate::protocol::record_batch::BatchView;
use crate::replica::partition::{Acks, ReplicaError};
use crate::replica::{Partition, ReplicaManager};
use crate::types::LeaderEpoch;
use crate::types::budget::Budget;
use crate::types::topic_name::GROUP_METADATA_TOPIC;

/// Bytes read in one piece while a partition is loaded.
const LOAD_BYTES: usize = 1024 * 1024;

/// `__consumer_offsets` on this broker.
pub struct ReplicaLog {
    pub config: Arc<ArcSwap<BrokerConfig>>,
    pub cluster: Arc<Cluster>,
    pub replicas: Arc<ReplicaManager>,
    /// For what is read while partitions load, however many do at a time.
    pub load_memory: Budget,
}

impl ReplicaLog {
    fn partition(&self, partition: i32, leader_epoch: LeaderEpoch) -> Result<Arc<Partition>, AppendError> {
        let image = self.cluster.image();
        let topic = image.topic(GROUP_METADATA_TOPIC).ok_or(AppendError::UnknownPartition { partition })?;
        let not_leader = AppendError::NotLeader { partition, leader_epoch };
        let found = self.replicas.partition(topic.id, partition).ok_or_else(|| not_leader.clone())?;
        match found.check_leader(leader_epoch) {
            Ok(_) => Ok(found),
            Err(_) => Err(not_leader),
        }
    }
}

impl CoordinatorLog for ReplicaLog {
    fn partition_count(&self) -> i32 {
        let image = self.cluster.image();
        let existing = image.topic(GROUP_METADATA_TOPIC).map(|topic| topic.partition_count());
        existing.unwrap_or_else(|| self.config.load().offsets_topic_num_partitions)
    }

    fn ensure_topic(&self) -> BoxFuture<Result<(), TopicUnavailable>> {
        let (cluster, config) = (Arc::clone(&self.cluster), self.config.load_full());
        Box::pin(async move {
            if cluster.image().topic(GROUP_METADATA_TOPIC).is_some() {
                return Ok(());
            }
            let voters = cluster.quorum_status().voters.len();
            let decided = cluster.propose_at(move |image| create_topic(image, config, voters)).await;
            let (created, offset) = decided.map_err(|error| TopicUnavailable(error.to_string()))?;
            created.map_err(TopicUnavailable)?;
            cluster.wait_published(offset).await;
            Ok(())
        })
    }

    fn max_batch_bytes(&self) -> usize {
        let image = self.cluster.image();
        let led = image.topic(GROUP_METADATA_TOPIC).and_then(|topic| self.replicas.partition(topic.id, 0));
        let config = led.map_or_else(|| Arc::clone(&self.config.load().topic_defaults), |partition| partition.config());
        usize::try_from(config.max_message_bytes).unwrap_or(0)
    }

    fn append(&self, partition: i32, leader_epoch: LeaderEpoch, batch: Bytes) -> BoxFuture<Result<(), AppendError>> {
        let begun =
            self.partition(partition, leader_epoch).and_then(|found| begin_append(&found, leader_epoch, &batch));
        Box::pin(async move {
            // What was appended and is not acknowledged may still survive: only `NotLeader` leaves that open.
            begun?.done().await.map_err(|error| {
                tracing::warn!(partition, %error, "a coordinator's append is not acknowledged");
                AppendError::NotLeader { partition, leader_epoch }
            })
        })
    }

    fn load(
        &self,
        partition: i32,
        leader_epoch: LeaderEpoch,
        from_offset: i64,
    ) -> BoxFuture<Result<LoadChunk, LoadError>> {
        let found = self.partition(partition, leader_epoch);
        let memory = self.load_memory.clone();
        Box::pin(async move {
            let found = found.map_err(|_| LoadError::NotLeader { partition, leader_epoch })?;
            load_chunk(&found, from_offset, &memory).await
        })
    }
}

fn begin_append(
    partition: &Partition,
    leader_epoch: LeaderEpoch,
    batch: &Bytes,
) -> Result<crate::replica::waiters::OffsetWait, AppendError> {
    let header = BatchView::parse(batch).map_err(|error| AppendError::Storage(error.to_string()))?.header;
    let max_bytes = usize::try_from(partition.config().max_message_bytes).unwrap_or(0);
    if batch.len() > max_bytes {
        return Err(AppendError::TooLarge { bytes: batch.len(), max_bytes });
    }
    let info = BatchInfo::new(0, &header, None);
    let records = BytesMut::from(batch.as_ref());
    // One batch of a shard is in flight at a time: that bounds them.
    let appended = partition.append(records, &[info], AppendOrigin::Coordinator, Acks::All, leader_epoch, None);
    appended.map(|(_, wait)| wait).map_err(|error| match error {
        ReplicaError::NotLeader { .. }
        | ReplicaError::FencedLeaderEpoch { .. }
        | ReplicaError::UnknownLeaderEpoch { .. } => {
            AppendError::NotLeader { partition: partition.id().partition, leader_epoch }
        }
        ReplicaError::NotEnoughReplicas { .. } => AppendError::NotEnoughReplicas(error.to_string()),
        other => AppendError::Storage(other.to_string()),
    })
}

async fn load_chunk(partition: &Partition, from_offset: i64, budget: &Budget) -> Result<LoadChunk, LoadError> {
    let log = partition.log();
    let from_offset = from_offset.max(log.start_offset());
    let end_offset = partition.high_watermark();
    if from_offset >= end_offset {
        return Ok(LoadChunk::default());
    }
    let mut range =
        ReadRange { from_offset, end_offset, max_bytes: LOAD_BYTES, at_least_one: true, most_bytes: 2 * LOAD_BYTES };
    let (records, memory) = loop {
        let mut memory = budget.reserve(range.most_bytes).await;
        match log.read(&range).await {
            Ok(records) => {
                memory.shrink_to(records.bytes);
                break (records, memory);
            }
            Err(error) => match error.long_run_bytes().filter(|needed| *needed > range.most_bytes) {
                Some(needed) => range.most_bytes = needed,
                None => return Err(LoadError::Storage(error.to_string())),
            },
        }
    };
    let last = records.pieces.last().and_then(|piece| crate::protocol::record_batch::Batches::new(piece).last());
    let next_offset = match last {
        Some(batch) => batch.map_err(|error| LoadError::Storage(error.to_string()))?.header.last_offset() + 1,
        // Nothing at all up to the high watermark: compaction may leave such a gap at the end.
        None => end_offset,
    };
    let next_offset = (next_offset < end_offset).then_some(next_offset);
    Ok(LoadChunk { batches: records.pieces, next_offset, memory: Some(Arc::new(memory)) })
}

/// The topic as Kafka makes it: compacted, small segments, as many partitions and replicas as configured.
fn create_topic(image: &MetadataImage, config: Arc<BrokerConfig>, voters: usize) -> Decision<Result<(), String>> {
    if image.topic(GROUP_METADATA_TOPIC).is_some() {
        return Decision::unchanged(Ok(()));
    }
    let name = TopicName(StrBytes::from_static_str(GROUP_METADATA_TOPIC));
    let topic = internal_topic::creatable(&config, name, internal_topic::most_replicas(image, voters));
    let defaults = TopicDefaults { partitions: config.num_partitions, replication_factor: 1 };
    let rules = TableRules { config };
    let how = TopicCreation { defaults, rules: &rules, random: &mut SystemRandomness, validate_only: false };
    match topics::create(image, std::slice::from_ref(&topic), how) {
        Err(error) => Decision::unchanged(Err(error.message.unwrap_or_else(|| error.error.to_string()))),
        Ok(Decision { records, reply }) => {
            let refused = reply
                .into_iter()
                .find(|result| result.error_code != 0 && result.error_code != ResponseError::TopicAlreadyExists.code());
            let told = refused.map(|r| r.error_message.map_or_else(|| r.error_code.to_string(), |m| m.to_string()));
            Decision { records, reply: told.map_or(Ok(()), Err) }
        }
    }
}

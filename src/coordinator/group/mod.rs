//! The group coordinator: consumer groups of the classic protocol, and committed offsets.
//!
//! [`GroupCoordinator`] takes requests to the shard of the group's partition. Layout: [`classic`] is a group's pure state machine, [`offsets`] the
//! committed offsets, [`shard`] joins both for one partition, [`records`] are their log formats. Groups of the consumer protocol (KIP-848) will
//! stand beside [`classic`].

pub mod classic;
pub mod config;
pub mod offsets;
pub mod records;
#[cfg(test)]
mod reload;
pub mod requests;
pub mod shard;
#[cfg(test)]
mod simulation;
pub mod status;
pub mod survey;
pub mod telemetry;

use kafka_protocol::ResponseError;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::classic::{JoinReply, JoinRequest, LeavingMember, SyncReply, SyncRequest};
use self::config::GroupConfig;
use self::requests::{CommitRequest, DescribedGroup, FetchedTopic, ListedGroup, TopicPartitions, TopicResults};
use self::shard::GroupShard;
use self::telemetry::GroupMetrics;
use super::log::{CoordinatorLog, TopicUnavailable};
use super::runtime::{Effects, Runtime, Turn};
use crate::types::LeaderEpoch;
use crate::types::time::SharedClock;

/// The topic of the coordinator's records.
pub use crate::types::topic_name::GROUP_METADATA_TOPIC;

/// Coordinates the groups whose partitions of `__consumer_offsets` this broker leads.
pub struct GroupCoordinator {
    config: Arc<GroupConfig>,
    log: Arc<dyn CoordinatorLog>,
    runtime: Runtime<GroupShard>,
}

impl GroupCoordinator {
    /// One that counts nothing.
    pub fn new(config: GroupConfig, log: Arc<dyn CoordinatorLog>, clock: SharedClock) -> Self {
        Self::counting(config, log, clock, GroupMetrics::default())
    }

    pub fn counting(
        config: GroupConfig,
        log: Arc<dyn CoordinatorLog>,
        clock: SharedClock,
        metrics: GroupMetrics,
    ) -> Self {
        let config = Arc::new(config);
        let of_shards = config.clone();
        let runtime = Runtime::new(log.clone(), clock, config.compression, move |partition| {
            GroupShard::new(partition, of_shards.clone(), metrics.clone())
        });
        Self { config, log, runtime }
    }

    pub fn config(&self) -> &GroupConfig {
        &self.config
    }

    /// The partition of `__consumer_offsets` whose leader coordinates the group.
    pub fn partition_for(&self, group_id: &str) -> i32 {
        partition_for(group_id, self.log.partition_count())
    }

    /// Sees to it that `__consumer_offsets` exists.
    pub async fn ensure_topic(&self) -> Result<(), TopicUnavailable> {
        self.log.ensure_topic().await
    }

    /// This broker leads a partition of `__consumer_offsets` from now on.
    pub fn lead(&self, partition: i32, leader_epoch: LeaderEpoch) {
        self.runtime.lead(partition, leader_epoch);
    }

    /// This broker leads a partition of `__consumer_offsets` no more (`leader_epoch`: up to which epoch, if it is known).
    pub fn resign(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        self.runtime.resign(partition, leader_epoch);
    }

    /// Lets all groups go: whoever waits is told to look for the coordinator anew.
    pub fn shutdown(&self) {
        self.runtime.shutdown();
    }

    /// JoinGroup: answered when the group's join phase ends, or at once where there is nothing to wait for.
    pub async fn join(&self, group_id: &str, request: JoinRequest) -> JoinReply {
        let member_id = request.member_id.clone();
        if group_id.is_empty() {
            return JoinReply::refused(ResponseError::InvalidGroupId, member_id);
        }
        let bounds = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !bounds.contains(&request.session_timeout_ms) {
            return JoinReply::refused(ResponseError::InvalidSessionTimeout, member_id);
        }
        let group: Arc<str> = group_id.into();
        let (sender, receiver) = oneshot::channel();
        let submitted = self
            .runtime
            .submit(self.partition_for(group_id), move |turn| match turn {
                Turn::Run(shard, effects) => shard.join(&group, request, sender, effects),
                Turn::Refused(error) => {
                    let _ = sender.send(JoinReply::refused(error, ""));
                }
            })
            .await;
        match submitted {
            Ok(()) => receiver.await.unwrap_or_else(|_| JoinReply::refused(ResponseError::NotCoordinator, "")),
            Err(error) => JoinReply::refused(error, ""),
        }
    }

    /// SyncGroup: answered when the leader's assignments are stored.
    pub async fn sync(&self, group_id: &str, request: SyncRequest) -> SyncReply {
        if group_id.is_empty() {
            return SyncReply::refused(ResponseError::InvalidGroupId);
        }
        let group: Arc<str> = group_id.into();
        let (sender, receiver) = oneshot::channel();
        let submitted = self
            .runtime
            .submit(self.partition_for(group_id), move |turn| match turn {
                Turn::Run(shard, effects) => shard.sync(&group, request, sender, effects),
                Turn::Refused(error) => {
                    let _ = sender.send(SyncReply::refused(error));
                }
            })
            .await;
        match submitted {
            Ok(()) => receiver.await.unwrap_or_else(|_| SyncReply::refused(ResponseError::NotCoordinator)),
            Err(error) => SyncReply::refused(error),
        }
    }

    /// Heartbeat. While the group is being loaded, it is answered as if all were well.
    pub async fn heartbeat(
        &self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        if group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let (group, member): (Arc<str>, Arc<str>) = (group_id.into(), member_id.into());
        let instance: Option<Arc<str>> = instance_id.map(Arc::from);
        let result = self
            .write(group_id, move |shard, effects| {
                shard.heartbeat(&group, &member, instance.as_deref(), generation, effects)
            })
            .await;
        match result {
            Err(ResponseError::CoordinatorLoadInProgress) => Ok(()),
            other => other,
        }
    }

    /// LeaveGroup: one result per member, or an error for all.
    pub async fn leave(
        &self,
        group_id: &str,
        leaving: Vec<LeavingMember>,
    ) -> Result<Vec<Result<(), ResponseError>>, ResponseError> {
        if group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let count = leaving.len();
        let group: Arc<str> = group_id.into();
        match self.write(group_id, move |shard, effects| shard.leave(&group, &leaving, effects)).await {
            // No such group: no such members.
            Err(ResponseError::UnknownMemberId) => Ok(vec![Err(ResponseError::UnknownMemberId); count]),
            other => other,
        }
    }

    /// OffsetCommit. The handler has checked that the topics exist.
    pub async fn commit_offsets(&self, request: CommitRequest) -> Result<Vec<TopicResults>, ResponseError> {
        let group = request.group_id.clone();
        self.write(&group, move |shard, effects| shard.commit_offsets(&request, effects)).await
    }

    /// OffsetFetch of one group; `topics` is `None` for all that have offsets. Answered when what was committed before is so for good.
    pub async fn fetch_offsets(
        &self,
        group_id: &str,
        topics: Option<Vec<TopicPartitions>>,
        require_stable: bool,
    ) -> Result<Vec<FetchedTopic>, ResponseError> {
        let group: Arc<str> = group_id.into();
        let fetched = self
            .write(group_id, move |shard, _| Ok(shard.fetch_offsets(&group, topics.as_deref(), require_stable)))
            .await;
        // Consumers before Kafka 3.9 do not expect the one and retry on the other, which also makes them look for the coordinator anew.
        fetched.map_err(|error| match error {
            ResponseError::CoordinatorNotAvailable => ResponseError::NotCoordinator,
            other => other,
        })
    }

    /// OffsetDelete. The handler has checked that the topics exist.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        topics: Vec<TopicPartitions>,
    ) -> Result<Vec<TopicResults>, ResponseError> {
        if group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let group: Arc<str> = group_id.into();
        self.write(group_id, move |shard, effects| shard.delete_offsets(&group, &topics, effects)).await
    }

    /// DeleteGroups: one result per group, in the given order. What one partition coordinates goes into the log together.
    pub async fn delete_groups(&self, group_ids: Vec<Arc<str>>) -> Vec<(Arc<str>, Result<(), ResponseError>)> {
        let mut by_partition: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (index, group_id) in group_ids.iter().enumerate() {
            by_partition.entry(self.partition_for(group_id)).or_default().push(index);
        }
        let mut results: Vec<(Arc<str>, Result<(), ResponseError>)> =
            group_ids.into_iter().map(|group_id| (group_id, Ok(()))).collect();
        for (partition, indexes) in by_partition {
            let ids: Vec<Arc<str>> =
                indexes.iter().filter_map(|index| results.get(*index)).map(|(group_id, _)| group_id.clone()).collect();
            let count = ids.len();
            let deleted = self
                .write_at(partition, move |shard, effects| {
                    Ok(ids.iter().map(|group_id| shard.delete_group(group_id, effects)).collect::<Vec<_>>())
                })
                .await
                .unwrap_or_else(|error| vec![Err(error); count]);
            for (index, result) in indexes.into_iter().zip(deleted) {
                if let Some(place) = results.get_mut(index) {
                    place.1 = result;
                }
            }
        }
        results
    }

    /// DescribeGroups, of one group: `None` when there is no such group.
    pub async fn describe(&self, group_id: &str) -> Result<Option<DescribedGroup>, ResponseError> {
        let group: Arc<str> = group_id.into();
        self.read(self.partition_for(group_id), move |shard| shard.describe(&group)).await
    }

    /// ListGroups: this broker's groups in any of the states (all, when there are none), in the order of their ids.
    pub async fn list(&self, states: Vec<String>) -> Result<Vec<ListedGroup>, ResponseError> {
        let states = Arc::new(states);
        let mut listed = Vec::new();
        for partition in self.runtime.partitions() {
            let states = states.clone();
            match self.read(partition, move |shard| shard.list(&states)).await {
                Ok(groups) => listed.extend(groups),
                // Given away since it was named.
                Err(ResponseError::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        listed.sort_by(|a: &ListedGroup, b: &ListedGroup| a.group_id.cmp(&b.group_id));
        Ok(listed)
    }

    /// Topics have been deleted: so are their offsets, in every group coordinated here.
    pub async fn topics_deleted(&self, topics: Vec<(Arc<str>, Uuid)>) {
        let topics: Arc<[(Arc<str>, Uuid)]> = topics.into();
        for partition in self.runtime.partitions() {
            let topics = topics.clone();
            let cleaned = self.write_at(partition, move |shard, effects| {
                shard.topics_deleted(&topics, effects);
                Ok(())
            });
            if let Err(error) = cleaned.await {
                tracing::warn!(partition, %error, "offsets of deleted topics could not be removed; they expire by themselves");
            }
        }
    }

    async fn write<R: Send + 'static>(
        &self,
        group_id: &str,
        decide: impl FnOnce(&mut GroupShard, &mut Effects<GroupShard>) -> Result<R, ResponseError> + Send + 'static,
    ) -> Result<R, ResponseError> {
        self.write_at(self.partition_for(group_id), decide).await
    }

    /// Decides on a shard, and answers once everything decided up to then is committed. A refusal is told at once.
    async fn write_at<R: Send + 'static>(
        &self,
        partition: i32,
        decide: impl FnOnce(&mut GroupShard, &mut Effects<GroupShard>) -> Result<R, ResponseError> + Send + 'static,
    ) -> Result<R, ResponseError> {
        let (sender, receiver) = oneshot::channel();
        let operation = move |turn: Turn<'_, GroupShard>| match turn {
            Turn::Run(shard, effects) => match decide(shard, effects) {
                Ok(value) => effects.after_commit(move |result| {
                    let _ = sender.send(result.map(|()| value));
                }),
                Err(error) => {
                    let _ = sender.send(Err(error));
                }
            },
            Turn::Refused(error) => {
                let _ = sender.send(Err(error));
            }
        };
        let answered = async {
            self.runtime.submit(partition, operation).await?;
            receiver.await.unwrap_or(Err(ResponseError::NotCoordinator))
        };
        // The records may be committed yet; the client asks again.
        tokio::time::timeout(self.config.offset_commit_timeout, answered)
            .await
            .unwrap_or(Err(ResponseError::CoordinatorNotAvailable))
    }

    async fn read<R: Send + 'static>(
        &self,
        partition: i32,
        look: impl FnOnce(&GroupShard) -> R + Send + 'static,
    ) -> Result<R, ResponseError> {
        let (sender, receiver) = oneshot::channel();
        let operation = move |turn: Turn<'_, GroupShard>| {
            let _ = sender.send(match turn {
                Turn::Run(shard, _) => Ok(look(shard)),
                Turn::Refused(error) => Err(error),
            });
        };
        self.runtime.submit(partition, operation).await?;
        receiver.await.unwrap_or(Err(ResponseError::NotCoordinator))
    }
}

/// Kafka's rule: Java's `String.hashCode` (over UTF-16 code units), made positive, modulo the number of partitions.
pub fn partition_for(group_id: &str, partition_count: i32) -> i32 {
    let hash = group_id.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partition_count.max(1)
}

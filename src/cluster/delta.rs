//! What changed from one image to the next, so that subscribers look only at that.
//!
//! A delta names things; their new state is in the image that comes with it. Deltas that follow each other may be merged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

use super::image::{MetadataImage, Topic};
use super::record::ConfigResource;
use crate::types::{BrokerId, TopicIdPartition};

#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// Topics that are new. Their partitions are not in `partitions`.
    pub topics_created: BTreeSet<Uuid>,
    /// Topics that are gone, as they were.
    pub topics_deleted: BTreeMap<Uuid, Arc<Topic>>,
    /// Partitions that were added to a topic that was there, or whose replicas, ISR, leader or epochs changed.
    pub partitions: BTreeSet<TopicIdPartition>,
    pub configs: BTreeSet<ConfigResource>,
    /// Brokers that were registered, changed or unregistered.
    pub brokers: BTreeSet<BrokerId>,
    pub features_changed: bool,
    pub producer_ids_changed: bool,
}

impl Delta {
    pub fn is_empty(&self) -> bool {
        self.topics_created.is_empty()
            && self.topics_deleted.is_empty()
            && self.partitions.is_empty()
            && self.configs.is_empty()
            && self.brokers.is_empty()
            && !self.features_changed
            && !self.producer_ids_changed
    }

    pub(super) fn topic_created(&mut self, id: Uuid) {
        self.topics_created.insert(id);
    }

    pub(super) fn topic_deleted(&mut self, topic: Arc<Topic>) {
        // A topic that came and went between two images was never seen.
        if !self.topics_created.remove(&topic.id) {
            let all = TopicIdPartition { topic_id: topic.id, partition: i32::MIN }..=TopicIdPartition {
                topic_id: topic.id,
                partition: i32::MAX,
            };
            let changed: Vec<_> = self.partitions.range(all).copied().collect();
            for partition in changed {
                self.partitions.remove(&partition);
            }
            self.topics_deleted.insert(topic.id, topic);
        }
    }

    pub(super) fn partition_changed(&mut self, partition: TopicIdPartition) {
        if !self.topics_created.contains(&partition.topic_id) {
            self.partitions.insert(partition);
        }
    }

    /// Adds what a later delta says.
    pub fn merge(&mut self, later: Self) {
        for topic in later.topics_deleted.into_values() {
            self.topic_deleted(topic);
        }
        self.topics_created.extend(later.topics_created);
        for partition in later.partitions {
            self.partition_changed(partition);
        }
        self.configs.extend(later.configs);
        self.brokers.extend(later.brokers);
        self.features_changed |= later.features_changed;
        self.producer_ids_changed |= later.producer_ids_changed;
    }

    /// The difference of two images, for when the records between them are not at hand (a snapshot was installed).
    pub fn between(old: &MetadataImage, new: &MetadataImage) -> Self {
        let mut delta = Self::default();
        for topic in old.topics() {
            if new.topic_by_id(&topic.id).is_none() {
                delta.topic_deleted(topic.clone());
            }
        }
        for topic in new.topics() {
            let Some(before) = old.topic_by_id(&topic.id) else {
                delta.topic_created(topic.id);
                continue;
            };
            if Arc::ptr_eq(before, topic) {
                continue;
            }
            for (partition, state) in (0..).zip(&topic.partitions) {
                if before.partition(partition) != Some(state) {
                    delta.partition_changed(TopicIdPartition { topic_id: topic.id, partition });
                }
            }
        }
        for (resource, configs) in old.config_resources().chain(new.config_resources()) {
            let here = |image: &MetadataImage| image.configs(resource).is_some_and(|other| other == configs);
            if !here(old) || !here(new) {
                delta.configs.insert(resource.clone());
            }
        }
        for broker in old.brokers().chain(new.brokers()) {
            if old.broker(broker.id) != new.broker(broker.id) {
                delta.brokers.insert(broker.id);
            }
        }
        delta.features_changed = !old.features().eq(new.features());
        delta.producer_ids_changed = old.next_producer_id() != new.next_producer_id();
        delta
    }

    /// How many partitions have a leader, in the later image, that was not in sync in the earlier one.
    pub fn unclean_elections(&self, before: &MetadataImage, after: &MetadataImage) -> u64 {
        let is_unclean = |id: &&TopicIdPartition| {
            let (Some(before), Some(after)) = (before.partition(id), after.partition(id)) else { return false };
            after.has_leader() && after.leader != before.leader && !before.isr.contains(&after.leader)
        };
        self.partitions.iter().filter(is_unclean).count() as u64
    }
}

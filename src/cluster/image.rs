//! The cluster's metadata at one offset: immutable for readers, cheap to clone and to change.
//!
//! Only `apply` changes one, and only before it is published. Look-ups are by reference and never block.

use imbl::{HashMap, OrdMap};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

use super::record::{BrokerState, ConfigResource, PartitionState};
use crate::types::{BrokerId, TopicIdPartition};

/// The offset of an image before any record.
pub const NO_OFFSET: i64 = -1;

/// A topic and its partitions; a partition's index is its position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    pub id: Uuid,
    pub name: Arc<str>,
    pub partitions: Vec<PartitionState>,
}

impl Topic {
    pub fn partition(&self, index: i32) -> Option<&PartitionState> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// As Kafka counts them. A topic never has more than `i32::MAX` partitions.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    pub fn replication_factor(&self) -> i16 {
        self.partitions.first().map_or(0, |partition| i16::try_from(partition.replicas.len()).unwrap_or(i16::MAX))
    }
}

/// A resource's dynamic configuration.
pub type Configs = BTreeMap<Arc<str>, Arc<str>>;

#[derive(Clone, Debug)]
pub struct MetadataImage {
    pub(super) offset: i64,
    pub(super) cluster_id: Arc<str>,
    pub(super) topics: HashMap<Uuid, Arc<Topic>>,
    pub(super) topic_ids: OrdMap<Arc<str>, Uuid>,
    /// Topic names that hold '.' or '_', by the name with '.' replaced by '_': in metric names they would be the same.
    pub(super) similar_names: HashMap<Arc<str>, Arc<Vec<Arc<str>>>>,
    pub(super) brokers: OrdMap<BrokerId, Arc<BrokerState>>,
    pub(super) configs: HashMap<ConfigResource, Arc<Configs>>,
    pub(super) features: OrdMap<Arc<str>, i16>,
    pub(super) next_producer_id: i64,
    pub(super) partition_count: usize,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self {
            offset: NO_OFFSET,
            cluster_id: "".into(),
            topics: HashMap::new(),
            topic_ids: OrdMap::new(),
            similar_names: HashMap::new(),
            brokers: OrdMap::new(),
            configs: HashMap::new(),
            features: OrdMap::new(),
            next_producer_id: 0,
            partition_count: 0,
        }
    }
}

impl MetadataImage {
    /// The offset of the last record applied: records are counted from 0. [`NO_OFFSET`] before the first.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Empty until the cluster's first record.
    pub fn cluster_id(&self) -> &Arc<str> {
        &self.cluster_id
    }

    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.topic_ids.get(name)?)
    }

    pub fn topic_by_id(&self, id: &Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(id)
    }

    pub fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.topic_ids.get(name).copied()
    }

    pub fn topic_name(&self, id: &Uuid) -> Option<&Arc<str>> {
        self.topics.get(id).map(|topic| &topic.name)
    }

    pub fn partition(&self, id: &TopicIdPartition) -> Option<&PartitionState> {
        self.topics.get(&id.topic_id)?.partition(id.partition)
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topic_ids.iter().filter_map(|(_, id)| self.topics.get(id))
    }

    /// Topics in the order of their names, from `name` (inclusive) on.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        let from: Arc<str> = name.into();
        self.topic_ids.range(from..).filter_map(|(_, id)| self.topics.get(id))
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerState>> {
        self.brokers.values()
    }

    pub fn broker(&self, id: BrokerId) -> Option<&Arc<BrokerState>> {
        self.brokers.get(&id)
    }

    pub fn is_active(&self, id: BrokerId) -> bool {
        self.brokers.get(&id).is_some_and(|broker| broker.is_active())
    }

    /// The dynamic configuration of one resource, without the defaults below it.
    pub fn configs(&self, resource: &ConfigResource) -> Option<&Arc<Configs>> {
        self.configs.get(resource)
    }

    /// Every resource that has dynamic configuration.
    pub fn config_resources(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<Configs>)> {
        self.configs.iter()
    }

    pub fn feature_level(&self, name: &str) -> Option<i16> {
        self.features.get(name).copied()
    }

    pub fn features(&self) -> impl Iterator<Item = (&Arc<str>, i16)> {
        self.features.iter().map(|(name, level)| (name, *level))
    }

    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// An existing topic whose name would be the same in metric names, if any.
    pub fn similar_topic(&self, name: &str) -> Option<&Arc<str>> {
        self.similar_names.get(unified(name).as_str())?.first()
    }
}

/// Whether a name has characters that metric names cannot tell apart.
pub(super) fn has_similar_characters(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// The name under which similar names meet.
pub(super) fn unified(name: &str) -> String {
    name.replace('.', "_")
}

/// The form of an image in a snapshot. The derived look-ups are built again from it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredImage {
    version: u8,
    offset: i64,
    cluster_id: Arc<str>,
    topics: Vec<Arc<Topic>>,
    brokers: Vec<Arc<BrokerState>>,
    configs: Vec<(ConfigResource, Arc<Configs>)>,
    features: Vec<(Arc<str>, i16)>,
    next_producer_id: i64,
}

/// The version of [`StoredImage`] that this build writes.
const IMAGE_VERSION: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("the metadata snapshot does not parse: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("metadata snapshot of version {0}, but this build knows version {IMAGE_VERSION}: start a newer build")]
    UnknownVersion(u8),
}

impl MetadataImage {
    /// The image as a snapshot's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ImageError> {
        let stored = StoredImage {
            version: IMAGE_VERSION,
            offset: self.offset,
            cluster_id: self.cluster_id.clone(),
            topics: self.topics().cloned().collect(),
            brokers: self.brokers.values().cloned().collect(),
            configs: self.configs.iter().map(|(resource, configs)| (resource.clone(), configs.clone())).collect(),
            features: self.features.iter().map(|(name, level)| (name.clone(), *level)).collect(),
            next_producer_id: self.next_producer_id,
        };
        Ok(serde_json::to_vec(&stored)?)
    }

    /// # Errors
    /// When the bytes are not a snapshot of a version that this build knows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageError> {
        #[derive(Deserialize)]
        struct Version {
            version: u8,
        }
        let Version { version } = serde_json::from_slice(bytes)?;
        if version != IMAGE_VERSION {
            return Err(ImageError::UnknownVersion(version));
        }
        let stored: StoredImage = serde_json::from_slice(bytes)?;
        let mut image = Self {
            offset: stored.offset,
            cluster_id: stored.cluster_id,
            brokers: stored.brokers.into_iter().map(|broker| (broker.id, broker)).collect(),
            configs: stored.configs.into_iter().collect(),
            features: stored.features.into_iter().collect(),
            next_producer_id: stored.next_producer_id,
            ..Self::default()
        };
        for topic in stored.topics {
            image.insert_topic(topic);
        }
        Ok(image)
    }

    /// Adds a topic with all of its look-ups.
    pub(super) fn insert_topic(&mut self, topic: Arc<Topic>) {
        self.partition_count += topic.partitions.len();
        self.topic_ids.insert(topic.name.clone(), topic.id);
        if has_similar_characters(&topic.name) {
            let names = self.similar_names.entry(unified(&topic.name).into()).or_default();
            Arc::make_mut(names).push(topic.name.clone());
        }
        self.topics.insert(topic.id, topic);
    }

    /// Removes a topic with all of its look-ups; its configuration stays.
    pub(super) fn remove_topic(&mut self, id: &Uuid) -> Option<Arc<Topic>> {
        let topic = self.topics.remove(id)?;
        self.partition_count = self.partition_count.saturating_sub(topic.partitions.len());
        self.topic_ids.remove(&topic.name);
        if has_similar_characters(&topic.name) {
            let unified: Arc<str> = unified(&topic.name).into();
            if let Some(names) = self.similar_names.get_mut(&unified) {
                let names = Arc::make_mut(names);
                names.retain(|name| *name != topic.name);
                if names.is_empty() {
                    self.similar_names.remove(&unified);
                }
            }
        }
        Some(topic)
    }
}

impl PartialEq for MetadataImage {
    fn eq(&self, other: &Self) -> bool {
        self.offset == other.offset
            && self.cluster_id == other.cluster_id
            && self.topics == other.topics
            && self.topic_ids == other.topic_ids
            && self.brokers == other.brokers
            && self.configs == other.configs
            && self.features == other.features
            && self.next_producer_id == other.next_producer_id
            && self.partition_count == other.partition_count
    }
}

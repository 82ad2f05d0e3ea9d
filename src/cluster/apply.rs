//! Applies records to an image. Pure: reads no clock, randomness or configuration, so every node that applies the same log holds the same image.
//!
//! Never refuses part of a command: an error here says that the log and this build disagree, and the node must stop following it.

use std::sync::Arc;
use uuid::Uuid;

use super::delta::Delta;
use super::image::{Configs, MetadataImage, Topic};
use super::record::{ConfigResource, Record};
use crate::types::{BrokerId, TopicIdPartition};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("metadata record {offset} cannot be applied: {what}")]
pub struct ApplyError {
    pub offset: i64,
    pub what: String,
}

/// Applies `records` in order and notes in `delta` what they changed.
///
/// # Errors
/// When a record contradicts the image. The image is then useless: keep the one from before.
pub fn apply(image: &mut MetadataImage, records: &[Record], delta: &mut Delta) -> Result<(), ApplyError> {
    for record in records {
        let offset = image.offset + 1;
        apply_one(image, record, delta).map_err(|what| ApplyError { offset, what })?;
        image.offset = offset;
    }
    Ok(())
}

fn apply_one(image: &mut MetadataImage, record: &Record, delta: &mut Delta) -> Result<(), String> {
    match record {
        Record::ClusterCreated { cluster_id } => {
            if !image.cluster_id.is_empty() {
                return Err(format!("the cluster has the id {} already", image.cluster_id));
            }
            image.cluster_id = cluster_id.clone();
        }
        Record::TopicCreated { .. }
        | Record::PartitionsAdded { .. }
        | Record::PartitionChanged { .. }
        | Record::TopicDeleted { .. } => return apply_topic(image, record, delta),
        Record::ConfigChanged { resource, key, value } => {
            set_config(image, resource, key, value.as_ref());
            delta.configs.insert(resource.clone());
        }
        Record::LeaderRestarted { id } => restart_leader(image, *id, delta),
        Record::BrokerRegistered(_) | Record::BrokerChanged { .. } | Record::BrokerUnregistered { .. } => {
            return apply_broker(image, record, delta);
        }
        Record::ProducerIdsAllocated { next_producer_id, .. } => {
            if *next_producer_id <= image.next_producer_id {
                return Err(format!("next producer id {next_producer_id} after {}", image.next_producer_id));
            }
            image.next_producer_id = *next_producer_id;
            delta.producer_ids_changed = true;
        }
        Record::FeatureLevelChanged { name, level } => {
            if *level == 0 {
                image.features.remove(name);
            } else {
                image.features.insert(name.clone(), *level);
            }
            delta.features_changed = true;
        }
    }
    Ok(())
}

fn apply_topic(image: &mut MetadataImage, record: &Record, delta: &mut Delta) -> Result<(), String> {
    match record {
        Record::TopicCreated { id, name, partitions } => {
            if image.topics.contains_key(id) || image.topic_ids.contains_key(name) {
                return Err(format!("topic {name} with id {id} exists"));
            }
            let topic = Topic { id: *id, name: name.clone(), partitions: partitions.clone() };
            image.insert_topic(Arc::new(topic));
            delta.topic_created(*id);
        }
        Record::PartitionsAdded { topic_id, first, partitions } => {
            let topic = image.topics.get_mut(topic_id).ok_or_else(|| format!("no topic with id {topic_id}"))?;
            if topic.partition_count() != *first {
                return Err(format!(
                    "partitions from {first} on for topic {}, which has {}",
                    topic.name,
                    topic.partition_count()
                ));
            }
            Arc::make_mut(topic).partitions.extend_from_slice(partitions);
            image.partition_count += partitions.len();
            for (partition, _) in (*first..).zip(partitions) {
                delta.partition_changed(TopicIdPartition { topic_id: *topic_id, partition });
            }
        }
        Record::PartitionChanged { topic_id, partition, state } => {
            let topic = image.topics.get_mut(topic_id).ok_or_else(|| format!("no topic with id {topic_id}"))?;
            let slot = usize::try_from(*partition)
                .ok()
                .and_then(|index| Arc::make_mut(topic).partitions.get_mut(index))
                .ok_or_else(|| format!("no partition {partition} in topic {topic_id}"))?;
            *slot = state.clone();
            delta.partition_changed(TopicIdPartition { topic_id: *topic_id, partition: *partition });
        }
        Record::TopicDeleted { id } => {
            let topic = image.remove_topic(id).ok_or_else(|| format!("no topic with id {id}"))?;
            let resource = ConfigResource::topic(topic.name.clone());
            if image.configs.remove(&resource).is_some() {
                delta.configs.insert(resource);
            }
            delta.topic_deleted(topic);
        }
        _ => return Err("not a record about topics".to_owned()),
    }
    Ok(())
}

fn apply_broker(image: &mut MetadataImage, record: &Record, delta: &mut Delta) -> Result<(), String> {
    let id = match record {
        Record::BrokerRegistered(broker) => {
            image.brokers.insert(broker.id, Arc::new(broker.clone()));
            broker.id
        }
        Record::BrokerChanged { id, epoch, fenced, in_controlled_shutdown } => {
            let broker = image.brokers.get_mut(id).ok_or_else(|| format!("no broker {id}"))?;
            if broker.epoch != *epoch {
                return Err(format!("broker {id} has epoch {}, not {epoch}", broker.epoch));
            }
            let broker = Arc::make_mut(broker);
            broker.fenced = fenced.unwrap_or(broker.fenced);
            broker.in_controlled_shutdown = in_controlled_shutdown.unwrap_or(broker.in_controlled_shutdown);
            *id
        }
        Record::BrokerUnregistered { id, epoch } => {
            match image.brokers.get(id) {
                Some(broker) if broker.epoch == *epoch => image.brokers.remove(id),
                Some(broker) => return Err(format!("broker {id} has epoch {}, not {epoch}", broker.epoch)),
                None => return Err(format!("no broker {id}")),
            };
            *id
        }
        _ => return Err("not a record about brokers".to_owned()),
    };
    delta.brokers.insert(id);
    Ok(())
}

fn restart_leader(image: &mut MetadataImage, id: BrokerId, delta: &mut Delta) {
    let leads = |topic: &&Arc<Topic>| topic.partitions.iter().any(|partition| partition.leader == id);
    let topics: Vec<Uuid> = image.topics.values().filter(leads).map(|topic| topic.id).collect();
    for topic_id in topics {
        let Some(topic) = image.topics.get_mut(&topic_id) else { continue };
        for (partition, state) in (0..).zip(&mut Arc::make_mut(topic).partitions) {
            if state.leader == id {
                state.leader_epoch += 1;
                state.partition_epoch += 1;
                delta.partition_changed(TopicIdPartition { topic_id, partition });
            }
        }
    }
}

fn set_config(image: &mut MetadataImage, resource: &ConfigResource, key: &Arc<str>, value: Option<&Arc<str>>) {
    match value {
        Some(value) => {
            let configs = image.configs.entry(resource.clone()).or_insert_with(|| Arc::new(Configs::new()));
            Arc::make_mut(configs).insert(key.clone(), value.clone());
        }
        None => {
            if let Some(configs) = image.configs.get_mut(resource) {
                let configs = Arc::make_mut(configs);
                configs.remove(key);
                if configs.is_empty() {
                    image.configs.remove(resource);
                }
            }
        }
    }
}

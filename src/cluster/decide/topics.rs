//! Creating and deleting topics (Kafka's `ReplicationControlManager`).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

use super::configs::{self, ConfigChange, ConfigOp};
use super::partitions::validate_manual_assignment;
use super::{ApiError, ConfigRules, Decision, Randomness};
use crate::cluster::image::{Configs, MetadataImage};
use crate::cluster::placement::{place, usable_brokers};
use crate::cluster::record::{ConfigResource, PartitionState, Record, Replicas};
use crate::types::limits::TOPIC_NAME_MAX_CHARS;

/// Kafka's bound on the partitions that one request may ask for (`MAX_PARTITIONS_PER_BATCH`).
pub const MAX_PARTITIONS_PER_REQUEST: i64 = 10_000;

/// What a topic gets that leaves it open (KIP-464): the brokers' `num.partitions` and `default.replication.factor`.
#[derive(Clone, Copy, Debug)]
pub struct TopicDefaults {
    pub partitions: i32,
    pub replication_factor: i16,
}

/// What creating topics needs besides the image and the request.
pub struct TopicCreation<'a> {
    pub defaults: TopicDefaults,
    pub rules: &'a dyn ConfigRules,
    pub random: &'a mut dyn Randomness,
    pub validate_only: bool,
}

/// Kafka's rules for topic names (`Topic.validate`).
///
/// # Errors
/// The sentence that Kafka answers.
pub fn validate_topic_name(name: &str) -> Result<(), String> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.encode_utf16().count() > TOPIC_NAME_MAX_CHARS {
        format!("the length of '{name}' is longer than the max allowed length {TOPIC_NAME_MAX_CHARS}")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {reason}"))
}

/// Creates topics. Names in `topics` are distinct: the caller has answered duplicates. Each result is in its topic's place.
///
/// # Errors
/// When the request as a whole is refused.
pub fn create(
    image: &MetadataImage,
    topics: &[CreatableTopic],
    mut how: TopicCreation<'_>,
) -> Result<Decision<Vec<CreatableTopicResult>>, ApiError> {
    check_total_partitions(topics, how.defaults)?;
    let mut records = Vec::new();
    let mut reply = Vec::with_capacity(topics.len());
    for topic in topics {
        let result = create_one(image, topic, &mut how, &mut records).unwrap_or_else(|error| {
            CreatableTopicResult::default()
                .with_name(topic.name.clone())
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_configs(Some(Vec::new()))
                .with_error_code(error.error.code())
                .with_error_message(error.message.map(StrBytes::from_string))
        });
        reply.push(result);
    }
    if how.validate_only {
        records.clear();
    }
    Ok(Decision { records, reply })
}

fn check_total_partitions(topics: &[CreatableTopic], defaults: TopicDefaults) -> Result<(), ApiError> {
    let total: i64 = topics
        .iter()
        .map(|topic| match (topic.assignments.len(), topic.num_partitions) {
            (0, -1) => i64::from(defaults.partitions),
            (0, count) => i64::from(count.max(0)),
            (assigned, _) => i64::try_from(assigned).unwrap_or(i64::MAX),
        })
        .fold(0, i64::saturating_add);
    if total > MAX_PARTITIONS_PER_REQUEST {
        return Err(ApiError::new(
            ResponseError::PolicyViolation,
            "Excessively large number of partitions per request.",
        ));
    }
    Ok(())
}

/// Adds one topic's records, or none when it is refused.
fn create_one(
    image: &MetadataImage,
    topic: &CreatableTopic,
    how: &mut TopicCreation<'_>,
    records: &mut Vec<Record>,
) -> Result<CreatableTopicResult, ApiError> {
    let name: Arc<str> = topic.name.as_str().into();
    check_name(image, &name)?;
    let overrides = creation_configs(&topic.configs)?;
    let resource = ConfigResource::topic(name.clone());
    let changes: BTreeMap<Arc<str>, ConfigChange> = overrides
        .iter()
        .map(|(key, value)| (key.clone(), ConfigChange { op: ConfigOp::Set, value: Some(value.clone()) }))
        .collect();
    let config_records = configs::alter_new_topic(image, how.rules, &resource, &changes)?;
    let partitions = if topic.assignments.is_empty() {
        placed_partitions(image, topic, how)?
    } else {
        assigned_partitions(image, topic)?
    };
    let id = how.random.topic_id();
    let result = created_result(image, topic, id, &partitions, &overrides, how.rules);
    records.push(Record::TopicCreated { id, name, partitions });
    records.extend(config_records);
    Ok(result)
}

fn check_name(image: &MetadataImage, name: &Arc<str>) -> Result<(), ApiError> {
    // Kafka finds an existing topic last but lets that answer win.
    if image.topic(name).is_some() {
        return Err(ApiError::new(ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    validate_topic_name(name).map_err(|message| ApiError::new(ResponseError::InvalidTopicException, message))?;
    match image.similar_topic(name) {
        Some(other) => Err(ApiError::new(
            ResponseError::InvalidTopicException,
            format!("Topic '{name}' collides with existing topic: {other}"),
        )),
        None => Ok(()),
    }
}

fn creation_configs(configs: &[CreatableTopicConfig]) -> Result<Configs, ApiError> {
    let nulls: Vec<&str> =
        configs.iter().filter(|config| config.value.is_none()).map(|config| config.name.as_str()).collect();
    if !nulls.is_empty() {
        return Err(ApiError::new(
            ResponseError::InvalidConfig,
            format!("Null value not supported for topic configs: {}", nulls.join(",")),
        ));
    }
    Ok(configs
        .iter()
        .filter_map(|config| Some((config.name.as_str().into(), config.value.as_ref()?.as_str().into())))
        .collect())
}

fn assigned_partitions(image: &MetadataImage, topic: &CreatableTopic) -> Result<Vec<PartitionState>, ApiError> {
    let refuse = |error, message: String| Err(ApiError::new(error, message));
    if topic.replication_factor != -1 {
        return refuse(
            ResponseError::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.".to_owned(),
        );
    }
    if topic.num_partitions != -1 {
        return refuse(
            ResponseError::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.".to_owned(),
        );
    }
    let mut by_index: HashMap<i32, PartitionState> = HashMap::new();
    let mut replication_factor = None;
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        if by_index.contains_key(&index) {
            return refuse(
                ResponseError::InvalidReplicaAssignment,
                format!("Found multiple manual partition assignments for partition {index}"),
            );
        }
        let replicas: Replicas = assignment.broker_ids.iter().map(|id| id.0).collect();
        validate_manual_assignment(image, &replicas, replication_factor)?;
        replication_factor = Some(replicas.len());
        by_index.insert(index, manual_partition(image, index, replicas)?);
    }
    let mut partitions = Vec::with_capacity(by_index.len());
    for index in 0..i32::try_from(by_index.len()).unwrap_or(i32::MAX) {
        let Some(partition) = by_index.remove(&index) else {
            return refuse(
                ResponseError::InvalidReplicaAssignment,
                "partitions should be a consecutive 0-based integer sequence".to_owned(),
            );
        };
        partitions.push(partition);
    }
    Ok(partitions)
}

/// A partition on brokers that a client chose.
pub(super) fn manual_partition(
    image: &MetadataImage,
    index: i32,
    replicas: Replicas,
) -> Result<PartitionState, ApiError> {
    let isr = replicas.iter().copied().filter(|id| image.is_active(*id)).collect();
    PartitionState::new(replicas, isr).ok_or_else(|| {
        ApiError::new(
            ResponseError::InvalidReplicaAssignment,
            format!(
                "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled shutdown."
            ),
        )
    })
}

/// Partitions on brokers that the placement chose.
pub(super) fn place_partitions(
    image: &MetadataImage,
    count: usize,
    replication_factor: i16,
    random: &mut dyn Randomness,
) -> Result<Vec<PartitionState>, ApiError> {
    let unable = |why: &dyn std::fmt::Display| {
        ApiError::new(
            ResponseError::InvalidReplicationFactor,
            format!("Unable to replicate the partition {replication_factor} time(s): {why}"),
        )
    };
    let placed = place(&usable_brokers(image), count, replication_factor, random).map_err(|error| unable(&error))?;
    placed
        .into_iter()
        .map(|replicas| {
            let isr = replicas.iter().copied().filter(|id| image.is_active(*id)).collect();
            PartitionState::new(replicas, isr)
                .ok_or_else(|| unable(&"All brokers are currently fenced or in controlled shutdown."))
        })
        .collect()
}

fn placed_partitions(
    image: &MetadataImage,
    topic: &CreatableTopic,
    how: &mut TopicCreation<'_>,
) -> Result<Vec<PartitionState>, ApiError> {
    let replication_factor = match topic.replication_factor {
        -1 => how.defaults.replication_factor,
        factor if factor < 1 => {
            return Err(ApiError::new(
                ResponseError::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        factor => factor,
    };
    let count = match topic.num_partitions {
        -1 => how.defaults.partitions,
        count if count < 1 => {
            return Err(ApiError::new(
                ResponseError::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            ));
        }
        count => count,
    };
    place_partitions(image, usize::try_from(count).unwrap_or(0), replication_factor, how.random)
}

fn created_result(
    image: &MetadataImage,
    topic: &CreatableTopic,
    id: Uuid,
    partitions: &[PartitionState],
    overrides: &Configs,
    rules: &dyn ConfigRules,
) -> CreatableTopicResult {
    let configs = rules
        .effective_topic_configs(image, overrides)
        .into_iter()
        .map(|config| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_string(config.name))
                .with_value(if config.sensitive { None } else { config.value.map(StrBytes::from_string) })
                .with_read_only(config.read_only)
                .with_config_source(config.source)
                .with_is_sensitive(config.sensitive)
        })
        .collect();
    let replication_factor = partitions.first().map_or(0, |partition| partition.replicas.len());
    CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_topic_id(id)
        .with_error_message(None)
        .with_num_partitions(i32::try_from(partitions.len()).unwrap_or(i32::MAX))
        .with_replication_factor(i16::try_from(replication_factor).unwrap_or(i16::MAX))
        .with_configs(Some(configs))
}

/// A topic named by a DeleteTopics request, after the caller has sorted out duplicates.
#[derive(Clone, Debug)]
pub enum DeletionTarget {
    Name(TopicName),
    Id(Uuid),
}

/// What became of one [`DeletionTarget`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// `None` when an id is not known.
    pub name: Option<TopicName>,
    /// Nil when a name is not known.
    pub id: Uuid,
    pub error: Option<ApiError>,
}

/// Deletes topics; one result per target and in its place, as Kafka's `ControllerApis.deleteTopics` finds them.
pub fn delete(image: &MetadataImage, targets: &[DeletionTarget]) -> Decision<Vec<Deleted>> {
    let ids: Vec<Uuid> = targets
        .iter()
        .filter_map(|target| match target {
            DeletionTarget::Id(id) => Some(*id),
            DeletionTarget::Name(_) => None,
        })
        .collect();
    let mut records = Vec::new();
    let mut reply = Vec::with_capacity(targets.len());
    // Ids that a name in the same request stands for as well are refused, and not deleted.
    let named_twice: Vec<Uuid> = targets
        .iter()
        .filter_map(|target| match target {
            DeletionTarget::Name(name) => image.topic_id(name.as_str()).filter(|id| ids.contains(id)),
            DeletionTarget::Id(_) => None,
        })
        .collect();
    for target in targets {
        let deleted = match target {
            DeletionTarget::Name(name) => match image.topic_id(name.as_str()) {
                None => Deleted {
                    name: Some(name.clone()),
                    id: Uuid::nil(),
                    error: Some(ApiError::new(
                        ResponseError::UnknownTopicOrPartition,
                        "This server does not host this topic-partition.",
                    )),
                },
                Some(id) if named_twice.contains(&id) => Deleted {
                    name: Some(name.clone()),
                    id,
                    error: Some(ApiError::new(
                        ResponseError::InvalidRequest,
                        "The provided topic name maps to an ID that was already supplied.",
                    )),
                },
                Some(id) => {
                    records.push(Record::TopicDeleted { id });
                    Deleted { name: Some(name.clone()), id, error: None }
                }
            },
            DeletionTarget::Id(id) if named_twice.contains(id) => continue,
            DeletionTarget::Id(id) => match image.topic_name(id) {
                None => Deleted {
                    name: None,
                    id: *id,
                    error: Some(ApiError::new(
                        ResponseError::UnknownTopicId,
                        "This server does not host this topic ID.",
                    )),
                },
                Some(name) => {
                    records.push(Record::TopicDeleted { id: *id });
                    let name = TopicName(StrBytes::from_string(name.to_string()));
                    Deleted { name: Some(name), id: *id, error: None }
                }
            },
        };
        reply.push(deleted);
    }
    Decision { records, reply }
}

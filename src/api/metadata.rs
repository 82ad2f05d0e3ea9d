//! Metadata v0-13: brokers, topics and partition leaders; may create topics on the way (`auto.create.topics.enable`).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

use super::context::RequestContext;
use super::error_code::NONE;
use super::{Broker, advertised, authorized_operations, auto_create};
use crate::cluster::decide::topics::validate_topic_name;
use crate::cluster::record::{BrokerState, Replicas};
use crate::cluster::{MetadataImage, NO_LEADER, PartitionState, Topic};
use crate::types::topic_name::is_internal;

/// From this version on topics may be asked for by id, with no name.
const BY_ID_VERSION: i16 = 12;
/// In this version an empty list asks for all topics; later ones ask with a null list.
const EMPTY_MEANS_ALL_VERSION: i16 = 0;
/// From this version on a leader without the client's listener has an error of its own.
const LISTENER_ERROR_VERSION: i16 = 6;
/// Versions that tell what the client may do with the cluster; DescribeCluster does so later.
const CLUSTER_OPERATIONS_VERSIONS: std::ops::RangeInclusive<i16> = 8..=10;
/// From this version on a client can forbid that topics are created.
const AUTO_CREATION_FLAG_VERSION: i16 = 4;

pub async fn handle(broker: &Arc<Broker>, context: &RequestContext, request: MetadataRequest) -> MetadataResponse {
    let version = context.api_version;
    let asked = match request.topics {
        None => None,
        Some(topics) if topics.is_empty() && version == EMPTY_MEANS_ALL_VERSION => None,
        Some(topics) => Some(topics),
    };
    if let Some(topics) = &asked
        && version < BY_ID_VERSION
        && topics.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_nil())
    {
        return refuse(topics, ResponseError::InvalidRequest);
    }
    if let Some(topics) = &asked
        && topics.iter().all(|topic| topic.topic_id.is_nil())
        && topics.iter().any(|topic| topic.name.is_none())
    {
        // Neither name nor id. Kafka fails on it.
        return refuse(topics, ResponseError::UnknownServerError);
    }
    let allow_creation = version < AUTO_CREATION_FLAG_VERSION || request.allow_auto_topic_creation;
    let image = broker.cluster.image();
    let view = View { image: &image, context };
    let mut topics = match asked {
        None => image.topics().map(|topic| view.topic(topic)).collect(),
        Some(asked) => {
            let (mut found, missing) = view.find(&asked);
            if !missing.is_empty() {
                let config = broker.config();
                let create = allow_creation && config.auto_create_topics_enable;
                found.extend(missing.iter().map(missing_topic));
                if create {
                    auto_create::create(broker, missing.clone()).await;
                }
                let why = if create {
                    "its creation failed"
                } else if config.auto_create_topics_enable {
                    "the client asks for no creation"
                } else {
                    "auto.create.topics.enable is false"
                };
                tell_missing(broker, context, &missing, why);
            }
            found
        }
    };
    if request.include_topic_authorized_operations {
        // Topics that an id did not lead to have no name to be authorised by.
        for topic in topics.iter_mut().filter(|topic| topic.name.is_some()) {
            topic.topic_authorized_operations = authorized_operations::TOPIC;
        }
    }
    let operations = if request.include_cluster_authorized_operations && CLUSTER_OPERATIONS_VERSIONS.contains(&version)
    {
        authorized_operations::CLUSTER
    } else {
        authorized_operations::NOT_ASKED
    };
    let nodes = advertised::nodes(broker, context);
    if let Some(own) = nodes.iter().find(|node| node.id == broker.id) {
        context.connection.activity.told_address(&own.host, own.port);
    }
    MetadataResponse::default()
        .with_brokers(nodes.into_iter().map(node).collect())
        .with_cluster_id(Some(StrBytes::from_string(image.cluster_id().to_string())))
        .with_controller_id(BrokerId(controller_id(&image, broker.id)))
        .with_topics(topics)
        .with_cluster_authorized_operations(operations)
}

/// Notes the topics that are still not there, and why.
fn tell_missing(broker: &Broker, context: &RequestContext, asked: &[TopicName], why: &str) {
    let image = broker.cluster.image();
    for name in asked.iter().filter(|name| image.topic(name.as_str()).is_none()) {
        let (error, said) = match validate_topic_name(name.as_str()) {
            Ok(()) => (ResponseError::UnknownTopicOrPartition, format!("there is no topic {}: {why}", name.as_str())),
            Err(said) => (ResponseError::InvalidTopicException, said.to_string()),
        };
        context.refused(error, name.as_str(), &said);
    }
}

/// The broker that clients are told is the controller. Since KRaft it is any broker that lives, because each passes such requests on; -1 when none does.
pub(super) fn controller_id(image: &MetadataImage, local: crate::types::BrokerId) -> i32 {
    let lives = |known: &&Arc<BrokerState>| !known.fenced;
    match image.broker(local).filter(lives) {
        Some(known) => known.id,
        None => image.brokers().find(lives).map_or(-1, |known| known.id),
    }
}

fn node(node: advertised::Node) -> MetadataResponseBroker {
    MetadataResponseBroker::default()
        .with_node_id(BrokerId(node.id))
        .with_host(StrBytes::from_string(node.host.to_string()))
        .with_port(node.port)
        .with_rack(node.rack.map(|rack| StrBytes::from_string(rack.to_string())))
}

/// One error for everything that was asked.
fn refuse(topics: &[MetadataRequestTopic], error: ResponseError) -> MetadataResponse {
    let code = error.code();
    let failed = |topic: &MetadataRequestTopic| {
        let name = topic.name.clone().unwrap_or_default();
        MetadataResponseTopic::default().with_name(Some(name)).with_topic_id(topic.topic_id).with_error_code(code)
    };
    MetadataResponse::default().with_topics(topics.iter().map(failed).collect()).with_error_code(code)
}

/// A name that no topic has. Kafka says so even when it starts to create the topic: the client asks again, and finds it.
fn missing_topic(name: &TopicName) -> MetadataResponseTopic {
    let error = match validate_topic_name(name.as_str()) {
        Ok(()) => ResponseError::UnknownTopicOrPartition,
        Err(_) => ResponseError::InvalidTopicException,
    };
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(name.clone()))
        .with_is_internal(is_internal(name.as_str()))
}

/// The image as one connection sees it.
struct View<'a> {
    image: &'a MetadataImage,
    context: &'a RequestContext,
}

impl View<'_> {
    /// The topics that were asked for, each once, and the names that no topic has. When any id is given, names are not looked at, as in Kafka.
    fn find(&self, asked: &[MetadataRequestTopic]) -> (Vec<MetadataResponseTopic>, Vec<TopicName>) {
        let mut found = Vec::new();
        let mut missing = Vec::new();
        let mut ids = HashSet::new();
        let mut names = HashSet::new();
        if asked.iter().any(|topic| !topic.topic_id.is_nil()) {
            for id in asked.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil() && ids.insert(*id)) {
                found.push(self.image.topic_by_id(&id).map_or_else(|| unknown_id(id), |topic| self.topic(topic)));
            }
            return (found, missing);
        }
        for name in asked.iter().filter_map(|topic| topic.name.as_ref()).filter(|name| names.insert(name.as_str())) {
            match self.image.topic(name.as_str()) {
                Some(topic) => found.push(self.topic(topic)),
                None => missing.push(name.clone()),
            }
        }
        (found, missing)
    }

    fn topic(&self, topic: &Topic) -> MetadataResponseTopic {
        MetadataResponseTopic::default()
            .with_error_code(NONE)
            .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
            .with_topic_id(topic.id)
            .with_is_internal(is_internal(&topic.name))
            .with_partitions((0..).zip(&topic.partitions).map(|(index, state)| self.partition(index, state)).collect())
    }

    fn partition(&self, index: i32, state: &PartitionState) -> MetadataResponsePartition {
        let version = self.context.api_version;
        let listener = &self.context.connection.listener;
        // The first version tells only of replicas that can be reached, and says when some cannot.
        let filter = version == EMPTY_MEANS_ALL_VERSION;
        let replicas = self.replicas(&state.replicas, filter);
        let isr = self.replicas(&state.isr, filter);
        let leader = self.image.broker(state.leader);
        let error = match leader {
            None => Some(ResponseError::LeaderNotAvailable),
            Some(leader) if !has_listener(leader, listener) => Some(if version >= LISTENER_ERROR_VERSION {
                ResponseError::ListenerNotFound
            } else {
                ResponseError::LeaderNotAvailable
            }),
            Some(_) if replicas.len() < state.replicas.len() || isr.len() < state.isr.len() => {
                Some(ResponseError::ReplicaNotAvailable)
            }
            Some(_) => None,
        };
        let reachable = leader.is_some_and(|leader| has_listener(leader, listener));
        MetadataResponsePartition::default()
            .with_error_code(error.map_or(NONE, |error| error.code()))
            .with_partition_index(index)
            .with_leader_id(BrokerId(if reachable { state.leader } else { NO_LEADER }))
            .with_leader_epoch(state.leader_epoch)
            .with_replica_nodes(replicas)
            .with_isr_nodes(isr)
            .with_offline_replicas(offline_replicas(self.image, state, listener))
    }

    fn replicas(&self, ids: &Replicas, filter: bool) -> Vec<BrokerId> {
        let listener = &self.context.connection.listener;
        let lives = |id: &&i32| !filter || is_reachable(self.image, **id, listener);
        ids.iter().filter(lives).map(|id| BrokerId(*id)).collect()
    }
}

fn unknown_id(id: Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(ResponseError::UnknownTopicId.code())
        .with_name(None)
        .with_topic_id(id)
}

pub(super) fn has_listener(known: &BrokerState, listener: &str) -> bool {
    known.endpoints.iter().any(|endpoint| &*endpoint.name == listener)
}

fn is_reachable(image: &MetadataImage, id: i32, listener: &str) -> bool {
    image.broker(id).is_some_and(|known| !known.fenced && has_listener(known, listener))
}

/// Replicas on brokers that are gone, fenced, or without the client's listener.
pub(super) fn offline_replicas(image: &MetadataImage, state: &PartitionState, listener: &str) -> Vec<BrokerId> {
    state.replicas.iter().filter(|id| !is_reachable(image, **id, listener)).map(|id| BrokerId(*id)).collect()
}

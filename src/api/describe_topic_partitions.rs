//! DescribeTopicPartitions v0 (KIP-966): topics and partitions in pages, in the order of the names.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::RequestContext;
use super::metadata::{has_listener, offline_replicas};
use super::{Broker, authorized_operations};
use crate::cluster::decide::topics::validate_topic_name;
use crate::cluster::record::Replicas;
use crate::cluster::{MetadataImage, NO_LEADER, PartitionState, Topic};
use crate::types::topic_name::is_internal;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = broker.cluster.image();
    let (first_name, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    let all = request.topics.is_empty();
    let names: BTreeSet<&str> =
        request.topics.iter().map(|topic| topic.name.as_str()).filter(|name| *name >= first_name).collect();
    let cursor_is_wanted = request.cursor.is_none() || all || names.contains(first_name);
    if !cursor_is_wanted || first_partition < 0 {
        return refuse(&request, ResponseError::InvalidRequest);
    }
    if names.contains("") {
        // Kafka's resources have no empty names, and it fails on them.
        return refuse(&request, ResponseError::UnknownServerError);
    }
    let limit = broker.config().max_request_partition_size_limit.min(request.response_partition_limit).max(1);
    let start = |name: &str| if name == first_name { usize::try_from(first_partition).unwrap_or(0) } else { 0 };
    let mut page = Page {
        image: &image,
        listener: &context.connection.listener,
        remaining: usize::try_from(limit).unwrap_or(1),
        topics: Vec::new(),
        next: None,
    };
    if all {
        for topic in image.topics_from(first_name) {
            if !page.add(&topic.name, Some(topic), start(&topic.name)) {
                break;
            }
        }
    } else {
        for name in names {
            if !page.add(name, image.topic(name).map(|topic| &**topic), start(name)) {
                break;
            }
        }
    }
    DescribeTopicPartitionsResponse::default().with_topics(page.topics).with_next_cursor(page.next)
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn refuse(request: &DescribeTopicPartitionsRequest, error: ResponseError) -> DescribeTopicPartitionsResponse {
    let code = error.code();
    let topics = request.topics.iter().map(|topic| {
        DescribeTopicPartitionsResponseTopic::default().with_error_code(code).with_name(Some(topic.name.clone()))
    });
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

/// One answer, filled until it holds as many partitions as it may.
struct Page<'a> {
    image: &'a MetadataImage,
    listener: &'a str,
    remaining: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page<'_> {
    /// Adds a topic's partitions from `start` on. False when the page is full: then `next` says where the following one begins.
    fn add(&mut self, name: &str, topic: Option<&Topic>, start: usize) -> bool {
        if self.remaining == 0 {
            self.next = Some(Cursor::default().with_topic_name(topic_name(name)).with_partition_index(0));
            return false;
        }
        let answer = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(topic_name(name)))
            .with_is_internal(is_internal(name))
            .with_topic_authorized_operations(authorized_operations::TOPIC);
        let Some(topic) = topic else {
            let error = match validate_topic_name(name) {
                Ok(()) => ResponseError::UnknownTopicOrPartition,
                Err(_) => ResponseError::InvalidTopicException,
            };
            self.topics.push(answer.with_error_code(error.code()));
            return true;
        };
        let shown = topic.partitions.iter().enumerate().skip(start).take(self.remaining);
        let partitions: Vec<_> = shown.map(|(index, state)| self.partition(index, state)).collect();
        let end = start + partitions.len();
        self.remaining -= partitions.len();
        self.topics.push(answer.with_topic_id(topic.id).with_partitions(partitions));
        if end < topic.partitions.len() {
            let index = i32::try_from(end).unwrap_or(i32::MAX);
            self.next = Some(Cursor::default().with_topic_name(topic_name(name)).with_partition_index(index));
            return false;
        }
        true
    }

    fn partition(&self, index: usize, state: &PartitionState) -> DescribeTopicPartitionsResponsePartition {
        let leads = self.image.broker(state.leader).is_some_and(|leader| has_listener(leader, self.listener));
        let ids = |ids: &Replicas| ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
        let rare = state.rare.as_deref().cloned().unwrap_or_default();
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(i32::try_from(index).unwrap_or(i32::MAX))
            .with_leader_id(BrokerId(if leads { state.leader } else { NO_LEADER }))
            .with_leader_epoch(state.leader_epoch)
            .with_replica_nodes(ids(&state.replicas))
            .with_isr_nodes(ids(&state.isr))
            .with_eligible_leader_replicas(Some(ids(&rare.eligible_leader_replicas)))
            .with_last_known_elr(Some(ids(&rare.last_known_elr)))
            .with_offline_replicas(offline_replicas(self.image, state, self.listener))
    }
}

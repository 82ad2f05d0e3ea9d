//! `kafka-topics --describe`: topics and partitions, with the filters.

use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
use serde_json::json;
use std::collections::BTreeMap;

use super::{
    AT_MIN_ISR, EXCLUDE_INTERNAL, IF_EXISTS, PARTITION_LIMIT, TOPIC_ID, UNAVAILABLE, UNDER_MIN_ISR, UNDER_REPLICATED,
    WITH_OVERRIDES, ensure_exists, matching,
};
use crate::client::{Client, ClientError, ServerError, To};
use crate::tools::admin::{self, Description, Partition, TOPIC_RESOURCE, is_default, topic_name};
use crate::tools::connect;
use crate::tools::java::{self, HASH_MAP_BUCKETS, hash_map_order};
use crate::tools::options::Parsed;
use crate::tools::{Fault, Terminal};

/// A move of a partition's replicas that is under way.
#[derive(Clone, Debug, Default)]
struct Reassignment {
    replicas: Vec<i32>,
    adding: Vec<i32>,
    removing: Vec<i32>,
}

type Reassignments = BTreeMap<(String, i32), Reassignment>;

/// One topic with all that is shown of it.
struct Shown {
    topic: Description,
    configs: Vec<DescribeConfigsResourceResult>,
}

impl Shown {
    fn min_in_sync(&self) -> Option<usize> {
        let entry = self.configs.iter().find(|entry| &*entry.name == "min.insync.replicas")?;
        entry.value.as_ref()?.parse().ok()
    }

    /// What is not a default, in Java's order.
    fn own_configs(&self) -> Vec<(&str, &str)> {
        let all: Vec<_> = self.configs.iter().collect();
        let ordered = hash_map_order(all, HASH_MAP_BUCKETS, |entry| java::hash(&entry.name));
        let own = ordered.into_iter().filter(|entry| !is_default(entry));
        own.map(|entry| (&*entry.name, entry.value.as_deref().unwrap_or("null"))).collect()
    }
}

pub(super) async fn run(parsed: &Parsed, client: &Client, terminal: &mut Terminal) -> Result<(), Fault> {
    let limit: i32 = parsed.number(PARTITION_LIMIT)?.unwrap_or(2_000);
    let is_json = connect::wants_json(parsed)?;
    let names = chosen(parsed, client).await?;
    // Kafka's client has them from a set, and gives them in the order of a map that was made for as many.
    let names = hash_map_order(names, HASH_MAP_BUCKETS, |name| java::hash(name));
    let count = names.len();
    let names = hash_map_order(names, count, |name| java::hash(name));
    let described = match names.is_empty() {
        true => Vec::new(),
        false => admin::describe_topics(client, &names, limit).await?,
    };
    let configs = admin::describe_configs(client, TOPIC_RESOURCE, &names, false).await?;
    let live: Vec<i32> =
        client.retry("describeCluster", async || client.view().await).await?.nodes.keys().copied().collect();
    let moves = reassignments(client, &described).await?;
    let shown: Vec<Shown> =
        described.into_iter().zip(configs).map(|(topic, configs)| Shown { topic, configs }).collect();
    let filter = Filter { parsed, live: &live, moves: &moves };
    match is_json {
        true => terminal.line(filter.as_json(&shown)),
        false => shown.iter().for_each(|shown| filter.print(shown, terminal)),
    }
    Ok(())
}

/// The topics' names: by id, else by --topic.
async fn chosen(parsed: &Parsed, client: &Client) -> Result<Vec<String>, Fault> {
    let id = parsed.value(TOPIC_ID)?.map(java::parse_uuid).transpose()?.filter(|id| !id.is_nil());
    let Some(id) = id else {
        let names = matching(parsed, client).await?;
        ensure_exists(parsed, &names)?;
        return Ok(names);
    };
    let without_internal = parsed.has(EXCLUDE_INTERNAL);
    let listing = admin::list_topics(client).await?.into_iter();
    let found: Vec<String> = listing
        .filter(|topic| topic.id == id && !(without_internal && topic.is_internal))
        .map(|topic| topic.name)
        .collect();
    if found.is_empty() && !parsed.has(IF_EXISTS) {
        return Err(Fault::thrown(format!("TopicId '{}' does not exist as expected", java::uuid(id))));
    }
    Ok(found)
}

/// None where the cluster does not know of such moves, or does not tell this client.
async fn reassignments(client: &Client, described: &[Description]) -> Result<Reassignments, Fault> {
    if described.is_empty() {
        return Ok(Reassignments::new());
    }
    let topics = described.iter().map(|topic| {
        ListPartitionReassignmentsTopics::default()
            .with_name(topic_name(topic.name.as_str()))
            .with_partition_indexes(topic.partitions.iter().map(|partition| partition.index).collect())
    });
    let request =
        ListPartitionReassignmentsRequest::default().with_topics(Some(topics.collect())).with_timeout_ms(30_000);
    let answer: ListPartitionReassignmentsResponse = match client.send(&To::Controller, &request).await {
        Ok(answer) => answer,
        Err(ClientError::Unsupported { .. }) => return Ok(Reassignments::new()),
        Err(error) => return Err(error.into()),
    };
    match ServerError::from_code(answer.error_code, answer.error_message.as_deref()) {
        None => {}
        // CLUSTER_AUTHORIZATION_FAILED
        Some(error) if error.code == 31 => return Ok(Reassignments::new()),
        Some(error) => return Err(error.into()),
    }
    let mut found = Reassignments::new();
    let ids = |nodes: &[kafka_protocol::messages::BrokerId]| nodes.iter().map(|id| id.0).collect::<Vec<_>>();
    for topic in answer.topics {
        for partition in topic.partitions {
            let reassignment = Reassignment {
                replicas: ids(&partition.replicas),
                adding: ids(&partition.adding_replicas),
                removing: ids(&partition.removing_replicas),
            };
            found.insert((topic.name.to_string(), partition.partition_index), reassignment);
        }
    }
    Ok(found)
}

struct Filter<'a> {
    parsed: &'a Parsed,
    live: &'a [i32],
    moves: &'a Reassignments,
}

impl Filter<'_> {
    /// Whether only partitions in some trouble are asked for.
    fn is_report(&self) -> bool {
        [UNAVAILABLE, UNDER_REPLICATED, UNDER_MIN_ISR, AT_MIN_ISR].into_iter().any(|report| self.parsed.has(report))
    }

    fn reassignment(&self, topic: &str, partition: i32) -> Option<&Reassignment> {
        self.moves.get(&(topic.to_owned(), partition))
    }

    fn replication_factor(&self, topic: &str, partition: &Partition) -> usize {
        match self.reassignment(topic, partition.index) {
            Some(under_way)
                if under_way.adding.iter().chain(&under_way.removing).any(|id| partition.replicas.contains(id)) =>
            {
                under_way.replicas.len().saturating_sub(under_way.adding.len())
            }
            _ => partition.replicas.len(),
        }
    }

    fn shows(&self, shown: &Shown, partition: &Partition) -> bool {
        let (in_sync, least) = (partition.in_sync.len(), shown.min_in_sync());
        let is = |report, holds: bool| self.parsed.has(report) && holds;
        !self.is_report()
            || is(UNDER_REPLICATED, self.replication_factor(&shown.topic.name, partition) > in_sync)
            || is(UNAVAILABLE, partition.leader.is_none_or(|leader| !self.live.contains(&leader)))
            || is(UNDER_MIN_ISR, partition.leader.is_none() || least.is_some_and(|least| in_sync < least))
            || is(AT_MIN_ISR, least == Some(in_sync))
    }

    fn shows_topic(&self, shown: &Shown) -> bool {
        !self.is_report() && (!self.parsed.has(WITH_OVERRIDES) || !shown.own_configs().is_empty())
    }

    fn print(&self, shown: &Shown, terminal: &mut Terminal) {
        let topic = &shown.topic;
        if self.shows_topic(shown) {
            let configs: Vec<String> =
                shown.own_configs().iter().map(|(name, value)| format!("{name}={value}")).collect();
            terminal.print(format_args!("Topic: {}", topic.name));
            if !topic.id.is_nil() {
                terminal.print(format_args!("\tTopicId: {}", java::uuid(topic.id)));
            }
            let factor = topic.partitions.first().map_or(0, |first| self.replication_factor(&topic.name, first));
            terminal.line(format_args!(
                "\tPartitionCount: {}\tReplicationFactor: {factor}\tConfigs: {}",
                topic.partitions.len(),
                configs.join(",")
            ));
        }
        if self.parsed.has(WITH_OVERRIDES) {
            return;
        }
        for partition in topic.partitions.iter().filter(|partition| self.shows(shown, partition)) {
            self.print_partition(&topic.name, partition, terminal);
        }
    }

    fn print_partition(&self, topic: &str, partition: &Partition, terminal: &mut Terminal) {
        let leader = partition.leader.map_or("none".to_owned(), |leader| leader.to_string());
        terminal.print(format_args!(
            "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
            partition.index,
            joined(&partition.replicas),
            joined(&partition.in_sync)
        ));
        if let Some(under_way) = self.reassignment(topic, partition.index) {
            terminal.print(format_args!(
                "\tAdding Replicas: {}\tRemoving Replicas: {}",
                joined(&under_way.adding),
                joined(&under_way.removing)
            ));
        }
        let eligible = |ids: &Option<Vec<i32>>| ids.as_ref().map_or("N/A".to_owned(), |ids| joined(ids));
        terminal.line(format_args!(
            "\tElr: {}\tLastKnownElr: {}",
            eligible(&partition.eligible),
            eligible(&partition.last_known_eligible)
        ));
    }

    fn as_json(&self, all: &[Shown]) -> serde_json::Value {
        let topics = all.iter().filter(|shown| !self.parsed.has(WITH_OVERRIDES) || !shown.own_configs().is_empty());
        let topics = topics.map(|shown| {
            let configs: BTreeMap<_, _> = shown.own_configs().into_iter().collect();
            let partitions = shown.topic.partitions.iter().filter(|partition| self.shows(shown, partition));
            let partitions: Vec<_> = partitions
                .map(|partition| {
                    json!({
                        "partition": partition.index,
                        "leader": partition.leader,
                        "replicas": partition.replicas,
                        "isr": partition.in_sync,
                        "elr": partition.eligible,
                        "lastKnownElr": partition.last_known_eligible,
                    })
                })
                .collect();
            json!({
                "topic": shown.topic.name,
                "topicId": java::uuid(shown.topic.id),
                "configs": configs,
                "partitions": partitions,
            })
        });
        topics.collect()
    }
}

fn joined(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

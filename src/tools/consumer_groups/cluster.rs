//! What kafka-consumer-groups asks the cluster: groups, their members, offsets committed and offsets in the logs. Prints nothing.

use kafka_protocol::messages::consumer_group_describe_response::Assignment;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    BrokerId, ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
    ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use std::collections::{BTreeMap, BTreeSet};

use crate::client::consumer::{Partition, Position, read_assignment};
use crate::client::{Client, ClientError, ServerError, To};
use crate::tools::{Fault, java};

/// A group as ListGroups tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub group_id: String,
    pub protocol_type: String,
    /// Empty when the broker does not tell.
    pub state: String,
    pub group_type: String,
}

#[derive(Clone, Debug, Default)]
pub struct Member {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    pub assignment: Vec<Partition>,
    /// Only with the protocol of KIP-848, as the next two.
    pub target_assignment: Option<Vec<Partition>>,
    pub epoch: Option<i32>,
    /// Whether it speaks that protocol.
    pub upgraded: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub struct Group {
    pub state: String,
    pub assignor: String,
    pub members: Vec<Member>,
    pub epoch: Option<i32>,
    pub target_epoch: Option<i32>,
    /// `host:port  (id)`
    pub coordinator: String,
}

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const UNSUPPORTED_VERSION: i16 = 35;
const GROUP_ID_NOT_FOUND: i16 = 69;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Sends to a group's coordinator; `code` finds what in the answer says that it is not, or not yet: then the next one is asked, in time.
async fn ask<R: Request>(
    client: &Client,
    group_id: &str,
    request: &R,
    at_most: i16,
    code: impl Fn(&R::Response) -> i16,
) -> Result<R::Response, ClientError> {
    let call = format!("{:?}", kafka_protocol::messages::ApiKey::try_from(R::KEY));
    client
        .retry(&call, async || {
            let connection = client.connection(&To::Group(group_id.to_owned())).await?;
            let version = connection.version_of::<R>(at_most)?;
            let answer = connection.send(request, version).await?;
            match code(&answer) {
                COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE | NOT_COORDINATOR => {
                    client.forget_coordinator(group_id);
                    let what = format!("coordinator for group {group_id}");
                    Err(ClientError::NoSuchBroker { bootstrap: client.bootstrap(), what })
                }
                _ => Ok(answer),
            }
        })
        .await
}

/// All groups of consumers, of every broker, in the order of Kafka's hash maps; `states` and `types` leave out others where they are not empty.
pub async fn list(client: &Client, states: &[String], types: &[String]) -> Result<Vec<Listing>, Fault> {
    let view = client.retry("findAllBrokers", async || client.view().await).await?;
    let mut found = Vec::new();
    for id in view.nodes.keys() {
        let all = |texts: &[String]| texts.iter().map(|each| text(each)).collect::<Vec<_>>();
        let answer = client
            .retry("listGroups", async || {
                let connection = client.connection(&To::Broker(*id)).await?;
                let version = connection.version_of::<ListGroupsRequest>(i16::MAX)?;
                let mut request = ListGroupsRequest::default();
                if version >= 4 {
                    request = request.with_states_filter(all(states));
                }
                if version >= 5 {
                    request = request.with_types_filter(all(types));
                }
                let answer = connection.send(&request, version).await?;
                match answer.error_code {
                    COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE => {
                        let what = format!("loaded group coordinator on broker {id}");
                        Err(ClientError::NoSuchBroker { bootstrap: client.bootstrap(), what })
                    }
                    _ => Ok(answer),
                }
            })
            .await?;
        ServerError::check(answer.error_code, None)?;
        let groups = answer.groups.into_iter().filter(|group| ["", "consumer"].contains(&group.protocol_type.as_str()));
        found.extend(groups.map(|group| Listing {
            group_id: group.group_id.to_string(),
            protocol_type: group.protocol_type.to_string(),
            state: group.group_state.to_string(),
            group_type: type_name(&group.group_type),
        }));
    }
    found.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    Ok(java::hash_map_order(found, java::HASH_MAP_BUCKETS, |group| java::hash(&group.group_id)))
}

/// A type as Kafka's tools spell it, whatever the broker's spelling.
fn type_name(told: &str) -> String {
    let known = ["Classic", "Consumer", "Share", "Streams"];
    known.into_iter().find(|name| name.eq_ignore_ascii_case(told)).unwrap_or(told).to_owned()
}

/// One group.
///
/// # Errors
/// GROUP_ID_NOT_FOUND and its kin as [`ClientError::Server`]; Kafka's sentence for a group of another kind.
pub async fn describe(client: &Client, group_id: &str) -> Result<Group, Fault> {
    let mut not_found = None;
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(group_id))]);
    match ask(client, group_id, &request, i16::MAX, |answer| answer.groups.first().map_or(0, |group| group.error_code))
        .await
    {
        Ok(answer) => {
            if let Some(group) = answer.groups.into_iter().next() {
                match ServerError::from_code(group.error_code, group.error_message.as_deref()) {
                    None => return consumer_group(client, group_id, group).await,
                    Some(error) if error.code == GROUP_ID_NOT_FOUND => not_found = Some(error),
                    Some(error) if error.code == UNSUPPORTED_VERSION => {}
                    Some(error) => return Err(error.into()),
                }
            }
        }
        // The broker has only the classic protocol.
        Err(ClientError::Unsupported { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group_id))]);
    let answer =
        ask(client, group_id, &request, i16::MAX, |answer| answer.groups.first().map_or(0, |group| group.error_code))
            .await?;
    let Some(group) = answer.groups.into_iter().next() else {
        return Err(Fault::thrown(format!("the coordinator's answer says nothing of group {group_id}")));
    };
    if let Some(error) = ServerError::from_code(group.error_code, group.error_message.as_deref()) {
        return Err(not_found.filter(|_| error.code == GROUP_ID_NOT_FOUND).unwrap_or(error).into());
    }
    classic_group(client, group_id, group).await
}

async fn coordinator(client: &Client, group_id: &str) -> Result<String, ClientError> {
    let id = client.coordinator(group_id).await?;
    let view = client.view().await?;
    Ok(match view.nodes.get(&id) {
        Some(node) => format!("{}  ({id})", node.address),
        None => format!("({id})"),
    })
}

async fn consumer_group(
    client: &Client,
    group_id: &str,
    group: kafka_protocol::messages::consumer_group_describe_response::DescribedGroup,
) -> Result<Group, Fault> {
    let partitions = |assignment: &Assignment| {
        let topics = assignment.topic_partitions.iter();
        topics
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_name.to_string(), *partition)))
            .collect::<Vec<_>>()
    };
    let members = group.members.iter().map(|member| Member {
        member_id: member.member_id.to_string(),
        group_instance_id: member.instance_id.as_ref().map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: partitions(&member.assignment),
        target_assignment: Some(partitions(&member.target_assignment)),
        epoch: Some(member.member_epoch),
        upgraded: (member.member_type != -1).then_some(member.member_type == 1),
    });
    Ok(Group {
        state: group.group_state.to_string(),
        assignor: group.assignor_name.to_string(),
        members: members.collect(),
        epoch: Some(group.group_epoch),
        target_epoch: Some(group.assignment_epoch),
        coordinator: coordinator(client, group_id).await?,
    })
}

async fn classic_group(client: &Client, group_id: &str, group: DescribedGroup) -> Result<Group, Fault> {
    if !["", "consumer"].contains(&group.protocol_type.as_str()) {
        let what = format!("GroupId {group_id} is not a consumer group ({}).", group.protocol_type);
        return Err(Fault::thrown(format!("java.lang.IllegalArgumentException: {what}")));
    }
    let mut members = Vec::new();
    for member in &group.members {
        let assignment = read_assignment(&member.member_assignment)
            .map_err(|what| Fault::thrown(format!("the assignment of member {}: {what}", member.member_id.as_str())))?;
        members.push(Member {
            member_id: member.member_id.to_string(),
            group_instance_id: member.group_instance_id.as_ref().map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assignment,
            ..Member::default()
        });
    }
    Ok(Group {
        state: group.group_state.to_string(),
        assignor: group.protocol_data.to_string(),
        members,
        epoch: None,
        target_epoch: None,
        coordinator: coordinator(client, group_id).await?,
    })
}

/// Everything that a group has committed.
pub async fn committed(client: &Client, group_id: &str) -> Result<BTreeMap<Partition, Position>, Fault> {
    let connection =
        client.retry("listConsumerGroupOffsets", async || client.connection(&To::Group(group_id.to_owned())).await);
    // The two forms of the request are for different versions: the version decides first.
    let version = connection.await?.version_of::<OffsetFetchRequest>(9)?;
    let request = match version >= 8 {
        true => {
            let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group_id))).with_topics(None);
            OffsetFetchRequest::default().with_groups(vec![group])
        }
        false => OffsetFetchRequest::default().with_group_id(GroupId(text(group_id))).with_topics(None),
    };
    let answer = ask(client, group_id, &request, version, |answer| {
        answer.groups.first().map_or(answer.error_code, |group| group.error_code)
    })
    .await?;
    let mut found = BTreeMap::new();
    let mut take =
        |topic: &str, partition: i32, code: i16, offset: i64, leader_epoch: i32| -> Result<(), ServerError> {
            ServerError::check(code, None)?;
            if offset >= 0 {
                found.insert((topic.to_owned(), partition), Position { offset, leader_epoch });
            }
            Ok(())
        };
    ServerError::check(answer.error_code, None)?;
    for topic in &answer.topics {
        for of in &topic.partitions {
            take(&topic.name, of.partition_index, of.error_code, of.committed_offset, of.committed_leader_epoch)?;
        }
    }
    for group in &answer.groups {
        ServerError::check(group.error_code, None)?;
        for topic in &group.topics {
            for of in &topic.partitions {
                take(&topic.name, of.partition_index, of.error_code, of.committed_offset, of.committed_leader_epoch)?;
            }
        }
    }
    Ok(found)
}

/// Each topic's partitions with their leaders (negative: none), or what the cluster says of it.
pub type Topics = BTreeMap<String, Result<BTreeMap<i32, i32>, ServerError>>;

pub async fn topics(client: &Client, names: &BTreeSet<String>) -> Result<Topics, Fault> {
    if names.is_empty() {
        return Ok(Topics::new());
    }
    let topic = |name: &String| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
    let request = MetadataRequest::default()
        .with_topics(Some(names.iter().map(topic).collect()))
        .with_allow_auto_topic_creation(false);
    let answer = client.send(&To::Any, &request).await?;
    let known = answer.topics.into_iter().filter_map(|topic| {
        let outcome = match ServerError::from_code(topic.error_code, None) {
            Some(error) => Err(error),
            None => Ok(topic.partitions.iter().map(|of| (of.partition_index, of.leader_id.0)).collect()),
        };
        Some((topic.name?.to_string(), outcome))
    });
    Ok(known.collect())
}

/// The offsets that `timestamp` stands for (-1 the end, -2 the beginning, else the first at or after that time; -1 in the answer when there is none).
/// Partitions without a leader are left out.
pub async fn offsets(
    client: &Client,
    partitions: &BTreeSet<Partition>,
    timestamp: i64,
) -> Result<BTreeMap<Partition, i64>, Fault> {
    let names = partitions.iter().map(|(topic, _)| topic.clone()).collect();
    let known = topics(client, &names).await?;
    let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
    for (topic, partition) in partitions {
        let Some(outcome) = known.get(topic) else { continue };
        let leaders = outcome.as_ref().map_err(Clone::clone)?;
        if let Some(leader) = leaders.get(partition).filter(|leader| **leader >= 0) {
            by_leader.entry(*leader).or_default().entry(topic).or_default().push(*partition);
        }
    }
    let mut found = BTreeMap::new();
    for (leader, topics) in by_leader {
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let asked = partitions.into_iter().map(|partition| {
                ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp)
            });
            ListOffsetsTopic::default().with_name(TopicName(text(topic))).with_partitions(asked.collect())
        });
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect());
        let answer = client.send(&To::Broker(leader), &request).await?;
        for topic in answer.topics {
            for of in topic.partitions {
                ServerError::check(of.error_code, None)?;
                found.insert((topic.name.to_string(), of.partition_index), of.offset);
            }
        }
    }
    Ok(found)
}

/// Commits from outside the group.
pub async fn commit(client: &Client, group_id: &str, offsets: &BTreeMap<Partition, i64>) -> Result<(), Fault> {
    if offsets.is_empty() {
        return Ok(());
    }
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, partition), offset) in offsets {
        let committed = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(StrBytes::from_static_str("")));
        topics.entry(topic).or_default().push(committed);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        OffsetCommitRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions)
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group_id)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect());
    let first = |answer: &<OffsetCommitRequest as Request>::Response| {
        answer.topics.first().and_then(|topic| topic.partitions.first()).map_or(0, |of| of.error_code)
    };
    let answer = ask(client, group_id, &request, 9, first).await?;
    for of in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        ServerError::check(of.error_code, None)?;
    }
    Ok(())
}

/// # Errors
/// Why the group was not deleted.
pub async fn delete(client: &Client, group_id: &str) -> Result<(), Fault> {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group_id))]);
    let code =
        |answer: &<DeleteGroupsRequest as Request>::Response| answer.results.first().map_or(0, |of| of.error_code);
    let answer = ask(client, group_id, &request, i16::MAX, code).await?;
    for of in &answer.results {
        ServerError::check(of.error_code, None)?;
    }
    Ok(())
}

/// The outcome for each partition, or what is wrong with the group as a whole.
pub async fn delete_offsets(
    client: &Client,
    group_id: &str,
    partitions: &BTreeSet<Partition>,
) -> Result<Result<BTreeMap<Partition, Option<ServerError>>, ServerError>, Fault> {
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(OffsetDeleteRequestPartition::default().with_partition_index(*partition));
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        OffsetDeleteRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions)
    });
    let request = OffsetDeleteRequest::default().with_group_id(GroupId(text(group_id))).with_topics(topics.collect());
    let answer = ask(client, group_id, &request, i16::MAX, |answer| answer.error_code).await?;
    if let Some(error) = ServerError::from_code(answer.error_code, None) {
        return Ok(Err(error));
    }
    let mut outcomes = BTreeMap::new();
    for topic in &answer.topics {
        for of in &topic.partitions {
            let partition = (topic.name.to_string(), of.partition_index);
            outcomes.insert(partition, ServerError::from_code(of.error_code, None));
        }
    }
    Ok(Ok(outcomes))
}

//! What handlers ask of the group coordinator and what they get, free of API versions. Strings are copies: a request's own share its whole frame.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::sync::Arc;
use uuid::Uuid;

use super::classic::State;
use super::records::CommittedOffset;

/// An OffsetCommit.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    pub group_id: Arc<str>,
    /// Empty outside of a group.
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    /// -1 outside of a group.
    pub generation: i32,
    /// How long the offsets are kept (versions 2 to 4).
    pub retention_ms: Option<i64>,
    /// Whether the client expects `GroupIdNotFound` (version 9 and later).
    pub knows_group_not_found: bool,
    pub topics: Vec<CommitTopic>,
}

#[derive(Clone, Debug)]
pub struct CommitTopic {
    pub name: Arc<str>,
    pub topic_id: Uuid,
    pub partitions: Vec<CommitPartition>,
}

#[derive(Clone, Debug)]
pub struct CommitPartition {
    pub index: i32,
    pub offset: i64,
    /// -1 when the client gives none.
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
}

impl CommitPartition {
    pub(super) fn value(&self, topic_id: Uuid, now_ms: i64, retention_ms: Option<i64>) -> CommittedOffset {
        // The one version of the record that holds an expiry time holds neither leader epoch nor topic id: memory shall not know more than the log.
        let (leader_epoch, topic_id) =
            if retention_ms.is_some() { (-1, Uuid::nil()) } else { (self.leader_epoch, topic_id) };
        CommittedOffset {
            offset: self.offset,
            leader_epoch,
            metadata: self.metadata.clone(),
            commit_timestamp_ms: now_ms,
            expire_timestamp_ms: retention_ms.map(|ms| now_ms.saturating_add(ms)),
            topic_id,
        }
    }
}

/// A topic's partitions, results of OffsetCommit or OffsetDelete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResults {
    pub name: Arc<str>,
    pub partitions: Vec<(i32, Option<ResponseError>)>,
}

/// Partitions asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub name: Arc<str>,
    pub partitions: Vec<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    pub name: Arc<str>,
    pub partitions: Vec<FetchedOffset>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    pub partition: i32,
    /// -1 when there is none.
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
    pub error: Option<ResponseError>,
}

impl FetchedOffset {
    pub fn none(partition: i32, error: Option<ResponseError>) -> Self {
        Self { partition, offset: -1, leader_epoch: -1, metadata: Arc::from(""), error }
    }

    pub(super) fn of(partition: i32, value: &CommittedOffset) -> Self {
        Self {
            partition,
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
            error: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub state: State,
    pub protocol_type: Arc<str>,
    /// Told while the group is stable.
    pub protocol: Option<Arc<str>>,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// Told while the group is stable.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group_id: Arc<str>,
    pub protocol_type: Arc<str>,
    pub state: State,
}

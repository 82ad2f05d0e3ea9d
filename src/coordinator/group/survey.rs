//! All groups at a glance: states, members and committed offsets, for metrics and the lag page. Looks, never changes.

use kafka_protocol::ResponseError;
use std::sync::Arc;
use std::time::Duration;

use super::GroupCoordinator;
use super::classic::State;
use super::shard::GroupShard;

/// How long one partition's groups may take to be told. A scrape must not wait for a coordinator that is stuck.
const PATIENCE: Duration = Duration::from_millis(500);

/// A group's committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedAt {
    pub partition: i32,
    pub offset: i64,
    /// Wall-clock milliseconds.
    pub commit_timestamp_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedGroup {
    pub group_id: Arc<str>,
    pub state: State,
    /// Empty for groups that never had members.
    pub protocol_type: Arc<str>,
    pub members: usize,
    /// By topic.
    pub offsets: Vec<(Arc<str>, Vec<CommittedAt>)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// In the order of their ids.
    pub groups: Vec<SurveyedGroup>,
    /// Partitions of `__consumer_offsets` led here whose groups could not be told: they are being loaded, or do not answer.
    pub untold_partitions: Vec<i32>,
}

impl GroupShard {
    pub(super) fn survey(&self) -> Vec<SurveyedGroup> {
        self.each_group()
            .map(|(group, offsets)| SurveyedGroup {
                group_id: group.group_id.clone(),
                state: group.state(),
                protocol_type: group.protocol_type().cloned().unwrap_or_else(|| Arc::from("")),
                members: group.members().len(),
                offsets: offsets
                    .into_iter()
                    .flatten()
                    .map(|(topic, partitions)| {
                        let committed = partitions.iter().map(|(partition, entry)| CommittedAt {
                            partition: *partition,
                            offset: entry.value.offset,
                            commit_timestamp_ms: entry.value.commit_timestamp_ms,
                        });
                        (topic.clone(), committed.collect())
                    })
                    .collect(),
            })
            .collect()
    }
}

impl GroupCoordinator {
    /// Every group that this broker coordinates.
    pub async fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        for partition in self.runtime.partitions() {
            match tokio::time::timeout(PATIENCE, self.read(partition, GroupShard::survey)).await {
                Ok(Ok(groups)) => survey.groups.extend(groups),
                // Given away since it was named.
                Ok(Err(ResponseError::NotCoordinator)) => {}
                Ok(Err(_)) | Err(_) => survey.untold_partitions.push(partition),
            }
        }
        survey.groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        survey
    }
}

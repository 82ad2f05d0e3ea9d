//! How far consumer groups are behind: committed offsets against high watermarks, for metrics and the page `/lag`.

use serde::Serialize;
use std::sync::Arc;
use tokio::runtime::Handle;

use crate::api::Broker;
use crate::coordinator::group::survey::{CommittedAt, Survey, SurveyedGroup};

/// One partition of a topic that a group has committed offsets of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionLag {
    pub partition: i32,
    /// `None` when the group has committed none.
    pub committed_offset: Option<i64>,
    /// Wall-clock milliseconds of the commit.
    pub committed_at_ms: Option<i64>,
    /// First offset that can be read; `None` when another broker leads the partition.
    pub log_start_offset: Option<i64>,
    /// The end of what consumers see, likewise.
    pub high_watermark: Option<i64>,
    /// Records from the committed offset to the high watermark. Below 0 where the log was cut off below what was committed.
    pub lag: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicLag {
    pub topic: Arc<str>,
    /// Of all partitions whose lag is known.
    pub lag: i64,
    pub partitions: Vec<PartitionLag>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupLag {
    pub group: Arc<str>,
    pub state: &'static str,
    pub protocol_type: Arc<str>,
    pub members: usize,
    /// Of all topics.
    pub lag: i64,
    pub topics: Vec<TopicLag>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Page {
    groups: Vec<GroupLag>,
    /// Partitions of `__consumer_offsets` whose groups are missing here: this broker is loading them, or they did not answer.
    untold_partitions: Vec<i32>,
}

/// All groups that this broker coordinates. Blocks for as long as the coordinators take to answer: not for an async worker.
pub fn survey(broker: &Broker) -> Survey {
    match Handle::try_current() {
        Ok(runtime) => runtime.block_on(broker.groups.survey()),
        Err(_) => Survey::default(),
    }
}

/// A surveyed group against the logs of the partitions that this broker leads.
pub fn of(broker: &Broker, group: &SurveyedGroup) -> GroupLag {
    let topics: Vec<TopicLag> =
        group.offsets.iter().map(|(topic, committed)| topic_lag(broker, topic, committed)).collect();
    GroupLag {
        group: Arc::clone(&group.group_id),
        state: group.state.name(),
        protocol_type: Arc::clone(&group.protocol_type),
        members: group.members,
        lag: topics.iter().map(|topic| topic.lag).sum(),
        topics,
    }
}

fn topic_lag(broker: &Broker, name: &Arc<str>, committed: &[CommittedAt]) -> TopicLag {
    let image = broker.cluster.image();
    let topic = image.topic(name);
    // A consumed topic is told whole, so that a partition nothing was committed of shows.
    let mut indexes: Vec<i32> = committed.iter().map(|one| one.partition).collect();
    indexes.extend(0..topic.map_or(0, |topic| topic.partition_count()));
    indexes.sort_unstable();
    indexes.dedup();
    let one = |partition: i32| {
        let committed = committed.iter().find(|one| one.partition == partition);
        let log = topic
            .and_then(|topic| broker.replicas.partition(topic.id, partition))
            .filter(|partition| partition.check_leader(-1).is_ok());
        let high_watermark = log.as_ref().map(|log| log.high_watermark());
        let committed_offset = committed.map(|one| one.offset);
        PartitionLag {
            partition,
            committed_offset,
            committed_at_ms: committed.map(|one| one.commit_timestamp_ms),
            log_start_offset: log.map(|log| log.log().start_offset()),
            high_watermark,
            lag: high_watermark.zip(committed_offset).map(|(end, offset)| end.saturating_sub(offset)),
        }
    };
    let partitions: Vec<PartitionLag> = indexes.into_iter().map(one).collect();
    TopicLag { topic: Arc::clone(name), lag: partitions.iter().filter_map(|one| one.lag).sum(), partitions }
}

/// The page `/lag`, as JSON.
pub fn page(broker: &Broker) -> String {
    let survey = survey(broker);
    let groups = survey.groups.iter().map(|group| of(broker, group)).collect();
    let page = Page { groups, untold_partitions: survey.untold_partitions };
    // Nothing in it can fail to be written: no maps with odd keys, no floats.
    let mut text = serde_json::to_string(&page).unwrap_or_default();
    text.push('\n');
    text
}

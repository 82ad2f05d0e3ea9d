//! Which error codes an answer tells, and how often: what `errorCounts` says of Kafka's responses, for the metrics.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::*;
use smallvec::SmallVec;

/// How often each code stands in an answer; 0 (no error) among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorTally(SmallVec<[(i16, u64); 2]>);

impl ErrorTally {
    pub fn add(&mut self, code: i16) {
        match self.0.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => self.0.push((code, 1)),
        }
    }

    /// Codes with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (i16, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<i16> for ErrorTally {
    fn from_iter<I: IntoIterator<Item = i16>>(codes: I) -> Self {
        let mut tally = Self::default();
        codes.into_iter().for_each(|code| tally.add(code));
        tally
    }
}

/// An answer that tells error codes.
pub trait TellsErrors {
    fn errors(&self) -> ErrorTally;
}

macro_rules! tells {
    ($($response:ty: |$answer:ident| $codes:expr;)*) => {
        $(impl TellsErrors for $response {
            fn errors(&self) -> ErrorTally {
                let $answer = self;
                $codes.collect()
            }
        })*
    };
}

/// The codes of an answer's parts, each of which has parts with a code.
macro_rules! nested {
    ($outer:expr, $inner:ident) => {
        $outer.iter().flat_map(|outer| &outer.$inner).map(|inner| inner.error_code)
    };
}

macro_rules! flat {
    ($parts:expr) => {
        $parts.iter().map(|part| part.error_code)
    };
}

macro_rules! top {
    ($answer:expr) => {
        std::iter::once($answer.error_code)
    };
}

tells! {
    ApiVersionsResponse: |a| top!(a);
    HeartbeatResponse: |a| top!(a);
    JoinGroupResponse: |a| top!(a);
    SyncGroupResponse: |a| top!(a);
    ListGroupsResponse: |a| top!(a);
    InitProducerIdResponse: |a| top!(a);
    DescribeClusterResponse: |a| top!(a);
    ListConfigResourcesResponse: |a| top!(a);
    DescribeAclsResponse: |a| top!(a);
    ListPartitionReassignmentsResponse: |a| top!(a);
    AlterPartitionReassignmentsResponse: |a| top!(a).chain(nested!(a.responses, partitions));
    LeaveGroupResponse: |a| top!(a).chain(flat!(a.members));
    UpdateFeaturesResponse: |a| top!(a).chain(flat!(a.results));
    DescribeLogDirsResponse: |a| top!(a).chain(flat!(a.results));
    ElectLeadersResponse: |a| top!(a).chain(nested!(a.replica_election_results, partition_result));
    OffsetDeleteResponse: |a| top!(a).chain(nested!(a.topics, partitions));
    DescribeQuorumResponse: |a| top!(a).chain(nested!(a.topics, partitions));
    DescribeGroupsResponse: |a| flat!(a.groups);
    CreateTopicsResponse: |a| flat!(a.topics);
    DeleteTopicsResponse: |a| flat!(a.responses);
    DescribeConfigsResponse: |a| flat!(a.results);
    AlterConfigsResponse: |a| flat!(a.responses);
    IncrementalAlterConfigsResponse: |a| flat!(a.responses);
    CreatePartitionsResponse: |a| flat!(a.results);
    DeleteGroupsResponse: |a| flat!(a.results);
    CreateAclsResponse: |a| flat!(a.results);
    DeleteAclsResponse: |a| flat!(a.filter_results);
    AlterReplicaLogDirsResponse: |a| nested!(a.results, partitions);
    ProduceResponse: |a| nested!(a.responses, partition_responses);
    ListOffsetsResponse: |a| nested!(a.topics, partitions);
    OffsetCommitResponse: |a| nested!(a.topics, partitions);
    DeleteRecordsResponse: |a| nested!(a.topics, partitions);
    OffsetForLeaderEpochResponse: |a| nested!(a.topics, partitions);
    DescribeProducersResponse: |a| nested!(a.topics, partitions);
    MetadataResponse: |a| flat!(a.topics).chain(nested!(a.topics, partitions));
    DescribeTopicPartitionsResponse: |a| flat!(a.topics).chain(nested!(a.topics, partitions));
    // Versions that ask for many groups tell errors by group, those before for the answer as a whole.
    OffsetFetchResponse: |a| a.groups.is_empty().then_some(a.error_code).into_iter()
        .chain(nested!(a.topics, partitions))
        .chain(flat!(a.groups))
        .chain(a.groups.iter().flat_map(|group| nested!(group.topics, partitions)));
    FindCoordinatorResponse: |a| a.coordinators.is_empty().then_some(a.error_code).into_iter().chain(flat!(a.coordinators));
}

/// The code's name in Kafka (`Errors`), which metrics are labelled with.
pub fn error_name(code: i16) -> String {
    if code == 0 {
        return "NONE".to_owned();
    }
    let Some(error) = ResponseError::try_from_code(code) else { return "UNKNOWN_SERVER_ERROR".to_owned() };
    let mut name = String::new();
    for c in format!("{error:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};

    #[test]
    fn names_are_kafkas() {
        let names = [-1, 0, 1, 3, 6, 15, 16, 19, 27, 35, 56, 100].map(error_name);
        let wanted = "UNKNOWN_SERVER_ERROR NONE OFFSET_OUT_OF_RANGE UNKNOWN_TOPIC_OR_PARTITION NOT_LEADER_OR_FOLLOWER COORDINATOR_NOT_AVAILABLE \
                      NOT_COORDINATOR NOT_ENOUGH_REPLICAS REBALANCE_IN_PROGRESS UNSUPPORTED_VERSION KAFKA_STORAGE_ERROR UNKNOWN_TOPIC_ID";
        assert_eq!(names.join(" "), wanted);
    }

    #[test]
    fn codes_are_counted_on_every_level() {
        let partition = |code| MetadataResponsePartition::default().with_error_code(code);
        let topic = MetadataResponseTopic::default().with_partitions(vec![partition(0), partition(5), partition(5)]);
        let tally = MetadataResponse::default().with_topics(vec![topic]).errors();
        let mut counts: Vec<_> = tally.iter().collect();
        counts.sort_unstable();
        assert_eq!(counts, [(0, 2), (5, 2)]);
    }
}

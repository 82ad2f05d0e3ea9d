//! What an answer refuses, read from its errors: for the APIs whose handlers do not tell it themselves (`RequestContext::refused`), which know more.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::context::RequestContext;

/// Tells each refusal of an answer: the code, what it concerns, and the answer's own sentence.
pub type Tell<'a> = &'a mut dyn FnMut(i16, &str, Option<&StrBytes>);

/// An answer that may refuse something. Without a `refusals` of its own, its handler tells what it refuses.
pub trait TellsRefusals {
    fn refusals(&self, _: Tell<'_>) {}
}

/// Notes what an answer refuses, and tells it in the log where it is news.
pub fn tell(context: &RequestContext, answer: &impl TellsRefusals) {
    answer.refusals(&mut |code, subject, message| {
        let error = ResponseError::try_from_code(code).filter(|error| !is_of_course(*error));
        match (error, message.map(StrBytes::as_str).filter(|message| !message.is_empty())) {
            (None, _) => {}
            (Some(error), Some(message)) => context.refused(error, subject, &message),
            (Some(error), None) => context.refused(error, subject, &error),
        }
    });
}

/// What clients expect and try again on, or have got already: no refusal.
fn is_of_course(error: ResponseError) -> bool {
    super::group_strings::is_of_groups_course(error)
        || matches!(error, ResponseError::UnstableOffsetCommit | ResponseError::ElectionNotNeeded)
}

/// The handlers of these tell it themselves, or nothing in them is refused.
macro_rules! told_by_handlers {
    ($($response:ty),* $(,)?) => { $(impl TellsRefusals for $response {})* };
}

/// `answer` and `tell` in the order of the arguments of a closure.
macro_rules! refuses {
    ($($response:ty: |$answer:ident, $tell:ident| $body:expr;)*) => {
        $(impl TellsRefusals for $response {
            fn refusals(&self, $tell: Tell<'_>) {
                let $answer = self;
                $body
            }
        })*
    };
}

/// Tells the parts of a list: each has a code, and these give its subject and message.
macro_rules! parts {
    ($tell:ident, $parts:expr, |$part:ident| $subject:expr, $message:expr) => {
        for $part in &$parts {
            if $part.error_code != 0 {
                $tell($part.error_code, &$subject, $message);
            }
        }
    };
}

/// The same for topics with partitions.
macro_rules! partitions {
    ($tell:ident, $topics:expr, $name:ident, $partitions:ident, $index:ident, |$part:ident| $message:expr) => {
        for topic in &$topics {
            parts!($tell, topic.$partitions, |$part| format!("{}-{}", topic.$name.as_str(), $part.$index), $message);
        }
    };
}

macro_rules! whole {
    ($tell:ident, $answer:ident, $message:expr) => {
        if $answer.error_code != 0 {
            $tell($answer.error_code, "", $message);
        }
    };
}

told_by_handlers!(
    ApiVersionsResponse,
    CreateTopicsResponse,
    FindCoordinatorResponse,
    HeartbeatResponse,
    InitProducerIdResponse,
    JoinGroupResponse,
    ListOffsetsResponse,
    MetadataResponse,
    OffsetCommitResponse,
    ProduceResponse,
    SyncGroupResponse,
);

refuses! {
    AlterConfigsResponse: |a, tell| parts!(tell, a.responses, |one| one.resource_name.as_str(), one.error_message.as_ref());
    IncrementalAlterConfigsResponse: |a, tell| parts!(tell, a.responses, |one| one.resource_name.as_str(), one.error_message.as_ref());
    DescribeConfigsResponse: |a, tell| parts!(tell, a.results, |one| one.resource_name.as_str(), one.error_message.as_ref());
    CreatePartitionsResponse: |a, tell| parts!(tell, a.results, |one| one.name.as_str(), one.error_message.as_ref());
    DeleteTopicsResponse: |a, tell| parts!(tell, a.responses, |one| name_or_id(one), one.error_message.as_ref());
    DeleteGroupsResponse: |a, tell| parts!(tell, a.results, |one| one.group_id.as_str(), None);
    DescribeGroupsResponse: |a, tell| parts!(tell, a.groups, |one| one.group_id.as_str(), one.error_message.as_ref());
    CreateAclsResponse: |a, tell| parts!(tell, a.results, |_one| "", _one.error_message.as_ref());
    DeleteAclsResponse: |a, tell| parts!(tell, a.filter_results, |_one| "", _one.error_message.as_ref());
    DescribeTopicPartitionsResponse: |a, tell| parts!(tell, a.topics, |one| one.name.as_ref().map_or("", |name| name.as_str()), None);
    DescribeLogDirsResponse: |a, tell| {
        whole!(tell, a, None);
        parts!(tell, a.results, |one| one.log_dir.as_str(), None);
    };
    ListGroupsResponse: |a, tell| whole!(tell, a, None);
    ListConfigResourcesResponse: |a, tell| whole!(tell, a, None);
    DescribeAclsResponse: |a, tell| whole!(tell, a, a.error_message.as_ref());
    DescribeClusterResponse: |a, tell| whole!(tell, a, a.error_message.as_ref());
    ListPartitionReassignmentsResponse: |a, tell| whole!(tell, a, a.error_message.as_ref());
    LeaveGroupResponse: |a, tell| {
        whole!(tell, a, None);
        parts!(tell, a.members, |one| one.member_id.as_str(), None);
    };
    UpdateFeaturesResponse: |a, tell| {
        whole!(tell, a, a.error_message.as_ref());
        parts!(tell, a.results, |one| one.feature.as_str(), one.error_message.as_ref());
    };
    DescribeQuorumResponse: |a, tell| {
        whole!(tell, a, a.error_message.as_ref());
        partitions!(tell, a.topics, topic_name, partitions, partition_index, |one| one.error_message.as_ref());
    };
    AlterPartitionReassignmentsResponse: |a, tell| {
        whole!(tell, a, a.error_message.as_ref());
        partitions!(tell, a.responses, name, partitions, partition_index, |one| one.error_message.as_ref());
    };
    ElectLeadersResponse: |a, tell| {
        whole!(tell, a, None);
        partitions!(tell, a.replica_election_results, topic, partition_result, partition_id, |one| one.error_message.as_ref());
    };
    OffsetDeleteResponse: |a, tell| {
        whole!(tell, a, None);
        partitions!(tell, a.topics, name, partitions, partition_index, |_one| None);
    };
    DeleteRecordsResponse: |a, tell| partitions!(tell, a.topics, name, partitions, partition_index, |_one| None);
    OffsetForLeaderEpochResponse: |a, tell| partitions!(tell, a.topics, topic, partitions, partition, |_one| None);
    DescribeProducersResponse: |a, tell| partitions!(tell, a.topics, name, partitions, partition_index, |one| one.error_message.as_ref());
    AlterReplicaLogDirsResponse: |a, tell| partitions!(tell, a.results, topic_name, partitions, partition_index, |_one| None);
    OffsetFetchResponse: |a, tell| {
        whole!(tell, a, None);
        partitions!(tell, a.topics, name, partitions, partition_index, |_one| None);
        parts!(tell, a.groups, |one| one.group_id.as_str(), None);
        for group in &a.groups {
            partitions!(tell, group.topics, name, partitions, partition_index, |_one| None);
        }
    };
}

fn name_or_id(topic: &delete_topics_response::DeletableTopicResult) -> String {
    topic.name.as_ref().map_or_else(|| topic.topic_id.to_string(), |name| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
    use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;

    fn told(answer: &impl TellsRefusals) -> Vec<(i16, String, Option<String>)> {
        let mut told = Vec::new();
        answer.refusals(&mut |code, subject, message| {
            told.push((code, subject.to_owned(), message.map(ToString::to_string)));
        });
        told
    }

    #[test]
    fn only_what_is_refused_is_told_with_what_it_concerns() {
        let text = |text: &'static str| StrBytes::from_static_str(text);
        let one = |name, code, message| {
            DeletableTopicResult::default()
                .with_name(Some(TopicName(text(name))))
                .with_error_code(code)
                .with_error_message(message)
        };
        let answer = DeleteTopicsResponse::default().with_responses(vec![
            one("gone", 0, None),
            one("absent", 3, Some(text("not there"))),
            one("b", 29, None),
        ]);
        let wanted = [(3, "absent".to_owned(), Some("not there".to_owned())), (29, "b".to_owned(), None)];
        assert_eq!(told(&answer), wanted);
        let group = OffsetFetchResponseGroup::default().with_group_id(GroupId(text("readers"))).with_error_code(15);
        let answer = OffsetFetchResponse::default().with_groups(vec![group]);
        assert_eq!(told(&answer), [(15, "readers".to_owned(), None)]);
        assert!(told(&MetadataResponse::default()).is_empty());
    }
}

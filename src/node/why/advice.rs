//! What to say of a refusal, and what to do about it.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use super::{Finding, told};
use crate::api::activity::Refusal;

/// An API's name, or its key where there is no such API.
pub fn api_name(api_key: i16) -> String {
    ApiKey::try_from(api_key).map_or_else(|()| format!("API {api_key}"), |key| format!("{key:?}"))
}

/// A refusal as a finding.
pub fn of_refusal(refusal: &Refusal) -> Finding {
    let (what, advice) = kind(refusal.api_key, refusal.error);
    let subject = if refusal.subject.is_empty() { String::new() } else { format!(" of {}", refusal.subject) };
    let times = if refusal.count == 1 { String::new() } else { format!(", {} times", refusal.count) };
    let ago = told(refusal.last.elapsed());
    let sentence = format!("{}{subject} was refused {ago} ago{times}: {}", api_name(refusal.api_key), refusal.said);
    Finding::new(what, sentence, advice)
}

fn kind(api_key: i16, error: ResponseError) -> (&'static str, &'static str) {
    let is_produce = api_key == ApiKey::Produce as i16;
    match error {
        ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId => (
            "unknown_topic",
            "create the topic, correct its name in the client, or turn on auto.create.topics.enable; clients ask for ever",
        ),
        ResponseError::InvalidTopicException => (
            "invalid_topic",
            "use 1 to 249 of the characters a-z A-Z 0-9 . _ -; internal topics are not for clients to write to",
        ),
        ResponseError::OffsetOutOfRange => (
            "offset_out_of_range",
            "the records there were deleted, or the topic was made anew: set auto.offset.reset, or reset the group with kafka-consumer-groups --reset-offsets",
        ),
        ResponseError::UnknownMemberId => (
            "not_a_member",
            "the group has dropped this member (its session or max.poll.interval.ms ended, see the broker's log): the client has to join again",
        ),
        ResponseError::IllegalGeneration => (
            "old_generation",
            "the group has rebalanced without this member: the client has to join again before it commits",
        ),
        ResponseError::FencedInstanceId => {
            ("fenced_instance", "another consumer runs with the same group.instance.id: give each its own")
        }
        ResponseError::InconsistentGroupProtocol => (
            "inconsistent_protocol",
            "the members of a group must have an assignor in common: compare partition.assignment.strategy, and do not mix libraries or protocol types in a group",
        ),
        ResponseError::InvalidSessionTimeout => (
            "session_timeout",
            "session.timeout.ms must lie between group.min.session.timeout.ms and group.max.session.timeout.ms of the broker",
        ),
        ResponseError::GroupMaxSizeReached => ("group_full", "the group has group.max.size members"),
        ResponseError::NotLeaderOrFollower
        | ResponseError::LeaderNotAvailable
        | ResponseError::FencedLeaderEpoch
        | ResponseError::UnknownLeaderEpoch => (
            "no_leader",
            "this broker does not lead the partition: clients ask for new metadata; if it goes on, look at kafka-topics --describe",
        ),
        ResponseError::NotEnoughReplicas | ResponseError::NotEnoughReplicasAfterAppend => (
            "not_enough_replicas",
            "bring back the replicas that are missing, or lower min.insync.replicas of the topic",
        ),
        ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge => (
            "too_large",
            "raise max.message.bytes of the topic (message.max.bytes of the broker), or lower batch.size and max.request.size of the producer",
        ),
        ResponseError::InvalidTimestamp => (
            "timestamp",
            "the records' times are too far from the broker's clock: compare the clocks, or change message.timestamp.before.max.ms / after.max.ms of the topic",
        ),
        ResponseError::KafkaStorageError => ("store", "the log directory takes or gives no records: /healthz says why"),
        ResponseError::CorruptMessage | ResponseError::InvalidRecord => (
            "bad_records",
            "the producer sent records that do not hold: look at its library and at what is between it and the broker",
        ),
        ResponseError::RequestTimedOut if is_produce => (
            "not_acknowledged",
            "the records are written, but were not acknowledged within the producer's request.timeout.ms: look at the disk",
        ),
        ResponseError::OutOfOrderSequenceNumber | ResponseError::InvalidProducerEpoch => (
            "producer_sequence",
            "batches of an idempotent producer were lost on the way, or two producers use one id: restart the producer",
        ),
        ResponseError::NotCoordinator | ResponseError::CoordinatorNotAvailable => {
            ("no_coordinator", "nobody here coordinates that; transactions are not there yet")
        }
        ResponseError::InvalidConfig => (
            "invalid_config",
            "the sentence says which key and what it allows; `ottla config-docs` and kafka-configs --describe name all of them",
        ),
        ResponseError::InvalidPartitions | ResponseError::InvalidReplicationFactor => (
            "invalid_topic",
            "partitions can only be added, and there cannot be more replicas than brokers: look at num.partitions and default.replication.factor, too",
        ),
        ResponseError::TopicAlreadyExists => ("topic_exists", "it is there already: use it, or delete it first"),
        ResponseError::TopicDeletionDisabled => {
            ("deletion_disabled", "set delete.topic.enable=true in the broker's configuration")
        }
        ResponseError::NonEmptyGroup | ResponseError::GroupSubscribedToTopic => {
            ("group_in_use", "stop the group's consumers first, or wait for their session.timeout.ms to end")
        }
        ResponseError::GroupIdNotFound => (
            "unknown_group",
            "compare it with the client's group.id; `kafka-consumer-groups --list` names the groups that there are",
        ),
        ResponseError::SecurityDisabled => {
            ("no_authorizer", "this broker has no ACLs: whoever reaches its port may do everything")
        }
        _ => ("refused", "the error says what the broker cannot do"),
    }
}

/// A connection that was ended for what its client did. `why` is the reason as the log has it.
pub fn of_closed(why: &str, listener: &str) -> Finding {
    let (what, advice) = if why.contains("TLS") {
        ("tls_to_plaintext", format!("listener {listener} is plaintext: set security.protocol=PLAINTEXT in the client"))
    } else if why.contains("HTTP") {
        (
            "http_to_kafka",
            format!("listener {listener} is for Kafka's protocol: metrics and /why are on the port of metrics.address"),
        )
    } else if why.contains("is not supported") {
        ("unknown_version", "the client uses a version of the API that this broker does not have: let it ask ApiVersions first, or use a client of Kafka 2.1 or later".to_owned())
    } else if why.contains("socket.request.max.bytes") {
        (
            "too_long",
            "something else than Kafka's protocol was sent, or a request that is longer than socket.request.max.bytes"
                .to_owned(),
        )
    } else if why.contains("max.connections.per.ip") {
        (
            "too_many_connections",
            "close connections that are not needed (a client per request, a pool without a bound), or raise max.connections.per.ip: it can be changed while the broker runs"
                .to_owned(),
        )
    } else if why.contains("acks=0") {
        (
            "unacknowledged_produce_failed",
            "with acks=0 a producer cannot be told: use acks=1 or all to see why".to_owned(),
        )
    } else {
        (
            "closed",
            "look at the client's library and at what is between it and the broker (a proxy, a load balancer)"
                .to_owned(),
        )
    };
    Finding::new(what, format!("its connection to listener {listener} was closed: {why}"), advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn a_refusal_says_what_how_often_and_what_to_do() {
        let refusal = Refusal {
            api_key: 1,
            error: ResponseError::OffsetOutOfRange,
            subject: Arc::from("orders-0"),
            said: Arc::from("offset 7 is outside of 10..20"),
            count: 3,
            last: Instant::now(),
        };
        let finding = of_refusal(&refusal);
        assert!(
            finding.sentence.starts_with("Fetch of orders-0 was refused ")
                && finding.sentence.ends_with(", 3 times: offset 7 is outside of 10..20"),
            "{finding:?}"
        );
        assert!(finding.what == "offset_out_of_range" && finding.advice.contains("auto.offset.reset"));
    }

    #[test]
    fn each_kind_of_refusal_has_its_advice() {
        let produce = ApiKey::Produce as i16;
        for (error, what, part) in [
            (ResponseError::NotLeaderOrFollower, "no_leader", "kafka-topics --describe"),
            (ResponseError::NotEnoughReplicas, "not_enough_replicas", "min.insync.replicas"),
            (ResponseError::KafkaStorageError, "store", "/healthz"),
            (ResponseError::RequestTimedOut, "not_acknowledged", "request.timeout.ms"),
            (ResponseError::NonEmptyGroup, "group_in_use", "stop the group's consumers"),
        ] {
            let (found, advice) = kind(produce, error);
            assert!(found == what && advice.contains(part), "{error:?}: {found}: {advice}");
        }
    }

    #[test]
    fn closed_connections_are_told_apart() {
        for (why, what) in [
            ("the client speaks TLS to a plaintext listener", "tls_to_plaintext"),
            ("the client speaks HTTP to a Kafka listener", "http_to_kafka"),
            ("API key 0 version 2 is not supported", "unknown_version"),
            ("a request's length is 99, socket.request.max.bytes allows 9", "too_long"),
            ("a request's length is -1", "closed"),
            ("max.connections.per.ip allows 2 connections of one address", "too_many_connections"),
        ] {
            assert_eq!(of_closed(why, "PLAINTEXT").what, what);
        }
    }
}

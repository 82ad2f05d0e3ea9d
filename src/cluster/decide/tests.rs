//! Decisions against what Apache Kafka 4.3 answered to the same requests.

use kafka_protocol::error::ResponseError::{self, *};
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::{self, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::configs::{ConfigChange, ConfigChanges, ConfigOp};
use super::elections::Election;
use super::features::{FeatureUpdate, UpgradeType};
use super::reassignments::{self, Reassignment};
use super::topics::{Deleted, DeletionTarget, TopicCreation, TopicDefaults};
use super::*;
use crate::cluster::apply::apply;
use crate::cluster::delta::Delta;
use crate::cluster::record::{BrokerState, NO_LEADER, PartitionState, RarePartitionState, Replicas};
use crate::cluster::tests::{AnyConfig, broker, topic};

/// An image that decisions are taken on and applied to.
#[derive(Default)]
struct World {
    image: MetadataImage,
    delta: Delta,
}

impl World {
    fn with_brokers(ids: &[i32]) -> Self {
        let mut world = Self::default();
        for id in ids {
            let decision = brokers::register_local(&world.image, &broker(*id));
            world.take(decision).unwrap();
        }
        world
    }

    fn take<T>(&mut self, decision: Decision<T>) -> T {
        apply(&mut self.image, &decision.records, &mut self.delta).unwrap();
        decision.reply
    }

    fn decide_create(&self, topics: &[CreatableTopic], validate_only: bool) -> Result<Decision<Vec<Answer>>, ApiError> {
        let how = TopicCreation {
            defaults: TopicDefaults { partitions: 2, replication_factor: 1 },
            rules: &AnyConfig,
            random: &mut SeededRandomness::new(self.image.offset().unsigned_abs()),
            validate_only,
        };
        let Decision { records, reply } = topics::create(&self.image, topics, how)?;
        let answer = |result: messages::create_topics_response::CreatableTopicResult| {
            (ResponseError::try_from_code(result.error_code), result.error_message.map(|text| text.to_string()))
        };
        Ok(Decision { records, reply: reply.into_iter().map(answer).collect() })
    }

    fn create(&mut self, topic: CreatableTopic) -> Answer {
        let decision = self.decide_create(&[topic], false).unwrap();
        self.take(decision).pop().unwrap()
    }
}

type Answer = (Option<ResponseError>, Option<String>);

fn refused(error: ResponseError, message: &str) -> Answer {
    (Some(error), Some(message.to_owned()))
}

fn assigned(name: &str, partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = partitions.iter().map(|(index, ids)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(*index)
            .with_broker_ids(ids.iter().map(|id| messages::BrokerId(*id)).collect())
    });
    topic(name, -1).with_assignments(assignments.collect())
}

fn with_config(topic: CreatableTopic, key: &str, value: Option<&str>) -> CreatableTopic {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    topic.with_configs(vec![CreatableTopicConfig::default().with_name(text(key)).with_value(value.map(text))])
}

#[test]
fn topics_are_created_as_asked() {
    let mut world = World::with_brokers(&[1]);
    assert_eq!(world.create(topic("a", 3)), (None, None));
    assert_eq!(world.create(topic("defaults", -1)), (None, None));
    assert_eq!(world.create(with_config(topic("c", 1), "retention.ms", Some("5"))), (None, None));
    assert_eq!(world.create(assigned("d", &[(1, &[1]), (0, &[1])])), (None, None));
    let counts: Vec<_> = world.image.topics().map(|topic| (topic.name.to_string(), topic.partition_count())).collect();
    assert_eq!(counts, [("a".into(), 3), ("c".into(), 1), ("d".into(), 2), ("defaults".into(), 2)]);
    let configs = world.image.configs(&ConfigResource::topic("c")).unwrap();
    assert_eq!(configs.get("retention.ms").map(|value| &**value), Some("5"));
    assert_eq!(world.image.partition_count(), 8);
}

#[test]
fn topic_names_are_refused_in_kafkas_words() {
    let mut world = World::with_brokers(&[1]);
    world.create(topic("a.b", 1));
    let long = "x".repeat(250);
    for (name, error, message) in [
        ("a.b", TopicAlreadyExists, "Topic 'a.b' already exists."),
        ("a_b", InvalidTopicException, "Topic 'a_b' collides with existing topic: a.b"),
        ("", InvalidTopicException, "Topic name is invalid: the empty string is not allowed"),
        ("..", InvalidTopicException, "Topic name is invalid: '..' is not allowed"),
        (
            "a b",
            InvalidTopicException,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (
            &long,
            InvalidTopicException,
            &format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"),
        ),
    ] {
        assert_eq!(world.create(topic(name, 1)), refused(error, message), "{name}");
    }
    assert_eq!(world.create(topic(&"x".repeat(249), 1)), (None, None));
}

#[test]
fn sizes_and_assignments_are_refused_in_kafkas_words() {
    let mut world = World::with_brokers(&[1, 2]);
    let factor = |factor| topic("t", 1).with_replication_factor(factor);
    for (topic, error, message) in [
        (
            factor(3),
            InvalidReplicationFactor,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 2 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
        (
            factor(0),
            InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (topic("t", 0), InvalidPartitions, "Number of partitions was set to an invalid non-positive value."),
        (
            assigned("t", &[(0, &[1])]).with_num_partitions(1),
            InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            assigned("t", &[(0, &[1]), (2, &[1])]),
            InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            assigned("t", &[(0, &[1]), (0, &[1])]),
            InvalidReplicaAssignment,
            "Found multiple manual partition assignments for partition 0",
        ),
        (
            assigned("t", &[(0, &[])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            assigned("t", &[(0, &[1, 9])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            assigned("t", &[(0, &[2, 2])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes the broker 2 more than once.",
        ),
        (
            assigned("t", &[(0, &[1, 2]), (1, &[1])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).",
        ),
        (with_config(topic("t", 1), "bad", Some("1")), InvalidConfig, "Unknown topic config name: bad"),
        (with_config(topic("t", 0), "x", None), InvalidConfig, "Null value not supported for topic configs: x"),
    ] {
        assert_eq!(world.create(topic), refused(error, message));
    }
    assert_eq!(world.image.topic_count(), 0);
}

#[test]
fn a_request_is_refused_as_a_whole_when_it_asks_for_too_much() {
    let world = World::with_brokers(&[1]);
    let error = world.decide_create(&[topic("a", 5000), topic("b", 5001)], false).unwrap_err();
    assert_eq!(error, ApiError::new(PolicyViolation, "Excessively large number of partitions per request."));
    assert!(world.decide_create(&[topic("a", 5000), topic("b", 5000)], false).is_ok());
}

#[test]
fn validating_only_changes_nothing_and_one_topics_error_harms_no_other() {
    let mut world = World::with_brokers(&[1]);
    let decision = world.decide_create(&[topic("a", 1)], true).unwrap();
    assert!(decision.records.is_empty());
    assert_eq!(decision.reply, [(None, None)]);
    let decision = world.decide_create(&[topic("a", 1), topic("b", 0), topic("c", 1)], false).unwrap();
    let answers = world.take(decision);
    assert_eq!(answers.iter().map(|answer| answer.0).collect::<Vec<_>>(), [None, Some(InvalidPartitions), None]);
    assert_eq!(world.image.topic_count(), 2);
}

fn growth(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsTopic {
    let assignment = |ids: &&[i32]| {
        CreatePartitionsAssignment::default().with_broker_ids(ids.iter().map(|id| messages::BrokerId(*id)).collect())
    };
    CreatePartitionsTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_count(count)
        .with_assignments(assignments.map(|all| all.iter().map(assignment).collect()))
}

#[test]
fn partitions_are_added_or_refused_in_kafkas_words() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create(topic("a", 2));
    let mut grow = |request: CreatePartitionsTopic| {
        let decision = partitions::create(&world.image, &[request], false, &mut SeededRandomness::new(3));
        world.take(decision).pop().unwrap()
    };
    let invalid = |message: &str| Err(ApiError::new(InvalidPartitions, message));
    assert_eq!(grow(growth("a", 2, None)), invalid("Topic already has 2 partition(s)."));
    assert_eq!(
        grow(growth("a", 1, None)),
        invalid("The topic a currently has 2 partition(s); 1 would not be an increase.")
    );
    assert_eq!(grow(growth("b", 5, None)), Err(ApiError::bare(UnknownTopicOrPartition)));
    assert_eq!(
        grow(growth("a", 5, Some(&[&[1]]))),
        Err(ApiError::new(
            InvalidReplicaAssignment,
            "Attempted to add 3 additional partition(s), but only 1 assignment(s) were specified."
        ))
    );
    assert_eq!(grow(growth("a", 3, None)), Ok(()));
    assert_eq!(grow(growth("a", 5, Some(&[&[2], &[1]]))), Ok(()));
    let leaders: Vec<_> = world.image.topic("a").unwrap().partitions.iter().map(|state| state.leader).collect();
    assert_eq!(leaders[3..], [2, 1]);
    assert_eq!(world.image.partition_count(), 5);
}

#[test]
fn topics_are_deleted_by_name_and_id_with_their_configuration() {
    let mut world = World::with_brokers(&[1]);
    for name in ["a", "b", "c"] {
        world.create(with_config(topic(name, 1), "retention.ms", Some("1")));
    }
    let id = |name: &str| world.image.topic_id(name).unwrap();
    let name = |name: &str| TopicName(StrBytes::from_string(name.to_owned()));
    let (a, b, c) = (id("a"), id("b"), id("c"));
    let targets = [
        DeletionTarget::Name(name("a")),
        DeletionTarget::Name(name("b")),
        DeletionTarget::Name(name("nope")),
        DeletionTarget::Id(c),
        DeletionTarget::Id(b),
    ];
    let decision = topics::delete(&world.image, &targets);
    let codes: Vec<_> = world
        .take(decision)
        .into_iter()
        .map(|Deleted { id, error, .. }| (id, error.map(|error| error.error)))
        .collect();
    let expected = [(a, None), (b, Some(InvalidRequest)), (Uuid::nil(), Some(UnknownTopicOrPartition)), (c, None)];
    assert_eq!(codes, expected, "a topic told by name and by id is refused, once");
    assert_eq!(world.image.topics().map(|topic| topic.id).collect::<Vec<_>>(), [b]);
    assert_eq!(world.image.config_resources().count(), 1);
}

#[test]
fn an_election_prefers_the_first_replica_and_loses_records_only_when_told_to() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    world.create(assigned("a", &[(0, &[1, 2, 3])]));
    let topic_id = world.image.topic_id("a").unwrap();
    let state = |leader, isr: &[i32]| PartitionState {
        replicas: Replicas::from_slice(&[1, 2, 3]),
        isr: Replicas::from_slice(isr),
        leader,
        leader_epoch: 4,
        partition_epoch: 9,
        recovering: false,
        rare: None,
    };
    let elected = |before: PartitionState, election, active: &[i32]| {
        elections::change_leader(&before, election, &|id| active.contains(&id)).map(|after| (after.leader, after.isr))
    };
    let isr = |ids: &[i32]| Replicas::from_slice(ids);
    assert_eq!(elected(state(2, &[1, 2]), Election::Preferred, &[1, 2, 3]), Some((1, isr(&[1, 2]))));
    assert_eq!(elected(state(2, &[2, 3]), Election::Preferred, &[1, 2, 3]), None, "1 is not in sync");
    assert_eq!(elected(state(2, &[2, 3]), Election::Online, &[1, 3]), Some((3, isr(&[2, 3]))));
    assert_eq!(elected(state(2, &[2]), Election::Online, &[1, 3]), None);
    assert_eq!(elected(state(2, &[2]), Election::Unclean, &[1, 3]), Some((1, isr(&[1]))));

    world.take(Decision {
        records: vec![Record::PartitionChanged { topic_id, partition: 0, state: state(2, &[1, 2]) }],
        reply: (),
    });
    let decision = elections::elect(&world.image, Election::Preferred, None);
    assert_eq!(world.take(decision), [("a".to_owned(), vec![(0, Ok(()))])]);
    let after = world.image.topic("a").unwrap().partition(0).unwrap();
    assert_eq!((after.leader, after.leader_epoch, after.partition_epoch), (1, 5, 10));
    let decision = elections::elect(&world.image, Election::Preferred, Some(&[("a".to_owned(), vec![0, 8])]));
    let codes: Vec<_> =
        world.take(decision)[0].1.iter().map(|(_, result)| result.as_ref().unwrap_err().error).collect();
    assert_eq!(codes, [ElectionNotNeeded, UnknownTopicOrPartition]);
}

#[test]
fn producer_ids_go_out_once_and_only_to_the_registered_incarnation() {
    let mut world = World::with_brokers(&[1]);
    let epoch = world.image.broker(1).unwrap().epoch;
    let first = producer_ids::allocate(&world.image, 1, epoch);
    assert_eq!(world.take(first).unwrap(), 0..1000);
    let second = producer_ids::allocate(&world.image, 1, epoch);
    assert_eq!(world.take(second).unwrap(), 1000..2000);
    for (id, epoch) in [(1, epoch + 1), (2, epoch)] {
        let refused = world.take(producer_ids::allocate(&world.image, id, epoch));
        assert_eq!(refused.unwrap_err().error, StaleBrokerEpoch);
    }
}

#[test]
fn a_new_incarnation_raises_the_epochs_of_what_it_led() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create(assigned("a", &[(0, &[1, 2]), (1, &[2, 1])]));
    let before = world.image.broker(1).unwrap().epoch;
    let decision = brokers::register_local(&world.image, &broker(1));
    let epoch = world.take(decision).unwrap();
    assert!(epoch > before);
    let epochs: Vec<_> = world.image.topic("a").unwrap().partitions.iter().map(|state| state.leader_epoch).collect();
    assert_eq!(epochs, [1, 0]);
    let old = BrokerState { features: [("metadata.version".into(), (7, 20))].into(), ..broker(2) };
    world.take(Decision {
        records: vec![Record::FeatureLevelChanged { name: "metadata.version".into(), level: 29 }],
        reply: (),
    });
    let refused = world.take(brokers::register_local(&world.image, &old));
    assert_eq!(refused.unwrap_err().error, UnsupportedVersion);
}

fn changes(changes: &[(&str, ConfigOp, &str)]) -> ConfigChanges {
    let change = |op, value: &str| ConfigChange { op, value: Some(value.into()) };
    changes.iter().map(|(key, op, value)| (Arc::from(*key), change(*op, value))).collect()
}

#[test]
fn configurations_change_whole_resources_or_nothing() {
    let mut world = World::with_brokers(&[1]);
    world.create(topic("a", 1));
    let mut alter = |resource: ConfigResource, wanted: ConfigChanges| {
        let decision = configs::incremental_alter(&world.image, &AnyConfig, &[(resource.clone(), wanted)], false);
        let result = world.take(decision).pop().unwrap().1.map_err(|error| error.error);
        (result, world.image.configs(&resource).cloned())
    };
    let get = |configs: Option<Arc<Configs>>, key: &str| configs?.get(key).map(ToString::to_string);
    let a = ConfigResource::topic("a");
    let (result, configs) = alter(a.clone(), changes(&[("cleanup.policy", ConfigOp::Append, "compact,delete")]));
    assert_eq!((result, get(configs, "cleanup.policy")), (Ok(()), Some("delete,compact".into())));
    let (result, configs) = alter(a.clone(), changes(&[("cleanup.policy", ConfigOp::Subtract, "delete")]));
    assert_eq!((result, get(configs, "cleanup.policy")), (Ok(()), Some("compact".into())));
    let (result, configs) =
        alter(a.clone(), changes(&[("retention.ms", ConfigOp::Set, "1"), ("bad", ConfigOp::Set, "1")]));
    assert_eq!((result, get(configs, "retention.ms")), (Err(InvalidConfig), None));
    let (result, _) = alter(a.clone(), changes(&[("retention.ms", ConfigOp::Append, "1")]));
    assert_eq!(result, Err(InvalidConfig), "not a list");
    let (result, _) = alter(a.clone(), changes(&[("x", ConfigOp::Set, &"y".repeat(32_768))]));
    assert_eq!(result, Err(InvalidConfig), "too long");
    let (result, configs) = alter(a, changes(&[("cleanup.policy", ConfigOp::Delete, "")]));
    assert_eq!((result, configs), (Ok(()), None));
    let one = changes(&[("x", ConfigOp::Set, "1")]);
    for (resource, error) in [
        (ConfigResource::topic("absent"), UnknownTopicOrPartition),
        (ConfigResource::topic(""), InvalidRequest),
        (ConfigResource::topic("a b"), InvalidTopicException),
        (ConfigResource::broker(9), BrokerIdNotRegistered),
        (ConfigResource::new(ResourceKind::Broker, "x"), InvalidRequest),
        (ConfigResource::new(ResourceKind::Group, ""), InvalidRequest),
    ] {
        assert_eq!(alter(resource.clone(), one.clone()).0, Err(error), "{resource:?}");
    }
    assert_eq!(alter(ConfigResource::all_brokers(), one.clone()).0, Ok(()));
    assert_eq!(alter(ConfigResource::broker(1), one).0, Ok(()));
}

#[test]
fn the_old_way_of_altering_removes_what_is_not_named() {
    let mut world = World::with_brokers(&[1]);
    world.create(with_config(topic("a", 1), "retention.ms", Some("1")));
    let a = ConfigResource::topic("a");
    let wanted = [("flush.ms".into(), Some("7".into()))].into();
    let decision = configs::legacy_alter(&world.image, &AnyConfig, &[(a.clone(), wanted)], false);
    assert_eq!(world.take(decision)[0].1, Ok(()));
    let configs = world.image.configs(&a).unwrap();
    assert_eq!(configs.keys().map(|key| &**key).collect::<Vec<_>>(), ["flush.ms"]);
}

#[test]
fn features_move_only_where_every_broker_can_follow() {
    let mut world = World::with_brokers(&[1]);
    world.take(Decision {
        records: vec![Record::FeatureLevelChanged { name: "metadata.version".into(), level: 25 }],
        reply: (),
    });
    let supported = [("metadata.version".into(), (7, 30))].into();
    let mut update = |name: &str, level, upgrade_type| {
        let updates = [FeatureUpdate { name: name.into(), level, upgrade_type }];
        let decision = features::update(&world.image, 1, &supported, &updates, false);
        world.take(decision).map_err(|error| error.message.unwrap())
    };
    let says = |result: Result<(), String>, text: &str| {
        let message = result.unwrap_err();
        assert!(message.contains(text), "{message}");
    };
    says(update("metadata.version", 30, UpgradeType::Upgrade), "Broker 1 only supports versions 7-29");
    says(update("metadata.version", 31, UpgradeType::Upgrade), "Local controller 1 only supports versions 7-30");
    says(update("metadata.version", 20, UpgradeType::Upgrade), "without setting the upgrade type");
    says(update("metadata.version", 20, UpgradeType::SafeDowngrade), "Refusing to perform");
    says(update("metadata.version", 28, UpgradeType::SafeDowngrade), "Can't downgrade to a newer version.");
    says(update("nope", 1, UpgradeType::Upgrade), "does not support this feature");
    assert_eq!(update("metadata.version", 29, UpgradeType::Upgrade), Ok(()));
    assert_eq!(world.image.feature_level("metadata.version"), Some(29));
}

/// Many random commands: a snapshot brings the same image back, and the merged deltas say the same as comparing first and last.
#[test]
fn images_survive_snapshots_and_deltas_tell_the_difference() {
    for seed in 0..30 {
        let mut random = SeededRandomness::new(seed);
        let mut world = World::with_brokers(&[1, 2, 3]);
        let mut start = MetadataImage::default();
        for step in 0..120 {
            if step == 40 {
                start = world.image.clone();
                world.delta = Delta::default();
            }
            let records = random_records(&world.image, &mut random);
            let mut delta = Delta::default();
            apply(&mut world.image, &records, &mut delta).unwrap();
            world.delta.merge(delta);
        }
        let back = MetadataImage::from_bytes(&world.image.to_bytes().unwrap()).unwrap();
        assert_eq!(back, world.image, "seed {seed}");
        assert_eq!(back.similar_topic("t_1"), world.image.similar_topic("t_1"));
        let found = Delta::between(&start, &world.image);
        assert_eq!(found.topics_created, world.delta.topics_created, "seed {seed}");
        let deleted = |delta: &Delta| delta.topics_deleted.keys().copied().collect::<Vec<_>>();
        assert_eq!(deleted(&found), deleted(&world.delta), "seed {seed}");
        // A change and its undoing cancel out when images are compared, not when deltas are merged.
        assert!(found.partitions.is_subset(&world.delta.partitions), "seed {seed}");
        assert!(found.configs.is_subset(&world.delta.configs), "seed {seed}");
        assert!(found.brokers.is_subset(&world.delta.brokers), "seed {seed}");
    }
}

#[test]
fn elections_outside_of_the_in_sync_replicas_are_counted() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    let state = PartitionState::new(Replicas::from_slice(&[1, 2, 3]), Replicas::from_slice(&[1, 2])).unwrap();
    let topic_id = SeededRandomness::new(1).topic_id();
    let created = Record::TopicCreated { id: topic_id, name: "t".into(), partitions: vec![state.clone(); 3] };
    apply(&mut world.image, &[created], &mut world.delta).unwrap();
    let before = world.image.clone();
    let mut delta = Delta::default();
    let led_by = |partition, leader| {
        let state = PartitionState { leader, leader_epoch: 1, ..state.clone() };
        Record::PartitionChanged { topic_id, partition, state }
    };
    apply(&mut world.image, &[led_by(0, 3), led_by(1, 2), led_by(2, NO_LEADER)], &mut delta).unwrap();
    assert_eq!(delta.unclean_elections(&before, &world.image), 1);
    assert_eq!(delta.unclean_elections(&world.image, &world.image), 0);
}

fn random_records(image: &MetadataImage, random: &mut SeededRandomness) -> Vec<Record> {
    let name = format!("t.{}", random.below(12));
    let known = image.topic(&name).cloned();
    let partition = || PartitionState::new(Replicas::from_slice(&[1, 2]), Replicas::from_slice(&[1])).unwrap();
    match (random.below(6), known) {
        (0, Some(topic)) => vec![Record::TopicDeleted { id: topic.id }],
        (1, Some(topic)) => {
            let mut state = topic.partitions[0].clone();
            state.leader_epoch += 1;
            state.rare = Some(Box::new(RarePartitionState::default()));
            vec![Record::PartitionChanged { topic_id: topic.id, partition: 0, state }]
        }
        (2, Some(topic)) => {
            let first = topic.partition_count();
            vec![Record::PartitionsAdded { topic_id: topic.id, first, partitions: vec![partition()] }]
        }
        (3, Some(_)) => vec![Record::ConfigChanged {
            resource: ConfigResource::topic(name),
            key: "retention.ms".into(),
            value: (random.below(2) == 0).then(|| "1".into()),
        }],
        (4, Some(_)) => vec![Record::LeaderRestarted { id: 1 }],
        (_, Some(_)) => vec![Record::FeatureLevelChanged { name: "f".into(), level: i16::from(random.below(3) > 0) }],
        (_, None) => {
            vec![Record::TopicCreated { id: random.topic_id(), name: name.into(), partitions: vec![partition()] }]
        }
    }
}

#[test]
fn a_reassignment_changes_the_order_of_replicas_and_nothing_else() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    assert_eq!(world.create(assigned("t", &[(0, &[1, 2])])), (None, None));
    let decide = |world: &World, partition, replicas: Option<&[i32]>, allow| {
        let replicas = replicas.map(|ids| ids.iter().copied().collect());
        reassignments::alter(&world.image, &[Reassignment { topic: "t".into(), partition, replicas }], allow)
    };
    let error = |world: &World, partition, replicas: Option<&[i32]>, allow| {
        let decision = decide(world, partition, replicas, allow);
        assert!(decision.records.is_empty());
        decision.reply.into_iter().next().unwrap().err().map(|error| error.error)
    };
    assert_eq!(error(&world, 0, Some(&[1, 2]), false), None);
    assert_eq!(error(&world, 0, Some(&[1, 3]), true), Some(InvalidReplicaAssignment));
    assert_eq!(error(&world, 0, Some(&[1]), false), Some(InvalidReplicationFactor));
    assert_eq!(error(&world, 0, Some(&[1, 9]), true), Some(InvalidReplicaAssignment));
    assert_eq!(error(&world, 0, Some(&[2, 2]), true), Some(InvalidReplicaAssignment));
    assert_eq!(error(&world, 0, Some(&[]), true), Some(InvalidReplicaAssignment));
    assert_eq!(error(&world, 0, None, true), Some(NoReassignmentInProgress));
    assert_eq!(error(&world, 1, None, true), Some(UnknownTopicOrPartition));
    let decision = decide(&world, 0, Some(&[2, 1]), true);
    assert_eq!(world.take(decision), [Ok(())]);
    let partition = world.image.topic("t").unwrap().partition(0).unwrap();
    assert_eq!((&partition.replicas[..], partition.leader, partition.partition_epoch), (&[2, 1][..], 1, 1));
}

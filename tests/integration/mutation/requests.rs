//! Valid requests of every API, with topics and groups that exist as often as not, for [`super`] to break.
//!
//! Must stay cheap for the broker even when broken: few partitions, and what makes many of them is only validated.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};
use uuid::Uuid;

use super::Random;
use crate::client::{Client, batch, text, topic_name};

const TOPICS: [&str; 4] = ["broken-0", "broken-1", "broken-2", "made-on-the-way"];
const GROUPS: [&str; 3] = ["group-0", "group-1", ""];

pub struct Corpus {
    ids: Vec<Uuid>,
    producer: (i64, i16),
}

/// What one request is about.
struct Draw<'a> {
    random: &'a mut Random,
    ids: &'a [Uuid],
    producer: (i64, i16),
    version: i16,
}

impl Draw<'_> {
    fn topic(&mut self) -> TopicName {
        topic_name(self.random.pick(&TOPICS))
    }

    fn id(&mut self) -> Uuid {
        self.random.pick(self.ids)
    }

    fn group(&mut self) -> GroupId {
        GroupId(text(self.random.pick(&GROUPS)))
    }

    fn member(&mut self) -> StrBytes {
        text(self.random.pick(&["", "a-member", "another"]))
    }

    fn instance(&mut self) -> Option<StrBytes> {
        self.coin().then(|| text("instance"))
    }

    fn partition(&mut self) -> i32 {
        self.random.pick(&[0, 0, 0, 1, 2, -1])
    }

    fn offset(&mut self) -> i64 {
        self.random.pick(&[0, 1, 5, -1, -2, i64::MAX])
    }

    fn epoch(&mut self) -> i32 {
        self.random.pick(&[-1, 0, 1, 100])
    }

    fn coin(&mut self) -> bool {
        self.random.below(2) == 0
    }

    /// For fields that versions below `since` do not have.
    fn from<T: Default>(&mut self, since: i16, value: T) -> T {
        if self.version >= since { value } else { T::default() }
    }

    fn batch(&mut self) -> Bytes {
        let plain = self.coin();
        let (id, epoch) = self.producer;
        let sequence = i32::try_from(self.random.below(4)).unwrap();
        batch(if plain { (-1, -1, -1) } else { (id, epoch, sequence) }, &["a value", "another"])
    }
}

impl Corpus {
    /// Makes the topics that exist.
    pub fn new(client: &mut Client) -> Self {
        let mut ids: Vec<Uuid> = TOPICS[..3].iter().map(|name| client.create_topic(name, 2, &[])).collect();
        ids.push(Uuid::from_u128(7));
        Self { ids, producer: client.init_producer_id() }
    }

    /// Header and body, without the length prefix.
    pub fn request(&self, random: &mut Random, key: ApiKey, version: i16) -> Vec<u8> {
        let mut out = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(1)
            .with_client_id(Some(text("broken")))
            .encode(&mut out, key.request_header_version(version))
            .unwrap();
        let mut draw = Draw { random, ids: &self.ids, producer: self.producer, version };
        let request = body(&mut draw, key);
        request.encode(&mut out, version).unwrap_or_else(|error| panic!("{key:?} version {version}: {error}"));
        out.to_vec()
    }
}

fn body(d: &mut Draw<'_>, key: ApiKey) -> RequestKind {
    match key {
        ApiKey::Produce => produce(d),
        ApiKey::Fetch => fetch(d),
        ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::Heartbeat | ApiKey::LeaveGroup => membership(d, key),
        ApiKey::OffsetCommit | ApiKey::OffsetFetch | ApiKey::OffsetDelete => group_offsets(d, key),
        ApiKey::DescribeGroups | ApiKey::ListGroups | ApiKey::DeleteGroups | ApiKey::FindCoordinator => groups(d, key),
        ApiKey::CreateTopics | ApiKey::DeleteTopics | ApiKey::CreatePartitions => topics(d, key),
        ApiKey::DescribeConfigs | ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => configs(d, key),
        ApiKey::ListOffsets | ApiKey::DeleteRecords | ApiKey::OffsetForLeaderEpoch | ApiKey::DescribeProducers => {
            partitions(d, key)
        }
        _ => cluster(d, key),
    }
}

fn produce(d: &mut Draw<'_>) -> RequestKind {
    use produce_request::*;
    let data = PartitionProduceData::default().with_index(d.partition()).with_records(Some(d.batch()));
    let by_name = d.version < 13;
    let topic = TopicProduceData::default().with_partition_data(vec![data]);
    let topic = if by_name { topic.with_name(d.topic()) } else { topic.with_topic_id(d.id()) };
    let acks = d.random.pick(&[-1, 1, 1, 1]);
    RequestKind::Produce(ProduceRequest::default().with_acks(acks).with_timeout_ms(50).with_topic_data(vec![topic]))
}

fn fetch(d: &mut Draw<'_>) -> RequestKind {
    use fetch_request::*;
    let partition = FetchPartition::default()
        .with_partition(d.partition())
        .with_fetch_offset(d.offset())
        .with_partition_max_bytes(4096);
    let topic = FetchTopic::default().with_partitions(vec![partition]);
    let topic = if d.version < 13 { topic.with_topic(d.topic()) } else { topic.with_topic_id(d.id()) };
    let request = FetchRequest::default().with_max_bytes(1 << 16).with_topics(vec![topic]);
    let request = match (d.version, d.coin()) {
        (7.., true) => request.with_session_id(d.random.pick(&[0, 1, 77])).with_session_epoch(d.epoch()),
        _ => request.with_session_epoch(-1),
    };
    let forgotten = ForgottenTopic::default().with_partitions(vec![1]);
    RequestKind::Fetch(match (d.version, d.coin()) {
        (7..=12, true) => request.with_forgotten_topics_data(vec![forgotten.with_topic(d.topic())]),
        (13.., true) => request.with_forgotten_topics_data(vec![forgotten.with_topic_id(d.id())]),
        _ => request,
    })
}

fn membership(d: &mut Draw<'_>, key: ApiKey) -> RequestKind {
    let (group, member, instance, generation) = (d.group(), d.member(), d.instance(), d.epoch());
    match key {
        ApiKey::JoinGroup => {
            let protocol = join_group_request::JoinGroupRequestProtocol::default()
                .with_name(text("range"))
                .with_metadata(Bytes::from_static(b"\0\x01\0\0\0\x01\0\x08broken-0\0\0\0\0"));
            let rebalance_timeout_ms = if d.version >= 1 { 50 } else { -1 };
            RequestKind::JoinGroup(
                JoinGroupRequest::default()
                    .with_group_id(group)
                    .with_session_timeout_ms(50)
                    .with_rebalance_timeout_ms(rebalance_timeout_ms)
                    .with_member_id(member)
                    .with_group_instance_id(d.from(5, instance))
                    .with_protocol_type(text("consumer"))
                    .with_protocols(vec![protocol]),
            )
        }
        ApiKey::SyncGroup => {
            let assignment = sync_group_request::SyncGroupRequestAssignment::default()
                .with_member_id(d.member())
                .with_assignment(Bytes::from_static(b"bytes"));
            RequestKind::SyncGroup(
                SyncGroupRequest::default()
                    .with_group_id(group)
                    .with_generation_id(generation)
                    .with_member_id(member)
                    .with_group_instance_id(d.from(3, instance))
                    .with_protocol_type(d.from(5, Some(text("consumer"))))
                    .with_protocol_name(d.from(5, Some(text("range"))))
                    .with_assignments(vec![assignment]),
            )
        }
        ApiKey::Heartbeat => RequestKind::Heartbeat(
            HeartbeatRequest::default()
                .with_group_id(group)
                .with_generation_id(generation)
                .with_member_id(member)
                .with_group_instance_id(d.from(3, instance)),
        ),
        _ => {
            let identity = leave_group_request::MemberIdentity::default()
                .with_member_id(member.clone())
                .with_group_instance_id(instance);
            let request = LeaveGroupRequest::default().with_group_id(group);
            RequestKind::LeaveGroup(match d.version {
                ..=2 => request.with_member_id(member),
                _ => request.with_members(vec![identity]),
            })
        }
    }
}

fn group_offsets(d: &mut Draw<'_>, key: ApiKey) -> RequestKind {
    let (group, name, partition) = (d.group(), d.topic(), d.partition());
    match key {
        ApiKey::OffsetCommit => {
            use offset_commit_request::*;
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_offset(d.offset())
                .with_committed_metadata(Some(text("metadata")));
            let topic = OffsetCommitRequestTopic::default().with_name(name).with_partitions(vec![partition]);
            RequestKind::OffsetCommit(
                OffsetCommitRequest::default()
                    .with_group_id(group)
                    .with_generation_id_or_member_epoch(d.epoch())
                    .with_member_id(d.member())
                    .with_topics(vec![topic]),
            )
        }
        ApiKey::OffsetFetch => {
            use offset_fetch_request::*;
            let request = OffsetFetchRequest::default();
            RequestKind::OffsetFetch(if d.version < 8 {
                let topic = OffsetFetchRequestTopic::default().with_name(name).with_partition_indexes(vec![partition]);
                request.with_group_id(group).with_topics(Some(vec![topic]))
            } else {
                let topic = OffsetFetchRequestTopics::default().with_name(name).with_partition_indexes(vec![partition]);
                let topics = d.coin().then(|| vec![topic]);
                let group = OffsetFetchRequestGroup::default().with_group_id(group).with_topics(topics);
                request.with_groups(vec![group]).with_topics(Some(vec![]))
            })
        }
        _ => {
            use offset_delete_request::*;
            let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
            let topic = OffsetDeleteRequestTopic::default().with_name(name).with_partitions(vec![partition]);
            RequestKind::OffsetDelete(OffsetDeleteRequest::default().with_group_id(group).with_topics(vec![topic]))
        }
    }
}

fn groups(d: &mut Draw<'_>, key: ApiKey) -> RequestKind {
    let groups = vec![d.group(), d.group()];
    match key {
        ApiKey::DescribeGroups => {
            let operations = d.coin();
            let request = DescribeGroupsRequest::default().with_groups(groups);
            RequestKind::DescribeGroups(request.with_include_authorized_operations(d.from(3, operations)))
        }
        ApiKey::ListGroups => RequestKind::ListGroups(
            ListGroupsRequest::default()
                .with_states_filter(d.from(4, vec![text("Stable")]))
                .with_types_filter(d.from(5, vec![text("classic")])),
        ),
        ApiKey::DeleteGroups => RequestKind::DeleteGroups(DeleteGroupsRequest::default().with_groups_names(groups)),
        _ => {
            let key_type = i8::try_from(d.random.below(2)).unwrap();
            let request = FindCoordinatorRequest::default().with_key_type(d.from(1, key_type));
            RequestKind::FindCoordinator(match d.version {
                ..=3 => request.with_key(text("group-0")),
                _ => request.with_coordinator_keys(vec![text("group-0"), text("group-1")]),
            })
        }
    }
}

fn topics(d: &mut Draw<'_>, key: ApiKey) -> RequestKind {
    match key {
        ApiKey::CreateTopics => {
            use create_topics_request::*;
            let topic = CreatableTopic::default().with_name(d.topic());
            let config = CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(Some(text("1000")));
            let topic = topic.with_configs(vec![config]);
            // A count is what a mutation makes large: those with one are only validated.
            let counted = d.coin();
            let assignment =
                CreatableReplicaAssignment::default().with_partition_index(0).with_broker_ids(vec![BrokerId(1)]);
            let topic = match counted {
                true => topic.with_num_partitions(2).with_replication_factor(1),
                false => topic.with_num_partitions(-1).with_replication_factor(-1).with_assignments(vec![assignment]),
            };
            let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(50);
            RequestKind::CreateTopics(request.with_validate_only(counted))
        }
        ApiKey::DeleteTopics => {
            use delete_topics_request::*;
            let request = DeleteTopicsRequest::default().with_timeout_ms(50);
            // The last: so that the others remain.
            let name = topic_name(TOPICS[3]);
            let by_id = d.coin();
            RequestKind::DeleteTopics(match (d.version, by_id) {
                (..=5, _) => request.with_topic_names(vec![name]),
                (_, true) => request
                    .with_topics(vec![DeleteTopicState::default().with_name(None).with_topic_id(Uuid::from_u128(7))]),
                _ => request.with_topics(vec![DeleteTopicState::default().with_name(Some(name))]),
            })
        }
        _ => {
            use create_partitions_request::*;
            let topic = CreatePartitionsTopic::default().with_name(d.topic()).with_count(3).with_assignments(None);
            RequestKind::CreatePartitions(
                CreatePartitionsRequest::default()
                    .with_topics(vec![topic])
                    .with_timeout_ms(50)
                    .with_validate_only(true),
            )
        }
    }
}

/// Of topics: what a broken request sets on the broker would last for the others.
fn configs(d: &mut Draw<'_>, key: ApiKey) -> RequestKind {
    let (name, config, value) = (d.topic().0, text("retention.ms"), Some(text("600000")));
    match key {
        ApiKey::DescribeConfigs => {
            use describe_configs_request::*;
            let keys = d.coin().then(|| vec![text("retention.ms"), text("no.such.config")]);
            let broker = d.coin();
            let resource = DescribeConfigsResource::default()
                .with_resource_type(if broker { 4 } else { 2 })
                .with_resource_name(if broker { text("1") } else { name })
                .with_configuration_keys(keys);
            RequestKind::DescribeConfigs(
                DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true),
            )
        }
        ApiKey::AlterConfigs => {
            use alter_configs_request::*;
            let config = AlterableConfig::default().with_name(config).with_value(value);
            let resource = AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(name)
                .with_configs(vec![config]);
            RequestKind::AlterConfigs(AlterConfigsRequest::default().with_resources(vec![resource]))
        }
        _ => {
            use incremental_alter_configs_request::*;
            let operation = i8::try_from(d.random.below(4)).unwrap();
            let config =
                AlterableConfig::default().with_name(config).with_value(value).with_config_operation(operation);
            let resource = AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(name)
                .with_configs(vec![config]);
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
            RequestKind::IncrementalAlterConfigs(request.with_validate_only(d.coin()))
        }
    }
}

fn partitions(d: &mut Draw<'_>, key: ApiKey) -> RequestKind {
    let (name, partition, epoch, offset) = (d.topic(), d.partition(), d.epoch(), d.offset());
    match key {
        ApiKey::ListOffsets => {
            use list_offsets_request::*;
            let timestamp = d.random.pick(&[-1, -2, -3, 0, 1_700_000_000_000]);
            let partition = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
            let topic = ListOffsetsTopic::default().with_name(name).with_partitions(vec![partition]);
            RequestKind::ListOffsets(
                ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]),
            )
        }
        ApiKey::DeleteRecords => {
            use delete_records_request::*;
            let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
            let topic = DeleteRecordsTopic::default().with_name(name).with_partitions(vec![partition]);
            RequestKind::DeleteRecords(DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(50))
        }
        ApiKey::OffsetForLeaderEpoch => {
            use offset_for_leader_epoch_request::*;
            let partition = OffsetForLeaderPartition::default()
                .with_partition(partition)
                .with_current_leader_epoch(epoch)
                .with_leader_epoch(d.epoch());
            let topic = OffsetForLeaderTopic::default().with_topic(name).with_partitions(vec![partition]);
            RequestKind::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest::default().with_topics(vec![topic]))
        }
        _ => {
            use describe_producers_request::*;
            let topic = TopicRequest::default().with_name(name).with_partition_indexes(vec![partition]);
            RequestKind::DescribeProducers(DescribeProducersRequest::default().with_topics(vec![topic]))
        }
    }
}

fn cluster(d: &mut Draw<'_>, key: ApiKey) -> RequestKind {
    let (name, partition) = (d.topic(), d.partition());
    match key {
        ApiKey::Metadata => {
            let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(name));
            let request = MetadataRequest::default().with_topics(Some(vec![topic]));
            let create = if d.version >= 4 { d.coin() } else { true };
            RequestKind::Metadata(request.with_allow_auto_topic_creation(create))
        }
        ApiKey::ApiVersions => RequestKind::ApiVersions(
            ApiVersionsRequest::default()
                .with_client_software_name(text("name"))
                .with_client_software_version(text("1.0")),
        ),
        ApiKey::InitProducerId => RequestKind::InitProducerId(
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(1000),
        ),
        ApiKey::DescribeLogDirs => {
            let topic = describe_log_dirs_request::DescribableLogDirTopic::default()
                .with_topic(name)
                .with_partitions(vec![partition]);
            let topics = d.coin().then(|| vec![topic]);
            RequestKind::DescribeLogDirs(DescribeLogDirsRequest::default().with_topics(topics))
        }
        ApiKey::ElectLeaders => {
            let topic =
                elect_leaders_request::TopicPartitions::default().with_topic(name).with_partitions(vec![partition]);
            RequestKind::ElectLeaders(
                ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic])).with_timeout_ms(50),
            )
        }
        ApiKey::AlterReplicaLogDirs => {
            use alter_replica_log_dirs_request::*;
            let topic = AlterReplicaLogDirTopic::default().with_name(name).with_partitions(vec![partition]);
            let dir = AlterReplicaLogDir::default().with_path(text("/no/such/folder")).with_topics(vec![topic]);
            RequestKind::AlterReplicaLogDirs(AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]))
        }
        ApiKey::AlterPartitionReassignments => {
            use alter_partition_reassignments_request::*;
            let replicas = d.coin().then(|| vec![BrokerId(1), BrokerId(2)]);
            let wish = ReassignablePartition::default().with_partition_index(partition).with_replicas(replicas);
            let topic = ReassignableTopic::default().with_name(name).with_partitions(vec![wish]);
            RequestKind::AlterPartitionReassignments(
                AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]).with_timeout_ms(50),
            )
        }
        ApiKey::ListPartitionReassignments => {
            use list_partition_reassignments_request::*;
            let topic =
                ListPartitionReassignmentsTopics::default().with_name(name).with_partition_indexes(vec![partition]);
            let topics = d.coin().then(|| vec![topic]);
            RequestKind::ListPartitionReassignments(ListPartitionReassignmentsRequest::default().with_topics(topics))
        }
        ApiKey::DescribeAcls => RequestKind::DescribeAcls(
            DescribeAclsRequest::default()
                .with_resource_type_filter(2)
                .with_resource_name_filter(Some(name.0))
                .with_operation(1)
                .with_permission_type(1),
        ),
        ApiKey::CreateAcls => {
            use create_acls_request::*;
            let creation = AclCreation::default()
                .with_resource_type(2)
                .with_resource_name(name.0)
                .with_principal(text("User:ann"))
                .with_host(text("*"))
                .with_operation(3)
                .with_permission_type(3);
            RequestKind::CreateAcls(CreateAclsRequest::default().with_creations(vec![creation]))
        }
        ApiKey::DeleteAcls => {
            use delete_acls_request::*;
            let filter = DeleteAclsFilter::default().with_resource_type_filter(2).with_operation(1);
            RequestKind::DeleteAcls(DeleteAclsRequest::default().with_filters(vec![filter.with_permission_type(1)]))
        }
        ApiKey::DescribeQuorum => {
            use describe_quorum_request::*;
            let topic = TopicData::default()
                .with_topic_name(topic_name("__cluster_metadata"))
                .with_partitions(vec![PartitionData::default().with_partition_index(0)]);
            RequestKind::DescribeQuorum(DescribeQuorumRequest::default().with_topics(vec![topic]))
        }
        ApiKey::UpdateFeatures => {
            let update = update_features_request::FeatureUpdateKey::default()
                .with_feature(text("no.such.feature"))
                .with_max_version_level(1);
            RequestKind::UpdateFeatures(
                UpdateFeaturesRequest::default().with_feature_updates(vec![update]).with_timeout_ms(50),
            )
        }
        ApiKey::DescribeCluster => RequestKind::DescribeCluster(DescribeClusterRequest::default()),
        ApiKey::ListConfigResources => {
            let types = if d.coin() { vec![2, 4] } else { vec![] };
            RequestKind::ListConfigResources(
                ListConfigResourcesRequest::default().with_resource_types(d.from(1, types)),
            )
        }
        ApiKey::DescribeTopicPartitions => {
            use describe_topic_partitions_request::*;
            let cursor = Cursor::default().with_topic_name(name.clone()).with_partition_index(1);
            RequestKind::DescribeTopicPartitions(
                DescribeTopicPartitionsRequest::default()
                    .with_topics(vec![TopicRequest::default().with_name(name)])
                    .with_cursor(d.coin().then_some(cursor)),
            )
        }
        other => panic!("{other:?} is in the table of APIs and has no request here"),
    }
}

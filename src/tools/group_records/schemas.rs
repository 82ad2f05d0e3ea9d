//! What the records of `__consumer_offsets` are made of in Kafka 4.3: every kind, with its fields in their order. Facts of Kafka's; data only.

use super::Kind::{Bytes, Int8, Int16, Int32, Int64, List, String, Struct, Uint16, Uuid};
use super::{Field, Message, RecordType};

const NEVER: i16 = i16::MAX;

const fn field(name: &'static str, kind: super::Kind) -> Field {
    Field { name, kind, from: 0, to: i16::MAX, is_nullable: false, tag: None }
}

impl Field {
    const fn from(self, from: i16) -> Self {
        Self { from, ..self }
    }

    const fn only(self, version: i16) -> Self {
        Self { from: version, to: version, ..self }
    }

    const fn nullable(self) -> Self {
        Self { is_nullable: true, ..self }
    }

    const fn tagged(self, tag: u32) -> Self {
        Self { tag: Some(tag), ..self }
    }
}

/// `ConsumerProtocolSubscription`, in the metadata that members of a classic group give.
pub const SUBSCRIPTION: Message = Message {
    highest: 3,
    flexible_from: NEVER,
    fields: &[
        field("topics", List(&String)),
        field("userData", Bytes).nullable(),
        field(
            "ownedPartitions",
            List(&Struct(&[field("topic", String).from(1), field("partitions", List(&Int32)).from(1)])),
        )
        .from(1),
        field("generationId", Int32).from(2),
        field("rackId", String).from(3).nullable(),
    ],
};

/// `ConsumerProtocolAssignment`, in the metadata that members of a classic group give.
pub const ASSIGNMENT: Message = Message {
    highest: 3,
    flexible_from: NEVER,
    fields: &[
        field("assignedPartitions", List(&Struct(&[field("topic", String), field("partitions", List(&Int32))]))),
        field("userData", Bytes).nullable(),
    ],
};

/// By the id with which their keys begin.
pub const RECORD_TYPES: &[RecordType] = &[
    // LegacyOffsetCommit
    RecordType {
        id: 0,
        key: &[field("group", String).only(0), field("topic", String).only(0), field("partition", Int32).only(0)],
        value: Message {
            highest: 0,
            flexible_from: NEVER,
            fields: &[
                field("offset", Int64).only(0),
                field("metadata", String).only(0),
                field("commitTimestamp", Int64).only(0),
            ],
        },
    },
    // OffsetCommit
    RecordType {
        id: 1,
        key: &[field("group", String).only(0), field("topic", String).only(0), field("partition", Int32).only(0)],
        value: Message {
            highest: 4,
            flexible_from: 4,
            fields: &[
                field("offset", Int64),
                field("leaderEpoch", Int32).from(3),
                field("metadata", String),
                field("commitTimestamp", Int64),
                field("expireTimestamp", Int64).only(1),
                field("topicId", Uuid).from(4).tagged(0),
            ],
        },
    },
    // GroupMetadata
    RecordType {
        id: 2,
        key: &[field("group", String).only(0)],
        value: Message {
            highest: 4,
            flexible_from: 4,
            fields: &[
                field("protocolType", String),
                field("generation", Int32),
                field("protocol", String).nullable(),
                field("leader", String).nullable(),
                field("currentStateTimestamp", Int64).from(2),
                field(
                    "members",
                    List(&Struct(&[
                        field("memberId", String),
                        field("groupInstanceId", String).from(3).nullable(),
                        field("clientId", String),
                        field("clientHost", String),
                        field("rebalanceTimeout", Int32).from(1),
                        field("sessionTimeout", Int32),
                        field("subscription", Bytes),
                        field("assignment", Bytes),
                    ])),
                ),
            ],
        },
    },
    // ConsumerGroupMetadata
    RecordType {
        id: 3,
        key: &[field("groupId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[field("epoch", Int32), field("metadataHash", Int64).tagged(0)],
        },
    },
    // ConsumerGroupPartitionMetadata
    RecordType {
        id: 4,
        key: &[field("groupId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[field(
                "topics",
                List(&Struct(&[
                    field("topicId", Uuid),
                    field("topicName", String),
                    field("numPartitions", Int32),
                    field(
                        "partitionMetadata",
                        List(&Struct(&[field("partition", Int32), field("racks", List(&String))])),
                    ),
                ])),
            )],
        },
    },
    // ConsumerGroupMemberMetadata
    RecordType {
        id: 5,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field("instanceId", String).nullable(),
                field("rackId", String).nullable(),
                field("clientId", String),
                field("clientHost", String),
                field("subscribedTopicNames", List(&String)),
                field("subscribedTopicRegex", String).nullable(),
                field("rebalanceTimeoutMs", Int32),
                field("serverAssignor", String).nullable(),
                field(
                    "classicMemberMetadata",
                    Struct(&[
                        field("sessionTimeoutMs", Int32),
                        field("supportedProtocols", List(&Struct(&[field("name", String), field("metadata", Bytes)]))),
                    ]),
                )
                .nullable()
                .tagged(0),
            ],
        },
    },
    // ConsumerGroupTargetAssignmentMetadata
    RecordType {
        id: 6,
        key: &[field("groupId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[field("assignmentEpoch", Int32), field("assignmentTimestamp", Int64).tagged(0)],
        },
    },
    // ConsumerGroupTargetAssignmentMember
    RecordType {
        id: 7,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[field(
                "topicPartitions",
                List(&Struct(&[field("topicId", Uuid), field("partitions", List(&Int32))])),
            )],
        },
    },
    // ConsumerGroupCurrentMemberAssignment
    RecordType {
        id: 8,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field("memberEpoch", Int32),
                field("previousMemberEpoch", Int32),
                field("state", Int8),
                field(
                    "assignedPartitions",
                    List(&Struct(&[
                        field("topicId", Uuid),
                        field("partitions", List(&Int32)),
                        field("assignmentEpochs", List(&Int32)).nullable().tagged(0),
                    ])),
                ),
                field(
                    "partitionsPendingRevocation",
                    List(&Struct(&[
                        field("topicId", Uuid),
                        field("partitions", List(&Int32)),
                        field("assignmentEpochs", List(&Int32)).nullable().tagged(0),
                    ])),
                ),
            ],
        },
    },
    // ShareGroupMemberMetadata
    RecordType {
        id: 10,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field("rackId", String).nullable(),
                field("clientId", String),
                field("clientHost", String),
                field("subscribedTopicNames", List(&String)),
            ],
        },
    },
    // ShareGroupMetadata
    RecordType {
        id: 11,
        key: &[field("groupId", String).only(0)],
        value: Message { highest: 0, flexible_from: 0, fields: &[field("epoch", Int32), field("metadataHash", Int64)] },
    },
    // ShareGroupTargetAssignmentMetadata
    RecordType {
        id: 12,
        key: &[field("groupId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[field("assignmentEpoch", Int32), field("assignmentTimestamp", Int64).tagged(0)],
        },
    },
    // ShareGroupTargetAssignmentMember
    RecordType {
        id: 13,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[field(
                "topicPartitions",
                List(&Struct(&[field("topicId", Uuid), field("partitions", List(&Int32))])),
            )],
        },
    },
    // ShareGroupCurrentMemberAssignment
    RecordType {
        id: 14,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field("memberEpoch", Int32),
                field("previousMemberEpoch", Int32),
                field("state", Int8),
                field(
                    "assignedPartitions",
                    List(&Struct(&[field("topicId", Uuid), field("partitions", List(&Int32))])),
                ),
            ],
        },
    },
    // ShareGroupStatePartitionMetadata
    RecordType {
        id: 15,
        key: &[field("groupId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field(
                    "initializingTopics",
                    List(&Struct(&[
                        field("topicId", Uuid),
                        field("topicName", String),
                        field("partitions", List(&Int32)),
                    ])),
                ),
                field(
                    "initializedTopics",
                    List(&Struct(&[
                        field("topicId", Uuid),
                        field("topicName", String),
                        field("partitions", List(&Int32)),
                    ])),
                ),
                field("deletingTopics", List(&Struct(&[field("topicId", Uuid), field("topicName", String)]))),
            ],
        },
    },
    // ConsumerGroupRegularExpression
    RecordType {
        id: 16,
        key: &[field("groupId", String).only(0), field("regularExpression", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[field("topics", List(&String)), field("version", Int64), field("timestamp", Int64)],
        },
    },
    // StreamsGroupMetadata
    RecordType {
        id: 17,
        key: &[field("groupId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field("epoch", Int32),
                field("metadataHash", Int64),
                field("validatedTopologyEpoch", Int32).tagged(0),
                field("lastAssignmentConfigs", List(&Struct(&[field("key", String), field("value", String)])))
                    .nullable()
                    .tagged(1),
            ],
        },
    },
    // StreamsGroupMemberMetadata
    RecordType {
        id: 19,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field("instanceId", String).nullable(),
                field("rackId", String).nullable(),
                field("clientId", String),
                field("clientHost", String),
                field("rebalanceTimeoutMs", Int32),
                field("topologyEpoch", Int32),
                field("processId", String),
                field("userEndpoint", Struct(&[field("host", String), field("port", Uint16)])).nullable(),
                field("clientTags", List(&Struct(&[field("key", String), field("value", String)]))),
            ],
        },
    },
    // StreamsGroupTargetAssignmentMetadata
    RecordType {
        id: 20,
        key: &[field("groupId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[field("assignmentEpoch", Int32), field("assignmentTimestamp", Int64).tagged(0)],
        },
    },
    // StreamsGroupTargetAssignmentMember
    RecordType {
        id: 21,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field(
                    "activeTasks",
                    List(&Struct(&[field("subtopologyId", String), field("partitions", List(&Int32))])),
                ),
                field(
                    "standbyTasks",
                    List(&Struct(&[field("subtopologyId", String), field("partitions", List(&Int32))])),
                ),
                field(
                    "warmupTasks",
                    List(&Struct(&[field("subtopologyId", String), field("partitions", List(&Int32))])),
                ),
            ],
        },
    },
    // StreamsGroupCurrentMemberAssignment
    RecordType {
        id: 22,
        key: &[field("groupId", String).only(0), field("memberId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field("memberEpoch", Int32),
                field("previousMemberEpoch", Int32),
                field("state", Int8),
                field(
                    "activeTasks",
                    List(&Struct(&[
                        field("subtopologyId", String),
                        field("partitions", List(&Int32)),
                        field("assignmentEpochs", List(&Int32)).nullable().tagged(0),
                    ])),
                ),
                field(
                    "standbyTasks",
                    List(&Struct(&[
                        field("subtopologyId", String),
                        field("partitions", List(&Int32)),
                        field("assignmentEpochs", List(&Int32)).nullable().tagged(0),
                    ])),
                ),
                field(
                    "warmupTasks",
                    List(&Struct(&[
                        field("subtopologyId", String),
                        field("partitions", List(&Int32)),
                        field("assignmentEpochs", List(&Int32)).nullable().tagged(0),
                    ])),
                ),
                field(
                    "activeTasksPendingRevocation",
                    List(&Struct(&[
                        field("subtopologyId", String),
                        field("partitions", List(&Int32)),
                        field("assignmentEpochs", List(&Int32)).nullable().tagged(0),
                    ])),
                ),
                field(
                    "standbyTasksPendingRevocation",
                    List(&Struct(&[
                        field("subtopologyId", String),
                        field("partitions", List(&Int32)),
                        field("assignmentEpochs", List(&Int32)).nullable().tagged(0),
                    ])),
                ),
                field(
                    "warmupTasksPendingRevocation",
                    List(&Struct(&[
                        field("subtopologyId", String),
                        field("partitions", List(&Int32)),
                        field("assignmentEpochs", List(&Int32)).nullable().tagged(0),
                    ])),
                ),
            ],
        },
    },
    // StreamsGroupTopology
    RecordType {
        id: 23,
        key: &[field("groupId", String).only(0)],
        value: Message {
            highest: 0,
            flexible_from: 0,
            fields: &[
                field("epoch", Int32),
                field(
                    "subtopologies",
                    List(&Struct(&[
                        field("subtopologyId", String),
                        field("sourceTopics", List(&String)),
                        field("sourceTopicRegex", List(&String)),
                        field(
                            "stateChangelogTopics",
                            List(&Struct(&[
                                field("name", String),
                                field("partitions", Int32),
                                field("replicationFactor", Int16),
                                field("topicConfigs", List(&Struct(&[field("key", String), field("value", String)]))),
                            ])),
                        ),
                        field("repartitionSinkTopics", List(&String)),
                        field(
                            "repartitionSourceTopics",
                            List(&Struct(&[
                                field("name", String),
                                field("partitions", Int32),
                                field("replicationFactor", Int16),
                                field("topicConfigs", List(&Struct(&[field("key", String), field("value", String)]))),
                            ])),
                        ),
                        field(
                            "copartitionGroups",
                            List(&Struct(&[
                                field("sourceTopics", List(&Int16)),
                                field("sourceTopicRegex", List(&Int16)),
                                field("repartitionSourceTopics", List(&Int16)),
                            ])),
                        ),
                    ])),
                ),
            ],
        },
    },
];

//! Requests that producers, consumers and their coordinators live on. Facts of the protocol; a test holds them against kafka-protocol's decoders.

use super::Shape::*;
use super::{NEVER, RequestSchema, all, since, tag, within};

pub(super) static SCHEMAS: &[&RequestSchema] = &[
    &PRODUCE,
    &FETCH,
    &LIST_OFFSETS,
    &METADATA,
    &OFFSET_COMMIT,
    &OFFSET_FETCH,
    &FIND_COORDINATOR,
    &JOIN_GROUP,
    &HEARTBEAT,
    &LEAVE_GROUP,
    &SYNC_GROUP,
    &DESCRIBE_GROUPS,
    &LIST_GROUPS,
    &SASL_HANDSHAKE,
    &API_VERSIONS,
    &CREATE_TOPICS,
    &DELETE_TOPICS,
    &DELETE_RECORDS,
    &INIT_PRODUCER_ID,
    &OFFSET_FOR_LEADER_EPOCH,
    &ADD_PARTITIONS_TO_TXN,
    &ADD_OFFSETS_TO_TXN,
    &END_TXN,
    &WRITE_TXN_MARKERS,
    &TXN_OFFSET_COMMIT,
    &SASL_AUTHENTICATE,
    &CREATE_PARTITIONS,
    &DELETE_GROUPS,
    &OFFSET_DELETE,
    &DESCRIBE_CLUSTER,
    &DESCRIBE_PRODUCERS,
    &DESCRIBE_TRANSACTIONS,
    &LIST_TRANSACTIONS,
    &CONSUMER_GROUP_HEARTBEAT,
    &CONSUMER_GROUP_DESCRIBE,
    &GET_TELEMETRY_SUBSCRIPTIONS,
    &PUSH_TELEMETRY,
    &DESCRIBE_TOPIC_PARTITIONS,
];

static PRODUCE: RequestSchema = RequestSchema {
    api_key: 0,
    min: 3,
    max: 13,
    flexible_from: 9,
    fields: &[
        all("transactional_id", STRING),
        all("acks", I16),
        all("timeout_ms", I32),
        all(
            "topic_data",
            Array(&Struct(&[
                within(3, 12, "name", STRING),
                since(13, "topic_id", UUID),
                all("partition_data", Array(&Struct(&[all("index", I32), all("records", BYTES)]))),
            ])),
        ),
    ],
};

static FETCH: RequestSchema = RequestSchema {
    api_key: 1,
    min: 4,
    max: 18,
    flexible_from: 12,
    fields: &[
        tag(0, "cluster_id", STRING, 12),
        within(4, 14, "replica_id", I32),
        tag(1, "replica_state", Struct(&[since(15, "replica_id", I32), since(15, "replica_epoch", I64)]), 15),
        all("max_wait_ms", I32),
        all("min_bytes", I32),
        all("max_bytes", I32),
        all("isolation_level", I8),
        since(7, "session_id", I32),
        since(7, "session_epoch", I32),
        all(
            "topics",
            Array(&Struct(&[
                within(4, 12, "topic", STRING),
                since(13, "topic_id", UUID),
                all(
                    "partitions",
                    Array(&Struct(&[
                        all("partition", I32),
                        since(9, "current_leader_epoch", I32),
                        all("fetch_offset", I64),
                        since(12, "last_fetched_epoch", I32),
                        since(5, "log_start_offset", I64),
                        all("partition_max_bytes", I32),
                        tag(0, "replica_directory_id", UUID, 17),
                        tag(1, "high_watermark", I64, 18),
                    ])),
                ),
            ])),
        ),
        since(
            7,
            "forgotten_topics_data",
            Array(&Struct(&[
                within(7, 12, "topic", STRING),
                since(13, "topic_id", UUID),
                since(7, "partitions", Array(&I32)),
            ])),
        ),
        since(11, "rack_id", STRING),
    ],
};

static LIST_OFFSETS: RequestSchema = RequestSchema {
    api_key: 2,
    min: 1,
    max: 10,
    flexible_from: 6,
    fields: &[
        all("replica_id", I32),
        since(2, "isolation_level", I8),
        all(
            "topics",
            Array(&Struct(&[
                all("name", STRING),
                all(
                    "partitions",
                    Array(&Struct(&[
                        all("partition_index", I32),
                        since(4, "current_leader_epoch", I32),
                        all("timestamp", I64),
                    ])),
                ),
            ])),
        ),
        since(10, "timeout_ms", I32),
    ],
};

static METADATA: RequestSchema = RequestSchema {
    api_key: 3,
    min: 0,
    max: 13,
    flexible_from: 9,
    fields: &[
        all("topics", Array(&Struct(&[since(10, "topic_id", UUID), all("name", STRING)]))),
        since(4, "allow_auto_topic_creation", BOOL),
        within(8, 10, "include_cluster_authorized_operations", BOOL),
        since(8, "include_topic_authorized_operations", BOOL),
    ],
};

static OFFSET_COMMIT: RequestSchema = RequestSchema {
    api_key: 8,
    min: 2,
    max: 9,
    flexible_from: 8,
    fields: &[
        all("group_id", STRING),
        all("generation_id_or_member_epoch", I32),
        all("member_id", STRING),
        since(7, "group_instance_id", STRING),
        within(2, 4, "retention_time_ms", I64),
        all(
            "topics",
            Array(&Struct(&[
                all("name", STRING),
                all(
                    "partitions",
                    Array(&Struct(&[
                        all("partition_index", I32),
                        all("committed_offset", I64),
                        since(6, "committed_leader_epoch", I32),
                        all("committed_metadata", STRING),
                    ])),
                ),
            ])),
        ),
    ],
};

static OFFSET_FETCH: RequestSchema = RequestSchema {
    api_key: 9,
    min: 1,
    max: 9,
    flexible_from: 6,
    fields: &[
        within(1, 7, "group_id", STRING),
        within(
            1,
            7,
            "topics",
            Array(&Struct(&[within(1, 7, "name", STRING), within(1, 7, "partition_indexes", Array(&I32))])),
        ),
        since(
            8,
            "groups",
            Array(&Struct(&[
                since(8, "group_id", STRING),
                since(9, "member_id", STRING),
                since(9, "member_epoch", I32),
                since(
                    8,
                    "topics",
                    Array(&Struct(&[since(8, "name", STRING), since(8, "partition_indexes", Array(&I32))])),
                ),
            ])),
        ),
        since(7, "require_stable", BOOL),
    ],
};

static FIND_COORDINATOR: RequestSchema = RequestSchema {
    api_key: 10,
    min: 0,
    max: 6,
    flexible_from: 3,
    fields: &[within(0, 3, "key", STRING), since(1, "key_type", I8), since(4, "coordinator_keys", Array(&STRING))],
};

static JOIN_GROUP: RequestSchema = RequestSchema {
    api_key: 11,
    min: 0,
    max: 9,
    flexible_from: 6,
    fields: &[
        all("group_id", STRING),
        all("session_timeout_ms", I32),
        since(1, "rebalance_timeout_ms", I32),
        all("member_id", STRING),
        since(5, "group_instance_id", STRING),
        all("protocol_type", STRING),
        all("protocols", Array(&Struct(&[all("name", STRING), all("metadata", BYTES)]))),
        since(8, "reason", STRING),
    ],
};

static HEARTBEAT: RequestSchema = RequestSchema {
    api_key: 12,
    min: 0,
    max: 4,
    flexible_from: 4,
    fields: &[
        all("group_id", STRING),
        all("generation_id", I32),
        all("member_id", STRING),
        since(3, "group_instance_id", STRING),
    ],
};

static LEAVE_GROUP: RequestSchema = RequestSchema {
    api_key: 13,
    min: 0,
    max: 5,
    flexible_from: 4,
    fields: &[
        all("group_id", STRING),
        within(0, 2, "member_id", STRING),
        since(
            3,
            "members",
            Array(&Struct(&[
                since(3, "member_id", STRING),
                since(3, "group_instance_id", STRING),
                since(5, "reason", STRING),
            ])),
        ),
    ],
};

static SYNC_GROUP: RequestSchema = RequestSchema {
    api_key: 14,
    min: 0,
    max: 5,
    flexible_from: 4,
    fields: &[
        all("group_id", STRING),
        all("generation_id", I32),
        all("member_id", STRING),
        since(3, "group_instance_id", STRING),
        since(5, "protocol_type", STRING),
        since(5, "protocol_name", STRING),
        all("assignments", Array(&Struct(&[all("member_id", STRING), all("assignment", BYTES)]))),
    ],
};

static DESCRIBE_GROUPS: RequestSchema = RequestSchema {
    api_key: 15,
    min: 0,
    max: 6,
    flexible_from: 5,
    fields: &[all("groups", Array(&STRING)), since(3, "include_authorized_operations", BOOL)],
};

static LIST_GROUPS: RequestSchema = RequestSchema {
    api_key: 16,
    min: 0,
    max: 5,
    flexible_from: 3,
    fields: &[since(4, "states_filter", Array(&STRING)), since(5, "types_filter", Array(&STRING))],
};

static SASL_HANDSHAKE: RequestSchema =
    RequestSchema { api_key: 17, min: 0, max: 1, flexible_from: NEVER, fields: &[all("mechanism", STRING)] };

static API_VERSIONS: RequestSchema = RequestSchema {
    api_key: 18,
    min: 0,
    max: 4,
    flexible_from: 3,
    fields: &[since(3, "client_software_name", STRING), since(3, "client_software_version", STRING)],
};

static CREATE_TOPICS: RequestSchema = RequestSchema {
    api_key: 19,
    min: 2,
    max: 7,
    flexible_from: 5,
    fields: &[
        all(
            "topics",
            Array(&Struct(&[
                all("name", STRING),
                all("num_partitions", I32),
                all("replication_factor", I16),
                all("assignments", Array(&Struct(&[all("partition_index", I32), all("broker_ids", Array(&I32))]))),
                all("configs", Array(&Struct(&[all("name", STRING), all("value", STRING)]))),
            ])),
        ),
        all("timeout_ms", I32),
        all("validate_only", BOOL),
    ],
};

static DELETE_TOPICS: RequestSchema = RequestSchema {
    api_key: 20,
    min: 1,
    max: 6,
    flexible_from: 4,
    fields: &[
        since(6, "topics", Array(&Struct(&[since(6, "name", STRING), since(6, "topic_id", UUID)]))),
        within(1, 5, "topic_names", Array(&STRING)),
        all("timeout_ms", I32),
    ],
};

static DELETE_RECORDS: RequestSchema = RequestSchema {
    api_key: 21,
    min: 0,
    max: 2,
    flexible_from: 2,
    fields: &[
        all(
            "topics",
            Array(&Struct(&[
                all("name", STRING),
                all("partitions", Array(&Struct(&[all("partition_index", I32), all("offset", I64)]))),
            ])),
        ),
        all("timeout_ms", I32),
    ],
};

static INIT_PRODUCER_ID: RequestSchema = RequestSchema {
    api_key: 22,
    min: 0,
    max: 5,
    flexible_from: 2,
    fields: &[
        all("transactional_id", STRING),
        all("transaction_timeout_ms", I32),
        since(3, "producer_id", I64),
        since(3, "producer_epoch", I16),
    ],
};

static OFFSET_FOR_LEADER_EPOCH: RequestSchema = RequestSchema {
    api_key: 23,
    min: 2,
    max: 4,
    flexible_from: 4,
    fields: &[
        since(3, "replica_id", I32),
        all(
            "topics",
            Array(&Struct(&[
                all("topic", STRING),
                all(
                    "partitions",
                    Array(&Struct(&[
                        all("partition", I32),
                        all("current_leader_epoch", I32),
                        all("leader_epoch", I32),
                    ])),
                ),
            ])),
        ),
    ],
};

static ADD_PARTITIONS_TO_TXN: RequestSchema = RequestSchema {
    api_key: 24,
    min: 0,
    max: 5,
    flexible_from: 3,
    fields: &[
        since(
            4,
            "transactions",
            Array(&Struct(&[
                since(4, "transactional_id", STRING),
                since(4, "producer_id", I64),
                since(4, "producer_epoch", I16),
                since(4, "verify_only", BOOL),
                since(4, "topics", Array(&Struct(&[all("name", STRING), all("partitions", Array(&I32))]))),
            ])),
        ),
        within(0, 3, "v3_and_below_transactional_id", STRING),
        within(0, 3, "v3_and_below_producer_id", I64),
        within(0, 3, "v3_and_below_producer_epoch", I16),
        within(0, 3, "v3_and_below_topics", Array(&Struct(&[all("name", STRING), all("partitions", Array(&I32))]))),
    ],
};

static ADD_OFFSETS_TO_TXN: RequestSchema = RequestSchema {
    api_key: 25,
    min: 0,
    max: 4,
    flexible_from: 3,
    fields: &[
        all("transactional_id", STRING),
        all("producer_id", I64),
        all("producer_epoch", I16),
        all("group_id", STRING),
    ],
};

static END_TXN: RequestSchema = RequestSchema {
    api_key: 26,
    min: 0,
    max: 5,
    flexible_from: 3,
    fields: &[
        all("transactional_id", STRING),
        all("producer_id", I64),
        all("producer_epoch", I16),
        all("committed", BOOL),
    ],
};

static WRITE_TXN_MARKERS: RequestSchema = RequestSchema {
    api_key: 27,
    min: 1,
    max: 1,
    flexible_from: 1,
    fields: &[all(
        "markers",
        Array(&Struct(&[
            all("producer_id", I64),
            all("producer_epoch", I16),
            all("transaction_result", BOOL),
            all("topics", Array(&Struct(&[all("name", STRING), all("partition_indexes", Array(&I32))]))),
            all("coordinator_epoch", I32),
        ])),
    )],
};

static TXN_OFFSET_COMMIT: RequestSchema = RequestSchema {
    api_key: 28,
    min: 0,
    max: 5,
    flexible_from: 3,
    fields: &[
        all("transactional_id", STRING),
        all("group_id", STRING),
        all("producer_id", I64),
        all("producer_epoch", I16),
        since(3, "generation_id", I32),
        since(3, "member_id", STRING),
        since(3, "group_instance_id", STRING),
        all(
            "topics",
            Array(&Struct(&[
                all("name", STRING),
                all(
                    "partitions",
                    Array(&Struct(&[
                        all("partition_index", I32),
                        all("committed_offset", I64),
                        since(2, "committed_leader_epoch", I32),
                        all("committed_metadata", STRING),
                    ])),
                ),
            ])),
        ),
    ],
};

static SASL_AUTHENTICATE: RequestSchema =
    RequestSchema { api_key: 36, min: 0, max: 2, flexible_from: 2, fields: &[all("auth_bytes", BYTES)] };

static CREATE_PARTITIONS: RequestSchema = RequestSchema {
    api_key: 37,
    min: 0,
    max: 3,
    flexible_from: 2,
    fields: &[
        all(
            "topics",
            Array(&Struct(&[
                all("name", STRING),
                all("count", I32),
                all("assignments", Array(&Struct(&[all("broker_ids", Array(&I32))]))),
            ])),
        ),
        all("timeout_ms", I32),
        all("validate_only", BOOL),
    ],
};

static DELETE_GROUPS: RequestSchema =
    RequestSchema { api_key: 42, min: 0, max: 2, flexible_from: 2, fields: &[all("groups_names", Array(&STRING))] };

static OFFSET_DELETE: RequestSchema = RequestSchema {
    api_key: 47,
    min: 0,
    max: 0,
    flexible_from: NEVER,
    fields: &[
        all("group_id", STRING),
        all(
            "topics",
            Array(&Struct(&[all("name", STRING), all("partitions", Array(&Struct(&[all("partition_index", I32)])))])),
        ),
    ],
};

static DESCRIBE_CLUSTER: RequestSchema = RequestSchema {
    api_key: 60,
    min: 0,
    max: 2,
    flexible_from: 0,
    fields: &[
        all("include_cluster_authorized_operations", BOOL),
        since(1, "endpoint_type", I8),
        since(2, "include_fenced_brokers", BOOL),
    ],
};

static DESCRIBE_PRODUCERS: RequestSchema = RequestSchema {
    api_key: 61,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[all("topics", Array(&Struct(&[all("name", STRING), all("partition_indexes", Array(&I32))])))],
};

static DESCRIBE_TRANSACTIONS: RequestSchema = RequestSchema {
    api_key: 65,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[all("transactional_ids", Array(&STRING))],
};

static LIST_TRANSACTIONS: RequestSchema = RequestSchema {
    api_key: 66,
    min: 0,
    max: 2,
    flexible_from: 0,
    fields: &[
        all("state_filters", Array(&STRING)),
        all("producer_id_filters", Array(&I64)),
        since(1, "duration_filter", I64),
        since(2, "transactional_id_pattern", STRING),
    ],
};

static CONSUMER_GROUP_HEARTBEAT: RequestSchema = RequestSchema {
    api_key: 68,
    min: 0,
    max: 1,
    flexible_from: 0,
    fields: &[
        all("group_id", STRING),
        all("member_id", STRING),
        all("member_epoch", I32),
        all("instance_id", STRING),
        all("rack_id", STRING),
        all("rebalance_timeout_ms", I32),
        all("subscribed_topic_names", Array(&STRING)),
        since(1, "subscribed_topic_regex", STRING),
        all("server_assignor", STRING),
        all("topic_partitions", Array(&Struct(&[all("topic_id", UUID), all("partitions", Array(&I32))]))),
    ],
};

static CONSUMER_GROUP_DESCRIBE: RequestSchema = RequestSchema {
    api_key: 69,
    min: 0,
    max: 1,
    flexible_from: 0,
    fields: &[all("group_ids", Array(&STRING)), all("include_authorized_operations", BOOL)],
};

static GET_TELEMETRY_SUBSCRIPTIONS: RequestSchema =
    RequestSchema { api_key: 71, min: 0, max: 0, flexible_from: 0, fields: &[all("client_instance_id", UUID)] };

static PUSH_TELEMETRY: RequestSchema = RequestSchema {
    api_key: 72,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[
        all("client_instance_id", UUID),
        all("subscription_id", I32),
        all("terminating", BOOL),
        all("compression_type", I8),
        all("metrics", BYTES),
    ],
};

static DESCRIBE_TOPIC_PARTITIONS: RequestSchema = RequestSchema {
    api_key: 75,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[
        all("topics", Array(&Struct(&[all("name", STRING)]))),
        all("response_partition_limit", I32),
        all("cursor", Optional(&[all("topic_name", STRING), all("partition_index", I32)])),
    ],
};

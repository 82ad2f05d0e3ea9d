//! Requests of admin clients, of logins, and among brokers. Facts of the protocol; a test holds them against kafka-protocol's decoders.

use super::Shape::*;
use super::{RequestSchema, all, since, tag, within};

pub(super) static SCHEMAS: &[&RequestSchema] = &[
    &DESCRIBE_ACLS,
    &CREATE_ACLS,
    &DELETE_ACLS,
    &DESCRIBE_CONFIGS,
    &ALTER_CONFIGS,
    &ALTER_REPLICA_LOG_DIRS,
    &DESCRIBE_LOG_DIRS,
    &ELECT_LEADERS,
    &INCREMENTAL_ALTER_CONFIGS,
    &ALTER_PARTITION_REASSIGNMENTS,
    &LIST_PARTITION_REASSIGNMENTS,
    &DESCRIBE_CLIENT_QUOTAS,
    &ALTER_CLIENT_QUOTAS,
    &DESCRIBE_USER_SCRAM_CREDENTIALS,
    &ALTER_USER_SCRAM_CREDENTIALS,
    &DESCRIBE_QUORUM,
    &ALTER_PARTITION,
    &UPDATE_FEATURES,
    &BROKER_REGISTRATION,
    &BROKER_HEARTBEAT,
    &UNREGISTER_BROKER,
    &ALLOCATE_PRODUCER_IDS,
    &ASSIGN_REPLICAS_TO_DIRS,
    &LIST_CONFIG_RESOURCES,
];

static DESCRIBE_ACLS: RequestSchema = RequestSchema {
    api_key: 29,
    min: 1,
    max: 3,
    flexible_from: 2,
    fields: &[
        all("resource_type_filter", I8),
        all("resource_name_filter", STRING),
        all("pattern_type_filter", I8),
        all("principal_filter", STRING),
        all("host_filter", STRING),
        all("operation", I8),
        all("permission_type", I8),
    ],
};

static CREATE_ACLS: RequestSchema = RequestSchema {
    api_key: 30,
    min: 1,
    max: 3,
    flexible_from: 2,
    fields: &[all(
        "creations",
        Array(&Struct(&[
            all("resource_type", I8),
            all("resource_name", STRING),
            all("resource_pattern_type", I8),
            all("principal", STRING),
            all("host", STRING),
            all("operation", I8),
            all("permission_type", I8),
        ])),
    )],
};

static DELETE_ACLS: RequestSchema = RequestSchema {
    api_key: 31,
    min: 1,
    max: 3,
    flexible_from: 2,
    fields: &[all(
        "filters",
        Array(&Struct(&[
            all("resource_type_filter", I8),
            all("resource_name_filter", STRING),
            all("pattern_type_filter", I8),
            all("principal_filter", STRING),
            all("host_filter", STRING),
            all("operation", I8),
            all("permission_type", I8),
        ])),
    )],
};

static DESCRIBE_CONFIGS: RequestSchema = RequestSchema {
    api_key: 32,
    min: 1,
    max: 4,
    flexible_from: 4,
    fields: &[
        all(
            "resources",
            Array(&Struct(&[
                all("resource_type", I8),
                all("resource_name", STRING),
                all("configuration_keys", Array(&STRING)),
            ])),
        ),
        all("include_synonyms", BOOL),
        since(3, "include_documentation", BOOL),
    ],
};

static ALTER_CONFIGS: RequestSchema = RequestSchema {
    api_key: 33,
    min: 0,
    max: 2,
    flexible_from: 2,
    fields: &[
        all(
            "resources",
            Array(&Struct(&[
                all("resource_type", I8),
                all("resource_name", STRING),
                all("configs", Array(&Struct(&[all("name", STRING), all("value", STRING)]))),
            ])),
        ),
        all("validate_only", BOOL),
    ],
};

static ALTER_REPLICA_LOG_DIRS: RequestSchema = RequestSchema {
    api_key: 34,
    min: 1,
    max: 2,
    flexible_from: 2,
    fields: &[all(
        "dirs",
        Array(&Struct(&[
            all("path", STRING),
            all("topics", Array(&Struct(&[all("name", STRING), all("partitions", Array(&I32))]))),
        ])),
    )],
};

static DESCRIBE_LOG_DIRS: RequestSchema = RequestSchema {
    api_key: 35,
    min: 1,
    max: 4,
    flexible_from: 2,
    fields: &[all("topics", Array(&Struct(&[all("topic", STRING), all("partitions", Array(&I32))])))],
};

static ELECT_LEADERS: RequestSchema = RequestSchema {
    api_key: 43,
    min: 0,
    max: 2,
    flexible_from: 2,
    fields: &[
        since(1, "election_type", I8),
        all("topic_partitions", Array(&Struct(&[all("topic", STRING), all("partitions", Array(&I32))]))),
        all("timeout_ms", I32),
    ],
};

static INCREMENTAL_ALTER_CONFIGS: RequestSchema = RequestSchema {
    api_key: 44,
    min: 0,
    max: 1,
    flexible_from: 1,
    fields: &[
        all(
            "resources",
            Array(&Struct(&[
                all("resource_type", I8),
                all("resource_name", STRING),
                all(
                    "configs",
                    Array(&Struct(&[all("name", STRING), all("config_operation", I8), all("value", STRING)])),
                ),
            ])),
        ),
        all("validate_only", BOOL),
    ],
};

static ALTER_PARTITION_REASSIGNMENTS: RequestSchema = RequestSchema {
    api_key: 45,
    min: 0,
    max: 1,
    flexible_from: 0,
    fields: &[
        all("timeout_ms", I32),
        since(1, "allow_replication_factor_change", BOOL),
        all(
            "topics",
            Array(&Struct(&[
                all("name", STRING),
                all("partitions", Array(&Struct(&[all("partition_index", I32), all("replicas", Array(&I32))]))),
            ])),
        ),
    ],
};

static LIST_PARTITION_REASSIGNMENTS: RequestSchema = RequestSchema {
    api_key: 46,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[
        all("timeout_ms", I32),
        all("topics", Array(&Struct(&[all("name", STRING), all("partition_indexes", Array(&I32))]))),
    ],
};

static DESCRIBE_CLIENT_QUOTAS: RequestSchema = RequestSchema {
    api_key: 48,
    min: 0,
    max: 1,
    flexible_from: 1,
    fields: &[
        all("components", Array(&Struct(&[all("entity_type", STRING), all("match_type", I8), all("_match", STRING)]))),
        all("strict", BOOL),
    ],
};

static ALTER_CLIENT_QUOTAS: RequestSchema = RequestSchema {
    api_key: 49,
    min: 0,
    max: 1,
    flexible_from: 1,
    fields: &[
        all(
            "entries",
            Array(&Struct(&[
                all("entity", Array(&Struct(&[all("entity_type", STRING), all("entity_name", STRING)]))),
                all("ops", Array(&Struct(&[all("key", STRING), all("value", F64), all("remove", BOOL)]))),
            ])),
        ),
        all("validate_only", BOOL),
    ],
};

static DESCRIBE_USER_SCRAM_CREDENTIALS: RequestSchema = RequestSchema {
    api_key: 50,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[all("users", Array(&Struct(&[all("name", STRING)])))],
};

static ALTER_USER_SCRAM_CREDENTIALS: RequestSchema = RequestSchema {
    api_key: 51,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[
        all("deletions", Array(&Struct(&[all("name", STRING), all("mechanism", I8)]))),
        all(
            "upsertions",
            Array(&Struct(&[
                all("name", STRING),
                all("mechanism", I8),
                all("iterations", I32),
                all("salt", BYTES),
                all("salted_password", BYTES),
            ])),
        ),
    ],
};

static DESCRIBE_QUORUM: RequestSchema = RequestSchema {
    api_key: 55,
    min: 0,
    max: 2,
    flexible_from: 0,
    fields: &[all(
        "topics",
        Array(&Struct(&[all("topic_name", STRING), all("partitions", Array(&Struct(&[all("partition_index", I32)])))])),
    )],
};

static ALTER_PARTITION: RequestSchema = RequestSchema {
    api_key: 56,
    min: 2,
    max: 3,
    flexible_from: 2,
    fields: &[
        all("broker_id", I32),
        all("broker_epoch", I64),
        all(
            "topics",
            Array(&Struct(&[
                all("topic_id", UUID),
                all(
                    "partitions",
                    Array(&Struct(&[
                        all("partition_index", I32),
                        all("leader_epoch", I32),
                        within(2, 2, "new_isr", Array(&I32)),
                        since(
                            3,
                            "new_isr_with_epochs",
                            Array(&Struct(&[since(3, "broker_id", I32), since(3, "broker_epoch", I64)])),
                        ),
                        all("leader_recovery_state", I8),
                        all("partition_epoch", I32),
                    ])),
                ),
            ])),
        ),
    ],
};

static UPDATE_FEATURES: RequestSchema = RequestSchema {
    api_key: 57,
    min: 0,
    max: 2,
    flexible_from: 0,
    fields: &[
        all("timeout_ms", I32),
        all(
            "feature_updates",
            Array(&Struct(&[
                all("feature", STRING),
                all("max_version_level", I16),
                within(0, 0, "allow_downgrade", BOOL),
                since(1, "upgrade_type", I8),
            ])),
        ),
        since(1, "validate_only", BOOL),
    ],
};

static BROKER_REGISTRATION: RequestSchema = RequestSchema {
    api_key: 62,
    min: 0,
    max: 4,
    flexible_from: 0,
    fields: &[
        all("broker_id", I32),
        all("cluster_id", STRING),
        all("incarnation_id", UUID),
        all(
            "listeners",
            Array(&Struct(&[
                all("name", STRING),
                all("host", STRING),
                all("port", U16),
                all("security_protocol", I16),
            ])),
        ),
        all(
            "features",
            Array(&Struct(&[
                all("name", STRING),
                all("min_supported_version", I16),
                all("max_supported_version", I16),
            ])),
        ),
        all("rack", STRING),
        since(1, "is_migrating_zk_broker", BOOL),
        since(2, "log_dirs", Array(&UUID)),
        since(3, "previous_broker_epoch", I64),
    ],
};

static BROKER_HEARTBEAT: RequestSchema = RequestSchema {
    api_key: 63,
    min: 0,
    max: 1,
    flexible_from: 0,
    fields: &[
        all("broker_id", I32),
        all("broker_epoch", I64),
        all("current_metadata_offset", I64),
        all("want_fence", BOOL),
        all("want_shut_down", BOOL),
        tag(0, "offline_log_dirs", Array(&UUID), 1),
    ],
};

static UNREGISTER_BROKER: RequestSchema =
    RequestSchema { api_key: 64, min: 0, max: 0, flexible_from: 0, fields: &[all("broker_id", I32)] };

static ALLOCATE_PRODUCER_IDS: RequestSchema = RequestSchema {
    api_key: 67,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[all("broker_id", I32), all("broker_epoch", I64)],
};

static ASSIGN_REPLICAS_TO_DIRS: RequestSchema = RequestSchema {
    api_key: 73,
    min: 0,
    max: 0,
    flexible_from: 0,
    fields: &[
        all("broker_id", I32),
        all("broker_epoch", I64),
        all(
            "directories",
            Array(&Struct(&[
                all("id", UUID),
                all(
                    "topics",
                    Array(&Struct(&[
                        all("topic_id", UUID),
                        all("partitions", Array(&Struct(&[all("partition_index", I32)]))),
                    ])),
                ),
            ])),
        ),
    ],
};

static LIST_CONFIG_RESOURCES: RequestSchema =
    RequestSchema { api_key: 74, min: 0, max: 1, flexible_from: 0, fields: &[since(1, "resource_types", Array(&I8))] };

//! What each Kafka API means: one file per API, each `pub async fn handle(&Arc<Broker>, &RequestContext, XRequest) -> XResponse`, and its row in `table`.
//!
//! Never touches sockets, RocksDB or record files. Errors become Kafka's codes in `error_code`.

pub mod acls;
pub mod activity;
pub mod advertised;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod api_versions;
pub mod authorized_operations;
pub mod auto_create;
pub mod broker_loggers;
pub mod client_software;
pub mod config_resource;
pub mod connections;
pub mod context;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod dispatch;
pub mod elect_leaders;
pub mod error_code;
pub mod error_tally;
pub mod fetch;
pub mod fetch_session;
pub mod find_coordinator;
pub mod group_strings;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod refusals;
pub mod request_metrics;
pub mod sync_group;
pub mod table;
pub mod update_features;

use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::config::BrokerConfig;
use crate::coordinator::group::GroupCoordinator;
use crate::metrics::Registry;
use crate::replica::ReplicaManager;
use crate::types::BrokerId;
use crate::types::budget::Budget;
use crate::types::limits::{DECOMPRESSED_BATCH_MAX_BYTES, SEARCH_MEMORY_BYTES};
use crate::types::log_levels::Loggers;
use crate::types::time::SharedClock;
use client_software::SoftwareCounts;
use connections::Connections;
use context::Connection;
use fetch_session::FetchSessions;
use table::Scope;

/// What handlers work with. Made by `node`, shared by every request.
pub struct Broker {
    /// `node.id`.
    pub id: BrokerId,
    config: Arc<ArcSwap<BrokerConfig>>,
    pub clock: SharedClock,
    pub cluster: Arc<Cluster>,
    pub replicas: Arc<ReplicaManager>,
    pub groups: Arc<GroupCoordinator>,
    pub metrics: Arc<Registry>,
    pub fetch_sessions: FetchSessions,
    pub connections: Connections,
    /// For records on their way to consumers (`ottla.store.read.memory.bytes`).
    pub read_memory: Budget,
    /// For what comes out of compressed batches, until the store has what was made of it.
    pub open_memory: Budget,
    /// For runs that are searched for a timestamp: apart from consumers, who may hold theirs long.
    pub search_memory: Budget,
    /// The log of the program that the broker runs in.
    pub loggers: Arc<dyn Loggers>,
    pub client_software: Arc<SoftwareCounts>,
    /// Where each listener really listens, by its name: differs from the configuration where a port is 0.
    pub bound: HashMap<Arc<str>, SocketAddr>,
    /// The id of the directory that the quorum's log is in (KIP-853).
    pub quorum_directory_id: Uuid,
    /// The names of the listeners for controllers.
    controller_listeners: Vec<String>,
}

/// What a [`Broker`] is made of.
pub struct BrokerParts {
    /// Replaced whole when dynamic configuration changes; whoever resolves against it holds it, too.
    pub config: Arc<ArcSwap<BrokerConfig>>,
    pub clock: SharedClock,
    pub cluster: Arc<Cluster>,
    pub replicas: Arc<ReplicaManager>,
    pub groups: Arc<GroupCoordinator>,
    pub metrics: Arc<Registry>,
    pub loggers: Arc<dyn Loggers>,
    pub bound: HashMap<Arc<str>, SocketAddr>,
    pub quorum_directory_id: Uuid,
}

impl Broker {
    pub fn new(parts: BrokerParts) -> Self {
        let BrokerParts { config, clock, cluster, replicas, groups, metrics, loggers, bound, quorum_directory_id } =
            parts;
        let started_with = config.load_full();
        let slots = usize::try_from(started_with.max_incremental_fetch_session_cache_slots).unwrap_or(0);
        let (id, fetch_sessions) = (started_with.node_id, FetchSessions::new(slots));
        let read_bytes = usize::try_from(started_with.store_read_memory_bytes).unwrap_or(0);
        let controller_listeners =
            started_with.listeners.controller.iter().map(|listener| listener.name.clone()).collect();
        Self {
            id,
            config,
            clock,
            cluster,
            replicas,
            groups,
            metrics,
            fetch_sessions,
            connections: Connections::default(),
            read_memory: Budget::new(read_bytes),
            open_memory: Budget::new(DECOMPRESSED_BATCH_MAX_BYTES),
            search_memory: Budget::new(SEARCH_MEMORY_BYTES),
            loggers,
            client_software: Arc::default(),
            bound,
            quorum_directory_id,
            controller_listeners,
        }
    }

    /// The configuration now: dynamic changes replace it whole.
    pub fn config(&self) -> Arc<BrokerConfig> {
        self.config.load_full()
    }

    pub fn set_config(&self, config: Arc<BrokerConfig>) {
        self.config.store(config);
    }

    /// What the listener is for that accepted a connection.
    pub fn scope(&self, connection: &Connection) -> Scope {
        let is_controllers = self.controller_listeners.iter().any(|name| **name == *connection.listener);
        if is_controllers { Scope::Controller } else { Scope::Broker }
    }
}

//! Every metric: its names, kind, help and labels.
//!
//! Kafka's own metrics have the names that dashboards know, of both families: those of Strimzi's JMX exporter rules (`..._total` for counters), and
//! those of the rules behind Grafana's dashboard 721, the Kafka mixin and Confluent's stacks (`...persec`). Where the dashboards for Strimzi's metrics reporter
//! ask for others (`...persec_total`), those are there, too. Topics and groups have kafka_exporter's names. What begins with `ottla_` is Ottla's own. A name
//! that is not here cannot be registered.

/// What a metric's value means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Told like a summary: count and sum since the start, quantiles of the last five minutes.
    Histogram,
}

/// One metric.
#[derive(PartialEq, Eq, Debug)]
pub struct Metric {
    pub name: &'static str,
    /// Further names that the same series are shown under.
    pub also: &'static [&'static str],
    pub kind: Kind,
    pub help: &'static str,
    /// Names of the labels that a series may have. A series may leave labels out (a broker's total beside the topics' own, as in Kafka).
    pub labels: &'static [&'static str],
    /// The most series that are shown. How many more there would be is told by [`SERIES_LEFT_OUT`].
    pub max_series: usize,
}

impl Metric {
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.also.iter().copied())
    }
}

/// A label for each topic, group or broker.
const NAMES: usize = 10_000;
/// Labels for each partition, or for each partition of each group (`ottla.metrics.partition.series` turns them off).
const PARTITIONS: usize = 50_000;
/// A label with values from the program: an API, an error, a listener.
const CLOSED: usize = 2_000;
/// A client's software: clients could name anything.
const SOFTWARE: usize = 200;

macro_rules! metrics {
    ($($constant:ident, $name:literal $(| $also:literal)*, $kind:ident, [$($label:literal),*], $max:expr, $help:literal;)*) => {
        $(pub static $constant: Metric = Metric {
            name: $name, also: &[$($also),*], kind: Kind::$kind, help: $help, labels: &[$($label),*], max_series: $max,
        };)*

        /// Every metric there is.
        pub static ALL: &[&Metric] = &[$(&$constant),*];
    };
}

/// Counters whose rate over the last half minute is a metric, too. The raft log's end stands for a counter: it rises.
pub static RATES: &[(&Metric, &Metric)] = &[
    (&CONNECTION_CREATIONS, &CONNECTION_CREATION_RATE),
    (&CONNECTION_CLOSES, &CONNECTION_CLOSE_RATE),
    (&RAFT_LOG_END_OFFSET, &RAFT_APPEND_RATE),
    (&OFFSET_COMMITS, &OFFSET_COMMIT_RATE),
    (&OFFSETS_EXPIRED, &OFFSET_EXPIRATION_RATE),
    (&OFFSETS_DELETED, &OFFSET_DELETION_RATE),
    (&COMPLETED_REBALANCES, &COMPLETED_REBALANCE_RATE),
];

metrics! {
    MESSAGES_IN, "kafka_server_brokertopicmetrics_messagesin_total" | "kafka_server_brokertopicmetrics_messagesinpersec"
        | "kafka_server_brokertopicmetrics_messagesinpersec_total", Counter, ["topic"], NAMES,
        "Records appended.";
    BYTES_IN, "kafka_server_brokertopicmetrics_bytesin_total" | "kafka_server_brokertopicmetrics_bytesinpersec"
        | "kafka_server_brokertopicmetrics_bytesinpersec_total", Counter, ["topic"], NAMES,
        "Bytes of record batches appended for producers.";
    BYTES_OUT, "kafka_server_brokertopicmetrics_bytesout_total" | "kafka_server_brokertopicmetrics_bytesoutpersec"
        | "kafka_server_brokertopicmetrics_bytesoutpersec_total", Counter, ["topic"], NAMES,
        "Bytes of record batches sent to consumers.";
    BYTES_REJECTED, "kafka_server_brokertopicmetrics_bytesrejected_total"
        | "kafka_server_brokertopicmetrics_bytesrejectedpersec", Counter, ["topic"], NAMES,
        "Bytes of record batches refused.";
    TOTAL_PRODUCE_REQUESTS, "kafka_server_brokertopicmetrics_totalproducerequests_total"
        | "kafka_server_brokertopicmetrics_totalproducerequestspersec"
        | "kafka_server_brokertopicmetrics_totalproducerequestspersec_total", Counter, ["topic"], NAMES,
        "Partitions produced to, by request.";
    TOTAL_FETCH_REQUESTS, "kafka_server_brokertopicmetrics_totalfetchrequests_total"
        | "kafka_server_brokertopicmetrics_totalfetchrequestspersec"
        | "kafka_server_brokertopicmetrics_totalfetchrequestspersec_total", Counter, ["topic"], NAMES,
        "Partitions fetched from, by request.";
    FAILED_PRODUCE_REQUESTS, "kafka_server_brokertopicmetrics_failedproducerequests_total"
        | "kafka_server_brokertopicmetrics_failedproducerequestspersec"
        | "kafka_server_brokertopicmetrics_failedproducerequestspersec_total", Counter, ["topic"], NAMES,
        "Partitions whose produce failed.";
    FAILED_FETCH_REQUESTS, "kafka_server_brokertopicmetrics_failedfetchrequests_total"
        | "kafka_server_brokertopicmetrics_failedfetchrequestspersec"
        | "kafka_server_brokertopicmetrics_failedfetchrequestspersec_total", Counter, ["topic"], NAMES,
        "Partitions whose fetch failed.";
    PRODUCE_CONVERSIONS, "kafka_server_brokertopicmetrics_producemessageconversions_total"
        | "kafka_server_brokertopicmetrics_producemessageconversionspersec", Counter, ["topic"], NAMES,
        "Produced batches converted from an older format of records.";
    FETCH_CONVERSIONS, "kafka_server_brokertopicmetrics_fetchmessageconversions_total"
        | "kafka_server_brokertopicmetrics_fetchmessageconversionspersec", Counter, ["topic"], NAMES,
        "Fetched batches converted to an older format of records.";
    REQUESTS, "kafka_network_requestmetrics_requests_total" | "kafka_network_requestmetrics_requestspersec", Counter, ["request", "version"], CLOSED,
        "Requests answered. A fetch counts as Fetch and as FetchConsumer or FetchFollower, here and below.";
    ERRORS, "kafka_network_requestmetrics_errors_total" | "kafka_network_requestmetrics_errorspersec", Counter, ["request", "error"], CLOSED,
        "Error codes in answers; NONE among them.";
    TOTAL_TIME_MS, "kafka_network_requestmetrics_totaltimems", Histogram, ["request"], CLOSED,
        "Milliseconds from a whole request to the last byte of its answer.";
    REQUEST_QUEUE_TIME_MS, "kafka_network_requestmetrics_requestqueuetimems", Histogram, ["request"], CLOSED,
        "Milliseconds from a whole request to its beginning. Ottla has no queue between the two.";
    LOCAL_TIME_MS, "kafka_network_requestmetrics_localtimems", Histogram, ["request"], CLOSED,
        "Milliseconds of the first stage of a request: all it can do without waiting.";
    REMOTE_TIME_MS, "kafka_network_requestmetrics_remotetimems", Histogram, ["request"], CLOSED,
        "Milliseconds that a request then waited: for a sync, for replicas, for data, for a group.";
    RESPONSE_QUEUE_TIME_MS, "kafka_network_requestmetrics_responsequeuetimems", Histogram, ["request"], CLOSED,
        "Milliseconds that an answer waited for those of earlier requests of its connection.";
    RESPONSE_SEND_TIME_MS, "kafka_network_requestmetrics_responsesendtimems", Histogram, ["request"], CLOSED,
        "Milliseconds from there to the last byte of the answer.";
    REQUEST_QUEUE_SIZE, "kafka_network_requestchannel_requestqueuesize", Gauge, [], 1,
        "Requests that wait for request memory (queued.max.request.bytes).";
    RESPONSE_QUEUE_SIZE, "kafka_network_requestchannel_responsequeuesize", Gauge, [], 1,
        "Answers whose last byte is not written yet.";
    NETWORK_IDLE, "kafka_network_socketserver_networkprocessoravgidle_percent"
        | "kafka_network_socketserver_networkprocessoravgidlepercent", Gauge, [], 1,
        "Share of the last minute in which the threads for connections and requests had nothing to do, from 0 to 1. They are the same ones.";
    HANDLER_IDLE, "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent"
        | "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_oneminuterate", Gauge, [], 1,
        "Share of the last minute in which the threads for connections and requests had nothing to do, from 0 to 1. They are the same ones.";
    HANDLER_IDLE_NANOS, "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_total", Counter, [], 1,
        "Nanoseconds in which the threads for connections and requests had nothing to do, on the average of all threads.";
    ACCEPTOR_BLOCKED, "kafka_network_acceptor_acceptorblocked_total" | "kafka_network_acceptor_acceptorblockedpercent", Counter, ["listener"], CLOSED,
        "Nanoseconds for which no connection was accepted, because of max.connections.";
    CONNECTION_COUNT, "kafka_server_socket_server_metrics_connection_count"
        | "kafka_server_socketservermetrics_connection_count", Gauge, ["listener"], CLOSED,
        "Open connections.";
    CONNECTION_CREATIONS, "kafka_server_socket_server_metrics_connection_creation_total"
        | "kafka_server_socketservermetrics_connection_creation_total", Counter, ["listener"], CLOSED,
        "Connections accepted.";
    CONNECTION_CREATION_RATE, "kafka_server_socket_server_metrics_connection_creation_rate"
        | "kafka_server_socketservermetrics_connection_creation_rate", Gauge, ["listener"], CLOSED,
        "Connections accepted per second.";
    CONNECTION_CLOSES, "kafka_server_socket_server_metrics_connection_close_total"
        | "kafka_server_socketservermetrics_connection_close_total", Counter, ["listener"], CLOSED,
        "Connections ended.";
    CONNECTION_CLOSE_RATE, "kafka_server_socket_server_metrics_connection_close_rate"
        | "kafka_server_socketservermetrics_connection_close_rate", Gauge, ["listener"], CLOSED,
        "Connections ended per second.";
    INCOMING_BYTES, "kafka_server_socket_server_metrics_incoming_byte_total"
        | "kafka_server_socketservermetrics_incoming_byte_total", Counter, ["listener"], CLOSED,
        "Bytes read from connections.";
    OUTGOING_BYTES, "kafka_server_socket_server_metrics_outgoing_byte_total"
        | "kafka_server_socketservermetrics_outgoing_byte_total", Counter, ["listener"], CLOSED,
        "Bytes written to connections.";
    CLIENT_CONNECTIONS, "kafka_server_socketservermetrics_connections"
        , Gauge, ["client_software_name", "client_software_version", "listener"], SOFTWARE,
        "Open connections by the client's library, as told in ApiVersions.";
    BROKER_STATE, "kafka_server_kafkaserver_brokerstate", Gauge, [], 1,
        "1 starting, 2 recovering, 3 running, 6 handing its leaderships over, 7 stopping.";
    DISK_READ_BYTES, "kafka_server_kafkaserver_linux_disk_read_bytes", Gauge, [], 1,
        "Bytes that this process had read from disks.";
    DISK_WRITE_BYTES, "kafka_server_kafkaserver_linux_disk_write_bytes", Gauge, [], 1,
        "Bytes that this process had written to disks.";
    LEADER_COUNT, "kafka_server_replicamanager_leadercount", Gauge, [], 1,
        "Partitions that this broker leads.";
    PARTITION_COUNT, "kafka_server_replicamanager_partitioncount", Gauge, [], 1,
        "Partitions with a replica on this broker.";
    UNDER_REPLICATED_PARTITIONS, "kafka_server_replicamanager_underreplicatedpartitions", Gauge, [], 1,
        "Partitions led here with a replica out of sync.";
    UNDER_MIN_ISR_PARTITION_COUNT, "kafka_server_replicamanager_underminisrpartitioncount", Gauge, [], 1,
        "Partitions led here with fewer replicas in sync than min.insync.replicas.";
    AT_MIN_ISR_PARTITION_COUNT, "kafka_server_replicamanager_atminisrpartitioncount", Gauge, [], 1,
        "Partitions led here with just min.insync.replicas in sync.";
    OFFLINE_REPLICA_COUNT, "kafka_server_replicamanager_offlinereplicacount", Gauge, [], 1,
        "Replicas on failed log directories of this broker.";
    ISR_SHRINKS, "kafka_server_replicamanager_isrshrinks_total" | "kafka_server_replicamanager_isrshrinkspersec", Counter, [], 1,
        "Times that a partition led here lost replicas in sync.";
    ISR_EXPANDS, "kafka_server_replicamanager_isrexpands_total" | "kafka_server_replicamanager_isrexpandspersec", Counter, [], 1,
        "Times that a partition led here won replicas in sync.";
    REPLICA_FETCHER_MAX_LAG, "kafka_server_replicafetchermanager_maxlag", Gauge, ["clientid"], 1,
        "Records by which the slowest follower on this broker is behind.";
    REPLICA_FETCHER_MIN_RATE, "kafka_server_replicafetchermanager_minfetchrate", Gauge, ["clientid"], 1,
        "Fetches per second of the follower on this broker that fetches least often; 0 where there is none.";
    ACTIVE_CONTROLLER_COUNT, "kafka_controller_kafkacontroller_activecontrollercount", Gauge, [], 1,
        "1 on the active controller, 0 elsewhere.";
    OFFLINE_PARTITIONS_COUNT, "kafka_controller_kafkacontroller_offlinepartitionscount", Gauge, [], 1,
        "Partitions without a leader.";
    PREFERRED_REPLICA_IMBALANCE_COUNT, "kafka_controller_kafkacontroller_preferredreplicaimbalancecount", Gauge, [], 1,
        "Partitions that their preferred replica does not lead.";
    GLOBAL_TOPIC_COUNT, "kafka_controller_kafkacontroller_globaltopiccount", Gauge, [], 1,
        "Topics of the cluster.";
    GLOBAL_PARTITION_COUNT, "kafka_controller_kafkacontroller_globalpartitioncount", Gauge, [], 1,
        "Partitions of the cluster.";
    ACTIVE_BROKER_COUNT, "kafka_controller_kafkacontroller_activebrokercount", Gauge, [], 1,
        "Brokers that are not fenced.";
    FENCED_BROKER_COUNT, "kafka_controller_kafkacontroller_fencedbrokercount", Gauge, [], 1,
        "Brokers that are fenced.";
    METADATA_ERROR_COUNT, "kafka_controller_kafkacontroller_metadataerrorcount", Gauge, [], 1,
        "Times that this node could not follow a change of the metadata.";
    LAST_APPLIED_RECORD_LAG_MS, "kafka_controller_kafkacontroller_lastappliedrecordlagms", Gauge, [], 1,
        "Milliseconds by which this node is behind the metadata log; 0 on the active controller.";
    EVENT_QUEUE_TIME_MS, "kafka_controller_controllereventmanager_eventqueuetimems", Histogram, [], 1,
        "Milliseconds that a change of the metadata waited for those before it.";
    EVENT_QUEUE_PROCESSING_TIME_MS, "kafka_controller_controllereventmanager_eventqueueprocessingtimems", Histogram, [], 1,
        "Milliseconds that it then took to decide.";
    UNCLEAN_LEADER_ELECTIONS, "kafka_controller_controllerstats_uncleanleaderelections_total"
        | "kafka_controller_controllerstats_uncleanleaderelectionspersec"
        | "kafka_controller_controllerstats_uncleanleaderelectionspersec_total", Counter, [], 1,
        "Times that a replica that was not in sync became leader.";
    RAFT_CURRENT_STATE, "kafka_server_raftmetrics_current_state" | "kafka_server_raft_metrics_current_state"
        | "kafka_server_raft_metrics_current_state_info", Gauge, ["current_state"], 1,
        "1, with this node's part in the metadata quorum.";
    RAFT_CURRENT_LEADER, "kafka_server_raftmetrics_current_leader" | "kafka_server_raft_metrics_current_leader", Gauge, [], 1,
        "The node that leads the metadata quorum; -1 when unknown.";
    RAFT_CURRENT_VOTE, "kafka_server_raftmetrics_current_vote" | "kafka_server_raft_metrics_current_vote", Gauge, [], 1,
        "The node that this one voted for in the current epoch; -1 for none.";
    RAFT_CURRENT_EPOCH, "kafka_server_raftmetrics_current_epoch" | "kafka_server_raft_metrics_current_epoch", Gauge, [], 1,
        "The metadata quorum's epoch.";
    RAFT_HIGH_WATERMARK, "kafka_server_raftmetrics_high_watermark" | "kafka_server_raft_metrics_high_watermark", Gauge, [], 1,
        "The metadata log's high watermark.";
    RAFT_LOG_END_OFFSET, "kafka_server_raftmetrics_log_end_offset" | "kafka_server_raft_metrics_log_end_offset", Gauge, [], 1,
        "The metadata log's end.";
    RAFT_APPEND_RATE, "kafka_server_raftmetrics_append_records_rate" | "kafka_server_raft_metrics_append_records_rate", Gauge, [], 1,
        "Entries appended to the metadata log per second.";
    RAFT_FETCH_RATE, "kafka_server_raftmetrics_fetch_records_rate" | "kafka_server_raft_metrics_fetch_records_rate", Gauge, [], 1,
        "Entries of the metadata log fetched from its leader per second.";
    RAFT_INCOMING_BYTES, "kafka_server_raftchannelmetrics_incoming_byte_total" | "kafka_server_raft_channel_metrics_incoming_byte", Counter, [], 1,
        "Bytes that this node received from the other members of the metadata quorum.";
    RAFT_OUTGOING_BYTES, "kafka_server_raftchannelmetrics_outgoing_byte_total" | "kafka_server_raft_channel_metrics_outgoing_byte", Counter, [], 1,
        "Bytes that this node sent to the other members of the metadata quorum.";
    RAFT_REQUESTS, "kafka_server_raftchannelmetrics_request_total" | "kafka_server_raft_channel_metrics_request", Counter, [], 1,
        "Requests that this node sent to the other members of the metadata quorum.";
    RAFT_RESPONSES, "kafka_server_raftchannelmetrics_response_total" | "kafka_server_raft_channel_metrics_response", Counter, [], 1,
        "Answers that this node received from the other members of the metadata quorum.";
    RAFT_COMMIT_LATENCY_AVG, "kafka_server_raftmetrics_commit_latency_avg" | "kafka_server_raft_metrics_commit_latency_avg", Gauge, [], 1,
        "Milliseconds from the write of an entry of the metadata log until it is committed and applied, on the average of the last minute.";
    RAFT_COMMIT_LATENCY_MAX, "kafka_server_raftmetrics_commit_latency_max" | "kafka_server_raft_metrics_commit_latency_max", Gauge, [], 1,
        "The same, the longest of the last minute.";
    LOG_SIZE, "kafka_log_log_size", Gauge, ["topic", "partition"], PARTITIONS,
        "Bytes of a partition on this broker.";
    LOG_START_OFFSET, "kafka_log_log_logstartoffset", Gauge, ["topic", "partition"], PARTITIONS,
        "First offset of a partition on this broker.";
    LOG_END_OFFSET, "kafka_log_log_logendoffset", Gauge, ["topic", "partition"], PARTITIONS,
        "Offset that the next record of a partition gets on this broker.";
    LOG_FLUSH_TIME_MS, "kafka_log_logflushstats_logflushrateandtimems", Histogram, [], 1,
        "Milliseconds of a sync of records to stable storage.";
    OFFLINE_LOG_DIRECTORY_COUNT, "kafka_log_logmanager_offlinelogdirectorycount", Gauge, [], 1,
        "Log directories that take no more records since a write failed.";
    PARTITION_UNDER_MIN_ISR, "kafka_cluster_partition_underminisr", Gauge, ["topic", "partition"], PARTITIONS,
        "1 when a partition led here has fewer replicas in sync than min.insync.replicas.";
    PARTITION_AT_MIN_ISR, "kafka_cluster_partition_atminisr", Gauge, ["topic", "partition"], PARTITIONS,
        "1 when a partition led here has just min.insync.replicas in sync.";
    PARTITION_UNDER_REPLICATED, "kafka_cluster_partition_underreplicated", Gauge, ["topic", "partition"], PARTITIONS,
        "1 when a partition led here has a replica out of sync.";
    PARTITION_REPLICAS_COUNT, "kafka_cluster_partition_replicascount", Gauge, ["topic", "partition"], PARTITIONS,
        "Replicas of a partition led here.";
    PARTITION_IN_SYNC_REPLICAS_COUNT, "kafka_cluster_partition_insyncreplicascount", Gauge, ["topic", "partition"], PARTITIONS,
        "In-sync replicas of a partition led here.";
    PARTITION_LAST_STABLE_OFFSET_LAG, "kafka_cluster_partition_laststableoffsetlag", Gauge, ["topic", "partition"], PARTITIONS,
        "Records of a partition led here between the last stable offset and the high watermark.";
    NUM_GROUPS, "kafka_coordinator_group_groupmetadatamanager_numgroups", Gauge, [], 1,
        "Groups that this broker coordinates.";
    NUM_GROUPS_STABLE, "kafka_coordinator_group_groupmetadatamanager_numgroupsstable", Gauge, [], 1,
        "Groups in the state Stable.";
    NUM_GROUPS_EMPTY, "kafka_coordinator_group_groupmetadatamanager_numgroupsempty", Gauge, [], 1,
        "Groups in the state Empty.";
    NUM_GROUPS_DEAD, "kafka_coordinator_group_groupmetadatamanager_numgroupsdead", Gauge, [], 1,
        "Groups in the state Dead.";
    NUM_GROUPS_PREPARING, "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance", Gauge, [], 1,
        "Groups in the state PreparingRebalance.";
    NUM_GROUPS_COMPLETING, "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance", Gauge, [], 1,
        "Groups in the state CompletingRebalance.";
    NUM_OFFSETS, "kafka_coordinator_group_groupmetadatamanager_numoffsets", Gauge, [], 1,
        "Committed offsets that this broker keeps.";
    GROUP_COUNT, "kafka_server_groupcoordinatormetrics_group_count" | "kafka_server_group_coordinator_metrics_group_count", Gauge, ["protocol"], CLOSED,
        "Groups that this broker coordinates, by their protocol.";
    OFFSET_COMMITS, "kafka_server_groupcoordinatormetrics_offset_commit_total" | "kafka_server_group_coordinator_metrics_offset_commit_count", Counter, [], 1,
        "Offsets that were committed, one for each partition.";
    OFFSET_COMMIT_RATE, "kafka_server_groupcoordinatormetrics_offset_commit_rate" | "kafka_server_group_coordinator_metrics_offset_commit_rate", Gauge, [], 1,
        "Offsets committed per second.";
    OFFSETS_EXPIRED, "kafka_server_groupcoordinatormetrics_offset_expiration_total"
        | "kafka_server_group_coordinator_metrics_offset_expiration_count", Counter, [], 1,
        "Offsets that were removed because their retention ended.";
    OFFSET_EXPIRATION_RATE, "kafka_server_groupcoordinatormetrics_offset_expiration_rate"
        | "kafka_server_group_coordinator_metrics_offset_expiration_rate", Gauge, [], 1,
        "Offsets expired per second.";
    OFFSETS_DELETED, "kafka_server_groupcoordinatormetrics_offset_deletion_total"
        | "kafka_server_group_coordinator_metrics_offset_deletion_count", Counter, [], 1,
        "Offsets that clients had deleted.";
    OFFSET_DELETION_RATE, "kafka_server_groupcoordinatormetrics_offset_deletion_rate"
        | "kafka_server_group_coordinator_metrics_offset_deletion_rate", Gauge, [], 1,
        "Offsets deleted per second.";
    COMPLETED_REBALANCES, "kafka_server_groupcoordinatormetrics_group_completed_rebalance_total"
        | "kafka_server_group_coordinator_metrics_group_completed_rebalance_count", Counter, [], 1,
        "Rebalances of groups that came to their end: the assignment is stored.";
    COMPLETED_REBALANCE_RATE, "kafka_server_groupcoordinatormetrics_group_completed_rebalance_rate"
        | "kafka_server_group_coordinator_metrics_group_completed_rebalance_rate", Gauge, [], 1,
        "Rebalances completed per second.";
    FETCH_SESSIONS, "kafka_server_fetchsessioncache_numincrementalfetchsessions", Gauge, [], 1,
        "Incremental fetch sessions.";
    FETCH_SESSION_PARTITIONS, "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", Gauge, [], 1,
        "Partitions of all fetch sessions.";
    FETCH_SESSION_EVICTIONS, "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total"
        | "kafka_server_fetchsessioncache_incrementalfetchsessionevictionspersec", Counter, [], 1,
        "Fetch sessions that had to make room for others.";
    BROKERS, "kafka_brokers", Gauge, [], 1,
        "Brokers of the cluster.";
    BROKER_INFO, "kafka_broker_info", Gauge, ["id", "address"], NAMES,
        "1 for each broker.";
    TOPIC_PARTITIONS, "kafka_topic_partitions", Gauge, ["topic"], NAMES,
        "Partitions of a topic.";
    TOPIC_PARTITION_CURRENT_OFFSET, "kafka_topic_partition_current_offset", Gauge, ["topic", "partition"], PARTITIONS,
        "High watermark of a partition led here.";
    TOPIC_PARTITION_OLDEST_OFFSET, "kafka_topic_partition_oldest_offset", Gauge, ["topic", "partition"], PARTITIONS,
        "First offset of a partition led here.";
    TOPIC_PARTITION_IN_SYNC_REPLICA, "kafka_topic_partition_in_sync_replica", Gauge, ["topic", "partition"], PARTITIONS,
        "In-sync replicas of a partition led here.";
    TOPIC_PARTITION_LEADER, "kafka_topic_partition_leader", Gauge, ["topic", "partition"], PARTITIONS,
        "The broker that leads a partition.";
    TOPIC_PARTITION_LEADER_IS_PREFERRED, "kafka_topic_partition_leader_is_preferred", Gauge, ["topic", "partition"], PARTITIONS,
        "1 when the preferred replica leads.";
    TOPIC_PARTITION_REPLICAS, "kafka_topic_partition_replicas", Gauge, ["topic", "partition"], PARTITIONS,
        "Replicas of a partition.";
    TOPIC_PARTITION_UNDER_REPLICATED, "kafka_topic_partition_under_replicated_partition", Gauge, ["topic", "partition"], PARTITIONS,
        "1 when a partition has a replica out of sync.";
    CONSUMER_GROUP_CURRENT_OFFSET, "kafka_consumergroup_current_offset", Gauge, ["consumergroup", "topic", "partition"], PARTITIONS,
        "Committed offset of a group.";
    CONSUMER_GROUP_CURRENT_OFFSET_SUM, "kafka_consumergroup_current_offset_sum", Gauge, ["consumergroup", "topic"], NAMES,
        "Committed offsets of a group over a topic's partitions.";
    CONSUMER_GROUP_LAG, "kafka_consumergroup_lag"
        | "kafka_consumergroup_uncommitted_offsets", Gauge, ["consumergroup", "topic", "partition"], PARTITIONS,
        "Records between a group's committed offset and the high watermark.";
    CONSUMER_GROUP_LAG_SUM, "kafka_consumergroup_lag_sum", Gauge, ["consumergroup", "topic"], NAMES,
        "The same over a topic's partitions.";
    CONSUMER_GROUP_MEMBERS, "kafka_consumergroup_members", Gauge, ["consumergroup"], NAMES,
        "Members of a group.";
    PROCESS_OPEN_FDS, "process_open_fds", Gauge, [], 1,
        "Open file descriptors.";
    PROCESS_MAX_FDS, "process_max_fds", Gauge, [], 1,
        "The most file descriptors that may be open.";
    PROCESS_RESIDENT_MEMORY_BYTES, "process_resident_memory_bytes", Gauge, [], 1,
        "Resident memory.";
    PROCESS_VIRTUAL_MEMORY_BYTES, "process_virtual_memory_bytes", Gauge, [], 1,
        "Virtual memory.";
    PROCESS_CPU_SECONDS, "process_cpu_seconds_total", Counter, [], 1,
        "Processor time of this process, in seconds.";
    PROCESS_START_TIME_SECONDS, "process_start_time_seconds", Gauge, [], 1,
        "When this process started, in seconds since 1970.";
    PROCESS_THREADS, "process_threads", Gauge, [], 1,
        "Threads of this process.";
    BUILD_INFO, "ottla_build_info", Gauge, ["version"], 1,
        "1, with the version of this program.";
    REQUESTS_IN_WORK, "ottla_requests_in_work", Gauge, [], 1,
        "Requests that have begun and have no answer yet, those that wait for data or for a group among them.";
    REQUEST_MEMORY_BYTES, "ottla_request_memory_bytes", Gauge, [], 1,
        "Bytes of requests that are being read or answered.";
    CONNECTIONS_REFUSED, "ottla_connections_refused_total", Counter, ["reason"], CLOSED,
        "Connections that a limit refused or a fault ended.";
    LOG_DIR_USABLE_BYTES, "ottla_log_dir_usable_bytes", Gauge, ["log_dir"], CLOSED,
        "Bytes that are free for this process on the file system of a log directory.";
    LOG_DIR_TOTAL_BYTES, "ottla_log_dir_total_bytes", Gauge, ["log_dir"], CLOSED,
        "Bytes of the file system of a log directory.";
    STORE_WRITABLE, "ottla_store_writable", Gauge, ["log_dir"], CLOSED,
        "1 while a log directory takes records, 0 after a failed write or sync, or without disk space.";
    STORE_GROUP_WRITES, "ottla_store_group_writes", Histogram, [], 1,
        "Writes that were committed together.";
    STORE_GROUP_BYTES, "ottla_store_group_bytes", Histogram, [], 1,
        "Bytes that were committed together.";
    STORE_QUEUED_WRITES, "ottla_store_queued_writes", Gauge, ["log_dir"], CLOSED,
        "Writes that wait for the store's writer.";
    STORE_READ_BYTES, "ottla_store_read_bytes_total", Counter, ["from"], CLOSED,
        "Bytes of records read, from memory or from disk.";
    STRAY_PARTITIONS, "ottla_stray_partitions", Gauge, [], 1,
        "Partitions of no topic that are set aside in the log directories.";
    SERIES_LEFT_OUT, "ottla_metrics_series_left_out", Gauge, [], 1,
        "Series that this page leaves out, because a metric has more of them than it may show.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_well_formed() {
        let names: BTreeSet<&str> = ALL.iter().flat_map(|metric| metric.names()).collect();
        assert_eq!(names.len(), ALL.iter().map(|metric| metric.names().count()).sum::<usize>());
        for metric in ALL {
            let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            assert!(metric.names().all(is_word) && metric.labels.iter().all(|label| is_word(label)), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.help.ends_with('.') && metric.max_series > 0, "{}", metric.name);
            assert!(metric.labels.is_empty() <= (metric.max_series == 1), "{}", metric.name);
        }
    }
}

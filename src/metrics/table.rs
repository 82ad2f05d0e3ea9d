//! Every metric: its name, kind, help and labels.
//!
//! Names are those that Strimzi's JMX exporter rules give Kafka's own metrics (`..._total` for counters), and kafka_exporter's for lags, so that
//! dashboards made for Kafka keep working. Names that begin with `ottla_` are Ottla's own. A name that is not here cannot be registered.

/// What a metric's value means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Told as a summary: count, sum and quantiles of the last minutes.
    Histogram,
}

/// One metric.
#[derive(PartialEq, Eq, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    /// Names of the labels that a series may have. A series may leave labels out (a broker's total beside the topics' own, as in Kafka).
    pub labels: &'static [&'static str],
    /// The most series of this metric that are kept between scrapes. Further ones are not counted apart, so that no client can fill the memory.
    pub max_series: usize,
}

/// A topic's name, a client's software: a label that clients can multiply.
const OPEN: usize = 1000;
/// A label with values from the program: an API, an error, a listener.
const CLOSED: usize = 2000;

macro_rules! metrics {
    ($($constant:ident, $name:literal, $kind:ident, [$($label:literal),*], $max:expr, $help:literal;)*) => {
        $(pub static $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*], max_series: $max };)*

        /// Every metric there is.
        pub static ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    MESSAGES_IN, "kafka_server_brokertopicmetrics_messagesin_total", Counter, ["topic"], OPEN,
        "Records appended.";
    BYTES_IN, "kafka_server_brokertopicmetrics_bytesin_total", Counter, ["topic"], OPEN,
        "Bytes of record batches appended for producers.";
    BYTES_OUT, "kafka_server_brokertopicmetrics_bytesout_total", Counter, ["topic"], OPEN,
        "Bytes of record batches sent to consumers.";
    BYTES_REJECTED, "kafka_server_brokertopicmetrics_bytesrejected_total", Counter, ["topic"], OPEN,
        "Bytes of record batches refused.";
    TOTAL_PRODUCE_REQUESTS, "kafka_server_brokertopicmetrics_totalproducerequests_total", Counter, ["topic"], OPEN,
        "Partitions produced to, by request.";
    TOTAL_FETCH_REQUESTS, "kafka_server_brokertopicmetrics_totalfetchrequests_total", Counter, ["topic"], OPEN,
        "Partitions fetched from, by request.";
    FAILED_PRODUCE_REQUESTS, "kafka_server_brokertopicmetrics_failedproducerequests_total", Counter, ["topic"], OPEN,
        "Partitions whose produce failed.";
    FAILED_FETCH_REQUESTS, "kafka_server_brokertopicmetrics_failedfetchrequests_total", Counter, ["topic"], OPEN,
        "Partitions whose fetch failed.";
    REQUESTS, "kafka_network_requestmetrics_requests_total", Counter, ["request", "version"], CLOSED,
        "Requests answered.";
    ERRORS, "kafka_network_requestmetrics_errors_total", Counter, ["request", "error"], CLOSED,
        "Error codes in answers; NONE among them.";
    TOTAL_TIME_MS, "kafka_network_requestmetrics_totaltimems", Histogram, ["request"], CLOSED,
        "Milliseconds from the last byte of a request to the last byte of its answer.";
    LOCAL_TIME_MS, "kafka_network_requestmetrics_localtimems", Histogram, ["request"], CLOSED,
        "Milliseconds of the first stage of a request.";
    REMOTE_TIME_MS, "kafka_network_requestmetrics_remotetimems", Histogram, ["request"], CLOSED,
        "Milliseconds that a request waited: for replicas, for data, for a group.";
    RESPONSE_SEND_TIME_MS, "kafka_network_requestmetrics_responsesendtimems", Histogram, ["request"], CLOSED,
        "Milliseconds from a finished answer to its last byte.";
    REQUEST_QUEUE_SIZE, "kafka_network_requestchannel_requestqueuesize", Gauge, [], 1,
        "Requests in work.";
    CONNECTION_COUNT, "kafka_server_socket_server_metrics_connection_count", Gauge, ["listener"], CLOSED,
        "Open connections.";
    CONNECTION_CREATIONS, "kafka_server_socket_server_metrics_connection_creation_total", Counter, ["listener"], CLOSED,
        "Connections accepted.";
    CONNECTION_CLOSES, "kafka_server_socket_server_metrics_connection_close_total", Counter, ["listener"], CLOSED,
        "Connections ended.";
    INCOMING_BYTES, "kafka_server_socket_server_metrics_incoming_byte_total", Counter, ["listener"], CLOSED,
        "Bytes read from connections.";
    OUTGOING_BYTES, "kafka_server_socket_server_metrics_outgoing_byte_total", Counter, ["listener"], CLOSED,
        "Bytes written to connections.";
    BROKER_STATE, "kafka_server_kafkaserver_brokerstate", Gauge, [], 1,
        "1 starting, 2 recovering, 3 running, 6 handing its leaderships over, 7 stopping.";
    LEADER_COUNT, "kafka_server_replicamanager_leadercount", Gauge, [], 1,
        "Partitions that this broker leads.";
    PARTITION_COUNT, "kafka_server_replicamanager_partitioncount", Gauge, [], 1,
        "Partitions with a replica on this broker.";
    UNDER_REPLICATED_PARTITIONS, "kafka_server_replicamanager_underreplicatedpartitions", Gauge, [], 1,
        "Partitions led here with a replica out of sync.";
    UNDER_MIN_ISR_PARTITION_COUNT, "kafka_server_replicamanager_underminisrpartitioncount", Gauge, [], 1,
        "Partitions led here with fewer replicas in sync than min.insync.replicas.";
    OFFLINE_REPLICA_COUNT, "kafka_server_replicamanager_offlinereplicacount", Gauge, [], 1,
        "Replicas on failed log directories of this broker.";
    ISR_SHRINKS, "kafka_server_replicamanager_isrshrinks_total", Counter, [], 1,
        "Times that a replica left the in-sync replicas.";
    ISR_EXPANDS, "kafka_server_replicamanager_isrexpands_total", Counter, [], 1,
        "Times that a replica joined the in-sync replicas.";
    REPLICA_FETCHER_MAX_LAG, "kafka_server_replicafetchermanager_maxlag", Gauge, [], 1,
        "Records by which the slowest follower on this broker is behind.";
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
    RAFT_CURRENT_LEADER, "kafka_server_raftmetrics_current_leader", Gauge, [], 1,
        "The node that leads the metadata quorum; -1 when unknown.";
    RAFT_CURRENT_EPOCH, "kafka_server_raftmetrics_current_epoch", Gauge, [], 1,
        "The metadata quorum's epoch.";
    RAFT_HIGH_WATERMARK, "kafka_server_raftmetrics_high_watermark", Gauge, [], 1,
        "The metadata log's high watermark.";
    LOG_SIZE, "kafka_log_log_size", Gauge, ["topic", "partition"], OPEN,
        "Bytes of a partition on this broker.";
    LOG_START_OFFSET, "kafka_log_log_logstartoffset", Gauge, ["topic", "partition"], OPEN,
        "First offset of a partition on this broker.";
    LOG_END_OFFSET, "kafka_log_log_logendoffset", Gauge, ["topic", "partition"], OPEN,
        "Offset that the next record of a partition gets on this broker.";
    PARTITION_UNDER_MIN_ISR, "kafka_cluster_partition_underminisr", Gauge, ["topic", "partition"], OPEN,
        "1 when a partition led here has fewer replicas in sync than min.insync.replicas.";
    PARTITION_AT_MIN_ISR, "kafka_cluster_partition_atminisr", Gauge, ["topic", "partition"], OPEN,
        "1 when a partition led here has just min.insync.replicas in sync.";
    PARTITION_REPLICAS_COUNT, "kafka_cluster_partition_replicascount", Gauge, ["topic", "partition"], OPEN,
        "Replicas of a partition led here.";
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
    BROKERS, "kafka_brokers", Gauge, [], 1,
        "Brokers of the cluster.";
    BROKER_INFO, "kafka_broker_info", Gauge, ["id", "address"], OPEN,
        "1 for each broker.";
    TOPIC_PARTITIONS, "kafka_topic_partitions", Gauge, ["topic"], OPEN,
        "Partitions of a topic.";
    TOPIC_PARTITION_CURRENT_OFFSET, "kafka_topic_partition_current_offset", Gauge, ["topic", "partition"], OPEN,
        "High watermark of a partition led here.";
    TOPIC_PARTITION_OLDEST_OFFSET, "kafka_topic_partition_oldest_offset", Gauge, ["topic", "partition"], OPEN,
        "First offset of a partition led here.";
    TOPIC_PARTITION_IN_SYNC_REPLICA, "kafka_topic_partition_in_sync_replica", Gauge, ["topic", "partition"], OPEN,
        "In-sync replicas of a partition led here.";
    TOPIC_PARTITION_LEADER, "kafka_topic_partition_leader", Gauge, ["topic", "partition"], OPEN,
        "The broker that leads a partition.";
    TOPIC_PARTITION_LEADER_IS_PREFERRED, "kafka_topic_partition_leader_is_preferred", Gauge, ["topic", "partition"], OPEN,
        "1 when the preferred replica leads.";
    TOPIC_PARTITION_REPLICAS, "kafka_topic_partition_replicas", Gauge, ["topic", "partition"], OPEN,
        "Replicas of a partition.";
    TOPIC_PARTITION_UNDER_REPLICATED, "kafka_topic_partition_under_replicated_partition", Gauge, ["topic", "partition"], OPEN,
        "1 when a partition has a replica out of sync.";
    CONSUMER_GROUP_CURRENT_OFFSET, "kafka_consumergroup_current_offset", Gauge, ["consumergroup", "topic", "partition"], OPEN,
        "Committed offset of a group.";
    CONSUMER_GROUP_CURRENT_OFFSET_SUM, "kafka_consumergroup_current_offset_sum", Gauge, ["consumergroup", "topic"], OPEN,
        "Committed offsets of a group over a topic's partitions.";
    CONSUMER_GROUP_LAG, "kafka_consumergroup_lag", Gauge, ["consumergroup", "topic", "partition"], OPEN,
        "Records between a group's committed offset and the high watermark.";
    CONSUMER_GROUP_LAG_SUM, "kafka_consumergroup_lag_sum", Gauge, ["consumergroup", "topic"], OPEN,
        "The same over a topic's partitions.";
    CONSUMER_GROUP_MEMBERS, "kafka_consumergroup_members", Gauge, ["consumergroup"], OPEN,
        "Members of a group.";
    PROCESS_OPEN_FDS, "process_open_fds", Gauge, [], 1,
        "Open file descriptors.";
    PROCESS_MAX_FDS, "process_max_fds", Gauge, [], 1,
        "The most file descriptors that may be open.";
    PROCESS_RESIDENT_MEMORY_BYTES, "process_resident_memory_bytes", Gauge, [], 1,
        "Resident memory.";
    PROCESS_CPU_SECONDS, "process_cpu_seconds_total", Counter, [], 1,
        "Processor time of this process, in seconds.";
    PROCESS_START_TIME_SECONDS, "process_start_time_seconds", Gauge, [], 1,
        "When this process started, in seconds since 1970.";
    BUILD_INFO, "ottla_build_info", Gauge, ["version"], 1,
        "1, with the version of this program.";
    CLIENT_CONNECTIONS, "ottla_client_connections", Gauge, ["software_name", "software_version"], 200,
        "Open connections by the client's library, as told in ApiVersions.";
    REQUEST_MEMORY_BYTES, "ottla_request_memory_bytes", Gauge, [], 1,
        "Bytes of requests that are being read or answered.";
    CONNECTIONS_REFUSED, "ottla_connections_refused_total", Counter, ["reason"], CLOSED,
        "Connections that a limit refused or a fault ended.";
    STORE_GROUP_WRITES, "ottla_store_group_writes", Histogram, [], 1,
        "Writes that were committed together.";
    STORE_GROUP_BYTES, "ottla_store_group_bytes", Histogram, [], 1,
        "Bytes that were committed together.";
    STORE_SYNC_MS, "ottla_store_sync_ms", Histogram, [], 1,
        "Milliseconds of a sync to stable storage.";
    STORE_QUEUED_BYTES, "ottla_store_queued_bytes", Gauge, [], 1,
        "Bytes that wait for the store's writer.";
    STORE_READ_BYTES, "ottla_store_read_bytes_total", Counter, ["from"], CLOSED,
        "Bytes of records read, from memory or from disk.";
    STRAY_PARTITIONS, "ottla_stray_partitions", Gauge, [], 1,
        "Partitions of no topic that are set aside in the log directories.";
    STORE_WRITABLE, "ottla_store_writable", Gauge, [], 1,
        "1 while the store takes writes, 0 after a failed write or sync, or without disk space.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_well_formed() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            assert!(is_word(metric.name) && metric.labels.iter().all(|label| is_word(label)), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.help.ends_with('.') && metric.max_series > 0, "{}", metric.name);
            assert!(metric.labels.is_empty() <= (metric.max_series == 1), "{}", metric.name);
        }
    }
}

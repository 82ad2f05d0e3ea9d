//! The table of broker keys, and [`BrokerConfig`]: the values of all of them, parsed once and read by every room.
//!
//! A `BrokerConfig` never changes: a dynamic update makes a new one. Reads no configuration file and no environment (that is `settings`).

mod general;
mod group;
mod log;
mod network;
mod ottla;
mod remote;
mod security;
mod validate;

use super::key::{ConfigKey, FromValue, Value};
use super::listener::{self, BindAddress, Listener, Listeners, Voter};
use super::topic::TopicConfig;
use super::{ConfigError, Origin, Settings, dynamic};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// Every broker key, sorted by name.
static TABLE: LazyLock<Vec<&'static ConfigKey>> = LazyLock::new(|| {
    let parts =
        [general::GENERAL, network::NETWORK, log::LOG, group::GROUP, security::SECURITY, remote::REMOTE, ottla::OTTLA];
    let mut all: Vec<&'static ConfigKey> = parts.into_iter().flatten().collect();
    all.sort_by_key(|key| key.name);
    all
});

/// Every broker key, sorted by name.
pub fn broker_keys() -> &'static [&'static ConfigKey] {
    &TABLE
}

/// The key of that name.
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    TABLE.binary_search_by_key(&name, |key| key.name).ok().and_then(|index| TABLE.get(index).copied())
}

/// Keys that exist only as dynamic configuration: Kafka reads them from no file (`QuotaConfig.brokerQuotaConfigs`).
pub const DYNAMIC_ONLY: &[&str] = &[
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];

/// How closely produced batches are looked at (`ottla.record.validation`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordValidation {
    /// Batch headers and checksums, and the records of uncompressed batches.
    Headers,
    /// Compressed batches are opened too.
    Full,
}

/// How the program's log is written (`ottla.log.format`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// A line of text per event.
    Plain,
    /// A line of JSON per event.
    Json,
}

/// A role of `process.roles`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Broker,
    Controller,
}

macro_rules! broker_fields {
    ($($(#[$note:meta])* $field:ident: $type:ty = $name:literal;)*) => {
        /// Keys for the code that reads them, typed. The field's documentation is the key's row in the table, and so is whether it has an effect yet.
        #[derive(Clone, Debug, PartialEq)]
        pub struct BrokerValues {
            $($(#[$note])* pub $field: $type,)*
        }

        impl BrokerValues {
            fn take(values: &BTreeMap<&'static str, Value>) -> Result<Self, ConfigError> {
                Ok(Self { $($field: taken(values, $name)?,)* })
            }
        }
    };
}

fn taken<T: FromValue>(values: &BTreeMap<&'static str, Value>, name: &'static str) -> Result<T, ConfigError> {
    values.get(name).and_then(T::from_value).ok_or(ConfigError::Missing { name: name.to_owned() })
}

broker_fields! {
    node_id: i32 = "node.id";
    rack: Option<String> = "broker.rack";
    auto_create_topics_enable: bool = "auto.create.topics.enable";
    delete_topic_enable: bool = "delete.topic.enable";
    num_partitions: i32 = "num.partitions";
    default_replication_factor: i32 = "default.replication.factor";
    controlled_shutdown_enable: bool = "controlled.shutdown.enable";
    request_timeout_ms: i32 = "request.timeout.ms";
    fetch_max_bytes: i32 = "fetch.max.bytes";
    max_incremental_fetch_session_cache_slots: i32 = "max.incremental.fetch.session.cache.slots";
    max_request_partition_size_limit: i32 = "max.request.partition.size.limit";
    initial_broker_registration_timeout_ms: i32 = "initial.broker.registration.timeout.ms";
    broker_heartbeat_interval_ms: i32 = "broker.heartbeat.interval.ms";
    broker_session_timeout_ms: i32 = "broker.session.timeout.ms";
    quorum_election_timeout_ms: i32 = "controller.quorum.election.timeout.ms";
    quorum_election_backoff_max_ms: i32 = "controller.quorum.election.backoff.max.ms";
    quorum_fetch_timeout_ms: i32 = "controller.quorum.fetch.timeout.ms";
    quorum_request_timeout_ms: i32 = "controller.quorum.request.timeout.ms";
    quorum_retry_backoff_ms: i32 = "controller.quorum.retry.backoff.ms";
    metadata_snapshot_max_record_bytes: i64 = "metadata.log.max.record.bytes.between.snapshots";
    metadata_snapshot_max_interval_ms: i64 = "metadata.log.max.snapshot.interval.ms";
    replica_lag_time_max_ms: i64 = "replica.lag.time.max.ms";
    replica_fetch_min_bytes: i32 = "replica.fetch.min.bytes";
    replica_fetch_max_bytes: i32 = "replica.fetch.max.bytes";
    replica_fetch_response_max_bytes: i32 = "replica.fetch.response.max.bytes";
    replica_fetch_wait_max_ms: i32 = "replica.fetch.wait.max.ms";
    replica_fetch_backoff_ms: i32 = "replica.fetch.backoff.ms";
    replica_socket_timeout_ms: i32 = "replica.socket.timeout.ms";
    /// -1: the operating system's own choice.
    socket_send_buffer_bytes: i32 = "socket.send.buffer.bytes";
    /// -1: the operating system's own choice.
    socket_receive_buffer_bytes: i32 = "socket.receive.buffer.bytes";
    socket_request_max_bytes: i32 = "socket.request.max.bytes";
    socket_listen_backlog_size: i32 = "socket.listen.backlog.size";
    max_connections: i32 = "max.connections";
    max_connections_per_ip: i32 = "max.connections.per.ip";
    max_connection_creation_rate: i32 = "max.connection.creation.rate";
    quota_window_num: i32 = "quota.window.num";
    quota_window_size_seconds: i32 = "quota.window.size.seconds";
    /// Negative: never.
    connections_max_idle_ms: i64 = "connections.max.idle.ms";
    log_initial_task_delay_ms: i64 = "log.initial.task.delay.ms";
    log_retention_check_interval_ms: i64 = "log.retention.check.interval.ms";
    log_flush_scheduler_interval_ms: i64 = "log.flush.scheduler.interval.ms";
    producer_id_expiration_ms: i32 = "producer.id.expiration.ms";
    producer_id_expiration_check_interval_ms: i32 = "producer.id.expiration.check.interval.ms";
    group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms";
    group_max_session_timeout_ms: i32 = "group.max.session.timeout.ms";
    group_initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms";
    group_max_size: i32 = "group.max.size";
    offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes";
    offsets_commit_timeout_ms: i32 = "offsets.commit.timeout.ms";
    offsets_retention_minutes: i32 = "offsets.retention.minutes";
    offsets_retention_check_interval_ms: i64 = "offsets.retention.check.interval.ms";
    offsets_topic_num_partitions: i32 = "offsets.topic.num.partitions";
    offsets_topic_replication_factor: i16 = "offsets.topic.replication.factor";
    offsets_topic_segment_bytes: i32 = "offsets.topic.segment.bytes";
    /// The number of a codec, as in a record batch's attributes.
    offsets_topic_compression_codec: i32 = "offsets.topic.compression.codec";
    bootstrap_file: Option<String> = "ottla.bootstrap.file";
    metrics_partition_series: bool = "ottla.metrics.partition.series";
    store_direct_io: bool = "ottla.store.direct.io";
    store_index_memory_bytes: i64 = "ottla.store.index.memory.bytes";
    store_read_memory_bytes: i64 = "ottla.store.read.memory.bytes";
    store_record_file_bytes: i32 = "ottla.store.record.file.bytes";
    stray_delete_delay_ms: i64 = "ottla.stray.delete.delay.ms";
    sync_single_replica: bool = "ottla.sync.single.replica";
}

/// All broker configuration at one moment: what was set, by whom, and what follows from it. Dereferences to [`BrokerValues`].
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    values: BTreeMap<&'static str, Value>,
    typed: BrokerValues,
    /// What file, environment and command line said.
    settings: Arc<Settings>,
    dynamic_default: Arc<BTreeMap<String, String>>,
    dynamic_broker: Arc<BTreeMap<String, String>>,
    pub listeners: Listeners,
    pub roles: Vec<Role>,
    pub voters: Vec<Voter>,
    pub record_validation: RecordValidation,
    pub log_format: LogFormat,
    /// What a topic without overrides has.
    pub topic_defaults: Arc<TopicConfig>,
}

impl std::ops::Deref for BrokerConfig {
    type Target = BrokerValues;

    fn deref(&self) -> &BrokerValues {
        &self.typed
    }
}

impl BrokerConfig {
    /// Parses and checks everything that file, environment and command line say.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that is wrong, its value and what is allowed, or the relation between keys that does not hold.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let settings = Arc::new(settings);
        Self::build(Arc::clone(&settings), Arc::default(), Arc::default()).map_err(|error| {
            let sources = settings.sources_of(&error.to_string());
            ConfigError::Sourced { error: Box::new(error), sources }
        })
    }

    /// The same node with other dynamic configuration: the cluster-wide one and this broker's own. What cannot be used is left out, as
    /// [`dynamic::usable`] says: it can be there when another version wrote it.
    ///
    /// # Errors
    /// [`ConfigError`] when the rest does not fit together; nothing has changed then.
    pub fn with_dynamic(
        &self,
        cluster_default: &BTreeMap<String, String>,
        broker: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let (all, own) =
            (dynamic::usable(&self.settings, cluster_default, false), dynamic::usable(&self.settings, broker, true));
        Self::build(self.settings.clone(), Arc::new(all), Arc::new(own))
    }

    fn build(
        settings: Arc<Settings>,
        dynamic_default: Arc<BTreeMap<String, String>>,
        dynamic_broker: Arc<BTreeMap<String, String>>,
    ) -> Result<Self, ConfigError> {
        let mut given: BTreeMap<&str, &str> = settings.iter().collect();
        node_id_synonyms(&mut given);
        for layer in [&dynamic_default, &dynamic_broker] {
            for (name, value) in layer.iter() {
                // The dynamic key wins over all its synonyms, also the stronger ones (`DynamicBrokerConfig.overrideProps`).
                for synonym in synonyms(name) {
                    given.remove(synonym);
                }
                given.insert(name, value);
            }
        }
        let mut values = BTreeMap::new();
        for key in broker_keys() {
            let value = match given.get(key.name) {
                Some(text) => key.parse(text)?,
                None => key.preset_value()?,
            };
            values.insert(key.name, value);
        }
        let typed = BrokerValues::take(&values)?;
        let roles = roles(&values)?;
        let voters = listener::parse_voters(&taken::<Vec<String>>(&values, "controller.quorum.voters")?)?;
        let is_set = |name: &str| given.contains_key(name);
        let listeners =
            Listeners::parse(&listener::ListenerText::take(&values, is_set)?, typed.node_id, &roles, &voters)?;
        let topic_defaults = Arc::new(TopicConfig::broker_defaults(&values)?);
        let record_validation = match taken::<String>(&values, "ottla.record.validation")?.as_str() {
            "full" => RecordValidation::Full,
            _ => RecordValidation::Headers,
        };
        let log_format = match taken::<String>(&values, "ottla.log.format")?.as_str() {
            "json" => LogFormat::Json,
            _ => LogFormat::Plain,
        };
        let config = Self {
            values,
            typed,
            settings,
            dynamic_default,
            dynamic_broker,
            listeners,
            roles,
            voters,
            record_validation,
            log_format,
            topic_defaults,
        };
        config.check_relations()?;
        Ok(config)
    }

    /// The value of any broker key; `None` for a name that is not in the table.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// What was set before the start, as text.
    pub fn static_settings(&self) -> &Settings {
        &self.settings
    }

    /// The cluster-wide dynamic configuration.
    pub fn dynamic_default(&self) -> &BTreeMap<String, String> {
        &self.dynamic_default
    }

    /// This broker's own dynamic configuration.
    pub fn dynamic_broker(&self) -> &BTreeMap<String, String> {
        &self.dynamic_broker
    }

    /// The cluster id that was given for the first start (`CLUSTER_ID`).
    pub fn cluster_id(&self) -> Option<&str> {
        self.settings.cluster_id()
    }

    pub fn is_broker(&self) -> bool {
        self.roles.contains(&Role::Broker)
    }

    pub fn is_controller(&self) -> bool {
        self.roles.contains(&Role::Controller)
    }

    /// The directories for data, never none.
    pub fn log_dirs(&self) -> Vec<PathBuf> {
        let of = |name: &str| self.values.get(name).and_then(Vec::<String>::from_value);
        let dirs = of("log.dirs").or_else(|| of("log.dir")).unwrap_or_default();
        dirs.into_iter().map(PathBuf::from).collect()
    }

    /// Where the quorum's log is: `metadata.log.dir`, or the first log directory.
    pub fn metadata_log_dir(&self) -> PathBuf {
        let set = self.values.get("metadata.log.dir").and_then(String::from_value);
        set.map(PathBuf::from).or_else(|| self.log_dirs().into_iter().next()).unwrap_or_default()
    }

    /// Where HTTP is served; `None` for nowhere. The text was checked when it was parsed.
    pub fn metrics_address(&self) -> Option<BindAddress> {
        let text = self.values.get("metrics.address").and_then(String::from_value)?;
        listener::http_address(&text).flatten()
    }

    /// Bytes that all requests in work may hold together: `queued.max.request.bytes`, or an eighth of the machine's memory,
    /// within one whole request and 1 GiB.
    pub fn request_memory_bytes(&self) -> u64 {
        let set = self.values.get("queued.max.request.bytes").and_then(i64::from_value).unwrap_or(-1);
        let one_request = u64::try_from(self.socket_request_max_bytes).unwrap_or(0);
        match u64::try_from(set) {
            Ok(bytes) if bytes > 0 => bytes,
            _ => (machine_memory_bytes() / 8).min(1 << 30).max(one_request),
        }
    }

    /// Bytes for the newest runs of the partitions: `ottla.store.tail.memory.bytes`, or a sixteenth of the machine's memory, at most 32 MiB: memory
    /// that is used again at once costs less than more of it would save, and consumers that fall further behind are sent records from their files, for which the
    /// broker needs none.
    pub fn store_tail_memory_bytes(&self) -> u64 {
        let set = self.values.get("ottla.store.tail.memory.bytes").and_then(i64::from_value).unwrap_or(-1);
        u64::try_from(set).unwrap_or_else(|_| (machine_memory_bytes() / 16).min(32 << 20))
    }

    /// The limit of connections from an address that has one of its own (`max.connections.per.ip.overrides`), by host.
    pub fn max_connections_per_ip_overrides(&self) -> BTreeMap<String, i32> {
        let text = self.values.get("max.connections.per.ip.overrides").and_then(String::from_value).unwrap_or_default();
        validate::parse_overrides(&text).unwrap_or_default()
    }

    /// The value of a key for one listener (`listener.name.NAME.KEY`, the name in lower case), where somebody set one that parses.
    pub fn of_listener<T: FromValue>(&self, listener: &str, key: &str) -> Option<T> {
        let name = format!("listener.name.{}.{key}", listener.to_lowercase());
        let dynamic = self.dynamic_broker.get(&name).or_else(|| self.dynamic_default.get(&name)).map(String::as_str);
        let text = dynamic.or_else(|| self.settings.get(&name))?;
        broker_key(key)?.parse(text).ok().and_then(|value| T::from_value(&value))
    }

    /// The group protocols that are offered, in lower case.
    pub fn group_rebalance_protocols(&self) -> Vec<String> {
        self.values.get("group.coordinator.rebalance.protocols").and_then(Vec::<String>::from_value).unwrap_or_default()
    }

    /// The addresses to tell clients of one listener: what is advertised, or the address that the connection reached.
    pub fn advertised_address(&self, listener: &Listener, reached: SocketAddr) -> (String, u16) {
        match &listener.advertised {
            Some(advertised) if advertised.port != 0 => (advertised.host.clone(), advertised.port),
            // Port 0 lets the system choose, so the port is the one that was reached.
            Some(advertised) => (advertised.host.clone(), reached.port()),
            None => (reached.ip().to_canonical().to_string(), reached.port()),
        }
    }

    /// Sentences to tell once at start about what was given and is ignored, such as names that no key has.
    pub fn ignored_notices(&self) -> Vec<String> {
        let unknown = self.settings.entries().filter(|(name, _, _)| broker_key(name).is_none());
        let told = unknown.filter_map(|(name, _, origin)| super::unknown_name_notice(name, &origin));
        self.settings.notices.iter().cloned().chain(told).collect()
    }

    /// Sentences to tell once at start: what is ignored, and keys whose effect is missing here.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.ignored_notices();
        for (name, value, origin) in self.settings.entries() {
            match broker_key(name) {
                None => {}
                Some(key) if key.effect == super::key::Effect::Missing && differs_from_preset(key, value) => {
                    notices.push(format!("{name} ({origin}) is accepted, but Ottla does not act on it yet"));
                }
                Some(_) => {}
            }
        }
        notices.extend(self.heartbeat_notice());
        notices
    }

    /// The origin of a static setting.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.settings.origin(name)
    }
}

fn differs_from_preset(key: &ConfigKey, text: &str) -> bool {
    match (key.parse(text), key.preset_value()) {
        (Ok(given), Ok(preset)) => given != preset,
        _ => true,
    }
}

/// `broker.id` and `node.id` stand for each other when only one is given (`AbstractKafkaConfig.populateSynonyms`).
fn node_id_synonyms<'a>(given: &mut BTreeMap<&'a str, &'a str>) {
    // What is no number is told of the key that was given, not of the one that stands for it.
    let is_number = |id: &str| id.trim().parse::<i32>().is_ok();
    match (given.get("node.id").copied(), given.get("broker.id").copied()) {
        (Some(id), None) if is_number(id) => given.insert("broker.id", id),
        (None, Some(id)) if is_number(id) => given.insert("node.id", id),
        (Some(_), None) | (None, Some(_)) => None,
        (Some(_), Some(_)) => None,
        (None, None) => given.insert("broker.id", "1"),
    };
}

fn roles(values: &BTreeMap<&'static str, Value>) -> Result<Vec<Role>, ConfigError> {
    let names: Vec<String> = taken(values, "process.roles")?;
    Ok(names.iter().map(|name| if name == "controller" { Role::Controller } else { Role::Broker }).collect())
}

/// The keys that set the same thing as this one, itself among them, the strongest first (`DynamicBrokerConfig.brokerConfigSynonyms`).
pub fn synonyms(name: &str) -> &'static [&'static str] {
    const ROLL: &[&str] = &["log.roll.ms", "log.roll.hours"];
    const JITTER: &[&str] = &["log.roll.jitter.ms", "log.roll.jitter.hours"];
    const RETENTION: &[&str] = &["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    const FLUSH: &[&str] = &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    match name {
        _ if ROLL.contains(&name) => ROLL,
        _ if JITTER.contains(&name) => JITTER,
        _ if RETENTION.contains(&name) => RETENTION,
        "log.flush.interval.ms" => FLUSH,
        _ => match broker_key(name) {
            Some(key) => std::slice::from_ref(&key.name),
            None => &[],
        },
    }
}

/// The memory of the machine or of its control group, whichever is less; 1 GiB when neither can be read.
fn machine_memory_bytes() -> u64 {
    static BYTES: LazyLock<u64> = LazyLock::new(|| {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
            .into_iter()
            .find_map(|path| read(path)?.trim().parse::<u64>().ok());
        let machine = read("/proc/meminfo").and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
        });
        [limit, machine].into_iter().flatten().min().unwrap_or(1 << 30)
    });
    *BYTES
}

//! The composition root: what starts and drains in which order. The only place that wires one room's events to another.
//!
//! ```text
//! start:  directories -> ports, HTTP -> store and quorum -> replicas follow the image -> broker registered -> declared topics made -> listeners accept -> ready
//! stop:   not ready -> listeners drain -> coordinators -> replicas -> store closed -> quorum closed
//! ```

mod bootstrap;
mod gauges;
mod lag;
mod logging;
mod pages;
mod progress;
mod signals;
mod started;
mod systemd;
mod upkeep;
mod why;

use arc_swap::ArcSwap;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::api::dispatch::Dispatcher;
use crate::api::{Broker, BrokerParts};
use crate::cluster::decide::{brokers, features};
use crate::cluster::raft::network::NoTransport;
use crate::cluster::record::{BrokerState, Endpoint as RegisteredEndpoint, ResourceKind};
use crate::cluster::{
    Cluster, ClusterError, ClusterMetrics, ClusterOptions, ConfigResource, Delta, MetadataImage, QuorumTiming,
    Subscription,
};
use crate::config::listener::{Listener, Listeners};
use crate::config::meta_properties::{self, MetaError};
use crate::config::{BrokerConfig, ConfigError, DeclaredTopic, TopicConfig};
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::telemetry::GroupMetrics;
use crate::coordinator::replica_log::ReplicaLog;
use crate::metrics::{Registry, table};
use crate::net::http;
use crate::net::limits::ConnectionLimits;
use crate::net::listener::{NetError, RunningServer, Server};
use crate::net::settings::{ConnectionQuotas, Counted, Endpoint, NetSettings};
use crate::replica::manager::ReplicaOptions;
use crate::replica::partition::ReplicaError;
use crate::replica::{Partition, ReplicaManager};
use crate::store::disk::{DiskStore, OpenError, StoreOptions};
use crate::store::quorum::{DiskQuorumStore, QuorumStoreError};
use crate::store::telemetry::StoreMetrics;
use crate::store::{RecordStore, StoreError};
use crate::types::budget::Budget;
use crate::types::limits::LOAD_MEMORY_BYTES;
use crate::types::log_levels::Loggers;
use crate::types::time::SharedClock;
use crate::types::topic_name::GROUP_METADATA_TOPIC;
use crate::types::{SystemClock, TopicIdPartition};
use gauges::Workers;
use logging::LogLevelsError;
use pages::NodePages;
use progress::{Progress, Step};
use signals::Signals;

/// How long requests in flight may take when the node stops.
const DRAIN_BOUND: Duration = Duration::from_millis(300);

/// Pause after the metadata could not be followed (no disk space for new partitions, say).
const FOLLOW_RETRY: Duration = Duration::from_millis(500);

/// Threads for requests: one per core, at most this many.
const MAX_WORKER_THREADS: usize = 16;

#[derive(Debug, Error)]
pub enum NodeError {
    #[error("cannot use {path}, of log.dirs or metadata.log.dir: {source}{}", meta_properties::hint(source))]
    Directory { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    LogLevels(#[from] LogLevelsError),
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    OpenStore(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Quorum(#[from] QuorumStoreError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Replicas(#[from] ReplicaError),
    #[error(
        "{0}, but this version of ottla runs a cluster of one node: process.roles=broker,controller and no other voters"
    )]
    Clustered(String),
    #[error(transparent)]
    Declaration(#[from] bootstrap::DeclarationError),
    #[error("this broker cannot register: {0}")]
    Registration(String),
    #[error("metrics.address {address} cannot be listened on: {source}; set another, or an empty one for none")]
    MetricsAddress { address: String, source: io::Error },
    #[error(
        "metrics.address: port {port} is taken by another process, so {address} cannot be opened (another broker on this machine?); stop that one, choose another port, or set metrics.address to nothing"
    )]
    MetricsPort { port: u16, address: String },
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
}

impl NodeError {
    /// Whether nothing was started because of what was configured, a log directory of somebody else's included.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Config(_) | Self::LogLevels(_) | Self::Clustered(_) => true,
            Self::Meta(error) => !matches!(error, MetaError::Io { .. }),
            _ => false,
        }
    }
}

/// Runs a node until SIGTERM or Ctrl-C. Blocks.
pub fn run(config: Arc<BrokerConfig>) -> Result<(), NodeError> {
    let began = Instant::now();
    let loggers = logging::install(config.log_format)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKER_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("ottla")
        .enable_all()
        .build()
        .map_err(|source| NodeError::Io { what: "starting threads", source })?;
    runtime.block_on(async {
        let mut signals =
            Signals::listen().map_err(|source| NodeError::Io { what: "listening for signals", source })?;
        let node = tokio::select! {
            node = Node::start_logging(Arc::clone(&config), loggers) => node?,
            // Nobody was served yet, so a start that is cut off loses nothing.
            signal = signals.next() => {
                info!(signal = signal.name, "told to stop while starting: leaving at once");
                signal.leave()
            }
        };
        started::tell(&node.broker.config());
        info!(took_ms = began.elapsed().as_millis(), addresses = ?node.addresses(), "ready");
        systemd::tell_ready();
        let signal = signals.next().await;
        info!(signal = signal.name, "stopping");
        systemd::tell_stopping();
        let stopping = Instant::now();
        // A second signal does not wait.
        tokio::select! {
            () = node.stop() => info!(took_ms = stopping.elapsed().as_millis(), "stopped"),
            signal = signals.next() => {
                warn!(signal = signal.name, "told again to stop: leaving at once; the next start recovers");
                signal.leave()
            }
        }
        Ok(())
    })
}

/// Tasks that end with the node, however it ends.
#[derive(Default)]
struct Tasks {
    handles: Vec<JoinHandle<()>>,
}

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.push(tokio::spawn(task));
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.handles.iter().for_each(JoinHandle::abort);
    }
}

/// A running node. Dropping it leaves everything as a kill would; [`Node::stop`] ends it in order.
pub struct Node {
    broker: Arc<Broker>,
    server: RunningServer,
    tasks: Tasks,
    http: Option<Http>,
    progress: Arc<Progress>,
}

/// The HTTP server. Dropped, it ends by itself, a little later.
struct Http {
    end: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl Http {
    /// Ends it; the port is free when this returns.
    async fn stop(self) {
        self.end.send_replace(true);
        let _ = self.served.await;
    }
}

/// What a start has before it opens anything.
struct Beginning {
    config: Arc<BrokerConfig>,
    loggers: Arc<dyn Loggers>,
    declared: Vec<DeclaredTopic>,
    cluster_id: String,
    quorum_directory_id: Uuid,
    server: Server,
    metrics: Arc<Registry>,
    progress: Arc<Progress>,
}

impl Node {
    /// Starts everything; when this returns, clients are served.
    pub async fn start(config: Arc<BrokerConfig>) -> Result<Self, NodeError> {
        Self::start_logging(config, Arc::new(logging::OthersLog)).await
    }

    /// As [`Self::start`], in a program whose log clients may change.
    async fn start_logging(config: Arc<BrokerConfig>, loggers: Arc<dyn Loggers>) -> Result<Self, NodeError> {
        check_roles(&config)?;
        let declared = bootstrap::declared(&config)?;
        let directories = directories(&config)?;
        let meta = meta_properties::settle(&directories, config.node_id, config.cluster_id())?;
        let quorum_directory = config.metadata_log_dir();
        let quorum_directory_id =
            directories.iter().zip(&meta.directory_ids).find(|(path, _)| **path == quorum_directory);
        let quorum_directory_id = quorum_directory_id.map_or(Uuid::nil(), |(_, id)| *id);
        let server = Server::bind(&endpoints(&config.listeners), NetSettings::of(&config))?;
        let metrics = Registry::new();
        let progress = Progress::new(&metrics);
        let pages = NodePages {
            config: Arc::clone(&config),
            metrics: Arc::clone(&metrics),
            progress: Arc::clone(&progress),
            limits: server.limits(),
        };
        let http = http(&config, pages).await?;
        let cluster_id = meta.cluster_id;
        let beginning =
            Beginning { config, loggers, declared, cluster_id, quorum_directory_id, server, metrics, progress };
        match Self::open(beginning).await {
            Ok(node) => Ok(Self { http, ..node }),
            Err(error) => {
                if let Some(http) = http {
                    http.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Opens the rooms, from the store up, and serves.
    async fn open(beginning: Beginning) -> Result<Self, NodeError> {
        let Beginning { config, loggers, declared, cluster_id, quorum_directory_id, server, metrics, progress } =
            beginning;
        let bound: HashMap<Arc<str>, SocketAddr> =
            server.listeners().iter().map(|listener| (Arc::clone(&listener.name), listener.address)).collect();
        let clock: SharedClock = Arc::new(SystemClock);

        let (stores, cluster) = open_both(&config, &cluster_id, &clock, &metrics).await?;
        progress.takes(Step::FollowingMetadata);
        let current = Arc::new(ArcSwap::new(Arc::clone(&config)));
        let options = ReplicaOptions {
            broker_id: config.node_id,
            stores: stores.clone(),
            resolve_config: resolver(Arc::clone(&current)),
            sync_sole_replica: config.sync_single_replica,
            metrics: Arc::clone(&metrics),
        };
        let replicas = match ReplicaManager::open(options) {
            Ok(replicas) => Arc::new(replicas),
            Err(error) => {
                close(&stores, Some(&cluster)).await;
                return Err(error.into());
            }
        };
        let log = ReplicaLog {
            config: Arc::clone(&current),
            cluster: Arc::clone(&cluster),
            replicas: Arc::clone(&replicas),
            load_memory: Budget::new(LOAD_MEMORY_BYTES),
        };
        let groups = Arc::new(GroupCoordinator::counting(
            GroupConfig::from(&*config),
            Arc::new(log),
            Arc::clone(&clock),
            GroupMetrics::new(&metrics),
        ));
        let (image, subscription) = cluster.subscribe();
        let broker = Arc::new(Broker::new(BrokerParts {
            config: current,
            clock,
            cluster: Arc::clone(&cluster),
            replicas,
            groups,
            metrics: Arc::clone(&metrics),
            loggers,
            bound,
            quorum_directory_id,
        }));
        let begun =
            Self::begin(Arc::clone(&broker), server, progress, (image, subscription), &cluster_id, &declared).await;
        if begun.is_err() {
            close(broker.replicas.stores(), Some(&broker.cluster)).await;
        }
        begun
    }

    /// What comes after the rooms are there: the metadata is followed, this broker registered, what is declared made; then clients are served.
    async fn begin(
        broker: Arc<Broker>,
        server: Server,
        progress: Arc<Progress>,
        (image, subscription): (Arc<MetadataImage>, Subscription),
        cluster_id: &str,
        declared: &[DeclaredTopic],
    ) -> Result<Self, NodeError> {
        follow(&broker, &image, &Delta::between(&MetadataImage::default(), &image)).await?;
        subscription.acknowledge(image.offset());
        let mut tasks = Tasks::default();
        let limits = server.limits();
        hold_to_quotas(&broker, &limits).await;
        tasks.spawn(follow_all(Arc::clone(&broker), image, subscription, limits));
        progress.takes(Step::Registering);
        register(&broker, cluster_id).await?;
        // The registration is committed, so the image holds all that was before it.
        broker.replicas.set_strays_aside(&broker.cluster.image(), broker.clock.wall_ms()).await?;
        progress.takes(Step::MakingDeclaredTopics);
        bootstrap::apply(&broker, declared).await?;

        let config = broker.config();
        let memory_bytes = usize::try_from(config.request_memory_bytes()).unwrap_or(usize::MAX);
        let workers = Arc::new(Workers::new());
        gauges::register(&broker, &workers);
        let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&broker)));
        let server = server
            .start(dispatcher, Budget::new(memory_bytes), &broker.metrics)
            .map_err(|source| NodeError::Io { what: "starting the listeners", source })?;
        progress.serves(&broker);
        upkeep::tasks(&broker, workers).into_iter().for_each(|task| tasks.spawn(task));
        Ok(Self { broker, server, tasks, http: None, progress })
    }

    /// Where each listener listens, by name.
    pub fn addresses(&self) -> &HashMap<Arc<str>, SocketAddr> {
        &self.broker.bound
    }

    /// What serves requests, once more.
    pub(crate) fn dispatcher(&self) -> Dispatcher {
        Dispatcher::new(Arc::clone(&self.broker))
    }

    /// Answers what is in flight, makes everything durable, and ends.
    pub async fn stop(self) {
        let Self { broker, server, tasks, http, progress } = self;
        progress.stops();
        server.stop(DRAIN_BOUND).await;
        broker.groups.shutdown();
        drop(tasks);
        close(broker.replicas.stores(), Some(&broker.cluster)).await;
        if let Some(http) = http {
            http.stop().await;
        }
    }
}

/// Makes everything durable, and lets go of the folders. A start that fails does so with what it has opened: whoever is told the reason may start another one on
/// the folder at once, or end the process, which RocksDB's threads must not live to see.
async fn close(stores: &[Arc<dyn RecordStore>], cluster: Option<&Cluster>) {
    for store in stores {
        if let Err(error) = store.close().await {
            error!(log_dir = %store.path().display(), %error, "the store did not close cleanly; the next start recovers it");
        }
    }
    if let Some(cluster) = cluster {
        cluster.close().await;
    }
}

/// Serves the pages from now on, so that those who ask are told what a long start waits for.
async fn http(config: &BrokerConfig, pages: NodePages) -> Result<Option<Http>, NodeError> {
    let Some(address) = config.metrics_address() else { return Ok(None) };
    let listener = http::bind(&address).await.map_err(|source| {
        let (port, address) = (address.port, format!("{}:{}", address.host.as_deref().unwrap_or(""), address.port));
        match source.kind() {
            io::ErrorKind::AddrInUse => NodeError::MetricsPort { port, address },
            _ => NodeError::MetricsAddress { address, source },
        }
    })?;
    let (end, ended) = watch::channel(false);
    Ok(Some(Http { end, served: tokio::spawn(http::serve(listener, Arc::new(pages), ended)) }))
}

/// A node is its whole cluster for now; one that is told to be part of a larger one must not start as a cluster of its own.
fn check_roles(config: &BrokerConfig) -> Result<(), NodeError> {
    if config.voters.len() > 1 {
        let voters = config.voters.len();
        return Err(NodeError::Clustered(format!("controller.quorum.voters names {voters} nodes")));
    }
    if !config.is_broker() || !config.is_controller() {
        return Err(NodeError::Clustered("process.roles does not name both broker and controller".to_owned()));
    }
    Ok(())
}

fn directories(config: &BrokerConfig) -> Result<Vec<PathBuf>, NodeError> {
    let mut directories = config.log_dirs();
    let metadata = config.metadata_log_dir();
    if !directories.contains(&metadata) {
        directories.push(metadata);
    }
    for path in &directories {
        fs::create_dir_all(path).map_err(|source| NodeError::Directory { path: path.clone(), source })?;
    }
    Ok(directories)
}

fn endpoints(listeners: &Listeners) -> Vec<Endpoint> {
    let endpoint = |counted| {
        move |listener: &Listener| Endpoint { name: listener.name.clone(), bind: listener.bind.clone(), counted }
    };
    let controller = listeners.controller.iter().map(endpoint(Counted::Controllers));
    listeners.broker.iter().map(endpoint(Counted::Brokers)).chain(controller).collect()
}

/// Opens the log directories and the metadata quorum: both, or none. Each reads its own RocksDB, which is most of a start: one on a thread of its own, the other
/// meanwhile here.
async fn open_both(
    config: &Arc<BrokerConfig>,
    cluster_id: &str,
    clock: &SharedClock,
    metrics: &Registry,
) -> Result<(Vec<Arc<dyn RecordStore>>, Arc<Cluster>), NodeError> {
    let (opening, store_metrics) = (Arc::clone(config), StoreMetrics::new(metrics));
    let stores = tokio::task::spawn_blocking(move || open_stores(&opening, &store_metrics));
    let cluster = open_cluster(config, cluster_id, Arc::clone(clock), ClusterMetrics::new(metrics));
    let (stores, cluster) = tokio::join!(stores, cluster);
    let stores = stores.unwrap_or_else(|error| {
        Err(NodeError::Io { what: "opening the log directories", source: io::Error::other(error) })
    });
    match (stores, cluster) {
        (Ok(stores), Ok(cluster)) => Ok((stores, cluster)),
        // The stores' reason first: they are the ones that know who else has the folder.
        (Err(error), cluster) => {
            close(&[], cluster.ok().as_deref()).await;
            Err(error)
        }
        (Ok(stores), Err(error)) => {
            close(&stores, None).await;
            Err(error)
        }
    }
}

/// Opens every log directory. Blocking: a start after a kill reads what the index has not seen.
fn open_stores(config: &BrokerConfig, metrics: &StoreMetrics) -> Result<Vec<Arc<dyn RecordStore>>, NodeError> {
    let directories = config.log_dirs();
    // Memory is for the broker as a whole.
    let share = |bytes: u64| usize::try_from(bytes / directories.len().max(1) as u64).unwrap_or(usize::MAX);
    let open = |path: &PathBuf| {
        let mut options = StoreOptions::new(path);
        options.metrics = metrics.clone();
        options.cache_bytes = share(config.store_tail_memory_bytes());
        options.direct_io = config.store_direct_io;
        options.index_cache_bytes = share(u64::try_from(config.store_index_memory_bytes).unwrap_or(0));
        options.record_file_bytes = u64::try_from(config.store_record_file_bytes).unwrap_or(options.record_file_bytes);
        Ok(Arc::new(DiskStore::open(options)?) as Arc<dyn RecordStore>)
    };
    directories.iter().map(open).collect()
}

async fn open_cluster(
    config: &BrokerConfig,
    cluster_id: &str,
    clock: SharedClock,
    metrics: ClusterMetrics,
) -> Result<Arc<Cluster>, NodeError> {
    let store = DiskQuorumStore::open(&config.metadata_log_dir().join("quorum"))?;
    let finalized = features::SUPPORTED.iter().map(|(name, _, highest)| (Arc::from(*name), *highest)).collect();
    let options = ClusterOptions {
        node_id: config.node_id,
        cluster_id: Arc::from(cluster_id),
        features: finalized,
        voters: BTreeMap::from([(config.node_id, String::new())]),
        transport: Arc::new(NoTransport),
        store: Arc::new(store),
        clock,
        timing: QuorumTiming::default(),
        metrics,
    };
    Ok(Cluster::open(options).await?)
}

fn resolver(config: Arc<ArcSwap<BrokerConfig>>) -> crate::replica::manager::ResolveConfig {
    Arc::new(move |image, topic| {
        let config = config.load_full();
        let overrides = overrides(image, &ConfigResource::topic(topic));
        TopicConfig::resolve(&config, &overrides).unwrap_or_else(|error| {
            warn!(topic, %error, "the topic's configuration does not hold; the broker's defaults are used");
            Arc::clone(&config.topic_defaults)
        })
    })
}

fn overrides(image: &MetadataImage, resource: &ConfigResource) -> BTreeMap<String, String> {
    let configs = image.configs(resource);
    configs
        .map(|configs| configs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
        .unwrap_or_default()
}

fn changes_brokers(delta: &Delta) -> bool {
    delta.configs.iter().any(|resource| resource.kind == ResourceKind::Broker)
}

/// Brings the broker in line with an image.
async fn follow(broker: &Arc<Broker>, image: &MetadataImage, delta: &Delta) -> Result<(), NodeError> {
    if changes_brokers(delta) {
        let all = overrides(image, &ConfigResource::all_brokers());
        let own = overrides(image, &ConfigResource::broker(broker.id));
        match broker.config().with_dynamic(&all, &own) {
            Ok(config) => broker.set_config(Arc::new(config)),
            Err(error) => error!(%error, "the dynamic configuration does not hold; the one before stays"),
        }
    }
    broker.replicas.apply(image, delta).await?;
    follow_group_partitions(broker, image, delta);
    let deleted: Vec<(Arc<str>, Uuid)> =
        delta.topics_deleted.values().map(|topic| (Arc::clone(&topic.name), topic.id)).collect();
    if !deleted.is_empty() {
        // Not awaited: the groups' own records need this loop to go on.
        let groups = Arc::clone(&broker.groups);
        tokio::spawn(async move { groups.topics_deleted(deleted).await });
    }
    Ok(())
}

/// Takes up and gives up the coordination of groups with the leadership of their partitions.
fn follow_group_partitions(broker: &Broker, image: &MetadataImage, delta: &Delta) {
    if let Some(gone) = delta.topics_deleted.values().find(|topic| *topic.name == *GROUP_METADATA_TOPIC) {
        (0..gone.partition_count()).for_each(|partition| broker.groups.resign(partition, None));
    }
    let Some(topic) = image.topic(GROUP_METADATA_TOPIC) else { return };
    let created = delta.topics_created.contains(&topic.id);
    for (partition, state) in (0..).zip(&topic.partitions) {
        let id = TopicIdPartition { topic_id: topic.id, partition };
        if !created && !delta.partitions.contains(&id) {
            continue;
        }
        if state.leader == broker.id {
            broker.groups.lead(partition, state.leader_epoch);
        } else {
            broker.groups.resign(partition, Some(state.leader_epoch));
        }
    }
}

/// Holds connections to what the configuration says now.
async fn hold_to_quotas(broker: &Broker, limits: &[Arc<ConnectionLimits>]) {
    let config = broker.config();
    // Names may have to be resolved.
    match tokio::task::spawn_blocking(move || ConnectionQuotas::of(&config)).await {
        Ok(quotas) => limits.iter().for_each(|limits| limits.set(quotas.clone())),
        Err(error) => error!(%error, "the limits on connections cannot be set; those before stay"),
    }
}

async fn follow_all(
    broker: Arc<Broker>,
    mut before: Arc<MetadataImage>,
    mut subscription: Subscription,
    limits: [Arc<ConnectionLimits>; 2],
) {
    let unclean_elections = broker.metrics.counter(&table::UNCLEAN_LEADER_ELECTIONS, &[]);
    let failures = broker.metrics.gauge(&table::METADATA_ERROR_COUNT, &[]);
    loop {
        let publication = subscription.next().await;
        if broker.cluster.is_leader() {
            let unclean = publication.delta.unclean_elections(&before, &publication.image);
            unclean_elections.increment(unclean);
        }
        before = Arc::clone(&publication.image);
        // Nothing later is looked at before this has taken effect, and whoever waits for it (CreateTopics) is not told that it has.
        while let Err(error) = follow(&broker, &publication.image, &publication.delta).await {
            error!(%error, "cannot follow the metadata; trying again");
            failures.increment(1.0);
            tokio::time::sleep(FOLLOW_RETRY).await;
        }
        if changes_brokers(&publication.delta) {
            hold_to_quotas(&broker, &limits).await;
            started::tell_new_addresses(&broker.config());
        }
        subscription.acknowledge(publication.image.offset());
    }
}

async fn register(broker: &Arc<Broker>, cluster_id: &str) -> Result<(), NodeError> {
    let config = broker.config();
    let endpoints = config.listeners.broker.iter().map(|listener| {
        let bound = broker.bound.get(listener.name.as_str());
        let (host, port) = match (&listener.advertised, bound) {
            (Some(advertised), _) if advertised.port != 0 => (advertised.host.clone(), advertised.port),
            (Some(advertised), Some(bound)) => (advertised.host.clone(), bound.port()),
            (_, Some(bound)) => (bound.ip().to_canonical().to_string(), bound.port()),
            (_, None) => (String::new(), 0),
        };
        RegisteredEndpoint {
            name: Arc::from(listener.name.as_str()),
            host: Arc::from(host),
            port,
            security_protocol: listener.protocol as i16,
        }
    });
    let state = BrokerState {
        id: broker.id,
        epoch: 0,
        incarnation_id: Uuid::new_v4(),
        endpoints: endpoints.collect(),
        rack: config.rack.as_deref().map(Arc::from),
        features: features::supported(),
        fenced: false,
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
    };
    let decided = broker.cluster.propose_at(move |image| brokers::register_local(image, &state)).await?;
    let (registered, offset) = decided;
    registered.map_err(|error| NodeError::Registration(error.message.unwrap_or_else(|| error.error.to_string())))?;
    broker.cluster.wait_published(offset).await;
    let partitions = broker.replicas.partitions();
    let led = partitions.iter().filter(|p: &&Arc<Partition>| p.check_leader(-1).is_ok()).count();
    info!(node_id = broker.id, cluster_id, partitions = partitions.len(), led, "broker registered");
    Ok(())
}

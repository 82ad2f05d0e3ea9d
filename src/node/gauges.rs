//! The gauges that are computed at each scrape, from state that the rooms below have anyway.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::lag;
use crate::api::Broker;
use crate::coordinator::group::classic::State;
use crate::metrics::{Metric, Scrape, table};
use crate::replica::Partition;
use crate::store::Health;

/// Over how long the threads' idle share is told: Kafka's one-minute rate.
const IDLE_WINDOW: Duration = Duration::from_secs(60);

/// How busy the runtime's threads were.
pub struct Workers {
    runtime: Handle,
    /// Busy time of all threads, at most a window old but for the first.
    samples: Mutex<VecDeque<(Instant, Duration)>>,
    began: Instant,
    /// What was told last of the idle time: busy time is counted when it ends, and a counter must not fall.
    idle_nanos: AtomicU64,
}

impl Workers {
    /// Must be called within the runtime.
    pub fn new() -> Self {
        let workers = Self {
            runtime: Handle::current(),
            samples: Mutex::default(),
            began: Instant::now(),
            idle_nanos: AtomicU64::new(0),
        };
        workers.sample();
        workers
    }

    fn busy(&self) -> Duration {
        let metrics = self.runtime.metrics();
        (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum()
    }

    pub fn sample(&self) {
        let now = Instant::now();
        let mut samples = self.samples.lock();
        samples.push_back((now, self.busy()));
        while samples.get(1).is_some_and(|(taken, _)| now.duration_since(*taken) >= IDLE_WINDOW) {
            samples.pop_front();
        }
    }

    /// Of one thread on the average, since the node began.
    fn idle_nanos(&self) -> u64 {
        let threads = u32::try_from(self.runtime.metrics().num_workers()).unwrap_or(u32::MAX).max(1);
        let idle = self.began.elapsed().saturating_sub(self.busy() / threads);
        let idle = u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX);
        self.idle_nanos.fetch_max(idle, Ordering::Relaxed).max(idle)
    }

    /// From 0 to 1.
    fn idle(&self) -> f64 {
        let Some((taken, before)) = self.samples.lock().front().copied() else { return 1.0 };
        let there_was = taken.elapsed().as_secs_f64() * self.runtime.metrics().num_workers() as f64;
        let busy = self.busy().saturating_sub(before).as_secs_f64();
        if there_was > 0.0 { (1.0 - busy / there_was).clamp(0.0, 1.0) } else { 1.0 }
    }
}

/// Has the broker's gauges computed at each scrape.
pub fn register(broker: &Arc<Broker>, workers: &Arc<Workers>) {
    let (weak, workers) = (Arc::downgrade(broker), Arc::clone(workers));
    broker.metrics.on_scrape(move |scrape| {
        let Some(broker) = weak.upgrade() else { return };
        let idle = workers.idle();
        scrape.set(&table::NETWORK_IDLE, &[], idle);
        scrape.set(&table::HANDLER_IDLE, &[], idle);
        scrape.set(&table::HANDLER_IDLE_NANOS, &[], workers.idle_nanos() as f64);
        let with_partitions = broker.config().metrics_partition_series;
        partitions(&broker, with_partitions, scrape);
        stores(&broker, scrape);
        cluster(&broker, scrape);
        groups(&broker, with_partitions, scrape);
        scrape.set(&table::FETCH_SESSIONS, &[], broker.fetch_sessions.len() as f64);
        scrape.set(&table::FETCH_SESSION_PARTITIONS, &[], broker.fetch_sessions.partitions() as f64);
        scrape.set(&table::FETCH_SESSION_EVICTIONS, &[], broker.fetch_sessions.evictions() as f64);
        broker.client_software.collect(scrape);
    });
}

/// What has to be looked at now and then.
pub fn sample(broker: &Broker, workers: &Workers) {
    workers.sample();
    raft_log_end(broker);
    broker.metrics.upkeep();
}

/// The metadata log's end is kept in a gauge of its own, because a rate is made of it.
fn raft_log_end(broker: &Broker) {
    let quorum = broker.cluster.quorum_status();
    let own = quorum.voters.iter().chain(&quorum.observers).find(|member| member.id == broker.id);
    if let Some(own) = own {
        broker.metrics.gauge(&table::RAFT_LOG_END_OFFSET, &[]).set(own.log_end_offset as f64);
    }
}

fn flag(scrape: &mut Scrape, metric: &'static Metric, labels: &[(&'static str, &str)], is_so: bool) {
    scrape.set(metric, labels, f64::from(u8::from(is_so)));
}

/// How a partition's in-sync replicas compare with what is asked for.
struct InSync {
    under_replicated: bool,
    under_minimum: bool,
    at_minimum: bool,
}

fn in_sync(partition: &Partition) -> InSync {
    let leadership = partition.leadership();
    let minimum = usize::try_from(partition.config().min_insync_replicas).unwrap_or(1).min(leadership.replicas);
    InSync {
        under_replicated: leadership.in_sync < leadership.replicas,
        under_minimum: leadership.in_sync < minimum,
        at_minimum: leadership.in_sync == minimum,
    }
}

fn partitions(broker: &Broker, with_series: bool, scrape: &mut Scrape) {
    let image = broker.cluster.image();
    let all = broker.replicas.partitions();
    let (mut led, mut under_replicated, mut under_minimum, mut at_minimum) = (0u32, 0u32, 0u32, 0u32);
    for partition in &all {
        let leads = partition.check_leader(-1).is_ok();
        let in_sync = in_sync(partition);
        if leads {
            led += 1;
            under_replicated += u32::from(in_sync.under_replicated);
            under_minimum += u32::from(in_sync.under_minimum);
            at_minimum += u32::from(in_sync.at_minimum);
        }
        if with_series {
            let index = partition.id().partition.to_string();
            let labels: &[(&'static str, &str)] = &[("topic", partition.topic()), ("partition", &index)];
            log_series(partition, labels, scrape);
            if leads {
                let preferred = image.partition(&partition.id()).is_some_and(|state| state.has_preferred_leader());
                leader_series(partition, &in_sync, preferred, labels, scrape);
            }
        }
    }
    scrape.set(&table::PARTITION_COUNT, &[], all.len() as f64);
    scrape.set(&table::LEADER_COUNT, &[], f64::from(led));
    scrape.set(&table::UNDER_REPLICATED_PARTITIONS, &[], f64::from(under_replicated));
    scrape.set(&table::UNDER_MIN_ISR_PARTITION_COUNT, &[], f64::from(under_minimum));
    scrape.set(&table::AT_MIN_ISR_PARTITION_COUNT, &[], f64::from(at_minimum));
    // A broker that follows nobody is behind nobody; followers will tell here by how much they are.
    if u32::try_from(all.len()).is_ok_and(|all| all == led) {
        scrape.set(&table::REPLICA_FETCHER_MAX_LAG, &[("clientid", "Replica")], 0.0);
        scrape.set(&table::REPLICA_FETCHER_MIN_RATE, &[("clientid", "Replica")], 0.0);
    }
}

fn log_series(partition: &Partition, labels: &[(&'static str, &str)], scrape: &mut Scrape) {
    let log = partition.log();
    scrape.set(&table::LOG_SIZE, labels, log.size_bytes() as f64);
    scrape.set(&table::LOG_START_OFFSET, labels, log.start_offset() as f64);
    scrape.set(&table::LOG_END_OFFSET, labels, log.end_offset() as f64);
}

fn leader_series(
    partition: &Partition,
    in_sync: &InSync,
    preferred: bool,
    labels: &[(&'static str, &str)],
    scrape: &mut Scrape,
) {
    let leadership = partition.leadership();
    let (high_watermark, stable) = (partition.high_watermark(), partition.last_stable_offset());
    flag(scrape, &table::PARTITION_UNDER_REPLICATED, labels, in_sync.under_replicated);
    flag(scrape, &table::PARTITION_UNDER_MIN_ISR, labels, in_sync.under_minimum);
    flag(scrape, &table::PARTITION_AT_MIN_ISR, labels, in_sync.at_minimum);
    scrape.set(&table::PARTITION_REPLICAS_COUNT, labels, leadership.replicas as f64);
    scrape.set(&table::PARTITION_IN_SYNC_REPLICAS_COUNT, labels, leadership.in_sync as f64);
    scrape.set(&table::PARTITION_LAST_STABLE_OFFSET_LAG, labels, high_watermark.saturating_sub(stable) as f64);
    scrape.set(&table::TOPIC_PARTITION_CURRENT_OFFSET, labels, high_watermark as f64);
    scrape.set(&table::TOPIC_PARTITION_OLDEST_OFFSET, labels, partition.log().start_offset() as f64);
    scrape.set(&table::TOPIC_PARTITION_LEADER, labels, f64::from(leadership.leader));
    scrape.set(&table::TOPIC_PARTITION_REPLICAS, labels, leadership.replicas as f64);
    scrape.set(&table::TOPIC_PARTITION_IN_SYNC_REPLICA, labels, leadership.in_sync as f64);
    flag(scrape, &table::TOPIC_PARTITION_UNDER_REPLICATED, labels, in_sync.under_replicated);
    flag(scrape, &table::TOPIC_PARTITION_LEADER_IS_PREFERRED, labels, preferred);
}

fn stores(broker: &Broker, scrape: &mut Scrape) {
    let mut offline = Vec::new();
    for (place, store) in broker.replicas.stores().iter().enumerate() {
        let path = store.path().display().to_string();
        let labels: &[(&'static str, &str)] = &[("log_dir", &path)];
        let health = store.health();
        flag(scrape, &table::STORE_WRITABLE, labels, health == Health::Writable);
        scrape.set(&table::STORE_QUEUED_WRITES, labels, store.queued_writes() as f64);
        if let Ok(space) = store.space() {
            scrape.set(&table::LOG_DIR_USABLE_BYTES, labels, space.usable_bytes as f64);
            scrape.set(&table::LOG_DIR_TOTAL_BYTES, labels, space.total_bytes as f64);
        }
        if matches!(health, Health::ReadOnly { .. }) {
            offline.push(place);
        }
    }
    scrape.set(&table::STRAY_PARTITIONS, &[], broker.replicas.stray_count() as f64);
    scrape.set(&table::OFFLINE_LOG_DIRECTORY_COUNT, &[], offline.len() as f64);
    let stores = broker.replicas.stores();
    let is_offline = |partition: &&Arc<Partition>| {
        offline.iter().filter_map(|place| stores.get(*place)).any(|store| Arc::ptr_eq(store, partition.log().store()))
    };
    let replicas = if offline.is_empty() { 0 } else { broker.replicas.partitions().iter().filter(is_offline).count() };
    scrape.set(&table::OFFLINE_REPLICA_COUNT, &[], replicas as f64);
}

fn cluster(broker: &Broker, scrape: &mut Scrape) {
    let image = broker.cluster.image();
    let leads = broker.cluster.is_leader();
    flag(scrape, &table::ACTIVE_CONTROLLER_COUNT, &[], leads);
    scrape.set(&table::GLOBAL_TOPIC_COUNT, &[], image.topic_count() as f64);
    scrape.set(&table::GLOBAL_PARTITION_COUNT, &[], image.partition_count() as f64);
    scrape.set(&table::ACTIVE_BROKER_COUNT, &[], image.brokers().filter(|known| known.is_active()).count() as f64);
    scrape.set(&table::FENCED_BROKER_COUNT, &[], image.brokers().filter(|known| known.fenced).count() as f64);
    let states = || image.topics().flat_map(|topic| &topic.partitions);
    scrape.set(&table::OFFLINE_PARTITIONS_COUNT, &[], states().filter(|state| !state.has_leader()).count() as f64);
    let imbalanced = states().filter(|state| !state.has_preferred_leader()).count();
    scrape.set(&table::PREFERRED_REPLICA_IMBALANCE_COUNT, &[], imbalanced as f64);
    // What kafka_exporter tells once for a cluster is told by one broker, so that sums over brokers are right.
    if leads {
        scrape.set(&table::BROKERS, &[], image.brokers().count() as f64);
        for known in image.brokers() {
            let endpoint = known.endpoints.first();
            let address = endpoint.map_or_else(String::new, |endpoint| format!("{}:{}", endpoint.host, endpoint.port));
            scrape.set(&table::BROKER_INFO, &[("id", &known.id.to_string()), ("address", &address)], 1.0);
        }
        for topic in image.topics() {
            scrape.set(&table::TOPIC_PARTITIONS, &[("topic", &topic.name)], f64::from(topic.partition_count()));
        }
    }
    let quorum = broker.cluster.quorum_status();
    let state = if leads { "leader" } else { "follower" };
    scrape.set(&table::RAFT_CURRENT_STATE, &[("current_state", state)], 1.0);
    scrape.set(&table::RAFT_CURRENT_LEADER, &[], f64::from(quorum.leader_id));
    if leads {
        scrape.set(&table::LAST_APPLIED_RECORD_LAG_MS, &[], 0.0);
        // As in Kafka: a leader has voted for itself.
        scrape.set(&table::RAFT_CURRENT_VOTE, &[], f64::from(broker.id));
        let (mean, longest) = broker.cluster.commit_latency_ms();
        scrape.set(&table::RAFT_COMMIT_LATENCY_AVG, &[], mean);
        scrape.set(&table::RAFT_COMMIT_LATENCY_MAX, &[], longest);
    }
    // As in Kafka, a quorum of one tells that it has nobody to talk to.
    if quorum.voters.len() + quorum.observers.len() <= 1 {
        for nothing in [
            &table::RAFT_FETCH_RATE,
            &table::RAFT_INCOMING_BYTES,
            &table::RAFT_OUTGOING_BYTES,
            &table::RAFT_REQUESTS,
            &table::RAFT_RESPONSES,
        ] {
            scrape.set(nothing, &[], 0.0);
        }
    }
    scrape.set(&table::RAFT_CURRENT_EPOCH, &[], f64::from(quorum.leader_epoch));
    scrape.set(&table::RAFT_HIGH_WATERMARK, &[], quorum.high_watermark as f64);
    raft_log_end(broker);
}

fn groups(broker: &Broker, with_partitions: bool, scrape: &mut Scrape) {
    let survey = lag::survey(broker);
    scrape.set(&table::NUM_GROUPS, &[], survey.groups.len() as f64);
    scrape.set(&table::GROUP_COUNT, &[("protocol", "classic")], survey.groups.len() as f64);
    for (metric, state) in [
        (&table::NUM_GROUPS_STABLE, State::Stable),
        (&table::NUM_GROUPS_EMPTY, State::Empty),
        (&table::NUM_GROUPS_DEAD, State::Dead),
        (&table::NUM_GROUPS_PREPARING, State::PreparingRebalance),
        (&table::NUM_GROUPS_COMPLETING, State::CompletingRebalance),
    ] {
        scrape.set(metric, &[], survey.groups.iter().filter(|group| group.state == state).count() as f64);
    }
    let offsets = survey.groups.iter().flat_map(|group| &group.offsets).map(|(_, committed)| committed.len());
    scrape.set(&table::NUM_OFFSETS, &[], offsets.sum::<usize>() as f64);
    for group in &survey.groups {
        let told = lag::of(broker, group);
        scrape.set(&table::CONSUMER_GROUP_MEMBERS, &[("consumergroup", &told.group)], told.members as f64);
        for topic in &told.topics {
            topic_lag(&told.group, topic, with_partitions, scrape);
        }
    }
}

/// As kafka_exporter tells it: -1 for partitions of a consumed topic that nothing was committed of.
fn topic_lag(group: &str, topic: &lag::TopicLag, with_partitions: bool, scrape: &mut Scrape) {
    let labels: &[(&'static str, &str)] = &[("consumergroup", group), ("topic", &topic.topic)];
    let committed: i64 = topic.partitions.iter().filter_map(|one| one.committed_offset).sum();
    scrape.set(&table::CONSUMER_GROUP_CURRENT_OFFSET_SUM, labels, committed as f64);
    scrape.set(&table::CONSUMER_GROUP_LAG_SUM, labels, topic.lag as f64);
    if !with_partitions {
        return;
    }
    for one in &topic.partitions {
        let index = one.partition.to_string();
        let labels: &[(&'static str, &str)] =
            &[("consumergroup", group), ("topic", &topic.topic), ("partition", &index)];
        scrape.set(&table::CONSUMER_GROUP_CURRENT_OFFSET, labels, one.committed_offset.unwrap_or(-1) as f64);
        if one.high_watermark.is_some() {
            scrape.set(&table::CONSUMER_GROUP_LAG, labels, one.lag.unwrap_or(-1) as f64);
        }
    }
}

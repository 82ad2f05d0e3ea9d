//! Every partition of this broker, kept as the metadata image says: created, configured, led, deleted.

mod strays;

use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::{info, warn};
use uuid::Uuid;

use super::partition::{IsrMetrics, Leadership, Partition, PartitionParts, ReplicaError};
use crate::cluster::delta::Delta;
use crate::cluster::image::{MetadataImage, Topic};
use crate::cluster::record::{PartitionState, ResourceKind};
use crate::config::TopicConfig;
use crate::metrics::{Registry, TopicMetrics, table};
use crate::store::{Durability, PartitionRow, RecordStore, StoreError, Write};
use crate::types::{BrokerId, TopicIdPartition};
use strays::Stray;

/// Resolves a topic's configuration against an image: topic, dynamic broker defaults, static broker configuration, defaults.
pub type ResolveConfig = Arc<dyn Fn(&MetadataImage, &str) -> Arc<TopicConfig> + Send + Sync>;

/// What the manager is made with.
pub struct ReplicaOptions {
    pub broker_id: BrokerId,
    /// One per log directory.
    pub stores: Vec<Arc<dyn RecordStore>>,
    pub resolve_config: ResolveConfig,
    /// Whether an acks=all write of a partition with one replica is synced before its answer.
    pub sync_sole_replica: bool,
    pub metrics: Arc<Registry>,
}

type Partitions = HashMap<TopicIdPartition, Arc<Partition>, ahash::RandomState>;

pub struct ReplicaManager {
    options: ReplicaOptions,
    partitions: RwLock<Partitions>,
    /// Partitions that a store held at start and that no image has claimed yet.
    found: RwLock<HashMap<TopicIdPartition, Found, ahash::RandomState>>,
    isr: IsrMetrics,
}

/// A partition as a store held it at start.
#[derive(Clone, Debug)]
struct Found {
    /// Which of the stores.
    store: usize,
    row: PartitionRow,
    /// Set when the metadata does not have it.
    stray: Option<Stray>,
}

impl ReplicaManager {
    /// Reads what the stores hold. Blocking.
    pub fn open(options: ReplicaOptions) -> Result<Self, StoreError> {
        let mut found: HashMap<_, Found, ahash::RandomState> = HashMap::default();
        for (index, store) in options.stores.iter().enumerate() {
            for row in store.partitions()? {
                let held = Found { store: index, row: row.clone(), stray: None };
                if let Some(other) = found.insert(row.id, held) {
                    let (kept, left) = (
                        store.path().display(),
                        options.stores.get(other.store).map(|s| s.path().display().to_string()),
                    );
                    warn!(partition = %row.id, %kept, ?left, "a partition is in two log directories");
                }
            }
        }
        let counter = |metric| options.metrics.counter(metric, &[]);
        let isr = IsrMetrics { shrinks: counter(&table::ISR_SHRINKS), expands: counter(&table::ISR_EXPANDS) };
        Ok(Self { options, partitions: RwLock::default(), found: RwLock::new(found), isr })
    }

    pub fn broker_id(&self) -> BrokerId {
        self.options.broker_id
    }

    pub fn stores(&self) -> &[Arc<dyn RecordStore>] {
        &self.options.stores
    }

    /// The partition, if this broker has it.
    pub fn partition(&self, topic_id: Uuid, partition: i32) -> Option<Arc<Partition>> {
        self.partitions.read().get(&TopicIdPartition { topic_id, partition }).cloned()
    }

    /// Every partition of this broker, in no order.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().cloned().collect()
    }

    /// Brings the partitions in line with an image. Call with every delta, in order; the first one holds everything.
    pub async fn apply(&self, image: &MetadataImage, delta: &Delta) -> Result<(), ReplicaError> {
        self.delete(delta).await?;
        let mut missing = Vec::new();
        for topic in delta.topics_created.iter().filter_map(|id| image.topic_by_id(id)) {
            let shared = self.shared(image, topic);
            for (partition, state) in (0..).zip(&topic.partitions) {
                self.place(topic, partition, state, &shared, &mut missing);
            }
        }
        for changed in &delta.partitions {
            let Some(topic) = image.topic_by_id(&changed.topic_id) else { continue };
            let Some(state) = topic.partition(changed.partition) else { continue };
            let shared = self.shared(image, topic);
            self.place(topic, changed.partition, state, &shared, &mut missing);
        }
        self.create(missing, image.offset()).await?;
        self.reconfigure(image, delta);
        Ok(())
    }

    fn shared(&self, image: &MetadataImage, topic: &Topic) -> TopicShared {
        TopicShared {
            config: (self.options.resolve_config)(image, &topic.name),
            metrics: self.options.metrics.topic(&topic.name),
        }
    }

    fn place(
        &self,
        topic: &Topic,
        partition: i32,
        state: &PartitionState,
        shared: &TopicShared,
        missing: &mut Vec<(PartitionRow, NewPartition)>,
    ) {
        if !state.replicas.contains(&self.options.broker_id) {
            return;
        }
        let id = TopicIdPartition { topic_id: topic.id, partition };
        let new = NewPartition {
            topic: Arc::clone(&topic.name),
            metrics: Arc::clone(&shared.metrics),
            leadership: leadership(state),
            config: Arc::clone(&shared.config),
        };
        if let Some(known) = self.partitions.read().get(&id) {
            known.set_leadership(new.leadership);
            return;
        }
        if let Some(found) = self.found.write().remove(&id) {
            if found.stray.is_some() {
                self.unmark(&found);
            }
            self.serve(found.store, &found.row, new);
            return;
        }
        let row = PartitionRow {
            local_id: crate::store::LocalId(0),
            id,
            log_start_offset: 0,
            log_end_offset: 0,
            size_bytes: 0,
        };
        missing.push((row, new));
    }

    /// The metadata has a partition after all that was set aside.
    fn unmark(&self, found: &Found) {
        let Some(store) = self.options.stores.get(found.store) else { return };
        let id = found.row.id;
        let done = move |result: Result<(), StoreError>| {
            if let Err(error) = result {
                warn!(partition = %id, %error, "a partition that was set aside is served again, but its mark stays until the next start");
            }
        };
        if let Err(error) = store.submit(strays::unmark(found.row.local_id), Durability::Written, Box::new(done)) {
            warn!(partition = %id, %error, "a partition that was set aside is served again, but its mark stays until the next start");
        }
    }

    async fn create(
        &self,
        missing: Vec<(PartitionRow, NewPartition)>,
        metadata_offset: i64,
    ) -> Result<(), ReplicaError> {
        if missing.is_empty() {
            return Ok(());
        }
        let index = self.emptiest_store();
        let Some(store) = self.options.stores.get(index) else { return Err(StoreError::Closed.into()) };
        let mut writes = Vec::with_capacity(missing.len());
        let mut rows = Vec::with_capacity(missing.len());
        for (mut row, new) in missing {
            row.local_id = store.allocate()?;
            writes.push(Write::Create { local_id: row.local_id, id: row.id });
            writes.push(strays::note_creation(row.local_id, metadata_offset));
            rows.push((row, new));
        }
        submit_and_wait(store, writes).await?;
        for (row, new) in rows {
            self.serve(index, &row, new);
        }
        Ok(())
    }

    fn serve(&self, store: usize, row: &PartitionRow, new: NewPartition) {
        let Some(store) = self.options.stores.get(store) else { return };
        let parts = PartitionParts {
            topic: new.topic,
            broker_id: self.options.broker_id,
            config: new.config,
            sync_sole_replica: self.options.sync_sole_replica,
            metrics: new.metrics,
            isr: self.isr.clone(),
        };
        let partition = Partition::open(Arc::clone(store), row, parts);
        partition.set_leadership(new.leadership);
        self.partitions.write().insert(row.id, Arc::new(partition));
    }

    async fn delete(&self, delta: &Delta) -> Result<(), ReplicaError> {
        let mut gone: Vec<Arc<Partition>> = Vec::new();
        for (topic_id, topic) in &delta.topics_deleted {
            let mut partitions = self.partitions.write();
            gone.extend(
                (0..topic.partition_count())
                    .filter_map(|partition| partitions.remove(&TopicIdPartition { topic_id: *topic_id, partition })),
            );
        }
        for store in &self.options.stores {
            let here: Vec<_> = gone.iter().filter(|p| Arc::ptr_eq(p.log().store(), store)).collect();
            if here.is_empty() {
                continue;
            }
            here.iter().for_each(|partition| partition.stop());
            let writes = here.iter().map(|p| Write::Delete { local_id: p.log().local_id() }).collect();
            submit_and_wait(store, writes).await?;
            info!(partitions = here.len(), log_dir = %store.path().display(), "deleted partitions");
        }
        Ok(())
    }

    fn reconfigure(&self, image: &MetadataImage, delta: &Delta) {
        let all = delta.configs.iter().any(|resource| resource.kind == ResourceKind::Broker);
        let topics: Vec<&str> =
            delta.configs.iter().filter(|r| r.kind == ResourceKind::Topic).map(|r| r.name.as_ref()).collect();
        if !all && topics.is_empty() {
            return;
        }
        let mut resolved: HashMap<Arc<str>, Arc<TopicConfig>> = HashMap::new();
        for partition in self.partitions() {
            let topic = partition.topic();
            if all || topics.contains(&topic.as_ref()) {
                let config =
                    resolved.entry(Arc::clone(topic)).or_insert_with(|| (self.options.resolve_config)(image, topic));
                partition.set_config(Arc::clone(config));
            }
        }
    }

    fn emptiest_store(&self) -> usize {
        let stores = &self.options.stores;
        let mut counts = vec![0_usize; stores.len()];
        if stores.len() > 1 {
            for partition in self.partitions.read().values() {
                if let Some(index) = stores.iter().position(|store| Arc::ptr_eq(store, partition.log().store()))
                    && let Some(count) = counts.get_mut(index)
                {
                    *count += 1;
                }
            }
        }
        counts.iter().enumerate().min_by_key(|(_, count)| **count).map_or(0, |(index, _)| index)
    }
}

/// What all partitions of a topic have in common.
struct TopicShared {
    config: Arc<TopicConfig>,
    metrics: Arc<TopicMetrics>,
}

struct NewPartition {
    topic: Arc<str>,
    metrics: Arc<TopicMetrics>,
    leadership: Leadership,
    config: Arc<TopicConfig>,
}

fn leadership(state: &PartitionState) -> Leadership {
    Leadership {
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        replicas: state.replicas.len(),
        in_sync: state.isr.len(),
    }
}

async fn submit_and_wait(store: &Arc<dyn RecordStore>, writes: Vec<Write>) -> Result<(), StoreError> {
    let (tell, told) = oneshot::channel();
    // Not synced: the metadata log is, and a start that finds a partition missing makes it again.
    store.submit_all(
        writes,
        Durability::Written,
        Box::new(move |result| {
            let _ = tell.send(result);
        }),
    )?;
    told.await.unwrap_or(Err(StoreError::Closed))
}

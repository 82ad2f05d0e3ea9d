//! Work that comes round by itself: retention, syncs by time, idle producers, partitions set aside, metric samples.
//!
//! Decides nothing: each step asks a room to do what its configuration says, and tells when that fails.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tracing::{debug, info, warn};

use super::gauges::{self, Workers};
use crate::api::Broker;
use crate::metrics::registry::UPKEEP;

/// How often partitions that were set aside are looked at, at most.
const STRAY_CHECK: Duration = Duration::from_secs(60);

/// The longest that a timer is set for: `log.flush.scheduler.interval.ms` says never with the largest number there is.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Each until it is dropped. Apart, so that one that waits for a disk holds up no other.
pub fn tasks(broker: &Arc<Broker>, workers: Arc<Workers>) -> Vec<Task> {
    vec![
        Box::pin(samples(Arc::clone(broker), workers)),
        Box::pin(producers(Arc::clone(broker))),
        Box::pin(strays(Arc::clone(broker))),
        Box::pin(retention(Arc::clone(broker))),
        Box::pin(flushes(Arc::clone(broker))),
    ]
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).clamp(Duration::from_millis(1), NEVER)
}

/// Ticks after `first` and then in this distance; what was missed is not made up for.
fn every(first: Duration, interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + first, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn samples(broker: Arc<Broker>, workers: Arc<Workers>) {
    let mut ticks = every(Duration::ZERO, UPKEEP);
    loop {
        ticks.tick().await;
        gauges::sample(&broker, &workers);
    }
}

async fn producers(broker: Arc<Broker>) {
    let interval = millis(i64::from(broker.config().producer_id_expiration_check_interval_ms));
    let mut ticks = every(interval, interval);
    loop {
        ticks.tick().await;
        let (now_ms, expiration_ms) = (broker.clock.wall_ms(), i64::from(broker.config().producer_id_expiration_ms));
        for partition in broker.replicas.partitions() {
            if let Err(error) = partition.log().expire_producers(now_ms, expiration_ms) {
                warn!(topic = %partition.topic(), partition = partition.id().partition, %error, "cannot forget idle producers");
            }
        }
    }
}

async fn strays(broker: Arc<Broker>) {
    let delay_ms = broker.config().stray_delete_delay_ms;
    if delay_ms < 0 {
        return;
    }
    let interval = millis(delay_ms / 4).clamp(Duration::from_millis(100), STRAY_CHECK);
    let mut ticks = every(Duration::ZERO, interval);
    loop {
        ticks.tick().await;
        let (image, now_ms) = (broker.cluster.image(), broker.clock.wall_ms());
        if let Err(error) = broker.replicas.remove_strays(&image, now_ms, delay_ms).await {
            warn!(%error, "cannot remove partitions that were set aside");
        }
    }
}

/// `retention.ms` and `retention.bytes`, every `log.retention.check.interval.ms`.
async fn retention(broker: Arc<Broker>) {
    let config = broker.config();
    let mut ticks = every(millis(config.log_initial_task_delay_ms), millis(config.log_retention_check_interval_ms));
    loop {
        ticks.tick().await;
        let mut moved = 0;
        for partition in broker.replicas.partitions() {
            let (topic, index) = (partition.topic(), partition.id().partition);
            match partition.retain(broker.clock.wall_ms()).await {
                Ok(None) => {}
                Ok(Some(log_start_offset)) => {
                    debug!(%topic, partition = index, log_start_offset, "records past their retention are gone");
                    moved += 1;
                }
                Err(error) => {
                    warn!(%topic, partition = index, %error, "retention failed; it is tried again at the next check")
                }
            }
        }
        if moved > 0 {
            info!(partitions = moved, "deleted records past their retention");
        }
    }
}

/// `flush.ms`, every `log.flush.scheduler.interval.ms`.
async fn flushes(broker: Arc<Broker>) {
    let interval = millis(broker.config().log_flush_scheduler_interval_ms);
    if interval == NEVER {
        return;
    }
    let mut ticks = every(interval, interval);
    loop {
        ticks.tick().await;
        for partition in broker.replicas.partitions() {
            let flush_ms = partition.config().flush_ms;
            if let Err(error) = partition.log().flush_after(flush_ms, broker.clock.wall_ms()).await {
                warn!(topic = %partition.topic(), partition = partition.id().partition, %error, "cannot sync");
            }
        }
    }
}

//! Brokers that register, are fenced and leave (KIP-631, Kafka's `ClusterControlManager`).

use kafka_protocol::error::ResponseError;

use super::elections::{Election, change_leader};
use super::{ApiError, Decision};
use crate::cluster::image::MetadataImage;
use crate::cluster::record::{BrokerState, Record};
use crate::types::BrokerId;

/// Whether the broker with this epoch is the one that is registered.
///
/// # Errors
/// `StaleBrokerEpoch` when it is not, as Kafka's `checkBrokerEpoch`.
pub fn check_epoch(image: &MetadataImage, id: BrokerId, epoch: i64) -> Result<(), ApiError> {
    match image.broker(id) {
        None => Err(ApiError::new(
            ResponseError::StaleBrokerEpoch,
            format!("No broker registration found for broker id {id}"),
        )),
        Some(broker) if broker.epoch != epoch => Err(ApiError::new(
            ResponseError::StaleBrokerEpoch,
            format!("Expected broker epoch {}, but got broker epoch {epoch}", broker.epoch),
        )),
        Some(_) => Ok(()),
    }
}

/// Registers the broker of this very node, whose log directory is recovered already: it is active at once. The reply is its epoch; `broker.epoch` and its
/// states are not looked at.
///
/// Partitions that it led in an earlier run, or that were left without a leader, get a new leader epoch, so that clients notice what a crash may have cut off.
pub fn register_local(image: &MetadataImage, broker: &BrokerState) -> Decision<Result<i64, ApiError>> {
    if let Err(error) = check_features(image, broker) {
        return Decision::unchanged(Err(error));
    }
    let epoch = image.offset() + 1;
    let registered = BrokerState { epoch, fenced: false, in_controlled_shutdown: false, ..broker.clone() };
    let mut records = vec![Record::BrokerRegistered(registered), Record::LeaderRestarted { id: broker.id }];
    for topic in image.topics() {
        for (partition, state) in (0..).zip(&topic.partitions) {
            if state.has_leader() || !state.isr.contains(&broker.id) {
                continue;
            }
            let acceptable = |id| id == broker.id || image.is_active(id);
            if let Some(state) = change_leader(state, Election::Online, &acceptable) {
                records.push(Record::PartitionChanged { topic_id: topic.id, partition, state });
            }
        }
    }
    Decision { records, reply: Ok(epoch) }
}

fn check_features(image: &MetadataImage, broker: &BrokerState) -> Result<(), ApiError> {
    for (name, level) in image.features() {
        let (lowest, highest) = broker.features.get(name).copied().unwrap_or((0, 0));
        if !(lowest..=highest).contains(&level) {
            return Err(ApiError::new(
                ResponseError::UnsupportedVersion,
                format!(
                    "Unable to register because the broker does not support finalized version {level} of {name}. The broker wants a version between {lowest} and {highest}, inclusive."
                ),
            ));
        }
    }
    Ok(())
}

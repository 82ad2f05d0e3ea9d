//! Choosing partition leaders (Kafka's `PartitionChangeBuilder` and `ReplicationControlManager.electLeaders`).

use kafka_protocol::error::ResponseError;

use super::{ApiError, Decision};
use crate::cluster::image::{MetadataImage, Topic};
use crate::cluster::record::{PartitionState, Record};
use crate::types::BrokerId;

/// Who may become leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica, if it is in sync.
    Preferred,
    /// The leader stays if it can; else any in-sync replica.
    Online,
    /// As `Online`; when no in-sync replica can lead, any replica, at the price of records (KIP-460).
    Unclean,
}

/// The partition after an election, or `None` when nobody better than now can lead. `acceptable` says whether a broker can lead at all.
pub fn change_leader(
    partition: &PartitionState,
    election: Election,
    acceptable: &dyn Fn(BrokerId) -> bool,
) -> Option<PartitionState> {
    let in_sync = |id: &BrokerId| partition.isr.contains(id) && acceptable(*id);
    let preferred = partition.replicas.first().copied().filter(in_sync);
    let current = Some(partition.leader).filter(in_sync);
    let any = || partition.replicas.iter().copied().find(in_sync);
    let (leader, unclean) = match election {
        Election::Preferred => (preferred.or(current).or_else(any), false),
        Election::Online => (current.or_else(any), false),
        Election::Unclean => match current.or_else(any) {
            Some(leader) => (Some(leader), false),
            None => (partition.replicas.iter().copied().find(|id| acceptable(*id)), true),
        },
    };
    let leader = leader.filter(|leader| *leader != partition.leader)?;
    let mut changed = partition.clone();
    changed.leader = leader;
    changed.leader_epoch += 1;
    changed.partition_epoch += 1;
    if unclean {
        // Nobody else's records can be trusted to be the leader's.
        changed.isr = [leader].into_iter().collect();
        changed.recovering = true;
    }
    Some(changed)
}

/// What became of one partition: its index, and the error if it was not elected.
pub type ElectionResult = (i32, Result<(), ApiError>);

/// Elects leaders of the partitions named, or of all (`None`), in which case partitions that need no election are left out of the answer.
pub fn elect(
    image: &MetadataImage,
    election: Election,
    topics: Option<&[(String, Vec<i32>)]>,
) -> Decision<Vec<(String, Vec<ElectionResult>)>> {
    let mut records = Vec::new();
    let mut reply = Vec::new();
    match topics {
        Some(topics) => {
            for (name, partitions) in topics {
                let topic = image.topic(name);
                let results = partitions
                    .iter()
                    .map(|index| {
                        (*index, elect_one(image, name, topic.map(|topic| &**topic), *index, election, &mut records))
                    })
                    .collect();
                reply.push((name.clone(), results));
            }
        }
        None => {
            for topic in image.topics() {
                let results = (0..topic.partition_count())
                    .map(|index| (index, elect_one(image, &topic.name, Some(topic), index, election, &mut records)))
                    .filter(|(_, result)| {
                        !matches!(result, Err(ApiError { error: ResponseError::ElectionNotNeeded, .. }))
                    })
                    .collect();
                reply.push((topic.name.to_string(), results));
            }
        }
    }
    Decision { records, reply }
}

fn elect_one(
    image: &MetadataImage,
    name: &str,
    topic: Option<&Topic>,
    index: i32,
    election: Election,
    records: &mut Vec<Record>,
) -> Result<(), ApiError> {
    let unknown = |what: String| ApiError::new(ResponseError::UnknownTopicOrPartition, what);
    let topic = topic.ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let partition = topic.partition(index).ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
    let needless = match election {
        Election::Preferred => partition.has_preferred_leader(),
        Election::Online | Election::Unclean => partition.has_leader(),
    };
    if needless {
        return Err(ApiError::new(ResponseError::ElectionNotNeeded, "Leader election not needed for topic partition."));
    }
    match change_leader(partition, election, &|id| image.is_active(id)) {
        Some(state) => {
            records.push(Record::PartitionChanged { topic_id: topic.id, partition: index, state });
            Ok(())
        }
        None if election == Election::Preferred => {
            Err(ApiError::new(ResponseError::PreferredLeaderNotAvailable, "The preferred leader was not available."))
        }
        None => Err(ApiError::new(
            ResponseError::EligibleLeadersNotAvailable,
            "Eligible topic partition leaders are not available.",
        )),
    }
}

//! Chooses brokers for new partitions: leaders spread evenly, replicas over racks (the rules of KIP-36 as Kafka's controller applies them).
//!
//! Every broker leads about equally often, a partition's replicas lie on as many racks as there are, and the followers of one leader vary from partition to
//! partition. A fenced broker may follow but never leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::Randomness;
use super::image::MetadataImage;
use super::record::Replicas;
use crate::types::BrokerId;

/// A broker that may hold replicas.
#[derive(Clone, Debug)]
pub struct UsableBroker {
    pub id: BrokerId,
    pub rack: Option<Arc<str>>,
    pub fenced: bool,
}

/// Every registered broker. One in controlled shutdown may hold replicas, as in Kafka.
pub fn usable_brokers(image: &MetadataImage) -> Vec<UsableBroker> {
    image
        .brokers()
        .map(|broker| UsableBroker { id: broker.id, rack: broker.rack.clone(), fenced: broker.fenced })
        .collect()
}

/// Why no placement exists. The messages follow "Unable to replicate the partition N time(s): ".
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlacementError {
    #[error("Invalid replication factor {0}: the replication factor must be positive.")]
    NotPositive(i16),
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    AllFenced,
    #[error(
        "The target replication factor of {wanted} cannot be reached because only {registered} broker(s) are registered or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers { wanted: i16, registered: usize },
}

/// Brokers that are taken in turn; each new round starts one further.
#[derive(Default)]
struct Turns {
    brokers: Vec<BrokerId>,
    taken: usize,
    start: usize,
    round: usize,
}

impl Turns {
    fn next(&mut self, round: usize) -> Option<BrokerId> {
        if self.brokers.is_empty() {
            return None;
        }
        if self.round != round {
            self.round = round;
            self.taken = 0;
            self.start = (self.start + 1) % self.brokers.len();
        }
        if self.taken >= self.brokers.len() {
            return None;
        }
        let broker = self.brokers.get((self.taken + self.start) % self.brokers.len()).copied();
        self.taken += 1;
        broker
    }

    fn randomize_start(&mut self, random: &mut dyn Randomness) {
        self.brokers.sort_unstable();
        self.start = if self.brokers.is_empty() { 0 } else { random.below(self.brokers.len()) };
    }
}

#[derive(Default)]
struct Rack {
    unfenced: Turns,
    fenced: Turns,
}

impl Rack {
    fn next(&mut self, round: usize) -> Option<BrokerId> {
        self.unfenced.next(round).or_else(|| self.fenced.next(round))
    }
}

struct Racks {
    racks: Vec<Rack>,
    brokers: usize,
    unfenced: usize,
    round: usize,
    first: usize,
}

fn shuffle<T>(items: &mut [T], random: &mut dyn Randomness) {
    for index in (1..items.len()).rev() {
        items.swap(index, random.below(index + 1));
    }
}

impl Racks {
    fn new(brokers: &[UsableBroker], random: &mut dyn Randomness) -> Self {
        let mut racks: BTreeMap<Option<Arc<str>>, Rack> = BTreeMap::new();
        let mut unfenced = 0;
        for broker in brokers {
            let rack = racks.entry(broker.rack.clone()).or_default();
            if broker.fenced {
                rack.fenced.brokers.push(broker.id);
            } else {
                unfenced += 1;
                rack.unfenced.brokers.push(broker.id);
            }
        }
        let mut racks: Vec<Rack> = racks.into_values().collect();
        for rack in &mut racks {
            rack.unfenced.randomize_start(random);
            rack.fenced.randomize_start(random);
        }
        let first = if racks.is_empty() { 0 } else { random.below(racks.len()) };
        Self { racks, brokers: brokers.len(), unfenced, round: 0, first }
    }

    /// The replicas of one partition. `count` is at least 1 and at most the number of brokers, one of which is not fenced.
    fn place(&mut self, count: usize, random: &mut dyn Randomness) -> Replicas {
        // After as many placements as there are possible leaders the same ones would come again. One broker has nothing to shuffle.
        if self.round == self.unfenced && self.unfenced > 1 {
            shuffle(&mut self.racks, random);
            for rack in &mut self.racks {
                shuffle(&mut rack.unfenced.brokers, random);
                shuffle(&mut rack.fenced.brokers, random);
            }
            self.round = 0;
        }
        let racks = self.racks.len();
        let (round, first) = (self.round, self.first % racks.max(1));
        let mut replicas = Replicas::new();
        let mut leader_rack = None;
        for index in (first..racks).chain(0..first) {
            if let Some(leader) = self.racks.get_mut(index).and_then(|rack| rack.unfenced.next(round)) {
                replicas.push(leader);
                leader_rack = Some(index);
                break;
            }
        }
        let mut index = first;
        // Each turn over the racks yields a broker as long as one is left; two fruitless turns mean that none is.
        let mut fruitless = 0;
        while replicas.len() < count && fruitless < 2 * racks {
            let next = if leader_rack == Some(index) {
                // The leader's rack has had its turn already, once.
                leader_rack = None;
                None
            } else {
                self.racks.get_mut(index).and_then(|rack| rack.next(round))
            };
            fruitless = if next.is_some() { 0 } else { fruitless + 1 };
            replicas.extend(next);
            index = (index + 1) % racks;
        }
        self.round += 1;
        self.first = first + 1;
        replicas
    }
}

/// The replicas of `partitions` new partitions, the first of each meant to lead.
///
/// # Errors
/// When the cluster cannot hold that many replicas of a partition.
pub fn place(
    brokers: &[UsableBroker],
    partitions: usize,
    replication_factor: i16,
    random: &mut dyn Randomness,
) -> Result<Vec<Replicas>, PlacementError> {
    let wanted = match usize::try_from(replication_factor) {
        Ok(wanted) if wanted > 0 => wanted,
        _ => return Err(PlacementError::NotPositive(replication_factor)),
    };
    let mut racks = Racks::new(brokers, random);
    if racks.unfenced == 0 {
        return Err(PlacementError::AllFenced);
    }
    if wanted > racks.brokers {
        return Err(PlacementError::TooFewBrokers { wanted: replication_factor, registered: racks.brokers });
    }
    Ok((0..partitions).map(|_| racks.place(wanted, random)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::decide::SeededRandomness;
    use std::collections::{BTreeSet, HashMap};

    fn broker(id: BrokerId, rack: Option<&str>, fenced: bool) -> UsableBroker {
        UsableBroker { id, rack: rack.map(Into::into), fenced }
    }

    #[test]
    fn replicas_are_distinct_and_leaders_spread() {
        for seed in 0..50 {
            let mut random = SeededRandomness::new(seed);
            let brokers: Vec<_> = (0..5).map(|id| broker(id, None, false)).collect();
            let placed = place(&brokers, 100, 3, &mut random).unwrap();
            let mut leaders: HashMap<BrokerId, usize> = HashMap::new();
            for replicas in &placed {
                assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3);
                *leaders.entry(replicas[0]).or_default() += 1;
            }
            assert!(leaders.values().all(|count| (15..=25).contains(count)), "seed {seed}: {leaders:?}");
        }
    }

    #[test]
    fn replicas_lie_on_different_racks_and_fenced_brokers_never_lead() {
        for seed in 0..50 {
            let mut random = SeededRandomness::new(seed);
            let brokers = [
                broker(0, Some("a"), false),
                broker(1, Some("a"), true),
                broker(2, Some("b"), false),
                broker(3, Some("b"), false),
                broker(4, Some("c"), true),
            ];
            let rack_of = |id: BrokerId| brokers.iter().find(|broker| broker.id == id).unwrap().rack.clone();
            for replicas in place(&brokers, 30, 3, &mut random).unwrap() {
                assert!(![1, 4].contains(&replicas[0]), "seed {seed}");
                assert_eq!(replicas.iter().map(|id| rack_of(*id)).collect::<BTreeSet<_>>().len(), 3, "seed {seed}");
            }
            for replicas in place(&brokers, 30, 5, &mut random).unwrap() {
                assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 5, "seed {seed}");
            }
        }
    }

    #[test]
    fn impossible_wishes_are_told_as_kafka_tells_them() {
        let mut random = SeededRandomness::new(1);
        let one = [broker(1, None, false)];
        assert_eq!(place(&one, 1, 0, &mut random), Err(PlacementError::NotPositive(0)));
        assert_eq!(place(&one, 1, 2, &mut random), Err(PlacementError::TooFewBrokers { wanted: 2, registered: 1 }));
        assert_eq!(place(&[broker(1, None, true)], 1, 1, &mut random), Err(PlacementError::AllFenced));
        assert_eq!(place(&one, 3, 1, &mut random).unwrap().len(), 3);
    }
}

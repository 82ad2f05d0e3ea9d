//! Who of a group reads which partition: the assignors of Kafka's Java consumer that a leader may have to run (KIP-54, KIP-429).
//!
//! Pure. The same members and partitions always give the same result, and every partition goes to exactly one subscribed member, but where a
//! cooperative member must give one up first: then nobody has it until the next round.

use std::collections::{BTreeMap, BTreeSet};

/// Topic and partition.
pub type Partition = (String, i32);

/// A member as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub topics: BTreeSet<String>,
    /// What it reads now and says it keeps (cooperative members only).
    pub owned: Vec<Partition>,
    /// The generation in which it got `owned`; -1 when it did not say.
    pub generation_id: i32,
}

/// The assignors by the names that they have on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    Range,
    RoundRobin,
    Sticky,
    CooperativeSticky,
}

impl Assignor {
    pub const ALL: [Self; 4] = [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky];

    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// As `partition.assignment.strategy` names it: the class of Kafka's client.
    pub fn by_class(class: &str) -> Option<Self> {
        match class.trim().rsplit('.').next()? {
            "RangeAssignor" => Some(Self::Range),
            "RoundRobinAssignor" => Some(Self::RoundRobin),
            "StickyAssignor" => Some(Self::Sticky),
            "CooperativeStickyAssignor" => Some(Self::CooperativeSticky),
            _ => None,
        }
    }

    /// Partitions for each member. `partitions` has the number of partitions of each topic that exists.
    pub fn assign(self, members: &[Member], partitions: &BTreeMap<String, usize>) -> BTreeMap<String, Vec<Partition>> {
        let mut members: Vec<&Member> = members.iter().collect();
        // Static members first, by their instance ids, so that they keep their partitions over restarts.
        members.sort_by(|a, b| match (&a.group_instance_id, &b.group_instance_id) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => a.member_id.cmp(&b.member_id),
        });
        let mut result: BTreeMap<String, Vec<Partition>> =
            members.iter().map(|member| (member.member_id.clone(), Vec::new())).collect();
        match self {
            Self::Range => range(&members, partitions, &mut result),
            Self::RoundRobin => round_robin(&members, partitions, &mut result),
            Self::Sticky => sticky(&members, partitions, &mut result),
            Self::CooperativeSticky => {
                sticky(&members, partitions, &mut result);
                withhold_what_moves(&members, &mut result);
            }
        }
        result
    }
}

type Result = BTreeMap<String, Vec<Partition>>;

fn give(result: &mut Result, member: &Member, partition: Partition) {
    result.entry(member.member_id.clone()).or_default().push(partition);
}

/// Each topic by itself: adjacent partitions, the first members get one more where they do not divide evenly.
fn range(members: &[&Member], partitions: &BTreeMap<String, usize>, result: &mut Result) {
    for (topic, count) in partitions {
        let takers: Vec<&&Member> = members.iter().filter(|member| member.topics.contains(topic)).collect();
        if takers.is_empty() {
            continue;
        }
        let (each, extra) = (count / takers.len(), count % takers.len());
        let mut next = 0;
        for (index, member) in takers.iter().enumerate() {
            for _ in 0..each + usize::from(index < extra) {
                give(result, member, (topic.clone(), next));
                next += 1;
            }
        }
    }
}

/// All partitions of all topics in turn, leaving out members that do not read the topic.
fn round_robin(members: &[&Member], partitions: &BTreeMap<String, usize>, result: &mut Result) {
    let mut turn = 0;
    for (topic, partition) in all(partitions) {
        if !members.iter().any(|member| member.topics.contains(&topic)) {
            continue;
        }
        while let Some(member) = members.get(turn % members.len().max(1)) {
            turn += 1;
            if member.topics.contains(&topic) {
                give(result, member, (topic, partition));
                break;
            }
        }
    }
}

fn all(partitions: &BTreeMap<String, usize>) -> impl Iterator<Item = Partition> + '_ {
    partitions.iter().flat_map(|(topic, count)| (0..*count as i32).map(move |partition| (topic.clone(), partition)))
}

/// Members keep what they own as long as that is fair; what is free goes to whoever has least.
fn sticky(members: &[&Member], partitions: &BTreeMap<String, usize>, result: &mut Result) {
    let owners = claims(members, partitions);
    let mut free: BTreeSet<Partition> =
        all(partitions).filter(|(topic, _)| members.iter().any(|member| member.topics.contains(topic))).collect();
    for (partition, owner) in &owners {
        free.remove(partition);
        result.entry((*owner).clone()).or_default().push(partition.clone());
    }
    let readers = |partition: &Partition| -> Vec<&&Member> {
        members.iter().filter(|member| member.topics.contains(&partition.0)).collect()
    };
    let load = |result: &Result, member: &Member| result.get(&member.member_id).map_or(0, Vec::len);
    for partition in free {
        if let Some(least) = readers(&partition).into_iter().min_by_key(|member| load(result, member)) {
            give(result, least, partition);
        }
    }
    // Take from who has two more than another who could read it, until nobody has: each step makes the spread smaller, so this ends.
    loop {
        let mut moved = false;
        for giver in members {
            let mine = result.get(&giver.member_id).cloned().unwrap_or_default();
            for partition in mine.into_iter().rev() {
                let Some(least) = readers(&partition).into_iter().min_by_key(|member| load(result, member)) else {
                    continue;
                };
                if load(result, giver) > load(result, least) + 1 {
                    if let Some(list) = result.get_mut(&giver.member_id) {
                        list.retain(|other| *other != partition);
                    }
                    give(result, least, partition);
                    moved = true;
                }
            }
        }
        if !moved {
            break;
        }
    }
    result.values_mut().for_each(|list| list.sort());
}

/// What each partition's rightful owner says it owns: of two that claim it, the one of the later generation; of one generation, nobody.
fn claims<'m>(members: &[&'m Member], partitions: &BTreeMap<String, usize>) -> BTreeMap<Partition, &'m String> {
    let mut claims: BTreeMap<Partition, (i32, Option<&String>)> = BTreeMap::new();
    for member in members {
        for partition in &member.owned {
            let exists = partitions.get(&partition.0).is_some_and(|count| (0..*count as i32).contains(&partition.1));
            if !exists || !member.topics.contains(&partition.0) {
                continue;
            }
            let claim = claims.entry(partition.clone()).or_insert((i32::MIN, None));
            match member.generation_id.cmp(&claim.0) {
                std::cmp::Ordering::Greater => *claim = (member.generation_id, Some(&member.member_id)),
                std::cmp::Ordering::Equal => claim.1 = None,
                std::cmp::Ordering::Less => {}
            }
        }
    }
    claims.into_iter().filter_map(|(partition, (_, owner))| Some((partition, owner?))).collect()
}

/// A cooperative member gives a partition up before another may have it (KIP-429): what is owned by one and assigned to another is assigned to nobody
/// for now.
fn withhold_what_moves(members: &[&Member], result: &mut Result) {
    let mut owners: BTreeMap<&Partition, BTreeSet<&str>> = BTreeMap::new();
    for member in members {
        for partition in &member.owned {
            owners.entry(partition).or_default().insert(&member.member_id);
        }
    }
    for (member_id, list) in result.iter_mut() {
        list.retain(|partition| {
            owners.get(partition).is_none_or(|owners| owners.iter().all(|owner| *owner == member_id.as_str()))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, topics: &[&str]) -> Member {
        Member {
            member_id: id.into(),
            topics: topics.iter().map(|topic| topic.to_string()).collect(),
            generation_id: -1,
            ..Member::default()
        }
    }

    fn topics(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
        counts.iter().map(|(topic, count)| (topic.to_string(), *count)).collect()
    }

    fn numbers(result: &BTreeMap<String, Vec<Partition>>, member: &str) -> Vec<String> {
        result[member].iter().map(|(topic, partition)| format!("{topic}{partition}")).collect()
    }

    #[test]
    fn range_gives_adjacent_partitions_of_each_topic() {
        let members = [member("b", &["t", "u"]), member("a", &["t", "u"])];
        let result = Assignor::Range.assign(&members, &topics(&[("t", 3), ("u", 3)]));
        assert_eq!(numbers(&result, "a"), ["t0", "t1", "u0", "u1"]);
        assert_eq!(numbers(&result, "b"), ["t2", "u2"]);
        let mut fixed = members.clone();
        fixed[0].group_instance_id = Some("z".into());
        let result = Assignor::Range.assign(&fixed, &topics(&[("t", 3)]));
        assert_eq!(numbers(&result, "b"), ["t0", "t1"], "static members come first");
    }

    #[test]
    fn round_robin_deals_partitions_one_by_one() {
        let members = [member("a", &["t", "u"]), member("b", &["t"])];
        let result = Assignor::RoundRobin.assign(&members, &topics(&[("t", 3), ("u", 2)]));
        assert_eq!(numbers(&result, "a"), ["t0", "t2", "u0", "u1"]);
        assert_eq!(numbers(&result, "b"), ["t1"]);
        assert!(Assignor::RoundRobin.assign(&[member("a", &[])], &topics(&[("t", 3)]))["a"].is_empty());
    }

    #[test]
    fn cooperative_members_keep_what_is_fair_and_give_up_before_another_takes() {
        let mut one = member("a", &["t"]);
        one.owned = (0..4).map(|partition| ("t".to_owned(), partition)).collect();
        one.generation_id = 3;
        let members = [one, member("b", &["t"])];
        let first = Assignor::CooperativeSticky.assign(&members, &topics(&[("t", 4)]));
        assert_eq!((first["a"].len(), first["b"].len()), (2, 0), "{first:?}");
        let mut settled = members.clone();
        settled[0].owned = first["a"].clone();
        let second = Assignor::CooperativeSticky.assign(&settled, &topics(&[("t", 4)]));
        assert_eq!((&second["a"], second["b"].len()), (&first["a"], 2));
    }

    #[test]
    fn of_two_owners_the_later_generation_is_believed() {
        let mut old = member("a", &["t"]);
        old.owned = vec![("t".into(), 0)];
        old.generation_id = 1;
        let mut new = member("b", &["t"]);
        new.owned = vec![("t".into(), 0)];
        new.generation_id = 2;
        let result = Assignor::Sticky.assign(&[old, new], &topics(&[("t", 2)]));
        assert_eq!((numbers(&result, "a"), numbers(&result, "b")), (vec!["t1".into()], vec!["t0".into()]));
    }

    #[test]
    fn every_partition_has_one_reader_and_loads_differ_by_one() {
        for assignor in Assignor::ALL {
            for count in 0..8 {
                for size in 1..5 {
                    let members: Vec<Member> = (0..size).map(|id| member(&format!("m{id}"), &["t"])).collect();
                    let result = assignor.assign(&members, &topics(&[("t", count)]));
                    let mut seen: Vec<Partition> = result.values().flatten().cloned().collect();
                    seen.sort();
                    assert_eq!(seen, all(&topics(&[("t", count)])).collect::<Vec<_>>(), "{assignor:?}");
                    let loads: Vec<usize> = result.values().map(Vec::len).collect();
                    assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{assignor:?} {loads:?}");
                }
            }
        }
        assert_eq!(
            Assignor::by_class("org.apache.kafka.clients.consumer.RoundRobinAssignor"),
            Some(Assignor::RoundRobin)
        );
    }
}

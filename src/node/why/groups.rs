//! What a consumer group waits for, and for whom.

use kafka_protocol::ResponseError;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::{Finding, told};
use crate::api::Broker;
use crate::coordinator::group::classic::State;
use crate::coordinator::group::classic::status::{GroupStatus, MemberStatus};

/// Members that are named; of more, only the number is told.
const MOST_NAMED: usize = 5;
/// How long all coordinators together may take to answer for one page.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    pub group: Arc<str>,
    /// As DescribeGroups has it; `Unknown` where the coordinator did not tell.
    pub state: &'static str,
    pub generation: Option<i32>,
    pub members: usize,
    pub findings: Vec<Finding>,
}

/// What coordinators answered while one page is made: each group is asked once, and all of them within a bound.
pub struct Statuses<'a> {
    broker: &'a Broker,
    known: HashMap<Arc<str>, Result<Option<GroupStatus>, ResponseError>>,
    until: Instant,
}

impl<'a> Statuses<'a> {
    pub fn new(broker: &'a Broker) -> Self {
        Self { broker, known: HashMap::new(), until: Instant::now() + PATIENCE }
    }

    /// As [`crate::coordinator::group::GroupCoordinator::status`].
    pub async fn of(&mut self, group: &str) -> &Result<Option<GroupStatus>, ResponseError> {
        if !self.known.contains_key(group) {
            let asked = tokio::time::timeout_at(self.until, self.broker.groups.status(group));
            let status = asked.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable));
            self.known.insert(Arc::from(group), status);
        }
        self.known.get(group).unwrap_or(&Ok(None))
    }
}

/// A group that somebody asks for.
pub async fn report(broker: &Broker, statuses: &mut Statuses<'_>, group: &str) -> GroupReport {
    let (state, generation, members, findings) = match statuses.of(group).await {
        Err(error) => {
            let said = format!("its coordinator does not answer: {error}");
            let finding =
                Finding::new("coordinator", said, "wait; if it goes on, look for `coordinator` in the broker's log");
            ("Unknown", None, 0, vec![finding])
        }
        Ok(None) => {
            let said = "there is no such group here: nobody has joined it, and it has no committed offsets";
            let advice =
                "compare it with the client's group.id; `kafka-consumer-groups --list` names the groups that there are";
            ("Dead", None, 0, vec![Finding::new("unknown_group", said, advice)])
        }
        Ok(Some(status)) => {
            let mut findings: Vec<Finding> = rebalance(status, broker.clock.wall_ms()).into_iter().collect();
            if findings.is_empty() {
                findings.push(settled(status));
            }
            (status.state.name(), Some(status.generation), status.members.len(), findings)
        }
    };
    GroupReport { group: Arc::from(group), state, generation, members, findings }
}

fn settled(status: &GroupStatus) -> Finding {
    match (status.state, status.members.len()) {
        (State::Empty, _) | (_, 0) => Finding::new(
            "empty_group",
            "it has no members",
            "start a consumer, or look why the ones there were left: their sessions and departures are in the log",
        ),
        (_, members) => Finding::new(
            "stable_group",
            format!(
                "it is stable in generation {} with {members} members: nobody waits for a rebalance",
                status.generation
            ),
            "",
        ),
    }
}

/// What a rebalance waits for; `None` when there is none.
pub fn rebalance(status: &GroupStatus, now_ms: i64) -> Option<Finding> {
    let since = told(span(status.since_ms.map_or(0, |since| now_ms.saturating_sub(since))));
    let left = status.until_ms.map(|until| told(span(until.saturating_sub(now_ms))));
    let left = left.unwrap_or_else(|| "an unknown time".to_owned());
    match status.state {
        State::PreparingRebalance if status.is_initial => Some(Finding::new(
            "first_rebalance",
            format!(
                "it was empty and waits for more members to come before it begins, since {since}, for {left} at most"
            ),
            "nothing: it begins by itself. group.initial.rebalance.delay.ms says how long it waits",
        )),
        State::PreparingRebalance => {
            let mut awaited: Vec<String> =
                status.members.iter().filter(|member| !member.has_joined).map(name).collect();
            awaited.extend(status.expected.iter().map(|id| format!("whoever was given member id {id}")));
            let who = if awaited.is_empty() { "nobody any more".to_owned() } else { some_of(&awaited) };
            Some(Finding::new(
                "waiting_for_rebalance",
                format!(
                    "it rebalances since {since} and waits for {who} to join again; they are dropped in {left} at the latest (rebalance time-out)"
                ),
                "a consumer joins again when it polls: look at what those members do between two polls, or stop them; max.poll.interval.ms is the time that they have",
            ))
        }
        State::CompletingRebalance => {
            let leader = status.members.iter().find(|member| member.is_leader && member.owes_sync);
            let owing: Vec<String> = status.members.iter().filter(|member| member.owes_sync).map(name).collect();
            let who = match leader {
                Some(leader) => format!("the assignment of its leader, {}", name(leader)),
                None if owing.is_empty() => "the assignment to be stored".to_owned(),
                None => format!("the SyncGroup of {}", some_of(&owing)),
            };
            Some(Finding::new(
                "waiting_for_assignment",
                format!(
                    "all have joined generation {}, and it waits for {who}, since {since}; dropped in {left} at the latest",
                    status.generation
                ),
                "look at that member: it has the list of members and has to share out the partitions",
            ))
        }
        State::Empty | State::Stable | State::Dead => None,
    }
}

/// That a member of a settled group has no partitions, and is idle.
pub fn idle(status: &GroupStatus, member_id: &str) -> Option<Finding> {
    let own = status.members.iter().find(|member| &*member.member_id == member_id)?;
    if own.assigned != Some(0) {
        return None;
    }
    let shared: usize = status.members.iter().filter_map(|member| member.assigned).sum();
    let with_some = status.members.iter().filter(|member| member.assigned.is_some_and(|count| count > 0)).count();
    Some(Finding::new(
        "no_partitions",
        format!(
            "it was given no partitions: {with_some} of the {} members have all {shared} that are shared out",
            status.members.len()
        ),
        "each partition is read by one member: add partitions (kafka-topics --alter --partitions), or let it stand by; where the topic was just made or the \
         subscription is a pattern, look at its name",
    ))
}

fn name(member: &MemberStatus) -> String {
    let instance = member.instance_id.as_ref().map_or_else(String::new, |id| format!(", group.instance.id {id}"));
    format!("{} (client id {:?} on {}{instance})", member.member_id, member.client_id, member.client_host)
}

fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST_NAMED) {
        Some(more @ 1..) => format!("{shown} and {more} others"),
        _ => shown,
    }
}

fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, has_joined: bool) -> MemberStatus {
        MemberStatus {
            member_id: Arc::from(id),
            instance_id: None,
            client_id: Arc::from("app"),
            client_host: Arc::from("/10.0.0.7"),
            has_joined,
            owes_sync: false,
            is_leader: false,
            assigned: None,
        }
    }

    fn group(state: State, members: Vec<MemberStatus>) -> GroupStatus {
        let (since_ms, until_ms) = (Some(1_000), Some(61_000));
        GroupStatus { state, generation: 4, since_ms, until_ms, is_initial: false, members, expected: Vec::new() }
    }

    #[test]
    fn a_rebalance_names_those_who_have_not_come() {
        let status = group(State::PreparingRebalance, vec![member("here", true), member("late", false)]);
        let found = rebalance(&status, 13_000).unwrap();
        assert_eq!(
            (found.what, found.sentence.as_str()),
            (
                "waiting_for_rebalance",
                "it rebalances since 12 s and waits for late (client id \"app\" on /10.0.0.7) to join again; they are dropped in 48 s at the latest (rebalance time-out)"
            )
        );
        let many = group(State::PreparingRebalance, (0..8).map(|id| member(&format!("m{id}"), false)).collect());
        assert!(rebalance(&many, 13_000).unwrap().sentence.contains("and 3 others"));
        assert_eq!(rebalance(&group(State::Stable, vec![member("a", false)]), 13_000), None);
    }

    #[test]
    fn an_assignment_is_awaited_of_the_leader() {
        let leader = MemberStatus { owes_sync: true, is_leader: true, ..member("boss", false) };
        let status = group(State::CompletingRebalance, vec![member("here", false), leader]);
        let found = rebalance(&status, 2_000).unwrap();
        assert!(found.sentence.contains("generation 4") && found.sentence.contains("its leader, boss"), "{found:?}");
    }

    #[test]
    fn a_member_without_partitions_hears_who_has_them() {
        let with = |id: &str, assigned| MemberStatus { assigned, ..member(id, false) };
        let status = group(State::Stable, vec![with("a", Some(2)), with("b", Some(0)), with("c", Some(1))]);
        let found = idle(&status, "b").unwrap();
        assert_eq!(
            (found.what, found.sentence.as_str()),
            ("no_partitions", "it was given no partitions: 2 of the 3 members have all 3 that are shared out")
        );
        assert!(idle(&status, "a").is_none() && idle(&status, "nobody").is_none());
        let unknown = group(State::Stable, vec![with("b", None)]);
        assert!(idle(&unknown, "b").is_none());
    }

    #[test]
    fn the_first_rebalance_only_waits_for_more() {
        let status = GroupStatus { is_initial: true, ..group(State::PreparingRebalance, vec![member("a", true)]) };
        assert_eq!(rebalance(&status, 2_000).unwrap().what, "first_rebalance");
    }
}

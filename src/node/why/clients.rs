//! What one client waits for: its requests that wait, what was refused, and the address that it was told and does not come to.

use kafka_protocol::messages::ApiKey;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::groups::Statuses;
use super::{Finding, advice, groups, told};
use crate::api::Broker;
use crate::api::activity::{Activity, FetchWait, Membership, Wait};
use crate::api::connections::Closed;
use crate::api::context::Connection;
use crate::coordinator::group::classic::status::GroupStatus;

/// A consumer that has read all that there is: the usual state of one that is well.
pub const AT_LOG_END: &str = "at_log_end";

/// Refusals older than this are no answer any more.
const REFUSED_LATELY: Duration = Duration::from_secs(300);
/// A client that was told an address and has not come to it after this is probably unable to.
const COMING: Duration = Duration::from_secs(3);
/// A fetch between two others is as good as one that waits.
const BETWEEN_FETCHES: Duration = Duration::from_secs(1);
/// A shorter wait is no news.
const WAIT_WORTH_TELLING: Duration = Duration::from_millis(100);
/// Partitions that are named; of more, only the number is told.
const MOST_NAMED: usize = 5;

/// What a client asks of whichever broker it reaches first (librdkafka also for its group's coordinator and its producer id).
const BOOTSTRAP_APIS: &[i16] = &[
    ApiKey::ApiVersions as i16,
    ApiKey::Metadata as i16,
    ApiKey::DescribeCluster as i16,
    ApiKey::SaslHandshake as i16,
    ApiKey::GetTelemetrySubscriptions as i16,
    ApiKey::FindCoordinator as i16,
    ApiKey::InitProducerId as i16,
];

/// All that keeps a client waiting. `closed` are all connections that ended lately.
pub async fn findings(
    broker: &Broker,
    statuses: &mut Statuses<'_>,
    client_id: &str,
    host: IpAddr,
    connections: &[Arc<Connection>],
    closed: &[Closed],
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut members: Vec<Membership> = Vec::new();
    for connection in connections {
        let activity = &connection.activity;
        found.extend(memory(broker, activity));
        found.extend(acknowledgement(activity));
        found.extend(fetch(broker, activity));
        if let Some(member) = activity.membership().filter(|member| !members.contains(member)) {
            members.push(member);
        }
    }
    for member in &members {
        found.extend(group(broker, statuses, member, connections).await);
    }
    let gone = closed.iter().filter(|gone| !gone.by_fault).map(|gone| &gone.connection);
    let of_client = |one: &&Arc<Connection>| *one.activity.client_id() == *client_id && one.client_address.ip() == host;
    let gone: Vec<&Arc<Connection>> = gone.filter(of_client).collect();
    for connection in connections.iter().chain(gone.iter().copied()) {
        let refusals = connection.activity.refusals();
        found.extend(refusals.iter().filter(|one| one.last.elapsed() < REFUSED_LATELY).map(advice::of_refusal));
    }
    found.extend(unreachable(connections, &gone));
    let mut kept: Vec<Finding> = Vec::new();
    for finding in found {
        if !kept.contains(&finding) {
            kept.push(finding);
        }
    }
    kept
}

fn memory(broker: &Broker, activity: &Activity) -> Vec<Finding> {
    let request = activity.waited(Wait::RequestMemory).map(|waited| {
        let said = format!("its next request waits {} for memory: the requests of all clients have taken all of queued.max.request.bytes", told(waited));
        Finding::new("waiting_for_memory", said, "look for clients that send much and read their replies late; raise queued.max.request.bytes if there is memory")
    });
    let read = activity.waited(Wait::ReadMemory).filter(|waited| *waited >= WAIT_WORTH_TELLING).map(|waited| {
        let bytes = broker.read_memory.total_bytes();
        let said = format!("its fetch waits {} for memory to read into: consumers hold all {bytes} bytes of ottla.store.read.memory.bytes", told(waited));
        Finding::new("waiting_for_memory", said, "look for consumers that do not read their replies; raise ottla.store.read.memory.bytes if there is memory")
    });
    request.into_iter().chain(read).collect()
}

fn acknowledgement(activity: &Activity) -> Option<Finding> {
    let waited = activity.waited(Wait::Acknowledgement).filter(|waited| *waited >= WAIT_WORTH_TELLING)?;
    Some(Finding::new(
        "waiting_for_acknowledgement",
        format!(
            "its produce waits {} for its records to be on stable storage, or on the replicas in sync",
            told(waited)
        ),
        "look at the disk's latency (a sync is awaited with acks=all), and at the replicas",
    ))
}

/// A fetch that waits, or has just waited.
fn fetch(broker: &Broker, activity: &Activity) -> Option<Finding> {
    let waited = activity.waited(Wait::FetchBytes);
    let last = activity.recent().first().copied()?;
    let between = last.api_key == ApiKey::Fetch as i16 && last.ago < BETWEEN_FETCHES;
    if waited.is_none() && !between {
        return None;
    }
    let wait = activity.last_fetch()?;
    fetch_finding(broker, &wait, waited)
}

fn fetch_finding(broker: &Broker, wait: &FetchWait, waited: Option<Duration>) -> Option<Finding> {
    let image = broker.cluster.image();
    let (mut at_end, mut behind) = (Vec::new(), Vec::new());
    for wanted in &wait.fetch.partitions {
        let topic =
            if wanted.topic_id.is_nil() { image.topic(&wanted.topic) } else { image.topic_by_id(&wanted.topic_id) };
        let Some(topic) = topic else { continue };
        let Some(partition) = broker.replicas.partition(topic.id, wanted.partition) else { continue };
        let end = if wait.read_committed { partition.last_stable_offset() } else { partition.high_watermark() };
        let name = format!("{}-{}", topic.name, wanted.partition);
        match end.saturating_sub(wanted.fetch_offset) {
            left @ 1.. => behind.push(format!("{name} ({left} records)")),
            _ if end == partition.log().start_offset() => at_end.push(format!("{name} (it has no records)")),
            _ => at_end.push(format!("{name} at offset {end}")),
        }
    }
    // Records have come, and the client is about to have them.
    if waited.is_none() && !behind.is_empty() {
        return None;
    }
    let since = waited.map_or_else(String::new, |waited| format!(" since {}", told(waited)));
    let time = told(wait.max_wait);
    if behind.is_empty() {
        return Some(Finding::new(
            AT_LOG_END,
            format!(
                "its fetch waits{since} for new records, up to {time}: it has read all that there is of {}",
                some_of(&at_end)
            ),
            "if records should be there, look whether the producer sends them to these topics and partitions",
        ));
    }
    Some(Finding::new(
        "below_min_bytes",
        format!(
            "its fetch waits{since}, up to {time}, for fetch.min.bytes={} to come together: there is {}",
            wait.min_bytes,
            some_of(&behind)
        ),
        "lower fetch.min.bytes or fetch.max.wait.ms of the consumer if it should have records sooner",
    ))
}

fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST_NAMED) {
        Some(more @ 1..) => format!("{shown} and {more} more partitions"),
        _ if names.is_empty() => "no partition".to_owned(),
        _ => shown,
    }
}

/// What its group waits for, or that it is no member of it.
async fn group(
    broker: &Broker,
    statuses: &mut Statuses<'_>,
    member: &Membership,
    connections: &[Arc<Connection>],
) -> Option<Finding> {
    let waits = connections
        .iter()
        .any(|one| one.activity.waited(Wait::JoinPhase).is_some() || one.activity.waited(Wait::Assignment).is_some());
    let status = match statuses.of(&member.group_id).await {
        Ok(status) => status,
        Err(error) => {
            let said = format!("the coordinator of its group {} does not answer: {error}", member.group_id);
            return Some(Finding::new(
                "coordinator",
                said,
                "wait; if it goes on, look for `coordinator` in the broker's log",
            ));
        }
    };
    let rebalance = status.as_ref().and_then(|status| groups::rebalance(status, broker.clock.wall_ms()));
    if let Some(found) = rebalance {
        let own = if waits { "its request waits for its group" } else { "its group" };
        return Some(Finding { sentence: format!("{own} {}: {}", member.group_id, found.sentence), ..found });
    }
    if let Some(found) = status.as_ref().and_then(|status| groups::idle(status, &member.member_id)) {
        return Some(Finding {
            sentence: format!("as a member of group {}, {}", member.group_id, found.sentence),
            ..found
        });
    }
    (!waits && !member.member_id.is_empty() && !is_member(status.as_ref(), &member.member_id)).then(|| {
        Finding::new(
            "not_a_member",
            format!("it speaks as member {} of group {}, which is none of its members", member.member_id, member.group_id),
            "its session or max.poll.interval.ms ended, or another consumer took its group.instance.id (the broker's log says which): it has to join again, which it does when it polls",
        )
    })
}

fn is_member(status: Option<&GroupStatus>, member_id: &str) -> bool {
    status.is_some_and(|status| {
        status.members.iter().any(|known| &*known.member_id == member_id)
            || status.expected.iter().any(|id| &**id == member_id)
    })
}

/// Whether the client was told where this broker is, and has not come there: it reached another address, and has asked for nothing but the way since.
fn unreachable(connections: &[Arc<Connection>], gone: &[&Arc<Connection>]) -> Option<Finding> {
    let all = || connections.iter().chain(gone.iter().copied());
    if all().any(|connection| connection.activity.asked_more_than(BOOTSTRAP_APIS)) {
        return None;
    }
    let (connection, address) = all()
        .filter_map(|one| Some((one, one.activity.address_told()?)))
        .find(|(_, told)| told.first.elapsed() > COMING)?;
    let reached = connection.local_address;
    if *address.host == *reached.ip().to_string() && address.port == i32::from(reached.port()) {
        return None;
    }
    // Somebody who came to the address comes with another connection: through another port or listener, it would show among these.
    let came = all().any(|one| i32::from(one.local_address.port()) == address.port && one.local_address != reached);
    if came {
        return None;
    }
    let (host, port, ago) = (&address.host, address.port, told(address.first.elapsed()));
    Some(Finding::guess(
        "advertised_address_unreachable",
        format!(
            "it reached {reached} (listener {}), was told {ago} ago to go on to {host}:{port}, and has asked for nothing but metadata since: it cannot resolve or reach {host}:{port}",
            connection.listener
        ),
        format!(
            "make {host}:{port} reachable for it, or give its listener an address in advertised.listeners that is (one listener per network: inside the containers, on the host)"
        ),
    ))
}

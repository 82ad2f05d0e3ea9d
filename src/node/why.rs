//! The page `/why`: why is this client stuck? Puts what connections, coordinators, partitions and stores know anyway into sentences, each with what to do.
//!
//! Looks only: it changes nothing, and takes no lock for longer than a copy. Sentences are for people; programs go by `what`.

mod advice;
mod clients;
mod groups;

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

use crate::api::Broker;
use crate::api::connections::Closed;
use crate::api::context::Connection;
use crate::net::http::WhyAsked;
use crate::net::limits::{Blocked, BlockedBy, ConnectionLimits};
use crate::store::Health;
use groups::{GroupReport, Statuses};

/// How long ago a connection may have ended to be told of.
const CLOSED_LATELY: Duration = Duration::from_secs(600);
/// Ids that are named where none fits.
const MOST_NAMED: usize = 20;

/// One thing that keeps a client waiting, or kept it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which kind of thing, for programs.
    pub what: &'static str,
    pub sentence: String,
    /// What to do about it; empty where nothing is to be done.
    pub advice: String,
    /// False where the broker can only guess.
    pub certain: bool,
}

impl Finding {
    fn new(what: &'static str, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, sentence: sentence.into(), advice: advice.into(), certain: true }
    }

    fn guess(what: &'static str, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { certain: false, ..Self::new(what, sentence, advice) }
    }
}

#[derive(Clone, Debug, Serialize)]
struct ConnectionReport {
    address: String,
    listener: Arc<str>,
    open_ms: u64,
    requests: u64,
    /// The newest requests, the last one first, as `Fetch v17, 12 ms ago`.
    recent: Vec<String>,
}

/// The connections of one client: those with the same client id from the same address.
#[derive(Clone, Debug, Serialize)]
struct ClientReport {
    client_id: Arc<str>,
    host: IpAddr,
    software: Option<String>,
    connections: Vec<ConnectionReport>,
    findings: Vec<Finding>,
}

/// A connection that the broker ended for what its client did.
#[derive(Clone, Debug, Serialize)]
struct ClosedReport {
    client_id: Arc<str>,
    address: String,
    ago_ms: u64,
    /// How often in a row.
    times: u64,
    #[serde(flatten)]
    finding: Finding,
}

#[derive(Clone, Debug, Serialize)]
struct Page {
    /// What concerns every client.
    node: Vec<Finding>,
    groups: Vec<GroupReport>,
    clients: Vec<ClientReport>,
    closed: Vec<ClosedReport>,
    /// Said where there is nothing else to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// The page, as JSON or as text. Waits for coordinators: not for an async worker.
pub fn page(broker: &Broker, limits: &[Arc<ConnectionLimits>], asked: &WhyAsked) -> String {
    let Ok(runtime) = Handle::try_current() else { return String::new() };
    shown(&runtime.block_on(make(broker, limits, asked)), asked)
}

/// The page of a node that serves nobody yet, with what it waits for.
pub fn before_it_serves(awaited: &str, asked: &WhyAsked) -> String {
    let finding = Finding::new("starting", awaited, "wait: clients that connect now are served when it is ready");
    let page = Page { node: vec![finding], groups: vec![], clients: vec![], closed: vec![], note: None };
    shown(&page, asked)
}

fn shown(page: &Page, asked: &WhyAsked) -> String {
    if asked.as_text {
        return text(page);
    }
    serde_json::to_string(page).map_or_else(|error| format!("{{\"note\":\"{error}\"}}\n"), |json| json + "\n")
}

async fn make(broker: &Broker, limits: &[Arc<ConnectionLimits>], asked: &WhyAsked) -> Page {
    let (open, closed) = (broker.connections.open(), lately(broker.connections.closed_lately()));
    let mut clients: BTreeMap<(Arc<str>, IpAddr), Vec<Arc<Connection>>> = BTreeMap::new();
    for connection in &open {
        let key = (connection.activity.client_id(), connection.client_address.ip());
        clients.entry(key).or_default().push(Arc::clone(connection));
    }
    // A client that only bootstraps may close what it came by.
    for gone in closed.iter().filter(|gone| !gone.by_fault) {
        let key = (gone.connection.activity.client_id(), gone.connection.client_address.ip());
        if let std::collections::btree_map::Entry::Vacant(place) = clients.entry(key) {
            place.insert(Vec::new());
        }
    }
    let is_all = asked.client.is_none() && asked.group.is_none();
    let mut statuses = Statuses::new(broker);
    let mut reports = Vec::new();
    for ((client_id, host), connections) in &clients {
        let is_asked = asked.client.as_deref().is_some_and(|name| is_called(name, client_id, *host, connections))
            || asked.group.as_deref().is_some_and(|group| connections.iter().any(|one| speaks_in(one, group)));
        if !is_asked && !is_all {
            continue;
        }
        let findings = clients::findings(broker, &mut statuses, client_id, *host, connections, &closed).await;
        // Where nobody in particular was asked for, those that have nothing to complain of are left out; those that are gone always.
        let silent = findings.is_empty() || findings.iter().all(|finding| finding.what == clients::AT_LOG_END);
        if (silent && is_all) || (connections.is_empty() && findings.is_empty()) {
            continue;
        }
        reports.push(client_report(client_id, *host, connections, findings));
    }
    let group = asked.group.as_deref();
    let groups = match group {
        Some(group) => vec![groups::report(broker, &mut statuses, group).await],
        None => Vec::new(),
    };
    let ended = closed.iter().filter(|gone| {
        gone.by_fault && (is_all || asked.client.as_deref().is_some_and(|name| is_closed_of(name, gone)))
    });
    let mut page = Page {
        node: node(broker, limits),
        groups,
        clients: reports,
        closed: ended.map(closed_report).collect(),
        note: None,
    };
    page.note = note(&page, asked, &clients);
    page
}

fn lately(mut closed: Vec<Closed>) -> Vec<Closed> {
    closed.retain(|gone| gone.at.elapsed() < CLOSED_LATELY);
    closed
}

/// Whether a client is meant by a name: its id, its host, or the address of one of its connections.
fn is_called(name: &str, client_id: &str, host: IpAddr, connections: &[Arc<Connection>]) -> bool {
    name == client_id
        || name == host.to_string()
        || connections.iter().any(|connection| name == connection.client_address.to_string())
}

fn is_closed_of(name: &str, gone: &Closed) -> bool {
    let connection = &gone.connection;
    is_called(name, &connection.activity.client_id(), connection.client_address.ip(), std::slice::from_ref(connection))
}

fn speaks_in(connection: &Connection, group: &str) -> bool {
    connection.activity.membership().is_some_and(|member| &*member.group_id == group)
}

/// What keeps every client waiting.
fn node(broker: &Broker, limits: &[Arc<ConnectionLimits>]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = limits.iter().flat_map(|limits| limits.blocked()).map(no_place).collect();
    for store in broker.replicas.stores() {
        let path = store.path().display();
        match store.health() {
            Health::Writable => {}
            Health::ReadOnly { reason } => findings.push(Finding::new(
                "read_only_store",
                format!("log directory {path} takes no more records since a write failed: {reason}"),
                "look at the disk, then restart the broker: it reads what is there and goes on",
            )),
            Health::LowSpace { free_bytes, needed_bytes } => findings.push(Finding::new(
                "low_space",
                format!("log directory {path} has {free_bytes} bytes free and takes no records below {needed_bytes}"),
                "make space: delete topics or records, or give the volume more; records are taken again by themselves then",
            )),
        }
    }
    findings
}

/// That a new connection waits: the broker does not know whose, because it reads nothing of it yet.
fn no_place(blocked: Blocked) -> Finding {
    let Blocked { listener, since, by } = blocked;
    let since = told(since.elapsed());
    let said = match by {
        BlockedBy::Connections { key, most } => {
            format!("new connections to listener {listener} wait since {since}: all {most} that {key} allows are open")
        }
        BlockedBy::Rate { key, most } => {
            format!(
                "new connections to listener {listener} wait since {since}: more than {most} a second come, which is what {key} allows"
            )
        }
    };
    let advice = "look for clients that connect too often or leave connections open (this page names all when asked for an address); the limit can be raised while the broker runs";
    Finding::new("no_more_connections", said, advice)
}

fn client_report(
    client_id: &Arc<str>,
    host: IpAddr,
    connections: &[Arc<Connection>],
    findings: Vec<Finding>,
) -> ClientReport {
    let software = connections.iter().find_map(|connection| connection.software());
    ClientReport {
        client_id: Arc::clone(client_id),
        host,
        software: software.map(|software| format!("{} {}", software.name, software.version)),
        connections: connections.iter().map(|connection| connection_report(connection)).collect(),
        findings,
    }
}

fn connection_report(connection: &Connection) -> ConnectionReport {
    let recent = connection.activity.recent();
    ConnectionReport {
        address: connection.client_address.to_string(),
        listener: Arc::clone(&connection.listener),
        open_ms: millis(connection.activity.began().elapsed()),
        requests: connection.activity.requests(),
        recent: recent
            .iter()
            .map(|asked| format!("{} v{}, {} ago", advice::api_name(asked.api_key), asked.api_version, told(asked.ago)))
            .collect(),
    }
}

fn closed_report(gone: &Closed) -> ClosedReport {
    let connection = &gone.connection;
    ClosedReport {
        client_id: connection.activity.client_id(),
        address: connection.client_address.to_string(),
        ago_ms: millis(gone.at.elapsed()),
        times: gone.times,
        finding: advice::of_closed(&gone.why, &connection.listener),
    }
}

/// What to say when the page is empty.
fn note(page: &Page, asked: &WhyAsked, clients: &BTreeMap<(Arc<str>, IpAddr), Vec<Arc<Connection>>>) -> Option<String> {
    if !page.clients.is_empty() || !page.closed.is_empty() || !page.groups.is_empty() {
        return None;
    }
    let Some(name) = &asked.client else {
        return Some("no client waits for anything but new records, and none was refused anything lately".to_owned());
    };
    let there = clients.iter().filter(|(_, connections)| !connections.is_empty());
    let mut names: Vec<String> = there.map(|((id, host), _)| format!("{id:?} from {host}")).collect();
    names.truncate(MOST_NAMED);
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Some(format!(
        "no connection of a client that is called {name} (by client.id or address), nor one that was closed in the last {}; connected are: {names}. A client that never appears here does not reach this broker: look at its bootstrap.servers, at name resolution and at firewalls",
        told(CLOSED_LATELY)
    ))
}

/// The page for people.
fn text(page: &Page) -> String {
    let mut out = String::new();
    let mut say = |who: &str, findings: &[Finding]| {
        for finding in findings {
            let guess = if finding.certain { "" } else { "probably: " };
            let _ = writeln!(out, "{who}: {guess}{}", finding.sentence);
            if !finding.advice.is_empty() {
                let _ = writeln!(out, "    what to do: {}", finding.advice);
            }
        }
    };
    say("this broker", &page.node);
    for group in &page.groups {
        say(&format!("group {}", group.group), &group.findings);
    }
    for client in &page.clients {
        let software = client.software.as_ref().map_or_else(String::new, |software| format!(", {software}"));
        let who = format!("client {:?} ({}{software})", client.client_id, client.host);
        if client.findings.is_empty() {
            let last = client.connections.iter().filter_map(|connection| connection.recent.first()).next();
            let last = last
                .map_or_else(|| "it has asked nothing yet".to_owned(), |last| format!("its last request was {last}"));
            say(&who, &[Finding::new("nothing", format!("nothing here keeps it waiting; {last}"), "")]);
        }
        say(&who, &client.findings);
    }
    for closed in &page.closed {
        let times = if closed.times == 1 { String::new() } else { format!(", {} times", closed.times) };
        let who = format!(
            "client {:?} ({}), {} ago{times}",
            closed.client_id,
            closed.address,
            told(Duration::from_millis(closed.ago_ms))
        );
        say(&who, std::slice::from_ref(&closed.finding));
    }
    if let Some(note) = &page.note {
        let _ = writeln!(out, "{note}");
    }
    // Names come from clients; what is printed must not move a terminal's cursor.
    out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A time as people say it.
pub(super) fn told(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..=9_999 => format!("{ms} ms"),
        _ if duration.as_secs() < 600 => format!("{} s", duration.as_secs()),
        _ => format!("{} min", duration.as_secs() / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_are_called_moves_no_cursor() {
        let finding = Finding::guess("x", "waits for \u{1b}[2J\r", "wait");
        let group =
            GroupReport { group: Arc::from("g\n"), state: "Stable", generation: None, members: 0, findings: vec![] };
        let page = Page { node: vec![finding], groups: vec![group], clients: vec![], closed: vec![], note: None };
        assert_eq!(text(&page), "this broker: probably: waits for \u{fffd}[2J\u{fffd}\n    what to do: wait\n");
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        let times = [0, 9_999, 10_000, 599_000, 600_000].map(|ms| told(Duration::from_millis(ms)));
        assert_eq!(times, ["0 ms", "9999 ms", "10 s", "599 s", "10 min"]);
    }
}

//! `--reset-offsets`: works out where each partition's offset goes, and commits it when told to execute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use super::plan::{self, Plan};
use super::{
    ALL_TOPICS, BY_DURATION, EXECUTE, FROM_FILE, Failed, GROUP, RESET_OFFSETS, SCENARIOS, SHIFT_BY, TO_CURRENT,
    TO_DATETIME, TO_EARLIEST, TO_LATEST, TO_OFFSET, TOPIC, cluster, groups, wrapped_cause,
};
use crate::client::Client;
use crate::client::consumer::{Partition, Position};
use crate::tools::options::{Opt, Parsed};
use crate::tools::times;
use crate::tools::{Fault, Terminal};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const GROUP_ID_NOT_FOUND: i16 = 69;

type Offsets = BTreeMap<Partition, i64>;

/// What is to be committed (and was, with `--execute`), by group. A group with members has nothing.
pub(super) async fn plan(client: &Client, parsed: &Parsed, terminal: &mut Terminal) -> Result<Plan, Failed> {
    let mut plan = Plan::new();
    for group_id in groups(client, parsed).await? {
        let state = match cluster::describe(client, &group_id).await {
            Ok(group) => group.state,
            Err(fault) if fault.server_code() == Some(GROUP_ID_NOT_FOUND) => "Dead".into(),
            Err(fault) => return Err(wrapped_cause("describeConsumerGroups")(fault)),
        };
        let offsets = match state.as_str() {
            "Empty" | "Dead" => reset(client, parsed, terminal, &group_id).await?,
            state => {
                terminal.line(format_args!(
                    "\nError: Assignments can only be reset if the group '{group_id}' is inactive, but the current state is {state}."
                ));
                Offsets::new()
            }
        };
        plan.insert(group_id, offsets);
    }
    Ok(plan)
}

async fn reset(client: &Client, parsed: &Parsed, terminal: &mut Terminal, group_id: &str) -> Result<Offsets, Failed> {
    let partitions = partitions(client, parsed, group_id).await?;
    check_there(client, &partitions).await?;
    let offsets = offsets(client, parsed, terminal, group_id, &partitions).await?;
    if parsed.has(EXECUTE) {
        cluster::commit(client, group_id, &offsets).await?;
    }
    Ok(offsets)
}

async fn committed(client: &Client, group_id: &str) -> Result<BTreeMap<Partition, Position>, Failed> {
    cluster::committed(client, group_id).await.map_err(wrapped_cause("listConsumerGroupOffsets"))
}

/// The partitions that are meant.
async fn partitions(client: &Client, parsed: &Parsed, group_id: &str) -> Result<BTreeSet<Partition>, Failed> {
    if parsed.has(ALL_TOPICS) {
        return Ok(committed(client, group_id).await?.into_keys().collect());
    }
    if !parsed.has(TOPIC) {
        if !parsed.has(FROM_FILE) {
            return Err(Failed::Usage("One of the reset scopes should be defined: --all-topics, --topic.".into()));
        }
        return Ok(BTreeSet::new());
    }
    let (mut partitions, mut whole) = (BTreeSet::new(), BTreeSet::new());
    for argument in parsed.all(TOPIC) {
        match plan::topic_argument(argument).map_err(Failed::Usage)? {
            (topic, Some(numbers)) => partitions.extend(numbers.into_iter().map(|number| (topic.clone(), number))),
            (topic, None) => drop(whole.insert(topic)),
        }
    }
    for (topic, outcome) in cluster::topics(client, &whole).await? {
        let known = outcome.map_err(Fault::from)?;
        partitions.extend(known.keys().map(|number| (topic.clone(), *number)));
    }
    Ok(partitions)
}

/// # Errors
/// Partitions that do not exist, or have no leader.
async fn check_there(client: &Client, partitions: &BTreeSet<Partition>) -> Result<(), Failed> {
    let names = partitions.iter().map(|(topic, _)| topic.clone()).collect();
    let mut known = BTreeMap::new();
    for (topic, outcome) in cluster::topics(client, &names).await.map_err(wrapped_cause("describeTopics"))? {
        known.insert(topic, outcome.map_err(|error| wrapped_cause("describeTopics")(error.into()))?);
    }
    let leader = |(topic, partition): &&Partition| known.get(topic.as_str()).and_then(|leaders| leaders.get(partition));
    let list = |found: Vec<&Partition>| {
        found.iter().map(|(topic, partition)| format!("{topic}-{partition}")).collect::<Vec<_>>().join(",")
    };
    let missing: Vec<&Partition> = partitions.iter().filter(|partition| leader(partition).is_none()).collect();
    if !missing.is_empty() {
        return Err(Failed::Told(format!("The partitions \"{}\" do not exist", list(missing))));
    }
    let leaderless: Vec<&Partition> =
        partitions.iter().filter(|partition| leader(partition).is_some_and(|leader| *leader < 0)).collect();
    match leaderless.is_empty() {
        true => Ok(()),
        false => Err(Failed::Told(format!("The partitions \"{}\" have no leader", list(leaderless)))),
    }
}

async fn ends(client: &Client, partitions: &BTreeSet<Partition>, timestamp: i64) -> Result<Offsets, Failed> {
    cluster::offsets(client, partitions, timestamp).await.map_err(wrapped_cause("listOffsets"))
}

/// All of `partitions` must have an offset.
fn all(partitions: &BTreeSet<Partition>, found: Offsets, what: &str) -> Result<Offsets, Failed> {
    match partitions.iter().find(|partition| !found.contains_key(*partition)) {
        Some((topic, partition)) => {
            Err(Failed::Usage(format!("Error getting {what} of topic partition: {topic}-{partition}")))
        }
        None => Ok(found),
    }
}

async fn offsets(
    client: &Client,
    parsed: &Parsed,
    terminal: &mut Terminal,
    group_id: &str,
    partitions: &BTreeSet<Partition>,
) -> Result<Offsets, Failed> {
    let same = |offset: i64| partitions.iter().map(|partition| (partition.clone(), offset)).collect::<Offsets>();
    if let Some(offset) = number(parsed, TO_OFFSET)? {
        return in_range(client, terminal, same(offset)).await;
    }
    if parsed.has(TO_EARLIEST) {
        return all(partitions, ends(client, partitions, EARLIEST).await?, "starting offset");
    }
    if parsed.has(TO_LATEST) {
        return all(partitions, ends(client, partitions, LATEST).await?, "ending offset");
    }
    if let Some(shift) = number(parsed, SHIFT_BY)? {
        let committed = committed(client, group_id).await?;
        let mut shifted = Offsets::new();
        for partition in partitions {
            let Some(current) = committed.get(partition) else {
                let name = format!("{}-{}", partition.0, partition.1);
                let why =
                    format!("Cannot shift offset for partition {name} since there is no current committed offset");
                return Err(Failed::Usage(why));
            };
            shifted.insert(partition.clone(), current.offset.saturating_add(shift));
        }
        return in_range(client, terminal, shifted).await;
    }
    if let Some(text) = parsed.value(TO_DATETIME)? {
        let timestamp =
            times::datetime_ms(text).map_err(|why| Failed::Told(format!("java.text.ParseException: {why}")))?;
        return by_time(client, terminal, partitions, timestamp).await;
    }
    if let Some(text) = parsed.value(BY_DURATION)? {
        let duration_ms = times::duration_ms(text).map_err(Failed::Told)?;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        return by_time(client, terminal, partitions, now_ms.saturating_sub(duration_ms)).await;
    }
    if let Some(path) = parsed.value(FROM_FILE)? {
        return from_file(client, parsed, terminal, group_id, path).await;
    }
    if parsed.has(TO_CURRENT) {
        let committed = committed(client, group_id).await?;
        let (with, without): (BTreeSet<Partition>, BTreeSet<Partition>) =
            partitions.iter().cloned().partition(|partition| committed.contains_key(partition));
        let mut current = all(&without, ends(client, &without, LATEST).await?, "ending offset")?;
        current.extend(with.into_iter().filter_map(|partition| {
            let offset = committed.get(&partition)?.offset;
            Some((partition, offset))
        }));
        return Ok(current);
    }
    let names: Vec<String> = SCENARIOS.iter().map(Opt::to_string).collect();
    let names = names.join(", ");
    Err(Failed::Usage(format!("Option '{RESET_OFFSETS}' requires one of the following scenarios: [{names}]")))
}

fn number(parsed: &Parsed, option: Opt) -> Result<Option<i64>, Failed> {
    // joptsimple's own errors are shown with the help.
    parsed.number(option).map_err(|fault| Failed::Usage(fault.message("")))
}

async fn in_range(client: &Client, terminal: &mut Terminal, wanted: Offsets) -> Result<Offsets, Failed> {
    let partitions = wanted.keys().cloned().collect();
    let starts = ends(client, &partitions, EARLIEST).await?;
    let last = ends(client, &partitions, LATEST).await?;
    let (kept, warnings) = plan::within_range(wanted, &starts, &last);
    for warning in warnings {
        terminal.error(format_args!("WARN {warning}"));
    }
    Ok(kept)
}

async fn by_time(
    client: &Client,
    terminal: &mut Terminal,
    partitions: &BTreeSet<Partition>,
    timestamp: i64,
) -> Result<Offsets, Failed> {
    let found = ends(client, partitions, timestamp).await?;
    let (later, none): (Offsets, Offsets) = found.into_iter().partition(|(_, offset)| *offset != -1);
    for (topic, partition) in none.keys() {
        terminal.line(format_args!(
            "\nWarn: Partition {partition} from topic {topic} is empty. Falling back to latest known offset."
        ));
    }
    let mut all_found = later;
    all_found.extend(ends(client, &none.into_keys().collect(), LATEST).await?);
    all(partitions, all_found, "offset by timestamp")
}

async fn from_file(
    client: &Client,
    parsed: &Parsed,
    terminal: &mut Terminal,
    group_id: &str,
    path: &str,
) -> Result<Offsets, Failed> {
    let text = std::fs::read_to_string(path)
        .map_err(|_| Failed::Told(format!("java.io.IOException: Unable to read file {path}")))?;
    let groups = parsed.all(GROUP);
    let single = if groups.len() == 1 { groups.first().copied() } else { None };
    let mut plan = plan::read_csv(&text, single).map_err(Failed::Told)?;
    let Some(wanted) = plan.remove(group_id) else {
        terminal.line(format_args!("\nError: No reset plan for group {group_id} found"));
        return Ok(Offsets::new());
    };
    let partitions = wanted.keys().cloned().collect();
    check_there(client, &partitions).await?;
    in_range(client, terminal, wanted).await
}

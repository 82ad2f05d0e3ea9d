//! `kafka-consumer-groups`: list, describe, delete groups, delete and reset their offsets.

mod cluster;
mod plan;
mod reset;
mod show;

use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

use super::connect::{self, COMMAND_CONFIG};
use super::options::{Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on, java};
use crate::client::Client;
use crate::client::consumer::Partition;
use cluster::Listing;

const BOOTSTRAP_SERVER: Opt = Opt::value(
    "bootstrap-server",
    "server to connect to",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas. Needed for all but --validate-regex.",
);
const GROUP: Opt = Opt::value("group", "consumer group", Kind::Text, "The group to act on; may be given many times.");
const TOPIC: Opt = Opt::value(
    "topic",
    "topic",
    Kind::Text,
    "A topic whose offsets are reset or deleted, all its partitions or some: topic:0,1,2. May be given many times.",
);
const ALL_TOPICS: Opt = Opt::flag("all-topics", "Reset offsets of all topics for which the group has any.");
const LIST: Opt = Opt::flag("list", "List all consumer groups.");
const DESCRIBE: Opt = Opt::flag("describe", "Show a group: its offsets with their lag, its members or its state.");
const ALL_GROUPS: Opt = Opt::flag("all-groups", "Act on all consumer groups.");
const DELETE: Opt = Opt::flag("delete", "Delete groups with all their offsets.");
const TIMEOUT: Opt = Opt::value(
    "timeout",
    "timeout (ms)",
    Kind::Long,
    "How long one call may take, in milliseconds, with everything that is tried again.",
)
.preset("30000");
const RESET_OFFSETS: Opt = Opt::flag(
    "reset-offsets",
    "Set a group's offsets; the group must have no members. Only shows what it would do, unless --execute is given; --export shows it as CSV. \
     Needs --all-topics or --topic (but with --from-file), and one of --to-datetime, --by-duration, --to-earliest, --to-latest, --shift-by, --from-file, \
     --to-current, --to-offset.",
);
const DRY_RUN: Opt = Opt::flag("dry-run", "Only show what --reset-offsets would do.");
const EXECUTE: Opt = Opt::flag("execute", "Do what --reset-offsets says.");
const EXPORT: Opt = Opt::flag("export", "Show the outcome of --reset-offsets as CSV, which --from-file takes.");
const TO_OFFSET: Opt = Opt::value("to-offset", "offset", Kind::Long, "Reset to this offset.");
const FROM_FILE: Opt = Opt::value("from-file", "path to CSV file", Kind::File, "Reset to the offsets of a CSV file.");
const TO_DATETIME: Opt = Opt::value(
    "to-datetime",
    "datetime",
    Kind::Text,
    "Reset to the first record at or after this time: YYYY-MM-DDThh:mm:ss.sss, in UTC unless it ends in an offset like +02:00.",
);
const BY_DURATION: Opt = Opt::value(
    "by-duration",
    "duration",
    Kind::Text,
    "Reset to the first record at or after this long ago: PnDTnHnMnS.",
);
const TO_EARLIEST: Opt = Opt::flag("to-earliest", "Reset to the beginning of each log.");
const TO_LATEST: Opt = Opt::flag("to-latest", "Reset to the end of each log.");
const TO_CURRENT: Opt = Opt::flag("to-current", "Reset to what is committed, or to the end where nothing is.");
const SHIFT_BY: Opt = Opt::value(
    "shift-by",
    "number-of-offsets",
    Kind::Long,
    "Reset to what is committed, plus this many; may be negative.",
);
const MEMBERS: Opt = Opt::flag("members", "Describe the group's members.");
const VERBOSE: Opt = Opt::flag("verbose", "Describe more closely.");
const OFFSETS: Opt = Opt::flag("offsets", "Describe the group's offsets with their lag. This is the preset.");
const STATE: Opt = Opt::optional(
    "state",
    "String",
    Kind::Text,
    "With --describe: the group's state. With --list: the groups' states, or only groups in these states: --state stable,empty.",
);
const TYPE: Opt = Opt::optional(
    "type",
    "String",
    Kind::Text,
    "With --list: the groups' types, or only groups of these types: --type classic,consumer.",
);
const DELETE_OFFSETS: Opt = Opt::flag("delete-offsets", "Delete a group's offsets for topics.");
const VALIDATE_REGEX: Opt = Opt::value(
    "validate-regex",
    "regex",
    Kind::Text,
    "Say whether this is a regular expression that the cluster takes (RE2).",
);
const OUTPUT: Opt = Opt::value(
    "output",
    "format",
    Kind::Choice(&["text", "json"]),
    "How to show what was found: text as Kafka's tool, or json.",
)
.own();

pub(super) static TOOL: Tool = Tool {
    name: "kafka-consumer-groups",
    about: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.",
    grammar: Grammar::Jopt(&[
        BOOTSTRAP_SERVER,
        GROUP,
        TOPIC,
        ALL_TOPICS,
        LIST,
        DESCRIBE,
        ALL_GROUPS,
        DELETE,
        TIMEOUT,
        COMMAND_CONFIG,
        RESET_OFFSETS,
        DELETE_OFFSETS,
        DRY_RUN,
        EXECUTE,
        EXPORT,
        TO_OFFSET,
        FROM_FILE,
        TO_DATETIME,
        BY_DURATION,
        TO_EARLIEST,
        TO_LATEST,
        TO_CURRENT,
        SHIFT_BY,
        MEMBERS,
        VERBOSE,
        OFFSETS,
        STATE,
        TYPE,
        VALIDATE_REGEX,
        OUTPUT,
    ]),
    run,
};

const ACTIONS: [Opt; 6] = [LIST, DESCRIBE, DELETE, RESET_OFFSETS, DELETE_OFFSETS, VALIDATE_REGEX];
const SCENARIOS: [Opt; 8] =
    [TO_OFFSET, SHIFT_BY, TO_DATETIME, BY_DURATION, TO_EARLIEST, TO_LATEST, TO_CURRENT, FROM_FILE];

fn check(parsed: &Parsed, terminal: &mut Terminal) -> Result<(), Fault> {
    for (option, needs) in [
        (MEMBERS, &[DESCRIBE][..]),
        (VERBOSE, &[DESCRIBE]),
        (OFFSETS, &[DESCRIBE]),
        (STATE, &[DESCRIBE, LIST]),
        (TYPE, &[LIST]),
    ] {
        if parsed.has(option) && !needs.iter().any(|other| parsed.has(*other)) {
            return Err(Fault::thrown(format!(
                "Option(s) [{}] are unavailable given other options on the command line",
                option.name
            )));
        }
    }
    if !parsed.has(VALIDATE_REGEX) {
        parsed.check_required(&[BOOTSTRAP_SERVER])?;
    }
    let needs_group = |option: Opt| match parsed.has(GROUP) || parsed.has(ALL_GROUPS) {
        true => Ok(()),
        false => Err(Fault::usage(format!("Option {option} takes one of these options: {GROUP}, {ALL_GROUPS}"))),
    };
    if parsed.has(DESCRIBE) {
        needs_group(DESCRIBE)?;
        if [MEMBERS, OFFSETS, STATE].iter().filter(|option| parsed.has(**option)).count() > 1 {
            let names = format!("{MEMBERS}, {OFFSETS}, {STATE}");
            return Err(Fault::usage(format!("Option {DESCRIBE} takes at most one of these options: {names}")));
        }
        if parsed.value(STATE)?.is_some() {
            return Err(Fault::usage(format!("Option {DESCRIBE} does not take a value for {STATE}")));
        }
    }
    if parsed.has(DELETE) {
        needs_group(DELETE)?;
        if parsed.has(TOPIC) {
            return Err(Fault::usage(
                "The consumer does not support topic-specific offset deletion from a consumer group.",
            ));
        }
    }
    if parsed.has(DELETE_OFFSETS) && !(parsed.has(GROUP) && parsed.has(TOPIC)) {
        return Err(Fault::usage(format!("Option {DELETE_OFFSETS} takes the following options: {GROUP}, {TOPIC}")));
    }
    if parsed.has(RESET_OFFSETS) {
        check_reset(parsed, terminal)?;
        needs_group(RESET_OFFSETS)?;
        for used in SCENARIOS {
            let others: Vec<Opt> = SCENARIOS.iter().copied().filter(|other| other.name != used.name).collect();
            parsed.check_invalid(used, &others)?;
        }
    }
    parsed.check_invalid(GROUP, &[ALL_GROUPS])?;
    parsed.check_invalid(GROUP, &[LIST])?;
    parsed.check_invalid(TOPIC, &[LIST, DESCRIBE])
}

fn check_reset(parsed: &Parsed, terminal: &mut Terminal) -> Result<(), Fault> {
    match (parsed.has(DRY_RUN), parsed.has(EXECUTE)) {
        (true, true) => {
            return Err(Fault::usage(format!("Option {RESET_OFFSETS} only accepts one of {EXECUTE} and {DRY_RUN}")));
        }
        (false, false) => terminal.error(
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute \
             to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior \
             without prompting.",
        ),
        _ => {}
    }
    Ok(())
}

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    check(parsed, terminal)?;
    if ACTIONS.iter().filter(|action| parsed.has(**action)).count() != 1 {
        let names: Vec<String> = ACTIONS.iter().map(|action| format!("--{}", action.name)).collect();
        return Err(Fault::usage(format!("Command must include exactly one action: {}", names.join(", "))));
    }
    if let Some(regex) = parsed.value(VALIDATE_REGEX)? {
        terminal.line(validate(regex));
        return Ok(0);
    }
    let mut properties = connect::properties(parsed, COMMAND_CONFIG)?;
    if let Some(servers) = parsed.value(BOOTSTRAP_SERVER)? {
        properties.set("bootstrap.servers", servers);
    }
    properties.set_default("client.id", "adminclient-1");
    // Kafka's tool reads all numbers once it has begun: what is none is told as any other failure.
    let mut timeout_ms = 30_000;
    for option in [TO_OFFSET, SHIFT_BY, TIMEOUT] {
        match parsed.number::<i64>(option) {
            Ok(number) if option.name == TIMEOUT.name => timeout_ms = number.unwrap_or(timeout_ms),
            Ok(_) => {}
            Err(fault) => return Ok(tell(&fault.message(""), terminal)),
        }
    }
    properties.set("default.api.timeout.ms", timeout_ms.to_string());
    let client = connect::client(&properties, terminal)?;
    let done = block_on(async { Ok(act(&client, parsed, terminal).await) })?;
    match done {
        Ok(()) => Ok(0),
        Err(Failed::Usage(message)) => Err(Fault::usage(message)),
        Err(Failed::Told(message)) => Ok(tell(&message, terminal)),
    }
}

/// Kafka's tool says on standard output what went wrong, and ends as if nothing were.
fn tell(message: &str, terminal: &mut Terminal) -> u8 {
    terminal.line(format_args!("\nError: Executing consumer group command failed due to {message}"));
    0
}

/// How an action fails.
enum Failed {
    Usage(String),
    Told(String),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Usage(message) => Failed::Usage(message),
            fault => Failed::Told(fault.message("")),
        }
    }
}

/// Kafka's sentence for what a call's future fails with: the cause with its class.
fn cause(call: &str) -> impl Fn(Fault) -> Failed {
    move |fault| Failed::Told(fault.message_as_cause(call))
}

/// As [`cause`], where Kafka's tool wraps it once more.
fn wrapped_cause(call: &str) -> impl Fn(Fault) -> Failed {
    move |fault| Failed::Told(format!("java.util.concurrent.ExecutionException: {}", fault.message_as_cause(call)))
}

async fn act(client: &Client, parsed: &Parsed, terminal: &mut Terminal) -> Result<(), Failed> {
    let json = match parsed.value(OUTPUT)?.unwrap_or("text") {
        "text" => false,
        "json" => true,
        other => return Err(Failed::Usage(format!("Invalid value {other} for --output: text or json is expected"))),
    };
    if parsed.has(LIST) {
        list(client, parsed, terminal, json).await
    } else if parsed.has(DESCRIBE) {
        describe(client, parsed, terminal, json).await
    } else if parsed.has(DELETE) {
        delete(client, parsed, terminal, json).await
    } else if parsed.has(RESET_OFFSETS) {
        let plan = reset::plan(client, parsed, terminal).await?;
        match (parsed.has(EXPORT), json) {
            (true, _) => terminal.line(plan::write_csv(&plan, parsed.all(GROUP).len() == 1)),
            (false, true) => terminal.line(show::plan_json(&plan)),
            (false, false) => show::plan(&plan, terminal),
        }
        Ok(())
    } else {
        delete_offsets(client, parsed, terminal, json).await
    }
}

async fn groups(client: &Client, parsed: &Parsed) -> Result<Vec<String>, Failed> {
    if !parsed.has(ALL_GROUPS) {
        let given: BTreeSet<&str> = parsed.all(GROUP).into_iter().collect();
        return Ok(given.into_iter().map(str::to_owned).collect());
    }
    let types = ["Classic", "Consumer"].map(String::from);
    let all = cluster::list(client, &[], &types).await.map_err(wrapped_cause("listGroups"))?;
    Ok(all.into_iter().map(|group| group.group_id).collect())
}

async fn list(client: &Client, parsed: &Parsed, terminal: &mut Terminal, json: bool) -> Result<(), Failed> {
    let (with_type, with_state) = (parsed.has(TYPE), parsed.has(STATE));
    let states = states(parsed.value(STATE)?.unwrap_or_default())?;
    let types = types(parsed.value(TYPE)?.unwrap_or_default())?;
    let found = cluster::list(client, &states, &types).await;
    let found = match with_type || with_state {
        true => found.map_err(cause("listGroups"))?,
        false => found.map_err(wrapped_cause("listGroups"))?,
    };
    if json {
        let all: Vec<_> = found
            .iter()
            .map(|group| json!({"group": group.group_id, "type": group.group_type, "state": group.state, "protocolType": group.protocol_type}))
            .collect();
        terminal.line(serde_json::Value::Array(all));
        return Ok(());
    }
    match with_type || with_state {
        true => show::listings(&found, with_type, with_state, terminal),
        false => found.iter().for_each(|Listing { group_id, .. }| terminal.line(group_id)),
    }
    Ok(())
}

/// The states that a comma-separated list names, as the protocol spells them.
fn states(text: &str) -> Result<Vec<String>, Failed> {
    const VALID: [&str; 7] =
        ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"];
    named(text, &VALID)
        .ok_or_else(|| Failed::Usage(format!("Invalid state list '{text}'. Valid states are: {}", VALID.join(", "))))
}

fn types(text: &str) -> Result<Vec<String>, Failed> {
    const VALID: [&str; 2] = ["Classic", "Consumer"];
    match text.is_empty() {
        true => Ok(VALID.map(String::from).to_vec()),
        false => named(text, &VALID).ok_or_else(|| {
            Failed::Usage(format!("Invalid types list '{text}'. Valid types are: {}", VALID.join(", ")))
        }),
    }
}

/// `None` when one of the names is none of `valid`; case does not matter.
fn named(text: &str, valid: &[&str]) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let find =
        |name: &str| valid.iter().find(|known| known.eq_ignore_ascii_case(name.trim())).map(|known| known.to_string());
    text.split(',').map(find).collect()
}

async fn describe(client: &Client, parsed: &Parsed, terminal: &mut Terminal, json: bool) -> Result<(), Failed> {
    let mut described = BTreeMap::new();
    for group_id in groups(client, parsed).await? {
        let group = cluster::describe(client, &group_id).await.map_err(cause("describeConsumerGroups"))?;
        described.insert(group_id, group);
    }
    let verbose = parsed.has(VERBOSE);
    if parsed.has(MEMBERS) {
        match json {
            true => terminal.line(show::members_json(&described)),
            false => described.iter().for_each(|(id, group)| show::members(id, group, verbose, terminal)),
        }
    } else if parsed.has(STATE) {
        match json {
            true => terminal.line(show::states_json(&described)),
            false => described.iter().for_each(|(id, group)| show::state(id, group, verbose, terminal)),
        }
    } else {
        let mut all = Vec::new();
        for (group_id, group) in &described {
            let rows = show::offset_rows(client, group_id, group).await?;
            match json {
                true => all.extend(rows.iter().map(show::offset_json)),
                false => show::offsets(group_id, group, &rows, verbose, terminal),
            }
        }
        if json {
            terminal.line(serde_json::Value::Array(all));
        }
    }
    Ok(())
}

async fn delete(client: &Client, parsed: &Parsed, terminal: &mut Terminal, json: bool) -> Result<(), Failed> {
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for group_id in groups(client, parsed).await? {
        match cluster::delete(client, &group_id).await {
            Ok(()) => deleted.push(group_id),
            Err(fault) => failed.push((group_id, fault.message_as_cause("deleteConsumerGroups"))),
        }
    }
    if json {
        let failed: BTreeMap<_, _> = failed.into_iter().collect();
        terminal.line(json!({"deleted": deleted, "failed": failed}));
        return Ok(());
    }
    let deleted = java::hash_map_order(deleted, java::HASH_MAP_BUCKETS, |group| java::hash(group));
    let failed = java::hash_map_order(failed, java::HASH_MAP_BUCKETS, |(group, _)| java::hash(group));
    let quoted = deleted.iter().map(|group| format!("'{group}'")).collect::<Vec<_>>().join(", ");
    if failed.is_empty() {
        terminal.line(format_args!("Deletion of requested consumer groups ({quoted}) was successful."));
        return Ok(());
    }
    terminal.line("\nError: Deletion of some consumer groups failed:");
    for (group, error) in failed {
        terminal.line(format_args!("* Group '{group}' could not be deleted due to: {error}"));
    }
    if !deleted.is_empty() {
        terminal.line(format_args!("\nThese consumer groups were deleted successfully: {quoted}"));
    }
    Ok(())
}

async fn delete_offsets(client: &Client, parsed: &Parsed, terminal: &mut Terminal, json: bool) -> Result<(), Failed> {
    let group_id = parsed.value(GROUP)?.unwrap_or_default();
    let mut partitions: BTreeSet<Partition> = BTreeSet::new();
    let mut whole = BTreeSet::new();
    for argument in parsed.all(TOPIC) {
        match plan::topic_argument(argument).map_err(Failed::Usage)? {
            (topic, Some(numbers)) => partitions.extend(numbers.into_iter().map(|number| (topic.clone(), number))),
            (topic, None) => drop(whole.insert(topic)),
        }
    }
    let mut outcomes: BTreeMap<Partition, Option<String>> = BTreeMap::new();
    for (topic, outcome) in cluster::topics(client, &whole).await.map_err(cause("describeTopics"))? {
        match outcome {
            Ok(known) => partitions.extend(known.keys().map(|number| (topic.clone(), *number))),
            Err(error) => drop(outcomes.insert((topic, -1), Some(error.as_cause()))),
        }
    }
    let answer =
        cluster::delete_offsets(client, group_id, &partitions).await.map_err(cause("deleteConsumerGroupOffsets"))?;
    let first = match &answer {
        Ok(found) => partitions.iter().find_map(|partition| found.get(partition).cloned().flatten()),
        Err(error) => Some(error.clone()),
    };
    for partition in &partitions {
        let error = match &answer {
            Ok(found) => found.get(partition).cloned().flatten(),
            Err(error) => Some(error.clone()),
        };
        outcomes.insert(partition.clone(), error.map(|error| error.as_cause()));
    }
    if json {
        let rows = outcomes
            .iter()
            .map(|((topic, partition), error)| json!({"topic": topic, "partition": partition, "error": error}));
        terminal.line(serde_json::Value::Array(rows.collect()));
        return Ok(());
    }
    match first.as_ref().map(|error| (error.name(), error)) {
        None => terminal.line(format_args!("Request succeeded for deleting offsets from group {group_id}.")),
        Some(("INVALID_GROUP_ID" | "GROUP_ID_NOT_FOUND" | "GROUP_AUTHORIZATION_FAILED" | "NON_EMPTY_GROUP", error)) => {
            terminal.line(format_args!("\nError: {error}"));
        }
        Some(("GROUP_SUBSCRIBED_TO_TOPIC" | "TOPIC_AUTHORIZATION_FAILED" | "UNKNOWN_TOPIC_OR_PARTITION", _)) => {
            terminal.line("\nError: Encountered some partition-level error, see the follow-up details.");
        }
        Some((name, _)) => terminal.line(format_args!("\nError: Encountered some unknown error: {name}")),
    }
    show::deleted_offsets(&outcomes, terminal);
    Ok(())
}

/// Kafka checks with RE2; this crate's expressions are of the same family.
fn validate(regex: &str) -> String {
    match regex::Regex::new(regex) {
        Ok(_) => format!("The regular expression `{regex}` is valid."),
        Err(error) => {
            let told = error.to_string();
            let why = match told.rsplit("error: ").next().unwrap_or(&told).trim() {
                "unclosed character class" => "missing closing ]",
                "unclosed group" => "missing closing )",
                "unopened group" => "unexpected )",
                "repetition operator missing expression" => "missing argument to repetition operator",
                other => other,
            };
            format!("The regular expression `{regex}` is invalid: {why}.")
        }
    }
}

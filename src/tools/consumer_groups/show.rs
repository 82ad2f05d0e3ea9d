//! The tables of kafka-consumer-groups, column by column as Kafka's tool has them, and the same as JSON.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use super::cluster::{self, Group, Listing, Member};
use super::plan::Plan;
use super::{Failed, wrapped_cause};
use crate::client::Client;
use crate::client::consumer::Partition;
use crate::tools::{Terminal, java};

/// What stands where there is nothing.
const MISSING: &str = "-";
/// The least width of most columns.
const WIDTH: usize = 15;

fn or_missing<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| MISSING.to_owned(), |value| value.to_string())
}

fn widest<'a>(least: usize, texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).fold(least, usize::max)
}

/// Columns at the widths given, one blank between them; the last as it is.
fn row(widths: &[usize], cells: &[&str]) -> String {
    let mut out = String::new();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        match widths.get(index) {
            Some(width) => out.push_str(&format!("{cell:<width$}")),
            None => out.push_str(cell),
        }
    }
    out
}

pub(super) fn listings(groups: &[Listing], with_type: bool, with_state: bool, terminal: &mut Terminal) {
    let width = widest(WIDTH, groups.iter().map(|group| group.group_id.as_str())) + 10;
    let known = |text: &str| if text.is_empty() { "Unknown".to_owned() } else { text.to_owned() };
    let mut line = |group: &str, group_type: &str, state: &str| {
        let mut text = format!("{group:<width$}");
        for cell in [with_type.then_some(group_type), with_state.then_some(state)].into_iter().flatten() {
            text.push_str(&format!(" {cell:<20}"));
        }
        terminal.line(text);
    };
    line("GROUP", "TYPE", "STATE");
    for group in groups {
        line(&group.group_id, &known(&group.group_type), &known(&group.state));
    }
}

/// Tells of a group's state what its table does not. False when there is no table to show.
fn introduces(group_id: &str, state: &str, rows: usize, terminal: &mut Terminal) -> bool {
    match state {
        "Dead" => terminal.line(format_args!("\nError: Consumer group '{group_id}' does not exist.")),
        "Empty" => terminal.error(format_args!("\nConsumer group '{group_id}' has no active members.")),
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            terminal.error(format_args!("\nWarning: Consumer group '{group_id}' is rebalancing."));
        }
        _ => {}
    }
    state != "Dead" && rows > 0
}

/// A partition of a group, with who reads it.
#[derive(Clone, Debug)]
pub(super) struct OffsetRow {
    group: String,
    topic: String,
    partition: i32,
    leader_epoch: Option<i32>,
    offset: Option<i64>,
    log_end_offset: Option<i64>,
    member: Option<(String, String, String)>,
}

impl OffsetRow {
    fn lag(&self) -> Option<i64> {
        Some(self.log_end_offset?.saturating_sub(self.offset?))
    }
}

/// All partitions that members of the group have, then those that nobody has but for which offsets are committed.
pub(super) async fn offset_rows(client: &Client, group_id: &str, group: &Group) -> Result<Vec<OffsetRow>, Failed> {
    let committed = cluster::committed(client, group_id).await.map_err(wrapped_cause("listConsumerGroupOffsets"))?;
    let mut members: Vec<&Member> = group.members.iter().filter(|member| !member.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let assigned: BTreeSet<&Partition> = members.iter().flat_map(|member| &member.assignment).collect();
    let unassigned: BTreeSet<Partition> =
        committed.keys().filter(|partition| !assigned.contains(partition)).cloned().collect();
    let all: BTreeSet<Partition> =
        assigned.iter().map(|partition| (*partition).clone()).chain(unassigned.iter().cloned()).collect();
    let ends = cluster::offsets(client, &all, -1).await;
    let ends = ends.map_err(|fault| {
        Failed::Told(format!(
            "java.lang.RuntimeException: java.util.concurrent.ExecutionException: {}",
            fault.message_as_cause("describeTopics")
        ))
    })?;
    let row = |partition: &Partition, member: Option<&Member>| {
        let position = committed.get(partition);
        OffsetRow {
            group: group_id.to_owned(),
            topic: partition.0.clone(),
            partition: partition.1,
            leader_epoch: position.map(|position| position.leader_epoch).filter(|epoch| *epoch >= 0),
            offset: position.map(|position| position.offset),
            log_end_offset: ends.get(partition).copied(),
            member: member.map(|member| (member.member_id.clone(), member.host.clone(), member.client_id.clone())),
        }
    };
    let mut rows = Vec::new();
    for member in members {
        let sorted: BTreeSet<&Partition> = member.assignment.iter().collect();
        rows.extend(sorted.into_iter().map(|partition| row(partition, Some(member))));
    }
    rows.extend(unassigned.iter().map(|partition| row(partition, None)));
    Ok(rows)
}

pub(super) fn offsets(group_id: &str, group: &Group, rows: &[OffsetRow], verbose: bool, terminal: &mut Terminal) {
    if !introduces(group_id, &group.state, rows.len(), terminal) {
        return;
    }
    let cells = |row: &OffsetRow| {
        let (member, host, client) =
            row.member.clone().unwrap_or_else(|| (MISSING.into(), MISSING.into(), MISSING.into()));
        let mut cells = vec![row.group.clone(), row.topic.clone(), row.partition.to_string()];
        cells.extend(verbose.then(|| or_missing(row.leader_epoch)));
        cells.extend([
            or_missing(row.offset),
            or_missing(row.log_end_offset),
            or_missing(row.lag()),
            member,
            host,
            client,
        ]);
        cells
    };
    let table: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let mut header = vec!["GROUP", "TOPIC", "PARTITION"];
    header.extend(verbose.then_some("LEADER-EPOCH"));
    header.extend(["CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"]);
    let last = header.len() - 1;
    // All but the last have a width; the numbers' is fixed.
    let widths: Vec<usize> = (0..last)
        .map(|column| match column {
            2 => 10,
            column if column < 2 || column + 2 >= last => {
                widest(WIDTH, table.iter().filter_map(|cells| cells.get(column)).map(String::as_str))
            }
            _ => WIDTH,
        })
        .collect();
    terminal.print(format_args!("\n{}", row(&widths, &header)));
    for cells in &table {
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        terminal.print(format_args!("\n{}", row(&widths, &cells)));
    }
    terminal.line("");
}

pub(super) fn offset_json(row: &OffsetRow) -> Value {
    let member = row.member.as_ref();
    json!({
        "group": row.group, "topic": row.topic, "partition": row.partition, "leaderEpoch": row.leader_epoch,
        "currentOffset": row.offset, "logEndOffset": row.log_end_offset, "lag": row.lag(),
        "consumerId": member.map(|member| &member.0), "host": member.map(|member| &member.1),
        "clientId": member.map(|member| &member.2),
    })
}

/// `topic:0,1;other:2`
fn assignment(partitions: &[Partition]) -> String {
    if partitions.is_empty() {
        return MISSING.into();
    }
    let mut topics: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().insert(*partition);
    }
    let one = |(topic, partitions): (&str, BTreeSet<i32>)| {
        format!("{topic}:{}", partitions.iter().map(i32::to_string).collect::<Vec<_>>().join(","))
    };
    topics.into_iter().map(one).collect::<Vec<_>>().join(";")
}

pub(super) fn members(group_id: &str, group: &Group, verbose: bool, terminal: &mut Terminal) {
    // Kafka's tool shows the table's head whatever this says.
    introduces(group_id, &group.state, group.members.len(), terminal);
    let with_instance =
        group.members.iter().any(|member| member.group_instance_id.as_ref().is_some_and(|id| !id.is_empty()));
    let upgraded: BTreeSet<bool> = group.members.iter().filter_map(|member| member.upgraded).collect();
    let with_upgraded = upgraded.len() == 2;
    let mut header = vec!["GROUP", "CONSUMER-ID"];
    header.extend(with_instance.then_some("GROUP-INSTANCE-ID"));
    header.extend(["HOST", "CLIENT-ID", "#PARTITIONS"]);
    let fixed = header.len() - 1;
    if verbose {
        header.extend(["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT"]);
        header.extend(with_upgraded.then_some("UPGRADED"));
    }
    let cells = |member: &Member| {
        let mut cells = vec![group_id.to_owned(), member.member_id.clone()];
        cells.extend(with_instance.then(|| member.group_instance_id.clone().unwrap_or_default()));
        cells.extend([member.host.clone(), member.client_id.clone(), member.assignment.len().to_string()]);
        if verbose {
            let target = member.target_assignment.clone().unwrap_or_default();
            cells.extend([
                or_missing(member.epoch),
                assignment(&member.assignment),
                or_missing(group.target_epoch),
                assignment(&target),
            ]);
            cells.extend(with_upgraded.then(|| or_missing(member.upgraded)));
        }
        cells
    };
    let table: Vec<Vec<String>> = group.members.iter().map(cells).collect();
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let least = match *name {
                "GROUP-INSTANCE-ID" => 17,
                "CURRENT-ASSIGNMENT" | "TARGET-ASSIGNMENT" => 20,
                _ => WIDTH,
            };
            let grows = column < fixed || least == 20;
            let texts = table.iter().filter_map(|cells| cells.get(column)).map(String::as_str);
            if grows { widest(least, texts) } else { least }
        })
        .collect();
    // A blank follows the number of partitions, and none does the last column with a width of its own.
    let line = |cells: &[&str]| {
        let widths = if with_upgraded && verbose { &widths[..widths.len() - 1] } else { &widths[..] };
        let text = row(widths, cells);
        if verbose { text } else { text + " " }
    };
    terminal.line(format_args!("\n{}", line(&header)));
    for cells in &table {
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        terminal.line(line(&cells));
    }
}

pub(super) fn members_json(groups: &BTreeMap<String, Group>) -> Value {
    let row = |id: &String, group: &Group, member: &Member| {
        json!({
            "group": id, "consumerId": member.member_id, "groupInstanceId": member.group_instance_id, "host": member.host,
            "clientId": member.client_id, "partitions": member.assignment.len(),
            "assignment": member.assignment.iter().map(|(topic, partition)| json!({"topic": topic, "partition": partition})).collect::<Vec<_>>(),
            "currentEpoch": member.epoch, "targetEpoch": group.target_epoch,
        })
    };
    groups.iter().flat_map(|(id, group)| group.members.iter().map(move |member| row(id, group, member))).collect()
}

pub(super) fn state(group_id: &str, group: &Group, verbose: bool, terminal: &mut Terminal) {
    if !introduces(group_id, &group.state, 1, terminal) {
        return;
    }
    let assignor = if group.assignor.is_empty() { MISSING } else { &group.assignor };
    let members = group.members.len().to_string();
    let mut header = vec!["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"];
    let mut cells = vec![group_id.to_owned(), group.coordinator.clone(), assignor.to_owned(), group.state.clone()];
    let mut widths =
        vec![widest(WIDTH, [group_id].into_iter()), widest(25, [group.coordinator.as_str()].into_iter()), 20, 20];
    if verbose {
        header.extend(["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"]);
        cells.extend([or_missing(group.epoch), or_missing(group.target_epoch)]);
        widths.extend([15, 25]);
    }
    header.push("#MEMBERS");
    cells.push(members);
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    terminal.line(format_args!("\n{}\n{}", row(&widths, &header), row(&widths, &cells)));
}

pub(super) fn states_json(groups: &BTreeMap<String, Group>) -> Value {
    let row = |(id, group): (&String, &Group)| {
        json!({
            "group": id, "coordinator": group.coordinator, "assignmentStrategy": group.assignor, "state": group.state,
            "groupEpoch": group.epoch, "targetAssignmentEpoch": group.target_epoch, "members": group.members.len(),
        })
    };
    groups.iter().map(row).collect()
}

pub(super) fn plan(plan: &Plan, terminal: &mut Terminal) {
    let widths = [
        widest(WIDTH, plan.keys().map(String::as_str)),
        widest(WIDTH, plan.values().flat_map(|offsets| offsets.keys()).map(|(topic, _)| topic.as_str())),
        10,
    ];
    if !plan.is_empty() {
        terminal.print(format_args!("\n{}", row(&widths, &["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"])));
    }
    for (group, offsets) in in_java_order(plan) {
        for ((topic, partition), offset) in offsets {
            terminal.print(format_args!(
                "\n{}",
                row(&widths, &[group, topic, &partition.to_string(), &offset.to_string()])
            ));
        }
    }
    terminal.line("");
}

/// As Kafka's tool has them: in the order of its hash maps.
pub(super) fn in_java_order(plan: &Plan) -> Vec<(&String, Vec<(&Partition, &i64)>)> {
    let groups = java::hash_map_order(plan.iter().collect(), java::HASH_MAP_BUCKETS, |(group, _)| java::hash(group));
    groups
        .into_iter()
        .map(|(group, offsets)| {
            let hash = |((topic, partition), _): &(&Partition, &i64)| java::partition_hash(topic, *partition);
            (group, java::hash_map_order(offsets.iter().collect(), java::HASH_MAP_BUCKETS, hash))
        })
        .collect()
}

pub(super) fn plan_json(plan: &Plan) -> Value {
    let rows = plan.iter().flat_map(|(group, offsets)| {
        offsets.iter().map(move |((topic, partition), offset)| {
            json!({"group": group, "topic": topic, "partition": partition, "newOffset": offset})
        })
    });
    rows.collect()
}

pub(super) fn deleted_offsets(outcomes: &BTreeMap<Partition, Option<String>>, terminal: &mut Terminal) {
    let widths = [widest(WIDTH, outcomes.keys().map(|(topic, _)| topic.as_str())), 10, 15];
    terminal.print(format_args!("\n{}", row(&widths, &["TOPIC", "PARTITION", "STATUS"])));
    // Kafka sorts by topic and number as one text.
    let mut sorted: Vec<_> = outcomes.iter().collect();
    sorted.sort_by_key(|((topic, partition), _)| format!("{topic}{partition}"));
    for ((topic, partition), error) in sorted {
        let partition = or_missing((*partition >= 0).then_some(*partition));
        let status = error.as_ref().map_or_else(|| "Successful".to_owned(), |error| format!("Error: {error}"));
        terminal.print(format_args!("\n{}", row(&widths, &[topic, &partition, &status])));
    }
    terminal.line("");
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::io::Write;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn shown(work: impl FnOnce(&mut Terminal)) -> (String, String) {
        let (out, err) = (Paper::default(), Paper::default());
        let mut terminal = Terminal::of(Box::new(out.clone()), Box::new(err.clone()));
        work(&mut terminal);
        terminal.flush();
        let text = |paper: Paper| String::from_utf8(paper.0.lock().clone()).unwrap();
        (text(out), text(err))
    }

    #[test]
    fn members_are_shown_with_kafkas_blanks() {
        let member = Member {
            member_id: "consumer-1-abc".into(),
            client_id: "c".into(),
            host: "/127.0.0.1".into(),
            assignment: vec![("u".into(), 1), ("t".into(), 2), ("t".into(), 0)],
            ..Member::default()
        };
        let group = Group { state: "Stable".into(), members: vec![member], ..Group::default() };
        let (out, _) = shown(|terminal| members("g", &group, false, terminal));
        assert_eq!(
            out,
            "\nGROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     \n\
             g               consumer-1-abc  /127.0.0.1      c               3               \n"
        );
        let (out, _) = shown(|terminal| members("g", &group, true, terminal));
        assert!(
            out.ends_with(
                "3               -               t:0,2;u:1            -               -                   \n"
            ),
            "{out}"
        );
    }

    #[test]
    fn an_empty_group_is_told_of_on_standard_error() {
        let group = Group { state: "Empty".into(), coordinator: "h:1  (1)".into(), ..Group::default() };
        let (out, err) = shown(|terminal| state("g", &group, false, terminal));
        assert_eq!(err, "\nConsumer group 'g' has no active members.\n");
        assert_eq!(
            out,
            "\nGROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS\n\
             g               h:1  (1)                  -                    Empty                0\n"
        );
        let (out, _) = shown(|terminal| plan(&Plan::new(), terminal));
        assert_eq!(out, "\n");
    }
}

//! Which partitions a reset concerns and where their offsets go: arguments, CSV plans, and the range that offsets are kept in. Pure.

use std::collections::BTreeMap;

use crate::client::consumer::Partition;

/// New offsets by group.
pub type Plan = BTreeMap<String, BTreeMap<Partition, i64>>;

/// A `--topic` argument: a topic, with the partitions that were named, if any.
///
/// # Errors
/// Kafka's sentence for what is not `topic` or `topic:0,1,2`.
pub fn topic_argument(argument: &str) -> Result<(String, Option<Vec<i32>>), String> {
    if !argument.contains(':') {
        return Ok((argument.to_owned(), None));
    }
    // Java's split drops what is empty at the end.
    let mut parts: Vec<&str> = argument.split(':').collect();
    while parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    let [topic, partitions] = parts.as_slice() else {
        return Err(format!("Invalid topic arg '{argument}', expected topic name and partitions"));
    };
    let mut numbers = Vec::new();
    for partition in partitions.split(',') {
        let wrong = || format!("Invalid partition '{partition}' specified in topic arg '{argument}''");
        numbers.push(partition.parse().map_err(|_| wrong())?);
    }
    Ok((topic.to_string(), Some(numbers)))
}

/// Reads a plan: `topic,partition,offset` lines for a single group, or `group,topic,partition,offset`.
///
/// # Errors
/// The line that is neither.
pub fn read_csv(text: &str, single_group: Option<&str>) -> Result<Plan, String> {
    let mut plan = Plan::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields = csv_fields(line);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let (group, topic, partition, offset) = match (fields.as_slice(), single_group) {
            ([topic, partition, offset], Some(group)) => (group, *topic, *partition, *offset),
            ([group, topic, partition, offset], _) => (*group, *topic, *partition, *offset),
            _ => {
                let wanted = match single_group {
                    Some(_) => "topic,partition,offset or group,topic,partition,offset",
                    None => "group,topic,partition,offset",
                };
                return Err(format!(
                    "line {} of the plan has {} fields: {wanted} is expected",
                    number + 1,
                    fields.len()
                ));
            }
        };
        let wrong = |what: &str, value: &str| format!("line {} of the plan: {value} is no {what}", number + 1);
        let partition = partition.trim().parse().map_err(|_| wrong("partition", partition))?;
        let offset = offset.trim().parse().map_err(|_| wrong("offset", offset))?;
        plan.entry(group.to_owned()).or_default().insert((topic.to_owned(), partition), offset);
    }
    Ok(plan)
}

/// Fields of one line; quotes as in RFC 4180.
fn csv_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        let is_start = fields.last().is_some_and(String::is_empty);
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => {
                fields.last_mut().into_iter().for_each(|last| last.push('"'))
            }
            '"' if quoted => quoted = false,
            '"' if is_start => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().into_iter().for_each(|last| last.push(other)),
        }
    }
    fields
}

/// Writes a plan in the form that [`read_csv`] takes.
pub fn write_csv(plan: &Plan, single_group: bool) -> String {
    let mut out = String::new();
    for (group, offsets) in super::show::in_java_order(plan) {
        for ((topic, partition), offset) in offsets {
            if !single_group {
                out.push_str(&csv_quoted(group));
                out.push(',');
            }
            out.push_str(&format!("{},{partition},{offset}\n", csv_quoted(topic)));
        }
    }
    out
}

fn csv_quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r', ' ']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// Keeps offsets between the two ends of their logs; the sentences say what was changed.
pub fn within_range(
    wanted: BTreeMap<Partition, i64>,
    starts: &BTreeMap<Partition, i64>,
    ends: &BTreeMap<Partition, i64>,
) -> (BTreeMap<Partition, i64>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut kept = BTreeMap::new();
    for (partition, offset) in wanted {
        let name = format!("{}-{}", partition.0, partition.1);
        let (start, end) = (starts.get(&partition).copied(), ends.get(&partition).copied());
        let offset = match (start, end) {
            (_, Some(end)) if offset > end => {
                warnings.push(format!(
                    "New offset ({offset}) is higher than latest offset for topic partition {name}. Value will be set to {end}"
                ));
                end
            }
            (Some(start), _) if offset < start => {
                warnings.push(format!(
                    "New offset ({offset}) is lower than earliest offset for topic partition {name}. Value will be set to {start}"
                ));
                start
            }
            _ => offset,
        };
        kept.insert(partition, offset);
    }
    (kept, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_arguments() {
        assert_eq!(topic_argument("t").unwrap(), ("t".into(), None));
        assert_eq!(topic_argument("t:0,2").unwrap(), ("t".into(), Some(vec![0, 2])));
        assert_eq!(topic_argument("t:a").unwrap_err(), "Invalid partition 'a' specified in topic arg 't:a''");
        assert_eq!(topic_argument("t:").unwrap_err(), "Invalid topic arg 't:', expected topic name and partitions");
    }

    #[test]
    fn plans_are_read_as_they_are_written() {
        let plan = read_csv("t,0,5\nu,1,7\n", Some("g")).unwrap();
        assert_eq!(write_csv(&plan, true), "t,0,5\nu,1,7\n");
        let many = read_csv("\"a,\"\"b\",t,0,5\r\nh,t,1,6\r\n", None).unwrap();
        assert_eq!(write_csv(&many, false), "\"a,\"\"b\",t,0,5\nh,t,1,6\n");
        assert_eq!(read_csv("g,t,0,5\n", Some("g")).unwrap()["g"][&("t".to_owned(), 0)], 5);
        assert!(read_csv("t,0\n", Some("g")).unwrap_err().starts_with("line 1"));
        assert!(read_csv("t,0,5\nt,x,5\n", Some("g")).unwrap_err().contains("x is no partition"));
    }

    #[test]
    fn offsets_stay_within_their_logs() {
        let of = |offset| BTreeMap::from([(("t".to_owned(), 0), offset)]);
        let (kept, warnings) = within_range(of(99), &of(2), &of(10));
        assert_eq!((kept, warnings.len()), (of(10), 1));
        assert_eq!(within_range(of(0), &of(2), &of(10)).0, of(2));
        assert_eq!(within_range(of(5), &of(2), &of(10)), (of(5), Vec::new()));
    }
}

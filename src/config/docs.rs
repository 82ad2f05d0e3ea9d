//! Prints the tables as Markdown, for people. Reads the rows only; says nothing that they do not.

use super::key::{ConfigKey, Preset};
use super::{broker, client_metrics, group, topic};
use std::fmt::Write;

/// All tables, one section each.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\nNames, types and presets are those of Apache Kafka 4.3; keys that begin with `ottla.` and `metrics.address` are Ottla's own.\n\
         What is accepted and has no effect says so: because nothing here needs it, or because what Kafka does with it is still missing.\n",
    );
    section(&mut page, "Broker", broker::broker_keys().iter().copied(), true);
    section(&mut page, "Topic", topic::topic_keys().iter(), false);
    section(&mut page, "Group", group::group_keys().iter(), false);
    section(&mut page, "Client metrics subscription", client_metrics::client_metrics_keys().iter(), false);
    page
}

fn section<'a>(page: &mut String, title: &str, keys: impl Iterator<Item = &'a ConfigKey>, has_scope: bool) {
    let scope = |text: &str| if has_scope { format!(" {text} |") } else { String::new() };
    // Writing to a String cannot fail.
    let _ = writeln!(page, "\n## {title}\n\n| name | type | preset | allowed |{} meaning |", scope("change"));
    let _ = writeln!(page, "|---|---|---|---|{}---|", if has_scope { "---|" } else { "" });
    for key in keys.filter(|key| !key.internal) {
        let preset = match key.preset {
            Preset::Null => "",
            Preset::Is(text) => text,
        };
        let (name, kind, allowed) = (key.name, key.kind.name().to_lowercase(), key.allowed().replace('|', "\\|"));
        let update = scope(&key.update.to_string());
        let _ = writeln!(page, "| {name} | {kind} | {preset} | {allowed} |{update} {} |", key.documentation());
    }
}

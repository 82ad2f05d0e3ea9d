//! `kafka-topics`: create, list, describe, alter, delete topics.

use kafka_protocol::messages::MetadataRequest;

use super::connect::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG};
use super::options::{Grammar, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, To};
use crate::types::topic_name::is_internal;

const LIST: Opt = Opt::flag("list", "List the topics' names.");
const EXCLUDE_INTERNAL: Opt =
    Opt::flag("exclude-internal", "Leave out the topics that Kafka keeps for itself, when listing or describing.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-topics",
    about: "Creates, lists, describes, changes and deletes topics.",
    grammar: Grammar::Jopt(&[BOOTSTRAP_SERVER, COMMAND_CONFIG, LIST, EXCLUDE_INTERNAL]),
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    if !parsed.has(BOOTSTRAP_SERVER) {
        return Err(Fault::thrown("--bootstrap-server must be specified"));
    }
    let client = connect::admin(parsed, terminal)?;
    let done = block_on(async {
        let names = names(&client, parsed.has(EXCLUDE_INTERNAL)).await?;
        terminal.line(names.join("\n"));
        Ok(())
    });
    Ok(match done {
        Ok(()) => 0,
        Err(fault) => {
            terminal.line(format_args!("Error while executing topic command : {}", fault.message("listTopics")));
            1
        }
    })
}

/// All topics' names, sorted.
async fn names(client: &Client, without_internal: bool) -> Result<Vec<String>, Fault> {
    let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
    let answer = client.send(&To::Any, &request).await?;
    let names = answer.topics.into_iter().filter_map(|topic| topic.name).map(|name| name.to_string());
    let mut names: Vec<String> = names.filter(|name| !(without_internal && is_internal(name))).collect();
    names.sort_unstable();
    Ok(names)
}

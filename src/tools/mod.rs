//! Kafka's command line tools: the same names, options, output, exit codes and error texts as Apache Kafka 4.3's, so that scripts which call them go on working.
//!
//! One file per tool; each has one table ([`Tool`]) that parsing, help, completions and man pages follow from. A tool asks the cluster through [`crate::client`]
//! and writes through a [`Terminal`]. It must never start a broker, open a store that a broker may use, or end the process itself.

mod admin;
mod argparse;
mod broker_api_versions;
mod cluster;
pub mod completions;
mod configs;
mod connect;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod consumer_perf;
mod delete_records;
mod dump_log;
mod e2e_latency;
mod fault;
mod features;
mod get_offsets;
mod group_records;
mod help;
mod interrupt;
mod java;
mod jopt;
mod json;
mod leader_election;
mod line_reader;
mod log_dirs;
pub mod man;
mod message_formatter;
mod metadata_quorum;
pub mod options;
mod producer_perf;
mod progress;
mod storage;
mod terminal;
#[cfg(test)]
mod tests;
mod throttle;
mod times;
mod topics;
mod verifiable_consumer;
mod verifiable_producer;
mod zookeeper;

pub use fault::Fault;
pub use terminal::Terminal;

use options::{Grammar, Parsed};
use std::ffi::OsString;
use std::future::Future;
use std::path::Path;

/// The version of Kafka's tools that these stand for: what `--version` prints.
pub const KAFKA_VERSION: &str = "4.3.0";

/// Exit code of a tool that failed, whatever the reason, as in Kafka.
pub const FAILED: u8 = 1;

/// A tool.
#[derive(Debug)]
pub struct Tool {
    /// Kafka's name without `.sh`: `kafka-topics`.
    pub name: &'static str,
    /// What it is for: the first line of its help.
    pub about: &'static str,
    pub grammar: Grammar,
    /// Does what the arguments say, and gives the exit code. An `Err` is shown in the way of most of Kafka's tools: the sentence on standard error, exit code 1.
    pub run: fn(&Parsed, &mut Terminal) -> Result<u8, Fault>,
}

/// All tools, in the order in which they are listed.
pub static TOOLS: &[&Tool] = &[
    &topics::TOOL,
    &configs::TOOL,
    &broker_api_versions::TOOL,
    &cluster::TOOL,
    &log_dirs::TOOL,
    &delete_records::TOOL,
    &get_offsets::TOOL,
    &leader_election::TOOL,
    &metadata_quorum::TOOL,
    &features::TOOL,
    &storage::TOOL,
    &consumer_groups::TOOL,
    &console_producer::TOOL,
    &console_consumer::TOOL,
    &verifiable_producer::TOOL,
    &verifiable_consumer::TOOL,
    &producer_perf::TOOL,
    &consumer_perf::TOOL,
    &e2e_latency::TOOL,
    &dump_log::TOOL,
    &zookeeper::START,
    &zookeeper::STOP,
];

/// Tools that do something without any argument, where all others show their help.
const NEED_NO_ARGUMENTS: [&str; 2] = ["zookeeper-server-start", "zookeeper-server-stop"];
/// Tools of argparse4j's manner that show their help without any argument, where the others say what is missing.
const HELP_WITHOUT_ARGUMENTS: [&str; 3] =
    ["kafka-producer-perf-test", "kafka-verifiable-consumer", "kafka-verifiable-producer"];

/// The tool of this name: `kafka-topics`, `kafka-topics.sh`, or `topics`.
pub fn find(name: &str) -> Option<&'static Tool> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    TOOLS.iter().find(|tool| tool.name == name || tool.name.strip_prefix("kafka-") == Some(name)).copied()
}

/// The tool that a command line calls, by the program's own name or by its first argument, and the arguments that are the tool's.
pub fn called(arguments: &[OsString]) -> Option<(&'static Tool, Vec<String>)> {
    let (program, rest) = arguments.split_first()?;
    let text = |words: &[OsString]| words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let own_name = Path::new(program).file_name()?.to_string_lossy();
    if ["kafka-", "zookeeper-"].iter().any(|start| own_name.starts_with(start))
        && let Some(tool) = find(&own_name)
    {
        return Some((tool, text(rest)));
    }
    let (first, rest) = rest.split_first()?;
    Some((find(&first.to_string_lossy())?, text(rest)))
}

/// Runs a tool, shows how it ended, and gives the exit code.
pub fn run(tool: &'static Tool, arguments: &[String], terminal: &mut Terminal) -> u8 {
    let outcome = parse(tool, arguments).and_then(|parsed| match parsed {
        Asked::Run(parsed) => (tool.run)(&parsed, terminal),
        Asked::Version => {
            terminal.line(KAFKA_VERSION);
            Ok(0)
        }
    });
    let code = outcome.unwrap_or_else(|fault| show(tool, &fault, terminal));
    terminal.flush();
    code
}

enum Asked {
    Run(Parsed),
    Version,
}

/// Parses, and finds whether only help or the version is asked for.
fn parse(tool: &'static Tool, arguments: &[String]) -> Result<Asked, Fault> {
    match tool.grammar {
        Grammar::Jopt(_) => {
            let parsed = jopt::parse(tool, arguments)?;
            if parsed.arguments.is_empty() && !NEED_NO_ARGUMENTS.contains(&tool.name) || parsed.has(options::HELP) {
                return Err(Fault::usage(tool.about));
            }
            Ok(if parsed.has(options::VERSION) { Asked::Version } else { Asked::Run(parsed) })
        }
        Grammar::Argparse { .. } if arguments.is_empty() && HELP_WITHOUT_ARGUMENTS.contains(&tool.name) => {
            Err(Fault::Help { command: None })
        }
        Grammar::Argparse { .. } => argparse::parse(tool, arguments).map(Asked::Run),
    }
}

fn show(tool: &'static Tool, fault: &Fault, terminal: &mut Terminal) -> u8 {
    match fault {
        Fault::Usage(message) => {
            terminal.error(message);
            terminal.error_text(help::text(tool, None));
        }
        Fault::Argparse { usage, prog, message } => {
            terminal.error_text(usage);
            terminal.error(format_args!("{prog}: error: {message}"));
        }
        Fault::Terse(text) => terminal.error_text(text),
        Fault::Help { command } => {
            terminal.print(help::text(tool, *command));
            return argparse::help_code(tool);
        }
        Fault::Thrown(_) | Fault::Client(_) => terminal.error(fault.message("")),
        Fault::Exit(code) => return *code,
    }
    FAILED
}

/// Runs what a tool does over the network, on this thread.
///
/// # Errors
/// The future's, or that the system gives no event queue.
pub fn block_on<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::thrown(format!("the system gives no event queue: {error}")))?;
    let outcome = runtime.block_on(work);
    // A name look-up that still runs holds nobody up.
    runtime.shutdown_background();
    outcome
}

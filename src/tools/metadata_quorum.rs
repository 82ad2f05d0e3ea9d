//! `kafka-metadata-quorum`: the state of the metadata's quorum.

use kafka_protocol::messages::describe_quorum_request::{PartitionData as AskedPartition, TopicData as AskedTopic};
use kafka_protocol::messages::describe_quorum_response::{PartitionData, ReplicaState};
use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse, RemoveRaftVoterRequest};
use std::path::Path;

use super::admin::{text, topic_name};
use super::connect::{self, ARGPARSE_COMMAND_CONFIG};
use super::options::{Command, Exclusive, Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on, java};
use crate::client::{Client, ServerError, To};
use crate::types::{Clock, SystemClock};

const SERVER: Opt = Opt::value(
    "bootstrap-server",
    "BOOTSTRAP_SERVER",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas.",
);
const CONTROLLER: Opt = Opt::value(
    "bootstrap-controller",
    "BOOTSTRAP_CONTROLLER",
    Kind::Text,
    "Where to find the cluster's controllers: HOST:PORT of one or more, with commas.",
);
const STATUS: Opt = Opt::flag("status", "A summary: leader, epoch, high watermark, voters.");
const REPLICATION: Opt = Opt::flag("replication", "A line for each voter and observer: how far it has come.");
const HUMAN_READABLE: Opt = Opt::flag("human-readable", "Tell times as how long ago they were.");
const DRY_RUN: Opt = Opt::flag("dry-run", "Only say what would be done.");
const CONTROLLER_ID: Opt =
    Opt::value("controller-id", "CONTROLLER_ID", Kind::Integer, "The controller's id.").also(&["i"]).required();
const DIRECTORY_ID: Opt = Opt::value(
    "controller-directory-id",
    "CONTROLLER_DIRECTORY_ID",
    Kind::Text,
    "The id of the controller's directory.",
)
.also(&["d"])
.required();

pub(super) static TOOL: Tool = Tool {
    name: "kafka-metadata-quorum",
    about: "Shows the state of the metadata's quorum.",
    grammar: Grammar::Argparse {
        options: &[ARGPARSE_COMMAND_CONFIG],
        exclusive: &[Exclusive { required: true, options: &[SERVER, CONTROLLER] }],
        commands: &[
            Command {
                name: "describe",
                about: "Show the quorum.",
                options: &[STATUS, REPLICATION, HUMAN_READABLE],
                exclusive: &[],
            },
            Command {
                name: "add-controller",
                about: "Add the controller whose configuration --command-config names (Ottla's quorum is one node yet).",
                options: &[DRY_RUN],
                exclusive: &[],
            },
            Command {
                name: "remove-controller",
                about: "Remove a controller from the quorum.",
                options: &[CONTROLLER_ID, DIRECTORY_ID, DRY_RUN],
                exclusive: &[],
            },
        ],
    },
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    if let Some(path) = parsed.value(ARGPARSE_COMMAND_CONFIG)?
        && !Path::new(path).exists()
    {
        return Err(Fault::thrown(format!("Properties file {path} does not exists!")));
    }
    let mut properties = connect::properties(parsed, ARGPARSE_COMMAND_CONFIG)?;
    connect::set_bootstrap(&mut properties, parsed.value(SERVER)?, parsed.value(CONTROLLER)?)?;
    properties.set_default("client.id", "adminclient-1");
    let client = connect::client(&properties, terminal)?;
    match parsed.command.map_or("", |command| command.name) {
        "describe" => describe(parsed, &client, terminal),
        "remove-controller" => remove(parsed, &client, terminal),
        _ if !parsed.has(ARGPARSE_COMMAND_CONFIG) => Err(Fault::thrown(
            "You must supply the configuration file of the controller you are adding when using add-controller.",
        )),
        _ => Err(Fault::thrown(
            "add-controller is not there yet: a quorum of Ottla is one node. For a Kafka cluster use the tool of a Kafka distribution",
        )),
    }
}

fn describe(parsed: &Parsed, client: &Client, terminal: &mut Terminal) -> Result<u8, Fault> {
    match (parsed.has(STATUS), parsed.has(REPLICATION)) {
        (true, true) => {
            Err(Fault::thrown("Only one of --status or --replication should be specified with describe sub-command"))
        }
        (false, true) => block_on(async {
            let answer = ask(client).await?;
            show_replication(partition(&answer)?, parsed.has(HUMAN_READABLE), terminal)?;
            Ok(0)
        }),
        (true, false) if parsed.has(HUMAN_READABLE) => {
            Err(Fault::thrown("The option --human-readable is only supported along with --replication"))
        }
        (true, false) => block_on(async {
            let view = client.retry("describeCluster", async || client.view().await).await;
            let view = view.map_err(|error| Fault::thrown(Fault::from(error).message_as_cause("describeCluster")))?;
            let answer = ask(client).await?;
            show_status(view.cluster_id.as_deref(), &answer, partition(&answer)?, terminal)?;
            Ok(0)
        }),
        (false, false) => {
            Err(Fault::thrown("One of --status or --replication must be specified with describe sub-command"))
        }
    }
}

async fn ask(client: &Client) -> Result<DescribeQuorumResponse, Fault> {
    let topic = AskedTopic::default()
        .with_topic_name(topic_name("__cluster_metadata"))
        .with_partitions(vec![AskedPartition::default().with_partition_index(0)]);
    let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let cause = |fault: Fault| Fault::thrown(fault.message_as_cause("describeMetadataQuorum"));
    let answer = client.send(&To::Controller, &request).await.map_err(|error| cause(error.into()))?;
    ServerError::check(answer.error_code, answer.error_message.as_deref()).map_err(|error| cause(error.into()))?;
    if let Ok(partition) = partition(&answer) {
        let checked = ServerError::check(partition.error_code, partition.error_message.as_deref());
        checked.map_err(|error| cause(error.into()))?;
    }
    Ok(answer)
}

fn partition(answer: &DescribeQuorumResponse) -> Result<&PartitionData, Fault> {
    let found = answer.topics.first().and_then(|topic| topic.partitions.first());
    found.ok_or_else(|| Fault::thrown("The broker told nothing of the quorum's partition"))
}

fn leader(quorum: &PartitionData) -> Result<&ReplicaState, Fault> {
    let found = quorum.current_voters.iter().find(|voter| voter.replica_id == quorum.leader_id);
    found.ok_or_else(|| Fault::thrown("No value present"))
}

fn show_status(
    cluster_id: Option<&str>,
    answer: &DescribeQuorumResponse,
    quorum: &PartitionData,
    terminal: &mut Terminal,
) -> Result<(), Fault> {
    let leader = leader(quorum)?;
    let last = quorum.current_voters.iter().min_by_key(|voter| voter.log_end_offset).unwrap_or(leader);
    let lag_ms = if last.replica_id == leader.replica_id {
        0
    } else if leader.last_caught_up_timestamp >= 0 && last.last_caught_up_timestamp >= 0 {
        leader.last_caught_up_timestamp - last.last_caught_up_timestamp
    } else {
        -1
    };
    let lines = [
        ("ClusterId:", cluster_id.unwrap_or("null").to_owned()),
        ("LeaderId:", quorum.leader_id.0.to_string()),
        ("LeaderEpoch:", quorum.leader_epoch.to_string()),
        ("HighWatermark:", quorum.high_watermark.to_string()),
        ("MaxFollowerLag:", (leader.log_end_offset - last.log_end_offset).to_string()),
        ("MaxFollowerLagTimeMs:", lag_ms.to_string()),
        ("CurrentVoters:", replicas(answer, &quorum.current_voters)),
        ("CurrentObservers:", replicas(answer, &quorum.observers)),
    ];
    lines.iter().for_each(|(name, value)| terminal.line(format_args!("{name:<24}{value}")));
    Ok(())
}

fn replicas(answer: &DescribeQuorumResponse, replicas: &[ReplicaState]) -> String {
    let told = replicas.iter().map(|replica| {
        let mut told = format!("{{\"id\": {}", replica.replica_id.0);
        if !replica.replica_directory_id.is_nil() {
            told.push_str(&format!(", \"directoryId\": \"{}\"", java::uuid(replica.replica_directory_id)));
        }
        let node = answer.nodes.iter().find(|node| node.node_id == replica.replica_id);
        let endpoints = node.map_or(&[][..], |node| &node.listeners).iter().map(|listener| {
            let host: &str = &listener.host;
            match host.contains(':') {
                true => format!("\"{}://[{host}]:{}\"", &*listener.name, listener.port),
                false => format!("\"{}://{host}:{}\"", &*listener.name, listener.port),
            }
        });
        let endpoints: Vec<String> = endpoints.collect();
        if !endpoints.is_empty() {
            told.push_str(&format!(", \"endpoints\": [{}]", endpoints.join(", ")));
        }
        told + "}"
    });
    format!("[{}]", told.collect::<Vec<_>>().join(", "))
}

fn show_replication(quorum: &PartitionData, is_human: bool, terminal: &mut Terminal) -> Result<(), Fault> {
    let leader = leader(quorum)?;
    let head =
        ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];
    let mut rows = vec![head.map(str::to_owned)];
    let followers = quorum.current_voters.iter().filter(|voter| voter.replica_id != leader.replica_id);
    let all = std::iter::once((leader, "Leader"))
        .chain(followers.map(|voter| (voter, "Follower")))
        .chain(quorum.observers.iter().map(|observer| (observer, "Observer")));
    for (replica, status) in all {
        rows.push([
            replica.replica_id.0.to_string(),
            java::uuid(replica.replica_directory_id),
            replica.log_end_offset.to_string(),
            (leader.log_end_offset - replica.log_end_offset).to_string(),
            time(replica.last_fetch_timestamp, "last fetch", is_human)?,
            time(replica.last_caught_up_timestamp, "last caught up", is_human)?,
            status.to_owned(),
        ]);
    }
    table(&rows, terminal);
    Ok(())
}

fn time(timestamp_ms: i64, what: &str, is_human: bool) -> Result<String, Fault> {
    if timestamp_ms < 0 || !is_human {
        return Ok(timestamp_ms.max(-1).to_string());
    }
    let now_ms = SystemClock.wall_ms();
    match timestamp_ms > 0 && timestamp_ms <= now_ms {
        true => Ok(format!("{} ms ago", now_ms - timestamp_ms)),
        false => Err(Fault::thrown(format!(
            "Error while computing relative time, possible drift in system clock.\nCurrent timestamp is {now_ms}, {what} timestamp is {timestamp_ms}"
        ))),
    }
}

/// Columns as wide as their widest cell, each followed by a tab (`ToolsUtils.prettyPrintTable`).
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]], terminal: &mut Terminal) {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}\t"));
        terminal.line(cells.collect::<String>());
    }
}

fn remove(parsed: &Parsed, client: &Client, terminal: &mut Terminal) -> Result<u8, Fault> {
    let id: i32 = parsed.number(CONTROLLER_ID)?.unwrap_or_default();
    if id < 0 {
        return Err(Fault::thrown(format!("Invalid negative --controller-id: {id}")));
    }
    let directory = java::parse_uuid(parsed.value(DIRECTORY_ID)?.unwrap_or_default())
        .map_err(|fault| Fault::thrown(format!("Failed to parse --controller-directory-id: {}", fault.message(""))))?;
    if !parsed.has(DRY_RUN) {
        block_on(async {
            let cause = |fault: Fault| Fault::thrown(fault.message_as_cause("removeRaftVoter"));
            let view = client.retry("describeCluster", async || client.view().await).await;
            let cluster_id = view.map_err(|error| cause(error.into()))?.cluster_id.clone();
            let request = RemoveRaftVoterRequest::default()
                .with_cluster_id(cluster_id.map(text))
                .with_voter_id(id)
                .with_voter_directory_id(directory);
            let answer = client.send(&To::Controller, &request).await.map_err(|error| cause(error.into()))?;
            ServerError::check(answer.error_code, answer.error_message.as_deref()).map_err(|error| cause(error.into()))
        })?;
    }
    let done = if parsed.has(DRY_RUN) { "DRY RUN of removing " } else { "Removed " };
    terminal.line(format_args!("{done} KRaft controller {id} with directory id {}", java::uuid(directory)));
    Ok(0)
}

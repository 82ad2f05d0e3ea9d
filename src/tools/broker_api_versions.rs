//! `kafka-broker-api-versions`: what each broker speaks.

use kafka_protocol::messages::MetadataRequest;
use serde_json::json;

use super::connect::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use super::options::{Grammar, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::connection::Versions;
use crate::client::{Client, Node, To};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-broker-api-versions",
    about: "Shows which APIs each broker speaks, in which versions.",
    grammar: Grammar::Jopt(&[COMMAND_CONFIG, BOOTSTRAP_SERVER, OUTPUT]),
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    parsed.check_required(&[BOOTSTRAP_SERVER])?;
    let mut properties = connect::properties(parsed, COMMAND_CONFIG)?;
    properties.set("bootstrap.servers", parsed.value(BOOTSTRAP_SERVER)?.unwrap_or_default());
    properties.set("client.id", "admin-1");
    properties.set_default("request.timeout.ms", "5000");
    // Kafka's tool asks each bootstrap address once.
    properties.set("default.api.timeout.ms", properties.get("request.timeout.ms").unwrap_or("5000").to_owned());
    let client = connect::client(&properties, terminal)?;
    let is_json = connect::wants_json(parsed)?;
    block_on(async {
        let told = ask(&client).await?;
        match is_json {
            true => terminal.line(as_json(&told)),
            false => told.iter().for_each(|(node, versions)| print(node, versions, terminal)),
        }
        Ok(0)
    })
}

type Told = Vec<(Node, Result<Versions, Fault>)>;

async fn ask(client: &Client) -> Result<Told, Fault> {
    // All topics, as Kafka's tool asks: whoever may not read the metadata gets the same answer here.
    let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
    client.send(&To::Any, &request).await?;
    let view = client.view().await?;
    let mut told = Told::new();
    for node in view.nodes.values() {
        let versions = client.connection(&To::Broker(node.id)).await.map(|connection| connection.versions().clone());
        told.push((node.clone(), versions.map_err(Fault::from)));
    }
    Ok(told)
}

fn print(node: &Node, versions: &Result<Versions, Fault>, terminal: &mut Terminal) {
    let rack = node.rack.as_deref().unwrap_or("null");
    terminal.print(format_args!(
        "{}:{} (id: {} rack: {rack} isFenced: false) -> ",
        node.address.host, node.address.port, node.id
    ));
    match versions {
        Ok(versions) => terminal.print(format_args!("(\n\t{}\n)\n", lines(versions).join(",\n\t"))),
        Err(fault) => terminal.print(format_args!("ERROR: {}\n", fault.message_as_cause("apiVersions"))),
    }
}

/// One for each API, in the order of their keys.
fn lines(versions: &Versions) -> Vec<String> {
    let mut all: Vec<(i16, String)> = versions.iter().map(|(key, range)| (*key, line(*key, *range))).collect();
    for (key, api) in (0i16..).zip(APIS) {
        if api.is_for_clients && !versions.contains_key(&key) {
            all.push((key, format!("{}({key}): UNSUPPORTED", api.name)));
        }
    }
    all.sort_unstable();
    all.into_iter().map(|(_, line)| line).collect()
}

fn line(key: i16, (min, max): (i16, i16)) -> String {
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let Some(api) = usize::try_from(key).ok().and_then(|key| APIS.get(key)) else {
        return format!("UNKNOWN({key}): {range}");
    };
    let usable = if api.latest < min {
        "unusable: node too new".to_owned()
    } else if max < api.oldest {
        "unusable: node too old".to_owned()
    } else {
        format!("usable: {}", api.latest.min(max))
    };
    format!("{}({key}): {range} [{usable}]", api.name)
}

fn as_json(told: &Told) -> serde_json::Value {
    let brokers = told.iter().map(|(node, versions)| {
        let apis: Option<Vec<_>> = versions.as_ref().ok().map(|versions| {
            let api = |(key, (min, max)): (&i16, &(i16, i16))| {
                let name = usize::try_from(*key).ok().and_then(|key| APIS.get(key)).map_or("UNKNOWN", |api| api.name);
                json!({"key": key, "name": name, "minVersion": min, "maxVersion": max})
            };
            versions.iter().map(api).collect()
        });
        let error = versions.as_ref().err().map(|fault| fault.message("apiVersions"));
        json!({"id": node.id, "host": node.address.host, "port": node.address.port, "rack": node.rack, "apis": apis, "error": error})
    });
    brokers.collect()
}

/// An API as Kafka 4.3's clients know it (`ApiKeys`).
struct Api {
    name: &'static str,
    oldest: i16,
    latest: i16,
    is_for_clients: bool,
}

const fn api(name: &'static str, oldest: i16, latest: i16, is_for_clients: bool) -> Api {
    Api { name, oldest, latest, is_for_clients }
}

/// By key.
#[rustfmt::skip]
const APIS: &[Api] = &[
    api("PRODUCE", 3, 13, true),
    api("FETCH", 4, 18, true),
    api("LIST_OFFSETS", 1, 11, true),
    api("METADATA", 0, 13, true),
    api("LEADER_AND_ISR", 0, -1, false),
    api("STOP_REPLICA", 0, -1, false),
    api("UPDATE_METADATA", 0, -1, false),
    api("CONTROLLED_SHUTDOWN", 0, -1, false),
    api("OFFSET_COMMIT", 2, 10, true),
    api("OFFSET_FETCH", 1, 10, true),
    api("FIND_COORDINATOR", 0, 6, true),
    api("JOIN_GROUP", 0, 9, true),
    api("HEARTBEAT", 0, 4, true),
    api("LEAVE_GROUP", 0, 5, true),
    api("SYNC_GROUP", 0, 5, true),
    api("DESCRIBE_GROUPS", 0, 6, true),
    api("LIST_GROUPS", 0, 5, true),
    api("SASL_HANDSHAKE", 0, 1, true),
    api("API_VERSIONS", 0, 4, true),
    api("CREATE_TOPICS", 2, 7, true),
    api("DELETE_TOPICS", 1, 6, true),
    api("DELETE_RECORDS", 0, 2, true),
    api("INIT_PRODUCER_ID", 0, 6, true),
    api("OFFSET_FOR_LEADER_EPOCH", 2, 4, true),
    api("ADD_PARTITIONS_TO_TXN", 0, 5, true),
    api("ADD_OFFSETS_TO_TXN", 0, 4, true),
    api("END_TXN", 0, 5, true),
    api("WRITE_TXN_MARKERS", 1, 2, true),
    api("TXN_OFFSET_COMMIT", 0, 5, true),
    api("DESCRIBE_ACLS", 1, 3, true),
    api("CREATE_ACLS", 1, 3, true),
    api("DELETE_ACLS", 1, 3, true),
    api("DESCRIBE_CONFIGS", 1, 4, true),
    api("ALTER_CONFIGS", 0, 2, true),
    api("ALTER_REPLICA_LOG_DIRS", 1, 2, true),
    api("DESCRIBE_LOG_DIRS", 1, 5, true),
    api("SASL_AUTHENTICATE", 0, 2, true),
    api("CREATE_PARTITIONS", 0, 3, true),
    api("CREATE_DELEGATION_TOKEN", 1, 3, true),
    api("RENEW_DELEGATION_TOKEN", 1, 2, true),
    api("EXPIRE_DELEGATION_TOKEN", 1, 2, true),
    api("DESCRIBE_DELEGATION_TOKEN", 1, 3, true),
    api("DELETE_GROUPS", 0, 2, true),
    api("ELECT_LEADERS", 0, 2, true),
    api("INCREMENTAL_ALTER_CONFIGS", 0, 1, true),
    api("ALTER_PARTITION_REASSIGNMENTS", 0, 1, true),
    api("LIST_PARTITION_REASSIGNMENTS", 0, 0, true),
    api("OFFSET_DELETE", 0, 0, true),
    api("DESCRIBE_CLIENT_QUOTAS", 0, 1, true),
    api("ALTER_CLIENT_QUOTAS", 0, 1, true),
    api("DESCRIBE_USER_SCRAM_CREDENTIALS", 0, 0, true),
    api("ALTER_USER_SCRAM_CREDENTIALS", 0, 0, true),
    api("VOTE", 0, 2, false),
    api("BEGIN_QUORUM_EPOCH", 0, 1, false),
    api("END_QUORUM_EPOCH", 0, 1, false),
    api("DESCRIBE_QUORUM", 0, 2, true),
    api("ALTER_PARTITION", 2, 3, false),
    api("UPDATE_FEATURES", 0, 2, true),
    api("ENVELOPE", 0, 0, false),
    api("FETCH_SNAPSHOT", 0, 1, false),
    api("DESCRIBE_CLUSTER", 0, 2, true),
    api("DESCRIBE_PRODUCERS", 0, 0, true),
    api("BROKER_REGISTRATION", 0, 4, false),
    api("BROKER_HEARTBEAT", 0, 2, false),
    api("UNREGISTER_BROKER", 0, 0, true),
    api("DESCRIBE_TRANSACTIONS", 0, 0, true),
    api("LIST_TRANSACTIONS", 0, 2, true),
    api("ALLOCATE_PRODUCER_IDS", 0, 0, false),
    api("CONSUMER_GROUP_HEARTBEAT", 0, 1, true),
    api("CONSUMER_GROUP_DESCRIBE", 0, 1, true),
    api("CONTROLLER_REGISTRATION", 0, 0, false),
    api("GET_TELEMETRY_SUBSCRIPTIONS", 0, 0, true),
    api("PUSH_TELEMETRY", 0, 0, true),
    api("ASSIGN_REPLICAS_TO_DIRS", 0, 0, false),
    api("LIST_CONFIG_RESOURCES", 0, 1, true),
    api("DESCRIBE_TOPIC_PARTITIONS", 0, 0, true),
    api("SHARE_GROUP_HEARTBEAT", 1, 1, true),
    api("SHARE_GROUP_DESCRIBE", 1, 1, true),
    api("SHARE_FETCH", 1, 2, true),
    api("SHARE_ACKNOWLEDGE", 1, 2, true),
    api("ADD_RAFT_VOTER", 0, 1, true),
    api("REMOVE_RAFT_VOTER", 0, 0, true),
    api("UPDATE_RAFT_VOTER", 0, 0, false),
    api("INITIALIZE_SHARE_GROUP_STATE", 0, 0, true),
    api("READ_SHARE_GROUP_STATE", 0, 0, true),
    api("WRITE_SHARE_GROUP_STATE", 0, 1, true),
    api("DELETE_SHARE_GROUP_STATE", 0, 0, true),
    api("READ_SHARE_GROUP_STATE_SUMMARY", 0, 1, true),
    api("STREAMS_GROUP_HEARTBEAT", 0, 0, true),
    api("STREAMS_GROUP_DESCRIBE", 0, 0, true),
    api("DESCRIBE_SHARE_GROUP_OFFSETS", 0, 1, true),
    api("ALTER_SHARE_GROUP_OFFSETS", 0, 0, true),
    api("DELETE_SHARE_GROUP_OFFSETS", 0, 0, true),
];

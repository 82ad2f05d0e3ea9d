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
    api("Produce", 3, 13, true),
    api("Fetch", 4, 18, true),
    api("ListOffsets", 1, 11, true),
    api("Metadata", 0, 13, true),
    api("LeaderAndIsr", 0, -1, false),
    api("StopReplica", 0, -1, false),
    api("UpdateMetadata", 0, -1, false),
    api("ControlledShutdown", 0, -1, false),
    api("OffsetCommit", 2, 10, true),
    api("OffsetFetch", 1, 10, true),
    api("FindCoordinator", 0, 6, true),
    api("JoinGroup", 0, 9, true),
    api("Heartbeat", 0, 4, true),
    api("LeaveGroup", 0, 5, true),
    api("SyncGroup", 0, 5, true),
    api("DescribeGroups", 0, 6, true),
    api("ListGroups", 0, 5, true),
    api("SaslHandshake", 0, 1, true),
    api("ApiVersions", 0, 4, true),
    api("CreateTopics", 2, 7, true),
    api("DeleteTopics", 1, 6, true),
    api("DeleteRecords", 0, 2, true),
    api("InitProducerId", 0, 6, true),
    api("OffsetForLeaderEpoch", 2, 4, true),
    api("AddPartitionsToTxn", 0, 5, true),
    api("AddOffsetsToTxn", 0, 4, true),
    api("EndTxn", 0, 5, true),
    api("WriteTxnMarkers", 1, 2, true),
    api("TxnOffsetCommit", 0, 5, true),
    api("DescribeAcls", 1, 3, true),
    api("CreateAcls", 1, 3, true),
    api("DeleteAcls", 1, 3, true),
    api("DescribeConfigs", 1, 4, true),
    api("AlterConfigs", 0, 2, true),
    api("AlterReplicaLogDirs", 1, 2, true),
    api("DescribeLogDirs", 1, 5, true),
    api("SaslAuthenticate", 0, 2, true),
    api("CreatePartitions", 0, 3, true),
    api("CreateDelegationToken", 1, 3, true),
    api("RenewDelegationToken", 1, 2, true),
    api("ExpireDelegationToken", 1, 2, true),
    api("DescribeDelegationToken", 1, 3, true),
    api("DeleteGroups", 0, 2, true),
    api("ElectLeaders", 0, 2, true),
    api("IncrementalAlterConfigs", 0, 1, true),
    api("AlterPartitionReassignments", 0, 1, true),
    api("ListPartitionReassignments", 0, 0, true),
    api("OffsetDelete", 0, 0, true),
    api("DescribeClientQuotas", 0, 1, true),
    api("AlterClientQuotas", 0, 1, true),
    api("DescribeUserScramCredentials", 0, 0, true),
    api("AlterUserScramCredentials", 0, 0, true),
    api("Vote", 0, 2, false),
    api("BeginQuorumEpoch", 0, 1, false),
    api("EndQuorumEpoch", 0, 1, false),
    api("DescribeQuorum", 0, 2, true),
    api("AlterPartition", 2, 3, false),
    api("UpdateFeatures", 0, 2, true),
    api("Envelope", 0, 0, false),
    api("FetchSnapshot", 0, 1, false),
    api("DescribeCluster", 0, 2, true),
    api("DescribeProducers", 0, 0, true),
    api("BrokerRegistration", 0, 4, false),
    api("BrokerHeartbeat", 0, 2, false),
    api("UnregisterBroker", 0, 0, true),
    api("DescribeTransactions", 0, 0, true),
    api("ListTransactions", 0, 2, true),
    api("AllocateProducerIds", 0, 0, false),
    api("ConsumerGroupHeartbeat", 0, 1, true),
    api("ConsumerGroupDescribe", 0, 1, true),
    api("ControllerRegistration", 0, 0, false),
    api("GetTelemetrySubscriptions", 0, 0, true),
    api("PushTelemetry", 0, 0, true),
    api("AssignReplicasToDirs", 0, 0, false),
    api("ListConfigResources", 0, 1, true),
    api("DescribeTopicPartitions", 0, 0, true),
    api("ShareGroupHeartbeat", 1, 1, true),
    api("ShareGroupDescribe", 1, 1, true),
    api("ShareFetch", 1, 2, true),
    api("ShareAcknowledge", 1, 2, true),
    api("AddRaftVoter", 0, 1, true),
    api("RemoveRaftVoter", 0, 0, true),
    api("UpdateRaftVoter", 0, 0, false),
    api("InitializeShareGroupState", 0, 0, true),
    api("ReadShareGroupState", 0, 0, true),
    api("WriteShareGroupState", 0, 1, true),
    api("DeleteShareGroupState", 0, 0, true),
    api("ReadShareGroupStateSummary", 0, 1, true),
    api("StreamsGroupHeartbeat", 0, 0, true),
    api("StreamsGroupDescribe", 0, 0, true),
    api("DescribeShareGroupOffsets", 0, 1, true),
    api("AlterShareGroupOffsets", 0, 0, true),
    api("DeleteShareGroupOffsets", 0, 0, true),
];

//! `kafka-cluster`: the cluster's id, its endpoints, and taking a broker off its books.

use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse, UnregisterBrokerRequest};

use super::connect::{self, ARGPARSE_COMMAND_CONFIG, OUTPUT};
use super::options::{Command, Exclusive, Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, ClientError, ServerError, To};

const SERVER: Opt = Opt::value(
    "bootstrap-server",
    "BOOTSTRAP_SERVER",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas.",
)
.also(&["b"]);
const CONTROLLER: Opt = Opt::value(
    "bootstrap-controller",
    "BOOTSTRAP_CONTROLLER",
    Kind::Text,
    "Where to find the cluster's controllers: HOST:PORT of one or more, with commas.",
)
.also(&["C"]);
const CONFIG: Opt = Opt::value("config", "CONFIG", Kind::File, "The former name of --command-config.");
const COMMAND_CONFIG: Opt = ARGPARSE_COMMAND_CONFIG.also(&["c"]);
const ID: Opt = Opt::value("id", "ID", Kind::Integer, "The broker's id.").also(&["i"]).required();
const FENCED: Opt = Opt::flag("include-fenced-brokers", "Also list brokers that are registered, but not serving.");

const CONNECTION: &[Exclusive] = &[Exclusive { required: true, options: &[SERVER, CONTROLLER] }];

pub(super) static TOOL: Tool = Tool {
    name: "kafka-cluster",
    about: "Tells a cluster's id and endpoints, and unregisters brokers.",
    grammar: Grammar::Argparse {
        options: &[],
        exclusive: &[],
        commands: &[
            Command {
                name: "cluster-id",
                about: "Print the cluster's id.",
                options: &[CONFIG, COMMAND_CONFIG],
                exclusive: CONNECTION,
            },
            Command {
                name: "unregister",
                about: "Take a broker that will not come back off the cluster's books.",
                options: &[CONFIG, COMMAND_CONFIG, ID],
                exclusive: CONNECTION,
            },
            Command {
                name: "list-endpoints",
                about: "List where the brokers, or the controllers, are reached.",
                options: &[CONFIG, COMMAND_CONFIG, FENCED, OUTPUT],
                exclusive: CONNECTION,
            },
        ],
    },
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    if parsed.has(CONFIG) && parsed.has(COMMAND_CONFIG) {
        return Err(Fault::thrown("--config and --command-config cannot be specified together."));
    }
    let mut properties = match parsed.has(CONFIG) {
        true => {
            terminal.line("Option --config has been deprecated and will be removed in a future version. Use --command-config instead.");
            connect::properties(parsed, CONFIG)?
        }
        false => connect::properties(parsed, COMMAND_CONFIG)?,
    };
    connect::set_bootstrap(&mut properties, parsed.value(SERVER)?, parsed.value(CONTROLLER)?)?;
    properties.set_default("client.id", "adminclient-1");
    let client = connect::client(&properties, terminal)?;
    let is_controller = parsed.has(CONTROLLER);
    match parsed.command.map_or("", |command| command.name) {
        "cluster-id" => block_on(async {
            let answer = describe(&client, is_controller, false).await;
            let answer = answer.map_err(|fault| Fault::thrown(fault.message_as_cause("describeCluster")))?;
            match answer.cluster_id.is_empty() {
                false => terminal.line(format_args!("Cluster ID: {}", &*answer.cluster_id)),
                true => terminal.line("No cluster ID found. The Kafka version is probably too old."),
            }
            Ok(0)
        }),
        "unregister" => {
            let id: i32 = parsed.number(ID)?.unwrap_or_default();
            block_on(unregister(&client, id, terminal))
        }
        _ => {
            if is_controller && parsed.has(FENCED) {
                return Err(Fault::thrown(
                    "The option --include-fenced-brokers is only supported with --bootstrap-server option",
                ));
            }
            let is_json = connect::wants_json(parsed)?;
            block_on(async {
                let answer = describe(&client, is_controller, parsed.has(FENCED)).await;
                let answer = answer.map_err(|fault| Fault::thrown(fault.message_as_cause("describeCluster")))?;
                list(&answer, is_controller, is_json, terminal);
                Ok(0)
            })
        }
    }
}

async fn describe(client: &Client, is_controller: bool, with_fenced: bool) -> Result<DescribeClusterResponse, Fault> {
    let mut request = DescribeClusterRequest::default();
    if is_controller {
        request = request.with_endpoint_type(2);
    }
    if with_fenced {
        request = request.with_include_fenced_brokers(true);
    }
    let answer = client.send(&To::Any, &request).await?;
    ServerError::check(answer.error_code, answer.error_message.as_deref())?;
    Ok(answer)
}

async fn unregister(client: &Client, id: i32, terminal: &mut Terminal) -> Result<u8, Fault> {
    let request = UnregisterBrokerRequest::default().with_broker_id(id.into());
    let answer = match client.send(&To::Controller, &request).await {
        Err(ClientError::Unsupported { .. }) => {
            terminal.line("The target cluster does not support the broker unregistration API.");
            return Ok(0);
        }
        other => other.map_err(Fault::from),
    };
    let checked = answer.and_then(|answer| Ok(ServerError::check(answer.error_code, answer.error_message.as_deref())?));
    checked.map_err(|fault| Fault::thrown(fault.message_as_cause("unregisterBroker")))?;
    terminal.line(format_args!("Broker {id} is no longer registered."));
    Ok(0)
}

fn list(answer: &DescribeClusterResponse, is_controller: bool, is_json: bool, terminal: &mut Terminal) {
    let mut brokers: Vec<_> = answer.brokers.iter().collect();
    brokers.sort_by_key(|broker| broker.broker_id.0);
    let kind = if is_controller { "controller" } else { "broker" };
    let state = |is_fenced: bool| if is_fenced { "fenced" } else { "unfenced" };
    if is_json {
        let all = brokers.iter().map(|broker| {
            serde_json::json!({
                "id": broker.broker_id.0, "host": &*broker.host, "port": broker.port, "rack": broker.rack.as_deref(),
                "state": (!is_controller).then(|| state(broker.is_fenced)), "endpointType": kind,
            })
        });
        return terminal.line(all.collect::<serde_json::Value>());
    }
    let host = brokers.iter().map(|broker| broker.host.chars().count()).max().unwrap_or(100);
    let rack =
        brokers.iter().filter_map(|broker| broker.rack.as_ref()).map(|rack| rack.chars().count()).max().unwrap_or(10);
    let rows = brokers.iter().map(|broker| {
        let (id, port) = (broker.broker_id.0.to_string(), broker.port.to_string());
        (
            id,
            broker.host.to_string(),
            port,
            broker.rack.as_deref().unwrap_or("null").to_owned(),
            state(broker.is_fenced),
        )
    });
    let head = ("ID".to_owned(), "HOST".to_owned(), "PORT".to_owned(), "RACK".to_owned(), "STATE");
    for (at, (id, name, port, zone, state)) in std::iter::once(head).chain(rows).enumerate() {
        let last = if at == 0 { "ENDPOINT_TYPE" } else { kind };
        match is_controller {
            true => terminal.line(format_args!("{id:<10} {name:<host$} {port:<10} {zone:<rack$} {last:<15}")),
            false => {
                terminal.line(format_args!("{id:<10} {name:<host$} {port:<10} {zone:<rack$} {state:<10} {last:<15}"))
            }
        }
    }
}

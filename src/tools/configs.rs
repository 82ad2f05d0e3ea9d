//! `kafka-configs`: shows and alters configurations of topics, brokers, groups and client metrics, and quotas where the cluster has them.

mod arguments;
mod quotas;

use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, ListConfigResourcesRequest, ListGroupsRequest};
use serde_json::json;
use std::collections::BTreeSet;

use super::admin::{self, source, text};
use super::connect::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use super::java::{self, HASH_MAP_BUCKETS, hash_map_order};
use super::options::{Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, ClientError, ServerError, To};
use arguments::{Entities, Entity};

const BOOTSTRAP_CONTROLLER: Opt = Opt::value(
    "bootstrap-controller",
    "controller to connect to",
    Kind::Text,
    "Where to find the cluster's controllers: HOST:PORT of one or more, with commas.",
);
const ALTER: Opt = Opt::flag("alter", "Change the configuration.");
const DESCRIBE: Opt = Opt::flag("describe", "Show the configuration.");
const ALL: Opt = Opt::flag("all", "Show all keys, not only those that were set for the entity.");
const ENTITY_TYPE: Opt = Opt::value(
    "entity-type",
    "type",
    Kind::Choice(&["topics", "brokers", "broker-loggers", "groups", "client-metrics", "users", "clients", "ips"]),
    "What kind of thing is configured.",
);
const ENTITY_NAME: Opt = Opt::value(
    "entity-name",
    "name",
    Kind::Text,
    "Which one: a topic, a broker's id, a group, a subscription of client metrics.",
);
const ENTITY_DEFAULT: Opt = Opt::flag("entity-default", "The default of all entities of the type.");
const ADD_CONFIG: Opt = Opt::value(
    "add-config",
    "key=value,...",
    Kind::Text,
    "What is set: key=value pairs with commas; a value with commas stands in square brackets. `ottla config-docs` explains the keys.",
);
const ADD_CONFIG_FILE: Opt = Opt::value("add-config-file", "file", Kind::File, "A properties file with what is set.");
const DELETE_CONFIG: Opt =
    Opt::value("delete-config", "key,...", Kind::Text, "Keys with commas whose values are taken back.");
const TOPIC: Opt = Opt::value("topic", "name", Kind::Text, "The topic.");
const CLIENT: Opt = Opt::value("client", "id", Kind::Text, "The client's id.");
const CLIENT_DEFAULTS: Opt = Opt::flag("client-defaults", "The default of all clients.");
const USER: Opt = Opt::value("user", "name", Kind::Text, "The user's principal name.");
const USER_DEFAULTS: Opt = Opt::flag("user-defaults", "The default of all users.");
const BROKER: Opt = Opt::value("broker", "id", Kind::Text, "The broker's id.");
const BROKER_DEFAULTS: Opt = Opt::flag("broker-defaults", "The default of all brokers.");
const BROKER_LOGGER: Opt =
    Opt::value("broker-logger", "id", Kind::Text, "The id of the broker whose loggers are meant.");
const IP_DEFAULTS: Opt = Opt::flag("ip-defaults", "The default of all addresses.");
const IP: Opt = Opt::value("ip", "address", Kind::Text, "The address.");
const GROUP: Opt = Opt::value("group", "id", Kind::Text, "The group's id.");
const CLIENT_METRICS: Opt = Opt::value("client-metrics", "name", Kind::Text, "The subscription's name.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-configs",
    about: "Shows and changes the configurations of topics, brokers, groups and client metrics.",
    grammar: Grammar::Jopt(&[
        BOOTSTRAP_SERVER,
        BOOTSTRAP_CONTROLLER,
        COMMAND_CONFIG,
        ALTER,
        DESCRIBE,
        ALL,
        ENTITY_TYPE,
        ENTITY_NAME,
        ENTITY_DEFAULT,
        ADD_CONFIG,
        ADD_CONFIG_FILE,
        DELETE_CONFIG,
        TOPIC,
        CLIENT,
        CLIENT_DEFAULTS,
        USER,
        USER_DEFAULTS,
        BROKER,
        BROKER_DEFAULTS,
        BROKER_LOGGER,
        IP_DEFAULTS,
        IP,
        GROUP,
        CLIENT_METRICS,
        OUTPUT,
    ]),
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let entities = arguments::check(parsed)?;
    let mut properties = connect::properties(parsed, COMMAND_CONFIG)?;
    connect::set_bootstrap(&mut properties, parsed.value(BOOTSTRAP_SERVER)?, parsed.value(BOOTSTRAP_CONTROLLER)?)?;
    properties.set_default("client.id", "adminclient-1");
    let client = connect::client(&properties, terminal)?;
    let done = match parsed.has(ALTER) {
        true => alter(parsed, &client, &entities, terminal),
        false => describe(parsed, &client, &entities, terminal),
    };
    match done {
        Ok(()) => Ok(0),
        // What reaches Java's handler wrapped is shown with the arguments before it.
        Err(fault @ Fault::Client(_)) => {
            terminal
                .error(format_args!("Error while executing config command with args '{}'", parsed.arguments.join(" ")));
            let cause = fault.message_as_cause("describeConfigs");
            terminal.error(format_args!("java.util.concurrent.ExecutionException: {cause}"));
            Ok(super::FAILED)
        }
        Err(fault) => Err(fault),
    }
}

fn alter(parsed: &Parsed, client: &Client, entities: &Entities, terminal: &mut Terminal) -> Result<(), Fault> {
    let (entity, names) = (entities.first, &entities.names);
    if entities.all.len() != names.len() {
        return Err(Fault::thrown("An entity name must be specified for every entity type"));
    }
    let name = names.first().map_or("", String::as_str);
    let added = arguments::added(parsed)?;
    let deleted = arguments::deleted(parsed);
    let Some(resource) = entity.resource_type() else {
        block_on(quotas::alter(client, entities, &added, &deleted))?;
        completed(entity, name, terminal);
        return Ok(());
    };
    let to = match entity {
        Entity::Broker | Entity::BrokerLogger if !name.is_empty() => {
            To::Broker(name.parse().map_err(|_| arguments::no_broker_id(entity, name))?)
        }
        _ => To::Any,
    };
    block_on(async {
        if entity == Entity::BrokerLogger {
            check_loggers(client, name, &added, &deleted).await?;
        }
        let change = |key: &str, operation, value: &str| {
            let config = AlterableConfig::default().with_name(text(key)).with_config_operation(operation);
            config.with_value(Some(text(value)))
        };
        // 1 deletes, 0 sets.
        let mut configs: Vec<_> = deleted.iter().map(|key| change(key, 1, "")).collect();
        configs.extend(added.iter().map(|(key, value)| change(key, 0, value)));
        let resource = AlterConfigsResource::default().with_resource_type(resource).with_resource_name(text(name));
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource.with_configs(configs)]);
        let answer = client.send(&to, &request).await?;
        for result in answer.responses {
            ServerError::check(result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    })?;
    completed(entity, name, terminal);
    Ok(())
}

fn completed(entity: Entity, name: &str, terminal: &mut Terminal) {
    match name.is_empty() {
        false => terminal.line(format_args!("Completed updating config for {} {name}.", entity.singular())),
        true => terminal.line(format_args!("Completed updating default config for {} in the cluster.", entity.name())),
    }
}

async fn check_loggers(
    client: &Client,
    name: &str,
    added: &[(String, String)],
    deleted: &[String],
) -> Result<(), Fault> {
    let known = admin::describe_configs(client, Entity::LOGGER_RESOURCE, &[name.to_owned()], false).await?;
    let known: BTreeSet<&str> = known.iter().flatten().map(|entry| &*entry.name).collect();
    let named = deleted.iter().chain(added.iter().map(|(key, _)| key));
    let wrong: Vec<&str> = named.map(String::as_str).filter(|key| !known.contains(key)).collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Fault::thrown(format!("Invalid broker logger(s): {}", wrong.join(",")))),
    }
}

fn describe(parsed: &Parsed, client: &Client, entities: &Entities, terminal: &mut Terminal) -> Result<(), Fault> {
    let entity = entities.first;
    let is_all = parsed.has(ALL);
    let is_json = connect::wants_json(parsed)?;
    let Some(resource) = entity.resource_type() else {
        return block_on(quotas::describe(client, entities, is_json, terminal));
    };
    block_on(async {
        let names = match entities.names.first() {
            Some(name) => {
                if !is_all && !exists(client, entity, name).await? {
                    let singular = entity.singular();
                    terminal
                        .line(format_args!("The {singular} '{name}' doesn't exist and doesn't have dynamic config."));
                    return Ok(());
                }
                vec![name.clone()]
            }
            None => all(client, entity).await?,
        };
        let mut documents = Vec::new();
        for name in &names {
            if entity == Entity::Topic {
                arguments::check_topic(name)?;
            }
            let configs = admin::describe_configs(client, resource, std::slice::from_ref(name), true);
            let mut entries = match configs.await {
                Ok(found) => found.into_iter().flatten().collect::<Vec<_>>(),
                Err(fault) => {
                    heading(entity, name, is_all, is_json, terminal);
                    return Err(fault);
                }
            };
            if let Some(wanted) = entity.dynamic_source(name).filter(|_| !is_all) {
                entries.retain(|entry| entry.config_source == wanted);
            }
            entries.sort_unstable_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
            heading(entity, name, is_all, is_json, terminal);
            match is_json {
                true => documents.push(as_json(entity, name, &entries)),
                false => entries.iter().for_each(|entry| terminal.line(line(entry))),
            }
        }
        if is_json {
            terminal.line(serde_json::Value::from(documents));
        }
        Ok(())
    })
}

fn heading(entity: Entity, name: &str, is_all: bool, is_json: bool, terminal: &mut Terminal) {
    if is_json {
        return;
    }
    match name.is_empty() {
        true => terminal.line(format_args!("Default configs for {} in the cluster are:", entity.name())),
        false => {
            let which = if is_all { "All" } else { "Dynamic" };
            terminal.line(format_args!("{which} configs for {} {name} are:", entity.singular()));
        }
    }
}

fn line(entry: &DescribeConfigsResourceResult) -> String {
    let value = |value: &Option<kafka_protocol::protocol::StrBytes>| value.as_deref().unwrap_or("null").to_owned();
    let synonyms = entry.synonyms.iter();
    let synonyms = synonyms
        .map(|synonym| format!("{}:{}={}", source::name(synonym.source), &*synonym.name, value(&synonym.value)))
        .collect::<Vec<_>>();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        &*entry.name,
        value(&entry.value),
        entry.is_sensitive,
        synonyms.join(", ")
    )
}

fn as_json(entity: Entity, name: &str, entries: &[DescribeConfigsResourceResult]) -> serde_json::Value {
    let entries = entries.iter().map(|entry| {
        json!({
            "name": &*entry.name,
            "value": entry.value.as_deref(),
            "source": source::name(entry.config_source),
            "sensitive": entry.is_sensitive,
            "readOnly": entry.read_only,
        })
    });
    json!({"entityType": entity.name(), "entityName": name, "configs": entries.collect::<serde_json::Value>()})
}

/// Whether there is something to describe: without `--all`, Kafka's tool asks first.
async fn exists(client: &Client, entity: Entity, name: &str) -> Result<bool, Fault> {
    Ok(match entity {
        Entity::Topic => {
            arguments::check_topic(name)?;
            admin::list_topics(client).await?.iter().any(|topic| topic.name == name)
        }
        Entity::Broker | Entity::BrokerLogger => {
            name.is_empty() || brokers(client).await?.iter().any(|id| id.to_string() == name)
        }
        Entity::ClientMetrics => resources(client, Entity::CLIENT_METRICS_RESOURCE).await?.contains(name),
        Entity::Group => {
            groups(client).await?.contains(name)
                || match resources(client, Entity::GROUP_RESOURCE).await {
                    Ok(configured) => configured.contains(name),
                    Err(Fault::Client(ClientError::Unsupported { .. })) => true,
                    Err(fault) => return Err(fault),
                }
        }
        Entity::User | Entity::Client | Entity::Ip => false,
    })
}

/// All entities of a type, in the order of Kafka's tool; an empty name stands for the default.
async fn all(client: &Client, entity: Entity) -> Result<Vec<String>, Fault> {
    Ok(match entity {
        Entity::Topic => {
            let names = admin::list_topics(client).await?.into_iter().map(|topic| topic.name).collect();
            hash_map_order(names, HASH_MAP_BUCKETS, |name: &String| java::hash(name))
        }
        Entity::Broker | Entity::BrokerLogger => {
            let ids = brokers(client).await?;
            ids.iter().map(i32::to_string).chain([String::new()]).collect()
        }
        Entity::ClientMetrics => resources(client, Entity::CLIENT_METRICS_RESOURCE).await?.into_iter().collect(),
        Entity::Group => {
            let mut names = groups(client).await?;
            match resources(client, Entity::GROUP_RESOURCE).await {
                Ok(configured) => names.extend(configured),
                Err(Fault::Client(ClientError::Unsupported { .. })) => {}
                Err(fault) => return Err(fault),
            }
            names.into_iter().collect()
        }
        Entity::User | Entity::Client | Entity::Ip => Vec::new(),
    })
}

async fn brokers(client: &Client) -> Result<Vec<i32>, Fault> {
    Ok(client.retry("describeCluster", async || client.view().await).await?.nodes.keys().copied().collect())
}

/// Every broker tells of the groups that it coordinates.
async fn groups(client: &Client) -> Result<BTreeSet<String>, Fault> {
    let mut found = BTreeSet::new();
    for id in brokers(client).await? {
        let answer = client.send(&To::Broker(id), &ListGroupsRequest::default()).await?;
        ServerError::check(answer.error_code, None)?;
        found.extend(answer.groups.into_iter().map(|group| group.group_id.to_string()));
    }
    Ok(found)
}

async fn resources(client: &Client, resource_type: i8) -> Result<BTreeSet<String>, Fault> {
    let connection = client.retry("listConfigResources", async || client.connection(&To::Any).await).await?;
    // Version 0 knows only of client metrics, and has no field for a type.
    let request = match connection.version_of::<ListConfigResourcesRequest>(i16::MAX)? {
        0 if resource_type == Entity::CLIENT_METRICS_RESOURCE => ListConfigResourcesRequest::default(),
        _ => ListConfigResourcesRequest::default().with_resource_types(vec![resource_type]),
    };
    let answer = client.send(&To::Any, &request).await?;
    ServerError::check(answer.error_code, None)?;
    Ok(answer.config_resources.into_iter().map(|resource| resource.resource_name.to_string()).collect())
}

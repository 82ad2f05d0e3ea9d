//! `kafka-configs` for users, clients and ips: quotas (KIP-546, KIP-612), and which SCRAM credentials there are (KIP-554).
//!
//! A broker that does not know the requests has none of them: asked to describe, the tool shows none; asked to change some, it says so. SCRAM credentials are
//! shown, not made.

use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::EntryData;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, DescribeClientQuotasRequest, DescribeUserScramCredentialsRequest,
    alter_client_quotas_request as altering,
};
use serde_json::json;

use super::arguments::{Entities, Entity};
use crate::client::{Client, ClientError, ServerError, To};
use crate::tools::admin::text;
use crate::tools::java::{self, hash_map_order};
use crate::tools::message_formatter::java_double;
use crate::tools::{Fault, Terminal};

/// DescribeClientQuotas: this entity, its type's default, any of the type.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;
/// DescribeUserScramCredentials: the user has none.
const RESOURCE_NOT_FOUND: i16 = 91;

const OF_CLIENTS: [&str; 4] =
    ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"];
const OF_IPS: [&str; 1] = ["connection_creation_rate"];
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

fn entity_type(entity: Entity) -> &'static str {
    match entity {
        Entity::User => "user",
        Entity::Client => "client-id",
        _ => "ip",
    }
}

/// What a broker answers that may not know the request.
fn known<T>(answer: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Fault::Client(ClientError::Unsupported { .. })) => Ok(None),
        Err(fault) => Err(fault),
    }
}

async fn quotas(client: &Client, entities: &Entities) -> Result<Vec<EntryData>, Fault> {
    if entities.names.len() > entities.all.len() {
        return Err(Fault::thrown("More entity names specified than entity types"));
    }
    let components = entities.all.iter().enumerate().map(|(at, entity)| {
        let (kind, name) = match entities.names.get(at).map(String::as_str) {
            None => (ANY, None),
            Some("") => (DEFAULT, None),
            Some(name) => (EXACT, Some(text(name))),
        };
        ComponentData::default().with_entity_type(text(entity_type(*entity))).with_match_type(kind).with_match(name)
    });
    let request = DescribeClientQuotasRequest::default().with_components(components.collect()).with_strict(true);
    let answer = client.send(&To::Any, &request).await?;
    ServerError::check(answer.error_code, answer.error_message.as_deref())?;
    Ok(answer.entries.unwrap_or_default())
}

/// Shows the quotas, and users' credentials where only users are asked for.
pub(super) async fn describe(
    client: &Client,
    entities: &Entities,
    is_json: bool,
    terminal: &mut Terminal,
) -> Result<(), Fault> {
    let mut documents = Vec::new();
    for entry in known(quotas(client, entities).await)?.unwrap_or_default() {
        match is_json {
            true => documents.push(as_json(&entry)),
            false => terminal.line(line(&entry)),
        }
    }
    if !entities.all.contains(&Entity::Client)
        && entities.first == Entity::User
        && !entities.names.iter().any(String::is_empty)
    {
        for (user, told) in credentials(client, &entities.names).await? {
            match is_json {
                true => documents.push(json!({"entity": {"user": user}, "scramCredentials": told})),
                false => terminal.line(format_args!("SCRAM credential configs for user-principal '{user}' are {told}")),
            }
        }
    }
    if is_json {
        terminal.line(serde_json::Value::from(documents));
    }
    Ok(())
}

fn line(entry: &EntryData) -> String {
    let of_type = |wanted: &str| entry.entity.iter().find(|entity| &*entity.entity_type == wanted);
    let named = [("user", "user-principal"), ("client-id", "client-id"), ("ip", "ip")].into_iter();
    let named = named.filter_map(|(wanted, shown)| {
        Some(match of_type(wanted)?.entity_name.as_deref() {
            Some(name) => format!("{shown} '{name}'"),
            None => format!("the default {shown}"),
        })
    });
    let values: Vec<_> = entry.values.iter().collect();
    // Kafka's client makes the map for as many as there are.
    let buckets = values.len();
    let values = hash_map_order(values, buckets, |value| java::hash(&value.key));
    let values = values.iter().map(|value| format!("{}={}", &*value.key, java_double(value.value)));
    let (entity, values) = (named.collect::<Vec<_>>().join(", "), values.collect::<Vec<_>>().join(", "));
    format!("Quota configs for {entity} are {values}")
}

fn as_json(entry: &EntryData) -> serde_json::Value {
    let entity = entry.entity.iter();
    let entity = entity.map(|entity| (entity.entity_type.to_string(), json!(entity.entity_name.as_deref())));
    let quotas = entry.values.iter().map(|value| (value.key.to_string(), json!(value.value)));
    json!({"entity": entity.collect::<serde_json::Map<_, _>>(), "quotas": quotas.collect::<serde_json::Map<_, _>>()})
}

/// Users that have credentials, with what Kafka's tool tells of each.
async fn credentials(client: &Client, users: &[String]) -> Result<Vec<(String, String)>, Fault> {
    let named = users.iter().map(|user| UserName::default().with_name(text(user.as_str())));
    let request = DescribeUserScramCredentialsRequest::default().with_users(Some(named.collect()));
    let answer = client.send(&To::Any, &request).await.map_err(Fault::from);
    let Some(answer) = known(answer)? else { return Ok(Vec::new()) };
    ServerError::check(answer.error_code, answer.error_message.as_deref())?;
    let mut found = Vec::new();
    for result in answer.results.iter().filter(|result| result.error_code != RESOURCE_NOT_FOUND) {
        ServerError::check(result.error_code, result.error_message.as_deref())?;
        let infos = result.credential_infos.iter().map(|info| {
            let at = usize::try_from(info.mechanism).unwrap_or(0).wrapping_sub(1);
            format!("{}=iterations={}", SCRAM.get(at).unwrap_or(&"UNKNOWN"), info.iterations)
        });
        found.push((result.user.to_string(), infos.collect::<Vec<_>>().join(", ")));
    }
    Ok(found)
}

/// Sets quotas and takes them back.
///
/// # Errors
/// Kafka's sentences; what the broker has against it; that SCRAM credentials cannot be changed.
pub(super) async fn alter(
    client: &Client,
    entities: &Entities,
    added: &[(String, String)],
    deleted: &[String],
) -> Result<(), Fault> {
    check(entities, added, deleted)?;
    let old = quotas(client, entities).await?;
    let old: Vec<&str> =
        old.first().map(|entry| entry.values.iter().map(|value| &*value.key).collect()).unwrap_or_default();
    let unknown: Vec<&str> = deleted.iter().map(String::as_str).filter(|key| !old.contains(key)).collect();
    if !unknown.is_empty() {
        return Err(Fault::thrown(format!("Invalid config(s): {}", unknown.join(","))));
    }
    let mut ops = Vec::new();
    for (key, value) in added {
        let number: f64 = value
            .trim()
            .parse()
            .map_err(|_| Fault::thrown(format!("Cannot parse quota configuration value for {key}: {value}")))?;
        ops.push(altering::OpData::default().with_key(text(key.as_str())).with_value(number));
    }
    ops.extend(deleted.iter().map(|key| altering::OpData::default().with_key(text(key.as_str())).with_remove(true)));
    let entity = entities.all.iter().zip(&entities.names).map(|(entity, name)| {
        let name = Some(name).filter(|name| !name.is_empty()).map(|name| text(name.as_str()));
        altering::EntityData::default().with_entity_type(text(entity_type(*entity))).with_entity_name(name)
    });
    let entry = altering::EntryData::default().with_entity(entity.collect()).with_ops(ops);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let answer = client.send(&To::Controller, &request).await?;
    for result in answer.entries {
        ServerError::check(result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

/// Which keys there are for whom.
fn check(entities: &Entities, added: &[(String, String)], deleted: &[String]) -> Result<(), Fault> {
    let added: Vec<&str> = added.iter().map(|(key, _)| key.as_str()).collect();
    let deleted: Vec<&str> = deleted.iter().map(String::as_str).collect();
    let unknown = |keys: &[&str], known: &[&[&str]]| -> Vec<String> {
        keys.iter().filter(|key| !known.iter().any(|known| known.contains(*key))).map(|key| (*key).to_owned()).collect()
    };
    let refused = |what: &str, whose: &str, keys: String| {
        Err(Fault::thrown(format!(
            "Only {what} for '{whose}' using --bootstrap-server. Unexpected config names: {keys}"
        )))
    };
    if entities.first == Entity::Ip {
        let wrong = unknown(&[added, deleted].concat(), &[&OF_IPS]);
        return match wrong.is_empty() {
            true => Ok(()),
            false => refused("connection quota configs can be added", "ips", wrong.join(",")),
        };
    }
    let is_client = entities.first == Entity::Client || entities.all.len() == 2;
    let (whose, kinds, keys): (_, _, &[&[&str]]) = match is_client {
        true => ("clients", "quota configs", &[&OF_CLIENTS]),
        false => ("users", "quota and SCRAM credential configs", &[&OF_CLIENTS, &SCRAM]),
    };
    let wrong = unknown(&added, keys);
    if !wrong.is_empty() {
        return refused(&format!("{kinds} can be added"), whose, format!("Set({})", wrong.join(", ")));
    }
    let wrong = unknown(&deleted, keys);
    if !wrong.is_empty() {
        return refused(&format!("{kinds} can be deleted"), whose, format!("ArrayBuffer({})", wrong.join(", ")));
    }
    if !added.iter().chain(&deleted).any(|key| SCRAM.contains(key)) {
        return Ok(());
    }
    if entities.names.iter().any(String::is_empty) {
        return Err(Fault::thrown(
            "The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using --bootstrap-server.",
        ));
    }
    if added.iter().chain(&deleted).any(|key| OF_CLIENTS.contains(key)) {
        return Err(Fault::thrown(
            "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using --bootstrap-server.",
        ));
    }
    Err(Fault::thrown(
        "This tool does not change SCRAM credentials yet: Ottla offers no SASL. For a Kafka cluster use the tool of a Kafka distribution",
    ))
}

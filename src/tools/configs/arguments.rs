//! What the arguments of `kafka-configs` mean: which entity, what is set and what taken back. The order of the checks is Kafka's, because it decides which sentence
//! is told.

use std::net::ToSocketAddrs;
use std::path::Path;

use super::{
    ADD_CONFIG, ADD_CONFIG_FILE, ALTER, BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, BROKER, BROKER_DEFAULTS, BROKER_LOGGER,
    CLIENT, CLIENT_DEFAULTS, CLIENT_METRICS, DELETE_CONFIG, DESCRIBE, ENTITY_DEFAULT, ENTITY_NAME, ENTITY_TYPE, GROUP,
    IP, IP_DEFAULTS, TOPIC, USER, USER_DEFAULTS,
};
use crate::client::{ClientProperties, ServerError};
use crate::tools::Fault;
use crate::tools::admin::source;
use crate::tools::options::{Opt, Parsed};
use crate::types::limits::TOPIC_NAME_MAX_CHARS;

/// A kind of thing that is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entity {
    Topic,
    Client,
    User,
    Broker,
    BrokerLogger,
    Ip,
    ClientMetrics,
    Group,
}

impl Entity {
    pub(super) const LOGGER_RESOURCE: i8 = 8;
    pub(super) const CLIENT_METRICS_RESOURCE: i8 = 16;
    pub(super) const GROUP_RESOURCE: i8 = 32;

    /// In the order in which Kafka names them.
    const ALL: [Self; 8] = [
        Self::Topic,
        Self::Client,
        Self::User,
        Self::Broker,
        Self::Ip,
        Self::ClientMetrics,
        Self::Group,
        Self::BrokerLogger,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Topic => "topics",
            Self::Client => "clients",
            Self::User => "users",
            Self::Broker => "brokers",
            Self::BrokerLogger => "broker-loggers",
            Self::Ip => "ips",
            Self::ClientMetrics => "client-metrics",
            Self::Group => "groups",
        }
    }

    /// The name without its last letter, whatever that is.
    pub(super) fn singular(self) -> &'static str {
        let name = self.name();
        name.get(..name.len() - 1).unwrap_or(name)
    }

    /// The protocol's number; `None` for what quotas and SCRAM credentials are kept for.
    pub(super) fn resource_type(self) -> Option<i8> {
        match self {
            Self::Topic => Some(crate::tools::admin::TOPIC_RESOURCE),
            Self::Broker => Some(crate::tools::admin::BROKER_RESOURCE),
            Self::BrokerLogger => Some(Self::LOGGER_RESOURCE),
            Self::ClientMetrics => Some(Self::CLIENT_METRICS_RESOURCE),
            Self::Group => Some(Self::GROUP_RESOURCE),
            Self::User | Self::Client | Self::Ip => None,
        }
    }

    /// Where values come from that were set for this entity itself; `None` where all are shown.
    pub(super) fn dynamic_source(self, name: &str) -> Option<i8> {
        match self {
            Self::Topic => Some(source::TOPIC),
            Self::Broker if name.is_empty() => Some(source::BROKER_DEFAULT),
            Self::Broker => Some(source::BROKER),
            Self::ClientMetrics => Some(source::CLIENT_METRICS),
            Self::Group => Some(source::GROUP),
            Self::BrokerLogger | Self::User | Self::Client | Self::Ip => None,
        }
    }
}

/// What the arguments name.
pub(super) struct Entities {
    pub first: Entity,
    /// Users and clients may go together.
    pub all: Vec<Entity>,
    /// An empty one stands for the default.
    pub names: Vec<String>,
}

const NAMED: [(Opt, Entity); 8] = [
    (TOPIC, Entity::Topic),
    (CLIENT, Entity::Client),
    (USER, Entity::User),
    (BROKER, Entity::Broker),
    (BROKER_LOGGER, Entity::BrokerLogger),
    (IP, Entity::Ip),
    (CLIENT_METRICS, Entity::ClientMetrics),
    (GROUP, Entity::Group),
];

const DEFAULTS: [(Opt, Entity); 4] = [
    (CLIENT_DEFAULTS, Entity::Client),
    (USER_DEFAULTS, Entity::User),
    (BROKER_DEFAULTS, Entity::Broker),
    (IP_DEFAULTS, Entity::Ip),
];

fn names(parsed: &Parsed) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = parsed.all(ENTITY_NAME).into_iter().map(str::to_owned).collect();
    names.extend(parsed.has(ENTITY_DEFAULT).then(String::new));
    for (option, _) in NAMED.iter().filter(|(option, _)| parsed.has(*option)) {
        names.extend(parsed.value(*option)?.map(str::to_owned));
    }
    names.extend(DEFAULTS.iter().filter(|(option, _)| parsed.has(*option)).map(|_| String::new()));
    Ok(names)
}

/// # Errors
/// Kafka's sentences.
pub(super) fn check(parsed: &Parsed) -> Result<Entities, Fault> {
    if parsed.has(ALTER) == parsed.has(DESCRIBE) {
        return Err(Fault::usage("Command must include exactly one action: --describe, --alter"));
    }
    parsed.check_invalid(DESCRIBE, &[ALTER, ADD_CONFIG, DELETE_CONFIG])?;
    let flagged = NAMED.iter().chain(&DEFAULTS).filter(|(option, _)| parsed.has(*option));
    let mut types: Vec<&str> = parsed.all(ENTITY_TYPE);
    types.extend(flagged.clone().map(|(_, entity)| entity.name()));
    let twice: Vec<&str> = types
        .iter()
        .enumerate()
        .filter(|(at, name)| types.iter().take(*at).any(|other| other == *name))
        .map(|(_, name)| *name)
        .collect();
    if !twice.is_empty() {
        return Err(Fault::thrown(format!("Duplicate entity type(s) specified: {}", twice.join(","))));
    }
    if !parsed.has(BOOTSTRAP_SERVER) && !parsed.has(BOOTSTRAP_CONTROLLER) {
        return Err(Fault::thrown("Either --bootstrap-server or --bootstrap-controller must be specified."));
    }
    let mut entities = Vec::new();
    for name in &types {
        let entity = Entity::ALL.into_iter().find(|entity| entity.name() == *name).ok_or_else(|| {
            let all: Vec<&str> = Entity::ALL.iter().map(|entity| entity.name()).collect();
            let all = all.join(", ");
            Fault::thrown(format!("Invalid entity type {name}, the entity type must be one of {all} with a --bootstrap-server or --bootstrap-controller argument"))
        })?;
        entities.push(entity);
    }
    let [first, others @ ..] = entities.as_slice() else {
        return Err(Fault::thrown("At least one entity type must be specified"));
    };
    let is_quota = |entity: &Entity| matches!(entity, Entity::User | Entity::Client);
    if !others.is_empty() && !entities.iter().all(is_quota) {
        return Err(Fault::thrown("Only 'users' and 'clients' entity types may be specified together"));
    }
    let is_generic = [ENTITY_NAME, ENTITY_TYPE, ENTITY_DEFAULT].into_iter().any(|option| parsed.has(option));
    if is_generic && flagged.count() > 0 {
        return Err(Fault::thrown(
            "--entity-{type,name,default} should not be used in conjunction with specific entity flags",
        ));
    }
    let found = Entities { first: *first, all: entities.clone(), names: names(parsed)? };
    check_names(parsed, &found)?;
    check_action(parsed, &found, &types)?;
    Ok(found)
}

fn check_names(parsed: &Parsed, found: &Entities) -> Result<(), Fault> {
    if parsed.has(BOOTSTRAP_SERVER) && parsed.has(BOOTSTRAP_CONTROLLER) {
        return Err(Fault::thrown("Only one of --bootstrap-server or --bootstrap-controller can be specified"));
    }
    let named = |options: &[Opt]| -> Result<Vec<String>, Fault> {
        let given = options.iter().filter(|option| parsed.has(**option));
        given.map(|option| Ok(parsed.value(*option)?.unwrap_or_default().to_owned())).collect()
    };
    if !found.names.iter().any(|name| !name.is_empty()) {
        return Ok(());
    }
    if matches!(found.first, Entity::Broker | Entity::BrokerLogger) {
        for id in named(&[ENTITY_NAME, BROKER, BROKER_LOGGER])? {
            if id.parse::<i32>().is_err() {
                let entity = found.first.name();
                return Err(Fault::thrown(format!(
                    "The entity name for {entity} must be a valid integer broker id, but it is: {id}"
                )));
            }
        }
    }
    if found.first == Entity::Ip {
        for address in named(&[ENTITY_NAME, IP])? {
            if (address.as_str(), 0).to_socket_addrs().is_err() {
                return Err(Fault::thrown(format!(
                    "The entity name for ips must be a valid IP or resolvable host, but it is: {address}"
                )));
            }
        }
    }
    Ok(())
}

fn check_action(parsed: &Parsed, found: &Entities, types: &[&str]) -> Result<(), Fault> {
    let types = types.join(",");
    let has_name = found.names.iter().any(|name| !name.is_empty());
    let has_default = found.names.iter().any(String::is_empty);
    let may_be_default = matches!(found.first, Entity::User | Entity::Client | Entity::Broker | Entity::Ip);
    if parsed.has(DESCRIBE) {
        if !may_be_default && parsed.has(ENTITY_DEFAULT) {
            return Err(Fault::thrown(format!("--entity-default must not be specified with --describe of {types}")));
        }
        if found.first == Entity::BrokerLogger && !has_name {
            return Err(Fault::thrown(format!("An entity name must be specified with --describe of {types}")));
        }
        return Ok(());
    }
    if may_be_default && !has_name && !has_default {
        return Err(Fault::thrown(
            "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
        ));
    }
    if !may_be_default && !has_name {
        return Err(Fault::thrown(format!("An entity name must be specified with --alter of {types}")));
    }
    if parsed.has(ADD_CONFIG) && parsed.has(ADD_CONFIG_FILE) {
        return Err(Fault::thrown("Only one of --add-config or --add-config-file must be specified"));
    }
    if ![ADD_CONFIG, ADD_CONFIG_FILE, DELETE_CONFIG].into_iter().any(|option| parsed.has(option)) {
        return Err(Fault::thrown(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
        ));
    }
    Ok(())
}

pub(super) fn no_broker_id(entity: Entity, name: &str) -> Fault {
    Fault::thrown(format!("The entity name for {} must be a valid integer broker id, found: {name}", entity.name()))
}

/// What is set, in the order given.
///
/// # Errors
/// Kafka's sentences.
pub(super) fn added(parsed: &Parsed) -> Result<Vec<(String, String)>, Fault> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    if let Some(path) = parsed.value(ADD_CONFIG_FILE)? {
        let file = ClientProperties::load(Path::new(path))?;
        pairs.extend(file.iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    if let Some(list) = parsed.value(ADD_CONFIG)? {
        for pair in split(list, ',') {
            let parts = split(pair, '=');
            let [key, value] = parts.as_slice() else {
                return Err(Fault::thrown(
                    "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.",
                ));
            };
            let (key, value) = (key.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned());
            pairs.retain(|(other, _)| *other != key);
            pairs.push((key, value));
        }
    }
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '$' | '.' | '_' | '-');
    match pairs.iter().find(|(key, _)| !key.chars().all(is_good)) {
        Some((key, _)) => Err(Fault::thrown(format!("Invalid character found for config key: {key}"))),
        None => Ok(pairs),
    }
}

/// What is taken back.
pub(super) fn deleted(parsed: &Parsed) -> Vec<String> {
    let lists = parsed.all(DELETE_CONFIG);
    let keys = lists.iter().flat_map(|list| list.split(',').filter(|key| !key.is_empty()));
    keys.map(|key| key.trim().to_owned()).collect()
}

/// Splits at a character that no square brackets are around: one from which on an opening one, or none at all, comes before the next closing one.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (index, _) in text.match_indices(at) {
        let rest = text.get(index + at.len_utf8()..).unwrap_or_default();
        let is_outside = match (rest.find('['), rest.find(']')) {
            (_, None) => true,
            (Some(open), Some(close)) => open < close,
            (None, Some(_)) => false,
        };
        if is_outside {
            parts.push(text.get(start..index).unwrap_or_default());
            start = index + at.len_utf8();
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    // Java drops empty parts at a list's end.
    while at == ',' && parts.len() > 1 && parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    parts
}

/// As `Topic.validate`.
///
/// # Errors
/// INVALID_TOPIC_EXCEPTION with Kafka's sentence.
pub(super) fn check_topic(name: &str) -> Result<(), Fault> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let why = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.len() > TOPIC_NAME_MAX_CHARS => {
            format!("the length of '{name}' is longer than the max allowed length {TOPIC_NAME_MAX_CHARS}")
        }
        _ if !name.chars().all(is_good) => {
            format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
        }
        _ => return Ok(()),
    };
    Ok(ServerError::check(17, Some(&format!("Topic name is invalid: {why}")))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_group_commas() {
        assert_eq!(split("a=1,b=[2,3],c=4", ','), ["a=1", "b=[2,3]", "c=4"]);
        assert_eq!(split("a=[k=v,l=w]", '='), ["a", "[k=v,l=w]"]);
        assert_eq!(split("a=", '='), ["a", ""]);
        assert_eq!(split("a=1,,", ','), ["a=1"]);
    }

    #[test]
    fn names_of_topics_are_checked_as_in_kafka() {
        check_topic("a.b_c-1").unwrap();
        for bad in ["", "..", "a b", "ä"] {
            assert!(check_topic(bad).unwrap_err().message("").starts_with("Topic name is invalid: "), "{bad}");
        }
        assert!(check_topic(&"a".repeat(250)).is_err());
    }

    #[test]
    fn singulars_lose_a_letter() {
        assert_eq!((Entity::Topic.singular(), Entity::ClientMetrics.singular()), ("topic", "client-metric"));
    }
}

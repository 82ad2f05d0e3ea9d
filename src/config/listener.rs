//! Listeners, advertised addresses, security protocols and voters: their texts, and the rules between them (Kafka's `KafkaConfig.validateValues`).
//!
//! Parses and checks only: opens no socket and resolves no name.

use super::ConfigError;
use super::broker::Role;
use super::key::{FromValue, Value, split_list};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Kafka's security protocols.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    const ALL: [SecurityProtocol; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    fn of(name: &str, key: &str) -> Result<Self, ConfigError> {
        let upper = name.trim().to_uppercase();
        Self::ALL.into_iter().find(|protocol| protocol.name() == upper).ok_or_else(|| ConfigError::Invalid {
            name: key.to_owned(),
            value: name.to_owned(),
            reason: "the security protocol must be one of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL".into(),
        })
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A host and a port to connect to.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

/// Where to listen: no host is every address of the machine, port 0 is any free port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindAddress {
    pub host: Option<String>,
    pub port: u16,
}

/// One listener of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// In upper case.
    pub name: String,
    pub protocol: SecurityProtocol,
    pub bind: BindAddress,
    /// What clients are told. `None`: each connection is told the address that it reached.
    pub advertised: Option<HostPort>,
}

/// One of `controller.quorum.voters`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    pub id: i32,
    pub address: HostPort,
}

/// All listeners of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listeners {
    /// For clients and other brokers, in the order of `listeners`.
    pub broker: Vec<Listener>,
    /// For controllers; none on a single node that names none.
    pub controller: Vec<Listener>,
    /// `controller.listener.names`, in upper case.
    pub controller_names: Vec<String>,
    /// Name of the listener that brokers use among themselves.
    pub inter_broker: String,
}

/// The texts that listeners are made of.
#[derive(Debug)]
pub(super) struct ListenerText {
    listeners: Vec<String>,
    advertised: Option<Vec<String>>,
    protocol_map: String,
    /// Whether somebody set `listener.security.protocol.map`.
    is_map_set: bool,
    controller_names: Vec<String>,
    are_controllers_named: bool,
    has_bootstrap_servers: bool,
    inter_broker_name: Option<String>,
    inter_broker_protocol: String,
    is_inter_broker_protocol_set: bool,
}

impl ListenerText {
    pub(super) fn take(
        values: &BTreeMap<&'static str, Value>,
        is_set: impl Fn(&str) -> bool,
    ) -> Result<Self, ConfigError> {
        fn of<T: FromValue>(values: &BTreeMap<&'static str, Value>, name: &str) -> Result<T, ConfigError> {
            values.get(name).and_then(T::from_value).ok_or(ConfigError::Missing { name: name.to_owned() })
        }
        Ok(Self {
            listeners: of(values, "listeners")?,
            advertised: of(values, "advertised.listeners")?,
            protocol_map: of(values, "listener.security.protocol.map")?,
            is_map_set: is_set("listener.security.protocol.map"),
            controller_names: of(values, "controller.listener.names")?,
            are_controllers_named: is_set("controller.listener.names"),
            has_bootstrap_servers: !of::<Vec<String>>(values, "controller.quorum.bootstrap.servers")?.is_empty(),
            inter_broker_name: of(values, "inter.broker.listener.name")?,
            inter_broker_protocol: of(values, "security.inter.broker.protocol")?,
            is_inter_broker_protocol_set: is_set("security.inter.broker.protocol"),
        })
    }

    /// The effective `listener.security.protocol.map`: controller listeners are PLAINTEXT where nothing says otherwise (KIP-1017's rule).
    fn protocols(&self) -> Result<BTreeMap<String, SecurityProtocol>, ConfigError> {
        const KEY: &str = "listener.security.protocol.map";
        let mut map = BTreeMap::new();
        for entry in split_list(&self.protocol_map) {
            let Some((name, protocol)) = entry.rsplit_once(':') else {
                let reason = "each entry must have the form NAME:PROTOCOL".into();
                return Err(ConfigError::Invalid { name: KEY.into(), value: entry, reason });
            };
            map.insert(name.trim().to_uppercase(), SecurityProtocol::of(protocol, KEY)?);
        }
        let is_secure = |name: &str| matches!(name, "SSL" | "SASL_SSL" | "SASL_PLAINTEXT");
        let scheme = |listener: &String| listener.split(':').next().unwrap_or_default().to_uppercase();
        let any_secure = self.controller_names.iter().any(|name| is_secure(name))
            || self.listeners.iter().any(|listener| is_secure(&scheme(listener)));
        if !self.is_map_set && !any_secure {
            for name in &self.controller_names {
                map.entry(name.to_uppercase()).or_insert(SecurityProtocol::Plaintext);
            }
        }
        Ok(map)
    }
}

/// One entry of `listeners` or `advertised.listeners`.
struct Endpoint {
    name: String,
    protocol: SecurityProtocol,
    host: Option<String>,
    port: u16,
}

impl Listener {
    /// What other controllers, and tools for them, are told where `advertised.listeners` does not have the listener: what `listeners` says or, where that is every
    /// address, what `controller.quorum.voters` says of this node (Kafka's `effectiveAdvertisedControllerListeners`).
    fn advertise_to_controllers(&mut self, own_voter: Option<&Voter>) {
        let bound = self.bind.host.clone().filter(|host| !is_wildcard(Some(host)));
        let bound = bound.map(|host| HostPort { host, port: self.bind.port });
        self.advertised = self.advertised.take().or(bound).or_else(|| own_voter.map(|voter| voter.address.clone()));
    }
}

impl Listeners {
    /// What is listened on, whatever clients are told.
    pub(super) fn without_advertised(&self) -> Self {
        let mut bare = self.clone();
        for listener in bare.broker.iter_mut().chain(&mut bare.controller) {
            listener.advertised = None;
        }
        bare
    }

    pub(super) fn parse(
        text: &ListenerText,
        node_id: i32,
        roles: &[Role],
        voters: &[Voter],
    ) -> Result<Self, ConfigError> {
        let protocols = text.protocols()?;
        // First, because listeners may have been made from them: then they are what somebody wrote.
        let advertised = match &text.advertised {
            Some(entries) => Some(endpoints("advertised.listeners", entries, &protocols)?),
            None => None,
        };
        let endpoints = endpoints("listeners", &text.listeners, &protocols)?;
        check_ports(&endpoints, &text.listeners)?;
        let controller_names: Vec<String> = text.controller_names.iter().map(|name| name.to_uppercase()).collect();
        let is_controllers = |name: &str| controller_names.iter().any(|own| own == name);
        let all: Vec<Listener> = endpoints.iter().map(|endpoint| listener(endpoint, advertised.as_deref())).collect();
        let (mut controller, mut broker): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| is_controllers(&one.name));
        for one in &mut controller {
            let own_voter =
                voters.iter().find(|voter| voter.id == node_id && controller_names.first() == Some(&one.name));
            one.advertise_to_controllers(own_voter);
        }
        if let Some(advertised) = &advertised {
            check_advertised(advertised, &endpoints, is_controllers)?;
            // A listener that is not among the advertised ones is open, but clients are not told of it: Kafka's rule for a subset.
            broker.sort_by_key(|one| !advertised.iter().any(|told| told.name == one.name));
        }
        let inter_broker = inter_broker(text, &protocols)?;
        let listeners = Self { broker, controller, controller_names, inter_broker };
        listeners.check_roles(text, &protocols, node_id, roles, voters)?;
        if roles.contains(&Role::Broker) {
            listeners.check_inter_broker(advertised.as_deref())?;
        }
        listeners.check_offered()?;
        Ok(listeners)
    }

    /// The listener of that name (upper case), of either kind.
    pub fn get(&self, name: &str) -> Option<&Listener> {
        self.broker.iter().chain(&self.controller).find(|listener| listener.name == name)
    }

    fn check_roles(
        &self,
        text: &ListenerText,
        protocols: &BTreeMap<String, SecurityProtocol>,
        node_id: i32,
        roles: &[Role],
        voters: &[Voter],
    ) -> Result<(), ConfigError> {
        let (is_broker, is_controller) = (roles.contains(&Role::Broker), roles.contains(&Role::Controller));
        let is_voter = voters.iter().any(|voter| voter.id == node_id);
        let ids: Vec<i32> = voters.iter().map(|voter| voter.id).collect();
        let relation = |said: String| Err(ConfigError::Relation(said));
        if !is_controller {
            if voters.is_empty() && !text.has_bootstrap_servers {
                return relation("process.roles=broker needs controller.quorum.bootstrap.servers or controller.quorum.voters, to find the controllers".into());
            }
            if is_voter {
                return relation(format!(
                    "node.id {node_id} is in controller.quorum.voters {ids:?}, so process.roles must contain controller"
                ));
            }
            if let Some(found) = self.controller.first() {
                return relation(format!(
                    "listeners must not contain {}, which is in controller.listener.names, when process.roles is broker alone",
                    found.name
                ));
            }
            if let Some(name) = self.controller_names.iter().find(|name| !protocols.contains_key(*name)) {
                return relation(format!(
                    "{name} in controller.listener.names has no entry in listener.security.protocol.map"
                ));
            }
            return Ok(());
        }
        if !voters.is_empty() && !is_voter {
            return relation(format!(
                "process.roles contains controller, so controller.quorum.voters {ids:?} must contain node.id {node_id}"
            ));
        }
        // A quorum of one needs no listener of its own, so a single node that says nothing of controllers is fine.
        let is_alone = !text.are_controllers_named && voters.is_empty() && !text.has_bootstrap_servers;
        let missing = self.controller_names.iter().find(|name| !self.controller.iter().any(|one| one.name == **name));
        if let Some(name) = missing.filter(|_| !(is_alone && is_broker)) {
            return relation(format!(
                "{name} in controller.listener.names must be one of listeners when process.roles contains controller"
            ));
        }
        if !is_broker && let Some(found) = self.broker.first() {
            return relation(format!(
                "listeners must contain only names of controller.listener.names when process.roles is controller alone, but has {}",
                found.name
            ));
        }
        Ok(())
    }

    fn check_inter_broker(&self, advertised: Option<&[Endpoint]>) -> Result<(), ConfigError> {
        let told = |name: &str| advertised.is_none_or(|all| all.iter().any(|endpoint| endpoint.name == name));
        let names: Vec<&str> = self.broker.iter().map(|one| one.name.as_str()).filter(|name| told(name)).collect();
        if names.is_empty() {
            let hint = if self.broker.is_empty() { "; every listener is in controller.listener.names" } else { "" };
            return Err(ConfigError::Relation(format!("a broker needs at least one advertised listener{hint}")));
        }
        if !names.contains(&self.inter_broker.as_str()) {
            return Err(ConfigError::Relation(format!(
                "inter.broker.listener.name must be one of advertised.listeners, or of listeners where those are not set: {} is not among {}",
                self.inter_broker,
                names.join(", ")
            )));
        }
        Ok(())
    }

    /// Refuses what this version cannot do, rather than speak in the clear where encryption was asked for.
    fn check_offered(&self) -> Result<(), ConfigError> {
        let beyond = |one: &&Listener| one.protocol != SecurityProtocol::Plaintext;
        match self.broker.iter().chain(&self.controller).find(beyond) {
            Some(one) => Err(ConfigError::Relation(format!(
                "listener {} uses {}, but this version of Ottla offers only PLAINTEXT",
                one.name, one.protocol
            ))),
            None => Ok(()),
        }
    }
}

/// Whether a host stands for every address of the machine.
fn is_wildcard(host: Option<&str>) -> bool {
    matches!(host, None | Some("0.0.0.0" | "::"))
}

fn listener(endpoint: &Endpoint, advertised: Option<&[Endpoint]>) -> Listener {
    let is_wildcard = is_wildcard(endpoint.host.as_deref());
    let told = match advertised {
        Some(all) => all.iter().find(|told| told.name == endpoint.name).map(|told| (&told.host, told.port)),
        None if is_wildcard => None,
        None => Some((&endpoint.host, endpoint.port)),
    };
    Listener {
        name: endpoint.name.clone(),
        protocol: endpoint.protocol,
        bind: BindAddress { host: endpoint.host.clone(), port: endpoint.port },
        // An advertised listener without a host is told as Kafka tells it nowhere else: by the address that was reached.
        advertised: told.and_then(|(host, port)| host.clone().map(|host| HostPort { host, port })),
    }
}

fn endpoints(
    key: &str,
    entries: &[String],
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<Vec<Endpoint>, ConfigError> {
    let mut all: Vec<Endpoint> = Vec::new();
    for entry in entries {
        let endpoint = endpoint(key, entry, protocols)?;
        if all.iter().any(|earlier| earlier.name == endpoint.name) {
            let reason = "each listener must have a different name".into();
            return Err(ConfigError::Invalid { name: key.into(), value: entries.join(","), reason });
        }
        all.push(endpoint);
    }
    Ok(all)
}

fn endpoint(key: &str, entry: &str, protocols: &BTreeMap<String, SecurityProtocol>) -> Result<Endpoint, ConfigError> {
    let wrong = |reason: &str| ConfigError::Invalid {
        name: key.to_owned(),
        value: entry.to_owned(),
        reason: reason.to_owned(),
    };
    let shape = || wrong("must have the form NAME://host:port, with [brackets] around an IPv6 address");
    let (name, rest) = entry.rsplit_once("://").ok_or_else(shape)?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(shape)?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    if name.is_empty() || !is_host(host) {
        return Err(shape());
    }
    let port: u16 = port.parse().map_err(|_| wrong("the port must be a number from 0 to 65535"))?;
    let name = name.trim().to_uppercase();
    let protocol = *protocols.get(&name).ok_or_else(|| {
        wrong(&format!(
            "no security protocol is defined for the listener {name}: give one in listener.security.protocol.map"
        ))
    })?;
    Ok(Endpoint { name, protocol, host: Some(host.to_owned()).filter(|host| !host.is_empty()), port })
}

/// The characters that Kafka allows in a host, for a name as well as for an address of either family.
fn is_host(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-%._:".contains(&byte))
}

/// A port may be used twice only by one IPv4 and one IPv6 address (KIP-797).
fn check_ports(endpoints: &[Endpoint], entries: &[String]) -> Result<(), ConfigError> {
    let ip = |endpoint: &Endpoint| endpoint.host.as_deref().and_then(|host| host.parse::<IpAddr>().ok());
    for (index, one) in endpoints.iter().enumerate() {
        for other in endpoints.iter().skip(index + 1).filter(|other| other.port == one.port && one.port != 0) {
            let differ =
                matches!((ip(one), ip(other)), (Some(first), Some(second)) if first.is_ipv4() != second.is_ipv4());
            if !differ {
                let reason = format!(
                    "port {} is used twice: each listener needs a port of its own, unless one has an IPv4 and the other an IPv6 address",
                    one.port
                );
                return Err(ConfigError::Invalid { name: "listeners".into(), value: entries.join(","), reason });
            }
        }
    }
    Ok(())
}

fn check_advertised(
    advertised: &[Endpoint],
    listeners: &[Endpoint],
    is_controllers: impl Fn(&str) -> bool,
) -> Result<(), ConfigError> {
    let invalid = |endpoint: &Endpoint, reason: String| ConfigError::Invalid {
        name: "advertised.listeners".into(),
        value: format!("{}://{}:{}", endpoint.name, endpoint.host.as_deref().unwrap_or_default(), endpoint.port),
        reason,
    };
    for endpoint in advertised {
        if matches!(endpoint.host.as_deref(), Some("0.0.0.0" | "::")) {
            let reason = "no client can connect to this address: advertise one that can be reached".into();
            return Err(invalid(endpoint, reason));
        }
        let is_open = listeners.iter().any(|listener| listener.name == endpoint.name);
        if !is_open && !is_controllers(&endpoint.name) {
            let names: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
            return Err(invalid(endpoint, format!("the name must be one of listeners: {}", names.join(", "))));
        }
    }
    Ok(())
}

fn inter_broker(text: &ListenerText, protocols: &BTreeMap<String, SecurityProtocol>) -> Result<String, ConfigError> {
    match &text.inter_broker_name {
        Some(_) if text.is_inter_broker_protocol_set => Err(ConfigError::Relation(
            "only one of inter.broker.listener.name and security.inter.broker.protocol may be set".into(),
        )),
        Some(name) if protocols.contains_key(&name.to_uppercase()) => Ok(name.to_uppercase()),
        Some(name) => Err(ConfigError::Invalid {
            name: "inter.broker.listener.name".into(),
            value: name.clone(),
            reason: "the name must be in listener.security.protocol.map".into(),
        }),
        None => {
            Ok(SecurityProtocol::of(&text.inter_broker_protocol, "security.inter.broker.protocol")?.name().to_owned())
        }
    }
}

/// Parses `host:port`, with brackets around an IPv6 address.
pub(super) fn parse_host_port(key: &str, entry: &str) -> Result<HostPort, ConfigError> {
    let wrong = || ConfigError::Invalid {
        name: key.to_owned(),
        value: entry.to_owned(),
        reason: "must have the form host:port, with [brackets] around an IPv6 address".into(),
    };
    let rest = entry.rsplit_once("://").map_or(entry, |(_, rest)| rest);
    let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let port = port.parse().map_err(|_| wrong())?;
    if !is_host(host) || host.is_empty() {
        return Err(wrong());
    }
    Ok(HostPort { host: host.to_owned(), port })
}

/// Parses `id@host:port`.
pub(super) fn parse_voter(key: &str, entry: &str) -> Result<Voter, ConfigError> {
    let wrong = || ConfigError::Invalid {
        name: key.to_owned(),
        value: entry.to_owned(),
        reason: "each entry must have the form {id}@{host}:{port}".into(),
    };
    let (id, address) = entry.split_once('@').ok_or_else(wrong)?;
    let id: i32 = id.trim().parse().map_err(|_| wrong())?;
    let address = parse_host_port(key, address).map_err(|_| wrong())?;
    if id < 0 {
        return Err(wrong());
    }
    Ok(Voter { id, address })
}

pub(super) fn parse_voters(entries: &[String]) -> Result<Vec<Voter>, ConfigError> {
    let key = "controller.quorum.voters";
    let voters = entries.iter().map(|entry| parse_voter(key, entry)).collect::<Result<Vec<_>, _>>()?;
    for (index, voter) in voters.iter().enumerate() {
        if voters.iter().take(index).any(|earlier| earlier.id == voter.id) {
            let reason = format!("id {} appears twice", voter.id);
            return Err(ConfigError::Invalid { name: key.into(), value: entries.join(","), reason });
        }
    }
    Ok(voters)
}

/// Parses an address for HTTP: `host:port`, `:port`, or nothing. The outer `None` says that it is none of these.
pub(super) fn http_address(text: &str) -> Option<Option<BindAddress>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    if let Some(port) = text.strip_prefix(':') {
        return port.parse().ok().map(|port| Some(BindAddress { host: None, port }));
    }
    let address = parse_host_port("metrics.address", text).ok()?;
    Some(Some(BindAddress { host: Some(address.host), port: address.port }))
}

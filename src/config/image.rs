//! What environment variables mean, by the rules of the container image that Ottla takes the place of.
//!
//! Four images are known; they differ in how a variable's name becomes a key's, in aliases, and in what they derive. Whose rules apply is decided by
//! [`Image::decide`]. Looks at variables, and at the files that variables name as secrets; reads no other file.

mod listeners;
mod secrets;
mod topics;

pub use topics::DeclaredTopic;

use super::broker::broker_key;
use super::key::ConfigKey;
use super::{ConfigError, Origin, Settings};
use std::collections::BTreeMap;

/// The cluster id that the apache/kafka image takes when nobody gives one. It claims nothing: data of another cluster may be there already.
pub const APACHE_CLUSTER_ID: &str = "5L6g3nShT-eMCtK--X86sw";

/// The variable that says whose rules apply. It is there in a container, and only there.
pub const RULES: &str = "OTTLA_IMAGE";

/// Its value where the other variables shall decide.
const UNDECIDED: &str = "auto";

/// An image whose rules are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Image {
    Apache,
    Confluent,
    Bitnami,
    Wurstmeister,
}

/// Variables of the Java machine, its scripts and the images' own: never properties, and without meaning here.
const NOT_PROPERTIES: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_HOME",
    "KAFKA_USER",
    "KAFKA_GROUP",
    "KAFKA_HEAP_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_DEBUG",
    "KAFKA_DATA_DIRS",
    "KAFKA_CUB_ZK_TIMEOUT",
    "KAFKA_EXTRA_FLAGS",
    "KAFKA_ENABLE_KRAFT",
    "KAFKA_SKIP_KRAFT_STORAGE_INIT",
    "KAFKA_INITIAL_CONTROLLERS",
    "KAFKA_KRAFT_BOOTSTRAP_SCRAM_USERS",
    "KAFKA_MOUNTED_CONF_DIR",
    "KAFKA_BASE_DIR",
    "KAFKA_CERTS_DIR",
    "KAFKA_CONF_DIR",
    "KAFKA_CONF_FILE",
    "KAFKA_DAEMON_GROUP",
    "KAFKA_DAEMON_USER",
    "KAFKA_DATA_DIR",
    "KAFKA_INITSCRIPTS_DIR",
    "KAFKA_VOLUME_DIR",
    "KAFKA_CLIENT_LISTENER",
    "KAFKA_CLIENT_LISTENER_NAME",
    "KAFKA_CLIENT_SASL_MECHANISM",
    "KAFKA_BROKER_ID_COMMAND",
    "KAFKA_NODE_ID_COMMAND",
    "KAFKA_CONTROLLER_QUORUM_VOTERS_COMMAND",
    "KAFKA_CREATE_TOPICS",
    "KAFKA_CREATE_TOPICS_SEPARATOR",
];

/// The same, by how they begin.
const NOT_PROPERTIES_PREFIXES: &[&str] = &["KAFKA_LOG4J_", "KAFKA_JMX_", "KAFKA_SERVICE_"];

/// Variables of bitnami's that are about security, which this version does not offer: a listener that needs them is refused.
const SECURITY: &[&str] = &[
    "KAFKA_CLIENT_USERS",
    "KAFKA_CLIENT_PASSWORDS",
    "KAFKA_BROKER_USER",
    "KAFKA_BROKER_PASSWORD",
    "KAFKA_INTER_BROKER_USER",
    "KAFKA_INTER_BROKER_PASSWORD",
    "KAFKA_CONTROLLER_USER",
    "KAFKA_CONTROLLER_PASSWORD",
    "KAFKA_CERTIFICATE_PASSWORD",
    "KAFKA_TLS_TRUSTSTORE_FILE",
    "KAFKA_TLS_TYPE",
    "KAFKA_TLS_CLIENT_AUTH",
];

/// Names that bitnami knows under another one.
const BITNAMI_ALIASES: &[(&str, &str)] = &[
    ("KAFKA_LOGS_DIRS", "log.dirs"),
    ("KAFKA_SEGMENT_BYTES", "log.segment.bytes"),
    ("KAFKA_MAX_MESSAGE_BYTES", "message.max.bytes"),
    ("KAFKA_ZOOKEEPER_CONNECT_TIMEOUT_MS", "zookeeper.connection.timeout.ms"),
    ("KAFKA_LOG_RETENTION_CHECK_INTERVALS_MS", "log.retention.check.interval.ms"),
];

/// Variables that set the cluster's id.
const CLUSTER_IDS: &[&str] = &["CLUSTER_ID", "KAFKA_CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID", "KAFKA_CFG_CLUSTER_ID"];

/// Keys of the time of ZooKeeper, which Kafka 4 does not have any more, but compose files do.
const GONE: &[&str] = &[
    "advertised.host.name",
    "advertised.port",
    "broker.id.generation.enable",
    "control.plane.listener.name",
    "enable.zookeeper.secure.acl",
    "host.name",
    "inter.broker.protocol.version",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "port",
    "reserved.broker.max.id",
];

/// What the wurstmeister and bitnami images' own configuration file sets, where it differs from Kafka's presets.
const FILE_PRESETS: &[(&str, &str)] = &[
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
];

impl Image {
    pub const ALL: [Image; 4] = [Self::Apache, Self::Confluent, Self::Bitnami, Self::Wurstmeister];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::Confluent => "confluent",
            Self::Bitnami => "bitnami",
            Self::Wurstmeister => "wurstmeister",
        }
    }

    /// The image of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|image| image.name() == name)
    }

    /// Whose rules an environment was written for, and the variable that says so: `OTTLA_IMAGE`, which the start scripts set, or one whose name only
    /// one image has, looked for from bitnami over wurstmeister to Confluent. Else apache's, which are nearly Confluent's.
    ///
    /// # Errors
    /// [`ConfigError::Variable`] when `OTTLA_IMAGE` names no image.
    pub fn decide(variables: &BTreeMap<String, String>) -> Result<(Self, Option<&str>), ConfigError> {
        if let Some((variable, asked)) = variables.get_key_value(RULES).filter(|(_, asked)| *asked != UNDECIDED) {
            let image = Self::of(asked).ok_or_else(|| ConfigError::Variable {
                variable: variable.clone(),
                value: asked.clone(),
                reason: "must be one of: apache, confluent, bitnami, wurstmeister, auto".into(),
            })?;
            return Ok((image, Some(variable)));
        }
        let any = |names: &[&str], prefixes: &[&str]| {
            let is_one = |name: &str| names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix));
            variables.keys().map(String::as_str).find(|name| is_one(name))
        };
        const BITNAMI: &[&str] = &["ALLOW_PLAINTEXT_LISTENER", "KAFKA_ENABLE_KRAFT", "KAFKA_KRAFT_CLUSTER_ID"];
        const WURSTMEISTER: &[&str] = &[
            "KAFKA_CREATE_TOPICS",
            "KAFKA_ADVERTISED_HOST_NAME",
            "KAFKA_ADVERTISED_PORT",
            "KAFKA_ADVERTISED_PROTOCOL_NAME",
            "KAFKA_PROTOCOL_NAME",
            "HOSTNAME_COMMAND",
            "PORT_COMMAND",
            "BROKER_ID_COMMAND",
            "RACK_COMMAND",
            "CUSTOM_INIT_SCRIPT",
        ];
        const CONFLUENT: &[&str] = &["KAFKA_ZOOKEEPER_CONNECT", "KAFKA_METRIC_REPORTERS"];
        let found = any(BITNAMI, &["KAFKA_CFG_", "BITNAMI_"]).or_else(|| any(SECURITY, &[]));
        if found.is_some() {
            return Ok((Self::Bitnami, found));
        }
        let found = any(WURSTMEISTER, &[]);
        if found.is_some() {
            return Ok((Self::Wurstmeister, found));
        }
        let found = any(CONFLUENT, &["KAFKA_CONFLUENT_", "CONFLUENT_", "KAFKA_REST_"]);
        Ok((if found.is_some() { Self::Confluent } else { Self::Apache }, found))
    }
}

impl Settings {
    /// Takes what the environment says: properties, the cluster's id, topics to be made, by the rules that [`Image::decide`] finds.
    ///
    /// # Errors
    /// [`ConfigError::Variable`] and [`ConfigError::Disagree`] for what is not readable, not understood, or said twice in different ways.
    pub fn load_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let mut variables: BTreeMap<String, String> = variables.into_iter().collect();
        variables.retain(|name, value| !is_service_link(name, value));
        let image = Image::decide(&variables)?.0;
        self.image = variables.contains_key(RULES).then_some(image);
        let mut reading = Reading { image, variables, properties: BTreeMap::new(), notices: Vec::new() };
        secrets::read_files(&mut reading.variables)?;
        if let Some(id) = reading.cluster_id()? {
            self.set_cluster_id(id);
        }
        if matches!(image, Image::Wurstmeister) {
            listeners::of_hosts_and_ports(&mut reading)?;
        }
        secrets::locate(&mut reading)?;
        reading.take_properties()?;
        listeners::derive(&mut reading, |name| self.get(name).map(str::to_owned))?;
        let text = reading.variables.get("KAFKA_CREATE_TOPICS").cloned().unwrap_or_default();
        let separator = reading.variables.get("KAFKA_CREATE_TOPICS_SEPARATOR").map_or(",", String::as_str);
        self.declared_topics.extend(topics::parse(&text, separator)?);
        if let Some(path) = reading.variables.get("OTTLA_BOOTSTRAP_FILE").filter(|path| !path.is_empty()) {
            let origin = Origin::Environment("OTTLA_BOOTSTRAP_FILE".into());
            reading.properties.insert("ottla.bootstrap.file".into(), (path.clone(), origin));
        }
        if !reading.properties.is_empty() && matches!(image, Image::Bitnami | Image::Wurstmeister) {
            for (name, value) in FILE_PRESETS {
                let origin = Origin::Image(image);
                reading.properties.entry((*name).to_owned()).or_insert_with(|| ((*value).to_owned(), origin));
            }
        }
        for (name, (value, origin)) in reading.properties {
            self.set(name, value, origin);
        }
        self.notices.extend(reading.notices);
        Ok(())
    }
}

/// An environment while it is read.
struct Reading {
    image: Image,
    variables: BTreeMap<String, String>,
    properties: BTreeMap<String, (String, Origin)>,
    notices: Vec<String>,
}

impl Reading {
    fn get(&self, variable: &str) -> Option<&str> {
        self.variables.get(variable).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Sets a property; another variable may have said the same, but nothing else.
    fn set(&mut self, name: &str, value: &str, variable: &str) -> Result<(), ConfigError> {
        if let Some((other, origin)) = self.properties.get(name)
            && other.trim() != value.trim()
        {
            let shown = |value: &str| if is_secret(name) { "[hidden]".to_owned() } else { value.to_owned() };
            return Err(ConfigError::Disagree {
                name: name.to_owned(),
                one: format!("{} {origin}", shown(other)),
                other: format!("{} {}", shown(value), Origin::Environment(variable.to_owned())),
            });
        }
        self.properties.insert(name.to_owned(), (value.to_owned(), Origin::Environment(variable.to_owned())));
        Ok(())
    }

    fn cluster_id(&self) -> Result<Option<String>, ConfigError> {
        let mut found: Option<(&str, &str)> = None;
        for variable in CLUSTER_IDS {
            let Some(id) = self.get(variable).map(str::trim) else { continue };
            match found {
                Some((earlier, other)) if other != id => {
                    return Err(ConfigError::Disagree {
                        name: "the cluster's id".into(),
                        one: format!("{other} {}", Origin::Environment(earlier.to_owned())),
                        other: format!("{id} {}", Origin::Environment((*variable).to_owned())),
                    });
                }
                _ => found = Some((variable, id)),
            }
        }
        Ok(found.map(|(_, id)| id.to_owned()))
    }

    fn take_properties(&mut self) -> Result<(), ConfigError> {
        let mut gone = Vec::new();
        for (variable, value) in self.variables.clone() {
            let Some(name) = property_of_variable(self.image, &variable) else { continue };
            // Minus one asks ZooKeeper for a number.
            let is_automatic = matches!(name.as_str(), "broker.id" | "node.id") && value.trim() == "-1";
            if is_gone(&name) {
                gone.push(variable);
            } else if !is_automatic {
                self.set(&name, &value, &variable)?;
            }
        }
        if !gone.is_empty() {
            self.notices.push(format!(
                "{}: of the time of ZooKeeper, ignored; this broker needs none, and is a cluster of its own",
                gone.join(", ")
            ));
        }
        Ok(())
    }
}

/// Whether Kubernetes or a Docker link put the variable there, because a service has the name `kafka`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = value.starts_with("tcp://") || value.starts_with("udp://");
    (name == "KAFKA_PORT" && is_address)
        || name.strip_prefix("KAFKA_PORT_").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn is_gone(name: &str) -> bool {
    broker_key(name).is_none() && (name.starts_with("zookeeper.") || GONE.contains(&name))
}

/// The property that a variable stands for; `None` for one that is no property.
fn property_of_variable(image: Image, variable: &str) -> Option<String> {
    let rest = variable.strip_prefix("KAFKA_")?;
    let is_other = NOT_PROPERTIES.contains(&variable)
        || SECURITY.contains(&variable)
        || CLUSTER_IDS.contains(&variable)
        || NOT_PROPERTIES_PREFIXES.iter().any(|prefix| variable.starts_with(prefix));
    if rest.is_empty() || is_other {
        return None;
    }
    let rest = match (image, rest.strip_prefix("CFG_")) {
        (Image::Bitnami, Some(own)) => own,
        _ => rest,
    };
    if let (Image::Bitnami, Some((_, name))) = (image, BITNAMI_ALIASES.iter().find(|(alias, _)| *alias == variable)) {
        return Some((*name).to_owned());
    }
    let candidates = match image {
        Image::Apache | Image::Confluent => [by_underscores(rest), by_dots(rest)],
        Image::Bitnami | Image::Wurstmeister => [by_dots(rest), by_underscores(rest)],
    };
    // An environment may mix the rules: what only one of them takes to a key that exists is meant so.
    let known = candidates.iter().find(|name| broker_key(name).is_some());
    known.or(candidates.first()).cloned()
}

/// The rule of apache/kafka and cp-kafka: `___` is `-`, `__` is `_`, `_` is `.`.
fn by_underscores(rest: &str) -> String {
    // From the longest run of underscores to the shortest, as the images do: what a longer one became is not looked at again.
    rest.to_lowercase().replace("___", "-").replace("__", "\u{0}").replace('_', ".").replace('\u{0}', "_")
}

/// The rule of bitnami and wurstmeister: every `_` is `.`, but in the names of the protocols.
fn by_dots(rest: &str) -> String {
    let name = rest.to_lowercase().replace('_', ".");
    name.replace("sasl.ssl", "sasl_ssl").replace("sasl.plaintext", "sasl_plaintext")
}

fn is_secret(name: &str) -> bool {
    broker_key(name).is_some_and(ConfigKey::is_sensitive) || name.contains("password") || name.ends_with("jaas.config")
}

/// Whether the name belongs to a key of the broker, or to one of Kafka's plug-ins.
pub fn is_known(name: &str) -> bool {
    broker_key(name).is_some() || super::OPEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod others_tests;
#[cfg(test)]
mod tests;

//! What was set before the start, and by whom: file, environment and command line, the later the stronger.
//!
//! Collects texts and knows no key: whether a name exists and a value is right is for `broker`.

use super::{ConfigError, properties};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Where a setting came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Ottla itself, for want of anything else (the data folder).
    Ottla,
    File(String),
    /// The variable's name.
    Environment(String),
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Ottla => f.write_str("set by Ottla"),
            Origin::File(path) => write!(f, "in {path}"),
            Origin::Environment(variable) => write!(f, "from the environment variable {variable}"),
            Origin::Override => f.write_str("given with --override"),
        }
    }
}

/// Settings by name, each with its origin.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Settings {
    entries: BTreeMap<String, (String, Origin)>,
    cluster_id: Option<String>,
}

/// Variables that begin with `KAFKA_` and are for the Java machine, its scripts and images, never properties.
const NOT_PROPERTIES: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_HOME",
    "KAFKA_HEAP_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_DEBUG",
];

impl Settings {
    /// Sets one value; it takes the place of an earlier one.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>, origin: Origin) {
        self.entries.insert(name.into(), (value.into(), origin));
    }

    /// Takes everything in a properties file.
    ///
    /// # Errors
    /// [`ConfigError::File`] when the file cannot be read or holds a broken escape.
    pub fn load_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let wrong = |reason: String| ConfigError::File { path: shown.clone(), reason };
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        for (name, value) in properties::parse(&bytes).map_err(wrong)? {
            self.set(name, value, Origin::File(shown.clone()));
        }
        Ok(())
    }

    /// Takes the variables that begin with `KAFKA_`, by the rule of the apache/kafka image, and `CLUSTER_ID`.
    pub fn load_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (variable, value) in variables {
            if variable == "CLUSTER_ID" && !value.trim().is_empty() {
                self.cluster_id = Some(value.trim().to_owned());
            } else if let Some(name) = property_of_variable(&variable) {
                self.set(name, value, Origin::Environment(variable));
            }
        }
    }

    /// Takes one `key=value` of the command line.
    ///
    /// # Errors
    /// [`ConfigError::Override`] when there is no `=` or no key.
    pub fn apply_override(&mut self, given: &str) -> Result<(), ConfigError> {
        match given.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                self.set(name.trim(), value.trim(), Origin::Override);
                Ok(())
            }
            _ => Err(ConfigError::Override { given: given.to_owned() }),
        }
    }

    pub fn set_cluster_id(&mut self, cluster_id: impl Into<String>) {
        self.cluster_id = Some(cluster_id.into());
    }

    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|(value, _)| value.as_str())
    }

    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.entries.get(name).map(|(_, origin)| origin.clone())
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, (value, _))| (name.as_str(), value.as_str()))
    }

    /// Names, values and origins, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, Origin)> {
        self.entries.iter().map(|(name, (value, origin))| (name.as_str(), value.as_str(), origin.clone()))
    }
}

/// The property that a variable stands for: `KAFKA_` goes, `___` is `-`, `__` is `_`, `_` is `.` (the apache/kafka image's rule).
fn property_of_variable(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix("KAFKA_")?;
    let is_logging = variable.starts_with("KAFKA_LOG4J_");
    if rest.is_empty() || is_logging || NOT_PROPERTIES.contains(&variable) {
        return None;
    }
    // From the longest run of underscores to the shortest, as the image does: what a longer one became is not looked at again.
    let marked = rest.to_lowercase().replace("___", "-").replace("__", "\u{0}").replace('_', ".").replace('\u{0}', "_");
    Some(marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_properties() {
        for (variable, property) in [
            ("KAFKA_NUM_PARTITIONS", Some("num.partitions")),
            ("KAFKA_LISTENER_NAME_A__B_SSL_KEY", Some("listener.name.a_b.ssl.key")),
            ("KAFKA_LISTENER_NAME_A___B_X", Some("listener.name.a-b.x")),
            ("KAFKA_A____B", Some("a-.b")),
            ("KAFKA_HEAP_OPTS", None),
            ("KAFKA_LOG4J_ROOT_LOGLEVEL", None),
            ("KAFKA_LOG_DIRS", Some("log.dirs")),
            ("KAFKA_", None),
            ("NUM_PARTITIONS", None),
        ] {
            assert_eq!(property_of_variable(variable).as_deref(), property, "{variable}");
        }
    }

    #[test]
    fn later_sources_are_stronger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.properties");
        std::fs::write(&path, "num.partitions=2\nnode.id=7\nnum.partitions=3\n").unwrap();
        let mut settings = Settings::default();
        settings.load_file(&path).unwrap();
        assert_eq!(settings.get("num.partitions"), Some("3"), "the last line of a file wins");
        settings.load_environment([
            ("KAFKA_NUM_PARTITIONS".into(), "4".into()),
            ("CLUSTER_ID".into(), " abc ".into()),
            ("PATH".into(), "/bin".into()),
        ]);
        assert_eq!(settings.get("num.partitions"), Some("4"));
        settings.apply_override("num.partitions=5").unwrap();
        assert_eq!(settings.get("num.partitions"), Some("5"));
        assert_eq!(settings.origin("num.partitions"), Some(Origin::Override));
        assert_eq!(settings.get("node.id"), Some("7"));
        assert_eq!(settings.cluster_id(), Some("abc"));
        for wrong in ["num.partitions", "=5", " = "] {
            assert!(settings.apply_override(wrong).is_err(), "{wrong}");
        }
        assert!(matches!(settings.load_file(&folder.path().join("none")), Err(ConfigError::File { .. })));
    }
}

//! What was set before the start, and by whom: file, environment and command line, the later the stronger.
//!
//! Collects texts and knows no key: whether a name exists and a value is right is for `broker`.

use super::image::{DeclaredTopic, Image};
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
    /// What the image's own configuration file has.
    Image(Image),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Ottla => f.write_str("set by Ottla"),
            Origin::File(path) => write!(f, "in {path}"),
            Origin::Environment(variable) => write!(f, "from the environment variable {variable}"),
            Origin::Override => f.write_str("given with --override"),
            Origin::Image(image) => write!(f, "by the rules of the {} image", image.name()),
        }
    }
}

/// Settings by name, each with its origin.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Settings {
    entries: BTreeMap<String, (String, Origin)>,
    cluster_id: Option<String>,
    /// The image whose place is taken, when this runs in a container.
    pub(super) image: Option<Image>,
    /// Topics that shall be there once the broker is ready.
    pub(super) declared_topics: Vec<DeclaredTopic>,
    /// Sentences about what was given and is ignored.
    pub(super) notices: Vec<String>,
}

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

    /// The image whose place is taken, when this runs in a container.
    pub fn image(&self) -> Option<Image> {
        self.image
    }

    /// Topics that shall be there once the broker is ready.
    pub fn declared_topics(&self) -> &[DeclaredTopic] {
        &self.declared_topics
    }

    /// The sources of the keys that a sentence names, as `(name source, ...)` after a blank; empty when none of them was set.
    pub(super) fn sources_of(&self, sentence: &str) -> String {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let words: Vec<&str> = sentence.split(|c| !is_of_name(c)).map(|word| word.trim_end_matches('.')).collect();
        let named = self.entries.iter().filter(|(name, _)| words.contains(&name.as_str()));
        let source = |(name, (value, origin)): (&String, &(String, Origin))| match is_quoted(value) {
            true => format!("{name} {origin}, where the quotes are part of the value: leave them out"),
            false => format!("{name} {origin}"),
        };
        let sources: Vec<String> = named.map(source).collect();
        if sources.is_empty() { String::new() } else { format!(" ({})", sources.join(", ")) }
    }

    /// Whether no property is set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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

/// Whether a value stands in quotes, as files of variables and lists in YAML do not take them off.
fn is_quoted(value: &str) -> bool {
    let value = value.trim();
    value.len() > 1 && ['"', '\''].iter().any(|quote| value.starts_with(*quote) && value.ends_with(*quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sources_are_stronger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.properties");
        std::fs::write(&path, "num.partitions=2\nnode.id=7\nnum.partitions=3\n").unwrap();
        let mut settings = Settings::default();
        settings.load_file(&path).unwrap();
        assert_eq!(settings.get("num.partitions"), Some("3"), "the last line of a file wins");
        let environment = [("KAFKA_NUM_PARTITIONS", "4"), ("CLUSTER_ID", " abc "), ("PATH", "/bin")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        settings.load_environment(environment).unwrap();
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

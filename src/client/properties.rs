//! Client properties: what `--command-config` files and `--command-property` hold. Names, presets and bounds are those of Kafka's clients.
//!
//! Every key is taken: Kafka's tools say nothing about one that they do not know. A value that Kafka refuses is refused with Kafka's sentence, and so is what
//! this client cannot do yet (encryption, SASL), because going on without it would not be what was asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::ClientError;
use super::address::{self, Address};
use crate::config::properties;

/// Properties by name. Cheap to clone; nothing is checked before it is asked for.
#[derive(Clone, Debug, Default)]
pub struct ClientProperties {
    entries: BTreeMap<String, String>,
}

impl ClientProperties {
    /// Reads a properties file.
    ///
    /// # Errors
    /// The file's path with what the system says, or the line that cannot be read.
    pub fn load(path: &Path) -> Result<Self, ClientError> {
        let told = |what: &dyn std::fmt::Display| ClientError::Config(format!("{}: {what}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| told(&error))?;
        let entries = properties::parse(&bytes).map_err(|wrong| told(&wrong))?;
        Ok(Self { entries: entries.into_iter().collect() })
    }

    /// A value given later wins.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.entries.insert(key.to_owned(), value.into());
    }

    /// Sets what is not set yet.
    pub fn set_default(&mut self, key: &str, value: &str) {
        self.entries.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }

    pub fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    pub fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// A whole number of Kafka's type INT or LONG, at least `least`.
    ///
    /// # Errors
    /// Kafka's sentence for a value that is no number or too small.
    pub fn number(&self, key: &str, preset: i64, least: i64) -> Result<i64, ClientError> {
        let Some(text) = self.get(key) else { return Ok(preset) };
        let wrong = |why: &str| ClientError::Config(format!("Invalid value {text} for configuration {key}: {why}"));
        let value: i64 = text.trim().parse().map_err(|_| wrong("Not a number of type INT"))?;
        match value >= least {
            true => Ok(value),
            false => Err(wrong(&format!("Value must be at least {least}"))),
        }
    }

    /// Milliseconds, not negative.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn duration_ms(&self, key: &str, preset_ms: u64) -> Result<Duration, ClientError> {
        let ms = self.number(key, i64::try_from(preset_ms).unwrap_or(i64::MAX), 0)?;
        Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// Kafka's sentence for anything else.
    pub fn boolean(&self, key: &str, preset: bool) -> Result<bool, ClientError> {
        match self.get(key).map(str::trim) {
            None => Ok(preset),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => {
                let why = "Expected value to be either true or false";
                Err(ClientError::Config(format!("Invalid value {text} for configuration {key}: {why}")))
            }
        }
    }

    /// What a client needs of all this.
    ///
    /// # Errors
    /// [`ClientError::Config`] for what is missing, wrong, or not there yet.
    pub(super) fn settings(&self) -> Result<Settings, ClientError> {
        self.check_security()?;
        let (is_controller, key) = match self.get("bootstrap.controllers") {
            Some(controllers) if !controllers.is_empty() => (true, "bootstrap.controllers"),
            _ => (false, "bootstrap.servers"),
        };
        let bootstrap = address::parse_list("bootstrap.servers", self.get(key).unwrap_or_default())?;
        Ok(Settings {
            bootstrap,
            is_controller,
            client_id: self.get("client.id").unwrap_or_default().to_owned(),
            request_timeout: self.duration_ms("request.timeout.ms", 30_000)?,
            api_timeout: self.duration_ms("default.api.timeout.ms", 60_000)?,
            connect_timeout: self.duration_ms("socket.connection.setup.timeout.ms", 10_000)?,
            backoff: self.duration_ms("reconnect.backoff.ms", 50)?,
            max_backoff: self.duration_ms("reconnect.backoff.max.ms", 1_000)?,
        })
    }

    fn check_security(&self) -> Result<(), ClientError> {
        let Some(protocol) = self.get("security.protocol") else { return Ok(()) };
        match protocol.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Ok(()),
            "SSL" | "SASL_PLAINTEXT" | "SASL_SSL" => Err(ClientError::Config(format!(
                "security.protocol={protocol} is not there yet: Ottla's tools speak PLAINTEXT only. Use a PLAINTEXT listener, or the tools of a Kafka distribution"
            ))),
            _ => Err(ClientError::Config(format!(
                "Invalid value {protocol} for configuration security.protocol: (case insensitive) String must be one of: PLAINTEXT, SASL_PLAINTEXT, SASL_SSL, SSL"
            ))),
        }
    }
}

/// What a client goes by, checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// At least one.
    pub bootstrap: Vec<Address>,
    /// The addresses are those of controllers (KIP-919).
    pub is_controller: bool,
    pub client_id: String,
    pub request_timeout: Duration,
    pub api_timeout: Duration,
    pub connect_timeout: Duration,
    pub backoff: Duration,
    pub max_backoff: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> ClientProperties {
        let mut all = ClientProperties::default();
        pairs.iter().for_each(|(key, value)| all.set(key, *value));
        all
    }

    #[test]
    fn presets_are_kafka_s() {
        let settings = properties(&[("bootstrap.servers", "a:1")]).settings().unwrap();
        assert_eq!((settings.request_timeout.as_secs(), settings.api_timeout.as_secs()), (30, 60));
        assert!(!settings.is_controller);
        let settings = properties(&[("bootstrap.controllers", "a:1"), ("unknown", "x")]).settings().unwrap();
        assert!(settings.is_controller);
    }

    #[test]
    fn wrong_values_are_told_as_kafka_tells_them() {
        let error = |pairs: &[(&str, &str)]| properties(pairs).settings().unwrap_err().to_string();
        assert_eq!(
            error(&[("bootstrap.servers", "a:1"), ("request.timeout.ms", "soon")]),
            "Invalid value soon for configuration request.timeout.ms: Not a number of type INT"
        );
        assert_eq!(
            error(&[("bootstrap.servers", "a:1"), ("request.timeout.ms", "-1")]),
            "Invalid value -1 for configuration request.timeout.ms: Value must be at least 0"
        );
        assert!(error(&[("security.protocol", "SSL")]).contains("PLAINTEXT only"));
        assert!(error(&[("security.protocol", "TCP")]).starts_with("Invalid value TCP"));
        assert_eq!(error(&[]), "No resolvable bootstrap urls given in bootstrap.servers");
        assert!(properties(&[("a", "maybe")]).boolean("a", true).is_err());
    }

    #[test]
    fn files_are_java_s_properties() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.properties");
        std::fs::write(&path, "client.id = me\n# no\nrequest.timeout.ms=5000\n").unwrap();
        let loaded = ClientProperties::load(&path).unwrap();
        assert_eq!(loaded.get("client.id"), Some("me"));
        assert_eq!(loaded.duration_ms("request.timeout.ms", 1).unwrap(), Duration::from_secs(5));
        let missing = ClientProperties::load(&folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("none"), "{missing}");
    }
}

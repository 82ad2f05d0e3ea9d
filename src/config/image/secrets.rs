//! Values that are in files: `*_FILE` holds a value's path, `*_FILENAME` and `*_CREDENTIALS` name files below `/etc/kafka/secrets`.
//!
//! Never puts a file's content into an error.

use super::{BITNAMI_ALIASES, CLUSTER_IDS, Image, Reading, SECURITY, property_of_variable};
use crate::config::ConfigError;
use crate::config::broker::broker_key;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where apache/kafka and cp-kafka look for key stores and their passwords.
const FOLDER: &str = "/etc/kafka/secrets";

/// Puts the content of each `X_FILE` in the place of `X`, where `X` means something.
pub(super) fn read_files(variables: &mut BTreeMap<String, String>) -> Result<(), ConfigError> {
    let named: Vec<(String, String)> = variables
        .iter()
        .filter_map(|(name, path)| Some((name.strip_suffix("_FILE")?.to_owned(), path.clone())))
        .filter(|(base, path)| !path.is_empty() && means_something(base))
        .collect();
    for (base, path) in named {
        let variable = format!("{base}_FILE");
        let value = read(&variable, Path::new(&path))?;
        variables.remove(&variable);
        if let Some(other) = variables.insert(base.clone(), value.clone())
            && other != value
        {
            let reason = format!("{base} is set, too, and says something else: set one of the two");
            return Err(ConfigError::Variable { variable, value: path, reason });
        }
    }
    Ok(())
}

fn means_something(base: &str) -> bool {
    // Bitnami's KAFKA_TLS_TRUSTSTORE_FILE is a path, not a secret's.
    if base == "KAFKA_TLS_TRUSTSTORE" {
        return false;
    }
    let is_key = [Image::Apache, Image::Bitnami]
        .iter()
        .filter_map(|image| property_of_variable(*image, base))
        .any(|name| broker_key(&name).is_some() || name.starts_with("listener.name."));
    is_key
        || CLUSTER_IDS.contains(&base)
        || SECURITY.contains(&base)
        || BITNAMI_ALIASES.iter().any(|(name, _)| *name == base)
}

fn read(variable: &str, path: &Path) -> Result<String, ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| ConfigError::Variable {
        variable: variable.to_owned(),
        value: path.display().to_string(),
        reason: format!("the file cannot be read by this user: {error}"),
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// `KAFKA_SSL_KEYSTORE_FILENAME` and its kin become locations and passwords.
pub(super) fn locate(reading: &mut Reading) -> Result<(), ConfigError> {
    const LOCATIONS: &[(&str, &str)] = &[
        ("KAFKA_SSL_KEYSTORE_FILENAME", "ssl.keystore.location"),
        ("KAFKA_SSL_TRUSTSTORE_FILENAME", "ssl.truststore.location"),
    ];
    const PASSWORDS: &[(&str, &str)] = &[
        ("KAFKA_SSL_KEY_CREDENTIALS", "ssl.key.password"),
        ("KAFKA_SSL_KEYSTORE_CREDENTIALS", "ssl.keystore.password"),
        ("KAFKA_SSL_TRUSTSTORE_CREDENTIALS", "ssl.truststore.password"),
    ];
    for (variable, name) in LOCATIONS {
        let Some(file) = reading.variables.remove(*variable).filter(|file| !file.is_empty()) else { continue };
        let path = Path::new(FOLDER).join(&file);
        if !path.exists() {
            let reason = format!("there is no file {}", path.display());
            return Err(ConfigError::Variable { variable: (*variable).to_owned(), value: file, reason });
        }
        reading.set(name, &path.to_string_lossy(), variable)?;
    }
    for (variable, name) in PASSWORDS {
        let Some(file) = reading.variables.remove(*variable).filter(|file| !file.is_empty()) else { continue };
        let password = read(variable, &Path::new(FOLDER).join(&file))?;
        reading.set(name, &password, variable)?;
    }
    Ok(())
}

//! The file of `ottla.bootstrap.file`: topics that shall be there once the broker is ready. Reads and checks its form; creates nothing.
//!
//! ```yaml
//! topics:
//!   - name: letters
//!     partitions: 4          # left out: num.partitions
//!     replicas: 1            # left out: default.replication.factor
//!     configs:
//!       cleanup.policy: compact
//!       retention.ms: 86400000
//! ```

use super::ConfigError;
use super::image::DeclaredTopic;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Larger than any list of topics; a file that is larger is some other file.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    topics: Vec<Topic>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    name: String,
    partitions: Option<i32>,
    replicas: Option<i16>,
    #[serde(default)]
    configs: BTreeMap<String, Scalar>,
}

/// A configuration's value, as people write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Boolean(bool),
    Whole(i64),
    Number(f64),
    Text(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Number(value) => super::key::java_double(*value),
            Self::Text(value) => value.clone(),
        }
    }
}

/// Reads the file.
///
/// # Errors
/// [`ConfigError::File`] when it cannot be read, is no YAML of that form, or says something twice or impossible.
pub fn load(path: &Path) -> Result<Vec<DeclaredTopic>, ConfigError> {
    let wrong = |reason: String| ConfigError::File { path: path.display().to_string(), reason };
    let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if length > MAX_BYTES {
        return Err(wrong(format!("the file has {length} bytes; at most {MAX_BYTES} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    parse(&text).map_err(wrong)
}

fn parse(text: &str) -> Result<Vec<DeclaredTopic>, String> {
    // An empty file declares nothing.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let line =
            error.location().and_then(|place| text.lines().nth(usize::try_from(place.line()).ok()?.checked_sub(1)?));
        let shown = line.map(|line| format!(", in: {}", line.trim())).unwrap_or_default();
        one_line(&error.to_string()) + &shown
    })?;
    let mut topics: Vec<DeclaredTopic> = Vec::with_capacity(file.topics.len());
    for topic in file.topics {
        let name = topic.name;
        if topics.iter().any(|earlier| earlier.name == name) {
            return Err(format!("topic {name} is declared twice"));
        }
        if let Some(partitions) = topic.partitions.filter(|count| *count < 1) {
            return Err(format!("topic {name}: partitions is {partitions}, but must be at least 1"));
        }
        if let Some(replicas) = topic.replicas.filter(|count| *count < 1) {
            return Err(format!("topic {name}: replicas is {replicas}, but must be at least 1"));
        }
        let configs = topic.configs.iter().map(|(key, value)| (key.clone(), value.text())).collect();
        topics.push(DeclaredTopic { name, partitions: topic.partitions, replicas: topic.replicas, configs });
    }
    Ok(topics)
}

/// The parser shows the place in the text over several lines; the first says what and where.
fn one_line(said: &str) -> String {
    let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("not YAML");
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_with_their_configurations() {
        let text = "# ours\ntopics:\n  - name: letters\n    partitions: 4\n    configs:\n      cleanup.policy: compact\n      \
                    retention.ms: 86400000\n      min.cleanable.dirty.ratio: 0.5\n      preallocate: true\n  - name: bare\n";
        let topics = parse(text).unwrap();
        assert_eq!(topics.len(), 2);
        assert_eq!((topics[0].name.as_str(), topics[0].partitions, topics[0].replicas), ("letters", Some(4), None));
        let configs: Vec<_> = topics[0].configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            configs,
            ["cleanup.policy=compact", "min.cleanable.dirty.ratio=0.5", "preallocate=true", "retention.ms=86400000"]
        );
        assert_eq!(topics[1].partitions, None);
        assert!(parse("").unwrap().is_empty() && parse("# nothing\n").unwrap().is_empty());
        assert!(parse("topics: []").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("topics:\n  - name: a\n    partition: 3\n", "partition"),
            ("topics:\n  - partitions: 3\n", "name"),
            ("topic:\n  - name: a\n", "topic"),
            ("topics:\n  - name: a\n    partitions: many\n", "many"),
            ("topics:\n  - name: a\n    partitions: 0\n", "at least 1"),
            ("topics:\n  - name: a\n    replicas: 0\n", "at least 1"),
            ("topics:\n  - name: a\n  - name: a\n", "declared twice"),
            ("topics: [", ""),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(part) && !said.contains('\n'), "{text:?}: {said:?} has no {part:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        assert!(load(Path::new("/none/b.yaml")).unwrap_err().to_string().starts_with("/none/b.yaml: "));
    }
}

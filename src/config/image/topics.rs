//! `KAFKA_CREATE_TOPICS`, as wurstmeister's image has it: `name:partitions:replicas[:cleanup.policy]`, separated by commas. Creates nothing.

use crate::config::ConfigError;

/// A topic that shall be there once the broker is ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeclaredTopic {
    pub name: String,
    /// `None`: as many as `num.partitions` says.
    pub partitions: Option<i32>,
    /// `None`: as many as `default.replication.factor` says.
    pub replicas: Option<i16>,
    /// The topic's own configuration: name and value.
    pub configs: Vec<(String, String)>,
}

/// # Errors
/// [`ConfigError::Variable`] with the entry that is not understood.
pub(super) fn parse(text: &str, separator: &str) -> Result<Vec<DeclaredTopic>, ConfigError> {
    let is_separator = |c: char| separator.contains(c) || c == '\n';
    text.split(is_separator).map(str::trim).filter(|entry| !entry.is_empty()).map(topic).collect()
}

fn topic(entry: &str) -> Result<DeclaredTopic, ConfigError> {
    let wrong = |reason: &str| ConfigError::Variable {
        variable: "KAFKA_CREATE_TOPICS".into(),
        value: entry.to_owned(),
        reason: format!("{reason}; each entry is name:partitions:replicas or name:partitions:replicas:cleanup.policy"),
    };
    let mut parts = entry.split(':').map(str::trim);
    let name = parts.next().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(wrong("the name is missing"));
    }
    let partitions = match parts.next().unwrap_or_default() {
        "" => None,
        number => {
            Some(number.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("partitions is not a number above 0"))?)
        }
    };
    let replicas = match parts.next().unwrap_or_default() {
        "" => None,
        number => {
            Some(number.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("replicas is not a number above 0"))?)
        }
    };
    // What follows is a cleanup policy; people also append configurations to it, as the script hands it on to kafka-topics: "compact --config=a=b".
    let rest = parts.collect::<Vec<_>>().join(":");
    let mut configs = Vec::new();
    let mut words = rest.split_whitespace().peekable();
    if let Some(policy) = words.next_if(|word| !word.starts_with('-')) {
        configs.push(("cleanup.policy".to_owned(), policy.to_owned()));
    }
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--config") {
            Some("") => words.next().unwrap_or_default(),
            Some(rest) => rest.strip_prefix('=').unwrap_or_default(),
            None => "",
        };
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| wrong("after the cleanup policy only --config=key=value is understood"))?;
        configs.push((key.to_owned(), value.to_owned()));
    }
    Ok(DeclaredTopic { name, partitions, replicas, configs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_topics() {
        let parsed =
            parse("letters:1:3,diaries:2:1:compact, notes:4:1:compact --config=segment.bytes=100000,", ",").unwrap();
        let short: Vec<_> =
            parsed.iter().map(|t| (t.name.as_str(), t.partitions, t.replicas, t.configs.len())).collect();
        assert_eq!(
            short,
            [("letters", Some(1), Some(3), 0), ("diaries", Some(2), Some(1), 1), ("notes", Some(4), Some(1), 2)]
        );
        assert_eq!(parsed[2].configs[1], ("segment.bytes".into(), "100000".into()));
        assert_eq!(parse("a:1:1\nb:2:1\n", "\n").unwrap().len(), 2);
        assert!(parse("", ",").unwrap().is_empty());
        assert_eq!(parse("only", ",").unwrap()[0].partitions, None);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, part) in
            [("a:x:1", "partitions"), ("a:1:0", "replicas"), (":1:1", "name"), ("a:1:1:compact oddly", "--config")]
        {
            let said = parse(text, ",").unwrap_err().to_string();
            assert!(said.contains(part) && said.contains("KAFKA_CREATE_TOPICS"), "{text}: {said}");
        }
    }
}

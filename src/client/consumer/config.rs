//! A consumer's properties, with the presets and rules of Kafka's Java consumer.

use std::time::Duration;

use super::super::{ClientError, ClientProperties};
use super::assignor::Assignor;

/// What happens where nothing is committed, or what is committed is gone (`auto.offset.reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    Earliest,
    Latest,
    None,
}

/// What a consumer goes by, checked.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    pub group_id: Option<String>,
    pub group_instance_id: Option<String>,
    /// In the order of preference; at least one.
    pub assignors: Vec<Assignor>,
    /// How often positions are committed by themselves; `None` for never.
    pub auto_commit: Option<Duration>,
    pub reset: Reset,
    pub read_committed: bool,
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    pub max_poll_interval: Duration,
    pub fetch_min_bytes: i32,
    pub fetch_max_bytes: i32,
    pub max_partition_fetch_bytes: i32,
    pub fetch_max_wait: Duration,
    pub check_crcs: bool,
    pub retry_backoff: Duration,
    pub metadata_max_age: Duration,
    pub create_topics: bool,
    pub exclude_internal: bool,
    pub rack: String,
}

fn wrong(key: &str, value: &str, why: &str) -> ClientError {
    ClientError::Config(format!("Invalid value {value} for configuration {key}: {why}"))
}

impl ConsumerConfig {
    /// # Errors
    /// [`ClientError::Config`] with Kafka's sentence for what is wrong, and for what this consumer cannot do: the protocol of KIP-848.
    pub fn new(properties: &ClientProperties) -> Result<Self, ClientError> {
        let protocol = properties.get("group.protocol").unwrap_or("classic");
        if !protocol.eq_ignore_ascii_case("classic") {
            return Err(ClientError::Config(format!(
                "group.protocol={protocol} is not there yet: this consumer speaks the classic protocol. Leave it out, or use the tools of a Kafka distribution"
            )));
        }
        let group_id = properties.get("group.id").filter(|id| !id.is_empty()).map(str::to_owned);
        let bytes = |key: &str, preset: i64| {
            properties.number(key, preset, 0).map(|value| i32::try_from(value).unwrap_or(i32::MAX))
        };
        let auto = properties.boolean("enable.auto.commit", true)?;
        let interval = properties.duration_ms("auto.commit.interval.ms", 5_000)?;
        Ok(Self {
            auto_commit: (auto && group_id.is_some()).then_some(interval),
            group_id,
            group_instance_id: properties.get("group.instance.id").filter(|id| !id.is_empty()).map(str::to_owned),
            assignors: assignors(properties.get("partition.assignment.strategy"))?,
            reset: reset(properties.get("auto.offset.reset"))?,
            read_committed: isolation(properties.get("isolation.level"))?,
            session_timeout: properties.duration_ms("session.timeout.ms", 45_000)?,
            heartbeat_interval: properties.duration_ms("heartbeat.interval.ms", 3_000)?.max(Duration::from_millis(1)),
            max_poll_interval: properties.duration_ms("max.poll.interval.ms", 300_000)?,
            fetch_min_bytes: bytes("fetch.min.bytes", 1)?,
            fetch_max_bytes: bytes("fetch.max.bytes", 50 * 1024 * 1024)?,
            max_partition_fetch_bytes: bytes("max.partition.fetch.bytes", 1024 * 1024)?,
            fetch_max_wait: properties.duration_ms("fetch.max.wait.ms", 500)?,
            check_crcs: properties.boolean("check.crcs", true)?,
            retry_backoff: properties.duration_ms("retry.backoff.ms", 100)?,
            metadata_max_age: properties.duration_ms("metadata.max.age.ms", 300_000)?,
            create_topics: properties.boolean("allow.auto.create.topics", true)?,
            exclude_internal: properties.boolean("exclude.internal.topics", true)?,
            rack: properties.get("client.rack").unwrap_or_default().to_owned(),
        })
    }
}

fn assignors(value: Option<&str>) -> Result<Vec<Assignor>, ClientError> {
    const KEY: &str = "partition.assignment.strategy";
    let Some(text) = value.filter(|text| !text.trim().is_empty()) else {
        return Ok(vec![Assignor::Range, Assignor::CooperativeSticky]);
    };
    let known = |class: &str| {
        Assignor::by_class(class).ok_or_else(|| {
            wrong(
                KEY,
                class,
                "this consumer has RangeAssignor, RoundRobinAssignor, StickyAssignor and CooperativeStickyAssignor",
            )
        })
    };
    text.split(',').map(str::trim).filter(|class| !class.is_empty()).map(known).collect()
}

fn reset(value: Option<&str>) -> Result<Reset, ClientError> {
    match value.unwrap_or("latest").to_ascii_lowercase().as_str() {
        "earliest" => Ok(Reset::Earliest),
        "latest" => Ok(Reset::Latest),
        "none" => Ok(Reset::None),
        other => Err(wrong("auto.offset.reset", other, "it must be earliest, latest or none")),
    }
}

fn isolation(value: Option<&str>) -> Result<bool, ClientError> {
    match value.unwrap_or("read_uncommitted") {
        "read_uncommitted" => Ok(false),
        "read_committed" => Ok(true),
        other => Err(wrong("isolation.level", other, "String must be one of: read_committed, read_uncommitted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<ConsumerConfig, ClientError> {
        let mut properties = ClientProperties::default();
        pairs.iter().for_each(|(key, value)| properties.set(key, *value));
        ConsumerConfig::new(&properties)
    }

    #[test]
    fn presets_are_kafkas() {
        let preset = config(&[("group.id", "g")]).unwrap();
        assert_eq!(preset.assignors, [Assignor::Range, Assignor::CooperativeSticky]);
        assert_eq!((preset.reset, preset.auto_commit), (Reset::Latest, Some(Duration::from_secs(5))));
        assert!(config(&[]).unwrap().auto_commit.is_none(), "there is nothing to commit to");
    }

    #[test]
    fn wrong_values_are_told() {
        let error = |key, value| config(&[(key, value)]).unwrap_err().to_string();
        assert!(
            error("auto.offset.reset", "first").starts_with("Invalid value first for configuration auto.offset.reset")
        );
        assert!(error("isolation.level", "x").ends_with("read_committed, read_uncommitted"));
        assert!(error("partition.assignment.strategy", "com.mine.A").contains("com.mine.A"));
        assert!(error("group.protocol", "consumer").contains("not there yet"));
    }
}

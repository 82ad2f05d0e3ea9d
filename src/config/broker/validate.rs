//! Relations between broker keys: what `KafkaConfig.validateValues` and `GroupCoordinatorConfig` refuse, in Ottla's words.

use super::{BrokerConfig, DYNAMIC_ONLY};
use crate::config::ConfigError;
use crate::config::key::{FromValue, split_list};
use std::collections::BTreeMap;

/// Parses `host:number` entries.
pub(super) fn parse_overrides(text: &str) -> Result<BTreeMap<String, i32>, ConfigError> {
    let mut limits = BTreeMap::new();
    for entry in split_list(text) {
        let parsed = entry.rsplit_once(':').and_then(|(host, limit)| Some((host.trim(), limit.trim().parse().ok()?)));
        match parsed {
            Some((host, limit)) if !host.is_empty() => limits.insert(host.to_owned(), limit),
            _ => {
                return Err(ConfigError::Invalid {
                    name: "max.connections.per.ip.overrides".into(),
                    value: entry,
                    reason: "each entry must have the form host:number".into(),
                });
            }
        };
    }
    Ok(limits)
}

impl BrokerConfig {
    fn of<T: FromValue>(&self, name: &str) -> Result<T, ConfigError> {
        self.value(name).and_then(T::from_value).ok_or_else(|| ConfigError::Missing { name: name.to_owned() })
    }

    /// A whole number of whichever size, as the widest.
    fn number(&self, name: &str) -> Result<i64, ConfigError> {
        self.of::<i64>(name).or_else(|_| self.of::<i32>(name).map(i64::from))
    }

    fn at_most(&self, lesser: &str, greater: &str) -> Result<(), ConfigError> {
        let (low, high) = (self.number(lesser)?, self.number(greater)?);
        if low <= high {
            return Ok(());
        }
        Err(ConfigError::Relation(format!("{lesser} ({low}) must be less than or equal to {greater} ({high})")))
    }

    fn less_than(&self, lesser: &str, greater: &str) -> Result<(), ConfigError> {
        let (low, high) = (self.number(lesser)?, self.number(greater)?);
        if low < high {
            return Ok(());
        }
        Err(ConfigError::Relation(format!("{lesser} ({low}) must be less than {greater} ({high})")))
    }

    pub(super) fn check_relations(&self) -> Result<(), ConfigError> {
        let (node, broker) = (self.number("node.id")?, self.number("broker.id")?);
        if node != broker {
            return Err(ConfigError::Relation(format!("node.id ({node}) and broker.id ({broker}) must be equal")));
        }
        if let Some(name) = DYNAMIC_ONLY.iter().find(|name| self.settings.contains(name)) {
            let said = format!("{name} is a dynamic configuration: set it with IncrementalAlterConfigs, not at start");
            return Err(ConfigError::Relation(said));
        }
        self.check_log()?;
        self.check_connections()?;
        self.check_groups()?;
        self.at_most("replica.fetch.wait.max.ms", "replica.socket.timeout.ms")?;
        self.at_most("replica.fetch.wait.max.ms", "replica.lag.time.max.ms")
    }

    fn check_log(&self) -> Result<(), ConfigError> {
        let topic = &self.topic_defaults;
        let least = |name: &str, given: i64, least: i64| match given >= least {
            true => Ok(()),
            false => Err(ConfigError::Relation(format!("{name} ({given}) must be greater than or equal to {least}"))),
        };
        least("log.roll.ms", topic.segment_ms, 1)?;
        least("log.roll.jitter.ms", topic.segment_jitter_ms, 0)?;
        if topic.retention_ms == 0 {
            let said = "log.retention.ms must be unlimited (-1), or greater than or equal to 1";
            return Err(ConfigError::Relation(said.into()));
        }
        let per_thread = self.number("log.cleaner.dedupe.buffer.size")? / self.number("log.cleaner.threads")?.max(1);
        if per_thread <= 1024 * 1024 {
            let said = "log.cleaner.dedupe.buffer.size must be more than 1 MiB for each of log.cleaner.threads";
            return Err(ConfigError::Relation(said.into()));
        }
        if topic.min_compaction_lag_ms > topic.max_compaction_lag_ms {
            return self.at_most("log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms");
        }
        let cordoned: Vec<String> = self.of("cordoned.log.dirs")?;
        let dirs = self.log_dirs();
        if cordoned.contains(&"*".to_owned()) {
            if cordoned.len() != 1 {
                return Err(ConfigError::Relation("cordoned.log.dirs must be * alone, or a list without *".into()));
            }
        } else if let Some(unknown) =
            cordoned.iter().find(|dir| !dirs.iter().any(|own| own.as_os_str() == dir.as_str()))
        {
            return Err(ConfigError::Relation(format!("{unknown} in cordoned.log.dirs must be one of log.dirs")));
        }
        Ok(())
    }

    fn check_connections(&self) -> Result<(), ConfigError> {
        if self.number("queued.max.request.bytes")? > 0 {
            self.at_most("socket.request.max.bytes", "queued.max.request.bytes")?;
        }
        let overrides = parse_overrides(&self.of::<String>("max.connections.per.ip.overrides")?)?;
        if self.max_connections_per_ip == 0 && overrides.is_empty() {
            let said = "max.connections.per.ip may be 0 only when max.connections.per.ip.overrides is set";
            return Err(ConfigError::Relation(said.into()));
        }
        if self.connections_max_idle_ms >= 0 {
            self.less_than("connection.failed.authentication.delay.ms", "connections.max.idle.ms")?;
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), ConfigError> {
        for kind in ["consumer", "share", "streams"] {
            for what in ["heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms"] {
                let at = |bound: &str| format!("group.{kind}.{bound}{what}");
                self.at_most(&at("min."), &at("max."))?;
                self.at_most(&at("min."), &at(""))?;
                self.at_most(&at(""), &at("max."))?;
            }
            let of = |what: &str| format!("group.{kind}.{what}");
            self.less_than(&of("heartbeat.interval.ms"), &of("session.timeout.ms"))?;
        }
        for what in ["delivery.count.limit", "record.lock.duration.ms", "partition.max.record.locks"] {
            self.at_most(&format!("group.share.min.{what}"), &format!("group.share.{what}"))?;
            self.at_most(&format!("group.share.{what}"), &format!("group.share.max.{what}"))?;
        }
        self.at_most("group.streams.num.standby.replicas", "group.streams.max.standby.replicas")?;
        if !self.group_rebalance_protocols().iter().any(|protocol| protocol == "classic") {
            let said = "group.coordinator.rebalance.protocols must contain classic".to_owned();
            return Err(ConfigError::Relation(said));
        }
        Ok(())
    }

    pub(super) fn heartbeat_notice(&self) -> Option<String> {
        let (beat, session) = (i64::from(self.broker_heartbeat_interval_ms), i64::from(self.broker_session_timeout_ms));
        let said = format!(
            "broker.heartbeat.interval.ms ({beat}) should be at most half of broker.session.timeout.ms ({session}), or the broker may be fenced for nothing"
        );
        (beat * 2 > session).then_some(said)
    }
}

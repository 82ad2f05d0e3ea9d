//! Log levels as configuration of the resource BROKER_LOGGER (KIP-412): read by DescribeConfigs, changed by IncrementalAlterConfigs.
//!
//! The rules and sentences are those of Kafka's `RuntimeLoggerManager`. Loggers are named as the program's modules are (`ottla.net`), all of them `root`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::protocol::StrBytes;

use super::Broker;
use super::config_resource::invalid_request;
use crate::cluster::ApiError;
use crate::cluster::decide::configs::ConfigOp;
use crate::types::BrokerId;
use crate::types::log_levels::{LogLevel, Loggers, ROOT_LOGGER};

/// `DYNAMIC_BROKER_LOGGER_CONFIG` of `DescribeConfigsResponse.ConfigSource`.
const SOURCE_BROKER_LOGGER: i8 = 6;

/// Each logger with the level in force.
pub fn describe(loggers: &dyn Loggers) -> Vec<DescribeConfigsResourceResult> {
    let told = loggers.levels().into_iter().map(|(name, level)| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(name))
            .with_value(Some(StrBytes::from_static_str(level.name())))
            .with_config_source(SOURCE_BROKER_LOGGER)
            .with_documentation(Some(StrBytes::default()))
    });
    told.collect()
}

/// Changes levels, all that are named or none.
pub fn alter(broker: &Broker, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ApiError> {
    check_node(broker.id, resource.resource_name.as_str())?;
    let changes = resource.configs.iter().map(|config| {
        let value = config.value.as_ref().map(StrBytes::as_str);
        check(&*broker.loggers, config.name.as_str(), config.config_operation, value)
    });
    let changes: Vec<(&str, Option<LogLevel>)> = changes.collect::<Result<_, _>>()?;
    if validate_only {
        return Ok(());
    }
    for (logger, level) in changes {
        broker.loggers.set(logger, level).map_err(|error| invalid_request(error.to_string()))?;
        match level {
            Some(level) => tracing::warn!(logger, level = level.name(), "the log level was changed"),
            None => tracing::warn!(logger, "the log level was unset"),
        }
    }
    Ok(())
}

fn check_node(own: BrokerId, name: &str) -> Result<(), ApiError> {
    let id: i32 =
        name.parse().map_err(|_| invalid_request(format!("Node id must be an integer, but it is: {name}")))?;
    if id != own {
        return Err(invalid_request(format!("Unexpected node id. Expected {own}, but received {id}")));
    }
    Ok(())
}

/// One change: the logger, and the level that it gets (none: that of the logger above).
fn check<'a>(
    loggers: &dyn Loggers,
    logger: &'a str,
    operation: i8,
    value: Option<&str>,
) -> Result<(&'a str, Option<LogLevel>), ApiError> {
    let invalid = |message: String| ApiError::new(ResponseError::InvalidConfig, message);
    let exists = || match loggers.exists(logger) {
        true => Ok(()),
        false => Err(invalid(format!("Logger {logger} does not exist!"))),
    };
    match ConfigOp::from_code(operation) {
        Some(ConfigOp::Set) => {
            exists()?;
            let wanted = value.unwrap_or_default();
            let level = LogLevel::of(wanted).ok_or_else(|| {
                let valid = LogLevel::ALL.map(LogLevel::name).join(", ");
                invalid(format!(
                    "Cannot set the log level of {logger} to {wanted} as it is not a supported log level. Valid log levels are {valid}"
                ))
            })?;
            Ok((logger, Some(level)))
        }
        Some(ConfigOp::Delete) => {
            exists()?;
            if logger == ROOT_LOGGER {
                return Err(invalid_request(format!("Removing the log level of the {logger} logger is not allowed")));
            }
            Ok((logger, None))
        }
        Some(ConfigOp::Append) => {
            Err(invalid_request("APPEND operation is not allowed for the BROKER_LOGGER resource"))
        }
        Some(ConfigOp::Subtract) => {
            Err(invalid_request("SUBTRACT operation is not allowed for the BROKER_LOGGER resource"))
        }
        None => Err(invalid_request(format!(
            "Unknown operation type {operation} is not allowed for the BROKER_LOGGER resource"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::log_levels::NotOurs;
    use std::collections::BTreeMap;

    struct Two;

    impl Loggers for Two {
        fn levels(&self) -> BTreeMap<String, LogLevel> {
            BTreeMap::from([("root".into(), LogLevel::Info), ("ottla.net".into(), LogLevel::Debug)])
        }

        fn set(&self, _: &str, _: Option<LogLevel>) -> Result<(), NotOurs> {
            Err(NotOurs)
        }
    }

    #[test]
    fn changes_are_checked_as_kafka_does() {
        let said = |logger, operation, value| check(&Two, logger, operation, value).unwrap_err();
        assert_eq!(check(&Two, "ottla.net", 0, Some("WARN")), Ok(("ottla.net", Some(LogLevel::Warn))));
        assert_eq!(check(&Two, "ottla.net", 1, None), Ok(("ottla.net", None)));
        for (logger, operation, value, error, message) in [
            ("x", 0, Some("WARN"), ResponseError::InvalidConfig, "Logger x does not exist!"),
            ("x", 1, None, ResponseError::InvalidConfig, "Logger x does not exist!"),
            (
                "root",
                0,
                Some("warn"),
                ResponseError::InvalidConfig,
                "Cannot set the log level of root to warn as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
            ),
            (
                "root",
                1,
                None,
                ResponseError::InvalidRequest,
                "Removing the log level of the root logger is not allowed",
            ),
            (
                "root",
                2,
                Some("WARN"),
                ResponseError::InvalidRequest,
                "APPEND operation is not allowed for the BROKER_LOGGER resource",
            ),
            (
                "root",
                9,
                Some("WARN"),
                ResponseError::InvalidRequest,
                "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource",
            ),
        ] {
            assert_eq!(said(logger, operation, value), ApiError::new(error, message));
        }
    }

    #[test]
    fn each_logger_is_told_with_its_level() {
        let told = describe(&Two);
        let pairs: Vec<_> =
            told.iter().map(|one| (one.name.as_str(), one.value.as_deref(), one.config_source)).collect();
        assert_eq!(pairs, [("ottla.net", Some("DEBUG"), 6), ("root", Some("INFO"), 6)]);
        assert!(told.iter().all(|one| !one.read_only && !one.is_sensitive));
    }
}

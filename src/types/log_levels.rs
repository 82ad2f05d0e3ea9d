//! How much each logger of the program tells, and the seam through which that is changed while it runs. Knows no logging library.

use std::collections::BTreeMap;
use thiserror::Error;

/// The logger above all others, under the name that Kafka gives it.
pub const ROOT_LOGGER: &str = "root";

/// Kafka's `LogLevelConfig`, from what tells least to what tells most. Nothing here is logged as fatal: at that level a logger is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// In the order of their names, as Kafka's messages have them.
    pub const ALL: [Self; 6] = [Self::Debug, Self::Error, Self::Fatal, Self::Info, Self::Trace, Self::Warn];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    /// `None` for a name that Kafka does not take: names are upper case.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// The program's log is not this broker's to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("log levels belong to the program that this broker runs in, and are changed there")]
pub struct NotOurs;

/// The loggers of the program that a broker runs in. They are named as its modules are, with dots, as Kafka's are named: kafka-configs takes no colons.
pub trait Loggers: Send + Sync {
    /// Every logger with the level that is in force for it: its own, or that of the nearest one above.
    fn levels(&self) -> BTreeMap<String, LogLevel>;

    fn exists(&self, logger: &str) -> bool {
        logger == ROOT_LOGGER || self.levels().contains_key(logger)
    }

    /// Gives a logger a level of its own, or (`None`) takes it away, so that the nearest one above counts. Does not last beyond the process.
    ///
    /// # Errors
    /// When somebody else set up the program's log.
    fn set(&self, logger: &str, level: Option<LogLevel>) -> Result<(), NotOurs>;
}

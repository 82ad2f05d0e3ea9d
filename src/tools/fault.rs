//! How a tool ends when it does not end well, and what is shown then.

use super::options::Command;
use crate::client::{ClientError, ServerError};

#[derive(Clone, Debug)]
pub enum Fault {
    /// The arguments do not go together: the sentence and the help on standard error, exit code 1 (`CommandLineUtils.printUsageAndExit`).
    Usage(String),
    /// As [`Fault::Usage`], in argparse4j's form.
    Argparse { usage: String, prog: String, message: String },
    /// Text on standard error as it is, exit code 1.
    Terse(String),
    /// Help was asked for, in argparse4j's manner.
    Help { command: Option<&'static Command> },
    /// What in Java is an exception that reaches the tool's own handler.
    Thrown(String),
    /// What the cluster answered, or that it did not.
    Client(ClientError),
    /// Everything has been said.
    Exit(u8),
}

impl Fault {
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub fn thrown(message: impl Into<String>) -> Self {
        Self::Thrown(message.into())
    }

    /// The sentence, as Java's `getMessage`. `call` is the admin client's name of what was asked for, as in `listTopics`: it is part of the sentence when time ran out.
    pub fn message(&self, call: &str) -> String {
        match self {
            Self::Usage(message) | Self::Argparse { message, .. } | Self::Terse(message) | Self::Thrown(message) => {
                message.clone()
            }
            // What was in the way has been told while it was waited for.
            Self::Client(ClientError::Expired { last, .. }) => timed_out(call, last),
            Self::Client(error) => error.to_string(),
            Self::Help { .. } | Self::Exit(_) => String::new(),
        }
    }

    /// The sentence of an exception that another one wraps (`ExecutionException`): with the cause's class before it.
    pub fn message_as_cause(&self, call: &str) -> String {
        match self {
            Self::Client(ClientError::Server(error)) => error.as_cause(),
            Self::Client(ClientError::Expired { .. }) => {
                format!("org.apache.kafka.common.errors.TimeoutException: {}", self.message(call))
            }
            Self::Client(ClientError::Unsupported { .. }) => {
                format!("org.apache.kafka.common.errors.UnsupportedVersionException: {}", self.message(call))
            }
            _ => self.message(call),
        }
    }

    /// The code of an error that a broker answered with.
    pub fn server_code(&self) -> Option<i16> {
        match self {
            Self::Client(error) => error.server_code(),
            _ => None,
        }
    }
}

/// Kafka's sentence, which scripts know.
fn timed_out(call: &str, last: &ClientError) -> String {
    match last {
        ClientError::Unreachable { .. } | ClientError::NoSuchBroker { .. } => {
            format!("Timed out waiting for a node assignment. Call: {call}")
        }
        _ => format!("Timed out waiting to send the call. Call: {call}"),
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<ServerError> for Fault {
    fn from(error: ServerError) -> Self {
        Self::Client(ClientError::Server(error))
    }
}

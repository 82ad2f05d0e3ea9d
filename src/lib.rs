//! Ottla: a Kafka wire-protocol compatible broker.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod coordinator;
pub mod embedded;
pub mod log;
pub mod metrics;
pub mod net;
pub mod node;
pub mod protocol;
pub mod replica;
#[cfg(test)]
mod sim;
pub mod store;
pub mod types;

#[cfg(test)]
mod tidy;

pub use embedded::EmbeddedBroker;

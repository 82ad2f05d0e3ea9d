//! Ottla: a Kafka wire-protocol compatible broker.

pub mod store;
pub mod types;

//! Ottla: a Kafka wire-protocol compatible broker.

pub mod api;
pub mod store;
pub mod types;

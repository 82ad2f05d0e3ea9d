//! Ottla: a Kafka wire-protocol compatible broker.

pub mod api;
pub mod net;
pub mod protocol;
pub mod store;
pub mod types;

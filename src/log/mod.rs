//! One partition's log: what may be appended, which offsets it gets, what a reader sees. Pure rules plus [`PartitionLog`], which joins them to the store.
//!
//! Knows nothing of topics' names, leaders or other brokers.

pub mod append;
pub mod epochs;
pub mod partition_log;
pub mod producers;
pub mod read;
#[cfg(test)]
mod tests;

pub use partition_log::{Appended, LogError, LogListener, PartitionLog};

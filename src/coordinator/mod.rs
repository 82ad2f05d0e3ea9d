//! Coordinators: state that a group of clients shares, kept as records of an internal topic (`__consumer_offsets`) and held in memory.
//!
//! ```text
//! request or timer -> decide (pure, on the shard's state) -> append (one batch at a time per partition) -> commit -> reply
//! ```
//!
//! A shard is one partition of the internal topic, led here. What a coordinator answers has been committed, but for the replies that Kafka gives
//! at once (a completed join phase). Never reads or writes files: the log is a [`log::CoordinatorLog`] that a lower room implements.

pub mod group;
pub mod internal_topic;
pub mod log;
#[cfg(test)]
pub mod memory_log;
pub mod records;
pub mod replica_log;
pub mod runtime;
pub mod timers;

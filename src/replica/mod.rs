//! Partitions as brokers hold them: who leads, how far readers may read, who waits for what. Joins the metadata image to the logs; the only room that sees both.

pub mod manager;
pub mod partition;
pub mod waiters;

pub use manager::ReplicaManager;
pub use partition::Partition;

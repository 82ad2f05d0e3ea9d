//! Small value types and limits that every room shares, and the budget of memory. No IO, no imports from other rooms.

pub mod budget;
pub mod id;
pub mod limits;
pub mod log_levels;
pub mod log_limit;
pub mod piece;
pub mod time;
pub mod topic_name;

pub use id::{BrokerId, LeaderEpoch, TopicIdPartition};
pub use time::{Clock, SystemClock};

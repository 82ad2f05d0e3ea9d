//! What Ottla tells Prometheus: one table of names, and a registry that knows no other.
//!
//! Never opens a socket (that is `net::http`) and never decides anything by a metric's value.

pub mod distribution;
pub mod process;
mod rates;
pub mod registry;
pub mod sampled;
pub mod scrape;
pub mod table;
pub mod topic;

pub use registry::Registry;
pub use scrape::Scrape;
pub use table::{Kind, Metric};
pub use topic::TopicMetrics;

//! Sockets: accepting connections, cutting their bytes into frames, and sending replies in the order of the requests.
//!
//! Knows nothing of what a request means: frames go to an [`crate::api::context::Dispatch`]. Nothing a peer sends may panic, hold more memory than the
//! bounds of [`settings`], or slow another connection.

pub mod connection;
mod frames;
#[doc(hidden)]
pub mod hot_path;
pub mod http;
pub mod limits;
pub mod listener;
mod outbox;
mod rate;
pub mod settings;
mod socket;
mod telemetry;

#[cfg(test)]
mod tests;

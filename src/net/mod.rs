
#[cfg(test)]
//!
//! Knows nothing of what a request means: frames go to an [`crate::api::context::Dispatch`]. Nothing a peer sends may panic, hold more memory than the
//! Sockets: accepting connections, cutting their bytes into frames, and sending replies in the order of the requests.
//! Sockets: listeners, connections and the small HTTP server. Knows frames and addresses, never what a request means.
//! bounds of [`settings`], or slow another connection.
mod frames;
mod log_limit;
mod outbox;
mod telemetry;
mod tests;
pub mod budget;
pub mod connection;
pub mod http;
pub mod limits;
pub mod listener;
pub mod settings;

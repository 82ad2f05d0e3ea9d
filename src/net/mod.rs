//! Sockets: listeners, connections and the small HTTP server. Knows frames and addresses, never what a request means.

pub mod http;

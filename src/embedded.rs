//! A broker inside a program's own tests: a folder of its own, a free port, gone when the test is.
//!
//! ```no_run
//! # async fn test() -> Result<(), ottla::node::NodeError> {
//! let broker = ottla::EmbeddedBroker::start().await?;
//! // Any Kafka client: bootstrap.servers = broker.bootstrap()
//! # broker.stop().await;
//! # Ok(())
//! # }
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

use crate::api::dispatch::Dispatcher;
use crate::config::{BrokerConfig, Origin, Settings};
use crate::node::{Node, NodeError};

/// The same broker as `ottla serve` starts. Dropped without [`EmbeddedBroker::stop`], it ends as by a kill, and its threads go on for a moment. A program that
/// returns from `main` meanwhile may be aborted by them, so it awaits `stop` first.
pub struct EmbeddedBroker {
    node: Node,
    bootstrap: String,
    folder: TempDir,
}

impl EmbeddedBroker {
    /// Starts a broker with Ottla's presets on a free port of the loopback address.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start() -> Result<Self, NodeError> {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with configuration of one's own, as in `[("num.partitions", "3")]`.
    ///
    /// # Errors
    /// As [`Node::start`], and when a value is not allowed.
    pub async fn start_with(overrides: &[(&str, &str)]) -> Result<Self, NodeError> {
        let folder = tempfile::Builder::new()
            .prefix("ottla-")
            .tempdir()
            .map_err(|source| NodeError::Io { what: "making a folder for the broker", source })?;
        let mut settings = Settings::default();
        let presets = [
            ("log.dirs", folder.path().to_str().unwrap_or_default()),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("metrics.address", ""),
            ("group.initial.rebalance.delay.ms", "0"),
        ];
        for (name, value) in presets.iter().chain(overrides) {
            settings.set(*name, *value, Origin::Ottla);
        }
        let config = Arc::new(BrokerConfig::new(settings)?);
        let first = config.listeners.broker.first().map(|listener| listener.name.clone()).unwrap_or_default();
        let node = Node::start(config).await?;
        let address = node.addresses().get(first.as_str()).copied().ok_or_else(|| NodeError::Io {
            what: "finding the broker's address",
            source: io::Error::from(io::ErrorKind::AddrNotAvailable),
        })?;
        Ok(Self { node, bootstrap: address.to_string(), folder })
    }

    /// `bootstrap.servers` for a client.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where the broker keeps its data until it is dropped.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What serves this broker's requests, for `benches/hot_paths`, which goes past the sockets.
    #[doc(hidden)]
    pub fn dispatcher(&self) -> Dispatcher {
        self.node.dispatcher()
    }

    /// Stops the broker in order and removes its folder.
    pub async fn stop(self) {
        self.node.stop().await;
    }
}

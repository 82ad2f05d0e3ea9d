//! What each Kafka API means: one file per API, each `pub async fn handle(&Arc<Broker>, &RequestContext, XRequest) -> XResponse`.
//!
//! Never touches `store`, sockets or RocksDB. Errors become Kafka's codes in `error_code`.

pub mod context;

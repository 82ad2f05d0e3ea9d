//! Bytes to meaning and back: frames, headers, requests, replies and record batches. No IO, no async, no state.
//!
//! Nothing here trusts a length or a count before the bytes that it promises are there.

pub mod batch_builder;
pub mod batch_error;
pub mod batch_validation;
pub mod codec;
pub mod compression;
pub mod fetch_response;
pub mod guard;
pub mod header;
pub mod produce_request;
pub mod record_batch;
#[cfg(test)]
mod record_batch_tests;
pub mod records;
mod varint;
pub mod wire;

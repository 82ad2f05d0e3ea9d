//! Request bodies and replies, through the generated messages.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};
use thiserror::Error;

use super::header;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    #[error("API key {api_key} version {api_version}: {what}")]
    Decode { api_key: i16, api_version: i16, what: String },
    #[error("the reply to API key {api_key} version {api_version} cannot be encoded: {what}")]
    Encode { api_key: i16, api_version: i16, what: String },
}

/// Decodes a request's body.
pub fn decode<T: Decodable>(api_key: i16, api_version: i16, mut body: Bytes) -> Result<T, CodecError> {
    T::decode(&mut body, api_version).map_err(|error| CodecError::Decode {
        api_key,
        api_version,
        what: error.to_string(),
    })
}

/// Encodes a reply: header and body.
pub fn encode_reply<T: Encodable>(
    api_key: i16,
    api_version: i16,
    correlation_id: i32,
    response: &T,
) -> Result<Bytes, CodecError> {
    let wrong = |error: &dyn std::fmt::Display| CodecError::Encode { api_key, api_version, what: error.to_string() };
    let size = response.compute_size(api_version).map_err(|error| wrong(&error))?;
    let mut out = BytesMut::with_capacity(size + 5);
    header::put_response(&mut out, api_key, api_version, correlation_id);
    response.encode(&mut out, api_version).map_err(|error| wrong(&error))?;
    Ok(out.freeze())
}

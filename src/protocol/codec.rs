//! Request bodies and replies, through the generated messages.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};
use thiserror::Error;

use super::guard::{self, GuardError};
use super::header;

/// The most that one decoded request may take besides its frame. Kafka has no such bound; a request that reaches this one names some 250,000
/// topics, partitions or keys.
pub const MAX_DECODED_BYTES: usize = 64 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    #[error("API key {api_key} version {api_version}: {error}")]
    Guard { api_key: i16, api_version: i16, error: GuardError },
    #[error(
        "API key {api_key} version {api_version}: the request would take {bytes} bytes decoded; at most {MAX_DECODED_BYTES} are allowed"
    )]
    TooLarge { api_key: i16, api_version: i16, bytes: usize },
    #[error("API key {api_key} version {api_version}: {what}")]
    Decode { api_key: i16, api_version: i16, what: String },
    #[error("the reply to API key {api_key} version {api_version} cannot be encoded: {what}")]
    Encode { api_key: i16, api_version: i16, what: String },
}

/// Decodes a request's body, once a walk over it has shown that all its lengths are true. Strings and byte fields stay slices of `body`. Bytes after
/// the last field are ignored, as Kafka ignores them.
/// Errors: all but [`CodecError::Encode`].
pub fn decode<T: Decodable>(api_key: i16, api_version: i16, mut body: Bytes) -> Result<T, CodecError> {
    let walk =
        guard::walk(api_key, api_version, &body).map_err(|error| CodecError::Guard { api_key, api_version, error })?;
    let bytes = walk.decoded_bytes();
    if bytes > MAX_DECODED_BYTES {
        return Err(CodecError::TooLarge { api_key, api_version, bytes });
    }
    T::decode(&mut body, api_version).map_err(|error| CodecError::Decode {
        api_key,
        api_version,
        what: format!("{error:#}"),
    })
}

/// Encodes a reply: header and body.
pub fn encode_reply<T: Encodable>(
    api_key: i16,
    api_version: i16,
    correlation_id: i32,
    response: &T,
) -> Result<Bytes, CodecError> {
    let wrong = |error: &dyn std::fmt::Display| CodecError::Encode { api_key, api_version, what: format!("{error:#}") };
    let size = response.compute_size(api_version).map_err(|error| wrong(&error))?;
    let mut out = BytesMut::with_capacity(size + 5);
    header::put_response(&mut out, api_key, api_version, correlation_id);
    response.encode(&mut out, api_version).map_err(|error| wrong(&error))?;
    Ok(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{ApiVersionsResponse, MetadataRequest, MetadataResponse};

    #[test]
    fn a_reply_is_header_and_body_in_one_piece() {
        for version in 0..=13 {
            let reply = encode_reply(3, version, 5, &MetadataResponse::default()).unwrap();
            assert_eq!(reply.get(..4), Some(&[0, 0, 0, 5][..]));
            let mut body = reply.slice(if version >= 9 { 5 } else { 4 }..);
            assert_eq!(MetadataResponse::decode(&mut body, version).unwrap(), MetadataResponse::default());
            assert!(body.is_empty());
        }
        let reply = encode_reply(18, 4, 5, &ApiVersionsResponse::default()).unwrap();
        assert_eq!(ApiVersionsResponse::decode(&mut reply.slice(4..), 4).unwrap(), ApiVersionsResponse::default());
        assert!(matches!(encode_reply(3, 99, 5, &MetadataResponse::default()), Err(CodecError::Encode { .. })));
    }

    #[test]
    fn what_is_not_there_is_not_decoded() {
        let decode = |version, body: &[u8]| decode::<MetadataRequest>(3, version, Bytes::copy_from_slice(body));
        // No topics, then bytes that nobody asks for.
        assert!(decode(0, &[0, 0, 0, 0, 9, 9]).is_ok());
        // Two billion topics in four bytes.
        let error = GuardError::CutShort { field: "topics" };
        assert_eq!(decode(0, &[0x7f, 0xff, 0xff, 0xff]), Err(CodecError::Guard { api_key: 3, api_version: 0, error }));
        // Half a million empty names: they are there, but decoded they would take too much.
        let mut many = 500_000i32.to_be_bytes().to_vec();
        many.resize(4 + 1_000_000, 0);
        assert!(matches!(decode(0, &many), Err(CodecError::TooLarge { bytes: 128_000_000, .. })));
        let no_schema = GuardError::NoSchema { api_key: 3, version: 99 };
        assert_eq!(decode(99, &[]), Err(CodecError::Guard { api_key: 3, api_version: 99, error: no_schema }));
    }
}

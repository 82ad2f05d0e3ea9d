//! Request and response headers.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::ApiKey;
use std::sync::Arc;

use super::wire::{Reader, WireError};

/// A request's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    /// Empty when the client gave none.
    pub client_id: Arc<str>,
}

/// Header version 2 (client id, tagged fields) goes with flexible requests (KIP-482), version 1 with all others.
fn has_tagged_fields(api_key: i16, api_version: i16) -> bool {
    ApiKey::try_from(api_key).is_ok_and(|key| key.request_header_version(api_version) >= 2)
}

/// Takes the header off the front of a frame, and leaves the body. An API or version that does not exist parses too: the caller answers it.
pub fn parse_request(frame: &mut BytesMut) -> Result<RequestHeader, WireError> {
    // The client id is a plain string in every header version.
    let mut reader = Reader::new(frame, false);
    let api_key = reader.i16("api key")?;
    let api_version = reader.i16("api version")?;
    let correlation_id = reader.i32("correlation id")?;
    let client_id = reader.nullable_string_lossy("client id")?.map_or_else(|| Arc::from(""), Arc::from);
    if has_tagged_fields(api_key, api_version) {
        Reader::new(frame, true).skip_tagged_fields("header")?;
    }
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}

/// Writes a response's header: the correlation id, and an empty set of tagged fields where the version has them.
pub fn put_response(out: &mut BytesMut, api_key: i16, api_version: i16, correlation_id: i32) {
    out.put_i32(correlation_id);
    if ApiKey::try_from(api_key).is_ok_and(|key| key.response_header_version(api_version) >= 1) {
        out.put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

    /// Every API and version, and some versions that do not exist.
    fn each() -> impl Iterator<Item = (ApiKey, i16)> {
        let keys = (0..200).filter_map(|key| ApiKey::try_from(key).ok());
        keys.flat_map(|key| (-1..30).map(move |version| (key, version)))
    }

    #[test]
    fn headers_of_all_apis_and_versions_leave_the_body() {
        for (key, version) in each() {
            let header_version = key.request_header_version(version);
            for client_id in [None, Some(""), Some("a client"), Some("ünïcode")] {
                let mut written = kafka_protocol::messages::RequestHeader::default()
                    .with_request_api_key(key as i16)
                    .with_request_api_version(version)
                    .with_correlation_id(-77)
                    .with_client_id(client_id.map(|id| StrBytes::from_string(id.to_owned())));
                if header_version >= 2 {
                    written = written.with_unknown_tagged_field(9, Bytes::from_static(b"later"));
                }
                let mut frame = BytesMut::new();
                written.encode(&mut frame, header_version).unwrap();
                let length = frame.len();
                frame.put_slice(b"body");
                for cut in 0..length {
                    assert!(parse_request(&mut BytesMut::from(&frame[..cut])).is_err(), "cut at {cut}");
                }
                let header = parse_request(&mut frame).unwrap();
                assert_eq!((header.api_key, header.api_version, header.correlation_id), (key as i16, version, -77));
                assert_eq!((header.client_id.as_ref(), &frame[..]), (client_id.unwrap_or(""), &b"body"[..]));
            }
        }
    }

    #[test]
    fn response_headers_are_as_kafka_protocol_reads_them() {
        for (key, version) in each() {
            let mut out = BytesMut::new();
            put_response(&mut out, key as i16, version, 4711);
            let header_version = key.response_header_version(version);
            let header = kafka_protocol::messages::ResponseHeader::decode(&mut out, header_version).unwrap();
            assert_eq!(header.correlation_id, 4711);
            assert!(out.is_empty());
        }
    }
}

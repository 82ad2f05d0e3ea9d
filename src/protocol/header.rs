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
    let client_id = reader.nullable_string("client id")?.map_or_else(|| Arc::from(""), Arc::from);
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
    use kafka_protocol::messages::RequestHeader as Generated;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn encoded(api_key: ApiKey, version: i16, client_id: Option<&'static str>) -> BytesMut {
        let header = Generated::default()
            .with_request_api_key(api_key as i16)
            .with_request_api_version(version)
            .with_correlation_id(77)
            .with_client_id(client_id.map(StrBytes::from_static_str));
        let mut out = BytesMut::new();
        header.encode(&mut out, api_key.request_header_version(version)).expect("encoded");
        out.put_slice(b"body");
        out
    }

    #[test]
    fn headers_of_all_versions_leave_the_body() {
        for (key, version) in [(ApiKey::Fetch, 4), (ApiKey::Fetch, 12), (ApiKey::ApiVersions, 3)] {
            for client_id in [None, Some("me")] {
                let mut frame = encoded(key, version, client_id);
                let header = parse_request(&mut frame).expect("parsed");
                let wanted = (key as i16, version, 77, client_id.unwrap_or(""));
                assert_eq!(
                    (header.api_key, header.api_version, header.correlation_id, header.client_id.as_ref()),
                    wanted
                );
                assert_eq!(frame, &b"body"[..]);
            }
        }
    }

    #[test]
    fn a_cut_header_is_an_error() {
        let whole = encoded(ApiKey::Fetch, 12, Some("me"));
        for cut in 0..whole.len() - 4 {
            assert!(parse_request(&mut BytesMut::from(&whole[..cut])).is_err(), "cut at {cut}");
        }
    }
}

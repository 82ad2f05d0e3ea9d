//! Strings and bytes between group requests and the coordinator. What the coordinator keeps is copied: a request's strings share its whole frame, which would
//! stay in memory with the smallest of them.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Errors that a group's course brings with it: no refusal.
pub fn is_of_groups_course(error: ResponseError) -> bool {
    matches!(
        error,
        ResponseError::MemberIdRequired
            | ResponseError::RebalanceInProgress
            | ResponseError::CoordinatorLoadInProgress
            | ResponseError::NotCoordinator
    )
}

pub fn kept(value: &StrBytes) -> Arc<str> {
    Arc::from(value.as_str())
}

pub fn kept_option(value: Option<&StrBytes>) -> Option<Arc<str>> {
    value.map(kept)
}

pub fn kept_bytes(value: &Bytes) -> Bytes {
    Bytes::copy_from_slice(value)
}

pub fn told(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub fn told_option(value: Option<&Arc<str>>) -> Option<StrBytes> {
    value.map(|value| told(value))
}

/// A client's address as Java's `InetAddress.toString` writes it, which is what tools show as a member's host.
pub fn client_host(address: &SocketAddr) -> Arc<str> {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => format!("/{ip}").into(),
        IpAddr::V6(ip) => {
            let groups: Vec<String> = ip.segments().iter().map(|group| format!("{group:x}")).collect();
            format!("/{}", groups.join(":")).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_java_does() {
        for (address, host) in [
            ("127.0.0.1:5", "/127.0.0.1"),
            ("[::1]:5", "/0:0:0:0:0:0:0:1"),
            ("[::ffff:10.0.0.9]:5", "/10.0.0.9"),
            ("[fe80::a:0:0:1]:5", "/fe80:0:0:0:a:0:0:1"),
        ] {
            assert_eq!(&*client_host(&address.parse().unwrap()), host);
        }
    }
}

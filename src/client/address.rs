//! Addresses as clients write them: `host:port`, `[::1]:port`, `PLAINTEXT://host:port`, many of them with commas.

use std::fmt;

use super::ClientError;

/// A host's name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Address {
    /// `None` when there is no host or no port in it; `Some(None)` when the port is out of range.
    fn parse(text: &str) -> Option<Option<Self>> {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once("]:")?,
            None => rest.rsplit_once(':')?,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '%' | ':');
        if host.is_empty() || !host.chars().all(is_name) || port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        Some(port.parse().ok().map(|port| Self { host: host.to_owned(), port }))
    }
}

/// Takes the value of `key` apart at its commas.
///
/// # Errors
/// Kafka's sentences: `Invalid url in KEY: TEXT`, `Invalid port in KEY: TEXT`.
pub fn parse_list(key: &str, value: &str) -> Result<Vec<Address>, ClientError> {
    let mut found = Vec::new();
    for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match Address::parse(text) {
            Some(Some(address)) => found.push(address),
            Some(None) => return Err(ClientError::Config(format!("Invalid port in {key}: {text}"))),
            None => return Err(ClientError::Config(format!("Invalid url in {key}: {text}"))),
        }
    }
    if found.is_empty() {
        return Err(ClientError::Config(format!("No resolvable bootstrap urls given in {key}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_clients_write_them() {
        let parse = |text| {
            parse_list("bootstrap.servers", text).map(|all| all.iter().map(Address::to_string).collect::<Vec<_>>())
        };
        assert_eq!(parse("a:1, b.c:2 ,,PLAINTEXT://d:3").unwrap(), ["a:1", "b.c:2", "d:3"]);
        assert_eq!(parse("[::1]:9092").unwrap(), ["[::1]:9092"]);
        let error = |text| parse(text).unwrap_err().to_string();
        assert_eq!(error("localhost"), "Invalid url in bootstrap.servers: localhost");
        assert_eq!(error("a:b"), "Invalid url in bootstrap.servers: a:b");
        assert_eq!(error("a:99999"), "Invalid port in bootstrap.servers: a:99999");
        assert_eq!(error(" , "), "No resolvable bootstrap urls given in bootstrap.servers");
    }
}

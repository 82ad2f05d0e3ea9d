//! What tools that talk to a cluster have in common: the options that say how to reach it.

use std::path::Path;

use super::options::{Kind, Opt, Parsed};
use super::{Fault, Terminal};
use crate::client::{Client, ClientProperties};

pub const BOOTSTRAP_SERVER: Opt = Opt::value(
    "bootstrap-server",
    "server to connect to",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas.",
);

pub const COMMAND_CONFIG: Opt = Opt::value(
    "command-config",
    "config property file",
    Kind::File,
    "A properties file for the client, as Kafka's clients take it (request.timeout.ms, client.id ...).",
);

/// Reads the file that `option` names; none given is no properties.
///
/// # Errors
/// What is wrong with the file.
pub fn properties(parsed: &Parsed, option: Opt) -> Result<ClientProperties, Fault> {
    match parsed.value(option)? {
        Some(path) => Ok(ClientProperties::load(Path::new(path))?),
        None => Ok(ClientProperties::default()),
    }
}

/// A client that shows on standard error what it waits for.
///
/// # Errors
/// What is wrong with the properties.
pub fn client(properties: &ClientProperties, terminal: &mut Terminal) -> Result<Client, Fault> {
    // What was printed so far comes before what the client may have to say.
    terminal.flush();
    Ok(Client::new(properties)?.on_notice(Box::new(|text| eprintln!("WARN {text}"))))
}

/// As [`client`], for an admin tool with `--bootstrap-server` and `--command-config`.
///
/// # Errors
/// As [`properties`] and [`client`].
pub fn admin(parsed: &Parsed, terminal: &mut Terminal) -> Result<Client, Fault> {
    let mut properties = properties(parsed, COMMAND_CONFIG)?;
    if let Some(servers) = parsed.value(BOOTSTRAP_SERVER)? {
        properties.set("bootstrap.servers", servers);
    }
    properties.set_default("client.id", "adminclient-1");
    client(&properties, terminal)
}

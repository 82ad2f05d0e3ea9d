//! What tools that talk to a cluster have in common: the options that say how to reach it.

use std::path::Path;

use super::options::{Kind, Opt, Parsed};
use super::{Fault, Terminal};
use crate::client::{Client, ClientProperties, Notice};
use std::sync::Arc;

pub const BOOTSTRAP_SERVER: Opt = Opt::value(
    "bootstrap-server",
    "server to connect to",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas.",
);

/// Kafka 4 has it no more, but init containers and scripts that were written for an older image give it.
pub const BROKER_LIST: Opt =
    Opt::value("broker-list", "servers to connect to", Kind::Text, "The older name of --bootstrap-server.").hidden();

pub const COMMAND_CONFIG: Opt = Opt::value(
    "command-config",
    "config property file",
    Kind::File,
    "A properties file for the client, as Kafka's clients take it (request.timeout.ms, client.id ...).",
);

/// [`COMMAND_CONFIG`] for tools of argparse4j's manner.
pub const ARGPARSE_COMMAND_CONFIG: Opt = Opt::value(
    "command-config",
    "COMMAND_CONFIG",
    Kind::File,
    "A properties file for the client, as Kafka's clients take it (request.timeout.ms, client.id ...).",
);

/// Ottla's own, for tools whose lines people would rather not take apart.
pub const OUTPUT: Opt =
    Opt::value("output", "format", Kind::Choice(&["text", "json"]), "How the result is written.").preset("text").own();

/// Whether JSON is asked for.
///
/// # Errors
/// What is neither of the two forms.
pub fn wants_json(parsed: &Parsed) -> Result<bool, Fault> {
    match parsed.value(OUTPUT)? {
        None | Some("text") => Ok(false),
        Some("json") => Ok(true),
        Some(other) => Err(Fault::thrown(format!("Invalid value {other} for --output: text and json are allowed"))),
    }
}

/// What `--bootstrap-server` says, or its older name where that is not given.
///
/// # Errors
/// That one was given more than once.
pub fn servers(parsed: &Parsed) -> Result<Option<&str>, Fault> {
    Ok(parsed.value(BOOTSTRAP_SERVER)?.or(parsed.value(BROKER_LIST)?))
}

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

/// Sets where the cluster is, as `CommandLineUtils.initializeBootstrapProperties`.
///
/// # Errors
/// Kafka's sentences when both are given, or neither.
pub fn set_bootstrap(
    properties: &mut ClientProperties,
    servers: Option<&str>,
    controllers: Option<&str>,
) -> Result<(), Fault> {
    match (servers, controllers) {
        (Some(_), Some(_)) => {
            return Err(Fault::thrown("You cannot specify both --bootstrap-controller and --bootstrap-server."));
        }
        (Some(servers), None) => {
            properties.set("bootstrap.servers", servers);
            properties.remove("bootstrap.controllers");
        }
        (None, Some(controllers)) => {
            properties.set("bootstrap.controllers", controllers);
            properties.remove("bootstrap.servers");
        }
        (None, None) => {
            return Err(Fault::thrown("You must specify either --bootstrap-controller or --bootstrap-server."));
        }
    }
    Ok(())
}

/// Shows on standard error what a client waits for.
pub fn notice() -> Notice {
    Arc::new(|text| eprintln!("WARN {text}"))
}

/// A client that shows on standard error what it waits for.
///
/// # Errors
/// What is wrong with the properties.
pub fn client(properties: &ClientProperties, terminal: &mut Terminal) -> Result<Client, Fault> {
    // What was printed so far comes before what the client may have to say.
    terminal.flush();
    match Client::new(properties) {
        Ok(client) => Ok(client.on_notice(notice())),
        // Kafka's sentence, and then the reason, which Java shows further below.
        Err(error) => Err(Fault::thrown(format!("Failed to create new KafkaAdminClient\n{error}"))),
    }
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

//! Listeners that the images make from other variables. Pure.

use super::{Image, Reading};
use crate::config::{ConfigError, Origin};

/// `listeners` from `advertised.listeners`, every host replaced by all addresses, where only those are given (apache/kafka and cp-kafka do so; for the
/// others it is what was meant). `other` is what an earlier source says.
pub(super) fn derive(reading: &mut Reading, other: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    let (roles, roles_origin) = match reading.properties.get("process.roles") {
        Some((roles, origin)) => (roles.clone(), Some(origin.clone())),
        None => (other("process.roles").unwrap_or_default(), None),
    };
    let is_controller_only = roles.trim() == "controller";
    let Some((advertised, origin)) = reading.properties.get("advertised.listeners").cloned() else { return Ok(()) };
    if advertised.trim().is_empty() {
        // An empty variable is how compose files unset one.
        reading.properties.remove("advertised.listeners");
        return Ok(());
    }
    if is_controller_only {
        let roles = roles_origin.map_or(String::new(), |origin| format!(" {origin}"));
        return Err(ConfigError::Relation(format!(
            "advertised.listeners={advertised} {origin} is not for a controller: process.roles is controller{roles}"
        )));
    }
    let is_set = reading.properties.get("listeners").is_some_and(|(value, _)| !value.trim().is_empty());
    if is_set || other("listeners").is_some() {
        return Ok(());
    }
    let everywhere = advertised.split(',').map(|entry| match (entry.split_once("://"), entry.rsplit_once(':')) {
        (Some((name, _)), Some((_, port))) => format!("{}://0.0.0.0:{}", name.trim(), port.trim()),
        // Not understood: told as it stands when it is parsed.
        _ => entry.to_owned(),
    });
    let listeners = everywhere.collect::<Vec<_>>().join(",");
    reading.properties.insert("listeners".into(), (listeners, origin));
    Ok(())
}

/// wurstmeister's `KAFKA_PORT`, `KAFKA_HOST_NAME`, `KAFKA_ADVERTISED_HOST_NAME`, `KAFKA_ADVERTISED_PORT` and the names of their protocols.
pub(super) fn of_hosts_and_ports(reading: &mut Reading) -> Result<(), ConfigError> {
    let mut take = |name: &str| reading.variables.remove(name).filter(|value| !value.trim().is_empty());
    let given = [
        take("KAFKA_HOST_NAME"),
        take("KAFKA_PORT"),
        take("KAFKA_ADVERTISED_HOST_NAME"),
        take("KAFKA_ADVERTISED_PORT"),
        take("KAFKA_PROTOCOL_NAME"),
        take("KAFKA_ADVERTISED_PROTOCOL_NAME"),
    ];
    let is_any_given = given.iter().any(Option::is_some);
    let [host, port, advertised_host, advertised_port, protocol, advertised_protocol] = given;
    let has_listeners = reading.get("KAFKA_LISTENERS").is_some();
    let has_advertised = reading.get("KAFKA_ADVERTISED_LISTENERS").is_some();
    // The image's rule: where listeners are given as such, these are for nothing.
    if !is_any_given || (has_listeners && has_advertised) {
        return Ok(());
    }
    let origin = |variable: &str| Origin::Environment(variable.to_owned());
    let port = port.unwrap_or_else(|| "9092".into());
    let advertised_port = advertised_port.unwrap_or_else(|| port.clone());
    let (host, advertised_host) = (host.unwrap_or_default(), advertised_host.unwrap_or_default());
    let (mut listeners, mut advertised) = (Vec::new(), Vec::new());
    match advertised_protocol {
        Some(outer) => {
            let inner = protocol.unwrap_or_else(|| outer.clone());
            listeners.push(format!("{outer}://:{advertised_port}"));
            advertised.push(format!("{outer}://{advertised_host}:{advertised_port}"));
            if inner != outer {
                listeners.push(format!("{inner}://{host}:{port}"));
                advertised.push(format!("{inner}://{host}:{port}"));
            }
            if reading.get("KAFKA_INTER_BROKER_LISTENER_NAME").is_none() {
                reading.properties.insert("inter.broker.listener.name".into(), (inner, origin("KAFKA_PROTOCOL_NAME")));
            }
        }
        None => {
            listeners.push(format!("PLAINTEXT://{host}:{port}"));
            // Without a host each client is told the address that it reached, at the listener's own port.
            if !advertised_host.is_empty() {
                advertised.push(format!("PLAINTEXT://{advertised_host}:{advertised_port}"));
            }
        }
    }
    if !has_listeners {
        reading.properties.insert("listeners".into(), (listeners.join(","), origin("KAFKA_PORT")));
    }
    if !has_advertised && !advertised.is_empty() {
        let value = (advertised.join(","), origin("KAFKA_ADVERTISED_HOST_NAME"));
        reading.properties.insert("advertised.listeners".into(), value);
    }
    debug_assert_eq!(reading.image, Image::Wurstmeister);
    Ok(())
}

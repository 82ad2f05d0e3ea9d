//! `--initial-controllers`: the voters of a quorum that may change, as Kafka's tool writes them (KIP-853). Pure.

use std::collections::BTreeMap;
use uuid::Uuid;

use crate::tools::{Fault, java};

/// The ids of the voters' metadata directories by node id, out of `ID@HOST:PORT:DIRECTORY,...`.
///
/// # Errors
/// Kafka's sentences.
pub(super) fn parse(text: &str) -> Result<BTreeMap<i32, Uuid>, Fault> {
    let mut voters = BTreeMap::new();
    for voter in text.trim().split(',').filter(|voter| !voter.is_empty()) {
        let (id, directory_id) = parse_one(voter.trim()).map_err(Fault::thrown)?;
        if voters.insert(id, directory_id).is_some() {
            return Err(Fault::thrown(format!("Node id {id} was specified more than once.")));
        }
    }
    match voters.is_empty() {
        true => Err(Fault::thrown("No voters given.")),
        false => Ok(voters),
    }
}

fn parse_one(voter: &str) -> Result<(i32, Uuid), String> {
    let (id, rest) = voter.split_once('@').ok_or("No @ found in dynamic voter string.")?;
    if id.is_empty() {
        return Err("Invalid @ at beginning of dynamic voter string.".into());
    }
    let id: i32 = id.parse().map_err(|_| "Failed to parse node id in dynamic voter string.")?;
    if id < 0 {
        return Err(format!("Invalid negative node id {id} in dynamic voter string."));
    }
    if rest.is_empty() {
        return Err("No hostname found after node id.".into());
    }
    let behind_host = match rest.strip_prefix('[') {
        Some(rest) => {
            rest.split_once(']').ok_or("Hostname began with left bracket, but no right bracket was found.")?.1
        }
        None => rest.find(':').and_then(|at| rest.get(at..)).ok_or("No colon following hostname could be found.")?,
    };
    let rest = behind_host.strip_prefix(':').ok_or("Port section must start with a colon.")?;
    let (port, directory) = rest.split_once(':').ok_or("No colon following port could be found.")?;
    let port: i32 = port.parse().map_err(|_| "Failed to parse port in dynamic voter string.")?;
    if u16::try_from(port).is_err() {
        return Err(format!("Invalid port {port} in dynamic voter string."));
    }
    // Sixteen bytes, with or without padding.
    let directory_id = [22, 24].contains(&directory.len()).then(|| java::parse_uuid(directory).ok()).flatten();
    Ok((id, directory_id.ok_or("Failed to parse directory ID in dynamic voter string.")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_are_read_as_kafka_reads_them() {
        let ids = |text: &str| {
            parse(text).unwrap().into_iter().map(|(id, directory)| (id, java::uuid(directory))).collect::<Vec<_>>()
        };
        let (directory, other) = ("JEXY6aqzQY-32P5TStzaFg", "AAAAAAAAAAAAAAAAAAAACA");
        let both = [(1, other.to_owned()), (3, directory.to_owned())];
        assert_eq!(ids(&format!("3@a:1:{directory},1@[::1]:65535:{other}==")), both);
        let told = |text: &str| parse(text).unwrap_err().message("");
        for (text, part) in [
            ("", "No voters given."),
            ("1", "No @ found"),
            ("@a", "Invalid @ at beginning"),
            ("x@a", "Failed to parse node id"),
            ("-1@a", "Invalid negative node id -1"),
            ("1@", "No hostname found"),
            ("1@[a", "no right bracket"),
            ("1@a", "No colon following hostname"),
            ("1@[a]x", "Port section must start"),
            ("1@a:1", "No colon following port"),
            ("1@a:x:y", "Failed to parse port"),
            ("1@a:65536:y", "Invalid port 65536"),
            ("1@a:1:y", "Failed to parse directory ID"),
            ("1@a:1:JEXY6aqzQY-32P5TStzaFg=", "Failed to parse directory ID"),
        ] {
            assert!(told(text).contains(part), "{text}: {}", told(text));
        }
        assert!(told(&format!("1@a:1:{directory},1@b:1:{directory}")).contains("more than once"));
    }
}

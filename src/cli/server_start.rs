//! `kafka-server-start`: what Kafka's script of that name takes. It reads no `KAFKA_*` variable as a property: the file says all.

use std::path::PathBuf;

pub(super) const USAGE: &str =
    "usage: kafka-server-start [-name name] [-loggc] server.properties [--override property=value]*";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Serve { file: PathBuf, overrides: Vec<String> },
    Version,
}

/// Reads the arguments behind the program's name; an error is a sentence.
pub(super) fn parse(arguments: &[String]) -> Result<Asked, String> {
    let mut overrides = Vec::new();
    let mut file = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-name" | "--name" => _ = rest.next(),
            "-loggc" => {}
            "-daemon" => {
                return Err("-daemon is not offered: let systemd, a container or `&` keep it in the background".into());
            }
            "--version" => return Ok(Asked::Version),
            "--override" => {
                overrides.push(rest.next().ok_or("--override is not followed by property=value")?.clone());
            }
            other => match other.strip_prefix("--override=") {
                Some(given) => overrides.push(given.to_owned()),
                None if other.starts_with('-') => return Err(format!("{other} is not an option")),
                None if file.is_none() => file = Some(PathBuf::from(other)),
                None => return Err(format!("{other} is one argument too many")),
            },
        }
    }
    Ok(Asked::Serve { file: file.ok_or("the properties file is missing")?, overrides })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn takes_what_the_script_takes() {
        let wanted = Asked::Serve { file: "a.properties".into(), overrides: vec!["x=1".into(), "y=2".into()] };
        assert_eq!(parsed("-name k -loggc a.properties --override x=1 --override=y=2").unwrap(), wanted);
        assert_eq!(parsed("--version").unwrap(), Asked::Version);
        for wrong in ["", "a b", "a --override", "--what a", "-daemon a"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}

//! `ottla image`: what the start scripts in the container image call. Turns variables into the properties file that the broker then reads, as the scripts of
//! the images whose place is taken do. Serves nothing.

use super::data_folder;
use crate::config::image::{Image, RULES, is_known};
use crate::config::{BrokerConfig, ConfigError, Origin, Settings};
use clap::Subcommand;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

#[derive(Subcommand, Debug)]
pub(super) enum ImageCommand {
    /// Run the start script of the image that the environment was written for.
    Start {
        /// Variables to set first, as apache/kafka's and cp-kafka's `run` takes them.
        #[arg(value_name = "VARIABLE=value")]
        variables: Vec<String>,
    },
    /// Check the environment, and write the properties file that it stands for.
    Configure {
        /// A properties file that the environment is laid over, if it is there. By bitnami's rules it stands alone.
        #[arg(long, value_name = "FILE")]
        mounted: Option<PathBuf>,
        /// The properties file to take when neither that one nor the environment says anything.
        #[arg(long, value_name = "FILE")]
        defaults: Option<PathBuf>,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
}

#[derive(Debug, Error)]
pub(super) enum ImageError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}: expected VARIABLE=value")]
    Argument(String),
    #[error(
        "{path} cannot be run: {source}; `ottla image start` is for the container image, elsewhere use `ottla serve`"
    )]
    Script { path: &'static str, source: std::io::Error },
    #[error("{path} cannot be written: {source}{advice}")]
    Output { path: PathBuf, source: std::io::Error, advice: String },
}

/// Whether a variable would be a property, or say where one's value is. What is left is for a server that has its properties from a file.
pub(super) fn is_property(variable: &str) -> bool {
    variable.starts_with("KAFKA_") && !variable.starts_with("KAFKA_CREATE_TOPICS") && !variable.contains("CLUSTER_ID")
}

/// Whether a container was meant to be ZooKeeper: somebody replaced all the images of a compose file.
fn is_for_zookeeper(environment: &BTreeMap<String, String>) -> bool {
    // With ZOOKEEPER_CONNECT a broker is told where to find one (debezium/kafka).
    let names = || environment.keys().filter(|name| *name != "ZOOKEEPER_CONNECT");
    let any = |prefixes: &[&str]| names().any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    const OF_A_BROKER: &[&str] = &[
        "KAFKA_CFG_",
        "KAFKA_BROKER",
        "KAFKA_NODE",
        "KAFKA_ZOOKEEPER_CONNECT",
        "KAFKA_LISTENERS",
        "KAFKA_ADVERTISED_",
        "KAFKA_PROCESS_ROLES",
    ];
    any(&["ZOOKEEPER_", "ZOO_", "ALLOW_ANONYMOUS_LOGIN"]) && !any(OF_A_BROKER)
}

/// Becomes the start script. Returns only when that fails.
pub(super) fn start(variables: &[String], environment: Vec<(String, String)>) -> Result<Infallible, ImageError> {
    let mut environment: BTreeMap<String, String> = environment.into_iter().collect();
    for given in variables {
        let Some((name, value)) = given.split_once('=') else { return Err(ImageError::Argument(given.clone())) };
        environment.insert(name.to_owned(), value.to_owned());
    }
    if is_for_zookeeper(&environment) {
        let path = "/usr/bin/zookeeper-server-start";
        let source = Command::new(path).env_clear().envs(environment).exec();
        return Err(ImageError::Script { path, source });
    }
    let (image, because) = Image::decide(&environment)?;
    match because {
        Some(variable) => {
            println!("===> Starting by the rules of the {} image, because {variable} is set", image.name())
        }
        None => println!("===> Starting by the rules of the {} image", image.name()),
    }
    let (path, arguments): (&'static str, &[&str]) = match image {
        Image::Apache => ("/etc/kafka/docker/run", &[]),
        Image::Confluent => ("/etc/confluent/docker/run", &[]),
        Image::Bitnami => ("/opt/bitnami/scripts/kafka/entrypoint.sh", &["/opt/bitnami/scripts/kafka/run.sh"]),
        Image::Wurstmeister => ("/usr/bin/start-kafka.sh", &[]),
    };
    environment.insert(RULES.to_owned(), image.name().to_owned());
    let source = Command::new(path).args(arguments).env_clear().envs(environment).exec();
    Err(ImageError::Script { path, source })
}

/// Writes the properties file, and says on standard error what is ignored.
pub(super) fn configure(
    mounted: Option<&Path>,
    defaults: Option<&Path>,
    output: &Path,
    environment: Vec<(String, String)>,
) -> Result<(), ImageError> {
    let of_java_agent = address_of_java_agent(&environment);
    let mut said = Settings::default();
    said.load_environment(environment.clone())?;
    let image = said.image();
    let own = mounted;
    let mounted = mounted.filter(|path| path.exists());
    let mut settings = Settings::default();
    match mounted {
        Some(path) => settings.load_file(path)?,
        None if said.is_empty() => defaults.map_or(Ok(()), |path| settings.load_file(path))?,
        None => {}
    }
    match (image, mounted) {
        (Some(Image::Bitnami), Some(path)) => {
            eprintln!("ottla: {} is there, so variables are not looked at", path.display());
        }
        _ => settings.load_environment(environment)?,
    }
    if let (Some(image), false) = (image, settings.contains("log.dirs") || settings.contains("log.dir")) {
        data_folder::set_for(image, &mut settings);
    }
    if let (Some((variable, address)), false) = (of_java_agent, settings.contains("metrics.address")) {
        eprintln!("ottla: metrics are served at {address}, where {variable} has Prometheus' Java agent serve them");
        settings.set("metrics.address", address, Origin::Environment(variable.to_owned()));
    }
    let config = BrokerConfig::new(settings)?;
    for notice in config.ignored_notices() {
        eprintln!("ottla: {notice}");
    }
    write(output, config.static_settings()).map_err(|source| {
        let advice = advice(&source, own);
        ImageError::Output { path: output.to_owned(), source, advice }
    })
}

/// What to do where the file cannot be written. `own` is where a file of the user's is looked for.
fn advice(error: &std::io::Error, own: Option<&Path>) -> String {
    match (error.kind(), own) {
        (ErrorKind::PermissionDenied, _) => {
            let user = rustix::process::geteuid().as_raw();
            format!("; the image's folders are for its user 1000 and for group 0: run it with user: \"{user}:0\"")
        }
        (ErrorKind::ReadOnlyFilesystem, Some(own)) => {
            format!("; it is made at each start: a file of your own belongs to {}", own.display())
        }
        (ErrorKind::ReadOnlyFilesystem, None) => "; it is made at each start, from the environment".to_owned(),
        _ => String::new(),
    }
}

/// Where Prometheus' Java agent would serve metrics, and the variable that asks for it: `-javaagent:PATH/jmx_prometheus_javaagent.jar=[HOST:]PORT:FILE`. Whoever scrapes
/// the broker goes there, and there is no Java machine that could load it.
fn address_of_java_agent(environment: &[(String, String)]) -> Option<(&'static str, String)> {
    ["KAFKA_OPTS", "KAFKA_JMX_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "EXTRA_ARGS"].into_iter().find_map(|variable| {
        let (_, options) = environment.iter().find(|(name, _)| name == variable)?;
        let agents = options.split_whitespace().filter_map(|option| option.strip_prefix("-javaagent:"));
        let (_, asked) = agents
            .filter(|agent| agent.contains("jmx_prometheus_javaagent"))
            .find_map(|agent| agent.split_once('='))?;
        let parts: Vec<&str> = asked.split(':').collect();
        let port_of = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        match parts.as_slice() {
            [port, ..] if port_of(port).is_some() => Some((variable, format!(":{port}"))),
            [host, port, ..] if port_of(port).is_some() => Some((variable, format!("{host}:{port}"))),
            _ => None,
        }
    })
}

/// What nobody knows was told already, and is left out.
fn write(output: &Path, settings: &Settings) -> std::io::Result<()> {
    let mut text = String::from("# Written at start, from the container's environment and configuration files.\n");
    for (name, value, origin) in settings.entries().filter(|(name, _, _)| is_known(name)) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# {origin}\n{name}={}", escaped(value));
    }
    // It may hold passwords. Truncated, not replaced: the folder may belong to somebody else.
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o660).open(output)?;
    file.write_all(text.as_bytes())
}

/// A value as `java.util.Properties` writes it, so that it is read as it was.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for (at, c) in value.chars().enumerate() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            ' ' if at == 0 => text.push_str("\\ "),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// What is written for these variables, as a serve reads it.
    fn configured(pairs: &[(&str, &str)], mounted: Option<&str>) -> Result<BrokerConfig, ImageError> {
        let folder = tempfile::tempdir().unwrap();
        let (file, output) = (folder.path().join("mounted.properties"), folder.path().join("server.properties"));
        let defaults = folder.path().join("defaults.properties");
        fs::write(&defaults, "num.partitions=7\nlog.dirs=/d\n").unwrap();
        if let Some(text) = mounted {
            fs::write(&file, text).unwrap();
        }
        configure(Some(&file), Some(&defaults), &output, variables(pairs))?;
        let mut settings = Settings::default();
        settings.load_file(&output)?;
        Ok(BrokerConfig::new(settings)?)
    }

    #[test]
    fn the_file_says_what_the_environment_said() {
        let pairs = [("OTTLA_IMAGE", "confluent"), ("KAFKA_BROKER_RACK", " a\\b\tc "), ("KAFKA_NUM_PARTITIONS", "3")];
        let config = configured(&pairs, None).unwrap();
        assert_eq!(config.rack.as_deref(), Some("a\\b\tc"), "trimmed, as Kafka does");
        assert_eq!(config.num_partitions, 3);
        assert_eq!(config.log_dirs(), [PathBuf::from("/var/lib/kafka/data")]);
    }

    #[test]
    fn a_zookeeper_is_known_by_its_variables() {
        let is = |pairs: &[(&str, &str)]| is_for_zookeeper(&variables(pairs).into_iter().collect());
        assert!(is(&[("ZOOKEEPER_CLIENT_PORT", "2181"), ("KAFKA_OPTS", "-Dx=y"), ("KAFKA_HOME", "/opt/kafka")]));
        assert!(is(&[("ALLOW_ANONYMOUS_LOGIN", "yes")]));
        assert!(!is(&[("KAFKA_ZOOKEEPER_CONNECT", "z:2181")]) && !is(&[]));
        assert!(!is(&[("ZOOKEEPER_CONNECT", "z:2181"), ("BROKER_ID", "1")]));
        assert!(!is(&[("ZOO_LOG", "x"), ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:9092")]));
    }

    #[test]
    fn the_defaults_are_for_an_environment_that_says_nothing() {
        let image = ("OTTLA_IMAGE", "apache");
        let config = configured(&[image, ("PATH", "/bin"), ("CLUSTER_ID", "x")], None).unwrap();
        assert_eq!((config.num_partitions, config.log_dirs()), (7, vec![PathBuf::from("/d")]));
        let config = configured(&[image, ("KAFKA_NODE_ID", "2")], None).unwrap();
        assert_eq!((config.num_partitions, config.node_id), (1, 2), "one variable replaces the defaults whole");
    }

    #[test]
    fn metrics_are_served_where_the_java_agent_would_serve_them() {
        let served = |pairs: &[(&str, &str)]| {
            let address = configured(pairs, None).unwrap().metrics_address().unwrap();
            (address.host, address.port)
        };
        let image = ("OTTLA_IMAGE", "apache");
        let agent = ("KAFKA_OPTS", "-Xlog:gc -javaagent:/opt/jmx_prometheus_javaagent-0.20.0.jar=7071:/opt/jmx.yml");
        assert_eq!(served(&[image, agent]), (None, 7071));
        assert_eq!(configured(&[image, agent], None).unwrap().num_partitions, 7, "the defaults are kept");
        assert_eq!(served(&[image, agent, ("KAFKA_METRICS_ADDRESS", ":9999")]), (None, 9999));
        let other = ("EXTRA_ARGS", "-javaagent:/jmx_prometheus_javaagent.jar=127.0.0.1:5556:/jmx.yml");
        assert_eq!(served(&[image, other]), (Some("127.0.0.1".into()), 5556));
        for nothing in [
            "-javaagent:/otel.jar=7071:x",
            "-javaagent:/jmx_prometheus_javaagent.jar",
            "-Dx=jmx_prometheus_javaagent.jar=1:2",
        ] {
            assert_eq!(served(&[image, ("KAFKA_OPTS", nothing)]), (None, 9404), "{nothing}");
        }
    }

    #[test]
    fn a_mounted_file_is_laid_under_the_environment_or_stands_alone() {
        let file = Some("num.partitions=2\nnode.id=9\n");
        let pairs = [("OTTLA_IMAGE", "apache"), ("KAFKA_NUM_PARTITIONS", "4")];
        let config = configured(&pairs, file).unwrap();
        assert_eq!((config.num_partitions, config.node_id), (4, 9));
        let pairs = [("OTTLA_IMAGE", "bitnami"), ("KAFKA_CFG_NUM_PARTITIONS", "4")];
        assert_eq!(configured(&pairs, file).unwrap().num_partitions, 2);
        assert_eq!(configured(&pairs, None).unwrap().num_partitions, 4);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_with_what_to_do() {
        let (denied, read_only) = (ErrorKind::PermissionDenied.into(), ErrorKind::ReadOnlyFilesystem.into());
        assert!(advice(&denied, None).contains(":0\""));
        assert!(advice(&read_only, Some(Path::new("/mnt/own.properties"))).ends_with("/mnt/own.properties"));
        let pairs = variables(&[("OTTLA_IMAGE", "apache")]);
        let said = configure(None, None, Path::new("/none/x.properties"), pairs).unwrap_err().to_string();
        assert!(said.starts_with("/none/x.properties cannot be written"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_refused_before_anything_is_written() {
        let pairs = [("OTTLA_IMAGE", "apache"), ("KAFKA_NUM_PARTITIONS", "none")];
        let said = configured(&pairs, None).unwrap_err().to_string();
        assert!(said.contains("num.partitions from the environment variable KAFKA_NUM_PARTITIONS"), "{said}");
    }
}

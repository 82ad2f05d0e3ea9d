//! The command line: turns arguments, file and environment into a checked configuration, and an outcome into an exit code.
//!
//! Starts nothing itself: what serves is given to [`run`] by `main`, so that nothing here imports the rooms above.

mod data_folder;
mod image;
mod server_start;
mod why;

use crate::bench;
use crate::config::{BrokerConfig, ConfigError, Origin, Settings, docs};
use crate::tools::{self, Terminal, completions, man};
use clap::{Args, Parser, Subcommand};
use image::{ImageCommand, ImageError};
use server_start::Asked;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Exit code when serving or writing failed.
const FAILED: u8 = 1;
/// Exit code when the arguments or the configuration are wrong: nothing was started.
const REFUSED: u8 = 2;

const AFTER_HELP: &str = "\
Without a command, Ottla serves: `ottla` alone is a broker on port 9092 with its data in your data folder.

Kafka's tools are commands, too: `ottla topics --list --bootstrap-server localhost:9092` is kafka-topics,
and so is a link to this program with that name. `ottla man` names them all, `ottla man topics` explains one.

Settings come from, weakest first: Ottla's presets, the properties file, KAFKA_* variables of the
environment (KAFKA_NUM_PARTITIONS is num.partitions), --override. Names are those of Apache Kafka.
`ottla config-docs` prints them all.

Exit codes: 0 ended in good order, 1 failed, 2 wrong arguments or configuration.";

/// A broker for Apache Kafka's clients, in one program.
#[derive(Parser, Debug)]
#[command(name = "ottla", version, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// So that `ottla --override num.partitions=3` serves, too.
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start a broker and keep it running until SIGTERM or Ctrl-C.
    Serve(Serve),
    /// Print every configuration key as Markdown: type, preset, allowed values, meaning.
    ConfigDocs,
    /// Print completions of this program and of Kafka's tools, for a shell to read.
    Completions {
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(completions::SHELLS))]
        shell: String,
    },
    /// Print a tool's man page; without a name, the tools' names.
    Man {
        /// As in kafka-topics, or topics.
        tool: Option<String>,
    },
    /// Ask a broker why a client, or a group, is stuck.
    Why(why::Why),
    /// Put a broker under load, and say what it came to.
    #[command(subcommand)]
    Bench(bench::Workload),
    /// What the start scripts of the container image call.
    #[command(subcommand)]
    Image(ImageCommand),
}

#[derive(Args, Debug)]
struct Serve {
    /// A properties file, as kafka-server-start takes it.
    #[arg(value_name = "server.properties")]
    file: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Args, Debug, Default)]
struct Overrides {
    /// Set one configuration key; stronger than file and environment. May be given many times.
    #[arg(long = "override", value_name = "key=value")]
    overrides: Vec<String>,
}

/// Reads the process's arguments and environment, does what they say, and gives the exit code. `serve` runs a node until it ends; `is_refusal` knows which of its
/// errors say that the configuration is wrong.
pub fn run<E: Display>(serve: impl FnOnce(Arc<BrokerConfig>) -> Result<(), E>, is_refusal: fn(&E) -> bool) -> ExitCode {
    let environment = environment();
    let words: Vec<OsString> = std::env::args_os().collect();
    if called_as("kafka-server-start") {
        return server_start(environment, serve, is_refusal);
    }
    if let Some((tool, arguments)) = tools::called(&words) {
        return ExitCode::from(tools::run(tool, &arguments, &mut Terminal::standard()));
    }
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        // Help and version come this way too, and clap knows which is which.
        Err(told) => {
            let code = if told.use_stderr() { REFUSED } else { 0 };
            return match told.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::from(FAILED),
            };
        }
    };
    let (file, overrides) = match arguments.command {
        Some(Command::ConfigDocs) => return print(&docs::markdown()),
        Some(Command::Completions { shell }) => return print_completions(&shell),
        Some(Command::Man { tool }) => return print_man(tool.as_deref()),
        Some(Command::Why(asked)) => return why::run(&asked),
        Some(Command::Bench(workload)) => {
            return match bench::run(&workload) {
                Ok(text) => print(&text),
                Err(error) => {
                    eprintln!("ottla: {error}");
                    ExitCode::from(FAILED)
                }
            };
        }
        Some(Command::Image(command)) => return for_image(command, environment),
        Some(Command::Serve(given)) => {
            (given.file, [arguments.overrides.overrides, given.overrides.overrides].concat())
        }
        None => (None, arguments.overrides.overrides),
    };
    serve_with(configuration(file, environment, &overrides), serve, is_refusal)
}

/// Variables that are not Unicode are no settings.
fn environment() -> Vec<(String, String)> {
    let unicode = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(unicode).collect()
}

/// Whether this program was started under that name, or that name with `.sh`.
fn called_as(wanted: &str) -> bool {
    let path = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_suffix(".sh").unwrap_or(name) == wanted
}

fn serve_with<E: Display>(
    config: Result<BrokerConfig, ConfigError>,
    serve: impl FnOnce(Arc<BrokerConfig>) -> Result<(), E>,
    is_refusal: fn(&E) -> bool,
) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(error) => return refused(error),
    };
    for notice in config.notices() {
        eprintln!("ottla: {notice}");
    }
    match serve(Arc::new(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla: {error}");
            ExitCode::from(if is_refusal(&error) { REFUSED } else { FAILED })
        }
    }
}

fn refused(error: impl Display) -> ExitCode {
    eprintln!("ottla: {error}");
    ExitCode::from(REFUSED)
}

/// Serves what the file says, without the `KAFKA_*` properties of the environment.
fn server_start<E: Display>(
    mut environment: Vec<(String, String)>,
    serve: impl FnOnce(Arc<BrokerConfig>) -> Result<(), E>,
    is_refusal: fn(&E) -> bool,
) -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let (file, overrides) = match server_start::parse(&arguments) {
        Ok(Asked::Serve { file, overrides }) => (file, overrides),
        Ok(Asked::Version) => {
            println!("ottla {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(said) => return refused(format!("{said}\n{}", server_start::USAGE)),
    };
    environment.retain(|(name, _)| !image::is_property(name));
    serve_with(configuration(Some(file), environment, &overrides), serve, is_refusal)
}

fn for_image(command: ImageCommand, environment: Vec<(String, String)>) -> ExitCode {
    let done = match &command {
        ImageCommand::Start { variables } => image::start(variables, environment).map(|never| match never {}),
        ImageCommand::Configure { mounted, defaults, output } => {
            image::configure(mounted.as_deref(), defaults.as_deref(), output, environment)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (ImageError::Script { .. } | ImageError::Output { .. })) => {
            eprintln!("ottla: {error}");
            ExitCode::from(FAILED)
        }
        Err(error) => refused(error),
    }
}

/// Puts the sources together, weakest first, and checks the whole.
fn configuration(
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    overrides: &[String],
) -> Result<BrokerConfig, ConfigError> {
    let mut settings = Settings::default();
    let data_folder = data_folder::of(&environment);
    if let Some(path) = file {
        settings.load_file(&path)?;
    }
    settings.load_environment(environment)?;
    for given in overrides {
        settings.apply_override(given)?;
    }
    if !settings.contains("log.dirs") && !settings.contains("log.dir") {
        match (settings.image(), data_folder) {
            (Some(image), _) => data_folder::set_for(image, &mut settings),
            (None, Some(folder)) => settings.set("log.dirs", folder.to_string_lossy(), Origin::Ottla),
            (None, None) => {
                let said = "there is no home folder to put data in: set log.dirs, as in --override log.dirs=/data";
                return Err(ConfigError::Relation(said.into()));
            }
        }
    }
    BrokerConfig::new(settings)
}

fn print(text: &str) -> ExitCode {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn print_completions(shell: &str) -> ExitCode {
    let command = <Arguments as clap::CommandFactory>::command();
    let own: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    match completions::script(shell, &own) {
        Some(script) => print(&script),
        None => ExitCode::from(REFUSED),
    }
}

fn print_man(name: Option<&str>) -> ExitCode {
    let Some(name) = name else {
        return print(&tools::TOOLS.iter().map(|tool| format!("{}\n", tool.name)).collect::<String>());
    };
    match tools::find(name) {
        Some(tool) => print(&man::page(tool)),
        None => {
            eprintln!("ottla: there is no tool {name}; `ottla man` names them all");
            ExitCode::from(REFUSED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn takes_what_kafka_server_start_takes() {
        let given = ["ottla", "serve", "server.properties", "--override", "a=b", "--override", "c=d=e"];
        let parsed = Arguments::try_parse_from(given).unwrap();
        let Some(Command::Serve(serve)) = parsed.command else { panic!("not serve") };
        assert_eq!(serve.file, Some(PathBuf::from("server.properties")));
        assert_eq!(serve.overrides.overrides, ["a=b", "c=d=e"]);
        let alone = Arguments::try_parse_from(["ottla", "--override", "a=b"]).unwrap();
        assert!(alone.command.is_none() && alone.overrides.overrides == ["a=b"]);
        assert!(Arguments::try_parse_from(["ottla", "serv"]).is_err());
    }

    #[test]
    fn nothing_said_is_a_broker_on_9092_with_data_in_the_data_folder() {
        let config = configuration(None, variables(&[("HOME", "/home/ann")]), &[]).unwrap();
        assert_eq!(config.log_dirs(), [PathBuf::from("/home/ann/.local/share/ottla")]);
        assert_eq!(config.listeners.broker.len(), 1);
        assert_eq!(config.listeners.broker[0].bind.port, 9092);
        assert_eq!(config.listeners.broker[0].advertised, None);
        assert!(config.is_broker() && config.is_controller());
        assert_eq!(config.node_id, 1);
    }

    #[test]
    fn sources_have_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.properties");
        std::fs::write(&path, "num.partitions=2\nlog.dirs=/a,/b\nfetch.max.bytes=2048\nnode.id=3\n").unwrap();
        let environment =
            variables(&[("KAFKA_NUM_PARTITIONS", "4"), ("KAFKA_FETCH_MAX_BYTES", "4096"), ("CLUSTER_ID", "x")]);
        let config = configuration(Some(path), environment, &["num.partitions=5".into()]).unwrap();
        assert_eq!((config.num_partitions, config.fetch_max_bytes, config.node_id), (5, 4096, 3));
        assert_eq!(config.log_dirs(), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(config.cluster_id(), Some("x"));
    }

    #[test]
    fn without_a_home_a_data_folder_must_be_named() {
        let error = configuration(None, Vec::new(), &[]).unwrap_err();
        assert!(error.to_string().contains("log.dirs"), "{error}");
        assert!(configuration(None, Vec::new(), &["log.dirs=/data".into()]).is_ok());
    }

    #[test]
    fn a_wrong_value_is_told_with_its_name_and_what_is_allowed() {
        let error = configuration(None, variables(&[("HOME", "/h")]), &["num.partitions=none".into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Invalid value none for configuration num.partitions: Not a number of type INT (num.partitions given with --override)"
        );
        let error = configuration(None, variables(&[("HOME", "/h")]), &["num.partitions=0".into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Invalid value 0 for configuration num.partitions: Value must be at least 1 (num.partitions given with --override)"
        );
    }
}

//! The program's log: lines or JSON on standard output, with a level per logger that can be changed while it runs.
//!
//! Only a program that is a broker sets it up ([`install`], from `node::run`); one that embeds a node has its own, which nothing here touches.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::LogFormat;
use crate::types::log_levels::{LogLevel, Loggers, NotOurs, ROOT_LOGGER};

/// Rooms that tell something. Loggers exist from the start under these names; finer ones once they were asked to say something.
const ROOMS: &[&str] = &["api", "cluster", "coordinator", "metrics", "net", "node", "replica", "store"];

/// The crate whose modules the rooms are.
const CRATE: &str = "ottla";

/// Levels at start, where `OTTLA_LOG` says nothing else.
const PRESETS: [(&str, LogLevel); 3] = [
    (ROOT_LOGGER, LogLevel::Info),
    ("openraft", LogLevel::Warn),
    // It warns of what each first election brings with it.
    ("openraft::core::raft_core", LogLevel::Error),
];

/// The environment's variable for levels.
const VARIABLE: &str = "OTTLA_LOG";

#[derive(Debug, Error)]
#[error(
    "{VARIABLE} is {value:?}: {problem}; give it levels as in info,ottla.net=debug (off, error, warn, info, debug, trace)"
)]
pub struct LogLevelsError {
    value: String,
    problem: String,
}

/// Sets up the log of this process, as `OTTLA_LOG` and the configuration want it.
///
/// # Errors
/// When `OTTLA_LOG` does not hold levels.
pub fn install(format: LogFormat) -> Result<Arc<dyn Loggers>, LogLevelsError> {
    let own = match std::env::var(VARIABLE) {
        Ok(value) if !value.trim().is_empty() => parse(&value)?,
        _ => PRESETS.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect(),
    };
    let (filter, handle) = reload::Layer::new(targets(&own));
    let seen = Seen::default();
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Plain => fmt::layer().with_ansi(io::stdout().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_target(true).boxed(),
    };
    // A program that runs a node by this way may have a log of its own already.
    match tracing_subscriber::registry().with(filter).with(lines).with(seen.clone()).try_init() {
        Ok(()) => Ok(Arc::new(OwnLog { handle, own: Mutex::new(own), seen })),
        Err(_) => Ok(Arc::new(OthersLog)),
    }
}

/// Levels from a list such as `info,ottla.net=debug`. What it does not name is preset: the root's level is meant for this program, and makes a library quieter,
/// never louder.
fn parse(text: &str) -> Result<BTreeMap<String, LogLevel>, LogLevelsError> {
    // A word alone would be taken for a logger whose lines are all wanted, and everything else be silent.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_lone = |word: &&&str| !(word.is_empty() || word.contains('=') || word.starts_with(CRATE) || is_level(word));
    if let Some(word) = words.iter().find(is_lone) {
        return Err(LogLevelsError { value: text.to_owned(), problem: format!("{word} is no level") });
    }
    let parsed: Targets =
        target_of(&words.join(",")).parse().map_err(|error: tracing_subscriber::filter::ParseError| {
            LogLevelsError { value: text.to_owned(), problem: error.to_string() }
        })?;
    let mut own: BTreeMap<String, LogLevel> =
        parsed.iter().map(|(target, level)| (target.to_owned(), of_filter(level))).collect();
    let root = parsed.default_level().map_or(LogLevel::Info, of_filter);
    let named = own.clone();
    for (name, level) in PRESETS {
        if !with_those_above(name).any(|above| named.contains_key(above)) {
            own.insert(name.to_owned(), level.min(root));
        }
    }
    own.insert(ROOT_LOGGER.to_owned(), root);
    Ok(own)
}

fn targets(own: &BTreeMap<String, LogLevel>) -> Targets {
    let root = own.get(ROOT_LOGGER).copied().unwrap_or(LogLevel::Info);
    let named = own.iter().filter(|(name, _)| *name != ROOT_LOGGER);
    Targets::new().with_default(filter_of(root)).with_targets(named.map(|(name, level)| (name, filter_of(*level))))
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Fatal => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn of_filter(filter: LevelFilter) -> LogLevel {
    match filter {
        LevelFilter::OFF => LogLevel::Fatal,
        LevelFilter::ERROR => LogLevel::Error,
        LevelFilter::WARN => LogLevel::Warn,
        LevelFilter::INFO => LogLevel::Info,
        LevelFilter::DEBUG => LogLevel::Debug,
        LevelFilter::TRACE => LogLevel::Trace,
    }
}

/// The log that this module set up.
struct OwnLog {
    handle: reload::Handle<Targets, Registry>,
    /// Loggers that have a level of their own.
    own: Mutex<BTreeMap<String, LogLevel>>,
    seen: Seen,
}

impl Loggers for OwnLog {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let levels = levels(&self.own.lock(), &self.seen.0.lock());
        levels.into_iter().map(|(target, level)| (target.replace("::", "."), level)).collect()
    }

    fn set(&self, logger: &str, level: Option<LogLevel>) -> Result<(), NotOurs> {
        let (mut own, target) = (self.own.lock(), target_of(logger));
        match level {
            Some(level) => drop(own.insert(target, level)),
            // The root has one always.
            None if logger == ROOT_LOGGER => {}
            None => drop(own.remove(&target)),
        }
        self.handle.reload(targets(&own)).map_err(|_| NotOurs)
    }
}

/// The target that a logger's lines have: a module's path.
fn target_of(logger: &str) -> String {
    logger.replace('.', "::")
}

/// Every target with the level in force.
fn levels(own: &BTreeMap<String, LogLevel>, seen: &BTreeSet<&'static str>) -> BTreeMap<String, LogLevel> {
    let rooms = ROOMS.iter().map(|room| format!("{CRATE}::{room}"));
    let names = rooms.chain([ROOT_LOGGER.to_owned(), CRATE.to_owned()]).chain(own.keys().cloned());
    let finer = seen.iter().flat_map(|target| with_those_above(target)).map(str::to_owned);
    names.chain(finer).map(|name| (in_force(own, &name), name)).map(|(level, name)| (name, level)).collect()
}

/// `a::b::c`, `a::b` and `a`.
fn with_those_above(target: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(target), |name| name.rsplit_once("::").map(|(above, _)| above))
}

fn in_force(own: &BTreeMap<String, LogLevel>, logger: &str) -> LogLevel {
    let named = with_those_above(logger).find_map(|name| own.get(name));
    named.or_else(|| own.get(ROOT_LOGGER)).copied().unwrap_or(LogLevel::Info)
}

/// Notes which loggers there are: a place in the code that logs is told to it when it is first passed.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeSet<&'static str>>>);

impl<S: Subscriber> Layer<S> for Seen {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.lock().insert(metadata.target());
        Interest::always()
    }
}

/// A log that somebody else set up, or nobody.
pub struct OthersLog;

impl Loggers for OthersLog {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        BTreeMap::from([(ROOT_LOGGER.to_owned(), of_filter(LevelFilter::current()))])
    }

    fn set(&self, _: &str, _: Option<LogLevel>) -> Result<(), NotOurs> {
        Err(NotOurs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn own(pairs: &[(&str, LogLevel)]) -> BTreeMap<String, LogLevel> {
        pairs.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect()
    }

    #[test]
    fn levels_come_from_the_nearest_logger_above() {
        let own = own(&[("root", LogLevel::Warn), ("ottla::net", LogLevel::Debug)]);
        let told = levels(&own, &BTreeSet::from(["ottla::net::listener", "ottla::api::fetch", "hyper::proto"]));
        for (name, level) in [
            ("root", LogLevel::Warn),
            ("ottla", LogLevel::Warn),
            ("ottla::net", LogLevel::Debug),
            ("ottla::net::listener", LogLevel::Debug),
            ("ottla::api::fetch", LogLevel::Warn),
            ("ottla::store", LogLevel::Warn),
            ("hyper", LogLevel::Warn),
        ] {
            assert_eq!(told.get(name), Some(&level), "{name}");
        }
        let filter = targets(&own);
        assert!(filter.would_enable("ottla::net::listener", &tracing::Level::DEBUG));
        assert!(!filter.would_enable("ottla::api", &tracing::Level::INFO));
    }

    #[test]
    fn a_level_changes_while_lines_are_written() {
        let before = own(&[("root", LogLevel::Info)]);
        let (filter, handle) = reload::Layer::new(targets(&before));
        let seen = Seen::default();
        let log = OwnLog { handle, own: Mutex::new(before), seen: seen.clone() };
        let subscriber = tracing_subscriber::registry().with(filter).with(seen);
        tracing::subscriber::with_default(subscriber, || {
            let is_on = || tracing::enabled!(target: "ottla::net::listener", tracing::Level::DEBUG);
            assert!(!is_on());
            log.set("ottla.net", Some(LogLevel::Debug)).unwrap();
            assert!(is_on() && log.levels()["ottla.net.listener"] == LogLevel::Debug);
            log.set("ottla.net", None).unwrap();
            assert!(!is_on() && log.levels()["ottla.net"] == LogLevel::Info);
            log.set("root", Some(LogLevel::Trace)).unwrap();
            log.set("root", None).unwrap();
            assert!(is_on() && log.exists("ottla.net.listener") && !log.exists("ottla.nett"));
        });
    }

    #[test]
    fn the_variable_is_read_or_refused() {
        let raft = ("openraft", "openraft::core::raft_core");
        for (text, expected) in [
            ("info", vec![("root", LogLevel::Info), (raft.0, LogLevel::Warn), (raft.1, LogLevel::Error)]),
            ("debug", vec![("root", LogLevel::Debug), (raft.0, LogLevel::Warn), (raft.1, LogLevel::Error)]),
            ("off", vec![("root", LogLevel::Fatal), (raft.0, LogLevel::Fatal), (raft.1, LogLevel::Fatal)]),
            ("error,openraft=trace", vec![("root", LogLevel::Error), (raft.0, LogLevel::Trace)]),
        ] {
            assert_eq!(parse(text).unwrap(), own(&expected), "{text}");
        }
        for partial in ["ottla::net=trace", "ottla.net=trace"] {
            let expected: Vec<_> = PRESETS.into_iter().chain([("ottla::net", LogLevel::Trace)]).collect();
            assert_eq!(parse(partial).unwrap(), own(&expected));
        }
        let error = parse("ottla::net=loud").unwrap_err().to_string();
        assert!(error.contains("OTTLA_LOG") && error.contains("loud"), "{error}");
        assert!(parse("verbose").unwrap_err().to_string().contains("verbose is no level"));
        assert!(parse("WARN, ottla.net").unwrap().contains_key("ottla::net"));
    }

    #[test]
    fn every_room_that_tells_something_is_a_logger() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let macros = ["error", "warn", "info", "debug", "trace"].map(|level| format!("{level}!("));
        let mut telling = BTreeSet::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                if text.contains("tracing") && macros.iter().any(|name| text.contains(name)) {
                    let room = path.strip_prefix(&root).unwrap().iter().next().unwrap().to_str().unwrap().to_owned();
                    telling.insert(room.trim_end_matches(".rs").to_owned());
                }
            }
        }
        assert_eq!(telling, ROOMS.iter().map(|room| (*room).to_owned()).collect());
    }
}

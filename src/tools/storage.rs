//! `kafka-storage`: what the log directories of this machine hold, and giving new ones their cluster and node before the first start.
//!
//! A start formats by itself, so nothing here is needed; scripts that format get directories that the start accepts. It reads and writes `meta.properties` only,
//! and never a store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

use super::options::{Command, Exclusive, Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, java};
use crate::config::meta_properties::{self, MetaProperties, random_cluster_id};
use crate::config::{BrokerConfig, Settings, properties};

/// The metadata version that a cluster of Ottla's starts with: Kafka 4.3's latest, as a name and as a level.
const METADATA_VERSION: (&str, i16) = ("4.3-IV0", 30);

/// Kafka's names of metadata versions, from level 7 on; the last one is not stable in 4.3.
const RELEASES: &[&str] = &[
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0", "3.7-IV1",
    "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0",
    "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
];

/// Features that Kafka's tool takes levels for, besides the metadata version.
const FEATURES: &[&str] = &[
    "eligible.leader.replicas.version",
    "group.version",
    "kraft.version",
    "share.version",
    "streams.version",
    "transaction.version",
];

const CONFIG: Opt = Opt::value("config", "CONFIG", Kind::File, "The server's properties file.").also(&["c"]).required();
const CLUSTER_ID: Opt = Opt::value("cluster-id", "CLUSTER_ID", Kind::Text, "The cluster's id.").also(&["t"]).required();
const ADD_SCRAM: Opt =
    Opt::value("add-scram", "ADD_SCRAM", Kind::Text, "A SCRAM credential. Refused: this version offers no SASL.")
        .also(&["S"]);
const IGNORE_FORMATTED: Opt =
    Opt::flag("ignore-formatted", "Leave directories that are formatted already as they are, instead of failing.")
        .also(&["g"]);
const RELEASE_VERSION: Opt = Opt::value(
    "release-version",
    "RELEASE_VERSION",
    Kind::Text,
    "The release whose features the cluster starts with, from 3.3-IV3 to 4.3-IV0. Checked; a cluster of Ottla's starts with 4.3-IV0.",
)
.also(&["r"]);
const FEATURE: Opt = Opt::value(
    "feature",
    "FEATURE",
    Kind::Text,
    "A feature's level, as in kraft.version=1. Checked, and without effect.",
)
.also(&["f"]);
const STANDALONE: Opt = Opt::flag("standalone", "This controller is the whole quorum.").also(&["s"]);
const NO_INITIAL_CONTROLLERS: Opt =
    Opt::flag("no-initial-controllers", "The quorum's voters are not said here.").also(&["N"]);
const INITIAL_CONTROLLERS: Opt = Opt::value(
    "initial-controllers",
    "INITIAL_CONTROLLERS",
    Kind::Text,
    "The quorum's voters: id@hostname:port:directory, separated by commas.",
)
.also(&["I"]);

pub(super) static TOOL: Tool = Tool {
    name: "kafka-storage",
    about: "The Kafka storage tool.",
    grammar: Grammar::Argparse {
        options: &[],
        exclusive: &[],
        commands: &[
            Command {
                name: "info",
                about: "Tell what the log directories of this node hold.",
                options: &[CONFIG],
                exclusive: &[],
            },
            Command {
                name: "format",
                about: "Give the log directories of this node their cluster and node.",
                options: &[CONFIG, CLUSTER_ID, ADD_SCRAM, IGNORE_FORMATTED, RELEASE_VERSION, FEATURE],
                exclusive: &[Exclusive {
                    options: &[STANDALONE, NO_INITIAL_CONTROLLERS, INITIAL_CONTROLLERS],
                    required: false,
                }],
            },
            Command { name: "random-uuid", about: "Print a random cluster id.", options: &[], exclusive: &[] },
        ],
    },
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    match parsed.command.map(|command| command.name) {
        Some("info") => info(parsed, terminal),
        Some("format") => format(parsed, terminal),
        _ => {
            terminal.line(random_cluster_id());
            Ok(0)
        }
    }
}

/// The configuration, and whether its file names roles at all: files of the time of ZooKeeper do not.
fn config(parsed: &Parsed) -> Result<(BrokerConfig, bool), Fault> {
    let path = parsed.value(CONFIG)?.unwrap_or_default();
    let mut settings = Settings::default();
    settings.load_file(Path::new(path)).map_err(|error| Fault::thrown(error.to_string()))?;
    let has_roles = settings.get("process.roles").is_some_and(|roles| !roles.trim().is_empty());
    let config = BrokerConfig::new(settings).map_err(|error| Fault::thrown(error.to_string()))?;
    Ok((config, has_roles))
}

/// Every directory once, by name.
fn directories(config: &BrokerConfig) -> BTreeSet<PathBuf> {
    config.log_dirs().into_iter().chain([config.metadata_log_dir()]).collect()
}

fn info(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let (config, has_roles) = config(parsed)?;
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut first: Option<BTreeMap<String, String>> = None;
    for directory in directories(&config) {
        let shown = directory.display();
        if !directory.is_dir() {
            problems
                .push(format!("{shown} {}", if directory.exists() { "is not a directory" } else { "does not exist" }));
            continue;
        }
        found.push(shown.to_string());
        let path = directory.join(meta_properties::FILE);
        if !path.exists() {
            problems.push(format!("{shown} is not formatted."));
            continue;
        }
        let read = fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| properties::parse(&bytes));
        let these: BTreeMap<String, String> = match read {
            Ok(pairs) => pairs.into_iter().collect(),
            Err(error) => {
                problems.push(format!("Error loading {}: {error}", path.display()));
                continue;
            }
        };
        match &first {
            None => first = Some(these),
            Some(other) if other.get("cluster.id") != these.get("cluster.id") => {
                problems.push("Mismatched cluster IDs between storage directories.".into());
            }
            Some(other) if other.get("node.id") != these.get("node.id") => {
                problems.push("Mismatched node IDs between storage directories.".into());
            }
            Some(_) => {}
        }
    }
    let version = first.as_ref().and_then(|meta| meta.get("version")).map(String::as_str);
    match (has_roles, version) {
        (true, Some("0")) => problems.push(
            "The kafka configuration file appears to be for a cluster in KRaft mode, but the directories are formatted for legacy mode.".into(),
        ),
        (false, Some("1")) => problems.push(
            "The kafka configuration file appears to be for a legacy cluster, but the directories are formatted for a cluster in KRaft mode.".into(),
        ),
        _ => {}
    }
    list(terminal, if found.len() == 1 { "Found log directory:" } else { "Found log directories:" }, &found);
    if let Some(meta) = first {
        let pairs: Vec<String> = meta.iter().map(|(name, value)| format!("{name}={value}")).collect();
        terminal.line(format_args!("Found metadata: {{{}}}\n", pairs.join(", ")));
    }
    list(terminal, if problems.len() == 1 { "Found problem:" } else { "Found problems:" }, &problems);
    Ok(u8::from(!problems.is_empty()))
}

fn list(terminal: &mut Terminal, title: &str, entries: &[String]) {
    if !entries.is_empty() {
        terminal.line(title);
        entries.iter().for_each(|entry| terminal.line(format_args!("  {entry}")));
        terminal.line("");
    }
}

fn format(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let (config, has_roles) = config(parsed)?;
    if !has_roles {
        return Err(Fault::thrown(
            "The kafka configuration file appears to be for a legacy cluster. Formatting is only supported for clusters in KRaft mode.",
        ));
    }
    let release = match parsed.value(RELEASE_VERSION)? {
        Some(version) => release(version)?,
        None => METADATA_VERSION.0,
    };
    check_features(parsed)?;
    check_quorum(parsed, &config)?;
    if parsed.has(ADD_SCRAM) {
        return Err(Fault::thrown(
            "--add-scram: this version of ottla offers no SASL, so there is nothing that SCRAM credentials would be for",
        ));
    }
    if release != METADATA_VERSION.0 {
        terminal
            .error(format_args!("ottla starts a cluster with metadata.version {}, not {release}", METADATA_VERSION.0));
    }
    let cluster_id = parsed.value(CLUSTER_ID)?.unwrap_or_default();
    let mut meta = MetaProperties::new(cluster_id, config.node_id);
    meta.directory_id = own_directory_id(parsed, config.node_id)?.or(meta.directory_id);
    write(&config, &meta, parsed.has(IGNORE_FORMATTED), release, terminal)
}

/// The id that `--initial-controllers` gives this node's metadata directory, as `id@host:port:directory`.
fn own_directory_id(parsed: &Parsed, node_id: i32) -> Result<Option<Uuid>, Fault> {
    let own = format!("{node_id}@");
    let named = parsed.value(INITIAL_CONTROLLERS)?.unwrap_or_default().split(',').map(str::trim);
    let Some(voter) = named.into_iter().find(|voter| voter.starts_with(&own)) else { return Ok(None) };
    let (_, directory) = voter.rsplit_once(':').unwrap_or_default();
    let wrong = |fault: Fault| Fault::thrown(format!("Failed to parse directory ID in {voter}: {}", fault.message("")));
    java::parse_uuid(directory).map(Some).map_err(wrong)
}

/// Writes `meta.properties` where it is missing, after everything that is there has been looked at. `meta` is the metadata directory's; others get ids of
/// their own.
fn write(
    config: &BrokerConfig,
    meta: &MetaProperties,
    ignore_formatted: bool,
    release: &str,
    terminal: &mut Terminal,
) -> Result<u8, Fault> {
    let thrown = |error: meta_properties::MetaError| Fault::thrown(error.to_string());
    let (mut formatted, mut new) = (Vec::new(), Vec::new());
    for directory in directories(config) {
        match meta_properties::read(&directory).map_err(thrown)? {
            Some(found) => {
                let path = directory.join(meta_properties::FILE);
                let differs = |name: &str, wanted: &str, read: &str| {
                    Fault::thrown(format!("Invalid {name} in: {}. Expected {wanted}, but read {read}", path.display()))
                };
                if found.cluster_id != meta.cluster_id {
                    return Err(differs("cluster.id", &meta.cluster_id, &found.cluster_id));
                }
                if found.node_id != meta.node_id {
                    return Err(differs("node.id", &meta.node_id.to_string(), &found.node_id.to_string()));
                }
                formatted.push(directory);
            }
            None => {
                meta_properties::check_owner(&directory).map_err(thrown)?;
                new.push(directory);
            }
        }
    }
    if let Some(first) = formatted.first().filter(|_| !ignore_formatted) {
        return Err(Fault::thrown(format!(
            "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
            first.display()
        )));
    }
    if new.is_empty() {
        terminal.line("All of the log directories are already formatted.");
        return Ok(0);
    }
    let level = METADATA_VERSION.1;
    terminal.line(format_args!(
        "Bootstrap metadata: BootstrapMetadata(records=[ApiMessageAndVersion(FeatureLevelRecord(name='metadata.version', featureLevel={level}) at version 0)], metadataVersionLevel={level}, source=format command)"
    ));
    for directory in new {
        let kind = if directory == config.metadata_log_dir() { "metadata" } else { "data" };
        terminal
            .line(format_args!("Formatting {kind} directory {} with metadata.version {release}.", directory.display()));
        let made = fs::create_dir_all(&directory)
            .map_err(|source| meta_properties::MetaError::Io { path: directory.clone(), source })
            .and_then(|()| {
                let is_metadata = directory == config.metadata_log_dir();
                let other = MetaProperties::new(meta.cluster_id.as_str(), meta.node_id);
                meta_properties::write(&directory, if is_metadata { meta } else { &other })
            });
        made.map_err(thrown)?;
    }
    Ok(0)
}

/// The full name of a release: `4.0` is the last of its metadata versions, and so is `4.0.1`.
fn release(text: &str) -> Result<&'static str, Fault> {
    let short = text.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let of_release = |name: &&&str| **name == short || name.split('-').next() == Some(short.as_str());
    RELEASES.iter().rev().find(of_release).copied().ok_or_else(|| {
        let known = RELEASES.join(", ");
        Fault::thrown(format!("Unknown metadata.version '{text}'. Supported metadata.version are: {known}"))
    })
}

fn check_features(parsed: &Parsed) -> Result<(), Fault> {
    for given in parsed.all(FEATURE) {
        let Some((name, level)) = given.split_once('=') else {
            return Err(Fault::thrown(format!("Can't parse feature=level string {given}: equals sign not found.")));
        };
        let (name, level) = (name.trim(), level.trim());
        let Ok(level) = level.parse::<i16>() else {
            return Err(Fault::thrown(format!(
                "Can't parse feature=level string {given}: unable to parse {level} as a short."
            )));
        };
        if name == "metadata.version" {
            let is_known = usize::try_from(level - 7).is_ok_and(|at| at < RELEASES.len());
            if parsed.has(RELEASE_VERSION) {
                return Err(Fault::thrown(
                    "Use --release-version instead of --feature metadata.version=X to avoid ambiguity.",
                ));
            }
            if !is_known {
                return Err(Fault::thrown(format!("No MetadataVersion with feature level {level}")));
            }
        } else if !FEATURES.contains(&name) {
            let known = FEATURES.join(", ");
            return Err(Fault::thrown(format!("Unsupported feature: {name}. Supported features are: {known}")));
        }
    }
    Ok(())
}

/// Who may say who the voters are.
fn check_quorum(parsed: &Parsed, config: &BrokerConfig) -> Result<(), Fault> {
    let has_voters = !config.voters.is_empty();
    let says_voters = parsed.has(STANDALONE) || parsed.has(INITIAL_CONTROLLERS);
    if has_voters && says_voters {
        return Err(Fault::thrown(
            "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, \
             please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.",
        ));
    }
    if parsed.has(STANDALONE) && !config.is_controller() {
        return Err(Fault::thrown("You can only use --standalone on a controller."));
    }
    if config.is_controller() && !has_voters && !says_voters && !parsed.has(NO_INITIAL_CONTROLLERS) {
        return Err(Fault::thrown(
            "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or \
             --no-initial-controllers.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::outcome;
    use super::*;

    const ROLES: &str = "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
                         listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n";

    /// A folder with two log directories to be, and the properties file that names them.
    fn node(settings: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let file = folder.path().join("server.properties");
        fs::write(&file, format!("{settings}log.dirs={at}/d1,{at}/d2\n")).unwrap();
        let file = file.to_str().unwrap().to_owned();
        (folder, file)
    }

    fn with_voters() -> (tempfile::TempDir, String) {
        node(&format!("{ROLES}controller.quorum.voters=1@localhost:9093\n"))
    }

    #[test]
    fn formatting_makes_what_a_start_accepts() {
        let (folder, file) = with_voters();
        let (code, out, err) = outcome(&TOOL, &["format", "-t", "abc", "-c", &file]);
        assert_eq!((code, err.as_str()), (0, ""));
        let at = folder.path().display();
        assert!(
            out.contains(&format!("Formatting metadata directory {at}/d1 with metadata.version 4.3-IV0.\n")),
            "{out}"
        );
        assert!(out.contains(&format!("Formatting data directory {at}/d2 with metadata.version 4.3-IV0.\n")), "{out}");
        let both = [folder.path().join("d1"), folder.path().join("d2")];
        assert_eq!(meta_properties::settle(&both, 1, None).unwrap().cluster_id, "abc");

        let (code, _, err) = outcome(&TOOL, &["format", "-t", "abc", "-c", &file]);
        assert_eq!(code, 1);
        assert!(err.contains("is already formatted. Use --ignore-formatted"), "{err}");
        let (code, out, _) = outcome(&TOOL, &["format", "-g", "-t", "abc", "-c", &file]);
        assert_eq!((code, out.as_str()), (0, "All of the log directories are already formatted.\n"));
        let (code, _, err) = outcome(&TOOL, &["format", "-g", "-t", "other", "-c", &file]);
        assert_eq!(code, 1);
        assert!(err.contains("Expected other, but read abc"), "{err}");

        fs::remove_dir_all(folder.path().join("d2")).unwrap();
        let (code, out, _) = outcome(&TOOL, &["format", "-g", "-t", "abc", "-c", &file]);
        assert!(code == 0 && out.contains("d2 with") && !out.contains("d1 with"), "{out}");
    }

    #[test]
    fn info_tells_what_is_there() {
        let (folder, file) = with_voters();
        let at = folder.path().display();
        let (code, out, _) = outcome(&TOOL, &["info", "-c", &file]);
        assert_eq!(code, 1);
        assert_eq!(out, format!("Found problems:\n  {at}/d1 does not exist\n  {at}/d2 does not exist\n\n"));
        outcome(&TOOL, &["format", "-t", "abc", "-c", &file]);
        let (code, out, _) = outcome(&TOOL, &["info", "-c", &file]);
        let id = meta_properties::settle(&[folder.path().join("d1")], 1, None).unwrap().directory_ids[0];
        let meta = format!("Found metadata: {{cluster.id=abc, directory.id={}, node.id=1, version=1}}", java::uuid(id));
        assert_eq!((code, out), (0, format!("Found log directories:\n  {at}/d1\n  {at}/d2\n\n{meta}\n\n")));
    }

    #[test]
    fn initial_controllers_say_the_metadata_directorys_id() {
        let (folder, file) = node(&format!("{ROLES}controller.quorum.bootstrap.servers=localhost:9093\n"));
        let voters = "2@b:9093:AAAAAAAAAAAAAAAAAAAABA,1@a:9093:AAAAAAAAAAAAAAAAAAAACA";
        assert_eq!(outcome(&TOOL, &["format", "-t", "abc", "-I", voters, "-c", &file]).0, 0);
        let both = [folder.path().join("d1"), folder.path().join("d2")];
        let ids = meta_properties::settle(&both, 1, None).unwrap().directory_ids;
        assert_eq!(java::uuid(ids[0]), "AAAAAAAAAAAAAAAAAAAACA");
        assert_ne!(ids[0], ids[1]);
        let (code, _, err) = outcome(&TOOL, &["format", "-g", "-t", "abc", "-I", "1@a:9093:x", "-c", &file]);
        assert!(code == 1 && err.contains("Failed to parse directory ID in 1@a:9093:x"), "{err}");
    }

    #[test]
    fn what_cannot_be_formatted_is_refused_as_in_kafka() {
        let (_folder, with_voters) = with_voters();
        let (_other, without) = node(&format!("{ROLES}controller.quorum.bootstrap.servers=localhost:9093\n"));
        let (_legacy, legacy) = node("broker.id=1\n");
        for (arguments, code, part) in [
            (&["format", "-t", "a", "-c", &legacy][..], 1, "legacy cluster"),
            (&["format", "-t", "a", "-c", "/none/there"], 1, "/none/there"),
            (&["format", "-c", &without], 1, "argument --cluster-id/-t is required"),
            (&["format", "-t", "a", "-c", &without], 1, "you must specify one of the following: --standalone"),
            (&["format", "-s", "-N", "-t", "a", "-c", &without], 1, "not allowed with argument"),
            (&["format", "-s", "-t", "a", "-c", &with_voters], 1, "You cannot specify controller.quorum.voters"),
            (&["format", "-t", "a", "-c", &with_voters, "-r", "9.9"], 1, "Unknown metadata.version '9.9'"),
            (&["format", "-t", "a", "-c", &with_voters, "-f", "foo"], 1, "equals sign not found"),
            (&["format", "-t", "a", "-c", &with_voters, "-f", "foo=1"], 1, "Unsupported feature: foo."),
            (&["format", "-t", "a", "-c", &with_voters, "-S", "SCRAM-SHA-256=[name=a,password=b]"], 1, "no SASL"),
            (&["format", "-s", "-t", "a", "-c", &without, "-r", "3.9.1"], 0, "not 3.9-IV0"),
        ] {
            let (found, _, err) = outcome(&TOOL, arguments);
            assert_eq!(found, code, "{arguments:?}: {err}");
            assert!(err.contains(part), "{arguments:?}: {err:?} has no {part:?}");
        }
    }

    #[test]
    fn random_ids_have_kafkas_form() {
        let (code, out, _) = outcome(&TOOL, &["random-uuid"]);
        assert_eq!((code, out.trim().len()), (0, 22));
    }
}

//! `kafka-storage`: what the log directories of this machine hold, and giving new ones their cluster and node before the first start.
//!
//! A start formats by itself, so nothing here is needed; scripts that format get directories that the start accepts. It reads and writes `meta.properties` only,
//! and never a store.

mod levels;
mod voters;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

use super::features::{self, versions};
use super::options::{Command, Exclusive, Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool};
use crate::config::meta_properties::{self, MetaProperties, random_cluster_id};
use crate::config::{BrokerConfig, Settings, properties};

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
const MAPPED_RELEASE: Opt = Opt::value(
    "release-version",
    "RELEASE_VERSION",
    Kind::Text,
    "The release whose features are asked for, from 3.3-IV3 on; 4.3-IV0 where it is left out.",
)
.also(&["r"]);
const LOOKED_UP: Opt =
    Opt::value("feature", "FEATURE", Kind::Text, "FEATURE=LEVEL, as in group.version=1; may be given many times.")
        .also(&["f"])
        .required();
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
            Command {
                name: "version-mapping",
                about: "Show which levels of features go with a release; with the newest where none is named.",
                options: &[MAPPED_RELEASE],
                exclusive: &[],
            },
            Command {
                name: "feature-dependencies",
                about: "Show what levels of features need of other features.",
                options: &[LOOKED_UP],
                exclusive: &[],
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
        Some("version-mapping") => features::map_versions(parsed, MAPPED_RELEASE, terminal),
        Some("feature-dependencies") => levels::show_dependencies(&parsed.all(LOOKED_UP), terminal),
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

/// What is checked, in Kafka's order, so that of several mistakes the same one is told.
fn format(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let (config, has_roles) = config(parsed)?;
    if !has_roles {
        return Err(Fault::thrown(
            "The kafka configuration file appears to be for a legacy cluster. Formatting is only supported for clusters in KRaft mode.",
        ));
    }
    let release = parsed.value(RELEASE_VERSION)?.map(versions::production_level).transpose()?;
    let asked = levels::asked(&parsed.all(FEATURE))?;
    let (kind, directory_id) = metadata_directory(parsed, &config)?;
    let metadata = levels::check(release, &asked, config.voters.is_empty())?;
    if parsed.has(ADD_SCRAM) {
        return Err(Fault::thrown(
            "--add-scram: this version of ottla offers no SASL, so there is nothing that SCRAM credentials would be for. Leave it out",
        ));
    }
    let cluster_id = parsed.value(CLUSTER_ID)?.unwrap_or_default();
    let mut meta = MetaProperties::new(cluster_id, config.node_id);
    meta.directory_id = directory_id.or(meta.directory_id);
    let to_come = Formatting { meta: &meta, kind, metadata, ignore_formatted: parsed.has(IGNORE_FORMATTED) };
    to_come.run(&config, terminal)
}

/// What formatting makes of the directories that are new.
struct Formatting<'a> {
    /// The metadata's directory's. Others get ids of their own.
    meta: &'a MetaProperties,
    /// What Kafka calls the metadata's directory.
    kind: &'static str,
    /// The level of metadata.version that was asked for.
    metadata: i16,
    ignore_formatted: bool,
}

impl Formatting<'_> {
    /// Writes `meta.properties` where it is missing, after everything that is there has been looked at.
    fn run(&self, config: &BrokerConfig, terminal: &mut Terminal) -> Result<u8, Fault> {
        let thrown = |error: meta_properties::MetaError| Fault::thrown(error.to_string());
        let (mut formatted, mut new) = (Vec::new(), Vec::new());
        for directory in directories(config) {
            match meta_properties::read(&directory).map_err(thrown)? {
                Some(found) => {
                    self.check(&directory.join(meta_properties::FILE), &found)?;
                    formatted.push(directory);
                }
                None => {
                    meta_properties::check_owner(&directory).map_err(thrown)?;
                    new.push(directory);
                }
            }
        }
        if let Some(first) = formatted.first().filter(|_| !self.ignore_formatted) {
            return Err(Fault::thrown(format!(
                "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
                first.display()
            )));
        }
        if new.is_empty() {
            terminal.line("All of the log directories are already formatted.");
            return Ok(0);
        }
        let (level, release) = (self.metadata, versions::release(self.metadata).unwrap_or_default());
        terminal.line(format_args!(
            "Bootstrap metadata: BootstrapMetadata(records=[ApiMessageAndVersion(FeatureLevelRecord(name='metadata.version', featureLevel={level}) at version 0)], metadataVersionLevel={level}, source=format command)"
        ));
        if release != versions::LATEST {
            terminal.error(format_args!(
                "ottla starts a cluster with metadata.version {}, not {release}",
                versions::LATEST
            ));
        }
        for directory in new {
            let other = MetaProperties::new(self.meta.cluster_id.as_str(), self.meta.node_id);
            let (kind, meta) = match directory == config.metadata_log_dir() {
                true => (self.kind, self.meta),
                false => ("data directory", &other),
            };
            terminal.line(format_args!("Formatting {kind} {} with metadata.version {release}.", directory.display()));
            let made = fs::create_dir_all(&directory)
                .map_err(|source| meta_properties::MetaError::Io { path: directory.clone(), source })
                .and_then(|()| meta_properties::write(&directory, meta));
            made.map_err(thrown)?;
        }
        Ok(0)
    }

    /// A directory that is formatted has to belong to this cluster and node.
    fn check(&self, path: &Path, found: &MetaProperties) -> Result<(), Fault> {
        let path = path.display();
        let meta = self.meta;
        if found.cluster_id != meta.cluster_id {
            return Err(Fault::thrown(format!(
                "Invalid cluster.id in: {path}. Expected {}, but read {}",
                meta.cluster_id, found.cluster_id
            )));
        }
        if found.node_id != meta.node_id {
            return Err(Fault::thrown(format!(
                "Stored node id {} doesn't match previous node id {} in {path}. If you moved your data, make sure your configured node id matches. \
                 If you intend to create a new node, you should remove all data in your data directories.",
                found.node_id, meta.node_id
            )));
        }
        Ok(())
    }
}

/// Who may say who the voters are; and what Kafka calls the metadata's directory then, with the id that `--initial-controllers` gives it.
fn metadata_directory(parsed: &Parsed, config: &BrokerConfig) -> Result<(&'static str, Option<Uuid>), Fault> {
    let has_voters = !config.voters.is_empty();
    let initial = parsed.value(INITIAL_CONTROLLERS)?;
    if has_voters && (parsed.has(STANDALONE) || initial.is_some()) {
        return Err(Fault::thrown(
            "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, \
             please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.",
        ));
    }
    if let Some(initial) = initial {
        let voters = voters::parse(initial)?;
        return Ok(match voters.get(&config.node_id) {
            Some(directory_id) => ("dynamic metadata voter directory", Some(*directory_id)),
            None => ("dynamic metadata directory", None),
        });
    }
    if parsed.has(STANDALONE) {
        return match config.is_controller() {
            true => Ok(("dynamic metadata voter directory", None)),
            false => Err(Fault::thrown("You can only use --standalone on a controller.")),
        };
    }
    if config.is_controller() && !has_voters && !parsed.has(NO_INITIAL_CONTROLLERS) {
        return Err(Fault::thrown(
            "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or \
             --no-initial-controllers.",
        ));
    }
    Ok(("metadata directory", None))
}

#[cfg(test)]
mod tests {
    use super::super::java;
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
        assert!(code == 1 && err.contains("Failed to parse directory ID in dynamic voter string."), "{err}");
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

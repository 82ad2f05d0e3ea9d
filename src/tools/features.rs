//! `kafka-features`: which features the cluster has, and at which level.

pub(super) mod versions;

use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, UpdateFeaturesRequest};
use std::collections::BTreeMap;

use super::admin::text;
use super::connect::{self, ARGPARSE_COMMAND_CONFIG};
use super::options::{Command, Exclusive, Grammar, Kind, Opt, Parsed};
use super::{Fault, Terminal, Tool, block_on};
use crate::client::{Client, ServerError, To};
use versions::{FEATURES, METADATA_VERSION, level_name, metadata_level};

const SERVER: Opt = Opt::value(
    "bootstrap-server",
    "BOOTSTRAP_SERVER",
    Kind::Text,
    "Where to find the cluster: HOST:PORT of one broker or more, with commas.",
);
const CONTROLLER: Opt = Opt::value(
    "bootstrap-controller",
    "BOOTSTRAP_CONTROLLER",
    Kind::Text,
    "Where to find the cluster's controllers: HOST:PORT of one or more, with commas.",
);
const NODE_ID: Opt = Opt::value("node-id", "NODE_ID", Kind::Integer, "Ask this node; any one where it is left out.");
const METADATA: Opt =
    Opt::value("metadata", "METADATA", Kind::Text, "A level of metadata.version, as in 4.3-IV0; the former way.");
const RELEASE: Opt =
    Opt::value("release-version", "RELEASE_VERSION", Kind::Text, "The levels that go with a release, as in 4.3-IV0.");
const FEATURE: Opt =
    Opt::value("feature", "FEATURE", Kind::Text, "FEATURE=LEVEL, as in metadata.version=5; may be given many times.");
const DISABLED: Opt = Opt::value("feature", "FEATURE", Kind::Text, "The feature's name; may be given many times.");
const UNSAFE: Opt = Opt::flag("unsafe", "Also when metadata may be lost by it.");
const DRY_RUN: Opt = Opt::flag("dry-run", "Only check whether it can be done.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-features",
    about: "Shows and changes the levels of the cluster's features.",
    grammar: Grammar::Argparse {
        options: &[ARGPARSE_COMMAND_CONFIG],
        exclusive: &[Exclusive { required: false, options: &[SERVER, CONTROLLER] }],
        commands: &[
            Command { name: "describe", about: "Show the features.", options: &[NODE_ID], exclusive: &[] },
            Command {
                name: "upgrade",
                about: "Raise features' levels.",
                options: &[METADATA, RELEASE, FEATURE, DRY_RUN],
                exclusive: &[],
            },
            Command {
                name: "downgrade",
                about: "Lower features' levels.",
                options: &[METADATA, RELEASE, FEATURE, UNSAFE, DRY_RUN],
                exclusive: &[],
            },
            Command {
                name: "disable",
                about: "Lower features' levels to 0.",
                options: &[DISABLED, UNSAFE, DRY_RUN],
                exclusive: &[],
            },
            Command {
                name: "version-mapping",
                about: "Show which levels go with a release; with the newest where none is named.",
                options: &[RELEASE],
                exclusive: &[],
            },
            Command {
                name: "feature-dependencies",
                about: "Show what levels of features need of other features.",
                options: &[FEATURE.required()],
                exclusive: &[],
            },
        ],
    },
    run,
};

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let command = parsed.command.map_or("", |command| command.name);
    match command {
        "version-mapping" => return map_versions(parsed, RELEASE, terminal),
        "feature-dependencies" => return show_dependencies(parsed, terminal),
        _ => {}
    }
    let mut properties = connect::properties(parsed, ARGPARSE_COMMAND_CONFIG)?;
    if let Err(fault) = connect::set_bootstrap(&mut properties, parsed.value(SERVER)?, parsed.value(CONTROLLER)?) {
        return Err(Fault::Terse(format!("Command line error: {}. Type --help for help.", fault.message(""))));
    }
    properties.set_default("client.id", "adminclient-1");
    let client = connect::client(&properties, terminal)?;
    match command {
        "describe" => describe(parsed, &client, terminal),
        "disable" => {
            let updates = disabled(parsed)?;
            block_on(update("disable", &client, updates, kind_of_downgrade(parsed), parsed.has(DRY_RUN), terminal))
        }
        "upgrade" => {
            let updates = wanted(parsed, true, terminal)?;
            block_on(update("upgrade", &client, updates, UPGRADE, parsed.has(DRY_RUN), terminal))
        }
        _ => {
            let updates = wanted(parsed, false, terminal)?;
            block_on(update("downgrade", &client, updates, kind_of_downgrade(parsed), parsed.has(DRY_RUN), terminal))
        }
    }
}

/// UpdateFeatures' kinds of change.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

fn kind_of_downgrade(parsed: &Parsed) -> i8 {
    if parsed.has(UNSAFE) { UNSAFE_DOWNGRADE } else { SAFE_DOWNGRADE }
}

fn describe(parsed: &Parsed, client: &Client, terminal: &mut Terminal) -> Result<u8, Fault> {
    let to = match parsed.number::<i32>(NODE_ID)? {
        Some(id) if id < 0 => return Err(Fault::thrown(format!("Invalid node id {id}: must be non-negative."))),
        Some(id) => To::Broker(id),
        None => To::Any,
    };
    block_on(async {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text("ottla"))
            .with_client_software_version(text(env!("CARGO_PKG_VERSION")));
        let cause = |fault: Fault| Fault::thrown(fault.message_as_cause("describeFeatures"));
        let answer: ApiVersionsResponse = client.send(&to, &request).await.map_err(|error| cause(error.into()))?;
        ServerError::check(answer.error_code, None).map_err(|error| cause(error.into()))?;
        let mut supported: Vec<_> = answer.supported_features.iter().collect();
        supported.sort_unstable_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        let epoch = match answer.finalized_features_epoch {
            epoch if epoch >= 0 => epoch.to_string(),
            _ => "-".to_owned(),
        };
        for feature in supported {
            let name: &str = &feature.name;
            let finalized = answer.finalized_features.iter().find(|finalized| finalized.name == feature.name);
            let level = |level: i16| level_name(name, level);
            terminal.line(format_args!(
                "Feature: {name:<40}  SupportedMinVersion: {:<15}  SupportedMaxVersion: {:<15}  FinalizedVersionLevel: {:<15}  Epoch: {epoch}",
                level(feature.min_version),
                level(feature.max_version),
                level(finalized.map_or(0, |finalized| finalized.max_version_level)),
            ));
        }
        Ok(0)
    })
}

/// Levels by feature.
type Levels = BTreeMap<String, i16>;

/// `FEATURE=LEVEL`.
///
/// # Errors
/// Kafka's sentences.
pub(super) fn name_and_level(given: &str) -> Result<(String, i16), Fault> {
    let wrong = |why: String| Fault::thrown(format!("Can't parse feature=level string {given}: {why}"));
    let (name, level) = given.split_once('=').ok_or_else(|| wrong("equals sign not found.".into()))?;
    let level = level.trim();
    let number = level.parse().map_err(|_| wrong(format!("unable to parse {level} as a short.")))?;
    Ok((name.trim().to_owned(), number))
}

/// What `upgrade` and `downgrade` are asked for.
fn wanted(parsed: &Parsed, is_upgrade: bool, terminal: &mut Terminal) -> Result<Levels, Fault> {
    let mut levels = Levels::new();
    if let Some(release) = parsed.value(RELEASE)? {
        if parsed.has(METADATA) || parsed.has(FEATURE) {
            return Err(Fault::thrown("Can not specify `release-version` with other feature flags."));
        }
        let metadata = metadata_level(release)?;
        levels.insert(METADATA_VERSION.to_owned(), metadata);
        for feature in FEATURES {
            let level = feature.level_at(metadata);
            // A feature is not upgraded to 0.
            if !is_upgrade || level > 0 {
                levels.insert(feature.name.to_owned(), level);
            }
        }
        return Ok(levels);
    }
    if let Some(metadata) = parsed.value(METADATA)? {
        terminal.line(" `metadata` flag is deprecated and may be removed in a future release.");
        levels.insert(METADATA_VERSION.to_owned(), metadata_level(metadata)?);
    }
    for given in parsed.all(FEATURE) {
        let (name, level) = name_and_level(given)?;
        if levels.insert(name.clone(), level).is_some() {
            return Err(Fault::thrown(format!("Feature {name} was specified more than once.")));
        }
    }
    Ok(levels)
}

fn disabled(parsed: &Parsed) -> Result<Levels, Fault> {
    let mut levels = Levels::new();
    for name in parsed.all(DISABLED) {
        if levels.insert(name.to_owned(), 0).is_some() {
            return Err(Fault::thrown(format!("Feature {name} was specified more than once.")));
        }
    }
    Ok(levels)
}

async fn update(
    operation: &str,
    client: &Client,
    levels: Levels,
    kind: i8,
    is_dry: bool,
    terminal: &mut Terminal,
) -> Result<u8, Fault> {
    if levels.is_empty() {
        return Err(Fault::thrown(format!("You must specify at least one feature to {operation}")));
    }
    let updates = levels.iter().map(|(name, level)| {
        FeatureUpdateKey::default()
            .with_feature(text(name.as_str()))
            .with_max_version_level(*level)
            .with_upgrade_type(kind)
            .with_allow_downgrade(false)
    });
    let request = UpdateFeaturesRequest::default()
        .with_feature_updates(updates.collect())
        .with_validate_only(is_dry)
        .with_timeout_ms(60_000);
    let answer = client.send(&To::Controller, &request).await;
    let mut failed = 0;
    for (name, level) in &levels {
        let error = match &answer {
            Err(error) => Some(Fault::from(error.clone()).message("updateFeatures")),
            Ok(answer) => {
                let whole = ServerError::from_code(answer.error_code, answer.error_message.as_deref());
                let own = answer.results.iter().find(|result| &*result.feature == name.as_str());
                let own = own.and_then(|own| ServerError::from_code(own.error_code, own.error_message.as_deref()));
                whole.or(own).map(|error| error.message)
            }
        };
        let is_disable = operation == "disable";
        match error {
            Some(error) => {
                failed += 1;
                let helper = if is_dry { "Can not" } else { "Could not" };
                let to = if is_disable { String::new() } else { format!(" to {level}") };
                terminal.line(format_args!("{helper} {operation} {name}{to}. {error}"));
            }
            None => {
                let verb = if is_dry { "can be" } else { "was" };
                let done = if is_disable { "disabled.".to_owned() } else { format!("{operation}d to {level}.") };
                terminal.line(format_args!("{name} {verb} {done}"));
            }
        }
    }
    match failed {
        0 => Ok(0),
        failed => Err(Fault::thrown(format!("{failed} out of {} operation(s) failed.", levels.len()))),
    }
}

/// The levels that go with the release that `option` names.
pub(super) fn map_versions(parsed: &Parsed, option: Opt, terminal: &mut Terminal) -> Result<u8, Fault> {
    let release = parsed.value(option)?.unwrap_or(versions::LATEST);
    let level = metadata_level(release)?;
    terminal.line(format_args!("{METADATA_VERSION}={level} ({release})"));
    for feature in FEATURES {
        terminal.line(format_args!("{}={}", feature.name, feature.level_at(level)));
    }
    Ok(0)
}

fn show_dependencies(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    for given in parsed.all(FEATURE) {
        let (name, level) = name_and_level(given)?;
        show_dependencies_of(&name, level, || format!("No feature:{name} with feature level {level}"), terminal)?;
    }
    Ok(0)
}

/// What a feature's level needs of others; `no_such_level` is what the tool says where there is none.
pub(super) fn show_dependencies_of(
    name: &str,
    level: i16,
    no_such_level: impl FnOnce() -> String,
    terminal: &mut Terminal,
) -> Result<(), Fault> {
    if name == METADATA_VERSION {
        let release =
            versions::release(level).ok_or_else(|| Fault::thrown(format!("Unknown metadata.version {level}")))?;
        terminal.line(format_args!("{name}={level} ({release}) has no dependencies."));
        return Ok(());
    }
    let feature = FEATURES.iter().find(|feature| feature.name == name);
    let feature = feature.ok_or_else(|| Fault::thrown(format!("Unknown feature: {name}")))?;
    let found = feature.levels.iter().find(|known| known.level == level);
    match found.ok_or_else(|| Fault::thrown(no_such_level()))?.needs_metadata {
        None => terminal.line(format_args!("{name}={level} has no dependencies.")),
        Some(metadata) => {
            terminal.line(format_args!("{name}={level} requires:"));
            let release = versions::release(metadata).unwrap_or("UNKNOWN");
            terminal.line(format_args!("    {METADATA_VERSION}={metadata} ({release})"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::outcome;

    #[test]
    fn levels_go_with_releases() {
        let (code, out, _) = outcome(&TOOL, &["version-mapping", "--release-version", "4.0"]);
        assert_eq!(code, 0);
        assert!(out.starts_with("metadata.version=25 (4.0)\n") && out.contains("transaction.version=2\n"), "{out}");
        let (code, out, err) = outcome(&TOOL, &["version-mapping", "--release-version", "nope"]);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.starts_with("Unknown metadata.version 'nope'. Supported metadata.version are: 3.3-IV3, "), "{err}");
    }

    #[test]
    fn dependencies_are_told() {
        let asked = |feature: &str| outcome(&TOOL, &["feature-dependencies", "--feature", feature]);
        assert_eq!(asked("metadata.version=30").1, "metadata.version=30 (4.3-IV0) has no dependencies.\n");
        let elr = "eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\n";
        assert_eq!(asked("eligible.leader.replicas.version=1").1, elr);
        assert_eq!(asked("x=1").2, "Unknown feature: x\n");
        assert_eq!(asked("x").2, "Can't parse feature=level string x: equals sign not found.\n");
        assert_eq!(asked("group.version=9").2, "No feature:group.version with feature level 9\n");
    }
}

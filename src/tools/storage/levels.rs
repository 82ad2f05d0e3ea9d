//! The levels of features that a format may be asked for, with the rules and sentences of Kafka's tool (KIP-1022). Pure.

use std::collections::BTreeMap;

use crate::tools::features::{self, versions};
use crate::tools::{Fault, Terminal};
use versions::{FEATURES, METADATA_VERSION};

const KRAFT_VERSION: &str = "kraft.version";

/// `FEATURE=LEVEL` as it was given; of one feature the last.
///
/// # Errors
/// Kafka's sentences.
pub(super) fn asked(given: &[&str]) -> Result<BTreeMap<String, i16>, Fault> {
    given.iter().map(|given| features::name_and_level(given)).collect()
}

/// The level of metadata.version that a format is asked for, once everything that goes with it is found to fit.
///
/// # Errors
/// Kafka's sentences.
pub(super) fn check(release: Option<i16>, asked: &BTreeMap<String, i16>, dynamic_quorum: bool) -> Result<i16, Fault> {
    let metadata = match (asked.get(METADATA_VERSION), release) {
        (Some(_), Some(_)) => {
            return Err(Fault::thrown(
                "Use --release-version instead of --feature metadata.version=X to avoid ambiguity.",
            ));
        }
        (Some(level), None) => stable(*level)?,
        (None, Some(release)) => release,
        (None, None) => versions::LATEST_LEVEL,
    };
    let others = || asked.iter().filter(|(name, _)| *name != METADATA_VERSION);
    for (name, _) in others() {
        if !FEATURES.iter().any(|feature| feature.name == name) {
            let mut known: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
            known.sort_unstable();
            let known = known.join(", ");
            return Err(Fault::thrown(format!("Unsupported feature: {name}. Supported features are: {known}")));
        }
    }
    if let Some(level) = asked.get(KRAFT_VERSION) {
        check_kraft(*level, dynamic_quorum)?;
    }
    for (name, level) in others() {
        let found = FEATURES.iter().find(|feature| feature.name == name);
        let found = found.and_then(|feature| feature.levels.iter().find(|known| known.level == *level));
        let Some(found) = found else {
            return Err(Fault::thrown(format!("No feature:{name} with feature level {level}")));
        };
        if let Some(needed) = found.needs_metadata.filter(|needed| *needed > metadata) {
            return Err(Fault::thrown(format!(
                "{name} could not be set to {level} because it depends on {METADATA_VERSION} level {needed}"
            )));
        }
    }
    Ok(metadata)
}

/// A level of metadata.version that is there, and for production.
fn stable(level: i16) -> Result<i16, Fault> {
    let release = versions::release(level).ok_or_else(|| {
        let (lowest, highest) = versions::range();
        Fault::thrown(format!(
            "No MetadataVersion with feature level {level}. Valid feature levels are from {lowest} to {highest}."
        ))
    })?;
    match level <= versions::LATEST_LEVEL {
        true => Ok(level),
        false => Err(Fault::thrown(format!("{METADATA_VERSION} {release} is not yet stable."))),
    }
}

/// Level 0 is for voters that controller.quorum.voters names, all others for voters that may change (KIP-853).
fn check_kraft(level: i16, dynamic_quorum: bool) -> Result<(), Fault> {
    match (level, dynamic_quorum) {
        (0, true) => Err(Fault::thrown(
            "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or \
             --no-initial-controllers is used. For dynamic controllers support, try removing the --feature flag for kraft.version.",
        )),
        (1.., false) | (..0, false) => Err(Fault::thrown(format!(
            "Cannot set kraft.version to {level} unless controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or \
             --no-initial-controllers is used. For dynamic controllers support, try using one of --standalone, --initial-controllers, or \
             --no-initial-controllers and removing controller.quorum.voters."
        ))),
        _ => Ok(()),
    }
}

/// `feature-dependencies`: as in kafka-features, with this tool's own sentences for what is wrong.
pub(super) fn show_dependencies(given: &[&str], terminal: &mut Terminal) -> Result<u8, Fault> {
    for given in given {
        let Some((name, level)) = given.split_once('=') else {
            return Err(Fault::thrown(format!(
                "Invalid feature format: {given}. Expected format: 'feature=version' (e.g. 'group.version=1')"
            )));
        };
        let (name, level) = (name.trim(), level.trim());
        let level: i16 =
            level.parse().map_err(|_| Fault::thrown(format!("Invalid version format: {level} for feature {name}")))?;
        let no_such_level = || format!("Feature level {level} is not supported for feature {name}");
        features::show_dependencies_of(name, level, no_such_level, terminal)?;
    }
    Ok(0)
}

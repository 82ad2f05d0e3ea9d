//! What Kafka 4.3 knows of features: the levels of `metadata.version`, and the other features with the level that each of them has from which one on (KIP-584, KIP-1022).
//! Facts of Kafka's, not of Ottla's.

use crate::tools::Fault;

pub const METADATA_VERSION: &str = "metadata.version";

/// The newest level of `metadata.version` that Kafka 4.3 is run with.
pub const LATEST: &str = "4.3-IV0";

/// Its level. The one above is not for production.
pub const LATEST_LEVEL: i16 = 30;

/// Levels of `metadata.version`.
const RELEASES: &[(i16, &str)] = &[
    (7, "3.3-IV3"),
    (8, "3.4-IV0"),
    (9, "3.5-IV0"),
    (10, "3.5-IV1"),
    (11, "3.5-IV2"),
    (12, "3.6-IV0"),
    (13, "3.6-IV1"),
    (14, "3.6-IV2"),
    (15, "3.7-IV0"),
    (16, "3.7-IV1"),
    (17, "3.7-IV2"),
    (18, "3.7-IV3"),
    (19, "3.7-IV4"),
    (20, "3.8-IV0"),
    (21, "3.9-IV0"),
    (22, "4.0-IV0"),
    (23, "4.0-IV1"),
    (24, "4.0-IV2"),
    (25, "4.0-IV3"),
    (26, "4.1-IV0"),
    (27, "4.1-IV1"),
    (28, "4.2-IV0"),
    (29, "4.2-IV1"),
    (30, "4.3-IV0"),
    (31, "4.4-IV0"),
];

/// A feature's level.
pub struct Level {
    pub level: i16,
    /// The level of `metadata.version` from which on it is preset.
    preset_from: Option<i16>,
    /// The level of `metadata.version` that it cannot do without.
    pub needs_metadata: Option<i16>,
}

pub struct Feature {
    pub name: &'static str,
    /// From the lowest.
    pub levels: &'static [Level],
}

const fn level(level: i16, preset_from: Option<i16>, needs_metadata: Option<i16>) -> Level {
    Level { level, preset_from, needs_metadata }
}

/// Features beside `metadata.version`, in Kafka's order.
pub const FEATURES: &[Feature] = &[
    Feature { name: "kraft.version", levels: &[level(0, Some(0), None), level(1, Some(21), None)] },
    Feature {
        name: "transaction.version",
        levels: &[level(0, Some(0), None), level(1, None, None), level(2, Some(24), None)],
    },
    Feature { name: "group.version", levels: &[level(0, Some(0), None), level(1, Some(22), None)] },
    Feature {
        name: "eligible.leader.replicas.version",
        levels: &[level(0, Some(0), None), level(1, Some(26), Some(23))],
    },
    Feature { name: "share.version", levels: &[level(0, Some(0), None), level(1, Some(28), None)] },
    Feature { name: "streams.version", levels: &[level(0, Some(0), None), level(1, Some(29), None)] },
];

impl Feature {
    /// The level that is preset where `metadata.version` has this level.
    pub fn level_at(&self, metadata: i16) -> i16 {
        let preset = self.levels.iter().rev().find(|level| level.preset_from.is_some_and(|from| from <= metadata));
        preset.map_or(0, |level| level.level)
    }
}

/// The release of a level of `metadata.version`.
pub fn release(level: i16) -> Option<&'static str> {
    RELEASES.iter().find(|(known, _)| *known == level).map(|(_, release)| *release)
}

/// As Kafka's tool writes a level.
pub fn level_name(feature: &str, level: i16) -> String {
    match feature {
        METADATA_VERSION => release(level).map_or_else(|| format!("UNKNOWN {level}"), str::to_owned),
        _ => level.to_string(),
    }
}

/// The lowest and the highest level of `metadata.version`.
pub fn range() -> (i16, i16) {
    let level = |release: Option<&(i16, &str)>| release.map_or(0, |(level, _)| *level);
    (level(RELEASES.first()), level(RELEASES.last()))
}

/// The level of `metadata.version` of a release: `4.3-IV0`; or `4.3`, and so `4.3.1`, for the newest level of that release that is for production.
///
/// # Errors
/// Kafka's sentence.
pub fn metadata_level(release: &str) -> Result<i16, Fault> {
    level_up_to(i16::MAX, release)
}

/// As [`metadata_level`], of those that are for production.
///
/// # Errors
/// Kafka's sentence.
pub fn production_level(release: &str) -> Result<i16, Fault> {
    level_up_to(LATEST_LEVEL, release)
}

fn level_up_to(highest: i16, release: &str) -> Result<i16, Fault> {
    let short = release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let is_it = |level: i16, known: &str| {
        known == short || (level <= LATEST_LEVEL && known.split_once("-IV").is_some_and(|(known, _)| known == short))
    };
    let known = || RELEASES.iter().filter(|(level, _)| *level <= highest);
    let found = known().rev().find(|(level, known)| is_it(*level, known));
    found.map(|(level, _)| *level).ok_or_else(|| {
        let all = known().map(|(_, release)| *release).collect::<Vec<_>>().join(", ");
        Fault::thrown(format!("Unknown metadata.version '{release}'. Supported metadata.version are: {all}"))
    })
}

//! Raising and lowering feature levels (KIP-584, KIP-1022, Kafka's `FeatureControlManager`).

use kafka_protocol::error::ResponseError;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ApiError, Decision};
use crate::cluster::image::MetadataImage;
use crate::cluster::record::Record;
use crate::types::BrokerId;

/// The feature that names the metadata's own format.
pub const METADATA_VERSION: &str = "metadata.version";

/// The feature of the quorum's own protocol. It lives outside the metadata and cannot be changed here.
pub const KRAFT_VERSION: &str = "kraft.version";

/// Kafka's `FeatureUpdate.UpgradeType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeType {
    Unknown,
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl UpgradeType {
    pub fn from_code(code: i8) -> Self {
        match code {
            1 => Self::Upgrade,
            2 => Self::SafeDowngrade,
            3 => Self::UnsafeDowngrade,
            _ => Self::Unknown,
        }
    }
}

/// One feature's new level.
#[derive(Clone, Debug)]
pub struct FeatureUpdate {
    pub name: Arc<str>,
    pub level: i16,
    pub upgrade_type: UpgradeType,
}

/// The features that this build has, with their lowest and highest level: those of Kafka 4.3 whose APIs are in the table of APIs.
pub const SUPPORTED: &[(&str, i16, i16)] = &[(METADATA_VERSION, 7, 30)];

/// Lowest and highest level of each feature that a broker supports.
pub type SupportedFeatures = BTreeMap<Arc<str>, (i16, i16)>;

/// [`SUPPORTED`] as a broker registers it.
pub fn supported() -> SupportedFeatures {
    SUPPORTED.iter().map(|(name, lowest, highest)| ((*name).into(), (*lowest, *highest))).collect()
}

/// Takes all updates or none. `supported` is what the quorum's leader, `node_id`, supports.
pub fn update(
    image: &MetadataImage,
    node_id: BrokerId,
    supported: &SupportedFeatures,
    updates: &[FeatureUpdate],
    validate_only: bool,
) -> Decision<Result<(), ApiError>> {
    let mut records = Vec::new();
    for update in updates {
        match update_one(image, node_id, supported, update) {
            Ok(record) => records.extend(record),
            Err(error) => return Decision::unchanged(Err(error)),
        }
    }
    if validate_only {
        records.clear();
    }
    Decision { records, reply: Ok(()) }
}

fn invalid(update: &FeatureUpdate, why: &str) -> ApiError {
    ApiError::new(
        ResponseError::InvalidUpdateVersion,
        format!("Invalid update version {} for feature {}. {why}", update.level, update.name),
    )
}

fn update_one(
    image: &MetadataImage,
    node_id: BrokerId,
    supported: &SupportedFeatures,
    update: &FeatureUpdate,
) -> Result<Option<Record>, ApiError> {
    if update.upgrade_type == UpgradeType::Unknown {
        return Err(invalid(update, "The controller does not support the given upgrade type."));
    }
    let current = image.feature_level(&update.name).unwrap_or(0);
    if update.level < 0 {
        return Err(invalid(update, "A feature version cannot be less than 0."));
    }
    if let Some(reason) = reason_not_supported(image, node_id, supported, update) {
        return Err(invalid(update, &reason));
    }
    if update.level < current && update.upgrade_type == UpgradeType::Upgrade {
        return Err(invalid(
            update,
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        ));
    }
    if update.level > current && update.upgrade_type != UpgradeType::Upgrade {
        return Err(invalid(update, "Can't downgrade to a newer version."));
    }
    if !supported.contains_key(&update.name) {
        return Err(invalid(update, &format!("Feature {} not found.", update.name)));
    }
    if &*update.name == KRAFT_VERSION && update.level != current {
        return Err(invalid(update, "Can't downgrade the version of this feature."));
    }
    if &*update.name == METADATA_VERSION && update.level < current {
        return Err(ApiError::new(
            ResponseError::InvalidUpdateVersion,
            format!(
                "Unsupported metadata.version downgrade from {current} to {}. Refusing to perform the requested downgrade because it might delete metadata information.",
                update.level
            ),
        ));
    }
    if update.level == current {
        return Ok(None);
    }
    Ok(Some(Record::FeatureLevelChanged { name: update.name.clone(), level: update.level }))
}

/// Why some node of the cluster cannot go to the level, as Kafka's `QuorumFeatures` says it.
fn reason_not_supported(
    image: &MetadataImage,
    node_id: BrokerId,
    supported: &SupportedFeatures,
    update: &FeatureUpdate,
) -> Option<String> {
    let range = |features: &SupportedFeatures| features.get(&update.name).copied().unwrap_or((0, 0));
    let local = reason_for(update.level, &format!("Local controller {node_id}"), range(supported));
    local.or_else(|| {
        image
            .brokers()
            .find_map(|broker| reason_for(update.level, &format!("Broker {}", broker.id), range(&broker.features)))
    })
}

fn reason_for(level: i16, what: &str, (lowest, highest): (i16, i16)) -> Option<String> {
    if (lowest..=highest).contains(&level) {
        return None;
    }
    Some(match (lowest, highest) {
        (_, 0) => format!("{what} does not support this feature."),
        (lowest, highest) if lowest == highest => format!("{what} only supports versions {lowest}"),
        (lowest, highest) => format!("{what} only supports versions {lowest}-{highest}"),
    })
}

//! UpdateFeatures v0-2 (KIP-584, KIP-1022).

use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::create_topics::{deadline, within};
use crate::cluster::decide::features::{self, FeatureUpdate, UpgradeType};

/// Up to this version each feature has its own result, which after KIP-1022 says nothing but success.
const RESULTS_VERSION: i16 = 1;

/// What Kafka's `Errors.NONE` calls itself.
const NO_ERROR: StrBytes = StrBytes::from_static_str("NONE");

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let mut updates: Vec<FeatureUpdate> = Vec::with_capacity(request.feature_updates.len());
    for asked in &request.feature_updates {
        let update = FeatureUpdate {
            name: asked.feature.as_str().into(),
            level: asked.max_version_level,
            upgrade_type: UpgradeType::from_code(asked.upgrade_type),
        };
        match updates.iter_mut().find(|known| known.name == update.name) {
            Some(known) => *known = update,
            None => updates.push(update),
        }
    }
    let (node_id, validate_only) = (broker.id, request.validate_only);
    let proposal = broker
        .cluster
        .propose(move |image| features::update(image, node_id, &features::supported(), &updates, validate_only));
    match within(deadline(request.timeout_ms), proposal).await {
        Err(error) => UpdateFeaturesResponse::default()
            .with_error_code(error.error.code())
            .with_error_message(error.message.map(StrBytes::from_string)),
        Ok(Err(error)) => {
            let message = format!(
                "The update failed for all features since the following feature had an error: {}",
                error.message.unwrap_or_default()
            );
            UpdateFeaturesResponse::default()
                .with_error_code(error.error.code())
                .with_error_message(Some(StrBytes::from_string(message)))
        }
        Ok(Ok(())) => {
            let done = |asked: kafka_protocol::messages::update_features_request::FeatureUpdateKey| {
                UpdatableFeatureResult::default().with_feature(asked.feature).with_error_message(Some(NO_ERROR))
            };
            let results = if context.api_version <= RESULTS_VERSION {
                request.feature_updates.into_iter().map(done).collect()
            } else {
                Vec::new()
            };
            UpdateFeaturesResponse::default().with_error_message(None).with_results(results)
        }
    }
}

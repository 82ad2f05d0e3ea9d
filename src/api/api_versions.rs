//! ApiVersions v0-4 (KIP-35, KIP-511, KIP-584): which APIs and versions there are, from the table, and the cluster's features.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use std::time::Duration;

use super::Broker;
use super::context::{ClientSoftware, CloseReason, Outcome, Reply, RequestContext};
use super::error_tally::TellsErrors;
use super::table;
use crate::cluster::decide::features;
use crate::protocol::codec;

pub const API_KEY: i16 = ApiKey::ApiVersions as i16;

/// From this version on a client names its software (KIP-511).
const CLIENT_SOFTWARE_VERSION: i16 = 3;
/// Below this version clients fail on a feature whose lowest level is 0 (KAFKA-17492).
const LEVEL_ZERO_VERSION: i16 = 4;
/// The client whose first answer on a connection is held back, and for how long.
///
/// kafka-python 3.0 forgets a subscription for five minutes when `subscribe()` comes while its first Metadata request is under way, which it sends from a
/// thread of its own right after this answer. When this answer comes within some 100 µs, that thread never lets go of Python's interpreter lock, and the
/// program's own thread gets to `subscribe()` just then: one consumer in 30 that was made with an `api_version`, read nothing. A broker that takes as long as
/// Apache Kafka does over this answer lets the program's thread go first.
const HELD_BACK_CLIENT: &str = "kafka-python";
const HELD_BACK_FOR: Duration = Duration::from_millis(1);

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    if context.api_version >= CLIENT_SOFTWARE_VERSION {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        if !is_software_word(name) || !is_software_word(version) {
            return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
        }
        let software = ClientSoftware { name: Arc::from(name.as_str()), version: Arc::from(version.as_str()) };
        tracing::debug!(client = %context.connection.client_address, name = %software.name, version = %software.version, "client software");
        if software.name.as_ref() == HELD_BACK_CLIENT {
            tokio::time::sleep(HELD_BACK_FOR).await;
        }
        context.connection.set_software(software, &broker.client_software);
    }
    let image = broker.cluster.image();
    let supported = features::SUPPORTED.iter().map(|(name, lowest, highest)| {
        let least = if context.api_version < LEVEL_ZERO_VERSION { (*lowest).max(1) } else { *lowest };
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version(least)
            .with_max_version(*highest)
    });
    let finalized = image.features().filter(|(_, level)| *level > 0).map(|(name, level)| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_string(name.to_string()))
            .with_min_version_level(level)
            .with_max_version_level(level)
    });
    ApiVersionsResponse::default()
        .with_api_keys(table::served(context.scope).map(api_version).collect())
        .with_supported_features(supported.collect())
        .with_finalized_features(finalized.collect())
        .with_finalized_features_epoch(image.offset())
}

/// Produce is told from version 0, as Kafka 4 does (KAFKA-18659), although lower ones than the row's are refused: librdkafka takes the lowest version told for
/// what it may compress with, and would send everything uncompressed.
fn told_min_version(row: &table::ApiRow) -> i16 {
    if row.key == ApiKey::Produce { 0 } else { row.min_version }
}

fn api_version(row: &table::ApiRow) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(row.key as i16)
        .with_min_version(told_min_version(row))
        .with_max_version(row.max_version)
}

/// A version that is not known is answered in v0, so that any client can read which ones are (KIP-511).
pub fn unsupported_version(context: &RequestContext) -> Outcome {
    let own = table::find(API_KEY, context.scope).into_iter().map(api_version).collect();
    let response =
        ApiVersionsResponse::default().with_error_code(ResponseError::UnsupportedVersion.code()).with_api_keys(own);
    codec::encode_reply(API_KEY, 0, context.correlation_id, &response)
        .map(|bytes| Some(Reply::new(vec![bytes.into()], response.errors())))
        .map_err(|error| CloseReason::Internal(error.to_string()))
}

/// Kafka's pattern for names and versions of client software: letters and digits, with dots and dashes inside.
fn is_software_word(word: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(word.chars().next())
        && edge(word.chars().next_back())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::is_software_word;

    #[test]
    fn software_words_follow_kafkas_pattern() {
        for good in ["a", "apache-kafka-java", "4.3.0", "v1-rc.2"] {
            assert!(is_software_word(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä", "a_b"] {
            assert!(!is_software_word(bad), "{bad}");
        }
    }
}

//! A producer's properties, with the presets and rules of Kafka's Java producer.

use std::time::Duration;

use super::super::{ClientError, ClientProperties};
use super::batches::BatchRules;
use crate::protocol::compression::Compression;

/// What a producer goes by, checked.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// 0, 1, or -1 for all replicas in sync.
    pub acks: i16,
    pub rules: BatchRules,
    /// `buffer.memory`
    pub buffer_bytes: usize,
    /// `max.block.ms`
    pub max_block: Duration,
    pub request_timeout: Duration,
    pub delivery_timeout: Duration,
    pub retries: u32,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub max_in_flight: usize,
    pub max_request_bytes: usize,
    pub idempotent: bool,
    pub metadata_max_age: Duration,
}

fn wrong(key: &str, value: &str, why: &str) -> ClientError {
    ClientError::Config(format!("Invalid value {value} for configuration {key}: {why}"))
}

impl ProducerConfig {
    /// # Errors
    /// [`ClientError::Config`] with Kafka's sentence for what is wrong, and for what this producer cannot do: transactions.
    pub fn new(properties: &ClientProperties) -> Result<Self, ClientError> {
        if let Some(id) = properties.get("transactional.id").filter(|id| !id.is_empty()) {
            return Err(ClientError::Config(format!(
                "transactional.id={id}: this producer has no transactions yet. Leave it out, or use the tools of a Kafka distribution"
            )));
        }
        let acks = acks(properties.get("acks"))?;
        let size = |key: &str, preset: i64, least: i64| {
            properties.number(key, preset, least).map(|value| usize::try_from(value).unwrap_or(usize::MAX))
        };
        let linger = properties.duration_ms("linger.ms", 5)?;
        let request_timeout = properties.duration_ms("request.timeout.ms", 30_000)?;
        let max_request_bytes = size("max.request.size", 1_048_576, 0)?;
        let (compression, level) = compression(properties)?;
        let retries = u32::try_from(properties.number("retries", i64::from(i32::MAX), 0)?).unwrap_or(u32::MAX);
        let max_in_flight = size("max.in.flight.requests.per.connection", 5, 1)?;
        let rules = BatchRules {
            batch_bytes: size("batch.size", 16_384, 0)?,
            max_batch_bytes: max_request_bytes,
            linger,
            compression,
            level,
        };
        Ok(Self {
            acks,
            rules,
            buffer_bytes: size("buffer.memory", 32 * 1024 * 1024, 0)?,
            max_block: properties.duration_ms("max.block.ms", 60_000)?,
            request_timeout,
            delivery_timeout: delivery_timeout(properties, linger, request_timeout)?,
            retries,
            retry_backoff: properties.duration_ms("retry.backoff.ms", 100)?,
            retry_backoff_max: properties.duration_ms("retry.backoff.max.ms", 1_000)?,
            max_in_flight,
            max_request_bytes,
            idempotent: idempotence(properties, acks, retries, max_in_flight)?,
            metadata_max_age: properties.duration_ms("metadata.max.age.ms", 300_000)?,
        })
    }
}

fn acks(value: Option<&str>) -> Result<i16, ClientError> {
    match value.unwrap_or("all").trim() {
        "all" | "-1" => Ok(-1),
        "0" => Ok(0),
        "1" => Ok(1),
        other => Err(wrong("acks", other, "String must be one of: all, -1, 0, 1")),
    }
}

fn compression(properties: &ClientProperties) -> Result<(Compression, Option<i32>), ClientError> {
    let name = properties.get("compression.type").unwrap_or("none");
    let Some(compression) = Compression::ALL.into_iter().find(|codec| codec.name() == name) else {
        return Err(wrong("compression.type", name, "String must be one of: none, gzip, snappy, lz4, zstd"));
    };
    let level = match properties.get(&format!("compression.{name}.level")) {
        Some(text) => {
            let level = text
                .trim()
                .parse()
                .map_err(|_| wrong(&format!("compression.{name}.level"), text, "Not a number of type INT"))?;
            Some(level)
        }
        None => None,
    };
    Ok((compression, level))
}

fn delivery_timeout(
    properties: &ClientProperties,
    linger: Duration,
    request_timeout: Duration,
) -> Result<Duration, ClientError> {
    let least = linger + request_timeout;
    let given = properties.duration_ms("delivery.timeout.ms", 120_000)?;
    match given >= least {
        true => Ok(given),
        // As in Kafka, a preset that does not fit is made to fit.
        false if !properties.contains("delivery.timeout.ms") => Ok(least),
        false => Err(ClientError::Config(
            "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms".into(),
        )),
    }
}

/// On unless something given rules it out; wrong when it is asked for and ruled out (KIP-679).
fn idempotence(
    properties: &ClientProperties,
    acks: i16,
    retries: u32,
    max_in_flight: usize,
) -> Result<bool, ClientError> {
    let asked = properties.boolean("enable.idempotence", true)?;
    let explicit = properties.contains("enable.idempotence") && asked;
    let obstacle = if retries == 0 {
        Some("Must set retries to non-zero when using the idempotent producer.")
    } else if acks != -1 {
        Some("Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.")
    } else if max_in_flight > 5 {
        Some("Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.")
    } else {
        None
    };
    match obstacle {
        // Kafka lets too many in flight stand against the preset, too.
        Some(why) if explicit || (asked && acks == -1 && retries > 0) => Err(ClientError::Config(why.into())),
        Some(_) => Ok(false),
        None => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<ProducerConfig, ClientError> {
        let mut properties = ClientProperties::default();
        pairs.iter().for_each(|(key, value)| properties.set(key, *value));
        ProducerConfig::new(&properties)
    }

    #[test]
    fn presets_are_kafkas() {
        let preset = config(&[]).unwrap();
        assert_eq!((preset.acks, preset.idempotent, preset.max_in_flight), (-1, true, 5));
        assert_eq!((preset.rules.batch_bytes, preset.rules.linger.as_millis()), (16_384, 5));
        assert_eq!(preset.delivery_timeout.as_secs(), 120);
    }

    #[test]
    fn idempotence_goes_with_what_it_needs() {
        assert!(!config(&[("acks", "1")]).unwrap().idempotent);
        assert!(!config(&[("retries", "0")]).unwrap().idempotent);
        assert!(!config(&[("enable.idempotence", "false"), ("acks", "all")]).unwrap().idempotent);
        let error = |pairs: &[(&str, &str)]| config(pairs).unwrap_err().to_string();
        assert!(error(&[("acks", "1"), ("enable.idempotence", "true")]).starts_with("Must set acks to all"));
        assert!(error(&[("max.in.flight.requests.per.connection", "6")]).starts_with("Must set max.in.flight"));
    }

    #[test]
    fn wrong_values_are_told_as_kafka_tells_them() {
        let error = |key, value| config(&[(key, value)]).unwrap_err().to_string();
        assert_eq!(error("acks", "2"), "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1");
        assert!(error("compression.type", "zip").contains("none, gzip, snappy, lz4, zstd"));
        assert!(error("delivery.timeout.ms", "1").starts_with("delivery.timeout.ms should be equal"));
        assert!(error("transactional.id", "t").contains("no transactions yet"));
        assert_eq!(
            config(&[("compression.zstd.level", "9"), ("compression.type", "zstd")]).unwrap().rules.level,
            Some(9)
        );
    }
}

//! Turns requests into metadata records or errors, as Kafka's controller decides them: same codes, same order of checks.
//!
//! A decision reads one image and what is handed to it; it writes nothing, and takes neither clock nor configuration from anywhere else. What it gets by
//! chance (topic ids, placement) comes from [`Randomness`] and goes into the records.

pub mod brokers;
pub mod configs;
pub mod elections;
pub mod features;
pub mod partitions;
pub mod producer_ids;
pub mod reassignments;
#[cfg(test)]
mod tests;
pub mod topics;

use kafka_protocol::error::ResponseError;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use uuid::Uuid;

use super::image::{Configs, MetadataImage};
use super::record::{ConfigResource, Record, ResourceKind};

/// Records to write (none is fine) and the answer for when they are applied.
#[derive(Debug)]
pub struct Decision<T> {
    pub records: Vec<Record>,
    pub reply: T,
}

impl<T> Decision<T> {
    /// An answer that changes nothing.
    pub fn unchanged(reply: T) -> Self {
        Self { records: Vec::new(), reply }
    }
}

/// Kafka's error for one item of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub error: ResponseError,
    pub message: Option<String>,
}

impl ApiError {
    pub fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: Some(message.into()) }
    }

    /// Without a message, where Kafka sends none.
    pub fn bare(error: ResponseError) -> Self {
        Self { error, message: None }
    }
}

/// Where decisions get what is left to chance. A simulation hands in a seeded one.
pub trait Randomness: Send {
    fn next_u64(&mut self) -> u64;

    /// Evenly from `0..bound`; 0 when `bound` is 0.
    fn below(&mut self, bound: usize) -> usize {
        // The remainder's bias is without meaning for bounds as small as numbers of brokers.
        usize::try_from(self.next_u64() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// A random topic id that Kafka's tools can print: not one of the reserved ids, and its base64 form does not begin with a dash.
    fn topic_id(&mut self) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&self.next_u64().to_be_bytes());
            bytes[8..].copy_from_slice(&self.next_u64().to_be_bytes());
            let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
            // 62 is '-' in the URL-safe alphabet; the first character holds the first six bits.
            let begins_with_dash = id.as_bytes()[0] >> 2 == 62;
            if id.as_u128() > u128::from(u8::MAX) && !begins_with_dash {
                return id;
            }
        }
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn next_u64(&mut self) -> u64 {
        let id = Uuid::new_v4();
        let (high, low) = id.as_u64_pair();
        // Six of the 128 bits are fixed; hashing both halves with a random key leaves 64 good ones.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(high);
        hasher.write_u64(low);
        hasher.finish()
    }
}

/// The same sequence for the same seed (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub struct SeededRandomness(u64);

impl SeededRandomness {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Randomness for SeededRandomness {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// A configuration as it takes effect, for CreateTopics' echo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveConfig {
    pub name: String,
    /// `None` when it is sensitive or has no value.
    pub value: Option<String>,
    pub read_only: bool,
    /// Kafka's `ConfigSource` code.
    pub source: i8,
    pub sensitive: bool,
}

/// What decisions ask about configurations: names, types, bounds and defaults are in `config`'s tables, this room only stores values.
pub trait ConfigRules: Send + Sync + 'static {
    /// Whether `configs` may be all dynamic configurations of `resource`, which has `existing` now. Names of resources are checked before.
    ///
    /// # Errors
    /// Kafka's error with its message; mostly `InvalidConfig`.
    fn validate(&self, resource: &ConfigResource, configs: &Configs, existing: &Configs) -> Result<(), ApiError>;

    /// Whether values of the key are lists that can be appended to.
    fn is_list(&self, kind: ResourceKind, key: &str) -> bool;

    /// The key's default value.
    fn default_value(&self, kind: ResourceKind, key: &str) -> Option<String>;

    /// Every topic configuration as it would take effect for a topic with `overrides`, in the order of the names.
    fn effective_topic_configs(&self, image: &MetadataImage, overrides: &Configs) -> Vec<EffectiveConfig>;
}

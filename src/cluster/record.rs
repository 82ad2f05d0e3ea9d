//! The metadata commands: what the quorum's log says about topics, brokers, configurations, features and producer ids.
//!
//! A record carries everything that applying it needs. Wall-clock and random values (topic ids) are put in by the proposer, so every node comes to the same
//! image. A record or version that this build does not know is an error and never skipped: skipping would let nodes differ.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

use crate::types::{BrokerId, LeaderEpoch};

/// The version of [`Command`]'s contents that this build writes. It rises when a record changes meaning or a kind is added.
pub const COMMAND_VERSION: u8 = 1;

/// Says that a partition has no leader.
pub const NO_LEADER: BrokerId = -1;

/// Replica lists are short; three of them need no allocation.
pub type Replicas = SmallVec<[BrokerId; 3]>;

/// State of one partition (Kafka's `PartitionRegistration`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionState {
    /// Never empty; the first is the preferred leader.
    pub replicas: Replicas,
    /// In-sync replicas, a subset of `replicas`.
    pub isr: Replicas,
    /// [`NO_LEADER`] or one of `isr` (or of `replicas`, after an unclean election).
    pub leader: BrokerId,
    /// Rises at each election.
    pub leader_epoch: LeaderEpoch,
    /// Rises at each change of the partition, elections included.
    pub partition_epoch: i32,
    /// Whether the leader came from outside the ISR and has not said yet that it recovered (KIP-704).
    #[serde(default, skip_serializing_if = "is_false")]
    pub recovering: bool,
    /// Fields that few partitions have at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rare: Option<Box<RarePartitionState>>,
}

/// Reassignment (KIP-455) and eligible leader replicas (KIP-966).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RarePartitionState {
    pub adding_replicas: Replicas,
    pub removing_replicas: Replicas,
    pub eligible_leader_replicas: Replicas,
    pub last_known_elr: Replicas,
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl PartitionState {
    /// A new partition: leader is the first of `isr`, epochs are 0. `None` when `isr` is empty.
    pub fn new(replicas: Replicas, isr: Replicas) -> Option<Self> {
        let leader = *isr.first()?;
        Some(Self { replicas, isr, leader, leader_epoch: 0, partition_epoch: 0, recovering: false, rare: None })
    }

    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    pub fn has_preferred_leader(&self) -> bool {
        self.replicas.first() == Some(&self.leader)
    }
}

/// What a dynamic configuration belongs to. The names are Kafka's `ConfigResource.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ResourceKind {
    Topic,
    /// An empty name means all brokers.
    Broker,
    ClientMetrics,
    Group,
}

impl ResourceKind {
    /// Kafka's code on the wire.
    pub fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }

    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            2 => Some(Self::Topic),
            4 => Some(Self::Broker),
            16 => Some(Self::ClientMetrics),
            32 => Some(Self::Group),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigResource {
    pub kind: ResourceKind,
    pub name: Arc<str>,
}

impl ConfigResource {
    pub fn new(kind: ResourceKind, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: name.into() }
    }

    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self::new(ResourceKind::Topic, name)
    }

    /// The defaults of all brokers.
    pub fn all_brokers() -> Self {
        Self::new(ResourceKind::Broker, "")
    }

    pub fn broker(id: BrokerId) -> Self {
        Self::new(ResourceKind::Broker, id.to_string())
    }
}

/// Where one listener of a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub name: Arc<str>,
    pub host: Arc<str>,
    pub port: u16,
    /// Kafka's code: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// A broker as it registered itself (KIP-631).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerState {
    pub id: BrokerId,
    /// The metadata offset of its registration; a later registration fences the earlier one.
    pub epoch: i64,
    /// New at each start of the process.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<Arc<str>>,
    /// Feature name to the lowest and highest level that the broker supports.
    pub features: BTreeMap<Arc<str>, (i16, i16)>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    /// Ids of the log directories (KIP-858), if told.
    #[serde(default)]
    pub log_dirs: Vec<Uuid>,
}

impl BrokerState {
    /// Whether it may lead and be in sync (Kafka's `isActive`).
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

/// One change of the cluster's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Record {
    /// The first record of every log.
    ClusterCreated {
        cluster_id: Arc<str>,
    },
    /// Partition 0 comes first; at least one.
    TopicCreated {
        id: Uuid,
        name: Arc<str>,
        partitions: Vec<PartitionState>,
    },
    /// New partitions `first`, `first + 1`, ...: `first` is the number that the topic has before.
    PartitionsAdded {
        topic_id: Uuid,
        first: i32,
        partitions: Vec<PartitionState>,
    },
    /// The partition's new state, whole.
    PartitionChanged {
        topic_id: Uuid,
        partition: i32,
        state: PartitionState,
    },
    /// Removes its configuration, too.
    TopicDeleted {
        id: Uuid,
    },
    /// `None` removes the key.
    ConfigChanged {
        resource: ConfigResource,
        key: Arc<str>,
        value: Option<Arc<str>>,
    },
    /// Replaces what the broker had registered before.
    BrokerRegistered(BrokerState),
    /// Fields that are `None` stay.
    BrokerChanged {
        id: BrokerId,
        epoch: i64,
        fenced: Option<bool>,
        in_controlled_shutdown: Option<bool>,
    },
    BrokerUnregistered {
        id: BrokerId,
        epoch: i64,
    },
    /// A new incarnation of the broker leads what it led before: each of its partitions starts a new leader epoch. One record, because a broker may lead
    /// a hundred thousand.
    LeaderRestarted {
        id: BrokerId,
    },
    /// A block of producer ids went to a broker; the next block starts at `next_producer_id` (KIP-730).
    ProducerIdsAllocated {
        broker_id: BrokerId,
        broker_epoch: i64,
        next_producer_id: i64,
    },
    /// Level 0 removes the feature.
    FeatureLevelChanged {
        name: Arc<str>,
        level: i16,
    },
}

/// What one entry of the quorum's log holds: records that take effect together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredCommand", into = "StoredCommand")]
pub struct Command {
    /// The metadata offset that the decision was taken on. An image at another offset refuses the command, so a decision from before a change of the
    /// quorum's leader cannot slip in behind records that it never saw.
    pub base_offset: i64,
    pub records: Arc<Vec<Record>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCommand {
    version: u8,
    base_offset: i64,
    records: Arc<Vec<Record>>,
}

#[derive(Debug, thiserror::Error)]
#[error("metadata command of version {0}, but this build knows versions up to {COMMAND_VERSION}: start a newer build")]
pub struct UnknownCommandVersion(u8);

impl TryFrom<StoredCommand> for Command {
    type Error = UnknownCommandVersion;

    fn try_from(stored: StoredCommand) -> Result<Self, Self::Error> {
        if stored.version == 0 || stored.version > COMMAND_VERSION {
            return Err(UnknownCommandVersion(stored.version));
        }
        Ok(Self { base_offset: stored.base_offset, records: stored.records })
    }
}

impl From<Command> for StoredCommand {
    fn from(command: Command) -> Self {
        Self { version: COMMAND_VERSION, base_offset: command.base_offset, records: command.records }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_back_as_written() {
        let command = Command {
            base_offset: 7,
            records: Arc::new(vec![Record::TopicCreated {
                id: Uuid::from_u128(5),
                name: "t".into(),
                partitions: vec![
                    PartitionState::new([1, 2, 3, 4].into_iter().collect(), [2].into_iter().collect()).unwrap(),
                ],
            }]),
        };
        let bytes = serde_json::to_vec(&command).unwrap();
        assert_eq!(serde_json::from_slice::<Command>(&bytes).unwrap(), command);
    }

    #[test]
    fn unknown_versions_kinds_and_fields_are_errors() {
        for text in [
            r#"{"version":2,"base_offset":0,"records":[]}"#,
            r#"{"version":0,"base_offset":0,"records":[]}"#,
            r#"{"version":1,"base_offset":0,"records":[{"TopicRenamed":{"id":"x"}}]}"#,
            r#"{"version":1,"base_offset":0,"records":[{"TopicDeleted":{"id":"00000000-0000-0000-0000-000000000005","why":1}}]}"#,
        ] {
            assert!(serde_json::from_str::<Command>(text).is_err(), "{text}");
        }
        let known = r#"{"version":1,"base_offset":0,"records":[{"TopicDeleted":{"id":"00000000-0000-0000-0000-000000000005"}}]}"#;
        assert!(serde_json::from_str::<Command>(known).is_ok());
    }
}

//! What the APIs for configurations share: the types of resources on the wire, and what a broker checks before a change goes to the quorum
//! (Kafka's `ConfigAdminManager`).

use kafka_protocol::ResponseError;
use std::collections::{BTreeMap, HashSet};

use super::Broker;
use crate::cluster::{ApiError, ClusterError, ConfigResource, ResourceKind};
use crate::config::dynamic;

/// Kafka's `ConfigResource.Type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl Kind {
    /// In the order in which Kafka lists them.
    pub const ALL: [Kind; 5] = [Kind::Group, Kind::ClientMetrics, Kind::BrokerLogger, Kind::Broker, Kind::Topic];

    /// `None` for a type that does not exist.
    pub fn of(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    pub fn code(self) -> i8 {
        match self {
            Kind::Topic => 2,
            Kind::Broker => 4,
            Kind::BrokerLogger => 8,
            Kind::ClientMetrics => 16,
            Kind::Group => 32,
        }
    }

    /// What the quorum keeps configurations for: not for loggers.
    pub fn stored(self) -> Option<ResourceKind> {
        ResourceKind::from_code(self.code())
    }
}

/// One resource of an alteration, of either API.
pub struct Alteration<'a> {
    pub kind: Option<Kind>,
    pub type_code: i8,
    pub name: &'a str,
    pub keys: Vec<&'a str>,
    /// Keys that are given no value where one is needed.
    pub without_value: Vec<&'a str>,
}

/// The index of each resource that appears more than once: none of them is changed.
pub fn repeated(alterations: &[Alteration<'_>]) -> HashSet<usize> {
    let mut first: BTreeMap<(i8, &str), usize> = BTreeMap::new();
    let mut repeated = HashSet::new();
    for (index, one) in alterations.iter().enumerate() {
        if let Some(earlier) = first.insert((one.type_code, one.name), index) {
            repeated.extend([earlier, index]);
        }
    }
    repeated
}

impl Alteration<'_> {
    /// What any resource must satisfy, in Kafka's order.
    pub fn check_keys(&self) -> Result<(), ApiError> {
        let distinct: HashSet<&&str> = self.keys.iter().collect();
        if distinct.len() != self.keys.len() {
            return Err(invalid_request("Error due to duplicate config keys"));
        }
        if !self.without_value.is_empty() {
            return Err(invalid_request(format!("Null value not supported for : {}", self.without_value.join(", "))));
        }
        Ok(())
    }

    pub fn unknown_type(&self) -> ApiError {
        invalid_request(format!("Unknown resource type {}", self.type_code))
    }

    /// The resource, for the quorum.
    pub fn stored(&self) -> Option<ConfigResource> {
        Some(ConfigResource::new(self.kind?.stored()?, self.name))
    }
}

pub fn invalid_request(message: impl Into<String>) -> ApiError {
    ApiError::new(ResponseError::InvalidRequest, message)
}

/// A broker changes only its own configuration, or that of all brokers (an empty name).
pub fn check_broker_name(broker: &Broker, name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Ok(());
    }
    let id: i32 =
        name.parse().map_err(|_| invalid_request(format!("Node id must be an integer, but it is: {name}")))?;
    if id == broker.id {
        return Ok(());
    }
    Err(invalid_request(format!("Unexpected broker id, expected {}, but received {name}", broker.id)))
}

/// Checks all dynamic configuration that this broker, or all of them, would have.
pub fn check_broker_change(broker: &Broker, name: &str, wanted: &BTreeMap<String, String>) -> Result<(), ApiError> {
    dynamic::validate(&broker.config(), wanted, !name.is_empty()).map_err(|error| invalid_request(error.to_string()))
}

/// Why the quorum took no decision, for each resource that waited for it.
pub fn undecided(error: &ClusterError) -> ApiError {
    let code = match error {
        ClusterError::NotLeader { .. } | ClusterError::Superseded | ClusterError::Closed => {
            ResponseError::NotController
        }
        ClusterError::TimedOut { .. } => ResponseError::RequestTimedOut,
        ClusterError::Internal(_) | ClusterError::OtherCluster { .. } | ClusterError::Start(_) => {
            ResponseError::UnknownServerError
        }
    };
    ApiError::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alteration<'a>(type_code: i8, name: &'a str, keys: &[&'a str], without_value: &[&'a str]) -> Alteration<'a> {
        let (keys, without_value) = (keys.to_vec(), without_value.to_vec());
        Alteration { kind: Kind::of(type_code), type_code, name, keys, without_value }
    }

    #[test]
    fn codes_are_kafkas() {
        for (code, kind) in [
            (2, Some(Kind::Topic)),
            (4, Some(Kind::Broker)),
            (8, Some(Kind::BrokerLogger)),
            (16, Some(Kind::ClientMetrics)),
            (32, Some(Kind::Group)),
            (0, None),
            (3, None),
            (-1, None),
        ] {
            assert_eq!(Kind::of(code), kind);
        }
        assert_eq!(Kind::BrokerLogger.stored(), None);
        assert_eq!(Kind::Group.stored(), Some(ResourceKind::Group));
    }

    #[test]
    fn resources_that_appear_twice_are_found() {
        let all = [
            alteration(2, "a", &[], &[]),
            alteration(4, "a", &[], &[]),
            alteration(2, "a", &[], &[]),
            alteration(2, "b", &[], &[]),
        ];
        assert_eq!(repeated(&all), HashSet::from([0, 2]));
    }

    #[test]
    fn keys_are_checked_before_values() {
        let said = |one: Alteration<'_>| one.check_keys().unwrap_err().message.unwrap();
        assert_eq!(said(alteration(2, "a", &["x", "x"], &["x"])), "Error due to duplicate config keys");
        assert_eq!(said(alteration(2, "a", &["x", "y"], &["x", "y"])), "Null value not supported for : x, y");
        assert!(alteration(2, "a", &["x", "y"], &[]).check_keys().is_ok());
    }
}

//! Each layer's errors as Kafka's codes: one mapping per error enum, none of them with a wildcard, so that a new error has to choose its code.

use kafka_protocol::ResponseError;

use crate::cluster::ClusterError;
use crate::log::LogError;
use crate::log::producers::ProducerError;
use crate::replica::partition::ReplicaError;
use crate::store::StoreError;

/// Kafka's code for "no error".
pub const NONE: i16 = 0;

/// What a client is told of an error.
pub trait ErrorCode {
    fn error(&self) -> ResponseError;

    fn code(&self) -> i16 {
        self.error().code()
    }
}

impl ErrorCode for StoreError {
    fn error(&self) -> ResponseError {
        match self {
            // The partition went while the request was under way.
            Self::UnknownPartition(_) => ResponseError::UnknownTopicOrPartition,
            Self::PartitionExists(_)
            | Self::Refused { .. }
            | Self::OffsetGap { .. }
            | Self::LowSpace { .. }
            | Self::ReadOnly { .. }
            | Self::Damaged { .. }
            | Self::Io { .. }
            | Self::LongRun { .. }
            | Self::Closed => ResponseError::KafkaStorageError,
        }
    }
}

impl ErrorCode for ProducerError {
    fn error(&self) -> ResponseError {
        match self {
            Self::InvalidEpoch { .. } => ResponseError::InvalidProducerEpoch,
            Self::OutOfOrderSequence { .. } | Self::NewEpochMustStartAtZero { .. } => {
                ResponseError::OutOfOrderSequenceNumber
            }
            Self::NotInTransaction { .. } => ResponseError::InvalidTxnState,
        }
    }
}

impl ErrorCode for LogError {
    fn error(&self) -> ResponseError {
        match self {
            Self::Producer(error) => error.error(),
            Self::Batch(error) => error.code(),
            Self::Store(error) => error.error(),
            Self::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
            Self::DamagedState { .. } | Self::DamagedRecords { .. } => ResponseError::KafkaStorageError,
        }
    }
}

impl ErrorCode for ReplicaError {
    fn error(&self) -> ResponseError {
        match self {
            Self::NotLeader { .. } => ResponseError::NotLeaderOrFollower,
            Self::FencedLeaderEpoch { .. } => ResponseError::FencedLeaderEpoch,
            Self::UnknownLeaderEpoch { .. } => ResponseError::UnknownLeaderEpoch,
            Self::NotEnoughReplicas { .. } => ResponseError::NotEnoughReplicas,
            Self::Unknown(_) => ResponseError::UnknownTopicOrPartition,
            Self::Log(error) => error.error(),
            Self::Store(error) => error.error(),
        }
    }
}

impl ErrorCode for ClusterError {
    fn error(&self) -> ResponseError {
        match self {
            // Nothing happened; clients ask for the controller again and retry.
            Self::NotLeader { .. } | Self::Superseded | Self::Closed => ResponseError::NotController,
            Self::TimedOut { .. } => ResponseError::RequestTimedOut,
            Self::Internal(_) | Self::OtherCluster { .. } | Self::Start(_) => ResponseError::UnknownServerError,
        }
    }
}

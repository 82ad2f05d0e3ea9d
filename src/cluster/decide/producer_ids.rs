//! Blocks of producer ids for brokers (KIP-730, Kafka's `ProducerIdControlManager`).

use kafka_protocol::error::ResponseError;
use std::ops::Range;

use super::brokers::check_epoch;
use super::{ApiError, Decision};
use crate::cluster::image::MetadataImage;
use crate::cluster::record::Record;
use crate::types::BrokerId;

/// How many ids a broker gets at a time, as in Kafka.
pub const PRODUCER_ID_BLOCK_SIZE: i64 = 1000;

/// Gives the broker a block of ids that nobody ever had.
pub fn allocate(
    image: &MetadataImage,
    broker_id: BrokerId,
    broker_epoch: i64,
) -> Decision<Result<Range<i64>, ApiError>> {
    if let Err(error) = check_epoch(image, broker_id, broker_epoch) {
        return Decision::unchanged(Err(error));
    }
    let first = image.next_producer_id();
    let Some(next_producer_id) = first.checked_add(PRODUCER_ID_BLOCK_SIZE) else {
        return Decision::unchanged(Err(ApiError::new(
            ResponseError::UnknownServerError,
            "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit",
        )));
    };
    Decision {
        records: vec![Record::ProducerIdsAllocated { broker_id, broker_epoch, next_producer_id }],
        reply: Ok(first..next_producer_id),
    }
}

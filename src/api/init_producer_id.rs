//! InitProducerId v0-5 (KIP-98, KIP-360) for idempotent producers. Transactional ids are refused: there is no transaction coordinator yet.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use std::sync::Arc;

use super::Broker;
use super::context::RequestContext;
use super::error_code::ErrorCode;
use crate::config::key::FromValue;

const NO_PRODUCER_ID: i64 = -1;
const NO_PRODUCER_EPOCH: i16 = -1;

pub async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    if (request.producer_id.0 == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH) {
        return failed(ResponseError::InvalidRequest);
    }
    if let Some(id) = &request.transactional_id {
        let error = refuse_transactional(broker, id.as_str(), &request);
        context.refused(
            error,
            id.as_str(),
            &"this version of Ottla has no transactions: a transactional.id is refused",
        );
        return failed(error);
    }
    match broker.cluster.next_producer_id().await {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(error) => failed(error.error()),
    }
}

/// In the order of Kafka's `TransactionCoordinator.handleInitProducerId`, up to where it asks which broker coordinates the id.
fn refuse_transactional(broker: &Broker, id: &str, request: &InitProducerIdRequest) -> ResponseError {
    let max_timeout_ms: i32 =
        broker.config().value("transaction.max.timeout.ms").and_then(i32::from_value).unwrap_or(i32::MAX);
    if id.is_empty() {
        ResponseError::InvalidRequest
    } else if !(1..=max_timeout_ms).contains(&request.transaction_timeout_ms) {
        ResponseError::InvalidTransactionTimeout
    } else {
        ResponseError::NotCoordinator
    }
}

fn failed(error: ResponseError) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(NO_PRODUCER_ID))
        .with_producer_epoch(NO_PRODUCER_EPOCH)
}

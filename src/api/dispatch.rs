//! From a frame to its handler: header, version check, table row, metrics. The broker's side of `context::Dispatch`.

use bytes::BytesMut;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tracing::debug;

use super::context::{Begun, CloseReason, Connection, Dispatch, FirstStage, Outcome, RequestContext};
use super::request_metrics::{RequestClock, RequestMetrics};
use super::table::{self, ApiRow};
use super::{Broker, api_versions};
use crate::protocol::header;
use crate::types::budget::Reservation;

/// Sends each frame to the broker's handlers.
pub struct Dispatcher {
    broker: Arc<Broker>,
    metrics: Arc<RequestMetrics>,
}

impl Dispatcher {
    pub fn new(broker: Arc<Broker>) -> Self {
        let metrics = Arc::new(RequestMetrics::new(&broker.metrics));
        Self { broker, metrics }
    }
}

impl Dispatch for Dispatcher {
    fn begin(&self, connection: &Arc<Connection>, mut frame: BytesMut, memory: Arc<Reservation>) -> Begun {
        let parsed = match header::parse_request(&mut frame) {
            Ok(parsed) => parsed,
            Err(error) => return refuse(CloseReason::Malformed(error.to_string())),
        };
        let context = RequestContext {
            connection: Arc::clone(connection),
            api_key: parsed.api_key,
            api_version: parsed.api_version,
            correlation_id: parsed.correlation_id,
            client_id: parsed.client_id,
            scope: self.broker.scope(connection),
            memory,
            first_stage: FirstStage::default(),
        };
        let (api_key, api_version) = (context.api_key, context.api_version);
        connection.activity.requested(api_key, api_version, &context.client_id);
        let Some(row) = table::find(api_key, context.scope) else {
            return refuse(CloseReason::UnsupportedVersion { api_key, api_version });
        };
        if !(row.min_version..=row.max_version).contains(&api_version) {
            if api_key == api_versions::API_KEY {
                let outcome = api_versions::unsupported_version(&context);
                return Begun { outcome: Box::pin(async move { outcome }), overlaps_after: None };
            }
            return refuse(CloseReason::UnsupportedVersion { api_key, api_version });
        }
        let overlaps_after = row.overlaps.then(|| context.first_stage.clone());
        let timed = Timed {
            row,
            api_version,
            correlation_id: context.correlation_id,
            client_id: Arc::clone(&context.client_id),
            clock: Some(self.metrics.begin(row, api_version)),
            handler: (row.handler)(Arc::clone(&self.broker), context, frame),
        };
        Begun { outcome: Box::pin(timed), overlaps_after }
    }

    fn opened(&self, connection: &Arc<Connection>) {
        self.broker.connections.opened(connection);
    }

    fn closed(&self, connection: &Arc<Connection>, why: &str, by_fault: bool) {
        self.broker.connections.closed(connection, why, by_fault);
    }
}

/// A handler's future, timed: its first poll is the request's first stage.
struct Timed {
    row: &'static ApiRow,
    api_version: i16,
    correlation_id: i32,
    client_id: Arc<str>,
    /// `None` once the outcome is there.
    clock: Option<RequestClock>,
    handler: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

impl Future for Timed {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        if let Some(clock) = &mut this.clock {
            clock.begun();
        }
        let polled = this.handler.as_mut().poll(cx);
        if let Some(clock) = &mut this.clock {
            clock.polled();
        }
        let Poll::Ready(mut outcome) = polled else { return Poll::Pending };
        if let Some(clock) = this.clock.take() {
            let (correlation_id, client_id, ok) = (this.correlation_id, &this.client_id, outcome.is_ok());
            debug!(api = ?this.row.key, version = this.api_version, correlation_id, %client_id, took_us = clock.elapsed().as_micros(), ok, "request");
            match &mut outcome {
                Ok(Some(reply)) => reply.clock = clock.answered(Some((&reply.errors, reply.counted_as))),
                Ok(None) | Err(_) => drop(clock.answered(None)),
            }
        }
        Poll::Ready(outcome)
    }
}

fn refuse(reason: CloseReason) -> Begun {
    Begun { outcome: Box::pin(async move { Err(reason) }), overlaps_after: None }
}

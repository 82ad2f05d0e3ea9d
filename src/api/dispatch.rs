//! From a frame to its handler: header, version check, table row, metrics. The broker's side of `context::Dispatch`.

use bytes::BytesMut;
use std::sync::Arc;
use std::time::Instant;
use tracing::debug;

use super::context::{Begun, CloseReason, Connection, Dispatch, Outcome, RequestContext};
use super::table::{self, ApiRow};
use super::{Broker, api_versions};
use crate::protocol::header;

/// Sends each frame to the broker's handlers.
pub struct Dispatcher {
    pub broker: Arc<Broker>,
}

impl Dispatch for Dispatcher {
    fn begin(&self, connection: &Arc<Connection>, mut frame: BytesMut) -> Begun {
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
        };
        let (api_key, api_version) = (context.api_key, context.api_version);
        let Some(row) = table::find(api_key) else {
            return refuse(CloseReason::UnsupportedVersion { api_key, api_version });
        };
        if !(row.min_version..=row.max_version).contains(&api_version) {
            if api_key == api_versions::API_KEY {
                let outcome = api_versions::unsupported_version(&context);
                return Begun { outcome: Box::pin(async move { outcome }), overlaps: false };
            }
            return refuse(CloseReason::UnsupportedVersion { api_key, api_version });
        }
        Begun { outcome: Box::pin(run(Arc::clone(&self.broker), row, context, frame)), overlaps: row.overlaps }
    }
}

async fn run(broker: Arc<Broker>, row: &'static ApiRow, context: RequestContext, body: BytesMut) -> Outcome {
    let started = Instant::now();
    let (correlation_id, client_id) = (context.correlation_id, Arc::clone(&context.client_id));
    let outcome = (row.handler)(broker, context, body).await;
    debug!(api = ?row.key, correlation_id, %client_id, took_us = started.elapsed().as_micros(), ok = outcome.is_ok(), "request");
    outcome
}

fn refuse(reason: CloseReason) -> Begun {
    Begun { outcome: Box::pin(async move { Err(reason) }), overlaps: false }
}

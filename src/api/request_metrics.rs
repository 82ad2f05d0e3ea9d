//! Counts and times requests by API, from the table of APIs.

use metrics::{Counter, Histogram};
use std::time::Duration;

use super::table::{APIS, ApiRow};
use crate::metrics::{Registry, table};

/// Handles for one API, in the place of its row.
struct ApiMetrics {
    /// By version, from the row's lowest.
    requests: Vec<Counter>,
    local_ms: Histogram,
    total_ms: Histogram,
}

pub struct RequestMetrics {
    apis: Vec<ApiMetrics>,
}

impl RequestMetrics {
    pub fn new(registry: &Registry) -> Self {
        let of = |row: &ApiRow| {
            let name = format!("{:?}", row.key);
            let requests = (row.min_version..=row.max_version)
                .map(|version| {
                    registry.counter(&table::REQUESTS, &[("request", &name), ("version", &version.to_string())])
                })
                .collect();
            let local_ms = registry.histogram(&table::LOCAL_TIME_MS, &[("request", &name)]);
            let total_ms = registry.histogram(&table::TOTAL_TIME_MS, &[("request", &name)]);
            ApiMetrics { requests, local_ms, total_ms }
        };
        Self { apis: APIS.iter().map(of).collect() }
    }

    fn of(&self, row: &ApiRow) -> Option<&ApiMetrics> {
        let place = APIS.iter().position(|other| std::ptr::eq(other, row))?;
        self.apis.get(place)
    }

    /// A request was answered: `local` is its first stage, `total` all of it.
    pub fn answered(&self, row: &ApiRow, version: i16, local: Duration, total: Duration) {
        let Some(api) = self.of(row) else { return };
        let place = usize::try_from(version - row.min_version).unwrap_or(usize::MAX);
        if let Some(counter) = api.requests.get(place) {
            counter.increment(1);
        }
        api.local_ms.record(local.as_secs_f64() * 1000.0);
        api.total_ms.record(total.as_secs_f64() * 1000.0);
    }
}

//! Counts and times in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

use crate::ask::Command;

/// Upper ends of the histogram's buckets, in seconds.
const BUCKETS: [f64; 9] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];

#[derive(Clone, Debug, Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    seconds: f64,
}

/// What was asked and how long it took.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests that came and are not answered.
    pub in_flight: AtomicU64,
    /// Questions that wait for their turn.
    pub waiting: AtomicU64,
    routes: Mutex<BTreeMap<String, Route>>,
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, route: &str, status: StatusCode, took: Duration) {
        let known = Command::ALL.iter().any(|c| route.strip_prefix("/api/v1/") == Some(c.name()));
        let plain = !route.starts_with("/api/v1/") || route.contains('{') || known;
        let route = if plain { route } else { "other" };
        // A panic while counting loses a count and nothing else.
        let mut routes = self.routes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let at = routes.entry(route.to_owned()).or_default();
        *at.by_status.entry(status.as_u16()).or_default() += 1;
        let seconds = took.as_secs_f64();
        at.seconds += seconds;
        for (n, _) in at.buckets.iter_mut().zip(BUCKETS).filter(|(_, end)| seconds <= *end) {
            *n += 1;
        }
    }

    /// Every count and time, with how many jobs are kept.
    pub fn text(&self, jobs: usize) -> String {
        let mut out = String::new();
        let gauges = [
            (
                "shardfit_requests_in_flight",
                "Requests that are not answered.",
                self.in_flight.load(Ordering::Relaxed),
            ),
            (
                "shardfit_questions_waiting",
                "Questions that wait for their turn.",
                self.waiting.load(Ordering::Relaxed),
            ),
            ("shardfit_jobs", "Jobs that are kept.", jobs as u64),
        ];
        for (name, help, value) in gauges {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        }
        let routes = self.routes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ =
            writeln!(out, "# HELP shardfit_requests_total Answers.\n# TYPE shardfit_requests_total counter");
        for (route, at) in routes.iter() {
            for (status, n) in &at.by_status {
                let _ = writeln!(out, "shardfit_requests_total{{route=\"{route}\",status=\"{status}\"}} {n}");
            }
        }
        let name = "shardfit_request_seconds";
        let _ = writeln!(out, "# HELP {name} From the first byte to the answer.\n# TYPE {name} histogram");
        for (route, at) in routes.iter() {
            for (end, n) in BUCKETS.iter().zip(at.buckets) {
                let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{end}\"}} {n}");
            }
            let all: u64 = at.by_status.values().sum();
            let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {all}");
            let _ = writeln!(out, "{name}_sum{{route=\"{route}\"}} {}", at.seconds);
            let _ = writeln!(out, "{name}_count{{route=\"{route}\"}} {all}");
        }
        out
    }
}

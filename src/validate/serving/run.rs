//! One replica of a measured row's server, and how it was driven.

use crate::catalog::residuals::{Class, Traffic};
use crate::estimate::deployment::Deployment;
use crate::estimate::service::Service;
use crate::units::{RequestsPerSecond, Seconds};
use crate::validate::Row;
use crate::workload::Workload;

/// InferenceX draws lengths uniformly from 0.8 to 1.0 of the nominal ones.
pub(in crate::validate) const INFERENCEX_MEAN_LENGTH: f64 = 0.9;

/// A row's server as it was driven.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The row.
    pub row: &'a Row<'a>,
    /// One replica of its server.
    pub deployment: &'a Deployment<'a>,
    /// Mean lengths.
    pub workload: Workload,
    /// How it was driven; `inferencex` where one of that benchmark's scripts launched it.
    pub protocol: &'a str,
    /// Replicas between which the load is divided.
    pub replicas: f64,
}

impl Run<'_> {
    /// Whether its kernels were measured on its GPU, and how it was loaded.
    pub fn standing(&self) -> (bool, Traffic) {
        let in_flight = match self.protocol {
            "static" => self.row.number("batch").unwrap_or(1.0),
            _ => self.concurrency(),
        };
        let open = self.protocol != "static" && self.row.number("concurrency").is_none();
        let traffic = if open && self.rate().is_some() { Traffic::Rate } else { Traffic::of(in_flight) };
        (self.deployment.replica().at(in_flight).provenance.is_calibrated(), traffic)
    }

    /// Requests per second that one replica was sent, in an open loop.
    pub fn rate(&self) -> Option<RequestsPerSecond> {
        let rate = self.row.stated("qps").or_else(|| self.row.stated("rate"))?;
        Some(RequestsPerSecond::new(rate / self.replicas))
    }

    /// Requests in flight on one replica.
    pub fn concurrency(&self) -> f64 {
        match (self.row.number("concurrency"), self.rate()) {
            (Some(n), _) => n / self.replicas,
            (None, Some(rate)) => {
                self.deployment.concurrency_at(rate).unwrap_or(self.deployment.max_batch() as f64)
            }
            (None, None) => self.deployment.max_batch().max(1) as f64,
        }
    }

    /// What one replica delivers in the long run.
    pub fn service(&self) -> Service {
        let open = || match (self.row.number("concurrency"), self.rate()) {
            (None, Some(rate)) => self.deployment.under(rate, self.replicas as u32).ok(),
            _ => None,
        };
        open().map_or_else(|| self.deployment.replica().at(self.concurrency()), |open| open.service)
    }

    /// The columns of a run with these times, at the rate of the long run.
    pub fn columns(&self, ttft: Seconds, tpot: Seconds) -> Vec<(&'static str, f64)> {
        let service = self.service();
        let requests = service.requests.get() * self.replicas;
        let steps = self.workload.osl as f64 - 1.0;
        vec![
            ("ttft_ms", ttft.as_millis()),
            ("tpot_ms", tpot.as_millis()),
            ("e2e_ms", (ttft + tpot * steps).as_millis()),
            ("output_tok_s", service.output.get() * self.replicas),
            ("total_tok_s", requests * self.workload.context() as f64),
            ("req_s", requests),
        ]
    }
}

/// Columns with the ends of their ranges.
const RANGED: [(&str, &str, &str); 4] = [
    ("ttft_ms", "ttft_ms_low", "ttft_ms_high"),
    ("tpot_ms", "tpot_ms_low", "tpot_ms_high"),
    ("e2e_ms", "e2e_ms_low", "e2e_ms_high"),
    ("output_tok_s", "output_tok_s_low", "output_tok_s_high"),
];

/// Adds between what eight of ten servers of the class lie.
pub(super) fn range(predicted: &mut Vec<(&'static str, f64)>, class: &Class) {
    for (column, low, high) in RANGED {
        let Some((_, value)) = predicted.iter().find(|(name, _)| *name == column).copied() else { continue };
        let (least, most) = match column {
            "ttft_ms" => (class.ttft.low(), class.ttft.high()),
            "tpot_ms" => (class.tpot.low(), class.tpot.high()),
            "e2e_ms" => (class.e2e.low(), class.e2e.high()),
            // As many are in flight.
            _ => (1.0 / class.e2e.high(), 1.0 / class.e2e.low()),
        };
        predicted.extend([(low, value * least), (high, value * most)]);
    }
}

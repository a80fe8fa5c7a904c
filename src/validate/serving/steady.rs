//! Rows in closed form: the estimate of `plan`, in the long run, whatever their protocol does at the start.

use super::{Prediction, Run};
use crate::units::Seconds;

/// Continuous batching at a concurrency, at a rate, or with everything queued at once.
pub fn predict(run: &Run) -> Prediction {
    let replica = run.deployment.replica();
    let service = replica.at(run.concurrency());
    Ok(run.columns(service.ttft, service.tpot))
}

impl Run<'_> {
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

    /// The columns of a run with these times, at the rate of the long run.
    pub fn columns(&self, ttft: Seconds, tpot: Seconds) -> Vec<(&'static str, f64)> {
        let service = self.deployment.replica().at(self.concurrency());
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

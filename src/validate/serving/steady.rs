//! Rows in closed form: the estimate of `plan`, with a benchmark's protocol allowed for where it can be.

use crate::units::Seconds;

use super::{Prediction, Run};

/// Closed-loop runs send ten requests per slot and take the mean over all, the first burst included.
const BURST_SHARE: f64 = 0.1;

/// Continuous batching at a concurrency, at a rate, or with everything queued at once.
pub fn predict(run: &Run) -> Prediction {
    let Run { row, deployment, workload, protocol, replicas } = *run;
    let replica = deployment.replica();
    let concurrency = match (row.number("concurrency"), run.rate()) {
        (Some(n), _) => n / replicas,
        (None, Some(rate)) => deployment.concurrency_at(rate).unwrap_or(deployment.max_batch() as f64),
        (None, None) => deployment.max_batch().max(1) as f64,
    };
    let service = replica.at(concurrency);
    let steps = workload.osl as f64 - 1.0;
    let burst: Seconds = replica.burst(concurrency);
    let (ttft, tpot) = match protocol {
        "closed-loop-unstated" if !replica.engine.scheduling.mixes_prefill => {
            // Lengths are fixed and prompts go first: requests start and end together, wave after wave.
            // The first tokens of a wave wait for the prompts of the rest of it.
            let (_, last) = replica.static_batch(concurrency);
            let last = last + replica.engine.scheduling.request_overhead;
            (burst, (last - burst).max(Seconds::ZERO) / steps.max(1.0))
        }
        "inferencex" | "closed-loop-unstated" => {
            (service.ttft * (1.0 - BURST_SHARE) + burst * BURST_SHARE, service.tpot)
        }
        _ => (service.ttft, service.tpot),
    };
    let requests = service.requests.get() * replicas;
    Ok(vec![
        ("ttft_ms", ttft.as_millis()),
        ("tpot_ms", tpot.as_millis()),
        ("e2e_ms", (ttft + tpot * steps).as_millis()),
        ("output_tok_s", service.output.get() * replicas),
        ("total_tok_s", requests * workload.context() as f64),
        ("req_s", requests),
    ])
}

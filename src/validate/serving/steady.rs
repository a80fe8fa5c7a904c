//! Rows in closed form: the estimate of `plan`, with a benchmark's protocol allowed for where it can be.

use crate::units::Seconds;

use super::{Prediction, Run};

/// Closed-loop runs send ten requests per client and take the mean over all, the first burst included.
const WAVES: f64 = 10.0;

/// Standard deviation of lengths as a share of their mean: uniform from 0.8 to 1.0 of the nominal ones, and the tenth
/// up and down that unstated ones are taken to vary by.
const INFERENCEX_SPREAD: f64 = 0.2 / 0.9 * UNIFORM;
const UNSTATED_SPREAD: f64 = 0.2 * UNIFORM;

/// Standard deviation of a uniform distribution of width 1.
const UNIFORM: f64 = 0.288_675_134_6;

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
    let (ttft, tpot) = match protocol {
        "closed-loop-unstated" if !replica.engine.scheduling.mixes_prefill => {
            // Lengths are fixed and prompts go first: requests start and end together, wave after wave.
            // The first tokens of a wave wait for the prompts of the rest of it.
            let (burst, _) = replica.burst(concurrency);
            let (_, last) = replica.static_batch(concurrency);
            let last = last + replica.engine.scheduling.request_overhead;
            (burst, (last - burst).max(Seconds::ZERO) / steps.max(1.0))
        }
        "inferencex" => replica.waves(concurrency, WAVES, INFERENCEX_SPREAD),
        "closed-loop-unstated" => replica.waves(concurrency, WAVES, UNSTATED_SPREAD),
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

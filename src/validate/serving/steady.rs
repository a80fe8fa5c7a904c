//! Rows in closed form: the estimate of `plan`, in the long run, whatever their protocol does at the start.

use super::run::Run;
use crate::validate::Prediction;

/// Continuous batching at a concurrency, at a rate, or with everything queued at once.
pub fn predict(run: &Run) -> Prediction {
    let service = run.service();
    Ok(run.columns(service.ttft, service.tpot))
}

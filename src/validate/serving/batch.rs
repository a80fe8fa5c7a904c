//! One batch that is handed over at once.

use super::run::Run;
use crate::units::Seconds;
use crate::validate::Prediction;

/// One batch: all prompts, then every step of the output.
pub fn predict(run: &Run) -> Prediction {
    let batch = run.row.number("batch").ok_or("no batch")?;
    let (ttft, e2e) = run.deployment.replica().static_batch(batch);
    let steps = (run.workload.osl as f64 - 1.0).max(1.0);
    let tpot = (e2e - ttft) / steps;
    // llama-bench times prompts and outputs apart: its tokens per second are those of outputs alone.
    let apart = matches!(run.row.text("mode"), Some("llama-bench" | "llama-batched-bench" | "decode"));
    let output = if apart && tpot > Seconds::ZERO {
        batch / tpot.get()
    } else {
        batch * run.workload.osl as f64 / e2e.get()
    };
    Ok(vec![
        ("ttft_ms", ttft.as_millis()),
        ("tpot_ms", tpot.as_millis()),
        ("e2e_ms", e2e.as_millis()),
        ("output_tok_s", output),
    ])
}

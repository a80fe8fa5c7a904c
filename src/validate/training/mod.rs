//! Speed and memory of training runs. A row states its model by name or by sizes, its split, and what was
//! measured in `metric` and `value`, or in `peak_mem_gib`.

pub mod model;
mod run;

use crate::catalog::Catalog;
use crate::train::{
    Convention, Job, Machine, Memory, Recompute, TensorTransfers, TrainingEstimate, TrainingPlan,
};

use super::{Prediction, Row};
pub use run::{Run, Source};

/// What dense models count as.
pub const DENSE: &str = "dense";
/// What models with routed experts count as.
pub const ROUTED: &str = "mixture of experts";

/// Whether a row's model routes experts, as far as the row says.
pub fn architecture(row: &Row) -> &'static str {
    let experts = ["experts", "num_experts", "ep"].into_iter().filter_map(|c| row.whole(c));
    if experts.max().is_some_and(|n| n > 1) { ROUTED } else { DENSE }
}

/// What a row measured.
const MEASURED: &[&str] = &[
    "tok_s_gpu",
    "tflops_per_gpu",
    "hw_tflops_per_gpu",
    "mfu",
    "iteration_s",
    "iteration_s_derived",
    "activation_gib",
    "activation_pct_of_tp_baseline",
    "param_opt_gib",
    "peak_mem_gib",
];

/// The order in which runs that do not state what they compute again are taken to have chosen.
const USUAL: [Recompute; 4] = [Recompute::None, Recompute::Selective, Recompute::Operators, Recompute::Full];

/// Predicts a row.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    predict_run(row, catalog, || Run::read(row, catalog))
}

/// Predicts what a row measured of a run.
///
/// # Errors
/// Why there is no prediction.
pub fn predict_run(row: &Row, catalog: &Catalog, read: impl FnOnce() -> Result<Run, String>) -> Prediction {
    let metric = row.text("metric");
    if let Some(metric) = metric
        && !MEASURED.contains(&metric)
    {
        return Err(format!("{metric} is not predicted"));
    }
    let run = read()?;
    let engine = catalog.engine(&run.framework.kernels).map_err(|d| d.cause)?;
    let machine = Machine::new(&run.cluster, &run.framework, &engine).map_err(|d| d.cause)?;
    let job = run.job(&machine);
    let estimate = chosen(&job, &run, &machine)?;
    match metric {
        Some(metric) => Ok(vec![("value", value(metric, &job, &run, &estimate)?)]),
        None => {
            let memory = if run.last_stage { last(&estimate) } else { estimate.fullest() };
            Ok(vec![("peak_mem_gib", gib(peak(&memory, run.reserved)))])
        }
    }
}

/// What the framework's counter says: what its allocator holds, or what it has reserved for that.
fn peak(memory: &Memory, reserved: bool) -> f64 {
    memory.allocated() + if reserved { memory.fragmentation } else { 0.0 }
}

fn last(estimate: &TrainingEstimate) -> Memory {
    estimate.stages.last().map(|(_, _, memory)| *memory).unwrap_or_default()
}

fn gib(bytes: f64) -> f64 {
    bytes / f64::from(1u32 << 30)
}

/// The row's plan, with the least recomputation that fits where the row states none.
fn chosen(job: &Job, run: &Run, machine: &Machine) -> Result<TrainingEstimate, String> {
    let estimate = |recompute| {
        let plan = TrainingPlan { recompute, ..run.plan };
        job.estimate(&plan)
            .ok_or_else(|| format!("{plan} cannot run with a global batch of {}", job.global_batch))
    };
    if let Some(recompute) = run.recompute {
        return estimate(recompute);
    }
    let room = machine.cluster.gpu.memory;
    for recompute in USUAL {
        let e = estimate(recompute)?;
        if e.fullest().total() <= room {
            return Ok(e);
        }
    }
    estimate(Recompute::Full)
}

fn value(metric: &str, job: &Job, run: &Run, e: &TrainingEstimate) -> Result<f64, String> {
    let tera = 1e12;
    Ok(match metric {
        "tok_s_gpu" => e.tokens_per_gpu().get(),
        "tflops_per_gpu" => e.rate(run.convention).get() / tera,
        "hw_tflops_per_gpu" => e.rate(Convention::Recomputed).get() / tera,
        // Shares are of the 16-bit peak unless products are narrower.
        "mfu" => e.mfu(run.convention),
        "iteration_s" | "iteration_s_derived" => e.time.total().get(),
        "activation_gib" => gib(first_activations(e)),
        "activation_pct_of_tp_baseline" => {
            let plan =
                TrainingPlan { recompute: Recompute::None, transfers: TensorTransfers::AllReduce, ..e.plan };
            let baseline = job.estimate(&plan).ok_or("no baseline")?;
            100.0 * first_activations(e) / first_activations(&baseline)
        }
        "param_opt_gib" => gib(mean_states(e)),
        "peak_mem_gib" => gib(peak(&e.fullest(), true)),
        other => return Err(format!("{other} is not predicted")),
    })
}

/// Activations of the first stage, which holds most microbatches.
fn first_activations(e: &TrainingEstimate) -> f64 {
    e.stages.first().map_or(0.0, |(_, _, memory)| memory.activations)
}

/// Weights, gradients and optimizer states of a GPU, over all GPUs.
fn mean_states(e: &TrainingEstimate) -> f64 {
    let of = |(_, n, m): &(u32, u32, Memory)| f64::from(*n) * (m.weights + m.gradients + m.optimizer);
    let stages: u32 = e.stages.iter().map(|(_, n, _)| n).sum();
    e.stages.iter().map(of).sum::<f64>() / f64::from(stages.max(1))
}

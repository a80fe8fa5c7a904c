//! TTFT, TPOT and throughput of servers, each row under its own protocol.

mod batch;
mod estimator;
mod launch;
mod run;
mod simulated;
mod split;
mod steady;
mod words;

use crate::catalog::{Catalog, Cluster, Gpu};
use crate::dtype::WeightFormat;
use crate::estimate::context::{Context, ContextParts};
use crate::estimate::deployment::Deployment;
use crate::estimate::measured;
use crate::model::Model;
use crate::workload::Workload;

use super::{Prediction, Row};
pub use estimator::Estimator;
pub(in crate::validate) use run::INFERENCEX_MEAN_LENGTH;
pub use run::Run;
use run::range;

/// Estimates the row's server.
pub fn predict(row: &Row, catalog: &Catalog, estimator: Estimator) -> Prediction {
    if row.text("prefill_cfg").is_some() {
        return split::predict(row, catalog, estimator);
    }
    predict_by(row, catalog, |run| run.predict(estimator))
}

/// Sets up the row's server, of one pool, and has it estimated.
///
/// # Errors
/// Why there is no prediction.
pub fn predict_by(row: &Row, catalog: &Catalog, estimate: impl FnOnce(&Run) -> Prediction) -> Prediction {
    let say = |d: crate::diagnostic::Diagnostic| d.cause;
    let named = row.text("gpu").ok_or("no GPU")?;
    let protocol = row.text("protocol").unwrap_or("steady");
    let launched = launch::of(row, catalog, protocol)?;
    let gpu = catalog.gpu(launched.gpu.as_deref().unwrap_or(named)).map_err(say)?;
    let limits = launched.limits(&gpu)?;
    let launch::Launched { engine, kv, split, scripted, prompts_repeat, .. } = launched;
    let model = in_16_bits_of(row.model(catalog)?, &gpu);
    let engine = engine.benchmarked(model.quantisation.main_format());
    // Runs that do not state their protocol but were launched by InferenceX's scripts follow its protocol.
    let protocol = if scripted { "inferencex" } else { protocol };
    let gpus = row.whole("num_gpus").unwrap_or_else(|| split.gpus());
    let replicas = (gpus / split.gpus().max(1)).max(1) as f64;
    let mut cluster =
        Cluster::of_gpus(gpu, u32::try_from(split.gpus()).map_err(|_| "too many GPUs")?).map_err(say)?;
    catalog
        .measure(&mut cluster, std::slice::from_ref(&engine), &measured::operations(&model))
        .map_err(say)?;
    let scale = if protocol == "inferencex" { INFERENCEX_MEAN_LENGTH } else { 1.0 };
    let length = |column: &str| {
        let nominal = row.number(column).ok_or_else(|| format!("no {column}"))?;
        Ok::<u64, String>((nominal * scale).round().max(1.0) as u64)
    };
    let workload = Workload::new(length("isl")?, length("osl")?);
    let context_of = |workload: Workload| {
        let parts = ContextParts {
            model: &model,
            cluster: &cluster,
            engine: &engine,
            limits,
            kv,
            workload,
            electricity: None,
        };
        Context::new(parts).map_err(say)
    };
    let mut workload = workload;
    let mut context = context_of(workload)?;
    let placement = context.check(split).map_err(|r| r.message())?;
    let memory = context.memory(split);
    // A cache that forgets what was used longest ago holds the whole of what comes round, or nothing of it when it comes.
    let round = row.stated("num_requests").unwrap_or(0.0) / replicas * workload.context() as f64;
    if prompts_repeat && round <= memory.kv_cache_tokens as f64 {
        let block = u64::from(engine.kv_block);
        workload.cached_prefix = workload.isl.saturating_sub(1) / block * block;
        context = context_of(workload)?;
    }
    let deployment = Deployment::compile(&context, split, placement);
    let run = Run { row, deployment: &deployment, workload, protocol, replicas };
    let mut predicted = estimate(&run)?;
    let (calibrated, traffic) = run.standing();
    range(&mut predicted, context.classes.class(calibrated, traffic));
    predicted.push(("headroom_gib", memory.spare_gib()));
    Ok(predicted)
}

/// A model in FP16 in the 16-bit type that the GPU has, as engines load it there.
fn in_16_bits_of(model: Model, gpu: &Gpu) -> Model {
    let has = |format: WeightFormat| gpu.peak(format.element()).is_some();
    let fp16 = model.quantisation.main_format() == WeightFormat::Fp16;
    let widened = fp16 && !has(WeightFormat::Fp16) && has(WeightFormat::Bf16);
    if widened { model.with_weights(WeightFormat::Bf16) } else { model }
}

impl Run<'_> {
    /// What is predicted of it.
    ///
    /// # Errors
    /// What the row lacks.
    pub fn predict(&self, estimator: Estimator) -> Prediction {
        match (self.protocol, estimator) {
            ("static", _) => batch::predict(self),
            (_, Estimator::Steady) => steady::predict(self),
            (_, Estimator::Simulate) => simulated::predict(self),
        }
    }
}

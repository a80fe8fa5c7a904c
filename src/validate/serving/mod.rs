//! TTFT, TPOT and throughput of servers, each row under its own protocol.

mod launch;
mod simulated;
mod split;
mod steady;

use std::str::FromStr;

use crate::catalog::residuals::{Class, Traffic};
use crate::catalog::{Catalog, Cluster, Gpu};
use crate::diagnostic::Diagnostic;
use crate::dtype::WeightFormat;
use crate::estimate::deployment::{Context, ContextParts, Deployment};
use crate::estimate::measured;
use crate::model::Model;
use crate::units::RequestsPerSecond;
use crate::workload::Workload;

use super::{Prediction, Row};

/// How a server is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimator {
    /// In closed form, as `plan` does.
    Steady,
    /// In discrete events, under the row's own protocol.
    #[default]
    Simulate,
}

impl Estimator {
    /// Names as on the command line.
    pub const NAMES: [&'static str; 2] = ["simulate", "steady"];
}

impl FromStr for Estimator {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        match text {
            "steady" => Ok(Estimator::Steady),
            "simulate" => Ok(Estimator::Simulate),
            _ => {
                let list = format!("allowed: {}", Estimator::NAMES.join(", "));
                Err(Diagnostic::unknown("estimator", text, Estimator::NAMES, &list))
            }
        }
    }
}

/// InferenceX draws lengths uniformly from 0.8 to 1.0 of the nominal ones.
pub(super) const INFERENCEX_MEAN_LENGTH: f64 = 0.9;

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
    /// What is predicted of it.
    ///
    /// # Errors
    /// What the row lacks.
    pub fn predict(&self, estimator: Estimator) -> Prediction {
        match (self.protocol, estimator) {
            ("static", _) => static_batch(self.row, self.deployment, &self.workload),
            (_, Estimator::Steady) => steady::predict(self),
            (_, Estimator::Simulate) => simulated::predict(self),
        }
    }

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
}

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
    let gpu = catalog.gpu(row.text("gpu").ok_or("no GPU")?).map_err(say)?;
    let model = in_16_bits_of(row.model(catalog)?, &gpu);
    let protocol = row.text("protocol").unwrap_or("steady");
    let launch::Launched { engine, limits, kv, split, scripted } = launch::of(row, catalog, protocol)?;
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
    let context = Context::new(ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits,
        kv,
        workload,
        electricity: None,
    })
    .map_err(say)?;
    let placement = context.check(split).map_err(|r| r.message())?;
    let memory = context.memory(split);
    let deployment = Deployment::compile(&context, split, placement, memory);
    let run = Run { row, deployment: &deployment, workload, protocol, replicas };
    let mut predicted = estimate(&run)?;
    let (calibrated, traffic) = run.standing();
    range(&mut predicted, context.classes.class(calibrated, traffic));
    predicted.push(("headroom_gib", memory.spare_gib()));
    Ok(predicted)
}

/// Columns with the ends of their ranges.
const RANGED: [(&str, &str, &str); 4] = [
    ("ttft_ms", "ttft_ms_low", "ttft_ms_high"),
    ("tpot_ms", "tpot_ms_low", "tpot_ms_high"),
    ("e2e_ms", "e2e_ms_low", "e2e_ms_high"),
    ("output_tok_s", "output_tok_s_low", "output_tok_s_high"),
];

/// Adds between what eight of ten servers of the class lie.
fn range(predicted: &mut Vec<(&'static str, f64)>, class: &Class) {
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

/// A model in FP16 in the 16-bit type that the GPU has, as engines load it there.
fn in_16_bits_of(model: Model, gpu: &Gpu) -> Model {
    let has = |format: WeightFormat| gpu.peak(format.element()).is_some();
    let fp16 = model.quantisation.main_format() == WeightFormat::Fp16;
    let widened = fp16 && !has(WeightFormat::Fp16) && has(WeightFormat::Bf16);
    if widened { model.with_weights(WeightFormat::Bf16) } else { model }
}

/// One batch: all prompts, then every step of the output.
fn static_batch(row: &Row, deployment: &Deployment, workload: &Workload) -> Prediction {
    let batch = row.number("batch").ok_or("no batch")?;
    let (ttft, e2e) = deployment.replica().static_batch(batch);
    let steps = (workload.osl as f64 - 1.0).max(1.0);
    Ok(vec![
        ("ttft_ms", ttft.as_millis()),
        ("tpot_ms", ((e2e - ttft) / steps).as_millis()),
        ("e2e_ms", e2e.as_millis()),
        ("output_tok_s", batch * workload.osl as f64 / e2e.get()),
    ])
}

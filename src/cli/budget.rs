//! `shardfit budget`: how large a model a budget buys.

use clap::Args;
use serde_json::json;

use crate::budget::{self, Approach, Longer};
use crate::catalog::{Catalog, Cluster};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{self, Model};
use crate::report::{self, Budgeted};
use crate::train::{Convention, Job, Machine, Optimizer, Precision, TrainingAxes, TrainingQuestion, Tuning};
use crate::units::{Flops, FlopsPerSecond, UsdPerHour};

use super::common::cluster_of;
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::train::large;
use super::values::{count, names, share};

/// Arguments of `budget`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    shardfit budget --flops 5.76e23\n  \
    shardfit budget --dollars 1e6 --gpu h100-sxm --mfu 0.4\n  \
    shardfit budget --gpu-hours 1e6 --gpu h100-sxm --gpus 256 --inference-tokens 10T")]
pub struct BudgetArgs {
    /// FLOPs of training, e.g. 1e24
    #[arg(long, value_name = "N", help_heading = "Budget", required_unless_present_any = ["gpu_hours", "dollars"])]
    #[arg(conflicts_with_all = ["gpu_hours", "dollars"])]
    flops: Option<String>,
    /// Hours of one GPU, e.g. 1e6
    #[arg(long, value_name = "N", help_heading = "Budget", requires = "gpu", conflicts_with = "dollars")]
    gpu_hours: Option<String>,
    /// Dollars of rent
    #[arg(long, value_name = "N", help_heading = "Budget", requires = "gpu")]
    dollars: Option<String>,
    /// GPU, by name or YAML file: GPU-hours and dollars
    #[arg(long, value_name = "GPU", help_heading = "Hardware")]
    gpu: Option<String>,
    /// GPUs that the MFU is estimated on
    #[arg(long, default_value = "64", value_name = "N", value_parser = count(1..=65_536), help_heading = "Hardware")]
    gpus: u64,
    /// Price per GPU and hour in dollars, e.g. h100-sxm=2.10
    #[arg(long, value_name = "GPU=USD", help_heading = "Hardware")]
    price: Vec<String>,
    /// Model FLOPs utilisation, in (0, 1] [default: that of the best plan for a model of the size]
    #[arg(long, value_name = "X", value_parser = share, help_heading = "Hardware")]
    mfu: Option<f64>,
    /// Training framework that the MFU is estimated for
    #[arg(long, default_value = "megatron-bridge", value_name = "NAME", help_heading = "Hardware")]
    framework: String,
    /// Number format of products: bf16, fp8, mxfp8, nvfp4
    #[arg(long, default_value = "bf16", value_name = "FORMAT", help_heading = "Hardware")]
    #[arg(value_parser = names(Precision::NAMES.iter().copied()), hide_possible_values = true)]
    precision: String,
    /// The law that curves follow: 1, 2, 3 (as published) or 3-corrected
    #[arg(long, default_value = "3-corrected", value_name = "APPROACH", help_heading = "Law")]
    #[arg(value_parser = names(Approach::NAMES), hide_possible_values = true)]
    approach: String,
    /// Tokens that the model will serve, e.g. 10T: smaller models trained longer, to the same loss
    #[arg(long, value_name = "TOKENS", help_heading = "Law")]
    inference_tokens: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Tokens of a sequence and of a step that the MFU is estimated with: those of Llama 2 (arXiv:2307.09288 §2.2).
const SEQUENCE: u64 = 4096;
const STEP_TOKENS: u64 = 4_194_304;

/// A dense model of about so many parameters: heads of 128, as wide as 128 times its layers, an inner width of
/// 8/3 of that, `N ≈ 12·layers·hidden²`.
fn dense(parameters: f64) -> Result<Model, Diagnostic> {
    let hidden = (parameters * 128.0 / 12.0).cbrt();
    let hidden = ((hidden / 1024.0).round().max(1.0) as u64) * 1024;
    let layers = ((parameters / 12.0 / (hidden as f64).powi(2)).round() as u64).clamp(1, 1024);
    let inner = (hidden * 8 / 3).next_multiple_of(1024);
    let shape =
        format!("layers={layers},hidden={hidden},heads={},kv=8,ffn={inner},vocab=128256", hidden / 128);
    model::from_shape(&shape)
}

/// A GPU at what it reaches.
struct Rate {
    gpu: String,
    peak: FlopsPerSecond,
    mfu: f64,
    estimated: bool,
    price: Option<UsdPerHour>,
}

impl Rate {
    fn flops(&self, hours: f64) -> Flops {
        Flops::new(self.peak.get() * self.mfu * hours * 3600.0)
    }
}

impl BudgetArgs {
    fn cluster(&self, catalog: &Catalog) -> Result<Option<Cluster>, Diagnostic> {
        let gpus = u32::try_from(self.gpus).unwrap_or(u32::MAX);
        self.gpu.as_deref().map(|gpu| cluster_of(catalog, gpu, gpus, &self.price)).transpose()
    }

    /// The MFU of the best plan for a model of `parameters`; more GPUs where it fits on none of fewer.
    fn estimated_mfu(
        &self,
        cluster: &Cluster,
        parameters: f64,
        catalog: &Catalog,
    ) -> Result<f64, Diagnostic> {
        let precision: Precision = self.precision.parse()?;
        let framework = catalog.framework(&self.framework)?;
        let engine = catalog.engine(&framework.kernels)?;
        let model = Job::in_precision(&dense(parameters)?, precision);
        let mut gpus = cluster.gpus;
        loop {
            let place = Cluster { gpus, nodes: gpus.div_ceil(cluster.gpus_per_node), ..cluster.clone() };
            let machine = Machine::new(&place, &framework, &engine)?;
            let job = Job {
                model: &model,
                machine: &machine,
                sequence: SEQUENCE,
                global_batch: (STEP_TOKENS / SEQUENCE).max(u64::from(gpus)),
                optimizer: Optimizer::Adam,
                tuning: Tuning::Full,
                with_prediction: false,
            };
            let axes = TrainingAxes { precision: vec![precision], ..TrainingAxes::usual(machine.per_node()) };
            let answer = TrainingQuestion { jobs: &[(precision, job)], axes: &axes, top: 1 }.answer()?;
            if let Some(best) = answer.best.first() {
                return Ok(best.mfu(Convention::SixN));
            }
            gpus = gpus.checked_mul(2).filter(|n| *n <= 65_536).ok_or_else(|| {
                Diagnostic::new(
                    Code::Usage,
                    format!("no plan for a model of {parameters:.2e} parameters fits"),
                )
                .help("state the utilisation with --mfu")
            })?;
        }
    }

    /// The budget in FLOPs, and the GPU's rate where one is named. The MFU depends on the model and the model
    /// on the MFU: three rounds settle both.
    fn settle(&self, catalog: &Catalog) -> Result<(Flops, Option<Rate>), Diagnostic> {
        let approach: Approach = self.approach.parse()?;
        let precision: Precision = self.precision.parse()?;
        let Some(cluster) = self.cluster(catalog)? else {
            let flops = large("--flops", self.flops.as_deref().unwrap_or(""))?;
            return Ok((Flops::new(flops), None));
        };
        let gpu = &cluster.gpu;
        let narrow = match precision {
            Precision::Bf16 => None,
            Precision::Fp8 | Precision::Mxfp8 => gpu.peak(crate::dtype::DType::Fp8),
            Precision::Nvfp4 => gpu.peak(crate::dtype::DType::Fp4),
        };
        let wanting = || {
            Diagnostic::new(Code::Catalog, format!("no peak of {} is known", self.precision))
                .at(format!("GPU {}", gpu.id))
        };
        let wide = gpu.peak_16bit().ok_or_else(wanting)?;
        let peak = if precision == Precision::Bf16 { wide } else { narrow.ok_or_else(wanting)? };
        let estimated = self.mfu.is_none();
        let mut rate =
            Rate { gpu: gpu.id.clone(), peak, mfu: self.mfu.unwrap_or(0.4), estimated, price: cluster.price };
        let mut flops = self.in_flops(&rate)?;
        for _ in 0..if estimated { 3 } else { 0 } {
            budget::check(flops)?;
            rate.mfu = self.estimated_mfu(&cluster, budget::best(approach, flops).parameters, catalog)?;
            flops = self.in_flops(&rate)?;
        }
        Ok((flops, Some(rate)))
    }

    fn in_flops(&self, rate: &Rate) -> Result<Flops, Diagnostic> {
        match (&self.flops, &self.gpu_hours, &self.dollars) {
            (Some(n), ..) => Ok(Flops::new(large("--flops", n)?)),
            (_, Some(hours), _) => Ok(rate.flops(large("--gpu-hours", hours)?)),
            (_, _, Some(dollars)) => {
                let price = rate.price.filter(|p| p.get() > 0.0).ok_or_else(|| {
                    Diagnostic::new(Code::Usage, format!("no price of {} is known", rate.gpu))
                        .at("--dollars")
                        .help(format!("state it with --price {}=2.10", rate.gpu))
                })?;
                Ok(rate.flops(large("--dollars", dollars)? / price.get()))
            }
            _ => Err(Diagnostic::new(Code::Usage, "name --flops, --gpu-hours or --dollars")),
        }
    }
}

/// Runs the command.
pub fn run(args: &BudgetArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    let approach: Approach = args.approach.parse()?;
    let (flops, rate) = args.settle(catalog)?;
    budget::check(flops)?;
    let served = args.inference_tokens.as_deref().map(|t| large("--inference-tokens", t)).transpose()?;
    let longer: Vec<Longer> = served.map(|n| budget::longer(approach, flops, n)).unwrap_or_default();
    let hours = |f: Flops| rate.as_ref().map(|r| f.get() / (r.peak.get() * r.mfu) / 3600.0);
    let dollars = |f: Flops| hours(f).zip(rate.as_ref()?.price).map(|(h, p)| h * p.get());
    let answer = Budgeted {
        flops,
        approach,
        longer: &longer,
        hours: &hours,
        dollars: &dollars,
        rate: rate.as_ref().map(|r| {
            json!({
                "gpu": r.gpu, "peak_tflops": report::round(r.peak.get() / 1e12),
                "mfu_percent": report::round(100.0 * r.mfu), "mfu_estimated": r.estimated,
                "usd_per_gpu_hour": r.price.map(|p| p.get()),
            })
        }),
    };
    let width = args.output.width();
    let text = format.write(width, || Ok(answer.text(width)), || Ok(answer.json()), || Ok(answer.sheet()))?;
    args.output.emit(&text)?;
    Ok(Outcome::Found)
}

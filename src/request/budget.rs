//! What a person asks of `budget`, and the FLOPs that the budget is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{range, share, usage, within};
use super::form::{self, in_fields};
use super::resolve::{at_price, of_gpus};
use super::trainer::{Asked, Trainer, Trainers};
use super::{Amount, Prices};
use crate::budget::{self, Approach, Longer};
use crate::catalog::{Catalog, Cluster, Engine, Framework};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::DType;
use crate::model::{self, Model};
use crate::stop::Stop;
use crate::train::{Convention, Job, Machine, Optimizer, Precision, TrainingAxes, TrainingQuestion, Tuning};
use crate::units::{Flops, FlopsPerSecond, UsdPerHour};

/// Most GPUs that an MFU is estimated on.
pub const MOST_GPUS: u64 = 65_536;

/// GPUs that an MFU is estimated on unless told otherwise.
pub const GPUS: u64 = 64;

/// The GPU that hours and dollars are of unless told otherwise.
pub const GPU: &str = "h100-sxm";

/// Tokens of a sequence and of a step that the MFU is estimated with: those of Llama 2 (arXiv:2307.09288 §2.2).
const SEQUENCE: u64 = 4096;
const STEP_TOKENS: u64 = 4_194_304;

/// The MFU from which its estimate sets out.
const FIRST_MFU: f64 = 0.4;

/// What a person asks of `budget`, in the names of the command line's options with underscores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BudgetRequest {
    /// Version of this form of a request; 1 is the only one.
    pub schema_version: Option<u64>,
    /// FLOPs of training, such as 1e24.
    pub flops: Option<Amount>,
    /// Hours of one GPU, such as 1e6.
    pub gpu_hours: Option<Amount>,
    /// Dollars of rent.
    pub dollars: Option<Amount>,
    /// Days on `gpus` GPUs.
    pub days: Option<Amount>,
    /// GPU, by name or YAML file: GPU-hours, dollars and days; h100-sxm for those when left out.
    pub gpu: Option<String>,
    /// GPUs that the MFU is estimated on; 64 when left out.
    #[schemars(range(min = 1, max = 65536))]
    pub gpus: Option<u64>,
    /// Price per GPU and hour in dollars, over the catalogue's: `{"h100-sxm": 2.10}`.
    pub price: Option<Prices>,
    /// Model FLOPs utilisation, above 0 and at most 1; that of the best plan for a model of the size when left out.
    #[schemars(extend("x-unit" = "share"))]
    pub mfu: Option<f64>,
    /// Training framework that the MFU is estimated for; when left out megatron-bridge, or where that does not run one that
    /// does.
    pub framework: Option<String>,
    /// Number format of products: bf16 (when left out), fp8, mxfp8, nvfp4.
    pub precision: Option<String>,
    /// The law that curves follow: 1, 2, 3 (as published) or 3-corrected (when left out).
    pub approach: Option<String>,
    /// Tokens that the model will serve, such as `10T`: smaller models trained longer, to the same loss.
    pub inference_tokens: Option<Amount>,
}

/// What the budget is said in.
#[derive(Clone, Copy, Debug)]
enum Spent {
    Flops(f64),
    GpuHours(f64),
    Dollars(f64),
}

/// A budget with every name looked up and every default in place.
#[derive(Clone, Debug)]
pub struct Budgeting {
    spent: Spent,
    cluster: Option<Cluster>,
    framework: Framework,
    engine: Engine,
    precision: Precision,
    mfu: Option<f64>,
    approach: Approach,
    served: Option<f64>,
}

/// A GPU at what it reaches.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The GPU.
    pub gpu: String,
    /// Its dense peak in the format of products.
    pub peak: FlopsPerSecond,
    /// Model FLOPs utilisation.
    pub mfu: f64,
    /// What it was estimated on; none where it was given.
    pub estimated: Option<EstimatedOn>,
    /// What an hour costs, if it is known.
    pub price: Option<UsdPerHour>,
}

/// What a utilisation is estimated on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstimatedOn {
    /// GPUs that train together: as many as were asked for, or as few more as a model of the size needs.
    pub gpus: u32,
    /// The framework's name.
    pub framework: String,
}

impl Pace {
    fn flops(&self, hours: f64) -> Flops {
        Flops::new(self.peak.get() * self.mfu * hours * 3600.0)
    }
}

/// What a budget comes to.
#[derive(Clone, Debug)]
pub struct Settled {
    /// FLOPs of training.
    pub flops: Flops,
    /// The law that the curve follows.
    pub approach: Approach,
    /// Smaller models trained longer; empty unless asked for.
    pub longer: Vec<Longer>,
    /// The GPU at what it reaches, where one is named.
    pub pace: Option<Pace>,
}

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

form::asked!(BudgetRequest);

impl BudgetRequest {
    /// Looks up every name and puts every default in place.
    ///
    /// # Errors
    /// What is wrong, in the names of the request's fields.
    pub fn resolve(&self, catalog: &Catalog) -> Result<Budgeting, Diagnostic> {
        self.resolve_as_flags(catalog).map_err(in_fields::<BudgetRequest>)
    }

    /// Resolves a request that was made on a command line.
    ///
    /// # Errors
    /// As [`BudgetRequest::resolve`], in the names of the command line's options.
    pub fn resolve_as_flags(&self, catalog: &Catalog) -> Result<Budgeting, Diagnostic> {
        form::version(self.schema_version)?;
        let approach = self.approach.as_deref().map_or(Ok(Approach::Corrected), str::parse)?;
        let precision: Option<Precision> = self.precision.as_deref().map(str::parse).transpose()?;
        let spent = self.spent()?;
        // GPU-hours and dollars are those of some GPU: the one that papers count in.
        let usual = (!matches!(spent, Spent::Flops(_))).then(|| GPU.to_owned());
        let gpu = self.gpu.clone().or(usual);
        let gpus = within("--gpus", self.gpus, 1..=MOST_GPUS)?.unwrap_or(GPUS);
        let gpus = u32::try_from(gpus).map_err(|_| range("--gpus", "too many GPUs"))?;
        let of = |gpu: &String| at_price(catalog, of_gpus(catalog, gpu, gpus)?, &self.price);
        let cluster = gpu.as_ref().map(of).transpose()?;
        let trainers = Trainers::of(catalog, self.framework.as_deref())?;
        let asked = Asked { precisions: precision.as_slice(), ..Asked::tuning(Tuning::Full) };
        let on = cluster.as_ref().and_then(|c| trainers.on(c, asked));
        let trainer = on.or(trainers.named.as_ref()).or(trainers.usual.first());
        let Trainer { framework, engine } = trainer.ok_or_else(|| usage("no framework is known"))?.clone();
        let usual =
            || cluster.as_ref().map_or(Precision::Bf16, |cluster| Precision::usual(&framework, &cluster.gpu));
        let precision = precision.unwrap_or_else(usual);
        Ok(Budgeting {
            spent,
            cluster,
            engine,
            framework,
            precision,
            mfu: share("--mfu", self.mfu)?,
            approach,
            served: self.inference_tokens.as_ref().map(|n| n.above_zero("--inference-tokens")).transpose()?,
        })
    }

    fn spent(&self) -> Result<Spent, Diagnostic> {
        match (&self.flops, &self.gpu_hours, &self.dollars, &self.days) {
            (Some(n), None, None, None) => Ok(Spent::Flops(n.above_zero("--flops")?)),
            (None, Some(n), None, None) => Ok(Spent::GpuHours(n.above_zero("--gpu-hours")?)),
            (None, None, Some(n), None) => Ok(Spent::Dollars(n.above_zero("--dollars")?)),
            (None, None, None, Some(n)) => {
                Ok(Spent::GpuHours(n.above_zero("--days")? * 24.0 * self.gpus.unwrap_or(GPUS) as f64))
            }
            (None, None, None, None) => Err(usage("name --flops, --gpu-hours, --dollars or --days")),
            _ => Err(usage("--flops, --gpu-hours, --dollars and --days exclude each other")
                .help("give one of them")),
        }
    }
}

impl Budgeting {
    /// Where the MFU is estimated, if a GPU is named.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// The budget in FLOPs, and the GPU's pace where one is named. The MFU depends on the model and the model on the
    /// MFU: three rounds settle both.
    ///
    /// # Errors
    /// No peak or price of the GPU is known; no plan for a model of the size fits; a budget beyond what the laws know.
    pub fn settle(&self) -> Result<Settled, Diagnostic> {
        let (flops, pace) = self.flops_and_pace()?;
        budget::check(flops)?;
        let longer = self.served.map(|n| budget::longer(self.approach, flops, n)).unwrap_or_default();
        Ok(Settled { flops, approach: self.approach, longer, pace })
    }

    fn flops_and_pace(&self) -> Result<(Flops, Option<Pace>), Diagnostic> {
        let (Some(cluster), spent) = (&self.cluster, self.spent) else {
            return match self.spent {
                Spent::Flops(n) => Ok((Flops::new(n), None)),
                _ => Err(usage("GPU-hours and dollars are those of a GPU")),
            };
        };
        let gpu = &cluster.gpu;
        let narrow = match self.precision {
            Precision::Bf16 | Precision::Fp16 => None,
            Precision::Fp8 | Precision::Mxfp8 => gpu.peak(DType::Fp8),
            Precision::Nvfp4 => gpu.peak(DType::Fp4),
        };
        let wanting = || {
            let cause = format!("no peak of {} is known", self.precision.name());
            Diagnostic::new(Code::Catalog, cause).at(format!("GPU {}", gpu.id))
        };
        let wide = gpu.peak_16bit().ok_or_else(wanting)?;
        let mut pace = Pace {
            gpu: gpu.id.clone(),
            peak: if self.precision.is_wide() { wide } else { narrow.ok_or_else(wanting)? },
            mfu: self.mfu.unwrap_or(FIRST_MFU),
            estimated: None,
            price: cluster.price,
        };
        let mut flops = in_flops(spent, &pace)?;
        for _ in 0..if self.mfu.is_none() { 3 } else { 0 } {
            budget::check(flops)?;
            let (mfu, gpus) = self.estimated_mfu(cluster, budget::best(self.approach, flops).parameters)?;
            pace.mfu = mfu;
            pace.estimated = Some(EstimatedOn { gpus, framework: self.framework.name.clone() });
            flops = in_flops(spent, &pace)?;
        }
        Ok((flops, Some(pace)))
    }

    /// The MFU of the best plan for a model of `parameters`, and on how many GPUs; more where it fits on none of fewer.
    fn estimated_mfu(&self, cluster: &Cluster, parameters: f64) -> Result<(f64, u32), Diagnostic> {
        let precision = self.precision;
        let model = Job::in_precision(&dense(parameters)?, precision);
        let mut gpus = cluster.gpus;
        loop {
            let place = Cluster { gpus, nodes: gpus.div_ceil(cluster.gpus_per_node), ..cluster.clone() };
            let machine = Machine::new(&place, &self.framework, &self.engine)?;
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
            let answer =
                TrainingQuestion { jobs: &[(precision, job)], axes: &axes, top: 1, stop: Stop::NEVER }
                    .answer()?;
            if let Some(best) = answer.best.first() {
                return Ok((best.mfu(Convention::SixN), gpus));
            }
            gpus = gpus.checked_mul(2).filter(|n| u64::from(*n) <= MOST_GPUS).ok_or_else(|| {
                usage(format!("no plan for a model of {parameters:.2e} parameters fits"))
                    .help("state the utilisation with --mfu")
            })?;
        }
    }
}

fn in_flops(spent: Spent, pace: &Pace) -> Result<Flops, Diagnostic> {
    match spent {
        Spent::Flops(n) => Ok(Flops::new(n)),
        Spent::GpuHours(hours) => Ok(pace.flops(hours)),
        Spent::Dollars(dollars) => {
            let price = pace.price.filter(|p| p.get() > 0.0).ok_or_else(|| {
                usage(format!("no price of {} is known", pace.gpu))
                    .at("--dollars")
                    .help(format!("state it with --price {}=2.10", pace.gpu))
            })?;
            Ok(pace.flops(dollars / price.get()))
        }
    }
}

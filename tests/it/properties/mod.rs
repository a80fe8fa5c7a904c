//! Physics that every estimate keeps, for random models, GPUs, engines, splits and loads.
//!
//! The seed is fixed, so that a failure is the same everywhere; `PROPTEST_CASES=5000` looks further and
//! `PROPTEST_RNG_SEED` elsewhere.

mod memory;
mod service;
mod space;
mod splits;
mod time;

use std::sync::OnceLock;

use itertools::Itertools;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed};
use shardfit::catalog::{self, Cluster, Engine, Gpu, Kind, entries};
use shardfit::dtype::{DType, WeightFormat};
use shardfit::estimate::context::{Context, ContextParts};
use shardfit::estimate::deployment::Deployment;
use shardfit::estimate::estimated::Estimate;
use shardfit::estimate::memory::{LimitOverrides, Verdict, stage_layers, weights_on_rank};
use shardfit::model::operator::{Operator, OperatorKind, Step};
use shardfit::model::{self, Model, RankGroups, Scope, Split, Storage, Tensor};
use shardfit::plan::space::ALL_REPLICAS;
use shardfit::plan::{BatchPoint, Layout, Parallelism, Placement, Plan, PlanSpace};
use shardfit::rank::Objective;
use shardfit::search::Question;
use shardfit::units::{Bytes, RequestsPerSecond, Seconds};
use shardfit::workload::{Load, Targets, Workload};

fn config(cases: u32) -> Config {
    let default = Config::default();
    let chosen = |name: &str| std::env::var_os(name).is_some();
    Config {
        cases: if chosen("PROPTEST_CASES") { default.cases } else { cases },
        rng_seed: if chosen("PROPTEST_RNG_SEED") { default.rng_seed } else { RngSeed::Fixed(20_260_311) },
        failure_persistence: None,
        ..default
    }
}

/// Relative slack for rounding in sums of a few hundred terms.
const SLACK: f64 = 1e-9;

fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| {
        entries(Kind::Model).iter().map(|e| model::find(e.id, &[], Scope::Full).unwrap()).collect()
    })
}

fn engines() -> &'static [Engine] {
    static ENGINES: OnceLock<Vec<Engine>> = OnceLock::new();
    ENGINES.get_or_init(|| catalog::engines().unwrap())
}

/// GPUs that some engine runs on.
fn gpus() -> &'static [Gpu] {
    static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
    GPUS.get_or_init(|| {
        let all = entries(Kind::Gpu).iter().map(|e| catalog::gpu(e.id).unwrap());
        let served = all.filter(|g| engines().iter().any(|e| e.runs_on(g)));
        served.collect()
    })
}

/// A random deployment question, by index into what there is.
#[derive(Clone, Debug)]
struct Draw {
    model: Index,
    gpu: Index,
    engine: Index,
    split: Index,
    /// Logarithm to base 2 of the number of GPUs.
    gpus: u32,
    weights: Option<WeightFormat>,
    isl: u64,
    osl: u64,
}

fn draw() -> impl Strategy<Value = Draw> {
    let weights = prop_oneof![
        3 => Just(None),
        1 => prop::sample::select(WeightFormat::ALL.to_vec()).prop_map(Some),
    ];
    let lengths = (1u64..20_000, 1u64..3_000);
    let what = (any::<Index>(), any::<Index>(), any::<Index>(), any::<Index>());
    (what, 0u32..6, weights, lengths).prop_map(|((model, gpu, engine, split), gpus, weights, (isl, osl))| {
        Draw { model, gpu, engine, split, gpus, weights, isl, osl }
    })
}

impl Draw {
    fn model(&self) -> Model {
        let model = self.model.get(models()).clone();
        match self.weights {
            Some(format) => model.with_weights(format),
            None => model,
        }
    }

    fn engine(&self, gpu: &Gpu) -> &'static Engine {
        let fit: Vec<&Engine> = engines().iter().filter(|e| e.runs_on(gpu)).collect();
        fit[self.engine.index(fit.len())]
    }

    fn workload(&self) -> Workload {
        Workload::new(self.isl, self.osl)
    }
}

/// Everything a context borrows.
struct Owned {
    model: Model,
    cluster: Cluster,
    engine: &'static Engine,
    limits: LimitOverrides,
    workload: Workload,
}

impl Owned {
    fn of(draw: &Draw) -> Owned {
        let gpu = draw.gpu.get(gpus()).clone();
        let engine = draw.engine(&gpu);
        Owned {
            model: draw.model(),
            limits: LimitOverrides::default(),
            cluster: Cluster::of_gpus(gpu, 1 << draw.gpus).unwrap(),
            engine,
            workload: draw.workload(),
        }
    }

    fn context(&self) -> Context<'_> {
        self.context_under(self.engine)
    }

    fn context_under<'a>(&'a self, engine: &'a Engine) -> Context<'a> {
        Context::new(ContextParts {
            model: &self.model,
            cluster: &self.cluster,
            engine,
            limits: self.limits,
            kv: None,
            workload: self.workload,
            electricity: None,
        })
        .unwrap()
    }

    /// The same on another GPU.
    fn on(&self, change: impl FnOnce(&mut Gpu)) -> Owned {
        let mut cluster = self.cluster.clone();
        change(&mut cluster.gpu);
        Owned {
            model: self.model.clone(),
            cluster,
            engine: self.engine,
            limits: self.limits,
            workload: self.workload,
        }
    }
}

/// Splits of up to 64 GPUs that the rules pass.
fn legal(context: &Context) -> Vec<(Parallelism, Placement)> {
    let powers = || (0..7u32).map(|e| 1 << e);
    let contexts = |tp: u32| [1, 2, tp].into_iter().filter(move |d| *d <= tp).dedup();
    let mut found = Vec::new();
    let degrees = powers().flat_map(|tp| contexts(tp).map(move |dcp| (tp, dcp)));
    for ((tp, dcp), attention_dp) in degrees.cartesian_product(powers().collect::<Vec<_>>()) {
        for pp in [1, 2, 3, 4, 8] {
            for ep in [1, tp * attention_dp] {
                let split = Parallelism { tp, pp, ep, attention_dp, dcp };
                if let Ok(placement) = context.check(split) {
                    found.push((split, placement));
                }
            }
        }
    }
    found
}

/// Runs `check` on a legal deployment of the draw; draws without one pass.
fn with_deployment(
    draw: &Draw,
    check: impl FnOnce(&Context, &Deployment) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let owned = Owned::of(draw);
    let context = owned.context();
    let splits = legal(&context);
    if splits.is_empty() {
        return Ok(());
    }
    let (split, placement) = *draw.split.get(&splits);
    let deployment = Deployment::compile(&context, split, placement);
    check(&context, &deployment)
}

/// A plan of a deployment.
fn plan(deployment: &Deployment, batch: BatchPoint) -> Plan {
    let layout = Layout { pool: 0, engine: 0, precision: 0, launch: 0, parallelism: deployment.parallelism };
    Plan { id: 0, layout, replicas: ALL_REPLICAS, batch, prefill: None }
}

/// Weights of the heaviest rank of any stage.
fn heaviest(model: &Model, split: Parallelism) -> Bytes {
    let stages = stage_layers(model, split.pp);
    let last = stages.len() - 1;
    let on =
        |(i, counts): (usize, &Vec<u64>)| weights_on_rank(model, split.groups(), counts, (i == 0, i == last));
    stages.iter().enumerate().map(on).max().unwrap()
}

/// Every tensor of a model with its format and its number of layers.
fn tensors(model: &Model) -> Vec<(Tensor, Storage, u64)> {
    let mut found = Vec::new();
    let mut list = Vec::new();
    model.before.iter().chain(&model.after).for_each(|b| b.tensors(&mut list));
    list.extend(model.towers.iter().cloned());
    found.extend(list.drain(..).map(|t| (model.quantisation.outside(&t), t)).map(|(s, t)| (t, s, 1)));
    for group in &model.groups {
        found.extend(group.tensors().map(|(t, storage)| (t, storage, group.layers.len() as u64)));
    }
    found
}

/// The least time an operator may take: its FLOPs at the datasheet's peak, its bytes at the datasheet's
/// bandwidth. Collectives move their bytes over links, not through memory.
fn roofline(operator: &Operator, step: &Step, gpu: &Gpu) -> (f64, f64) {
    let narrow = |dtype: DType| gpu.peak(dtype).map_or(0.0, |p| p.get());
    let wide = gpu.peak_16bit().unwrap().get();
    let peak = match &operator.kind {
        OperatorKind::Gemm { format, .. } => wide.max(narrow(format.element())),
        OperatorKind::GroupedGemm(e) => wide.max(narrow(e.format.element())),
        OperatorKind::PrefillAttention(a) => wide.max(narrow(a.kv)),
        OperatorKind::DecodeAttention(a) => wide.max(narrow(a.kv)),
        OperatorKind::LatentPrefill(l) | OperatorKind::LatentDecode(l) => wide.max(narrow(l.kv)),
        _ => wide,
    };
    let bytes = match operator.kind {
        OperatorKind::Collective { .. } => 0.0,
        _ => operator.traffic(step).get(),
    };
    (operator.flops(step).get() / peak, bytes / gpu.bandwidth.get())
}

/// By how much a GPU's fits exceed its datasheet. The decode attention of Arc Pro B60 was measured at 1.10
/// times its bandwidth, presumably out of the cache; every other GPU keeps to the roofline.
fn above_datasheet(gpu: &Gpu) -> f64 {
    if gpu.id == "arc-pro-b60" { 1.11 } else { 1.0 }
}

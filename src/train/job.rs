//! One training job: a model, a machine and a batch; what a plan means for it.

use crate::model::Model;
use crate::units::{Bytes, FlopsPerSecond, TokensPerSecond};

use super::flops::{Convention, TokenFlops};
use super::layer::{Shape, Work};
use super::machine::Machine;
use super::memory::{Keeping, Memory};
use super::plan::{Offload, Optimizer, Precision, Recompute, Schedule, TrainingPlan, Tuning};
use super::stage::{Layers, Parts, Stage};
use super::step::{self, StepTime, Transfers};

/// What is trained, on what, in which steps.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The model, with adapters where they are trained.
    pub model: &'a Model,
    /// Where it runs.
    pub machine: &'a Machine<'a>,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Sequences of a step, over all ranks.
    pub global_batch: u64,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Which weights are trained.
    pub tuning: Tuning,
    /// Whether multi-token prediction is trained too.
    pub with_prediction: bool,
}

/// What a plan means for a job.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingEstimate {
    /// The plan.
    pub plan: TrainingPlan,
    /// Microbatches of each rank in a step.
    pub microbatches: u64,
    /// The step.
    pub time: StepTime,
    /// Memory of each stage that differs: number of the first such stage, how many, memory.
    pub stages: Vec<(u32, u32, Memory)>,
    /// What the GPUs of the fullest node leave in its host's memory.
    pub host: Bytes,
    /// Tokens of a step.
    pub tokens: f64,
    /// GPUs.
    pub gpus: u64,
    /// FLOPs of a token.
    pub flops: TokenFlops,
    /// Peak of the number format, on the datasheet.
    pub peak: FlopsPerSecond,
    /// 16-bit peak.
    pub peak_16bit: FlopsPerSecond,
}

impl TrainingEstimate {
    /// Memory of the fullest stage.
    pub fn fullest(&self) -> Memory {
        let all = self.stages.iter().map(|(_, _, m)| *m);
        all.max_by_key(Memory::total).unwrap_or_default()
    }

    /// Tokens per second of one GPU.
    pub fn tokens_per_gpu(&self) -> TokensPerSecond {
        TokensPerSecond::of(self.tokens / self.gpus as f64, self.time.total())
    }

    /// FLOP/s of one GPU as a convention counts them.
    pub fn rate(&self, convention: Convention) -> FlopsPerSecond {
        FlopsPerSecond::new(self.flops.counted(convention).get() * self.tokens_per_gpu().get())
    }

    /// Model FLOPs over the peak of the number format.
    pub fn mfu(&self, convention: Convention) -> f64 {
        self.rate(convention).get() / self.peak.get()
    }

    /// FLOPs that the hardware computes, repeated ones included, over the peak of the number format.
    pub fn hfu(&self, convention: Convention) -> f64 {
        let again = match self.plan.recompute {
            Recompute::Full => self.flops.forward_share(),
            _ if self.time.compute > 0.0 => self.time.again / self.time.compute,
            _ => 0.0,
        };
        self.mfu(convention) * (1.0 + again)
    }

    /// Share of the pipeline's time that is its filling and draining.
    pub fn bubble(&self) -> f64 {
        self.time.bubble / self.time.total
    }
}

impl<'a> Job<'a> {
    /// A model as its products compute in a precision.
    #[must_use]
    pub fn in_precision(model: &Model, precision: Precision) -> Model {
        let wide = model.clone().with_weights(Precision::Bf16.format());
        if precision.is_wide() { wide } else { wide.with_weights(precision.format()) }
    }

    /// What memory depends on.
    pub fn keeping(&self) -> Keeping<'a> {
        Keeping {
            framework: self.machine.framework,
            optimizer: self.optimizer,
            tuning: self.tuning,
            per_node: self.machine.per_node(),
        }
    }

    /// The shape of a plan's layers.
    pub fn shape(&self, plan: &TrainingPlan) -> Shape {
        Shape {
            split: plan.split,
            micro_batch: plan.micro_batch,
            sequence: self.sequence,
            transfers: plan.transfers,
            tuning: self.tuning,
            network: plan.networks.tensor,
        }
    }

    /// The model taken apart for the shape of a plan.
    pub fn parts(&self, plan: &TrainingPlan) -> Parts {
        Parts::of(self.model, self.machine, self.shape(plan), self.with_prediction)
    }

    /// The stages of a plan; `None` where a stage would be empty.
    pub fn stages(&self, plan: &TrainingPlan) -> Option<Vec<Stage>> {
        let layers = Layers::of(self.model, plan.split.pp, plan.chunks)?;
        Some(self.parts(plan).stages(&layers, plan.schedule == Schedule::DualPipe))
    }

    /// Transfers of a plan between replicas and stages.
    pub fn transfers(&self, plan: &TrainingPlan, stages: &[Stage]) -> Transfers {
        let by_size = |a: &&Stage, b: &&Stage| {
            (a.work.dense + a.work.experts).total_cmp(&(b.work.dense + b.work.experts))
        };
        let fullest = stages.iter().max_by(by_size).map_or_else(Work::default, |s| s.work);
        Transfers::of(self.machine, plan, &fullest, self.hop_bytes(plan))
    }

    /// Bytes that a rank hands to the next stage.
    fn hop_bytes(&self, plan: &TrainingPlan) -> f64 {
        // Each tensor-parallel rank sends its part; where all need the whole they gather it over the fast
        // link (arXiv:2104.04473 §4.1).
        f64::from(plan.micro_batch) * self.sequence as f64 / f64::from(plan.split.cp)
            * self.model.hidden as f64
            * 2.0
            / f64::from(plan.split.tp)
    }

    /// FLOPs of a token.
    pub fn flops(&self) -> TokenFlops {
        TokenFlops::of(self.model, self.sequence, self.tuning.trained(), self.with_prediction)
    }

    /// Everything about one plan; `None` where it cannot be run at all: a global batch that does not divide,
    /// an empty stage.
    pub fn estimate(&self, plan: &TrainingPlan) -> Option<TrainingEstimate> {
        let microbatches = plan.microbatches(self.global_batch)?;
        let stages = self.stages(plan)?;
        let keeping = self.keeping();
        let transfers = self.transfers(plan, &stages);
        let time = step::time(self.machine, &keeping, plan, &stages, &transfers, microbatches);
        let memory = |s: &Stage| (s.first, s.count, keeping.memory(plan, s, microbatches));
        let all: Vec<(u32, u32, Memory)> = stages.iter().map(memory).collect();
        let gpu = &self.machine.cluster.gpu;
        let peak_16bit = gpu.peak_16bit().unwrap_or(FlopsPerSecond::ZERO);
        let narrow = self.machine.narrow(plan.precision.format()).and_then(|dtype| gpu.peak(dtype));
        Some(TrainingEstimate {
            plan: *plan,
            microbatches,
            time,
            host: on_host(plan, self.machine.per_host(), all.iter().map(|(_, count, m)| (*count, m.host))),
            stages: all,
            tokens: self.global_batch as f64 * self.sequence as f64,
            gpus: plan.split.gpus(),
            flops: self.flops(),
            peak: narrow.unwrap_or(peak_16bit),
            peak_16bit,
        })
    }

    /// Memory that a rank may fill.
    pub fn capacity(&self) -> Bytes {
        self.machine.cluster.gpu.memory
    }
}

/// What the GPUs of the fullest node leave in its host's memory, of stages with `count` alike and what a rank of each leaves.
/// Ranks of a stage stand together, stages one after the other.
pub(super) fn on_host(plan: &TrainingPlan, per_host: u32, stages: impl Iterator<Item = (u32, f64)>) -> Bytes {
    if plan.offload == Offload::default() {
        return Bytes::ZERO;
    }
    let each: Vec<f64> = stages.flat_map(|(count, host)| std::iter::repeat_n(host, count as usize)).collect();
    let (ranks, node) = (plan.split.stage_ranks().max(1), u64::from(per_host));
    let together = usize::try_from((node / ranks).max(1)).unwrap_or(usize::MAX);
    let fullest = each.chunks(together).map(|stages| stages.iter().sum::<f64>()).fold(0.0, f64::max);
    Bytes::ceil(fullest * ranks.min(node) as f64)
}

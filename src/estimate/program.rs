//! The program of a step: every operator that a stage executes, with its kernel resolved once per
//! layout, so that timing a step allocates nothing and looks nothing up.

use crate::catalog::Cluster;
use crate::catalog::kernels::{DecodeAttention, PowerShares, PrefillAttention};
use crate::dtype::DType;
use crate::model::blocks::{Block, RankView};
use crate::model::operator::{CollectiveKind, Operator, OperatorKind, RankGroup, Step};
use crate::model::{Formats, Model};
use crate::plan::{Parallelism, Placement};
use crate::units::{Seconds, Traffic};

use super::Bound;
use super::collectives::CollectiveTimer;
use super::kernels::{AttentionKernel, ExpertsKernel, GemmKernel, KernelTime, Kernels, SmallKernelTimer};
use super::memory::stage_layers;

/// What is needed to compile a layout.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The model, at the plan's precision.
    pub model: &'a Model,
    /// The kernels of the engine on the GPU.
    pub kernels: &'a Kernels<'a>,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The split.
    pub parallelism: Parallelism,
    /// Where the ranks stand.
    pub placement: Placement,
    /// Type of the KV cache.
    pub kv: DType,
}

/// The resolved kernel of an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Timer {
    Gemm(GemmKernel),
    Small(SmallKernelTimer),
    Experts(ExpertsKernel),
    Prefill(AttentionKernel<PrefillAttention>),
    Decode(AttentionKernel<DecodeAttention>),
    Collective(CollectiveTimer),
}

impl Timer {
    /// Its launch floor inside a CUDA graph.
    fn launch(&self) -> Seconds {
        match self {
            Timer::Gemm(kernel) => kernel.launch(),
            Timer::Experts(kernel) => kernel.launch(),
            Timer::Prefill(kernel) => kernel.form().launch,
            Timer::Decode(kernel) => kernel.form().launch,
            Timer::Small(_) | Timer::Collective(_) => Seconds::ZERO,
        }
    }
}

/// An operator with its kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Instruction {
    operator: Operator,
    timer: Timer,
    fitted: bool,
    /// What its launch costs more outside a CUDA graph.
    eager: Seconds,
    /// Floor per cached token of a decoding sequence, where query heads do not share their KV head.
    unshared: Seconds,
}

impl Instruction {
    /// One execution. Steps that only decode replay a CUDA graph; those with prompts are launched kernel
    /// by kernel.
    fn time(&self, step: &Step) -> KernelTime {
        let mut kernel = self.in_graph(step);
        if step.prefill_tokens > 0.0 && kernel.time > Seconds::ZERO {
            kernel.time += self.eager;
        }
        kernel
    }

    fn in_graph(&self, step: &Step) -> KernelTime {
        let op = &self.operator;
        match (&op.kind, &self.timer) {
            (OperatorKind::Gemm { rows, n, k, .. }, Timer::Gemm(kernel)) => {
                kernel.time(rows.count(step), *n as f64, *k as f64)
            }
            (OperatorKind::GroupedGemm(e), Timer::Experts(kernel)) => kernel.time(e, step),
            (OperatorKind::PrefillAttention(a), Timer::Prefill(kernel)) => {
                kernel.time(a, op.flops(step), op.traffic(step), step)
            }
            (OperatorKind::DecodeAttention(a), Timer::Decode(kernel)) => {
                let shared = kernel.time(a, op.traffic(step), step);
                let keys = step.context.min(a.window.map_or(f64::INFINITY, |w| w as f64));
                KernelTime { time: shared.time.max(self.unshared * (step.decode_sequences * keys)), ..shared }
            }
            (OperatorKind::LatentPrefill(l), Timer::Prefill(kernel)) => {
                kernel.latent_time(l, op.flops(step), op.traffic(step), step)
            }
            (OperatorKind::LatentDecode(l), Timer::Decode(kernel)) => {
                kernel.latent_time(l, op.traffic(step), step)
            }
            (OperatorKind::Elementwise { kernels, .. }, Timer::Small(kernel)) => {
                kernel.time(*kernels as f64, op.flops(step), op.traffic(step))
            }
            (_, Timer::Small(kernel)) => kernel.time(1.0, op.flops(step), op.traffic(step)),
            (_, Timer::Collective(timer)) => KernelTime::idle(timer.time(op.traffic(step)), Bound::Network),
            _ => KernelTime::NONE,
        }
    }
}

/// Time of a step, and how much of it rests on fitted forms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// Time.
    pub total: Seconds,
    /// The part from forms fitted on this GPU.
    pub fitted: Seconds,
    /// The time at the board's power limit that draws as much above idle.
    pub drawn: Seconds,
}

/// What one stage executes in a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    instructions: Vec<Instruction>,
}

/// One line of an explanation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// The operator, with its count of executions.
    pub operator: Operator,
    /// Time of all executions.
    pub time: Seconds,
    /// What bounds it.
    pub bound: Bound,
    /// Whether its form was fitted on this GPU.
    pub fitted: bool,
}

impl Program {
    /// Time of one step through the stage.
    pub fn time(&self, step: &Step, power: &PowerShares) -> StepTime {
        let mut sum = StepTime::default();
        for i in &self.instructions {
            let kernel = i.time(step);
            let count = i.operator.count as f64;
            let time = kernel.time * count;
            sum.total += time;
            sum.drawn += kernel.drawn(power) * count;
            if i.fitted {
                sum.fitted += time;
            }
        }
        sum
    }

    /// Time of one step through the stage, and nothing else.
    fn total(&self, step: &Step) -> Seconds {
        self.instructions.iter().map(|i| i.time(step).time * i.operator.count as f64).sum()
    }

    /// The step operator by operator; operators without work are left out.
    pub fn explain(&self, step: &Step) -> Vec<Line> {
        let line = |i: &Instruction| {
            let kernel = i.time(step);
            let time = kernel.time * i.operator.count as f64;
            Line { operator: i.operator, time, bound: kernel.bound, fitted: i.fitted }
        };
        self.instructions.iter().map(line).filter(|l| l.time.get() > 0.0).collect()
    }
}

/// The programs of a replica's stages, and the hand-offs between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Stages.
    pub stages: u32,
    /// All stages together.
    whole: Program,
    /// The stages that differ, if there are several: the slowest sets the pace, and which one that is
    /// depends on the step.
    paces: Vec<Program>,
    power: PowerShares,
    hop_latency: Seconds,
    hop_seconds_per_byte: f64,
    hop_bytes_per_token: f64,
}

/// Times of one step of a replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PipelineTime {
    /// From the first stage's start to the last stage's end.
    pub latency: Seconds,
    /// Between two steps in steady state: the slowest stage.
    pub interval: Seconds,
    /// Share of the latency that rests on fitted forms.
    pub fitted_share: f64,
    /// The time at the board's power limit that draws as much above idle, over the ranks of all stages:
    /// one of each.
    pub drawn: Seconds,
}

impl Pipeline {
    /// Compiles a layout.
    pub fn compile(t: &Target) -> Pipeline {
        let stages = stage_layers(t.model, t.parallelism.pp);
        let whole =
            compile(t, &t.model.groups.iter().map(|g| g.layers.len() as u64).collect::<Vec<_>>(), true, true);
        let last = stages.len() - 1;
        let mut distinct: Vec<(&[u64], bool, bool)> = Vec::new();
        for stage in stages.iter().enumerate().map(|(i, counts)| (counts.as_slice(), i == 0, i == last)) {
            if last > 0 && !distinct.contains(&stage) {
                distinct.push(stage);
            }
        }
        let paces =
            distinct.into_iter().map(|(counts, first, last)| compile(t, counts, first, last)).collect();
        let (hop_latency, hop_seconds_per_byte) = hops(t);
        Pipeline {
            stages: t.parallelism.pp,
            whole,
            paces,
            power: t.kernels.power,
            hop_latency,
            hop_seconds_per_byte,
            // Each tensor-parallel rank sends its share of the activations (16 bits).
            hop_bytes_per_token: 2.0 * t.model.hidden as f64 / f64::from(t.parallelism.tp),
        }
    }

    /// Times of one step.
    pub fn time(&self, step: &Step) -> PipelineTime {
        let whole = self.whole.time(step, &self.power);
        let slowest = self.paces.iter().map(|p| p.total(step)).reduce(Seconds::max);
        let interval = slowest.unwrap_or(whole.total);
        let hops = self.hop(step) * f64::from(self.stages - 1);
        let fitted_share = if whole.total.get() > 0.0 { whole.fitted / whole.total } else { 0.0 };
        PipelineTime { latency: whole.total + hops, interval, fitted_share, drawn: whole.drawn }
    }

    /// One hand-off between stages.
    pub fn hop(&self, step: &Step) -> Seconds {
        let bytes = Traffic::new(step.tokens() * self.hop_bytes_per_token);
        self.hop_latency + Seconds::new(bytes.get() * self.hop_seconds_per_byte)
    }

    /// The step operator by operator, over all stages.
    pub fn explain(&self, step: &Step) -> Vec<Line> {
        self.whole.explain(step)
    }
}

/// Latency of one hand-off between stages and its time per byte, averaged over those inside a bridge,
/// inside a node and between nodes.
fn hops(t: &Target) -> (Seconds, f64) {
    let (p, cluster) = (&t.placement, t.cluster);
    let bridge = cluster.bridge.as_ref().map_or(cluster.scale_up, |b| b.bridge.link);
    let links = [
        (p.hops_bridged, bridge.latency, bridge.bandwidth),
        (p.hops_inside, cluster.scale_up.latency, cluster.scale_up.bandwidth),
        (p.hops_across, cluster.scale_out.latency, cluster.scale_out.under_load()),
    ];
    let all = f64::from(links.iter().map(|(hops, ..)| hops).sum::<u32>().max(1));
    links.iter().fold((Seconds::ZERO, 0.0), |(latency, per_byte), (hops, one, bandwidth)| {
        let share = f64::from(*hops) / all;
        (latency + *one * share, per_byte + share / bandwidth.get())
    })
}

/// The program of a stage that holds `counts[g]` layers of each group.
fn compile(t: &Target, counts: &[u64], first: bool, last: bool) -> Program {
    let view = |formats: Formats| RankView { groups: t.parallelism.groups(), formats, kv: t.kv };
    let outer = view(t.model.outer_formats());
    let mut program = Program::default();
    let mut operators = Vec::with_capacity(24);
    let mut emit = |blocks: &[Block], view: &RankView, layers: u64| {
        operators.clear();
        blocks.iter().for_each(|b| b.operators(view, &mut operators));
        for operator in operators.drain(..) {
            let operator = Operator { count: operator.count * layers, ..operator };
            let (timer, fitted) = resolve(t, &operator.kind);
            let (eager, unshared) = (t.kernels.eager_launch(timer.launch()), unshared(t, &operator.kind));
            program.instructions.push(Instruction { operator, timer, fitted, eager, unshared });
        }
    };
    if first {
        emit(&t.model.before, &outer, 1);
    }
    for (group, layers) in t.model.groups.iter().zip(counts).filter(|(_, n)| **n > 0) {
        emit(&group.blocks, &view(group.formats), *layers);
    }
    if last {
        emit(&t.model.after, &outer, 1);
    }
    program
}

/// Finds the kernel of an operator.
fn resolve(t: &Target, kind: &OperatorKind) -> (Timer, bool) {
    let k = t.kernels;
    // Small kernels are alike on all measured GPUs.
    let measured = !k.gpu.kernels.gemm.is_empty();
    match kind {
        OperatorKind::Gemm { format, .. } => wrap(k.gemm(*format), Timer::Gemm),
        OperatorKind::GroupedGemm(e) => wrap(k.experts(e.format), Timer::Experts),
        OperatorKind::PrefillAttention(a) => wrap(k.prefill_attention(a.kv), Timer::Prefill),
        OperatorKind::DecodeAttention(a) => wrap(k.decode_attention(a.kv), Timer::Decode),
        OperatorKind::LatentPrefill(l) => wrap(k.latent_prefill(l.kv), Timer::Prefill),
        OperatorKind::LatentDecode(l) => wrap(k.latent_decode(l.kv), Timer::Decode),
        OperatorKind::Collective { kind, group, .. } => collective(t, *kind, *group),
        OperatorKind::BatchedGemm { .. } => (Timer::Small(k.batched_gemm()), measured),
        OperatorKind::Scan(_) => (Timer::Small(k.scan()), false),
        OperatorKind::Sampling { .. } => (Timer::Small(k.sampling()), measured),
        OperatorKind::Elementwise { .. } | OperatorKind::Embedding { .. } => {
            (Timer::Small(k.elementwise()), measured)
        }
    }
}

/// What one cached token of one sequence costs at least where each query head reads the KV cache by
/// itself, on the cores instead of the tensor cores: `2·heads·d` elements at the rate of a multiprocessor.
fn unshared(t: &Target, kind: &OperatorKind) -> Seconds {
    let Some(alone) = &t.kernels.engine.unshared_heads else { return Seconds::ZERO };
    match kind {
        OperatorKind::DecodeAttention(a) if !alone.except.contains(&(a.heads / a.kv_heads.max(1))) => {
            let rate = alone.elements_per_multiprocessor * f64::from(t.kernels.gpu.multiprocessors);
            Seconds::new(2.0 * (a.heads * a.head_dim) as f64 / rate)
        }
        _ => Seconds::ZERO,
    }
}

fn wrap<K>((kernel, fitted): (K, bool), timer: fn(K) -> Timer) -> (Timer, bool) {
    (timer(kernel), fitted)
}

fn collective(t: &Target, kind: CollectiveKind, group: RankGroup) -> (Timer, bool) {
    let link = match group {
        RankGroup::Tensor => t.placement.tensor,
        RankGroup::Experts => t.placement.stage,
    };
    let timer = CollectiveTimer::new(kind, link, t.cluster, t.kernels.engine);
    (Timer::Collective(timer), timer.fitted)
}

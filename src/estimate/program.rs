//! The program of a step: every operator that a stage executes, with its kernel resolved once per
//! layout, so that timing a step allocates nothing and looks nothing up.

mod draft;
mod encoder;
mod host;
mod instruction;
mod step_time;

use std::sync::Arc;

use crate::catalog::kernels::PowerShares;
use crate::catalog::{Cluster, Host};
use crate::dtype::DType;
use crate::model::blocks::{Block, RankView};
use crate::model::media::Media;
use crate::model::operator::{CollectiveKind, Operator, OperatorKind, RankGroup, Step};
use crate::model::tensor::Component;
use crate::model::{Formats, LayerGroup, Model};
use crate::plan::{GroupLink, Offload, Parallelism, Placement};
use crate::units::{Seconds, Traffic};

use super::collectives::CollectiveTimer;
use super::kernels::Kernels;
use super::measured::Surface;
use super::memory::{StageLayers, spread};
use super::stages::{Pace, Part, exchange};
use super::{Basis, Bound};
use draft::Draft;
pub(super) use draft::check_draft;
use encoder::Encoders;
use host::HostPart;
use instruction::{Instruction, Timer};
pub use step_time::StepTime;

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
    /// Tokens that the model's own prediction layers, or its draft model, draft for each step.
    pub drafted: u32,
    /// What stays in the host's memory.
    pub offload: Offload,
    /// The replica's part of the host's memory, if it is known.
    pub host: Option<Host>,
    /// What prompts bring beside text.
    pub media: Media,
    /// Tokens of a prompt that are computed, with those of what it brings.
    pub prompt_tokens: u64,
}

/// Stages that differ and are timed in one pass over the operators; there are seldom more than four.
const PACES_AT_ONCE: usize = 8;

/// One operator outside a step, for comparison with measurements of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lone(Instruction);

impl Lone {
    /// An operator that stays on its rank.
    pub fn kernel(kernels: &Kernels, kind: OperatorKind) -> Lone {
        Lone::new(kernels, kind, resolve_kernel(kernels, &kind), None)
    }

    /// A collective over `ranks` of the GPU's usual server.
    pub fn collective(kernels: &Kernels, kind: OperatorKind, timer: CollectiveTimer, ranks: u32) -> Lone {
        Lone::new(kernels, kind, (Timer::Collective(timer), timer.fitted), Some(ranks))
    }

    fn new(
        kernels: &Kernels,
        kind: OperatorKind,
        (timer, fitted): (Timer, bool),
        ranks: Option<u32>,
    ) -> Lone {
        let form = |kind: &OperatorKind, step: &Step| timer.alone(kind, step).time;
        let tables = kernels.measured.as_ref();
        let measured = tables.and_then(|tables| tables.surface(&kind, &kernels.setting(ranks), form));
        let operator = Operator::new("", Component::Other, kind);
        let (eager, unshared, beside) = (Seconds::ZERO, Seconds::ZERO, 0.0);
        let (part, class) = (Part::Before, 0);
        Lone(Instruction { operator, timer, fitted, eager, unshared, beside, measured, part, class })
    }

    /// Its time in a step, and what that rests on.
    pub fn time(&self, step: &Step) -> (Seconds, Basis) {
        let (kernel, basis) = self.0.time(step);
        (kernel.time, basis)
    }
}

/// What one stage executes in a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    instructions: Vec<Instruction>,
    /// Those that take different times: each is timed once for all that are like it.
    distinct: Vec<Distinct>,
}

/// An instruction that stands for all that take as long.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Distinct {
    /// The first of them.
    instruction: usize,
    /// Executions of all of them.
    count: f64,
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
    /// What its time rests on.
    pub basis: Basis,
}

impl Program {
    /// Adds the operators of `layers` equal layers, each with its kernel.
    fn emit(
        &mut self,
        t: &Target,
        blocks: &[Block],
        formats: Formats,
        layers: u64,
        part: &dyn Fn(u64) -> Part,
    ) {
        self.emit_some(t, (blocks, formats, layers), part, &|_| true);
    }

    /// Adds those of them that are wanted.
    fn emit_some(
        &mut self,
        t: &Target,
        (blocks, formats, layers): (&[Block], Formats, u64),
        part: &dyn Fn(u64) -> Part,
        wanted: &dyn Fn(&OperatorKind) -> bool,
    ) {
        let view = RankView { groups: t.parallelism.groups(), formats, kv: t.kv };
        let mut operators = Vec::with_capacity(24);
        blocks.iter().for_each(|b| b.operators(&view, &mut operators));
        if t.parallelism.exchange(t.kernels.engine).is_some() {
            exchange(&mut operators, t.placement.stage.nodes);
        }
        self.instructions.reserve(operators.len());
        for operator in operators.into_iter().filter(|o| wanted(&o.kind)) {
            let part = part(operator.count);
            let operator = Operator { count: operator.count * layers, ..operator };
            let (timer, fitted) = resolve(t, &operator.kind);
            let (eager, unshared) = (t.kernels.eager_launch(timer.launch()), unshared(t, &operator.kind));
            let measured = measured(t, &operator.kind, &timer);
            let class = self.distinct.len();
            let beside = if operator.beside_experts { t.kernels.shared_experts_beside() } else { 0.0 };
            self.add(Instruction { operator, timer, fitted, eager, unshared, beside, measured, part, class });
        }
    }

    /// Adds an instruction, to those that take as long if there are any.
    fn add(&mut self, new: Instruction) {
        let count = new.operator.count as f64;
        let alike = |d: &Distinct| self.instructions[d.instruction].takes_as_long_as(&new);
        let class = self.distinct.iter().position(alike).unwrap_or(self.distinct.len());
        match self.distinct.get_mut(class) {
            Some(known) => known.count += count,
            None => self.distinct.push(Distinct { instruction: self.instructions.len(), count }),
        }
        self.instructions.push(Instruction { class, ..new });
    }

    /// How often one stage executes each of the distinct instructions.
    fn counts(&self, pace: &Pace) -> Vec<f64> {
        let mut counts = vec![0.0; self.distinct.len()];
        for i in &self.instructions {
            counts[i.class] += pace.count(i.part, i.operator.count);
        }
        counts
    }

    /// Time of one step.
    fn time(&self, step: &Step, power: &PowerShares) -> StepTime {
        self.staged(step, power, &[]).0
    }

    /// Time of one step through all stages, and through the slowest of those whose counts are given.
    fn staged(&self, step: &Step, power: &PowerShares, paces: &[Vec<f64>]) -> (StepTime, Option<Seconds>) {
        let (at_once, more) = paces.split_at(paces.len().min(PACES_AT_ONCE));
        let mut stages = [Seconds::ZERO; PACES_AT_ONCE];
        let mut sum = StepTime::default();
        for (class, d) in self.distinct.iter().enumerate() {
            let (kernel, basis) = self.instructions[d.instruction].time(step);
            if kernel.time <= Seconds::ZERO {
                continue;
            }
            let time = kernel.time * d.count;
            sum.total += time;
            if !at_once.is_empty() {
                let stages = stages.iter_mut().zip(at_once);
                stages.for_each(|(stage, counts)| *stage += kernel.time * counts[class]);
            }
            sum.drawn += kernel.drawn(power) * d.count;
            if self.instructions[d.instruction].exchanges() {
                sum.exchanged += time;
            }
            if basis != Basis::Default {
                sum.fitted += time;
            }
            if basis == Basis::Measured {
                sum.measured += time;
            }
        }
        let total = |counts: &Vec<f64>| {
            let each = self.distinct.iter().zip(counts);
            each.map(|(d, count)| self.instructions[d.instruction].time(step).0.time * *count).sum()
        };
        let stages = stages.into_iter().take(at_once.len()).chain(more.iter().map(total));
        (sum, stages.reduce(Seconds::max))
    }

    /// The step operator by operator; operators without work are left out.
    pub fn explain(&self, step: &Step) -> Vec<Line> {
        let line = |i: &Instruction| {
            let (kernel, basis) = i.time(step);
            let time = kernel.time * i.operator.count as f64;
            Line { operator: i.operator, time, bound: kernel.bound, basis }
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
    /// The stages that differ, if there are several, as counts of the distinct instructions: the slowest sets
    /// the pace, and which one that is depends on the step.
    paces: Vec<Vec<f64>>,
    draft: Option<Draft>,
    /// What encodes images and sound of prompts.
    encoders: Option<Encoders>,
    /// What is with the host.
    host: Option<Box<HostPart>>,
    power: PowerShares,
    /// Whether half batches overlap.
    overlaps: bool,
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
    /// Share of the latency that rests on measurements of this GPU.
    pub fitted_share: f64,
    /// Share of the latency that was measured itself.
    pub measured_share: f64,
    /// The time at the board's power limit that draws as much above idle, over the ranks of all stages:
    /// one of each.
    pub drawn: Seconds,
}

impl Pipeline {
    /// Compiles a layout.
    pub fn compile(t: &Target) -> Pipeline {
        let spread = spread(t.model, t.kernels.engine, t.parallelism.pp, &t.offload);
        let whole = match &spread.host {
            Some(_) => host::on_gpus(t, &spread.stages),
            None => compile(t),
        };
        let several = spread.stages.len() > 1;
        let mut paces: Vec<Pace> = Vec::new();
        for StageLayers { layers, experts, first, last } in spread.stages {
            let pace = Pace { layers, experts, first, last };
            if several && !paces.contains(&pace) {
                paces.push(pace);
            }
        }
        let paces = paces.iter().map(|pace| whole.counts(pace)).collect();
        let (hop_latency, hop_seconds_per_byte) = hops(t);
        let exchanges = t.parallelism.exchange(t.kernels.engine).is_some();
        Pipeline {
            stages: t.parallelism.pp,
            whole,
            paces,
            draft: Draft::compile(t),
            encoders: Encoders::compile(t),
            host: spread.host.and_then(|host| HostPart::compile(t, &host)).map(Box::new),
            power: t.kernels.power,
            overlaps: t.kernels.engine.launch.batch_overlap && exchanges,
            hop_latency,
            hop_seconds_per_byte,
            // Each tensor-parallel rank sends its share of the activations (16 bits).
            hop_bytes_per_token: 2.0 * t.model.hidden as f64 / f64::from(t.parallelism.tp),
        }
    }

    /// Times of one step.
    pub fn time(&self, step: &Step) -> PipelineTime {
        let (mut whole, slowest) = self.staged(step);
        let draft = self.draft.as_ref().map(|d| d.time(step, &self.power)).unwrap_or_default();
        let mut interval = slowest.unwrap_or(whole.total) + draft.total;
        whole += draft;
        if let Some(encoders) = &self.encoders {
            let encoding = encoders.time(step, &self.power);
            interval += encoding.total;
            whole += encoding;
        }
        if let Some(host) = &self.host {
            let with_host = host.time(step, &self.power);
            interval += with_host.total;
            whole += with_host;
        }
        let hops = self.hop(step) * f64::from(self.stages - 1);
        let share = |part: Seconds| if whole.total.get() > 0.0 { part / whole.total } else { 0.0 };
        PipelineTime {
            latency: whole.total + hops,
            interval,
            fitted_share: share(whole.fitted),
            measured_share: share(whole.measured),
            drawn: whole.drawn,
        }
    }

    /// What encoding a step's images and sound takes of its time.
    pub fn encoding(&self, step: &Step) -> Seconds {
        self.encoders.as_ref().map_or(Seconds::ZERO, |encoders| encoders.time(step, &self.power).total)
    }

    /// All stages one after the other, and the slowest of them.
    fn staged(&self, step: &Step) -> (StepTime, Option<Seconds>) {
        if !self.overlaps {
            return self.whole.staged(step, &self.power, &self.paces);
        }
        let (half, slowest) = self.whole.staged(&step.halved(), &self.power, &self.paces);
        let whole = half.overlapped();
        // Every stage hides as much of its time as all of them do.
        let share = if half.total > Seconds::ZERO { whole.total / half.total } else { 0.0 };
        (whole, slowest.map(|slowest| slowest * share))
    }

    /// What half batches hide of the time of their operators.
    pub fn hidden(&self, step: &Step) -> Seconds {
        match self.overlaps {
            true => self.whole.time(&step.halved(), &self.power).hidden(),
            false => Seconds::ZERO,
        }
    }

    /// One hand-off between stages.
    pub fn hop(&self, step: &Step) -> Seconds {
        let bytes = Traffic::new(step.tokens() * self.hop_bytes_per_token);
        self.hop_latency + Seconds::new(bytes.get() * self.hop_seconds_per_byte)
    }

    /// The step operator by operator, over all stages.
    pub fn explain(&self, step: &Step) -> Vec<Line> {
        let mut lines = match self.overlaps {
            true => twice(self.whole.explain(&step.halved())),
            false => self.whole.explain(step),
        };
        lines.extend(self.encoders.iter().flat_map(|e| e.explain(step)));
        lines.extend(self.draft.iter().flat_map(|d| d.explain(step)));
        lines.extend(self.host.iter().flat_map(|h| h.explain(step)));
        lines
    }
}

/// The same operators executed twice.
fn twice(mut lines: Vec<Line>) -> Vec<Line> {
    for line in &mut lines {
        line.operator.count *= 2;
        line.time = line.time * 2.0;
    }
    lines
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

/// The program of all stages together.
fn compile(t: &Target) -> Program {
    let outer = t.model.outer_formats();
    let mut program = Program::default();
    program.emit(t, &t.model.before, outer, 1, &|_| Part::Before);
    for (g, group) in decoder(t.model).iter().enumerate() {
        program
            .emit(t, &group.blocks, group.formats, group.layers.len() as u64, &|each| Part::Group(g, each));
    }
    program.emit(t, &t.model.after, outer, 1, &|_| Part::After);
    program
}

/// The layers that every token passes: all but those that only predict.
fn decoder(model: &Model) -> &[LayerGroup] {
    match model.groups.split_last() {
        Some((_, decoder)) if model.predicts => decoder,
        _ => &model.groups,
    }
}

/// Finds the kernel of an operator.
fn resolve(t: &Target, kind: &OperatorKind) -> (Timer, bool) {
    match kind {
        OperatorKind::Collective { kind, group, .. } => collective(t, *kind, *group),
        _ => resolve_kernel(t.kernels, kind),
    }
}

/// Finds the kernel of an operator that stays on its rank.
fn resolve_kernel(k: &Kernels, kind: &OperatorKind) -> (Timer, bool) {
    // Small kernels are alike on all measured GPUs.
    let measured = k.gpu.is_measured();
    match kind {
        OperatorKind::Gemm { format, .. } => wrap(k.gemm(*format), Timer::Gemm),
        OperatorKind::GroupedGemm(e) => wrap(k.experts(e.format), Timer::Experts),
        OperatorKind::PrefillAttention(a) => wrap(k.prefill_attention(a.kv), Timer::Prefill),
        OperatorKind::DecodeAttention(a) => wrap(k.decode_attention(a.kv), Timer::Decode),
        OperatorKind::LatentPrefill(l) => wrap(k.latent_prefill(l.kv), Timer::Prefill),
        OperatorKind::LatentDecode(l) => wrap(k.latent_decode(l.kv), Timer::Decode),
        OperatorKind::BatchedGemm { .. } => (Timer::Small(k.batched_gemm()), measured),
        OperatorKind::Scan(s) => wrap(k.scan(s.kind), Timer::Scan),
        OperatorKind::Sampling { .. } => (Timer::Small(k.sampling()), measured),
        // Collectives have their own.
        OperatorKind::Elementwise { .. }
        | OperatorKind::Embedding { .. }
        | OperatorKind::Collective { .. } => (Timer::Small(k.elementwise()), measured),
    }
}

/// Finds what was measured of an operator.
fn measured(t: &Target, kind: &OperatorKind, timer: &Timer) -> Option<Arc<Surface>> {
    let tables = t.kernels.measured.as_ref()?;
    let ranks = match kind {
        OperatorKind::Collective { group, .. } => measured_ranks(t, *group),
        _ => None,
    };
    tables.surface(kind, &t.kernels.setting(ranks), |kind, step| timer.alone(kind, step).time)
}

/// The ranks of a group that stands where collectives were measured: in one node, on the GPU's usual link.
fn measured_ranks(t: &Target, group: RankGroup) -> Option<u32> {
    let link = group_link(t, group);
    let usual = t.cluster.scale_up == t.cluster.gpu.scale_up && !(link.bridged && t.cluster.bridge.is_some());
    (link.nodes == 1 && usual).then_some(link.ranks)
}

fn group_link(t: &Target, group: RankGroup) -> GroupLink {
    match group {
        RankGroup::Tensor => t.placement.tensor,
        RankGroup::Experts => t.placement.stage,
        RankGroup::Context => t.placement.context,
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
    let timer = CollectiveTimer::new(kind, group_link(t, group), t.cluster, t.kernels.engine);
    (Timer::Collective(timer), timer.fitted)
}

//! The parts of a model: its operators, fused products taken apart by their tensors, summed over layers.

use super::attention::{self, Shape};
use super::saved::{self, Kept};
use super::{Device, Mode, Setting, experts};
use crate::dtype::WeightFormat;
use crate::model::blocks::{Block, RankView};
use crate::model::operator::{Operator, OperatorKind, Rows, TrafficParts};
use crate::model::{Component, Formats, Model, RankGroups, Step, Tensor};
use crate::units::{Flops, Seconds, Traffic};

/// One part of the model, over all its layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// What it belongs to.
    pub component: Component,
    /// What it is: a projection, a kernel.
    pub name: &'static str,
    /// FLOPs, forward and (in training) backward.
    pub flops: Flops,
    /// Traffic, forward and (in training) backward.
    pub traffic: TrafficParts,
    /// Activations that training keeps for the backward pass.
    pub saved: Traffic,
    /// Activations that its largest execution reads and writes.
    pub live: Traffic,
    /// Roofline times of arithmetic and memory; zero without a device.
    pub compute: Seconds,
    /// Time of the memory.
    pub memory: Seconds,
    /// Sum over executions of the longer of both.
    pub time: Seconds,
}

impl Part {
    fn absorb(&mut self, more: &Part) {
        self.flops += more.flops;
        self.traffic += more.traffic;
        self.saved += more.saved;
        self.live = self.live.max(more.live);
        self.compute += more.compute;
        self.memory += more.memory;
        self.time += more.time;
    }

    /// FLOPs per byte; none where nothing moves.
    pub fn intensity(&self) -> Option<f64> {
        let bytes = self.traffic.total().get();
        (bytes > 0.0).then(|| self.flops.get() / bytes)
    }

    /// What takes longer: arithmetic or memory.
    pub fn bound(&self) -> super::super::Bound {
        use super::super::Bound;
        if self.compute > self.memory { Bound::Compute } else { Bound::Memory }
    }

    /// FLOPs per byte at which both would take as long, given the part's formats and occupancy.
    pub fn ridge(&self) -> Option<f64> {
        let flops_per_second = self.flops.get() / self.compute.get();
        let bytes_per_second = self.traffic.total().get() / self.memory.get();
        let ridge = flops_per_second / bytes_per_second;
        ridge.is_finite().then_some(ridge)
    }
}

/// A model's parts in the order of execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breakdown {
    /// The parts.
    pub parts: Vec<Part>,
}

impl Breakdown {
    /// Takes a model apart. `device` adds roofline times, and what its cache and its number of
    /// multiprocessors make of attention.
    pub fn of(model: &Model, setting: &Setting, device: Option<&Device>) -> Breakdown {
        let mut taken = Taking { setting, device, breakdown: Breakdown::default() };
        let outer = model.outer_formats();
        model.before.iter().for_each(|b| taken.block(b, outer, 1));
        for group in &model.groups {
            group.blocks.iter().for_each(|b| taken.block(b, group.formats, group.layers.len() as u64));
        }
        model.after.iter().for_each(|b| taken.block(b, outer, 1));
        taken.breakdown
    }

    /// FLOPs of all parts.
    pub fn flops(&self) -> Flops {
        self.parts.iter().map(|p| p.flops).sum()
    }

    /// Traffic of all parts.
    pub fn traffic(&self) -> TrafficParts {
        let mut all = TrafficParts::default();
        self.parts.iter().for_each(|p| all += p.traffic);
        all
    }

    /// Roofline time of all parts, one after the other.
    pub fn time(&self) -> Seconds {
        self.parts.iter().map(|p| p.time).sum()
    }

    /// Activations that training keeps.
    pub fn saved(&self) -> Traffic {
        self.parts.iter().map(|p| p.saved).sum()
    }

    /// All parts as one; none where nothing runs.
    pub fn whole(&self) -> Option<Part> {
        let mut parts = self.parts.iter().copied();
        let first = parts.next()?;
        Some(parts.fold(first, |mut whole, p| {
            whole.absorb(&p);
            whole
        }))
    }

    /// FLOPs of the attention between tokens (scores and values) and of state updates: what 2ND leaves out.
    pub fn flops_between_tokens(&self) -> Flops {
        let between = |p: &&Part| p.name.starts_with("attention") || p.name == "state_update";
        self.parts.iter().filter(between).map(|p| p.flops).sum()
    }

    fn add(&mut self, part: Part) {
        let same = |p: &&mut Part| p.component == part.component && p.name == part.name;
        match self.parts.iter_mut().find(same) {
            Some(p) => p.absorb(&part),
            None => self.parts.push(part),
        }
    }
}

/// One kernel before it is summed.
struct Work {
    component: Component,
    name: &'static str,
    flops: Flops,
    traffic: TrafficParts,
    saved: f64,
    format: Option<WeightFormat>,
    occupancy: f64,
}

struct Taking<'a> {
    setting: &'a Setting,
    device: Option<&'a Device<'a>>,
    breakdown: Breakdown,
}

impl Taking<'_> {
    fn block(&mut self, block: &Block, formats: Formats, layers: u64) {
        let block = stored(block);
        // Training keeps no cache: its keys and values are activations.
        let training = self.setting.mode == Mode::Pretrain;
        let kv = if training { self.setting.activations } else { self.setting.kv };
        let view = RankView { groups: RankGroups::SINGLE, formats, kv };
        let (mut operators, mut tensors) = (Vec::new(), Vec::new());
        block.operators(&view, &mut operators);
        block.tensors(&mut tensors);
        let mut kept = Kept::default();
        for op in &operators {
            let saved = if training { self.saved(op, block, &mut kept) } else { 0.0 };
            let times = self.setting.passes(op, block) * layers as f64;
            for work in self.works(op, block, &tensors, saved) {
                self.add(work, layers, times);
            }
        }
    }

    /// The step as an operator sees it: training computes the loss of every token.
    fn step(&self, op: &Operator) -> Step {
        let step = self.setting.step();
        let emitting = match &op.kind {
            OperatorKind::Gemm { rows, .. } => *rows == Rows::Emitting,
            OperatorKind::Sampling { .. } => true,
            _ => false,
        };
        if emitting && self.setting.mode == Mode::Pretrain {
            return Step { prefill_sequences: step.prefill_tokens, ..step };
        }
        step
    }

    fn saved(&self, op: &Operator, block: &Block, kept: &mut Kept) -> f64 {
        match attention_shape(op, block) {
            Some(_) if is_of_decoding(op) => 0.0,
            Some(shape) => saved::attention(&shape, self.setting).total(),
            None => saved::bytes(op, block, &self.step(op), self.setting, kept).total(),
        }
    }

    fn works(&self, op: &Operator, block: &Block, tensors: &[Tensor], saved: f64) -> Vec<Work> {
        let step = self.step(op);
        let whole = |name, format| Work {
            component: op.component,
            name,
            flops: op.flops(&step),
            traffic: op.traffic_parts(&step, self.setting.activations),
            saved,
            format,
            occupancy: 1.0,
        };
        if let Some(shape) = attention_shape(op, block) {
            let kernels = attention::kernels(op, &shape, &step, self.setting, self.device);
            let first = |i: usize| if i == 0 { saved } else { 0.0 };
            let work = |(i, k): (usize, attention::Kernel)| Work {
                flops: k.flops,
                traffic: k.traffic,
                saved: first(i),
                occupancy: k.occupancy,
                ..whole(k.name, None)
            };
            return kernels.into_iter().enumerate().map(work).collect();
        }
        match &op.kind {
            OperatorKind::Gemm { format, n, k, .. } => {
                let parts = fused(op.name, (*n, *k), tensors);
                let share = |(name, share): (&'static str, f64)| {
                    let all = whole(shown(name, block), Some(*format));
                    let traffic = all.traffic * share;
                    Work { flops: all.flops * share, traffic, saved: saved * share, ..all }
                };
                parts.into_iter().map(share).collect()
            }
            OperatorKind::GroupedGemm(e) => {
                let (flops, traffic) = experts::work(op, e, &step, self.setting);
                vec![Work { flops, traffic, ..whole(op.name, Some(e.format)) }]
            }
            OperatorKind::Sampling { .. } if self.setting.mode == Mode::Pretrain => vec![whole("loss", None)],
            _ => vec![whole(shown(op.name, block), None)],
        }
    }

    fn add(&mut self, work: Work, layers: u64, times: f64) {
        if work.flops.get() == 0.0 && work.traffic.total().get() == 0.0 && work.saved == 0.0 {
            return;
        }
        let live = work.traffic.activations;
        let (flops, traffic) = (work.flops * times, work.traffic * times);
        let (compute, memory) = self.device.map_or((Seconds::ZERO, Seconds::ZERO), |d| {
            let memory = traffic.total() / d.bandwidth() / work.occupancy;
            (flops / d.peak(work.format), memory)
        });
        self.breakdown.add(Part {
            component: work.component,
            name: work.name,
            flops,
            traffic,
            saved: Traffic::new(work.saved * layers as f64),
            live,
            compute,
            memory,
            time: compute.max(memory),
        });
    }
}

/// The block itself where an earlier layer holds its weights.
pub(crate) fn stored(block: &Block) -> &Block {
    match block {
        Block::Reused(inner) => stored(inner),
        other => other,
    }
}

pub(crate) fn is_of_decoding(op: &Operator) -> bool {
    matches!(op.kind, OperatorKind::DecodeAttention(_) | OperatorKind::LatentDecode(_))
}

/// The shape of an attention operator.
pub(crate) fn attention_shape(op: &Operator, block: &Block) -> Option<Shape> {
    let shared_head = matches!(block, Block::Compressed(_));
    match &op.kind {
        OperatorKind::PrefillAttention(a) | OperatorKind::DecodeAttention(a) => {
            let dims = match block {
                Block::Attention(b) => Some((b.head_dim, b.v_dim)),
                _ => None,
            };
            Some(Shape::of_heads(a, dims))
        }
        OperatorKind::LatentPrefill(l) if shared_head => Some(Shape { kv_heads: 1, ..Shape::of_expanded(l) }),
        OperatorKind::LatentPrefill(l) => Some(Shape::of_expanded(l)),
        OperatorKind::LatentDecode(l) => Some(Shape::of_latent(l)),
        _ => None,
    }
}

/// The projections that a fused product consists of, and the checkpoint names of their weights.
const FUSED: &[(&str, &[(&str, &str)])] = &[
    (
        "qkv_proj",
        &[
            ("q_proj", "self_attn.q_proj.weight"),
            ("k_proj", "self_attn.k_proj.weight"),
            ("v_proj", "self_attn.v_proj.weight"),
            ("gate_proj", "self_attn.gate_proj.weight"),
        ],
    ),
    (
        "qkv_a_proj",
        &[("q_a_proj", "self_attn.q_a_proj.weight"), ("kv_a_proj", "self_attn.kv_a_proj_with_mqa.weight")],
    ),
    (
        "q_and_kv_a_proj",
        &[("q_proj", "self_attn.q_proj.weight"), ("kv_a_proj", "self_attn.kv_a_proj_with_mqa.weight")],
    ),
    (
        "q_a_and_kv_proj",
        &[("q_a_proj", "self_attn.q_a_proj.weight"), ("kv_proj", "self_attn.kv_proj.weight")],
    ),
    ("up_proj", &[("gate_proj", "mlp.gate_proj.weight"), ("up_proj", "mlp.up_proj.weight")]),
];

/// The parts of a product by their share of its output features; the product itself where the tensors do
/// not add up to it.
fn fused(name: &'static str, (n, k): (u64, u64), tensors: &[Tensor]) -> Vec<(&'static str, f64)> {
    let whole = vec![(name, 1.0)];
    let Some((_, weights)) = FUSED.iter().find(|(fused, _)| *fused == name) else { return whole };
    let rows = |weight: &str| {
        tensors.iter().find(|t| t.name == weight && t.columns == k).map(|t| t.rows).filter(|rows| *rows > 0)
    };
    let found: Vec<(&'static str, u64)> =
        weights.iter().filter_map(|(part, weight)| Some((*part, rows(weight)?))).collect();
    if found.iter().map(|(_, rows)| *rows).sum::<u64>() != n {
        return whole;
    }
    found.into_iter().map(|(part, rows)| (part, rows as f64 / n as f64)).collect()
}

/// Shared experts apart from dense layers.
fn shown(name: &'static str, block: &Block) -> &'static str {
    match (block, name) {
        (Block::Moe(_), "gate_proj") => "shared_gate_proj",
        (Block::Moe(_), "up_proj") => "shared_up_proj",
        (Block::Moe(_), "activation") => "shared_activation",
        (Block::Moe(_), "down_proj") => "shared_down_proj",
        (_, other) => other,
    }
}

//! The parts of a model: its operators, fused products taken apart by their tensors, summed over layers.

use super::attention::{self, Shape};
use super::saved::{self, Kept};
use super::{Device, Mode, Setting, experts};
use crate::dtype::WeightFormat;
use crate::model::blocks::{Block, RankView};
use crate::model::node::{self, Linear, Node};
use crate::model::operator::{Operator, OperatorKind, Rows, TrafficParts};
use crate::model::{Component, Formats, Model, RankGroups, Step};
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
    /// Whether it works between tokens: attention's scores and values, state updates.
    pub between_tokens: bool,
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
        self.parts.iter().filter(|p| p.between_tokens).map(|p| p.flops).sum()
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
    between_tokens: bool,
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
        let mut kept = Kept::default();
        let mut operators = Vec::new();
        block.nodes(&mut |node| {
            operators.clear();
            node.operators(&view, &mut operators);
            for op in &operators {
                let saved = if training { self.saved(op, &node, &mut kept) } else { 0.0 };
                let times = self.setting.passes(op, block) * layers as f64;
                for work in self.works(op, &node, saved) {
                    self.add(work, layers, times);
                }
            }
        });
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

    fn saved(&self, op: &Operator, node: &Node, kept: &mut Kept) -> f64 {
        match attention_shape(op, node) {
            Some(_) if is_of_decoding(op) => 0.0,
            Some(shape) => saved::attention(&shape, self.setting).total(),
            None => saved::bytes(op, node, &self.step(op), self.setting, kept).total(),
        }
    }

    fn works(&self, op: &Operator, node: &Node, saved: f64) -> Vec<Work> {
        let step = self.step(op);
        let whole = |name, format| Work {
            component: op.component,
            name,
            flops: op.flops(&step),
            traffic: op.traffic_parts(&step, self.setting.activations),
            saved,
            format,
            occupancy: 1.0,
            // An indexer's scores are attention without a shape of its own.
            between_tokens: matches!(
                op.kind,
                OperatorKind::Scan(_) | OperatorKind::PrefillAttention(_) | OperatorKind::DecodeAttention(_)
            ),
        };
        if let Some(shape) = attention_shape(op, node) {
            let kernels = attention::kernels(op, &shape, &step, self.setting, self.device);
            let first = |i: usize| if i == 0 { saved } else { 0.0 };
            let work = |(i, k): (usize, attention::Kernel)| Work {
                flops: k.flops,
                traffic: k.traffic,
                saved: first(i),
                occupancy: k.occupancy,
                between_tokens: true,
                ..whole(k.name, None)
            };
            return kernels.into_iter().enumerate().map(work).collect();
        }
        match (&op.kind, node) {
            (OperatorKind::Gemm { format, .. }, Node::Linear(product)) => {
                let share = |(name, share): (&'static str, f64)| {
                    let all = whole(name, Some(*format));
                    let traffic = all.traffic * share;
                    Work { flops: all.flops * share, traffic, saved: saved * share, ..all }
                };
                labelled(product).into_iter().map(share).collect()
            }
            (OperatorKind::GroupedGemm(e), _) => {
                let (flops, traffic) = experts::work(op, e, &step, self.setting);
                vec![Work { flops, traffic, ..whole(op.name, Some(e.format)) }]
            }
            (OperatorKind::Sampling { .. }, _) if self.setting.mode == Mode::Pretrain => {
                vec![whole("loss", None)]
            }
            (_, Node::Pointwise(small)) => vec![whole(small.shown, None)],
            _ => vec![whole(op.name, None)],
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
            between_tokens: work.between_tokens,
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
pub(crate) fn attention_shape(op: &Operator, node: &Node) -> Option<Shape> {
    match (&op.kind, node) {
        (OperatorKind::PrefillAttention(a) | OperatorKind::DecodeAttention(a), Node::Attention(n)) => {
            Some(Shape::of_heads(a, (n.head_dim, n.v_dim)))
        }
        (OperatorKind::LatentPrefill(l), Node::Latent(n)) if n.one_head => {
            Some(Shape { kv_heads: 1, ..Shape::of_expanded(l) })
        }
        (OperatorKind::LatentPrefill(l), _) => Some(Shape::of_expanded(l)),
        (OperatorKind::LatentDecode(l), _) => Some(Shape::of_latent(l)),
        _ => None,
    }
}

/// The parts of a product by their share of its output features; the product itself where they have no labels.
fn labelled(product: &Linear) -> Vec<(&'static str, f64)> {
    let all = product.features();
    let share = |part: &node::Part| Some((part.label?, part.n as f64 / all as f64));
    let parts: Option<Vec<(&'static str, f64)>> = product.parts.iter().map(share).collect();
    parts.filter(|parts| all > 0 && !parts.is_empty()).unwrap_or_else(|| vec![(product.name, 1.0)])
}

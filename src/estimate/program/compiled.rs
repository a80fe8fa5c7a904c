//! The operators that a stage executes, each with its kernel.

use crate::catalog::kernels::PowerShares;
use crate::dtype::DType;
use crate::estimate::stages::{Pace, Part, exchange};
use crate::estimate::{Basis, Bound};
use crate::model::blocks::{Block, RankView};
use crate::model::operator::{Operator, OperatorKind, Step};
use crate::model::{Formats, LayerGroup, Model};
use crate::units::{BytesPerSecond, Seconds};

use super::card::OfKind;
use super::instruction::Instruction;
use super::recall::{Recall, Remembered, Varies};
use super::resolved::{as_computed, chosen, measured, mixed, resolve, unshared};
use super::step_time::StepTime;
use super::streamed::Reads;
use super::target::Target;

/// Stages that differ and are timed in one pass over the operators; there are seldom more than four.
const PACES_AT_ONCE: usize = 8;

/// What one stage executes in a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Program {
    pub(super) instructions: Vec<Instruction>,
    /// The kind of card that operators are added for, by its place among those of the replica.
    pub(super) kind: usize,
    /// Those that take different times: each is timed once for all that are like it.
    distinct: Vec<Distinct>,
    /// Which of them are remembered from step to step.
    remembered: Remembered,
}

/// An instruction that stands for all that take as long.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Distinct {
    /// The first of them.
    instruction: usize,
    /// Executions of all of them.
    count: f64,
    /// What of a step its time depends on.
    varies: Varies,
    /// Whether it exchanges tokens with their experts.
    exchanges: bool,
    /// Which kind of card it runs on.
    kind: usize,
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
    pub(super) fn emit(
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
    pub(super) fn emit_some(
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
            let operator = as_computed(t, Operator { count: operator.count * layers, ..operator });
            let (timer, fitted) = resolve(t, &operator.kind);
            let kind = &operator.kind;
            self.add(Instruction {
                eager: t.kernels.eager_launch(timer.launch()),
                unshared: unshared(t, kind),
                mixed: mixed(t, kind),
                chosen: chosen(t, kind),
                beside: if operator.beside_experts { t.kernels.shared_experts_beside() } else { 0.0 },
                measured: measured(t, kind, &timer),
                part,
                kind: self.kind,
                class: self.distinct.len(),
                ..Instruction::plain(operator, (timer, fitted))
            });
        }
    }

    /// Adds an instruction, to those that take as long if there are any.
    pub(super) fn add(&mut self, new: Instruction) {
        let count = new.operator.count as f64;
        let alike = |d: &Distinct| self.instructions[d.instruction].takes_as_long_as(&new);
        let class = self.distinct.iter().position(alike).unwrap_or(self.distinct.len());
        match self.distinct.get_mut(class) {
            Some(known) => known.count += count,
            None => {
                let (instruction, varies) = (self.instructions.len(), new.varies());
                self.remembered.add(varies, class);
                let (exchanges, kind) = (new.exchanges(), new.kind);
                self.distinct.push(Distinct { instruction, count, varies, exchanges, kind });
            }
        }
        self.instructions.push(Instruction { class, ..new });
    }

    /// How often one stage executes each of the distinct instructions.
    pub(super) fn counts(&self, pace: &Pace) -> Vec<f64> {
        let mut counts = vec![0.0; self.distinct.len()];
        for i in self.instructions.iter().filter(|i| i.kind == pace.kind) {
            counts[i.class] += pace.count(i.part, i.operator.count);
        }
        counts
    }

    /// Time of one step.
    pub(super) fn time(&self, step: &Step, power: &PowerShares) -> StepTime {
        self.staged(step, power, &[]).0
    }

    /// Time of one step through all stages, and through the slowest of those whose counts are given.
    pub(super) fn staged(
        &self,
        step: &Step,
        power: &PowerShares,
        paces: &[Vec<f64>],
    ) -> (StepTime, Option<Seconds>) {
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
            if d.exchanges {
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

    /// The time at the boards' power limits that draws as much above idle, where cards differ: each by its own limit, as a
    /// share of what they draw in the mean.
    pub(super) fn drawn(&self, step: &Step, kinds: &[OfKind]) -> Seconds {
        let drawn = |d: &Distinct| {
            let kind = kinds.get(d.kind)?;
            Some(self.instructions[d.instruction].time(step).0.drawn(&kind.power) * (d.count * kind.draws))
        };
        self.distinct.iter().filter_map(drawn).sum()
    }

    /// What a step takes at least where each kind of card has its own bandwidth; see [`super::Pipeline::least`].
    pub(super) fn least(&self, step: &Step, bandwidth: impl Fn(usize) -> BytesPerSecond) -> Seconds {
        let least = |d: &Distinct| {
            let i = &self.instructions[d.instruction];
            let parts = i.operator.traffic_parts(step, DType::Bf16);
            let read = (parts.weights + parts.cache) / bandwidth(d.kind);
            let computed = if step.prefill_tokens > 0.0 { i.time(step).0.compute } else { Seconds::ZERO };
            read.max(computed) * d.count
        };
        self.distinct.iter().map(least).sum()
    }

    /// The same times alone, those of kernels that do not depend on the context as they were worked out before.
    pub(super) fn recalled(
        &self,
        step: &Step,
        paces: &[Vec<f64>],
        recall: &mut Recall,
    ) -> (StepTime, Option<Seconds>) {
        let timed = |d: &Distinct| self.instructions[d.instruction].time(step).0.time;
        let of = (self.distinct.len(), &self.remembered);
        let known = recall.times(step, of, |class| timed(&self.distinct[class]));
        let time_of = |d: &Distinct, known: &Seconds| match d.varies {
            Varies::Context => timed(d),
            _ => *known,
        };
        let (at_once, more) = paces.split_at(paces.len().min(PACES_AT_ONCE));
        let mut stages = [Seconds::ZERO; PACES_AT_ONCE];
        let mut sum = StepTime::default();
        for (class, (d, known)) in self.distinct.iter().zip(known).enumerate() {
            let each = time_of(d, known);
            if each <= Seconds::ZERO {
                continue;
            }
            let time = each * d.count;
            sum.total += time;
            let stages = stages.iter_mut().zip(at_once);
            stages.for_each(|(stage, counts)| *stage += each * counts[class]);
            if d.exchanges {
                sum.exchanged += time;
            }
        }
        let total = |counts: &Vec<f64>| {
            let each = self.distinct.iter().zip(known).zip(counts);
            each.map(|((d, known), count)| time_of(d, known) * *count).sum()
        };
        let stages = stages.into_iter().take(at_once.len()).chain(more.iter().map(total));
        (sum, stages.reduce(Seconds::max))
    }

    /// Operators of the layers with the weights that they read.
    pub(super) fn reads(&self, step: &Step) -> impl Iterator<Item = Reads> {
        let layers =
            self.instructions.iter().filter(|i| matches!(i.part, Part::Group(..) | Part::Experts(..)));
        layers.map(|i| {
            let weights = i.operator.traffic_parts(step, DType::Fp32).weights;
            (weights, i.time(step).0.time, i.operator.count as f64)
        })
    }

    /// The step operator by operator; operators without work are left out.
    pub(super) fn explain(&self, step: &Step) -> Vec<Line> {
        let line = |i: &Instruction| {
            let (kernel, basis) = i.time(step);
            let time = kernel.time * i.operator.count as f64;
            Line { operator: i.operator, time, bound: kernel.bound, basis }
        };
        self.instructions.iter().map(line).filter(|l| l.time.get() > 0.0).collect()
    }
}

/// The layers that every token passes: all but those that only predict.
pub(super) fn decoder(model: &Model) -> &[LayerGroup] {
    match model.groups.split_last() {
        Some((_, decoder)) if model.predicts => decoder,
        _ => &model.groups,
    }
}

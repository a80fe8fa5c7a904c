//! What stays in the host's memory: computed there, or copied to a GPU where a step is long enough.

use super::compiled::{Line, Program, decoder};
use super::instruction::Instruction;
use super::step_time::StepTime;
use super::target::Target;
use crate::catalog::kernels::PowerShares;
use crate::dtype::DType;
use crate::estimate::memory::StageLayers;
use crate::estimate::stages::Part;
use crate::estimate::{Basis, Bound};
use crate::model::operator::{Operator, OperatorKind, Step, TrafficParts};
use crate::units::{BytesPerSecond, Seconds};

/// The operators that are with the host.
///
/// With few tokens in a step its threads compute: the time is that of reading weights and cache. With more,
/// weights and cache are copied to a GPU, one matrix after the other, which computes (`ggml-backend.cpp`,
/// `ggml_backend_sched_backend_id_from_cur`; `GGML_OP_OFFLOAD_MIN_BATCH`, 32 tokens).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostPart {
    program: Program,
    /// What its threads read in a second.
    bandwidth: BytesPerSecond,
    /// What is copied to a GPU in a second.
    link: BytesPerSecond,
    gpu_tokens: f64,
}

/// The operators of all stages together, without those that are with the host.
pub(super) fn on_gpus(t: &Target, stages: &[StageLayers]) -> Program {
    let mut program = Program::default();
    emit_stages(&mut program, t, stages.iter());
    program
}

/// Adds the operators of some stages, those of routed experts apart.
pub(super) fn emit_stages<'s>(
    program: &mut Program,
    t: &Target,
    stages: impl Iterator<Item = &'s StageLayers> + Clone,
) {
    let outer = t.model.outer_formats();
    if stages.clone().any(|stage| stage.first) {
        program.emit(t, &t.model.before, outer, 1, &|_| Part::Before);
    }
    let sum = |of: fn(&StageLayers) -> &Vec<u64>, g: usize| {
        stages.clone().filter_map(|stage| of(stage).get(g)).sum::<u64>()
    };
    for (g, group) in decoder(t.model).iter().enumerate() {
        let layers = (group.blocks.as_slice(), group.formats, sum(|s| &s.layers, g));
        program.emit_some(t, layers, &|each| Part::Group(g, each), &|kind| !routed(kind));
        let experts = (group.blocks.as_slice(), group.formats, sum(|s| &s.experts, g));
        program.emit_some(t, experts, &|each| Part::Experts(g, each), &routed);
    }
    if stages.clone().any(|stage| stage.last) {
        program.emit(t, &t.model.after, outer, 1, &|_| Part::After);
    }
}

/// Whether it computes the routed experts.
fn routed(kind: &OperatorKind) -> bool {
    matches!(kind, OperatorKind::GroupedGemm(_))
}

impl HostPart {
    /// The operators of what is with the host; `None` where the host is not known.
    pub(super) fn compile(t: &Target, held: &StageLayers) -> Option<HostPart> {
        let (host, rule) = (t.host?, t.kernels.engine.host.as_ref()?);
        let link = host.link_to(t.kernels.gpu)?;
        let mut program = Program::default();
        for (group, (layers, experts)) in decoder(t.model).iter().zip(held.layers.iter().zip(&held.experts)) {
            let layers = (group.blocks.as_slice(), group.formats, *layers);
            program.emit_some(t, layers, &|_| Part::Before, &|kind| !routed(kind));
            let experts = (group.blocks.as_slice(), group.formats, *experts);
            program.emit_some(t, experts, &|_| Part::Before, &routed);
        }
        if held.last {
            program.emit(t, &t.model.after, t.model.outer_formats(), 1, &|_| Part::Before);
        }
        Some(HostPart {
            program,
            bandwidth: host.bandwidth * rule.bandwidth_share,
            link: link * rule.link_share,
            gpu_tokens: rule.gpu_tokens as f64,
        })
    }

    /// Whether a step is computed on a GPU.
    fn copies(&self, step: &Step) -> bool {
        step.tokens() >= self.gpu_tokens
    }

    /// Time of a step, beside that of what the GPUs hold.
    pub(super) fn time(&self, step: &Step, power: &PowerShares) -> StepTime {
        let mut sum = match self.copies(step) {
            true => self.program.time(step, power),
            false => StepTime::default(),
        };
        let each = |i: &Instruction| self.moved(&i.operator, step) * i.operator.count as f64;
        sum.total += self.program.instructions.iter().map(each).sum();
        sum
    }

    /// What one execution reads from the host's memory or copies from it takes.
    fn moved(&self, operator: &Operator, step: &Step) -> Seconds {
        let parts = operator.traffic_parts(step, DType::Fp32);
        let TrafficParts { weights, cache, .. } = parts;
        match self.copies(step) {
            true => (weights + cache) / self.link,
            false => parts.total() / self.bandwidth,
        }
    }

    /// Operator by operator.
    pub(super) fn explain(&self, step: &Step) -> Vec<Line> {
        let on_gpu = self.copies(step);
        let line = |i: &Instruction| {
            let kernel = if on_gpu { i.time(step).0.time } else { Seconds::ZERO };
            let moved = self.moved(&i.operator, step);
            let time = (kernel + moved) * i.operator.count as f64;
            Line { operator: i.operator, time, bound: Bound::Host, basis: Basis::Default }
        };
        self.program.instructions.iter().map(line).filter(|l| l.time.get() > 0.0).collect()
    }
}

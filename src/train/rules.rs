//! The rules of training plans: each says why a plan cannot be run.

use crate::catalog::framework::Technique;
use crate::model::Model;

use super::job::Job;
use super::offload::offload_misfit;
use super::plan::{Network, Offload, Precision, Recompute, Schedule, Sharding, TrainingPlan};
use super::reason::{Misfit, OffloadLack, Offloaded};
use super::space::Outer;
use super::stage::Layers;

impl Job<'_> {
    /// The first rule that a plan breaks; memory is none of them.
    pub fn misfit(&self, plan: &TrainingPlan) -> Option<Misfit> {
        let outer = Outer { split: plan.split, micro_batch: plan.micro_batch, chunks: plan.chunks };
        rule_of_split(self, &outer).or_else(|| rule(self, plan))
    }
}

/// Rules that depend on the split alone.
pub(super) fn rule_of_split(job: &Job, outer: &Outer) -> Option<Misfit> {
    let (s, model): (_, &Model) = (&outer.split, job.model);
    let heads = heads(model);
    if !heads.is_multiple_of(u64::from(s.tp)) {
        return Some(Misfit::Heads { heads, tp: s.tp });
    }
    if outer.chunks > 1 && !Layers::even(model, s.pp, outer.chunks)
        || Layers::of(model, s.pp, outer.chunks).is_none()
    {
        return Some(Misfit::Layers { layers: model.layers(), pp: s.pp, chunks: outer.chunks });
    }
    if s.cp > 1 && !job.sequence.is_multiple_of(2 * u64::from(s.cp)) {
        return Some(Misfit::Sequence { tokens: job.sequence, cp: s.cp });
    }
    let at_once = u64::from(s.dp) * u64::from(outer.micro_batch);
    if !job.global_batch.is_multiple_of(at_once) {
        return Some(Misfit::Batch { batch: job.global_batch, dp: s.dp, micro_batch: outer.micro_batch });
    }
    let microbatches = job.global_batch / at_once;
    if outer.chunks > 1 && !microbatches.is_multiple_of(u64::from(s.pp)) {
        return Some(Misfit::Microbatches { microbatches, pp: s.pp });
    }
    None
}

/// Whether a plan of a job makes use of a technique.
fn uses(job: &Job, plan: &TrainingPlan, technique: Technique) -> bool {
    let s = &plan.split;
    let divides = |sharding: Sharding| plan.sharding == sharding;
    let precise = |precision: Precision| plan.precision == precision;
    let ordered = |schedule: Schedule| s.pp > 1 && plan.schedule == schedule;
    match technique {
        Technique::Ddp => divides(Sharding::None) && (s.dp > 1 || s.cp > 1),
        Technique::Zero1 => divides(Sharding::Optimizer),
        Technique::Zero2 => divides(Sharding::Gradients),
        Technique::Zero3 => divides(Sharding::Parameters),
        Technique::Hsdp => divides(Sharding::Hybrid),
        Technique::TensorParallel => s.tp > 1,
        Technique::PipelineParallel => s.pp > 1,
        Technique::InterleavedStages => plan.chunks > 1,
        Technique::ZeroBubble => ordered(Schedule::ZeroBubble) || ordered(Schedule::ZeroBubble2),
        Technique::Dualpipe => ordered(Schedule::DualPipe),
        Technique::ContextParallel => s.cp > 1,
        Technique::ExpertParallel => s.ep > 1,
        Technique::SelectiveRecompute => plan.recompute == Recompute::Selective,
        Technique::LightRecompute => plan.recompute == Recompute::Light,
        Technique::OperatorRecompute => plan.recompute == Recompute::Operators,
        Technique::Lora | Technique::Qlora => job.tuning.technique() == Some(technique),
        Technique::Fp16 => precise(Precision::Fp16),
        Technique::Fp8 => precise(Precision::Fp8),
        Technique::Mxfp8 => precise(Precision::Mxfp8),
        Technique::Nvfp4 => precise(Precision::Nvfp4),
    }
}

/// The first technique of a plan that the framework does not have, or the first two that it does not combine.
fn lacking(job: &Job, plan: &TrainingPlan) -> Option<Misfit> {
    let framework = job.machine.framework;
    let uses = |technique: Technique| uses(job, plan, technique);
    let lacks = framework.lacks.iter().find(|t| uses(**t)).map(|lacks| Misfit::Framework { lacks: *lacks });
    let apart = || framework.apart.iter().find(|(one, other)| uses(*one) && uses(*other));
    lacks.or_else(|| apart().map(|(one, other)| Misfit::Apart { one: *one, other: *other }))
}

/// Rules of one plan.
pub(super) fn rule(job: &Job, plan: &TrainingPlan) -> Option<Misfit> {
    let s = &plan.split;
    if !job.machine.framework.runs_on(&job.machine.cluster.gpu) {
        return Some(Misfit::Platform);
    }
    if !job.machine.multiplies(plan.precision) {
        return Some(Misfit::Products { precision: plan.precision });
    }
    if let Some(misfit) = lacking(job, plan) {
        return Some(misfit);
    }
    if plan.offload != Offload::default() {
        if !job.machine.cluster.has_own_memory() {
            let what = if plan.offload.weights { Offloaded::Weights } else { Offloaded::Optimizer };
            let what = if plan.offload.activations { Offloaded::Activations } else { what };
            return Some(Misfit::Offload { what, lacks: OffloadLack::OwnMemory });
        }
        if let Some(misfit) = offload_misfit(&job.machine.framework.offloads, plan) {
            return Some(misfit);
        }
    }
    let even = s.pp.is_multiple_of(2) && plan.chunks == 1;
    if plan.schedule == Schedule::DualPipe && s.pp > 1 && !even {
        return Some(Misfit::Schedule { name: plan.schedule.name(), pp: s.pp, chunks: plan.chunks });
    }
    if matches!(plan.schedule, Schedule::ZeroBubble | Schedule::ZeroBubble2) && plan.chunks > 1 {
        return Some(Misfit::Schedule { name: plan.schedule.name(), pp: s.pp, chunks: plan.chunks });
    }
    let whole = s.dp == 1 && s.cp == 1;
    if whole && plan.sharding != Sharding::None {
        return Some(Misfit::Sharding { name: plan.sharding.name() });
    }
    let per_node = job.machine.per_node();
    let reaches = |network: Network, ranks: u64| network != Network::Near || ranks <= u64::from(per_node);
    let tensor = u64::from(s.tp);
    let near = reaches(plan.networks.tensor, tensor)
        && (s.pp == 1 || reaches(plan.networks.pipeline, tensor * u64::from(s.pp)))
        && (whole || reaches(plan.networks.data, s.stage_ranks()));
    (!near).then_some(Misfit::Network { per_node })
}

/// Attention heads that tensor-parallel ranks divide.
fn heads(model: &Model) -> u64 {
    use crate::model::blocks::Block;
    let of = |b: &Block| match b {
        Block::Attention(a) => Some(a.heads),
        Block::Latent(l) => Some(l.heads),
        _ => None,
    };
    model.layer_blocks().find_map(of).unwrap_or(model.hidden)
}

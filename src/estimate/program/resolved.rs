//! Which kernel times an operator, and what was measured of it.

use std::sync::Arc;

use crate::catalog::engine::MixedTiles;
use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::Kernels;
use crate::estimate::measured::Surface;
use crate::model::operator::{CollectiveKind, LatentShape, Operator, OperatorKind, RankGroup};
use crate::plan::GroupLink;
use crate::units::Seconds;

use super::instruction::{Chosen, Timer};
use super::target::Target;

/// Finds the kernel of an operator.
pub(super) fn resolve(t: &Target, kind: &OperatorKind) -> (Timer, bool) {
    match kind {
        OperatorKind::Collective { kind, group, .. } => collective(t, *kind, *group),
        _ => resolve_kernel(t.kernels, kind),
    }
}

/// Finds the kernel of an operator that stays on its rank.
pub(super) fn resolve_kernel(k: &Kernels, kind: &OperatorKind) -> (Timer, bool) {
    // Small kernels are alike on all measured GPUs.
    let measured = k.gpu.is_measured();
    match kind {
        OperatorKind::Gemm { format, .. } => wrap(k.gemm(*format), Timer::Gemm),
        OperatorKind::GroupedGemm(e) => wrap(k.experts(e.format), Timer::Experts),
        OperatorKind::PrefillAttention(a) => wrap(k.prefill_heads(a), Timer::Prefill),
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
pub(super) fn measured(t: &Target, kind: &OperatorKind, timer: &Timer) -> Option<Arc<Surface>> {
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
pub(super) fn unshared(t: &Target, kind: &OperatorKind) -> Seconds {
    let Some(alone) = &t.kernels.engine.unshared_heads else { return Seconds::ZERO };
    match kind {
        OperatorKind::DecodeAttention(a) if !alone.except.contains(&(a.heads / a.kv_heads.max(1))) => {
            let rate = alone.elements_per_multiprocessor * f64::from(t.kernels.gpu.multiprocessors);
            Seconds::new(2.0 * (a.heads * a.head_dim) as f64 / rate)
        }
        _ => Seconds::ZERO,
    }
}

/// What one cached token of one sequence costs at least in steps that hold prompts too, where those are computed by one kernel
/// that gives each query head a tile of its own. Kernels with sinks are others.
pub(super) fn mixed(t: &Target, kind: &OperatorKind) -> Seconds {
    let of_gpu = |rule: &&MixedTiles| rule.architectures.contains(&t.kernels.gpu.architecture);
    match (kind, t.kernels.engine.mixed_tiles.as_ref().filter(of_gpu)) {
        (OperatorKind::DecodeAttention(a), Some(rule)) if !a.sinks => {
            let flops = (4 * rule.rows * a.heads * a.head_dim) as f64;
            Seconds::new(flops / (t.kernels.sixteen_bit_peak() * rule.efficiency))
        }
        _ => Seconds::ZERO,
    }
}

/// What a token of a prompt or of a decoding sequence costs at least where attention reads the tokens that an indexer
/// chooses: tiles are filled up.
pub(super) fn chosen(t: &Target, kind: &OperatorKind) -> Chosen {
    let Some(rule) = &t.kernels.engine.sparse_attention else { return Chosen::default() };
    let (shape, share) = match kind {
        OperatorKind::LatentPrefill(l) => (l, rule.prompt_efficiency),
        OperatorKind::LatentDecode(l) => (l, rule.decode_efficiency),
        _ => return Chosen::default(),
    };
    let Some(most) = shape.chosen else { return Chosen::default() };
    let rows = rule.padded(shape.heads, &t.kernels.gpu.architecture);
    let flops = (2 * rows * most * (2 * shape.kv_rank + shape.rope_dim)) as f64;
    let token = Seconds::new(flops / (t.kernels.sixteen_bit_peak() * share));
    Chosen { token, dense: rule.dense_prompts as f64 }
}

/// An operator as the engine computes it: latent attention to all tokens where it has no kernels for chosen ones.
pub(super) fn as_computed(t: &Target, operator: Operator) -> Operator {
    if t.kernels.engine.sparse_attention.is_some() {
        return operator;
    }
    let kind = match operator.kind {
        OperatorKind::LatentPrefill(l) => OperatorKind::LatentPrefill(LatentShape { chosen: None, ..l }),
        OperatorKind::LatentDecode(l) => OperatorKind::LatentDecode(LatentShape { chosen: None, ..l }),
        kind => kind,
    };
    Operator { kind, ..operator }
}

fn wrap<K>((kernel, fitted): (K, bool), timer: fn(K) -> Timer) -> (Timer, bool) {
    (timer(kernel), fitted)
}

fn collective(t: &Target, kind: CollectiveKind, group: RankGroup) -> (Timer, bool) {
    let timer = CollectiveTimer::new(kind, group_link(t, group), t.cluster, t.kernels.engine);
    (Timer::Collective(timer), timer.fitted)
}

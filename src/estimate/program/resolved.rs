//! Which kernel times an operator, and what was measured of it.

use std::sync::Arc;

use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::Kernels;
use crate::estimate::measured::Surface;
use crate::model::operator::{CollectiveKind, OperatorKind, RankGroup};
use crate::plan::GroupLink;
use crate::units::Seconds;

use super::instruction::Timer;
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

fn wrap<K>((kernel, fitted): (K, bool), timer: fn(K) -> Timer) -> (Timer, bool) {
    (timer(kernel), fitted)
}

fn collective(t: &Target, kind: CollectiveKind, group: RankGroup) -> (Timer, bool) {
    let timer = CollectiveTimer::new(kind, group_link(t, group), t.cluster, t.kernels.engine);
    (Timer::Collective(timer), timer.fitted)
}

//! Which measured shape an operator is, and which operator a measured shape is.

use crate::catalog::measured::{Key, Operation, SIZES, Types};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::kernels::EXPERT_SKEW;
use crate::model::operator::{
    AttentionShape, CollectiveKind, ExpertsShape, LatentShape, OperatorKind, Rows, Step,
};

/// What decides between kernels beside the operator's own shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Whether prompt attention over an 8-bit cache computes in 8 bits.
    pub fp8_attention: bool,
    /// Spread of the experts' load, as the tables number it.
    pub spread: u32,
    /// Ranks of a collective on the link that was measured; `None` elsewhere.
    pub ranks: Option<u32>,
}

impl Setting {
    /// The tables' number of a skew of the experts' load.
    pub fn spread(skew: f64) -> u32 {
        match skew {
            even if even <= 0.0 => 1,
            mild if mild <= EXPERT_SKEW => 2,
            _ => 3,
        }
    }
}

/// DeepSeek-V3's sizes: the only ones that latent attention was measured with.
const LATENT: LatentShape = LatentShape {
    heads: 1,
    kv_rank: 512,
    rope_dim: 64,
    nope_dim: 128,
    v_dim: 128,
    kv: DType::Bf16,
    context_ranks: 1,
    chosen: None,
};

/// The tables that may time an operator, and its shape in each, the first the best.
pub fn candidates(kind: &OperatorKind, setting: &Setting) -> Vec<(Operation, Key)> {
    let one = |operation, types, sizes: &[u64]| key(types, sizes).map(|key| (operation, key));
    let weights = |format: WeightFormat| {
        Types::Weights(if format == WeightFormat::Fp16 { WeightFormat::Bf16 } else { format.kernel() })
    };
    let found = match kind {
        // The tables are not of ggml's kernels.
        OperatorKind::Gemm { format, .. } if format.is_ggml() => return Vec::new(),
        OperatorKind::GroupedGemm(e) if e.format.is_ggml() => return Vec::new(),
        OperatorKind::Gemm { n, k, format, .. } => vec![one(Operation::Gemm, weights(*format), &[*n, *k])],
        OperatorKind::GroupedGemm(e) => {
            let sizes = [e.hidden, e.inner, e.top_k, e.experts, e.expert_ranks, u64::from(setting.spread)];
            vec![one(Operation::Experts, weights(e.format), &sizes)]
        }
        OperatorKind::PrefillAttention(a) => {
            let narrow = setting.fp8_attention.then_some((DType::Fp8, DType::Fp8));
            attention(Operation::PrefillAttention, a, [narrow, Some((DType::Bf16, a.kv))])
        }
        OperatorKind::DecodeAttention(a) => attention(
            Operation::DecodeAttention,
            a,
            [Some((DType::Bf16, a.kv)), Some((DType::Fp8, DType::Fp8))],
        ),
        OperatorKind::LatentPrefill(l) => {
            vec![one(Operation::LatentPrefill, Types::Attention(sixteen(l.kv), sixteen(l.kv)), &[l.heads])]
        }
        OperatorKind::LatentDecode(l) => {
            vec![one(Operation::LatentDecode, Types::Attention(sixteen(l.kv), sixteen(l.kv)), &[l.heads])]
        }
        OperatorKind::BatchedGemm { batch, n, k, .. } => {
            let side = match (*n, *k) {
                (n, k) if n == LATENT.kv_rank && k == LATENT.nope_dim => 1,
                (n, k) if n == LATENT.v_dim && k == LATENT.kv_rank => 2,
                _ => return Vec::new(),
            };
            vec![one(Operation::Absorb, Types::Weights(WeightFormat::Bf16), &[*batch, side])]
        }
        OperatorKind::Collective { kind, .. } => {
            let Some(ranks) = setting.ranks.map(u64::from) else { return Vec::new() };
            let (code, own) = match kind {
                CollectiveKind::AllReduce => (1, one(Operation::AllReduce, Types::One, &[ranks])),
                CollectiveKind::ReduceScatter => (2, None),
                CollectiveKind::AllGather => (3, None),
                CollectiveKind::AllToAll => (4, None),
            };
            vec![own, one(Operation::Library, Types::One, &[ranks, code])]
        }
        _ => Vec::new(),
    };
    found.into_iter().flatten().collect()
}

/// 16-bit caches are alike.
fn sixteen(cache: DType) -> DType {
    if cache == DType::Fp16 { DType::Bf16 } else { cache }
}

fn attention<const N: usize>(
    operation: Operation,
    a: &AttentionShape,
    types: [Option<(DType, DType)>; N],
) -> Vec<Option<(Operation, Key)>> {
    let sizes = [a.heads, a.kv_heads, a.head_dim, a.window.unwrap_or(0)];
    let of_this_cache = types.into_iter().flatten().filter(|(_, cache)| sixteen(*cache) == sixteen(a.kv));
    let keys = of_this_cache.map(|(compute, cache)| key(Types::Attention(compute, sixteen(cache)), &sizes));
    keys.map(|key| key.map(|key| (operation, key))).collect()
}

fn key(types: Types, sizes: &[u64]) -> Option<Key> {
    let mut all = [0; SIZES];
    for (slot, size) in all.iter_mut().zip(sizes) {
        *slot = u32::try_from(*size).ok()?;
    }
    Some(Key { types, sizes: all })
}

/// The operator itself, with what a step varies stated as the tables do: rows as decoding sequences, tokens
/// of all ranks, the context that a rank holds, bytes.
pub fn template(kind: &OperatorKind) -> OperatorKind {
    let rows = Rows::DecodeSequences;
    match *kind {
        OperatorKind::Gemm { n, k, format, .. } => OperatorKind::Gemm { rows, n, k, format },
        OperatorKind::BatchedGemm { batch, n, k, .. } => OperatorKind::BatchedGemm { rows, batch, n, k },
        OperatorKind::GroupedGemm(e) => OperatorKind::GroupedGemm(ExpertsShape { attention_data: 1, ..e }),
        OperatorKind::Collective { kind, group, .. } => {
            OperatorKind::Collective { kind, group, rows, bytes_per_row: 1 }
        }
        OperatorKind::PrefillAttention(a) => {
            OperatorKind::PrefillAttention(AttentionShape { context_ranks: 1, ..a })
        }
        OperatorKind::DecodeAttention(a) => {
            OperatorKind::DecodeAttention(AttentionShape { context_ranks: 1, ..a })
        }
        OperatorKind::LatentDecode(l) => OperatorKind::LatentDecode(LatentShape { context_ranks: 1, ..l }),
        other => other,
    }
}

/// The operator of another shape: `of`, in the sizes of `key`.
pub fn with_sizes(of: &OperatorKind, key: &Key) -> OperatorKind {
    let [a, b, c, d, e, _] = key.sizes.map(u64::from);
    let window = (d > 0).then_some(d);
    let shape = AttentionShape {
        heads: a,
        kv_heads: b,
        head_dim: c,
        window,
        both_ways: false,
        sinks: false,
        kv: DType::Bf16,
        context_ranks: 1,
    };
    match template(of) {
        OperatorKind::Gemm { rows, format, .. } => OperatorKind::Gemm { rows, n: a, k: b, format },
        OperatorKind::BatchedGemm { rows, n, k, .. } => OperatorKind::BatchedGemm { rows, batch: a, n, k },
        OperatorKind::GroupedGemm(own) => OperatorKind::GroupedGemm(ExpertsShape {
            hidden: a,
            inner: b,
            top_k: c,
            experts: d.max(1),
            expert_ranks: e.max(1),
            ..own
        }),
        OperatorKind::PrefillAttention(own) => {
            OperatorKind::PrefillAttention(AttentionShape { kv: own.kv, ..shape })
        }
        OperatorKind::DecodeAttention(own) => {
            OperatorKind::DecodeAttention(AttentionShape { kv: own.kv, ..shape })
        }
        OperatorKind::LatentPrefill(own) => {
            OperatorKind::LatentPrefill(LatentShape { heads: a, kv: own.kv, ..LATENT })
        }
        OperatorKind::LatentDecode(own) => {
            OperatorKind::LatentDecode(LatentShape { heads: a, kv: own.kv, ..LATENT })
        }
        other => other,
    }
}

/// Where a step lies among the measurements of an operator, and whether it is of the kind that was
/// measured: whole prompts.
pub fn coordinates(kind: &OperatorKind, step: &Step) -> ([f64; 2], bool) {
    match kind {
        OperatorKind::Gemm { rows, .. } | OperatorKind::BatchedGemm { rows, .. } => {
            ([rows.count(step), 1.0], true)
        }
        OperatorKind::GroupedGemm(e) => ([e.all_tokens(step), 1.0], true),
        OperatorKind::PrefillAttention(_) | OperatorKind::LatentPrefill(_) => {
            let new = step.prefill_tokens / step.prefill_sequences;
            ([step.prefill_sequences, new + step.prefill_prior], step.prefill_prior <= 0.0)
        }
        // Tables are of the context that a rank holds.
        OperatorKind::DecodeAttention(a) => {
            ([step.decode_sequences, step.context / a.context_ranks as f64], true)
        }
        OperatorKind::LatentDecode(l) => ([step.decode_sequences, l.seen(step.context)], true),
        OperatorKind::Collective { rows, bytes_per_row, .. } => {
            ([rows.count(step) * *bytes_per_row as f64, 1.0], true)
        }
        _ => ([1.0, 1.0], false),
    }
}

/// The step in which a template does the work of a measured point.
pub fn step_at(template: &OperatorKind, at: [f64; 2]) -> Step {
    match template {
        OperatorKind::PrefillAttention(_) | OperatorKind::LatentPrefill(_) => Step::prefill(at[0], at[1]),
        OperatorKind::DecodeAttention(_) | OperatorKind::LatentDecode(_) => Step::decode(at[0], at[1]),
        _ => Step::decode(at[0], 1.0),
    }
}

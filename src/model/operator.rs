//! Operators: what one rank executes in one step, as shapes with the step's tokens left open.
//!
//! FLOPs and bytes follow from the shape and a [`Step`]; latency follows in `estimate::kernels`.

use crate::dtype::{DType, WeightFormat};
use crate::units::{Flops, Traffic};

pub use super::step::Step;
use super::tensor::Component;
use crate::powers::power;

/// Which tokens a row-wise operator runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// The tokens of this attention-data-parallel rank.
    Tokens,
    /// Only the sequences whose next token is sampled.
    Emitting,
    /// Only prompt tokens.
    PrefillTokens,
    /// Only tokens of decoding sequences.
    DecodeSequences,
    /// Tokens of prompts that are in the cache already.
    PriorTokens,
}

impl Rows {
    /// How many rows a step has.
    #[inline]
    pub fn count(self, step: &Step) -> f64 {
        match self {
            Rows::Tokens => step.tokens(),
            Rows::Emitting => step.emitting(),
            Rows::PrefillTokens => step.prefill_tokens,
            Rows::DecodeSequences => step.decode_tokens(),
            Rows::PriorTokens => step.prefill_prior * step.prefill_sequences,
        }
    }
}

/// Collective operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectiveKind {
    /// Sum, everywhere.
    AllReduce,
    /// Sum, scattered.
    ReduceScatter,
    /// Concatenation, everywhere.
    AllGather,
    /// Exchange by destination.
    AllToAll,
}

impl CollectiveKind {
    /// Key of the kernel tables.
    pub const fn name(self) -> &'static str {
        match self {
            CollectiveKind::AllReduce => "all_reduce",
            CollectiveKind::ReduceScatter => "reduce_scatter",
            CollectiveKind::AllGather => "all_gather",
            CollectiveKind::AllToAll => "all_to_all",
        }
    }
}

/// Which ranks take part in a collective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankGroup {
    /// The tensor-parallel ranks.
    Tensor,
    /// All ranks that share the experts of a stage.
    Experts,
    /// The tensor-parallel ranks that divide the tokens of a sequence.
    Context,
}

/// Shapes of grouped-query attention on one rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Query heads that the rank computes.
    pub heads: u64,
    /// Key-value heads of the rank.
    pub kv_heads: u64,
    /// Dimension of a query or key head.
    pub head_dim: u64,
    /// Most keys a query sees.
    pub window: Option<u64>,
    /// Whether a query sees the tokens after it too.
    pub both_ways: bool,
    /// Whether each head has a learned sink.
    pub sinks: bool,
    /// Type of the cache.
    pub kv: DType,
    /// Ranks that divide the cached tokens of each sequence.
    pub context_ranks: u64,
}

/// Shapes of latent attention (MLA) on one rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentShape {
    /// Heads of the rank.
    pub heads: u64,
    /// Rank of the compressed key-value latent.
    pub kv_rank: u64,
    /// Rotary dimension, shared by the heads.
    pub rope_dim: u64,
    /// Non-rotary dimension of query and key heads.
    pub nope_dim: u64,
    /// Dimension of value heads.
    pub v_dim: u64,
    /// Type of the cache.
    pub kv: DType,
    /// Ranks that divide the cached tokens of each sequence.
    pub context_ranks: u64,
    /// Tokens that each query reads of those before, where an indexer chooses them.
    pub chosen: Option<u64>,
}

/// Shapes of the routed experts on one rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertsShape {
    /// Routed experts of the layer, over all ranks.
    pub experts: u64,
    /// Experts that one token uses.
    pub top_k: u64,
    /// Model width.
    pub hidden: u64,
    /// Inner width of one expert on this rank (after expert-TP).
    pub inner: u64,
    /// Matrices per expert: 3 gated, 2 plain.
    pub matrices: u64,
    /// Expert-parallel ranks.
    pub expert_ranks: u64,
    /// Attention-data-parallel ranks whose tokens the experts serve together.
    pub attention_data: u64,
    /// Whether only the tokens of the rank's own experts come to it.
    pub exchanged: bool,
    /// Storage of the expert weights.
    pub format: WeightFormat,
}

/// What updates the state of a recurrent mixer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanKind {
    /// Selective diagonal state space.
    Mamba,
    /// State space with one decay per head.
    Mamba2,
    /// Gated delta rule.
    GatedDelta,
    /// Delta rule with a decay per channel.
    KimiDelta,
    /// Linear attention with a fixed decay.
    Lightning,
    /// Real-gated linear recurrent unit.
    RgLru,
    /// Matrix memory with exponential gates.
    MatrixLstm,
    /// Time mixing of RWKV-4.
    TimeMix,
}

impl ScanKind {
    /// Key of the kernel tables.
    pub const fn name(self) -> &'static str {
        match self {
            ScanKind::Mamba => "mamba",
            ScanKind::Mamba2 => "mamba2",
            ScanKind::GatedDelta => "gated_delta",
            ScanKind::KimiDelta => "kimi_delta",
            ScanKind::Lightning => "lightning",
            ScanKind::RgLru => "rg_lru",
            ScanKind::MatrixLstm => "mlstm",
            ScanKind::TimeMix => "rwkv4_time_mix",
        }
    }

    /// One whose kernels it takes where its own were not measured: Kimi's rule differs from the gated one in how its
    /// gates are shaped.
    pub const fn akin(self) -> Option<ScanKind> {
        match self {
            ScanKind::KimiDelta => Some(ScanKind::GatedDelta),
            _ => None,
        }
    }
}

/// Shapes of a recurrent mixer's state update on one rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScanShape {
    /// What mixes.
    pub kind: ScanKind,
    /// State elements per sequence.
    pub state: u64,
    /// Bytes of one state element.
    pub state_bytes: u64,
    /// FLOPs per token.
    pub flops_per_token: u64,
}

/// One operator's shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OperatorKind {
    /// Matrix product of `rows × k` activations by `k × n` weights.
    Gemm {
        /// Which tokens.
        rows: Rows,
        /// Output features on this rank.
        n: u64,
        /// Input features on this rank.
        k: u64,
        /// Storage of the weights.
        format: WeightFormat,
    },
    /// One small product per head (absorbed projections of latent attention).
    BatchedGemm {
        /// Which tokens.
        rows: Rows,
        /// Heads.
        batch: u64,
        /// Output features of each.
        n: u64,
        /// Input features of each.
        k: u64,
    },
    /// The routed experts.
    GroupedGemm(ExpertsShape),
    /// Attention of prompt tokens.
    PrefillAttention(AttentionShape),
    /// Attention of decoding sequences.
    DecodeAttention(AttentionShape),
    /// Latent attention of prompt tokens.
    LatentPrefill(LatentShape),
    /// Latent attention of decoding sequences.
    LatentDecode(LatentShape),
    /// State update of a recurrent mixer.
    Scan(ScanShape),
    /// Memory-bound kernels: norms, activations, rotary embedding, cache writes.
    Elementwise {
        /// Which tokens.
        rows: Rows,
        /// Bytes read and written per row.
        bytes_per_row: u64,
        /// Kernels launched.
        kernels: u64,
    },
    /// Table look-up.
    Embedding {
        /// Bytes of one row.
        row_bytes: u64,
    },
    /// Softmax and sampling over the vocabulary.
    Sampling {
        /// Vocabulary.
        vocabulary: u64,
    },
    /// Communication inside the stage.
    Collective {
        /// Which one.
        kind: CollectiveKind,
        /// Which ranks.
        group: RankGroup,
        /// Which tokens.
        rows: Rows,
        /// Bytes of one row of the full buffer.
        bytes_per_row: u64,
    },
}

/// An operator, how often a stage executes it in a step, and what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operator {
    /// What it computes, e.g. `qkv_proj`.
    pub name: &'static str,
    /// What it belongs to.
    pub component: Component,
    /// Shape.
    pub kind: OperatorKind,
    /// Executions per step: layers of the same shape.
    pub count: u64,
    /// Whether it may run beside the routed experts: it reads what they read, and both results are added.
    pub beside_experts: bool,
}

impl Operator {
    /// An operator executed once.
    pub fn new(name: &'static str, component: Component, kind: OperatorKind) -> Operator {
        Operator { name, component, kind, count: 1, beside_experts: false }
    }

    /// Whether it multiplies activations by weights.
    pub fn has_weights(&self) -> bool {
        matches!(
            self.kind,
            OperatorKind::Gemm { .. } | OperatorKind::BatchedGemm { .. } | OperatorKind::GroupedGemm(_)
        )
    }

    /// FLOPs of one execution on one rank.
    #[inline]
    pub fn flops(&self, step: &Step) -> Flops {
        Flops::new(match &self.kind {
            OperatorKind::Gemm { rows, n, k, .. } => 2.0 * rows.count(step) * (*n * *k) as f64,
            OperatorKind::BatchedGemm { rows, batch, n, k } => {
                2.0 * rows.count(step) * (*batch * *n * *k) as f64
            }
            OperatorKind::GroupedGemm(e) => {
                2.0 * e.local_rows(step) * (e.matrices * e.hidden * e.inner) as f64
            }
            OperatorKind::PrefillAttention(a) => {
                let pairs = match a.both_ways {
                    true => step.pairs_both_ways(a.window),
                    false => step.prefill_pairs(a.window),
                };
                4.0 * (a.heads * a.head_dim) as f64 * pairs
            }
            OperatorKind::DecodeAttention(a) => {
                4.0 * (a.heads * a.head_dim) as f64 * step.decode_tokens() * a.seen(step.context)
            }
            OperatorKind::LatentPrefill(l) => {
                let per_pair = 2 * (l.nope_dim + l.rope_dim + l.v_dim) * l.heads;
                per_pair as f64 * step.prefill_pairs(l.chosen)
            }
            OperatorKind::LatentDecode(l) => {
                let per_position = 2 * (2 * l.kv_rank + l.rope_dim) * l.heads;
                per_position as f64 * step.decode_tokens() * l.seen(step.context)
            }
            OperatorKind::Scan(s) => s.flops_per_token as f64 * step.tokens(),
            OperatorKind::Sampling { vocabulary } => 5.0 * (*vocabulary as f64) * step.emitting(),
            OperatorKind::Elementwise { .. }
            | OperatorKind::Embedding { .. }
            | OperatorKind::Collective { .. } => 0.0,
        })
    }

    /// Bytes that one execution moves through the memory of one rank (collectives: the buffer), with
    /// 16-bit activations.
    #[inline]
    pub fn traffic(&self, step: &Step) -> Traffic {
        self.traffic_parts(step, DType::Bf16).total()
    }

    /// The same by what is moved, with activations of a given type.
    #[inline]
    pub fn traffic_parts(&self, step: &Step, activations: DType) -> TrafficParts {
        let element = activations.bytes();
        let parts = |weights: f64, elements: f64, cache: f64| TrafficParts {
            weights: Traffic::new(weights),
            activations: Traffic::new(elements * element),
            cache: Traffic::new(cache),
        };
        match &self.kind {
            OperatorKind::Gemm { rows, n, k, format } => {
                gemm_traffic(rows.count(step), *n as f64, *k as f64, *format, element)
            }
            OperatorKind::BatchedGemm { rows, batch, n, k } => {
                let one = gemm_traffic(rows.count(step), *n as f64, *k as f64, WeightFormat::Bf16, element);
                one * *batch as f64
            }
            OperatorKind::GroupedGemm(e) => {
                let moved = e.local_rows(step) * e.elements_per_row();
                parts(e.touched(step) * e.expert_bytes(), moved, 0.0)
            }
            OperatorKind::PrefillAttention(a) => {
                let n = step.prefill_tokens;
                let prior = Rows::PriorTokens.count(step) / a.context_ranks as f64;
                let queries = n * (a.head_dim * (2 * a.heads + 2 * a.kv_heads)) as f64;
                let cached = (n + prior) * (a.head_dim * 2 * a.kv_heads) as f64 * a.kv.bytes();
                parts(0.0, queries, cached)
            }
            OperatorKind::DecodeAttention(a) => {
                let cached = a.seen(step.context) * (a.head_dim * a.kv_heads * 2) as f64 * a.kv.bytes();
                let queries = (4 * a.head_dim * a.heads) as f64;
                parts(0.0, step.decode_tokens() * queries, step.decode_sequences * cached)
            }
            OperatorKind::LatentPrefill(l) => {
                let heads = l.heads * (l.nope_dim + l.rope_dim + l.v_dim) * 2;
                parts(0.0, step.prefill_tokens * (heads + l.kv_rank + l.rope_dim) as f64, 0.0)
            }
            OperatorKind::LatentDecode(l) => {
                let cached = l.seen(step.context) * (l.kv_rank + l.rope_dim) as f64 * l.kv.bytes();
                let queries = (l.heads * (2 * l.kv_rank + l.rope_dim) * 2) as f64;
                parts(0.0, step.decode_tokens() * queries, step.decode_sequences * cached)
            }
            OperatorKind::Scan(s) => {
                parts(0.0, 0.0, 2.0 * step.emitting() * (s.state * s.state_bytes) as f64)
            }
            // Bytes per row are those of 16-bit activations.
            OperatorKind::Elementwise { rows, bytes_per_row, .. }
            | OperatorKind::Collective { rows, bytes_per_row, .. } => {
                parts(0.0, rows.count(step) * *bytes_per_row as f64 / 2.0, 0.0)
            }
            OperatorKind::Embedding { row_bytes } => {
                let row = step.tokens() * *row_bytes as f64;
                parts(row, row / 2.0, 0.0)
            }
            OperatorKind::Sampling { vocabulary } => {
                parts(0.0, 4.0 * step.emitting() * *vocabulary as f64, 0.0)
            }
        }
    }
}

/// Memory traffic by what is moved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrafficParts {
    /// Weights, scales included.
    pub weights: Traffic,
    /// What operators hand to each other.
    pub activations: Traffic,
    /// KV cache and recurrent state.
    pub cache: Traffic,
}

impl TrafficParts {
    /// All of it.
    #[inline]
    pub fn total(&self) -> Traffic {
        self.weights + self.activations + self.cache
    }
}

impl std::ops::Mul<f64> for TrafficParts {
    type Output = TrafficParts;
    fn mul(self, times: f64) -> TrafficParts {
        TrafficParts {
            weights: self.weights * times,
            activations: self.activations * times,
            cache: self.cache * times,
        }
    }
}

impl std::ops::AddAssign for TrafficParts {
    fn add_assign(&mut self, more: TrafficParts) {
        self.weights += more.weights;
        self.activations += more.activations;
        self.cache += more.cache;
    }
}

/// Traffic of a product: weights, activations in and out; nothing when there are no rows. Formats that
/// quantise activations read narrower ones.
#[inline]
fn gemm_traffic(m: f64, n: f64, k: f64, format: WeightFormat, element: f64) -> TrafficParts {
    if m == 0.0 {
        return TrafficParts::default();
    }
    let own = format.activation_bytes();
    let input = if own < 2.0 { own } else { own.max(element) };
    TrafficParts {
        weights: Traffic::new(n * k * format.bytes_per_element()),
        activations: Traffic::new(m * k * input + m * n * element),
        cache: Traffic::ZERO,
    }
}

impl AttentionShape {
    /// Keys that one query sees on a rank, in a context.
    #[inline]
    pub fn seen(&self, context: f64) -> f64 {
        self.window.map_or(context, |w| context.min(w as f64)) / self.context_ranks as f64
    }
}

impl LatentShape {
    /// Keys that one query sees on a rank, in a context.
    #[inline]
    pub fn seen(&self, context: f64) -> f64 {
        self.chosen.map_or(context, |most| context.min(most as f64)) / self.context_ranks as f64
    }
}

impl ExpertsShape {
    /// Routed token copies that this rank computes when load is balanced.
    #[inline]
    pub fn local_rows(&self, step: &Step) -> f64 {
        self.all_tokens(step) * self.top_k as f64 / self.expert_ranks as f64
    }

    /// Tokens of all attention-data-parallel ranks.
    #[inline]
    pub fn all_tokens(&self, step: &Step) -> f64 {
        step.tokens() * self.attention_data as f64 * (1.0 - step.idle_share)
    }

    /// Experts of this rank.
    #[inline]
    pub fn local_experts(&self) -> f64 {
        self.experts as f64 / self.expert_ranks as f64
    }

    /// Expected experts of this rank that at least one token chooses, if the choice is uniform:
    /// `E_local · (1 − (1 − k/E)^T)`.
    #[inline]
    pub fn touched(&self, step: &Step) -> f64 {
        let miss = 1.0 - self.top_k as f64 / self.experts as f64;
        self.local_experts() * (1.0 - power(miss, self.all_tokens(step)))
    }

    /// Stored bytes of one expert.
    #[inline]
    pub fn expert_bytes(&self) -> f64 {
        (self.matrices * self.hidden * self.inner) as f64 * self.format.bytes_per_element()
    }

    /// Elements that one routed token reads and writes: in and out at the model's width, three times the
    /// inner one.
    #[inline]
    pub fn elements_per_row(&self) -> f64 {
        (2 * self.hidden + 3 * self.inner) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causal_pairs_of_a_whole_prompt_are_a_triangle() {
        assert_eq!(Step::prefill(2.0, 4.0).prefill_pairs(None), 20.0);
    }

    #[test]
    fn a_window_caps_the_keys_each_query_sees() {
        // Positions 1..=5 with a window of 3 see 1, 2, 3, 3, 3 keys.
        assert_eq!(Step::prefill(1.0, 5.0).prefill_pairs(Some(3)), 12.0);
    }

    #[test]
    fn a_chunk_after_a_prefix_sees_the_prefix_too() {
        // n·p + n(n+1)/2 with n = 4, p = 10.
        let chunk =
            Step { prefill_tokens: 4.0, prefill_sequences: 1.0, prefill_prior: 10.0, ..Step::default() };
        assert_eq!(chunk.prefill_pairs(None), 50.0);
    }
}

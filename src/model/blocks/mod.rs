//! The building blocks of a layer: each declares its weight tensors and its operators, once.
//!
//! Parameter counts, memory, FLOPs, latency and explanations all derive from these two lists.

mod adapter;
mod attention;
mod compressed;
mod latent;
pub mod mixers;
mod mlp;
mod moe;
mod outer;
mod recurrent;

pub use adapter::{Adapted, Adapters};
pub use attention::{Attention, Biases, Gate, Keys, QkNorm, Queries};
pub use compressed::{CompressedAttention, Compressor};
pub use latent::{Indexer, LatentAttention};
pub use mlp::Mlp;
pub use moe::{Moe, SharedExpert};
pub use outer::{Embedding, Extra, Head, Norm};
pub(in crate::model) use recurrent::STATE_BYTES;
pub use recurrent::{Convolution, Recurrent};

use crate::dtype::DType;

use super::operator::{CollectiveKind, Operator, OperatorKind, RankGroup, Rows};
use super::quantisation::Formats;
use super::tensor::{Component, RankGroups, Tensor};

/// What a rank sees of a layer: how it is divided and stored.
#[derive(Clone, Copy, Debug)]
pub struct RankView {
    /// Sizes of the rank groups.
    pub groups: RankGroups,
    /// Storage of the weights.
    pub formats: Formats,
    /// Type of the KV cache.
    pub kv: DType,
}

/// What one layer keeps between tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Keys and values of every token (of the last `window` ones), divided over ranks by heads.
    KeyValue {
        /// Key-value heads.
        heads: u64,
        /// Elements of keys and values per head and token.
        per_head: u64,
        /// Most tokens kept.
        window: Option<u64>,
    },
    /// One latent per token, the same on every rank (MLA).
    Latent {
        /// Elements per token.
        elements: u64,
    },
    /// A state of fixed size per sequence, divided over ranks by heads.
    State {
        /// Bytes per sequence, in 16 bits.
        bytes: u64,
        /// Bytes that engines add to those where they keep the state in 32 bits.
        wider: u64,
        /// Heads to divide over.
        heads: u64,
    },
}

/// One block of a layer, or a part outside the layers.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Token embedding.
    Embedding(Embedding),
    /// Output projection.
    Head(Head),
    /// Layer norm.
    Norm(Norm),
    /// Multi-head, grouped-query or multi-query attention.
    Attention(Attention),
    /// Multi-head latent attention.
    Latent(LatentAttention),
    /// Attention over a compressed history with one key-value head (DeepSeek-V4).
    Compressed(CompressedAttention),
    /// Recurrent mixer: Mamba, delta rule, RWKV, short convolution.
    Recurrent(Recurrent),
    /// Dense feed-forward layer.
    Mlp(Mlp),
    /// Routed experts.
    Moe(Moe),
    /// Weights without an operator of their own.
    Extra(Extra),
    /// Low-rank adapters of the layer's linear layers.
    Adapters(Adapters),
    /// A block whose weights an earlier layer holds: it computes and caches, but stores nothing (Zamba).
    Reused(Box<Block>),
}

impl Block {
    /// Appends the block's weight tensors.
    pub fn tensors(&self, out: &mut Vec<Tensor>) {
        match self {
            Block::Embedding(b) => b.tensors(out),
            Block::Head(b) => b.tensors(out),
            Block::Norm(b) => b.tensors(out),
            Block::Attention(b) => b.tensors(out),
            Block::Latent(b) => b.tensors(out),
            Block::Compressed(b) => b.tensors(out),
            Block::Recurrent(b) => b.tensors(out),
            Block::Mlp(b) => b.tensors(out),
            Block::Moe(b) => b.tensors(out),
            Block::Extra(b) => out.extend(b.tensors.iter().cloned()),
            Block::Adapters(b) => b.tensors(out),
            Block::Reused(_) => {}
        }
    }

    /// Appends what one rank executes for the block in one step.
    pub fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        match self {
            Block::Embedding(b) => b.operators(view, out),
            Block::Head(b) => b.operators(view, out),
            Block::Norm(b) => b.operators(out),
            Block::Attention(b) => b.operators(view, out),
            Block::Latent(b) => b.operators(view, out),
            Block::Compressed(b) => b.operators(view, out),
            Block::Recurrent(b) => b.operators(view, out),
            Block::Mlp(b) => b.operators(view, out),
            Block::Moe(b) => b.operators(view, out),
            Block::Extra(_) => {}
            Block::Adapters(b) => b.operators(view, out),
            Block::Reused(b) => b.operators(view, out),
        }
    }

    /// What the block keeps between tokens.
    pub fn cache(&self) -> Option<Cache> {
        match self {
            Block::Attention(b) => b.cache(),
            Block::Latent(b) => b.cache(),
            Block::Compressed(b) => Some(b.cache()),
            Block::Recurrent(b) => b.cache(),
            Block::Reused(b) => b.cache(),
            _ => None,
        }
    }
}

/// A dense product.
fn gemm(
    name: &'static str,
    component: Component,
    n: u64,
    k: u64,
    format: crate::dtype::WeightFormat,
) -> Operator {
    Operator::new(name, component, OperatorKind::Gemm { rows: Rows::Tokens, n, k, format })
}

/// A memory-bound kernel over the step's tokens.
fn elementwise(name: &'static str, component: Component, bytes_per_row: u64, kernels: u64) -> Operator {
    Operator::new(name, component, OperatorKind::Elementwise { rows: Rows::Tokens, bytes_per_row, kernels })
}

/// The sum of partial results of `width` 16-bit elements a token over the tensor-parallel ranks.
fn all_reduce(name: &'static str, component: Component, width: u64) -> Operator {
    collective(name, component, CollectiveKind::AllReduce, RankGroup::Tensor, 2 * width)
}

/// A collective over the step's tokens.
fn collective(
    name: &'static str,
    component: Component,
    kind: CollectiveKind,
    group: RankGroup,
    bytes_per_row: u64,
) -> Operator {
    Operator::new(
        name,
        component,
        OperatorKind::Collective { kind, group, rows: Rows::Tokens, bytes_per_row },
    )
}

/// Ranks that divide the cached tokens of each sequence: every one attends with the query heads of all of
/// them to its own tokens, and gets the sum for its own heads back (vLLM `v1/attention/ops/common.py`,
/// `cp_lse_ag_out_rs`: partial outputs are scaled by their log-sum-exp, which all exchange, and added).
struct SharedContext {
    ranks: u64,
    rows: Rows,
    /// Query heads of one rank.
    heads: u64,
    /// Elements of a query, and of an output, of one head.
    widths: (u64, u64),
}

impl SharedContext {
    /// What comes before attention: all ranks' queries. Nothing where a rank has the whole context.
    fn gather(&self, out: &mut Vec<Operator>) {
        if self.ranks > 1 {
            let bytes = 2 * self.all_heads() * self.widths.0;
            out.push(self.exchange("gather_queries", CollectiveKind::AllGather, bytes));
        }
    }

    /// What comes after it.
    fn merge(&self, out: &mut Vec<Operator>) {
        if self.ranks > 1 {
            let (part, rows, outputs) = (Component::Attention, self.rows, self.all_heads() * self.widths.1);
            // FP32, of all heads from every rank.
            let sums = 4 * self.ranks * self.all_heads();
            out.push(self.exchange("gather_log_sums", CollectiveKind::AllGather, sums));
            let bytes_per_row = 4 * outputs + sums;
            let scale = OperatorKind::Elementwise { rows, bytes_per_row, kernels: 1 };
            out.push(Operator::new("scale_outputs", part, scale));
            out.push(self.exchange("scatter_outputs", CollectiveKind::ReduceScatter, 2 * outputs));
        }
    }

    fn all_heads(&self) -> u64 {
        self.ranks * self.heads
    }

    fn exchange(&self, name: &'static str, kind: CollectiveKind, bytes_per_row: u64) -> Operator {
        let (rows, group) = (self.rows, RankGroup::Context);
        Operator::new(
            name,
            Component::Attention,
            OperatorKind::Collective { kind, group, rows, bytes_per_row },
        )
    }
}

/// The part of `n` columns or heads on the fullest rank.
fn per_rank(n: u64, ranks: u64) -> u64 {
    n.div_ceil(ranks).max(1)
}

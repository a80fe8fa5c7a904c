//! The building blocks of a layer: each says its nodes, once.
//!
//! Weight tensors, operators and cache follow from them; and from those parameter counts, memory, FLOPs, latency,
//! what training keeps, and explanations.

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
pub use recurrent::{Convolution, Recurrent};

pub(in crate::model) use super::node::STATE_BYTES;
pub use super::node::{Cache, RankView};

use super::node::Node;
use super::operator::Operator;
use super::tensor::Tensor;

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
    /// Calls `each` with every node, in the order of execution.
    pub fn nodes(&self, each: &mut dyn FnMut(Node)) {
        match self {
            Block::Embedding(b) => b.nodes(each),
            Block::Head(b) => b.nodes(each),
            Block::Norm(b) => b.nodes(each),
            Block::Attention(b) => b.nodes(each),
            Block::Latent(b) => b.nodes(each),
            Block::Compressed(b) => b.nodes(each),
            Block::Recurrent(b) => b.nodes(each),
            Block::Mlp(b) => b.nodes(each),
            Block::Moe(b) => b.nodes(each),
            Block::Extra(b) => b.tensors.iter().for_each(|t| each(t.clone().into())),
            Block::Adapters(b) => b.nodes(each),
            Block::Reused(b) => b.nodes(each),
        }
    }

    /// Appends the block's weight tensors; none where an earlier layer holds them.
    pub fn tensors(&self, out: &mut Vec<Tensor>) {
        if !matches!(self, Block::Reused(_)) {
            self.nodes(&mut |node| node.tensors(out));
        }
    }

    /// Appends what one rank executes for the block in one step.
    pub fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        self.nodes(&mut |node| node.operators(view, out));
    }

    /// What the block keeps between tokens.
    pub fn cache(&self) -> Option<Cache> {
        let mut kept = None;
        self.nodes(&mut |node| {
            kept = match (kept, node.cache()) {
                (Some(known), Some(more)) => Some(Cache::with(known, more)),
                (known, more) => known.or(more),
            };
        });
        kept
    }
}

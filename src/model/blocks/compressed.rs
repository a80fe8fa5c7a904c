//! Attention of DeepSeek-V4 (`modeling_deepseek_v4.py`): one head that serves as key and value, low-rank
//! queries and outputs, and beside a sliding window a compressed history of the whole context.

use super::Indexer;
use crate::model::node::Each;
use crate::model::node::{Cut, Held, Latents, Linear, Node, Part, Phase, Pointwise, Small, Stream, Width};
use crate::model::tensor::{Component, Role, Tensor};

/// What makes one entry of the compressed history from `rate` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressor {
    /// Tokens per entry.
    pub rate: u64,
    /// Series that each token contributes to: 2 where windows overlap.
    pub series: u64,
    /// What chooses the entries that attention reads, with a compressor of its own.
    pub indexer: Option<Indexer>,
}

/// Attention with one shared key-value head. Weights: `q_a: q_rank × hidden`,
/// `q_b: heads·head_dim × q_rank`, `kv: head_dim × hidden`, `o_a: groups·o_rank × heads·head_dim/groups`,
/// `o_b: hidden × groups·o_rank`.
#[derive(Clone, Debug, PartialEq)]
pub struct CompressedAttention {
    /// Model width.
    pub hidden: u64,
    /// Query heads.
    pub heads: u64,
    /// Dimension of every head.
    pub head_dim: u64,
    /// Rank of the compressed query.
    pub q_rank: u64,
    /// Groups of heads with output projections of their own.
    pub o_groups: u64,
    /// Rank of each group's output.
    pub o_rank: u64,
    /// Tokens of the sliding window, which is attended to uncompressed.
    pub window: u64,
    /// The compressed history; `None` in layers that only slide.
    pub compressor: Option<Compressor>,
}

impl CompressedAttention {
    /// Queries through their latent, the one key-value head, what compresses the history, attention, both output
    /// projections and the sum.
    pub(super) fn nodes(&self, each: Each) {
        let part = Component::Attention;
        let (heads, d, groups) = (self.heads, self.head_dim, self.o_groups);
        let product = |name, k| Linear::new(name, part, k).held(Held::Attention);
        each(
            product("q_a_and_kv_proj", self.hidden)
                .of([
                    Part::new("self_attn.q_a_proj.weight", self.q_rank).shown("q_a_proj"),
                    Part::new("self_attn.kv_proj.weight", d).shown("kv_proj"),
                ])
                .into(),
        );
        each(Tensor::vector("self_attn.q_a_norm.weight", self.q_rank, Component::Norm).into());
        each(Tensor::vector("self_attn.kv_norm.weight", d, Component::Norm).into());
        let norms = Width::whole((self.q_rank + d) * 4);
        each(Pointwise::new("latent_norms", part, Small::Norm, norms).in_kernels(2).between().into());
        let queries = Part::new("self_attn.q_b_proj.weight", heads * d).over(heads);
        let expand = product("q_b_proj", self.q_rank).of([queries]);
        each(expand.reading(Role::ExpandQueries, Stream::QueryLatent).into());
        if let Some(compressor) = self.compressor {
            self.compressor_nodes(compressor, each);
        }
        let rotated = Pointwise::new("rope_and_cache_write", part, Small::Linear, Width::over(heads, d * 4));
        each(rotated.and(Width::whole(d * 4)).into());
        // One head read as key and value is the absorbed form of latent attention without rotary part. One head per
        // token is an upper bound of the cache, since what lies before the window is kept compressed.
        each(Node::Latent(Latents {
            phase: Phase::Both,
            heads,
            kv_rank: d,
            rope_dim: 0,
            nope_dim: d,
            v_dim: d,
            one_head: true,
            keeps: true,
            chosen: None,
            index: None,
        }));
        each(Tensor::vector("self_attn.sinks", heads, part).split_over(heads).into());
        let outputs = groups * self.o_rank;
        let first = Part::new("self_attn.o_a_proj.weight", outputs).over(groups);
        let first = product("o_a_proj", heads * d / groups).of([first]);
        each(first.reading(Role::Project, Stream::Attended).into());
        let second = Part::new("self_attn.o_b_proj.weight", self.hidden).cut(Cut::Rows(groups));
        let second = product("o_b_proj", outputs).of([second]);
        each(second.reading(Role::Return, Stream::OutputLatent).into());
        each(Node::sum("attention_all_reduce", part, self.hidden));
    }

    fn compressor_nodes(&self, compressor: Compressor, each: Each) {
        let part = Component::Attention;
        let product = |name, k| Linear::new(name, part, k).held(Held::Attention);
        let rate = compressor.rate;
        let bias = |name, columns| Tensor { columns, ..Tensor::vector(name, rate, part) };
        let width = compressor.series * self.head_dim;
        let own = [
            Part::new("self_attn.compressor.kv_proj.weight", width),
            Part::new("self_attn.compressor.gate_proj.weight", width),
        ];
        let indexed = compressor.indexer.map(|index| {
            let width = compressor.series * index.head_dim;
            [
                Part::new("self_attn.compressor.indexer.kv_proj.weight", width),
                Part::new("self_attn.compressor.indexer.gate_proj.weight", width),
            ]
        });
        let all = own.into_iter().chain(indexed.into_iter().flatten());
        each(product("compressor", self.hidden).of(all).into());
        each(bias("self_attn.compressor.position_bias", width).into());
        each(Tensor::vector("self_attn.compressor.kv_norm.weight", self.head_dim, Component::Norm).into());
        let Some(index) = compressor.indexer else { return };
        let width = compressor.series * index.head_dim;
        each(bias("self_attn.compressor.indexer.position_bias", width).into());
        let norm =
            Tensor::vector("self_attn.compressor.indexer.kv_norm.weight", index.head_dim, Component::Norm);
        each(norm.into());
        let queries = index.heads * index.head_dim;
        let queries = Part::new("self_attn.compressor.indexer.q_b_proj.weight", queries);
        let queries = product("index_query", self.q_rank).of([queries]);
        each(queries.reading(Role::Project, Stream::QueryLatent).into());
        let weights = Part::new("self_attn.compressor.indexer.weights_proj.weight", index.heads);
        each(product("index_weights", self.hidden).of([weights]).into());
    }
}

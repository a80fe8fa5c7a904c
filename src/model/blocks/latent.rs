//! Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434 §2.1): keys and values are expanded from
//! one low-rank latent per token, which is all that the cache holds.

use super::Gate;
use crate::model::node::Each;
use crate::model::node::{
    Cut, Exchange, Held, Latents, Linear, Node, Part, PerHead, Phase, Pointwise, Small, Stream, Transfer,
    Width,
};
use crate::model::operator::Rows;
use crate::model::tensor::{Component, Role, Tensor};

/// The indexer of sparse attention (DeepSeek-V3.2, "lightning indexer"): small queries from the query
/// latent, one key head, and one weight per index head choose which tokens attention reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indexer {
    /// Index heads.
    pub heads: u64,
    /// Dimension of an index head.
    pub head_dim: u64,
}

/// Latent attention.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentAttention {
    /// Model width.
    pub hidden: u64,
    /// Query heads.
    pub heads: u64,
    /// Rank of the compressed query; `None` when queries are projected directly.
    pub q_rank: Option<u64>,
    /// Rank of the compressed keys and values.
    pub kv_rank: u64,
    /// Non-rotary dimension of query and key heads.
    pub nope_dim: u64,
    /// Rotary dimension, shared by all heads of the key.
    pub rope_dim: u64,
    /// Dimension of value heads.
    pub v_dim: u64,
    /// Biases on the compressing and output projections.
    pub bias: bool,
    /// Whether the layer makes the latent of keys and values; otherwise it reads an earlier layer's cache.
    pub owns_latent: bool,
    /// What chooses the tokens that attention reads.
    pub indexer: Option<Indexer>,
    /// Tokens that attention reads of those before, where an indexer chooses them, this layer's or an earlier one's.
    pub chosen: Option<u64>,
    /// Gate on the output, projected from the model's width; or with the queries, from the query latent
    /// and a second one beside it (A.X K2).
    pub gate: Gate,
    /// One learned sink logit per head.
    pub sinks: bool,
}

impl LatentAttention {
    /// Output features of the query projection: with a gate from the same latent, those too.
    fn q_width(&self) -> u64 {
        let gate = if self.gate == Gate::WithQuery { self.v_dim } else { 0 };
        self.heads * (self.nope_dim + self.rope_dim + gate)
    }

    /// Output features of the gate's own projection.
    fn gate_width(&self) -> Option<u64> {
        match self.gate {
            Gate::None | Gate::WithQuery => None,
            Gate::PerHead => Some(self.heads),
            Gate::Full => Some(self.heads * self.v_dim),
        }
    }

    fn product(name: &'static str, k: u64) -> Linear {
        Linear::new(name, Component::Attention, k).held(Held::Attention)
    }

    /// Latents of queries, keys and values; what expands them; indexer and gate; attention; the output projection
    /// and its sum.
    pub(super) fn nodes(&self, each: Each) {
        let part = Component::Attention;
        let heads = self.heads;
        let latent = if self.owns_latent { self.kv_rank + self.rope_dim } else { 0 };
        self.inputs(latent, each);
        if let Some(index) = self.indexer {
            self.index_nodes(index, each);
        }
        if let Some(width) = self.gate_width() {
            let gate = Part::new("self_attn.gate_proj.weight", width).over(heads);
            each(Self::product("gate_proj", self.hidden).of([gate]).into());
        }
        let rotated = Width::over(heads, self.rope_dim * 4);
        let rotated = Pointwise::new("rope_and_cache_write", part, Small::Linear, rotated);
        each(rotated.and(Width::whole(latent * 4)).into());
        self.attention_nodes(each);
        if self.sinks {
            each(Tensor::vector("self_attn.sinks", heads, part).split_over(heads).into());
        }
        let output = Part::new("self_attn.o_proj.weight", self.hidden).cut(Cut::Rows(heads));
        let output = output.biased("self_attn.o_proj.bias", self.bias);
        let output = Self::product("o_proj", heads * self.v_dim).of([output]);
        each(output.reading(Role::Return, Stream::Attended).into());
        each(Node::sum("attention_all_reduce", part, self.hidden));
    }

    /// From the model's width to latents and queries. `latent` elements per token are cached.
    fn inputs(&self, latent: u64, each: Each) {
        let part = Component::Attention;
        let norm = |name, width| Node::Weight(Tensor::vector(name, width, Component::Norm));
        let keys = Part::new("self_attn.kv_a_proj_with_mqa.weight", latent).shown("kv_a_proj");
        let keys = self.owns_latent.then_some(keys.biased("self_attn.kv_a_proj_with_mqa.bias", self.bias));
        let kernels = match self.q_rank {
            Some(rank) => {
                let queries = Part::new("self_attn.q_a_proj.weight", rank).shown("q_a_proj");
                let queries = queries.biased("self_attn.q_a_proj.bias", self.bias);
                let both = [Some(queries), keys.map(Part::joined)].into_iter().flatten();
                each(Self::product("qkv_a_proj", self.hidden).of(both).into());
                each(norm("self_attn.q_a_layernorm.weight", rank));
                let bytes = Width::whole((rank + self.kv_rank) * 4);
                Pointwise::new("latent_norms", part, Small::Norm, bytes).in_kernels(2)
            }
            None => {
                let queries = Part::new("self_attn.q_proj.weight", self.q_width()).over(self.heads);
                let both = [Some(queries.shown("q_proj")), keys].into_iter().flatten();
                each(Self::product("q_and_kv_a_proj", self.hidden).of(both).into());
                Pointwise::new("latent_norm", part, Small::Norm, Width::whole(self.kv_rank * 4))
            }
        };
        if self.owns_latent {
            each(norm("self_attn.kv_a_layernorm.weight", self.kv_rank));
        }
        each(kernels.between().into());
        if let Some(rank) = self.q_rank {
            // A gate with the queries has a latent of its own beside theirs.
            let input = if self.gate == Gate::WithQuery { 2 * rank } else { rank };
            let queries = Part::new("self_attn.q_b_proj.weight", self.q_width()).over(self.heads);
            let expand = Self::product("q_b_proj", input).of([queries]);
            each(expand.reading(Role::ExpandQueries, Stream::QueryLatent).into());
        }
    }

    /// The indexer is replicated: it must choose the same tokens on every rank.
    fn index_nodes(&self, index: Indexer, each: Each) {
        let (input, reads) = match self.q_rank {
            Some(rank) => (rank, Stream::QueryLatent),
            None => (self.hidden, Stream::Hidden),
        };
        let queries = Part::new("self_attn.indexer.wq_b.weight", index.heads * index.head_dim);
        each(Self::product("index_query", input).of([queries]).reading(Role::Project, reads).into());
        let keys = [
            Part::new("self_attn.indexer.wk.weight", index.head_dim),
            Part::new("self_attn.indexer.weights_proj.weight", index.heads),
        ];
        each(Self::product("index_key", self.hidden).of(keys).into());
        each(Tensor::vector("self_attn.indexer.k_norm.weight", index.head_dim, Component::Norm).into());
        each(Tensor::vector("self_attn.indexer.k_norm.bias", index.head_dim, Component::Norm).into());
        // Queries and keys are rotated, turned by a Hadamard transform and quantised, the key is written, weights are
        // scaled, and of the scores the highest are found.
        let bytes = Width::whole(4 * (index.heads + 1) * index.head_dim);
        each(
            Pointwise::new("index_rope_and_top_k", Component::Attention, Small::Linear, bytes)
                .in_kernels(6)
                .into(),
        );
    }

    /// Prompts expand the latent to full keys and values; decoding absorbs the expansion into the query
    /// and the output instead (DeepSeek-V2, §2.1.2).
    fn attention_nodes(&self, each: Each) {
        let latents = |phase| {
            Node::Latent(Latents {
                phase,
                heads: self.heads,
                kv_rank: self.kv_rank,
                rope_dim: self.rope_dim,
                nope_dim: self.nope_dim,
                v_dim: self.v_dim,
                one_head: false,
                keeps: self.owns_latent,
                chosen: self.chosen,
                index: self.indexer.map(|index| (index.heads, index.head_dim)),
            })
        };
        let absorb = |name, n, k| Node::PerHead(PerHead { name, heads: self.heads, n, k });
        each(Node::Exchange(Exchange {
            name: "gather_prior_latents",
            component: Component::Attention,
            transfer: Transfer::PriorLatents,
            bytes: 2 * (self.kv_rank + self.rope_dim),
        }));
        let expanded = self.heads * (self.nope_dim + self.v_dim);
        let expanded = Part::new("self_attn.kv_b_proj.weight", expanded).over(self.heads);
        let expand = Self::product("kv_b_proj", self.kv_rank).of([expanded]);
        let expand = expand.reading(Role::ExpandKeys, Stream::KeyLatent);
        each(Linear { rows: Rows::PrefillTokens, ..expand }.into());
        each(latents(Phase::Prompts));
        each(absorb("absorb_query", self.kv_rank, self.nope_dim));
        each(latents(Phase::Decoding));
        each(absorb("absorb_value", self.v_dim, self.kv_rank));
    }
}

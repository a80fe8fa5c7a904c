//! Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434 §2.1): keys and values are expanded from
//! one low-rank latent per token, which is all that the cache holds.

use super::{Cache, Gate, RankView, SharedContext, all_reduce, elementwise, gemm, per_rank};
use crate::model::operator::{CollectiveKind, LatentShape, Operator, OperatorKind, RankGroup, Rows};
use crate::model::tensor::{Component, Tensor};

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
    /// Gate on the output, projected from the model's width; or with the queries, from the query latent
    /// and a second one beside it (A.X K2).
    pub gate: Gate,
    /// One learned sink logit per head.
    pub sinks: bool,
}

impl LatentAttention {
    /// Output features of the query projection, for so many heads.
    fn q_width(&self, heads: u64) -> u64 {
        let gate = if self.gate == Gate::WithQuery { self.v_dim } else { 0 };
        heads * (self.nope_dim + self.rope_dim + gate)
    }

    /// Input features of the second query projection.
    fn q_input(&self, rank: u64) -> u64 {
        if self.gate == Gate::WithQuery { 2 * rank } else { rank }
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        let part = Component::Attention;
        let matrix = |name, rows, columns| Tensor::matrix(name, rows, columns, part);
        match self.q_rank {
            Some(rank) => {
                out.push(matrix("self_attn.q_a_proj.weight", rank, self.hidden));
                out.push(Tensor::vector("self_attn.q_a_layernorm.weight", rank, Component::Norm));
                let (rows, columns) = (self.q_width(self.heads), self.q_input(rank));
                out.push(matrix("self_attn.q_b_proj.weight", rows, columns).split_over(self.heads));
            }
            None => {
                out.push(
                    matrix("self_attn.q_proj.weight", self.q_width(self.heads), self.hidden)
                        .split_over(self.heads),
                );
            }
        }
        let latent = self.kv_rank + self.rope_dim;
        if self.owns_latent {
            out.push(matrix("self_attn.kv_a_proj_with_mqa.weight", latent, self.hidden));
            out.push(Tensor::vector("self_attn.kv_a_layernorm.weight", self.kv_rank, Component::Norm));
        }
        let expanded = self.heads * (self.nope_dim + self.v_dim);
        out.push(matrix("self_attn.kv_b_proj.weight", expanded, self.kv_rank).split_over(self.heads));
        out.push(
            matrix("self_attn.o_proj.weight", self.hidden, self.heads * self.v_dim).split_over(self.heads),
        );
        self.gate_and_index_tensors(out);
        if self.bias {
            if let Some(rank) = self.q_rank {
                out.push(Tensor::vector("self_attn.q_a_proj.bias", rank, part));
            }
            if self.owns_latent {
                out.push(Tensor::vector("self_attn.kv_a_proj_with_mqa.bias", latent, part));
            }
            out.push(Tensor::vector("self_attn.o_proj.bias", self.hidden, part));
        }
    }

    fn gate_and_index_tensors(&self, out: &mut Vec<Tensor>) {
        let part = Component::Attention;
        if let Some(width) = self.gate_width(self.heads) {
            let gate = Tensor::matrix("self_attn.gate_proj.weight", width, self.hidden, part);
            out.push(gate.split_over(self.heads));
        }
        if self.sinks {
            out.push(Tensor::vector("self_attn.sinks", self.heads, part).split_over(self.heads));
        }
        let Some(index) = self.indexer else { return };
        let matrix = |name, rows, columns| Tensor::matrix(name, rows, columns, part);
        let width = index.heads * index.head_dim;
        out.extend([
            matrix("self_attn.indexer.wq_b.weight", width, self.q_rank.unwrap_or(self.hidden)),
            matrix("self_attn.indexer.wk.weight", index.head_dim, self.hidden),
            matrix("self_attn.indexer.weights_proj.weight", index.heads, self.hidden),
            Tensor::vector("self_attn.indexer.k_norm.weight", index.head_dim, Component::Norm),
            Tensor::vector("self_attn.indexer.k_norm.bias", index.head_dim, Component::Norm),
        ]);
    }

    /// Output features of the gate's own projection, for so many heads.
    fn gate_width(&self, heads: u64) -> Option<u64> {
        match self.gate {
            Gate::None | Gate::WithQuery => None,
            Gate::PerHead => Some(heads),
            Gate::Full => Some(heads * self.v_dim),
        }
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = Component::Attention;
        let heads = per_rank(self.heads, view.groups.tensor);
        let format = view.formats.attention;
        let latent = if self.owns_latent { self.kv_rank + self.rope_dim } else { 0 };
        let q_out = self.q_width(heads);
        match self.q_rank {
            Some(rank) => {
                out.push(gemm("qkv_a_proj", part, rank + latent, self.hidden, format));
                out.push(elementwise("latent_norms", part, (rank + self.kv_rank) * 4, 2));
                out.push(gemm("q_b_proj", part, q_out, self.q_input(rank), format));
            }
            None => {
                out.push(gemm("q_and_kv_a_proj", part, q_out + latent, self.hidden, format));
                out.push(elementwise("latent_norm", part, self.kv_rank * 4, 1));
            }
        }
        if let Some(index) = self.indexer {
            // The indexer is replicated: it must choose the same tokens on every rank.
            let width = index.heads * index.head_dim;
            out.push(gemm("index_query", part, width, self.q_rank.unwrap_or(self.hidden), format));
            out.push(gemm("index_key", part, index.head_dim + index.heads, self.hidden, format));
        }
        if let Some(width) = self.gate_width(heads) {
            out.push(gemm("gate_proj", part, width, self.hidden, format));
        }
        out.push(elementwise("rope_and_cache_write", part, (heads * self.rope_dim + latent) * 4, 1));
        self.attention_operators(view, heads, out);
        out.push(gemm("o_proj", part, self.hidden, heads * self.v_dim, format));
        if view.groups.tensor > 1 {
            out.push(all_reduce("attention_all_reduce", part, self.hidden));
        }
    }

    /// Prompts expand the latent to full keys and values; decoding absorbs the expansion into the query
    /// and the output instead (DeepSeek-V2, §2.1.2).
    fn attention_operators(&self, view: &RankView, heads: u64, out: &mut Vec<Operator>) {
        let part = Component::Attention;
        let expand = OperatorKind::Gemm {
            rows: Rows::PrefillTokens,
            n: heads * (self.nope_dim + self.v_dim),
            k: self.kv_rank,
            format: view.formats.attention,
        };
        let absorb = |n, k| OperatorKind::BatchedGemm { rows: Rows::DecodeSequences, batch: heads, n, k };
        let shape = LatentShape {
            heads,
            kv_rank: self.kv_rank,
            rope_dim: self.rope_dim,
            nope_dim: self.nope_dim,
            v_dim: self.v_dim,
            kv: view.kv,
            context_ranks: view.groups.context,
        };
        let ranks = view.groups.context;
        let latent = self.kv_rank + self.rope_dim;
        if ranks > 1 {
            // Prompts attend with their own heads to all that is cached of them, in 16 bits (vLLM
            // `_context_parallel_compute_prefill_context`).
            let (kind, group, rows) = (CollectiveKind::AllGather, RankGroup::Context, Rows::PriorTokens);
            let gather = OperatorKind::Collective { kind, group, rows, bytes_per_row: 2 * latent };
            out.push(Operator::new("gather_prior_latents", part, gather));
        }
        out.push(Operator::new("kv_b_proj", part, expand));
        out.push(Operator::new("prefill_attention", part, OperatorKind::LatentPrefill(shape)));
        out.push(Operator::new("absorb_query", part, absorb(self.kv_rank, self.nope_dim)));
        let rows = Rows::DecodeSequences;
        let shared = SharedContext { ranks, rows, heads, widths: (latent, self.kv_rank) };
        shared.gather(out);
        let decode = LatentShape { heads: ranks * heads, ..shape };
        out.push(Operator::new("decode_attention", part, OperatorKind::LatentDecode(decode)));
        shared.merge(out);
        out.push(Operator::new("absorb_value", part, absorb(self.v_dim, self.kv_rank)));
    }

    pub(super) fn cache(&self) -> Option<Cache> {
        self.owns_latent.then_some(Cache::Latent { elements: self.kv_rank + self.rope_dim })
    }
}

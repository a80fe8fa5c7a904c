//! Attention of DeepSeek-V4 (`modeling_deepseek_v4.py`): one head that serves as key and value, low-rank
//! queries and outputs, and beside a sliding window a compressed history of the whole context.

use super::{Cache, Indexer, RankView, all_reduce, elementwise, gemm, per_rank};
use crate::model::operator::{LatentShape, Operator, OperatorKind};
use crate::model::tensor::{Component, Tensor};

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
    fn q_width(&self) -> u64 {
        self.heads * self.head_dim
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        let part = Component::Attention;
        let matrix = |name, rows, columns| Tensor::matrix(name, rows, columns, part);
        let (h, d) = (self.hidden, self.head_dim);
        let outputs = self.o_groups * self.o_rank;
        out.extend([
            matrix("self_attn.q_a_proj.weight", self.q_rank, h),
            Tensor::vector("self_attn.q_a_norm.weight", self.q_rank, Component::Norm),
            matrix("self_attn.q_b_proj.weight", self.q_width(), self.q_rank).split_over(self.heads),
            matrix("self_attn.kv_proj.weight", d, h),
            Tensor::vector("self_attn.kv_norm.weight", d, Component::Norm),
            matrix("self_attn.o_a_proj.weight", outputs, self.q_width() / self.o_groups)
                .split_over(self.o_groups),
            matrix("self_attn.o_b_proj.weight", h, outputs).split_over(self.o_groups),
            Tensor::vector("self_attn.sinks", self.heads, part).split_over(self.heads),
        ]);
        let Some(compressor) = self.compressor else { return };
        let width = compressor.series * d;
        out.extend([
            matrix("self_attn.compressor.kv_proj.weight", width, h),
            matrix("self_attn.compressor.gate_proj.weight", width, h),
            Tensor {
                columns: width,
                ..Tensor::vector("self_attn.compressor.position_bias", compressor.rate, part)
            },
            Tensor::vector("self_attn.compressor.kv_norm.weight", d, Component::Norm),
        ]);
        let Some(index) = compressor.indexer else { return };
        let width = compressor.series * index.head_dim;
        out.extend([
            matrix("self_attn.compressor.indexer.kv_proj.weight", width, h),
            matrix("self_attn.compressor.indexer.gate_proj.weight", width, h),
            Tensor {
                columns: width,
                ..Tensor::vector("self_attn.compressor.indexer.position_bias", compressor.rate, part)
            },
            Tensor::vector("self_attn.compressor.indexer.kv_norm.weight", index.head_dim, Component::Norm),
            matrix("self_attn.compressor.indexer.q_b_proj.weight", index.heads * index.head_dim, self.q_rank),
            matrix("self_attn.compressor.indexer.weights_proj.weight", index.heads, h),
        ]);
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = Component::Attention;
        let tp = view.groups.tensor;
        let heads = per_rank(self.heads, tp);
        let groups = per_rank(self.o_groups, tp);
        let format = view.formats.attention;
        out.push(gemm("q_a_and_kv_proj", part, self.q_rank + self.head_dim, self.hidden, format));
        out.push(elementwise("latent_norms", part, (self.q_rank + self.head_dim) * 4, 2));
        out.push(gemm("q_b_proj", part, heads * self.head_dim, self.q_rank, format));
        if let Some(compressor) = self.compressor {
            let index = compressor.indexer.map_or(0, |i| i.head_dim);
            let width = 2 * compressor.series * (self.head_dim + index);
            out.push(gemm("compressor", part, width, self.hidden, format));
            if let Some(index) = compressor.indexer {
                out.push(gemm("index_query", part, index.heads * index.head_dim, self.q_rank, format));
                out.push(gemm("index_weights", part, index.heads, self.hidden, format));
            }
        }
        out.push(elementwise("rope_and_cache_write", part, (heads + 1) * self.head_dim * 4, 1));
        // One head read as key and value is the absorbed form of latent attention without rotary part.
        let shape = LatentShape {
            heads,
            kv_rank: self.head_dim,
            rope_dim: 0,
            nope_dim: self.head_dim,
            v_dim: self.head_dim,
            kv: view.kv,
            context_ranks: 1,
        };
        out.push(Operator::new("prefill_attention", part, OperatorKind::LatentPrefill(shape)));
        out.push(Operator::new("decode_attention", part, OperatorKind::LatentDecode(shape)));
        out.push(gemm("o_a_proj", part, groups * self.o_rank, self.q_width() / self.o_groups, format));
        out.push(gemm("o_b_proj", part, self.hidden, groups * self.o_rank, format));
        if tp > 1 {
            out.push(all_reduce("attention_all_reduce", part, self.hidden));
        }
    }

    /// One head per token: an upper bound, since what lies before the window is kept compressed.
    pub(super) fn cache(&self) -> Cache {
        Cache::Latent { elements: self.head_dim }
    }
}

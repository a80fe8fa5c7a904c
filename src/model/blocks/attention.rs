//! Softmax attention with per-head keys and values: MHA, GQA, MQA.

use super::{Cache, RankView, all_reduce, elementwise, gemm, per_rank};
use crate::model::operator::{AttentionShape, Operator, OperatorKind};
use crate::model::tensor::{Component, Tensor};

/// Which projections carry a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Biases {
    /// Query projection.
    pub q: bool,
    /// Key projection.
    pub k: bool,
    /// Value projection.
    pub v: bool,
    /// Output projection.
    pub o: bool,
}

impl Biases {
    /// None.
    pub const NONE: Biases = Biases { q: false, k: false, v: false, o: false };

    /// On the input projections and on the output projection.
    pub const fn qkv_o(qkv: bool, o: bool) -> Biases {
        Biases { q: qkv, k: qkv, v: qkv, o }
    }
}

/// Norm of queries and keys before attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    None,
    /// One weight vector of the head dimension for queries, one for keys.
    PerHead,
    /// Over the full projected width.
    Full,
}

/// Where a layer's keys and values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Projections of its own.
    Own,
    /// The keys serve as values: no value projection.
    AsValues,
    /// An earlier layer's cache: no key and value projections.
    Shared,
}

/// Softmax attention. Weights: `q: heads·head_dim × hidden`, `k, v: kv_heads·head_dim × hidden`,
/// `o: hidden × heads·head_dim`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Model width.
    pub hidden: u64,
    /// Query heads.
    pub heads: u64,
    /// Key-value heads.
    pub kv_heads: u64,
    /// Dimension of a head.
    pub head_dim: u64,
    /// Which projections carry a bias.
    pub biases: Biases,
    /// Norm of queries and keys.
    pub qk_norm: QkNorm,
    /// Most keys a query sees.
    pub window: Option<u64>,
    /// Where keys and values come from.
    pub keys: Keys,
    /// The query projection also yields an output gate of the same width.
    pub output_gate: bool,
    /// One learned sink logit per head.
    pub sinks: bool,
}

impl Attention {
    /// Plain attention without biases, norms or window.
    pub fn new(hidden: u64, heads: u64, kv_heads: u64, head_dim: u64) -> Attention {
        Attention {
            hidden,
            heads,
            kv_heads,
            head_dim,
            biases: Biases::NONE,
            qk_norm: QkNorm::None,
            window: None,
            keys: Keys::Own,
            output_gate: false,
            sinks: false,
        }
    }

    fn q_width(&self) -> u64 {
        self.heads * self.head_dim
    }

    fn kv_width(&self) -> u64 {
        self.kv_heads * self.head_dim
    }

    /// How many of the key and value projections the layer has.
    fn kv_projections(&self) -> u64 {
        match self.keys {
            Keys::Own => 2,
            Keys::AsValues => 1,
            Keys::Shared => 0,
        }
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        let part = Component::Attention;
        let q_out = if self.output_gate { 2 * self.q_width() } else { self.q_width() };
        let (h, kv) = (self.heads, self.kv_heads);
        out.push(Tensor::matrix("self_attn.q_proj.weight", q_out, self.hidden, part).split_over(h));
        if self.biases.q {
            out.push(Tensor::vector("self_attn.q_proj.bias", q_out, part).split_over(h));
        }
        let projections = [
            ("self_attn.k_proj.weight", "self_attn.k_proj.bias", self.biases.k),
            ("self_attn.v_proj.weight", "self_attn.v_proj.bias", self.biases.v),
        ];
        for (weight, bias, has_bias) in projections.into_iter().take(self.kv_projections() as usize) {
            out.push(Tensor::matrix(weight, self.kv_width(), self.hidden, part).split_over(kv));
            if has_bias {
                out.push(Tensor::vector(bias, self.kv_width(), part).split_over(kv));
            }
        }
        out.push(Tensor::matrix("self_attn.o_proj.weight", self.hidden, self.q_width(), part).split_over(h));
        if self.biases.o {
            out.push(Tensor::vector("self_attn.o_proj.bias", self.hidden, part));
        }
        if self.sinks {
            out.push(Tensor::vector("self_attn.sinks", self.heads, part).split_over(h));
        }
        self.norm_tensors(out);
    }

    fn norm_tensors(&self, out: &mut Vec<Tensor>) {
        let (q, k) = match self.qk_norm {
            QkNorm::None => return,
            QkNorm::PerHead => (self.head_dim, self.head_dim),
            QkNorm::Full => (self.q_width(), self.kv_width()),
        };
        out.push(Tensor::vector("self_attn.q_norm.weight", q, Component::Norm));
        if self.keys != Keys::Shared {
            out.push(Tensor::vector("self_attn.k_norm.weight", k, Component::Norm));
        }
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = Component::Attention;
        let tp = view.groups.tensor;
        let (heads, kv_heads) = (per_rank(self.heads, tp), per_rank(self.kv_heads, tp));
        let gate = if self.output_gate { heads } else { 0 };
        let qkv_heads = heads + gate + self.kv_projections() * kv_heads;
        let format = view.formats.attention;
        out.push(gemm("qkv_proj", part, qkv_heads * self.head_dim, self.hidden, format));
        if self.qk_norm != QkNorm::None {
            out.push(elementwise("qk_norm", part, (heads + kv_heads) * self.head_dim * 4, 2));
        }
        if self.qk_norm == QkNorm::Full && tp > 1 {
            // The mean square runs over the full width: one FP32 sum each for queries and keys.
            out.push(all_reduce("qk_norm_all_reduce", part, 4));
        }
        out.push(elementwise("rope_and_cache_write", part, (heads + 2 * kv_heads) * self.head_dim * 4, 1));
        let shape =
            AttentionShape { heads, kv_heads, head_dim: self.head_dim, window: self.window, kv: view.kv };
        out.push(Operator::new("prefill_attention", part, OperatorKind::PrefillAttention(shape)));
        out.push(Operator::new("decode_attention", part, OperatorKind::DecodeAttention(shape)));
        out.push(gemm("o_proj", part, self.hidden, heads * self.head_dim, format));
        if tp > 1 {
            out.push(all_reduce("attention_all_reduce", part, self.hidden));
        }
    }

    pub(super) fn cache(&self) -> Option<Cache> {
        (self.keys != Keys::Shared).then_some(Cache::KeyValue {
            heads: self.kv_heads,
            per_head: 2 * self.head_dim,
            window: self.window,
        })
    }
}

//! Softmax attention with per-head keys and values: MHA, GQA, MQA.

use super::{Cache, RankView, SharedContext, all_reduce, elementwise, gemm, per_rank};
use crate::model::operator::{AttentionShape, Operator, OperatorKind, Rows};
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
    /// The output gate's own projection.
    pub gate: bool,
}

impl Biases {
    /// None.
    pub const NONE: Biases = Biases { q: false, k: false, v: false, o: false, gate: false };

    /// On the input projections and on the output projection.
    pub const fn qkv_o(qkv: bool, o: bool) -> Biases {
        Biases { q: qkv, k: qkv, v: qkv, o, gate: false }
    }
}

/// Norm of queries and keys before attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// None, or one without weights (Llama 4, nanochat).
    None,
    /// One weight vector of the head dimension for queries, one for keys.
    PerHead,
    /// The same with biases (Phi, Persimmon).
    PerHeadBiased,
    /// Over each head, with weights of its own for every head (Cohere, StableLM).
    EveryHead,
    /// Over the full projected width.
    Full,
}

/// A learned gate on the attention's output, before the output projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// None.
    None,
    /// One value per head: `heads × hidden` (Laguna, LFM3).
    PerHead,
    /// One value per output element, from a projection of its own (AFMoE).
    Full,
    /// The same, as the second half of the query projection, whose bias it shares (Qwen3-Next).
    WithQuery,
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

/// Where a layer's queries and outputs are projected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// By projections of its own.
    Own,
    /// By the routed experts of the block before it: no query and output projections (JetMoE).
    Routed,
    /// Queries through a latent of this width, with a norm, that every rank holds (Step-3).
    LowRank(u64),
}

/// Softmax attention. Weights: `q: heads·head_dim × input`, `k: kv_heads·head_dim × input`,
/// `v: kv_heads·v_dim × input`, `o: hidden × heads·v_dim`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Model width.
    pub hidden: u64,
    /// Width of what queries, keys and values are projected from: the model's, except in Zamba.
    pub input: u64,
    /// Query heads.
    pub heads: u64,
    /// Key-value heads.
    pub kv_heads: u64,
    /// Dimension of a query or key head.
    pub head_dim: u64,
    /// Dimension of a value head.
    pub v_dim: u64,
    /// Input features of the output projection where they are not `heads·v_dim`: Helium's class takes the
    /// model's width, whatever the heads are.
    pub o_input: Option<u64>,
    /// Which projections carry a bias.
    pub biases: Biases,
    /// Norm of queries and keys.
    pub qk_norm: QkNorm,
    /// Most keys a query sees.
    pub window: Option<u64>,
    /// Whether its window is a chunk: it does not slide, a query sees those before it in its own chunk (Llama 4).
    pub chunked: bool,
    /// Whether the engine keeps the keys and values that have left the window all the same.
    pub keeps_all: bool,
    /// Where keys and values come from.
    pub keys: Keys,
    /// Where queries and outputs are projected.
    pub queries: Queries,
    /// Gate on the output.
    pub gate: Gate,
    /// One learned sink logit per head.
    pub sinks: bool,
}

impl Attention {
    /// Plain attention without biases, norms or window.
    pub fn new(hidden: u64, heads: u64, kv_heads: u64, head_dim: u64) -> Attention {
        Attention {
            hidden,
            input: hidden,
            heads,
            kv_heads,
            head_dim,
            v_dim: head_dim,
            o_input: None,
            biases: Biases::NONE,
            qk_norm: QkNorm::None,
            window: None,
            chunked: false,
            keeps_all: false,
            keys: Keys::Own,
            queries: Queries::Own,
            gate: Gate::None,
            sinks: false,
        }
    }

    fn q_width(&self) -> u64 {
        self.heads * self.head_dim
    }

    fn output_width(&self) -> u64 {
        self.o_input.unwrap_or(self.heads * self.v_dim)
    }

    /// Widths of the key and value projections that the layer has.
    fn kv_widths(&self) -> (Option<u64>, Option<u64>) {
        let (k, v) = (self.kv_heads * self.head_dim, self.kv_heads * self.v_dim);
        match self.keys {
            Keys::Own => (Some(k), Some(v)),
            Keys::AsValues => (Some(k), None),
            Keys::Shared => (None, None),
        }
    }

    /// Output features of the gate's own projection.
    fn gate_width(&self) -> u64 {
        match self.gate {
            Gate::PerHead => self.heads,
            Gate::Full => self.output_width(),
            Gate::None | Gate::WithQuery => 0,
        }
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        let part = Component::Attention;
        let h = self.heads;
        if self.queries != Queries::Routed {
            let q = if self.gate == Gate::WithQuery { 2 * self.q_width() } else { self.q_width() };
            if let Queries::LowRank(rank) = self.queries {
                out.push(Tensor::matrix("self_attn.q_proj.weight", rank, self.input, part));
                out.push(Tensor::vector("self_attn.inter_norm.weight", rank, Component::Norm));
                out.push(Tensor::matrix("self_attn.wq.weight", q, rank, part).split_over(h));
            } else {
                out.push(Tensor::matrix("self_attn.q_proj.weight", q, self.input, part).split_over(h));
            }
            if self.biases.q {
                out.push(Tensor::vector("self_attn.q_proj.bias", q, part).split_over(h));
            }
            let o = Tensor::matrix("self_attn.o_proj.weight", self.hidden, self.output_width(), part);
            out.push(o.split_over(h));
            if self.biases.o {
                out.push(Tensor::vector("self_attn.o_proj.bias", self.hidden, part));
            }
        }
        let (k, v) = self.kv_widths();
        let projections = [
            ("self_attn.k_proj.weight", "self_attn.k_proj.bias", k, self.biases.k),
            ("self_attn.v_proj.weight", "self_attn.v_proj.bias", v, self.biases.v),
        ];
        for (weight, bias, width, has_bias) in projections {
            let Some(width) = width else { continue };
            out.push(Tensor::matrix(weight, width, self.input, part).split_over(self.kv_heads));
            if has_bias {
                out.push(Tensor::vector(bias, width, part).split_over(self.kv_heads));
            }
        }
        if self.gate_width() > 0 {
            let gate = Tensor::matrix("self_attn.gate_proj.weight", self.gate_width(), self.input, part);
            out.push(gate.split_over(h));
            if self.biases.gate {
                let bias = Tensor::vector("self_attn.gate_proj.bias", self.gate_width(), part);
                out.push(bias.split_over(h));
            }
        }
        if self.sinks {
            out.push(Tensor::vector("self_attn.sinks", self.heads, part).split_over(h));
        }
        self.norm_tensors(out);
    }

    fn norm_tensors(&self, out: &mut Vec<Tensor>) {
        let (q, k) = match self.qk_norm {
            QkNorm::None => return,
            QkNorm::PerHead | QkNorm::PerHeadBiased => (self.head_dim, self.head_dim),
            QkNorm::EveryHead | QkNorm::Full => (self.q_width(), self.kv_heads * self.head_dim),
        };
        let mut norm = |weight, bias, width| {
            out.push(Tensor::vector(weight, width, Component::Norm));
            if self.qk_norm == QkNorm::PerHeadBiased {
                out.push(Tensor::vector(bias, width, Component::Norm));
            }
        };
        norm("self_attn.q_norm.weight", "self_attn.q_norm.bias", q);
        if self.keys != Keys::Shared {
            norm("self_attn.k_norm.weight", "self_attn.k_norm.bias", k);
        }
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = Component::Attention;
        let tp = view.groups.tensor;
        let (heads, kv_heads) = (per_rank(self.heads, tp), per_rank(self.kv_heads, tp));
        let rank = Attention { heads, kv_heads, ..self.clone() };
        let format = view.formats.attention;
        out.push(gemm("qkv_proj", part, rank.projected(), self.input, format));
        if let Queries::LowRank(latent) = self.queries {
            out.push(gemm("q_b_proj", part, rank.q_width(), latent, format));
        }
        if self.qk_norm != QkNorm::None {
            out.push(elementwise("qk_norm", part, (heads + kv_heads) * self.head_dim * 4, 2));
        }
        if self.qk_norm == QkNorm::Full && tp > 1 {
            // The mean square runs over the full width: one FP32 sum each for queries and keys.
            out.push(all_reduce("qk_norm_all_reduce", part, 4));
        }
        out.push(elementwise("rope_and_cache_write", part, (heads + 2 * kv_heads) * self.head_dim * 4, 1));
        let shape = AttentionShape {
            heads,
            kv_heads,
            // Scores run over key heads and sums over value heads: their mean gives both costs.
            head_dim: (self.head_dim + self.v_dim) / 2,
            window: self.window,
            kv: view.kv,
            context_ranks: view.groups.context,
        };
        // Prompts too: their cached part is as divided (vLLM `flash_attn.py`, `_forward_with_dcp`).
        let ranks = view.groups.context;
        let shared = SharedContext { ranks, rows: Rows::Tokens, heads, widths: (self.head_dim, self.v_dim) };
        shared.gather(out);
        let decode = AttentionShape { heads: ranks * heads, ..shape };
        out.push(Operator::new("prefill_attention", part, OperatorKind::PrefillAttention(shape)));
        out.push(Operator::new("decode_attention", part, OperatorKind::DecodeAttention(decode)));
        shared.merge(out);
        if self.gate != Gate::None {
            out.push(elementwise("output_gate", part, rank.output_width() * 6, 1));
        }
        if self.queries != Queries::Routed {
            out.push(gemm("o_proj", part, self.hidden, rank.output_width(), format));
        }
        if tp > 1 {
            out.push(all_reduce("attention_all_reduce", part, self.hidden));
        }
    }

    /// Output features of all input projections together.
    fn projected(&self) -> u64 {
        let (k, v) = self.kv_widths();
        let q = match (self.queries, self.gate) {
            (Queries::Routed, _) => 0,
            (Queries::LowRank(rank), _) => rank,
            (Queries::Own, Gate::WithQuery) => 2 * self.q_width(),
            (Queries::Own, _) => self.q_width(),
        };
        q + k.unwrap_or(0) + v.unwrap_or(0) + self.gate_width()
    }

    pub(super) fn cache(&self) -> Option<Cache> {
        (self.keys != Keys::Shared).then_some(Cache::KeyValue {
            heads: self.kv_heads,
            per_head: self.head_dim + self.v_dim,
            window: self.window.filter(|_| !self.keeps_all),
        })
    }
}

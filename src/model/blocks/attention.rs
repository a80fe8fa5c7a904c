//! Softmax attention with per-head keys and values: MHA, GQA, MQA.

use crate::model::node::Each;
use crate::model::node::{Cut, Heads, Held, Linear, Node, Part, Pointwise, Small, Stream, Width};
use crate::model::tensor::{Component, Role, Tensor};

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
    /// Whether keys and values are kept for later tokens: not in an encoder, which sees all of its input at once.
    pub cached: bool,
    /// Where queries and outputs are projected.
    pub queries: Queries,
    /// Gate on the output.
    pub gate: Gate,
    /// One learned sink logit per head.
    pub sinks: bool,
    /// Whether a query reads only those blocks of keys that an indexer chose (MiniMax-M3).
    pub selects: bool,
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
            cached: true,
            queries: Queries::Own,
            gate: Gate::None,
            sinks: false,
            selects: false,
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

    /// Input projections, norms, rotation, attention itself, its gate, the output projection and its sum.
    pub(super) fn nodes(&self, each: Each) {
        let part = Component::Attention;
        let (h, kv, d) = (self.heads, self.kv_heads, self.head_dim);
        each(Linear::new("qkv_proj", part, self.input).held(Held::Attention).of(self.inputs()).into());
        if let Queries::LowRank(rank) = self.queries {
            each(Tensor::vector("self_attn.inter_norm.weight", rank, Component::Norm).into());
            let expand = Linear::new("q_b_proj", part, rank)
                .held(Held::Attention)
                .of([self.query_part("self_attn.wq.weight")]);
            each(expand.reading(Role::ExpandQueries, Stream::QueryLatent).into());
        }
        self.norms(each);
        let rotated = Pointwise::new("rope_and_cache_write", part, Small::Linear, Width::over(h, d * 4));
        each(rotated.and(Width::over(kv, 2 * d * 4)).into());
        each(Node::Attention(Heads {
            heads: h,
            kv_heads: kv,
            head_dim: d,
            v_dim: self.v_dim,
            window: self.window,
            kept_window: self.window.filter(|_| !self.keeps_all),
            keeps: self.cached && self.keys != Keys::Shared,
            both_ways: !self.cached,
            sinks: self.sinks,
        }));
        if self.sinks {
            each(Tensor::vector("self_attn.sinks", h, part).split_over(h).into());
        }
        if self.gate != Gate::None {
            let width = Width::divided(self.output_width().saturating_mul(6), h);
            each(Pointwise::new("output_gate", part, Small::Gate, width).into());
        }
        if self.queries != Queries::Routed {
            let output = Part::new("self_attn.o_proj.weight", self.hidden).cut(Cut::Rows(h));
            let output = output.biased("self_attn.o_proj.bias", self.biases.o);
            let product = Linear::new("o_proj", part, self.output_width()).held(Held::Attention).of([output]);
            each(product.reading(Role::Return, Stream::Attended).into());
        }
        each(Node::sum("attention_all_reduce", part, self.hidden));
    }

    /// What is projected from the input: queries (or their latent), keys, values, a gate.
    fn inputs(&self) -> impl Iterator<Item = Part> {
        let queries = match self.queries {
            Queries::Routed => None,
            Queries::LowRank(rank) => Some(Part::new("self_attn.q_proj.weight", rank)),
            Queries::Own => Some(self.query_part("self_attn.q_proj.weight")),
        };
        let (k, v) = self.kv_widths();
        let of_kv_heads =
            |weight, n: Option<u64>| n.map(|n| Part::new(weight, n).over(self.kv_heads).joined());
        let keys = of_kv_heads("self_attn.k_proj.weight", k);
        let values = of_kv_heads("self_attn.v_proj.weight", v);
        let gate = Part::new("self_attn.gate_proj.weight", self.gate_width()).over(self.heads);
        let gate = gate.biased("self_attn.gate_proj.bias", self.biases.gate).shown("gate_proj");
        [
            queries.map(|p| p.shown("q_proj")),
            keys.map(|p| p.biased("self_attn.k_proj.bias", self.biases.k).shown("k_proj")),
            values.map(|p| p.biased("self_attn.v_proj.bias", self.biases.v).shown("v_proj")),
            (self.gate_width() > 0).then_some(gate),
        ]
        .into_iter()
        .flatten()
    }

    /// Queries of all heads, and the gate that is projected with them.
    fn query_part(&self, weight: &'static str) -> Part {
        let n = if self.gate == Gate::WithQuery { 2 * self.q_width() } else { self.q_width() };
        Part::new(weight, n).over(self.heads).biased("self_attn.q_proj.bias", self.biases.q)
    }

    fn norms(&self, each: Each) {
        let (h, kv, d) = (self.heads, self.kv_heads, self.head_dim);
        let (q, k) = match self.qk_norm {
            QkNorm::None => return,
            QkNorm::PerHead | QkNorm::PerHeadBiased => (d, d),
            QkNorm::EveryHead | QkNorm::Full => (self.q_width(), kv * d),
        };
        let mut norm = |weight, bias, width| {
            each(Tensor::vector(weight, width, Component::Norm).into());
            if self.qk_norm == QkNorm::PerHeadBiased {
                each(Tensor::vector(bias, width, Component::Norm).into());
            }
        };
        norm("self_attn.q_norm.weight", "self_attn.q_norm.bias", q);
        if self.keys != Keys::Shared {
            norm("self_attn.k_norm.weight", "self_attn.k_norm.bias", k);
        }
        let part = Component::Attention;
        let both = Pointwise::new("qk_norm", part, Small::Norm, Width::over(h, d * 4));
        each(both.and(Width::over(kv, d * 4)).in_kernels(2).into());
        if self.qk_norm == QkNorm::Full {
            // The mean square runs over the full width: one FP32 sum each for queries and keys.
            each(Node::sum("qk_norm_all_reduce", part, 4));
        }
    }
}

//! What follows from nodes: tensors, operators, cache.

use super::{
    Cache, Cut, Exchange, Experts, Filter, Heads, Latents, Linear, Node, Part, PerHead, Phase, Pointwise,
    RankView, Scan, Transfer,
};
use crate::dtype::DType;
use crate::model::operator::{
    AttentionShape, CollectiveKind, ExpertsShape, LatentShape, Operator, OperatorKind, RankGroup, Rows,
    ScanShape,
};
use crate::model::tensor::{Component, Role, Split, Tensor, TensorClass, VOCABULARY_PADDING, share};

/// Bytes of one element of a recurrent state, 16 bits like the rest of the cache.
pub(in crate::model) const STATE_BYTES: u64 = 2;

impl Node {
    /// Appends the node's weight tensors.
    pub fn tensors(&self, out: &mut Vec<Tensor>) {
        match self {
            Node::Linear(n) => n.tensors(out),
            Node::Experts(n) => n.tensors(out),
            Node::Lookup { weight, vocabulary, width } => out.push(
                Tensor::matrix(weight, *vocabulary, *width, Component::Embedding)
                    .class(TensorClass::Embedding)
                    .split(Split::Vocabulary),
            ),
            Node::Weight(tensor) => out.push(tensor.clone()),
            Node::Attention(_)
            | Node::Latent(_)
            | Node::PerHead(_)
            | Node::Filter(_)
            | Node::Scan(_)
            | Node::Pointwise(_)
            | Node::Exchange(_)
            | Node::Sampling { .. } => {}
        }
    }

    /// Appends what one rank executes for the node in one step.
    pub fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        match self {
            Node::Linear(n) => out.push(n.operator(view)),
            Node::Attention(n) => n.operators(view, out),
            Node::Latent(n) => n.operators(view, out),
            Node::PerHead(n) => out.push(n.operator(view)),
            Node::Experts(n) => out.push(n.operator(view)),
            Node::Filter(n) => out.push(n.operator(view)),
            Node::Scan(n) => out.extend(n.operator(view)),
            Node::Pointwise(n) => out.push(n.operator(view)),
            Node::Exchange(n) => out.extend(n.operator(view)),
            Node::Lookup { width, .. } => {
                let kind = OperatorKind::Embedding { row_bytes: 2 * width };
                out.push(Operator::new("embedding", Component::Embedding, kind));
            }
            Node::Sampling { vocabulary } => {
                let kind = OperatorKind::Sampling { vocabulary: *vocabulary };
                out.push(Operator::new("sampling", Component::LmHead, kind));
            }
            Node::Weight(_) => {}
        }
    }

    /// What the node keeps between tokens.
    pub fn cache(&self) -> Option<Cache> {
        match self {
            Node::Attention(n) => n.keeps.then_some(Cache::KeyValue {
                heads: n.kv_heads,
                per_head: n.head_dim + n.v_dim,
                window: n.kept_window,
            }),
            Node::Latent(n) => {
                let keeps = n.keeps && n.phase != Phase::Decoding;
                keeps.then_some(Cache::Latent { elements: n.kv_rank + n.rope_dim })
            }
            Node::Filter(n) => {
                let inputs = n.channels.saturating_mul(n.kernel.saturating_sub(1));
                state(inputs, STATE_BYTES, n.heads)
            }
            Node::Scan(n) => state(n.state, n.state_bytes, n.heads),
            _ => None,
        }
    }
}

fn state(elements: u64, each: u64, heads: u64) -> Option<Cache> {
    let bytes = elements.saturating_mul(STATE_BYTES);
    let wider = elements.saturating_mul(each.saturating_sub(STATE_BYTES));
    (bytes > 0).then_some(Cache::State { bytes, wider, heads })
}

impl Part {
    /// Output features on the fullest of `ranks`.
    fn on(&self, ranks: u64) -> u64 {
        match self.cut {
            Cut::Whole | Cut::Rows(_) => self.n,
            Cut::Columns(units) => share(self.n, units, ranks),
            Cut::Vocabulary => self.n.next_multiple_of(VOCABULARY_PADDING).div_ceil(ranks),
        }
    }

    /// How its weight is divided.
    fn split(&self) -> Split {
        match self.cut {
            Cut::Whole => Split::Replicated,
            Cut::Columns(units) | Cut::Rows(units) => Split::Tensor { units },
            Cut::Vocabulary => Split::Vocabulary,
        }
    }

    /// How its bias is: whole where the ranks' results are added.
    fn bias_split(&self) -> Split {
        match self.cut {
            Cut::Rows(_) => Split::Replicated,
            _ => self.split(),
        }
    }
}

impl Linear {
    /// Whether the ranks divide its input.
    pub fn is_cut_by_input(&self) -> bool {
        self.parts.iter().any(|p| matches!(p.cut, Cut::Rows(_)))
    }

    pub(in crate::model) fn tensors(&self, out: &mut Vec<Tensor>) {
        for part in self.parts.iter() {
            out.extend(part.weight.map(|name| Tensor {
                copies: self.slots,
                role: self.role,
                joins: part.joins,
                ..Tensor::matrix(name, part.n, self.k, self.weights).class(self.class).split(part.split())
            }));
            let bias =
                part.bias.map(|name| Tensor::vector(name, part.n, self.weights).split(part.bias_split()));
            out.extend(bias);
        }
    }

    fn operator(&self, view: &RankView) -> Operator {
        let ranks = view.groups.tensor;
        let n = self.parts.iter().map(|p| p.on(ranks)).fold(0, u64::saturating_add);
        let rows = self.parts.iter().find_map(|p| match p.cut {
            Cut::Rows(units) => Some(units),
            _ => None,
        });
        let k = rows.map_or(self.k, |units| share(self.k, units, ranks));
        let format = self.held.of(&view.formats);
        Operator {
            beside_experts: self.beside_experts,
            ..Operator::new(self.name, self.component, OperatorKind::Gemm { rows: self.rows, n, k, format })
        }
    }
}

impl Heads {
    fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = Component::Attention;
        let tp = view.groups.tensor;
        let heads = per_rank(self.heads, tp);
        let shape = AttentionShape {
            heads,
            kv_heads: per_rank(self.kv_heads, tp),
            // Scores run over key heads and sums over value heads: their mean gives both costs.
            head_dim: (self.head_dim + self.v_dim) / 2,
            window: self.window,
            both_ways: self.both_ways,
            sinks: self.sinks,
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
    }
}

impl Latents {
    fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = Component::Attention;
        let heads = per_rank(self.heads, view.groups.tensor);
        // One head cannot be divided by tokens: its history is compressed.
        let ranks = if self.one_head { 1 } else { view.groups.context };
        let shape = LatentShape {
            heads,
            kv_rank: self.kv_rank,
            rope_dim: self.rope_dim,
            nope_dim: self.nope_dim,
            v_dim: self.v_dim,
            kv: view.kv,
            context_ranks: ranks,
            chosen: self.chosen,
        };
        if self.phase != Phase::Decoding {
            out.extend(
                self.scores().map(|scores| {
                    Operator::new("index_scores", part, OperatorKind::PrefillAttention(scores))
                }),
            );
            out.push(Operator::new("prefill_attention", part, OperatorKind::LatentPrefill(shape)));
        }
        if self.phase != Phase::Prompts {
            out.extend(
                self.scores()
                    .map(|scores| Operator::new("index_scores", part, OperatorKind::DecodeAttention(scores))),
            );
            let latent = self.kv_rank + self.rope_dim;
            let rows = Rows::DecodeSequences;
            let shared = SharedContext { ranks, rows, heads, widths: (latent, self.kv_rank) };
            shared.gather(out);
            let decode = LatentShape { heads: ranks * heads, ..shape };
            out.push(Operator::new("decode_attention", part, OperatorKind::LatentDecode(decode)));
            shared.merge(out);
        }
    }
}

impl Latents {
    /// The scores that the indexer gives all tokens before: attention in FP8 without its second half, whole on every rank
    /// (DeepGEMM's `fp8_mqa_logits`).
    fn scores(&self) -> Option<AttentionShape> {
        let (heads, dim) = self.index?;
        Some(AttentionShape {
            heads,
            kv_heads: 1,
            head_dim: (dim / 2).max(1),
            window: None,
            both_ways: false,
            sinks: false,
            kv: DType::Fp8,
            context_ranks: 1,
        })
    }
}

impl PerHead {
    fn operator(&self, view: &RankView) -> Operator {
        let batch = per_rank(self.heads, view.groups.tensor);
        let kind = OperatorKind::BatchedGemm { rows: Rows::DecodeSequences, batch, n: self.n, k: self.k };
        Operator::new(self.name, Component::Attention, kind)
    }
}

impl Experts {
    /// Matrices per expert.
    fn matrices(&self) -> u64 {
        if self.gated { 3 } else { 2 }
    }

    fn tensors(&self, out: &mut Vec<Tensor>) {
        let part = Component::Experts;
        let routed = |t: Tensor, n, class| t.experts(n, self.top_k, self.inner).class(class);
        let matrix = |name, rows, columns, n| {
            routed(Tensor::matrix(name, rows, columns, part), n, TensorClass::Expert)
        };
        let bias = |name, width| {
            let has = self.bias.then(|| Tensor::vector(name, width, part));
            has.map(|bias| routed(bias, self.experts, TensorClass::Vector))
        };
        let scored = self.experts + self.zero_experts;
        let [gate_name, up_name, down_name] = if self.beside_dense {
            ["experts.gate_proj.weight", "experts.up_proj.weight", "experts.down_proj.weight"]
        } else {
            ["mlp.experts.gate_proj.weight", "mlp.experts.up_proj.weight", "mlp.experts.down_proj.weight"]
        };
        out.push(matrix(up_name, self.inner, self.width, scored));
        out.extend(bias("mlp.experts.up_proj.bias", self.inner));
        if self.gated {
            let gate = matrix(gate_name, self.inner, self.width, scored);
            out.push(Tensor { joins: true, ..gate });
            out.extend(bias("mlp.experts.gate_proj.bias", self.inner));
        }
        let down = matrix(down_name, self.width, self.inner, self.experts);
        out.push(Tensor { role: Role::Return, ..down });
        out.extend(bias("mlp.experts.down_proj.bias", self.width));
    }

    fn operator(&self, view: &RankView) -> Operator {
        let groups = view.groups;
        let shape = ExpertsShape {
            experts: self.experts,
            top_k: self.top_k,
            hidden: self.width,
            inner: per_rank(self.inner, groups.expert_tensor),
            matrices: self.matrices(),
            expert_ranks: groups.expert,
            attention_data: groups.attention_data,
            exchanged: false,
            format: view.formats.experts,
        };
        Operator::new("experts", Component::Experts, OperatorKind::GroupedGemm(shape))
    }
}

impl Filter {
    /// Reads the new input and the kept ones, writes one output and shifts the kept ones.
    fn operator(&self, view: &RankView) -> Operator {
        let channels = per_rank(self.channels, view.groups.tensor);
        let kind = OperatorKind::Elementwise {
            rows: Rows::Tokens,
            bytes_per_row: channels * 4 * self.kernel,
            kernels: 1,
        };
        Operator::new("convolution", self.component, kind)
    }
}

impl Scan {
    fn operator(&self, view: &RankView) -> Option<Operator> {
        let ranks = view.groups.tensor.min(self.heads);
        let shape = ScanShape {
            kind: self.kind,
            state: self.state.div_ceil(ranks),
            state_bytes: self.state_bytes,
            flops_per_token: self.flops_per_token.div_ceil(ranks),
        };
        let operator = || Operator::new("state_update", self.component, OperatorKind::Scan(shape));
        (self.state > 0).then(operator)
    }
}

impl Pointwise {
    fn operator(&self, view: &RankView) -> Operator {
        let on = |width: super::Width| width.on(view.groups.tensor);
        let bytes_per_row = self.bytes.into_iter().map(on).fold(0, u64::saturating_add);
        let kind = OperatorKind::Elementwise { rows: Rows::Tokens, bytes_per_row, kernels: self.kernels };
        Operator { beside_experts: self.beside_experts, ..Operator::new(self.name, self.component, kind) }
    }
}

impl Exchange {
    fn operator(&self, view: &RankView) -> Option<Operator> {
        let groups = view.groups;
        let (divided, apart) = (groups.tensor > 1, groups.attention_data > 1);
        let all = self.bytes.saturating_mul(groups.attention_data);
        let (wanted, kind, group, rows, bytes_per_row) = match self.transfer {
            Transfer::Sum => {
                (divided, CollectiveKind::AllReduce, RankGroup::Tensor, Rows::Tokens, self.bytes)
            }
            Transfer::SumOfExperts => {
                (divided && !apart, CollectiveKind::AllReduce, RankGroup::Tensor, Rows::Tokens, self.bytes)
            }
            Transfer::Dispatch => (apart, CollectiveKind::AllGather, RankGroup::Experts, Rows::Tokens, all),
            Transfer::Combine => {
                (apart, CollectiveKind::ReduceScatter, RankGroup::Experts, Rows::Tokens, all)
            }
            Transfer::Logits => {
                (divided, CollectiveKind::AllGather, RankGroup::Tensor, Rows::Emitting, self.bytes)
            }
            Transfer::PriorLatents => {
                let kind = CollectiveKind::AllGather;
                (groups.context > 1, kind, RankGroup::Context, Rows::PriorTokens, self.bytes)
            }
        };
        let kind = OperatorKind::Collective { kind, group, rows, bytes_per_row };
        wanted.then(|| Operator::new(self.name, self.component, kind))
    }
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

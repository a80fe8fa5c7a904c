//! What training keeps of the forward pass for the backward pass.
//!
//! Rule by rule as in Korthikanti et al. 2022 (arXiv:2205.05198) §4.1: products keep their inputs,
//! attention its queries, keys, values and softmax, activation functions and norms their inputs, dropout
//! one byte of mask per element. For multi-head attention, `4h` GELU and dropout that is their
//! `s·b·h·(34 + 5·a·s/h)` per layer.

use super::Setting;
use super::attention::Shape;
use super::experts;
use crate::model::Step;
use crate::model::blocks::Block;
use crate::model::operator::{AdapterInput, Operator, OperatorKind};

/// Inputs of a block that an earlier product has kept already.
#[derive(Default)]
pub(crate) struct Kept {
    block_input: bool,
    query_latent: bool,
}

/// Products that start from the input of their block.
const FROM_BLOCK_INPUT: &[&str] = &[
    "qkv_proj",
    "qkv_a_proj",
    "q_and_kv_a_proj",
    "q_a_and_kv_proj",
    "gate_proj",
    "index_key",
    "compressor",
    "index_weights",
    "up_proj",
    "in_proj",
    "router",
    "latent_down",
];

/// Products that start from the query latent.
const FROM_QUERY_LATENT: &[&str] = &["q_b_proj", "index_query"];

impl Kept {
    /// Whether the product is the first to read its input.
    fn first(&mut self, name: &str) -> bool {
        let flag = if FROM_BLOCK_INPUT.contains(&name) {
            &mut self.block_input
        } else if FROM_QUERY_LATENT.contains(&name) {
            &mut self.query_latent
        } else {
            return true;
        };
        !std::mem::replace(flag, true)
    }
}

/// Bytes that are kept, by how they are divided over tensor-parallel ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Saved {
    /// Inputs of products that every tensor-parallel rank has whole.
    pub gathered: f64,
    /// The rest of what lies between the tensor-parallel regions: whole, unless the sequence is divided too.
    pub shared: f64,
    /// Divided with the heads and columns of the rank.
    pub divided: f64,
    /// Of attention, what grows with the square of the length: recomputed first (arXiv:2205.05198 §5).
    pub scores: f64,
}

impl Saved {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.gathered + self.shared + self.divided + self.scores
    }
}

/// Products beside those of the two lists above whose input every tensor-parallel rank has whole.
const FROM_WHOLE: &[&str] = &["lm_head", "kv_b_proj", "latent_up"];

/// Small kernels between the tensor-parallel regions: every rank has their input whole.
pub(crate) const OF_WHOLE: &[&str] = &["add_norm", "latent_norm", "latent_norms", "router_top_k"];

fn whole(name: &str) -> bool {
    FROM_BLOCK_INPUT.contains(&name) || FROM_QUERY_LATENT.contains(&name) || FROM_WHOLE.contains(&name)
}

/// Whether a product reads what a norm or an activation function has just written.
pub(crate) fn from_small_kernel(name: &str) -> bool {
    FROM_BLOCK_INPUT.contains(&name) || name == "down_proj"
}

/// What one execution of an operator keeps.
pub(crate) fn bytes(op: &Operator, block: &Block, step: &Step, setting: &Setting, kept: &mut Kept) -> Saved {
    let element = setting.activations.bytes();
    let divided = |divided| Saved { divided, ..Saved::default() };
    match &op.kind {
        OperatorKind::Gemm { rows, n, k, .. } => {
            let rows = rows.count(step);
            let (first, whole) = match op.adapter_input {
                None => (kept.first(op.name), whole(op.name)),
                Some(input) => (input != AdapterInput::Shared, input == AdapterInput::Whole),
            };
            let input = if first { rows * *k as f64 * element } else { 0.0 };
            let (gathered, own) = if whole { (input, 0.0) } else { (0.0, input) };
            Saved {
                gathered,
                shared: dropped(op.name, *n, rows, setting),
                divided: own + rows * element * recurrent_inputs(op.name, *n),
                scores: 0.0,
            }
        }
        OperatorKind::GroupedGemm(e) => {
            // In: the gathered tokens. Between: the inputs of the activation and of the last product.
            let per_row = e.hidden + e.matrices * e.inner;
            divided(experts::rows(e, step, setting.routing) * per_row as f64 * element)
        }
        OperatorKind::Elementwise { rows, bytes_per_row, .. } => {
            let row = *bytes_per_row as f64 * kept_share(op.name, block);
            let kept = rows.count(step) * row * element / 2.0;
            if OF_WHOLE.contains(&op.name) {
                Saved { shared: kept, ..Saved::default() }
            } else {
                divided(kept)
            }
        }
        // The loss keeps its logits in FP32.
        OperatorKind::Sampling { vocabulary } => divided(4.0 * step.emitting() * *vocabulary as f64),
        // Attention is counted by `attention`; state updates recompute their states from their inputs.
        OperatorKind::PrefillAttention(_)
        | OperatorKind::LatentPrefill(_)
        | OperatorKind::DecodeAttention(_)
        | OperatorKind::LatentDecode(_)
        | OperatorKind::BatchedGemm { .. }
        | OperatorKind::Scan(_)
        | OperatorKind::Embedding { .. }
        | OperatorKind::Collective { .. } => Saved::default(),
    }
}

/// Queries, keys and values; and either the softmax (and with dropout its mask and its result) or, where
/// the scores stay on chip, one FP32 log-sum per head and query.
pub(crate) fn attention(shape: &Shape, setting: &Setting) -> Saved {
    let element = setting.activations.bytes();
    let tokens = setting.computed_tokens();
    let queries = shape.heads * shape.score_dim;
    let keys_and_values = shape.kv_heads * (shape.score_dim + shape.value_dim);
    let inputs = tokens * (queries + keys_and_values) as f64 * element;
    let pairs = shape.heads as f64 * tokens * setting.tokens as f64;
    let scores = match (setting.attention.flash, setting.dropout) {
        (true, _) => 4.0 * shape.heads as f64 * tokens,
        (false, false) => pairs * element,
        (false, true) => pairs * (2.0 * element + 1.0),
    };
    Saved { divided: inputs, scores, ..Saved::default() }
}

/// What a recurrent mixer's input projection hands on is kept: convolution, gate and state update read it.
fn recurrent_inputs(name: &str, n: u64) -> f64 {
    if name == "in_proj" { n as f64 } else { 0.0 }
}

/// Dropout after attention and after the feed-forward layer: one byte of mask per element.
fn dropped(name: &str, n: u64, rows: f64, setting: &Setting) -> f64 {
    let has_dropout = matches!(name, "o_proj" | "o_b_proj" | "down_proj" | "out_proj");
    if setting.dropout && has_dropout { rows * n as f64 } else { 0.0 }
}

/// Share of a small kernel's traffic that its backward pass needs: its inputs, where it is not linear.
/// `None` is a kernel that this table does not know.
pub(crate) fn elementwise_share(name: &str, gated: bool) -> Option<f64> {
    Some(match name {
        // Of residual and branch, read and written, the sum is kept.
        "add_norm" => 0.25,
        "qk_norm" | "latent_norm" | "latent_norms" => 0.5,
        "activation" if gated => 2.0 / 3.0,
        "activation" => 0.5,
        "output_gate" | "gate" => 2.0 / 3.0,
        // 32-bit logits of every expert; the choice itself is small.
        "router_top_k" => 1.0,
        // Rotations and sums are linear; what a convolution reads is kept with the input projection.
        "rope_and_cache_write" | "shared_sum" | "convolution" => 0.0,
        _ => return None,
    })
}

fn kept_share(name: &str, block: &Block) -> f64 {
    elementwise_share(name, gated(block)).unwrap_or(0.5)
}

/// Whether a block's activation function multiplies with a gate.
pub(crate) fn gated(block: &Block) -> bool {
    match block {
        Block::Mlp(m) => m.gated,
        Block::Moe(m) => m.shared.as_ref().is_some_and(|s| s.mlp.gated),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{self, Kind};
    use crate::dtype::DType;
    use crate::model::blocks::RankView;
    use crate::model::{RankGroups, Scope, find};

    #[test]
    fn every_small_kernel_of_the_catalogue_is_known() {
        for entry in catalog::entries(Kind::Model) {
            let model = find(entry.id, &[], Scope::Full).unwrap();
            let formats = model.outer_formats();
            let view = RankView { groups: RankGroups::SINGLE, formats, kv: DType::Bf16 };
            let mut operators = Vec::new();
            model.layer_blocks().for_each(|b| b.operators(&view, &mut operators));
            for op in operators {
                let small = matches!(op.kind, OperatorKind::Elementwise { .. });
                assert!(!small || elementwise_share(op.name, true).is_some(), "{} {}", entry.id, op.name);
            }
        }
    }
}

//! What training keeps of the forward pass for the backward pass.
//!
//! Rule by rule as in Korthikanti et al. 2022 (arXiv:2205.05198) §4.1: products keep their inputs,
//! attention its queries, keys, values and softmax, activation functions and norms their inputs, dropout
//! one byte of mask per element. For multi-head attention, `4h` GELU and dropout that is their
//! `s·b·h·(34 + 5·a·s/h)` per layer.

use super::Setting;
use super::attention::Shape;
use super::experts;
use crate::model::node::{Linear, Node, Region, Stream};
use crate::model::operator::{Operator, OperatorKind};
use crate::model::{Role, Step};

/// Inputs that an earlier product of the block has kept already.
#[derive(Default)]
pub(crate) struct Kept {
    seen: Vec<(usize, Stream)>,
}

impl Kept {
    /// Whether the product is the first to read its input.
    fn first(&mut self, product: &Linear) -> bool {
        let input = (product.block, product.reads);
        if product.reads.is_shared() && self.seen.contains(&input) {
            return false;
        }
        self.seen.push(input);
        true
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

/// What one execution of an operator of a node keeps.
pub(crate) fn bytes(op: &Operator, node: &Node, step: &Step, setting: &Setting, kept: &mut Kept) -> Saved {
    let element = setting.activations.bytes();
    let divided = |divided| Saved { divided, ..Saved::default() };
    match (&op.kind, node) {
        (OperatorKind::Gemm { rows, n, k, .. }, Node::Linear(product)) => {
            let rows = rows.count(step);
            let input = if kept.first(product) { rows * *k as f64 * element } else { 0.0 };
            let (gathered, own) = if product.reads.is_whole() { (input, 0.0) } else { (0.0, input) };
            Saved {
                gathered,
                shared: dropped(product, *n, rows, setting),
                divided: own + handed_on(product, *n, rows, setting),
                scores: 0.0,
            }
        }
        (OperatorKind::GroupedGemm(e), _) => {
            // In: the gathered tokens. Between: the inputs of the activation and of the last product.
            let per_row = e.hidden + e.matrices * e.inner;
            divided(experts::rows(e, step, setting.routing) * per_row as f64 * element)
        }
        (OperatorKind::Elementwise { rows, bytes_per_row, .. }, Node::Pointwise(small)) => {
            let row = *bytes_per_row as f64 * small.small.kept();
            let kept = rows.count(step) * row * element / 2.0;
            match small.region {
                Region::Between => Saved { shared: kept, ..Saved::default() },
                Region::Inside => divided(kept),
            }
        }
        // The loss keeps its logits in FP32.
        (OperatorKind::Sampling { vocabulary }, _) => divided(4.0 * step.emitting() * *vocabulary as f64),
        // Attention is counted by `attention`; state updates recompute their states from their inputs, which are kept
        // with the projection that made them, as are those of convolutions.
        _ => Saved::default(),
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
pub(crate) fn handed_on(product: &Linear, n: u64, rows: f64, setting: &Setting) -> f64 {
    if product.role == Role::Mix { rows * n as f64 * setting.activations.bytes() } else { 0.0 }
}

/// Dropout after attention and after the feed-forward layer: one byte of mask per element.
fn dropped(product: &Linear, n: u64, rows: f64, setting: &Setting) -> f64 {
    if setting.dropout && product.role == Role::Return { rows * n as f64 } else { 0.0 }
}

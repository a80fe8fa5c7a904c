//! Tensors whose indices or byte offsets do not fit in 32 bits.

use super::{Mode, Setting};
use crate::model::Model;
use crate::model::blocks::Block;

/// The first index that a signed 32-bit integer cannot hold.
pub const LIMIT: u64 = 1 << 31;

/// A tensor of 2³¹ elements or bytes and more.
#[derive(Clone, Debug, PartialEq)]
pub struct LargeTensor {
    /// Checkpoint-style name, or what it holds.
    pub name: String,
    /// Elements.
    pub elements: f64,
    /// Bytes.
    pub bytes: f64,
}

impl LargeTensor {
    /// Whether indices overflow, and not only byte offsets.
    pub fn overflows_indices(&self) -> bool {
        self.elements >= LIMIT as f64
    }
}

/// Every tensor of 2³¹ elements or bytes: weights (the experts of a layer as the one tensor that engines
/// stack them to), and with a setting its logits and materialised scores.
pub fn large_tensors(model: &Model, setting: Option<&Setting>) -> Vec<LargeTensor> {
    let mut found: Vec<LargeTensor> = Vec::new();
    let mut add = |name: &str, elements: f64, bytes: f64| {
        if elements.max(bytes) >= LIMIT as f64 && !found.iter().any(|t| t.name == name) {
            found.push(LargeTensor { name: name.to_owned(), elements, bytes });
        }
    };
    model.visit_tensors(|t, storage, _| {
        let elements = t.parameters().map_or(f64::INFINITY, |n| n as f64);
        add(&t.name, elements, t.stored(storage).as_f64());
    });
    if let Some(s) = setting {
        if s.mode == Mode::Pretrain {
            let logits = s.computed_tokens() * model.vocabulary as f64;
            add("logits in FP32", logits, 4.0 * logits);
        }
        if !s.attention.flash && s.mode != Mode::Decode {
            let heads = model.layer_blocks().map(query_heads).max().unwrap_or(0);
            let scores = heads as f64 * s.computed_tokens() * s.tokens as f64;
            add("attention scores of a layer", scores, scores * s.activations.bytes());
        }
    }
    found
}

fn query_heads(block: &Block) -> u64 {
    match block {
        Block::Attention(b) => b.heads,
        Block::Latent(b) => b.heads,
        Block::Compressed(b) => b.heads,
        Block::Reused(inner) => query_heads(inner),
        _ => 0,
    }
}

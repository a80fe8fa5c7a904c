//! What stands outside attention and feed-forward: embedding, norms, output projection, towers.

use super::{RankView, all_reduce, elementwise};
use crate::model::operator::{CollectiveKind, Operator, OperatorKind, RankGroup, Rows};
use crate::model::tensor::{Component, Split, Tensor, TensorClass, VOCABULARY_PADDING};

/// Token embedding: `vocabulary × width`.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Entries.
    pub vocabulary: u64,
    /// Width.
    pub width: u64,
}

impl Embedding {
    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        out.push(
            Tensor::matrix("embed_tokens.weight", self.vocabulary, self.width, Component::Embedding)
                .class(TensorClass::Embedding)
                .split(Split::Vocabulary),
        );
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let row_bytes = 2 * self.width;
        out.push(Operator::new("embedding", Component::Embedding, OperatorKind::Embedding { row_bytes }));
        if view.groups.tensor > 1 {
            out.push(all_reduce("embedding_all_reduce", Component::Embedding, self.width));
        }
    }
}

/// Output projection to the vocabulary, with or without weights of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Entries.
    pub vocabulary: u64,
    /// Width.
    pub width: u64,
    /// Whether it shares the embedding's weights.
    pub tied: bool,
    /// Whether it has a bias.
    pub bias: bool,
}

impl Head {
    /// The weight matrix, whether it is shared or not.
    pub fn weight(&self) -> Tensor {
        Tensor::matrix("lm_head.weight", self.vocabulary, self.width, Component::LmHead)
            .class(TensorClass::Head)
            .split(Split::Vocabulary)
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        if !self.tied {
            out.push(self.weight());
        }
        if self.bias {
            let bias = Tensor::vector("lm_head.bias", self.vocabulary, Component::LmHead);
            out.push(bias.split(Split::Vocabulary));
        }
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = Component::LmHead;
        let tp = view.groups.tensor;
        let n = self.vocabulary.next_multiple_of(VOCABULARY_PADDING).div_ceil(tp);
        let format = view.formats.head;
        let product = OperatorKind::Gemm { rows: Rows::Emitting, n, k: self.width, format };
        out.push(Operator::new("lm_head", part, product));
        if tp > 1 {
            let gather = OperatorKind::Collective {
                kind: CollectiveKind::AllGather,
                group: RankGroup::Tensor,
                rows: Rows::Emitting,
                bytes_per_row: 2 * self.vocabulary,
            };
            out.push(Operator::new("logits_all_gather", part, gather));
        }
        let sampling = OperatorKind::Sampling { vocabulary: self.vocabulary };
        out.push(Operator::new("sampling", part, sampling));
    }
}

/// Layer norm with a weight vector, maybe a bias; the residual addition is fused into it.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Checkpoint-style name.
    pub name: &'static str,
    /// Width.
    pub width: u64,
    /// Whether it holds a weight (OLMo-1's norms hold none).
    pub weight: bool,
    /// Whether it holds a bias.
    pub bias: bool,
}

impl Norm {
    /// RMS norm: a weight, no bias.
    pub fn rms(name: &'static str, width: u64) -> Norm {
        Norm { name, width, weight: true, bias: false }
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        if self.weight {
            out.push(Tensor::vector(self.name, self.width, Component::Norm));
        }
        if self.bias {
            out.push(Tensor::vector(self.name, self.width, Component::Norm));
        }
    }

    pub(super) fn operators(&self, out: &mut Vec<Operator>) {
        // Read the residual and the branch, write both: four passes of 16 bits.
        out.push(elementwise("add_norm", Component::Norm, 8 * self.width, 1));
    }
}

/// Weights without an operator in the decoder's step: learned positions, projectors, vision towers.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// The weights.
    pub tensors: Vec<Tensor>,
}

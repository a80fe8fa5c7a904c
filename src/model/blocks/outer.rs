//! What stands outside attention and feed-forward: embedding, norms, output projection, towers.

use crate::model::node::Each;
use crate::model::node::{Cut, Exchange, Held, Linear, Node, Part, Pointwise, Small, Transfer, Width};
use crate::model::operator::Rows;
use crate::model::tensor::{Component, Tensor, TensorClass};

/// Token embedding: `vocabulary × width`.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Entries.
    pub vocabulary: u64,
    /// Width.
    pub width: u64,
}

impl Embedding {
    /// The table, and the sum of what each rank found in its part.
    pub(super) fn nodes(&self, each: Each) {
        let (vocabulary, width) = (self.vocabulary, self.width);
        each(Node::Lookup { weight: "embed_tokens.weight", vocabulary, width });
        each(Node::sum("embedding_all_reduce", Component::Embedding, width));
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
        let own = Head { tied: false, bias: false, ..*self };
        let mut tensors = Vec::new();
        own.product().tensors(&mut tensors);
        tensors.swap_remove(0)
    }

    fn product(&self) -> Linear {
        let part = Part::new("lm_head.weight", self.vocabulary).cut(Cut::Vocabulary);
        let part = part.biased("lm_head.bias", self.bias);
        let part = if self.tied { Part { weight: None, ..part } } else { part };
        let product = Linear::new("lm_head", Component::LmHead, self.width).held(Held::Head).of([part]);
        Linear { rows: Rows::Emitting, class: TensorClass::Head, ..product }
    }

    /// The product for tokens that are sampled, the gathering of its parts, sampling.
    pub(super) fn nodes(&self, each: Each) {
        each(self.product().into());
        each(Node::Exchange(Exchange {
            name: "logits_all_gather",
            component: Component::LmHead,
            transfer: Transfer::Logits,
            bytes: 2 * self.vocabulary,
        }));
        each(Node::Sampling { vocabulary: self.vocabulary });
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

    /// Its weights, and the kernel that adds the residual and normalises.
    pub(super) fn nodes(&self, each: Each) {
        let vectors = [self.weight, self.bias].into_iter().filter(|has| *has);
        vectors.for_each(|_| each(Tensor::vector(self.name, self.width, Component::Norm).into()));
        // Read the residual and the branch, write both: four passes of 16 bits.
        let bytes = Width::whole(8 * self.width);
        each(Pointwise::new("add_norm", Component::Norm, Small::AddNorm, bytes).between().into());
    }
}

/// Weights without an operator in the decoder's step: learned positions, projectors, vision towers.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// The weights.
    pub tensors: Vec<Tensor>,
}

//! Weight tensors: shape, copies, what they belong to, how they are stored and how they split.

use std::borrow::Cow;

use crate::units::Bytes;

use super::quantisation::Storage;

/// What a weight belongs to in the parameter breakdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Token embedding; a tied head is counted here, once.
    Embedding,
    /// Output projection to the vocabulary, if it has weights of its own.
    LmHead,
    /// Attention projections, their biases and head-wise norms.
    Attention,
    /// Dense feed-forward layers and shared experts.
    Mlp,
    /// Routed experts.
    Experts,
    /// Routers and shared-expert gates.
    Router,
    /// Layer norms.
    Norm,
    /// Recurrent mixers: Mamba, delta rule, RWKV.
    Ssm,
    /// Learned positions, vision and audio towers, projectors and what fits nowhere else.
    Other,
}

impl Component {
    /// Every component, in the order of the breakdown.
    pub const ALL: [Component; 9] = [
        Component::Embedding,
        Component::LmHead,
        Component::Attention,
        Component::Mlp,
        Component::Experts,
        Component::Router,
        Component::Norm,
        Component::Ssm,
        Component::Other,
    ];

    /// Name as JSON key and table row.
    pub const fn name(self) -> &'static str {
        match self {
            Component::Embedding => "embedding",
            Component::LmHead => "lm_head",
            Component::Attention => "attention",
            Component::Mlp => "mlp",
            Component::Experts => "experts",
            Component::Router => "router",
            Component::Norm => "norm",
            Component::Ssm => "ssm",
            Component::Other => "other",
        }
    }
}

/// What decides how a tensor is quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorClass {
    /// Weights of linear layers.
    Linear,
    /// Weights of routed experts.
    Expert,
    /// Routers: kept in the model's own type.
    Router,
    /// Token embedding.
    Embedding,
    /// Output projection.
    Head,
    /// Norms, biases, sinks, convolutions: kept in the model's own type.
    Vector,
    /// Low-rank adapters, in the model's own type: beside the checkpoint, not in it.
    Adapter,
}

/// What a linear layer is for, as far as something besides its shape depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Projects what it reads.
    Project,
    /// Projects the input of a recurrent mixer, whose convolution, gate and state update keep what it makes.
    Mix,
    /// Expands the queries of all heads from their latent.
    ExpandQueries,
    /// Expands the keys and values of all heads from their latent. Attention over latents multiplies by halves of the
    /// matrix instead.
    ExpandKeys,
    /// Back to the model's width, at the end of a tensor-parallel region: ranks divide its input.
    Return,
    /// Block-diagonal over heads: a parameter of its own, no linear layer.
    Diagonal,
}

/// How a tensor is divided over the ranks of one pipeline stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Every rank holds it all.
    Replicated,
    /// Over tensor-parallel ranks, in this many indivisible units (heads, columns). With more ranks
    /// than units the units are replicated: this is how key-value heads behave.
    Tensor {
        /// Heads or columns.
        units: u64,
    },
    /// Over tensor-parallel ranks by vocabulary entries, padded up.
    Vocabulary,
    /// Experts over expert-parallel ranks, and the inner dimension of each over expert-TP ranks.
    Experts {
        /// Inner dimension.
        inner: u64,
    },
}

/// A group of equal weight tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Checkpoint-style name inside its layer, e.g. `self_attn.q_proj.weight`.
    pub name: Cow<'static, str>,
    /// Output features; the only dimension of a vector.
    pub rows: u64,
    /// Input features; 1 for a vector.
    pub columns: u64,
    /// How many of them there are (experts).
    pub copies: u64,
    /// How many of the copies one token uses.
    pub active_copies: u64,
    /// What it belongs to.
    pub component: Component,
    /// What decides its quantisation.
    pub class: TensorClass,
    /// How it is divided.
    pub split: Split,
    /// What a matrix is for.
    pub role: Role,
    /// Whether engines keep it in one tensor with the matrix before it: queries, keys and values; gate and up.
    pub joins: bool,
}

/// Sizes of the rank groups that tensors and operators of one pipeline stage are divided over.
///
/// One engine replica has `tensor × attention_data` ranks a stage; the experts are spread over all of
/// them, so `expert × expert_tensor = tensor × attention_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RankGroups {
    /// Tensor parallel (attention, dense layers, vocabulary).
    pub tensor: u64,
    /// Attention data parallel: groups of `tensor` ranks with sequences of their own.
    pub attention_data: u64,
    /// Expert parallel.
    pub expert: u64,
    /// Tensor parallel inside each expert.
    pub expert_tensor: u64,
    /// Decode context parallel: tensor-parallel ranks that divide the tokens of each sequence.
    pub context: u64,
}

impl RankGroups {
    /// One rank that holds everything.
    pub const SINGLE: RankGroups =
        RankGroups { tensor: 1, attention_data: 1, expert: 1, expert_tensor: 1, context: 1 };

    /// Ranks of a stage.
    pub fn ranks(self) -> u64 {
        self.tensor * self.attention_data
    }
}

/// Vocabulary entries are padded to a multiple of this before they are split (vLLM
/// `DEFAULT_VOCAB_PADDING_SIZE` in `vocab_parallel_embedding.py`).
pub const VOCABULARY_PADDING: u64 = 64;

impl Tensor {
    /// A matrix of `rows × columns`.
    pub fn matrix(name: &'static str, rows: u64, columns: u64, component: Component) -> Tensor {
        Tensor {
            name: Cow::Borrowed(name),
            rows,
            columns,
            copies: 1,
            active_copies: 1,
            component,
            class: TensorClass::Linear,
            split: Split::Replicated,
            role: Role::Project,
            joins: false,
        }
    }

    /// A vector: norm weight, bias.
    pub fn vector(name: &'static str, length: u64, component: Component) -> Tensor {
        Tensor { class: TensorClass::Vector, ..Tensor::matrix(name, length, 1, component) }
    }

    /// With another quantisation class.
    #[must_use]
    pub fn class(mut self, class: TensorClass) -> Tensor {
        self.class = class;
        self
    }

    /// Divided over `units` heads or columns.
    #[must_use]
    pub fn split_over(mut self, units: u64) -> Tensor {
        self.split = Split::Tensor { units };
        self
    }

    /// Divided by `split`.
    #[must_use]
    pub fn split(mut self, split: Split) -> Tensor {
        self.split = split;
        self
    }

    /// Repeated for each expert, of which a token uses `active`.
    #[must_use]
    pub fn experts(mut self, copies: u64, active: u64, inner: u64) -> Tensor {
        self.copies = copies;
        self.active_copies = active;
        self.split = Split::Experts { inner };
        self
    }

    /// Parameters in all copies, or `None` on overflow.
    pub fn parameters(&self) -> Option<u64> {
        self.rows.checked_mul(self.columns)?.checked_mul(self.copies)
    }

    /// Parameters one token uses, or `None` on overflow.
    pub fn active_parameters(&self) -> Option<u64> {
        self.rows.checked_mul(self.columns)?.checked_mul(self.active_copies)
    }

    /// Stored bytes of all copies, scales included; saturates.
    pub fn stored(&self, storage: impl Into<Storage>) -> Bytes {
        Bytes::new(storage.into().stored_bytes(self.rows, self.columns).unwrap_or(u64::MAX)) * self.copies
    }

    /// Stored bytes on the fullest rank of its stage.
    pub fn stored_on_rank(&self, storage: impl Into<Storage>, groups: RankGroups) -> Bytes {
        let storage = storage.into();
        let one = storage.stored_bytes(self.rows, self.columns).unwrap_or(u64::MAX);
        match self.split {
            Split::Replicated => Bytes::new(one) * self.copies,
            Split::Tensor { units } => Bytes::new(share(one, units, groups.tensor)) * self.copies,
            Split::Vocabulary => {
                let padded = self.rows.next_multiple_of(VOCABULARY_PADDING).div_ceil(groups.tensor.max(1));
                Bytes::new(storage.stored_bytes(padded, self.columns).unwrap_or(u64::MAX))
            }
            Split::Experts { inner } => {
                let each = share(one, inner, groups.expert_tensor);
                Bytes::new(each) * self.copies.div_ceil(groups.expert.max(1))
            }
        }
    }
}

/// The part of `total` that the fullest of `ranks` holds when it is divided in `units`.
pub(super) fn share(total: u64, units: u64, ranks: u64) -> u64 {
    let held = u128::from(units.div_ceil(ranks.max(1)).max(1));
    u64::try_from((u128::from(total) * held).div_ceil(u128::from(units.max(1)))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::WeightFormat;

    #[test]
    fn key_value_heads_replicate_once_tensor_ranks_exceed_them() {
        let k = Tensor::matrix("k", 8 * 128, 8192, Component::Attention).split_over(8);
        let at = |tensor| k.stored_on_rank(WeightFormat::Bf16, RankGroups { tensor, ..RankGroups::SINGLE });
        assert_eq!(at(8).get(), 128 * 8192 * 2);
        assert_eq!(at(16), at(8));
    }

    #[test]
    fn vocabulary_is_padded_before_it_is_split() {
        // GPT-2's 50,257 entries pad to 50,304.
        let e = Tensor::matrix("wte", 50_257, 768, Component::Embedding).split(Split::Vocabulary);
        let half = e.stored_on_rank(WeightFormat::Bf16, RankGroups { tensor: 2, ..RankGroups::SINGLE });
        assert_eq!(half.get(), 50_304 / 2 * 768 * 2);
    }

    #[test]
    fn experts_divide_by_expert_ranks_and_then_inside() {
        let w = Tensor::matrix("w", 2048, 7168, Component::Experts).experts(256, 8, 2048);
        let groups = RankGroups { tensor: 16, expert: 8, expert_tensor: 2, ..RankGroups::SINGLE };
        assert_eq!(w.stored_on_rank(WeightFormat::Fp16, groups).get(), 32 * 1024 * 7168 * 2);
    }
}

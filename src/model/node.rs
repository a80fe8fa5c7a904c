//! Nodes: what a block consists of, each said once. Weights, operators, cache, what a backward pass keeps and where
//! adapters attach are derived from them.
//!
//! Names in nodes are labels: of tensors as checkpoints write them, of operators as explanations print them. What
//! something is for is said by types: [`Role`], [`Stream`], [`Cut`], [`Region`], [`Small`], [`Transfer`].

mod derive;
mod parts;

pub(in crate::model) use derive::STATE_BYTES;
pub use parts::{Cut, Part, Parts, Width};

use crate::dtype::{DType, WeightFormat};

use super::operator::{Rows, ScanKind};
use super::quantisation::Formats;
use super::tensor::{Component, RankGroups, Role, Tensor, TensorClass};

/// What a rank sees of a layer: how it is divided and stored.
#[derive(Clone, Copy, Debug)]
pub struct RankView {
    /// Sizes of the rank groups.
    pub groups: RankGroups,
    /// Storage of the weights.
    pub formats: Formats,
    /// Type of the KV cache.
    pub kv: DType,
}

/// What one layer keeps between tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Keys and values of every token (of the last `window` ones), divided over ranks by heads.
    KeyValue {
        /// Key-value heads.
        heads: u64,
        /// Elements of keys and values per head and token.
        per_head: u64,
        /// Most tokens kept.
        window: Option<u64>,
    },
    /// One latent per token, the same on every rank (MLA).
    Latent {
        /// Elements per token.
        elements: u64,
    },
    /// A state of fixed size per sequence, divided over ranks by heads.
    State {
        /// Bytes per sequence, in 16 bits.
        bytes: u64,
        /// Bytes that engines add to those where they keep the state in 32 bits.
        wider: u64,
        /// Heads to divide over.
        heads: u64,
    },
}

impl Cache {
    /// Both of what one block keeps: a convolution's inputs and a state are one state.
    #[must_use]
    pub fn with(self, more: Cache) -> Cache {
        match (self, more) {
            (Cache::State { bytes, wider, heads }, Cache::State { bytes: b, wider: w, .. }) => {
                Cache::State { bytes: bytes.saturating_add(b), wider: wider.saturating_add(w), heads }
            }
            (known, _) => known,
        }
    }
}

/// Which tensor a product reads. Products of a block that read the same one share it, so that a backward pass keeps
/// it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The block's input, as its norm hands it on.
    Hidden,
    /// The latent of the queries.
    QueryLatent,
    /// The latent of keys and values.
    KeyLatent,
    /// What attention makes: its heads' outputs.
    Attended,
    /// The latent between both output projections of grouped heads (DeepSeek-V4).
    OutputLatent,
    /// What the activation function of a feed-forward layer makes.
    Inner,
    /// The sum of routed experts that are narrower than the model (Nemotron-3).
    ExpertSum,
    /// A value inside a recurrent mixer; every product has its own.
    Mixed,
    /// The few values that an adapter's first product makes; every adapter has its own.
    Low,
}

impl Stream {
    /// Whether every tensor-parallel rank has all of it; otherwise each has its own heads or columns.
    pub fn is_whole(self) -> bool {
        matches!(self, Stream::Hidden | Stream::QueryLatent | Stream::KeyLatent | Stream::ExpertSum)
    }

    /// Whether products of one block may share it.
    pub fn is_shared(self) -> bool {
        !matches!(self, Stream::Mixed | Stream::Low)
    }

    /// Whether a norm or an activation function has just written it: cheap to have again.
    pub fn is_from_small_kernel(self) -> bool {
        matches!(self, Stream::Hidden | Stream::Inner)
    }
}

/// Where something stands in a layer that tensor-parallel ranks divide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Inside a tensor-parallel region: on every token.
    Inside,
    /// Between the regions, where sequence parallelism leaves each rank a part of the tokens (Korthikanti et al. 2022,
    /// arXiv:2205.05198 §4.2).
    Between,
}

/// Whose storage a product's kernel computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// That of attention.
    Attention,
    /// That of dense feed-forward layers.
    Mlp,
    /// That of recurrent mixers.
    Ssm,
    /// That of the output projection.
    Head,
    /// The model's own type.
    Base,
    /// 32 bits.
    Fp32,
}

impl Held {
    fn of(self, formats: &Formats) -> WeightFormat {
        match self {
            Held::Attention => formats.attention,
            Held::Mlp => formats.mlp,
            Held::Ssm => formats.ssm,
            Held::Head => formats.head,
            Held::Base => formats.base,
            Held::Fp32 => WeightFormat::Fp32,
        }
    }
}

/// A product of activations with weights: one linear layer, or several of one input that are computed together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// Label of the product.
    pub name: &'static str,
    /// What the product counts as.
    pub component: Component,
    /// What its weights count as.
    pub weights: Component,
    /// What it is for.
    pub role: Role,
    /// What it reads.
    pub reads: Stream,
    /// Number in the layer of the block whose tensor it reads, where that is not its own: an adapter's.
    pub block: usize,
    /// Input features.
    pub k: u64,
    /// Which tokens.
    pub rows: Rows,
    /// Whose storage it computes with.
    pub held: Held,
    /// What decides how its weights are quantised.
    pub class: TensorClass,
    /// Where it stands.
    pub region: Region,
    /// Whether it may run beside the routed experts.
    pub beside_experts: bool,
    /// How many of them are stored, of which a token uses one: slots of adapters.
    pub slots: u64,
    /// The linear layers.
    pub parts: Parts,
}

impl Linear {
    /// A projection of the block's input, over all tokens.
    pub fn new(name: &'static str, component: Component, k: u64) -> Linear {
        Linear {
            name,
            component,
            weights: component,
            role: Role::Project,
            reads: Stream::Hidden,
            block: 0,
            k,
            rows: Rows::Tokens,
            held: Held::Base,
            class: TensorClass::Linear,
            region: Region::Inside,
            beside_experts: false,
            slots: 1,
            parts: Parts::default(),
        }
    }

    /// With these linear layers.
    #[must_use]
    pub fn of(mut self, parts: impl IntoIterator<Item = Part>) -> Linear {
        self.parts = parts.into_iter().collect();
        self
    }

    /// With this storage.
    #[must_use]
    pub fn held(self, held: Held) -> Linear {
        Linear { held, ..self }
    }

    /// For this, reading that.
    #[must_use]
    pub fn reading(self, role: Role, reads: Stream) -> Linear {
        Linear { role, reads, ..self }
    }

    /// Output features of all parts.
    pub fn features(&self) -> u64 {
        self.parts.iter().map(|p| p.n).fold(0, u64::saturating_add)
    }
}

/// Softmax attention over heads of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub heads: u64,
    /// Key-value heads.
    pub kv_heads: u64,
    /// Dimension of a query or key head.
    pub head_dim: u64,
    /// Dimension of a value head.
    pub v_dim: u64,
    /// Most keys a query sees.
    pub window: Option<u64>,
    /// Most tokens whose keys and values are kept, where it keeps fewer than all.
    pub kept_window: Option<u64>,
    /// Whether it keeps keys and values; otherwise it reads an earlier layer's, or an encoder's input whole.
    pub keeps: bool,
    /// Whether a query sees the tokens after it too, as in an encoder; a window then reaches as far to both sides
    /// together.
    pub both_ways: bool,
    /// Whether each head has a learned sink, a logit beside those of the keys.
    pub sinks: bool,
}

/// Which tokens a node of latent attention serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Prompts.
    Prompts,
    /// Decoding sequences.
    Decoding,
    /// Both, by the same form.
    Both,
}

/// Attention over one latent per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latents {
    /// Which tokens it serves.
    pub phase: Phase,
    /// Query heads.
    pub heads: u64,
    /// Rank of the compressed keys and values.
    pub kv_rank: u64,
    /// Rotary dimension, shared by all heads of the key.
    pub rope_dim: u64,
    /// Non-rotary dimension of query and key heads.
    pub nope_dim: u64,
    /// Dimension of value heads.
    pub v_dim: u64,
    /// Whether the latent is one key and value head itself, and prompts do not expand it (DeepSeek-V4).
    pub one_head: bool,
    /// Whether the layer makes the latent and keeps it; otherwise it reads an earlier layer's.
    pub keeps: bool,
    /// Tokens that each query reads of those before, where an indexer chooses them.
    pub chosen: Option<u64>,
    /// Heads of the layer's own indexer and the dimension of each.
    pub index: Option<(u64, u64)>,
}

/// One small product per head: the halves of the matrix that expands latents, absorbed into queries and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerHead {
    /// Label.
    pub name: &'static str,
    /// Heads.
    pub heads: u64,
    /// Output features of each.
    pub n: u64,
    /// Input features of each.
    pub k: u64,
}

/// The routed experts. Weights of each: `up` (and `gate`): `inner × width`, `down: width × inner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// Routed experts.
    pub experts: u64,
    /// Experts that pass their input on, for which the up-projection has rows.
    pub zero_experts: u64,
    /// Whether they stand beside a dense feed-forward layer of their layer, not inside it.
    pub beside_dense: bool,
    /// Experts that one token uses.
    pub top_k: u64,
    /// Width that they work on.
    pub width: u64,
    /// Inner width of each.
    pub inner: u64,
    /// Whether they are gated.
    pub gated: bool,
    /// Biases on their projections.
    pub bias: bool,
}

/// A causal convolution of one filter per channel, over heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What it counts as.
    pub component: Component,
    /// Channels.
    pub channels: u64,
    /// Taps. The cache keeps the last `kernel − 1` inputs.
    pub kernel: u64,
    /// Heads to divide over.
    pub heads: u64,
}

/// State update of a recurrent mixer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// What mixes.
    pub kind: ScanKind,
    /// What it counts as.
    pub component: Component,
    /// State elements per sequence.
    pub state: u64,
    /// Bytes of one of them as engines keep it.
    pub state_bytes: u64,
    /// FLOPs of the update per token.
    pub flops_per_token: u64,
    /// Heads to divide over.
    pub heads: u64,
}

/// What a small kernel does, and so what its backward pass needs of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Small {
    /// Adds a residual and normalises the sum, which is kept: of four passes one.
    AddNorm,
    /// Normalises: keeps its input, of two passes one.
    Norm,
    /// Activation function of one input.
    Activation,
    /// Activation function that multiplies with a gate: keeps both inputs, of three passes two.
    GatedActivation,
    /// Multiplies with a gate: keeps both inputs, of three passes two.
    Gate,
    /// Chooses experts: keeps the 32-bit scores of all; the choice itself is small.
    Choice,
    /// Rotates, copies or adds, which is linear; or reads what a product has kept already.
    Linear,
}

impl Small {
    /// Share of its traffic that the backward pass keeps.
    pub fn kept(self) -> f64 {
        match self {
            Small::AddNorm => 0.25,
            Small::Norm | Small::Activation => 0.5,
            Small::GatedActivation | Small::Gate => 2.0 / 3.0,
            Small::Choice => 1.0,
            Small::Linear => 0.0,
        }
    }
}

/// A memory-bound kernel over the step's tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pointwise {
    /// Label of the operator.
    pub name: &'static str,
    /// Label where a model is taken apart: a shared expert's apart from a dense layer's.
    pub shown: &'static str,
    /// What it counts as.
    pub component: Component,
    /// What it does.
    pub small: Small,
    /// Bytes that it reads and writes per token.
    pub bytes: [Width; 2],
    /// Kernels launched.
    pub kernels: u64,
    /// Where it stands.
    pub region: Region,
    /// Whether it may run beside the routed experts.
    pub beside_experts: bool,
}

impl Pointwise {
    /// One kernel inside a tensor-parallel region.
    pub fn new(name: &'static str, component: Component, small: Small, bytes: Width) -> Pointwise {
        Pointwise {
            name,
            shown: name,
            component,
            small,
            bytes: [bytes, Width::NONE],
            kernels: 1,
            region: Region::Inside,
            beside_experts: false,
        }
    }

    /// Between the tensor-parallel regions.
    #[must_use]
    pub fn between(self) -> Pointwise {
        Pointwise { region: Region::Between, ..self }
    }

    /// With more bytes.
    #[must_use]
    pub fn and(mut self, bytes: Width) -> Pointwise {
        self.bytes[1] = bytes;
        self
    }

    /// As so many kernels.
    #[must_use]
    pub fn in_kernels(self, kernels: u64) -> Pointwise {
        Pointwise { kernels, ..self }
    }
}

/// What ranks exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Partial results of the tensor-parallel ranks are added, where there are several.
    Sum,
    /// Those of the routed experts, unless attention data parallelism brings tokens of its own back.
    SumOfExperts,
    /// Tokens of the attention-data-parallel ranks come to the experts of all.
    Dispatch,
    /// Their results go back.
    Combine,
    /// The tensor-parallel ranks' parts of the logits.
    Logits,
    /// Latents of prompts that are cached, between the ranks that divide a context: prompts attend with their own heads
    /// to all of them, in 16 bits (vLLM `_context_parallel_compute_prefill_context`).
    PriorLatents,
}

/// Communication inside a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Label.
    pub name: &'static str,
    /// What it counts as.
    pub component: Component,
    /// What is exchanged.
    pub transfer: Transfer,
    /// Bytes of one row of the full buffer, on one rank's tokens.
    pub bytes: u64,
}

/// What is called with every node of a block, in the order of execution.
pub(in crate::model) type Each<'a> = &'a mut dyn FnMut(Node);

/// What a block consists of.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nodes stand on the stack, one at a time")]
pub enum Node {
    /// A product with weights.
    Linear(Linear),
    /// Softmax attention.
    Attention(Heads),
    /// Latent attention.
    Latent(Latents),
    /// Absorbed halves of latent attention.
    PerHead(PerHead),
    /// The routed experts.
    Experts(Experts),
    /// Short convolution before a state update.
    Filter(Filter),
    /// State update.
    Scan(Scan),
    /// A memory-bound kernel.
    Pointwise(Pointwise),
    /// Communication.
    Exchange(Exchange),
    /// Token embedding, `vocabulary × width`.
    Lookup {
        /// Name of the weight.
        weight: &'static str,
        /// Entries.
        vocabulary: u64,
        /// Width.
        width: u64,
    },
    /// Softmax and sampling.
    Sampling {
        /// Entries.
        vocabulary: u64,
    },
    /// Weights that a kernel of another node reads, or that take no time: of norms, biases, sinks, decays.
    Weight(Tensor),
}

impl From<Linear> for Node {
    fn from(node: Linear) -> Node {
        Node::Linear(node)
    }
}

impl From<Pointwise> for Node {
    fn from(node: Pointwise) -> Node {
        Node::Pointwise(node)
    }
}

impl From<Tensor> for Node {
    fn from(tensor: Tensor) -> Node {
        Node::Weight(tensor)
    }
}

impl Node {
    /// The sum of partial results of `width` 16-bit elements a token.
    pub fn sum(name: &'static str, component: Component, width: u64) -> Node {
        Node::Exchange(Exchange { name, component, transfer: Transfer::Sum, bytes: 2 * width })
    }
}

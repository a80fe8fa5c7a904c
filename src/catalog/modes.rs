//! What an engine divides over ranks, and how.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::patch::yes;
use crate::dtype::{DType, WeightFormat};

/// Decode attention that reads and multiplies each KV head once per query head, on the cores: what came
/// before kernels that put the query heads of a group into one tensor-core tile.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsharedHeads {
    /// Query heads per KV head for which there is a kernel that shares them.
    pub except: Vec<u64>,
    /// Cached elements that a multiprocessor works through in a second.
    pub elements_per_multiprocessor: f64,
}

/// Decode attention in steps that hold prompts too, by the kernel of the prompts: each query head of a sequence fills a tile of
/// its own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixedTiles {
    /// Architectures of GPUs whose kernel is such.
    pub architectures: Vec<String>,
    /// Rows of a tile.
    pub rows: u64,
    /// Share of the 16-bit peak that tiles of one used row reach.
    pub efficiency: f64,
}

/// How latent attention reads the tokens that an indexer chooses: kernels take them in full tiles of query heads and as
/// many tokens as may be chosen, however few heads a rank has and tokens there are.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SparseAttention {
    /// Query heads that a tile is filled up to, by architecture of the GPU; the heads themselves where nothing is said.
    pub rows: BTreeMap<String, u64>,
    /// Share of the 16-bit peak that tiles of prompts reach.
    pub prompt_efficiency: f64,
    /// The same of decoding sequences.
    pub decode_efficiency: f64,
    /// Tokens up to which prompts are computed densely instead.
    #[serde(default)]
    pub dense_prompts: u64,
    /// Whether the cache of such models is in FP8 unless told otherwise, on GPUs that compute in it.
    #[serde(default)]
    pub fp8_cache: bool,
}

impl SparseAttention {
    /// Heads that so many are computed as on a GPU of an architecture.
    pub fn padded(&self, heads: u64, architecture: &str) -> u64 {
        self.rows.get(architecture).map_or(heads, |rows| heads.next_multiple_of((*rows).max(1)))
    }
}

/// Which parallel modes an engine has.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParallelModes {
    /// Tensor parallel.
    #[serde(default = "yes")]
    pub tensor: bool,
    /// Pipeline parallel.
    pub pipeline: bool,
    /// Whether the output projection counts as one more layer when layers are divided over GPUs.
    #[serde(default)]
    pub head_is_a_layer: bool,
    /// Whether the stages of a replica may lie on GPUs of several kinds, each with as many layers as its memory is of all.
    #[serde(default)]
    pub spans_kinds: bool,
    /// Attention data parallel: sequences split over ranks that share the experts.
    pub attention_data: bool,
    /// Split pools: workers that compute prompts and hand their cache to others that decode.
    #[serde(default)]
    pub split_pools: bool,
    /// Decode context parallel: tensor-parallel ranks that hold the same key-value heads divide the tokens of
    /// each sequence. Not at all where it is left out.
    #[serde(default)]
    pub decode_context: DecodeContext,
    /// Which expert-parallel degrees it takes.
    pub expert: ExpertParallel,
    /// Whether ranks may hold unequal numbers of experts, the first of them one more (vLLM 0.21
    /// `fused_moe/layer.py`, `determine_expert_map`), or redundant ones fill them up (SGLang).
    #[serde(default)]
    pub uneven_experts: bool,
    /// Whether attention is tensor or data parallel, never both (TensorRT-LLM 1.1 `mapping.py`: with
    /// `enable_attention_dp` each rank has whole heads).
    #[serde(default)]
    pub attention_tensor_or_data: bool,
    /// Whether blocks of 128 may be cut by ranks where they divide evenly.
    #[serde(default)]
    pub narrow_blocks: bool,
}

/// The caches whose tokens an engine divides over ranks: of full attention, by kind and type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeContext {
    /// Types of the cache with grouped-query attention.
    pub grouped: Vec<DType>,
    /// Types of the cache with latent attention.
    pub latent: Vec<DType>,
    /// Whether beside recurrent layers too, whose states every rank holds whole.
    pub recurrent: bool,
}

impl DecodeContext {
    /// Whether the engine has it at all.
    pub fn exists(&self) -> bool {
        !self.grouped.is_empty() || !self.latent.is_empty()
    }
}

/// Which expert-parallel degrees an engine takes, of the ranks that share the experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpertParallel {
    /// None.
    None,
    /// All the ranks or none of them.
    AllOrNothing,
    /// Any divisor; the rest is expert-TP.
    Any,
}

/// What an engine has no kernels for on an architecture: its least compute capability, of all or of a format.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lacks {
    /// Architecture, as GPUs name it.
    pub architecture: String,
    /// Formats of weights; none where it does not run there at all.
    #[serde(default)]
    pub weights: Vec<WeightFormat>,
}

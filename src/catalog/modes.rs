//! What an engine divides over ranks, and how.

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

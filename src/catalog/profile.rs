//! What differs in the older versions of an engine, as its file says it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults::EngineDefaultsPatch;
use super::memory_rule::MemoryRulePatch;
use super::modes::{DecodeContext, Lacks, UnsharedHeads};
use super::schedule::SchedulingPatch;
use super::version::Version;
use crate::dtype::{DType, WeightFormat};

/// What differs from the newest profile in an older version, or in another backend.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineVersion {
    /// First version that it describes; up to the next newer entry.
    pub from: Version,
    /// Name of the backend, if not that of the newest profile: `v0`, `engine`.
    #[serde(default)]
    pub backend: Option<String>,
    /// Whether the backend must be asked for by name.
    #[serde(default)]
    pub on_request: bool,
    /// A set of kernel coefficients that goes before the engine's own on the GPUs that have it.
    #[serde(default)]
    pub kernel_set: Option<String>,
    /// Weight formats it loads.
    #[serde(default)]
    pub weight_formats: Option<Vec<WeightFormat>>,
    /// Formats it widens to 16 bits.
    #[serde(default)]
    pub weight_only_formats: Option<Vec<WeightFormat>>,
    /// What it has no kernels for.
    #[serde(default)]
    pub lacks: Option<Vec<Lacks>>,
    /// KV cache types.
    #[serde(default)]
    pub kv_types: Option<Vec<DType>>,
    /// Whether sliding windows apply without being asked for.
    #[serde(default)]
    pub windows: Option<bool>,
    /// Whether layers that attend in chunks drop what lies before a chunk from their cache.
    #[serde(default)]
    pub chunk_cache: Option<bool>,
    /// Decode attention in which query heads do not share their KV head.
    #[serde(default)]
    pub unshared_heads: Option<UnsharedHeads>,
    /// Tokens per KV block.
    #[serde(default)]
    pub kv_block: Option<u32>,
    /// Caches whose tokens ranks divide (`parallel.decode_context`).
    #[serde(default)]
    pub decode_context: Option<DecodeContext>,
    /// Launch defaults.
    #[serde(default)]
    pub defaults: EngineDefaultsPatch,
    /// Memory rule.
    #[serde(default)]
    pub memory: MemoryRulePatch,
    /// Scheduling.
    #[serde(default)]
    pub scheduling: SchedulingPatch,
}

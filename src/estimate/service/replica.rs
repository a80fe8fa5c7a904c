//! The replica whose service is asked for.

use crate::catalog::{Engine, LayerCounts};
use crate::estimate::memory::Limits;
use crate::estimate::program::Pipeline;
use crate::workload::Workload;

/// A replica whose service is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Replica<'a> {
    /// Its compiled step.
    pub pipeline: &'a Pipeline,
    /// Its engine.
    pub engine: &'a Engine,
    /// Launch limits.
    pub limits: Limits,
    /// GPUs.
    pub gpus: u64,
    /// Attention-data-parallel ranks.
    pub attention_dp: u64,
    /// Layers of the model, for the engine's overheads of prompts.
    pub layers: LayerCounts,
    /// Whether a prompt is computed in one step, as an encoder does.
    pub whole_prompts: bool,
    /// Sequences that the KV cache holds per attention-data-parallel rank.
    pub cache_batch: u64,
    /// Tokens that the KV cache holds over all ranks, of requests of the workload's lengths.
    pub cache_tokens: f64,
    /// Lengths.
    pub workload: Workload,
}

//! Options of a launch that change what an engine sets aside at its start.

use clap::Args;

use super::values::{count, tokens};
use crate::request::{MAX_LIMIT, Request};
use crate::workload::MAX_LENGTH;

/// What a launch states beside its limits.
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    /// Longest request that the server takes, prompt and output together; vLLM refuses to start where one finds no
    /// room [default: the model's context]
    #[arg(long, value_name = "TOKENS", help_heading = "Engine", value_parser = tokens(1..=MAX_LENGTH))]
    pub max_model_len: Option<u64>,
    /// Start without CUDA graphs
    #[arg(long, help_heading = "Engine")]
    pub enforce_eager: bool,
    /// Largest step with a CUDA graph, in tokens, of decode steps in sequences [default: the engine's]
    #[arg(long, value_name = "N", help_heading = "Engine", value_parser = count(1..=MAX_LIMIT))]
    pub max_cudagraph_capture_size: Option<u64>,
    /// Which steps have CUDA graphs: none, piecewise, full, full_decode_only or full_and_piecewise [default: the engine's]
    #[arg(long, value_name = "MODE", help_heading = "Engine")]
    pub cudagraph_mode: Option<String>,
    /// Weights of each GPU that stay in the host's memory and are read over the link in every step, in GiB
    #[arg(long, value_name = "GIB", help_heading = "Engine")]
    pub cpu_offload_gb: Option<f64>,
    /// Memory of the KV cache on each GPU, e.g. 49GiB, in place of what the memory fraction leaves
    #[arg(long, value_name = "BYTES", help_heading = "Engine")]
    pub kv_cache_memory_bytes: Option<String>,
    /// Tokens of a block of the KV cache [default: the engine's]
    #[arg(long, value_name = "TOKENS", help_heading = "Engine", value_parser = tokens(1..=1 << 16))]
    pub block_size: Option<u64>,
    /// Keep prefixes; --no-enable-prefix-caching keeps none [default: the engine's]
    #[arg(long, help_heading = "Engine")]
    pub enable_prefix_caching: bool,
    /// Keep no prefixes
    #[arg(long, hide = true, conflicts_with = "enable_prefix_caching")]
    pub no_enable_prefix_caching: bool,
    /// Take text alone: no image encoder
    #[arg(long, help_heading = "Engine")]
    pub language_model_only: bool,
    /// Images that a prompt may have; 0 for none
    #[arg(long, value_name = "IMAGES", help_heading = "Engine", value_parser = count(0..=MAX_LIMIT))]
    pub limit_mm_per_prompt: Option<u64>,
    /// Experts of each layer that are held a second time, over all ranks
    #[arg(long, value_name = "N", help_heading = "Engine", value_parser = count(0..=1 << 16))]
    pub redundant_experts: Option<u64>,
}

impl StartArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        request.max_model_len = self.max_model_len;
        request.enforce_eager = self.enforce_eager.then_some(true);
        request.max_cudagraph_capture_size = self.max_cudagraph_capture_size;
        request.cudagraph_mode.clone_from(&self.cudagraph_mode);
        request.cpu_offload_gb = self.cpu_offload_gb;
        request.kv_cache_memory_bytes.clone_from(&self.kv_cache_memory_bytes);
        request.block_size = self.block_size;
        request.enable_prefix_caching = match (self.enable_prefix_caching, self.no_enable_prefix_caching) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        request.language_model_only = self.language_model_only.then_some(true);
        request.limit_mm_per_prompt = self.limit_mm_per_prompt;
        request.redundant_experts = self.redundant_experts;
    }
}

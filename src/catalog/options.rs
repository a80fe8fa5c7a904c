//! Options of a launch that engines have or lack.

use schemars::JsonSchema;
use serde::Deserialize;

/// An option of a launch that changes what is estimated. What an engine does not have is refused where it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaunchOption {
    /// A memory fraction.
    MemoryFraction,
    /// The longest request.
    MaxModelLen,
    /// No CUDA graphs.
    EnforceEager,
    /// The largest step with a CUDA graph.
    MaxCudagraphCaptureSize,
    /// Which steps have CUDA graphs.
    CudagraphMode,
    /// Weights in the host's memory.
    CpuOffloadGb,
    /// The KV cache in bytes.
    KvCacheMemoryBytes,
    /// Tokens of a block.
    BlockSize,
    /// Whether prefixes are kept.
    EnablePrefixCaching,
    /// Text alone.
    LanguageModelOnly,
    /// Images of a prompt.
    LimitMmPerPrompt,
    /// Experts that are held a second time.
    RedundantExperts,
}

impl LaunchOption {
    /// Every option.
    pub const ALL: [LaunchOption; 12] = [
        LaunchOption::MemoryFraction,
        LaunchOption::MaxModelLen,
        LaunchOption::EnforceEager,
        LaunchOption::MaxCudagraphCaptureSize,
        LaunchOption::CudagraphMode,
        LaunchOption::CpuOffloadGb,
        LaunchOption::KvCacheMemoryBytes,
        LaunchOption::BlockSize,
        LaunchOption::EnablePrefixCaching,
        LaunchOption::LanguageModelOnly,
        LaunchOption::LimitMmPerPrompt,
        LaunchOption::RedundantExperts,
    ];

    pub(super) fn all() -> Vec<LaunchOption> {
        LaunchOption::ALL.to_vec()
    }

    /// The field of a request that asks for it.
    pub fn field(self) -> &'static str {
        match self {
            LaunchOption::MemoryFraction => "memory_fraction",
            LaunchOption::MaxModelLen => "max_model_len",
            LaunchOption::EnforceEager => "enforce_eager",
            LaunchOption::MaxCudagraphCaptureSize => "max_cudagraph_capture_size",
            LaunchOption::CudagraphMode => "cudagraph_mode",
            LaunchOption::CpuOffloadGb => "cpu_offload_gb",
            LaunchOption::KvCacheMemoryBytes => "kv_cache_memory_bytes",
            LaunchOption::BlockSize => "block_size",
            LaunchOption::EnablePrefixCaching => "enable_prefix_caching",
            LaunchOption::LanguageModelOnly => "language_model_only",
            LaunchOption::LimitMmPerPrompt => "limit_mm_per_prompt",
            LaunchOption::RedundantExperts => "redundant_experts",
        }
    }
}

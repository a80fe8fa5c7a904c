//! What an engine sets aside of a GPU's memory, and how it lays the rest out.

use schemars::JsonSchema;
use serde::Deserialize;

use super::patch::with_patch;
use super::reserved::ReservedMemory;
use crate::units::Bytes;

/// How weights lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allocator {
    /// Byte by byte.
    #[default]
    Exact,
    /// PyTorch's caching allocator, as `memory_allocated` counts: blocks.
    Blocks,
    /// The same, as the driver counts: whole segments.
    Segments,
}

/// How the KV cache is laid out over layers of different kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheLayout {
    /// Each layer keeps what it needs.
    #[default]
    Exact,
    /// Every layer keeps every token, windows or not.
    Plain,
    /// Groups of as many layers of one kind share blocks (vLLM V1); capacity is logged as blocks over
    /// groups, as if windows kept all.
    Grouped,
    /// The same; capacity is logged as requests of the longest context times its length.
    GroupedByContext,
    /// Windowed layers have a pool of their own, recurrent layers another (SGLang).
    Pools,
    /// Windowed layers have cells for the windows of all slots and a micro-batch (llama.cpp).
    Cells,
}

/// What a block takes where layers of a group have pages of several sizes (DeepSeek-V4 under vLLM).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PackedBlocks {
    /// A page of each size for every layer of the longest group (0.20 to 0.23, `_get_kv_cache_config_deepseek_v4`).
    Tuples,
    /// As many pages of each size as some group has layers (0.24 to 0.26, `_get_kv_cache_config_packed`).
    Slots,
    /// The pages of the largest group (from 0.27, `_get_packed_kv_cache_layout`).
    #[default]
    Largest,
}

/// Multiples to which the experts' packed matrices are padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackedPadding {
    /// Of the model's width.
    pub hidden: u64,
    /// Of the inner width on a rank.
    pub inner: u64,
    /// Of the inner width on Hopper, where that has kernels of its own.
    #[serde(default)]
    pub hopper: Option<u64>,
    /// Of both, on GPUs that compute in FP4.
    pub native: u64,
    /// Of the inner width on those, where it is not `native`.
    #[serde(default)]
    pub native_inner: Option<u64>,
}

/// Start-up logs that a profile was held against.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Residuals {
    /// Starts compared.
    pub points: u32,
    /// ISO date of the comparison.
    pub date: String,
    /// Where the logs are from.
    pub source: String,
}

/// Of what the engine's memory fraction is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FractionOf {
    /// Of the physical memory; everything must fit inside (vLLM's `gpu_memory_utilization`).
    Total,
    /// Of the memory free before load, for weights and KV cache alone; activations and the rest live
    /// in what is left (SGLang's `mem_fraction_static`).
    Static,
    /// Of the memory free after load, for the KV cache alone (TensorRT-LLM's
    /// `free_gpu_memory_fraction`).
    FreeAfterLoad,
}

fn near() -> f64 {
    1.5
}

fn unlimited() -> u64 {
    u64::MAX
}

with_patch! {
    /// What an engine sets aside. Start values from measured server logs.
    MemoryRule, MemoryRulePatch {
        /// Of what `fraction` is taken.
        fraction_of: FractionOf,
        /// The engine's default memory fraction.
        fraction: f64,
        /// How it works the fraction out instead, if it does.
        #[serde(default)]
        reserved: Option<ReservedMemory>,
        /// How weights lie in its memory.
        #[serde(default)]
        allocator: Allocator,
        /// Whether the embedding stays in the host's memory, and a tied head has a copy on the GPU.
        #[serde(default)]
        host_embedding: bool,
        /// Whether the output projection goes to the GPUs last, after all layers, instead of first.
        #[serde(default)]
        output_last: bool,
        /// Whether weights that stay in the host's memory are copied layer by layer in every step, before the layer is
        /// computed; otherwise kernels read them over the link.
        #[serde(default)]
        offloaded_copied: bool,
        /// Bytes of one value of the rotary tables that it builds up front; none without.
        #[serde(default)]
        rotary_value: Bytes,
        /// Multiples to which MXFP4 experts are padded.
        #[serde(default)]
        mxfp4_padding: Option<PackedPadding>,
        /// Bytes left beside every scale of FP4 experts among FP8 layers (DeepSeek-V4), where the GPU has no FP4 and
        /// their kernels read scales of their own.
        #[serde(default)]
        fp4_scales_left: Bytes,
        /// Whether attention over latents keeps the keys and values that they expand to, in place of the latents.
        #[serde(default)]
        latents_expanded: bool,
        /// Whether the two halves of the matrix that expands latents are copied in BF16, for attention over latents.
        #[serde(default)]
        absorbed_copies: bool,
        /// How the KV cache is laid out over layers of different kinds.
        #[serde(default)]
        cache_layout: CacheLayout,
        /// Where windowed layers have a pool of their own: its tokens, as a share of the other pool's.
        #[serde(default)]
        window_share: f64,
        /// Whether the server refuses to start where one request of the longest length that it serves finds no room.
        #[serde(default)]
        refuses_length: bool,
        /// Whether that request is counted over all layers of the model on every worker of a pipeline, against the least
        /// memory that any of them has for its cache.
        #[serde(default)]
        length_over_all_stages: bool,
        /// Whether the server refuses to start with more sequences than there are blocks for recurrent state.
        #[serde(default)]
        refuses_states: bool,
        /// Whether windows keep the tokens of every step that is not settled yet, instead of one.
        #[serde(default)]
        unsettled_steps: bool,
        /// Whether prefixes of models with recurrent layers are kept unless told otherwise: a block of state more for
        /// each sequence.
        #[serde(default)]
        state_of_prefixes: bool,
        /// Numbers of layers whose ratio is below this make one group each.
        #[serde(default = "near")]
        group_slack: f64,
        /// What a block takes where pages have several sizes.
        #[serde(default)]
        packed_blocks: PackedBlocks,
        /// Whether the start-up profile of a multimodal model keeps a step's worth of encoded images.
        #[serde(default)]
        encoder_cache: bool,
        /// Whether the start-up profile encodes an image for every sequence (models whose decoder looks
        /// across at images): live values per feature of an encoded position, at 2 bytes each.
        #[serde(default)]
        image_copies: f64,
        /// Live values per position and feature of the encoder, where the start-up profile encodes the longest video.
        #[serde(default)]
        video_values: f64,
        /// Sampler peak: this many 4-byte values per sequence and vocabulary entry.
        sampler_values_per_logit: f64,
        /// Workspace for the index keys of sparse attention: so many times the longest context.
        #[serde(default)]
        indexer_contexts: u64,
        /// Whether the experts' workspaces, two values per token and chosen expert of 8-bit and wider experts, outlive
        /// the layers and stand beside the sampler's peak.
        #[serde(default)]
        expert_workspace: bool,
        /// Most tokens that the experts' kernels take at a time, of all attention-data-parallel ranks together: the
        /// workspaces hold no more. All of them when left out.
        #[serde(default = "unlimited")]
        expert_tokens: u64,
        /// Logits of every token of a step, not of the last of each sequence: 4-byte values per token
        /// and vocabulary entry.
        #[serde(default)]
        step_values_per_logit: f64,
        /// Forward peak: bytes of a score for each query head, token of a step and token of the context, where attention
        /// keeps the scores of a layer whole.
        #[serde(default)]
        score_bytes: f64,
        /// Forward peak: bytes of the attention mask for each token of a step and of the context.
        #[serde(default)]
        mask_bytes: f64,
        /// Forward peak: live copies of the FFN's inner dimension (per rank), at 2 bytes each.
        forward_inner_copies: f64,
        /// Forward peak: live copies of the hidden dimension, at 2 bytes each.
        forward_hidden_copies: f64,
        /// Context, libraries and workspaces on one GPU.
        non_torch: Bytes,
        /// The same with communication buffers, on several GPUs.
        non_torch_multi_gpu: Bytes,
        /// Instead of `non_torch_multi_gpu` where the GPUs of a node are not linked: there are no buffers for
        /// the link.
        #[serde(default)]
        non_torch_pcie: Option<Bytes>,
        /// Instead of both on several AMD GPUs, whose communication library keeps buffers of its own.
        #[serde(default)]
        non_torch_rocm: Option<Bytes>,
        /// More on several GPUs where stages of a pipeline stand on several nodes: connections that are made when the first
        /// step hands over.
        #[serde(default)]
        non_torch_stages: Bytes,
        /// More on several GPUs if the model routes experts: workspaces of their kernels and of the exchange.
        #[serde(default)]
        non_torch_experts: Bytes,
        /// More on the stage that samples.
        #[serde(default)]
        sampler_workspace: Bytes,
        /// CUDA graphs: fixed part.
        graphs: Bytes,
        /// CUDA graphs: per layer of the stage.
        graphs_per_layer: Bytes,
        /// CUDA graphs: per layer of the stage and batch size that is captured.
        #[serde(default)]
        graph_of_layer: Bytes,
        /// CUDA graphs: more if the model routes experts.
        graphs_moe: Bytes,
        /// CUDA graphs: more for each token of the largest step if the model routes experts, whose kernels take
        /// workspaces while the first graph is captured.
        #[serde(default)]
        graphs_per_token: Bytes,
        /// Most tokens with which they grow.
        #[serde(default = "unlimited")]
        graphs_tokens: u64,
        /// Whether the buffers in which tokens wait for their experts hold the largest step, instead of what the way to
        /// launch says.
        #[serde(default)]
        exchange_holds_step: bool,
        /// Graphs that all these were measured with, where as many are captured as the most sequences ask for; what
        /// they take is in proportion. 0: as many always.
        #[serde(default)]
        graphs_measured: Option<u64>,
        /// Whether graphs count inside the fraction.
        graphs_inside_fraction: bool,
        /// Uncertainty of the total: plans within it are `marginal`.
        band: Bytes,
        /// What `band` was read from.
        #[serde(default)]
        residuals: Option<Residuals>,
    }
}

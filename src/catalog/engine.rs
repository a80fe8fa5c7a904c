//! A serving engine as its file describes it: what it supports, what it reserves, how it schedules.

use schemars::JsonSchema;
use serde::Deserialize;

use super::gpu::Gpu;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::units::{Bytes, Seconds};

/// One engine at the version whose defaults these are.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Identifier; the file's name without its extension. Keys the kernel tables too.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Other names that people use.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Version whose defaults these are.
    pub version: String,
    /// GPU vendors it runs on.
    pub vendors: Vec<String>,
    /// Parallel modes.
    pub parallel: ParallelModes,
    /// Weight formats it loads.
    pub weight_formats: Vec<WeightFormat>,
    /// Formats it can run at 16-bit compute on GPUs that lack the narrow type.
    #[serde(default)]
    pub weight_only_formats: Vec<WeightFormat>,
    /// KV cache types, the default first.
    pub kv_types: Vec<DType>,
    /// Whether the cache is FP8 by default when the weights are 8-bit or narrower and the GPU has FP8.
    #[serde(default)]
    pub kv_follows_weights: bool,
    /// Whether prompt attention computes in FP8 when the cache is FP8.
    #[serde(default)]
    pub fp8_attention: bool,
    /// Tokens per KV block.
    pub kv_block: u32,
    /// Launch defaults.
    pub defaults: EngineDefaults,
    /// Memory that it sets aside.
    pub memory: MemoryRule,
    /// How it schedules, and what a step costs beyond its kernels.
    pub scheduling: Scheduling,
    /// Where the figures come from.
    pub sources: Vec<String>,
}

/// Which parallel modes an engine has.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParallelModes {
    /// Pipeline parallel.
    pub pipeline: bool,
    /// Attention data parallel: sequences split over ranks that share the experts.
    pub attention_data: bool,
    /// Which expert-parallel degrees it takes.
    pub expert: ExpertParallel,
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

/// Launch defaults of an engine.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineDefaults {
    /// Sequences in one batch.
    pub max_sequences: u32,
    /// Tokens in one step, prompts and decodes together.
    pub max_batched_tokens: u32,
    /// Limits for GPUs with at least this much memory; the last that applies wins.
    #[serde(default)]
    pub by_memory: Vec<DefaultsByMemory>,
}

/// Limits that apply from a memory size on.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsByMemory {
    /// Smallest memory.
    pub at_least: Bytes,
    /// GPUs whose identifier contains one of these keep the smaller limits.
    #[serde(default)]
    pub except: Vec<String>,
    /// Sequences in one batch.
    pub max_sequences: u32,
    /// Tokens in one step.
    pub max_batched_tokens: u32,
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

/// What an engine sets aside. Start values from measured server logs.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryRule {
    /// Of what `fraction` is taken.
    pub fraction_of: FractionOf,
    /// The engine's default memory fraction.
    pub fraction: f64,
    /// Sampler peak: this many 4-byte values per sequence and vocabulary entry.
    pub sampler_values_per_logit: f64,
    /// Forward peak: live copies of the FFN's inner dimension (per rank), at 2 bytes each.
    pub forward_inner_copies: f64,
    /// Forward peak: live copies of the hidden dimension, at 2 bytes each.
    pub forward_hidden_copies: f64,
    /// Context, libraries and workspaces on one GPU.
    pub non_torch: Bytes,
    /// The same with communication buffers, on several GPUs.
    pub non_torch_multi_gpu: Bytes,
    /// CUDA graphs: fixed part.
    pub graphs: Bytes,
    /// CUDA graphs: per layer of the stage.
    pub graphs_per_layer: Bytes,
    /// CUDA graphs: more if the model routes experts.
    pub graphs_moe: Bytes,
    /// Whether graphs count inside the fraction.
    pub graphs_inside_fraction: bool,
    /// Uncertainty of the total: plans within it are `marginal`.
    pub band: Bytes,
}

/// How an engine schedules, and what a step costs beyond its kernels.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheduling {
    /// Whether prompts and decodes share a step (chunked prefill); otherwise prompts go first, alone.
    pub mixes_prefill: bool,
    /// Host time added to each step.
    pub step_overhead: Seconds,
    /// Host time added to each step per running sequence.
    pub sequence_overhead: Seconds,
    /// Time added to a step that holds prompt tokens, per layer.
    pub prefill_layer_overhead: Seconds,
    /// Front-end time of one request (tokenisation, HTTP, first detokenisation).
    pub request_overhead: Seconds,
    /// Decode steps that pass before a new request is looked at.
    pub arrival_poll_steps: f64,
    /// Decode steps that pass before a first token leaves.
    pub first_token_steps: f64,
    /// Share of a kernel's launch floor that remains inside a CUDA graph.
    pub launch_share: f64,
    /// Share of on-the-fly activation quantisation that is neither static nor fused.
    pub quantise_share: f64,
    /// Share of the output length reserved in the KV cache on admission.
    pub output_reserve: f64,
}

impl Engine {
    /// The cache type it uses unless told otherwise.
    pub fn default_kv(&self, gpu: &Gpu, weights: WeightFormat) -> DType {
        let narrow = weights.element().bits() <= 8;
        let fp8 = gpu.peak(DType::Fp8).is_some() && self.kv_types.contains(&DType::Fp8);
        if self.kv_follows_weights && narrow && fp8 { DType::Fp8 } else { self.kv_types[0] }
    }

    /// Launch defaults on a GPU: `(max_sequences, max_batched_tokens)`.
    pub fn limits(&self, gpu: &Gpu) -> (u32, u32) {
        let applies = |d: &&DefaultsByMemory| {
            gpu.memory >= d.at_least && !d.except.iter().any(|name| gpu.id.contains(name.as_str()))
        };
        self.defaults
            .by_memory
            .iter()
            .rfind(applies)
            .map_or((self.defaults.max_sequences, self.defaults.max_batched_tokens), |d| {
                (d.max_sequences, d.max_batched_tokens)
            })
    }

    /// Checks that the figures make sense together.
    ///
    /// # Errors
    /// The first of [`Engine::problems`].
    pub fn validate(&self) -> Result<(), Diagnostic> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Figures that make no sense, [`Code::Catalog`] naming the field.
    pub fn problems(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let mut fail = |field: &str, why: &str| {
            let problem = Diagnostic::new(Code::Catalog, format!("{field}: {why}"));
            let first = field.split(", ").next().unwrap_or(field);
            problems.push(problem.at(format!("engine {}", self.id)).field(first));
        };
        if !(0.0..=1.0).contains(&self.memory.fraction) || self.memory.fraction == 0.0 {
            fail("memory.fraction", "must lie in (0, 1]");
        }
        if self.kv_types.is_empty() {
            fail("kv_types", "must name at least one type");
        }
        if self.kv_block == 0 || self.defaults.max_sequences == 0 || self.defaults.max_batched_tokens == 0 {
            fail("kv_block, max_sequences, max_batched_tokens", "must be at least 1");
        }
        let s = &self.scheduling;
        for (name, share) in [
            ("launch_share", s.launch_share),
            ("quantise_share", s.quantise_share),
            ("output_reserve", s.output_reserve),
        ] {
            if !(0.0..=1.0).contains(&share) {
                fail(name, "must lie in [0, 1]");
            }
        }
        let m = &self.memory;
        for (name, number) in [
            ("memory.sampler_values_per_logit", m.sampler_values_per_logit),
            ("memory.forward_inner_copies", m.forward_inner_copies),
            ("memory.forward_hidden_copies", m.forward_hidden_copies),
            ("scheduling.arrival_poll_steps", s.arrival_poll_steps),
            ("scheduling.first_token_steps", s.first_token_steps),
        ] {
            if !(number >= 0.0 && number.is_finite()) {
                fail(name, "must not be negative");
            }
        }
        problems
    }
}

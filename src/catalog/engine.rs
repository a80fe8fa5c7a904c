//! A serving engine as its file describes it: what it supports, what it reserves, how it schedules.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::band::Bands;
use super::gpu::Gpu;
use super::host::HostRule;
use super::launch::LaunchMode;
pub use super::memory_rule::{
    Allocator, CacheLayout, FractionOf, MemoryRule, MemoryRulePatch, PackedPadding, Residuals,
};
use super::patch::with_patch;
pub use super::reserved::ReservedMemory;
use super::version::{EngineVersion, Version};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::units::{Bytes, Seconds};

/// One engine: its newest profile, and what differs in older versions.
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
    /// First version with this profile; later ones are taken to have it too.
    pub version: Version,
    /// Name of its backend, where some version has several.
    #[serde(default)]
    pub backend: Option<String>,
    /// Older versions and other backends, newest first.
    #[serde(default)]
    pub versions: Vec<EngineVersion>,
    /// The newest version that is described, where a newer one was asked for. Filled in by
    /// [`Engine::at`].
    #[serde(skip)]
    pub beyond: Option<Version>,
    /// Ways to launch it that are asked for by name, `--engine sglang@deepep`.
    #[serde(default)]
    pub launches: BTreeMap<String, LaunchMode>,
    /// The names of those that were asked for, and all that they change. Filled in by [`Engine::at`].
    #[serde(skip)]
    pub launched: Vec<String>,
    /// See [`Engine::launched`].
    #[serde(skip)]
    pub launch: LaunchMode,
    /// Its version, where its label says it; see [`Engine::tell_apart`].
    #[serde(skip)]
    pub spelled: Option<Version>,
    /// Platforms it runs on: GPU vendors, and what classes of other devices are called (`cpu`, `gaudi`).
    pub vendors: Vec<String>,
    /// Platforms on which it is meant when no engine is named.
    #[serde(default)]
    pub default_for: Vec<String>,
    /// Engine whose kernel coefficients stand for its own in the kernel tables.
    #[serde(default)]
    pub kernels: Option<String>,
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
    /// Whether sliding windows bound attention and its cache without being asked for at launch.
    #[serde(default = "yes")]
    pub windows: bool,
    /// Whether layers that attend in chunks drop what lies before a chunk from their cache (Llama 4).
    #[serde(default = "yes")]
    pub chunk_cache: bool,
    /// Decode attention in which query heads do not share their KV head, if there is such.
    #[serde(default)]
    pub unshared_heads: Option<UnsharedHeads>,
    /// Tokens per KV block.
    pub kv_block: u32,
    /// Launch defaults.
    pub defaults: EngineDefaults,
    /// Memory that it sets aside.
    pub memory: MemoryRule,
    /// How it uses the host's memory for layers that find no room on the GPUs, if it does.
    #[serde(default)]
    pub host: Option<HostRule>,
    /// How it schedules, and what a step costs beyond its kernels.
    pub scheduling: Scheduling,
    /// How far its measured servers lie from what is estimated, if any were measured.
    #[serde(default)]
    pub bands: Option<Bands>,
    /// Where the figures come from.
    pub sources: Vec<String>,
}

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
}

fn yes() -> bool {
    true
}

/// The caches whose tokens an engine divides over ranks: of full attention, by kind and type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeContext {
    /// Types of the cache with grouped-query attention.
    pub grouped: Vec<DType>,
    /// Types of the cache with latent attention.
    pub latent: Vec<DType>,
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

with_patch! {
    /// Launch defaults of an engine.
    EngineDefaults, EngineDefaultsPatch {
        /// Sequences in one batch.
        max_sequences: u32,
        /// Tokens in one step, prompts and decodes together.
        max_batched_tokens: u32,
        /// Whether a prompt is never cut: a step takes at least the longest request.
        #[serde(default)]
        whole_prompts: bool,
        /// Whether the ranks of an attention-data-parallel group divide the tokens of a step among them; else
        /// each takes as many.
        #[serde(default)]
        tokens_of_all_ranks: bool,
        /// What differs by GPU, the most general first; each entry that applies overwrites.
        #[serde(default)]
        by_gpu: Vec<DefaultsByGpu>,
    }
}

/// Defaults that hold on some GPUs. What it does not name stays.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DefaultsByGpu {
    /// Smallest memory.
    pub at_least: Option<Bytes>,
    /// Only GPUs whose identifier contains one of these.
    pub only: Vec<String>,
    /// Not GPUs whose identifier contains one of these.
    pub except: Vec<String>,
    /// Smallest tensor-parallel degree; only for what depends on it (`graph_batch`, `fraction`).
    pub tp: Option<u32>,
    /// Sequences in one batch.
    pub max_sequences: Option<u32>,
    /// Tokens in one step.
    pub max_batched_tokens: Option<u32>,
    /// Prompt tokens that the engine sets memory aside for, where that is not the tokens of a step.
    pub reserved_tokens: Option<u32>,
    /// Largest batch with a captured CUDA graph.
    pub graph_batch: Option<u32>,
    /// Memory fraction.
    pub fraction: Option<f64>,
    /// Instead of the memory rule's `reserved.fixed`.
    pub reserved: Option<Bytes>,
    /// Instead of the memory rule's `reserved.per_rank`.
    pub reserved_per_rank: Option<Bytes>,
}

impl DefaultsByGpu {
    fn applies(&self, gpu: &Gpu, tp: u32) -> bool {
        let named = |list: &[String]| list.iter().any(|name| gpu.id.contains(name.as_str()));
        self.at_least.is_none_or(|least| gpu.memory >= least)
            && (self.only.is_empty() || named(&self.only))
            && !named(&self.except)
            && self.tp.is_none_or(|least| tp >= least)
    }
}

with_patch! {
    /// How an engine schedules, and what a step costs beyond its kernels.
    Scheduling, SchedulingPatch {
        /// Whether prompts and decodes share a step (chunked prefill); otherwise prompts go first, alone.
        mixes_prefill: bool,
        /// Whether the stages of a pipeline decode different sequences at a time; otherwise one batch
        /// passes them all before the next step.
        #[serde(default = "yes")]
        stages_overlap: bool,
        /// Host time added to each step.
        step_overhead: Seconds,
        /// Host time added to each step per running sequence.
        sequence_overhead: Seconds,
        /// Whether steps that hold prompt tokens replay (piecewise) CUDA graphs too.
        #[serde(default)]
        prefill_graphs: bool,
        /// Time added to a step that holds prompt tokens and is launched kernel by kernel, per layer.
        prefill_layer_overhead: Seconds,
        /// More for each of these layers whose attention is latent: a long chain of small kernels.
        #[serde(default)]
        prefill_latent_overhead: Seconds,
        /// More for each of these layers whose mixer is recurrent: another such chain.
        #[serde(default)]
        prefill_recurrent_overhead: Seconds,
        /// Front-end time of one request (tokenisation, HTTP, first detokenisation).
        request_overhead: Seconds,
        /// Decode steps that pass before a new request is looked at.
        arrival_poll_steps: f64,
        /// Decode steps for which prompts wait for others to be computed with them.
        #[serde(default)]
        prompt_wait_steps: f64,
        /// Share of the token budget that ends this wait.
        #[serde(default)]
        prompt_wait_share: f64,
        /// Decode steps for which an attention-data-parallel rank with a prompt waits for the others to have
        /// one too.
        #[serde(default)]
        rank_wait_steps: f64,
        /// Whether requests go to attention-data-parallel ranks in turn; otherwise to the rank with the fewest.
        #[serde(default)]
        ranks_in_turn: bool,
        /// Decode steps that pass before a first token leaves.
        first_token_steps: f64,
        /// Share of a kernel's launch floor that remains inside a CUDA graph.
        launch_share: f64,
        /// Most tokens of a step without prompts whose shared experts run beside the routed ones, on a stream of
        /// their own or in the same kernel; zero where they never do.
        #[serde(default)]
        shared_experts_beside: u64,
        /// Share of on-the-fly activation quantisation that is neither static nor fused.
        quantise_share: f64,
        /// Share of the output length reserved in the KV cache on admission.
        output_reserve: f64,
        /// Whether, with split pools, the cache of a prompt is sent chunk by chunk while the next is computed;
        /// otherwise all of it when the prompt is done.
        #[serde(default)]
        sends_by_chunk: bool,
        /// The same where it differs in what a request must find on admission: with less than all of the
        /// output, sequences may be thrown out later.
        #[serde(default)]
        admission_reserve: Option<f64>,
    }
}

/// The launch defaults of an engine on a GPU, resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaunchDefaults {
    /// Sequences in one batch.
    pub max_sequences: u32,
    /// Tokens in one step.
    pub max_batched_tokens: u32,
    /// Prompt tokens that memory is set aside for, if not those of a step.
    pub reserved_tokens: Option<u32>,
    /// Largest batch with a captured CUDA graph.
    pub graph_batch: Option<u32>,
    /// Memory fraction on such GPUs, if it is fixed.
    pub fraction: Option<f64>,
    /// Memory kept free whatever else, where the fraction is worked out.
    pub reserved: Option<Bytes>,
    /// Memory kept free for each rank, where the fraction is worked out.
    pub reserved_per_rank: Option<Bytes>,
}

/// What a worked-out memory fraction depends on beside the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Launch {
    /// Tensor-parallel degree.
    pub tp: u32,
    /// Ranks of a replica without attention data parallelism.
    pub ranks: u64,
    /// Attention-data-parallel degree.
    pub attention_dp: u32,
    /// Tokens of a step, if the user sets them.
    pub batched_tokens: Option<u64>,
    /// Whether attention is latent.
    pub latent: bool,
    /// Whether a model drafts tokens.
    pub drafts: bool,
    /// Size of the image encoder, of ViT-L's, if the model sees.
    pub encoder_size: Option<f64>,
}

impl Engine {
    /// Whether it runs on a GPU's platform.
    pub fn runs_on(&self, gpu: &Gpu) -> bool {
        self.vendors.iter().any(|v| v == gpu.platform())
    }

    /// The engine whose kernel coefficients are its own.
    pub fn kernel_key(&self) -> &str {
        self.kernels.as_deref().unwrap_or(&self.id)
    }

    /// The cache type it uses unless told otherwise.
    pub fn default_kv(&self, gpu: &Gpu, weights: WeightFormat) -> DType {
        let narrow = weights.element().bits() <= 8;
        let fp8 = gpu.peak(DType::Fp8).is_some() && self.kv_types.contains(&DType::Fp8);
        if self.kv_follows_weights && narrow && fp8 { DType::Fp8 } else { self.kv_types[0] }
    }

    /// What the engine calls its memory fraction.
    pub fn fraction_name(&self) -> &'static str {
        match self.memory.fraction_of {
            FractionOf::Total => "gpu_memory_utilization",
            FractionOf::Static => "mem_fraction_static",
            FractionOf::FreeAfterLoad => "free_gpu_memory_fraction",
        }
    }

    /// Launch defaults on a GPU under a tensor-parallel degree.
    pub fn launch_defaults(&self, gpu: &Gpu, tp: u32) -> LaunchDefaults {
        let mut found = LaunchDefaults {
            max_sequences: self.defaults.max_sequences,
            max_batched_tokens: self.defaults.max_batched_tokens,
            reserved_tokens: None,
            graph_batch: None,
            fraction: None,
            reserved: None,
            reserved_per_rank: None,
        };
        for d in self.defaults.by_gpu.iter().filter(|d| d.applies(gpu, tp)) {
            found.max_sequences = d.max_sequences.unwrap_or(found.max_sequences);
            found.max_batched_tokens = d.max_batched_tokens.unwrap_or(found.max_batched_tokens);
            found.reserved_tokens = d.reserved_tokens.or(found.reserved_tokens);
            found.graph_batch = d.graph_batch.or(found.graph_batch);
            found.fraction = d.fraction.or(found.fraction);
            found.reserved = d.reserved.or(found.reserved);
            found.reserved_per_rank = d.reserved_per_rank.or(found.reserved_per_rank);
        }
        found
    }

    /// The memory fraction that the engine takes by itself.
    pub fn default_fraction(&self, gpu: &Gpu, launch: Launch) -> f64 {
        let defaults = self.launch_defaults(gpu, launch.tp);
        let fixed = defaults.fraction;
        let Some(r) = self.memory.reserved.as_ref().filter(|_| fixed.is_none()) else {
            return fixed.unwrap_or(self.memory.fraction);
        };
        let by_default = defaults.reserved_tokens.unwrap_or(defaults.max_batched_tokens);
        let tokens = launch.batched_tokens.unwrap_or(u64::from(by_default));
        let board = gpu.board();
        let reserved = r.total(board, tokens, &defaults, &launch);
        let left = board.saturating_sub(reserved).as_f64() / board.as_f64();
        // Engines round to three digits; a GPU that the reserve swallows keeps a sliver.
        ((left * 1000.0).round() / 1000.0).max(0.001) * r.of_fraction(&launch)
    }

    /// Checks that the figures make sense together.
    ///
    /// # Errors
    /// The first of [`Engine::problems`].
    pub fn validate(&self) -> Result<(), Diagnostic> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Figures that make no sense, in the profile or in a version, [`Code::Catalog`] naming the field.
    pub fn problems(&self) -> Vec<Diagnostic> {
        let mut problems = self.profile_problems();
        // What is wrong with the profile is wrong with the versions too, and said once.
        if problems.is_empty() {
            problems = self.version_problems();
            problems.extend(self.launch_problems());
        }
        problems
    }

    /// The same of this profile alone.
    pub(super) fn profile_problems(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let mut fail = |field: &str, why: &str| {
            let problem = Diagnostic::new(Code::Catalog, format!("{field}: {why}"));
            let first = field.split(", ").next().unwrap_or(field);
            problems.push(problem.at(format!("engine {}", self.id)).field(first));
        };
        let share = |f: f64| f > 0.0 && f <= 1.0;
        if !share(self.memory.fraction) {
            fail("memory.fraction", "must lie in (0, 1]");
        }
        if self.memory.mxfp4_padding.is_some_and(|p| p.hidden == 0 || p.inner == 0 || p.native == 0) {
            fail("memory.mxfp4_padding", "multiples must be at least 1");
        }
        if self.kv_types.is_empty() {
            fail("kv_types", "must name at least one type");
        }
        if self.kv_block == 0 || self.defaults.max_sequences == 0 || self.defaults.max_batched_tokens == 0 {
            fail("kv_block, max_sequences, max_batched_tokens", "must be at least 1");
        }
        let by_gpu = &self.defaults.by_gpu;
        if !by_gpu.iter().filter_map(|d| d.fraction).all(share) {
            fail("defaults.by_gpu", "`fraction` must lie in (0, 1]");
        }
        if by_gpu.iter().any(|d| d.max_sequences == Some(0) || d.max_batched_tokens == Some(0)) {
            fail("defaults.by_gpu", "limits must be at least 1");
        }
        if self.host.as_ref().is_some_and(|h| !share(h.bandwidth_share) || !share(h.link_share)) {
            fail("host", "`bandwidth_share` and `link_share` must lie in (0, 1]");
        }
        if self.bands.is_some_and(|bands| !bands.are_sound()) {
            fail("bands", "each `low` must be positive and at most its `high`");
        }
        let (s, m) = (&self.scheduling, &self.memory);
        for (name, share) in [
            ("launch_share", s.launch_share),
            ("quantise_share", s.quantise_share),
            ("output_reserve", s.output_reserve),
        ] {
            if !(0.0..=1.0).contains(&share) {
                fail(name, "must lie in [0, 1]");
            }
        }
        for (name, number) in [
            ("memory.sampler_values_per_logit", m.sampler_values_per_logit),
            ("memory.step_values_per_logit", m.step_values_per_logit),
            ("memory.forward_inner_copies", m.forward_inner_copies),
            ("memory.forward_hidden_copies", m.forward_hidden_copies),
            ("memory.window_share", m.window_share),
            ("memory.mask_bytes", m.mask_bytes),
            ("memory.image_copies", m.image_copies),
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

//! A serving engine as its file describes it: what it supports, what it reserves, how it schedules.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use super::defaults::{
    DefaultsByGpu, EngineDefaults, EngineDefaultsPatch, Launch, LaunchDefaults, NeverCut, SmallSteps,
};
use super::gpu::Gpu;
use super::host::HostRule;
use super::launch::LaunchMode;
pub use super::memory_rule::{
    Allocator, CacheLayout, FractionOf, MemoryRule, MemoryRulePatch, PackedBlocks, PackedPadding, Residuals,
};
pub use super::modes::{
    DecodeContext, ExpertParallel, Lacks, MixedTiles, ParallelModes, SparseAttention, UnsharedHeads,
};
pub use super::options::LaunchOption;
use super::patch::yes;
use super::profile::EngineVersion;
pub use super::reserved::ReservedMemory;
pub use super::schedule::{FallingReserve, Scheduling, SchedulingPatch};
use super::version::Version;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};

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
    /// A set of coefficients that goes before the engine's own on the GPUs that have it: kernels that this version
    /// still runs there.
    #[serde(default)]
    pub kernel_set: Option<String>,
    /// Whether its kernels are so unlike those of other engines that its own on similar GPUs say more of them than
    /// others' on the same GPU.
    #[serde(default)]
    pub kernels_apart: bool,
    /// Parallel modes.
    pub parallel: ParallelModes,
    /// Weight formats it loads.
    pub weight_formats: Vec<WeightFormat>,
    /// Formats it can run at 16-bit compute on GPUs that lack the narrow type.
    #[serde(default)]
    pub weight_only_formats: Vec<WeightFormat>,
    /// What large products reach of the rate of 16-bit ones where their weights are widened on the way and nothing was
    /// measured of the kernel, by format; all of it where nothing is said.
    #[serde(default)]
    pub widening_efficiency: BTreeMap<WeightFormat, f64>,
    /// What it has no kernels for on GPUs of an architecture, whatever they compute in.
    #[serde(default)]
    pub lacks: Vec<Lacks>,
    /// KV cache types, the default first.
    pub kv_types: Vec<DType>,
    /// Formats whose checkpoints come with an FP8 cache, on GPUs that compute in it: the engine's own tools write them so.
    #[serde(default)]
    pub kv_follows: Vec<WeightFormat>,
    /// Whether public benchmarks of the engine ask for an FP8 cache with all weights of 8 bits and fewer.
    #[serde(default)]
    pub benchmarks_ask_for_fp8_kv: bool,
    /// What attention over prompts reaches, where heads have sinks, of the rate of attention without them, by architecture
    /// of the GPU: the kernels that reach more have no sinks there. All of it where nothing is said.
    #[serde(default)]
    pub sink_efficiency: BTreeMap<String, f64>,
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
    /// Decode attention beside prompts in a step, where it is slower than alone.
    #[serde(default)]
    pub mixed_tiles: Option<MixedTiles>,
    /// Attention to chosen tokens; whoever says nothing of it attends to all.
    #[serde(default)]
    pub sparse_attention: Option<SparseAttention>,
    /// Tokens per KV block.
    pub kv_block: u32,
    /// What it calls the length of the longest request, if it does not start where one of the model's whole context
    /// finds no room and the flag does not say less.
    #[serde(default)]
    pub whole_context: Option<String>,
    /// Options of its launch that change what is estimated; all where the file does not say.
    #[serde(default = "LaunchOption::all")]
    pub options: Vec<LaunchOption>,
    /// Launch defaults.
    pub defaults: EngineDefaults,
    /// Memory that it sets aside.
    pub memory: MemoryRule,
    /// How it uses the host's memory for layers that find no room on the GPUs, if it does.
    #[serde(default)]
    pub host: Option<HostRule>,
    /// How it schedules, and what a step costs beyond its kernels.
    pub scheduling: Scheduling,
    /// Where the figures come from.
    pub sources: Vec<String>,
}

impl Engine {
    /// Whether it runs on a GPU's platform.
    pub fn runs_on(&self, gpu: &Gpu) -> bool {
        self.vendors.iter().any(|v| v == gpu.platform())
            && !self.lacks.iter().any(|l| l.architecture == gpu.architecture && l.weights.is_empty())
    }

    /// Whether it loads GGUF files: the mixes of formats that there are in no other.
    pub fn loads_gguf(&self) -> bool {
        self.weight_formats.contains(&WeightFormat::Q4KM)
    }

    /// Whether it has no kernels for weights of a format on a GPU.
    pub fn lacks_kernels(&self, gpu: &Gpu, format: WeightFormat) -> bool {
        self.lacks.iter().any(|l| l.architecture == gpu.architecture && l.weights.contains(&format.kernel()))
    }

    /// The engine whose kernel coefficients are its own.
    pub fn kernel_key(&self) -> &str {
        self.kernels.as_deref().unwrap_or(&self.id)
    }

    /// The cache type it uses unless told otherwise.
    pub fn default_kv(&self, gpu: &Gpu, weights: WeightFormat) -> DType {
        let fp8 = gpu.peak(DType::Fp8).is_some() && self.kv_types.contains(&DType::Fp8);
        if self.kv_follows.contains(&weights) && fp8 { DType::Fp8 } else { self.kv_types[0] }
    }

    /// The engine as benchmarks launch it with weights of a format.
    #[must_use]
    pub fn benchmarked(mut self, weights: WeightFormat) -> Engine {
        if self.benchmarks_ask_for_fp8_kv && weights.element().bits() <= 8 {
            self.kv_follows.push(weights);
        }
        self
    }

    /// Whether it serves GGUF files.
    pub fn reads_gguf(&self) -> bool {
        self.weight_formats.iter().any(|format| format.is_ggml())
    }

    /// Whether slots for requests divide its cache among them, each with room for the longest.
    pub fn divides_cache(&self) -> bool {
        self.memory.cache_layout == CacheLayout::Cells
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

    /// What is wrong with the figures of this profile, without those of other versions.
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
        if self.memory.mxfp4_padding.is_some_and(|p| {
            p.hidden == 0 || p.inner == 0 || p.native == 0 || p.native_inner == Some(0) || p.hopper == Some(0)
        }) {
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
        if !self.widening_efficiency.values().copied().all(share) {
            fail("widening_efficiency", "must lie in (0, 1]");
        }
        if !self.sink_efficiency.values().copied().all(share) {
            fail("sink_efficiency", "must lie in (0, 1]");
        }
        if !self.mixed_tiles.as_ref().is_none_or(|tiles| share(tiles.efficiency)) {
            fail("mixed_tiles", "efficiency must lie in (0, 1]");
        }
        let reached = |rule: &SparseAttention| share(rule.prompt_efficiency) && share(rule.decode_efficiency);
        if !self.sparse_attention.as_ref().is_none_or(reached) {
            fail("sparse_attention", "efficiencies must lie in (0, 1]");
        }
        let (s, m) = (&self.scheduling, &self.memory);
        for (name, share) in [
            ("launch_share", s.launch_share),
            ("quantise_share", s.quantise_share),
            ("output_reserve", s.output_reserve),
            ("entering_reserve", s.entering()),
            ("falling_reserve.from", s.falling_reserve.map_or(0.0, |falling| falling.from)),
            ("falling_reserve.to", s.falling_reserve.map_or(0.0, |falling| falling.to)),
        ] {
            if !(0.0..=1.0).contains(&share) {
                fail(name, "must lie in [0, 1]");
            }
        }
        if s.falling_reserve.is_some_and(|falling| falling.from < falling.to || falling.steps == 0) {
            fail("falling_reserve", "falls from a share to a lower one, in at least one step");
        }
        for (name, number) in [
            ("memory.sampler_values_per_logit", m.sampler_values_per_logit),
            ("memory.step_values_per_logit", m.step_values_per_logit),
            ("memory.forward_inner_copies", m.forward_inner_copies),
            ("memory.forward_hidden_copies", m.forward_hidden_copies),
            ("memory.window_share", m.window_share),
            ("memory.mask_bytes", m.mask_bytes),
            ("memory.score_bytes", m.score_bytes),
            ("memory.group_slack", m.group_slack),
            ("memory.image_copies", m.image_copies),
            ("scheduling.arrival_poll_steps", s.arrival_poll_steps),
            ("scheduling.first_token_steps", s.first_token_steps),
            ("scheduling.half_busy_requests", s.half_busy_requests),
            ("scheduling.idle_first_token_steps", s.idle_first_token_steps),
        ] {
            if !(number >= 0.0 && number.is_finite()) {
                fail(name, "must not be negative");
            }
        }
        problems
    }
}

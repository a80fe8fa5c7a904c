//! Memory of one GPU: weights, KV cache, activations, graphs and the rest, under the engine's rule.
//!
//! The fullest rank decides. What an engine sets aside is stated in its file (`engines/*.yaml`); the
//! equations are in `docs/model.md`.

mod activations;
mod cache;
mod host;
mod room;
mod stages;
mod weights;

use crate::catalog::engine::{FractionOf, Launch};
use crate::catalog::link::LinkKind;
use crate::catalog::{Engine, Gpu, Host};
use crate::dtype::DType;
use crate::model::{EncoderSize, Model};
use crate::plan::{Offload, Parallelism, Reason};
use crate::units::Bytes;
use crate::workload::Workload;
use cache::RankCache;
pub use host::HostUse;
pub use room::Room;
pub use stages::{Spread, StageLayers, spread, stage_layers};
pub use weights::weights_on_rank;

/// Launch limits as they are stated. The engine answers for those that are not, and whether one is stated is
/// never guessed from its value: a limit that is stated as high as the default is kept all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimitOverrides {
    /// Sequences in one batch.
    pub max_sequences: Option<u64>,
    /// Tokens in one step.
    pub max_batched_tokens: Option<u64>,
    /// Memory fraction.
    pub memory_fraction: Option<f64>,
    /// What stays in the host's memory.
    pub offload: Offload,
}

impl LimitOverrides {
    /// The limits of an engine on a GPU whose longest request has `longest` tokens.
    pub fn on(self, engine: &Engine, gpu: &Gpu, longest: u64) -> Limits {
        let defaults = Limits::of(engine, gpu);
        let whole = engine.defaults.whole_prompts && longest <= LONGEST_WHOLE_PROMPT;
        let unstated = match whole {
            true => defaults.max_batched_tokens.max(longest),
            false => defaults.max_batched_tokens,
        };
        Limits {
            max_sequences: self.max_sequences.unwrap_or(defaults.max_sequences),
            max_batched_tokens: self.max_batched_tokens.unwrap_or(unstated),
            stated_tokens: self.max_batched_tokens,
            memory_fraction: self.memory_fraction,
            offload: self.offload,
        }
    }
}

/// Beyond this even engines that compute prompts whole cut them, into their default steps (vLLM V0,
/// `arg_utils.py`: chunked prefill is on by itself for longer contexts).
const LONGEST_WHOLE_PROMPT: u64 = 32_768;

/// Launch limits of an engine: its defaults for the GPU, or what is stated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Sequences in one batch, per attention-data-parallel rank.
    pub max_sequences: u64,
    /// Tokens in one step, as launched: per attention-data-parallel rank, or of all of them where the engine counts
    /// so ([`Engine::tokens_per_rank`]).
    pub max_batched_tokens: u64,
    /// The tokens of a step where they are stated: engines that work their memory fraction out set aside room for
    /// these, and else for what they take by themselves.
    pub stated_tokens: Option<u64>,
    /// The memory fraction, if not the engine's own.
    pub memory_fraction: Option<f64>,
    /// What stays in the host's memory.
    pub offload: Offload,
}

impl Limits {
    /// The engine's defaults on a GPU.
    pub fn of(engine: &Engine, gpu: &Gpu) -> Limits {
        let defaults = engine.launch_defaults(gpu, 1);
        Limits {
            max_sequences: u64::from(defaults.max_sequences),
            max_batched_tokens: u64::from(defaults.max_batched_tokens),
            stated_tokens: None,
            memory_fraction: None,
            offload: Offload::NONE,
        }
    }
}

/// Whether a plan fits, given the uncertainty of the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// More room than the uncertainty.
    Fits,
    /// Inside the uncertainty.
    Marginal,
    /// Short by more than the uncertainty.
    DoesNotFit,
}

impl Verdict {
    /// As JSON value.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Fits => "fits",
            Verdict::Marginal => "marginal",
            Verdict::DoesNotFit => "does_not_fit",
        }
    }
}

/// Memory by part on the fullest rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryUse {
    /// Weights.
    pub weights: Bytes,
    /// KV cache that the engine allocates.
    pub kv_cache: Bytes,
    /// Activation peak.
    pub activations: Bytes,
    /// Context, libraries, communication buffers.
    pub non_torch: Bytes,
    /// CUDA graphs.
    pub cuda_graphs: Bytes,
    /// Physical memory.
    pub capacity: Bytes,
    /// What weights and KV cache may take together under the engine's rule.
    pub for_weights_and_cache: Bytes,
    /// KV cache of one request at full length.
    pub per_request: Bytes,
    /// KV cache of one request at its mean length, as the engine reserves it.
    pub per_running_request: Bytes,
    /// Tokens of requests at full length that the cache holds, windows applied.
    pub kv_cache_tokens: u64,
    /// Tokens that the engine's log says it holds: engines count windows and groups of layers each in
    /// their own way.
    pub logged_tokens: u64,
    /// Memory that the engine says is its KV cache: SGLang counts recurrent state apart.
    pub logged_cache: Bytes,
    /// What the host's memory holds, of which it has so much.
    pub host: Option<HostUse>,
    /// Uncertainty of the total.
    pub band: Bytes,
}

impl MemoryUse {
    /// Sum of the parts.
    pub fn total(&self) -> Bytes {
        self.weights + self.kv_cache + self.activations + self.non_torch + self.cuda_graphs
    }

    /// Whether weights and one request at full length fit.
    pub fn verdict(&self) -> Verdict {
        if self.host.is_some_and(|host| host.need() > host.usable) {
            return Verdict::DoesNotFit;
        }
        let need = self.weights + self.per_request;
        if need + self.band <= self.for_weights_and_cache {
            Verdict::Fits
        } else if need <= self.for_weights_and_cache + self.band {
            Verdict::Marginal
        } else {
            Verdict::DoesNotFit
        }
    }

    /// Room beside weights and one request at full length, GiB; negative where they do not fit.
    pub fn spare_gib(&self) -> f64 {
        self.for_weights_and_cache.as_gib() - (self.weights + self.per_request).as_gib()
    }

    /// Requests in flight that the KV cache holds on one attention-data-parallel rank.
    pub fn largest_batch(&self) -> u64 {
        let with_host = self.host.map_or(u64::MAX, |host| host.largest_batch());
        match self.per_running_request.get() {
            0 => with_host,
            each => (self.kv_cache.get() / each).min(with_host),
        }
    }

    /// KV cache left over when `sequences` run on one attention-data-parallel rank.
    pub fn headroom(&self, sequences: u64) -> Bytes {
        self.kv_cache.saturating_sub(self.per_running_request * sequences)
    }

    /// Why the plan does not fit, if it does not.
    pub fn rejection(&self) -> Option<Reason> {
        if let Some(host) = self.host.filter(|host| host.need() > host.usable) {
            return Some(Reason::HostOutOfMemory { need: host.need(), have: host.usable });
        }
        (self.verdict() == Verdict::DoesNotFit).then(|| {
            let around = self.activations + self.non_torch + self.cuda_graphs;
            Reason::OutOfMemory {
                need: self.weights + self.per_request + around,
                have: self.for_weights_and_cache + around,
            }
        })
    }
}

/// What is needed to account for memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryQuestion<'a> {
    /// The model, at the plan's precision.
    pub model: &'a Model,
    /// The GPU.
    pub gpu: &'a Gpu,
    /// The engine.
    pub engine: &'a Engine,
    /// Launch limits.
    pub limits: Limits,
    /// The split.
    pub parallelism: Parallelism,
    /// Type of the KV cache.
    pub kv: DType,
    /// Lengths.
    pub workload: &'a Workload,
    /// The replica's part of the host's memory, if it is known.
    pub host: Option<Host>,
}

impl MemoryQuestion<'_> {
    /// What lies where.
    fn spread(&self) -> Spread {
        spread(self.model, self.engine, self.parallelism.pp, &self.limits.offload)
    }

    /// Memory of the fullest rank: the stage whose KV cache holds the fewest requests.
    pub fn answer(&self) -> MemoryUse {
        let spread = self.spread();
        let uses = spread.stages.iter().map(|stage| self.stage(stage, &spread));
        // There is at least one stage.
        uses.reduce(|a, b| if fuller(&b, &a) { b } else { a })
            .unwrap_or_else(|| self.stage(&StageLayers::default(), &spread))
    }

    /// Layers and memory of a rank of each stage; the ranks of one stage hold alike.
    pub fn by_stage(&self) -> Vec<(u64, MemoryUse)> {
        let spread = self.spread();
        spread.stages.iter().map(|stage| (stage.count(), self.stage(stage, &spread))).collect()
    }

    /// Memory of a rank of the first stage, whose log people read: the others' are seldom kept. The
    /// tokens are those that every stage holds.
    pub fn first_rank(&self) -> MemoryUse {
        let spread = self.spread();
        let fullest = self.answer();
        match spread.stages.first() {
            Some(stage) if spread.stages.len() > 1 => MemoryUse {
                kv_cache_tokens: fullest.kv_cache_tokens,
                logged_tokens: fullest.logged_tokens,
                ..self.stage(stage, &spread)
            },
            _ => fullest,
        }
    }

    /// KV cache of one prompt on the rank that holds most of it.
    pub fn prompt_cache(&self) -> Bytes {
        let spread = self.spread();
        let held =
            spread.stages.iter().map(|s| RankCache::of(self, &s.layers, false).sequence(self.workload.isl));
        held.max().unwrap_or(Bytes::ZERO)
    }

    fn stage(&self, stage: &StageLayers, spread: &Spread) -> MemoryUse {
        let groups = self.parallelism.groups();
        let rule = &self.engine.memory;
        let moe = if self.model.is_moe() { rule.graphs_moe } else { Bytes::ZERO };
        let weights = weights::on_rank(self, stage);
        let activations = activations::peak(self, groups, stage, spread.host.as_ref());
        let non_torch = self.non_torch(stage.last) + activations::exchange_buffers(self);
        let batch = self.engine.launch_defaults(self.gpu, self.parallelism.tp).graph_batch;
        let each = rule.graphs_per_layer + rule.graph_of_layer * graph_sizes(batch.unwrap_or(0));
        let cuda_graphs = (rule.graphs + each * stage.count() + moe).scaled(self.captured());
        let usable = self.usable(activations, non_torch, cuda_graphs, weights);
        let kv_cache = usable.saturating_sub(weights);
        let length = self.workload.longest_context();
        let cache = RankCache::of(self, &stage.layers, stage.last);
        MemoryUse {
            weights,
            kv_cache,
            activations,
            non_torch,
            cuda_graphs,
            capacity: self.gpu.memory,
            for_weights_and_cache: usable,
            per_request: cache.sequence(length),
            per_running_request: cache.sequence(self.running_length()),
            kv_cache_tokens: cache.tokens_held(kv_cache, length),
            logged_tokens: cache.logged_tokens(kv_cache, length),
            logged_cache: cache.logged(kv_cache),
            host: spread.host.as_ref().map(|host| self.on_host(host)),
            band: rule.band + activations::longest_video(self, stage, activations),
        }
    }

    /// Most tokens in one step, per attention-data-parallel rank.
    fn step_tokens(&self) -> u64 {
        self.engine.tokens_per_rank(self.limits.max_batched_tokens, self.parallelism.attention_dp)
    }

    /// Mean length of a running request, as the engine reserves it.
    fn running_length(&self) -> u64 {
        let output = self.workload.osl as f64 * self.engine.scheduling.output_reserve;
        (self.workload.isl as f64 + output).ceil() as u64
    }

    /// Context, libraries and communication buffers. Stages hand over point to point; the large buffers
    /// belong to the collectives inside a stage.
    fn non_torch(&self, last: bool) -> Bytes {
        let rule = &self.engine.memory;
        let sampler = if last { rule.sampler_workspace } else { Bytes::ZERO };
        if self.parallelism.stage_ranks() == 1 {
            return sampler + rule.non_torch;
        }
        let unlinked = rule.non_torch_pcie.filter(|_| self.gpu.scale_up.kind == LinkKind::Pcie);
        let rocm = rule.non_torch_rocm.filter(|_| self.gpu.platform() == "amd");
        let experts = if self.model.is_moe() { rule.non_torch_experts } else { Bytes::ZERO };
        sampler + rocm.or(unlinked).unwrap_or(rule.non_torch_multi_gpu) + experts
    }

    /// Graphs that vLLM captures, of those that its figures were measured with: pieces of steps up to twice the most
    /// sequences, 512 at most, and whole decode steps up to the most sequences (`vllm/config/vllm.py`,
    /// `_set_cudagraph_sizes`).
    fn captured(&self) -> f64 {
        let Some(measured) = self.engine.memory.graphs_measured.filter(|graphs| *graphs > 0) else {
            return 1.0;
        };
        let most = u32::try_from(self.limits.max_sequences).unwrap_or(u32::MAX);
        let sizes = |n: u32| graph_sizes(n.min(512));
        (sizes(most.saturating_mul(2)) + sizes(most)) as f64 / measured as f64
    }

    /// What weights and KV cache may take together, by the engine's rule.
    fn usable(&self, activations: Bytes, non_torch: Bytes, graphs: Bytes, weights: Bytes) -> Bytes {
        let rule = &self.engine.memory;
        let fraction = self.fraction();
        let physical = self.gpu.memory;
        let free = physical.saturating_sub(non_torch);
        match rule.fraction_of {
            FractionOf::Total => {
                // Graphs captured outside the fraction must still find room in the rest.
                let (inside, most) = if rule.graphs_inside_fraction {
                    (graphs, physical)
                } else {
                    (Bytes::ZERO, physical.saturating_sub(graphs))
                };
                physical.scaled(fraction).min(most).saturating_sub(activations + non_torch + inside)
            }
            FractionOf::Static => free.scaled(fraction).min(free.saturating_sub(activations + graphs)),
            FractionOf::FreeAfterLoad => {
                let after_load = free.saturating_sub(activations + graphs + weights);
                (weights + after_load.scaled(fraction)).min(free)
            }
        }
    }

    /// The memory fraction: the user's, else the engine's own for this GPU and split.
    pub fn fraction(&self) -> f64 {
        self.limits.memory_fraction.unwrap_or_else(|| {
            let p = self.parallelism;
            let launch = Launch {
                tp: p.tp,
                ranks: u64::from(p.tp) * u64::from(p.pp),
                attention_dp: p.attention_dp,
                batched_tokens: self.limits.stated_tokens,
                latent: self.model.is_latent(),
                drafts: self.model.draft.is_some() || self.model.predicts,
                encoder_size: self.model.encoder.filter(|_| self.model.sees()).map(EncoderSize::of_vit_large),
            };
            self.engine.default_fraction(self.gpu, launch)
        })
    }
}

/// Batch sizes up to `largest` that SGLang and vLLM capture: 1, 2, 4, then steps of 8, from 256 on of 16
/// (`cuda_graph_runner.py`, `get_batch_sizes_to_capture`).
fn graph_sizes(largest: u32) -> u64 {
    let fine = largest.min(256);
    let rest = largest - fine;
    u64::from(if fine < 8 { fine.min(3) } else { 3 + fine / 8 } + rest / 16)
}

/// Whether a rank is fuller than another: holds fewer running requests, then has less room. Not tokens:
/// where windows cap the cache of some layers, which stage holds the fewest depends on the length.
fn fuller(a: &MemoryUse, b: &MemoryUse) -> bool {
    let room = |m: &MemoryUse| m.for_weights_and_cache.get() as i128 - m.weights.get() as i128;
    // kv_a / each_a against kv_b / each_b, multiplied out: exact, and fine with a stage without a cache.
    let held = |m: &MemoryUse, other: &MemoryUse| {
        u128::from(m.kv_cache.get()) * u128::from(other.per_running_request.get())
    };
    (held(a, b), room(a)) < (held(b, a), room(b))
}

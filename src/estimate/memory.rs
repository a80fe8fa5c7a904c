//! Memory of one GPU: weights, KV cache, activations, graphs and the rest, under the engine's rule.
//!
//! The fullest rank decides. What an engine sets aside is stated in its file (`engines/*.yaml`); the
//! equations are in `docs/model.md`.

use crate::catalog::engine::{FractionOf, Launch};
use crate::catalog::{Engine, Gpu};
use crate::dtype::DType;
use crate::model::blocks::{Block, Cache};
use crate::model::{Model, RankGroups, Scope, Tensor};
use crate::plan::{Parallelism, Reason};
use crate::units::Bytes;
use crate::workload::Workload;

/// Launch limits of an engine: its defaults for the GPU, or what the user sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Sequences in one batch, per attention-data-parallel rank.
    pub max_sequences: u64,
    /// Tokens in one step, per attention-data-parallel rank.
    pub max_batched_tokens: u64,
    /// The memory fraction, if not the engine's own.
    pub memory_fraction: Option<f64>,
}

impl Limits {
    /// The engine's defaults on a GPU.
    pub fn of(engine: &Engine, gpu: &Gpu) -> Limits {
        let defaults = engine.launch_defaults(gpu, 1);
        Limits {
            max_sequences: u64::from(defaults.max_sequences),
            max_batched_tokens: u64::from(defaults.max_batched_tokens),
            memory_fraction: None,
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
    /// Bytes per token at full length, windows applied.
    pub kv_cache_tokens: u64,
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
        let need = self.weights + self.per_request;
        if need + self.band <= self.for_weights_and_cache {
            Verdict::Fits
        } else if need <= self.for_weights_and_cache + self.band {
            Verdict::Marginal
        } else {
            Verdict::DoesNotFit
        }
    }

    /// Requests in flight that the KV cache holds on one attention-data-parallel rank.
    pub fn largest_batch(&self) -> u64 {
        match self.per_running_request.get() {
            0 => u64::MAX,
            each => self.kv_cache.get() / each,
        }
    }

    /// KV cache left over when `sequences` run on one attention-data-parallel rank.
    pub fn headroom(&self, sequences: u64) -> Bytes {
        self.kv_cache.saturating_sub(self.per_running_request * sequences)
    }

    /// Why the plan does not fit, if it does not.
    pub fn rejection(&self) -> Option<Reason> {
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
}

impl MemoryQuestion<'_> {
    /// Memory of the fullest rank: the stage whose KV cache holds the fewest requests.
    pub fn answer(&self) -> MemoryUse {
        let stages = stage_layers(self.model, self.parallelism.pp);
        let last = stages.len() - 1;
        let uses = stages.iter().enumerate().map(|(i, counts)| self.stage(counts, i == 0, i == last));
        uses.reduce(|a, b| if fuller(&b, &a) { b } else { a }).unwrap_or_else(|| self.stage(&[], true, true))
    }

    fn stage(&self, counts: &[u64], first: bool, last: bool) -> MemoryUse {
        let groups = self.parallelism.groups();
        let rule = &self.engine.memory;
        let layers: u64 = counts.iter().sum();
        let moe = if self.model.is_moe() { rule.graphs_moe } else { Bytes::ZERO };
        // Stages hand over point to point; the large buffers belong to the collectives inside a stage.
        let several = self.parallelism.stage_ranks() > 1;
        let weights = weights_on_rank(self.model, groups, counts, (first, last));
        let activations = self.activation_peak(groups);
        let non_torch = if several { rule.non_torch_multi_gpu } else { rule.non_torch };
        let cuda_graphs = rule.graphs + rule.graphs_per_layer * layers + moe;
        let usable = self.usable(activations, non_torch, cuda_graphs, weights);
        let kv_cache = usable.saturating_sub(weights);
        let length = self.workload.longest_context();
        let reserved =
            self.workload.isl as f64 + self.workload.osl as f64 * self.engine.scheduling.output_reserve;
        let sequence = |tokens: u64| self.sequence_bytes(counts, groups.tensor, tokens);
        let per_request = sequence(length);
        MemoryUse {
            weights,
            kv_cache,
            activations,
            non_torch,
            cuda_graphs,
            capacity: self.gpu.memory,
            for_weights_and_cache: usable,
            per_request,
            per_running_request: sequence(reserved.ceil() as u64),
            kv_cache_tokens: tokens_held(kv_cache, per_request, length),
            band: rule.band,
        }
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
    fn fraction(&self) -> f64 {
        self.limits.memory_fraction.unwrap_or_else(|| {
            let p = self.parallelism;
            let default = Limits::of(self.engine, self.gpu).max_batched_tokens;
            let tokens = self.limits.max_batched_tokens;
            let launch = Launch {
                tp: p.tp,
                ranks: u64::from(p.tp) * u64::from(p.pp),
                attention_dp: p.attention_dp,
                batched_tokens: (tokens != default).then_some(tokens),
            };
            self.engine.default_fraction(self.gpu, launch)
        })
    }

    /// The larger of the sampler's peak and the widest layer's.
    fn activation_peak(&self, groups: RankGroups) -> Bytes {
        let rule = &self.engine.memory;
        let tokens = self.limits.max_batched_tokens as f64;
        let logits = self.limits.max_sequences as f64 * self.model.vocabulary as f64 * 4.0;
        let hidden = self.model.hidden as f64;
        let widest = |block: &Block| match block {
            Block::Mlp(m) => m.inner as f64 / groups.tensor as f64 * rule.forward_inner_copies,
            Block::Moe(m) => {
                let inner = m.inner as f64 / groups.expert_tensor as f64 * rule.forward_inner_copies;
                let routed = (m.top_k * groups.attention_data) as f64;
                routed * (inner + hidden)
            }
            _ => 0.0,
        };
        let inner = self.model.layer_blocks().map(widest).fold(0.0, f64::max);
        let all_logits = tokens * self.model.vocabulary as f64 * 4.0 * rule.step_values_per_logit;
        let forward = tokens * (inner + rule.forward_hidden_copies * hidden) * 2.0 + all_logits;
        Bytes::ceil((rule.sampler_values_per_logit * logits).max(forward))
    }

    /// Cache of one sequence of `tokens` on one rank of a stage, in whole blocks.
    fn sequence_bytes(&self, counts: &[u64], tensor: u64, tokens: u64) -> Bytes {
        let block = u64::from(self.engine.kv_block);
        let in_blocks = |n: u64| n.div_ceil(block) * block;
        let mut bytes = Bytes::ZERO;
        for (group, layers) in self.model.groups.iter().zip(counts) {
            for cache in group.blocks.iter().filter_map(Block::cache) {
                let each = match cache {
                    Cache::KeyValue { heads, per_head, window } => {
                        let kept = window.map_or(tokens, |w| tokens.min(w));
                        let elements = heads.div_ceil(tensor).max(1) * per_head;
                        Bytes::new(self.kv.stored_bytes(elements)) * in_blocks(kept)
                    }
                    Cache::Latent { elements } => {
                        Bytes::new(self.kv.stored_bytes(elements)) * in_blocks(tokens)
                    }
                    Cache::State { bytes, heads } => {
                        Bytes::new(bytes / heads.max(1)) * heads.div_ceil(tensor).max(1)
                    }
                };
                bytes += each * *layers;
            }
        }
        bytes
    }
}

fn tokens_held(cache: Bytes, per_request: Bytes, length: u64) -> u64 {
    if per_request == Bytes::ZERO {
        return 0;
    }
    (cache.as_f64() / per_request.as_f64() * length as f64) as u64
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

/// Layers of each group in each stage. Stages are equal; what is left over goes to the stages before
/// the last, from the back (vLLM `distributed/utils.py::get_pp_indices`): the last one holds the head.
pub fn stage_layers(model: &Model, pp: u32) -> Vec<Vec<u64>> {
    let total = model.layers();
    let stages = u64::from(pp).clamp(1, total);
    let (base, rest) = (total / stages, total % stages);
    let mut group_of = vec![0usize; total as usize];
    for (g, group) in model.groups.iter().enumerate() {
        for layer in &group.layers {
            group_of[*layer as usize] = g;
        }
    }
    let mut start = 0usize;
    (0..stages)
        .map(|stage| {
            let extra = u64::from(stage + 1 < stages && stage + 1 + rest >= stages);
            let end = (start + (base + extra) as usize).min(group_of.len());
            let mut counts = vec![0u64; model.groups.len()];
            group_of[start..end].iter().for_each(|g| counts[*g] += 1);
            start = end;
            counts
        })
        .collect()
}

/// Weights on the fullest rank of a stage: embedding on the first stage, head on the last, a copy of a
/// tied embedding on both.
pub fn weights_on_rank(
    model: &Model,
    groups: RankGroups,
    counts: &[u64],
    (first, last): (bool, bool),
) -> Bytes {
    let mut tensors: Vec<Tensor> = Vec::new();
    if first {
        model.before.iter().for_each(|b| b.tensors(&mut tensors));
        if model.scope == Scope::Full {
            tensors.extend(model.towers.iter().cloned());
        }
    }
    if last {
        model.after.iter().for_each(|b| b.tensors(&mut tensors));
        if !first {
            tensors.extend(model.tied_head());
        }
    }
    let mut bytes: Bytes =
        tensors.iter().map(|t| t.stored_on_rank(model.quantisation.outside(t), groups)).sum();
    for (group, layers) in model.groups.iter().zip(counts).filter(|(_, n)| **n > 0) {
        let layer: Bytes = group.tensors().map(|(t, storage)| t.stored_on_rank(storage, groups)).sum();
        bytes += layer * *layers;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::find;

    #[test]
    fn uneven_stages_put_the_rest_before_the_last() {
        let model = find("llama-3.1-405b", &[], Scope::Full).unwrap();
        let layers: Vec<u64> = stage_layers(&model, 4).iter().map(|c| c.iter().sum()).collect();
        assert_eq!(layers, [31, 32, 32, 31]);
    }

    #[test]
    fn stages_hold_every_layer_once() {
        let model = find("deepseek-v3", &[], Scope::Full).unwrap();
        for pp in 1..=61 {
            let stages = stage_layers(&model, pp);
            assert_eq!(stages.len(), pp as usize);
            let held: Vec<u64> = (0..model.groups.len()).map(|g| stages.iter().map(|s| s[g]).sum()).collect();
            let expected: Vec<u64> = model.groups.iter().map(|g| g.layers.len() as u64).collect();
            assert_eq!(held, expected);
        }
    }
}

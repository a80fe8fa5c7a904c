//! Memory of one GPU: weights, KV cache, activations, graphs and the rest, under the engine's rule.
//!
//! The fullest rank decides. What an engine sets aside is stated in its file (`engines/*.yaml`); the
//! equations are in `docs/model.md`.

mod activations;
mod cache;
mod captured;
mod graphs;
mod host;
mod host_use;
mod inventory;
mod kept;
mod laid;
mod limits;
mod question;
mod room;
mod rules;
mod stages;
mod used;
mod weights;

use crate::catalog::link::LinkKind;
use crate::units::Bytes;
use cache::RankCache;
pub use captured::{Captured, GraphMode};
pub use host_use::HostUse;
pub use inventory::Inventory;
pub use laid::Laid;
use laid::Resting;
pub use limits::{LimitOverrides, Limits, Start, UNSHARED, never_cuts};
pub use question::MemoryQuestion;
pub use room::{Room, sure_of};
use rules::Beside;
pub use stages::{Spread, StageLayers, spread, stage_layers};
pub use used::{AskedOfAll, MemoryUse, StateBlocks, Verdict};
pub use weights::weights_on_rank;

impl MemoryQuestion<'_> {
    /// Memory of the fullest rank: the stage whose KV cache holds the fewest requests.
    pub fn answer(&self) -> MemoryUse {
        self.answer_of(&self.laid())
    }

    /// The same where what no limit on sequences changes is known.
    pub fn answer_of(&self, laid: &Laid) -> MemoryUse {
        let mut uses = laid.distinct().map(|(place, stage, resting, cache)| {
            self.of_stage(place).stage_around(*resting, &cache.under(self), stage, laid.spread())
        });
        // There is at least one stage.
        let first = uses.next().unwrap_or_else(|| self.stage(&StageLayers::default(), laid.spread()));
        let (fullest, least) = uses.fold((first, first.free()), |(fullest, least), other| {
            let least = least.min(other.free());
            (if fuller(&other, &fullest) { other } else { fullest }, least)
        });
        MemoryUse { asked_of_all: laid.in_all().map(|request| AskedOfAll { request, least }), ..fullest }
    }

    /// What the engine asks for at the start of a request in the layers of all stages, where it counts those.
    fn request_of_all(&self, spread: &Spread) -> Option<Bytes> {
        let counted = self.engine.memory.length_over_all_stages && spread.stages.len() > 1;
        counted.then(|| {
            let layers: Vec<u64> = self.model.groups.iter().map(|group| group.layers.len() as u64).collect();
            RankCache::of(self, &layers, true).request(self.length())
        })
    }

    /// Layers and memory of a rank of each stage; the ranks of one stage hold alike.
    pub fn by_stage(&self) -> Vec<(u64, MemoryUse)> {
        let spread = self.spread();
        let of = |(place, stage): (usize, &StageLayers)| {
            (stage.count(), self.of_stage(place).stage(stage, &spread))
        };
        spread.stages.iter().enumerate().map(of).collect()
    }

    /// The same with the GPU of each.
    pub fn by_stage_and_gpu(&self) -> Vec<(String, u64, MemoryUse)> {
        let on = |(place, (layers, memory))| (self.of_stage(place).gpu.id.clone(), layers, memory);
        self.by_stage().into_iter().enumerate().map(on).collect()
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
                ..self.of_stage(0).stage(stage, &spread)
            },
            _ => fullest,
        }
    }

    /// KV cache of one prompt on the rank that holds most of it.
    pub fn prompt_cache(&self) -> Bytes {
        let spread = self.spread();
        let held =
            spread.stages.iter().map(|s| RankCache::of(self, &s.layers, false).running(self.workload.isl));
        held.max().unwrap_or(Bytes::ZERO)
    }

    fn stage(&self, stage: &StageLayers, spread: &Spread) -> MemoryUse {
        self.stage_around(self.resting(stage), &self.cache(stage), stage, spread)
    }

    /// Memory of a rank of a stage around its weights.
    fn stage_around(
        &self,
        Resting { weights, copied }: Resting,
        cache: &RankCache,
        stage: &StageLayers,
        spread: &Spread,
    ) -> MemoryUse {
        let groups = self.parallelism.groups();
        let rule = &self.engine.memory;
        let peak = activations::peak(self, groups, stage, spread.host.as_ref());
        let beyond = activations::gathered_beyond(self, groups, stage, spread.host.as_ref(), peak);
        let activations = peak + copied;
        let non_torch = self.non_torch(stage.last) + activations::exchange_buffers(self);
        let cuda_graphs = self.cuda_graphs(stage);
        let beside = Beside { weights, activations, non_torch, cuda_graphs };
        let usable = rules::usable(self, &beside);
        let length = self.length();
        let shared_cells =
            (cache.is_of_slots() && self.limits.start.shares_cells).then(|| cache.request(length));
        // Without a layer that keeps tokens there is nothing to size (vLLM `v1/core/kv_cache_utils.py`, 0.33.0).
        let kv_cache = match self.model.keeps_tokens() {
            true => usable.saturating_sub(weights),
            false => Bytes::ZERO,
        };
        let kv_cache = shared_cells.map_or(kv_cache, |all| all.min(kv_cache));
        let held = match shared_cells {
            Some(all) if kv_cache == all => length,
            _ => cache.tokens_held(kv_cache, self.workload.longest_context()),
        };
        let running = self.running_length();
        let whole = cache.running(running);
        let own = match self.workload.shared_prompt().min(running.saturating_sub(1)) {
            0 => whole,
            shared => cache.running(running - shared),
        };
        let states = cache.for_states(kv_cache).filter(|_| rule.refuses_states && cuda_graphs > Bytes::ZERO);
        MemoryUse {
            weights,
            kv_cache,
            slot: (cache.is_of_slots() && shared_cells.is_none()).then_some(length),
            activations,
            non_torch,
            cuda_graphs,
            left_for_graphs: rules::left_for_graphs(self, &beside, usable),
            capacity: self.gpu.memory,
            for_weights_and_cache: usable,
            per_request: cache.request(length),
            asked_of_all: None,
            per_running_request: own,
            running_tokens: running,
            shared: whole.saturating_sub(own),
            kv_cache_tokens: held,
            logged_tokens: cache.logged_tokens(kv_cache, self.served_length()),
            logged_cache: cache.logged(kv_cache),
            states: states.map(|blocks| StateBlocks {
                blocks,
                uncertain: cache.for_states(rule.band).unwrap_or(0),
                stated: self.limits.stated_sequences,
                by_default: Some(self.limits.max_sequences).filter(|_| self.limits.start.launched),
            }),
            host: spread.host.as_ref().map(|host| self.on_host(host)).or_else(|| self.beside_gpus(spread)),
            band: rule.band + activations::longest_video(self, stage, activations) + beyond,
        }
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
        let spans = self.parallelism.pp > 1 && self.parallelism.gpus() > u64::from(self.gpu.gpus_per_node);
        let stages = if spans { rule.non_torch_stages } else { Bytes::ZERO };
        sampler + rocm.or(unlinked).unwrap_or(rule.non_torch_multi_gpu) + experts + stages
    }
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

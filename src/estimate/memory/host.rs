//! What lies in the host's memory, and what is left there where the GPUs have too little room.

use super::cache::RankCache;
use super::host_use::HostUse;
use super::question::MemoryQuestion;
use super::stages::{Spread, StageLayers};
use super::used::{MemoryUse, Verdict};
use super::{limits, weights};
use crate::plan::{Offload, Parallelism, Shares};
use crate::units::Bytes;

impl MemoryQuestion<'_> {
    /// Weights of a stage's layers on a rank that stay in the host's memory: as many bytes as are stated, matrix by matrix
    /// (vLLM 0.33 `model_executor/offloader/uva.py`, before `models/utils.py`, `maybe_offload_to_cpu`; SGLang 0.5.23
    /// `utils/offloader.py`, `OffloaderV1`: embedding and output projection stay on the GPU).
    pub(super) fn offloaded(&self, stage: &StageLayers) -> Bytes {
        match self.limits.start.offloaded {
            Bytes::ZERO => Bytes::ZERO,
            stated => stated.min(weights::of_layers(self, stage)),
        }
    }

    /// What weights of a replica's layers stay in the host's memory, as a share of them, and their bytes on each GPU in the
    /// mean.
    pub fn streamed(&self) -> Option<(f64, Bytes)> {
        if self.limits.start.offloaded == Bytes::ZERO {
            return None;
        }
        let stages = self.spread().stages;
        let sum = |of: &dyn Fn(&StageLayers) -> Bytes| stages.iter().map(of).sum::<Bytes>();
        let (held, all) =
            (sum(&|stage| self.offloaded(stage)), sum(&|stage| weights::of_layers(self, stage)));
        let share = held.as_f64() / all.as_f64().max(1.0);
        Some((share, Bytes::new(held.get() / (stages.len() as u64).max(1))))
    }

    /// What the host holds beside GPUs that compute everything.
    pub(super) fn beside_gpus(&self, spread: &Spread) -> Option<HostUse> {
        let held: Bytes = spread.stages.iter().map(|stage| self.offloaded(stage)).sum();
        (held > Bytes::ZERO).then(|| HostUse {
            weights: held * self.parallelism.stage_ranks(),
            per_request: Bytes::ZERO,
            per_running_request: Bytes::ZERO,
            usable: self.host.map_or(Bytes::new(u64::MAX), |host| host.memory),
        })
    }

    /// What the host holds.
    pub(super) fn on_host(&self, host: &StageLayers) -> HostUse {
        let cache = RankCache::of(self, &host.layers, false);
        let reserve = self.engine.host.as_ref().map_or(Bytes::ZERO, |rule| rule.reserve);
        HostUse {
            weights: weights::on_host(self, host),
            per_request: cache.request(self.length()),
            per_running_request: cache.running(self.running_length()),
            usable: self.host.map_or(Bytes::new(u64::MAX), |host| host.memory.saturating_sub(reserve)),
        }
    }

    /// The question with another placement.
    pub fn placed(self, offload: Offload) -> Self {
        MemoryQuestion { limits: limits::Limits { offload, ..self.limits }, ..self }
    }

    /// What is left with the host so that `requests` find room on the GPUs: the experts of the fewest layers, else
    /// all of them and the fewest whole layers. `None` where everything finds room on the GPUs or nothing helps.
    ///
    /// llama.cpp does the same unasked (`--fit`). Whether the host has room for it is another question.
    pub fn fitted(&self, requests: u64) -> Option<Offload> {
        let own = self.limits.offload;
        let fits = |offload: Offload| {
            let memory = MemoryUse { host: None, ..self.placed(offload).answer() };
            memory.verdict() == Verdict::Fits && memory.per_request * requests <= memory.kv_cache
        };
        if fits(own) {
            return None;
        }
        let layers = self.model.layers();
        let with_experts = |n| {
            let offload = Offload { host_experts: Some(n), ..own };
            let told = own.shares.filter(Shares::are_told);
            Offload { shares: told.or_else(|| self.balanced(offload)).or(own.shares), ..offload }
        };
        let whole = |n| {
            let host_experts = self.model.is_moe().then_some(layers);
            Offload { gpu_layers: Some(n), host_experts, ..own }
        };
        // Told that everything lies on the GPUs it keeps nothing else free.
        let all = Offload { gpu_layers: Some(layers + 1), ..own };
        if fits(all) {
            return Some(all);
        }
        if self.model.is_moe() && fits(with_experts(layers)) {
            return Some(with_experts(least(layers, |n| fits(with_experts(n)))));
        }
        // Counting down the layers on the GPUs, the output projection among them.
        let fewer = |n| whole(layers + 1 - n);
        fits(fewer(layers)).then(|| fewer(least(layers, |n| fits(fewer(n)))))
    }
}

impl MemoryQuestion<'_> {
    /// Proportions with which the GPUs hold as much each, unlike ones as much of their memory, of those layers whose experts stay with the host and those
    /// with theirs; `None` for a single GPU, and for more than there are proportions for.
    fn balanced(&self, offload: Offload) -> Option<Shares> {
        let gpus = self.parallelism.pp as usize;
        if gpus < 2 {
            return None;
        }
        let single = MemoryQuestion { parallelism: Parallelism { pp: 1, ..self.parallelism }, ..*self };
        let held = |on_gpus: u64| {
            let offload = Offload { gpu_layers: Some(on_gpus), shares: None, ..offload };
            let memory = single.placed(offload).answer();
            memory.weights + memory.per_request
        };
        // What the last so many units take; the first GPU has the first of them.
        let units = self.model.layers() + 1;
        let all = held(units).as_f64();
        let mut parts = vec![0.0; gpus];
        let memory: Vec<f64> = (0..gpus).map(|place| self.of_stage(place).gpu.memory.as_f64()).collect();
        let unlike = Shares::new(&memory).ok().filter(|_| !self.cards.is_empty());
        for unit in 0..units {
            let at = (all - held(units - unit).as_f64()) / all;
            let gpu = match &unlike {
                Some(shares) => shares.gpu_at(at),
                None => ((at * gpus as f64) as usize).min(gpus - 1),
            };
            parts[gpu] += 1.0;
        }
        Shares::new(&parts).ok()
    }
}

/// The least number in `1..=most` that `fits`, which is so from some number up to `most`.
fn least(most: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, most);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) { high = middle } else { low = middle }
    }
    high
}

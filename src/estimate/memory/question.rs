//! What is asked of memory: a model on a GPU under an engine's launch.

use super::inventory::Inventory;
use super::limits::Limits;
use super::stages::{Spread, StageLayers, spread};
use crate::catalog::engine::Launch;
use crate::catalog::{Cards, Engine, Gpu, Host, kind_of_stage};
use crate::dtype::DType;
use crate::model::{EncoderSize, Model};
use crate::plan::Parallelism;
use crate::workload::Workload;

/// What is needed to account for memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryQuestion<'a> {
    /// The model, at the plan's precision.
    pub model: &'a Model,
    /// What is derived of it.
    pub inventory: &'a Inventory,
    /// The GPU.
    pub gpu: &'a Gpu,
    /// The cards of a replica whose stages lie on several kinds; empty where all lie on `gpu`.
    pub cards: &'a [Cards],
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
    /// The same of the GPU that a stage lies on, by the stage's place.
    pub(super) fn of_stage(&self, place: usize) -> Self {
        match self.cards.get(kind_of_stage(self.cards, place)) {
            Some(cards) => MemoryQuestion { gpu: &cards.gpu, ..*self },
            None => *self,
        }
    }

    /// The stages with their places, of those that hold the same on the same GPU the first.
    pub(super) fn distinct<'s>(
        &self,
        spread: &'s Spread,
    ) -> impl Iterator<Item = (usize, &'s StageLayers)> + use<'s, '_> {
        spread.distinct(|place| kind_of_stage(self.cards, place))
    }

    /// What lies where.
    pub(super) fn spread(&self) -> Spread {
        spread(self.model, self.engine, self.parallelism.pp, &self.limits.offload)
    }

    /// Tokens of the longest request that the server takes.
    pub fn served_length(&self) -> u64 {
        self.limits.start.length.unwrap_or(0).max(self.workload.longest_context())
    }

    /// Tokens of the request that must find room: the longest that is served where the engine refuses to start
    /// without, else the longest that comes.
    pub fn length(&self) -> u64 {
        if self.engine.memory.refuses_length { self.served_length() } else { self.workload.longest_context() }
    }

    /// Tokens of a block of the cache.
    pub(super) fn block(&self) -> u64 {
        self.limits.start.block.unwrap_or(u64::from(self.engine.kv_block)).max(1)
    }

    /// Most tokens in one step, per attention-data-parallel rank.
    pub(super) fn step_tokens(&self) -> u64 {
        self.engine.tokens_per_rank(self.limits.max_batched_tokens, self.parallelism.attention_dp)
    }

    /// Whether each slot has a part of the cache that is set aside for it.
    fn sets_slots_apart(&self) -> bool {
        self.engine.divides_cache() && !self.limits.start.shares_cells
    }

    /// Mean length of a running request, as the engine reserves it. Where slots divide the cache each has its part.
    pub(super) fn running_length(&self) -> u64 {
        if self.sets_slots_apart() && self.limits.stated_sequences.is_some() {
            return self.served_length();
        }
        let output = self.workload.osl as f64 * self.engine.scheduling.output_held();
        (self.workload.isl as f64 + output).ceil() as u64
    }

    /// Whether images are encoded.
    pub(super) fn sees(&self) -> bool {
        let start = self.limits.start;
        self.model.sees() && !start.text_only && start.images != Some(0)
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
                graph_batch: self.largest_graph(),
                latent: self.model.is_latent(),
                exchanges: p.exchange(self.engine).is_some(),
                drafts: self.model.draft.is_some() || self.model.predicts,
                placed: self.limits.offload.ends_fitting(p.pp),
                encoder_size: self.model.encoder.filter(|_| self.sees()).map(EncoderSize::of_vit_large),
            };
            self.engine.default_fraction(self.gpu, launch)
        })
    }
}

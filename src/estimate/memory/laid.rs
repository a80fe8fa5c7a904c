//! What no limit on sequences changes of the memory under a split: counted once, it serves every launch of the split.

use super::cache::RankCache;
use super::question::MemoryQuestion;
use super::stages::{Spread, StageLayers};
use super::weights;
use crate::units::Bytes;

/// What lies where, the weights of each stage and what its layers keep of a sequence.
#[derive(Clone, Debug)]
pub struct Laid {
    spread: Spread,
    /// Of stages that hold the same on the same kind of GPU the first: its place among all.
    distinct: Vec<(usize, Resting, RankCache)>,
    in_all: Option<Bytes>,
}

/// Weights on a rank of a stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resting {
    /// Those that stay on its GPU.
    pub weights: Bytes,
    /// Room for those of a layer that are copied from the host when they are due.
    pub copied: Bytes,
}

impl Laid {
    pub(super) fn spread(&self) -> &Spread {
        &self.spread
    }

    /// The stages that differ, by their places, with what they hold.
    pub(super) fn distinct(&self) -> impl Iterator<Item = (usize, &StageLayers, &Resting, &RankCache)> {
        let stages = &self.spread.stages;
        self.distinct
            .iter()
            .filter_map(|(place, resting, cache)| Some((*place, stages.get(*place)?, resting, cache)))
    }

    /// What the engine asks for at the start of a request in the layers of all stages, where it counts those.
    pub(super) fn in_all(&self) -> Option<Bytes> {
        self.in_all
    }
}

impl MemoryQuestion<'_> {
    /// What no limit on sequences changes.
    pub fn laid(&self) -> Laid {
        let spread = self.spread();
        let of = |(place, stage): (usize, &StageLayers)| {
            (place, self.of_stage(place).resting(stage), self.cache(stage))
        };
        let distinct = self.distinct(&spread).map(of).collect();
        let in_all = self.request_of_all(&spread);
        Laid { spread, distinct, in_all }
    }

    /// What a rank of a stage holds of weights, whatever the lengths.
    pub(super) fn resting(&self, stage: &StageLayers) -> Resting {
        let offloaded = self.offloaded(stage);
        let weights = weights::on_rank(self, stage).saturating_sub(offloaded);
        let copied = match self.engine.memory.offloaded_copied {
            true => offloaded.min(weights::layer(self, stage)),
            false => Bytes::ZERO,
        };
        Resting { weights, copied }
    }

    /// The cache of a rank of a stage.
    pub(super) fn cache(&self, stage: &StageLayers) -> RankCache {
        RankCache::of(self, &stage.layers, stage.last)
    }
}

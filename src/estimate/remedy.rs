//! What would make a plan fit: the same memory with one thing changed.

use std::borrow::Cow;

use crate::catalog::Cluster;
use crate::dtype::{DType, WeightFormat};
use crate::model::Model;
use crate::plan::Parallelism;
use crate::units::Bytes;

use super::context::Context;
use super::memory::{MemoryUse, Verdict};

/// Most GPUs that are tried, as a multiple of the plan's.
const MOST: u64 = 4;

/// A change with which a plan fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Remedy {
    /// What is changed.
    pub change: String,
    /// The split then.
    pub parallelism: Parallelism,
    /// Memory then.
    pub memory: MemoryUse,
    /// Room that is left beside one request at full length.
    pub spare: Bytes,
}

impl Context<'_> {
    /// Single changes with which a split that does not fit fits, the least intrusive first: a narrower KV
    /// cache, narrower weights, a shorter context, another split of as many GPUs, more GPUs.
    pub fn remedies(&self, split: Parallelism) -> Vec<Remedy> {
        let mut found = Vec::new();
        let mut tried = |change: String, split, memory: MemoryUse| {
            if memory.verdict() != Verdict::DoesNotFit {
                let spare = memory.for_weights_and_cache.saturating_sub(memory.need());
                found.push(Remedy { change, parallelism: split, memory, spare });
            }
        };
        if self.kv.bits() > 8 && self.engine.kv_types.contains(&DType::Fp8) {
            let context = Context { kv: DType::Fp8, ..self.clone() };
            tried("an FP8 KV cache".into(), split, context.memory(split));
        }
        if let Some(model) = self.narrower() {
            let context = Context { model: Cow::Borrowed(&model), ..self.clone() };
            tried("FP8 weights".into(), split, context.memory(split));
        }
        let longest = self.memory_question(split).longest_context(1);
        if longest >= 2 && longest < self.workload.context() {
            let memory = self.memory_question(split).at_length(longest);
            tried(format!("a context of {longest} tokens"), split, memory);
        }
        if let Some((change, memory)) = self.in_host_memory(split) {
            tried(change, split, memory);
        }
        let gpus = split.gpus();
        let other = self.splits(gpus).into_iter().filter(|other| *other != split);
        if let Some((other, memory)) = self.first_that_fits(other) {
            tried("another split".into(), other, memory);
        }
        let more = (gpus + 1..=gpus.saturating_mul(MOST)).flat_map(|n| self.splits(n));
        if let Some((other, memory)) = self.first_that_fits(more) {
            tried(format!("{} GPUs", other.gpus()), other, memory);
        }
        found
    }

    /// What is best left in the host's memory, where the engine can and nothing is known of it; how fast that
    /// would be is not estimated.
    fn in_host_memory(&self, split: Parallelism) -> Option<(String, MemoryUse)> {
        let known = self.cluster.host.is_some() || self.limits.offload.is_placed();
        if self.engine.host.is_none() || known || !self.cluster.has_own_memory() {
            return None;
        }
        let question = self.memory_question(split);
        let offload = question.fitted(1)?;
        let memory = question.placed(offload).answer();
        let layers = self.model.layers();
        let held = memory.host.map_or(Bytes::ZERO, |host| host.weights);
        let change = match (offload.gpu_layers, offload.host_experts) {
            (Some(units), _) => {
                let own = units.saturating_sub(1);
                format!("{own} of {layers} layers on the GPUs, {held} in host memory (--gpu-layers {units})")
            }
            (None, n) => {
                let n = n.unwrap_or(0);
                format!("the experts of {n} of {layers} layers, {held}, in host memory (--n-cpu-moe {n})")
            }
        };
        Some((change, memory))
    }

    /// The model with FP8 weights, where that is narrower and the engine loads it.
    fn narrower(&self) -> Option<Model> {
        let wide = self.model.quantisation.main_format().element().bits() > 8;
        let loads = self.engine.weight_formats.contains(&WeightFormat::Fp8);
        (wide && loads).then(|| Model::clone(&self.model).with_weights(WeightFormat::Fp8))
    }

    /// Legal splits of so many GPUs, the widest tensor parallelism first.
    fn splits(&self, gpus: u64) -> Vec<Parallelism> {
        if self.cluster.spans_kinds() {
            return Vec::new();
        }
        let Ok(cluster) = u32::try_from(gpus).map(|n| Cluster::of_gpus(self.cluster.gpu.clone(), n)) else {
            return Vec::new();
        };
        let Ok(cluster) = cluster else { return Vec::new() };
        let context = Context { cluster: &cluster, ..self.clone() };
        let degrees = (1..=cluster.gpus).rev().filter(|tp| cluster.gpus.is_multiple_of(*tp));
        let splits = degrees.flat_map(|tp| {
            let plain = Parallelism { tp, pp: cluster.gpus / tp, ..Parallelism::SINGLE };
            [plain, Parallelism { ep: tp, ..plain }]
        });
        splits.filter(|split| context.check(*split).is_ok()).collect()
    }

    fn first_that_fits(
        &self,
        mut splits: impl Iterator<Item = Parallelism>,
    ) -> Option<(Parallelism, MemoryUse)> {
        splits.find_map(|split| {
            let memory = self.memory(split);
            (memory.verdict() == Verdict::Fits).then_some((split, memory))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use crate::estimate::context::ContextParts;
    use crate::estimate::memory::LimitOverrides;
    use crate::model::{Scope, find};
    use crate::workload::Workload;

    #[test]
    fn a_70b_on_one_h100_fits_by_narrower_weights_or_more_gpus() {
        let model = find("llama-3.1-70b", &[], Scope::Full).unwrap();
        let cluster = Cluster::of_gpus(catalog::gpu("h100-sxm").unwrap(), 1).unwrap();
        let engine = catalog::engine("vllm").unwrap();
        let context = Context::new(ContextParts {
            model: &model,
            cluster: &cluster,
            engine: &engine,
            limits: LimitOverrides::default(),
            kv: None,
            workload: Workload::new(2048, 512),
            electricity: None,
        })
        .unwrap();
        let remedies = context.remedies(Parallelism::SINGLE);
        let more = remedies.iter().find(|r| r.change.ends_with("GPUs")).unwrap();
        assert_eq!((more.parallelism.tp, more.memory.verdict()), (2, Verdict::Fits));
        assert!(remedies.iter().all(|r| r.memory.verdict() != Verdict::DoesNotFit));
        assert!(!remedies.iter().any(|r| r.change.contains("KV")), "no cache makes 131 GiB of weights fit");
    }
}

//! Which layers lie where: the stages of a pipeline, and the host.

use crate::catalog::Engine;
use crate::model::{LayerGroup, Model};
use crate::plan::Offload;

/// Layers of each group in each of `pp` equal stages.
pub fn stage_layers(model: &Model, pp: u32) -> Vec<Vec<u64>> {
    by_group(model, &even(model.layers(), pp))
}

/// Layers of each stage, as equal as they can be; what is left over goes to the stages before the last, from the back
/// (vLLM `distributed/utils.py::get_pp_indices`): the last one holds the head.
fn even(total: u64, pp: u32) -> Vec<u64> {
    let stages = u64::from(pp).clamp(1, total);
    let (base, rest) = (total / stages, total % stages);
    (0..stages).map(|stage| base + u64::from(stage + 1 < stages && stage + 1 + rest >= stages)).collect()
}

/// Layers of each group in each stage, of stages with so many layers.
fn by_group(model: &Model, sizes: &[u64]) -> Vec<Vec<u64>> {
    let total = model.layers();
    let mut group_of = vec![0usize; total as usize];
    for (g, group) in model.groups.iter().enumerate() {
        for layer in &group.layers {
            group_of[*layer as usize] = g;
        }
    }
    let mut start = 0usize;
    sizes
        .iter()
        .map(|size| {
            let end = start.saturating_add(*size as usize).min(group_of.len());
            let mut counts = vec![0u64; model.groups.len()];
            group_of[start..end].iter().for_each(|g| counts[*g] += 1);
            start = end;
            counts
        })
        .collect()
}

/// What lies on a rank of one stage, or in the host's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageLayers {
    /// Layers of each group of the model.
    pub layers: Vec<u64>,
    /// Those of them whose routed experts lie here too.
    pub experts: Vec<u64>,
    /// Whether it has the embedding.
    pub first: bool,
    /// Whether it has the output projection.
    pub last: bool,
}

impl StageLayers {
    /// Layers of all groups.
    pub fn count(&self) -> u64 {
        self.layers.iter().sum()
    }
}

/// The stages of a replica, and what is left with the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Stages, at least one.
    pub stages: Vec<StageLayers>,
    /// What the host's memory holds, if anything. `experts` counts those of layers on the GPUs too.
    pub host: Option<StageLayers>,
}

impl Spread {
    /// The stages with their places, of those that hold the same on the same kind of GPU the first.
    pub(super) fn distinct(
        &self,
        kind: impl Fn(usize) -> usize,
    ) -> impl Iterator<Item = (usize, &StageLayers)> {
        let stages = &self.stages;
        let is_new = move |(i, stage): &(usize, &StageLayers)| {
            !stages[..*i].iter().enumerate().any(|(j, known)| known == *stage && kind(j) == kind(*i))
        };
        stages.iter().enumerate().filter(is_new)
    }
}

/// How an engine deals a model out over `pp` stages.
pub fn spread(model: &Model, engine: &Engine, pp: u32, offload: &Offload) -> Spread {
    if engine.parallel.head_is_a_layer && (pp > 1 || offload.is_placed()) {
        return dealt_out(model, engine, pp, offload);
    }
    // As many layers as are named, one number a stage (`get_pp_indices` of vLLM and SGLang, `Mapping.pp_layers` of
    // TensorRT-LLM): `check` in `estimate/offload.rs` has compared them with the model.
    let named = offload.shares.and_then(|shares| shares.layers()).filter(|sizes| sizes.len() == pp as usize);
    let stages = by_group(model, &named.unwrap_or_else(|| even(model.layers(), pp)));
    let last = stages.len() - 1;
    let stage = |(i, layers): (usize, Vec<u64>)| StageLayers {
        experts: layers.clone(),
        layers,
        first: i == 0,
        last: i == last,
    };
    Spread { stages: stages.into_iter().enumerate().map(stage).collect(), host: None }
}

/// llama.cpp deals layers and output projection out over its GPUs, the first layers to the first, in
/// proportion; what comes before those that are on GPUs stays with the host (`src/llama-model.cpp`,
/// `load_tensors`). Before December 2025 the output projection went to a GPU only after all layers (pull
/// request 18148).
fn dealt_out(model: &Model, engine: &Engine, pp: u32, offload: &Offload) -> Spread {
    let layers = model.layers();
    let stages = u64::from(pp).clamp(1, layers);
    let units = offload.units_on_gpus(layers);
    // Units count from the first layer; the output projection is the last.
    let head_waits = engine.memory.output_last && units <= layers;
    let first = if head_waits { layers - units } else { layers + 1 - units };
    let stage_of = |unit: u64| {
        let on_gpu = unit >= first && unit - first < units;
        on_gpu.then(|| match &offload.shares {
            Some(shares) => shares.gpu_at((unit - first) as f64 / units as f64),
            None => ((unit - first) * stages / units) as usize,
        })
    };
    let empty = || StageLayers {
        layers: vec![0; model.groups.len()],
        experts: vec![0; model.groups.len()],
        ..StageLayers::default()
    };
    let mut on_gpus: Vec<StageLayers> = (0..stages).map(|_| empty()).collect();
    let mut host = empty();
    let with_host = offload.host_experts.unwrap_or(0);
    for (g, group) in model.groups.iter().enumerate() {
        for layer in &group.layers {
            let stage = stage_of(u64::from(*layer)).and_then(|stage| on_gpus.get_mut(stage));
            match stage {
                Some(stage) => {
                    stage.layers[g] += 1;
                    let experts = if u64::from(*layer) < with_host { &mut host } else { stage };
                    experts.experts[g] += 1;
                }
                None => {
                    host.layers[g] += 1;
                    host.experts[g] += 1;
                }
            }
        }
    }
    on_gpus[0].first = true;
    match stage_of(layers).and_then(|stage| on_gpus.get_mut(stage)) {
        Some(stage) => stage.last = true,
        None => host.last = true,
    }
    let holds = host.count() > 0 || host.last || routed(model, &host);
    Spread { stages: on_gpus, host: holds.then_some(host) }
}

/// Whether a part holds routed experts.
fn routed(model: &Model, part: &StageLayers) -> bool {
    let has = |group: &LayerGroup| group.routes();
    model.groups.iter().zip(&part.experts).any(|(group, n)| *n > 0 && has(group))
}

//! Memory of a whole model on one device: parameters and cache, or the states of training.

use super::{Breakdown, Mode, Setting};
use crate::dtype::DType;
use crate::model::{Component, Model};
use crate::units::Bytes;

/// Memory of one component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPart {
    /// Weights: stored, or in training as computed with.
    pub weights: Bytes,
    /// Gradients.
    pub gradients: Bytes,
    /// Adam's FP32 copy, mean and variance.
    pub optimizer: Bytes,
    /// KV cache and recurrent state.
    pub cache: Bytes,
    /// Activations: kept for the backward pass; when serving, those of the largest kernel.
    pub activations: Bytes,
}

impl MemoryPart {
    /// All of it.
    pub fn total(&self) -> Bytes {
        self.weights + self.gradients + self.optimizer + self.cache + self.activations
    }
}

/// Bytes per parameter of weights, gradients and optimizer: mixed precision with Adam takes 2 + 2 + 12
/// (Rajbhandari et al. 2020, ZeRO, §3.1), FP32 4 + 4 + 8.
const fn states(dtype: DType) -> (u64, u64, u64) {
    match dtype {
        DType::Fp32 => (4, 4, 8),
        _ => (2, 2, 12),
    }
}

/// Memory by component, and in all. When serving, activations live only while their kernel runs: of the
/// components' the largest counts in the total. In training those of all layers are kept.
pub fn memory_parts(
    model: &Model,
    setting: &Setting,
    breakdown: &Breakdown,
) -> (Vec<(Component, MemoryPart)>, MemoryPart) {
    let training = setting.mode == Mode::Pretrain;
    let count = model.parameters().unwrap_or_default();
    let stored: Vec<(Component, Bytes)> = model.stored_by_component().collect();
    let (weights, gradients, optimizer) = states(setting.activations);
    let state = model.state_bytes_per_sequence() * setting.batch;
    let cached = model.cache_bytes(setting.kv, setting.tokens) * setting.batch;
    let part = |(component, bytes): (Component, Bytes)| {
        let of = breakdown.parts.iter().filter(|p| p.component == component);
        let n = count.of(component);
        let part = if training {
            let activations = Bytes::ceil(of.map(|p| p.saved.get()).sum());
            let each = |bytes| Bytes::new(n) * bytes;
            MemoryPart {
                weights: each(weights),
                gradients: each(gradients),
                optimizer: each(optimizer),
                cache: Bytes::ZERO,
                activations,
            }
        } else {
            let activations = Bytes::ceil(of.map(|p| p.live.get()).fold(0.0, f64::max));
            let cache = match component {
                Component::Attention => cached.saturating_sub(state),
                Component::Ssm => state,
                _ => Bytes::ZERO,
            };
            MemoryPart { weights: bytes, cache, activations, ..MemoryPart::default() }
        };
        (component, part)
    };
    let parts: Vec<(Component, MemoryPart)> =
        stored.into_iter().map(part).filter(|(_, p)| p.total() > Bytes::ZERO).collect();
    let mut total = MemoryPart::default();
    for (_, p) in &parts {
        total.weights += p.weights;
        total.gradients += p.gradients;
        total.optimizer += p.optimizer;
        total.cache += p.cache;
        total.activations =
            if training { total.activations + p.activations } else { total.activations.max(p.activations) };
    }
    (parts, total)
}

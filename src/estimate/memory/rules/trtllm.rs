//! TensorRT-LLM's fraction: of what is free after loading and a trial step, for the KV cache alone
//! (`_torch/pyexecutor/_util.py`, `configure_kv_cache_capacity`, 1.1).

use super::beside::Beside;
use crate::estimate::memory::question::MemoryQuestion;
use crate::estimate::memory::used::MemoryUse;
use crate::units::Bytes;

/// What weights and KV cache may take together.
pub(in crate::estimate::memory) fn usable(q: &MemoryQuestion, beside: &Beside) -> Bytes {
    let free = q.gpu.memory.saturating_sub(beside.non_torch);
    let after_load = free.saturating_sub(beside.activations + beside.cuda_graphs + beside.weights);
    (beside.weights + after_load.scaled(q.fraction())).min(free)
}

/// What the fraction must cover, of what, and the most.
pub(in crate::estimate::memory) fn fraction_needed(m: &MemoryUse) -> (Bytes, Bytes, Bytes) {
    let free = m.capacity.saturating_sub(m.non_torch);
    let left = free.saturating_sub(m.activations + m.cuda_graphs + m.weights);
    (m.per_request, left, left)
}

//! How each engine divides a GPU's memory, lays out its KV cache and refuses to start: a file for each, after its own
//! accounting.

mod beside;
pub(super) mod llama_cpp;
pub(super) mod sglang;
pub(super) mod trtllm;
pub(super) mod vllm;

pub(super) use beside::Beside;

use super::question::MemoryQuestion;
use super::used::MemoryUse;
use crate::catalog::engine::FractionOf;
use crate::units::Bytes;

/// What weights and KV cache may take together, by the engine's rule; where the cache is stated in bytes these, as far
/// as the GPU has them.
pub(super) fn usable(q: &MemoryQuestion, beside: &Beside) -> Bytes {
    if let Some(cache) = q.limits.start.cache {
        let around = beside.activations + beside.non_torch + beside.cuda_graphs;
        return (beside.weights + cache).min(q.gpu.memory.saturating_sub(around));
    }
    match q.engine.memory.fraction_of {
        FractionOf::Total => vllm::usable(q, beside),
        FractionOf::Static => sglang::usable(q, beside),
        FractionOf::FreeAfterLoad => trtllm::usable(q, beside),
    }
}

/// What is left for CUDA graphs that are captured after the cache is laid out, and not inside the fraction.
pub(super) fn left_for_graphs(q: &MemoryQuestion, beside: &Beside, usable: Bytes) -> Option<Bytes> {
    match q.engine.memory.fraction_of {
        FractionOf::Total => vllm::left_for_graphs(q, beside, usable),
        // SGLang's and TensorRT-LLM's rules leave it to them.
        FractionOf::Static | FractionOf::FreeAfterLoad => None,
    }
}

/// What a fraction must cover for one request beside the weights, of what it is taken, and the most that it may cover.
pub(super) fn fraction_needed(q: &MemoryQuestion, m: &MemoryUse) -> (Bytes, Bytes, Bytes) {
    match q.engine.memory.fraction_of {
        FractionOf::Total => vllm::fraction_needed(q, m),
        FractionOf::Static => sglang::fraction_needed(m),
        FractionOf::FreeAfterLoad => trtllm::fraction_needed(m),
    }
}

//! TensorRT-LLM: both backends print what is free before the pool and what the pool takes.

use super::{StartLog, degree_after, first, gib, number_after, whole_after, word_after};

const MIB_IN_GIB: f64 = 1024.0;

/// Takes what a line says.
pub(super) fn line(log: &mut StartLog, line: &str) {
    if let Some(version) =
        word_after(line, "TensorRT-LLM version:").or_else(|| word_after(line, "TensorRT LLM version:"))
    {
        first(&mut log.version, Some(version));
    }
    if line.contains("pyexecutor") || line.contains("PyExecutor") || line.contains("backend='pytorch'") {
        log.backend = Some("pytorch");
    }
    let size = |mark: &str| number_after(line, mark).map(|mib| mib / MIB_IN_GIB);
    first(&mut log.weights, size("Loaded engine size:"));
    if line.contains("Memory usage when calculating max tokens") {
        first(&mut log.total, gib(number_after(line, "total:")));
    }
    if let Some((head, rest)) = line.split_once("for max tokens in paged KV cache") {
        first(&mut log.kv_cache, number_after(head, "Allocated"));
        first(&mut log.tokens, whole_after(rest, "("));
    }
    if let Some(bytes) =
        line.split_once("bytes for k/v cache").and_then(|(head, _)| number_after(head, "Allocate"))
    {
        first(&mut log.kv_cache, Some(bytes / (1u64 << 30) as f64));
    }
    if line.contains("tokens in paged KV cache") {
        first(&mut log.tokens, whole_after(line, "Using"));
    }
    first(&mut log.fraction, number_after(line, "free_gpu_memory_fraction="));
    first(&mut log.fraction, number_after(line, "kv_cache_free_gpu_mem_fraction:"));
    first(&mut log.tp, degree_after(line, "tensor_parallel_size="));
    first(&mut log.pp, degree_after(line, "pipeline_parallel_size="));
    first(
        &mut log.max_sequences,
        whole_after(line, "TRTGptModel maxNumSequences:").or_else(|| whole_after(line, "max_batch_size=")),
    );
    first(
        &mut log.max_batched_tokens,
        whole_after(line, "TRTGptModel maxNumTokens:").or_else(|| whole_after(line, "max_num_tokens=")),
    );
    first(
        &mut log.max_model_len,
        whole_after(line, "TRTGptModel maxSequenceLen:").or_else(|| whole_after(line, "max_seq_len=")),
    );
}

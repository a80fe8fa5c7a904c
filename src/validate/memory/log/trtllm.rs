//! TensorRT-LLM: both backends print what is free before the pool and what the pool takes.

use super::start::{StartLog, degree_after, first, gib, number_after, whole_after, word_after};

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
    profile(log, line);
    // The PyTorch backend makes a small pool for its profile first: the last one counts.
    if let Some((head, rest)) = line.split_once("for max tokens in paged KV cache") {
        log.kv_cache = number_after(head, "Allocated").or(log.kv_cache);
        log.tokens = whole_after(rest, "(").or(log.tokens);
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
    let longest =
        whole_after(line, "TRTGptModel maxSequenceLen:").or_else(|| whole_after(line, "max_seq_len="));
    log.max_model_len = longest.or(log.max_model_len);
}

/// What the PyTorch backend measures before it makes the pool (`_torch/pyexecutor/_util.py`).
fn profile(log: &mut StartLog, line: &str) {
    let Some((what, size)) = line.split_once("in memory usage profiling:") else {
        if line.contains("Peak memory during memory usage profiling") {
            first(&mut log.fraction, number_after(line, "fraction is set"));
            first(&mut log.total, gib(number_after(line, "device total memory")));
        }
        return;
    };
    log.backend = Some("pytorch");
    let size = number_after(size, "");
    if what.contains("loading model weights (inside torch)") {
        first(&mut log.weights, size);
    } else if what.contains("loading model weights (outside torch)") {
        first(&mut log.non_torch, size);
    } else if what.contains("dynamically allocated during inference") {
        first(&mut log.activations, size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pytorch_backend_says_what_it_measured_and_makes_its_pool_twice() {
        // gpt-oss-120b on a DGX Spark, December 2025.
        let text = "[TensorRT-LLM][INFO] [MemUsageChange] Allocated 0.56 GiB for max tokens in paged KV cache (8224).
[TRT-LLM] [I] Memory used after loading model weights (inside torch) in memory usage profiling: 63.52 GiB
[TRT-LLM] [I] Memory dynamically allocated during inference (inside torch) in memory usage profiling: 0.85 GiB
[TRT-LLM] [I] Peak memory during memory usage profiling (torch + non-torch): 113.65 GiB, available KV cache memory when calculating max tokens: 5.95 GiB, fraction is set 0.8999999761581421, kv size is 73728. device total memory 119.70 GiB
[TensorRT-LLM][INFO] [MemUsageChange] Allocated 5.95 GiB for max tokens in paged KV cache (86720).";
        let mut log = StartLog::default();
        text.lines().for_each(|text| line(&mut log, text));
        assert_eq!((log.weights, log.activations, log.kv_cache), (Some(63.52), Some(0.85), Some(5.95)));
        assert_eq!((log.tokens, log.total, log.backend), (Some(86_720), gib(Some(119.7)), Some("pytorch")));
        assert!((log.fraction.unwrap() - 0.9).abs() < 1e-6);
    }
}

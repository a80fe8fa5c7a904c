//! vLLM: the V0 engine's profile, the V1 engine's, and what newer ones print of its parts.

use super::start::{
    StartLog, degree_after, first, gib, number_after, number_before, whole_after, word_after,
};
/// Tokens of a block unless the log says otherwise.
const BLOCK: u64 = 16;

/// Takes what a line says.
pub(super) fn line(log: &mut StartLog, line: &str) {
    launch(log, line);
    sizes(log, line);
    cache(log, line);
}

fn launch(log: &mut StartLog, line: &str) {
    if let Some(version) =
        word_after(line, "LLM engine (v").or_else(|| word_after(line, "API server version"))
    {
        first(&mut log.version, Some(version));
    }
    if line.contains("V0 LLM engine") || line.contains("PyTorch activation peak memory") {
        log.backend = Some("v0");
    }
    // Both ways of printing the arguments: Namespace(key=value) and {'key': value}.
    let settings = line.contains("with config: ") || line.contains("args: ") || line.contains("Namespace(");
    if settings {
        let either =
            |key: &str| [format!("{key}="), format!("'{key}': ")].into_iter().find(|k| line.contains(k));
        let whole = |key: &str| whole_after(line, &either(key)?);
        let degree = |key: &str| degree_after(line, &either(key)?);
        first(&mut log.model, either("model").and_then(|k| word_after(line, &k)));
        first(&mut log.tp, degree("tensor_parallel_size"));
        first(&mut log.pp, degree("pipeline_parallel_size"));
        first(&mut log.attention_dp, degree("data_parallel_size"));
        first(&mut log.max_model_len, whole("max_seq_len").or_else(|| whole("max_model_len")));
        first(&mut log.max_sequences, whole("max_num_seqs"));
        first(&mut log.max_batched_tokens, whole("max_num_batched_tokens"));
        first(&mut log.fraction, either("gpu_memory_utilization").and_then(|k| number_after(line, &k)));
        let kv = either("kv_cache_dtype").and_then(|k| word_after(line, &k)).filter(|kv| kv != "auto");
        first(&mut log.kv, kv);
        log.eager |= either("enforce_eager").and_then(|k| word_after(line, &k)).as_deref() == Some("True");
    }
    first(&mut log.max_batched_tokens, whole_after(line, "enabled with max_num_batched_tokens="));
    first(&mut log.total, gib(number_after(line, "total_gpu_memory")));
    first(
        &mut log.fraction,
        number_after(line, "gpu_memory_utilization (")
            .or_else(|| number_after(line, "gpu_memory_utilization=")),
    );
    if let Some((_, rest)) = line.split_once("Free memory on device") {
        first(&mut log.total, gib(number_after(rest, "/")));
    }
}

fn sizes(log: &mut StartLog, line: &str) {
    // The budget is the tokens of a step, or of the largest image where that has more: told once the engine is up, after
    // what it was started with.
    first(&mut log.max_batched_tokens, whole_after(line, "initialized with a budget of"));
    let after = |mark| number_after(line, mark);
    let weights = after("Model loading took")
        .or_else(|| after("model weights take"))
        .or_else(|| after("Loading model weights took"))
        .or_else(|| after("weights memory:"))
        .or_else(|| number_before(line, " GiB for weight"));
    first(&mut log.weights, weights);
    let activations = after("activation peak memory takes")
        .or_else(|| after("torch peak memory increase:"))
        .or_else(|| number_before(line, " GiB for peak activation"));
    first(&mut log.activations, activations);
    let non_torch = after("non_torch_memory takes")
        .or_else(|| after("non-torch forward increase memory:"))
        .or_else(|| number_before(line, " GiB for non-torch"))
        .or_else(|| after("non_torch_memory="));
    first(&mut log.non_torch, non_torch);
    // What newer versions print as consumed is weights and the rest together.
    let consumed = number_before(line, " GiB for consumed memory");
    first(&mut log.non_torch, consumed.zip(log.weights).map(|(all, weights)| all - weights));
    let graphs = number_before(line, " GiB for CUDAGraph").or_else(|| {
        line.split_once("Graph capturing finished").and_then(|(_, rest)| number_after(rest, "took"))
    });
    first(&mut log.cuda_graphs, graphs);
}

fn cache(log: &mut StartLog, line: &str) {
    let after = |mark| number_after(line, mark);
    let cache = after("Available KV cache memory:")
        .or_else(|| after("reserved for KV Cache is"))
        .or_else(|| after("kv_cache_size="));
    first(&mut log.kv_cache, cache);
    let blocks = whole_after(line, "# GPU blocks:").or_else(|| whole_after(line, "# cuda blocks:"));
    let tokens = whole_after(line, "GPU KV cache size:").or(blocks.and_then(|n| n.checked_mul(BLOCK)));
    first(&mut log.tokens, tokens);
    first(&mut log.max_model_len, whole_after(line, "Maximum concurrency for"));
}

//! SGLang: the server's arguments, free memory before and after the weights, the pool.

use super::{StartLog, degree_after, first, number_after, whole_after, word_after};

/// Takes what a line says.
pub(super) fn line(log: &mut StartLog, line: &str) {
    if line.contains("ServerArgs(") {
        arguments(log, line);
    }
    first(&mut log.version, word_after(line, "sglang version").or_else(|| word_after(line, "sglang==")));
    if line.contains("Load weight end") {
        first(&mut log.weights, number_after(line, "mem usage="));
    }
    if line.contains("KV Cache is allocated") {
        first(&mut log.tokens, whole_after(line, "#tokens:"));
        let halves = number_after(line, "K size:").zip(number_after(line, "V size:")).map(|(k, v)| k + v);
        first(&mut log.kv_cache, halves.or_else(|| number_after(line, "KV size:")));
    }
    let captured = line.contains("Capture cuda graph end") || line.contains("Capture CUDA graph end");
    if captured {
        first(&mut log.cuda_graphs, number_after(line, "mem usage="));
    }
    if line.contains("max_total_num_tokens=") {
        first(&mut log.tokens, whole_after(line, "max_total_num_tokens="));
        first(&mut log.max_model_len, whole_after(line, "context_len="));
        first(&mut log.max_sequences, whole_after(line, "max_running_requests="));
    }
}

fn arguments(log: &mut StartLog, line: &str) {
    first(&mut log.model, word_after(line, "model_path="));
    first(&mut log.tp, degree_after(line, "tp_size="));
    first(&mut log.pp, degree_after(line, "pp_size="));
    first(&mut log.ep, degree_after(line, "ep_size="));
    if line.contains("enable_dp_attention=True") {
        first(&mut log.attention_dp, degree_after(line, "dp_size="));
    }
    first(&mut log.fraction, number_after(line, "mem_fraction_static="));
    first(&mut log.max_batched_tokens, whole_after(line, "chunked_prefill_size="));
    first(&mut log.max_model_len, whole_after(line, "context_length="));
    first(&mut log.kv, word_after(line, "kv_cache_dtype=").filter(|kv| kv != "auto"));
    log.eager |= line.contains("disable_cuda_graph=True");
}

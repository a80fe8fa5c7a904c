//! SGLang: the server's arguments, free memory before and after the weights, the pool.

use super::start::{StartLog, degree_after, first, number_after, whole_after, word_after};

/// Takes what a line says.
pub(super) fn line(log: &mut StartLog, line: &str) {
    if line.contains("ServerArgs(") || line.contains("server_args={") {
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
    let captured = ["Capture cuda graph end", "Capture CUDA graph end", "decode CUDA graph end"];
    if captured.iter().any(|mark| line.contains(mark)) {
        first(&mut log.cuda_graphs, number_after(line, "mem usage="));
    }
    if line.contains("max_total_num_tokens=") {
        first(&mut log.tokens, whole_after(line, "max_total_num_tokens="));
        first(&mut log.max_model_len, whole_after(line, "context_len="));
        first(&mut log.max_sequences, whole_after(line, "max_running_requests="));
    }
}

/// The arguments as `key=value`, or as newer servers print them, `'key': value`.
fn arguments(log: &mut StartLog, line: &str) {
    let either = |key: &str| [format!("{key}="), format!("'{key}': ")].into_iter().find(|k| line.contains(k));
    let word = |key: &str| word_after(line, &either(key)?);
    let whole = |key: &str| whole_after(line, &either(key)?);
    let degree = |key: &str| degree_after(line, &either(key)?);
    let is_set = |key: &str| word(key).as_deref() == Some("True");
    first(&mut log.model, word("model_path"));
    first(&mut log.tp, degree("tp_size"));
    first(&mut log.pp, degree("pp_size"));
    first(&mut log.ep, degree("ep_size"));
    if is_set("enable_dp_attention") {
        first(&mut log.attention_dp, either("dp_size").and_then(|k| degree_after(line, &k)));
    }
    first(&mut log.fraction, either("mem_fraction_static").and_then(|k| number_after(line, &k)));
    first(&mut log.max_batched_tokens, whole("chunked_prefill_size"));
    first(&mut log.max_model_len, whole("context_length"));
    first(&mut log.kv, word("kv_cache_dtype").filter(|kv| kv != "auto"));
    log.eager |= is_set("disable_cuda_graph");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_in_both_forms() {
        let read = |text: &str| {
            let mut log = StartLog::default();
            line(&mut log, text);
            (log.model, log.tp, log.fraction, log.max_batched_tokens, log.kv, log.eager)
        };
        let old = "server_args=ServerArgs(model_path='a/b', mem_fraction_static=0.88, chunked_prefill_size=8192, tp_size=2, \
                   kv_cache_dtype='fp8_e4m3', disable_cuda_graph=True)";
        let new = "server_args={'model_path': 'a/b', 'tp_size': 2, 'kv_cache_dtype': 'fp8_e4m3', \
                   'mem_fraction_static': 0.88, 'chunked_prefill_size': 8192, 'disable_cuda_graph': True}";
        assert_eq!(read(old), read(new));
        let said =
            (Some("a/b".to_owned()), Some(2), Some(0.88), Some(8192), Some("fp8_e4m3".to_owned()), true);
        assert_eq!(read(new), said);
    }
}

//! Start-up logs of servers: what they say of the launch, and where the memory went.

mod sglang;
mod start;
mod trtllm;
mod vllm;

pub use start::StartLog;

impl StartLog {
    /// Reads a log, line by line. Lines that say nothing of memory are skipped; of several ranks the first
    /// to speak counts.
    pub fn read(text: &str) -> StartLog {
        let mut log = StartLog { engine: engine(text), ..StartLog::default() };
        for line in text.lines() {
            match log.engine {
                Some("sglang") => sglang::line(&mut log, line),
                Some("trtllm") => trtllm::line(&mut log, line),
                _ => vllm::line(&mut log, line),
            }
        }
        log
    }

    /// Whether it names a size to compare with.
    pub fn measures(&self) -> bool {
        let sizes = [self.weights, self.activations, self.non_torch, self.cuda_graphs, self.kv_cache];
        sizes.iter().any(Option::is_some) || self.tokens.is_some()
    }
}

/// The engine that writes such lines.
fn engine(text: &str) -> Option<&'static str> {
    let any = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
    if any(&["[TensorRT-LLM]", "[TRT-LLM]", "paged KV cache"]) {
        Some("trtllm")
    } else if any(&[
        "server_args=ServerArgs",
        "Load weight end",
        "KV Cache is allocated",
        "max_total_num_tokens=",
    ]) {
        Some("sglang")
    } else if any(&["vLLM", "vllm", "LLM engine (v", "GPU KV cache size", "# GPU blocks", "gpu_worker"]) {
        Some("vllm")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::start::{number_after, number_before, word_after};
    use super::*;

    #[test]
    fn numbers_are_read_around_their_marks() {
        assert_eq!(number_after("GPU KV cache size: 296,400 tokens", "size:"), Some(296_400.0));
        assert_eq!(number_after("tp_size=4, x", "tp_size="), Some(4.0));
        assert_eq!(
            number_before("usage is 14.08 GiB for weight, 1.97 GiB for peak", " GiB for peak"),
            Some(1.97)
        );
        assert_eq!(word_after("model='a/b', x", "model=").as_deref(), Some("a/b"));
        assert_eq!(word_after("kv=None,", "kv="), None);
        assert_eq!(number_after("Available KV cache memory: -2.28 GiB", "memory:"), Some(-2.28));
    }

    #[test]
    fn the_encoders_budget_tells_the_tokens_of_a_step_where_nothing_else_does() {
        let budget = "Encoder cache will be initialized with a budget of 16384 tokens, and profiled with 5 image items";
        let read = |first: &str| {
            StartLog::read(&format!("Initializing a V1 LLM engine (v0.10.2)\n{first}\n{budget}"))
                .max_batched_tokens
        };
        assert_eq!(read(""), Some(16_384));
        assert_eq!(read("Chunked prefill is enabled with max_num_batched_tokens=8192."), Some(8192));
    }

    #[test]
    fn anything_may_stand_in_a_log() {
        for text in ["", "size:", "GPU KV cache size: tokens\n\u{1F600} GiB", "model='", "€ GiB for weight"]
        {
            let log = StartLog::read(text);
            assert!(!log.measures(), "{text}");
        }
    }
}

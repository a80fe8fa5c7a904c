//! Start-up logs of servers: what they say of the launch, and where the memory went.

mod sglang;
mod trtllm;
mod vllm;

use crate::units::Bytes;

/// What a log says. Sizes are GiB: engines print `GiB` and `GB` alike for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartLog {
    /// Engine, by its catalogue name.
    pub engine: Option<&'static str>,
    /// Its version, as printed.
    pub version: Option<String>,
    /// Backend, where a version has several.
    pub backend: Option<&'static str>,
    /// Model, as given to the server.
    pub model: Option<String>,
    /// Tensor-parallel degree.
    pub tp: Option<u32>,
    /// Pipeline stages.
    pub pp: Option<u32>,
    /// Expert-parallel degree.
    pub ep: Option<u32>,
    /// Attention-data-parallel degree.
    pub attention_dp: Option<u32>,
    /// Longest context.
    pub max_model_len: Option<u64>,
    /// Sequences in one batch.
    pub max_sequences: Option<u64>,
    /// Tokens in one step.
    pub max_batched_tokens: Option<u64>,
    /// Memory fraction.
    pub fraction: Option<f64>,
    /// Type of the KV cache, where it is not the engine's default.
    pub kv: Option<String>,
    /// Whether CUDA graphs are off.
    pub eager: bool,
    /// Memory of the GPU.
    pub total: Option<Bytes>,
    /// Weights.
    pub weights: Option<f64>,
    /// Activation peak.
    pub activations: Option<f64>,
    /// Context, libraries, communication buffers.
    pub non_torch: Option<f64>,
    /// CUDA graphs.
    pub cuda_graphs: Option<f64>,
    /// KV cache.
    pub kv_cache: Option<f64>,
    /// Tokens that it holds.
    pub tokens: Option<u64>,
}

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

/// Sets a value that no earlier line has set.
fn first<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

/// The number that follows a mark, thousands separated or not.
fn number_after(line: &str, mark: &str) -> Option<f64> {
    let rest = &line[line.find(mark)? + mark.len()..];
    number(rest.trim_start_matches([' ', '(', '\'', '"', ':', '=']))
}

/// The number at the start of a text.
fn number(text: &str) -> Option<f64> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '-'))).unwrap_or(text.len());
    let digits: String = text[..end].trim_end_matches(['.', ',']).chars().filter(|c| *c != ',').collect();
    digits.parse().ok().filter(|x: &f64| x.is_finite())
}

/// The memory of a GPU, if it can be one.
fn gib(number: Option<f64>) -> Option<Bytes> {
    number.filter(|x| (0.1..1e5).contains(x)).map(Bytes::gib)
}

/// The same as a whole number.
fn whole_after(line: &str, mark: &str) -> Option<u64> {
    number_after(line, mark).filter(|x| *x >= 1.0).map(|x| x as u64)
}

/// A parallel degree.
fn degree_after(line: &str, mark: &str) -> Option<u32> {
    whole_after(line, mark).and_then(|n| u32::try_from(n).ok())
}

/// The number before a mark: `5.68 GiB for weight`.
fn number_before(line: &str, mark: &str) -> Option<f64> {
    let head = line[..line.find(mark)?].trim_end();
    let start = head.rfind(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(0, |i| i + 1);
    head.get(start..)?.parse().ok()
}

/// The word that follows a mark, quotes and brackets taken off.
fn word_after(line: &str, mark: &str) -> Option<String> {
    let rest = line[line.find(mark)? + mark.len()..].trim_start_matches([' ', '\'', '"', ':', '=']);
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | '\'' | '"' | ')' | '}' | '('))
        .unwrap_or(rest.len());
    Some(rest[..end].to_owned()).filter(|word| !word.is_empty() && word != "None")
}

#[cfg(test)]
mod tests {
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

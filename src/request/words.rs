//! What engines, benchmarks and people call our options: one table, from which the command line takes its other
//! spellings, a request its other keys, and the glossary its rows.
//!
//! A word stands here only where it means what our option means. One that means something else under some engine is
//! in [`super::meanings`]: it is answered with what to say, never guessed.

use itertools::Itertools as _;

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// vLLM and `vllm bench serve`.
    Vllm,
    /// SGLang and its `bench_serving`.
    Sglang,
    /// TensorRT-LLM and `trtllm-bench`.
    Trtllm,
    /// llama.cpp.
    LlamaCpp,
    /// Megatron-LM.
    Megatron,
}

impl Speaker {
    /// Every one, in the order of the glossary.
    pub const ALL: [Speaker; 5] =
        [Speaker::Vllm, Speaker::Sglang, Speaker::Trtllm, Speaker::LlamaCpp, Speaker::Megatron];

    /// Name, as its project writes it.
    pub fn name(self) -> &'static str {
        match self {
            Speaker::Vllm => "vLLM",
            Speaker::Sglang => "SGLang",
            Speaker::Trtllm => "TensorRT-LLM",
            Speaker::LlamaCpp => "llama.cpp",
            Speaker::Megatron => "Megatron-LM",
        }
    }
}

use Speaker::{LlamaCpp, Megatron, Sglang, Trtllm, Vllm};

/// An option of ours, and its other names.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// Our long option, without dashes.
    pub option: &'static str,
    /// What engines call it: shown in `--help` and the glossary.
    pub engines: &'static [(Speaker, &'static str)],
    /// What others call it; words of one dash are whole (`-tp`).
    pub others: &'static [&'static str],
}

impl Word {
    /// The engines' words that are not ours, each once.
    pub fn spoken(&self) -> impl Iterator<Item = &'static str> {
        self.engines.iter().map(|(_, name)| *name).filter(|name| *name != self.option).unique()
    }
}

const fn word(
    option: &'static str,
    engines: &'static [(Speaker, &'static str)],
    others: &'static [&'static str],
) -> Word {
    Word { option, engines, others }
}

/// Every option that has other names.
pub const WORDS: &[Word] = &[
    // Degrees.
    word(
        "tp",
        &[
            (Vllm, "tensor-parallel-size"),
            (Sglang, "tp-size"),
            (Trtllm, "tp-size"),
            (Megatron, "tensor-model-parallel-size"),
        ],
        &["-tp", "tensor-parallel"],
    ),
    word(
        "pp",
        &[
            (Vllm, "pipeline-parallel-size"),
            (Sglang, "pp-size"),
            (Trtllm, "pp-size"),
            (Megatron, "pipeline-model-parallel-size"),
        ],
        &["-pp", "pipeline-parallel"],
    ),
    word(
        "ep",
        &[(Sglang, "ep-size"), (Trtllm, "ep-size"), (Megatron, "expert-model-parallel-size")],
        &["-ep", "expert-parallel", "expert-parallel-size", "moe-expert-parallel-size", "moe-ep-size"],
    ),
    word("attention-dp", &[(Sglang, "attn-dp-size")], &["attention-data-parallel"]),
    word("dcp", &[(Vllm, "decode-context-parallel-size")], &["-dcp", "decode-context-parallel"]),
    word("cp", &[(Megatron, "context-parallel-size")], &["-cp", "context-parallel"]),
    // Limits of a server.
    word(
        "max-sequences",
        &[
            (Vllm, "max-num-seqs"),
            (Sglang, "max-running-requests"),
            (Trtllm, "max-batch-size"),
            (LlamaCpp, "parallel"),
        ],
        &["-np", "max-seqs"],
    ),
    word(
        "max-batched-tokens",
        &[(Vllm, "max-num-batched-tokens"), (Sglang, "chunked-prefill-size"), (Trtllm, "max-num-tokens")],
        &["max-prefill-tokens"],
    ),
    word(
        "memory-fraction",
        &[
            (Vllm, "gpu-memory-utilization"),
            (Sglang, "mem-fraction-static"),
            (Trtllm, "kv-cache-free-gpu-mem-fraction"),
        ],
        &[
            "kv-cache-free-gpu-memory-fraction",
            "free-gpu-memory-fraction",
            "gpu-memory-util",
            "gpu-mem-util",
            "mem-fraction",
        ],
    ),
    word(
        "max-model-len",
        &[
            (Vllm, "max-model-len"),
            (Sglang, "context-length"),
            (Trtllm, "max-seq-len"),
            (LlamaCpp, "ctx-size"),
        ],
        &["-c", "max-context", "num-ctx"],
    ),
    word("enforce-eager", &[(Vllm, "enforce-eager"), (Sglang, "disable-cuda-graph")], &["eager"]),
    word(
        "max-cudagraph-capture-size",
        &[(Vllm, "max-cudagraph-capture-size"), (Sglang, "cuda-graph-max-bs")],
        &["cuda-graph-max-bs-decode", "cuda-graph-sizes"],
    ),
    word("cpu-offload-gb", &[(Vllm, "cpu-offload-gb"), (Sglang, "cpu-offload-gb")], &["cpu-offload"]),
    word("block-size", &[(Vllm, "block-size"), (Sglang, "page-size"), (Trtllm, "tokens-per-block")], &[]),
    word("enable-prefix-caching", &[(Vllm, "enable-prefix-caching")], &["prefix-caching", "prefix-cache"]),
    word(
        "no-enable-prefix-caching",
        &[(Vllm, "no-enable-prefix-caching"), (Sglang, "disable-radix-cache")],
        &["no-prefix-caching"],
    ),
    word("redundant-experts", &[(Vllm, "num-redundant-experts"), (Sglang, "ep-num-redundant-experts")], &[]),
    // Formats.
    word(
        "weights",
        &[(Vllm, "quantization"), (Sglang, "quantization")],
        &["quant", "weight-format", "weights-dtype", "quantize", "weight-dtype"],
    ),
    word(
        "kv",
        &[
            (Vllm, "kv-cache-dtype"),
            (Sglang, "kv-cache-dtype"),
            (Trtllm, "kv-cache-dtype"),
            (LlamaCpp, "cache-type-k"),
        ],
        &["-ctk", "kv-dtype", "kv-cache", "cache-dtype"],
    ),
    // What stays with the host.
    word("gpu-layers", &[(LlamaCpp, "n-gpu-layers")], &["-ngl"]),
    word("n-cpu-moe", &[(LlamaCpp, "n-cpu-moe")], &["-ncmoe"]),
    word("cpu-moe", &[(LlamaCpp, "cpu-moe")], &["-cmoe"]),
    word("tensor-split", &[(LlamaCpp, "tensor-split")], &["-ts", "pp-layer-partition", "pp-partition"]),
    word("override-tensor", &[(LlamaCpp, "override-tensor")], &["-ot"]),
    word("split-mode", &[(LlamaCpp, "split-mode")], &["-sm"]),
    // Speculative decoding.
    word(
        "draft-model",
        &[(Vllm, "spec-model"), (Sglang, "speculative-draft-model-path"), (LlamaCpp, "model-draft")],
        &["-md", "speculative-model"],
    ),
    word(
        "draft-tokens",
        &[(Vllm, "spec-tokens"), (Sglang, "speculative-num-draft-tokens"), (LlamaCpp, "draft-max")],
        &["num-speculative-tokens"],
    ),
    word("acceptance", &[], &["acceptance-rate", "accept-rate"]),
    // The load.
    word(
        "isl",
        &[(Vllm, "random-input-len"), (Sglang, "random-input-len"), (Trtllm, "input-length")],
        &[
            "input-len",
            "random-input",
            "prompt-len",
            "prompt-length",
            "prompt-tokens",
            "input-tokens",
            "synthetic-input-tokens-mean",
        ],
    ),
    word(
        "osl",
        &[(Vllm, "random-output-len"), (Sglang, "random-output-len"), (Trtllm, "output-length")],
        &[
            "output-len",
            "random-output",
            "output-tokens",
            "max-tokens",
            "max-new-tokens",
            "generate-len",
            "generation-length",
            "completion-tokens",
            "output-tokens-mean",
        ],
    ),
    word(
        "concurrency",
        &[(Vllm, "max-concurrency"), (Sglang, "max-concurrency"), (Trtllm, "concurrency")],
        &[
            "concurrent-requests",
            "concurrent",
            "num-concurrent",
            "in-flight",
            "concurrent-users",
            "num-users",
            "parallel-requests",
        ],
    ),
    word(
        "rate",
        &[(Vllm, "request-rate"), (Sglang, "request-rate")],
        &["qps", "rps", "requests-per-second", "req-rate", "throughput-target"],
    ),
    word(
        "requests",
        &[(Vllm, "num-prompts"), (Sglang, "num-prompts"), (Trtllm, "num-requests")],
        &["n-requests"],
    ),
    word(
        "prefix-hit",
        &[],
        &["cache-hit-rate", "prefix-hit-rate", "cache-hit", "prefix-cache-hit-rate", "hit-rate"],
    ),
    word(
        "ttft",
        &[],
        &["time-to-first-token", "max-ttft", "slo-ttft", "ttft-slo", "target-ttft", "ttft-target"],
    ),
    word(
        "tpot",
        &[],
        &[
            "itl",
            "time-per-output-token",
            "inter-token-latency",
            "max-tpot",
            "slo-tpot",
            "tpot-slo",
            "target-tpot",
            "tpot-target",
            "max-itl",
        ],
    ),
    word("e2e", &[], &["e2el", "end-to-end", "e2e-latency", "request-latency", "latency"]),
    // Where it runs, and how the answer is written.
    word("cluster", &[], &["hardware", "hw", "instance", "instance-type", "machine"]),
    word("gpu", &[], &["gpu-type", "device", "accelerator"]),
    word("engine", &[], &["backend", "serving-engine", "runtime"]),
    word("top", &[], &["limit", "top-k", "max-results"]),
    word(
        "objective",
        &[],
        &["optimize", "optimize-for", "rank-by", "sort", "sort-by", "goal", "optimise", "optimise-for"],
    ),
    word("format", &[], &["output-format"]),
    // Training.
    word("global-batch", &[(Megatron, "global-batch-size")], &["gbs", "-gbs", "train-batch-size"]),
    word(
        "micro-batch",
        &[(Megatron, "micro-batch-size")],
        &[
            "mbs",
            "-mbs",
            "per-device-train-batch-size",
            "train-micro-batch-size-per-gpu",
            "per-device-batch-size",
        ],
    ),
    word(
        "seq",
        &[(Megatron, "seq-length")],
        &["seq-len", "sequence-length", "max-seq-length", "sequence-len", "cutoff-len", "train-seq-len"],
    ),
    word("tokens", &[], &["train-tokens", "num-tokens", "dataset-tokens", "total-tokens"]),
    word("flops", &[], &["compute"]),
    word("vp", &[(Megatron, "virtual-pipeline-model-parallel-size")], &["virtual-pipeline-size"]),
    word("optimizer", &[], &["optim"]),
    word("recompute", &[(Megatron, "recompute-granularity")], &["activation-checkpointing"]),
    word("precision", &[], &["mixed-precision"]),
    word("tuning", &[], &["adapter", "method", "finetuning-type"]),
];

/// Our option for another name of it, in any spelling with dashes.
pub fn option(name: &str) -> Option<&'static str> {
    let is = |word: &&Word| word.spoken().chain(word.others.iter().copied()).any(|other| other == name);
    WORDS.iter().find(is).map(|word| word.option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_one_option() {
        let all = WORDS
            .iter()
            .flat_map(|word| word.spoken().chain(word.others.iter().copied()).chain([word.option]));
        let twice: Vec<_> = all.duplicates().collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn words_of_engines_are_our_options() {
        assert_eq!(option("gpu-memory-utilization"), Some("memory-fraction"));
        assert_eq!(option("chunked-prefill-size"), Some("max-batched-tokens"));
        assert_eq!(option("-ngl"), Some("gpu-layers"));
        assert_eq!(option("data-parallel-size"), None);
    }
}

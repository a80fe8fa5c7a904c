//! What engines, benchmarks and people call our options: one table, from which the command line takes its other
//! spellings, a request its other keys, and the glossary its rows.
//!
//! A word stands here only where it means what our option means. One that means something else under some engine is
//! in [`MEANINGS`]: it is answered with what to say, never guessed.

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
        &["-ep", "expert-parallel", "expert-parallel-size", "moe-expert-parallel-size"],
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
        &["quant", "weight-format", "weights-dtype", "quantize"],
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
        &["concurrent-requests", "concurrent", "num-concurrent", "in-flight"],
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
    word("cluster", &[], &["hardware", "hw"]),
    word("gpu", &[], &["gpu-type", "device", "accelerator"]),
    word("engine", &[], &["backend", "serving-engine", "runtime"]),
    word("top", &[], &["limit", "top-k", "max-results"]),
    word("objective", &[], &["optimize", "optimize-for", "rank-by", "sort", "sort-by"]),
    word("format", &[], &["output-format"]),
    // Training.
    word("global-batch", &[(Megatron, "global-batch-size")], &["gbs", "-gbs"]),
    word("micro-batch", &[(Megatron, "micro-batch-size")], &["mbs", "-mbs", "per-device-train-batch-size"]),
    word("seq", &[(Megatron, "seq-length")], &["seq-len", "sequence-length", "max-seq-length"]),
    word("tokens", &[], &["train-tokens", "num-tokens"]),
    word("flops", &[], &["compute"]),
];

/// Words that are no option of ours under any name, and what to say instead; `{}` stands for the value given.
pub const MEANINGS: &[(&str, &str)] = &[
    ("gpus", "`--cluster {}xGPU` says how many of which, for example --cluster 8xh100-sxm"),
    ("num-gpus", "`--cluster {}xGPU` says how many of which, for example --cluster 8xh100-sxm"),
    ("n-gpus", "`--cluster {}xGPU` says how many of which, for example --cluster 8xh100-sxm"),
    ("gpu-count", "`--cluster {}xGPU` says how many of which, for example --cluster 8xh100-sxm"),
    ("total-gpus", "`--cluster {}xGPU` says how many of which, for example --cluster 8xh100-sxm"),
    (
        "nodes",
        "`--cluster {}x8xGPU` says how many nodes of how many GPUs, for example --cluster 2x8xh100-sxm",
    ),
    (
        "num-nodes",
        "`--cluster {}x8xGPU` says how many nodes of how many GPUs, for example --cluster 2x8xh100-sxm",
    ),
    (
        "nnodes",
        "`--cluster {}x8xGPU` says how many nodes of how many GPUs, for example --cluster 2x8xh100-sxm",
    ),
    ("gpu", "`--cluster 1x{}` is a machine with one of them"),
    ("users", "`--concurrency {}` is how many requests are in flight"),
    ("batch-size", "`--micro-batch {}` is a GPU's at a time, `--global-batch {}` that of all GPUs in a step"),
    ("bs", "`--micro-batch {}` is a GPU's at a time, `--global-batch {}` that of all GPUs in a step"),
    ("batch", "`--micro-batch {}` is a GPU's at a time, `--global-batch {}` that of all GPUs in a step"),
    ("qlora", "`--tuning qlora` trains adapters over weights in four bits"),
    ("peft", "`--tuning lora` or `--tuning qlora` trains adapters"),
    (
        "batch-size",
        "`--batch {}` pins the requests in flight on each replica, `--max-sequences {}` limits a server",
    ),
    ("bs", "`--batch {}` pins the requests in flight on each replica, `--max-sequences {}` limits a server"),
    ("dp", "`--attention-dp {}` are ranks that share the experts, `--replicas {}` copies of a dense model"),
    (
        "data-parallel-size",
        "`--attention-dp {}` are ranks that share the experts, `--replicas {}` copies of a dense model",
    ),
    (
        "dp-size",
        "`--attention-dp {}` are ranks that share the experts, `--replicas {}` copies of a dense model",
    ),
    (
        "data-parallel",
        "`--attention-dp {}` are ranks that share the experts, `--replicas {}` copies of a dense model",
    ),
    ("enable-dp-attention", "`--attention-dp N` says over how many ranks attention is data parallel"),
    ("enable-attention-dp", "`--attention-dp N` says over how many ranks attention is data parallel"),
    ("enable-expert-parallel", "`--ep N` says over how many ranks: under vLLM tp × attention-dp"),
    ("dtype", "`--weights {}` is how weights are stored, `--kv {}` the type of the KV cache"),
    ("precision", "`--weights {}` is how weights are stored, `--kv {}` the type of the KV cache"),
    ("context", "`--context {}` is the longest conversation that must find room"),
    ("ctx", "`--context {}` is the longest conversation that must find room"),
    ("max-model-len", "`--context {}` is the longest conversation that must find room"),
    (
        "context",
        "`--isl` and `--osl` are a request's lengths, `--max-model-len {}` the longest that a server takes",
    ),
    (
        "ctx",
        "`--isl` and `--osl` are a request's lengths, `--max-model-len {}` the longest that a server takes",
    ),
    ("budget", "`--max-price {}` limits dollars an hour, `--max-cost {}` dollars per million tokens"),
    ("budget", "every fleet has its dollars an hour and a month, and `--objective cost` ranks by them"),
    ("max-price", "every fleet has its dollars an hour and a month, and `--objective cost` ranks by them"),
    ("max-budget", "`--max-price {}` limits dollars an hour, `--max-cost {}` dollars per million tokens"),
    ("rpm", "`--rate '{} req/min'` is how many requests come"),
    ("requests-per-minute", "`--rate '{} req/min'` is how many requests come"),
    ("rph", "`--rate '{} req/h'` is how many requests come"),
    ("requests-per-hour", "`--rate '{} req/h'` is how many requests come"),
    ("rpd", "`--rate '{} req/day'` is how many requests come"),
    ("requests-per-day", "`--rate '{} req/day'` is how many requests come"),
    ("min-tps", "`--tokens-per-user {}` is the least that a user reads a second"),
    ("min-tokens-per-second", "`--tokens-per-user {}` is the least that a user reads a second"),
    ("cost-per-hour", "`--max-price {}` limits dollars an hour, `--max-cost {}` dollars per million tokens"),
    (
        "cost-per-hour",
        "every fleet has its dollars an hour and a month, and `--objective cost` ranks by them",
    ),
    (
        "max-cost-per-hour",
        "`--max-price {}` limits dollars an hour, `--max-cost {}` dollars per million tokens",
    ),
    ("prefill-decode-disaggregation", "`--mode split` looks at pools of prefill and decode workers"),
    ("pd-disaggregation", "`--mode split` looks at pools of prefill and decode workers"),
    ("zero-stage", "`--sharding zero{}` says what data parallel ranks share"),
    ("zero", "`--sharding zero{}` says what data parallel ranks share"),
    ("address", "`--host {}` is the address that is listened on"),
    ("bind", "`--host {}` is the address that is listened on"),
    ("slo", "`--ttft 1s` and `--tpot 50ms` are targets; `--ttft p95:1s` is at a percentile"),
    ("sla", "`--ttft 1s` and `--tpot 50ms` are targets; `--ttft p95:1s` is at a percentile"),
    ("latency-target", "`--ttft 1s` and `--tpot 50ms` are targets; `--ttft p95:1s` is at a percentile"),
    ("p95", "`--percentile p95` holds the targets there, `--ttft p95:1s` one of them"),
    ("p99", "`--percentile p99` holds the targets there, `--ttft p99:1s` one of them"),
    ("disaggregated", "`--mode split` looks at pools of prefill and decode workers"),
    ("disagg", "`--mode split` looks at pools of prefill and decode workers"),
    ("pd", "`--mode split` looks at pools of prefill and decode workers"),
    ("explain-plan", "`--explain 1` takes the first plan apart"),
    ("config", "a path to a config.json stands where MODEL does"),
    ("model-path", "the model stands without an option, or with --model: a name, a path or org/name"),
    ("hf-model", "the model stands without an option, or with --model: a name, a path or org/name"),
    (
        "vram",
        "`--cluster` names the machine, for example --cluster 1xrtx-4090; `catalog gpus` lists memory sizes",
    ),
    ("ram", "`--host memory={}` says how much memory the host has"),
    ("host-memory", "`--host memory={}` says how much memory the host has"),
    ("cpu-offload-gb", "`--host memory={}GiB` says how much memory the host has, for llama.cpp"),
    ("csv-file", "`-o {}` writes a file in the format of its extension"),
    ("save", "`-o {}` writes a file in the format of its extension"),
    ("out", "`-o {}` writes a file in the format of its extension"),
];

/// Our option for another name of it, in any spelling with dashes.
pub fn option(name: &str) -> Option<&'static str> {
    let is = |word: &&Word| word.spoken().chain(word.others.iter().copied()).any(|other| other == name);
    WORDS.iter().find(is).map(|word| word.option)
}

/// What to say instead of a word that is no option of a command, with the value that was given: what names options that the
/// command has, where something does.
pub fn meaning(name: &str, value: Option<&str>, has: impl Fn(&str) -> bool) -> Option<String> {
    let known = || MEANINGS.iter().filter(|(word, _)| *word == name);
    let of_command = |(_, said): &&(&str, &str)| options_in(said).all(&has);
    // A word that another command has as an option is that command's where nothing is known of it here.
    let other = known().find(|(word, _)| WORDS.iter().all(|w| w.option != *word));
    let (_, said) = known().find(of_command).or(other)?;
    // Who names the GPUs too says the whole cluster.
    let whole = value.filter(|value| value.parse::<u64>().is_err());
    let said = whole.map_or((*said).to_owned(), |value| said.replace("{}xGPU", value));
    Some(said.replace("{}", value.unwrap_or("N")))
}

/// The options that a sentence names.
fn options_in(said: &str) -> impl Iterator<Item = &str> {
    said.split("--")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or(""))
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
    fn what_is_said_instead_names_options_that_the_command_has() {
        let fit = |option: &str| ["cluster", "context"].contains(&option);
        let plan = |option: &str| ["isl", "osl", "max-model-len", "cluster", "gpu"].contains(&option);
        assert!(meaning("ctx", Some("32k"), fit).unwrap().contains("`--context 32k`"));
        assert!(meaning("ctx", Some("32k"), plan).unwrap().contains("`--max-model-len 32k`"));
        assert!(meaning("gpu", Some("rtx-4090"), fit).unwrap().contains("`--cluster 1xrtx-4090`"));
        assert_eq!(meaning("gpu", Some("rtx-4090"), |_| false), None);
        assert!(meaning("gpus", Some("8"), plan).unwrap().contains("`--cluster 8xGPU`"));
        assert!(meaning("gpus", Some("4xH100"), plan).unwrap().contains("`--cluster 4xH100`"));
        assert!(meaning("rpm", Some("600"), |_| true).unwrap().contains("`--rate '600 req/min'`"));
    }

    #[test]
    fn words_of_engines_are_our_options() {
        assert_eq!(option("gpu-memory-utilization"), Some("memory-fraction"));
        assert_eq!(option("chunked-prefill-size"), Some("max-batched-tokens"));
        assert_eq!(option("-ngl"), Some("gpu-layers"));
        assert_eq!(option("data-parallel-size"), None);
    }
}

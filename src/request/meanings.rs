//! Words that are no option of ours under any name: what to say instead, which of them are others of ours in other words,
//! and which change nothing that is worked out here.

use super::words::WORDS;

/// The value that a word takes on the command line that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// One.
    One,
    /// One of `on`, `off`, `true`, `false`, `auto`, 0 and 1, or none.
    Switch,
}

impl Takes {
    /// Whether the next word is the value.
    pub fn is_value(self, next: &str) -> bool {
        match self {
            Takes::Nothing => false,
            Takes::One => true,
            Takes::Switch => {
                let switch = ["on", "off", "true", "false", "auto", "enabled", "disabled", "0", "1"];
                switch.iter().any(|word| next.eq_ignore_ascii_case(word))
            }
        }
    }
}

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
    (
        "ram",
        "`--host memory={},bandwidth=89.6GB/s` says how much memory the host has and how fast it is read: two channels of DDR5-5600 \
         make 89.6GB/s, of DDR4-3200 51.2GB/s",
    ),
    (
        "host-memory",
        "`--host memory={},bandwidth=89.6GB/s` says how much memory the host has and how fast it is read: two channels of DDR5-5600 \
         make 89.6GB/s, of DDR4-3200 51.2GB/s",
    ),
    (
        "cpu-offload-gb",
        "`--host memory={}GiB,bandwidth=89.6GB/s` says how much memory the host has, for llama.cpp",
    ),
    ("b", "`--batch {}` pins the requests in flight on each replica, `--max-sequences {}` limits a server"),
    ("n", "`--top {}` lists so many plans, `--osl {}` are a request's output tokens"),
    ("qpm", "`--rate '{} req/min'` is how many requests come"),
    ("qph", "`--rate '{} req/h'` is how many requests come"),
    ("queries-per-minute", "`--rate '{} req/min'` is how many requests come"),
    ("requests-daily", "`--rate '{} req/day'` is how many requests come"),
    (
        "tokens-per-day",
        "`--rate 'N req/day'` is how many requests come: the tokens a day over the tokens of a request, --isl and --osl together",
    ),
    (
        "tokens-per-month",
        "`--rate 'N req/day'` is how many requests come: a thirtieth of the tokens over those of a request, --isl and --osl together",
    ),
    (
        "tokens-per-second",
        "`--tokens-per-user {}` is the least that a user reads a second; what all of them get together is what `--objective throughput` ranks by",
    ),
    (
        "tok/s",
        "`--tokens-per-user {}` is the least that a user reads a second; what all of them get together is what `--objective throughput` ranks by",
    ),
    (
        "tps",
        "`--tokens-per-user {}` is the least that a user reads a second; what all of them get together is what `--objective throughput` ranks by",
    ),
    (
        "throughput",
        "`--rate` is how many requests come a second: the output tokens a second over --osl; `--objective throughput` ranks by what a plan gives",
    ),
    (
        "min-throughput",
        "`--rate` is how many requests come a second: the output tokens a second over --osl; `--objective throughput` ranks by what a plan gives",
    ),
    ("gpu-price", "`--price GPU={}` is dollars per GPU and hour, for example h100-sxm=2.10"),
    ("gpu-cost", "`--price GPU={}` is dollars per GPU and hour, for example h100-sxm=2.10"),
    ("price-per-hour", "`--price GPU={}` is dollars per GPU and hour, for example h100-sxm=2.10"),
    ("cost-per-gpu-hour", "`--price GPU={}` is dollars per GPU and hour, for example h100-sxm=2.10"),
    (
        "cost",
        "`--price GPU={}` is dollars per GPU and hour; `--objective cost` ranks by dollars per million tokens",
    ),
    ("spot", "prices are on demand; `--price GPU=DOLLARS` is any other, for example h100-sxm=1.20"),
    ("system", "`--cluster 8x{}` says how many of which GPU"),
    ("framework", "`--engine {}` is what serves"),
    (
        "cluster",
        "`--gpu {}` names the kinds of GPU to choose from, `--clusters` whole machines: how many of them is the answer",
    ),
    (
        "sweep cluster",
        "a scenario file names its `clusters:`; `shardfit plan MODEL --cluster {}` answers one question",
    ),
    (
        "sweep gpu",
        "a scenario file names its `clusters:`; `shardfit plan MODEL --cluster 8x{}` answers one question",
    ),
    (
        "prefix-len",
        "`--prefix-hit SHARE` is the part of a prompt that is in the cache: {} of the tokens of --isl",
    ),
    (
        "prefix-length",
        "`--prefix-hit SHARE` is the part of a prompt that is in the cache: {} of the tokens of --isl",
    ),
    (
        "random-prefix-len",
        "`--prefix-hit SHARE` is the part of a prompt that is in the cache: {} of the tokens of --isl",
    ),
    (
        "shared-prefix",
        "`--prefix-hit SHARE` is the part of a prompt that is in the cache: {} of the tokens of --isl",
    ),
    (
        "system-prompt-len",
        "`--prefix-hit SHARE` is the part of a prompt that is in the cache: {} of the tokens of --isl",
    ),
    ("concurrency-range", "`--concurrency 1,10,100` answers for each beside the other"),
    ("sweep-concurrency", "`--concurrency 1,10,100` answers for each beside the other"),
    ("request-rate-range", "`--rate 1,2,4` answers for each beside the other"),
    (
        "measurement-interval",
        "how long a benchmark measures changes nothing: a plan is a steady state; `shardfit simulate --requests N` runs one",
    ),
    (
        "warmup-requests",
        "a plan is a steady state without a warm-up; `shardfit simulate --requests N` runs one",
    ),
    ("request-count", "a plan is a steady state; `shardfit simulate --requests {}` runs so many"),
    (
        "context-window",
        "`--isl` and `--osl` are a request's lengths, `--max-model-len {}` the longest that a server takes",
    ),
    (
        "context-size",
        "`--isl` and `--osl` are a request's lengths, `--max-model-len {}` the longest that a server takes",
    ),
    ("context-window", "`--context {}` is the longest conversation that must find room"),
    ("context-size", "`--context {}` is the longest conversation that must find room"),
    (
        "goodput",
        "`--ttft 500ms --tpot 50ms` are the targets that requests must keep; `shardfit simulate` counts those that do",
    ),
    (
        "no-enable-chunked-prefill",
        "vLLM takes prompts in chunks; `--max-batched-tokens N`, as long as the longest prompt, makes one chunk of each",
    ),
    (
        "disable-chunked-prefill",
        "prompts are taken in chunks; `--max-batched-tokens N`, as long as the longest prompt, makes one chunk of each",
    ),
    (
        "speculative-config",
        "`--speculate mtp`, eagle3, ngram or model drafts tokens and `--draft-tokens N` says how many; `shardfit estimate \
         --launch 'vllm serve …'` reads the whole command",
    ),
    (
        "speculative-algorithm",
        "`--speculate mtp`, eagle3, ngram or model drafts tokens and `--draft-tokens N` says how many; `shardfit estimate \
         --launch '…'` reads the whole command",
    ),
    ("disaggregation-mode", "`--mode split` looks at pools of prefill and decode workers"),
    ("kv-transfer-config", "`--mode split` looks at pools of prefill and decode workers"),
    ("ubatch-size", "`--max-batched-tokens {}` is how many tokens a step takes"),
    ("ub", "`--max-batched-tokens {}` is how many tokens a step takes"),
    ("cache-type-v", "`--kv {}` is the type of keys and values both"),
    ("ctv", "`--kv {}` is the type of keys and values both"),
    ("memory", "`--memory-fraction 0.9` is the share of a GPU's memory that the engine may take"),
    ("gpu-memory", "`--memory-fraction 0.9` is the share of a GPU's memory that the engine may take"),
    ("p90", "`--percentile p90` holds the targets there, `--ttft p90:1s` one of them"),
    ("p50", "`--percentile p50` holds the targets there, `--ttft p50:1s` one of them"),
    // Training.
    ("block-size", "`--seq {}` is the tokens of a sequence"),
    (
        "gradient-accumulation-steps",
        "`--global-batch N` is the sequences of a step: those of a microbatch × {} × the data parallel ranks",
    ),
    (
        "grad-accum",
        "`--global-batch N` is the sequences of a step: those of a microbatch × {} × the data parallel ranks",
    ),
    ("num-epochs", "`--tokens N` is what the run takes: the tokens of the data set × {}"),
    ("num-train-epochs", "`--tokens N` is what the run takes: the tokens of the data set × {}"),
    ("epochs", "`--tokens N` is what the run takes: the tokens of the data set × {}"),
    (
        "max-steps",
        "`--tokens N` is what the run takes: {} × the sequences of a step × the tokens of a sequence",
    ),
    ("train-samples", "`--tokens N` is what the run takes: {} × the tokens of a sequence"),
    (
        "num-layers-per-virtual-pipeline-stage",
        "`--vp N` is the chunks of layers on each rank: the layers over {} × the pipeline stages",
    ),
    (
        "deepspeed",
        "`--sharding zero3` or zero2 and zero1 say what ranks share, `--offload optimizer` what the host holds, `--framework deepspeed` whose speed is meant",
    ),
    ("cpu-offload", "`--offload optimizer`, weights or activations says what may lie in the host's memory"),
    ("offload-optimizer", "`--offload optimizer` says what may lie in the host's memory"),
    ("sft", "`--tuning full`, lora or qlora says which weights are trained"),
    (
        "hours",
        "`--tokens N` gives the days that a run takes; `shardfit budget --days N` what a time is enough for",
    ),
    (
        "deadline",
        "`--tokens N` gives the days that a run takes; `shardfit budget --days N` what a time is enough for",
    ),
    (
        "days",
        "`--tokens N` gives the days that a run takes; `shardfit budget --days {}` what a time is enough for",
    ),
    ("mfu", "MFU is what `train` works out; `shardfit budget --mfu {}` takes one as given"),
    // Observing.
    ("base-url", "the server's address stands where URL does, for example http://localhost:8000"),
    ("endpoint", "the server's address stands where URL does, for example http://localhost:8000"),
    ("csv-file", "`-o {}` writes a file in the format of its extension"),
    ("save", "`-o {}` writes a file in the format of its extension"),
    ("out", "`-o {}` writes a file in the format of its extension"),
];

/// A word that stands for others of ours: in place of `--word value`.
#[derive(Clone, Copy, Debug)]
pub struct Rewriting {
    /// The word, without dashes.
    pub word: &'static str,
    /// The value that it has: `{}` any, empty none.
    pub value: &'static str,
    /// What is said in its place; `{}` stands for the value.
    pub says: &'static str,
}

const fn rewriting(word: &'static str, value: &'static str, says: &'static str) -> Rewriting {
    Rewriting { word, value, says }
}

/// Words that stand for others, those of a value first. One holds for a command that has the option in whose place it stands,
/// and none of its own name.
pub const REWRITINGS: &[Rewriting] = &[
    // FSDP's strategies as PyTorch and Accelerate name them, Megatron's for its own FSDP, DeepSpeed's stages.
    rewriting("fsdp", "full_shard", "--sharding zero3"),
    rewriting("fsdp", "shard_grad_op", "--sharding zero2"),
    rewriting("fsdp", "hybrid_shard", "--sharding hsdp"),
    rewriting("fsdp", "no_shard", "--sharding ddp"),
    rewriting("fsdp", "", "--sharding zero3"),
    rewriting("fsdp2", "", "--sharding zero3"),
    rewriting("use-fsdp", "", "--sharding zero3"),
    rewriting("data-parallel-sharding-strategy", "optim_grads_params", "--sharding zero3"),
    rewriting("data-parallel-sharding-strategy", "optim_grads", "--sharding zero2"),
    rewriting("data-parallel-sharding-strategy", "optim", "--sharding zero1"),
    rewriting("data-parallel-sharding-strategy", "no_shard", "--sharding ddp"),
    rewriting("zero-stage", "0", "--sharding ddp"),
    rewriting("zero-stage", "{}", "--sharding zero{}"),
    rewriting("zero", "0", "--sharding ddp"),
    rewriting("zero", "{}", "--sharding zero{}"),
    rewriting("use-distributed-optimizer", "", "--sharding zero1"),
    // TensorRT-LLM's word for the longest context, in frameworks that of a sequence.
    rewriting("max-seq-len", "{}", "--seq {}"),
    // What is computed again.
    rewriting("gradient-checkpointing", "true", "--recompute full"),
    rewriting("gradient-checkpointing", "false", "--recompute none"),
    rewriting("gradient-checkpointing", "", "--recompute full"),
    rewriting("recompute-activations", "", "--recompute selective"),
    // Number formats.
    rewriting("bf16", "true", "--precision bf16"),
    rewriting("bf16", "", "--precision bf16"),
    rewriting("fp8", "true", "--precision fp8"),
    rewriting("fp8", "hybrid", "--precision fp8"),
    rewriting("fp8", "e4m3", "--precision fp8"),
    rewriting("fp8", "", "--precision fp8"),
    rewriting("fp8-format", "{}", "--precision fp8"),
    // What is trained.
    rewriting("peft", "{}", "--tuning {}"),
    rewriting("load-in-4bit", "true", "--tuning qlora"),
    rewriting("load-in-4bit", "", "--tuning qlora"),
    rewriting("qlora", "", "--tuning qlora"),
    rewriting("full", "", "--tuning full"),
    rewriting("full-finetune", "", "--tuning full"),
];

/// What stands in place of a word with the words that follow it, for a command that has the options: the words, and whether
/// the next one is taken as the value.
pub fn rewritten(name: &str, next: Option<&str>, has: impl Fn(&str) -> bool) -> Option<(String, bool)> {
    let fits = |r: &&Rewriting| {
        r.word == name
            && options_in(r.says).all(&has)
            && (r.value.is_empty()
                || next.is_some_and(|next| {
                    r.value == "{}" && !next.starts_with('-') || r.value.eq_ignore_ascii_case(next)
                }))
    };
    let found = REWRITINGS.iter().find(fits)?;
    let value = next.filter(|_| !found.value.is_empty()).unwrap_or_default();
    Some((found.says.replace("{}", value), !found.value.is_empty()))
}

/// Words of engines and frameworks that change nothing that is worked out here, and the value that each takes. They hold for the
/// commands that have the option named beside them.
const IDLE: &[(&str, &[(&str, Takes)])] = &[
    (
        "engine",
        &[
            ("enable-chunked-prefill", Takes::Switch),
            ("swap-space", Takes::One),
            ("attention-backend", Takes::One),
            ("moe-runner-backend", Takes::One),
            ("schedule-conservativeness", Takes::One),
            ("schedule-policy", Takes::One),
            ("enable-torch-compile", Takes::Nothing),
            ("threads", Takes::One),
            ("threads-batch", Takes::One),
            ("no-mmap", Takes::Nothing),
            ("mlock", Takes::Nothing),
            ("flash-attn", Takes::Switch),
            ("fa", Takes::Switch),
            ("trust-remote-code", Takes::Nothing),
            ("disable-log-requests", Takes::Nothing),
            ("disable-log-stats", Takes::Nothing),
            ("served-model-name", Takes::One),
            ("port", Takes::One),
            ("api-key", Takes::One),
            ("chat-template", Takes::One),
            ("tool-call-parser", Takes::One),
            ("reasoning-parser", Takes::One),
            ("enable-auto-tool-choice", Takes::Nothing),
            ("download-dir", Takes::One),
            ("load-format", Takes::One),
            ("tokenizer", Takes::One),
            ("tokenizer-mode", Takes::One),
            ("jinja", Takes::Nothing),
        ],
    ),
    (
        "global-batch",
        &[
            ("sequence-parallel", Takes::Switch),
            ("flash-attn", Takes::Switch),
            ("flash-attention", Takes::Switch),
            ("use-flash-attn", Takes::Switch),
            ("attn-implementation", Takes::One),
            ("packing", Takes::Switch),
            ("sample-packing", Takes::Switch),
            ("compile", Takes::Switch),
            ("torch-compile", Takes::Switch),
            ("lora-alpha", Takes::One),
            ("lora-dropout", Takes::One),
            ("learning-rate", Takes::One),
            ("lr", Takes::One),
            ("weight-decay", Takes::One),
            ("warmup-steps", Takes::One),
            ("warmup-ratio", Takes::One),
            ("lr-scheduler-type", Takes::One),
            ("logging-steps", Takes::One),
            ("save-steps", Takes::One),
            ("output-dir", Takes::One),
            ("dataset", Takes::One),
            ("seed", Takes::One),
        ],
    ),
];

/// Whether a word changes nothing for a command, and the value that it takes.
pub fn idle(name: &str, has: impl Fn(&str) -> bool) -> Option<Takes> {
    let of_command = IDLE.iter().filter(|(option, _)| has(option));
    let mut words = of_command.flat_map(|(_, words)| words.iter());
    words.find(|(word, _)| *word == name).map(|(_, takes)| *takes)
}

/// Whether something is known of a word that is no option.
pub fn knows(name: &str) -> bool {
    let idle = || IDLE.iter().flat_map(|(_, words)| words.iter()).any(|(word, _)| *word == name);
    MEANINGS.iter().any(|(word, _)| *word == name) || REWRITINGS.iter().any(|r| r.word == name) || idle()
}

/// What to say instead of a word that is no option of a command, with the value that was given: what is of this command
/// alone, then what names options that the command has, where something does.
pub fn meaning(command: &str, name: &str, value: Option<&str>, has: impl Fn(&str) -> bool) -> Option<String> {
    let own = MEANINGS.iter().find(|(word, _)| word.split_once(' ') == Some((command, name)));
    let known = || MEANINGS.iter().filter(|(word, _)| *word == name);
    let of_command = |(_, said): &&(&str, &str)| options_in(said).all(&has);
    // A word that another command has as an option is that command's where nothing is known of it here.
    let other = known().find(|(word, _)| WORDS.iter().all(|w| w.option != *word));
    let (_, said) = own.or_else(|| known().find(of_command)).or(other)?;
    // Who names the GPUs too says the whole cluster.
    let whole = value.filter(|value| value.parse::<u64>().is_err());
    let said = whole.map_or((*said).to_owned(), |value| said.replace("{}xGPU", value));
    Some(said.replace("{}", value.unwrap_or("N")))
}

/// The options that a sentence names, those of other commands that it quotes apart.
fn options_in(said: &str) -> impl Iterator<Item = &str> {
    let spans = said.split('`').enumerate();
    let own = spans.filter(|(at, span)| at % 2 == 0 || !span.starts_with("shardfit ")).map(|(_, span)| span);
    own.flat_map(|span| span.split("--").skip(1))
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_instead_names_options_that_the_command_has() {
        let fit = |option: &str| ["cluster", "context"].contains(&option);
        let plan = |option: &str| ["isl", "osl", "max-model-len", "cluster", "gpu"].contains(&option);
        assert!(meaning("fit", "ctx", Some("32k"), fit).unwrap().contains("`--context 32k`"));
        assert!(meaning("fit", "ctx", Some("32k"), plan).unwrap().contains("`--max-model-len 32k`"));
        assert!(meaning("fit", "gpu", Some("rtx-4090"), fit).unwrap().contains("`--cluster 1xrtx-4090`"));
        assert_eq!(meaning("fit", "gpu", Some("rtx-4090"), |_| false), None);
        assert!(meaning("fit", "gpus", Some("8"), plan).unwrap().contains("`--cluster 8xGPU`"));
        assert!(meaning("fit", "gpus", Some("4xH100"), plan).unwrap().contains("`--cluster 4xH100`"));
        assert!(meaning("fit", "rpm", Some("600"), |_| true).unwrap().contains("`--rate '600 req/min'`"));
    }
}

//! Good inputs of every reader and command.

/// How an input is given.
#[derive(Clone, Copy)]
pub enum Given {
    /// A text file, whose path stands for `{}`.
    Text(&'static str),
    /// A binary file that is made here.
    Made(fn() -> Vec<u8>),
    /// Lines on stdin.
    Stdin(&'static str),
    /// The words of the command line themselves.
    Words,
    /// The journal of a sweep that was run before, in the folder that stands for `{}`.
    Journal,
    /// A file under a name in a folder of a catalogue, which stands for `{}`.
    Catalogue(&'static str, &'static str),
}

/// A command and what it reads.
pub struct Seed {
    pub name: &'static str,
    pub line: &'static str,
    pub given: Given,
    /// What the file's name ends in.
    pub ending: &'static str,
}

const fn text(name: &'static str, line: &'static str, file: &'static str, ending: &'static str) -> Seed {
    Seed { name, line, given: Given::Text(file), ending }
}

const fn words(name: &'static str, line: &'static str) -> Seed {
    Seed { name, line, given: Given::Words, ending: "" }
}

pub const SEEDS: &[Seed] = &[
    text("check config", "check {}", "tests/data/valid/config.json", "json"),
    text("check gpu", "check {}", "tests/data/valid/gpu.yaml", "yaml"),
    text("check cluster", "check {}", "tests/data/valid/cluster.yaml", "yaml"),
    text("check engine", "check {}", "tests/data/valid/engine.yaml", "yaml"),
    text("check framework", "check {}", "tests/data/valid/framework.yaml", "yaml"),
    text("check scenario", "check {}", "tests/data/valid/scenario.yaml", "yaml"),
    text("check kernels", "check {}", "tests/data/valid/kernels.yaml", "yaml"),
    text("inspect config", "inspect {}", "tests/data/valid/config.json", "json"),
    text(
        "inspect vision",
        "inspect {} --mode prefill --gpu h100-sxm",
        "tests/data/qwen2.5-vl-3b.json",
        "json",
    ),
    text("inspect known", "inspect {}", "models/deepseek-ai--DeepSeek-V3.json", "json"),
    text(
        "plan config",
        "plan {} --cluster 8xh100-sxm --time-limit 2s",
        "tests/data/valid/config.json",
        "json",
    ),
    text(
        "plan cluster",
        "plan llama-3.1-8b --cluster {} --time-limit 2s",
        "tests/data/valid/cluster.yaml",
        "yaml",
    ),
    text("plan gpu", "estimate llama-3.1-8b --gpu {}", "hardware/gpus/h100-sxm.yaml", "yaml"),
    text(
        "plan engine",
        "plan llama-3.1-8b --cluster 1xh100-sxm --engine {} --time-limit 2s",
        "engines/vllm.yaml",
        "yaml",
    ),
    text(
        "train framework",
        "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 64 --seq 4096 --framework {}",
        "tests/data/valid/framework.yaml",
        "yaml",
    ),
    text("sweep", "sweep {} -q -o {out}", "tests/data/valid/scenario.yaml", "yaml"),
    text(
        "sweep compare",
        "sweep tests/data/valid/hopeless.yaml -q -o {out} --compare {}",
        "tests/hostile/results.csv",
        "csv",
    ),
    text(
        "simulate trace",
        "simulate llama-3.1-8b --gpu h100-sxm --trace {}",
        "tests/data/valid/trace.csv",
        "csv",
    ),
    text(
        "simulate lines",
        "simulate llama-3.1-8b --gpu h100-sxm --trace {}",
        "tests/hostile/trace.jsonl",
        "jsonl",
    ),
    text(
        "size forecast",
        "size llama-3.1-8b --gpu l40s --forecast {} --tpot 60ms",
        "tests/data/valid/traffic.csv",
        "csv",
    ),
    text("validate params", "validate params {}", "tests/data/valid/counts.csv", "csv"),
    text("validate memory", "validate memory {}", "tests/data/start_ups.csv", "csv"),
    text("validate kernels", "validate kernels {}", "tests/data/valid/kernels.csv", "csv"),
    text("validate serving", "validate serving {}", "tests/hostile/servers.csv", "csv"),
    text("validate training", "validate training {}", "tests/hostile/training.csv", "csv"),
    text(
        "validate steady",
        "validate serving {} --estimator steady --by tp",
        "tests/hostile/servers.csv",
        "csv",
    ),
    text(
        "validate log",
        "validate memory --log {} --model llama-3.1-8b",
        "tests/data/logs/vllm-0.19.log",
        "log",
    ),
    text(
        "validate sglang log",
        "validate memory --log {} --model llama-3.1-8b --gpu h100-sxm",
        "tests/data/logs/sglang.log",
        "log",
    ),
    text(
        "validate trtllm log",
        "validate memory --log {} --model llama-3.1-8b --gpu h100-sxm",
        "tests/data/logs/trtllm.log",
        "log",
    ),
    text(
        "validate result",
        "validate serving {} --gpu h100-sxm",
        "tests/data/results/vllm-closed.json",
        "json",
    ),
    text(
        "validate results",
        "validate serving {} --gpu h100-sxm --model llama-3.1-8b",
        "tests/data/results/sglang-runs.jsonl",
        "jsonl",
    ),
    text(
        "validate bench",
        "validate serving {} --gpu h100-sxm",
        "tests/data/results/trtllm-bench.json",
        "json",
    ),
    text(
        "observe result",
        "observe llama-3.1-8b --gpu h100-sxm --results {}",
        "tests/data/results/vllm-closed.json",
        "json",
    ),
    text(
        "observe metrics",
        "observe llama-3.1-8b --gpu h100-sxm --results tests/data/results/vllm-closed.json --metrics {}",
        "tests/hostile/metrics.txt",
        "txt",
    ),
    text("calibrate kernels", "calibrate {} --gpu h100-sxm", "tests/data/valid/kernels.csv", "csv"),
    text(
        "calibrate servers",
        "calibrate {} --engine vllm --estimator steady",
        "tests/hostile/servers.csv",
        "csv",
    ),
    text("launch file", "estimate --gpu h100-sxm --launch {}", "tests/hostile/launch.sh", "sh"),
    text("launch compose", "estimate --gpu h100-sxm --launch {}", "tests/hostile/compose.yaml", "yaml"),
    text(
        "current launch",
        "plan llama-3.1-8b --cluster 8xh100-sxm --launch {} --time-limit 2s",
        "tests/hostile/launch.sh",
        "sh",
    ),
    Seed { name: "safetensors", line: "inspect {}", given: Given::Made(safetensors), ending: "safetensors" },
    Seed { name: "gguf", line: "inspect {}", given: Given::Made(gguf), ending: "gguf" },
    Seed { name: "mcp", line: "mcp", given: Given::Stdin("tests/hostile/mcp.jsonl"), ending: "" },
    Seed {
        name: "resume",
        line: "sweep tests/data/valid/hopeless.yaml -q -o {} --resume",
        given: Given::Journal,
        ending: "",
    },
    Seed { name: "merge", line: "merge {} -o {out}", given: Given::Journal, ending: "" },
    Seed {
        name: "catalogue gpu",
        line: "estimate llama-3.1-8b --gpu mine --catalog {}",
        given: Given::Catalogue("gpus/mine.yaml", "hardware/gpus/l40s.yaml"),
        ending: "",
    },
    Seed {
        name: "catalogue model",
        line: "plan tiny --cluster 1xl4 --catalog {} --time-limit 2s",
        given: Given::Catalogue("models/acme--tiny.json", "tests/data/valid/models/acme--tiny.json"),
        ending: "",
    },
    Seed {
        name: "catalogue kernels",
        line: "estimate llama-3.1-8b --gpu h100-sxm --catalog {}",
        given: Given::Catalogue("kernels/h100-sxm.yaml", "tests/data/valid/kernels.yaml"),
        ending: "",
    },
    words(
        "words of plan",
        "plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --osl 512 --ttft 1s --tpot 50ms --tp 2,4 --batch 1..64 --top 5 --time-limit 2s --format json",
    ),
    words(
        "words of split",
        "plan llama-3.1-8b --cluster 4xh100-sxm --mode split --rate 4 --prefill-tp 1 --tp 2 --time-limit 2s",
    ),
    words(
        "words of moe",
        "plan deepseek-v3 --cluster 2x8xh200-sxm --ep 1..16 --attention-dp 8 --draft-tokens 1 --acceptance 0.8 --time-limit 2s",
    ),
    words(
        "words of estimate",
        "estimate llama-3.1-8b --gpu h100-sxm --tp 2 --concurrency 16 --max-model-len 8192 --memory-fraction 0.9 --explain",
    ),
    words(
        "words of size",
        "size llama-3.1-8b --gpu l40s --rate 20 --isl 1024 --osl 256 --ttft 1s --tpot 60ms --headroom 20% --spare 1 --unit 8 --price l40s=1.2",
    ),
    words(
        "words of simulate",
        "simulate llama-3.1-8b --gpu h100-sxm --rate 4 --isl uniform:100..900 --osl 200 --requests 200 --seed 3",
    ),
    words(
        "words of train",
        "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 64 --seq 4096 --tp 1..8 --pp 1,2 --top 3",
    ),
    words("words of budget", "budget --flops 5.76e23 --inference-tokens 10T"),
    words("words of inspect", "inspect llama-3.1-8b --mode decode --gpu h100-sxm --batch 16 --context 4096"),
    words(
        "words of shape",
        "inspect --shape layers=32,hidden=4096,heads=32,kv-heads=8,ffn=14336,vocab=128256",
    ),
    words(
        "words of launch",
        "estimate --gpu h100-sxm --launch 'vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 4 --max-model-len 8192'",
    ),
    words("words of catalog", "catalog gpus h100-sxm --format json"),
    words(
        "words of emit",
        "plan llama-3.1-8b --cluster 1xh100-sxm --engine vllm --emit command,k8s --time-limit 2s",
    ),
];

/// A header of two tensors and their bytes.
fn safetensors() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"model.embed_tokens.weight":{"dtype":"BF16","shape":[4,2],"data_offsets":[0,16]},"lm_head.weight":{"dtype":"F32","shape":[2],"data_offsets":[16,24]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &[0; 24]].concat()
}

/// A version, an architecture and one tensor.
fn gguf() -> Vec<u8> {
    let text = |out: &mut Vec<u8>, s: &str| {
        out.extend((s.len() as u64).to_le_bytes());
        out.extend(s.bytes());
    };
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend(1u64.to_le_bytes());
    let numbers = [
        ("llama.block_count", 2u32),
        ("llama.embedding_length", 64),
        ("llama.feed_forward_length", 128),
        ("llama.attention.head_count", 4),
        ("llama.attention.head_count_kv", 2),
        ("llama.context_length", 128),
        ("llama.vocab_size", 32),
    ];
    out.extend((numbers.len() as u64 + 2).to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend(8u32.to_le_bytes());
    text(&mut out, "llama");
    for (key, number) in numbers {
        text(&mut out, key);
        out.extend(4u32.to_le_bytes());
        out.extend(number.to_le_bytes());
    }
    text(&mut out, "tokenizer.ggml.tokens");
    out.extend(9u32.to_le_bytes());
    out.extend(8u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    text(&mut out, "a");
    text(&mut out, "b");
    text(&mut out, "token_embd.weight");
    out.extend(2u32.to_le_bytes());
    out.extend(64u64.to_le_bytes());
    out.extend(32u64.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend(0u64.to_le_bytes());
    out.resize(out.len().next_multiple_of(32) + 64 * 32 * 2, 0);
    out
}

//! Answers as programs read them: what is printed with `--format json` is what its schema says, and nothing besides.

use serde_json::Value;
use shardfit::report::{ANSWERS, answer_schema};

use crate::common::schema::faults;
use crate::common::shardfit;

/// Questions by the command whose schema describes the answer: every form that an answer takes.
const QUESTIONS: [(&str, &str); 82] = [
    ("plan", "plan llama-3.1-8b --cluster 2xh100-sxm --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 1xh100-sxm --ttft 500ms"),
    ("plan", "plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --ttft 1s --top 3 --verify 0 --engine any"),
    ("plan", "plan llama-3.1-70b --cluster 4xh100-sxm --ttft 1ms --verify 0"),
    ("plan", "plan llama-3.1-70b --cluster 1xl40s --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 2xh100-sxm --mode split --rate 4 --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 4xh100-sxm --mode any --concurrency 32 --verify 0"),
    ("plan", "plan deepseek-v2-lite --cluster 4xa100-sxm-80gb --verify 0 --tp 2 --electricity 0.2"),
    ("plan", "plan llama-3.1-8b --cluster 2xh100-sxm --current tp=1,replicas=2 --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 2xh100-sxm --current tp=3 --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 2xh100-sxm --what-if hbm=+20% --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 2xh100-sxm --pareto throughput,ttft --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 2xh100-sxm --explain 1 --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 2xh100-sxm --why-not tp=2,pp=1 --verify 0"),
    ("plan", "plan llama-3.1-70b --cluster 2xl40s --why-not tp=2,pp=1 --verify 0"),
    ("plan", "plan llama-3.1-8b --gpu l40s,h100-sxm --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 1xh100-sxm+2xl40s --verify 0"),
    ("plan", "plan bge-m3 --cluster 1xl4 --verify 0"),
    ("plan", "plan bge-reranker-v2-m3 --cluster 1xl4 --rate 20"),
    (
        "plan",
        "plan llama-3.1-8b --cluster 1xh100-sxm --sessions turns=5,system=4000,new=600,output=300,think=10s --users 20 --verify 0",
    ),
    ("plan", "plan qwen2.5-vl-7b --cluster 1xh100-sxm --images 2x1024x1024 --verify 0"),
    ("plan", "plan llama-3.1-8b --cluster 2xmi300x --verify 0"),
    (
        "plan",
        "plan gpt-oss-20b --cluster 1xrtx-4090 --engine llama.cpp --host memory=64GiB,bandwidth=83.2GB/s --verify 0",
    ),
    ("plan", "plan llama-3.1-8b --cluster 1xh100-sxm --osl 1 --verify 0"),
    ("estimate", "estimate llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64"),
    ("estimate", "estimate llama-3.1-70b --gpu h100-sxm --tp 1"),
    ("estimate", "estimate llama-3.1-8b --gpu h100-sxm --explain"),
    ("estimate", "estimate llama-3.1-8b --gpu h100-sxm --pp 2 --replicas 3 --electricity 0.2"),
    ("estimate", "estimate deepseek-v3 --gpu h200-sxm --tp 8 --ep 8 --engine sglang"),
    ("estimate", "estimate deepseek-v3 --gpu h200-sxm --tp 1 --attention-dp 8 --ep 8"),
    ("estimate", "estimate bge-m3 --gpu l4 --task embed"),
    ("estimate", "estimate llama-3.1-8b --gpu h100-sxm --ttft 1ms"),
    (
        "estimate",
        "estimate llama-3.1-8b --gpu h100-sxm --prefill tp=1,replicas=1 --decode tp=1,replicas=1 --rate 2",
    ),
    (
        "estimate",
        "estimate llama-3.1-8b --gpu h100-sxm --sessions turns=5,system=4000,new=600,output=300,think=10s --users 50 --kv-tiers cpu=64GiB",
    ),
    (
        "estimate",
        "estimate --launch 'vllm serve meta-llama/Llama-3.1-8B-Instruct -tp 2 --max-num-seqs 64' --gpu h100-sxm",
    ),
    (
        "estimate",
        "estimate --launch 'vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 8 --kv-cache-dtype fp8 --nosuch 4' --gpu h100-sxm",
    ),
    ("estimate", "estimate --launch 'vllm serve meta-llama/Llama-3.1-8B-Instruct -tp 2'"),
    (
        "estimate",
        "estimate --launch 'python -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp 4 --mem-fraction-static 0.8' --gpu a100-sxm-80gb",
    ),
    ("size", "size llama-3.1-8b --gpu l40s,h100-sxm --rate 20 --ttft 1s --tpot 40ms"),
    ("size", "size llama-3.1-8b --gpu l40s --rate 20 --ttft 1s --tpot 1ms"),
    ("size", "size llama-3.1-8b --gpu h100-sxm --rate 20 --headroom 20% --unit 4 --spare 1"),
    ("size", "size bge-m3 --gpu l4 --rate 100"),
    ("simulate", "simulate llama-3.1-8b --gpu h100-sxm --concurrency 8 --requests 30"),
    ("simulate", "simulate llama-3.1-8b --gpu h100-sxm --rate 3 --requests 30 --ttft 100ms"),
    ("simulate", "simulate llama-3.1-405b --gpu l40s --concurrency 1"),
    ("simulate", "simulate bge-m3 --gpu l4 --rate 3 --requests 30"),
    ("inspect", "inspect llama-3.1-8b"),
    ("inspect", "inspect llama-3.1-8b --table all --gpu h100-sxm"),
    ("inspect", "inspect llama-3.1-8b qwen3-8b --table memory --mode decode"),
    ("inspect", "inspect deepseek-v3 --mode pretrain --table all"),
    ("inspect", "inspect llama-3.1-8b --lora rank=16"),
    ("inspect", "inspect --table known"),
    ("inspect", "inspect llama-3.1-8b --table flops --seq 128,4096"),
    ("inspect", "inspect llama-3.1-8b --table precision --gpu h100-sxm"),
    ("inspect", "inspect llama-3.1-8b --table training --tp 2 --dp 4"),
    ("inspect", "inspect llama-3.1-8b --table context --gpu h100-sxm"),
    ("inspect", "inspect llama-3.1-8b --ram 8GB"),
    ("inspect", "inspect bge-m3"),
    ("train", "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 16 --seq 4096 --top 3"),
    ("train", "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 16 --seq 4096 --explain 1"),
    ("train", "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 16 --seq 4096 --why-not tp=8"),
    (
        "train",
        "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 16 --seq 4096 --tokens 15T --mtbf 50000h --top 2",
    ),
    ("train", "train llama-3.1-70b --cluster 1xl40s --global-batch 16 --seq 4096"),
    ("budget", "budget --flops 1e24"),
    ("budget", "budget --dollars 1e6 --gpu h100-sxm"),
    ("budget", "budget --flops 5.76e23 --inference-tokens 10T"),
    ("budget", "budget --gpu-hours 5 --gpu h100-sxm --mfu 40%"),
    ("fit", "fit --cluster 1xrtx-4090 --top 5 --family smollm2,llama-3.2-1b,qwen3-8b,llama-3.1-70b"),
    ("fit", "fit --cluster 1xm4-max --top 3 --family qwen3-0.6b"),
    ("fit", "fit --cluster 1xrtx-4090 --context 100000000 --family smollm2"),
    ("doctor", "doctor --from tests/data/machines/1x4070-laptop-collect-env.txt"),
    ("check", "check hardware/gpus/h100-sxm.yaml"),
    ("check", "check tests/data/invalid"),
    ("validate", "validate params tests/data/valid/counts.csv"),
    ("validate", "validate serving tests/data/valid/runs.csv"),
    ("validate", "validate serving tests/data/valid/runs.csv --by engine"),
    ("validate", "validate kernels tests/data/valid/kernels.csv"),
    ("validate", "validate memory tests/data/start_ups.csv"),
    ("calibrate", "calibrate tests/data/valid/kernels.csv --gpu h100-sxm"),
    ("calibrate", "calibrate tests/data/valid/runs.csv --engine vllm"),
    ("observe", "observe --results tests/data/results/vllm-closed.json llama-3.1-8b --gpu h100-sxm"),
    ("validate", "validate memory --log tests/data/logs/vllm-0.19.log --model llama-3.1-8b --gpu h100-sxm"),
];

#[test]
fn every_form_of_answer_is_as_its_schema_says() {
    for (command, question) in QUESTIONS {
        let schema = answer_schema(command).unwrap();
        let answer: Value = shardfit(&format!("{question} --format json")).json();
        let faults = faults(&answer, &schema);
        assert!(faults.is_empty(), "{question}: {faults:#?}");
    }
}

#[test]
fn every_answer_has_a_version_and_every_field_a_meaning() {
    fn described(schema: &Value, at: &str) {
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (name, property) in properties {
            // What is referred to is described where it is defined.
            let says = property.get("description").is_some_and(|text| text != "");
            assert!(says || property.get("$ref").is_some(), "{at}.{name}: {property}");
            described(property, &format!("{at}.{name}"));
        }
    }
    for command in ANSWERS {
        let schema = answer_schema(command).unwrap();
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            described(definition, &format!("{command}: {name}"));
        }
        for kind in schema["anyOf"].as_array().unwrap() {
            let kind = kind.pointer("/items").unwrap_or(kind);
            let name = kind["$ref"].as_str().unwrap().trim_start_matches("#/$defs/");
            // Answers beside each other have a version each.
            if schema["$defs"][name]["type"] == "array" {
                continue;
            }
            let required = schema["$defs"][name]["required"].as_array().unwrap();
            assert!(required.contains(&"schema_version".into()), "{command}: {name}");
        }
    }
}

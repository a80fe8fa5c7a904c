//! The single-box user: GGUF files, decode speeds that llama.cpp's own benchmarks show, memory by its log.

mod common;

use common::shardfit;
use shardfit::catalog;
use shardfit::catalog::version::Version;
use shardfit::estimate::memory::{engine_stages, stage_layers, weights_on_rank};
use shardfit::model::{Scope, find};
use shardfit::plan::Parallelism;

fn estimate(line: &str) -> serde_json::Value {
    let run = shardfit(&format!("estimate {line} --engine llama.cpp --format json"));
    let json = run.exits(0).json();
    json.get("plan").cloned().unwrap_or(json)
}

fn tokens_per_second(gpu: &str, model: &str, weights: &str) -> f64 {
    let line = format!("{model} --gpu {gpu} --weights {weights} --isl 16 --osl 128 --concurrency 1");
    1000.0 / estimate(&line)["tpot_ms"].as_f64().unwrap()
}

#[test]
fn decode_speeds_lie_near_public_benchmarks() {
    // Tokens/s of llama-bench, and how far off an estimate may be: builds differ by a fifth.
    let cases = [
        // https://github.com/ggml-org/llama.cpp/discussions/4167
        ("m2-ultra", "llama-2-7b", "q4_0", 94.0, 0.15),
        ("m3-max", "llama-2-7b", "q4_0", 66.0, 0.15),
        ("m4-max", "llama-2-7b", "q4_0", 83.0, 0.15),
        // https://github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference, 2023
        ("m2-ultra", "llama-2-7b", "fp16", 40.7, 0.15),
        ("m3-max", "llama-2-7b", "fp16", 24.8, 0.15),
        ("rtx-4090", "llama-2-7b", "fp16", 60.8, 0.2),
        // Between builds of 2023 (149) and of 2025 (about 190).
        ("rtx-4090", "llama-2-7b", "q4_0", 170.0, 0.2),
        // https://github.com/ggml-org/llama.cpp/pull/15802
        ("rtx-3090", "llama-3.1-8b", "q4_0", 155.0, 0.15),
        // "Only as fast as an M2 Ultra": https://github.com/ggml-org/llama.cpp/issues/6434
        ("cpu-epyc-9654", "llama-2-7b", "q4_0", 75.0, 0.4),
    ];
    for (gpu, model, weights, measured, within) in cases {
        let predicted = tokens_per_second(gpu, model, weights);
        let off = predicted / measured - 1.0;
        assert!(off.abs() <= within, "{gpu} {model} {weights}: {predicted:.1} for {measured}");
    }
}

/// Sizes of files that llama-quantize writes: tools/quantize/README.md (Llama 3.1 8B) and llama-bench
/// tables in ggml-org/llama.cpp#3084 (LLaMA 7B).
#[test]
fn files_have_the_sizes_that_llama_quantize_writes() {
    let gib = |name: &str, format: &str| {
        let model = find(name, &[], Scope::Full).unwrap().with_weights(format.parse().unwrap());
        let stages = stage_layers(&model, 1);
        let groups = Parallelism::SINGLE.groups();
        weights_on_rank(&model, groups, &stages[0], (true, true)).as_gib()
    };
    for (model, format, size) in [
        ("llama-3.1-8b", "q8_0", 7.95),
        ("llama-3.1-8b", "q6_k", 6.14),
        ("llama-3.1-8b", "q5_k_m", 5.33),
        ("llama-3.1-8b", "q5_k_s", 5.21),
        ("llama-3.1-8b", "q4_k_m", 4.58),
        ("llama-3.1-8b", "q4_k_s", 4.36),
        ("llama-3.1-8b", "iq4_xs", 4.13),
        ("llama-3.1-8b", "q3_k_m", 3.74),
        ("llama-3.1-8b", "q2_k", 2.95),
        ("llama-2-7b", "q8_0", 6.67),
        ("llama-2-7b", "q6_k", 5.15),
        ("llama-2-7b", "q5_k_m", 4.45),
        ("llama-2-7b", "q4_k_m", 3.80),
        ("llama-2-7b", "q4_0", 3.56),
    ] {
        let predicted = gib(model, format);
        assert!((predicted / size - 1.0).abs() < 0.01, "{model} {format}: {predicted:.3} for {size}");
    }
}

#[test]
fn the_compute_buffer_is_what_the_log_says() {
    // llama_context: CUDA0 compute buffer size = 258.50 MiB for Llama 3 8B with flash attention.
    let mib = |name: &str| {
        let plan = estimate(&format!("{name} --gpu rtx-4090 --weights q4_k_m"));
        plan["memory"]["activations_gib"].as_f64().unwrap() * 1024.0
    };
    assert!((mib("llama-3.1-8b") - 258.5).abs() < 0.05);
    assert!((mib("llama-2-7b") - 70.5).abs() < 0.05);
}

#[test]
fn the_embedding_stays_with_the_host_and_layers_go_where_the_log_says() {
    // TriLM 3.9B in 16 bits: CUDA0 buffer size = 7317.71 MiB, KV buffer 180.00 MiB for 512 tokens
    // (https://github.com/mozilla-ai/llamafile/pull/552).
    let shape = "layers=30,hidden=3072,heads=24,kv=24,ffn=9216,vocab=50688,dtype=fp16";
    let plan = estimate(&format!("--shape {shape} --gpu rtx-4080 --isl 511 --osl 1"));
    let weights = plan["memory"]["weights_gib"].as_f64().unwrap() * 1024.0;
    assert!((weights - 7317.71).abs() < 1.0, "{weights}");
    // Beside one GPU: the first 41 of 80 layers, then 39 and the output projection.
    let model = find("llama-3.1-70b", &[], Scope::Full).unwrap();
    let engine = catalog::engine("llama.cpp").unwrap();
    assert_eq!(engine_stages(&model, &engine, 2), [[41], [39]]);
    assert_eq!(engine_stages(&model, &engine, 3), [[27], [27], [26]]);
}

#[test]
fn layers_that_find_no_room_may_stay_with_the_host() {
    let line = "estimate llama-3.1-70b --gpu rtx-4090 --weights q4_k_m --engine llama.cpp --format json";
    let json = shardfit(line).exits(1).json();
    let remedies = json["remedies"].as_array().unwrap();
    let part = |r: &&serde_json::Value| r["change"].as_str().is_some_and(|c| c.contains("of 80 layers"));
    let part = remedies.iter().find(part).unwrap();
    // 39.6 GiB in all; each layer 0.48 GiB, of 22.1 that the server takes of an RTX 4090.
    let weights = part["weights_gib"].as_f64().unwrap();
    assert!((18.0..22.2).contains(&weights), "{part}");
    assert!(part["spare_gib"].as_f64().unwrap() < 1.1, "{part}");
}

#[test]
fn a_narrower_cache_holds_more_tokens_by_its_block_size() {
    let tokens = |kv: &str| {
        let plan = estimate(&format!("llama-3.1-8b --gpu rtx-4090 --weights q4_k_m --kv {kv}"));
        plan["memory"]["kv_cache_tokens"].as_f64().unwrap()
    };
    // Blocks of 32 take 64 bytes in fp16, 34 in q8_0, 18 in q4_0.
    assert!((tokens("q8_0") / tokens("fp16") - 64.0 / 34.0).abs() < 0.001);
    assert!((tokens("q4_0") / tokens("fp16") - 64.0 / 18.0).abs() < 0.001);
}

#[test]
fn several_gpus_hold_layers_and_never_split_them() {
    let plans =
        shardfit("plan llama-3.1-70b --cluster 2xrtx-4090 --engine llama.cpp --weights q4_k_m --format json");
    let json = plans.exits(0).json();
    let best = &json["plans"][0];
    assert_eq!((best["tp"].as_u64(), best["pp"].as_u64()), (Some(1), Some(2)));
    // 19.2 tokens/s on two RTX 4090 (GPU-Benchmarks-on-LLM-Inference, May 2024).
    let line = "llama-3.1-70b --gpu rtx-4090 --pp 2 --weights q4_k_m --isl 16 --osl 512 --concurrency 1";
    let speed = 1000.0 / estimate(line)["tpot_ms"].as_f64().unwrap();
    assert!((speed / 19.2 - 1.0).abs() < 0.2, "{speed:.1}");
}

#[test]
fn the_usual_engine_of_a_platform_is_taken_and_named() {
    for (gpu, engine) in [
        ("m3-max", "llama.cpp"),
        ("cpu-epyc-9654", "llama.cpp"),
        ("tpu-v6e", "vllm-tpu"),
        ("trainium2", "vllm-neuron"),
        ("gaudi3", "vllm-gaudi"),
        ("arc-pro-b60", "vllm"),
        ("mi300x", "vllm"),
        ("h100-sxm", "vllm"),
    ] {
        assert_eq!(catalog::usual_engine(&catalog::gpu(gpu).unwrap()).unwrap().id, engine, "{gpu}");
    }
    let run = shardfit("plan llama-3.1-8b --cluster m3-max --weights q4_k_m").exits(0);
    assert!(run.stdout.contains("llama.cpp is the usual one on Apple M3 Max"), "{}", run.stdout);
    let mixed = shardfit("plan llama-3.1-8b --cluster 4xh100-sxm+2xm3-max").exits(0);
    assert!(mixed.stdout.contains("llama.cpp is the usual one on Apple M3 Max"), "{}", mixed.stdout);
    assert!(!shardfit("plan llama-3.1-8b --cluster 8xh100-sxm").exits(0).stdout.contains("usual"));
}

#[test]
fn every_gpu_has_a_usual_engine_that_runs_on_it() {
    for entry in catalog::entries(catalog::Kind::Gpu) {
        let gpu = catalog::gpu(entry.id).unwrap();
        assert!(catalog::usual_engine(&gpu).unwrap().runs_on(&gpu), "{}", entry.id);
    }
}

#[test]
fn a_version_is_shown_and_a_newer_one_is_remarked_upon() {
    let version = |line: &str| {
        let json =
            shardfit(&format!("plan llama-3.1-8b --cluster 1xh100-sxm --format json {line}")).exits(0).json();
        json["plans"][0]["engine_version"].as_str().unwrap().to_owned()
    };
    assert_eq!(version("--engine vllm@0.19"), "0.19.0");
    let newest: Version = catalog::engine("vllm").unwrap().version;
    assert_eq!(version(""), newest.to_string());
    let run = shardfit("plan llama-3.1-8b --cluster 1xh100-sxm --engine vllm@0.99").exits(0);
    assert!(run.stdout.contains("vllm 0.99.0 is taken to be as"), "{}", run.stdout);
    // Versions of one engine compete like engines.
    let both = "plan llama-3.1-8b --cluster 1xh100-sxm --engine vllm@0.19,vllm@0.21 --format json";
    assert!(shardfit(both).exits(0).json()["plans"].as_array().unwrap().len() >= 2);
}

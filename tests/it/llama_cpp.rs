//! The single-box user: GGUF files, decode speeds that llama.cpp's own benchmarks show, memory by its log.

use crate::common::{number, shardfit};
use serde_json::Value;
use shardfit::catalog;
use shardfit::catalog::version::Version;
use shardfit::estimate::memory::{spread, stage_layers, weights_on_rank};
use shardfit::model::{Model, Scope, find, from_shape};
use shardfit::plan::{Offload, Parallelism, Shares};

const OLMOE: &str =
    "layers=16,hidden=2048,heads=16,kv=16,ffn=1024,experts=64,top_k=8,expert_ffn=1024,vocab=50304";
const QWEN3_06B: &str = "layers=28,hidden=1024,heads=16,kv=8,head_dim=128,ffn=3072,vocab=151936,tied=true";
const COMMAND_R: &str = "layers=40,hidden=8192,heads=64,kv=64,ffn=22528,vocab=256000,tied=true";

fn estimate(line: &str) -> serde_json::Value {
    let engine = if line.contains("--engine") { "" } else { "--engine llama.cpp" };
    let run = shardfit(&format!("estimate {line} {engine} --format json"));
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
        ("llama-3.1-8b", "iq4_nl", 4.38),
        ("llama-3.1-8b", "q3_k_l", 4.02),
        ("llama-3.1-8b", "q3_k_s", 3.41),
        ("llama-3.1-8b", "iq3_m", 3.52),
        ("llama-3.1-8b", "iq3_s", 3.42),
        ("llama-3.1-8b", "iq3_xs", 3.27),
        ("llama-3.1-8b", "iq3_xxs", 3.04),
        ("llama-3.1-8b", "q2_k_s", 2.78),
        ("llama-3.1-8b", "iq2_m", 2.74),
        ("llama-3.1-8b", "iq2_s", 2.56),
        ("llama-3.1-8b", "iq2_xs", 2.42),
        ("llama-3.1-8b", "iq2_xxs", 2.23),
        ("llama-3.1-8b", "iq1_m", 2.01),
        ("llama-3.1-8b", "iq1_s", 1.87),
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
    let mib = |line: &str| {
        let plan = estimate(&format!("{line} --gpu rtx-4090 --weights q4_k_m"));
        plan["memory"]["activations_gib"].as_f64().unwrap() * 1024.0
    };
    // llama_context: CUDA0 compute buffer size = 258.50 MiB for Llama 3 8B with flash attention.
    assert!((mib("llama-3.1-8b --engine llama.cpp@b7000") - 258.5).abs() < 0.05);
    assert!((mib("llama-2-7b --engine llama.cpp@b7000") - 70.5).abs() < 0.05);
    // Builds that make no room for logits of every token, 4,096 tokens, everything on the GPU and one layer
    // (https://github.com/gpustack/gguf-parser-go/issues/45). What is left with the host is copied, a matrix at a time.
    let host = "--host memory=64GiB,bandwidth=83.2GB/s --isl 3584 --osl 512";
    for (shape, all, part) in [(OLMOE, 64.09, 172.37), (QWEN3_06B, 32.09, 41.64)] {
        let on_gpu = mib(&format!("--shape {shape} --engine llama.cpp {host}"));
        assert!((on_gpu - all).abs() < 10.0, "{shape}: {on_gpu}");
        let with_host = mib(&format!("--shape {shape} --engine llama.cpp {host} --gpu-layers 2"));
        assert!((with_host - part).abs() < 40.0 && with_host > on_gpu + 5.0, "{shape}: {with_host}");
    }
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
    assert_eq!(layers_of("llama.cpp", &model, 2, Offload::NONE), ([41, 39].into(), 0, false));
    assert_eq!(layers_of("llama.cpp", &model, 3, Offload::NONE), ([27, 27, 26].into(), 0, false));
}

/// Layers of each stage, of the host, and whether that has the output projection.
fn layers_of(engine: &str, model: &Model, pp: u32, offload: Offload) -> (Vec<u64>, u64, bool) {
    let spread = spread(model, &catalog::engine(engine).unwrap(), pp, &offload);
    let host = spread.host.as_ref();
    let stages = spread.stages.iter().map(|stage| stage.layers.iter().sum()).collect();
    (stages, host.map_or(0, |h| h.layers.iter().sum()), host.is_some_and(|h| h.last))
}

#[test]
fn the_last_layers_go_to_the_gpus_and_the_output_projection_first_or_last() {
    let model = find("llama-3.1-70b", &[], Scope::Full).unwrap();
    let layers = |n| Offload { gpu_layers: Some(n), ..Offload::NONE };
    let of = |engine, n| layers_of(engine, &model, 1, layers(n));
    // "Offload output layer to GPU first": https://github.com/ggml-org/llama.cpp/pull/18148
    assert_eq!(of("llama.cpp", 1), ([0].into(), 80, false));
    assert_eq!(of("llama.cpp", 41), ([40].into(), 40, false));
    assert_eq!(of("llama.cpp", 81), ([80].into(), 0, false));
    assert_eq!(of("llama.cpp", 999), ([80].into(), 0, false));
    assert_eq!(of("llama.cpp@b7000", 41), ([41].into(), 39, true));
    assert_eq!(of("llama.cpp@b7000", 80), ([80].into(), 0, true));
    assert_eq!(of("llama.cpp@b7000", 81), ([80].into(), 0, false));
    // A log of Command R: 12 of 40 layers on the first of two GPUs, 28 and the output on the other
    // (https://github.com/ggml-org/llama.cpp/pull/6122).
    let command_r = from_shape(COMMAND_R).unwrap();
    let uneven = Offload { shares: Some(Shares::new(&[28.0, 72.0]).unwrap()), ..Offload::NONE };
    assert_eq!(layers_of("llama.cpp@b3000", &command_r, 2, uneven), ([12, 28].into(), 0, false));
}

#[test]
fn weights_of_each_device_are_what_logs_say() {
    let host = "--isl 4095 --osl 1 --host memory=64GiB,bandwidth=83.2GB/s";
    let mib = |plan: &serde_json::Value, key: &str| plan["memory"][key].as_f64().unwrap() * 1024.0;
    // OLMoE with one layer on the GPU, the output projection in 6 bits: ROCm0 model buffer size = 80.60 MiB
    // (https://github.com/gpustack/gguf-parser-go/issues/42).
    let olmoe =
        estimate(&format!("--shape {OLMOE} --gpu mi300x --weights q4_k_m --gpu-layers 1 {host},link=64GB/s"));
    assert!((mib(&olmoe, "weights_gib") - 80.60).abs() < 1.0, "{olmoe}");
    // Command R on two GPUs, in Q4_K_S by its size, the output projection on the second: CUDA0 buffer size = 5434.38 MiB,
    // CUDA1 13989.53 MiB, KV buffers of 1536 and 3584 MiB for 4,096 tokens.
    let line = format!(
        "estimate --shape {COMMAND_R} --gpu rtx-3090 --pp 2 --tensor-split 28,72 --weights q4_k_s --engine llama.cpp \
         --isl 4095 --osl 1 --format json"
    );
    let json = shardfit(&line).exits(0).json();
    let stages = json["room"]["stages"].as_array().unwrap();
    for (stage, logged) in stages.iter().zip([5434.38, 13989.53]) {
        let weights = stage["weights_gib"].as_f64().unwrap() * 1024.0;
        assert!((weights / logged - 1.0).abs() < 0.03, "{weights} for {logged}");
    }
    // gpt-oss-120b: 26 of 36 layers' experts with the host fill what a 24 GB card has, as its users find
    // (https://ai-maestro.online/drastically-improve-prompt-processing-speed-for-n-cpu-moe-partially-offloaded-models-8/);
    // a context of 4,096 leaves room for two more on the GPU than one of 65,536.
    let line = format!("gpt-oss-120b --gpu rtx-3090 {host} --concurrency 1");
    let fitted = estimate(&line);
    assert!((24..=28).contains(&fitted["n_cpu_moe"].as_u64().unwrap()), "{fitted}");
    assert_eq!(fitted["gpu_layers"], serde_json::Value::Null);
}

#[test]
fn layers_with_the_host_take_the_time_of_reading_them() {
    let host = "--host memory=128GiB,bandwidth=100GB/s,link=32GB/s --concurrency 1";
    let line = |n: u64| {
        format!("llama-2-7b --gpu rtx-4090 --weights q8_0 {host} --gpu-layers {n} --isl 1000 --osl 64")
    };
    let (all, none) = (estimate(&line(33)), estimate(&line(1)));
    let ms = |plan: &serde_json::Value, key: &str| plan[key].as_f64().unwrap();
    let moved = none["memory"]["host_gib"].as_f64().unwrap() - 32000.0 * 4096.0 * 34.0 / 32.0 / 2f64.powi(30);
    // 6.4 GiB a step at 60 % of 100 GB/s, and the cache.
    let read = moved * 2f64.powi(30) / 60e9 * 1e3;
    let step = ms(&none, "tpot_ms");
    assert!((1.0..1.12).contains(&(step / read)), "{step} ms for {read}");
    // Two steps of 500 prompt tokens, each with all of it over three quarters of the link.
    let copied = 2.0 * moved * 2f64.powi(30) / 24e9 * 1e3;
    let longer = ms(&none, "ttft_ms") - ms(&all, "ttft_ms");
    assert!((0.95..1.15).contains(&(longer / copied)), "{longer} ms for {copied}");
    // An RTX 3090 on PCIe 4.0 x16 computes 229 prompt tokens a second with 27 layers' experts with the host
    // (https://www.hardware-corner.net/gpt-oss-offloading-moe-layers/).
    let host = "--host memory=64GiB,bandwidth=204.8GB/s --concurrency 1";
    let plan = estimate(&format!("gpt-oss-120b --gpu rtx-3090 {host} --n-cpu-moe 27 --isl 1400 --osl 64"));
    let prompt = 1400.0 / ms(&plan, "ttft_ms") * 1e3;
    assert!((prompt / 229.0 - 1.0).abs() < 0.2, "{prompt} tokens/s");
}

#[test]
fn a_plan_leaves_to_the_host_what_finds_no_room_if_that_has_it() {
    let plan = |line: &str| {
        let line =
            format!("plan llama-3.1-70b --cluster 1xrtx-4090 --weights q4_k_m --engine llama.cpp {line}");
        shardfit(&format!("{line} --format json"))
    };
    let best = plan("--host memory=64GiB,bandwidth=83.2GB/s").exits(0).json()["plans"][0].clone();
    assert_eq!(best["verdict"], "fits");
    let layers = best["gpu_layers"].as_u64().unwrap();
    assert!((40..46).contains(&layers), "{best}");
    // With two GPUs the first, whose layers' experts are with the host, takes more layers.
    let line = "plan gpt-oss-120b --cluster 2xrtx-3090 --engine llama.cpp --pp 2 --format json";
    let two = shardfit(&format!("{line} --host memory=64GiB,bandwidth=83.2GB/s")).exits(0).json();
    let two = &two["plans"][0];
    assert!((10..=13).contains(&two["n_cpu_moe"].as_u64().unwrap()), "{two}");
    assert_eq!(two["tensor_split"], "24,13");
    // One layer more would not fit.
    let more = format!("--host memory=64GiB,bandwidth=83.2GB/s --gpu-layers {}", layers + 1);
    assert_ne!(plan(&more).json()["plans"][0]["verdict"], "fits");
    let small = plan("--host memory=16GiB,bandwidth=83.2GB/s").exits(1).json();
    assert_eq!(small["rejected"][0]["reason"], "host_out_of_memory");
    // With nothing known of the host, the answer says how to tell.
    let line = "plan llama-3.1-70b --cluster 1xrtx-4090 --weights q4_k_m --engine llama.cpp";
    assert!(shardfit(line).exits(1).stdout.contains("--host memory="));
    assert!(shardfit(&format!("{line} --gpu-layers 40")).exits(2).stderr.contains("--host memory="));
}

#[test]
fn layers_that_find_no_room_may_stay_with_the_host() {
    let line = "estimate llama-3.1-70b --gpu rtx-4090 --weights q4_k_m --engine llama.cpp --format json";
    let json = shardfit(line).exits(1).json();
    let remedies = json["remedies"].as_array().unwrap();
    let part = |r: &&serde_json::Value| r["change"].as_str().is_some_and(|c| c.contains("--gpu-layers"));
    let part = remedies.iter().find(part).unwrap();
    // 39.6 GiB in all; each layer 0.48 GiB, of 22.1 that the server takes of an RTX 4090.
    let weights = part["weights_gib"].as_f64().unwrap();
    assert!((18.0..22.2).contains(&weights), "{part}");
    assert!(part["spare_gib"].as_f64().unwrap() < 1.1, "{part}");
}

#[test]
fn a_narrower_cache_takes_less_by_its_block_size() {
    let taken = |kv: &str| {
        let plan = estimate(&format!("llama-3.1-8b --gpu rtx-4090 --weights q4_k_m --kv {kv}"));
        plan["memory"]["one_request_gib"].as_f64().unwrap()
    };
    // Blocks of 32 take 64 bytes in fp16, 34 in q8_0, 18 in q4_0.
    assert!((taken("fp16") / taken("q8_0") - 64.0 / 34.0).abs() < 0.001);
    assert!((taken("fp16") / taken("q4_0") - 64.0 / 18.0).abs() < 0.001);
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
    assert!(!shardfit("plan llama-3.1-8b --cluster 8xh100-sxm").exits(0).stdout.contains("usual one"));
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
    assert!(run.stdout.contains("vllm 0.99.0 is newer than"), "{}", run.stdout);
    // Versions of one engine compete like engines.
    let both = "plan llama-3.1-8b --cluster 1xh100-sxm --engine vllm@0.19,vllm@0.21 --format json";
    assert!(shardfit(both).exits(0).json()["plans"].as_array().unwrap().len() >= 2);
}

#[test]
fn ollama_and_lm_studio_are_launches_with_their_own_defaults() {
    let of = |engine: &str, gpu: &str| -> Value {
        let line =
            format!("estimate llama-3.1-8b --gpu {gpu} --engine {engine} --weights q4_k_m --concurrency 1");
        shardfit(&format!("{line} --format json")).exits(0).json()
    };
    // OLLAMA_NUM_PARALLEL is 1, LM Studio predicts for four, llama-server has four slots.
    for (engine, sequences) in [("llama.cpp", 4), ("llama.cpp@ollama", 1), ("llama.cpp@lmstudio", 4)] {
        assert_eq!(of(engine, "rtx-4090")["max_sequences"], sequences, "{engine}");
    }
    // 23.5 GiB: 32,768 tokens of 128 KiB each must find room beside the weights; 12 GiB: 4,096.
    for (gpu, tokens) in [("rtx-4090", 32_768.0), ("rtx-4070", 4096.0)] {
        let line = format!(
            "plan llama-3.1-8b --cluster 1x{gpu} --engine llama.cpp@ollama --weights q4_k_m --top 1 --verify 0"
        );
        let cache = tokens * 128.0 / 1024.0 / 1024.0;
        let plan = shardfit(&format!("{line} --format json")).exits(0).json();
        assert_eq!(plan["plans"][0]["max_batch"], 1, "{gpu}");
        assert!(plan["plans"][0]["memory"]["kv_cache_gib"].as_f64().unwrap() >= cache, "{gpu}");
    }
    let unknown = shardfit("estimate llama-3.1-8b --gpu rtx-4090 --engine llama.cpp@olama").exits(2);
    assert!(unknown.stderr.contains("ollama"), "{}", unknown.stderr);
}

#[test]
fn an_old_build_on_apples_chips_has_their_kernels_and_no_others() {
    // llama-bench pp512 of Llama 3 8B Q4_K_M on M2 Ultra: 994 tokens/s, of May 2024 (XiongjieDai/GPU-Benchmarks-on-LLM-
    // Inference); the class of CUDA boards has a set of coefficients for that build, Metal was the same.
    let ttft = |engine: &str| -> f64 {
        let line = format!(
            "estimate llama-3-8b --gpu m2-ultra --engine {engine} --weights q4_k_m --isl 512 --osl 1 --concurrency 1"
        );
        shardfit(&format!("{line} --format json")).exits(0).json()["ttft_ms"].as_f64().unwrap()
    };
    let (old, new) = (ttft("llama.cpp@b2800"), ttft("llama.cpp"));
    assert!((old / new - 1.0).abs() < 0.05, "{old} {new}");
    assert!((old / 515.1 - 1.0).abs() < 0.2, "{old}");
}

/// ggml-org/llama.cpp issue 15253, the log of ggml-org's gpt-oss-120b: 108 tensors in MXFP4, 146 in Q8_0, file size =
/// 59.02 GiB.
#[test]
fn the_file_of_an_mxfp4_checkpoint_is_in_q8_0_but_for_its_experts() {
    let model = find("openai/gpt-oss-120b", &[], Scope::Full).unwrap();
    let file = model.in_own_gguf().unwrap();
    let gib = file.checkpoint_bytes().as_gib();
    assert!((gib / 59.02 - 1.0).abs() < 0.003, "{gib}");
    let mut in_q8_0 = 0;
    file.visit_tensors(|_, storage, layers| {
        in_q8_0 += if storage.format.name() == "q8_0" { layers } else { 0 };
    });
    assert_eq!(in_q8_0, 146);
    // The same asked for by its format; others are as they are stored.
    assert_eq!(
        model.clone().with_weights_in_gguf("mxfp4".parse().unwrap()).checkpoint_bytes(),
        file.checkpoint_bytes()
    );
    assert!(find("llama-3.1-8b", &[], Scope::Full).unwrap().in_own_gguf().is_none());
    // What the engine holds: all but the embedding, which stays with the host.
    let plan = estimate("gpt-oss-120b --gpu h100-sxm --isl 1 --osl 128 --concurrency 1");
    let weights = plan["memory"]["weights_gib"].as_f64().unwrap();
    assert!((58.2..58.8).contains(&weights), "{weights}");
}

#[test]
fn files_of_gpt_oss_keep_their_experts_in_mxfp4_whatever_their_names_say() {
    // unsloth/gpt-oss-120b-GGUF: 60.88 GiB as F16, 59.03 as Q8_0, 58.46 as Q4_K_M, 58.27 as Q2_K.
    for (format, size) in [("F16", 60.88), ("Q8_0", 59.03), ("Q4_K_M", 58.46), ("Q2_K", 58.27)] {
        let run = shardfit(&format!(
            "estimate --launch \"llama-server -hf unsloth/gpt-oss-120b-GGUF:{format} -c 8192 -ngl 99\" \
             --gpu h100-sxm --offline --format json"
        ));
        let plan: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.stderr));
        let weights = plan["memory"]["weights_gib"].as_f64().unwrap();
        // The embedding, 0.6 to 1.1 GiB of the file, stays with the host.
        assert!(weights < size && weights > size - 1.3, "{format}: {weights:.2} of {size}");
        assert_eq!(plan["verdict"], "fits", "{format}");
    }
}

#[test]
fn a_hosts_memory_that_is_said_is_used_by_the_engine_that_can() {
    // 60.8 GiB of weights find no room on 24 GiB: of the engines that run there llama.cpp alone leaves experts with the host.
    let line = "plan gpt-oss-120b --cluster 1xrtx-4090 --concurrency 1 --verify 0 --format json";
    shardfit(line).exits(1);
    let with = shardfit(&format!("{line} --host memory=64GiB,bandwidth=83.2GB/s")).exits(0);
    let answer: serde_json::Value = serde_json::from_str(&with.stdout).unwrap();
    assert_eq!(answer["plans"][0]["engine"], "llama.cpp");
    assert!(answer["plans"][0]["n_cpu_moe"].as_u64().unwrap() > 0);
    // A type of cache that it alone has means it, too.
    let cache =
        shardfit("plan llama-3.1-8b --cluster 1xrtx-4090 --kv q8_0 --verify 0 --format json").exits(0);
    let answer: serde_json::Value = serde_json::from_str(&cache.stdout).unwrap();
    assert_eq!(answer["plans"][0]["engine"], "llama.cpp");
}

#[test]
fn a_launch_that_says_its_layers_is_loaded_as_told() {
    // RTX 2080 with 7.77 GiB, 4,096 tokens, one slot (https://github.com/AlexsJones/llmfit/pull/774 and 778): these run.
    let beside = "--weights q4_k_m --host memory=64GB,bandwidth=94GB/s --max-model-len 4096 --max-sequences 1 --concurrency 1";
    for (model, layers) in [("qwen3-14b", 32), ("phi-4", 32), ("gemma-3-12b", 44), ("qwen2.5-14b", 42)] {
        let line = format!("{model} --gpu rtx-2080 {beside} --isl 512 --osl 256 --gpu-layers {layers}");
        assert_ne!(estimate(&line)["memory"]["verdict"], "does_not_fit", "{model}");
    }
    // It fits itself into what leaves 1,024 MiB free (`--fit-target`) until it is told (`common/fit.cpp`).
    let shares = Offload { shares: Some(Shares::new(&[1.0, 1.0]).unwrap()), ..Offload::NONE };
    let experts = |n| Offload { host_experts: Some(n), ..Offload::NONE };
    assert!(!Offload::NONE.ends_fitting(2) && !experts(0).ends_fitting(1) && !shares.ends_fitting(1));
    assert!(experts(4).ends_fitting(1) && shares.ends_fitting(2));
    let capped = |more: &str| {
        let line = format!("qwen3-14b --gpu rtx-2080 {beside} --isl 512 --osl 256 {more}");
        estimate(&line)["gpu_layers"].as_u64().unwrap()
    };
    // What is written says the layers too: as many as find room, where others run 32.
    assert!((30..=34).contains(&capped("")), "{}", capped(""));
}

#[test]
fn the_cache_is_the_cells_of_the_slots_and_not_all_that_is_free() {
    // gpt-oss-120b: 18 layers keep 2 KiB for each of 131,072 tokens, 4.5 GiB, and 18 a window of 128.
    let line = "estimate gpt-oss-120b --gpu rtx-4090 --engine llama.cpp --host memory=64GB,bandwidth=83GB/s --n-cpu-moe 36 \
                --concurrency 1";
    let json = shardfit(&format!("{line} --max-model-len 131072 --json")).exits(0).json();
    let cache = number(&json, "memory.kv_cache_gib");
    assert!((4.5..4.7).contains(&cache), "{cache}");
    assert_eq!(number(&json, "memory.kv_cache_tokens"), 131_072.0);
    let parts = ["weights", "kv_cache", "activations", "non_torch"]
        .map(|p| number(&json, &format!("memory.{p}_gib")));
    assert!((number(&json, "memory.total_gib") - parts.iter().sum::<f64>()).abs() < 0.02, "{json:#}");
    let written = shardfit(&format!("{line} --emit command")).exits(0);
    written.says(&["4.5 GiB KV cache", "--ctx-size 131072"]);
}

#[test]
fn slots_that_nobody_counts_share_one_cache() {
    // tools/server/server.cpp: "n_parallel is set to auto, using n_parallel = 4 and kv_unified = true"; a log of gpt-oss-20b has
    // 12 layers with all cells and 12 with the windows of four slots and a micro-batch (llama-kv-cache-iswa.cpp).
    let cache = |flags: &str| {
        let line = format!(
            "estimate --offline --gpu rtx-4090 --json --launch \"llama-server -hf ggml-org/gpt-oss-20b-GGUF {flags}\""
        );
        let json = shardfit(&line).json();
        (number(&json, "memory.kv_cache_gib"), number(&json, "memory.kv_cache_tokens"))
    };
    // 12 layers of 2 KiB a token: 0.75 GiB for 32,768 cells, 3 GiB for the model's 131,072, and 1,024 cells of windows.
    for (flags, gib, tokens) in [
        ("-c 32768", 0.773, 32_768.0),
        ("-c 0", 3.023, 131_072.0),
        ("-c 32768 -np 4 --kv-unified", 0.773, 32_768.0),
        // Apart, each of four has the cells of its own window and micro-batch: 4 times 768.
        ("-c 32768 -np 4", 0.82, 32_768.0),
        ("-c 32768 -np 1", 0.768, 32_768.0),
    ] {
        let (held, cells) = cache(flags);
        assert!((held - gib).abs() < 0.006, "{flags}: {held}");
        assert_eq!(cells, tokens, "{flags}");
    }
    // Before November 2025 (pull request 16736) there was one.
    let one = "estimate llama-3.1-8b --gpu rtx-4090 --weights q4_k_m --json --engine llama.cpp";
    assert_eq!(number(&shardfit(&format!("{one}@b6500")).json(), "max_sequences"), 1.0);
}

#[test]
fn a_better_launch_has_as_many_slots() {
    // More slots than users ask for make each of them wait: `-np 1` is one user.
    let line = "estimate --offline --gpu rtx-4090 --launch \"llama-server -hf ggml-org/gpt-oss-20b-GGUF -c 32768 -np 1\"";
    let said = shardfit(line).exits(0).stdout;
    assert!(!said.contains("sequences: 1 →"), "{said}");
}

//! What starts and what is refused: the engines' own accounting, worked by hand from their sources.

use crate::common::shardfit;
use serde_json::Value;
use shardfit::catalog::Catalog;
use shardfit::validate::Table;
use shardfit::validate::memory::account;

const MIB: f64 = (1 << 20) as f64;
const GIB: f64 = (1 << 30) as f64;

/// The JSON of an estimate that may or may not fit.
fn estimate(arguments: &str) -> Value {
    let run = shardfit(&format!("estimate {arguments} --offline --format json"));
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.stderr))
}

/// GiB of cache that one request of the longest length needs.
fn one_request(arguments: &str) -> f64 {
    estimate(arguments)["memory"]["one_request_gib"].as_f64().unwrap()
}

fn close(got: f64, worked: f64) {
    assert!((got / worked - 1.0).abs() < 1e-4, "{got} for {worked}");
}

#[test]
fn a_window_keeps_the_tokens_in_flight_of_a_step_and_from_0_26_of_two() {
    // Gemma 4 31B: 10 layers keep all of 4 heads of 512, 50 a window of 1,024 of 16 heads of 256, 16 bits each. Blocks of
    // 16 tokens take 262,144 B a layer, so that those of the first hold 32; ten layers of a group, one group of them and
    // five of windows (`kv_cache_utils.py`; vllm-project/vllm#49878 prints both figures).
    let launch = |version: &str| {
        one_request(&format!(
            "google/gemma-4-31B-it --gpu rtx-pro-6000 --engine vllm@{version} --max-model-len 262144 \
             --max-batched-tokens 32768 --kv-cache-memory-bytes 49GiB"
        ))
    };
    let block = 10.0 * 262_144.0;
    let worked = |in_flight: f64| {
        (262_144.0 / 32.0 + 5.0 * (((1023.0 + in_flight) / 16.0).ceil() + 1.0)) * block / GIB
    };
    close(launch("0.25.1"), worked(32_768.0));
    close(launch("0.26.0"), worked(2.0 * 32_768.0));
    assert!((worked(32_768.0) - 45.79).abs() < 0.01 && (worked(65_536.0) - 70.79).abs() < 0.01);
}

#[test]
fn every_fourth_layer_of_llama_4_keeps_everything_and_at_first_every_layer() {
    // 48 layers of one key-value head of 128 on each of eight ranks, 512 B a token in 16 bits (vllm-project/vllm#16118:
    // 24.00 GiB). From 0.9.1 on in groups of 12 layers, of which three keep chunks of 8,192 and a step of as many.
    let launch = |version: &str| {
        one_request(&format!(
            "meta-llama/Llama-4-Scout-17B-16E-Instruct --gpu h100-sxm --tp 8 --engine vllm@{version} --weights fp8 \
             --max-batched-tokens 8192 --max-model-len 1048576"
        ))
    };
    close(launch("0.8.3"), 48.0 * 512.0 * 1_048_576.0 / GIB);
    let blocks = 65_536.0 + 3.0 * ((8192.0 + 8192.0) / 16.0);
    close(launch("0.19.0"), blocks * 12.0 * 512.0 * 16.0 / GIB);
}

#[test]
fn caches_of_deepseek_v4_lie_in_blocks_of_all_their_kinds() {
    let launch = |version: &str| {
        one_request(&format!(
            "deepseek-ai/DeepSeek-V4-Flash --gpu gh200 --tp 2 --engine vllm@{version} --kv fp8 --max-model-len 30000 \
             --max-batched-tokens 16384"
        ))
    };
    // Pages, multiples of 576: 64 entries of 584 B, 64 index keys of 132 B, 2 entries of 584 B. 21, 21 and 20 layers have
    // them, 43 a window of 128 tokens in blocks of 64, in two groups; keys wait in windows of 8 and 128 tokens in blocks of
    // 4 and 8. 6.66 GiB in 0.22 (vllm-project/vllm#44376).
    let (entries, keys, few) = (37_440.0, 8_640.0, 1_728.0);
    let blocks = |in_flight: f64| {
        let window =
            |tokens: f64, block: f64| ((tokens - 1.0 + in_flight).min(30_000.0) / block).ceil() + 1.0;
        (30_000.0f64 / 256.0).ceil() + 2.0 * window(128.0, 64.0) + window(8.0, 4.0) + window(128.0, 8.0)
    };
    assert_eq!(blocks(16_384.0), 6_800.0);
    close(launch("0.22.1"), blocks(16_384.0) * 22.0 * (entries + keys + few) / GIB);
    // From 0.27 on a block is as large as its largest group, 1,002,240 B.
    let block = 21.0 * entries + 21.0 * keys + 20.0 * few;
    assert_eq!(block, 1_002_240.0);
    close(launch("0.28.0"), blocks(32_768.0) * block / GIB);
}

/// Qwen3.6-27B in FP8 on one H100 as its recipe had it.
fn recurrent(more: &str) -> String {
    format!("Qwen/Qwen3.6-27B-FP8 --gpu h100-sxm --memory-fraction 0.95 --max-model-len 262144 {more}")
}

#[test]
fn kept_prefixes_take_a_state_more_and_drafts_one_each() {
    // 16 layers of attention, 4,096 B a token; 48 recurrent ones, whose state makes blocks of 784 tokens: 49 MiB for 16
    // layers, one group of attention and three of states (vllm-project/recipes#551: blocks of 49 MiB).
    let attention = (262_144.0f64 / 784.0).ceil();
    let needs = |states: f64| (attention + 3.0 * states) * 49.0 * MIB / GIB;
    close(one_request(&recurrent("--engine vllm@0.25.1")), needs(1.0));
    close(one_request(&recurrent("--engine vllm@0.26.0")), needs(2.0));
    close(one_request(&recurrent("--engine vllm@0.26.0 --no-enable-prefix-caching")), needs(1.0));
}

#[test]
fn more_sequences_than_state_blocks_are_refused_with_the_number_that_starts() {
    let stated =
        |version: &str| estimate(&recurrent(&format!("--engine vllm@{version} --max-sequences 1024")));
    let refused = stated("0.21.0");
    assert_eq!(refused["verdict"], "does_not_fit");
    let message = refused["reasons"][0]["message"].as_str().unwrap();
    assert!(message.contains("starts with 1024 sequences") && message.contains("of 8"), "{message}");
    // 0.19 captures fewer graphs instead (`adjust_cudagraph_sizes_for_mamba_cache`).
    assert_eq!(stated("0.19.1")["verdict"], "fits");
    let eager = recurrent("--engine vllm@0.21.0 --max-sequences 1024 --enforce-eager");
    assert_eq!(estimate(&eager)["verdict"], "fits");
}

#[test]
fn buffers_of_the_exchange_hold_a_step_from_0_21_on() {
    // 8 × tokens × 256 experts × 7,168: 8,192 tokens take 112 GiB, 256 tokens 3.5.
    let buffers = |engine: &str| {
        let json = estimate(&format!(
            "deepseek-v3 --gpu h200-sxm --attention-dp 32 --ep 32 --engine {engine} --max-batched-tokens 8192"
        ));
        json["memory"]["non_torch_gib"].as_f64().unwrap()
    };
    let grown = buffers("vllm@0.21.0-deepep") - buffers("vllm@0.20.0-deepep");
    close(grown, 8.0 * (8192.0 - 256.0) * 256.0 * 7168.0 / GIB);
}

#[test]
fn redundant_experts_take_memory() {
    let weights = |more: &str| {
        let json = estimate(&format!("deepseek-v3 --gpu h200-sxm --tp 8 --ep 8 --engine vllm {more}"));
        json["memory"]["weights_gib"].as_f64().unwrap()
    };
    // Four experts more on each rank, of 58 layers: 3 × 7,168 × 2,048 bytes and a 4-byte scale for 128 × 128.
    let each = 3.0 * 7168.0 * 2048.0 * (1.0 + 4.0 / 16_384.0);
    let grown = weights("--redundant-experts 32") - weights("");
    assert!((grown / (58.0 * 4.0 * each / GIB) - 1.0).abs() < 0.01, "{grown}");
}

#[test]
fn experts_need_not_divide_where_the_engine_spreads_the_rest() {
    let launch = |engine: &str| {
        shardfit(&format!("estimate deepseek-r1 --gpu gb200 --attention-dp 48 --ep 48 --engine {engine}"))
    };
    launch("sglang").exits(0);
    let refused = launch("trtllm").exits(2);
    assert!(refused.stderr.contains("ep=48 does not divide 256 experts"), "{}", refused.stderr);
}

#[test]
fn attention_under_tensorrt_llm_is_tensor_or_data_parallel() {
    let both = "estimate deepseek-r1 --gpu b200-sxm --tp 2 --attention-dp 4 --ep 8 --engine";
    let refused = shardfit(&format!("{both} trtllm")).exits(2);
    assert!(refused.stderr.contains("attention of both kinds at once"), "{}", refused.stderr);
    shardfit(&format!("{both} sglang")).exits(0);
}

#[test]
fn groups_of_four_bit_integers_stay_whole() {
    // Qwen2.5-72B as it was trained, quantised by its user: 29,568 / 128 = 231 groups, which two ranks do not divide. The
    // publisher's own files are padded to 29,696.
    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "model_type": "qwen2", "hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80,
        "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 152064, "max_position_embeddings": 32768,
        "tie_word_embeddings": false,
        "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "sym": true}
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let path = folder.path().display();
    let launch = |tp| format!("estimate {path} --gpu h100-sxm --engine vllm --tp {tp}");
    let refused = shardfit(&launch(2)).exits(2);
    assert!(refused.stderr.contains("tp=2 does not divide 231"), "{}", refused.stderr);
    shardfit(&launch(1)).exits(0);
}

#[test]
fn scores_are_kept_whole_before_flash_attention_was_the_default() {
    // 512 tokens × 70,016 cells × 32 heads × 4 B, and a mask of 6 B each (ggml-org/llama.cpp#15009: 4,536.8 MiB in all).
    let buffer = |build: &str| {
        let json = estimate(&format!(
            "qwen3-30b-a3b --gpu ryzen-ai-max-395 --engine llama.cpp@{build} --weights q8_0 --max-sequences 1 \
             --max-model-len 70016 --allow-long-context"
        ));
        json["memory"]["activations_gib"].as_f64().unwrap()
    };
    assert!((buffer("b6050") * 1024.0 / 4536.8 - 1.0).abs() < 0.025, "{}", buffer("b6050") * 1024.0);
    // What both hold beside them differs by the mask of flash attention, 1 % of the scores.
    let scores = buffer("b6050") - buffer("b7000");
    assert!((scores / (512.0 * 70_016.0 * 32.0 * 4.0 / GIB) - 1.0).abs() < 0.015, "{scores}");
}

#[test]
fn a_length_that_is_not_stated_is_judged_at_the_models_context() {
    // Llama 3.1 8B, 131,072 tokens of 128 KiB, on 24 GiB.
    let text = shardfit("estimate llama-3.1-8b --gpu rtx-4090 --engine vllm@0.28").exits(0).stdout;
    assert!(text.contains("starts at") && text.contains("refused at its default 131,072"), "{text}");
    let json = estimate("llama-3.1-8b --gpu rtx-4090 --engine vllm@0.28");
    assert_eq!(json["room"]["default_length"]["verdict"], "does_not_fit");
    assert_eq!(json["verdict"], "fits");
    let stated = estimate("llama-3.1-8b --gpu rtx-4090 --engine vllm@0.28 --max-model-len 131072");
    assert_eq!(stated["verdict"], "does_not_fit");
    // A launch that leaves it out starts with it; SGLang starts with whatever cache there is.
    let launched = |command: &str| {
        estimate(&format!("llama-3.1-8b --gpu rtx-4090 --launch '{command}'"))["verdict"].clone()
    };
    assert_eq!(launched("vllm serve meta-llama/Llama-3.1-8B"), "does_not_fit");
    assert_eq!(launched("vllm serve meta-llama/Llama-3.1-8B --max-model-len 8192"), "fits");
    // From 0.5.20 on it keeps 7.3 GB of such a GPU free for steps of 4,096 tokens and graphs, 4 before
    // (arg_groups/memory_hook.py): little is left beside 15 GiB of weights.
    let sglang = "python -m sglang.launch_server --model meta-llama/Llama-3.1-8B";
    assert_eq!(launched(sglang), "marginal");
    let before = estimate(&format!("llama-3.1-8b --gpu rtx-4090 --engine sglang@0.5.19 --launch '{sglang}'"));
    assert_eq!(before["verdict"], "fits");
}

#[test]
fn options_that_an_engine_does_not_have_are_refused() {
    for (option, engine) in [
        ("--memory-fraction 0.9", "llama.cpp"),
        ("--kv-cache-memory-bytes 8GiB", "llama.cpp"),
        ("--language-model-only", "sglang"),
        ("--redundant-experts 8", "trtllm"),
    ] {
        let refused =
            shardfit(&format!("estimate llama-3.1-8b --gpu h100-sxm --engine {engine} {option}")).exits(2);
        assert!(refused.stderr.contains("has no such option"), "{engine} {option}: {}", refused.stderr);
    }
    let text = shardfit("estimate llama-3.1-8b --gpu h100-sxm --engine llama.cpp").exits(0).stdout;
    assert!(!text.contains("gpu_memory_utilization"), "{text}");
}

#[test]
fn larger_gpus_take_longer_steps_from_0_28_on_and_gb10_shorter_ones_from_0_33() {
    let tokens = |gpu: &str, version: &str| {
        estimate(&format!("llama-3.1-8b --gpu {gpu} --engine vllm@{version}"))["max_batched_tokens"].clone()
    };
    assert_eq!((tokens("b200-sxm", "0.27.1"), tokens("b200-sxm", "0.28.0")), (8192.into(), 16_384.into()));
    assert_eq!((tokens("gb10", "0.32.0"), tokens("gb10", "0.33.0")), (8192.into(), 2048.into()));
}

#[test]
fn inner_widths_of_mxfp4_experts_are_padded_less_from_0_28_on() {
    // gpt-oss-120b over eight B200: 360 of 2,880 inner features each, in multiples of 256 up to 0.26 and of 128 from 0.28
    // (`fused_moe/oracle/mxfp4.py`, `mxfp4_round_up_hidden_size_and_intermediate_size`), of a width padded to 3,072: 36
    // layers of 128 experts of three matrices, 17 bytes for 32 values.
    let weights = |version: &str| {
        let json = estimate(&format!("gpt-oss-120b --gpu b200-sxm --tp 8 --engine vllm@{version}"));
        json["memory"]["weights_gib"].as_f64().unwrap()
    };
    let spared = 36.0 * 128.0 * 3.0 * 3072.0 * (512.0 - 384.0) * 17.0 / 32.0 / GIB;
    let got = weights("0.26.0") - weights("0.28.0");
    assert!((got / spared - 1.0).abs() < 0.01, "{got} for {spared}");
}

#[test]
fn graphs_that_are_captured_beside_the_cache_need_room_of_their_own() {
    // Qwen3-30B-A3B over four A10 ran out of memory while capturing and started without graphs in 0.8.5
    // (vllm-project/vllm#17469): a tenth of 22 GiB is left beside the cache, and about 1.6 GiB of graphs wanted.
    let launch = |version: &str, more: &str| {
        estimate(&format!(
            "qwen3-30b-a3b --gpu a10 --tp 4 --engine vllm@{version} --max-model-len 1024 --max-sequences 1 {more}"
        ))
    };
    assert_eq!(launch("0.8.5", "")["verdict"], "marginal");
    assert_eq!(launch("0.8.5", "--enforce-eager")["verdict"], "fits");
    // From 0.21 on they are inside the fraction (`gpu_worker.py`, `determine_available_memory`).
    assert_eq!(launch("0.21.0", "")["verdict"], "fits");
    // All but a thousandth for the cache leaves nothing to capture in.
    let refused = launch("0.8.5", "--memory-fraction 0.999");
    assert_eq!(refused["verdict"], "does_not_fit");
    assert_eq!(refused["reasons"][0]["reason"], "out_of_memory");
}

#[test]
fn steps_longer_than_what_is_captured_add_nothing_to_graphs() {
    let graphs = |tokens: u64| {
        let json = estimate(&format!(
            "deepseek-r1 --gpu gb200 --tp 4 --engine vllm@0.33 --max-batched-tokens {tokens} --max-sequences 1024"
        ));
        json["memory"]["cuda_graphs_gib"].as_f64().unwrap()
    };
    assert_eq!(graphs(8192), graphs(32_768));
    assert!(graphs(2048) < graphs(8192));
}

#[test]
fn experts_on_a_narrower_width_take_activations_of_that_width() {
    // Nemotron 3 Super: 22 experts a token on 1,024 features of 4,096; five times 2,688 inner features beside them.
    let peak = |gpu: &str, tokens: u64| {
        let json = estimate(&format!(
            "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4 --gpu {gpu} --engine vllm@0.33 --max-sequences 1 \
             --max-batched-tokens {tokens}"
        ));
        json["memory"]["activations_gib"].as_f64().unwrap()
    };
    let token = (peak("b200-sxm", 16_384) - peak("b200-sxm", 8192)) * GIB / 8192.0;
    let (inner, width, hidden, top_k) = (2688.0, 1024.0, 4096.0, 22.0);
    close(token, 2.0 * (top_k * (3.0 * inner + width) + 4.3 * hidden));
}

#[test]
fn residual_streams_side_by_side_take_activations() {
    // DeepSeek-V4-Flash: four streams of 4,096 in 16 bits, of which one is among the usual copies; the step reads the old
    // and writes the new ones. Two GH200 had 5.44 GiB of cache for 6.66 and refused (vllm-project/vllm#44376).
    let launch = estimate(
        "deepseek-ai/DeepSeek-V4-Flash --gpu gh200 --tp 2 --engine vllm@0.22 --kv fp8 --max-model-len 30000 \
         --max-batched-tokens 16384 --memory-fraction 0.95",
    );
    assert_ne!(launch["verdict"], "fits");
}

#[test]
fn engines_have_a_least_compute_capability_of_all_and_of_a_format() {
    let launch = |model: &str, gpu: &str, engine: &str, more: &str| {
        shardfit(&format!("estimate {model} --gpu {gpu} --engine {engine} {more} --offline"))
    };
    let refused = |model: &str, gpu: &str, engine: &str, more: &str, why: &str| {
        let run = launch(model, gpu, engine, more).exits(2);
        assert!(run.stderr.contains(why), "{engine} on {gpu}: {}", run.stderr);
    };
    // vLLM `layers/quantization/fp8.py`, get_min_capability: 80 in 0.11, 75 in 0.21; `mxfp4.py` 80 in both.
    let small = "qwen3-0.6b";
    refused(small, "t4", "vllm@0.11", "--weights fp8", "does not compute in fp8");
    launch(small, "t4", "vllm@0.21", "--weights fp8").exits(0);
    refused(small, "v100-sxm-32gb", "vllm@0.21", "--weights fp8", "does not compute in fp8");
    refused("gpt-oss-20b", "t4", "vllm@0.33", "--tp 2", "does not compute in mxfp4");
    // MXFP8: vLLM `modelopt.py` 100 in 0.19, 80 in 0.20; SGLang `fp8.py` 100 in 0.5.12 and 0.5.23, none in 0.5.8; TensorRT-LLM
    // since pull request 14962 of June 2026.
    let scaled = "--weights mxfp8";
    refused(small, "h100-sxm", "vllm@0.19", scaled, "does not compute in mxfp8");
    launch(small, "h100-sxm", "vllm@0.20", scaled).exits(0);
    launch(small, "b200-sxm", "vllm@0.19", scaled).exits(0);
    refused(small, "h100-sxm", "sglang@0.5.23", scaled, "does not compute in mxfp8");
    launch(small, "b200-sxm", "sglang@0.5.12", scaled).exits(0);
    refused(small, "b200-sxm", "sglang@0.5.8", scaled, "does not compute in mxfp8");
    launch(small, "b200-sxm", "trtllm@1.3", scaled).exits(0);
    refused(small, "b200-sxm", "trtllm@1.1", scaled, "does not compute in mxfp8");
    // SGLang 0.5.14 and 0.5.23 `load_model`: "SGLang only supports sm75 and above."
    refused(small, "v100-sxm-32gb", "sglang@0.5.14", "", "does not run on such GPUs");
    launch(small, "t4", "sglang@0.5.14", "").exits(0);
    // TensorRT-LLM's support matrix begins with Ampere.
    refused(small, "t4", "trtllm@1.1", "", "does not run on such GPUs");
    launch(small, "a10", "trtllm@1.1", "").exits(0);
}

#[test]
fn groups_of_mixer_heads_and_experts_over_an_exchange_are_whole() {
    let refused = |asked: &str, why: &str| {
        let run = shardfit(&format!("estimate {asked} --offline")).exits(2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    };
    // Eight groups of 128 heads: vLLM 0.33 `layers/mamba/mamba_mixer2.py`.
    let hybrid = "nvidia/Nemotron-H-56B-Base-8K --gpu h100-sxm --engine vllm@0.33";
    shardfit(&format!("estimate {hybrid} --tp 8 --offline")).exits(0);
    refused(&format!("{hybrid} --tp 16"), "tp=16 does not divide 8 groups of mixer heads");
    // SGLang 0.5.14 `server_args.py`: with DeepEP `ep_size` is `tp_size`, which counts all ranks.
    let exchange = "deepseek-r1 --gpu h200-sxm --attention-dp 16 --engine sglang@0.5.14-deepep";
    shardfit(&format!("estimate {exchange} --ep 16 --offline")).exits(0);
    refused(&format!("{exchange} --ep 8"), "partial expert parallel");
}

/// Launches of every engine, small and large, with options that change what is set aside.
const LAUNCHES: [&str; 14] = [
    "vllm@0.19.0 llama-3.1-8b h100-sxm tp=1 --max-model-len 8192 --max-num-seqs 128",
    "vllm@0.28.0 qwen3-30b-a3b h100-sxm tp=2 --max-num-batched-tokens 16384",
    "vllm@0.11.0 gpt-oss-120b h100-sxm tp=1 --gpu-memory-utilization 0.95",
    "vllm@0.8.5-v0 deepseek-r1 h200-sxm tp=8 --max-model-len 65536",
    "vllm@0.7.3 llama-3.1-70b a100-sxm-80gb tp=4 --max-model-len 131072",
    "sglang@0.5.23 qwen3-8b rtx-5090 tp=1 --max-model-len 40960",
    "sglang@0.5.10 qwen3-32b h100-sxm tp=2 --gpu-memory-utilization 0.8",
    "trtllm@1.1 llama-3.1-8b h100-sxm tp=1 --max-num-batched-tokens 4096",
    "vllm@0.28.0 qwen3-8b h100-sxm tp=1 --enforce-eager true --kv-cache-memory-bytes 20GiB",
    "vllm@0.28.0 qwen2.5-vl-7b a100-sxm-80gb tp=1 --language-model-only true --block-size 32",
    "vllm@0.28.0 deepseek-r1 h200-sxm tp=8 --redundant-experts 8",
    "vllm@0.28.0 qwen3-32b rtx-5090 tp=2 --cpu-offload-gb 10 --max-model-len 8192",
    "vllm@0.28.0 llama-3.1-8b h100-sxm tp=1 --cudagraph-mode full_decode_only",
    "sglang@0.5.23 llama-3.1-8b h100-sxm tp=1 --max-cudagraph-capture-size 16",
];

#[test]
fn estimates_and_validation_agree_on_every_launch() {
    let columns = [
        ("--max-model-len", "max_model_len", "--max-model-len"),
        ("--max-num-seqs", "max_num_seqs", "--max-sequences"),
        ("--max-num-batched-tokens", "max_num_batched_tokens", "--max-batched-tokens"),
        ("--gpu-memory-utilization", "gpu_memory_utilization", "--memory-fraction"),
        ("--kv-cache-memory-bytes", "kv_cache_memory_bytes", "--kv-cache-memory-bytes"),
        ("--block-size", "block_size", "--block-size"),
        ("--redundant-experts", "redundant_experts", "--redundant-experts"),
        ("--cpu-offload-gb", "cpu_offload_gb", "--cpu-offload-gb"),
        ("--cudagraph-mode", "cudagraph_mode", "--cudagraph-mode"),
        ("--max-cudagraph-capture-size", "max_cudagraph_capture_size", "--max-cudagraph-capture-size"),
        ("--enforce-eager", "enforce_eager", "--enforce-eager"),
        ("--language-model-only", "language_model_only", "--language-model-only"),
    ];
    for launch in LAUNCHES {
        let words: Vec<&str> = launch.split(' ').collect();
        let (name, version) = words[0].split_once('@').unwrap();
        let tp = words[3].trim_start_matches("tp=");
        let stated = |flag: &str| words.iter().position(|word| *word == flag).map(|i| words[i + 1]);
        let mut header = "engine,engine_version,model,gpu,tp".to_owned();
        let mut cells = format!("{name},{version},{},{},{tp}", words[1], words[2]);
        let mut asked = format!("{} --gpu {} --tp {tp} --engine {}", words[1], words[2], words[0]);
        for (flag, column, option) in columns {
            let Some(value) = stated(flag) else { continue };
            header = format!("{header},{column}");
            cells = format!("{cells},{value}");
            asked = format!("{asked} {option}");
            if value != "true" {
                asked = format!("{asked} {value}");
            }
        }
        let table = Table::parse(&format!("{header}\n{cells}\n"), "rows").unwrap();
        let row = account(&table.row(0), &Catalog::built_in()).unwrap();
        let estimated = estimate(&asked);
        for (part, gib) in [
            ("weights_gib", row.weights),
            ("kv_cache_gib", row.kv_cache),
            ("activations_gib", row.activations),
            ("non_torch_gib", row.non_torch),
            ("cuda_graphs_gib", row.cuda_graphs),
        ] {
            let said = estimated["memory"][part].as_f64().unwrap();
            assert!((said - gib.as_gib()).abs() < 1e-3, "{launch}: {part} {said} and {}", gib.as_gib());
        }
    }
}

/// GiB of a part of memory.
fn part(arguments: &str, name: &str) -> f64 {
    estimate(arguments)["memory"][name].as_f64().unwrap()
}

#[test]
fn experts_take_16_384_tokens_at_a_time_and_from_0_18_on_all() {
    // Qwen3-30B-A3B at 32,768 tokens of two ranks each: two workspaces of 8 × 2,048 values of 16 bits a token (`fused_moe.py`,
    // `cache13` of 0.17; `TritonExperts.workspace_shapes` of 0.19), beside the sampler's 3.85 × 1,024 × 151,936 values of 32
    // bits, which are more than a layer's forward values.
    let activations = |version: &str, more: &str| {
        let asked =
            format!("qwen3-30b-a3b --gpu h200-sxm --max-batched-tokens 32768 --max-model-len 4096 {more}");
        part(&format!("{asked} --engine vllm@{version}"), "activations_gib")
    };
    let workspaces = |tokens: f64| tokens * 8.0 * (2048.0 + 2048.0) * 2.0 / GIB;
    let sampler = 3.85 * 1024.0 * 151_936.0 * 4.0 / GIB;
    close(activations("0.17.1", ""), sampler + workspaces(16_384.0));
    close(activations("0.19.0", ""), sampler + workspaces(32_768.0));
    // Of 0.11 32,768 of 65,536 (`envs.py`: VLLM_FUSED_MOE_CHUNK_SIZE). From 0.18 on what gathered tokens may take beyond is
    // uncertain: no start with them has left a log.
    let ranks = "--attention-dp 2 --ep 2";
    let band = |version: &str| {
        let asked =
            format!("qwen3-30b-a3b --gpu h200-sxm --max-batched-tokens 32768 --max-model-len 4096 {ranks}");
        estimate(&format!("{asked} --engine vllm@{version}"))["room"]["band_gib"].as_f64().unwrap()
    };
    close(activations("0.19.0", ranks), sampler + workspaces(32_768.0));
    close(band("0.19.0"), 0.5 + workspaces(32_768.0));
    close(band("0.17.1"), 0.5);
}

#[test]
fn weights_with_the_host_are_read_over_the_link_in_every_step() {
    // 64 GB/s of a PCIe 5.0 slot, of which pinned memory reaches 0.8: 5 GiB take 104.9 ms.
    let link = 5.0 * GIB / (64e9 * 0.8) * 1e3;
    let asked = |engine: &str, more: &str| {
        estimate(&format!("llama-3.1-8b --gpu h100-sxm --concurrency 1 --engine {engine} {more}"))
    };
    let (offload, mut read) = ("--cpu-offload-gb 5", Vec::new());
    for engine in ["vllm@0.8.5-v0", "vllm@0.8.5", "vllm@0.33.0", "sglang@0.5.23"] {
        let (whole, with) = (asked(engine, ""), asked(engine, offload));
        let gib = |json: &Value, name: &str| json["memory"][name].as_f64().unwrap();
        let (weights, host) =
            (gib(&whole, "weights_gib") - gib(&with, "weights_gib"), gib(&with, "host_gib"));
        assert_eq!(((weights * 100.0).round(), host), (500.0, 5.0), "{engine}");
        let tpot = |json: &Value| json["tpot_ms"].as_f64().unwrap();
        read.push((tpot(&with) - tpot(&whole)) / link);
        // Copies are beside the activations: a layer of 436 MB (V0 `models/utils.py`, SGLang `utils/offloader.py`).
        let copied = gib(&with, "activations_gib") - gib(&whole, "activations_gib");
        let layer =
            (2.0 * 4096.0 * 4096.0 + 2.0 * 4096.0 * 1024.0 + 3.0 * 4096.0 * 14_336.0 + 2.0 * 4096.0) * 2.0;
        let expected = if read.len() % 3 == 1 { layer / GIB } else { 0.0 };
        assert!((copied - expected).abs() < 0.001, "{engine}: {copied} for {expected}");
    }
    // Whole layers are copied before they are computed; kernels that read over the link compute meanwhile.
    assert!((read[0] - 1.0).abs() < 0.001 && (read[3] - 1.0).abs() < 0.001, "{read:?}");
    assert!(read[1] < 0.99 && read[1] > 0.96 && read[2] < 0.99 && read[2] > 0.96, "{read:?}");
}

#[test]
fn of_experts_with_the_host_those_that_are_chosen_are_read() {
    // Qwen3-30B-A3B: 8 of 128 experts a token. V0 copied all of them.
    let waits = |engine: &str| {
        let asked = |more: &str| {
            let json =
                estimate(&format!("qwen3-30b-a3b --gpu h100-sxm --concurrency 1 --engine {engine} {more}"));
            json["tpot_ms"].as_f64().unwrap()
        };
        asked("--cpu-offload-gb 20") - asked("")
    };
    let (copied, read) = (waits("vllm@0.8.5-v0"), waits("vllm@0.8.5"));
    close(copied, 20.0 * GIB / (64e9 * 0.8) * 1e3);
    assert!(read < copied * 0.13 && read > copied * 8.0 / 128.0, "{read} of {copied}");
}

#[test]
fn the_host_must_hold_what_is_left_to_it() {
    let of = |memory: &str| {
        estimate(&format!(
            "llama-3.1-70b --gpu a100-sxm-80gb --tp 2 --engine vllm --cpu-offload-gb 10 --max-model-len 8192 --host \
             memory={memory},bandwidth=200GB/s"
        ))
    };
    // Two ranks of 10 GiB each; a replica on two of eight GPUs has a quarter of the host.
    assert_eq!(of("64GiB")["memory"]["host_gib"], 20.0);
    assert_eq!(of("64GiB")["verdict"], "fits");
    assert_eq!(of("16GiB")["reasons"][0]["reason"], "host_out_of_memory");
}

#[test]
fn graphs_take_as_many_sizes_as_are_captured() {
    // 0.19 and later: 51 sizes of pieces up to 512 tokens and 51 of whole steps, 0.40 + 32 × 0.015 GiB; up to 64 tokens 11 of
    // each. 0.9 captured pieces alone (`config/vllm.py`, `_set_cudagraph_sizes`; 0.9.2 `config.py`, `cuda_graph_sizes`).
    let graphs = |version: &str, more: &str| {
        part(&format!("llama-3.1-8b --gpu h100-sxm --engine vllm@{version} {more}"), "cuda_graphs_gib")
    };
    let all = 0.40 + 32.0 * 0.015;
    for (more, share) in [
        ("", 1.0),
        ("--max-cudagraph-capture-size 64", 22.0 / 102.0),
        ("--cudagraph-mode full_decode_only", 51.0 / 102.0),
        ("--cudagraph-mode piecewise --max-cudagraph-capture-size 8", 4.0 / 102.0),
        ("--cudagraph-mode none", 0.0),
        ("--enforce-eager", 0.0),
    ] {
        assert!((graphs("0.33.0", more) - all * share).abs() < 1e-4, "{more}");
    }
    assert!((graphs("0.9.2", "") - all).abs() < 1e-4);
    assert!((graphs("0.9.2", "--max-cudagraph-capture-size 64") - all * 11.0 / 51.0).abs() < 1e-4);
}

#[test]
fn steps_beyond_the_largest_graph_are_launched_kernel_by_kernel() {
    let tpot = |more: &str| {
        let json =
            estimate(&format!("llama-3.1-8b --gpu h100-sxm --engine vllm@0.33.0 --concurrency 8 {more}"));
        json["tpot_ms"].as_f64().unwrap()
    };
    let captured = tpot("--max-cudagraph-capture-size 8");
    assert_eq!(captured, tpot(""));
    // At least 0.4 ms a layer.
    let eager = tpot("--enforce-eager");
    assert!(eager > 32.0 * 0.4 && eager > 1.5 * captured, "{eager} beside {captured}");
    assert_eq!(tpot("--cudagraph-mode none"), eager);
    // The steps of prompts keep their graphs.
    let few = tpot("--max-cudagraph-capture-size 4");
    assert!(few <= eager && few > 0.98 * eager, "{few} beside {eager}");
}

#[test]
fn sglang_keeps_less_free_for_fewer_graphs() {
    // 2 MiB for each sequence of the largest (memory_hook.py of 0.5.23, server_args.py of 0.5.9): 256 on one H100, of
    // 81,559 MiB; 1 MiB for each size and layer, 35 sizes up to 256 and 5 up to 16.
    for version in ["0.5.9", "0.5.23"] {
        let room = |more: &str| {
            let asked = format!(
                "llama-3.1-8b --gpu h100-sxm --engine sglang@{version} --max-batched-tokens 8192 {more}"
            );
            let json = estimate(&asked);
            let of = |name: &str| json[name].clone();
            (
                of("room")["memory_fraction"].as_f64().unwrap(),
                of("memory")["cuda_graphs_gib"].as_f64().unwrap(),
            )
        };
        let (all, few) = (room(""), room("--max-cudagraph-capture-size 16"));
        assert!((few.0 - all.0 - 480.0 / 81_559.0).abs() < 0.0011, "{version}: {all:?} {few:?}");
        assert!((all.1 - few.1 - 30.0 * 32.0 / 1024.0).abs() < 1e-4, "{version}: {all:?} {few:?}");
    }
}

#[test]
fn short_spellings_of_vllms_parser_are_read() {
    // `-O0` has no graphs and `-O1` pieces alone (`config/vllm.py`, `OPTIMIZATION_LEVEL_00`, 0.12 on).
    for (said, mode) in [
        ("-O0", Some("none")),
        ("-O 1", Some("piecewise")),
        ("-O2", None),
        ("-cc.cudagraph_mode=FULL_DECODE_ONLY", Some("full_decode_only")),
        ("-cc '{\"cudagraph_mode\": \"NONE\", \"cudagraph_capture_sizes\": [1, 2, 4]}'", Some("none")),
    ] {
        let text = format!("vllm serve org/m {said}");
        let found = shardfit::launch::invocations(&text, &|_: &str| None).unwrap();
        let server = shardfit::launch::speech::read(&found[0], None);
        assert!(server.unread.is_empty(), "{said}: {:?}", server.unread);
        assert_eq!(server.graph_mode.as_deref(), mode, "{said}");
        assert_eq!(server.largest_graph, said.contains("sizes").then_some(4), "{said}");
    }
}

#[test]
fn the_largest_image_is_encoded_at_the_start() {
    // Qwen3.6-27B: 16,384 tokens of four patches; two residuals of 1,152 and 1,536 pixels of 32 bits on every rank, 1,152 and
    // twice 4,304 divided. vLLM 0.19 and 0.26 `gpu_model_runner.py`, `profile_run`; without it the sampler's peak.
    let peak = |version: &str, more: &str| {
        let asked =
            "qwen3.6-27b --gpu h200-sxm --max-batched-tokens 2048 --max-sequences 256 --max-model-len 32768";
        part(&format!("{asked} --engine vllm@{version} {more}"), "activations_gib")
    };
    let encoder =
        |ranks: f64| 65_536.0 * (2.0 * (1152.0 + 1536.0) + (1152.0 + 2.0 * 4304.0) / ranks) * 2.0 / GIB;
    let sampler = 3.85 * 256.0 * 248_320.0 * 4.0 / GIB;
    for version in ["0.19.0", "0.26.0"] {
        close(peak(version, ""), encoder(1.0));
        close(peak(version, "--tp 2"), encoder(2.0));
        close(peak(version, "--language-model-only"), sampler);
        close(peak(version, "--limit-mm-per-prompt 0"), sampler);
    }
}

#[test]
fn scales_of_mxfp8_take_a_byte_for_every_32_weights() {
    // 32 layers of 218,103,808 weights; embedding and head stay in 16 bits.
    let weights = part("llama-3.1-8b --gpu b200-sxm --engine vllm --weights mxfp8", "weights_gib");
    let worked = (32.0 * 218_103_808.0 * 33.0 / 32.0 + 2.0 * 128_256.0 * 4096.0 * 2.0) / GIB;
    assert!((weights - worked).abs() < 0.06, "{weights} for {worked}");
}

#[test]
fn stages_on_several_nodes_connect_when_they_first_hand_over() {
    // vLLM V0 measures from a snapshot after its groups are made: 2.53 GiB beside PyTorch for stages on two nodes of eight
    // (0.7, vllm-project/vllm#13074), 0.93 and 1.35 (0.8), 0.2 on one node.
    let beside = |engine: &str, split: &str| {
        part(&format!("llama-3.1-70b --gpu h200-sxm --engine {engine} {split}"), "non_torch_gib")
    };
    for engine in ["vllm@0.7.3", "vllm@0.8.5-v0"] {
        close(beside(engine, "--tp 4 --pp 2"), 0.2);
        close(beside(engine, "--tp 8 --pp 2"), 1.6);
    }
    assert_eq!(beside("vllm@0.19", "--tp 4 --pp 2"), beside("vllm@0.19", "--tp 8 --pp 2"));
}

#[test]
fn a_written_launch_states_what_was_stated_of_its_start() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().display();
    let stated = "--cpu-offload-gb 4 --max-cudagraph-capture-size 64 --cudagraph-mode full_decode_only --block-size 32 \
                  --kv-cache-memory-bytes 20GiB --language-model-only --no-enable-prefix-caching";
    let asked = format!("qwen3-vl-8b --gpu h100-sxm --engine vllm@0.33.0 --concurrency 8 {stated}");
    shardfit(&format!("estimate {asked} --offline --emit command -o '{folder}'")).exits(0);
    let text = std::fs::read_to_string(out.path().join("serve.sh")).unwrap();
    for words in [
        "--cpu-offload-gb 4",
        "--max-cudagraph-capture-size 64",
        "FULL_DECODE_ONLY",
        "--block-size 32",
        "--kv-cache-memory-bytes 21474836480",
        "--language-model-only",
        "--no-enable-prefix-caching",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let read = shardfit(&format!(
        "estimate --gpu h100-sxm --launch '{folder}/serve.sh' --concurrency 8 --json --offline"
    ));
    let (read, own): (Value, _) = (serde_json::from_str(&read.stdout).unwrap(), estimate(&asked));
    for name in ["weights_gib", "host_gib", "kv_cache_gib"] {
        assert_eq!(read["memory"][name], own["memory"][name], "{name}");
    }
    // By groups of layers they are not described, and that is said.
    let groups =
        "estimate --gpu h100-sxm --launch 'vllm serve Qwen/Qwen3-8B --offload-group-size 4' --json --offline";
    let said: Value = serde_json::from_str(&shardfit(groups).stdout).unwrap();
    assert_eq!(said["launch"]["unread"][0]["text"], "--offload-group-size 4");
}

#[test]
fn from_0_14_to_0_16_a_request_is_counted_over_all_stages_of_a_pipeline() {
    // vllm-project/vllm#32105: GLM-4.7, 92 layers of 8 key-value heads of 128 in 16 bits, 4,096 B a token and layer: 71.16 GiB
    // for 202,752 tokens, and at most 81,392 where 28.57 GiB are available. 0.13.0 and 0.17.0 ask each worker for its
    // own layers, 12 of the fullest of eight.
    let launch = |version: &str, length: u64| {
        estimate(&format!(
            "zai-org/GLM-4.7-FP8 --gpu a100-80gb --tp 1 --pp 8 --engine vllm@{version} --max-sequences 128 \
             --memory-fraction 0.925 --max-model-len {length}"
        ))
    };
    let whole = 92.0 * 4096.0 * 202_752.0 / GIB;
    assert!((whole - 71.16).abs() < 0.01);
    for version in ["0.14.0", "0.15.0", "0.16.0"] {
        let refused = launch(version, 202_752);
        close(refused["memory"]["one_request_gib"].as_f64().unwrap(), whole);
        assert_eq!(refused["verdict"], "does_not_fit", "{version}");
        assert_eq!(launch(version, 65_536)["verdict"], "fits", "{version}");
    }
    for version in ["0.13.0", "0.17.0"] {
        let starts = launch(version, 202_752);
        close(starts["memory"]["one_request_gib"].as_f64().unwrap(), whole * 12.0 / 92.0);
        assert_eq!(starts["verdict"], "fits", "{version}");
    }
}

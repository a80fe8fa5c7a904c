//! What is read from a model's file and name, as its publisher and the engines mean it: contexts, experts in use,
//! the type that is loaded, chunks, and names as people type them.

use crate::common::{Run, shardfit};
use serde_json::{Map, Value, json};
use shardfit::model::{self, Model, Scope};
use shardfit::workload::Workload;

fn find(name: &str) -> Model {
    model::find(name, &[], Scope::Full).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn read(config: Value) -> Result<Model, String> {
    let Value::Object(map) = config else { panic!("an object") };
    let map: Map<String, Value> = map;
    model::from_config(&map, "test", Scope::Full).map_err(|e| e.to_string())
}

fn json_of(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{}: {e}\n{}", run.line, run.stderr))
}

/// A small dense Llama with some fields more.
fn llama(more: Value) -> Value {
    let mut config = json!({"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000});
    let (Value::Object(map), Value::Object(more)) = (&mut config, more) else { panic!("objects") };
    map.extend(more);
    config
}

/// Contexts as published: `max_position_embeddings` of each model's `config.json` on the Hugging Face hub, unless
/// another field is named.
const CONTEXTS: &[(&str, u64)] = &[
    ("meta-llama/Meta-Llama-3-8B", 8_192),
    ("meta-llama/Meta-Llama-3-70B", 8_192),
    ("meta-llama/Llama-2-7b-hf", 4_096),
    ("meta-llama/Llama-2-13b-hf", 4_096),
    ("meta-llama/Llama-2-70b-hf", 4_096),
    ("meta-llama/Meta-Llama-3.1-8B", 131_072),
    ("microsoft/phi-4", 16_384),
    ("bigcode/starcoder2-3b", 16_384),
    ("bigcode/starcoder2-7b", 16_384),
    ("bigcode/starcoder2-15b", 16_384),
    ("ibm-granite/granite-3.1-2b-instruct", 131_072),
    ("ibm-granite/granite-3.1-3b-a800m-instruct", 131_072),
    ("ibm-granite/granite-3.1-8b-instruct", 131_072),
    ("ibm-granite/granite-3.3-8b-instruct", 131_072),
    ("ibm-granite/granite-4.0-h-tiny", 131_072),
    // Gemma 3's files leave it out: `Gemma3TextConfig` says 131,072, its linear scaling by 8 included.
    ("google/gemma-3-4b-it", 131_072),
    ("google/gemma-3-12b-it", 131_072),
    ("google/gemma-3-27b-it", 131_072),
    ("google/gemma-3-1b-it", 32_768),
    ("google/gemma-4-26B-A4B", 262_144),
    // 4,096 positions under YaRN with factor 40.
    ("deepseek-ai/DeepSeek-V2", 163_840),
    ("deepseek-ai/DeepSeek-V3", 163_840),
    ("openai/gpt-oss-120b", 131_072),
    ("tencent/Hunyuan-A13B-Instruct", 32_768),
    ("zai-org/GLM-4-9B-0414", 32_768),
    ("zai-org/GLM-4-32B-0414", 32_768),
    ("nvidia/Nemotron-H-8B-Base-8K", 8_192),
    ("Qwen/Qwen3-30B-A3B", 40_960),
    ("Qwen/Qwen3-4B-Instruct-2507", 262_144),
    ("Qwen/Qwen3-30B-A3B-Instruct-2507", 262_144),
    ("Qwen/Qwen3-30B-A3B-Thinking-2507", 262_144),
    ("Qwen/Qwen3-235B-A22B-Instruct-2507", 262_144),
    ("Qwen/Qwen2.5-7B", 131_072),
    ("Qwen/Qwen2.5-7B-Instruct", 32_768),
    ("Qwen/Qwen2.5-32B-Instruct", 32_768),
    ("Qwen/Qwen2.5-72B-Instruct", 32_768),
    // `seq_length`, of 32,768 positions.
    ("Qwen/Qwen-7B", 8_192),
    // `model_max_length`, of 8,192 positions.
    ("CohereForAI/c4ai-command-r-plus", 131_072),
    // 32,768 positions, stretched by dynamic NTK scaling with factor 2.
    ("internlm/internlm2_5-7b-chat", 65_536),
    ("bigscience/bloom-7b1", 2_048),
    ("openai-community/gpt2", 1_024),
];

#[test]
fn contexts_are_those_that_are_published() {
    let wrong: Vec<String> = CONTEXTS
        .iter()
        .map(|(name, context)| (find(name), context))
        .filter(|(model, context)| model.max_context != Some(**context))
        .map(|(model, context)| format!("{}: {:?}, not {context}", model.id, model.max_context))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn default_lengths_are_cut_to_a_short_context_in_proportion() {
    let of = |isl, osl, context| {
        let w = Workload::of_lengths(isl, osl, context);
        (w.isl, w.osl, w.cut)
    };
    assert_eq!(of(None, None, Some(8_192)), (2_048, 512, false));
    assert_eq!(of(None, None, Some(2_048)), (1_639, 409, true));
    assert_eq!(of(Some(1_000), None, Some(1_024)), (1_000, 24, true));
    assert_eq!(of(None, Some(100), Some(1_024)), (924, 100, true));
    // What was asked for is kept, and refused.
    assert_eq!(of(Some(2_048), Some(512), Some(2_048)), (2_048, 512, false));
    assert_eq!(of(Some(2_048), None, Some(2_048)), (2_048, 512, false));
}

#[test]
fn a_cut_is_said_and_lengths_that_were_asked_for_are_refused() {
    let cut = shardfit("plan gpt2 --cluster 1xl4 --verify 0");
    assert_eq!(cut.code, 0, "{}", cut.stderr);
    let said = "isl 820, osl 204 (the default lengths, cut to the model's context)";
    assert!(cut.stdout.contains(said), "{}", cut.stdout);
    let json = json_of(&shardfit("plan gpt2 --cluster 1xl4 --verify 0 --format json"));
    assert_eq!(json["workload"]["lengths_cut"], true);
    let asked = shardfit("plan gpt2 --cluster 1xl4 --isl 2048 --osl 512");
    assert_eq!(asked.code, 2);
    assert!(asked.stderr.contains("exceed the model's context of 1024"), "{}", asked.stderr);
    let kept = shardfit("plan llama-3.1-8b --cluster 1xl4 --verify 0");
    assert!(kept.stdout.contains("isl 2048, osl 512, batch searched"), "{}", kept.stdout);
}

#[test]
fn top_k_experts_is_the_number_of_experts_that_a_token_uses() {
    let gemma = find("gemma-4-26b-a4b").parameters().unwrap();
    // Built without weights by `transformers`: 8 of 128 experts.
    assert_eq!((gemma.total, gemma.active), (25_805_933_872, 4_395_322_672));
}

#[test]
fn a_mixture_that_does_not_say_how_many_experts_are_in_use_is_refused_in_every_family() {
    for (model_type, experts) in [
        ("llama", "num_local_experts"),
        ("qwen2", "num_experts"),
        ("unknown-type", "n_routed_experts"),
        ("deepseek_v2", "n_routed_experts"),
    ] {
        let latent = json!({"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8,
            "v_head_dim": 16, "n_shared_experts": 1, "first_k_dense_replace": 0});
        let mut config = llama(latent);
        config["model_type"] = model_type.into();
        config[experts] = 8.into();
        config["moe_intermediate_size"] = 32.into();
        config["experts_in_use"] = 2.into();
        let refused = read(config.clone()).expect_err(model_type);
        assert!(refused.contains("8 experts, and how many of them a token uses is not said"), "{refused}");
        assert!(refused.contains("`experts_in_use`"), "{refused}");
        config["num_experts_per_tok"] = 2.into();
        assert!(read(config).is_ok(), "{model_type}");
    }
}

#[test]
fn a_checkpoint_in_32_bits_is_served_in_16_unless_32_are_asked_for() {
    let question =
        "plan allenai/OLMo-2-1124-7B --cluster 1xa10g --isl 1024 --osl 256 --verify 0 --format json";
    let plain = json_of(&shardfit(question));
    let best = &plain["plans"][0];
    assert_eq!(best["weights"], "bf16", "{best}");
    // 7,298,617,344 parameters at two bytes, and what PyTorch's allocator rounds up.
    let weights = best["memory"]["weights_gib"].as_f64().unwrap();
    assert!((13.59..13.8).contains(&weights), "{weights}");
    let asked = shardfit(&format!("{question} --weights fp32"));
    assert_eq!(asked.code, 1, "29 GB do not fit in 24: {}", asked.stdout);
    let stored = json_of(&shardfit("inspect olmo-2-7b --format json"));
    assert_eq!(stored["weights"], "fp32");
}

#[test]
fn every_fourth_layer_of_llama_4_sees_everything_and_the_others_their_chunk() {
    for name in ["llama-4-scout", "llama-4-maverick"] {
        let model = find(name);
        let windows: Vec<(Option<u64>, u64)> = model
            .caches()
            .filter_map(|(cache, layers)| match cache {
                model::blocks::Cache::KeyValue { window, .. } => Some((window, layers)),
                _ => None,
            })
            .collect();
        let of = |kind| windows.iter().filter(|(w, _)| *w == kind).map(|(_, n)| n).sum::<u64>();
        assert_eq!((of(None), of(Some(8_192))), (12, 36), "{name}");
    }
    let listed = |rotary: Value| {
        let mut config = llama(json!({"attention_chunk_size": 32, "intermediate_size_mlp": 128,
            "num_local_experts": 4, "num_experts_per_tok": 1, "no_rope_layers": rotary}));
        config["model_type"] = "llama4_text".into();
        config["num_hidden_layers"] = 4.into();
        let model = read(config).unwrap();
        model.kv_bytes_per_token(shardfit::dtype::DType::Bf16);
        let full = |(cache, layers)| match cache {
            model::blocks::Cache::KeyValue { window: None, .. } => layers,
            _ => 0,
        };
        model.caches().map(full).sum::<u64>()
    };
    assert_eq!((listed(json!([])), listed(Value::Null), listed(json!([1, 0, 1, 0]))), (1, 1, 2));
}

#[test]
fn a_million_tokens_of_llama_4_take_what_vllm_said() {
    let cache = |engine: &str| {
        let run = shardfit(&format!(
            "estimate llama-4-maverick --gpu h100-sxm --tp 8 --engine {engine} --weights fp8 --isl 1048064 --osl 512 \
             --concurrency 1 --explain"
        ));
        let said = run.stdout.split_once("One request at full length needs ").map(|(_, rest)| rest);
        let gib = said.and_then(|rest| rest.split_once(" GiB")?.0.parse::<f64>().ok());
        gib.unwrap_or_else(|| panic!("{}{}", run.stdout, run.stderr))
    };
    // vllm-project/vllm#16118, vLLM 0.8.3 on 8 H100: "24.00 GiB KV cache is needed", every layer keeping all.
    assert!((cache("vllm@0.8.3") - 24.0).abs() < 0.01, "{}", cache("vllm@0.8.3"));
    // Since pull request 29627 the 36 layers with chunks drop what lies before: 12 layers keep 6 GiB. Those 36 hold a
    // chunk of 8,192 tokens and those in flight, from 0.26 on of two steps of 8,192: 512 B each, 0.42 GiB.
    let now = cache("vllm");
    assert!((now - 6.42).abs() < 0.01, "{now}");
}

/// What people type, and the model that they mean.
const TYPED: &[(&str, &str)] = &[
    ("llama3.3-70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ("Llama 3.3 70B", "meta-llama/Llama-3.3-70B-Instruct"),
    ("llama3.3:70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ("llama_3_1_8b", "meta-llama/Meta-Llama-3.1-8B"),
    ("llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    ("gemma-3-27b-it", "google/gemma-3-27b-it"),
    ("gemma3:27b", "google/gemma-3-27b-it"),
    ("GEMMA-3-27B", "google/gemma-3-27b-it"),
    ("llama-2-13b-chat", "meta-llama/Llama-2-13b-chat-hf"),
    ("qwen3:8b", "Qwen/Qwen3-8B"),
    ("qwen2.5-14b-instruct", "Qwen/Qwen2.5-14B-Instruct"),
    ("qwen2.5-14b", "Qwen/Qwen2.5-14B"),
    ("mixtral-8x7b-instruct", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    ("gpt-oss:120b", "openai/gpt-oss-120b"),
    ("deepseek-v3", "deepseek-ai/DeepSeek-V3"),
    ("qwen2-57b-instruct", "Qwen/Qwen2-57B-A14B-Instruct"),
    ("minimax-m2", "MiniMaxAI/MiniMax-M2"),
];

#[test]
fn names_are_found_as_people_type_them_and_head_the_answer() {
    for (typed, meant) in TYPED {
        assert_eq!(find(typed).id, *meant, "{typed}");
    }
    let headed = shardfit("inspect llama-3.3-70b");
    assert!(headed.stdout.starts_with("meta-llama/Llama-3.3-70B-Instruct ("), "{}", headed.stdout);
}

#[test]
fn a_name_that_may_mean_several_models_is_not_guessed() {
    for name in ["llama-99b", "qwen2.5-7b-coder-it", "gemma3:99b"] {
        let refused = model::find(name, &[], Scope::Full).unwrap_err();
        assert!(refused.to_string().contains("unknown model"), "{refused}");
    }
}

#[test]
fn no_alias_is_another_models_context() {
    // Names of the hub that differ in their published context from the entry of the same sizes.
    for (name, context) in [
        ("Qwen/Qwen2.5-1.5B", 131_072),
        ("Qwen/Qwen2.5-1.5B-Instruct", 32_768),
        ("Qwen/Qwen2.5-14B-Instruct", 32_768),
        ("Qwen/Qwen2-7B", 131_072),
        ("Qwen/Qwen2-7B-Instruct", 32_768),
        ("Qwen/Qwen3-235B-A22B", 40_960),
    ] {
        let model = find(name);
        assert_eq!((model.id.as_str(), model.max_context), (name, Some(context)));
    }
}

#[test]
fn a_recurrent_state_is_as_wide_as_its_file_says_and_engines_keep_it() {
    let state = |model: &Model| model.state_bytes_per_sequence().get();
    // 23 mixers of 64 heads, 64 channels and 128 states in FP32, and 3 earlier inputs of 6,144 channels in 16 bits.
    let nano = "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16";
    assert_eq!(state(&find(nano)), 23 * (64 * 64 * 128 * 4 + 6144 * 3 * 2));
    // 30 gated delta nets of 32 heads of 128 by 128 in FP32, and 3 earlier inputs of 8,192 channels.
    assert_eq!(state(&find("Qwen/Qwen3.5-35B-A3B")), 30 * (32 * 128 * 128 * 4 + 8192 * 3 * 2));
    let hybrid = |more: Value| {
        let mut config = json!({"model_type": "nemotron_h", "hidden_size": 64, "intermediate_size": 128,
            "hybrid_override_pattern": "M*-", "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": 1000, "mamba_num_heads": 2, "mamba_head_dim": 64, "n_groups": 1, "ssm_state_size": 16,
            "conv_kernel": 4});
        let (Value::Object(map), Value::Object(more)) = (&mut config, more) else { panic!("objects") };
        map.extend(more);
        read(config)
    };
    let (elements, inputs) = (2 * 64 * 16, (2 * 64 + 2 * 16) * 3 * 2);
    // vLLM `models/config.py` `NemotronHForCausalLMConfig`: what the file says, float32 if it says nothing.
    assert_eq!(state(&hybrid(json!({})).unwrap()), elements * 4 + inputs);
    assert_eq!(state(&hybrid(json!({"mamba_ssm_cache_dtype": "bfloat16"})).unwrap()), elements * 2 + inputs);
    let wrong = hybrid(json!({"mamba_ssm_cache_dtype": "complex64"})).unwrap_err();
    assert!(wrong.contains("mamba_ssm_cache_dtype") && wrong.contains("complex64"), "{wrong}");
}

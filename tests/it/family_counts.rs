//! Exact counts of families that no file of reference counts has.

use serde_json::{Map, Value, json};
use shardfit::dtype::DType;
use shardfit::model::{self, Component, Model, Scope};

fn read(config: Value) -> Model {
    let config: Map<String, Value> = config.as_object().unwrap().clone();
    model::from_config(&config, "test", Scope::Text).unwrap()
}

/// Wrapper, language model, parameters of the language model: the sizes of all parameters of the modelling
/// class of Transformers 5.23 on PyTorch's `meta` device that are named `language_model` or `lm_head`.
const LANGUAGE_MODELS: &[(&str, &str, u64)] = &[
    (
        "molmo2",
        r#"{"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads":
            4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 1000, "model_type":
            "molmo2_text", "attention_bias": true, "qk_norm_type": "olmo"}"#,
        384_320,
    ),
    (
        "muse_glimmer",
        r#"{"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads":
            4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 1000, "model_type":
            "muse_glimmer_text"}"#,
        407_616,
    ),
    (
        "step3p7",
        r#"{"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads":
            4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 1000, "moe_intermediate_size":
            48, "num_experts_per_tok": 2, "model_type": "step3p5", "n_routed_experts": 8,
            "share_expert_dim": 56, "layer_types": ["full_attention", "sliding_attention",
            "full_attention", "sliding_attention"], "num_sliding_attention_heads": 6, "moe_layers_enum":
            "2,3", "sliding_window": 16}"#,
        488_512,
    ),
    (
        "mistral_large4",
        r#"{"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads":
            4, "num_key_value_heads": 4, "head_dim": 8, "vocab_size": 1000, "moe_intermediate_size": 48,
            "num_experts_per_tok": 2, "model_type": "mistral_large4_text", "n_routed_experts": 8,
            "kv_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16,
            "index_n_heads": 2, "index_head_dim": 32, "kv_source_layers": [0, 0, 2, 3],
            "index_topk_freq": 2}"#,
        494_964,
    ),
    (
        "glm5_next",
        r#"{"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 5, "num_attention_heads":
            4, "num_key_value_heads": 4, "head_dim": 32, "vocab_size": 1000, "moe_intermediate_size":
            48, "num_experts_per_tok": 2, "model_type": "glm5_next_text", "n_routed_experts": 8,
            "kv_lora_rank": 24, "q_lora_rank": 40, "qk_nope_head_dim": 16, "v_head_dim": 16,
            "index_n_heads": 2, "index_head_dim": 32, "linear_num_heads": 2, "linear_head_dim": 16}"#,
        536_470,
    ),
    (
        "qwen4_exp",
        r#"{"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads":
            4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 1000, "moe_intermediate_size":
            48, "num_experts_per_tok": 2, "model_type": "qwen4_exp_text", "num_experts": 8,
            "shared_expert_intermediate_size": 40, "linear_num_key_heads": 2, "linear_num_value_heads":
            4, "linear_key_head_dim": 16, "linear_value_head_dim": 16, "hc_lowrank": 20,
            "ple_layer_ids": [1, 3], "ngram_vocab_size_base": 2000, "ple_embed_dim": 64,
            "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 32, "indexer_budget": 64,
            "indexer_compress_ratio": 4}"#,
        966_856,
    ),
    (
        "cohere_compass",
        r#"{"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads":
            4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 1000, "model_type":
            "cohere_compass_text", "sliding_window": null}"#,
        324_928,
    ),
    (
        "hunyuan_vl",
        r#"{"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads":
            4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 1000, "model_type":
            "hunyuan_vl_text"}"#,
        310_592,
    ),
    ("muse_spark", r#"{"model_type": "muse_spark_text"}"#, 819_990_536_192),
    ("ernie4_5_vl_moe", r#"{"model_type": "ernie4_5_vl_moe_text"}"#, 28_624_635_776),
    ("cosmos3_edge", r#"{"model_type": "cosmos3_edge_text"}"#, 1_946_273_792),
];

#[test]
fn language_models_inside_wrappers_are_counted_exactly() {
    for (wrapper, text, total) in LANGUAGE_MODELS {
        let text: Value = serde_json::from_str(text).unwrap();
        let model = read(json!({"model_type": wrapper, "text_config": text}));
        assert!(model.recognised, "{wrapper}");
        assert_eq!(model.parameters().unwrap().total, *total, "{wrapper}");
    }
}

#[test]
fn phi_3_small_has_the_published_parameters() {
    // `model.safetensors.index.json` and model card of microsoft/Phi-3-small-8k-instruct: 7.39 billion.
    let model = read(json!({
        "model_type": "phi3small", "hidden_size": 4096, "ff_intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 100352
    }));
    assert_eq!(model.parameters().unwrap().total, 7_392_272_384);
}

#[test]
fn ling_lite_and_step_3_have_about_the_published_parameters() {
    // inclusionAI/Ling-lite: 16.8 billion, 2.75 billion active.
    let ling = read(json!({
        "model_type": "bailing_moe", "hidden_size": 2048, "intermediate_size": 5632,
        "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 128,
        "num_experts": 64, "num_experts_per_tok": 6, "num_shared_experts": 2,
        "moe_intermediate_size": 1408, "vocab_size": 126464, "tie_word_embeddings": false
    }));
    let count = ling.parameters().unwrap();
    assert_eq!((count.total / 100_000_000, count.active / 10_000_000), (168, 275));
    // stepfun-ai/step3, arXiv:2507.19427 table 1: 316 billion, 38 billion active in the language model.
    let step = read(json!({
        "model_type": "step3_text", "hidden_size": 7168, "intermediate_size": 18432,
        "num_hidden_layers": 61, "num_attention_heads": 64, "num_attention_groups": 1, "head_dim": 256,
        "share_q_dim": 2048, "moe_num_experts": 48, "moe_top_k": 3, "moe_intermediate_size": 5120,
        "share_expert_dim": 5120, "vocab_size": 128815, "tie_word_embeddings": false,
        "moe_layers_enum": "4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,\
                            33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59"
    }));
    let count = step.parameters().unwrap();
    assert_eq!((count.total / 1_000_000_000, count.active / 1_000_000_000), (316, 38));
    // One key and one value of 256 elements per layer.
    assert_eq!(step.kv_bytes_per_token(DType::Bf16).get(), 61 * 512 * 2);
}

#[test]
fn a_looped_model_stores_its_layers_once_and_caches_every_pass() {
    // ByteDance/Ouro-1.4B: `total_ut_steps` passes, each with a cache of its own (vLLM `ouro.py`).
    let config = json!({
        "model_type": "ouro", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 49152,
        "tie_word_embeddings": false, "total_ut_steps": 4
    });
    let model = read(config);
    assert_eq!(model.parameters().unwrap().total / 1_000_000, 1_434);
    assert_eq!(model.kv_bytes_per_token(DType::Bf16).get(), 4 * 24 * 2 * 2048 * 2);
}

#[test]
fn dory_keeps_a_cache_for_each_pass_of_its_recurrent_section() {
    // `modeling_dory.py` of Transformers 5.24, `DoryModel.forward`: attention and feed-forward layers take turns, 36 of them
    // with attention, of which 20 run twice: 56 × 2 × 4 × 256 × 2 bytes a token.
    let kinds: Vec<&str> = (0..36).flat_map(|_| ["full_attention", "mlp"]).collect();
    let config = json!({
        "model_type": "dory", "hidden_size": 2560, "intermediate_size": 7168, "num_hidden_layers": 72,
        "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 131_072,
        "tie_word_embeddings": false, "layer_types": kinds,
        "n_input_layers": 16, "n_recurrent_layers": 40, "n_output_layers": 16, "n_recurrent_loops": 2
    });
    assert_eq!(read(config).kv_bytes_per_token(DType::Bf16).get(), 229_376);
}

#[test]
fn an_unknown_type_is_read_by_what_its_fields_give_away() {
    let sizes = json!({
        "model_type": "yet_unheard_of", "hidden_size": 64, "intermediate_size": 192,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 1000
    });
    let with = |more: Value| {
        let mut config = sizes.as_object().unwrap().clone();
        config.extend(more.as_object().unwrap().clone());
        let model = read(Value::Object(config));
        assert!(!model.recognised && !model.notes.is_empty());
        model
    };
    // Latent attention.
    let latent = json!({"kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 16, "v_head_dim": 16, "tie_word_embeddings": false});
    assert!(with(latent).is_latent());
    // Files leave out what the base class of all configurations has: a tied head.
    let tied = with(json!({"rms_norm_eps": 1e-6})).parameters().unwrap();
    let untied = with(json!({"rms_norm_eps": 1e-6, "tie_word_embeddings": false})).parameters().unwrap();
    assert_eq!(untied.total - tied.total, 1000 * 64);
}

/// A configuration and all its parameters: the modelling class of Transformers 5.23 on PyTorch's `meta` device.
const WITH_TOWERS: &[(&str, u64)] = &[
    (
        r#"{"model_type": "qwen2_vl", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "qwen2_vl_text"}, "vision_config": {"depth": 2, "embed_dim": 32, "hidden_size": 64,
            "num_heads": 4}}"#,
        314_752,
    ),
    (
        r#"{"model_type": "qwen2_5_vl", "tie_word_embeddings": false, "text_config": {"hidden_size":
            64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "qwen2_5_vl_text"}, "vision_config": {"depth": 2, "hidden_size": 32, "out_hidden_size": 64,
            "intermediate_size": 48, "num_heads": 4}}"#,
        307_360,
    ),
    (
        r#"{"model_type": "llava", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "llama"}, "vision_feature_layer": [-2, 0], "vision_config": {"model_type":
            "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "image_size": 28, "patch_size": 14}}"#,
        269_088,
    ),
    (
        r#"{"model_type": "llava_next", "tie_word_embeddings": false, "text_config": {"hidden_size":
            64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "mistral"}, "vision_config": {"model_type": "clip_vision_model", "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28,
            "patch_size": 14}}"#,
        267_104,
    ),
    (
        r#"{"model_type": "vipllava", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "llama"}, "vision_feature_layers": [-2, -3, 1], "vision_config": {"model_type":
            "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "image_size": 28, "patch_size": 14}}"#,
        271_328,
    ),
    (
        r#"{"model_type": "llava_onevision", "tie_word_embeddings": false, "text_config":
            {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads":
            4, "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "qwen2"}, "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28,
            "patch_size": 14, "vision_use_head": false}}"#,
        267_264,
    ),
    (
        r#"{"model_type": "paligemma", "tie_word_embeddings": true, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": true, "model_type":
            "gemma", "head_dim": 16}, "projection_dim": 64, "vision_config": {"model_type":
            "siglip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "image_size": 28, "patch_size": 14, "vision_use_head": false,
            "projection_dim": 64}}"#,
        198_784,
    ),
    (
        r#"{"model_type": "deepseek_vl", "tie_word_embeddings": false, "text_config": {"hidden_size":
            64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "llama"}, "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28,
            "patch_size": 14, "vision_use_head": true}}"#,
        274_416,
    ),
    (
        r#"{"model_type": "idefics3", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "llama"}, "vision_config": {"model_type": "idefics3_vision", "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28,
            "patch_size": 14, "vision_use_head": false}}"#,
        268_864,
    ),
    (
        r#"{"model_type": "smolvlm", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "llama"}, "vision_config": {"model_type": "smolvlm_vision", "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28,
            "patch_size": 14, "vision_use_head": false}}"#,
        268_864,
    ),
    (
        r#"{"model_type": "internvl", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "qwen2"}, "vision_config": {"model_type": "internvl_vision", "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size":
            [28, 28], "patch_size": [14, 14], "use_qk_norm": true, "norm_type": "rms_norm",
            "attention_bias": true}}"#,
        273_728,
    ),
    (
        r#"{"model_type": "glm4v", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "glm4v_text"}, "vision_config": {"depth": 2, "hidden_size": 32, "num_heads": 4,
            "image_size": 28, "out_hidden_size": 64, "intermediate_size": 96}}"#,
        316_512,
    ),
    (
        r#"{"model_type": "glm4v_moe", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "glm4v_moe_text", "moe_intermediate_size": 32, "n_routed_experts": 4, "num_experts_per_tok":
            2, "first_k_dense_replace": 1, "head_dim": 16}, "vision_config": {"depth": 2, "hidden_size":
            32, "num_heads": 4, "image_size": 28, "out_hidden_size": 64, "intermediate_size": 96}}"#,
        310_368,
    ),
    (
        r#"{"model_type": "cohere2_vision", "tie_word_embeddings": true, "text_config": {"hidden_size":
            64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": true, "model_type":
            "cohere2"}, "alignment_intermediate_size": 128, "vision_config": {"model_type":
            "siglip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "image_size": 28, "patch_size": 14, "vision_use_head": false}}"#,
        217_216,
    ),
    (
        r#"{"model_type": "lfm2_vl", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "qwen2"}, "vision_config": {"model_type": "siglip2_vision_model", "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 16,
            "num_patches": 16, "vision_use_head": false}}"#,
        761_472,
    ),
    (
        r#"{"model_type": "lighton_ocr", "tie_word_embeddings": false, "text_config": {"hidden_size":
            64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "qwen3"}, "vision_config": {"model_type": "pixtral", "hidden_size": 32, "intermediate_size":
            48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28, "patch_size": 14}}"#,
        445_824,
    ),
    (
        r#"{"model_type": "fuyu", "tie_word_embeddings": false, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 4, "vocab_size": 1000, "tie_word_embeddings": false, "model_type":
            "persimmon"}, "patch_size": 6}"#,
        218_688,
    ),
    (
        r#"{"model_type": "aya_vision", "tie_word_embeddings": true, "text_config": {"hidden_size": 64,
            "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 1000, "tie_word_embeddings": true, "model_type":
            "cohere2"}, "alignment_intermediate_size": 128, "vision_config": {"model_type":
            "siglip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "image_size": 28, "patch_size": 14, "vision_use_head": false}}"#,
        217_472,
    ),
];

#[test]
fn wrappers_are_counted_with_their_towers() {
    for (config, total) in WITH_TOWERS {
        let config: Value = serde_json::from_str(config).unwrap();
        let model = model::from_config(config.as_object().unwrap(), "test", Scope::Full).unwrap();
        assert_eq!(model.parameters().unwrap().total, *total, "{}", config["model_type"]);
        assert!(model.recognised && model.scope == Scope::Full);
    }
}

#[test]
fn vision_models_have_the_published_parameters() {
    // `config.json` of Qwen/Qwen2-VL-7B-Instruct and Qwen/Qwen2.5-VL-7B-Instruct, the fields that shape the
    // model; the totals are those of the modelling classes.
    let sizes = json!({
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": false
    });
    let with = |model_type: &str, vision: Value| {
        let mut config = sizes.as_object().unwrap().clone();
        config.insert("model_type".into(), json!(model_type));
        config.insert("vision_config".into(), vision);
        model::from_config(&config, "test", Scope::Full).unwrap().parameters().unwrap().total
    };
    let older = json!({"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3,
        "hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2});
    let newer = json!({"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
        "in_chans": 3, "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2});
    assert_eq!(with("qwen2_vl", older), 8_291_375_616);
    assert_eq!(with("qwen2_5_vl", newer), 8_292_166_656);
}

#[test]
fn remote_vision_models_have_the_published_parameters() {
    let total = |config: Value| {
        let model = model::from_config(config.as_object().unwrap(), "test", Scope::Full).unwrap();
        assert!(model.recognised);
        model.parameters().unwrap().total
    };
    // `config.json` of moonshotai/Kimi-VL-A3B-Instruct; its card says 16 billion. DeepSeek-V3's tensors by the
    // modelling class, 447,545,840 in MoonViT and projector.
    let kimi = total(json!({
        "model_type": "kimi_vl",
        "text_config": {
            "model_type": "deepseek_v3", "hidden_size": 2048, "intermediate_size": 11264,
            "moe_intermediate_size": 1408, "num_hidden_layers": 27, "num_attention_heads": 16,
            "num_key_value_heads": 16, "n_shared_experts": 2, "n_routed_experts": 64,
            "num_experts_per_tok": 6, "kv_lora_rank": 512, "q_lora_rank": null, "qk_rope_head_dim": 64,
            "v_head_dim": 128, "qk_nope_head_dim": 128, "first_k_dense_replace": 1, "vocab_size": 163840,
            "tie_word_embeddings": false, "num_nextn_predict_layers": 0
        },
        "vision_config": {
            "hidden_size": 1152, "init_pos_emb_height": 64, "init_pos_emb_width": 64,
            "intermediate_size": 4304, "merge_kernel_size": [2, 2], "num_hidden_layers": 27, "patch_size": 14
        }
    }));
    assert_eq!(kimi - 447_545_840, 15_960_108_544);
    // OpenGVLab/InternVL2-8B: likewise.
    let internvl = total(json!({
        "model_type": "internvl_chat", "downsample_ratio": 0.5, "tie_word_embeddings": false,
        "llm_config": {
            "model_type": "internlm2", "hidden_size": 4096, "intermediate_size": 14336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 92553,
            "bias": false
        },
        "vision_config": {
            "model_type": "intern_vit_6b", "hidden_size": 1024, "intermediate_size": 4096,
            "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 448, "patch_size": 14,
            "qkv_bias": true, "qk_normalization": false, "norm_type": "layer_norm"
        }
    }));
    assert_eq!(internvl, 8_075_365_376);
}

#[test]
fn minimax_m3_reads_its_checkpoints_own_fields() {
    let sizes = json!({
        "hidden_size": 64, "intermediate_size": 48, "dense_intermediate_size": 96, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 1000,
        "num_local_experts": 8, "num_experts_per_tok": 2, "shared_intermediate_size": 48
    });
    let with = |more: Value| {
        let mut config = sizes.as_object().unwrap().clone();
        config.extend(more.as_object().unwrap().clone());
        read(Value::Object(config)).parameters().unwrap()
    };
    let nested = with(json!({
        "model_type": "minimax_m3", "moe_layer_freq": [0, 1, 1, 1],
        "sparse_attention_config": {"sparse_num_index_heads": 2, "sparse_index_dim": 32,
            "sparse_attention_freq": [0, 1, 1, 1]}
    }));
    let flat = with(json!({
        "model_type": "minimax_m3_vl_text", "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
        "index_n_heads": 2, "index_head_dim": 32, "layer_types": ["full_attention", "minimax_m3_sparse",
            "minimax_m3_sparse", "minimax_m3_sparse"]
    }));
    assert_eq!(nested, flat);
    // The modelling class of Transformers 5.23 on the `meta` device.
    assert_eq!(flat.total, 465_280);
}

#[test]
fn routed_experts_of_kimi_k3_work_on_half_the_width_of_the_model() {
    // The sizes of moonshotai/Kimi-K3's config.json, whose model card says 2.8 T parameters.
    let full: Vec<u64> = (1..=93).filter(|layer| layer % 4 == 0 || *layer == 93).collect();
    let model = read(json!({
        "model_type": "kimi_linear", "hidden_size": 7168, "intermediate_size": 33792, "num_hidden_layers": 93,
        "num_attention_heads": 96, "num_key_value_heads": 96, "vocab_size": 163840, "first_k_dense_replace": 1,
        "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "moe_intermediate_size": 3072, "routed_expert_hidden_size": 3584, "num_experts": 896,
        "num_experts_per_token": 16, "num_shared_experts": 2, "mla_use_output_gate": true,
        "linear_attn_config": {"full_attn_layers": full, "head_dim": 128, "num_heads": 96,
            "short_conv_kernel_size": 4, "use_full_rank_gate": true}
    }));
    let count = model.parameters().unwrap();
    // 92 layers of 896 experts of three matrices.
    assert_eq!(count.of(Component::Experts), 92 * 896 * 3 * 3072 * 3584);
    assert!((count.total as f64 / 2.8e12 - 1.0).abs() < 0.01, "{}", count.total);
}

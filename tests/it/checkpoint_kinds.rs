//! Checkpoints as their methods and publishers write them: where quantisation stands, what a model does, files that are
//! something else.

use std::fs;

use serde_json::{Map, Value, json};
use shardfit::diagnostic::Diagnostic;
use shardfit::model::{self, Model, Scope, Task};
use shardfit::workload::Purpose;

/// Llama 3.1 8B's sizes, with more fields.
fn llama(more: Value) -> Map<String, Value> {
    let mut config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
        "max_position_embeddings": 131072, "rope_theta": 500000.0, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16",
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config.as_object().unwrap().clone()
}

fn read(config: &Map<String, Value>) -> Result<Model, Diagnostic> {
    model::from_config(config, "test", Scope::Full)
}

fn stored(more: Value) -> u64 {
    read(&llama(more)).unwrap().checkpoint_bytes().get()
}

/// Elements of all q, k, v and o projections, and of all gate, up and down projections, of [`llama`].
const ATTENTION: u64 = 1_342_177_280;
const FEED_FORWARD: u64 = 5_637_144_576;
/// Bytes of embedding, head and norms in 16 bits.
const OUTER: u64 = 2 * (2 * 525_336_576 + 266_240);

#[test]
fn modules_that_gptqmodels_dynamic_names_are_stored_as_it_says() {
    // `dynamic_get`: `-:` leaves a module alone, the first pattern that matches decides.
    let gptq = |dynamic: Value| {
        stored(
            json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": dynamic}}),
        )
    };
    let plain = gptq(json!({}));
    let without = gptq(json!({"-:.*self_attn.*": {}}));
    let four = |elements: u64| elements / 2 + elements / 128 / 2 + elements / 128 * 2;
    let inputs = 4 * 32 * 4 * 4096;
    assert_eq!(without - plain, 2 * ATTENTION - four(ATTENTION) - inputs);
    assert!(gptq(json!({"+:.*down_proj.*": {"bits": 8}})) > plain);
}

#[test]
fn autoround_mlx_quark_and_torchao_say_what_differs_by_module() {
    let kept = |quantization: Value| stored(json!({"quantization_config": quantization}));
    let names: Vec<String> = (0..32)
        .flat_map(|i| {
            ["q_proj", "k_proj", "v_proj", "o_proj"].map(|p| format!("model.layers.{i}.self_attn.{p}"))
        })
        .collect();
    let of_all =
        |value: Value| names.iter().map(|n| (n.clone(), value.clone())).collect::<Map<String, Value>>();
    let round = kept(json!({"quant_method": "auto-round", "bits": 4, "group_size": 128,
        "extra_config": of_all(json!({"bits": 16, "data_type": "fp"}))}));
    let four = |elements: u64| elements / 2 + elements / 128 / 2 + elements / 128 * 2;
    assert_eq!(round, OUTER + 2 * ATTENTION + four(FEED_FORWARD));

    // MLX: a 16-bit scale and bias for each group of 64; embedding and head too.
    let mut mlx = json!({"bits": 4, "group_size": 64});
    mlx.as_object_mut().unwrap().extend(of_all(json!(false)));
    let rest = FEED_FORWARD + 2 * 525_336_576;
    assert_eq!(kept(mlx), 2 * 266_240 + 2 * ATTENTION + rest / 2 + rest / 64 * 4);

    let fp8 = json!({"dtype": "fp8_e4m3", "qscheme": "per_tensor"});
    let quark = kept(json!({"quant_method": "quark", "global_quant_config": {"weight": fp8},
        "layer_quant_config": {"*self_attn*": {"weight": null}}}));
    assert_eq!(quark, OUTER + 2 * ATTENTION + FEED_FORWARD + 3 * 32 * 4);

    let torchao =
        kept(json!({"quant_method": "torchao", "quant_type": {"default": {"_type": "ModuleFqnToConfig",
        "_data": {"module_fqn_to_config": {
            "_default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}},
            "re:.*self_attn.*": null}}}}}));
    assert_eq!(torchao, OUTER + 2 * ATTENTION + FEED_FORWARD / 2 + FEED_FORWARD / 128 * 4);
}

#[test]
fn methods_are_known_without_a_name_and_in_nested_configurations() {
    let four = stored(json!({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true}}));
    // Older files of bitsandbytes name no method, and some ask for neither width.
    assert_eq!(stored(json!({"quantization_config": {"load_in_4bit": true}})), four);
    assert_eq!(
        stored(json!({"quantization_config": {"load_in_4bit": false, "load_in_8bit": false}})),
        stored(json!({}))
    );
    assert_eq!(
        stored(json!({"quantization": {"bits": 8, "group_size": 64}})),
        (8_030_261_248 - 266_240) / 16 * 17 + 2 * 266_240
    );
    let awq = json!({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true});
    let mut wrapped = llama(json!({}));
    let mut inner = wrapped.clone();
    inner.insert("quantization_config".into(), awq.clone());
    wrapped = json!({"model_type": "unheard_of", "llm_config": inner}).as_object().unwrap().clone();
    assert_eq!(read(&wrapped).unwrap().checkpoint_bytes().get(), stored(json!({"quantization_config": awq})));
}

#[test]
fn exl2_stores_its_mean_bits_and_two_of_four_half_and_a_mask() {
    let exl = stored(json!({"quantization_config": {"quant_method": "exl2", "bits": 4.25, "head_bits": 6}}));
    let head = 525_336_576;
    assert_eq!(exl, OUTER - 2 * head + head * 6 / 8 + (ATTENTION + FEED_FORWARD) * 17 / 32);
    let sparse =
        stored(json!({"quantization_config": {"quant_method": "compressed-tensors", "format": "dense",
        "sparsity_config": {"format": "sparse-24-bitmask", "ignore": ["lm_head"]}}}));
    assert_eq!(sparse, OUTER + (ATTENTION + FEED_FORWARD) * 9 / 8);
}

#[test]
fn what_is_not_understood_is_refused() {
    for quantization in [
        json!({"quant_method": "unheard-of", "bits": 4}),
        json!({"precision_of_weights": 3}),
        json!({"quant_method": "gptq", "bits": 7}),
        json!({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "NF3"}),
        json!({"quant_method": "auto-round", "bits": 3, "data_type": "posit"}),
        json!({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp3"}}}),
    ] {
        assert!(
            read(&llama(json!({"quantization_config": quantization.clone()}))).is_err(),
            "{quantization}"
        );
    }
}

#[test]
fn the_class_says_what_a_model_does_and_what_stands_on_top() {
    let of = |class: &str| read(&llama(json!({"architectures": [class]}))).unwrap();
    let total = |model: &Model| model.parameters().unwrap().total;
    let writes = of("LlamaForCausalLM");
    assert_eq!((writes.task, total(&writes)), (Task::Generation, 8_030_261_248));
    assert_eq!(Purpose::of(None, &writes), Ok(Purpose::Generate));
    let body = of("LlamaModel");
    assert_eq!((body.task, total(&body)), (Task::Embedding, 8_030_261_248 - 525_336_576));
    let scores = of("LlamaForSequenceClassification");
    assert_eq!((scores.task, total(&scores)), (Task::Classification, 8_030_261_248 - 525_336_576 + 2 * 4096));
    assert_eq!(Purpose::of(None, &scores), Ok(Purpose::Rerank));
    let refused = Purpose::of(Some("generate"), &scores).unwrap_err().to_string();
    assert!(refused.contains("classifier") && refused.contains("--task rerank"), "{refused}");
}

#[test]
fn encoders_keep_no_cache_and_count_exactly() {
    // Sizes of all parameters of `XLMRobertaModel` with these defaults, Transformers 5.24 on the `meta` device.
    let config = json!({"model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"], "hidden_size": 1024,
        "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096, "vocab_size": 250_002,
        "max_position_embeddings": 8194, "type_vocab_size": 1, "torch_dtype": "float32"});
    let model = read(config.as_object().unwrap()).unwrap();
    let embeddings = (250_002 + 8194 + 1 + 2) * 1024;
    let layer = 4 * (1024 * 1024 + 1024) + 2 * 4096 * 1024 + 4096 + 1024 + 4 * 1024;
    assert_eq!(model.parameters().unwrap().total, embeddings + 24 * layer + 1024 * 1024 + 1024);
    assert_eq!(model.kv_bytes_per_token(shardfit::dtype::DType::Bf16).get(), 0);
    assert_eq!((model.task, model.served_as().name()), (Task::Embedding, "bf16"));
}

#[test]
fn a_size_that_nothing_reads_is_named() {
    let model = read(&llama(json!({"new_low_rank_dim": 512, "num_labels": 2, "rotary_dim": 64}))).unwrap();
    let note = model.notes.iter().find(|note| note.contains("not read")).unwrap();
    assert!(note.contains("`new_low_rank_dim` = 512") && !note.contains("rotary_dim"), "{note}");
    assert!(read(&llama(json!({}))).unwrap().notes.is_empty());
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let refusal = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        model::find(path.to_str().unwrap(), &[], Scope::Full).unwrap_err().to_string()
    };
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    assert!(refusal(pointer).contains("Git LFS pointer"));
    assert!(refusal(b"<!DOCTYPE html><html></html>").contains("web page"));
    assert!(refusal(br#"{"dim": 4096, "n_layers": 32, "hidden_dim": 14336}"#).contains("params.json"));
    assert!(refusal(br#"{"d_model": 2560, "n_layer": 64, "ssm_cfg": {}}"#).contains("mamba-ssm"));
    let adapter = br#"{"peft_type": "LORA", "base_model_name_or_path": "a/b", "r": 8}"#;
    assert!(refusal(adapter).contains("adapter of `a/b`"));
    // UTF-16 is text all the same.
    let text = serde_json::to_string(&llama(json!({}))).unwrap();
    let wide: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    fs::write(&path, wide).unwrap();
    assert!(model::find(path.to_str().unwrap(), &[], Scope::Full).is_ok());
}

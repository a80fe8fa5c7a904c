//! Checkpoints as their methods and publishers write them: where quantisation stands, what a model does, files that are
//! something else.

use std::fs;

use serde_json::{Map, Value, json};
use shardfit::catalog::{self, Kind};
use shardfit::diagnostic::Diagnostic;
use shardfit::dtype::DType;
use shardfit::model::blocks::Block;
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

/// A catalogue model's own configuration, with more fields.
fn catalogued(id: &str, more: Value) -> Map<String, Value> {
    let entries = shardfit::catalog::entries(shardfit::catalog::Kind::Model);
    let entry = entries.iter().find(|entry| entry.id == id).unwrap_or_else(|| panic!("{id}"));
    let mut config: Map<String, Value> = serde_json::from_str(entry.json).unwrap();
    config.extend(more.as_object().unwrap().clone());
    config
}

#[test]
fn a_class_that_ends_like_a_body_writes_where_engines_or_its_own_map_say_so() {
    let glm = |more: Value| {
        let mut config = json!({"model_type": "chatglm", "architectures": ["ChatGLMModel"], "hidden_size": 4096,
            "ffn_hidden_size": 13696, "kv_channels": 128, "num_attention_heads": 32, "multi_query_attention": true,
            "multi_query_group_num": 2, "add_qkv_bias": true, "add_bias_linear": false, "rmsnorm": true,
            "post_layer_norm": true, "tie_word_embeddings": false, "torch_dtype": "float16"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(config.as_object().unwrap()).unwrap()
    };
    // huggingface.co/zai-org/chatglm3-6b and glm-4-9b: 6,243,584,000 and 9,399,951,360 parameters.
    let six = glm(json!({"num_layers": 28, "padded_vocab_size": 65024, "seq_length": 8192}));
    let nine = glm(json!({"num_layers": 40, "padded_vocab_size": 151_552, "seq_length": 8192}));
    assert_eq!((six.task, six.parameters().unwrap().total), (Task::Generation, 6_243_584_000));
    assert_eq!((nine.task, nine.parameters().unwrap().total), (Task::Generation, 9_399_951_360));

    // vLLM's registry.py: `_TEXT_GENERATION_MODELS` and `_MULTIMODAL_MODELS`.
    for class in ["AquilaModel", "Qwen2_5OmniModel", "UltravoxModel", "NVLM_D_Model", "LlavaLlamaModel"] {
        let model = read(&llama(json!({"architectures": [class]}))).unwrap();
        assert_eq!(
            (model.task, model.parameters().unwrap().total),
            (Task::Generation, 8_030_261_248),
            "{class}"
        );
    }
    let mapped = read(&llama(json!({"architectures": ["UnheardOfModel"],
        "auto_map": {"AutoModelForCausalLM": "modeling.UnheardOfForCausalLM"}})));
    assert_eq!(mapped.unwrap().task, Task::Generation);
    // intfloat/e5-mistral-7b-instruct names its body.
    let body =
        read(&llama(json!({"architectures": ["MistralModel"], "auto_map": {"AutoModel": "m.MistralModel"}})));
    let body = body.unwrap();
    assert_eq!(body.task, Task::Embedding);
    assert!(body.notes.iter().any(|note| note.contains("`MistralModel` is a body")), "{:?}", body.notes);
}

#[test]
fn modelopt_may_quantise_the_cache_alone() {
    // `unified_export_hf.py` of TensorRT-Model-Optimizer writes the file where either algorithm is set.
    let wide = stored(json!({}));
    for quantization in [
        json!({"quant_method": "modelopt", "quant_algo": null, "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}),
        json!({"producer": {"name": "modelopt"},
            "quantization": {"quant_algo": null, "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}),
        json!({"kv_cache_quant_algo": "FP8"}),
    ] {
        let model = read(&llama(json!({"quantization_config": quantization}))).unwrap();
        assert_eq!(model.checkpoint_bytes().get(), wide);
        assert_eq!(model.quantisation.kv, Some(shardfit::dtype::DType::Fp8));
    }
    let fp8 = json!({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"});
    assert!(stored(json!({"quantization_config": fp8})) < wide * 6 / 10);
}

#[test]
fn bitnet_that_is_quantised_as_it_runs_is_stored_in_16_bits() {
    // huggingface.co/microsoft/bitnet-b1.58-2B-4T-bf16: 2,412,820,480 parameters in BF16; the packed one takes a quarter
    // of a byte for each weight of its layers.
    let of = |mode: &str| {
        let config = json!({"model_type": "bitnet", "architectures": ["BitNetForCausalLM"], "hidden_size": 2560,
            "intermediate_size": 6912, "num_hidden_layers": 30, "num_attention_heads": 20, "num_key_value_heads": 5,
            "vocab_size": 128_256, "max_position_embeddings": 4096, "tie_word_embeddings": true,
            "torch_dtype": "bfloat16", "quantization_config": {"quant_method": "bitnet",
                "linear_class": "autobitlinear", "quantization_mode": mode}});
        read(config.as_object().unwrap()).unwrap()
    };
    assert_eq!(of("online").parameters().unwrap().total, 2_412_820_480);
    assert_eq!(of("online").checkpoint_bytes().get(), 2 * 2_412_820_480);
    assert!(of("offline").checkpoint_bytes().get() < 1_250_000_000);
}

#[test]
fn mlx_calls_routed_experts_switch_mlp_and_an_override_that_meets_nothing_is_said() {
    // mlx_lm/models/qwen3_moe.py: `mlp.switch_mlp`; mixed recipes keep its down projections in 8 bits.
    let mixed = |module: &str| {
        let mut quantization = json!({"group_size": 64, "bits": 4, "mode": "affine"});
        let names = (0..48).map(|i| format!("model.layers.{i}.mlp.{module}"));
        let wider = names.map(|name| (name, json!({"group_size": 64, "bits": 8})));
        quantization.as_object_mut().unwrap().extend(wider);
        read(&catalogued("Qwen/Qwen3-30B-A3B", json!({"quantization": quantization}))).unwrap()
    };
    let plain = json!({"quantization": {"group_size": 64, "bits": 4, "mode": "affine"}});
    let plain = read(&catalogued("Qwen/Qwen3-30B-A3B", plain)).unwrap().checkpoint_bytes().get();
    let down = 48 * 128 * 2048 * 768;
    let model = mixed("switch_mlp.down_proj");
    assert_eq!(model.checkpoint_bytes().get(), plain + down / 2);
    assert_eq!(model.notes, Vec::<String>::new());
    let unmet = mixed("unheard_of.down_proj");
    assert_eq!(unmet.checkpoint_bytes().get(), plain);
    let said = "of the 48 modules that the quantisation stores otherwise by their layer the model has none";
    assert!(unmet.notes.iter().any(|note| note.starts_with(said)), "{:?}", unmet.notes);
}

#[test]
fn a_tower_that_a_list_leaves_alone_module_by_module_stays_in_16_bits() {
    // llm-compressor writes the modules that its patterns matched when it saves a checkpoint.
    let fp8 = |id: &str, ignore: Vec<String>| {
        let groups = json!({"group_0": {"targets": ["Linear"], "input_activations": {"num_bits": 8, "dynamic": true},
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": true}}});
        let quantization = json!({"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ignore,
            "config_groups": groups});
        let model = read(&catalogued(id, json!({"quantization_config": quantization}))).unwrap();
        model.checkpoint_bytes().get()
    };
    let named = |layers: u64, before: &str, modules: &[&str], rest: &[&str]| -> Vec<String> {
        let of_layers = (0..layers).flat_map(|i| modules.iter().map(move |m| format!("{before}.{i}.{m}")));
        of_layers.chain(rest.iter().map(|name| (*name).to_owned())).collect()
    };
    let all = |patterns: &[&str]| patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    let qwen = "Qwen/Qwen2.5-VL-7B-Instruct";
    let modules = ["attn.qkv", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];
    for before in ["visual.", "model.visual."] {
        let merger = [format!("{before}merger.mlp.0"), format!("{before}merger.mlp.2")];
        let merger: Vec<&str> = merger.iter().map(String::as_str).chain(["lm_head"]).collect();
        let list = named(32, &format!("{before}blocks"), &modules, &merger);
        assert_eq!(fp8(qwen, list), fp8(qwen, all(&["re:.*visual.*", "lm_head"])), "{before}");
    }
    // Only the second halves of its feed-forward layers, whose width of 3,420 many kernels do not take.
    let halves = fp8(qwen, named(32, "visual.blocks", &["mlp.down_proj"], &["lm_head"]));
    let kept = 32 * (1280 * 3420 - 1280 * 2);
    assert_eq!(halves - fp8(qwen, all(&["lm_head"])), kept);

    let gemma = "google/gemma-3-27b-it";
    let modules = [
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.out_proj",
        "mlp.fc1",
        "mlp.fc2",
    ];
    let list = named(27, "vision_tower.vision_model.encoder.layers", &modules, &["lm_head"]);
    assert_eq!(fp8(gemma, list), fp8(gemma, all(&["re:.*vision_tower.*", "lm_head"])));
}

#[test]
fn llava_as_its_authors_write_it_has_the_tower_that_it_names() {
    let of = |model_type: &str, class: &str, sizes: Value| {
        let mut config = json!({"model_type": model_type, "architectures": [class], "mm_projector_type": "mlp2x_gelu",
            "mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_hidden_size": 1024,
            "tie_word_embeddings": false, "torch_dtype": "bfloat16"});
        config.as_object_mut().unwrap().extend(sizes.as_object().unwrap().clone());
        read(config.as_object().unwrap()).unwrap()
    };
    let unpad = "spatial_unpad";
    // huggingface.co: liuhaotian/llava-v1.6-34b, llava-v1.6-vicuna-13b, lmms-lab/llava-onevision-qwen2-7b-ov.
    let yi = of(
        "llava",
        "LlavaLlamaForCausalLM",
        json!({"hidden_size": 7168, "intermediate_size": 20480,
        "num_hidden_layers": 60, "num_attention_heads": 56, "num_key_value_heads": 8, "vocab_size": 64000,
        "max_position_embeddings": 4096, "mm_patch_merge_type": unpad}),
    );
    assert_eq!((yi.task, yi.parameters().unwrap().total), (Task::Generation, 34_751_166_464));
    let vicuna = of(
        "llava",
        "LlavaLlamaForCausalLM",
        json!({"hidden_size": 5120, "intermediate_size": 13824,
        "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 40, "vocab_size": 32000,
        "max_position_embeddings": 4096, "mm_patch_merge_type": unpad}),
    );
    assert_eq!(vicuna.parameters().unwrap().total, 13_350_844_416);
    let qwen = json!({"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152_064, "max_position_embeddings": 32768,
        "mm_vision_tower": "google/siglip-so400m-patch14-384", "mm_hidden_size": 1152, "mm_patch_merge_type": unpad});
    let qwen = of("llava_qwen", "LlavaQwenForCausalLM", qwen);
    assert!(qwen.recognised && qwen.notes.is_empty(), "{:?}", qwen.notes);
    assert_eq!(qwen.parameters().unwrap().total, 8_030_348_832);
    // A tower that is not known is named.
    let other = of(
        "llava",
        "LlavaLlamaForCausalLM",
        json!({"hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
        "max_position_embeddings": 4096, "mm_vision_tower": "org/unheard-of"}),
    );
    assert_eq!(other.parameters().unwrap().total, 6_738_415_616);
    assert!(other.notes.iter().any(|note| note.contains("org/unheard-of")), "{:?}", other.notes);
}

#[test]
fn mlx_checkpoints_weigh_what_their_index_says() {
    // model.safetensors.index.json of github.com/leo-kreisman/Qwen3.5-9B-MLX-8bit at 57b66137: total_size.
    let quantization = json!({"group_size": 64, "bits": 8, "mode": "affine"});
    let model = read(&catalogued("Qwen/Qwen3.5-9B", json!({"quantization": quantization}))).unwrap();
    let stored = model.checkpoint_bytes().as_f64();
    assert!((stored / 10_426_433_504.0 - 1.0).abs() < 0.005, "{stored}");
}

#[test]
fn a_prediction_layer_of_a_number_is_not_the_decoders() {
    let of = |entries: &[&str]| leaving("Qwen/Qwen3.6-27B", entries);
    let bytes = |model: Model| (model.checkpoint_bytes().get(), model.prediction_bytes().get());
    let (decoder, prediction) = bytes(of(&[]));
    // 8 bits with a 16-bit scale to each output, or 16 bits.
    let kept = 5120 * 17_408 - 2 * 5120;
    assert_eq!(bytes(of(&["mtp.layers.0.mlp.down_proj"])), (decoder, prediction + kept));
    assert_eq!(bytes(of(&["re:mtp.*down_proj"])), (decoder, prediction + kept));
    assert_eq!(bytes(of(&["model.layers.0.mlp.down_proj"])), (decoder + kept, prediction));
}

#[test]
fn what_the_language_model_says_of_its_storage_leaves_the_tower_alone() {
    // total_size of moonshotai/Kimi-K2.6, whose quantization_config stands in text_config: the tower is in 16 bits.
    let kimi = read(&catalogued("moonshotai/Kimi-K2.6", json!({}))).unwrap();
    assert!((kimi.checkpoint_bytes().as_f64() / 595_148_192_736.0 - 1.0).abs() < 1e-6);
    let mut root = catalogued("moonshotai/Kimi-K2.6", json!({}));
    let own = root["text_config"].as_object_mut().unwrap().remove("quantization_config").unwrap();
    root.insert("quantization_config".to_owned(), own);
    let reached = read(&root).unwrap().checkpoint_bytes();
    assert_eq!(kimi.checkpoint_bytes().saturating_sub(reached).get() / 1_000_000, 668);
}

#[test]
fn mlx_takes_what_stands_beside_a_tower_and_the_gates_of_embeddings_by_layer() {
    let bytes = |id: &str, more: Value| read(&catalogued(id, more)).unwrap().checkpoint_bytes().as_f64();
    let in_4_bits =
        |id: &str| bytes(id, json!({"quantization": {"group_size": 64, "bits": 4, "mode": "affine"}}));
    // `mlx_vlm/utils.py` `skip_multimodal_module`: what a path calls a tower. Gemma's projection of images into the width
    // of the text, 5376 times 1152, stands beside it. total_size of mlx-community/gemma-4-31b-it-4bit.
    assert!((in_4_bits("google/gemma-4-31B-it") / 18_411_755_224.0 - 1.0).abs() < 1e-6);
    // Qwen's merger is a module of its tower: total_size of mlx-community/Qwen3.6-27B-4bit.
    assert_eq!(in_4_bits("Qwen/Qwen3.6-27B"), 16_054_262_240.0);
    // Gates and projections of embeddings by layer are linear layers; the one projection for all layers is not.
    let (id, packed) = ("google/gemma-4-E4B-it", 4.0 / 8.0 + 4.0 / 64.0);
    let named = |name: &str| {
        let quantization = json!({"group_size": 64, "bits": 4, "model.layers.0.per_layer_input_gate": false,
            "model.per_layer_model_projection": false});
        let quantization = if name.is_empty() { json!({"group_size": 64, "bits": 4}) } else { quantization };
        bytes(id, json!({"quantization": quantization}))
    };
    assert_eq!(named("kept") - named(""), 256.0 * 2560.0 * (2.0 - packed));
}

#[test]
fn null_is_no_number_of_experts_and_a_pattern_is_as_long_as_the_model() {
    let qwen = |more: Value| read(&catalogued("Qwen/Qwen3-30B-A3B", more));
    assert!(qwen(json!({"num_experts_per_tok": null})).unwrap_err().to_string().contains("not said"));
    assert!(qwen(json!({"num_experts": null})).is_err());
    let nemotron = |more: Value| {
        let mut config = catalogued("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", json!({}));
        config.remove("layers_block_type");
        config.remove("hybrid_override_pattern");
        config.extend(more.as_object().unwrap().clone());
        read(&config)
    };
    assert!(nemotron(json!({})).unwrap_err().to_string().contains("hybrid_override_pattern"));
    let short = nemotron(json!({"hybrid_override_pattern": "MEM"})).unwrap_err().to_string();
    assert!(short.contains("a pattern of 3 layers"), "{short}");
    let vision = json!({"model_type": "internvl_chat", "architectures": ["InternVLChatModel"],
        "llm_config": llama(json!({})), "vision_config": {"model_type": "intern_vit_6b", "hidden_size": 1024,
            "intermediate_size": 4096, "num_hidden_layers": 24, "image_size": 448, "patch_size": 0}});
    assert!(read(vision.as_object().unwrap()).unwrap_err().to_string().contains("patch_size"));
}

#[test]
fn switches_of_towers_and_untied_encoders_count_as_their_classes_do() {
    // Transformers 5.24 on the `meta` device: what a switch takes from the class's default, or adds.
    let total = |config: &Value| read(config.as_object().unwrap()).unwrap().parameters().unwrap().total;
    let wrapper = |model_type: &str, class: &str, root: Value, vision: Value| {
        let mut config = json!({"model_type": model_type, "architectures": [class], "text_config": llama(json!({})),
            "vision_config": vision});
        config.as_object_mut().unwrap().extend(root.as_object().unwrap().clone());
        total(&config)
    };
    let got = |vision| wrapper("got_ocr2", "GotOcr2ForConditionalGeneration", json!({}), vision);
    assert_eq!(got(json!({})) - got(json!({"use_rel_pos": false})), 92_672);
    assert_eq!(got(json!({})) - got(json!({"use_abs_pos": false})), 3_145_728);
    assert_eq!(got(json!({})) - got(json!({"qkv_bias": false})), 27_648);
    let glm = |vision| wrapper("glm_ocr", "GlmOcrForConditionalGeneration", json!({}), vision);
    assert_eq!(glm(json!({})) - glm(json!({"attention_bias": false})), 319_488);
    let step = |root| wrapper("step3p7", "Step3p7ForConditionalGeneration", root, json!({}));
    assert_eq!(step(json!({"projector_bias": true})) - step(json!({})), 4096);
    let lfm = |root| wrapper("lfm3_vl", "Lfm3VlForConditionalGeneration", root, json!({}));
    assert_eq!(lfm(json!({})) - lfm(json!({"projector_bias": false})), 4096 + 4096);

    let encoder = |model_type: &str, class: &str, vocabulary: u64, positions: u64, tied: bool| {
        total(
            &json!({"model_type": model_type, "architectures": [class], "hidden_size": 768, "num_hidden_layers": 12,
            "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": vocabulary,
            "max_position_embeddings": positions, "type_vocab_size": 2, "tie_word_embeddings": tied}),
        )
    };
    assert_eq!(encoder("bert", "BertForMaskedLM", 30_522, 512, true), 109_514_298);
    assert_eq!(encoder("bert", "BertForMaskedLM", 30_522, 512, false), 132_985_716);
    assert_eq!(encoder("roformer", "RoFormerModel", 50_000, 1536, true), 123_555_840);
    assert_eq!(encoder("roformer", "RoFormerForMaskedLM", 50_000, 1536, false), 162_647_968);
}

/// A checkpoint in 8 bits that leaves alone what `entries` say.
fn leaving(id: &str, entries: &[&str]) -> Model {
    let quantization = json!({"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": entries,
        "config_groups": {"group_0": {"targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}});
    let more = json!({"quantization_config": quantization, "expert_dtype": null, "compression_config": null});
    read(&catalogued(id, more)).unwrap_or_else(|e| panic!("{id}: {e}"))
}

#[test]
fn lists_speak_in_the_names_of_the_publishers_checkpoints() {
    // A publisher's words, and those of the Transformers class or of this program for the same modules.
    let same: [(&str, &[&str], &[&str]); 9] = [
        ("deepseek-ai/DeepSeek-V4-Flash", &[r"re:.*\.attn\..*"], &["re:.*self_attn.*"]),
        ("deepseek-ai/DeepSeek-V4-Flash", &[r"re:.*\.ffn\..*"], &[r"re:.*mlp\..*"]),
        ("ibm-granite/granite-4.0-h-small", &["shared_mlp"], &["re:.*shared_experts.*"]),
        ("Snowflake/snowflake-arctic-instruct", &["re:.*residual_mlp.*"], &["re:.*shared_experts.*"]),
        ("stepfun-ai/Step-3.5-Flash", &[r"re:.*\.moe\..*"], &["re:.*mlp.experts.*"]),
        ("databricks/dbrx-instruct", &[r"re:.*\.ffn\..*"], &[r"re:.*mlp\..*"]),
        ("tiiuae/falcon-40b", &["re:.*self_attention.*"], &["re:.*self_attn.*"]),
        ("bigscience/bloom-7b1", &["re:.*self_attention.*"], &["re:.*self_attn.*"]),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", &["re:.*block_sparse_moe.*"], &[r"re:.*mlp\..*"]),
    ];
    for (id, theirs, ours) in same {
        let bytes = |entries| leaving(id, entries).checkpoint_bytes().get();
        assert_eq!(bytes(theirs), bytes(ours), "{id}");
        assert!(bytes(theirs) > bytes(&[]), "{id}");
        let said = leaving(id, theirs).notes;
        assert!(!said.iter().any(|note| note.contains("by names that")), "{id}: {said:?}");
    }
}

#[test]
fn what_a_list_names_and_the_model_has_not_is_said() {
    let id = "Qwen/Qwen3-30B-A3B";
    for entry in ["re:.*no_such_part.*", "*.no_such_part", "no_such_part", "re:.*layers.3.feeder.*"] {
        let said = leaving(id, &["lm_head", "re:.*mlp.gate$", entry]).notes.join("\n");
        assert!(said.contains(entry) && said.contains("counted as quantised"), "{entry}: {said}");
    }
    // What no method quantises, lies outside the layers or behind the last one is not.
    let usual = ["lm_head", "re:.*mlp.gate$", "re:visual.*", "re:.*norm.*", "model.layers.48*", "mtp*"];
    let said = leaving(id, &usual).notes;
    assert!(!said.iter().any(|note| note.contains("by names that")), "{said:?}");
    let gptq = json!({"quant_method": "gptq", "bits": 4, "group_size": 128,
        "modules_in_block_to_quantize": [["attn.no_such"]]});
    let said = read(&catalogued(id, json!({"quantization_config": gptq}))).unwrap().notes.join("\n");
    assert!(said.contains("attn.no_such") && said.contains("nothing is quantised by it"), "{said}");
}

#[test]
fn targets_in_deepseeks_names_reach_attention_and_experts() {
    // RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8.
    let group = |targets: Value, weights: Value| json!({"targets": targets, "weights": weights});
    let eight = json!({"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128]});
    let four = json!({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16});
    let quantization = json!({"quant_method": "compressed-tensors", "format": "mixed-precision", "ignore": ["lm_head"],
        "config_groups": {
            "group_0": group(json!(["re:.*attn.*(fused_wqa_wkv|wq_b|wo_a|wo_b)$"]), eight),
            "group_1": group(json!(["re:.*ffn.*(gate|up|down)_proj$"]), four)}});
    let config = catalogued("deepseek-ai/DeepSeek-V4-Flash", json!({"quantization_config": quantization}));
    let model = read(&config).unwrap();
    for group in &model.groups {
        assert_eq!(group.formats.attention.name(), "fp8_block", "{:?}", group.layers);
        assert_eq!(group.formats.experts.name(), "nvfp4", "{:?}", group.layers);
    }
    // 284.3 G weights: 277.0 G of experts at 4.5 bits, 155.8 GB; 5.1 GB of attention.
    let stored = model.checkpoint_bytes().get() as f64 / 1e9;
    assert!((163.0..166.0).contains(&stored), "{stored}");
}

#[test]
fn the_lists_of_published_checkpoints_name_what_the_models_have() {
    for entry in catalog::entries(Kind::Model) {
        let model = model::find(entry.id, &[], Scope::Full).unwrap();
        let unmet: Vec<&String> =
            model.notes.iter().filter(|note| note.contains("the quantisation")).collect();
        assert!(unmet.is_empty(), "{}: {unmet:?}", entry.id);
    }
}

#[test]
fn experts_quantised_again_stand_in_the_fp8_blocks_that_they_were_in() {
    // nvidia/DeepSeek-V4-Flash-NVFP4: the list of what ModelOpt ignores is of its own pass, over DeepSeek's FP8 checkpoint.
    let model = model::find("nvidia/DeepSeek-V4-Flash-NVFP4", &[], Scope::Full).unwrap();
    for group in &model.groups {
        assert_eq!(group.formats.attention.name(), "fp8_block", "{:?}", group.layers);
        assert_eq!(group.formats.mlp.name(), "fp8_block", "{:?}", group.layers);
        assert_eq!(group.formats.experts.name(), "nvfp4", "{:?}", group.layers);
    }
}

#[test]
fn prediction_layers_are_counted_or_said_not_to_be_read() {
    let read_as = |id: &str| read(&catalogued(id, json!({}))).unwrap();
    // The hub's counts, prediction layers included; those of Ultra and HY-3 to five digits.
    let whole = |id: &str| {
        let count = read_as(id).parameters().unwrap();
        count.total + count.mtp
    };
    assert_eq!(whole("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16"), 123_611_012_096);
    let hundredths = |id| (whole(id) + 5_000_000) / 10_000_000;
    assert_eq!(hundredths("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16"), 56_052);
    assert_eq!(hundredths("tencent/Hy3"), 29_879);
    // vLLM `deepseek_v4_mtp.py`: a layer that keeps a window alone, two projections, three norms, a head over the streams.
    let flash = read_as("deepseek-ai/DeepSeek-V4-Flash");
    assert!(flash.mtp.iter().any(|block| matches!(block, Block::Compressed(a) if a.compressor.is_none())));
    for id in ["nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16", "deepseek-ai/DeepSeek-V3", "tencent/Hy3"] {
        let model = read_as(id);
        assert_eq!(model.unread_predictions, 0, "{id}");
        assert!(!model.notes.iter().any(|note| note.contains("prediction layers")), "{id}");
    }
    let step = read_as("stepfun-ai/Step-3.5-Flash");
    assert_eq!(step.unread_predictions, 3);
    let said = "prediction layers that its file names (3) are not read by shardfit";
    assert!(step.notes.iter().any(|note| note.starts_with(said)), "{:?}", step.notes);
    let without = read(&llama(json!({}))).unwrap();
    assert_eq!((without.unread_predictions, without.notes), (0, Vec::new()));
}

#[test]
fn dense_layers_predict_for_exaone_and_ernie() {
    let more = |id: &str, more: Value| {
        let (without, with) =
            (read(&catalogued(id, json!({}))).unwrap(), read(&catalogued(id, more)).unwrap());
        assert_eq!(without.parameters().unwrap().total, with.parameters().unwrap().total);
        with.parameters().unwrap().mtp
    };
    // EXAONE 4.0 32B's sizes are those of EXAONE 4.5's language model, whose hub count is 536 million more: one layer of
    // attention (40 and 8 heads) and feed-forward, what joins both inputs, norms.
    let layer = 2 * 5120 * (5120 + 1024) + 3 * 5120 * 27_392 + 2 * 5120 * 5120;
    let norms = 2 * 5120 + 2 * 128 + 3 * 5120;
    assert_eq!(more("LGAI-EXAONE/EXAONE-4.0-32B", json!({"num_nextn_predict_layers": 1})), layer + norms);
    // ERNIE-4.5-21B-A3B (vLLM `ernie_mtp.py`): a dense layer, no norm of the output.
    let layer = 2 * 2560 * (2560 + 512) + 3 * 2560 * 12_288 + 2 * 2560 * 2560;
    assert_eq!(more("baidu/ERNIE-4.5-21B-A3B-PT", json!({"num_nextn_predict_layers": 1})), layer + 4 * 2560);
    // K-EXAONE-236B: the hub has 528.5 million more than the decoder's class.
    let exaone = json!({"model_type": "exaone_moe", "architectures": ["ExaoneMoEForCausalLM"], "hidden_size": 6144,
        "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 64,
        "num_key_value_heads": 8, "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "num_shared_experts": 1,
        "first_k_dense_replace": 1, "vocab_size": 153600, "max_position_embeddings": 262144,
        "num_nextn_predict_layers": 1, "tie_word_embeddings": false, "torch_dtype": "bfloat16"});
    let count = read(exaone.as_object().unwrap()).unwrap().parameters().unwrap();
    assert_eq!((count.mtp + 50_000) / 100_000, 5_285, "{}", count.mtp);
}

#[test]
fn decoders_that_make_vectors_have_no_output_projection() {
    // The hub's counts of intfloat/e5-mistral-7b-instruct and Qwen/Qwen3-Embedding-8B.
    let e5 = read(&catalogued("intfloat/e5-mistral-7b-instruct", json!({}))).unwrap();
    assert_eq!((e5.parameters().unwrap().total, e5.task), (7_110_660_096, Task::Embedding));
    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::to_string(&catalogued("Qwen/Qwen3-Embedding-8B", json!({}))).unwrap();
    fs::write(folder.path().join("config.json"), config).unwrap();
    let modules = json!([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]);
    fs::write(folder.path().join("modules.json"), modules.to_string()).unwrap();
    let model = model::find(folder.path().to_str().unwrap(), &[], Scope::Full).unwrap();
    assert_eq!((model.parameters().unwrap().total, model.task), (7_567_295_488, Task::Embedding));
    assert!(model.notes.iter().any(|note| note.starts_with("modules.json")), "{:?}", model.notes);
}

#[test]
fn deepseeks_small_models_attend_plainly_where_their_file_says_so() {
    // `language_config` of deepseek-ai/deepseek-vl2-tiny: embedding and head, 12 layers of attention, one dense layer, 11 of 64
    // experts and two that all tokens use, norms.
    let config = json!({"model_type": "deepseek_v2", "first_k_dense_replace": 1, "hidden_size": 1280,
        "intermediate_size": 6848, "kv_lora_rank": null, "max_position_embeddings": 4096, "moe_intermediate_size": 896,
        "n_group": 1, "n_routed_experts": 64, "n_shared_experts": 2, "num_attention_heads": 10, "num_experts_per_tok": 6,
        "num_hidden_layers": 12, "num_key_value_heads": 10, "q_lora_rank": null, "qk_nope_head_dim": 0,
        "qk_rope_head_dim": 0, "topk_group": 1, "topk_method": "greedy", "torch_dtype": "bfloat16", "use_mla": false,
        "v_head_dim": 0, "vocab_size": 129280});
    let model = read(config.as_object().unwrap()).unwrap();
    let sparse = 11 * (66 * 3 * 1280 * 896 + 64 * 1280);
    let rest = 2 * 129_280 * 1280 + 12 * 4 * 1280 * 1280 + 3 * 1280 * 6848 + 25 * 1280;
    assert_eq!(model.parameters().unwrap().total, sparse + rest);
    assert!(!model.is_latent());
}

#[test]
fn a_class_decides_where_the_type_is_a_strangers_and_strangers_are_named() {
    // sgl-project/DeepSeek-V4-Flash-FP8 says `deepseek_ref`.
    let stranger = json!({"model_type": "deepseek_ref"});
    let id = "deepseek-ai/DeepSeek-V4-Flash";
    let (known, strange) = (catalogued(id, json!({})), catalogued(id, stranger));
    let (known, strange) = (read(&known).unwrap(), read(&strange).unwrap());
    assert_eq!(known.parameters().unwrap(), strange.parameters().unwrap());
    assert!(strange.recognised && strange.family == "deepseek_v4");
    assert!(
        strange
            .notes
            .iter()
            .any(|note| note.contains("`deepseek_ref`") && note.contains("DeepseekV4ForCausalLM"))
    );
    let whole = json!({"model_type": "t5gemma", "architectures": ["T5GemmaForConditionalGeneration"],
        "encoder": {"hidden_size": 2304}, "decoder": {"hidden_size": 2304}, "vocab_size": 256000});
    let refused = read(whole.as_object().unwrap()).unwrap_err();
    assert!(refused.cause.contains("model_type `t5gemma` is not known"), "{refused}");
}

#[test]
fn a_wrappers_null_empty_or_strange_parts_are_said() {
    // OpenGVLab/InternVL3-8B's sizes.
    let tower = |kind: &str| {
        json!({"model_type": kind, "hidden_size": 1024, "image_size": 448, "patch_size": 14,
        "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24})
    };
    let intern = |more: Value| {
        let mut config = json!({"model_type": "internvl_chat", "architectures": ["InternVLChatModel"],
            "torch_dtype": "bfloat16", "vision_config": tower("intern_vit_6b"), "llm_config": {"model_type": "qwen2",
                "architectures": ["Qwen2ForCausalLM"], "hidden_size": 3584, "intermediate_size": 18944,
                "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 151674,
                "max_position_embeddings": 32768, "tie_word_embeddings": false}});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(config.as_object().unwrap())
    };
    let whole = intern(json!({})).unwrap();
    // null is none: the class builds its own tower, as where the field is absent.
    let null = intern(json!({"vision_config": null})).unwrap();
    assert!(null.notes.iter().any(|note| note.starts_with("no vision_config given")), "{:?}", null.notes);
    assert!(!null.towers.is_empty());
    let strange = intern(json!({"vision_config": tower("foo")})).unwrap();
    assert!(
        strange.notes.iter().any(|note| note.starts_with("the `foo` of vision_config")),
        "{:?}",
        strange.notes
    );
    assert!(!whole.notes.iter().any(|note| note.contains("of vision_config")), "{:?}", whole.notes);
    let empty = intern(json!({"llm_config": {}})).unwrap_err();
    assert!(empty.cause.contains("missing field"), "{empty}");
    // Mistral's wrapper reads Pixtral's tower: another is counted in its structure, and that is said.
    let mistral = catalogued("mistralai/Mistral-Small-3.1-24B-Instruct-2503", json!({}));
    let said = |vision: &str| {
        let mut config = mistral.clone();
        config["vision_config"]["model_type"] = vision.into();
        read(&config)
            .unwrap()
            .notes
            .iter()
            .any(|note| note.contains("of vision_config is not known as a tower"))
    };
    assert!(said("siglip_vision_model") && !said("pixtral"));
}

/// A folder with a `config.json` and other files.
fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn notes_of(files: &[(&str, Vec<u8>)]) -> Vec<String> {
    let folder = folder(files);
    model::find(folder.path().to_str().unwrap(), &[], Scope::Full).unwrap().notes
}

#[test]
fn what_lies_beside_a_configuration_is_compared_or_said() {
    let bytes = |value: &Value| value.to_string().into_bytes();
    let config = || ("config.json", bytes(&Value::Object(llama(json!({})))));
    let compared = |notes: &[String]| notes.iter().any(|note| note.contains("its tensors add up to"));
    // One file without an index: 8 bytes of length, the header, the tensor.
    let header = br#"{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#;
    let single = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    let notes = notes_of(&[config(), ("model.safetensors", single)]);
    assert!(compared(&notes) && notes[0].starts_with("the header of its weight file"), "{notes:?}");
    // Sizes as a number with a point and as text.
    let index =
        |size: Value| ("model.safetensors.index.json", bytes(&json!({"metadata": {"total_size": size}})));
    let whole = stored(json!({}));
    for size in [json!(26_060_522_496.0), json!("26060522496")] {
        assert!(compared(&notes_of(&[config(), index(size.clone())])), "{size}");
    }
    assert!(notes_of(&[config(), index(json!(whole))]).is_empty());
    let notes = notes_of(&[config(), ("model.safetensors.index.json", b"{".to_vec())]);
    assert!(notes[0].contains("cannot be compared"), "{notes:?}");
    let gptq = bytes(&json!({"quant_method": "gptq", "bits": 4, "group_size": 128}));
    let modelopt = bytes(&json!({"quantization": {"quant_algo": "FP8"}}));
    let both = [config(), ("quantize_config.json", gptq), ("hf_quant_config.json", modelopt)];
    let notes = notes_of(&both);
    let said = "is taken from hf_quant_config.json: quantize_config.json beside it is not read";
    assert!(notes.iter().any(|note| note.contains(said)), "{notes:?}");
    let notes = notes_of(&[config(), ("adapter_config.json", b"{}".to_vec())]);
    assert!(notes.iter().any(|note| note.starts_with("adapter_config.json")), "{notes:?}");
}

#[test]
fn a_file_without_a_type_of_its_weights_says_that_16_bits_are_assumed() {
    let mut config = llama(json!({}));
    config.remove("torch_dtype");
    let said = |config: &Map<String, Value>| {
        let notes = notes_of(&[("config.json", serde_json::to_vec(config).unwrap())]);
        notes.iter().any(|note| note.starts_with("no torch_dtype given"))
    };
    assert!(said(&config));
    for typed in [json!({"dtype": "float32"}), json!({"quantization_config": {"quant_method": "fp8"}})] {
        let mut config = config.clone();
        config.extend(typed.as_object().unwrap().clone());
        assert!(!said(&config), "{typed}");
    }
}

#[test]
fn hunyuans_layers_share_keys_and_values_where_their_file_says_so() {
    // vLLM `hunyuan_v1.py`, `HunYuanCrossAttention`: of two layers one has keys and values.
    let hunyuan = |more| read(&catalogued("tencent/Hunyuan-A13B-Instruct", more)).unwrap();
    let (own, shared) = (hunyuan(json!({})), hunyuan(json!({"use_cla": true, "cla_share_factor": 2})));
    assert_eq!(own.cache_bytes_per_token(DType::Bf16), shared.cache_bytes_per_token(DType::Bf16) * 2);
    let attention = |model: &Model| model.parameters().unwrap().total;
    // 16 layers without their two matrices of 8 heads of 128 and 4,096 inputs, and without the norm of keys.
    assert_eq!(attention(&own) - attention(&shared), 16 * (2 * 1024 * 4096 + 128));
}

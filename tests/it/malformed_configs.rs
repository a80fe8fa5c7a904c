//! Configurations that no model has: whatever a file says, reading it ends in a model or in an error.

use crate::common::odd::{exercise, oddities, small, wrapped};
use serde_json::json;
use shardfit::model::{self, FAMILIES, Scope};

#[test]
fn the_configurations_that_are_made_odd_are_models_before() {
    let types: Vec<&str> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
    let refused: Vec<String> = types
        .iter()
        .filter_map(|t| model::from_config(&small(t), t, Scope::Full).err().map(|e| format!("{t}: {e}")))
        .collect();
    assert!(refused.len() * 10 <= types.len(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn one_odd_field_never_panics() {
    let oddities = oddities();
    for model_type in FAMILIES.iter().flat_map(|family| family.model_types) {
        for base in [small(model_type), wrapped(model_type)] {
            exercise(&base);
            for key in base.keys().filter(|key| *key != "model_type") {
                let mut without = base.clone();
                without.remove(key);
                exercise(&without);
                for value in &oddities {
                    let mut odd = base.clone();
                    odd.insert(key.clone(), value.clone());
                    exercise(&odd);
                }
            }
        }
    }
}

#[test]
fn several_odd_fields_never_panic() {
    let oddities = oddities();
    // A fixed sequence: the same fields are thrown every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for model_type in FAMILIES.iter().flat_map(|family| family.model_types) {
        let base = small(model_type);
        let keys: Vec<&String> = base.keys().filter(|key| *key != "model_type").collect();
        for _ in 0..60 {
            let mut odd = base.clone();
            for _ in 0..3 {
                odd.insert(keys[next(keys.len())].clone(), oddities[next(oddities.len())].clone());
            }
            exercise(&odd);
        }
    }
}

#[test]
fn a_fragment_is_refused_with_the_field_that_is_missing() {
    let config = json!({"model_type": "llama", "vocab_size": 32000});
    let error = model::from_config(config.as_object().unwrap(), "fragment", Scope::Full).unwrap_err();
    assert!(error.cause.contains("hidden_size"), "{error}");
}

/// Fields for which a class's default may stand: files of older versions leave them out, and engines take the class's
/// word for them too.
const ASSUMED: &[&str] = &[
    // Published files that were cut down to what differs from their class lack it.
    "max_position_embeddings",
    // Layers beside the decoder, which no total of it holds.
    "num_nextn_predict_layers",
    // Widths of heads.
    "head_dim",
    "dim_head",
    // Widths of convolutions over neighbouring tokens.
    "conv_kernel",
    "conv_kernel_size",
    "conv_L_cache",
    "mamba_d_conv",
    "linear_conv_kernel_dim",
    "short_conv_kernel_size",
    "cca_time0",
    "cca_time1",
    // Which layers are of which kind.
    "attn_layer_offset",
    "attn_layer_period",
    "decoder_sparse_step",
    "expert_layer_period",
    "full_attention_interval",
    "index_kpool",
    "index_skip_topk_offset",
    "index_topk_freq",
    "interleave_moe_layer_step",
    "layer_group_size",
    "moe_layer_interval",
    "moe_layer_start_index",
    "no_rope_layer_interval",
    "num_kv_shared_layers",
    "num_mtp_layers",
    // Multiples of a size that is stated, and names beside that of the published file.
    "ffn_round_up_to_multiple_of",
    "intermediate_multiple_size",
    "vocab_size_per_layer_input",
    "sliding_window_size",
    // Kinds of tokens, and buckets of distances, that no published file of a class changes.
    "type_vocab_size",
    "relative_attention_num_buckets",
];

/// Another name of the field that Step-3.5's published files have, `moe_num_experts`.
const TWICE: (&str, &str) = ("step3p5", "n_routed_experts");

#[test]
fn a_size_that_matters_is_asked_for_and_never_the_classs_default() {
    let mut silent = Vec::new();
    for model_type in FAMILIES.iter().flat_map(|family| family.model_types) {
        let Some(defaults) = model::class_defaults(model_type) else { continue };
        let mut base = defaults.clone();
        base.insert("model_type".into(), json!(model_type));
        let read = |config: &_| model::from_config(config, model_type, Scope::Full).ok()?.parameters().ok();
        let Some(count) = read(&base) else { continue };
        for (key, value) in defaults {
            let assumed = ASSUMED.contains(&key.as_str()) || TWICE == (model_type, key.as_str());
            let (Some(size), false) = (value.as_u64(), assumed) else { continue };
            let mut other = base.clone();
            other.insert(key.clone(), json!(2 * size));
            let matters = read(&other).is_none_or(|changed| changed != count);
            let mut without = base.clone();
            without.remove(key);
            if matters && read(&without).is_some() {
                silent.push(format!("{model_type}: {key}"));
            }
        }
    }
    assert!(silent.is_empty(), "{} are assumed:\n{}", silent.len(), silent.join("\n"));
}

/// A mixture of a type whose class is not published with Transformers: 256 experts of 512, one dense layer before them.
fn mixture() -> serde_json::Map<String, serde_json::Value> {
    let whole = json!({
        "model_type": "bailing_moe_v2", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 100_000, "tie_word_embeddings": false, "intermediate_size": 5120,
        "moe_intermediate_size": 512, "num_experts": 256, "num_experts_per_tok": 8, "num_shared_experts": 1,
        "first_k_dense_replace": 1,
    });
    whole.as_object().unwrap().clone()
}

fn total(map: &serde_json::Map<String, serde_json::Value>) -> Result<u64, String> {
    let model = model::from_config(map, "config.json", Scope::Full).map_err(|e| e.to_string())?;
    Ok(model.parameters().unwrap().total)
}

#[test]
fn a_mixture_that_does_not_count_or_measure_its_experts_is_refused_by_the_field() {
    assert!(total(&mixture()).is_ok());
    for key in ["num_experts", "moe_intermediate_size"] {
        let mut without = mixture();
        without.remove(key);
        let refused = total(&without).unwrap_err();
        assert!(refused.contains("experts"), "{key}: {refused}");
    }
}

#[test]
fn a_feed_forward_layer_without_a_width_is_refused_where_the_class_has_no_rule_for_it() {
    for model_type in ["internlm2", "baichuan", "mimo", "exaone"] {
        let config = json!({
            "model_type": model_type, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
            "num_key_value_heads": 8, "vocab_size": 100_000, "tie_word_embeddings": false,
        });
        let refused = total(config.as_object().unwrap()).unwrap_err();
        assert!(refused.contains("missing field `intermediate_size`"), "{model_type}: {refused}");
    }
}

#[test]
fn a_list_of_one_number_for_all_layers_is_that_number() {
    let plain = total(&mixture()).unwrap();
    for key in ["num_experts", "moe_intermediate_size", "num_experts_per_tok", "intermediate_size"] {
        let mut listed = mixture();
        let number = listed[key].clone();
        listed.insert(key.to_owned(), vec![number; 32].into());
        assert_eq!(total(&listed), Ok(plain), "{key}");
    }
}

#[test]
fn experts_that_differ_by_layer_are_refused_and_dense_widths_are_read_by_layer() {
    let mut differ = mixture();
    let widths: Vec<u64> = (0..32).map(|i| if i < 16 { 512 } else { 256 }).collect();
    differ.insert("moe_intermediate_size".to_owned(), widths.into());
    assert!(total(&differ).unwrap_err().contains("numbers that differ"));
    let dense = |inner: serde_json::Value| {
        let config = json!({
            "model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32,
            "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936, "tie_word_embeddings": false,
            "intermediate_size": inner,
        });
        total(config.as_object().unwrap())
    };
    // Qwen3-8B; six layers of half the width have 6 × 3 × 4096 × 6144 weights less.
    assert_eq!(dense(json!(12_288)), Ok(8_190_735_360));
    let pruned: Vec<u64> = (0..36).map(|i| if i < 30 { 12_288 } else { 6144 }).collect();
    assert_eq!(dense(json!(pruned)), Ok(8_190_735_360 - 6 * 3 * 4096 * 6144));
}

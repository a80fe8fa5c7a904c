//! Configurations that no model has: whatever a file says, reading it ends in a model or in an error.

use serde_json::{Map, Value, json};
use shardfit::dtype::{DType, WeightFormat};
use shardfit::model::blocks::RankView;
use shardfit::model::{self, FAMILIES, Formats, RankGroups, Scope, Step};

/// What may stand where a size, a flag, a list or an object is expected.
fn oddities() -> Vec<Value> {
    vec![
        Value::Null,
        json!(0),
        json!(1),
        json!(7),
        json!(-1),
        json!(10_000),
        json!(1u64 << 28),
        json!(1u64 << 40),
        json!(1e300),
        json!(2.5),
        json!(""),
        json!("auto"),
        json!(true),
        json!([]),
        json!([3]),
        json!([1u64 << 28, 0, -1]),
        json!(["full_attention", "linear_attention"]),
        json!([[]]),
        json!({}),
    ]
}

/// A small configuration of a family: the defaults of its class where known, few layers.
fn small(model_type: &str) -> Map<String, Value> {
    let mut config = json!({
        "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
        "vocab_size": 1000, "max_position_embeddings": 128
    });
    let config = config.as_object_mut().unwrap();
    for (key, value) in model::class_defaults(model_type).into_iter().flatten() {
        config.insert(key.clone(), value.clone());
    }
    for key in ["num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks"] {
        config.insert(key.into(), json!(4));
    }
    config.insert("model_type".into(), json!(model_type));
    std::mem::take(config)
}

/// The same inside a wrapper with towers.
fn wrapped(model_type: &str) -> Map<String, Value> {
    let mut config = small(model_type);
    config.insert("text_config".into(), json!({"num_hidden_layers": 3, "hidden_size": 64}));
    for tower in ["vision_config", "audio_config"] {
        config.insert(tower.into(), json!({"num_hidden_layers": 2, "hidden_size": 64, "image_size": 28}));
    }
    config
}

/// Reads a configuration and, if it is a model, asks everything of it.
fn exercise(config: &Map<String, Value>) {
    let Ok(model) = model::from_config(config, "odd", Scope::Full) else { return };
    let count = model.parameters().expect("checked when it was built");
    assert!(count.active <= count.total);
    let _ = model.kv_bytes_per_token(DType::Bf16);
    let _ = model.state_bytes_per_sequence();
    let view = RankView {
        groups: RankGroups { tensor: 2, ..RankGroups::SINGLE },
        formats: Formats::uniform(WeightFormat::Bf16),
        kv: DType::Bf16,
    };
    let mut operators = Vec::new();
    for block in model.before.iter().chain(model.layer_blocks()).chain(&model.after) {
        block.operators(&view, &mut operators);
    }
    for operator in &operators {
        let _ = operator.flops(&Step::decode(4.0, 128.0));
        let _ = operator.traffic(&Step::prefill(2.0, 64.0));
    }
}

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

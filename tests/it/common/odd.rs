//! Configurations that no model has, and everything that can be asked of what is read from them.

use serde_json::{Map, Value, json};
use shardfit::dtype::{DType, WeightFormat};
use shardfit::model::blocks::RankView;
use shardfit::model::{self, Formats, RankGroups, Scope, Step};

/// What may stand where a size, a flag, a list or an object is expected.
pub fn oddities() -> Vec<Value> {
    vec![
        Value::Null,
        json!(0),
        json!(1),
        json!(7),
        json!(-1),
        json!(1000),
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
pub fn small(model_type: &str) -> Map<String, Value> {
    let mut config = json!({
        "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
        "vocab_size": 1000, "max_position_embeddings": 128,
        // As encoders with decoders name them.
        "d_model": 64, "num_heads": 4, "d_ff": 96, "d_kv": 16, "encoder_layers": 4, "decoder_layers": 4,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96
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
pub fn wrapped(model_type: &str) -> Map<String, Value> {
    let mut config = small(model_type);
    config.insert("text_config".into(), json!({"num_hidden_layers": 3, "hidden_size": 64}));
    for tower in ["vision_config", "audio_config"] {
        config.insert(tower.into(), json!({"num_hidden_layers": 2, "hidden_size": 64, "image_size": 28}));
    }
    config
}

/// Reads a configuration and, if it is a model, asks everything of it.
pub fn exercise(config: &Map<String, Value>) {
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

//! What is read from a model's file and name, as its publisher and the engines mean it: contexts, experts in use,
//! the type that is loaded, chunks, and names as people type them.

use crate::common::{Run, shardfit};
use serde_json::{Map, Value, json};
use shardfit::catalog::{self, Kind};
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
            "v_head_dim": 16});
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

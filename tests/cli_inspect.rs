//! `shardfit inspect` through the binary.

mod common;

use common::{at, shardfit};
use serde_json::Value;

/// Parts that sum to the total.
const PARTS: [&str; 9] =
    ["embedding", "lm_head", "attention", "mlp", "experts", "router", "norm", "ssm", "other"];

fn inspect(model: &str) -> Value {
    shardfit(&format!("inspect {model} --format json")).exits(0).json()
}

fn count(json: &Value, path: &str) -> u64 {
    at(json, path).as_u64().unwrap_or_else(|| panic!("`{path}` is no count in {json:#}"))
}

#[test]
fn parameter_totals_are_those_of_the_published_checkpoints() {
    // Sums over the tensors of the safetensors index on Hugging Face; DeepSeek-V3 without its
    // multi-token-prediction layer and without the FP8 scales.
    for (model, total) in [
        ("meta-llama/Meta-Llama-3.1-70B", 70_553_706_496),
        ("meta-llama/Meta-Llama-3.1-8B", 8_030_261_248),
        ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("deepseek-ai/DeepSeek-V3", 671_026_404_352),
        ("openai/gpt-oss-120b", 116_829_156_672),
        ("openai/gpt-oss-20b", 20_914_757_184),
        ("Qwen/Qwen3-8B", 8_190_735_360),
        ("Qwen/Qwen3-30B-A3B", 30_532_122_624),
    ] {
        assert_eq!(count(&inspect(model), "params.total"), total, "{model}");
    }
}

#[test]
fn active_parameters_of_deepseek_v3_are_what_eight_of_256_experts_leave() {
    assert_eq!(count(&inspect("deepseek-v3"), "params.active"), 37_552_282_624);
}

#[test]
fn an_inspection_has_every_field_that_scripts_lean_on() {
    for model in ["llama-3.1-8b", "deepseek-v3", "gpt-oss-20b", "google/gemma-3-4b-it"] {
        let json = inspect(model);
        for part in PARTS.iter().chain(&["total", "active", "mtp"]) {
            count(&json, &format!("params.{part}"));
        }
        count(&json, "kv_cache_bytes_per_token");
        count(&json, "recurrent_state_bytes_per_sequence");
        assert!(at(&json, "notes").is_array());
        assert!(at(&json, "family").is_string());
        assert_eq!(at(&json, "recognised"), true);
        assert!(["full", "text"].contains(&at(&json, "scope").as_str().unwrap()));
    }
}

#[test]
fn the_components_sum_to_the_total_in_every_catalogue_model() {
    for entry in shardfit::catalog::entries(shardfit::catalog::Kind::Model) {
        let json = inspect(entry.id);
        let sum: u64 = PARTS.iter().map(|p| count(&json, &format!("params.{p}"))).sum();
        assert_eq!(sum, count(&json, "params.total"), "{}", entry.id);
        assert!(count(&json, "params.active") <= sum, "{}", entry.id);
    }
}

#[test]
fn kv_bytes_per_token_follow_from_heads_or_latents() {
    // 2 (keys and values) · layers · kv_heads · head_dim · 2 bytes.
    assert_eq!(count(&inspect("llama-3.1-70b"), "kv_cache_bytes_per_token"), 2 * 80 * 8 * 128 * 2);
    // layers · (kv_lora_rank + qk_rope_head_dim) · 2 bytes.
    assert_eq!(count(&inspect("deepseek-v3"), "kv_cache_bytes_per_token"), 61 * (512 + 64) * 2);
}

#[test]
fn the_text_scope_of_a_multimodal_model_is_the_smaller_part() {
    let full = inspect("google/gemma-3-4b-it");
    let text = inspect("google/gemma-3-4b-it --scope text");
    assert_eq!((&full["scope"], &text["scope"]), (&"full".into(), &"text".into()));
    assert!(count(&text, "params.total") < count(&full, "params.total"));
}

#[test]
fn an_unknown_family_is_read_by_the_general_rules_and_says_so() {
    let json = inspect("tests/data/valid/unknown-family.json");
    assert_eq!(json["recognised"], false);
    assert_eq!(json["family"], "llamoid");
    assert!(json["notes"].as_array().unwrap().iter().any(|n| n.as_str().unwrap().contains("general rules")));
    assert!(count(&json, "params.total") > 0);
    shardfit("inspect tests/data/valid/unknown-family.json").exits(0).says(&["unknown, general rules"]);
}

#[test]
fn the_table_shows_components_storage_and_a_ladder_of_contexts() {
    let run = shardfit("inspect deepseek-v3").exits(0);
    insta::assert_snapshot!("inspect_deepseek_v3", run.stdout);
}

#[test]
fn csv_md_and_yaml_say_what_json_says() {
    let json = inspect("llama-3.1-8b");
    let (header, rows) = shardfit("inspect llama-3.1-8b --format csv").exits(0).csv();
    assert_eq!(header, ["figure", "value"]);
    let total = rows.iter().find(|r| r[0] == "params.total").expect("a row with the total");
    assert_eq!(total[1], count(&json, "params.total").to_string());
    let yaml = shardfit("inspect llama-3.1-8b --format yaml").exits(0);
    let read: Value = shardfit::load::yaml(&yaml.stdout, "stdout").expect("valid YAML");
    assert_eq!(read, json);
    shardfit("inspect llama-3.1-8b --format md").exits(0).says(&["| params.total"]);
}

#[test]
fn bare_infinity_in_a_config_is_read() {
    shardfit("inspect tests/data/valid/infinity.json").exits(0);
}

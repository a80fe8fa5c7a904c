//! `shardfit inspect` through the binary.

use crate::common::{at, number, shardfit};
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
fn a_token_of_a_sparse_cache_takes_what_engines_keep() {
    // vLLM `DeepseekV32IndexerCache`: beside 576 values in 16 bits an index key of 128 bytes and 4 of its scale.
    let sparse = inspect("deepseek-ai/DeepSeek-V3.2");
    assert_eq!(count(&sparse, "kv_cache_bytes_per_token"), 61 * (576 * 2 + 132));
    // vLLM `models/deepseek_v4/attention.py`: an entry of 584 bytes for 128 tokens, or for 4 with an index key of 132.
    let compressed = inspect("deepseek-ai/DeepSeek-V4-Flash");
    let per_token = count(&compressed, "kv_cache_bytes_per_token");
    assert!((3_500..4_400).contains(&per_token), "{per_token}");
}

#[test]
fn a_name_of_a_gguf_file_is_inspected_in_its_format() {
    for (name, format) in [
        ("llama3.1:70b-instruct-q4_K_M", "q4_k_m"),
        ("bartowski/Llama-3.3-70B-Instruct-GGUF", "q4_k_m"),
        ("unsloth/Qwen3-32B-GGUF:Q8_0", "q8_0"),
        ("gemma3:12b-it-qat", "q4_0"),
        ("ggml-org/gpt-oss-120b-GGUF", "mxfp4"),
        // A size of Ollama's alone names a model.
        ("gemma3:27b", "bf16"),
    ] {
        let json = inspect(name);
        assert_eq!(json["weights"], format, "{name}");
        let said =
            json["notes"].as_array().unwrap().iter().any(|n| n.as_str().unwrap().contains("GGUF file"));
        assert_eq!(said, format != "bf16", "{name}");
    }
    // A format that is asked for goes before that of the name.
    let asked = inspect("llama3.1:70b-instruct-q4_K_M --weights fp8");
    assert!(!asked["notes"].to_string().contains("GGUF file"), "{asked}");
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

#[test]
fn a_mode_adds_memory_flops_and_intensity() {
    let run = shardfit("inspect mixtral-8x7b --mode prefill --gpu h100-sxm --batch 4").exits(0);
    insta::assert_snapshot!("inspect_mixtral_prefill", run.stdout);
}

#[test]
fn the_breakdown_is_in_json_beside_what_is_always_there() {
    let json = inspect("llama-3.1-8b --mode decode --gpu h100-sxm --table all");
    assert_eq!(count(&json, "params.total"), 8_030_261_248);
    assert_eq!(at(&json, "setting.mode"), "decode");
    let rows = at(&json, "flops.rows").as_array().unwrap();
    let sum: f64 = rows.iter().map(|r| r["flops"].as_f64().unwrap()).sum();
    let total = at(&json, "flops.total.flops").as_f64().unwrap();
    assert!((sum / total - 1.0).abs() < 1e-4, "{sum} {total}");
    for key in ["memory.rows", "intensity.rows", "context_ladder.rows", "warnings"] {
        assert!(at(&json, key).is_array(), "{key}");
    }
}

#[test]
fn every_table_is_written_in_every_format() {
    for table in ["params", "memory", "flops", "intensity", "precision", "context", "all"] {
        let line = format!("inspect llama-3.1-8b --gpu h100-sxm --table {table}");
        for format in ["table", "csv", "json", "yaml", "md"] {
            let run = shardfit(&format!("{line} --format {format}")).exits(0);
            assert!(run.stdout.lines().count() > 3, "{table} as {format}: {}", run.stdout);
        }
        shardfit(&format!("{line} --format csv")).exits(0).csv();
    }
}

#[test]
fn several_models_stand_side_by_side() {
    let run = shardfit("inspect llama-3.1-8b qwen3-8b gemma-2-9b").exits(0);
    insta::assert_snapshot!("inspect_side_by_side", run.stdout);
    let json = shardfit("inspect llama-3.1-8b qwen3-8b --format json").exits(0).json();
    let totals: Vec<u64> = json.as_array().unwrap().iter().map(|m| count(m, "params.total")).collect();
    assert_eq!(totals, [8_030_261_248, 8_190_735_360]);
    let (header, rows) = shardfit("inspect llama-3.1-8b qwen3-8b --table flops --format csv").exits(0).csv();
    assert_eq!(header[..3], ["model", "component", "part"]);
    assert!(rows.iter().any(|r| r[0].contains("Qwen3")));
}

#[test]
fn published_sizes_stand_beside_ours() {
    let json = shardfit("inspect --table known --format json").exits(0).json();
    let rows = at(&json, "known.rows").as_array().unwrap();
    let v3 = rows.iter().find(|r| r["published_total"] == 671_000_000_000_u64).unwrap();
    assert_eq!(v3["total"], 671_026_404_352_u64);
    assert_eq!(v3["published_active"], 37_000_000_000_u64);
    shardfit("inspect --table known").exits(0).says(&["LLaMA 65B", "65.2"]);
}

#[test]
fn a_host_that_is_too_small_is_told_which_precision_fits() {
    shardfit("inspect llama-3.1-8b --ram 16GB").exits(0).says(&["warning", "Q8 fits"]);
    shardfit("inspect llama-3.1-70b --ram 16GB").exits(0).says(&["no precision fits"]);
    let run = shardfit("inspect llama-3.1-8b --ram 64GB").exits(0);
    assert!(!run.stdout.contains("warning"), "{}", run.stdout);
}

#[test]
fn tensors_that_32_bits_cannot_index_are_named() {
    shardfit("inspect deepseek-v3").exits(0).says(&["mlp.experts.up_proj.weight", "64-bit indices"]);
    let quiet = shardfit("inspect llama-3.1-8b").exits(0);
    assert!(!quiet.stdout.contains("warning"));
    shardfit("inspect llama-3.1-8b --mode prefill --no-flash-attention --seq 32768")
        .exits(0)
        .says(&["attention scores of a layer"]);
}

#[test]
fn inspect_says_what_each_rank_holds_in_training() {
    let line =
        "inspect llama-3.1-70b --table training --tp 8 --dp 4 --seq 8192 --recompute full --format json";
    let json = shardfit(line).exits(0).json();
    // 70.55 billion parameters: 2 bytes of weights, 4 of gradients, 12 of states over 4 ranks, each over 8.
    let stage = &json["training_memory"]["rows"][0];
    let near = |key: &str, bytes: f64| {
        let share = 70_553_706_496.0 * bytes / 8.0 / number(stage, key);
        assert!((share - 1.0).abs() < 1e-3, "{key}: {}", stage[key]);
    };
    near("weights_bytes", 2.0);
    near("gradients_bytes", 4.0);
    near("optimizer_bytes", 3.0);
    // Of a layer its input is left, over the ranks that divide the sequence.
    let layer = &json["training_activations"]["rows"][1];
    assert_eq!(number(layer, "full_bytes"), 8192.0 * 8192.0 * 2.0 / 8.0);
    assert!(number(layer, "none_bytes") > number(layer, "light_bytes"));
}

#[test]
fn inspect_names_the_rule_that_a_training_plan_breaks() {
    let run = shardfit("inspect llama-3.1-8b --table training --tp 3").exits(2);
    assert!(run.stderr.contains("heads"), "{}", run.stderr);
    let run = shardfit("inspect llama-3.1-8b --table training --mode decode").exits(2);
    assert!(run.stderr.contains("--table training"), "{}", run.stderr);
    let run = shardfit("inspect llama-3.1-8b --table training --tuning lora").exits(2);
    assert!(run.stderr.contains("no adapters"), "{}", run.stderr);
}

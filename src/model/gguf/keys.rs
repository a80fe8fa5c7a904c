//! Metadata of a GGUF file as the fields of a `config.json`.
//!
//! Keys as in llama.cpp's `gguf-py/gguf/constants.py` (class `Keys`), their meaning as in its
//! `convert_hf_to_gguf.py`.

use serde_json::{Map, Value, json};

use crate::checkpoint::gguf::Gguf;
use crate::diagnostic::{Code, Diagnostic};

/// Which family reads an architecture of GGUF.
pub(super) struct Row {
    /// `general.architecture`.
    architecture: &'static str,
    /// Its `model_type`.
    dense: &'static str,
    /// Its `model_type` with experts, where that is another.
    sparse: &'static str,
}

const fn row(architecture: &'static str, model_type: &'static str) -> Row {
    Row { architecture, dense: model_type, sparse: model_type }
}

/// The table. What is absent is read by the general rules and reported as not recognised.
const ROWS: &[Row] = &[
    Row { architecture: "llama", dense: "llama", sparse: "mixtral" },
    Row { architecture: "mistral3", dense: "llama", sparse: "mixtral" },
    row("llama4", "llama4_text"),
    row("qwen2", "qwen2"),
    row("qwen2vl", "qwen2"),
    row("qwen2moe", "qwen2_moe"),
    row("qwen3", "qwen3"),
    row("qwen3vl", "qwen3"),
    row("qwen3moe", "qwen3_moe"),
    row("qwen3vlmoe", "qwen3_moe"),
    row("gemma", "gemma"),
    row("gemma2", "gemma2"),
    row("gemma3", "gemma3_text"),
    row("phi3", "phi3"),
    row("deepseek", "deepseek"),
    row("deepseek2", "deepseek_v3"),
    row("gpt-oss", "gpt_oss"),
    row("glm4", "glm4"),
    row("glm4moe", "glm4_moe"),
    row("command-r", "cohere"),
    row("cohere2", "cohere2"),
    Row { architecture: "granite", dense: "granite", sparse: "granitemoe" },
    row("granitemoe", "granitemoe"),
    row("exaone", "exaone"),
    row("exaone4", "exaone4"),
    row("smollm3", "smollm3"),
    row("hunyuan-dense", "hunyuan_v1_dense"),
    row("ernie4_5", "ernie4_5"),
    row("internlm2", "internlm2"),
    row("seed_oss", "seed_oss"),
    row("olmo2", "olmo2"),
    row("olmoe", "olmoe"),
    row("arcee", "arcee"),
    row("dots1", "dots1"),
    row("minimax-m2", "minimax_m2"),
    row("starcoder2", "starcoder2"),
];

/// The row of an architecture.
pub(super) fn row_of(architecture: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.architecture == architecture)
}

/// Fields that hold one number: ours, and the key behind the architecture's name.
const SIZES: &[(&str, &str)] = &[
    ("hidden_size", "embedding_length"),
    ("num_attention_heads", "attention.head_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", "attention.key_length"),
    ("intermediate_size", "feed_forward_length"),
    ("max_position_embeddings", "context_length"),
    ("sliding_window", "attention.sliding_window"),
    ("num_experts", "expert_count"),
    ("num_experts_per_tok", "expert_used_count"),
    ("moe_intermediate_size", "expert_feed_forward_length"),
    ("shared_expert_intermediate_size", "expert_shared_feed_forward_length"),
    ("n_shared_experts", "expert_shared_count"),
    ("first_k_dense_replace", "leading_dense_block_count"),
    ("interleave_moe_layer_step", "interleave_moe_layer_step"),
    ("num_nextn_predict_layers", "nextn_predict_layers"),
];

/// Latent attention: the widths of one head are those before the projections are merged.
const LATENT: &[(&str, &str)] = &[
    ("q_lora_rank", "attention.q_lora_rank"),
    ("kv_lora_rank", "attention.kv_lora_rank"),
    ("qk_rope_head_dim", "rope.dimension_count"),
];

/// The metadata as the fields of a `config.json`.
pub(super) fn config(
    gguf: &Gguf,
    architecture: &str,
    row: Option<&Row>,
) -> Result<Map<String, Value>, Diagnostic> {
    let key = |name: &str| format!("{architecture}.{name}");
    let size = |name: &str| gguf.integer(&key(name)).filter(|n| *n > 0);
    let mut map = Map::new();
    for (field, name) in SIZES {
        per_layer(gguf, &key(name))?;
        if let Some(n) = size(name) {
            map.insert((*field).into(), json!(n));
        } else if *field == "sliding_window" {
            // Null where the class would assume one.
            map.insert((*field).into(), Value::Null);
        }
    }
    let predicted = size("nextn_predict_layers").unwrap_or(0);
    if let Some(blocks) = size("block_count") {
        map.insert("num_hidden_layers".into(), json!(blocks.saturating_sub(predicted)));
    }
    let vocabulary = gguf.tensor("token_embd.weight").and_then(|t| t.shape.first().copied());
    if let Some(n) = vocabulary.or(size("vocab_size")).or(gguf.length("tokenizer.ggml.tokens")) {
        map.insert("vocab_size".into(), json!(n));
    }
    latent(gguf, &key, &mut map);
    has(gguf, &mut map);
    let sparse = size("expert_count").is_some();
    if architecture == "llama4" {
        let dense = map.insert("intermediate_size".into(), json!(size("expert_feed_forward_length")));
        map.insert("intermediate_size_mlp".into(), dense.unwrap_or(Value::Null));
        map.remove("moe_intermediate_size");
    }
    let model_type = match row {
        Some(row) if sparse => row.sparse.to_owned(),
        Some(row) => row.dense.to_owned(),
        // No `model_type`, so that the general rules read it.
        None => format!("gguf:{architecture}"),
    };
    map.insert("model_type".into(), json!(model_type));
    Ok(map)
}

/// Numbers that differ from layer to layer are not read: a mean would be a guess.
fn per_layer(gguf: &Gguf, key: &str) -> Result<(), Diagnostic> {
    match gguf.numbers(key) {
        Some([first, rest @ ..]) if rest.iter().any(|n| n != first) => Err(Diagnostic::new(
            Code::Model,
            format!("`{key}` differs from layer to layer, which is not read"),
        )
        .help("name the config.json of the model that it was made from")),
        _ => Ok(()),
    }
}

fn latent(gguf: &Gguf, key: &impl Fn(&str) -> String, map: &mut Map<String, Value>) {
    let size = |name: &str| gguf.integer(&key(name)).filter(|n| *n > 0);
    if size("attention.kv_lora_rank").is_none() {
        return;
    }
    for (field, name) in LATENT {
        if let Some(n) = size(name) {
            map.insert((*field).into(), json!(n));
        } else {
            map.insert((*field).into(), Value::Null);
        }
    }
    // Files whose projections are merged state the widths of one head under `_mla`.
    let whole = size("attention.key_length_mla").or(size("attention.key_length")).unwrap_or(0);
    let rope = size("rope.dimension_count").unwrap_or(0);
    let value = size("attention.value_length_mla").or(size("attention.value_length"));
    map.insert("qk_nope_head_dim".into(), json!(whole.saturating_sub(rope)));
    map.insert("v_head_dim".into(), json!(value));
    map.remove("head_dim");
    map.insert("num_key_value_heads".into(), map.get("num_attention_heads").cloned().unwrap_or_default());
}

/// What the table of tensors shows and the metadata does not say.
fn has(gguf: &Gguf, map: &mut Map<String, Value>) {
    let any = |part: &str| gguf.tensors.iter().any(|t| t.name.ends_with(part));
    let inputs = any(".attn_q.bias") || any(".attn_qkv.bias");
    let output = any(".attn_output.bias");
    for (field, value) in [
        ("tie_word_embeddings", gguf.tensor("output.weight").is_none()),
        ("attention_bias", inputs),
        ("qkv_bias", inputs),
        ("attention_out_bias", output),
        ("mlp_bias", any(".ffn_down.bias")),
        ("use_qk_norm", any(".attn_q_norm.weight")),
    ] {
        map.insert(field.into(), json!(value));
    }
    // Phi-3's gate is a half of `ffn_up`.
    if !any(".ffn_gate.weight") && !any(".ffn_gate_exps.weight") {
        map.insert("hidden_act".into(), json!("gelu_new"));
    }
}

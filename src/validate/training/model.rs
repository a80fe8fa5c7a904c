//! The model of a training row: a name of the catalogue however it is written, or the row's own sizes.

use serde_json::{Map, Value, json};

use crate::catalog::{Catalog, Kind};
use crate::model::{self, Model, Scope};

use super::super::Row;
use super::super::known::config_of;

/// The row's model.
///
/// # Errors
/// A name that is not known, of a row whose sizes do not describe it.
pub fn of(row: &Row, catalog: &Catalog) -> Result<Model, String> {
    if let Some(config) = row.text("config") {
        let name = config.replacen("--", "/", 1);
        if let Ok(model) = model::find_in(catalog, &name, Scope::Text) {
            return Ok(model);
        }
    }
    let text = row.text("model").ok_or("no model")?;
    if let Some(name) = named(text, catalog) {
        return model::find_in(catalog, &name, Scope::Text).map_err(|d| d.cause);
    }
    if let Some(config) = config_of(bare, &bare(text)) {
        return model::from_config(&config, text, Scope::Text).map_err(|d| d.cause);
    }
    let kind = text.split(['/', '_', '-']).next().unwrap_or("").to_lowercase();
    if OTHERS.contains(&kind.as_str()) || text.contains("deepseek") {
        return Err(format!("the sizes of the row do not describe {text}"));
    }
    by_sizes(row).ok_or_else(|| format!("unknown model {text}"))
}

/// Architectures that layers, width and heads say too little about.
const OTHERS: [&str; 6] = ["t5", "bert", "mimo", "nemotron", "hybrid", "multimodal"];

/// Letters and digits alone, in lower case, without what is said in brackets and without words that do not
/// tell models apart.
fn bare(text: &str) -> String {
    let text = text.split('(').next().unwrap_or("").to_lowercase();
    let text = text.replace("lora", "").replace("meta-", "");
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Endings that names of the hub have and names in tables lack.
const ENDINGS: [&str; 5] = ["", "hf", "base", "instruct", "instructhf"];

/// The catalogue's name for what a table calls a model.
fn named(text: &str, catalog: &Catalog) -> Option<String> {
    let wanted = bare(text);
    let matches = |id: &str| {
        let own = bare(id.rsplit('/').next().unwrap_or(id));
        ENDINGS.iter().any(|ending| own == format!("{wanted}{ending}"))
    };
    let entries = catalog.entries(Kind::Model);
    let found = entries.iter().find(|e| matches(e.id()) || e.aliases().iter().any(|a| matches(a)));
    found.map(|e| e.id().to_owned())
}

/// A model of the row's sizes: gated or not, with heads of one width or another, whichever comes nearest to
/// the parameters that the row states.
fn by_sizes(row: &Row) -> Option<Model> {
    let either = |a: &str, b: &str| row.whole(a).or(row.whole(b));
    let (layers, hidden, heads) =
        (either("layers", "num_layers")?, row.whole("hidden")?, row.whole("heads")?);
    let kv = either("kv_heads", "kv_groups").unwrap_or(heads);
    let experts = either("experts", "num_experts");
    let vocabulary = row.whole("vocab").unwrap_or(51_200);
    let sequence = row.whole("seq")?;
    let inner = row.whole("ffn").unwrap_or(4 * hidden);
    let stated = row.number("params_b").map(|b| b * 1e9);
    let base = json!({
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "num_key_value_heads": kv, "vocab_size": vocabulary, "tie_word_embeddings": false,
        "max_position_embeddings": sequence, "rope_theta": 1e4, "torch_dtype": "bfloat16",
    });
    let mut candidates: Vec<Value> = Vec::new();
    if let Some(experts) = experts {
        let top_k = row.whole("topk").unwrap_or(2);
        for head_dim in [hidden / heads, 64, 128] {
            candidates.push(json!({
                "model_type": "qwen3_moe", "num_experts": experts, "num_experts_per_tok": top_k,
                "moe_intermediate_size": inner, "intermediate_size": inner, "head_dim": head_dim,
            }));
        }
        candidates.push(json!({
            "model_type": "mixtral", "num_local_experts": experts, "num_experts_per_tok": top_k,
            "intermediate_size": inner,
        }));
    } else {
        let classic = json!({
            "model_type": "gpt2", "n_inner": inner, "n_embd": hidden, "n_layer": layers, "n_head": heads,
            "n_positions": sequence, "tie_word_embeddings": true,
        });
        candidates.push(classic);
        if row.number("ffn").is_none_or(|f| f != 4.0 * hidden as f64) {
            candidates.push(json!({ "model_type": "llama", "intermediate_size": inner }));
        }
    }
    let built = candidates.into_iter().filter_map(|own| build(&base, own));
    let off = |m: &Model| match (stated, m.parameters()) {
        (Some(stated), Ok(count)) => (count.total as f64 / stated - 1.0).abs(),
        _ => 0.0,
    };
    // The first of equals.
    built.reduce(|best, next| if off(&next) < off(&best) { next } else { best })
}

fn build(base: &Value, own: Value) -> Option<Model> {
    let mut map: Map<String, Value> = base.as_object()?.clone();
    map.extend(own.as_object()?.clone());
    model::from_config(&map, "sizes of a row", Scope::Full).ok()
}

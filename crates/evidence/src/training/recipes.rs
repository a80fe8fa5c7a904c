//! What the recipes of a source set and its rows leave unsaid: adapters, steps of a table, flags of tests.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use shardfit::load;
use shardfit::model::{self, Lora, Model, Scope};
use shardfit::validate::Row;

/// What a test of Megatron-LM sets, or several alike.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    tests: String,
    gpus: Option<u32>,
    vocabulary: Option<u64>,
    dropout: Option<bool>,
    config: Map<String, Value>,
}

/// A functional test of Megatron-LM, as far as a row and the published settings tell.
#[derive(Clone, Debug)]
pub struct MegatronTest {
    /// GPUs that it runs on.
    pub gpus: u32,
    /// Whether it trains with dropout.
    pub dropout: bool,
    vocabulary: u64,
    config: Map<String, Value>,
}

/// Folders of tests whose models are decoders of one kind of layer.
const FAMILIES: [&str; 3] = ["gpt/", "moe/", "mixtral/"];

impl MegatronTest {
    /// The test that a row is of; `None` for rows of anything else.
    pub fn of(row: &Row) -> Option<MegatronTest> {
        if !row.text("framework")?.starts_with("Megatron-LM CI") {
            return None;
        }
        let name = row.text("model")?;
        let text = include_str!("../../protocols/megatron-tests.yaml");
        // Read by a test of this file.
        let all: Vec<Settings> = load::yaml(text, "megatron-tests.yaml").unwrap_or_default();
        let mut test = MegatronTest { gpus: 8, dropout: true, vocabulary: 51_200, config: Map::new() };
        for settings in all.into_iter().filter(|s| name.starts_with(&s.tests)) {
            test.gpus = settings.gpus.unwrap_or(test.gpus);
            test.dropout = settings.dropout.unwrap_or(test.dropout);
            test.vocabulary = settings.vocabulary.unwrap_or(test.vocabulary);
            test.config.extend(settings.config);
        }
        Some(test)
    }

    /// Its model: the row's sizes, and the flags that its notes list.
    pub fn model(&self, row: &Row) -> Result<Model, String> {
        let name = row.text("model").unwrap_or("");
        if !FAMILIES.iter().any(|f| name.starts_with(f)) {
            return Err(format!("the flags of the row do not describe {name}"));
        }
        let flags = Flags(row.text("notes").unwrap_or(""));
        let missing = |what: &str| format!("the test states no {what}");
        let hidden = row.whole("hidden").ok_or_else(|| missing("hidden"))?;
        let heads = row.whole("heads").ok_or_else(|| missing("heads"))?;
        let layers = row.whole("num_layers").ok_or_else(|| missing("num_layers"))?;
        let gated = flags.has("swiglu");
        // Megatron's `ffn_hidden_size`: 4h, or two thirds of it in steps of 64 with SwiGLU.
        let usual = if gated { hidden * 8 / 3 / 64 * 64 } else { 4 * hidden };
        let inner = row.whole("ffn").unwrap_or(usual);
        let mut config = json!({
            "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
            "num_key_value_heads": row.whole("kv_groups").unwrap_or(heads), "vocab_size": self.vocabulary,
            "intermediate_size": inner, "max_position_embeddings": row.whole("seq").unwrap_or(4096),
            "rope_theta": 1e4, "torch_dtype": "bfloat16",
            "tie_word_embeddings": !flags.has("untie-embeddings-and-output-weights"),
            "model_type": if gated { "llama" } else { "nemotron" },
        });
        if let Some(experts) = row.whole("num_experts") {
            lay_over(&mut config, self.experts(&flags, experts, inner));
        }
        let mut map = config.as_object().cloned().unwrap_or_default();
        map.extend(self.config.clone());
        model::from_config(&map, "flags of a test", Scope::Full).map_err(|d| d.cause)
    }

    /// What a mixture of experts has beside the sizes of a dense model.
    fn experts(&self, flags: &Flags, experts: u64, inner: u64) -> Value {
        let top_k = flags.number("moe-router-topk").unwrap_or(2);
        let own = flags.number("moe-ffn-hidden-size").unwrap_or(inner);
        let Some(latent) = flags.number("kv-lora-rank") else {
            return json!({
                "model_type": "mixtral", "num_local_experts": experts, "num_experts_per_tok": top_k,
                "intermediate_size": own,
            });
        };
        let shared = flags.number("moe-shared-expert-intermediate-size").unwrap_or(0);
        json!({
            "model_type": "deepseek_v3", "n_routed_experts": experts, "num_experts_per_tok": top_k,
            "moe_intermediate_size": own, "n_shared_experts": shared / own.max(1), "kv_lora_rank": latent,
            "first_k_dense_replace": flags.number("moe-layer-freq=([0]*").unwrap_or(0),
            "qk_nope_head_dim": flags.number("qk-head-dim").unwrap_or(128),
            "qk_rope_head_dim": flags.number("qk-pos-emb-head-dim").unwrap_or(64),
            "v_head_dim": flags.number("v-head-dim").unwrap_or(128),
        })
    }

    /// Chunks of layers on a rank: rows state the layers of a chunk
    /// (`--num-layers-per-virtual-pipeline-stage`).
    pub fn chunks(row: &Row) -> u32 {
        let layers = row.whole("num_layers").zip(row.whole("vpp"));
        let chunks = layers.map(|(layers, each)| layers / u64::from(row.degree("pp")) / each);
        chunks.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1)
    }
}

fn lay_over(base: &mut Value, over: Value) {
    if let (Value::Object(base), Value::Object(over)) = (base, over) {
        base.extend(over);
    }
}

/// Flags of a test, as its row's notes list them.
struct Flags<'a>(&'a str);

impl Flags<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.split("; ").any(|flag| flag == name)
    }

    /// The figure after a flag's name.
    fn number(&self, name: &str) -> Option<u64> {
        let rest = self.0.split("; ").find_map(|flag| flag.strip_prefix(name))?;
        let rest = rest.strip_prefix('=').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    }
}

/// The adapters of a framework's recipe.
pub fn adapters(framework: &str, model: &str) -> Lora {
    let (rank, targets): (u64, &[&str]) = match framework {
        // lora_attn_modules and apply_lora_to_mlp of `recipes/configs`: rank 64 for 3B, 16 for 70B and 405B.
        "torchtune" => (if model.contains("3b") { 64 } else { 16 }, &["q", "v", "o", "gate", "up", "down"]),
        // finetune/lora.py: lora_r 8, lora_query and lora_value.
        "litgpt" => (8, &["q", "v"]),
        _ => (if model.contains("lora") { 16 } else { 8 }, &["q", "k", "v", "o"]),
    };
    Lora { rank, count: 1, targets: targets.iter().map(|t| (*t).to_owned()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_tests_are_read() {
        let text = include_str!("../../protocols/megatron-tests.yaml");
        let all: Vec<Settings> = load::yaml(text, "megatron-tests.yaml").unwrap();
        assert!(all.iter().any(|s| s.vocabulary == Some(256_000)));
        assert_eq!(all[0].tests, "");
    }

    #[test]
    fn flags_are_read_from_notes() {
        let flags = Flags("swiglu; moe-router-topk=8; moe-layer-freq=([0]*3+[1]*11)");
        assert!(flags.has("swiglu") && !flags.has("moe-router-topk"));
        assert_eq!(flags.number("moe-router-topk"), Some(8));
        assert_eq!(flags.number("moe-layer-freq=([0]*"), Some(3));
        assert_eq!(flags.number("kv-lora-rank"), None);
    }
}

//! A model from its sizes alone: `layers=32,hidden=4096,…`, without a `config.json`.
//!
//! A shape is rewritten as the configuration that it stands for and read by a family's function: plain ones as Llama
//! or Mixtral, others as the family `decoder`, which reads every key. What is not said is as in Llama: RMS norms, a
//! gated feed-forward layer (three matrices), rotary positions, no biases.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::diagnostic::{Code, Diagnostic, brief};
use crate::dtype::WeightFormat;
use crate::units::whole_number;

use super::config::MAX_SIZE;
use super::{MAX_LAYERS, Model, Scope, from_config};

/// What the value of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeValue {
    /// A whole number from 1 to this.
    Size(u64),
    /// `true` or `false`.
    Flag,
    /// A weight format.
    Format,
}

/// A key of a shape.
#[derive(Clone, Copy, Debug)]
pub struct ShapeKey {
    /// As written.
    pub name: &'static str,
    /// The field of a `config.json` that it stands for; accepted in its place.
    pub field: &'static str,
    /// What its value is.
    pub value: ShapeValue,
    /// What it says.
    pub about: &'static str,
}

const fn size(name: &'static str, field: &'static str, about: &'static str) -> ShapeKey {
    ShapeKey { name, field, value: ShapeValue::Size(MAX_SIZE), about }
}

const fn flag(name: &'static str, field: &'static str, about: &'static str) -> ShapeKey {
    ShapeKey { name, field, value: ShapeValue::Flag, about }
}

/// Every key, in the order in which they are listed.
pub const SHAPE_KEYS: &[ShapeKey] = &[
    ShapeKey {
        name: "layers",
        field: "num_hidden_layers",
        value: ShapeValue::Size(MAX_LAYERS),
        about: "layers; needed",
    },
    size("hidden", "hidden_size", "model width; needed"),
    size("heads", "num_attention_heads", "query heads; needed"),
    size("kv", "num_key_value_heads", "key-value heads; as many as `heads` when left out"),
    size("head_dim", "head_dim", "width of a head; hidden / heads when left out"),
    size(
        "ffn",
        "intermediate_size",
        "inner width of the feed-forward layers; needed unless `expert_ffn` says all",
    ),
    size("vocab", "vocab_size", "vocabulary; needed"),
    size("experts", "num_local_experts", "routed experts; dense when left out"),
    size("top_k", "num_experts_per_tok", "experts that a token uses; needed with `experts`"),
    size("expert_ffn", "moe_intermediate_size", "inner width of one expert; that of `ffn` when left out"),
    size("shared", "n_shared_experts", "shared experts, each as wide as a routed one"),
    size("shared_ffn", "shared_expert_intermediate_size", "inner width of all shared experts together"),
    size("dense_layers", "first_k_dense_replace", "first layers without experts, as wide as `ffn`"),
    size("expert_every", "decoder_sparse_step", "every how many layers one has experts; each when left out"),
    size("q_rank", "q_lora_rank", "latent attention: rank of the queries; not compressed when left out"),
    size("kv_rank", "kv_lora_rank", "latent attention: rank of keys and values, which the cache holds"),
    size("nope_dim", "qk_nope_head_dim", "latent attention: width of a head without positions"),
    size("rope_dim", "qk_rope_head_dim", "latent attention: width of the rotary key that all heads share"),
    size("v_dim", "v_head_dim", "latent attention: width of a value head"),
    size("window", "sliding_window", "most keys that a query sees; all when left out"),
    size("full_every", "sliding_window_pattern", "with `window`: every how many layers one sees all keys"),
    size(
        "positions",
        "learned_positions",
        "learned positions, which are the longest context; rotary when left out",
    ),
    flag(
        "gated",
        "gated_mlp",
        "whether feed-forward layers have a gate (three matrices); true when left out",
    ),
    flag(
        "bias",
        "use_bias",
        "whether attention, feed-forward layers and experts have biases; false when left out",
    ),
    flag("qkv_bias", "qkv_bias", "whether queries, keys and values have biases; as `bias` when left out"),
    flag(
        "qk_norm",
        "use_qk_norm",
        "whether queries and keys have norms, over each head; false when left out",
    ),
    flag("layer_norm", "layer_norm", "layer norms with biases in place of RMS norms; false when left out"),
    flag(
        "tied",
        "tie_word_embeddings",
        "whether the output projection shares the embedding's weights; false when left out",
    ),
    size("context", "max_position_embeddings", "longest context; unlimited when left out"),
    ShapeKey {
        name: "dtype",
        field: "torch_dtype",
        value: ShapeValue::Format,
        about: "how the weights are stored; bf16 when left out",
    },
];

/// Keys that only a mixture of experts has.
const EXPERT_KEYS: [&str; 6] =
    ["top_k", "expert_ffn", "shared", "shared_ffn", "dense_layers", "expert_every"];

/// Keys that latent attention has beside its rank.
const LATENT_KEYS: [&str; 4] = ["q_rank", "nope_dim", "rope_dim", "v_dim"];

/// Keys that Llama and Mixtral have: a shape of these alone is read as one of them.
const PLAIN_KEYS: [&str; 15] = [
    "layers",
    "hidden",
    "heads",
    "kv",
    "head_dim",
    "ffn",
    "vocab",
    "experts",
    "top_k",
    "expert_ffn",
    "shared",
    "dense_layers",
    "tied",
    "context",
    "dtype",
];

/// The values of a shape by key.
#[derive(Clone, Debug, Default)]
struct Shape {
    text: String,
    sizes: BTreeMap<&'static str, u64>,
    flags: BTreeMap<&'static str, bool>,
    format: Option<WeightFormat>,
}

/// A model from a shape: `key=value` pairs of [`SHAPE_KEYS`], separated by commas.
///
/// # Errors
/// [`Code::UnknownName`] with the nearest key, [`Code::Syntax`] for what is no pair or no number,
/// [`Code::Range`] for sizes that no model has, [`Code::Usage`] for keys that are missing, given twice
/// or contradict each other. All name the shape's own keys.
pub fn from_shape(text: &str) -> Result<Model, Diagnostic> {
    let shape = Shape::parse(text)?;
    shape.check()?;
    let mut model = from_config(&shape.config(), &shape.text, Scope::Full)?;
    if let Some(format) = shape.format.filter(|f| f.is_quantised()) {
        model = model.with_weights(format);
    }
    model.notes.push(shape.note());
    Ok(model)
}

impl Shape {
    fn parse(text: &str) -> Result<Shape, Diagnostic> {
        let pairs = || text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let mut shape = Shape { text: pairs().collect::<Vec<_>>().join(","), ..Shape::default() };
        let mut seen = Vec::new();
        for pair in pairs() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = key(name.trim())?;
            if seen.contains(&key.name) {
                return Err(Diagnostic::new(Code::Usage, format!("`{}` is given twice", key.name)));
            }
            seen.push(key.name);
            shape.set(key, value.trim())?;
        }
        Ok(shape)
    }

    fn set(&mut self, key: &ShapeKey, value: &str) -> Result<(), Diagnostic> {
        if value.is_empty() {
            let cause = format!("`{}` has no value", key.name);
            return Err(
                Diagnostic::new(Code::Syntax, cause).help("write key=value pairs, separated by commas")
            );
        }
        match key.value {
            ShapeValue::Size(most) => {
                let n = whole_number(value, 1..=most)
                    .map_err(|cause| Diagnostic::new(Code::Range, cause).at(format!("key `{}`", key.name)))?;
                self.sizes.insert(key.name, n);
            }
            ShapeValue::Flag => {
                let flag = value.parse().map_err(|_| {
                    Diagnostic::new(Code::Syntax, format!("`{}` is neither true nor false", brief(value)))
                        .at(format!("key `{}`", key.name))
                })?;
                self.flags.insert(key.name, flag);
            }
            ShapeValue::Format => {
                let format = value.parse().map_err(|d: Diagnostic| d.at(format!("key `{}`", key.name)))?;
                self.format = Some(format);
            }
        }
        Ok(())
    }

    fn get(&self, key: &str) -> Option<u64> {
        self.sizes.get(key).copied()
    }

    fn says(&self, flag: &str) -> Option<bool> {
        self.flags.get(flag).copied()
    }

    /// What was understood without being said.
    fn note(&self) -> String {
        let yes = |flag| self.says(flag) == Some(true);
        let parts = [
            if yes("layer_norm") { "layer norms" } else { "RMS norms" },
            if self.says("gated") == Some(false) {
                "plain feed-forward layers"
            } else {
                "gated feed-forward layers"
            },
            match (yes("bias"), self.says("qkv_bias")) {
                (true, None | Some(true)) => "biases",
                (true, Some(false)) => "biases but for queries, keys and values",
                (false, Some(true)) => "biases of queries, keys and values",
                (false, _) => "no biases",
            },
            if yes("qk_norm") { "query-key norms" } else { "no query-key norms" },
        ];
        let positions = self.get("positions").map_or("", |_| ", learned positions");
        format!("read from a shape: {}{positions}", parts.join(", "))
    }

    /// What the configuration's reader would say in the words of a `config.json`, in those of a shape.
    fn check(&self) -> Result<(), Diagnostic> {
        let mut needed = vec!["layers", "hidden", "heads", "vocab"];
        let experts = self.get("experts");
        let some_dense = self.get("dense_layers").or(self.get("expert_every")).is_some();
        if experts.is_none() || self.get("expert_ffn").is_none() || some_dense {
            needed.push("ffn");
        }
        needed.extend(experts.map(|_| "top_k"));
        if self.get("kv_rank").is_some() {
            needed.extend(["nope_dim", "rope_dim", "v_dim"]);
        }
        let missing: Vec<String> =
            needed.into_iter().filter(|k| self.get(k).is_none()).map(|k| format!("`{k}`")).collect();
        if !missing.is_empty() {
            let cause = format!(
                "{} missing: {}",
                if missing.len() == 1 { "a key is" } else { "keys are" },
                missing.join(", ")
            );
            return Err(Diagnostic::new(Code::Usage, cause).help(EXAMPLE));
        }
        if let (None, Some(key)) = (experts, EXPERT_KEYS.iter().find(|k| self.get(k).is_some())) {
            let cause = format!("`{key}` needs `experts`");
            return Err(Diagnostic::new(Code::Usage, cause).help("a dense model has no experts"));
        }
        self.check_attention()?;
        self.check_sizes()
    }

    /// Keys of one kind of attention or of positions that need another, or exclude it.
    fn check_attention(&self) -> Result<(), Diagnostic> {
        let wrong = |cause: String, help: &str| Err(Diagnostic::new(Code::Usage, cause).help(help));
        let given = |key: &&&str| self.get(key).is_some();
        if self.get("kv_rank").is_none() {
            if let Some(key) = LATENT_KEYS.iter().find(given) {
                return wrong(format!("`{key}` needs `kv_rank`"), "they are sizes of latent attention");
            }
        } else if let Some(key) = ["kv", "head_dim", "window"].iter().find(given) {
            return wrong(
                format!("`{key}` and `kv_rank` exclude each other"),
                "latent attention has one latent for all heads, of widths of its own, and no window",
            );
        }
        if self.get("full_every").is_some() && self.get("window").is_none() {
            return wrong("`full_every` needs `window`".into(), "without a window every layer sees all keys");
        }
        match (self.get("context"), self.get("positions")) {
            (Some(context), Some(positions)) if context > positions => wrong(
                format!("context={context} exceeds positions={positions}"),
                "a model has a learned vector for each position that it can be at",
            ),
            _ => Ok(()),
        }
    }

    fn check_sizes(&self) -> Result<(), Diagnostic> {
        let wrong = |cause: String, help: &str| Err(Diagnostic::new(Code::Range, cause).help(help));
        let at = |key| self.get(key).unwrap_or(1);
        let (hidden, heads, experts) = (at("hidden"), at("heads"), at("experts"));
        let kv = self.get("kv").unwrap_or(heads);
        if !heads.is_multiple_of(kv) {
            return wrong(
                format!("kv={kv} does not divide heads={heads}"),
                "each key-value head serves equally many query heads",
            );
        }
        if self.get("head_dim").is_none() && !hidden.is_multiple_of(heads) {
            return wrong(
                format!("heads={heads} does not divide hidden={hidden}"),
                "say `head_dim` if a head is not hidden / heads wide",
            );
        }
        if at("top_k") > experts {
            return wrong(
                format!("top_k={} exceeds experts={experts}", at("top_k")),
                "a token uses each expert at most once",
            );
        }
        if self.get("dense_layers").is_some_and(|n| n >= at("layers")) {
            return wrong(
                format!(
                    "dense_layers={} leaves none of layers={} for experts",
                    at("dense_layers"),
                    at("layers")
                ),
                "leave `experts` out for a dense model",
            );
        }
        Ok(())
    }

    /// The `config.json` that the shape stands for.
    fn config(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let plain = self.sizes.keys().chain(self.flags.keys()).all(|key| PLAIN_KEYS.contains(key));
        let family = match self.get("experts") {
            _ if !plain => "decoder",
            Some(_) => "mixtral",
            None => "llama",
        };
        map.insert("model_type".into(), json!(family));
        // Absent means unlimited here; the classes would assume a figure.
        map.insert("max_position_embeddings".into(), Value::Null);
        map.insert("num_key_value_heads".into(), json!(self.get("kv").or(self.get("heads"))));
        map.insert("rope_theta".into(), json!(1e4));
        for key in SHAPE_KEYS {
            if let Some(n) = self.get(key.name) {
                map.insert(key.field.into(), json!(n));
            }
            if let Some(flag) = self.says(key.name) {
                map.insert(key.field.into(), json!(flag));
            }
        }
        if let (None, Some(positions)) = (self.get("context"), self.get("positions")) {
            map.insert("max_position_embeddings".into(), json!(positions));
        }
        map.entry("tie_word_embeddings").or_insert(json!(false));
        let dtype = self.format.filter(|f| !f.is_quantised()).unwrap_or(WeightFormat::Bf16);
        map.insert("torch_dtype".into(), json!(dtype.element().name()));
        map
    }
}

/// Shown where keys are missing.
const EXAMPLE: &str = "for example layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256";

/// The key of this name, which may be that of the `config.json` field.
fn key(name: &str) -> Result<&'static ShapeKey, Diagnostic> {
    SHAPE_KEYS.iter().find(|k| k.name == name || k.field == name).ok_or_else(|| {
        let names = SHAPE_KEYS.iter().map(|k| k.name);
        let list = format!("allowed: {}", names.clone().collect::<Vec<_>>().join(", "));
        Diagnostic::unknown("key", name, names.chain(SHAPE_KEYS.iter().map(|k| k.field)), &list)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::find;
    use proptest::prelude::*;

    const LLAMA: &str = "layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256";

    fn refusal(text: &str) -> String {
        from_shape(text).unwrap_err().to_string()
    }

    #[test]
    fn the_shape_of_llama_3_1_8b_has_its_exact_count() {
        // meta-llama/Llama-3.1-8B: 8,030,261,248 parameters in its safetensors index.
        let count = from_shape(LLAMA).unwrap().parameters().unwrap();
        assert_eq!(count.total, 8_030_261_248);
        assert_eq!(count, find("llama-3.1-8b", &[], Scope::Full).unwrap().parameters().unwrap());
    }

    #[test]
    fn the_shape_of_mixtral_8x7b_has_its_exact_count() {
        // mistralai/Mixtral-8x7B-v0.1: 46,702,792,704 parameters.
        let text = "layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=32000,experts=8,top_k=2";
        assert_eq!(from_shape(text).unwrap().parameters().unwrap().total, 46_702_792_704);
    }

    #[test]
    fn field_names_of_a_config_stand_for_the_keys() {
        let text = "num_hidden_layers=32,hidden_size=4096,num_attention_heads=32,num_key_value_heads=8,\
                    intermediate_size=14336,vocab_size=128256";
        assert_eq!(
            from_shape(text).unwrap().parameters().unwrap(),
            from_shape(LLAMA).unwrap().parameters().unwrap()
        );
    }

    #[test]
    fn tied_weights_are_counted_once_and_quantised_ones_stored_narrow() {
        let plain = from_shape(LLAMA).unwrap();
        let tied = from_shape(&format!("{LLAMA},tied=true")).unwrap();
        let total = |m: &Model| m.parameters().unwrap().total;
        assert_eq!(total(&plain) - total(&tied), 4096 * 128_256);
        let fp8 = from_shape(&format!("{LLAMA},dtype=fp8")).unwrap();
        assert_eq!(fp8.quantisation.main_format(), WeightFormat::Fp8);
        assert!(fp8.checkpoint_bytes() < plain.checkpoint_bytes());
    }

    #[test]
    fn shared_experts_and_dense_layers_count_as_deepseek_arranges_them() {
        // Two layers, the first dense: 3·16·64 against (4 + 1)·3·16·8 + 16·4 for experts and router.
        let text = "layers=2,hidden=16,heads=2,ffn=64,vocab=10,experts=4,top_k=2,expert_ffn=8,shared=1,dense_layers=1";
        let count = from_shape(text).unwrap().parameters().unwrap();
        let feed_forward = 3 * 16 * 64 + 5 * 3 * 16 * 8 + 16 * 4;
        let attention = 2 * 4 * 16 * 16;
        let norms = (2 * 2 + 1) * 16;
        assert_eq!(count.total, feed_forward + attention + norms + 2 * 160);
    }

    #[test]
    fn what_is_wrong_is_said_in_the_shapes_own_words() {
        assert!(refusal("layres=32").contains("did you mean `layers`"));
        assert!(refusal("layers=32").contains("`hidden`, `heads`, `vocab`, `ffn`"));
        assert!(refusal(&format!("{LLAMA},layers=2")).contains("given twice"));
        assert!(refusal(&LLAMA.replace("kv=8", "kv=7")).contains("kv=7 does not divide heads=32"));
        assert!(refusal(&LLAMA.replace("4096", "4k")).contains("4000 or 4096"));
        assert!(refusal(&format!("{LLAMA},top_k=2")).contains("needs `experts`"));
        assert!(refusal(&format!("{LLAMA},experts=2,top_k=3")).contains("exceeds experts=2"));
        assert!(refusal(&format!("{LLAMA},dtype=fp88")).contains("fp8_block"));
        assert!(refusal("").contains("missing"));
    }

    proptest! {
        #[test]
        fn no_shape_panics(text in "([a-z_]{1,8}=[0-9a-z-]{0,12},?){0,4}") {
            let _ = from_shape(&text);
        }

        #[test]
        fn no_size_panics(layers in 1u64..20_000, hidden: u64, heads: u64, ffn: u64, vocab: u64) {
            let _ = from_shape(&format!(
                "layers={layers},hidden={hidden},heads={heads},ffn={ffn},vocab={vocab}"
            ));
        }
    }
}

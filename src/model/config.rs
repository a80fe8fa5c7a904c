//! A `config.json` with typed, bounded, well-explained field access.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use itertools::Itertools as _;
use serde_json::{Map, Value};

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::load;

use super::disguise;

/// More layers than any model has; guards against typing errors.
pub const MAX_LAYERS: u64 = 1024;

/// What a field says that is missing where every decoder has it.
pub(super) const INCOMPLETE: &str = "this does not look like the complete config.json of a decoder model";

/// Largest value of any size field: far beyond any model, and a product of two such sizes with small
/// factors stays far below overflow.
pub const MAX_SIZE: u64 = 1 << 28;

/// Sizes that the root of every complete file states: Transformers writes every field of a class at the root, and only
/// differences further in. Without them a file is a fragment, and counting the class's default model instead would
/// mislead.
const STATED: &[&str] = &[
    "hidden_size",
    "num_hidden_layers",
    "n_embd",
    "n_layer",
    "d_model",
    "n_layers",
    "num_layers",
    // Heads, vocabulary and feed-forward layers.
    "num_attention_heads",
    "n_head",
    "n_heads",
    "num_heads",
    "vocab_size",
    "padded_vocab_size",
    "intermediate_size",
    "ffn_hidden_size",
    "n_inner",
    "ffn_dim",
    "d_ff",
    "dim_ff",
    "dff",
    "encoder_layers",
    "decoder_layers",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    // Experts.
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "moe_num_experts",
    "num_experts_per_tok",
    "moe_topk",
    "moe_k",
    "moe_top_k",
    "moe_intermediate_size",
    "expert_ffn_hidden_size",
    "moe_ffn_hidden_size",
    "moe_hidden_size",
    "share_expert_dim",
    "shared_expert_intermediate_size",
    "shared_experts_intermediate_size",
    "shared_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "n_shared_experts",
    "num_shared_experts",
    "moe_num_shared_experts",
    "first_k_dense_replace",
    "num_dense_layers",
    "zero_expert_num",
    "router_hidden_size",
    // Latent and sparse attention.
    "q_lora_rank",
    "o_lora_rank",
    "o_groups",
    "index_n_heads",
    "index_head_dim",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    // Recurrent layers.
    "ssm_state_size",
    "state_size",
    "mamba_d_state",
    "mamba_num_heads",
    "mamba_head_dim",
    "mamba_n_heads",
    "mamba_d_head",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "linear_num_heads",
    "linear_head_dim",
    "mamba_expand",
    "mamba_n_groups",
    "mamba_ngroups",
    "mamba_d_ssm",
    "n_mamba_heads",
    "n_groups",
    // Windowed layers with sizes of their own, and what stands beside the layers.
    "swa_num_attention_heads",
    "swa_num_key_value_heads",
    "swa_head_dim",
    "hidden_size_per_layer_input",
    "altup_num_inputs",
    "laurel_rank",
    "adapter_rank",
    "num_mem_blocks",
    "additional_vocab_size",
    "gated_norm_rank",
    "hc_mult",
    "hc_count",
    "hc_lowrank",
    "unpadded_vocab_size",
    "loop_gate_rank",
    "loop_layer_index_start",
    "loop_layer_index_end",
    // Encoders, and encoder-decoders.
    "embedding_size",
    "input_embedding_size",
    "dim",
    "hidden_dim",
    "d_kv",
    "pronunciation_embed_dim",
    "pronunciation_vocab_size",
    "shape_embed_dim",
    "shape_vocab_size",
    "num_mel_bins",
    "max_source_positions",
    "max_target_positions",
    "d_rel",
    "rel_extent",
    "expand",
    "conv1d_width",
    "prompt_types",
    "prompt_length",
    "segment_types",
    "position_bias_num_buckets",
    // The longest context, of which learned positions hold a vector each.
    "n_positions",
    // Key-value heads, where the class has its own number of them.
    "num_key_value_heads",
    "num_kv_heads",
];

/// A JSON object and where it stands.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    map: &'a Map<String, Value>,
    /// What the family's configuration class assumes for absent fields.
    defaults: Option<&'static Map<String, Value>>,
    /// Whether the sizes that every complete file states must be in this one.
    strict: bool,
    /// The file or catalogue entry.
    source: &'a str,
    /// Path inside it, e.g. `text_config`.
    path: String,
    /// Which version of Transformers wrote the file, as its root says.
    version: Option<&'a str>,
    /// Paths of the fields that were read, where somebody wants to know.
    read: Option<Rc<RefCell<BTreeSet<String>>>>,
}

/// Parses the text of a `config.json`.
///
/// # Errors
/// [`Code::Syntax`] when it is not JSON, [`Code::Model`] when it is not an object.
pub fn parse(text: &str, source: &str) -> Result<Map<String, Value>, Diagnostic> {
    if let Some(other) = disguise::of(text) {
        return Err(other.at(source));
    }
    match load::json::<Value>(text, source)? {
        Value::Object(map) => Ok(map),
        _ => Err(Diagnostic::new(Code::Model, "a config.json holds one JSON object").at(source)),
    }
}

impl<'a> Config<'a> {
    /// The root object of a configuration.
    pub fn new(map: &'a Map<String, Value>, source: &'a str) -> Config<'a> {
        let version = map.get("transformers_version").and_then(Value::as_str);
        Config { map, defaults: None, strict: true, source, path: String::new(), version, read: None }
    }

    /// The same, remembering what is read from now on: `Config::paths_read`.
    #[must_use]
    pub fn watched(mut self) -> Config<'a> {
        self.read = Some(Rc::default());
        self
    }

    /// The same object with what its configuration class assumes for absent fields. A field that is
    /// present and null stays null, as in the class.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Option<&'static Map<String, Value>>) -> Config<'a> {
        self.defaults = defaults;
        self
    }

    /// The same, where the class's default may stand for a size that the file leaves out: nothing is made of it.
    #[must_use]
    pub fn lenient(mut self) -> Config<'a> {
        self.strict = false;
        self
    }

    /// Whether the file says that this version of Transformers wrote it, or a later one.
    pub fn written_since(&self, since: (u64, u64)) -> bool {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        self.version.is_some_and(|version| {
            let mut numbers = version.split('.');
            (number(numbers.next()), number(numbers.next())) >= since
        })
    }

    /// Where a field stands, for messages.
    pub fn place(&self, key: &str) -> String {
        if self.path.is_empty() {
            format!("{}, field `{key}`", self.source)
        } else {
            format!("{}, field `{}.{key}`", self.source, self.path)
        }
    }

    /// Whether the defaults of its configuration class are known.
    pub fn has_class(&self) -> bool {
        self.defaults.is_some()
    }

    /// Whether its class has another value than null for an absent field.
    pub fn assumes(&self, key: &str) -> bool {
        self.defaults.is_some_and(|defaults| defaults.get(key).is_some_and(|value| !value.is_null()))
    }

    /// Whether a field is present in the file and not null.
    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|v| !v.is_null())
    }

    /// Whether a field is present in the file, null or not.
    pub fn mentions(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// A nested object without fields, for one that the file leaves out.
    #[must_use]
    pub fn empty(&self, key: &str) -> Config<'a> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let path = self.inside(key);
        let (source, version) = (self.source, self.version);
        Config { map: &EMPTY, defaults: None, strict: false, source, path, version, read: None }
    }

    /// The names of the fields.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.remember(key);
        self.peek(key)
    }

    fn remember(&self, key: &str) {
        if let Some(read) = &self.read {
            read.borrow_mut().insert(self.inside(key));
        }
    }

    fn peek(&self, key: &str) -> Option<&'a Value> {
        let value = match self.map.get(key) {
            Some(value) => Some(value),
            None if self.strict && STATED.contains(&key) => None,
            None => self.defaults.and_then(|d| d.get(key)),
        };
        value.filter(|v| !v.is_null())
    }

    /// Whether the file lacks a size that its class has and every complete file states.
    fn is_fragment(&self, key: &str) -> bool {
        let assumed = || self.defaults.and_then(|d| d.get(key)).is_some_and(|v| v.as_u64().is_some());
        self.strict && STATED.contains(&key) && !self.mentions(key) && assumed()
    }

    /// The first of several names of a field that the file has (also as null), else the first that the
    /// class has a default for.
    fn first<'k>(&self, keys: &[&'k str]) -> Option<&'k str> {
        let written = keys.iter().find(|key| self.map.contains_key(**key) && self.peek(key).is_some());
        let assumed = || keys.iter().find(|key| self.peek(key).is_some());
        let found = written.or_else(assumed).copied();
        // Another name that says the same is read too.
        let value = found.and_then(|key| self.peek(key));
        keys.iter().filter(|key| self.peek(key) == value).for_each(|key| self.remember(key));
        found
    }

    fn wrong(&self, key: &str, expected: &str) -> Diagnostic {
        Diagnostic::new(Code::Model, format!("expected {expected}")).at(self.place(key))
    }

    fn missing(&self, key: &str) -> Diagnostic {
        Diagnostic::new(Code::Model, format!("missing field `{key}`"))
            .at(if self.path.is_empty() {
                self.source.to_owned()
            } else {
                format!("{}, {}", self.source, self.path)
            })
            .help(
                match self.map.keys().find(|w| !STATED.contains(&w.as_str()) && nearest(w, &[key]).is_some())
                {
                    Some(written) => {
                        format!("the file has `{written}`; is it meant?")
                    }
                    None => INCOMPLETE.to_owned(),
                },
            )
    }

    /// A size, zero allowed, if present. A list of one number for all layers is that number.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a whole number from 0 to [`MAX_SIZE`].
    pub fn opt_u64(&self, key: &str) -> Result<Option<u64>, Diagnostic> {
        let Some(value) = self.value(key) else {
            return if self.is_fragment(key) { Err(self.missing(key)) } else { Ok(None) };
        };
        let value = match value {
            Value::Array(list) if list.len() > 1 && list.iter().all_equal() => &list[0],
            Value::Array(list) if list.len() > 1 => {
                let cause =
                    format!("numbers that differ, {}, where the family is read with one", brief(value));
                return Err(self.error(key, cause));
            }
            value => value,
        };
        let whole = |f: f64| (f >= 0.0 && f.fract() == 0.0 && f <= MAX_SIZE as f64).then_some(f as u64);
        match value.as_u64().or_else(|| value.as_f64().and_then(whole)) {
            Some(n) if n <= MAX_SIZE => Ok(Some(n)),
            _ => {
                Err(self.wrong(key, &format!("a whole number from 0 to {MAX_SIZE}, found {}", brief(value))))
            }
        }
    }

    /// A size of at least 1, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a whole number from 1 to [`MAX_SIZE`].
    pub fn opt_size(&self, key: &str) -> Result<Option<u64>, Diagnostic> {
        match self.opt_u64(key)? {
            Some(0) => Err(self.wrong(key, "at least 1, found 0")),
            other => Ok(other),
        }
    }

    /// A size that must be present, zero allowed.
    ///
    /// # Errors
    /// [`Code::Model`] when missing or out of range.
    pub fn u64(&self, key: &str) -> Result<u64, Diagnostic> {
        self.opt_u64(key)?.ok_or_else(|| self.missing(key))
    }

    /// A size of at least 1 that must be present.
    ///
    /// # Errors
    /// [`Code::Model`] when missing or out of range.
    pub fn size(&self, key: &str) -> Result<u64, Diagnostic> {
        self.opt_size(key)?.ok_or_else(|| self.missing(key))
    }

    /// The first of several names of a size that is present.
    ///
    /// # Errors
    /// [`Code::Model`] when none is, or it is out of range.
    pub fn size_of(&self, keys: &[&str]) -> Result<u64, Diagnostic> {
        match self.first(keys) {
            Some(key) => self.size(key),
            None => Err(self.missing(keys[0])),
        }
    }

    /// The first of several names of a size that is present, or `None`.
    ///
    /// # Errors
    /// [`Code::Model`] when it is out of range.
    pub fn opt_size_of(&self, keys: &[&str]) -> Result<Option<u64>, Diagnostic> {
        match self.first(keys) {
            Some(key) => Ok(self.opt_u64(key)?.filter(|n| *n > 0)),
            // Null is an answer, and so is another name.
            None if keys.iter().any(|key| self.mentions(key)) => Ok(None),
            None => match keys.iter().find(|key| self.is_fragment(key)) {
                Some(key) => Err(self.missing(key)),
                None => Ok(None),
            },
        }
    }

    /// The number of layers, under the first of several names that is present.
    ///
    /// # Errors
    /// [`Code::Model`] when none is, or there are more than [`MAX_LAYERS`].
    pub fn layer_count(&self, keys: &[&str]) -> Result<u64, Diagnostic> {
        match self.size_of(keys)? {
            n if n <= MAX_LAYERS => Ok(n),
            n => Err(self.wrong(keys[0], &format!("at most {} layers, found {n}", MAX_LAYERS))),
        }
    }

    /// A size, or a default.
    ///
    /// # Errors
    /// [`Code::Model`] when it is out of range.
    pub fn size_or(&self, key: &str, default: u64) -> Result<u64, Diagnostic> {
        Ok(self.opt_size(key)?.unwrap_or(default))
    }

    /// A layer's index, where -1 means none, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a whole number from -1 to [`MAX_SIZE`].
    pub fn opt_index(&self, key: &str) -> Result<Option<u64>, Diagnostic> {
        match self.value(key).and_then(Value::as_i64) {
            Some(-1) => Ok(None),
            _ => self.opt_u64(key),
        }
    }

    /// A size that may be given once or as a list of one per layer; empty if absent.
    ///
    /// # Errors
    /// [`Code::Model`] when it is neither, or a number is out of range.
    pub fn size_list(&self, key: &str) -> Result<Vec<u64>, Diagnostic> {
        if self.is_list(key) {
            return Ok(self.numbers(key)?.unwrap_or_default());
        }
        Ok(self.opt_u64(key)?.into_iter().collect())
    }

    /// A real number, or a default.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a number.
    pub fn f64_or(&self, key: &str, default: f64) -> Result<f64, Diagnostic> {
        match self.value(key) {
            None => Ok(default),
            Some(v) => v.as_f64().ok_or_else(|| self.wrong(key, &format!("a number, found {}", brief(v)))),
        }
    }

    /// A flag, or a default.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a boolean.
    pub fn bool_or(&self, key: &str, default: bool) -> Result<bool, Diagnostic> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(v) => Err(self.wrong(key, &format!("true or false, found {}", brief(v)))),
        }
    }

    /// A flag, if present or assumed by the class.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a boolean.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>, Diagnostic> {
        match self.value(key) {
            None => Ok(None),
            Some(_) => self.bool_or(key, false).map(Some),
        }
    }

    /// The first of several names of a flag that is present, or a default.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a boolean.
    pub fn bool_of(&self, keys: &[&str], default: bool) -> Result<bool, Diagnostic> {
        self.first(keys).map_or(Ok(default), |key| self.bool_or(key, default))
    }

    /// A string, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a string.
    pub fn opt_str(&self, key: &str) -> Result<Option<&'a str>, Diagnostic> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(v) => Err(self.wrong(key, &format!("a string, found {}", brief(v)))),
        }
    }

    /// A list of strings; empty if absent.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn strings(&self, key: &str) -> Result<Vec<String>, Diagnostic> {
        self.list(key)?
            .unwrap_or_default()
            .iter()
            .map(|v| v.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a list of strings")))
            .collect()
    }

    /// A list of whole numbers, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<u64>>, Diagnostic> {
        let Some(list) = self.list(key)? else { return Ok(None) };
        let read = |v: &Value| {
            let whole =
                v.as_u64().or_else(|| v.as_f64().filter(|f| *f >= 0.0 && f.fract() == 0.0).map(|f| f as u64));
            whole.filter(|n| *n <= MAX_SIZE).ok_or_else(|| self.wrong(key, "a list of whole numbers"))
        };
        list.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// A list, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn list(&self, key: &str) -> Result<Option<&'a [Value]>, Diagnostic> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(v) => Err(self.wrong(key, &format!("a list, found {}", brief(v)))),
        }
    }

    /// Whether a field is a list.
    pub fn is_list(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Array(_)))
    }

    /// A nested object, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn opt_sub(&self, key: &str) -> Result<Option<Config<'a>>, Diagnostic> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Config {
                map,
                defaults: None,
                source: self.source,
                strict: false,
                path: self.inside(key),
                version: self.version,
                read: self.read.clone(),
            })),
            Some(v) => Err(self.wrong(key, &format!("an object, found {}", brief(v)))),
        }
    }

    /// A list of objects; empty if absent.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn subs(&self, key: &str) -> Result<Vec<Config<'a>>, Diagnostic> {
        let list = self.list(key)?.unwrap_or_default();
        let object = |(i, value): (usize, &'a Value)| match value {
            Value::Object(map) => Ok(Config {
                map,
                defaults: None,
                strict: false,
                source: self.source,
                path: self.inside(&format!("{key}[{i}]")),
                version: self.version,
                read: self.read.clone(),
            }),
            _ => Err(self.wrong(key, "a list of objects")),
        };
        list.iter().enumerate().map(object).collect()
    }

    /// Path of a field of this object.
    fn inside(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A nested object that must be present.
    ///
    /// # Errors
    /// [`Code::Model`] when missing or something else.
    pub fn sub(&self, key: &str) -> Result<Config<'a>, Diagnostic> {
        self.opt_sub(key)?.ok_or_else(|| self.missing(key))
    }

    /// Its fields as they are written.
    pub(super) fn fields(&self) -> &'a Map<String, Value> {
        self.map
    }

    /// Paths of the fields that were read since [`Config::watched`].
    pub(super) fn paths_read(&self) -> BTreeSet<String> {
        self.read.as_ref().map(|read| read.borrow().clone()).unwrap_or_default()
    }

    /// An error about a field.
    pub fn error(&self, key: &str, cause: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Code::Model, cause).at(self.place(key))
    }
}

/// A value short enough for a message.
pub(super) fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

//! The shape that most decoders share: pre-norm, rotary positions, gated feed-forward.
//!
//! Field names and defaults as in the Transformers configuration classes of each family.

use super::mixture;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Biases, Block, Embedding, Head, Mlp, Norm, QkNorm};
use crate::model::config::Config;
use crate::model::{Architecture, Scope};

/// The fields that every decoder has.
pub(super) struct Common {
    pub hidden: u64,
    pub layers: u64,
    pub heads: u64,
    pub kv_heads: u64,
    pub head_dim: u64,
    pub vocabulary: u64,
    pub max_context: Option<u64>,
    pub tied: bool,
}

impl Common {
    /// Reads them, with the class default for a missing `tie_word_embeddings`.
    pub fn read(config: &Config, tied_by_default: bool) -> Result<Common, Diagnostic> {
        let hidden = config.size_of(&["hidden_size", "n_embd", "d_model"])?;
        let heads = config.size_of(&["num_attention_heads", "n_head", "n_heads"])?;
        let layers = config.layer_count(&["num_hidden_layers", "n_layer", "n_layers", "num_layers"])?;
        let head_dim = match config.opt_size("head_dim")? {
            Some(dim) => dim,
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                let cause =
                    format!("{heads} heads do not divide hidden_size {hidden}, and there is no head_dim");
                return Err(config.error("num_attention_heads", cause));
            }
        };
        let kv_heads = config.opt_size("num_key_value_heads")?.unwrap_or(heads);
        if kv_heads > heads || !heads.is_multiple_of(kv_heads) {
            let cause = format!("{kv_heads} key-value heads do not divide {heads} attention heads");
            return Err(config.error("num_key_value_heads", cause));
        }
        Ok(Common {
            hidden,
            layers,
            heads,
            kv_heads,
            head_dim,
            vocabulary: config.size("vocab_size")?,
            max_context: config.opt_size_of(&[
                "max_position_embeddings",
                "n_positions",
                "max_sequence_length",
            ])?,
            tied: config.bool_or("tie_word_embeddings", tied_by_default)?,
        })
    }

    /// Plain attention of these sizes.
    pub fn attention(&self) -> Attention {
        Attention::new(self.hidden, self.heads, self.kv_heads, self.head_dim)
    }

    /// RMS norm of the model's width.
    pub fn norm(&self, name: &'static str) -> Block {
        Block::Norm(Norm::rms(name, self.hidden))
    }

    /// The usual order of a layer: norm, attention, norm, feed-forward.
    pub fn pre_norm_layer(&self, attention: Block, ffn: Block) -> Vec<Block> {
        let after = self.norm("post_attention_layernorm.weight");
        vec![self.norm("input_layernorm.weight"), attention, after, ffn]
    }

    /// Embedding, layers, final norm and head.
    pub fn decoder(&self, layers: Vec<Vec<Block>>) -> Architecture {
        Architecture {
            hidden: self.hidden,
            vocabulary: self.vocabulary,
            max_context: self.max_context,
            before: vec![Block::Embedding(Embedding { vocabulary: self.vocabulary, width: self.hidden })],
            layers,
            after: vec![self.norm("norm.weight"), Block::Head(self.head())],
            ..Architecture::default()
        }
    }

    /// The output projection, without a bias.
    pub fn head(&self) -> Head {
        Head { vocabulary: self.vocabulary, width: self.hidden, tied: self.tied, bias: false }
    }
}

/// The window of each layer: `layer_types` where listed; otherwise `sliding_window` for all, unless
/// `use_sliding_window` says no.
pub(super) fn windows(config: &Config, layers: u64) -> Result<Vec<Option<u64>>, Diagnostic> {
    let window = config.opt_size_of(&["sliding_window"])?;
    let types = config.strings("layer_types")?;
    if !types.is_empty() && types.len() as u64 != layers {
        let cause = format!("{} entries for {layers} layers", types.len());
        return Err(config.error("layer_types", cause));
    }
    let off = !config.bool_or("use_sliding_window", true)?;
    Ok((0..layers as usize)
        .map(|i| match types.get(i) {
            Some(kind) if kind == "sliding_attention" => window,
            Some(_) => None,
            None => window.filter(|_| !off),
        })
        .collect())
}

/// Llama and Mistral (`attention_bias` covers all four projections, `mlp_bias` all three).
pub(super) fn llama(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let c = Common::read(config, false)?;
    let bias = config.bool_or("attention_bias", false)?;
    dense(config, &c, Biases::qkv_o(bias, bias), QkNorm::None)
}

/// Qwen2: biases on queries, keys and values, always.
pub(super) fn qwen2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let c = Common::read(config, false)?;
    dense(config, &c, Biases::qkv_o(true, false), QkNorm::None)
}

/// Qwen3: a norm on each query and key head.
pub(super) fn qwen3(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut c = Common::read(config, false)?;
    c.head_dim = config.size_or("head_dim", 128)?;
    let bias = config.bool_or("attention_bias", false)?;
    dense(config, &c, Biases::qkv_o(bias, bias), QkNorm::PerHead)
}

fn dense(config: &Config, c: &Common, biases: Biases, qk_norm: QkNorm) -> Result<Architecture, Diagnostic> {
    let bias = config.bool_or("mlp_bias", false)?;
    let inner = config.size("intermediate_size")?;
    let mlp = Mlp { up_bias: bias, down_bias: bias, ..Mlp::gated(c.hidden, inner) };
    let layers = windows(config, c.layers)?.into_iter().map(|window| {
        let attention = Attention { biases, qk_norm, window, ..c.attention() };
        c.pre_norm_layer(Block::Attention(attention), Block::Mlp(mlp.clone()))
    });
    Ok(c.decoder(layers.collect()))
}

/// An unknown type: dense or mixture, by the field names that most families share.
pub(super) fn read(config: &Config, scope: Scope) -> Result<Architecture, Diagnostic> {
    let experts = ["num_local_experts", "num_experts", "n_routed_experts"];
    let mut architecture = if config.opt_size_of(&experts)?.is_some() {
        mixture::general(config, scope)?
    } else {
        llama(config, scope)?
    };
    architecture.notes.push(
        "unknown model_type: read by the general rules (pre-norm, rotary positions, gated feed-forward, \
         no query-key norms); counts may differ from the real model"
            .into(),
    );
    Ok(architecture)
}

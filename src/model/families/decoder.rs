//! What most decoders share: the field names, and the order of a layer.
//!
//! Field names and defaults as in the Transformers configuration classes of each family.

use super::experts::{experts, sparse_layers};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Biases, Block, Embedding, Extra, Head, Mlp, Moe, Norm, QkNorm};
use crate::model::config::Config;
use crate::model::context;
use crate::model::{Architecture, Component, Tensor};

/// Names of the model's width.
const HIDDEN: &[&str] = &["hidden_size", "n_embd", "d_model", "n_embed", "embed_dim"];
/// Names of the number of layers.
pub(super) const LAYERS: &[&str] = &["num_hidden_layers", "n_layer", "n_layers", "num_layers"];
/// Names of the number of query heads.
const HEADS: &[&str] = &["num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"];
/// Names of the number of key-value heads.
const KV_HEADS: &[&str] = &[
    "num_key_value_heads",
    "num_kv_heads",
    "n_head_kv",
    "n_kv_heads",
    "multi_query_group_num",
    "num_attention_groups",
];
/// Names of the dimension of a head.
const HEAD_DIM: &[&str] = &["head_dim", "attention_head_dim", "kv_channels", "dim_head"];
/// Names of the feed-forward layer's inner width.
pub(super) const INNER: &[&str] = &[
    "intermediate_size",
    "ffn_hidden_size",
    "n_inner",
    "ffn_dim",
    "inner_hidden_size",
    "dff",
    "dim_ff",
    "mlp_hidden_size",
];
/// Names of whether the output projection shares the embedding's weights.
pub(super) const TIED: &[&str] = &["tie_word_embeddings", "weight_tying"];

/// Which weights a family's norms hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NormKind {
    /// A weight: RMS norms, and layer norms without bias.
    Weight,
    /// A weight and a bias: layer norms.
    WeightAndBias,
    /// Nothing (OLMo-1, nanochat).
    Bare,
}

/// Where the norms of a layer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Before attention and before the feed-forward layer.
    Pre,
    /// One norm that both read.
    Parallel,
    /// After each of them (OLMo-2).
    Post,
    /// Before and after each (Gemma-2).
    Sandwich,
}

/// The sizes that every decoder has.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub hidden: u64,
    pub layers: u64,
    pub heads: u64,
    pub kv_heads: u64,
    pub head_dim: u64,
    pub vocabulary: u64,
    pub max_context: Option<u64>,
    pub tied: bool,
    pub norms: NormKind,
}

impl Common {
    /// Reads them; `layers` goes before the file's.
    pub fn read(config: &Config, layers: Option<u64>) -> Result<Common, Diagnostic> {
        let hidden = config.size_of(HIDDEN)?;
        let heads = config.size_of(HEADS)?;
        let head_dim = match config.opt_size_of(HEAD_DIM)? {
            Some(dim) => dim,
            None if heads <= hidden => hidden / heads,
            None => {
                let cause =
                    format!("more heads ({heads}) than the model is wide ({hidden}), and no head_dim");
                return Err(config.error("num_attention_heads", cause));
            }
        };
        let kv_heads = config.opt_size_of(KV_HEADS)?.unwrap_or(heads);
        if kv_heads > heads || !heads.is_multiple_of(kv_heads) {
            let cause = format!("{kv_heads} key-value heads do not divide {heads} attention heads");
            return Err(config.error("num_key_value_heads", cause));
        }
        Ok(Common { heads, kv_heads, head_dim, ..Common::sized(config, layers)? })
    }

    /// Reads those that a model without attention has.
    pub fn without_attention(config: &Config) -> Result<Common, Diagnostic> {
        Common::sized(config, None)
    }

    fn sized(config: &Config, layers: Option<u64>) -> Result<Common, Diagnostic> {
        Ok(Common {
            hidden: config.size_of(HIDDEN)?,
            layers: match layers {
                Some(layers) => layers,
                None => config.layer_count(LAYERS)?,
            },
            heads: 0,
            kv_heads: 0,
            head_dim: 0,
            vocabulary: config.size_of(&["vocab_size", "padded_vocab_size"])?,
            max_context: context::derived(config)?,
            tied: config.bool_of(TIED, false)?,
            norms: NormKind::Weight,
        })
    }

    /// Plain attention of these sizes.
    pub fn attention(&self) -> Attention {
        Attention::new(self.hidden, self.heads, self.kv_heads, self.head_dim)
    }

    /// Norm of the model's width.
    pub fn norm(&self, name: &'static str) -> Block {
        let (weight, bias) = match self.norms {
            NormKind::Weight => (true, false),
            NormKind::WeightAndBias => (true, true),
            NormKind::Bare => (false, false),
        };
        Block::Norm(Norm { name, width: self.hidden, weight, bias })
    }

    /// A layer: mixer and feed-forward layer with their norms.
    pub fn layer(&self, order: Order, mixer: Vec<Block>, ffn: Vec<Block>) -> Vec<Block> {
        let before = |wanted: bool, name| wanted.then(|| self.norm(name));
        let pre = matches!(order, Order::Pre | Order::Sandwich);
        let post = matches!(order, Order::Post | Order::Sandwich);
        let mut blocks = Vec::with_capacity(8);
        blocks.extend(before(pre || order == Order::Parallel, "input_layernorm.weight"));
        blocks.extend(mixer);
        blocks.extend(before(post, "post_attention_layernorm.weight"));
        blocks.extend(before(pre, "pre_feedforward_layernorm.weight"));
        blocks.extend(ffn);
        blocks.extend(before(post, "post_feedforward_layernorm.weight"));
        blocks
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

/// A decoder as the general rules read it. A family changes what sets it apart, then builds.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    pub common: Common,
    pub order: Order,
    /// Attention of every layer, but for the window.
    pub attention: Attention,
    /// Most keys a query sees, by layer.
    pub windows: Vec<Option<u64>>,
    /// Feed-forward layer of the dense layers, but for a width of its own.
    pub mlp: Mlp,
    /// Widths of the feed-forward layers, where the file lists one for each.
    pub widths: Vec<u64>,
    /// Experts of the sparse layers.
    pub moe: Option<Moe>,
    /// Which layers are sparse.
    pub sparse: Vec<bool>,
    /// Whether the output projection has a bias.
    pub head_bias: bool,
}

/// What a family says of its fields before they are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Layers, where another field decides.
    pub layers: Option<u64>,
    /// Experts that the family reads by itself.
    pub own_experts: bool,
    /// A feed-forward layer that is not measured is four times as wide as the model, or the family measures it by itself.
    pub four_times: bool,
}

impl Decoder {
    /// Reads the fields by the names that most families share.
    ///
    /// # Errors
    /// A size that is missing or out of range.
    pub fn read(config: &Config) -> Result<Decoder, Diagnostic> {
        Decoder::read_as(config, Reading::default())
    }

    /// Reads the fields by the names that most families share, and by what a family says of them.
    ///
    /// # Errors
    /// A size that is missing or out of range.
    pub fn read_as(config: &Config, reading: Reading) -> Result<Decoder, Diagnostic> {
        let common = Common::read(config, reading.layers)?;
        let moe = if reading.own_experts { None } else { experts(config, common.hidden)? };
        let sparse = match &moe {
            Some(_) => sparse_layers(config, common.layers)?,
            None => vec![false; common.layers as usize],
        };
        let widths = match config.is_list(INNER[0]) {
            true => config.numbers(INNER[0])?.unwrap_or_default(),
            false => Vec::new(),
        };
        if !widths.is_empty() && widths.len() as u64 != common.layers {
            let cause = format!("{} widths of {} layers", widths.len(), common.layers);
            return Err(config.error(INNER[0], cause));
        }
        let inner = match widths.first() {
            Some(first) => *first,
            None => match config.opt_size_of(INNER)? {
                Some(inner) => inner,
                None if reading.four_times || reading.own_experts || sparse.iter().all(|sparse| *sparse) => {
                    4 * common.hidden
                }
                None => config.size(INNER[0])?,
            },
        };
        let bias = config.bool_of(&["mlp_bias", "use_bias"], false)?;
        Ok(Decoder {
            order: Order::Pre,
            attention: Attention { biases: biases(config)?, qk_norm: qk_norm(config)?, ..common.attention() },
            windows: windows(config, common.layers)?,
            mlp: Mlp { up_bias: bias, down_bias: bias, ..Mlp::gated(common.hidden, inner) },
            widths,
            moe,
            sparse,
            head_bias: false,
            common,
        })
    }

    /// Attention of layer `i`.
    pub fn attention_of(&self, i: usize) -> Block {
        Block::Attention(Attention { window: self.windows[i], ..self.attention.clone() })
    }

    /// Feed-forward layer of layer `i`.
    pub fn ffn_of(&self, i: usize) -> Block {
        match &self.moe {
            Some(moe) if self.sparse[i] => Block::Moe(moe.clone()),
            _ => {
                let inner = self.widths.get(i).copied().unwrap_or(self.mlp.inner);
                Block::Mlp(Mlp { inner, ..self.mlp.clone() })
            }
        }
    }

    /// Layer `i`, with whatever mixes its tokens.
    pub fn layer_with(&self, i: usize, mixer: Vec<Block>) -> Vec<Block> {
        self.common.layer(self.order, mixer, vec![self.ffn_of(i)])
    }

    /// Embedding, these layers, final norm and head.
    pub fn finish(&self, layers: Vec<Vec<Block>>) -> Architecture {
        let mut architecture = self.common.decoder(layers);
        if self.head_bias {
            architecture.after.pop();
            architecture.after.push(Block::Head(Head { bias: true, ..self.common.head() }));
        }
        architecture
    }

    /// The whole decoder, attention in every layer.
    pub fn build(&self) -> Architecture {
        let layers = 0..self.common.layers as usize;
        self.finish(layers.map(|i| self.layer_with(i, vec![self.attention_of(i)])).collect())
    }

    /// The whole decoder, with more weights in every layer beside its blocks.
    pub fn build_with_extra(&self, tensors: &[Tensor]) -> Architecture {
        let mut architecture = self.build();
        for layer in &mut architecture.layers {
            layer.push(extra(tensors.to_vec()));
        }
        architecture
    }

    /// The decoder without biases in feed-forward layers and shared experts: the class ignores `mlp_bias`.
    pub fn without_mlp_biases(mut self) -> Decoder {
        let shared = self.moe.as_mut().and_then(|moe| moe.shared.as_mut()).map(|shared| &mut shared.mlp);
        for mlp in shared.into_iter().chain([&mut self.mlp]) {
            (mlp.up_bias, mlp.down_bias) = (false, false);
        }
        self
    }

    /// The decoder with feed-forward layers without a gate.
    pub fn ungated(mut self) -> Decoder {
        self.mlp.gated = false;
        self
    }
}

/// Biases of the attention's projections by the names in use.
fn biases(config: &Config) -> Result<Biases, Diagnostic> {
    let all = config.bool_of(&["attention_bias", "use_bias"], false)?;
    let qkv = config.bool_of(&["qkv_bias", "use_qkv_bias", "add_qkv_bias"], all)?;
    Ok(Biases::qkv_o(qkv, config.bool_or("attention_out_bias", all)?))
}

/// Norms of queries and keys by the names in use.
fn qk_norm(config: &Config) -> Result<QkNorm, Diagnostic> {
    let has = config.bool_of(&["use_qk_norm", "qk_layernorm", "qk_norm"], false)?;
    Ok(if has { QkNorm::PerHead } else { QkNorm::None })
}

/// The kind of each layer by `layer_types` or `layers_block_type`, if listed.
pub(super) fn layer_kinds(config: &Config, layers: u64) -> Result<Option<Vec<String>>, Diagnostic> {
    for key in ["layer_types", "layers_block_type"] {
        let kinds = config.strings(key)?;
        if kinds.is_empty() {
            continue;
        }
        if (kinds.len() as u64) < layers {
            return Err(config.error(key, format!("{} entries for {layers} layers", kinds.len())));
        }
        return Ok(Some(kinds));
    }
    Ok(None)
}

/// The window of each layer: as listed; else by the pattern of windowed and full layers; else
/// `sliding_window` in all, unless `use_sliding_window` says no.
pub(super) fn windows(config: &Config, layers: u64) -> Result<Vec<Option<u64>>, Diagnostic> {
    let size = config.opt_size_of(&[
        "sliding_window",
        "sliding_window_size",
        "attention_window_size",
        "attention_chunk_size",
    ])?;
    if let Some(kinds) = layer_kinds(config, layers)? {
        let has = |kind: &String| kind.contains("sliding") || kind.contains("chunked");
        return Ok(kinds.iter().take(layers as usize).map(|k| size.filter(|_| has(k))).collect());
    }
    let every = config.opt_size_of(&[
        "sliding_window_pattern",
        "_sliding_window_pattern",
        "global_attn_every_n_layers",
    ]);
    // Some files give the pattern as letters; only a number is understood here.
    let every = every.unwrap_or(None);
    let first_windowed = config.opt_u64("max_window_layers")?.unwrap_or(0);
    let off = !config.bool_or("use_sliding_window", true)?;
    let full = |i: u64| off || i < first_windowed || every.is_some_and(|n| (i + 1).is_multiple_of(n));
    Ok((0..layers).map(|i| size.filter(|_| !full(i))).collect())
}

/// Weights without an operator of their own.
pub(super) fn extra(tensors: Vec<Tensor>) -> Block {
    Block::Extra(Extra { tensors })
}

/// Learned positions: `count` vectors of the model's width.
pub(super) fn positions(count: u64, width: u64) -> Block {
    extra(vec![Tensor::matrix("embed_positions.weight", count, width, Component::Other)])
}

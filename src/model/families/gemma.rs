//! Gemma 1 to 4, 3n and VaultGemma.

use super::decoder::{Decoder, Order, extra, layer_kinds};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Block, Keys, Moe, QkNorm};
use crate::model::config::Config;
use crate::model::context;
use crate::model::{Architecture, Component, Scope, Tensor, TensorClass};

/// Gemma 2: four norms a layer, every other layer windowed.
pub(super) fn gemma2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    Ok(decoder.build())
}

/// Gemma 3: Gemma 2 with query-key norms, five windowed layers to one full. The context that it states is the
/// stretched one already (vLLM `config/model.py` `_get_and_verify_max_len`).
pub(super) fn gemma3(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.common.max_context = context::stated(config)?;
    decoder.order = Order::Sandwich;
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(decoder.build())
}

/// Which layers use an earlier layer's keys and values: the last `num_kv_shared_layers`.
fn shares_keys(config: &Config, layers: u64) -> Result<impl Fn(usize) -> bool, Diagnostic> {
    let shared = config.opt_u64("num_kv_shared_layers")?.unwrap_or(0);
    let first = layers.saturating_sub(shared);
    // With no layer left to share from, none shares.
    Ok(move |i: usize| first > 0 && i as u64 >= first)
}

/// Per-layer embeddings (Gemma 3n, 4): a second table of `layers × width` per token, a projection of the
/// token's embedding to the same, and in every layer a gate and a projection back.
struct LayerEmbeddings {
    vocabulary: u64,
    width: u64,
    layers: u64,
    hidden: u64,
}

impl LayerEmbeddings {
    fn read(config: &Config, hidden: u64, layers: u64) -> Result<Option<LayerEmbeddings>, Diagnostic> {
        let read = LayerEmbeddings::read_any(config, hidden, layers)?;
        Ok(Some(read).filter(|embeddings| embeddings.width > 0))
    }

    /// Gemma 3n has its norms even at width 0.
    fn read_any(config: &Config, hidden: u64, layers: u64) -> Result<LayerEmbeddings, Diagnostic> {
        let width = config.opt_u64("hidden_size_per_layer_input")?.unwrap_or(0);
        let vocabulary = config.size_of(&["vocab_size_per_layer_input", "vocab_size"])?;
        Ok(LayerEmbeddings { vocabulary, width, layers, hidden })
    }

    fn outer(&self) -> Block {
        let all = self.layers * self.width;
        extra(vec![
            Tensor::matrix("embed_tokens_per_layer.weight", self.vocabulary, all, Component::Other)
                .class(TensorClass::Embedding),
            Tensor::matrix("per_layer_model_projection.weight", all, self.hidden, Component::Other),
            Tensor::vector("per_layer_projection_norm.weight", self.width, Component::Norm),
        ])
    }

    fn of_layer(&self) -> Block {
        extra(vec![
            Tensor::matrix("per_layer_input_gate.weight", self.width, self.hidden, Component::Other),
            Tensor::matrix("per_layer_projection.weight", self.hidden, self.width, Component::Other),
            Tensor::vector("post_per_layer_input_norm.weight", self.hidden, Component::Norm),
        ])
    }
}

/// Gemma 3n (`modeling_gemma3n.py`): several residual streams (AltUp), low-rank residual layers
/// (LAuReL), per-layer embeddings, and last layers without keys and values of their own.
pub(super) fn gemma3n(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    decoder.attention.qk_norm = QkNorm::PerHead;
    let (hidden, layers) = (decoder.common.hidden, decoder.common.layers);
    let shares = shares_keys(config, layers)?;
    let embeddings = LayerEmbeddings::read_any(config, hidden, layers)?;
    let streams = config.size_or("altup_num_inputs", 4)?;
    let stream_tensors = stream_tensors(hidden, streams, config.size_or("laurel_rank", 64)?);
    let blocks = (0..layers as usize).map(|i| {
        let mut own = decoder.clone();
        own.attention.keys = if shares(i) { Keys::Shared } else { Keys::Own };
        let mut layer = own.layer_with(i, vec![own.attention_of(i)]);
        layer.push(extra(stream_tensors.clone()));
        layer.push(embeddings.of_layer());
        layer
    });
    let mut architecture = decoder.finish(blocks.collect());
    architecture.before.push(embeddings.outer());
    let projections = streams.saturating_sub(1);
    let matrix = |name, part| Tensor::matrix(name, projections * hidden, hidden, part);
    architecture.before.push(extra(vec![
        matrix("altup_projections.weight", Component::Mlp),
        matrix("altup_unembed_projections.weight", Component::Other),
    ]));
    Ok(architecture)
}

/// AltUp's and LAuReL's weights of one layer.
fn stream_tensors(hidden: u64, streams: u64, rank: u64) -> Vec<Tensor> {
    let other = |name, rows, columns| Tensor::matrix(name, rows, columns, Component::Other);
    let norm = |name| Tensor::vector(name, hidden, Component::Norm);
    vec![
        Tensor::vector("altup.correct_output_scale", hidden, Component::Other),
        other("altup.correction_coefs.weight", streams, streams),
        other("altup.prediction_coefs.weight", streams * streams, streams),
        Tensor::matrix("altup.modality_router.weight", streams, hidden, Component::Router)
            .class(TensorClass::Router),
        norm("altup.router_norm.weight"),
        other("laurel.linear_left.weight", rank, hidden),
        other("laurel.linear_right.weight", hidden, rank),
        norm("laurel.post_laurel_norm.weight"),
    ]
}

/// Gemma 4: larger heads on full layers, keys that serve as values, per-layer embeddings, experts beside
/// the dense feed-forward layer.
pub(super) fn gemma4(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    decoder.attention.qk_norm = QkNorm::PerHead;
    let (hidden, layers) = (decoder.common.hidden, decoder.common.layers);
    let full = full_layers(config, layers)?;
    for (window, full) in decoder.windows.iter_mut().zip(&full) {
        *window = window.filter(|_| !full);
    }
    let shares = shares_keys(config, layers)?;
    let sizes = FullSizes::read(config)?;
    let wide = config.bool_or("use_double_wide_mlp", false)?;
    let embeddings = LayerEmbeddings::read(config, hidden, layers)?;
    let moe = decoder.moe.take().filter(|_| config.bool_or("enable_moe_block", false).unwrap_or(false));
    let mut blocks = Vec::with_capacity(layers as usize);
    for (i, full) in full.iter().enumerate() {
        let mut own = decoder.clone();
        if *full {
            sizes.apply(config, i, &mut own.attention)?;
        }
        if shares(i) {
            own.attention.keys = Keys::Shared;
            own.mlp.inner *= if wide { 2 } else { 1 };
        }
        let mut layer = own.layer_with(i, vec![own.attention_of(i)]);
        if let Some(moe) = &moe {
            layer.push(Block::Moe(Moe { beside_dense: true, ..moe.clone() }));
            layer.push(expert_extras(hidden, moe.experts));
        }
        layer.extend(embeddings.as_ref().map(LayerEmbeddings::of_layer));
        blocks.push(layer);
    }
    let mut architecture = decoder.finish(blocks);
    architecture.before.extend(embeddings.as_ref().map(LayerEmbeddings::outer));
    Ok(architecture)
}

/// Norms and scales of the expert branch.
fn expert_extras(hidden: u64, experts: u64) -> Block {
    extra(vec![
        Tensor::vector("post_feedforward_layernorm_1.weight", hidden, Component::Norm),
        Tensor::vector("post_feedforward_layernorm_2.weight", hidden, Component::Norm),
        Tensor::vector("pre_feedforward_layernorm_2.weight", hidden, Component::Norm),
        Tensor::vector("router.scale", hidden, Component::Router),
        Tensor::vector("router.per_expert_scale", experts, Component::Router),
    ])
}

/// What full layers have of their own.
struct FullSizes {
    head_dim: u64,
    kv_heads: Option<u64>,
    keys: Keys,
}

impl FullSizes {
    fn read(config: &Config) -> Result<FullSizes, Diagnostic> {
        let as_values = config.bool_or("attention_k_eq_v", false)?;
        Ok(FullSizes {
            head_dim: config.size_or("global_head_dim", 512)?,
            kv_heads: config.opt_size("num_global_key_value_heads")?.filter(|_| as_values),
            keys: if as_values { Keys::AsValues } else { Keys::Own },
        })
    }

    /// Newer files list what differs by layer in `per_layer_config`; nothing else differs then.
    fn apply(&self, config: &Config, layer: usize, attention: &mut Attention) -> Result<(), Diagnostic> {
        let (head_dim, kv_heads) = match config.opt_sub("per_layer_config")? {
            Some(listed) => {
                // Layers are numbered with leading zeros.
                match listed.keys().find(|key| key.parse() == Ok(layer)) {
                    Some(key) => {
                        let own = listed.sub(key)?;
                        (own.opt_size("head_dim")?, own.opt_size("num_key_value_heads")?)
                    }
                    None => (None, None),
                }
            }
            None => (Some(self.head_dim), self.kv_heads),
        };
        attention.head_dim = head_dim.unwrap_or(attention.head_dim);
        attention.v_dim = attention.head_dim;
        attention.kv_heads = kv_heads.unwrap_or(attention.kv_heads);
        attention.keys = self.keys;
        Ok(())
    }
}

/// Which layers see everything: as listed, else every sixth; the last one always.
fn full_layers(config: &Config, layers: u64) -> Result<Vec<bool>, Diagnostic> {
    let mut full: Vec<bool> = match layer_kinds(config, layers)? {
        Some(kinds) => kinds.iter().take(layers as usize).map(|kind| kind == "full_attention").collect(),
        None => (0..layers).map(|i| (i + 1).is_multiple_of(6)).collect(),
    };
    if let Some(last) = full.last_mut() {
        *last = true;
    }
    Ok(full)
}

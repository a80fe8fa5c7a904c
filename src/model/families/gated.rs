//! Attention whose output passes a gate, in decoders of 2025 and 2026: Step-3.5 and 3.7, Muse.

use super::decoder::{Decoder, Order, extra, layer_kinds};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Block, Gate, Mlp, Moe, Norm, QkNorm, SharedExpert};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// Which layers hold experts, as Step's files say it: by `moe_layers_enum`, a list or a string of numbers.
pub(super) fn enumerated(config: &Config, decoder: &Decoder, first: u64) -> Result<Vec<bool>, Diagnostic> {
    if config.has("mlp_layer_types") {
        return Ok(decoder.sparse.clone());
    }
    let listed = if config.is_list("moe_layers_enum") {
        config.numbers("moe_layers_enum")?
    } else {
        let read = |text: &str| text.split(',').map(|n| n.trim().parse().ok()).collect::<Option<Vec<u64>>>();
        match config.opt_str("moe_layers_enum")? {
            Some(text) if !text.trim().is_empty() => {
                Some(read(text).ok_or_else(|| {
                    config.error("moe_layers_enum", "expected whole numbers between commas")
                })?)
            }
            _ => None,
        }
    };
    let sparse = |i: u64| listed.as_ref().map_or(i >= first, |layers| layers.contains(&i));
    Ok((0..decoder.common.layers).map(sparse).collect())
}

/// The experts by Step's field names.
pub(super) fn step_experts(config: &Config, decoder: &Decoder) -> Result<Moe, Diagnostic> {
    let hidden = decoder.common.hidden;
    let experts =
        config.size_of(&["n_routed_experts", "moe_num_experts", "num_local_experts", "num_experts"])?;
    let top_k = super::experts::top_k(config, experts)?;
    let bias = decoder.mlp.up_bias;
    let width = config.size_of(&["share_expert_dim", "share_expert_dims"])?;
    let mlp = Mlp { up_bias: bias, down_bias: bias, ..Mlp::gated(hidden, width) };
    let shared = Some(SharedExpert { mlp, gate: false });
    Ok(Moe { shared, ..Moe::new(hidden, experts, top_k, config.size("moe_intermediate_size")?) })
}

/// Step-3.5 and 3.7 (`Step3p7TextModel`): query-key norms, a gate per head, more query heads on windowed
/// layers, experts from the fourth layer on.
pub(super) fn step35(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    decoder.attention.gate = super::mixture::output_gate(config)?;
    decoder.moe = Some(step_experts(config, &decoder)?);
    decoder.sparse = enumerated(config, &decoder, 3)?;
    let layers = decoder.common.layers;
    let kinds = layer_kinds(config, layers)?.unwrap_or_default();
    let other = match config.opt_sub("attention_other_setting")? {
        Some(other) => other.opt_size("num_attention_heads")?,
        None => None,
    };
    let local = match config.opt_size("num_sliding_attention_heads")? {
        Some(heads) => heads,
        None => other.unwrap_or(decoder.common.heads),
    };
    let layer = |i: usize| {
        let mut attention = decoder.attention.clone();
        attention.window = decoder.windows[i.min(layers as usize - 1)];
        if kinds.get(i).is_some_and(|kind| kind == "sliding_attention") {
            attention.heads = local;
        }
        Block::Attention(attention)
    };
    let blocks = (0..layers as usize).map(|i| decoder.layer_with(i, vec![layer(i)]));
    Ok(decoder.finish(blocks.collect()))
}

/// Muse Glimmer: norms before and after, an output gate.
pub(super) fn muse_glimmer(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    decoder.attention.gate = Gate::Full;
    Ok(decoder.build())
}

/// Muse Spark: an output gate, experts of a narrower width with norms around them, learned gates on both
/// residuals; the norm after attention holds no weights.
pub(super) fn muse_spark(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.gate = Gate::Full;
    let c = decoder.common.clone();
    let latent = config.size("moe_hidden_size")?;
    if let Some(moe) = &mut decoder.moe {
        moe.latent = Some(latent);
    }
    let norm = |name, width| Block::Norm(Norm::rms(name, width));
    let layers = (0..c.layers as usize).map(|i| {
        let mut layer = decoder.layer_with(i, vec![decoder.attention_of(i)]);
        layer.push(norm("post_feedforward_layernorm.weight", c.hidden));
        if decoder.sparse[i] && decoder.moe.is_some() {
            layer.push(norm("mlp.pre_expert_norm.weight", latent));
            layer.push(norm("mlp.experts.post_expert_norm.weight", latent));
        }
        let gates = Tensor::vector("residual_gates", 2 * c.hidden, Component::Other);
        layer.push(extra(vec![gates]));
        layer
    });
    Ok(decoder.finish(layers.collect()))
}

//! Gemma 3: four norms a layer, query-key norms, five windowed layers to one full, SigLIP vision tower.

use super::general::Common;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Block, Mlp, QkNorm};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// The multimodal wrapper: the language model in `text_config`, the tower in `vision_config`.
/// Defaults are those of `Gemma3TextConfig` and `SiglipVisionConfig`.
pub(super) fn multimodal(config: &Config, scope: Scope) -> Result<Architecture, Diagnostic> {
    let text_config = config.sub("text_config")?;
    let mut architecture = text(&text_config, scope)?;
    if scope == Scope::Full
        && let Some(vision) = config.opt_sub("vision_config")?
    {
        architecture.towers = siglip(&vision, architecture.hidden)?;
    }
    Ok(architecture)
}

/// The language model.
pub(super) fn text(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let hidden = config.size_or("hidden_size", 2304)?;
    let heads = config.size_or("num_attention_heads", 8)?;
    let c = Common {
        hidden,
        layers: if config.has("num_hidden_layers") {
            config.layer_count(&["num_hidden_layers"])?
        } else {
            26
        },
        heads,
        kv_heads: config.size_or("num_key_value_heads", 4)?,
        head_dim: config.size_or("head_dim", 256)?,
        vocabulary: config.size_or("vocab_size", 262_208)?,
        max_context: Some(config.size_or("max_position_embeddings", 131_072)?),
        tied: config.bool_or("tie_word_embeddings", true)?,
    };
    let inner = config.size_or("intermediate_size", 9216)?;
    let window = config.size_or("sliding_window", 4096)?;
    let pattern = config.opt_size_of(&["sliding_window_pattern", "_sliding_window_pattern"])?.unwrap_or(6);
    let types = config.strings("layer_types")?;
    let is_full = |i: u64| match types.get(i as usize) {
        Some(kind) => kind == "full_attention",
        None => (i + 1).is_multiple_of(pattern),
    };
    let layers = (0..c.layers).map(|i| {
        let window = (!is_full(i)).then_some(window);
        let attention = Attention { window, qk_norm: QkNorm::PerHead, ..c.attention() };
        vec![
            c.norm("input_layernorm.weight"),
            Block::Attention(attention),
            c.norm("post_attention_layernorm.weight"),
            c.norm("pre_feedforward_layernorm.weight"),
            Block::Mlp(Mlp::gated(hidden, inner)),
            c.norm("post_feedforward_layernorm.weight"),
        ]
    });
    Ok(c.decoder(layers.collect()))
}

/// SigLIP vision tower and the projector to the language model (`Gemma3MultiModalProjector`).
fn siglip(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let part = Component::Other;
    let hidden = config.size_or("hidden_size", 1152)?;
    let inner = config.size_or("intermediate_size", 4304)?;
    let layers = config.size_or("num_hidden_layers", 27)?;
    let patch = config.size_or("patch_size", 14)?;
    let image = config.size_or("image_size", 896)?;
    let channels = config.size_or("num_channels", 3)?;
    let side = image / patch;
    let per_layer = |mut t: Tensor| {
        (t.copies, t.active_copies) = (layers, layers);
        t
    };
    let mut out = vec![
        Tensor::matrix("vision_tower.patch_embedding.weight", hidden, channels * patch * patch, part),
        Tensor::vector("vision_tower.patch_embedding.bias", hidden, part),
        Tensor::matrix("vision_tower.position_embedding.weight", side * side, hidden, part),
        Tensor::vector("vision_tower.post_layernorm", 2 * hidden, part),
        Tensor::vector("multi_modal_projector.mm_soft_emb_norm.weight", hidden, part),
        Tensor::matrix("multi_modal_projector.mm_input_projection_weight", hidden, text_hidden, part),
    ];
    out.extend(
        [
            Tensor::matrix("vision_tower.layers.self_attn.weights", 4 * hidden, hidden, part),
            Tensor::vector("vision_tower.layers.self_attn.biases", 4 * hidden, part),
            Tensor::matrix("vision_tower.layers.mlp.weights", 2 * inner, hidden, part),
            Tensor::vector("vision_tower.layers.mlp.biases", inner + hidden, part),
            Tensor::vector("vision_tower.layers.layer_norms", 4 * hidden, part),
        ]
        .map(per_layer),
    );
    Ok(out)
}

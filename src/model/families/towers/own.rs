//! Towers that one wrapper or a few close ones have: of images, and of sound.
//!
//! Tensors as in the Transformers classes of each type (5.24).

use super::images::qwen_merger;
use super::{Encoder, matrix, patch_pixels, patches, siglip, vector};
use crate::diagnostic::Diagnostic;
use crate::model::Tensor;
use crate::model::config::Config;

type Tensors = Result<Vec<Tensor>, Diagnostic>;

/// A linear layer with a bias.
fn dense(name: &'static str, outputs: u64, inputs: u64) -> [Tensor; 2] {
    [matrix(name, outputs, inputs), vector("projector.bias", outputs)]
}

/// `side × side` neighbours side by side.
fn merged(width: u64, config: &Config) -> Result<u64, Diagnostic> {
    let side = config.size_or("spatial_merge_size", 2)?;
    Ok(width.saturating_mul(side.saturating_mul(side)))
}

fn depth(config: &Config) -> Result<u64, Diagnostic> {
    config.size_of(&["depth", "num_hidden_layers"])
}

/// Inner width of a ViT's layers, as stated or by a ratio to its width.
fn inner(config: &Config, hidden: u64) -> Result<u64, Diagnostic> {
    match config.opt_size("intermediate_size")? {
        Some(inner) => Ok(inner),
        None => Ok((hidden as f64 * config.f64_or("mlp_ratio", 4.0)?.clamp(0.0, 64.0)) as u64),
    }
}

/// Qwen's tower of pairs of frames: gated layers with RMS norms and biases, a merger; attention may have fewer
/// key-value heads (EXAONE 4.5).
fn gated_pairs(config: &Config) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let mut out = qwen_merger(config, hidden, config.size("out_hidden_size")?, 1)?;
    let vit = Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?);
    out.extend(Encoder { gated: true, vectors: 2 * hidden, ..vit }.tensors());
    Ok(out)
}

/// Qwen2.5-Omni's images.
pub(super) fn qwen2_5_omni(config: &Config, _: &Config, _: u64) -> Tensors {
    gated_pairs(config)
}

/// Qwen3-Omni's images.
pub(super) fn qwen3_omni(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    super::qwen3_vl(config, text_hidden)
}

/// HyperCLOVA X's images: Qwen2.5-VL's tower and one layer.
pub(super) fn hyperclovax(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let mut out = gated_pairs(config)?;
    out.extend(dense("projector.weight", text_hidden, config.size("out_hidden_size")?));
    Ok(out)
}

/// EXAONE 4.5's images: Qwen2.5-VL's tower with key-value heads that several query heads share.
pub(super) fn exaone4_5(config: &Config, _: &Config, _: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_heads")?;
    let kv = config.size_or("num_key_value_heads", heads)?;
    if kv > heads || heads > hidden {
        return Err(
            config.error("num_key_value_heads", "more key-value heads than heads, or than the tower is wide")
        );
    }
    let shared = 2 * (heads - kv).saturating_mul(hidden / heads);
    let layers = depth(config)?;
    let mut out = qwen_merger(config, hidden, config.size("out_hidden_size")?, 1)?;
    let wide = config.size("intermediate_size")?;
    let layer = [
        matrix("vision_tower.layers.self_attn.weights", 4 * hidden - shared, hidden),
        matrix("vision_tower.layers.mlp.weights", 3 * wide, hidden),
        vector("vision_tower.layers.biases", 4 * hidden - shared + 2 * wide + hidden),
        vector("vision_tower.layers.norms", 2 * hidden),
    ];
    out.extend(layer.map(|t| Tensor { copies: layers, active_copies: layers, ..t }));
    Ok(out)
}

/// ERNIE-4.5-VL's images: a ViT, and a resampler that joins neighbours and pairs of frames.
pub(super) fn ernie_vl(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size_of(&["embed_dim", "hidden_size"])?;
    let frames = config.size_or("temporal_merge_size", 2)?;
    let joined = merged(hidden, config)?;
    let mut out = vec![
        matrix("vision_tower.patch_embed.proj.weight", hidden, patch_pixels(config, "in_channels")?),
        vector("vision_tower.ln", 2 * hidden),
        vector("resampler_model.norms", (2 * joined).saturating_mul(2) + text_hidden),
    ];
    out.extend(dense("resampler_model.spatial_linear.fc1.weight", joined, joined));
    out.extend(dense("resampler_model.spatial_linear.fc2.weight", joined, joined));
    out.extend(dense("resampler_model.temporal_linear.fc1.weight", joined, joined.saturating_mul(frames)));
    out.extend(dense("resampler_model.temporal_linear.fc2.weight", joined, joined));
    out.extend(dense("resampler_model.mlp.weight", text_hidden, joined));
    out.extend(Encoder::vit(depth(config)?, hidden, inner(config, hidden)?).tensors());
    Ok(out)
}

/// GLM-OCR and GLM-5-Next: gated layers with RMS norms, norms of query and key heads, a convolution over neighbours, and
/// a gated merger.
pub(super) fn glm_ocr(config: &Config, _: &Config, _: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let output = config.size("out_hidden_size")?;
    let head = hidden / config.size("num_heads")?;
    let pixels = patch_pixels(config, "in_channels")?.saturating_mul(config.size("temporal_patch_size")?);
    let context = match config.opt_size("projection_intermediate_size")? {
        Some(width) => width,
        None => output.saturating_mul(config.size("in_channels")?),
    };
    let vit = Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?);
    let mut out = vec![
        matrix("visual.patch_embed.proj.weight", hidden, pixels),
        vector("visual.patch_embed.proj.bias", hidden),
        vector("visual.post_layernorm", hidden),
        matrix("visual.merger.proj.weight", output, output),
        vector("visual.merger.post_projection_norm", 2 * output),
        matrix("visual.merger.mlp.weights", 3 * context, output),
    ];
    out.extend(dense("visual.downsample.weight", output, merged(hidden, config)?));
    let biased = config.bool_or("attention_bias", true)?;
    out.extend(Encoder { gated: true, biased, vectors: 2 * hidden + 2 * head, ..vit }.tensors());
    Ok(out)
}

/// Step-3.7's images: a ViT whose branches are scaled, two convolutions that halve the side, a projection.
pub(super) fn step3(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size_of(&["hidden_size", "width"])?;
    let layers = config.size_of(&["num_hidden_layers", "layers"])?;
    let positions = match config.opt_size("max_position_embeddings")? {
        Some(positions) => positions,
        None => patches(config)?,
    };
    let vit = Encoder::vit(layers, hidden, inner(config, hidden)?);
    let mut out = vec![
        matrix("vision_model.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        matrix("vision_model.position_embedding.weight", positions, hidden),
        vector("vision_model.pre_layernorm", 2 * hidden),
        matrix("multi_modal_projector.weight", text_hidden, 4 * hidden),
    ];
    if wrapper.bool_or("projector_bias", false)? {
        out.push(vector("multi_modal_projector.bias", text_hidden));
    }
    out.extend(dense("vision_model.downsampler1.weight", 2 * hidden, hidden.saturating_mul(9)));
    out.extend(dense("vision_model.downsampler2.weight", 4 * hidden, hidden.saturating_mul(18)));
    out.extend(Encoder { vectors: 6 * hidden, ..vit }.tensors());
    Ok(out)
}

/// Nemotron's images: RADIO with positions for the largest image, registers, scaled branches, and patches of pairs of
/// frames; a norm and two layers without biases.
pub(super) fn nemotron(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let patch = config.size("patch_size")?;
    let side = config.size_or("max_img_size", 2048)? / patch;
    let pixels = patch_pixels(config, "num_channels")?;
    let frames = config.size_or("video_temporal_patch_size", 2)?;
    let registers = config.size_or("num_cls_tokens", 3)?.saturating_add(config.size_or("num_registers", 7)?);
    let features = hidden.saturating_mul(4);
    let projected = wrapper.size_or("projector_hidden_size", 4096)?;
    let vit = Encoder::vit(depth(config)?, hidden, inner(config, hidden)?);
    let mut out = vec![
        matrix("vision_model.position_embedding", side.saturating_mul(side), hidden),
        matrix("vision_model.cls_register_token", registers, hidden),
        matrix("vision_model.patch_projection.weights", hidden, pixels.saturating_mul(1 + frames)),
        vector("multi_modal_projector.layer_norm", features),
        matrix("multi_modal_projector.linear_1.weight", projected, features),
        matrix("multi_modal_projector.linear_2.weight", text_hidden, projected),
    ];
    out.extend(Encoder { vectors: 6 * hidden, ..vit }.tensors());
    Ok(out)
}

/// Qianfan-OCR's images: InternViT without a norm of queries and keys, a norm and two layers over four neighbours.
pub(super) fn qianfan(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let first = |key| match config.size_list(key)?.first() {
        Some(0) => Err(config.error(key, "at least 1, found 0")),
        side => Ok(side.copied().unwrap_or(1)),
    };
    let (image, patch) = (first("image_size")?, first("patch_size")?);
    let positions = (image / patch).saturating_mul(image / patch) + 1;
    let pixels = config.size_or("num_channels", 3)?.saturating_mul(patch.saturating_mul(patch));
    let features = hidden.saturating_mul(4);
    let vit = Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?);
    let mut out = vec![
        vector("vision_tower.cls_token", hidden),
        matrix("vision_tower.position_embeddings", positions, hidden),
        matrix("vision_tower.patch_embeddings.weight", hidden, pixels),
        vector("vision_tower.patch_embeddings.bias", hidden),
        vector("multi_modal_projector.layer_norm", 2 * features),
    ];
    out.extend(dense("multi_modal_projector.linear_1.weight", text_hidden, features));
    out.extend(dense("multi_modal_projector.linear_2.weight", text_hidden, text_hidden));
    out.extend(Encoder { vectors: 6 * hidden, ..vit }.tensors());
    Ok(out)
}

/// Ovis 2's images: gated layers with RMS norms, a head over a vocabulary of images, and their embeddings.
pub(super) fn ovis2(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let vocabulary = config.size("vocab_size")?;
    let words = vocabulary.saturating_sub(config.size_or("num_visual_indicator_tokens", 5)?);
    let stride = config.size_or("hidden_stride", 1)?;
    let biases = if config.bool_or("qkv_bias", false)? { 3 * hidden } else { 0 };
    let encoder = Encoder {
        gated: true,
        biased: false,
        vectors: 2 * hidden + biases,
        ..Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?)
    };
    let mut out = vec![
        matrix("vision_tower.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_tower.patch_embedding.bias", hidden),
        matrix("vision_tower.position_embedding.weight", patches(config)?, hidden),
        vector("vision_tower.rms_norms", 2 * hidden),
        matrix(
            "vision_tower.head_linear.weight",
            words,
            hidden.saturating_mul(stride.saturating_mul(stride)),
        ),
        vector("vision_tower.head_norm", 2 * words),
        matrix("visual_embeddings_table.weight", vocabulary, wrapper.size_or("hidden_size", text_hidden)?),
    ];
    out.extend(encoder.tensors());
    Ok(out)
}

/// VideoLLaMA 3's images: SigLIP without positions of its own, and two layers.
pub(super) fn video_llama(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let mut out = vec![
        matrix("vision_model.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_model.patch_embedding.bias", hidden),
        vector("vision_model.post_layernorm", 2 * hidden),
    ];
    out.extend(dense("projector.readout.0.weight", text_hidden, hidden));
    out.extend(dense("projector.readout.2.weight", text_hidden, text_hidden));
    out.extend(Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?).tensors());
    Ok(out)
}

/// Inkling 2's images: a ViT with scaled branches and a grid of positions, and two layers over neighbours.
pub(super) fn inkling2(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let grid = config.size_or("posemb_grid_size", 32)?;
    let projected = config.size_or("projection_hidden_dim", 4096)?;
    let output = config.size_or("text_hidden_size", text_hidden)?;
    let vit = Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?);
    let mut out = vec![
        vector("vision_tower.class_embeddings", 2 * hidden),
        matrix("vision_tower.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        matrix("vision_tower.position_embedding.weight", grid.saturating_mul(grid), hidden),
        vector("vision_tower.pre_layernorm", 2 * hidden),
        matrix("vision_tower.merger.linear_1.weight", projected, merged(hidden, config)?),
        matrix("vision_tower.merger.linear_2.weight", output, projected),
    ];
    out.extend(Encoder { vectors: 6 * hidden, ..vit }.tensors());
    Ok(out)
}

/// Molmo 2's images: a ViT whose features of several layers are pooled by attention, and a gated projection.
pub(super) fn molmo2(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let adapter = wrapper.sub("adapter_config")?;
    let width = adapter.size_or("hidden_size", hidden)?;
    let layers = adapter.list("vision_feature_layer")?.map_or(2, |layers| layers.len() as u64);
    let features = hidden.saturating_mul(layers);
    let wide = adapter.size("intermediate_size")?;
    let mut out = vec![
        matrix("vision_tower.positional_embedding", config.size_or("num_position_embeddings", 729)?, hidden),
        matrix("vision_tower.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_tower.patch_embedding.bias", hidden),
        matrix("multi_modal_projector.mlp.ups", 2 * wide, width),
        matrix(
            "multi_modal_projector.mlp.down_proj.weight",
            adapter.size_or("text_hidden_size", text_hidden)?,
            wide,
        ),
    ];
    out.extend(dense("multi_modal_projector.image_pooling_2d.qkv.weight", 3 * width, features));
    out.extend(dense("multi_modal_projector.image_pooling_2d.o_proj.weight", width, width));
    out.extend(Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?).tensors());
    Ok(out)
}

/// Muse Glimmer's images: a ViT over pairs of frames, two layers over neighbours and a projection.
pub(super) fn muse_glimmer(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let pixels = patch_pixels(config, "num_channels")?.saturating_mul(config.size_or("patch_temporal", 2)?);
    let projected = wrapper.size_or("projector_hidden_size", 4096)?;
    let side = config.size_or("merge_size", 2)?;
    let features = wrapper.size_or("out_hidden_size", hidden.saturating_mul(side.saturating_mul(side)))?;
    let mut out = vec![
        matrix("vision_tower.patch_embedding.weight", hidden, pixels),
        matrix(
            "vision_tower.position_embedding_table.weight",
            config.size("max_position_embeddings")?,
            hidden,
        ),
        vector("vision_tower.norms", 4 * hidden),
        matrix("vision_adapter.fc1.weight", projected, features),
        matrix("vision_adapter.fc2.weight", projected, projected),
        matrix("vision_projection.weight", text_hidden, projected),
    ];
    out.extend(Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?).tensors());
    Ok(out)
}

/// Cosmos 3 Edge's images: SigLIP 2 without a head, a norm and two layers over neighbours.
pub(super) fn cosmos_edge(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let projected = wrapper.size_or("projector_hidden_size", 11_520)?;
    let mut out = vec![
        matrix("visual.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        matrix("visual.position_embedding.weight", config.size_or("num_patches", 256)?, hidden),
        vector("visual.vectors", hidden + 4 * hidden),
    ];
    out.extend(dense("projector.linear_fc1.weight", projected, merged(hidden, config)?));
    out.extend(dense("projector.linear_fc2.weight", text_hidden, projected));
    out.extend(Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?).tensors());
    Ok(out)
}

/// MiniCPM-V 4.6 and 4.7: SigLIP, layers between them that merge windows, and a merger after.
pub(super) fn minicpmv(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let wide = config.size("intermediate_size")?;
    let joined = hidden.saturating_mul(4);
    let merges = wrapper.size_or("merger_times", 1)?;
    let mut out = vec![
        matrix("vision_tower.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_tower.patch_embedding.bias", hidden),
        matrix("vision_tower.position_embedding.weight", patches(config)?, hidden),
        vector("vision_tower.norms", 4 * hidden + 2 * joined),
        vector("merger.norms", (2 * joined).saturating_mul(merges)),
    ];
    out.extend(dense("vision_tower.vit_merger.self_attn.weight", 4 * hidden, hidden));
    out.extend(dense("vision_tower.vit_merger.linear_1.weight", 4 * wide, joined));
    out.extend(dense("vision_tower.vit_merger.linear_2.weight", hidden, 4 * wide));
    for merge in 1..=merges.min(16) {
        let output = if merge == merges { text_hidden } else { hidden };
        out.extend(dense("merger.mlp.linear_1.weight", joined, joined));
        out.extend(dense("merger.mlp.linear_2.weight", output, joined));
    }
    out.extend(Encoder::vit(depth(config)?, hidden, wide).tensors());
    Ok(out)
}

/// Idefics 2's images: SigLIP without a head, a gated projection, and a resampler of gated layers over latents.
pub(super) fn idefics2(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let resampler = wrapper.opt_sub("perceiver_config")?.unwrap_or_else(|| wrapper.empty("perceiver_config"));
    let width = resampler.size_or("hidden_size", text_hidden)?;
    let layers = resampler.size_or("resampler_depth", 3)?;
    let head = resampler.size_or("resampler_head_dim", 96)?;
    let queries = head.saturating_mul(resampler.size_or("resampler_n_heads", 16)?);
    let keys = head.saturating_mul(resampler.size_or("num_key_value_heads", 4)?);
    let wide = wrapper.sub("text_config")?.size_or("intermediate_size", 14_336)?;
    let layer = [
        matrix("connector.perceiver_resampler.attention.weights", 2 * queries + 2 * keys, width),
        matrix("connector.perceiver_resampler.mlp.weights", 12 * width, width),
        vector("connector.perceiver_resampler.norms", 3 * width),
    ];
    let mut out = vec![
        matrix("vision_model.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_model.patch_embedding.bias", hidden),
        matrix("vision_model.position_embedding.weight", patches(config)?, hidden),
        vector("vision_model.post_layernorm", 2 * hidden),
        matrix("connector.modality_projection.ups", 2 * wide, hidden),
        matrix("connector.modality_projection.down_proj.weight", text_hidden, wide),
        matrix("connector.perceiver_resampler.latents", resampler.size_or("resampler_n_latents", 64)?, width),
        vector("connector.perceiver_resampler.norm", width),
    ];
    out.extend(layer.map(|t| Tensor { copies: layers, active_copies: layers, ..t }));
    out.extend(Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?).tensors());
    Ok(out)
}

/// Aria's images: SigLIP without a head, and a projector that asks by attention.
pub(super) fn aria(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let queries = wrapper.size_or("max_value_projector_patch_to_query_dict", 256)?;
    let mut out = vec![
        matrix("vision_tower.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_tower.patch_embedding.bias", hidden),
        matrix("vision_tower.position_embedding.weight", patches(config)?, hidden),
        vector("vision_tower.post_layernorm", 2 * hidden),
        matrix("multi_modal_projector.query", queries, hidden),
        matrix("multi_modal_projector.cross_attn.qkv.weights", 3 * hidden, hidden),
        vector("multi_modal_projector.norms", 6 * hidden),
        matrix("multi_modal_projector.feed_forward.linear_in.weight", text_hidden, hidden),
        matrix("multi_modal_projector.feed_forward.linear_out.weight", text_hidden, text_hidden),
    ];
    out.extend(dense("multi_modal_projector.cross_attn.multihead_attn.weights", 4 * hidden, hidden));
    out.extend(dense("multi_modal_projector.cross_attn.linear.weight", hidden, hidden));
    out.extend(Encoder::vit(depth(config)?, hidden, config.size("intermediate_size")?).tensors());
    Ok(out)
}

/// Video-LLaVA: a CLIP tower of images and one of videos, and two layers.
pub(super) fn video_llava(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let mut out: Vec<Tensor> = super::images::clip(config)?;
    out.iter_mut().for_each(|t| (t.copies, t.active_copies) = (2 * t.copies, 2 * t.active_copies));
    out.extend(dense("multi_modal_projector.linear_1.weight", text_hidden, hidden));
    out.extend(dense("multi_modal_projector.linear_2.weight", text_hidden, text_hidden));
    Ok(out)
}

/// Whisper's layers over sound: `key_bias` says whether keys have one, as queries and values do.
fn sound_layers(config: &Config, key_bias: bool) -> Tensors {
    let hidden = config.size("d_model")?;
    let encoder = Encoder::vit(config.size("encoder_layers")?, hidden, config.size("encoder_ffn_dim")?);
    let mut out = encoder.tensors();
    let biases = |t: &&mut Tensor| t.name == "vision_tower.layers.biases";
    if let Some(biases) = out.iter_mut().find(biases).filter(|_| !key_bias) {
        biases.rows = biases.rows.saturating_sub(hidden);
    }
    out.push(vector("audio_tower.ln_post", 2 * hidden));
    Ok(out)
}

/// Qwen2.5-Omni's sound: Whisper's encoder without learned positions, two marks, a projection.
pub(super) fn qwen2_5_sound(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("d_model")?;
    let output = config.size_or("output_dim", text_hidden)?;
    let mut out = sound_layers(config, false)?;
    out.extend(dense("audio_tower.conv1.weight", hidden, config.size("num_mel_bins")?.saturating_mul(3)));
    out.extend(dense("audio_tower.conv2.weight", hidden, hidden.saturating_mul(3)));
    out.push(matrix("audio_tower.audio_bos_eos_token.weight", 2, output));
    out.extend(dense("audio_tower.proj.weight", output, hidden));
    Ok(out)
}

/// Qwen3-Omni's sound: three convolutions over the spectrum, Whisper's layers, two projections.
pub(super) fn qwen3_sound(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("d_model")?;
    let channels = config.size_or("downsample_hidden_size", 480)?;
    let output = config.size_or("output_dim", text_hidden)?;
    // Each convolution halves the bins.
    let bins = (0..3).fold(config.size("num_mel_bins")?, |bins, _| bins.div_ceil(2));
    let mut out = sound_layers(config, true)?;
    out.extend(dense("audio_tower.conv2d1.weight", channels, 9));
    out.extend(dense("audio_tower.conv2d2.weight", channels, channels.saturating_mul(9)));
    out.extend(dense("audio_tower.conv2d3.weight", channels, channels.saturating_mul(9)));
    out.push(matrix("audio_tower.conv_out.weight", hidden, channels.saturating_mul(bins)));
    out.extend(dense("audio_tower.proj1.weight", hidden, hidden));
    out.extend(dense("audio_tower.proj2.weight", output, hidden));
    Ok(out)
}

/// PaddleOCR-VL's images: SigLIP without a head, a norm and two layers over neighbours.
pub(super) fn paddleocr(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let joined = merged(hidden, config)?;
    let headless = siglip(config)?.into_iter().filter(|t| !t.name.contains("head"));
    let mut out: Vec<Tensor> = headless.collect();
    out.push(vector("projector.pre_norm", 2 * hidden));
    out.extend(dense("projector.linear_1.weight", joined, joined));
    out.extend(dense("projector.linear_2.weight", text_hidden, joined));
    Ok(out)
}

/// GOT-OCR 2's images, PP-Chart2Table's too: SAM's ViT with tables of relative positions, over the whole image in some
/// layers and over windows in the others; a neck, two convolutions that halve the side, a projection.
pub(super) fn got_ocr(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let (mut out, width) = sam_tower(config)?;
    out.extend(dense("multi_modal_projector.multimodal_projector.weight", text_hidden, width));
    Ok(out)
}

/// SAM's ViT with its neck and the two convolutions, and how wide its features are.
fn sam_tower(config: &Config) -> Result<(Vec<Tensor>, u64), Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let head = hidden / config.size("num_attention_heads")?;
    let channels = config.size_or("output_channels", 256)?;
    let layers = depth(config)?;
    let global = config.numbers("global_attn_indexes")?.map_or(4, |listed| listed.len() as u64).min(layers);
    let side = config.size("image_size")? / config.size("patch_size")?;
    let span = |side: u64| (4 * side).saturating_sub(2).saturating_mul(head);
    let relative = span(side)
        .saturating_mul(global)
        .saturating_add(span(config.size_or("window_size", 14)?).saturating_mul(layers - global));
    let has = |switch| config.bool_or(switch, true);
    let mut out = vec![
        matrix("vision_tower.patch_embed.projection.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_tower.patch_embed.projection.bias", hidden),
        matrix("vision_tower.neck.conv1.weight", channels, hidden),
        matrix("vision_tower.neck.conv2.weight", channels, channels.saturating_mul(9)),
        vector("vision_tower.neck.norms", 4 * channels),
        matrix("multi_modal_projector.conv_upsampler1.weight", 2 * channels, channels.saturating_mul(9)),
        matrix("multi_modal_projector.conv_upsampler2.weight", 4 * channels, channels.saturating_mul(18)),
    ];
    if has("use_abs_pos")? {
        out.push(matrix("vision_tower.pos_embed", side.saturating_mul(side), hidden));
    }
    if has("use_rel_pos")? {
        out.push(vector("vision_tower.layers.attn.rel_pos", relative));
    }
    let inner = config.size_of(&["mlp_dim", "intermediate_size"])?;
    // Biases of queries, keys and values are left out by themselves.
    let biases = (if has("qkv_bias")? { 4 * hidden } else { hidden }).saturating_add(inner + hidden);
    let vit = Encoder::vit(layers, hidden, inner);
    out.extend(Encoder { biased: false, vectors: biases.saturating_add(4 * hidden), ..vit }.tensors());
    Ok((out, 4 * channels))
}

/// Kimi K3's images: MoonViT with RMS norms and without biases, whose attention is wider than the model; neighbours side
/// by side through two layers and a norm. As the published checkpoint holds them.
pub(super) fn kimi_k3(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("vt_hidden_size")?;
    let width = config.size_or("qkv_hidden_size", hidden)?;
    let layers = config.size("vt_num_hidden_layers")?;
    let positions =
        config.size_or("init_pos_emb_height", 64)?.saturating_mul(config.size_or("init_pos_emb_width", 64)?);
    let joined =
        config.size_list("merge_kernel_size")?.iter().fold(hidden, |n, side| n.saturating_mul(*side));
    let mut out = vec![
        matrix("vision_tower.patch_embed.proj.weight", hidden, patch_pixels(config, "num_channels")?),
        matrix("vision_tower.patch_embed.pos_emb.weight", positions, hidden),
        vector("vision_tower.final_layernorm", hidden),
        matrix("mm_projector.proj.0.weight", joined, joined),
        matrix("mm_projector.proj.2.weight", text_hidden, joined),
        vector("mm_projector.post_norm", text_hidden),
    ];
    let each = [
        matrix("vision_tower.blocks.attention.weights", 4 * width, hidden),
        matrix("vision_tower.blocks.mlp.weights", 2 * config.size("vt_intermediate_size")?, hidden),
        vector("vision_tower.blocks.norms", 2 * hidden),
    ];
    out.extend(each.map(|t| Tensor { copies: layers, active_copies: layers, ..t }));
    Ok(out)
}

/// Unlimited-OCR's images: SAM's ViT, whose map goes through CLIP's layers in place of patches; both features side by
/// side through one layer, and two marks.
pub(super) fn unlimited_ocr(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let (sam, clip) = (config.sub("sam_config")?, config.sub("encoder_config")?);
    let (width, patches) = (clip.size("hidden_size")?, patches(&clip)?);
    let (mut out, _) = sam_tower(&sam)?;
    let layers = clip.size("num_hidden_layers")?;
    out.extend(Encoder::vit(layers, width, clip.size("intermediate_size")?).tensors());
    out.push(matrix("vision_tower.embeddings", patches + 2, width));
    out.push(vector("vision_tower.pre_layernorm", 2 * width));
    out.extend(dense("multi_modal_projector.weight", text_hidden, 2 * width));
    out.push(vector("image_marks", 2 * text_hidden));
    Ok(out)
}

/// Granite Docling's images: SigLIP without a head, and a connector with a coarse and a fine path, whose mergers take
/// features of earlier layers too.
pub(super) fn granite_docling(config: &Config, _: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let output = config.size_or("out_hidden_size", text_hidden)?;
    let scale = config.size_or("scale_factor", 4)?;
    let taps = config.numbers("deepstack_visual_indexes")?.map_or(0, |listed| listed.len() as u64);
    let mut out = super::siglip_layers(config)?;
    let fine = config.bool_or("use_fine_route", true)?.then_some((scale / 2).max(1));
    for side in [Some(scale), fine].into_iter().flatten() {
        let joined = hidden.saturating_mul(side.saturating_mul(side));
        out.push(matrix("connector.projection.weight", output, joined));
        let mergers = [
            vector("connector.deepstack_mergers.norm", joined.saturating_mul(2)),
            matrix("connector.deepstack_mergers.linear_1.weight", output, joined),
            matrix("connector.deepstack_mergers.linear_2.weight", output, output),
            vector("connector.deepstack_mergers.biases", 2 * output),
        ];
        out.extend(mergers.map(|t| Tensor { copies: taps, active_copies: taps, ..t }));
    }
    out.retain(|t| t.copies > 0);
    out.push(matrix("connector.mlp_fc2.weight", output, output));
    out.push(vector("connector.norms", 2 * hidden + 4 * output));
    Ok(out)
}

/// MOSS-Transcribe-Diarize's sound: Whisper's encoder; neighbours side by side through two layers and a norm.
pub(super) fn moss(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let inner = config.size("intermediate_size")?;
    let vit = Encoder::vit(config.size("num_hidden_layers")?, hidden, inner);
    // Norms, and biases of all but keys.
    let mut out = Encoder { biased: false, vectors: 8 * hidden + inner, ..vit }.tensors();
    out.extend(dense("audio_tower.conv1.weight", hidden, config.size("num_mel_bins")?.saturating_mul(3)));
    out.extend(dense("audio_tower.conv2.weight", hidden, hidden.saturating_mul(3)));
    out.push(matrix("audio_tower.embed_positions.weight", config.size("max_source_positions")?, hidden));
    out.push(vector("audio_tower.layer_norm", 2 * hidden));
    let joined = hidden.saturating_mul(wrapper.size_or("audio_merge_size", 4)?);
    out.extend(dense("multi_modal_projector.linear_1.weight", text_hidden, joined));
    out.extend(dense("multi_modal_projector.linear_2.weight", text_hidden, text_hidden));
    out.push(vector("multi_modal_projector.norm", 2 * text_hidden));
    Ok(out)
}

/// LFM3-VL's images: gated layers with RMS norms, whose tokens mix by a convolution over neighbours or by attention with
/// norms of query and key heads; a norm and two layers.
pub(super) fn lfm3(config: &Config, wrapper: &Config, text_hidden: u64) -> Tensors {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let head = hidden / heads;
    let keys = config.size_or("num_key_value_heads", heads)?.saturating_mul(head);
    let kernel = config.size_or("conv_kernel_size", 3)?;
    let layers = depth(config)?;
    let kinds = config.strings("layer_types")?;
    let attending = kinds.iter().filter(|kind| kind.contains("attention")).count() as u64;
    let pixels =
        patch_pixels(config, "in_channels")?.saturating_mul(config.size_or("temporal_patch_size", 2)?);
    let projected = wrapper.size_or("projector_hidden_size", 4096)?;
    let times = |t: Tensor, copies| Tensor { copies, active_copies: copies, ..t };
    let convolving = layers.saturating_sub(attending);
    let mut out = vec![
        matrix("vision_tower.patch_embed.weight", hidden, pixels),
        vector("vision_tower.embedding_norm.weight", hidden),
        times(matrix("vision_tower.layers.conv.weights", 4 * hidden, hidden), convolving),
        times(
            vector(
                "vision_tower.layers.conv.spatial_conv",
                hidden.saturating_mul(kernel.saturating_mul(kernel)),
            ),
            convolving,
        ),
        times(matrix("vision_tower.layers.self_attn.weights", 2 * hidden + 2 * keys, hidden), attending),
        times(vector("vision_tower.layers.self_attn.norms", 2 * head), attending),
        times(
            matrix("vision_tower.layers.feed_forward.weights", 3 * config.size("intermediate_size")?, hidden),
            layers,
        ),
        times(vector("vision_tower.layers.norms", 2 * hidden), layers),
        vector("multi_modal_projector.layer_norm", 2 * hidden),
    ];
    out.retain(|t| t.copies > 0);
    out.push(matrix("multi_modal_projector.linear_1.weight", projected, merged(hidden, config)?));
    out.push(matrix("multi_modal_projector.linear_2.weight", text_hidden, projected));
    if wrapper.bool_or("projector_bias", true)? {
        out.push(vector("multi_modal_projector.biases", projected + text_hidden));
    }
    Ok(out)
}

//! Image towers that many wrappers share: CLIP, SigLIP, InternViT, and the ones of Qwen2-VL and GLM-4V,
//! each with the projector of its wrapper.

use super::{Encoder, matrix, patch_pixels, patches, pixtral_layers, siglip, vector};
use crate::diagnostic::Diagnostic;
use crate::model::Tensor;
use crate::model::config::Config;

/// A linear layer with a bias.
fn linear(name: &'static str, outputs: u64, inputs: u64) -> [Tensor; 2] {
    [matrix(name, outputs, inputs), vector("multi_modal_projector.bias", outputs)]
}

/// `side × side` neighbours side by side.
fn merged(width: u64, side: u64) -> u64 {
    // Sizes that no tower has end as no count of its weights: what is made of them is checked there.
    width.saturating_mul(side.saturating_mul(side)).min(u64::MAX / 64)
}

/// CLIP (`CLIPVisionModel`): a class token and norms before and after the layers.
pub(super) fn clip(config: &Config) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let encoder = Encoder::vit(config.size("num_hidden_layers")?, hidden, config.size("intermediate_size")?);
    let mut out = vec![
        vector("vision_tower.class_embedding", hidden),
        matrix("vision_tower.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        matrix("vision_tower.position_embedding.weight", patches(config)? + 1, hidden),
        vector("vision_tower.layernorms", 4 * hidden),
    ];
    out.extend(encoder.tensors());
    Ok(out)
}

/// The tower that `model_type` names, in a wrapper that takes any; CLIP where it names none, as the wrapper's class has it.
fn named(config: &Config, wrapper: &Config) -> Result<Vec<Tensor>, Diagnostic> {
    match config.opt_str("model_type")? {
        None | Some("clip_vision_model" | "clip" | "mlcd" | "mlcd_vision_model") => clip(config),
        Some("pixtral") => pixtral_layers(config),
        Some(name) if name.starts_with("siglip") => siglip(config),
        // The wrapper's own name: the tower of its class.
        Some(name) if wrapper.opt_str("model_type")? == Some(name) => clip(config),
        Some(other) => Err(config
            .error("model_type", format!("the tensors of the tower `{other}` are not known"))
            .help("--scope text leaves the tower out")),
    }
}

/// LLaVA: CLIP, SigLIP or Pixtral's tower and two linear layers over the features of one or several layers; the later ones
/// with a vector that ends a line of patches, VipLLaVA with a norm.
pub(super) fn llava(config: &Config, wrapper: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let mut out = named(config, wrapper)?;
    let vip = wrapper.opt_str("model_type")? == Some("vipllava");
    let one = if vip { 5 } else { 1 };
    let sources = ["vision_feature_layer", "vision_feature_layers"].into_iter().find(|k| wrapper.is_list(k));
    let sources = sources.map_or(Ok(None), |key| wrapper.list(key))?.map_or(one, |list| list.len() as u64);
    let features = hidden.saturating_mul(sources);
    out.push(matrix("multi_modal_projector.linear_1.weight", text_hidden, features));
    out.push(matrix("multi_modal_projector.linear_2.weight", text_hidden, text_hidden));
    if wrapper.bool_or("multimodal_projector_bias", true)? {
        out.push(vector("multi_modal_projector.biases", 2 * text_hidden));
    }
    if vip {
        out.push(vector("multi_modal_projector.projector_layernorm", 2 * features));
    } else if wrapper.opt_str("model_type")? != Some("llava") {
        out.push(vector("image_newline", text_hidden));
    }
    Ok(out)
}

/// PaliGemma: SigLIP and one linear layer.
pub(super) fn paligemma(
    config: &Config,
    wrapper: &Config,
    text_hidden: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    let stated = wrapper.opt_size("projection_dim")?.or(config.opt_size("projection_dim")?);
    let output = stated.unwrap_or(text_hidden);
    let mut out = siglip(config)?;
    out.extend(linear("multi_modal_projector.linear.weight", output, config.size("hidden_size")?));
    Ok(out)
}

/// DeepSeek-VL: SigLIP and two linear layers.
pub(super) fn deepseek_vl(config: &Config, _: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let mut out = siglip(config)?;
    out.extend(linear("aligner.linear1.weight", text_hidden, config.size("hidden_size")?));
    out.extend(linear("aligner.linear2.weight", text_hidden, text_hidden));
    Ok(out)
}

/// Idefics3 and SmolVLM: SigLIP without pooling, and a projection of neighbouring patches.
pub(super) fn idefics3(
    config: &Config,
    wrapper: &Config,
    text_hidden: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    let mut out = siglip(config)?;
    let inputs = merged(config.size("hidden_size")?, wrapper.size_or("scale_factor", 2)?);
    out.push(matrix("connector.modality_projection.proj.weight", text_hidden, inputs));
    Ok(out)
}

/// InternVL's InternViT, by the names of Transformers or of its own repositories: a scale after attention and after the feed-forward layer, biases and norms of
/// queries and keys where its fields ask for them; and a norm and two linear layers.
pub(super) fn internvl(
    config: &Config,
    wrapper: &Config,
    text_hidden: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let inner = config.size("intermediate_size")?;
    let side = |key| match config.size_list(key)?.first() {
        Some(0) => Err(config.error(key, "at least 1, found 0")),
        side => Ok(side.copied().unwrap_or(1)),
    };
    let (image, patch) = (side("image_size")?, side("patch_size")?);
    let flag = |keys| Ok::<_, Diagnostic>(u64::from(config.bool_of(keys, false)?));
    let rms = config.opt_str("norm_type")? == Some("rms_norm");
    let norms = if rms { 2 } else { 4 };
    let per_layer = [
        norms,
        2,
        1,
        3 * flag(&["attention_bias", "qkv_bias"])?,
        2 * flag(&["use_qk_norm", "qk_normalization"])?,
    ];
    let vectors = hidden.saturating_mul(per_layer.iter().sum()).saturating_add(inner + hidden);
    let encoder =
        Encoder { biased: false, vectors, ..Encoder::vit(config.size("num_hidden_layers")?, hidden, inner) };
    let pixels = config.size_or("num_channels", 3)?.saturating_mul(patch.saturating_mul(patch));
    let positions = merged(1, image / patch) + 1;
    // 0.5 merges two by two patches.
    let ratio = wrapper.f64_or("downsample_ratio", 0.5)?;
    if !(0.01..=1.0).contains(&ratio) {
        return Err(wrapper.error("downsample_ratio", "expected a number between 0.01 and 1"));
    }
    let features = merged(hidden, (1.0 / ratio) as u64);
    let mut out = vec![
        vector("vision_tower.cls_token", hidden),
        matrix("vision_tower.patch_embeddings.projection.weight", hidden, pixels),
        vector("vision_tower.patch_embeddings.projection.bias", hidden),
        vector("multi_modal_projector.layer_norm", 2 * features),
    ];
    if config.bool_or("use_absolute_position_embeddings", true)? {
        out.push(matrix("vision_tower.position_embeddings", positions, hidden));
    }
    if !config.bool_or("use_mean_pooling", true)? {
        out.push(vector("vision_tower.layernorm", 2 * hidden));
    }
    out.extend(linear("multi_modal_projector.linear_1.weight", text_hidden, features));
    out.extend(linear("multi_modal_projector.linear_2.weight", text_hidden, text_hidden));
    out.extend(encoder.tensors());
    Ok(out)
}

/// The patches of pairs of frames and the merger of neighbours into the language model's width, as in
/// Qwen2-VL and Qwen2.5-VL; `norm` counts the elements of the merger's norm per channel.
pub(super) fn qwen_merger(
    config: &Config,
    hidden: u64,
    output: u64,
    norm: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    let pixels = patch_pixels(config, "in_channels")?.saturating_mul(config.size("temporal_patch_size")?);
    let inner = merged(hidden, config.size("spatial_merge_size")?);
    let mut out = vec![
        matrix("visual.patch_embed.proj.weight", hidden, pixels),
        vector("visual.merger.ln_q", hidden.saturating_mul(norm)),
    ];
    out.extend(linear("visual.merger.mlp.0.weight", inner, inner));
    out.extend(linear("visual.merger.mlp.2.weight", output, inner));
    Ok(out)
}

/// Qwen2-VL: a ViT of `embed_dim`; `hidden_size` is the language model's width.
pub(super) fn qwen2_vl(config: &Config, _: &Config, _: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("embed_dim")?;
    let inner = hidden as f64 * config.f64_or("mlp_ratio", 4.0)?;
    let mut out = qwen_merger(config, hidden, config.size("hidden_size")?, 2)?;
    out.extend(Encoder::vit(config.size("depth")?, hidden, inner as u64).tensors());
    Ok(out)
}

/// Qwen2.5-VL: RMS norms and a gated feed-forward layer.
pub(super) fn qwen2_5_vl(config: &Config, _: &Config, _: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let inner = config.size("intermediate_size")?;
    let mut out = qwen_merger(config, hidden, config.size("out_hidden_size")?, 1)?;
    let vit = Encoder::vit(config.size("depth")?, hidden, inner);
    out.extend(Encoder { gated: true, vectors: 2 * hidden, ..vit }.tensors());
    Ok(out)
}

/// GLM-4V: gated layers with RMS norms, a convolution over neighbouring patches, and a gated merger.
pub(super) fn glm4v(config: &Config, _: &Config, _: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let output = config.size("out_hidden_size")?;
    let context = config.size("intermediate_size")?;
    let biases = if config.bool_or("attention_bias", false)? { 3 * hidden } else { 0 };
    let encoder = Encoder {
        layers: config.size("depth")?,
        hidden,
        inner: output,
        gated: true,
        biased: false,
        vectors: 2 * hidden + biases,
        divided: true,
    };
    let pixels = patch_pixels(config, "in_channels")?.saturating_mul(config.size("temporal_patch_size")?);
    let mut out = vec![
        matrix("visual.embeddings.position_embedding.weight", patches(config)?, hidden),
        matrix("visual.patch_embed.proj.weight", hidden, pixels),
        vector("visual.patch_embed.proj.bias", hidden),
        vector("visual.layernorms", 2 * hidden),
        matrix("visual.merger.proj.weight", output, output),
        vector("visual.merger.post_projection_norm", 2 * output),
        matrix("visual.merger.mlp.weights", 3 * context, output),
    ];
    out.extend(linear(
        "visual.downsample.weight",
        output,
        merged(hidden, config.size("spatial_merge_size")?),
    ));
    out.extend(encoder.tensors());
    Ok(out)
}

/// A gated projection of neighbouring patches, as Cohere's models have it: up to `aligned`, half of which
/// gates the other half, and down to the language model's width.
fn cohere(config: &Config, wrapper: &Config, widths: (u64, u64)) -> Result<Vec<Tensor>, Diagnostic> {
    let (aligned, text_hidden) = widths;
    let inputs = merged(config.size("hidden_size")?, wrapper.size_or("downsample_factor", 2)?);
    let mut out = siglip(config)?;
    out.extend(linear("multi_modal_projector.linear_1.weight", aligned, inputs));
    out.extend(linear("multi_modal_projector.linear_2.weight", text_hidden, aligned / 2));
    Ok(out)
}

/// Command A Vision.
pub(super) fn cohere2_vision(
    config: &Config,
    wrapper: &Config,
    text_hidden: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    cohere(config, wrapper, (wrapper.size_or("alignment_intermediate_size", 36_864)?, text_hidden))
}

/// Aya Vision: with a norm before the projection, whose width is the language model's unless stated.
pub(super) fn aya_vision(
    config: &Config,
    wrapper: &Config,
    text_hidden: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    let aligned = wrapper.size_or("alignment_intermediate_size", text_hidden)?;
    let inputs = merged(config.size("hidden_size")?, wrapper.size_or("downsample_factor", 2)?);
    let mut out = cohere(config, wrapper, (aligned, text_hidden))?;
    out.push(vector("multi_modal_projector.layernorm", inputs.saturating_mul(2)));
    Ok(out)
}

/// MiniMax-M3: CLIP's layers over pairs of frames, two linear layers for each patch and two for neighbours.
pub(super) fn minimax_m3(
    config: &Config,
    wrapper: &Config,
    text_hidden: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    // The checkpoint's own file nests how patches are merged.
    let nested = config.opt_sub("img_token_compression_config")?;
    let merge = |key| match &nested {
        Some(nested) if nested.has(key) => nested.size(key),
        _ => config.size_or(key, 2),
    };
    let pixels = patch_pixels(config, "num_channels")?.saturating_mul(merge("temporal_patch_size")?);
    let inner = wrapper.size_or("projector_hidden_size", text_hidden)?;
    let side = merge("spatial_merge_size")?;
    let neighbours = wrapper.size_or("merged_hidden_size", merged(text_hidden, side))?;
    let encoder = Encoder::vit(config.size("num_hidden_layers")?, hidden, config.size("intermediate_size")?);
    let mut out = vec![
        matrix("vision_tower.embeddings.proj.weight", hidden, pixels),
        vector("vision_tower.pre_layrnorm", 2 * hidden),
    ];
    out.extend(linear("multi_modal_projector.linear_1.weight", inner, hidden));
    out.extend(linear("multi_modal_projector.linear_2.weight", text_hidden, inner));
    out.extend(linear("multi_modal_projector.merge_linear_1.weight", inner, neighbours));
    out.extend(linear("multi_modal_projector.merge_linear_2.weight", text_hidden, inner));
    out.extend(encoder.tensors());
    Ok(out)
}

/// LFM2-VL: SigLIP 2, whose positions are a square of `num_patches`, and a projection of neighbours.
pub(super) fn lfm2_vl(
    config: &Config,
    wrapper: &Config,
    text_hidden: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    let features = merged(config.size("hidden_size")?, wrapper.size_or("downsample_factor", 2)?);
    let inner = wrapper.size_or("projector_hidden_size", 2560)?;
    let mut out = siglip(config)?;
    out.push(matrix("multi_modal_projector.linear_1.weight", inner, features));
    out.push(matrix("multi_modal_projector.linear_2.weight", text_hidden, inner));
    if wrapper.bool_or("projector_bias", true)? {
        out.push(vector("multi_modal_projector.biases", inner + text_hidden));
    }
    if wrapper.bool_or("projector_use_layernorm", true)? {
        out.push(vector("multi_modal_projector.layer_norm", 2 * features));
    }
    Ok(out)
}

//! Vision and audio towers with their projectors, as tensors: they count and take memory, but have no
//! operators in the decoder's step. Sizes that a file leaves out come from `defaults.json`.

mod images;
mod named;
mod own;
pub(crate) mod table;

use crate::diagnostic::Diagnostic;
use crate::model::config::Config;
use crate::model::{Component, Images, Tensor};
pub(super) use named::named;

const PART: Component = Component::Other;

fn matrix(name: &'static str, rows: u64, columns: u64) -> Tensor {
    Tensor::matrix(name, rows, columns, PART)
}

fn vector(name: &'static str, length: u64) -> Tensor {
    Tensor::vector(name, length, PART)
}

/// Equal layers of a transformer encoder.
struct Encoder {
    layers: u64,
    hidden: u64,
    inner: u64,
    /// Whether a gate multiplies the feed-forward layer's up-projection.
    gated: bool,
    /// Whether attention and feed-forward layer have biases.
    biased: bool,
    /// Elements of norms and other vectors per layer.
    vectors: u64,
    /// Whether engines divide its layers over tensor-parallel ranks; those that take images of any size
    /// (Pixtral, MoonViT) stand whole on each (vLLM `model_executor/models/pixtral.py`, `moonvit.py`).
    divided: bool,
}

impl Encoder {
    /// With biases, no gate and two layer norms a layer, as in ViT.
    fn vit(layers: u64, hidden: u64, inner: u64) -> Encoder {
        Encoder { layers, hidden, inner, gated: false, biased: true, vectors: 4 * hidden, divided: true }
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (h, i) = (self.hidden, self.inner);
        let ups = if self.gated { 2 } else { 1 };
        let biases = if self.biased { 4 * h + ups * i + h } else { 0 };
        let over = |t: Tensor, units| if self.divided { t.split_over(units) } else { t };
        [
            over(matrix("vision_tower.layers.self_attn.weights", 4 * h, h), h),
            over(matrix("vision_tower.layers.mlp.ups", ups * i, h), i),
            over(matrix("vision_tower.layers.mlp.down", h, i), i),
            vector("vision_tower.layers.biases", biases),
            vector("vision_tower.layers.norms", self.vectors),
        ]
        .into_iter()
        .filter(|t| t.rows > 0)
        .map(|t| Tensor { copies: self.layers, active_copies: self.layers, ..t })
        .collect()
    }
}

/// Pixels of all channels in one patch.
fn patch_pixels(config: &Config, channels: &str) -> Result<u64, Diagnostic> {
    let patch = config.size("patch_size")?;
    Ok(config.size_or(channels, 3)?.saturating_mul(patch * patch))
}

/// Patches of a square image.
fn patches(config: &Config) -> Result<u64, Diagnostic> {
    let side = config.size("image_size")? / config.size("patch_size")?;
    Ok(side * side)
}

/// SigLIP (`SiglipVisionModel`), with its pooling head unless `vision_use_head` says no.
fn siglip(config: &Config) -> Result<Vec<Tensor>, Diagnostic> {
    let (hidden, inner) = (config.size("hidden_size")?, config.size("intermediate_size")?);
    let mut out = siglip_layers(config)?;
    if config.bool_or("vision_use_head", true)? {
        out.extend([
            vector("vision_tower.head.probe", hidden),
            matrix("vision_tower.head.attention.weights", 4 * hidden, hidden),
            vector("vision_tower.head.attention.biases", 4 * hidden),
            vector("vision_tower.head.layernorm", 2 * hidden),
            matrix("vision_tower.head.mlp.weights", 2 * inner, hidden),
            vector("vision_tower.head.mlp.biases", inner + hidden),
        ]);
    }
    Ok(out)
}

/// SigLIP without its pooling head.
fn siglip_layers(config: &Config) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    // SigLIP 2 states the number, where images may have any shape.
    let positions = match config.opt_size("num_patches")? {
        Some(positions) => positions,
        None => patches(config)?,
    };
    let encoder = Encoder::vit(config.size("num_hidden_layers")?, hidden, config.size("intermediate_size")?);
    let mut out = vec![
        matrix("vision_tower.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_tower.patch_embedding.bias", hidden),
        matrix("vision_tower.position_embedding.weight", positions, hidden),
        vector("vision_tower.post_layernorm", 2 * hidden),
    ];
    out.extend(encoder.tensors());
    Ok(out)
}

/// Fuyu's only layer for patches; its sizes stand beside the language model's configuration.
pub(super) fn fuyu(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let patch = config.size_or("patch_size", 30)?;
    let pixels = config.size_or("num_channels", 3)?.saturating_mul(patch.saturating_mul(patch));
    Ok(vec![
        matrix("vision_embed_tokens.weight", text_hidden, pixels),
        vector("vision_embed_tokens.bias", text_hidden),
    ])
}

/// Gemma 3: SigLIP, a norm and a projection (`Gemma3MultiModalProjector`).
pub(super) fn gemma3(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let mut out = siglip(config)?;
    out.push(vector("multi_modal_projector.mm_soft_emb_norm.weight", hidden));
    out.push(matrix("multi_modal_projector.mm_input_projection_weight", hidden, text_hidden));
    Ok(out)
}

/// Gemma 4's vision tower (`Gemma4VisionModel`): four norms a layer, query-key norms, positions by row
/// and column; and the projection to the text model.
pub(super) fn gemma4_vision(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let encoder = Encoder {
        layers: config.size("num_hidden_layers")?,
        hidden,
        inner: config.size("intermediate_size")?,
        gated: true,
        biased: false,
        vectors: 4 * hidden + 2 * config.size("head_dim")?,
        divided: true,
    };
    let mut out = vec![
        matrix("vision_tower.position_embedding_table", 2 * config.size("position_embedding_size")?, hidden),
        matrix("vision_tower.input_proj.weight", hidden, patch_pixels(config, "num_channels")?),
        matrix("embed_vision.embedding_projection.weight", text_hidden, hidden),
    ];
    out.extend(encoder.tensors());
    Ok(out)
}

/// Gemma 4's audio tower (`Gemma4AudioModel`), a conformer; and the projection to the text model.
pub(super) fn gemma4_audio(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let layers = config.size("num_hidden_layers")?;
    let channels = config.size_list("subsampling_conv_channels")?;
    let (first, second) = match channels[..] {
        [first, second] => (first, second),
        _ => return Err(config.error("subsampling_conv_channels", "expected two numbers")),
    };
    let head_dim = hidden / config.size("num_attention_heads")?;
    let output = config.size_or("output_proj_dims", 1536)?;
    // Two convolutions of stride 2 leave a quarter of 128 mel bins.
    let features = 128 / 4;
    let layer = [
        matrix("audio_tower.layers.feed_forward", 16 * hidden, hidden),
        matrix("audio_tower.layers.self_attn", 5 * hidden, hidden),
        matrix("audio_tower.layers.lconv1d", 3 * hidden, hidden),
        vector("audio_tower.layers.depthwise_conv1d", hidden * config.size("conv_kernel_size")?),
        vector("audio_tower.layers.per_dim_scale", head_dim),
        vector("audio_tower.layers.norms", 9 * hidden),
    ];
    let mut out = vec![
        matrix("audio_tower.subsample.layer0.conv.weight", first, 9),
        matrix("audio_tower.subsample.layer1.conv.weight", second, 9 * first),
        vector("audio_tower.subsample.norms", first + second),
        matrix("audio_tower.subsample.input_proj.weight", hidden, features * second),
        matrix("audio_tower.output_proj.weight", output, hidden),
        vector("audio_tower.output_proj.bias", output),
        matrix("embed_audio.embedding_projection.weight", text_hidden, output),
    ];
    out.extend(layer.map(|t| Tensor { copies: layers, active_copies: layers, ..t }));
    Ok(out)
}

/// The vision tower of Qwen3-VL and Qwen3.5: a ViT over pairs of frames, and mergers of neighbouring
/// patches, one more for each layer that `deepstack_visual_indexes` names.
pub(super) fn qwen3_vl(config: &Config, _: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let side = config.size("spatial_merge_size")?;
    let merged = hidden.saturating_mul(side * side);
    let output = config.size("out_hidden_size")?;
    let frames = config.size("temporal_patch_size")?;
    let deep = config.numbers("deepstack_visual_indexes")?.map_or(0, |layers| layers.len() as u64);
    let encoder = Encoder::vit(
        config.opt_size_of(&["depth", "num_hidden_layers"])?.unwrap_or(27),
        hidden,
        config.size("intermediate_size")?,
    );
    let pixels = patch_pixels(config, "in_channels")?.saturating_mul(frames);
    let mergers = [
        matrix("visual.merger.linear_fc1.weight", merged, merged),
        vector("visual.merger.linear_fc1.bias", merged),
        matrix("visual.merger.linear_fc2.weight", output, merged),
        vector("visual.merger.linear_fc2.bias", output),
    ];
    let mut out = vec![
        matrix("visual.patch_embed.proj.weight", hidden, pixels),
        vector("visual.patch_embed.proj.bias", hidden),
        matrix("visual.pos_embed.weight", config.size("num_position_embeddings")?, hidden),
        vector("visual.merger.norm", 2 * hidden),
        vector("visual.deepstack_merger_list.norm", (2 * merged).saturating_mul(deep)),
    ];
    out.extend(encoder.tensors());
    out.extend(mergers.map(|t| Tensor { copies: 1 + deep, active_copies: 1 + deep, ..t }));
    Ok(out)
}

/// MoonViT of Kimi-K2.5 and its projector.
pub(super) fn kimi_k25(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let size = |keys: &[&str], default| Ok(config.opt_size_of(keys)?.unwrap_or(default));
    let hidden = size(&["vt_hidden_size", "hidden_size"], 1152)?;
    let encoder = Encoder {
        divided: false,
        ..Encoder::vit(
            size(&["vt_num_hidden_layers", "num_hidden_layers"], 27)?,
            hidden,
            size(&["vt_intermediate_size", "intermediate_size"], 4304)?,
        )
    };
    let positions = size(&["init_pos_emb_height", "pos_emb_height"], 64)?
        * size(&["init_pos_emb_width", "pos_emb_width"], 64)?;
    let kernel = config.size_list("merge_kernel_size")?;
    let merged = kernel.iter().fold(hidden, |n, side| n.saturating_mul(*side));
    let mut out = vec![
        matrix("vision_tower.patch_embed.proj.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_tower.patch_embed.proj.bias", hidden),
        matrix("vision_tower.patch_embed.pos_emb", positions, hidden),
        vector("vision_tower.final_layernorm", 2 * hidden),
        vector("mm_projector.pre_norm", 2 * hidden),
        matrix("mm_projector.in_proj.weight", merged, merged),
        vector("mm_projector.in_proj.bias", merged),
        matrix("mm_projector.out_proj.weight", text_hidden, merged),
        vector("mm_projector.out_proj.bias", text_hidden),
    ];
    out.extend(encoder.tensors());
    Ok(out)
}

/// Pixtral's tower and the projector of Mistral-3; `wrapper` holds the projector's fields.
pub(super) fn pixtral(
    config: &Config,
    wrapper: &Config,
    text_hidden: u64,
) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let side = wrapper.size_or("spatial_merge_size", 2)?;
    let mut out = vec![
        vector("multi_modal_projector.norm.weight", hidden),
        matrix("multi_modal_projector.merging_layer.weight", hidden, hidden.saturating_mul(side * side)),
        matrix("multi_modal_projector.linear_1.weight", text_hidden, hidden),
        matrix("multi_modal_projector.linear_2.weight", text_hidden, text_hidden),
    ];
    if wrapper.bool_or("multimodal_projector_bias", false)? {
        out.push(vector("multi_modal_projector.biases", 2 * text_hidden));
    }
    out.extend(pixtral_layers(config)?);
    Ok(out)
}

/// Pixtral's tower alone.
fn pixtral_layers(config: &Config) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let encoder = Encoder {
        layers: config.size("num_hidden_layers")?,
        hidden,
        inner: config.size("intermediate_size")?,
        gated: true,
        biased: false,
        vectors: 2 * hidden,
        divided: false,
    };
    let mut out = vec![
        matrix("vision_tower.patch_conv.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_tower.ln_pre.weight", hidden),
    ];
    out.extend(encoder.tensors());
    Ok(out)
}

/// Llama 4's tower, its adapter and the projector.
pub(super) fn llama4(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let inner = config.size("intermediate_size")?;
    let encoder = Encoder::vit(config.size("num_hidden_layers")?, hidden, inner);
    let adapter = config.size_or("projector_input_dim", 4096)?;
    let output = config.size_or("vision_output_dim", 7680)?;
    let projected = config.opt_size_of(&["projector_output_dim"])?.unwrap_or(adapter);
    let mut out = vec![
        vector("vision_model.class_embedding", hidden),
        matrix("vision_model.positional_embedding_vlm", patches(config)? + 1, hidden),
        matrix("vision_model.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        vector("vision_model.layernorms", 4 * hidden),
        matrix("vision_model.vision_adapter.mlp.fc1.weight", adapter, inner),
        matrix("vision_model.vision_adapter.mlp.fc2.weight", projected, adapter),
        matrix("multi_modal_projector.linear_1.weight", text_hidden, output),
    ];
    out.extend(encoder.tensors());
    Ok(out)
}

/// Llama 3.2 Vision's tower: a ViT over tiles with embeddings for each aspect ratio, and gated layers over
/// all tiles; and the projector.
pub(super) fn mllama(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let inner = config.size("intermediate_size")?;
    let layers = config.size("num_hidden_layers")?.saturating_add(config.size("num_global_layers")?);
    let encoder =
        Encoder { biased: false, vectors: 5 * hidden + inner, ..Encoder::vit(layers, hidden, inner) };
    let tokens = patches(config)? + 1;
    let tiles = config.size("max_num_tiles")?;
    let ratios = config.list("supported_aspect_ratios")?.map_or(8, |ratios| ratios.len() as u64) + 1;
    let output = config.size("vision_output_dim")?;
    let tile = tokens.saturating_mul(hidden).saturating_mul(tiles);
    let mut out = vec![
        vector("vision_model.class_embedding", hidden),
        matrix("vision_model.patch_embedding.weight", hidden, patch_pixels(config, "num_channels")?),
        matrix("vision_model.gated_positional_embedding.embedding", tokens, hidden),
        matrix("vision_model.gated_positional_embedding.tile_embedding.weight", ratios, tile),
        matrix("vision_model.tile_positional_embeddings.weight", 2 * ratios, tiles * hidden),
        vector("vision_model.gates", 3 + 2 * config.size("num_global_layers")?),
        vector("vision_model.layernorms", 4 * hidden),
        matrix("multi_modal_projector.weight", text_hidden, output),
        vector("multi_modal_projector.bias", text_hidden),
    ];
    out.extend(encoder.tensors());
    Ok(out)
}

/// What Llama 3.2 Vision's tower computes for the largest image: all tiles, each with a class token.
pub(super) fn mllama_images(config: &Config) -> Option<Images> {
    let size = |key: &str, default| config.opt_size(key).ok().flatten().unwrap_or(default);
    let side = size("image_size", 560) / size("patch_size", 14).max(1);
    Some(Images {
        positions: size("max_num_tiles", 4).saturating_mul(side * side + 1),
        features: size("vision_output_dim", 7680),
    })
}

/// Phi-4-multimodal's image encoder: SigLIP with its pooling head, and projections.
pub(super) fn phi4_vision(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let mut out = siglip(config)?;
    out.extend([
        vector("image_embed.feature_extensors", 2 * hidden),
        matrix("image_embed.img_projection_up.weight", text_hidden, hidden),
        matrix("image_embed.img_projection_down.weight", text_hidden, text_hidden),
        vector("image_embed.img_projection.biases", 2 * text_hidden),
    ]);
    Ok(out)
}

/// Phi-4-multimodal's audio encoder, a conformer, and its two projections.
pub(super) fn phi4_audio(config: &Config, text_hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let hidden = config.size("hidden_size")?;
    let inner = config.size("intermediate_size")?;
    let blocks = config.size("num_blocks")?;
    let heads = config.size("num_attention_heads")?;
    let channels = config.size("nemo_conv_channels")?;
    let outer = config.size("ext_pw_out_channel")?;
    let separable = config.size("depthwise_separable_out_channel")?;
    let multiplier = config.size("depthwise_multiplier")?;
    let kernel = config.size("kernel_size")?;
    // Each factor of 2 in time is one convolution of stride 2; the features shrink with it.
    let features =
        channels.saturating_mul(config.size("input_size")?.div_ceil(config.size("time_reduction")?));
    let biases =
        config.size("bias_max_distance")? * if config.bool_or("bias_symmetric", false)? { 1 } else { 2 };
    let depthwise = hidden.saturating_mul(multiplier);
    let layer = [
        matrix("audio_embed.encoders.feed_forward", 6 * inner, hidden),
        vector("audio_embed.encoders.feed_forward.biases", 2 * (2 * inner + hidden)),
        matrix("audio_embed.encoders.self_attn", 4 * hidden, hidden),
        vector("audio_embed.encoders.self_attn.biases", 4 * hidden),
        matrix("audio_embed.encoders.conv.glu", 2 * outer, hidden),
        vector("audio_embed.encoders.conv.glu.biases", 2 * outer + 2 * outer),
        matrix("audio_embed.encoders.conv.dw_conv", depthwise, kernel),
        matrix("audio_embed.encoders.conv.pw_conv", separable, depthwise),
        matrix("audio_embed.encoders.conv.ext_pw_conv", outer, separable),
        vector("audio_embed.encoders.conv.biases", depthwise + separable + outer),
        vector("audio_embed.encoders.norms", 10 * hidden),
    ];
    let mut out = vec![
        matrix("audio_embed.embed.conv.depthwise", channels, 3 * 9),
        matrix("audio_embed.embed.conv.pointwise", 2 * channels, channels),
        vector("audio_embed.embed.conv.biases", 5 * channels),
        matrix("audio_embed.embed.out.weight", hidden, features),
        vector("audio_embed.embed.out.bias", hidden),
        matrix("audio_embed.relative_attention_bias", biases, heads),
        matrix("audio_embed.up_proj.weights", 2 * text_hidden, hidden),
        matrix("audio_embed.down_proj.weights", 2 * text_hidden, text_hidden),
        vector("audio_embed.projection.biases", 4 * text_hidden),
    ];
    out.extend(layer.map(|t| Tensor { copies: blocks, active_copies: blocks, ..t }));
    Ok(out)
}

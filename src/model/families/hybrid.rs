//! Mamba and Mamba-2, alone and beside attention: Jamba, Bamba, Falcon-H1, Granite-4, Nemotron-H.

use super::decoder::{Common, Decoder, Reading, layer_kinds};
use super::prediction::{prediction_layer, predictions};
use super::state::state_bytes;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::mixers::{Mamba, Mamba2};
use crate::model::blocks::{Biases, Block, Mlp, Moe, STATE_BYTES};
use crate::model::config::Config;
use crate::model::{Architecture, Scope};

/// A model of mixers alone: one norm a layer, no feed-forward layers.
fn mixers_only(common: &Common, mixer: &Block) -> Architecture {
    let layer = vec![common.norm("norm.weight"), mixer.clone()];
    common.decoder(vec![layer; common.layers as usize])
}

/// The rank of Mamba's step size: a number, or a sixteenth of the width, rounded up.
fn step_rank(config: &Config, key: &str, hidden: u64) -> Result<u64, Diagnostic> {
    match config.opt_str(key) {
        Ok(Some(_)) | Ok(None) => Ok(hidden.div_ceil(16)),
        Err(_) => config.size(key),
    }
}

/// Mamba, and Falcon-Mamba, whose additional norms hold no weights. `intermediate_size` goes before
/// `expand`, which Falcon-Mamba's files have wrong.
pub(super) fn mamba(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let common = Common::without_attention(config)?;
    let hidden = common.hidden;
    let inner = match config.opt_size_of(&["intermediate_size", "d_inner"])? {
        Some(inner) => inner,
        None => config.size_or("expand", 2)? * hidden,
    };
    let mixer = Mamba {
        hidden,
        inner,
        state: config.size_or("state_size", 16)?,
        kernel: config.size_or("conv_kernel", 4)?,
        step_rank: step_rank(config, "time_step_rank", hidden)?,
        bias: config.bool_or("use_bias", false)?,
        convolution_bias: config.bool_or("use_conv_bias", true)?,
        inner_norms: false,
    };
    Ok(mixers_only(&common, &Block::Recurrent(mixer.into())))
}

/// Mamba-2.
pub(super) fn mamba2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let common = Common::without_attention(config)?;
    let bias = config.bool_or("use_bias", false)?;
    let mixer = Mamba2 {
        hidden: common.hidden,
        heads: config.size_or("num_heads", 128)?,
        head_dim: config.size_or("head_dim", 64)?,
        groups: config.size_or("n_groups", 8)?,
        state: config.size_or("state_size", 128)?,
        kernel: config.size_or("conv_kernel", 4)?,
        in_bias: bias,
        out_bias: bias,
        convolution_bias: config.bool_or("use_conv_bias", true)?,
        norm: true,
        state_bytes: STATE_BYTES,
    };
    Ok(mixers_only(&common, &Block::Recurrent(mixer.into())))
}

/// The Mamba-2 mixer of Bamba, Granite-4 and Falcon-H1: `mamba_d_head` may be `auto`.
fn prefixed_mamba2(config: &Config, hidden: u64) -> Result<Mamba2, Diagnostic> {
    let heads = config.size_or("mamba_n_heads", 128)?;
    let bias = config.bool_or("mamba_proj_bias", false)?;
    let head_dim = match config.opt_str("mamba_d_head") {
        Ok(_) => config.size_or("mamba_expand", 2)? * hidden / heads,
        Err(_) => config.size("mamba_d_head")?,
    };
    Ok(Mamba2 {
        hidden,
        heads,
        head_dim,
        groups: config.size_or("mamba_n_groups", 1)?,
        state: config.size_or("mamba_d_state", 256)?,
        kernel: config.size_or("mamba_d_conv", 4)?,
        in_bias: bias,
        out_bias: bias,
        convolution_bias: config.bool_or("mamba_conv_bias", true)?,
        norm: true,
        state_bytes: STATE_BYTES,
    })
}

/// Jamba: Mamba with attention in one layer of `attn_layer_period`, experts in one of
/// `expert_layer_period`.
pub(super) fn jamba(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases = Biases::NONE;
    let hidden = decoder.common.hidden;
    let mixer = Mamba {
        hidden,
        inner: config.size_or("mamba_expand", 2)? * hidden,
        state: config.size_or("mamba_d_state", 16)?,
        kernel: config.size_or("mamba_d_conv", 4)?,
        step_rank: step_rank(config, "mamba_dt_rank", hidden)?,
        bias: config.bool_or("mamba_proj_bias", false)?,
        convolution_bias: config.bool_or("mamba_conv_bias", true)?,
        inner_norms: true,
    };
    let period = config.size_or("attn_layer_period", 8)? as usize;
    let offset = config.opt_u64("attn_layer_offset")?.unwrap_or(4) as usize;
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let attends = i % period == offset;
        let mixer = if attends { decoder.attention_of(i) } else { Block::Recurrent(mixer.into()) };
        decoder.layer_with(i, vec![mixer])
    });
    Ok(decoder.finish(layers.collect()))
}

/// Bamba: Mamba-2 with attention in the layers that `attn_layer_indices` names.
pub(super) fn bamba(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let mixer = prefixed_mamba2(config, decoder.common.hidden)?;
    let attending = config.numbers("attn_layer_indices")?.unwrap_or_default();
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let attends = attending.contains(&(i as u64));
        let mixer = if attends { decoder.attention_of(i) } else { Block::Recurrent(mixer.into()) };
        decoder.layer_with(i, vec![mixer])
    });
    Ok(decoder.finish(layers.collect()))
}

/// Falcon-H1: attention and Mamba-2 side by side in every layer.
pub(super) fn falcon_h1(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let hidden = decoder.common.hidden;
    let mut mixer = prefixed_mamba2(config, hidden)?;
    let inner = match config.opt_size_of(&["mamba_d_ssm"])? {
        Some(inner) => inner,
        None => config.size_or("mamba_expand", 2)? * hidden,
    };
    mixer.head_dim = inner / mixer.heads;
    if mixer.head_dim == 0 {
        return Err(config.error("mamba_n_heads", format!("more heads than the {inner} inner channels")));
    }
    mixer.norm = config.bool_or("mamba_rms_norm", false)?;
    mixer.out_bias = config.bool_or("projectors_bias", false)?;
    let layers = (0..decoder.common.layers as usize)
        .map(|i| decoder.layer_with(i, vec![decoder.attention_of(i), Block::Recurrent(mixer.into())]));
    Ok(decoder.finish(layers.collect()))
}

/// Granite-4: Mamba-2 or attention as `layer_types` says; a shared feed-forward layer, and experts
/// where there are any.
pub(super) fn granite(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let hidden = decoder.common.hidden;
    let mixer = prefixed_mamba2(config, hidden)?;
    if decoder.moe.is_none() {
        decoder.mlp = Mlp::gated(hidden, config.size_or("shared_intermediate_size", 1024)?);
    }
    let kinds = layer_kinds(config, decoder.common.layers)?.unwrap_or_default();
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let attends = kinds.get(i).is_some_and(|kind| kind.contains("attention") && !kind.contains("linear"));
        let mixer = if attends { decoder.attention_of(i) } else { Block::Recurrent(mixer.into()) };
        decoder.layer_with(i, vec![mixer])
    });
    Ok(decoder.finish(layers.collect()))
}

/// What stands in one layer of Nemotron-H.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Mamba,
    Attention,
    Mlp,
    Experts,
}

/// Nemotron-H and Nemotron-3: each layer has one norm and one part; the pattern is written as letters or
/// listed.
pub(super) fn nemotron_h(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let parts = nemotron_parts(config)?;
    // Files from before there were experts say nothing of them.
    let has_experts = parts.contains(&Part::Experts);
    let sizes = if has_experts { config.clone() } else { config.clone().lenient() };
    let mut decoder = Decoder::read_as(
        &sizes,
        Reading { layers: Some(parts.len() as u64), four_times: true, own_experts: false },
    )?;
    if !has_experts {
        for key in ["hidden_size", "num_attention_heads", "vocab_size"] {
            config.size(key)?;
        }
    }
    // A number beside the pattern is how long that is: a part of a pattern would be another model.
    let stated = config.opt_size("num_hidden_layers")?.filter(|n| *n != parts.len() as u64);
    if let Some(layers) = stated {
        let cause = format!("a pattern of {} layers for {layers}", parts.len());
        return Err(config.error("hybrid_override_pattern", cause));
    }
    // The class never ties the head, whatever the file says.
    decoder.common.tied = false;
    decoder.attention.biases = Biases::NONE;
    decoder.mlp.gated = false;
    let bias = config.bool_or("mlp_bias", false)?;
    (decoder.mlp.up_bias, decoder.mlp.down_bias) = (bias, bias);
    let mixer = nemotron_mixer(config, decoder.common.hidden)?;
    let moe = decoder.moe.take().map(|moe| nemotron_experts(config, moe)).transpose()?;
    let mut layers = Vec::with_capacity(parts.len());
    for (i, part) in parts.into_iter().enumerate() {
        let block = match (part, &moe) {
            (Part::Mamba, _) => Block::Recurrent(mixer.into()),
            (Part::Attention, _) => decoder.attention_of(i),
            (Part::Mlp, _) => Block::Mlp(decoder.mlp.clone()),
            (Part::Experts, Some(moe)) => Block::Moe(moe.clone()),
            (Part::Experts, None) => {
                return Err(config.error("n_routed_experts", "the pattern has layers of experts"));
            }
        };
        layers.push(vec![decoder.common.norm("norm.weight"), block]);
    }
    let mut architecture = decoder.finish(layers);
    architecture.mtp = nemotron_prediction(config, &decoder, moe.as_ref())?;
    Ok(architecture)
}

/// The layers that predict a second token (Nemotron-3 Super and Ultra, vLLM `models/nemotron_h_mtp.py`): those of a pattern
/// of their own, attention and experts, behind norms of both inputs and what joins them.
fn nemotron_prediction(
    config: &Config,
    decoder: &Decoder,
    moe: Option<&Moe>,
) -> Result<Vec<Block>, Diagnostic> {
    let c = &decoder.common;
    let mut blocks = Vec::new();
    let listed = config.strings("mtp_layers_block_type")?;
    let pattern = config.opt_str("mtp_hybrid_override_pattern")?.unwrap_or_default();
    let parts: Vec<&str> = match listed.is_empty() {
        true => pattern.split("").filter(|part| !part.is_empty()).collect(),
        false => listed.iter().map(String::as_str).collect(),
    };
    let count = if parts.is_empty() { 0 } else { predictions(config, c.layers)? };
    for _ in 0..count {
        let mut layer = Vec::new();
        for part in &parts {
            let block = match (*part, moe) {
                ("*" | "attention" | "full_attention", _) => decoder.attention_of(0),
                ("E" | "moe", Some(moe)) => Block::Moe(moe.clone()),
                ("-" | "mlp", _) => Block::Mlp(decoder.mlp.clone()),
                _ => {
                    let cause = format!("`{part}` does not stand in a prediction layer");
                    let key = if listed.is_empty() {
                        "mtp_hybrid_override_pattern"
                    } else {
                        "mtp_layers_block_type"
                    };
                    return Err(config.error(key, cause));
                }
            };
            layer.extend([c.norm("norm.weight"), block]);
        }
        blocks.extend(prediction_layer(c.hidden, layer));
    }
    Ok(blocks)
}

/// The pattern, one part per layer.
fn nemotron_parts(config: &Config) -> Result<Vec<Part>, Diagnostic> {
    let listed = [config.strings("layers_block_type")?, config.strings("layer_types")?].concat();
    let pattern = config.opt_str("hybrid_override_pattern")?;
    let parts: Option<Vec<Part>> = match pattern {
        Some(pattern) if listed.is_empty() => pattern
            .chars()
            .filter(|c| *c != '|')
            .map(|c| match c {
                'M' => Some(Part::Mamba),
                '*' => Some(Part::Attention),
                '-' => Some(Part::Mlp),
                'E' => Some(Part::Experts),
                _ => None,
            })
            .collect(),
        // The class's own default, four layers, is no model.
        _ if listed.is_empty() => {
            let help = "write one letter for each layer: M, *, - or E";
            return Err(config
                .error("hybrid_override_pattern", "missing, and no layers are listed")
                .help(help));
        }
        _ => listed
            .iter()
            .map(|kind| match kind.as_str() {
                "linear_attention" | "mamba" => Some(Part::Mamba),
                "full_attention" | "attention" => Some(Part::Attention),
                "mlp" => Some(Part::Mlp),
                "moe" => Some(Part::Experts),
                _ => None,
            })
            .collect(),
    };
    match parts {
        Some(parts) if parts.len() as u64 <= crate::model::MAX_LAYERS => Ok(parts),
        Some(_) => Err(config.error("hybrid_override_pattern", "too many layers")),
        None => Err(config
            .error("hybrid_override_pattern", "an unknown part")
            .help("M (Mamba), * (attention), - (feed-forward), E (experts)")),
    }
}

fn nemotron_mixer(config: &Config, hidden: u64) -> Result<Mamba2, Diagnostic> {
    let bias = config.bool_or("use_bias", false)?;
    Ok(Mamba2 {
        hidden,
        heads: config.size_or("mamba_num_heads", 128)?,
        head_dim: config.size_or("mamba_head_dim", 64)?,
        groups: config.opt_size_of(&["mamba_n_groups", "n_groups"])?.unwrap_or(8),
        state: config.size_or("ssm_state_size", 128)?,
        kernel: config.opt_size_of(&["mamba_d_conv", "conv_kernel"])?.unwrap_or(4),
        in_bias: bias,
        out_bias: bias,
        convolution_bias: config.bool_of(&["mamba_conv_bias", "use_conv_bias"], true)?,
        norm: true,
        // In 32 bits where the file does not say (vLLM `models/config.py`, `NemotronHForCausalLMConfig`).
        state_bytes: state_bytes(config, "mamba_ssm_cache_dtype", 4)?,
    })
}

/// Ungated experts, which may work on a narrower latent; the shared expert has a width of its own.
fn nemotron_experts(config: &Config, mut moe: Moe) -> Result<Moe, Diagnostic> {
    let bias = config.bool_or("mlp_bias", false)?;
    moe.gated = false;
    moe.latent = config.opt_size_of(&["moe_latent_size"])?;
    moe.latent_bias = bias;
    if let Some(shared) = &mut moe.shared {
        shared.mlp = Mlp { gated: false, up_bias: bias, down_bias: bias, ..shared.mlp.clone() };
    }
    Ok(moe)
}

/// Zamba and Zamba2 share one transformer block among many layers; its first user holds the weights.
pub(super) fn reuse(blocks: Vec<Block>, first: bool) -> Vec<Block> {
    if first { blocks } else { blocks.into_iter().map(|b| Block::Reused(Box::new(b))).collect() }
}

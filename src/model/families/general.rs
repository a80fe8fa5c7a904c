//! The rules for unknown types: what the fields of a configuration give away.

use super::decoder::{Decoder, INNER, NormKind, Reading, TIED};
use super::experts::refuse_lists;
use super::{deepseek, hybrid, linear};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::Block;
use crate::model::config::Config;
use crate::model::{Architecture, Scope};

/// Fields that only layer norms with biases come with; RMS norms have `rms_norm_eps`.
const LAYER_NORM: &[&str] = &["layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon", "norm_epsilon"];

/// What the fields of an unknown type say about its blocks.
fn shaped(config: &Config, scope: Scope) -> Result<Option<Architecture>, Diagnostic> {
    let has = |keys: &[&str]| keys.iter().all(|key| config.has(key));
    Ok(Some(if has(&["kv_lora_rank", "linear_num_heads"]) || has(&["kv_lora_rank", "linear_attn_config"]) {
        linear::kimi_linear(config, scope)?
    } else if has(&["kv_lora_rank", "qk_rope_head_dim", "index_n_heads", "index_head_dim"]) {
        deepseek::glm5(config, scope)?
    } else if has(&["kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim"]) {
        deepseek::read(config, scope)?
    } else if has(&["linear_num_key_heads", "linear_num_value_heads", "linear_conv_kernel_dim"]) {
        linear::qwen3_next(config, scope)?
    } else if has(&["hybrid_override_pattern", "mamba_num_heads"]) {
        hybrid::nemotron_h(config, scope)?
    } else if has(&["mamba_n_heads", "mamba_d_state", "layer_types"]) {
        hybrid::granite(config, scope)?
    } else if has(&["mamba_d_state", "attn_layer_period"]) {
        hybrid::jamba(config, scope)?
    } else if has(&["conv_L_cache", "layer_types"]) && !config.has("num_experts") {
        linear::lfm2(config, scope)?
    } else {
        return Ok(None);
    }))
}

/// A decoder whose norms, gates and biases are guessed from the norm's and the activation's names.
fn guessed(config: &Config) -> Result<Decoder, Diagnostic> {
    let mut decoder = Decoder::read_as(config, Reading { four_times: true, ..Reading::default() })?;
    let classic = LAYER_NORM.iter().any(|key| config.has(key)) && !config.has("rms_norm_eps");
    if classic {
        decoder.common.norms = NormKind::WeightAndBias;
    }
    let mut activation = "silu";
    for key in ["hidden_act", "activation_function", "hidden_activation", "activation"] {
        activation = config.opt_str(key).ok().flatten().unwrap_or(activation);
    }
    let plain = matches!(activation, "relu" | "relu2" | "gelu_new" | "gelu_fast");
    if plain || classic && activation.starts_with("gelu") {
        decoder.mlp.gated = false;
    }
    Ok(decoder)
}

/// An unknown type: the blocks that its fields give away, else dense or mixture, by the field names that
/// most families share.
pub(super) fn read(config: &Config, scope: Scope) -> Result<Architecture, Diagnostic> {
    let (mut architecture, assumed_inner) = match shaped(config, scope)? {
        Some(architecture) => (architecture, false),
        None => {
            refuse_lists(config)?;
            let decoder = guessed(config)?;
            (decoder.build(), config.opt_size_of(INNER)?.is_none() && decoder.moe.is_none())
        }
    };
    let mut tied = TIED.iter().any(|key| config.has(key));
    for block in &mut architecture.after {
        if let Block::Head(head) = block
            && !tied
        {
            (head.tied, tied) = (true, true);
            architecture.notes.push(
                "no `tie_word_embeddings` given: tied, as the base class of all configurations has it, so \
                 that files leave it out only then"
                    .into(),
            );
        }
    }
    architecture.notes.push(
        "unknown model_type: read by the general rules (norms before attention and feed-forward, rotary \
         positions, biases and query-key norms only where fields ask for them); counts may differ from the \
         real model"
            .into(),
    );
    if assumed_inner {
        architecture.notes.push("no inner width of the feed-forward layer given: 4 × hidden assumed".into());
    }
    Ok(architecture)
}

//! A decoder that a person describes key by key (`--shape`): whatever is not said is as in Llama.

use super::decoder::{Decoder, NormKind, positions};
use super::deepseek::latent;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Block, LatentAttention};
use crate::model::config::Config;
use crate::model::{Architecture, Scope};

/// Reads the fields that [`super::super::SHAPE_KEYS`] stand for.
pub(super) fn read(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let bias = config.bool_or("use_bias", false)?;
    let gated = config.bool_or("gated_mlp", true)?;
    if config.bool_or("layer_norm", false)? {
        decoder.common.norms = NormKind::WeightAndBias;
    }
    decoder.mlp.gated = gated;
    if let Some(moe) = &mut decoder.moe {
        (moe.gated, moe.expert_bias) = (gated, bias);
        if let Some(shared) = &mut moe.shared {
            (shared.mlp.gated, shared.mlp.up_bias, shared.mlp.down_bias) = (gated, bias, bias);
        }
    }
    let latent = match config.opt_size("kv_lora_rank")? {
        Some(_) => Some(LatentAttention { bias, ..latent(config, &decoder)? }),
        None => None,
    };
    let mixer = |i: usize| match &latent {
        Some(latent) => Block::Latent(latent.clone()),
        None => decoder.attention_of(i),
    };
    let layers = (0..decoder.common.layers as usize).map(|i| decoder.layer_with(i, vec![mixer(i)]));
    let mut architecture = decoder.finish(layers.collect());
    if let Some(count) = config.opt_size("learned_positions")? {
        architecture.before.push(positions(count, decoder.common.hidden));
    }
    Ok(architecture)
}

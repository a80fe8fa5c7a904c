//! Layers for multi-token prediction.

use super::decoder::{Decoder, extra};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Block, Norm};
use crate::model::config::Config;
use crate::model::{Component, Tensor};

/// How many multi-token-prediction layers a configuration asks for.
pub(super) fn predictions(config: &Config, layers: u64) -> Result<u64, Diagnostic> {
    predictions_or(config, layers, 0)
}

/// The same, or `default` where no field says.
pub(super) fn predictions_or(config: &Config, layers: u64, default: u64) -> Result<u64, Diagnostic> {
    for key in ["num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers"] {
        match config.opt_u64(key)? {
            Some(n) if n > layers => return Err(config.error(key, "more prediction layers than layers")),
            Some(n) => return Ok(n),
            None => {}
        }
    }
    Ok(default)
}

/// One multi-token-prediction module (DeepSeek-V3, arXiv:2412.19437 §2.2): one more layer, a projection
/// of `2 · hidden` to `hidden`, and norms of the embedding, the hidden state and the output.
pub(super) fn prediction_layer(hidden: u64, layer: Vec<Block>) -> Vec<Block> {
    let mut blocks = joining_layer(hidden, layer);
    blocks.insert(2, Block::Norm(Norm::rms("shared_head.norm.weight", hidden)));
    blocks
}

/// The same without a norm of the output.
fn joining_layer(hidden: u64, layer: Vec<Block>) -> Vec<Block> {
    let projection = Tensor::matrix("eh_proj.weight", hidden, 2 * hidden, Component::Other);
    let mut blocks = vec![
        Block::Norm(Norm::rms("enorm.weight", hidden)),
        Block::Norm(Norm::rms("hnorm.weight", hidden)),
        extra(vec![projection]),
    ];
    blocks.extend(layer);
    blocks
}

/// What the one more layer of a prediction module is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Predicting {
    /// As the last of the decoder.
    Last,
    /// As the last, with the dense feed-forward layer (K-EXAONE: vLLM `exaone_moe_mtp.py`, `is_mtp`).
    Dense,
    /// The same without a norm of the output (ERNIE 4.5: vLLM `ernie_mtp.py`).
    DenseWithoutNorm,
}

/// The prediction layers that a configuration asks for, of a decoder whose layers attend in the ordinary way.
pub(super) fn predicting(
    config: &Config,
    decoder: &Decoder,
    as_what: Predicting,
) -> Result<Vec<Block>, Diagnostic> {
    let (hidden, last) = (decoder.common.hidden, decoder.common.layers as usize - 1);
    let mut own = decoder.clone();
    if as_what != Predicting::Last {
        own.sparse.fill(false);
    }
    let mut blocks = Vec::new();
    for _ in 0..predictions(config, decoder.common.layers)? {
        let layer = own.layer_with(last, vec![own.attention_of(last)]);
        blocks.extend(match as_what {
            Predicting::DenseWithoutNorm => joining_layer(hidden, layer),
            _ => prediction_layer(hidden, layer),
        });
    }
    Ok(blocks)
}

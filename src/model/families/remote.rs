//! Families whose modelling code is in their own repositories, read through vLLM's implementations:
//! Bailing (Ling, Ring), JAIS-1, Phi-3-small, MiMo-7B, Ouro and Step-3.

use super::decoder::{Decoder, NormKind, Order, Reading, extra};
use super::gated::{enumerated, step_experts};
use super::prediction::{Predicting, predicting};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Biases, Block, Queries};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// Ling and Ring of the Bailing family (`bailing_moe.py`): biases where `use_bias` and `use_qkv_bias`
/// say, query-key norms where `use_qk_norm` says.
pub(super) fn bailing_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let all = config.bool_or("use_bias", false)?;
    let qkv = all || config.bool_or("use_qkv_bias", false)?;
    decoder.attention.biases = Biases::qkv_o(qkv, all);
    if let Some(shared) = decoder.moe.as_mut().and_then(|moe| moe.shared.as_mut()) {
        (shared.mlp.up_bias, shared.mlp.down_bias) = (all, all);
    }
    let mut architecture = decoder.build();
    architecture.mtp = predicting(config, &decoder, Predicting::Last)?;
    Ok(architecture)
}

/// JAIS-1 (`jais.py`): GPT-2 with a gated feed-forward layer where the activation is SwiGLU, and learned
/// positions unless they are linear biases.
pub(super) fn jais(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.common.norms = NormKind::WeightAndBias;
    decoder.attention.biases = Biases::qkv_o(true, true);
    decoder.mlp.gated = config.opt_str("activation_function")? == Some("swiglu");
    (decoder.mlp.up_bias, decoder.mlp.down_bias) = (true, true);
    decoder.common.tied = config.bool_or("tie_word_embeddings", true)?;
    let mut architecture = decoder.build();
    if config.opt_str("position_embedding_type")? != Some("alibi") {
        let count = decoder.common.max_context.unwrap_or(1024);
        architecture.before.push(super::decoder::positions(count, decoder.common.hidden));
    }
    Ok(architecture)
}

/// Phi-3-small: biases everywhere, layer norms, `ff_intermediate_size`.
pub(super) fn phi3small(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read_as(config, Reading { four_times: true, ..Reading::default() })?;
    decoder.common.norms = NormKind::WeightAndBias;
    let bias = config.bool_or("attention_bias", true)?;
    decoder.attention.biases = Biases::qkv_o(bias, bias);
    decoder.mlp.inner = config.size("ff_intermediate_size")?;
    (decoder.mlp.up_bias, decoder.mlp.down_bias) = (true, true);
    decoder.common.tied = config.bool_or("tie_word_embeddings", true)?;
    Ok(decoder.build())
}

/// MiMo-7B (`mimo.py`, `mimo_mtp.py`): Qwen2 and a layer that predicts one more token.
pub(super) fn mimo(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let bias = config.bool_or("attention_bias", true)?;
    decoder.attention.biases = Biases::qkv_o(bias, false);
    let mut architecture = decoder.build();
    architecture.mtp = predicting(config, &decoder, Predicting::Last)?;
    Ok(architecture)
}

/// Ouro (`ouro.py`): norms before and after; every token passes the layers several times with caches of
/// their own, and a gate decides when to stop.
pub(super) fn ouro(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    let steps = config.size_or("total_ut_steps", 4)?;
    if steps > 64 || steps * decoder.common.layers > crate::model::MAX_LAYERS {
        return Err(config.error("total_ut_steps", "too many passes through the layers"));
    }
    let mut architecture = decoder.build();
    for layer in &mut architecture.layers {
        let again: Vec<Block> = layer.iter().cloned().map(|block| Block::Reused(Box::new(block))).collect();
        for _ in 1..steps {
            layer.extend(again.iter().cloned());
        }
    }
    let gate = Tensor::matrix("early_exit_gate.weight", 1, decoder.common.hidden, Component::Other);
    let bias = Tensor::vector("early_exit_gate.bias", 1, Component::Other);
    architecture.after.insert(0, extra(vec![gate, bias]));
    Ok(architecture)
}

/// Step-3 (`step3_text.py`): queries through a shared latent with a norm (multi-matrix factorisation
/// attention), one key-value head, experts from the second layer on.
pub(super) fn step3(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.moe = Some(step_experts(config, &decoder)?);
    decoder.sparse = enumerated(config, &decoder, 1)?;
    let c = &decoder.common;
    let rank = config.opt_size_of(&["share_q_dim"])?.unwrap_or(c.head_dim);
    let queries = Queries::LowRank(rank);
    decoder.attention = Attention { queries, ..Attention::new(c.hidden, c.heads, 1, c.head_dim) };
    Ok(decoder.build())
}

//! DeepSeek-V2 and V3, Kimi-K2: latent attention, dense first layers, shared experts, MTP layers.

use super::general::Common;
use super::mixture::top_k;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Block, Extra, LatentAttention, Mlp, Moe, Norm, SharedExpert};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// Reads a configuration of the family.
pub(super) fn read(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let rope_dim = config.size("qk_rope_head_dim")?;
    let nope_dim = config.size("qk_nope_head_dim")?;
    let hidden = config.size("hidden_size")?;
    let c = Common {
        hidden,
        layers: config.layer_count(&["num_hidden_layers"])?,
        heads: config.size("num_attention_heads")?,
        kv_heads: config.size("num_attention_heads")?,
        head_dim: nope_dim + rope_dim,
        vocabulary: config.size("vocab_size")?,
        max_context: config.opt_size("max_position_embeddings")?,
        tied: config.bool_or("tie_word_embeddings", false)?,
    };
    let attention = LatentAttention {
        hidden,
        heads: c.heads,
        q_rank: config.opt_size_of(&["q_lora_rank"])?,
        kv_rank: config.size("kv_lora_rank")?,
        nope_dim,
        rope_dim,
        v_dim: config.size("v_head_dim")?,
        bias: config.bool_or("attention_bias", false)?,
    };
    let dense = Mlp::gated(hidden, config.size("intermediate_size")?);
    let moe = experts(config, hidden)?;
    let first_sparse = config.opt_u64("first_k_dense_replace")?.unwrap_or(0);
    let every = config.size_or("moe_layer_freq", 1)?;
    let ffn = |i: u64| match &moe {
        Some(moe) if i >= first_sparse && i.is_multiple_of(every) => Block::Moe(moe.clone()),
        _ => Block::Mlp(dense.clone()),
    };
    let layer = |i| c.pre_norm_layer(Block::Latent(attention.clone()), ffn(i));
    let mut architecture = c.decoder((0..c.layers).map(layer).collect());
    let predictions = config.opt_u64("num_nextn_predict_layers")?.unwrap_or(0);
    if predictions > c.layers {
        return Err(config.error("num_nextn_predict_layers", "more prediction layers than layers"));
    }
    for _ in 0..predictions {
        architecture.mtp.extend(prediction_layer(hidden, layer(c.layers)));
    }
    Ok(architecture)
}

fn experts(config: &Config, hidden: u64) -> Result<Option<Moe>, Diagnostic> {
    let Some(experts) = config.opt_size_of(&["n_routed_experts"])? else { return Ok(None) };
    let inner = config.size("moe_intermediate_size")?;
    let k = top_k(config, &["num_experts_per_tok"], experts)?;
    let shared = config
        .opt_size_of(&["n_shared_experts"])?
        .map(|n| SharedExpert { mlp: Mlp::gated(hidden, n * inner), gate: false });
    Ok(Some(Moe { shared, ..Moe::new(hidden, experts, k, inner) }))
}

/// One multi-token-prediction module (DeepSeek-V3, arXiv:2412.19437 §2.2): one more layer, a projection
/// of `2 · hidden` to `hidden`, and norms of the embedding, the hidden state and the output.
fn prediction_layer(hidden: u64, layer: Vec<Block>) -> Vec<Block> {
    let projection = Tensor::matrix("eh_proj.weight", hidden, 2 * hidden, Component::Other);
    let mut blocks = vec![
        Block::Norm(Norm::rms("enorm.weight", hidden)),
        Block::Norm(Norm::rms("hnorm.weight", hidden)),
        Block::Norm(Norm::rms("shared_head.norm.weight", hidden)),
        Block::Extra(Extra { tensors: vec![projection] }),
    ];
    blocks.extend(layer);
    blocks
}

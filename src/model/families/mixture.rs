//! Mixtures of experts with ordinary attention: Mixtral, Qwen2-MoE, Qwen3-MoE, and unknown ones.

use super::general::{Common, windows};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Biases, Block, Mlp, Moe, QkNorm, SharedExpert};
use crate::model::config::Config;
use crate::model::{Architecture, Scope};

/// Reads `top_k`, which cannot exceed the experts.
pub(super) fn top_k(config: &Config, keys: &[&str], experts: u64) -> Result<u64, Diagnostic> {
    let k = config.size_of(keys)?;
    if k > experts {
        return Err(config.error(keys[0], format!("{k} experts per token, but there are only {experts}")));
    }
    Ok(k)
}

/// Mixtral: experts in every layer.
pub(super) fn mixtral(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let c = Common::read(config, false)?;
    let experts = config.size("num_local_experts")?;
    let k = top_k(config, &["num_experts_per_tok"], experts)?;
    let moe = Moe::new(c.hidden, experts, k, config.size("intermediate_size")?);
    let layers = windows(config, c.layers)?.into_iter().map(|window| {
        let attention = Attention { window, ..c.attention() };
        c.pre_norm_layer(Block::Attention(attention), Block::Moe(moe.clone()))
    });
    Ok(c.decoder(layers.collect()))
}

/// Qwen2-MoE: one gated shared expert; biases on queries, keys and values.
pub(super) fn qwen2_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let c = Common::read(config, false)?;
    let shared = config.size("shared_expert_intermediate_size")?;
    let shared = SharedExpert { mlp: Mlp::gated(c.hidden, shared), gate: true };
    let biases = Biases::qkv_o(config.bool_or("qkv_bias", true)?, false);
    sparse(config, &c, Attention { biases, ..c.attention() }, Some(shared))
}

/// Qwen3-MoE: a norm on each query and key head, no shared expert.
pub(super) fn qwen3_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let c = Common::read(config, false)?;
    let bias = config.bool_or("attention_bias", false)?;
    let attention =
        Attention { biases: Biases::qkv_o(bias, bias), qk_norm: QkNorm::PerHead, ..c.attention() };
    sparse(config, &c, attention, None)
}

/// Experts in every `decoder_sparse_step`-th layer that `mlp_only_layers` does not name.
fn sparse(
    config: &Config,
    c: &Common,
    attention: Attention,
    shared: Option<SharedExpert>,
) -> Result<Architecture, Diagnostic> {
    let experts = config.size("num_experts")?;
    let k = top_k(config, &["num_experts_per_tok"], experts)?;
    let moe = Moe { shared, ..Moe::new(c.hidden, experts, k, config.size("moe_intermediate_size")?) };
    let mlp = Mlp::gated(c.hidden, config.size("intermediate_size")?);
    let step = config.size_or("decoder_sparse_step", 1)?;
    let dense = config.numbers("mlp_only_layers")?.unwrap_or_default();
    let layers = windows(config, c.layers)?.into_iter().zip(0u64..).map(|(window, i)| {
        let is_sparse = !dense.contains(&i) && (i + 1).is_multiple_of(step);
        let ffn = if is_sparse { Block::Moe(moe.clone()) } else { Block::Mlp(mlp.clone()) };
        c.pre_norm_layer(Block::Attention(Attention { window, ..attention.clone() }), ffn)
    });
    Ok(c.decoder(layers.collect()))
}

/// An unknown mixture, by the field names that most families share.
pub(super) fn general(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let c = Common::read(config, false)?;
    let experts = config.size_of(&["num_local_experts", "num_experts", "n_routed_experts"])?;
    let k = top_k(config, &["num_experts_per_tok", "num_experts_per_token", "moe_topk"], experts)?;
    let inner = config.size_of(&["moe_intermediate_size", "intermediate_size"])?;
    let shared_width = match config.opt_size_of(&["shared_expert_intermediate_size"])? {
        Some(width) => Some(width),
        None => config.opt_size_of(&["n_shared_experts", "num_shared_experts"])?.map(|n| n * inner),
    };
    let shared = shared_width.map(|w| SharedExpert { mlp: Mlp::gated(c.hidden, w), gate: false });
    let moe = Moe { shared, ..Moe::new(c.hidden, experts, k, inner) };
    let first_sparse = config.opt_u64("first_k_dense_replace")?.unwrap_or(0);
    let dense = Mlp::gated(c.hidden, config.size_of(&["intermediate_size", "moe_intermediate_size"])?);
    let bias = config.bool_or("attention_bias", false)?;
    let layers = windows(config, c.layers)?.into_iter().zip(0u64..).map(|(window, i)| {
        let attention = Attention { window, biases: Biases::qkv_o(bias, bias), ..c.attention() };
        let ffn = if i < first_sparse { Block::Mlp(dense.clone()) } else { Block::Moe(moe.clone()) };
        c.pre_norm_layer(Block::Attention(attention), ffn)
    });
    Ok(c.decoder(layers.collect()))
}

//! gpt-oss: biases throughout, attention sinks, alternating windows, experts in every layer.

use super::general::{Common, windows};
use super::mixture::top_k;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Biases, Block, Moe};
use crate::model::config::Config;
use crate::model::{Architecture, Scope};

/// Reads a configuration of the family.
pub(super) fn read(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let c = Common::read(config, false)?;
    let experts = config.size("num_local_experts")?;
    let k = top_k(config, &["num_experts_per_tok", "experts_per_token"], experts)?;
    let moe = Moe {
        expert_bias: true,
        router_bias: true,
        ..Moe::new(c.hidden, experts, k, config.size("intermediate_size")?)
    };
    let bias = config.bool_or("attention_bias", true)?;
    let mut windows = windows(config, c.layers)?;
    if !config.is_list("layer_types") {
        // The class default alternates, beginning with a window.
        windows.iter_mut().skip(1).step_by(2).for_each(|w| *w = None);
    }
    let layers = windows.into_iter().map(|window| {
        let attention = Attention { window, sinks: true, biases: Biases::qkv_o(bias, bias), ..c.attention() };
        c.pre_norm_layer(Block::Attention(attention), Block::Moe(moe.clone()))
    });
    Ok(c.decoder(layers.collect()))
}

//! Zamba and Zamba2 (arXiv:2405.16712, arXiv:2411.15242): Mamba layers, and before some of them a
//! transformer block whose weights all of those share.

use super::decoder::{Common, extra, layer_kinds};
use super::hybrid::reuse;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::mixers::{Mamba, Mamba2};
use crate::model::blocks::{Attention, Block, Mlp, Norm, STATE_BYTES};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// What both generations have in common.
struct Shared {
    common: Common,
    /// Which layers begin with the shared block.
    hybrid: Vec<bool>,
    attention: Attention,
    mlp: Mlp,
}

impl Shared {
    fn read(config: &Config, common: Common, hybrid: Vec<bool>, inner: u64) -> Result<Shared, Diagnostic> {
        let hidden = common.hidden;
        let wide = config.opt_size_of(&["attention_hidden_size"])?.unwrap_or(2 * hidden);
        let heads = config.size_or("num_attention_heads", 16)?;
        let kv_heads = config.opt_size("num_key_value_heads")?.unwrap_or(heads).min(heads);
        let head_dim = config.opt_size_of(&["attention_head_dim"])?.unwrap_or(wide / heads).max(1);
        let bias = config.bool_or("add_bias_linear", false)?;
        // The block reads the layer's input and the token's embedding side by side.
        let attention = Attention { input: wide, ..Attention::new(hidden, heads, kv_heads, head_dim) };
        let mlp = Mlp {
            component: Component::Attention,
            up_bias: bias,
            down_bias: bias,
            ..Mlp::gated(hidden, inner)
        };
        Ok(Shared { common, hybrid, attention, mlp })
    }

    /// The shared block.
    fn block(&self) -> Vec<Block> {
        vec![
            Block::Norm(Norm::rms("shared_transformer.input_layernorm.weight", self.attention.input)),
            Block::Attention(self.attention.clone()),
            self.common.norm("shared_transformer.pre_ff_layernorm.weight"),
            Block::Mlp(self.mlp.clone()),
        ]
    }

    /// The projection of the shared block's output into its layer.
    fn linear(&self) -> Block {
        let hidden = self.common.hidden;
        extra(vec![Tensor::matrix("linear.weight", hidden, hidden, Component::Other)])
    }

    /// Layers of `mixer`, some behind one of `copies` shared blocks in turn. Each shared block holds the
    /// adapters of all its users: `users` in all.
    fn build(&self, mixer: &Block, (copies, users): (u64, u64), adapters: &[Tensor]) -> Architecture {
        let mut used = 0;
        let layers = self.hybrid.iter().map(|hybrid| {
            let mut layer = vec![self.common.norm("input_layernorm.weight"), mixer.clone()];
            if *hybrid {
                layer.extend(reuse(self.block(), used < copies));
                layer.push(self.linear());
                if used < copies {
                    // Users take turns: this block serves every `copies`-th of them.
                    let own = users.saturating_sub(used).div_ceil(copies);
                    let adapters = adapters.iter().cloned();
                    let repeat = |t| Tensor { copies: own, active_copies: own, ..t };
                    layer.push(extra(adapters.map(repeat).collect()));
                }
                used += 1;
            }
            layer
        });
        self.common.decoder(layers.collect())
    }
}

/// Which layers are hybrid: as listed, else by the class's own pattern.
fn hybrid_layers(
    config: &Config,
    layers: u64,
    pattern: impl Fn(u64) -> bool,
) -> Result<Vec<bool>, Diagnostic> {
    Ok(match layer_kinds(config, layers)? {
        Some(kinds) => kinds.iter().take(layers as usize).map(|kind| kind == "hybrid").collect(),
        None => (0..layers).map(pattern).collect(),
    })
}

/// Zamba: Mamba-1 whose selection is by head (`n_mamba_heads`), which changes no count.
pub(super) fn zamba(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let common = Common::without_attention(config)?;
    let hidden = common.hidden;
    let period = config.size_or("attn_layer_period", 6)?;
    let offset = config.opt_u64("attn_layer_offset")?.unwrap_or(4);
    // The pattern counts from the fourth layer; the third is hybrid in any case.
    let pattern = |i: u64| i == 2 || i >= 3 && (i - 3) % period == offset;
    let hybrid = hybrid_layers(config, common.layers, pattern)?;
    let bias = config.bool_or("mamba_proj_bias", false)?;
    let mixer = Mamba {
        hidden,
        inner: config.size_or("mamba_expand", 2)? * hidden,
        state: config.size_or("mamba_d_state", 16)?,
        kernel: config.size_or("mamba_d_conv", 4)?,
        step_rank: match config.opt_str("mamba_dt_rank") {
            Ok(_) => hidden.div_ceil(16),
            Err(_) => config.size("mamba_dt_rank")?,
        },
        bias,
        convolution_bias: config.bool_or("mamba_conv_bias", true)?,
        inner_norms: false,
    };
    // Where the head is not tied, nothing is: each hybrid layer has a block of its own.
    let copies = if common.tied { 1 } else { u64::MAX };
    let shared = Shared::read(config, common, hybrid, config.size_or("intermediate_size", 14_848)?)?;
    Ok(shared.build(&Block::Recurrent(mixer.into()), (copies, 0), &[]))
}

/// Zamba2: Mamba-2, `num_mem_blocks` shared blocks in turn, low-rank adapters where each is used.
pub(super) fn zamba2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let common = Common::without_attention(config)?;
    let hidden = common.hidden;
    // The class's own pattern: every sixth up to the 42nd layer, then 47 and 51.
    let pattern = |i: u64| i > 0 && i.is_multiple_of(6) && i <= 42 || i == 47 || i == 51;
    let hybrid = hybrid_layers(config, common.layers, pattern)?;
    let heads = config.size_or("n_mamba_heads", 8)?;
    let bias = config.bool_or("add_bias_linear", false)?;
    let inner = config.opt_size_of(&["intermediate_size"])?.unwrap_or(4 * hidden);
    let mixer = Mamba2 {
        hidden,
        heads,
        head_dim: config.size_or("mamba_expand", 2)? * hidden / heads,
        groups: config.size_or("mamba_ngroups", 1)?,
        state: config.size_or("mamba_d_state", 64)?,
        kernel: config.size_or("mamba_d_conv", 4)?,
        in_bias: bias,
        out_bias: bias,
        convolution_bias: true,
        norm: true,
        state_bytes: STATE_BYTES,
    };
    let rank = config.size_or("adapter_rank", 128)?;
    let mut adapters = vec![
        Tensor::matrix("feed_forward.gate_up_proj_adapter.0.weight", rank, hidden, Component::Mlp),
        Tensor::matrix("feed_forward.gate_up_proj_adapter.1.weight", 2 * inner, rank, Component::Mlp),
    ];
    if config.bool_or("use_shared_attention_adapter", false)? {
        let width = 3 * config.opt_size_of(&["attention_hidden_size"])?.unwrap_or(2 * hidden);
        adapters.push(Tensor::matrix("self_attn.adapter.0.weight", width, rank, Component::Attention));
        adapters.push(Tensor::matrix("self_attn.adapter.1.weight", width, rank, Component::Attention));
    }
    let copies = config.size_or("num_mem_blocks", 1)?;
    let users = match config.numbers("hybrid_layer_ids")? {
        Some(ids) => ids.len() as u64,
        None => hybrid.iter().filter(|hybrid| **hybrid).count() as u64,
    };
    let shared = Shared::read(config, common, hybrid, inner)?;
    Ok(shared.build(&Block::Recurrent(mixer.into()), (copies, users), &adapters))
}

//! Linear attention and other recurrences, alone and beside attention: Qwen3-Next and 3.5, Kimi-Linear,
//! MiniMax-01, OLMo-Hybrid, LFM2, RecurrentGemma, RWKV-4, xLSTM.

use super::decoder::{Common, Decoder, NormKind, Order, extra, layer_kinds};
use super::deepseek;
use super::mixture::gate_shared_expert;
use super::prediction::{prediction_layer, predictions_or};
use super::state::state_bytes;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::mixers::{
    ChannelMix, GatedDelta, KimiDelta, Lightning, MatrixLstm, RgLru, ShortConvolution, TimeMix,
};
use crate::model::blocks::{Biases, Block, Embedding, Gate, Mlp, Norm, QkNorm, STATE_BYTES};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// Which layers attend: as listed (anything but linear attention, convolution or recurrence), else by
/// `pattern`.
pub(super) fn attending(
    config: &Config,
    layers: u64,
    pattern: impl Fn(u64) -> bool,
) -> Result<Vec<bool>, Diagnostic> {
    let recurrent = ["linear_attention", "conv", "recurrent", "mamba"];
    Ok(match layer_kinds(config, layers)? {
        Some(kinds) => kinds.iter().map(|kind| !recurrent.contains(&kind.as_str())).collect(),
        None => (0..layers).map(pattern).collect(),
    })
}

/// Layers that attend or run `mixer`.
fn interleave(decoder: &Decoder, attends: &[bool], mixer: &Block) -> Architecture {
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let mixer = if attends[i] { decoder.attention_of(i) } else { mixer.clone() };
        decoder.layer_with(i, vec![mixer])
    });
    decoder.finish(layers.collect())
}

/// Gated delta net by the field names of Qwen3-Next.
pub(super) fn gated_delta(config: &Config, hidden: u64) -> Result<GatedDelta, Diagnostic> {
    Ok(GatedDelta {
        hidden,
        key_heads: config.size_or("linear_num_key_heads", 16)?,
        value_heads: config.size_or("linear_num_value_heads", 32)?,
        key_dim: config.size_or("linear_key_head_dim", 128)?,
        value_dim: config.size_or("linear_value_head_dim", 128)?,
        kernel: config.size_or("linear_conv_kernel_dim", 4)?,
        state_bytes: state_bytes(config, "mamba_ssm_dtype", STATE_BYTES)?,
    })
}

/// Qwen3-Next and 3.5: gated delta net, every fourth layer attention with an output gate; one shared
/// expert behind a gate. One prediction layer of the attention kind, though only Qwen3.5's files say so.
pub(super) fn qwen3_next(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.gate = Gate::WithQuery;
    decoder.attention.qk_norm = QkNorm::PerHead;
    gate_shared_expert(&mut decoder);
    let every = config.size_or("full_attention_interval", 4)?;
    let attends = attending(config, decoder.common.layers, |i| (i + 1).is_multiple_of(every))?;
    let mixer = gated_delta(config, decoder.common.hidden)?;
    let mut architecture = interleave(&decoder, &attends, &Block::Recurrent(mixer.into()));
    let last = decoder.common.layers as usize - 1;
    for _ in 0..predictions_or(config, decoder.common.layers, 1)? {
        let layer = decoder.layer_with(last, vec![decoder.attention_of(last)]);
        architecture.mtp.extend(prediction_layer(decoder.common.hidden, layer));
    }
    Ok(architecture)
}

/// OLMo-Hybrid: gated delta net in pre-norm layers, OLMo-2's attention in post-norm layers.
pub(super) fn olmo_hybrid(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::Full;
    let c = decoder.common.clone();
    let (layers, last) = (c.layers as usize, c.layers - 1);
    // Every fourth attends; the last one where there are fewer than four.
    let attends = attending(config, c.layers, |i| i % 4 == 3 || c.layers < 4 && i == last)?;
    let key_heads = config.opt_size_of(&["linear_num_key_heads"])?.unwrap_or(c.heads);
    let key_dim = match config.opt_size_of(&["linear_key_head_dim"])? {
        Some(dim) => dim,
        None => (3 * c.hidden / 4 / key_heads).max(1),
    };
    let mixer = GatedDelta {
        hidden: c.hidden,
        key_heads,
        value_heads: config.opt_size_of(&["linear_num_value_heads"])?.unwrap_or(c.heads),
        key_dim,
        value_dim: config.opt_size_of(&["linear_value_head_dim"])?.unwrap_or(2 * key_dim),
        kernel: config.size_or("linear_conv_kernel_dim", 4)?,
        state_bytes: STATE_BYTES,
    };
    let blocks = (0..layers).map(|i| {
        let (order, block) = if attends[i] {
            (Order::Post, decoder.attention_of(i))
        } else {
            (Order::Pre, Block::Recurrent(mixer.into()))
        };
        c.layer(order, vec![block], vec![decoder.ffn_of(i)])
    });
    Ok(decoder.finish(blocks.collect()))
}

/// Kimi-Linear: Kimi delta attention, latent attention in the layers that the file names. Kimi K3's files add experts of
/// a narrower width, gates of full rank and gated attention.
pub(super) fn kimi_linear(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    // The class never ties the head, whatever the file says.
    decoder.common.tied = false;
    if let Some(moe) = &mut decoder.moe {
        moe.latent = config.opt_size("routed_expert_hidden_size")?.filter(|width| *width != moe.hidden);
    }
    let c = &decoder.common;
    // The released files keep these sizes in an object of their own, under shorter names.
    let own = config.opt_sub("linear_attn_config")?;
    let size = |name, short, default| match &own {
        Some(own) => own.size_or(short, default),
        None => config.size_or(name, default),
    };
    let head_dim = size("linear_head_dim", "head_dim", 128)?;
    let full_rank = match &own {
        Some(own) => own.bool_or("use_full_rank_gate", false)?,
        None => false,
    };
    let mixer = KimiDelta {
        hidden: c.hidden,
        heads: size("linear_num_heads", "num_heads", 32)?,
        head_dim,
        kernel: size("linear_conv_kernel_dim", "short_conv_kernel_size", 4)?,
        decay_rank: Some(head_dim),
        gate_rank: (!full_rank).then_some(head_dim),
    };
    // Layers are numbered from 1 there.
    let full = match &own {
        Some(own) => own.numbers("full_attn_layers")?,
        None => None,
    };
    let attends = attending(config, c.layers, |i| match &full {
        Some(full) => full.contains(&(i + 1)),
        None => i > 0 && i.is_multiple_of(4),
    })?;
    let gate = if config.bool_or("mla_use_output_gate", false)? { Gate::Full } else { Gate::None };
    let mut architecture = latent_interleave(config, &decoder, &attends, (mixer, gate))?;
    let latent_norm = match &decoder.moe {
        Some(moe) if config.bool_or("latent_moe_use_norm", false)? => moe.latent,
        _ => None,
    };
    // Kimi K3: the inputs of both halves of a layer, and of the head, are weighed sums over blocks of earlier layers, each
    // with a norm and a query.
    let chosen = config.opt_size("attn_res_block_size")?.map(|_| c.hidden);
    for (layer, sparse) in architecture.layers.iter_mut().zip(&decoder.sparse) {
        let norm = latent_norm.filter(|_| *sparse);
        let norm = norm.map(|width| Tensor::vector("mlp.routed_expert_norm.weight", width, Component::Norm));
        let queries = chosen.map(|width| Tensor::vector("attn_res.vectors", 4 * width, Component::Other));
        let tensors: Vec<Tensor> = norm.into_iter().chain(queries).collect();
        if !tensors.is_empty() {
            layer.push(extra(tensors));
        }
    }
    if let Some(width) = chosen {
        architecture.after.push(extra(vec![Tensor::vector("output_attn_res", 2 * width, Component::Other)]));
    }
    Ok(architecture)
}

/// Ring-2.5 and Ling-2.5 (Bailing): as Kimi-Linear, with full gate projections and gated attention
/// heads; every `layer_group_size`-th layer attends.
pub(super) fn bailing(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    // The class never ties the head, whatever the file says.
    decoder.common.tied = false;
    let c = &decoder.common;
    let mixer = KimiDelta {
        hidden: c.hidden,
        heads: config.opt_size("linear_num_heads")?.unwrap_or(c.heads),
        head_dim: match config.opt_size("linear_head_dim")? {
            Some(dim) => dim,
            None => config.size_or("head_dim", 128)?,
        },
        kernel: match config.opt_size("linear_conv_kernel_dim")? {
            Some(kernel) => kernel,
            None => config.size_or("short_conv_kernel_size", 4)?,
        },
        decay_rank: None,
        gate_rank: None,
    };
    let group = config.size_or("layer_group_size", 6)?;
    let attends = attending(config, c.layers, |i| (i + 1).is_multiple_of(group))?;
    latent_interleave(config, &decoder, &attends, (mixer, Gate::PerHead))
}

/// Layers of latent attention with `gate`, or of `mixer`.
fn latent_interleave(
    config: &Config,
    decoder: &Decoder,
    attends: &[bool],
    (mixer, gate): (KimiDelta, Gate),
) -> Result<Architecture, Diagnostic> {
    let mut attention = deepseek::latent(config, decoder)?;
    attention.gate = gate;
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let block =
            if attends[i] { Block::Latent(attention.clone()) } else { Block::Recurrent(mixer.into()) };
        decoder.layer_with(i, vec![block])
    });
    Ok(decoder.finish(layers.collect()))
}

/// MiniMax-01: lightning attention, attention in every other layer of the class's default, every eighth
/// of the released models.
pub(super) fn minimax(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let c = &decoder.common;
    // Older files list the kinds as 0 (lightning) and 1.
    let listed = config.numbers("attn_type_list")?;
    let attends = attending(config, c.layers, |i| match &listed {
        Some(kinds) => kinds.get(i as usize) == Some(&1),
        None => i.is_multiple_of(2),
    })?;
    let mixer = Lightning { hidden: c.hidden, heads: c.heads, head_dim: c.head_dim };
    Ok(interleave(&decoder, &attends, &Block::Recurrent(mixer.into())))
}

/// LFM2: gated short convolutions, attention in the layers that the file names; a feed-forward width of
/// two thirds, rounded up.
pub(super) fn lfm2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = lfm(config)?;
    let written = config.opt_size_of(&["block_ff_dim", "intermediate_size"])?;
    let inner = written.unwrap_or(decoder.mlp.inner);
    decoder.mlp.inner = inner;
    if config.bool_or("block_auto_adjust_ff_dim", true)? {
        let multiple = config.size_or("block_multiple_of", 256)?;
        let factor = config.f64_or("block_ffn_dim_multiplier", 1.0)?.clamp(0.0, 1e3);
        let scaled = (factor * (2 * inner / 3) as f64) as u64;
        decoder.mlp.inner = scaled.div_ceil(multiple) * multiple;
    }
    decoder.common.tied = config.bool_of(&["tie_embedding", "tie_word_embeddings"], true)?;
    lfm_layers(config, &decoder)
}

/// LFM2-MoE: experts after the first `num_dense_layers`.
pub(super) fn lfm2_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = lfm(config)?;
    decoder.common.tied = config.bool_of(&["tie_embedding", "tie_word_embeddings"], true)?;
    lfm_layers(config, &decoder)
}

/// LFM3: windowed attention too, an output gate per head, norms after where asked for.
pub(super) fn lfm3(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    if config.bool_or("use_attention_gate", true)? {
        decoder.attention.gate = Gate::PerHead;
    }
    if config.bool_or("use_sandwich_norm", true)? {
        decoder.order = Order::Sandwich;
    }
    lfm_layers(config, &decoder)
}

fn lfm(config: &Config) -> Result<Decoder, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases = Biases::NONE;
    decoder.attention.qk_norm = QkNorm::PerHead;
    (decoder.mlp.up_bias, decoder.mlp.down_bias) = (false, false);
    Ok(decoder)
}

fn lfm_layers(config: &Config, decoder: &Decoder) -> Result<Architecture, Diagnostic> {
    let full = config.numbers("full_attn_idxs")?;
    let third = config.has("use_sandwich_norm") || config.opt_str("model_type")? == Some("lfm3");
    let attends = attending(config, decoder.common.layers, |i| match &full {
        Some(full) => full.contains(&i),
        None if third => i > 0 && i.is_multiple_of(2),
        None => true,
    })?;
    let mixer = ShortConvolution {
        hidden: decoder.common.hidden,
        kernel: config.size_or("conv_L_cache", 3)?,
        bias: config.bool_or("conv_bias", false)?,
    };
    Ok(interleave(decoder, &attends, &Block::Recurrent(mixer.into())))
}

/// RecurrentGemma (Griffin): two recurrent blocks to one windowed attention; the file's
/// `intermediate_size` is twice the inner width.
pub(super) fn recurrent_gemma(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases.o = true;
    decoder.mlp = Mlp { inner: decoder.mlp.inner / 2, up_bias: true, down_bias: true, ..decoder.mlp };
    let c = &decoder.common;
    let pattern = config.strings("block_types")?;
    let attends = |i: u64| match pattern.len() as u64 {
        0 => i % 3 == 2,
        n => pattern[(i % n) as usize] == "attention",
    };
    let attends = attending(config, c.layers, attends)?;
    let mixer = RgLru {
        hidden: c.hidden,
        width: config.opt_size_of(&["lru_width"])?.unwrap_or(c.hidden),
        heads: c.heads,
        kernel: config.size_or("conv1d_width", 4)?,
    };
    Ok(interleave(&decoder, &attends, &Block::Recurrent(mixer.into())))
}

/// RWKV-4: time mixing and channel mixing, layer norms with biases, one more before the first layer.
pub(super) fn rwkv(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut common = Common::without_attention(config)?;
    common.norms = NormKind::WeightAndBias;
    let hidden = common.hidden;
    let width = config.opt_size_of(&["attention_hidden_size"])?.unwrap_or(hidden);
    let inner = config.opt_size_of(&["intermediate_size"])?.unwrap_or(4 * hidden);
    let time = Block::Recurrent(TimeMix { hidden, width }.into());
    let channel = Block::Recurrent(ChannelMix { hidden, inner }.into());
    let layer = common.layer(Order::Pre, vec![time], vec![channel]);
    let mut architecture = common.decoder(vec![layer; common.layers as usize]);
    architecture.layers[0].insert(0, common.norm("pre_ln.weight"));
    Ok(architecture)
}

/// xLSTM-7B: mLSTM and a gated feed-forward layer.
pub(super) fn xlstm(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut common = Common::without_attention(config)?;
    common.layers = config.layer_count(&["num_blocks", "num_hidden_layers"])?;
    let hidden = common.hidden;
    let bias = config.bool_or("use_bias", false)?;
    if bias {
        common.norms = NormKind::WeightAndBias;
    }
    let scaled = |key, default, multiple: u64| -> Result<u64, Diagnostic> {
        let exact = config.f64_or(key, default)?.clamp(0.0, 1e3) * hidden as f64;
        // Rounded up as the class does it: in floating point, cut off at the end.
        Ok(((exact + (multiple - 1) as f64) / multiple as f64) as u64 * multiple)
    };
    let round = config.size_or("ffn_round_up_to_multiple_of", 64)?;
    let mixer = MatrixLstm {
        hidden,
        heads: config.size_or("num_heads", 8)?,
        key_width: scaled("qk_dim_factor", 0.5, 64)?,
        value_width: scaled("v_dim_factor", 1.0, 64)?,
        bias,
    };
    let inner = scaled("ffn_proj_factor", 2.667, round)?;
    let mlp = Mlp { up_bias: bias, down_bias: bias, ..Mlp::gated(hidden, inner) };
    let layer = common.layer(Order::Pre, vec![Block::Recurrent(mixer.into())], vec![Block::Mlp(mlp)]);
    // The class never ties the head, whatever the file says.
    common.tied = false;
    let mut architecture = common.decoder(vec![layer; common.layers as usize]);
    architecture.after[0] = Block::Norm(Norm::rms("out_norm.weight", hidden));
    let width = config.opt_size_of(&["embedding_dim"])?.unwrap_or(hidden);
    let embedding = Embedding { vocabulary: common.vocabulary, width };
    architecture.before = vec![Block::Embedding(embedding)];
    Ok(architecture)
}

/// Doge: a decay of values with a projection of its own (dynamic mask attention), learned residuals; its
/// experts are single neurons looked up by product keys.
pub(super) fn doge(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    decoder.moe = None;
    let c = &decoder.common;
    let bias = config.bool_or("attention_bias", false)?;
    let part = Component::Attention;
    let mut extra = vec![
        Tensor::vector("self_attn.A", c.kv_heads, part),
        Tensor::matrix("self_attn.dt_proj.weight", c.kv_heads, c.kv_heads * c.head_dim, part),
        Tensor::vector("residuals", 2 * c.hidden, Component::Other),
    ];
    if bias {
        extra.push(Tensor::vector("self_attn.dt_proj.bias", c.kv_heads, part));
    }
    if config.bool_or("is_moe", false)? {
        let experts = config.size_or("num_experts", 16_384)?;
        let k = super::experts::top_k(config, experts)?;
        let neuron = |name| Tensor::matrix(name, 1, c.hidden, Component::Experts).experts(experts, k, 1);
        extra.push(neuron("mlp.down_embed.weight"));
        extra.push(neuron("mlp.up_embed.weight"));
        extra.push(Tensor::matrix(
            "mlp.router_gate.weight",
            2 * experts.isqrt(),
            c.hidden,
            Component::Router,
        ));
    }
    Ok(decoder.build_with_extra(&extra))
}

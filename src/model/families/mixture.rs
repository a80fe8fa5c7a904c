//! Mixtures of experts with ordinary attention.

use super::decoder::{Decoder, Order, Reading, extra};
use super::experts::{sparse_layers, unread_top_k};
use super::prediction::{Predicting, predicting};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Block, Gate, Keys, Mlp, Moe, QkNorm, SharedExpert};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor, TensorClass};

/// Mixtral, Aria, Granite-MoE: what the general rules read needs no change.
pub(super) fn plain(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    Ok(Decoder::read(config)?.build())
}

/// Experts with a norm on each query and key head: Qwen3-MoE, dots.1, Flint, Mellum.
pub(super) fn head_norms(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(decoder.build())
}

/// The same and prediction layers of experts: HY-3.
pub(super) fn hy3(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(Architecture { mtp: predicting(config, &decoder, Predicting::Last)?, ..decoder.build() })
}

/// The same and dense prediction layers: K-EXAONE.
pub(super) fn exaone_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(Architecture { mtp: predicting(config, &decoder, Predicting::Dense)?, ..decoder.build() })
}

/// No bias on the output projection, whatever `attention_bias` says; query-key norms where asked for:
/// GLM-4.5, Solar Open. The router computes in 32 bits.
pub(super) fn glm4_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases.o = false;
    wide_router(&mut decoder);
    let mut architecture = decoder.build();
    architecture.mtp = predicting(config, &decoder, Predicting::Last)?;
    Ok(architecture)
}

/// Qwen2-MoE: one gated shared expert; biases on queries, keys and values.
pub(super) fn qwen2_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases.o = false;
    gate_shared_expert(&mut decoder);
    Ok(decoder.build())
}

/// The shared expert is scaled by a learned gate.
pub(super) fn gate_shared_expert(decoder: &mut Decoder) {
    if let Some(shared) = decoder.moe.as_mut().and_then(|moe| moe.shared.as_mut()) {
        shared.gate = true;
    }
}

/// OLMoE: norms over the full width of queries and keys.
pub(super) fn full_norms(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::Full;
    Ok(decoder.build())
}

/// MiniMax-M2: norms over the full width of queries and keys, a router in 32 bits.
pub(super) fn minimax_m2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::Full;
    wide_router(&mut decoder);
    Ok(decoder.build())
}

/// The router computes in 32 bits.
fn wide_router(decoder: &mut Decoder) {
    if let Some(moe) = &mut decoder.moe {
        moe.router_fp32 = true;
    }
}

/// FlexOlmo: OLMo-2's norms after attention and experts.
pub(super) fn flex_olmo(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::Full;
    decoder.order = Order::Post;
    Ok(decoder.build())
}

/// AFMoE (Arcee Trinity): sandwich norms, query-key norms, an output gate, a counted routing bias.
pub(super) fn afmoe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    decoder.attention.qk_norm = QkNorm::PerHead;
    decoder.attention.gate = Gate::Full;
    if let Some(moe) = &mut decoder.moe {
        moe.choice_bias = true;
    }
    Ok(decoder.build())
}

/// Laguna: heads by layer, an output gate by head or element, a counted routing bias.
pub(super) fn laguna(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    decoder.attention.gate = output_gate(config)?;
    if let Some(moe) = &mut decoder.moe {
        moe.choice_bias = true;
    }
    let heads = config.numbers("num_attention_heads_per_layer")?.unwrap_or_default();
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let mut attention = decoder.attention.clone();
        attention.window = decoder.windows[i];
        attention.heads = heads.get(i).copied().filter(|n| *n > 0).unwrap_or(attention.heads);
        decoder.layer_with(i, vec![Block::Attention(attention)])
    });
    Ok(decoder.finish(layers.collect()))
}

/// The gate that `gating` names: by head for `true`, `per-head` and nothing, by element for all else.
pub(super) fn output_gate(config: &Config) -> Result<Gate, Diagnostic> {
    let by_head = match config.opt_str("gating") {
        Ok(None | Some("per-head")) => true,
        Ok(Some(_)) => false,
        Err(_) => config.bool_or("gating", true)?,
    };
    Ok(if by_head { Gate::PerHead } else { Gate::Full })
}

/// Flint: query-key norms and attention sinks.
pub(super) fn flint(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    decoder.attention.sinks = true;
    Ok(decoder.build())
}

/// Kolibri-1: norms before and after, and on query and key heads.
pub(super) fn kolibri(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(decoder.build())
}

/// Phi-3.5-MoE: layer norms with biases, maybe a bias on the output projection to the vocabulary.
pub(super) fn phimoe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.common.norms = super::decoder::NormKind::WeightAndBias;
    decoder.head_bias = config.bool_or("lm_head_bias", false)?;
    Ok(decoder.build())
}

/// gpt-oss: biases throughout, attention sinks.
pub(super) fn gpt_oss(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.sinks = true;
    if let Some(moe) = &mut decoder.moe {
        moe.expert_bias = true;
        moe.router_bias = true;
    }
    Ok(decoder.build())
}

/// Granite with windows: attention sinks.
pub(super) fn sinks(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.sinks = true;
    Ok(decoder.build())
}

/// ERNIE-4.5: `use_bias` everywhere outside the routed experts, a counted routing bias.
pub(super) fn ernie(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let bias = config.bool_or("use_bias", false)?;
    decoder.head_bias = bias && config.has("moe_num_experts");
    if let Some(moe) = &mut decoder.moe {
        moe.choice_bias = true;
        if let Some(shared) = &mut moe.shared {
            (shared.mlp.up_bias, shared.mlp.down_bias) = (bias, bias);
        }
    }
    Ok(Architecture { mtp: predicting(config, &decoder, Predicting::DenseWithoutNorm)?, ..decoder.build() })
}

/// Llama 4: `intermediate_size` is an expert's width, `intermediate_size_mlp` the dense layers'; one
/// shared expert of an expert's width.
pub(super) fn llama4(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    // Its query-key norm holds no weights.
    decoder.attention.qk_norm = QkNorm::None;
    decoder.windows = llama4_chunks(config, &decoder)?;
    decoder.attention.chunked = true;
    decoder.mlp.inner = config.size("intermediate_size_mlp")?;
    if let Some(moe) = &mut decoder.moe {
        let mlp = Mlp::gated(moe.hidden, moe.inner);
        moe.shared = Some(SharedExpert { mlp, gate: false });
    }
    Ok(decoder.build())
}

/// Llama 4's attention: chunks of `attention_chunk_size` tokens in layers with rotary positions, everything in
/// those without. `no_rope_layers` says so for each layer (1: rotary), or `layer_types`; absent or empty, every
/// `no_rope_layer_interval`-th layer, the fourth by default, has none (`configuration_llama4.py`; vLLM
/// `models/llama4.py` `Llama4Attention`: `nope = config.no_rope_layers[layer_idx] == 0`).
fn llama4_chunks(config: &Config, decoder: &Decoder) -> Result<Vec<Option<u64>>, Diagnostic> {
    let (chunk, layers) = (config.opt_size("attention_chunk_size")?, decoder.common.layers);
    let listed = config.numbers("no_rope_layers")?.filter(|flags| !flags.is_empty());
    if let Some(flags) = listed {
        if (flags.len() as u64) < layers {
            return Err(
                config.error("no_rope_layers", format!("{} entries for {layers} layers", flags.len()))
            );
        }
        return Ok(flags.iter().take(layers as usize).map(|rotary| chunk.filter(|_| *rotary != 0)).collect());
    }
    if config.has("layer_types") {
        return Ok(decoder.windows.clone());
    }
    let interval = config.size_or("no_rope_layer_interval", 4)?;
    Ok((1..=layers).map(|layer| chunk.filter(|_| !layer.is_multiple_of(interval))).collect())
}

/// DBRX: sizes in `attn_config` and `ffn_config`, layer norms without biases.
pub(super) fn dbrx(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read_as(config, Reading { own_experts: true, ..Reading::default() })?;
    let attention = config.sub("attn_config")?;
    let ffn = config.sub("ffn_config")?;
    let c = &mut decoder.common;
    c.kv_heads = attention.size_or("kv_n_heads", 1)?;
    if c.kv_heads > c.heads {
        return Err(attention.error("kv_n_heads", "more key-value heads than attention heads"));
    }
    decoder.attention.kv_heads = c.kv_heads;
    let experts = ffn.size_or("moe_num_experts", 4)?;
    // `DbrxFFNConfig`: one of four experts where nothing is said.
    let k = ffn.size_or("moe_top_k", 1)?.min(experts);
    decoder.moe = Some(Moe::new(c.hidden, experts, k, ffn.size_or("ffn_hidden_size", 3584)?));
    decoder.sparse = vec![true; c.layers as usize];
    Ok(decoder.build())
}

/// Grok-1: norms before and after attention and experts.
pub(super) fn grok(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    Ok(decoder.build())
}

/// Snowflake Arctic: beside the experts of every layer a dense feed-forward layer as wide as the model,
/// with a norm of its own.
pub(super) fn arctic(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let c = &decoder.common;
    let residual = Block::Mlp(Mlp::gated(c.hidden, c.hidden));
    let layers = (0..c.layers as usize).map(|i| {
        let mut layer = decoder.layer_with(i, vec![decoder.attention_of(i)]);
        layer.extend([c.norm("residual_layernorm.weight"), residual.clone()]);
        layer
    });
    Ok(decoder.finish(layers.collect()))
}

/// Hunyuan: query-key norms; experts per token and shared experts may differ by layer.
pub(super) fn hunyuan_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read_as(config, Reading { own_experts: true, ..Reading::default() })?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    let hidden = decoder.common.hidden;
    let experts = config.size_list("num_experts")?;
    let top_k = match config.size_list("moe_topk")? {
        list if list.is_empty() => config.size_list("num_experts_per_tok")?,
        list => list,
    };
    let shared = config.size_list("num_shared_expert")?;
    let widths = config.size_list("moe_intermediate_size")?;
    let dense = decoder.mlp.inner;
    let most = experts.iter().copied().max().unwrap_or(1);
    if top_k.is_empty() && most > 1 {
        return Err(unread_top_k(config, most));
    }
    let at = |list: &[u64], i: usize, default: u64| {
        list.get(i).or_else(|| list.last()).copied().unwrap_or(default)
    };
    // Hunyuan-Large: of so many layers the first has keys and values, which the others read ("cross-layer attention",
    // vLLM `models/hunyuan_v1.py`, `HunYuanCrossAttention`).
    let sharing = match config.bool_or("use_cla", false)? {
        true => config.size_or("cla_share_factor", 1)?,
        false => 1,
    };
    let mut reading = decoder.clone();
    reading.attention.keys = Keys::Shared;
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let (n, k) = (at(&experts, i, 1), at(&top_k, i, 1));
        let owner = if (i as u64).is_multiple_of(sharing) { &decoder } else { &reading };
        let mlp = Mlp::gated(hidden, dense.saturating_mul(at(&shared, i, 1)));
        let shared = Some(SharedExpert { mlp, gate: false });
        let moe = Moe { shared, ..Moe::new(hidden, n, k.min(n), at(&widths, i, dense)) };
        let ffn = Block::Moe(moe);
        decoder.common.layer(decoder.order, vec![owner.attention_of(i)], vec![ffn])
    });
    Ok(decoder.finish(layers.collect()))
}

/// ERNIE-4.5-VL's text model: beside the experts of text tokens as many of images, narrower, with a
/// router of their own. `active` is of a text token.
pub(super) fn ernie_vl(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read_as(config, Reading { own_experts: true, ..Reading::default() })?;
    let c = decoder.common.clone();
    let bias = config.bool_or("use_bias", false)?;
    let widths = config.size_list("moe_intermediate_size")?;
    let counts = config.size_list("moe_num_experts")?;
    let positive = |list: &[u64]| list.first().copied().filter(|n| *n > 0);
    let (Some(inner), Some(experts)) = (positive(&widths), positive(&counts)) else {
        return Err(config.error("moe_intermediate_size", "expected the width of text and image experts"));
    };
    let top_k = config.size_or("moe_k", 6)?.min(experts);
    let shared = config.opt_u64("moe_num_shared_experts")?.unwrap_or(0);
    let mlp =
        Mlp { up_bias: bias, down_bias: bias, ..Mlp::gated(c.hidden, shared.saturating_mul(inner).max(1)) };
    let shared = (shared > 0).then_some(SharedExpert { mlp, gate: false });
    decoder.moe = Some(Moe { choice_bias: true, shared, ..Moe::new(c.hidden, experts, top_k, inner) });
    decoder.sparse = sparse_layers(config, c.layers)?;
    if let [_, width, ..] = widths[..] {
        let images = counts.get(1).copied().unwrap_or(experts);
        let mut architecture = decoder.build();
        for (layer, _) in architecture.layers.iter_mut().zip(&decoder.sparse).filter(|(_, sparse)| **sparse) {
            layer.push(image_experts(c.hidden, images, width));
        }
        architecture.notes.push(
            "`active` is of a token of text: a token of an image uses as many of its own, narrower experts"
                .into(),
        );
        return Ok(architecture);
    }
    Ok(decoder.build())
}

/// Experts that only image tokens use, and their router.
fn image_experts(hidden: u64, experts: u64, inner: u64) -> Block {
    let part = Component::Experts;
    let matrix = |name, rows, columns| {
        Tensor::matrix(name, rows, columns, part).experts(experts, 0, inner).class(TensorClass::Expert)
    };
    let router = Tensor::matrix("mlp.vision_moe.gate.weight", experts, hidden, Component::Router);
    extra(vec![
        router.class(TensorClass::Router),
        Tensor::vector("mlp.vision_moe.gate.e_score_correction_bias", experts, Component::Router),
        matrix("mlp.vision_moe.experts.gate_proj.weight", inner, hidden),
        matrix("mlp.vision_moe.experts.up_proj.weight", inner, hidden),
        matrix("mlp.vision_moe.experts.down_proj.weight", hidden, inner),
    ])
}

//! Latent attention: DeepSeek-V2 to V3.2, Kimi-K2, GLM-4.7-Flash and 5, MiniCPM3, Youtu, LongCat-Flash
//! and others.

use super::decoder::{Decoder, Order, extra, layer_kinds};
use super::prediction::{prediction_layer, predictions};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Block, Gate, Indexer, LatentAttention, Moe, Norm};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor, TensorClass};

/// Reads the sizes of latent attention.
pub(super) fn latent(config: &Config, decoder: &Decoder) -> Result<LatentAttention, Diagnostic> {
    let c = &decoder.common;
    Ok(LatentAttention {
        hidden: c.hidden,
        heads: c.heads,
        q_rank: config.opt_size_of(&["q_lora_rank"])?,
        kv_rank: config.size("kv_lora_rank")?,
        nope_dim: config.size("qk_nope_head_dim")?,
        rope_dim: config.u64("qk_rope_head_dim")?,
        v_dim: config.opt_size_of(&["v_head_dim"])?.unwrap_or(c.hidden / c.heads),
        bias: config.bool_or("attention_bias", false)?,
        owns_latent: true,
        indexer: None,
        chosen: None,
        gate: Gate::None,
        sinks: false,
    })
}

/// The sizes of the sparse-attention indexer.
pub(super) fn indexer(config: &Config) -> Result<Indexer, Diagnostic> {
    Ok(Indexer { heads: config.size("index_n_heads")?, head_dim: config.size("index_head_dim")? })
}

/// Latent attention that reads the tokens that an indexer chooses, in every layer its own or an earlier one's.
fn sparse(config: &Config, decoder: &Decoder) -> Result<LatentAttention, Diagnostic> {
    Ok(LatentAttention { chosen: Some(config.size_or("index_topk", 2048)?), ..latent(config, decoder)? })
}

/// Builds the layers with `attention` and the prediction layers that the configuration asks for.
fn build(
    config: &Config,
    decoder: &Decoder,
    attention: impl Fn(usize) -> LatentAttention,
) -> Result<Architecture, Diagnostic> {
    let layers = decoder.common.layers as usize;
    let layer = |i: usize| decoder.layer_with(i.min(layers - 1), vec![Block::Latent(attention(i))]);
    let mut architecture = decoder.finish((0..layers).map(layer).collect());
    for _ in 0..predictions(config, decoder.common.layers)? {
        architecture.mtp.extend(prediction_layer(decoder.common.hidden, layer(layers)));
    }
    Ok(architecture)
}

/// DeepSeek-V2 and V3, Kimi-K2, GLM-4.7-Flash, MiniCPM3, Youtu.
pub(super) fn read(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    // DeepSeek-VL2's small ones and DeepSeek-OCR attend like DeepSeek's first models.
    if !config.bool_or("use_mla", true)? {
        return Ok(decoder.build());
    }
    let attention = latent(config, &decoder)?;
    build(config, &decoder, |_| attention.clone())
}

/// DeepSeek-V3.2: an indexer in every layer.
pub(super) fn v32(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?.without_mlp_biases();
    let attention = LatentAttention { indexer: Some(indexer(config)?), ..sparse(config, &decoder)? };
    build(config, &decoder, |_| attention.clone())
}

/// GLM-5: as DeepSeek-V3.2; from 5.2 on some layers use the choice of an earlier layer's indexer.
pub(super) fn glm5(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?.without_mlp_biases();
    let attention = sparse(config, &decoder)?;
    let index = indexer(config)?;
    let has = indexed_layers(config, decoder.common.layers)?;
    build(config, &decoder, |i| LatentAttention {
        indexer: has.get(i).or(has.last()).copied().unwrap_or(true).then_some(index),
        ..attention.clone()
    })
}

/// Which layers have an indexer: as listed, by a pattern of letters, or every so many.
pub(super) fn indexed_layers(config: &Config, layers: u64) -> Result<Vec<bool>, Diagnostic> {
    let listed = config.strings("indexer_types")?;
    if !listed.is_empty() {
        return Ok(listed.iter().map(|kind| kind == "full").collect());
    }
    if let Ok(Some(pattern)) = config.opt_str("index_topk_pattern") {
        return Ok(pattern.chars().map(|c| c == 'F').collect());
    }
    let every = config.opt_u64("index_topk_freq")?.unwrap_or(1).max(1);
    let offset = config.opt_u64("index_skip_topk_offset")?.unwrap_or(2);
    Ok((0..layers).map(|i| (i + 1).saturating_sub(offset).is_multiple_of(every)).collect())
}

/// dots.3: DeepSeek-V3.2 with an output gate per head and a norm on the rotary key; windowed layers have
/// no indexer and sizes of their own (`swa_…`, or `per_layer_config`).
pub(super) fn dots3(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let width = config.opt_size("shared_experts_intermediate_size")?;
    if let (Some(moe), Some(width)) = (&mut decoder.moe, width)
        && let Some(shared) = &mut moe.shared
    {
        shared.mlp.inner = width * config.size_or("n_shared_experts", 1)?;
    }
    let full = LatentAttention { gate: Gate::PerHead, ..sparse(config, &decoder)? };
    let index = indexer(config)?;
    let kinds = layer_kinds(config, decoder.common.layers)?;
    let windowed = |i: usize| match &kinds {
        Some(kinds) => kinds.get(i).is_some_and(|kind| kind == "sliding_attention"),
        None => i >= 2 && i % 4 != 1,
    };
    let own = match config.opt_sub("per_layer_config")? {
        Some(listed) => listed.keys().next().map(|key| listed.sub(key)).transpose()?,
        None => None,
    };
    // What `per_layer_config` leaves out is as in the other layers.
    let size = |name: &str, shared, default| match &own {
        Some(own) => own.size_or(name, shared),
        None => config.size_or(&format!("swa_{name}"), default),
    };
    let local = LatentAttention {
        heads: size("num_attention_heads", full.heads, 64)?,
        q_rank: Some(size("q_lora_rank", full.q_rank.unwrap_or(1024), 1024)?),
        kv_rank: size("kv_lora_rank", full.kv_rank, 1024)?,
        nope_dim: size("qk_nope_head_dim", full.nope_dim, 192)?,
        rope_dim: size("qk_rope_head_dim", full.rope_dim, 64)?,
        v_dim: size("v_head_dim", full.v_dim, 128)?,
        chosen: None,
        ..full.clone()
    };
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let attention = if windowed(i) {
            local.clone()
        } else {
            LatentAttention { indexer: Some(index), ..full.clone() }
        };
        let norm = Norm::rms("self_attn.k_rope_only_layernorm.weight", attention.rope_dim);
        decoder.layer_with(i, vec![Block::Latent(attention), Block::Norm(norm)])
    });
    Ok(decoder.finish(layers.collect()))
}

/// HY-4: DeepSeek-V3.2 with an output gate, sinks, and hyper-connections around both parts of a layer.
pub(super) fn hy4(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let attention = LatentAttention { gate: Gate::Full, sinks: true, ..sparse(config, &decoder)? };
    let index = indexer(config)?;
    let has = indexed_layers(config, decoder.common.layers)?;
    let streams = config.size_or("hc_mult", 4)?;
    let mut architecture = build(config, &decoder, |i| LatentAttention {
        indexer: has.get(i).copied().unwrap_or(true).then_some(index),
        ..attention.clone()
    })?;
    let width = streams * decoder.common.hidden;
    let mix = |name, part| Tensor::matrix(name, 2 * streams, width, part);
    for layer in &mut architecture.layers {
        layer.push(extra(vec![
            mix("attn_hc.fn", Component::Attention),
            mix("ffn_hc.fn", Component::Other),
            Tensor::vector("hc.base", 4 * streams, Component::Other),
            Tensor::vector("hc.scale", 4, Component::Other),
        ]));
    }
    architecture.after.push(super::unusual::stream_head(streams, decoder.common.hidden));
    Ok(architecture)
}

/// A.X K1: DeepSeek-V3 with a norm after the experts.
pub(super) fn axk1(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let attention = latent(config, &decoder)?;
    let mut architecture = build(config, &decoder, |_| attention.clone())?;
    for (layer, sparse) in architecture.layers.iter_mut().zip(&decoder.sparse) {
        if *sparse {
            layer.push(decoder.common.norm("mlp.post_mlp_layernorm.weight"));
        }
    }
    Ok(architecture)
}

/// A.X K2: DeepSeek-V3.2 whose query latent also yields an output gate, and whose norms have a small
/// gate of rank `gated_norm_rank`.
pub(super) fn axk2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let attention = LatentAttention {
        indexer: Some(indexer(config)?),
        gate: Gate::WithQuery,
        ..sparse(config, &decoder)?
    };
    let (hidden, rank) = (decoder.common.hidden, config.size_or("gated_norm_rank", 16)?);
    let norm_gate = |name| Tensor::matrix(name, 2 * rank, hidden, Component::Norm);
    let mut architecture = build(config, &decoder, |_| attention.clone())?;
    for (layer, sparse) in architecture.layers.iter_mut().zip(&decoder.sparse) {
        layer.push(extra(vec![norm_gate("input_layernorm.mlp")]));
        if *sparse {
            layer.push(extra(vec![norm_gate("post_attention_layernorm.mlp")]));
        }
    }
    Ok(architecture)
}

/// LongCat-Flash (arXiv:2509.01322 §2): each layer has two attentions, two dense feed-forward layers and
/// one layer of experts beside them; some experts only pass their input on.
pub(super) fn longcat(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let c = &decoder.common;
    let attention = Block::Latent(latent(config, &decoder)?);
    let zero_experts = config.opt_u64("zero_expert_num")?.unwrap_or(0);
    let Some(moe) = &decoder.moe else {
        return Err(config.error("n_routed_experts", "a LongCat-Flash model has experts"));
    };
    // A checkpoint that names what its experts without weights do has none of them.
    let published = config.has("zero_expert_type");
    let zero_rows = if published { 0 } else { zero_experts };
    let moe = Block::Moe(Moe { zero_experts, zero_rows, choice_bias: published, ..moe.clone() });
    let half = c.layer(Order::Pre, vec![attention], vec![Block::Mlp(decoder.mlp.clone())]);
    let layer = [half.clone(), vec![moe], half.clone()].concat();
    let mut architecture = decoder.finish(vec![layer; c.layers as usize]);
    if published {
        architecture.after.push(longcat_prediction(&decoder, &half));
        architecture.notes.push(
            "the total holds the layer that predicts a second token, with an embedding of its own, as the published \
             checkpoint does without a field that says so"
                .into(),
        );
    }
    if zero_experts > 0 {
        let rows = if zero_rows > 0 {
            ", and the total counts the rows that the fused gate and up projection has for them, as the Transformers \
             class does"
        } else {
            ""
        };
        architecture.notes.push(format!(
            "{zero_experts} experts of every layer compute nothing: `active` is an upper bound{rows}"
        ));
    }
    Ok(architecture)
}

/// LongCat-Flash's layer that predicts a second token (vLLM `models/longcat_flash_mtp.py`): an embedding, two norms, what
/// joins the two inputs, half a layer and a norm. No token of the decoder itself uses it.
fn longcat_prediction(decoder: &Decoder, half: &[Block]) -> Block {
    let c = &decoder.common;
    let mut tensors = Vec::new();
    half.iter().for_each(|block| block.tensors(&mut tensors));
    tensors.extend([
        Tensor::matrix("mtp.embed_tokens.weight", c.vocabulary, c.hidden, Component::Other)
            .class(TensorClass::Embedding),
        Tensor::matrix("mtp.eh_proj.weight", c.hidden, 2 * c.hidden, Component::Other),
        Tensor::vector("mtp.norms", 3 * c.hidden, Component::Other),
    ]);
    let unused = |t: Tensor| Tensor { active_copies: 0, component: Component::Other, ..t };
    extra(tensors.into_iter().map(unused).collect())
}

/// Mistral Large 4: direct queries, an indexer with a norm of its own input, learned scales of the
/// softmax; some layers without rotary part, and maybe with an earlier layer's latent.
pub(super) fn mistral_large4(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?.without_mlp_biases();
    let c = &decoder.common;
    let full = LatentAttention { q_rank: None, ..sparse(config, &decoder)? };
    let index = indexer(config)?;
    let has = indexed_layers(config, c.layers)?;
    let every = config.opt_size("no_rope_layer_interval")?.unwrap_or(4);
    let rotary = config.numbers("no_rope_layers")?;
    let sources = config.numbers("kv_source_layers")?;
    let at = |list: &Option<Vec<u64>>, i: usize, default: u64| {
        list.as_ref().and_then(|list| list.get(i)).copied().unwrap_or(default)
    };
    let layers = (0..c.layers as usize).map(|i| {
        let indexed = has.get(i).copied().unwrap_or(true);
        let mut attention = LatentAttention { indexer: indexed.then_some(index), ..full.clone() };
        attention.owns_latent = at(&sources, i, i as u64) == i as u64;
        if at(&rotary, i, u64::from(!(i as u64 + 1).is_multiple_of(every))) == 0 {
            (attention.nope_dim, attention.rope_dim) = (full.nope_dim + full.rope_dim, 0);
        }
        let part = Component::Attention;
        let mut scales = vec![Tensor::vector("self_attn.softmax_scaling", 2 * c.heads, part)];
        if indexed {
            scales.push(Tensor::vector("self_attn.indexer.q_input_norm", 2 * c.hidden, Component::Norm));
            scales.push(Tensor::vector("self_attn.indexer.softmax_scaling", 2 * index.heads, part));
        }
        decoder.layer_with(i, vec![Block::Latent(attention), extra(scales)])
    });
    Ok(decoder.finish(layers.collect()))
}

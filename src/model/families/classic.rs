//! Decoders before Llama: layer norms with biases, plain feed-forward layers, often learned positions.

use super::decoder::{Decoder, NormKind, Order, Reading, extra, positions};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Biases, Block, Embedding, Head, QkNorm};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// Layer norms with biases, a plain feed-forward layer, and biases wherever `bias` says.
fn classic(config: &Config, bias: bool) -> Result<Decoder, Diagnostic> {
    let reading = Reading { four_times: true, ..Reading::default() };
    let mut decoder = Decoder::read_as(config, reading)?.ungated();
    decoder.common.norms = NormKind::WeightAndBias;
    decoder.attention.biases = Biases::qkv_o(bias, bias);
    (decoder.mlp.up_bias, decoder.mlp.down_bias) = (bias, bias);
    Ok(decoder)
}

/// The longest context, which learned positions must know.
fn learned(decoder: &Decoder, config: &Config) -> Result<u64, Diagnostic> {
    match decoder.common.max_context {
        Some(n) => Ok(n),
        None => Err(config.error("n_positions", "needed for the learned positions")),
    }
}

/// GPT-2: learned positions, biases everywhere.
pub(super) fn gpt2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = classic(config, true)?;
    let count = learned(&decoder, config)?;
    let mut architecture = decoder.build();
    architecture.before.push(positions(count, decoder.common.hidden));
    Ok(architecture)
}

/// GPT-1: GPT-2 with norms after, none at the end.
pub(super) fn gpt1(config: &Config, scope: Scope) -> Result<Architecture, Diagnostic> {
    let mut architecture = gpt2(config, scope)?;
    architecture.after.remove(0);
    Ok(architecture)
}

/// StarCoder-1 (GPT-BigCode): GPT-2 with one key-value head where `multi_query` says so.
pub(super) fn gpt_bigcode(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, true)?;
    decoder.attention.kv_heads =
        if config.bool_or("multi_query", true)? { 1 } else { decoder.attention.heads };
    let count = learned(&decoder, config)?;
    let mut architecture = decoder.build();
    architecture.before.push(positions(count, decoder.common.hidden));
    Ok(architecture)
}

/// GPT-Neo: GPT-2 without biases on queries, keys and values; every other layer windowed.
pub(super) fn gpt_neo(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, true)?;
    decoder.attention.biases = Biases::qkv_o(false, true);
    let window = config.opt_size("window_size")?;
    decoder.windows.iter_mut().skip(1).step_by(2).for_each(|w| *w = window);
    let count = learned(&decoder, config)?;
    let mut architecture = decoder.build();
    architecture.before.push(positions(count, decoder.common.hidden));
    Ok(architecture)
}

/// GPT-NeoX and Pythia: rotary; `attention_bias` covers attention only.
pub(super) fn gpt_neox(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, true)?;
    let bias = config.bool_or("attention_bias", true)?;
    decoder.attention.biases = Biases::qkv_o(bias, bias);
    Ok(decoder.build())
}

/// GPT-NeoX Japanese: no biases but one on the last layer's attention output.
pub(super) fn gpt_neox_japanese(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, false)?;
    decoder.mlp.inner = config.size_or("intermediate_multiple_size", 4)? * decoder.common.hidden;
    let hidden = decoder.common.hidden;
    let mut architecture = decoder.build();
    if let Some(last) = architecture.layers.last_mut() {
        let bias = Tensor::vector("attention.dense_bias", hidden, Component::Attention);
        last.push(extra(vec![bias]));
    }
    Ok(architecture)
}

/// GPT-J and CodeGen: one norm a layer, attention without biases, a bias on the head.
pub(super) fn gptj(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, true)?;
    decoder.order = Order::Parallel;
    decoder.attention.biases = Biases::NONE;
    decoder.head_bias = true;
    Ok(decoder.build())
}

/// BLOOM: ALiBi positions, a norm after the embedding, biases everywhere.
pub(super) fn bloom(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, true)?;
    decoder.mlp.inner = 4 * decoder.common.hidden;
    let mut architecture = decoder.build();
    architecture.before.push(decoder.common.norm("word_embeddings_layernorm.weight"));
    Ok(architecture)
}

/// Falcon: multi-query, grouped in the new decoder architecture; one norm a layer when parallel, two in
/// the new one unless `num_ln_in_parallel_attn` says 1.
pub(super) fn falcon(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, config.bool_or("bias", false)?)?;
    let grouped = config.bool_or("new_decoder_architecture", false)?;
    if !grouped {
        let multi_query = config.bool_or("multi_query", true)?;
        decoder.attention.kv_heads = if multi_query { 1 } else { decoder.attention.heads };
    }
    let parallel = config.bool_or("parallel_attn", true)?;
    let norms = config.opt_u64("num_ln_in_parallel_attn")?.unwrap_or(if grouped { 2 } else { 1 });
    if (grouped || parallel) && norms != 2 {
        decoder.order = Order::Parallel;
    }
    Ok(decoder.build())
}

/// MPT: ALiBi positions and no biases at all, in norms neither.
pub(super) fn mpt(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, false)?;
    decoder.common.norms = NormKind::Weight;
    decoder.mlp.inner = 4 * decoder.common.hidden;
    if let Some(attention) = config.opt_sub("attn_config")? {
        let kv_heads = attention.opt_size_of(&["kv_n_heads"])?.unwrap_or(decoder.attention.heads);
        decoder.attention.kv_heads = kv_heads.min(decoder.attention.heads);
    }
    Ok(decoder.build())
}

/// OPT: learned positions with an offset of 2; the embedding may be narrower than the model
/// (`word_embed_proj_dim`, OPT-350m); no final norm when norms stand after.
pub(super) fn opt(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, config.bool_or("enable_bias", true)?)?;
    if !config.bool_or("layer_norm_elementwise_affine", true)? {
        decoder.common.norms = NormKind::Bare;
    }
    let c = &decoder.common;
    let count = learned(&decoder, config)? + 2;
    let width = config.opt_size_of(&["word_embed_proj_dim"])?.unwrap_or(c.hidden);
    let mut architecture = decoder.build();
    architecture.before = vec![Block::Embedding(Embedding { vocabulary: c.vocabulary, width })];
    architecture.before.push(positions(count, c.hidden));
    architecture.after = vec![Block::Head(Head { width, ..c.head() })];
    let final_norm = config.bool_or("do_layer_norm_before", true)?
        && !config.bool_or("_remove_final_layer_norm", false)?;
    if final_norm {
        architecture.after.insert(0, c.norm("final_layer_norm.weight"));
    }
    if width != c.hidden {
        architecture.before.push(extra(vec![
            Tensor::matrix("project_in.weight", c.hidden, width, Component::Other),
            Tensor::matrix("project_out.weight", width, c.hidden, Component::Other),
        ]));
    }
    Ok(architecture)
}

/// XGLM: sinusoidal positions, biases everywhere.
pub(super) fn xglm(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    Ok(classic(config, true)?.build())
}

/// BioGPT: XGLM with learned positions at an offset of 2.
pub(super) fn biogpt(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = classic(config, true)?;
    let count = learned(&decoder, config)? + 2;
    let mut architecture = decoder.build();
    architecture.before.push(positions(count, decoder.common.hidden));
    Ok(architecture)
}

/// CTRL: sinusoidal positions, biases everywhere, in the head too.
pub(super) fn ctrl(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, true)?;
    decoder.head_bias = true;
    Ok(decoder.build())
}

/// Phi-1 and 2: one norm a layer, biases everywhere, in the head too.
pub(super) fn phi(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, true)?;
    decoder.order = Order::Parallel;
    decoder.head_bias = true;
    biased_head_norms(&mut decoder);
    Ok(decoder.build())
}

/// Persimmon: biases everywhere, norms with biases on query and key heads.
pub(super) fn persimmon(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = classic(config, true)?;
    biased_head_norms(&mut decoder);
    Ok(decoder.build())
}

fn biased_head_norms(decoder: &mut Decoder) {
    if decoder.attention.qk_norm != QkNorm::None {
        decoder.attention.qk_norm = QkNorm::PerHeadBiased;
    }
}

/// StarCoder-2: rotary, `use_bias` everywhere.
pub(super) fn starcoder2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    Ok(classic(config, config.bool_or("use_bias", true)?)?.build())
}

/// CPM-Ant: RMS norms, learned relative positions, segments and prompts.
pub(super) fn cpmant(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.common.tied = false;
    let c = &decoder.common;
    let prompts = config.size_or("prompt_types", 32)? * config.size_or("prompt_length", 32)?;
    let segments = config.size_or("segment_types", 32)?;
    let buckets =
        segments.saturating_mul(segments).saturating_add(config.size_or("position_bias_num_buckets", 512)?);
    let mut architecture = decoder.build();
    architecture.before.push(extra(vec![
        Tensor::matrix("prompt_embedding.weight", prompts, c.hidden, Component::Embedding),
        Tensor::matrix("segment_embedding.weight", segments, c.hidden, Component::Other),
        Tensor::matrix("position_bias.relative_attention_bias", buckets, c.heads, Component::Attention),
    ]));
    Ok(architecture)
}

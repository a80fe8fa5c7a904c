//! Dense decoders with RMS norms and gated feed-forward layers, and what sets each apart from Llama.

use super::decoder::{Decoder, NormKind, Order, Reading, extra};
use super::prediction::{Predicting, predicting};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Biases, Block, Embedding, Mlp, Norm, QkNorm};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// InternLM-1 (`modeling_internlm.py` of its repository): `bias` covers attention's four projections.
pub(super) fn internlm(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let bias = config.bool_or("bias", true)?;
    decoder.attention.biases = Biases::qkv_o(bias, bias);
    Ok(decoder.build())
}

/// InternLM-3: `qkv_bias` covers attention's four projections, `bias` the feed-forward layer's three.
pub(super) fn internlm3(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let bias = config.bool_of(&["qkv_bias", "attention_bias"], false)?;
    decoder.attention.biases = Biases::qkv_o(bias, bias);
    let bias = config.bool_of(&["bias", "mlp_bias"], false)?;
    (decoder.mlp.up_bias, decoder.mlp.down_bias) = (bias, bias);
    Ok(decoder.build())
}

/// Llama and the many that differ from it in nothing that has weights, or only in fields that the
/// general rules read.
pub(super) fn llama(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    Ok(Decoder::read(config)?.build())
}

/// Mistral and Phi-3: no biases at all.
pub(super) fn no_biases(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases = Biases::NONE;
    (decoder.mlp.up_bias, decoder.mlp.down_bias) = (false, false);
    Ok(decoder.build())
}

/// Biases on queries, keys and values, always: Qwen2.
pub(super) fn qwen2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases = Biases::qkv_o(true, false);
    Ok(decoder.build())
}

/// Qwen-1 (`modeling_qwen.py` of its repository): biases on queries, keys and values;
/// `intermediate_size` is twice the inner width.
pub(super) fn qwen1(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases = Biases::qkv_o(true, false);
    decoder.mlp.inner /= 2;
    Ok(decoder.build())
}

/// `attention_bias` does not reach the output projection: GLM.
pub(super) fn no_output_bias(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases.o = false;
    Ok(decoder.build())
}

/// GLM-4-0414: norms before and after, biases on queries, keys and values.
pub(super) fn glm4(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases.o = false;
    decoder.order = Order::Sandwich;
    Ok(decoder.build())
}

/// GLM-4.1V's text model: GLM-4-0414, its biases whatever `attention_bias` says.
pub(super) fn glm4v(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases = Biases::qkv_o(true, false);
    decoder.order = Order::Sandwich;
    Ok(decoder.build())
}

/// GLM-OCR's text model: GLM-4-0414 without biases.
pub(super) fn glm_ocr(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases = Biases::NONE;
    decoder.order = Order::Sandwich;
    Ok(decoder.build())
}

/// ChatGLM-2 and 3, GLM-4-9B of 2024 (`modeling_chatglm.py`): multi-query groups in a field of their own.
pub(super) fn chatglm(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    let grouped = config.bool_or("multi_query_attention", false)?;
    let bias = config.bool_or("add_bias_linear", false)?;
    let qkv = bias || config.bool_or("add_qkv_bias", false)?;
    if !grouped {
        decoder.attention.kv_heads = decoder.attention.heads;
    }
    decoder.attention.biases = Biases::qkv_o(qkv, bias);
    (decoder.mlp.up_bias, decoder.mlp.down_bias) = (bias, bias);
    Ok(decoder.build())
}

/// A norm on each query and key head: Qwen3, Hunyuan.
pub(super) fn head_norms(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(decoder.build())
}

/// OLMo-2 and 3: norms after, and over the full width of queries and keys.
pub(super) fn olmo2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Post;
    decoder.attention.qk_norm = QkNorm::Full;
    Ok(decoder.build())
}

/// OLMo-1: norms without weights.
pub(super) fn olmo(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.common.norms = NormKind::Bare;
    Ok(decoder.build())
}

/// EXAONE-4: norms after, and on query and key heads.
pub(super) fn exaone4(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Post;
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(Architecture { mtp: predicting(config, &decoder, Predicting::Last)?, ..decoder.build() })
}

/// HyperCLOVA X: norms after as well where `use_post_norm` says so.
pub(super) fn hyperclovax(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    if config.bool_or("use_post_norm", false)? {
        decoder.order = Order::Sandwich;
    }
    Ok(decoder.build())
}

/// Cohere's Command R: attention and feed-forward layer read one layer norm without bias; query-key
/// norms with weights for every head where `use_qk_norm` says so (Command R+).
pub(super) fn cohere(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Parallel;
    if decoder.attention.qk_norm != QkNorm::None {
        decoder.attention.qk_norm = QkNorm::EveryHead;
    }
    Ok(decoder.build())
}

/// Apertus: query-key norms; an ungated feed-forward layer whose activation (xIELU) has two parameters.
pub(super) fn apertus(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?.ungated();
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(decoder.build_with_extra(&[Tensor::vector("mlp.act_fn.alpha", 2, Component::Mlp)]))
}

/// Ungated feed-forward layers with RMS norms: Arcee.
pub(super) fn ungated(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    Ok(Decoder::read(config)?.ungated().build())
}

/// nanochat: ungated, and no norm holds weights.
pub(super) fn nanochat(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?.ungated();
    decoder.common.norms = NormKind::Bare;
    Ok(decoder.build())
}

/// Nemotron-4, Minitron, JAIS-2: ungated, layer norms with biases.
pub(super) fn nemotron(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?.ungated();
    decoder.common.norms = NormKind::WeightAndBias;
    Ok(decoder.build())
}

/// Orion (`modeling_orion.py` of its repository): Llama with layer norms that have biases.
pub(super) fn orion(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.common.norms = NormKind::WeightAndBias;
    Ok(decoder.build())
}

/// StableLM: layer norms with biases, one or two a layer; query-key norms for every head.
pub(super) fn stablelm(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.common.norms = NormKind::WeightAndBias;
    decoder.attention.biases = Biases::qkv_o(config.bool_or("use_qkv_bias", false)?, false);
    if decoder.attention.qk_norm != QkNorm::None {
        decoder.attention.qk_norm = QkNorm::EveryHead;
    }
    if config.bool_or("use_parallel_residual", false)? {
        decoder.order = Order::Parallel;
    }
    Ok(decoder.build())
}

/// BitNet b1.58: norms before both output projections too.
pub(super) fn bitnet(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let (attention, inner) = (decoder.common.hidden, decoder.mlp.inner);
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let mut layer = decoder.layer_with(i, vec![decoder.attention_of(i)]);
        layer.push(Block::Norm(Norm::rms("self_attn.attn_sub_norm.weight", attention)));
        layer.push(Block::Norm(Norm::rms("mlp.ffn_sub_norm.weight", inner)));
        layer
    });
    Ok(decoder.finish(layers.collect()))
}

/// Helium: an output projection as wide as the model, without bias.
pub(super) fn helium(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases.o = false;
    decoder.attention.o_input = Some(decoder.common.hidden);
    Ok(decoder.build())
}

/// Differential attention (Ye et al. 2024, arXiv:2410.05258): four vectors of a head's dimension set the
/// weight of the second softmax.
pub(super) fn diffllama(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let lambdas = Tensor::vector("self_attn.lambda", 4 * decoder.common.head_dim, Component::Attention);
    Ok(decoder.build_with_extra(&[lambdas]))
}

/// ModernBERT's decoder: the first layer's attention has no norm of its own; norms after the embedding
/// and inside the head.
pub(super) fn modernbert(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    if config.bool_or("norm_bias", false)? {
        decoder.common.norms = NormKind::WeightAndBias;
    }
    decoder.head_bias = config.bool_or("decoder_bias", true)?;
    let c = &decoder.common;
    let hidden = c.hidden;
    let mut architecture = decoder.build();
    architecture.layers[0].remove(0);
    architecture.before.push(c.norm("embeddings.norm.weight"));
    let dense_bias = config.bool_or("classifier_bias", false)?;
    let mut dense = vec![Tensor::matrix("lm_head.dense.weight", hidden, hidden, Component::LmHead)];
    if dense_bias {
        dense.push(Tensor::vector("lm_head.dense.bias", hidden, Component::LmHead));
    }
    architecture.after.insert(1, extra(dense));
    architecture.after.insert(2, c.norm("lm_head.norm.weight"));
    Ok(architecture)
}

/// Llama 3.2 Vision's text model: the layers in `cross_attention_layers` attend to the image instead, with
/// gates and query-key norms; the embedding has 8 entries more than the head. Without an image those
/// layers are skipped, and what they cache does not grow with the text.
pub(super) fn mllama(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let c = &decoder.common;
    let cross = match config.numbers("cross_attention_layers")? {
        Some(layers) => layers,
        None => (3..40).step_by(5).collect(),
    };
    let part = Component::Attention;
    let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let attention = extra(vec![
        Tensor::matrix("cross_attn.q_proj.weight", q, c.hidden, part).split_over(c.heads),
        Tensor::matrix("cross_attn.kv_proj.weight", 2 * kv, c.hidden, part).split_over(c.kv_heads),
        Tensor::matrix("cross_attn.o_proj.weight", c.hidden, q, part).split_over(c.heads),
        Tensor::vector("cross_attn.qk_norm.weight", 2 * c.head_dim, Component::Norm),
        Tensor::vector("cross_attn_gates", 2, part),
    ]);
    let layers = (0..c.layers as usize).map(|i| {
        let crosses = cross.contains(&(i as u64));
        let mixer = if crosses { attention.clone() } else { decoder.attention_of(i) };
        decoder.layer_with(i, vec![mixer])
    });
    let mut architecture = decoder.finish(layers.collect());
    let embedding = Embedding { vocabulary: c.vocabulary + 8, width: c.hidden };
    architecture.before = vec![Block::Embedding(embedding)];
    Ok(architecture)
}

/// DeciLM (`modeling_decilm.py` of NVIDIA's Nemotron-NAS models): `block_configs` says for each layer
/// whether attention and feed-forward layer are there, are replaced by a linear layer, and how large.
pub(super) fn decilm(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read_as(config, Reading { four_times: true, ..Reading::default() })?;
    let c = &decoder.common;
    let blocks = config.subs("block_configs")?;
    if blocks.len() as u64 != c.layers {
        let cause = format!("{} entries for {} layers", blocks.len(), c.layers);
        return Err(config.error("block_configs", cause));
    }
    let linear = |name| extra(vec![Tensor::matrix(name, c.hidden, c.hidden, Component::Attention)]);
    let mut layers = Vec::with_capacity(blocks.len());
    for block in &blocks {
        let (attention, ffn) = (block.sub("attention")?, block.sub("ffn")?);
        let mut layer = Vec::with_capacity(4);
        if !attention.bool_or("no_op", false)? {
            layer.push(c.norm("input_layernorm.weight"));
            if attention.bool_or("replace_with_linear", false)? {
                layer.push(linear("self_attn.linear_attn.weight"));
            } else {
                let group = attention.size_or("n_heads_in_group", 1)?.min(c.heads);
                let mut own = decoder.attention.clone();
                own.kv_heads = c.heads / group;
                layer.push(Block::Attention(own));
            }
        }
        if !ffn.bool_or("no_op", false)? {
            layer.push(c.norm("post_attention_layernorm.weight"));
            if ffn.bool_or("replace_with_linear", false)? {
                layer.push(linear("mlp.linear_mlp.weight"));
            } else {
                let inner = decilm_inner(ffn.f64_or("ffn_mult", 4.0)?, c.hidden);
                layer.push(Block::Mlp(Mlp::gated(c.hidden, inner)));
            }
        }
        layers.push(layer);
    }
    Ok(decoder.finish(layers))
}

/// Two thirds of `multiplier × hidden`, rounded up to a multiple of 256.
fn decilm_inner(multiplier: f64, hidden: u64) -> u64 {
    let exact = (2.0 * multiplier * hidden as f64 / 3.0).clamp(1.0, crate::model::config::MAX_SIZE as f64);
    (exact as u64).next_multiple_of(256)
}

/// Molmo-2's text model: an embedding with additional entries, query-key norms by head or over the width,
/// no bias on the output projection.
pub(super) fn molmo2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases.o = false;
    let by_head = config.opt_str("qk_norm_type")?.unwrap_or("qwen3") == "qwen3";
    decoder.attention.qk_norm = if by_head { QkNorm::PerHead } else { QkNorm::Full };
    let mut architecture = decoder.build();
    let c = &decoder.common;
    let vocabulary = c.vocabulary + config.size_or("additional_vocab_size", 128)?;
    architecture.before[0] = Block::Embedding(Embedding { vocabulary, width: c.hidden });
    Ok(architecture)
}

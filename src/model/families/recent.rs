//! Decoders whose parts are known and whose arrangement is their own: Beam, Lara, Dory, Moshi, XLNet.

use std::ops::Range;

use super::decoder::{Common, Decoder, NormKind, Order, extra};
use super::hybrid::reuse;
use super::linear;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Biases, Block, Gate, Head, Mlp, QkNorm};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// Beam: sandwich norms, norms of query and key heads, an output gate with a bias a head.
pub(super) fn beam(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.order = Order::Sandwich;
    decoder.attention.qk_norm = QkNorm::PerHead;
    decoder.attention.gate = Gate::Full;
    let bias = Tensor::vector("self_attn.gate_bias", decoder.common.heads, Component::Attention);
    Ok(decoder.build_with_extra(&[bias]))
}

/// Lara Mini: the delta rule and attention with norms of query and key heads by turns, neither gated; experts with a
/// shared one in every layer.
pub(super) fn lara(config: &Config, scope: Scope) -> Result<Architecture, Diagnostic> {
    let mut architecture = linear::qwen3_next(config, scope)?;
    for block in architecture.layers.iter_mut().flatten() {
        match block {
            Block::Attention(attention) => attention.gate = Gate::None,
            Block::Moe(moe) => {
                if let Some(shared) = &mut moe.shared {
                    shared.gate = false;
                }
            }
            _ => {}
        }
    }
    Ok(architecture)
}

/// Dory: attention and feed-forward layers by turns, no norms: scales of queries and keys, gates, inner features and
/// both sides of the residual stream, and of the logits.
pub(super) fn dory(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.gate = Gate::Full;
    let kinds = config.strings("layer_types")?;
    let c = decoder.common.clone();
    let scales = |elements, part| extra(vec![Tensor::vector("scales", elements, part)]);
    let layers = (0..c.layers as usize).map(|i| {
        if kinds.get(i).is_some_and(|kind| kind == "mlp") {
            vec![Block::Mlp(decoder.mlp.clone()), scales(2 * decoder.mlp.inner + c.hidden, Component::Mlp)]
        } else {
            vec![decoder.attention_of(i), scales(2 * c.heads * c.head_dim + c.hidden, Component::Attention)]
        }
    });
    let layers: Vec<Vec<Block>> = layers.collect();
    let recurrent = recurrent(config, layers.len())?;
    let again = (1..recurrent.loops)
        .flat_map(|_| layers[recurrent.layers.clone()].iter().map(|layer| reuse(layer.clone(), false)));
    let (first, rest) = layers.split_at(recurrent.layers.end);
    let unrolled = first.iter().cloned().chain(again).chain(rest.iter().cloned()).collect();
    let mut architecture = decoder.finish(unrolled);
    if config.opt_str("recurrent_kv_cache_mode")? == Some("last_loop") && recurrent.loops > 1 {
        architecture.notes.push(
            "`recurrent_kv_cache_mode` last_loop keeps one cache for each layer; one for each pass is counted".into(),
        );
    }
    architecture.after = vec![Block::Head(c.head()), scales(c.vocabulary, Component::LmHead)];
    Ok(architecture)
}

/// Layers that a token passes several times, one after the other.
struct Recurrent {
    layers: Range<usize>,
    loops: u64,
}

/// Most passes: they multiply layers.
const MOST_LOOPS: u64 = 64;

/// Dory's recurrent section: behind `n_input_layers`, `n_recurrent_layers` long (all that are left where it is not said),
/// passed `n_recurrent_loops` times (twice), each pass with a cache of its own (`DoryModel.forward`). Where the numbers before
/// and behind are not said they are the class's, 8.
fn recurrent(config: &Config, layers: usize) -> Result<Recurrent, Diagnostic> {
    let start = config.opt_u64("n_input_layers")?.unwrap_or(8) as usize;
    let output = config.opt_u64("n_output_layers")?.unwrap_or(8) as usize;
    let length = match config.opt_u64("n_recurrent_layers")? {
        Some(n) => n as usize,
        None => layers.saturating_sub(start).saturating_sub(output),
    };
    let loops = config.size_or("n_recurrent_loops", 2)?;
    if start.saturating_add(length) > layers {
        let cause = format!("{length} layers from {start} on, of {layers}");
        return Err(config.error("n_recurrent_layers", cause));
    }
    if loops > MOST_LOOPS {
        return Err(config.error("n_recurrent_loops", format!("more than {MOST_LOOPS} passes")));
    }
    Ok(Recurrent { layers: start..start + length, loops })
}

/// Moshi's language model: a gated feed-forward layer whose width is stated for gate and up-projection together, and one
/// entry more in the embedding.
pub(super) fn moshi(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.mlp.inner = config.size("ffn_dim")? / 2;
    let hidden = decoder.common.hidden;
    let mut architecture = decoder.build();
    architecture.before.push(extra(vec![Tensor::matrix(
        "embed_tokens.start",
        1,
        hidden,
        Component::Embedding,
    )]));
    Ok(architecture)
}

/// XLNet: attention with a projection of relative positions and biases of queries, a bias on the head.
pub(super) fn xlnet(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let hidden = config.size("d_model")?;
    let heads = config.size("n_head")?;
    let head_dim = config.size("d_head")?;
    let common = Common {
        hidden,
        layers: config.layer_count(&["n_layer"])?,
        heads,
        kv_heads: heads,
        head_dim,
        vocabulary: config.size("vocab_size")?,
        max_context: None,
        tied: config.bool_or("tie_word_embeddings", true)?,
        norms: NormKind::WeightAndBias,
    };
    let width = heads.saturating_mul(head_dim);
    let positions = extra(vec![
        Tensor::matrix("rel_attn.r", width, hidden, Component::Attention),
        Tensor::vector("rel_attn.biases", 5 * width, Component::Attention),
    ]);
    let attention = Block::Attention(Attention { biases: Biases::NONE, ..common.attention() });
    let inner = config.size("d_inner")?;
    let mlp = Mlp { gated: false, up_bias: true, down_bias: true, ..Mlp::gated(hidden, inner) };
    let layer = common.layer(Order::Post, vec![attention, positions], vec![Block::Mlp(mlp)]);
    let mut architecture = common.decoder(vec![layer; common.layers as usize]);
    architecture.before.push(extra(vec![Tensor::vector("mask_emb", hidden, Component::Other)]));
    architecture.after = vec![Block::Head(Head { bias: true, ..common.head() })];
    Ok(architecture)
}

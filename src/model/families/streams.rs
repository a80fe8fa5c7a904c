//! Linear attention inside several residual streams: GLM-5.3 and Qwen4.

use super::decoder::{Decoder, extra};
use super::deepseek;
use super::linear::{attending, gated_delta};
use super::mixture::gate_shared_expert;
use crate::diagnostic::Diagnostic;
use crate::model::blocks::mixers::KimiDelta;
use crate::model::blocks::{Block, Gate, LatentAttention, QkNorm};
use crate::model::config::{Config, MAX_SIZE};
use crate::model::{Architecture, Component, Scope, Tensor};

/// GLM-5.3 (`Glm5NextTextModel`): Kimi delta attention, every fourth layer latent attention without
/// rotary part whose indexer pools its keys; hyper-connections.
pub(super) fn glm5_next(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?.without_mlp_biases();
    let c = decoder.common.clone();
    if !config.has("mlp_layer_types") && !config.has("first_k_dense_replace") {
        decoder.sparse.iter_mut().take(3).for_each(|sparse| *sparse = false);
    }
    let index = deepseek::indexer(config)?;
    let has_indexer = deepseek::indexed_layers(config, c.layers)?;
    let attention = deepseek::latent(config, &decoder)?;
    let own = config.opt_sub("linear_attn_config")?;
    let size = |name, short| match &own {
        Some(own) if own.has(short) => own.size(short),
        _ => config.size(name),
    };
    let head_dim = size("linear_head_dim", "head_dim")?;
    let mixer = KimiDelta {
        hidden: c.hidden,
        heads: size("linear_num_heads", "num_heads")?,
        head_dim,
        kernel: size("linear_conv_kernel_dim", "short_conv_kernel_size")?,
        decay_rank: Some(head_dim),
        gate_rank: Some(head_dim),
    };
    let part = Component::Attention;
    let pool = config.size_or("index_kpool", 16)?;
    let pooling = extra(vec![
        Tensor::matrix("self_attn.indexer.index_kpool_compress_ape", pool, index.head_dim, part),
        Tensor::matrix("self_attn.indexer.index_kpool_compress_gate", index.head_dim, c.hidden, part),
    ]);
    let connection = super::unusual::connections(config.size_or("hc_mult", 4)?, c.hidden);
    let attends = attending(config, c.layers, |i| i % 4 == 3)?;
    let layers = (0..c.layers as usize).map(|i| {
        let indexed = has_indexer.get(i).copied().unwrap_or(true);
        let mixer = if attends[i] {
            let indexer = indexed.then_some(index);
            Block::Latent(LatentAttention { indexer, ..attention.clone() })
        } else {
            Block::Recurrent(mixer.into())
        };
        let mut layer = decoder.layer_with(i, vec![mixer]);
        layer.extend((attends[i] && indexed).then(|| pooling.clone()));
        layer.push(connection.clone());
        layer
    });
    Ok(decoder.finish(layers.collect()))
}

/// Qwen4 (`Qwen4ExpTextModel`): Qwen3-Next with an indexer in the layers that attend, low-rank
/// hyper-connections without norms between, and n-gram embeddings in some layers.
pub(super) fn qwen4(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.gate = Gate::WithQuery;
    decoder.attention.qk_norm = QkNorm::PerHead;
    gate_shared_expert(&mut decoder);
    let c = decoder.common.clone();
    let every = config.size_or("full_attention_interval", 4)?;
    let attends = attending(config, c.layers, |i| (i + 1).is_multiple_of(every))?;
    let mixer = gated_delta(config, c.hidden)?;
    let streams = config.size_or("hc_count", 4)?;
    let rank = config.size_or("hc_lowrank", 320)?;
    let width = streams * c.hidden;
    let indexer = qwen4_indexer(config, c.hidden)?;
    let grams = config.numbers("ple_layer_ids")?.unwrap_or_default();
    let layers = (0..c.layers as usize)
        .map(|i| {
            let mixer = match attends[i] {
                true => decoder.attention_of(i),
                false => Block::Recurrent(mixer.into()),
            };
            let mut layer = vec![mixer, decoder.ffn_of(i)];
            layer.extend(indexer.clone().filter(|_| attends[i]));
            let mut tensors = connection(width, rank, Component::Attention);
            tensors.extend(connection(width, rank, Component::Other));
            let inject = |part| Tensor::matrix("hyper_connection.block_inject_weight", streams, width, part);
            tensors.extend([inject(Component::Attention), inject(Component::Other)]);
            if let Some(index) = grams.iter().position(|id| *id == i as u64 + 1) {
                tensors.extend(gram_embedding(config, index as u64, streams, c.hidden)?);
            }
            layer.push(extra(tensors));
            Ok(layer)
        })
        .collect::<Result<_, Diagnostic>>()?;
    let mut architecture = decoder.finish(layers);
    // The streams are mixed where other models have their last norm.
    architecture.after[0] = extra(connection(width, rank, Component::Other));
    Ok(architecture)
}

/// More heads of n-gram embeddings than any model has; guards against typing errors.
const MAX_GRAM_HEADS: u64 = 1024;

/// What mixes the residual streams: a norm over all of them and a low-rank product.
fn connection(width: u64, rank: u64, part: Component) -> Vec<Tensor> {
    vec![
        Tensor::vector("hyper_connection.hc_norm.weight", width, Component::Norm),
        Tensor::matrix("hyper_connection.input_mix_weight_down.weight", rank, width, part),
        Tensor::matrix("hyper_connection.input_mix_weight_up.weight", width, rank, part),
    ]
}

/// The token indexer, if the file gives its sizes.
fn qwen4_indexer(config: &Config, hidden: u64) -> Result<Option<Block>, Diagnostic> {
    let (Some(heads), Some(dim)) =
        (config.opt_size_of(&["indexer_n_heads"])?, config.opt_size_of(&["indexer_head_dim"])?)
    else {
        return Ok(None);
    };
    let rows = (heads + config.size_or("indexer_kv_heads", 1)?) * dim;
    Ok(Some(extra(vec![
        Tensor::matrix("self_attn.indexer.index_qk_proj.weight", rows, hidden, Component::Attention),
        Tensor::vector("self_attn.indexer.q_layernorm.weight", dim, Component::Norm),
        Tensor::vector("self_attn.indexer.k_layernorm.weight", dim, Component::Norm),
    ])))
}

/// The embeddings of n-grams of one layer (`Qwen4ExpTextPLE`), the `index`-th that has them: each of its
/// hashed heads has a prime number of entries, no two the same.
fn gram_embedding(config: &Config, index: u64, streams: u64, hidden: u64) -> Result<Vec<Tensor>, Diagnostic> {
    let heads = config.size_or("ngram_size", 3)?.saturating_sub(1) * config.size_or("heads_per_ngram", 8)?;
    let width = config.opt_size_of(&["ple_embed_dim"])?.unwrap_or(hidden);
    if heads == 0 || (index + 1).saturating_mul(heads) > MAX_GRAM_HEADS {
        let cause = format!("from 1 to {MAX_GRAM_HEADS} heads of n-grams in all layers together");
        return Err(config.error("heads_per_ngram", cause));
    }
    let base = config.size_or("ngram_vocab_size_base", 20_000_000)?;
    let primes = primes_from(base, ((index + 1) * heads) as usize);
    let entries: u64 = primes.iter().skip((index * heads) as usize).sum();
    let multiple = config.size_or("make_ngram_vocab_size_divisible_by", 128)?;
    let part = Component::Embedding;
    let kernel = config.size_or("ple_conv_kernel_size", 4)?;
    let streamed = streams * hidden;
    let norm = |name| Tensor::vector(name, streamed, Component::Norm);
    Ok(vec![
        Tensor::matrix("ple.ngram_embedding.weight", entries.next_multiple_of(multiple), width / heads, part),
        Tensor::matrix("ple.key_proj.weight", streamed, width, Component::Other),
        Tensor::matrix("ple.value_proj.weight", hidden, width, Component::Other),
        norm("ple.norm_key.weight"),
        norm("ple.norm_query.weight"),
        norm("ple.norm_conv.weight"),
        Tensor { columns: kernel, ..Tensor::vector("ple.conv1d.weight", streamed, Component::Other) },
    ])
}

/// The first `count` primes that are not below `start`, which is at most [`MAX_SIZE`].
fn primes_from(start: u64, count: usize) -> Vec<u64> {
    let is_prime = |n: u64| n >= 2 && (2..=n.isqrt()).all(|d| !n.is_multiple_of(d));
    (start.min(MAX_SIZE)..).filter(|n| is_prime(*n)).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_n_grams_have_the_primes_after_the_base() {
        assert_eq!(primes_from(2000, 3), [2003, 2011, 2017]);
    }
}

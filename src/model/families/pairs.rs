//! Encoders and decoders in one model: T5 and BART with their kin, Whisper.
//!
//! Tensors as in the Transformers classes of each type. The layers of the encoder come first; what they compute is not
//! kept, the decoder's own attention is.

use super::decoder::{Common, NormKind, extra, positions};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Biases, Block, Embedding, Head, Mlp};
use crate::model::config::Config;
use crate::model::{Architecture, Component, MAX_LAYERS, Scope, Tensor};

/// Whether a checkpoint is of the encoder alone, by its class.
fn encodes_only(config: &Config) -> bool {
    first_class(config)
        .is_some_and(|class| class.contains("EncoderModel") || class.ends_with("EncoderForTextEncoding"))
}

/// Whether it is of the decoder alone.
fn decodes_only(config: &Config) -> bool {
    first_class(config).is_some_and(|class| class.contains("ForCausalLM"))
}

fn first_class(config: &Config) -> Option<String> {
    config.strings("architectures").ok()?.into_iter().next()
}

/// A number of layers, bounded.
fn layers(config: &Config, keys: &[&str]) -> Result<usize, Diagnostic> {
    Ok(config.layer_count(keys)? as usize)
}

/// The note on what the cache's figure leaves out.
fn cross_note(architecture: &mut Architecture) {
    architecture.notes.push(
        "the cache's figure is of a token that the decoder writes; its attention over the input keeps as much again \
         for each token of the input"
            .into(),
    );
}

/// T5, mT5, UMT5, ByT5, FLAN-T5: RMS norms, no biases, tables of relative positions: in the first layer of each half,
/// in every layer of UMT5.
pub(super) fn t5(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let hidden = config.size("d_model")?;
    let heads = config.size("num_heads")?;
    let inner = config.size("d_ff")?;
    let head_dim = config.size("d_kv")?;
    let encoder = layers(config, &["num_layers"])?;
    let decoder = match config.opt_size("num_decoder_layers")? {
        Some(n) if n <= MAX_LAYERS => n as usize,
        Some(_) => return Err(config.error("num_decoder_layers", format!("at most {MAX_LAYERS} layers"))),
        None => encoder,
    };
    let kind = config.opt_str("feed_forward_proj")?.unwrap_or("relu");
    let common = Common {
        hidden,
        layers: (encoder + decoder) as u64,
        heads,
        kv_heads: heads,
        head_dim,
        vocabulary: config.size("vocab_size")?,
        max_context: config.opt_size_of(&["n_positions"])?,
        tied: config.bool_or("tie_word_embeddings", true)?,
        norms: NormKind::Weight,
    };
    let buckets = config.size_or("relative_attention_num_buckets", 32)?;
    let everywhere = config.opt_str("model_type")? == Some("umt5");
    let relative = || {
        let part = Component::Attention;
        extra(vec![Tensor::matrix("self_attn.relative_attention_bias.weight", buckets, heads, part)])
    };
    let mlp = || Block::Mlp(Mlp { gated: kind.starts_with("gated"), ..Mlp::gated(hidden, inner) });
    let half = |count: usize, decodes: bool| {
        (0..count).map(move |i| (i, decodes)).map(|(i, decodes)| {
            let attention = Block::Attention(Attention { cached: decodes, ..common.attention() });
            let mut blocks = vec![common.norm("layer_norm.weight"), attention];
            if i == 0 || everywhere {
                blocks.push(relative());
            }
            if decodes {
                let cross = Block::Attention(Attention { cached: false, ..common.attention() });
                blocks.extend([common.norm("cross_attention_layer_norm.weight"), cross]);
            }
            blocks.extend([common.norm("ff_layer_norm.weight"), mlp()]);
            blocks
        })
    };
    let mut all: Vec<Vec<Block>> = half(encoder, false).collect();
    let only = encodes_only(config);
    if !only {
        all.extend(half(decoder, true));
    }
    let mut architecture = common.decoder(all);
    architecture.after = vec![common.norm("encoder.final_layer_norm.weight")];
    if !only {
        architecture.after.push(common.norm("decoder.final_layer_norm.weight"));
        if first_class(config).is_none_or(|class| !class.ends_with("Model")) {
            architecture.after.push(Block::Head(common.head()));
        }
        cross_note(&mut architecture);
    }
    Ok(architecture)
}

/// What sets BART's kin apart.
#[derive(Clone, Copy)]
struct Kind {
    /// Rows of the table of positions beyond the stated ones; `None` for positions without weights.
    positions: Option<u64>,
    /// Norms of the embeddings.
    embedding_norms: bool,
    /// Norms before, and one after the last layer of each half.
    before: bool,
    /// Biases of attention.
    biased: bool,
}

const BART: Kind = Kind { positions: Some(2), embedding_norms: true, before: false, biased: true };

/// BART, PLBart, MVP.
pub(super) fn bart(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, BART)
}

/// mBART: norms before.
pub(super) fn mbart(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { before: true, ..BART })
}

/// Blenderbot: norms before, no norm of the embeddings.
pub(super) fn blenderbot(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { before: true, embedding_norms: false, positions: Some(0), ..BART })
}

/// Blenderbot small: BART with positions as they are stated.
pub(super) fn blenderbot_small(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { positions: Some(0), ..BART })
}

/// Pegasus: norms before, positions that the class keeps among its weights.
pub(super) fn pegasus(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { before: true, embedding_norms: false, positions: Some(0), ..BART })
}

/// BigBird-Pegasus: no biases in attention.
pub(super) fn bigbird_pegasus(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let biased = config.bool_or("use_bias", false)?;
    let mut architecture =
        read(config, Kind { before: false, embedding_norms: true, positions: Some(0), biased })?;
    // The class of the decoder alone has a head of its own.
    for block in &mut architecture.after {
        if let Block::Head(head) = block
            && decodes_only(config)
        {
            head.tied = false;
        }
    }
    Ok(architecture)
}

/// Marian: norms after, none of the embeddings.
pub(super) fn marian(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { embedding_norms: false, positions: Some(0), ..BART })
}

/// M2M-100 and NLLB: norms before, positions without weights.
pub(super) fn m2m(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { before: true, embedding_norms: false, positions: None, ..BART })
}

/// TrOCR: a decoder that looks at encoded images.
pub(super) fn trocr(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let learned = config.bool_or("use_learned_position_embeddings", true)?;
    let kind = Kind {
        positions: learned.then_some(2),
        embedding_norms: config.bool_or("layernorm_embedding", true)?,
        ..BART
    };
    read(config, kind)
}

/// One half of such a model.
struct Half {
    common: Common,
    inner: u64,
    kind: Kind,
    /// Whether keys have biases.
    key_bias: bool,
}

impl Half {
    fn read(config: &Config, kind: Kind, side: &'static str) -> Result<Half, Diagnostic> {
        let key = |name: &str| format!("{side}_{name}");
        let hidden = config.size("d_model")?;
        let heads = config.size(&key("attention_heads"))?;
        if heads > hidden {
            return Err(config.error(&key("attention_heads"), "more heads than the model is wide"));
        }
        let common = Common {
            hidden,
            layers: config.layer_count(&[&key("layers")])?,
            heads,
            kv_heads: heads,
            head_dim: hidden / heads,
            vocabulary: config.size("vocab_size")?,
            max_context: config.opt_size_of(&["max_position_embeddings", "max_target_positions"])?,
            tied: config.bool_or("tie_word_embeddings", true)?,
            norms: NormKind::WeightAndBias,
        };
        Ok(Half { common, inner: config.size(&key("ffn_dim"))?, kind, key_bias: kind.biased })
    }

    fn attention(&self, cached: bool) -> Block {
        let biased = self.kind.biased;
        let biases = Biases { k: self.key_bias, ..Biases::qkv_o(biased, biased) };
        Block::Attention(Attention { biases, cached, ..self.common.attention() })
    }

    /// Its layers; a decoder's also look at the encoder's output.
    fn layers(&self, decodes: bool) -> Vec<Vec<Block>> {
        let norm = |name| self.common.norm(name);
        let mut layer = vec![norm("self_attn_layer_norm.weight"), self.attention(decodes)];
        if decodes {
            layer.extend([norm("encoder_attn_layer_norm.weight"), self.attention(false)]);
        }
        let mlp = Mlp {
            gated: false,
            up_bias: true,
            down_bias: true,
            ..Mlp::gated(self.common.hidden, self.inner)
        };
        layer.extend([norm("final_layer_norm.weight"), Block::Mlp(mlp)]);
        vec![layer; self.common.layers as usize]
    }

    /// Its positions, the norm of its embeddings, and the norm after its last layer.
    fn around(&self, rows: Option<u64>) -> Vec<Block> {
        let mut around = Vec::new();
        around.extend(rows.map(|rows| positions(rows, self.common.hidden)));
        if self.kind.embedding_norms {
            around.push(self.common.norm("layernorm_embedding.weight"));
        }
        if self.kind.before {
            around.push(self.common.norm("layer_norm.weight"));
        }
        around
    }
}

fn read(config: &Config, kind: Kind) -> Result<Architecture, Diagnostic> {
    let decoder = Half::read(config, kind, "decoder")?;
    let rows = match kind.positions {
        Some(more) => Some(config.size("max_position_embeddings")?.saturating_add(more)),
        None => None,
    };
    let c = &decoder.common;
    let alone = decodes_only(config);
    let mut before = vec![Block::Embedding(Embedding { vocabulary: c.vocabulary, width: c.hidden })];
    let mut all = Vec::new();
    if !alone {
        let encoder = Half::read(config, kind, "encoder")?;
        before.extend(encoder.around(rows));
        all.extend(encoder.layers(false));
    }
    before.extend(decoder.around(rows));
    all.extend(decoder.layers(true));
    let mut architecture = c.decoder(all);
    architecture.before = before;
    architecture.after = vec![Block::Head(c.head())];
    cross_note(&mut architecture);
    Ok(architecture)
}

/// Whisper: two convolutions over the spectrum, layers over 1,500 positions, and a decoder; keys without biases.
pub(super) fn whisper(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let kind = Kind { positions: Some(0), embedding_norms: false, before: true, biased: true };
    let mut decoder = Half::read(config, kind, "decoder")?;
    decoder.key_bias = false;
    let c = decoder.common.clone();
    let alone = decodes_only(config);
    let mut before = vec![Block::Embedding(Embedding { vocabulary: c.vocabulary, width: c.hidden })];
    let mut all = Vec::new();
    if !alone {
        let mut encoder = Half::read(config, kind, "encoder")?;
        encoder.key_bias = false;
        let bins = config.size("num_mel_bins")?;
        let part = Component::Other;
        before.push(extra(vec![
            Tensor::matrix("encoder.conv1.weight", c.hidden, bins.saturating_mul(3), part),
            Tensor::matrix("encoder.conv2.weight", c.hidden, c.hidden.saturating_mul(3), part),
            Tensor::vector("encoder.conv.biases", 2 * c.hidden, part),
        ]));
        before.extend(encoder.around(Some(config.size_or("max_source_positions", 1500)?)));
        all.extend(encoder.layers(false));
    }
    before.extend(decoder.around(Some(config.size_or("max_target_positions", 448)?)));
    all.extend(decoder.layers(true));
    let mut architecture = c.decoder(all);
    architecture.before = before;
    architecture.after = vec![Block::Head(Head { bias: false, ..c.head() })];
    cross_note(&mut architecture);
    Ok(architecture)
}

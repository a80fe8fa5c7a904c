//! Encoders of text: BERT, RoBERTa and their kin, for vectors, scores and masked words.
//!
//! Tensors as in the Transformers classes of each type.

use super::decoder::{Common, NormKind, Order, extra};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Attention, Biases, Block, Embedding, Head, Mlp};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor};

/// What sets the types apart.
#[derive(Clone, Copy)]
struct Kind {
    /// Vectors of positions: learned ones of the embedding's width, or none.
    positions: bool,
    /// Whether positions are counted from behind the padding token's number, so that their table has more rows than there
    /// are positions: 514 for 512 (`create_position_ids_from_input_ids` of Transformers' `modeling_roberta.py`; the same in
    /// vLLM 0.33 `models/roberta.py`).
    padded: bool,
    /// Vectors of kinds of token, so many unless the file says.
    types: Option<u64>,
    /// A norm of the embedding.
    embedding_norm: bool,
    /// Where the norms of a layer stand.
    order: Order,
    /// A norm after the last layer.
    last_norm: bool,
    /// A layer over the first token's vector, in the bare model and before a classifier.
    pooler: bool,
    /// Whether a classifier has a hidden layer of its own instead.
    deep_classifier: bool,
    /// A hidden layer and a norm before the output projection to the vocabulary.
    transform: bool,
    /// Whether the layer before the output projection has a bias, and the projection a second one beside the head's where
    /// it does not share the embedding.
    second_bias: bool,
    /// Biases of linear layers.
    biased: bool,
    /// Whether a gate multiplies the feed-forward layer.
    gated: bool,
    norms: NormKind,
}

/// BERT: learned positions, two kinds of token, norms after attention and after the feed-forward layer, a pooler.
const BERT: Kind = Kind {
    positions: true,
    padded: false,
    types: Some(2),
    embedding_norm: true,
    order: Order::Post,
    last_norm: false,
    pooler: true,
    deep_classifier: false,
    transform: true,
    second_bias: true,
    biased: true,
    gated: false,
    norms: NormKind::WeightAndBias,
};
/// RoBERTa: a classifier with a hidden layer instead of a pooler.
const ROBERTA: Kind = Kind { padded: true, deep_classifier: true, ..BERT };

/// BERT, CamemBERT's kin with BERT's head, ERNIE.
pub(super) fn bert(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut architecture = read(config, BERT)?;
    if config.bool_or("use_task_id", false)? {
        let (count, width) = (config.size_or("task_type_vocab_size", 3)?, config.size("hidden_size")?);
        architecture.before.push(vectors("embeddings.task_type_embeddings.weight", count, width));
    }
    Ok(architecture)
}

/// RoBERTa, XLM-RoBERTa, CamemBERT, data2vec.
pub(super) fn roberta(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, ROBERTA)
}

/// RoBERTa with norms before attention and feed-forward layer.
pub(super) fn roberta_pre(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { order: Order::Pre, last_norm: true, ..ROBERTA })
}

/// XLM-RoBERTa XL: the same without a norm of the embedding.
pub(super) fn roberta_xl(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { order: Order::Pre, last_norm: true, embedding_norm: false, ..ROBERTA })
}

/// Megatron-BERT: norms before, none of the embedding.
pub(super) fn megatron(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { order: Order::Pre, last_norm: true, embedding_norm: false, ..BERT })
}

/// BertGeneration: no kinds of token, no transformation before the output projection.
pub(super) fn bert_generation(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { types: None, pooler: false, transform: false, ..BERT })
}

/// RoFormer: rotary positions from a table of its own; no pooler.
pub(super) fn roformer(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let kind = Kind { positions: false, pooler: false, deep_classifier: true, ..BERT };
    let mut architecture = read(config, kind)?;
    let (positions, hidden) = (config.size("max_position_embeddings")?, config.size("hidden_size")?);
    let width = hidden / config.size("num_attention_heads")?;
    architecture.before.push(vectors("encoder.embed_positions.weight", positions, width));
    Ok(architecture)
}

/// ELECTRA: embeddings narrower than the model, a generator's head of their width.
pub(super) fn electra(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { pooler: false, deep_classifier: true, second_bias: false, ..BERT })
}

/// BigBird: BERT that keeps its pooler under a language model's head.
pub(super) fn big_bird(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut architecture = read(config, Kind { deep_classifier: true, ..BERT })?;
    if !ends_with_body(config) {
        let hidden = config.size("hidden_size")?;
        architecture.after.insert(0, dense("pooler.weight", hidden, hidden));
    }
    Ok(architecture)
}

/// X-MOD: RoBERTa with adapters of every language in every layer.
pub(super) fn xmod(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let norms = if config.bool_or("pre_norm", false)? { Order::Pre } else { Order::Post };
    let mut architecture = read(config, Kind { order: norms, last_norm: norms == Order::Pre, ..ROBERTA })?;
    let hidden = config.size("hidden_size")?;
    let inner = hidden / config.size_or("adapter_reduction_factor", 2)?;
    let languages = config.strings("languages")?.len() as u64;
    let own_norm = u64::from(config.bool_or("adapter_layer_norm", false)?);
    let vector = languages.saturating_mul(inner + hidden).saturating_add(2 * hidden * own_norm);
    for layer in &mut architecture.layers {
        layer.push(extra(vec![
            Tensor::matrix("adapter_modules.dense.weight", 2 * languages * inner, hidden, Component::Other),
            Tensor::vector("adapter_modules.dense.bias", vector, Component::Other),
        ]));
    }
    Ok(architecture)
}

/// RoCBert: BERT with vectors of how a character sounds and looks.
pub(super) fn roc_bert(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut architecture = read(config, BERT)?;
    let hidden = config.size("hidden_size")?;
    let mut inputs = hidden;
    for (flag, count, width, name) in [
        (
            "enable_pronunciation",
            "pronunciation_vocab_size",
            "pronunciation_embed_dim",
            "embeddings.pronunciation_embed.weight",
        ),
        ("enable_shape", "shape_vocab_size", "shape_embed_dim", "embeddings.shape_embed.weight"),
    ] {
        if config.bool_or(flag, true)? {
            let (count, width) = (config.size(count)?, config.size(width)?);
            architecture.before.push(vectors(name, count, width));
            inputs += width;
        }
    }
    if config.bool_or("concat_input", true)? {
        architecture.before.push(dense("embeddings.map_inputs_layer.weight", hidden, inputs));
    }
    Ok(architecture)
}

/// RemBERT: narrow embeddings, and an output projection of another width with weights of its own.
pub(super) fn rembert(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { second_bias: false, ..BERT })
}

/// ModernBERT: rotary positions, gated feed-forward layers, norms without biases before; the first layer's attention
/// reads the embedding's norm.
pub(super) fn modernbert(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let bias = config.bool_or("norm_bias", false)?;
    let kind = Kind {
        positions: false,
        types: None,
        order: Order::Pre,
        last_norm: true,
        pooler: false,
        second_bias: false,
        biased: false,
        gated: true,
        norms: if bias { NormKind::WeightAndBias } else { NormKind::Weight },
        ..BERT
    };
    let mut architecture = read(config, kind)?;
    // The class leaves the first norm out.
    if let Some(first) = architecture.layers.first_mut() {
        first.remove(0);
    }
    // Two of three layers look 64 tokens to either side (transformers `modeling_modernbert.py`, `local_attention`).
    let every = config.size_or("global_attn_every_n_layers", 3)? as usize;
    let local = config.size_or("local_attention", 128)?;
    for (_, layer) in architecture.layers.iter_mut().enumerate().filter(|(i, _)| !i.is_multiple_of(every)) {
        for block in layer {
            if let Block::Attention(attention) = block {
                attention.window = Some(local);
            }
        }
    }
    Ok(architecture)
}

/// Nomic's BERT and GTE: rotary positions, gated feed-forward layers without biases but in the output, no pooler.
pub(super) fn nomic(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let gated = matches!(config.opt_str("activation_function")?, None | Some("swiglu" | "glu"));
    let bias = config.bool_of(&["qkv_proj_bias", "attention_bias"], false)?;
    let kind = Kind {
        positions: false,
        types: Some(2),
        pooler: false,
        biased: bias,
        gated,
        deep_classifier: false,
        ..BERT
    };
    read(config, kind)
}

/// EuroBERT: Llama that sees its whole input.
pub(super) fn eurobert(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let kind = Kind {
        positions: false,
        types: None,
        embedding_norm: false,
        order: Order::Pre,
        last_norm: true,
        pooler: false,
        transform: false,
        second_bias: false,
        biased: false,
        gated: true,
        norms: NormKind::Weight,
        ..BERT
    };
    read(config, kind)
}

/// DistilBERT: BERT without kinds of token and pooler, under names of its own.
pub(super) fn distilbert(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    read(config, Kind { types: None, pooler: false, deep_classifier: true, second_bias: false, ..BERT })
}

/// MPNet: RoBERTa without kinds of token, with a table of relative positions.
pub(super) fn mpnet(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut architecture = read(config, Kind { types: None, ..ROBERTA })?;
    let buckets = config.size_or("relative_attention_num_buckets", 32)?;
    let heads = config.size("num_attention_heads")?;
    architecture.before.push(vectors("encoder.relative_attention_bias.weight", buckets, heads));
    Ok(architecture)
}

/// DeBERTa-v2 and v3: relative positions that all layers share, keys and queries of their own unless `share_att_key`.
pub(super) fn deberta_v2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let kind = Kind {
        positions: config.bool_or("position_biased_input", true)?,
        types: Some(config.opt_u64("type_vocab_size")?.unwrap_or(0)).filter(|n| *n > 0),
        deep_classifier: false,
        pooler: false,
        ..BERT
    };
    let mut architecture = read(config, kind)?;
    let hidden = config.size("hidden_size")?;
    if config.bool_or("relative_attention", false)? {
        let positions = config.opt_index("max_relative_positions")?.filter(|n| *n > 0);
        let positions = match positions {
            Some(n) => n,
            None => config.size("max_position_embeddings")?,
        };
        let span = config.opt_index("position_buckets")?.filter(|n| *n > 0).unwrap_or(positions);
        architecture.before.push(vectors("encoder.rel_embeddings.weight", 2 * span, hidden));
        if config.opt_str("norm_rel_ebd")?.is_some_and(|norm| norm.contains("layer_norm")) {
            architecture.before.push(extra(vec![Tensor::vector(
                "encoder.LayerNorm",
                2 * hidden,
                Component::Norm,
            )]));
        }
    }
    let kernel = config.opt_u64("conv_kernel_size")?.unwrap_or(0);
    if kernel > 0 {
        architecture.before.push(extra(vec![
            Tensor::matrix("encoder.conv.conv.weight", hidden, hidden * kernel, Component::Other),
            Tensor::vector("encoder.conv.biases", 3 * hidden, Component::Other),
        ]));
    }
    Ok(architecture)
}

/// Whether a class is named after a task: `BertForTokenClassification`, and not `RoFormerModel`.
fn names_a_task(class: &str) -> bool {
    let after =
        |(at, word): (usize, &str)| class[at + word.len()..].starts_with(|c: char| c.is_ascii_uppercase());
    class.match_indices("For").any(after)
}

/// A table of `count` vectors.
fn vectors(name: &'static str, count: u64, width: u64) -> Block {
    extra(vec![Tensor::matrix(name, count, width, Component::Other)])
}

/// A linear layer with a bias outside the layers.
fn dense(name: &'static str, outputs: u64, inputs: u64) -> Block {
    extra(vec![
        Tensor::matrix(name, outputs, inputs, Component::Other),
        Tensor::vector("dense.bias", outputs, Component::Other),
    ])
}

/// Whether the checkpoint is of the body alone.
fn ends_with_body(config: &Config) -> bool {
    let classes = config.strings("architectures").unwrap_or_default();
    classes.first().is_none_or(|class| class.ends_with("Model") && !class.ends_with("LMHeadModel"))
}

fn read(config: &Config, kind: Kind) -> Result<Architecture, Diagnostic> {
    let hidden = config.size_of(&["hidden_size", "n_embd", "d_model", "dim"])?;
    let heads = config.size_of(&["num_attention_heads", "n_head", "n_heads"])?;
    let vocabulary = config.size("vocab_size")?;
    let inner = config.size_of(&["intermediate_size", "n_inner", "hidden_dim"])?;
    let positions = config.opt_size_of(&["max_position_embeddings", "n_positions"])?;
    if heads > hidden {
        return Err(config.error("num_attention_heads", "more heads than the model is wide"));
    }
    let common = Common {
        hidden,
        layers: config.layer_count(&["num_hidden_layers", "n_layer", "n_layers"])?,
        heads,
        kv_heads: config.opt_size_of(&["num_key_value_heads"])?.unwrap_or(heads),
        head_dim: config.opt_size_of(&["head_dim"])?.unwrap_or(hidden / heads),
        vocabulary,
        max_context: positions,
        tied: config.bool_or("tie_word_embeddings", true)?,
        norms: kind.norms,
    };
    let attention = Block::Attention(Attention {
        biases: Biases::qkv_o(kind.biased, kind.biased),
        cached: false,
        ..common.attention()
    });
    let mlp = Block::Mlp(Mlp {
        gated: kind.gated,
        up_bias: kind.biased,
        down_bias: kind.biased,
        ..Mlp::gated(hidden, inner)
    });
    let layer = common.layer(kind.order, vec![attention], vec![mlp]);
    let mut architecture = common.decoder(vec![layer; common.layers as usize]);
    architecture.after.clear();
    if kind.padded {
        let padding = config.opt_index("pad_token_id")?.unwrap_or(1);
        architecture.max_context = positions.map(|rows| rows.saturating_sub(padding + 1).max(1));
    }
    let width = config.opt_size_of(&["embedding_size", "input_embedding_size"])?.unwrap_or(hidden);
    architecture.before = before(config, kind, &common, width)?;
    if kind.last_norm {
        architecture.after.push(common.norm("encoder.LayerNorm.weight"));
    }
    outputs(config, kind, &common, width, &mut architecture)?;
    Ok(architecture)
}

/// The embedding of tokens, their positions and kinds, its norm, and the way from its width to the model's.
fn before(config: &Config, kind: Kind, common: &Common, width: u64) -> Result<Vec<Block>, Diagnostic> {
    let mut before = vec![Block::Embedding(Embedding { vocabulary: common.vocabulary, width })];
    if kind.positions {
        let count = common.max_context.unwrap_or(512);
        before.push(vectors("embeddings.position_embeddings.weight", count, width));
    }
    if let Some(usual) = kind.types {
        match config.opt_u64("type_vocab_size")?.unwrap_or(usual) {
            0 => {}
            count => before.push(vectors("embeddings.token_type_embeddings.weight", count, width)),
        }
    }
    if kind.embedding_norm {
        before.push(Common { hidden: width, ..common.clone() }.norm("embeddings.LayerNorm.weight"));
    }
    if width != common.hidden {
        before.push(dense("embeddings_project.weight", common.hidden, width));
    }
    Ok(before)
}

/// What the checkpoint's class puts on top: a pooler, a classifier, or a language model's head.
fn outputs(
    config: &Config,
    kind: Kind,
    common: &Common,
    width: u64,
    architecture: &mut Architecture,
) -> Result<(), Diagnostic> {
    let classes = config.strings("architectures").unwrap_or_default();
    let class = classes.first().map_or("", String::as_str);
    let hidden = common.hidden;
    let after = &mut architecture.after;
    let words = ["MaskedLM", "LMHead", "CausalLM", "ForPreTraining", "GenerationDecoder"];
    if words.iter().any(|part| class.contains(part)) {
        // Where the output is wider than the input it has weights of its own.
        let output = config.opt_size_of(&["output_embedding_size"])?.unwrap_or(width);
        if kind.transform {
            after.push(extra(vec![
                Tensor::matrix("predictions.transform.dense.weight", output, hidden, Component::Other),
                Tensor::vector(
                    "predictions.transform.vectors",
                    (if kind.biased || kind.second_bias { 2 } else { 1 }) * output,
                    Component::Other,
                ),
            ]));
            if kind.norms == NormKind::WeightAndBias {
                after.push(extra(vec![Tensor::vector(
                    "predictions.transform.LayerNorm.bias",
                    output,
                    Component::Other,
                )]));
            }
        }
        let tied = common.tied && output == width;
        let bias = kind.biased || kind.transform;
        after.push(Block::Head(Head { vocabulary: common.vocabulary, width: output, tied, bias }));
        if kind.second_bias && !tied {
            let second = Tensor::vector("predictions.decoder.bias", common.vocabulary, Component::Other);
            after.push(extra(vec![second]));
        }
    } else if names_a_task(class) {
        let labels = crate::model::outputs::labels(config);
        let tokens = class.contains("ForTokenClassification") || class.contains("ForQuestionAnswering");
        if !tokens && (kind.deep_classifier || kind.pooler) {
            after.push(dense("classifier.dense.weight", hidden, hidden));
        }
        after.push(dense("classifier.out_proj.weight", labels, hidden));
    } else if kind.pooler {
        after.push(dense("pooler.dense.weight", hidden, hidden));
    }
    Ok(())
}

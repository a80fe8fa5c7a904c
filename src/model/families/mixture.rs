//! Mixtures of experts: how their sizes and their placement are written, and families with ordinary
//! attention.

use super::general::{Decoder, Order};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Block, Gate, Mlp, Moe, QkNorm, SharedExpert};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor, TensorClass};

/// Names of the number of routed experts.
const EXPERTS: &[&str] = &["num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"];
/// Names of the number of experts one token uses.
const TOP_K: &[&str] = &[
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "moe_k",
    "moe_top_k",
    "num_selected_experts",
    "top_k_experts",
];
/// Names of an expert's inner width.
const EXPERT_INNER: &[&str] =
    &["moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "intermediate_size"];
/// Names of the inner width of all shared experts together.
const SHARED_INNER: &[&str] =
    &["shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size"];
/// Names of the number of shared experts.
const SHARED: &[&str] =
    &["n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"];

/// Reads the experts one token uses, which cannot be more than there are. A file that does not say is refused: any
/// guess would be wrong by the ratio of all experts to those in use. One that says null has no choice to make: all.
pub(super) fn top_k(config: &Config, experts: u64) -> Result<u64, Diagnostic> {
    let Some(k) = config.opt_size_of(TOP_K)? else {
        return match TOP_K.iter().find(|key| config.mentions(key)) {
            Some(key) if config.has(key) => Err(config.error(key, "a token uses at least 1 expert, found 0")),
            Some(_) => Ok(experts),
            None => Err(unread_top_k(config, experts)),
        };
    };
    if k > experts {
        let cause = format!("{k} experts per token, but there are only {experts}");
        return Err(config.error("num_experts_per_tok", cause));
    }
    Ok(k)
}

/// A mixture that does not say, in a field that is known, how many experts a token uses. Names fields that may.
fn unread_top_k(config: &Config, experts: u64) -> Diagnostic {
    let cause = format!("{experts} experts, and how many of them a token uses is not said");
    let close = |key: &&str| key.contains("expert") || key.contains("top") || key.contains("moe");
    let near: Vec<String> = config.keys().filter(close).map(|key| format!("`{key}`")).collect();
    let found = match near.as_slice() {
        [] => String::new(),
        near => format!("; of the file's own fields, {} may be meant", near.join(", ")),
    };
    config.error(TOP_K[0], cause).help(format!("write it as `{}`{found}", TOP_K[0]))
}

/// Refuses a mixture whose experts differ from layer to layer, of a type whose family is not known.
pub(super) fn refuse_lists(config: &Config) -> Result<(), Diagnostic> {
    match EXPERTS.iter().chain(TOP_K).find(|key| config.is_list(key)) {
        Some(key) => {
            Err(config.error(key, "experts that differ by layer or kind of token, which are not read"))
        }
        None => Ok(()),
    }
}

/// The experts of a sparse layer, or `None` when the model has none.
pub(super) fn experts(config: &Config, hidden: u64) -> Result<Option<Moe>, Diagnostic> {
    let by_layer = EXPERTS.iter().chain(TOP_K).chain(&["moe_intermediate_size"]);
    if by_layer.into_iter().any(|key| config.is_list(key)) {
        // A number per layer: the family reads it (Hunyuan).
        return Ok(None);
    }
    let Some(experts) = config.opt_size_of(EXPERTS)?.filter(|n| *n > 1) else { return Ok(None) };
    let inner = config.size_of(EXPERT_INNER)?;
    let shared = match config.opt_size_of(SHARED_INNER)? {
        Some(width) => Some(width),
        None => config.opt_size_of(SHARED)?.map(|n| n * inner),
    };
    let bias = config.bool_or("mlp_bias", false)?;
    let mlp = |width| Mlp { up_bias: bias, down_bias: bias, ..Mlp::gated(hidden, width) };
    let shared = shared.map(|width| SharedExpert { mlp: mlp(width), gate: false });
    Ok(Some(Moe { shared, ..Moe::new(hidden, experts, top_k(config, experts)?, inner) }))
}

/// Which layers hold experts: as `mlp_layer_types`, `moe_layers` or `moe_layer_freq` list them, else by
/// first layer, last layer, step and exceptions.
pub(super) fn sparse_layers(config: &Config, layers: u64) -> Result<Vec<bool>, Diagnostic> {
    let kinds = config.strings("mlp_layer_types")?;
    if !kinds.is_empty() {
        let sparse = |i: u64| kinds.get(i as usize).is_none_or(|kind| kind != "dense");
        return Ok((0..layers).map(sparse).collect());
    }
    if let Some(listed) = config.numbers("moe_layers")? {
        return Ok((0..layers).map(|i| listed.contains(&i)).collect());
    }
    if config.is_list("moe_layer_freq") {
        let flags = config.numbers("moe_layer_freq")?.unwrap_or_default();
        return Ok((0..layers).map(|i| flags.get(i as usize).is_none_or(|flag| *flag > 0)).collect());
    }
    // ERNIE-4.5-VL has one for its text experts and one for those of images.
    let bound = |key: &str| -> Result<Option<u64>, Diagnostic> {
        if config.is_list(key) { Ok(config.size_list(key)?.first().copied()) } else { config.opt_index(key) }
    };
    let start = bound("moe_layer_start_index")?.filter(|n| *n > 0);
    let first =
        config.opt_size_of(&["first_k_dense_replace", "num_dense_layers", "dense_mlp_idx"])?.or(start);
    let last = bound("moe_layer_end_index")?.unwrap_or(layers);
    let every = config.size_or("moe_layer_freq", 1)?;
    let step =
        config.opt_size_of(&["decoder_sparse_step", "moe_layer_interval", "interleave_moe_layer_step"])?;
    let (period, offset) =
        (config.size_or("expert_layer_period", 1)?, config.opt_u64("expert_layer_offset")?.unwrap_or(0));
    let dense = config.numbers("mlp_only_layers")?.unwrap_or_default();
    Ok((0..layers)
        .map(|i| {
            i >= first.unwrap_or(0)
                && i <= last
                && i.is_multiple_of(every)
                && (i + 1).is_multiple_of(step.unwrap_or(1))
                && i % period == offset % period
                && !dense.contains(&i)
        })
        .collect())
}

/// Mixtral, Aria, Granite-MoE: what the general rules read needs no change.
pub(super) fn plain(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    Ok(Decoder::read(config)?.build())
}

/// Experts with a norm on each query and key head: Qwen3-MoE, GLM-4.5, dots.1, Flint, Mellum, HY-3.
pub(super) fn head_norms(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    Ok(decoder.build())
}

/// No bias on the output projection, whatever `attention_bias` says; query-key norms where asked for:
/// GLM-4.5, Solar Open. The router computes in 32 bits.
pub(super) fn glm4_moe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.biases.o = false;
    wide_router(&mut decoder);
    let mut architecture = decoder.build();
    let predictions = super::predictions(config, decoder.common.layers)?;
    let last = decoder.common.layers as usize - 1;
    for _ in 0..predictions {
        let layer = decoder.layer_with(last, vec![decoder.attention_of(last)]);
        architecture.mtp.extend(super::prediction_layer(decoder.common.hidden, layer));
    }
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
    decoder.common.norms = super::general::NormKind::WeightAndBias;
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
    Ok(decoder.build())
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
    let mut decoder = Decoder::read(config)?;
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
    let mut decoder = Decoder::read(config)?;
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
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let (n, k) = (at(&experts, i, 1), at(&top_k, i, 1));
        let mlp = Mlp::gated(hidden, dense.saturating_mul(at(&shared, i, 1)));
        let shared = Some(SharedExpert { mlp, gate: false });
        let moe = Moe { shared, ..Moe::new(hidden, n, k.min(n), at(&widths, i, dense)) };
        let ffn = Block::Moe(moe);
        decoder.common.layer(decoder.order, vec![decoder.attention_of(i)], vec![ffn])
    });
    Ok(decoder.finish(layers.collect()))
}

/// ERNIE-4.5-VL's text model: beside the experts of text tokens as many of images, narrower, with a
/// router of their own. `active` is of a text token.
pub(super) fn ernie_vl(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
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
    super::extra(vec![
        router.class(TensorClass::Router),
        Tensor::vector("mlp.vision_moe.gate.e_score_correction_bias", experts, Component::Router),
        matrix("mlp.vision_moe.experts.gate_proj.weight", inner, hidden),
        matrix("mlp.vision_moe.experts.up_proj.weight", inner, hidden),
        matrix("mlp.vision_moe.experts.down_proj.weight", hidden, inner),
    ])
}

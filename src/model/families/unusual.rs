//! Decoders with parts of their own: DeepSeek-V4, MiMo-V2, MiniMax-M3, JetMoE, Zaya, Inkling, HRM.

use super::decoder::{Decoder, NormKind, Order, Reading, extra, layer_kinds};
use super::prediction::{prediction_layer, predictions};
use crate::diagnostic::Diagnostic;
use crate::model::blocks::{
    Attention, Block, CompressedAttention, Compressor, Gate, Head, Indexer, Moe, QkNorm, Queries,
};
use crate::model::config::Config;
use crate::model::{Architecture, Component, Scope, Tensor, TensorClass};

/// How a layer of DeepSeek-V4 keeps what lies before its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    /// Not at all.
    None,
    /// Lightly, and an indexer chooses what attention reads.
    Sparse,
    /// Heavily, and attention reads it all.
    Heavy,
}

/// The kind of each layer: as listed, or by `compress_ratios` (0, 4 and 128), else alternating after two
/// heavy ones.
fn compressions(config: &Config, layers: u64) -> Result<Vec<Compression>, Diagnostic> {
    let by_name = |kind: &String| match kind.as_str() {
        "compressed_sparse_attention" => Compression::Sparse,
        "heavily_compressed_attention" => Compression::Heavy,
        _ => Compression::None,
    };
    let by_ratio = |ratio: u64| match ratio {
        0 => Compression::None,
        1..=16 => Compression::Sparse,
        _ => Compression::Heavy,
    };
    if let Some(kinds) = layer_kinds(config, layers)? {
        return Ok(kinds.iter().take(layers as usize).map(by_name).collect());
    }
    let ratios = config.numbers("compress_ratios")?;
    Ok((0..layers)
        .map(|i| match ratios.as_ref().and_then(|r| r.get(i as usize)) {
            Some(ratio) => by_ratio(*ratio),
            None if i < 2 || i.is_multiple_of(2) => Compression::Heavy,
            None => Compression::Sparse,
        })
        .collect())
}

/// DeepSeek-V4: compressed attention, experts in every layer, hyper-connections between several residual
/// streams (`DeepseekV4HyperConnection`).
pub(super) fn deepseek_v4(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.sparse.fill(true);
    if let Some(moe) = &mut decoder.moe
        && let Some(shared) = &mut moe.shared
    {
        // One expert's width, however many shared experts the file names.
        shared.mlp.inner = moe.inner;
    }
    let c = &decoder.common;
    let (sparse, heavy) = compressors(config)?;
    // A part of every head, which holds no weights of its own.
    config.opt_size("qk_rope_head_dim")?;
    let attention = CompressedAttention {
        hidden: c.hidden,
        heads: c.heads,
        head_dim: c.head_dim,
        q_rank: config.size("q_lora_rank")?,
        o_groups: config.size_or("o_groups", 8)?,
        o_rank: config.size_or("o_lora_rank", 1024)?,
        window: config.size_or("sliding_window", 128)?,
        compressor: None,
    };
    let streams = config.size_or("hc_mult", 4)?;
    let connection = connections(streams, c.hidden);
    let layer = |i: usize, kind| {
        let compressor = match kind {
            Compression::None => None,
            Compression::Sparse => Some(sparse),
            Compression::Heavy => Some(heavy),
        };
        let attention = CompressedAttention { compressor, ..attention.clone() };
        let mut layer = decoder.layer_with(i, vec![Block::Compressed(attention)]);
        layer.push(connection.clone());
        layer
    };
    let kinds = compressions(config, c.layers)?.into_iter().enumerate();
    let mut architecture = decoder.finish(kinds.map(|(i, kind)| layer(i, kind)).collect());
    architecture.after.push(stream_head(streams, c.hidden));
    // Layers that predict a second token keep a window alone and end in a head over the streams of their own (vLLM
    // `models/deepseek_v4_mtp.py`, whose `e_proj` and `h_proj` are one projection of both inputs here).
    for _ in 0..predictions(config, c.layers)? {
        let last = layer(c.layers as usize - 1, Compression::None);
        architecture.mtp.extend(prediction_layer(c.hidden, last));
        architecture.mtp.push(stream_head(streams, c.hidden));
    }
    Ok(architecture)
}

/// The light and the heavy compressor.
fn compressors(config: &Config) -> Result<(Compressor, Compressor), Diagnostic> {
    let rates = config.opt_sub("compress_rates")?;
    let rate = |kind: &str, legacy: &str, default| match &rates {
        Some(rates) => rates.size_or(kind, default),
        None => config.size_or(legacy, default),
    };
    let indexer = Indexer {
        heads: config.size_or("index_n_heads", 64)?,
        head_dim: config.size_or("index_head_dim", 128)?,
    };
    let sparse = rate("compressed_sparse_attention", "compress_rate_csa", 4)?;
    let heavy = rate("heavily_compressed_attention", "compress_rate_hca", 128)?;
    Ok((
        Compressor { rate: sparse, series: 2, indexer: Some(indexer) },
        Compressor { rate: heavy, series: 1, indexer: None },
    ))
}

/// What reads from and writes to `streams` residual streams, around attention and feed-forward layer.
pub(super) fn connections(streams: u64, hidden: u64) -> Block {
    let (width, mixes) = (streams * hidden, (2 + streams) * streams);
    extra(vec![
        Tensor::matrix("attn_hc.fn", mixes, width, Component::Attention),
        Tensor::vector("attn_hc.base", mixes, Component::Attention),
        Tensor::vector("attn_hc.scale", 3, Component::Attention),
        Tensor::matrix("ffn_hc.fn", mixes, width, Component::Other),
        Tensor::vector("ffn_hc.base", mixes, Component::Other),
        Tensor::vector("ffn_hc.scale", 3, Component::Other),
    ])
}

/// What joins `streams` residual streams before the last norm.
pub(super) fn stream_head(streams: u64, hidden: u64) -> Block {
    extra(vec![
        Tensor::matrix("hc_head.hc_fn", streams, streams * hidden, Component::Other),
        Tensor::vector("hc_head.hc_base", streams, Component::Other),
        Tensor::vector("hc_head.hc_scale", 1, Component::Other),
    ])
}

/// MiMo-V2: values narrower than keys; windowed layers have twice the key-value heads, and sinks.
pub(super) fn mimo_v2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.v_dim = config.size_or("v_head_dim", 128)?;
    decoder.attention.biases.o = false;
    let layers = decoder.common.layers;
    let windowed = match layer_kinds(config, layers)? {
        Some(kinds) => kinds.iter().map(|kind| kind == "sliding_attention").collect(),
        None => match config.numbers("hybrid_layer_pattern")? {
            Some(flags) => (0..layers).map(|i| flags.get(i as usize) == Some(&1)).collect(),
            None => (0..layers).map(|i| i > 0 && !(i + 1).is_multiple_of(6)).collect::<Vec<_>>(),
        },
    };
    // The first layer is dense unless the file says otherwise.
    if !config.has("moe_layer_freq") && !config.has("mlp_layer_types") {
        decoder.sparse[0] = false;
    }
    let window = config.opt_size_of(&["sliding_window"])?;
    // Windowed layers have sizes of their own in the checkpoints' files; the class has twice the key-value heads.
    let full = &decoder.attention;
    let own = Attention {
        heads: config.size_or("swa_num_attention_heads", full.heads)?,
        kv_heads: config.size_or("swa_num_key_value_heads", full.kv_heads.saturating_mul(2))?,
        head_dim: config.size_or("swa_head_dim", full.head_dim)?,
        v_dim: config.size_or("swa_v_head_dim", full.v_dim)?,
        sinks: config.bool_or("add_swa_attention_sink_bias", true)?,
        window,
        ..full.clone()
    };
    let full = Attention {
        window: None,
        sinks: config.bool_or("add_full_attention_sink_bias", false)?,
        ..full.clone()
    };
    let blocks = (0..layers as usize).map(|i| {
        let attention = if windowed[i] { own.clone() } else { full.clone() };
        decoder.layer_with(i, vec![Block::Attention(attention)])
    });
    Ok(decoder.finish(blocks.collect()))
}

/// MiniMax-M3: query-key norms by head, an indexer in sparse layers, dense first layers of a width of
/// their own, a shared expert.
pub(super) fn minimax_m3(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    decoder.mlp.inner = config.opt_size_of(&["dense_intermediate_size"])?.unwrap_or(decoder.mlp.inner);
    let hidden = decoder.common.hidden;
    // The checkpoint's own file nests what the Transformers class has at the root.
    let sparse = config.opt_sub("sparse_attention_config")?;
    let size = |own, nested, default| match &sparse {
        Some(sparse) if sparse.has(nested) => sparse.size(nested),
        _ => config.size_or(own, default),
    };
    let index = Indexer {
        heads: size("index_n_heads", "sparse_num_index_heads", 4)?,
        head_dim: size("index_head_dim", "sparse_index_dim", 128)?,
    };
    let part = Component::Attention;
    let indexer = extra(vec![
        Tensor::matrix("self_attn.indexer.q_proj.weight", index.heads * index.head_dim, hidden, part),
        Tensor::matrix("self_attn.indexer.k_proj.weight", index.head_dim, hidden, part),
        Tensor::vector("self_attn.indexer.norms", 2 * index.head_dim, Component::Norm),
    ]);
    let kinds = layer_kinds(config, decoder.common.layers)?;
    let flags =
        sparse.map_or(Ok(None), |sparse| sparse.numbers("sparse_attention_freq"))?.unwrap_or_default();
    let is_sparse = |i: usize| match &kinds {
        Some(kinds) => kinds.get(i).is_some_and(|kind| kind == "minimax_m3_sparse"),
        None => flags.get(i).is_some_and(|flag| *flag > 0),
    };
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let selects = is_sparse(i);
        let attention = Attention { window: decoder.windows[i], selects, ..decoder.attention.clone() };
        let mut layer = decoder.layer_with(i, vec![Block::Attention(attention)]);
        if selects {
            layer.push(indexer.clone());
        }
        layer
    });
    Ok(decoder.finish(layers.collect()))
}

/// JetMoE (arXiv:2404.07413): query and output projections are experts too; their number of heads is that
/// of the key-value heads times the experts per token.
pub(super) fn jetmoe(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let decoder = Decoder::read(config)?;
    let Some(moe) = &decoder.moe else {
        return Err(config.error("num_local_experts", "a JetMoE model has experts"));
    };
    let kv_heads = config.size_or("num_key_value_heads", 16)?;
    let head_dim = config.size_or("kv_channels", 128)?;
    let hidden = decoder.common.hidden;
    let queries = Moe { gated: false, inner: kv_heads * head_dim, shared: None, ..moe.clone() };
    let attention = Attention {
        queries: Queries::Routed,
        ..Attention::new(hidden, kv_heads * moe.top_k, kv_heads, head_dim)
    };
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let mixer = vec![Block::Moe(queries.clone()), Block::Attention(attention.clone())];
        let mut layer = decoder.layer_with(i, mixer);
        layer.push(extra(vec![
            Tensor::vector("self_attention.experts.bias", hidden, Component::Attention),
            Tensor::vector("mlp.bias", hidden, Component::Mlp),
        ]));
        layer
    });
    Ok(decoder.finish(layers.collect()))
}

/// Zaya (arXiv:2510.04476): queries and keys pass two short convolutions (compressed convolutional
/// attention), half of each value comes from the token before, the router is a network of its own, and
/// every residual is scaled.
pub(super) fn zaya(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.sparse.fill(true);
    decoder.head_bias = config.bool_or("lm_head_bias", false)?;
    let c = decoder.common.clone();
    let Some(moe) = &mut decoder.moe else {
        return Err(config.error("num_experts", "a Zaya model has experts"));
    };
    moe.router = false;
    let experts = moe.experts;
    let convolutions = zaya_convolutions(config, &decoder)?;
    let router = config.size_or("router_hidden_size", 256)?;
    let layers = (0..c.layers as usize).map(|i| {
        let mut layer = decoder.layer_with(i, vec![decoder.attention_of(i)]);
        layer.push(convolutions.clone());
        layer.push(zaya_router(c.hidden, router, experts, i > 0));
        layer
    });
    let mut architecture = decoder.finish(layers.collect());
    let scales = Tensor::vector("input_hidden_states_scale_and_bias", 2 * c.hidden, Component::Other);
    architecture.before.push(extra(vec![scales]));
    Ok(architecture)
}

/// Convolutions over queries and keys, their temperatures, and the residuals' scales and biases.
fn zaya_convolutions(config: &Config, decoder: &Decoder) -> Result<Block, Diagnostic> {
    let a = &decoder.attention;
    let part = Component::Attention;
    let channels = (a.heads + a.kv_heads) * a.head_dim;
    let (first, second) = (config.size_or("cca_time0", 2)?, config.size_or("cca_time1", 2)?);
    let grouped = a.head_dim.saturating_mul(second);
    Ok(extra(vec![
        Tensor { columns: first, ..Tensor::vector("self_attn.conv_qk_depthwise.weight", channels, part) },
        Tensor { columns: grouped, ..Tensor::vector("self_attn.conv_qk_grouped.weight", channels, part) },
        Tensor::vector("self_attn.conv_qk.biases", 2 * channels, part),
        Tensor::vector("self_attn.qk_norm.temp", a.kv_heads, Component::Norm),
        Tensor::vector("residual_scales", 8 * decoder.common.hidden, Component::Other),
    ]))
}

/// The router: a projection down, a norm, two square layers, one score per expert and one for none. From
/// the second layer on it adds the layer before's state, scaled.
fn zaya_router(hidden: u64, width: u64, experts: u64, has_state: bool) -> Block {
    let part = Component::Router;
    let matrix = |name, rows, columns| Tensor::matrix(name, rows, columns, part).class(TensorClass::Router);
    let mut tensors = vec![
        matrix("mlp.gate.down_proj.weight", width, hidden),
        Tensor::vector("mlp.gate.down_proj.bias", width, part),
        Tensor::vector("mlp.gate.router_mlp.norm.weight", width, Component::Norm),
        matrix("mlp.gate.router_mlp.fc1.weight", width, width),
        Tensor::vector("mlp.gate.router_mlp.fc1.bias", width, part),
        matrix("mlp.gate.router_mlp.fc2.weight", width, width),
        Tensor::vector("mlp.gate.router_mlp.fc2.bias", width, part),
        matrix("mlp.gate.router_mlp.out_proj.weight", experts + 1, width),
    ];
    if has_state {
        tensors.push(Tensor::vector("mlp.gate.router_states_scale", width, part));
    }
    extra(tensors)
}

/// What Inkling's windowed layers have of their own.
struct InklingSizes {
    windowed: Vec<bool>,
    window: u64,
    kernel: u64,
    /// Dimension of the relative positions' queries, and how far back they reach on full layers.
    relative: (u64, u64),
    local: Attention,
}

impl InklingSizes {
    fn read(config: &Config, decoder: &Decoder) -> Result<InklingSizes, Diagnostic> {
        let layers = decoder.common.layers;
        let local = config.numbers("local_layer_ids")?;
        let windowed = match layer_kinds(config, layers)? {
            Some(kinds) => kinds.iter().map(|kind| kind == "hybrid_sliding").collect(),
            None => (0..layers)
                .map(|i| local.as_ref().map_or(!(i + 1).is_multiple_of(6), |ids| ids.contains(&i)))
                .collect(),
        };
        let heads = config.opt_size("swa_num_attention_heads")?.unwrap_or(decoder.attention.heads);
        let kv_heads = config.opt_size("swa_num_key_value_heads")?.unwrap_or(decoder.attention.kv_heads);
        let head_dim = config.opt_size("swa_head_dim")?.unwrap_or(decoder.attention.head_dim);
        Ok(InklingSizes {
            windowed,
            window: config.opt_size_of(&["sliding_window_size", "sliding_window"])?.unwrap_or(512),
            kernel: config.opt_size_of(&["conv_kernel_size", "sconv_kernel_size"])?.unwrap_or(4),
            relative: (config.size_or("d_rel", 16)?, config.size_or("rel_extent", 1024)?),
            local: Attention::new(decoder.common.hidden, heads, kv_heads, head_dim),
        })
    }

    /// Attention of layer `i`.
    fn attention(&self, decoder: &Decoder, i: usize) -> Attention {
        let (qk_norm, gate) = (decoder.attention.qk_norm, decoder.attention.gate);
        let window = Some(self.window).filter(|_| self.windowed[i]);
        let sizes = if self.windowed[i] { &self.local } else { &decoder.attention };
        Attention { qk_norm, gate, window, ..sizes.clone() }
    }

    /// Weights of relative positions.
    fn relative_tensors(&self, attention: &Attention, i: usize) -> [Tensor; 2] {
        let (dim, extent) = self.relative;
        let extent = if self.windowed[i] { self.window } else { extent };
        let part = Component::Attention;
        [
            Tensor::matrix("self_attn.r_proj.weight", attention.heads * dim, attention.hidden, part),
            Tensor { columns: extent, ..Tensor::vector("self_attn.rel_logits_proj.proj", dim, part) },
        ]
    }

    /// Filters over `channels`.
    fn filters(&self, name: &'static str, channels: u64) -> Tensor {
        Tensor { columns: self.kernel, ..Tensor::vector(name, channels, Component::Attention) }
    }
}

/// The norm that Inkling's embedding ends with.
fn embedding_norm(decoder: &Decoder) -> Block {
    decoder.common.norm("embed_tokens.embed_norm.weight")
}

/// Inkling: learned relative positions and short convolutions on keys, values and both residual
/// branches; the router scores shared experts too.
pub(super) fn inkling(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.qk_norm = QkNorm::PerHead;
    let hidden = decoder.common.hidden;
    let sizes = InklingSizes::read(config, &decoder)?;
    let scored = config.opt_u64("n_shared_experts")?.unwrap_or(0);
    let layers = (0..decoder.common.layers as usize).map(|i| {
        let attention = sizes.attention(&decoder, i);
        let kv = attention.kv_heads * attention.head_dim;
        let mut tensors = sizes.relative_tensors(&attention, i).to_vec();
        tensors.push(sizes.filters("self_attn.kv_sconv.conv1d.weight", 2 * kv));
        tensors.push(sizes.filters("sconv.conv1d.weight", 2 * hidden));
        if decoder.sparse[i] {
            let shared = Tensor::matrix("mlp.gate.shared", scored, hidden, Component::Router);
            tensors.push(shared.class(TensorClass::Router));
            tensors.push(Tensor::vector("mlp.gate.global_scale", 1, Component::Router));
        } else {
            tensors.push(Tensor::vector("mlp.global_scale", 1, Component::Mlp));
        }
        let mut layer = decoder.layer_with(i, vec![Block::Attention(attention)]);
        layer.push(extra(tensors));
        layer
    });
    let mut architecture = decoder.finish(layers.collect());
    architecture.before.push(embedding_norm(&decoder));
    Ok(architecture)
}

/// Inkling 2: residual inputs chosen by attention over earlier blocks, gated attention with projected
/// sinks and learned clips; on full layers the convolutions' filters depend on the token. In Inkling 2 Loop a range of
/// layers runs several times, each with a cache of its own and gates that mix in what the pass before left.
pub(super) fn inkling2(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let mut decoder = Decoder::read(config)?;
    decoder.attention.gate = Gate::Full;
    decoder.sparse.fill(true);
    let hidden = decoder.common.hidden;
    let sizes = InklingSizes::read(config, &decoder)?;
    let part = Component::Attention;
    let looped = Looped::read(config)?;
    let one = |i: usize| {
        let attention = sizes.attention(&decoder, i);
        let (heads, kv_heads) = (attention.heads, attention.kv_heads);
        let kv = kv_heads * attention.head_dim;
        let full = !sizes.windowed[i];
        // One query per input: queries, keys and values have inputs and norms of their own on full layers.
        let inputs = if full { 3 } else { 1 };
        let mut tensors = sizes.relative_tensors(&attention, i).to_vec();
        tensors.push(sizes.filters("self_attn.kv_sconv.conv1d.weight", 2 * kv));
        tensors.push(sizes.filters("convolution.conv1d.weight", 2 * hidden));
        tensors.push(Tensor::matrix("self_attn.sink_proj.weight", heads, hidden, part));
        let clips = heads.saturating_mul(attention.head_dim + sizes.relative.0);
        tensors.push(Tensor::vector("self_attn.l2_clip.scale", clips, part));
        tensors.push(Tensor::vector("mlp_input.query", hidden, Component::Other));
        if i > 0 {
            tensors.push(Tensor::vector("attention_input.query", inputs * hidden, Component::Other));
        }
        if full {
            tensors.push(Tensor::vector("kv_input_layernorm.weight", 2 * hidden, Component::Norm));
            let filters = 2 * kv_heads * sizes.kernel;
            tensors.push(Tensor::matrix("self_attn.kv_sconv.weight_proj.weight", filters, hidden, part));
        }
        if let Some(looped) = looped.as_ref().filter(|looped| looped.layers.contains(&i)) {
            tensors.extend(looped.gates(hidden));
        }
        let mut layer = decoder.layer_with(i, vec![Block::Attention(attention)]);
        layer.push(extra(tensors));
        layer
    };
    let once: Vec<Vec<Block>> = (0..decoder.common.layers as usize).map(one).collect();
    let layers = match &looped {
        Some(looped) => looped.unrolled(&once),
        None => once,
    };
    let mut architecture = decoder.finish(layers);
    architecture.before.push(embedding_norm(&decoder));
    if let Some(looped) = &looped {
        let queries = 4 * hidden.saturating_mul(looped.layers.len() as u64);
        let queries = Tensor::vector("message_input.query", queries, Component::Other);
        architecture.before.push(extra(vec![queries]));
    }
    // The embedding is padded; from Transformers 5.24 on, which knows Inkling 2 Loop first, the head is not.
    let unpadded = looped.is_some() || config.written_since((5, 24));
    if let (Some(vocabulary), false, true) =
        (config.opt_size("unpadded_vocab_size")?, decoder.common.tied, unpadded)
    {
        architecture.after.pop();
        architecture.after.push(Block::Head(Head { vocabulary, ..decoder.common.head() }));
    }
    let query = Tensor::vector("final_input.query", hidden, Component::Other);
    architecture.after.push(extra(vec![query]));
    Ok(architecture)
}

/// The layers that Inkling 2 Loop runs several times (`modeling_inkling2_loop.py`).
struct Looped {
    layers: std::ops::Range<usize>,
    passes: u64,
    gate_rank: u64,
}

impl Looped {
    /// Passes over a range of layers beyond which no model goes: they multiply layers.
    const MOST_PASSES: u64 = 64;

    fn read(config: &Config) -> Result<Option<Looped>, Diagnostic> {
        let Some(gate_rank) = config.opt_size("loop_gate_rank")? else { return Ok(None) };
        let passes = config.size("loop_num_passes")?;
        let (from, to) = (config.size("loop_layer_index_start")?, config.size("loop_layer_index_end")?);
        let layers = config.size("num_hidden_layers")?;
        if from > to || to > layers {
            return Err(
                config.error("loop_layer_index_end", format!("no range of {layers} layers from {from}"))
            );
        }
        if passes > Self::MOST_PASSES {
            return Err(config.error("loop_num_passes", format!("more than {} passes", Self::MOST_PASSES)));
        }
        Ok(Some(Looped { layers: from as usize..to as usize, passes, gate_rank }))
    }

    /// Gates of queries, keys, values and the feed-forward layer: from two inputs to a rank, and two ways back.
    fn gates(&self, hidden: u64) -> [Tensor; 2] {
        let part = Component::Attention;
        [
            Tensor::matrix("message_gate.down_proj.weight", 4 * self.gate_rank, 2 * hidden, part),
            Tensor::matrix("message_gate.gate_projs.weight", 8 * hidden, self.gate_rank, part),
        ]
    }

    /// The layers in the order in which a token passes them; only the first pass holds weights.
    fn unrolled(&self, once: &[Vec<Block>]) -> Vec<Vec<Block>> {
        let core = &once[self.layers.clone()];
        let again =
            (1..self.passes).flat_map(|_| core.iter().map(|l| super::hybrid::reuse(l.clone(), false)));
        let (first, rest) = once.split_at(self.layers.end);
        first.iter().cloned().chain(again).chain(rest.iter().cloned()).collect()
    }
}

/// HRM-Text (`modeling_hrm_text.py`): two stacks that take turns; norms hold no weights. Each stack's
/// layers run several times and keep a cache for each.
pub(super) fn hrm(config: &Config, _: Scope) -> Result<Architecture, Diagnostic> {
    let (high, low) = (config.size_or("H_cycles", 2)?, config.size_or("L_cycles", 3)?);
    let stack = config.opt_size_of(&["num_layers_per_stack"])?;
    let mut decoder = Decoder::read_as(config, Reading { layers: stack, ..Reading::default() })?;
    decoder.common.norms = NormKind::Bare;
    decoder.attention.gate = Gate::Full;
    decoder.attention.biases.gate = decoder.attention.biases.q;
    decoder.order = Order::Pre;
    let stack = (0..decoder.common.layers as usize)
        .map(|i| decoder.layer_with(i, vec![decoder.attention_of(i)]))
        .collect::<Vec<_>>();
    let passes = high.saturating_mul(low + 1);
    if passes.saturating_mul(decoder.common.layers) > crate::model::MAX_LAYERS {
        return Err(config.error("H_cycles", "too many passes"));
    }
    let layers = (0..passes as usize).flat_map(|pass| {
        // The low stack runs first, then the high one; after that both only repeat.
        let first = pass == 0 || pass as u64 == low;
        stack.iter().map(move |layer| super::hybrid::reuse(layer.clone(), first))
    });
    let mut architecture = decoder.finish(layers.collect());
    let start = Tensor::vector("z_L_init", decoder.common.hidden, Component::Other);
    architecture.before.push(extra(vec![start]));
    Ok(architecture)
}

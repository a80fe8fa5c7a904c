//! The activation peak that engines see when they try their largest batch at start-up.

use super::cache::RankCache;
use super::question::MemoryQuestion;
use super::stages::StageLayers;
use super::weights;
use crate::catalog::engine::MemoryRule;
use crate::dtype::WeightFormat;
use crate::model::blocks::Block;
use crate::model::{Formats, LayerGroup, RankGroups};
use crate::units::Bytes;

/// The larger of the sampler's peak and the widest layer's, beside the images that are kept meanwhile;
/// or the peak of encoding images. Only the last stage samples. The first GPU computes with what is copied from
/// the host.
pub(super) fn peak(
    q: &MemoryQuestion,
    groups: RankGroups,
    stage: &StageLayers,
    host: Option<&StageLayers>,
) -> Bytes {
    peak_of(q, groups, stage, host, gathered_tokens(q, groups).min(most_gathered(q)))
}

/// What the peak may be more where tokens of many attention-data-parallel ranks are gathered: engines that take them all at
/// once allocate by their number (vLLM 0.18 `fused_moe/modular_kernel.py`, `_allocate_buffers`), as far as their kernels do.
/// No log of such a start is known, so that it counts as uncertainty.
pub(super) fn gathered_beyond(
    q: &MemoryQuestion,
    groups: RankGroups,
    stage: &StageLayers,
    host: Option<&StageLayers>,
    peak: Bytes,
) -> Bytes {
    let (all, most) = (gathered_tokens(q, groups), most_gathered(q));
    match all > most && q.engine.memory.expert_tokens == u64::MAX {
        true => peak_of(q, groups, stage, host, all).saturating_sub(peak),
        false => Bytes::ZERO,
    }
}

/// The same with so many tokens for the experts' kernels.
fn peak_of(
    q: &MemoryQuestion,
    groups: RankGroups,
    stage: &StageLayers,
    host: Option<&StageLayers>,
    gathered: f64,
) -> Bytes {
    let (first, last) = (stage.first, stage.last);
    let host = host.filter(|_| first && copies(q));
    let rule = &q.engine.memory;
    let tokens = q.step_tokens() as f64;
    let vocabulary = q.model.vocabulary as f64;
    let samples = last && !q.workload.purpose.pools();
    let sampler = match samples {
        true => rule.sampler_values_per_logit * q.limits.max_sequences as f64 * vocabulary * 4.0,
        false => 0.0,
    };
    let hidden = q.model.hidden as f64;
    let widest = widest(q, groups, rule, gathered);
    let each = rule.mask_bytes + rule.score_bytes * query_heads(q) as f64 / groups.tensor as f64;
    let mask = tokens * q.served_length() as f64 * each;
    // What leaves residual streams and what goes back into them (vLLM 0.24 `models/deepseek_v4/nvidia/model.py`,
    // `mhc_fused_post_pre_tilelang`): one stream is among the copies.
    let streams = 2.0 * (q.model.residual_streams - 1) as f64;
    let layer = (widest + tokens * (rule.forward_hidden_copies + streams) * hidden) * 2.0 + mask;
    let layer = layer + host.map_or(0.0, |host| copied(q, host).as_f64());
    let forward = layer.max(logits(q, last, host));
    let kept = match rule.encoder_cache && first && q.sees() {
        true => tokens * hidden * 2.0,
        false => 0.0,
    };
    let images = if first { images(q).max(largest_image(q, groups)) } else { 0.0 };
    let sampling = sampler + if rule.expert_workspace { workspace(q, groups, gathered) } else { 0.0 };
    Bytes::ceil((sampling.max(forward) + kept).max(images)) + indexer(q)
}

/// Query heads of the widest attention.
fn query_heads(q: &MemoryQuestion) -> u64 {
    let of = |block: &Block| match block {
        Block::Attention(a) => a.heads,
        Block::Latent(a) => a.heads,
        _ => 0,
    };
    q.model.layer_blocks().map(of).max().unwrap_or(0)
}

/// Logits of every token of a step beside 32-bit hidden states, where engines make room for them, and the
/// output projection where that is copied from the host.
fn logits(q: &MemoryQuestion, last: bool, host: Option<&StageLayers>) -> f64 {
    let values = q.engine.memory.step_values_per_logit;
    let head = host.filter(|host| host.last).map(|_| weights::head(q).as_f64());
    if values <= 0.0 || !(last || head.is_some()) {
        return 0.0;
    }
    let tokens = q.step_tokens() as f64;
    tokens * 4.0 * (q.model.vocabulary as f64 * values + q.model.hidden as f64) + head.unwrap_or(0.0)
}

/// Whether steps are long enough that what lies with the host is copied to a GPU.
fn copies(q: &MemoryQuestion) -> bool {
    q.engine.host.as_ref().is_some_and(|rule| q.step_tokens() >= rule.gpu_tokens)
}

/// What is copied from the host at a time: a matrix of a layer, or the cache of a layer that is with it.
fn copied(q: &MemoryQuestion, host: &StageLayers) -> Bytes {
    let cache = |(g, n): (usize, &u64)| {
        let mut one = vec![0; q.model.groups.len()];
        one[g] = u64::from(*n > 0);
        RankCache::of(q, &one, false).request(q.length())
    };
    let caches = host.layers.iter().enumerate().map(cache).max();
    weights::largest_on_host(q, host).max(caches.unwrap_or(Bytes::ZERO))
}

/// Where the keys of a prompt are gathered for the indexer of sparse attention: FP8 with a 4-byte scale
/// per 128 values, for a fixed number of contexts.
fn indexer(q: &MemoryQuestion) -> Bytes {
    let keys = q.model.layer_blocks().filter_map(|block| match block {
        Block::Latent(latent) => latent.indexer.map(|index| index.head_dim),
        _ => None,
    });
    let key = keys.max().map_or(0, |n| n + n.div_ceil(128) * 4);
    let contexts = q.engine.memory.indexer_contexts;
    Bytes::new(key.saturating_mul(contexts).saturating_mul(q.served_length()))
}

/// The two workspaces of the experts' kernel: for each token and each of its experts the wider of the
/// width that experts work on and the activation, and of that width and gate with up-projection. Packed 4-bit
/// experts run in kernels that have their own.
fn workspace(q: &MemoryQuestion, groups: RankGroups, gathered: f64) -> f64 {
    let of = |group: &LayerGroup| {
        let wide = group.formats.experts.element().bits() >= 8;
        let moe = group.blocks.iter().find_map(|block| match block {
            Block::Moe(m) if wide => Some(m),
            _ => None,
        })?;
        let inner = moe.inner as f64 / groups.expert_tensor as f64;
        let hidden = moe.latent.unwrap_or(q.model.hidden) as f64;
        Some(gathered * moe.top_k as f64 * (hidden.max(inner) + hidden.max(2.0 * inner)))
    };
    2.0 * q.model.groups.iter().filter_map(of).fold(0.0, f64::max)
}

/// Tokens of a full step that come to the experts of a rank: those of all attention-data-parallel ranks; where each goes
/// to its experts alone, the rank's part of them.
fn gathered_tokens(q: &MemoryQuestion, groups: RankGroups) -> f64 {
    let tokens = q.step_tokens() as f64 * groups.attention_data as f64;
    if q.parallelism.exchange(q.engine).is_some() { tokens / groups.expert as f64 } else { tokens }
}

/// Tokens that vLLM's kernels of experts took at a time up to 0.11 (`envs.py`, `VLLM_FUSED_MOE_CHUNK_SIZE`).
const GATHERED_BEFORE: u64 = 32_768;

/// Tokens that the experts' kernels take at a time; where they take all, those of the rank itself, and of others no more
/// than they took before.
fn most_gathered(q: &MemoryQuestion) -> f64 {
    match q.engine.memory.expert_tokens {
        u64::MAX => q.step_tokens().max(GATHERED_BEFORE) as f64,
        most => most as f64,
    }
}

/// Tokens of other ranks that are gathered before the experts.
fn gathered(q: &MemoryQuestion, groups: RankGroups) -> f64 {
    if q.parallelism.exchange(q.engine).is_some() {
        0.0
    } else {
        q.step_tokens() as f64 * (groups.attention_data - 1) as f64
    }
}

/// Buffers in which tokens wait for their experts and come back: two of each, sending and receiving, with 16-bit
/// room at every expert for a rank's tokens (`LowLatencyLayout` of DeepEP's `csrc/config.hpp`).
pub(super) fn exchange_buffers(q: &MemoryQuestion) -> Bytes {
    let Some(exchange) = q.parallelism.exchange(q.engine) else { return Bytes::ZERO };
    if let Some(buffer) = exchange.buffer {
        let spans_nodes = q.parallelism.stage_ranks() > u64::from(q.gpu.gpus_per_node);
        return if spans_nodes { buffer + buffer } else { buffer };
    }
    let of = |block: &Block| match block {
        Block::Moe(m) => m.experts.saturating_mul(m.latent.unwrap_or(q.model.hidden)),
        _ => 0,
    };
    let widest = q.model.layer_blocks().map(of).max().unwrap_or(0);
    let tokens = match q.engine.memory.exchange_holds_step {
        true => q.step_tokens(),
        false => exchange.buffer_tokens,
    };
    Bytes::new(8u64.saturating_mul(tokens).saturating_mul(widest))
}

/// Live elements of the widest feed-forward layer.
fn widest(q: &MemoryQuestion, groups: RankGroups, rule: &MemoryRule, at_experts: f64) -> f64 {
    let tokens = q.step_tokens() as f64;
    let of = |formats: &Formats, block: &Block| match block {
        Block::Mlp(m) => {
            let copies = rule.forward_inner_copies + narrowed(q, formats.mlp);
            tokens * (m.inner as f64 / groups.tensor as f64 * copies)
        }
        Block::Moe(m) => {
            let inner = m.inner as f64 / groups.expert_tensor as f64 * rule.forward_inner_copies;
            let gathered = gathered(q, groups) * q.model.hidden as f64;
            let width = m.latent.unwrap_or(q.model.hidden) as f64;
            gathered + at_experts * m.top_k as f64 * (inner + width)
        }
        _ => 0.0,
    };
    let layers = q.model.groups.iter().flat_map(|g| g.blocks.iter().map(move |block| (&g.formats, block)));
    layers.map(|(formats, block)| of(formats, block)).fold(0.0, f64::max)
}

/// Copies at 2 bytes of what a product in 8 bits reads, beside that in 16: vLLM quantises it at each step
/// (`layers/quantization/compressed_tensors`, `scaled_int8_quant` and `scaled_fp8_quant`). Llama-3.3-70B in INT8 has 2.25
/// GiB of activations on one H100 (0.19), and 2.07 with it.
fn narrowed(q: &MemoryQuestion, format: WeightFormat) -> f64 {
    let eight_bits = matches!(
        format,
        WeightFormat::Int8 | WeightFormat::Fp8 | WeightFormat::Fp8Block | WeightFormat::Mxfp8
    );
    if eight_bits && q.gpu.peak(format.element()).is_some() { 0.5 } else { 0.0 }
}

/// Encoding one image for every sequence.
fn images(q: &MemoryQuestion) -> f64 {
    let per_image = q.model.images.map_or(0.0, |i| i.positions as f64 * i.features as f64);
    q.limits.max_sequences as f64 * per_image * q.engine.memory.image_copies * 2.0
}

/// Encoding the largest image, which the start-up profile tries where an encoder's output is kept: one of 16,384 tokens is
/// the whole budget (vLLM 0.27 `gpu_model_runner.py`, `profile_run`; `models/qwen3_vl.py`). 1.85 GiB for Qwen3.6-27B's on one
/// GPU and 1.25 on each of two: reports of 0.26 on RTX 5090 amount to 1.83 and 1.27 (vllm-project/recipes#810).
fn largest_image(q: &MemoryQuestion, groups: RankGroups) -> f64 {
    let tried = q.model.encoder.filter(|_| q.engine.memory.encoder_cache && q.sees());
    let Some(image) = tried.and_then(|encoder| encoder.image) else { return 0.0 };
    let values = image.whole as f64 + image.divided as f64 / groups.tensor as f64;
    image.patches as f64 * values * 2.0
}

/// Tokens of the largest image of Qwen2-VL and its successors.
const LARGEST_IMAGE: u64 = 16_384;

/// What encoding the longest video takes beyond the rest of the start-up profile: vLLM tries one that fills what an
/// image leaves of the context, or is as large as an image (`models/qwen2_vl.py`, `get_num_frames_with_most_features`;
/// 114,688 of 128,000 tokens in vllm-project/vllm#12604), with live values of gate, up-projection and two residuals at
/// each position, about `video_values` times the encoder's width. No log of it is known, so that it counts as
/// uncertainty.
pub(super) fn longest_video(q: &MemoryQuestion, stage: &StageLayers, peak: Bytes) -> Bytes {
    let Some(encoder) = q.model.encoder.filter(|_| stage.first && q.sees()) else {
        return Bytes::ZERO;
    };
    let tokens = q.served_length().saturating_sub(LARGEST_IMAGE).max(LARGEST_IMAGE);
    let features = encoder.per_video_token.saturating_mul(tokens);
    let values = features as f64 * q.engine.memory.video_values;
    Bytes::ceil(values * 2.0).saturating_sub(peak)
}

//! Attention scores, softmax and values: in one kernel that keeps the scores on chip, or in three that
//! write and read them.

use super::{Device, Mode, Setting};
use crate::model::Step;
use crate::model::operator::{AttentionShape, LatentShape, Operator, OperatorKind, TrafficParts};
use crate::units::{Flops, Traffic};

/// One kernel's work.
pub(super) struct Kernel {
    pub name: &'static str,
    pub flops: Flops,
    pub traffic: TrafficParts,
    /// Share of the multiprocessors that have work, and with them of the bandwidth.
    pub occupancy: f64,
}

/// Attention as its kernels see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Query heads.
    pub heads: u64,
    /// Heads whose keys and values differ.
    pub kv_heads: u64,
    /// Dimension of queries and keys.
    pub score_dim: u64,
    /// Dimension of values.
    pub value_dim: u64,
    /// Most keys a query sees.
    pub window: Option<u64>,
}

/// Query heads that one thread block of latent decoding serves (FlashMLA).
const LATENT_TILE_HEADS: u64 = 64;

/// Most splits that the combining kernel takes (`flash_fwd_launch_template.h`).
const MOST_SPLITS: u64 = 128;

impl Shape {
    /// Grouped-query attention. The dimensions are those of keys and values; the operator knows only their mean.
    pub fn of_heads(a: &AttentionShape, (score_dim, value_dim): (u64, u64)) -> Shape {
        Shape { heads: a.heads, kv_heads: a.kv_heads, score_dim, value_dim, window: a.window }
    }

    /// Latent attention of prompts: expanded keys and values for every head.
    pub fn of_expanded(l: &LatentShape) -> Shape {
        let score_dim = l.nope_dim + l.rope_dim;
        Shape { heads: l.heads, kv_heads: l.heads, score_dim, value_dim: l.v_dim, window: None }
    }

    /// Latent attention of decoding sequences: the latent is key and value of all heads.
    pub fn of_latent(l: &LatentShape) -> Shape {
        let score_dim = l.kv_rank + l.rope_dim;
        Shape { heads: l.heads, kv_heads: 1, score_dim, value_dim: l.kv_rank, window: None }
    }

    /// Share of the FLOPs that scores take.
    fn score_share(&self) -> f64 {
        let all = (self.score_dim + self.value_dim) as f64;
        if all == 0.0 { 0.5 } else { self.score_dim as f64 / all }
    }
}

/// The kernels of one attention operator.
pub(super) fn kernels(
    op: &Operator,
    shape: &Shape,
    step: &Step,
    setting: &Setting,
    device: Option<&Device>,
) -> Vec<Kernel> {
    let flops = op.flops(step);
    let traffic = op.traffic_parts(step, setting.activations);
    if flops.get() == 0.0 && traffic.total().get() == 0.0 {
        return Vec::new();
    }
    match (setting.attention.flash, setting.mode) {
        (false, _) => materialised(shape, step, setting, flops, traffic),
        (true, Mode::Decode) => vec![decode(op, shape, step, setting, (flops, traffic), device)],
        (true, _) => vec![prompt(op, shape, setting, (flops, traffic), device)],
    }
}

/// Keys and values that one pass over the sequence reads, in elements: `n · kv_heads · (score + value)`.
fn keys_and_values(op: &Operator, shape: &Shape, setting: &Setting) -> f64 {
    let element = match &op.kind {
        OperatorKind::PrefillAttention(a) => a.kv.bytes(),
        _ => setting.activations.bytes(),
    };
    setting.computed_tokens() * (shape.kv_heads * (shape.score_dim + shape.value_dim)) as f64 * element
}

/// FlashAttention: every block of queries of every head passes over the keys and values that it sees
/// (Dao 2023, arXiv:2307.08691 §3.1). The operator counts one pass per key-value head; the others are
/// added unless the GPU's cache holds what the resident thread blocks read.
fn prompt(
    op: &Operator,
    shape: &Shape,
    setting: &Setting,
    (flops, mut traffic): (Flops, TrafficParts),
    device: Option<&Device>,
) -> Kernel {
    let once = keys_and_values(op, shape, setting);
    if !device.is_some_and(|d| cache_holds(shape, setting, once, d)) {
        let passes = passes(setting.tokens, setting.attention.query_block, shape.window);
        let sharing = shape.heads as f64 / shape.kv_heads.max(1) as f64;
        traffic.cache += Traffic::new(once * (passes * sharing - 1.0).max(0.0));
    }
    Kernel { name: "attention", flops, traffic, occupancy: 1.0 }
}

/// Passes over a sequence's keys that its query blocks make together: block `i` of `⌈n / B⌉` sees keys up
/// to its last query, at most `window + B` of them.
pub(super) fn passes(tokens: u64, block: u64, window: Option<u64>) -> f64 {
    let (n, b) = (tokens as f64, block as f64);
    let blocks = (n / b).ceil();
    let seen = window.map_or(f64::INFINITY, |w| w as f64 + b);
    // Blocks whose end lies inside the window see a triangle, the others a band; the last one ends at n.
    let inside = (seen / b).floor().min(blocks - 1.0).max(0.0);
    let triangle = b * inside * (inside + 1.0) / 2.0;
    (triangle + (blocks - 1.0 - inside) * seen.min(n) + n.min(seen)) / n
}

/// Whether the last-level cache holds the keys and values of all heads that run at once, one thread block
/// to a multiprocessor.
fn cache_holds(shape: &Shape, setting: &Setting, once: f64, device: &Device) -> bool {
    let pairs = setting.batch as f64 * shape.kv_heads.max(1) as f64;
    let blocks = setting.tokens.div_ceil(setting.attention.query_block) as f64;
    let group = shape.heads as f64 / shape.kv_heads.max(1) as f64;
    let at_once = (device.multiprocessors() as f64 / (blocks * group)).ceil().min(pairs);
    once / pairs * at_once <= device.cache().as_f64()
}

/// One token of each sequence against its cache, the context divided into splits whose FP32 partial
/// results are written and read once more (flash decoding).
fn decode(
    op: &Operator,
    shape: &Shape,
    step: &Step,
    setting: &Setting,
    (flops, mut traffic): (Flops, TrafficParts),
    device: Option<&Device>,
) -> Kernel {
    let per_sequence = match &op.kind {
        OperatorKind::LatentDecode(_) => shape.heads.div_ceil(LATENT_TILE_HEADS),
        _ => shape.kv_heads,
    };
    let tiles = setting.batch.saturating_mul(per_sequence);
    let seen = shape.window.map_or(step.context, |w| step.context.min(w as f64));
    let splits = match (setting.attention.flash_decoding, setting.attention.splits) {
        (false, _) => 1,
        (true, Some(n)) => n,
        (true, None) => {
            device.map_or(1, |d| splits(tiles, d.multiprocessors(), seen as u64, shape.score_dim))
        }
    };
    if splits > 1 {
        // A partial output and a log-sum for each head and split, in FP32, written and read.
        let partial = (shape.heads * (shape.value_dim + 1) * 4) as f64;
        traffic.activations += Traffic::new(2.0 * setting.batch as f64 * splits as f64 * partial);
    }
    let busy = tiles.saturating_mul(splits) as f64;
    let occupancy = device.map_or(1.0, |d| (busy / d.multiprocessors() as f64).min(1.0));
    Kernel { name: "attention", flops, traffic, occupancy }
}

/// The splits that FlashAttention-2 picks (`num_splits_heuristic` in `flash_api.cpp`): none when thread
/// blocks nearly fill the GPU, else the fewest whose last wave is at least 85 % as full as the best.
/// Thread blocks are small, so two count per multiprocessor.
pub(super) fn splits(tiles: u64, multiprocessors: u64, context: u64, head_dim: u64) -> u64 {
    let slots = (2 * multiprocessors).max(1);
    if tiles as f64 >= 0.8 * slots as f64 {
        return 1;
    }
    let key_block = match head_dim {
        0..=64 => 256,
        65..=128 => 128,
        _ => 64,
    };
    let blocks = context.div_ceil(key_block).max(1);
    let most = MOST_SPLITS.min(slots).min(blocks);
    let efficiency = |splits: u64| {
        let waves = (tiles * splits) as f64 / slots as f64;
        waves / waves.ceil()
    };
    // A count that leaves each split as many blocks as one fewer would is no different from it.
    let differs = |s: &u64| *s == 1 || blocks.div_ceil(*s) != blocks.div_ceil(*s - 1);
    let best = (1..=most).filter(differs).map(efficiency).fold(0.0, f64::max);
    (1..=most).filter(differs).find(|s| efficiency(*s) >= 0.85 * best).unwrap_or(1)
}

/// Three kernels: scores, softmax, values, with all scores written and read. Prompts compute the whole
/// square and mask it.
fn materialised(
    shape: &Shape,
    step: &Step,
    setting: &Setting,
    flops: Flops,
    traffic: TrafficParts,
) -> Vec<Kernel> {
    let heads = shape.heads as f64;
    let (flops, pairs) = match setting.mode {
        Mode::Decode => {
            let seen = shape.window.map_or(step.context, |w| step.context.min(w as f64));
            (flops, step.decode_sequences * seen)
        }
        Mode::Pretrain | Mode::Prefill => {
            let pairs = setting.computed_tokens() * setting.tokens as f64;
            let dims = (shape.score_dim + shape.value_dim) as f64;
            (Flops::new(2.0 * heads * dims * pairs), pairs)
        }
    };
    let scores = Traffic::new(heads * pairs * setting.activations.bytes());
    let share = shape.score_share();
    let part = |name, share: f64, passes: f64| {
        let mut traffic = traffic * share;
        traffic.activations += scores * passes;
        Kernel { name, flops: flops * share, traffic, occupancy: 1.0 }
    };
    vec![
        part("attention_scores", share, 1.0),
        part("softmax", 0.0, 2.0),
        part("attention_values", 1.0 - share, 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_blocks_pass_over_the_keys_up_to_their_end() {
        // Blocks of 4 over 12 tokens see 4, 8 and 12 keys: two passes.
        assert_eq!(passes(12, 4, None), 2.0);
        assert_eq!(passes(10, 4, None), (4.0 + 8.0 + 10.0) / 10.0);
    }

    #[test]
    fn larger_query_blocks_read_keys_and_values_less_often() {
        assert!(passes(8192, 256, None) < passes(8192, 128, None));
        assert_eq!(passes(8192, 8192, None), 1.0);
    }

    #[test]
    fn a_window_bounds_what_each_query_block_reads() {
        // Blocks of 4, window 4: 4, 8, 8 and 8 keys of 16.
        assert_eq!(passes(16, 4, Some(4)), 28.0 / 16.0);
    }

    #[test]
    fn splits_fill_a_gpu_that_a_small_batch_leaves_idle() {
        // A100, one sequence with 8 key-value heads: 216 slots.
        assert_eq!(splits(8, 108, 128 * 1024, 128), 23);
        assert_eq!(splits(8, 108, 128, 128), 1);
        assert_eq!(splits(200, 108, 128 * 1024, 128), 1);
    }
}

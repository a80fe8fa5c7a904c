//! Time of attention over prompts and of decoding sequences.

use crate::catalog::kernels::{DecodeAttention, PrefillAttention};
use crate::model::operator::{AttentionShape, LatentShape, Step};
use crate::units::{Flops, Seconds, Traffic};

use super::super::Bound;
use super::repeated::Repeated;
use super::time::KernelTime;
use crate::powers::{log2, power, smooth_max_of_fourth_powers, smooth_max_of_three};

/// Attention ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionKernel<T> {
    pub(super) form: T,
    pub(super) peak: f64,
    pub(super) bandwidth: f64,
    pub(super) multiprocessors: f64,
    pub(super) repeated: Repeated,
}

impl<T: Copy> AttentionKernel<T> {
    /// The coefficients.
    pub fn form(&self) -> T {
        self.form
    }

    /// The same attention under other coefficients.
    #[must_use]
    pub fn with_form(self, form: T) -> AttentionKernel<T> {
        AttentionKernel { form, ..self }
    }
}

impl AttentionKernel<PrefillAttention> {
    /// Attention of the step's prompt tokens; see `AttentionKernel::prompt`.
    #[inline]
    pub fn time(&self, a: &AttentionShape, flops: Flops, traffic: Traffic, step: &Step) -> KernelTime {
        self.prompt(a.heads as f64, a.head_dim as f64, a.window, (flops, traffic, step))
    }

    /// Latent attention of the step's prompt tokens; the head dimension does not vary.
    #[inline]
    pub fn latent_time(&self, l: &LatentShape, flops: Flops, traffic: Traffic, step: &Step) -> KernelTime {
        self.prompt(l.heads as f64, 128.0, None, (flops, traffic, step))
    }

    /// `t = launch + bytes/(bw·em) + pn(pn(flops/(peak·ec·(d/128)^a), block·⌈b·h·⌈n/128⌉/SMs⌉), depth·L·d/128000)`
    /// with `b` prompts of `n` new tokens each and `L` keys.
    fn prompt(
        &self,
        heads: f64,
        head_dim: f64,
        window: Option<u64>,
        (flops, traffic, step): (Flops, Traffic, &Step),
    ) -> KernelTime {
        if step.prefill_tokens <= 0.0 {
            return KernelTime::NONE;
        }
        let f = &self.form;
        let sequences = step.prefill_sequences;
        let new = step.prefill_tokens / sequences;
        let keys = (new + step.prefill_prior).min(window.map_or(f64::INFINITY, |w| w as f64));
        let peak = self.peak * f.compute_efficiency * power(head_dim / 128.0, f.head_dim_exponent);
        let compute = flops.get() / peak;
        let waves = (sequences * heads * (new / 128.0).ceil() / self.multiprocessors).ceil();
        let depth = f.depth_latency.get() * keys * head_dim / 128_000.0;
        let blocks = f.block.get() * waves;
        let memory = traffic.get() / (self.bandwidth * f.memory_efficiency);
        let body = smooth_max_of_three(compute, blocks, depth, f.sharpness);
        let latency = f.launch.get().max(depth).max(blocks);
        let time = KernelTime {
            time: Seconds::new(f.launch.get() + memory + body),
            bound: Bound::of(Seconds::new(compute), Seconds::new(memory), Seconds::new(latency)),
            compute: Seconds::new(flops.get() / self.peak),
            memory: Seconds::new(traffic.get() / self.bandwidth),
            extrapolated: false,
        };
        time.within(f.range, new + step.prefill_prior)
    }
}

/// What decoding sequences ask of the tiles that they are computed in.
struct Tiles {
    /// How many.
    count: f64,
    /// Query heads that share one.
    heads: f64,
    /// FLOPs per tile and position.
    flops: f64,
}

/// Rows that a tile has at least, however few query heads share it (the tensor cores' M).
const TILE_ROWS: f64 = 16.0;

impl AttentionKernel<DecodeAttention> {
    /// Attention of the decoding sequences.
    #[inline]
    pub fn time(&self, a: &AttentionShape, traffic: Traffic, step: &Step) -> KernelTime {
        let (kv, queries) = (a.kv_heads as f64, a.heads as f64);
        let group = queries / kv;
        // Query heads of one group share a tile, up to as many as the kernel takes.
        let (heads, per_sequence) = match self.form.largest_group {
            Some(most) if group > most => (1.0, queries),
            _ => (group, kv),
        };
        // Tokens that are verified together are more rows of the same tiles.
        let heads = heads * step.queries();
        let flops = 4.0 * heads.max(TILE_ROWS) * a.head_dim as f64;
        let tiles = Tiles { count: step.decode_sequences * per_sequence, heads, flops };
        self.decode(a.seen(step.context), tiles, traffic)
    }

    /// Latent attention of the decoding sequences: one tile of 64 query rows per sequence.
    #[inline]
    pub fn latent_time(&self, l: &LatentShape, traffic: Traffic, step: &Step) -> KernelTime {
        let heads = l.heads as f64 * step.queries();
        let per_sequence = (heads / 64.0).ceil();
        let flops = 2.0 * (2 * l.kv_rank + l.rope_dim) as f64 * heads.max(TILE_ROWS) / per_sequence;
        let tiles = Tiles { count: step.decode_sequences * per_sequence, heads, flops };
        self.decode(l.seen(step.context), tiles, traffic)
    }

    /// `t = launch + split·log2(1 + L/128)
    ///      + pn4(pn(pn(bytes/(bw·em), block·tiles/SMs), tiles·flops·tile⌈L/tile⌉/(peak·ec)), depth·L/1000)`.
    #[inline]
    fn decode(&self, context: f64, tiles: Tiles, traffic: Traffic) -> KernelTime {
        if tiles.count <= 0.0 || context <= 0.0 {
            return KernelTime::NONE;
        }
        let f = &self.form;
        let bytes = traffic.get();
        let remains = self.repeated.remains(f.cached_share, bytes);
        let memory = remains * bytes / (self.bandwidth * f.memory_efficiency);
        let block = f.single_block.filter(|_| tiles.heads <= 1.0).unwrap_or(f.block);
        let blocks = block.get() * tiles.count / self.multiprocessors;
        let positions = f.tile_positions.map_or(context, |tile| (context / tile).ceil() * tile);
        let flops = tiles.count * tiles.flops;
        let compute = flops * positions / (self.peak * f.compute_efficiency);
        let depth = f.depth_latency.get() * context / 1000.0;
        let body = smooth_max_of_three(memory, blocks, compute, f.sharpness);
        let fixed = f.launch.get() + f.split_latency.get() * log2(1.0 + context / 128.0);
        let whole = fixed + smooth_max_of_fourth_powers(body, depth);
        let time = KernelTime {
            time: Seconds::new(self.repeated.at_least_read(whole, bytes, self.bandwidth)),
            bound: Bound::of(
                Seconds::new(compute),
                Seconds::new(memory),
                Seconds::new(fixed.max(depth).max(blocks)),
            ),
            compute: Seconds::new(flops * context / self.peak),
            memory: Seconds::new(bytes / self.bandwidth),
            extrapolated: false,
        };
        time.within(f.range, context)
    }
}

//! Time of one kernel: compact forms whose coefficients a GPU's file states.
//!
//! Each form is a smooth maximum of compute and memory time plus launch and depth latency. Sizes are
//! per rank. Forms and coefficients: fits to the kernel tables of AIConfigurator 0.12; see
//! `docs/model.md` for each equation and its error.

mod plain;

use crate::catalog::kernels::{
    ByEngine, DecodeAttention, Gemm, GroupedGemm, KernelTables, PowerShares, PrefillAttention, SmallKernel,
    SmallKernels,
};
use crate::catalog::{Engine, Gpu};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat, gguf};
use crate::model::operator::{AttentionShape, ExpertsShape, LatentShape, Step};
use crate::units::{Flops, FlopsPerSecond, Seconds, Traffic};

use super::{Bound, power, smooth_max};
use plain::{PLAIN_DECODE, PLAIN_EXPERTS, PLAIN_GEMM, PLAIN_PREFILL};

/// A time and what bounds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelTime {
    /// Time of one call.
    pub time: Seconds,
    /// The largest part of it.
    pub bound: Bound,
    /// What its arithmetic would take at the datasheet peak.
    pub compute: Seconds,
    /// What its traffic would take at the datasheet bandwidth.
    pub memory: Seconds,
}

impl KernelTime {
    /// No work.
    pub const NONE: KernelTime = KernelTime::idle(Seconds::ZERO, Bound::Latency);

    /// A time in which neither arithmetic nor memory is busy.
    pub const fn idle(time: Seconds, bound: Bound) -> KernelTime {
        KernelTime { time, bound, compute: Seconds::ZERO, memory: Seconds::ZERO }
    }
}

/// Coefficients found for a kernel, and whether they were measured on this GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<T> {
    /// Coefficients.
    pub form: T,
    /// Whether they come from this GPU's own measurements.
    pub fitted: bool,
}

/// The kernels of one engine on one GPU.
#[derive(Clone, Debug)]
pub struct Kernels<'a> {
    /// The GPU.
    pub gpu: &'a Gpu,
    /// The engine.
    pub engine: &'a Engine,
    peak_16bit: FlopsPerSecond,
    small: SmallKernels,
    /// What they draw.
    pub power: PowerShares,
    expert_skew: f64,
}

/// A dense product ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmKernel {
    form: Gemm,
    peak: f64,
    bandwidth: f64,
    weight_bytes: f64,
    activation_bytes: f64,
}

/// Attention ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionKernel<T> {
    form: T,
    peak: f64,
    bandwidth: f64,
    multiprocessors: f64,
}

/// Routed experts ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertsKernel {
    form: GroupedGemm,
    peak: f64,
    bandwidth: f64,
    weight_bytes: f64,
    skew: f64,
}

/// A small kernel ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmallKernelTimer {
    form: SmallKernel,
    peak: f64,
    bandwidth: f64,
}

/// Skew of the experts' load under real traffic, as an exponent of the hot rank's excess: 0 is balanced,
/// 1 the mildest skew that the kernel tables were measured with (a power law of exponent 1.01).
pub const EXPERT_SKEW: f64 = 1.0;

impl<'a> Kernels<'a> {
    /// The kernels of an engine on a GPU.
    ///
    /// # Errors
    /// [`Code::Catalog`] when the class states no small kernels or the GPU no 16-bit peak.
    pub fn new(gpu: &'a Gpu, engine: &'a Engine) -> Result<Kernels<'a>, Diagnostic> {
        let missing = |what: &str| {
            Diagnostic::new(Code::Catalog, format!("missing {what}")).at(format!("GPU {}", gpu.id))
        };
        let small = gpu.kernels.small.or(gpu.stand_ins.small).ok_or_else(|| missing("kernels.small"))?;
        let peak_16bit = gpu.peak_16bit().ok_or_else(|| missing("peak.bf16"))?;
        let power = gpu.kernels.power.or(gpu.stand_ins.power).unwrap_or(power::PLAIN);
        Ok(Kernels { gpu, engine, peak_16bit, small, power, expert_skew: EXPERT_SKEW })
    }

    /// The same with another skew of the experts' load; see [`EXPERT_SKEW`].
    #[must_use]
    pub fn with_expert_skew(self, expert_skew: f64) -> Kernels<'a> {
        Kernels { expert_skew, ..self }
    }

    /// The peak of products with such weights, and whether it is that of a narrow type.
    fn compute_peak(&self, format: WeightFormat) -> (FlopsPerSecond, bool) {
        let narrow = narrow_peak(self.gpu, format);
        (narrow.unwrap_or(self.peak_16bit), narrow.is_some())
    }

    /// Looks a form up: this GPU (this engine, then any other), then what stands in for it. Only this
    /// engine's own on this very GPU counts as fitted: engines differ by up to 2× in FP8 and experts.
    fn lookup<T: Copy>(&self, of: fn(&KernelTables) -> &ByEngine<T>, key: &str) -> Option<Found<T>> {
        let own = |tables: &'a KernelTables| of(tables).get(self.engine.kernel_key())?.get(key);
        let any = |tables: &'a KernelTables| of(tables).values().find_map(|t| t.get(key));
        let (gpu, stand_ins) = (&self.gpu.kernels, &self.gpu.stand_ins);
        let borrowed = || any(gpu).or_else(|| own(stand_ins)).or_else(|| any(stand_ins));
        own(gpu)
            .map(|form| Found { form: *form, fitted: true })
            .or_else(|| borrowed().map(|form| Found { form: *form, fitted: false }))
    }

    /// The form of a dense product, with the engine's static quantisation and graph launches applied.
    pub fn gemm(&self, format: WeightFormat) -> (GemmKernel, bool) {
        let (peak, narrow) = self.compute_peak(format);
        let key = match format {
            ggml if ggml.is_ggml() => gguf::KERNEL_KEY,
            narrow_format if narrow => narrow_format.name(),
            _ => WeightFormat::Bf16.name(),
        };
        let base = self.lookup(|t| &t.gemm, WeightFormat::Bf16.name());
        let found = self.lookup(|t| &t.gemm, key).or(base);
        let fitted = found.is_some_and(|f| f.fitted);
        let mut form = found.map_or(PLAIN_GEMM, |f| f.form);
        if let (true, Some(base)) = (narrow, base) {
            // Activation scales are static or fused into the previous kernel for all but a share.
            let share = self.engine.scheduling.quantise_share;
            let floor = base.form.launch.min(form.launch);
            form.launch = floor + (form.launch - floor) * share;
            form.quantise_bytes *= share;
        }
        form.launch = form.launch * self.engine.scheduling.launch_share;
        let kernel = GemmKernel {
            form,
            peak: peak.get(),
            bandwidth: self.gpu.bandwidth.get(),
            weight_bytes: format.bytes_per_element(),
            activation_bytes: if narrow { format.activation_bytes() } else { 2.0 },
        };
        (kernel, fitted)
    }

    /// The form of attention over prompts.
    pub fn prefill_attention(&self, kv: DType) -> (AttentionKernel<PrefillAttention>, bool) {
        let fp8 =
            (kv == DType::Fp8 && self.engine.fp8_attention).then(|| self.gpu.peak(DType::Fp8)).flatten();
        let found = fp8
            .and_then(|_| self.lookup(|t| &t.prefill_attention, "fp8/fp8"))
            .map(|f| (f, fp8.unwrap_or(self.peak_16bit)))
            .or_else(|| self.by_cache(|t| &t.prefill_attention, kv).map(|f| (f, self.peak_16bit)));
        self.attention(found, PLAIN_PREFILL, |f, share| f.launch = f.launch * share)
    }

    /// The form of attention of decoding sequences.
    pub fn decode_attention(&self, kv: DType) -> (AttentionKernel<DecodeAttention>, bool) {
        let found = self.by_cache(|t| &t.decode_attention, kv).map(|f| (f, self.peak_16bit));
        self.attention(found, PLAIN_DECODE, |f, share| f.launch = f.launch * share)
    }

    /// The form of latent attention over prompts.
    pub fn latent_prefill(&self, kv: DType) -> (AttentionKernel<PrefillAttention>, bool) {
        let found = self.latent(|t| &t.latent_prefill, kv);
        self.attention(found, PLAIN_PREFILL, |f, share| f.launch = f.launch * share)
    }

    /// The form of latent attention of decoding sequences.
    pub fn latent_decode(&self, kv: DType) -> (AttentionKernel<DecodeAttention>, bool) {
        let found = self.latent(|t| &t.latent_decode, kv).map(|(f, _)| (f, self.peak_16bit));
        self.attention(found, PLAIN_DECODE, |f, share| f.launch = f.launch * share)
    }

    fn by_cache<T: Copy>(&self, of: fn(&KernelTables) -> &ByEngine<T>, kv: DType) -> Option<Found<T>> {
        let key = if kv.bits() == 8 { "bf16/fp8" } else { "bf16/bf16" };
        self.lookup(of, key).or_else(|| self.lookup(of, "bf16/bf16"))
    }

    fn latent<T: Copy>(
        &self,
        of: fn(&KernelTables) -> &ByEngine<T>,
        kv: DType,
    ) -> Option<(Found<T>, FlopsPerSecond)> {
        let fp8 =
            (kv == DType::Fp8 && self.engine.fp8_attention).then(|| self.gpu.peak(DType::Fp8)).flatten();
        fp8.and_then(|peak| self.lookup(of, "fp8/fp8").map(|f| (f, peak)))
            .or_else(|| self.lookup(of, "bf16/bf16").map(|f| (f, self.peak_16bit)))
    }

    fn attention<T: Copy>(
        &self,
        found: Option<(Found<T>, FlopsPerSecond)>,
        plain: T,
        in_graph: fn(&mut T, f64),
    ) -> (AttentionKernel<T>, bool) {
        let (found, peak) = found.unwrap_or((Found { form: plain, fitted: false }, self.peak_16bit));
        let mut form = found.form;
        in_graph(&mut form, self.engine.scheduling.launch_share);
        let kernel = AttentionKernel {
            form,
            peak: peak.get(),
            bandwidth: self.gpu.bandwidth.get(),
            multiprocessors: f64::from(self.gpu.multiprocessors),
        };
        (kernel, found.fitted)
    }

    /// The form of routed experts.
    pub fn experts(&self, format: WeightFormat) -> (ExpertsKernel, bool) {
        let (mut peak, narrow) = self.compute_peak(format);
        // MXFP4 experts run with FP8 activations where the GPU has FP4 arithmetic (Blackwell), and with
        // 16-bit ones elsewhere; the 8-bit form stands in for the former.
        let fp8_activations = format == WeightFormat::Mxfp4 && self.gpu.peak(DType::Fp4).is_some();
        let key = match format.kernel() {
            _ if format.is_ggml() => gguf::KERNEL_KEY,
            WeightFormat::Mxfp4 if fp8_activations => WeightFormat::Fp8Block.name(),
            kernel @ (WeightFormat::Mxfp4 | WeightFormat::Int4) => kernel.name(),
            _ if narrow => format.name(),
            _ => WeightFormat::Bf16.name(),
        };
        if let (true, Some(fp8)) = (fp8_activations, self.gpu.peak(DType::Fp8)) {
            peak = fp8;
        }
        let found = self
            .lookup(|t| &t.grouped_gemm, key)
            .or_else(|| self.lookup(|t| &t.grouped_gemm, WeightFormat::Bf16.name()));
        let mut form = found.map_or(PLAIN_EXPERTS, |f| f.form);
        form.launch = form.launch * self.engine.scheduling.launch_share;
        let kernel = ExpertsKernel {
            form,
            peak: peak.get(),
            bandwidth: self.gpu.bandwidth.get(),
            weight_bytes: format.bytes_per_element(),
            skew: self.expert_skew,
        };
        (kernel, found.is_some_and(|f| f.fitted))
    }

    /// What a launch that takes `in_graph` inside a CUDA graph costs more outside.
    pub fn eager_launch(&self, in_graph: Seconds) -> Seconds {
        let share = self.engine.scheduling.launch_share;
        if share > 0.0 { in_graph * (1.0 / share - 1.0) } else { Seconds::ZERO }
    }

    /// A fused elementwise kernel.
    pub fn elementwise(&self) -> SmallKernelTimer {
        self.small(self.small.elementwise)
    }
    /// One small product per head.
    pub fn batched_gemm(&self) -> SmallKernelTimer {
        self.small(self.small.batched_gemm)
    }
    /// State update of a recurrent mixer.
    pub fn scan(&self) -> SmallKernelTimer {
        self.small(self.small.scan)
    }
    /// Softmax and sampling.
    pub fn sampling(&self) -> SmallKernelTimer {
        self.small(self.small.sampling)
    }

    fn small(&self, form: SmallKernel) -> SmallKernelTimer {
        SmallKernelTimer { form, peak: self.peak_16bit.get(), bandwidth: self.gpu.bandwidth.get() }
    }
}

impl GemmKernel {
    /// Its launch floor.
    pub fn launch(&self) -> Seconds {
        self.form.launch
    }

    /// `t = launch + q·m·k/bw + pn(pn(2mnk/(peak·ec), bytes/(bw·em)), depth·k/1000)`.
    pub fn time(&self, m: f64, n: f64, k: f64) -> KernelTime {
        if m <= 0.0 {
            return KernelTime::NONE;
        }
        let f = &self.form;
        let bytes = n * k * self.weight_bytes + m * k * self.activation_bytes + 2.0 * m * n;
        let compute = 2.0 * m * n * k / (self.peak * f.compute_efficiency);
        let memory = bytes / (self.bandwidth * f.memory_efficiency);
        let depth = f.depth_latency.get() * k / 1000.0;
        let quantise = f.quantise_bytes * m * k / self.bandwidth;
        let body = smooth_max(smooth_max(compute, memory, f.sharpness), depth, f.sharpness);
        let time = Seconds::new(f.launch.get() + quantise + body);
        let latency = Seconds::new(f.launch.get().max(depth));
        KernelTime {
            time,
            bound: Bound::of(Seconds::new(compute), Seconds::new(memory), latency),
            compute: Seconds::new(compute * f.compute_efficiency),
            memory: Seconds::new(bytes / self.bandwidth),
        }
    }
}

impl<T> AttentionKernel<T> {
    /// Its coefficients.
    pub fn form(&self) -> &T {
        &self.form
    }
}

impl AttentionKernel<PrefillAttention> {
    /// Attention of the step's prompt tokens; see `AttentionKernel::prompt`.
    pub fn time(&self, a: &AttentionShape, flops: Flops, traffic: Traffic, step: &Step) -> KernelTime {
        self.prompt(a.heads as f64, a.head_dim as f64, a.window, (flops, traffic, step))
    }

    /// Latent attention of the step's prompt tokens; the head dimension does not vary.
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
        let peak = self.peak * f.compute_efficiency * (head_dim / 128.0).powf(f.head_dim_exponent);
        let compute = flops.get() / peak;
        let waves = (sequences * heads * (new / 128.0).ceil() / self.multiprocessors).ceil();
        let depth = f.depth_latency.get() * keys * head_dim / 128_000.0;
        let blocks = f.block.get() * waves;
        let memory = traffic.get() / (self.bandwidth * f.memory_efficiency);
        let body = smooth_max(smooth_max(compute, blocks, f.sharpness), depth, f.sharpness);
        let latency = f.launch.get().max(depth).max(blocks);
        KernelTime {
            time: Seconds::new(f.launch.get() + memory + body),
            bound: Bound::of(Seconds::new(compute), Seconds::new(memory), Seconds::new(latency)),
            compute: Seconds::new(flops.get() / self.peak),
            memory: Seconds::new(traffic.get() / self.bandwidth),
        }
    }
}

impl AttentionKernel<DecodeAttention> {
    /// Attention of the decoding sequences.
    pub fn time(&self, a: &AttentionShape, traffic: Traffic, step: &Step) -> KernelTime {
        let context = a.seen(step.context);
        let kv = a.kv_heads as f64;
        // Query heads of one group share a tile of at least 16 rows.
        let group = (a.heads as f64 / kv).max(16.0);
        let flops = 4.0 * step.decode_sequences * kv * group * a.head_dim as f64 * context;
        self.decode(context, step.decode_sequences * kv, flops, traffic)
    }

    /// Latent attention of the decoding sequences: one tile of 64 heads per sequence.
    pub fn latent_time(&self, l: &LatentShape, traffic: Traffic, step: &Step) -> KernelTime {
        let heads = l.heads as f64;
        let per_position = 2.0 * (2 * l.kv_rank + l.rope_dim) as f64 * heads.max(16.0);
        let flops = per_position * step.decode_sequences * step.context;
        self.decode(step.context, step.decode_sequences * (heads / 64.0).ceil(), flops, traffic)
    }

    /// `t = launch + split·log2(1 + L/128) + pn4(pn(pn(bytes/(bw·em), block·tiles/SMs), flops/(peak·ec)), depth·L/1000)`.
    fn decode(&self, context: f64, tiles: f64, flops: f64, traffic: Traffic) -> KernelTime {
        if tiles <= 0.0 || context <= 0.0 {
            return KernelTime::NONE;
        }
        let f = &self.form;
        let memory = traffic.get() / (self.bandwidth * f.memory_efficiency);
        let blocks = f.block.get() * tiles / self.multiprocessors;
        let compute = flops / (self.peak * f.compute_efficiency);
        let depth = f.depth_latency.get() * context / 1000.0;
        let body = smooth_max(smooth_max(memory, blocks, f.sharpness), compute, f.sharpness);
        let fixed = f.launch.get() + f.split_latency.get() * (1.0 + context / 128.0).log2();
        KernelTime {
            time: Seconds::new(fixed + smooth_max(body, depth, 4.0)),
            bound: Bound::of(
                Seconds::new(compute),
                Seconds::new(memory),
                Seconds::new(fixed.max(depth).max(blocks)),
            ),
            compute: Seconds::new(flops / self.peak),
            memory: Seconds::new(traffic.get() / self.bandwidth),
        }
    }
}

impl ExpertsKernel {
    /// Its launch floor.
    pub fn launch(&self) -> Seconds {
        self.form.launch
    }

    /// `t = launch + (q1·N_hot·(H + 1.5·I) + q2·T·k·H)·2/bw
    ///      + pn(2·M·H·I·(N_hot + pad·A)/(peak·ec), A·M·H·I·wb/(bw·em))`
    /// with `N_hot = min(N·ep^(γ·skew), T·k)` rows on the fullest rank and `A` experts touched.
    pub fn time(&self, e: &ExpertsShape, step: &Step) -> KernelTime {
        let tokens = e.all_tokens(step);
        if tokens <= 0.0 {
            return KernelTime::NONE;
        }
        let f = &self.form;
        let (hidden, inner) = (e.hidden as f64, e.inner as f64);
        let copies = tokens * e.top_k as f64;
        let skew = (e.expert_ranks as f64).powf(f.imbalance_exponent * self.skew);
        let hot = (e.local_rows(step) * skew).min(copies);
        let touched = e.touched(step);
        let passes =
            (f.local_passes * hot * (hidden + 1.5 * inner) + f.global_passes * copies * hidden) * 2.0;
        let weights = e.matrices as f64 * hidden * inner;
        let compute = 2.0 * weights * (hot + f.pad_rows * touched) / (self.peak * f.compute_efficiency);
        let memory = touched * weights * self.weight_bytes / (self.bandwidth * f.memory_efficiency);
        let time = f.launch.get() + passes / self.bandwidth + smooth_max(compute, memory, f.sharpness);
        KernelTime {
            time: Seconds::new(time),
            bound: Bound::of(Seconds::new(compute), Seconds::new(memory), f.launch),
            compute: Seconds::new(2.0 * weights * e.local_rows(step) / self.peak),
            memory: Seconds::new((touched * weights * self.weight_bytes + passes) / self.bandwidth),
        }
    }
}

impl SmallKernelTimer {
    /// `t = kernels·launch + max(bytes/(bw·em), flops/(peak·ec))`.
    pub fn time(&self, kernels: f64, flops: Flops, traffic: Traffic) -> KernelTime {
        if traffic.get() <= 0.0 {
            return KernelTime::NONE;
        }
        let launch = self.form.launch * kernels;
        let memory = Seconds::new(traffic.get() / (self.bandwidth * self.form.memory_efficiency));
        let compute = Seconds::new(flops.get() / (self.peak * self.form.compute_efficiency));
        KernelTime {
            time: launch + memory.max(compute),
            bound: Bound::of(compute, memory, launch),
            compute: compute * self.form.compute_efficiency,
            memory: memory * self.form.memory_efficiency,
        }
    }
}

/// The peak of the narrow type that products with such weights compute in, where the GPU has it and
/// activations are quantised too; else they compute in 16 bits.
pub fn narrow_peak(gpu: &Gpu, format: WeightFormat) -> Option<FlopsPerSecond> {
    match format {
        WeightFormat::Fp8 | WeightFormat::Fp8Block => gpu.peak(DType::Fp8),
        WeightFormat::Int8 => gpu.peak(DType::Int8),
        WeightFormat::Nvfp4 => gpu.peak(DType::Fp4),
        _ => None,
    }
}

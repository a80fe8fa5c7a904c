//! Time of one kernel: compact forms whose coefficients a GPU's file states.
//!
//! Each form is a smooth maximum of compute and memory time plus launch and depth latency. Sizes are
//! per rank. Forms and coefficients: fits to the kernel tables of AIConfigurator 0.12; see
//! `docs/model.md` for each equation and its error.

mod attention;
mod experts;
mod gemm;
mod plain;
mod reached;
mod repeated;
mod scan;
mod skew;
mod small;
mod time;

use crate::catalog::kernels::{
    ByEngine, DecodeAttention, Gemm, KernelTables, PowerShares, PrefillAttention, SmallKernel, SmallKernels,
    is_lent,
};
use crate::catalog::{Engine, Gpu};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat, gguf};
use crate::model::operator::{AttentionShape, ScanKind};
use crate::units::{FlopsPerSecond, Seconds};

use super::measured::{MeasuredKernels, Setting};
use super::power;
pub use attention::AttentionKernel;
pub use experts::ExpertsKernel;
pub use gemm::GemmKernel;
use plain::{PLAIN_DECODE, PLAIN_EXPERTS, PLAIN_GEMM, PLAIN_PREFILL};
pub use reached::Reached;
use repeated::Repeated;
pub use scan::ScanKernel;
use skew::BALANCED_SKEW;
pub use skew::EXPERT_SKEW;
pub use small::SmallKernelTimer;
pub use time::KernelTime;

/// Coefficients found for a kernel, and whether they were measured on this GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<T> {
    /// Coefficients.
    pub form: T,
    /// Whether they come from this GPU's own measurements.
    pub fitted: bool,
    /// Whether they are of this very engine, on this GPU or the one of its architecture that lends it its coefficients.
    pub of_engine: bool,
}

/// The kernels of one engine on one GPU.
#[derive(Clone, Debug)]
pub struct Kernels<'a> {
    /// The GPU.
    pub gpu: &'a Gpu,
    /// The engine.
    pub engine: &'a Engine,
    peak_16bit: FlopsPerSecond,
    /// Peak in 16 bits of products of weights, as this engine sums them.
    products_16bit: FlopsPerSecond,
    small: SmallKernels,
    /// What they draw.
    pub power: PowerShares,
    expert_skew: f64,
    repeated: Repeated,
    /// Latencies that were measured, if there are any.
    pub measured: Option<MeasuredKernels>,
}

impl<'a> Kernels<'a> {
    /// The kernels of an engine on a GPU.
    ///
    /// # Errors
    /// [`Code::Catalog`] when the class states no small kernels or the GPU no 16-bit peak.
    pub fn new(gpu: &'a Gpu, engine: &'a Engine) -> Result<Kernels<'a>, Diagnostic> {
        let missing = |what: &str| {
            Diagnostic::new(Code::Catalog, format!("missing {what}")).at(format!("GPU {}", gpu.id))
        };
        let small = gpu.tables().into_iter().find_map(|tables| tables.small);
        let small = small.ok_or_else(|| missing("kernels.small"))?;
        let peak_16bit = gpu.peak_16bit().ok_or_else(|| missing("peak.bf16"))?;
        // ggml's products sum in 16 bits or multiply in INT8.
        let half_sums = gpu.half_sums.filter(|_| engine.kernels_apart);
        let power = gpu.tables().into_iter().find_map(|tables| tables.power).unwrap_or(power::PLAIN);
        let measured = gpu.tables_of(engine).cloned().map(MeasuredKernels::new);
        Ok(Kernels {
            gpu,
            engine,
            peak_16bit,
            products_16bit: half_sums.unwrap_or(peak_16bit),
            small,
            power,
            expert_skew: if engine.launch.expert_balancer { BALANCED_SKEW } else { EXPERT_SKEW },
            repeated: Repeated::default(),
            measured,
        })
    }

    /// The kernels under another skew of the experts' load; see [`EXPERT_SKEW`].
    #[must_use]
    pub fn with_expert_skew(self, expert_skew: f64) -> Kernels<'a> {
        Kernels { expert_skew, ..self }
    }

    /// What decides between measured kernels.
    pub fn setting(&self, ranks: Option<u32>) -> Setting {
        let fp8_attention = self.engine.fp8_attention && self.gpu.peak(DType::Fp8).is_some();
        Setting { fp8_attention, spread: Setting::spread(self.expert_skew), ranks }
    }

    /// The kernels as a benchmark times them: on their own, again and again on the same data.
    #[must_use]
    pub fn repeated(self) -> Kernels<'a> {
        Kernels { repeated: Repeated { cache: self.gpu.cache.as_f64() }, ..self }
    }

    /// The peak of products with such weights, and whether it is that of a narrow type.
    fn compute_peak(&self, format: WeightFormat) -> (FlopsPerSecond, bool) {
        let narrow = narrow_peak(self.gpu, format);
        (narrow.unwrap_or(self.products_16bit), narrow.is_some())
    }

    /// Looks a form up: on this GPU, on the one that lends it its coefficients, in its class, each time this engine's, then
    /// any other's; so that a GPU that borrows all of them is as fast as the one that lends them. Only this engine's own on
    /// this very GPU counts as fitted: engines differ by up to 2× in FP8 and experts. A set that its version names goes
    /// before.
    fn lookup<T: Copy>(&self, of: fn(&KernelTables) -> &ByEngine<T>, key: &str) -> Option<Found<T>> {
        let set = self.engine.kernel_set.as_deref();
        let in_set = |tables: &'a KernelTables| of(tables).get(set?)?.get(key);
        let own = |tables: &'a KernelTables| {
            in_set(tables).or_else(|| of(tables).get(self.engine.kernel_key())?.get(key))
        };
        let any = |tables: &'a KernelTables| {
            let of_engines = of(tables).iter().filter(|(name, _)| is_lent(name));
            of_engines.map(|(_, formats)| formats).find_map(|formats| formats.get(key))
        };
        /// The place of the class among the tables.
        const CLASS: usize = 2;
        let tables = self.gpu.tables();
        let own_in = |at: usize| {
            let found = |form: &T| Found { form: *form, fitted: at == 0, of_engine: at < CLASS };
            own(tables[at]).map(found)
        };
        let any_in = |at: usize| {
            let found = |form: &T| Found { form: *form, fitted: false, of_engine: false };
            any(tables[at]).map(found)
        };
        let places = 0..tables.len();
        if self.engine.kernels_apart {
            return places.clone().find_map(own_in).or_else(|| places.clone().find_map(any_in));
        }
        places.clone().find_map(|at| own_in(at).or_else(|| any_in(at)))
    }

    /// The form of a dense product, with the engine's static quantisation and graph launches applied.
    pub fn gemm(&self, format: WeightFormat) -> (GemmKernel, bool) {
        self.gemm_stored((format, false))
    }

    /// The form of a dense product whose activations may stay in 16 bits though its weights are narrow.
    pub fn gemm_stored(&self, (format, weight_only): (WeightFormat, bool)) -> (GemmKernel, bool) {
        let narrow_peak = narrow_peak(self.gpu, format).filter(|_| !weight_only);
        let narrow = narrow_peak.is_some();
        let wide_peak = self.gpu.peak(DType::Fp32).filter(|_| format == WeightFormat::Fp32);
        let base = self.lookup(|t| &t.gemm, WeightFormat::Bf16.name());
        let found = if narrow {
            self.lookup(|t| &t.gemm, narrow_key(format))
        } else {
            self.gemm_of_weights(format, weight_only)
        };
        // No kernel of its own was measured: a 16-bit product that widens its weights on the way.
        let widened =
            if narrow || found.is_some() { None } else { self.engine.widening_efficiency.get(&format) };
        let found = found.or(base);
        let fitted = found.is_some_and(|f| f.fitted);
        let mut form = found.map_or(PLAIN_GEMM, |f| f.form);
        if let Some(share) = widened {
            form.compute_efficiency *= share;
        }
        if let (true, Some(base)) = (narrow, base) {
            // Activation scales are static or fused into the previous kernel for all but a share.
            let share = self.engine.scheduling.quantise_share;
            let floor = base.form.launch.min(form.launch);
            form.launch = floor + (form.launch - floor) * share;
            form.quantise_bytes *= share;
            form.quantise_row = form.quantise_row * share;
        }
        form.launch = form.launch * self.engine.scheduling.launch_share;
        let integers = self.gpu.peak(DType::Int8).filter(|_| form.in_int8);
        let kernel = GemmKernel {
            form,
            peak: integers.or(narrow_peak).or(wide_peak).unwrap_or(self.products_16bit).get(),
            bandwidth: self.gpu.bandwidth.get(),
            multiprocessors: f64::from(self.gpu.multiprocessors),
            weight_bytes: format.bytes_per_element(),
            activation_bytes: match (narrow, wide_peak) {
                (true, _) => format.activation_bytes(),
                (false, Some(_)) => 4.0,
                (false, None) => 2.0,
            },
            repeated: self.repeated,
        };
        (kernel, fitted)
    }

    /// The form of products by 16-bit activations. Narrow weights have one of their own only where this very
    /// engine was measured with them, on this GPU or the one that lends it its coefficients; otherwise they are 16-bit products with
    /// less to read.
    fn gemm_of_weights(&self, format: WeightFormat, weight_only: bool) -> Option<Found<Gemm>> {
        if format.is_ggml() {
            return self.lookup(|t| &t.gemm, gguf::KERNEL_KEY);
        }
        // Without tensor cores: a kernel of its own.
        if format == WeightFormat::Fp32 {
            return self.lookup(|t| &t.gemm, format.name());
        }
        let key = if weight_only { gemm_key(format, true) } else { format.kernel().name().to_owned() };
        self.lookup(|t| &t.gemm, &key).filter(|found| found.of_engine)
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

    /// What the GPU reaches at most in 16 bits.
    pub fn sixteen_bit_peak(&self) -> f64 {
        self.peak_16bit.get()
    }

    /// The kernel of prefill attention for heads of a shape, which may have sinks.
    pub fn prefill_heads(&self, shape: &AttentionShape) -> (AttentionKernel<PrefillAttention>, bool) {
        let (mut kernel, fitted) = self.prefill_attention(shape.kv);
        let share = self.engine.sink_efficiency.get(&self.gpu.architecture).filter(|_| shape.sinks);
        if let Some(share) = share {
            kernel.form.compute_efficiency *= share;
        }
        (kernel, fitted)
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
        let wide = || self.lookup(of, "bf16/fp8").filter(|found| found.of_engine && kv.bits() == 8);
        fp8.and_then(|peak| self.lookup(of, "fp8/fp8").map(|f| (f, peak)))
            .or_else(|| wide().map(|f| (f, self.peak_16bit)))
            .or_else(|| self.lookup(of, "bf16/bf16").map(|f| (f, self.peak_16bit)))
    }

    fn attention<T: Copy>(
        &self,
        found: Option<(Found<T>, FlopsPerSecond)>,
        plain: T,
        in_graph: fn(&mut T, f64),
    ) -> (AttentionKernel<T>, bool) {
        let (found, peak) =
            found.unwrap_or((Found { form: plain, fitted: false, of_engine: false }, self.peak_16bit));
        let mut form = found.form;
        in_graph(&mut form, self.engine.scheduling.launch_share);
        let kernel = AttentionKernel {
            form,
            peak: peak.get(),
            bandwidth: self.gpu.bandwidth.get(),
            multiprocessors: f64::from(self.gpu.multiprocessors),
            repeated: self.repeated,
        };
        (kernel, found.fitted)
    }

    /// The form of routed experts.
    pub fn experts(&self, format: WeightFormat) -> (ExpertsKernel, bool) {
        // MXFP4 experts run with FP8 activations where the GPU has FP4 arithmetic (Blackwell), and with
        // 16-bit ones elsewhere.
        let fp8 = format == WeightFormat::Mxfp4 && self.gpu.peak(DType::Fp4).is_some();
        self.experts_by(format, fp8, None)
    }

    /// The form of routed experts, MXFP4 ones with FP8 activations or not, in one of the kernels that an
    /// engine has for a format where that was measured by itself.
    pub fn experts_by(
        &self,
        format: WeightFormat,
        fp8_activations: bool,
        kernel: Option<&str>,
    ) -> (ExpertsKernel, bool) {
        let (own_peak, narrow) = self.compute_peak(format);
        let fp8 = self.gpu.peak(DType::Fp8).filter(|_| fp8_activations);
        let key = match format.kernel() {
            _ if format.is_ggml() => gguf::KERNEL_KEY,
            WeightFormat::Mxfp4 if fp8.is_some() => MXFP4_BY_FP8,
            kernel @ (WeightFormat::Mxfp4 | WeightFormat::Int4) => kernel.name(),
            _ if narrow => narrow_key(format),
            _ => WeightFormat::Bf16.name(),
        };
        let by_key = |key: &str| self.lookup(|t| &t.grouped_gemm, key);
        let found = kernel
            .and_then(|kernel| by_key(&format!("{key}/{kernel}")).filter(|found| found.fitted))
            .or_else(|| by_key(key))
            // The 8-bit form stands in where FP8 activations were not measured.
            .or_else(|| fp8.and_then(|_| by_key(WeightFormat::Fp8Block.name())))
            .or_else(|| by_key(WeightFormat::Bf16.name()));
        let mut form = found.map_or(PLAIN_EXPERTS, |f| f.form);
        form.launch = form.launch * self.engine.scheduling.launch_share;
        let integers = self.gpu.peak(DType::Int8).filter(|_| form.in_int8);
        let kernel = ExpertsKernel {
            form,
            peak: integers.or(fp8).unwrap_or(own_peak).get(),
            bandwidth: self.gpu.bandwidth.get(),
            multiprocessors: f64::from(self.gpu.multiprocessors),
            weight_bytes: format.bytes_per_element(),
            skew: self.expert_skew,
            repeated: self.repeated,
        };
        (kernel, found.is_some_and(|f| f.fitted && !f.form.stand_in))
    }

    /// Most tokens of a step without prompts whose shared experts run beside the routed ones. Engines have that
    /// stream on NVIDIA's GPUs alone (vllm-project/vllm#30085; `_is_cuda` in SGLang's `models/deepseek_v2.py`).
    pub fn shared_experts_beside(&self) -> f64 {
        let has_stream = self.gpu.platform() == "nvidia";
        if has_stream { self.engine.scheduling.shared_experts_beside as f64 } else { 0.0 }
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
    /// State updates of a recurrent mixer.
    pub fn scan(&self, kind: ScanKind) -> (ScanKernel, bool) {
        let of = |kind: ScanKind| self.lookup(|t| &t.scan_prefill, kind.name());
        let found = of(kind);
        let akin = || kind.akin().and_then(of);
        let fitted = found.is_some_and(|found| found.fitted);
        let prompts = found.or_else(akin).map(|found| found.form);
        (ScanKernel { update: self.small(self.small.scan), prompts }, fitted)
    }
    /// Softmax and sampling.
    pub fn sampling(&self) -> SmallKernelTimer {
        self.small(self.small.sampling)
    }

    fn small(&self, form: SmallKernel) -> SmallKernelTimer {
        SmallKernelTimer { form, peak: self.peak_16bit.get(), bandwidth: self.gpu.bandwidth.get() }
    }
}

/// The key of the coefficients of MXFP4 experts with MXFP8 activations.
pub const MXFP4_BY_FP8: &str = "mxfp4_mxfp8";

/// The key of a narrow product's coefficients. No table has MXFP8: those of blocks of 128 stand in.
fn narrow_key(format: WeightFormat) -> &'static str {
    match format {
        WeightFormat::Mxfp8 => WeightFormat::Fp8Block.name(),
        format => format.name(),
    }
}

/// The key of a product's coefficients: the format, and whether only its weights are narrow though the GPU
/// could multiply them as they are.
pub fn gemm_key(format: WeightFormat, weight_only: bool) -> String {
    if weight_only { format!("{}_weights", format.name()) } else { format.name().to_owned() }
}

/// The peak of the narrow type that products with such weights compute in, where the GPU has it and
/// activations are quantised too; else they compute in 16 bits.
pub fn narrow_peak(gpu: &Gpu, format: WeightFormat) -> Option<FlopsPerSecond> {
    match format {
        WeightFormat::Fp8 | WeightFormat::Fp8Block => gpu.peak(DType::Fp8),
        // Scales of 32 elements came with FP4.
        WeightFormat::Mxfp8 => gpu.peak(DType::Fp4).and(gpu.peak(DType::Fp8)),
        WeightFormat::Int8 => gpu.peak(DType::Int8),
        WeightFormat::Nvfp4 => gpu.peak(DType::Fp4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    fn on<T>(gpu: &str, read: impl Fn(&Kernels) -> T) -> T {
        let (gpu, engine) = (catalog::gpu(gpu).unwrap(), catalog::engine("vllm@0.11.0").unwrap());
        read(&Kernels::new(&gpu, &engine).unwrap())
    }

    /// Qwen3-32B at 256 in flight on an A100 under vLLM 0.11: 851 tokens/s with AWQ, 832 in BF16 (GPUStack's laboratory).
    #[test]
    fn large_products_of_awq_pay_for_widening_and_those_of_symmetric_groups_do_not() {
        let share = |format| {
            on("a100-sxm-80gb", |k| {
                k.gemm(format).0.form().compute_efficiency
                    / k.gemm(WeightFormat::Bf16).0.form().compute_efficiency
            })
        };
        assert!((share(WeightFormat::Int4) - 0.65).abs() < 1e-9);
        assert!((share(WeightFormat::Int4Group32) - 1.0).abs() < 1e-9);
        assert!((share(WeightFormat::Int8Weights) - 1.0).abs() < 1e-9);
    }

    /// FlashAttention 3 has sinks, FlashAttention 2 has none (vLLM, `v1/attention/backends/fa_utils.py`).
    #[test]
    fn attention_with_sinks_is_slower_where_triton_computes_it() {
        let plain = AttentionShape {
            heads: 64,
            kv_heads: 8,
            head_dim: 64,
            window: None,
            both_ways: false,
            sinks: false,
            kv: DType::Bf16,
            context_ranks: 1,
        };
        let share = |gpu| {
            let of = |shape: &AttentionShape| on(gpu, |k| k.prefill_heads(shape).0.form().compute_efficiency);
            of(&AttentionShape { sinks: true, ..plain }) / of(&plain)
        };
        assert!((share("a100-sxm-80gb") - 0.25).abs() < 1e-9);
        assert!((share("h100-sxm") - 1.0).abs() < 1e-9);
    }
}

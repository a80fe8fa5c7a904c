//! Time of the routed experts.

use crate::catalog::kernels::GroupedGemm;
use crate::model::operator::{ExpertsShape, Step};
use crate::units::Seconds;

use super::super::Bound;
use super::reached::Reached;
use super::repeated::Repeated;
use super::time::KernelTime;
use crate::powers::{power, smooth_max_of_three};

/// Routed experts ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertsKernel {
    pub(super) form: GroupedGemm,
    pub(super) peak: f64,
    pub(super) bandwidth: f64,
    pub(super) multiprocessors: f64,
    pub(super) weight_bytes: f64,
    pub(super) skew: f64,
    pub(super) repeated: Repeated,
}

impl ExpertsKernel {
    /// The coefficients.
    pub fn form(&self) -> GroupedGemm {
        self.form
    }

    /// Its launch floor.
    pub fn launch(&self) -> Seconds {
        self.form.launch
    }

    /// Bytes that they read in a second at most.
    #[inline]
    fn reads(&self) -> f64 {
        let of_memory = self.bandwidth * self.form.memory_efficiency;
        let each = self.form.multiprocessor_reads;
        each.map_or(of_memory, |each| of_memory.min(each.get() * self.multiprocessors))
    }

    /// The same experts under other coefficients.
    #[must_use]
    pub fn with_form(self, form: GroupedGemm) -> ExpertsKernel {
        ExpertsKernel { form, ..self }
    }

    /// What they reach of the peak and of the bandwidth when they are large, their padding included.
    pub fn reached(&self) -> Reached {
        let f = &self.form;
        let compute = 2.0 * (1.0 + f.pad_rows) / (self.peak * f.compute_efficiency);
        let memory = self.weight_bytes / self.reads();
        let body = smooth_max_of_three(compute, memory, 0.0, f.sharpness);
        Reached::of(f.compute_efficiency, body, (self.peak, self.bandwidth), self.weight_bytes)
    }

    /// `t = launch + (q1·N_hot·(H + 1.5·I) + q2·T·k·H)·2/bw
    ///      + pn(pn(2·M·H·I·(N_hot + pad·A)/(peak·ec), A·M·H·I·wb/(bw·em)), depth·(H + I)/1000)`
    /// with `N_hot = min(N·ep^(γ·skew), T·k)` rows on the fullest rank and `A` experts touched; `N_hot` in
    /// place of `T·k` where only those rows come to the rank, no padding up to `vector_tokens`, and `bw·em` bounded as in
    /// dense products.
    #[inline]
    pub fn time(&self, e: &ExpertsShape, step: &Step) -> KernelTime {
        let tokens = e.all_tokens(step);
        if tokens <= 0.0 {
            return KernelTime::NONE;
        }
        let f = &self.form;
        let (hidden, inner) = (e.hidden as f64, e.inner as f64);
        let copies = tokens * e.top_k as f64;
        let skew = power(e.expert_ranks as f64, f.imbalance_exponent * self.skew);
        let hot = (e.local_rows(step) * skew).min(copies);
        let touched = self.touched(e, step);
        let sorted = if e.exchanged { hot } else { copies };
        let passes =
            (f.local_passes * hot * (hidden + 1.5 * inner) + f.global_passes * sorted * hidden) * 2.0;
        let weights = e.matrices as f64 * hidden * inner;
        let padding = if tokens <= f.vector_tokens { 0.0 } else { f.pad_rows * touched };
        let compute = 2.0 * weights * (hot + padding) / (self.peak * f.compute_efficiency);
        let bytes = touched * weights * self.weight_bytes;
        let remains = self.repeated.remains(f.cached_share, bytes);
        let memory = remains * bytes / self.reads();
        let depth = f.depth_latency.get() * (hidden + inner) / 1000.0;
        let body = smooth_max_of_three(compute, memory, depth, f.sharpness);
        let whole = f.launch.get() + passes / self.bandwidth + body;
        let time = KernelTime {
            time: Seconds::new(self.repeated.at_least_read(whole, bytes, self.bandwidth)),
            bound: Bound::of(
                Seconds::new(compute),
                Seconds::new(memory),
                Seconds::new(f.launch.get().max(depth)),
            ),
            compute: Seconds::new(2.0 * weights * e.local_rows(step) / self.peak),
            memory: Seconds::new((bytes + passes) / self.bandwidth),
            extrapolated: false,
        };
        time.within(f.range, tokens)
    }

    /// Experts of the rank that are read: expected under random choice, as many as possible when copies are
    /// dealt out evenly (a skew of zero, which only benchmarks have).
    #[inline]
    fn touched(&self, e: &ExpertsShape, step: &Step) -> f64 {
        if self.skew > 0.0 { e.touched(step) } else { e.local_rows(step).max(1.0).min(e.local_experts()) }
    }
}

//! Time of a dense product.

use crate::catalog::kernels::Gemm;
use crate::units::Seconds;

use super::super::Bound;
use super::reached::Reached;
use super::repeated::Repeated;
use super::time::KernelTime;
use crate::powers::smooth_max_of_three;

/// A dense product ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmKernel {
    pub(super) form: Gemm,
    pub(super) peak: f64,
    pub(super) bandwidth: f64,
    pub(super) multiprocessors: f64,
    pub(super) weight_bytes: f64,
    pub(super) activation_bytes: f64,
    pub(super) repeated: Repeated,
}

impl GemmKernel {
    /// The coefficients.
    pub fn form(&self) -> Gemm {
        self.form
    }

    /// Its launch floor.
    pub fn launch(&self) -> Seconds {
        self.form.launch
    }

    /// Bytes that it reads in a second at most.
    #[inline]
    fn reads(&self) -> f64 {
        let of_memory = self.bandwidth * self.form.memory_efficiency;
        let each = self.form.multiprocessor_reads;
        each.map_or(of_memory, |each| of_memory.min(each.get() * self.multiprocessors))
    }

    /// The same product under other coefficients.
    #[must_use]
    pub fn with_form(self, form: Gemm) -> GemmKernel {
        GemmKernel { form, ..self }
    }

    /// What it reaches of the peak and of the bandwidth when it is large.
    pub fn reached(&self) -> Reached {
        let f = &self.form;
        let compute = 2.0 / (self.peak * f.compute_efficiency);
        let memory = self.weight_bytes / self.reads();
        let body = smooth_max_of_three(compute, memory, 0.0, f.sharpness);
        Reached::of(f.compute_efficiency, body, (self.peak, self.bandwidth), self.weight_bytes)
    }

    /// `t = launch + max(q·m·k/bw, row·m/SMs) + pn(pn(2mnk/(peak·ec), bytes/(bw·em)), depth·k/1000)`, where `bw·em` is no
    /// more than `SMs·multiprocessor_reads`.
    #[inline]
    pub fn time(&self, m: f64, n: f64, k: f64) -> KernelTime {
        if m <= 0.0 {
            return KernelTime::NONE;
        }
        let f = &self.form;
        let weights = n * k * self.weight_bytes;
        let bytes = weights + m * k * self.activation_bytes + 2.0 * m * n;
        let compute = 2.0 * m * n * k / (self.peak * f.compute_efficiency);
        let cold = bytes / self.reads();
        let memory = cold * self.repeated.remains(f.cached_share, bytes);
        let depth = f.single_row_depth.filter(|_| m <= 1.0).unwrap_or(f.depth_latency).get() * k / 1000.0;
        let rows = f.quantise_row.get() * m / self.multiprocessors;
        let quantise = (f.quantise_bytes * m * k / self.bandwidth).max(rows);
        let body = smooth_max_of_three(compute, memory, depth, f.sharpness);
        let whole = f.launch.get() + quantise + body;
        let time = Seconds::new(self.repeated.at_least_read(whole, weights, self.bandwidth));
        let latency = Seconds::new(f.launch.get().max(depth));
        let time = KernelTime {
            time,
            bound: Bound::of(Seconds::new(compute), Seconds::new(memory), latency),
            compute: Seconds::new(compute * f.compute_efficiency),
            memory: Seconds::new(bytes / self.bandwidth),
            extrapolated: false,
        };
        time.within(f.range, m)
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog;
    use crate::dtype::WeightFormat;
    use crate::estimate::kernels::Kernels;

    /// GLM-4.6 on 8 H200 under SGLang, before and after sgl-project/sglang#21660 moved its 89 routers to 32 bits:
    /// 16.42, 19.25 and 29.43 ms a token became 17.62, 20.21 and 30.69 at a batch of 8, 16 and 64; 11.93 ms became
    /// 12.04 at a batch of 1. Some 2 us of that are the kernel that widens the activations.
    #[test]
    fn a_router_in_32_bits_costs_what_was_measured() {
        let (gpu, engine) = (catalog::gpu("h200-sxm").unwrap(), catalog::engine("sglang").unwrap());
        let kernels = Kernels::new(&gpu, &engine).unwrap();
        let more = |rows: f64| {
            let time = |format| kernels.gemm(format).0.time(rows, 160.0, 5120.0).time.as_micros();
            time(WeightFormat::Fp32) - time(WeightFormat::Bf16)
        };
        for (rows, measured) in [(8.0, 13.5), (16.0, 10.8), (64.0, 14.2)] {
            assert!((more(rows) + 2.0 - measured).abs() < 2.5, "{rows} rows: {}", more(rows));
        }
        assert!((-1.0..1.3).contains(&more(1.0)), "{}", more(1.0));
    }
}

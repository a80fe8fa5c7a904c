//! Time of the state updates of recurrent mixers.

use crate::catalog::kernels::ScanPrefill;
use crate::model::operator::{ScanShape, Step};
use crate::powers::smooth_max;
use crate::units::{Flops, Seconds, Traffic};

use super::super::Bound;
use super::small::SmallKernelTimer;
use super::time::KernelTime;

/// State updates ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScanKernel {
    pub(super) update: SmallKernelTimer,
    pub(super) prompts: Option<ScanPrefill>,
}

impl ScanKernel {
    /// Decoding sequences read and write their states, as a small kernel. Prompts go through another one, in
    /// chunks: `t = launch + pn(FLOPs/(peak·ec), depth·n/1000)` with `n` new tokens each.
    #[inline]
    pub fn time(&self, s: &ScanShape, step: &Step) -> KernelTime {
        let states = (s.state * s.state_bytes) as f64;
        let update = |tokens: f64, emitting: f64| {
            let flops = Flops::new(s.flops_per_token as f64 * tokens);
            self.update.time(1.0, flops, Traffic::new(2.0 * emitting * states))
        };
        let Some(form) = self.prompts.filter(|_| step.prefill_tokens > 0.0) else {
            return update(step.tokens(), step.emitting());
        };
        let prompts = self.chunked(&form, s, step);
        let decoding = update(step.decode_tokens(), step.decode_tokens());
        KernelTime {
            time: prompts.time + decoding.time,
            compute: prompts.compute + decoding.compute,
            memory: prompts.memory + decoding.memory,
            ..prompts
        }
    }

    fn chunked(&self, form: &ScanPrefill, s: &ScanShape, step: &Step) -> KernelTime {
        let flops = s.flops_per_token as f64 * step.prefill_tokens;
        let each = step.prefill_tokens / step.prefill_sequences;
        let compute = flops / (self.update.peak * form.compute_efficiency);
        let depth = form.depth_latency.get() * each / 1000.0;
        let latency = form.launch.get().max(depth);
        let time = KernelTime {
            time: form.launch + Seconds::new(smooth_max(compute, depth, form.sharpness)),
            bound: Bound::of(Seconds::new(compute), Seconds::ZERO, Seconds::new(latency)),
            compute: Seconds::new(flops / self.update.peak),
            memory: Seconds::ZERO,
            extrapolated: false,
        };
        time.within(form.range, step.prefill_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use crate::estimate::kernels::Kernels;
    use crate::model::operator::ScanKind;

    /// Microseconds of the gated delta rule with value heads of 128 × 128 over `prompts` of 8,192 tokens.
    fn prompts_take(gpu: &str, engine: &str, heads: u64, prompts: f64) -> f64 {
        let (gpu, engine) = (catalog::gpu(gpu).unwrap(), catalog::engine(engine).unwrap());
        let (kernel, fitted) = Kernels::new(&gpu, &engine).unwrap().scan(ScanKind::GatedDelta);
        assert!(fitted);
        let state = heads * 128 * 128;
        let shape =
            ScanShape { kind: ScanKind::GatedDelta, state, state_bytes: 4, flops_per_token: 7 * state };
        kernel.time(&shape, &Step::prefill(prompts, 8192.0)).time.as_micros()
    }

    /// From the `linear_attention` tables of AIConfigurator 0.12.
    #[test]
    fn prompts_take_what_was_measured() {
        for (gpu, engine, heads, prompts, measured) in [
            ("h200-sxm", "vllm", 8, 1.0, 417.9),
            ("h200-sxm", "vllm", 64, 1.0, 398.3),
            ("h200-sxm", "vllm", 64, 8.0, 1724.3),
            ("b200-sxm", "vllm", 16, 8.0, 335.6),
            ("b200-sxm", "sglang", 8, 1.0, 324.3),
            ("b200-sxm", "sglang", 64, 1.0, 924.6),
            ("b200-sxm", "sglang", 64, 8.0, 6868.4),
            ("b200-sxm", "trtllm", 32, 4.0, 1597.9),
        ] {
            let ours = prompts_take(gpu, engine, heads, prompts);
            assert!((ours / measured - 1.0).abs() < 0.16, "{gpu} {engine} {heads} heads: {ours} {measured}");
        }
    }

    #[test]
    fn other_mixers_do_not_borrow_the_delta_rules_kernel() {
        let (gpu, engine) = (catalog::gpu("h200-sxm").unwrap(), catalog::engine("vllm").unwrap());
        let kernels = Kernels::new(&gpu, &engine).unwrap();
        assert!(kernels.scan(ScanKind::Mamba2).0.prompts.is_none());
        let (akin, fitted) = kernels.scan(ScanKind::KimiDelta);
        assert!(akin.prompts.is_some() && !fitted);
    }
}

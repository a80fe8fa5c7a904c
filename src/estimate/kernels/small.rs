//! Small kernels: a launch, and traffic or arithmetic.

use crate::catalog::kernels::SmallKernel;
use crate::estimate::Bound;
use crate::units::{Flops, Seconds, Traffic};

use super::time::KernelTime;

/// A small kernel ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmallKernelTimer {
    pub(super) form: SmallKernel,
    pub(super) peak: f64,
    pub(super) bandwidth: f64,
}

impl SmallKernelTimer {
    /// `t = kernels·launch + max(bytes/(bw·em), flops/(peak·ec))`.
    #[inline]
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
            extrapolated: false,
        }
    }
}

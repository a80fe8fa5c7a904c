//! The roofline of a GPU: datasheet peaks and bandwidth, no efficiency.

use crate::catalog::Gpu;
use crate::dtype::{DType, WeightFormat};
use crate::estimate::kernels::narrow_peak;
use crate::units::{Bytes, BytesPerSecond, FlopsPerSecond};

/// What bounds operators on a GPU.
#[derive(Clone, Copy, Debug)]
pub struct Device<'a> {
    gpu: &'a Gpu,
    activations: DType,
}

impl<'a> Device<'a> {
    /// A GPU that computes with activations of a type.
    pub fn new(gpu: &'a Gpu, activations: DType) -> Device<'a> {
        Device { gpu, activations }
    }

    /// The peak of products with weights of a format, or of what has none.
    pub(super) fn peak(&self, format: Option<WeightFormat>) -> FlopsPerSecond {
        let plain = match self.activations {
            DType::Fp32 => self.gpu.peak(DType::Fp32),
            _ => None,
        };
        let narrow = format.and_then(|f| narrow_peak(self.gpu, f));
        // Every GPU file has a 16-bit peak: `Gpu::validate`.
        narrow.or(plain).or(self.gpu.peak_16bit()).unwrap_or(FlopsPerSecond::ZERO)
    }

    pub(super) fn bandwidth(&self) -> BytesPerSecond {
        self.gpu.bandwidth
    }

    pub(super) fn multiprocessors(&self) -> u64 {
        u64::from(self.gpu.multiprocessors)
    }

    pub(super) fn cache(&self) -> Bytes {
        self.gpu.cache
    }

    /// FLOPs per byte at which the 16-bit (or FP32) peak takes as long as the memory.
    pub fn ridge(&self) -> f64 {
        self.peak(None).get() / self.bandwidth().get()
    }
}

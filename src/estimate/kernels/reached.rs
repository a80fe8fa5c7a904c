//! What a kernel's coefficients say of it, as shares of the datasheet.

/// Shares of the datasheet's figures that a product reaches where nothing but those bounds it: what its
/// coefficients say of the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Of the peak, by many rows.
    pub peak: f64,
    /// Of the bandwidth, by one row for each matrix: weights are read and next to nothing is computed.
    pub bandwidth: f64,
}

impl Reached {
    /// The least share of the bandwidth at which a kernel still is one that servers run. Of the 168 products of engines
    /// and number formats that were measured on ten GPUs, 161 reach 0.44 and more; the other seven, which were
    /// not tuned (FlashInfer's FP8 experts on Hopper before its autotuning), 0.13 to 0.27.
    pub const LEAST_BANDWIDTH: f64 = 1.0 / 3.0;

    /// Whether a server may be expected to run such a kernel.
    pub fn is_plausible(self) -> bool {
        self.bandwidth >= Reached::LEAST_BANDWIDTH
    }

    /// Of a kernel that takes `body` seconds for one weight of `weight_bytes` and one row, where the datasheet's
    /// peak and bandwidth allow the longer of its arithmetic and its traffic.
    pub(super) fn of(
        share_of_peak: f64,
        body: f64,
        (peak, bandwidth): (f64, f64),
        weight_bytes: f64,
    ) -> Reached {
        let least = (2.0 / peak).max(weight_bytes / bandwidth);
        Reached { peak: share_of_peak, bandwidth: least / body }
    }
}

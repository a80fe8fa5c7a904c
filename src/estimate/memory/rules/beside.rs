//! What lies on a rank beside its cache.

use crate::units::Bytes;

/// What lies on a rank beside its cache.
#[derive(Clone, Copy, Debug)]
pub(in crate::estimate::memory) struct Beside {
    /// Weights.
    pub weights: Bytes,
    /// Activation peak.
    pub activations: Bytes,
    /// Context, libraries and buffers.
    pub non_torch: Bytes,
    /// CUDA graphs.
    pub cuda_graphs: Bytes,
}

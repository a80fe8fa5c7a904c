//! Weights that stay in the host's memory and are read over the link in every step, where the GPU computes everything.

use crate::units::{BytesPerSecond, Seconds, Traffic};

/// What of a replica's weights lies with the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream {
    /// Share of the weights of its layers.
    pub share: f64,
    /// Their bytes on each GPU.
    pub bytes: Traffic,
    /// What the link to a GPU carries in a second.
    pub link: BytesPerSecond,
    /// Whether layers are copied whole before they are computed (vLLM V0 `models/utils.py`, `maybe_offload_to_cpu`; SGLang
    /// `utils/offloader.py`, `OffloaderV1`). Otherwise kernels read what they need over the link (vLLM V1, `offloader/uva.py`):
    /// of experts those that tokens are routed to.
    pub copied: bool,
}

/// An operator of the layers: the weights that one execution reads, its time with all of them on the GPU, executions.
pub(super) type Reads = (Traffic, Seconds, f64);

impl Stream {
    /// What a step through all of so many stages lasts longer than with all weights on the GPUs.
    pub(super) fn time(&self, operators: impl Iterator<Item = Reads>, stages: f64) -> Seconds {
        if self.copied {
            return self.bytes / self.link * stages;
        }
        let longer = |(weights, time, count): Reads| {
            let read = weights / self.link;
            (read.max(time) - time) * (count * self.share)
        };
        operators.map(longer).sum()
    }
}

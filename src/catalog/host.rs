//! The host's memory, where an engine leaves what finds no room on the GPUs.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::gpu::Gpu;
use super::link::LinkKind;
use crate::diagnostic::{Code, Diagnostic};
use crate::units::{Bytes, BytesPerSecond};

/// The memory of one node's host.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Memory in all.
    pub memory: Bytes,
    /// Datasheet bandwidth of its memory: channels times their width and rate.
    pub bandwidth: BytesPerSecond,
    /// Link between it and one GPU, per direction; the GPU's own where that is PCIe.
    #[serde(default)]
    pub link: Option<BytesPerSecond>,
}

/// As `--host` takes it.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory={}GiB,bandwidth={}GB/s", self.memory.as_gib(), self.bandwidth.get() / 1e9)?;
        self.link.map_or(Ok(()), |link| write!(f, ",link={}GB/s", link.get() / 1e9))
    }
}

impl Host {
    /// Checks that the figures make sense.
    ///
    /// # Errors
    /// [`Code::Range`] when one is zero.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        let zero = self.link.is_some_and(|link| link.get() <= 0.0);
        if self.memory == Bytes::ZERO || self.bandwidth.get() <= 0.0 || zero {
            return Err(Diagnostic::new(Code::Range, "a host's memory, bandwidth and link must be positive")
                .help("for example memory=64GiB,bandwidth=83.2GB/s,link=32GB/s"));
        }
        Ok(())
    }

    /// The link to a GPU, if it is known.
    pub fn link_to(&self, gpu: &Gpu) -> Option<BytesPerSecond> {
        let pcie = gpu.scale_up.kind == LinkKind::Pcie;
        self.link.or(pcie.then_some(gpu.scale_up.bandwidth))
    }
}

/// What an engine makes of the host's memory.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// Tokens in a step from which the weights are copied to the GPU and computed with there; with fewer the
    /// host computes.
    pub gpu_tokens: u64,
    /// Share of the memory's bandwidth that the host's threads reach.
    pub bandwidth_share: f64,
    /// Share of the link's bandwidth that copies reach.
    pub link_share: f64,
    /// What operating system and server keep of the host's memory.
    pub reserve: Bytes,
}

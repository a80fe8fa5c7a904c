//! Links between GPUs.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::{BytesPerSecond, Seconds};

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// NVLink through NVSwitch: every GPU reaches every other at full rate.
    Nvswitch,
    /// NVLink bridges between pairs.
    Nvlink,
    /// AMD Infinity Fabric, fully connected.
    InfinityFabric,
    /// PCIe through the host.
    Pcie,
    /// InfiniBand between nodes.
    Infiniband,
    /// Ethernet (RoCE, EFA) between nodes.
    Ethernet,
}

impl LinkKind {
    /// Name as printed.
    pub fn name(self) -> &'static str {
        match self {
            LinkKind::Nvswitch => "NVSwitch",
            LinkKind::Nvlink => "NVLink",
            LinkKind::InfinityFabric => "Infinity Fabric",
            LinkKind::Pcie => "PCIe",
            LinkKind::Infiniband => "InfiniBand",
            LinkKind::Ethernet => "Ethernet",
        }
    }
}

/// A link as seen by one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What carries the bytes.
    pub kind: LinkKind,
    /// Per GPU, one direction.
    pub bandwidth: BytesPerSecond,
    /// One hop, one way.
    pub latency: Seconds,
}

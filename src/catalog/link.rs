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
    /// How many times the ports below a switch outnumber its uplinks; 1 when left out. Only of links
    /// between nodes.
    #[schemars(range(min = 1, max = 1000))]
    pub oversubscription: Option<f64>,
    /// `false` where GPUs cannot address each other's memory, so that everything between them goes
    /// through the host's: GeForce cards, whose driver forbids it, and hosts that do. Only of PCIe.
    pub peer_to_peer: Option<bool>,
}

impl Link {
    /// What a GPU gets when all send at once: `bandwidth / oversubscription`.
    pub fn under_load(&self) -> BytesPerSecond {
        self.bandwidth / self.oversubscription.unwrap_or(1.0)
    }

    /// Whether everything between its GPUs goes through the host's memory.
    pub fn through_host(&self) -> bool {
        self.kind == LinkKind::Pcie && self.peer_to_peer == Some(false)
    }

    /// Checks that a link carries something, and that only links between nodes share uplinks.
    ///
    /// # Errors
    /// What is wrong, to follow the field's name.
    pub fn validate(&self, between_nodes: bool) -> Result<(), &'static str> {
        if self.bandwidth.get() <= 0.0 {
            return Err("bandwidth must be positive");
        }
        if self.peer_to_peer.is_some() && self.kind != LinkKind::Pcie {
            return Err("peer_to_peer is a question of PCIe; the GPUs of other links reach each other");
        }
        match self.oversubscription {
            Some(_) if !between_nodes => Err("only the link between nodes, scale_out, is oversubscribed"),
            Some(o) if !(1.0..=MAX_OVERSUBSCRIPTION).contains(&o) => {
                Err("oversubscription must lie between 1 (none) and 1000")
            }
            _ => Ok(()),
        }
    }
}

/// More than any fabric is oversubscribed.
const MAX_OVERSUBSCRIPTION: f64 = 1000.0;

/// Faster links that join the GPUs of a node in equal groups, as NVLink bridges join PCIe cards in
/// pairs or fours. Between groups there is the node's own link.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// GPUs that one bridge joins.
    #[schemars(range(min = 2))]
    pub gpus: u32,
    /// The link inside such a group.
    pub link: Link,
}

//! Whether servers are launched as a layout has it.
//!
//! Kernels and links are measured one by one, and a layout that nobody runs is put together from them: what its parts
//! do to each other is in no measurement. Of the published launches and measured servers on nodes whose GPUs are
//! joined by NVLink or Infinity Fabric none has pipeline stages inside a node (InferenceX, the engines' own recipes
//! and cookbooks, AIConfigurator's sweeps, late 2026); tensor and expert parallel, and attention data parallel with
//! experts, are what they have. Over PCIe, and between nodes, stages are common.

use crate::catalog::Cluster;
use crate::catalog::link::LinkKind;

use super::Placement;

/// Whether servers are launched so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Practice {
    /// They are, and some were measured.
    Usual,
    /// None is known: what is estimated of it counts for less, by [`UNPROVEN`].
    Unusual,
}

/// How many times better a layout must be that no server is known to be launched as to come before one that is. In 75 of the
/// 84 classes of measured servers the middle eight of ten lie within twice and half of what is estimated
/// (`residuals/serving.yaml`, end to end); of these layouts none was measured.
pub const UNPROVEN: f64 = 2.0;

impl Practice {
    /// That of a replica: unusual where one of its stages hands on to the next inside a node whose GPUs have a link of
    /// their own.
    pub fn of(placement: &Placement, cluster: &Cluster) -> Practice {
        let joined = matches!(cluster.scale_up.kind, LinkKind::Nvswitch | LinkKind::InfinityFabric);
        match joined && placement.hops_inside > 0 {
            true => Practice::Unusual,
            false => Practice::Usual,
        }
    }

    /// How many times better it must be than a layout that servers are launched as.
    pub fn handicap(self) -> f64 {
        match self {
            Practice::Usual => 1.0,
            Practice::Unusual => UNPROVEN,
        }
    }

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Practice::Usual => "usual",
            Practice::Unusual => "unusual",
        }
    }
}

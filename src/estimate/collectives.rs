//! Time of a collective on the links that its ranks really cross.
//!
//! Inside a node: the engine's own all-reduce (one-shot or two-shot) or the library's, whichever is
//! faster. Across nodes: the library's hierarchical form, inside the node first, then between nodes,
//! each GPU over its own share of the fabric, all of them at once. A group inside one NVLink bridge runs
//! over the bridge; a larger one of the same node is as fast as the slowest link of its ring, the node's.

use crate::catalog::kernels::{Collective, CustomAllReduce};
use crate::catalog::link::Link;
use crate::catalog::{Cluster, Engine, KernelTables};
use crate::model::operator::CollectiveKind;
use crate::plan::GroupLink;
use crate::units::{Seconds, Traffic};

use crate::powers::{power, smooth_max};

/// Share of the inter-node bandwidth that large messages reach (NCCL over InfiniBand with GPUDirect
/// reaches 80–90 % of line rate in public nccl-tests results).
const SCALE_OUT_EFFICIENCY: f64 = 0.8;

/// Forms used where neither the GPU nor its class has any.
const PLAIN: Collective = Collective {
    latency: Seconds::micros(10.0),
    latency_per_rank: Seconds::micros(1.0),
    link_efficiency: 0.7,
    sharpness: 0.7,
    rank_exponent: 0.0,
    error: None,
    range: None,
};

/// The link that a group crosses inside a node, the coefficients that were measured on it, and those
/// that stand in. A GPU's own were measured on the link of its usual server.
fn tables_of(group: GroupLink, cluster: &Cluster) -> (Link, Option<&KernelTables>, &KernelTables) {
    match &cluster.bridge {
        Some(bridged) if group.bridged => (bridged.bridge.link, None, &bridged.collectives),
        _ => (cluster.scale_up, Some(&cluster.gpu.kernels), &cluster.gpu.stand_ins),
    }
}

/// A collective of one kind over one group of ranks, ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CollectiveTimer {
    kind: CollectiveKind,
    group: GroupLink,
    library: Collective,
    custom: Option<CustomAllReduce>,
    link: f64,
    /// What the library reaches of the link, `link·eff·(n/8)^g`.
    library_rate: f64,
    /// The link as the engine's own kernels see it, `link·(n/8)^g`.
    custom_link: f64,
    across: f64,
    across_latency: f64,
    /// Whether the coefficients were measured on this GPU.
    pub fitted: bool,
}

/// The shorter of a time and the smooth maximum of two, which is no shorter than either.
fn shorter(best: f64, (latency, wire): (f64, f64), sharpness: f64) -> f64 {
    if latency.max(wire) >= best { best } else { best.min(smooth_max(latency, wire, sharpness)) }
}

impl CollectiveTimer {
    /// Finds the coefficients for a collective on a cluster.
    pub fn new(
        kind: CollectiveKind,
        group: GroupLink,
        cluster: &Cluster,
        engine: &Engine,
    ) -> CollectiveTimer {
        let (link, measured, stand_ins) = tables_of(group, cluster);
        let find = |tables: &KernelTables| {
            let by_library = tables.collectives(&link).0;
            by_library.values().find_map(|ops| ops.get(kind.name())).copied()
        };
        let own = measured.and_then(find);
        let custom = (kind == CollectiveKind::AllReduce).then(|| {
            let pick = |t: &KernelTables| {
                let by_engine = t.collectives(&link).1;
                let named = by_engine.get(engine.kernel_key()).or_else(|| by_engine.values().next());
                named.and_then(|ops| ops.get(kind.name())).copied()
            };
            measured.and_then(pick).or_else(|| pick(stand_ins))
        });
        CollectiveTimer {
            kind,
            group,
            library: own.or_else(|| find(stand_ins)).unwrap_or(PLAIN),
            custom: custom.flatten(),
            link: link.bandwidth.get(),
            library_rate: 0.0,
            custom_link: 0.0,
            across: cluster.scale_out.under_load().get() * SCALE_OUT_EFFICIENCY,
            across_latency: cluster.scale_out.latency.get(),
            fitted: own.is_some() && group.nodes == 1,
        }
        .with_rates()
    }

    /// Works out what does not depend on the buffer.
    fn with_rates(self) -> CollectiveTimer {
        let eighths = f64::from(self.group.ranks_per_node()) / 8.0;
        let scaled = |exponent: f64| self.link * power(eighths, exponent);
        CollectiveTimer {
            library_rate: scaled(self.library.rank_exponent) * self.library.link_efficiency,
            custom_link: scaled(self.custom.map_or(0.0, |c| c.rank_exponent)),
            ..self
        }
    }

    /// The library's coefficients.
    pub fn library(&self) -> Collective {
        self.library
    }

    /// Those of the engine's own kernels, if it has any.
    pub fn custom(&self) -> Option<CustomAllReduce> {
        self.custom
    }

    /// The same under other coefficients of the library.
    #[must_use]
    pub fn with_library(self, library: Collective) -> CollectiveTimer {
        CollectiveTimer { library, ..self }.with_rates()
    }

    /// The same under other coefficients of the engine's own kernels.
    #[must_use]
    pub fn with_custom(self, custom: CustomAllReduce) -> CollectiveTimer {
        CollectiveTimer { custom: Some(custom), ..self }.with_rates()
    }

    /// The same without the engine's own kernels.
    #[must_use]
    pub fn library_only(self) -> CollectiveTimer {
        CollectiveTimer { custom: None, ..self }
    }

    /// Whether a full buffer of this size lies outside of what the coefficients were fitted to.
    pub fn extrapolates(&self, buffer: Traffic) -> bool {
        let range = self.custom.and_then(|c| c.range).or(self.library.range);
        range.is_some_and(|range| !range.holds(buffer.get()))
    }

    /// Time for a full buffer of this size.
    pub fn time(&self, buffer: Traffic) -> Seconds {
        if buffer.get() <= 0.0 || self.group.ranks <= 1 {
            return Seconds::ZERO;
        }
        let local = f64::from(self.group.ranks_per_node());
        let inside = if local > 1.0 { self.inside(local, buffer.get()) } else { 0.0 };
        let across = if self.group.nodes > 1 { self.across(local, buffer.get()) } else { 0.0 };
        Seconds::new(inside + across)
    }

    fn inside(&self, ranks: f64, bytes: f64) -> f64 {
        // The engines' own kernels stay inside one node.
        let custom = self.custom.filter(|_| self.group.nodes == 1);
        let best = custom.map_or(f64::INFINITY, |custom| self.custom_time(&custom, ranks, bytes));
        self.library_time(ranks, bytes, best)
    }

    /// `pn(latency + per_rank·(n − 2), wire/(link·eff·(n/8)^g))`, with `2(n−1)/n·S` on the wire for
    /// all-reduce and `(n−1)/n·S` otherwise; `best` if that is no longer.
    fn library_time(&self, ranks: f64, bytes: f64, best: f64) -> f64 {
        let c = &self.library;
        let latency = c.latency.get() + c.latency_per_rank.get() * (ranks - 2.0);
        shorter(best, (latency, self.wire(ranks, bytes) / self.library_rate), c.sharpness)
    }

    /// One-shot: every rank reads all others. Two-shot: reduce-scatter, then all-gather.
    fn custom_time(&self, c: &CustomAllReduce, ranks: f64, bytes: f64) -> f64 {
        let latency = c.latency.get() + c.latency_per_rank.get() * (ranks - 2.0);
        let one_wire = (ranks - 1.0) * bytes / (self.custom_link * c.one_shot_efficiency);
        let two_wire = 2.0 * (ranks - 1.0) / ranks * bytes / (self.custom_link * c.two_shot_efficiency);
        let one = smooth_max(latency, one_wire, c.sharpness);
        shorter(one, (latency * c.two_shot_latency_factor, two_wire), c.sharpness)
    }

    /// Between nodes each GPU carries its share of the buffer; a ring over the nodes.
    fn across(&self, local: f64, bytes: f64) -> f64 {
        let nodes = f64::from(self.group.nodes);
        let steps = if self.kind == CollectiveKind::AllReduce { 2.0 } else { 1.0 };
        // What is exchanged is each GPU's own; what is gathered or summed is shared by those of a node.
        let own = if self.kind == CollectiveKind::AllToAll { bytes } else { bytes / local };
        steps * nodes.log2().ceil() * self.across_latency + self.wire(nodes, own) / self.across
    }

    fn wire(&self, ranks: f64, bytes: f64) -> f64 {
        let passes = if self.kind == CollectiveKind::AllReduce { 2.0 } else { 1.0 };
        passes * (ranks - 1.0) / ranks * bytes
    }
}

//! Time of a collective on the links that its ranks really cross.
//!
//! Inside a node: the engine's own all-reduce (one-shot or two-shot) or the library's, whichever is
//! faster. Across nodes: the library's hierarchical form, inside the node first, then between nodes,
//! each GPU over its own share of the fabric, all of them at once. A group inside one NVLink bridge runs
//! over the bridge; a larger one of the same node is as fast as the slowest link of its ring, the node's.

use crate::catalog::kernels::{Collective, CustomAllReduce, is_lent};
use crate::catalog::launch::ExpertExchange;
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
/// that stand in, the nearest first. A GPU's own were measured on the link of its usual server.
fn tables_of(group: GroupLink, cluster: &Cluster) -> (Link, Option<&KernelTables>, Vec<&KernelTables>) {
    match &cluster.bridge {
        Some(bridged) if group.bridged => (bridged.bridge.link, None, vec![&bridged.collectives]),
        _ => {
            let [own, stand_ins @ ..] = cluster.gpu.tables();
            (cluster.scale_up, Some(own), stand_ins.to_vec())
        }
    }
}

/// One way to move a buffer: the smooth maximum of a latency and of the time on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Way {
    latency: f64,
    seconds_per_byte: f64,
    sharpness: f64,
}

impl Way {
    fn time(&self, bytes: f64) -> f64 {
        smooth_max(self.latency, bytes * self.seconds_per_byte, self.sharpness)
    }

    /// Its time, or another where that is no longer. A smooth maximum is no shorter than either of its parts,
    /// nor, up to a sharpness of 1, than their sum.
    fn or_shorter(&self, best: f64, bytes: f64) -> f64 {
        let (latency, wire) = (self.latency, bytes * self.seconds_per_byte);
        let least = if self.sharpness <= 1.0 { latency + wire } else { latency.max(wire) };
        if least >= best { best } else { best.min(self.time(bytes)) }
    }
}

/// Tokens on the way to their experts: what stays in the node and what leaves it goes at the same time.
fn exchange_way(e: &ExpertExchange, group: GroupLink, cluster: &Cluster, link: &Link) -> Way {
    let (ranks, local) = (f64::from(group.ranks), f64::from(group.ranks_per_node()));
    let inside = (local - 1.0) / (link.bandwidth.get() * e.link_efficiency);
    let outside = (ranks - local) / (cluster.scale_out.under_load().get() * e.fabric_efficiency);
    Way { latency: e.latency.get(), seconds_per_byte: inside.max(outside) / ranks, sharpness: 1.0 }
}

/// A collective of one kind over one group of ranks, ready to be timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CollectiveTimer {
    kind: CollectiveKind,
    group: GroupLink,
    library: Collective,
    custom: Option<CustomAllReduce>,
    /// Bytes a second of the link inside a node, and of each GPU's share of the fabric.
    link: f64,
    fabric: f64,
    fabric_latency: f64,
    /// What the library does inside a node.
    by_library: Way,
    /// What the engine's own kernels do instead: one-shot and two-shot.
    by_engine: Option<[Way; 2]>,
    /// What the library does between nodes, one after the other.
    between: Way,
    /// How tokens are exchanged with their experts, in place of the library.
    by_exchange: Option<Way>,
    /// Whether the coefficients were measured on this GPU.
    pub fitted: bool,
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
                let set = engine.kernel_set.as_deref().and_then(|set| by_engine.get(set));
                let named = set.or_else(|| by_engine.get(engine.kernel_key()));
                let others = || by_engine.iter().find(|(name, _)| is_lent(name)).map(|(_, ops)| ops);
                let named = named.or_else(others);
                named.and_then(|ops| ops.get(kind.name())).copied()
            };
            measured.and_then(pick).or_else(|| stand_ins.iter().find_map(|tables| pick(tables)))
        });
        let exchange = engine.launch.expert_exchange.filter(|_| kind == CollectiveKind::AllToAll);
        CollectiveTimer {
            kind,
            group,
            library: own.or_else(|| stand_ins.iter().find_map(|tables| find(tables))).unwrap_or(PLAIN),
            custom: custom.flatten(),
            link: link.bandwidth.get(),
            fabric: cluster.scale_out.under_load().get() * SCALE_OUT_EFFICIENCY,
            fabric_latency: cluster.scale_out.latency.get(),
            by_library: Way::default(),
            by_engine: None,
            between: Way::default(),
            by_exchange: exchange.map(|exchange| exchange_way(&exchange, group, cluster, &link)),
            fitted: own.is_some() && group.nodes == 1,
        }
        .with_ways()
    }

    /// Works out what does not depend on the buffer.
    fn with_ways(self) -> CollectiveTimer {
        // The engines' own kernels stay inside one node.
        let custom = self.custom.filter(|_| self.group.nodes == 1);
        CollectiveTimer {
            by_library: self.library_way(),
            by_engine: custom.map(|custom| self.engine_ways(&custom)),
            between: self.way_between(),
            ..self
        }
    }

    /// The link's rate among so many ranks, `link·(n/8)^g`.
    fn rate(&self, rank_exponent: f64) -> f64 {
        self.link * power(f64::from(self.group.ranks_per_node()) / 8.0, rank_exponent)
    }

    /// `pn(latency + per_rank·(n − 2), wire/(link·eff·(n/8)^g))`, with `2(n−1)/n·S` on the wire for
    /// all-reduce and `(n−1)/n·S` otherwise.
    fn library_way(&self) -> Way {
        let (c, ranks) = (&self.library, f64::from(self.group.ranks_per_node()));
        Way {
            latency: c.latency.get() + c.latency_per_rank.get() * (ranks - 2.0),
            seconds_per_byte: self.on_wire(ranks) / (self.rate(c.rank_exponent) * c.link_efficiency),
            sharpness: c.sharpness,
        }
    }

    /// One-shot: every rank reads all others. Two-shot: reduce-scatter, then all-gather.
    fn engine_ways(&self, c: &CustomAllReduce) -> [Way; 2] {
        let (rate, ranks) = (self.rate(c.rank_exponent), f64::from(self.group.ranks_per_node()));
        let latency = c.latency.get() + c.latency_per_rank.get() * (ranks - 2.0);
        let one_shot = Way {
            latency,
            seconds_per_byte: (ranks - 1.0) / (rate * c.one_shot_efficiency),
            sharpness: c.sharpness,
        };
        let two_shot = Way {
            latency: latency * c.two_shot_latency_factor,
            seconds_per_byte: 2.0 * (ranks - 1.0) / ranks / (rate * c.two_shot_efficiency),
            sharpness: c.sharpness,
        };
        [one_shot, two_shot]
    }

    /// Between nodes each GPU carries its share of the buffer; a ring over the nodes, and the latency of each
    /// of its rounds comes on top.
    fn way_between(&self) -> Way {
        let nodes = f64::from(self.group.nodes);
        let steps = if self.kind == CollectiveKind::AllReduce { 2.0 } else { 1.0 };
        // What is exchanged is each GPU's own; what is gathered or summed is shared by those of a node.
        let sharing = match self.kind {
            CollectiveKind::AllToAll => 1.0,
            _ => f64::from(self.group.ranks_per_node()),
        };
        Way {
            latency: steps * nodes.log2().ceil() * self.fabric_latency,
            seconds_per_byte: self.on_wire(nodes) / sharing / self.fabric,
            sharpness: 1.0,
        }
    }

    /// What crosses the wire of a ring of ranks or nodes for each byte of the buffer.
    fn on_wire(&self, ranks: f64) -> f64 {
        let passes = if self.kind == CollectiveKind::AllReduce { 2.0 } else { 1.0 };
        passes * (ranks - 1.0) / ranks
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
        CollectiveTimer { library, ..self }.with_ways()
    }

    /// The same under other coefficients of the engine's own kernels.
    #[must_use]
    pub fn with_custom(self, custom: CustomAllReduce) -> CollectiveTimer {
        CollectiveTimer { custom: Some(custom), ..self }.with_ways()
    }

    /// The timer without the engine's own kernels.
    #[must_use]
    pub fn library_only(self) -> CollectiveTimer {
        CollectiveTimer { custom: None, ..self }.with_ways()
    }

    /// Whether a full buffer of this size lies outside of what the coefficients were fitted to.
    pub fn extrapolates(&self, buffer: Traffic) -> bool {
        let range = self.custom.and_then(|c| c.range).or(self.library.range);
        range.is_some_and(|range| !range.holds(buffer.get()))
    }

    /// Time for a full buffer of this size.
    pub fn time(&self, buffer: Traffic) -> Seconds {
        let bytes = buffer.get();
        if bytes <= 0.0 || self.group.ranks <= 1 {
            return Seconds::ZERO;
        }
        if let Some(way) = &self.by_exchange {
            return Seconds::new(way.latency + bytes * way.seconds_per_byte);
        }
        let inside = if self.group.ranks_per_node() > 1 { self.inside(bytes) } else { 0.0 };
        let between = self.between.latency + bytes * self.between.seconds_per_byte;
        Seconds::new(if self.group.nodes > 1 { inside + between } else { inside })
    }

    fn inside(&self, bytes: f64) -> f64 {
        let best = match &self.by_engine {
            Some([one_shot, two_shot]) => two_shot.or_shorter(one_shot.time(bytes), bytes),
            None => f64::INFINITY,
        };
        self.by_library.or_shorter(best, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    #[test]
    fn the_library_alone_takes_what_nccl_was_measured_with() {
        let engine = catalog::engine("vllm").unwrap();
        let cluster = Cluster::of_gpus(catalog::gpu("h100-sxm").unwrap(), 8).unwrap();
        let group = GroupLink { ranks: 8, nodes: 1, bridged: false };
        let timer = CollectiveTimer::new(CollectiveKind::AllReduce, group, &cluster, &engine);
        let small = Traffic::new(16_384.0);
        // The library's latency among eight ranks, 6.1 us and 1.6 for each beyond two: the engine's own is a third.
        let (alone, either) = (timer.library_only().time(small), timer.time(small));
        assert!(alone.as_micros() > 15.0 && either.as_micros() < 10.0, "{alone} {either}");
    }
}

//! The space of plans: splits that fill the cluster, times everything that varies inside a split.

use crate::model::Model;

use super::plan::{
    Hiding, Network, Networks, Offload, Precision, Recompute, Schedule, Sharding, Split, TensorHiding,
    TensorTransfers, TrainingPlan,
};

/// Values to consider; an empty list of degrees means all that divide.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingAxes {
    /// Tensor parallel.
    pub tp: Vec<u32>,
    /// Stages.
    pub pp: Vec<u32>,
    /// Context parallel.
    pub cp: Vec<u32>,
    /// Expert parallel.
    pub ep: Vec<u32>,
    /// Tensor parallel inside experts.
    pub expert_tp: Vec<u32>,
    /// Sequences of a microbatch.
    pub micro_batch: Vec<u32>,
    /// Chunks of layers on a rank.
    pub chunks: Vec<u32>,
    /// Largest tensor-parallel degree that is worth asking about.
    pub most_tp: u32,
    /// Whether only degrees are asked about that divide heads and layers.
    pub dividing: bool,
    /// Orders of microbatches.
    pub schedules: Vec<Schedule>,
    /// What data-parallel ranks divide.
    pub sharding: Vec<Sharding>,
    /// What is computed again.
    pub recompute: Vec<Recompute>,
    /// How tensor-parallel ranks exchange.
    pub transfers: Vec<TensorTransfers>,
    /// Which transfers are hidden.
    pub hiding: Vec<Hiding>,
    /// Which networks are used.
    pub networks: Vec<Networks>,
    /// What lies on the host.
    pub offload: Vec<Offload>,
    /// Number formats.
    pub precision: Vec<Precision>,
}

impl TrainingAxes {
    /// What frameworks offer: tensor parallel inside a node, sequence parallel with it, the distributed
    /// optimizer or FSDP, every recomputation.
    pub fn usual(per_node: u32) -> TrainingAxes {
        TrainingAxes {
            tp: Vec::new(),
            pp: Vec::new(),
            cp: vec![1, 2, 4, 8],
            ep: Vec::new(),
            expert_tp: vec![1],
            micro_batch: vec![1, 2, 4, 8],
            chunks: Vec::new(),
            most_tp: per_node.min(8),
            dividing: false,
            schedules: vec![Schedule::OneForwardOneBackward],
            sharding: vec![Sharding::Optimizer, Sharding::Parameters],
            recompute: Recompute::ALL.to_vec(),
            transfers: vec![TensorTransfers::Gathered],
            hiding: vec![Hiding::ALL],
            networks: vec![Networks::PLACED],
            offload: vec![Offload::default()],
            precision: vec![Precision::Bf16],
        }
    }

    /// The axes of Calculon's exhaustive search (Isaev et al. 2023, `llm-optimal-execution`): every degree that
    /// divides heads and layers, three kinds of tensor-parallel transfers, three ways to hide them, weights,
    /// optimizer and activations on the host or not, and either network for each kind of group.
    pub fn calculon() -> TrainingAxes {
        let both = [Network::Near, Network::Far];
        let mut networks = Vec::new();
        for tensor in both {
            for pipeline in both {
                networks.extend(both.map(|data| Networks { tensor, pipeline, data }));
            }
        }
        let mut offload = Vec::new();
        for weights in [true, false] {
            for optimizer in [true, false] {
                offload.extend([true, false].map(|activations| Offload { weights, optimizer, activations }));
            }
        }
        let hiding = |data| TensorHiding::ALL.iter().map(move |t| Hiding { tensor: *t, data });
        TrainingAxes {
            cp: vec![1],
            ep: vec![1],
            micro_batch: Vec::new(),
            most_tp: u32::MAX,
            dividing: true,
            sharding: vec![Sharding::Optimizer, Sharding::None],
            recompute: vec![Recompute::Full, Recompute::Selective, Recompute::None],
            transfers: vec![
                TensorTransfers::AllReduce,
                TensorTransfers::PointToPoint,
                TensorTransfers::Kept,
                TensorTransfers::Gathered,
            ],
            hiding: hiding(true).chain(hiding(false)).collect(),
            networks,
            offload,
            ..TrainingAxes::usual(8)
        }
    }

    /// Every split of `gpus`, with its microbatches and chunks.
    pub fn outer(&self, model: &Model, gpus: u32, global_batch: u64) -> Vec<Outer> {
        let limits = Limits::of(model);
        let mut all = Vec::new();
        let divides = |n: u32, d: u32| !self.dividing || n.is_multiple_of(d);
        for tp in degrees(&self.tp, gpus, self.most_tp.min(limits.heads)) {
            for pp in degrees(&self.pp, gpus / tp, limits.layers) {
                if !divides(limits.heads, tp) || !divides(limits.layers, pp) {
                    continue;
                }
                for cp in degrees(&self.cp, gpus / tp / pp, u32::MAX) {
                    let dp = gpus / tp / pp / cp;
                    let ranks = tp * cp * dp;
                    for ep in
                        degrees(if limits.experts == 1 { &[1] } else { &self.ep }, ranks, limits.experts)
                    {
                        for expert_tp in degrees(&self.expert_tp, ranks / ep, tp) {
                            let split = Split { tp, pp, cp, dp, ep, expert_tp };
                            self.inside(&mut all, split, limits.layers, global_batch);
                        }
                    }
                }
            }
        }
        all
    }

    fn inside(&self, all: &mut Vec<Outer>, split: Split, layers: u32, global_batch: u64) {
        let local = u32::try_from(global_batch / u64::from(split.dp)).unwrap_or(u32::MAX).max(1);
        let one = [1];
        let chunks: &[u32] = if split.pp == 1 { &one } else { &self.chunks };
        for micro_batch in degrees(&self.micro_batch, local, u32::MAX) {
            for chunks in self.pieces(chunks, layers, split.pp) {
                all.push(Outer { split, micro_batch, chunks });
            }
        }
    }

    /// Chunks that the layers of a stage divide into, with the embedding and the head each for a layer or not.
    fn pieces(&self, named: &[u32], layers: u32, pp: u32) -> Vec<u32> {
        let mut all = degrees(named, (layers / pp).max(1), u32::MAX);
        if !self.dividing && pp > 1 && !layers.is_multiple_of(pp) && (layers + 2).is_multiple_of(pp) {
            all.extend(degrees(named, (layers + 2) / pp, u32::MAX));
            all.sort_unstable();
            all.dedup();
        }
        all
    }

    /// Everything that varies inside a split.
    pub fn inner(&self, split: &Split) -> Vec<Inner> {
        let none = |t: TensorTransfers| if split.tp == 1 { TensorTransfers::AllReduce } else { t };
        let alone = split.dp == 1 && split.cp == 1;
        let mut all = Vec::new();
        for precision in &self.precision {
            for networks in unique(&self.networks, |n| Networks {
                tensor: if split.tp == 1 { Network::Placed } else { n.tensor },
                pipeline: if split.pp == 1 { Network::Placed } else { n.pipeline },
                data: if alone { Network::Placed } else { n.data },
            }) {
                for transfers in
                    unique(&self.transfers, |t| if self.networks.len() > 1 { *t } else { none(*t) })
                {
                    for hiding in unique(&self.hiding, |h| Hiding {
                        tensor: if split.tp == 1 { TensorHiding::None } else { h.tensor },
                        data: h.data || alone,
                    }) {
                        self.rest(&mut all, split, (*precision, networks, transfers, hiding));
                    }
                }
            }
        }
        all
    }

    fn rest(
        &self,
        all: &mut Vec<Inner>,
        split: &Split,
        (precision, networks, transfers, hiding): (Precision, Networks, TensorTransfers, Hiding),
    ) {
        let alone = split.dp == 1 && split.cp == 1;
        let one = [Schedule::OneForwardOneBackward];
        let schedules = if split.pp == 1 { &one[..] } else { &self.schedules };
        let gathers = transfers == TensorTransfers::Gathered && self.transfers.len() > 1;
        for recompute in &self.recompute {
            // Whole layers that are computed again gather again in any case.
            if gathers && *recompute == Recompute::Full {
                continue;
            }
            for sharding in unique(&self.sharding, |s| if alone { Sharding::None } else { *s }) {
                for schedule in schedules {
                    for offload in unique(&self.offload, |o| Offload {
                        // Calculon leaves no inputs of layers with the host.
                        activations: o.activations && !(self.dividing && *recompute == Recompute::Full),
                        ..*o
                    }) {
                        all.push(Inner {
                            precision,
                            networks,
                            transfers,
                            hiding,
                            recompute: *recompute,
                            sharding,
                            schedule: *schedule,
                            offload,
                        });
                    }
                }
            }
        }
    }
}

/// What the model allows.
struct Limits {
    heads: u32,
    layers: u32,
    experts: u32,
}

impl Limits {
    fn of(model: &Model) -> Limits {
        use crate::model::blocks::Block;
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let heads = |b: &Block| match b {
            Block::Attention(a) => Some(a.heads),
            Block::Latent(l) => Some(l.heads),
            _ => None,
        };
        let experts = |b: &Block| match b {
            Block::Moe(m) => Some(m.experts),
            _ => None,
        };
        Limits {
            heads: count(model.layer_blocks().filter_map(heads).min().unwrap_or(model.hidden)),
            layers: count(model.layers()),
            experts: count(model.layer_blocks().filter_map(experts).min().unwrap_or(1)),
        }
    }
}

/// The values of an axis that divide `n` and are at most `most`; all divisors if none are named.
fn degrees(named: &[u32], n: u32, most: u32) -> Vec<u32> {
    let fits = |d: &u32| *d > 0 && *d <= most && n.is_multiple_of(*d);
    if named.is_empty() {
        // Divisors in pairs around the root.
        let root = (1..).take_while(|d: &u32| u64::from(*d) * u64::from(*d) <= u64::from(n));
        let small: Vec<u32> = root.filter(|d| n.is_multiple_of(*d)).collect();
        let mut all: Vec<u32> = small.iter().copied().chain(small.iter().map(|d| n / d)).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(fits);
        return all;
    }
    named.iter().copied().filter(fits).collect()
}

/// The values of an axis as they are inside a split, each once.
fn unique<T: PartialEq + Copy>(values: &[T], inside: impl Fn(&T) -> T) -> Vec<T> {
    let mut all = Vec::with_capacity(values.len());
    for value in values.iter().map(inside) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

/// A split, its microbatch and chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outer {
    /// The split.
    pub split: Split,
    /// Sequences of a microbatch.
    pub micro_batch: u32,
    /// Chunks of layers on a rank.
    pub chunks: u32,
}

/// What varies inside a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inner {
    /// Number format.
    pub precision: Precision,
    /// Networks.
    pub networks: Networks,
    /// Tensor-parallel transfers.
    pub transfers: TensorTransfers,
    /// What is hidden.
    pub hiding: Hiding,
    /// What is computed again.
    pub recompute: Recompute,
    /// What is divided.
    pub sharding: Sharding,
    /// Order of microbatches.
    pub schedule: Schedule,
    /// What lies on the host.
    pub offload: Offload,
}

impl Outer {
    /// The plan of a variation.
    pub fn plan(&self, inner: &Inner) -> TrainingPlan {
        TrainingPlan {
            split: self.split,
            micro_batch: self.micro_batch,
            chunks: self.chunks,
            schedule: inner.schedule,
            sharding: inner.sharding,
            recompute: inner.recompute,
            transfers: inner.transfers,
            hiding: inner.hiding,
            networks: inner.networks,
            offload: inner.offload,
            precision: inner.precision,
        }
    }
}

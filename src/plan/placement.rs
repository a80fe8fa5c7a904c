//! Where the ranks of a replica stand: which groups share a node and which cross nodes.
//!
//! Ranks are numbered with tensor parallel innermost, then attention data parallel, then stages, and
//! fill nodes in order. A stage never straddles nodes unless it fills them; replicas never share a
//! GPU.

use crate::catalog::Cluster;

use super::Parallelism;

/// A group of ranks: how many, and how they lie over nodes and bridges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLink {
    /// Ranks in the group.
    pub ranks: u32,
    /// Nodes that the group spans.
    pub nodes: u32,
    /// Whether all ranks share one bridge: every larger group is as slow as the node's own link.
    pub bridged: bool,
}

impl GroupLink {
    /// Ranks that share a node.
    pub fn ranks_per_node(self) -> u32 {
        self.ranks / self.nodes
    }
}

/// The placement of one replica, and how many replicas the cluster holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The tensor-parallel group.
    pub tensor: GroupLink,
    /// The ranks that share the experts of a stage.
    pub stage: GroupLink,
    /// The tensor-parallel ranks that divide the tokens of a sequence.
    pub context: GroupLink,
    /// Hand-offs between stages that stay inside a bridge.
    pub hops_bridged: u32,
    /// Hand-offs that stay inside a node, on its own link.
    pub hops_inside: u32,
    /// Hand-offs that cross nodes.
    pub hops_across: u32,
    /// Replicas that fit on the cluster.
    pub max_replicas: u32,
}

/// Places a replica; `None` when a stage would straddle nodes without filling them, or when the cluster
/// is too small.
pub fn place(p: Parallelism, cluster: &Cluster) -> Option<Placement> {
    let per_node = u64::from(cluster.gpus_per_node);
    let stage = p.stage_ranks();
    let stages = u64::from(p.pp);
    if p.gpus() == 0 || p.gpus() > u64::from(cluster.gpus) {
        return None;
    }
    let bridge = cluster.bridge.as_ref().map_or(1, |b| u64::from(b.bridge.gpus));
    let tensor = group(u64::from(p.tp), per_node, bridge)?;
    let stage_link = group(stage, per_node, bridge)?;
    let (stages_per_node, nodes_per_stage) =
        if stage <= per_node { (per_node / stage, 1) } else { (1, stage / per_node) };
    let full_nodes = u64::from(cluster.gpus) / per_node;
    let rest = u64::from(cluster.gpus) % per_node;
    let max_replicas = if p.gpus() <= per_node {
        full_nodes * (per_node / p.gpus()) + rest / p.gpus()
    } else {
        full_nodes / (stages.div_ceil(stages_per_node) * nodes_per_stage)
    };
    if max_replicas == 0 {
        return None;
    }
    let across = stages.div_ceil(stages_per_node) - 1;
    let bridged = hops_inside_bridges(stage, stages, stages_per_node, bridge);
    Some(Placement {
        tensor,
        stage: stage_link,
        context: group_inside(tensor, p.dcp, per_node, bridge)?,
        hops_bridged: u32::try_from(bridged).ok()?,
        hops_inside: u32::try_from(stages - 1 - across - bridged).ok()?,
        hops_across: u32::try_from(across).ok()?,
        max_replicas: u32::try_from(max_replicas).ok()?,
    })
}

/// What workers of one split leave of a cluster to those of another. They fill nodes in order; workers within
/// a node take what is left in any, larger ones whole nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    per_node: u64,
    /// Nodes by what is left in them: how many, and how much. Untouched nodes come first.
    left: [(u64, u64); 4],
}

impl Room {
    /// The room beside `others` workers; `None` where those do not fit.
    pub fn beside(other: Parallelism, others: u32, cluster: &Cluster) -> Option<Room> {
        let per_node = u64::from(cluster.gpus_per_node);
        let (full, rest) = (u64::from(cluster.gpus) / per_node, u64::from(cluster.gpus) % per_node);
        let others = u64::from(others);
        let mut left = [(full, per_node), (0, 0), (0, 0), (1, rest)];
        if other.gpus() <= per_node {
            let each = per_node / other.gpus();
            let (filled, over) = (others / each, others % each);
            if filled >= full {
                let last = (others - full * each).checked_mul(other.gpus()).filter(|taken| *taken <= rest)?;
                left = [(0, 0), (full, per_node - each * other.gpus()), (0, 0), (1, rest - last)];
            } else {
                let partly = u64::from(over > 0);
                left[0].0 = full - filled - partly;
                left[1] = (filled, per_node - each * other.gpus());
                left[2] = (partly, per_node - over * other.gpus());
            }
        } else {
            left[0].0 = full.checked_sub(others.checked_mul(nodes_of(other, per_node))?)?;
        }
        Some(Room { per_node, left })
    }

    /// Most workers of a split that stand there. It never falls when a worker takes fewer GPUs and no more
    /// nodes.
    pub fn holds(&self, worker: Parallelism) -> Option<u32> {
        let room: u64 = if worker.gpus() <= self.per_node {
            self.left.iter().map(|(nodes, gpus)| nodes * (gpus / worker.gpus())).sum()
        } else {
            self.left[0].0 / nodes_of(worker, self.per_node)
        };
        u32::try_from(room).ok()
    }
}

/// Most workers of one split that stand beside `others` of another on a cluster; `None` where those do not
/// fit.
pub fn room_beside(worker: Parallelism, other: Parallelism, others: u32, cluster: &Cluster) -> Option<u32> {
    Room::beside(other, others, cluster)?.holds(worker)
}

/// Whole nodes that a worker larger than one takes: stages do not straddle nodes.
pub fn nodes_of(worker: Parallelism, per_node: u64) -> u64 {
    let stage = worker.stage_ranks().max(1);
    let stages = u64::from(worker.pp);
    if stage <= per_node { stages.div_ceil(per_node / stage) } else { stages * stage.div_ceil(per_node) }
}

/// Hand-offs between two stages of one bridge: whole stages fill a bridge in order, and bridges fill a
/// node. Stages that do not divide a bridge count as not bridged.
fn hops_inside_bridges(stage: u64, stages: u64, stages_per_node: u64, bridge: u64) -> u64 {
    if bridge < 2 * stage || !bridge.is_multiple_of(stage) {
        return 0;
    }
    let hops = |stages: u64| stages - stages.div_ceil(bridge / stage);
    stages / stages_per_node * hops(stages_per_node) + hops(stages % stages_per_node)
}

/// A group of contiguous ranks: inside one node, or over whole nodes. Groups of `ranks` that divide a
/// bridge lie inside one.
fn group(ranks: u64, per_node: u64, bridge: u64) -> Option<GroupLink> {
    let nodes = if ranks <= per_node {
        1
    } else if ranks.is_multiple_of(per_node) {
        ranks / per_node
    } else {
        return None;
    };
    Some(GroupLink {
        ranks: u32::try_from(ranks).ok()?,
        nodes: u32::try_from(nodes).ok()?,
        bridged: ranks > 1 && bridge.is_multiple_of(ranks),
    })
}

/// A group of `ranks` contiguous ones of a tensor-parallel group: where that lies over several nodes it may
/// straddle two of them.
fn group_inside(tensor: GroupLink, ranks: u32, per_node: u64, bridge: u64) -> Option<GroupLink> {
    let count = u64::from(ranks);
    if tensor.nodes == 1 || per_node.is_multiple_of(count) || count.is_multiple_of(per_node) {
        return group(count, per_node, bridge);
    }
    let nodes = u32::try_from(count.div_ceil(per_node).max(2)).ok()?;
    Some(GroupLink { ranks, nodes, bridged: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(tp: u32, pp: u32, cluster: &str) -> Option<Placement> {
        place(Parallelism { tp, pp, ..Parallelism::SINGLE }, &crate::catalog::cluster(cluster).unwrap())
    }

    #[test]
    fn two_stages_of_eight_cross_nodes_once() {
        let p = placed(8, 2, "16xh100-sxm").unwrap();
        assert_eq!((p.hops_inside, p.hops_across, p.max_replicas), (0, 1, 1));
        assert_eq!(p.tensor, GroupLink { ranks: 8, nodes: 1, bridged: false });
    }

    #[test]
    fn tensor_parallel_over_sixteen_spans_two_nodes() {
        let tensor = GroupLink { ranks: 16, nodes: 2, bridged: false };
        assert_eq!(placed(16, 1, "16xh100-sxm").unwrap().tensor, tensor);
    }

    #[test]
    fn three_gpu_replicas_leave_two_of_eight_idle_in_each_node() {
        assert_eq!(placed(3, 1, "16xh100-sxm").unwrap().max_replicas, 4);
    }

    #[test]
    fn workers_of_two_kinds_share_nodes() {
        let cluster = |name| crate::catalog::cluster(name).unwrap();
        let tp = |tp| Parallelism { tp, ..Parallelism::SINGLE };
        assert_eq!(room_beside(tp(2), tp(4), 1, &cluster("8xh100-sxm")), Some(2));
        assert_eq!(room_beside(tp(4), tp(2), 2, &cluster("8xh100-sxm")), Some(1));
        assert_eq!(room_beside(tp(8), tp(2), 1, &cluster("16xh100-sxm")), Some(1));
        assert_eq!(room_beside(tp(8), tp(16), 1, &cluster("32xh100-sxm")), Some(2));
        assert_eq!(room_beside(tp(1), tp(4), 2, &cluster("7xh100-sxm")), None);
        assert_eq!(room_beside(tp(1), tp(3), 2, &cluster("10xh100-sxm")), Some(4));
    }

    #[test]
    fn ranks_that_divide_a_context_lie_inside_their_tensor_parallel_group() {
        let cluster = crate::catalog::cluster("32xh100-sxm").unwrap();
        let context = |tp, dcp| {
            let split = Parallelism { tp, dcp, ..Parallelism::SINGLE };
            place(split, &cluster).unwrap().context
        };
        assert_eq!(context(8, 4), GroupLink { ranks: 4, nodes: 1, bridged: false });
        assert_eq!(context(16, 8), GroupLink { ranks: 8, nodes: 1, bridged: false });
        assert_eq!(context(16, 16), GroupLink { ranks: 16, nodes: 2, bridged: false });
        // Ranks 6 to 8 of three nodes of eight.
        assert_eq!(context(24, 3).nodes, 2);
    }

    #[test]
    fn a_replica_larger_than_the_cluster_has_no_place() {
        assert_eq!(placed(8, 1, "7xh100-sxm"), None);
    }

    #[test]
    fn pairs_hold_tensor_parallel_over_two_and_no_more() {
        let tensor = |tp| placed(tp, 1, "h100-nvl-pairs").unwrap().tensor;
        assert_eq!(tensor(2), GroupLink { ranks: 2, nodes: 1, bridged: true });
        assert_eq!(tensor(4), GroupLink { ranks: 4, nodes: 1, bridged: false });
    }

    #[test]
    fn every_second_hand_off_of_lone_stages_stays_inside_a_pair() {
        let p = placed(1, 4, "h100-nvl-pairs").unwrap();
        assert_eq!((p.hops_bridged, p.hops_inside, p.hops_across), (2, 1, 0));
        let p = placed(2, 4, "h100-nvl-pairs").unwrap();
        assert_eq!((p.hops_bridged, p.hops_inside, p.hops_across), (0, 3, 0));
    }
}

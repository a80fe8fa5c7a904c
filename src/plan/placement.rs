//! Where the ranks of a replica stand: which groups share a node and which cross nodes.
//!
//! Ranks are numbered with tensor parallel innermost, then attention data parallel, then stages, and
//! fill nodes in order. A stage never straddles nodes unless it fills them; replicas never share a
//! GPU.

use crate::catalog::Cluster;

use super::Parallelism;

/// A group of ranks: how many, and how they lie over nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLink {
    /// Ranks in the group.
    pub ranks: u32,
    /// Nodes that the group spans.
    pub nodes: u32,
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
    /// Hand-offs between stages that stay inside a node.
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
    let tensor = group(u64::from(p.tp), per_node)?;
    let stage_link = group(stage, per_node)?;
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
    Some(Placement {
        tensor,
        stage: stage_link,
        hops_inside: u32::try_from(stages - 1 - across).ok()?,
        hops_across: u32::try_from(across).ok()?,
        max_replicas: u32::try_from(max_replicas).ok()?,
    })
}

/// A group of contiguous ranks: inside one node, or over whole nodes.
fn group(ranks: u64, per_node: u64) -> Option<GroupLink> {
    let nodes = if ranks <= per_node {
        1
    } else if ranks.is_multiple_of(per_node) {
        ranks / per_node
    } else {
        return None;
    };
    Some(GroupLink { ranks: u32::try_from(ranks).ok()?, nodes: u32::try_from(nodes).ok()? })
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
        assert_eq!(p.tensor, GroupLink { ranks: 8, nodes: 1 });
    }

    #[test]
    fn tensor_parallel_over_sixteen_spans_two_nodes() {
        assert_eq!(placed(16, 1, "16xh100-sxm").unwrap().tensor, GroupLink { ranks: 16, nodes: 2 });
    }

    #[test]
    fn three_gpu_replicas_leave_two_of_eight_idle_in_each_node() {
        assert_eq!(placed(3, 1, "16xh100-sxm").unwrap().max_replicas, 4);
    }

    #[test]
    fn a_replica_larger_than_the_cluster_has_no_place() {
        assert_eq!(placed(8, 1, "7xh100-sxm"), None);
    }
}

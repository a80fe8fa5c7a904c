//! A tier below the GPUs' cache, as one replica sees it.

use crate::catalog::Cluster;
use crate::units::BytesPerSecond;
use crate::workload::{Tier, TierKind};

/// Most tiers.
pub const MAX_TIERS: usize = TierKind::ALL.len();

/// Share of a link's datasheet bandwidth that copies of a cache's blocks reach: 50 to 55 of the 64 GB/s of a PCIe 5.0
/// slot for pinned memory (vLLM's blog on its offloading connector, 8 Jan 2026, measures 83 GB/s both ways together).
const LINK_SHARE: f64 = 0.8;

/// A drive of a server: Samsung's PM9A3 of 3.84 TB reads 6.8 GB/s and writes 4 GB/s, as its datasheet says.
const DRIVE: (f64, f64, f64) = (3.84e12, 6.8e9, 4.0e9);

/// Where a replica stands, and what a token of its cache takes.
#[derive(Clone, Copy, Debug)]
pub struct Stand<'a> {
    /// Its cluster.
    pub cluster: &'a Cluster,
    /// Its GPUs.
    pub gpus: f64,
    /// Replicas of the deployment.
    pub replicas: f64,
    /// Bytes of a token's cache on each GPU.
    pub on_gpu: f64,
    /// On all GPUs, copies counted once.
    pub in_all: f64,
}

/// A tier below the GPUs' cache, as one replica sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Below {
    /// What it is made of.
    pub kind: TierKind,
    /// Tokens that it holds for this replica.
    pub tokens: f64,
    /// Before the first byte, in seconds.
    pub latency: f64,
    /// Seconds that a token takes to be read.
    pub per_token: f64,
    /// Seconds that a token takes to be written.
    pub written: f64,
    /// Whether reads and writes have bandwidths of their own.
    pub is_duplex: bool,
    /// Whether replicas of a node share its bandwidth.
    pub is_shared_by_node: bool,
    /// Replicas that share it, this one among them.
    pub neighbours: f64,
}

impl Below {
    /// A tier as the replica that stands there sees it.
    pub fn new(tier: Tier, at: &Stand) -> Below {
        let per_node = f64::from(at.cluster.gpus_per_node.min(at.cluster.gpus).max(1));
        let neighbours = (per_node / at.gpus).floor().clamp(1.0, at.replicas.max(1.0));
        let nodes = (at.gpus / per_node).max(1.0);
        let size = tier.size.as_f64();
        let share = match tier.kind {
            TierKind::Cpu | TierKind::Nvme => size * nodes / neighbours,
            TierKind::Shared => size / at.replicas.max(1.0),
        };
        let stated = tier.bandwidth.map(BytesPerSecond::get);
        let (read, write, bytes) = match tier.kind {
            TierKind::Cpu => {
                let link = stated.unwrap_or(at.cluster.host_link().get());
                (link, link, at.on_gpu)
            }
            TierKind::Nvme => {
                let drives = (size / DRIVE.0).round().max(1.0);
                let read = stated.unwrap_or(drives * DRIVE.1);
                (read * nodes, read * nodes * DRIVE.2 / DRIVE.1, at.in_all)
            }
            TierKind::Shared => {
                let link = stated.unwrap_or(at.cluster.scale_out.bandwidth.get() * LINK_SHARE);
                (link, link, at.on_gpu)
            }
        };
        Below {
            kind: tier.kind,
            tokens: share / at.in_all.max(1e-9),
            latency: tier.kind.usual_latency().get(),
            per_token: bytes / read,
            written: bytes / write,
            is_duplex: tier.kind != TierKind::Nvme,
            is_shared_by_node: tier.kind == TierKind::Nvme,
            neighbours,
        }
    }

    /// Seconds until so many tokens are read.
    pub fn read(&self, tokens: f64) -> f64 {
        if tokens > 0.0 { self.latency + self.bytes_time(tokens) } else { 0.0 }
    }

    /// Seconds that its bandwidth is taken up by so many tokens.
    pub fn bytes_time(&self, tokens: f64) -> f64 {
        tokens * self.per_token
    }

    /// Seconds that its bandwidth is taken up by writing so many tokens.
    pub fn write(&self, tokens: f64) -> f64 {
        tokens * self.written
    }
}

//! A cluster: GPUs of one kind in nodes, the links inside a node and the one between nodes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::cards::Cards;
use super::gpu::Gpu;
use super::host::Host;
use super::kernels::KernelTables;
use super::link::{Bridge, Link, LinkKind};
use crate::diagnostic::{Code, Diagnostic};
use crate::units::{BytesPerSecond, UsdPerHour};

/// More GPUs than any cluster has; guards against typing errors and overflow.
pub const MAX_GPUS: u32 = 1_048_576;

/// A cluster as its file describes it: GPUs of one kind, or `pools` of several kinds. Links left out are
/// the GPU's own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// Identifier; the file's name without its extension.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Other names that people use.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Cloud that rents it out: `aws`, `azure`, `gcp`, `oci` …; none of machines that are bought.
    #[serde(default)]
    pub cloud: Option<String>,
    /// GPU, by name, or a YAML file beside this one.
    #[schemars(extend("x-names" = "gpu"))]
    pub gpu: Option<String>,
    /// GPUs that share the scale-up link.
    #[schemars(range(min = 1))]
    pub gpus_per_node: Option<u32>,
    /// Number of nodes; 1 when left out.
    #[schemars(range(min = 1))]
    pub nodes: Option<u32>,
    /// Link inside a node.
    pub scale_up: Option<Link>,
    /// Faster links between groups of a node's GPUs, if there are any.
    pub bridge: Option<Bridge>,
    /// Link between nodes.
    pub scale_out: Option<Link>,
    /// Memory of each node's host, for engines that leave there what finds no room on the GPUs.
    pub host: Option<Host>,
    /// Price of one GPU and hour; when left out the GPU's own, and of a cloud's servers none.
    pub price: Option<UsdPerHour>,
    /// Pools of different GPUs, instead of all of the above.
    #[serde(default)]
    pub pools: Vec<PoolFile>,
    /// Where the figures come from.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// GPUs of one kind as a cluster's file describes them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolFile {
    /// GPU, by name, or a YAML file beside this one.
    #[schemars(extend("x-names" = "gpu"))]
    pub gpu: String,
    /// GPUs that share the scale-up link.
    #[schemars(range(min = 1))]
    pub gpus_per_node: u32,
    /// Number of nodes; 1 when left out.
    #[schemars(range(min = 1))]
    pub nodes: Option<u32>,
    /// Link inside a node.
    pub scale_up: Option<Link>,
    /// Faster links between groups of a node's GPUs, if there are any.
    pub bridge: Option<Bridge>,
    /// Link between nodes.
    pub scale_out: Option<Link>,
    /// Memory of each node's host, for engines that leave there what finds no room on the GPUs.
    pub host: Option<Host>,
    /// Price of one GPU and hour; when left out the GPU's own, and of a cloud's servers none.
    pub price: Option<UsdPerHour>,
}

impl ClusterFile {
    /// The pools of the file, one or several.
    ///
    /// # Errors
    /// [`Code::Catalog`] when neither or both forms are used, or a field of the single form is missing.
    pub fn pools(&self) -> Result<Vec<PoolFile>, Diagnostic> {
        let wrong = |cause: &str, help: &str| {
            Err(Diagnostic::new(Code::Catalog, cause).at(format!("cluster {}", self.id)).help(help))
        };
        let help = "state `gpu` and `gpus_per_node`, or `pools` with both in each";
        let single = self.nodes.is_some()
            || self.scale_up.is_some()
            || self.bridge.is_some()
            || self.scale_out.is_some()
            || self.host.is_some()
            || self.price.is_some();
        match (&self.gpu, self.gpus_per_node) {
            (None, None) if self.pools.is_empty() => wrong("missing fields `gpu` and `gpus_per_node`", help),
            (None, None) if single => {
                wrong("links, nodes, hosts and prices belong to each of the `pools`", help)
            }
            (None, None) => Ok(self.pools.clone()),
            _ if !self.pools.is_empty() => wrong("`pools` and a `gpu` of its own exclude each other", help),
            (None, Some(_)) => wrong("missing field `gpu`", help),
            (Some(_), None) => wrong("missing field `gpus_per_node`", help),
            (Some(gpu), Some(gpus_per_node)) => Ok(vec![PoolFile {
                gpu: gpu.clone(),
                gpus_per_node,
                nodes: self.nodes,
                scale_up: self.scale_up,
                bridge: self.bridge,
                scale_out: self.scale_out,
                host: self.host,
                price: self.price,
            }]),
        }
    }
}

/// GPUs of one kind, or cards of several in one machine, with everything resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Identifier or the shorthand it was asked for by.
    pub id: String,
    /// The GPU.
    pub gpu: Gpu,
    /// GPUs that share the scale-up link.
    pub gpus_per_node: u32,
    /// Number of nodes; the last may be partly filled.
    pub nodes: u32,
    /// GPUs in all.
    pub gpus: u32,
    /// Link inside a node.
    pub scale_up: Link,
    /// Faster links between groups of a node's GPUs.
    pub bridge: Option<Bridged>,
    /// Link between nodes.
    pub scale_out: Link,
    /// Memory of each node's host, if it is known.
    pub host: Option<Host>,
    /// Price of one GPU and hour; of replicas that span kinds the mean.
    pub price: Option<UsdPerHour>,
    /// Where replicas span kinds of GPU, the cards of each of them, in the order of their stages; empty where all GPUs are
    /// of one kind. `gpu` is the first of them then.
    pub cards: Vec<Cards>,
}

/// A bridge, and the collectives over links of its kind: those of the node's link do not stand for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bridged {
    /// The bridge.
    pub bridge: Bridge,
    /// Coefficients of collectives inside it.
    pub collectives: KernelTables,
}

impl Cluster {
    /// A cluster called `id` from its description, its GPU, and the collectives over its bridges.
    ///
    /// # Errors
    /// [`Code::Range`] when sizes are zero or absurd, [`Code::Catalog`] when a link carries nothing or
    /// bridges do not divide a node.
    pub fn from_file(
        id: &str,
        file: &PoolFile,
        gpu: Gpu,
        collectives: KernelTables,
    ) -> Result<Cluster, Diagnostic> {
        let place = || format!("cluster {id}");
        let nodes = file.nodes.unwrap_or(1);
        let gpus =
            checked_size(nodes, file.gpus_per_node).map_err(|d| d.within(place()).field("gpus_per_node"))?;
        let (scale_up, scale_out) =
            (file.scale_up.unwrap_or(gpu.scale_up), file.scale_out.unwrap_or(gpu.scale_out));
        let bridge = file.bridge.as_ref().map(|b| ("bridge", &b.link, false));
        for (field, link, between_nodes) in
            [("scale_up", &scale_up, false), ("scale_out", &scale_out, true)].into_iter().chain(bridge)
        {
            link.validate(between_nodes).map_err(|why| {
                Diagnostic::new(Code::Catalog, format!("{field}: {why}")).at(place()).field(field)
            })?;
        }
        if file.bridge.is_some_and(|b| b.gpus < 2 || !file.gpus_per_node.is_multiple_of(b.gpus)) {
            let cause = format!("bridge.gpus: must divide the {} GPUs of a node", file.gpus_per_node);
            let wrong = Diagnostic::new(Code::Catalog, cause).at(place()).field("bridge");
            return Err(wrong.help("2 for pairs, 4 for fours"));
        }
        if let Some(host) = &file.host {
            host.validate().map_err(|d| d.at(place()).field("host"))?;
        }
        Ok(Cluster {
            id: id.to_owned(),
            gpus_per_node: file.gpus_per_node,
            nodes,
            gpus,
            scale_up,
            bridge: file.bridge.map(|bridge| Bridged { bridge, collectives }),
            scale_out,
            host: file.host,
            price: file.price.or(gpu.price.as_ref().map(|p| p.on_demand)),
            cards: Vec::new(),
            gpu,
        })
    }

    /// `gpus` of `gpu` in its usual servers: `16xh100-sxm` is two nodes of eight.
    ///
    /// # Errors
    /// [`Code::Range`] when there are none or absurdly many.
    pub fn of_gpus(gpu: Gpu, gpus: u32) -> Result<Cluster, Diagnostic> {
        checked_size(1, gpus)?;
        let per_node = gpu.gpus_per_node.min(gpus);
        Ok(Cluster {
            id: format!("{gpus}x{}", gpu.id),
            gpus_per_node: per_node,
            nodes: gpus.div_ceil(per_node),
            gpus,
            scale_up: gpu.scale_up,
            bridge: None,
            scale_out: gpu.scale_out,
            host: None,
            price: gpu.price.as_ref().map(|p| p.on_demand),
            cards: Vec::new(),
            gpu,
        })
    }

    /// The same with `factor` times its GPUs, in the GPU's usual servers; `None` when that is too many to count.
    pub fn times(&self, factor: u32) -> Option<Cluster> {
        let gpus = self.gpus.checked_mul(factor)?;
        let per_node = self.gpu.gpus_per_node.max(self.gpus_per_node).min(gpus);
        if factor == 1 {
            return Some(self.clone());
        }
        Some(Cluster {
            id: format!("{gpus}x{}", self.gpu.id),
            gpus,
            gpus_per_node: per_node,
            nodes: gpus.div_ceil(per_node),
            bridge: self.bridge.clone().filter(|b| per_node.is_multiple_of(b.bridge.gpus)),
            ..self.clone()
        })
    }

    /// `nodes` servers of `per_node` GPUs: `4x8xh200-sxm`.
    ///
    /// # Errors
    /// [`Code::Range`] when there are none or absurdly many.
    pub fn of_nodes(gpu: Gpu, nodes: u32, per_node: u32) -> Result<Cluster, Diagnostic> {
        let gpus = checked_size(nodes, per_node)?;
        let mut cluster = Cluster::of_gpus(gpu, gpus)?;
        cluster.id = format!("{nodes}x{per_node}x{}", cluster.gpu.id);
        (cluster.nodes, cluster.gpus_per_node) = (nodes, per_node);
        Ok(cluster)
    }
}

fn checked_size(nodes: u32, per_node: u32) -> Result<u32, Diagnostic> {
    match nodes.checked_mul(per_node) {
        Some(n) if nodes == 1 && n > MAX_GPUS => {
            Err(Diagnostic::new(Code::Range, format!("{n} GPUs are out of range"))
                .help(format!("at most {MAX_GPUS} GPUs")))
        }
        Some(0) => Err(Diagnostic::new(Code::Range, "a cluster needs at least one GPU")),
        Some(n) if n <= MAX_GPUS => Ok(n),
        _ => Err(Diagnostic::new(Code::Range, format!("{nodes} nodes of {per_node} GPUs are out of range"))
            .help(format!("at most {MAX_GPUS} GPUs"))),
    }
}

/// Share of a link's datasheet bandwidth that copies of pinned memory reach: 50 to 55 of the 64 GB/s of a PCIe 5.0 slot
/// (vLLM's blog on its offloading connector, 8 Jan 2026, measures 83 GB/s both ways together).
const LINK_SHARE: f64 = 0.8;

/// Link between the host and one GPU, per direction, of a GPU whose file does not say: PCIe 5.0 of 16 lanes.
const USUAL_LINK: BytesPerSecond = BytesPerSecond::new(64e9);

impl Cluster {
    /// The part of a node's host that a replica of `gpus` GPUs has: replicas share it by their GPUs.
    pub fn host_of(&self, gpus: u64) -> Option<Host> {
        let host = self.host?;
        let node = u64::from(self.gpus_per_node.min(self.gpus)).max(1);
        let share = (gpus as f64 / node as f64).min(1.0);
        Some(Host { memory: host.memory.scaled(share), bandwidth: host.bandwidth * share, ..host })
    }

    /// What the link between the host and one GPU carries in a second, per direction, of pinned memory.
    pub fn host_link(&self) -> BytesPerSecond {
        self.stated_host_link().unwrap_or(USUAL_LINK * LINK_SHARE)
    }

    /// The same where the host, the GPU or its slot says what the link is.
    pub fn stated_host_link(&self) -> Option<BytesPerSecond> {
        let gpu = &self.gpu;
        let slot = (gpu.scale_up.kind == LinkKind::Pcie).then_some(gpu.scale_up.bandwidth);
        let known = self.host.and_then(|host| host.link_to(gpu)).or(gpu.host_link).or(slot);
        known.map(|link| link * LINK_SHARE)
    }

    /// Whether its GPUs have a memory of their own beside the host's.
    pub fn has_own_memory(&self) -> bool {
        !self.gpu.unified_memory && !matches!(self.gpu.platform(), "apple" | "cpu")
    }
}

//! A cluster: GPUs of one kind in nodes, the link inside a node and the one between nodes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::gpu::Gpu;
use super::link::Link;
use crate::diagnostic::{Code, Diagnostic};
use crate::units::UsdPerHour;

/// More GPUs than any cluster has; guards against typing errors and overflow.
pub const MAX_GPUS: u32 = 1_048_576;

/// A cluster as its file describes it: links left out are the GPU's own.
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
    /// GPU, by name, or a YAML file beside this one.
    #[schemars(extend("x-names" = "gpu"))]
    pub gpu: String,
    /// GPUs that share the scale-up link.
    #[schemars(range(min = 1))]
    pub gpus_per_node: u32,
    /// Number of nodes.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub nodes: u32,
    /// Link inside a node.
    pub scale_up: Option<Link>,
    /// Link between nodes.
    pub scale_out: Option<Link>,
    /// Price of one GPU and hour, where it differs from the GPU's own.
    pub price: Option<UsdPerHour>,
    /// Where the figures come from.
    #[serde(default)]
    pub sources: Vec<String>,
}

fn one() -> u32 {
    1
}

/// A cluster with everything resolved.
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
    /// Link between nodes.
    pub scale_out: Link,
    /// Price of one GPU and hour.
    pub price: Option<UsdPerHour>,
}

impl Cluster {
    /// A cluster from its file and its GPU.
    ///
    /// # Errors
    /// [`Code::Range`] when sizes are zero or absurd, [`Code::Catalog`] when a link carries nothing.
    pub fn from_file(file: &ClusterFile, gpu: Gpu) -> Result<Cluster, Diagnostic> {
        let gpus = checked_size(file.nodes, file.gpus_per_node)
            .map_err(|d| d.within(format!("cluster {}", file.id)).field("gpus_per_node"))?;
        let (scale_up, scale_out) =
            (file.scale_up.unwrap_or(gpu.scale_up), file.scale_out.unwrap_or(gpu.scale_out));
        if scale_up.bandwidth.get() <= 0.0 || scale_out.bandwidth.get() <= 0.0 {
            let cause = "scale_up, scale_out: bandwidth must be positive";
            let wrong = Diagnostic::new(Code::Catalog, cause).at(format!("cluster {}", file.id));
            let up = scale_up.bandwidth.get() <= 0.0;
            return Err(wrong.field(if up { "scale_up" } else { "scale_out" }));
        }
        Ok(Cluster {
            id: file.id.clone(),
            gpus_per_node: file.gpus_per_node,
            nodes: file.nodes,
            gpus,
            scale_up,
            scale_out,
            price: file.price.or(gpu.price.as_ref().map(|p| p.on_demand)),
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
            scale_out: gpu.scale_out,
            price: gpu.price.as_ref().map(|p| p.on_demand),
            gpu,
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

//! Where one plan stands: its GPUs and how it is split over them.

use clap::Args;

use crate::request::{Request, Texts, Values};

use super::values::degree;

/// A GPU or a cluster, and a split.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// GPU, by name or YAML file
    #[arg(long, value_name = "GPU", conflicts_with = "cluster")]
    gpu: Option<String>,
    /// Cluster to place the plan on, local among them [default: as many GPUs as the plan needs]
    #[arg(long, value_name = "CLUSTER", allow_hyphen_values = true)]
    cluster: Option<String>,
    /// Tensor parallel [default: 1]
    #[arg(long, value_name = "N", value_parser = degree)]
    tp: Option<u32>,
    /// Pipeline stages [default: 1]
    #[arg(long, value_name = "N", value_parser = degree)]
    pp: Option<u32>,
    /// Expert parallel [default: 1]
    #[arg(long, value_name = "N", value_parser = degree)]
    ep: Option<u32>,
    /// Attention data parallel [default: 1]
    #[arg(long, value_name = "N", value_parser = degree)]
    attention_dp: Option<u32>,
    /// Decode context parallel: tensor-parallel ranks that hold the same key-value heads divide the tokens of
    /// each sequence; they take no GPUs of their own [default: 1]
    #[arg(long, value_name = "N", value_parser = degree)]
    dcp: Option<u32>,
    /// Replicas, between which requests go round [default: 1]
    #[arg(long, value_name = "N", value_parser = degree)]
    replicas: Option<u32>,
}

impl PlaceArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        let degree = |n: Option<u32>| n.map(|n| Values(vec![n]));
        request.gpu = self.gpu.clone().map(|gpu| Texts(vec![gpu]));
        request.cluster.clone_from(&self.cluster);
        request.tp = degree(self.tp);
        request.pp = degree(self.pp);
        request.ep = degree(self.ep);
        request.attention_dp = degree(self.attention_dp);
        request.dcp = degree(self.dcp);
        request.replicas = degree(self.replicas);
    }
}

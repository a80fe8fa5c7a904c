//! Where one plan stands: its GPUs and how it is split over them.

use clap::Args;

use crate::request::{Request, Texts, Values};

use super::values::degree;

/// A GPU or a cluster, and a split.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// GPU, by name or YAML file
    #[arg(long, value_name = "GPU", conflicts_with = "cluster", value_delimiter = ',')]
    gpu: Vec<String>,
    /// Cluster to place the plan on, local among them [default: as many GPUs as the plan needs]
    #[arg(long, value_name = "CLUSTER", allow_hyphen_values = true)]
    cluster: Option<String>,
    /// Tensor parallel [default: 1]
    #[arg(long, value_name = "N", value_parser = degree, value_delimiter = ',')]
    tp: Vec<u32>,
    /// Pipeline stages [default: 1]
    #[arg(long, value_name = "N", value_parser = degree, value_delimiter = ',')]
    pp: Vec<u32>,
    /// Expert parallel [default: 1]
    #[arg(long, value_name = "N", value_parser = degree, value_delimiter = ',')]
    ep: Vec<u32>,
    /// Attention data parallel [default: 1]
    #[arg(long, value_name = "N", value_parser = degree, value_delimiter = ',')]
    attention_dp: Vec<u32>,
    /// Decode context parallel: tensor-parallel ranks that hold the same key-value heads divide the tokens of
    /// each sequence; they take no GPUs of their own [default: 1]
    #[arg(long, value_name = "N", value_parser = degree, value_delimiter = ',')]
    dcp: Vec<u32>,
    /// Replicas, between which requests go round [default: 1]
    #[arg(long, value_name = "N", value_parser = degree, value_delimiter = ',')]
    replicas: Vec<u32>,
}

impl PlaceArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        let degree = |list: &[u32]| (!list.is_empty()).then(|| Values(list.to_vec()));
        request.gpu = Texts::given(&self.gpu);
        request.cluster.clone_from(&self.cluster);
        request.tp = degree(&self.tp);
        request.pp = degree(&self.pp);
        request.ep = degree(&self.ep);
        request.attention_dp = degree(&self.attention_dp);
        request.dcp = degree(&self.dcp);
        request.replicas = degree(&self.replicas);
    }
}

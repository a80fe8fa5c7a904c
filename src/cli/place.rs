//! Where one plan stands: its GPUs and how it is split over them.

use clap::Args;

use crate::catalog::{Catalog, Cluster};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::Parallelism;

use super::common::{cluster, cluster_of};
use super::values::degree;

/// A GPU or a cluster, and a split.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// GPU, by name or YAML file
    #[arg(long, value_name = "GPU", required_unless_present = "cluster", conflicts_with = "cluster")]
    gpu: Option<String>,
    /// Cluster to place the plan on [default: as many GPUs as the plan needs]
    #[arg(long, value_name = "CLUSTER", allow_hyphen_values = true)]
    cluster: Option<String>,
    /// Tensor parallel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    tp: u32,
    /// Pipeline stages
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    pp: u32,
    /// Expert parallel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    ep: u32,
    /// Attention data parallel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    attention_dp: u32,
    /// Decode context parallel: tensor-parallel ranks that hold the same key-value heads divide the tokens of
    /// each sequence; they take no GPUs of their own
    #[arg(long, visible_alias = "decode-context-parallel", alias = "decode-context-parallel-size")]
    #[arg(default_value_t = 1, value_name = "N", value_parser = degree)]
    dcp: u32,
    /// Replicas, between which requests go round
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    pub replicas: u32,
}

impl PlaceArgs {
    /// How each replica is split.
    pub fn split(&self) -> Parallelism {
        let &PlaceArgs { tp, pp, ep, attention_dp, dcp, .. } = self;
        Parallelism { tp, pp, ep, attention_dp, dcp }
    }

    /// The GPUs, with prices overridden: those named, or as many of one kind as all replicas take.
    pub fn cluster(&self, catalog: &Catalog, prices: &[String]) -> Result<Cluster, Diagnostic> {
        self.cluster_of(catalog, prices, self.split().gpus().saturating_mul(self.replicas.into()))
    }

    /// The same where the plan takes `gpus`.
    pub fn cluster_of(&self, catalog: &Catalog, prices: &[String], gpus: u64) -> Result<Cluster, Diagnostic> {
        match (&self.cluster, &self.gpu) {
            (Some(name), _) => cluster(catalog, name, prices),
            (None, Some(gpu)) => cluster_of(catalog, gpu, u32::try_from(gpus).unwrap_or(u32::MAX), prices),
            (None, None) => Err(Diagnostic::new(Code::Usage, "name a --gpu or a --cluster")),
        }
    }

    /// Whether all replicas have room where at most `most` have.
    pub fn fits(&self, most: u32) -> Result<(), Diagnostic> {
        if self.replicas <= most {
            return Ok(());
        }
        let cause =
            format!("{} replicas of {} GPUs do not fit on the cluster", self.replicas, self.split().gpus());
        Err(Diagnostic::new(Code::Usage, cause).help(format!("at most {most}")))
    }
}

//! What stays in the host's memory: the flags of llama.cpp, and what the host is.

use clap::Args;

use crate::request::{MAX_LAYERS, Request, Texts};

use super::values::count;

/// Host memory, and what lies there.
#[derive(Clone, Debug, Default, Args)]
pub struct HostArgs {
    /// Memory of each node's host: memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s to one GPU]; llama.cpp leaves there
    /// what finds no room on the GPUs [default: the cluster's, if its file says]
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Host memory")]
    host: Option<String>,
    /// Layers on the GPUs, the output projection counted as one more; the first layers stay with the host
    /// [default: all that find room]
    #[arg(long, value_name = "N", value_parser = count(0..=MAX_LAYERS), help_heading = "Host memory")]
    gpu_layers: Option<u64>,
    /// First layers whose routed experts stay with the host [default: as few as find no room]
    #[arg(long, value_name = "N", value_parser = count(0..=MAX_LAYERS), help_heading = "Host memory")]
    n_cpu_moe: Option<u64>,
    /// All routed experts stay with the host
    #[arg(long, help_heading = "Host memory", conflicts_with = "n_cpu_moe")]
    cpu_moe: bool,
    /// Layers of each pipeline stage, e.g. 21,19 (VLLM_PP_LAYER_PARTITION, SGLANG_PP_LAYER_PARTITION, pp_partition); with
    /// llama.cpp proportions, e.g. 3,1 [default: even]
    #[arg(
        long,
        visible_alias = "pp-layers",
        value_name = "N,…",
        value_delimiter = ',',
        help_heading = "Host memory"
    )]
    tensor_split: Vec<String>,
    /// How a model is divided over GPUs: by layers, as llama.cpp does unasked
    #[arg(long, value_name = "layer", help_heading = "Host memory")]
    split_mode: Option<String>,
    /// Routed experts of the first layers stay with the host, as llama.cpp's patterns say it, e.g. exps=CPU
    #[arg(long, value_name = "PATTERN=CPU,…", value_delimiter = ',', help_heading = "Host memory")]
    #[arg(conflicts_with_all = ["n_cpu_moe", "cpu_moe"])]
    override_tensor: Vec<String>,
}

impl HostArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        request.host.clone_from(&self.host);
        request.gpu_layers = self.gpu_layers;
        request.n_cpu_moe = self.n_cpu_moe;
        request.cpu_moe = self.cpu_moe.then_some(true);
        request.tensor_split = Texts::given(&self.tensor_split);
        request.split_mode.clone_from(&self.split_mode);
        request.override_tensor = Texts::given(&self.override_tensor);
    }
}

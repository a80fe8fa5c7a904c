//! What stays in the host's memory: the flags of llama.cpp, and what the host is.

use clap::Args;

use crate::catalog::{Cluster, Host};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::plan::{Offload, Shares};
use crate::search::{Answer, Question};

use super::overrides::layers_with_host_experts;
use super::values::count;

/// Most layers that a flag may name.
const MAX_LAYERS: u64 = 100_000;

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
    #[arg(alias = "n-gpu-layers")]
    gpu_layers: Option<u64>,
    /// First layers whose routed experts stay with the host [default: as few as find no room]
    #[arg(long, value_name = "N", value_parser = count(0..=MAX_LAYERS), help_heading = "Host memory")]
    n_cpu_moe: Option<u64>,
    /// All routed experts stay with the host
    #[arg(long, help_heading = "Host memory", conflicts_with = "n_cpu_moe")]
    cpu_moe: bool,
    /// Proportions in which layers are dealt out over the GPUs, e.g. 3,1 [default: even]
    #[arg(long, value_name = "N,…", value_delimiter = ',', help_heading = "Host memory")]
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
    /// What stays with the host.
    pub fn offload(&self) -> Result<Offload, Diagnostic> {
        let shares = match self.tensor_split.as_slice() {
            [] => None,
            parts => {
                let wrong = |part: &String| {
                    Diagnostic::new(Code::Syntax, format!("`{part}` is not a number"))
                        .at("--tensor-split")
                        .help("one number for each GPU, for example 3,1")
                };
                let parts = parts.iter().map(|part| part.trim().parse::<f64>().map_err(|_| wrong(part)));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                Some(Shares::new(&parts).map_err(|d| d.at("--tensor-split"))?)
            }
        };
        self.check_mode()?;
        let host_experts = match self.override_tensor.as_slice() {
            [] if self.cpu_moe => Some(MAX_LAYERS),
            [] => self.n_cpu_moe,
            patterns => Some(layers_with_host_experts(patterns, MAX_LAYERS)?),
        };
        Ok(Offload { gpu_layers: self.gpu_layers, host_experts, shares })
    }

    /// Matrices that are divided by rows over GPUs are not described.
    fn check_mode(&self) -> Result<(), Diagnostic> {
        let help = match self.split_mode.as_deref() {
            None | Some("layer") => return Ok(()),
            Some("none") => "one GPU is what a plan without --pp has, or a cluster of one",
            _ => "only `layer` is described, llama.cpp's default: whole layers on each GPU",
        };
        let mode = self.split_mode.as_deref().unwrap_or_default();
        let cause = format!("the split mode `{mode}` is not described");
        Err(Diagnostic::new(Code::Usage, cause).at("--split-mode").help(help))
    }

    /// The same of a plan of `pp` stages: proportions must name each.
    pub fn offload_over(&self, pp: u32) -> Result<Offload, Diagnostic> {
        let offload = self.offload()?;
        match offload.shares.map(|shares| shares.gpus()) {
            Some(n) if n as u64 != u64::from(pp) => {
                let cause = format!("{n} proportions for {pp} GPUs");
                Err(Diagnostic::new(Code::Usage, cause)
                    .at("--tensor-split")
                    .help("one for each stage of --pp"))
            }
            _ => Ok(offload),
        }
    }

    /// What to say where nothing is feasible and an engine could leave layers with the host.
    pub fn hint(&self, question: &Question, answer: &Answer) -> &'static str {
        let could = question.engines.iter().any(|engine| engine.host.is_some());
        let unknown = question.pools.iter().any(|pool| pool.host.is_none() && pool.has_own_memory());
        match answer.best.is_empty() && could && unknown {
            true => {
                "llama.cpp leaves with the host what finds no room: --host memory=64GiB,bandwidth=83.2GB/s says what that has.\n"
            }
            false => "",
        }
    }

    /// Puts the host that is named into every pool.
    pub fn on(&self, pools: &mut [Cluster]) -> Result<(), Diagnostic> {
        let Some(text) = &self.host else { return Ok(()) };
        let host: Host = load::assignments(text, "--host")?;
        host.validate().map_err(|d| d.at("--host"))?;
        pools.iter_mut().for_each(|pool| pool.host = Some(host));
        Ok(())
    }
}

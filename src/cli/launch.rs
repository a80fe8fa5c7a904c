//! `--launch`: a server that is described by the command or manifest that starts it.

use clap::Args;

/// A launch in place of options.
#[derive(Clone, Debug, Args)]
pub struct LaunchArgs {
    /// What starts the server, as text, a file or a folder that `-o` wrote: `vllm serve …`, sglang, trtllm-serve,
    /// llama-server, docker run, a script, Compose or Kubernetes manifests, flags as YAML. Options that are given win
    #[arg(long, value_name = "TEXT|FILE|DIR", allow_hyphen_values = true, help_heading = "Launch")]
    pub launch: Option<String>,
}

//! Split pools on the command line: `--prefill tp=2,replicas=3 --decode tp=8`.

use clap::Args;

use crate::request::Request;

/// Prefill and decode workers of one deployment.
#[derive(Clone, Debug, Args)]
pub struct SplitArgs {
    /// Workers that compute prompts and hand their cache on, e.g. "tp=2,replicas=3"; with --decode, in place
    /// of --tp and the like. Keys: tp, pp, ep, attention_dp, replicas
    #[arg(long, value_name = "WORKERS", requires = "decode", help_heading = "Split pools")]
    #[arg(conflicts_with_all = ["tp", "pp", "ep", "attention_dp", "dcp", "replicas"])]
    prefill: Option<String>,
    /// Workers that decode, in the same form; their keys include dcp
    #[arg(long, value_name = "WORKERS", requires = "prefill", help_heading = "Split pools")]
    decode: Option<String>,
}

impl SplitArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        request.prefill.clone_from(&self.prefill);
        request.decode.clone_from(&self.decode);
    }
}

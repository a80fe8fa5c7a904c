//! `shardfit fit`: which models run on a machine.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::ask::{self, View};
use crate::catalog::Catalog;
use crate::catalog::published::Purpose;
use crate::diagnostic::Diagnostic;
use crate::request::fit::MOST_MODELS;
use crate::request::{FitRequest, Texts};
use crate::workload::MAX_LENGTH;

use super::common::note_cluster;
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::talk;
use super::values::{count, names, real, tokens};

/// Arguments of `fit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    shardfit fit --cluster 1xrtx-4090\n  \
    shardfit fit --cluster 1xrtx-3060 --host memory=64GiB,bandwidth=83.2GB/s --task code\n  \
    shardfit fit --cluster 1xm4-max --context 32768 --license permissive --since 2025 --all-formats")]
pub struct FitArgs {
    /// Machine: 1xrtx-4090, 2xrtx-3090, 1xm4-max, a name, or a YAML file
    #[arg(long, value_name = "CLUSTER", help_heading = "Hardware")]
    cluster: String,
    /// Memory of the host: memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s to one GPU]; llama.cpp leaves there what finds
    /// no room on the GPUs [default: the cluster's, if its file says]
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Hardware")]
    host: Option<String>,
    /// Engines, or any for all that run there [default: llama.cpp, vllm and sglang, where they run]
    #[arg(long, value_name = "ENGINE", value_delimiter = ',', help_heading = "Engine")]
    engine: Vec<String>,
    /// Formats of weights to look at, e.g. q4_k_m,q8_0 [default: all]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', help_heading = "Engine")]
    weights: Vec<String>,
    /// Type of the KV cache, for engines that have it [default: the engine's]
    #[arg(long, value_name = "TYPE", help_heading = "Engine")]
    kv: Option<String>,
    /// Tokens of the longest conversation that must find room [default: 8192, less of models made for less]
    #[arg(long, value_name = "TOKENS", value_parser = tokens(1..=MAX_LENGTH), help_heading = "Workload")]
    context: Option<u64>,
    /// Prompt tokens of the speeds [default: 2048, less in a shorter context]
    #[arg(long, value_name = "TOKENS", value_parser = tokens(1..=MAX_LENGTH), help_heading = "Workload")]
    isl: Option<u64>,
    /// Output tokens of the speeds [default: 512, less in a shorter context]
    #[arg(long, value_name = "TOKENS", value_parser = tokens(1..=MAX_LENGTH), help_heading = "Workload")]
    osl: Option<u64>,
    /// What models are for: chat, code, vision, embedding or reasoning [default: all but embedding]
    #[arg(long, value_name = "TASK", help_heading = "Models")]
    #[arg(value_parser = names(Purpose::ALL.map(Purpose::name)), hide_possible_values = true)]
    task: Option<String>,
    /// Fewest tokens per second of one user [default: 5, about as fast as people read]
    #[arg(long, value_name = "RATE", value_parser = real, allow_hyphen_values = true, help_heading = "Models")]
    min_tokens: Option<f64>,
    /// Most memory of each GPU that a model and one conversation may take, e.g. 16GiB
    #[arg(long, value_name = "SIZE", help_heading = "Models")]
    max_memory: Option<String>,
    /// Licences, e.g. apache-2.0,mit, or permissive for all that let everybody use, change and sell a model
    #[arg(long, value_name = "LICENCE", value_delimiter = ',', help_heading = "Models")]
    license: Vec<String>,
    /// Families: parts of names or model types, e.g. qwen3,gemma
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Models")]
    family: Vec<String>,
    /// First day of release: 2025, 2025-06 or 2025-06-30
    #[arg(long, value_name = "DAY", help_heading = "Models")]
    since: Option<String>,
    /// Folder of config.json files named <org>--<name>.json, looked at beside the catalogue
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Models")]
    models: Vec<PathBuf>,
    /// List every way that runs: each format with each engine, and not one for each model
    #[arg(long, help_heading = "Ranking")]
    all_formats: bool,
    /// Models to list
    #[arg(long, default_value = "20", value_name = "N", value_parser = count(1..=MOST_MODELS), help_heading = "Ranking")]
    top: u64,
    #[command(flatten)]
    output: OutputArgs,
}

impl FitArgs {
    /// What is asked.
    fn request(&self) -> FitRequest {
        let folders: Vec<String> = self.models.iter().map(|dir| dir.to_string_lossy().into_owned()).collect();
        FitRequest {
            schema_version: None,
            cluster: Some(self.cluster.clone()),
            host: self.host.clone(),
            engine: Texts::given(&self.engine),
            weights: Texts::given(&self.weights),
            kv: self.kv.clone(),
            context: self.context,
            isl: self.isl,
            osl: self.osl,
            task: self.task.clone(),
            min_tokens: self.min_tokens,
            max_memory: self.max_memory.clone(),
            license: Texts::given(&self.license),
            family: Texts::given(&self.family),
            since: self.since.clone(),
            all_formats: self.all_formats.then_some(true),
            top: Some(self.top),
            models: Texts::given(&folders),
        }
    }
}

/// Runs the command.
pub fn run(args: &FitArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let view = View::new(args.output.prepare()?, args.output.width());
    let fitting = args.request().resolve_as_flags(catalog)?;
    note_cluster(&fitting.cluster);
    talk::caveats(fitting.engines.iter());
    args.output.answer(&ask::fit::written(&fitting, view)?)
}
